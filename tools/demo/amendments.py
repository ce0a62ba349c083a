# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Conventions of several years and their amendments: one in force, one that
both parties still write."""
import datetime as dt

from trytond.pool import Pool

# The partner whose convention covers three years
PARTNER = 'passerelle'


class Amendments:

    def __init__(self, world):
        self.world = world
        self.office = world.office
        self.calendar = world.calendar

    def add(self, story):
        today = self.calendar.today
        story.add(today - dt.timedelta(days=38), self.in_force())
        story.add(today - dt.timedelta(days=9), self.under_way())

    def open(self, partner, officer, **values):
        "Open the amendment of the partner's convention; return both."
        with self.office.installation():
            convention, = Pool().get('grant.convention').search([
                    ('party', '=', self.world.partners[partner].id),
                    ('state', '=', 'active'),
                    ], limit=1)
        self.office.press(officer, [convention], 'open_amendment')
        convention = self.office.fresh(convention)
        amendment = convention.amendments[0]
        self.office.write(officer, amendment, **values)
        return convention, self.office.fresh(amendment)

    def take_up(self, amendment, records, action='change'):
        with self.office.installation():
            records[0].__class__.take_up(records, amendment, action)
        return self.office.fresh(amendment)

    def in_force(self):
        "The communes move the workshops of the autumn to the spring."
        officer = 'claire'
        convention, amendment = self.open(
            'epci_ternois', officer,
            title="Report des ateliers d’automne",
            reason="La médiathèque de Saint-Pol-sur-Ternoise est en travaux "
                "jusqu’en février : les ateliers prévus à l’automne auront "
                "lieu au printemps.")
        self.office.write(
            officer, amendment,
            new_end_date=convention.end_date + dt.timedelta(days=120))
        objective = convention.objectives[0]
        amendment = self.take_up(amendment, [objective])
        proposal, = amendment.objectives
        self.office.write(
            officer, proposal, side='partner', description=(
                f"{proposal.description} Les ateliers de l’automne ont lieu "
                "au printemps, dans la médiathèque rénovée."))
        yield officer, proposal, 'agree_partner'
        yield officer, proposal, 'agree_department'
        yield officer, amendment, 'agree'
        yield officer, amendment, 'issue'
        yield self.world.clock.day + dt.timedelta(days=14)
        yield officer, amendment, 'sign_partner'
        yield self.world.clock.day + dt.timedelta(days=6)
        yield 'marc', amendment, 'sign_department'

    def under_way(self):
        "The association asks for more in the second year."
        officer = 'claire'
        convention, amendment = self.open(
            PARTNER, officer,
            title="Ouverture d’une antenne à Bruay-la-Buissière",
            reason="L’association ouvre une antenne la deuxième année, à la "
                "demande de la commune.")
        year = convention.tranches[1].year
        self.office.write(
            officer, amendment, tranches=[('create', [{
                            'year': year,
                            'amount': convention.tranches[1].amount + 6000,
                            }])])
        amendment = self.take_up(amendment, [convention.objectives[0]])
        proposal, = amendment.objectives
        self.office.write(
            officer, proposal, side='partner', description=(
                f"{proposal.description} L’antenne reçoit deux "
                "demi-journées par semaine."))
        yield officer, proposal, 'agree_partner'
