# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Reminders of what partners owe, by e-mail or by letter.

A reminder is made once for each step before or after a date: its text is
kept as it was written.  It goes by e-mail if the partner has an address and
a server answers, otherwise it waits to be printed.
"""
import logging
import smtplib
from email.message import EmailMessage

import trytond.config as config
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import AccessError
from trytond.modules.company import CompanyReport
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.sendmail import (
    SMTPDataManager, get_smtp_server, send_message,
    send_message_transactional)
from trytond.transaction import Transaction, without_check_access

from .document import (
    MISSING, _address_lines, _identity, has_converter)
from .exceptions import CompletenessError
from .mixin import ClaimMixin, GuardMixin, acting_user
from .scheme import CompanyMixin
from .wording import long_date

logger = logging.getLogger(__name__)
STEPS = [f'REMINDER_STEP_{i}' for i in range(1, 5)]


def get_steps(date=None):
    "Return the days, before (negative) or after the date, of the reminders."
    Parameter = Pool().get('grant.parameter')
    return sorted({int(Parameter.get(code, date)) for code in STEPS})


def get_tone(step, steps):
    """Return the tone of the step, one of ``steps``: it rises once only, at
    the last one after the date."""
    if step < 0:
        return 'far' if step == min(steps) and len(
            [s for s in steps if s < 0]) > 1 else 'near'
    return 'warning' if step == max(steps) else 'late'


class _Postman(SMTPDataManager):
    "The server that answered; nothing leaves before the commit."

    def __init__(self, server):
        super().__init__(uri=server.uri)
        self._server = server
        # By the identity of a message
        self.reminders = {}

    def tpc_finish(self, trans):
        refused = self._send()
        self._finish()
        if refused:
            # What the reminder says was committed already.
            with Transaction().new_transaction():
                Pool().get('grant.reminder').refuse_emails(refused)

    def _send(self):
        "Send what is queued and return the ids of what did not leave."
        refused, server = [], self._server
        for _, _, message in self.queue:
            id_ = self.reminders[message['Message-ID']]
            if server is None:
                refused.append(id_)
                continue
            try:
                server = send_message(message, server=server, strict=True)
            except Exception as error:
                logger.error("an e-mail did not leave", exc_info=True)
                refused.append(id_)
                if (isinstance(error, OSError)
                        and not isinstance(error, smtplib.SMTPException)
                        or isinstance(
                            error, smtplib.SMTPServerDisconnected)):
                    # It would not answer for the others either.
                    server = None
        if server is not None:
            try:
                server.quit()
            except (smtplib.SMTPException, OSError):
                pass
        return refused

    def abort(self, trans):
        if self._server:
            self._server.close()
        super().abort(trans)


def connect():
    """Return the server of the e-mails, or ``None`` when there is none: the
    reminders are letters then."""
    if not config.get('email', 'uri') or not config.get('email', 'from'):
        return None
    try:
        return get_smtp_server()
    except (smtplib.SMTPException, OSError):
        logger.error("the server of the e-mails refuses", exc_info=True)
        return None


class Reminder(ClaimMixin, GuardMixin, CompanyMixin, ModelSQL, ModelView):
    "What was written to a partner about something that it owes."
    __name__ = 'grant.reminder'
    _rec_name = 'subject'

    party = fields.Many2One(
        'party.party', "Partner", required=True, readonly=True,
        ondelete='RESTRICT',
        context={'company': Eval('company', -1)}, depends={'company'})
    record = fields.Reference(
        "About", selection='get_records', required=True, readonly=True)
    convention = fields.Many2One(
        'grant.convention', "Convention", readonly=True,
        ondelete='RESTRICT')
    due_date = fields.Date("Due Date", readonly=True)
    step = fields.Integer(
        "Step", readonly=True,
        help="Days before (negative) or after the due date; empty when "
        "somebody asked for it.")
    tone = fields.Selection([
            ('far', "Announcement"),
            ('near', "Reminder Before the Date"),
            ('late', "Reminder After the Date"),
            ('warning', "Last Reminder"),
            ], "Tone", required=True, readonly=True, sort=False)
    made_on = fields.Date("Written On", required=True, readonly=True)
    channel = fields.Selection([
            ('email', "E-mail"),
            ('letter', "Letter"),
            ], "Channel", required=True, readonly=True, sort=False)
    email = fields.Char("E-mail", readonly=True)
    email_refused = fields.Boolean(
        "E-mail Not Delivered", readonly=True,
        states={'invisible': ~Eval('email_refused', False)},
        help="The e-mail did not leave: a letter is to be sent instead.")
    address = fields.Text("Address", readonly=True)
    subject = fields.Char("Subject", required=True, readonly=True)
    text = fields.Text("Text", required=True, readonly=True)
    made_by = fields.Many2One(
        'res.user', "Written By", readonly=True, ondelete='RESTRICT',
        help="Empty for those that the calendar made.")
    sent_on = fields.Date("Sent On", readonly=True)
    sent_by = fields.Many2One(
        'res.user', "Sent By", readonly=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.company.readonly = True
        table = cls.__table__()
        cls._order = [('made_on', 'DESC'), ('id', 'DESC')]
        cls._sql_constraints.append((
                'step_unique',
                Unique(table, table.company, table.record, table.due_date,
                    table.step),
                'pacte_grants.msg_condition_reminder_unique'))
        cls._sql_indexes.update({
                Index(table, (table.record, Index.Equality())),
                Index(table, (table.party, Index.Equality())),
                Index(table, (table.sent_on, Index.Range())),
                })
        cls._buttons.update({
                'send_letter': {
                    'invisible': Eval('sent_on', None) != None,  # noqa: E711
                    'depends': ['sent_on'],
                    },
                })

    @classmethod
    def get_records(cls):
        IrModel = Pool().get('ir.model')
        return [(name, IrModel.get_name(name)) for name in [
                'grant.condition', 'grant.convention',
                'grant.partner.piece']]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('sent_on', None) == None,  # noqa: E711
                    'warning', ''), ['sent_on']),
            ]

    @classmethod
    def check_modification(cls, mode, reminders, values=None,
            external=False):
        super().check_modification(
            mode, reminders, values=values, external=external)
        if mode == 'delete' or (mode == 'write' and (
                    external or values.keys() - {
                        'sent_on', 'sent_by', 'channel', 'email_refused'})):
            raise AccessError(gettext(
                    'pacte_grants.msg_append_only', **cls.__names__()))

    @classmethod
    @ModelView.button
    def send_letter(cls, reminders):
        "Record that the printed letters left."
        user = acting_user(gettext('pacte_grants.msg_act_reminder'))
        reminders = [r for r in cls.claim(reminders) if not r.sent_on]
        cls.write(reminders, {
                'sent_on': Pool().get('ir.date').today(),
                'sent_by': user.id,
                })

    @classmethod
    @without_check_access
    def refuse_emails(cls, ids):
        "Make letters to send of the e-mails that did not leave."
        cls.write(cls.browse(ids), {
                'channel': 'letter',
                'email_refused': True,
                'sent_on': None,
                'sent_by': None,
                })

    @classmethod
    @without_check_access
    def write_to_partners(cls, rows):
        """Write a reminder for each row and return them.

        ``rows``: dictionaries with ``company``, ``party``, ``record``,
        ``convention`` (or ``None``), ``due_date`` (or ``None``), ``step``
        (days, ``None`` for one that somebody asks for), ``tone``, and, for
        the text, functions of no argument that are called in the language
        of the partner: ``what`` and ``details`` (a list of sentences).
        """
        if not rows:
            return []
        server = None
        if any(row['party'].email for row in rows):
            server = connect()
        today = Pool().get('ir.date').today()
        vlist = []
        for row in rows:
            party = row['party']
            language = party.lang.code if party.lang else 'fr'
            with Transaction().set_context(language=language):
                subject, text = cls._compose(row)
            email = bool(server and party.email)
            vlist.append({
                    'company': row['company'].id,
                    'party': party.id,
                    'record': str(row['record']),
                    'convention': (
                        row['convention'].id if row['convention'] else None),
                    'due_date': row['due_date'],
                    'step': row['step'],
                    'tone': row['tone'],
                    'made_on': today,
                    'made_by': Transaction().user or None,
                    'channel': 'email' if email else 'letter',
                    'email': party.email if email else None,
                    'address': '\n'.join(
                        _address_lines(party.address_get())) or None,
                    'subject': subject,
                    'text': text,
                    'sent_on': today if email else None,
                    'sent_by': Transaction().user or None if email else None,
                    })
        reminders = cls.create(vlist)
        if server:
            cls._post(reminders, server)
        return reminders

    @classmethod
    def _compose(cls, row):
        due, convention = row['due_date'], row['convention']
        if convention:
            about = gettext(
                'pacte_grants.msg_condition_reminder_about_convention',
                convention=convention.rec_name)
        else:
            about = gettext(
                'pacte_grants.msg_condition_reminder_about_pieces')
        names = {
            'what': row['what'](),
            'date': long_date(due) if due else '–',
            'about': about,
            'officer': cls._get_officer(convention),
            }
        tone = row['tone'] if due else 'undated'
        parts = [
            gettext('pacte_grants.msg_condition_reminder_greeting'),
            gettext(f'pacte_grants.msg_condition_reminder_{tone}', **names),
            *row['details'](),
            gettext('pacte_grants.msg_condition_reminder_contact', **names),
            gettext('pacte_grants.msg_condition_reminder_closing'),
            ]
        subject = gettext(
            'pacte_grants.msg_condition_reminder_subject', **names)
        return ' '.join(subject.split()), '\n\n'.join(parts)

    @classmethod
    def _get_officer(cls, convention):
        if not convention:
            return gettext('pacte_grants.msg_condition_reminder_service')
        party = convention.officer.party if convention.officer else None
        return ', '.join(filter(None, [
                    party.name if party else None,
                    convention.service.name if convention.service else None,
                    (party.phone or party.mobile) if party else None,
                    party.email if party else None,
                    ]))

    @classmethod
    def _post(cls, reminders, server):
        postman = _Postman(server)
        Transaction().join(postman)
        refused = []
        for reminder in reminders:
            if reminder.channel != 'email':
                continue
            try:
                message = cls._get_message(reminder)
            except ValueError:
                logger.error("an e-mail cannot be written", exc_info=True)
                refused.append(reminder.id)
                continue
            send_message_transactional(
                message, message['From'], [reminder.email],
                datamanager=postman)
            postman.reminders[message['Message-ID']] = reminder.id
        if refused:
            cls.refuse_emails(refused)

    @classmethod
    def _get_message(cls, reminder):
        message = EmailMessage()
        message['From'] = config.get('email', 'from')
        message['To'] = reminder.email
        message['Subject'] = reminder.subject
        message.set_content(reminder.text)
        return message


class ReminderLetter(CompanyReport):
    __name__ = 'grant.reminder.letter'

    @classmethod
    def convert(cls, report, data, **kwargs):
        """Return the extension and the file; raise ``CompletenessError`` if
        there is nothing to make a PDF with."""
        if report.extension != 'pdf':
            return super().convert(report, data, **kwargs)
        reason = 'no_converter'
        if has_converter():
            reason = 'pdf_failed'
            for _ in range(2):
                # Trytond's own retries lose the arguments of the command.
                extension, pdf = super().convert(
                    report, data, timeout=60, retry=0)
                if extension == 'pdf':
                    return extension, pdf
        raise CompletenessError(
            gettext('pacte_grants.msg_condition_reminder_no_pdf'),
            gettext(f'pacte_grants.msg_document_{reason}'))

    @classmethod
    def get_context(cls, records, header, data):
        """Return the values that the template names: ``letters``, each with
        ``department``, ``partner``, ``date``, ``number``, ``subject`` and
        ``paragraphs``."""
        context = super().get_context(records, header, data)
        letters = []
        for reminder in records:
            department = reminder.company.party
            letters.append({
                    'department': _identity(department),
                    'partner': reminder.party.name,
                    'address': (
                        reminder.address or MISSING).splitlines(),
                    'date': long_date(reminder.made_on),
                    'number': (
                        reminder.convention.number if reminder.convention
                        else None),
                    'subject': reminder.subject,
                    'paragraphs': [
                        p for p in reminder.text.splitlines() if p.strip()],
                    })
        context['letters'] = letters
        context['department'] = letters[0]['department'] if letters else {}
        return context


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('grant.reminder', 'party'),
            ]


class PartyErase(metaclass=PoolMeta):
    __name__ = 'party.erase'

    def to_erase(self, party_id):
        Reminder = Pool().get('grant.reminder')
        return super().to_erase(party_id) + [
            (Reminder, [('party', '=', party_id)], True,
                ['email', 'address', 'subject', 'text'],
                [None, None, '****', '****']),
            ]
