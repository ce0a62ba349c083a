# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What the lists show and what their tabs find is the same."
import datetime as dt

from trytond.pool import Pool
from trytond.tests.test_tryton import (
    TestCase, activate_module, with_transaction)
from trytond.transaction import Transaction

from .refusal import set_state
from .road import Road
from .tools import count_selects, forget_records


class TurnsTestCase(TestCase):
    "Test next steps, whose turn it is and the delay of payment"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_module('pacte_grants')

    def found(self, Model, name, value, operator='='):
        return set(Model.search([(name, operator, value)]))

    def assert_found(self, Model, name):
        records = Model.search([])
        shown = {}
        for record in records:
            shown.setdefault(getattr(record, name), set()).add(record)
        for value, expected in shown.items():
            with self.subTest(model=Model.__name__, name=name, value=value):
                self.assertEqual(self.found(Model, name, value), expected)
                self.assertEqual(
                    self.found(Model, name, [value], 'in'), expected)
                if value:
                    # As for a stored date, what is empty is not different.
                    different = self.found(Model, name, value, '!=')
                    self.assertFalse(different & expected)
                    self.assertLessEqual(
                        {r for r in records if getattr(r, name)} - expected,
                        different)
        return shown

    @with_transaction()
    def test_convention(self):
        "The next step of a convention, shown and searched"
        road = Road()
        Convention = Pool().get('grant.convention')
        active = road.to_active()
        _, agreed = road.to_agreed()
        draft = road.open_convention(road.review(road.create_application()))
        application, issued = road.to_agreed()
        with road.system():
            session = road.create_session()
        deliberation = road.schedule(
            application, road.create_deliberation(session))
        scheduled = road.fresh(issued)
        self.assertEqual(
            (scheduled.next_step, scheduled.whose_turn),
            ('vote', 'assembly'))
        self.assertEqual(
            Convention.search([('next_step', '=', 'vote')]), [scheduled])
        road.hold(session)
        road.vote(deliberation)
        voted = road.fresh(issued)
        self.assertEqual(voted.next_step, 'issue')
        road.write('sophie', deliberation, act_number='2026-CP-002')
        road.press('claire', issued, 'issue')
        with road.system():
            steps = self.assert_found(Convention, 'next_step')
            turns = self.assert_found(Convention, 'whose_turn')
        self.assertEqual(steps, {
                'follow': {active}, 'schedule': {agreed},
                'negotiate': {draft}, 'sign_partner': {issued}})
        self.assertEqual(turns, {
                'officer': {active, draft, agreed}, 'partner': {issued}})

    @with_transaction()
    def test_status(self):
        "A letter is notified, a convention is active"
        road = Road()
        Convention = Pool().get('grant.convention')
        convention = road.to_active()
        letter, issued, signed, agreed = [
            road.to_agreed()[1] for _ in range(4)]
        set_state(letter, 'active', form='letter')
        set_state(issued, 'issued', form='letter')
        set_state(signed, 'signed')
        with road.system():
            statuses = self.assert_found(Convention, 'status')
            order = Convention.search([], order=[('status', 'ASC')])
        self.assertEqual(statuses, {
                'active': {convention}, 'notified': {letter},
                'to_notify': {issued}, 'signed': {signed},
                'agreed': {agreed}})
        self.assertEqual([c.state for c in order], sorted(
                c.state for c in order))
        self.assertEqual(
            [Convention(c.id).state_label for c in [convention, letter]],
            ["Active", "Notified"])

    @with_transaction()
    def test_ended(self):
        "Nothing comes after the end of a convention"
        road = Road()
        Convention = Pool().get('grant.convention')
        convention = road.open_convention(
            road.review(road.create_application()))
        road.write('claire', convention, ending_reason="Erreur")
        road.press('claire', convention, 'cancel')
        self.assertEqual(road.fresh(convention).remaining_amount, 0)
        with road.system():
            steps = self.assert_found(Convention, 'next_step')
        self.assertEqual(steps, {None: {convention}})

    @with_transaction()
    def test_condition(self):
        "Whose turn it is on an undertaking"
        road = Road()
        Condition = Pool().get('grant.condition')
        convention = road.to_active()
        first, second = convention.conditions
        road.write('claire', first, waiver_reason="Saison annulée")
        road.press('claire', first, 'propose_waiver')
        with road.system():
            turns = self.assert_found(Condition, 'whose_turn')
        self.assertEqual(turns, {'manager': {first}, 'partner': {second}})

    @with_transaction()
    def test_delay(self):
        "The delay of payment, shown, searched and sorted"
        road = Road()
        Instalment = Pool().get('grant.instalment')
        convention = road.to_active()
        for condition in convention.conditions:
            road.write('claire', condition, evidence_note="Vu")
            road.press('claire', condition, 'submit')
            road.press('claire', condition, 'meet')
        road.open_convention(road.review(road.create_application()))
        first, second = convention.instalments
        table = Instalment.__table__()
        cursor = Transaction().connection.cursor()
        later = road.today + dt.timedelta(days=20)
        cursor.execute(*table.update(
                [table.trigger, table.date], ['date', later],
                where=table.id == second.id))
        cursor.execute(*table.update(
                [table.delay], [5], where=table.id == first.id))
        # A balance starts elsewhere, when the year is settled.
        cursor.execute(*table.update(
                [table.kind], ['interim'], where=table.id == second.id))
        forget_records()
        first, second = road.fresh(first), road.fresh(second)
        self.assertEqual(
            first.due_since, road.today + dt.timedelta(days=5))
        self.assertEqual(second.due_since, later)
        self.assertEqual(
            second.days_left, (second.pay_before - road.today).days)
        with road.system():
            self.assert_found(Instalment, 'due_since')
            self.assert_found(Instalment, 'pay_before')
            self.assertEqual(
                Instalment.search([('pay_before', '<', later)]), [])
            self.assertEqual(
                self.found(Instalment, 'due_since', later, '<'), {first})
            self.assertEqual(
                Instalment.search(
                    [('convention', '=', convention.id)],
                    order=[('pay_before', 'DESC')]),
                [second, first])

    @with_transaction()
    def test_delay_waits(self):
        "The delay begins when the last undertaking is met or waived"
        road = Road()
        Instalment = Pool().get('grant.instalment')
        convention = road.to_active()
        road.settle(convention)
        advance, balance = convention.instalments
        first, second = balance.conditions
        self.assertEqual(advance.due_since, road.today)
        self.assertIsNone(balance.due_since)
        self.assertIsNone(balance.days_left)
        road.write('claire', first, evidence_note="Vu")
        road.press('claire', first, 'submit')
        road.press('claire', first, 'meet')
        road.write('claire', second, waiver_reason="Canicule")
        road.press('claire', second, 'propose_waiver')
        with road.system():
            self.assert_found(Instalment, 'due_since')
            self.assertEqual(
                Instalment.search([('due_since', '!=', None)]), [advance])
        road.press('marc', second, 'waive')
        received = road.today + dt.timedelta(days=8)
        table = first.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.submitted_on], [received],
                where=table.id == first.id))
        forget_records()
        self.assertEqual(road.fresh(balance).due_since, received)
        with road.system():
            self.assert_found(Instalment, 'due_since')
            self.assertEqual(
                self.found(Instalment, 'due_since', received), {balance})

    @with_transaction()
    def test_queries(self):
        "The columns of the payments cost the same for few and for many"
        road = Road()
        names = [
            'executory_on', 'finance_number', 'pay_before', 'whose_turn',
            'blocker_text']

        def read(count):
            Instalment = Pool().get('grant.instalment')
            ids = [i.id for i in Instalment.search([], limit=count)]
            for instalment in Instalment.read(ids, names):
                instalment['id']

        for _ in range(3):
            with road.system():
                road.session = road.create_session()
            road.to_active()
        with road.system():
            self.assertLessEqual(
                count_selects(read, 6), count_selects(read, 2))
