# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What partners undertake, beside their dossiers: the library behind the
schemes, the labels that partners hold, the reminders of the year."""
import datetime as dt

from trytond.pool import Pool
from trytond.transaction import Transaction

from . import schemes

# The entry of the library behind what the schemes ask
LIBRARY = {
    schemes.ECO_EVENT: 'ECO-CINQ',
    schemes.ECO_SMALL_EVENT: 'ECO-GESTES',
    schemes.ECO_SMALL: 'ECO-GESTES',
    schemes.ECO_YEAR: 'ECO-PLAN',
    schemes.ECO_WORKS: 'ECO-TRAVAUX',
    schemes.TARIFF_SHOW: 'TAR-REDUIT',
    schemes.TARIFF_SCHOOL: 'TAR-QF',
    schemes.TARIFF_STAY: 'TAR-QF',
    schemes.EQUALITY: 'EGA-PARITE',
    schemes.DISABILITY: 'HAN-ACCUEIL',
    schemes.CITIZEN: 'JEU-COLLEGE',
    schemes.MEETING: 'JEU-CLASSE',
    schemes.LOGO: 'COM-LOGO',
    }
# (partner, label, first day before today, last day after it, verified)
LABELS = [
    ('lucioles', 'CHARTE-FEST', 300, 790, True),
    ('dune', 'CHARTE-FEST', 200, 890, True),
    ('marees', '15-ENG', 60, 660, False),
    ('handball', '15-ENG', 400, 330, True),
    ('phare', 'CACTE', 1200, -105, True),
    ]
MONDAY = 0


def days(number):
    return dt.timedelta(days=number)


def name_library(office):
    "Name the entries of the library, as the head of service."
    entries = {
        e.code: e.id for e in Pool().get('grant.library.condition').search(
            [])}
    codes = {c.text: code for c, code in LIBRARY.items()}
    with office.user('marc'):
        Condition = Pool().get('grant.scheme.condition')
        for text, code in codes.items():
            Condition.write(
                Condition.search([('text', '=', text)]),
                {'library': entries[code]})


class Undertakings:
    "The labels of the partners and the reminders, week after week."

    def __init__(self, world):
        self.world = world
        self.office = world.office
        self.calendar = world.calendar

    def add(self, story):
        story.add(self.calendar.beginning, self.remind())
        story.add(self.calendar.today - days(50), self.show_labels())
        story.add(self.calendar.today - days(25), self.prolong())

    def show_labels(self):
        labels = {
            e.code: e.id for e in Pool().get('grant.equivalence').search([])}
        today = self.calendar.today
        for partner, code, first, last, verified in LABELS:
            held = self.office.create(
                'claire', 'grant.partner.equivalence', {
                    'party': self.world.partners[partner].id,
                    'equivalence': labels[code],
                    'valid_from': today - days(first),
                    'valid_until': today + days(last),
                    'evidence': b"Charte de demonstration, signee.",
                    'evidence_name': f'{code.lower()}.txt',
                    })
            if verified:
                yield 'julien', held, 'verify'
        yield self.calendar.next_weekday(today - days(40), MONDAY)
        Condition = Pool().get('grant.condition')
        pending = Condition.search([
                ('state', '=', 'pending'),
                ('convention.state', 'in', ['active', 'closing']),
                ('library', '!=', None),
                ], order=[('id', 'ASC')])
        for condition in pending:
            if condition.covered_by:
                yield 'claire', condition, 'accept_equivalence'
                break

    def prolong(self):
        "A partner asked for more time, before the date."
        Condition = Pool().get('grant.condition')
        today = self.world.clock.day
        conditions = Condition.search([
                ('state', '=', 'pending'),
                ('convention.state', '=', 'active'),
                ('due_date', '>', today),
                ], order=[('due_date', 'ASC'), ('id', 'ASC')], limit=1)
        for condition in conditions:
            with self.office.user('claire'):
                Condition.prolong_to(
                    [Condition(condition.id)], condition.due_date + days(30),
                    "Le partenaire attend les pesées du syndicat de "
                    "collecte.")
        return
        yield

    def remind(self):
        Due = Pool().get('grant.due')
        Reminder = Pool().get('grant.reminder')
        date = self.calendar.next_weekday(self.calendar.beginning, MONDAY)
        while date <= self.calendar.today:
            yield date
            with Transaction().set_user(0):
                Due.remind_daily()
            former = Reminder.search([
                    ('sent_on', '=', None),
                    ('made_on', '<=', date - days(7)),
                    ])
            for reminder in former:
                yield 'claire', reminder, 'send_letter'
            date += days(7)
