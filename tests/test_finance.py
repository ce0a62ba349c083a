# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The desk of finance: figures, sending back, urgency, fresh authentication."
import datetime as dt
from decimal import Decimal

import pytest
from trytond import config
from trytond.model.exceptions import AccessError
from trytond.pool import Pool
from trytond.transaction import Transaction

from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, DutyError, FrozenError, TransitionError)

from .department import press
from .refusal import Dossier, RefusalCase, forget, set_state


class FinanceTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        cls.dossier = Dossier.of(cls.road.to_active())

    def run_wizard(self, login, name, button, records, answers):
        Wizard = Pool().get(f'grant.instalment.{name}', type='wizard')
        with self.road.as_user(login), Transaction().set_context(
                active_model=records[0].__name__,
                active_id=records[0].id,
                active_ids=[r.id for r in records]):
            session, _, _ = Wizard.create()
            try:
                Wizard.execute(session, {}, 'start')
                Wizard.execute(session, {'start': answers}, button)
            finally:
                Wizard.delete(session)
        forget()

    def events(self, name):
        return Pool().get('grant.event').search([
                ('record', '=', str(self.dossier.instalment)),
                ('name', '=', name)])

    def send_back(self, login='paul', **answers):
        self.run_wizard(
            login, 'send_back', 'send_back', [self.dossier.instalment],
            {'kind': 'amount', 'reason': None} | answers)

    def test_send_back(self):
        "A reason from the list is enough, and the journal has its words"
        self.road.press('claire', self.dossier.instalment, 'certify')
        with Transaction().set_context(language='fr'):
            self.send_back()
        self.assertState(self.dossier.instalment, 'planned')
        event, = self.events('send_back')
        self.assertEqual(event.reason, "Montant erroné")
        self.road.press('claire', self.dossier.instalment, 'certify')
        self.assertIsNone(self.dossier.instalment.send_back_kind)

    def test_send_back_approved(self):
        "One step back, with what was written"
        self.road.press('claire', self.dossier.instalment, 'certify')
        self.road.press('paul', self.dossier.instalment, 'approve')
        with Transaction().set_context(language='fr'):
            self.send_back(kind='piece', reason="Le bilan")
        self.assertState(self.dossier.instalment, 'certified')
        event, = self.events('send_back')
        self.assertEqual(event.reason, "Pièce manquante : Le bilan")
        self.assertTrue(all(
                a.void for a in self.dossier.instalment.approvals))

    def test_send_back_other(self):
        self.road.press('claire', self.dossier.instalment, 'certify')
        with self.refused(
                CompletenessError, 'instalment_send_back_reason'):
            self.send_back(kind='other', reason=" ")

    def test_send_back_by_whom(self):
        self.road.press('claire', self.dossier.instalment, 'certify')
        for login in ['claire', 'marc', 'lea']:
            with self.subTest(login=login), self.forbidden():
                self.send_back(login)

    def test_send_back_planned(self):
        with self.refused(TransitionError):
            self.send_back()

    def test_send_back_selection(self):
        "One line that may not be sent back, and none is"
        advance, balance = self.dossier.convention.instalments
        self.road.press('claire', advance, 'certify')
        with self.refused(TransitionError, None, balance.rec_name):
            self.run_wizard(
                'paul', 'send_back', 'send_back', [advance, balance],
                {'kind': 'act', 'reason': None})
        self.assertState(advance, 'certified')

    def test_urgent(self):
        "The head of service only, with a reason, in the journal"
        Instalment = Pool().get('grant.instalment')
        instalments = self.dossier.convention.instalments
        last = instalments[-1]
        for login in ['claire', 'paul', 'lea']:
            with self.subTest(login=login), self.forbidden():
                self.run_wizard(
                    login, 'urgent', 'mark', [last], {'reason': "Paie"})
        with self.refused(DutyError, 'urgent_manager'), \
                self.road.as_user('paul'):
            Instalment.mark_urgent([last], "Paie")
        with self.refused(CompletenessError, 'urgent_reason'):
            self.run_wizard('marc', 'urgent', 'mark', [last], {'reason': " "})
        self.run_wizard('marc', 'urgent', 'mark', [last], {'reason': "Paie"})
        last = Instalment(last.id)
        self.assertTrue(last.urgent)
        self.assertEqual(last.urgent_reason, "Paie")
        first, = Instalment.search([], limit=1, order=[
                ('urgent', 'DESC NULLS LAST'),
                ('pay_before', 'ASC NULLS LAST'), ('id', 'ASC')])
        self.assertEqual(first, last)
        event, = Pool().get('grant.event').search([
                ('record', '=', str(last)), ('name', '=', 'urgent')])
        self.assertEqual(event.user, self.road.users['marc'])
        with self.forbidden():
            self.road.press('paul', last, 'end_urgent')
        self.road.press('marc', last, 'end_urgent')
        self.assertFalse(Instalment(last.id).urgent)

    def test_urgent_forged(self):
        for values in [{'urgent': True}, {'urgent_reason': "Paie"}]:
            with self.subTest(values=values), self.refused(FrozenError):
                self.road.write('marc', self.dossier.instalment, **values)

    def test_figures(self):
        "What is in front of who approves"
        advance, balance = self.dossier.convention.instalments

        def read(instalment):
            forget()
            with self.road.as_user('paul'):
                return instalment.__class__(instalment.id)
        planned = read(advance)
        self.assertEqual(planned.act_number, '2026-CP-001')
        self.assertEqual(planned.convention_paid, Decimal(0))
        self.assertEqual(planned.commitment_amount, Decimal(10000))
        self.assertEqual(planned.commitment_left, Decimal(10000))
        self.assertEqual(planned.credit_left, Decimal(100000))
        self.assertTrue(planned.account_number)
        self.assertNotIn('FR76', planned.account_number)
        self.assertEqual(
            set(planned.schedule), {advance, balance})
        with Transaction().set_context(current_instalment=balance.id):
            self.assertEqual(
                [read(i).is_current for i in [advance, balance]],
                [False, True])
        self.road.to_paid(advance)
        self.assertEqual(read(balance).convention_paid, Decimal(5000))
        self.assertEqual(read(balance).commitment_left, Decimal(5000))
        self.assertEqual(read(balance).credit_left, Decimal(95000))
        # Act and notification are there, the account is verified; two
        # undertakings and the report are not.
        self.assertEqual(read(advance).evidence_count, '3/3')
        self.assertEqual(read(balance).evidence_count, '3/6')
        self.assertTrue(read(balance).account_verified)
        with self.road.system():
            Link = Pool().get('bank.account-party.party')
            Link.write([self.dossier.bank_account], {
                    'verified_by': None, 'verified_on': None})
        self.assertEqual(read(balance).evidence_count, '2/6')
        self.assertFalse(read(balance).account_verified)

    def test_status(self):
        "An advance is certified for its conditions, a balance for a service"
        Instalment = Pool().get('grant.instalment')
        advance, balance = self.dossier.convention.instalments
        set_state(advance, 'certified')
        set_state(balance, 'certified')

        def found(*clause):
            return set(Instalment.search([('status', *clause)]))
        with self.road.system():
            self.assertEqual(found('=', 'conditions_met'), {advance})
            self.assertEqual(found('=', 'certified'), {balance})
            self.assertEqual(found('!=', 'certified'), {advance})
            self.assertEqual(
                found('in', ['certified', 'conditions_met']),
                {advance, balance})
            self.assertEqual(found('=', 'planned'), set())
            self.assertEqual(
                set(Instalment.search([], order=[('status', 'ASC')])),
                {advance, balance})
        with Transaction().set_context(language='fr'):
            self.assertEqual(
                [Instalment(i.id).state_label for i in [advance, balance]],
                ["Conditions réunies", "Service fait attesté"])

    def test_limited_on(self):
        "Four years from the 1 January after the payment became payable"
        Instalment = Pool().get('grant.instalment')
        advance, balance = self.dossier.convention.instalments

        def due(date):
            for instalment in [advance, balance]:
                set_state(instalment, 'planned', trigger='date', date=date)
            tranche = self.dossier.tranche.__table__()
            Transaction().connection.cursor().execute(*tranche.update(
                    [tranche.notified_on], [date]))
            forget()
            return Instalment(advance.id)
        for date, expected in [
                (dt.date(2021, 12, 31), dt.date(2026, 1, 1)),
                (dt.date(2022, 1, 1), dt.date(2027, 1, 1))]:
            instalment = due(date)
            self.assertEqual(instalment.due_since, date)
            self.assertEqual(instalment.limited_on, expected)
            with self.road.system():
                for operator, day, found in [
                        ('=', expected, True),
                        ('<=', expected, True),
                        ('<', expected, False),
                        ('<=', expected - dt.timedelta(days=1), False)]:
                    self.assertEqual(
                        advance in Instalment.search([
                                ('limited_on', operator, day)]), found)
                self.assertEqual(len(Instalment.search(
                            [], order=[('limited_on', 'ASC')])), 2)
        # The right to the balance is not born: undertakings hold it back.
        self.assertIsNone(Instalment(balance.id).limited_on)
        set_state(advance, 'paid')
        self.assertIsNone(Instalment(advance.id).limited_on)
        with self.road.system():
            self.assertFalse(Instalment.search([('limited_on', '!=', None)]))

    def test_summary(self):
        "By state and by envelope, the sums of the list of the payments"
        Summary = Pool().get('grant.instalment.summary')
        envelope = self.dossier.commitment.envelope

        def rows():
            forget()
            with self.road.as_user('paul'):
                return sorted(
                    (s.envelope, s.status, s.count, s.amount)
                    for s in Summary.search([]))
        self.assertEqual(rows(), [
                (envelope, 'planned', 2, Decimal(10000))])
        self.road.press('claire', self.dossier.instalment, 'certify')
        self.assertEqual(rows(), [
                (envelope, 'conditions_met', 1, Decimal(5000)),
                (envelope, 'planned', 1, Decimal(5000))])
        set_state(self.dossier.instalment, 'paid', kind='single',
            amount=Decimal('4999.99'))
        self.assertEqual(rows(), [
                (envelope, 'paid', 1, Decimal('4999.99')),
                (envelope, 'planned', 1, Decimal(5000))])
        with self.assertRaises(AccessError), self.road.as_user('lea'):
            Summary.search([])

    def test_reports(self):
        "The report of the year stands in front of the payment"
        advance, balance = self.dossier.convention.instalments
        report, = self.dossier.convention.financial_reports
        self.assertEqual(list(balance.reports), [report])
        with self.road.system():
            statement, = Pool().get('grant.financial_report').create([{
                        'convention': self.dossier.convention.id,
                        'tranche': self.dossier.tranche.id,
                        }])
        forget()
        self.assertEqual(set(balance.reports), {report, statement})
        self.assertEqual(list(balance.calculation_lines), [])


@pytest.fixture
def stale(monkeypatch):
    "Sessions are no longer fresh."
    before = config.get('session', 'timeout')
    config.set('session', 'timeout', '0')
    yield
    config.set('session', 'timeout', before)


@pytest.fixture(scope='module')
def certified(department):
    with department.road() as road:
        instalments = road.to_active().instalments
        road.press('claire', instalments[0], 'certify')
        return instalments[0]


def state(department, record):
    with department.road() as road:
        return road.fresh(record).state


def test_stale_session(department, certified, stale):
    "An old session approves nothing, although it still reads"
    desk = department.desk('nadia')
    desk('grant.instalment', 'read', [certified.id], ['state'])
    with pytest.raises(RuntimeError, match='401'):
        press(desk, certified, 'approve')()
    assert state(department, certified) == 'certified'


def test_other_doors(department, certified, monkeypatch):
    "No method but the button approves, whatever the session"
    Instalment = Pool(department.database).get('grant.instalment')
    desk = department.desk('paul')
    with pytest.raises(RuntimeError):
        desk('grant.instalment', '_approve', [certified.id])

    def ask_send_back(cls, instalments):
        cls.approve(instalments)
    monkeypatch.setattr(
        Instalment, 'ask_send_back', classmethod(ask_send_back))
    with pytest.raises(Exception, match='propre bouton'):
        press(desk, certified, 'ask_send_back')()
    # Nor does a client that claims it in its context
    desk.context['_pacte_grants_fresh_session'] = True
    with pytest.raises(Exception, match='propre bouton'):
        press(desk, certified, 'ask_send_back')()
    assert state(department, certified) == 'certified'


def test_approve_next_stale(department, certified, stale):
    "Approving and going on asks for a fresh session too"
    with pytest.raises(RuntimeError, match='401'):
        press(department.desk('nadia'), certified, 'approve_next')()
    assert state(department, certified) == 'certified'


def test_fresh_session(department, certified):
    "A fresh session approves, and goes on to the next one"
    assert press(
        department.desk('finance1'), certified, 'approve_next')() == 'next'
    assert state(department, certified) == 'approved'


del RefusalCase
