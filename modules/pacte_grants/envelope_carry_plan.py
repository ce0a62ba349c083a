# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What a whole envelope leaves at the end of an exercise, without changing
anything: what goes on in the next one, what stays and why.

An annual credit hands over what was committed and is still expected, with
its authorisation and its payment credits.  An authorisation of several years
(AE, AP) keeps its commitments: payment credits alone are opened again.
"""
import datetime as dt
from collections import defaultdict
from decimal import Decimal

from sql.aggregate import Sum

from trytond.i18n import gettext
from trytond.pool import Pool
from trytond.tools import grouped_slice, reduce_ids

from .check import bulleted, money
from .convention import DEAD_STATES
from .envelope import MULTI_YEAR
from .sums import SLICE, read_sums

_ORDERED = ['paying', 'paid']
_APPROVED = ['approved', *_ORDERED]


class Line:
    """What becomes of a commitment: the amounts (euros) of ``parts``, which
    add up to ``left``, the instalments that go on and the reasons why the
    rest does not."""
    parts = ['carried', 'accrued', 'held', 'to_release']

    def __init__(self, commitment, left):
        self.commitment = commitment
        self.left = left
        self.carried = self.accrued = self.held = Decimal(0)
        self.instalments = []
        self.reasons = []

    @property
    def to_release(self):
        return self.left - self.carried - self.accrued - self.held

    @property
    def reason(self):
        "Why what is left does not go on, as one text."
        if len(self.reasons) < 2:
            return ''.join(self.reasons) or None
        return bulleted(self.reasons)

    def hold(self, amount, reason):
        "Keep back what of the amount is left."
        self.held += min(amount, self.to_release)
        self.reasons.append(reason)


class Plan:
    """The carry-over of an envelope to an exercise as things stand.

    ``leave_accrued``: what is certified or acquired by the end of the
    exercise is accrued to it and stays; ``with_movements``: what is
    authorised and the payment credits follow.
    """

    def __init__(self, envelope, year, leave_accrued, with_movements):
        Instalment = Pool().get('grant.instalment')
        self.envelope = envelope
        self.year = year
        self.leave_accrued = leave_accrued
        self.with_movements = with_movements
        self.targets = Instalment.find_targets([envelope], year)
        self.target = self.targets.get(envelope)
        self.staying = []
        self._accrual_end = dt.date(year - 1, 12, 31)
        self._find_lines()
        self._count_credits()

    @property
    def is_multi_year(self):
        return self.envelope.kind in MULTI_YEAR

    def total(self, name):
        return sum((getattr(li, name) for li in self.lines), Decimal(0))

    @property
    def instalments(self):
        return [i for line in self.lines for i in line.instalments]

    @property
    def bare(self):
        """What goes on without an instalment, by commitment (euros): its
        convention is still to be made."""
        return {
            li.commitment: li.carried for li in self.lines
            if li.carried and not li.instalments}

    # The lines

    def _find_lines(self):
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        Instalment = pool.get('grant.instalment')
        commitments = Commitment.search([
                ('envelope', '=', self.envelope.id),
                ('state', 'in', ['reserved', 'committed']),
                ], order=[('id', 'ASC')])
        ordered = self._get_ordered(commitments)
        self.lines = [
            Line(c, c.amount - ordered[c.id]) for c in commitments
            if c.amount > ordered[c.id]]
        lines = {li.commitment: li for li in self.lines}
        applications = self._get_applications(lines)
        instalments = self._get_instalments(lines, applications)
        self.sources = Instalment.get_sources(instalments)
        settled = self._get_settled(instalments)
        for instalment in instalments:
            if line := lines.get(self.sources[instalment]):
                self._judge(line, instalment, instalment.tranche in settled)
        for line in self.lines:
            self._judge_rest(line, applications.get(line.commitment))

    @staticmethod
    def _get_ordered(commitments):
        "Return what was ordered of each commitment, by id (euros)."
        instalment = Pool().get('grant.instalment').__table__()
        ordered = defaultdict(Decimal)
        for sub in grouped_slice([c.id for c in commitments], SLICE):
            ordered.update(read_sums(instalment.select(
                        instalment.commitment, Sum(instalment.amount),
                        where=reduce_ids(instalment.commitment, list(sub))
                        & instalment.state.in_(_ORDERED),
                        group_by=[instalment.commitment])))
        return ordered

    @staticmethod
    def _get_applications(commitments):
        "Return, by commitment, the application for which it was voted."
        Decision = Pool().get('grant.decision')
        roots = {}
        for commitment in commitments:
            root = commitment
            while root.carried_from:
                root = root.carried_from
            roots[commitment] = root
        found = {}
        for sub in grouped_slice({r.id for r in roots.values()}, SLICE):
            for decision in Decision.search([
                        ('commitment', 'in', list(sub))]):
                found[decision.commitment] = decision.application
        return {c: found[root] for c, root in roots.items() if root in found}

    @staticmethod
    def _get_instalments(commitments, applications):
        """Return what waits to be paid from the commitments: what was
        certified, then what is still expected of their conventions."""
        Instalment = Pool().get('grant.instalment')
        certified, planned = [], []
        for sub in grouped_slice([c.id for c in commitments], SLICE):
            certified += Instalment.search([
                    ('commitment', 'in', list(sub)),
                    ('state', 'in', ['certified', 'approved']),
                    ], order=[('id', 'ASC')])
        conventions = {
            a.convention.id for a in applications.values() if a.convention}
        for sub in grouped_slice(conventions, SLICE):
            planned += Instalment.search([
                    ('convention', 'in', list(sub)),
                    ('convention.state', 'not in',
                        sorted(DEAD_STATES | {'closed'})),
                    ('state', '=', 'planned'),
                    ['OR',
                        ('tranche.status', '=', 'voted'),
                        ('advance_decision', '!=', None),
                        ],
                    ], order=[('id', 'ASC')])
        # Read together
        return Instalment.browse([i.id for i in certified + planned])

    def _get_settled(self, instalments):
        """Return the tranches whose balance was settled by the end of the
        exercise and stands: what is left of them is acquired."""
        Liquidation = Pool().get('grant.liquidation')
        settled = set()
        for sub in grouped_slice({i.tranche.id for i in instalments}, SLICE):
            settled.update(li.tranche for li in Liquidation.search([
                        ('tranche', 'in', list(sub)),
                        ('state', '=', 'established'),
                        ('stale', '!=', True),
                        ('established_on', '<=', self._accrual_end),
                        ]))
        return settled

    def _judge(self, line, instalment, settled):
        "Say whether the instalment goes on, and add it to its line."
        amount = instalment.amount
        if self.leave_accrued and (settled or (
                    instalment.certified_on
                    and instalment.certified_on <= self._accrual_end)):
            line.accrued += min(amount, line.to_release)
            line.reasons.append(gettext(
                    'pacte_grants.msg_envelope_carry_accrued',
                    instalment=instalment.rec_name, amount=money(amount),
                    exercise=self.year - 1))
        elif problems := instalment.get_carry_over_problems(
                line.commitment, {self.envelope: self.envelope}
                | self.targets, self.year):
            line.hold(amount, '\n'.join(problems))
        elif amount > line.to_release:
            line.hold(amount, gettext(
                    'pacte_grants.msg_carry_over_amount',
                    commitment=line.commitment.rec_name,
                    amount=money(amount), left=money(line.to_release)))
        else:
            line.carried += amount
            line.instalments.append(instalment)
            return
        self.staying.append(instalment)

    def _judge_rest(self, line, application):
        "Say what becomes of what no instalment claims."
        rest = line.to_release
        if not rest:
            return
        if line.commitment.state == 'reserved':
            line.hold(rest, gettext(
                    'pacte_grants.msg_envelope_carry_reserved'))
        elif application and not application.convention:
            if self.is_multi_year:
                line.hold(rest, gettext(
                        'pacte_grants.msg_envelope_carry_no_schedule'))
            else:
                line.carried += rest
        else:
            line.reasons.append(gettext(
                    'pacte_grants.msg_envelope_carry_release',
                    amount=money(rest)))

    # The payment credits

    def _count_credits(self):
        """Count, by exercise, the credits that follow what is carried over:
        what is left of them after what stays (euros)."""
        Envelope = Pool().get('grant.envelope')
        envelopes = {self.envelope, self.target} - {None}
        self._credits = Envelope.get_credits(envelopes)
        carried, approved, needed = (
            defaultdict(Decimal) for _ in range(3))
        for instalment in self.instalments:
            exercise = self._get_exercise(instalment)
            carried[exercise] += instalment.amount
            if instalment.state == 'approved':
                approved[exercise] += instalment.amount
        for amount in self.bare.values():
            carried[self.envelope.year] += amount
        for instalment in self.staying:
            if instalment.state != 'approved':
                needed[self._get_exercise(instalment)] += instalment.amount
        self.carried_approved = sum(approved.values(), Decimal(0))
        self.credits = {}
        for exercise, amount in carried.items():
            credit, used = self._credits[self.envelope.id, exercise]
            room = credit - used + approved[exercise] - needed[exercise]
            self.credits[exercise] = max(min(amount, room), Decimal(0))

    def _get_exercise(self, instalment):
        if self.is_multi_year:
            return instalment.get_exercise(self.sources[instalment])
        return self.envelope.year

    @property
    def credit(self):
        "The payment credits that follow (euros)."
        if not self.with_movements:
            return Decimal(0)
        return sum(self.credits.values(), Decimal(0))

    # What stands in the way

    def get_problems(self):
        "Return, in sentences, why the envelope cannot be carried over."
        names = {'envelope': self.envelope.rec_name, 'year': self.year}
        if not self.target:
            return [gettext(
                    'pacte_grants.msg_envelope_carry_no_target', **names,
                    code=self.envelope.code)]
        if self.year <= self.envelope.year:
            return [gettext('pacte_grants.msg_envelope_carry_year', **names)]
        names['target'] = self.target.rec_name
        if (self.target.kind != self.envelope.kind
                or self.target.budget_section
                != self.envelope.budget_section):
            return [gettext('pacte_grants.msg_envelope_carry_kind', **names)]
        if not self.total('carried'):
            return [gettext(
                    'pacte_grants.msg_envelope_carry_nothing', **names)]
        return self._get_ceiling_problems()

    def _get_ceiling_problems(self):
        problems = []
        names = {'target': self.target.rec_name, 'year': self.year}
        carried = self.total('carried')
        brought = carried if self.with_movements else Decimal(0)
        if not self.is_multi_year:
            missing = carried - brought - self.target.available
            if missing > 0:
                problems.append(gettext(
                        'pacte_grants.msg_envelope_carry_below', **names,
                        missing=money(missing), amount=money(carried)))
        credit, approved = self._credits[self.target.id, self.year]
        missing = approved + self.carried_approved - credit - self.credit
        if missing > 0:
            problems.append(gettext(
                    'pacte_grants.msg_envelope_carry_credit_below', **names,
                    missing=money(missing),
                    approved=money(self.carried_approved)))
        return problems

    # What follows

    def get_movements(self, reference):
        """Return the values of the movements, those that give first: on the
        next exercise, then on the one that ends.

        Each takes from one exactly what it gives to the other.
        """
        if not self.with_movements:
            return [], []
        given, taken = [], []

        def values(envelope, date, amount, exercise, credit):
            return {
                'envelope': envelope.id,
                'kind': 'carry_over',
                'date': date,
                'amount': amount,
                'payment_year': exercise,
                'payment_credit': credit,
                'reference': reference,
                }
        for exercise, credit in sorted(self.credits.items()):
            amount = (
                Decimal(0) if self.is_multi_year else self.total('carried'))
            if not (amount or credit):
                continue
            given.append(values(
                    self.target, dt.date(self.year, 1, 1), amount, self.year,
                    credit))
            taken.append(values(
                    self.envelope, dt.date(exercise, 12, 31), -amount,
                    exercise, -credit))
        return given, taken
