# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""A journey in the real web client: a small grant, from the login of the
officer who types it in to the payment that finance approves."""

from decimal import Decimal

from trytond.pool import Pool


def test_small_grant(department, user):
    with department.road() as road:
        road.create_scheme(
            code='INIT', name="Initiatives locales", level='light',
            convention_required=False, tariff_required=False, pieces=None,
            conditions=None, instalments=None)
        road.create_party(name="Association des Terrils fleuris")
        road.create_envelope(Decimal(50000), code='JEUN')
        road.create_deliberation(title="Initiatives des habitants")
        day = road.today.strftime('%d/%m/%Y')

    with user('claire') as claire:
        claire.menu(
            'Subventions', 'Dossiers de demande', 'Dossiers de demande')
        claire.new()
        claire.pick('party', "Terrils fleuris")
        claire.pick('scheme', "Initiatives locales")
        claire.fill('title', "Fleurir le terril")
        claire.fill('start_date', day)
        claire.fill('end_date', day)
        claire.fill('total_cost', '1200')
        claire.fill('requested_amount', '600')
        claire.save()
        claire.press('submit')
        claire.sees_state("Déposé")
        claire.press('admit')
        claire.sees_state("Recevable, en instruction")
        claire.show("Proposition")
        claire.fill('proposed_amount', '500')
        claire.pick('envelope', 'JEUN')
        claire.save()
        claire.press('open_convention')
        claire.sees('amount', '500,00')
        claire.close()
        claire.press('review')
        claire.sees_state("Instruit")
        claire.show("Séances")
        claire.pick('next_deliberation', "Initiatives des habitants")
        claire.save()
        claire.press('schedule')
        claire.sees_state("Inscrit en séance")

        with user('sophie') as sophie:
            sophie.menu('Subventions', 'Assemblées', 'Séances')
            sophie.all()
            sophie.open(day)
            sophie.press('convene')
            sophie.press('hold')
            sophie.sees_state("Tenue")
            sophie.menu('Subventions', 'Assemblées', 'Délibérations')
            sophie.all()
            sophie.open("Initiatives des habitants")
            sophie.press('vote')
            sophie.sees_state("Votée")
            sophie.fill('act_number', '2026-CP-77')
            for name in ['transmitted_on', 'received_on', 'published_on']:
                sophie.fill(name, day)
            sophie.save()
            sophie.press('make_executory')
            sophie.sees_state("Exécutoire")

        claire.menu('Subventions', 'Conventions', 'Conventions')
        claire.all()
        claire.open("Fleurir le terril")
        claire.press('issue')
        claire.press('notify')
        claire.sees_state("Notifiée")

        with user('paul') as paul:
            paul.menu('Subventions', 'Budget', 'Engagements comptables')
            paul.all()
            paul.open("Fleurir le terril")
            paul.fill('finance_number', 'E-2026-77')
            paul.save()

        claire.menu('Subventions', 'Versements', 'Versements')
        claire.all()
        claire.open("Fleurir le terril")
        claire.press('certify')
        claire.sees_state("Service fait attesté")

    with user('nadia') as nadia:
        nadia.menu('Subventions', 'Versements', 'Versements')
        nadia.all()
        nadia.open("Fleurir le terril")
        nadia.press('approve')
        nadia.sees_state("Validé finances")

    with department.road():
        Instalment = Pool().get('grant.instalment')
        instalment, = Instalment.search([
                ('convention.title', '=', "Fleurir le terril")])
        assert instalment.state == 'approved'
        assert instalment.payment.state == 'approved'
        assert instalment.payment.amount == Decimal(500)
