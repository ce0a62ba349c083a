# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The lines of an evaluation: an objective seen by each side, the indicators
beside it, and the meetings with users and inhabitants."""
from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, Unique, fields, sequence_ordered)
from trytond.model.exceptions import AccessError
from trytond.pool import Pool
from trytond.pyson import Bool, Eval
from trytond.tools import grouped_slice

from .evaluation import SidesMixin
from .evaluation_results import OPEN
from .exceptions import FrozenError
from .measure import UNMEASURED
from .mixin import FrozenByMixin, is_thawed
from .objective import SURVEY_KINDS, plain_number, plain_percent
from .sums import SLICE


def _line_states(side):
    return {'readonly': ~Eval(f'{side}_open', False)}


class EvaluationChildMixin(FrozenByMixin):
    "A part of an evaluation, open as long as that is not validated."
    __slots__ = ()
    _frozen_by = 'evaluation'
    _parent_states = OPEN


class Line(
        SidesMixin, EvaluationChildMixin, sequence_ordered(), ModelSQL,
        ModelView):
    "An objective, seen by the partner, by the Département and by both."
    __name__ = 'grant.evaluation.line'
    _rec_name = 'title'
    _server_fields = frozenset({'evaluation', 'sequence'})
    _sides = {
        side: [f'{side}_rating', f'{side}_comment']
        for side in ['partner', 'department']} | {
        'agreed': [
            'agreed_rating', 'agreed_comment', 'unrated_reason',
            'continuation', 'continuation_reason'],
        }

    evaluation = fields.Many2One(
        'grant.evaluation', "Evaluation", required=True, readonly=True,
        ondelete='CASCADE')
    objective = fields.Many2One(
        'grant.objective', "Objective", readonly=True, ondelete='RESTRICT',
        help="Empty for the project as a whole.")
    title = fields.Char("Title", required=True, readonly=True)
    weight = fields.Numeric(
        "Weight", digits=(3, 0), required=True, readonly=True)
    attainment = fields.Float(
        "Attainment", digits=(1, 4), readonly=True, states=UNMEASURED)
    results = fields.One2Many(
        'grant.evaluation.result', 'line', "Indicators",
        states={'readonly': ~Eval('agreed_open', False)})
    results_text = fields.Function(
        fields.Text("Measured"), 'get_results_text')
    scale_date = fields.Function(
        fields.Date("Scale Of"), 'on_change_with_scale_date')
    partner_open = fields.Function(
        fields.Boolean("Partner's View Open"), 'on_change_with_partner_open')
    department_open = fields.Function(
        fields.Boolean("Department's View Open"),
        'on_change_with_department_open')
    agreed_open = fields.Function(
        fields.Boolean("Shared View Open"), 'on_change_with_agreed_open')
    partner_rating = fields.Many2One(
        'grant.evaluation.rating', "Partner's Rating", ondelete='RESTRICT',
        states=_line_states('partner'))
    partner_comment = fields.Text(
        "Partner's Comment", states=_line_states('partner'))
    department_rating = fields.Many2One(
        'grant.evaluation.rating', "Department's Rating",
        ondelete='RESTRICT', states=_line_states('department'))
    department_comment = fields.Text(
        "Department's Comment", states=_line_states('department'))
    agreed_rating = fields.Many2One(
        'grant.evaluation.rating', "Agreed Rating", ondelete='RESTRICT',
        states=_line_states('agreed'))
    agreed_comment = fields.Text(
        "Agreed Comment", states=_line_states('agreed'))
    unrated_reason = fields.Char(
        "Not Rated Because",
        states={
            'readonly': ~Eval('agreed_open', False),
            'invisible': Bool(Eval('agreed_rating')),
            })
    continuation = fields.Selection([
            (None, ""),
            ('keep', "Keep"),
            ('change', "Change"),
            ('drop', "Drop"),
            ], "What Next", sort=False, states=_line_states('agreed'),
        help="For the objective, in what comes next.")
    continuation_string = continuation.translated('continuation')
    continuation_reason = fields.Char(
        "How", states=_line_states('agreed'))

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('evaluation')
        cls._sql_constraints.append((
                'evaluation_objective_unique',
                Unique(table, table.evaluation, table.objective),
                'pacte_grants.msg_evaluation_line_unique'))
        cls._sql_indexes.add(
            Index(table, (table.evaluation, Index.Equality())))
        date = Eval('scale_date', None)
        for side in ['partner', 'department', 'agreed']:
            getattr(cls, f'{side}_rating').domain = [
                ('valid_from', '<=', date),
                ['OR', ('valid_to', '=', None), ('valid_to', '>=', date)],
                ]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//group[@id="agreed"]', 'states', {
                    'invisible': (~Eval('agreed_open', False)
                        & ~Bool(Eval('agreed_rating'))
                        & ~Bool(Eval('unrated_reason'))),
                    }, ['agreed_open', 'agreed_rating', 'unrated_reason']),
            ]

    @fields.depends('evaluation', '_parent_evaluation.scale_date')
    def on_change_with_scale_date(self, name=None):
        return self.evaluation.scale_date if self.evaluation else None

    def _is_side_open(self, side):
        return bool(self.evaluation and self.evaluation.is_side_open(side))

    @fields.depends(
        'evaluation', '_parent_evaluation.state',
        '_parent_evaluation.partner_recorded_on')
    def on_change_with_partner_open(self, name=None):
        return self._is_side_open('partner')

    @fields.depends(
        'evaluation', '_parent_evaluation.state',
        '_parent_evaluation.department_recorded_on')
    def on_change_with_department_open(self, name=None):
        return self._is_side_open('department')

    @fields.depends('evaluation', '_parent_evaluation.state')
    def on_change_with_agreed_open(self, name=None):
        return self._is_side_open('agreed')

    @property
    def of_evaluation(self):
        return self.evaluation

    @property
    def indicators(self):
        "The indicators whose results stand beside the line."
        if self.objective:
            return self.objective.indicators
        return [
            i for o in self.evaluation.convention.objectives
            for i in o.indicators]

    @classmethod
    def get_results_text(cls, lines, name):
        return {
            line.id: '\n'.join(r.text for r in line.results) or None
            for line in lines}

    @classmethod
    def check_modification(cls, mode, lines, values=None, external=False):
        super().check_modification(
            mode, lines, values=values, external=external)
        if external and mode in {'create', 'delete'}:
            for line in lines:
                raise AccessError(gettext(
                        'pacte_grants.msg_evaluation_lines',
                        evaluation=line.evaluation.rec_name))

    @classmethod
    def copy(cls, lines, default=None):
        for line in lines:
            raise AccessError(gettext(
                    'pacte_grants.msg_evaluation_lines',
                    evaluation=line.evaluation.rec_name))
        return []

    @classmethod
    def on_modification(cls, mode, lines, field_names=None):
        super().on_modification(mode, lines, field_names=field_names)
        if mode == 'create' or mode == 'write' and field_names & {
                'agreed_rating', 'unrated_reason', 'weight'}:
            Evaluation = Pool().get('grant.evaluation')
            Evaluation.set_scores(list({line.evaluation for line in lines}))


class Result(EvaluationChildMixin, ModelSQL, ModelView):
    """An indicator beside a line: copied as it is measured, and kept as it
    was once the evaluation is validated."""
    __name__ = 'grant.evaluation.result'
    _rec_name = 'name'
    _frozen_by = 'line.evaluation'

    line = fields.Many2One(
        'grant.evaluation.line', "Line", required=True, readonly=True,
        ondelete='CASCADE')
    indicator = fields.Many2One(
        'grant.indicator', "Indicator", required=True, readonly=True,
        ondelete='RESTRICT')
    name = fields.Char("Name", required=True, readonly=True)
    unit = fields.Char("Unit", readonly=True)
    baseline = fields.Numeric("Baseline", readonly=True)
    target = fields.Numeric("Target", readonly=True)
    value = fields.Numeric("Measured", readonly=True)
    measured_on = fields.Date("Measured On", readonly=True)
    attainment = fields.Float(
        "Attainment", digits=(1, 4), readonly=True, states=UNMEASURED)
    from_survey = fields.Boolean("From a Survey", readonly=True)
    answers = fields.Integer("Answers", readonly=True)
    new_target = fields.Numeric(
        "New Target Proposed",
        states={'readonly': ~Eval('target_open', False)},
        help="For what comes next, in the unit of the indicator.")
    target_open = fields.Function(
        fields.Boolean("New Target Open"), 'on_change_with_target_open')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('line')
        cls._order = [('line', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.append((
                'line_indicator_unique',
                Unique(table, table.line, table.indicator),
                'pacte_grants.msg_evaluation_result_unique'))
        cls._sql_indexes.update({
                Index(table, (table.line, Index.Equality())),
                Index(table, (table.indicator, Index.Equality())),
                })

    @fields.depends('line', '_parent_line.agreed_open')
    def on_change_with_target_open(self, name=None):
        return bool(self.line and self.line.agreed_open)

    @property
    def text(self):
        "The result in one sentence."
        return self._get_text()

    def get_public_text(self, minimum):
        """Return the sentence to publish: without the value of a survey that
        has less than ``minimum`` answers, which would tell who said what."""
        if (self.value is not None and self.indicator.kind == 'satisfaction'
                and (self.answers or 0) < minimum):
            return f'{self.name} : ' + gettext(
                'pacte_grants.msg_evaluation_few_answers', minimum=minimum)
        return self._get_text()

    def _get_text(self):
        parts = []
        if self.value is None:
            parts.append(gettext('pacte_grants.msg_evaluation_unmeasured'))
        else:
            parts.append(f'{plain_number(self.value)} {self.unit or ""}')
        parts.append(gettext(
                'pacte_grants.msg_evaluation_target',
                target=plain_number(self.target)))
        if self.attainment is not None:
            parts.append(gettext(
                    'pacte_grants.msg_evaluation_attained',
                    attainment=plain_percent(
                        Decimal(str(round(self.attainment, 2))))))
        if self.answers:
            parts.append(gettext(
                    'pacte_grants.msg_evaluation_answers',
                    answers=self.answers))
        return f"{self.name} : {', '.join(parts)}"

    @classmethod
    def count_answers(cls, results):
        """Return by result id the number of answers of the survey from
        which its value comes."""
        Measure = Pool().get('grant.measure')
        measures = defaultdict(list)
        ids = {
            r.indicator.id for r in results
            if r.indicator.kind in SURVEY_KINDS}
        for sub in grouped_slice(sorted(ids), SLICE):
            for measure in Measure.search([
                        ('indicator', 'in', list(sub)),
                        ('replaced_by', '=', None),
                        ('value', '!=', None),
                        ], order=[('date', 'ASC'), ('id', 'ASC')]):
                measures[measure.indicator.id].append(measure)
        answers = {}
        for result in results:
            year = result.line.evaluation.year
            indicator = result.indicator
            final = year >= indicator.years[-1]
            for measure in measures[indicator.id]:
                if final or measure.date.year <= year:
                    answers[result.id] = measure.answers
        return answers

    @classmethod
    def check_modification(cls, mode, results, values=None, external=False):
        super().check_modification(
            mode, results, values=values, external=external)
        if external and mode in {'create', 'delete'}:
            for result in results:
                raise AccessError(gettext(
                        'pacte_grants.msg_evaluation_lines',
                        evaluation=result.line.evaluation.rec_name))
        if mode == 'write' and 'new_target' in values and not is_thawed():
            for result in results:
                evaluation = result.line.evaluation
                if cls._differs(
                        result, 'new_target', values['new_target']) and (
                        not evaluation.is_side_open('agreed')):
                    raise FrozenError(gettext(
                            'pacte_grants.msg_evaluation_side_agreed',
                            evaluation=evaluation.rec_name,
                            **cls.__names__(field='new_target')))

    @classmethod
    def copy(cls, results, default=None):
        for result in results:
            raise AccessError(gettext(
                    'pacte_grants.msg_evaluation_lines',
                    evaluation=result.line.evaluation.rec_name))
        return []


class Meeting(EvaluationChildMixin, ModelSQL, ModelView):
    "What users and inhabitants said, and how many they were."
    __name__ = 'grant.evaluation.meeting'

    evaluation = fields.Many2One(
        'grant.evaluation', "Evaluation", required=True, ondelete='CASCADE')
    date = fields.Date("Date", required=True)
    public = fields.Char(
        "Public", required=True,
        help="Who was met: users, inhabitants, pupils, volunteers…")
    participants = fields.Integer(
        "Participants", domain=[
            ['OR', ('participants', '=', None), ('participants', '>=', 0)]])
    text = fields.Text("What Was Said", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('evaluation')
        cls._order = [('date', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.add(
            Index(table, (table.evaluation, Index.Equality())))

    def get_rec_name(self, name):
        lang = Pool().get('ir.lang').get()
        return f'{lang.strftime(self.date)} – {self.public}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('public', *clause[1:])]
