# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""A journey in the real web client: a financial report arrives, what is
missing is said, and it is accepted."""
import re
from decimal import Decimal


def test_report(department, user, tmp_path):
    with department.road() as road:
        convention = road.to_active(title="Les nuits du beffroi")
        report = road.report(convention)
        road.fill_report(report, Decimal(18000), Decimal(9000))
        road.write('claire', report, activity=None)
    with user('claire') as claire:
        claire.menu(
            'Subventions', 'Conventions', 'Suivi', 'Comptes rendus financiers')
        claire.all()
        claire.open("Les nuits du beffroi")
        claire.sees_state("Attendu")
        claire.press('submit')
        claire.sees_state("À contrôler")
        claire.sees('missing', re.compile("Dites ce qui a été réalisé"))
        claire.sees('execution_rate', '90,00')
        claire.shot(tmp_path / 'budget.png')
        print(tmp_path / 'budget.png')
        claire.show("Activité")
        claire.fill('activity', "Trois soirées au pied du beffroi.")
        claire.save()
        claire.press('accept')
        claire.sees_state("Accepté")
        claire.shot(tmp_path / 'accepted.png')
    with user('marc') as marc:
        marc.menu('Subventions', 'Conventions', 'Suivi', 'À contrôler')
        marc.tab.get_by_text("Les nuits du beffroi").first.wait_for()
        marc.shot(tmp_path / 'risks.png')
