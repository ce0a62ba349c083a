# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"SIREN, SIRET, RNA and UAI: what is accepted, what is refused and why."

import doctest

import pytest
from stdnum.exceptions import InvalidChecksum, InvalidFormat, InvalidLength
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants import identifier
from trytond.modules.pacte_grants.exceptions import (
    IdentifierError, PeriodError)
from trytond.pool import Pool
from trytond.tests.test_tryton import activate_module, with_transaction
from trytond.transaction import Transaction

SIRET = '73282932000074'


def setup_module():
    activate_module('pacte_grants')


def luhn(digits):
    "Complete digits with its key."
    for key in '0123456789':
        total = 0
        for i, char in enumerate(reversed(digits + key)):
            n = int(char) * (1 + i % 2)
            total += n - 9 * (n > 9)
        if not total % 10:
            return digits + key


OTHER_SIRET = luhn('2162004100001')


def create_party(name="Club", **values):
    Party = Pool().get('party.party')
    party, = Party.create([{'name': name, **values}])
    return party


def test_doctest():
    assert not doctest.testmod(identifier).failed


@pytest.mark.parametrize('number', [
        '73282932000074', '732 829 320 00074',
        '732\u00a0829\u00a0320\u202f00074',
        ' 732.829.320.00074 ', '732-829-320-00074'])
def test_siret_spaces(number):
    assert identifier.validate('fr_siret', number) == SIRET


@pytest.mark.parametrize('type_,number,error', [
        ('fr_siret', '73282932000075', InvalidChecksum),
        ('fr_siret', '7328293200007', InvalidLength),
        ('fr_siret', '7328293200007A', InvalidFormat),
        ('fr_siret', '7,99E+13', identifier.ScientificNotation),
        ('fr_siret', '7.99E+13', identifier.ScientificNotation),
        ('fr_siret', '7,32829E+13', identifier.ScientificNotation),
        ('fr_siret', '73282932000074,00', identifier.ScientificNotation),
        ('fr_siret', '', InvalidFormat),
        ('fr_siren', '732829321', InvalidChecksum),
        ('fr_siren', '7,32829E+08', identifier.ScientificNotation),
        ('fr_rna', 'W62100012', InvalidLength),
        ('fr_rna', 'X621000123', InvalidFormat),
        ('fr_rna', 'W2C1000123', InvalidFormat),
        ('fr_uai', '0750655F', InvalidChecksum),
        ('fr_uai', '075065E', InvalidLength),
        ('fr_uai', '07506551', InvalidFormat),
        ])
def test_refused(type_, number, error):
    with pytest.raises(error):
        identifier.validate(type_, number)


@pytest.mark.parametrize('type_,number', [
        ('fr_siren', '732 829 320'),
        ('fr_rna', 'W621000123'),
        ('fr_rna', 'w2a1000123'),
        ('fr_rna', 'W2B1000123'),
        ('fr_uai', '0750654D'),
        ('fr_uai', '0750655e'),
        ])
def test_accepted(type_, number):
    assert identifier.validate(type_, number)


def test_la_poste():
    "The sum of the digits of an establishment is a multiple of 5"
    assert identifier.validate('fr_siret', '35600000049837')
    with pytest.raises(InvalidChecksum):
        identifier.validate('fr_siret', '35600000049838')
    assert identifier.validate('fr_siret', '35600000000048')


@with_transaction()
def test_party_fields():
    Party = Pool().get('party.party')
    party = create_party(
        siret='732 829 320\u00a000074', rna='w621000123', uai='0750655e')
    assert party.siret == SIRET
    assert party.siren == SIRET[:9]
    assert party.rna == 'W621000123'
    assert party.uai == '0750655E'
    assert {i.type: i.code for i in party.identifiers} == {
        'fr_siret': '732 829 320 00074',
        'fr_rna': 'W621000123',
        'fr_uai': '0750655E',
        }
    for domain in [
            ('siret', '=', '732 829 320 00074'),
            ('siret', 'ilike', '%82932%'),
            ('siret', 'in', [SIRET, OTHER_SIRET]),
            ('siren', '=', '732829320'),
            ('siren', '=', '732 829 320'),
            ('rna', '=', 'W621000123'),
            ('rec_name', 'ilike', '%' + SIRET + '%'),
            ]:
        assert Party.search([domain]) == [party], domain
    for domain in [
            ('siret', '=', None),
            ('siret', '!=', SIRET),
            ('siret', 'not in', [SIRET]),
            ('siren', '=', None),
            ('siren', '=', '732829321'),
            ]:
        assert party not in Party.search([domain]), domain

    Party.write([party], {'siret': None})
    assert party.siret is None and party.siren is None


@with_transaction()
def test_change_keeps_trace():
    Party = Pool().get('party.party')
    Identifier = Pool().get('party.identifier')
    party = create_party(siret=SIRET, siren=SIRET[:9])
    Party.write([party], {'siren': OTHER_SIRET[:9], 'siret': OTHER_SIRET})
    new = luhn(OTHER_SIRET[:9] + '0002')
    Party.write([party], {'siret': new})
    assert party.siret == new
    with Transaction().set_context(active_test=False):
        assert Identifier.search([
                ('party', '=', party.id),
                ('code_compact', '=', OTHER_SIRET),
                ('active', '=', False),
                ], count=True) == 1


@with_transaction()
def test_messages():
    "Each mistake has its own message, which names the partner"
    for number, words in [
            ('7,99E+13', ['7,99E+13', 'scientific', 'text']),
            ('7.99E+13', ['7.99E+13', 'scientific', 'text']),
            ('73282932000075', ['key', '73282932000075']),
            ('7328293200007', ['14', '13']),
            ('35600000049838', ['La Poste']),
            ]:
        with pytest.raises(IdentifierError) as error:
            create_party(name="Les Amis", siret=number)
        message = str(error.value)
        for word in ['SIRET', "Les Amis", *words]:
            assert word in message, message


@with_transaction()
def test_import_data():
    "A file is refused whole, in the words of its mistake"
    Party = Pool().get('party.party')
    count = Party.search([], count=True)
    with pytest.raises(IdentifierError, match='7,99E'):
        Party.import_data(['name', 'siret'], [
                ["Right", SIRET], ["Wrong", '7,99E+13']])
    Transaction().rollback()
    assert Party.search([], count=True) == count
    Party.import_data(
        ['name', 'siret', 'partner_kind'], [["Right", SIRET, 'association']])
    party, = Party.search([('siret', '=', SIRET)])
    assert party.partner_kind == 'association'


@with_transaction()
def test_siren_and_siret():
    party = create_party(siren='732829320')
    Identifier = Pool().get('party.identifier')
    with pytest.raises(IdentifierError, match='does not begin'):
        Identifier.create([{
                    'party': party.id, 'type': 'fr_siret',
                    'code': OTHER_SIRET}])


@with_transaction()
def test_siren_then_siret():
    Party = Pool().get('party.party')
    with pytest.raises(IdentifierError, match='does not begin'):
        create_party(siren='732829320', siret=OTHER_SIRET)
    party = create_party(name="Town", siren='732829320')
    with pytest.raises(IdentifierError, match="does not begin"):
        Party.write([party], {'siret': luhn(OTHER_SIRET[:9] + '0007')})


@with_transaction()
def test_siret_unique():
    "Two active parties cannot have the same SIRET"
    create_party(name="First", siret=SIRET)
    with pytest.raises(IdentifierError) as error:
        create_party(name="Second", siret='732 829 320 00074')
    assert "First" in str(error.value) and "Second" in str(error.value)


@with_transaction()
def test_siret_unique_active():
    "A party that is not active leaves its SIRET to another one"
    Party = Pool().get('party.party')
    first = create_party(name="First", siret=SIRET)
    Party.write([first], {'active': False})
    second = create_party(name="Second", siret=SIRET)
    Party.write([second], {'active': False})
    Party.write([first], {'active': True})
    with pytest.raises(IdentifierError, match="First"):
        Party.write([second], {'active': True})


@with_transaction()
def test_siret_unique_in_one_call():
    Party = Pool().get('party.party')
    with pytest.raises(IdentifierError):
        Party.create([
                {'name': "First", 'siret': SIRET},
                {'name': "Second", 'siret': SIRET}])


@with_transaction()
def test_copy():
    Party = Pool().get('party.party')
    party = create_party(siret=SIRET)
    copy, = Party.copy([party])
    assert copy.siret is None


@with_transaction()
def test_republican_commitment():
    "The contract cannot have been signed tomorrow (L08)"
    pool = Pool()
    today = pool.get('ir.date').today()
    create_party(republican_commitment_on=today)
    with pytest.raises(PeriodError):
        create_party(republican_commitment_on=today.replace(
                year=today.year + 1, day=1))


@with_transaction()
def test_access():
    "Readers read partners, officers write them, others see nothing"
    pool = Pool()
    User = pool.get('res.user')
    ModelData = pool.get('ir.model.data')
    Party = pool.get('party.party')
    party = create_party()

    def user(*groups):
        user, = User.create([{
                    'name': ' '.join(groups) or 'nobody',
                    'login': '-'.join(groups) or 'nobody',
                    'groups': [('add', [
                                ModelData.get_id('pacte_grants', g)
                                for g in groups])],
                    }])
        return user.id
    nobody, reader, officer = (
        user(), user('group_reader'), user('group_officer'))
    elected = user('group_elected')
    transaction = Transaction()
    with transaction.set_context(_check_access=True):
        with transaction.set_user(nobody), pytest.raises(AccessError):
            Party.read([party.id], ['name'])
        with transaction.set_user(reader):
            Party.read([party.id], ['name', 'siret'])
            with pytest.raises(AccessError):
                Party.write([Party(party.id)], {'name': "Other"})
        with transaction.set_user(officer):
            Party.write([Party(party.id)], {'siret': SIRET})
            with pytest.raises(AccessError):
                Party.delete([Party(party.id)])
            with pytest.raises(AccessError):
                pool.get('grant.commune').create([
                        {'name': "New", 'code': '62999'}])
        with transaction.set_user(elected):
            Party.read([party.id], ['name'])
            with pytest.raises(AccessError):
                pool.get('grant.partner.piece').search([])


@with_transaction()
def test_personal_data():
    "Elected members do not see where individuals live, officers do"
    pool = Pool()
    User = pool.get('res.user')
    ModelData = pool.get('ir.model.data')
    Address = pool.get('party.address')
    person, club = (
        create_party(
            name="Camille", partner_kind='individual',
            addresses=[('create', [{'city': "Lens"}])]),
        create_party(
            partner_kind='association',
            addresses=[('create', [{'city': "Arras"}])]))
    seen = {}
    for group in ['group_elected', 'group_officer', 'group_finance']:
        user, = User.create([{
                    'name': group, 'login': group,
                    'groups': [('add', [
                                ModelData.get_id('pacte_grants', group)])],
                    }])
        with Transaction().set_user(user.id), \
                Transaction().set_context(_check_access=True):
            seen[group] = {
                a.party.id for a in Address.search([
                        ('party', 'in', [person.id, club.id])])}
    assert seen == {
        'group_elected': {club.id},
        'group_officer': {person.id, club.id},
        'group_finance': {person.id, club.id},
        }
