#!/usr/bin/env python3
# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Certify, approve and export many instalments.

    make bench                  # 500, then 5,000
    make bench ARGS="50 500"    # others

Prints, for each step, the SELECTs and the milliseconds by instalment, the
ratio between the two sizes (10 when the time grows with the count) and the
memory at its highest.  The database is that of TRYTOND_DATABASE_URI, an
SQLite in memory by default.
"""
import os
import resource
import sys
import time
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
if os.environ.setdefault(
        'TRYTOND_DATABASE_URI', 'sqlite://').startswith('sqlite'):
    os.environ['DB_NAME'] = ':memory:'
else:
    os.environ['DB_NAME'] = f'bench_{os.getpid()}'

from tools import dbcache  # noqa: E402

dbcache.use()

from trytond.pool import Pool  # noqa: E402
from trytond.tests.test_tryton import (  # noqa: E402
    DB_NAME, activate_module, drop_db)
from trytond.tools import grouped_slice  # noqa: E402
from trytond.transaction import Transaction  # noqa: E402

from tests.refusal import forget, without_converter  # noqa: E402
from tests.road import Road  # noqa: E402
from tests.tools import count_queries  # noqa: E402

# A user's selection is sent in chunks of this size.
CHUNK = 500


def measure(road, login, button, ids):
    "Press the button chunk by chunk; return seconds and SELECTs by chunk."
    Instalment = Pool().get('grant.instalment')
    seconds, selects = 0, []
    for chunk in grouped_slice(ids, CHUNK):
        forget()
        with count_queries() as queries:
            start = time.perf_counter()
            road.press(login, Instalment.browse(list(chunk)), button)
            seconds += time.perf_counter() - start
        selects.append(queries.selects)
    return seconds, selects


def main(sizes):
    activate_module('pacte_grants', lang='fr')
    results = {}
    with without_converter(), Transaction().start(DB_NAME, 1) as transaction:
        road = Road(authorised=Decimal(10 ** 9))
        road.use_batches()
        steps = [
            ('claire', 'certify'), ('paul', 'approve'), ('nadia', 'process')]
        for size in sizes:
            ids = road.to_instalments(size)
            for login, button in steps:
                results[size, button] = measure(road, login, button, ids)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(f"{size:>6} : {memory // 1024} Mio")
        transaction.rollback()
    small, large = sizes
    for _, button in steps:
        seconds = {s: results[s, button][0] for s in sizes}
        print(
            f"{button:<8}",
            *(f"{s} : {1000 * seconds[s] / s:.1f} ms, "
                f"{max(results[s, button][1])} SELECT" for s in sizes),
            f"× {seconds[large] / seconds[small]:.1f} "
            f"pour {large / small:.0f} fois plus", sep=' | ')
    drop_db()


if __name__ == '__main__':
    main([int(a) for a in sys.argv[1:]] or [500, 5000])
