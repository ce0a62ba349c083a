# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What becomes of the eco-responsible actions from year to year."
from collections import defaultdict

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.transaction import Transaction

from .check import year_domain
from .eco import MAXIMUM_SCORE, SCORE_HELP, score_domain
from .exceptions import CompletenessError, DutyError, PeriodError
from .mixin import (
    FrozenByMixin, ReopenMixin, WorkflowMixin, acting_user, transition)
from .search import search_flag

FOLLOWED = frozenset({'active', 'closing', 'closed', 'terminated'})


class Progress(
        ReopenMixin, WorkflowMixin, FrozenByMixin, ModelSQL, ModelView):
    "What became of an eco-responsible action in a year."
    __name__ = 'grant.eco.progress'
    _frozen_by = 'commitment.convention'
    _parent_states = FOLLOWED
    _server_fields = frozenset({
            'recorded_by', 'verified_by', 'verified_on'})
    _frozen = {'verified': frozenset()}
    _reopened = {'verified': 'recorded'}
    # Who changes these is who records.
    _recorded = frozenset({
            'commitment', 'year', 'score', 'value', 'note', 'evidence_file'})

    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_convention_field')
    commitment = fields.Many2One(
        'grant.eco.commitment', "Eco-responsible Action", required=True,
        ondelete='RESTRICT',
        states={'readonly': Eval('state') == 'verified'})
    convention = fields.Function(fields.Many2One(
            'grant.convention', "Convention"),
        'on_change_with_convention', searcher='search_convention')
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_convention_field')
    theme = fields.Function(fields.Many2One(
            'grant.eco.theme', "Theme"),
        'on_change_with_theme', searcher='search_theme')
    year = fields.Integer(
        "Year", required=True, domain=year_domain('year'),
        states={'readonly': Eval('state') == 'verified'})
    score = fields.Integer(
        "Score Reached", required=True, domain=score_domain('score'),
        states={'readonly': Eval('state') == 'verified'}, help=SCORE_HELP)
    value = fields.Numeric(
        "Measured", states={'readonly': Eval('state') == 'verified'},
        help="In the unit of the indicator of the action.")
    unit = fields.Function(fields.Char("Unit"), 'on_change_with_unit')
    note = fields.Text(
        "Note", states={'readonly': Eval('state') == 'verified'})
    evidence_file = fields.Binary(
        "Evidence", filename='evidence_filename',
        states={'readonly': Eval('state') == 'verified'})
    evidence_filename = fields.Char(
        "Evidence Name", states={'readonly': Eval('state') == 'verified'})
    previous_score = fields.Function(fields.Integer(
            "Score Before",
            help="The year before or, the first time, the starting score."),
        'get_comparison')
    change = fields.Function(
        fields.Integer("Change"), 'get_comparison')
    reached = fields.Function(
        fields.Boolean("Target Reached"), 'get_comparison')
    recorded_by = fields.Many2One(
        'res.user', "Recorded By", readonly=True, ondelete='RESTRICT')
    verified_by = fields.Many2One(
        'res.user', "Verified By", readonly=True, ondelete='RESTRICT')
    verified_on = fields.Date("Verified On", readonly=True)
    events = fields.One2Many(
        'grant.event', 'record', "Journal", readonly=True)
    state = fields.Selection([
            ('recorded', "To Verify"),
            ('verified', "Verified"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [
            ('year', 'DESC'), ('commitment', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.extend([
                ('commitment_year_unique',
                    Unique(table, table.commitment, table.year),
                    'pacte_grants.msg_eco_progress_unique'),
                ])
        cls._sql_indexes.update({
                Index(table, (table.commitment, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                })
        cls._transitions = {
            ('recorded', 'verified'),
            ('verified', 'recorded'),
            }
        cls._buttons.update({
                'verify': {
                    'invisible': Eval('state') != 'recorded',
                    'depends': ['state'],
                    },
                'reopen': {
                    'invisible': Eval('state') != 'verified',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'recorded'

    @classmethod
    def default_year(cls):
        return Pool().get('ir.date').today().year

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="change"]', 'visual',
                If(Eval('change', 0) > 0, 'success',
                    If(Eval('change', 0) < 0, 'danger', '')),
                ['change']),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state') == 'recorded', 'warning', 'success'),
                ['state']),
            ]

    @fields.depends('commitment', '_parent_commitment.convention')
    def on_change_with_convention(self, name=None):
        return self.commitment.convention if self.commitment else None

    @classmethod
    def search_convention(cls, name, clause):
        return [('commitment.' + clause[0], *clause[1:])]

    @fields.depends('commitment', '_parent_commitment.convention')
    def on_change_with_company(self, name=None):
        if self.commitment and self.commitment.convention:
            return self.commitment.convention.company

    @fields.depends('commitment', '_parent_commitment.convention')
    def on_change_with_party(self, name=None):
        if self.commitment and self.commitment.convention:
            return self.commitment.convention.party

    @classmethod
    def search_convention_field(cls, name, clause):
        return [('commitment.convention.' + clause[0], *clause[1:])]

    @fields.depends('commitment', '_parent_commitment.theme')
    def on_change_with_theme(self, name=None):
        return self.commitment.theme if self.commitment else None

    @classmethod
    def search_theme(cls, name, clause):
        return [('commitment.' + clause[0], *clause[1:])]

    @fields.depends('commitment', '_parent_commitment.unit')
    def on_change_with_unit(self, name=None):
        return self.commitment.unit if self.commitment else None

    def get_rec_name(self, name):
        return f'{self.commitment.rec_name} ({self.year})'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('commitment.rec_name', *clause[1:])]

    @classmethod
    def get_comparison(cls, records, names):
        result = {name: {} for name in names}
        for record in records:
            commitment = record.commitment
            before = max(
                (p for p in commitment.progress if p.year < record.year),
                key=lambda p: p.year, default=None)
            previous = (
                before.score if before else commitment.starting_score)
            values = {
                'previous_score': previous,
                'change': record.score - previous,
                'reached': commitment.is_reached(
                    record.score, record.value),
                }
            for name in names:
                result[name][record.id] = values[name]
        return result

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create' or values.keys() & cls._recorded:
            values['recorded_by'] = Transaction().user or None
        return values

    @classmethod
    def validate_fields(cls, records, field_names):
        super().validate_fields(records, field_names)
        if field_names is not None and not (
                field_names & {'year', 'commitment'}):
            return
        for record in records:
            convention = record.commitment.convention
            first = convention.start_date.year
            last = convention.end_date.year
            if not first <= record.year <= last:
                raise PeriodError(gettext(
                        'pacte_grants.msg_eco_progress_year',
                        record=record.rec_name, year=record.year,
                        convention=convention.rec_name,
                        first=first, last=last))

    @classmethod
    def copy(cls, records, default=None):
        default = {} if default is None else default.copy()
        for name in ['note', 'evidence_file', 'evidence_filename', 'events']:
            default.setdefault(name, None)
        return super().copy(records, default=default)

    @classmethod
    @ModelView.button
    @transition('verified')
    def verify(cls, records):
        """Verify what somebody else recorded; raise ``DutyError`` for one's
        own, ``CompletenessError`` without what supports the score."""
        user = acting_user(gettext('pacte_grants.msg_act_verify'))
        for record in records:
            if any(user.is_same_person(u) for u in {
                        record.recorded_by, record.create_uid} if u):
                raise DutyError(gettext(
                        'pacte_grants.msg_eco_progress_duty',
                        record=record.rec_name, user=user.rec_name))
            if record.score >= 2 and not (
                    record.evidence_file or (record.note or '').strip()):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_eco_progress_evidence',
                        record=record.rec_name, score=record.score))
            if (record.score == MAXIMUM_SCORE
                    and record.commitment.indicator
                    and record.value is None):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_eco_progress_value',
                        record=record.rec_name,
                        indicator=record.commitment.indicator))
        cls.write(records, {
                'verified_by': user.id,
                'verified_on': Pool().get('ir.date').today(),
                })

    @classmethod
    def _reopen_to(cls, target, records):
        super()._reopen_to(target, records)
        cls.write(cls.browse([r.id for r in records]), {
                'verified_by': None,
                'verified_on': None,
                })


class Commitment(metaclass=PoolMeta):
    __name__ = 'grant.eco.commitment'

    progress = fields.One2Many(
        'grant.eco.progress', 'commitment', "Yearly Follow-up",
        states={
            'readonly': ~Eval('convention_state').in_(list(FOLLOWED)),
            })
    last_year = fields.Function(
        fields.Integer("Last Follow-up"), 'get_last')
    last_score = fields.Function(
        fields.Integer("Score Reached", help=SCORE_HELP), 'get_last')
    last_value = fields.Function(
        fields.Numeric("Measured"), 'get_last')
    reached = fields.Function(fields.Boolean("Target Reached"), 'get_last')
    followed = fields.Function(
        fields.Boolean("Followed Up This Year"), 'get_last',
        searcher='search_followed')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('reached', False), 'success', ''),
                ['reached']),
            ]

    @classmethod
    def get_last(cls, commitments, names):
        year = Pool().get('ir.date').today().year
        result = {name: {} for name in names}
        for commitment in commitments:
            progress = commitment.progress
            last = max(progress, key=lambda p: p.year, default=None)
            values = {
                'last_year': last.year if last else None,
                'last_score': last.score if last else None,
                'last_value': last.value if last else None,
                'reached': bool(last) and commitment.is_reached(
                    last.score, last.value),
                'followed': any(p.year == year for p in progress),
                }
            for name in names:
                result[name][commitment.id] = values[name]
        return result

    @classmethod
    def search_followed(cls, name, clause):
        year = Pool().get('ir.date').today().year
        return search_flag(
            clause,
            [('progress.year', '=', year)],
            [('progress', 'not where', [('year', '=', year)])])

    def is_reached(self, score, value):
        """Return whether the score and the measured value (in the unit of
        the indicator) reach both targets."""
        if score is None or score < self.target_score:
            return False
        if self.target is None:
            return True
        if value is None:
            return False
        if self.direction == 'fall':
            return value <= self.target
        return value >= self.target

    @classmethod
    def copy(cls, commitments, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('progress', None)
        return super().copy(commitments, default=default)


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    eco_progress_note = fields.Function(fields.Text(
            "Progress from Year to Year"),
        'get_eco_progress_note')

    @classmethod
    def get_eco_progress_note(cls, conventions, name):
        notes = {}
        for convention in conventions:
            by_year = defaultdict(list)
            for commitment in convention.eco_commitments:
                for progress in commitment.progress:
                    by_year[progress.year].append(progress.score)
            notes[convention.id] = '\n'.join(
                gettext('pacte_grants.msg_eco_year',
                    year=year, total=sum(scores),
                    maximum=MAXIMUM_SCORE * len(scores),
                    count=len(scores))
                for year, scores in sorted(by_year.items()))
        return notes
