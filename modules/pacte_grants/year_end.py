# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What an exercise leaves: the statement of its commitments for finance and
the annex of the grants and the aid in kind by beneficiary (L35).

The statement counts payments at the date of their order, the date at which
they are charged to an exercise; everything else is read as it stands.
"""
import datetime as dt

from sql import Cast, Literal, Null, Union, Window, With
from sql.aggregate import Max, Sum
from sql.conditionals import Case, Coalesce, Greatest, Least
from sql.functions import Extract, Round
from sql.operators import Exists

from trytond import backend
from trytond.model import ModelSQL, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool
from trytond.pyson import Eval, If
from trytond.transaction import Transaction, without_check_access

from .check import year_domain
from .convention import DEAD_STATES
from .party import PUBLIC_KINDS
from .scheme import CompanyMixin

_DRAWN = ['certified', 'approved', 'paying', 'paid']


def _cents(amount):
    """Return the SQL of the amount as an integer: sums and differences are
    exact on SQLite too."""
    return Cast(Round(amount * 100), 'BIGINT')


def _amount(cents):
    "Return the SQL of the amount of the cents."
    if backend.name == 'sqlite':
        return Round(cents / 100.0, 2)
    return Round(Cast(cents, 'NUMERIC') / 100, 2)


def _total(cents):
    return Coalesce(Sum(cents), 0)


def get_origin():
    "The commitment that was voted, by commitment carried over from it."
    Commitment = Pool().get('grant.commitment')
    first, child = Commitment.__table__(), Commitment.__table__()
    origin = With('commitment', 'root', recursive=True)
    origin.query = first.select(
        first.id, first.id, where=first.carried_from == Null)
    origin.query |= child.join(
        origin, condition=child.carried_from == origin.commitment
        ).select(child.id, origin.root)
    origin.query.all_ = True
    return origin


class Context(ModelView):
    "The exercise that is closed."
    __name__ = 'grant.year_end.context'
    __string__ = "Exercise"

    exercise = fields.Integer(
        "Exercise", required=True, domain=year_domain('exercise'))

    @classmethod
    def default_exercise(cls):
        return cls.get_exercise()

    @staticmethod
    def get_exercise():
        "Return the exercise of the context, the current one by default."
        exercise = Transaction().context.get('exercise')
        if isinstance(exercise, int) and 0 < exercise < 9999:
            return exercise
        return Pool().get('ir.date').today().year


class Statement(CompanyMixin, ModelSQL, ModelView):
    "What the exercise leaves of each accounting commitment."
    __name__ = 'grant.year_end.statement'
    __string__ = "Year-end Statement"

    exercise = fields.Integer("Exercise")
    commitment = fields.Many2One('grant.commitment', "Commitment")
    finance_number = fields.Char(
        "Finance Number",
        help="The number of the commitment in the finance package.")
    envelope = fields.Many2One('grant.envelope', "Envelope")
    party = fields.Many2One(
        'party.party', "Partner",
        context={'company': Eval('company', -1)}, depends={'company'})
    convention = fields.Many2One('grant.convention', "Convention")
    convention_state = fields.Selection(
        'get_convention_states', "State of the Convention")
    year = fields.Integer(
        "Year of the Grant", help="The year of the tranche.")
    committed = Monetary(
        "Committed", currency='currency', digits='currency',
        help="What the vote committed.")
    released = Monetary(
        "Released", currency='currency', digits='currency',
        help="What was given back to the envelope already.")
    ordered_before = Monetary(
        "Ordered Before", currency='currency', digits='currency',
        help="Payments ordered in earlier exercises.")
    ordered = Monetary(
        "Ordered in the Exercise", currency='currency', digits='currency',
        help="Payments whose order is of the exercise; the date of the "
        "payment counts where the payer did not give that of the order.")
    paid = Monetary(
        "Paid in the Exercise", currency='currency', digits='currency')
    left = Monetary(
        "Committed, Not Ordered", currency='currency', digits='currency',
        help="At the end of the exercise: the sum of what is to be accrued, "
        "carried over and released.")
    to_accrue = Monetary(
        "To Accrue", currency='currency', digits='currency',
        help="Certified by the end of the exercise, or acquired after a "
        "settled balance, and not ordered then.")
    to_carry_over = Monetary(
        "To Carry Over", currency='currency', digits='currency',
        help="Still expected in instalments to come, or carried over "
        "already.")
    to_release = Monetary(
        "To Release", currency='currency', digits='currency',
        help="No instalment is expected any more.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [
            ('envelope', 'ASC'), ('party', 'ASC'), ('commitment', 'ASC'),
            ('id', 'ASC')]

    @classmethod
    def get_convention_states(cls):
        Convention = Pool().get('grant.convention')
        return [(None, '')] + Convention.fields_get(['state'])[
            'state']['selection']

    @classmethod
    def table_query(cls):
        pool = Pool()
        exercise = pool.get('grant.year_end.context').get_exercise()
        start, end = dt.date(exercise, 1, 1), dt.date(exercise, 12, 31)
        commitment = pool.get('grant.commitment').__table__()
        envelope = pool.get('grant.envelope').__table__()
        application = pool.get('grant.application').__table__()
        convention = pool.get('grant.convention').__table__()
        origin = get_origin()
        moved = cls._moved(exercise)
        vote = cls._votes()
        drawn = cls._drawn(start, end)
        carried = cls._carried(moved, start, end)
        expected = cls._expected(end)

        state_amount = Case(
            (commitment.state == 'committed', _cents(commitment.amount)),
            else_=0)
        before, ordered = Coalesce(drawn.before, 0), Coalesce(drawn.ordered, 0)
        # What was paid stays committed, even of what was released since.
        kept = Greatest(state_amount, before + ordered)
        rows = (commitment
            .join(envelope, condition=commitment.envelope == envelope.id)
            .join(origin, condition=origin.commitment == commitment.id)
            .join(vote, 'LEFT', condition=vote.commitment == origin.root)
            .join(application, 'LEFT',
                condition=application.id == vote.application)
            .join(convention, 'LEFT',
                condition=convention.id == application.convention)
            .join(drawn, 'LEFT', condition=drawn.commitment == commitment.id)
            .join(carried, 'LEFT',
                condition=carried.commitment == commitment.id)
            .select(
                commitment.id, commitment.company, commitment.party,
                commitment.envelope, commitment.year,
                commitment.finance_number,
                (envelope.year == exercise).as_('current'),
                convention.id.as_('convention'),
                convention.state.as_('convention_state'),
                Case((commitment.carried_from == Null,
                        Coalesce(vote.amount, 0)), else_=0).as_('voted'),
                kept.as_('kept'),
                before.as_('before'),
                ordered.as_('ordered'),
                Coalesce(drawn.paid, 0).as_('paid'),
                (kept - before - ordered).as_('left'),
                Coalesce(drawn.due, 0).as_('due'),
                Coalesce(drawn.later, 0).as_('later'),
                Coalesce(carried.amount, 0).as_('carried'),
                Coalesce(carried.planned, 0).as_('planned_carried'),
                where=(envelope.year <= exercise)
                & ((commitment.state == 'committed')
                    | (commitment.state == 'released')
                    & (vote.commitment != Null))))
        # What is under way takes its part first; planned instalments have
        # no commitment yet and fill the room that is left, in order.
        due = Least(rows.due, rows.left)
        later = Least(rows.later, rows.left - due)
        parts = rows.select(
            rows.id, rows.company, rows.party, rows.envelope, rows.year,
            rows.finance_number, rows.current, rows.convention,
            rows.convention_state, rows.voted, rows.kept, rows.before,
            rows.ordered, rows.paid, rows.left, rows.carried,
            rows.planned_carried,
            due.as_('due'), later.as_('later'),
            (rows.left - due - later).as_('room'))
        of_tranche = Window([parts.convention, parts.year])
        until = Window(
            [parts.convention, parts.year], order_by=[parts.id.asc],
            frame='ROWS', start=None, end=0)
        rooms = parts.join(expected, 'LEFT',
            condition=(expected.convention == parts.convention)
            & (expected.year == parts.year)).select(
            parts.id, parts.company, parts.party, parts.envelope, parts.year,
            parts.finance_number, parts.current, parts.convention,
            parts.convention_state, parts.voted, parts.kept, parts.before,
            parts.ordered, parts.paid, parts.left, parts.carried,
            parts.due, parts.later, parts.room,
            Coalesce(expected.settled, 0).as_('settled'),
            (Coalesce(expected.amount, 0)
                - Sum(parts.planned_carried, window=of_tranche)
                - (Sum(parts.room, window=until) - parts.room)).as_('wanted'))
        # Without a convention, the schedule is still to be made.
        wanted = Case(
            (rooms.convention == Null, rooms.room),
            else_=Least(Greatest(rooms.wanted, 0), rooms.room))
        to_accrue = rooms.due + Case((rooms.settled > 0, wanted), else_=0)
        to_carry_over = (
            rooms.later + rooms.carried
            + Case((rooms.settled > 0, 0), else_=wanted))
        left = rooms.left + rooms.carried
        kept = rooms.kept + rooms.carried
        committed = Greatest(rooms.voted, kept)
        return rooms.select(
            rooms.id.as_('id'),
            rooms.company.as_('company'),
            cls.exercise.sql_cast(Literal(exercise)).as_('exercise'),
            rooms.id.as_('commitment'),
            rooms.finance_number.as_('finance_number'),
            rooms.envelope.as_('envelope'),
            rooms.party.as_('party'),
            rooms.convention.as_('convention'),
            rooms.convention_state.as_('convention_state'),
            rooms.year.as_('year'),
            _amount(committed).as_('committed'),
            _amount(committed - kept).as_('released'),
            _amount(rooms.before).as_('ordered_before'),
            _amount(rooms.ordered).as_('ordered'),
            _amount(rooms.paid).as_('paid'),
            _amount(left).as_('left'),
            _amount(to_accrue).as_('to_accrue'),
            _amount(to_carry_over).as_('to_carry_over'),
            _amount(left - to_accrue - to_carry_over).as_('to_release'),
            # Of earlier exercises, what still moves
            where=rooms.current
            | (left > 0) | (rooms.ordered > 0) | (rooms.paid > 0),
            with_=[origin, moved])

    @staticmethod
    def _moved(exercise):
        """The commitments of later exercises, by the last one of this
        exercise or before from which they were carried over."""
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        Envelope = pool.get('grant.envelope')
        first, child = Commitment.__table__(), Commitment.__table__()
        now, after = Envelope.__table__(), Envelope.__table__()
        moved = With('source', 'commitment', recursive=True)
        moved.query = first.join(
            now, condition=first.envelope == now.id).select(
            first.id, first.id, where=now.year <= exercise)
        moved.query |= child.join(
            moved, condition=child.carried_from == moved.commitment).join(
            after, condition=child.envelope == after.id).select(
            moved.source, child.id, where=after.year > exercise)
        moved.query.all_ = True
        return moved

    @staticmethod
    def _votes():
        "What was voted, by commitment, and the application."
        decision = Pool().get('grant.decision').__table__()
        return decision.select(
            decision.commitment.as_('commitment'),
            Max(decision.application).as_('application'),
            _total(_cents(decision.amount)).as_('amount'),
            where=(decision.commitment != Null)
            & (decision.outcome == 'granted'),
            group_by=[decision.commitment])

    @staticmethod
    def _settled(tranche, end):
        "Whether the balance of the tranche was settled then and stands."
        liquidation = Pool().get('grant.liquidation').__table__()
        return Exists(liquidation.select(Literal(1),
                where=(liquidation.tranche == tranche)
                & (liquidation.state == 'established')
                & (Coalesce(liquidation.stale, Literal(False))
                    == Literal(False))
                & (liquidation.established_on <= end)))

    @classmethod
    def _drawn(cls, start, end):
        "The instalments of each commitment, from their certification on."
        instalment = Pool().get('grant.instalment').__table__()
        date = Case(
            (instalment.state.in_(['paying', 'paid']),
                Coalesce(instalment.ordered_on, instalment.paid_on)),
            else_=Null)
        cents = _cents(instalment.amount)
        due = (
            (instalment.certified_on <= end)
            | cls._settled(instalment.tranche, end))
        paid = (
            (instalment.state == 'paid')
            & (instalment.paid_on >= start) & (instalment.paid_on <= end))
        return instalment.select(
            instalment.commitment.as_('commitment'),
            _total(Case((date < start, cents), else_=0)).as_('before'),
            _total(Case(
                    ((date >= start) & (date <= end), cents),
                    else_=0)).as_('ordered'),
            _total(Case((paid, cents), else_=0)).as_('paid'),
            _total(Case(
                    (date <= end, 0), (due, cents), else_=0)).as_('due'),
            _total(Case(
                    (date <= end, 0), (due, 0), else_=cents)).as_('later'),
            where=(instalment.commitment != Null)
            & instalment.state.in_(_DRAWN),
            group_by=[instalment.commitment])

    @classmethod
    def _carried(cls, moved, start, end):
        """What was carried over from each commitment, and how much of it
        for instalments that are planned only."""
        commitment = Pool().get('grant.commitment').__table__()
        instalment = Pool().get('grant.instalment').__table__()
        drawn = instalment.select(
            instalment.commitment.as_('commitment'),
            _total(_cents(instalment.amount)).as_('amount'),
            where=(instalment.commitment != Null)
            & instalment.state.in_(_DRAWN),
            group_by=[instalment.commitment])
        cents = _cents(commitment.amount)
        return (moved
            .join(commitment, condition=moved.commitment == commitment.id)
            .join(drawn, 'LEFT', condition=drawn.commitment == commitment.id)
            .select(
                moved.source.as_('commitment'),
                Sum(cents).as_('amount'),
                Sum(Greatest(cents - Coalesce(drawn.amount, 0), 0)
                    ).as_('planned'),
                where=(moved.source != moved.commitment)
                & (commitment.state == 'committed'),
                group_by=[moved.source]))

    @classmethod
    def _expected(cls, end):
        "The planned instalments that are still due, by convention and year."
        pool = Pool()
        instalment = pool.get('grant.instalment').__table__()
        tranche = pool.get('grant.tranche').__table__()
        convention = pool.get('grant.convention').__table__()
        return (instalment
            .join(tranche, condition=instalment.tranche == tranche.id)
            .join(convention,
                condition=tranche.convention == convention.id)
            .select(
                tranche.convention.as_('convention'),
                tranche.year.as_('year'),
                _total(_cents(instalment.amount)).as_('amount'),
                Max(Case((cls._settled(tranche.id, end), 1), else_=0)
                    ).as_('settled'),
                where=(instalment.state == 'planned')
                & ((tranche.status == 'voted')
                    | (instalment.advance_decision != Null))
                & ~convention.state.in_(sorted(DEAD_STATES | {'closed'})),
                group_by=[tranche.convention, tranche.year]))

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('to_release', 0) > 0, 'warning',
                    If(Eval('left', 0) == 0, 'muted', '')),
                ['to_release', 'left']),
            ]

    def get_rec_name(self, name):
        return f'{self.commitment.rec_name} – {self.exercise}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('commitment.rec_name', *clause[1:]),
            ('convention.rec_name', *clause[1:]),
            ('party.rec_name', *clause[1:]),
            ('finance_number', *clause[1:])]


class Beneficiary(CompanyMixin, ModelSQL, ModelView):
    """The grants and the aid in kind of a beneficiary in an exercise, for the
    annex to the accounts (L35)."""
    __name__ = 'grant.year_end.beneficiary'
    __string__ = "Grants by Beneficiary"

    party = fields.Many2One(
        'party.party', "Beneficiary",
        context={'company': Eval('company', -1)}, depends={'company'})
    year = fields.Integer("Exercise")
    nature = fields.Selection([
            ('private', "Private Law"),
            ('public', "Public Law"),
            ], "Nature", sort=False)
    voted = Monetary(
        "Voted", currency='currency', digits='currency',
        help="Grants voted for the exercise, reductions deducted.")
    paid = Monetary(
        "Paid", currency='currency', digits='currency',
        help="Payments made in the exercise, whatever the year of the vote.")
    in_kind = Monetary(
        "Aid in Kind", currency='currency', digits='currency',
        help="What the confirmed aid in kind is worth in the exercise.")
    total = Monetary(
        "Total", currency='currency', digits='currency',
        help="What was paid and what was given in kind.")
    income = Monetary(
        "Income of the Body", currency='currency', digits='currency',
        help="The total income of the latest accounts that the partner sent, "
        "if they were read.")
    share = fields.Float(
        "Share of the Income", digits=(None, 4),
        help="What was paid and given in kind, over the income of the body.")
    large = fields.Boolean(
        "Above the Threshold",
        help="Paid and given in kind above the threshold of the annex to the "
        "accounts, or above the share of the income of the body (L35).")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [
            ('year', 'DESC'), ('party', 'ASC'), ('id', 'ASC')]

    @classmethod
    def table_query(cls):
        pool = Pool()
        party = pool.get('party.party').__table__()
        rows = Union(
            cls._voted(), cls._paid(), cls._given_in_kind(), all_=True)
        sums = rows.select(
            rows.company, rows.party, rows.year,
            _total(rows.voted).as_('voted'), _total(rows.paid).as_('paid'),
            _total(rows.in_kind).as_('in_kind'),
            group_by=[rows.company, rows.party, rows.year])
        accounts, latest = pool.get('grant.partner.piece').join_income(
            sums.party, sums.year)
        total = sums.paid + sums.in_kind
        income = _cents(accounts.income)
        return (sums
            .join(party, condition=sums.party == party.id)
            .join(accounts, 'LEFT', condition=latest)
            .select(
                (Cast(sums.company, 'BIGINT') * 10 ** 13
                    + Cast(sums.party, 'BIGINT') * 10 ** 4
                    + sums.year).as_('id'),
                sums.company.as_('company'),
                sums.party.as_('party'),
                sums.year.as_('year'),
                Case((party.partner_kind.in_(PUBLIC_KINDS), 'public'),
                    else_='private').as_('nature'),
                _amount(sums.voted).as_('voted'),
                _amount(sums.paid).as_('paid'),
                _amount(sums.in_kind).as_('in_kind'),
                _amount(total).as_('total'),
                accounts.income.as_('income'),
                Case((income > 0, Cast(total, 'DOUBLE PRECISION') / income),
                    else_=Null).as_('share'),
                cls._large(sums.year, total, income).as_('large'),
                where=(sums.voted != 0) | (sums.paid != 0)
                | (sums.in_kind != 0)))

    @classmethod
    def _voted(cls):
        pool = Pool()
        decision = pool.get('grant.decision').__table__()
        deliberation = pool.get('grant.deliberation').__table__()
        application = pool.get('grant.application').__table__()
        cents = _cents(decision.amount)
        return (decision
            .join(deliberation,
                condition=decision.deliberation == deliberation.id)
            .join(application,
                condition=decision.application == application.id)
            .select(
                decision.company.as_('company'),
                application.party.as_('party'),
                application.year.as_('year'),
                Case((decision.kind.in_(['reduction', 'withdrawal']), -cents),
                    else_=cents).as_('voted'),
                Cast(0, 'BIGINT').as_('paid'),
                Cast(0, 'BIGINT').as_('in_kind'),
                where=(decision.outcome == 'granted')
                & deliberation.state.in_(['voted', 'executory'])
                & (decision.amount != Null)))

    @classmethod
    def _paid(cls):
        pool = Pool()
        instalment = pool.get('grant.instalment').__table__()
        convention = pool.get('grant.convention').__table__()
        return instalment.join(
            convention,
            condition=instalment.convention == convention.id).select(
            convention.company.as_('company'),
            convention.party.as_('party'),
            cls.year.sql_cast(
                Extract('YEAR', instalment.paid_on)).as_('year'),
            Cast(0, 'BIGINT').as_('voted'),
            _cents(instalment.amount).as_('paid'),
            Cast(0, 'BIGINT').as_('in_kind'),
            where=(instalment.state == 'paid')
            & (instalment.paid_on != Null))

    @staticmethod
    def _given_in_kind():
        given = Pool().get('grant.in_kind').values_query()
        return given.select(
            given.company, given.party, given.year,
            Cast(0, 'BIGINT').as_('voted'), Cast(0, 'BIGINT').as_('paid'),
            _cents(given.value).as_('in_kind'))

    @classmethod
    def _large(cls, year, total, income):
        "Above one of the thresholds that are valid at the end of the year."
        return (
            cls._while_valid(year, 'L35_ANNEX_THRESHOLD',
                lambda value: total > int(value * 100))
            | cls._while_valid(year, 'L35_ANNEX_SHARE',
                lambda value: Coalesce(total > income * value, False)))

    @classmethod
    @without_check_access
    def _while_valid(cls, year, code, condition):
        """Return the condition (SQL) on the value that the parameter has at
        the end of the year, false where it has none."""
        Parameter = Pool().get('grant.parameter')
        cases = []
        for row in Parameter.search(
                [('code', '=', code)], order=[('valid_from', 'DESC')]):
            # The end of its first exercise is the first one that it rules.
            valid = year >= row.valid_from.year
            if row.valid_to:
                last = row.valid_to.year
                if row.valid_to < dt.date(last, 12, 31):
                    last -= 1
                valid &= year <= last
            cases.append((valid, condition(row.value)))
        if not cases:
            return Literal(False)
        return Case(*cases, else_=Literal(False))

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('large', False), 'warning', ''),
                ['large']),
            ]

    def get_rec_name(self, name):
        return f'{self.party.rec_name} – {self.year}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('party.rec_name', *clause[1:])]
