# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Envelopes, tranches and payment credits: nothing goes above them."
import datetime as dt
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.exceptions import (
    BlockedError, CeilingError, CompletenessError, FrozenError,
    TransitionError)
from trytond.pool import Pool

from .refusal import Dossier, RefusalCase, forget

CENT = Decimal('0.01')


class FormTestCase(RefusalCase):
    "Two letters of 12 000 € to one association: a convention is due (L03)"

    @classmethod
    def prepare(cls):
        road = cls.road
        party = road.create_party()
        deliberation = road.create_deliberation()
        first, second = [
            road.prepare_letter(party, amount, deliberation)
            for amount in [Decimal(12000), Decimal(11000) + CENT]]
        cls.dossier = Dossier(first=first, second=second)

    def test_letters(self):
        for application in [self.dossier.first, self.dossier.second]:
            self.assertEqual(application.convention.form, 'letter')

    def test_one_after_the_other(self):
        road, dossier = self.road, self.dossier
        road.press('marc', dossier.first, 'schedule')
        with self.refused(
                CompletenessError, 'schedule_letter_too_large',
                dossier.second.rec_name):
            road.press('marc', dossier.second, 'schedule')

    def test_together(self):
        "A list of both is refused whole"
        road, dossier = self.road, self.dossier
        with self.refused(
                CompletenessError, 'schedule_letter_too_large',
                dossier.second.rec_name):
            road.press('marc', [dossier.first, dossier.second], 'schedule')
        self.assertState(dossier.first, 'reviewed')
        self.assertState(dossier.second, 'reviewed')

    def test_up_to_the_threshold(self):
        road, dossier = self.road, self.dossier
        road.write(
            'claire', dossier.second, proposed_amount=Decimal(11000))
        road.press('claire', dossier.second.convention, 'set_amounts')
        road.press('marc', [dossier.first, dossier.second], 'schedule')
        self.assertState(dossier.second, 'scheduled')


class EnvelopeTestCase(RefusalCase):
    "An envelope of 10 000 € and an agreed proposal of 8 000 €"

    @classmethod
    def prepare(cls):
        road = cls.road
        with road.system():
            cls.envelope_id = road.create_envelope(
                Decimal(10000), code='935').id
        application, convention = road.to_agreed(
            amount=Decimal(8000), envelope=cls.envelope_id)
        cls.dossier = Dossier(
            application=application, convention=convention)
        application, convention = road.to_agreed(
            amount=Decimal(2000) + CENT, envelope=cls.envelope_id)
        cls.other = Dossier(application=application, convention=convention)

    @property
    def envelope(self):
        forget()
        return Pool().get('grant.envelope')(self.envelope_id)

    @property
    def decision(self):
        forget()
        decision, = self.dossier.application.decisions
        return decision

    def add_movement(self, amount, login='paul', **values):
        with self.road.as_user(login):
            movement, = Pool().get('grant.envelope.movement').create([{
                        'envelope': self.envelope_id,
                        'kind': 'supplementary',
                        'date': self.road.today,
                        'amount': amount,
                        'payment_year': self.road.year,
                        'payment_credit': amount,
                        } | values])
        return movement

    def vote(self, amount=None):
        "Put the proposal on the agenda and vote the amount."
        road = self.road
        deliberation = road.schedule(self.dossier.application)
        if amount is not None:
            road.write('sophie', self.decision, amount=amount)
        road.hold()
        return road.vote(deliberation)

    def test_sums(self):
        self.road.schedule(self.dossier.application)
        self.assertEqual(self.envelope.authorised, Decimal(10000))
        self.assertEqual(self.envelope.reserved, Decimal(8000))
        self.assertEqual(self.envelope.committed, Decimal(0))
        self.assertEqual(self.envelope.available, Decimal(2000))

    def test_scheduled_above(self):
        "One cent above what is left, and the line is not on the agenda"
        road = self.road
        road.schedule(self.dossier.application)
        deliberation = road.create_deliberation()
        road.write(
            'claire', self.other.application,
            next_deliberation=deliberation.id)
        with self.refused(
                CeilingError, 'envelope_exceeded', self.envelope.rec_name):
            road.press('marc', self.other.application, 'schedule')
        self.assertState(self.other.application, 'reviewed')
        self.assertFalse(self.other.application.decisions)
        self.assertEqual(self.envelope.reserved, Decimal(8000))
        self.add_movement(CENT)
        road.press('marc', self.other.application, 'schedule')
        self.assertEqual(self.envelope.available, Decimal(0))

    def test_scheduled_together(self):
        "Two lines that fit one by one but not together: neither passes"
        road = self.road
        deliberation = road.create_deliberation()
        applications = [self.dossier.application, self.other.application]
        for application in applications:
            road.write(
                'claire', application, next_deliberation=deliberation.id)
        with self.refused(CeilingError, 'envelope_exceeded'):
            road.press('marc', applications, 'schedule')
        for application in applications:
            self.assertState(application, 'reviewed')
        self.assertEqual(self.envelope.reserved, Decimal(0))

    def test_refused_gives_back(self):
        road = self.road
        deliberation = road.schedule(self.dossier.application)
        road.write('sophie', self.decision, outcome='refused')
        road.hold()
        road.vote(deliberation)
        self.assertEqual(self.envelope.available, Decimal(10000))
        self.assertState(self.dossier.application, 'refused')
        self.assertEqual(self.dossier.application.granted_amount, 0)

    def test_voted_above(self):
        """A vote above the envelope is recorded, but commits, issues and
        pays nothing until a named person regularises it"""
        road = self.road
        deliberation = self.vote(amount=Decimal(12000))
        decision = self.decision
        self.assertEqual(decision.outcome, 'granted')
        self.assertEqual(decision.amount, Decimal(12000))
        self.assertTrue(decision.anomaly)
        self.assertEqual(decision.commitment.state, 'released')
        self.assertEqual(self.envelope.committed, Decimal(0))
        self.assertEqual(self.envelope.reserved, Decimal(0))
        self.assertState(self.dossier.application, 'granted')
        convention = self.dossier.convention
        self.assertEqual(convention.amount, Decimal(12000))
        self.assertEqual(
            sum(i.amount for i in convention.instalments), Decimal(12000))
        road.make_executory(deliberation)
        road.press('claire', convention, 'confirm_amount')
        with self.refused(
                CompletenessError, 'convention_not_issued',
                convention.rec_name, decision.anomaly):
            road.press('claire', convention, 'issue')
        codes = {
            b.code for i in self.dossier.convention.instalments
            for b in i.blockers}
        self.assertLessEqual({'anomaly', 'commitment'}, codes)

        with self.refused(
                CompletenessError, 'decision_regularisation_reason'):
            road.press('marc', self.decision, 'regularise')
        road.write(
            'paul', self.decision,
            regularisation_reason="Décision modificative n° 2")
        with self.refused(
                CeilingError, 'envelope_exceeded', self.envelope.rec_name):
            road.press('paul', self.decision, 'regularise')
        self.assertIsNone(self.decision.regularised_by)
        self.assertEqual(self.decision.commitment.state, 'released')

        self.add_movement(Decimal(2000))
        road.press('paul', self.decision, 'regularise')
        decision = self.decision
        self.assertEqual(decision.regularised_by, road.users['paul'])
        self.assertEqual(decision.commitment.state, 'committed')
        self.assertEqual(self.envelope.available, Decimal(0))
        override, = Pool().get('grant.override').search([
                ('record', '=', str(decision))])
        self.assertEqual(override.rule, 'envelope')
        self.assertEqual(override.user, road.users['paul'])
        self.assertEqual(override.reason, "Décision modificative n° 2")
        with self.refused(TransitionError, 'decision_no_anomaly'), \
                road.system():
            decision.__class__.regularise([decision])
        road.press('claire', self.dossier.convention, 'issue')
        self.assertState(self.dossier.convention, 'issued')

    def test_above_is_not_certified(self):
        "Even signed and notified it would not be paid"
        self.vote(amount=Decimal(12000))
        instalment = self.dossier.convention.instalments[0]
        with self.refused(
                BlockedError, 'instalment_blocked', instalment.rec_name):
            self.road.press('claire', instalment, 'certify')

    def test_regularised_without_anomaly(self):
        self.vote()
        with self.refused(
                TransitionError, 'decision_no_anomaly',
                self.decision.rec_name), self.road.system():
            self.decision.__class__.regularise([self.decision])

    def test_lower_votes_give_room(self):
        "In one deliberation what one line loses another may take"
        road = self.road
        self.add_movement(CENT)
        deliberation = road.create_deliberation()
        for dossier in [self.dossier, self.other]:
            road.schedule(dossier.application, deliberation)
        forget()
        first, = self.dossier.application.decisions
        second, = self.other.application.decisions
        road.write('sophie', first, amount=Decimal(9000))
        road.write('sophie', second, amount=Decimal(1000))
        road.hold()
        road.vote(deliberation)
        forget()
        self.assertFalse(road.fresh(first).anomaly)
        self.assertFalse(road.fresh(second).anomaly)
        self.assertEqual(self.envelope.committed, Decimal(10000))

    def test_movement_below_what_is_used(self):
        "What is reserved or committed stays covered, by every door"
        road = self.road
        pool = Pool()
        Envelope = pool.get('grant.envelope')
        Movement = pool.get('grant.envelope.movement')
        with road.system():
            empty = road.create_envelope(Decimal(1), code='936')
        road.schedule(self.dossier.application)
        movement, = self.envelope.movements
        doors = [
            lambda: Movement.delete([movement]),
            lambda: Movement.write([movement], {'amount': Decimal('7999')}),
            lambda: Movement.write([movement], {'envelope': empty.id}),
            lambda: Movement.create([{
                        'envelope': self.envelope_id, 'kind': 'transfer',
                        'date': road.today, 'amount': Decimal(-2000) - CENT,
                        'payment_year': road.year,
                        'payment_credit': Decimal(0)}]),
            lambda: Envelope.write([self.envelope], {
                    'movements': [('delete', [movement.id])]}),
            ]
        for index, door in enumerate(doors):
            for context in [road.as_user('paul'), road.system()]:
                with self.subTest(door=index):
                    with self.refused(
                            CeilingError, 'envelope_exceeded',
                            self.envelope.rec_name), context:
                        door()
        self.assertEqual(self.envelope.authorised, Decimal(10000))
        with road.as_user('paul'):
            Movement.write([movement], {'amount': Decimal(8000)})
        self.assertEqual(self.envelope.available, Decimal(0))

    def test_movement_three_decimals(self):
        with self.refused(UserError, None, self.envelope.code):
            self.add_movement(Decimal('1.005'))

    def test_deleted(self):
        "An envelope with a commitment stays"
        self.road.schedule(self.dossier.application)
        with self.refused(UserError), self.road.as_user('paul'):
            self.envelope.__class__.delete([self.envelope])

    def test_vote_with_another_amount(self):
        "The schedule follows to the cent, and both sides confirm"
        road = self.road
        for amount in [Decimal('3333.33'), Decimal('8000.01')]:
            with self.subTest(amount=amount):
                self.setUp()
                deliberation = self.vote(amount=amount)
                convention = self.dossier.convention
                tranche, = convention.tranches
                self.assertEqual(tranche.amount, amount)
                self.assertEqual(convention.amount, amount)
                first, second = [i.amount for i in convention.instalments]
                self.assertEqual(first + second, amount)
                self.assertLessEqual(abs(first - second), CENT)
                self.assertEqual(self.envelope.committed, amount)
                self.assertTrue(convention.amount_changed)
                road.make_executory(deliberation)
                with self.refused(
                        CompletenessError, 'convention_not_issued',
                        convention.rec_name):
                    road.press('claire', convention, 'issue')
                self.assertState(convention, 'agreed')
                road.press('claire', convention, 'confirm_amount')
                road.press('claire', convention, 'issue')
                self.assertState(convention, 'issued')
                self.doCleanups()

    def test_confirmed_twice(self):
        road = self.road
        self.vote(amount=Decimal(5000))
        convention = self.dossier.convention
        road.press('claire', convention, 'confirm_amount')
        with self.refused(TransitionError, None, convention.rec_name):
            road.press('olivier', convention, 'confirm_amount')
        self.assertEqual(
            self.dossier.convention.amount_confirmed_by,
            road.users['claire'])

    def test_unchanged_amount_needs_no_confirmation(self):
        self.vote()
        self.assertFalse(self.dossier.convention.amount_changed)
        with self.refused(TransitionError):
            self.road.press(
                'claire', self.dossier.convention, 'confirm_amount')

    def test_vote_without_amount(self):
        "A grant of nothing is not a grant"
        road = self.road
        deliberation = road.schedule(self.dossier.application)
        road.write('sophie', self.decision, amount=Decimal(0))
        road.hold()
        with self.refused(
                CompletenessError, 'vote_no_amount', self.decision.rec_name):
            road.vote(deliberation)
        self.assertState(deliberation, 'draft')

    def test_unvoted(self):
        "A vote recorded by mistake goes back to what was proposed"
        road = self.road
        for amount in [None, Decimal(5000), Decimal(12000)]:
            with self.subTest(amount=amount):
                self.setUp()
                deliberation = self.vote(amount=amount)
                road.press('sophie', deliberation, 'unvote')
                self.assertEqual(self.envelope.reserved, Decimal(8000))
                self.assertEqual(self.envelope.committed, Decimal(0))
                convention = self.dossier.convention
                self.assertIsNone(convention.frozen_on)
                self.assertFalse(convention.amount_changed)
                self.assertEqual(convention.amount, Decimal(8000))
                self.assertEqual(
                    sum(i.amount for i in convention.instalments),
                    Decimal(8000))
                self.assertState(self.dossier.application, 'scheduled')
                self.assertIsNone(self.decision.amount)
                self.doCleanups()

    def test_unvoted_after_issue(self):
        road = self.road
        deliberation = self.vote()
        road.write('sophie', deliberation, act_number='2026-CP-001')
        road.press('claire', self.dossier.convention, 'issue')
        with self.refused(
                FrozenError, 'convention_unfreeze',
                self.dossier.convention.rec_name):
            road.press('sophie', deliberation, 'unvote')
        self.assertState(deliberation, 'voted')


class TrancheTestCase(RefusalCase):
    "The instalments of an open convention of 10 000 €"

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        road.press('claire', convention, 'negotiate')
        objective = road.add_objective(convention)
        road.press('claire', objective, 'agree_partner')
        road.press('claire', objective, 'agree_department')
        cls.dossier = Dossier.of(road.fresh(convention))

    def amounts(self):
        forget()
        return [i.amount for i in self.dossier.convention.instalments]

    def test_above_the_tranche(self):
        "Never more than the tranche, at any write"
        road, dossier = self.road, self.dossier
        Instalment = dossier.instalment.__class__
        doors = [
            lambda: Instalment.write(
                [dossier.instalment], {'amount': Decimal(5000) + CENT}),
            lambda: Instalment.create([{
                        'convention': dossier.convention.id,
                        'tranche': dossier.tranche.id,
                        'kind': 'interim', 'amount': CENT}]),
            lambda: dossier.convention.__class__.write(
                [dossier.convention], {
                    'instalments': [('write', [dossier.instalment.id], {
                                'amount': Decimal(6000)})]}),
            lambda: dossier.tranche.__class__.write(
                [dossier.tranche], {'amount': Decimal(9999)}),
            ]
        for index, door in enumerate(doors):
            for context in [road.as_user('claire'), road.system()]:
                with self.subTest(door=index):
                    with self.refused(
                            CeilingError, 'tranche_exceeded',
                            dossier.tranche.rec_name), context:
                        door()
        self.assertEqual(self.amounts(), [Decimal(5000), Decimal(5000)])

    def test_below_until_agreed(self):
        "Less is allowed while a line is cut in two, but not agreed on"
        road, dossier = self.road, self.dossier
        road.write('claire', dossier.instalment, amount=Decimal(3000))
        with self.refused(
                CompletenessError, 'convention_not_agreed',
                dossier.convention.rec_name):
            road.press('claire', dossier.convention, 'agree')
        self.assertState(dossier.convention, 'negotiation')
        with road.as_user('claire'):
            dossier.instalment.__class__.create([{
                        'convention': dossier.convention.id,
                        'tranche': dossier.tranche.id,
                        'kind': 'interim', 'amount': Decimal(2000)}])
        road.press('claire', dossier.convention, 'agree')
        self.assertState(dossier.convention, 'agreed')

    def test_conditions_follow(self):
        """A balance typed by hand is held back by the conditions like that
        of the scheme; so is one that becomes the balance"""
        road, dossier = self.road, self.dossier
        Instalment = dossier.instalment.__class__
        advance, balance = dossier.convention.instalments
        self.assertEqual(len(balance.conditions), 2)
        self.assertFalse(advance.conditions)
        with road.as_user('claire'):
            Instalment.delete([balance])
            balance, = Instalment.create([{
                        'convention': dossier.convention.id,
                        'tranche': dossier.tranche.id,
                        'kind': 'balance', 'amount': Decimal(5000)}])
        forget()
        self.assertEqual(len(Instalment(balance.id).conditions), 2)
        road.write('claire', balance, kind='interim')
        forget()
        self.assertFalse(Instalment(balance.id).conditions)
        road.write('claire', balance, kind='balance')
        forget()
        self.assertEqual(len(Instalment(balance.id).conditions), 2)

    def test_other_proposal(self):
        "The text is not agreed on another amount than the proposal"
        road, dossier = self.road, self.dossier
        road.write(
            'claire', dossier.application, proposed_amount=Decimal(9000))
        with self.refused(
                CompletenessError, 'convention_not_agreed',
                dossier.convention.rec_name):
            road.press('claire', dossier.convention, 'agree')
        road.press('claire', dossier.convention, 'set_amounts')
        self.assertEqual(sum(self.amounts()), Decimal(9000))
        road.press('claire', dossier.convention, 'agree')

    def test_touched_objective(self):
        "A later touch by one side undoes the agreement of both"
        road, dossier = self.road, self.dossier
        self.assertTrue(dossier.objective.agreed)
        for record, values in [
                (dossier.objective, {'title': "Autre"}),
                (dossier.indicator, {'target': Decimal(1)})]:
            with self.subTest(record=record.__name__):
                self.setUp()
                road.write('claire', record, **values)
                forget()
                self.assertFalse(dossier.objective.partner_agreed_on)
                self.assertFalse(dossier.objective.department_agreed_on)
                with self.refused(
                        CompletenessError, 'convention_not_agreed'):
                    road.press('claire', dossier.convention, 'agree')
                self.doCleanups()


class CreditTestCase(RefusalCase):
    "An active convention of 10 000 € with payment credits of 5 000 €"

    @classmethod
    def prepare(cls):
        road = cls.road
        with road.system():
            envelope = road.create_envelope(
                Decimal(10000), credit=Decimal(5000), code='937')
        convention = road.to_active(envelope=envelope.id)
        for condition in convention.conditions:
            road.write('claire', condition, evidence_note="Vu")
            road.press('claire', condition, 'submit')
            road.press('claire', condition, 'meet')
        road.settle(convention)
        convention = road.fresh(convention)
        advance, balance = convention.instalments
        cls.dossier = Dossier(
            convention=convention, advance=advance, balance=balance,
            envelope=envelope)

    def test_above_the_credits(self):
        "One payment above the credits of the year is not approved"
        road, dossier = self.road, self.dossier
        road.press('claire', [dossier.advance, dossier.balance], 'certify')
        road.press('paul', dossier.advance, 'approve')
        with self.refused(
                CeilingError, 'payment_credit_exceeded',
                dossier.envelope.rec_name):
            road.press('paul', dossier.balance, 'approve')
        self.assertState(dossier.balance, 'certified')
        self.assertFalse(dossier.balance.approvals)
        self.assertEqual(dossier.envelope.approved, Decimal(5000))

    def test_both_at_once(self):
        road, dossier = self.road, self.dossier
        both = [dossier.advance, dossier.balance]
        road.press('claire', both, 'certify')
        with self.refused(CeilingError, 'payment_credit_exceeded'):
            road.press('paul', both, 'approve')
        for instalment in both:
            self.assertState(instalment, 'certified')

    def test_credits_of_another_year(self):
        "Credits of next year pay nothing this year"
        road, dossier = self.road, self.dossier
        Movement = Pool().get('grant.envelope.movement')
        values = {
            'envelope': dossier.envelope.id, 'kind': 'supplementary',
            'date': road.today, 'amount': Decimal(0),
            'payment_credit': Decimal(5000)}
        both = [dossier.advance, dossier.balance]
        road.press('claire', both, 'certify')
        with road.as_user('paul'):
            Movement.create([values | {'payment_year': road.year + 1}])
        with self.refused(CeilingError, 'payment_credit_exceeded'):
            road.press('paul', both, 'approve')
        with road.as_user('paul'):
            Movement.create([values | {'payment_year': road.year}])
        road.press('paul', both, 'approve')
        self.assertState(dossier.balance, 'approved')

    def test_credits_taken_away(self):
        "Approved payments stay covered"
        road, dossier = self.road, self.dossier
        pool = Pool()
        Movement = pool.get('grant.envelope.movement')
        Envelope = pool.get('grant.envelope')
        road.press('claire', dossier.advance, 'certify')
        road.press('paul', dossier.advance, 'approve')
        movement, = dossier.envelope.movements
        for index, door in enumerate([
                    lambda: Movement.write(
                        [movement], {'payment_credit': Decimal(4999)}),
                    lambda: Movement.write(
                        [movement], {'payment_year': road.year + 1}),
                    lambda: Envelope.write(
                        [dossier.envelope], {'year': road.year + 1}),
                    ]):
            with self.subTest(door=index):
                with self.refused(
                        CeilingError, 'payment_credit_exceeded'), \
                        road.as_user('nadia'):
                    door()

    def test_cancelled(self):
        """A cancelled instalment is a recorded reduction: the tranche adds
        up, and nothing more is paid"""
        road, dossier = self.road, self.dossier
        with self.refused(
                CompletenessError, 'instalment_cancel_reason',
                dossier.balance.rec_name):
            road.press('marc', dossier.balance, 'cancel')
        road.write('claire', dossier.balance, cancel_reason="Action réduite")
        road.press('marc', dossier.balance, 'cancel')
        forget()
        tranche, = dossier.convention.tranches
        self.assertState(dossier.balance, 'cancelled')
        self.assertEqual(tranche.reduction, Decimal(5000))
        self.assertEqual(dossier.convention.remaining_amount, Decimal(5000))
        event, = Pool().get('grant.event').search([
                ('record', '=', str(dossier.balance)),
                ('name', '=', 'reduction')])
        self.assertEqual(event.reason, "Action réduite")
        self.assertEqual(event.user, road.users['marc'])
        with self.refused(TransitionError, None, dossier.balance.rec_name):
            road.press('claire', dossier.balance, 'certify')
        with self.refused(FrozenError), road.as_user('claire'):
            tranche.__class__.write([tranche], {'reduction': Decimal(0)})

    def test_cancelled_before_the_vote(self):
        road = self.road
        _, convention = road.to_agreed()
        instalment = convention.instalments[1]
        road.write('claire', instalment, cancel_reason="Essai")
        road.press('claire', convention, 'renegotiate')
        with self.refused(
                FrozenError, 'instalment_cancel_open', instalment.rec_name):
            road.press('marc', instalment, 'cancel')

    def test_certified_is_not_cancelled(self):
        road, dossier = self.road, self.dossier
        road.write('claire', dossier.advance, cancel_reason="Essai")
        road.press('claire', dossier.advance, 'certify')
        with self.refused(TransitionError, None, dossier.advance.rec_name):
            road.press('marc', dossier.advance, 'cancel')

    def test_commitment_number(self):
        "Without the number of the commitment nothing is certified"
        road, dossier = self.road, self.dossier
        decision, = dossier.convention.decisions
        road.write('paul', decision.commitment, finance_number=None)
        with self.refused(
                BlockedError, 'instalment_blocked', dossier.advance.rec_name):
            road.press('claire', dossier.advance, 'certify')

    def test_terminated(self):
        "What was paid stays committed, the rest goes back"
        road, dossier = self.road, self.dossier
        road.to_paid(dossier.advance)
        procedure = road.hear_termination(
            dossier.convention, "Association dissoute")
        road.press('marc', procedure, 'decide')
        forget()
        self.assertEqual(dossier.envelope.committed, Decimal(5000))
        self.assertState(dossier.balance, 'cancelled')
        self.assertState(dossier.advance, 'paid')

    def test_terminated_while_paying(self):
        road, dossier = self.road, self.dossier
        road.press('claire', dossier.advance, 'certify')
        procedure = road.hear_termination(dossier.convention, "Dissolution")
        with self.refused(
                FrozenError, 'convention_end_payment',
                dossier.convention.rec_name, dossier.advance.rec_name):
            road.press('marc', procedure, 'decide')
        self.assertState(dossier.convention, 'active')

    def test_closed_too_early(self):
        road, dossier = self.road, self.dossier
        road.press('claire', dossier.convention, 'start_closing')
        with self.refused(
                CompletenessError, 'convention_close',
                dossier.convention.rec_name):
            road.press('marc', dossier.convention, 'close')

    def test_parameters(self):
        "Thresholds are dated rows that are added, never edited"
        Parameter = Pool().get('grant.parameter')
        parameter, = Parameter.search([
                ('code', '=', 'SECOND_APPROVAL_THRESHOLD')], limit=1)
        with self.refused(
                AccessError, 'parameter_added_not_edited'), \
                self.road.as_user('alice'):
            Parameter.write([parameter], {'value': Decimal(10 ** 9)})
        with self.forbidden(), self.road.as_user('alice'):
            Parameter.delete([parameter])
        for login in ['claire', 'marc', 'paul', 'sophie']:
            with self.forbidden(), self.road.as_user(login):
                Parameter.create([{
                            'code': parameter.code, 'name': "X",
                            'value': Decimal(10 ** 9), 'unit': 'euro',
                            'valid_from': dt.date(2026, 1, 1),
                            'source': "X"}])
