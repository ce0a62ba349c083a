# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"A report that never comes: what was paid is proposed for recovery (L30)."
import datetime as dt
from decimal import Decimal
from unittest.mock import patch

from dateutil.relativedelta import relativedelta
from trytond.modules.pacte_grants.exceptions import AmountError
from trytond.pool import Pool

from .refusal import forget, set_state
from .test_liquidation import LiquidationCase


class NoReportTestCase(LiquidationCase):
    "10 000 € of which 5 000 € were paid"

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.road.to_paid(cls.payments.advance)

    @property
    def report(self):
        return self.road.report(self.dossier.convention)

    def look(self, days):
        "The daily task, so many days after the delay; return the recoveries."
        pool = Pool()
        day = (
            self.report.due_date + relativedelta(months=12)
            + dt.timedelta(days=days))
        with patch.object(pool.get('ir.date'), 'today', return_value=day):
            pool.get('grant.recovery').propose_daily()
        return self.recoveries

    @property
    def recoveries(self):
        forget()
        return [
            (r.cause, r.amount, r.state)
            for r in self.dossier.convention.recoveries]

    def test_proposed(self):
        "Once, after the delay, for what was paid; known since it was due"
        self.assertEqual(self.look(0), [])
        expected = [('no_report', Decimal(5000), 'draft')]
        self.assertEqual(self.look(1), expected)
        self.assertEqual(self.look(2), expected)
        recovery, = self.dossier.convention.recoveries
        self.assertEqual(
            recovery.known_on, self.report.due_date + dt.timedelta(days=1))
        self.assertRegex(recovery.facts, self.report.rec_name)

    def test_nothing_paid(self):
        set_state(self.payments.advance, 'planned')
        self.assertEqual(self.look(1), [])

    def test_in_check(self):
        "What was sent is checked, not recovered"
        self.look(1)
        set_state(self.report, 'submitted')
        self.assertEqual(
            self.look(1), [('no_report', Decimal(5000), 'abandoned')])

    def test_recovered_otherwise(self):
        "What comes back already is not asked for once more"
        with self.road.system():
            Pool().get('grant.recovery').create([{
                        'convention': self.dossier.convention.id,
                        'tranche': self.dossier.tranche.id,
                        'cause': 'termination', 'amount': Decimal(1200)}])
        self.assertCountEqual(self.look(1), [
                ('termination', Decimal(1200), 'draft'),
                ('no_report', Decimal(3800), 'draft')])

    def test_report_comes(self):
        "Settled after all: what is proposed becomes the overpayment"
        self.look(1)
        self.settle(8000)
        self.assertCountEqual(self.recoveries, [
                ('no_report', Decimal(5000), 'abandoned'),
                ('overpayment', Decimal(1000), 'draft')])

    def test_report_comes_late(self):
        "What was already decided is deducted from the overpayment"
        self.look(1)
        recovery, = self.dossier.convention.recoveries
        set_state(recovery, 'settled')
        self.settle(8000)
        self.assertEqual(
            self.recoveries, [('no_report', Decimal(5000), 'settled')])

    def test_not_decided_any_more(self):
        self.look(1)
        recovery, = self.dossier.convention.recoveries
        set_state(
            recovery, 'notified', reply_until=self.road.today,
            decision="Aucun compte rendu", notified_by=None)
        set_state(self.report, 'submitted')
        with self.refused(AmountError, 'recovery_amount'):
            self.road.press('marc', recovery, 'confirm')
