# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What the partner undertakes (engagements du partenaire).

An undertaking comes from the scheme, from the library or from either party.
Its date is fixed or counted from an event; its verifier says whether it is
met.  Who records that the evidence arrived may verify it, provided that it
is their role: the evidence is the partner's, and the payment has its own
separation of duties.  A waiver needs two persons (design, invariant 5).
"""
import datetime as dt
from calendar import monthrange
from collections import defaultdict

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Date, Eval, If
from trytond.transaction import check_access, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .check import AmountMixin
from .condition_library import (
    DUE_EVENTS, VERIFIERS, fill_in, parameter_names)
from .convention import DEAD_STATES, OPEN_STATES, AgreedChildMixin
from .exceptions import (
    CompletenessError, DutyError, FrozenError, PeriodError, TransitionError)
from .mixin import (
    FrozenByMixin, TurnMixin, WorkflowMixin, acting_user, thaw, transition)
from .scheme import CONDITION_KINDS, INSTALMENT_KINDS

FULFILLED = ['met', 'waived']
# Who may say that an undertaking is met, by its verifier: the head of
# service also stands for the officer.
_VERIFIER_GROUPS = {
    'officer': {'group_officer', 'group_manager'},
    'manager': {'group_manager'},
    'finance': {'group_finance'},
    'clerk': {'group_clerk'},
    }
OPEN = sorted(OPEN_STATES)
_EVENT_FIELDS = {'due_event', 'due_delay', 'year'}
_EVIDENCE = frozenset({
        'evidence_file', 'evidence_filename', 'evidence_note',
        'verdict_reason', 'waiver_reason'})


class Condition(
        AmountMixin, AgreedChildMixin, TurnMixin, WorkflowMixin,
        FrozenByMixin, ModelSQL, ModelView):
    __name__ = 'grant.condition'
    _agreed_with = [
        'convention', 'side', 'kind', 'text', 'due_event', 'due_delay',
        'due_date', 'year', 'evidence', 'verifier', 'block_kinds',
        'penalty_rate']
    _steps = [
        ('produce', 'partner', {
                'state': 'pending', 'waiver_proposed_by': False}),
        ('waive', 'manager', {
                'state': ('pending', 'not_met'),
                'waiver_proposed_by': True}),
        ('verify', 'officer', {'state': 'submitted', 'verifier': 'officer'}),
        ('verify', 'manager', {'state': 'submitted', 'verifier': 'manager'}),
        ('verify', 'finance', {'state': 'submitted', 'verifier': 'finance'}),
        ('verify', 'assembly', {'state': 'submitted', 'verifier': 'clerk'}),
        ('decide', 'officer', {
                'state': 'not_met', 'waiver_proposed_by': False}),
        ]
    _amounts = ('penalty_rate',)
    _frozen_by = 'convention'
    _parent_states = OPEN_STATES
    _free_fields = _EVIDENCE
    _server_fields = frozenset({
            'submitted_on', 'submitted_by', 'verified_by', 'verified_on',
            'waiver_proposed_by', 'company', 'library', 'library_version',
            'prolongations', 'original_due_date'})
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
    side = fields.Selection([
            ('scheme', "Scheme"),
            ('department', "Department"),
            ('partner', "Partner"),
            ], "Proposed By", required=True, sort=False,
        help="Whether the scheme asks for it or which party proposed it.")
    library = fields.Many2One(
        'grant.library.condition', "Library Entry", readonly=True,
        ondelete='RESTRICT')
    library_version = fields.Integer(
        "Version of the Library", readonly=True,
        states={'invisible': ~Eval('library')},
        help="The version whose text was copied; later ones change nothing "
        "here.")
    kind = fields.Selection(
        CONDITION_KINDS, "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    text = fields.Text("Text", required=True)
    year = fields.Integer(
        "Year",
        domain=[
            If(Eval('year', None) != None,  # noqa: E711
                [('year', '>=', 2000), ('year', '<', 2100)], []),
            ],
        help="The year of the convention to which it belongs: it holds back "
        "the instalments of that year only. Without one it holds back those "
        "of every year whose report is not due before it.")
    due_event = fields.Selection(
        DUE_EVENTS, "Falls Due After", required=True, sort=False)
    due_delay = fields.Integer(
        "Delay", required=True,
        states={'invisible': Eval('due_event') == 'date'},
        help="Days after the event; negative before it.")
    due_date = fields.Date(
        "Due Date",
        help="Unless it is fixed, it is counted from the event, and known "
        "once the event has a date.")
    original_due_date = fields.Date(
        "First Due Date", readonly=True,
        states={'invisible': ~Eval('prolongations')})
    prolongations = fields.Integer(
        "Prolongations", readonly=True,
        states={'invisible': ~Eval('prolongations')})
    verifier = fields.Selection(
        VERIFIERS, "Verified By (Role)", required=True, sort=False,
        help="Who says whether it is met.")
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
    submitted_by = fields.Many2One(
        'res.user', "Evidence Recorded By", readonly=True,
        ondelete='RESTRICT')
    verdict_reason = fields.Text(
        "Reason of the Verdict",
        states={'readonly': Eval('state') == 'waived'})
    waiver_reason = fields.Text(
        "Reason of the Waiver",
        states={
            'readonly': (
                ~Eval('state').in_(['pending', 'not_met'])
                | (Eval('waiver_proposed_by', None)
                    != None)),  # noqa: E711
            },
        help="What is proposed is what is granted: it stays as it was "
        "proposed.")
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
                ('finance', "Finance"),
                ('assembly', "Assembly Service"),
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
                Index(table, (table.library, Index.Equality())),
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
                    'invisible': (
                        (Eval('state') != 'pending')
                        | Eval('convention_state').in_(OPEN)),
                    'depends': ['state', 'convention_state'],
                    },
                'meet': {
                    'invisible': Eval('state') != 'submitted',
                    'depends': ['state'],
                    },
                'fail': {
                    'invisible': (
                        ~Eval('state').in_(['pending', 'submitted'])
                        | Eval('convention_state').in_(OPEN)),
                    'depends': ['state', 'convention_state'],
                    },
                'prolong': {
                    'invisible': (
                        ~Eval('state').in_(['pending', 'submitted'])
                        | Eval('convention_state').in_(
                            [*OPEN, *DEAD_STATES, 'closed'])),
                    'depends': ['state', 'convention_state'],
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
                'refuse_waiver': {
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
    def default_side(cls):
        return 'department'

    @classmethod
    def check_button(cls, conditions, name):
        for condition in conditions:
            if name in {'submit', 'fail'} and condition.is_open:
                raise TransitionError(gettext(
                        'pacte_grants.msg_condition_negotiated',
                        condition=condition.rec_name,
                        convention=condition.convention.rec_name))
        super().check_button(conditions, name)

    @classmethod
    def default_due_event(cls):
        return 'date'

    @classmethod
    def default_due_delay(cls):
        return 0

    @classmethod
    def default_verifier(cls):
        return 'officer'

    @classmethod
    def default_prolongations(cls):
        return 0

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
                If(Eval('state').in_(FULFILLED), 'success',
                    If(Eval('state') == 'submitted', 'warning', '')),
                ['state']),
            ('//group[@id="waiver"]', 'states', {
                    'invisible': ~Eval('state').in_(
                        ['pending', 'not_met', 'waived']),
                    }),
            ('//group[@id="prolongation"]', 'states', {
                    'invisible': ~Eval('prolongations'),
                    }, ['prolongations']),
            ]

    @fields.depends(
        'convention', 'due_event', 'due_delay', 'due_date', 'year',
        '_parent_convention.start_date', '_parent_convention.end_date',
        '_parent_convention.notified_on')
    def on_change_due_event(self):
        if self.due_event and self.due_event != 'date' and self.convention:
            self.due_date = self._count_due_date()

    on_change_due_delay = on_change_year = on_change_due_event

    @fields.depends('due_date', methods=['on_change_due_event'])
    def on_change_due_date(self):
        # A date typed over the counted one is a fixed one.
        typed = self.due_date
        self.on_change_due_event()
        if self.due_date != typed:
            self.due_event, self.due_date = 'date', typed

    def _count_due_date(self, end_date=None):
        """Return the date that the event and the delay give, ``None`` while
        the event has no date; with another end of the convention if need
        be."""
        convention = self.convention
        end_date = end_date or convention.end_date
        if self.due_event == 'year_end':
            year = self.year or (end_date and end_date.year)
            if year and convention.start_date:
                # The year of a tranche may be over before the work starts.
                year = max(year, convention.start_date.year)
            event = dt.date(year, 12, 31) if year else None
        elif self.due_event == 'season_end':
            event = self._season_end()
        else:
            event = {
                'start': convention.start_date,
                'notification': convention.notified_on,
                'end': end_date,
                }.get(self.due_event)
        if event is None:
            return None
        return event + dt.timedelta(days=self.due_delay or 0)

    def _season_end(self):
        "The end of the season that is under way when it starts."
        start = self.convention.start_date
        if self.year and (not start or self.year > start.year):
            start = dt.date(self.year, 1, 1)
        if not start:
            return None
        month = int(Pool().get('grant.parameter').get('SEASON_END_MONTH'))
        year = start.year + (start.month > month)
        return dt.date(year, month, monthrange(year, month)[1])

    @fields.depends('state', 'waiver_proposed_by', 'verifier')
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
        text = ' '.join((self.text or '').split())
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
    def create_from_schemes(cls, conventions, former_amounts=None):
        """Add to the conventions the conditions that their schemes ask for
        the amount, in the version of the library that is valid today; what
        falls due each year once for each year of the convention.

        ``former_amounts`` (euros, by convention): only what these did not
        ask for.
        """
        Library = Pool().get('grant.library.condition')
        asked = [
            (convention, condition) for convention in conventions
            for scheme in convention.schemes
            for condition in scheme.conditions
            if condition.applies(convention.amount)
            and not (former_amounts
                and condition.applies(former_amounts[convention]))]
        versions = Library.get_versions(
            {c.library.code for _, c in asked if c.library})
        vlist = []
        seen = {(c.convention, c.kind, c.text)
            for convention in conventions for c in convention.conditions}
        for convention, condition in asked:
            entry = condition.library and versions.get(
                condition.library.code, condition.library)
            terms = condition.get_terms(entry)
            # Two schemes of a joint convention may ask for the same.
            key = convention, terms['kind'], terms['text']
            if key in seen:
                continue
            seen.add(key)
            vlist += cls._from_terms(convention, terms, entry, 'scheme')
        return cls.create(vlist)

    @classmethod
    @without_check_access
    def add_from_library(cls, convention, entries, values, side):
        """Add library entries to the convention and return the conditions.

        ``values``: the parameters of each entry by name; what is left out
        takes the proposed value.  Raise ``CompletenessError`` if one has
        none, ``FrozenError`` if the text is agreed.
        """
        cls.check_open([convention])
        vlist = []
        for entry in entries:
            filled = entry.proposed_values() | {
                n: v for n, v in values.get(entry, {}).items() if v}
            text = fill_in(entry.text, filled)
            if missing := parameter_names(text):
                labels = {p.name: p.label for p in entry.parameters}
                raise CompletenessError(gettext(
                        'pacte_grants.msg_condition_parameters',
                        entry=entry.rec_name,
                        parameters=', '.join(sorted(
                                labels.get(n, n) for n in missing))))
            vlist += cls._from_terms(convention, {
                    'kind': entry.kind, 'text': text,
                    'evidence': entry.evidence,
                    'due_event': entry.due_event, 'delay': entry.delay,
                    'verifier': entry.verifier, 'blocks': entry.block_kinds,
                    'penalty_rate': entry.penalty_rate,
                    }, entry, side)
        return cls.create(vlist)

    @classmethod
    def check_open(cls, conventions):
        "Raise ``FrozenError`` for the conventions whose text is agreed."
        for convention in conventions:
            if convention.freezing_state not in OPEN_STATES:
                raise FrozenError(gettext(
                        'pacte_grants.msg_condition_convention_frozen',
                        convention=convention.rec_name,
                        state=convention.state_label))

    @classmethod
    def _from_terms(cls, convention, terms, entry, side):
        years = [None]
        if terms['due_event'] == 'year_end':
            years = sorted({t.year for t in convention.tranches}) or [None]
        return [{
                'convention': convention.id,
                'side': side,
                'library': entry.id if entry else None,
                'library_version': entry.version if entry else None,
                'kind': terms['kind'],
                'text': terms['text'],
                'evidence': terms['evidence'],
                'year': year,
                'due_event': terms['due_event'],
                'due_delay': terms['delay'] or 0,
                'verifier': terms['verifier'],
                'block_kinds': terms['blocks'],
                'penalty_rate': terms['penalty_rate'],
                } for year in years]

    @classmethod
    def check_modification(
            cls, mode, conditions, values=None, external=False):
        super().check_modification(
            mode, conditions, values=values, external=external)
        if mode == 'write' and 'waiver_reason' in values:
            for condition in conditions:
                if condition.waiver_proposed_by and cls._differs(
                        condition, 'waiver_reason', values['waiver_reason']):
                    raise FrozenError(gettext(
                            'pacte_grants.msg_condition_waiver_frozen',
                            condition=condition.rec_name,
                            user=condition.waiver_proposed_by.rec_name))

    @classmethod
    def on_modification(cls, mode, conditions, field_names=None):
        super().on_modification(mode, conditions, field_names=field_names)
        if mode == 'create' or (
                mode == 'write' and field_names & (
                    _EVENT_FIELDS | {'due_date'})):
            cls.set_due_dates(conditions)

    @classmethod
    def set_due_dates(cls, conditions):
        """Write the dates that are counted from an event and have moved with
        it; a prolonged one stays."""
        by_date = defaultdict(list)
        with thaw():
            for condition in cls.browse(conditions):
                if condition.due_event == 'date' or condition.prolongations:
                    continue
                date = condition._count_due_date()
                if date != condition.due_date:
                    by_date[date].append(condition)
            for date, sub in by_date.items():
                cls.write(sub, {'due_date': date})

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
                'submitted_on': Pool().get('ir.date').today(),
                'submitted_by': acting_user(gettext(
                        'pacte_grants.msg_act_evidence')).id,
                })

    @classmethod
    @ModelView.button
    @transition('met')
    def meet(cls, conditions):
        cls.check_verifier(conditions)
        cls._verify(conditions)

    @classmethod
    @ModelView.button
    @transition('not_met')
    def fail(cls, conditions):
        cls.check_verifier(conditions)
        for condition in conditions:
            if not condition.verdict_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_condition_verdict_reason',
                        condition=condition.rec_name))
        cls._verify(conditions)

    @classmethod
    def check_verifier(cls, conditions):
        """Raise ``DutyError`` for the conditions that are verified by
        another role than those of the user."""
        pool = Pool()
        ModelData = pool.get('ir.model.data')
        user = acting_user(gettext('pacte_grants.msg_act_verify'))
        groups = set(pool.get('res.user').get_groups())
        labels = dict(cls.fields_get(['verifier'])['verifier']['selection'])
        for condition in conditions:
            if not groups & {
                    ModelData.get_id('pacte_grants', name)
                    for name in _VERIFIER_GROUPS[condition.verifier]}:
                raise DutyError(gettext(
                        'pacte_grants.msg_condition_verifier',
                        condition=condition.rec_name,
                        verifier=labels[condition.verifier],
                        user=user.rec_name))

    @classmethod
    @ModelView.button_action('pacte_grants.wizard_condition_prolong')
    def prolong(cls, conditions):
        "Ask for the new date."

    @classmethod
    @without_check_access
    def prolong_to(cls, conditions, date, reason):
        """Move the due date of the conditions to a later one.

        It is a delegated shift of a date: it needs no amendment, and the
        journal keeps it (design, invariant 6).  Raise ``PeriodError`` if the
        date is not later, ``CompletenessError`` without reason or former
        date, ``TransitionError`` if the convention is over or the condition
        verified.
        """
        acting_user(gettext('pacte_grants.msg_act_prolong'))
        conditions = cls.claim(conditions)
        cls.check_button(conditions, 'prolong')
        for condition in conditions:
            if not reason or not reason.strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_condition_prolong_reason',
                        condition=condition.rec_name))
            if not condition.due_date:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_condition_prolong_no_date',
                        condition=condition.rec_name))
            if date <= condition.due_date:
                raise PeriodError(gettext(
                        'pacte_grants.msg_condition_prolong_earlier',
                        condition=condition.rec_name,
                        date=date.strftime('%d/%m/%Y'),
                        due=condition.due_date.strftime('%d/%m/%Y')))
        Pool().get('grant.event').add([{
                    'record': c, 'name': 'prolong',
                    'before': c.due_date, 'after': date, 'reason': reason,
                    } for c in conditions])
        former = defaultdict(list)
        with thaw():
            for condition in cls.browse(conditions):
                former[
                    condition.original_due_date or condition.due_date,
                    condition.prolongations or 0].append(condition)
            for (first, count), sub in former.items():
                # The count first: a counted date does not come back.
                cls.write(sub, {
                        'prolongations': count + 1,
                        'original_due_date': first,
                        'due_date': date,
                        })

    @classmethod
    @ModelView.button
    def propose_waiver(cls, conditions):
        user = acting_user(gettext('pacte_grants.msg_act_waiver'))
        conditions = cls.claim(conditions)
        cls.check_button(conditions, 'propose_waiver')
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
    def refuse_waiver(cls, conditions):
        "Turn down the waiver that is proposed, or take the proposal back."
        acting_user(gettext('pacte_grants.msg_act_waiver'))
        conditions = cls.claim(conditions)
        cls.check_button(conditions, 'refuse_waiver')
        Pool().get('grant.event').add([{
                    'record': c, 'name': 'refuse_waiver',
                    'before': c.waiver_proposed_by,
                    'reason': c.waiver_reason,
                    } for c in conditions])
        cls.write(conditions, {'waiver_proposed_by': None})

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
                'submitted_by': None,
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
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'add_conditions': {
                    'invisible': (
                        ~Eval('state').in_(list(OPEN_STATES))
                        | (Eval('frozen_on', None) != None)),  # noqa: E711
                    'depends': ['state', 'frozen_on'],
                    },
                })

    @classmethod
    @ModelView.button_action('pacte_grants.wizard_condition_add')
    def add_conditions(cls, conventions):
        "Ask which entries of the library are added."

    @classmethod
    def on_modification(cls, mode, conventions, field_names=None):
        super().on_modification(mode, conventions, field_names=field_names)
        if mode == 'write' and field_names & {
                'start_date', 'end_date', 'notified_on'}:
            Condition = Pool().get('grant.condition')
            Condition.set_due_dates(Condition.search([
                        ('convention', 'in', [c.id for c in conventions]),
                        ('due_event', '!=', 'date'),
                        ]))

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

    @classmethod
    @ModelView.button
    def set_amounts(cls, conventions):
        Condition = Pool().get('grant.condition')
        before = {c: c.amount for c in conventions}
        super().set_amounts(conventions)
        Condition.create_from_schemes(
            cls.browse([c.id for c in conventions]), before)

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


class Library(metaclass=PoolMeta):
    __name__ = 'grant.library.condition'

    @classmethod
    def _used_in(cls):
        return super()._used_in() + [('grant.condition', 'library')]


class ProlongStart(ModelView):
    __name__ = 'grant.condition.prolong.start'

    due_date = fields.Date("Present Due Date", readonly=True)
    new_date = fields.Date("New Due Date", required=True)
    reason = fields.Text("Reason", required=True)


class Prolong(Wizard):
    __name__ = 'grant.condition.prolong'

    start = StateView(
        'grant.condition.prolong.start',
        'pacte_grants.condition_prolong_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Prolong", 'prolong', 'tryton-ok', default=True),
            ])
    prolong = StateTransition()

    def dispatch(self, act):
        "Call ``act`` on the conditions, with the access of the user."
        with check_access():
            act(Pool().get('grant.condition').browse(self.records))

    def default_start(self, fields):
        Condition = Pool().get('grant.condition')
        self.dispatch(lambda cs: Condition.check_button(cs, 'prolong'))
        # A due is of its date too.
        dates = {r.due_date for r in self.records}
        return {'due_date': dates.pop() if len(dates) == 1 else None}

    def transition_prolong(self):
        Condition = Pool().get('grant.condition')

        def prolong(conditions):
            # Pressed as the button is: groups, rules of records, states
            Condition.prolong(conditions)
            Condition.prolong_to(
                conditions, self.start.new_date, self.start.reason)
        self.dispatch(prolong)
        return 'end'


class AddStart(ModelView):
    __name__ = 'grant.condition.add.start'

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, readonly=True)
    kinds = fields.MultiSelection(
        CONDITION_KINDS, "Kinds", sort=False,
        help="Leave empty to choose among all the kinds.")
    suited = fields.Boolean(
        "Suited to the Amount Only",
        help="Propose only what fits the amount and the domain of the "
        "convention.")
    offered = fields.Many2Many(
        'grant.library.condition', None, None, "Offered", readonly=True)
    entries = fields.Many2Many(
        'grant.library.condition', None, None, "Library Entries",
        required=True, domain=[('id', 'in', Eval('offered', []))])
    side = fields.Selection([
            ('department', "Department"),
            ('partner', "Partner"),
            ], "Proposed By", required=True, sort=False)

    @classmethod
    def default_side(cls):
        return 'department'

    @classmethod
    def default_suited(cls):
        return True

    @fields.depends('convention', 'kinds', 'suited')
    def on_change_with_offered(self):
        if not self.convention:
            return []
        Entry = Pool().get('grant.library.condition')
        return [
            e.id for e in Entry.get_versions().values()
            if (not self.kinds or e.kind in self.kinds)
            and (not self.suited or e.suits(
                    self.convention.amount, self.convention.scheme.domain))]


class AddValue(ModelView):
    __name__ = 'grant.condition.add.value'

    parameter = fields.Many2One(
        'grant.library.condition.parameter', "Parameter", readonly=True)
    entry = fields.Char("Undertaking", readonly=True)
    label = fields.Char("What to Fill In", readonly=True)
    value = fields.Char("Value", required=True)
    unit = fields.Char("Unit", readonly=True)


class AddValues(ModelView):
    __name__ = 'grant.condition.add.values'

    values = fields.One2Many(
        'grant.condition.add.value', None, "Values")


class Add(Wizard):
    __name__ = 'grant.condition.add'

    start = StateView(
        'grant.condition.add.start',
        'pacte_grants.condition_add_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Continue", 'choose', 'tryton-forward', default=True),
            ])
    choose = StateTransition()
    ask = StateView(
        'grant.condition.add.values',
        'pacte_grants.condition_add_values_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Back", 'start', 'tryton-back'),
            Button("Add", 'add', 'tryton-ok', default=True),
            ])
    add = StateTransition()

    def default_start(self, fields):
        Condition = Pool().get('grant.condition')
        Condition.check_open([self.record])
        Start = Pool().get('grant.condition.add.start')
        start = Start(convention=self.record, kinds=(), suited=True)
        values = {
            'convention': self.record.id,
            'suited': True,
            'offered': start.on_change_with_offered(),
            }
        if hasattr(self.start, 'entries'):
            values.update(
                entries=[e.id for e in self.start.entries],
                side=self.start.side)
        return values

    def transition_choose(self):
        if any(e.parameters for e in self.start.entries):
            return 'ask'
        return 'add'

    def default_ask(self, fields):
        return {'values': [{
                    'parameter': parameter.id,
                    'entry': entry.name,
                    'label': parameter.label,
                    'value': parameter.default,
                    'unit': parameter.unit,
                    } for entry in self.start.entries
                for parameter in entry.parameters]}

    def transition_add(self):
        Condition = Pool().get('grant.condition')
        values = defaultdict(dict)
        for row in getattr(self.ask, 'values', None) or []:
            values[row.parameter.condition][row.parameter.name] = row.value
        convention = self.record
        with check_access():
            convention.__class__.add_conditions([convention])
        Condition.add_from_library(
            convention, self.start.entries, values, self.start.side)
        return 'end'
