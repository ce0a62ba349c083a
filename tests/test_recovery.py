# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What was paid above the right acquired comes back, to the cent."
import datetime as dt
from decimal import Decimal

from trytond.modules.pacte_grants.exceptions import (
    AmountError, CompletenessError, DutyError, FrozenError, PeriodError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import forget, set_state
from .test_liquidation import LiquidationCase


class RecoveryCase(LiquidationCase):
    "8 000 € of 20 000 €: 4 000 € acquired, 5 000 € paid, 1 000 € to recover"

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.road.to_paid(cls.payments.advance)

    def propose(self, realised=8000):
        self.settle(realised)
        return self.recovery

    @property
    def recovery(self):
        forget()
        recovery, = Pool().get('grant.recovery').search([
                ('state', 'in', ['draft', 'notified', 'confirmed'])])
        return recovery

    def confirm(self, recovery):
        road = self.road
        road.press('claire', recovery, 'notify')
        road.write('marc', recovery, decision="Dépenses inférieures")
        road.press('marc', recovery, 'confirm')
        return road.fresh(recovery)


class RecoveryTestCase(RecoveryCase):

    def test_proposed(self):
        "The excess is the recovery that is proposed"
        recovery = self.propose()
        self.assertEqual(recovery.amount, Decimal(1000))
        self.assertEqual(recovery.cause, 'overpayment')
        self.assertState(recovery, 'draft')
        self.assertIn("Trop-perçu", recovery.facts)
        self.assertEqual(recovery.whose_turn, 'officer')
        self.assertEqual(
            recovery.limitation_on.year, self.road.today.year + 5)

    def test_nothing_to_recover(self):
        self.settle(15000)
        self.assertFalse(Pool().get('grant.recovery').search([]))

    def test_follows_the_calculation(self):
        "A corrected report corrects what is still in preparation"
        road = self.road
        recovery = self.propose()
        liquidation = recovery.liquidation
        report = road.report(self.dossier.convention)
        for realised, state, amount in [
                (9000, 'draft', 500), (20000, 'abandoned', 500)]:
            road.write('claire', report, reopen_reason="Facture retrouvée")
            road.press('claire', report, 'reopen')
            road.fill_report(road.fresh(report), Decimal(realised))
            road.press('claire', report, 'accept')
            road.write('claire', liquidation, reopen_reason="Facture")
            road.press('claire', liquidation, 'reopen')
            liquidation = road.fresh(liquidation)
            road.press('claire', liquidation, 'calculate')
            if road.fresh(liquidation).is_reduced:
                road.press('claire', liquidation, 'notify')
                road.write(
                    'claire', liquidation, observations="D’accord.",
                    observations_on=road.today, answer="Merci.")
            road.press('claire', liquidation, 'establish')
            self.assertState(recovery, state)
            self.assertEqual(
                road.fresh(recovery).amount, Decimal(amount))

    def test_recovered(self):
        road = self.road
        recovery = self.confirm(self.propose())
        self.assertState(recovery, 'confirmed')
        with self.refused(CompletenessError, 'recovery_order'):
            road.press('paul', recovery, 'settle')
        road.write(
            'paul', recovery, order_number='T-12', order_sent_on=road.today,
            settled_on=road.today)
        with self.forbidden():
            road.press('claire', recovery, 'settle')
        road.press('paul', recovery, 'settle')
        self.assertState(recovery, 'settled')

    def test_another_decides(self):
        road = self.road
        recovery = self.propose()
        road.press('marc', recovery, 'notify')
        road.write('marc', recovery, decision="Dépenses inférieures")
        with self.refused(DutyError, 'recovery_duty', "Marc"):
            road.press('marc', recovery, 'confirm')

    def test_hearing(self):
        "A partner that was not heard on the calculation is heard first"
        road = self.road
        recovery = self.propose()
        set_state(
            recovery.liquidation, 'established', notified_on=None)
        road.press('claire', recovery, 'notify')
        road.write('marc', recovery, decision="Dépenses inférieures")
        self.assertEqual(
            road.fresh(recovery).reply_until,
            road.today + dt.timedelta(days=15))
        with self.refused(PeriodError, 'recovery_hearing'):
            road.press('marc', recovery, 'confirm')
        road.write('claire', recovery, observations_on=road.today)
        road.press('marc', recovery, 'confirm')
        self.assertState(recovery, 'confirmed')

    def test_limitation(self):
        road = self.road
        recovery = self.propose()
        road.write(
            'claire', recovery,
            known_on=road.today - dt.timedelta(days=5 * 366))
        with self.refused(PeriodError, 'recovery_limitation'):
            road.press('claire', recovery, 'notify')

    def test_moved(self):
        "What is no longer owed is not decided"
        road = self.road
        recovery = self.propose()
        road.press('claire', recovery, 'notify')
        road.write('marc', recovery, decision="Dépenses inférieures")
        set_state(recovery.liquidation, 'established', stale=True)
        with self.refused(AmountError, 'recovery_amount'):
            road.press('marc', recovery, 'confirm')

    def test_withheld(self):
        "Only from the same convention, and where a clause allows it"
        road = self.road
        recovery = self.confirm(self.propose())
        road.write(
            'paul', recovery, order_number='T-12',
            offset_instalment=self.payments.advance.id)
        clause = next(
            c for c in self.dossier.convention.clauses
            if c.code == 'SANCTIONS_COMPENSATION')
        table = clause.__table__()
        cursor = Transaction().connection.cursor()
        for left_out in [True, False]:
            cursor.execute(*table.update(
                    [table.left_out], [left_out],
                    where=table.id == clause.id))
            forget()
            if left_out:
                with self.refused(CompletenessError, 'recovery_clause'):
                    road.press('paul', recovery, 'set_off')
        road.press('paul', recovery, 'set_off')
        self.assertState(recovery, 'offset')

    def test_remitted_and_written_off(self):
        road = self.road
        recovery = self.confirm(self.propose())
        with self.refused(CompletenessError, 'recovery_write_off'):
            road.press('paul', recovery, 'write_off')
        with self.refused(CompletenessError, 'recovery_remission'):
            road.press('paul', recovery, 'remit')
        road.write(
            'paul', recovery, remission_act='2026-CP-042',
            remission_on=road.today)
        road.press('paul', recovery, 'remit')
        self.assertState(recovery, 'remitted')

    def test_given_up(self):
        "Before the recovery order only"
        road = self.road
        recovery = self.confirm(self.propose())
        road.write('paul', recovery, order_number='T-12')
        road.write('marc', recovery, abandon_reason="Erreur")
        for button, reason in [
                ('abandon', 'abandon_reason'), ('reopen', 'reopen_reason')]:
            road.write('marc', recovery, **{reason: "Erreur"})
            with self.refused(FrozenError, 'recovery_ordered'):
                road.press('marc', recovery, button)
        road.write('paul', recovery, order_number=None)
        road.press('marc', recovery, 'abandon')
        self.assertState(recovery, 'abandoned')

    def test_never_typed(self):
        recovery = self.propose()
        for name, value in [
                ('amount', Decimal(1)), ('state', 'confirmed'),
                ('liquidation', None), ('convention', None)]:
            with self.refused(FrozenError):
                self.road.write('claire', recovery, **{name: value})
        with self.forbidden(), self.road.as_user('claire'):
            Pool().get('grant.recovery').delete([recovery])
        with self.forbidden(), self.road.as_user('claire'):
            Pool().get('grant.recovery').create([{
                        'convention': self.dossier.convention.id,
                        'cause': 'overpayment', 'amount': Decimal(1)}])
