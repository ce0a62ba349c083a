# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Fixed amounts of the schedule stay when the amount of the year changes."
from decimal import Decimal

from trytond.modules.pacte_grants.exceptions import (
    CeilingError, CompletenessError, FrozenError)
from trytond.modules.pacte_grants.mixin import thaw
from trytond.pool import Pool

from .refusal import RefusalCase, forget
from .test_amendment import YearsCase

ADVANCE = Decimal('3000.01')
TEMPLATE = [
    {'kind': 'advance', 'amount': ADVANCE},
    {'kind': 'interim', 'share': Decimal('0.3333')},
    {'kind': 'balance', 'share': Decimal('0.6667')},
    ]


def set_template(road):
    "The scheme of the road pays a fixed advance and shares the rest."
    Scheme = Pool().get('grant.scheme')
    with road.system():
        Scheme.write([Scheme(road.scheme.id)], {
                'instalments': [
                    ('delete', [i.id for i in road.scheme.instalments]),
                    ('create', TEMPLATE)]})


class ScheduleMixin:

    def assertSchedule(self, tranche, *amounts):
        forget()
        tranche = Pool().get('grant.tranche')(tranche.id)
        self.assertEqual(
            [i.amount for i in tranche.instalments],
            [Decimal(a) for a in amounts])
        self.assertEqual(
            sum(i.amount for i in tranche.instalments), tranche.amount)


class NegotiationTestCase(ScheduleMixin, RefusalCase):
    "Until the vote"

    @classmethod
    def prepare(cls):
        road = cls.road
        set_template(road)
        cls.application = road.review(road.create_application())
        cls.convention = road.open_convention(cls.application)

    def setUp(self):
        super().setUp()
        forget()
        self.tranche, = self.get(self.convention).tranches

    def get(self, record):
        return self.road.fresh(record)

    def propose(self, amount):
        "Take the amount as the proposal into the convention."
        road = self.road
        Application = Pool().get('grant.application')
        with road.system():
            Application.write(
                [self.get(self.application)],
                {'proposed_amount': Decimal(amount)})
        road.press('claire', self.convention, 'set_amounts')

    def vote(self, amount):
        road = self.road
        convention = road.agree(self.convention)
        deliberation = road.schedule(self.get(self.application))
        road.hold()
        decision, = deliberation.decisions
        road.write('sophie', decision, amount=Decimal(amount))
        road.vote(deliberation)
        return road.fresh(convention), deliberation

    def test_opened(self):
        self.assertSchedule(self.tranche, ADVANCE, '2333.10', '4666.89')
        self.assertEqual(
            [bool(i.fixed_amount) for i in self.tranche.instalments],
            [True, False, False])

    def test_proposal(self):
        "The advance stays, the others share what a new proposal leaves"
        self.propose(8000)
        self.assertSchedule(self.tranche, ADVANCE, '1666.50', '3333.49')
        self.propose(9000)
        self.assertSchedule(
            self.tranche, ADVANCE, '1999.80', '4000.19')
        self.propose('3000.01')
        self.assertSchedule(self.tranche, ADVANCE, 0, 0)
        self.propose('3000.03')
        self.assertSchedule(self.tranche, ADVANCE, '0.01', '0.01')

    def test_below(self):
        "A proposal below the fixed amounts is refused and changes nothing"
        with self.refused(
                CeilingError, 'schedule_fixed', self.convention.number):
            self.propose(3000)
        self.assertSchedule(self.tranche, ADVANCE, '2333.10', '4666.89')

    def test_follows(self):
        "Once it is no longer fixed, it follows like the others"
        road = self.road
        road.write('claire', self.tranche.instalments[0], fixed_amount=False)
        self.propose(1000)
        self.assertSchedule(self.tranche, '300.00', '233.31', '466.69')

    def test_nothing(self):
        "A year of nothing keeps nothing fixed"
        Tranche = Pool().get('grant.tranche')
        with self.road.system():
            Tranche.set_amounts(
                self.get(self.convention), {self.road.year: Decimal(0)})
        self.assertSchedule(self.tranche, 0, 0, 0)
        self.assertFalse(any(
                i.fixed_amount for i in self.get(self.tranche).instalments))

    def test_only_fixed(self):
        "Nothing takes more when all is fixed"
        Instalment = Pool().get('grant.instalment')
        with self.road.as_user('claire'):
            Instalment.write(
                Instalment.browse(self.tranche.instalments),
                {'fixed_amount': True})
        with self.refused(CeilingError, 'schedule_fixed_rest'):
            self.propose(12000)

    def test_frozen(self):
        "What is fixed is agreed: it does not change afterwards"
        self.road.agree(self.convention)
        with self.refused(FrozenError):
            self.road.write(
                'claire', self.tranche.instalments[0], fixed_amount=False)

    def test_vote(self):
        self.vote(8000)
        self.assertSchedule(self.tranche, ADVANCE, '1666.50', '3333.49')

    def test_unvote(self):
        _, deliberation = self.vote(8000)
        self.road.press('sophie', deliberation, 'unvote')
        self.assertSchedule(self.tranche, ADVANCE, '2333.10', '4666.89')

    def test_vote_below(self):
        """A vote is a fact: below the fixed amounts it is recorded, they
        give way, and both sides have to confirm"""
        convention, _ = self.vote(1000)
        self.assertSchedule(self.tranche, '300.00', '233.31', '466.69')
        self.assertTrue(convention.amount_changed)
        self.assertFalse(convention.amount_confirmed_on)


class AmendmentTestCase(ScheduleMixin, YearsCase):
    "In a convention in force"

    @classmethod
    def prepare(cls):
        set_template(cls.road)
        super().prepare()

    def tranche(self, index):
        forget()
        return self.convention.tranches[index]

    def amend(self, index, amount, *schedule):
        pool = Pool()
        amendment = self.open_amendment()
        with self.road.as_user('claire'):
            pool.get('grant.amendment.tranche').create([{
                        'amendment': amendment.id,
                        'year': self.years[index],
                        'amount': Decimal(amount)}])
            pool.get('grant.amendment.instalment').create([{
                        'amendment': amendment.id,
                        'year': self.years[index],
                        'kind': kind, 'amount': Decimal(part),
                        'fixed_amount': fixed}
                    for kind, part, fixed in schedule])
        return self.road.fresh(amendment)

    def test_later_year(self):
        "An amendment moves the others; its difference says the same"
        amendment = self.to_issued(self.amend(1, 20000))
        self.assertIn('5\xa0666,10', amendment.after.replace('\u202f', '\xa0'))
        self.sign(amendment)
        self.assertSchedule(
            self.tranche(1), ADVANCE, '5666.10', '11333.89')

    def test_below(self):
        amendment = self.amend(1, 3000)
        with self.refused(
                CompletenessError, 'schedule_fixed', self.convention.number):
            self.road.press('claire', amendment, 'agree')

    def test_own_schedule(self):
        "Its own schedule replaces what was fixed"
        amendment = self.amend(
            1, 2000, ('advance', 500, True), ('balance', 1500, False))
        self.sign(self.to_issued(amendment))
        tranche = self.tranche(1)
        self.assertSchedule(tranche, 500, 1500)
        self.assertEqual(
            [bool(i.fixed_amount) for i in tranche.instalments],
            [True, False])

    def test_paid(self):
        "What was paid leaves the fixed amounts too little"
        road = self.road
        first, second, last = self.tranche(0).instalments
        self.assertEqual(second.amount, Decimal('8999.10'))
        with road.system(), thaw():
            Pool().get('grant.instalment').write([second], {
                    'fixed_amount': True})
        road.to_paid(first)
        with self.refused(CompletenessError, 'schedule_fixed_paid'):
            road.press('claire', self.amend(0, 10000), 'agree')
        with self.refused(CompletenessError, 'amendment_below_paid'):
            road.press('claire', self.amend(0, 3000), 'agree')
        amendment = self.to_issued(self.amend(0, 20000))
        self.sign(amendment)
        self.assertSchedule(
            self.tranche(0), ADVANCE, '8999.10', '8000.89')
