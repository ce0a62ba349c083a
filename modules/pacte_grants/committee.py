# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Sessions, deliberations, votes and the elected members who cast them."
from collections import defaultdict
from decimal import Decimal

from sql.aggregate import Sum
from sql.conditionals import Case

from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelView, Unique, fields,
    sequence_ordered)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import Transaction

from .check import AmountMixin, money
from .configuration import NumberedMixin
from .convention import DEAD_STATES
from .exceptions import (
    CompletenessError, FrozenError, PeriodError,
    TransitionError)
from .mixin import (
    FrozenByMixin, WorkflowMixin, acting_user, thaw, transition)
from .scheme import CompanyMixin
from .sums import SLICE, read_sums

_STATES_DRAFT = {'readonly': Eval('state') != 'draft'}
OUTCOMES = [
    (None, ""),
    ('granted', "Granted"),
    ('refused', "Refused"),
    ('deferred', "Deferred"),
    ('removed', "Removed from the Agenda"),
    ]


class Member(DeactivableMixin, CompanyMixin, ModelSQL, ModelView):
    "An elected member of the assembly."
    __name__ = 'grant.member'

    party = fields.Many2One(
        'party.party', "Party", required=True, ondelete='RESTRICT',
        context={'company': Eval('company', -1)}, depends={'company'})
    group = fields.Char("Political Group")
    mandates = fields.One2Many(
        'grant.member.mandate', 'member', "Mandates",
        help="The partners in which the member has a mandate: the register "
        "from which recusals are proposed (L17).")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'company_party_unique',
                Unique(table, table.company, table.party),
                'pacte_grants.msg_member_unique'))

    def get_rec_name(self, name):
        return self.party.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('party.rec_name', *clause[1:])]


class Mandate(ModelSQL, ModelView):
    __name__ = 'grant.member.mandate'

    member = fields.Many2One(
        'grant.member', "Member", required=True, ondelete='CASCADE')
    party = fields.Many2One(
        'party.party', "Partner", required=True, ondelete='RESTRICT')
    role = fields.Char("Role")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('member')

    def get_rec_name(self, name):
        return f'{self.member.rec_name} – {self.party.rec_name}'


class Session(WorkflowMixin, NumberedMixin, CompanyMixin,
        ModelSQL, ModelView):
    __name__ = 'grant.session'
    _numbering = 'session'
    _frozen = {
        'held': frozenset({'note'}),
        'cancelled': frozenset({'note'}),
        }

    body = fields.Selection([
            ('assembly', "Departmental Council"),
            ('permanent', "Permanent Commission"),
            ('thematic', "Thematic Commission"),
            ], "Body", required=True, sort=False, states=_STATES_DRAFT)
    body_string = body.translated('body')
    kind = fields.Selection([
            ('opinion', "Opinion"),
            ('vote', "Vote"),
            ], "Kind", required=True, sort=False, states=_STATES_DRAFT)
    date = fields.Date(
        "Date", required=True,
        states={'readonly': ~Eval('state').in_(['draft', 'convened'])})
    report_deadline = fields.Date(
        "Reports Due By",
        states={'readonly': ~Eval('state').in_(['draft', 'convened'])})
    deliberations = fields.One2Many(
        'grant.deliberation', 'session', "Deliberations",
        states={'readonly': Eval('state') == 'cancelled'})
    decision_count = fields.Function(
        fields.Integer("Applications"), 'get_totals')
    proposed_total = fields.Function(Monetary(
            "Proposed", currency='currency', digits='currency'),
        'get_totals')
    voted_total = fields.Function(Monetary(
            "Voted", currency='currency', digits='currency'),
        'get_totals')
    note = fields.Text("Note")
    state = fields.Selection([
            ('draft', "In Preparation"),
            ('convened', "Convened"),
            ('held', "Held"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('date', 'DESC'), ('id', 'DESC')]
        cls._sql_indexes.add(Index(table,
                (table.state, Index.Equality(cardinality='low')),
                (table.date, Index.Range(order='DESC'))))
        cls._transitions = {
            ('draft', 'convened'),
            ('convened', 'draft'),
            ('convened', 'held'),
            ('held', 'convened'),
            ('draft', 'cancelled'),
            ('convened', 'cancelled'),
            ('cancelled', 'draft'),
            }
        cls._buttons.update({
                'draft': {
                    'invisible': ~Eval('state').in_(
                        ['convened', 'cancelled']),
                    'depends': ['state'],
                    },
                'convene': {
                    'invisible': ~Eval('state').in_(['draft', 'held']),
                    'depends': ['state'],
                    },
                'hold': {
                    'invisible': Eval('state') != 'convened',
                    'depends': ['state'],
                    },
                'cancel': {
                    'invisible': ~Eval('state').in_(['draft', 'convened']),
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_body(cls):
        return 'permanent'

    @classmethod
    def default_kind(cls):
        return 'vote'

    @classmethod
    def default_state(cls):
        return 'draft'

    @classmethod
    def _numbering_year(cls, values):
        date = values.get('date')
        return date.year if date else super()._numbering_year(values)

    @classmethod
    def view_attributes(cls):
        soon = (
            Eval('state').in_(['draft', 'convened'])
            & (Eval('report_deadline', None) <= Date(delta_days=15)))
        late = (
            Eval('state').in_(['draft', 'convened'])
            & (Eval('date', None) < Date()))
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['held', 'cancelled']), 'muted',
                    If(late, 'danger', If(soon, 'warning', ''))),
                ['state', 'report_deadline', 'date']),
            ]

    @classmethod
    def get_totals(cls, sessions, names):
        result = {name: {} for name in names}
        for session in sessions:
            deliberations = session.deliberations
            totals = {
                'decision_count': sum(
                    d.decision_count for d in deliberations),
                'proposed_total': sum(
                    (d.proposed_total for d in deliberations), Decimal(0)),
                'voted_total': sum(
                    (d.voted_total for d in deliberations), Decimal(0)),
                }
            for name in names:
                result[name][session.id] = totals[name]
        return result

    def get_rec_name(self, name):
        return f"{self.body_string} {self.date.strftime('%d/%m/%Y')}"

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('number', *clause[1:])]

    @classmethod
    def copy(cls, sessions, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('deliberations', None)
        return super().copy(sessions, default=default)

    @classmethod
    @ModelView.button
    @transition('draft')
    def draft(cls, sessions):
        pass

    @classmethod
    @ModelView.button
    @transition('convened')
    def convene(cls, sessions):
        cls._check_no_vote(sessions)

    @classmethod
    @ModelView.button
    @transition('held')
    def hold(cls, sessions):
        today = Pool().get('ir.date').today()
        for session in sessions:
            if session.date > today:
                raise PeriodError(gettext(
                        'pacte_grants.msg_session_future',
                        session=session.rec_name))

    @classmethod
    @ModelView.button
    @transition('cancelled')
    def cancel(cls, sessions):
        "Cancel the sessions; what was on the agenda can be put elsewhere."
        Application = Pool().get('grant.application')
        cls._check_no_vote(sessions)
        applications = [
            d.application
            for s in sessions for r in s.deliberations for d in r.decisions
            if d.application and d.application.state == 'scheduled'
            and d.outcome != 'removed']
        if applications:
            Application.unschedule(applications)

    @classmethod
    def _check_no_vote(cls, sessions):
        for session in sessions:
            for deliberation in session.deliberations:
                if deliberation.state != 'draft':
                    raise FrozenError(gettext(
                            'pacte_grants.msg_session_voted',
                            session=session.rec_name,
                            deliberation=deliberation.rec_name))


class Deliberation(
        WorkflowMixin, NumberedMixin, CompanyMixin, sequence_ordered(),
        ModelSQL, ModelView):
    "A report to the assembly and the act that comes of it."
    __name__ = 'grant.deliberation'
    _numbering = 'deliberation'
    _server_fields = frozenset({'voted_by', 'executory_by'})
    _frozen = {
        'voted': frozenset({
                'act_number', 'transmitted_on', 'received_on',
                'published_on'}),
        'executory': frozenset(),
        }

    session = fields.Many2One(
        'grant.session', "Session", required=True, ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        states=_STATES_DRAFT)
    title = fields.Char("Title", required=True, states=_STATES_DRAFT)
    rapporteur = fields.Many2One(
        'grant.member', "Rapporteur", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        states=_STATES_DRAFT)
    decisions = fields.One2Many(
        'grant.decision', 'deliberation', "Decisions", states=_STATES_DRAFT)
    decision_count = fields.Function(
        fields.Integer("Applications"), 'get_totals')
    proposed_total = fields.Function(Monetary(
            "Proposed", currency='currency', digits='currency'),
        'get_totals')
    voted_total = fields.Function(Monetary(
            "Voted", currency='currency', digits='currency'),
        'get_totals')
    act_number = fields.Char(
        "Act Number", states={'readonly': Eval('state') != 'voted'})
    transmitted_on = fields.Date(
        "Transmitted On", states={'readonly': Eval('state') != 'voted'},
        help="When the act was sent to the prefecture.")
    received_on = fields.Date(
        "Received by the Prefecture On",
        states={'readonly': Eval('state') != 'voted'})
    published_on = fields.Date(
        "Published On", states={'readonly': Eval('state') != 'voted'})
    executory_on = fields.Function(
        fields.Date("Executory On"), 'on_change_with_executory_on')
    voted_by = fields.Many2One(
        'res.user', "Vote Recorded By", readonly=True, ondelete='RESTRICT')
    executory_by = fields.Many2One(
        'res.user', "Made Executory By", readonly=True, ondelete='RESTRICT')
    state = fields.Selection([
            ('draft', "Report"),
            ('voted', "Voted"),
            ('executory', "Executory"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.update({
                Index(table, (table.session, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                })
        cls._transitions = {
            ('draft', 'voted'),
            ('voted', 'draft'),
            ('voted', 'executory'),
            ('executory', 'voted'),
            }
        cls._buttons.update({
                'vote': {
                    'invisible': Eval('state') != 'draft',
                    'depends': ['state'],
                    },
                'unvote': {
                    'invisible': Eval('state') != 'voted',
                    'depends': ['state'],
                    },
                'make_executory': {
                    'invisible': Eval('state') != 'voted',
                    'depends': ['state'],
                    },
                'correct_act': {
                    'invisible': Eval('state') != 'executory',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'draft'

    @fields.depends('received_on', 'published_on')
    def on_change_with_executory_on(self, name=None):
        if self.received_on and self.published_on:
            return max(self.received_on, self.published_on)

    @classmethod
    def get_totals(cls, deliberations, names):
        result = {name: {} for name in names}
        for deliberation in deliberations:
            live = [
                d for d in deliberation.decisions if d.outcome != 'removed']
            totals = {
                'decision_count': len(live),
                'proposed_total': sum(
                    (d.sign * d.proposed_amount for d in live), Decimal(0)),
                'voted_total': sum(
                    (d.sign * d.amount for d in live
                        if d.outcome == 'granted' and d.amount), Decimal(0)),
                }
            for name in names:
                result[name][deliberation.id] = totals[name]
        return result

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'executory', 'muted',
                    If(Eval('state') == 'voted', 'warning', '')),
                ['state']),
            ('//group[@id="act"]', 'states', {
                    'invisible': Eval('state') == 'draft',
                    }),
            ]

    def get_rec_name(self, name):
        return f'{self.number} – {self.title}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op, ('number', *clause[1:]), ('title', *clause[1:])]

    @classmethod
    def validate_fields(cls, deliberations, field_names):
        super().validate_fields(deliberations, field_names)
        names = ['transmitted_on', 'received_on', 'published_on']
        if field_names is not None and not field_names & set(names):
            return
        for deliberation in deliberations:
            sent, received = (
                deliberation.transmitted_on, deliberation.received_on)
            if sent and received and received < sent:
                raise PeriodError(gettext(
                        'pacte_grants.msg_act_received_before_sent',
                        deliberation=deliberation.rec_name,
                        received=received.strftime('%d/%m/%Y'),
                        sent=sent.strftime('%d/%m/%Y')))

    @classmethod
    def copy(cls, deliberations, default=None):
        default = {} if default is None else default.copy()
        for name in [
                'decisions', 'act_number', 'transmitted_on', 'received_on',
                'published_on']:
            default.setdefault(name, None)
        return super().copy(deliberations, default=default)

    @classmethod
    @ModelView.button
    @transition('voted')
    def vote(cls, deliberations):
        """Record the vote: what nobody marked otherwise is granted as
        proposed.  Amounts are committed on the envelopes, what was agreed
        is frozen (L27)."""
        Decision = Pool().get('grant.decision')
        for deliberation in deliberations:
            session = deliberation.session
            if session.state != 'held' or session.kind != 'vote':
                raise TransitionError(gettext(
                        'pacte_grants.msg_vote_session',
                        deliberation=deliberation.rec_name,
                        session=session.rec_name))
            if not any(
                    d.outcome != 'removed' for d in deliberation.decisions):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_vote_nothing',
                        deliberation=deliberation.rec_name))
        user = acting_user(gettext('pacte_grants.msg_act_vote'))
        cls.write(deliberations, {'voted_by': user.id})
        Decision.record_votes([
                d for r in deliberations for d in r.decisions
                if d.outcome != 'removed'])

    @classmethod
    @ModelView.button
    @transition('draft')
    def unvote(cls, deliberations):
        "Undo votes recorded by mistake, before anything was issued."
        Decision = Pool().get('grant.decision')
        Pool().get('grant.event').add([{
                    'record': r, 'name': 'state',
                    'before': cls._state_label('voted'),
                    'after': cls._state_label('draft'),
                    } for r in deliberations])
        Decision.undo_votes([
                d for r in deliberations for d in r.decisions
                if d.outcome != 'removed'])

    @classmethod
    @ModelView.button
    @transition('executory')
    def make_executory(cls, deliberations):
        "The act is received by the prefecture and published (L16)."
        today = Pool().get('ir.date').today()
        for deliberation in deliberations:
            missing = [
                cls.__names__(field=name)['field']
                for name in [
                    'act_number', 'transmitted_on', 'received_on',
                    'published_on']
                if not getattr(deliberation, name)]
            if missing:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_act_incomplete',
                        deliberation=deliberation.rec_name,
                        missing=', '.join(missing)))
            if deliberation.executory_on > today:
                raise PeriodError(gettext(
                        'pacte_grants.msg_act_future',
                        deliberation=deliberation.rec_name,
                        date=deliberation.executory_on.strftime(
                            '%d/%m/%Y')))
        cls.write(deliberations, {
                'executory_by': acting_user(gettext(
                        'pacte_grants.msg_act_vote')).id,
                })

    @classmethod
    @ModelView.button
    @transition('voted')
    def correct_act(cls, deliberations):
        "Correct the number or the dates of an act; the journal keeps them."
        Pool().get('grant.event').add([{
                    'record': r, 'name': name,
                    'before': getattr(r, name),
                    } for r in deliberations for name in [
                        'act_number', 'transmitted_on', 'received_on',
                        'published_on']])


# The kinds of decisions whose amounts are taken away from the grant.
REDUCING = ['reduction', 'withdrawal']


class Decision(
        AmountMixin, FrozenByMixin, CompanyMixin, ModelSQL, ModelView):
    "One line of a deliberation, on one application."
    __name__ = 'grant.decision'
    _amounts = ('amount',)
    _frozen_by = 'deliberation'
    _parent_states = frozenset({'draft'})
    _free_fields = frozenset({'observation', 'regularisation_reason'})
    _server_fields = frozenset({
            'application', 'kind', 'proposed_amount', 'anomaly',
            'amount_by', 'regularised_by', 'regularised_on', 'proposed_by',
            'deliberation', 'envelope', 'commitment', 'company'})

    deliberation = fields.Many2One(
        'grant.deliberation', "Deliberation", required=True, readonly=True,
        ondelete='RESTRICT')
    application = fields.Many2One(
        'grant.application', "Application", required=True, readonly=True,
        ondelete='RESTRICT')
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party',
        searcher='search_party')
    kind = fields.Selection([
            ('opinion', "Opinion"),
            ('award', "Award"),
            ('advance', "Advance"),
            ('complement', "Complement"),
            ('amendment', "Amendment"),
            ('reduction', "Reduction"),
            ('withdrawal', "Withdrawal"),
            ], "Kind", required=True, readonly=True, sort=False)
    envelope = fields.Many2One(
        'grant.envelope', "Envelope", readonly=True, ondelete='RESTRICT',
        states={'required': Eval('proposed_amount', 0) > 0})
    commitment = fields.Many2One(
        'grant.commitment', "Commitment", readonly=True,
        ondelete='RESTRICT')
    proposed_amount = Monetary(
        "Proposed", currency='currency', digits='currency', required=True,
        readonly=True)
    proposed_by = fields.Many2One(
        'res.user', "Put on the Agenda By", readonly=True,
        ondelete='RESTRICT')
    outcome = fields.Selection(OUTCOMES, "Vote", sort=False)
    amount = Monetary(
        "Voted Amount", currency='currency', digits='currency')
    amount_by = fields.Many2One(
        'res.user', "Amount Changed By", readonly=True, ondelete='RESTRICT')
    recusals = fields.Many2Many(
        'grant.decision-grant.member', 'decision', 'member', "Recusals",
        help="Members who took no part in the debate and the vote (L17).")
    recusal_names = fields.Function(
        fields.Char("Recused Members"), 'get_recusal_names')
    observation = fields.Text("Observation")
    anomaly = fields.Text(
        "Anomaly", readonly=True,
        help="Blocks commitment, issue and payment until regularised.")
    regularisation_reason = fields.Text(
        "Reason of the Regularisation",
        states={'invisible': ~Bool(Eval('anomaly'))})
    regularised_by = fields.Many2One(
        'res.user', "Regularised By", readonly=True, ondelete='RESTRICT')
    regularised_on = fields.Date("Regularised On", readonly=True)
    deliberation_state = fields.Function(fields.Selection(
            'get_deliberation_states', "State of the Deliberation"),
        'on_change_with_deliberation_state',
        searcher='search_deliberation_state')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('deliberation', 'DESC'), ('id', 'ASC')]
        cls._sql_indexes.update({
                Index(table, (table.deliberation, Index.Equality())),
                Index(table, (table.application, Index.Equality())),
                })
        cls._buttons.update({
                'regularise': {
                    'invisible': ~Bool(Eval('anomaly'))
                    | Bool(Eval('regularised_by')),
                    'depends': ['anomaly', 'regularised_by'],
                    },
                })

    @classmethod
    def default_kind(cls):
        return 'award'

    @classmethod
    def get_deliberation_states(cls):
        return Pool().get('grant.deliberation').fields_get(
            ['state'])['state']['selection']

    @fields.depends('deliberation', '_parent_deliberation.state')
    def on_change_with_deliberation_state(self, name=None):
        return self.deliberation.state if self.deliberation else None

    @classmethod
    def search_deliberation_state(cls, name, clause):
        return [('deliberation.state', *clause[1:])]

    @fields.depends('application', '_parent_application.party')
    def on_change_with_party(self, name=None):
        return self.application.party if self.application else None

    @classmethod
    def search_party(cls, name, clause):
        return [('application.' + clause[0], *clause[1:])]

    @classmethod
    def get_recusal_names(cls, decisions, name):
        return {
            d.id: ', '.join(m.rec_name for m in d.recusals) or None
            for d in decisions}

    @classmethod
    def view_attributes(cls):
        anomaly = (
            Bool(Eval('anomaly')) & ~Bool(Eval('regularised_by')))
        # The web client compares decimals by order only.
        differs = (
            (Eval('amount', 0) < Eval('proposed_amount', 0))
            | (Eval('amount', 0) > Eval('proposed_amount', 0)))
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(anomaly, 'danger',
                    If(Eval('outcome') == 'removed', 'muted',
                        If(differs
                            | Eval('outcome').in_(['refused', 'deferred'])
                            | Bool(Eval('recusals')), 'warning', ''))),
                ['anomaly', 'regularised_by', 'outcome', 'amount',
                    'proposed_amount', 'recusals']),
            ('//group[@id="regularisation"]', 'states', {
                    'invisible': ~Bool(Eval('anomaly')),
                    }, ['anomaly']),
            ]

    def get_rec_name(self, name):
        return f'{self.deliberation.number} – {self.application.rec_name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('application.rec_name', *clause[1:])]

    @classmethod
    def check_modification(cls, mode, decisions, values=None,
            external=False):
        super().check_modification(
            mode, decisions, values=values, external=external)
        if mode == 'write' and external:
            for decision in decisions:
                if (decision.outcome == 'removed'
                        or values.get('outcome') == 'removed'):
                    raise FrozenError(gettext(
                            'pacte_grants.msg_decision_removed',
                            decision=decision.rec_name))
        if mode == 'write' and 'amount' in values:
            cls._journal_amount(decisions, values['amount'])
        if mode == 'delete':
            for decision in decisions:
                raise FrozenError(gettext(
                        'pacte_grants.msg_decision_delete',
                        decision=decision.rec_name))

    @classmethod
    def _journal_amount(cls, decisions, amount):
        Pool().get('grant.event').add([{
                    'record': d, 'name': 'amount',
                    'before': d.amount, 'after': amount,
                    } for d in decisions if d.amount != amount])

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'write' and 'amount' in values:
            # Who changes an amount never approves its payment.
            values['amount_by'] = Transaction().user or None
        return values

    @classmethod
    def propose(cls, applications, deliberation, kind='award'):
        """Put the applications on the agenda: reserve their amounts on
        their envelopes and propose the recusals of the members who have a
        mandate in the partners (L17)."""
        Commitment = Pool().get('grant.commitment')
        user = acting_user(gettext('pacte_grants.msg_act_schedule'))
        recusals = cls.propose_recusals([a.party for a in applications])
        amounts = {a: a.get_amount_to_vote(kind) for a in applications}
        committed = [a for a in applications if amounts[a]]
        commitments = dict(zip(committed, Commitment.create([
                        cls._commitment_values(a, amounts[a])
                        for a in committed]), strict=True))
        return cls.create([{
                    'company': application.company.id,
                    'deliberation': deliberation.id,
                    'application': application.id,
                    'kind': kind,
                    'envelope': (
                        application.envelope.id if application.envelope
                        else None),
                    'commitment': (
                        commitments[application].id
                        if application in commitments else None),
                    'proposed_amount': amounts[application],
                    'proposed_by': user.id,
                    'recusals': [
                        ('add', sorted(recusals[application.party.id]))],
                    }
                for application in applications])

    @classmethod
    def propose_recusals(cls, parties):
        """Return by party id the ids of the members who have a mandate in
        it and take no part in the vote (L17)."""
        Mandate = Pool().get('grant.member.mandate')
        recusals = defaultdict(set)
        for mandate in Mandate.search([
                    ('party', 'in', [p.id for p in parties]),
                    ]):
            recusals[mandate.party.id].add(mandate.member.id)
        return recusals

    @property
    def sign(self):
        "What the amount does to the grant: 1 adds, -1 takes away."
        return -1 if self.kind in REDUCING else 1

    @classmethod
    def _commitment_values(cls, application, amount):
        return {
            'company': application.company.id,
            'envelope': application.envelope.id,
            'party': application.party.id,
            'year': application.year,
            'amount': amount,
            }

    @classmethod
    def remove(cls, decisions):
        "Take the lines off the agenda and release what they reserved."
        Commitment = Pool().get('grant.commitment')
        Commitment.release([
                d.commitment for d in decisions
                if d.commitment and d.commitment.state != 'released'])
        cls.write(decisions, {'outcome': 'removed'})

    @classmethod
    def record_votes(cls, decisions):
        """Carry the votes into commitments, applications and conventions.

        A vote above what the envelope has left is recorded as the fact it
        is, with an anomaly instead of a commitment (invariant 3).
        """
        pool = Pool()
        Application = pool.get('grant.application')
        Envelope = pool.get('grant.envelope')
        Envelope.claim(list({d.envelope for d in decisions if d.envelope}))
        Application.claim(list({d.application for d in decisions}))
        by_outcome = cls._record_outcomes(decisions)
        for outcome, sub in by_outcome.items():
            getattr(Application, f'vote_{outcome}')(
                [d.application for d in sub])
        cls._freeze_conventions(by_outcome['granted'])
        cls._set_tranches(by_outcome['refused'], 'refused')

    @classmethod
    def _record_outcomes(cls, decisions):
        """Carry the votes into the lines and their commitments; return the
        decisions by outcome."""
        Commitment = Pool().get('grant.commitment')
        by_outcome = defaultdict(list)
        for decision in cls.browse(decisions):
            by_outcome[decision.outcome or 'granted'].append(decision)
        to_release = by_outcome['refused'] + by_outcome['deferred']
        Commitment.release(
            [d.commitment for d in to_release if d.commitment])
        for decision in to_release:
            decision.amount = Decimal(0)
        for decision in by_outcome['granted']:
            decision.outcome = 'granted'
            if decision.amount is None:
                decision.amount = decision.proposed_amount
            elif not decision.amount and decision.proposed_amount:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_vote_no_amount',
                        decision=decision.rec_name))
        cls.save(to_release + by_outcome['granted'])
        cls._commit(by_outcome['granted'])
        return by_outcome

    @classmethod
    def _commit(cls, decisions):
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        Envelope = pool.get('grant.envelope')
        as_proposed, changed = [], []
        for decision in decisions:
            if not decision.commitment:
                continue
            if decision.amount == decision.proposed_amount:
                as_proposed.append(decision.commitment)
            else:
                changed.append(decision)
        Commitment.commit(as_proposed)
        # Lower amounts first: they give room to the higher ones.
        for decision in sorted(
                changed, key=lambda d: d.amount - d.proposed_amount):
            excess = decision.amount - decision.proposed_amount
            if excess <= 0 or Envelope.can_take(decision.envelope, excess):
                Commitment.write(
                    [decision.commitment], {'amount': decision.amount})
                Commitment.commit([decision.commitment])
            else:
                envelope = Envelope(decision.envelope.id)
                cls.write([decision], {
                        'anomaly': gettext(
                            'pacte_grants.msg_vote_above_envelope',
                            amount=money(decision.amount),
                            envelope=envelope.rec_name,
                            available=money(envelope.available)),
                        })
                Commitment.release([decision.commitment])

    @classmethod
    def _freeze_conventions(cls, decisions):
        Convention = Pool().get('grant.convention')
        # What an amendment joins to a convention waits for its signature.
        decisions = [d for d in decisions if d.application.convention]
        conventions = Convention.claim(
            list({d.application.convention for d in decisions}))
        voted = defaultdict(Decimal)
        for decision in decisions:
            voted[decision.application.convention.id,
                decision.application.year] += (
                    decision.get_tranche_amount(decision.amount))
        by_date = defaultdict(list)
        for decision in decisions:
            by_date[decision.deliberation.session.date].append(
                decision.application.convention)
        for date, sub in by_date.items():
            Convention.freeze(list(set(sub)), date)
        for convention in Convention.browse(conventions):
            for tranche in convention.tranches:
                amount = voted.get((convention.id, tranche.year))
                if amount is not None and tranche.amount != amount:
                    Convention.set_voted_amount(
                        convention, tranche.year, amount)
        cls._set_tranches(decisions, 'voted')

    @classmethod
    def _set_tranches(cls, decisions, status):
        """Give the status to the tranches that the decisions vote; a refusal
        concerns only those of later years of a running convention."""
        Tranche = Pool().get('grant.tranche')
        applications = [
            a for a in {d.application for d in decisions}
            if a.convention and (status == 'voted' or a.later_tranche)]
        Tranche.set_status([
                t for a in applications for t in a.convention.tranches
                if t.year == a.year], status)

    @classmethod
    def undo_votes(cls, decisions):
        """Undo votes recorded by mistake: reserve again what was proposed.

        Raise ``FrozenError`` if a convention was issued since.
        """
        pool = Pool()
        Application = pool.get('grant.application')
        Convention = pool.get('grant.convention')
        decisions = cls.browse(decisions)
        granted = [d for d in decisions if d.outcome == 'granted']
        for decision in granted:
            decision.check_undo()
        running = [d for d in granted if d.application.convention]
        first = list({
                d.application.convention for d in running
                if not d.application.later_tranche})
        Convention.claim(list({d.application.convention for d in running}))
        Convention.unfreeze(first)
        cls._set_tranches(
            [d for d in decisions if d.application.later_tranche
                or d.outcome == 'granted'], 'indicative')
        for decision in decisions:
            decision.back_to_proposal()
        for convention in {d.application.convention for d in decisions}:
            if not convention:
                continue
            years = {
                d.application.year for d in decisions
                if d.application.convention == convention}
            convention = Convention(convention.id)
            proposed = convention.proposed_amounts
            for tranche in convention.tranches:
                amount = proposed[tranche.year]
                if tranche.year in years and tranche.amount != amount:
                    Convention.set_voted_amount(
                        Convention(convention.id), tranche.year, amount)
        Convention.unfreeze(Convention.browse(first))
        Application.back_to_agenda([d.application for d in decisions])

    def back_to_proposal(self):
        "Reserve again what was proposed and forget the vote of the line."
        Commitment = Pool().get('grant.commitment')
        commitment = self.commitment
        if commitment and commitment.state == 'committed':
            Commitment.uncommit([commitment])
            Commitment.write(
                [commitment], {'amount': self.proposed_amount})
        elif commitment:
            commitment, = Commitment.create([
                    self._commitment_values(
                        self.application, self.proposed_amount)])
        with thaw():
            self.__class__.write([self], {
                    'commitment': commitment.id if commitment else None,
                    'outcome': None,
                    'amount': None,
                    'anomaly': None,
                    'regularised_by': None,
                    'regularised_on': None,
                    })

    def check_undo(self):
        """Raise ``FrozenError`` if the vote of a later tranche may no longer
        be undone: the partner was told of it."""
        tranche = self.application.later_tranche
        if tranche and tranche.notified_on:
            raise FrozenError(gettext(
                    'pacte_grants.msg_vote_undo_notified',
                    decision=self.rec_name,
                    tranche=tranche.rec_name))

    @property
    def on_agenda(self):
        "Whether the line waits for the vote of its deliberation."
        return (
            self.deliberation.state == 'draft' and self.outcome != 'removed')

    def get_tranche_amount(self, amount):
        """Return what the year gets (euros) if the amount of the line is
        voted."""
        return amount

    @property
    def founding(self):
        "Whether the vote is one of those from which the convention started."
        convention = self.application.convention
        return bool(convention) and self.application.year == convention.year

    @classmethod
    @ModelView.button
    def regularise(cls, decisions):
        """Commit a vote that stood above its envelope once there is room,
        with a reason, by a named person (invariant 3)."""
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        Override = pool.get('grant.override')
        user = acting_user(gettext('pacte_grants.msg_act_regularise'))
        Deliberation = pool.get('grant.deliberation')
        Deliberation.claim([d.deliberation for d in decisions])
        for decision in cls.browse(decisions):
            if not decision.anomaly or decision.regularised_by:
                raise TransitionError(gettext(
                        'pacte_grants.msg_decision_no_anomaly',
                        decision=decision.rec_name))
            if not decision.regularisation_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_decision_regularisation_reason',
                        decision=decision.rec_name))
            commitment, = Commitment.create([cls._commitment_values(
                        decision.application, decision.amount)])
            Commitment.commit([commitment])
            cls.write([decision], {
                    'commitment': commitment.id,
                    'regularised_by': user.id,
                    'regularised_on': pool.get('ir.date').today(),
                    })
            Override.create([{
                        'record': str(decision),
                        'rule': 'envelope',
                        'reason': decision.regularisation_reason,
                        'after': money(decision.amount),
                        'user': user.id,
                        }])


class DecisionMember(FrozenByMixin, ModelSQL):
    __name__ = 'grant.decision-grant.member'
    _frozen_by = 'decision.deliberation'

    decision = fields.Many2One(
        'grant.decision', "Decision", required=True, ondelete='CASCADE')
    member = fields.Many2One(
        'grant.member', "Member", required=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('decision')

    def get_rec_name(self, name):
        return self.member.rec_name


class Application(metaclass=PoolMeta):
    __name__ = 'grant.application'

    next_deliberation = fields.Many2One(
        'grant.deliberation', "Deliberation", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ],
        states={
            'readonly': ~Eval('state').in_(['admissible', 'reviewed']),
            },
        help="The report in which the application goes to a session.")
    decisions = fields.One2Many(
        'grant.decision', 'application', "Decisions", readonly=True)
    granted_amount = fields.Function(Monetary(
            "Granted Amount", currency='currency', digits='currency',
            help="Sum of the votes."), 'get_granted_amount')
    previous_amount = fields.Function(Monetary(
            "Previous Year", currency='currency', digits='currency',
            help="What the partner was granted by the same scheme the year "
            "before."), 'get_previous_amount')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'schedule': {
                    'invisible': Eval('state') != 'reviewed',
                    'readonly': ~Eval('next_deliberation'),
                    'depends': ['state', 'next_deliberation'],
                    },
                'unschedule': {
                    'invisible': Eval('state') != 'scheduled',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def get_granted_amount(cls, applications, name):
        decision = Pool().get('grant.decision').__table__()
        deliberation = Pool().get('grant.deliberation').__table__()
        amounts = {}
        for sub in grouped_slice(applications, SLICE):
            query = decision.join(
                deliberation,
                condition=decision.deliberation == deliberation.id).select(
                decision.application,
                Sum(Case(
                        (decision.kind.in_(REDUCING), -decision.amount),
                        else_=decision.amount)),
                where=reduce_ids(
                    decision.application, [a.id for a in sub])
                & (decision.outcome == 'granted')
                & deliberation.state.in_(['voted', 'executory']),
                group_by=[decision.application])
            amounts.update(read_sums(query))
        return {
            a.id: a.currency.round(Decimal(amounts.get(a.id, 0)))
            for a in applications}

    def get_amount_to_vote(self, kind):
        "Return what a decision of the kind proposes (euros)."
        return self.proposed_amount

    @classmethod
    def get_previous_amount(cls, applications, name):
        def key(application, years=0):
            return (application.company.id, application.party.id,
                application.scheme.id, application.year - years)

        previous = cls.search([
                ('party', 'in', list({a.party.id for a in applications})),
                ('scheme', 'in', list({a.scheme.id for a in applications})),
                ('year', 'in', list({a.year - 1 for a in applications})),
                ('state', '=', 'granted'),
                ])
        amounts = defaultdict(Decimal)
        for application in previous:
            amounts[key(application)] += application.granted_amount
        return {a.id: amounts.get(key(a, 1)) for a in applications}

    @classmethod
    def copy(cls, applications, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('next_deliberation', None)
        default.setdefault('decisions', None)
        return super().copy(applications, default=default)

    @classmethod
    @ModelView.button
    @transition('scheduled')
    def schedule(cls, applications):
        """Put the applications on the agenda of their deliberation, which
        reserves their envelopes; refused above what is left."""
        pool = Pool()
        Convention = pool.get('grant.convention')
        Decision = pool.get('grant.decision')
        # The yearly total of a partner decides on the form (L03).
        pool.get('party.party').claim(list({a.party for a in applications}))
        forms = Convention.decide_forms(applications)
        by_deliberation = defaultdict(list)
        for application in applications:
            application.check_agenda()
            application.check_award(forms[application])
            by_deliberation[application.next_deliberation].append(application)
        for deliberation, sub in by_deliberation.items():
            Decision.propose(sub, deliberation)

    def check_agenda(self):
        """Raise ``CompletenessError`` unless a deliberation that is still
        being prepared is chosen."""
        deliberation = self.next_deliberation
        if (not deliberation or deliberation.state != 'draft'
                or deliberation.session.state not in {'draft', 'convened'}):
            raise CompletenessError(gettext(
                    'pacte_grants.msg_schedule_deliberation',
                    application=self.rec_name))

    @classmethod
    @ModelView.button
    @transition('reviewed')
    def unschedule(cls, applications):
        cls._leave_agenda(applications)

    @classmethod
    def _leave_agenda(cls, applications):
        Decision = Pool().get('grant.decision')
        Decision.remove(Decision.search([
                    ('application', 'in', [a.id for a in applications]),
                    ('deliberation.state', '=', 'draft'),
                    ['OR',
                        ('outcome', '=', None),
                        ('outcome', '!=', 'removed'),
                        ],
                    ]))

    @classmethod
    @ModelView.button
    def withdraw(cls, applications):
        scheduled = [a for a in applications if a.state == 'scheduled']
        super().withdraw(applications)
        cls._leave_agenda(scheduled)

    @classmethod
    @ModelView.button
    def renounce(cls, applications):
        "The applicant gives up after the vote, and so ends the convention."
        Convention = Pool().get('grant.convention')
        super().renounce(applications)
        for application in applications:
            convention = application.convention
            tranche = application.later_tranche
            if tranche:
                tranche.give_up(application.withdrawal_reason)
                convention._release([
                        d.commitment for d in application.decisions
                        if d.commitment
                        and d.commitment.state == 'committed'])
            elif not convention:
                # It never entered the convention that it was to join.
                Pool().get('grant.commitment').release([
                        d.commitment for d in application.decisions
                        if d.commitment
                        and d.commitment.state == 'committed'])
            elif convention.state not in DEAD_STATES:
                Convention.write([convention], {
                        'ending_reason': application.withdrawal_reason})
                Convention.renounce([convention])

    @classmethod
    @transition('granted')
    def vote_granted(cls, applications):
        pass

    @classmethod
    @transition('refused')
    def vote_refused(cls, applications):
        pass

    @classmethod
    @transition('deferred')
    def vote_deferred(cls, applications):
        pass

    @classmethod
    @transition('scheduled')
    def back_to_agenda(cls, applications):
        pass


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    decisions = fields.Function(fields.Many2Many(
            'grant.decision', None, None, "Decisions"), 'get_decisions')
    executory_on = fields.Function(
        fields.Date("Executory On"), 'get_executory_on')

    @classmethod
    def get_decisions(cls, conventions, name):
        result = defaultdict(list)
        for decision in Pool().get('grant.decision').search([
                    ('application.convention', 'in',
                        [c.id for c in conventions]),
                    ('outcome', '=', 'granted'),
                    ('deliberation.state', 'in', ['voted', 'executory']),
                    ], order=[('id', 'ASC')]):
            result[decision.application.convention.id].append(decision.id)
        return {c.id: result[c.id] for c in conventions}

    @classmethod
    def get_executory_on(cls, conventions, name):
        dates = {}
        for convention in conventions:
            deliberations = {
                d.deliberation for d in convention.decisions if d.founding}
            if deliberations and all(
                    d.state == 'executory' for d in deliberations):
                dates[convention.id] = max(
                    d.executory_on for d in deliberations)
            else:
                dates[convention.id] = None
        return dates

    def get_issue_reasons(self):
        reasons = super().get_issue_reasons()
        for decision in self.decisions:
            if decision.anomaly and not decision.regularised_by:
                reasons.append(decision.anomaly)
        if self.frozen_on and not self.decisions:
            reasons.append(gettext('pacte_grants.msg_issue_not_voted'))
        return reasons

    def check_executory(self):
        super().check_executory()
        if not self.executory_on:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_convention_not_executory',
                    convention=self.rec_name))

    @classmethod
    @ModelView.button
    def renounce(cls, conventions):
        "The partner gives up the grant, and its voted applications with it."
        Application = Pool().get('grant.application')
        super().renounce(conventions)
        for convention in conventions:
            granted = [
                a for a in convention.applications if a.state == 'granted']
            if granted:
                Application.write(granted, {
                        'withdrawal_reason': convention.ending_reason})
                Application.renounce(granted)

    @classmethod
    def _end(cls, conventions):
        super()._end(conventions)
        for convention in conventions:
            commitments = [
                d.commitment for d in convention.decisions
                if d.commitment and d.commitment.state == 'committed']
            convention._release(commitments)

    def _release(self, commitments):
        "Release what the convention will not use of its commitments."
        Pool().get('grant.commitment').release(commitments)


class Tranche(metaclass=PoolMeta):
    __name__ = 'grant.tranche'

    def check_executory(self):
        super().check_executory()
        decisions = [
            d for d in self.convention.decisions
            if d.application.year == self.year]
        if not decisions or any(
                d.deliberation.state != 'executory' for d in decisions):
            raise CompletenessError(gettext(
                    'pacte_grants.msg_convention_not_executory',
                    convention=self.rec_name))


class Commitment(metaclass=PoolMeta):
    __name__ = 'grant.commitment'

    application = fields.Function(fields.Many2One(
            'grant.application', "Application"),
        'get_application', searcher='search_application')

    @classmethod
    def get_application(cls, commitments, name):
        Decision = Pool().get('grant.decision')
        applications = {}
        for sub in grouped_slice(commitments, SLICE):
            for decision in Decision.search([
                        ('commitment', 'in', [c.id for c in sub]),
                        ], order=[('id', 'ASC')]):
                applications[decision.commitment.id] = decision.application.id
        return {c.id: applications.get(c.id) for c in commitments}

    @classmethod
    def search_application(cls, name, clause):
        Decision = Pool().get('grant.decision')
        query = Decision.search([
                ('commitment', '!=', None),
                tuple(clause),
                ])
        return [('id', 'in', [d.commitment.id for d in query])]


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('grant.member', 'party'),
            ('grant.member.mandate', 'party'),
            ]
