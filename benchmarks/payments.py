#!/usr/bin/env python3
# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Certify, approve and export many instalments.

    make bench                  # 500, then 5,000
    make bench ARGS="50 500"    # others

The instalments are those of one convention: the worst case, since whatever a
step reads of the whole convention grows with them.  A user's selection is a
request and a transaction of its own.  Prints, for each step:

- the seconds, and the milliseconds by instalment of the two sizes with their
  ratio: 1 when the time grows as the count does;
- the SELECTs by selection, the least and the most: the same number when they
  do not depend on what was done before (a run of more than five minutes may
  empty a cache of the process, and one selection fills it again);
- the memory of the last selection over that of the first one, each at its
  highest: 1 when it is flat.

The exit status is 1 beyond ``LIMITS``: they are ratios, so that the machine
does not matter.

The database is that of TRYTOND_DATABASE_URI, an SQLite in memory by default,
which counts as memory too.
"""
import ctypes
import gc
import os
import resource
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

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

# A user's selection.
CHUNK = 500
# Of what the caches of the process are filled with.
WARM_UP = 10
# How much more than the smallest each may be: the milliseconds by instalment
# of the large size than those of the small one, the SELECTs of a selection
# than the fewest (and this many that fill caches), the memory of the last
# selection than that of the first one.
LIMITS = {'time': 1.5, 'selects': 1.02, 'memory': 1.25}
CACHES = 5
# Below these seconds a time says more of the machine than of the program.
MEASURABLE = 0.5
STEPS = [('claire', 'certify'), ('paul', 'approve'), ('nadia', 'process')]


class Request(NamedTuple):
    "What one selection took: seconds, SELECTs, memory at its highest (KiB)."
    seconds: float
    selects: int
    memory: int


def trim():
    "Give back what is not used and forget how high the memory was."
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path('/proc/self/clear_refs').write_text('5')
    except (AttributeError, OSError):
        # Elsewhere than on Linux the memory is that of the whole run.
        pass


def read_memory():
    "Return the memory at its highest (KiB)."
    try:
        status = Path('/proc/self/status').read_text()
        return int(status.split('VmHWM:')[1].split()[0])
    except (IndexError, OSError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def press(road, login, button, ids):
    "Press the button on the instalments in a request of its own."
    trim()
    start = time.perf_counter()
    with Transaction().start(DB_NAME, 1), road.system():
        Instalment = Pool().get('grant.instalment')
        with count_queries() as queries:
            road.press(login, Instalment.browse(ids), button)
    seconds = time.perf_counter() - start
    return Request(seconds, queries.selects, read_memory())


def measure(road, login, button, ids):
    "Press the button selection by selection; return the requests."
    return [
        press(road, login, button, list(chunk))
        for chunk in grouped_slice(ids, CHUNK)]


def prepare(road, count):
    "Return the ids of so many instalments that may be certified."
    with Transaction().start(DB_NAME, 1), road.system():
        ids = road.to_instalments(count)
        forget()
    return ids


def main(sizes):
    "Measure the small and the large size; return the exit status."
    activate_module('pacte_grants', lang='fr')
    results = {}
    try:
        with without_converter():
            with Transaction().start(DB_NAME, 1):
                road = Road(authorised=Decimal(10 ** 9))
                road.use_batches()
            for size in [min(WARM_UP, *sizes), *sizes]:
                ids = prepare(road, size)
                for login, button in STEPS:
                    results[size, button] = measure(road, login, button, ids)
    finally:
        drop_db()
    print(
        f"{'':<8} | {'secondes':^15} | {'ms par versement':^22} | "
        f"{'SELECT par envoi':^16} | {'mémoire (Mio)':^16}")
    failures = []
    for _, button in STEPS:
        measures = Measures.of(sizes, {
                size: results[size, button] for size in sizes})
        print(measures.describe(button))
        failures += measures.find_failures(button)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


class Measures(NamedTuple):
    "What a step took for the small size and for the large one."
    seconds: tuple
    each: tuple
    selects: tuple
    memory: tuple

    @classmethod
    def of(cls, sizes, requests):
        "Return the measures of the requests (by size) of a step."
        small, large = sizes
        seconds = tuple(sum(r.seconds for r in requests[s]) for s in sizes)
        selects = {r.selects for size in sizes for r in requests[size]}
        return cls(
            seconds,
            tuple(
                1000 * value / size
                for value, size in zip(seconds, sizes, strict=True)),
            (min(selects), max(selects)),
            (requests[large][0].memory, requests[large][-1].memory))

    @property
    def ratios(self):
        "How much more of each, by name of limit."
        (small, large), (first, last) = self.each, self.memory
        fewest, most = self.selects
        return {
            'time': large / small,
            'selects': max(most - CACHES, fewest) / fewest,
            'memory': last / first,
            }

    def describe(self, button):
        "Return the row of the table."
        ratios = self.ratios
        return ' | '.join([
                f'{button:<8}',
                f'{self.seconds[0]:>6.1f} – {self.seconds[1]:>6.1f}',
                f'{self.each[0]:>5.1f} – {self.each[1]:>5.1f} : '
                f"× {ratios['time']:.2f}",
                f'{self.selects[0]:>6} – {self.selects[1]:<7}',
                f"{self.memory[1] // 1024:>8} : × {ratios['memory']:.2f}"])

    def find_failures(self, button):
        "Return the limits that are passed, as sentences."
        return [
            f'{button} : {name} × {ratio:.2f}, au plus × {LIMITS[name]:.2f}'
            for name, ratio in self.ratios.items()
            if ratio > LIMITS[name]
            and (name != 'time' or self.seconds[1] >= MEASURABLE)]


if __name__ == '__main__':
    sys.exit(main([int(a) for a in sys.argv[1:]] or [500, 5000]))
