# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The documents of an evaluation: the grid that the partner fills in, the
evaluation in three columns, the summary for the inhabitants.

Each is sealed when it leaves: the grid when it is sent, the evaluation when
it is validated, the summary when it is published.
"""
from trytond.i18n import gettext
from trytond.model import Index, fields
from trytond.modules.company import CompanyReport
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval
from trytond.transaction import Transaction, without_check_access

from .document import _make_pdfs, _paragraphs, _qr_code, _quoted
from .exceptions import CompletenessError, FrozenError
from .objective import plain_number, plain_percent
from .wording import in_words, long_date

_SEALING = '_pacte_grants_evaluation_sealing'
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

    @classmethod
    @without_check_access
    def issue_evaluations(cls, evaluations, kind):
        """Make and seal the document of the kind of each evaluation; the
        journal keeps its fingerprint."""
        pool = Pool()
        Report = pool.get(f'grant.{_REPORTS[kind]}', type='report')
        files = [Report.produce(e) for e in evaluations]
        pdfs = _make_pdfs(files)
        documents = []
        for evaluation, data, pdf in zip(
                evaluations, files, pdfs, strict=True):
            # One after the other: they may be of the same convention.
            convention = pool.get('grant.convention')(
                evaluation.convention.id)
            values = cls._document_values(
                convention, data,
                (pdf, 'made') if pdf else Report.make_pdf(data), kind)
            basename = (
                f"{convention.number}-{kind.replace('_', '-')}-"
                f"v{values['version']}")
            values.update(
                evaluation=evaluation.id,
                name=(
                    f'{evaluation.rec_name} – {cls._kind_label(kind)} '
                    f"{values['version']}"),
                filename=f'{basename}.odt')
            if values['pdf']:
                values['pdf_filename'] = f'{basename}.pdf'
            documents += cls.create([values])
        pool.get('grant.event').add([{
                    'record': d.evaluation, 'name': 'documents',
                    'after': f'{d.name} – SHA-256 {d.sha256}',
                    } for d in documents])
        return documents

    @classmethod
    @without_check_access
    def supersede_evaluations(cls, evaluations, kind, reasons):
        "Mark the documents of the kind of the evaluations."
        documents = cls.search([
                ('evaluation', 'in', [e.id for e in evaluations]),
                ('kind', '=', kind),
                ('state', '=', 'sealed'),
                ])
        cls.supersede_documents(
            documents, {d: reasons.get(d.evaluation.id) for d in documents})


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
        Pool().get('grant.document').issue_evaluations(
            cls.browse([e.id for e in evaluations]), kind)

    @classmethod
    def _reopen_to(cls, target, evaluations):
        reasons = {e.id: e.reopen_reason for e in evaluations}
        super()._reopen_to(target, evaluations)
        Pool().get('grant.document').supersede_evaluations(
            evaluations, SHARED, reasons)

    @classmethod
    def unpublish(cls, evaluations):
        reasons = {e.id: e.reopen_reason for e in evaluations}
        super().unpublish(evaluations)
        Pool().get('grant.document').supersede_evaluations(
            evaluations, SUMMARY, reasons)


class _EvaluationReport(CompanyReport):
    __slots__ = ()
    _kind = None
    # The identifiers of the action of the template
    _action = None

    @classmethod
    def _convention_report(cls):
        return Pool().get('grant.convention.convention', type='report')

    @classmethod
    def make_pdf(cls, data):
        return cls._convention_report().make_pdf(data)

    @classmethod
    @without_check_access
    def produce(cls, evaluation):
        "Return the file (bytes) of the final document, to be sealed."
        with Transaction().set_context(**{_SEALING: True}):
            return cls._make(evaluation)

    @classmethod
    def _make(cls, evaluation):
        pool = Pool()
        action = pool.get('ir.action.report')(
            pool.get('ir.model.data').get_id('pacte_grants', cls._action))
        records = cls._get_records([evaluation.id], 'grant.evaluation', {})
        header = dict(cls.header_key(evaluation, {}))
        with Transaction().set_context(Transaction().context):
            context = cls.get_context(records, header, {})
            return bytes(cls.render(action, context))

    @classmethod
    def _execute(cls, records, header, data, action):
        """Return the sealed document of the evaluation or else its draft, in
        the format of the action; refuse the shared one before both views
        are."""
        record, = records
        extension = action.extension or action.template_extension
        with without_check_access():
            evaluation = Pool().get('grant.evaluation')(record.id)
            sealed = [
                d for d in evaluation.documents
                if d.kind == cls._kind and d.state == 'sealed']
            if sealed:
                return extension, sealed[0].get_file(extension)
            if cls._kind != GRID and evaluation.state == 'draft':
                raise CompletenessError(gettext(
                        'pacte_grants.msg_evaluation_document_draft',
                        evaluation=evaluation.rec_name))
            draft = cls._make(evaluation)
            if extension == 'pdf':
                draft, status = cls.make_pdf(draft)
                if not draft:
                    raise CompletenessError(
                        gettext('pacte_grants.msg_document_draft_no_pdf',
                            convention=evaluation.rec_name),
                        gettext('pacte_grants.msg_document_no_converter'
                            if status == 'no_converter'
                            else 'pacte_grants.msg_document_pdf_failed'))
        return extension, draft

    @classmethod
    def get_context(cls, records, header, data):
        """Return the values that the templates name: ``draft``,
        ``reference`` and ``qr_code``, the parties, ``label`` and ``year``,
        ``lines`` with their ``results`` and the three views (the grid has
        none of them), ``scale``, ``surveys``, ``meetings``, what comes next
        and the ``summary``."""
        context = super().get_context(records, header, data)
        pool = Pool()
        evaluation = pool.get('grant.evaluation')(records[0].id)
        convention = evaluation.convention
        report = cls._convention_report()
        sealing = Transaction().context.get(_SEALING)
        reference = pool.get('grant.document').next_reference(
            convention, cls._kind) if sealing else None
        scale = pool.get('grant.evaluation.rating').get_scale(
            evaluation.scale_date)
        context.update(
            draft=not sealing,
            reference=reference,
            qr_code=_qr_code(reference),
            number=convention.number,
            title=_quoted(convention.title),
            is_letter=convention.form == 'letter',
            label=evaluation.kind_string,
            year=str(evaluation.year),
            date=long_date(pool.get('ir.date').today()),
            due_date=(
                long_date(evaluation.due_date) if evaluation.due_date
                else None),
            period_start=long_date(convention.start_date),
            period_end=long_date(convention.end_date),
            department=report._get_department(convention),
            partner=report._get_partner(convention),
            officer=report._get_officer(convention),
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
            'results': [r.text for r in line.results],
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
    def _get_views(cls, evaluation):
        if cls._kind == GRID:
            return {}
        lang = Pool().get('ir.lang').get()
        return {
            'partner_silent': evaluation.partner_silent,
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
