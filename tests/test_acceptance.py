# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"A selection of reports is accepted line by line, by the rules of each."
from decimal import Decimal

import pytest
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, DutyError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import RefusalCase, attempt, forget, set_state
from .rpc import Refusal
from .tools import count_queries

FILLED = {
    'activity': "Une fête de quartier.",
    'beneficiary_count': 40,
    'eligible_realised': Decimal(1600),
    'certified_name': "Camille",
    'certified_capacity': "Trésorière",
    }


def receive(road, reports, **values):
    "The reports arrived, filled in or with other values."
    Report = Pool().get('grant.financial_report')
    reports = Report.browse([r.id for r in reports])
    with road.as_user('claire'):
        Report.write(
            list(reports), FILLED | {'certified_on': road.today} | values)
    road.press('claire', reports, 'submit')
    return reports


class AcceptanceCase(RefusalCase):
    count = 4

    @classmethod
    def prepare(cls):
        road = cls.road
        Report = Pool().get('grant.financial_report')
        ids = road.to_single_payments(cls.count, Decimal(400))
        cls.ids = [r.id for r in Report.search([
                    ('tranche.instalments', 'in', ids)],
                order=[('id', 'ASC')])]
        assert len(cls.ids) == cls.count

    @property
    def reports(self):
        forget()
        return Pool().get('grant.financial_report').browse(self.ids)

    def states(self):
        return [r.state for r in self.reports]

    def wizard(self, records, *states, login='claire'):
        "Return what each state of the wizard shows of the records."
        Wizard = Pool().get('grant.accept', type='wizard')
        shown = []
        with self.road.as_user(login), Transaction().set_context(
                active_model=records[0].__name__,
                active_id=records[0].id,
                active_ids=[r.id for r in records], language='fr'):
            session, _, _ = Wizard.create()
            for state in states:
                view = Wizard.execute(session, {}, state)['view']
                shown.append(view.get('value') or view['defaults'])
            Wizard.delete(session)
        forget()
        return shown

    def verdicts(self, values):
        return {
            int(line['record'].split(',')[1]): line['verdict']
            for line in values['lines']}


class SelectionTestCase(AcceptanceCase):

    def test_mixed(self):
        "What can be accepted is; what cannot says why and stays"
        road = self.road
        good, bad, early, done = self.reports
        receive(road, [good, done])
        receive(road, [bad], beneficiary_count=None, activity=None)
        road.press('claire', done, 'accept')
        accepted_on = road.fresh(done).accepted_on
        preview, = self.wizard(self.reports, 'preview')
        self.assertEqual(
            self.states(), ['submitted', 'submitted', 'expected', 'accepted'])
        self.assertEqual((preview['accepted'], preview['refused']), (1, 3))
        self.assertEqual(
            [line['accepted'] for line in preview['lines']],
            [False, False, False, True])
        verdicts = self.verdicts(preview)
        self.assertEqual(verdicts[good.id], "Peut être accepté.")
        self.assertIn("Dites ce qui a été réalisé", verdicts[bad.id])
        self.assertIn("bénéficiaires", verdicts[bad.id])
        self.assertIn("Attendu", verdicts[early.id])
        self.assertIn("Accepté", verdicts[done.id])
        preview, result = self.wizard(self.reports, 'preview', 'result')
        self.assertEqual(
            self.states(), ['accepted', 'submitted', 'expected', 'accepted'])
        self.assertEqual((result['accepted'], result['refused']), (1, 3))
        self.assertEqual(self.verdicts(result)[good.id], "Accepté.")
        self.assertEqual(
            self.verdicts(result)[bad.id], verdicts[bad.id])
        good = road.fresh(good)
        self.assertEqual(good.accepted_by.login, 'claire')
        self.assertEqual(road.fresh(done).accepted_on, accepted_on)

    def test_same_rule(self):
        "The verdict on a report is what its button says"
        road = self.road
        report = self.reports[0]
        receive(road, [report], certified_name=None)
        values, = self.wizard([report], 'result')
        verdict = self.verdicts(values)[report.id]
        with self.refused(CompletenessError, 'report_not_accepted', verdict):
            road.press('claire', report, 'accept')

    def test_again(self):
        "The second time, nothing is left to accept"
        receive(self.road, self.reports)
        first, = self.wizard(self.reports, 'result')
        again, = self.wizard(self.reports, 'result')
        self.assertEqual((first['accepted'], again['accepted']), (4, 0))
        Event = Pool().get('grant.event')
        self.assertEqual(Event.search([
                    ('name', '=', 'accepted_by'),
                    ('record', 'in', [str(r) for r in self.reports]),
                    ], count=True), 4)

    def test_meanwhile(self):
        "What changed since the preview counts"
        road = self.road
        receive(road, self.reports)
        preview, = self.wizard(self.reports, 'preview')
        self.assertEqual(preview['accepted'], 4)
        road.write('marc', self.reports[1], activity=None)
        result, = self.wizard(self.reports, 'result')
        self.assertEqual(result['accepted'], 3)
        self.assertEqual(self.reports[1].state, 'submitted')

    def test_button(self):
        "The button of the list stays all or nothing"
        receive(self.road, self.reports[:3])
        receive(self.road, self.reports[3:], activity=None)
        with self.refused(CompletenessError, 'report_not_accepted'):
            self.road.press('claire', list(self.reports), 'accept')
        self.assertEqual(set(self.states()), {'submitted'})

    def test_rights(self):
        "Officers and heads of service only, whatever the door"
        receive(self.road, self.reports)
        for login in ['paul', 'sophie', 'lea']:
            with self.subTest(login=login), self.forbidden():
                self.wizard(self.reports, 'result', login=login)
            with self.subTest(login=login), self.forbidden(), \
                    self.road.as_user(login):
                Report = Pool().get('grant.financial_report')
                Report.accept_each(Report.browse(self.ids))
        with self.refused(DutyError):
            with Transaction().set_user(0):
                Pool().get('grant.financial_report').accept_each(
                    self.reports)
        self.assertEqual(set(self.states()), {'submitted'})
        result, = self.wizard(self.reports, 'result', login='marc')
        self.assertEqual(result['accepted'], 4)

    def test_other_company(self):
        "A selection of which something is hidden is refused as a whole"
        receive(self.road, self.reports)
        with self.road.system():
            self.road.create_user(
                'ailleurs', ['group_officer'], companies=None, company=None,
                employees=None, employee=None)
        with attempt(), self.assertRaises(AccessError):
            self.wizard(self.reports, 'result', login='ailleurs')
        self.assertEqual(set(self.states()), {'submitted'})

    def test_statement(self):
        "A statement of expenses is judged by its invoices"
        road = self.road
        Report = Pool().get('grant.financial_report')
        convention = self.reports[0].convention
        with road.as_user('claire'):
            statement, = Report.create([{
                        'convention': convention.id,
                        'tranche': convention.tranches[0].id,
                        'kind': 'statement'}])
        receive(road, [statement, self.reports[1]])
        values, = self.wizard([statement, self.reports[1]], 'result')
        self.assertEqual(values['accepted'], 1)
        self.assertIn("factures", self.verdicts(values)[statement.id])
        self.assertState(statement, 'submitted')


class QueriesTestCase(AcceptanceCase):
    "One report or two hundred: the same number of SELECTs"
    count = 200

    def selects(self, function):
        with attempt():
            function()
        with attempt(), count_queries() as queries:
            function()
        return queries.selects

    def test_attestations(self):
        receive(self.road, self.reports)
        for state in ['preview', 'result']:
            counts = {
                n: self.selects(
                    lambda n=n, state=state: self.wizard(
                        self.reports[:n], state))
                for n in [1, 50, 200]}
            with self.subTest(state=state, counts=counts):
                self.assertLessEqual(counts[50], counts[1] + 3)
                self.assertLessEqual(counts[200], counts[50] + 1)

    def test_financial_reports(self):
        "With what is asked of associations, and each of them refused"
        for report in self.reports:
            set_state(report, 'submitted', kind='financial')
        counts = {
            n: self.selects(lambda n=n: self.wizard(
                    self.reports[:n], 'result'))
            for n in [1, 50, 200]}
        with self.subTest(counts=counts):
            self.assertLessEqual(counts[50], counts[1] + 3)
            self.assertLessEqual(counts[200], counts[50] + 1)


@pytest.fixture(scope='module')
def reports(department):
    with department.road() as road:
        ids = road.to_single_payments(2)
        found = Pool().get('grant.financial_report').search(
            [('tranche.instalments', 'in', ids)], order=[('id', 'ASC')])
        receive(road, found[:1])
        receive(road, found[1:], activity=None)
        return found


def test_rpc(department, reports):
    "From a client: the wizard for those who may, nothing for the others"
    def run(login):
        desk = department.desk(login)
        context = desk.context | {
            'active_model': 'grant.financial_report',
            'active_id': reports[0].id,
            'active_ids': [r.id for r in reports],
            'action_id': action}
        session, state, _ = desk._post('wizard.grant.accept.create', [context])
        assert state == 'preview'
        view = desk._post(
            'wizard.grant.accept.execute',
            [session, {}, 'result', context])['view']
        return view.get('value') or view['defaults']

    def states():
        with department.road() as road:
            return [road.fresh(r).state for r in reports]

    with department.road():
        action = Pool().get('ir.model.data').get_id(
            'pacte_grants', 'act_financial_report_accept')
    with pytest.raises(RuntimeError):
        department.desk('claire')(
            'grant.financial_report', 'accept_each', [reports[0].id])
    with pytest.raises(Refusal, match='autorisé'):
        run('paul')
    assert states() == ['submitted', 'submitted']
    values = run('claire')
    assert (values['accepted'], values['refused']) == (1, 1)
    assert states() == ['accepted', 'submitted']


del AcceptanceCase, RefusalCase
