# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What is to be paid and was paid of each envelope, by state."
from sql import Literal
from sql.aggregate import Count, Min, Sum
from sql.conditionals import Case, Coalesce

from trytond.model import ModelSQL, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool

from .scheme import CompanyMixin
from .year_end import _amount, _cents


class Summary(CompanyMixin, ModelSQL, ModelView):
    """The payments of an envelope in one state.

    What is not certified yet counts on the envelope that the vote committed
    for its year; before the vote there is none.
    """
    __name__ = 'grant.instalment.summary'
    __string__ = "Payments by Envelope"

    envelope = fields.Many2One('grant.envelope', "Envelope")
    status = fields.Selection('get_statuses', "State", sort=False)
    count = fields.Integer("Payments")
    amount = Monetary("Amount", currency='currency', digits='currency')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('envelope', 'ASC NULLS LAST'), ('id', 'ASC')]

    @classmethod
    def get_statuses(cls):
        return Pool().get('grant.instalment').get_statuses()

    @classmethod
    def table_query(cls):
        pool = Pool()
        instalment = pool.get('grant.instalment').__table__()
        convention = pool.get('grant.convention').__table__()
        tranche = pool.get('grant.tranche').__table__()
        commitment = pool.get('grant.commitment').__table__()
        status = Case(
            ((instalment.state == 'certified')
                & (instalment.kind == 'advance'), 'conditions_met'),
            else_=instalment.state)
        rows = (instalment
            .join(convention,
                condition=instalment.convention == convention.id)
            .join(tranche, condition=instalment.tranche == tranche.id)
            .join(commitment, 'LEFT',
                condition=instalment.commitment == commitment.id)
            .select(
                instalment.id,
                convention.company,
                Coalesce(
                    commitment.envelope,
                    cls._get_voted(convention, tranche)).as_('envelope'),
                status.as_('status'),
                _cents(instalment.amount).as_('cents')))
        return rows.select(
            Min(rows.id).as_('id'),
            rows.company,
            rows.envelope,
            rows.status,
            cls.count.sql_cast(Count(Literal(1))).as_('count'),
            _amount(Sum(rows.cents)).as_('amount'),
            group_by=[rows.company, rows.envelope, rows.status])

    @staticmethod
    def _get_voted(convention, tranche):
        "Return the SQL of the envelope committed for the year (tables)."
        pool = Pool()
        application = pool.get('grant.application').__table__()
        decision = pool.get('grant.decision').__table__()
        commitment = pool.get('grant.commitment').__table__()
        return (application
            .join(decision, condition=decision.application == application.id)
            .join(commitment,
                condition=decision.commitment == commitment.id)
            .select(Min(commitment.envelope),
                where=(application.convention == convention.id)
                & (commitment.year == tranche.year)
                & (commitment.state == 'committed')))
