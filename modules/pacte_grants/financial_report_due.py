# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The financial reports in the list of deadlines and in the reminders."
from sql import Literal, Null
from sql.conditionals import Case
from sql.operators import Exists

from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import ModelView
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import check_access

from .check import bulleted
from .due import _by_line
from .exceptions import CompletenessError
from .financial_report import ACCOUNTABLE


class Due(metaclass=PoolMeta):
    __name__ = 'grant.due'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'receive_report': {
                    'invisible': ~((Eval('kind') == 'report')
                        & (Eval('status') == 'to_produce')),
                    'depends': ['kind', 'status'],
                    },
                })

    @classmethod
    def _rules(cls):
        return super()._rules() + [('report', cls._report)]

    @classmethod
    def _report(cls):
        pool = Pool()
        FinancialReport = pool.get('grant.financial_report')
        report = FinancialReport.__table__()
        convention = pool.get('grant.convention').__table__()
        instalment = pool.get('grant.instalment').__table__()
        blocking = Exists(instalment.select(Literal(1),
                where=(instalment.tranche == report.tranche)
                & instalment.kind.in_(['balance', 'single'])
                & instalment.state.in_(
                    ['planned', 'certified', 'approved'])))
        return report.join(
            convention, condition=report.convention == convention.id
            ).select(
                report.id.as_('id'),
                convention.company.as_('company'),
                convention.party.as_('party'),
                FinancialReport.sql_awaited_on(report).as_('due_date'),
                convention.id.as_('convention'),
                convention.officer.as_('officer'),
                cls._reference(
                    'grant.financial_report', report.id).as_('record'),
                Case(
                    (report.state == 'submitted', 'to_verify'),
                    else_='to_produce').as_('status'),
                Case(
                    (report.state == 'submitted', 'officer'),
                    else_='partner').as_('whose_turn'),
                Case((blocking, Literal(True)), else_=Literal(False)
                    ).as_('blocking'),
                where=(report.state != 'accepted')
                & (report.due_date != Null)
                & convention.state.in_(ACCOUNTABLE))

    @classmethod
    def get_what(cls, dues, names):
        result = super().get_what(dues, names)
        ids = [d.id for d in dues]
        rows = [
            row for row in cls.read(ids, ['kind', 'record', 'blocking'])
            if row['kind'] == 'report']
        if not rows:
            return result
        records = cls._browse_records(cls.browse([r['id'] for r in rows]))
        for row in rows:
            report = records[row['record']]
            values = {
                'what': report.rec_name,
                'blocks_text': report.blocks_text
                if row['blocking'] else None,
                }
            for name in names:
                result[name][row['id']] = values[name]
        return result

    def _describe(self):
        if self.kind == 'report':
            what = gettext(
                f'pacte_grants.msg_report_reminder_{self.record.kind}',
                year=self.record.year)
            if self.record.state == 'returned':
                return gettext(
                    'pacte_grants.msg_report_reminder_corrected', what=what)
            return what
        return super()._describe()

    def _get_details(self):
        details = super()._get_details()
        if self.kind == 'report' and self.record.state == 'returned':
            details.insert(0, gettext(
                    'pacte_grants.msg_report_reminder_returned',
                    reason=self.record.return_reason))
        return details

    @classmethod
    @_by_line
    @ModelView.button
    def receive_report(cls, dues):
        """Record that the reports arrived; either all are, or none: the
        error has a line for each that is refused."""
        Report = Pool().get('grant.financial_report')
        reports = Report.browse([d.record.id for d in dues])
        try:
            with check_access():
                Report.submit(reports)
        except UserError:
            refusals = []
            for report in reports:
                try:
                    with check_access():
                        Report.submit([report])
                except UserError as error:
                    refusals.append(f'{report.rec_name} : {error.message}')
            if not refusals:
                raise
            raise CompletenessError(gettext(
                    'pacte_grants.msg_condition_due_refused',
                    lines=bulleted(refusals))) from None
        return 'reload'


class Reminder(metaclass=PoolMeta):
    __name__ = 'grant.reminder'

    @classmethod
    def get_records(cls):
        IrModel = Pool().get('ir.model')
        name = 'grant.financial_report'
        return super().get_records() + [(name, IrModel.get_name(name))]
