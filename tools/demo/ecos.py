# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Eco-responsibility in the story: what schemes ask, what partners declare,
what the officers hold and what becomes of the actions.

The modes and figures are examples; they are not those of the Département.
"""
from decimal import Decimal

from trytond.pool import Pool

COMMITMENT = {'eco_mode': 'commitment', 'eco_share': Decimal('0.1')}
MODES = {
    'FEST': {
        'eco_mode': 'modulation',
        'eco_malus': Decimal('0.1'),
        'eco_bonus': Decimal('0.05'),
        },
    'SNAT': {'eco_mode': 'prerequisite', 'eco_themes_required': 3},
    'PATR': {'eco_mode': 'prerequisite', 'eco_themes_required': 2},
    'PCT': COMMITMENT,
    'CCI': COMMITMENT,
    'CLUB': COMMITMENT,
    'EVTS': COMMITMENT,
    }
# What supports a score, theme by theme
NOTES = {
    'MOB': "Plan d’accès sans voiture et covoiturage annoncés sur l’affiche.",
    'DEC': "Gobelets réutilisables loués, points de tri tenus par des "
        "bénévoles.",
    'ALI': "Fontaines à eau, traiteur du territoire, un plat végétarien.",
    'ENE': "Raccordement au réseau, éclairage à diodes.",
    'EAU': "Relevé du compteur avant et après.",
    'ACH': "Matériel emprunté à la commune et à une ressourcerie.",
    'COM': "Un seul tirage sur papier recyclé.",
    'BIO': "Cheminements balisés avec le gestionnaire du site.",
    'SOC': "Référente nommée pour l’accueil des personnes handicapées.",
    'GOV': "Référent désigné, deux bénévoles formés.",
    }
PROGRESS_NOTE = "Bilan écoresponsable de l’année, photographies et factures."
# What an action without an indicator of the library is measured by
INDICATOR = ("Actions de sensibilisation menées", "actions", 'rise')


def set_modes(office, schemes):
    "Say, as the head of service, what the schemes ask."
    for code, values in MODES.items():
        office.write('marc', schemes[code], **values)


def asks(application):
    return application.scheme.eco_mode != 'none'


def declare(life):
    "Record what the partner declares with its application."
    application = life.read(life.application)
    if not asks(application):
        return
    # Its own dice: the rest of the story does not change.
    modulated = application.scheme.eco_mode == 'modulation'
    for rank, line in enumerate(application.eco_scores):
        draw = (len(life.dossier.title) + 3 * rank) % 4
        score = max(2, draw) if modulated else draw
        values = {'declared': score}
        if score >= 2:
            values['note'] = NOTES[line.theme.code]
        life.write(line, **values)


def hold(life):
    "Hold the declared scores; the officer is stricter on one theme."
    application = life.read(life.application)
    if not asks(application):
        return
    line = next(
        (s for s in application.eco_scores if s.declared == 3), None)
    if line:
        life.write(line, score=2, note=(
                f"{line.note} Aucune mesure transmise : fait, non mesuré."))
    yield life.press(application, 'hold_eco_scores')


def negotiate(life):
    "Give figures to the actions where the amount asks for them."
    convention = life.read(life.convention)
    bracket = convention.scheme.get_eco_bracket(convention.amount)
    if not bracket or not bracket.figures_required:
        return
    for action in convention.eco_commitments:
        name, unit, direction = (
            (action.indicator, action.unit, action.direction)
            if action.indicator else INDICATOR)
        baseline, target = (50, 35) if direction == 'fall' else (20, 40)
        life.write(
            action, indicator=name, unit=unit, direction=direction,
            baseline=Decimal(baseline), target=Decimal(target))


def follow(life):
    "Record the year of each action; the head of service verifies some."
    convention = life.read(life.convention)
    progress = []
    for rank, action in enumerate(convention.eco_commitments):
        reached = action.starting_score if rank == 1 else (
            action.target_score)
        value = None
        if action.indicator:
            value = action.target if action.target is not None else (
                Decimal(30))
        progress.append(life.office.create(
                life.officer, 'grant.eco.progress', {
                    'commitment': action.id,
                    'year': life.world.clock.day.year,
                    'score': reached,
                    'value': value,
                    'note': PROGRESS_NOTE,
                    }))
    Progress = Pool().get('grant.eco.progress')
    for record in progress[:-1]:
        yield life.press(Progress(record.id), 'verify', login='marc')
