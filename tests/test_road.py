# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The whole road, from the deposit to the paid instalments."
from decimal import Decimal

from trytond.tests.test_tryton import (
    TestCase, activate_module, with_transaction)

from .road import Road


class RoadTestCase(TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_module('pacte_grants', lang='fr')

    @with_transaction()
    def test_whole_road(self):
        road = Road()
        convention = road.to_active(amount=Decimal('10000.01'))
        self.assertEqual(convention.state, 'active')
        self.assertEqual(convention.form, 'convention')
        advance, balance = convention.instalments
        self.assertEqual(advance.amount + balance.amount, convention.amount)
        advance = road.to_paid(advance)
        self.assertEqual(advance.state, 'paid')
        self.assertEqual(advance.payment.state, 'succeeded')
        convention = road.fresh(convention)
        self.assertEqual(convention.paid_amount, advance.amount)
        self.assertEqual(convention.remaining_amount, balance.amount)
        for condition in convention.conditions:
            road.write('claire', condition, evidence_note="Vu")
            road.press('claire', condition, 'submit')
            road.press('claire', condition, 'meet')
        road.settle(convention)
        balance = road.to_paid(road.fresh(balance))
        self.assertEqual(balance.state, 'paid')
        road.press('claire', convention, 'start_closing')
        road.press('marc', convention, 'close')
        self.assertEqual(road.fresh(convention).state, 'closed')
