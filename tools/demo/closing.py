# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The end of the exercise, as finance prepares it."
import datetime as dt
from decimal import Decimal

from .envelopes import ENVELOPES

# What finance looks at first; the second has no envelope to go to yet.
ANNUAL = ['933-311', '933-326']
SEVERAL_YEARS = 'AP-PATR'


def prepare_closing(world):
    "Simulate the carry-over of a few envelopes to the next exercise."
    year = world.calendar.today.year
    _open(world, ANNUAL[0], year + 1)
    for code in [*ANNUAL, SEVERAL_YEARS]:
        envelope = world.envelopes[code, year]
        world.office.create('paul', 'grant.envelope.carry_over', {
                'company': world.office.company.id,
                'envelope': envelope.id,
                'year': year + 1,
                'leave_accrued': code != SEVERAL_YEARS,
                'reference': f"État des restes à payer {year}",
                })


def _open(world, code, year):
    "Open the envelope of the next exercise before its budget is voted."
    name, kind, service = ENVELOPES[code]
    world.office.create('paul', 'grant.envelope', {
            'company': world.office.company.id,
            'code': code,
            'name': name,
            'kind': kind,
            'year': year,
            'service': world.office.services[service].id,
            'movements': [('create', [{
                            'kind': 'provisional',
                            'date': dt.date(year, 1, 1),
                            'amount': Decimal(0),
                            'payment_year': year,
                            'payment_credit': Decimal(0),
                            'reference': f"Avant le budget {year}",
                            }])],
            })
