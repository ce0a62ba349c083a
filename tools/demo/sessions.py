# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The sessions, their reports, the votes and the acts that come of them."
import datetime as dt
from collections import defaultdict
from decimal import Decimal

from trytond.pool import Pool

from .dates import CANCELLED_WEEKS, OPINION_WEEKS, SESSIONS
from .schemes import SCHEMES

REPORTS = {
    'culture': ("Politique culturelle et patrimoine : aides aux projets, "
        "aux structures et aux investissements", 'ocquet'),
    'sport': ("Politique sportive : aides aux clubs, aux événements et aux "
        "équipements", 'brevart'),
    'education': ("Éducation : projets des collèges", 'dehaisne'),
    'youth': ("Jeunesse et éducation populaire", 'roussemart'),
    }
# The last session held waits for the return of the prefecture.
NOT_YET_EXECUTORY = 'S7'
CONVENED_DAYS = 21
DAYS_TO_EXECUTORY = 5


class Agenda:
    "The sessions with their reports, by code of session and by domain."

    def __init__(self, office, calendar, dossiers, members):
        self.office = office
        self.calendar = calendar
        self.members = members
        self.sessions = {}
        self.reports = {}
        # What is on the agenda: (application, dossier) by session
        self.lines = defaultdict(list)
        self._domains = defaultdict(set)
        for dossier in dossiers:
            for session in dossier.sessions:
                self._domains[session].add(SCHEMES[dossier.scheme].domain)
        self._acts = defaultdict(int)

    def sessions_of(self, domain):
        "Return the codes of the sessions that have a report of the domain."
        return [
            code for code in self.calendar.dates
            if domain in self._domains[code]]

    def report(self, session, dossier):
        "The report in which the dossier goes to the session."
        return self.reports[session, SCHEMES[dossier.scheme].domain]

    def tell(self, story):
        for code, _, _kind in SESSIONS:
            story.add(
                self.calendar.dates[code] - dt.timedelta(days=90),
                self._live(code))
        opinion = self.calendar.weeks(OPINION_WEEKS)
        story.add(opinion - dt.timedelta(days=40), self._live_opinion(opinion))
        cancelled = self.calendar.weeks(CANCELLED_WEEKS)
        story.add(
            cancelled - dt.timedelta(days=30),
            self._live_cancelled(cancelled))

    def _create(self, date, **values):
        return self.office.create('sophie', 'grant.session', {
                'company': self.office.company.id,
                'body': 'permanent',
                'kind': 'vote',
                'date': date,
                'report_deadline': date - dt.timedelta(days=20),
                } | values)

    def _live(self, code):
        date = self.calendar.dates[code]
        session = self.sessions[code] = self._create(date)
        for sequence, (domain, (title, rapporteur)) in enumerate(
                REPORTS.items(), 1):
            if domain in self._domains[code] or (
                    not self._domains[code] and sequence <= 2):
                self.reports[code, domain] = self.office.create(
                    'sophie', 'grant.deliberation', {
                        'company': self.office.company.id,
                        'session': session.id,
                        'sequence': sequence,
                        'title': title,
                        'rapporteur': self.members[rapporteur].id,
                        })
        if not self._domains[code]:
            return
        yield date - dt.timedelta(days=CONVENED_DAYS)
        yield 'sophie', session, 'convene'
        yield date
        yield 'sophie', session, 'hold'
        yield date + dt.timedelta(days=1)
        self._record_exceptions(code)
        reports = [r for (c, _), r in self.reports.items() if c == code]
        for report in reports:
            yield 'sophie', report, 'vote'
        if code == NOT_YET_EXECUTORY:
            return
        yield date + dt.timedelta(days=DAYS_TO_EXECUTORY)
        for report in reports:
            self._acts[date.year] += 1
            self.office.write('sophie', report,
                act_number=f'{date.year}-CP-{self._acts[date.year]:03d}',
                transmitted_on=date + dt.timedelta(days=2),
                received_on=date + dt.timedelta(days=3),
                published_on=date + dt.timedelta(days=4))
            yield 'sophie', report, 'make_executory'

    def _record_exceptions(self, code):
        "Record what the assembly decided otherwise than proposed."
        Decision = Pool().get('grant.decision')
        for application, dossier in self.lines[code]:
            vote = dossier.votes.get(code)
            if vote is None:
                continue
            decision, = Decision.search([
                    ('application', '=', application.id),
                    ('deliberation.session', '=', self.sessions[code].id),
                    ])
            if isinstance(vote, str):
                values = {'outcome': vote, 'observation': dossier.reason}
            else:
                values = {
                    'outcome': 'granted',
                    'amount': Decimal(vote),
                    'observation': "Montant arrêté en séance.",
                    }
            self.office.write('sophie', decision, **values)

    def _live_opinion(self, date):
        session = self._create(
            date, body='thematic', kind='opinion',
            note="Avis favorable sur les orientations des appels à projets "
                "de l’année à venir.")
        yield date - dt.timedelta(days=15)
        yield 'sophie', session, 'convene'
        yield date
        yield 'sophie', session, 'hold'

    def _live_cancelled(self, date):
        session = self._create(
            date, note="Reportée faute de quorum ; les rapports sont inscrits "
                "à la séance suivante.")
        yield date
        yield 'sophie', session, 'cancel'
