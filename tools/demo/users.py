# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The Département, its services, its agents and its elected members."
import datetime as dt
from decimal import Decimal

from trytond.pool import Pool
from trytond.transaction import Transaction

from .logins import LOGINS, PASSWORD
from .office import Office

DEPARTMENT = {
    'name': "Département du Pas-de-Calais",
    'siret': '22620001200012',
    'street': "Rue Ferdinand-Buisson",
    'postal_code': '62018',
    'city': "Arras Cedex 9",
    }
SIGNATORY = ("Dominique Hautecœur", "Président du Conseil départemental")
ACCOUNTANT = "Madame la Payeuse départementale du Pas-de-Calais"
JOURNAL = "Mandats de subventions"
# code: (name, parent)
SERVICES = {
    'PRC': ("Pôle Réussites citoyennes", None),
    'CULT': ("Direction de la culture et du patrimoine", 'PRC'),
    'SPORT': ("Direction des sports", 'PRC'),
    'EDUC': ("Direction de l’éducation et des collèges", 'PRC'),
    'JEUN': ("Mission jeunesse et éducation populaire", 'PRC'),
    }
# login: (name, groups, service); the roles are those of LOGINS
AGENTS = {
    'claire': ("Claire Delannoy", ['group_officer'], 'CULT'),
    'julien': ("Julien Marquant", ['group_officer'], 'SPORT'),
    'marc': ("Marc Vasseur", ['group_manager'], 'PRC'),
    'sophie': ("Sophie Hennebel", ['group_clerk'], None),
    'paul': ("Paul Crépin", ['group_finance'], None),
    'nadia': ("Nadia Benali", ['group_finance'], None),
    'lea': ("Léa Wattrelot", ['group_reader'], 'CULT'),
    'jean': ("Jean Delplace", ['group_elected'], None),
    }
PHONES = {'claire': '03 53 01 62 11', 'julien': '03 53 01 62 12'}
ELECTED = 'jean'
# The elected members and their political groups
MEMBERS = {
    ELECTED: ("Jean Delplace", "Groupe A"),
    'ocquet': ("Martine Ocquet", "Groupe A"),
    'quevillart': ("Bernard Quévillart", "Groupe A"),
    'roussemart': ("Sylvaine Roussemart", "Groupe B"),
    'brevart': ("Alain Brévart", "Groupe B"),
    'dehaisne': ("Corinne Dehaisne", "Groupe C"),
    'vandroye': ("Isabelle Vandroye", "Groupe C"),
    }
# member: [(partner, role)]
MANDATES = {
    'ocquet': [('lucioles', "Membre du conseil d’administration")],
    'quevillart': [('epci_lumbres', "Conseiller communautaire")],
    'brevart': [('basket', "Vice-président")],
    'vandroye': [('passerelle', "Membre d’honneur du bureau")],
    }


def create_office():
    "Set up the company and its users; return the office."
    pool = Pool()
    with Transaction().set_user(1), Transaction().set_context(
            language='fr', _check_access=False):
        company = _create_company()
    with Transaction().set_user(1), Transaction().set_context(
            company=company.id, companies=[company.id], language='fr',
            _check_access=False):
        services = _create_services(company)
        users = _create_users(company, services)
        journal, = pool.get('account.payment.journal').create([{
                    'name': JOURNAL, 'company': company.id,
                    'currency': company.currency.id,
                    'process_method': 'pre_settlement'}])
        configuration = pool.get('grant.configuration')(1)
        configuration.payment_journal = journal
        configuration.budget_code = '01'
        configuration.signatory_name, configuration.signatory_capacity = (
            SIGNATORY)
        configuration.public_accountant = ACCOUNTANT
        configuration.save()
    office = Office(company, users)
    office.services = services
    return office


def _create_company():
    pool = Pool()
    Company = pool.get('company.company')
    Party = pool.get('party.party')
    party, = Party.create([{
                'name': DEPARTMENT['name'],
                'siret': DEPARTMENT['siret'],
                'addresses': [('create', [{
                                'street': DEPARTMENT['street'],
                                'postal_code': DEPARTMENT['postal_code'],
                                'city': DEPARTMENT['city'],
                                'country': country().id,
                                }])],
                }])
    company, = Company.create([{
                'party': party.id,
                'currency': _currency().id,
                'timezone': 'Europe/Paris',
                }])
    return company


def country():
    Country = Pool().get('country.country')
    found = Country.search([('code', '=', 'FR')], limit=1)
    return found[0] if found else Country.create([{
                'name': "France", 'code': 'FR', 'code3': 'FRA',
                'code_numeric': '250'}])[0]


def _currency():
    Currency = Pool().get('currency.currency')
    found = Currency.search([('code', '=', 'EUR')], limit=1)
    return found[0] if found else Currency.create([{
                'name': "Euro", 'symbol': "€", 'code': 'EUR',
                'numeric_code': '978', 'digits': 2,
                'rounding': Decimal('0.01'),
                'rates': [('create', [{
                                'date': dt.date(1999, 1, 1),
                                'rate': Decimal(1)}])],
                }])[0]


def _create_services(company):
    Service = Pool().get('grant.service')
    services = {}
    for code, (name, parent) in SERVICES.items():
        services[code], = Service.create([{
                    'company': company.id,
                    'code': code,
                    'name': name,
                    'parent': services[parent].id if parent else None,
                    }])
    return services


def _create_users(company, services):
    pool = Pool()
    Employee = pool.get('company.employee')
    Language = pool.get('ir.lang')
    ModelData = pool.get('ir.model.data')
    Party = pool.get('party.party')
    User = pool.get('res.user')
    french, = Language.search([('code', '=', 'fr')])
    passwords = {login: password for _, login, password in LOGINS}
    users = {}
    for login, (name, groups, service) in AGENTS.items():
        party, = Party.create([{
                    'name': name,
                    'contact_mechanisms': [('create', [
                                {'type': 'phone', 'value': PHONES[login]}
                                for login in [login] if login in PHONES])],
                    }])
        values = {
            'login': login,
            'name': name,
            'password': passwords.get(login, PASSWORD),
            'language': french.id,
            'groups': [('add', [
                        ModelData.get_id('pacte_grants', group)
                        for group in groups])],
            'companies': [('add', [company.id])],
            'company': company.id,
            'grant_service': services[service].id if service else None,
            }
        if login != ELECTED:
            employee, = Employee.create([
                    {'company': company.id, 'party': party.id}])
            values.update(
                employees=[('add', [employee.id])], employee=employee.id)
        users[login], = User.create([values])
    admin, = User.search([('login', '=', 'admin')])
    User.write([admin], {
            'language': french.id,
            'companies': [('add', [company.id])],
            'company': company.id,
            })
    users['admin'] = admin
    return users


def create_members(office, partners):
    "Record the elected members and the register of their mandates (L17)."
    Party = Pool().get('party.party')
    members = {}
    for code, (name, group) in MEMBERS.items():
        with office.installation():
            if code == ELECTED:
                party, = Party.search([('name', '=', name)])
            else:
                party, = Party.create([{'name': name}])
        members[code] = office.create('sophie', 'grant.member', {
                'party': party.id,
                'group': group,
                'mandates': [('create', [
                            {'party': partners[partner].id, 'role': role}
                            for partner, role in MANDATES.get(code, [])])],
                })
    return members
