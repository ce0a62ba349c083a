# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What the partner undertakes (engagements du partenaire)."
import datetime as dt

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Date, Eval, If

from .check import AmountMixin
from .convention import OPEN_STATES, AgreedChildMixin
from .exceptions import CompletenessError, DutyError
from .mixin import (
    FrozenByMixin, TurnMixin, WorkflowMixin, acting_user, transition)
from .scheme import CONDITION_KINDS, INSTALMENT_KINDS

FULFILLED = ['met', 'waived']
_EVIDENCE = frozenset({
        'evidence_file', 'evidence_filename', 'evidence_note',
        'verdict_reason', 'waiver_reason'})


class Condition(
        AmountMixin, AgreedChildMixin, TurnMixin, WorkflowMixin,
        FrozenByMixin, ModelSQL, ModelView):
    __name__ = 'grant.condition'
    _agreed_with = [
        'convention', 'kind', 'text', 'due_date', 'evidence', 'block_kinds',
        'penalty_rate']
    _steps = [
        ('produce', 'partner', {
                'state': 'pending', 'waiver_proposed_by': False}),
        ('waive', 'manager', {
                'state': ('pending', 'not_met'),
                'waiver_proposed_by': True}),
        ('verify', 'officer', {'state': 'submitted'}),
        ('decide', 'officer', {
                'state': 'not_met', 'waiver_proposed_by': False}),
        ]
    _amounts = ('penalty_rate',)
    _frozen_by = 'convention'
    _parent_states = OPEN_STATES
    _free_fields = _EVIDENCE
    _server_fields = frozenset({
            'submitted_on', 'verified_by', 'verified_on',
            'waiver_proposed_by', 'company'})
    _frozen = {
        'submitted': _EVIDENCE,
        'met': frozenset({'verdict_reason'}),
        'not_met': frozenset({'verdict_reason', 'waiver_reason'}),
        'waived': frozenset(),
        }

    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_company')
    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='CASCADE')
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_party')
    kind = fields.Selection(
        CONDITION_KINDS, "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    text = fields.Text("Text", required=True)
    due_date = fields.Date("Due Date")
    evidence = fields.Char(
        "Expected Evidence", help="What the partner has to show.")
    block_kinds = fields.MultiSelection(
        INSTALMENT_KINDS, "Holds Back", sort=False,
        help="The kinds of instalments that wait for the condition.")
    penalty_rate = fields.Numeric(
        "Penalty Rate", digits=(1, 4),
        help="Share of the grant by which a miss reduces it.")
    evidence_file = fields.Binary(
        "Evidence", filename='evidence_filename',
        states={'readonly': ~Eval('state').in_(['pending', 'submitted'])})
    evidence_filename = fields.Char("Evidence Name")
    evidence_note = fields.Text(
        "Description of the Evidence",
        states={'readonly': ~Eval('state').in_(['pending', 'submitted'])})
    submitted_on = fields.Date("Evidence Submitted On", readonly=True)
    verdict_reason = fields.Text(
        "Reason of the Verdict",
        states={'readonly': Eval('state') == 'waived'})
    waiver_reason = fields.Text(
        "Reason of the Waiver",
        states={'readonly': ~Eval('state').in_(['pending', 'not_met'])})
    waiver_proposed_by = fields.Many2One(
        'res.user', "Waiver Proposed By", readonly=True,
        ondelete='RESTRICT')
    verified_by = fields.Many2One(
        'res.user', "Verified By", readonly=True, ondelete='RESTRICT')
    verified_on = fields.Date("Verified On", readonly=True)
    whose_turn = fields.Function(fields.Selection([
                (None, ""),
                ('officer', "Officer"),
                ('partner', "Partner"),
                ('manager', "Head of Service"),
                ], "Whose Turn", sort=False),
        'on_change_with_whose_turn', searcher='search_whose_turn')
    state = fields.Selection([
            ('pending', "To Be Produced"),
            ('submitted', "Evidence to Verify"),
            ('met', "Met"),
            ('not_met', "Not Met"),
            ('waived', "Waived"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('convention')
        cls._order = [
            ('due_date', 'ASC NULLS LAST'), ('id', 'ASC')]
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low')),
                    (table.due_date, Index.Range())),
                })
        cls._transitions = {
            ('pending', 'submitted'),
            ('submitted', 'pending'),
            ('submitted', 'met'),
            ('submitted', 'not_met'),
            ('pending', 'not_met'),
            ('pending', 'waived'),
            ('not_met', 'waived'),
            ('met', 'pending'),
            ('not_met', 'pending'),
            ('waived', 'pending'),
            }
        cls._buttons.update({
                'submit': {
                    'invisible': Eval('state') != 'pending',
                    'depends': ['state'],
                    },
                'meet': {
                    'invisible': Eval('state') != 'submitted',
                    'depends': ['state'],
                    },
                'fail': {
                    'invisible': ~Eval('state').in_(
                        ['pending', 'submitted']),
                    'depends': ['state'],
                    },
                'propose_waiver': {
                    'invisible': (
                        ~Eval('state').in_(['pending', 'not_met'])
                        | (Eval('waiver_proposed_by', None)
                            != None)),  # noqa: E711
                    'depends': ['state', 'waiver_proposed_by'],
                    },
                'waive': {
                    'invisible': (
                        ~Eval('state').in_(['pending', 'not_met'])
                        | (Eval('waiver_proposed_by', None)
                            == None)),  # noqa: E711
                    'depends': ['state', 'waiver_proposed_by'],
                    },
                'reopen': {
                    'invisible': Eval('state') == 'pending',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'pending'

    @classmethod
    def default_block_kinds(cls):
        return ('balance', 'single')

    @classmethod
    def view_attributes(cls):
        open_ = Eval('state').in_(['pending', 'submitted', 'not_met'])
        due = Eval('due_date', None)
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(~open_, 'muted',
                    If((Eval('state') == 'not_met') | (due < Date()),
                        'danger',
                        If(due < Date(delta_days=15), 'warning', ''))),
                ['state', 'due_date']),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state').in_(['met', 'waived']), 'success',
                    If(Eval('state') == 'submitted', 'warning', '')),
                ['state']),
            ('//group[@id="waiver"]', 'states', {
                    'invisible': ~Eval('state').in_(
                        ['pending', 'not_met', 'waived']),
                    }),
            ]

    @fields.depends('state', 'waiver_proposed_by')
    def on_change_with_whose_turn(self, name=None):
        return self._next()[1]

    @classmethod
    def search_whose_turn(cls, name, clause):
        return cls._search_turn(1, clause)

    @fields.depends('convention', '_parent_convention.company')
    def on_change_with_company(self, name=None):
        return self.convention.company if self.convention else None

    @classmethod
    def search_company(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    @fields.depends('convention', '_parent_convention.party')
    def on_change_with_party(self, name=None):
        return self.convention.party if self.convention else None

    @classmethod
    def search_party(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    def get_rec_name(self, name):
        text = ' '.join(self.text.split())
        if len(text) > 60:
            text = text[:59].rsplit(' ', 1)[0] + '…'
        return f'{self.kind_string} – {text}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('text', *clause[1:])]

    @classmethod
    def copy(cls, conditions, default=None):
        default = {} if default is None else default.copy()
        for name in [
                'evidence_file', 'evidence_filename', 'evidence_note',
                'verdict_reason', 'waiver_reason']:
            default.setdefault(name, None)
        return super().copy(conditions, default=default)

    @classmethod
    def create_from_schemes(cls, conventions):
        """Add to new conventions the conditions that their schemes ask for
        the amount."""
        cls.create([{
                    'convention': convention.id,
                    'kind': asked.kind,
                    'text': asked.text,
                    'evidence': asked.evidence,
                    'due_date': convention.end_date + dt.timedelta(
                        days=asked.delay),
                    'block_kinds': asked.blocks,
                    'penalty_rate': asked.penalty_rate,
                    }
                for convention in conventions
                for asked in convention.scheme.conditions
                if asked.applies(convention.amount)])

    @classmethod
    @ModelView.button
    @transition('submitted')
    def submit(cls, conditions):
        for condition in conditions:
            if not condition.evidence_file and not condition.evidence_note:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_condition_evidence',
                        condition=condition.rec_name))
        cls.write(conditions, {
                'submitted_on': Pool().get('ir.date').today()})

    @classmethod
    @ModelView.button
    @transition('met')
    def meet(cls, conditions):
        cls._verify(conditions)

    @classmethod
    @ModelView.button
    @transition('not_met')
    def fail(cls, conditions):
        for condition in conditions:
            if not condition.verdict_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_condition_verdict_reason',
                        condition=condition.rec_name))
        cls._verify(conditions)

    @classmethod
    @ModelView.button
    def propose_waiver(cls, conditions):
        user = acting_user(gettext('pacte_grants.msg_act_waiver'))
        conditions = cls.claim(conditions)
        cls.check_transition(conditions, 'waived')
        for condition in conditions:
            if not condition.waiver_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_condition_waiver_reason',
                        condition=condition.rec_name))
        cls.write(conditions, {'waiver_proposed_by': user.id})

    @classmethod
    @ModelView.button
    @transition('waived')
    def waive(cls, conditions):
        "Grant a waiver that somebody else proposed (invariant 5)."
        user = acting_user(gettext('pacte_grants.msg_act_waiver'))
        for condition in conditions:
            if not condition.waiver_proposed_by:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_condition_waiver_not_proposed',
                        condition=condition.rec_name))
            if user.is_same_person(condition.waiver_proposed_by):
                raise DutyError(gettext(
                        'pacte_grants.msg_condition_waiver_duty',
                        condition=condition.rec_name,
                        user=user.rec_name))
        cls._verify(conditions)

    @classmethod
    @ModelView.button
    @transition('pending')
    def reopen(cls, conditions):
        Pool().get('grant.event').add([{
                    'record': c, 'name': 'state',
                    'before': c.state_label,
                    'after': cls._state_label('pending'),
                    'reason': c.verdict_reason or c.waiver_reason,
                    } for c in conditions])
        cls.write(conditions, {
                'submitted_on': None,
                'verified_by': None,
                'verified_on': None,
                'waiver_proposed_by': None,
                })

    @classmethod
    def _verify(cls, conditions):
        user = acting_user(gettext('pacte_grants.msg_act_verify'))
        cls.write(conditions, {
                'verified_by': user.id,
                'verified_on': Pool().get('ir.date').today(),
                })


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    conditions = fields.One2Many(
        'grant.condition', 'convention', "Partner's Undertakings",
        states={'readonly': Eval('state').in_(['closed', 'cancelled'])})
    conditions_pending = fields.Function(
        fields.Integer("Undertakings to Produce"),
        'get_conditions_pending')

    @classmethod
    def get_conditions_pending(cls, conventions, name):
        counts = dict.fromkeys([c.id for c in conventions], 0)
        for condition in Pool().get('grant.condition').search([
                    ('convention', 'in', [c.id for c in conventions]),
                    ('state', 'in', ['pending', 'submitted']),
                    ]):
            counts[condition.convention.id] += 1
        return counts

    @classmethod
    def _complete(cls, conventions):
        super()._complete(conventions)
        Pool().get('grant.condition').create_from_schemes(conventions)

    def get_agreement_reasons(self):
        reasons = super().get_agreement_reasons()
        if self.form != 'convention':
            return reasons
        kinds = {c.kind for c in self.conditions}
        if 'eco' not in kinds:
            reasons.append(gettext('pacte_grants.msg_agreement_eco'))
        if self.scheme.tariff_required and 'tariff' not in kinds:
            reasons.append(gettext('pacte_grants.msg_agreement_tariff'))
        return reasons
