# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The arithmetic of the balance, by hand and for any figures."
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trytond.modules.pacte_grants.calculation import Cut, Payment, compute

GRANT = Decimal(10000)
COST = Decimal(20000)
cents = st.decimals(
    min_value=0, max_value=10 ** 6, places=2, allow_nan=False,
    allow_infinity=False)
rates = st.decimals(
    min_value=0, max_value=1, places=4, allow_nan=False,
    allow_infinity=False)
histories = st.fixed_dictionaries({
        'granted': cents,
        'reduced': cents,
        'rule': st.sampled_from(['flat', 'rate', 'deficit']),
        'forecast': st.none() | cents,
        'realised': st.none() | cents,
        'others': st.none() | cents,
        'penalties': st.lists(
            st.builds(Cut, st.just('penalty'), st.none(), rates),
            max_size=4),
        'results': st.lists(
            st.builds(Cut, st.just('result'), st.none(), rates),
            max_size=4),
        'payments': st.lists(
            st.builds(Payment, st.none(), cents), max_size=5),
        })


def cut(code, rate):
    return Cut(code, None, Decimal(rate))


def paid(amount):
    return [Payment(None, Decimal(amount))]


@pytest.mark.parametrize('values, acquired, balance, overpayment', [
    # Everything as foreseen: half was paid, half is left
    ({}, '10000', '5000', '0'),
    # 15 000 of 20 000: three quarters of the grant
    ({'realised': Decimal(15000)}, '7500', '2500', '0'),
    # More than foreseen changes nothing
    ({'realised': Decimal(30000)}, '10000', '5000', '0'),
    # 8 000 of 20 000: 4 000, of which 5 000 were paid
    ({'realised': Decimal(8000)}, '4000', '0', '1000'),
    # A third of a cent is rounded to the cent: 10 000 × 6 666,67 / 20 000
    ({'realised': Decimal('6666.67')}, '3333.34', '0', '1666.66'),
    # The lump sum stays as long as it is below the cost
    ({'rule': 'flat', 'realised': Decimal(15000)}, '10000', '5000', '0'),
    ({'rule': 'flat', 'realised': Decimal(9000)}, '9000', '4000', '0'),
    # Others paid 13 000 of 20 000: 7 000 are left
    ({'rule': 'deficit', 'others': Decimal(13000)}, '7000', '2000', '0'),
    ({'rule': 'deficit', 'others': Decimal(25000)}, '0', '0', '5000'),
    # 5 % of the grant for an undertaking, then 20 % of what is left
    ({'penalties': [cut('penalty', '0.05')]}, '9500', '4500', '0'),
    ({'results': [cut('result', '0.2')]}, '9000', '4000', '0'),
    ({'penalties': [cut('penalty', '0.05')],
        'results': [cut('result', '0.2')]}, '8600', '3600', '0'),
    # No balance, nothing to take a share of
    ({'payments': paid(10000), 'results': [cut('result', '0.2')]},
        '10000', '0', '0'),
    # What was given up before is not paid
    ({'reduced': Decimal(1000)}, '9000', '4000', '0'),
    # Penalties never make the partner owe more than it received
    ({'penalties': [cut('penalty', '0.9'), cut('penalty', '0.9')]},
        '0', '0', '5000'),
    ])
def test_by_hand(values, acquired, balance, overpayment):
    result = compute(**{
            'granted': GRANT, 'rule': 'rate', 'forecast': COST,
            'realised': COST, 'others': Decimal(10000),
            'payments': paid(5000)} | values)
    assert result.acquired == Decimal(acquired)
    assert result.balance == Decimal(balance)
    assert result.overpayment == Decimal(overpayment)


@given(histories)
def test_bounds(values):
    "Σ paid never passes the right acquired, the excess is the overpayment"
    result = compute(**values)
    assert 0 <= result.acquired <= values['granted']
    assert result.paid == sum(
        (p.amount for p in values['payments']), Decimal(0))
    assert result.balance >= 0 and result.overpayment >= 0
    assert not (result.balance and result.overpayment)
    assert (result.paid + result.balance - result.overpayment
        == result.acquired)
    if values['realised'] is not None:
        assert result.acquired <= values['realised']
    for amount in [result.acquired, result.balance, result.overpayment]:
        assert amount == amount.quantize(Decimal('0.01'))


@given(histories)
def test_rows(values):
    "The rows add up to what they end with"
    result = compute(**values)
    by_code = {row.code: row.amount for row in result.rows}
    cuts = sum(
        (r.amount for r in result.rows if r.code in {'penalty', 'result'}),
        Decimal(0))
    before = by_code.get(
        'right', values['granted'] + by_code.get('reduced', Decimal(0)))
    assert before + cuts == by_code['acquired'] == result.acquired
    payments = sum(
        (r.amount for r in result.rows if r.code == 'payment'), Decimal(0))
    end = by_code.get('balance', -by_code.get('overpayment', Decimal(0)))
    assert by_code['acquired'] + payments == end


@given(histories, cents)
def test_less_cost_never_gives_more(values, less):
    if values['realised'] is None:
        return
    lower = values | {
        'realised': max(values['realised'] - less, Decimal(0))}
    cent = Decimal('0.01') * (1 + len(values['results']))
    assert (
        compute(**lower).acquired <= compute(**values).acquired + cent)
