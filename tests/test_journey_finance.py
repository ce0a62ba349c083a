# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""A journey in the real web client: a morning of finance.  The clicks are
counted from the moment the list is open."""
import datetime as dt

import pytest
from trytond import config
from trytond.pool import Pool
from trytond.transaction import Transaction

from .department import PASSWORD
from .test_batch import answers

PAYMENTS = ['Subventions', 'Versements', 'Versements']
BATCHES = ['Subventions', 'Versements', 'Lots de versements']


@pytest.fixture
def morning(department):
    "A hundred small grants that wait for their payment: their ids."
    with department.road() as road:
        road.use_batches()
        return road.to_single_payments(100)


def let_time_pass(department, login):
    "The user signed in too long ago for what asks who it is."
    with Transaction().start(department.database, 0):
        Session = Pool().get('ir.session')
        table = Session.__table__()
        before = dt.datetime.now() - dt.timedelta(
            seconds=2 * config.getint('session', 'timeout'))
        users = Pool().get('res.user').search([('login', '=', login)])
        Transaction().connection.cursor().execute(*table.update(
                [table.write_date, table.create_date], [before, before],
                where=table.create_uid.in_([u.id for u in users])))


def states(department, ids):
    "How many instalments there are by state."
    counts = {}
    with department.road():
        for instalment in Pool().get('grant.instalment').browse(ids):
            counts[instalment.state] = counts.get(instalment.state, 0) + 1
    return counts


def paid(department):
    """Return the answer of the payer to the only batch (bytes): one line is
    rejected, one is paid a cent short, the others are paid."""
    rows = []
    with department.road():
        group, = Pool().get('account.payment.group').search([])
        for line in group.lines:
            rows.append({
                    'batch_id': group.number,
                    'line_no': str(line.line_number),
                    'status': 'payé',
                    'mandat_no': '4512',
                    'paid_on': dt.date.today().isoformat(),
                    'paid_amount': f'{line.amount:.2f}'.replace('.', ','),
                    })
    rows[0] = {
        'batch_id': group.number, 'line_no': rows[0]['line_no'],
        'status': 'rejeté', 'reason': "RIB invalide"}
    rows[1]['paid_amount'] = '799,99'
    return answers(*rows)


def test_finance_morning(department, morning, user, tmp_path):
    with user('claire') as claire:
        claire.menu(*PAYMENTS)
        claire.show("À attester")
        claire.shot(tmp_path / '1-to-certify.png')
        with claire.within(3):
            claire.select_all()
            claire.press('certify')
        claire.shot(tmp_path / '2-certified.png')
    assert states(department, morning) == {'certified': 100}

    with user('paul') as paul:
        paul.menu(*PAYMENTS)
        paul.show("Attestés, à valider")
        for row in range(3):
            paul.select(paul.row(row))
        paul.press('ask_send_back')
        paul.choose('kind', "Pièce manquante")
        paul.fill('reason', "Le bilan de l'an passé n'est pas signé.")
        paul.shot(tmp_path / '3-send-back.png')
        paul.answer("Renvoyer")
        assert states(department, morning) == {'planned': 3, 'certified': 97}
        let_time_pass(department, 'paul')
        with paul.within(6):
            paul.select(paul.row(0))
            paul.select(paul.row(39), upto=True)
            paul.press('approve')
            paul.shot(tmp_path / '4-password.png')
            paul.authenticate(PASSWORD)
        paul.shot(tmp_path / '5-approved.png')
    assert states(department, morning) == {
        'planned': 3, 'certified': 57, 'approved': 40}

    with user('nadia') as nadia:
        nadia.menu(*PAYMENTS)
        nadia.show("Prêts pour le lot")
        nadia.shot(tmp_path / '6-ready.png')
        nadia.select_all()
        nadia.launch("Constituer un lot")
        nadia.shot(tmp_path / '7-batch.png')
        nadia.answer("Aperçu")
        nadia.shot(tmp_path / '8-preview.png')
        nadia.answer("Constituer")
        nadia.shot(tmp_path / '9-prepared.png')
        with nadia.within(2):
            nadia.press('transmit')
        nadia.sees_state("Transmis")
        nadia.shot(tmp_path / '10-transmitted.png')
        answer = tmp_path / 'retour.csv'
        answer.write_bytes(paid(department))
        nadia.menu('Subventions', 'Versements', 'Importer le retour')
        with nadia.within(3):
            nadia.upload(answer)
            nadia.answer("Vérifier")
            nadia.shot(tmp_path / '11-dry-run.png')
            nadia.answer("Appliquer")
        nadia.sees_rows("Écart", 1)
        nadia.sees_text("payée pour 799,99 € au lieu de 800,00 €")
        nadia.shot(tmp_path / '12-return.png')
    assert states(department, morning) == {
        'planned': 3, 'certified': 58, 'paid': 38, 'paying': 1}
    print(tmp_path)
