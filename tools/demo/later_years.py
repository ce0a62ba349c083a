# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The second year of a convention: its advance is voted before its award,
which the assembly then refuses."""
import datetime as dt
from decimal import Decimal
from types import SimpleNamespace

from trytond.pool import Pool

from . import reports
from .schemes import SCHEMES

ADVANCE = Decimal('0.4')
REFUSAL = (
    "L’école n’a pas rouvert ses ateliers à la rentrée : l’année n’est pas "
    "aidée.")
# Weeks before its session at which the request of the year is prepared
PREPARED_WEEKS = 6
AWARD = 'S6'


def add_years(life):
    "Bring the later years into the convention that is negotiated."
    convention = life.read(life.convention)
    tranche, = convention.tranches
    end = dt.date(
        convention.start_date.year + life.dossier.years - 1, 12, 31)
    life.write(
        convention, kind='multi_year', end_date=end, tranches=[('create', [{
                        'year': year,
                        'amount': tranche.amount,
                        } for year in range(tranche.year + 1, end.year + 1)])])


def go_on(life):
    "Live the second year, if a session of that year can vote its advance."
    first, second = life.read(life.convention).tranches[:2]
    sessions = [
        code for code in life.agenda.sessions_of(
            SCHEMES[life.dossier.scheme].domain)
        if life.calendar.dates[code].year == second.year
        and life.calendar.dates[code] - dt.timedelta(weeks=PREPARED_WEEKS)
        >= dt.date(second.year, 1, 2)]
    if not sessions:
        return
    session, *others = sessions
    yield from _advance(life, second, session)
    yield from _settle(life, first)
    if AWARD in others:
        yield from _refuse(life)


def _advance(life, tranche, session):
    "The request of the year is prepared, its advance voted and paid."
    date = life.calendar.dates[session]
    yield life.after(date - dt.timedelta(weeks=PREPARED_WEEKS), 0)
    yield life.press(life.convention, 'request_tranche')
    life.application = application = max(
        life.read(life.convention).applications, key=lambda a: a.id)
    life.write(
        application,
        envelope=life.world.envelopes[
            SCHEMES[life.dossier.scheme].envelope, tranche.year].id)
    yield life.press(application, 'submit')
    yield life.press(application, 'receive_pieces')
    yield life.press(application, 'admit')
    yield date - dt.timedelta(days=21)
    life.write(
        application,
        next_deliberation=life.agenda.report(session, life.dossier).id,
        advance_amount=(tranche.amount * ADVANCE).quantize(Decimal(1)))
    yield life.press(application, 'propose_advance')
    yield date + dt.timedelta(days=8)
    life.number_commitment()
    yield life.press(life.read(tranche), 'notify_advance')
    yield life.after(life.world.clock.day, 2)
    yield from life.pay(life.read(tranche).advances[0], 'paid')


def _settle(life, tranche):
    "The report of the first year comes in, its balance is paid."
    yield life.after(dt.date(tranche.year + 1, 3, 30), 0)
    for report in reports.find(life, tranche.year):
        yield from reports.send(life, report)
    balance, = [i for i in life.read(tranche).instalments
        if i.kind == 'balance']
    yield from life.pay(balance, 'paid')


def _refuse(life):
    "The award is refused; the partner is heard on what is to come back."
    date = life.calendar.dates[AWARD]
    yield life.after(date - dt.timedelta(weeks=PREPARED_WEEKS), 0)
    life.write(
        life.application, proposed_amount=Decimal(life.dossier.propose))
    yield life.press(life.application, 'review')
    yield date - dt.timedelta(days=21)
    life.write(
        life.application,
        next_deliberation=life.agenda.report(AWARD, life.dossier).id)
    yield life.press(life.application, 'schedule', login='marc')
    life.agenda.lines[AWARD].append((
            life.application,
            SimpleNamespace(votes={AWARD: 'refused'}, reason=REFUSAL)))
    yield date + dt.timedelta(days=10)
    recovery, = Pool().get('grant.recovery').search(
        [('convention', '=', life.convention.id)])
    yield life.press(recovery, 'notify')
    yield life.after(life.world.clock.day, 1)
    life.write(
        recovery,
        observations="L’école reconnaît que ses ateliers n’ont pas repris.",
        observations_on=life.world.clock.day)
    life.write(
        recovery, login='marc',
        decision="L’avance n’a servi à aucune action de l’année.")
    yield life.press(recovery, 'confirm', login='marc')
