# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Properties of the money and of the indicators, tried on what comes."
from decimal import Decimal
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from trytond.modules.pacte_grants.sums import (
    split, split_anew, split_rest)
from trytond.pool import Pool
from trytond.tests.test_tryton import (
    TestCase, activate_module, with_transaction)

CENT = Decimal('0.01')

cents = st.integers(min_value=0, max_value=10 ** 11)
amounts = cents.map(lambda c: Decimal(c) * CENT)
shares = st.lists(
    st.integers(min_value=1, max_value=10_000).map(
        lambda n: Decimal(n) / 10_000),
    min_size=1, max_size=40)
weights = st.lists(
    cents.map(lambda c: Decimal(c) * CENT), min_size=1, max_size=40).filter(
    any)


class SplitTestCase(TestCase):

    @given(amounts, shares)
    def test_adds_up(self, amount, shares):
        "The parts add up to the cent, and none has more decimals"
        parts = split(amount, shares)
        self.assertEqual(len(parts), len(shares))
        self.assertEqual(sum(parts), amount)
        for part in parts:
            self.assertEqual(part, part.quantize(CENT))

    @given(amounts, shares, st.data())
    def test_fixed_parts(self, amount, shares, data):
        "Fixed parts stay, the others share what is left to the cent"
        fixed, left = [], amount
        for _ in shares[1:]:
            part = data.draw(st.none() | st.decimals(
                    min_value=0, max_value=left, places=2))
            fixed.append(part)
            left -= part or 0
        fixed.append(None)
        parts = split_rest(amount, fixed, shares)
        self.assertEqual(sum(parts), amount)
        self.assertEqual(
            [p for p, f in zip(parts, fixed, strict=True) if f is not None],
            [f for f in fixed if f is not None])
        wanted = [
            s for s, f in zip(shares, fixed, strict=True) if f is None]
        self.assertEqual(
            [p for p, f in zip(parts, fixed, strict=True) if f is None],
            split(left, wanted))

    @given(amounts, st.lists(
            st.tuples(amounts, st.booleans()), min_size=1, max_size=12))
    def test_cut_anew(self, amount, lines):
        """Whatever the year becomes: fixed parts stay, the others take the
        rest to the cent as they shared it, or there is no way to"""
        parts, fixed = zip(*lines, strict=True)
        kept = sum(p for p, f in lines if f)
        free = [p for p, f in lines if not f]
        result = split_anew(amount, parts, fixed)
        if kept > amount or (kept < amount and not free):
            self.assertIsNone(result)
            return
        self.assertEqual(sum(result), amount)
        for part, new, stays in zip(parts, result, fixed, strict=True):
            self.assertGreaterEqual(new, 0)
            self.assertEqual(new, new.quantize(CENT))
            if stays:
                self.assertEqual(new, part)
        self.assertEqual(
            [n for n, f in zip(result, fixed, strict=True) if not f],
            split(amount - kept, free if any(free) else [1] * len(free))
            if free else [])

    @given(amounts, amounts, st.lists(
            st.tuples(amounts, st.booleans()), min_size=1, max_size=12))
    def test_cut_anew_twice(self, amount, other, lines):
        "Through any other amount, what is fixed is never lost"
        parts, fixed = zip(*lines, strict=True)
        changed = split_anew(amount, parts, fixed)
        if changed is None:
            return
        back = split_anew(other, changed, fixed)
        if back is None:
            return
        for part, new, stays in zip(parts, back, fixed, strict=True):
            if stays:
                self.assertEqual(new, part)

    @given(amounts, shares)
    def test_close(self, amount, shares):
        "Every part is within a cent of its share"
        total = sum(shares)
        for part, share in zip(split(amount, shares), shares, strict=True):
            self.assertLessEqual(abs(part - amount * share / total), CENT)

    @given(amounts, shares)
    def test_not_negative(self, amount, shares):
        for part in split(amount, shares):
            self.assertGreaterEqual(part, 0)

    @given(amounts, weights)
    def test_former_amounts_as_shares(self, amount, weights):
        "What a schedule is cut anew by: amounts, some of them zero"
        parts = split(amount, weights)
        self.assertEqual(sum(parts), amount)
        for part, weight in zip(parts, weights, strict=True):
            self.assertGreaterEqual(part, 0)
            if not weight:
                self.assertLessEqual(part, CENT)

    @given(amounts, shares)
    def test_order(self, amount, shares):
        "A larger share never gets less, but for the rounding"
        parts = split(amount, shares)
        for part, share in zip(parts, shares, strict=True):
            for other, other_share in zip(parts, shares, strict=True):
                if share >= other_share:
                    self.assertGreaterEqual(part + CENT, other)

    @given(amounts, shares)
    def test_stable(self, amount, shares):
        "Cut by its own parts, an amount gives the same parts"
        parts = split(amount, shares)
        if any(parts):
            self.assertEqual(split(amount, parts), parts)

    @given(amounts, amounts, shares)
    def test_there_and_back(self, amount, other, shares):
        """A vote that changed the amount and is undone: the sum comes back
        exactly, each part within a cent of its own rounding"""
        parts = split(amount, shares)
        if any(parts) and other:
            changed = split(other, parts)
            self.assertEqual(sum(changed), other)
            if any(changed):
                self.assertEqual(sum(split(amount, changed)), amount)

    @given(st.integers(min_value=0, max_value=10 ** 9).map(Decimal), shares)
    def test_whole_units(self, amount, shares):
        "A currency without decimals"
        parts = split(amount, shares, digits=0)
        self.assertEqual(sum(parts), amount)
        for part in parts:
            self.assertEqual(part, part.to_integral_value())

    def test_known(self):
        half = Decimal('0.5')
        self.assertEqual(
            split(Decimal('0.01'), [half, half]),
            [Decimal('0.01'), Decimal('0.00')])
        self.assertEqual(
            split(Decimal('100'), [Decimal(1)] * 3),
            [Decimal('33.33'), Decimal('33.34'), Decimal('33.33')])
        self.assertEqual(split(Decimal(0), [half, half]), [0, 0])
        self.assertEqual(
            split(Decimal('0.03'), [half, Decimal(1), Decimal(1), half]),
            [CENT, CENT, CENT, 0])


def model(name):
    return Pool().get(name)


class PropertiesTestCase(TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_module('pacte_grants', lang='fr')

    numbers = st.decimals(
        min_value=-10 ** 6, max_value=10 ** 6, places=2,
        allow_nan=False, allow_infinity=False)
    indicators = st.fixed_dictionaries({
            'direction': st.sampled_from(['rise', 'fall', 'reach', 'keep']),
            'baseline': st.none() | numbers,
            'target': numbers,
            'tolerance': st.decimals(
                min_value=0, max_value=1000, places=2,
                allow_nan=False, allow_infinity=False),
            })

    @with_transaction()
    def test_attainment_bounds(self):
        "Always between nothing and everything; nothing known, nothing said"
        Indicator = model('grant.indicator')

        @settings(deadline=None)
        @given(self.indicators, self.numbers)
        def check(values, value):
            attainment = Indicator.compute_attainment(
                SimpleNamespace(**values), value)
            self.assertIsInstance(attainment, Decimal)
            self.assertGreaterEqual(attainment, 0)
            self.assertLessEqual(attainment, 1)
            self.assertIsNone(Indicator.compute_attainment(
                    SimpleNamespace(**values), None))
        check()

    @with_transaction()
    def test_attainment_of_the_target(self):
        "The target, or its tolerance, is everything"
        Indicator = model('grant.indicator')

        @settings(deadline=None)
        @given(self.indicators)
        def check(values):
            indicator = SimpleNamespace(**values)
            for value in [
                    indicator.target, indicator.target - indicator.tolerance,
                    indicator.target + indicator.tolerance]:
                if indicator.direction == 'keep' and value < 0:
                    continue
                self.assertEqual(
                    Indicator.compute_attainment(indicator, value), 1)
        check()

    @with_transaction()
    def test_attainment_is_monotone(self):
        "Nearer to the target is never worth less"
        Indicator = model('grant.indicator')

        @settings(deadline=None)
        @given(self.indicators, self.numbers, self.numbers)
        def check(values, one, other):
            indicator = SimpleNamespace(**values)
            if indicator.direction in {'reach', 'keep'}:
                return
            target, baseline = indicator.target, indicator.baseline
            if baseline is None and (target <= 0 or min(one, other) < 0):
                return
            up = indicator.direction == 'rise'
            if baseline is not None and (
                    baseline >= target if up else baseline <= target):
                return
            low, high = sorted([one, other])
            worse, better = (low, high) if up else (high, low)
            self.assertLessEqual(
                Indicator.compute_attainment(indicator, worse),
                Indicator.compute_attainment(indicator, better))
        check()

    @with_transaction()
    def test_budget_balance(self):
        "A budget is accepted if and only if it balances to the cent"
        Application = model('grant.application')

        def line(side, amount, in_kind=False):
            return SimpleNamespace(
                heading=SimpleNamespace(side=side, in_kind=in_kind),
                amount=amount)
        money = st.integers(min_value=0, max_value=10 ** 9).map(
            lambda c: Decimal(c) * CENT)
        lists = st.lists(money, min_size=1, max_size=6)

        @settings(deadline=None)
        @given(lists, lists, st.booleans(), lists)
        def check(expenses, incomes, balanced, in_kind):
            if balanced:
                gap = sum(expenses) - sum(incomes)
                (incomes if gap > 0 else expenses).append(abs(gap))
            lines = (
                [line('expense', a) for a in expenses]
                + [line('income', a) for a in incomes]
                + [line(side, a, True) for a in in_kind
                    for side in ['expense', 'income']])
            application = SimpleNamespace(
                budget_lines=lines, total_cost=sum(expenses))
            reasons = Application.get_budget_reasons(application)
            self.assertEqual(
                bool(reasons), sum(expenses) != sum(incomes))
            application.total_cost += CENT
            self.assertTrue(Application.get_budget_reasons(application))
            application.total_cost -= CENT
            lines.append(line('expense', CENT, True))
            self.assertTrue(Application.get_budget_reasons(application))
        check()
