# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Whatever was planned, paid, spent and missed, the year adds up to the cent."
from decimal import ROUND_HALF_UP, Decimal

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from trytond.modules.pacte_grants.mixin import thaw
from trytond.pool import Pool
from trytond.transaction import without_check_access

from .refusal import attempt, forget, set_state
from .test_liquidation import LiquidationCase

CENT = Decimal('0.01')
GRANTED, FORECAST = Decimal(10000), Decimal(20000)
PAID_BEFORE = ([
        ('advance', Decimal('3333.33')), ('interim', Decimal('3333.33')),
        ('balance', Decimal('3333.34'))], 2)


@st.composite
def schedules(draw):
    "Kinds and amounts that add up to the grant, and how many were paid."
    cuts = sorted(draw(st.lists(
                st.integers(1, 999999), unique=True, max_size=3)))
    amounts = [
        Decimal(upto - since) / 100 for since, upto in zip(
            [0, *cuts], [*cuts, 1000000], strict=True)]
    kinds = ['advance', *['interim'] * len(amounts)][:len(amounts) - 1]
    schedule = list(zip([*kinds, 'balance'], amounts, strict=True))
    return schedule, draw(st.integers(0, len(schedule)))


def cent(amount):
    return amount.quantize(CENT, ROUND_HALF_UP)


class SettlementTestCase(LiquidationCase):

    @settings(
        max_examples=12, deadline=None, derandomize=True, database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck))
    @given(
        schedules(),
        st.integers(1, 4000000).map(lambda n: Decimal(n) / 100),
        st.lists(
            st.integers(0, 60).map(lambda n: Decimal(n) / 100),
            min_size=2, max_size=2))
    @example(PAID_BEFORE, Decimal('8000.01'), [Decimal('0.05'), Decimal(0)])
    @example(PAID_BEFORE, Decimal('15999.99'), [Decimal(0), Decimal(0)])
    def test_adds_up(self, schedule, realised, penalties):
        with attempt():
            self._check(*schedule, realised, penalties)
        forget()

    def _check(self, schedule, paid_count, realised, penalties):
        self.plan(schedule, paid_count)
        for condition, rate in zip(
                self.dossier.convention.conditions, penalties, strict=True):
            if rate:
                set_state(condition, 'not_met', penalty_rate=rate)
        before = sum((a for _, a in schedule[:paid_count]), Decimal(0))
        right = min(GRANTED, cent(GRANTED * realised / FORECAST), realised)
        for rate in penalties:
            right -= min(cent(GRANTED * rate), right)

        liquidation = self.establish(realised)

        amounts = {'paid': Decimal(0), 'planned': Decimal(0)}
        for instalment in self.dossier.tranche.instalments:
            if instalment.state != 'cancelled':
                amounts[instalment.state] += instalment.amount
        recovered = sum(
            (r.amount for r in self.dossier.convention.recoveries),
            Decimal(0))
        self.assertEqual(liquidation.acquired, right)
        self.assertEqual(amounts['paid'], before)
        self.assertEqual(amounts['planned'], max(right - before, 0))
        self.assertEqual(recovered, max(before - right, 0))
        kept = amounts['paid'] + amounts['planned']
        self.assertLessEqual(kept, GRANTED)
        self.assertEqual(self.dossier.tranche.reduction, GRANTED - kept)
        commitment = self.dossier.commitment
        self.assertEqual(
            (commitment.state, commitment.amount),
            ('committed', kept) if kept else ('released', GRANTED))

    def plan(self, schedule, paid_count):
        "Give the year the schedule, of which the first parts were paid."
        Instalment = Pool().get('grant.instalment')
        with self.road.system(), thaw(), without_check_access():
            Instalment.replace_planned(self.dossier.tranche, [{
                        'kind': kind, 'amount': amount,
                        'trigger': 'notification',
                        } for kind, amount in schedule])
        forget()
        for instalment in self.dossier.tranche.instalments[:paid_count]:
            set_state(instalment, 'paid')

    def establish(self, realised):
        "Accept the report, tell the partner where need be, and settle."
        road = self.road
        self.accept(realised)
        with road.system():
            liquidation, = Pool().get('grant.liquidation').open(
                [self.dossier.tranche])
        if liquidation.is_reduced:
            road.press('claire', liquidation, 'notify')
            road.write(
                'claire', liquidation, observations="D’accord.",
                observations_on=road.today, answer="Merci.")
        road.press('claire', liquidation, 'establish')
        forget()
        return road.fresh(liquidation)
