# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The balance is computed from the report, told, settled and paid."
import datetime as dt
from decimal import Decimal

from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.check import money
from trytond.modules.pacte_grants.exceptions import (
    BlockedError, CompletenessError, DutyError, FrozenError, PeriodError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import Dossier, RefusalCase, forget, set_state


class LiquidationCase(RefusalCase):
    "10 000 € for a cost of 20 000 €: half as advance, half as balance"

    @classmethod
    def prepare(cls):
        road = cls.road
        convention = road.to_active()
        cls.dossier = Dossier.of(convention)
        advance, balance = convention.instalments
        cls.payments = Dossier(advance=advance, balance=balance)
        # What the scheme asks is not what is tested here.
        for condition in convention.conditions:
            set_state(
                condition, 'met', submitted_on=road.today,
                verified_on=road.today)

    def accept(self, realised, other_income=Decimal(0)):
        road = self.road
        return road.accept_report(
            road.report(self.dossier.convention), Decimal(realised),
            Decimal(other_income))

    def liquidate(self):
        road = self.road
        with road.as_user('claire'):
            Instalment = Pool().get('grant.instalment')
            result = Instalment.liquidate(
                [Instalment(self.payments.balance.id)])
        return Pool().get('grant.liquidation')(result['res_id'][0])

    def settle(self, realised, comment="Nous sommes d’accord."):
        "Accept the report, tell the partner, who agrees, and settle."
        road = self.road
        self.accept(realised)
        liquidation = self.liquidate()
        if liquidation.is_reduced:
            road.press('claire', liquidation, 'notify')
            road.write(
                'claire', liquidation, observations=comment,
                observations_on=road.today, answer="Merci.")
        road.press('claire', liquidation, 'establish')
        return road.fresh(liquidation)

    def blockers(self):
        forget()
        return {b.code for b in self.payments.balance.blockers}

    @property
    def amounts(self):
        forget()
        return [
            (i.kind, i.amount, i.state)
            for i in self.dossier.convention.instalments]


class BalanceTestCase(LiquidationCase):

    def test_not_without_report(self):
        self.assertIn('liquidation', self.blockers())
        with self.refused(BlockedError, 'blocker_liquidation'):
            self.road.press('claire', self.payments.balance, 'certify')
        with self.refused(CompletenessError, 'liquidation_report'):
            self.liquidate()

    def test_whole(self):
        "As foreseen: nothing to tell, the balance is paid as planned"
        self.road.to_paid(self.payments.advance)
        liquidation = self.settle(20000)
        self.assertState(liquidation, 'established')
        self.assertEqual(liquidation.balance, Decimal(5000))
        self.assertEqual(self.amounts, [
                ('advance', Decimal(5000), 'paid'),
                ('balance', Decimal(5000), 'planned')])
        self.assertNotIn('liquidation', self.blockers())
        self.road.to_paid(self.payments.balance)
        self.assertEqual(
            self.dossier.convention.paid_amount, Decimal(10000))

    def test_before_it_is_made(self):
        "While the report is checked, its form says what it would give"
        road = self.road
        road.to_paid(self.payments.advance)
        report = road.report(self.dossier.convention)
        self.assertIsNone(report.calculation)
        road.fill_report(report, Decimal(15000))
        report = road.fresh(report)
        self.assertEqual(report.state, 'expected')
        *_, acquired, payment, balance = report.calculation.splitlines()
        for line, amount in [
                (acquired, 7500), (payment, -5000), (balance, 2500)]:
            self.assertIn(money(Decimal(amount)), line)
        self.assertFalse(report.calculation_lines)
        self.assertFalse(self.payments.balance.calculation_lines)
        liquidation = self.settle(15000)
        forget()
        report = road.fresh(report)
        self.assertIsNone(report.calculation)
        self.assertEqual(report.calculation_lines, liquidation.lines)
        self.assertEqual(
            self.payments.balance.calculation_lines, liquidation.lines)
        self.assertFalse(self.payments.advance.calculation_lines)

    def test_below_budget(self):
        "15 000 € of 20 000 €: 7 500 €, of which 5 000 € were paid"
        road = self.road
        road.to_paid(self.payments.advance)
        liquidation = self.settle(15000)
        self.assertEqual(
            [liquidation.acquired, liquidation.paid, liquidation.balance,
                liquidation.reduction],
            [Decimal(7500), Decimal(5000), Decimal(2500), Decimal(2500)])
        self.assertEqual(self.amounts, [
                ('advance', Decimal(5000), 'paid'),
                ('balance', Decimal(2500), 'planned')])
        tranche = self.dossier.tranche
        self.assertEqual(tranche.reduction, Decimal(2500))
        self.assertEqual(self.dossier.commitment.amount, Decimal(7500))
        self.assertEqual(
            [line.code for line in liquidation.lines],
            ['granted', 'forecast', 'realised', 'rate', 'right',
                'acquired', 'payment', 'balance'])
        self.assertRegex(liquidation.lines[3].label, "15.000,00")
        events = Pool().get('grant.event').search([
                ('record', '=', str(tranche)), ('name', '=', 'reduction')])
        self.assertEqual(len(events), 1)
        road.to_paid(self.payments.balance)
        self.assertEqual(
            self.dossier.convention.paid_amount, Decimal(7500))

    def test_overpaid(self):
        "8 000 € of 20 000 €: 4 000 €, and 5 000 € were paid"
        self.road.to_paid(self.payments.advance)
        liquidation = self.settle(8000)
        self.assertEqual(liquidation.overpayment, Decimal(1000))
        self.assertEqual(self.amounts, [
                ('advance', Decimal(5000), 'paid'),
                ('balance', Decimal(5000), 'cancelled')])
        self.assertEqual(self.dossier.tranche.reduction, Decimal(5000))
        self.assertEqual(self.dossier.commitment.amount, Decimal(5000))

    def test_advance_never_asked(self):
        "What is still planned becomes one balance"
        self.settle(15000)
        self.assertEqual(self.amounts, [
                ('advance', Decimal(5000), 'cancelled'),
                ('balance', Decimal(7500), 'planned')])

    def assertPayable(self, day):
        "The form, the searches and the order of the lists say the day."
        forget()
        Instalment = Pool().get('grant.instalment')
        balance = Instalment(self.payments.balance.id)
        before = day + dt.timedelta(days=60) if day else None
        self.assertEqual(balance.due_since, day)
        self.assertEqual(balance.pay_before, before)
        self.assertEqual(balance.days_left is None, day is None)
        own = ('id', '=', balance.id)
        for name, date in [('due_since', day), ('pay_before', before)]:
            self.assertEqual(
                Instalment.search([own, (name, '=', date)]), [balance])
            self.assertEqual(
                Instalment.search([own], order=[(name, 'ASC')]), [balance])

    def test_delay_of_payment(self):
        """The sixty days of a balance start when the year is settled,
        however long ago the partner was told of the vote"""
        today = self.road.today
        told = today - dt.timedelta(days=100)
        table = self.dossier.tranche.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.notified_on], [told],
                where=table.id == self.dossier.tranche.id))
        self.assertPayable(None)
        self.assertEqual(self.payments.advance.due_since, told)
        overdue = [
            ('convention', '=', self.dossier.convention.id),
            ('pay_before', '<', today)]
        Instalment = Pool().get('grant.instalment')
        self.assertEqual(
            Instalment.search(overdue), [self.payments.advance])
        self.settle(20000)
        self.assertPayable(today)
        for condition in self.dossier.convention.conditions:
            set_state(
                condition, 'met',
                submitted_on=today + dt.timedelta(days=3))
        self.assertPayable(today + dt.timedelta(days=3))

    def test_delay_of_payment_settled_anew(self):
        "What is calculated again is not payable meanwhile"
        road = self.road
        liquidation = self.settle(20000)
        road.write('claire', liquidation, reopen_reason="Facture")
        road.press('claire', liquidation, 'reopen')
        self.assertPayable(None)
        road.press('claire', liquidation, 'establish')
        self.assertPayable(road.today)

    def test_never_typed(self):
        liquidation = self.settle(20000)
        for name in ['acquired', 'balance', 'state', 'reduction', 'stale']:
            with self.refused(FrozenError):
                self.road.write('claire', liquidation, **{
                        name: 'draft' if name == 'state' else (
                            True if name == 'stale' else Decimal(1))})
        with self.refused(FrozenError):
            self.road.write(
                'claire', liquidation.lines[0], amount=Decimal(1))
        with self.forbidden(), self.road.as_user('claire'):
            Pool().get('grant.liquidation').create([{
                        'tranche': self.dossier.tranche.id}])
        with self.refused(AccessError):
            with self.road.as_user('claire'):
                Pool().get('grant.liquidation').delete([liquidation])

    def test_who_settled_does_not_approve(self):
        road = self.road
        self.accept(20000)
        liquidation = self.liquidate()
        with road.system():
            finance = Pool().get('ir.model.data').get_id(
                'pacte_grants', 'group_officer')
            user = road.users['paul']
            user.__class__.write([user], {'groups': [('add', [finance])]})
        road.press('paul', liquidation, 'establish')
        road.press('claire', self.payments.balance, 'certify')
        with self.refused(DutyError, 'approval_duty_liquidated', "Paul"):
            road.press('paul', self.payments.balance, 'approve')
        road.press('nadia', self.payments.balance, 'approve')
        self.assertState(self.payments.balance, 'approved')


class HearingTestCase(LiquidationCase):
    "The partner may comment before anything is taken away"

    def test_told_first(self):
        self.accept(15000)
        with self.refused(CompletenessError, 'liquidation_tell'):
            self.road.press('claire', self.liquidate(), 'establish')

    def test_time_to_comment(self):
        road = self.road
        self.accept(15000)
        liquidation = self.liquidate()
        road.press('claire', liquidation, 'notify')
        self.assertEqual(
            road.fresh(liquidation).comment_until,
            road.today + dt.timedelta(days=15))
        with self.refused(PeriodError, 'liquidation_comment'):
            road.press('claire', liquidation, 'establish')
        set_state(
            liquidation, 'notified',
            comment_until=road.today - dt.timedelta(days=1))
        road.press('claire', liquidation, 'establish')
        self.assertState(liquidation, 'established')

    def test_answer(self):
        road = self.road
        self.accept(15000)
        liquidation = self.liquidate()
        road.press('claire', liquidation, 'notify')
        road.write(
            'claire', liquidation, observations="Il manque une facture.",
            observations_on=road.today)
        with self.refused(CompletenessError, 'liquidation_answer'):
            road.press('claire', liquidation, 'establish')

    def test_moved_since(self):
        "What was told is what is settled"
        road = self.road
        self.accept(15000)
        liquidation = self.liquidate()
        road.press('claire', liquidation, 'notify')
        road.write(
            'claire', liquidation, observations="D’accord.",
            observations_on=road.today, answer="Merci.")
        road.to_paid(self.payments.advance)
        with self.refused(CompletenessError, 'liquidation_moved'):
            road.press('claire', liquidation, 'establish')
        road.write(
            'claire', liquidation, reopen_reason="L’avance est payée")
        road.press('claire', liquidation, 'reopen')
        self.assertState(liquidation, 'draft')


class TextTestCase(LiquidationCase):
    "The partner reads in its convention how the balance is computed"

    def text(self, convention):
        return '\n'.join(
            text for _, _, text, _ in convention.get_clause_texts())

    def test_rule(self):
        road = self.road
        convention = road.open_convention(
            road.review(road.create_application()))
        for rule, said in [
                ('rate', "est réduit en proportion"),
                ('flat', "La subvention est forfaitaire"),
                ('deficit', "les autres ressources du projet")]:
            with self.subTest(rule=rule):
                road.write('claire', convention, cost_rule=rule)
                text = self.text(road.fresh(convention))
                self.assertIn(said, text)
                self.assertIn("dispose de quinze jours", text)


class AgainTestCase(LiquidationCase):
    "What moves afterwards sends the balance back"

    def reopen(self, liquidation):
        road = self.road
        with self.refused(CompletenessError, 'reopen_reason'):
            road.press('claire', liquidation, 'reopen')
        road.write('claire', liquidation, reopen_reason="Facture retrouvée")
        road.press('claire', liquidation, 'reopen')

    def correct(self, realised):
        road = self.road
        report = road.report(self.dossier.convention)
        road.write('claire', report, reopen_reason="Facture retrouvée")
        road.press('claire', report, 'reopen')
        liquidation, = self.dossier.tranche.liquidations
        self.assertTrue(liquidation.stale)
        road.fill_report(road.fresh(report), Decimal(realised))
        road.press('claire', report, 'accept')

    def test_report_reopened(self):
        road = self.road
        liquidation = self.settle(15000)
        self.correct(16000)
        self.assertTrue(road.fresh(liquidation).stale)
        self.assertIn('liquidation', self.blockers())
        self.reopen(liquidation)
        road.press('claire', liquidation, 'notify')
        road.write(
            'claire', liquidation, observations="D’accord.",
            observations_on=road.today, answer="Merci.")
        road.press('claire', liquidation, 'establish')
        self.assertEqual(self.amounts, [
                ('advance', Decimal(5000), 'cancelled'),
                ('balance', Decimal(8000), 'planned')])
        self.assertEqual(self.dossier.tranche.reduction, Decimal(2000))
        self.assertEqual(self.dossier.commitment.amount, Decimal(8000))

    def test_same_again(self):
        "A report that says the same again changes nothing"
        liquidation = self.settle(15000)
        self.correct(15000)
        self.assertFalse(self.road.fresh(liquidation).stale)
        self.assertNotIn('liquidation', self.blockers())

    def test_more_after_the_payment(self):
        "A right that grows after the balance was paid is paid too"
        road = self.road
        liquidation = self.settle(15000)
        road.to_paid(self.payments.balance)
        self.correct(18000)
        self.reopen(liquidation)
        road.press('claire', liquidation, 'notify')
        road.write(
            'claire', liquidation, observations="D’accord.",
            observations_on=road.today, answer="Merci.")
        road.press('claire', liquidation, 'establish')
        self.assertEqual(self.amounts, [
                ('advance', Decimal(5000), 'cancelled'),
                ('balance', Decimal(7500), 'paid'),
                ('balance', Decimal(1500), 'planned')])

    def test_closed_too_early(self):
        "A convention is not closed while something of it is open"
        road, convention = self.road, self.dossier.convention
        road.press('claire', convention, 'start_closing')
        with self.refused(CompletenessError, 'convention_close') as raised:
            road.press('marc', convention, 'close')
        self.assertIn(
            road.report(convention).rec_name, raised.exception.message)
        self.settle(15000)
        road.to_paid(self.payments.balance)
        report = road.report(convention)
        road.write('claire', report, reopen_reason="Facture retrouvée")
        road.press('claire', report, 'reopen')
        road.fill_report(road.fresh(report), Decimal(16000))
        road.press('claire', report, 'accept')
        with self.refused(CompletenessError, 'convention_close') as raised:
            road.press('marc', convention, 'close')
        liquidation, = self.dossier.tranche.liquidations
        self.assertIn(liquidation.rec_name, raised.exception.message)

    def test_under_way(self):
        road = self.road
        liquidation = self.settle(15000)
        road.press('claire', self.payments.balance, 'certify')
        road.write('claire', liquidation, reopen_reason="Erreur")
        with self.refused(FrozenError, 'liquidation_under_way'):
            road.press('claire', liquidation, 'reopen')


class PenaltyTestCase(LiquidationCase):
    "A missed undertaking costs 5 % of the grant"

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        missed, other = convention.conditions
        road.write('claire', missed, penalty_rate=Decimal('0.05'))
        road.agree(convention)
        convention = road.vote_and_sign(application.number)
        road.number_commitments(convention)
        cls.dossier = Dossier.of(road.fresh(convention))
        advance, balance = cls.dossier.convention.instalments
        cls.payments = Dossier(
            advance=advance, balance=balance, missed=missed)
        set_state(
            other, 'met', submitted_on=road.today, verified_on=road.today)

    def miss(self):
        road, missed = self.road, self.payments.missed
        road.write('claire', missed, verdict_reason="Gobelets jetables")
        road.press('claire', missed, 'fail')

    def test_penalty(self):
        road = self.road
        road.to_paid(self.payments.advance)
        self.miss()
        self.assertIn('condition', self.blockers())
        liquidation = self.settle(20000)
        self.assertEqual(liquidation.acquired, Decimal(9500))
        line, = [x for x in liquidation.lines if x.code == 'penalty']
        self.assertEqual(line.amount, Decimal(-500))
        self.assertEqual(line.origin, self.payments.missed)
        self.assertEqual(self.blockers(), set())
        balance = self.payments.balance
        self.assertIsNotNone(balance.due_since)
        self.assertEqual(
            Pool().get('grant.instalment').search([
                    ('id', '=', balance.id),
                    ('due_since', '=', balance.due_since)]), [balance])
        road.to_paid(balance)
        self.assertEqual(
            self.dossier.convention.paid_amount, Decimal(9500))

    def test_missed_afterwards(self):
        "Settled too early: the balance is held back again"
        set_state(
            self.payments.missed, 'met', submitted_on=self.road.today,
            verified_on=self.road.today)
        liquidation = self.settle(20000)
        self.assertEqual(self.blockers(), set())
        self.road.press('claire', self.payments.missed, 'reopen')
        self.miss()
        self.assertTrue(self.road.fresh(liquidation).stale)
        self.assertLessEqual({'liquidation', 'condition'}, self.blockers())
