# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Yearly tranches of the conventions: voted, or indicative of later years.

A convention of several years gives one tranche a year.  That of the first
year is voted with the convention; the later ones are indicative: they commit
and pay nothing until the budget of their year is voted.  Their vote comes
from an application of the year, which the convention prepares, and the
partner is notified of each of them.
"""
import datetime as dt
from collections import defaultdict
from decimal import Decimal

from sql.aggregate import Sum

from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import without_check_access

from .check import AmountMixin, money, year_domain
from .convention import LIVE_STATES, OPEN_STATES
from .exceptions import (
    AmountError, CompletenessError, PeriodError, TransitionError)
from .mixin import ClaimMixin, FrozenByMixin, acting_user, thaw
from .sums import SLICE, read_sums

MULTI_YEAR_KINDS = frozenset({'multi_year', 'umbrella'})


class Tranche(
        AmountMixin, ClaimMixin, FrozenByMixin, ModelSQL, ModelView):
    "What the convention gives for one year."
    __name__ = 'grant.tranche'
    _amounts = ('amount',)
    _frozen_by = 'convention'
    _parent_states = OPEN_STATES
    _free_fields = frozenset({'notification_date'})
    _server_fields = frozenset({'status', 'notified_on', 'notified_by'})

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='CASCADE')
    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_company')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    year = fields.Integer(
        "Year", required=True, domain=year_domain('year'))
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True)
    status = fields.Selection([
            ('indicative', "Indicative"),
            ('voted', "Voted"),
            ('refused', "Refused by the Vote"),
            ], "Status", required=True, readonly=True, sort=False)
    notification_date = fields.Date(
        "Date of the Notification",
        states={
            'readonly': ((Eval('status') != 'voted')
                | (Eval('notified_on', None) != None)),  # noqa: E711
            },
        help="When the partner received it; today if left empty.")
    notified_on = fields.Date(
        "Notified On", readonly=True,
        help="Starts the delay of payment of the year (L05).")
    notified_by = fields.Many2One(
        'res.user', "Notified By", readonly=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('convention')
        cls._sql_constraints.append((
                'convention_year_unique',
                Unique(table, table.convention, table.year),
                'pacte_grants.msg_tranche_year_unique'))
        cls._order = [
            ('convention', 'ASC'), ('year', 'ASC'), ('id', 'ASC')]
        cls._buttons.update({
                'notify': {
                    'invisible': ((Eval('status') != 'voted')
                        | (Eval('notified_on', None)
                            != None)),  # noqa: E711
                    'depends': ['status', 'notified_on'],
                    },
                })

    @classmethod
    def default_status(cls):
        return 'indicative'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('status') == 'voted', 'success',
                    If(Eval('status') == 'refused', 'muted', '')),
                ['status']),
            ]

    @fields.depends('convention', '_parent_convention.company')
    def on_change_with_company(self, name=None):
        return self.convention.company if self.convention else None

    @classmethod
    def search_company(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    @fields.depends('convention', '_parent_convention.company')
    def on_change_with_currency(self, name=None):
        if self.convention and self.convention.company:
            return self.convention.company.currency

    def get_rec_name(self, name):
        return f'{self.convention.number} / {self.year}'

    @classmethod
    def set_amounts(cls, convention, amounts):
        """Bring the tranches of the convention to ``amounts``, euros by
        year, and their instalments with them, exact to the cent."""
        tranches = {t.year: t for t in convention.tranches}
        to_save = []
        for year, amount in amounts.items():
            tranche = tranches.get(year)
            if not tranche:
                to_save.append(cls(
                        convention=convention, year=year, amount=amount))
            elif tranche.amount != amount:
                to_save.append(tranche)
        cls._set_amounts(to_save, amounts)

    @classmethod
    def _set_amounts(cls, tranches, amounts):
        for tranche in tranches:
            tranche.amount = amounts[tranche.year]
        cls.save(tranches)

    @classmethod
    def set_status(cls, tranches, status):
        cls.write(tranches, {'status': status})

    @classmethod
    def copy(cls, tranches, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('notification_date', None)
        return super().copy(tranches, default=default)

    def give_up(self, reason):
        """Take what the tranche still has to pay out of the schedule, for
        the ``reason``: the partner renounces the year."""
        self.__class__.set_status([self], 'refused')

    def check_executory(self):
        """Raise ``CompletenessError`` unless the act that votes the tranche
        is executory (L16)."""

    @classmethod
    @ModelView.button
    def notify(cls, tranches):
        """Record that the partner was told of the vote of a later year,
        which starts the delay of payment of its instalments (L05)."""
        pool = Pool()
        Convention = pool.get('grant.convention')
        today = pool.get('ir.date').today()
        user = acting_user(gettext('pacte_grants.msg_act_convention'))
        Convention.claim(list({t.convention for t in tranches}))
        by_date = defaultdict(list)
        for tranche in cls.claim(tranches):
            convention = tranche.convention
            if (tranche.status != 'voted' or tranche.notified_on
                    or convention.state not in LIVE_STATES):
                raise TransitionError(gettext(
                        'pacte_grants.msg_tranche_notify',
                        tranche=tranche.rec_name,
                        convention=convention.rec_name,
                        state=convention.state_label))
            tranche.check_executory()
            by_date[tranche.get_notification_date(today)].append(tranche)
        for date, sub in by_date.items():
            cls.write(sub, {'notified_on': date, 'notified_by': user.id})

    def get_notification_date(self, today):
        """Return when the partner was told: the date that was entered, today
        by default.

        Raise ``PeriodError`` if it is in the future or before the
        notification of the convention.
        """
        date = self.notification_date or today
        notified_on = self.convention.notified_on
        if date > today or date < notified_on:
            raise PeriodError(gettext(
                    'pacte_grants.msg_tranche_notification_date',
                    tranche=self.rec_name,
                    date=date.strftime('%d/%m/%Y'),
                    notified=notified_on.strftime('%d/%m/%Y')))
        return date


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    tranches = fields.One2Many(
        'grant.tranche', 'convention', "Tranches",
        states={'readonly': ~Eval('state').in_(list(OPEN_STATES))})
    amount = fields.Function(Monetary(
            "Amount", currency='currency', digits='currency',
            help="Sum of the tranches, voted or indicative."),
        'get_tranche_amounts')
    voted_amount = fields.Function(Monetary(
            "Voted Amount", currency='currency', digits='currency',
            help="Sum of the tranches that are voted."),
        'get_tranche_amounts')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'set_amounts': {
                    'invisible': ~Eval('state').in_(list(OPEN_STATES)),
                    'depends': ['state'],
                    },
                'request_tranche': {
                    'invisible': (
                        (Eval('state') != 'active')
                        | ~Eval('kind').in_(sorted(MULTI_YEAR_KINDS))),
                    'depends': ['state', 'kind'],
                    },
                })

    @classmethod
    def get_tranche_amounts(cls, conventions, names):
        tranche = Pool().get('grant.tranche').__table__()
        sums = defaultdict(lambda: defaultdict(Decimal))
        for sub in grouped_slice(conventions, SLICE):
            query = tranche.select(
                tranche.convention, tranche.status, Sum(tranche.amount),
                where=reduce_ids(tranche.convention, [c.id for c in sub])
                & (tranche.status != 'refused'),
                group_by=[tranche.convention, tranche.status])
            for id_, status, amount in read_sums(query, keys=2):
                sums[id_]['amount'] += amount
                if status == 'voted':
                    sums[id_]['voted_amount'] += amount
        return {
            name: {
                c.id: c.currency.round(sums[c.id][name])
                for c in conventions}
            for name in names}

    @classmethod
    @ModelView.button
    def set_amounts(cls, conventions):
        "Take again the amounts proposed by the applications."
        Tranche = Pool().get('grant.tranche')
        for convention in cls.claim(conventions):
            if convention.freezing_state not in OPEN_STATES:
                cls.check_transition([convention], 'draft')
            Tranche.set_amounts(convention, convention.proposed_amounts)

    @property
    def proposed_amounts(self):
        "What its applications propose (euros), by year."
        amounts = defaultdict(Decimal)
        for application in self.applications:
            amounts[application.year] += (
                application.proposed_amount or Decimal(0))
        return amounts

    @classmethod
    def set_voted_amount(cls, convention, year, amount):
        """Bring the tranche of the year to what was voted (euros) with its
        schedule; both sides have to confirm a change."""
        Tranche = Pool().get('grant.tranche')
        before = convention.amount
        with thaw():
            # A record is saved in the context in which it was browsed.
            Tranche.set_amounts(cls(convention.id), {year: amount})
        convention = cls(convention.id)
        Pool().get('grant.event').add([{
                    'record': convention, 'name': 'amount',
                    'before': before, 'after': convention.amount,
                    }])
        cls.write([convention], {
                'amount_changed': True,
                'amount_confirmed_on': None,
                'amount_confirmed_by': None,
                })

    def get_agreement_reasons(self):
        reasons = super().get_agreement_reasons()
        proposed = self.proposed_amounts
        amounts = {t.year: t.amount for t in self.tranches}
        for year, amount in sorted(proposed.items()):
            if amounts.get(year, 0) != amount:
                reasons.append(gettext(
                        'pacte_grants.msg_agreement_amount',
                        year=year,
                        amount=money(amounts.get(year, Decimal(0))),
                        proposed=money(amount)))
        reasons.extend(self._get_kind_reasons(
                sorted(amounts), sorted(amounts.keys() - proposed.keys())))
        return reasons

    def _get_kind_reasons(self, years, later):
        "Return what the kind of convention does not allow, in sentences."
        Parameter = Pool().get('grant.parameter')
        reasons = []

        def add(message, **names):
            reasons.append(gettext(
                    f'pacte_grants.msg_agreement_{message}', **names))

        if self.kind not in MULTI_YEAR_KINDS or self.form == 'letter':
            for year in later:
                add('later_tranche', year=year)
        if self.form == 'letter':
            if self.kind in MULTI_YEAR_KINDS:
                add('letter_kind')
            return reasons
        if self.kind == 'umbrella' and self.party.partner_kind != 'epci':
            add('umbrella', party=self.party.rec_name)
        if self.kind not in MULTI_YEAR_KINDS:
            return reasons
        if self.kind == 'multi_year':
            maximum = int(Parameter.get(
                    'CONVENTION_MAXIMUM_YEARS', self.start_date))
            if len(years) < 2:
                add('single_tranche')
            if len(years) > maximum:
                add('too_many_years', count=len(years), maximum=maximum)
            for year in range(self.start_date.year, self.end_date.year + 1):
                if years and years[0] <= year and year not in years:
                    add('missing_tranche', year=year)
            for year in years:
                if not self.start_date.year <= year <= self.end_date.year:
                    add('tranche_period', year=year)
        return reasons

    @classmethod
    @ModelView.button_action('pacte_grants.act_application_of_convention')
    def request_tranche(cls, conventions):
        """Prepare the application by which the next indicative tranche of
        each convention goes to the vote, and show it."""
        applications = []
        for convention in cls.claim(conventions):
            tranche = convention.next_tranche
            if not tranche:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_convention_no_next_tranche',
                        convention=convention.rec_name))
            applications.append(convention._request(tranche))
        return {'res_id': [a.id for a in applications]}

    @property
    def next_tranche(self):
        """The first indicative tranche that no application brings to the
        vote yet, or ``None``."""
        requested = {
            a.year for a in self.applications
            if a.state not in {'refused', 'withdrawn', 'renounced'}}
        for tranche in self.tranches:
            if (tranche.status == 'indicative'
                    and tranche.year not in requested):
                return tranche

    def _request(self, tranche):
        pool = Pool()
        Application = pool.get('grant.application')
        year = tranche.year
        first = min(self.applications, key=lambda a: (a.year, a.id))
        with without_check_access():
            application, = Application.copy([Application(first.id)], default={
                    'convention': self.id,
                    'party': self.party.id,
                    'year': year,
                    'call': None,
                    'received_on': pool.get('ir.date').today(),
                    'start_date': max(self.start_date, dt.date(year, 1, 1)),
                    'end_date': min(self.end_date, dt.date(year, 12, 31)),
                    'requested_amount': tranche.amount,
                    'proposed_amount': None,
                    })
        return application

    @classmethod
    @ModelView.button
    def notify(cls, conventions):
        super().notify(conventions)
        Tranche = Pool().get('grant.tranche')
        by_notification = defaultdict(list)
        for convention in cls.browse(conventions):
            key = convention.notified_on, convention.notified_by
            by_notification[key].extend(
                t for t in convention.tranches if t.status == 'voted')
        for (date, user), tranches in by_notification.items():
            Tranche.write(
                tranches, {'notified_on': date, 'notified_by': user.id})


class Application(metaclass=PoolMeta):
    __name__ = 'grant.application'

    @property
    def later_tranche(self):
        """The tranche of a running convention that the application brings
        to the vote, or ``None``."""
        convention = self.convention
        if (not convention or convention.state not in LIVE_STATES
                or self.year == convention.year):
            return None
        for tranche in convention.tranches:
            if tranche.year == self.year:
                return tranche

    def check_award(self, form):
        tranche = self.later_tranche
        if not tranche:
            super().check_award(form)
            return
        self.check_proposal()
        if self.proposed_amount != tranche.amount:
            raise AmountError(gettext(
                    'pacte_grants.msg_schedule_tranche_amount',
                    application=self.rec_name,
                    amount=money(self.proposed_amount or Decimal(0)),
                    tranche=tranche.rec_name,
                    indicative=money(tranche.amount)))
