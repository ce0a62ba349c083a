# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Tariff accessibility: the audiences and the facilities that have prices.

The clauses are frozen with the convention.  The grid of each season and what
happened under it are evidence: they are judged against the clauses by the
functions of tariff_rule.py, and each verdict is kept with its reason.
"""
from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelView, Unique, fields)

from .check import PeriodMixin

PRODUCTS = [
    ('ticket', "Ticket"),
    ('subscription', "Subscription"),
    ('course', "Course"),
    ('licence', "Licence"),
    ('entry', "Entry"),
    ('other', "Other"),
    ]
RESIDENCES = [
    ('all', "Everywhere"),
    ('commune', "Commune"),
    ('epci', "Intercommunality"),
    ('department', "Department"),
    ('outside', "Outside"),
    ]


class Category(PeriodMixin, ModelSQL, ModelView):
    "An audience that has a price of its own."
    __name__ = 'grant.tariff.category'
    _period = ('valid_from', 'valid_to')

    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)
    nature = fields.Selection([
            ('reduced', "Reduced Price"),
            ('free', "Free of Charge"),
            ('pass', "Pass or Voucher"),
            ], "Nature", required=True, sort=False)
    proof = fields.Char("Accepted Proof")
    proof_days = fields.Integer(
        "Age of the Proof", domain=['OR',
            ('proof_days', '=', None), ('proof_days', '>', 0)],
        help="How old the proof may be, in days.")
    valid_from = fields.Date("Valid From")
    valid_to = fields.Date("Valid To")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'code_unique', Unique(table, table.code),
                'pacte_grants.msg_tariff_category_unique'))
        cls._order = [('code', 'ASC'), ('id', 'ASC')]

    @classmethod
    def default_nature(cls):
        return 'reduced'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op, ('code', *clause[1:]), ('name', *clause[1:])]

    def is_valid(self, date):
        "Return whether the category exists on the date."
        return (
            (not self.valid_from or self.valid_from <= date)
            and (not self.valid_to or date <= self.valid_to))


class Facility(DeactivableMixin, ModelSQL, ModelView):
    "A place with prices: a theatre, a swimming pool, a school of music."
    __name__ = 'grant.facility'

    name = fields.Char("Name", required=True)
    kind = fields.Selection([
            ('cultural', "Cultural"),
            ('teaching', "Arts Education"),
            ('sport', "Sport"),
            ('school', "School"),
            ('leisure', "Leisure and Youth"),
            ('other', "Other"),
            ], "Kind", required=True, sort=False)
    owner = fields.Many2One(
        'party.party', "Owner", required=True, ondelete='RESTRICT')
    manager = fields.Many2One(
        'party.party', "Manager", ondelete='RESTRICT',
        help="Who sets the prices; empty if the owner does.")
    commune = fields.Many2One(
        'grant.commune', "Commune", required=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('name', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.update({
                Index(table, (table.owner, Index.Equality())),
                Index(table, (table.manager, Index.Equality())),
                })

    def get_rec_name(self, name):
        return f'{self.name} ({self.commune.name})'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('name', *clause[1:]), ('commune.rec_name', *clause[1:])]
