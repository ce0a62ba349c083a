# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The scenarios, one test each.

pytest does not know the load_tests protocol, so trytond's loader is called
here and what it finds is compared with the files.
"""

import unittest
from pathlib import Path

import pytest

from trytond.tests.test_tryton import load_doc_tests

HERE = Path(__file__).parent
FILES = sorted(path.name for path in HERE.glob('scenario_*.rst'))


def load_scenarios():
    "The scenarios by file name, as trytond loads them."
    suite = load_doc_tests(
        __name__, __file__, unittest.TestLoader(), unittest.TestSuite(), None)
    scenarios = {}
    for test in iterate(suite):
        scenarios.setdefault(Path(test._dt_test.filename).name, test)
    return scenarios


def iterate(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from iterate(test)
        else:
            yield test


SCENARIOS = load_scenarios()


def test_all_scenarios_found():
    assert sorted(SCENARIOS) == FILES


@pytest.mark.parametrize('name', FILES)
def test_scenario(name):
    result = unittest.TestResult()
    SCENARIOS[name].run(result)
    problems = result.errors + result.failures
    assert not problems, '\n'.join(text for _, text in problems)
    assert result.testsRun == 1 and not result.skipped
