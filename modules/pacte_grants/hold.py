# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Holds: payments suspended for a partner, a convention or one instalment.

A hold stands in the way of the certification, of the approval and of the
sending alike, and stops the delay of payment (L05) while it lasts.
"""
import datetime as dt
from collections import defaultdict

from sql import Cast, Null
from sql.aggregate import Max, Sum
from sql.conditionals import Case, Coalesce, Greatest, Least
from sql.functions import Function

from trytond import backend
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import (
    Transaction, check_access, without_check_access)
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .convention import LIVE_STATES
from .exceptions import (
    CompletenessError, DutyError, PeriodError, SettingsError)
from .mixin import WorkflowMixin, acting_user, transition
from .schedule import WAITING, _add_days
from .search import search_flag
from .sums import SLICE

HOLD_KINDS = [
    ('report', "Financial report missing or refused"),
    ('audit', "Audit under way"),
    ('breach', "Breach of the convention"),
    ('republican', "Breach of the republican commitment"),
    ('bank', "Doubt about the bank account"),
    ('debt', "Debt to the Department"),
    ('insolvency', "Insolvency or change of legal person"),
    ('other', "Other"),
    ]
TARGETS = ['party', 'convention', 'instalment']
# Who may lift the hold that somebody else placed
_LIFTERS = {'group_manager', 'group_finance'}
# A hold of a partner makes a row for each of their instalments.
_ROWS = 2 ** 26


class _JulianDay(Function):
    __slots__ = ()
    _function = 'JULIANDAY'


def _days_between(start, end):
    "Return the SQL of the number of days from a date to another."
    if backend.name == 'sqlite':
        return Cast(_JulianDay(end) - _JulianDay(start), 'INTEGER')
    return end - start


def has_group(names):
    "Return whether the user is in one of the groups of the names."
    pool = Pool()
    ModelData = pool.get('ir.model.data')
    return bool(set(pool.get('res.user').get_groups()) & {
            ModelData.get_id('pacte_grants', name) for name in names})


class Hold(WorkflowMixin, ModelSQL, ModelView):
    __name__ = 'grant.hold'
    _frozen = {
        'active': frozenset({'lift_reason'}),
        'lifted': frozenset(),
        }

    company = fields.Many2One(
        'company.company', "Company", required=True,
        states={'readonly': Eval('id', -1) > 0})
    party = fields.Many2One(
        'party.party', "Partner", ondelete='RESTRICT',
        context={'company': Eval('company', -1)}, depends={'company'},
        states={
            'readonly': Eval('id', -1) > 0,
            'invisible': Bool(Eval('convention') | Eval('instalment')),
            },
        help="All the payments of the partner are suspended.")
    convention = fields.Many2One(
        'grant.convention', "Convention", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        states={
            'readonly': Eval('id', -1) > 0,
            'invisible': Bool(Eval('party') | Eval('instalment')),
            },
        help="All the payments of the convention are suspended.")
    instalment = fields.Many2One(
        'grant.instalment', "Instalment", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        states={
            'readonly': Eval('id', -1) > 0,
            'invisible': Bool(Eval('party') | Eval('convention')),
            },
        help="Only this payment is suspended.")
    beneficiary = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'get_beneficiary', searcher='search_beneficiary')
    scope = fields.Function(
        fields.Char("What Is Suspended"), 'get_scope')
    kind = fields.Selection(
        HOLD_KINDS, "Reason", required=True, sort=False,
        states={'readonly': Eval('id', -1) > 0})
    kind_string = kind.translated('kind')
    reason = fields.Text(
        "Explanation",
        states={
            'readonly': Eval('id', -1) > 0,
            'required': Eval('kind') == 'other',
            })
    placed_by = fields.Many2One(
        'res.user', "Placed By", required=True, readonly=True,
        ondelete='RESTRICT')
    placed_on = fields.Date("Placed On", required=True, readonly=True)
    expires_on = fields.Date(
        "Until",
        states={'readonly': Eval('id', -1) > 0},
        help="The last day of the hold; empty until somebody lifts it.")
    effective = fields.Function(
        fields.Boolean(
            "Effective", help="Neither lifted nor over."),
        'get_effective', searcher='search_effective')
    lifted_by = fields.Many2One(
        'res.user', "Lifted By", readonly=True, ondelete='RESTRICT',
        states={'invisible': Eval('state') != 'lifted'})
    lifted_on = fields.Date(
        "Lifted On", readonly=True,
        states={'invisible': Eval('state') != 'lifted'})
    lift_reason = fields.Text(
        "Reason of the Lifting",
        states={'readonly': Eval('state') != 'active'})
    state = fields.Selection([
            ('active', "Active"),
            ('lifted', "Lifted"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('placed_on', 'DESC'), ('id', 'DESC')]
        cls._sql_indexes.update(
            Index(table, (column, Index.Equality()), where=column != Null)
            for column in [table.party, table.convention, table.instalment])
        cls._sql_indexes.add(
            Index(table, (table.state, Index.Equality(cardinality='low')),
                where=table.state == 'active'))
        cls._transitions = {('active', 'lifted')}
        cls._buttons.update({
                'lift': {
                    'invisible': Eval('state') != 'active',
                    'depends': ['state'],
                    },
                'ask_lift': {
                    'invisible': Eval('state') != 'active',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @classmethod
    def default_state(cls):
        return 'active'

    @classmethod
    def get_beneficiary(cls, holds, name):
        parties = {}
        for hold in holds:
            target = hold.target
            if target is None or target.__name__ == 'party.party':
                parties[hold.id] = target.id if target else None
            else:
                parties[hold.id] = target.party.id
        return parties

    @classmethod
    def search_beneficiary(cls, name, clause):
        nested = clause[0].removeprefix(name)
        return ['OR',
            (f'party{nested}', *clause[1:]),
            (f'convention.party{nested}', *clause[1:]),
            (f'instalment.convention.party{nested}', *clause[1:]),
            ]

    @property
    def target(self):
        "What is suspended: the partner, the convention or the instalment."
        return self.party or self.convention or self.instalment

    @classmethod
    def get_scope(cls, holds, name):
        names = {}
        for hold in holds:
            target = hold.target
            names[hold.id] = target and gettext(
                f'pacte_grants.msg_hold_scope_{cls._target_name(hold)}',
                target=target.rec_name)
        return names

    @staticmethod
    def _target_name(hold):
        return next(name for name in TARGETS if getattr(hold, name))

    @classmethod
    def get_effective(cls, holds, name):
        today = Pool().get('ir.date').today()
        return {
            h.id: h.state == 'active'
            and (not h.expires_on or h.expires_on >= today)
            for h in holds}

    @classmethod
    def search_effective(cls, name, clause):
        today = Pool().get('ir.date').today()
        return search_flag(
            clause,
            [
                ('state', '=', 'active'),
                ['OR',
                    ('expires_on', '=', None), ('expires_on', '>=', today)],
                ],
            ['OR', ('state', '!=', 'active'), ('expires_on', '<', today)])

    def get_rec_name(self, name):
        return f'{self.scope} – {self.kind_string}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('beneficiary.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('effective', False), 'warning', 'muted'),
                ['effective']),
            ]

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create':
            user = acting_user(gettext('pacte_grants.msg_act_hold'))
            values['placed_by'] = user.id
            values['placed_on'] = Pool().get('ir.date').today()
        return values

    @classmethod
    def check_modification(cls, mode, holds, values=None, external=False):
        super().check_modification(
            mode, holds, values=values, external=external)
        if mode == 'delete':
            for hold in holds:
                raise AccessError(gettext(
                        'pacte_grants.msg_hold_delete', hold=hold.rec_name))

    @classmethod
    def on_modification(cls, mode, holds, field_names=None):
        super().on_modification(mode, holds, field_names=field_names)
        if mode == 'create':
            Pool().get('grant.event').add([{
                        'record': h.target, 'name': 'place_hold',
                        'after': h.describe(), 'reason': h.reason,
                        } for h in holds])

    @classmethod
    def validate_fields(cls, holds, field_names):
        super().validate_fields(holds, field_names)
        if field_names is None or field_names & {*TARGETS, 'company'}:
            cls._check_targets(holds)
        if field_names is None or field_names & {'expires_on', 'placed_on'}:
            for hold in holds:
                if hold.expires_on and hold.expires_on < hold.placed_on:
                    raise PeriodError(gettext(
                            'pacte_grants.msg_hold_expires',
                            hold=hold.rec_name,
                            date=hold.expires_on.strftime('%d/%m/%Y')))
        if field_names is None or field_names & {'kind', 'reason'}:
            for hold in holds:
                if hold.kind == 'other' and not (hold.reason or '').strip():
                    raise CompletenessError(gettext(
                            'pacte_grants.msg_hold_reason',
                            scope=hold.scope))

    @classmethod
    def _check_targets(cls, holds):
        for hold in holds:
            targets = [t for name in TARGETS if (t := getattr(hold, name))]
            if len(targets) != 1:
                raise SettingsError(gettext(
                        'pacte_grants.msg_hold_target'))
            target, = targets
            if (target.__name__ != 'party.party'
                    and target.company != hold.company):
                raise SettingsError(gettext(
                        'pacte_grants.msg_hold_company',
                        target=target.rec_name,
                        company=hold.company.rec_name))

    @classmethod
    def copy(cls, holds, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('lift_reason', None)
        return super().copy(holds, default=default)

    @classmethod
    def place(cls, records, kind, reason=None, expires_on=None):
        """Suspend the payments of the records: partners, conventions or
        instalments.

        ``expires_on`` is the last day, none by default.  Return the holds.
        """
        field = {
            'party.party': 'party',
            'grant.convention': 'convention',
            'grant.instalment': 'instalment',
            }
        return cls.create([{
                    'company': (
                        cls.default_company()
                        if r.__name__ == 'party.party' else r.company.id),
                    field[r.__name__]: r.id,
                    'kind': kind,
                    'reason': reason,
                    'expires_on': expires_on,
                    } for r in records])

    @classmethod
    @ModelView.button
    @transition('lifted')
    def lift(cls, holds):
        """End the holds.

        Raise ``DutyError`` for a user who neither placed the hold nor is a
        head of service or of finance, ``CompletenessError`` without a
        reason.
        """
        user = acting_user(gettext('pacte_grants.msg_act_hold_lift'))
        if not has_group(_LIFTERS):
            for hold in holds:
                if hold.placed_by != user:
                    raise DutyError(gettext(
                            'pacte_grants.msg_hold_lifter',
                            hold=hold.rec_name,
                            user=hold.placed_by.rec_name))
        for hold in holds:
            if not (hold.lift_reason or '').strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_hold_lift_reason',
                        hold=hold.rec_name))
        cls.write(holds, {
                'lifted_by': user.id,
                'lifted_on': Pool().get('ir.date').today(),
                })
        Pool().get('grant.event').add([{
                    'record': h.target, 'name': 'lift_holds',
                    'before': h.describe(), 'reason': h.lift_reason,
                    } for h in holds])

    @classmethod
    @ModelView.button_action('pacte_grants.wizard_hold_lift')
    def ask_lift(cls, holds):
        "Ask why the holds are lifted."

    def describe(self):
        "Say in a few words why and until when, for the journal and lists."
        if self.expires_on:
            return gettext('pacte_grants.msg_hold_until',
                kind=self.kind_string,
                date=self.expires_on.strftime('%d/%m/%Y'))
        return self.kind_string

    def describe_hold(self):
        "Say that payments are suspended, why and until when."
        return gettext(
            'pacte_grants.msg_pay_hold', hold=self.describe())

    # What the holds suspend

    @classmethod
    @without_check_access
    def get_effective_on(cls, name, records):
        """Return, by the id of each record, the effective holds of the
        user's company whose field of the name is the record."""
        found = {r.id: [] for r in records}
        company = Transaction().context.get('company')
        for sub in grouped_slice(records, SLICE):
            domain = [
                (name, 'in', [r.id for r in sub]),
                ('effective', '=', True),
                ]
            if company and name == 'party':
                domain.append(('company', '=', company))
            for hold in cls.search(domain):
                found[getattr(hold, name).id].append(hold)
        return found

    @classmethod
    @without_check_access
    def get_applying(cls, instalments, effective=False):
        """Return, by the id of each instalment, the holds that concern it:
        its own, those of its convention and those of its partner.

        ``effective``: leave out what was lifted or is over.  The number of
        queries does not depend on that of instalments.
        """
        found = {}
        for sub in grouped_slice(instalments, SLICE):
            sub = list(sub)
            domain = ['OR',
                ('instalment', 'in', [i.id for i in sub]),
                ('convention', 'in', list({i.convention.id for i in sub})),
                ('party', 'in', list({i.party.id for i in sub})),
                ]
            if effective:
                domain = [domain, ('effective', '=', True)]
            for hold in cls.search(
                    domain, order=[('placed_on', 'ASC'), ('id', 'ASC')]):
                found[hold.id] = hold
        by_target = defaultdict(list)
        for hold in found.values():
            target = hold.target
            by_target[target.__name__, target.id].append(hold)
        return {
            i.id: sorted((
                    h for key in [
                        ('party.party', i.party.id),
                        ('grant.convention', i.convention.id),
                        ('grant.instalment', i.id)]
                    for h in by_target[key] if h.company == i.company),
                key=lambda h: (h.placed_on, h.id))
            for i in instalments}

    def get_end(self, today):
        "Return the first day on which the hold no longer counts."
        end = self.lifted_on or today
        if self.expires_on:
            end = min(end, self.expires_on + dt.timedelta(days=1))
        return end

    @classmethod
    def get_days(cls, instalments, starts):
        """Return, by the id of each instalment, the days for which holds
        suspended its delay of payment (L05).

        ``starts`` are the dates since which they are payable, by id; days
        on which several holds stood count once, days after the payment do
        not count.
        """
        today = Pool().get('ir.date').today()
        holds = cls.get_applying([i for i in instalments if starts[i.id]])
        days = dict.fromkeys([i.id for i in instalments], 0)
        for instalment in instalments:
            reached = starts[instalment.id]
            for hold in holds.get(instalment.id, []):
                end = hold.get_end(today)
                if instalment.paid_on:
                    end = min(end, instalment.paid_on)
                start = max(reached, hold.placed_on)
                if end > start:
                    days[instalment.id] += (end - start).days
                    reached = end
        return days

    @classmethod
    def _applies(cls, hold, instalment):
        "Return the SQL that the hold concerns the instalment."
        convention = Pool().get('grant.convention').__table__()
        return (
            (hold.instalment == instalment.id)
            | (hold.convention == instalment.convention)
            | hold.party.in_(convention.select(convention.party,
                    where=(convention.id == instalment.convention)
                    & (convention.company == hold.company))))

    @classmethod
    def days_query(cls, instalment, since):
        """Return the SQL of what ``get_days`` returns.

        ``instalment`` is the table, ``since`` the SQL of the date since
        which it is payable.
        """
        today = Pool().get('ir.date').today()
        hold, other = cls.__table__(), cls.__table__()

        def end(table):
            return Least(
                Coalesce(table.lifted_on, today),
                Coalesce(_add_days(table.expires_on, 1), today),
                Coalesce(instalment.paid_on, today))
        # What earlier holds cover already
        covered = other.select(
            Max(end(other)),
            where=cls._applies(other, instalment)
            & ((other.placed_on < hold.placed_on)
                | ((other.placed_on == hold.placed_on)
                    & (other.id < hold.id))))
        start = Greatest(hold.placed_on, since, covered)
        days = hold.select(
            Cast(Sum(Case(
                        (end(hold) > start, _days_between(start, end(hold))),
                        else_=0)), 'INTEGER'),
            where=cls._applies(hold, instalment))
        return Coalesce(days, 0)

    @classmethod
    def suspended_query(cls, *names):
        """Return the query of the ids of what effective holds suspend.

        ``names`` are among the fields of the targets; one query each.
        """
        company = Transaction().context.get('company')
        domain = [('effective', '=', True)]
        if company:
            domain.append(('company', '=', company))
        with without_check_access():
            holds = cls.search(domain, order=[], query=True)
        table = cls.__table__()
        return [
            table.select(getattr(table, name),
                where=table.id.in_(holds) & (getattr(table, name) != Null))
            for name in names]


class Blocker(metaclass=PoolMeta):
    __name__ = 'grant.instalment.blocker'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        holder = ('holder', "Who Placed It, Head of Service or Finance")
        if holder not in cls.lifted_by.selection:
            cls.lifted_by.selection.append(holder)

    @classmethod
    def get_origins(cls):
        name = 'grant.hold'
        return super().get_origins() + [
            (name, Pool().get('ir.model').get_name(name))]

    @classmethod
    def get_description(cls, blockers, name):
        Hold = Pool().get('grant.hold')
        descriptions = super().get_description(blockers, name)
        ids = {
            row['id']: int(row['origin'].split(',')[1])
            for row in cls.read(
                [b.id for b in blockers if b.code == 'hold'], ['origin'])}
        with without_check_access():
            holds = {
                h.id: h.describe()
                for h in Hold.browse(list(set(ids.values())))}
        for blocker in blockers:
            if blocker.id in ids:
                descriptions[blocker.id] = (
                    f'{blocker.code_string} : {holds[ids[blocker.id]]} '
                    f'({blocker.lifted_by_string})')
        return descriptions

    @classmethod
    def _rules(cls):
        return super()._rules() + [('hold', 'holder', cls._hold)]

    @classmethod
    def _hold(cls):
        base = cls._base()
        today = Pool().get('ir.date').today()
        convention = base.convention
        hold = Pool().get('grant.hold').__table__()
        join = base.join.join(hold,
            condition=(hold.instalment == base.instalment.id)
            | (hold.convention == convention.id)
            | ((hold.party == convention.party)
                & (hold.company == convention.company)))
        return cls._select(
            base._replace(join=join),
            (hold.state == 'active')
            & ((hold.expires_on == Null) | (hold.expires_on >= today)),
            since=hold.placed_on,
            origin=cls._origin('grant.hold', hold.id),
            id=Cast(hold.id, 'BIGINT') * _ROWS + base.instalment.id)


class _SuspendedMixin:
    "A record whose payments may be suspended."
    __slots__ = ()

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'place_hold': {},
                'lift_holds': {
                    'invisible': ~Eval('suspended', False),
                    'depends': ['suspended'],
                    },
                })

    @classmethod
    @without_check_access
    def get_suspended(cls, records, name):
        found = set()
        for sub in grouped_slice(records, SLICE):
            found |= {r.id for r in cls.search([
                        ('id', 'in', [r.id for r in sub]),
                        cls.search_suspended(name, (name, '=', True)),
                        ], order=[])}
        return {r.id: r.id in found for r in records}

    @classmethod
    @ModelView.button_action('pacte_grants.wizard_hold_place')
    def place_hold(cls, records):
        "Ask why the payments are suspended."

    @classmethod
    @ModelView.button_action('pacte_grants.wizard_hold_lift')
    def lift_holds(cls, records):
        "Ask why the holds are lifted."


class Instalment(_SuspendedMixin, metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    suspended = fields.Function(
        fields.Boolean(
            "Suspended",
            help="A hold on it, its convention or its partner is "
            "effective."),
        'get_suspended', searcher='search_suspended')
    suspended_since = fields.Function(
        fields.Date(
            "Suspended Since", help="The day of the first effective hold."),
        'get_suspended_since')
    holds = fields.Function(
        fields.Many2Many('grant.hold', None, None, "Holds"), 'get_holds')
    can_pay = fields.Function(fields.Char(
            "May It Be Paid?",
            help="What is missing before it is paid and who can lift it."),
        'get_can_pay')
    held_days = fields.Function(fields.Integer(
            "Days Suspended",
            help="The days that holds added to the delay of payment."),
        'get_due_since')

    @classmethod
    def search_suspended(cls, name, clause):
        own, convention, party = Pool().get('grant.hold').suspended_query(
            'instalment', 'convention', 'party')
        return search_flag(
            clause,
            ['OR',
                ('id', 'in', own),
                ('convention', 'in', convention),
                ('convention.party', 'in', party)],
            [
                ('id', 'not in', own),
                ('convention', 'not in', convention),
                ('convention.party', 'not in', party)])

    @classmethod
    def get_suspended_since(cls, instalments, name):
        holds = Pool().get('grant.hold').get_applying(
            instalments, effective=True)
        return {
            i.id: min((h.placed_on for h in holds[i.id]), default=None)
            for i in instalments}

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="suspended_since"]', 'visual', 'warning'),
            ]

    @classmethod
    def get_holds(cls, instalments, name):
        holds = Pool().get('grant.hold').get_applying(instalments)
        return {
            i.id: [h.id for h in reversed(holds[i.id])]
            for i in instalments}

    @classmethod
    def get_can_pay(cls, instalments, name):
        Blocker = Pool().get('grant.instalment.blocker')
        found = cls._find_blockers(instalments)
        descriptions = Blocker.get_description(
            [b for blockers in found.values() for b in blockers],
            'description')
        answers = {}
        for instalment in instalments:
            reasons = [descriptions[b.id] for b in found[instalment.id]]
            if instalment.state not in WAITING:
                reasons = [gettext(
                        'pacte_grants.msg_pay_instalment_state',
                        state=instalment.state_label)]
            answers[instalment.id] = _answer(reasons)
        return answers

    @classmethod
    def get_due_since(cls, instalments, names):
        Hold = Pool().get('grant.hold')
        own = {'pay_before', 'days_left', 'held_days'} & set(names)
        wanted = set(names) - {'held_days'}
        if not own:
            return super().get_due_since(instalments, names)
        result = super().get_due_since(
            instalments, sorted(wanted | {'due_since'}))
        days = Hold.get_days(instalments, result['due_since'])
        if 'held_days' in own:
            result['held_days'] = days
        if 'pay_before' in own:
            for id_, date in result['pay_before'].items():
                if date:
                    result['pay_before'][id_] = (
                        date + dt.timedelta(days=days[id_]))
        if 'days_left' in own:
            for id_, left in result['days_left'].items():
                if left is not None:
                    result['days_left'][id_] = left + days[id_]
        return {name: result[name] for name in names}

    @classmethod
    def _pay_before(cls, instalment, tranche):
        Hold = Pool().get('grant.hold')
        return _add_days(
            super()._pay_before(instalment, tranche),
            Hold.days_query(
                instalment, cls._due_since(instalment, tranche)))

    @classmethod
    def _get_turn(cls, instalment, blockers):
        turn = super()._get_turn(instalment, blockers)
        # Who placed it may lift it; the head of service answers for it.
        return 'manager' if turn == 'holder' else turn


class Convention(_SuspendedMixin, metaclass=PoolMeta):
    __name__ = 'grant.convention'

    suspended = fields.Function(
        fields.Boolean(
            "Payments Suspended",
            help="A hold on the convention or its partner is effective."),
        'get_suspended', searcher='search_suspended')
    can_pay = fields.Function(
        fields.Char("May It Be Paid?"), 'get_can_pay')
    holds = fields.Function(
        fields.Many2Many(
            'grant.hold', None, None, "Holds",
            help="On the convention, its partner or one of its payments."),
        'get_holds')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="party"]', 'visual',
                If(Eval('suspended', False), 'warning', ''), ['suspended']),
            ]

    @classmethod
    def search_suspended(cls, name, clause):
        convention, party = Pool().get('grant.hold').suspended_query(
            'convention', 'party')
        return search_flag(
            clause,
            ['OR', ('id', 'in', convention), ('party', 'in', party)],
            [('id', 'not in', convention), ('party', 'not in', party)])

    @classmethod
    @without_check_access
    def get_holds(cls, conventions, name):
        Hold = Pool().get('grant.hold')
        holds = {c.id: [] for c in conventions}
        for sub in grouped_slice(conventions, SLICE):
            by_party = defaultdict(list)
            for convention in sub:
                by_party[convention.party, convention.company].append(
                    convention.id)
            ids = [id_ for same in by_party.values() for id_ in same]
            for hold in Hold.search(['OR',
                        ('convention', 'in', ids),
                        ('instalment.convention', 'in', ids),
                        ('party', 'in', [p.id for p, _ in by_party]),
                        ]):
                if hold.party:
                    concerned = by_party[hold.party, hold.company]
                elif hold.convention:
                    concerned = [hold.convention.id]
                else:
                    concerned = [hold.instalment.convention.id]
                for id_ in concerned:
                    holds[id_].append(hold.id)
        return holds

    @classmethod
    def get_can_pay(cls, conventions, name):
        pool = Pool()
        Party = pool.get('party.party')
        Hold = pool.get('grant.hold')
        obstacles = Party.get_payment_obstacles(
            list({c.party for c in conventions}))
        own = Hold.get_effective_on('convention', conventions)
        schedules = cls._get_schedules(conventions)
        answers = {}
        for convention in conventions:
            reasons = []
            if convention.state not in LIVE_STATES:
                reasons.append(gettext(
                        'pacte_grants.msg_pay_convention_state',
                        state=convention.state_label))
            reasons += [h.describe_hold() for h in own[convention.id]]
            reasons += obstacles[convention.party.id]
            answers[convention.id] = (
                _answer(reasons) if reasons
                else _answer_schedule(schedules[convention.id]))
        return answers

    @classmethod
    @without_check_access
    def _get_schedules(cls, conventions):
        """Return, by the id of each convention, its instalments that wait
        with what blocks each of them, in words."""
        Instalment = Pool().get('grant.instalment')
        schedules = defaultdict(list)
        for sub in grouped_slice(conventions, SLICE):
            instalments = Instalment.search([
                    ('convention', 'in', [c.id for c in sub]),
                    ('state', 'in', WAITING)])
            found = Instalment._find_blockers(instalments)
            for instalment in instalments:
                schedules[instalment.convention.id].append((
                        instalment, list(dict.fromkeys(
                                b.code_string
                                for b in found[instalment.id]))))
        return schedules


def _answer(reasons):
    if not reasons:
        return gettext('pacte_grants.msg_pay_yes')
    return gettext('pacte_grants.msg_pay_no', reasons=' ; '.join(reasons))


def _answer_schedule(schedule):
    "Return whether the instalments, each with what blocks it, may be paid."
    if not schedule:
        return _answer([gettext('pacte_grants.msg_pay_nothing')])
    blocked = [
        f"{i.kind_string} {i.tranche.year} ({', '.join(reasons)})"
        for i, reasons in schedule if reasons]
    if len(blocked) in {0, len(schedule)}:
        return _answer(blocked)
    free = [
        f'{i.kind_string} {i.tranche.year}'
        for i, reasons in schedule if not reasons]
    return gettext(
        'pacte_grants.msg_pay_partly',
        free=', '.join(free), blocked=' ; '.join(blocked))


class Party(_SuspendedMixin, metaclass=PoolMeta):
    __name__ = 'party.party'

    suspended = fields.Function(
        fields.Boolean(
            "Payments Suspended",
            help="A hold on the partner is effective."),
        'get_suspended', searcher='search_suspended')
    suspended_icon = fields.Function(
        fields.Char("Icon"), 'on_change_with_suspended_icon')
    can_pay = fields.Function(
        fields.Char(
            "May It Be Paid?",
            states={'invisible': ~Eval('partner_kind')}),
        'get_can_pay')
    holds = fields.Function(
        fields.Many2Many(
            'grant.hold', None, None, "Holds",
            help="On the partner, its conventions and their payments."),
        'get_holds')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('suspended', False), 'warning', ''), ['suspended']),
            ]

    @fields.depends('suspended')
    def on_change_with_suspended_icon(self, name=None):
        return 'tryton-warning' if self.suspended else None

    @classmethod
    def search_suspended(cls, name, clause):
        query, = Pool().get('grant.hold').suspended_query('party')
        return search_flag(
            clause, [('id', 'in', query)], [('id', 'not in', query)])

    @classmethod
    def get_holds(cls, parties, name):
        holds = {p.id: [] for p in parties}
        for sub in grouped_slice(parties, SLICE):
            for hold in Pool().get('grant.hold').search([
                        ('beneficiary', 'in', [p.id for p in sub])]):
                holds[hold.beneficiary.id].append(hold.id)
        return holds

    @classmethod
    def get_can_pay(cls, parties, name):
        obstacles = cls.get_payment_obstacles(parties)
        return {p.id: _answer(obstacles[p.id]) for p in parties}

    @classmethod
    @without_check_access
    def get_payment_obstacles(cls, parties):
        """Return, by the id of each party, why nothing may be paid to it, in
        sentences; the number of queries does not depend on that of
        parties."""
        Hold = Pool().get('grant.hold')
        accounts = cls.get_payable_accounts(parties)
        holds = Hold.get_effective_on('party', parties)
        obstacles = {}
        for party in parties:
            reasons = [h.describe_hold() for h in holds[party.id]]
            if not accounts[party]:
                reasons.append(gettext('pacte_grants.msg_pay_bank_account'))
            if (party.partner_kind == 'association'
                    and not party.republican_commitment_on):
                reasons.append(gettext(
                        'pacte_grants.msg_pay_republican_commitment'))
            obstacles[party.id] = reasons
        return obstacles


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [('grant.hold', 'party')]


class PartyErase(metaclass=PoolMeta):
    __name__ = 'party.erase'

    def to_erase(self, party_id):
        Hold = Pool().get('grant.hold')
        return super().to_erase(party_id) + [
            (Hold, [('beneficiary', '=', party_id)], True,
                ['reason', 'lift_reason'], ['****', '****']),
            ]


class PlaceStart(ModelView):
    __name__ = 'grant.hold.place.start'

    scope = fields.Text("What Is Suspended", readonly=True)
    kind = fields.Selection(HOLD_KINDS, "Reason", required=True, sort=False)
    reason = fields.Text(
        "Explanation", states={'required': Eval('kind') == 'other'})
    expires_on = fields.Date(
        "Until", help="The last day of the hold; empty until somebody lifts "
        "it.")


class Place(Wizard):
    "Suspend the payments of partners, conventions or instalments."
    __name__ = 'grant.hold.place'

    start = StateView(
        'grant.hold.place.start',
        'pacte_grants.hold_place_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Suspend", 'place', 'tryton-ok', default=True),
            ])
    place = StateTransition()

    def default_start(self, names):
        return {'scope': '\n'.join(r.rec_name for r in self.records)}

    def transition_place(self):
        Hold = Pool().get('grant.hold')
        with check_access():
            # Pressed as the button is: groups and rules of the records
            self.model.place_hold(self.records)
            Hold.place(
                self.model.browse([r.id for r in self.records]),
                self.start.kind, self.start.reason, self.start.expires_on)
        return 'end'

    def end(self):
        return 'reload'


class LiftStart(ModelView):
    __name__ = 'grant.hold.lift.start'

    offered = fields.Many2Many('grant.hold', None, None, "Effective Holds")
    holds = fields.Many2Many(
        'grant.hold', None, None, "Holds", required=True,
        domain=[('id', 'in', Eval('offered', []))])
    reason = fields.Text("Reason of the Lifting", required=True)


class Lift(Wizard):
    "Lift holds: those chosen, or those of what is chosen."
    __name__ = 'grant.hold.lift'

    start = StateView(
        'grant.hold.lift.start',
        'pacte_grants.hold_lift_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Lift", 'lift', 'tryton-ok', default=True),
            ])
    lift = StateTransition()

    def default_start(self, names):
        Hold = Pool().get('grant.hold')
        if self.model == Hold:
            holds = [h for h in self.records if h.state == 'active']
            own = holds
        else:
            holds = [h for r in self.records for h in r.holds if h.effective]
            # What suspends others too is lifted on purpose only.
            own = [h for h in holds if h.target in self.records]
        if not holds:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_hold_none',
                    record=', '.join(r.rec_name for r in self.records)))
        return {
            'offered': list({h.id for h in holds}),
            'holds': list({h.id for h in own}),
            }

    def transition_lift(self):
        Hold = Pool().get('grant.hold')
        with check_access():
            holds = Hold.browse([h.id for h in self.start.holds])
            Hold.write(holds, {'lift_reason': self.start.reason})
            Hold.lift(Hold.browse(holds))
        return 'end'

    def end(self):
        return 'reload'
