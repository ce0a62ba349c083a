# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The road of a dossier for the tests: who does what, in which order.

``Road`` prepares a small department with its users; its methods press the
buttons as the users would, over the same checks as a request.
"""
import datetime as dt
import json
from contextlib import contextmanager
from copy import copy
from decimal import Decimal

from trytond.model import Model
from trytond.modules.company.tests import create_company
from trytond.pool import Pool
from trytond.protocols.jsonrpc import JSONEncoder
from trytond.transaction import Transaction

USERS = {
    'claire': ['group_officer'],
    'olivier': ['group_officer'],
    'marc': ['group_manager'],
    'sophie': ['group_clerk'],
    'paul': ['group_finance'],
    'nadia': ['group_finance'],
    'lea': ['group_reader'],
    'jean': ['group_elected'],
    'alice': ['group_admin'],
    }
IBANS = [
    'FR7630006000011234567890189',
    'FR1420041010050500013M02606',
    'FR7610107001011234567890129',
    'FR7611315000011234567890138',
    'FR7630004000031234567890143',
    ]
SIRETS = [
    '73282932000074', '44306184100047', '55210055400013', '38012986646850',
    '54205118000066']


def luhn_siret(number):
    "Return a valid SIRET built on the number (an integer)."
    from stdnum import luhn
    siren = f'9{number:07d}'
    siren += luhn.calc_check_digit(siren)
    nic = f'{siren}0001'
    return nic + luhn.calc_check_digit(nic)


class Road:

    def __init__(self, authorised=Decimal(100000), credit=None):
        pool = Pool()
        self.today = dt.date.today()
        self.year = self.today.year
        self.company = self._create_company()
        self._create_users()
        with self.system():
            self.service, = pool.get('grant.service').create([{
                        'company': self.company.id,
                        'code': 'CULT', 'name': "Direction de la culture"}])
            journal, = pool.get('account.payment.journal').create([{
                        'name': "Mandats", 'company': self.company.id,
                        'currency': self.company.currency.id,
                        'process_method': 'manual'}])
            configuration = pool.get('grant.configuration')(1)
            configuration.payment_journal = journal
            configuration.signatory_name = "Le Président"
            configuration.signatory_capacity = (
                "Président du Conseil départemental")
            configuration.public_accountant = "Payeur départemental"
            configuration.save()
            self.orientation, = pool.get('grant.orientation').search([
                    ('code', '=', 'A03-01')])
            self.commune, = pool.get('grant.commune').search([
                    ('code', '=', '62041')])
            self.create_imputation_rule()
            self.scheme = self.create_scheme()
            self.call, = pool.get('grant.call').create([{
                        'company': self.company.id,
                        'scheme': self.scheme.id,
                        'name': f"Campagne {self.year}",
                        'year': self.year,
                        'opens_on': self.today - dt.timedelta(days=60),
                        'closes_on': self.today + dt.timedelta(days=30)}])
            self.envelope = self.create_envelope(authorised, credit)
            self.session = self.create_session()
        self._parties = 0

    def copy(self):
        "Return the same road with records that nobody has read."
        def anew(value):
            if isinstance(value, dict):
                return {k: anew(v) for k, v in value.items()}
            return self.fresh(value) if isinstance(value, Model) else value

        road = copy(self)
        for name, value in vars(self).items():
            setattr(road, name, anew(value))
        return road

    def _create_company(self):
        pool = Pool()
        Country = pool.get('country.country')
        currency = self._currency('EUR')
        company = create_company("Département du Pas-de-Calais", currency)
        country, = Country.search([('code', '=', 'FR')], limit=1) or (
            Country.create([{'name': "France", 'code': 'FR'}]))
        self.country = country
        party = company.party
        party.addresses = [{
                'street': "Rue Ferdinand-Buisson", 'postal_code': '62018',
                'city': "Arras Cedex 9", 'country': country.id}]
        party.siret = '22620001200012'
        party.save()
        return company

    @staticmethod
    def _currency(code):
        Currency = Pool().get('currency.currency')
        found = Currency.search([('code', '=', code)])
        if found:
            return found[0]
        currency, = Currency.create([{
                    'name': "Euro", 'symbol': "€", 'code': code,
                    'digits': 2, 'rounding': Decimal('0.01')}])
        return currency

    def _create_users(self):
        self.users, self.employees = {}, {}
        for login, groups in USERS.items():
            self.create_user(login, groups)

    def create_user(self, login, groups, **values):
        "Create a user of the company with an employee of the same name."
        pool = Pool()
        User = pool.get('res.user')
        ModelData = pool.get('ir.model.data')
        Party = pool.get('party.party')
        Employee = pool.get('company.employee')
        fr, = pool.get('ir.lang').search([('code', '=', 'fr')])
        party, = Party.create([{'name': login.title()}])
        employee, = Employee.create([{
                    'company': self.company.id, 'party': party.id}])
        user, = User.create([{
                    'login': login, 'name': login.title(),
                    'language': fr.id if fr.translatable else None,
                    'groups': [('add', [
                                ModelData.get_id('pacte_grants', g)
                                for g in groups])],
                    'companies': [('add', [self.company.id])],
                    'company': self.company.id,
                    'employees': [('add', [employee.id])],
                    'employee': employee.id,
                    } | values])
        self.users[login], self.employees[login] = user, employee
        return user

    @contextmanager
    def system(self):
        "The module's own code, as user 1, in the company."
        with Transaction().set_user(1), Transaction().set_context(
                company=self.company.id, companies=[self.company.id],
                _check_access=False):
            yield

    @contextmanager
    def as_user(self, login):
        "A request of the user, with every check of access."
        user = self.users[login]
        with Transaction().set_user(user.id), Transaction().set_context(
                company=self.company.id, companies=[self.company.id],
                employee=self.employees[login].id, _check_access=True):
            yield user

    def press(self, login, records, button):
        "Press the button on the records as the user; return the records."
        if not isinstance(records, (list, tuple)):
            records = [records]
        Model = records[0].__class__
        with self.as_user(login):
            records = Model.browse([r.id for r in records])
            result = getattr(Model, button)(records)
            # The client receives it.
            json.dumps(result, cls=JSONEncoder)
        return [Model(r.id) for r in records]

    def write(self, login, record, **values):
        Model = record.__class__
        with self.as_user(login):
            Model.write([Model(record.id)], values)

    @staticmethod
    def get(record):
        "Return the record of the server that a client shows."
        return Pool().get(record.__class__.__name__)(record.id)

    def fresh(self, record):
        "Return the record read anew."
        return record.__class__(record.id)

    def create_imputation_rule(self, **values):
        "Create a rule: every payment is charged to the same accounts."
        pool = Pool()
        Nomenclature = pool.get('grant.nomenclature')
        accounts = {}
        for kind, code in [
                ('chapter', '65'), ('nature', '65748'), ('function', '311')]:
            accounts[kind] = Nomenclature.search([
                    ('kind', '=', kind), ('code', '=', code)])[0].id
        rule, = pool.get('grant.imputation.rule').create([
                {'company': self.company.id} | accounts | values])
        return rule

    def create_scheme(self, **values):
        Scheme = Pool().get('grant.scheme')
        values = {
            'company': self.company.id,
            'service': self.service.id,
            'code': 'FEST',
            'name': "Festivals",
            'domain': 'culture',
            'level': 'standard',
            'kind': 'project',
            'convention_required': True,
            'tariff_required': True,
            'maximum_rate': Decimal('0.5'),
            'orientations': [('add', [self.orientation.id])],
            'pieces': [('create', [
                        {'kind': 'statutes', 'required': True},
                        {'kind': 'project', 'required': True},
                        ])],
            'conditions': [('create', [{
                            'kind': 'eco',
                            'text': "Gobelets réutilisables et tri",
                            'blocks': ['balance'],
                            'evidence': "Bilan des déchets",
                            }, {
                            'kind': 'tariff',
                            'text': "Tarif réduit pour les moins de 26 ans",
                            'blocks': ['balance'],
                            'evidence': "Grille tarifaire",
                            }])],
            'instalments': [('create', [{
                            'kind': 'advance', 'share': Decimal('0.5'),
                            }, {
                            'kind': 'balance', 'share': Decimal('0.5'),
                            }])],
            } | values
        scheme, = Scheme.create([values])
        return scheme

    def create_envelope(
            self, authorised, credit=None, code='933', **values):
        Envelope = Pool().get('grant.envelope')
        envelope, = Envelope.create([{
                    'company': self.company.id,
                    'code': code, 'name': "Culture", 'kind': 'annual',
                    'year': self.year,
                    'movements': [('create', [{
                                    'kind': 'initial',
                                    'date': dt.date(self.year, 1, 1),
                                    'amount': authorised,
                                    'payment_year': self.year,
                                    'payment_credit': (
                                        authorised if credit is None
                                        else credit)}])],
                    } | values])
        return envelope

    def create_session(self, **values):
        Session = Pool().get('grant.session')
        session, = Session.create([{
                    'company': self.company.id,
                    'body': 'permanent', 'kind': 'vote',
                    'date': self.today,
                    } | values])
        return session

    def create_deliberation(
            self, session=None, title="Aides aux festivals"):
        Deliberation = Pool().get('grant.deliberation')
        with self.as_user('sophie'):
            deliberation, = Deliberation.create([{
                        'company': self.company.id,
                        'session': (session or self.session).id,
                        'title': title}])
        return deliberation

    def create_party(self, kind='association', verified=True, **values):
        pool = Pool()
        Party = pool.get('party.party')
        Link = pool.get('bank.account-party.party')
        self._parties += 1
        with self.system():
            party, = Party.create([{
                        'name': f"Association fictive {self._parties}",
                        'partner_kind': kind,
                        'siret': luhn_siret(self._parties),
                        'commune': self.commune.id,
                        'representative_name': "Camille Exemple",
                        'representative_capacity': "Présidente",
                        'republican_commitment_on': (
                            self.today - dt.timedelta(days=100)),
                        'addresses': [('create', [{
                                        'street': "1 rue du Test",
                                        'postal_code': '62000',
                                        'city': "Arras",
                                        'country': self.country.id}])],
                        } | values])
        if verified:
            iban = IBANS[(self._parties - 1) % len(IBANS)]
            with self.as_user('claire'):
                link, = Link.create([{'owner': party.id, 'iban': iban}])
            self.press('nadia', link, 'verify')
        return party

    def create_application(self, party=None, amount=Decimal(10000),
            **values):
        """Create an application as Claire: it asks for the amount, the cost
        is twice as much."""
        pool = Pool()
        Application = pool.get('grant.application')
        Heading = pool.get('grant.budget.heading')
        party = party or self.create_party()
        headings = {h.code: h.id for h in Heading.search([])}
        cost = amount * 2
        with self.as_user('claire'):
            application, = Application.create([{
                        'party': party.id,
                        'scheme': self.scheme.id,
                        'call': self.call.id,
                        'title': "Festival des terrils",
                        'description': "Trois jours de musique.",
                        'received_on': self.today - dt.timedelta(days=10),
                        'commune': self.commune.id,
                        'orientations': [('add', [self.orientation.id])],
                        'start_date': self.today,
                        'end_date': self.today + dt.timedelta(days=90),
                        'total_cost': cost,
                        'eligible_cost': cost,
                        'requested_amount': amount,
                        'envelope': self.envelope.id,
                        'budget_lines': [('create', [
                                    {'heading': headings['60'],
                                        'amount': cost},
                                    {'heading': headings['70'],
                                        'amount': cost - amount},
                                    {'heading': headings['74-DEPT'],
                                        'amount': amount},
                                    ])],
                        } | values])
        return application

    def submit(self, application):
        self.press('claire', application, 'submit')
        application = self.fresh(application)
        with self.as_user('claire'):
            Piece = Pool().get('grant.application.piece')
            Piece.write(
                Piece.browse([p.id for p in application.pieces]),
                {'received_on': self.today})
        return self.fresh(application)

    def review(self, application, amount=None):
        "Submit, admit and propose the amount, the requested one by default."
        application = self.submit(application)
        self.press('claire', application, 'admit')
        self.write(
            'claire', application,
            proposed_amount=amount or application.requested_amount)
        self.press('claire', application, 'review')
        return self.fresh(application)

    def open_convention(self, application):
        self.press('claire', application, 'open_convention')
        return self.fresh(self.fresh(application).convention)

    def add_objective(self, convention, login='claire'):
        Objective = Pool().get('grant.objective')
        with self.as_user(login):
            objective, = Objective.create([{
                        'convention': convention.id,
                        'title': "Accueillir les collégiens",
                        'indicators': [('create', [{
                                        'name': "Collégiens accueillis",
                                        'unit': "élèves",
                                        'baseline': 100, 'target': 300,
                                        }])],
                        }])
        return objective

    def agree(self, convention):
        "Negotiate one objective and agree on the text."
        self.press('claire', convention, 'negotiate')
        objective = self.add_objective(convention)
        self.press('claire', objective, 'agree_partner')
        self.press('claire', objective, 'agree_department')
        self.press('claire', convention, 'agree')
        return self.fresh(convention)

    def schedule(self, application, deliberation=None):
        deliberation = deliberation or self.create_deliberation()
        self.write(
            'claire', application, next_deliberation=deliberation.id)
        self.press('marc', application, 'schedule')
        return self.fresh(deliberation)

    def hold(self, session=None):
        session = session or self.session
        self.press('sophie', session, 'convene')
        self.press('sophie', session, 'hold')

    def vote(self, deliberation):
        self.press('sophie', deliberation, 'vote')
        return self.fresh(deliberation)

    def make_executory(self, deliberation):
        self.write(
            'sophie', deliberation, act_number='2026-CP-001',
            transmitted_on=self.today, received_on=self.today,
            published_on=self.today)
        self.press('sophie', deliberation, 'make_executory')
        return self.fresh(deliberation)

    def sign_and_notify(self, convention):
        if convention.party.partner_kind != 'association':
            self.write(
                'claire', convention, signatory_power="Délibération n° 1",
                signatory_power_date=self.today)
        self.press('claire', convention, 'issue')
        self.press('claire', convention, 'sign_partner')
        self.press('marc', convention, 'sign_department')
        self.press('claire', convention, 'notify')
        return self.fresh(convention)

    def vote_and_sign(self, number):
        "Vote the application of the number; return its active convention."
        application, = Pool().get('grant.application').search([
                ('number', '=', number)])
        deliberation = self.schedule(application)
        self.hold()
        self.vote(deliberation)
        self.make_executory(deliberation)
        return self.sign_and_notify(
            self.fresh(self.fresh(application).convention))

    def number_commitments(self, convention):
        Commitment = Pool().get('grant.commitment')
        with self.as_user('paul'):
            Commitment.write(
                [Commitment(d.commitment.id)
                    for d in self.fresh(convention).decisions
                    if d.commitment and d.commitment.state == 'committed'],
                {'finance_number': 'E-4711'})

    def to_agreed(self, **values):
        "Return an application and its agreed convention."
        application = self.review(self.create_application(**values))
        convention = self.agree(self.open_convention(application))
        return self.fresh(application), convention

    def prepare_letter(self, party, amount, deliberation=None):
        """Return a proposal of a light scheme with its decision letter, to
        go on the agenda of the deliberation or of one of its own."""
        with self.system():
            scheme = self.create_scheme(
                code=f'L{amount}', level='light', convention_required=False,
                tariff_required=False, conditions=None)
        application = self.review(self.create_application(
                party=party, amount=amount, scheme=scheme.id, call=None))
        self.open_convention(application)
        deliberation = deliberation or self.create_deliberation()
        self.write(
            'claire', application, next_deliberation=deliberation.id)
        return self.fresh(application)

    def create_in_kind(
            self, party, value=Decimal(4000), login='claire', **values):
        "Return an aid in kind of the current year that waits to be confirmed."
        InKind = Pool().get('grant.in_kind')
        with self.as_user(login):
            aid, = InKind.create([{
                        'party': party.id,
                        'kind': 'premises',
                        'description': "Salle de répétition",
                        'first_day': dt.date(self.year, 1, 1),
                        'last_day': dt.date(self.year, 12, 31),
                        'value': value,
                        'valuation': "Tarif voté",
                        } | values])
        return InKind(aid.id)

    def confirm_in_kind(self, party, value=Decimal(4000), **values):
        "Return an aid in kind that counts."
        aid = self.create_in_kind(party, value, **values)
        self.press('marc', aid, 'confirm')
        return self.fresh(aid)

    def activate_together(self, applications):
        """Return the active conventions and letters of the applications, all
        voted in one deliberation for what they ask."""
        pool = Pool()
        Application = pool.get('grant.application')
        Convention = pool.get('grant.convention')
        Commitment = pool.get('grant.commitment')
        Objective = pool.get('grant.objective')
        Piece = pool.get('grant.application.piece')
        ids = [a.id for a in applications]

        def press(login, button):
            self.press(login, Application.browse(ids), button)

        press('claire', 'submit')
        with self.as_user('claire'):
            Piece.write(
                Piece.search([('application', 'in', ids)]),
                {'received_on': self.today})
        press('claire', 'admit')
        session = self.create_session()
        deliberation = self.create_deliberation(session)
        with self.as_user('claire'):
            Application.write(*[
                    part for a in Application.browse(ids) for part in ([a], {
                            'proposed_amount': a.requested_amount,
                            'next_deliberation': deliberation.id})])
        press('claire', 'review')
        press('claire', 'open_convention')
        conventions = Convention.search(
            [('applications', 'in', ids)], order=[('id', 'ASC')])
        together = [c.id for c in conventions]
        negotiated = [c.id for c in conventions if c.form == 'convention']

        def press_conventions(login, button, ids=together):
            if ids:
                self.press(login, Convention.browse(ids), button)

        press_conventions('claire', 'negotiate', negotiated)
        with self.as_user('claire'):
            objectives = Objective.create([{
                        'convention': id_, 'title': "Accueillir",
                        'indicators': [('create', [{
                                        'name': "Élèves", 'unit': "élèves",
                                        'baseline': 100, 'target': 300}])],
                        } for id_ in negotiated])
        if objectives:
            for button in ['agree_partner', 'agree_department']:
                self.press('claire', Objective.browse(objectives), button)
        press_conventions('claire', 'agree', negotiated)
        press('marc', 'schedule')
        self.hold(session)
        self.vote(self.fresh(deliberation))
        self.make_executory(self.fresh(deliberation))
        press_conventions('claire', 'issue')
        press_conventions('claire', 'sign_partner', negotiated)
        press_conventions('marc', 'sign_department', negotiated)
        press_conventions('claire', 'notify')
        with self.as_user('paul'):
            Commitment.write(
                [d.commitment for c in Convention.browse(together)
                    for d in c.decisions if d.outcome == 'granted'],
                {'finance_number': 'E-1'})
        return Convention.browse(together)

    def to_single_payments(self, count, amount=Decimal(800)):
        """Return the ids of so many single payments that may be certified:
        decision letters of small grants, each to its partner."""
        with self.system():
            scheme = self.create_scheme(
                code='PETIT', name="Petites aides", level='light',
                convention_required=False, tariff_required=False,
                conditions=None, instalments=[('create', [
                            {'kind': 'single', 'share': Decimal(1)}])])
        conventions = self.activate_together([
                self.create_application(
                    amount=amount, scheme=scheme.id, call=None,
                    title=f"Fête de quartier n° {number}")
                for number in range(1, count + 1)])
        return [i.id for i in Pool().get('grant.instalment').search([
                    ('convention', 'in', [c.id for c in conventions]),
                    ], order=[('id', 'ASC')])]

    def to_active(self, **values):
        "Return the active convention of a new application."
        application, convention = self.to_agreed(**values)
        deliberation = self.schedule(application)
        if self.fresh(self.session).state == 'draft':
            self.hold()
        self.vote(deliberation)
        self.make_executory(deliberation)
        convention = self.sign_and_notify(self.fresh(convention))
        self.number_commitments(convention)
        return self.fresh(convention)

    def use_batches(self):
        "Let payments go into pre-settlement batches from now on."
        pool = Pool()
        with self.system():
            journal, = pool.get('account.payment.journal').create([{
                        'name': "Pré-liquidation",
                        'company': self.company.id,
                        'currency': self.fresh(self.company).currency.id,
                        'process_method': 'pre_settlement'}])
            configuration = pool.get('grant.configuration')(1)
            configuration.payment_journal = journal
            configuration.budget_code = '01'
            configuration.save()
        return journal

    def to_instalments(self, count, amount=Decimal(100)):
        """Return the ids of so many instalments of the amount that may be
        certified: the year of one convention, voted and notified."""
        Instalment = Pool().get('grant.instalment')
        application = self.review(self.create_application(
                amount=amount * count))
        convention = self.open_convention(application)
        with self.system():
            Instalment.delete(list(convention.instalments))
            tranche, = convention.tranches
            for start in range(0, count, 500):
                Instalment.create([{
                            'convention': convention.id,
                            'tranche': tranche.id,
                            'sequence': number,
                            'kind': 'interim',
                            'amount': amount,
                            } for number in range(
                            start, min(start + 500, count))])
        self.agree(self.fresh(convention))
        session = self.create_session()
        deliberation = self.schedule(
            self.fresh(application), self.create_deliberation(session))
        self.hold(session)
        self.vote(deliberation)
        self.make_executory(self.fresh(deliberation))
        convention = self.sign_and_notify(self.fresh(convention))
        self.number_commitments(convention)
        return [i.id for i in Instalment.search([
                    ('convention', '=', convention.id),
                    ], order=[('id', 'ASC')])]

    def advance(self, convention):
        return self.fresh(convention).instalments[0]

    def to_paid(self, instalment):
        self.press('claire', instalment, 'certify')
        self.press('paul', instalment, 'approve')
        self.press('nadia', instalment, 'process')
        self.press('nadia', instalment, 'succeed')
        return self.fresh(instalment)

    def report(self, convention, year=None):
        "Return the report expected for the year, the first by default."
        reports = [
            r for r in self.fresh(convention).financial_reports
            if r.kind != 'statement' and year in {None, r.year}]
        return min(reports, key=lambda r: r.year)

    def fill_report(self, report, realised, other_income=Decimal(0)):
        "Enter as Claire the figures of the report and what goes with them."
        pool = Pool()
        Line = pool.get('grant.financial_report.line')
        party = self.fresh(report).party
        self.write(
            'claire', report, activity="Trois jours de musique.",
            beneficiary_count=300, accounts=b'%PDF-1.4',
            auditor_report=b'%PDF-1.4',
            certified_name=party.representative_name or party.name,
            certified_capacity="Présidente", certified_on=self.today)
        lines = self.fresh(report).lines
        if not lines:
            self.write(
                'claire', report, eligible_realised=realised,
                other_income_realised=other_income)
            return
        amounts = {
            'expense': realised, 'department': realised - other_income,
            'income': other_income}
        with self.as_user('claire'):
            for line in Line.browse([li.id for li in lines]):
                side = line.side
                if line.heading.code == '74-DEPT':
                    side = 'department'
                line.realised = amounts.pop(side, Decimal(0))
                line.comment = "Expliqué."
                line.save()
        assert not any(amounts.values()), amounts

    def accept_report(self, report, realised, other_income=Decimal(0)):
        """Record the report as Claire with the eligible realised cost and
        the other resources (euros), and accept it."""
        self.fill_report(report, realised, other_income)
        self.press('claire', report, 'submit')
        self.press('claire', report, 'accept')
        return self.fresh(report)

    def settle(self, convention, year=None):
        """Accept the report of the year with the cost of the budget, settle
        the balance and return the liquidation."""
        pool = Pool()
        report = self.report(convention, year)
        self.accept_report(report, report.eligible_forecast)
        instalment = next(
            i for i in self.fresh(report).tranche.instalments
            if i.kind == 'balance')
        self.press('claire', instalment, 'liquidate')
        liquidation, = pool.get('grant.liquidation').search([
                ('tranche', '=', instalment.tranche.id)])
        self.press('claire', liquidation, 'establish')
        return self.fresh(liquidation)

    def hear_termination(self, convention, reason):
        """Return the termination of the convention, ready to be decided by
        Marc: the partner was heard and agrees to a shorter notice."""
        Procedure = Pool().get('grant.procedure')
        with self.as_user('claire'):
            procedure, = Procedure.create([{
                        'convention': convention.id,
                        'kind': 'termination',
                        'facts': reason,
                        }])
        self.press('claire', procedure, 'notify')
        self.write(
            'claire', procedure, observations="D’accord.",
            observations_on=self.today, notice_agreed_on=self.today)
        self.press('claire', procedure, 'hear')
        self.write(
            'marc', procedure, outcome='upheld', decision=reason)
        return self.fresh(procedure)
