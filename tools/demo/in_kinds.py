# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What the Département gives or lends without money.

Two associations are above 23 000 € in their year with it and below without:
one has a convention, the other a decision letter that is no longer enough.
"""
import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

_RATE = "Tarif voté des locaux départementaux"
_COST = "Coût complet"


@dataclass
class Gift:
    party: str
    officer: str
    kind: str
    description: str
    valuation: str
    # The session whose year it belongs to
    session: str
    # Month and day of its start; days that it lasts
    start: tuple
    days: int
    quantity: str = None
    unit: str = None
    unit_value: str = None
    value: str = None
    until: str = 'confirm'
    # Days until the head of service looks at it
    delay: int = 6
    reason: str = None


GIFTS = [
    Gift('voiles', 'julien', 'premises',
        "Base nautique départementale : hangar à voiles et vestiaires",
        _RATE, 'S3', (1, 1), 365, '120', "m²", '80', delay=150),
    Gift('veillees', 'claire', 'equipment',
        "Régie mobile son et lumière, avec transport", _RATE, 'S2',
        (1, 15), 120, '24', "jour", '320'),
    Gift('lucioles', 'claire', 'equipment',
        "Scène mobile, gradins et barrières du parc départemental",
        _RATE, 'S1', (6, 10), 6, '6', "jour", '480'),
    Gift('passerelle', 'julien', 'staff',
        "Animatrice mise à disposition un jour par semaine, de septembre à "
        "juin", _COST, 'S4', (9, 1), 303, '41', "jour", '236.50'),
    Gift('licques', 'claire', 'goods',
        "Fonds de dépôt de la médiathèque départementale", "Prix d’achat",
        'S5', (3, 2), 1, value='1874.35'),
    Gift('lucarne', 'julien', 'equipment',
        "Minibus du Département, séjours d’été", _RATE, 'S5', (7, 6), 26,
        '12', "jour", '62', until='draft'),
    Gift('marees', 'claire', 'service',
        "Impression du programme par l’atelier départemental", _COST, 'S4',
        (5, 4), 12, '8000', "exemplaire", '0.14', until='draft'),
    Gift('foot', 'julien', 'premises', "Terrain synthétique du collège",
        _RATE, 'S6', (6, 1), 2, '2', "jour", '190', until='cancel',
        reason="Tournoi déplacé sur un terrain communal."),
    ]


class Gifts:
    "What is given, from its entry to what becomes of it."

    def __init__(self, world):
        self.world = world

    def add(self, story):
        for gift in GIFTS:
            story.add(
                self.world.calendar.dates[gift.session]
                + dt.timedelta(days=10), self.life(gift))

    def life(self, gift):
        office, calendar = self.world.office, self.world.calendar
        first_day = dt.date(calendar.year(gift.session), *gift.start)
        values = {
            'party': self.world.partners[gift.party].id,
            'kind': gift.kind,
            'description': gift.description,
            'valuation': gift.valuation,
            'first_day': first_day,
            'last_day': first_day + dt.timedelta(days=gift.days - 1),
            'unit': gift.unit,
            }
        for name in ['quantity', 'unit_value', 'value']:
            if amount := getattr(gift, name):
                values[name] = Decimal(amount)
        aid = office.create(gift.officer, 'grant.in_kind', values)
        if gift.until == 'draft':
            return
        yield calendar.office_day(
            self.world.clock.day + dt.timedelta(days=gift.delay))
        if gift.reason:
            office.write(gift.officer, aid, reason=gift.reason)
        yield (
            'marc' if gift.until == 'confirm' else gift.officer,
            office.fresh(aid), gift.until)
