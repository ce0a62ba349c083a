# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What an envelope may pay, and what it pays, exercise by exercise."
from sql import Literal, Union
from sql.aggregate import Sum
from sql.conditionals import Case, Coalesce, Greatest

from trytond.model import ModelSQL, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If

from .envelope import MULTI_YEAR
from .payment import APPROVED
from .year_end import _amount, _cents

# One row an exercise of an envelope
_YEARS = 10000


def _sum(string, help):
    return Monetary(
        string, currency='currency', digits='currency', help=help)


class EnvelopeExercise(ModelSQL, ModelView):
    """The payment credits of an envelope in an exercise and what uses them.

    An authorisation of several years (AE, AP) has credits for each exercise;
    an annual credit for its own only.
    """
    __name__ = 'grant.envelope.exercise'
    __string__ = "Exercise of an Envelope"

    envelope = fields.Many2One(
        'grant.envelope', "Envelope", required=True)
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    year = fields.Integer("Exercise")
    credit = _sum("Payment Credits", "Voted for the exercise.")
    committed = _sum(
        "Committed", "Voted grants of that year, whenever they are paid.")
    approved = _sum(
        "Approved Payments",
        "Approved, sent or paid from the credits of the exercise.")
    paid = _sum("Paid", "Paid from the credits of the exercise.")
    left = _sum(
        "Credits Left", "What approved payments leave of the credits.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('envelope')
        cls._order = [
            ('envelope', 'ASC'), ('year', 'ASC'), ('id', 'ASC')]

    @fields.depends('envelope', '_parent_envelope.currency')
    def on_change_with_currency(self, name=None):
        return self.envelope.currency if self.envelope else None

    def get_rec_name(self, name):
        return f'{self.envelope.rec_name} – {self.year}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('envelope.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="left"]', 'visual',
                If(Eval('left', 0) < 0, 'danger', '')),
            ]

    @classmethod
    def table_query(cls):
        rows = Union(*cls._parts(), all_=True)
        credit, approved = Sum(rows.credit), Sum(rows.approved)
        return rows.select(
            (rows.envelope * _YEARS + rows.year).as_('id'),
            rows.envelope,
            rows.year,
            _amount(credit).as_('credit'),
            _amount(Sum(rows.committed)).as_('committed'),
            _amount(approved).as_('approved'),
            _amount(Sum(rows.paid)).as_('paid'),
            _amount(credit - approved).as_('left'),
            group_by=[rows.envelope, rows.year])

    @classmethod
    def _parts(cls):
        "Return the queries of what counts, in cents, with zero elsewhere."
        pool = Pool()
        envelope = pool.get('grant.envelope').__table__()
        movement = pool.get('grant.envelope.movement').__table__()
        commitment = pool.get('grant.commitment').__table__()
        instalment = pool.get('grant.instalment').__table__()
        several = envelope.kind.in_(MULTI_YEAR)

        def columns(year, **amounts):
            return [envelope.id.as_('envelope'), year.as_('year')] + [
                amounts.get(name, Literal(0)).as_(name)
                for name in ['credit', 'committed', 'approved', 'paid']]

        def own(year):
            return Case((several, year), else_=envelope.year)

        cents = _cents(instalment.amount)
        return [
            movement.join(
                envelope, condition=movement.envelope == envelope.id).select(
                *columns(
                    movement.payment_year,
                    credit=_cents(movement.payment_credit)),
                where=several | (movement.payment_year == envelope.year)),
            commitment.join(
                envelope,
                condition=commitment.envelope == envelope.id).select(
                *columns(
                    own(Greatest(commitment.year, envelope.year)),
                    committed=_cents(commitment.amount)),
                where=(commitment.state == 'committed')
                & (commitment.amount != 0)),
            instalment.join(
                commitment,
                condition=instalment.commitment == commitment.id).join(
                envelope,
                condition=commitment.envelope == envelope.id).select(
                *columns(
                    own(Coalesce(instalment.exercise, envelope.year)),
                    approved=cents,
                    paid=Case((instalment.state == 'paid', cents), else_=0)),
                where=instalment.state.in_(APPROVED)),
            ]


class Envelope(metaclass=PoolMeta):
    __name__ = 'grant.envelope'

    exercises = fields.One2Many(
        'grant.envelope.exercise', 'envelope', "Exercises", readonly=True)
