# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Sums of amounts read in one query, the same on every database."
from decimal import Decimal

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
