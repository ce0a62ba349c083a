# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"A batch of two hundred payments, from the certification to the last answer."
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import RefusalCase, attempt, forget
from .test_batch import BatchCase, answers
from .tools import count_queries

COUNT = 200
STEPS = [('claire', 'certify'), ('paul', 'approve'), ('nadia', 'process')]
# Line of the batch, the payer's words, who corrects.
REJECTIONS = [
    (17, "RIB : titulaire différent", 'paul'),
    (58, "Pièce manquante : attestation", 'claire'),
    (99, "Imputation : nature inexistante", 'paul'),
    (140, "Acte non transmis au contrôle de légalité", 'sophie'),
    (181, "Crédits insuffisants", 'paul'),
    ]


class LargeTestCase(BatchCase):

    @classmethod
    def prepare(cls):
        cls.road.use_batches()
        cls.ids = cls.road.to_instalments(COUNT)

    def by_line(self, batch):
        forget()
        return {
            li.line_number: li.instalment
            for li in batch.__class__(batch.id).lines}

    def test_story(self):
        road = self.road
        batch = self.transmit()
        self.assertEqual(batch.line_count, COUNT)
        self.assertEqual(batch.file_total, 100 * COUNT)
        rejected = {number for number, _, _ in REJECTIONS}
        rows = [
            self.paid(batch, n, paid_amount='100,00')
            for n in range(1, COUNT + 1) if n not in rejected]
        rows += [
            self.rejected(batch, number, reason)
            for number, reason, _ in REJECTIONS]
        self.import_(answers(*rows))
        batch = batch.__class__(batch.id)
        self.assertEqual(batch.state, 'closed')
        self.assertEqual(
            (batch.paid, batch.rejected), (0.975, 0.025))
        self.assertEqual(
            road.fresh(road.envelope).paid, 100 * (COUNT - 5))
        instalments = self.by_line(batch)
        again = []
        for number, reason, login in REJECTIONS:
            instalment = instalments[number]
            self.assertEqual(instalment.return_reason, reason)
            self.correct(login, instalment)
            again.append(instalment)
        road.press('paul', again, 'approve')
        road.press('nadia', again, 'process')
        second = road.fresh(again[0]).payment.group
        self.assertEqual(second.line_count, 5)
        self.import_(answers(*[
                    self.paid(second, n, paid_amount='100,00')
                    for n in range(1, 6)]))
        self.assertEqual(
            {i.state for i in self.advances}, {'paid'})
        envelope = road.fresh(road.envelope)
        self.assertEqual(envelope.paid, 100 * COUNT)
        self.assertEqual(envelope.approved, 100 * COUNT)
        Payment = Pool().get('account.payment')
        self.assertEqual(Payment.search([
                    ('instalment', 'in', self.ids),
                    ('state', '=', 'succeeded'),
                    ], count=True), COUNT)
        self.assertEqual(Payment.search([
                    ('instalment', 'in', self.ids),
                    ('state', '=', 'failed'),
                    ], count=True), 5)

    def correct(self, login, instalment):
        Correct = Pool().get('grant.return.correct', type='wizard')
        with self.road.as_user(login), Transaction().set_context(
                active_model='grant.instalment', active_id=instalment.id,
                active_ids=[instalment.id], _check_access=False):
            session_id, start, _ = Correct.create()
            Correct.execute(session_id, {}, start)
            Correct.execute(session_id, {
                    'start': {'correction': "Corrigé."}}, 'correct')

    def selects(self, login, button, count):
        Instalment = Pool().get('grant.instalment')
        ids = self.ids[:count]
        # Two times: the second has warm caches.
        for _ in range(2):
            forget()
            with attempt(), count_queries() as queries:
                self.road.press(login, Instalment.browse(ids), button)
        return queries.selects

    def test_selects(self):
        "One, fifty or two hundred: the same number of SELECTs"
        Instalment = Pool().get('grant.instalment')
        for login, button in STEPS:
            counts = [
                self.selects(login, button, n) for n in [1, 50, COUNT]]
            with self.subTest(button=button, counts=counts):
                self.assertLessEqual(max(counts), counts[0] + 6)
            self.road.press(login, Instalment.browse(self.ids), button)


class SelectionsTestCase(RefusalCase):
    "What selections of a long year read does not depend on those before"
    count, selection = 240, 60

    @classmethod
    def prepare(cls):
        cls.road.use_batches()
        # What the caches of the process are filled with
        for count in [cls.selection, cls.count]:
            cls.ids = cls.road.to_instalments(count)
            if count == cls.selection:
                for login, button in STEPS:
                    cls.press(login, button, cls.ids)

    @classmethod
    def press(cls, login, button, ids):
        "Return the SELECTs and how many rows they returned."
        forget()
        with count_queries() as queries:
            cls.road.press(
                login, Pool().get('grant.instalment').browse(ids), button)
        return queries.selects, queries.rows

    def test_selections(self):
        for login, button in STEPS:
            counts = [
                self.press(login, button, self.ids[i:i + self.selection])
                for i in range(0, self.count, self.selection)]
            with self.subTest(button=button, counts=counts):
                selects, rows = zip(*counts, strict=True)
                self.assertLessEqual(max(selects) - min(selects), 1)
                self.assertLessEqual(max(rows), min(rows) * 1.02 + 5)


del BatchCase, RefusalCase
