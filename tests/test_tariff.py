# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Tariff clauses, grids and verdicts."
import datetime as dt
from decimal import Decimal

import pytest
from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError, ValidationError
from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, FrozenError, TransitionError)
from trytond.modules.pacte_grants.tariff_import import TableImportError
from trytond.modules.pacte_grants.tariff_rule import (
    Clause, Fact, Line, Season, evaluate, find_overlaps, match_lines)
from trytond.modules.pacte_grants.csv_table import (
    decode, read_count, read_number, read_price, read_table)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import RefusalCase, attempt, forget
from .tools import count_queries

D = Decimal


def line(price, category=None, product='ticket', **values):
    for name in ['price', 'quotient_min', 'quotient_max', 'receipts']:
        if name == 'price':
            price = D(str(price))
        elif name in values:
            values[name] = D(str(values[name]))
    return Line(product=product, price=price, category=category, **values)


def full(price, **values):
    return line(price, is_reference=True, **values)


def season(*lines, facts=(), **values):
    return Season(lines=lines, facts=facts, **values)


def clause(code, *categories, **values):
    return Clause(code=code, categories=categories, **{
            n: D(v) if isinstance(v, str) and n not in {'product', 'zone'}
            else v for n, v in values.items()})


HALF = {'maximum_rate': '0.5'}
QF = [
    line(60, product='course', quotient_max=600),
    line(120, product='course', quotient_min=600, quotient_max=1200),
    line(240, product='course', quotient_min=1200),
    ]
TICKETS = [
    full(10, entries=500, receipts=5000),
    line(5, 'M26', entries=400, receipts=2000),
    line(0, 'ACC', entries=100, receipts=0),
    ]
ONLINE = Fact('info_online')
SITE = Fact('info_site')
# clause, season, verdict, codes of the reasons, figure measured
TABLE = [
    # Reduced prices exist
    (clause('TAR_REDUIT_EXISTE', 'M26', 'DE'),
        season(full(12), line(6, 'M26'), line(8, 'DE')),
        'met', ['categories_served'], 2),
    (clause('TAR_REDUIT_EXISTE', 'M26', 'DE'),
        season(full(12), line(6, 'M26')),
        'not_met', ['category_missing'], 1),
    (clause('TAR_REDUIT_EXISTE', 'DE'),
        season(full(12), line(12, 'DE')),
        'not_met', ['category_full'], 0),
    (clause('TAR_REDUIT_EXISTE', 'DE'),
        season(full(12), line(8, 'DE'), voted=False),
        'unknown', ['not_voted'], 1),
    (clause('TAR_REDUIT_EXISTE', 'DE'),
        season(full(12), voted=False),
        'not_met', ['category_missing', 'not_voted'], 0),
    (clause('TAR_REDUIT_EXISTE', 'DE'), season(),
        'unknown', ['no_line'], None),
    # 4 of the other product does not count
    (clause('TAR_REDUIT_EXISTE', 'DE', product='course'),
        season(full(90, product='course'), line(4, 'DE')),
        'not_met', ['category_missing'], 0),
    # Highest price
    (clause('TAR_MAX', 'DE', **HALF),
        season(full(12), line(7, 'DE')),
        'not_met', ['rate_over'], 7),
    (clause('TAR_MAX', 'DE', **HALF),
        season(full(12), line(6, 'DE')),
        'met', ['rate_under'], 6),
    (clause('TAR_MAX', 'DE', maximum_price='7'),
        season(full(12), line(7, 'DE')),
        'met', ['price_under'], 7),
    (clause('TAR_MAX', 'DE', maximum_price='7'),
        season(full(12), line('7.01', 'DE')),
        'not_met', ['price_over'], D('7.01')),
    (clause('TAR_MAX', 'DE', maximum_price='7', maximum_rate='0.5'),
        season(full(12), line(7, 'DE')),
        'not_met', ['rate_over'], 7),
    (clause('TAR_MAX', 'DE', **HALF),
        season(line(7, 'DE')),
        'unknown', ['no_full_price'], 7),
    # Nobody has a price of their own: they pay the full one
    (clause('TAR_MAX', 'DE', **HALF),
        season(full(12), line(6, 'M26')),
        'not_met', ['rate_over', 'pays_full'], 12),
    (clause('TAR_MAX', 'DE', maximum_price='12'),
        season(full(12)), 'met', ['pays_full', 'price_under'], 12),
    (clause('TAR_MAX', 'DE', maximum_price='5'),
        season(line(6, 'M26')), 'unknown', ['no_price'], None),
    (clause('TAR_MAX', maximum_price='15'),
        season(full(15), line(40, 'M26')),
        'met', ['full_price_under'], 15),
    (clause('TAR_MAX', maximum_price='15'),
        season(full(16)), 'not_met', ['full_price_over'], 16),
    (clause('TAR_MAX', maximum_price='15'),
        season(line(5, 'M26')), 'unknown', ['no_full_price'], None),
    # A full price of zero: nothing is above half of it but a price
    (clause('TAR_MAX', 'DE', **HALF),
        season(full(0), line(0, 'DE')), 'met', ['rate_under'], 0),
    # Each price compares with the full price of the same label
    (clause('TAR_MAX', 'DE', **HALF),
        season(
            full(10, label="Théâtre"), full(30, label="Opéra"),
            line(15, 'DE', label="opéra"), line(5, 'DE', label="Théâtre")),
        'met', ['rate_under'] * 2, 15),
    (clause('TAR_MAX', 'DE', **HALF), season(), 'unknown', ['no_line'], None),
    # Free of charge
    (clause('TAR_GRATUITE', 'ACC'),
        season(full(12), line(0, 'ACC')), 'met', ['free'], None),
    (clause('TAR_GRATUITE', 'ACC'),
        season(full(12), line(2, 'ACC')),
        'not_met', ['category_pays'], None),
    # Free at one counter only
    (clause('TAR_GRATUITE', 'ACC'),
        season(line(0, 'ACC'), line(9, 'ACC', product='course')),
        'not_met', ['category_pays'], None),
    (clause('TAR_GRATUITE', 'ACC', product='ticket'),
        season(line(0, 'ACC'), line(9, 'ACC', product='course')),
        'met', ['free'], None),
    (clause('TAR_GRATUITE', 'ACC'),
        season(full(12)), 'not_met', ['category_missing'], None),
    (clause('TAR_GRATUITE', 'ACC'), season(), 'unknown', ['no_line'], None),
    (clause('TAR_GRATUITE', minimum_number=3),
        season(facts=[Fact('free_day', 1), Fact('free_day', 2)]),
        'met', ['free_days'], 3),
    (clause('TAR_GRATUITE', minimum_number=3),
        season(facts=[Fact('free_day', 2)]),
        'not_met', ['free_days_under'], 2),
    (clause('TAR_GRATUITE', minimum_number=3),
        season(facts=[Fact('free_day', 2)], over=False),
        'unknown', ['free_days_so_far'], 2),
    (clause('TAR_GRATUITE', minimum_number=3),
        season(full(12)), 'unknown', ['free_days_missing'], None),
    (clause('TAR_GRATUITE', 'ACC', minimum_number=1),
        season(full(12)), 'not_met',
        ['category_missing', 'free_days_missing'], None),
    # Family quotient
    (clause('TAR_QF', minimum_number=3, maximum_price='60',
            minimum_ratio='4'),
        season(*QF), 'met', ['brackets'], 3),
    (clause('TAR_QF', minimum_number=4), season(*QF),
        'not_met', ['few_brackets'], 3),
    (clause('TAR_QF', maximum_price='59.99'), season(*QF),
        'not_met', ['lowest_over'], 3),
    (clause('TAR_QF', minimum_ratio='4.01'), season(*QF),
        'not_met', ['ratio_under'], 3),
    (clause('TAR_QF', minimum_ratio='4'),
        season(line(0, quotient_max=600), line(5, quotient_min=600)),
        'met', ['brackets'], 2),
    (clause('TAR_QF', minimum_number=2),
        season(
            line(60, quotient_max=700),
            line(90, quotient_min=600, quotient_max=1200)),
        'unknown', ['overlap'], 2),
    (clause('TAR_QF', minimum_number=3),
        season(line(60, quotient_max=700), line(90, quotient_min=600)),
        'not_met', ['few_brackets', 'overlap'], 2),
    (clause('TAR_QF', minimum_number=2),
        season(full(12), line(6, 'M26')), 'not_met', ['no_bracket'], 0),
    (clause('TAR_QF', minimum_number=2), season(),
        'unknown', ['no_line'], None),
    # Every list is looked at on its own
    (clause('TAR_QF', minimum_number=3),
        season(*QF, line(5, product='entry', quotient_max=600)),
        'not_met', ['few_brackets'], 1),
    (clause('TAR_QF', minimum_number=3, product='course'),
        season(*QF, line(5, product='entry', quotient_max=600)),
        'met', ['brackets'], 3),
    # Stable prices
    (clause('TAR_STABLE', index_rate='0.02'),
        season(full('10.20'), previous=[full(10)]),
        'met', ['stable'], D('0.02')),
    (clause('TAR_STABLE', index_rate='0.02'),
        season(full('10.21'), previous=[full(10)]),
        'not_met', ['rise'], D('0.021')),
    (clause('TAR_STABLE', index_rate='0.02'),
        season(full(9), line(3, 'M26'), previous=[full(10)]),
        'met', ['stable', 'new_lines'], D('-0.1')),
    (clause('TAR_STABLE', index_rate='0.02'),
        season(line(1, 'ACC'), previous=[line(0, 'ACC')]),
        'not_met', ['no_longer_free'], 0),
    (clause('TAR_STABLE', index_rate='0.02'), season(full(10)),
        'unknown', ['no_previous'], None),
    (clause('TAR_STABLE', index_rate='0.02'),
        season(line(3, 'M26'), previous=[full(10)]),
        'unknown', ['no_match'], None),
    (clause('TAR_STABLE', 'DE', index_rate='0'),
        season(full(20), line(6, 'DE'),
            previous=[full(10), line(6, 'DE')]),
        'met', ['stable'], 0),
    (clause('TAR_STABLE', index_rate='0'), season(previous=[full(10)]),
        'unknown', ['no_line'], None),
    # One price for the territory
    (clause('TAR_UNIQUE_TERRITOIRE', zone='epci'),
        season(full(10)), 'met', ['zone_same'], 0),
    (clause('TAR_UNIQUE_TERRITOIRE', zone='epci'),
        season(full(10, residence='commune'), full(15, residence='outside')),
        'not_met', ['zone_gap'], 5),
    (clause('TAR_UNIQUE_TERRITOIRE', zone='epci'),
        season(full(10, residence='epci'), full(15, residence='outside')),
        'met', ['zone_same'], 0),
    (clause('TAR_UNIQUE_TERRITOIRE', zone='department'),
        season(full(10, residence='epci'), full(15, residence='outside')),
        'not_met', ['zone_gap'], 5),
    (clause('TAR_UNIQUE_TERRITOIRE', zone='department'),
        season(full(10, residence='commune'), full(10, residence='all')),
        'met', ['zone_same'], 0),
    (clause('TAR_UNIQUE_TERRITOIRE', zone='epci'),
        season(full(10, residence='commune')),
        'unknown', ['zone_no_price'], 0),
    # People from outside have no bracket of quotient
    (clause('TAR_UNIQUE_TERRITOIRE', zone='epci'),
        season(
            line(50, quotient_max=600, residence='epci'),
            line(90, quotient_min=600, residence='epci'),
            line(200, residence='outside')),
        'met', ['zone_same'], 0),
    (clause('TAR_UNIQUE_TERRITOIRE', zone='department'),
        season(
            line(50, quotient_max=600, residence='epci'),
            line(200, residence='outside')),
        'unknown', ['zone_no_price'], 0),
    (clause('TAR_UNIQUE_TERRITOIRE', zone='epci'), season(),
        'unknown', ['no_line'], None),
    # Share of reduced entries: 500 of 1000
    (clause('PART_REDUIT', minimum_share='0.5'), season(*TICKETS),
        'met', ['share_met'], D('0.5')),
    (clause('PART_REDUIT', minimum_share='0.501'), season(*TICKETS),
        'not_met', ['share_under'], D('0.5')),
    (clause('PART_REDUIT', minimum_share='0.501'),
        season(*TICKETS, over=False),
        'unknown', ['share_so_far'], D('0.5')),
    (clause('PART_REDUIT', minimum_share='0.5'),
        season(*TICKETS, over=False), 'met', ['share_met'], D('0.5')),
    (clause('PART_REDUIT', minimum_share='0.5'),
        season(full(10), line(5, 'M26')),
        'unknown', ['no_attendance'], None),
    (clause('PART_REDUIT', minimum_share='0.5'),
        season(full(10, entries=0)), 'unknown', ['no_attendance'], None),
    (clause('PART_REDUIT', minimum_share='0.5'),
        season(line(5, 'M26', entries=10)),
        'unknown', ['no_full_price'], None),
    # A "reduced" price that is the full one is not reduced
    (clause('PART_REDUIT', minimum_share='0.5'),
        season(full(10, entries=1), line(10, 'M26', entries=9)),
        'not_met', ['share_under'], 0),
    # Solidarity places
    (clause('PLACES_SOLIDAIRES', minimum_number=50),
        season(facts=[Fact('solidarity', 30), Fact('solidarity', 20)]),
        'met', ['places'], 50),
    (clause('PLACES_SOLIDAIRES', minimum_number=50),
        season(facts=[Fact('solidarity', 49)]),
        'not_met', ['places_under'], 49),
    (clause('PLACES_SOLIDAIRES', minimum_number=50),
        season(facts=[Fact('solidarity', 49)], over=False),
        'unknown', ['places_so_far'], 49),
    (clause('PLACES_SOLIDAIRES', minimum_number=50),
        season(facts=[Fact('solidarity', 60, documented=False)]),
        'unknown', ['no_structures', 'places'], 60),
    (clause('PLACES_SOLIDAIRES', minimum_number=50), season(),
        'unknown', ['places_missing'], None),
    # Average price: 7000 for 900 paid entries
    (clause('PRIX_MOYEN', maximum_price='7.78'), season(*TICKETS),
        'met', ['average'], D(7000) / 900),
    (clause('PRIX_MOYEN', maximum_price='7.77'), season(*TICKETS),
        'not_met', ['average_over'], D(7000) / 900),
    (clause('PRIX_MOYEN', maximum_price='7.77'),
        season(*TICKETS, over=False),
        'unknown', ['average_so_far'], D(7000) / 900),
    (clause('PRIX_MOYEN', maximum_price='7'),
        season(full(10, entries=3)), 'unknown', ['no_receipts'], None),
    (clause('PRIX_MOYEN', maximum_price='7'),
        season(full(7, entries=3, receipts=21)), 'met', ['average'], 7),
    (clause('PRIX_MOYEN', maximum_price='7'),
        season(line(0, 'ACC', entries=3)), 'met', ['average'], 0),
    (clause('PRIX_MOYEN', maximum_price='7'), season(full(7)),
        'unknown', ['no_attendance'], None),
    # Licence
    (clause('LICENCE_AIDE', 'M18', maximum_price='60'),
        season(
            full(150, product='licence'),
            line(60, 'M18', product='licence'), line(99, 'M18')),
        'met', ['price_under'], 60),
    (clause('LICENCE_AIDE', 'M18', **HALF),
        season(
            full(150, product='licence'),
            line(76, 'M18', product='licence')),
        'not_met', ['rate_over'], 76),
    (clause('LICENCE_AIDE', 'M18', maximum_price='60'),
        season(full(150, product='licence')),
        'not_met', ['price_over', 'pays_full'], 150),
    (clause('LICENCE_AIDE', 'M18', maximum_price='60'),
        season(line(9, 'M18')), 'unknown', ['no_licence'], None),
    # Information
    (clause('INFO_TARIF'), season(facts=[ONLINE, SITE]),
        'met', ['info'], None),
    (clause('INFO_TARIF'), season(facts=[ONLINE]),
        'unknown', ['info_site_missing'], None),
    (clause('INFO_TARIF'),
        season(facts=[ONLINE, Fact('info_site', documented=False)]),
        'unknown', ['info_site_evidence'], None),
    (clause('INFO_TARIF'),
        season(facts=[SITE, ONLINE, Fact('info_online', confirmed=False)]),
        'not_met', ['info_online_no'], None),
    (clause('INFO_TARIF'),
        season(facts=[SITE, Fact('info_online', confirmed=False), ONLINE]),
        'met', ['info'], None),
    (clause('INFO_TARIF'), season(), 'unknown',
        ['info_online_missing', 'info_site_missing'], None),
    # Relays
    (clause('NON_RECOURS', minimum_number=2),
        season(facts=[Fact('relay'), Fact('relay')]),
        'met', ['relays'], 2),
    (clause('NON_RECOURS', minimum_number=2),
        season(facts=[Fact('relay'), Fact('relay', confirmed=False)]),
        'not_met', ['relays_under'], 1),
    (clause('NON_RECOURS', minimum_number=2),
        season(facts=[Fact('relay')], over=False),
        'unknown', ['relays_so_far'], 1),
    (clause('NON_RECOURS', minimum_number=2), season(),
        'unknown', ['relays_missing'], None),
    ]


@pytest.mark.parametrize(
    'clause, season, result, codes, value', TABLE,
    ids=[f'{i}-{row[0].code}-{row[2]}' for i, row in enumerate(TABLE)])
def test_verdict(clause, season, result, codes, value):
    verdict = evaluate(clause, season)
    assert verdict.result == result
    assert [r.code for r in verdict.reasons] == codes
    assert verdict.value == value


def test_table_is_whole():
    "Every type of clause has each of the three verdicts"
    from trytond.modules.pacte_grants.tariff_rule import RULES
    seen = {(row[0].code, row[2]) for row in TABLE}
    assert seen == {
        (code, result) for code in RULES
        for result in ['met', 'not_met', 'unknown']}


@pytest.mark.parametrize('brackets, count', [
        ([(None, 600), (600, 900), (900, None)], 0),
        ([(0, 600), (601, 900)], 0),
        ([(0, 601), (600, 900)], 1),
        ([(0, 600), (0, 600)], 1),
        ([(0, None), (600, 900), (900, 1200)], 2),
        ([(600, 600), (600, 600)], 1),
        ])
def test_overlaps(brackets, count):
    assert len(find_overlaps([
                line(1, quotient_min=a, quotient_max=b) if (
                    a is not None and b is not None)
                else line(1, quotient_min=a) if b is None
                else line(1, quotient_max=b)
                for a, b in brackets])) == count


def test_overlaps_elsewhere():
    "Another product, audience or residence is another list"
    assert not find_overlaps([
            line(1, quotient_max=600),
            line(1, 'M26', quotient_max=600),
            line(1, quotient_max=600, residence='outside'),
            line(1, quotient_max=600, product='course')])


def test_match():
    lines = [
        full(10, label="Plein"), line(5, 'M26', label="Jeune"),
        line(6, 'DE', label="A"), line(7, 'DE', label="B")]
    before = [
        full(9, label="plein "), line(4, 'M26', label="Moins de 26"),
        line(5, 'DE', label="C"), line(6, 'DE', label="B")]
    assert [m and m.price for m in match_lines(lines, before)] == [
        9, 4, None, 6]


@pytest.mark.parametrize('text, number', [
        ("12,50 €", D('12.50')), ("1 234,5", D('1234.5')),
        ("12.5", D('12.5')), ("1\u202f000", D(1000)), ("0,125", D('0.125')),
        ("1\xa0234\xa0567,89\xa0€", D('1234567.89')), ("5 euros", D(5)),
        ])
def test_number(text, number):
    assert read_number(text) == number


@pytest.mark.parametrize('read, text', [
        (read_number, "1.234,5"), (read_number, "douze"),
        (read_number, "NaN"), (read_price, "-1"), (read_price, "1,005"),
        # One thousand or one? Twelve and a half, or 1250? Two numbers?
        (read_count, "1.000"), (read_price, "1,000"), (read_price, "12.500"),
        (read_price, "12€50"), (read_number, "5 6"), (read_number, "1e3"),
        (read_count, "1,5"), (read_count, "-2"),
        ])
def test_not_a_number(read, text):
    with pytest.raises(ValueError):
        read(text)


@pytest.mark.parametrize('text', [
        "Produit;Prix\nA;1,5\n", "Produit\tPrix\nA\t1,5\n",
        '\ufeffPRODUIT,Prix (€)\r\n\r\nA,"1,5"\r\n',
        "Prix;Produit;\n1,5;A;\n;;\n",
        ])
def test_table(text):
    rows, errors = read_table(
        text, {'produit': 'product', 'prix': 'price'},
        {'product': str, 'price': read_price}, ['product', 'price'])
    assert not errors
    assert [r.values for r in rows] == [{'product': 'A', 'price': D('1.5')}]


@pytest.mark.parametrize('text, expected', [
        ("Produit;Coût\nA;1", [(1, "Coût", 'heading'), (1, "prix",
                    'no_column')]),
        ("Produit;Prix;Prix\nA;1;2", [(1, "Prix", 'twice')]),
        ("Produit;Prix\nA;un\n;2\nB;", [
                (2, "Prix", 'price'), (3, "Produit", 'required'),
                (4, "Prix", 'required')]),
        ("Produit;Prix\nA;1;oui", [(2, "3", 'outside')]),
        ("Produit;Prix\n", [(1, None, 'empty')]),
        ("", [(1, None, 'empty')]),
        # A quotation mark that is not closed would swallow the next rows.
        ('Prix;Produit\n1;"A\n2;B\n', [(2, None, 'unreadable')]),
        ('Prix;Produit\n1;"A" bis\n', [(2, None, 'unreadable')]),
        ])
def test_table_errors(text, expected):
    _, errors = read_table(
        text, {'produit': 'product', 'prix': 'price'},
        {'product': str, 'price': read_price}, ['product', 'price'])
    assert [e[:3] for e in errors] == expected


def test_decode():
    assert decode("\ufeffé".encode()) == "é"
    assert decode("é €".encode('cp1252')) == "é €"
    assert decode("é".encode('utf-16')) == "é"
    with pytest.raises(ValueError):
        decode(b'PK\x03\x04\0\0')


class TariffTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        cls.road = road = cls.road
        Category = Pool().get('grant.tariff.category')
        cls.categories = {c.code: c.id for c in Category.search([])}
        application = road.review(road.create_application())
        cls.application = application.id
        cls.convention_id = road.open_convention(application).id
        cls.party = application.party.id

    @property
    def convention(self):
        return Pool().get('grant.convention')(self.convention_id)

    def create(self, model, values, login='claire'):
        with self.road.as_user(login):
            record, = Pool().get(model).create([values])
        forget()
        return record.__class__(record.id)

    def add_clause(self, code='TAR_MAX', categories=('DE',), **values):
        return self.create('grant.tariff.clause', {
                'convention': self.convention_id, 'code': code,
                'categories': [
                    ('add', [self.categories[c] for c in categories])],
                } | values)

    def create_grid(self, lines=((12, None, True), (7, 'DE', False)),
            year=0, **values):
        start = self.road.today - dt.timedelta(days=30 - 365 * year)
        return self.create('grant.tariff.grid', {
                'party': self.party,
                'season': f"Saison {year}",
                'start_date': start,
                'end_date': start + dt.timedelta(days=200),
                'voted_on': start,
                'lines': [('create', [{
                                'product': 'ticket', 'price': D(str(price)),
                                'category': self.categories.get(category),
                                'is_reference': reference,
                                } for price, category, reference in lines])],
                } | values)

    def press(self, record, button, login='claire'):
        return self.road.press(login, record, button)[0]

    def to_frozen(self):
        "Agree on the text, clauses included, and vote it."
        road = self.road
        road.agree(self.convention)
        application = Pool().get('grant.application')(self.application)
        deliberation = road.schedule(application)
        road.hold()
        road.vote(deliberation)
        forget()

    def accepted(self, **values):
        grid = self.create_grid(**values)
        self.press(grid, 'submit')
        return self.press(grid, 'accept')

    def last(self, grid):
        forget()
        return [
            (v.clause.code, v.result) for v in grid.__class__(
                grid.id).verdicts if not v.replaced]

    # The clauses

    def test_texts(self):
        "The partner reads the clause in French, made of its parameters"
        clause = self.add_clause(
            categories=('M26', 'DE'), maximum_rate=D('0.5'),
            maximum_price=D(7))
        self.assertEqual(clause.text, (
                "Le tarif ne dépasse pas 7,00\xa0€ et 50\xa0% du plein "
                "tarif pour : Demandeurs d’emploi, Moins de 26 ans."))
        self.road.write('claire', clause, maximum_price=D('6.5'))
        forget()
        self.assertIn("6,50\xa0€", clause.__class__(clause.id).text)
        self.road.write('claire', clause, categories=[
                ('remove', [self.categories['M26']])])
        forget()
        self.assertNotIn("26 ans", clause.__class__(clause.id).text)

    def test_every_text(self):
        "Each type has its sentence, and none an English word left"
        parameters = {
            'TAR_REDUIT_EXISTE': [{'product': 'course'}],
            'TAR_MAX': [{'maximum_price': D(5)}],
            'TAR_GRATUITE': [{}, {'minimum_number': 3},
                {'minimum_number': 3, 'categories': ()}],
            'TAR_QF': [{'minimum_number': 4, 'maximum_price': D(60),
                    'minimum_ratio': D(3)}],
            'TAR_STABLE': [{'index_rate': D('0.02')}],
            'TAR_UNIQUE_TERRITOIRE': [
                {'zone': 'epci'}, {'zone': 'department'}],
            'PART_REDUIT': [{'minimum_share': D('0.333')}],
            'PLACES_SOLIDAIRES': [{'minimum_number': 50}],
            'PRIX_MOYEN': [{'maximum_price': D(9)}],
            'LICENCE_AIDE': [{'maximum_price': D(60)}],
            'INFO_TARIF': [{}],
            'NON_RECOURS': [{'minimum_number': 2}],
            }
        for code, rows in parameters.items():
            for values in rows:
                with self.subTest(code=code, values=values):
                    text = self.add_clause(code, **values).text
                    self.assertRegex(text, r'^[A-ZÀ-Ý].*\.$')
                    self.assertNotIn('%(', text)
                    for word in [" at ", " the ", "price", "free"]:
                        self.assertNotIn(word, text)

    def test_parameters(self):
        for code, values in [
                ('TAR_MAX', {}), ('TAR_GRATUITE', {'categories': ()}),
                ('TAR_QF', {}), ('PLACES_SOLIDAIRES', {'minimum_number': 0}),
                ('LICENCE_AIDE', {}),
                ]:
            with self.subTest(code=code), self.refused(
                    ValidationError, 'tariff_parameter_missing'):
                self.add_clause(code, **values)
        for code in [
                'TAR_REDUIT_EXISTE', 'TAR_STABLE', 'TAR_UNIQUE_TERRITOIRE',
                'PART_REDUIT', 'PLACES_SOLIDAIRES', 'PRIX_MOYEN',
                'LICENCE_AIDE', 'NON_RECOURS']:
            with self.subTest(code=code), attempt(), \
                    self.assertRaises(ValidationError):
                self.add_clause(code, categories=(), **(
                        {'maximum_price': D(1)}
                        if code == 'LICENCE_AIDE' else {}))
        # The full price is no share of itself.
        with attempt(), self.assertRaises(ValidationError):
            self.add_clause(categories=(), maximum_rate=D('0.5'))
        with self.refused(ValidationError, 'tariff_share'):
            self.add_clause('PART_REDUIT', minimum_share=D('1.2'))
        with self.refused(ValidationError, 'amount_negative'):
            self.add_clause(maximum_price=D(-1))

    def test_frozen(self):
        "Once the text is agreed no door opens"
        clause = self.add_clause(maximum_price=D(7))
        self.road.agree(self.convention)
        forget()
        Clause = clause.__class__
        Link = Pool().get('grant.tariff.clause-grant.tariff.category')
        link, = Link.search([('clause', '=', clause.id)])
        text = clause.text

        def doors():
            yield lambda: Clause.write(
                [Clause(clause.id)], {'maximum_price': D(9)})
            yield lambda: Clause.write([Clause(clause.id)], {
                    'categories': [('add', [self.categories['M26']])]})
            yield lambda: Clause.write(
                [Clause(clause.id)], {'code': 'INFO_TARIF'})
            yield lambda: Clause.delete([Clause(clause.id)])
            yield lambda: Clause.copy([Clause(clause.id)])
            yield lambda: Clause.create([{
                        'convention': self.convention_id,
                        'code': 'INFO_TARIF'}])
            yield lambda: Link.create([{
                        'clause': clause.id,
                        'category': self.categories['M26']}])
            yield lambda: Link.write([Link(link.id)], {
                    'category': self.categories['M26']})
            yield lambda: Link.delete([Link(link.id)])
            yield lambda: self.convention.__class__.write(
                [self.convention], {'tariff_clauses': [
                        ('write', [clause.id], {'maximum_price': D(9)})]})

        for rank, door in enumerate(doors()):
            with self.subTest(door=rank, by='user'), self.refused(
                    FrozenError), self.road.as_user('claire'):
                door()
            with self.subTest(door=rank, by='code'), self.refused(
                    FrozenError), self.road.system():
                door()
        forget()
        self.assertEqual(Clause(clause.id).text, text)

    def test_audience_renamed(self):
        "What an agreed clause names keeps its name"
        self.add_clause(maximum_price=D(7))
        category = Pool().get('grant.tariff.category')(self.categories['DE'])
        name = category.name
        self.road.write('alice', category, name="Chômeurs")
        self.road.write('alice', category, name=name)
        self.road.agree(self.convention)
        forget()
        for context in [self.road.as_user('alice'), self.road.system()]:
            with self.refused(FrozenError, 'tariff_category_agreed'), \
                    context:
                category.__class__.write(
                    [category.__class__(category.id)], {'name': "Chômeurs"})
        self.road.write('alice', category, name=name, proof_days=30)

    def test_text_is_not_typed(self):
        clause = self.add_clause(maximum_price=D(7))
        with self.refused(FrozenError):
            self.road.write('claire', clause, text="Tout est gratuit.")
        with self.refused(FrozenError):
            self.add_clause(maximum_price=D(7), text="Tout est gratuit.")

    def test_scheme(self):
        "A new convention takes the clauses of its scheme and bracket"
        road = self.road
        category = self.categories['DE']
        with road.system():
            self.road.scheme.__class__.write([road.scheme], {
                    'tariff_clauses': [('create', [{
                                    'code': 'TAR_MAX',
                                    'maximum_rate': D('0.5'),
                                    'categories': [('add', [category])],
                                    'minimum_amount': D(5000),
                                    }, {
                                    'code': 'INFO_TARIF',
                                    'maximum_amount': D(10000),
                                    }])]})
        convention = road.open_convention(
            road.review(road.create_application()))
        clause, = convention.tariff_clauses
        self.assertEqual(clause.code, 'TAR_MAX')
        self.assertEqual(clause.condition.kind, 'tariff')
        self.assertEqual([c.id for c in clause.categories], [category])
        self.assertIn("50\xa0%", clause.text)
        with road.system():
            asked = clause.convention.scheme.tariff_clauses[0]
            asked.maximum_rate = D('0.9')
            asked.save()
        forget()
        self.assertEqual(
            clause.__class__(clause.id).maximum_rate, D('0.5'))

    # The grids

    def test_evaluate(self):
        "The verdict says in French which figures it compares"
        clause = self.add_clause(maximum_rate=D('0.5'))
        self.to_frozen()
        grid = self.press(self.create_grid(), 'submit')
        verdict, = grid.verdicts
        self.assertEqual(verdict.result, 'not_met')
        self.assertEqual(
            verdict.reason, (
                "Plein tarif 12,00\xa0€, Demandeurs d’emploi 7,00\xa0€ : "
                "58,33\xa0% > 50\xa0%."))
        self.assertEqual(verdict.value, "7,00\xa0€")
        self.assertEqual(grid.result, 'not_met')
        clause = clause.__class__(clause.id)
        self.assertEqual(clause.result, 'not_met')
        self.assertEqual(clause.reason, verdict.reason)
        self.assertEqual(self.convention.tariff_result, 'not_met')

    def test_not_evaluated_before_the_vote(self):
        self.add_clause(maximum_rate=D('0.5'))
        grid = self.press(self.create_grid(), 'submit')
        self.assertFalse(grid.verdicts)
        self.assertIsNone(grid.result)

    def test_evaluated_again(self):
        "Until the grid is accepted the verdict follows it, then it stays"
        self.add_clause(maximum_rate=D('0.5'))
        self.to_frozen()
        grid = self.press(self.create_grid(), 'submit')
        low = next(li for li in grid.lines if li.category)
        self.road.write('claire', low, price=D(6))
        forget()
        self.press(grid, 'evaluate')
        self.assertEqual(self.last(grid), [('TAR_MAX', 'met')])
        self.press(grid, 'accept')
        forget()
        grid = grid.__class__(grid.id)
        verdict, = grid.verdicts
        self.assertTrue(verdict.sealed_on)
        for values in [{'reason': "Autre"}, {'result': 'not_met'}]:
            with self.refused(AccessError), self.road.as_user('claire'):
                verdict.__class__.write([verdict], values)
            with self.refused(AccessError, 'append_only'), \
                    self.road.system():
                verdict.__class__.write([verdict], values)
        for context in [self.road.as_user('claire'), self.road.system()]:
            with self.refused(AccessError, 'append_only'), context:
                verdict.__class__.delete([verdict])
        with self.refused(UserError), self.road.as_user('claire'):
            verdict.__class__.create([{
                        'grid': grid.id, 'clause': verdict.clause.id,
                        'result': 'met', 'date': self.road.today}])

    def test_frozen_grid(self):
        "An accepted grid and its prices stay"
        grid = self.accepted()
        Line = Pool().get('grant.tariff.line')
        low = grid.lines[0]
        for action in [
                lambda: grid.__class__.write([grid], {'season': "Autre"}),
                lambda: Line.write([Line(low.id)], {'price': D(1)}),
                lambda: Line.delete([Line(low.id)]),
                lambda: Line.copy([Line(low.id)]),
                lambda: grid.import_lines("Produit;Prix\nBillet;5"),
                ]:
            for context in [self.road.as_user('claire'), self.road.system()]:
                with self.refused(FrozenError), context:
                    action()
        for context in [self.road.as_user('claire'), self.road.system()]:
            with self.refused(AccessError), context:
                grid.__class__.delete([grid])

    def test_import_wizard_frozen(self):
        grid = self.accepted()
        Wizard = Pool().get('grant.tariff.import', type='wizard')
        with self.refused(FrozenError), self.road.as_user('claire'), \
                Transaction().set_context(
                    active_model=grid.__name__, active_id=grid.id,
                    active_ids=[grid.id]):
            session_id, _, _ = Wizard.create()
            data = {'start': {
                    'grid': grid.id, 'kind': 'lines',
                    'text': "Produit;Prix\nBillet;5", 'replace': False,
                    'file': None}}
            answer = Wizard.execute(session_id, data, 'preview')
            self.assertIn(
                "5,00", answer['view']['defaults']['text'])
            Wizard.execute(session_id, data, 'import_')

    def test_import_wizard(self):
        grid = self.create_grid(lines=())
        Wizard = Pool().get('grant.tariff.import', type='wizard')
        with self.road.as_user('lea'), self.forbidden(), \
                Transaction().set_context(
                    active_model=grid.__name__, active_id=grid.id):
            Wizard.create()
        with self.road.as_user('claire'), Transaction().set_context(
                    language='fr', active_model=grid.__name__,
                    active_id=grid.id, active_ids=[grid.id]):
            session_id, _, _ = Wizard.create()
            data = {'start': {
                    'grid': grid.id, 'kind': 'lines', 'replace': False,
                    'file': (
                        "Produit;Catégorie;Prix;Plein tarif\n"
                        "Billet;;12;oui\nBillet;RSA;5,50;\n").encode(
                        'cp1252'), 'text': None}}
            answer = Wizard.execute(session_id, data, 'preview')
            preview = answer['view']['defaults']
            self.assertEqual(preview['count'], 2)
            self.assertIn("12,00\xa0€ (plein tarif)", preview['text'])
            self.assertFalse(grid.__class__(grid.id).lines)
            Wizard.execute(session_id, data, 'import_')
        forget()
        self.assertEqual(
            [(li.price, li.is_reference)
                for li in grid.__class__(grid.id).lines],
            [(12, True), (D('5.5'), False)])

    def test_import_errors(self):
        "Every error has its line and its column, and nothing is kept"
        grid = self.create_grid(lines=())
        with Transaction().set_context(language='fr'), self.refused(
                TableImportError, 'csv_table_errors',
                "Ligne 3, colonne Prix : la valeur « cher »",
                "Ligne 4, colonne Catégorie", "Martiens",
                "Ligne 5, colonne Produit"), \
                self.road.as_user('claire'), \
                Transaction().set_context(language='fr'):
            grid.import_lines(
                "Produit;Catégorie;Prix\nBillet;Tout public;12\n"
                "Billet;DE;cher\nBillet;Martiens;5\nFusée;;1\n")
        forget()
        self.assertFalse(grid.__class__(grid.id).lines)

    def read(self, grid, method, text, **options):
        with self.road.as_user('claire'), \
                Transaction().set_context(language='fr'):
            records = getattr(grid.__class__(grid.id), method)(
                text, **options)
        forget()
        return records

    def test_import_repeated(self):
        "Nothing is counted twice, in a table or by reading it again"
        grid = self.create_grid(lines=())
        prices = "Produit;Catégorie;Prix\nBillet;;12\nBillet;DE;7\n"
        entries = "Produit;Catégorie;Entrées\nBillet;;1000\nBillet;DE;20\n"
        for method, text in [
                ('import_lines', prices), ('import_attendances', entries)]:
            if method == 'import_attendances':
                self.read(grid, 'import_lines', prices)
            with self.refused(
                    TableImportError, 'csv_table_errors',
                    "Ligne 4", "ligne 2"):
                self.read(grid, method, text + text.splitlines()[1])
            if method == 'import_attendances':
                self.read(grid, method, text)
                with self.refused(
                        TableImportError, 'csv_table_errors',
                        "Ligne 2", "Ligne 3", "déjà"):
                    self.read(grid, method, text)
                self.read(grid, method, text, replace=True)
        with self.refused(
                TableImportError, 'csv_table_errors', "Ligne 2",
                "déjà"):
            self.read(grid, 'import_lines', prices)
        grid = grid.__class__(grid.id)
        self.assertEqual([li.entries for li in grid.lines], [1000, 20])

    def test_import_order(self):
        "A bracket or a period the wrong way round has its line"
        grid = self.create_grid()
        with self.refused(
                TableImportError, 'csv_table_errors', "Ligne 3"):
            self.read(
                grid, 'import_lines',
                "Produit;Prix;QF min;QF max\nCours;1;0;600\nCours;1;9;6\n")
        with self.refused(
                TableImportError, 'csv_table_errors', "Ligne 2"):
            self.read(
                grid, 'import_attendances',
                "Produit;Entrées;Du;Au\nBillet;1;02/02/2030;01/02/2030\n")

    def test_import_attendance(self):
        grid = self.create_grid()
        with self.road.as_user('claire'), \
                Transaction().set_context(language='fr'):
            grid.import_attendances(
                "Produit;Catégorie;Entrées;Recettes\n"
                "Billet;;1 000;12 000,00\nBillet;Demandeurs d’emploi;20;\n")
        forget()
        grid = grid.__class__(grid.id)
        self.assertEqual(
            [(li.entries, li.receipts) for li in grid.lines],
            [(1000, 12000), (20, None)])
        with self.refused(
                TableImportError, 'csv_table_errors', "Ligne 2"), \
                self.road.as_user('claire'), \
                Transaction().set_context(language='fr'):
            grid.import_attendances("Produit;Entrées;Public\nBillet;5;RSA")

    def test_versions(self):
        "Of a season only the last version counts"
        first = self.accepted()
        self.assertEqual(first.version, 1)
        second = self.press(self.create_grid(season=" saison  0"), 'submit')
        self.assertEqual(second.version, 2)
        self.press(second, 'accept')
        forget()
        self.assertState(first, 'superseded')
        self.assertState(second, 'accepted')
        third = self.press(self.create_grid(), 'submit')
        fourth = self.press(self.create_grid(), 'submit')
        self.press(fourth, 'accept')
        with self.refused(CompletenessError, 'tariff_later_version'):
            self.press(third, 'accept')
        with self.refused(TransitionError, 'button_state'):
            self.press(first, 'evaluate')

    def test_versions_in_one_batch(self):
        grids = [self.press(self.create_grid(), 'submit') for _ in range(2)]
        with self.refused(CompletenessError, 'tariff_later_version'):
            self.road.press('claire', grids, 'accept')

    def test_season_after_season(self):
        "The last season counts, compared with the one before"
        self.add_clause(
            'TAR_STABLE', categories=(), index_rate=D('0.02'))
        self.to_frozen()
        first = self.accepted(lines=[(10, None, True), (4, 'DE', False)])
        self.assertEqual(self.last(first), [('TAR_STABLE', 'unknown')])
        self.assertEqual(self.convention.tariff_result, 'unknown')
        second = self.create_grid(
            year=0.2, season="Suivante", lines=[
                (11, None, True), (4, 'DE', False), (3, 'RSA', False)])
        self.assertEqual(second.previous, first)
        self.press(second, 'submit')
        forget()
        self.assertEqual(self.last(second), [('TAR_STABLE', 'not_met')])
        second = second.__class__(second.id)
        self.assertEqual(
            [(li.price, li.previous_price, li.change, li.change_rate)
                for li in second.comparison],
            [(11, 10, 1, D('0.1')), (4, 4, 0, 0), (3, None, None, None)])
        self.assertIn("+10\xa0% > 2\xa0%", second.verdicts[0].reason)
        self.assertEqual(second.verdicts[0].value, "10\xa0%")
        self.assertEqual(self.convention.tariff_result, 'not_met')
        self.assertSearched('not_met')
        self.road.write('claire', second, return_reason="Hausse")
        self.press(second, 'send_back')
        forget()
        self.assertEqual(self.convention.tariff_result, 'unknown')
        self.assertSearched('unknown')

    def assertSearched(self, result):
        "The convention is found by what it shows, and by that alone."
        Convention = self.convention.__class__
        Clause = Pool().get('grant.tariff.clause')
        for value in ['met', 'unknown', 'not_met', None]:
            with self.subTest(value=value):
                for operator, operand in [('=', value), ('in', [value])]:
                    found = Convention.search([
                            ('id', '=', self.convention_id),
                            ('tariff_result', operator, operand)])
                    self.assertEqual(bool(found), value == result)
                self.assertEqual(
                    bool(Clause.search([
                                ('convention', '=', self.convention_id),
                                ('result', '=', value)])),
                    value == result)

    def test_search_without_verdict(self):
        self.add_clause(maximum_price=D(7))
        self.assertIsNone(self.convention.tariff_result)
        self.assertSearched(None)

    def test_search_grid(self):
        self.add_clause(maximum_rate=D('0.5'))
        self.add_clause('INFO_TARIF', categories=())
        self.to_frozen()
        grid = self.press(self.create_grid(), 'submit')
        for value in ['met', 'unknown', 'not_met', None]:
            self.assertEqual(
                bool(grid.__class__.search([('result', '=', value)])),
                value == 'not_met')
        self.assertEqual(len(grid.verdicts), 2)

    def test_attendance_after_acceptance(self):
        "What comes later adds a verdict and keeps the one that was there"
        self.add_clause(
            'PART_REDUIT', categories=(), minimum_share=D('0.3'))
        self.to_frozen()
        grid = self.accepted()
        self.assertEqual(self.last(grid), [('PART_REDUIT', 'unknown')])
        for line, entries in zip(grid.lines, [60, 40], strict=True):
            self.create('grant.attendance', {
                    'grid': grid.id, 'line': line.id, 'entries': entries,
                    'start_date': grid.start_date,
                    'end_date': grid.end_date})
        self.press(grid, 'evaluate')
        self.press(grid, 'evaluate')
        self.assertEqual(self.last(grid), [('PART_REDUIT', 'met')])
        forget()
        self.assertEqual(
            sorted(v.result for v in grid.__class__(grid.id).verdicts),
            ['met', 'unknown'])
        self.assertIn("40", grid.__class__(grid.id).verdicts[0].reason)

    def test_attendance_of_another_grid(self):
        grid, other = self.create_grid(), self.create_grid(year=1)
        with attempt(), self.assertRaises(ValidationError):
            self.create('grant.attendance', {
                    'grid': grid.id, 'line': other.lines[0].id,
                    'entries': 1, 'start_date': grid.start_date,
                    'end_date': grid.end_date})

    def test_anomalies(self):
        "What is odd is recorded and said"
        grid = self.create_grid(lines=())
        with self.road.as_user('claire'), \
                Transaction().set_context(language='fr'):
            grid.import_lines(
                "Produit;QF min;QF max;Prix\nCours;0;700;50\n"
                "Cours;600;;90\nBillet;;;5\nBillet;;;6\n")
            forget()
            anomalies = grid.__class__(grid.id).anomalies
        self.assertIn("se chevauchent", anomalies)
        self.assertIn("plusieurs prix", anomalies)

    def test_copy_previous(self):
        first = self.accepted()
        grid = self.create_grid(lines=(), year=1)
        self.press(grid, 'copy_previous')
        forget()
        self.assertEqual(
            [(li.price, li.category) for li in grid.__class__(
                grid.id).lines],
            [(li.price, li.category) for li in first.lines])
        with self.refused(CompletenessError, 'tariff_grid_not_empty'):
            self.press(grid, 'copy_previous')
        with self.refused(CompletenessError, 'tariff_grid_no_previous'):
            self.press(
                self.create_grid(lines=(), year=-3), 'copy_previous')
        with self.refused(CompletenessError, 'tariff_grid_empty'):
            self.press(self.create_grid(lines=()), 'submit')

    def test_voted_later(self):
        "A vote to come is no vote"
        self.add_clause('TAR_REDUIT_EXISTE')
        self.to_frozen()
        grid = self.press(self.create_grid(
                voted_on=self.road.today + dt.timedelta(days=1)), 'submit')
        self.assertEqual(
            self.last(grid), [('TAR_REDUIT_EXISTE', 'unknown')])

    def test_clause_of_amendment(self):
        "L27: a clause added later does not judge the seasons begun before"
        clause = self.add_clause(maximum_rate=D('0.5'))
        self.to_frozen()
        before = self.accepted()
        pending = self.press(self.create_grid(season="Autre"), 'submit')
        with self.road.system():
            clause.__class__.write([clause.__class__(clause.id)], {
                    'effective_from': self.road.today})
        for grid in [before, pending]:
            self.press(grid, 'evaluate')
            self.assertEqual(self.last(grid), [('TAR_MAX', 'not_met')])
        earlier = self.press(self.create_grid(season="Encore"), 'submit')
        self.assertEqual(self.last(earlier), [])
        later = self.press(self.create_grid(year=0.2), 'submit')
        self.assertEqual(self.last(later), [('TAR_MAX', 'not_met')])
        with self.refused(FrozenError):
            self.road.write('claire', clause, effective_from=None)

    def test_clause_taken_out(self):
        "The convention no longer shows the verdicts on it; the grid does"
        clause = self.add_clause(maximum_rate=D('0.5'))
        self.to_frozen()
        grid = self.accepted()
        self.assertEqual(self.convention.tariff_result, 'not_met')
        with self.road.system():
            clause.__class__.write(
                [clause.__class__(clause.id)], {'active': False})
        self.assertEqual(self.last(grid), [('TAR_MAX', 'not_met')])
        self.assertIsNone(self.convention.tariff_result)

    def test_conditions_judged_again(self):
        "No verdict that the facts have overtaken is brought as evidence"
        condition = next(
            c for c in self.convention.conditions if c.kind == 'tariff')
        self.add_clause(
            'NON_RECOURS', categories=(), minimum_number=2,
            condition=condition.id)
        self.to_frozen()
        grid = self.accepted()
        fact = self.create('grant.tariff.fact', {
                'grid': grid.id, 'kind': 'relay', 'number': 2})
        self.press(grid, 'evaluate')
        self.assertEqual(self.last(grid), [('NON_RECOURS', 'met')])
        self.road.write('claire', fact, number=1)
        forget()
        with self.refused(CompletenessError, 'tariff_no_condition'):
            self.press(grid, 'submit_conditions')
        self.assertEqual(condition.__class__(condition.id).state, 'pending')

    def test_submit_conditions(self):
        "When all its clauses are met the undertaking may be brought"
        condition = next(
            c for c in self.convention.conditions if c.kind == 'tariff')
        self.add_clause(maximum_price=D(7), condition=condition.id)
        self.add_clause(
            'INFO_TARIF', categories=(), condition=condition.id)
        self.to_frozen()
        grid = self.accepted()
        self.assertFalse(grid.conditions_ready)
        with self.refused(TransitionError, 'button_state'):
            self.press(grid, 'submit_conditions')
        for kind, values in [
                ('info_online', {'url': 'https://exemple.fr/tarifs'}),
                ('info_site', {'file': b'photo', 'filename': 'a.jpg'})]:
            self.create('grant.tariff.fact', {
                    'grid': grid.id, 'kind': kind} | values)
        self.press(grid, 'evaluate')
        forget()
        grid = grid.__class__(grid.id)
        self.assertTrue(grid.conditions_ready)
        self.assertEqual(condition.__class__(condition.id).state, 'pending')
        self.press(grid, 'submit_conditions')
        forget()
        condition = condition.__class__(condition.id)
        self.assertEqual(condition.state, 'submitted')
        self.assertIn("7,00\xa0€", condition.evidence_note)
        self.assertIn(grid.rec_name, condition.evidence_note)

    def test_reopen(self):
        "Back after a mistake, with a trace; the kept verdict stays"
        self.add_clause(maximum_rate=D('0.5'))
        self.to_frozen()
        grid = self.accepted()
        self.press(grid, 'reopen')
        self.assertState(grid, 'submitted')
        self.assertTrue(Pool().get('grant.event').search([
                    ('record', '=', str(grid))]))
        low = next(li for li in grid.lines if li.category)
        self.road.write('claire', low, price=D(6))
        forget()
        self.press(grid, 'accept')
        forget()
        self.assertEqual(
            [(v.result, v.replaced)
                for v in grid.__class__(grid.id).verdicts],
            [('met', False), ('not_met', True)])

    def test_rights(self):
        grid = self.press(self.create_grid(), 'submit')
        for login in ['lea', 'paul', 'sophie', 'jean', 'alice']:
            with self.subTest(user=login):
                with self.forbidden():
                    self.press(grid, 'accept', login)
                with self.forbidden():
                    self.road.write(login, grid, season="Autre")
                with self.road.as_user(login):
                    self.assertTrue(
                        grid.__class__.read([grid.id], ['season']))
        Category = Pool().get('grant.tariff.category')
        category = Category(self.categories['DE'])
        with self.forbidden():
            self.road.write('claire', category, name="Autre")
        self.road.write('alice', category, proof_days=90)

    def test_facility_of_another(self):
        Facility = Pool().get('grant.facility')
        with self.road.as_user('claire'):
            facility, = Facility.create([{
                        'name': "Piscine", 'kind': 'sport',
                        'owner': self.road.create_party().id,
                        'commune': self.road.commune.id}])
        with attempt(), self.assertRaises(ValidationError):
            self.create_grid(facility=facility.id)

    def test_queries(self):
        "Many grids, lines and clauses are judged together"
        for _ in range(2):
            self.add_clause(maximum_rate=D('0.5'))
        self.add_clause('TAR_STABLE', categories=(), index_rate=D('0.02'))
        self.to_frozen()
        Grid = Pool().get('grant.tariff.grid')
        self.accepted(year=-0.5)

        def judge(ids):
            with attempt():
                forget()
                with self.road.system(), count_queries() as queries:
                    Grid.evaluate(Grid.browse(ids))
                    Grid.read(ids, [
                            'result', 'previous', 'anomalies', 'comparison',
                            'conditions_ready'])
            return queries.selects

        ids = [
            self.create_grid(season=f"S{i}", lines=[
                    (12, None, True), (7, 'DE', False)] + [
                    (j, 'M26', False) for j in range(i % 4)]).id
            for i in range(24)]
        judge(ids)
        self.assertLessEqual(judge(ids), judge(ids[:2]) + 2)

        def submit(ids):
            with attempt():
                forget()
                with self.road.system(), count_queries() as queries:
                    Grid.submit(Grid.browse(ids))
            return queries.selects

        submit(ids)
        self.assertLessEqual(submit(ids), submit(ids[:2]) + 2)
