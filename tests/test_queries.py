# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"One record or fifty: the same number of SELECTs."
import datetime as dt
from decimal import Decimal

from lxml import etree
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import RefusalCase, attempt, forget
from .tools import count_queries

MANY = 50
# A list may take one more query when it begins to need slices.
SLACK = 2


class QueriesTestCase(RefusalCase):
    "Fifty dossiers that move together"

    @classmethod
    def prepare(cls):
        road = cls.road
        pool = Pool()
        Application = pool.get('grant.application')
        Convention = pool.get('grant.convention')
        with road.system():
            envelope = road.create_envelope(Decimal(10 ** 6), code='939')
        parties = [road.create_party() for _ in range(5)]
        cls.applications = [
            road.create_application(
                party=parties[i % 5], envelope=envelope.id,
                amount=Decimal(1000)).id
            for i in range(MANY)]

        def press(login, button):
            road.press(login, Application.browse(cls.applications), button)

        press('claire', 'submit')
        with road.as_user('claire'):
            Piece = pool.get('grant.application.piece')
            Piece.write(
                Piece.search([('application', 'in', cls.applications)]),
                {'received_on': road.today})
        press('claire', 'admit')
        deliberation = road.create_deliberation()
        with road.as_user('claire'):
            Application.write(Application.browse(cls.applications), {
                    'proposed_amount': Decimal(1000),
                    'next_deliberation': deliberation.id})
        press('claire', 'review')
        press('claire', 'open_convention')
        forget()
        cls.conventions = [
            a.convention.id for a in Application.browse(cls.applications)]

        def press_conventions(login, button):
            road.press(login, Convention.browse(cls.conventions), button)

        press_conventions('claire', 'negotiate')
        Objective = pool.get('grant.objective')
        with road.as_user('claire'):
            Objective.create([{
                        'convention': id_, 'title': "Accueillir",
                        'indicators': [('create', [{
                                        'name': "Élèves", 'unit': "élèves",
                                        'baseline': 100, 'target': 300}])],
                        } for id_ in cls.conventions])
        for button in ['agree_partner', 'agree_department']:
            road.press('claire', Objective.search(
                    [('convention', 'in', cls.conventions)]), button)
        press_conventions('claire', 'agree')
        press('marc', 'schedule')
        road.hold()
        road.vote(deliberation)
        road.make_executory(deliberation)
        press_conventions('claire', 'issue')
        press_conventions('claire', 'sign_partner')
        press_conventions('marc', 'sign_department')
        press_conventions('claire', 'notify')
        Commitment = pool.get('grant.commitment')
        with road.as_user('paul'):
            Commitment.write(
                Commitment.search([('state', '=', 'committed')]),
                {'finance_number': 'E-1'})
        Instalment = pool.get('grant.instalment')
        cls.advances = [i.id for i in Instalment.search([
                    ('convention', 'in', cls.conventions),
                    ('kind', '=', 'advance')])]
        assert len(cls.advances) == MANY

    def count(self, function, ids):
        """The SELECTs of the function on the ids, with warm caches.

        The fewest of two calls: trytond drops its caches when it wants.
        """
        with attempt():
            function(ids)
        return min(self.count_once(function, ids) for _ in range(2))

    def count_once(self, function, ids):
        forget()
        with attempt(), count_queries() as queries:
            function(ids)
        return queries.selects

    def assertConstant(self, function, ids, slack=SLACK):
        one, ten, many = (
            self.count(function, ids[:n]) for n in [1, 10, MANY])
        self.assertLessEqual(ten, one + slack, (one, ten, many))
        self.assertLessEqual(many, one + slack, (one, ten, many))

    def columns(self, model, view):
        "What the client reads to show the list."
        pool = Pool()
        Model = pool.get(model)
        ModelData = pool.get('ir.model.data')
        with self.road.as_user('claire'):
            arch = Model.fields_view_get(
                ModelData.get_id('pacte_grants', view))
        names = {'id', 'rec_name', '_timestamp'}
        for element in etree.fromstring(arch['arch']).iter('field'):
            name = element.get('name')
            names.add(name)
            if Model._fields[name]._type in {'many2one', 'reference'}:
                names.add(f'{name}.rec_name')
        return sorted(names)

    def assertListConstant(self, model, view, ids, login='claire'):
        Model = Pool().get(model)
        names = self.columns(model, view)

        def read(ids):
            with self.road.as_user(login):
                found = Model.search([('id', 'in', ids)])
                Model.read([r.id for r in found], names)
        self.assertConstant(read, ids)

    def test_model_names(self):
        "Another user, another window: the names of the models are known"
        IrModel = Pool().get('ir.model')

        def names(login, **context):
            with self.road.as_user(login), Transaction().set_context(
                    language='fr', **context), count_queries() as queries:
                return IrModel.get_names(), queries.selects

        known, _ = names('claire')
        self.assertEqual(
            names('marc', active_model='grant.application', active_id=1),
            (known, 0))
        with self.road.as_user('marc'), Transaction().set_context(
                language='en'):
            self.assertEqual(
                IrModel.get_name('grant.instalment'), "Grant Instalment")
        self.assertEqual(known['grant.instalment'], "Versement")

    def test_applications(self):
        self.assertListConstant(
            'grant.application', 'application_view_list', self.applications)

    def test_conventions(self):
        self.assertListConstant(
            'grant.convention', 'convention_view_list', self.conventions)

    def test_instalments(self):
        "With what is missing from each"
        names = self.columns('grant.instalment', 'instalment_view_list')
        self.assertIn('blocker_count', names)
        self.assertListConstant(
            'grant.instalment', 'instalment_view_list', self.advances)

    def test_desk(self):
        "The right, the evidence and the money in front of finance"
        Instalment = Pool().get('grant.instalment')
        names = [
            'act_number', 'schedule', 'sealed_documents', 'evidence_count',
            'convention_paid', 'commitment_amount', 'commitment_left',
            'credit_left', 'account_number', 'account_holder', 'holds',
            'held_days', 'suspended', 'reports', 'calculation_lines',
            'account_verified', 'limited_on', 'status']

        def read(ids):
            with self.road.as_user('paul'):
                Instalment.read(ids, names)
        self.assertConstant(read, self.advances)
        self.press('claire', 'certify')(self.advances)
        self.assertConstant(read, self.advances)

    def test_in_kind(self):
        "Fifty aids in kind: entered, confirmed, listed, counted"
        pool = Pool()
        InKind = pool.get('grant.in_kind')
        Convention = pool.get('grant.convention')
        parties = [self.road.create_party(verified=False) for _ in range(MANY)]
        aids = [self.road.create_in_kind(p).id for p in parties]
        self.assertListConstant('grant.in_kind', 'in_kind_view_list', aids)

        def confirm(ids):
            with self.road.as_user('marc'):
                InKind.confirm(InKind.browse(ids))
        self.assertConstant(confirm, aids)

        def create(ids):
            vlist = [{
                    'party': p, 'kind': 'staff', 'description': "Technicien",
                    'first_day': self.road.today,
                    'last_day': dt.date(self.road.year + 1, 3, 31),
                    'quantity': 3, 'unit_value': Decimal('33.33'),
                    'valuation': "Coût complet"} for p in ids]
            with self.road.as_user('claire'):
                InKind.create(vlist)
        self.assertConstant(create, [p.id for p in parties])

        def read(ids):
            with self.road.as_user('claire'):
                pool.get('party.party').read(
                    ids, ['granted_this_year', 'in_kind_this_year'])
        self.assertConstant(read, [p.id for p in parties], slack=0)

        def decide(ids):
            Application = pool.get('grant.application')
            Convention.decide_forms(Application.browse(ids))
        self.assertConstant(decide, self.applications)

    def test_holds(self):
        "Fifty holds, what they block and who is concerned"
        pool = Pool()
        Convention = pool.get('grant.convention')
        Hold = pool.get('grant.hold')
        Instalment = pool.get('grant.instalment')
        with self.road.as_user('marc'):
            holds = [h.id for h in Hold.place(
                    Convention.browse(self.conventions), 'audit')]
        self.assertListConstant('grant.hold', 'hold_view_list', holds)
        dues = [d.id for d in pool.get('grant.due').search([
                    ('convention', 'in', self.conventions),
                    ('kind', '=', 'condition')])]
        self.assertListConstant('grant.due', 'due_view_list', dues)
        self.assertListConstant(
            'grant.instalment', 'instalment_view_list', self.advances)
        self.assertListConstant(
            'grant.convention', 'convention_view_list', self.conventions)

        def read_conventions(ids):
            with self.road.as_user('claire'):
                Convention.read(ids, ['can_pay', 'holds', 'suspended'])
        self.assertConstant(read_conventions, self.conventions)

        def read(ids):
            with self.road.as_user('claire'):
                for row in Instalment.read(
                        ids, ['blocker_text', 'days_left', 'holds']):
                    assert row['holds']
        self.assertConstant(read, self.advances)

        def lift(ids):
            with self.road.as_user('marc'):
                Hold.write(Hold.browse(ids), {'lift_reason': "Fait"})
                Hold.lift(Hold.browse(ids))
        self.assertConstant(lift, holds)

    def test_blocked_instalments(self):
        Instalment = Pool().get('grant.instalment')
        balances = [i.id for i in Instalment.search([
                    ('convention', 'in', self.conventions),
                    ('kind', '=', 'balance')])]

        def read(ids):
            with self.road.as_user('claire'):
                for instalment in Instalment.read(
                        ids, ['blocker_text', 'ready', 'whose_turn']):
                    assert instalment['blocker_text']
        self.assertConstant(read, balances)

    def test_decisions(self):
        Decision = Pool().get('grant.decision')
        decisions = [d.id for d in Decision.search(
                [('application', 'in', self.applications)])]
        self.assertListConstant(
            'grant.decision', 'decision_view_list', decisions, 'sophie')

    def test_tabs(self):
        "The counts of the tabs do not depend on how many there are"
        Instalment = Pool().get('grant.instalment')
        for domain in [
                [('ready', '=', True)],
                [('blockers', '=', None)],
                [],
                [('pay_before', '<', self.road.today)],
                [('suspended', '=', True)],
                [('urgent', '=', True)],
                ]:
            forget()
            with self.road.as_user('claire'), count_queries() as queries:
                Instalment.search(domain, count=True)
            # The parameters of the rules are read beside.
            self.assertLessEqual(queries.selects, 5, domain)

    def press(self, login, button):
        Instalment = Pool().get('grant.instalment')

        def function(ids):
            with self.road.as_user(login):
                getattr(Instalment, button)(Instalment.browse(ids))
        return function

    def test_certify(self):
        self.assertConstant(self.press('claire', 'certify'), self.advances)

    def test_approve(self):
        self.press('claire', 'certify')(self.advances)
        self.assertConstant(self.press('paul', 'approve'), self.advances)

    def test_process_and_succeed(self):
        self.press('claire', 'certify')(self.advances)
        self.press('paul', 'approve')(self.advances)
        self.assertConstant(self.press('nadia', 'process'), self.advances)
        self.press('nadia', 'process')(self.advances)
        self.assertConstant(self.press('nadia', 'succeed'), self.advances)
