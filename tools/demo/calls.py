# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The calls of each year, open at the time the applications arrive."
import datetime as dt
from collections import defaultdict

from .schemes import SCHEMES

# Closed for good: what arrives after it is late.
CLOSED = 'SNAT'
STILL_OPEN = 45
# Days from the closing to what arrives too late
LATE = 4


def create_calls(office, calendar, dossiers, schemes, envelopes):
    """Create, as the head of service, the call of each year of the schemes
    that have one; ``dossiers`` are (dossier, date of reception)."""
    received = defaultdict(list)
    for dossier, date in dossiers:
        if SCHEMES[dossier.scheme].call and (
                dossier.scheme != CLOSED or dossier.sessions):
            year = calendar.year(
                dossier.sessions[0] if dossier.sessions else None)
            received[dossier.scheme, year].append(date)
    for code, scheme in SCHEMES.items():
        if scheme.call and code != CLOSED:
            received[code, calendar.today.year].append(
                calendar.today - dt.timedelta(days=20))
    calls = {}
    for (code, year), dates in sorted(received.items()):
        opens, closes = min(dates).replace(day=1), max(dates)
        if code != CLOSED and year == calendar.today.year:
            closes = calendar.today + dt.timedelta(days=STILL_OPEN)
        else:
            closes += dt.timedelta(days=10)
        calls[code, year] = office.create('marc', 'grant.call', {
                'company': office.company.id,
                'scheme': schemes[code].id,
                'name': f"Campagne {year}",
                'year': year,
                'opens_on': opens,
                'closes_on': closes,
                'envelope': envelopes[SCHEMES[code].envelope, year].id,
                })
    return calls
