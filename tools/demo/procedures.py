# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Conventions that end before their time, and those that are renewed.

Each function goes on with the life of a dossier (lives.py).
"""
import datetime as dt

from trytond.pool import Pool

# By dossier: a breach of the republican commitment that is being heard.
BREACHES = {
    "Centre de formation et section féminine": (
        "Deux familles signalent par écrit que l’inscription de leurs filles "
        "à l’entraînement du mercredi a été refusée en raison de leur lieu "
        "de naissance. Leurs courriers sont joints au dossier."),
    }
# The dossiers that are renewed.
RENEWED = {"Saison sportive du club d’aviron"}
OBSERVATIONS = (
    "La liquidatrice confirme la cessation d’activité, n’a pas "
    "d’observation et accepte une résiliation sans attendre.")


def go_on(life, end):
    "What comes after the payments of some conventions."
    title = life.dossier.title
    if title in BREACHES:
        yield from examine_breach(life, BREACHES[title])
    if title in RENEWED:
        yield from renew(life, end)


def _find(convention):
    procedure, = Pool().get('grant.procedure').search([
            ('convention', '=', convention.id),
            ('state', 'in', ['draft', 'notified', 'heard']),
            ])
    return procedure


def lapse(life, sent):
    "The text does not come back: one letter, then the decision."
    yield life.after(sent, 55)
    yield life.press(life.convention, 'open_lapse')
    procedure = _find(life.convention)
    yield life.press(procedure, 'notify')
    yield from _decide(life, procedure, life.world.clock.day, 17)


def terminate(life, end):
    "The partner stops: a formal notice, its answer, the decision."
    yield life.after(end, -60)
    yield life.press(life.convention, 'open_procedure')
    procedure = _find(life.convention)
    life.write(procedure, facts=life.dossier.reason)
    yield life.press(procedure, 'notify')
    notified = life.world.clock.day
    yield life.after(notified, 7)
    today = life.world.clock.day
    life.write(
        procedure,
        tracking_number='1A 182 406 1732 9',
        received_on=today - dt.timedelta(days=3),
        observations=OBSERVATIONS,
        observations_on=today,
        notice_agreed_on=today)
    yield from _decide(life, procedure, today, 5)


def _decide(life, procedure, date, wait):
    yield life.after(date, wait)
    yield life.press(procedure, 'hear')
    life.write(
        procedure, login='marc', outcome='upheld',
        decision=life.dossier.reason)
    yield life.press(procedure, 'decide', login='marc')
    if procedure.kind != 'lapse':
        yield life.after(life.world.clock.day, 2)
        life.write(
            procedure, decision_tracking_number='1A 182 406 1790 9')
    yield life.press(procedure, 'close')


def renew(life, end):
    "The next season is prepared once this one has been reported on."
    yield life.after(end, 41)
    yield life.press(life.convention, 'prepare_renewal')
    application, = life.read(life.convention).renewals
    life.write(
        application, channel='desk',
        description=f"{life.dossier.text} Échange tenu avec le partenaire "
        "au vu des résultats de la saison ; sa demande est attendue.")


def examine_breach(life, facts):
    "A breach of the republican commitment is being heard."
    clock, calendar = life.world.clock, life.calendar
    yield life.after(calendar.today - dt.timedelta(days=19), 0)
    yield life.press(life.convention, 'open_cer_breach')
    procedure = _find(life.convention)
    life.write(
        procedure, facts=facts, breach_date=min(
            clock.day - dt.timedelta(days=12),
            life.read(life.convention).end_date - dt.timedelta(days=20)))
    yield life.press(procedure, 'notify')
    yield life.after(clock.day, 3)
    life.write(
        procedure, tracking_number='1A 190 215 4408 3',
        received_on=clock.day - dt.timedelta(days=1))
