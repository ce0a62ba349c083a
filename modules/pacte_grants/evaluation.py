# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The shared evaluation of a convention: the partner's view, the
Département's, and the one they share (circulaire of 29 September 2015,
article 9; pacte des réussites citoyennes, ambition 10).

Each side enters its view by itself, and it is locked once it is recorded:
neither is written after the other was seen without a trace.  The agreed
ratings come afterwards, when both views are on the table.

One formula.  The score of an evaluation is the mean of the points of the
agreed ratings by the weights of the objectives, to the hundredth; its rating
is the level of the scale whose points are nearest, the higher one half-way.
An objective without an agreed rating is left out of the mean, and said.
"""
import datetime as dt

from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, Unique, fields)
from trytond.model.exceptions import AccessError
from trytond.pool import Pool
from trytond.pyson import Bool, Date, Eval, If
from trytond.transaction import without_check_access

from .check import bulleted, year_domain
from .evaluation_privacy import find_personal_data
from .evaluation_results import OPEN, FilledMixin
from .exceptions import (
    CompletenessError, DutyError, FrozenError, PeriodError, TransitionError)
from .measure import UNMEASURED
from .mixin import (
    ReopenMixin, TurnMixin, WorkflowMixin, acting_user,
    is_thawed, now, transition)
from .objective import plain_number
from .scheme import LEVELS, CompanyMixin

KINDS = [
    ('yearly', "Yearly Review"),
    ('mid_term', "Mid-term Evaluation"),
    ('final', "Final Evaluation"),
    ]
OUTCOMES = [
    (None, ""),
    ('renew', "Renew"),
    ('adjust', "Adjust"),
    ('stop', "Stop"),
    ]
# The states of the conventions that are evaluated.
EVALUATED_STATES = ['active', 'closing', 'closed', 'terminated']
_STATES_CREATED = {'readonly': Eval('id', -1) >= 0}
_STATES_DRAFT = {'readonly': Eval('state') != 'draft'}
_STATES_SHARED = {'readonly': Eval('state') != 'shared'}
_STATES_OPEN = {'readonly': ~Eval('state').in_(sorted(OPEN))}


def _is_filled(text):
    return bool((text or '').strip())


def _filled(name):
    return Bool(Eval(name))


def _side_states(side):
    return {
        'readonly': ((Eval('state') != 'draft')
            | _filled(f'{side}_recorded_on')),
        }


class SidesMixin:
    """What belongs to one side, or to both once they have shared.

    ``_sides`` maps ``'partner'``, ``'department'`` and ``'agreed'`` to the
    names of the fields that only that side's time lets change.
    """
    __slots__ = ()
    _sides = {}

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if mode == 'delete' or is_thawed():
            return
        for record in records:
            for side, names in cls._sides.items():
                if mode == 'create':
                    changed = [n for n in names if getattr(record, n)]
                else:
                    changed = [
                        n for n in names if n in values
                        and cls._differs(record, n, values[n])]
                evaluation = record.of_evaluation
                if changed and not evaluation.is_side_open(side):
                    raise FrozenError(gettext(
                            f'pacte_grants.msg_evaluation_side_{side}',
                            evaluation=evaluation.rec_name,
                            **cls.__names__(field=sorted(changed)[0])))


class Evaluation(
        SidesMixin, FilledMixin, TurnMixin, ReopenMixin, WorkflowMixin,
        CompanyMixin, ModelSQL, ModelView):
    __name__ = 'grant.evaluation'
    _steps = [
        ('send', 'officer', {
                'state': 'draft', 'partner_recorded_on': False,
                'sent_on': False}),
        ('record_partner', 'partner', {
                'state': 'draft', 'partner_recorded_on': False,
                'sent_on': True}),
        ('record_department', 'officer', {
                'state': 'draft', 'partner_recorded_on': True,
                'department_recorded_on': False}),
        ('share', 'officer', {
                'state': 'draft', 'partner_recorded_on': True,
                'department_recorded_on': True}),
        ('agree', 'officer', {'state': 'shared', 'complete': False}),
        ('validate', 'manager', {'state': 'shared', 'complete': True}),
        ]
    _server_fields = frozenset({
            'sent_on', 'sent_by', 'partner_recorded_on',
            'partner_recorded_by', 'department_recorded_on',
            'department_recorded_by', 'shared_on', 'shared_by',
            'validated_on', 'validated_by', 'published_on', 'published_by'})
    _frozen = {
        'shared': frozenset({
                'officer', 'due_date', 'agreed_view', 'partner_agreed_on',
                'disagreement', 'outcome', 'outcome_reason', 'proposals',
                'citizens_note', 'summary', 'reopen_reason'}),
        'validated': frozenset({'officer', 'summary', 'reopen_reason'}),
        'published': frozenset({'officer', 'reopen_reason'}),
        }
    _sides = {
        'partner': [
            'partner_view', 'partner_received_on', 'partner_file',
            'partner_filename', 'partner_silent'],
        'department': ['department_view'],
        'agreed': [
            'agreed_view', 'partner_agreed_on', 'disagreement', 'outcome',
            'outcome_reason', 'proposals'],
        }
    # Where ``reopen`` leads after a step made too soon.
    _reopened = {
        'shared': 'draft',
        'validated': 'shared',
        }
    _reasoned = {'draft', 'shared'}

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            If(Eval('id', -1) < 0,
                ('state', 'in', EVALUATED_STATES),
                ()),
            ],
        states=_STATES_CREATED)
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_convention_field')
    scheme = fields.Function(fields.Many2One(
            'grant.scheme', "Scheme"),
        'on_change_with_scheme', searcher='search_convention_field')
    orientations = fields.Function(fields.Many2Many(
            'grant.orientation', None, None, "Orientations of the Pact"),
        'get_orientations', searcher='search_orientations')
    kind = fields.Selection(
        KINDS, "Kind", required=True, sort=False, states=_STATES_CREATED)
    kind_string = kind.translated('kind')
    year = fields.Integer(
        "Year", required=True, domain=year_domain('year'),
        states=_STATES_CREATED,
        help="The results are those of the end of this year.")
    level = fields.Selection(
        LEVELS, "Level", required=True, readonly=True, sort=False,
        help="That of the scheme: a light evaluation has one line, a full "
        "one asks for everything.")
    scale_date = fields.Date(
        "Scale Of", required=True, readonly=True,
        help="The ratings are those that were valid on this date.")
    officer = fields.Many2One(
        'company.employee', "Officer", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))])
    due_date = fields.Date(
        "Due Date", states=_STATES_OPEN,
        help="When the convention wants the evaluation to be under way.")
    lines = fields.One2Many(
        'grant.evaluation.line', 'evaluation', "Objectives",
        states=_STATES_OPEN)
    meetings = fields.One2Many(
        'grant.evaluation.meeting', 'evaluation',
        "Meetings with Users and Inhabitants", states=_STATES_OPEN)
    results = fields.Function(fields.Many2Many(
            'grant.evaluation.result', None, None, "Indicators"),
        'get_results')
    surveys = fields.Function(fields.Many2Many(
            'grant.evaluation.result', None, None,
            "Surveys of Users and Inhabitants"),
        'get_results')
    citizens_note = fields.Text(
        "Why Nobody Was Heard",
        states={
            'readonly': ~Eval('state').in_(sorted(OPEN)),
            'invisible': Eval('level') == 'light',
            },
        help="When there is neither a survey nor a meeting.")
    sent_on = fields.Date("Grid Sent On", readonly=True)
    sent_by = fields.Many2One(
        'res.user', "Grid Sent By", readonly=True, ondelete='RESTRICT')
    partner_view = fields.Text(
        "The Partner's View", states=_side_states('partner'))
    partner_received_on = fields.Date(
        "Received On", states=_side_states('partner'))
    partner_file = fields.Binary(
        "What the Partner Sent", filename='partner_filename',
        states=_side_states('partner'),
        help="The grid, the letter or the e-mail from which the view is "
        "entered.")
    partner_filename = fields.Char(
        "Name of What the Partner Sent", states=_side_states('partner'))
    partner_silent = fields.Boolean(
        "The Partner Did Not Answer", states=_side_states('partner'))
    partner_recorded_on = fields.DateTime(
        "Partner's View Recorded On", readonly=True)
    partner_recorded_by = fields.Many2One(
        'res.user', "Partner's View Recorded By", readonly=True,
        ondelete='RESTRICT')
    department_view = fields.Text(
        "The Department's View", states=_side_states('department'))
    department_recorded_on = fields.DateTime(
        "Department's View Recorded On", readonly=True)
    department_recorded_by = fields.Many2One(
        'res.user', "Department's View Recorded By", readonly=True,
        ondelete='RESTRICT')
    agreed_view = fields.Text("The Shared View", states=_STATES_SHARED)
    partner_agreed_on = fields.Date(
        "Partner Agreed On", states=_STATES_SHARED,
        help="The day of the meeting or of the message in which the partner "
        "agreed with the shared view.")
    disagreement = fields.Text(
        "Where the Partner Disagrees", states=_STATES_SHARED,
        help="What the partner does not share of it; the evaluation says "
        "so.")
    outcome = fields.Selection(
        OUTCOMES, "What Next", sort=False, states=_STATES_SHARED)
    outcome_string = outcome.translated('outcome')
    outcome_reason = fields.Text("Reasons", states=_STATES_SHARED)
    proposals = fields.Text(
        "Proposals", states=_STATES_SHARED,
        help="What the parties propose for what comes next.")
    summary = fields.Text(
        "Publishable Summary",
        states={
            'readonly': ((Eval('state') == 'draft')
                | _filled('published_on')),
            },
        help="For the inhabitants: no name, no address, no telephone "
        "number.")
    score = fields.Numeric(
        "Score", digits=(2, 2), readonly=True,
        help="Mean of the points of the agreed ratings by the weights of "
        "the objectives; those that are not rated are left out.")
    rating = fields.Many2One(
        'grant.evaluation.rating', "Shared Rating", readonly=True,
        ondelete='RESTRICT',
        help="The level of the scale that is nearest to the score.")
    unrated = fields.Integer(
        "Not Rated", readonly=True,
        help="The number of objectives without an agreed rating, which the "
        "score leaves out.")
    complete = fields.Boolean(
        "Ratings Agreed", readonly=True,
        help="Every objective has an agreed rating, or it is said why it "
        "has none.")
    attainment = fields.Float(
        "Attainment", digits=(1, 4), readonly=True, states=UNMEASURED,
        help="Mean of the measured objectives by their weights.")
    shared_on = fields.Date("Shared On", readonly=True)
    shared_by = fields.Many2One(
        'res.user', "Shared By", readonly=True, ondelete='RESTRICT')
    validated_on = fields.Date("Validated On", readonly=True)
    validated_by = fields.Many2One(
        'res.user', "Validated By", readonly=True, ondelete='RESTRICT')
    published_on = fields.Date("Published On", readonly=True)
    published_by = fields.Many2One(
        'res.user', "Published By", readonly=True, ondelete='RESTRICT')
    reopen_reason = fields.Text(
        "Reason",
        help="Why a view is corrected, the evaluation reopened or the "
        "summary withdrawn; the journal keeps it.")
    events = fields.One2Many(
        'grant.event', 'record', "Journal", readonly=True)
    next_step = fields.Function(fields.Selection([
                (None, ""),
                ('send', "Send the Grid"),
                ('record_partner', "View of the Partner"),
                ('record_department', "View of the Department"),
                ('share', "Share the Views"),
                ('agree', "Agree on the Ratings"),
                ('validate', "Validate"),
                ], "Next Step", sort=False),
        'on_change_with_next_step', searcher='search_next_step')
    whose_turn = fields.Function(fields.Selection([
                (None, ""),
                ('officer', "Officer"),
                ('partner', "Partner"),
                ('manager', "Head of Service"),
                ], "Whose Turn", sort=False),
        'on_change_with_whose_turn', searcher='search_whose_turn')
    state = fields.Selection([
            ('draft', "Views to Enter"),
            ('shared', "Views Shared"),
            ('validated', "Validated"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.company.readonly = True
        table = cls.__table__()
        cls._order = [
            ('due_date', 'ASC NULLS LAST'), ('id', 'ASC')]
        cls._sql_constraints.append((
                'convention_kind_year_unique',
                Unique(table, table.convention, table.kind, table.year),
                'pacte_grants.msg_evaluation_unique'))
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table, (table.rating, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                Index(table, (table.due_date, Index.Range())),
                })
        cls._transitions = {
            ('draft', 'shared'),
            ('shared', 'validated'),
            ('shared', 'draft'),
            ('validated', 'shared'),
            }
        draft = Eval('state') == 'draft'
        partner = _filled('partner_recorded_on')
        department = _filled('department_recorded_on')
        published = _filled('published_on')
        cls._buttons.update({
                'send': {
                    'invisible': ~draft | partner | _filled('sent_on'),
                    'depends': ['state', 'partner_recorded_on', 'sent_on'],
                    },
                'record_partner': {
                    'invisible': ~draft | partner,
                    'depends': ['state', 'partner_recorded_on'],
                    },
                'record_department': {
                    'invisible': ~draft | department,
                    'depends': ['state', 'department_recorded_on'],
                    },
                'correct_partner': {
                    'invisible': ~draft | ~partner,
                    'depends': ['state', 'partner_recorded_on'],
                    },
                'correct_department': {
                    'invisible': ~draft | ~department,
                    'depends': ['state', 'department_recorded_on'],
                    },
                'share': {
                    'invisible': ~(draft & partner & department),
                    'depends': [
                        'state', 'partner_recorded_on',
                        'department_recorded_on'],
                    },
                'validate_shared': {
                    'invisible': Eval('state') != 'shared',
                    'depends': ['state'],
                    },
                'reopen': {
                    'invisible': (
                        ~Eval('state').in_(list(cls._reopened)) | published),
                    'depends': ['state', 'published_on'],
                    },
                'publish': {
                    'invisible': (Eval('state') != 'validated') | published,
                    'depends': ['state', 'published_on'],
                    },
                'unpublish': {
                    'invisible': ~published,
                    'depends': ['published_on'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'draft'

    @classmethod
    def default_kind(cls):
        return 'final'

    @classmethod
    def default_year(cls):
        return Pool().get('ir.date').today().year

    @classmethod
    def default_level(cls):
        return 'standard'

    @classmethod
    def default_scale_date(cls):
        return Pool().get('ir.date').today()

    @classmethod
    def view_attributes(cls):
        late = Eval('state').in_(sorted(OPEN)) & (
            Eval('due_date', None) < Date())
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(late, 'danger',
                    If(Eval('outcome') == 'stop', 'warning',
                        If(Eval('state') == 'validated', 'muted', ''))),
                ['state', 'due_date', 'outcome']),
            ('//group[@id="correction"]', 'states', {
                    'invisible': (
                        (Eval('state') == 'draft')
                        & ~_filled('partner_recorded_on')
                        & ~_filled('department_recorded_on')),
                    }, [
                    'state', 'partner_recorded_on',
                    'department_recorded_on']),
            ('//page[@id="shared"]', 'states', {
                    'invisible': Eval('state') == 'draft',
                    }, ['state']),
            ('//page[@id="summary"]', 'states', {
                    'invisible': Eval('state') == 'draft',
                    }, ['state']),
            ('//page[@id="citizens"]', 'states', {
                    'invisible': Eval('level') == 'light',
                    }, ['level']),
            ]

    # The columns

    @fields.depends('convention', '_parent_convention.party')
    def on_change_with_party(self, name=None):
        return self.convention.party if self.convention else None

    @fields.depends('convention', '_parent_convention.scheme')
    def on_change_with_scheme(self, name=None):
        return self.convention.scheme if self.convention else None

    @fields.depends(
        'convention', '_parent_convention.company',
        '_parent_convention.officer')
    def on_change_convention(self):
        if self.convention:
            self.company = self.convention.company
            self.officer = self.convention.officer

    @classmethod
    def search_convention_field(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    @classmethod
    def get_orientations(cls, evaluations, name):
        return {
            e.id: list(dict.fromkeys(
                    o.id for a in e.convention.applications
                    for o in a.orientations))
            for e in evaluations}

    @classmethod
    def search_orientations(cls, name, clause):
        nested = clause[0][len(name):]
        return [(
                f'convention.applications.orientations{nested}',
                *clause[1:])]

    @classmethod
    def get_results(cls, evaluations, names):
        found = {
            e.id: [r for line in e.lines for r in line.results]
            for e in evaluations}
        return {
            name: {
                id_: [
                    r.id for r in results
                    if name == 'results' or r.from_survey]
                for id_, results in found.items()}
            for name in names}

    @fields.depends(
        'state', 'partner_recorded_on', 'department_recorded_on', 'sent_on',
        'complete')
    def on_change_with_next_step(self, name=None):
        return self._next()[0]

    @classmethod
    def search_next_step(cls, name, clause):
        return cls._search_turn(0, clause)

    @fields.depends(
        'state', 'partner_recorded_on', 'department_recorded_on', 'sent_on',
        'complete')
    def on_change_with_whose_turn(self, name=None):
        return self._next()[1]

    @classmethod
    def search_whose_turn(cls, name, clause):
        return cls._search_turn(1, clause)

    def get_rec_name(self, name):
        return (
            f'{self.convention.number} – {self.kind_string} {self.year}')

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('convention.rec_name', *clause[1:])]

    @property
    def freezing_state(self):
        return 'published' if self.published_on else self.state

    @property
    def of_evaluation(self):
        return self

    def is_side_open(self, side):
        """Return whether the view of the side, ``'partner'``,
        ``'department'`` or ``'agreed'``, may still be entered."""
        if side == 'agreed':
            return self.state == 'shared'
        return self.state == 'draft' and not getattr(
            self, f'{side}_recorded_on')

    # Life

    @classmethod
    def create(cls, vlist):
        Convention = Pool().get('grant.convention')
        vlist = [v.copy() for v in vlist]
        conventions = {
            c.id: c for c in Convention.browse(list({
                        v['convention'] for v in vlist
                        if v.get('convention')}))}
        for values in vlist:
            if convention := conventions.get(values.get('convention')):
                if convention.state not in EVALUATED_STATES:
                    raise TransitionError(gettext(
                            'pacte_grants.msg_evaluation_convention_state',
                            convention=convention.rec_name,
                            state=convention.state_label))
                values.setdefault(
                    'officer',
                    convention.officer.id if convention.officer else None)
        evaluations = super().create(vlist)
        with without_check_access():
            evaluations = cls.browse([e.id for e in evaluations])
            cls._set_origin(evaluations)
            cls.fill(evaluations)
        return cls.browse([e.id for e in evaluations])

    @classmethod
    def _set_origin(cls, evaluations):
        "The company and the level come from the convention, whoever asks."
        actions = []
        for evaluation in evaluations:
            convention = evaluation.convention
            values = {}
            if evaluation.company != convention.company:
                values['company'] = convention.company.id
            if evaluation.level != convention.scheme.level:
                values['level'] = convention.scheme.level
            if values:
                actions += [[evaluation], values]
        if actions:
            cls.write(*actions)

    @classmethod
    def copy(cls, evaluations, default=None):
        for evaluation in evaluations:
            raise AccessError(gettext(
                    'pacte_grants.msg_evaluation_copy',
                    evaluation=evaluation.rec_name))
        return []

    @classmethod
    def check_modification(cls, mode, evaluations, values=None,
            external=False):
        super().check_modification(
            mode, evaluations, values=values, external=external)
        if mode == 'delete':
            for evaluation in evaluations:
                if (evaluation.sent_on or evaluation.partner_recorded_on
                        or evaluation.department_recorded_on):
                    raise AccessError(gettext(
                            'pacte_grants.msg_evaluation_delete',
                            evaluation=evaluation.rec_name))

    @classmethod
    def validate_fields(cls, evaluations, field_names):
        super().validate_fields(evaluations, field_names)
        if field_names is None or field_names & {'year', 'convention'}:
            for evaluation in evaluations:
                years = evaluation.convention.objective_years
                if evaluation.year not in years:
                    raise PeriodError(gettext(
                            'pacte_grants.msg_evaluation_year',
                            evaluation=evaluation.rec_name,
                            first=years[0], last=years[-1]))
        today = Pool().get('ir.date').today()
        for name, message in [
                ('partner_received_on', 'received'),
                ('partner_agreed_on', 'agreed')]:
            if field_names is not None and name not in field_names:
                continue
            for evaluation in evaluations:
                date = getattr(evaluation, name)
                if date and date > today:
                    raise PeriodError(gettext(
                            f'pacte_grants.msg_evaluation_{message}',
                            evaluation=evaluation.rec_name))

    # The buttons

    @classmethod
    @ModelView.button
    def send(cls, evaluations):
        "Send the partner the grid to fill in; nothing of ours is in it."
        evaluations = cls.claim(evaluations)
        for evaluation in evaluations:
            cls.check_button([evaluation], 'send')
        cls._stamp(evaluations, 'sent', Pool().get('ir.date').today())

    @classmethod
    @ModelView.button
    def record_partner(cls, evaluations):
        """Record that the partner's view is entered as it was received.

        Raise ``CompletenessError`` without its date, without what the
        partner sent (but for a light evaluation), or without any rating or
        comment; a partner who did not answer had the grid until its date,
        and long enough (``EVALUATION_ANSWER_DELAY``).
        """
        evaluations = cls._claim_side(evaluations, 'partner')
        today = Pool().get('ir.date').today()
        for evaluation in evaluations:
            reasons = evaluation._get_partner_reasons(today)
            evaluation._refuse(reasons)
        cls._stamp(evaluations, 'partner_recorded', now())

    def _get_partner_reasons(self, today):
        reasons = []

        def add(message):
            reasons.append(gettext(f'pacte_grants.msg_evaluation_{message}'))
        entered = _is_filled(self.partner_view) or any(
            line.partner_rating or _is_filled(line.partner_comment)
            for line in self.lines)
        if self.partner_silent:
            # The date is that of the terms, which may have been moved.
            days = int(Pool().get('grant.parameter').get(
                    'EVALUATION_ANSWER_DELAY'))
            if (not self.sent_on
                    or self.sent_on + dt.timedelta(days=days) > today
                    or self.due_date and self.due_date >= today):
                add('silent_soon')
            if entered or self.partner_file:
                add('silent_entered')
            return reasons
        if not self.partner_received_on:
            add('no_received')
        if not self.partner_file and self.level != 'light':
            add('no_file')
        if not entered:
            add('no_partner_view')
        return reasons

    @classmethod
    @ModelView.button
    def record_department(cls, evaluations):
        """Record that the Département's view is entered; raise
        ``CompletenessError`` for objectives without rating nor comment."""
        evaluations = cls._claim_side(evaluations, 'department')
        for evaluation in evaluations:
            evaluation._refuse([
                    gettext('pacte_grants.msg_evaluation_no_rating',
                        line=line.rec_name)
                    for line in evaluation.lines
                    if not line.department_rating
                    and not _is_filled(line.department_comment)])
        cls._stamp(evaluations, 'department_recorded', now())

    @classmethod
    def _claim_side(cls, evaluations, side):
        evaluations = cls.claim(evaluations)
        cls.check_button(evaluations, f'record_{side}')
        return evaluations

    @classmethod
    @ModelView.button
    def correct_partner(cls, evaluations):
        "Let the partner's view be corrected, for a reason."
        cls._correct(evaluations, 'partner')

    @classmethod
    @ModelView.button
    def correct_department(cls, evaluations):
        "Let the Département's view be corrected, for a reason."
        cls._correct(evaluations, 'department')

    @classmethod
    def _correct(cls, evaluations, side):
        evaluations = cls.claim(evaluations)
        cls.check_button(evaluations, f'correct_{side}')
        acting_user(gettext('pacte_grants.msg_act_evaluation'))
        cls._journal(evaluations, f'correct_{side}', lambda e: ' ; '.join(
                f'{line.title} : {rating.name}' for line in e.lines
                if (rating := getattr(line, f'{side}_rating'))))
        cls.write(evaluations, {
                f'{side}_recorded_on': None,
                f'{side}_recorded_by': None,
                'reopen_reason': None,
                })

    @classmethod
    def _journal(cls, evaluations, name, before):
        "Keep the reason of what is undone; refuse without one."
        cls.check_reopen_reason(evaluations)
        Pool().get('grant.event').add([{
                    'record': e, 'name': name, 'before': before(e),
                    'reason': e.reopen_reason,
                    } for e in evaluations])

    @classmethod
    @ModelView.button
    @transition('shared')
    def share(cls, evaluations):
        "Put both views on the table; they stay as they are from now on."
        for evaluation in evaluations:
            if not (evaluation.partner_recorded_on
                    and evaluation.department_recorded_on):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_evaluation_share',
                        evaluation=evaluation.rec_name))
        cls.refresh(evaluations)
        cls._stamp(evaluations, 'shared', Pool().get('ir.date').today())

    @classmethod
    @ModelView.button
    @transition('validated')
    def validate_shared(cls, evaluations):
        """Validate what both sides agreed on, and freeze it.

        Raise ``CompletenessError`` with all that is missing, ``DutyError``
        for who recorded the Département's view.
        """
        user = acting_user(gettext('pacte_grants.msg_act_evaluation'))
        cls.refresh(evaluations)
        for evaluation in cls.browse([e.id for e in evaluations]):
            if user.is_same_person(evaluation.department_recorded_by):
                raise DutyError(gettext(
                        'pacte_grants.msg_evaluation_duty',
                        evaluation=evaluation.rec_name,
                        user=user.rec_name))
            evaluation._refuse(evaluation.get_validation_reasons())
        cls._stamp(evaluations, 'validated', Pool().get('ir.date').today())
        Pool().get('grant.event').add([{
                    'record': record, 'name': 'validate_shared',
                    'after': (
                        f'{e.rec_name} – {e.rating.rec_name} '
                        f'({plain_number(e.score)})'),
                    'reason': e.outcome_reason,
                    } for e in evaluations for record in [e, e.convention]])

    def get_validation_reasons(self):
        "Return, in sentences, what the validation still lacks."
        reasons = []

        def add(message, **names):
            reasons.append(gettext(
                    f'pacte_grants.msg_evaluation_{message}', **names))
        for line in self.lines:
            if not line.agreed_rating and not _is_filled(line.unrated_reason):
                add('no_rating', line=line.rec_name)
        if self.score is None:
            add('no_score')
        if not (self.level == 'light' or self.partner_silent
                or self.partner_agreed_on or _is_filled(self.disagreement)):
            add('no_agreement')
        if not self.outcome:
            add('no_outcome')
        elif not _is_filled(self.outcome_reason) and (
                self.level != 'light' or self.outcome == 'stop'):
            add('no_outcome_reason')
        if self.level == 'full':
            for line in self.lines:
                if line.objective and not line.continuation:
                    add('no_continuation', line=line.rec_name)
            if not _is_filled(self.summary):
                add('no_summary')
            if not (self.meetings or _is_filled(self.citizens_note) or any(
                        r.answers for line in self.lines
                        for r in line.results)):
                add('no_citizens')
        return reasons

    def _refuse(self, reasons):
        if reasons:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_evaluation_incomplete',
                    evaluation=self.rec_name, reasons=bulleted(reasons)))

    @property
    def _reopened_from(self):
        return ' – '.join(filter(None, [
                    self.state_label, self.rating and self.rating.rec_name,
                    self.outcome_string]))

    @classmethod
    def _reopen_to(cls, target, evaluations):
        evaluations = cls.claim(evaluations)
        cls.check_button(evaluations, 'reopen')
        acting_user(gettext('pacte_grants.msg_act_evaluation'))
        super()._reopen_to(target, evaluations)
        # What is changed now is agreed on anew.
        values = {
            'validated_on': None, 'validated_by': None,
            'partner_agreed_on': None}
        if target == 'draft':
            values.update(shared_on=None, shared_by=None)
        cls.write(cls.browse([e.id for e in evaluations]), values)

    @classmethod
    @ModelView.button
    def publish(cls, evaluations):
        """Publish the summary, which is frozen.

        Raise ``CompletenessError`` if it is empty or holds personal data, or
        if the partner is a person (L34).
        """
        evaluations = cls.claim(evaluations)
        cls.check_button(evaluations, 'publish')
        for evaluation in evaluations:
            evaluation._refuse(evaluation.get_publication_reasons())
        cls._stamp(evaluations, 'published', Pool().get('ir.date').today())
        Pool().get('grant.event').add([{
                    'record': e, 'name': 'publish', 'after': e.rec_name,
                    } for e in evaluations])

    def get_publication_reasons(self):
        "Return, in sentences, why the summary may not be published."
        if not _is_filled(self.summary):
            return [gettext('pacte_grants.msg_evaluation_no_summary')]
        convention = self.convention
        if convention.party.partner_kind == 'individual':
            return [gettext('pacte_grants.msg_evaluation_individual')]
        officers = [convention.officer, self.officer]
        names = [
            convention.party.representative_name, convention.signatory_name,
            *(o.party.name for o in officers if o)]
        # What is printed with the summary
        texts = [
            self.summary, convention.title,
            *(line.title for line in self.lines),
            *(r.name for line in self.lines for r in line.results)]
        return [
            gettext('pacte_grants.msg_evaluation_personal', text=found)
            for found in dict.fromkeys(
                found for text in texts
                for found in find_personal_data(text, names))]

    @classmethod
    @ModelView.button
    def unpublish(cls, evaluations):
        "Withdraw the summary from publication, for a reason."
        evaluations = cls.claim(evaluations)
        cls.check_button(evaluations, 'unpublish')
        acting_user(gettext('pacte_grants.msg_act_evaluation'))
        cls._journal(evaluations, 'unpublish', lambda e: e.published_on)
        cls.write(evaluations, {
                'published_on': None, 'published_by': None,
                'reopen_reason': None,
                })

    @classmethod
    def _stamp(cls, evaluations, step, time):
        user = acting_user(gettext('pacte_grants.msg_act_evaluation'))
        cls.write(evaluations, {
                f'{step}_by': user.id,
                f'{step}_on': time,
                })
