# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The documents of an evaluation: the grid that the partner fills in, the
evaluation in three columns, the summary for the inhabitants.

Each is sealed when it leaves: the grid when it is sent, the evaluation when
it is validated, the summary when it is published.
"""
from trytond.i18n import gettext
from trytond.model import Index, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval

from .document import _paragraphs
from .exceptions import CompletenessError, FrozenError
from .objective import plain_number, plain_percent
from .sealed import SealedReport, seal, supersede
from .wording import in_words, long_date

# The kinds of documents and the letters of their references
GRID, SHARED, SUMMARY = (
    'evaluation_grid', 'evaluation', 'evaluation_summary')
_LETTERS = {GRID: 'G', SHARED: 'E', SUMMARY: 'B'}


class Document(metaclass=PoolMeta):
    __name__ = 'grant.document'

    evaluation = fields.Many2One(
        'grant.evaluation', "Evaluation", readonly=True, ondelete='RESTRICT',
        states={'invisible': ~Bool(Eval('evaluation'))})

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        for kind in [
                (GRID, "Evaluation Grid"),
                (SHARED, "Shared Evaluation"),
                (SUMMARY, "Published Summary")]:
            if kind not in cls.kind.selection:
                cls.kind.selection.append(kind)
        cls._letters = cls._letters | _LETTERS
        cls._sql_indexes.add(
            Index(table, (table.evaluation, Index.Equality())))


class Evaluation(metaclass=PoolMeta):
    __name__ = 'grant.evaluation'

    documents = fields.One2Many(
        'grant.document', 'evaluation', "Documents", readonly=True)

    @classmethod
    def check_modification(cls, mode, evaluations, values=None,
            external=False):
        super().check_modification(
            mode, evaluations, values=values, external=external)
        if mode == 'delete':
            for evaluation in evaluations:
                if evaluation.documents:
                    raise FrozenError(gettext(
                            'pacte_grants.msg_evaluation_delete',
                            evaluation=evaluation.rec_name))

    @classmethod
    def send(cls, evaluations):
        super().send(evaluations)
        cls._issue(evaluations, GRID)

    @classmethod
    def validate_shared(cls, evaluations):
        super().validate_shared(evaluations)
        cls._issue(evaluations, SHARED)

    @classmethod
    def publish(cls, evaluations):
        super().publish(evaluations)
        cls._issue(evaluations, SUMMARY)

    @classmethod
    def _issue(cls, evaluations, kind):
        Report = Pool().get(f'grant.{_REPORTS[kind]}', type='report')
        seal(
            Report, cls.browse([e.id for e in evaluations]), kind,
            'evaluation')

    @classmethod
    def _reopen_to(cls, target, evaluations):
        reasons = {e.id: e.reopen_reason for e in evaluations}
        super()._reopen_to(target, evaluations)
        supersede(evaluations, {SHARED}, reasons)

    @classmethod
    def unpublish(cls, evaluations):
        reasons = {e.id: e.reopen_reason for e in evaluations}
        super().unpublish(evaluations)
        supersede(evaluations, {SUMMARY}, reasons)


class _EvaluationReport(SealedReport):
    __slots__ = ()
    _model = 'grant.evaluation'

    @classmethod
    def check_draft(cls, evaluation):
        if cls._kind != GRID and evaluation.state == 'draft':
            raise CompletenessError(gettext(
                    'pacte_grants.msg_evaluation_document_draft',
                    evaluation=evaluation.rec_name))

    @classmethod
    def get_context(cls, records, header, data):
        """Return the values that the templates name beside the common ones:
        ``label`` and ``year``, ``lines`` with their ``results`` and the
        three views (the grid has none of them), whether they are shared
        (``together``, ``agreed_on``, ``disagreement``), ``scale``,
        ``surveys``, ``meetings``, what comes next and the ``summary``."""
        context = super().get_context(records, header, data)
        pool = Pool()
        evaluation = pool.get('grant.evaluation')(records[0].id)
        scale = pool.get('grant.evaluation.rating').get_scale(
            evaluation.scale_date)
        context.update(
            label=evaluation.kind_string,
            year=str(evaluation.year),
            due_date=(
                long_date(evaluation.due_date) if evaluation.due_date
                else None),
            scale=[{
                    'name': rating.name,
                    'points': plain_number(rating.points),
                    'description': ' '.join(rating.description.split()),
                    } for rating in scale],
            lines=[cls._get_line(line) for line in evaluation.lines],
            **cls._get_views(evaluation))
        return context

    @classmethod
    def _get_line(cls, line):
        values = {
            'title': line.title,
            'description': _paragraphs(
                line.objective.description if line.objective else None),
            'weight': plain_number(line.weight),
            'attainment': cls._percent(line.attainment),
            'results': cls._get_results(line),
            }
        if cls._kind == GRID:
            return values
        for side in ['partner', 'department', 'agreed']:
            rating = getattr(line, f'{side}_rating')
            values[side] = {
                'rating': rating.name if rating else None,
                'comment': _paragraphs(getattr(line, f'{side}_comment')),
                }
        values.update(
            unrated=line.unrated_reason,
            continuation=(
                line.continuation_string if line.continuation else None),
            continuation_reason=line.continuation_reason,
            new_targets=[
                f'{r.name} : {plain_number(r.new_target)} {r.unit or ""}'
                for r in line.results if r.new_target is not None])
        return values

    @classmethod
    def _get_results(cls, line):
        if cls._kind != SUMMARY:
            return [r.text for r in line.results]
        minimum = int(Pool().get('grant.parameter').get(
                'SURVEY_MINIMUM_ANSWERS'))
        return [r.get_public_text(minimum) for r in line.results]

    @classmethod
    def _get_views(cls, evaluation):
        if cls._kind == GRID:
            return {}
        lang = Pool().get('ir.lang').get()
        return {
            'partner_silent': evaluation.partner_silent,
            # Whether both sides stand behind it
            'together': not (
                evaluation.partner_silent
                or (evaluation.disagreement or '').strip()),
            'agreed_on': (
                long_date(evaluation.partner_agreed_on)
                if evaluation.partner_agreed_on else None),
            'disagreement': _paragraphs(evaluation.disagreement),
            'partner_view': _paragraphs(evaluation.partner_view),
            'department_view': _paragraphs(evaluation.department_view),
            'agreed_view': _paragraphs(evaluation.agreed_view),
            'rating': evaluation.rating.name if evaluation.rating else None,
            'score': (
                plain_number(evaluation.score)
                if evaluation.score is not None else None),
            'unrated_count': evaluation.unrated or 0,
            'unrated_words': in_words(evaluation.unrated or 0),
            'attainment': cls._percent(evaluation.attainment),
            'surveys': [
                r.text for line in evaluation.lines for r in line.results
                if r.from_survey],
            'meetings': [{
                    'date': lang.strftime(m.date),
                    'public': m.public,
                    'participants': (
                        str(m.participants) if m.participants else None),
                    'text': _paragraphs(m.text),
                    } for m in evaluation.meetings],
            'citizens_note': _paragraphs(evaluation.citizens_note),
            'outcome': (
                evaluation.outcome_string if evaluation.outcome else None),
            'outcome_reason': _paragraphs(evaluation.outcome_reason),
            'proposals': _paragraphs(evaluation.proposals),
            'summary': _paragraphs(evaluation.summary),
            'published_on': (
                long_date(evaluation.published_on)
                if evaluation.published_on else None),
            }

    @staticmethod
    def _percent(attainment):
        if attainment is None:
            return None
        return plain_percent(f'{attainment:.2f}')


class GridReport(_EvaluationReport):
    __name__ = 'grant.evaluation.grid'
    _kind = GRID
    _action = 'report_evaluation_grid_odt'


class SharedReport(_EvaluationReport):
    __name__ = 'grant.evaluation.shared'
    _kind = SHARED
    _action = 'report_evaluation_shared_odt'


class SummaryReport(_EvaluationReport):
    __name__ = 'grant.evaluation.summary'
    _kind = SUMMARY
    _action = 'report_evaluation_summary_odt'


_REPORTS = {
    GRID: 'evaluation.grid',
    SHARED: 'evaluation.shared',
    SUMMARY: 'evaluation.summary',
    }
