# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Set-up of the tests.

The database is that of TRYTOND_DATABASE_URI, an SQLite in memory by default.

The files test_journey_*.py drive the web client in Chromium.  Without it the
run stops, unless BROWSER=no leaves them out.
"""

import functools
import gc
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

uri = os.environ.setdefault('TRYTOND_DATABASE_URI', 'sqlite://')
backend_name = uri.split(':')[0]
os.environ['TRYTOND_DATABASE__RETRY'] = '50'
os.environ['TZ'] = 'UTC'
# Databases that live for one run need not outlive a power cut.
os.environ.setdefault('PGOPTIONS', '-c synchronous_commit=off')
os.environ['TRYTOND_WEB__ROOT'] = str(ROOT / 'var' / 'www')
time.tzset()
if backend_name == 'sqlite':
    os.environ['DB_NAME'] = ':memory:'
else:
    os.environ['DB_NAME'] = f'test_{os.getpid()}_{int(time.time())}'

from tools import dbcache  # noqa: E402

cache = dbcache.use()

import pytest  # noqa: E402

from trytond.pool import Pool  # noqa: E402
from trytond.tests import test_tryton  # noqa: E402
from trytond.tools import misc  # noqa: E402

from .browser import find_chromium  # noqa: E402
from .department import database, department  # noqa: E402, F401
from .journey import address, browser, user  # noqa: E402, F401
from .refusal import RefusalCase, shared  # noqa: E402

# Tryton's tests of a module find it by name for each class of each model, in
# a list of all that is installed: minutes, always for the same answer.
misc.import_module = functools.cache(misc.import_module)

# Half of the work of the collector finds nothing: a tenth of the time.
gc.set_threshold(50_000, 20, 100)

NO_BROWSER = os.environ.get('BROWSER') == 'no'
# In its test mode trytond computes every Function field of each record that
# it writes, to check its value.  These files cross every model; the others
# run as in production, in half the time.
CHECKED = {
    'test_demo.py', 'test_module.py', 'test_road.py', 'test_scenarios.py'}


def pytest_report_header(config):
    lines = [f'database: {backend_name}, cache: {cache.relative_to(ROOT)}']
    if NO_BROWSER:
        lines.append('BROWSER=no: the journeys in Chromium are left out')
    return lines


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    Pool.test = item.path.name in CHECKED
    if not (item.cls and issubclass(item.cls, RefusalCase)):
        shared.close()


def pytest_collection_modifyitems(config, items):
    journeys = [i for i in items if i.path.name.startswith('test_journey_')]
    for item in journeys:
        item.add_marker('browser')
    if NO_BROWSER:
        items[:] = [i for i in items if not i.get_closest_marker('browser')]
        config.hook.pytest_deselected(items=journeys)
    elif journeys and not find_chromium():
        pytest.exit(
            "Chromium is missing: apt-get install chromium (or leave the "
            "journeys out with BROWSER=no)", returncode=1)


def pytest_unconfigure(config):
    shared.close()
    test_tryton.drop_db()
