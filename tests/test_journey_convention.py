# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Journeys in the real web client: a convention is negotiated, amended and
followed."""
import datetime as dt

import pytest
from trytond.pool import Pool


@pytest.fixture(scope='module')
def active(department):
    "The title of a convention in force."
    with department.road() as road:
        road.to_active(title="Scènes du bassin")
    return "Scènes du bassin"


def test_negotiate(department, user):
    with department.road() as road:
        application = road.review(
            road.create_application(title="Chœurs du littoral"))
        road.open_convention(application)
    with user('claire') as claire:
        claire.menu('Subventions', 'Conventions', 'Conventions')
        claire.all()
        claire.open("Chœurs du littoral")
        claire.press('negotiate')
        claire.sees_state("En négociation")
    with department.road() as road:
        convention = road.fresh(road.fresh(application).convention)
        road.add_objective(convention)
    with user('claire') as claire:
        claire.menu('Subventions', 'Conventions', 'Conventions')
        claire.all()
        claire.open("Chœurs du littoral")
        assert "Accueillir les collégiens" in claire.refused('agree')
        claire.sees_state("En négociation")
    with department.road() as road:
        convention = road.fresh(convention)
        for side in ['partner', 'department']:
            road.press('claire', convention.objectives[0], f'agree_{side}')
    with user('claire') as claire:
        claire.menu('Subventions', 'Conventions', 'Conventions')
        claire.all()
        claire.open("Chœurs du littoral")
        claire.press('agree')
        claire.sees_state("Texte arrêté")


def test_amendment(department, user, active):
    with department.road() as road:
        end = road.today + dt.timedelta(days=120)
    with user('claire') as claire:
        claire.menu('Subventions', 'Conventions', 'Conventions')
        claire.all()
        claire.open(active)
        claire.show("Avenants")
        claire.press('open_amendment')
        claire.fill('title', "Un mois de plus")
        claire.fill('reason', "La salle ferme en janvier.")
        claire.fill('new_end_date', end.strftime('%d/%m/%Y'))
        claire.save()
        claire.press('agree')
        claire.sees_state("Texte arrêté")
        claire.press('issue')
        claire.press('sign_partner')
        claire.sees_state("En signature")
    with user('marc') as marc:
        marc.menu('Subventions', 'Conventions', 'Avenants')
        marc.all()
        marc.open("Un mois de plus")
        marc.press('sign_department')
        marc.sees_state("En vigueur")
        marc.show("Avant / après")
        marc.sees_text(end.strftime('%d/%m/%Y'))


def test_what_partners_owe(department, user, active):
    with user('claire') as claire:
        claire.menu('Subventions', 'Conventions', 'Échéances')
        claire.all()
        rows = claire.sees_rows(active, 3)
        rows.first.locator('.selection-state input').click()
        claire.settle()
        claire.press('remind')
        claire.settle()
    with department.road():
        Reminder = Pool().get('grant.reminder')
        reminder, = Reminder.search([])
        assert reminder.made_by.login == 'claire'
