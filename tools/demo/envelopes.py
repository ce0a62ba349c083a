# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The envelopes of each year, with room for the dossiers of the story."
import datetime as dt
from collections import defaultdict
from decimal import Decimal

from .schemes import SCHEMES

# code: (name, kind, service)
ENVELOPES = {
    '933-311': ("Culture : activités artistiques et culturelles", 'annual',
        'CULT'),
    '933-312': ("Culture : mémoire et patrimoine, fonctionnement", 'annual',
        'CULT'),
    '933-313': ("Culture : lecture publique", 'annual', 'CULT'),
    'AE-CCI': ("Contrats culture intercommunaux", 'AE', 'CULT'),
    'AP-PATR': ("Patrimoine : aides à l’investissement", 'AP', 'CULT'),
    '933-326': ("Sports : clubs et manifestations", 'annual', 'SPORT'),
    '933-327': ("Sports : sportives et sportifs de haut niveau", 'annual',
        'SPORT'),
    '933-SNAT': ("Sports de nature : appel à projets", 'annual', 'SPORT'),
    'AP-EQSP': ("Équipements sportifs : aides à l’investissement", 'AP',
        'SPORT'),
    '932-221': ("Collèges : projets éducatifs", 'annual', 'EDUC'),
    '933-338': ("Jeunesse et éducation populaire", 'annual', 'JEUN'),
    '933-INIT': ("Initiatives de jeunes", 'annual', 'JEUN'),
    }
# Nearly used up: what a vote above the proposal no longer finds
TIGHT = {'933-INIT': 500, '933-SNAT': 100}
STEP = 10000


def create_envelopes(office, calendar, dossiers):
    "Create the envelopes of the years as the finance officer."
    needs, largest = _needs(calendar, dossiers)
    envelopes = {}
    years = {year for _, year in needs} | {calendar.today.year}
    for year in sorted(years):
        for code, (name, kind, service) in ENVELOPES.items():
            if code in TIGHT:
                authorised = Decimal(
                    max(needs[code, year], largest[code]) + TIGHT[code])
            else:
                authorised = Decimal(
                    (needs[code, year] * 5 // 4 // STEP + 1) * STEP)
            envelopes[code, year] = office.create('paul', 'grant.envelope', {
                    'company': office.company.id,
                    'code': code,
                    'name': name,
                    'kind': kind,
                    'year': year,
                    'service': office.services[service].id,
                    'movements': [('create', _movements(
                                kind, year, authorised, calendar.today))],
                    })
    return envelopes


def _needs(calendar, dossiers):
    """Return what the dossiers of a year keep at most, in euros, by
    envelope and year, and the largest of them by envelope."""
    needs, largest = defaultdict(int), defaultdict(int)
    for dossier in dossiers:
        code = SCHEMES[dossier.scheme].envelope
        largest[code] = max(largest[code], dossier.propose)
        for session in dossier.sessions:
            # What is given up makes room again before the next session.
            if code not in TIGHT or dossier.until != 'renounced':
                needs[code, calendar.year(session)] += dossier.propose
        if dossier.later:
            needs[code, calendar.year(session) + 1] += dossier.propose
    return needs, largest


def _movements(kind, year, authorised, today):
    "The initial budget and, once it is voted, the supplementary one."
    def movement(kind, date, amount, reference, credit=None):
        return {
            'kind': kind,
            'date': date,
            'amount': amount,
            'payment_year': year,
            'payment_credit': amount if credit is None else credit,
            'reference': reference,
            }

    decision = dt.date(year, 6, 22)
    supplement = Decimal(0)
    if decision <= today:
        supplement = (authorised / 5).quantize(Decimal(100))
    budget = min(dt.date(year - 1, 12, 14), today)
    movements = [movement(
            'initial', budget, authorised - supplement,
            f"Budget primitif {year}")]
    if supplement:
        movements.append(movement(
                'supplementary', decision, supplement,
                f"Décision modificative n° 1 de {year}"))
    if kind == 'AP':
        # A part of the credits of the year goes to the next one.
        credit = (authorised / 5).quantize(Decimal(100))
        movements.append(movement(
                'transfer', budget, Decimal(0),
                f"Échéancier de l’autorisation de programme {year}",
                credit=-credit))
        movements.append(movement(
                'transfer', budget, Decimal(0),
                f"Échéancier de l’autorisation de programme {year}",
                credit=credit) | {'payment_year': year + 1})
    return movements
