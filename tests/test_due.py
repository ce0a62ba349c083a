# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What partners owe, and how they are reminded of it."
import datetime as dt
import smtplib
import zipfile
from contextlib import contextmanager, nullcontext
from io import BytesIO
from unittest.mock import MagicMock, patch

from sql import Literal
from sql.aggregate import Max

from trytond.exceptions import UserError
from trytond.model import fields
from trytond.modules.pacte_grants import reminder as reminder_module
from trytond.modules.pacte_grants.exceptions import CompletenessError
from trytond.modules.party import contact_mechanism
from trytond.pool import Pool
from trytond.pyson import PYSONDecoder
from trytond.transaction import Transaction

from .refusal import Dossier, RefusalCase, attempt, forget, set_state
from .tools import count_queries

STEPS = [-60, -15, 1, 30]


def days(number):
    return dt.timedelta(days=number)


class DueTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        road = cls.road
        cls.convention = road.to_active()
        cls.dossier = Dossier.of(cls.convention)
        cls.eco, cls.tariff = cls.convention.conditions

    def setUp(self):
        super().setUp()
        # No e-mail server answers in the tests, whatever the machine has.
        patcher = patch.object(
            reminder_module, 'get_smtp_server', return_value=None)
        self.server = patcher.start()
        self.addCleanup(patcher.stop)
        # Nor are names asked from the network.
        patcher = patch.object(contact_mechanism, 'validate_email')
        patcher.start()
        self.addCleanup(patcher.stop)

    def dues(self, *domain):
        with self.road.system():
            return Pool().get('grant.due').search(list(domain))

    def due(self, record):
        due, = self.dues(('record', '=', str(record)))
        return due

    def move(self, condition, date):
        "Put the due date behind the back of every rule."
        table = condition.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.due_date], [date], where=table.id == condition.id))
        forget()

    def submit(self, condition):
        self.road.write('claire', condition, evidence_note="Reçu")
        self.road.press('claire', condition, 'submit')
        forget()

    def only(self, condition):
        "Leave one condition to be produced."
        for other in [self.eco, self.tariff]:
            if other != condition:
                set_state(other, 'met')

    def remind(self, day=None):
        "Run the cron, on the day."
        day = day or self.road.today
        Date = Pool().get('ir.date')
        before = {r.id for r in self.reminders()}
        with Transaction().set_user(0), Transaction().set_context(
                company=None, _check_access=True), patch.object(
                Date, 'today', staticmethod(lambda timezone=None: day)):
            Pool().get('grant.due').remind_daily()
        forget()
        return [r for r in self.reminders() if r.id not in before]

    def reminders(self):
        with self.road.system():
            return Pool().get('grant.reminder').search([])

    # The list

    def test_conditions(self):
        "Undertakings that are open, under conventions that are followed"
        road = self.road
        due = self.due(self.eco)
        self.assertEqual(
            (due.party, due.convention, due.due_date, due.status,
                due.whose_turn, due.blocking, due.officer), (
                self.convention.party, self.convention, self.eco.due_date,
                'to_produce', 'partner', True, self.convention.officer))
        self.assertIn("Gobelets", due.what)
        self.assertIn("Solde", due.blocks_text)
        self.assertIsNone(due.late_days)
        self.move(self.eco, road.today - days(3))
        self.assertEqual(self.due(self.eco).late_days, 3)
        self.submit(self.eco)
        due = self.due(self.eco)
        self.assertEqual((due.status, due.whose_turn),
            ('to_verify', 'officer'))
        with road.system():
            for state, turn in [
                    ('met', None), ('waived', None), ('not_met', 'officer')]:
                with self.subTest(state=state):
                    set_state(self.eco, state)
                    self.assertEqual(
                        [d.whose_turn for d in self.dues(
                                ('record', '=', str(self.eco)))],
                        [turn] if turn else [])
        set_state(self.eco, 'pending')
        for state in ['draft', 'negotiation', 'agreed', 'terminated',
                'closed', 'renounced', 'lapsed', 'cancelled']:
            with self.subTest(convention=state):
                set_state(self.convention, state)
                self.assertFalse(self.dues(
                        ('convention', '=', self.convention.id),
                        # What was paid is accounted for all the same.
                        ('kind', '!=', 'report')))

    def test_turn(self):
        "Whose turn it is here is what the undertaking says"
        road = self.road
        Condition = self.eco.__class__
        road.write('claire', self.tariff, waiver_reason="Canicule")
        road.press('claire', self.tariff, 'propose_waiver')
        for state in ['pending', 'submitted', 'not_met']:
            for verifier in ['officer', 'manager', 'finance', 'clerk']:
                table = Condition.__table__()
                Transaction().connection.cursor().execute(*table.update(
                        [table.verifier], [verifier],
                        where=table.convention == self.convention.id))
                for condition in [self.eco, self.tariff]:
                    set_state(condition, state)
                    with self.subTest(
                            state=state, verifier=verifier,
                            condition=condition.kind):
                        self.assertEqual(
                            self.due(condition).whose_turn,
                            Condition(condition.id).whose_turn)

    def test_signature(self):
        "A convention that was sent awaits its signature for two months"
        road = self.road
        for issued, due in [
                (dt.date(2026, 1, 15), dt.date(2026, 3, 15)),
                (dt.date(2025, 12, 31), dt.date(2026, 2, 28))]:
            with self.subTest(issued=issued):
                set_state(
                    self.convention, 'issued', issued_on=issued,
                    signed_partner_on=None)
                found = self.due(self.convention)
                self.assertEqual(found.due_date, due)
                self.assertEqual(
                    (found.status, found.whose_turn, found.blocking),
                    ('to_sign', 'partner', True))
                self.assertTrue(found.blocks_text)
        set_state(self.convention, 'signed', signed_partner_on=road.today)
        self.assertFalse(self.dues(('kind', '=', 'signature')))

    def piece(self, valid, kind='statutes', **values):
        with self.road.as_user('claire'):
            piece, = Pool().get('grant.partner.piece').create([{
                        'party': self.convention.party.id, 'kind': kind,
                        'received_on': self.road.today - days(400),
                        'valid_until': self.road.today + days(valid),
                        } | values])
        return piece

    def test_pieces(self):
        "The last piece of a kind, when it expires or soon will"
        road = self.road
        late, soon = self.piece(-5), self.piece(60, 'board')
        self.piece(61, 'accounts')
        old = self.piece(-300, 'activity_report')
        self.piece(300, 'activity_report', received_on=road.today)
        found = self.dues(('kind', '=', 'piece'))
        self.assertEqual([d.record for d in found], [late, soon])
        self.assertNotIn(old, [d.record for d in found])
        self.assertEqual(found[0].late_days, 5)
        self.assertIsNone(found[0].convention)
        set_state(self.convention, 'terminated')
        self.assertFalse(self.dues(('kind', '=', 'piece')))

    def test_identities(self):
        "Every row has an identity of its own, that reads the same row"
        Due = Pool().get('grant.due')
        self.piece(-5)
        dues = self.dues()
        self.assertEqual(len({d.id for d in dues}), len(dues))
        for due in dues:
            with self.road.system():
                self.assertEqual(Due(due.id).record, due.record)

    def test_tabs(self):
        "What each tab shows"
        road = self.road
        Window = Pool().get('ir.action.act_window')
        ModelData = Pool().get('ir.model.data')
        window = Window(ModelData.get_id('pacte_grants', 'act_due'))
        late = self.piece(-5)
        self.move(self.eco, road.today + days(7))
        self.move(self.tariff, road.today + days(8))
        self.submit(self.tariff)
        report, = self.convention.financial_reports
        expected = {
            'week': {self.eco}, 'late': {late},
            'to_verify': {self.tariff},
            'blocking': {self.eco, self.tariff, report},
            'mine': {self.eco, self.tariff, late, report},
            'all': {self.eco, self.tariff, late, report},
            }
        with road.as_user('claire') as user:
            domains = {
                d.id: d.domain for d in window.act_window_domains}
            for name, records in expected.items():
                id_ = ModelData.get_id(
                    'pacte_grants', f'act_due_domain_{name}')
                domain = PYSONDecoder({
                        'context': {'employee': user.employee.id},
                        }).decode(domains[id_] or '[]')
                with self.subTest(tab=name):
                    self.assertEqual({
                            d.record for d in
                            Pool().get('grant.due').search(domain)}, records)

    def test_other_company(self):
        "Nobody sees what is owed to another company"
        with self.road.system():
            stranger = self.road.create_user(
                'zoe', ['group_officer'], company=None, companies=None,
                employees=None, employee=None)
        for user, sees in [
                (self.road.users['claire'], True), (stranger, False)]:
            with self.subTest(user=user.login), Transaction().set_user(
                    user.id), Transaction().set_context(_check_access=True):
                self.assertEqual(
                    bool(Pool().get('grant.due').search([])), sees)

    def test_read_only(self):
        due = self.due(self.eco)
        for login in ['claire', 'marc', 'alice']:
            with self.subTest(user=login), self.road.as_user(login):
                with self.assertRaises((UserError, NotImplementedError)):
                    due.__class__.write([due], {'status': 'not_met'})
        with self.road.as_user('jean'), self.assertRaises(UserError):
            due.__class__.search([])

    # What is done from the list

    def test_met(self):
        "The list presses the button of the undertaking, with its rules"
        road = self.road
        self.submit(self.eco)
        due = self.due(self.eco)
        for login in ['lea', 'alice']:
            with self.forbidden():
                road.press(login, due, 'meet')
        with self.refused(
                CompletenessError, 'condition_due_refused',
                self.eco.rec_name):
            road.press('paul', due, 'meet')
        road.press('claire', due, 'meet')
        self.assertState(self.eco, 'met')

    def test_met_lines(self):
        "One line refused: none is done, and the message names it alone"
        road = self.road
        table = self.tariff.__table__()
        self.submit(self.eco)
        self.submit(self.tariff)
        Transaction().connection.cursor().execute(*table.update(
                [table.verifier], ['finance'],
                where=table.id == self.tariff.id))
        forget()
        dues = [self.due(self.eco), self.due(self.tariff)]
        with self.refused(
                CompletenessError, 'condition_due_refused',
                self.tariff.rec_name) as raised:
            road.press('claire', dues, 'meet')
        self.assertNotIn(self.eco.rec_name, str(raised.exception.message))
        self.assertState(self.eco, 'submitted')

    def execute(self, wizard, records, transition, login='claire', **values):
        Wizard = Pool().get(wizard, type='wizard')
        with self.road.as_user(login), Transaction().set_context(
                active_model='grant.due', active_id=records[0].id,
                active_ids=[r.id for r in records]):
            session, _, _ = Wizard.create()
            Wizard.execute(session, {}, 'start')
            Wizard.execute(session, {'start': values}, transition)
            Wizard.delete(session)
        forget()

    def test_failed(self):
        due = self.due(self.eco)
        with self.assertRaises(UserError):
            self.execute('grant.due.fail', [due], 'fail', login='paul',
                reason="Rien")
        self.execute('grant.due.fail', [due], 'fail', reason="Rien reçu")
        condition = self.eco.__class__(self.eco.id)
        self.assertEqual(
            (condition.state, condition.verdict_reason),
            ('not_met', "Rien reçu"))

    def test_prolonged(self):
        due = self.due(self.eco)
        date = self.eco.due_date + days(20)
        self.execute('grant.condition.prolong', [due], 'prolong',
            new_date=date, reason="Report")
        self.assertEqual(self.due(self.eco).due_date, date)
        piece = self.due(self.piece(-3))
        with self.assertRaises(UserError):
            self.execute('grant.condition.prolong', [piece], 'prolong',
                new_date=date, reason="Report")

    def test_prolonged_lines(self):
        "A verdict for each line that is refused, whatever it is"
        road = self.road
        Prolong = 'grant.condition.prolong'
        self.move(self.eco, road.today + days(40))
        self.move(self.tariff, road.today + days(50))
        dues = [self.due(self.eco), self.due(self.tariff)]
        with self.refused(
                CompletenessError, 'condition_due_refused',
                self.eco.rec_name) as raised:
            self.execute(Prolong, dues, 'prolong',
                new_date=road.today + days(40), reason="Report")
        self.assertIn(self.tariff.rec_name, str(raised.exception.message))
        with self.refused(
                CompletenessError, 'condition_due_refused') as raised:
            self.execute(Prolong, dues, 'prolong',
                new_date=road.today + days(45), reason="Report")
        self.assertIn(self.tariff.rec_name, str(raised.exception.message))
        self.assertNotIn(self.eco.rec_name, str(raised.exception.message))
        self.assertFalse(self.eco.__class__(self.eco.id).prolongations)
        set_state(self.eco, 'not_met')
        dues = [
            self.due(self.eco), self.due(self.tariff),
            self.due(self.piece(-3))]
        for button in ['prolong', 'meet', 'fail', 'submit', 'remind']:
            with self.subTest(button=button):
                with self.refused(
                        CompletenessError, 'condition_due_refused',
                        self.eco.rec_name) as raised:
                    road.press('claire', dues, button)
                message = str(raised.exception.message)
                self.assertEqual(
                    dues[2].what in message, button != 'remind')
                self.assertEqual(
                    self.tariff.rec_name in message, button == 'meet')
        with self.refused(
                CompletenessError, 'condition_due_refused',
                self.eco.rec_name):
            self.execute(Prolong, dues, 'prolong',
                new_date=road.today + days(60), reason="Report")

    def test_received(self):
        "Received from the list: described, with the single rules"
        road = self.road
        dues = [self.due(self.eco), self.due(self.tariff)]
        for login in ['paul', 'lea', 'alice']:
            with self.subTest(user=login), self.forbidden():
                self.execute('grant.due.submit', dues, 'submit',
                    login=login, note="Bilan")
        set_state(self.tariff, 'not_met')
        with self.refused(
                CompletenessError, 'condition_due_refused',
                self.tariff.rec_name) as raised:
            self.execute('grant.due.submit', dues, 'submit', note="Bilan")
        self.assertNotIn(self.eco.rec_name, str(raised.exception.message))
        self.assertState(self.eco, 'pending')
        set_state(self.tariff, 'pending')
        road.write('claire', self.eco, evidence_note="Photographies")
        self.execute('grant.due.submit', dues, 'submit', note="Bilan")
        Condition = self.eco.__class__
        for record, note in [
                (self.eco, "Photographies\nBilan"), (self.tariff, "Bilan")]:
            condition = Condition(record.id)
            self.assertEqual(
                (condition.state, condition.evidence_note,
                    condition.submitted_by),
                ('submitted', note, road.users['claire']))

    def test_waiver_proposed(self):
        "Proposed from the list, granted by another person"
        road = self.road
        dues = [self.due(self.eco), self.due(self.tariff)]
        with self.assertRaises(UserError):
            self.execute('grant.due.waiver', dues, 'propose', login='paul',
                reason="Canicule")
        self.submit(self.tariff)
        with self.refused(
                CompletenessError, 'condition_due_refused',
                self.tariff.rec_name) as raised:
            self.execute('grant.due.waiver', dues, 'propose', login='marc',
                reason="Canicule")
        self.assertNotIn(self.eco.rec_name, str(raised.exception.message))
        self.execute('grant.due.waiver', dues[:1], 'propose', login='marc',
            reason="Canicule")
        self.assertEqual(self.due(self.eco).whose_turn, 'manager')
        condition = self.eco.__class__(self.eco.id)
        self.assertEqual(
            (condition.waiver_proposed_by, condition.waiver_reason),
            (road.users['marc'], "Canicule"))
        with self.assertRaises(UserError):
            road.press('marc', condition, 'waive')

    def test_reminded_by_hand(self):
        "Who is reminded is told so; twice a day is once too many"
        road = self.road
        due = self.due(self.eco)
        with self.forbidden():
            road.press('lea', due, 'remind')
        road.press('claire', due, 'remind')
        reminder, = self.reminders()
        self.assertEqual(
            (reminder.record, reminder.made_by, reminder.step,
                reminder.channel, reminder.sent_on),
            (self.eco, road.users['claire'], None, 'letter', None))
        due = self.due(self.eco)
        self.assertEqual(
            (due.reminder_count, due.last_reminder), (1, road.today))
        with self.refused(
                CompletenessError, 'condition_due_refused', "Gobelets"):
            road.press('claire', due, 'remind')
        self.submit(self.tariff)
        due = self.due(self.tariff)
        with self.assertRaises(UserError):
            road.press('claire', due, 'remind')

    # The calendar

    def test_steps(self):
        "Each step once, on both sides of the date"
        road = self.road
        self.only(self.eco)
        due = road.today + days(90)
        self.move(self.eco, due)
        made = {}
        for number in range(-62, 40):
            for reminder in self.remind(due + days(number)):
                made[number] = (reminder.step, reminder.tone)
            self.assertFalse(self.remind(due + days(number)))
        self.assertEqual(made, {
                -60: (-60, 'far'), -15: (-15, 'near'), 1: (1, 'late'),
                30: (30, 'warning')})

    def test_signature_steps(self):
        "What was sent just now is not announced again"
        road = self.road
        set_state(
            self.convention, 'issued', issued_on=road.today,
            signed_partner_on=None)
        set_state(self.eco, 'met')
        set_state(self.tariff, 'met')
        due = self.due(self.convention).due_date
        self.assertEqual(
            [r.step for number in range(-70, 35)
                for r in self.remind(due + days(number))],
            [-15, 1, 30])

    def test_missed_steps(self):
        "After a stop of the server, the last step alone"
        road = self.road
        self.only(self.eco)
        self.move(self.eco, road.today - days(10))
        reminder, = self.remind()
        self.assertEqual(reminder.step, 1)

    def test_prolonged_steps(self):
        "A new date has its own steps"
        road = self.road
        self.only(self.eco)
        self.move(self.eco, road.today - days(1))
        self.assertEqual([r.step for r in self.remind()], [1])
        self.move(self.eco, road.today + days(15))
        self.assertFalse(self.remind())
        self.assertEqual(
            [r.step for r in self.remind(road.today + days(1))], [-15])

    def test_not_reminded(self):
        "Neither what is fulfilled or in our hands, nor dead conventions"
        road = self.road
        self.only(self.eco)
        self.move(self.eco, road.today - days(1))
        for state in ['submitted', 'met', 'waived', 'not_met']:
            set_state(self.eco, state)
            with self.subTest(state=state):
                self.assertFalse(self.remind())
        set_state(self.eco, 'pending')
        for state in ['terminated', 'closed', 'renounced']:
            set_state(self.convention, state)
            with self.subTest(convention=state):
                self.assertFalse(self.remind())

    def test_words(self):
        "What a letter says, in French, and how its tone rises"
        road = self.road
        self.only(self.eco)
        self.move(self.eco, road.today)
        texts = {}
        for step in STEPS:
            reminder, = self.remind(road.today + days(step))
            texts[step] = reminder.text
            for word in ["Gobelets réutilisables", "Bilan des déchets",
                    self.convention.number, "Claire"]:
                self.assertIn(word, reminder.text)
            for word in ["contrepartie", "prestation", "%("]:
                self.assertNotIn(word, reminder.text.lower())
        self.assertEqual(len(set(texts.values())), 4)
        self.assertEqual(
            ["suspendu" in texts[s] for s in STEPS],
            [False, False, False, True])

    @contextmanager
    def mailbox(self):
        "A server of e-mails that answers."
        server = MagicMock(uri='smtp://exemple')
        server.send_message.return_value = {}
        self.server.return_value = server
        yield server

    def test_email(self):
        "By e-mail to who has an address, once the work is kept"
        road = self.road
        self.only(self.eco)
        self.move(self.eco, road.today - days(1))
        party = self.convention.party
        with road.system():
            party.__class__.write([party], {'contact_mechanisms': [
                        ('create', [{
                                    'type': 'email',
                                    'value': 'asso@exemple.fr'}])]})
        forget()
        with self.mailbox() as server:
            reminder, = self.remind()
            self.assertEqual(
                (reminder.channel, reminder.email, reminder.sent_on),
                ('email', 'asso@exemple.fr', road.today))
            server.send_message.assert_not_called()
            postman, = [
                m for m in Transaction()._datamanagers
                if isinstance(m, reminder_module._Postman)]
            postman.tpc_vote(None)
            postman.tpc_finish(None)
            server.send_message.assert_called_once()
            message = server.send_message.call_args[0][0]
            self.assertEqual(message['To'], 'asso@exemple.fr')
            self.assertIn("Gobelets", message.get_content())
        Transaction()._datamanagers.remove(postman)

    def test_email_refused(self):
        "What did not leave is a letter to send, and never 'sent'"
        road = self.road
        self.move(self.eco, road.today - days(1))
        self.move(self.tariff, road.today - days(1))
        party = self.convention.party
        with road.system():
            party.__class__.write([party], {'contact_mechanisms': [
                        ('create', [{
                                    'type': 'email',
                                    'value': 'asso@exemple.fr'}])]})
        forget()
        refused = smtplib.SMTPRecipientsRefused({
                'asso@exemple.fr': (550, b'No such user')})
        for effects, failed in [
                ([refused, {}], 1), ([{}, refused], 1),
                ([ConnectionResetError()], 2)]:
            with self.subTest(effects=effects), attempt(), \
                    self.mailbox() as server, \
                    self.assertLogs(reminder_module.logger, 'ERROR'), \
                    patch.object(
                        Transaction, 'new_transaction',
                        lambda self: nullcontext()):
                server.send_message.side_effect = effects
                reminders = self.remind()
                self.assertEqual(len(reminders), 2)
                postman, = [
                    m for m in Transaction()._datamanagers
                    if isinstance(m, reminder_module._Postman)]
                postman.tpc_finish(None)
                Transaction()._datamanagers.remove(postman)
                forget()
                reminders = [r.__class__(r.id) for r in reminders]
                self.assertEqual(
                    sorted((r.channel, bool(r.sent_on), bool(r.email_refused))
                        for r in reminders),
                    [('email', True, False)] * (2 - failed)
                    + [('letter', False, True)] * failed)
                self.assertEqual(server.send_message.call_count,
                    len(effects))

    def test_no_server(self):
        "No server, or one that refuses: a letter, and no crash"
        road = self.road
        party = self.convention.party
        with road.system():
            party.__class__.write([party], {'contact_mechanisms': [
                        ('create', [{
                                    'type': 'email',
                                    'value': 'asso@exemple.fr'}])]})
        for effect in [None, OSError("refusé")]:
            self.server.side_effect = effect
            self.only(self.eco)
            self.move(
                self.eco, road.today - days(1 if effect is None else 2))
            with self.subTest(effect=effect):
                reminder, = self.remind(
                    road.today + days(0 if effect is None else 1))
                self.assertEqual(
                    (reminder.channel, reminder.sent_on),
                    ('letter', None))
        self.assertTrue(self.server.called)

    def test_letter(self):
        "The letters are printed, then marked as sent; nobody rewrites them"
        road = self.road
        self.move(self.eco, road.today - days(1))
        self.move(self.tariff, road.today - days(1))
        reminders = self.remind()
        Report = Pool().get('grant.reminder.letter', type='report')
        ModelData = Pool().get('ir.model.data')
        with road.as_user('claire'):
            extension, data, _, _ = Report.execute(
                [r.id for r in reminders], {
                    'action_id': ModelData.get_id(
                        'pacte_grants', 'report_reminder_odt')})
            self.assertEqual(extension, 'odt')
            with zipfile.ZipFile(BytesIO(data)) as odt:
                content = odt.read('content.xml').decode()
        for words in ["Gobelets", "Tarif réduit", "1 rue du Test",
                "Madame, Monsieur"]:
            self.assertIn(words, content)
        self.assertNotIn('relatorio', content)
        with self.refused(
                CompletenessError, 'condition_reminder_no_pdf'):
            with road.as_user('claire'):
                Report.execute([r.id for r in reminders], {
                        'action_id': ModelData.get_id(
                            'pacte_grants', 'report_reminder')})
        road.press('claire', reminders, 'send_letter')
        for reminder in reminders:
            reminder = reminder.__class__(reminder.id)
            self.assertEqual(
                (reminder.sent_on, reminder.sent_by),
                (road.today, road.users['claire']))
        for login in ['claire', 'marc', 'alice']:
            with self.subTest(user=login):
                with self.forbidden():
                    road.write(login, reminders[0], text="Autre")
                with self.forbidden(), road.as_user(login):
                    reminder.__class__.delete([reminder])

    def test_queries(self):
        "One, fifty or five hundred rows cost the same to read"
        road = self.road
        Condition = self.eco.__class__
        Due = Pool().get('grant.due')
        names = [
            'due_date', 'late_days', 'party', 'what', 'convention',
            'blocks_text', 'reminder_count', 'last_reminder', 'whose_turn']
        convention = road.open_convention(
            road.review(road.create_application()))
        with road.system():
            Condition.create([{
                        'convention': convention.id, 'kind': 'other',
                        'text': f"Action {i}", 'due_date': road.today,
                        } for i in range(500)])
        set_state(convention, 'active')
        self.spread(convention)

        def read(count):
            with road.system():
                ids = [d.id for d in Due.search(
                        [('due_date', '=', road.today)], limit=count)]
                self.assertEqual(len(ids), count)
                Due.read(ids, names)
                forget()
                with count_queries() as queries:
                    Due.read(ids, names)
            return queries.selects

        one = read(1)
        self.assertLessEqual(read(50), one)
        self.assertLessEqual(read(500), one + 1)

        def remind(count):
            with road.system():
                dues = Due.search([('due_date', '=', road.today)],
                    limit=count)
                ids = [d.id for d in dues]
            with attempt(), road.as_user('claire'), \
                    count_queries() as queries:
                Due.remind(Due.browse(ids))
            return queries.selects

        one = remind(1)
        self.assertLessEqual(remind(50), one + 2)

    def spread(self, convention):
        "Give each undertaking of the convention one of its own."
        Convention = convention.__class__
        table = Convention.__table__()
        names = [
            n for n, f in Convention._fields.items()
            if not isinstance(f, fields.Function)
            and f.sql_type() and n not in {'id', 'number'}]
        cursor = Transaction().connection.cursor()
        conditions = Pool().get('grant.condition').__table__()
        for condition in convention.conditions[1:]:
            cursor.execute(*table.insert(
                    [table.number, *(getattr(table, n) for n in names)],
                    table.select(
                        Literal(f'copy-{condition.id}'),
                        *(getattr(table, n) for n in names),
                        where=table.id == convention.id)))
            cursor.execute(*table.select(Max(table.id)))
            id_, = cursor.fetchone()
            cursor.execute(*conditions.update(
                    [conditions.convention], [id_],
                    where=conditions.id == condition.id))
        forget()
