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

    def test_proposed_on(self):
        "The form and the list say when it was proposed"
        pool = Pool()
        Recovery = pool.get('grant.recovery')
        ModelData = pool.get('ir.model.data')
        self.assertEqual(self.propose().proposed_on, self.road.today)
        for type_ in ['form', 'list']:
            with self.road.as_user('claire'):
                view = Recovery.fields_view_get(ModelData.get_id(
                        'pacte_grants', f'recovery_view_{type_}'))
            self.assertIn('<field name="proposed_on"', view['arch'])

    def test_cancelled_action(self):
        "Nothing was spent: all that was paid comes back"
        recovery = self.propose(0)
        self.assertEqual(
            (recovery.cause, recovery.amount), ('cancelled', Decimal(5000)))

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

    def test_known(self):
        "The limitation counts from what was found, never from later"
        road, day = self.road, dt.timedelta(days=1)
        recovery = self.propose()
        today = road.today
        self.assertEqual(recovery.known_on, today)
        for date in [
                today + day, today.replace(year=today.year + 10)]:
            with self.refused(PeriodError, 'recovery_known'):
                road.write('claire', recovery, known_on=date)
        with self.refused(FrozenError):
            road.write('claire', recovery, proposed_on=today + day)
        set_state(recovery, 'draft', proposed_on=today - 3 * day)
        with self.refused(PeriodError, 'recovery_known'):
            road.write('claire', recovery, known_on=today - 2 * day)
        road.write('claire', recovery, known_on=today - 3 * day)
        with road.system():
            event, = Pool().get('grant.event').search([
                    ('record', '=', str(recovery)),
                    ('name', '=', 'known_on')])
        self.assertEqual(event.user, road.users['claire'])

    def test_known_by_the_liquidation(self):
        "When the partner was told, not when the balance was settled"
        road = self.road
        told = road.today - dt.timedelta(days=20)
        self.accept(8000)
        liquidation = self.liquidate()
        road.press('claire', liquidation, 'notify')
        set_state(
            liquidation, 'notified', notified_on=told,
            comment_until=told + dt.timedelta(days=15))
        road.press('claire', liquidation, 'establish')
        self.assertEqual(self.recovery.known_on, told)

    def test_known_by_the_breach(self):
        road = self.road
        day = road.today
        procedure = self.breach()
        self.decide(procedure)
        self.assertEqual(self.recovery.known_on, day)
        self.assertEqual(self.recovery.cause, 'breach')

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

    def withhold(self, recovery, left_out=False, instalment=None):
        "Prepare the recovery to be withheld, with or without the clause."
        self.road.write(
            'paul', recovery, order_number='T-12',
            offset_instalment=(instalment or self.payments.advance).id)
        table = Pool().get('grant.convention.clause').__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.left_out], [left_out],
                where=table.code == 'SANCTIONS_COMPENSATION'))
        forget()

    def test_withheld_twice(self):
        """Two recoveries of 4 000 € are not withheld from one payment of
        5 000 €, one after the other or at once"""
        road = self.road
        first = self.confirm(self.propose())
        with road.system():
            second, = first.copy([first], default={
                    'convention': first.convention.id,
                    'cause': 'overpayment', 'amount': Decimal(1)})
        set_state(self.payments.balance, 'paid')
        for recovery in [first, second]:
            set_state(recovery, 'confirmed', amount=Decimal(4000))
            self.withhold(recovery)
        with self.refused(AmountError, 'recovery_withheld'):
            road.press('paul', [first, second], 'set_off')
        road.press('paul', first, 'set_off')
        self.assertState(first, 'offset')
        with self.refused(AmountError, 'recovery_withheld'):
            road.press('paul', second, 'set_off')
        set_state(second, 'confirmed', amount=Decimal(1000))
        road.press('paul', second, 'set_off')
        self.assertState(second, 'offset')

    def test_withheld_refused(self):
        "Another convention, too small a payment, no clause"
        road = self.road
        recovery = self.confirm(self.propose())
        self.withhold(recovery, left_out=True)
        with self.refused(CompletenessError, 'recovery_clause'):
            road.press('paul', recovery, 'set_off')
        self.withhold(recovery)
        for instalment, values in [
                (self.payments.balance, {}),
                (self.payments.advance, {'amount': Decimal('999.99')}),
                ]:
            before = {name: getattr(instalment, name) for name in values}
            set_state(instalment, instalment.state, **values)
            set_state(
                recovery, 'confirmed', offset_instalment=instalment.id)
            with self.refused(AmountError, 'recovery_withheld'):
                road.press('paul', recovery, 'set_off')
            set_state(instalment, instalment.state, **before)
        with road.system():
            road.session = road.create_session()
        other = road.to_active()
        foreign = set_state(other.instalments[0], 'paid')
        set_state(recovery, 'confirmed', offset_instalment=foreign.id)
        with self.refused(AmountError, 'recovery_withheld'):
            road.press('paul', recovery, 'set_off')
        self.assertState(recovery, 'confirmed')

    @property
    def asked(self):
        "What is recovered of the convention (euros)."
        forget()
        return sum((
                r.amount for r in self.dossier.convention.recoveries
                if r.state not in {'remitted', 'written_off', 'abandoned'}),
            Decimal(0))

    def open_procedure(self, kind, **values):
        road = self.road
        with road.as_user('claire'):
            procedure, = Pool().get('grant.procedure').create([{
                        'convention': self.dossier.convention.id,
                        'kind': kind,
                        'facts': "Les faits.",
                        **values}])
        return road.fresh(procedure)

    def decide(self, procedure, **values):
        road = self.road
        road.press('claire', procedure, 'notify')
        road.write(
            'claire', procedure, observations="D’accord.",
            observations_on=road.today, **values)
        road.press('claire', procedure, 'hear')
        road.write(
            'marc', procedure, outcome='upheld', decision="Établi.")
        road.press('marc', procedure, 'decide')
        return road.fresh(procedure)

    def breach(self):
        road = self.road
        procedure = self.open_procedure('cer_breach')
        road.write('claire', procedure, breach_date=road.today)
        return road.fresh(procedure)

    def test_breach_after_overpayment(self):
        "1 000 € of 5 000 € come back already: 4 000 € are left to repay"
        road = self.road
        procedure = self.breach()
        self.assertEqual(procedure.lines[0].to_repay, Decimal(5000))
        self.propose()
        with self.refused(AmountError, 'procedure_amounts_moved'):
            road.press('claire', procedure, 'notify')
        road.press('claire', procedure, 'compute')
        line, = road.fresh(procedure).lines
        self.assertEqual(
            (line.paid, line.to_repay), (Decimal(4000), Decimal(4000)))
        self.decide(procedure)
        self.assertEqual(self.asked, Decimal(5000))

    def test_breach_after_remission(self):
        "What was given up is asked for again"
        recovery = self.propose()
        procedure = self.breach()
        for state, to_repay in [
                ('settled', 4000), ('remitted', 5000), ('offset', 4000),
                ('written_off', 5000), ('abandoned', 5000)]:
            set_state(recovery, state)
            self.road.press('claire', procedure, 'compute')
            line, = self.road.fresh(procedure).lines
            self.assertEqual(line.to_repay, Decimal(to_repay), state)

    def test_overpayment_after_termination(self):
        "400 € come back by the termination: the report finds 600 € more"
        road = self.road
        self.accept(8000)
        convention = self.dossier.convention
        procedure = self.open_procedure('termination')
        line, = procedure.lines
        road.write(
            'claire', line, to_repay=Decimal(400), reason="Sans emploi")
        self.decide(procedure, notice_agreed_on=road.today)
        self.assertEqual(self.asked, Decimal(400))
        set_state(convention, 'closing')
        with road.system():
            liquidation, = Pool().get('grant.liquidation').open(
                [self.dossier.tranche])
        if liquidation.is_reduced:
            road.press('claire', liquidation, 'notify')
            road.write(
                'claire', liquidation, observations="D’accord.",
                observations_on=road.today, answer="Merci.")
        road.press('claire', liquidation, 'establish')
        self.assertEqual(
            road.fresh(liquidation).overpayment, Decimal(1000))
        self.assertEqual(self.asked, Decimal(1000))
        found, = road.fresh(liquidation).recoveries
        self.assertEqual(self.confirm(found).amount, Decimal(600))

    def test_never_above_paid(self):
        "Whatever proposes it"
        recovery = self.propose()
        for amount in [Decimal('4000.01'), Decimal(4000)]:
            values = {
                'convention': recovery.convention.id,
                'cause': 'termination', 'amount': amount}
            with self.road.system():
                Recovery = Pool().get('grant.recovery')
                if amount > 4000:
                    with self.refused(AmountError, 'recovery_above_paid'):
                        Recovery.create([values])
                else:
                    Recovery.create([values])
        self.assertEqual(self.asked, Decimal(5000))

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
                ('liquidation', None), ('convention', None),
                ('cause', 'no_award')]:
            with self.refused(FrozenError):
                self.road.write('claire', recovery, **{name: value})
        with self.forbidden(), self.road.as_user('claire'):
            Pool().get('grant.recovery').delete([recovery])
        with self.forbidden(), self.road.as_user('claire'):
            Pool().get('grant.recovery').create([{
                        'convention': self.dossier.convention.id,
                        'cause': 'overpayment', 'amount': Decimal(1)}])
