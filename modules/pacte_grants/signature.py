# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Signatures of conventions: who signs with which power, within which delay,
and the signed copies, which find their convention again by their codes."""
import unicodedata

from dateutil.relativedelta import relativedelta

from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If, PYSONEncoder
from trytond.transaction import check_access, without_check_access
from trytond.wizard import (
    Button, StateAction, StateTransition, StateView, Wizard)

from .check import PeriodMixin, bulleted
from .document import read_reference
from .exceptions import CompletenessError, ScanError, TransitionError
from .mixin import acting_user
from .party import PUBLIC_KINDS
from .scan import read_pages
from .search import get_values

_POWER = frozenset({
        'signatory_power', 'signatory_power_date', 'signatory_power_file',
        'signatory_power_filename'})
_BEFORE_NOTIFICATION = [
    'draft', 'negotiation', 'agreed', 'issued', 'signed']
_STATES_POWER = {'readonly': ~Eval('state').in_(_BEFORE_NOTIFICATION)}
_SIGNED_STATES = frozenset({'issued', 'signed', 'active', 'closing'})


def _plain(text):
    "Return the text without accents, capitals and spaces at its ends."
    text = unicodedata.normalize('NFD', text or '')
    return ''.join(
        c for c in text if not unicodedata.combining(c)).casefold().strip()


class Power(PeriodMixin, ModelSQL, ModelView):
    "Which power a signatory has to show, by kind of partner."
    __name__ = 'grant.power'
    _rec_name = 'basis'
    _period = ('valid_from', 'valid_to')

    partner_kinds = fields.MultiSelection(
        'get_partner_kinds', "Kinds of Partner", required=True, sort=False)
    kind = fields.Selection([
            ('deliberation', "Deliberation"),
            ('board', "Decision of the Board or Statutes"),
            ('mandate', "Mandate"),
            ], "Power", required=True, sort=False)
    kind_string = kind.translated('kind')
    exempted = fields.Char(
        "Except", help="The capacities, between commas, in which somebody "
        "signs without showing a power.")
    valid_from = fields.Date("Valid From", required=True)
    valid_to = fields.Date("Valid To")
    basis = fields.Char("Source", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('valid_from', 'DESC'), ('id', 'ASC')]

    @classmethod
    def get_partner_kinds(cls):
        return Pool().get('grant.scheme').get_partner_kinds()

    def exempts(self, capacity):
        "Return whether who signs in the capacity needs no power."
        capacity = _plain(capacity)
        return any(
            capacity == word or capacity.startswith(word + ' ')
            for word in map(_plain, (self.exempted or '').split(',')) if word)

    @classmethod
    @without_check_access
    def find(cls, kind, capacity, date):
        "Return the rule that asks for a power on the date, or ``None``."
        for power in cls.search([
                    ('valid_from', '<=', date),
                    ['OR', ('valid_to', '=', None), ('valid_to', '>=', date)],
                    ]):
            if kind in power.partner_kinds and not power.exempts(capacity):
                return power


class Document(metaclass=PoolMeta):
    __name__ = 'grant.document'

    @classmethod
    def find_references(cls, references):
        """Return the documents of the references (as ``make_reference``
        writes them) by reference, those that the user may read."""
        return {
            d.reference: d for d in cls.search([
                    ('reference', 'in', list(references))])}

    @classmethod
    @without_check_access
    def seal_scan(cls, convention, data, filename, kind='signed'):
        """Seal the scan (bytes) of the convention, as it came in.

        Raise ``ScanError`` if its codes are those of another convention, or,
        for a signed copy, of a text that is not in force any more.  A scan
        without a code that can be read is kept with a note.
        """
        pages = [
            [r for r in map(read_reference, texts) if r]
            for texts in read_pages(data, filename)]
        found = cls.find_references({r for page in pages for r in page})
        for index, references in enumerate(pages, 1):
            for reference in references:
                document = found.get(reference)
                if not document or document.convention != convention:
                    raise ScanError(gettext(
                            'pacte_grants.msg_document_scan_other',
                            reference=reference, page=index,
                            convention=convention.rec_name))
                if kind == 'signed' and document != convention.document:
                    raise ScanError(gettext(
                            'pacte_grants.msg_document_scan_superseded',
                            reference=reference,
                            current=(convention.document.reference
                                if convention.document else '')))
        if (kind == 'signed' and (
                    convention.state not in _SIGNED_STATES
                    or not convention.document)):
            raise ScanError(gettext(
                    'pacte_grants.msg_document_scan_state',
                    convention=convention.rec_name,
                    state=convention.state_label))
        read = sum(map(bool, pages))
        note = None
        if not read:
            note = gettext('pacte_grants.msg_document_scan_no_code')
        elif read < len(pages):
            note = gettext(
                'pacte_grants.msg_document_scan_some_codes',
                read=read, pages=len(pages))
        values = cls._document_values(convention, data, (None, None), kind)
        values.update({
                'filename': filename or values['filename'],
                'signs': (
                    convention.document.id if kind == 'signed' else None),
                'note': note,
                })
        document, = cls._seal([values])
        return document


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    signatory_power_date = fields.Date(
        "Date of the Power", states=_STATES_POWER)
    signatory_power_file = fields.Binary(
        "Power (File)", filename='signatory_power_filename',
        states=_STATES_POWER)
    signatory_power_filename = fields.Char("Name of the Power")
    power_note = fields.Function(fields.Char(
            "Needed Power", states={'invisible': ~Bool(Eval('power_note'))}),
        'on_change_with_power_note')
    signature_anomaly = fields.Text(
        "Anomaly of the Signature", readonly=True,
        states={'invisible': ~Bool(Eval('signature_anomaly'))},
        help="Blocks the notification until regularised.")
    signature_reason = fields.Text(
        "Reason of the Regularisation",
        states={
            'invisible': ~Bool(Eval('signature_anomaly')),
            'readonly': Bool(Eval('signature_regularised_by')),
            })
    signature_regularised_by = fields.Many2One(
        'res.user', "Regularised By", readonly=True, ondelete='RESTRICT',
        states={'invisible': ~Bool(Eval('signature_anomaly'))})
    signature_regularised_on = fields.Date(
        "Regularised On", readonly=True,
        states={'invisible': ~Bool(Eval('signature_anomaly'))})
    signature_due = fields.Function(
        fields.Date(
            "To Sign Before",
            states={'invisible': ~Bool(Eval('signature_due'))}),
        'get_signature')
    publish_before = fields.Function(
        fields.Date(
            "To Publish Before",
            states={'invisible': ~Bool(Eval('publish_before'))},
            help="The last day to put the essential data of the convention "
            "online (L10)."),
        'get_publish_before')
    signature_reminded_on = fields.Date(
        "Reminded On", readonly=True,
        states={'invisible': ~Bool(Eval('signature_reminded_on'))},
        help="When the partner was last reminded to sign.")
    signature_status = fields.Function(fields.Selection([
                (None, ""),
                ('waiting', "Waiting"),
                ('remind', "To Remind"),
                ('lapse', "Lapse Proposed"),
                ], "Signature", sort=False,
            states={'invisible': ~Bool(Eval('signature_status'))}),
        'get_signature', searcher='search_signature_status')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._frozen = {
            state: allowed | (
                _POWER | {'signature_reason'}
                if state in {'agreed', 'issued', 'signed'} else frozenset())
            for state, allowed in cls._frozen.items()}
        cls.signatory_power.states = dict(_STATES_POWER)
        cls._buttons.update({
                'regularise_signature': {
                    'invisible': (Eval('state') != 'signed')
                    | ~Bool(Eval('signature_anomaly'))
                    | Bool(Eval('signature_regularised_by')),
                    'depends': [
                        'state', 'signature_anomaly',
                        'signature_regularised_by'],
                    },
                'remind_signature': {
                    'invisible': (Eval('state') != 'issued')
                    | (Eval('form') != 'convention'),
                    'depends': ['state', 'form'],
                    },
                'record_signature': {
                    'invisible': ~Eval('state').in_(list(_SIGNED_STATES))
                    | (Eval('form') != 'convention'),
                    'depends': ['state', 'form'],
                    },
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//group[@id="signature_anomaly"]', 'states', {
                    'invisible': ~Bool(Eval('signature_anomaly')),
                    }, ['signature_anomaly']),
            ('/tree/field[@name="signature_status"]', 'visual',
                If(Eval('signature_status') == 'lapse', 'danger',
                    If(Eval('signature_status') == 'remind',
                        'warning', 'muted')),
                ['signature_status']),
            ]

    @fields.depends(
        'form', 'state', 'party', 'signatory_capacity', 'signatory_power',
        '_parent_party.partner_kind')
    def on_change_with_power_note(self, name=None):
        if (self.form != 'convention' or not self.party
                or self.state not in _BEFORE_NOTIFICATION
                or self.signatory_power):
            return None
        power = self._needed_power(Pool().get('ir.date').today())
        return power and gettext(
            'pacte_grants.msg_signature_power_note',
            power=power.kind_string, basis=power.basis)

    def _needed_power(self, date):
        return Pool().get('grant.power').find(
            self.party.partner_kind, self.signatory_capacity, date)

    def get_signature_anomaly(self):
        """Return, in a sentence, what is wrong with the power of who signed
        for the partner, or ``None``."""
        date = self.signed_partner_on
        power = self._needed_power(date)
        if not power:
            return None
        names = {
            'name': self.signatory_name or '',
            'capacity': self.signatory_capacity or ''}
        if not self.signatory_power or not self.signatory_power_date:
            return gettext(
                'pacte_grants.msg_signature_power_missing',
                power=power.kind_string, basis=power.basis, **names)
        if self.signatory_power_date > date:
            return gettext(
                'pacte_grants.msg_signature_power_date',
                signature=date.strftime('%d/%m/%Y'),
                date=self.signatory_power_date.strftime('%d/%m/%Y'), **names)

    @classmethod
    @without_check_access
    def _set_signature_anomalies(cls, conventions, signed):
        for convention in cls.browse([c.id for c in conventions]):
            anomaly = convention.get_signature_anomaly() if signed else None
            if anomaly != convention.signature_anomaly:
                cls.write([convention], {
                        'signature_anomaly': anomaly,
                        'signature_regularised_by': None,
                        'signature_regularised_on': None,
                        })

    @classmethod
    def sign_partner(cls, conventions):
        super().sign_partner(conventions)
        # It has happened: it is recorded, and blocks what comes next.
        cls._set_signature_anomalies(conventions, True)

    @classmethod
    def unsign_partner(cls, conventions):
        super().unsign_partner(conventions)
        cls._set_signature_anomalies(conventions, False)

    @classmethod
    def notify(cls, conventions):
        for convention in conventions:
            if (convention.signature_anomaly
                    and not convention.signature_regularised_by):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_signature_anomaly',
                        convention=convention.rec_name,
                        anomaly=convention.signature_anomaly))
        super().notify(conventions)

    @classmethod
    @ModelView.button
    def regularise_signature(cls, conventions):
        """Accept a signature in spite of its anomaly, with a reason, by a
        named person (invariant 3)."""
        pool = Pool()
        user = acting_user(gettext('pacte_grants.msg_act_signature'))
        conventions = cls.claim(conventions)
        for convention in conventions:
            if (not convention.signature_anomaly
                    or convention.signature_regularised_by):
                raise TransitionError(gettext(
                        'pacte_grants.msg_signature_no_anomaly',
                        convention=convention.rec_name))
            if not convention.signature_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_signature_reason',
                        convention=convention.rec_name))
        cls.write(conventions, {
                'signature_regularised_by': user.id,
                'signature_regularised_on': pool.get('ir.date').today(),
                })
        pool.get('grant.override').create([{
                    'record': str(c),
                    'rule': 'signatory',
                    'reason': c.signature_reason,
                    'before': c.signature_anomaly,
                    'after': c.signatory_power,
                    'user': user.id,
                    } for c in conventions])

    @classmethod
    def recall(cls, conventions):
        super().recall(conventions)
        cls._forget_reminder(conventions)

    @classmethod
    @without_check_access
    def _forget_reminder(cls, conventions):
        cls.write(
            cls.browse([c.id for c in conventions]),
            {'signature_reminded_on': None})

    @classmethod
    @ModelView.button
    def remind_signature(cls, conventions):
        "Record that the partner was reminded today to sign."
        conventions = cls.claim(conventions)
        for convention in conventions:
            if (convention.state != 'issued'
                    or convention.form != 'convention'):
                raise TransitionError(gettext(
                        'pacte_grants.msg_signature_remind_state',
                        convention=convention.rec_name))
        today = Pool().get('ir.date').today()
        Pool().get('grant.event').add([{
                    'record': c, 'name': 'signature_reminded_on',
                    'before': c.signature_reminded_on, 'after': today,
                    } for c in conventions])
        cls.write(conventions, {'signature_reminded_on': today})

    @classmethod
    @ModelView.button_action('pacte_grants.wizard_sign')
    def record_signature(cls, conventions):
        "Ask for the signed copy and the dates of the signatures."

    def get_lapse_reasons(self):
        """Return, in sentences, why the award does not lapse (yet): the
        partner has its delay to sign, then that to answer a reminder."""
        if self.form != 'convention' or self.state not in {'issued', 'signed'}:
            return []
        if self.state == 'signed' and (
                not self.signature_anomaly or self.signature_regularised_by):
            return [gettext(
                    'pacte_grants.msg_signature_lapse_signed',
                    date=self.signed_partner_on.strftime('%d/%m/%Y'))]
        Parameter = Pool().get('grant.parameter')
        _, lapse, answer = self._signature_limits()
        reasons = []
        if self.issued_on > lapse:
            due = self.issued_on + relativedelta(
                months=int(Parameter.get('SIGNATURE_DELAY')))
            reasons.append(gettext(
                    'pacte_grants.msg_signature_lapse_delay',
                    date=due.strftime('%d/%m/%Y')))
        if self.state == 'signed':
            return reasons
        if not self.signature_reminded_on:
            reasons.append(gettext(
                    'pacte_grants.msg_signature_lapse_no_reminder'))
        elif self.signature_reminded_on > answer:
            until = self.signature_reminded_on + relativedelta(
                days=int(Parameter.get('SIGNATURE_REMINDER_ANSWER')))
            reasons.append(gettext(
                    'pacte_grants.msg_signature_lapse_reminder',
                    reminded=self.signature_reminded_on.strftime('%d/%m/%Y'),
                    date=until.strftime('%d/%m/%Y')))
        return reasons

    @classmethod
    def lapse(cls, conventions):
        Document = Pool().get('grant.document')
        for convention in conventions:
            if reasons := convention.get_lapse_reasons():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_signature_no_lapse',
                        convention=convention.rec_name,
                        reasons=bulleted(reasons)))
        super().lapse(conventions)
        with without_check_access():
            Document.issue(
                cls.browse([c.id for c in conventions]), kind='lapse')

    @classmethod
    @without_check_access
    def get_publish_before(cls, conventions, name):
        """Return until when the essential data of each convention that was
        notified are to be published (L10): those of private bodies that get
        more than the threshold in a year, aid in kind included, counted from
        the last signature."""
        pool = Pool()
        Parameter = pool.get('grant.parameter')
        result = dict.fromkeys([c.id for c in conventions])
        aids = pool.get('grant.in_kind').get_aid(
            [c.party for c in conventions],
            [t.year for c in conventions for t in c.tranches])
        for convention in conventions:
            if (convention.form != 'convention' or not convention.notified_on
                    or convention.party.partner_kind
                    in {*PUBLIC_KINDS, 'individual'}):
                continue
            signed = max(
                convention.signed_partner_on,
                convention.signed_department_on)
            threshold = Parameter.get('L03_CONVENTION_THRESHOLD', signed)
            company, party = convention.company.id, convention.party.id
            if any(
                    t.amount + aids[company, party, t.year].in_kind > threshold
                    for t in convention.tranches):
                result[convention.id] = signed + relativedelta(
                    months=int(Parameter.get(
                            'L10_PUBLICATION_DELAY', signed)))
        return result

    @classmethod
    def _signature_limits(cls):
        """Return the dates until which a text issued asks for a reminder or
        may lapse, and until which a reminder is old enough to lapse."""
        pool = Pool()
        Parameter = pool.get('grant.parameter')
        today = pool.get('ir.date').today()
        return (
            today - relativedelta(days=int(
                    Parameter.get('SIGNATURE_REMINDER'))),
            today - relativedelta(months=int(
                    Parameter.get('SIGNATURE_DELAY'))),
            today - relativedelta(days=int(
                    Parameter.get('SIGNATURE_REMINDER_ANSWER'))))

    @classmethod
    def get_signature(cls, conventions, names):
        remind, lapse, answer = cls._signature_limits()
        months = int(Pool().get('grant.parameter').get('SIGNATURE_DELAY'))
        result = {n: dict.fromkeys([c.id for c in conventions]) for n in names}
        for convention in conventions:
            if (convention.state != 'issued'
                    or convention.form != 'convention'
                    or not convention.issued_on):
                continue
            issued, last = (
                convention.issued_on, convention.signature_reminded_on)
            status = 'waiting'
            if issued <= lapse and last and last <= answer:
                status = 'lapse'
            elif (last or issued) <= remind:
                status = 'remind'
            for name, value in [
                    ('signature_status', status),
                    ('signature_due', issued + relativedelta(months=months))]:
                if name in result:
                    result[name][convention.id] = value
        return result

    @classmethod
    def search_signature_status(cls, name, clause):
        values, negative = get_values(clause)
        remind, lapse, answer = cls._signature_limits()
        issued = [
            ('state', '=', 'issued'), ('form', '=', 'convention'),
            ('issued_on', '!=', None)]
        to_lapse = [
            *issued, ('issued_on', '<=', lapse),
            ('signature_reminded_on', '<=', answer)]
        old = ['OR',
            ('signature_reminded_on', '<=', remind),
            [('signature_reminded_on', '=', None),
                ('issued_on', '<=', remind)],
            ]

        def without(domain):
            return ('id', 'not in', cls.search(domain, order=[], query=True))
        domains = {
            'lapse': to_lapse,
            'remind': [*issued, old, without(to_lapse)],
            'waiting': [*issued, without(to_lapse), without(old)],
            None: [without(issued)],
            }
        found = ['OR', ('id', '=', None)] + [
            domains[v] for v in values if v in domains]
        return [without(found)] if negative else found


class Reminder(metaclass=PoolMeta):
    __name__ = 'grant.reminder'

    @classmethod
    def on_modification(cls, mode, reminders, field_names=None):
        super().on_modification(mode, reminders, field_names=field_names)
        if mode == 'create' or (
                mode == 'write' and 'sent_on' in field_names):
            cls._set_reminded(reminders)

    @classmethod
    @without_check_access
    def _set_reminded(cls, reminders):
        """Note on conventions out for signature that the partner was
        reminded: an e-mail that left or a letter that was posted."""
        Convention = Pool().get('grant.convention')
        for reminder in cls.browse(reminders):
            convention = reminder.record
            if (convention.__name__ == 'grant.convention'
                    and reminder.sent_on
                    and convention.state == 'issued'
                    and reminder.sent_on >= convention.issued_on
                    and reminder.sent_on != convention.signature_reminded_on):
                Convention.write([Convention(convention.id)], {
                        'signature_reminded_on': reminder.sent_on})


class SignStart(ModelView):
    __name__ = 'grant.convention.sign.start'

    convention = fields.Many2One(
        'grant.convention', "Convention", readonly=True)
    partner_signed = fields.Boolean("Signed by the Partner", readonly=True)
    department_signed = fields.Boolean(
        "Signed by the Department", readonly=True)
    partner_date = fields.Date(
        "Signed by the Partner On",
        states={'readonly': Bool(Eval('partner_signed'))},
        help="Leave empty if the partner has not signed yet.")
    department_date = fields.Date(
        "Signed by the Department On",
        states={'readonly': Bool(Eval('department_signed'))},
        help="Leave empty if the Department has not signed yet.")
    kind = fields.Selection([
            ('signed', "Signed Copy"),
            ('scan', "Scan"),
            ], "Kind of Document", required=True, sort=False)
    scan = fields.Binary(
        "Scan", filename='filename', help="A PDF or an image.")
    filename = fields.Char("File Name")

    @classmethod
    def default_kind(cls):
        return 'signed'


class Sign(Wizard):
    "Record the signatures of a convention with the scan of its signed copy."
    __name__ = 'grant.convention.sign'

    start = StateView(
        'grant.convention.sign.start',
        'pacte_grants.sign_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Record", 'record_', 'tryton-ok', default=True),
            ])
    record_ = StateTransition()

    def default_start(self, fields):
        return {
            'convention': self.record.id,
            'partner_signed': bool(self.record.signed_partner_on),
            'department_signed': bool(self.record.signed_department_on),
            'partner_date': self.record.signed_partner_on,
            'department_date': self.record.signed_department_on,
            }

    def transition_record_(self):
        pool = Pool()
        Convention = pool.get('grant.convention')
        Document = pool.get('grant.document')
        start = self.start
        with check_access():
            # The buttons of the user, with the rights of the user
            Convention.read([self.record.id], ['id'])
            convention = Convention(self.record.id)
            if start.partner_date and not convention.signed_partner_on:
                Convention.write([convention], {
                        'partner_signature_date': start.partner_date})
                Convention.sign_partner([convention])
                convention = Convention(convention.id)
            if start.department_date and not convention.signed_department_on:
                Convention.write([convention], {
                        'department_signature_date': start.department_date})
                Convention.sign_department([convention])
        if start.scan:
            Document.seal_scan(
                Convention(self.record.id), bytes(start.scan),
                start.filename, start.kind)
        return 'end'


class FindStart(ModelView):
    __name__ = 'grant.document.find.start'

    reference = fields.Char(
        "Reference",
        help="What stands beside the code, typed or read by a scanner; or "
        "the number of a convention.")
    scan = fields.Binary(
        "File", filename='filename', help="A PDF or an image, of one or "
        "more pages.")
    filename = fields.Char("File Name")


class FindResult(ModelView):
    __name__ = 'grant.document.find.result'

    pages = fields.One2Many(
        'grant.document.find.page', None, "Pages", readonly=True)


class FindPage(ModelView):
    __name__ = 'grant.document.find.page'

    page = fields.Integer("Page", readonly=True)
    reference = fields.Char("Reference", readonly=True)
    convention = fields.Many2One(
        'grant.convention', "Convention", readonly=True)
    document = fields.Many2One('grant.document', "Document", readonly=True)
    note = fields.Char("Note", readonly=True)

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Bool(Eval('convention')), '', 'warning'), ['convention']),
            ]


class Find(Wizard):
    "Find the convention of a reference, or those of the pages of a file."
    __name__ = 'grant.document.find'

    start = StateView(
        'grant.document.find.start',
        'pacte_grants.document_find_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Find", 'find', 'tryton-search', default=True),
            ])
    find = StateTransition()
    result = StateView(
        'grant.document.find.result',
        'pacte_grants.document_find_result_view_form', [
            Button("Close", 'end', 'tryton-close'),
            Button("Other", 'start', 'tryton-back'),
            Button("Open", 'open_', 'tryton-ok', default=True),
            ])
    open_ = StateAction('pacte_grants.act_convention_form')

    def transition_find(self):
        if not self.start.reference and not self.start.scan:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_document_find_nothing'))
        if self.start.scan:
            return 'result'
        self.result.pages = [self._by_reference(self.start.reference)]
        return 'open_'

    @staticmethod
    def _page(document, **values):
        return {
            'page': None, 'reference': None, 'note': None,
            'document': document.id if document else None,
            'convention': document.convention.id if document else None,
            } | values

    def _by_reference(self, text):
        pool = Pool()
        Convention = pool.get('grant.convention')
        Document = pool.get('grant.document')
        with check_access():
            conventions = Convention.search([
                    ('number', '=', text.strip().upper())])
            if conventions:
                return self._page(None, convention=conventions[0].id)
            reference = read_reference(text)
            if not reference:
                raise ScanError(gettext(
                        'pacte_grants.msg_document_reference_wrong',
                        reference=text))
            found = Document.find_references([reference])
        if reference not in found:
            raise ScanError(gettext(
                    'pacte_grants.msg_document_reference_unknown',
                    reference=reference))
        return self._page(found[reference], reference=reference)

    def default_result(self, fields):
        return {
            'pages': self.find_pages(
                bytes(self.start.scan), self.start.filename)}

    @classmethod
    def find_pages(cls, data, filename):
        """Return what each page of the file belongs to, as the values of
        ``grant.document.find.page``: a page of several documents has several
        rows, one without a code a row that says so."""
        Document = Pool().get('grant.document')
        pages = [
            list(dict.fromkeys(filter(None, map(read_reference, texts))))
            for texts in read_pages(data, filename)]
        with check_access():
            found = Document.find_references(
                {r for page in pages for r in page})
        rows = []
        for index, references in enumerate(pages, 1):
            if not references:
                rows.append(cls._page(None, page=index, note=gettext(
                            'pacte_grants.msg_document_find_no_code')))
            for reference in references:
                document = found.get(reference)
                rows.append(cls._page(
                        document, page=index, reference=reference,
                        note=None if document else gettext(
                            'pacte_grants.msg_document_find_not_found')))
        return rows

    def do_open_(self, action):
        ids = []
        for page in self.result.pages:
            convention = (
                page['convention'] if isinstance(page, dict)
                else page.convention and page.convention.id)
            if convention and convention not in ids:
                ids.append(convention)
        encoder = PYSONEncoder()
        action['pyson_domain'] = encoder.encode([('id', 'in', ids)])
        action['domains'] = []
        return action, {'res_id': ids} if len(ids) == 1 else {}
