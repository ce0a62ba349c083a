# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What people type wrong: a clear message in French, and nothing changed."
import datetime as dt
import re
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.model import ModelSQL, fields
from trytond.modules.currency.fields import Monetary
from trytond.modules.pacte_grants.exceptions import (
    AmountError, BudgetError, CompletenessError, IdentifierError,
    PeriodError, TransitionError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import (
    Dossier, RefusalCase, attempt, forget, message_pattern)
from .road import luhn_siret

# Amounts that people enter, by the name of the record of the test.
AMOUNTS = {
    'application': [
        'total_cost', 'eligible_cost', 'requested_amount',
        'proposed_amount', 'advance_amount'],
    'budget_line': ['amount'],
    'tranche': ['amount'],
    'instalment': ['amount'],
    'decision': ['amount'],
    'scheme': ['maximum_amount', 'minimum_cost'],
    'scheme_condition': ['minimum_amount', 'maximum_amount'],
    'scheme_instalment': ['amount'],
    'movement': ['amount', 'payment_credit'],
    'eco_bracket': ['minimum_amount'],
    'amendment_tranche': ['amount'],
    'amendment_instalment': ['amount'],
    'procedure_line': ['to_repay'],
    'report': ['eligible_realised', 'other_income_realised', 'public_total'],
    'report_line': ['realised', 'ineligible', 'key_base'],
    'report_invoice': ['untaxed_amount', 'amount', 'eligible_amount'],
    'imputation': ['amount'],
    'in_kind': ['unit_value', 'value'],
    'accounts': ['income'],
    }
# A movement may take away what another gave.
SIGNED = {'movement'}


class AmountTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.submit(road.create_application())
        road.press('claire', application, 'admit')
        proposed = road.review(road.create_application())
        convention = road.open_convention(proposed)
        agreed, _ = road.to_agreed()
        deliberation = road.schedule(agreed)
        amendment = cls.open_amendment(road)
        with road.as_user('claire'):
            procedure, = Pool().get('grant.procedure').create([{
                        'convention': amendment.convention.id,
                        'kind': 'termination', 'facts': "Projet arrêté."}])
        road.press('claire', procedure, 'compute')
        with road.system():
            bracket, = Pool().get('grant.scheme.eco.bracket').create([{
                        'scheme': road.scheme.id, 'actions': 3}])
        report = road.report(amendment.convention)
        expense = next(li for li in report.lines if li.side == 'expense')
        with road.as_user('claire'):
            invoice, = Pool().get('grant.financial_report.invoice').create([{
                        'report': report.id, 'supplier': "Imprimerie",
                        'number': 'F1', 'date': road.today,
                        'amount': 120, 'eligible_amount': 120}])
        with road.as_user('claire'):
            accounts, = Pool().get('grant.partner.piece').create([{
                        'party': amendment.convention.party.id,
                        'kind': 'accounts', 'exercise': road.year - 1,
                        'income': 50000}])
        rule = road.create_imputation_rule()
        with road.system():
            imputation, = Pool().get('grant.imputation').create([{
                        'instalment': convention.instalments[0].id,
                        'chapter': rule.chapter.id,
                        'nature': rule.nature.id,
                        'function': rule.function.id,
                        'amount': 10}])
        cls.dossier = Dossier(
            in_kind=road.create_in_kind(application.party), accounts=accounts,
            report=report, report_line=expense, report_invoice=invoice,
            imputation=imputation,
            eco_bracket=bracket,
            amendment_tranche=amendment.tranches[0],
            amendment_instalment=amendment.instalments[0],
            procedure_line=road.fresh(procedure).lines[0],
            application=application,
            budget_line=application.budget_lines[0],
            tranche=convention.tranches[0],
            instalment=convention.instalments[0],
            decision=deliberation.decisions[0],
            scheme=road.scheme,
            scheme_condition=road.scheme.conditions[0],
            scheme_instalment=road.scheme.instalments[0],
            movement=road.envelope.movements[0],
            )

    @staticmethod
    def open_amendment(road):
        "Return an amendment of the amount and of the schedule."
        with road.system():
            session = road.create_session()
        application, convention = road.to_agreed()
        deliberation = road.create_deliberation(session)
        road.schedule(application, deliberation)
        road.hold(session)
        road.make_executory(road.vote(road.fresh(deliberation)))
        convention = road.sign_and_notify(road.fresh(convention))
        road.press('claire', convention, 'open_amendment')
        amendment, = road.fresh(convention).amendments
        year = convention.year
        road.write(
            'claire', amendment,
            tranches=[('create', [{'year': year, 'amount': 9000}])],
            instalments=[('create', [{
                            'year': year, 'kind': 'balance',
                            'amount': 9000}])])
        return road.fresh(amendment)

    def test_all_amounts(self):
        "Every amount that is entered is in the table"
        entered = set()
        for name, Model in Pool().iterobject():
            if (not name.startswith('grant.')
                    or not issubclass(Model, ModelSQL)
                    # What a query computes is not entered.
                    or callable(Model.table_query)):
                continue
            for fname, field in Model._fields.items():
                if (isinstance(field, Monetary)
                        and not isinstance(field, fields.Function)
                        and not field.readonly):
                    entered.add((name, fname))
        self.assertEqual(entered, {
                (getattr(self.dossier, name).__name__, fname)
                for name, names in AMOUNTS.items() for fname in names})

    def attempts(self):
        for name, names in AMOUNTS.items():
            for fname in names:
                yield name, getattr(self.dossier, name), fname

    def write(self, record, field, value):
        with self.road.system():
            record.__class__.write([record], {field: value})

    def test_negative(self):
        for name, record, field in self.attempts():
            if name in SIGNED:
                continue
            with self.subTest(record=name, field=field):
                before = getattr(record, field)
                with self.refused(
                        (AmountError, BudgetError), None, record.rec_name):
                    self.write(record, field, Decimal('-0.01'))
                self.assertEqual(
                    getattr(getattr(self.dossier, name), field), before)

    def test_three_decimals(self):
        for name, record, field in self.attempts():
            with self.subTest(record=name, field=field):
                before = getattr(record, field)
                with self.refused(UserError, None, record.rec_name):
                    self.write(record, field, Decimal('10.005'))
                self.assertEqual(
                    getattr(getattr(self.dossier, name), field), before)

    def test_not_a_number(self):
        for name, record, field in self.attempts():
            for value in ['NaN', 'Infinity', '-Infinity']:
                with self.subTest(record=name, field=field, value=value):
                    # No client sends it: refused, if not politely.
                    before = getattr(record, field)
                    with attempt(), self.assertRaises(
                            (UserError, TypeError, ArithmeticError)):
                        self.write(record, field, Decimal(value))
                    self.assertEqual(
                        getattr(getattr(self.dossier, name), field), before)

    def test_rates(self):
        for record, field in [
                ('scheme', 'maximum_rate'),
                ('scheme_condition', 'penalty_rate')]:
            record = getattr(self.dossier, record)
            with self.subTest(field=field):
                with self.refused(AmountError, None, record.rec_name):
                    self.write(record, field, Decimal('-0.1'))
        with self.refused(UserError, None, self.dossier.scheme.rec_name):
            self.write(
                self.dossier.scheme, 'maximum_rate', Decimal('50'))

    def test_years(self):
        "A year of two digits, or of five"
        road = self.road
        for year in [0, 26, 20266, -1]:
            with self.subTest(year=year):
                with self.refused(UserError):
                    road.create_application(year=year)
                with self.refused(UserError), road.system():
                    road.envelope.__class__.write(
                        [road.envelope], {'year': year})
                with self.refused(UserError), road.system():
                    road.call.__class__.write([road.call], {'year': year})


class ApplicationTestCase(RefusalCase):

    def draft(self, **values):
        return self.road.submit(self.road.create_application(**values))

    def not_admissible(self, application, message, *names):
        "Check that the application is recorded but not admissible."
        with self.refused(
                CompletenessError, 'application_not_admissible',
                application.rec_name, *names) as raised:
            self.road.press('claire', application, 'admit')
        with Transaction().set_context(language='fr'):
            self.assertRegex(
                raised.exception.message, message_pattern(message))
        self.assertState(application, 'submitted')
        self.assertIsNone(application.__class__(application.id).admitted_by)

    def test_siret(self):
        "A wrong key, a number of a spreadsheet, one that somebody has"
        road = self.road
        party = road.create_party(verified=False)
        siret = party.siret
        wrong = siret[:-1] + str((int(siret[-1]) + 1) % 10)
        for number in [wrong, '7,99E+13', '7.99E+13', siret[:-1], 'X' * 14]:
            with self.subTest(number=number):
                with self.refused(IdentifierError) as raised:
                    road.write('claire', party, siret=number)
                self.assertIn(number, raised.exception.message)
                self.assertEqual(road.fresh(party).siret, siret)
        with self.refused(IdentifierError):
            road.create_party(verified=False, siret=siret)
        with self.refused(IdentifierError, None, '7,99E+13'):
            road.create_party(verified=False, siret='7,99E+13')

    def test_no_siret(self):
        party = self.road.create_party(siret=None)
        self.not_admissible(self.draft(party=party), 'admissible_siret')

    def test_end_before_start(self):
        road = self.road
        application = road.create_application()
        yesterday = application.start_date - dt.timedelta(days=1)
        with self.refused(
                PeriodError, 'period', application.rec_name,
                yesterday.strftime('%d/%m/%Y')):
            road.write('claire', application, end_date=yesterday)
        self.assertGreater(
            road.fresh(application).end_date, application.start_date)
        with self.refused(PeriodError, 'period'):
            road.create_application(end_date=yesterday)
        with self.refused(PeriodError, 'period', road.call.rec_name), \
                road.as_user('marc'):
            road.call.__class__.write([road.fresh(road.call)], {
                    'closes_on': road.call.opens_on
                    - dt.timedelta(days=1)})

    def test_convention_end_before_start(self):
        road = self.road
        convention = road.open_convention(
            road.review(road.create_application()))
        with self.refused(PeriodError, 'period', convention.rec_name):
            road.write(
                'claire', convention,
                end_date=convention.start_date - dt.timedelta(days=1))

    def test_outside_the_call(self):
        "Recorded as it arrived, but not admissible, before and after"
        call = self.road.call
        for received_on, message in [
                (call.opens_on - dt.timedelta(days=1),
                    'admissible_call_not_open'),
                (call.closes_on + dt.timedelta(days=1),
                    'admissible_call_closed')]:
            with self.subTest(received_on=received_on):
                application = self.draft(received_on=received_on)
                self.assertEqual(application.received_on, received_on)
                self.not_admissible(
                    application, message,
                    received_on.strftime('%d/%m/%Y'))
        for received_on in [call.opens_on, call.closes_on]:
            application = self.draft(received_on=received_on)
            self.road.press('claire', application, 'admit')
            self.assertState(application, 'admissible')

    def test_unbalanced_budget(self):
        "Recorded, named with its gap, and not admissible"
        road = self.road
        application = self.draft()
        line = application.budget_lines[0]
        road.write('claire', line, amount=line.amount + Decimal('0.01'))
        forget()
        application = road.fresh(application)
        self.assertEqual(application.budget_gap, Decimal('0.01'))
        self.not_admissible(application, 'budget_unbalanced', '0,01')

    def test_budget_in_kind(self):
        "What is given in kind balances apart"
        road = self.road
        Heading = Pool().get('grant.budget.heading')
        kinds = {
            h.side: h.id for h in Heading.search([('in_kind', '=', True)])}
        application = self.draft()
        for side in ['expense', 'income']:
            with road.as_user('claire'):
                application.budget_lines[0].__class__.create([{
                            'application': application.id,
                            'heading': kinds[side],
                            'amount': Decimal(500)}])
            forget()
            application = road.fresh(application)
            if side == 'expense':
                self.not_admissible(
                    application, 'budget_in_kind_unbalanced')
        self.assertEqual(application.budget_gap, Decimal(0))
        road.press('claire', application, 'admit')
        self.assertState(application, 'admissible')

    def test_budget_and_total_cost(self):
        application = self.draft()
        self.road.write(
            'claire', application, total_cost=Decimal('19999.99'))
        self.not_admissible(
            self.road.fresh(application), 'budget_total_cost')

    def test_no_budget(self):
        self.not_admissible(self.draft(budget_lines=[]), 'budget_missing')

    def test_missing_pieces(self):
        road = self.road
        application = self.draft()
        first, second = application.pieces
        with road.as_user('claire'):
            first.__class__.write(
                [first, second], {'received_on': None})
        application = road.fresh(application)
        with Transaction().set_context(language='fr'):
            names = [p.rec_name for p in application.pieces]
        self.not_admissible(application, 'admissible_pieces', *names)
        road.write('claire', first, received_on=road.today)
        road.write(
            'claire', second, received_on=road.today,
            refused_reason="Non signé")
        self.not_admissible(
            road.fresh(application), 'admissible_pieces', names[1])
        with self.refused(
                CompletenessError, 'application_pieces_request',
                application.rec_name):
            road.press('claire', application, 'ask_pieces')
        self.assertState(application, 'submitted')

    def test_everything_at_once(self):
        "All that is missing is said in one message"
        road = self.road
        party = road.create_party(
            siret=None, republican_commitment_on=None)
        application = self.draft(
            party=party, start_date=None, end_date=None, total_cost=None,
            orientations=[], budget_lines=[],
            received_on=road.call.opens_on - dt.timedelta(days=9))
        for message in [
                'admissible_siret', 'admissible_republican_commitment',
                'admissible_period', 'admissible_cost',
                'admissible_orientation', 'admissible_call_not_open',
                'budget_missing']:
            self.not_admissible(application, message)

    def test_request_above_cost(self):
        application = self.draft()
        self.road.write(
            'claire', application,
            requested_amount=application.total_cost + 1)
        self.not_admissible(
            self.road.fresh(application), 'admissible_request_above_cost')

    def test_other_beneficiary(self):
        road = self.road
        with road.as_user('marc'):
            road.scheme.__class__.write(
                [road.fresh(road.scheme)], {'partner_kinds': ['commune']})
        self.not_admissible(
            self.draft(), 'admissible_partner_kind', road.scheme.rec_name)

    def test_proposal(self):
        road = self.road
        application = self.draft()
        road.press('claire', application, 'admit')

        def refused(exception, message, **values):
            with self.refused(exception, message, application.rec_name):
                if values:
                    road.write('claire', application, **values)
                road.press('claire', application, 'review')
            self.assertState(application, 'admissible')
            self.assertIsNone(road.fresh(application).reviewed_by)
        refused(CompletenessError, 'proposal_missing')
        refused(
            CompletenessError, 'proposal_envelope',
            proposed_amount=Decimal(1), envelope=None)
        refused(
            AmountError, 'proposal_above_cost',
            proposed_amount=Decimal('20000.01'), proposal_motive="Urgence")
        refused(
            CompletenessError, 'proposal_motive',
            proposed_amount=Decimal('10000.01'))
        with road.as_user('marc'):
            road.scheme.__class__.write(
                [road.fresh(road.scheme)],
                {'maximum_rate': Decimal('0.25')})
        forget()
        self.assertEqual(
            road.fresh(application).scale_amount, Decimal(5000))
        refused(
            CompletenessError, 'proposal_motive',
            proposed_amount=Decimal('5000.01'))
        road.write(
            'claire', application, proposed_amount=Decimal('5000.01'),
            proposal_motive="Territoire fragile")
        road.press('claire', application, 'review')
        self.assertState(application, 'reviewed')

    def test_reasons(self):
        "What closes a dossier against its applicant is motivated"
        road = self.road
        application = self.draft()
        for button, message in [
                ('declare_ineligible', 'application_ineligible_reason'),
                ('withdraw', 'application_withdrawal_reason')]:
            with self.subTest(button=button):
                with self.refused(
                        CompletenessError, message, application.rec_name):
                    road.press('claire', application, button)
                self.assertState(application, 'submitted')
        road.write('claire', application, ineligible_reason="Hors objet")
        road.press('claire', application, 'declare_ineligible')
        self.assertState(application, 'ineligible')
        road.press('claire', application, 'reopen')
        self.assertState(application, 'submitted')
        event, = Pool().get('grant.event').search([
                ('record', '=', str(application)), ('name', '=', 'state')])
        self.assertEqual(event.user, road.users['claire'])

    def test_scheduling(self):
        "Nothing goes to a session without its text and its report"
        road = self.road
        application = road.review(road.create_application())

        def refused(message, *names):
            with self.refused(
                    CompletenessError, message, application.rec_name,
                    *names):
                road.press('marc', application, 'schedule')
            self.assertState(application, 'reviewed')
            self.assertFalse(road.fresh(application).decisions)
        deliberation = road.create_deliberation()
        road.write(
            'claire', application, next_deliberation=deliberation.id)
        refused('schedule_no_convention')
        convention = road.open_convention(application)
        refused('schedule_not_agreed', convention.rec_name)
        with self.refused(
                TransitionError, None, application.rec_name):
            road.press('claire', application, 'open_convention')
        road.agree(convention)
        road.hold()
        refused('schedule_deliberation')

    def test_vote_before_the_session(self):
        road = self.road
        application, _ = road.to_agreed()
        deliberation = road.schedule(application)
        with self.refused(
                TransitionError, 'vote_session', deliberation.rec_name):
            road.press('sophie', deliberation, 'vote')
        self.assertState(deliberation, 'draft')

    def test_session_in_the_future(self):
        road = self.road
        with road.system():
            session = road.create_session(
                date=road.today + dt.timedelta(days=1))
        road.press('sophie', session, 'convene')
        with self.refused(
                PeriodError, 'session_future', session.rec_name):
            road.press('sophie', session, 'hold')
        self.assertState(session, 'convened')

    def test_act(self):
        "An act is executory once received and published, not before"
        road = self.road
        application, _ = road.to_agreed()
        deliberation = road.schedule(application)
        road.hold()
        road.vote(deliberation)
        with self.refused(
                CompletenessError, 'act_incomplete', deliberation.rec_name):
            road.press('sophie', deliberation, 'make_executory')
        with self.refused(
                PeriodError, 'act_received_before_sent',
                deliberation.rec_name):
            road.write(
                'sophie', deliberation, transmitted_on=road.today,
                received_on=road.today - dt.timedelta(days=1))
        with self.refused(
                PeriodError, 'act_future', deliberation.rec_name):
            road.write(
                'sophie', deliberation, act_number='1',
                transmitted_on=road.today, received_on=road.today,
                published_on=road.today + dt.timedelta(days=1))
            road.press('sophie', deliberation, 'make_executory')
        self.assertState(deliberation, 'voted')

    def test_empty_agenda(self):
        road = self.road
        deliberation = road.create_deliberation()
        road.hold()
        with self.refused(
                CompletenessError, 'vote_nothing', deliberation.rec_name):
            road.press('sophie', deliberation, 'vote')

    def test_agreement(self):
        "What is missing from a text is said at once"
        road = self.road
        convention = road.open_convention(
            road.review(road.create_application()))
        road.press('claire', convention, 'negotiate')
        with road.as_user('claire'):
            condition = convention.conditions[0]
            condition.__class__.delete(
                condition.__class__.browse(
                    [c.id for c in convention.conditions]))
        road.write('claire', convention, purpose=None, signatory_name=None)
        with self.refused(
                CompletenessError, 'convention_not_agreed',
                convention.rec_name) as raised:
            road.press('claire', convention, 'agree')
        with Transaction().set_context(language='fr'):
            for message in [
                    'agreement_purpose', 'agreement_signatory',
                    'agreement_objective', 'agreement_eco',
                    'agreement_tariff']:
                self.assertRegex(
                    raised.exception.message, message_pattern(message))
        self.assertState(convention, 'negotiation')

    def test_objective_without_indicator(self):
        road = self.road
        convention = road.open_convention(
            road.review(road.create_application()))
        with road.as_user('claire'):
            objective, = Pool().get('grant.objective').create([{
                        'convention': convention.id, 'title': "Sans mesure"}])
        for button in ['agree_partner', 'agree_department']:
            with self.refused(
                    CompletenessError, 'objective_no_indicator',
                    "Sans mesure", convention.rec_name):
                road.press('claire', objective, button)

    def test_signature_dates(self):
        road = self.road
        application, convention = road.to_agreed()
        deliberation = road.schedule(application)
        road.hold()
        road.vote(deliberation)
        road.make_executory(deliberation)
        road.press('claire', convention, 'issue')
        for days in [-1, 1]:
            date = road.today + dt.timedelta(days=days)
            with self.refused(
                    PeriodError, 'convention_signature_date',
                    convention.rec_name):
                road.write(
                    'claire', convention, partner_signature_date=date)
                road.press('claire', convention, 'sign_partner')
            self.assertState(convention, 'issued')
        with self.refused(
                CompletenessError, 'convention_ending_reason',
                convention.rec_name):
            road.press('claire', convention, 'recall')
        self.assertState(convention, 'issued')


class ImportTestCase(RefusalCase):
    "A file of dossiers"

    def load(self, *rows):
        Application = Pool().get('grant.application')
        with self.road.as_user('claire'):
            return Application.import_data([
                    'party', 'scheme', 'title', 'requested_amount',
                    'total_cost', 'received_on', 'state'], [
                    list(row) for row in rows])

    def row(self, title, amount=Decimal(100), state='draft'):
        road = self.road
        return (
            self.party.rec_name, road.scheme.code, title,
            amount, Decimal(200), road.today, state)

    @classmethod
    def prepare(cls):
        cls.party = cls.road.create_party(verified=False)

    def count(self):
        return Pool().get('grant.application').search(
            [('party', '=', self.party.id)], count=True)

    def test_good(self):
        self.assertEqual(self.load(self.row("Un"), self.row("Deux")), 2)
        self.assertEqual(self.count(), 2)

    def test_refused_whole(self):
        "One bad line, and none of the file is taken"
        for bad in [
                self.row("Deux", amount=Decimal(-1)),
                self.row("Deux", amount=Decimal('1.005')),
                self.row("Deux", state='granted'),
                self.row("Deux", state='reviewed'),
                ]:
            with self.subTest(row=bad):
                with self.refused(UserError):
                    self.load(self.row("Un"), bad)
                self.assertEqual(self.count(), 0)

    def test_parties(self):
        "A file whose numbers went through a spreadsheet"
        Party = Pool().get('party.party')
        siret = luhn_siret(7777)
        with self.refused(IdentifierError, None, '7,99E+13'), \
                self.road.as_user('claire'):
            Party.import_data(['name', 'partner_kind', 'siret'], [
                    ["Bonne", 'association', siret],
                    ["Mauvaise", 'association', '7,99E+13']])
        self.assertFalse(Party.search([('name', '=', "Bonne")]))


class LanguageTestCase(RefusalCase):

    def test_messages(self):
        "Every message of the module has a French text with the same names"
        pool = Pool()
        Message = pool.get('ir.message')
        ModelData = pool.get('ir.model.data')
        ids = [d.db_id for d in ModelData.search([
                    ('module', '=', 'pacte_grants'),
                    ('model', '=', 'ir.message')])]
        self.assertTrue(ids)
        texts = {}
        for language in ['en', 'fr']:
            with Transaction().set_context(language=language):
                texts[language] = {
                    m.id: m.text for m in Message.browse(ids)}
        placeholders = re.compile(r'%\(\w+\)s')
        for id_ in ids:
            english, french = texts['en'][id_], texts['fr'][id_]
            with self.subTest(message=english):
                self.assertNotEqual(english, french)
                self.assertLessEqual(
                    set(placeholders.findall(french)),
                    set(placeholders.findall(english)))

    def test_states(self):
        "Every state and every button has a French name"
        pool = Pool()
        Button = pool.get('ir.model.button')
        for name, Model in pool.iterobject():
            if not name.startswith('grant.') or not issubclass(
                    Model, ModelSQL):
                continue
            # The states of another model are named there.
            if 'state' in Model._fields and not isinstance(
                    Model.state.selection, str):
                labels = {}
                for language in ['en', 'fr']:
                    with Transaction().set_context(language=language):
                        labels[language] = dict(Model.fields_get(
                                ['state'])['state']['selection'])
                for state, label in labels['fr'].items():
                    with self.subTest(model=name, state=state):
                        self.assertTrue(label)
                        self.assertNotEqual(label, labels['en'][state])
            for button in getattr(Model, '_buttons', {}):
                with self.subTest(model=name, button=button):
                    with Transaction().set_context(language='fr'):
                        found, = Button.search([
                                ('model', '=', name),
                                ('name', '=', button)])
                    self.assertTrue(found.string)
