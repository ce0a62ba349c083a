# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Batches: what goes to the payer, sealed, and what comes back."
import csv
import datetime as dt
import hashlib
from contextlib import contextmanager
from decimal import Decimal
from io import StringIO

from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.company.tests import create_company
from trytond.modules.pacte_grants.batch import COLUMNS
from trytond.modules.pacte_grants.exceptions import (
    BlockedError, CompletenessError, DutyError, FrozenError, ReturnError,
    TransitionError)
from trytond.pool import Pool
from trytond.pyson import PYSONDecoder
from trytond.transaction import Transaction

from .refusal import RefusalCase, attempt, forget, set_state
from .road import IBANS
from .tools import count_queries

HEADINGS = [
    'batch_id', 'line_no', 'status', 'reason', 'engagement_no', 'mandat_no',
    'bordereau_no', 'mandat_date', 'paid_on', 'paid_amount']


def answers(*rows, total=None, count=None, separator=';'):
    "Return the file of a payer (bytes): dictionaries by column."
    output = StringIO()
    writer = csv.DictWriter(
        output, HEADINGS, restval='', delimiter=separator,
        lineterminator='\r\n')
    writer.writeheader()
    amount = Decimal(0)
    for row in rows:
        writer.writerow(row)
        if row.get('paid_amount'):
            amount += Decimal(row['paid_amount'].replace(',', '.'))
    text = output.getvalue()
    total = f'{amount:.2f}'.replace('.', ',') if total is None else total
    text += f'TOTAL;{len(rows) if count is None else count};;;;;;;;{total}\r\n'
    return text.encode('utf-8')


class BatchCase(RefusalCase):
    "Advances of 1 000 € that wait for the payer."
    count = 3

    @classmethod
    def prepare(cls):
        road = cls.road
        road.use_batches()
        cls.ids = cls.active_advances(cls.count)

    @classmethod
    def active_advances(cls, count):
        "Return the ids of advances of new conventions, all voted together."
        road = cls.road
        parties = [road.create_party() for _ in range(min(count, 5))]
        conventions = road.activate_together([
                road.create_application(
                    party=parties[i % len(parties)], amount=Decimal(2000))
                for i in range(count)])
        forget()
        return [i.id for i in Pool().get('grant.instalment').search([
                    ('convention', 'in', [c.id for c in conventions]),
                    ('kind', '=', 'advance')], order=[('id', 'ASC')])]

    @property
    def advances(self):
        forget()
        return Pool().get('grant.instalment').browse(self.ids)

    def approve(self):
        self.road.press('claire', self.advances, 'certify')
        self.road.press('paul', self.advances, 'approve')

    def prepare_batch(self, instalments):
        with self.road.as_user('nadia'):
            groups = Pool().get('account.payment.group').prepare(instalments)
        return groups[0].__class__.browse([g.id for g in groups])

    def transmit(self):
        "Approve and transmit everything; return the batch."
        self.approve()
        self.road.press('nadia', self.advances, 'process')
        forget()
        return Pool().get('account.payment.group').search([
                ('state', '=', 'transmitted')],
            order=[('id', 'DESC')], limit=1)[0]

    def import_(self, data, login='nadia'):
        with self.road.as_user(login), Transaction().set_context(
                _check_access=False):
            return_ = Pool().get('grant.return').import_file(
                'retour.csv', data)
        forget()
        return return_.__class__(return_.id)

    def examine(self, data, login='nadia'):
        Return = Pool().get('grant.return')
        with self.road.as_user(login), Transaction().set_context(
                _check_access=False):
            return [
                v.verdict for v in Return.examine(Return.read_file(data))]

    def enter(self, line, login='nadia', **values):
        "Enter by hand what the payer answers to the line."
        Enter = Pool().get('grant.return.enter', type='wizard')
        with self.road.as_user(login), Transaction().set_context(
                active_model='grant.batch.line', active_id=line.id,
                active_ids=[line.id]):
            session_id, start, _ = Enter.create()
            Enter.execute(session_id, {}, start)
            Enter.execute(
                session_id, {'start': {'line': line.id} | values}, 'enter')
        forget()

    def split(self, instalment):
        "Charge 333,33 € and 666,67 € of the certified instalment apart."
        parts = [{
                'chapter': i.chapter.id, 'nature': i.nature.id,
                'function': i.function.id, 'amount': amount}
            for i in instalment.imputations
            for amount in [Decimal('333.33'), Decimal('666.67')]]
        with self.road.as_user('paul'):
            instalment.__class__.split_into(instalment, parts)

    def paid(self, batch, number, **values):
        return {
            'batch_id': batch.number, 'line_no': number, 'status': 'payé',
            'mandat_no': f'M{number}', 'bordereau_no': 'B1',
            'paid_on': self.road.today.strftime('%d/%m/%Y'),
            'paid_amount': '1000,00'} | values

    def rejected(self, batch, number, reason):
        return {
            'batch_id': batch.number, 'line_no': number,
            'status': 'rejeté', 'reason': reason}

    def read_batch(self, batch):
        "Return the rows and the trailer of the sealed file."
        File = Pool().get('grant.batch.file')
        file, = File.search([('group', '=', batch.id)])
        rows = list(csv.DictReader(
                StringIO(bytes(file.data).decode('utf-8')), delimiter=';'))
        return rows[:-1], rows[-1]


class FileTestCase(BatchCase):
    "The file that the finance package reads"

    def test_file(self):
        batch = self.transmit()
        self.assertRegex(batch.number, rf'^L{self.road.year}-\d{{4}}$')
        self.assertEqual(batch.state, 'transmitted')
        rows, trailer = self.read_batch(batch)
        self.assertEqual(list(rows[0]), COLUMNS)
        self.assertEqual([r['line_no'] for r in rows], ['1', '2', '3'])
        row = rows[0]
        advance = self.advances[0]
        self.assertEqual(row['batch_id'], batch.number)
        self.assertEqual(row['amount'], '1000,00')
        self.assertEqual(row['iban'], IBANS[0])
        self.assertEqual(row['siret'], advance.party.siret)
        self.assertEqual(row['budget_code'], '01')
        self.assertEqual(
            (row['chapter'], row['nature'], row['function']),
            ('65', '65748', '311'))
        self.assertEqual(row['convention_ref'], advance.convention.number)
        self.assertEqual(row['payment_type'], 'avance')
        self.assertEqual(row['service_fait_by'], 'Claire')
        self.assertEqual(row['decision_ref'], '2026-CP-001')
        self.assertLessEqual(len(row['label']), 64)
        self.assertEqual(
            len(row['pj_list'].split(' | ')),
            len(row['pj_sha256'].split(' | ')))
        self.assertRegex(row['pj_sha256'].split(' | ')[0], r'^[0-9a-f]{64}$')
        self.assertEqual(
            (trailer['batch_id'], trailer['line_no'], trailer['amount']),
            ('TOTAL', '3', '3000,00'))
        file, = Pool().get('grant.batch.file').search(
            [('group', '=', batch.id)])
        self.assertEqual(
            batch.file_sha256, hashlib.sha256(file.data).hexdigest())
        self.assertEqual(batch.file_total, 3000)
        for advance in self.advances:
            self.assertEqual(advance.state, 'paying')

    def test_split(self):
        "A payment on two imputations has two lines"
        road = self.road
        road.press('claire', self.advances, 'certify')
        self.split(self.advances[0])
        road.press('paul', self.advances, 'approve')
        road.press('nadia', self.advances, 'process')
        batch = self.advances[0].payment.group
        rows, trailer = self.read_batch(batch)
        self.assertEqual(
            [r['amount'] for r in rows],
            ['333,33', '666,67', '1000,00', '1000,00'])
        self.assertEqual(trailer['amount'], '3000,00')
        # Half of a payment pays nothing
        self.import_(answers(self.paid(batch, 1, paid_amount='333,33')))
        self.assertEqual(self.advances[0].state, 'paying')
        self.import_(answers(self.paid(batch, 2, paid_amount='666,67')))
        self.assertEqual(self.advances[0].state, 'paid')

    def test_sealed(self):
        "Nothing of a transmitted batch changes, whoever asks"
        batch = self.transmit()
        pool = Pool()
        file, = pool.get('grant.batch.file').search(
            [('group', '=', batch.id)])
        with self.refused(AccessError):
            file.__class__.write([file], {'data': b'x'})
        with self.refused(AccessError):
            file.__class__.delete([file])
        with self.refused(FrozenError, 'batch_sealed', batch.number):
            batch.lines[0].__class__.write(
                [batch.lines[0]], {'amount': Decimal(1)})
        with self.refused(FrozenError, 'batch_sealed', batch.number):
            batch.process_pre_settlement()
        with self.refused(TransitionError):
            self.road.press('nadia', batch, 'transmit')
        with self.refused(TransitionError):
            self.road.press('nadia', batch, 'dissolve')

    def test_bank_numbers(self):
        "Only finance opens the file, and the journal says who"
        batch = self.transmit()
        Download = Pool().get('grant.batch.download', type='wizard')
        File = Pool().get('grant.batch.file')
        for login in ['paul', 'alice', 'claire', 'lea']:
            with self.forbidden(), self.road.as_user(login):
                File.search([('group', '=', batch.id)])
                File.read([1], ['data'])
        Event = Pool().get('grant.event')

        def open_(login):
            with self.road.as_user(login), Transaction().set_context(
                    active_model='account.payment.group',
                    active_id=batch.id, active_ids=[batch.id]):
                session_id, start, _ = Download.create()
                return Download.execute(session_id, {}, start)

        for login in ['claire', 'alice', 'sophie']:
            with self.forbidden():
                open_(login)
        result = open_('nadia')
        values = result['view'].get('value') or result['view']['defaults']
        self.assertTrue(values['intact'])
        event, = Event.search([('name', '=', 'download')])
        self.assertEqual(event.user.login, 'nadia')

    def test_two_steps(self):
        "A batch in preparation can be given up or transmitted"
        self.approve()
        batch, = self.prepare_batch(self.advances)
        Group = batch.__class__
        self.assertEqual(batch.state, 'preparation')
        self.assertEqual(batch.line_count, 3)
        self.assertEqual(
            [a.state for a in self.advances], ['approved'] * 3)
        with self.refused(CompletenessError, 'batch_already', batch.number):
            self.prepare_batch(self.advances[:1])
        self.road.press('nadia', batch, 'dissolve')
        self.assertFalse(Group.search([('id', '=', batch.id)]))
        batch, = self.prepare_batch(self.advances)
        # What is sent back leaves the batch
        self.road.write(
            'paul', self.advances[0], send_back_reason="Trop tôt")
        self.road.press('paul', self.advances[0], 'send_back')
        self.assertEqual(Group(batch.id).line_count, 2)
        self.road.press('nadia', Group(batch.id), 'transmit')
        self.assertEqual(
            [a.state for a in self.advances],
            ['certified', 'paying', 'paying'])

    def test_urgent(self):
        "Two urgent payments and an ordinary one: three batches of one line"
        with self.road.as_user('marc'):
            self.advances[0].__class__.mark_urgent(
                self.advances[:2], "Salaires")
        self.approve()
        with attempt():
            batches = self.prepare_batch(self.advances)
            self.assertEqual(
                sorted([li.instalment.id for li in b.lines]
                    for b in batches), [[id_] for id_ in self.ids])
        self.road.press('nadia', self.advances, 'process')
        batches = {a.payment.group for a in self.advances}
        self.assertEqual(len(batches), 3)
        for batch in batches:
            self.assertEqual(batch.state, 'transmitted')
            rows, trailer = self.read_batch(batch)
            self.assertEqual(
                (len(rows), trailer['amount']), (1, '1000,00'))

    def test_unapproved(self):
        "No batch takes what was not approved"
        self.road.press('claire', self.advances, 'certify')
        Group = Pool().get('account.payment.group')
        with self.refused(CompletenessError, 'batch_not_approved'):
            self.prepare_batch(self.advances)
        with self.refused(UserError):
            self.road.press('nadia', self.advances, 'process')
        with self.refused(TransitionError, 'payment_order'):
            Pool().get('account.payment').process(
                [a.payment for a in self.advances],
                lambda: Group.prepare([]))
        with self.refused(FrozenError):
            with self.road.as_user('paul'):
                Group.create([{
                            'company': self.road.company.id,
                            'journal': self.advances[0].payment.journal.id,
                            'kind': 'payable'}])

    def test_blocked_since(self):
        "What is missing again holds the batch, line by line, all or nothing"
        self.approve()
        Group = Pool().get('account.payment.group')
        batch, = self.prepare_batch(self.advances)
        link = self.advances[1].bank_account
        self.road.press('nadia', link, 'unverify')
        with self.refused(
                BlockedError, 'instalment_blocked',
                self.advances[1].rec_name):
            self.road.press('nadia', Group(batch.id), 'transmit')
        self.assertEqual(
            [a.state for a in self.advances], ['approved'] * 3)
        self.assertEqual(Group(batch.id).state, 'preparation')

    def test_wizard(self):
        "The preview says what becomes of each line"
        self.approve()
        link = self.advances[1].bank_account
        self.road.press('nadia', link, 'unverify')
        pool = Pool()
        Prepare = pool.get('grant.batch.prepare', type='wizard')
        with self.road.as_user('nadia'), Transaction().set_context(
                active_model=None, active_id=None, active_ids=None):
            session_id, start, _ = Prepare.create()
            Prepare.execute(session_id, {}, start)
            data = {'start': {
                    'envelope': None, 'pay_before': None,
                    'leave_out': True}}
            view = Prepare.execute(session_id, data, 'preview')['view']
            values = view.get('value') or view['defaults']
            self.assertEqual((values['count'], values['amount']), (2, 2000))
            self.assertEqual(
                sorted(line['accepted'] for line in values['lines']),
                [False, True, True])
            with attempt(), self.assertRaises(BlockedError):
                data['start']['leave_out'] = False
                Prepare.execute(session_id, data, 'open_')
            data['start']['leave_out'] = True
            Prepare.execute(session_id, data, 'open_')
        self.assertEqual(
            [bool(a.batch) for a in self.advances], [True, False, True])


class ReturnTestCase(BatchCase):
    "What the payer answers"

    def test_life(self):
        "Received, committed, ordered, paid: each with its date"
        batch = self.transmit()
        base = {'batch_id': batch.number, 'line_no': 1}
        self.import_(answers({**base, 'status': 'reçu'}))
        self.assertEqual(self.advances[0].return_status, 'received')
        self.import_(answers({
                    **base, 'status': 'engagé', 'engagement_no': 'E9'}))
        self.import_(answers({
                    **base, 'status': 'mandaté', 'mandat_no': '4711',
                    'bordereau_no': '12',
                    'mandat_date': self.road.today.isoformat()}))
        advance = self.advances[0]
        self.assertEqual(
            (advance.return_status, advance.order_number, advance.bordereau,
                advance.ordered_on),
            ('ordered', '4711', '12', self.road.today))
        self.import_(answers({
                    **base, 'status': 'suspendu', 'reason': "À vérifier"}))
        self.assertEqual(self.advances[0].return_status, 'suspended')
        self.import_(answers(self.paid(batch, 1, mandat_no='4711')))
        advance = self.advances[0]
        self.assertEqual(
            (advance.state, advance.return_status, advance.paid_on),
            ('paid', 'paid', self.road.today))
        self.assertEqual(
            [a.status for a in batch.lines[0].answers],
            ['received', 'committed', 'ordered', 'suspended', 'paid'])
        # An older answer that comes late changes nothing
        data = answers({
                **base, 'line_no': 2, 'status': 'mandaté',
                'mandat_no': '1'})
        self.import_(data)
        self.assertEqual(
            self.examine(answers(
                    {**base, 'line_no': 2, 'status': 'reçu'})),
            ['mismatch'])

    def test_idempotent(self):
        batch = self.transmit()
        data = answers(self.paid(batch, 1), self.paid(batch, 2))
        self.import_(data)
        self.assertEqual(self.examine(data), ['known', 'known'])
        return_ = self.import_(data)
        self.assertFalse(return_.lines)
        self.assertEqual(len(self.advances[0].payments), 1)
        self.assertEqual(
            self.examine(answers(self.paid(batch, 1, mandat_no='autre'))),
            ['mismatch'])

    def test_dry_run(self):
        "Matched, unknown, differing: told before anything changes"
        batch = self.transmit()
        tomorrow = self.road.today + dt.timedelta(days=1)
        data = answers(
            self.paid(batch, 1),
            self.paid(batch, 9),
            self.paid(batch, 2, paid_amount='999,99'),
            self.paid(batch, 3, paid_on=tomorrow.isoformat()))
        self.assertEqual(
            self.examine(data),
            ['applied', 'unknown', 'mismatch', 'mismatch'])
        self.assertEqual([a.state for a in self.advances], ['paying'] * 3)
        return_ = self.import_(data)
        self.assertEqual(
            [a.state for a in self.advances], ['paid', 'paying', 'paying'])
        self.assertEqual(return_.anomaly_count, 3)
        self.assertEqual(len(return_.lines), 4)
        self.assertIn('999,99', return_.lines[2].raw)
        forget()
        batch = batch.__class__(batch.id)
        self.assertEqual(batch.anomaly_count, 2)
        self.assertEqual((batch.paid, batch.received), (0.333, 0.333))

    def test_malformed(self):
        "A malformed file is refused whole, with line and column"
        batch = self.transmit()
        good = self.paid(batch, 1)
        for data, words in [
                (answers(good, self.paid(batch, 2, paid_on='')),
                    ['3', 'paid_on']),
                (answers(good, self.paid(batch, 2, status='parti')),
                    ['3', 'status', 'parti', 'engagé, mandaté']),
                (answers(good, self.paid(batch, 2, line_no='x')),
                    ['3', 'line_no']),
                (answers(good, self.paid(batch, 2, mandat_date='32/1/2026')),
                    ['3', 'mandat_date']),
                (answers(good, self.rejected(batch, 2, '')),
                    ['3', 'reason']),
                (answers(good, count=2), ['TOTAL']),
                (answers(good, total='1,00'), ['TOTAL']),
                (answers(good).rsplit(b'TOTAL', 1)[0], ['TOTAL']),
                (b'\x00\x01', []),
                ]:
            with self.subTest(words=words):
                with self.refused(ReturnError, None, *words):
                    self.import_(data)
                self.assertEqual(self.advances[0].state, 'paying')

    def test_encodings(self):
        batch = self.transmit()
        data = answers(self.paid(batch, 1)).decode()
        for encoded in [
                data.encode('utf-8-sig'), data.encode('cp1252'),
                data.encode('utf-16')]:
            self.assertEqual(self.examine(encoded), ['applied'])

    def test_rejections(self):
        "Each cause goes to its desk, is corrected and sent again, once"
        road = self.road
        batch = self.transmit()
        self.import_(answers(
                self.rejected(batch, 1, "RIB invalide"),
                self.rejected(batch, 2, "Pièce justificative manquante"),
                self.rejected(batch, 3, "Délibération non exécutoire")))
        self.assertEqual(
            [(a.state, a.return_status, a.whose_turn, a.to_correct)
                for a in self.advances], [
                ('certified', 'rejected', 'finance', True),
                ('certified', 'rejected', 'officer', True),
                ('certified', 'rejected', 'assembly', True),
                ])
        self.assertEqual(
            batch.__class__(batch.id).state, 'closed')
        with self.refused(BlockedError, 'instalment_blocked'):
            road.press('paul', self.advances, 'approve')
        with self.refused(CompletenessError, 'correct_what'):
            road.press('claire', self.advances[1], 'correct')
        with self.refused(DutyError, 'correct_desk'):
            road.press('paul', self.advances[1], 'correct')
        for login, advance in zip(
                ['paul', 'claire', 'sophie'], self.advances, strict=True):
            with road.system():
                advance.__class__.write(
                    [advance], {'correction': "Corrigé"})
            road.press(login, advance, 'correct')
        road.press('paul', self.advances, 'approve')
        road.press('nadia', self.advances, 'process')
        for advance in self.advances:
            self.assertEqual(
                [p.state for p in advance.payments],
                ['failed', 'processing'])
            self.assertIsNone(advance.return_status)
        second = self.advances[0].payment.group
        self.assertNotEqual(second.id, batch.id)
        # The old line says nothing more
        self.assertEqual(
            self.examine(answers(self.paid(batch, 1))), ['mismatch'])
        self.import_(answers(*[
                    self.paid(second, n) for n in [1, 2, 3]]))
        self.assertEqual([a.state for a in self.advances], ['paid'] * 3)
        self.assertEqual(self.advances[0].envelope.paid, 3000)
        self.assertEqual(second.__class__(second.id).state, 'closed')

    def test_bank_return(self):
        "The bank sends back what was paid"
        batch = self.transmit()
        self.import_(answers(self.paid(batch, 1)))
        self.import_(answers(self.rejected(batch, 1, "Compte clos")))
        advance = self.advances[0]
        self.assertEqual(
            (advance.state, advance.return_status, advance.paid_on),
            ('certified', 'returned', None))
        self.assertEqual(advance.whose_turn, 'finance')
        self.assertEqual(advance.envelope.paid, 0)

    def test_by_hand(self):
        batch = self.transmit()
        values = {'status': 'paid', 'paid_on': self.road.today}
        self.enter(batch.lines[0], **values)
        with attempt(), self.assertRaises(ReturnError):
            self.enter(batch.lines[0], **values)
        self.assertEqual(self.advances[0].state, 'paid')

    def test_answers_kept(self):
        batch = self.transmit()
        return_ = self.import_(answers(self.paid(batch, 1)))
        for record in [return_, return_.lines[0]]:
            with self.refused(AccessError):
                record.__class__.delete([record])
            with self.refused(AccessError):
                record.__class__.write([record], {'company': None} if (
                        record is return_) else {'raw': 'x'})
        with self.forbidden(), self.road.as_user('nadia'):
            return_.__class__.create([{'name': 'x'}])

    def test_unanswered(self):
        batch = self.transmit()
        Group = Pool().get('account.payment.group')
        self.assertFalse(Group.search([('unanswered', '=', True)]))
        old = dt.datetime.now() - dt.timedelta(days=6)
        set_state(batch, 'transmitted', transmitted_on=old)
        self.assertEqual(
            Group.search([('unanswered', '=', True)]), [batch])
        self.assertTrue(Group(batch.id).unanswered)
        self.import_(answers({
                    'batch_id': batch.number, 'line_no': 1,
                    'status': 'reçu'}))
        self.assertFalse(Group.search([('unanswered', '=', True)]))


def get_tab(name):
    "Return the domain of the tab, which shows its count."
    pool = Pool()
    tab = pool.get('ir.action.act_window.domain')(
        pool.get('ir.model.data').get_id('pacte_grants', name))
    assert tab.count
    return PYSONDecoder().decode(tab.domain)


class TabTestCase(BatchCase):
    "What the tabs of the payments list"

    def count_tab(self, name, login='nadia'):
        "Return what the tab lists, and check that it counts as much."
        Instalment = Pool().get('grant.instalment')
        domain = get_tab(name)
        forget()
        with self.road.as_user(login):
            found = Instalment.search(domain, order=[('id', 'ASC')])
            self.assertEqual(
                Instalment.search(domain, count=True), len(found))
        return [i.id for i in found]

    def test_suspended_by_the_payer(self):
        "It is with the rejections until the payer goes on"
        tab = 'act_instalment_form_domain_rejected'
        batch = self.transmit()
        self.assertEqual(self.count_tab(tab), [])
        line = {'batch_id': batch.number, 'line_no': 1}
        left = self.advances[0].days_left
        self.import_(answers(
                line | {'status': 'suspendu', 'reason': "Facture absente"},
                self.rejected(batch, 2, "RIB invalide")))
        self.assertEqual(self.count_tab(tab), self.ids[:2])
        # Article 2 of décret 2013-269 is of orders, not of grants: 60 days
        self.assertEqual(
            (self.advances[0].days_left, self.advances[0].held_days),
            (left, 0))
        self.import_(answers(
                line | {'status': 'mandaté', 'mandat_no': '4711'}))
        self.assertEqual(self.count_tab(tab), self.ids[1:2])
        self.import_(answers(self.paid(batch, 1)))
        self.assertEqual(self.count_tab(tab), self.ids[1:2])

    def test_ready(self):
        "What waits in a batch is not ready for another"
        self.approve()
        tab = 'act_instalment_form_domain_approved'
        self.assertEqual(self.count_tab(tab), self.ids)
        self.prepare_batch(self.advances[:1])
        self.assertEqual(self.count_tab(tab), self.ids[1:])
        Instalment = self.advances[0].__class__
        self.assertEqual(
            [i.id for i in Instalment.search(
                    Instalment.waiting_domain(), order=[('id', 'ASC')])],
            self.ids[1:])


class SplitReturnTestCase(BatchCase):
    "A payment on two lines is one transfer: paid or rejected whole"
    count = 1

    def setUp(self):
        super().setUp()
        road = self.road
        road.press('claire', self.advances, 'certify')
        self.split(self.advances[0])
        road.press('paul', self.advances, 'approve')
        road.press('nadia', self.advances, 'process')
        self.batch = self.advances[0].payment.group

    def paid(self, number):
        return super().paid(
            self.batch, number,
            paid_amount={1: '333,33', 2: '666,67'}[number])

    def rejected(self, number, reason="RIB invalide"):
        return super().rejected(self.batch, number, reason)

    def read_states(self):
        "The states of the payment and of the batch, and the anomalies."
        batch = self.batch.__class__(self.batch.id)
        return self.advances[0].state, batch.state, batch.anomaly_count

    def test_mixed_file(self):
        "What makes the answers of one file differ is an anomaly"
        for rows in [
                (self.paid(1), self.rejected(2)),
                (self.rejected(1), self.paid(2)),
                ]:
            with self.subTest(rows=rows), attempt():
                self.assertEqual(
                    self.examine(answers(*rows)), ['applied', 'mismatch'])
                self.import_(answers(*rows))
                self.assertEqual(
                    self.read_states(), ('paying', 'transmitted', 1))
                self.assertIsNone(self.batch.lines[1].return_status)
                with self.road.as_user('nadia'):
                    self.assertEqual(
                        Pool().get('grant.instalment').search(
                            get_tab('act_instalment_form_domain_rejected')),
                        self.advances)

    def test_mixed_files(self):
        "So does what comes later; the payer settles it"
        self.import_(answers(self.paid(1)))
        return_ = self.import_(answers(self.rejected(2)))
        self.assertEqual(return_.lines[0].verdict, 'mismatch')
        self.assertIn(self.advances[0].party.name, return_.lines[0].anomaly)
        self.assertEqual(self.read_states(), ('paying', 'transmitted', 1))
        self.import_(answers(self.paid(2)))
        self.assertEqual(self.read_states(), ('paid', 'closed', 1))

    def test_finance_settles(self):
        "Answers that contradict each other wait for finance, not the payer"
        pool = Pool()
        Instalment = pool.get('grant.instalment')

        def turn():
            forget()
            with self.road.as_user('lea'):
                instalment = Instalment(self.ids[0])
                found = Instalment.search([
                        ('to_settle', '=', True), ('id', 'in', self.ids)])
                self.assertEqual(found == [instalment], instalment.to_settle)
                self.assertEqual(
                    len(Instalment.search([
                                ('to_settle', '=', False),
                                ('id', 'in', self.ids)])), 1 - len(found))
                self.assertEqual(
                    bool(instalment.unfit_answer), instalment.to_settle)
                return instalment.whose_turn, instalment.to_settle

        self.assertEqual(turn(), ('payer', False))
        self.import_(answers(self.paid(1)))
        self.assertEqual(turn(), ('payer', False))
        self.import_(answers(self.rejected(2)))
        self.assertEqual(turn(), ('finance', True))
        self.assertIn("réponse contraire", self.advances[0].unfit_answer)
        with attempt():
            # It was paid
            self.import_(answers(self.paid(2)))
            self.assertEqual(self.advances[0].state, 'paid')
            self.assertFalse(turn()[1])
        # It was rejected: the first line first, then the other
        rejected = {'status': 'rejected', 'reason': "RIB invalide"}
        self.enter(self.batch.lines[0], **rejected)
        self.assertEqual(turn(), ('finance', True))
        self.enter(self.batch.lines[1], **rejected)
        self.assertEqual(self.advances[0].state, 'certified')
        self.assertEqual(turn(), ('finance', False))

    def test_wrong_amount(self):
        "So does a payment of another amount, until it is set right"
        wrong = self.paid(1) | {'paid_amount': '333,00'}
        self.import_(answers(wrong))
        self.assertEqual(self.advances[0].whose_turn, 'finance')
        self.import_(answers(self.paid(1)))
        self.assertEqual(self.advances[0].whose_turn, 'payer')

    def test_rejected_whole(self):
        "It goes to its desk when every line is rejected, not before"
        self.import_(answers(self.rejected(1)))
        self.assertEqual(self.read_states(), ('paying', 'transmitted', 0))
        self.assertFalse(self.advances[0].to_correct)
        self.import_(answers(self.rejected(2)))
        self.assertEqual(self.read_states(), ('certified', 'closed', 0))
        self.assertTrue(self.advances[0].to_correct)
        self.assertEqual(self.examine(answers(self.paid(1))), ['mismatch'])

    def test_settled_as_paid(self):
        "A line that was rejected wrongly is entered by hand"
        self.import_(answers(self.rejected(1), self.paid(2)))
        paid = {'status': 'paid', 'paid_on': self.road.today}
        with self.refused(ReturnError, 'return_mixed'):
            self.enter(self.batch.lines[1], **paid)
        line = self.batch.lines[0].__class__(self.batch.lines[0].id)
        self.assertFalse(line.rejected_whole)
        self.enter(line, **paid)
        self.enter(self.batch.lines[1], **paid)
        self.assertEqual(self.read_states(), ('paid', 'closed', 1))

    def test_settled_as_rejected(self):
        "A line that was paid wrongly too"
        self.import_(answers(self.paid(1), self.rejected(2)))
        rejected = {'status': 'rejected', 'reason': "RIB invalide"}
        self.enter(self.batch.lines[0], **rejected)
        self.assertEqual(self.advances[0].state, 'paying')
        self.enter(self.batch.lines[1], **rejected)
        self.assertEqual(self.read_states(), ('certified', 'closed', 1))
        self.assertTrue(self.advances[0].to_correct)
        line = self.batch.lines[0].__class__(self.batch.lines[0].id)
        self.assertTrue(line.rejected_whole)

    def test_bank_return(self):
        "The bank sends back the transfer, not a part of it"
        self.import_(answers(self.paid(1), self.paid(2)))
        self.assertEqual(
            self.examine(answers(self.rejected(1))), ['mismatch'])
        with attempt():
            self.import_(answers(self.rejected(1), self.rejected(2)))
            self.assertEqual(self.advances[0].return_status, 'returned')
        self.enter(
            self.batch.lines[1], status='rejected', reason="Compte clos")
        self.assertEqual(self.read_states(), ('certified', 'closed', 0))
        self.assertEqual(self.advances[0].return_status, 'returned')


class CompanyTestCase(BatchCase):
    "Each company numbers its batches: the same number names two"
    count = 2

    @classmethod
    def prepare(cls):
        super().prepare()
        road = cls.road
        other = create_company("Autre", road.company.currency)
        road.create_user(
            'bruno', ['group_finance'], company=other.id,
            companies=[('add', [other.id])], employees=None, employee=None)
        cls.other = other

    def setUp(self):
        super().setUp()
        self.approve()
        self.batches = []
        for advance in self.advances:
            self.road.press('nadia', advance, 'process')
            self.batches.append(self.road.fresh(advance).payment.group)

    @contextmanager
    def as_bruno(self, **context):
        with self.road.as_user('bruno'), Transaction().set_context(
                company=self.other.id, companies=[self.other.id],
                employee=None, **context):
            yield Pool().get('grant.return')

    def test_unknown(self):
        "What the preview does not know is not applied, nor in the queue"
        data = answers(self.paid(self.batches[0], 1))
        for company in [self.other, self.road.company]:
            with self.subTest(company=company), attempt(), \
                    self.as_bruno() as Return, Transaction().set_context(
                        company=company.id, _check_access=False):
                verdict, = Return.examine(Return.read_file(data))
                self.assertEqual((verdict.verdict, verdict.line), (
                        'unknown', None))
                return_ = Return.import_file('retour.csv', data)
                self.assertEqual(
                    [li.verdict for li in return_.lines], ['unknown'])
                self.assertEqual(return_.company, company)
                forget()
                self.assertEqual(
                    [a.state for a in self.advances], ['paying'] * 2)

    def test_queue(self):
        data = answers(self.paid(self.batches[0], 1))
        Task = Pool().get('grant.task')
        with self.as_bruno(_check_access=False) as Return:
            task = Task.ask(
                'import', Return.read_file(data), file=data,
                file_name='retour.csv')
        forget()
        Queue = Pool().get('ir.queue')
        while calls := Queue.search([('finished_at', '=', None)]):
            calls[0].run()
            forget()
        task = Task(task.id)
        self.assertEqual(
            (task.company, task.done, task.refused), (self.other, 0, 1))
        self.assertEqual(
            [a.state for a in self.advances], ['paying'] * 2)

    def test_by_hand(self):
        Enter = Pool().get('grant.return.enter', type='wizard')
        line = self.batches[0].lines[0]
        with self.forbidden(), self.as_bruno(
                active_model='grant.batch.line', active_id=line.id,
                active_ids=[line.id]):
            session_id, start, _ = Enter.create()
            Enter.execute(session_id, {'start': {
                        'line': line.id, 'status': 'paid',
                        'paid_on': self.road.today}}, 'enter')

    def test_same_number(self):
        "Each company pays its own line"
        mine, theirs = self.batches
        group = mine.__table__()
        Transaction().connection.cursor().execute(*group.update(
                [group.company, group.number], [self.other.id, mine.number],
                where=group.id == theirs.id))
        theirs._local_cache.clear()
        forget()
        line = {'batch_id': mine.number, 'line_no': 1}
        self.import_(answers(line | {'status': 'reçu'}))
        with self.as_bruno(_check_access=False) as Return:
            Return.import_file('retour.csv', answers(
                    line | {'status': 'engagé'}))
        forget()
        self.assertEqual(
            [a.return_status for a in self.advances],
            ['received', 'committed'])


class ImputationTestCase(BatchCase):
    "Where payments are charged"
    count = 1

    def test_default(self):
        self.road.press('claire', self.advances, 'certify')
        advance = self.advances[0]
        imputation, = advance.imputations
        self.assertEqual(imputation.amount, advance.amount)
        self.assertTrue(imputation.by_default)
        self.assertEqual(advance.exercise, self.road.year)
        self.road.write('paul', advance, send_back_reason="À revoir")
        self.road.press('paul', advance, 'send_back')
        self.assertFalse(self.advances[0].imputations)
        self.assertIsNone(self.advances[0].exercise)

    def test_no_rule(self):
        Rule = Pool().get('grant.imputation.rule')
        with self.road.system():
            Rule.write(Rule.search([]), {'partner_kind': 'commune'})
        self.assertIn(
            'imputation', {b.code for b in self.advances[0].blockers})
        with self.refused(BlockedError, 'instalment_blocked'):
            self.road.press('claire', self.advances, 'certify')

    def test_section(self):
        "An operating account is not charged to an investment envelope"
        self.road.press('claire', self.advances, 'certify')
        envelope = self.advances[0].envelope
        with self.road.system():
            envelope.__class__.write([envelope], {'section': 'investment'})
        self.assertIn(
            'imputation', {b.code for b in self.advances[0].blockers})
        with self.refused(BlockedError, 'instalment_blocked'):
            self.road.press('paul', self.advances, 'approve')

    def test_exercise(self):
        "An account that is no longer in the nomenclature"
        self.road.press('claire', self.advances, 'certify')
        account = self.advances[0].imputations[0].nature
        with self.road.system():
            account.__class__.write([account], {
                    'valid_from': 2001, 'valid_to': self.road.year - 1})
        with self.refused(BlockedError, 'instalment_blocked'):
            self.road.press('paul', self.advances, 'approve')

    def test_sum(self):
        self.road.press('claire', self.advances, 'certify')
        imputation, = self.advances[0].imputations
        with self.road.as_user('paul'):
            imputation.__class__.write(
                [imputation], {'amount': Decimal('999.99')})
        with self.refused(BlockedError, 'instalment_blocked'):
            self.road.press('paul', self.advances, 'approve')
        with self.refused(UserError, 'imputation_sum'):
            with self.road.as_user('paul'):
                Pool().get('grant.instalment').split_into(
                    self.advances[0], [{
                            'chapter': imputation.chapter.id,
                            'nature': imputation.nature.id,
                            'function': imputation.function.id,
                            'amount': Decimal(1)}])

    def test_frozen(self):
        self.approve()
        imputation, = self.advances[0].imputations
        for login in ['paul', 'alice', 'claire']:
            with self.forbidden(), self.road.as_user(login):
                imputation.__class__.write(
                    [imputation], {'amount': Decimal(1)})
        with self.refused(FrozenError, 'imputation_frozen'):
            imputation.__class__.delete([imputation])

    def test_nomenclature(self):
        Nomenclature = Pool().get('grant.nomenclature')
        before = Nomenclature.search([], count=True)
        text = (
            "nature;code;libellé;section;depuis;jusqu'à\n"
            "nature;65748;Autre nom;fonctionnement;2024;\n"
            "nature;65999;Nouveau;F;2027;2030\n")
        for _ in range(2):
            self.assertEqual(Nomenclature.load(text), 2)
            self.assertEqual(
                Nomenclature.search([], count=True), before + 1)
        self.assertEqual(
            Nomenclature.search([('code', '=', '65748')])[0].name,
            "Autre nom")
        for text, words in [
                ("nature;code;libelle;depuis\nplan;1;x;2024\n",
                    ['2', 'plan']),
                ("nature;code;libelle;depuis\nnature;1;x;2024\n",
                    ['2', 'section']),
                ("nature;code;libelle;section;depuis\n"
                    "chapitre;1;x;F;2024\nchapitre;1;y;F;2024\n",
                    ['3', '2']),
                ]:
            with self.refused(UserError, 'table_refused', *words):
                Nomenclature.load(text)


class QueriesTestCase(BatchCase):
    "One line or thirty: the same number of SELECTs"
    count = 30

    def selects(self, function):
        with attempt():
            function()
        forget()
        with attempt(), count_queries() as queries:
            function()
        return queries.selects

    def test_prepare_and_transmit(self):
        self.approve()

        def send(count):
            def function():
                batch, = self.prepare_batch(
                    self.advances[:count])
                self.road.press('nadia', batch, 'transmit')
            return function
        few, many = (self.selects(send(n)) for n in [2, 30])
        self.assertLessEqual(many, few + 3)

    def test_lists(self):
        self.transmit()
        Group = Pool().get('account.payment.group')
        names = [
            'received', 'ordered', 'paid', 'rejected', 'line_count',
            'anomaly_count', 'unanswered', 'payment_amount']

        def read():
            Group.read([g.id for g in Group.search([])], names)
        self.assertLessEqual(self.selects(read), 12)


class CarryOverTestCase(BatchCase):
    "What the year does not pay goes on in the next"

    def carry(self, instalments, login='paul'):
        with self.road.as_user(login), Transaction().set_context(
                _check_access=False):
            Pool().get('grant.instalment').carry_to(
                instalments, self.road.year + 1)
        forget()

    def next_envelope(self, amount):
        envelope = self.road.envelope
        with self.road.system():
            next_, = envelope.__class__.create([{
                        'company': self.road.company.id,
                        'code': envelope.code, 'name': envelope.name,
                        'kind': 'annual', 'year': self.road.year + 1,
                        'movements': [('create', [{
                                        'kind': 'carry_over',
                                        'amount': amount,
                                        'payment_year': self.road.year + 1,
                                        'payment_credit': amount}])]}])
        return next_

    def test_carry_over(self):
        self.road.press('claire', self.advances, 'certify')
        self.road.press('paul', self.advances[0], 'approve')
        before = self.road.fresh(self.road.envelope).committed
        next_ = self.next_envelope(Decimal(2000))
        # A planned balance goes too
        balance = self.advances[1].convention.instalments[1]
        self.carry([self.advances[0], balance])
        envelope = self.road.fresh(self.road.envelope)
        next_ = self.road.fresh(next_)
        self.assertEqual(next_.committed, 2000)
        self.assertEqual(envelope.committed, before - 2000)
        self.assertEqual((envelope.approved, next_.approved), (0, 1000))
        advance = self.advances[0]
        self.assertEqual(
            (advance.exercise, advance.envelope), (next_.year, next_))
        self.assertEqual(advance.state, 'approved')
        Event = Pool().get('grant.event')
        self.assertEqual(Event.search([
                    ('name', '=', 'exercise')], count=True), 2)
        self.road.press('nadia', advance, 'process')
        batch = self.advances[0].payment.group
        self.assertEqual(batch.exercise, next_.year)
        self.assertRegex(batch.number, f'^L{next_.year}-')
        with self.refused(UserError, 'carry_over_refused', advance.rec_name):
            self.carry([self.advances[0], self.advances[2]])
        self.assertEqual(self.advances[2].exercise, self.road.year)

    def test_ceilings(self):
        self.approve()
        with self.refused(UserError, 'carry_over_no_envelope'):
            self.carry(self.advances)
        next_ = self.next_envelope(Decimal(2999))
        with self.refused(UserError, 'envelope_exceeded', next_.rec_name):
            self.carry(self.advances)
        self.assertEqual(self.road.fresh(next_).committed, 0)
        self.assertEqual(
            self.road.fresh(self.road.envelope).approved, 3000)

    def test_imputation(self):
        "An account that the next exercise does not have"
        self.approve()
        self.next_envelope(Decimal(5000))
        account = self.advances[0].imputations[0].nature
        with self.road.system():
            account.__class__.write([account], {'valid_to': self.road.year})
        with self.refused(UserError, 'imputation_not_valid'):
            self.carry(self.advances)


class DefectTestCase(BatchCase):
    "What other systems let through"

    def test_same_person(self):
        "Who certifies does not approve: in bulk, over RPC, from the queue"
        road = self.road
        with road.system():
            road.create_user('both', ['group_officer', 'group_finance'])
        road.press('both', self.advances, 'certify')
        with self.refused(DutyError, 'approval_duty_certified'):
            road.press('both', self.advances, 'approve')
        with self.refused(DutyError, 'approval_duty_certified'):
            road.press('both', self.advances[:1], 'approve')
        Instalment = Pool().get('grant.instalment')
        with self.refused(DutyError, 'approval_duty_certified'):
            # As the queue does: without access checks
            with Transaction().set_user(road.users['both'].id), \
                    Transaction().set_context(_check_access=False):
                Instalment.approve(self.advances)
        with self.refused(DutyError):
            with Transaction().set_user(0):
                Instalment.approve(self.advances)
        for advance in self.advances:
            self.assertEqual(advance.state, 'certified')
            self.assertFalse(advance.approvals)

    def test_ceiling(self):
        "The payment credits hold for a batch, whichever way it comes"
        road = self.road
        envelope = road.fresh(road.envelope)
        with road.system():
            Movement = Pool().get('grant.envelope.movement')
            Movement.write(list(envelope.movements), {
                    'payment_credit': Decimal(2000)})
        road.press('claire', self.advances, 'certify')
        Instalment = Pool().get('grant.instalment')
        with self.refused(UserError, 'payment_credit_exceeded'):
            road.press('paul', self.advances, 'approve')
        with self.refused(UserError, 'payment_credit_exceeded'):
            with Transaction().set_user(road.users['paul'].id), \
                    Transaction().set_context(_check_access=False):
                Instalment.approve(self.advances)
        self.assertEqual(
            [a.state for a in self.advances], ['certified'] * 3)
        road.press('paul', self.advances[:2], 'approve')

    def test_state_by_rpc(self):
        "Nobody writes what the payer alone says"
        batch = self.transmit()
        for login in ['paul', 'claire', 'marc', 'alice']:
            for record, values in [
                    (batch, {'state': 'closed'}),
                    (batch, {'file_sha256': 'x'}),
                    (batch.lines[0], {'return_status': 'paid'}),
                    (self.advances[0], {'return_status': 'paid'}),
                    (self.advances[0], {'paid_on': self.road.today}),
                    (self.advances[0], {'exercise': 2030}),
                    ]:
                with self.subTest(login=login, values=values):
                    with self.forbidden(), self.road.as_user(login):
                        record.__class__.write([record], values)

    def test_nothing_deleted(self):
        "Neither users nor partners nor batches take payments with them"
        batch = self.transmit()
        self.import_(answers(self.paid(batch, 1)))
        advance = self.advances[0]
        for record in [
                self.road.users['nadia'], advance.party, batch,
                advance.payment, advance, advance.convention,
                advance.commitment, batch.lines[0],
                advance.payment.journal, batch.lines[0].answers[0]]:
            with self.subTest(model=record.__name__):
                with attempt(), self.assertRaises(UserError):
                    record.__class__.delete([record])
        self.assertEqual(self.advances[0].state, 'paid')
        self.assertEqual(batch.__class__(batch.id).line_count, 3)

    def test_finance_only(self):
        batch = self.transmit()
        for login in ['claire', 'alice', 'sophie']:
            with self.refused(DutyError, 'finance_only'):
                self.import_(answers(self.paid(batch, 1)), login)
