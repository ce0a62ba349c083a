# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Applications for a grant, their budget and their pieces."
from collections import defaultdict
from decimal import Decimal

from dateutil.relativedelta import relativedelta
from sql.aggregate import Sum

from trytond.i18n import gettext
from trytond.model import (
    ChatMixin, DeactivableMixin, Index, ModelSQL, ModelView, Unique, fields,
    sequence_ordered)
from trytond.model.exceptions import AccessError
from trytond.modules.currency.fields import Monetary
from trytond.modules.party.exceptions import EraseError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import Transaction

from .check import (
    AmountMixin, PeriodMixin, bulleted, money, year_domain)
from .configuration import NumberedMixin
from .exceptions import AmountError, BudgetError, CompletenessError
from .mixin import (
    FrozenByMixin, ReopenMixin, WorkflowMixin, acting_user, transition)
from .party import PUBLIC_KINDS
from .scheme import PIECE_KINDS, CompanyMixin
from .search import get_values
from .sums import SLICE, read_sums

BEFORE_VOTE = [
    'submitted', 'incomplete', 'admissible', 'reviewed', 'scheduled',
    'deferred']
_ENTRY = ['draft', 'submitted', 'incomplete', 'admissible']
_STATES_ENTRY = {'readonly': ~Eval('state').in_(_ENTRY)}
_STATES_DRAFT = {'readonly': ~Eval('state').in_(
        ['draft', 'submitted', 'incomplete'])}
_STATES_REVIEW = {'readonly': ~Eval('state').in_(_ENTRY + ['reviewed'])}
_FREE = frozenset({'officer', 'deputy'})
FINISHED = ['ineligible', 'refused', 'withdrawn', 'renounced']


class Application(
        AmountMixin, PeriodMixin, ReopenMixin, WorkflowMixin, NumberedMixin,
        CompanyMixin, ModelSQL, ModelView, ChatMixin):
    __name__ = 'grant.application'
    _numbering = 'application'
    _amounts = (
        'total_cost', 'eligible_cost', 'requested_amount', 'proposed_amount')
    _server_fields = frozenset({
            'complete_on', 'submitted_by', 'submitted_on', 'admitted_by',
            'admitted_on', 'reviewed_by', 'reviewed_on', 'silence_on'})
    _frozen = {
        'reviewed': _FREE | {
            'proposed_amount', 'proposal_motive', 'envelope', 'orientations',
            'commune', 'areas', 'withdrawal_reason', 'description',
            'eligible_cost', 'next_deliberation', 'convention'},
        'scheduled': _FREE | {'withdrawal_reason'},
        'granted': _FREE | {'withdrawal_reason'},
        'refused': _FREE,
        'ineligible': _FREE,
        'deferred': _FREE | {'withdrawal_reason'},
        'withdrawn': _FREE,
        'renounced': _FREE,
        }

    party = fields.Many2One(
        'party.party', "Partner", required=True, ondelete='RESTRICT',
        domain=[('partner_kind', '!=', None)],
        context={'company': Eval('company', -1)}, depends={'company'},
        states=_STATES_DRAFT)
    scheme = fields.Many2One(
        'grant.scheme', "Scheme", required=True, ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        states=_STATES_DRAFT)
    call = fields.Many2One(
        'grant.call', "Call", ondelete='RESTRICT',
        domain=[('scheme', '=', Eval('scheme', -1))],
        states=_STATES_DRAFT,
        help="Leave empty for a scheme that takes applications all year.")
    service = fields.Function(fields.Many2One(
            'grant.service', "Service"),
        'on_change_with_service', searcher='search_service')
    year = fields.Integer(
        "Year", required=True, domain=year_domain('year'),
        states=_STATES_DRAFT,
        help="The budget year of the grant.")
    channel = fields.Selection([
            ('online', "Online"),
            ('email', "E-mail"),
            ('paper', "Paper"),
            ('desk', "Desk"),
            ], "Channel", required=True, sort=False, states=_STATES_DRAFT)
    received_on = fields.Date(
        "Received On", required=True, states=_STATES_DRAFT,
        help="When the application arrived, not when it was typed in.")
    complete_on = fields.Date("Complete On", readonly=True)
    silence_on = fields.Date(
        "Silence Date", readonly=True,
        help="From this date on silence means refusal (L31).")
    title = fields.Char("Title", required=True, states=_STATES_ENTRY)
    description = fields.Text("Description", states=_STATES_REVIEW)
    officer = fields.Many2One(
        'company.employee', "Officer", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))])
    deputy = fields.Many2One(
        'company.employee', "Deputy", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))])
    commune = fields.Many2One(
        'grant.commune', "Commune", ondelete='RESTRICT',
        states=_STATES_REVIEW, help="Where the project takes place.")
    territory = fields.Function(fields.Many2One(
            'grant.area', "Territory"),
        'on_change_with_territory', searcher='search_territory')
    areas = fields.Many2Many(
        'grant.application-grant.area', 'application', 'area', "Areas",
        states=_STATES_REVIEW)
    orientations = fields.Many2Many(
        'grant.application-grant.orientation', 'application', 'orientation',
        "Orientations of the Pact", states=_STATES_REVIEW)
    start_date = fields.Date("Start Date", states=_STATES_ENTRY)
    end_date = fields.Date("End Date", states=_STATES_ENTRY)
    total_cost = Monetary(
        "Total Cost", currency='currency', digits='currency',
        states=_STATES_ENTRY)
    eligible_cost = Monetary(
        "Eligible Cost", currency='currency', digits='currency',
        states=_STATES_REVIEW)
    requested_amount = Monetary(
        "Requested Amount", currency='currency', digits='currency',
        required=True, states=_STATES_ENTRY)
    scale_amount = fields.Function(Monetary(
            "Scale Amount", currency='currency', digits='currency',
            help="What the scheme's scale gives for the eligible cost."),
        'on_change_with_scale_amount')
    proposed_amount = Monetary(
        "Proposed Amount", currency='currency', digits='currency',
        states={'readonly': ~Eval('state').in_(['admissible', 'reviewed'])})
    proposal_motive = fields.Text(
        "Motive of the Proposal",
        states={'readonly': ~Eval('state').in_(['admissible', 'reviewed'])},
        help="Needed to propose more than the scale or the request.")
    envelope = fields.Many2One(
        'grant.envelope', "Envelope", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        states=_STATES_REVIEW)
    budget_lines = fields.One2Many(
        'grant.application.budget_line', 'application', "Budget",
        states=_STATES_ENTRY)
    expenses = fields.One2Many(
        'grant.application.budget_line', 'application', "Expenses",
        filter=[('heading.side', '=', 'expense')],
        domain=[('heading.side', '=', 'expense')],
        states=_STATES_ENTRY)
    incomes = fields.One2Many(
        'grant.application.budget_line', 'application', "Incomes",
        filter=[('heading.side', '=', 'income')],
        domain=[('heading.side', '=', 'income')],
        states=_STATES_ENTRY)
    expense_total = fields.Function(Monetary(
            "Total Expenses", currency='currency', digits='currency'),
        'get_budget')
    income_total = fields.Function(Monetary(
            "Total Income", currency='currency', digits='currency'),
        'get_budget')
    budget_gap = fields.Function(Monetary(
            "Gap", currency='currency', digits='currency',
            help="Expenses minus income, contributions in kind apart."),
        'get_budget')
    pieces = fields.One2Many(
        'grant.application.piece', 'application', "Pieces",
        states=_STATES_REVIEW)
    missing_pieces = fields.Function(
        fields.Integer("Missing Pieces"), 'get_missing_pieces')
    admissibility = fields.Function(fields.Text(
            "To Settle before Admission",
            help="Everything that prevents the application from being "
            "admissible."),
        'get_admissibility')
    pieces_request = fields.Text(
        "Request of Pieces",
        states={'readonly': ~Eval('state').in_(['submitted', 'incomplete'])},
        help="What is asked from the applicant and why.")
    ineligible_reason = fields.Text(
        "Reason of Ineligibility",
        states={'readonly': ~Eval('state').in_(['submitted', 'incomplete'])})
    withdrawal_reason = fields.Text(
        "Reason of Withdrawal",
        states={'readonly': ~Eval('state').in_(BEFORE_VOTE + ['granted'])})
    submitted_by = fields.Many2One(
        'res.user', "Submitted By", readonly=True, ondelete='RESTRICT')
    submitted_on = fields.Date("Submitted On", readonly=True)
    admitted_by = fields.Many2One(
        'res.user', "Admitted By", readonly=True, ondelete='RESTRICT')
    admitted_on = fields.Date("Admitted On", readonly=True)
    reviewed_by = fields.Many2One(
        'res.user', "Proposed By", readonly=True, ondelete='RESTRICT')
    reviewed_on = fields.Date("Proposed On", readonly=True)
    whose_turn = fields.Function(fields.Selection([
                ('officer', "Officer"),
                ('partner', "Partner"),
                ('assembly', "Assembly Service"),
                (None, ""),
                ], "Whose Turn", sort=False),
        'on_change_with_whose_turn', searcher='search_whose_turn')
    attention = fields.Function(fields.Selection([
                ('late', "Late"),
                ('soon', "Due Soon"),
                ('complete', "Complete"),
                ('finished', "Finished"),
                (None, ""),
                ], "Follow-up", sort=False,
            help="Late: the silence date is past. Complete: all the pieces "
            "asked for have come in."),
        'get_attention', searcher='search_attention')
    events = fields.One2Many(
        'grant.event', 'record', "Journal", readonly=True)
    state = fields.Selection([
            ('draft', "Being Entered"),
            ('submitted', "Submitted"),
            ('incomplete', "Pieces Requested"),
            ('admissible', "Admissible, under Review"),
            ('ineligible', "Ineligible"),
            ('reviewed', "Reviewed"),
            ('scheduled', "On the Agenda"),
            ('granted', "Voted"),
            ('refused', "Refused"),
            ('deferred', "Deferred"),
            ('withdrawn', "Withdrawn by the Applicant"),
            ('renounced', "Renounced"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('received_on', 'DESC'), ('id', 'DESC')]
        cls._sql_constraints.append((
                'company_number_unique',
                Unique(table, table.company, table.number),
                'pacte_grants.msg_application_number_unique'))
        cls._sql_indexes.update({
                Index(table,
                    (table.state, Index.Equality(cardinality='low')),
                    (table.received_on, Index.Range(order='DESC'))),
                Index(table, (table.officer, Index.Equality())),
                Index(table, (table.party, Index.Equality())),
                Index(table, (table.scheme, Index.Equality())),
                Index(table, (table.silence_on, Index.Range())),
                })
        cls._transitions = {
            ('draft', 'submitted'),
            ('submitted', 'draft'),
            ('submitted', 'incomplete'),
            ('incomplete', 'submitted'),
            ('submitted', 'admissible'),
            ('submitted', 'ineligible'),
            ('incomplete', 'ineligible'),
            ('ineligible', 'submitted'),
            ('admissible', 'submitted'),
            ('admissible', 'reviewed'),
            ('reviewed', 'admissible'),
            ('reviewed', 'scheduled'),
            ('scheduled', 'reviewed'),
            ('scheduled', 'granted'),
            ('scheduled', 'refused'),
            ('scheduled', 'deferred'),
            ('granted', 'scheduled'),
            ('refused', 'scheduled'),
            ('deferred', 'scheduled'),
            ('deferred', 'reviewed'),
            ('refused', 'admissible'),
            ('granted', 'renounced'),
            ('withdrawn', 'submitted'),
            } | {(state, 'withdrawn') for state in BEFORE_VOTE}
        cls._buttons.update({
                'submit': {
                    'invisible': Eval('state') != 'draft',
                    'depends': ['state'],
                    },
                'ask_pieces': {
                    'invisible': Eval('state') != 'submitted',
                    'depends': ['state'],
                    },
                'receive_pieces': {
                    'invisible': ~Eval('state').in_(
                        ['submitted', 'incomplete']),
                    'depends': ['state'],
                    },
                'resubmit': {
                    'invisible': Eval('state') != 'incomplete',
                    'depends': ['state'],
                    },
                'admit': {
                    'invisible': Eval('state') != 'submitted',
                    'depends': ['state'],
                    },
                'declare_ineligible': {
                    'invisible': ~Eval('state').in_(
                        ['submitted', 'incomplete']),
                    'depends': ['state'],
                    },
                'review': {
                    'invisible': Eval('state') != 'admissible',
                    'depends': ['state'],
                    },
                'withdraw': {
                    'invisible': ~Eval('state').in_(BEFORE_VOTE),
                    'depends': ['state'],
                    },
                'renounce': {
                    'invisible': Eval('state') != 'granted',
                    'depends': ['state'],
                    },
                'reopen': {
                    'invisible': ~Eval('state').in_(list(cls._reopened)),
                    'depends': ['state'],
                    },
                'appeal': {
                    'invisible': Eval('state') != 'refused',
                    'depends': ['state'],
                    },
                'draft': {
                    'invisible': Eval('state') != 'submitted',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def view_attributes(cls):
        attention = Eval('attention')
        colour = If(attention == 'late', 'danger',
            If(attention == 'soon', 'warning',
                If(attention == 'complete', 'success', '')))
        return super().view_attributes() + [
            ('/tree', 'visual', If(attention == 'finished', 'muted', '')),
            ('/tree/field[@name="attention"]', 'visual', colour),
            ('/tree/field[@name="silence_on"]', 'visual',
                If(attention.in_(['late', 'soon']), colour, '')),
            ('//group[@id="admissibility_list"]', 'states', {
                    'invisible': ~Bool(Eval('admissibility')),
                    }),
            ('//group[@id="ask_pieces"]', 'states', {
                    'invisible': ~Eval('state').in_(
                        ['submitted', 'incomplete']),
                    }),
            ('//group[@id="ineligibility"]', 'states', {
                    'invisible': ~Eval('state').in_(
                        ['submitted', 'incomplete', 'ineligible']),
                    }),
            ('//group[@id="schedule"]', 'states', {
                    'invisible': ~Eval('state').in_(
                        ['admissible', 'reviewed', 'scheduled']),
                    }),
            ('//page[@id="withdrawal"]', 'states', {
                    'invisible': ~Eval('state').in_(
                        BEFORE_VOTE + ['granted', 'withdrawn', 'renounced']),
                    }),
            ]

    _reopened = {
        'ineligible': 'submitted',
        'withdrawn': 'submitted',
        'admissible': 'submitted',
        'reviewed': 'admissible',
        'deferred': 'reviewed',
        }

    @classmethod
    def default_year(cls):
        return Pool().get('ir.date').today().year

    @classmethod
    def default_received_on(cls):
        return Pool().get('ir.date').today()

    @classmethod
    def default_channel(cls):
        return 'online'

    @classmethod
    def default_officer(cls):
        return Transaction().context.get('employee')

    @classmethod
    def default_state(cls):
        return 'draft'

    @fields.depends('scheme', 'orientations', 'call')
    def on_change_scheme(self):
        if self.scheme:
            if not self.orientations:
                self.orientations = self.scheme.orientations
            if self.call and self.call.scheme != self.scheme:
                self.call = None

    @fields.depends('call', 'envelope')
    def on_change_call(self):
        if self.call:
            self.year = self.call.year
            if self.call.envelope:
                self.envelope = self.call.envelope

    @fields.depends('party', 'commune')
    def on_change_party(self):
        if self.party and not self.commune:
            self.commune = self.party.commune

    @fields.depends('total_cost', 'eligible_cost')
    def on_change_total_cost(self):
        if self.eligible_cost is None:
            self.eligible_cost = self.total_cost

    @fields.depends('scheme')
    def on_change_with_service(self, name=None):
        return self.scheme.service if self.scheme else None

    @classmethod
    def search_service(cls, name, clause):
        return [('scheme.' + clause[0], *clause[1:])]

    @fields.depends('scheme', 'eligible_cost')
    def on_change_with_scale_amount(self, name=None):
        if self.scheme:
            return self.scheme.compute_amount(self.eligible_cost)

    _turns = {
        'officer': [
            'draft', 'submitted', 'admissible', 'reviewed', 'deferred',
            'granted'],
        'partner': ['incomplete'],
        'assembly': ['scheduled'],
        }

    @fields.depends('state')
    def on_change_with_whose_turn(self, name=None):
        for turn, states in self._turns.items():
            if self.state in states:
                return turn

    @classmethod
    def search_whose_turn(cls, name, clause):
        values, negative = get_values(clause)
        states = sum((cls._turns.get(v, []) for v in values if v), [])
        if None in values:
            known = sum(cls._turns.values(), [])
            states += [
                s for s, _ in cls.state.selection if s not in known]
        return [('state', 'not in' if negative else 'in', states)]

    @fields.depends('commune')
    def on_change_with_territory(self, name=None):
        return self.commune.territory if self.commune else None

    @classmethod
    def search_territory(cls, name, clause):
        return [('commune.' + clause[0], *clause[1:])]

    @classmethod
    def _attention_dates(cls):
        pool = Pool()
        today = pool.get('ir.date').today()
        days = int(pool.get('grant.parameter').get('DUE_SOON', today))
        return today, today + relativedelta(days=days)

    @classmethod
    def get_attention(cls, applications, name):
        today, soon = cls._attention_dates()
        result = {}
        for application in applications:
            attention = None
            if application.state in FINISHED:
                attention = 'finished'
            elif application.state in BEFORE_VOTE:
                if application.silence_on < today:
                    attention = 'late'
                elif application.silence_on <= soon:
                    attention = 'soon'
                elif (application.state in {'submitted', 'incomplete'}
                        and not application.missing_pieces):
                    attention = 'complete'
            result[application.id] = attention
        return result

    @classmethod
    def search_attention(cls, name, clause):
        values, negative = get_values(clause)
        today, soon = cls._attention_dates()
        domains = {
            'finished': [('state', 'in', FINISHED)],
            'late': [
                ('state', 'in', BEFORE_VOTE),
                ('silence_on', '<', today),
                ],
            'soon': [
                ('state', 'in', BEFORE_VOTE),
                ('silence_on', '>=', today),
                ('silence_on', '<=', soon),
                ],
            'complete': [
                ('state', 'in', ['submitted', 'incomplete']),
                ('silence_on', '>', soon),
                ('pieces', 'not where', [
                        ('required', '=', True),
                        ['OR',
                            ('refused_reason', 'not in', [None, '']),
                            [
                                ('received_on', '=', None),
                                ('permanent', '=', None),
                                ],
                            ],
                        ]),
                ],
            }
        found = ['OR', *(domains[v] for v in values if v in domains)]
        if None in values:
            known = cls.search(['OR', *domains.values()], order=[], query=True)
            found.append(('id', 'not in', known))
        if len(found) == 1:
            found = [('id', '=', None)]
        if negative:
            return [
                ('id', 'not in', cls.search(found, order=[], query=True))]
        return found

    @classmethod
    def get_budget(cls, applications, names):
        line = Pool().get('grant.application.budget_line').__table__()
        heading = Pool().get('grant.budget.heading').__table__()
        sums = defaultdict(lambda: defaultdict(Decimal))
        for sub in grouped_slice(applications, SLICE):
            query = line.join(
                heading, condition=line.heading == heading.id).select(
                line.application, heading.side,
                Sum(line.amount),
                where=reduce_ids(line.application, [a.id for a in sub])
                & (heading.in_kind == False),  # noqa: E712
                group_by=[line.application, heading.side])
            for id_, side, amount in read_sums(query, keys=2):
                sums[id_][side] = Decimal(amount)
        result = {name: {} for name in names}
        for application in applications:
            expense = sums[application.id]['expense']
            income = sums[application.id]['income']
            values = {
                'expense_total': expense,
                'income_total': income,
                'budget_gap': expense - income,
                }
            for name in names:
                value = values[name]
                if application.currency:
                    value = application.currency.round(value)
                result[name][application.id] = value
        return result

    @classmethod
    def get_missing_pieces(cls, applications, name):
        missing = dict.fromkeys([a.id for a in applications], 0)
        for application in applications:
            missing[application.id] = sum(
                1 for p in application.pieces if p.is_missing)
        return missing

    def get_admissibility(self, name):
        if self.state in {'draft', 'submitted', 'incomplete'}:
            return bulleted(self.get_admissibility_reasons())

    def get_rec_name(self, name):
        return f'{self.number} – {self.title}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('number', *clause[1:]),
            ('title', *clause[1:]),
            ('party.rec_name', *clause[1:]),
            ]

    def compute_fields(self, field_names=None):
        values = super().compute_fields(field_names=field_names)
        if field_names is None or 'received_on' in field_names:
            silence_on = None
            if self.received_on:
                Parameter = Pool().get('grant.parameter')
                months = int(Parameter.get('L31_SILENCE', self.received_on))
                silence_on = self.received_on + relativedelta(months=months)
            if self.silence_on != silence_on:
                values['silence_on'] = silence_on
        return values

    @classmethod
    def check_modification(
            cls, mode, applications, values=None, external=False):
        super().check_modification(
            mode, applications, values=values, external=external)
        if mode == 'delete':
            for application in applications:
                if application.submitted_on:
                    raise AccessError(gettext(
                            'pacte_grants.msg_application_delete_received',
                            application=application.rec_name))
        if mode == 'write' and 'proposed_amount' in values:
            # Who changes an amount never approves its payment.
            amount = values['proposed_amount']
            Pool().get('grant.event').add([{
                        'record': a, 'name': 'proposed_amount',
                        'before': a.proposed_amount, 'after': amount,
                        } for a in applications
                    if a.proposed_amount != amount])

    @classmethod
    def copy(cls, applications, default=None):
        default = {} if default is None else default.copy()
        Date = Pool().get('ir.date')
        for name in [
                'proposed_amount', 'proposal_motive', 'pieces', 'call',
                'pieces_request', 'ineligible_reason', 'withdrawal_reason']:
            default.setdefault(name, None)
        default.setdefault('received_on', Date.today())
        return super().copy(applications, default=default)

    @classmethod
    @ModelView.button
    @transition('submitted')
    def submit(cls, applications):
        "Register what arrived, as it arrived, and ask for its pieces."
        Piece = Pool().get('grant.application.piece')
        Piece.create_from_schemes(applications)
        cls._stamp(applications, 'submitted')

    @classmethod
    @ModelView.button
    @transition('draft')
    def draft(cls, applications):
        pass

    @classmethod
    @ModelView.button
    @transition('incomplete')
    def ask_pieces(cls, applications):
        for application in applications:
            if not application.pieces_request:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_application_pieces_request',
                        application=application.rec_name))

    @classmethod
    @ModelView.button
    def receive_pieces(cls, applications):
        "Record that every piece that was still missing came in today."
        Piece = Pool().get('grant.application.piece')
        Piece.write(
            [p for a in applications for p in a.pieces
                if p.is_missing and not p.refused_reason],
            {'received_on': Pool().get('ir.date').today()})

    @classmethod
    @ModelView.button
    @transition('submitted')
    def resubmit(cls, applications):
        pass

    @classmethod
    @ModelView.button
    @transition('admissible')
    def admit(cls, applications):
        """Declare the applications admissible; raise
        ``CompletenessError`` with everything that stands in the way."""
        for application in applications:
            reasons = application.get_admissibility_reasons()
            if reasons:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_application_not_admissible',
                        application=application.rec_name,
                        reasons=bulleted(reasons)))
        today = Pool().get('ir.date').today()
        cls.write(
            [a for a in applications if not a.complete_on],
            {'complete_on': today})
        cls._stamp(applications, 'admitted')

    @classmethod
    @ModelView.button
    @transition('ineligible')
    def declare_ineligible(cls, applications):
        for application in applications:
            if not application.ineligible_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_application_ineligible_reason',
                        application=application.rec_name))

    @classmethod
    @ModelView.button
    @transition('reviewed')
    def review(cls, applications):
        for application in applications:
            application.check_proposal()
        cls._stamp(applications, 'reviewed')

    @classmethod
    @ModelView.button
    @transition('withdrawn')
    def withdraw(cls, applications):
        cls._check_withdrawal(applications)

    @classmethod
    @ModelView.button
    @transition('renounced')
    def renounce(cls, applications):
        cls._check_withdrawal(applications)

    @classmethod
    def _check_withdrawal(cls, applications):
        for application in applications:
            if not application.withdrawal_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_application_withdrawal_reason',
                        application=application.rec_name))

    @classmethod
    @ModelView.button
    @transition('admissible')
    def appeal(cls, applications):
        "Examine again after an appeal to the Department (recours gracieux)."

    @classmethod
    def _stamp(cls, applications, step):
        user = acting_user(gettext('pacte_grants.msg_act_application'))
        # A step may be made again by somebody else: the journal keeps all.
        Pool().get('grant.event').add([{
                    'record': a, 'name': f'{step}_by', 'after': user,
                    } for a in applications])
        cls.write(applications, {
                f'{step}_by': user.id,
                f'{step}_on': Pool().get('ir.date').today(),
                })

    @property
    def public_owner(self):
        return self.party.partner_kind in PUBLIC_KINDS

    @property
    def without_money(self):
        "Whether a sponsorship asks for something else than money."
        return self.scheme.kind == 'sponsorship' and not self.requested_amount

    def get_admissibility_reasons(self):
        """Return, in sentences, everything that prevents the application
        from being admissible; an empty list if nothing does."""
        reasons = []

        def add(message, **names):
            reasons.append(gettext(f'pacte_grants.{message}', **names))
        party, scheme = self.party, self.scheme
        if (scheme.partner_kinds
                and party.partner_kind not in scheme.partner_kinds):
            add('msg_admissible_partner_kind', scheme=scheme.rec_name)
        if (party.partner_kind == 'association'
                and not party.republican_commitment_on):
            add('msg_admissible_republican_commitment')
        if party.partner_kind != 'individual' and not party.siret:
            add('msg_admissible_siret')
        if self.call:
            if self.received_on < self.call.opens_on:
                add('msg_admissible_call_not_open',
                    date=self.received_on.strftime('%d/%m/%Y'),
                    opens=self.call.opens_on.strftime('%d/%m/%Y'))
            elif self.received_on > self.call.closes_on:
                add('msg_admissible_call_closed',
                    date=self.received_on.strftime('%d/%m/%Y'),
                    closes=self.call.closes_on.strftime('%d/%m/%Y'))
        if not self.start_date or not self.end_date:
            add('msg_admissible_period')
        if not self.total_cost and not self.without_money:
            add('msg_admissible_cost')
        if not self.requested_amount and not self.without_money:
            add('msg_admissible_request')
        elif self.total_cost and self.requested_amount > self.total_cost:
            add('msg_admissible_request_above_cost')
        if not self.orientations:
            add('msg_admissible_orientation')
        if self.budget_lines or (
                scheme.level != 'light' and not self.without_money):
            reasons.extend(self.get_budget_reasons())
        missing = [p.rec_name for p in self.pieces if p.is_missing]
        if missing:
            add('msg_admissible_pieces', pieces=', '.join(missing))
        return reasons

    def get_budget_reasons(self):
        """Return, in sentences, why the budget cannot be accepted: it must
        exist, balance to the cent and agree with the total cost; in-kind
        contributions balance apart (Cerfa 12156)."""
        sums = defaultdict(Decimal)
        for line in self.budget_lines:
            sums[line.heading.side, line.heading.in_kind] += line.amount
        reasons = []
        if not self.budget_lines:
            return [gettext('pacte_grants.msg_budget_missing')]
        expense, income = sums['expense', False], sums['income', False]
        if expense != income:
            reasons.append(gettext(
                    'pacte_grants.msg_budget_unbalanced',
                    expense=money(expense), income=money(income),
                    gap=money(abs(expense - income))))
        if sums['expense', True] != sums['income', True]:
            reasons.append(gettext(
                    'pacte_grants.msg_budget_in_kind_unbalanced',
                    expense=money(sums['expense', True]),
                    income=money(sums['income', True])))
        if self.total_cost is not None and expense != self.total_cost:
            reasons.append(gettext(
                    'pacte_grants.msg_budget_total_cost',
                    expense=money(expense),
                    total=money(self.total_cost)))
        return reasons

    def check_proposal(self):
        """Raise an error unless an amount is proposed, with its envelope,
        within the costs, and with a motive above the scale or request."""
        if self.proposed_amount is None:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_proposal_missing',
                    application=self.rec_name))
        if not self.proposed_amount:
            return
        if not self.envelope:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_proposal_envelope',
                    application=self.rec_name))
        if self.total_cost and self.proposed_amount > self.total_cost:
            raise AmountError(gettext(
                    'pacte_grants.msg_proposal_above_cost',
                    application=self.rec_name,
                    amount=money(self.proposed_amount),
                    cost=money(self.total_cost)))
        limits = [self.requested_amount]
        if self.scale_amount is not None:
            limits.append(self.scale_amount)
        if self.proposed_amount > min(limits) and not self.proposal_motive:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_proposal_motive',
                    application=self.rec_name,
                    amount=money(self.proposed_amount),
                    limit=money(min(limits))))


class ApplicationArea(FrozenByMixin, ModelSQL):
    __name__ = 'grant.application-grant.area'
    _frozen_by = 'application'
    _parent_states = frozenset(_ENTRY + ['reviewed'])

    application = fields.Many2One(
        'grant.application', "Application", required=True,
        ondelete='CASCADE')
    area = fields.Many2One(
        'grant.area', "Area", required=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('application')

    def get_rec_name(self, name):
        return self.area.rec_name


class ApplicationOrientation(FrozenByMixin, ModelSQL):
    __name__ = 'grant.application-grant.orientation'
    _frozen_by = 'application'
    _parent_states = frozenset(_ENTRY + ['reviewed'])

    application = fields.Many2One(
        'grant.application', "Application", required=True,
        ondelete='CASCADE')
    orientation = fields.Many2One(
        'grant.orientation', "Orientation", required=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('application')

    def get_rec_name(self, name):
        return self.orientation.rec_name


class BudgetHeading(DeactivableMixin, ModelSQL, ModelView):
    "A row of the budget table of the application form."
    __name__ = 'grant.budget.heading'

    form = fields.Char(
        "Application Form", required=True,
        help="The form and its version.")
    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)
    side = fields.Selection([
            ('expense', "Expense"),
            ('income', "Income"),
            ], "Side", required=True)
    in_kind = fields.Boolean(
        "In Kind", help="Voluntary contributions, balanced apart.")
    grant = fields.Boolean(
        "Grant", help="A public or private grant, requested or obtained.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'form_side_code_unique',
                Unique(table, table.form, table.side, table.code),
                'pacte_grants.msg_heading_unique'))
        cls._order = [('side', 'ASC'), ('code', 'ASC'), ('id', 'ASC')]

    def get_rec_name(self, name):
        return f'{self.code} {self.name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op, ('code', *clause[1:]), ('name', *clause[1:])]


class BudgetLine(AmountMixin, FrozenByMixin, ModelSQL, ModelView):
    __name__ = 'grant.application.budget_line'
    _frozen_by = 'application'
    _parent_states = frozenset(_ENTRY)

    application = fields.Many2One(
        'grant.application', "Application", required=True,
        ondelete='CASCADE')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    heading = fields.Many2One(
        'grant.budget.heading', "Heading", required=True,
        ondelete='RESTRICT')
    side = fields.Function(fields.Selection([
                ('expense', "Expense"),
                ('income', "Income"),
                (None, ""),
                ], "Side"), 'on_change_with_side', searcher='search_side')
    label = fields.Char("Detail")
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True)
    status = fields.Selection([
            (None, ""),
            ('requested', "Requested"),
            ('obtained', "Obtained"),
            ], "Status", sort=False,
        help="For a grant: requested or already obtained.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('application')
        cls._sql_indexes.add(
            Index(table, (table.application, Index.Equality())))
        cls._order = [('heading', 'ASC'), ('id', 'ASC')]

    @fields.depends('application', '_parent_application.company')
    def on_change_with_currency(self, name=None):
        if self.application and self.application.company:
            return self.application.company.currency

    @fields.depends('heading')
    def on_change_with_side(self, name=None):
        return self.heading.side if self.heading else None

    @classmethod
    def search_side(cls, name, clause):
        return [('heading.side', *clause[1:])]

    def get_rec_name(self, name):
        return f'{self.heading.rec_name} – {self.application.number}'

    @classmethod
    def validate_fields(cls, lines, field_names):
        for line in lines:
            if line.amount is not None and line.amount < 0:
                raise BudgetError(gettext(
                        'pacte_grants.msg_budget_line_negative',
                        line=line.rec_name, amount=money(line.amount)))
        super().validate_fields(lines, field_names)


class Piece(FrozenByMixin, sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'grant.application.piece'
    _frozen_by = 'application'
    _parent_states = frozenset(
        _ENTRY + ['reviewed', 'scheduled', 'granted', 'deferred'])

    application = fields.Many2One(
        'grant.application', "Application", required=True,
        ondelete='CASCADE')
    kind = fields.Selection(PIECE_KINDS, "Kind", required=True)
    kind_string = kind.translated('kind')
    name = fields.Char("Name")
    required = fields.Boolean("Required")
    received_on = fields.Date("Received On")
    document = fields.Binary("Document", filename='filename')
    filename = fields.Char("File Name")
    permanent = fields.Many2One(
        'grant.partner.piece', "Partner's Piece", ondelete='RESTRICT',
        domain=[
            ('party', '=', Eval('_parent_application', {}).get('party', -1)),
            ('kind', '=', Eval('kind')),
            ],
        help="The valid piece that the partner already gave (L32).")
    refused_reason = fields.Char(
        "Refused Because", help="Why the piece cannot be accepted.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('application')
        cls._sql_indexes.add(
            Index(table, (table.application, Index.Equality())))

    def get_rec_name(self, name):
        return self.name or self.kind_string

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Bool(Eval('refused_reason')), 'danger',
                    If(Bool(Eval('received_on')) | Bool(Eval('permanent')),
                        'success', If(Eval('required'), 'warning', '')))),
            ]

    @property
    def is_missing(self):
        return bool(self.required and (
                self.refused_reason
                or not (self.received_on or self.permanent)))

    @classmethod
    def create_from_schemes(cls, applications):
        """Add to the applications the pieces that their schemes ask from
        such a partner, met at once by a valid permanent piece (L32)."""
        PartnerPiece = Pool().get('grant.partner.piece')
        today = Pool().get('ir.date').today()
        permanents = {}
        for piece in PartnerPiece.search([
                    ('party', 'in', [a.party.id for a in applications]),
                    ['OR',
                        ('valid_until', '=', None),
                        ('valid_until', '>=', today),
                        ],
                    ], order=[('received_on', 'ASC'), ('id', 'ASC')]):
            permanents[piece.party.id, piece.kind] = piece.id
        to_create = []
        for application in applications:
            kinds = {(p.kind, p.name) for p in application.pieces}
            for asked in application.scheme.pieces:
                if ((asked.kind, asked.name) in kinds
                        or asked.partner_kinds
                        and application.party.partner_kind
                        not in asked.partner_kinds):
                    continue
                to_create.append({
                        'application': application.id,
                        'kind': asked.kind,
                        'name': asked.name,
                        'sequence': asked.sequence,
                        'required': asked.required,
                        'permanent': permanents.get(
                            (application.party.id, asked.kind)),
                        })
        cls.create(to_create)


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    grant_applications = fields.One2Many(
        'grant.application', 'party', "Applications", readonly=True)


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('grant.application', 'party'),
            ]


class PartyErase(metaclass=PoolMeta):
    __name__ = 'party.erase'

    def check_erase_company(self, party, company):
        Application = Pool().get('grant.application')
        super().check_erase_company(party, company)
        applications = Application.search([
                ('party', '=', party.id),
                ('company', '=', company.id),
                ('state', 'not in', [
                        'ineligible', 'refused', 'withdrawn', 'renounced']),
                ], limit=1)
        if applications:
            raise EraseError(gettext(
                    'pacte_grants.msg_erase_application',
                    party=party.rec_name,
                    application=applications[0].rec_name))
