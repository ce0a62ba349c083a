# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What the annual accounts of a partner say of its size.

The annex to the accounts names the bodies of which the Département pays more
than a share (L35)."""
from sql import Null
from sql.operators import Exists

from trytond.model import fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval
from trytond.transaction import Transaction

from .check import AmountMixin, year_domain

_STATES = {
    'invisible': Eval('kind') != 'accounts',
    }


class PartnerPiece(AmountMixin, metaclass=PoolMeta):
    __name__ = 'grant.partner.piece'
    _amounts = ('income',)

    exercise = fields.Integer(
        "Exercise", domain=[
            'OR', ('exercise', '=', None), year_domain('exercise')],
        states={
            **_STATES,
            'required': Bool(Eval('income')),
            },
        help="The exercise that the accounts close.")
    income = Monetary(
        "Total Income", currency='currency', digits='currency',
        states=_STATES,
        help="The total of the income statement (euros).")
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')

    @classmethod
    def default_currency(cls):
        company = Transaction().context.get('company')
        if company:
            return Pool().get('company.company')(company).currency.id

    @fields.depends()
    def on_change_with_currency(self, name=None):
        return self.default_currency()

    @classmethod
    def join_income(cls, party, year):
        """Return a table of pieces and the condition that joins to a party
        and a year (SQL) the latest accounts that close that year or an
        earlier one and tell their income: one row at most."""
        piece, later = cls.__table__(), cls.__table__()

        def fits(table):
            return ((table.party == party)
                & (table.kind == 'accounts')
                & (table.income != Null)
                & (table.exercise <= year))

        return piece, fits(piece) & ~Exists(later.select(
                later.id,
                where=fits(later)
                & ((later.exercise > piece.exercise)
                    | ((later.exercise == piece.exercise)
                        & (later.id > piece.id)))))
