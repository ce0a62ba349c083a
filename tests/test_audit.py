# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Controls are planned by risk, concluded and followed up."
import datetime as dt
from decimal import Decimal

from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, FrozenError, TransitionError)
from trytond.pool import Pool

from .refusal import RefusalCase, forget, set_state


class AuditTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        cls.convention = cls.road.to_active()

    def risk(self, convention=None):
        Risk = Pool().get('grant.audit.risk')
        with self.road.system():
            risks = Risk.search([
                    ('convention', '=', (convention or self.convention).id)])
        return risks[0] if risks else None

    def plan(self):
        self.road.press('claire', self.risk(), 'plan')
        audit, = self.road.fresh(self.convention).audits
        return audit

    def test_score(self):
        "The score adds up the factors, which the list shows"
        risk = self.risk()
        self.assertEqual(
            [risk.score, risk.first_grant, risk.large, risk.late_report],
            [2, True, False, False])
        set_state(
            self.road.report(self.convention), 'expected',
            due_date=self.road.today - dt.timedelta(days=1))
        self.assertEqual(
            [self.risk().score, self.risk().late_report], [5, True])
        Parameter = Pool().get('grant.parameter')
        with self.road.system():
            Parameter.create([{
                        'code': 'AUDIT_LARGE_AMOUNT', 'name': "Seuil",
                        'value': Decimal(9999), 'unit': 'euro',
                        'valid_from': self.road.today, 'source': "Test"}])
        self.assertEqual([self.risk().score, self.risk().large], [8, True])

    def test_plan(self):
        "A planned control keeps its score and leaves the list"
        audit = self.plan()
        self.assertEqual(
            [audit.state, audit.risk_score, audit.risk_factors],
            ['planned', 2, "Première aide"])
        self.assertIsNone(self.risk())
        with self.forbidden():
            self.road.write('claire', audit, risk_score=0)
        with self.refused(CompletenessError, 'audit_cancel_reason'):
            self.road.press('claire', audit, 'cancel')
        self.road.write('claire', audit, cancel_reason="Doublon.")
        self.road.press('claire', audit, 'cancel')
        self.assertIsNotNone(self.risk())

    def test_follow_up(self):
        road, audit = self.road, self.plan()
        with self.refused(TransitionError):
            road.press('claire', audit, 'conclude')
        road.press('claire', audit, 'start')
        road.write('claire', audit, findings=[('create', [{
                            'text': "Factures sans date",
                            'severity': 'major',
                            'action': "Les produire",
                            'due_date': road.today}])])
        with self.refused(CompletenessError, 'audit_conclusion'):
            road.press('claire', audit, 'conclude')
        road.write('claire', audit, conclusion="À corriger.")
        road.press('claire', audit, 'conclude')
        finding, = road.fresh(audit).findings
        with self.refused(FrozenError):
            road.write('claire', finding, text="Rien")
        with self.refused(CompletenessError, 'audit_unresolved',
                "Factures sans date"):
            road.press('claire', audit, 'close')
        with self.refused(CompletenessError, 'audit_finding_answer'):
            road.press('claire', finding, 'resolve')
        road.write('claire', finding, answer="Produites le 3.")
        road.press('claire', finding, 'resolve')
        road.press('claire', audit, 'close')
        audit = road.fresh(audit)
        self.assertEqual(
            [audit.state, audit.concluded_by.login,
                audit.findings[0].resolved_by.login],
            ['closed', 'claire', 'claire'])

    def test_finding_due(self):
        "What a control asks is among the deadlines, and is reminded"
        pool = Pool()
        Due = pool.get('grant.due')
        road, audit = self.road, self.plan()
        road.press('claire', audit, 'start')
        road.write('claire', audit, conclusion="À corriger.", findings=[
                ('create', [
                        {'text': "Sans suite datée"},
                        {'text': "Factures sans date",
                            'action': "Les produire.",
                            'due_date': road.today}])])

        def due():
            forget()
            with road.as_user('lea'):
                return Due.search([('kind', '=', 'finding')])
        self.assertEqual(due(), [])
        road.press('claire', audit, 'conclude')
        line, = due()
        with road.as_user('lea'):
            self.assertEqual(
                [line.status, line.whose_turn, line.due_date, line.what,
                    line.party],
                ['to_produce', 'partner', road.today,
                    "ce qui a été demandé après le contrôle : Les produire",
                    self.convention.party])
        with road.system():
            Due.remind_daily()
            reminder, = pool.get('grant.reminder').search(
                [('record', '=', str(line.record))])
        self.assertIn("Les produire", reminder.text)
        finding = line.record
        road.write('claire', finding, answer="Produites le 3.")
        line, = due()
        self.assertEqual(
            [line.status, line.whose_turn], ['to_verify', 'officer'])
        with self.refused(CompletenessError, 'condition_due_refused'):
            road.press('claire', line, 'meet')
        road.press('claire', finding, 'resolve')
        self.assertEqual(due(), [])

    def test_findings(self):
        "What was found once weighs on the next convention of the partner"
        road = self.road
        audit = self.plan()
        road.press('claire', audit, 'start')
        road.write('claire', audit, findings=[('create', [{
                            'text': "Sans facture", 'severity': 'major'}])])
        before = road.session
        with road.system():
            road.session = road.create_session()
        self.addCleanup(setattr, road, 'session', before)
        other = road.to_active(
            party=self.convention.party, title="Autre projet")
        risk = self.risk(other)
        self.assertEqual(
            [risk.findings, risk.first_grant, risk.score],
            [True, False, 3])
