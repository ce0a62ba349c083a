# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The end of the exercise, as finance and the officers prepare it."
import datetime as dt
from decimal import Decimal

from dateutil.relativedelta import relativedelta
from trytond.pool import Pool

from .envelopes import ENVELOPES

# What finance looks at first; the second has no envelope to go to yet.
ANNUAL = ['933-311', '933-326']
SEVERAL_YEARS = 'AP-PATR'


def prepare_closing(world):
    """Simulate the carry-over of a few envelopes to the next exercise, and
    record reports that wait to be accepted."""
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
    _receive_attestations(world)
    _claim_without_report(world)


def _claim_without_report(world):
    """The Département waits for reports for a shorter time than the
    parameter that is delivered; the daily task looks what is owed (L30).

    Reports are due in June: there is none to miss in the first half of a
    year.
    """
    today = world.calendar.today
    since = today.replace(day=1) - relativedelta(months=1)
    if since.year < today.year or since.month < 7:
        return
    with world.office.installation():
        Parameter = Pool().get('grant.parameter')
        delivered, = Parameter.search([('code', '=', 'L30_NO_REPORT_DELAY')])
        Parameter.create([{
                    'code': delivered.code,
                    'name': delivered.name,
                    'unit': delivered.unit,
                    'value': Decimal(1),
                    'valid_from': since,
                    'source': "Règlement départemental des aides",
                    }])
        Pool().get('grant.recovery').propose_daily()


def _receive_attestations(world):
    "A few attestations arrived together; the last one is not complete."
    office = world.office
    Report = Pool().get('grant.financial_report')
    with office.installation():
        reports = Report.search([
                ('kind', '=', 'attestation'),
                ('state', '=', 'expected'),
                ('due_date', '>=', world.calendar.today),
                ], order=[('id', 'ASC')], limit=4)
    if not reports:
        return
    for report in reports:
        office.write(
            'claire', report,
            activity="L’action s’est déroulée aux dates convenues.",
            beneficiary_count=60,
            eligible_realised=report.eligible_forecast,
            certified_name=(
                report.party.representative_name or report.party.name),
            certified_capacity="Présidence",
            certified_on=world.calendar.today)
    office.write('claire', reports[-1], beneficiary_count=None)
    office.press('claire', reports, 'submit')


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
