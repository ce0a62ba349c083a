# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Schedule of payments and what stands in the way of each instalment."
import datetime as dt
from collections import defaultdict, namedtuple
from decimal import Decimal

from dateutil.relativedelta import relativedelta
from sql import Cast, Literal, Null, Union
from sql.aggregate import Max, Sum
from sql.conditionals import Case, Coalesce, Greatest
from sql.functions import Function, Round
from sql.operators import Add, Concat, Exists

from trytond import backend
from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, fields, sequence_ordered)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import without_check_access

from .check import AmountMixin, bulleted, money
from .condition import FULFILLED
from .convention import LIVE_STATES, OPEN_STATES, AgreedChildMixin
from .exceptions import CeilingError, CompletenessError, FrozenError
from .mixin import (
    FrozenByMixin, OfConventionMixin, WorkflowMixin, thaw, transition)
from .party import PUBLIC_KINDS
from .scheme import INSTALMENT_KINDS
from .search import search_flag
from .sums import SLICE, read_sums, split_anew, split_rest
from .trigger import EVENTS, TriggerMixin

LIVE = ['planned', 'certified', 'approved', 'paying', 'paid']
# What may be blocked
WAITING = ['planned', 'certified', 'approved']

_Base = namedtuple(
    '_Base', ['instalment', 'convention', 'tranche', 'join', 'waiting'])


class _Date(Function):
    __slots__ = ()
    _function = 'DATE'


def _add_days(date, days):
    "Return the SQL of a date and a number of days after it."
    if backend.name == 'sqlite':
        return _Date(date, Concat(Cast(days, 'VARCHAR'), ' days'))
    return date + days


class Instalment(
        OfConventionMixin, TriggerMixin, AmountMixin, AgreedChildMixin,
        WorkflowMixin, FrozenByMixin, sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'grant.instalment'
    _agreed_with = [
        'convention', 'tranche', 'kind', 'amount', 'fixed_amount', 'trigger',
        'delay', 'date', 'trigger_share', 'trigger_condition',
        'trigger_indicator']
    _amounts = ('amount',)
    _frozen_by = 'convention'
    _parent_states = OPEN_STATES
    _free_fields = frozenset({'cancel_reason'})
    _frozen = {
        'certified': frozenset(),
        'approved': frozenset(),
        'paying': frozenset(),
        'paid': frozenset(),
        'cancelled': frozenset(),
        }

    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_convention_field')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='CASCADE')
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_convention_field')
    officer = fields.Function(fields.Many2One(
            'company.employee', "Officer"),
        'on_change_with_officer', searcher='search_convention_field')
    tranche = fields.Many2One(
        'grant.tranche', "Tranche", required=True, ondelete='CASCADE',
        domain=[('convention', '=', Eval('convention', -1))])
    kind = fields.Selection(
        INSTALMENT_KINDS, "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True)
    fixed_amount = fields.Boolean(
        "Fixed Amount",
        help="Stays the same when the amount of the year changes; the other "
        "instalments share the rest.")
    conditions = fields.Many2Many(
        'grant.condition-grant.instalment', 'instalment', 'condition',
        "Partner's Undertakings", readonly=True,
        help="What holds the instalment back until it is met or waived.")
    blockers = fields.One2Many(
        'grant.instalment.blocker', 'instalment', "Blockers", readonly=True)
    blocker_text = fields.Function(
        fields.Text("What Is Missing"), 'get_blockers')
    blocker_count = fields.Function(
        fields.Integer("Blockers"), 'get_blockers')
    ready = fields.Function(
        fields.Boolean("Ready"), 'get_blockers', searcher='search_ready')
    whose_turn = fields.Function(fields.Selection([
                (None, ""),
                ('officer', "Officer"),
                ('partner', "Partner"),
                ('assembly', "Assembly Service"),
                ('finance', "Finance"),
                ('manager', "Head of Service"),
                ('payer', "Payer"),
                ('nobody', "Nobody"),
                ], "Whose Turn", sort=False), 'get_blockers')
    executory_on = fields.Function(
        fields.Date("Act Executory On"), 'get_convention_date')
    frozen_on = fields.Function(
        fields.Date("Voted On"), 'get_convention_date',
        searcher='search_convention_field')
    signed_partner_on = fields.Function(
        fields.Date("Signed by the Partner"), 'get_convention_date',
        searcher='search_convention_field')
    signed_department_on = fields.Function(
        fields.Date("Signed by the Department"), 'get_convention_date',
        searcher='search_convention_field')
    notified_on = fields.Function(
        fields.Date("Notified On"), 'get_convention_date',
        searcher='search_date')
    due_since = fields.Function(
        fields.Date("Payable Since"),
        'get_due_since', searcher='search_date')
    pay_before = fields.Function(fields.Date(
            "To Be Paid Before",
            help="The end of the delay of payment (L05)."),
        'get_due_since', searcher='search_date')
    days_left = fields.Function(fields.Integer(
            "Days Left", help="Until the end of the delay of payment."),
        'get_due_since')
    cancel_reason = fields.Text(
        "Reason of the Cancellation",
        states={'readonly': Eval('state') != 'planned'})
    state = fields.Selection([
            ('planned', "Planned"),
            ('certified', "Certified"),
            ('approved', "Approved by Finance"),
            ('paying', "Sent for Payment"),
            ('paid', "Paid"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [
            ('convention', 'DESC'), ('tranche.year', 'ASC'),
            ('sequence', 'ASC NULLS FIRST'), ('id', 'ASC')]
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table, (table.tranche, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                })
        cls._transitions = {
            ('planned', 'certified'),
            ('certified', 'planned'),
            ('certified', 'approved'),
            ('approved', 'certified'),
            ('approved', 'paying'),
            ('paying', 'certified'),
            ('paying', 'paid'),
            ('paid', 'certified'),
            ('planned', 'cancelled'),
            }
        cls._buttons.update({
                'cancel': {
                    'invisible': Eval('state') != 'planned',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'planned'

    @classmethod
    def default_fixed_amount(cls):
        return False

    @classmethod
    def content_names(cls):
        # How a later change is shared out is not what the text says.
        return [n for n in super().content_names() if n != 'fixed_amount']

    def get_rec_name(self, name):
        return (
            f'{self.convention.number} – {self.kind_string} '
            f'{self.tranche.year}')

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('convention.rec_name', *clause[1:])]

    @classmethod
    def _find_blockers(cls, instalments):
        "Return by id what stands in the way of each, in order."
        found = defaultdict(list)
        for blocker in Pool().get('grant.instalment.blocker').search([
                    ('instalment', 'in', [i.id for i in instalments])]):
            found[blocker.instalment.id].append(blocker)
        return found

    @classmethod
    def get_blockers(cls, instalments, names):
        Blocker = Pool().get('grant.instalment.blocker')
        found = cls._find_blockers(instalments)
        descriptions = {}
        if 'blocker_text' in names:
            descriptions = Blocker.get_description(
                [b for blockers in found.values() for b in blockers],
                'description')
        result = {name: {} for name in names}
        for instalment in instalments:
            blockers = found[instalment.id]
            values = {
                'blocker_text': bulleted(
                    descriptions[b.id] for b in blockers
                    if b.id in descriptions),
                'blocker_count': len(blockers),
                'ready': (
                    not blockers
                    and instalment.state in ['planned', 'certified']),
                'whose_turn': cls._get_turn(instalment, blockers),
                }
            for name in names:
                result[name][instalment.id] = values[name]
        return result

    @classmethod
    def _get_turn(cls, instalment, blockers):
        if blockers:
            return blockers[0].lifted_by
        return {
            'planned': 'officer',
            'certified': 'finance',
            'approved': 'finance',
            'paying': 'payer',
            }.get(instalment.state)

    @classmethod
    def get_convention_date(cls, instalments, names):
        return {
            name: {
                i.id: (
                    i._compute_notified_on() if name == 'notified_on'
                    else getattr(i.convention, name))
                for i in instalments}
            for name in names}

    @classmethod
    def search_ready(cls, name, clause):
        states = ['planned', 'certified']
        return search_flag(
            clause,
            [('blockers', '=', None), ('state', 'in', states)],
            ['OR', ('blockers', '!=', None), ('state', 'not in', states)])

    @classmethod
    def get_due_since(cls, instalments, names):
        Parameter = Pool().get('grant.parameter')
        today = Pool().get('ir.date').today()
        delay = dt.timedelta(days=int(Parameter.get('L05_PAYMENT_DELAY')))
        result = {name: {} for name in names}
        for instalment in instalments:
            due_since = instalment._compute_due_since()
            pay_before = due_since + delay if due_since else None
            values = {
                'due_since': due_since,
                'pay_before': pay_before,
                'days_left': (
                    (pay_before - today).days
                    if pay_before and instalment.state != 'paid' else None),
                }
            for name in names:
                result[name][instalment.id] = values[name]
        return result

    def _compute_notified_on(self):
        "Return the day on which the partner was told of the vote."
        return self.tranche.notified_on

    @classmethod
    def _notified_on(cls, instalment, tranche):
        "Return the SQL of what ``_compute_notified_on`` returns."
        return tranche.notified_on

    def _compute_settled_on(self):
        """Return the day since when the amount to pay is known: the delay of
        payment does not start before (L05)."""
        return self._compute_notified_on()

    @classmethod
    def _settled_on(cls, instalment, tranche):
        "Return the SQL of what ``_compute_settled_on`` returns."
        return cls._notified_on(instalment, tranche)

    def _compute_due_since(self):
        notified_on = self._compute_notified_on()
        settled_on = self._compute_settled_on()
        if (not notified_on
                or not settled_on
                or self.state == 'cancelled'
                or any(self._awaits(c) for c in self.conditions)):
            return None
        if self.trigger == 'date' and self.date:
            due_since = max(self.date, notified_on)
        elif self.trigger in EVENTS:
            if not self.triggered_on:
                return None
            due_since = max(notified_on, self.triggered_on + dt.timedelta(
                    days=self.delay or 0))
        else:
            due_since = notified_on + dt.timedelta(days=self.delay or 0)
        return max([due_since, settled_on] + [
                c.submitted_on or c.verified_on for c in self.conditions])

    def _awaits(self, condition):
        "Return whether the instalment waits for the undertaking."
        return condition.state not in FULFILLED

    @classmethod
    def _awaiting(cls, instalment, tranche, condition):
        "Return the SQL of what ``_awaits`` returns."
        return ~condition.state.in_(FULFILLED)

    @classmethod
    def _due_since(cls, instalment, tranche):
        "Return the SQL of what ``_compute_due_since`` returns."
        pool = Pool()
        condition = pool.get('grant.condition').__table__()
        link = pool.get('grant.condition-grant.instalment').__table__()
        tables = link.join(
            condition, condition=link.condition == condition.id)
        own = link.instalment == instalment.id
        awaited = cls._awaiting(instalment, tranche, condition)
        notified_on = cls._notified_on(instalment, tranche)
        settled_on = cls._settled_on(instalment, tranche)
        base = Case(
            ((instalment.trigger == 'date')
                & (instalment.date > notified_on), instalment.date),
            ((instalment.trigger == 'date')
                & (instalment.date != Null), notified_on),
            (instalment.trigger.in_(EVENTS), Greatest(
                    _add_days(
                        instalment.triggered_on,
                        Coalesce(instalment.delay, 0)),
                    notified_on)),
            else_=_add_days(notified_on, Coalesce(instalment.delay, 0)))
        return Case(
            ((notified_on == Null) | (settled_on == Null)
                | (instalment.state == 'cancelled')
                | (instalment.trigger.in_(EVENTS)
                    & (instalment.triggered_on == Null))
                | Exists(tables.select(
                        Literal(1), where=own & awaited)), Null),
            else_=Greatest(base, settled_on, tables.select(
                    Max(Coalesce(
                            condition.submitted_on, condition.verified_on)),
                    where=own & ~awaited)))

    @classmethod
    def _pay_before(cls, instalment, tranche):
        Parameter = Pool().get('grant.parameter')
        return _add_days(
            cls._due_since(instalment, tranche),
            int(Parameter.get('L05_PAYMENT_DELAY')))

    @classmethod
    def search_date(cls, name, clause):
        _, operator, value = clause
        Operator = fields.SQL_OPERATORS[operator]
        instalment = cls.__table__()
        tranche = Pool().get('grant.tranche').__table__()
        date = getattr(cls, f'_{name}')(instalment, tranche)
        where = cls._fields[name]._domain_add_null(
            date, operator, value, Operator(date, value))
        return [('id', 'in', instalment.join(
                    tranche, condition=instalment.tranche == tranche.id
                    ).select(instalment.id, where=where))]

    @classmethod
    def _order_date(cls, name, tables):
        instalment, _ = tables[None]
        if 'tranche' not in tables:
            tranche = Pool().get('grant.tranche').__table__()
            tables['tranche'] = {
                None: (tranche, tranche.id == instalment.tranche),
                }
        tranche, _ = tables['tranche'][None]
        return [getattr(cls, f'_{name}')(instalment, tranche)]

    @classmethod
    def order_due_since(cls, tables):
        return cls._order_date('due_since', tables)

    @classmethod
    def order_pay_before(cls, tables):
        return cls._order_date('pay_before', tables)

    @classmethod
    def order_days_left(cls, tables):
        return cls._order_date('pay_before', tables)

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="blocker_count"]', 'visual',
                If(Eval('blocker_count', 0) > 0, 'warning', '')),
            ('//group[@id="blocked"]', 'states', {
                    'invisible': ~Eval('blocker_count', 0),
                    }, ['blocker_count']),
            ('//group[@id="cancellation"]', 'states', {
                    'invisible': ~Eval('state').in_(
                        ['planned', 'cancelled']),
                    }),
            ]

    @classmethod
    def check_modification(
            cls, mode, instalments, values=None, external=False):
        super().check_modification(
            mode, instalments, values=values, external=external)
        if mode == 'write' and 'amount' in values:
            # Who changes an amount never approves its payment.
            Pool().get('grant.event').add([{
                        'record': i, 'name': 'amount',
                        'before': i.amount, 'after': values['amount'],
                        } for i in instalments
                    if i.amount != values['amount']])

    @classmethod
    def on_modification(cls, mode, instalments, field_names=None):
        super().on_modification(mode, instalments, field_names=field_names)
        if mode == 'create' or (
                mode == 'write'
                and field_names & {'amount', 'tranche', 'state'}):
            Tranche = Pool().get('grant.tranche')
            Tranche.check_instalments(
                list({i.tranche for i in instalments}))
        if mode == 'create' or mode == 'write' and 'kind' in field_names:
            Condition = Pool().get('grant.condition')
            Condition.set_blocks([
                    c for convention in {i.convention for i in instalments}
                    for c in convention.conditions])

    @classmethod
    def create_from_schemes(cls, tranches):
        """Add to the tranches the instalments of their schemes' templates,
        one single payment where a scheme has none."""
        Scheme = Pool().get('grant.scheme')
        Scheme.check_shares(
            list({t.convention.scheme for t in tranches}))
        vlist = []
        for tranche in tranches:
            if not tranche.amount:
                continue
            for sequence, values in enumerate(
                    cls.template_values(
                        tranche.convention.scheme, tranche.year,
                        tranche.amount), 1):
                vlist.append({
                        'convention': tranche.convention.id,
                        'tranche': tranche.id,
                        'sequence': sequence,
                        **values,
                        })
        return cls.create(vlist)

    @classmethod
    def template_values(cls, scheme, year, amount):
        """Return the values of the instalments by which the scheme pays the
        amount (Decimal, euros) of the year."""
        template = scheme.instalments
        if not template:
            return [{
                    'kind': 'single', 'amount': amount, 'fixed_amount': False,
                    'trigger': cls.default_trigger(),
                    'delay': cls.default_delay(), 'date': None,
                    }]
        start = dt.date(year, 1, 1)
        return [{
                'kind': line.kind,
                'amount': part,
                'fixed_amount': bool(amount and line.amount),
                'trigger': line.trigger,
                'delay': line.delay if line.trigger != 'date' else 0,
                'trigger_share': line.trigger_share,
                'date': (
                    start + dt.timedelta(days=line.delay)
                    if line.trigger == 'date' else None),
                } for line, part in zip(
                template, scheme.split_amount(year, amount), strict=True)
            if part or not amount]

    @classmethod
    def resplit(cls, tranches):
        """Bring the planned instalments of the tranches to the amounts of
        the tranches: the fixed ones stay, the others share the rest in their
        former proportions.

        Raise ``CeilingError`` if the schedule of one does not allow it.
        """
        to_save = []
        for tranche in tranches:
            if gap := tranche.get_schedule_gap(tranche.amount):
                raise CeilingError(gap)
            planned = tranche.planned
            parts = tranche.split_planned(tranche.amount)
            for instalment, part in zip(planned, parts, strict=True):
                instalment.amount = part
                if not tranche.amount:
                    # Nothing is left of the year that could be fixed.
                    instalment.fixed_amount = False
                to_save.append(instalment)
        cls.save(to_save)

    @classmethod
    def replace_planned(cls, tranche, vlist):
        """Replace the planned instalments of the tranche by those of the
        values; called with what is frozen thawed."""
        planned = [i for i in tranche.instalments if i.state == 'planned']
        changed = list(zip(planned, vlist, strict=False))
        cls.delete(planned[len(vlist):])
        # The sum never exceeds the tranche: what is lowered comes first.
        for instalment, values in sorted(
                changed, key=lambda x: x[1]['amount'] - x[0].amount):
            cls.write([instalment], values)
        last = max((i.sequence or 0 for i in tranche.instalments), default=0)
        cls.create([{
                    'convention': tranche.convention.id,
                    'tranche': tranche.id,
                    'sequence': sequence,
                    **values,
                    } for sequence, values in enumerate(
                vlist[len(planned):], last + 1)])

    @classmethod
    @ModelView.button
    @transition('cancelled')
    def cancel(cls, instalments):
        """Give up an instalment for good: the tranche is reduced by it, and
        the journal says why."""
        pool = Pool()
        Tranche = pool.get('grant.tranche')
        for instalment in instalments:
            if not instalment.cancel_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_instalment_cancel_reason',
                        instalment=instalment.rec_name))
            if instalment.convention.freezing_state in OPEN_STATES:
                raise FrozenError(gettext(
                        'pacte_grants.msg_instalment_cancel_open',
                        instalment=instalment.rec_name))
        cls._cancel(instalments, Tranche)

    @classmethod
    def _cancel(cls, instalments, Tranche):
        reductions = defaultdict(Decimal)
        for instalment in instalments:
            reductions[instalment.tranche] += instalment.amount
        Pool().get('grant.event').add([{
                    'record': i, 'name': 'reduction',
                    'before': i.amount, 'after': Decimal(0),
                    'reason': i.cancel_reason or i.convention.ending_reason,
                    } for i in instalments])
        # The instalments leave the sum before the reduction enters it.
        cls.write(instalments, {'state': 'cancelled'})
        for tranche in Tranche.claim(list(reductions)):
            Tranche.write([tranche], {
                    'reduction': tranche.reduction + reductions[tranche]})


class Blocker(ModelSQL, ModelView):
    """What stands in the way of an instalment: one query per rule.

    Read by the form, the lists and their tabs, and by the certification
    alike (invariant 4).
    """
    __name__ = 'grant.instalment.blocker'

    instalment = fields.Many2One(
        'grant.instalment', "Instalment", required=True)
    code = fields.Selection('get_codes', "What Is Missing", sort=False)
    code_string = code.translated('code')
    since = fields.Date("Since")
    lifted_by = fields.Selection([
            ('officer', "Officer"),
            ('partner', "Partner"),
            ('assembly', "Assembly Service"),
            ('finance', "Finance"),
            ('manager', "Head of Service"),
            ('nobody', "Nobody"),
            ], "Lifted By", sort=False)
    lifted_by_string = lifted_by.translated('lifted_by')
    origin = fields.Reference("Origin", selection='get_origins')
    description = fields.Function(
        fields.Char("Description"), 'get_description')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('instalment')
        cls._order = [('instalment', 'ASC'), ('id', 'ASC')]

    @classmethod
    def get_origins(cls):
        IrModel = Pool().get('ir.model')
        return [(name, IrModel.get_name(name)) for name in [
                'grant.convention', 'grant.condition', 'party.party',
                'grant.instalment']]

    @classmethod
    def get_codes(cls):
        return [
            (code, gettext(f'pacte_grants.msg_blocker_{code}'))
            for code, _, _ in cls._rules()]

    def get_rec_name(self, name):
        return self.code_string

    @classmethod
    def get_description(cls, blockers, name):
        Condition = Pool().get('grant.condition')
        aids = cls._get_aid(
            [b for b in blockers if b.code == 'convention_due'])
        conditions = {}
        for row in cls.read(
                [b.id for b in blockers if b.code == 'condition'],
                ['origin']):
            conditions[row['id']] = int(row['origin'].split(',')[1])
        names = {
            c.id: c.rec_name
            for c in Condition.browse(list(set(conditions.values())))}
        descriptions = {}
        for blocker in blockers:
            text = blocker.code_string
            if blocker.code == 'not_triggered':
                text = f'{text} : {blocker.instalment.get_trigger_text()}'
            if blocker.id in conditions:
                text = f'{text} : {names[conditions[blocker.id]]}'
            if blocker.id in aids:
                text = gettext(
                    'pacte_grants.msg_blocker_convention_due_amounts',
                    text=text, **aids[blocker.id])
            descriptions[blocker.id] = f'{text} ({blocker.lifted_by_string})'
        return descriptions

    @classmethod
    def _get_aid(cls, blockers):
        "Return, by blocker, the figures that ask for a convention (L03)."
        pool = Pool()
        keys = {}
        for blocker in blockers:
            convention = blocker.instalment.convention
            keys[blocker.id] = (
                convention.company.id, convention.party.id,
                blocker.instalment.tranche.year)
        if not keys:
            return {}
        aids = pool.get('grant.in_kind').get_aid(
            [b.instalment.convention.party for b in blockers],
            [year for *_, year in keys.values()])
        threshold = money(
            pool.get('grant.parameter').get('L03_CONVENTION_THRESHOLD'))
        return {
            id_: {
                'cash': money(aids[key].cash),
                'in_kind': money(aids[key].in_kind),
                'threshold': threshold,
                } for id_, key in keys.items()}

    @classmethod
    def _rules(cls):
        """Return the rules: code, who lifts it, and the method that returns
        its query.

        A query has the columns ``id`` (of the instalment, or of another
        record that makes the row unique), ``instalment``, ``since`` and
        ``origin``.  The rows come in the order of the list, so that the
        first says whose turn it is.
        """
        return [
            ('not_voted', 'assembly', cls._not_voted),
            ('not_executory', 'assembly', cls._not_executory),
            ('anomaly', 'finance', cls._anomaly),
            ('not_issued', 'officer', cls._not_issued),
            ('partner_signature', 'partner', cls._partner_signature),
            ('department_signature', 'manager', cls._department_signature),
            ('not_notified', 'officer', cls._not_notified),
            ('not_active', 'nobody', cls._not_active),
            ('commitment', 'finance', cls._commitment),
            ('condition', 'partner', cls._condition),
            ('bank_account', 'finance', cls._bank_account),
            ('republican_commitment', 'partner',
                cls._republican_commitment),
            ('too_early', 'nobody', cls._too_early),
            ('tranche_not_notified', 'officer', cls._tranche_not_notified),
            ('amount_changed', 'officer', cls._amount_changed),
            ('convention_due', 'officer', cls._convention_due),
            ('not_triggered', 'partner', cls._not_triggered),
            ]

    @classmethod
    def table_query(cls):
        queries = []
        rules = cls._rules()
        for index, (code, lifted_by, method) in enumerate(rules):
            query = method()
            queries.append(query.select(
                    (query.id + (index << 24)).as_('id'),
                    query.instalment.as_('instalment'),
                    Literal(code).as_('code'),
                    query.since.as_('since'),
                    Literal(lifted_by).as_('lifted_by'),
                    query.origin.as_('origin')))
        return Union(*queries, all_=True)

    @classmethod
    def _base(cls):
        """Return the tables of the instalments that wait, of their
        conventions and of their tranches, their join and the condition."""
        pool = Pool()
        instalment = pool.get('grant.instalment').__table__()
        convention = pool.get('grant.convention').__table__()
        tranche = pool.get('grant.tranche').__table__()
        join = (instalment
            .join(convention,
                condition=instalment.convention == convention.id)
            .join(tranche, condition=instalment.tranche == tranche.id))
        where = instalment.state.in_(WAITING)
        return _Base(instalment, convention, tranche, join, where)

    @classmethod
    def _select(cls, base, where, since=None, origin=None, id=None):
        instalment, convention = base.instalment, base.convention
        if since is None:
            since = Cast(Null, cls.since.sql_type().base)
        if origin is None:
            origin = cls._origin('grant.convention', convention.id)
        return base.join.select(
            (instalment.id if id is None else id).as_('id'),
            instalment.id.as_('instalment'),
            since.as_('since'),
            origin.as_('origin'),
            where=base.waiting & where)

    @classmethod
    def _origin(cls, model, id):
        return Concat(f'{model},', Cast(id, cls.origin.sql_type().base))

    @classmethod
    def _decided(cls, base, *states):
        """Return the condition that the year of the instalment has a granted
        decision in a deliberation in one of the states."""
        pool = Pool()
        application = pool.get('grant.application').__table__()
        decision = pool.get('grant.decision').__table__()
        deliberation = pool.get('grant.deliberation').__table__()
        return Exists(application
            .join(decision,
                condition=decision.application == application.id)
            .join(deliberation,
                condition=decision.deliberation == deliberation.id)
            .select(Literal(1),
                where=(application.convention == base.convention.id)
                & (application.year == base.tranche.year)
                & (decision.amendment == Null)
                & (decision.outcome == 'granted')
                & deliberation.state.in_(list(states))))

    @classmethod
    def _voted(cls, base):
        "Return the condition that the instalment rests on a vote."
        return ((base.tranche.status == 'voted')
            & cls._decided(base, 'voted', 'executory'))

    @classmethod
    def _awaits_act(cls, base):
        "Return the condition that its vote is not executory."
        return cls._decided(base, 'voted')

    @classmethod
    def _not_voted(cls):
        base = cls._base()
        return cls._select(
            base, ~cls._voted(base), since=base.convention.agreed_on)

    @classmethod
    def _not_executory(cls):
        base = cls._base()
        return cls._select(
            base, cls._awaits_act(base), since=base.convention.frozen_on)

    @classmethod
    def _anomaly(cls):
        pool = Pool()
        base = cls._base()
        application = pool.get('grant.application').__table__()
        decision = pool.get('grant.decision').__table__()
        amendment = pool.get('grant.amendment').__table__()
        anomaly = Exists(application
            .join(decision,
                condition=decision.application == application.id)
            .select(Literal(1),
                where=(application.convention == base.convention.id)
                & (application.year == base.tranche.year)
                & (decision.outcome == 'granted')
                & ~Exists(amendment.select(Literal(1),
                        where=(amendment.id == decision.amendment)
                        & (amendment.state == 'cancelled')))
                & (decision.anomaly != Null)
                & (decision.regularised_by == Null)))
        return cls._select(base, anomaly, since=base.convention.frozen_on)

    @classmethod
    def _not_issued(cls):
        base = cls._base()
        return cls._select(
            base, base.convention.state.in_(
                ['draft', 'negotiation', 'agreed']),
            since=base.convention.frozen_on)

    @classmethod
    def _partner_signature(cls):
        base = cls._base()
        return cls._select(
            base, (base.convention.form == 'convention')
            & base.convention.state.in_(['issued', 'signed'])
            & (base.convention.signed_partner_on == Null),
            since=base.convention.issued_on)

    @classmethod
    def _department_signature(cls):
        base = cls._base()
        return cls._select(
            base, (base.convention.form == 'convention')
            & base.convention.state.in_(['issued', 'signed'])
            & (base.convention.signed_department_on == Null),
            since=base.convention.issued_on)

    @classmethod
    def _not_notified(cls):
        base = cls._base()
        return cls._select(
            base, base.convention.state.in_(['issued', 'signed'])
            & (base.convention.notified_on == Null),
            since=base.convention.issued_on)

    @classmethod
    def _not_active(cls):
        base = cls._base()
        return cls._select(base, base.convention.state.in_([
                    'closed', 'terminated', 'lapsed', 'renounced',
                    'cancelled']))

    @classmethod
    def _commitment(cls):
        pool = Pool()
        base = cls._base()
        application = pool.get('grant.application').__table__()
        decision = pool.get('grant.decision').__table__()
        commitment = pool.get('grant.commitment').__table__()
        numbered = Exists(application
            .join(decision,
                condition=decision.application == application.id)
            .join(commitment,
                condition=decision.commitment == commitment.id)
            .select(Literal(1),
                where=(application.convention == base.convention.id)
                & (commitment.year == base.tranche.year)
                & (commitment.state == 'committed')
                & (Coalesce(commitment.finance_number, '') != '')))
        return cls._select(
            base, (base.convention.frozen_on != Null) & ~numbered,
            since=base.convention.frozen_on)

    @classmethod
    def _condition(cls):
        pool = Pool()
        base = cls._base()
        instalment, convention = base.instalment, base.convention
        condition = pool.get('grant.condition').__table__()
        link = pool.get('grant.condition-grant.instalment').__table__()
        join = (base.join
            .join(link, condition=link.instalment == instalment.id)
            .join(condition, condition=link.condition == condition.id))
        base = base._replace(join=join)
        return cls._select(
            base, Pool().get('grant.instalment')._awaiting(
                instalment, base.tranche, condition),
            since=Case(
                (condition.due_date <= Pool().get('ir.date').today(),
                    condition.due_date),
                else_=convention.notified_on),
            origin=cls._origin('grant.condition', condition.id),
            id=link.id)

    @classmethod
    def _bank_account(cls):
        base = cls._base()
        Link = Pool().get('bank.account-party.party')
        verified = Link.verified_query()
        chosen = base.instalment.bank_account
        return cls._select(
            base, (
                (chosen == Null)
                & ~base.convention.party.in_(verified.select(verified.owner)))
            | ((chosen != Null)
                & ~chosen.in_(verified.select(verified.link))),
            origin=cls._origin('party.party', base.convention.party))

    @classmethod
    def _republican_commitment(cls):
        base = cls._base()
        party = Pool().get('party.party').__table__()
        missing = Exists(party.select(Literal(1),
                where=(party.id == base.convention.party)
                & (party.partner_kind == 'association')
                & (party.republican_commitment_on == Null)))
        return cls._select(
            base, missing,
            origin=cls._origin('party.party', base.convention.party))

    @classmethod
    def _too_early(cls):
        Date = Pool().get('ir.date')
        base = cls._base()
        instalment = base.instalment
        return cls._select(
            base, (instalment.trigger == 'date')
            & (instalment.date > Date.today()),
            since=base.convention.notified_on,
            origin=cls._origin('grant.instalment', instalment.id))

    @classmethod
    def _not_triggered(cls):
        base = cls._base()
        instalment = base.instalment
        return cls._select(
            base, instalment.trigger.in_(EVENTS)
            & (instalment.triggered_on == Null),
            since=Pool().get('grant.instalment')._notified_on(
                instalment, base.tranche),
            origin=cls._origin('grant.instalment', instalment.id))

    @classmethod
    def _tranche_not_notified(cls):
        Instalment = Pool().get('grant.instalment')
        base = cls._base()
        notified_on = Instalment._notified_on(base.instalment, base.tranche)
        return cls._select(
            base, base.convention.state.in_(sorted(LIVE_STATES))
            & cls._voted(base)
            & (notified_on == Null))

    @classmethod
    def _amount_changed(cls):
        base = cls._base()
        return cls._select(
            base, base.convention.state.in_(sorted(LIVE_STATES))
            & (base.convention.amount_changed == Literal(True))
            & (base.convention.amount_confirmed_on == Null))

    @classmethod
    def _convention_due(cls):
        """The yearly total of the partner, in money and in kind, asks for a
        convention (L03)."""
        pool = Pool()
        Parameter = pool.get('grant.parameter')
        base = cls._base()
        party = pool.get('party.party').__table__()
        commitment = pool.get('grant.commitment').__table__()
        in_kind = pool.get('grant.in_kind').values_query()
        signed = pool.get('grant.convention').__table__()
        tranche = pool.get('grant.tranche').__table__()
        private = Exists(party.select(Literal(1),
                where=(party.id == base.convention.party)
                & ~Coalesce(party.partner_kind, '').in_(
                    PUBLIC_KINDS + ['individual'])))
        # As a float: SQLite would compare the text of a decimal.
        threshold = float(Parameter.get('L03_CONVENTION_THRESHOLD'))
        cash = commitment.select(
            Coalesce(Sum(commitment.amount), 0),
            where=(commitment.party == base.convention.party)
            & (commitment.company == base.convention.company)
            & (commitment.year == base.tranche.year)
            & (commitment.state == 'committed'))
        kind = in_kind.select(
            Coalesce(Sum(in_kind.value), 0),
            where=(in_kind.party == base.convention.party)
            & (in_kind.company == base.convention.company)
            & (in_kind.year == base.tranche.year))
        exceeded = Round(Add(cash, kind), 2) > threshold
        covered = Exists(signed
            .join(tranche, condition=tranche.convention == signed.id)
            .select(Literal(1),
                where=(signed.party == base.convention.party)
                & (signed.company == base.convention.company)
                & (signed.form == 'convention')
                & (tranche.year == base.tranche.year)
                & signed.state.in_(['active', 'closing', 'closed'])))
        return cls._select(
            base, (base.convention.form == 'letter')
            & private
            & exceeded
            & ~covered)


class ConditionInstalment(FrozenByMixin, ModelSQL):
    __name__ = 'grant.condition-grant.instalment'
    _frozen_by = 'condition.convention'
    _parent_states = OPEN_STATES

    condition = fields.Many2One(
        'grant.condition', "Undertaking", required=True,
        ondelete='CASCADE')
    instalment = fields.Many2One(
        'grant.instalment', "Instalment", required=True,
        ondelete='CASCADE')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('condition')
        cls._sql_indexes.update({
                Index(table, (table.condition, Index.Equality())),
                Index(table, (table.instalment, Index.Equality())),
                })

    def get_rec_name(self, name):
        return f'{self.condition.rec_name} – {self.instalment.rec_name}'


class Condition(metaclass=PoolMeta):
    __name__ = 'grant.condition'

    blocks = fields.Many2Many(
        'grant.condition-grant.instalment', 'condition', 'instalment',
        "Instalments Held Back", readonly=True,
        help="The instalments that wait until the undertaking is met or "
        "waived.")
    blocks_text = fields.Function(
        fields.Char("Holds Back"), 'get_blocks_text')

    @classmethod
    def get_blocks_text(cls, conditions, name):
        return {
            c.id: ' ; '.join(
                f'{i.kind_string} {i.tranche.year} : {money(i.amount)}'
                for i in c.blocks
                if i.state in {'planned', 'certified', 'approved'}) or None
            for c in conditions}

    @classmethod
    def on_modification(cls, mode, conditions, field_names=None):
        super().on_modification(mode, conditions, field_names=field_names)
        if mode == 'create' or (
                mode == 'write' and field_names & {'block_kinds', 'year'}):
            cls.set_blocks(conditions)
        elif mode == 'write' and 'due_date' in field_names:
            cls.set_blocks([c for c in conditions if c.is_open])

    @classmethod
    def set_blocks(cls, conditions):
        """Name the instalments that the conditions hold back: those of the
        kinds that they say, of their year if they have one."""
        for condition in conditions:
            wanted = {
                i.id for i in condition.convention.instalments
                if i.kind in (condition.block_kinds or ())
                and condition.concerns_year(i.tranche.year)}
            blocked = {i.id for i in condition.blocks}
            if wanted != blocked:
                cls.write([condition], {
                        'blocks': [
                            ('remove', sorted(blocked - wanted)),
                            ('add', sorted(wanted - blocked)),
                            ],
                        })

    def concerns_year(self, year):
        """Return whether the condition may hold back the year: its own, or
        without one, those whose report (L06) is not due before its first
        due date."""
        if self.year:
            return year == self.year
        due_date = self.original_due_date or self.due_date
        if not due_date:
            return True
        months = int(Pool().get('grant.parameter').get(
                'L06_FINANCIAL_REPORT_DELAY'))
        last = max(t.year for t in self.convention.tranches)
        return year >= min(
            (due_date - relativedelta(months=months)).year, last)

    @classmethod
    def copy(cls, conditions, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('blocks', None)
        return super().copy(conditions, default=default)


class Scheme(metaclass=PoolMeta):
    __name__ = 'grant.scheme'

    def split_amount(self, year, amount):
        """Return the amount (Decimal, euros) of the year as the template of
        payments cuts it: the fixed amounts, the rest by shares.

        Raise ``CeilingError`` if the fixed amounts exceed it,
        ``CompletenessError`` if nothing takes what they leave.
        """
        lines = self.instalments
        if not amount:
            return [Decimal(0)] * len(lines)
        fixed = sum((line.amount or 0 for line in lines), Decimal(0))
        names = {'scheme': self.rec_name, 'year': year}
        if fixed > amount:
            raise CeilingError(gettext(
                    'pacte_grants.msg_scheme_amounts',
                    fixed=money(fixed), amount=money(amount), **names))
        if fixed != amount and not any(line.share for line in lines):
            raise CompletenessError(gettext(
                    'pacte_grants.msg_scheme_remainder', **names))
        return split_rest(
            amount, [line.amount for line in lines],
            [line.share for line in lines])

    @classmethod
    def check_shares(cls, schemes):
        """Raise ``CompletenessError`` for a scheme the shares of whose
        template of payments do not add up to 100 %."""
        for scheme in schemes:
            if not scheme.instalments:
                continue
            shares = [
                line.share for line in scheme.instalments if line.share]
            total = sum(shares)
            if shares and total != 1:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_scheme_shares',
                        scheme=scheme.rec_name,
                        total=money(total * 100)))


class Tranche(metaclass=PoolMeta):
    __name__ = 'grant.tranche'

    instalments = fields.One2Many(
        'grant.instalment', 'tranche', "Instalments", readonly=True)
    reduction = Monetary(
        "Reduction", currency='currency', digits='currency', required=True,
        readonly=True, help="Sum of the instalments that were cancelled.")

    @classmethod
    def default_reduction(cls):
        return Decimal(0)

    @property
    def planned(self):
        "The instalments that may still change."
        return [i for i in self.instalments if i.state == 'planned']

    @property
    def fixed(self):
        "What can no longer change: paid, under way or reduced (euros)."
        return (self.reduction or Decimal(0)) + sum(
            (i.amount for i in self.instalments
                if i.state in LIVE and i.state != 'planned'), Decimal(0))

    def split_planned(self, amount):
        """Return what each planned instalment gets once the tranche is of
        the amount (Decimal, euros), or ``None`` if their fixed amounts do
        not allow it."""
        planned = self.planned
        if not planned:
            return []
        return split_anew(
            amount - self.fixed, [i.amount for i in planned],
            [bool(amount) and i.fixed_amount for i in planned])

    def get_schedule_gap(self, amount):
        """Return why the schedule does not follow the tranche to the amount
        (Decimal, euros), in a sentence, or ``None``."""
        names = {'tranche': self.rec_name, 'amount': money(amount)}
        planned = self.planned
        rest = amount - self.fixed
        if not planned:
            if rest:
                return gettext(
                    'pacte_grants.msg_schedule_nothing_planned', **names)
            return None
        if rest < 0:
            return gettext(
                'pacte_grants.msg_schedule_below_paid',
                done=money(self.fixed), **names)
        if self.split_planned(amount) is not None:
            return None
        fixed = sum((i.amount for i in planned if i.fixed_amount), Decimal(0))
        names.update(fixed=money(fixed), rest=money(rest))
        if fixed < rest:
            return gettext('pacte_grants.msg_schedule_fixed_rest', **names)
        if self.fixed:
            return gettext(
                'pacte_grants.msg_schedule_fixed_paid',
                done=money(self.fixed), **names)
        return gettext('pacte_grants.msg_schedule_fixed', **names)

    @classmethod
    def loosen(cls, tranches):
        """Let the fixed amounts that are still planned follow the tranches
        like the others; called with what is frozen thawed."""
        Instalment = Pool().get('grant.instalment')
        Instalment.write(
            [i for t in tranches for i in t.planned if i.fixed_amount],
            {'fixed_amount': False})

    @classmethod
    def _set_amounts(cls, tranches, amounts):
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        new = [t for t in tranches if t.id is None or t.id < 0]
        lowered, raised = [], []
        for tranche in tranches:
            if tranche in new:
                continue
            if amounts[tranche.year] < tranche.amount:
                lowered.append(tranche)
            else:
                raised.append(tranche)
        for tranche in lowered:
            # The sum of the instalments never exceeds the tranche, not
            # even for a moment.
            tranche.amount = amounts[tranche.year]
        Instalment.resplit(lowered)
        super()._set_amounts(lowered, amounts)
        super()._set_amounts(raised + new, amounts)
        Instalment.resplit(cls.browse(raised))

    def give_up(self, reason):
        super().give_up(reason)
        Instalment = Pool().get('grant.instalment')
        planned = [i for i in self.instalments if i.state == 'planned']
        with without_check_access():
            Instalment.write(planned, {'cancel_reason': reason})
        Instalment._cancel(Instalment.claim(planned), self.__class__)

    @classmethod
    def on_modification(cls, mode, tranches, field_names=None):
        super().on_modification(mode, tranches, field_names=field_names)
        if mode == 'create':
            Instalment = Pool().get('grant.instalment')
            Instalment.create_from_schemes(tranches)
        if mode == 'write' and field_names & {'amount', 'reduction'}:
            cls.check_instalments(tranches)

    @classmethod
    def check_instalments(cls, tranches):
        """Claim the tranches and raise ``CeilingError`` if the live
        instalments and the reductions of one exceed it (invariant 1)."""
        for tranche, planned in cls._planned(cls.claim(tranches)):
            if planned > tranche.amount:
                raise CeilingError(gettext(
                        'pacte_grants.msg_tranche_exceeded',
                        tranche=tranche.rec_name,
                        amount=money(tranche.amount),
                        planned=money(planned)))

    @classmethod
    def _planned(cls, tranches):
        "Yield each tranche with its live instalments plus its reductions."
        instalment = Pool().get('grant.instalment').__table__()
        sums = {}
        for sub in grouped_slice(tranches, SLICE):
            query = instalment.select(
                instalment.tranche, Sum(instalment.amount),
                where=reduce_ids(instalment.tranche, [t.id for t in sub])
                & instalment.state.in_(LIVE),
                group_by=[instalment.tranche])
            sums.update(read_sums(query))
        for tranche in tranches:
            planned = Decimal(sums.get(tranche.id) or 0)
            yield tranche, tranche.currency.round(
                planned + (tranche.reduction or Decimal(0)))


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    instalments = fields.One2Many(
        'grant.instalment', 'convention', "Schedule",
        states={'readonly': ~Eval('state').in_(list(OPEN_STATES))})

    @classmethod
    def set_voted_amount(cls, convention, year, amount):
        # A vote is recorded as it was: fixed amounts that it does not leave
        # room for give way, and both sides confirm the new schedule.
        Tranche = Pool().get('grant.tranche')
        with thaw():
            Tranche.loosen([
                    t for t in cls(convention.id).tranches
                    if t.year == year and t.split_planned(amount) is None])
        super().set_voted_amount(convention, year, amount)

    def get_agreement_reasons(self):
        Tranche = Pool().get('grant.tranche')
        reasons = super().get_agreement_reasons()
        for tranche, planned in Tranche._planned(self.tranches):
            if planned != tranche.amount:
                reasons.append(gettext(
                        'pacte_grants.msg_agreement_schedule',
                        year=tranche.year,
                        amount=money(tranche.amount),
                        planned=money(planned)))
        for instalment in self.instalments:
            if instalment.awaits_nothing:
                reasons.append(gettext(
                        'pacte_grants.msg_agreement_trigger',
                        instalment=instalment.rec_name))
        return reasons

    @classmethod
    def _end(cls, conventions):
        super()._end(conventions)
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        Tranche = pool.get('grant.tranche')
        in_progress = [
            i for c in conventions for i in c.instalments
            if i.state in {'certified', 'approved', 'paying'}]
        for instalment in in_progress:
            raise FrozenError(gettext(
                    'pacte_grants.msg_convention_end_payment',
                    convention=instalment.convention.rec_name,
                    instalment=instalment.rec_name))
        planned = Instalment.claim([
                i for c in conventions for i in c.instalments
                if i.state == 'planned'])
        if planned:
            Instalment._cancel(planned, Tranche)

    @classmethod
    @ModelView.button
    def close(cls, conventions):
        """Close what is finished; raise ``CompletenessError`` with all that
        is still open."""
        for convention in conventions:
            if reasons := convention.get_closing_reasons():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_convention_close',
                        convention=convention.rec_name,
                        reasons=bulleted(reasons)))
        super().close(conventions)

    def get_closing_reasons(self):
        "Return, in sentences, what is still open."
        return [
            gettext('pacte_grants.msg_convention_close_instalment',
                instalment=i.rec_name)
            for i in self.instalments
            if i.state not in {'paid', 'cancelled'}]
