# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"A funder that pays by itself sends SEPA credit transfers."
import os

import pytest
from lxml import etree
from trytond.pool import Pool
from trytond.tests.test_tryton import (
    activate_module, drop_db, with_transaction)

from .refusal import forget, without_converter
from .road import IBANS, Road

if not os.environ.get('CI'):
    # Where every module is installed, a missing one is a failure.
    pytest.importorskip('trytond.modules.account_payment_sepa')
NAMESPACE = {'p': 'urn:iso:std:iso:20022:tech:xsd:pain.001.001.03'}


@pytest.fixture(scope='module', autouse=True)
def database():
    drop_db()
    activate_module(['account_payment_sepa', 'pacte_grants'], lang='fr')
    yield
    drop_db()


def prepare(road):
    "Give the funder a bank account and a journal that makes transfers."
    pool = Pool()
    Bank = pool.get('bank')
    Party = pool.get('party.party')
    with road.system():
        party, = Party.create([{'name': "Banque fictive"}])
        bank, = Bank.create([{'party': party.id, 'bic': 'BDFEFRPPCCT'}])
        account, = pool.get('bank.account').create([{
                    'bank': bank.id,
                    'owners': [('add', [road.company.party.id])],
                    'numbers': [('create', [{
                                    'type': 'iban', 'number': IBANS[4]}])]}])
        journal, = pool.get('account.payment.journal').create([{
                    'name': "Virements",
                    'company': road.company.id,
                    'currency': road.company.currency.id,
                    'process_method': 'sepa',
                    'sepa_bank_account_number': account.numbers[0].id,
                    'sepa_payable_flavor': 'pain.001.001.03',
                    'sepa_receivable_flavor': 'pain.008.001.02',
                    'sepa_charge_bearer': 'SLEV'}])
        configuration = pool.get('grant.configuration')(1)
        configuration.payment_journal = journal
        configuration.save()
    return bank


@with_transaction(context={'language': 'fr'})
def test_credit_transfer():
    "The transfer goes to the verified account, and the payment is followed"
    with without_converter():
        road = Road()
        bank = prepare(road)
        advance = road.advance(road.to_active())
        with road.system():
            accounts = Pool().get('bank.account').search(
                [('owners', '=', advance.party.id)])
            accounts[0].__class__.write(accounts, {'bank': bank.id})
        road.press('claire', advance, 'certify')
        road.press('paul', advance, 'approve')
        road.press('nadia', advance, 'process')
    forget()
    advance = road.fresh(advance)
    assert advance.state == 'paying'
    group = advance.payment.group
    assert group.state is None
    message, = group.sepa_messages
    transfer = etree.fromstring(bytes(message.message))
    assert transfer.findtext('.//p:CtrlSum', namespaces=NAMESPACE) == (
        f'{advance.amount:.2f}')
    assert transfer.findtext(
        './/p:CdtrAcct//p:IBAN', namespaces=NAMESPACE) == IBANS[0]
    road.press('nadia', advance, 'succeed')
    forget()
    advance = road.fresh(advance)
    assert advance.state == 'paid'
    assert advance.paid_on == road.today
