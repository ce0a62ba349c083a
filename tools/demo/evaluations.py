# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Evaluations shared with the partners, at every step.

Goes on with the life of a dossier (lives.py) once its results are measured.
"""
import datetime as dt
from decimal import Decimal

from trytond.pool import Pool

# How far the evaluations go, in turn; the dossiers come as they end.
STEPS = [
    'published', 'validated', 'shared', 'sent', 'validated', 'recorded',
    'draft', 'stopped']
PARTNER = [
    "Nous avons tenu ce que nous avions annoncé ; le public est venu.",
    "Le démarrage a été plus lent que prévu, faute de bénévoles.",
    "Nous sommes fiers des liens noués avec les établissements voisins.",
    ]
DEPARTMENT = [
    "Les chiffres transmis le confirment pour l’essentiel.",
    "Le territoire touché reste plus étroit que ce qui était visé.",
    "Le travail avec les collèges est à saluer.",
    ]
SHARED = [
    "L’objectif est tenu pour l’essentiel ; l’effort portera sur les "
    "communes éloignées.",
    "Une part reste à faire : le calendrier sera revu.",
    "L’objectif est tenu.",
    ]
SUMMARY = (
    "Le projet a tenu l’essentiel de ce qui était visé : le public est venu, "
    "plus jeune qu’auparavant, et les collèges voisins y ont pris part. Il "
    "reste à toucher les communes plus éloignées, ce à quoi la suite est "
    "consacrée.")
_turns = {}


def go_on(life, end):
    "Evaluate what was measured, as far as the next step of the list."
    if (not life.dossier.measured or life.scheme.level == 'light'
            or life.dossier.until == 'terminated'
            or life.read(life.convention).form != 'convention'):
        return
    turns = _turns.setdefault(id(life.world), iter(range(len(STEPS) ** 4)))
    turn = next(turns)
    step = STEPS[turn % len(STEPS)]
    clock = life.world.clock
    yield life.after(end, 45)
    yield life.press(life.convention, 'prepare_evaluation')
    evaluation, = Pool().get('grant.evaluation').search([
            ('convention', '=', life.convention.id)])
    if step == 'draft':
        return
    yield life.press(evaluation, 'send')
    if step == 'sent':
        return
    yield life.after(clock.day, 14)
    ratings = Pool().get('grant.evaluation.rating').get_scale(clock.day)
    high, low = (1, 0) if step == 'stopped' else (3, 2)
    _rate(life, evaluation, 'partner', PARTNER, ratings[high], turn)
    life.write(
        evaluation, partner_received_on=clock.day - dt.timedelta(days=1),
        partner_file=b"%PDF-1.4 grille remplie", partner_view=PARTNER[0],
        partner_filename="grille-remplie.pdf")
    yield life.press(evaluation, 'record_partner')
    if step == 'recorded':
        return
    _rate(life, evaluation, 'department', DEPARTMENT, ratings[low], turn)
    life.write(evaluation, department_view=DEPARTMENT[0])
    yield life.press(evaluation, 'record_department')
    yield life.after(clock.day, 7)
    yield life.press(evaluation, 'share')
    life.office.create(life.officer, 'grant.evaluation.meeting', {
            'evaluation': evaluation.id,
            'date': clock.day - dt.timedelta(days=3),
            'public': "Usagers et habitants",
            'participants': 14,
            'text': "Davantage de rendez-vous en semaine, et un transport "
            "depuis les villages.",
            })
    if step == 'shared':
        return
    _rate(life, evaluation, 'agreed', SHARED, ratings[low], turn)
    for line in life.read(evaluation).lines:
        life.write(line, continuation='change' if low else 'drop')
        for result in line.results:
            if result.target:
                life.write(
                    result, new_target=(
                        result.target * Decimal('1.1')).quantize(Decimal(1)))
                break
    life.write(
        evaluation, agreed_view=SHARED[turn % len(SHARED)],
        partner_agreed_on=clock.day,
        outcome='stop' if step == 'stopped' else (
            'renew' if turn % 2 == 0 else 'adjust'),
        outcome_reason=(
            "Le projet n’est plus porté par une équipe en mesure de le "
            "conduire." if step == 'stopped' else
            "L’élan est là, et le partenaire souhaite poursuivre."),
        summary=SUMMARY)
    yield life.after(clock.day, 5)
    yield life.press(evaluation, 'validate_shared', login='marc')
    if step == 'published':
        yield life.press(evaluation, 'publish', login='marc')


def _rate(life, evaluation, side, comments, rating, turn):
    for index, line in enumerate(life.read(evaluation).lines):
        life.write(line, **{
                f'{side}_rating': rating.id,
                f'{side}_comment': comments[(turn + index) % len(comments)]})
