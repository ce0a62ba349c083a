# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Signatures: powers, delays, signed copies, pages that find their convention."
import datetime as dt
from contextlib import contextmanager
from decimal import Decimal
from io import BytesIO

import pypdfium2
import trytond.config as config
from dateutil.relativedelta import relativedelta
from PIL import Image
from trytond.modules.pacte_grants.document import (
    make_reference, read_reference)
from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, FrozenError, ScanError)
from trytond.pool import Pool
from trytond.tools.qrcode import generate_png
from trytond.transaction import Transaction

from .refusal import RefusalCase, forget, message_pattern, set_state
from .test_document import CONVERT, text


@contextmanager
def converter():
    before = config.get('report', 'convert_command')
    config.set('report', 'convert_command', CONVERT)
    try:
        yield
    finally:
        config.set('report', 'convert_command', before)


def page(*references, size=(1240, 1754)):
    "Return the image of a page that bears the codes of the references."
    image = Image.new('L', size, 255)
    for index, reference in enumerate(references):
        code = Image.open(generate_png(reference, box_size=4))
        image.paste(code.convert('L'), (100 + 400 * index, 1500))
    return image


def scan(*pages, format='PDF'):
    "Return the file of the pages."
    output = BytesIO()
    first, *others = pages
    first.save(output, format, save_all=bool(others), append_images=others)
    return output.getvalue()


class SignatureTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        road = cls.road
        cls.ids = []
        deliberation = None
        for kind in ['association', 'commune']:
            application, convention = road.to_agreed(
                party=road.create_party(
                    kind, representative_capacity={
                        'association': "Présidente",
                        'commune': "Maire"}[kind]))
            deliberation = road.schedule(application, deliberation)
            cls.ids.append(convention.id)
        road.hold()
        road.vote(deliberation)
        road.make_executory(deliberation)
        Convention = Pool().get('grant.convention')
        # The PDF of the first alone is made: it takes seconds.
        with converter():
            road.press('claire', Convention(cls.ids[0]), 'issue')
        road.press('claire', Convention(cls.ids[1]), 'issue')

    def get(self, index):
        forget()
        return Pool().get('grant.convention')(self.ids[index])

    @property
    def convention(self):
        return self.get(0)

    @property
    def other(self):
        return self.get(1)

    def seal(self, convention, *args, **kwargs):
        with self.road.as_user('claire'):
            return Pool().get('grant.document').seal_scan(
                convention, *args, **kwargs)

    def wizard(self, name, record=None):
        pool = Pool()
        Wizard = pool.get(name, type='wizard')
        session, start, _ = Wizard.create()
        context = {}
        if record:
            context = {
                'active_model': record.__name__, 'active_id': record.id,
                'active_ids': [record.id]}
        return Wizard, session, start, context

    def run_wizard(self, login, name, values, state, record=None):
        "Run the wizard as the user; return its answer."
        with self.road.as_user(login):
            Wizard, session, start, context = self.wizard(name, record)
            with Transaction().set_context(**context):
                return Wizard.execute(session, {start: values}, state)

    # References

    def test_reference(self):
        reference = make_reference('226200012', 'C2026-0001', 2)
        self.assertTrue(
            reference.startswith('PACTE:226200012:C2026-0001:V2:'))
        for typed in [
                reference, reference.lower(), f' {reference[:9]} '
                f'{reference[9:]}\n']:
            self.assertEqual(read_reference(typed), reference)
        for index, char in enumerate(reference):
            if char.isdigit():
                digit = str((int(char) + 1) % 10)
                wrong = reference[:index] + digit + reference[index + 1:]
                self.assertIsNone(read_reference(wrong), wrong)
        for wrong in ['', None, 'PACTE', 'PACTE:::::', 'https://a.fr/:::',
                reference + '0', 'X' + reference]:
            self.assertIsNone(read_reference(wrong))

    def test_every_page(self):
        "Each page of the issued PDF, as an image, finds the convention"
        Find = Pool().get('grant.document.find', type='wizard')
        document = self.convention.document
        self.assertIn(document.reference, text(document.data))
        images = []
        with pypdfium2.PdfDocument(document.pdf) as pdf:
            for sheet in pdf:
                image = sheet.render(scale=150 / 72).to_pil()
                images.append(image.rotate(2, fillcolor='white'))
        self.assertGreater(len(images), 5)
        # A sheet without code and that of another convention among them
        images.insert(1, page())
        images.append(page(self.other.document.reference))
        with self.road.as_user('lea'):
            rows = Find.find_pages(
                scan(*images, format='TIFF'), 'lot.tiff')
        self.assertEqual([r['page'] for r in rows], [
                i + 1 for i in range(len(images))])
        found = [r['convention'] for r in rows]
        self.assertIsNone(found.pop(1))
        self.assertEqual(
            found, [self.ids[0]] * (len(found) - 1) + [self.ids[1]])
        self.assertTrue(rows[1]['note'])

    def test_find(self):
        def find(login, reference):
            return self.run_wizard(login, 'grant.document.find', {
                    'reference': reference, 'scan': None,
                    'filename': None}, 'find')
        reference = self.other.document.reference
        for typed in [reference, reference.lower(), self.other.number]:
            answer = find('lea', typed)
            action, data = answer['actions'][0]
            self.assertEqual(data['res_id'], [self.ids[1]])
        with self.refused(ScanError, 'document_reference_wrong'):
            find('lea', reference[:-1] + str((int(reference[-1]) + 1) % 10))
        with self.refused(ScanError, 'document_reference_unknown'):
            find('lea', make_reference('226200012', 'C1999-0001', 1))
        with self.refused(CompletenessError, 'document_find_nothing'):
            find('lea', None)

    def test_find_other_company(self):
        "What is not to be seen is not found"
        reference = self.convention.document.reference
        Document = Pool().get('grant.document')
        with self.road.as_user('lea'):
            self.assertTrue(Document.find_references([reference]))
        self.road.create_user(
            'ailleurs', ['group_reader'], companies=None, company=None,
            employees=None, employee=None)
        with self.road.as_user('ailleurs'):
            self.assertFalse(Document.find_references([reference]))

    def test_unreadable(self):
        for data in [b'', b'text', b'%PDF-1.7 broken', b'\x89PNG\r\n']:
            with self.subTest(data=data):
                with self.refused(
                        ScanError, 'document_scan_unreadable', 'x.pdf'):
                    self.seal(self.convention, data, 'x.pdf')

    # Signed copies

    def test_signed_copy(self):
        convention = self.convention
        issued = convention.document
        data = scan(page(issued.reference), page())
        document = self.seal(convention, data, 'signe.pdf')
        document = self.road.fresh(document)
        self.assertEqual(
            (document.kind, document.signs, document.filename,
                bytes(document.data)),
            ('signed', issued, 'signe.pdf', data))
        self.assertIn("1", document.note)
        self.assertTrue(document.intact)
        self.assertEqual(self.convention.document, issued)
        for values in [{'data': b'x'}, {'note': "x"}, {'signs': None}]:
            with self.refused(FrozenError, 'document_sealed'), \
                    self.road.system():
                document.__class__.write([document], values)
        with self.refused(FrozenError, 'document_sealed'), \
                self.road.system():
            document.__class__.delete([document])
        # Another copy, from the Département's side
        second = self.seal(convention, scan(page()), 'autre.pdf')
        self.assertEqual(self.road.fresh(second).version, 2)
        self.assertTrue(self.road.fresh(second).note)
        full = self.seal(
            convention, scan(page(issued.reference)), 'entier.pdf')
        self.assertIsNone(self.road.fresh(full).note)

    def test_other_convention(self):
        reference = self.other.document.reference
        data = scan(page(self.convention.document.reference),
            page(reference))
        for kind in ['signed', 'scan']:
            with self.refused(
                    ScanError, 'document_scan_other', reference, "page 2",
                    self.convention.rec_name):
                self.seal(self.convention, data, 'x.pdf', kind=kind)
        unknown = make_reference('226200012', 'C1999-0001', 1)
        with self.refused(ScanError, 'document_scan_other', unknown):
            self.seal(self.convention, scan(page(unknown)), 'x.pdf')
        self.assertFalse([
                d for d in self.convention.documents if d.kind == 'signed'])
        # A code of somebody else is not ours
        self.seal(
            self.convention, scan(page("https://www.pasdecalais.fr")),
            'x.pdf')

    def test_recalled_text(self):
        road = self.road
        first = self.other.document.reference
        road.write('claire', self.other, ending_reason="Erreur.")
        road.press('claire', self.other, 'recall')
        with self.refused(ScanError, 'document_scan_superseded', first):
            self.seal(self.other, scan(page(first)), 'x.pdf')
        with self.refused(ScanError, 'document_scan_state'):
            self.seal(self.other, scan(page()), 'x.pdf')
        road.press('claire', self.other, 'issue')
        second = self.other.document.reference
        self.assertNotEqual(first, second)
        with self.refused(
                ScanError, 'document_scan_superseded', first, second):
            self.seal(self.other, scan(page(first)), 'x.pdf')
        self.seal(self.other, scan(page(first)), 'x.pdf', kind='scan')
        self.seal(self.other, scan(page(second)), 'x.pdf')
        self.assertEqual(self.other.document.reference, second)

    def test_wizard(self):
        road = self.road
        today = road.today
        values = {
            'convention': self.ids[0], 'partner_signed': False,
            'department_signed': False, 'kind': 'signed',
            'partner_date': today, 'department_date': None,
            'scan': scan(page(self.convention.document.reference)),
            'filename': 'signe.pdf'}
        self.run_wizard(
            'claire', 'grant.convention.sign', values, 'record_',
            self.convention)
        convention = self.convention
        self.assertEqual(convention.signed_partner_on, today)
        self.assertIn('signed', [d.kind for d in convention.documents])
        # The wizard gives nobody the rights of others
        values.update(
            department_date=today, partner_signed=True, scan=None)
        with self.forbidden():
            self.run_wizard(
                'claire', 'grant.convention.sign', values, 'record_',
                self.convention)
        self.run_wizard(
            'marc', 'grant.convention.sign', values, 'record_',
            self.convention)
        self.assertEqual(self.convention.signed_department_on, today)
        values['scan'] = scan(page(self.other.document.reference))
        with self.refused(ScanError, 'document_scan_other'):
            self.run_wizard(
                'claire', 'grant.convention.sign', values, 'record_',
                self.convention)

    # Powers

    def test_powers(self):
        Power = Pool().get('grant.power')
        today = self.road.today
        for kind, capacity, expected in [
                ('association', "Présidente", None),
                ('association', "président de l’association", None),
                ('association', "PRESIDENT", None),
                ('association', "Trésorier", 'board'),
                ('association', "Vice-président", 'board'),
                ('association', None, 'board'),
                ('commune', "Maire", 'deliberation'),
                ('epci', "Président", 'deliberation'),
                ('college', "Principale", 'deliberation'),
                ('company', "Gérante", None),
                ('company', "Directeur commercial", 'mandate'),
                ('individual', None, None),
                ]:
            with self.subTest(kind=kind, capacity=capacity):
                power = Power.find(kind, capacity, today)
                self.assertEqual(power.kind if power else None, expected)
        self.assertIsNone(
            Power.find('commune', "Maire", dt.date(2000, 1, 1)))

    def sign(self, index=1):
        self.road.press('claire', self.get(index), 'sign_partner')
        self.road.press('marc', self.get(index), 'sign_department')

    def test_without_power(self):
        "The signature is recorded; what comes next waits for a person"
        road = self.road
        self.assertTrue(self.other.power_note)
        self.sign()
        self.assertState(self.other, 'signed')
        self.assertIn("L. 2121-29", self.other.signature_anomaly)
        with self.refused(
                CompletenessError, 'signature_anomaly', self.other.rec_name):
            road.press('claire', self.other, 'notify')
        # The power that comes later does not do without the person
        road.write(
            'claire', self.other, signatory_power="Délibération n° 12",
            signatory_power_date=road.today)
        with self.refused(CompletenessError, 'signature_anomaly'):
            road.press('claire', self.other, 'notify')
        with self.forbidden():
            road.press('claire', self.other, 'regularise_signature')
        with self.refused(CompletenessError, 'signature_reason'):
            road.press('marc', self.other, 'regularise_signature')
        road.write(
            'claire', self.other, signature_reason="Délibération reçue.")
        road.press('marc', self.other, 'regularise_signature')
        override, = Pool().get('grant.override').search([
                ('record', '=', str(self.other))])
        self.assertEqual(
            (override.user, override.rule, override.reason),
            (road.users['marc'], 'signatory', "Délibération reçue."))
        with self.refused(Exception):
            road.press('marc', self.other, 'regularise_signature')
        road.press('claire', self.other, 'notify')
        self.assertState(self.other, 'active')

    def test_power_too_late(self):
        road = self.road
        road.write(
            'claire', self.other, signatory_power="Délibération n° 12",
            signatory_power_date=road.today + dt.timedelta(days=5))
        self.sign()
        self.assertTrue(self.other.signature_anomaly)
        road.press('claire', self.other, 'unsign_partner')
        self.assertIsNone(self.other.signature_anomaly)
        road.write(
            'claire', self.other, signatory_power_date=road.today)
        road.press('claire', self.other, 'sign_partner')
        self.assertIsNone(self.other.signature_anomaly)
        road.press('claire', self.other, 'notify')

    def test_president(self):
        self.sign(0)
        self.assertIsNone(self.convention.signature_anomaly)

    def test_anomaly_not_written(self):
        self.sign()
        for name, value in [
                ('signature_anomaly', None),
                ('signature_regularised_by', self.road.users['marc'].id),
                ('signature_reminded_on', self.road.today)]:
            for user in ['claire', 'marc', 'alice']:
                with self.subTest(name=name, user=user):
                    with self.refused(Exception):
                        self.road.write(user, self.other, **{name: value})

    # Delays

    def age(self, issued, reminded=None):
        "Say that the text was issued, and the partner reminded, days ago."
        convention = self.convention
        table = convention.__table__()
        today = self.road.today
        Transaction().connection.cursor().execute(*table.update(
                [table.issued_on, table.signature_reminded_on], [
                    today - dt.timedelta(days=issued),
                    None if reminded is None
                    else today - dt.timedelta(days=reminded)],
                where=table.id == convention.id))
        convention._local_cache.clear()
        return self.convention

    def test_delays(self):
        Convention = Pool().get('grant.convention')
        for issued, reminded, expected in [
                (0, None, 'waiting'), (29, None, 'waiting'),
                (30, None, 'remind'), (45, 5, 'waiting'),
                (70, None, 'remind'), (70, 5, 'waiting'),
                (70, 15, 'lapse'), (50, 20, 'waiting'),
                (58, 31, 'remind'), (200, 100, 'lapse')]:
            with self.subTest(issued=issued, reminded=reminded):
                convention = self.age(issued, reminded)
                self.assertEqual(convention.signature_status, expected)
                for status in ['waiting', 'remind', 'lapse', None]:
                    for operator in ['=', '!=']:
                        found = Convention.search([
                                ('signature_status', operator, status),
                                ('id', '=', convention.id)])
                        self.assertEqual(
                            bool(found),
                            (status == expected) == (operator == '='))
        self.sign(0)
        self.assertIsNone(self.convention.signature_status)

    def test_remind(self):
        road = self.road
        self.age(40)
        road.press('claire', self.convention, 'remind_signature')
        self.assertEqual(
            self.convention.signature_reminded_on, road.today)
        self.assertEqual(self.convention.signature_status, 'waiting')
        road.write('claire', self.convention, ending_reason="Erreur.")
        road.press('claire', self.convention, 'recall')
        self.assertIsNone(self.convention.signature_reminded_on)

    def test_lapse_too_early(self):
        "Two months to sign, a reminder, its answer; nothing once signed"
        road = self.road
        road.press('claire', self.convention, 'open_lapse')
        procedure, = Pool().get('grant.procedure').search([
                ('convention', '=', self.convention.id)])
        for issued, reminded, message in [
                (40, 20, 'signature_lapse_delay'),
                (80, None, 'signature_lapse_no_reminder'),
                (80, 5, 'signature_lapse_reminder')]:
            with self.subTest(message):
                self.age(issued, reminded)
                with self.refused(CompletenessError) as raised:
                    road.press('claire', procedure, 'notify')
                self.assertRegex(
                    str(raised.exception.message), message_pattern(message))
        self.age(80, 20)
        road.press('claire', procedure, 'notify')
        # The signature comes in while the partner is heard
        self.sign(0)
        road.write(
            'claire', procedure, observations="La convention est signée.",
            observations_on=road.today)
        road.press('claire', procedure, 'hear')
        road.write(
            'marc', procedure, outcome='upheld', decision="Trop tard.")
        with self.refused(CompletenessError, 'signature_no_lapse'):
            road.press('marc', procedure, 'decide')
        self.assertState(self.convention, 'signed')

    def test_reminder_counts(self):
        "What is written to the partner is the reminder, once it has left"
        pool = Pool()
        road, convention = self.road, self.age(80)
        due, = pool.get('grant.due').search([
                ('convention', '=', convention.id),
                ('kind', '=', 'signature')])
        road.press('claire', due, 'remind')
        self.assertIsNone(self.convention.signature_reminded_on)
        reminder, = pool.get('grant.reminder').search([
                ('record', '=', str(convention))])
        self.assertEqual(reminder.channel, 'letter')
        road.press('claire', reminder, 'send_letter')
        self.assertEqual(self.convention.signature_reminded_on, road.today)

    def test_publish_before(self):
        "Three months from the last signature, for large grants (L10)"
        road = self.road
        _, large = road.to_agreed(amount=Decimal(25000))
        for convention, expected in [
                (self.convention, None),
                (large, road.today + relativedelta(months=3))]:
            convention = set_state(
                convention, 'signed', signed_partner_on=road.today
                - dt.timedelta(days=9), signed_department_on=road.today)
            self.assertIsNone(convention.publish_before)
            convention = set_state(
                convention, 'active', notified_on=road.today)
            self.assertEqual(convention.publish_before, expected)

    def test_lapse(self):
        "The person who lets it lapse has a sealed letter"
        road = self.road
        self.age(80, 20)
        with self.forbidden():
            road.press('claire', self.convention, 'lapse')
        road.press('claire', self.convention, 'open_lapse')
        procedure, = Pool().get('grant.procedure').search([
                ('convention', '=', self.convention.id)])
        road.press('claire', procedure, 'notify')
        road.write(
            'claire', procedure, observations="Sans observation.",
            observations_on=road.today)
        road.press('claire', procedure, 'hear')
        road.write(
            'marc', procedure, outcome='upheld',
            decision="Aucune réponse à notre relance.")
        road.press('marc', procedure, 'decide')
        convention = self.convention
        letter, = [d for d in convention.documents if d.kind == 'lapse']
        self.assertTrue(letter.intact)
        self.assertIn(':C1:', letter.reference)
        content = text(letter.data)
        # What only the administration reads stays out of it.
        self.assertNotIn(procedure.number, content)
        for expected in [
                "caducité", "Aucune réponse à notre relance.", "deux mois",
                convention.number, letter.reference, "10 000,00"]:
            self.assertIn(
                expected, content.replace('\u202f', ' '))
        self.assertEqual(convention.amount, Decimal(10000))
        self.assertNotIn("None", content)
