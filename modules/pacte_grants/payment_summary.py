# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What is to be paid and was paid of each envelope, by state."
from sql import Literal, Null, Window
from sql.aggregate import Count, Min, Sum
from sql.conditionals import Case, Coalesce
from sql.functions import RowNumber

from trytond.model import ModelSQL, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool

from .envelope import MULTI_YEAR
from .scheme import CompanyMixin
from .year_end import _amount, _cents, get_origin


class Summary(CompanyMixin, ModelSQL, ModelView):
    """The payments of an envelope in one state.

    What is not certified yet counts on the envelope that the vote committed
    for its year, or that to which it was carried over; before the vote there
    is none.
    """
    __name__ = 'grant.instalment.summary'
    __string__ = "Payments by Envelope"

    envelope = fields.Many2One('grant.envelope', "Envelope")
    status = fields.Selection('get_statuses', "State", sort=False)
    # A graph shows what a selection stores, not its label.
    status_label = fields.Function(
        fields.Char("State"), 'get_status_label')
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
    def get_status_label(cls, summaries, name):
        labels = dict(cls.get_statuses())
        return {s.id: labels[s.status] for s in summaries}

    @classmethod
    def table_query(cls):
        pool = Pool()
        instalment = pool.get('grant.instalment').__table__()
        convention = pool.get('grant.convention').__table__()
        commitment = pool.get('grant.commitment').__table__()
        origin = get_origin()
        expected = cls._get_expected(origin)
        status = Case(
            ((instalment.state == 'certified')
                & (instalment.kind == 'advance'), 'conditions_met'),
            else_=instalment.state)
        rows = (instalment
            .join(convention,
                condition=instalment.convention == convention.id)
            .join(commitment, 'LEFT',
                condition=instalment.commitment == commitment.id)
            .join(expected, 'LEFT',
                condition=(expected.instalment == instalment.id)
                & (expected.rank == 1))
            .select(
                instalment.id,
                convention.company,
                Coalesce(
                    commitment.envelope, expected.envelope).as_('envelope'),
                status.as_('status'),
                _cents(instalment.amount).as_('cents')))
        return rows.select(
            Min(rows.id).as_('id'),
            rows.company,
            rows.envelope,
            rows.status,
            cls.count.sql_cast(Count(Literal(1))).as_('count'),
            _amount(Sum(rows.cents)).as_('amount'),
            group_by=[rows.company, rows.envelope, rows.status],
            with_=[origin])

    @staticmethod
    def _get_expected(origin):
        """Return the query of the envelope that pays each instalment that is
        not certified, best first: what was committed for its year, or what of
        it goes on in the exercise to which it was carried over."""
        pool = Pool()
        instalment = pool.get('grant.instalment').__table__()
        tranche = pool.get('grant.tranche').__table__()
        application = pool.get('grant.application').__table__()
        decision = pool.get('grant.decision').__table__()
        commitment = pool.get('grant.commitment').__table__()
        envelope = pool.get('grant.envelope').__table__()
        here = Case(
            (envelope.kind.in_(MULTI_YEAR)
                | (envelope.year == instalment.exercise), 0),
            else_=1)
        rank = RowNumber(window=Window(
                [instalment.id], order_by=[
                    here.asc,
                    Case((commitment.amount > 0, 0), else_=1).asc,
                    commitment.id.asc]))
        return (instalment
            .join(tranche, condition=instalment.tranche == tranche.id)
            .join(application,
                condition=application.convention == instalment.convention)
            .join(decision, condition=decision.application == application.id)
            .join(origin, condition=origin.root == decision.commitment)
            .join(commitment, condition=commitment.id == origin.commitment)
            .join(envelope, condition=commitment.envelope == envelope.id)
            .select(
                instalment.id.as_('instalment'),
                envelope.id.as_('envelope'),
                rank.as_('rank'),
                where=(instalment.commitment == Null)
                & (commitment.year == tranche.year)
                & (commitment.state == 'committed')))
