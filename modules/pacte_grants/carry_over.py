# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What an exercise did not pay goes on in the next one.

The part of the commitment that is left moves to the envelope of the next
year, and with it the instalments that wait.
"""
from collections import defaultdict
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import check_access, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .check import bulleted, money
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

    def _get_commitments(self):
        found = super()._get_commitments()
        return found + [
            c for commitment in found for c in commitment.carried_to
            if c.state == 'committed']

    def _get_source(self):
        "Return the commitment that pays the instalment as things stand."
        if self.commitment:
            return self.commitment
        commitments = self._get_commitments()
        return next(
            (c for c in commitments if c.amount >= self.amount),
            commitments[0] if commitments else None)

    @classmethod
    @ModelView.button_action('pacte_grants.act_instalment_carry_over')
    def carry_over(cls, instalments):
        "Ask for the exercise to which they go."

    @classmethod
    def carry_to(cls, instalments, year):
        """Move the instalments that wait, and what their commitments keep
        for them, to the envelopes of the same codes of the year.

        All or nothing: raise ``CarryOverError`` with what stands in the way
        of each, ``CeilingError`` above what an envelope of the year
        authorises or may pay (invariant 2).
        """
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        Envelope = pool.get('grant.envelope')
        acting_user(gettext('pacte_grants.msg_act_carry_over'))
        sources = {i: i._get_source() for i in instalments}
        targets = cls._find_targets(
            {s.envelope for s in sources.values() if s}, year)
        Envelope.claim(sorted(
                {*targets, *targets.values()}, key=lambda e: e.id))
        instalments = cls.claim(instalments)
        sources = {i: i._get_source() for i in instalments}
        cls._check_carry_over(instalments, sources, targets, year)
        by_source = defaultdict(list)
        for instalment in instalments:
            by_source[sources[instalment]].append(instalment)
        new, to_write = {}, []
        with without_check_access():
            for source, sub in by_source.items():
                moved = sum((i.amount for i in sub), Decimal(0))
                to_write.extend((
                        [source], {'amount': source.amount - moved}))
                new[source] = {
                    'envelope': targets[source.envelope].id,
                    'party': source.party.id,
                    'year': source.year,
                    'company': source.company.id,
                    'amount': moved,
                    'finance_number': source.finance_number,
                    'carried_from': source.id,
                    }
            Commitment.write(*to_write)
            created = Commitment.create(list(new.values()))
            Commitment.commit(created)
            to_write = []
            for (_, sub), commitment in zip(
                    by_source.items(), created, strict=True):
                values = {'exercise': year}
                if certified := [i for i in sub if i.state != 'planned']:
                    to_write.extend((
                            certified,
                            {**values, 'commitment': commitment.id}))
            if to_write:
                cls.write(*to_write)
            Envelope.check_payment_credits(list(targets.values()))
        pool.get('grant.event').add([{
                    'record': i, 'name': 'exercise',
                    'before': sources[i].envelope,
                    'after': targets[sources[i].envelope],
                    } for i in instalments])

    @classmethod
    def _find_targets(cls, envelopes, year):
        "Return, by envelope, the one of the same code in the year."
        Envelope = Pool().get('grant.envelope')
        found = {}
        for envelope in Envelope.search([
                    ('code', 'in', [e.code for e in envelopes]),
                    ('year', '=', year)]):
            found[envelope.company, envelope.code] = envelope
        return {
            e: found[e.company, e.code] for e in envelopes
            if (e.company, e.code) in found}

    @classmethod
    def _check_carry_over(cls, instalments, sources, targets, year):
        problems = []
        for instalment in instalments:
            source = sources[instalment]
            names = {'instalment': instalment.rec_name, 'year': year}
            if instalment.state not in MOVED:
                problems.append(gettext(
                        'pacte_grants.msg_carry_over_state', **names,
                        state=instalment.state_label))
            elif not source:
                problems.append(gettext(
                        'pacte_grants.msg_carry_over_no_commitment', **names))
            elif source.envelope not in targets:
                problems.append(gettext(
                        'pacte_grants.msg_carry_over_no_envelope', **names,
                        envelope=source.envelope.rec_name))
            elif source.envelope.year >= year:
                problems.append(gettext(
                        'pacte_grants.msg_carry_over_year', **names))
            elif (payment := instalment.payment) and payment.group:
                problems.append(gettext(
                        'pacte_grants.msg_batch_already', **names,
                        batch=payment.group.rec_name))
            elif instalment.imputations:
                problems.extend(instalment.check_imputations(
                        year, targets[source.envelope]))
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
        sources = {i: i._get_source() for i in instalments}
        year = max(
            (s.envelope.year for s in sources.values() if s),
            default=Pool().get('ir.date').today().year) + 1
        verdict = gettext('pacte_grants.msg_carry_over_possible')
        try:
            Instalment._check_carry_over(
                instalments, sources, Instalment._find_targets(
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
