# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Bank accounts: who enters does not verify, what changes must be verified."

from contextlib import contextmanager

import pytest
from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.bank.exceptions import IBANValidationError
from trytond.modules.company.tests import create_company
from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, DutyError, FrozenError)
from trytond.pool import Pool
from trytond.tests.test_tryton import activate_module, with_transaction
from trytond.transaction import Transaction

from tests.tools import count_selects

IBAN = 'FR76 3000 6000 0112 3456 7890 189'
OTHER_IBAN = 'FR14 2004 1010 0505 0001 3M02 606'
THIRD_IBAN = 'DE89 3704 0044 0532 0130 00'


def setup_module():
    activate_module('pacte_grants')


class Desk:
    "An officer, two people in finance and a partner."

    def __init__(self):
        self.officer = self.user('officer', 'group_officer')
        self.finance = self.user('finance', 'group_finance')
        self.finance2 = self.user('finance2', 'group_finance')
        self.admin = self.user(
            'admin2', 'group_finance', 'group_admin')
        self.party = self.partner("Les Amis du Livre")

    def user(self, login, *groups):
        pool = Pool()
        User = pool.get('res.user')
        ModelData = pool.get('ir.model.data')
        user, = User.create([{
                    'name': login.title(), 'login': login,
                    'groups': [('add', [
                                ModelData.get_id('pacte_grants', g)
                                for g in groups])],
                    }])
        return user

    def partner(self, name):
        Party = Pool().get('party.party')
        party, = Party.create([
                {'name': name, 'partner_kind': 'association'}])
        return party

    def enter(self, user, number=IBAN, party=None):
        with acting(user):
            Link = Pool().get('bank.account-party.party')
            link, = Link.create([{
                        'owner': (party or self.party).id,
                        'iban': number, 'holder': "Les Amis"}])
        return Link(link.id)

    def verify(self, user, link):
        with acting(user):
            Link = Pool().get('bank.account-party.party')
            Link.verify([Link(link.id)])
        return Link(link.id)


@contextmanager
def acting(user):
    "Do what follows as user, through the doors of the client."
    transaction = Transaction()
    with transaction.set_user(user.id), \
            transaction.set_context(_check_access=True):
        yield


def links():
    return Pool().get('bank.account-party.party')


@with_transaction()
def test_verify():
    desk = Desk()
    Party = Pool().get('party.party')
    link = desk.enter(desk.officer)
    assert link.entered_by == desk.officer
    assert link.number_changed_by == desk.officer
    assert not link.verified
    assert Party.get_payable_accounts([desk.party]) == {desk.party: None}

    link = desk.verify(desk.finance, link)

    assert link.verified and link.verified_by == desk.finance
    assert link.verified_on
    assert Party.get_payable_accounts([desk.party]) == {desk.party: link}
    assert Party(desk.party.id).bank_account_verified
    assert Party.search([
            ('bank_account_verified', '=', True)]) == [desk.party]
    assert desk.party not in Party.search([
            ('bank_account_verified', '=', False)])
    assert links().search([('verified', '=', True)]) == [link]

    with acting(desk.finance):
        links().unverify([links()(link.id)])
    assert not links()(link.id).verified


@with_transaction()
def test_who_may_verify():
    desk = Desk()
    link = desk.enter(desk.finance)
    for user, error in [
            (desk.finance, DutyError), (desk.officer, UserError)]:
        with pytest.raises(error):
            desk.verify(user, link)
    with pytest.raises(DutyError), Transaction().set_user(0):
        links().verify([links()(link.id)])
    assert not links()(link.id).verified_by
    assert desk.verify(desk.finance2, link).verified


@with_transaction()
def test_administrators_are_no_exception():
    desk = Desk()
    link = desk.enter(desk.admin)
    with pytest.raises(DutyError):
        desk.verify(desk.admin, link)


@with_transaction()
def test_without_access_check():
    "A batch that acts for the user has no other rules"
    desk = Desk()
    link = desk.enter(desk.finance)
    with Transaction().set_user(desk.finance.id), pytest.raises(DutyError):
        links().verify([links()(link.id)])


@with_transaction()
def test_one_person_with_two_users():
    desk = Desk()
    pool = Pool()
    Employee = pool.get('company.employee')
    User = pool.get('res.user')
    company = create_company()
    person = desk.partner("Camille")
    employee, = Employee.create([
            {'party': person.id, 'company': company.id}])
    User.write([desk.officer, desk.finance], {
            'companies': [('add', [company.id])],
            'employees': [('add', [employee.id])],
            })
    link = desk.enter(desk.officer)
    with pytest.raises(DutyError):
        desk.verify(desk.finance, link)
    assert desk.verify(desk.finance2, link).verified


@with_transaction()
def test_changed_number_voids():
    "A number changed after the verification is not verified"
    desk = Desk()
    AccountNumber = Pool().get('bank.account.number')
    link = desk.verify(desk.finance, desk.enter(desk.officer))
    number, = link.account.numbers

    with acting(desk.finance2):
        AccountNumber.write(
            [AccountNumber(number.id)], {'number': OTHER_IBAN})

    link = links()(link.id)
    assert not link.verified
    assert not links().search([('verified', '=', True)])
    assert not Pool().get('party.party')(desk.party.id).bank_account_verified
    with pytest.raises(DutyError):
        desk.verify(desk.finance2, link)
    assert desk.verify(desk.finance, link).verified


@with_transaction()
def test_number_changed_behind_our_back():
    "The fingerprint sees a number changed in the database"
    desk = Desk()
    pool = Pool()
    link = desk.verify(desk.finance, desk.enter(desk.officer))
    number, = link.account.numbers
    table = pool.get('bank.account.number').__table__()
    Transaction().connection.cursor().execute(*table.update(
            [table.number], [OTHER_IBAN], where=table.id == number.id))
    Transaction().cache.clear()
    link = links()(link.id)
    assert not link.verified
    Party = pool.get('party.party')
    party = Party(desk.party.id)
    assert Party.get_payable_accounts([party]) == {party: None}


@with_transaction()
def test_swapped_number_voids():
    desk = Desk()
    AccountNumber = Pool().get('bank.account.number')
    link = desk.verify(desk.finance, desk.enter(desk.officer))
    number, = link.account.numbers
    with acting(desk.finance2):
        AccountNumber.write([AccountNumber(number.id)], {'active': False})
        AccountNumber.create([{
                    'account': link.account.id, 'type': 'iban',
                    'number': OTHER_IBAN}])
    assert not links()(link.id).verified
    with pytest.raises(DutyError):
        desk.verify(desk.finance2, link)


@with_transaction()
def test_inactive_account():
    desk = Desk()
    Account = Pool().get('bank.account')
    link = desk.verify(desk.finance, desk.enter(desk.officer))
    number, = link.account.numbers
    Account.write([link.account], {
            'active': False,
            'numbers': [('write', [number.id], {'active': False})],
            })
    assert not links()(link.id).verified
    assert not links().search([('verified', '=', True)])


@with_transaction()
@pytest.mark.parametrize('name', [
        'verified_by', 'verified_on', 'fingerprint', 'entered_by'])
def test_server_fields(name):
    "The client cannot write what the server says, whatever its rights"
    desk = Desk()
    link = desk.enter(desk.officer)
    value = {
        'verified_by': desk.finance2.id, 'entered_by': desk.finance2.id,
        'fingerprint': '0' * 64, 'verified_on': link.entered_on,
        }[name]
    for user in [desk.officer, desk.finance, desk.admin]:
        with acting(user):
            with pytest.raises((FrozenError, AccessError)):
                links().write([links()(link.id)], {name: value})
            with pytest.raises((FrozenError, AccessError)):
                links().create([{
                            'owner': desk.party.id, 'iban': OTHER_IBAN,
                            name: value}])
    assert links()(link.id).entered_by == desk.officer
    assert not links()(link.id).verified_by


@with_transaction()
def test_number_server_fields():
    desk = Desk()
    AccountNumber = Pool().get('bank.account.number')
    link = desk.enter(desk.finance)
    number, = link.account.numbers
    with acting(desk.finance), pytest.raises(FrozenError):
        AccountNumber.write(
            [AccountNumber(number.id)], {'changed_by': desk.officer.id})


@with_transaction()
def test_owner_and_account_stay():
    desk = Desk()
    other = desk.partner("Other")
    link = desk.enter(desk.officer)
    second = desk.enter(desk.officer, OTHER_IBAN, other)
    with acting(desk.officer):
        for values in [
                {'owner': other.id}, {'account': second.account.id}]:
            with pytest.raises(FrozenError):
                links().write([links()(link.id)], values)


@with_transaction()
def test_verified_number_cannot_be_typed_over():
    desk = Desk()
    link = desk.enter(desk.officer)
    with acting(desk.officer):
        links().write([links()(link.id)], {'iban': OTHER_IBAN})
    link = desk.verify(desk.finance, link)
    assert link.account.iban == OTHER_IBAN
    with acting(desk.officer), pytest.raises(FrozenError):
        links().write([links()(link.id)], {'iban': IBAN})
    with pytest.raises(FrozenError):
        links().write([links()(link.id)], {'iban': IBAN})


@with_transaction()
def test_wrong_number():
    desk = Desk()
    for number in ['FR76 3000 6000 0112 3456 7890 188', 'FR76', 'rubbish']:
        with pytest.raises(IBANValidationError):
            desk.enter(desk.officer, number)


@with_transaction()
def test_no_number():
    desk = Desk()
    Account = Pool().get('bank.account')
    account, = Account.create([{}])
    link, = links().create([
            {'owner': desk.party.id, 'account': account.id}])
    with pytest.raises(CompletenessError):
        desk.verify(desk.finance, link)


@with_transaction()
def test_shared():
    "A known number is shared, each partner's link being verified apart"
    desk = Desk()
    other = desk.partner("Other")
    first = desk.verify(desk.finance, desk.enter(desk.officer))
    with acting(desk.officer):
        Link = links()
        warning, = Link(iban=IBAN, owner=other).on_change_notify()
        assert desk.party.rec_name in warning[1]
    second = desk.enter(desk.officer, IBAN, other)
    assert second.account == first.account
    assert second.shared_with == desk.party.rec_name
    assert links()(first.id).verified and not second.verified
    with pytest.raises(AccessError):
        desk.enter(desk.officer, IBAN, other)

    with acting(desk.officer):
        links().write([links()(second.id)], {'iban': OTHER_IBAN})
    second = links()(second.id)
    assert second.account != first.account
    assert links()(first.id).verified

    links().write([second], {'public_accountant': True})
    assert not links()(second.id).shared_with


@with_transaction()
def test_delete():
    "What has been verified is not deleted, whichever end one pulls"
    desk = Desk()
    pool = Pool()
    Party = pool.get('party.party')
    link = desk.verify(desk.finance, desk.enter(desk.officer))
    with pytest.raises(AccessError):
        links().delete([link])
    with pytest.raises(AccessError):
        Party.write([Party(desk.party.id)], {
                'bank_accounts': [('remove', [link.account.id])]})
    with pytest.raises(UserError):
        pool.get('bank.account').delete([link.account])
    with pytest.raises(UserError):
        Party.delete([desk.party])
    mistake = desk.enter(desk.officer, OTHER_IBAN)
    with acting(desk.officer):
        links().delete([links()(mistake.id)])


@with_transaction()
def test_merged_parties():
    "The account of a partner that is merged must be verified again"
    desk = Desk()
    pool = Pool()
    other = desk.partner("Les Amis du Livre")
    Replace = pool.get('party.replace', type='wizard')
    link = desk.verify(desk.finance, desk.enter(desk.officer))
    session_id, _, _ = Replace.create()
    replace = Replace(session_id)
    replace.ask.source = desk.party
    replace.ask.destination = other
    replace.transition_replace()
    link = links()(link.id)
    assert link.owner == other
    assert not link.verified


@with_transaction()
def test_masked():
    "The number shows its last four characters, but to finance"
    desk = Desk()
    pool = Pool()
    Account = pool.get('bank.account')
    AccountNumber = pool.get('bank.account.number')
    Party = pool.get('party.party')
    link = desk.enter(desk.officer)
    account, (number,) = link.account, link.account.numbers
    assert link.masked_number == '•••• 0189'
    with acting(desk.officer):
        row, = Account.read([account.id], ['rec_name'])
        assert row['rec_name'] == '•••• 0189'
        row, = AccountNumber.read([number.id], ['rec_name'])
        assert row['rec_name'] == '•••• 0189'
        row, = links().read([link.id], ['iban', 'rec_name'])
        assert row['iban'] is None and '3456' not in row['rec_name']
        for name in ['number', 'number_compact', 'digest']:
            with pytest.raises(AccessError):
                AccountNumber.read([number.id], [name])
            with pytest.raises(AccessError):
                AccountNumber.search([(name, 'ilike', 'FR76%')])
        with pytest.raises(AccessError):
            Party.search([
                    ('bank_accounts.numbers.number', 'ilike', 'FR76%')])
        assert not Party.search([('rec_name', 'ilike', 'FR76%')])
        assert not Account.search([('rec_name', 'ilike', 'FR76%')])
        assert not links().search([('rec_name', 'ilike', 'FR76%')])
    with acting(desk.finance):
        row, = Account.read([account.id], ['rec_name'])
        assert row['rec_name'] == IBAN
        assert Party.search([('rec_name', 'ilike', 'FR76%')])


@with_transaction()
def test_payable_accounts_queries():
    "One partner or two hundred cost the same"
    desk = Desk()
    pool = Pool()
    Party = pool.get('party.party')
    with Transaction().set_user(desk.officer.id):
        parties = Party.create([
                {'name': str(i)} for i in range(60)])
        created = links().create([
                {'owner': p.id, 'iban': iban_of(i)}
                for i, p in enumerate(parties)])
    with Transaction().set_user(desk.finance.id):
        links().verify(links().browse(created))

    def payable(number):
        records = Party.browse([p.id for p in parties[:number]])
        accounts = Party.get_payable_accounts(records)
        assert all(accounts.values())
    assert count_selects(payable, 2) == count_selects(payable, 60)


def iban_of(i):
    account = f'30006000{i:015d}'
    key = 98 - int(account + '152700') % 97
    return f'FR{key:02d}{account}'


@with_transaction()
def test_piece():
    desk = Desk()
    pool = Pool()
    Piece = pool.get('grant.partner.piece')
    today = pool.get('ir.date').today()
    with acting(desk.officer):
        old, current, endless = Piece.create([{
                    'party': desk.party.id, 'kind': 'statutes',
                    'received_on': today.replace(year=today.year - 2, day=1),
                    'valid_until': until,
                    } for until in [
                    today.replace(year=today.year - 1, day=1), today, None]])
    assert [p.expired for p in Piece.browse([old, current, endless])] == [
        True, False, False]
    assert Piece.search([('expired', '=', True)]) == [old]
    assert set(Piece.search([('expired', '=', False)])) == {current, endless}
    with pytest.raises(UserError):
        Pool().get('party.party').delete([desk.party])
