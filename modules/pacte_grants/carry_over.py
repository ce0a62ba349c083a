# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What an exercise did not pay goes on in the next one.

The part of the commitment that is left moves to the envelope of the next
year, and with it the instalments that wait.  What was committed on an
authorisation of several years (AE, AP) stays there: it is the exercise whose
credits pay that changes.
"""
from collections import defaultdict
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import Index, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import check_access, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .check import bulleted, money
from .envelope import MULTI_YEAR
from .exceptions import CarryOverError
from .mixin import acting_user

MOVED = ['planned', 'certified', 'approved']


class Commitment(metaclass=PoolMeta):
    __name__ = 'grant.commitment'

    carried_from = fields.Many2One(
        'grant.commitment', "Carried Over From", readonly=True,
        ondelete='RESTRICT')
    carried_to = fields.One2Many(
        'grant.commitment', 'carried_from', "Carried Over To",
        readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.carried_from, Index.Equality())))

    @classmethod
    def with_carried(cls, commitments):
        found = []
        for commitment in super().with_carried(commitments):
            found.append(commitment)
            found.extend(cls.with_carried([
                        c for c in commitment.carried_to
                        if c.state == 'committed']))
        return found

    @classmethod
    @without_check_access
    def carry_to(cls, amounts, targets):
        """Move the amounts (euros, by commitment) to the envelopes that
        ``targets`` gives by envelope; return the new commitments by
        commitment."""
        if not amounts:
            return {}
        cls.write(*[
                part for source, amount in amounts.items() for part in (
                    [source], {'amount': source.amount - amount})])
        created = cls.create([{
                    'envelope': targets[source.envelope].id,
                    'party': source.party.id,
                    'year': source.year,
                    'company': source.company.id,
                    'amount': amount,
                    'finance_number': source.finance_number,
                    'carried_from': source.id,
                    } for source, amount in amounts.items()])
        cls.commit(created)
        return dict(zip(amounts, created, strict=True))


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    def _release(self, commitments):
        Commitment = Pool().get('grant.commitment')
        super()._release(Commitment.with_carried(commitments))


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'carry_over': {
                    'invisible': ~Eval('state').in_(MOVED),
                    'depends': ['state'],
                    },
                })

    @classmethod
    def get_sources(cls, instalments):
        """Return, by instalment, the commitment that pays it as things
        stand, ``None`` if there is none: its own from its certification on,
        before that the first that the others leave room on."""
        found = {
            i: [i.commitment] if i.commitment else i._get_commitments()
            for i in instalments}
        drawn = cls._drawn({c for cs in found.values() for c in cs})
        sources = {}
        for instalment, commitments in found.items():
            if instalment.commitment:
                sources[instalment] = instalment.commitment
                continue

            def room(commitment):
                return commitment.amount - drawn[commitment.id]

            source = next(
                (c for c in commitments if room(c) >= instalment.amount),
                max(commitments, key=room, default=None))
            if source:
                drawn[source.id] += instalment.amount
            sources[instalment] = source
        return sources

    @classmethod
    @ModelView.button_action('pacte_grants.act_instalment_carry_over')
    def carry_over(cls, instalments):
        "Ask for the exercise to which they go."

    @classmethod
    def carry_to(cls, instalments, year):
        """Move the instalments that wait, and what their commitments keep
        for them, to the envelopes of the same codes of the year; those of an
        authorisation of several years stay on it and are paid from its
        credits of the year.

        All or nothing: raise ``CarryOverError`` with what stands in the way
        of each, ``CeilingError`` above what an envelope of the year
        authorises or may pay (invariant 2).
        """
        Envelope = Pool().get('grant.envelope')
        acting_user(gettext('pacte_grants.msg_act_carry_over'))
        sources = cls.get_sources(instalments)
        targets = cls.find_targets(
            {s.envelope for s in sources.values() if s}, year)
        Envelope.claim(sorted(
                {*targets, *targets.values()}, key=lambda e: e.id))
        instalments = cls.claim(instalments)
        sources = cls.get_sources(instalments)
        cls._check_carry_over(instalments, sources, targets, year)
        cls.move(instalments, sources, targets, year)
        Envelope.check_payment_credits(list(targets.values()))

    @classmethod
    @without_check_access
    def move(cls, instalments, sources, targets, year):
        """Move the claimed instalments, and what their commitments keep for
        them, to the targets of their envelopes in the exercise; return the
        new commitments by commitment."""
        pool = Pool()
        amounts = defaultdict(Decimal)
        for instalment in instalments:
            source = sources[instalment]
            if targets[source.envelope] != source.envelope:
                amounts[source] += instalment.amount
        new = pool.get('grant.commitment').carry_to(amounts, targets)
        events = [
            instalment._get_event(sources[instalment], targets, year)
            for instalment in instalments]
        by_commitment = defaultdict(list)
        for instalment in instalments:
            source = sources[instalment]
            by_commitment[
                new.get(source) if instalment.commitment else None
                ].append(instalment)
        to_write = []
        for commitment, sub in by_commitment.items():
            values = {'exercise': year}
            if commitment:
                values['commitment'] = commitment.id
            to_write.extend((sub, values))
        if to_write:
            cls.write(*to_write)
        pool.get('grant.event').add(events)
        return new

    def _get_event(self, source, targets, year):
        "Return what the journal keeps of the move of the instalment."
        before, after = source.envelope, targets[source.envelope]
        if before == after:
            before, after = self.get_exercise(source), year
        return {
            'record': self, 'name': 'exercise',
            'before': before, 'after': after}

    @classmethod
    def find_targets(cls, envelopes, year):
        """Return, by envelope, the one in which it goes on in the year: that
        of the same code, or itself if its authorisation is of several
        years."""
        Envelope = Pool().get('grant.envelope')
        targets = {e: e for e in envelopes if e.kind in MULTI_YEAR}
        found = {}
        for envelope in Envelope.search([
                    ('code', 'in', [
                            e.code for e in envelopes if e not in targets]),
                    ('year', '=', year)]):
            found[envelope.company, envelope.code] = envelope
        for envelope in envelopes:
            if (envelope not in targets
                    and (envelope.company, envelope.code) in found):
                targets[envelope] = found[envelope.company, envelope.code]
        return targets

    @classmethod
    def _check_carry_over(cls, instalments, sources, targets, year):
        problems = []
        for instalment in instalments:
            problems.extend(instalment.get_carry_over_problems(
                    sources[instalment], targets, year))
        left = defaultdict(Decimal)
        for instalment in instalments:
            if sources[instalment]:
                left[sources[instalment]] += instalment.amount
        for source, amount in left.items():
            if amount > source.amount:
                problems.append(gettext(
                        'pacte_grants.msg_carry_over_amount',
                        commitment=source.rec_name, amount=money(amount),
                        left=money(source.amount)))
        if problems:
            raise CarryOverError(gettext(
                    'pacte_grants.msg_carry_over_refused',
                    reasons=bulleted(problems)))

    def get_carry_over_problems(self, source, targets, year):
        """Return, in sentences, why the instalment cannot go from its
        commitment to the target of its envelope in the exercise."""
        names = {'instalment': self.rec_name, 'year': year}
        if self.state not in MOVED:
            return [gettext(
                    'pacte_grants.msg_carry_over_state', **names,
                    state=self.state_label)]
        if not source:
            return [gettext(
                    'pacte_grants.msg_carry_over_no_commitment', **names)]
        if source.envelope not in targets:
            return [gettext(
                    'pacte_grants.msg_carry_over_no_envelope', **names,
                    envelope=source.envelope.rec_name)]
        if self.is_in_exercise(source, year):
            return [gettext('pacte_grants.msg_carry_over_year', **names)]
        if (payment := self.payment) and payment.group:
            return [gettext(
                    'pacte_grants.msg_batch_already', **names,
                    batch=payment.group.rec_name)]
        if self.imputations:
            return self.check_imputations(year, targets[source.envelope])
        return []

    def is_in_exercise(self, source, year):
        "Whether it is paid in the exercise or later as things stand."
        envelope = source.envelope
        if envelope.kind in MULTI_YEAR:
            return self.get_exercise(source) >= year
        return envelope.year >= year


class CarryOverStart(ModelView):
    __name__ = 'grant.carry_over.start'
    __string__ = "Carry-over to an Exercise"

    year = fields.Integer("To the Exercise", required=True)
    currency = fields.Many2One('currency.currency', "Currency", readonly=True)
    count = fields.Integer("Payments", readonly=True)
    amount = Monetary(
        "Amount", currency='currency', digits='currency', readonly=True)
    verdict = fields.Text("Verdict", readonly=True)


class CarryOver(Wizard):
    "Carry what is left to the next exercise, after saying what would be."
    __name__ = 'grant.carry_over'

    start = StateView(
        'grant.carry_over.start',
        'pacte_grants.carry_over_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Carry Over", 'carry', 'tryton-ok', default=True),
            ])
    carry = StateTransition()

    def default_start(self, fields):
        Instalment = Pool().get('grant.instalment')
        instalments = list(self.records)
        sources = Instalment.get_sources(instalments)
        year = max(
            (s.envelope.year for s in sources.values() if s),
            default=Pool().get('ir.date').today().year) + 1
        verdict = gettext('pacte_grants.msg_carry_over_possible')
        try:
            Instalment._check_carry_over(
                instalments, sources, Instalment.find_targets(
                    {s.envelope for s in sources.values() if s}, year), year)
        except UserError as error:
            verdict = error.message
        return {
            'year': year,
            'currency': instalments[0].currency.id if instalments else None,
            'count': len(instalments),
            'amount': sum((i.amount for i in instalments), Decimal(0)),
            'verdict': verdict,
            }

    def transition_carry(self):
        Instalment = Pool().get('grant.instalment')
        Group = Pool().get('account.payment.group')
        Group.check_finance()
        with check_access():
            # What the user may not see stays where it is.
            instalments = Instalment.search(
                [('id', 'in', [r.id for r in self.records])])
        Instalment.carry_to(
            Instalment.browse(instalments), self.start.year)
        return 'end'

    def end(self):
        return 'reload'
