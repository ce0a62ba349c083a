# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The file of the recovery orders, and what the payer answers."
import csv
import datetime as dt
import hashlib
from decimal import Decimal
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from trytond.modules.pacte_grants.exceptions import (
    AmountError, CompletenessError, DutyError, FrozenError, ReturnError,
    TransitionError)
from trytond.modules.pacte_grants.recovery_order import COLUMNS
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import attempt, forget, set_state
from .test_recovery import RecoveryCase
from .tools import count_selects

HEADINGS = [
    'batch_id', 'line_no', 'status', 'reason', 'titre_no', 'bordereau_no',
    'titre_date', 'recovered_on', 'recovered_amount']


def answers(*rows, total=None):
    "Return the file of a payer (bytes): dictionaries by column."
    output = StringIO()
    writer = csv.DictWriter(
        output, HEADINGS, restval='', delimiter=';', lineterminator='\r\n')
    writer.writeheader()
    writer.writerows(rows)
    amount = sum(
        Decimal(r.get('recovered_amount', '0').replace(',', '.'))
        for r in rows)
    if total is None:
        total = f'{amount:.2f}'.replace('.', ',')
    text = output.getvalue() + f'TOTAL;{len(rows)};;;;;;;{total}\r\n'
    return text.encode('utf-8')


class OrderCase(RecoveryCase):
    """1 000 € come back of 5 000 €, which were paid on two imputations:
    1 666,67 € and 3 333,33 €"""
    parts = [Decimal('1666.67'), Decimal('3333.33')]

    @classmethod
    def prepare(cls):
        super(RecoveryCase, cls).prepare()
        road, advance = cls.road, cls.payments.advance
        road.press('claire', advance, 'certify')
        imputation, = road.fresh(advance).imputations
        with road.as_user('paul'):
            advance.__class__.split_into(advance, [{
                        'chapter': imputation.chapter.id,
                        'nature': imputation.nature.id,
                        'function': imputation.function.id,
                        'amount': part,
                        } for part in cls.parts])
        road.press('paul', advance, 'approve')
        road.press('nadia', advance, 'process')
        road.write('nadia', advance, order_number='M-77')
        road.press('nadia', advance, 'succeed')
        with road.system():
            configuration = Pool().get('grant.configuration')(1)
            configuration.budget_code = '01'
            configuration.save()

    def setUp(self):
        super().setUp()
        self.confirmed = self.confirm(self.propose())

    @property
    def the_recovery(self):
        return self.road.fresh(self.confirmed)

    def prepare_batch(self, login='nadia', recoveries=None):
        with self.road.as_user(login):
            batches = Pool().get('grant.recovery.batch').prepare(
                recoveries or [self.the_recovery])
        forget()
        return batches[0].__class__(batches[0].id)

    def transmit(self):
        batch = self.prepare_batch()
        self.road.press('nadia', batch, 'transmit')
        return self.road.fresh(batch)

    def read_file(self, batch):
        file, = Pool().get('grant.batch.file').search(
            [('recovery_batch', '=', batch.id)])
        data = bytes(file.data)
        rows = list(csv.DictReader(
                StringIO(data.decode('utf-8')), delimiter=';'))
        return data, rows[:-1], rows[-1]

    def import_(self, data, login='nadia'):
        with self.road.as_user(login), Transaction().set_context(
                _check_access=False):
            return_ = Pool().get('grant.recovery.return').import_file(
                'titres.csv', data)
        forget()
        return return_.__class__(return_.id)

    def examine(self, data):
        Return = Pool().get('grant.recovery.return')
        with self.road.as_user('nadia'), Transaction().set_context(
                _check_access=False):
            return Return.examine(Return.read_file(data))

    def row(self, batch, number, status, **values):
        return {
            'batch_id': batch.number, 'line_no': number, 'status': status,
            } | values

    @property
    def today(self):
        return self.road.today.strftime('%d/%m/%Y')

    def issued(self, batch, number, titre='T-12', **values):
        return self.row(
            batch, number, 'émis', titre_no=titre, titre_date=self.today,
            bordereau_no='B3', **values)

    def recovered(self, batch, number, amount, **values):
        return self.row(
            batch, number, 'recouvré', recovered_on=self.today,
            recovered_amount=amount, **values)

    def rejected(self, batch, number, reason="Adresse incomplète"):
        return self.row(batch, number, 'rejeté', reason=reason)

    def assertAnomaly(self, data, message, *words):
        verdicts = [
            v for v in self.examine(data) if v.verdict == 'mismatch']
        self.assertTrue(verdicts)
        for word in words:
            self.assertIn(word, verdicts[-1].reason)
        before = self.the_recovery.state
        self.import_(data)
        self.assertEqual(self.the_recovery.state, before)


class FileTestCase(OrderCase):
    "The file that the finance package reads"

    def test_waits(self):
        "A decided recovery waits for its order in the list of finance"
        recovery = self.the_recovery
        self.assertEqual(
            (recovery.next_step, recovery.whose_turn), ('order', 'finance'))
        Recovery = Pool().get('grant.recovery')
        domain = [('next_step', '=', 'order')]
        self.assertEqual(Recovery.search(domain), [recovery])
        batch = self.prepare_batch()
        self.assertFalse(Recovery.search(domain))
        recovery = self.the_recovery
        self.assertEqual(recovery.batch, batch)
        self.assertEqual(
            (recovery.next_step, recovery.whose_turn), ('await', 'payer'))
        for name, value in [
                ('next_step', 'await'), ('whose_turn', 'payer'),
                ('batch', batch.id), ('batch.number', batch.number)]:
            self.assertEqual(
                Recovery.search([(name, '=', value)]), [recovery], name)

    def test_prepare(self):
        batch = self.prepare_batch()
        self.assertRegex(batch.number, rf'^T{self.road.year}-\d{{4}}$')
        self.assertEqual(batch.state, 'preparation')
        self.assertEqual(batch.prepared_by.login, 'nadia')
        self.assertEqual(
            [li.amount for li in batch.lines],
            [Decimal('333.33'), Decimal('666.67')])
        self.assertEqual(batch.amount, Decimal(1000))
        self.assertEqual(batch.line_count, 2)
        with self.refused(
                CompletenessError, 'recovery_in_batch', batch.number):
            self.prepare_batch()

    def test_file(self):
        batch = self.transmit()
        self.assertEqual(batch.state, 'transmitted')
        data, rows, trailer = self.read_file(batch)
        self.assertEqual(list(rows[0]), COLUMNS)
        recovery = self.the_recovery
        row = rows[1]
        self.assertEqual(row['batch_id'], batch.number)
        self.assertEqual(
            [r['amount'] for r in rows], ['333,33', '666,67'])
        self.assertEqual(row['exercise'], str(self.road.year))
        self.assertEqual(row['budget_code'], '01')
        self.assertEqual(row['siret'], recovery.party.siret)
        self.assertIn('62000', row['tiers_address'])
        self.assertEqual(
            (row['chapter'], row['nature'], row['function']),
            ('65', '65748', '311'))
        self.assertEqual(row['origin_mandat_no'], 'M-77')
        self.assertEqual(row['origin_exercise'], str(self.road.year))
        self.assertEqual(row['origin_paid_on'], self.road.today.isoformat())
        self.assertEqual(row['cause'], 'trop-perçu')
        self.assertLessEqual(len(row['label']), 64)
        self.assertEqual(
            row['limitation_on'], recovery.limitation_on.isoformat())
        self.assertEqual(row['convention_ref'], recovery.convention.number)
        decision, = [
            d for d in recovery.documents if d.kind == 'recovery_decision']
        self.assertEqual(row['decision_ref'], decision.reference)
        self.assertEqual(
            row['pj_sha256'].split(' | ')[0], decision.sha256)
        self.assertEqual(len(row['pj_list'].split(' | ')), 2)
        self.assertEqual(
            (trailer['batch_id'], trailer['line_no'], trailer['amount']),
            ('TOTAL', '2', '1000,00'))
        self.assertEqual(
            batch.file_sha256, hashlib.sha256(data).hexdigest())
        self.assertEqual(batch.file_total, Decimal(1000))

    def test_sealed(self):
        road = self.road
        batch = self.transmit()
        with self.refused(TransitionError):
            road.press('nadia', batch, 'transmit')
        with self.refused(TransitionError):
            road.press('nadia', batch, 'dissolve')
        line = batch.lines[0]
        with self.refused(FrozenError, 'batch_sealed', batch.number):
            line.__class__.write([line], {'amount': Decimal(1)})
        with self.refused(FrozenError, 'batch_sealed'):
            line.__class__.delete([line])

    def test_download(self):
        batch = self.transmit()
        Download = Pool().get('grant.batch.download', type='wizard')

        def open_(login):
            with self.road.as_user(login), Transaction().set_context(
                    active_model='grant.recovery.batch',
                    active_id=batch.id, active_ids=[batch.id]):
                session_id, start, _ = Download.create()
                result = Download.execute(session_id, {}, start)
                return result['view']['defaults']
        found = open_('nadia')
        self.assertTrue(found['intact'])
        self.assertEqual(found['sha256'], batch.file_sha256)
        forget()
        event, = Pool().get('grant.event').search(
            [('name', '=', 'download')])
        self.assertEqual(event.record, batch)
        with self.forbidden():
            open_('claire')

    def test_dissolve(self):
        batch = self.prepare_batch()
        number = batch.number
        self.road.press('nadia', batch, 'dissolve')
        self.assertFalse(Pool().get('grant.recovery.batch').search([]))
        self.assertIsNone(self.the_recovery.batch)
        self.assertNotEqual(self.prepare_batch().number, number)

    def test_finance_only(self):
        with self.refused(DutyError, 'finance_only'):
            self.prepare_batch('claire')
        batch = self.prepare_batch()
        with self.forbidden():
            self.road.press('claire', batch, 'transmit')
        Batch = Pool().get('grant.recovery.batch')
        for login in ['nadia', 'alice', 'lea']:
            with self.road.as_user(login), self.forbidden():
                Batch.create([{'company': self.road.company.id}])

    def test_not_decided(self):
        set_state(self.the_recovery, 'notified')
        with self.refused(CompletenessError, 'recovery_batch_state'):
            self.prepare_batch()

    def test_numbered_by_hand(self):
        self.road.write(
            'nadia', self.the_recovery, order_number='T-9',
            order_sent_on=self.road.today)
        self.assertEqual(self.the_recovery.next_step, 'recover')
        with self.refused(CompletenessError, 'recovery_ordered', 'T-9'):
            self.prepare_batch()

    def test_still_being_paid(self):
        set_state(self.payments.advance, 'paying')
        with self.refused(
                CompletenessError, 'recovery_order_paid', "0,00"):
            self.prepare_batch()

    def test_stale(self):
        "What is no longer owed is not asked, even once it is in a batch"
        batch = self.prepare_batch()
        report = self.road.report(self.dossier.convention)
        self.road.write(
            'claire', report, reopen_reason="Facture retrouvée")
        self.road.press('claire', report, 'reopen')
        with self.refused(AmountError, 'recovery_amount'):
            self.road.press('nadia', batch, 'transmit')
        self.road.press('nadia', batch, 'dissolve')
        with self.refused(CompletenessError, 'recovery_amount'):
            self.prepare_batch()

    def test_wizard(self):
        Prepare = Pool().get('grant.recovery.batch.prepare', type='wizard')
        with self.road.as_user('nadia'):
            session_id, start, _ = Prepare.create()
            result = Prepare.execute(session_id, {}, start)
            defaults = result['view']['defaults']
            self.assertEqual(
                (defaults['count'], defaults['amount']), (1, Decimal(1000)))
            line, = defaults['lines']
            self.assertTrue(line['accepted'])
            self.assertEqual(line['recovery'], self.confirmed.id)
            result = Prepare.execute(
                session_id, {'preview': {'leave_out': False}}, 'open_')
            (action, data), = result['actions']
            self.assertEqual(action['views'][0][1], 'form')
            self.assertEqual(
                self.the_recovery.batch.id, data['res_id'][0])
            session_id, start, _ = Prepare.create()
            Prepare.execute(session_id, {}, start)
            with self.refused(CompletenessError, 'recovery_batch_nothing'):
                Prepare.execute(
                    session_id, {'preview': {'leave_out': True}}, 'open_')

    def test_awaits(self):
        "Nothing ends while the order is asked of the payer"
        road, recovery = self.road, self.the_recovery
        batch = self.prepare_batch()
        road.write(
            'marc', recovery, abandon_reason="Erreur", reopen_reason="Non")
        road.write('nadia', recovery, write_off_reason="Insolvable")
        for login, button in [
                ('marc', 'abandon'), ('marc', 'reopen'),
                ('nadia', 'write_off')]:
            with self.refused(
                    FrozenError, 'recovery_awaits', batch.number):
                road.press(login, recovery, button)
        road.press('nadia', batch, 'dissolve')
        road.press('marc', recovery, 'reopen')
        self.assertState(recovery, 'notified')


class ReturnTestCase(OrderCase):
    "The payer's answers"

    def test_issued_and_recovered(self):
        batch = self.transmit()
        data = answers(
            self.row(batch, 1, 'reçu'), self.row(batch, 2, 'reçu'))
        self.import_(data)
        self.assertEqual(
            [li.return_status for li in self.road.fresh(batch).lines],
            ['received', 'received'])
        self.assertEqual(self.the_recovery.next_step, 'await')
        issued = answers(self.issued(batch, 1), self.issued(batch, 2))
        self.import_(issued)
        recovery = self.the_recovery
        self.assertEqual(recovery.order_number, 'T-12')
        self.assertEqual(recovery.order_sent_on, self.road.today)
        self.assertEqual(recovery.next_step, 'recover')
        self.assertState(recovery, 'confirmed')
        # Again: nothing is applied twice, nothing is kept twice.
        self.assertEqual(
            [v.verdict for v in self.examine(issued)], ['known', 'known'])
        self.assertFalse(self.import_(issued).lines)
        self.import_(answers(self.recovered(batch, 1, '333,33')))
        self.assertState(recovery, 'confirmed')
        self.import_(answers(self.recovered(batch, 2, '666,67')))
        self.assertState(recovery, 'settled')
        recovery = self.the_recovery
        self.assertEqual(recovery.settled_on, self.road.today)
        self.assertEqual(recovery.ended_by.login, 'nadia')
        self.assertEqual(self.road.fresh(batch).state, 'closed')

    def test_at_once(self):
        "One file may say that the order was issued and recovered"
        batch = self.transmit()
        self.import_(answers(
                self.issued(batch, 1), self.issued(batch, 2),
                self.recovered(batch, 1, '333,33'),
                self.recovered(batch, 2, '666,67')))
        self.assertState(self.the_recovery, 'settled')

    def test_two_orders(self):
        "The package may issue one order for each imputation"
        batch = self.transmit()
        self.import_(answers(
                self.issued(batch, 1, 'T-1'), self.issued(batch, 2, 'T-2')))
        self.assertEqual(self.the_recovery.order_number, 'T-1 / T-2')

    def test_rejected_and_sent_again(self):
        batch = self.transmit()
        self.import_(answers(
                self.rejected(batch, 1), self.rejected(batch, 2)))
        recovery = self.the_recovery
        self.assertIn("Adresse", recovery.return_reason)
        self.assertIsNone(recovery.batch)
        self.assertEqual(recovery.next_step, 'order')
        self.assertEqual(self.road.fresh(batch).state, 'closed')
        second = self.transmit()
        self.assertEqual(
            [li.amount for li in second.lines],
            [Decimal('333.33'), Decimal('666.67')])
        self.assertAnomaly(
            answers(self.issued(batch, 1)), 'rejected', "rejetée")
        self.import_(answers(
                self.issued(second, 1), self.issued(second, 2)))
        recovery = self.the_recovery
        self.assertEqual(recovery.order_number, 'T-12')
        self.assertIsNone(recovery.return_reason)

    def test_anomalies(self):
        batch = self.transmit()
        tomorrow = self.road.today + dt.timedelta(days=1)
        for rows, word in [
                ([self.issued(batch, 1) | {
                    'titre_date': tomorrow.strftime('%d/%m/%Y')}],
                    "avenir"),
                ([self.recovered(batch, 1, '333,33')], "numéro"),
                ([self.issued(batch, 1),
                    self.recovered(batch, 1, '300,00')], "333,33"),
                ([self.rejected(batch, 1), self.issued(batch, 2)],
                    "contraire"),
                ([self.issued(batch, 1), self.rejected(batch, 2)],
                    "contraire"),
                ([self.issued(batch, 1), self.row(batch, 1, 'reçu')],
                    "plus avancée"),
                ([self.issued(batch, 1), self.rejected(batch, 1)],
                    "T-12"),
                ([self.issued(batch, 1), self.recovered(
                        batch, 1, '333,33', titre_no='T-13')], "T-13"),
                ]:
            with self.subTest(word), attempt():
                self.assertAnomaly(answers(*rows), None, word)

    def test_unknown(self):
        batch = self.prepare_batch()
        verdict, = self.examine(answers(self.issued(batch, 1)))
        self.assertEqual(verdict.verdict, 'unknown')
        return_ = self.import_(answers(self.issued(batch, 1)))
        self.assertEqual(return_.anomaly_count, 1)

    def test_refused_whole(self):
        batch = self.transmit()
        row = self.issued(batch, 1)
        for data, word in [
                (answers(row | {'titre_no': ''}), 'titre_no'),
                (answers(row | {'titre_date': ''}), 'titre_date'),
                (answers(row | {'status': 'payé'}), 'payé'),
                (answers(self.row(batch, 1, 'rejeté')), 'reason'),
                (answers(self.row(batch, 1, 'recouvré')), 'recovered_on'),
                (answers(row, total='5,00'), '5,00'),
                (answers(row).rpartition(b'TOTAL')[0], 'TOTAL')]:
            with self.subTest(word), self.refused(
                    ReturnError, 'table_refused', word):
                self.import_(data)
        self.assertFalse(Pool().get('grant.recovery.return').search([]))

    def test_by_hand(self):
        "Who types the number settles without a return; the batch is closed"
        road, recovery = self.road, self.the_recovery
        batch = self.transmit()
        road.write(
            'nadia', recovery, order_number='T-5', order_sent_on=road.today,
            settled_on=road.today)
        self.assertAnomaly(
            answers(self.rejected(batch, 1)), None, 'T-5')
        road.press('nadia', recovery, 'settle')
        self.assertState(recovery, 'settled')
        self.assertEqual(road.fresh(batch).state, 'closed')
        self.import_(answers(self.recovered(batch, 1, '333,33')))
        self.assertState(recovery, 'settled')

    def test_remitted(self):
        "What was remitted after its order is not recovered"
        road, recovery = self.road, self.the_recovery
        batch = self.transmit()
        self.import_(answers(self.issued(batch, 1), self.issued(batch, 2)))
        road.write(
            'nadia', recovery, remission_act='R-1', remission_on=road.today)
        road.press('nadia', recovery, 'remit')
        self.assertEqual(road.fresh(batch).state, 'closed')
        self.assertAnomaly(
            answers(self.recovered(batch, 1, '333,33')), None, "Remis")

    def test_finance_only(self):
        batch = self.transmit()
        with self.refused(DutyError, 'finance_only'):
            self.import_(answers(self.issued(batch, 1)), 'claire')

    def test_wizard(self):
        "A dry run says what the return would change"
        batch = self.transmit()
        Import = Pool().get('grant.recovery.return.import', type='wizard')
        data = answers(self.issued(batch, 1), self.recovered(
                batch, 2, '666,67'))
        with self.road.as_user('nadia'):
            session_id, start, _ = Import.create()
            result = Import.execute(
                session_id, {'start': {'file': data}}, 'preview')
            defaults = result['view']['defaults']
            self.assertEqual(
                [defaults[n] for n in [
                        'applied', 'known', 'unknown', 'mismatch']],
                [1, 0, 0, 1])
            self.assertIn("Émis", defaults['text'])
            self.assertIsNone(self.the_recovery.order_number)
            result = Import.execute(
                session_id, {'start': {'file': data}}, 'import_')
            (action, data), = result['actions']
            self.assertEqual(
                action['res_model'], 'grant.recovery.return')
        self.assertEqual(self.the_recovery.order_number, 'T-12')


class QueriesTestCase(OrderCase):
    "As many queries for ten recoveries as for one"

    def more(self, count):
        "Create so many other decided recoveries of one euro."
        with self.road.system():
            recoveries = Pool().get('grant.recovery').create([{
                        'convention': self.dossier.convention.id,
                        'tranche': self.dossier.tranche.id,
                        'cause': 'condition',
                        'amount': Decimal(1),
                        'facts': "Trop-perçu",
                        } for _ in range(count)])
        return [set_state(r, 'confirmed') for r in recoveries]

    def assertConstant(self, function, recoveries):
        one, ten = (
            count_selects(function, [r.id for r in sub])
            for sub in [recoveries[:1], recoveries])
        self.assertLessEqual(ten, one + 1, (one, ten))

    def test_list(self):
        recoveries = self.more(10)
        batch = self.prepare_batch(recoveries=recoveries)
        Recovery = Pool().get('grant.recovery')

        def read(ids):
            Recovery.read(ids, [
                    'rec_name', 'batch', 'batch.rec_name', 'next_step',
                    'whose_turn', 'limitation_on'])
        self.assertConstant(read, recoveries)
        self.assertEqual(batch.line_count, 20)

    def test_preview(self):
        recoveries = self.more(10)
        Batch = Pool().get('grant.recovery.batch')
        Recovery = Pool().get('grant.recovery')

        def check(ids):
            self.assertFalse(
                Batch.check_recoveries(Recovery.browse(ids)))
        self.assertConstant(check, recoveries)


class SplitTestCase(OrderCase):
    "Whatever the amount, the lines of an order add up to it"

    @given(st.lists(
            st.integers(1, 500000), min_size=1, max_size=6).filter(
                lambda cents: sum(cents) <= 500000))
    def test_split(self, cents):
        amounts = [Decimal(c) / 100 for c in cents]
        Recovery = Pool().get('grant.recovery')
        recovery = self.the_recovery
        left = Recovery._get_paid({recovery.convention})[recovery.convention]
        taken = Decimal(0)
        for amount in amounts:
            lines, rest = recovery._take_back(
                recovery.tranche, amount, left)
            self.assertEqual(rest, 0)
            self.assertEqual(sum(li['amount'] for li in lines), amount)
            self.assertTrue(all(li['amount'] > 0 for li in lines))
            taken += amount
        self.assertEqual(sum(left.values()), Decimal(5000) - taken)
        _, rest = recovery._take_back(
            recovery.tranche, Decimal(5001) - taken, left)
        self.assertEqual(rest, Decimal(1))
