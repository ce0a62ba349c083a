# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Documents that are made of a record of a convention and sealed with it.

The record has a field ``documents``; the document has a field that points
back to it.  What is sealed is printed as it is; before, a draft is.
"""
from trytond.modules.company import CompanyReport
from trytond.pool import Pool
from trytond.transaction import Transaction, without_check_access

from .document import _qr_code, _quoted, draft_pdf, make_pdfs
from .wording import long_date

_SEALING = '_pacte_grants_record_sealing'


class SealedReport(CompanyReport):
    __slots__ = ()
    # The model of its records
    _model = None
    # The kind of document that it makes, by default
    _kind = None
    # The identifier of the action of its template
    _action = None

    @classmethod
    def convention_report(cls):
        return Pool().get('grant.convention.convention', type='report')

    @classmethod
    def make_pdf(cls, data):
        return cls.convention_report().make_pdf(data)

    @classmethod
    def sealing(cls):
        "Return the kind of document that is being sealed, if one is."
        return Transaction().context.get(_SEALING)

    @classmethod
    @without_check_access
    def produce(cls, record, kind=None):
        "Return the file (bytes) of the final document, to be sealed."
        with Transaction().set_context(**{_SEALING: kind or cls._kind}):
            return cls._make(record)

    @classmethod
    def _make(cls, record):
        pool = Pool()
        action = pool.get('ir.action.report')(
            pool.get('ir.model.data').get_id('pacte_grants', cls._action))
        records = cls._get_records([record.id], cls._model, {})
        header = dict(cls.header_key(record, {}))
        with Transaction().set_context(Transaction().context):
            context = cls.get_context(records, header, {})
            return bytes(cls.render(action, context))

    @classmethod
    def get_sealed(cls, record):
        "Return the sealed document that stands for the record, or None."
        return next((
                d for d in record.documents
                if d.kind == cls._kind and d.state == 'sealed'), None)

    @classmethod
    def check_draft(cls, record):
        "Raise ``CompletenessError`` if there is nothing to draft yet."

    @classmethod
    def _execute(cls, records, header, data, action):
        """Return the sealed document of the record or else its draft, in the
        format of the action."""
        record, = records
        extension = action.extension or action.template_extension
        with without_check_access():
            record = Pool().get(cls._model)(record.id)
            sealed = cls.get_sealed(record)
            if sealed:
                return extension, sealed.get_file(extension)
            cls.check_draft(record)
            draft = cls._make(record)
            if extension == 'pdf':
                draft = draft_pdf(cls.make_pdf, draft, record)
        return extension, draft

    @classmethod
    def get_context(cls, records, header, data):
        """Return what all these documents name: ``draft``, ``reference`` and
        its ``qr_code``, the convention (``number``, ``title``,
        ``is_letter``, ``period_start``, ``period_end``), the ``date``, the
        ``department``, the ``partner``, the ``officer``, the ``acts`` and
        the ``delays``."""
        context = super().get_context(records, header, data)
        pool = Pool()
        convention = records[0].convention
        report = cls.convention_report()
        sealing = cls.sealing()
        reference = pool.get('grant.document').next_reference(
            convention, sealing) if sealing else None
        context.update(
            draft=not sealing,
            reference=reference,
            qr_code=_qr_code(reference),
            number=convention.number,
            title=_quoted(convention.title),
            is_letter=convention.form == 'letter',
            date=long_date(pool.get('ir.date').today()),
            period_start=long_date(convention.start_date),
            period_end=long_date(convention.end_date),
            department=report._get_department(convention),
            partner=report._get_partner(convention),
            officer=report._get_officer(convention),
            acts=report._get_acts(convention),
            delays=report._get_delays())
        return context


@without_check_access
def seal(Report, records, kind, field):
    """Make and seal the document of the kind of each record, to which
    ``field`` of the document points; the journal of the record keeps its
    fingerprint.  Return the documents."""
    pool = Pool()
    Document = pool.get('grant.document')
    files = [Report.produce(r, kind) for r in records]
    pdfs = make_pdfs(Report.make_pdf, files)
    documents = []
    for record, data, pdf in zip(records, files, pdfs, strict=True):
        # One after the other: they may be of the same convention.
        convention = pool.get('grant.convention')(record.convention.id)
        values = Document._document_values(
            convention, data, pdf, kind)
        basename = (
            f"{convention.number}-{kind.replace('_', '-')}-"
            f"v{values['version']}")
        values.update({
                field: record.id,
                'name': (
                    f'{record.rec_name} – {Document.kind_label(kind)} '
                    f"{values['version']}"),
                'filename': f'{basename}.odt',
                })
        if values['pdf']:
            values['pdf_filename'] = f'{basename}.pdf'
        documents += Document.create([values])
    pool.get('grant.event').add([{
                'record': getattr(d, field), 'name': 'documents',
                'after': f'{d.name} – SHA-256 {d.sha256}',
                } for d in documents])
    return documents


@without_check_access
def supersede(records, kinds, reasons=None):
    """Mark the sealed documents of the kinds of the records; ``reasons``
    gives by record why."""
    documents, why = [], {}
    for record in records:
        for document in record.documents:
            if document.state == 'sealed' and document.kind in kinds:
                documents.append(document)
                why[document] = (reasons or {}).get(record.id)
    Pool().get('grant.document').supersede_documents(documents, why)
