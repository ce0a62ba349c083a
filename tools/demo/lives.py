# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The life of a dossier, step by step, from its arrival to its last payment."
import datetime as dt
import random
from decimal import Decimal

from trytond.modules.pacte_grants.wording import long_date
from trytond.pool import Pool

from . import ecos, evaluations, reports
from . import later_years, procedures
from .budgets import budget_lines
from .dossiers import STEPS
from .objectives import (
    OBJECTIVES, add_from_library, indicator_values, measures)
from .returns import answer, contradict, split
from .schemes import SCHEMES
from .signatures import choose_clauses, seal_signed_copy

OFFICERS = {
    'culture': 'claire', 'youth': 'claire', 'sport': 'julien',
    'education': 'julien'}
# Days before the session at which an application arrives
BEFORE_SESSION = 84
POWERS = {
    'association': "Décision du conseil d’administration du {date}",
    'commune': "Délibération du conseil municipal du {date}",
    'epci': "Délibération du conseil communautaire du {date}",
    'college': "Délibération du conseil d’administration du {date}",
    }
EVIDENCE = {
    'eco': "Bilan transmis par le partenaire : tri effectif, vaisselle "
        "réutilisable, covoiturage organisé.",
    'tariff': "Grille tarifaire de la saison et état des entrées par tarif.",
    'equality': "Tableau comparé de la programmation et des instances.",
    'disability': "Note sur l’accueil des publics et les aménagements.",
    'youth': "Attestation du collège d’accueil.",
    'communication': "Affiche et programme portant le logo du Département.",
    'other': "Calendrier d’ouverture de l’édifice.",
    }
TUESDAY, WEDNESDAY, THURSDAY = 1, 2, 3


def days(number):
    return dt.timedelta(days=number)


def received_on(dossier, calendar):
    "The date on which the application arrives."
    if dossier.received is not None:
        return calendar.office_day(calendar.today - days(dossier.received))
    if not dossier.sessions:
        return None
    return calendar.office_day(
        calendar.dates[dossier.sessions[0]]
        - days(BEFORE_SESSION - _random(dossier).randrange(12)))


def _random(dossier):
    return random.Random(f'{dossier.scheme} {dossier.party} {dossier.title}')


class Life:
    "One dossier, its officer and what they need."

    def __init__(self, dossier, world, received):
        self.dossier = dossier
        self.office = world.office
        self.calendar = world.calendar
        self.agenda = world.agenda
        self.world = world
        self.scheme = SCHEMES[dossier.scheme]
        self.officer = OFFICERS[self.scheme.domain]
        self.received = received
        self.year = world.calendar.year(
            dossier.sessions[0] if dossier.sessions else None)
        self.random = _random(dossier)
        self.application = self.convention = None

    def reaches(self, step):
        "Return whether the dossier goes as far as the step, or further."
        until = self.dossier.until
        until = {
            'incomplete': 'submit', 'ineligible': 'submit',
            'refused': 'vote', 'deferred': 'vote', 'appeal': 'vote',
            'renounced': 'vote', 'lapsed': 'issue', 'terminated': 'notify',
            'convention_renounced': 'issue',
            'withdrawn': (
                'schedule' if self.dossier.sessions else 'admit'),
            }.get(until, until)
        return STEPS.index(step) <= STEPS.index(until)

    def after(self, date, number):
        """The next day on which the officer does such work, so many days
        after the date."""
        return self.calendar.next_weekday(date + days(number), TUESDAY)

    def press(self, record, button, login=None):
        return login or self.officer, record, button

    def write(self, record, login=None, **values):
        self.office.write(login or self.officer, record, **values)

    def read(self, record):
        return record.__class__(record.id)

    def live(self):
        self.create()
        if not self.reaches('submit'):
            return
        yield self.after(self.received, 1)
        yield self.press(self.application, 'submit')
        self.receive_some_pieces()
        ecos.declare(self)
        yield from self.review()
        if not self.reaches('open'):
            return
        yield from self.agree()
        for session in self.dossier.sessions:
            yield from self.go_to(session)
        if not self.dossier.sessions or not self.reaches('confirm'):
            return
        yield from self.sign(self.calendar.dates[self.dossier.sessions[-1]])

    # The application

    def create(self):
        dossier, world = self.dossier, self.world
        party = world.partners[dossier.party]
        call = world.calls.get((dossier.scheme, self.year))
        start, end = self.period()
        if not dossier.late and call and not (
                call.opens_on <= self.received <= call.closes_on):
            call = None
        commune = party.commune
        if dossier.commune:
            commune, = Pool().get('grant.commune').search(
                [('code', '=', dossier.commune)])
        self.application = self.office.create(
            self.officer, 'grant.application', {
                'party': party.id,
                'scheme': world.schemes[dossier.scheme].id,
                'call': call.id if call else None,
                'year': self.year,
                'channel': dossier.channel,
                'title': dossier.title,
                'description': dossier.text,
                'received_on': self.received,
                'commune': commune.id,
                'areas': [('add', [commune.territory.id])],
                'orientations': [('add', [
                            o.id for o in world.schemes[
                                dossier.scheme].orientations][:2])],
                'start_date': start,
                'end_date': end,
                'total_cost': Decimal(dossier.cost),
                'eligible_cost': Decimal(dossier.cost),
                'requested_amount': Decimal(dossier.ask),
                'envelope': world.envelopes[
                    self.scheme.envelope, self.year].id,
                'budget_lines': [('create', budget_lines(
                            dossier.scheme, dossier.cost, dossier.ask,
                            world.headings, in_kind=dossier.in_kind,
                            gap=dossier.gap))],
                })

    def period(self):
        "The period of the project."
        if self.dossier.sessions:
            start = self.calendar.dates[self.dossier.sessions[-1]] + days(25)
        else:
            start = self.received + days(110)
        return start, start + days(self.dossier.days)

    def receive_some_pieces(self):
        "The first pieces come with the application."
        if self.dossier.complete and not self.dossier.asked:
            return
        missing = [
            p for p in self.read(self.application).pieces if p.is_missing]
        for piece in missing[:len(missing) // 2]:
            self.write(piece, received_on=self.received)

    def review(self):
        dossier, application = self.dossier, self.application
        if dossier.until == 'incomplete':
            yield self.after(self.received, 4)
            self.write(application, pieces_request=dossier.reason)
            yield self.press(application, 'ask_pieces')
            return
        if dossier.until == 'ineligible':
            yield self.after(self.received, 12)
            yield self.press(application, 'receive_pieces')
            self.write(application, ineligible_reason=dossier.reason)
            yield self.press(application, 'declare_ineligible')
            return
        if not self.reaches('admit'):
            if dossier.complete:
                yield self.press(application, 'receive_pieces')
            return
        if dossier.asked:
            yield self.after(self.received, 4)
            self.write(application, pieces_request=(
                    "Merci de compléter votre dossier des pièces signalées "
                    "en orange sous vingt jours."))
            yield self.press(application, 'ask_pieces')
            yield self.after(self.received, 16)
            yield self.press(application, 'receive_pieces')
            yield self.press(application, 'resubmit')
        else:
            yield self.after(self.received, 5)
            yield self.press(application, 'receive_pieces')
        yield self.after(self.received, 20)
        yield self.press(application, 'admit')
        if dossier.until == 'withdrawn' and not dossier.sessions:
            yield self.after(self.received, 45)
            yield from self.withdraw()
        if not self.reaches('review'):
            return
        yield self.after(self.received, 30)
        values = {'proposed_amount': Decimal(dossier.propose)}
        if dossier.motive:
            values['proposal_motive'] = dossier.motive
        self.write(application, **values)
        yield from ecos.hold(self)
        yield self.press(application, 'review')

    def withdraw(self):
        self.write(self.application, withdrawal_reason=self.dossier.reason)
        yield self.press(self.application, 'withdraw')
        yield from self.cancel("Demande retirée par le partenaire.")

    def cancel(self, reason):
        "Give up the text that the vote did not follow."
        convention = self.read(self.application).convention
        if convention and convention.state in {
                'draft', 'negotiation', 'agreed'}:
            self.write(convention, ending_reason=reason)
            yield self.press(convention, 'cancel')

    # The convention

    def agree(self):
        dossier = self.dossier
        yield self.after(self.received, 32)
        yield self.press(self.application, 'open_convention')
        self.convention = self.read(self.application).convention
        if self.convention.form == 'letter' or not self.reaches('negotiate'):
            return
        yield self.after(self.received, 33)
        yield self.press(self.convention, 'negotiate')
        self.negotiate()
        if not self.reaches('agree'):
            objective, *_ = self.read(self.convention).objectives
            yield self.press(objective, 'agree_department')
            yield self.after(self.received, 34)
            self.counter_propose(objective)
            return
        objectives = self.read(self.convention).objectives
        yield self.after(self.received, 34)
        if dossier.kind == 'multi_year':
            self.counter_propose(objectives[0])
        for objective in objectives:
            yield self.press(objective, 'agree_department')
        yield self.after(self.received, 41)
        for objective in objectives:
            yield self.press(objective, 'agree_partner')
        if dossier.pay_in is not None:
            instalment = self.read(self.convention).instalments[0]
            self.write(instalment, trigger='date', delay=0,
                date=self.calendar.today + days(dossier.pay_in))
        yield self.press(self.convention, 'agree')

    def negotiate(self):
        "Write the objectives and who signs with which power."
        factor = Decimal(self.random.randrange(85, 111)) / 100
        years = self.convention.objective_years
        values = {
            'objectives': [('create', [{
                            'sequence': rank,
                            'title': title,
                            'description': description,
                            'weight': Decimal(weight),
                            'indicators': [('create', [
                                        indicator_values(
                                            factor, years, *indicator)
                                        for indicator in indicators])],
                            } for rank, (
                                title, description, weight, indicators)
                        in enumerate(OBJECTIVES.get(
                                self.dossier.scheme,
                                OBJECTIVES['DEFAULT']), 1)])],
            }
        power = POWERS.get(self.convention.party.partner_kind)
        if power:
            date = self.calendar.office_day(self.received - days(12))
            values['signatory_power'] = power.format(date=long_date(date))
            values['signatory_power_date'] = date
        if self.dossier.kind:
            values['kind'] = self.dossier.kind
        self.write(self.convention, **values)
        if self.dossier.years > 1:
            later_years.add_years(self)
        ecos.negotiate(self)
        add_from_library(
            self.office, self.officer, self.convention, self.dossier.scheme)
        choose_clauses(
            self.office, self.officer, self.convention, self.dossier.scheme)

    def counter_propose(self, objective):
        "The partner finds the first target too high for a first year."
        indicator = self.read(objective).indicators[0]
        first = indicator.targets[0] if indicator.targets else indicator
        target = first.target if first == indicator else first.value
        target = ((indicator.baseline + target) / 2).quantize(Decimal(1))
        if first == indicator:
            values = {'target': target}
        else:
            values = {
                'targets': [('write', [first.id], {'value': target})]}
        self.write(
            objective, side='partner',
            description=(
                f"{objective.description} La première année installe "
                "l'action ; la cible est revue ensemble ensuite."),
            indicators=[('write', [indicator.id], values)])

    # The assembly

    def go_to(self, session):
        dossier, application = self.dossier, self.application
        if not self.reaches('schedule'):
            return
        date = self.calendar.dates[session]
        if self.read(application).state == 'deferred':
            yield self.press(application, 'reopen')
        yield date - days(21)
        self.write(
            application,
            next_deliberation=self.agenda.report(session, dossier).id)
        yield self.press(application, 'schedule', login='marc')
        self.agenda.lines[session].append((application, dossier))
        if dossier.until == 'withdrawn':
            yield from self.withdraw()
        if session == dossier.sessions[-1] and not self.reaches('vote'):
            return
        yield date + days(10)
        if dossier.until in {'refused', 'appeal'}:
            yield from self.cancel("Demande refusée par la commission.")
        if dossier.until == 'appeal':
            yield date + days(32)
            yield self.press(application, 'appeal', login='marc')
        if dossier.until == 'renounced':
            yield date + days(40)
            self.write(application, withdrawal_reason=dossier.reason)
            yield self.press(application, 'renounce')

    def sign(self, session_date):
        dossier, convention = self.dossier, self.convention
        if self.dossier.numbered:
            yield self.after(session_date, 8)
            self.number_commitment()
        if self.read(convention).amount_changed:
            yield self.after(session_date, 9)
            yield self.press(convention, 'confirm_amount')
        if not self.reaches('issue'):
            return
        date = self.after(session_date, 9)
        yield date
        yield self.press(convention, 'issue')
        if dossier.recalled:
            date = self.after(date, 4)
            yield date
            self.write(convention, ending_reason=(
                    "Adresse du bénéficiaire corrigée : le document est "
                    "réédité."))
            yield self.press(convention, 'recall')
            yield self.press(convention, 'issue')
        if dossier.until == 'lapsed':
            if convention.form == 'convention':
                yield self.after(date, 45)
                yield self.press(convention, 'remind_signature')
            yield from procedures.lapse(self, date)
        if dossier.until == 'convention_renounced':
            yield self.after(date, 25)
            self.write(convention, ending_reason=dossier.reason)
            yield self.press(convention, 'renounce')
        if convention.form == 'convention':
            if not self.reaches('sign_partner'):
                return
            date = self.after(date, 3 + 7 * self.random.randrange(2))
            yield date
            yield self.press(convention, 'sign_partner')
            seal_signed_copy(self.office, self.officer, convention)
            if not self.reaches('sign_department'):
                return
            date = self.after(date, 5)
            yield date
            yield self.press(convention, 'sign_department', login='marc')
        if not self.reaches('notify'):
            return
        date = self.after(date, 3)
        yield date
        yield self.press(convention, 'notify')
        yield from self.follow(date)

    def number_commitment(self):
        application = self.read(self.application)
        for decision in application.decisions:
            if decision.commitment.state == 'committed':
                self.world.commitments += 1
                self.office.write(
                    'paul', decision.commitment, finance_number=(
                        f'{self.year % 100}SUB'
                        f'{self.world.commitments:06d}'))

    # Undertakings and payments

    def follow(self, notified):
        dossier, convention = self.dossier, self.convention
        end = convention.end_date
        date = self.after(notified, 4)
        for rank, target in enumerate(dossier.pay):
            yield self.calendar.before_today(date)
            instalment = self.read(convention).instalments[rank]
            yield from self.pay(instalment, target)
            if rank == 0 and len(convention.instalments) == 3:
                date = self.after(notified, 130)
            else:
                date = self.after(end, 20)
        if dossier.later:
            yield from later_years.go_on(self)
            return
        yield self.after(end, 12)
        yield from self.finish_conditions()
        if dossier.measured:
            yield self.after(end, 15)
            self.measure()
            yield from ecos.follow(self)
        if dossier.until == 'terminated':
            yield from procedures.terminate(self, end)
        if self.reaches('closing'):
            yield self.after(end, 25)
            for report in reports.find(self):
                yield from reports.send(self, report)
            yield self.after(end, 30)
            yield self.press(convention, 'start_closing')
        if self.reaches('closed'):
            yield self.after(end, 40)
            yield self.press(convention, 'close', login='marc')
        yield from evaluations.go_on(self, end)
        yield from procedures.go_on(self, end)

    def pay(self, instalment, target):
        if target == 'cancelled':
            self.write(
                instalment, login='marc',
                cancel_reason=self.dossier.pay_reason)
            yield self.press(instalment, 'cancel', login='marc')
            return
        for condition in instalment.conditions:
            yield from self.bring(
                condition, self.dossier.conditions.get(
                    condition.kind, 'met'))
        if instalment.kind == 'balance':
            yield from reports.settle(self, instalment)
        yield self.press(instalment, 'certify')
        if target == 'certified':
            return
        if target == 'mixed':
            split(self.world, instalment, ['312', '311'])
        yield self.after(self.world.clock.day, 3)
        yield self.press(instalment, 'approve', login='paul')
        if target == 'half':
            return
        if self.read(instalment).state == 'certified':
            yield self.after(self.world.clock.day, 1)
            yield self.press(instalment, 'approve', login='nadia')
        if target == 'approved':
            return
        if target in {'paying', 'suspended', 'mixed'}:
            # The group that is under way
            yield self.calendar.next_weekday(
                self.calendar.today - days(6), THURSDAY)
        else:
            yield self.calendar.next_weekday(
                self.world.clock.day, THURSDAY)
        yield self.press(instalment, 'process', login='nadia')
        if target == 'paying':
            return
        if target in {'suspended', 'mixed'}:
            yield self.calendar.before_today(self.world.clock.day + days(3))
            if target == 'mixed':
                contradict(self.world, instalment)
            else:
                answer(
                    self.world, instalment, 'suspended',
                    reason=self.dossier.pay_reason)
            return
        yield self.calendar.next_weekday(
            self.world.clock.day + days(5), WEDNESDAY)
        if target != 'rejected':
            self.world.orders += 1
            answer(
                self.world, instalment, 'paid',
                order_number=str(20000 + 37 * self.world.orders),
                bordereau=str(100 + self.world.orders // 5),
                ordered_on=self.world.clock.day,
                paid_on=self.world.clock.day)
        if target in {'rejected', 'returned'}:
            yield self.after(self.world.clock.day, 6)
            answer(
                self.world, instalment, 'rejected',
                reason=self.dossier.pay_reason)

    def finish_conditions(self):
        "Bring the undertakings to where the story leaves them."
        for condition in self.read(self.convention).conditions:
            state = self.dossier.conditions.get(condition.kind)
            if state and condition.state == 'pending':
                yield from self.bring(condition, state)

    def bring(self, condition, state):
        if state == 'pending' or condition.state != 'pending':
            return
        if state in {'waiver', 'waived'}:
            self.write(condition, waiver_reason=self.dossier.reason)
            yield self.press(condition, 'propose_waiver')
            if state == 'waived':
                yield self.press(condition, 'waive', login='marc')
            return
        self.write(condition, evidence_note=EVIDENCE[condition.kind])
        yield self.press(condition, 'submit')
        if state == 'met':
            yield self.press(condition, 'meet')
        elif state == 'not_met':
            self.write(condition, verdict_reason=self.dossier.reason)
            yield self.press(condition, 'fail')

    def measure(self):
        share = Decimal(str(self.dossier.measured))
        for objective in self.read(self.convention).objectives:
            for indicator in objective.indicators:
                self.measure_indicator(indicator, share)

    def measure_indicator(self, indicator, share):
        measure = None
        for values in measures(
                indicator, share, self.world.clock.day, self.dossier.party):
            if 'replace_reason' in values:
                values['replaces'] = measure.id
            measure = self.office.create(
                self.officer, 'grant.measure', values)
