# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The shared evaluation in the real web client."
import datetime as dt
from decimal import Decimal

from trytond.pool import Pool

TITLE = "Nuits de la Scarpe"


def test_evaluation(department, user):
    "Prepared from the convention, entered by both, validated by another"
    with department.road() as road:
        convention = road.to_active(title=TITLE)
        with road.as_user('claire'):
            Pool().get('grant.measure').create([{
                        'indicator': convention.objectives[0].indicators[
                            0].id,
                        'date': road.today, 'value': Decimal(250)}])
        received = dt.date.today()
    with user('claire') as claire:
        claire.menu('Subventions', 'Conventions', 'Conventions')
        claire.all()
        claire.open(TITLE)
        claire.show("Évaluation")
        claire.press('prepare_evaluation')
        claire.sees_state("Regards à recueillir")
        claire.press('send')
    with department.road() as road:
        evaluation, = road.fresh(convention).evaluations
        low, high = Pool().get('grant.evaluation.rating').search([
                ('points', 'in', [1, 3])], order=[('points', 'ASC')])
        line, = evaluation.lines
        for side, rating in [('partner', high), ('department', low)]:
            road.write('claire', line, **{
                    f'{side}_rating': rating.id,
                    f'{side}_comment': "Deux classes de plus que prévu."})
        road.write(
            'claire', evaluation, partner_received_on=received,
            partner_file=b'grille', partner_filename='grille.pdf')
    with user('claire') as claire:
        claire.menu('Subventions', 'Conventions', 'Évaluations')
        claire.all()
        claire.open(TITLE)
        claire.press('record_partner')
        claire.press('record_department')
        claire.press('share')
        claire.sees_state("Regards partagés")
        claire.show("Suite")
        claire.fill('outcome_reason', "L’élan est là.")
        claire.save()
    with department.road() as road:
        road.write('claire', line, agreed_rating=high.id)
        road.write(
            'claire', evaluation, outcome='renew',
            partner_agreed_on=road.today)
    with user('marc') as marc:
        marc.menu('Subventions', 'Conventions', 'Évaluations')
        marc.all()
        marc.open(TITLE)
        marc.press('validate_shared')
        marc.sees_state("Validée")
    with department.road() as road:
        assert road.fresh(evaluation).rating.points == 3
