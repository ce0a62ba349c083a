# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Aid in kind: premises, equipment, staff, services and goods that the
Department gives or lends to a partner, with what they are worth.

Their value counts with the money in the yearly total that asks for a
convention (L03) and in the annex to the accounts (L35): in each calendar
year pro rata of its days, once somebody else than who entered it has
confirmed it.
"""
import datetime as dt
from collections import defaultdict, namedtuple
from decimal import Decimal

from sql import Cast, Union
from sql.aggregate import Sum
from sql.functions import Round

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import AccessError
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import Transaction, without_check_access

from .check import AmountMixin, PeriodMixin
from .configuration import NumberedMixin
from .exceptions import CompletenessError, DutyError
from .mixin import GuardMixin, WorkflowMixin, acting_user, transition
from .scheme import CompanyMixin
from .sums import SLICE, read_sums, split

IN_KIND_KINDS = [
    ('premises', "Premises"),
    ('equipment', "Equipment"),
    ('staff', "Staff"),
    ('service', "Service"),
    ('goods', "Goods"),
    ('other', "Other"),
    ]
_FIRST, _LAST = dt.date(2000, 1, 1), dt.date(2099, 12, 31)
_STATES_DRAFT = {'readonly': Eval('state') != 'draft'}


class Aid(namedtuple('Aid', ['cash', 'in_kind'])):
    "What a partner is given in a year, in money and in kind (euros)."
    __slots__ = ()

    @property
    def total(self):
        return self.cash + self.in_kind


class InKind(
        AmountMixin, PeriodMixin, WorkflowMixin, NumberedMixin, CompanyMixin,
        ModelSQL, ModelView):
    __name__ = 'grant.in_kind'
    __string__ = "Aid in Kind"
    _numbering = 'in_kind'
    _period = ('first_day', 'last_day')
    _amounts = ('quantity', 'unit_value', 'value')
    _frozen = {
        'confirmed': frozenset({'reason'}),
        'cancelled': frozenset({'reason'}),
        }
    # Who changes one of them never confirms the aid.
    _valued = frozenset({
            'party', 'kind', 'first_day', 'last_day', 'quantity',
            'unit_value', 'value', 'valuation'})

    party = fields.Many2One(
        'party.party', "Partner", required=True, ondelete='RESTRICT',
        domain=[('partner_kind', '!=', None)],
        context={'company': Eval('company', -1)}, depends={'company'},
        states=_STATES_DRAFT)
    service = fields.Many2One(
        'grant.service', "Service", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        states=_STATES_DRAFT,
        help="The service of the Department that gives the aid.")
    kind = fields.Selection(
        IN_KIND_KINDS, "Kind", required=True, sort=False,
        states=_STATES_DRAFT)
    kind_string = kind.translated('kind')
    description = fields.Char(
        "Description", required=True, states=_STATES_DRAFT,
        help="What is given or lent, as the annex to the accounts names it.")
    first_day = fields.Date(
        "First Day", required=True, states=_STATES_DRAFT,
        domain=[('first_day', '>=', _FIRST), ('first_day', '<=', _LAST)])
    last_day = fields.Date(
        "Last Day", required=True, states=_STATES_DRAFT,
        domain=[('last_day', '>=', _FIRST), ('last_day', '<=', _LAST)],
        help="The same as the first day for what is given at once.")
    quantity = fields.Numeric(
        "Quantity", digits=(16, 2), states=_STATES_DRAFT)
    unit = fields.Char(
        "Unit", states=_STATES_DRAFT, help="For instance hour, day or m².")
    unit_value = Monetary(
        "Unit Value", currency='currency', digits='currency',
        states=_STATES_DRAFT)
    value = Monetary(
        "Value", currency='currency', digits='currency',
        states={
            'readonly': (
                (Eval('state') != 'draft')
                | (Bool(Eval('quantity')) & Bool(Eval('unit_value')))),
            },
        help="Of the whole period: the quantity times the unit value when "
        "both are given.")
    valuation = fields.Char(
        "Valued By", states=_STATES_DRAFT,
        help="How the value was found: voted rate, full cost, market "
        "price…")
    application = fields.Many2One(
        'grant.application', "Application", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ('party', '=', Eval('party', -1)),
            ],
        states=_STATES_DRAFT)
    years = fields.One2Many(
        'grant.in_kind.year', 'in_kind', "Calendar Years", readonly=True,
        help="The value in each year, pro rata of its days.")
    entered_by = fields.Many2One(
        'res.user', "Entered By", readonly=True, ondelete='RESTRICT')
    entered_on = fields.Date("Entered On", readonly=True)
    confirmed_by = fields.Many2One(
        'res.user', "Confirmed By", readonly=True, ondelete='RESTRICT')
    confirmed_on = fields.Date("Confirmed On", readonly=True)
    cancelled_by = fields.Many2One(
        'res.user', "Cancelled By", readonly=True, ondelete='RESTRICT',
        states={'invisible': Eval('state') != 'cancelled'})
    cancelled_on = fields.Date(
        "Cancelled On", readonly=True,
        states={'invisible': Eval('state') != 'cancelled'})
    reason = fields.Text(
        "Reason to Go Back or Cancel",
        help="What is confirmed or cancelled changes with a reason only, "
        "which the journal keeps.")
    state = fields.Selection([
            ('draft', "To Confirm"),
            ('confirmed', "Confirmed"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('first_day', 'DESC'), ('id', 'DESC')]
        cls._sql_indexes.update({
                Index(table,
                    (table.party, Index.Equality()),
                    (table.state, Index.Equality(cardinality='low'))),
                Index(table,
                    (table.state, Index.Equality(cardinality='low')),
                    (table.first_day, Index.Range(order='DESC'))),
                Index(table, (table.application, Index.Equality())),
                })
        cls._transitions = {
            ('draft', 'confirmed'),
            ('draft', 'cancelled'),
            ('confirmed', 'draft'),
            ('confirmed', 'cancelled'),
            ('cancelled', 'draft'),
            }

        def offered(*states):
            return {
                'invisible': ~Eval('state').in_(list(states)),
                'depends': ['state'],
                }
        cls._buttons.update({
                'confirm': offered('draft'),
                'draft': offered('confirmed', 'cancelled'),
                'cancel': offered('draft', 'confirmed'),
                })

    @classmethod
    def default_state(cls):
        return 'draft'

    @classmethod
    def default_service(cls):
        return Transaction().context.get('grant_service')

    @fields.depends('company', 'quantity', 'unit_value', 'value')
    def on_change_with_value(self):
        if self.quantity is None or self.unit_value is None:
            return self.value
        value = self.quantity * self.unit_value
        return self.company.currency.round(value) if self.company else value

    def get_rec_name(self, name):
        return f'{self.number} – {self.description}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('number', *clause[1:]),
            ('description', *clause[1:]),
            ('party.rec_name', *clause[1:]),
            ]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'cancelled', 'muted',
                    If((Eval('state') == 'draft')
                        & (Eval('last_day', Date()) < Date()),
                        'warning', '')),
                ['state', 'last_day']),
            ('//group[@id="years"]', 'states', {
                    'invisible': ~Eval('value'),
                    }, ['value']),
            ]

    @classmethod
    def _numbering_year(cls, values):
        first_day = values.get('first_day')
        return first_day.year if first_day else super()._numbering_year(values)

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create':
            values['entered_by'] = Transaction().user or None
            values['entered_on'] = Pool().get('ir.date').today()
            values['value'] = cls(
                company=values.get('company') or cls.default_company(),
                quantity=values.get('quantity'),
                unit_value=values.get('unit_value'),
                value=values.get('value')).on_change_with_value()
        return values

    def compute_fields(self, field_names=None):
        values = super().compute_fields(field_names=field_names)
        if field_names is None or field_names & {
                'quantity', 'unit_value', 'value'}:
            value = self.on_change_with_value()
            if self.value != value:
                values['value'] = value
        return values

    @classmethod
    def _check_guard(cls, records, values):
        if values.keys() & {'quantity', 'unit_value'}:
            # The client sends the product with what it comes from.
            values = {n: v for n, v in values.items() if n != 'value'}
        super()._check_guard(records, values)

    @classmethod
    def check_modification(cls, mode, aids, values=None, external=False):
        super().check_modification(
            mode, aids, values=values, external=external)
        if mode == 'delete':
            cls._check_delete(aids)
        elif mode == 'write':
            Pool().get('grant.event').add([{
                        'record': a, 'name': name,
                        'before': cls._journalled(name, getattr(a, name)),
                        'after': cls._journalled(name, values[name]),
                        } for a in aids
                    for name in sorted(values.keys() & cls._valued)
                    if cls._differs(a, name, values[name])])

    @classmethod
    def _journalled(cls, name, value):
        if name == 'party' and value:
            return Pool().get('party.party')(int(value))
        if name == 'kind':
            selection = cls.fields_get(['kind'])['kind']['selection']
            return dict(selection).get(value, value)
        return value

    @classmethod
    def _check_delete(cls, aids):
        "Refuse what was confirmed or cancelled once and is a draft again."
        left = cls._get_events(aids, ['draft'])
        for aid in aids:
            if left[str(aid)]:
                raise AccessError(gettext(
                        'pacte_grants.msg_in_kind_delete',
                        aid=aid.rec_name))

    @classmethod
    @without_check_access
    def _get_events(cls, aids, names):
        "Return, by record, the users of what the journal has of the names."
        Event = Pool().get('grant.event')
        events = defaultdict(list)
        for sub in grouped_slice(aids, SLICE):
            for event in Event.search([
                        ('record', 'in', [str(a) for a in sub]),
                        ('name', 'in', list(names)),
                        ]):
                events[str(event.record)].append(event.user)
        return events

    @classmethod
    def on_modification(cls, mode, aids, field_names=None):
        super().on_modification(mode, aids, field_names=field_names)
        if mode == 'create' or (
                mode == 'write'
                and field_names & {'first_day', 'last_day', 'value'}):
            cls.set_years(aids)

    @classmethod
    @without_check_access
    def set_years(cls, aids):
        "Split the values over the calendar years of their periods."
        Year = Pool().get('grant.in_kind.year')
        to_delete, to_create = [], []
        for aid in cls.browse(aids):
            wanted = aid.split_value()
            if wanted != [(y.year, y.days, y.value) for y in aid.years]:
                to_delete.extend(aid.years)
                to_create.extend({
                        'in_kind': aid.id, 'year': year, 'days': days,
                        'value': value,
                        } for year, days, value in wanted)
        Year.delete(to_delete)
        Year.create(to_create)

    def split_value(self):
        """Return the value by calendar year: ``(year, days, value)``.

        Both ends of the period are included; the values (euros) are pro
        rata of the days and add up to the whole to the cent.
        """
        if self.value is None:
            return []
        years = list(range(self.first_day.year, self.last_day.year + 1))
        days = [
            (min(self.last_day, dt.date(year, 12, 31))
                - max(self.first_day, dt.date(year, 1, 1))).days + 1
            for year in years]
        values = split(self.value, days, self.currency.digits)
        return list(zip(years, days, values, strict=True))

    @classmethod
    def copy(cls, aids, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('reason', None)
        return super().copy(aids, default=default)

    @classmethod
    @ModelView.button
    @transition('confirmed')
    def confirm(cls, aids):
        """Attest that the aid is given and what it is worth.

        Raise ``CompletenessError`` without a value or without what it rests
        on, ``DutyError`` for who entered or changed it (invariant 5).
        """
        user = acting_user(gettext('pacte_grants.msg_act_in_kind'))
        for aid in aids:
            if not aid.value or not (aid.valuation or '').strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_in_kind_value', aid=aid.rec_name))
        cls._check_duties(aids, user)
        cls.write(aids, {
                'confirmed_by': user.id,
                'confirmed_on': Pool().get('ir.date').today(),
                })
        Pool().get('grant.event').add([{
                    'record': a, 'name': 'confirm', 'after': a.value,
                    } for a in aids])

    @classmethod
    def _check_duties(cls, aids, user):
        changed = cls._get_events(aids, cls._valued)
        for aid in aids:
            for other in [aid.entered_by, *changed[str(aid)]]:
                if user.is_same_person(other):
                    raise DutyError(gettext(
                            'pacte_grants.msg_in_kind_duty',
                            aid=aid.rec_name, user=other.rec_name))

    @classmethod
    @ModelView.button
    @transition('draft')
    def draft(cls, aids):
        "Correct what was confirmed or cancelled: the journal keeps it."
        acting_user(gettext('pacte_grants.msg_act_in_kind'))
        cls._leave(aids, 'draft', 'draft')
        cls.write(aids, {
                'confirmed_by': None, 'confirmed_on': None,
                'cancelled_by': None, 'cancelled_on': None,
                })

    @classmethod
    @ModelView.button
    @transition('cancelled')
    def cancel(cls, aids):
        "Say that the aid was not given, or entered by mistake."
        user = acting_user(gettext('pacte_grants.msg_act_in_kind'))
        cls._leave(aids, 'cancel', 'cancelled')
        cls.write(aids, {
                'cancelled_by': user.id,
                'cancelled_on': Pool().get('ir.date').today(),
                })

    @classmethod
    def _leave(cls, aids, button, state):
        """Journal that the aids leave their state, and the reason.

        Raise ``CompletenessError`` without one for what is past draft.
        """
        for aid in aids:
            if aid.state != 'draft' and not (aid.reason or '').strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_in_kind_reason',
                        aid=aid.rec_name, state=aid.state_label))
        Pool().get('grant.event').add([{
                    'record': a, 'name': button,
                    'before': a.state_label,
                    'after': cls._state_label(state),
                    'reason': a.reason,
                    } for a in aids])
        cls.write([a for a in aids if a.reason], {'reason': None})

    # What counts for whom

    @classmethod
    def values_query(cls):
        """Return the SQL query of what is confirmed, with the columns
        ``company``, ``party``, ``year`` and ``value`` (euros)."""
        aid = cls.__table__()
        year = Pool().get('grant.in_kind.year').__table__()
        return year.join(aid, condition=year.in_kind == aid.id).select(
            aid.company.as_('company'), aid.party.as_('party'),
            year.year.as_('year'), year.value.as_('value'),
            where=aid.state == 'confirmed')

    @classmethod
    def get_aid(cls, parties, years, states=('committed',)):
        """Return what the parties are given in the years: ``Aid`` by ids
        ``(company, party, year)``, nothing where there is none.

        ``states``: of the accounting commitments that count as money.  In
        one query for a thousand parties, whoever asks.
        """
        commitment = Pool().get('grant.commitment').__table__()
        in_kind = cls.values_query()
        zero = Cast(0, 'NUMERIC')
        rows = Union(
            commitment.select(
                commitment.company.as_('company'),
                commitment.party.as_('party'),
                commitment.year.as_('year'),
                commitment.amount.as_('cash'), zero.as_('in_kind'),
                where=commitment.state.in_(list(states))),
            in_kind.select(
                in_kind.company, in_kind.party, in_kind.year,
                zero.as_('cash'), in_kind.value.as_('in_kind')),
            all_=True)
        aids = defaultdict(lambda: Aid(Decimal(0), Decimal(0)))
        if not years:
            return aids
        for sub in grouped_slice(sorted({p.id for p in parties}), SLICE):
            for *key, cash, value in read_sums(rows.select(
                        rows.company, rows.party, rows.year,
                        Round(Sum(rows.cash), 2),
                        Round(Sum(rows.in_kind), 2),
                        where=reduce_ids(rows.party, list(sub))
                        & rows.year.in_(sorted(set(years))),
                        group_by=[rows.company, rows.party, rows.year]),
                    keys=3):
                aids[tuple(key)] = Aid(cash, value)
        return aids


class InKindYear(GuardMixin, ModelSQL, ModelView):
    "What an aid in kind is worth in a calendar year."
    __name__ = 'grant.in_kind.year'
    __string__ = "Aid in Kind of a Year"

    in_kind = fields.Many2One(
        'grant.in_kind', "Aid in Kind", required=True, readonly=True,
        ondelete='CASCADE')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    year = fields.Integer("Year", required=True, readonly=True)
    days = fields.Integer("Days", required=True, readonly=True)
    value = Monetary(
        "Value", currency='currency', digits='currency', required=True,
        readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('in_kind', 'DESC'), ('year', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.append((
                'in_kind_year_unique',
                Unique(table, table.in_kind, table.year),
                'pacte_grants.msg_in_kind_year_unique'))
        cls._sql_indexes.add(Index(table, (table.in_kind, Index.Equality())))

    @fields.depends('in_kind', '_parent_in_kind.currency')
    def on_change_with_currency(self, name=None):
        return self.in_kind.currency if self.in_kind else None

    def get_rec_name(self, name):
        return f'{self.in_kind.rec_name} – {self.year}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('in_kind.rec_name', *clause[1:])]


class Numbering(metaclass=PoolMeta):
    __name__ = 'grant.numbering'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        kind = ('in_kind', "Aid in Kind")
        if kind not in cls.kind.selection:
            cls.kind.selection.append(kind)
        cls._prefixes = {**cls._prefixes, 'in_kind': 'N{year}-'}


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    aid_currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency of the Aid"), 'get_aid_currency')
    granted_this_year = fields.Function(Monetary(
            "Granted This Year", currency='aid_currency',
            digits='aid_currency',
            help="What was voted for the calendar year, reductions "
            "deducted."),
        'get_aid')
    in_kind_this_year = fields.Function(Monetary(
            "Aid in Kind This Year", currency='aid_currency',
            digits='aid_currency',
            help="What the confirmed aid in kind is worth in the calendar "
            "year. It counts with what is granted for the threshold above "
            "which a convention is due (L03)."),
        'get_aid')

    @classmethod
    def get_aid_currency(cls, parties, name):
        company = Transaction().context.get('company')
        currency = None
        if company:
            currency = Pool().get('company.company')(company).currency.id
        return dict.fromkeys([p.id for p in parties], currency)

    @classmethod
    def get_aid(cls, parties, names):
        pool = Pool()
        company = Transaction().context.get('company')
        year = pool.get('ir.date').today().year
        aids = pool.get('grant.in_kind').get_aid(parties, [year])
        figures = {'granted_this_year': 'cash', 'in_kind_this_year': 'in_kind'}
        return {
            name: {
                p.id: getattr(aids[company, p.id, year], figures[name])
                for p in parties}
            for name in names}


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [('grant.in_kind', 'party')]


class PartyErase(metaclass=PoolMeta):
    __name__ = 'party.erase'

    def to_erase(self, party_id):
        InKind = Pool().get('grant.in_kind')
        return super().to_erase(party_id) + [
            (InKind, [('party', '=', party_id)], True,
                ['description', 'reason'], ['****', None]),
            ]
