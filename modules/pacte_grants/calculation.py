# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The arithmetic of the balance: what was acquired, what is left to pay.

Nothing here reads the database: ``compute`` takes figures and returns the
rows of the calculation, one after the other, as finance and the partner
follow them (domain, §2.2).
"""
from collections import namedtuple
from decimal import ROUND_HALF_UP, Decimal

COST_RULES = [
    ('flat', "Lump Sum, at Most the Cost"),
    ('rate', "In Proportion to the Eligible Cost"),
    ('deficit', "In Proportion, at Most What Others Do Not Pay"),
    ]
# What brings the right down
Cut = namedtuple('Cut', ['code', 'origin', 'rate'])
Payment = namedtuple('Payment', ['origin', 'amount'])
Row = namedtuple('Row', ['code', 'origin', 'amount', 'rate', 'base'])
Row.__new__.__defaults__ = (None, None, None, None)
Result = namedtuple(
    'Result', ['rows', 'acquired', 'paid', 'balance', 'overpayment'])


def compute(granted, reduced=Decimal(0), rule='flat', forecast=None,
        realised=None, others=None, penalties=(), results=(), payments=(),
        digits=2):
    """Return the ``Result`` of a year of a convention.

    All amounts are Decimal, in euros:

    * ``granted`` was voted for the year, ``reduced`` is what was given up of
      it before;
    * ``forecast`` and ``realised`` are the eligible costs of the budget and
      of the accepted report, ``others`` the realised income without the
      grant; ``None`` if no report is asked for;
    * ``penalties`` are ``Cut`` of the grant for undertakings that were not
      met, ``results`` are ``Cut`` of the balance for targets that were
      missed; their rates are Decimal, 0 to 1;
    * ``payments`` are the ``Payment`` made or under way.

    The right is the smallest of the grant, of the same share of the realised
    cost as of the forecast (``rate`` and ``deficit``), of what others do not
    pay (``deficit``), and of the realised cost; less the cuts, never below
    nothing.  What was paid above it is the overpayment.
    """
    quantum = Decimal(1).scaleb(-digits)

    def cent(amount):
        return amount.quantize(quantum, ROUND_HALF_UP)

    rows = [Row('granted', amount=granted)]
    right = granted
    if reduced:
        right = max(granted - reduced, Decimal(0))
        rows.append(Row('reduced', amount=right - granted))
    if realised is not None:
        limits = []
        if rule in {'rate', 'deficit'} and forecast:
            rows.append(Row('forecast', base=forecast))
            limits.append(Row(
                    'rate', base=realised, rate=granted / forecast,
                    amount=cent(granted * realised / forecast)))
        else:
            limits.append(Row('cost', base=realised, amount=realised))
        if rule == 'deficit':
            limits.append(Row(
                    'deficit', base=others or Decimal(0), amount=max(
                        realised - (others or Decimal(0)), Decimal(0))))
        rows.append(Row('realised', base=realised))
        rows.extend(limits)
        right = min([right, realised] + [limit.amount for limit in limits])
        right = max(right, Decimal(0))
        rows.append(Row('right', amount=right))
    for cut in penalties:
        amount = min(cent(granted * cut.rate), right)
        right -= amount
        rows.append(Row(
                cut.code, cut.origin, amount=-amount, rate=cut.rate,
                base=granted))
    paid = sum((p.amount for p in payments), Decimal(0))
    balance = max(right - paid, Decimal(0))
    left = balance
    for cut in results:
        amount = min(cent(balance * cut.rate), left)
        left -= amount
        right -= amount
        rows.append(Row(
                cut.code, cut.origin, amount=-amount, rate=cut.rate,
                base=balance))
    rows.append(Row('acquired', amount=right))
    for payment in payments:
        rows.append(Row(
                'payment', payment.origin, amount=-payment.amount))
    balance = max(right - paid, Decimal(0))
    overpayment = max(paid - right, Decimal(0))
    rows.append(
        Row('overpayment', amount=overpayment) if overpayment
        else Row('balance', amount=balance))
    return Result(rows, right, paid, balance, overpayment)
