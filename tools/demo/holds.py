# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What is suspended, and what is urgent, on the day of the demonstration."
from dateutil.relativedelta import relativedelta

from trytond.pool import Pool


def tell_holds(world):
    """Finance doubts about a bank account and the service asks for an audit;
    the head of service has a payment go first."""
    pool = Pool()
    Hold = pool.get('grant.hold')
    Instalment = pool.get('grant.instalment')
    world.clock.set(world.clock.today)
    with world.office.user('nadia'):
        balances = Instalment.search([
                ('kind', '=', 'balance'),
                ('state', '=', 'planned'),
                ('convention.state', '=', 'active'),
                ], order=[('convention.number', 'ASC'), ('id', 'ASC')])
        doubtful, audited = list(dict.fromkeys(
                i.convention for i in balances if i.blockers))[:2]
        Hold.place(
            [doubtful], 'bank',
            "Le RIB reçu en juillet porte un autre titulaire.")
    with world.office.user('marc'):
        Hold.place(
            [audited], 'audit', "Contrôle sur pièces en cours.",
            expires_on=world.clock.day + relativedelta(months=2))
        ready = Instalment.search([
                ('state', '=', 'planned'), ('ready', '=', True),
                ], order=[('due_since', 'ASC'), ('id', 'ASC')], limit=1)
        Instalment.mark_urgent(
            ready, "Salaires de fin de mois : trésorerie tendue.")
