# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The recovery of what was paid of a year whose report never came (L30).

Without a report nothing is acquired of the year and no liquidation can be
made.  What was paid is proposed for recovery once the report is late for
longer than L30_NO_REPORT_DELAY; a person decides, and the proposal is given
up when the report arrives.
"""
import datetime as dt
from collections import defaultdict
from decimal import Decimal

from dateutil.relativedelta import relativedelta

from trytond.i18n import gettext
from trytond.pool import Pool, PoolMeta
from trytond.transaction import without_check_access

from .daily import company_by_company
from .financial_report import ACCOUNTABLE, AWAITED

_CAUSE = ('cause', '=', 'no_report')


class Recovery(metaclass=PoolMeta):
    __name__ = 'grant.recovery'

    @classmethod
    def _find_missing_reports(cls, domain):
        """Return by tranche the report that is late for longer than the
        delay, among those that the domain finds."""
        pool = Pool()
        today = pool.get('ir.date').today()
        months = int(pool.get('grant.parameter').get('L30_NO_REPORT_DELAY'))
        before = today - relativedelta(months=months)
        return {
            report.tranche: report
            for report in pool.get('grant.financial_report').search([
                    ('kind', '!=', 'statement'),
                    ('state', 'in', AWAITED),
                    ('due_date', '<', before),
                    # One that was returned has its delay to come back.
                    ['OR',
                        ('answer_before', '=', None),
                        ('answer_before', '<', before)],
                    ('convention.state', 'in', ACCOUNTABLE),
                    domain])}

    @classmethod
    def _propose_missing(cls, tranches, reports):
        """Propose the recovery of what was paid of the tranches with a
        missing report; give up what is proposed of the others."""
        due = cls._sum_unreported(tranches)
        return cls._propose('tranche', {
                t: {
                    'convention': t.convention.id,
                    'tranche': t.id,
                    'cause': 'no_report',
                    'amount': due[t] if t in reports else Decimal(0),
                    'known_on': (
                        reports[t].due_date + dt.timedelta(days=1)
                        if t in reports else None),
                    'facts': (
                        gettext(
                            'pacte_grants.msg_recovery_no_report',
                            report=reports[t].rec_name,
                            date=reports[t].due_date.strftime('%d/%m/%Y'))
                        if t in reports else None),
                    } for t in tranches},
            [_CAUSE])

    @classmethod
    def _sum_unreported(cls, tranches):
        "Return by tranche what was paid and is not recovered otherwise."
        paid = defaultdict(Decimal)
        for instalment in Pool().get('grant.instalment').search([
                    ('tranche', 'in', [t.id for t in tranches]),
                    ('state', '=', 'paid')]):
            paid[instalment.tranche] += instalment.amount
        recovered = cls.sum_by_tranche(
            tranches, [('cause', '!=', 'no_report')])
        return {
            t: max(paid[t] - recovered[t], Decimal(0)) for t in tranches}

    @classmethod
    @without_check_access
    def propose(cls, liquidations):
        # The report came after all.
        tranches = [liquidation.tranche for liquidation in liquidations]
        cls._propose_missing(tranches, {})
        return super().propose(liquidations)

    def _get_owed(self):
        if self.cause != 'no_report' or not self.tranche:
            return super()._get_owed()
        others = self.__class__.search([
                ('tranche', '=', self.tranche.id), _CAUSE])
        reports = self._find_missing_reports(
            ('tranche', '=', self.tranche.id))
        due = self._sum_unreported([self.tranche])[self.tranche]
        return due - self._sum_others(others), self.tranche in reports

    @classmethod
    def propose_daily(cls):
        super().propose_daily()
        cls._propose_missing_daily()

    @classmethod
    @company_by_company
    def _propose_missing_daily(cls, company):
        reports = cls._find_missing_reports(('company', '=', company.id))
        proposed = {
            r.tranche for r in cls.search([
                    ('company', '=', company.id),
                    ('state', '=', 'draft'), _CAUSE])}
        cls._propose_missing(list({*reports, *proposed}), reports)


class Liquidation(metaclass=PoolMeta):
    __name__ = 'grant.liquidation'

    @classmethod
    def _recovered_elsewhere(cls):
        return ['OR', super()._recovered_elsewhere(), _CAUSE]
