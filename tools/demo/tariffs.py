# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Tariff clauses of the schemes, facilities and two seasons of grids.

Prices and attendance are invented; they are of the size that such places
have.
"""
import datetime as dt
from decimal import Decimal

from trytond.pool import Pool

# scheme: [(code, categories, parameters)]
CLAUSES = {
    'FEST': [
        ('TAR_MAX', [], {'maximum_price': '15', 'product': 'ticket'}),
        ('TAR_MAX', ['M26', 'DE', 'RSA'], {
                'maximum_rate': '0.5', 'product': 'ticket'}),
        ('TAR_GRATUITE', ['ACC'], {}),
        ('PART_REDUIT', [], {'minimum_share': '0.3'}),
        ('INFO_TARIF', [], {}),
        ],
    'SDEPA': [
        ('TAR_QF', [], {
                'minimum_number': 4, 'maximum_price': '60',
                'minimum_ratio': '3', 'product': 'course'}),
        ('TAR_STABLE', [], {'index_rate': '0.03'}),
        ('TAR_UNIQUE_TERRITOIRE', [], {'zone': 'epci'}),
        ('NON_RECOURS', [], {'minimum_number': 2}),
        ],
    'CLUB': [
        ('LICENCE_AIDE', ['M18'], {'maximum_rate': '0.6'}),
        ('TAR_STABLE', [], {'index_rate': '0.03'}),
        ],
    }
# (partner, facility or None, seasons up to the present one); a season has
# its prices (a table as partners send it), its attendance and its facts
PLACES = [
    ('lucioles', ("Scène du Terril", 'cultural'), [(
                """Produit;Libellé;Catégorie;Prix;Plein tarif
Billet;Soirée;;14,00;oui
Billet;Soirée;M26;7,00;
Billet;Soirée;DE;7,00;
Billet;Soirée;RSA;5,00;
Billet;Soirée;ACC;0,00;
""",
                """Produit;Libellé;Catégorie;Entrées;Recettes
Billet;Soirée;;2 640;36 960,00
Billet;Soirée;M26;1 180;8 260,00
Billet;Soirée;DE;205;1 435,00
Billet;Soirée;RSA;96;480,00
Billet;Soirée;ACC;31;0,00
""",
                ['info_online', 'info_site']), (
                """Produit;Libellé;Catégorie;Prix;Plein tarif
Billet;Soirée;;14,00;oui
Billet;Soirée;M26;7,00;
Billet;Soirée;DE;9,00;
Billet;Soirée;RSA;5,00;
Billet;Soirée;ACC;0,00;
""", None, ['info_online'])]),
    ('marees', None, [(
                """Produit;Catégorie;Prix;Plein tarif
Billet;;12,00;oui
Billet;M26;6,00;
Billet;DE;7,00;
Billet;RSA;3,00;
Billet;ACC;gratuit;
""",
                """Produit;Catégorie;Entrées;Recettes
Billet;;830;9 960,00
Billet;M26;372;2 232,00
Billet;DE;44;308,00
Billet;RSA;29;87,00
Billet;ACC;12;0,00
""", ['info_online'])]),
    ('epci_lumbres', ("École de musique communautaire", 'teaching'), [(
                """Produit;Libellé;QF min;QF max;Résidence;Prix
Cours;Cursus;0;500;Intercommunalité;48,00
Cours;Cursus;500;800;Intercommunalité;90,00
Cours;Cursus;800;1200;Intercommunalité;135,00
Cours;Cursus;1200;;Intercommunalité;180,00
Cours;Cursus;;;Hors territoire;320,00
""",
                None, ['relay', 'relay']), (
                """Produit;Libellé;QF min;QF max;Résidence;Prix
Cours;Cursus;0;500;Intercommunalité;48,00
Cours;Cursus;500;800;Intercommunalité;92,00
Cours;Cursus;800;1200;Intercommunalité;139,00
Cours;Cursus;1200;;Intercommunalité;185,00
Cours;Cursus;;;Hors territoire;340,00
""", None, ['relay', 'relay'])]),
    ('basket', None, [(
                """Produit;Libellé;Catégorie;Prix;Plein tarif
Licence;Licence compétition;;165,00;oui
Licence;Licence jeune;M18;95,00;
""", None, []), (
                """Produit;Libellé;Catégorie;Prix;Plein tarif
Licence;Licence compétition;;172,00;oui
Licence;Licence jeune;M18;98,00;
""", None, [])]),
    ]
FACTS = {
    'info_online': {
        'text': "Page « Tarifs » du site du partenaire",
        'url': "https://www.exemple.fr/tarifs"},
    'info_site': {
        'text': "Panneau à l’entrée", 'file': b'Photographie du panneau',
        'filename': 'panneau.txt'},
    'relay': {'text': "Permanence à la Maison du Département Solidarité"},
    }
# Days before today
LAST_SEASON, ACCEPTED, THIS_SEASON = 540, 280, 180


def create_clauses(office, schemes):
    "Add to the schemes the tariff clauses that they propose."
    categories = _categories(office)
    for scheme, clauses in CLAUSES.items():
        office.write('marc', schemes[scheme], tariff_clauses=[
                ('create', [{
                            'sequence': rank,
                            'code': code,
                            'categories': [
                                ('add', [categories[c] for c in audiences])],
                            } | {n: _value(v) for n, v in values.items()}
                        for rank, (code, audiences, values)
                        in enumerate(clauses, 1)])])


def _categories(office):
    with office.installation():
        return {
            c.code: c.id
            for c in Pool().get('grant.tariff.category').search([])}


def _value(value):
    try:
        return Decimal(value) if isinstance(value, str) else value
    except ArithmeticError:
        return value


def tell_seasons(story, world):
    "Add to the story the two seasons of each place."
    today = world.calendar.today
    last = today - dt.timedelta(days=LAST_SEASON)
    this = today - dt.timedelta(days=THIS_SEASON)
    periods = [
        (last, this - dt.timedelta(days=1)),
        (this, last + dt.timedelta(days=724))]
    for partner, facility, seasons in PLACES:
        lived = [
            (*period, *season) for period, season in zip(
                periods[-len(seasons):], seasons, strict=True)]
        story.add(
            max(lived[0][0],
                world.calendar.beginning + dt.timedelta(days=1)),
            _live(world, partner, facility, lived))


def _live(world, partner, facility, seasons):
    office, party = world.office, world.partners[partner]
    login = 'julien' if partner == 'basket' else 'claire'
    place = None
    if facility:
        name, kind = facility
        place = office.create(login, 'grant.facility', {
                'name': name, 'kind': kind, 'owner': party.id,
                'commune': party.commune.id}).id
    grids = []
    for start, end, prices, attendance, facts in seasons:
        if world.clock.today < start:
            yield world.calendar.office_day(start)
        grid = office.create(login, 'grant.tariff.grid', {
                'party': party.id,
                'facility': place,
                'season': f'{start:%m/%Y} – {end:%m/%Y}',
                'start_date': start,
                'end_date': end,
                'voted_on': start - dt.timedelta(days=30),
                })
        with office.user(login):
            grid.__class__(grid.id).import_lines(prices)
        yield login, grid, 'submit'
        for kind in facts:
            office.create(login, 'grant.tariff.fact', {
                    'grid': grid.id, 'kind': kind,
                    'date': world.clock.day} | FACTS[kind])
        if attendance:
            with office.user(login):
                grid.__class__(grid.id).import_attendances(attendance)
        if start != seasons[-1][0]:
            yield world.calendar.office_day(
                world.calendar.today - dt.timedelta(days=ACCEPTED))
            yield login, grid, 'accept'
        grids.append(grid)
    # When the conventions have been voted the seasons are judged again.
    yield world.calendar.office_day(
        world.calendar.today - dt.timedelta(days=2))
    for grid in grids:
        yield login, grid, 'evaluate'
