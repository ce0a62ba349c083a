# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"An advance is voted and paid before the award of its year."
import datetime as dt
from decimal import Decimal
from unittest.mock import patch

from trytond.modules.pacte_grants.exceptions import (
    AmountError, CeilingError, CompletenessError, FrozenError,
    TransitionError)
from trytond.pool import Pool

from .refusal import forget
from .road import USERS
from .test_amendment import YearsCase


class AdvanceCase(YearsCase):
    """30 000 € a year, half as advance: 10 000 € are voted before the award
    of the second year."""

    def setUp(self):
        super().setUp()
        road = self.road
        application = road.submit(self.request_next_year())
        road.press('claire', application, 'admit')
        self.application_id = application.id
        self.session = self.create_session()

    @property
    def application(self):
        forget()
        return Pool().get('grant.application')(self.application_id)

    @property
    def tranche(self):
        forget()
        return self.convention.tranches[1]

    @property
    def instalments(self):
        return [
            (i.kind, i.amount, bool(i.advance_decision), i.state)
            for i in self.tranche.instalments]

    @property
    def recoveries(self):
        forget()
        return Pool().get('grant.recovery').search([])

    def create_session(self):
        with self.road.system():
            return self.road.create_session()

    def propose(self, amount=10000):
        road = self.road
        deliberation = road.create_deliberation(self.session)
        road.write(
            'claire', self.application, advance_amount=Decimal(amount),
            next_deliberation=deliberation.id)
        road.press('marc', self.application, 'propose_advance')
        return road.fresh(deliberation)

    def hold(self):
        if self.road.fresh(self.session).state == 'draft':
            self.road.hold(self.session)

    def vote(self, amount=10000, **values):
        "Vote the advance; return its deliberation."
        road = self.road
        deliberation = self.propose(amount)
        self.hold()
        if values:
            decision, = deliberation.decisions
            road.write('sophie', decision, **values)
        return road.vote(deliberation)

    def notify(self, amount=10000):
        road = self.road
        deliberation = road.make_executory(self.vote(amount))
        road.press('claire', self.tranche, 'notify_advance')
        road.number_commitments(self.convention)
        return deliberation

    def pay(self):
        self.notify()
        forget()
        advance = self.tranche.instalments[0]
        with patch(
                'trytond.modules.pacte_grants.payment.Envelope'
                '.check_payment_credits'):
            return self.road.to_paid(advance)

    def award(self, outcome='granted', amount=30000):
        "Propose the award and carry it to its vote."
        road = self.road
        road.write(
            'claire', self.application, proposed_amount=Decimal(amount))
        road.press('claire', self.application, 'review')
        session = self.create_session()
        deliberation = road.create_deliberation(session)
        road.schedule(self.application, deliberation)
        road.hold(session)
        decision, = road.fresh(deliberation).decisions
        road.write('sophie', decision, outcome=outcome)
        return road.vote(road.fresh(deliberation))


class VoteTestCase(AdvanceCase):

    def test_reserved(self):
        "On the agenda it reserves its envelope; the application goes on"
        deliberation = self.propose()
        decision, = deliberation.decisions
        self.assertEqual(decision.kind, 'advance')
        self.assertEqual(decision.commitment.state, 'reserved')
        self.assertEqual(decision.commitment.amount, 10000)
        self.assertState(self.application, 'admissible')

    def test_covered(self):
        "The vote lets its amount be paid, cut from the advance foreseen"
        self.vote()
        self.assertEqual(self.tranche.status, 'indicative')
        self.assertEqual(self.tranche.advance_amount, 10000)
        self.assertEqual(self.application.granted_amount, 10000)
        self.assertEqual(self.instalments, [
                ('advance', Decimal(10000), True, 'planned'),
                ('advance', Decimal(5000), False, 'planned'),
                ('balance', Decimal(15000), False, 'planned'),
                ])
        advance, rest, balance = self.tranche.instalments
        codes = {b.code for b in advance.blockers}
        self.assertIn('not_executory', codes)
        self.assertIn('tranche_not_notified', codes)
        self.assertNotIn('not_voted', codes)
        for instalment in [balance, rest]:
            self.assertIn(
                'not_voted', {b.code for b in instalment.blockers})

    def test_notified(self):
        "The delay of payment starts with the notification of the advance"
        self.notify()
        advance, _, balance = self.tranche.instalments
        self.assertEqual(advance.notified_on, self.today)
        self.assertEqual(advance.due_since, self.today)
        self.assertFalse(advance.blockers)
        self.assertIsNone(balance.due_since)
        Instalment = Pool().get('grant.instalment')
        for name in ['notified_on', 'due_since']:
            found = Instalment.search([
                    ('tranche', '=', self.tranche.id),
                    (name, '=', self.today)])
            self.assertEqual(found, [advance])
        self.assertEqual(
            [v.cause for v in self.convention.text_versions],
            ['vote', 'notified'])

    def test_too_early(self):
        deliberation = self.vote()
        with self.refused(CompletenessError, 'convention_not_executory'):
            self.road.press('claire', self.tranche, 'notify_advance')
        self.road.make_executory(deliberation)
        self.road.press('claire', self.tranche, 'notify_advance')
        with self.forbidden():
            self.road.press('claire', self.tranche, 'notify_advance')

    def test_above_schedule(self):
        "No more than the convention foresees"
        with self.refused(CeilingError, 'advance_above_schedule'):
            self.propose(15001)

    def test_voted_above_schedule(self):
        road = self.road
        deliberation = self.propose(15000)
        self.hold()
        decision, = deliberation.decisions
        road.write('sophie', decision, amount=Decimal(15001))
        with self.refused(CeilingError, 'advance_above_schedule'):
            road.vote(deliberation)

    def test_lower_vote(self):
        deliberation = self.propose(10000)
        self.hold()
        decision, = deliberation.decisions
        self.road.write('sophie', decision, amount=Decimal('3333.33'))
        self.road.vote(deliberation)
        self.assertEqual(
            [i[1] for i in self.instalments],
            [Decimal('3333.33'), Decimal('11666.67'), Decimal(15000)])

    def test_by_whom(self):
        "The buttons of the advance are for officers and their managers"
        road = self.road
        self.propose()
        for login in USERS.keys() - {'claire', 'olivier', 'marc'}:
            for record, button in [
                    (self.application, 'propose_advance'),
                    (self.application, 'withdraw_advance')]:
                with self.subTest(login=login, button=button):
                    with self.forbidden():
                        road.press(login, record, button)
        road.press('marc', self.application, 'withdraw_advance')
        road.make_executory(self.vote())
        for login in USERS.keys() - {'claire', 'olivier', 'marc'}:
            with self.subTest(login=login), self.forbidden():
                road.press(login, self.tranche, 'notify_advance')

    def test_once(self):
        "One advance a year, on one agenda"
        self.propose()
        with self.refused(FrozenError, 'advance_already'):
            self.propose()
        self.road.press('marc', self.application, 'withdraw_advance')
        self.vote()
        self.session = self.create_session()
        with self.refused(FrozenError, 'advance_already'):
            self.propose()

    def test_refused(self):
        self.vote(outcome='refused')
        self.assertEqual(self.tranche.advance_amount, 0)
        self.assertEqual(
            [i[1:3] for i in self.instalments],
            [(Decimal(15000), False), (Decimal(15000), False)])
        decision, = self.application.decisions
        self.assertEqual(decision.commitment.state, 'released')

    def test_nothing(self):
        with self.forbidden():
            self.propose(0)

    def test_founding_year(self):
        "The year of the convention itself has no advance before its award"
        first, = [
            a for a in self.convention.applications
            if a.year == self.years[0]]
        with self.refused(TransitionError):
            self.road.press('marc', first, 'propose_advance')

    def test_undone(self):
        "A vote recorded by mistake gives the instalments back to the award"
        deliberation = self.vote()
        self.road.press('sophie', deliberation, 'unvote')
        self.assertFalse(any(i[2] for i in self.instalments))
        self.assertEqual(
            sum(i[1] for i in self.instalments), Decimal(30000))
        self.road.vote(self.road.fresh(deliberation))
        self.assertEqual(self.tranche.advance_amount, 10000)
        self.assertEqual(
            [i[1] for i in self.instalments if i[2]], [Decimal(10000)])

    def test_undone_too_late(self):
        road = self.road
        deliberation = self.notify()
        road.press('sophie', deliberation, 'correct_act')
        with self.refused(FrozenError, 'vote_undo_notified'):
            road.press('sophie', deliberation, 'unvote')


class AwardTestCase(AdvanceCase):

    def test_rest(self):
        "The award votes the rest: both add up to the grant of the year"
        self.pay()
        deliberation = self.award()
        decision, = deliberation.decisions
        self.assertEqual(decision.amount, 20000)
        self.assertEqual(self.tranche.status, 'voted')
        self.assertEqual(self.tranche.amount, 30000)
        self.assertEqual(self.application.granted_amount, 30000)
        self.assertEqual(sum(
                d.commitment.amount for d in self.application.decisions),
            30000)
        self.assertFalse(self.recoveries)
        report, = self.tranche.financial_reports
        self.assertEqual(
            sorted((li.heading.code, li.forecast) for li in report.lines),
            sorted(
                (li.heading.code, li.amount)
                for li in self.application.budget_lines))
        self.assertTrue(report.lines)
        self.assertEqual(
            report.eligible_forecast, self.application.eligible_cost)
        self.road.make_executory(deliberation)
        self.road.press('claire', self.tranche, 'notify')
        self.assertEqual(
            sum(i[1] for i in self.instalments), Decimal(30000))

    def test_undone_award(self):
        deliberation = self.notify() and self.award()
        self.road.press('sophie', deliberation, 'unvote')
        self.assertEqual(self.tranche.status, 'indicative')
        self.assertEqual(self.tranche.amount, 30000)
        self.assertEqual(self.tranche.advance_amount, 10000)
        self.assertEqual(
            [i[1] for i in self.instalments if i[2]], [Decimal(10000)])

    def test_on_agenda(self):
        "The award waits for the vote of the advance"
        road = self.road
        self.propose()
        road.write(
            'claire', self.application, proposed_amount=Decimal(30000))
        road.press('claire', self.application, 'review')
        deliberation = road.create_deliberation(self.session)
        with self.refused(FrozenError, 'advance_on_agenda'):
            road.schedule(self.application, deliberation)

    def test_below_advance(self):
        "An award below the advance is not proposed"
        road = self.road
        self.vote()
        Convention = Pool().get('grant.convention')
        with road.system():
            Convention.set_voted_amount(
                self.convention, self.years[1], Decimal(8000))
        road.write(
            'claire', self.application, proposed_amount=Decimal(8000))
        road.press('claire', self.application, 'review')
        deliberation = road.create_deliberation(self.create_session())
        with self.refused(AmountError, 'advance_above_award'):
            road.schedule(self.application, deliberation)

    def test_never_unpaid(self):
        "What was not paid goes back to the envelope"
        self.notify()
        self.award('refused')
        self.assertFalse(any(i[2] for i in self.instalments))
        self.assertEqual(self.tranche.advance_amount, 0)
        self.assertIsNone(self.tranche.advance_notified_on)
        self.assertFalse(self.recoveries)

    def test_refused_then_undone(self):
        "The refusal was a mistake: the advance stands again"
        self.notify()
        deliberation = self.award('refused')
        self.road.press('sophie', deliberation, 'unvote')
        self.assertEqual(self.tranche.advance_amount, 10000)
        self.assertEqual(
            [i[1] for i in self.instalments if i[2]], [Decimal(10000)])


class RecoveryTestCase(AdvanceCase):

    def test_refused(self):
        "The award is refused: what was paid is to be recovered, to the cent"
        self.pay()
        self.award('refused')
        recovery, = self.recoveries
        self.assertEqual(recovery.cause, 'no_award')
        self.assertEqual(recovery.amount, 10000)
        self.assertEqual(recovery.tranche, self.tranche)
        self.assertEqual(recovery.known_on, self.today)
        self.assertIn("Aucune attribution", recovery.facts)
        self.assertState(recovery, 'draft')

    def test_heard_and_decided(self):
        road = self.road
        self.pay()
        self.award('refused')
        recovery, = self.recoveries
        road.press('claire', recovery, 'notify')
        recovery = road.fresh(recovery)
        self.assertGreater(recovery.reply_until, road.today)
        road.write(
            'claire', recovery, observations="Nous rembourserons.",
            observations_on=road.today)
        road.write('marc', recovery, decision="Aucune attribution.")
        road.press('marc', recovery, 'confirm')
        self.assertState(recovery, 'confirmed')

    def test_withdrawn(self):
        road = self.road
        self.pay()
        road.write(
            'claire', self.application, withdrawal_reason="Projet annulé")
        road.press('claire', self.application, 'withdraw')
        recovery, = self.recoveries
        self.assertEqual(recovery.amount, 10000)

    def test_on_agenda_withdrawn(self):
        "Who gives up takes the advance off the agenda"
        road = self.road
        deliberation = self.propose()
        road.write(
            'claire', self.application, withdrawal_reason="Projet annulé")
        road.press('claire', self.application, 'withdraw')
        decision, = road.fresh(deliberation).decisions
        self.assertEqual(decision.outcome, 'removed')
        self.assertEqual(decision.commitment.state, 'released')
        self.assertFalse(self.recoveries)

    def test_year_over(self):
        "Once the year is over without award; given up if it comes after all"
        Recovery = Pool().get('grant.recovery')
        self.pay()
        Recovery.propose_daily()
        self.assertFalse(self.recoveries)
        Date = Pool().get('ir.date')
        later = dt.date(self.years[2], 1, 2)
        with patch.object(Date, 'today', return_value=later):
            Recovery.propose_daily()
            Recovery.propose_daily()
        recovery, = self.recoveries
        self.assertEqual(recovery.amount, 10000)
        self.award()
        self.assertState(recovery, 'abandoned')
        self.assertIn("Plus rien", self.road.fresh(recovery).abandon_reason)

    def test_terminated(self):
        "The convention ends before the award of the year"
        road = self.road
        self.pay()
        procedure = road.hear_termination(self.convention, "Cessation")
        road.press('marc', procedure, 'decide')
        recovery, = [
            r for r in self.recoveries if r.cause == 'no_award']
        self.assertEqual(recovery.amount, 10000)
