# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Sums of amounts, the same on every database, and amounts cut to the cent."
from decimal import ROUND_HALF_UP, Decimal

from trytond import backend
from trytond.tools import sqlite_apply_types
from trytond.transaction import Transaction

# How many ids go into one query.
SLICE = 1000


def read_sums(query, keys=1):
    """Yield the rows of the query: its first ``keys`` columns as they are,
    then its sums as Decimal, zero for NULL."""
    query.columns = [
        column.as_(f'column_{i}') for i, column in enumerate(query.columns)]
    if backend.name == 'sqlite':
        sqlite_apply_types(
            query,
            [None] * keys + ['NUMERIC'] * (len(query.columns) - keys))
    cursor = Transaction().connection.cursor()
    cursor.execute(*query)
    for row in cursor.fetchall():
        yield (*row[:keys], *(Decimal(s or 0) for s in row[keys:]))


def split(amount, shares, digits=2):
    """Return ``amount`` (Decimal, euros) cut in proportion to ``shares``.

    Every part is rounded to ``digits``; the last takes what rounding left,
    so that the parts always add up to the amount (invariant 10).
    """
    total = sum(shares)
    quantum = Decimal(1).scaleb(-digits)
    parts, cut, done = [], Decimal(0), Decimal(0)
    for share in shares:
        # Round the running total, not each part: no part goes astray by
        # more than one cent.  Halves up, so that equal shares never differ
        # by more.
        cut += share
        upto = (amount * cut / total).quantize(quantum, ROUND_HALF_UP)
        parts.append(upto - done)
        done = upto
    parts[-1] += amount - done
    return parts


def split_rest(amount, fixed, shares, digits=2):
    """Return ``amount`` (Decimal, euros) cut into the ``fixed`` parts and,
    where one is ``None``, into its share of what they leave."""
    rest = amount - sum(part for part in fixed if part is not None)
    wanted = [
        share for part, share in zip(fixed, shares, strict=True)
        if part is None]
    parts = iter(split(rest, wanted, digits) if wanted else [])
    return [next(parts) if part is None else part for part in fixed]


def split_anew(amount, parts, fixed, digits=2):
    """Return ``amount`` (Decimal, euros) cut into as many parts: those that
    are ``fixed`` (a boolean for each) stay, the others share what they leave
    as before, equally if they were all zero.

    Return ``None`` if the fixed parts exceed it, or if nothing takes what
    they leave.
    """
    free = [
        part for part, stays in zip(parts, fixed, strict=True) if not stays]
    rest = amount - (sum(parts) - sum(free))
    if rest < 0 or (rest and not free):
        return None
    shares = parts if any(free) else [Decimal(1)] * len(parts)
    return split_rest(
        amount,
        [part if stays else None
            for part, stays in zip(parts, fixed, strict=True)],
        shares, digits)
