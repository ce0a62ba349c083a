# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Documents that are issued: conventions and decision letters.

A document is made from a template of LibreOffice when its convention is
issued, checked before for what the template needs, and sealed: from then on
it is printed as it is and never made again.
"""
import hashlib
import logging
import re
import shlex
import shutil
import subprocess
import tempfile
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path

import trytond.config as config
from stdnum.iso7064 import mod_97_10
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.modules.company import CompanyReport
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools.qrcode import generate_png
from trytond.transaction import Transaction, without_check_access

from . import identifier as numbers
from .exceptions import CompletenessError, FrozenError
from .mixin import GuardMixin, acting_user, now
from .scheme import CompanyMixin
from .trigger import EVENTS
from .wording import (
    SPACE, euros, euros_in_words, in_words, long_date, number, percent)

if config.getboolean('attachment', 'filestore', default=True):
    data_id, pdf_id = 'data_id', 'pdf_id'
    store_prefix = config.get('attachment', 'store_prefix', default=None)
else:
    data_id = pdf_id = store_prefix = None

logger = logging.getLogger(__name__)
_SEALING = '_pacte_grants_sealing'
_SUPERSEDING = '_pacte_grants_superseding'
# What a draft shows where a value is missing; a sealed document has none.
MISSING = "[à compléter]"
_PREFIX = 'PACTE'
_CEDEX = re.compile(r'\s+cedex\b.*$', re.IGNORECASE)
_PUBLIC_KINDS = {'commune', 'epci', 'college', 'local_public'}
_DELAYS = {
    'payment': 'L05_PAYMENT_DELAY',
    'report': 'L06_FINANCIAL_REPORT_DELAY',
    'hearing': 'DOCUMENT_HEARING_DELAY',
    'unspent': 'DOCUMENT_UNSPENT_DELAY',
    'evaluation': 'DOCUMENT_EVALUATION_DELAY',
    'control': 'DOCUMENT_CONTROL_PERIOD',
    'termination': 'DOCUMENT_TERMINATION_NOTICE',
    'remedy': 'DOCUMENT_REMEDY_DELAY',
    }


def digest(data):
    "Return the SHA-256 of the file (bytes), in hexadecimal."
    return hashlib.sha256(data).hexdigest()


def make_reference(company, number, version, letter='V'):
    """Return the reference by which a page finds its document again.

    ``company`` is the SIREN of the Département, ``number`` that of the
    convention, ``letter`` says which series of documents the version is
    counted in; the two last digits control the others (ISO 7064, mod 97-10).
    """
    reference = f'{_PREFIX}:{company}:{number}:{letter}{version}'.upper()
    digits = mod_97_10.calc_check_digits(_compact(reference))
    return f'{reference}:{digits}'


def read_reference(text):
    """Return the reference as ``make_reference`` writes it, however it was
    typed, or ``None`` if it is not one or its control digits do not fit."""
    text = re.sub(r'\s', '', text or '').upper()
    if not text.startswith(f'{_PREFIX}:') or text.count(':') != 4:
        return None
    try:
        mod_97_10.validate(_compact(text))
    except ValueError:
        return None
    return text


def _compact(reference):
    return re.sub(r'[^0-9A-Z]', '', reference)


class Document(GuardMixin, CompanyMixin, ModelSQL, ModelView):
    "A document as it was issued."
    __name__ = 'grant.document'

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, readonly=True,
        ondelete='RESTRICT')
    kind = fields.Selection([
            ('convention', "Convention"),
            ('letter', "Decision Letter"),
            ('lapse', "Letter of Lapse"),
            ('signed', "Signed Copy"),
            ('scan', "Scan"),
            ], "Kind", required=True, readonly=True, sort=False)
    signs = fields.Many2One(
        'grant.document', "Signed Document", readonly=True,
        ondelete='RESTRICT',
        states={'invisible': Eval('kind') != 'signed'},
        help="The issued document of which this is the signed copy.")
    note = fields.Char(
        "Note", readonly=True, states={'invisible': ~Bool(Eval('note'))})
    version = fields.Integer("Version", required=True, readonly=True)
    reference = fields.Char(
        "Reference", readonly=True,
        help="What the code on each page says.")
    name = fields.Char("Name", required=True, readonly=True)
    filename = fields.Char("File Name", required=True, readonly=True)
    data = fields.Binary(
        "Document", filename='filename', required=True, readonly=True,
        file_id=data_id, store_prefix=store_prefix)
    data_id = fields.Char("Document ID", readonly=True)
    sha256 = fields.Char(
        "Fingerprint", required=True, readonly=True,
        help="The SHA-256 of the document when it was issued.")
    pdf_filename = fields.Char("PDF Name", readonly=True)
    pdf = fields.Binary(
        "PDF", filename='pdf_filename', readonly=True,
        file_id=pdf_id, store_prefix=store_prefix,
        states={'invisible': Eval('pdf_status') != 'made'})
    pdf_id = fields.Char("PDF ID", readonly=True)
    pdf_sha256 = fields.Char(
        "Fingerprint of the PDF", readonly=True,
        states={'invisible': Eval('pdf_status') != 'made'},
        help="The SHA-256 of the PDF when it was issued.")
    pdf_status = fields.Selection([
            ('made', "Made"),
            ('no_converter', "No LibreOffice"),
            ('failed', "Failed"),
            (None, ""),
            ], "PDF Status", readonly=True, sort=False)
    pdf_note = fields.Function(fields.Char(
            "Why There Is No PDF",
            states={
                'invisible': ~Eval('pdf_status').in_(
                    ['no_converter', 'failed']),
                }),
        'on_change_with_pdf_note')
    intact = fields.Function(fields.Boolean(
            "Intact",
            help="The files are those that were sealed: their fingerprints, "
            "computed anew, are the same."),
        'get_intact')
    partner_name = fields.Char(
        "Partner", required=True, readonly=True,
        help="The partner as it was named when the document was issued.")
    partner_siret = fields.Char("SIRET", readonly=True)
    partner_address = fields.Text("Address", readonly=True)
    partner_signatory = fields.Char("Signatory", readonly=True)
    issued_on = fields.DateTime("Issued On", required=True, readonly=True)
    issued_by = fields.Many2One(
        'res.user', "Issued By", required=True, readonly=True,
        ondelete='RESTRICT')
    superseded_on = fields.DateTime(
        "Superseded On", readonly=True,
        states={'invisible': Eval('state') != 'superseded'})
    superseded_by = fields.Many2One(
        'res.user', "Superseded By", readonly=True, ondelete='RESTRICT',
        states={'invisible': Eval('state') != 'superseded'})
    state = fields.Selection([
            ('sealed', "Sealed"),
            ('superseded', "Superseded"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.company.readonly = True
        table = cls.__table__()
        cls._order = [('issued_on', 'DESC'), ('id', 'DESC')]
        cls._sql_constraints.extend([
                ('convention_kind_version_unique',
                    Unique(table, table.convention, table.kind,
                        table.version),
                    'pacte_grants.msg_document_version_unique'),
                ('reference_unique', Unique(table, table.reference),
                    'pacte_grants.msg_document_reference_unique'),
                ])
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                })

    @classmethod
    def default_state(cls):
        return 'sealed'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'superseded', 'muted',
                    If(Eval('pdf_status').in_(['no_converter', 'failed']),
                        'warning', '')),
                ['state', 'pdf_status']),
            ]

    @fields.depends('pdf_status')
    def on_change_with_pdf_note(self, name=None):
        if self.pdf_status == 'no_converter':
            return gettext('pacte_grants.msg_document_no_converter')
        elif self.pdf_status == 'failed':
            return gettext('pacte_grants.msg_document_pdf_failed')

    @classmethod
    def get_intact(cls, documents, name):
        return {d.id: d.verify_seal() for d in documents}

    def verify_seal(self):
        """Return whether the files are the ones that were sealed, reading
        them anew from where they are stored."""
        Document = self.__class__
        # As bytes even if the client asked for the sizes
        with Transaction().set_context(**{
                    f'{Document.__name__}.data': None,
                    f'{Document.__name__}.pdf': None,
                    }):
            try:
                values, = Document.read([self.id], [
                        'data', 'sha256', 'pdf', 'pdf_sha256'])
            except OSError:
                return False
        return (
            digest(values['data'] or b'') == values['sha256']
            and (digest(values['pdf']) if values['pdf'] else None)
            == values['pdf_sha256'])

    def get_rec_name(self, name):
        return self.name

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('name', *clause[1:]),
            ('reference', *clause[1:]),
            ('partner_name', *clause[1:]),
            ]

    @classmethod
    def check_modification(cls, mode, documents, values=None,
            external=False):
        super().check_modification(
            mode, documents, values=values, external=external)
        if mode not in {'write', 'delete'}:
            return
        for document in documents:
            if (mode == 'write' and document.state == 'sealed'
                    and Transaction().context.get(_SUPERSEDING)
                    and values.get('state') == 'superseded'
                    and not values.keys() - {
                        'state', 'superseded_on', 'superseded_by'}):
                continue
            raise FrozenError(gettext(
                    'pacte_grants.msg_document_sealed',
                    document=document.rec_name))

    @classmethod
    def copy(cls, documents, default=None):
        for document in documents:
            raise FrozenError(gettext(
                    'pacte_grants.msg_document_sealed',
                    document=document.rec_name))
        return []

    @classmethod
    @without_check_access
    def issue(cls, conventions, kind=None):
        """Make and seal the next version of the document of each convention,
        or of its letter of the ``kind``; the journal keeps its fingerprint.
        """
        reports = [cls._report(kind or c.form) for c in conventions]
        files = [
            report.produce(c)
            for c, report in zip(conventions, reports, strict=True)]
        pdfs = _make_pdfs(files)
        return cls._seal([
                cls._document_values(
                    c, data,
                    (pdf, 'made') if pdf else report.make_pdf(data),
                    kind or c.form)
                for c, report, data, pdf in zip(
                    conventions, reports, files, pdfs, strict=True)])

    @classmethod
    def _seal(cls, vlist):
        documents = cls.create(vlist)
        Pool().get('grant.event').add([{
                    'record': d.convention, 'name': 'document',
                    'after': f'{d.name} – SHA-256 {d.sha256}',
                    } for d in documents])
        return documents

    @classmethod
    def _report(cls, kind):
        return Pool().get(f'grant.convention.{kind}', type='report')

    # The texts that are signed or notified, one version after the other
    _issued_kinds = ['convention', 'letter']
    # The letters of the references of the other series
    _letters = {'lapse': 'C'}
    # How the files and the names of the other series are called
    _series = {
        'lapse': 'caducité',
        'signed': 'exemplaire signé',
        'scan': 'numérisation',
        }

    @classmethod
    def kind_label(cls, kind):
        "Return the kind as the user reads it."
        selection = cls.fields_get(['kind'])['kind']['selection']
        return dict(selection)[kind]

    @classmethod
    def next_version(cls, convention, kind):
        "Return the version of the document of the kind that comes next."
        kinds = cls._issued_kinds if kind in cls._issued_kinds else [kind]
        return 1 + max((
                d.version for d in convention.documents
                if d.kind in kinds), default=0)

    @classmethod
    def next_reference(cls, convention, kind):
        "Return the reference of the document of the kind that comes next."
        siret = convention.company.party.siret or ''
        return make_reference(
            siret[:9], convention.number, cls.next_version(convention, kind),
            cls._letters.get(kind, 'V'))

    @classmethod
    def _document_values(cls, convention, data, pdf, kind):
        pdf, pdf_status = pdf
        party = convention.party
        version = cls.next_version(convention, kind)
        series = cls._series.get(kind)
        name = f'{convention.number} – version {version}'
        basename = f'{convention.number}-v{version}'
        if series:
            name = f'{convention.number} – {series} {version}'
            basename = f'{convention.number}-{kind}-v{version}'
        address = party.address_get()
        signatory = ', '.join(filter(None, [
                    convention.signatory_name,
                    convention.signatory_capacity]))
        return {
            'company': convention.company.id,
            'convention': convention.id,
            'kind': kind,
            'version': version,
            'reference': (
                None if kind in {'signed', 'scan'}
                else cls.next_reference(convention, kind)),
            'name': name,
            'filename': f'{basename}.odt',
            'data': data,
            'sha256': digest(data),
            'pdf_filename': f'{basename}.pdf' if pdf else None,
            'pdf': pdf,
            'pdf_sha256': digest(pdf) if pdf else None,
            'pdf_status': pdf_status,
            'partner_name': party.name,
            'partner_siret': _siret(party),
            'partner_address': '\n'.join(_address_lines(address)) or None,
            'partner_signatory': signatory or None,
            'issued_on': now(),
            'issued_by': acting_user(gettext(
                    'pacte_grants.msg_act_document')).id,
            }

    @classmethod
    @without_check_access
    def supersede(cls, conventions):
        "Mark the documents of conventions that are recalled."
        documents = cls.search([
                ('convention', 'in', [c.id for c in conventions]),
                ('kind', 'in', cls._issued_kinds),
                ('state', '=', 'sealed'),
                ])
        cls.supersede_documents(
            documents, {d: d.convention.ending_reason for d in documents})

    @classmethod
    @without_check_access
    def supersede_documents(cls, documents, reasons):
        "Mark the documents, each for its reason; the journal keeps them."
        if not documents:
            return
        Pool().get('grant.event').add([{
                    'record': d.convention, 'name': 'document',
                    'before': f'{d.name} – SHA-256 {d.sha256}',
                    'reason': reasons.get(d),
                    } for d in documents])
        user = acting_user(gettext('pacte_grants.msg_act_document'))
        with Transaction().set_context(**{_SUPERSEDING: True}):
            cls.write(documents, {
                    'state': 'superseded',
                    'superseded_on': now(),
                    'superseded_by': user.id,
                    })

    def get_file(self, extension):
        """Return the sealed file (bytes) in the format, ``'pdf'`` or
        ``'odt'``; raise ``CompletenessError`` if there is no PDF."""
        if extension != 'pdf' or not self.pdf_status:
            return self.data
        if self.pdf_status != 'made':
            raise CompletenessError(
                gettext('pacte_grants.msg_document_sealed_no_pdf',
                    document=self.rec_name),
                self.pdf_note)
        return self.pdf


def has_converter():
    "Return whether the command that makes PDFs is configured and found."
    command = shlex.split(
        config.get('report', 'convert_command', default='soffice'))
    return bool(command and shutil.which(command[0]))


def draft_pdf(make_pdf, draft, record):
    """Return the PDF (bytes) of the draft (an ODT, bytes) of the record.

    ``make_pdf`` is that of the report.  Raise ``CompletenessError`` with the
    reason if there is none.
    """
    pdf, status = make_pdf(draft)
    if not pdf:
        raise CompletenessError(
            gettext('pacte_grants.msg_document_draft_no_pdf',
                convention=record.rec_name),
            gettext('pacte_grants.msg_document_no_converter'
                if status == 'no_converter'
                else 'pacte_grants.msg_document_pdf_failed'))
    return pdf


def make_pdfs(make_pdf, files):
    """Return what ``make_pdf`` of the report returns for each of the files,
    all of them converted together if that can be."""
    return [
        (pdf, 'made') if pdf else make_pdf(data)
        for data, pdf in zip(files, _make_pdfs(files), strict=True)]


def _make_pdfs(files):
    """Return the PDF (bytes) of each file, the converter being started once
    for all of them, or ``None`` for those that are to be made alone."""
    command = shlex.split(
        config.get('report', 'convert_command', default=''))
    if (len(files) < 2 or not command or not shutil.which(command[0])
            or any('%(output_path)s' in arg for arg in command)):
        return [None] * len(files)
    with tempfile.TemporaryDirectory(prefix='trytond_') as directory:
        paths = [Path(directory, f'{i}.odt') for i in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        names = {
            'directory': directory,
            'input_format': 'odt', 'input_extension': 'odt',
            'output_format': 'pdf', 'output_extension': 'pdf',
            }
        args = []
        for arg in command:
            args.extend(
                [arg % {**names, 'input_path': path} for path in paths]
                if '%(input_path)s' in arg else [arg % names])
        try:
            subprocess.run(
                args, timeout=60 + 5 * len(files), check=True,
                stdout=subprocess.DEVNULL)
        except (subprocess.SubprocessError, OSError):
            logger.warning(
                "fail to convert %d documents at once", len(files),
                exc_info=True)
        pdfs = [path.with_suffix('.pdf') for path in paths]
        return [
            pdf.read_bytes() if pdf.exists() else None for pdf in pdfs]


def _siret(party):
    siret = party.siret
    return numbers.format('fr_siret', siret) if siret else None


def _is_whole(address):
    return bool(
        address and address.street and address.postal_code and address.city)


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    documents = fields.One2Many(
        'grant.document', 'convention', "Documents", readonly=True,
        order=[('issued_on', 'DESC'), ('id', 'DESC')])
    document = fields.Function(fields.Many2One(
            'grant.document', "Issued Document"), 'get_document')
    document_note = fields.Function(
        fields.Char(
            "Note on the Document",
            states={'invisible': ~Bool(Eval('document_note'))}),
        'get_document_note')

    @classmethod
    def get_document(cls, conventions, name):
        Document = Pool().get('grant.document')
        documents = dict.fromkeys([c.id for c in conventions])
        for document in Document.search([
                    ('convention', 'in', list(documents)),
                    ('kind', 'in', Document._issued_kinds),
                    ('state', '=', 'sealed'),
                    ], order=[('version', 'ASC')]):
            documents[document.convention.id] = document.id
        return documents

    @classmethod
    def get_document_note(cls, conventions, name):
        return {
            c.id: c.document.pdf_note if c.document else None
            for c in conventions}

    @fields.depends('document_note')
    def on_change_notify(self):
        notifications = super().on_change_notify()
        if self.document_note:
            notifications.append(('warning', self.document_note))
        return notifications

    @classmethod
    def copy(cls, conventions, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('documents', None)
        return super().copy(conventions, default=default)

    def get_issue_reasons(self):
        return super().get_issue_reasons() + self.get_document_reasons()

    def get_document_reasons(self):
        """Return, in sentences, what the document needs and does not find:
        a sealed document has no blank."""
        pool = Pool()
        Configuration = pool.get('grant.configuration')
        reasons = []

        def add(message, **names):
            reasons.append(gettext(
                    f'pacte_grants.msg_document_{message}', **names))

        department = self.company.party
        if not _is_whole(department.address_get()):
            add('company_address', party=department.rec_name)
        if not department.siret:
            add('company_siret', party=department.rec_name)
        configuration = Configuration(1)
        for name in ['signatory_name', 'signatory_capacity']:
            if not configuration.get_multivalue(
                    name, company=self.company.id):
                add(f'company_{name}')
        party = self.party
        if not _is_whole(party.address_get()):
            add('party_address', party=party.rec_name)
        if party.partner_kind != 'individual' and not party.siret:
            add('party_siret', party=party.rec_name)
        if not party.commune:
            add('party_commune', party=party.rec_name)
        if (party.partner_kind == 'association'
                and not party.republican_commitment_on):
            add('party_republican_commitment', party=party.rec_name)
        for deliberation in {d.deliberation for d in self.decisions}:
            if not deliberation.act_number:
                add('act_number', deliberation=deliberation.rec_name)
        if self.amount and not any(
                i.state != 'cancelled' for i in self.instalments):
            add('instalments')
        if not self.applications:
            add('applications')
        if self.form == 'convention':
            reasons.extend(self._get_convention_document_reasons())
        return reasons

    def _get_convention_document_reasons(self):
        reasons = []

        def add(message, **names):
            reasons.append(gettext(
                    f'pacte_grants.msg_document_{message}', **names))

        if not self.signatory_name or not self.signatory_capacity:
            add('party_signatory')
        if not self.purpose:
            add('purpose')
        if not self.objectives:
            add('objectives')
        for application in self.applications:
            if self.amount and not application.total_cost:
                add('total_cost', application=application.rec_name)
            if not application.orientations:
                add('orientations', application=application.rec_name)
        return reasons

    @classmethod
    def issue(cls, conventions):
        Document = Pool().get('grant.document')
        super().issue(conventions)
        with without_check_access():
            Document.issue(cls.browse([c.id for c in conventions]))

    @classmethod
    def recall(cls, conventions):
        Document = Pool().get('grant.document')
        super().recall(conventions)
        Document.supersede(conventions)


class _ConventionReport(CompanyReport):
    "What the convention and its letters have in common."
    __slots__ = ()
    # The kind of document that it makes, by default that of the form
    _kind = None
    # The identifiers of the actions by format
    _actions = {}

    @classmethod
    def _get_action(cls, extension='odt'):
        pool = Pool()
        return pool.get('ir.action.report')(pool.get('ir.model.data').get_id(
                'pacte_grants', cls._actions[extension]))

    @classmethod
    @without_check_access
    def produce(cls, convention):
        "Return the file (bytes) of the final document, to be sealed."
        with Transaction().set_context(**{_SEALING: True}):
            return cls._make(convention)

    @classmethod
    def _make(cls, convention):
        records = cls._get_records(
            [convention.id], 'grant.convention', {})
        header = dict(cls.header_key(convention, {}))
        with Transaction().set_context(Transaction().context):
            context = cls.get_context(records, header, {})
            return bytes(cls.render(cls._get_action(), context))

    @classmethod
    def make_pdf(cls, data):
        """Return the PDF (bytes) of the file and ``'made'``, or ``None``
        and why: ``'no_converter'`` or ``'failed'``."""
        if not has_converter():
            return None, 'no_converter'
        action = cls._get_action('pdf')
        for _ in range(2):
            # Trytond's own retries lose the arguments of the command.
            extension, pdf = cls.convert(action, data, timeout=60, retry=0)
            if extension == 'pdf':
                return bytes(pdf), 'made'
        return None, 'failed'

    @classmethod
    def _execute(cls, records, header, data, action):
        """Return the sealed document of the convention or else its draft,
        in the format of the action, with the template of its form."""
        pool = Pool()
        Convention = pool.get('grant.convention')
        record, = records
        extension = action.extension or action.template_extension
        with without_check_access():
            convention = Convention(record.id)
            document = cls._get_document(convention)
            if document:
                return extension, document.get_file(extension)
            Report = pool.get(
                f'grant.convention.{cls._kind or convention.form}',
                type='report')
            draft = Report._make(convention)
            if extension == 'pdf':
                draft = draft_pdf(cls.make_pdf, draft, convention)
        return extension, draft

    @classmethod
    def _get_document(cls, convention):
        "Return the sealed document to print, if there is one."
        return convention.document

    @classmethod
    def get_context(cls, records, header, data):
        """Return the values that the templates name.

        Beside what Tryton gives: ``draft``, ``reference`` and its
        ``qr_code`` (not for a draft), ``number``, ``title``, ``kind``, the
        ``articles`` and ``article_numbers`` by code,
        the parties (``department``, ``partner``), ``acts``,
        ``applications``, ``orientations``, ``purpose``, ``period``, the
        amounts in figures and in words, ``tranches``, ``instalments``,
        ``objectives``, ``undertakings`` by kind, ``budgets`` and ``delays``.
        """
        context = super().get_context(records, header, data)
        convention = Pool().get('grant.convention')(records[0].id)
        draft = not Transaction().context.get(_SEALING)
        reference = None if draft else (
            Pool().get('grant.document').next_reference(
                convention, cls._kind or convention.form))
        context.update(
            draft=draft,
            reference=reference,
            qr_code=_qr_code(reference),
            articles=convention.get_articles(),
            article_numbers={
                clause.code: number for clause, number
                in convention.get_clause_numbers().items() if clause.code},
            number=convention.number,
            title=convention.title,
            quoted_title=_quoted(convention.title),
            kind=convention.kind,
            form=convention.form,
            purpose=_paragraphs(convention.purpose),
            date=long_date(Pool().get('ir.date').today()),
            department=cls._get_department(convention),
            partner=cls._get_partner(convention),
            officer=cls._get_officer(convention),
            acts=cls._get_acts(convention),
            applications=cls._get_applications(convention),
            orientations=cls._get_orientations(convention),
            period=_period(convention),
            instalments=cls._get_instalments(convention),
            instalments_total=cls._get_instalments_total(convention),
            objectives=cls._get_objectives(convention),
            budgets=cls._get_budgets(convention),
            delays=cls._get_delays(),
            **cls._get_amounts(convention),
            **cls._get_undertakings(convention))
        return context

    @classmethod
    def _get_department(cls, convention):
        Configuration = Pool().get('grant.configuration')
        configuration = Configuration(1)
        company = convention.company

        def configured(name):
            return configuration.get_multivalue(name, company=company.id)
        return {
            **_identity(company.party),
            'logo': bool(company.logo),
            'signatory_name': configured('signatory_name') or MISSING,
            'signatory_capacity': (
                configured('signatory_capacity') or MISSING),
            'accountant': configured('public_accountant'),
            }

    @classmethod
    def _get_partner(cls, convention):
        Party = Pool().get('party.party')
        party = convention.party
        account = Party.get_payable_accounts([party])[party]
        commitment = party.republican_commitment_on
        kind = party.partner_kind
        # The partner signs conventions only
        missing = MISSING if convention.form == 'convention' else None
        return {
            **_identity(party),
            'acronym': party.acronym,
            'kind': kind,
            'public': kind in _PUBLIC_KINDS,
            'individual': kind == 'individual',
            'private_body': kind not in _PUBLIC_KINDS | {'individual'},
            'non_profit': kind in {'association', 'other'},
            'republican': kind == 'association' or bool(commitment),
            'republican_on': long_date(commitment) if commitment else None,
            'rna': party.rna,
            'signatory_name': convention.signatory_name or missing,
            'signatory_capacity': convention.signatory_capacity or missing,
            'signatory_power': convention.signatory_power,
            'account': (
                account.masked_number.split()[-1] if account else None),
            'account_holder': account.holder if account else None,
            }

    @classmethod
    def _get_officer(cls, convention):
        party = convention.officer.party if convention.officer else None
        service = convention.service
        return {
            'contact': ', '.join(filter(None, [
                        party.name if party else None,
                        service.name if service else None,
                        (party.phone or party.mobile) if party else None,
                        party.email if party else None,
                        ])),
            }

    @classmethod
    def _get_acts(cls, convention):
        deliberations = sorted(
            {d.deliberation for d in convention.decisions},
            key=lambda d: (d.session.date, d.id))
        if not deliberations:
            return [{
                    'number': MISSING, 'date': MISSING, 'body': None,
                    'quoted_title': None}]
        return [{
                'number': deliberation.act_number or MISSING,
                'date': long_date(deliberation.session.date),
                'body': deliberation.session.body,
                'quoted_title': _quoted(deliberation.title),
                } for deliberation in deliberations]

    @classmethod
    def _get_applications(cls, convention):
        return [{
                'number': application.number,
                'title': application.title,
                'received_on': long_date(application.received_on),
                'commune': (
                    application.commune.name if application.commune
                    else None),
                'year': str(application.year),
                'period': _period(
                    convention if convention.kind == 'multi_year'
                    else application),
                'costed': bool(application.total_cost),
                'total_cost': _amount(application.total_cost),
                'eligible_cost': _amount(
                    application.eligible_cost or application.total_cost),
                } for application in convention.applications]

    @classmethod
    def _get_orientations(cls, convention):
        "By ambition: the orientations that the applications chose in it."
        by_ambition = {}
        for application in convention.applications:
            for orientation in application.orientations:
                ambition = orientation.ambition
                if not ambition:
                    continue
                chosen = by_ambition.setdefault(ambition, [])
                if orientation != ambition and orientation not in chosen:
                    chosen.append(orientation)
        return [{
                'code': _ambition_number(ambition),
                'name': ambition.name,
                'actions': [' '.join(o.name.split()) for o in chosen],
                } for ambition, chosen in sorted(
                by_ambition.items(), key=lambda item: item[0].code)]

    @classmethod
    def _get_amounts(cls, convention):
        applications = convention.applications
        total_cost = sum(
            (a.total_cost or Decimal(0) for a in applications), Decimal(0))
        eligible_cost = sum(
            (a.eligible_cost or a.total_cost or Decimal(0)
                for a in applications), Decimal(0))
        amount = convention.amount
        return {
            'with_money': bool(amount),
            'amount': _amount(amount),
            'total_cost': _amount(total_cost or None),
            'eligible_cost': _amount(eligible_cost or None),
            'rate': (
                percent(convention.budgeted_amount / eligible_cost)
                if eligible_cost else None),
            'tranches': [{
                    'year': str(tranche.year),
                    'voted': tranche.status == 'voted',
                    **_amount(tranche.amount),
                    } for tranche in convention.tranches],
            }

    @classmethod
    def _get_instalments_total(cls, convention):
        return _amount(sum(
                (i.amount for i in convention.instalments
                    if i.state != 'cancelled'), Decimal(0)))

    @classmethod
    def _get_instalments(cls, convention):
        codes = cls._condition_codes(convention)
        return [{
                'year': str(instalment.tranche.year),
                'kind': instalment.kind,
                'trigger': instalment.trigger,
                'event': cls._get_event(instalment, codes),
                'later': instalment.tranche.year > convention.year,
                'delay': instalment.delay or None,
                'date': (
                    long_date(instalment.date) if instalment.date else None),
                'undertakings': ', '.join(sorted(
                        codes[c] for c in instalment.conditions
                        if c in codes)),
                **_amount(instalment.amount),
                } for instalment in convention.instalments
            if instalment.state != 'cancelled']

    @classmethod
    def _get_event(cls, instalment, codes):
        "Return what triggers the instalment after the notification, if so."
        if instalment.trigger not in EVENTS:
            return None
        code = codes.get(instalment.trigger_condition)
        text = instalment.get_trigger_text(awaited=code)
        if instalment.convention.form == 'letter':
            return text
        return text[:1].upper() + text[1:]

    @classmethod
    def _get_objectives(cls, convention):
        weights = sum(o.weight for o in convention.objectives)
        return [{
                'number': str(index),
                'title': objective.title,
                'description': _paragraphs(objective.description),
                'share': (
                    percent(objective.weight / weights, 0)
                    if weights and len(convention.objectives) > 1 else None),
                'indicators': [{
                        'name': indicator.name,
                        'unit': indicator.unit,
                        'direction': indicator.direction,
                        'baseline': _number(indicator.baseline),
                        'target': _number(indicator.target),
                        'tolerance': (
                            number(indicator.tolerance)
                            if indicator.tolerance else None),
                        'source': indicator.source,
                        } for indicator in objective.indicators],
                } for index, objective in enumerate(
                convention.objectives, 1)]

    _condition_letters = {'eco': 'E', 'tariff': 'T'}

    @classmethod
    def _condition_codes(cls, convention):
        "The codes under which the undertakings are quoted, by record."
        codes, counts = {}, {}
        for condition in convention.conditions:
            letter = cls._condition_letters.get(condition.kind, 'A')
            counts[letter] = counts.get(letter, 0) + 1
            codes[condition] = f'{letter}{counts[letter]}'
        return codes

    @classmethod
    def _get_undertakings(cls, convention):
        codes = cls._condition_codes(convention)
        result = {'eco': [], 'tariff': [], 'others': []}
        for condition in convention.conditions:
            kind = (
                condition.kind if condition.kind in {'eco', 'tariff'}
                else 'others')
            result[kind].append({
                    'code': codes[condition],
                    'kind': condition.kind,
                    'text': _paragraphs(condition.text),
                    'evidence': condition.evidence,
                    'due': (
                        long_date(condition.due_date)
                        if condition.due_date else None),
                    'penalty': (
                        percent(condition.penalty_rate)
                        if condition.penalty_rate else None),
                    'holds': [
                        kind for kind, _ in _instalment_kinds()
                        if kind in {i.kind for i in condition.blocks}],
                    })
        result['undertakings'] = any(result.values())
        return result

    @classmethod
    def _get_budgets(cls, convention):
        budgets = []
        for application in convention.applications:
            if not application.budget_lines:
                continue
            budget = {
                'number': application.number,
                'title': application.title,
                }
            for name, in_kind in [('rows', False), ('in_kind', True)]:
                sides, totals = [], []
                for side in ['expense', 'income']:
                    lines = sorted([
                            line for line in application.budget_lines
                            if line.heading.side == side
                            and bool(line.heading.in_kind) == in_kind],
                        key=lambda line: (line.heading.code, line.id))
                    sides.append([_budget_line(line) for line in lines])
                    totals.append(euros(sum(
                                (line.amount for line in lines),
                                Decimal(0))))
                budget[name] = [{
                        'expense': expense or {},
                        'income': income or {},
                        } for expense, income in zip_longest(*sides)]
                budget[f'{name}_expense'], budget[f'{name}_income'] = totals
            budgets.append(budget)
        return budgets

    @classmethod
    def _get_delays(cls):
        Parameter = Pool().get('grant.parameter')
        delays = {}
        for name, code in _DELAYS.items():
            value = int(Parameter.get(code))
            delays[name] = in_words(value)
        delays['accounts'] = number(Parameter.get('L11_ACCOUNTS_THRESHOLD'))
        return delays


def _qr_code(reference):
    "Return the image of the code, with its type and size."
    if not reference:
        return None
    image = generate_png(reference, box_size=8, border=2).getvalue()
    return image, 'image/png', '1.7cm', '1.7cm'


def _identity(party):
    address = party.address_get()
    lines = _address_lines(address) or [MISSING]
    return {
        'name': party.name,
        'address': ', '.join(lines),
        'address_lines': lines,
        'city': _CEDEX.sub('', address.city or '') if address else MISSING,
        'siret': (_siret(party) or MISSING).replace(' ', SPACE),
        }


def _address_lines(address):
    "Return the lines of the address as it was typed, not in capitals."
    if not address:
        return []
    lines = [address.attn, *(address.street or '').splitlines()]
    lines.append(' '.join(filter(None, [address.postal_code, address.city])))
    if address.country and address.country.code != 'FR':
        lines.append(address.country.name)
    return [line.strip() for line in lines if line and line.strip()]


def _amount(amount):
    if amount is None:
        return {'figures': MISSING, 'words': MISSING}
    return {'figures': euros(amount), 'words': euros_in_words(amount)}


def _number(value):
    return None if value is None else number(value)


def _period(record):
    return {
        'start': (
            long_date(record.start_date) if record.start_date else MISSING),
        'end': long_date(record.end_date) if record.end_date else MISSING,
        }


def _quoted(text):
    "Return the text as it stands between guillemets: its own become quotes."
    return re.sub(r'«\s*', '“', re.sub(r'\s*»', '”', text or ''))


def _paragraphs(text):
    return [line.strip() for line in (text or '').splitlines()
        if line.strip()]


def _ambition_number(ambition):
    digits = ''.join(c for c in ambition.code if c.isdigit())
    return digits.lstrip('0') or ambition.code


def _budget_line(line):
    code = line.heading.code.split('-')[0]
    return {
        'code': code if code.isdigit() else '',
        'name': line.heading.name,
        'label': line.label,
        'status': line.status,
        'amount': euros(line.amount),
        }


def _instalment_kinds():
    return Pool().get('grant.instalment').kind.selection


class ConventionReport(_ConventionReport):
    __name__ = 'grant.convention.convention'
    _actions = {'odt': 'report_convention_odt', 'pdf': 'report_convention'}


class LetterReport(_ConventionReport):
    __name__ = 'grant.convention.letter'
    _actions = {'odt': 'report_letter_odt', 'pdf': 'report_letter'}


class LapseReport(_ConventionReport):
    __name__ = 'grant.convention.lapse'
    _kind = 'lapse'
    _actions = {'odt': 'report_lapse_odt', 'pdf': 'report_lapse'}

    @classmethod
    def _get_document(cls, convention):
        letters = [d for d in convention.documents if d.kind == 'lapse']
        return letters[0] if letters else None

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        convention = Pool().get('grant.convention')(records[0].id)
        delay = Pool().get('grant.parameter').get(
            'SIGNATURE_DELAY', convention.issued_on)
        context.update(
            reason=_paragraphs(convention.ending_reason),
            issued_on=_date(convention.issued_on),
            reminded_on=_date(convention.signature_reminded_on),
            signature_delay=in_words(delay))
        return context


def _date(value):
    return long_date(value) if value else None
