# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The advance of a later year of a convention, voted before its award.

A vote on its own lets the advances that the schedule of the year foresees be
paid, up to its amount, before the year is voted.  The award then votes the
rest: the amounts of the decisions add up to the grant of the year.  Where the
award never comes (refused, the application given up, the convention ended or
the year over), what was not paid goes back to the envelope and the recovery
of what was paid is proposed.
"""
import datetime as dt
from collections import defaultdict
from decimal import Decimal

from sql import Literal, Null
from sql.conditionals import Case, Coalesce
from sql.operators import Exists

from trytond.i18n import gettext
from trytond.model import Index, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import without_check_access

from .application import FINISHED
from .check import money
from .convention import DEAD_STATES, LIVE_STATES
from .daily import company_by_company
from .exceptions import (
    AmountError, CeilingError, CompletenessError, FrozenError,
    TransitionError)
from .mixin import acting_user, thaw
from .schedule import LIVE
from .wording import long_date


class Decision(metaclass=PoolMeta):
    __name__ = 'grant.decision'

    @classmethod
    def record_votes(cls, decisions):
        super().record_votes([d for d in decisions if d.kind != 'advance'])
        cls._record_advances([d for d in decisions if d.kind == 'advance'])

    @classmethod
    def _record_advances(cls, decisions):
        pool = Pool()
        Application = pool.get('grant.application')
        Envelope = pool.get('grant.envelope')
        Tranche = pool.get('grant.tranche')
        if not decisions:
            return
        Envelope.claim(list({d.envelope for d in decisions if d.envelope}))
        Application.claim(list({d.application for d in decisions}))
        granted = cls._record_outcomes(decisions)['granted']
        for decision in granted:
            tranche = decision.application.later_tranche
            if not tranche:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_advance_tranche',
                        application=decision.application.rec_name))
            tranche.check_advance(decision.amount)
        Tranche.settle_advances(
            [d.application.later_tranche for d in granted])

    @classmethod
    def undo_votes(cls, decisions):
        super().undo_votes([d for d in decisions if d.kind != 'advance'])
        cls._undo_advances([d for d in decisions if d.kind == 'advance'])

    @classmethod
    def _undo_advances(cls, decisions):
        """Undo votes recorded by mistake.  Raise ``FrozenError`` once the
        partner was told, or once the award rests on them."""
        Tranche = Pool().get('grant.tranche')
        tranches = []
        for decision in cls.browse(decisions):
            application = decision.application
            tranche = application.later_tranche
            if decision.outcome == 'granted' and tranche:
                if tranche.advance_notified_on:
                    raise FrozenError(gettext(
                            'pacte_grants.msg_vote_undo_notified',
                            decision=decision.rec_name,
                            tranche=tranche.rec_name))
                if application.state in {'scheduled', 'granted'}:
                    raise FrozenError(gettext(
                            'pacte_grants.msg_advance_undo_award',
                            decision=decision.rec_name,
                            state=application.state_label))
                tranches.append(tranche)
            decision.back_to_proposal()
        Tranche.settle_advances(tranches)

    @classmethod
    @ModelView.button
    def regularise(cls, decisions):
        super().regularise(decisions)
        Pool().get('grant.tranche').settle_advances([
                d.application.later_tranche for d in cls.browse(decisions)
                if d.kind == 'advance' and d.application.later_tranche])

    @property
    def is_committed(self):
        "Whether an accounting commitment stands for the vote."
        return bool(self.commitment) and self.commitment.state == 'committed'

    def get_tranche_amount(self, amount):
        amount = super().get_tranche_amount(amount)
        tranche = self.application.later_tranche
        if self.kind == 'award' and tranche:
            amount += tranche.advance_amount
        return amount


class Application(metaclass=PoolMeta):
    __name__ = 'grant.application'

    advance_amount = Monetary(
        "Advance to Vote", currency='currency', digits='currency',
        states={'readonly': ~Eval('state').in_(['admissible', 'reviewed'])},
        help="What may be paid before the year is awarded: at most the "
        "advance that the schedule of the convention foresees.")
    advance_tranche = fields.Function(fields.Many2One(
            'grant.tranche', "Tranche of the Advance"),
        'get_advance_tranche')
    advance_foreseen = fields.Function(Monetary(
            "Advance of the Schedule", currency='currency',
            digits='currency'), 'get_advance_foreseen')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._amounts = (*cls._amounts, 'advance_amount')
        cls._frozen = cls._frozen | {
            'reviewed': cls._frozen['reviewed'] | {'advance_amount'}}
        offered = {
            'invisible': (
                ~Eval('state').in_(['admissible', 'reviewed'])
                | ~Eval('advance_tranche')),
            'depends': ['state', 'advance_tranche'],
            }
        cls._buttons.update({
                'propose_advance': {
                    **offered,
                    'readonly': (
                        ~Eval('next_deliberation')
                        | ~Eval('advance_amount', 0)),
                    'depends': [
                        *offered['depends'], 'next_deliberation',
                        'advance_amount'],
                    },
                'withdraw_advance': offered,
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//group[@id="advance"]', 'states', {
                    'invisible': ~Eval('advance_tranche'),
                    }, ['advance_tranche']),
            ]

    @classmethod
    def get_advance_tranche(cls, applications, name):
        result = {}
        for application in applications:
            tranche = application.later_tranche
            result[application.id] = (
                tranche.id if tranche and tranche.status == 'indicative'
                else None)
        return result

    @classmethod
    def get_advance_foreseen(cls, applications, name):
        return {
            a.id: (
                a.advance_tranche.advance_foreseen if a.advance_tranche
                else None)
            for a in applications}

    @classmethod
    def copy(cls, applications, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('advance_amount', None)
        return super().copy(applications, default=default)

    def get_amount_to_vote(self, kind):
        if kind == 'advance':
            return self.advance_amount
        amount = super().get_amount_to_vote(kind)
        tranche = self.later_tranche
        if tranche:
            amount -= tranche.advance_amount
        return amount

    def check_award(self, form):
        super().check_award(form)
        tranche = self.later_tranche
        if not tranche:
            return
        for line in tranche.pending_advances:
            raise FrozenError(gettext(
                    'pacte_grants.msg_advance_on_agenda',
                    application=self.rec_name,
                    deliberation=line.deliberation.rec_name))
        if self.proposed_amount < tranche.advance_amount:
            raise AmountError(gettext(
                    'pacte_grants.msg_advance_above_award',
                    application=self.rec_name,
                    amount=money(self.proposed_amount),
                    advance=money(tranche.advance_amount)))

    @classmethod
    @ModelView.button
    def propose_advance(cls, applications):
        """Put the advances of the year on the agenda of a deliberation,
        which reserves their envelopes; the application itself goes on."""
        Decision = Pool().get('grant.decision')
        by_deliberation = defaultdict(list)
        for application in cls.claim(applications):
            cls.check_button([application], 'propose_advance')
            application.check_agenda()
            application._check_advance()
            by_deliberation[application.next_deliberation].append(application)
        for deliberation, sub in by_deliberation.items():
            Decision.propose(sub, deliberation, kind='advance')

    def _check_advance(self):
        tranche = self.later_tranche
        if not self.advance_amount:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_advance_amount',
                    application=self.rec_name))
        if not self.envelope:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_proposal_envelope',
                    application=self.rec_name))
        for decision in [*tranche.pending_advances, tranche.advance_decision]:
            if not decision:
                continue
            raise FrozenError(gettext(
                    'pacte_grants.msg_advance_already',
                    tranche=tranche.rec_name,
                    deliberation=decision.deliberation.rec_name))
        tranche.check_advance(self.advance_amount)

    @classmethod
    @ModelView.button
    def withdraw_advance(cls, applications):
        "Take the advances off the agenda."
        cls.check_button(cls.claim(applications), 'withdraw_advance')
        cls._remove_advances(cls.browse(applications))

    @classmethod
    def _remove_advances(cls, applications):
        Decision = Pool().get('grant.decision')
        Decision.remove([
                d for a in applications for d in a.decisions
                if d.kind == 'advance' and d.on_agenda])

    @classmethod
    def on_modification(cls, mode, applications, field_names=None):
        super().on_modification(mode, applications, field_names=field_names)
        if mode != 'write' or 'state' not in field_names:
            return
        later = [
            a for a in applications
            if a.convention and a.year != a.convention.year]
        with without_check_access():
            cls._remove_advances([a for a in later if a.state in FINISHED])
            Pool().get('grant.tranche').settle_advances([
                    a.later_tranche for a in later if a.later_tranche])


class Tranche(metaclass=PoolMeta):
    __name__ = 'grant.tranche'

    advance_amount = fields.Function(Monetary(
            "Advance Voted", currency='currency', digits='currency',
            help="What decisions commit of the year before its award."),
        'get_advance_amount')
    advance_notified_on = fields.Date(
        "Advance Notified On", readonly=True,
        help="Starts the delay of payment of the advance (L05).")
    advance_notified_by = fields.Many2One(
        'res.user', "Advance Notified By", readonly=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        told = Eval('advance_notified_on', None) != None  # noqa: E711
        cls.notification_date.states = {
            'readonly': (
                (Eval('notified_on', None) != None)  # noqa: E711
                | ((Eval('status') != 'voted')
                    & ((Eval('advance_amount', 0) == 0) | told))),
            }
        cls._buttons.update({
                'notify_advance': {
                    'invisible': (
                        (Eval('status') != 'indicative')
                        | (Eval('advance_amount', 0) == 0)
                        | told),
                    'depends': [
                        'status', 'advance_amount', 'advance_notified_on'],
                    },
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//group[@id="advance"]', 'states', {
                    'invisible': (
                        (Eval('advance_amount', 0) == 0)
                        & (Eval('advance_notified_on', None)
                            == None)),  # noqa: E711
                    }, ['advance_amount', 'advance_notified_on']),
            ]

    @classmethod
    def on_modification(cls, mode, tranches, field_names=None):
        super().on_modification(mode, tranches, field_names=field_names)
        if mode == 'write' and 'status' in field_names:
            cls.settle_advances(tranches)

    @classmethod
    def _get_advances(cls, tranches):
        "Return by tranche the advance decisions that were granted."
        Decision = Pool().get('grant.decision')
        by_year = defaultdict(list)
        conventions = {t.convention.id for t in tranches}
        if conventions:
            for decision in Decision.search([
                        ('kind', '=', 'advance'),
                        ('application.convention', 'in', sorted(conventions)),
                        ('outcome', '=', 'granted'),
                        ('commitment.state', '!=', 'reserved'),
                        ], order=[('id', 'ASC')]):
                application = decision.application
                by_year[application.convention.id, application.year].append(
                    decision)
        return {t: by_year[t.convention.id, t.year] for t in tranches}

    @classmethod
    def get_advance_amount(cls, tranches, name):
        return {
            t.id: t.currency.round(sum((
                        d.commitment.amount for d in decisions
                        if d.is_committed), Decimal(0)))
            for t, decisions in cls._get_advances(tranches).items()}

    @property
    def advance_decision(self):
        "The decision by which the advance may be paid, or ``None``."
        for decision in self._get_advances([self])[self]:
            if decision.is_committed:
                return decision

    @property
    def pending_advances(self):
        "The lines of the agenda on the advance of the year."
        return [
            d for a in self.convention.applications if a.year == self.year
            for d in a.decisions if d.kind == 'advance' and d.on_agenda]

    @property
    def advance_foreseen(self):
        "What the schedule foresees as advance and is still to pay (euros)."
        return sum(
            (i.amount for i in self.planned if i.kind == 'advance'),
            Decimal(0))

    def check_advance(self, amount):
        """Raise ``CeilingError`` if the amount (euros) is above the advance
        that the schedule of the year foresees."""
        if amount > self.advance_foreseen:
            raise CeilingError(gettext(
                    'pacte_grants.msg_advance_above_schedule',
                    tranche=self.rec_name,
                    amount=money(amount),
                    foreseen=money(self.advance_foreseen)))

    @property
    def advances(self):
        "The live instalments that rest on an advance decision."
        return [
            i for i in self.instalments
            if i.advance_decision and i.state in LIVE]

    @property
    def lacks_award(self):
        "Whether the award of the year will not come any more."
        today = Pool().get('ir.date').today()
        if self.status == 'voted':
            return False
        applications = [
            a for a in self.convention.applications if a.year == self.year]
        return (
            self.status == 'refused'
            or self.convention.state in DEAD_STATES
            or self.year < today.year
            or all(a.state in FINISHED for a in applications))

    @property
    def award_lacking_on(self):
        "Since when it is known that no award comes: today at the latest."
        today = Pool().get('ir.date').today()
        refused = [
            d.deliberation.session.date
            for a in self.convention.applications if a.year == self.year
            for d in a.decisions
            if d.kind == 'award' and d.outcome == 'refused']
        return min([today, dt.date(self.year + 1, 1, 1), *refused])

    @property
    def advance_to_recover(self):
        "What was paid of an advance that no award follows (euros)."
        if not self.lacks_award:
            return Decimal(0)
        return sum(
            (i.amount for i in self.advances if i.state == 'paid'),
            Decimal(0))

    @classmethod
    @without_check_access
    def settle_advances(cls, tranches):
        """Bring what follows from the advance decisions of the tranches to
        the facts: what may be paid, what is committed, what is recovered."""
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        found = cls._get_advances(cls.browse(list({t.id for t in tranches})))
        tranches = [
            t for t, decisions in found.items()
            if decisions or t.advances]
        for tranche in cls.claim(tranches):
            lacking = tranche.lacks_award
            for decision in found[tranche]:
                commitment = decision.commitment
                if lacking and decision.is_committed:
                    tranche.convention._release([commitment])
                elif (tranche.status == 'indicative' and not lacking
                        and decision.application.state not in FINISHED
                        and not (
                            decision.anomaly
                            and not decision.regularised_by)):
                    if commitment.amount != decision.amount:
                        with thaw():
                            Commitment.write(
                                [commitment], {'amount': decision.amount})
                    if commitment.state == 'released':
                        Commitment.commit([commitment])
            tranche._cover_advances()
        pool.get('grant.recovery').propose_advances(cls.browse(tranches))

    def _cover_advances(self):
        """Say which planned advances may be paid before the award: up to the
        amount of the decision, which cuts the last one in two."""
        Instalment = Pool().get('grant.instalment')
        if self.status == 'voted':
            return
        decision = None if self.lacks_award else self.advance_decision
        left = decision.commitment.amount if decision else Decimal(0)
        left -= sum(
            (i.amount for i in self.advances if i.state != 'planned'),
            Decimal(0))
        with thaw():
            for instalment in self.planned:
                covered = instalment.kind == 'advance' and left > 0
                if covered and instalment.amount > left:
                    rest = instalment.amount - left
                    Instalment.write([instalment], {'amount': left})
                    Instalment.copy([instalment], default={
                            'amount': rest, 'advance_decision': None})
                if covered:
                    left -= instalment.amount
                new = decision if covered else None
                if instalment.advance_decision != new:
                    Instalment.write(
                        [instalment],
                        {'advance_decision': new.id if new else None})
        if self.advance_notified_on and not (decision or self.advances):
            self.__class__.write([self], {
                    'advance_notified_on': None,
                    'advance_notified_by': None})

    @classmethod
    @ModelView.button
    def notify_advance(cls, tranches):
        """Record that the partner was told of the vote of the advance, which
        starts the delay of its payment (L05)."""
        pool = Pool()
        Convention = pool.get('grant.convention')
        today = pool.get('ir.date').today()
        user = acting_user(gettext('pacte_grants.msg_act_convention'))
        Convention.claim(list({t.convention for t in tranches}))
        for tranche in cls.claim(tranches):
            convention = tranche.convention
            decision = tranche.advance_decision
            if (not decision or tranche.status != 'indicative'
                    or tranche.advance_notified_on
                    or convention.state not in LIVE_STATES):
                raise TransitionError(gettext(
                        'pacte_grants.msg_advance_notify',
                        tranche=tranche.rec_name,
                        convention=convention.rec_name,
                        state=convention.state_label))
            if decision.deliberation.state != 'executory':
                raise CompletenessError(gettext(
                        'pacte_grants.msg_convention_not_executory',
                        convention=convention.rec_name))
            date = tranche.get_notification_date(today)
            cls.write([tranche], {
                    'advance_notified_on': date,
                    'advance_notified_by': user.id,
                    'notification_date': None})
            Convention.record_version([convention], 'vote', date)

    @classmethod
    def copy(cls, tranches, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('advance_notified_on', None)
        default.setdefault('advance_notified_by', None)
        return super().copy(tranches, default=default)




class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    advance_decision = fields.Many2One(
        'grant.decision', "Advance Decision", readonly=True,
        ondelete='RESTRICT', states={'invisible': ~Eval('advance_decision')},
        help="The vote by which it may be paid before the year is awarded.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.advance_decision, Index.Equality())))

    @classmethod
    def copy(cls, instalments, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('advance_decision', None)
        return super().copy(instalments, default=default)

    def _compute_notified_on(self):
        notified_on = super()._compute_notified_on()
        if self.advance_decision:
            return self.tranche.advance_notified_on or notified_on
        return notified_on

    @classmethod
    def _notified_on(cls, instalment, tranche):
        notified_on = super()._notified_on(instalment, tranche)
        return Case(
            (instalment.advance_decision != Null,
                Coalesce(tranche.advance_notified_on, notified_on)),
            else_=notified_on)

    @classmethod
    def replace_planned(cls, tranche, vlist):
        super().replace_planned(tranche, vlist)
        Pool().get('grant.tranche').settle_advances([tranche])

    @classmethod
    def resplit(cls, tranches):
        super().resplit(tranches)
        Pool().get('grant.tranche').settle_advances(tranches)


class Blocker(metaclass=PoolMeta):
    __name__ = 'grant.instalment.blocker'

    @classmethod
    def _covered(cls, base):
        "Return the condition that an advance decision covers it."
        return ((base.tranche.status == 'indicative')
            & (base.instalment.advance_decision != Null))

    @classmethod
    def _voted(cls, base):
        return super()._voted(base) | cls._covered(base)

    @classmethod
    def _awaits_act(cls, base):
        pool = Pool()
        decision = pool.get('grant.decision').__table__()
        deliberation = pool.get('grant.deliberation').__table__()
        own = Exists(decision
            .join(deliberation,
                condition=decision.deliberation == deliberation.id)
            .select(Literal(1),
                where=(decision.id == base.instalment.advance_decision)
                & (deliberation.state == 'voted')))
        covered = cls._covered(base)
        return (covered & own) | (~covered & super()._awaits_act(base))


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    @classmethod
    def on_modification(cls, mode, conventions, field_names=None):
        super().on_modification(mode, conventions, field_names=field_names)
        if mode == 'write' and 'state' in field_names:
            Pool().get('grant.tranche').settle_advances([
                    t for c in conventions if c.state in DEAD_STATES
                    for t in c.tranches])


class Recovery(metaclass=PoolMeta):
    __name__ = 'grant.recovery'

    @classmethod
    @without_check_access
    def propose_advances(cls, tranches):
        """Propose the recovery of the advances of the tranches that no award
        follows; what is still in preparation is given up where it came after
        all."""
        return cls._propose('tranche', {
                t: {
                    'convention': t.convention.id,
                    'tranche': t.id,
                    'cause': 'no_award',
                    'amount': t.advance_to_recover,
                    'known_on': t.award_lacking_on,
                    'facts': cls._get_advance_facts(t),
                    } for t in tranches},
            [('cause', '=', 'no_award')])

    @classmethod
    def _get_advance_facts(cls, tranche):
        paid = [i for i in tranche.advances if i.state == 'paid']
        return '\n'.join([
                *(gettext('pacte_grants.msg_advance_facts',
                        amount=money(i.amount),
                        year=tranche.year,
                        act=i.advance_decision.deliberation.rec_name,
                        date=(
                            long_date(i.paid_on) if i.paid_on else '–'))
                    for i in paid),
                gettext(
                    'pacte_grants.msg_advance_lacking', year=tranche.year),
                ])

    def _get_owed(self):
        if self.cause == 'no_award' and self.tranche:
            others = self.__class__.search([
                    ('tranche', '=', self.tranche.id),
                    ('cause', '=', 'no_award')])
            return (
                self.tranche.advance_to_recover - self._sum_others(others),
                True)
        return super()._get_owed()

    @classmethod
    @company_by_company
    def propose_daily(cls, company):
        "Look whether the awards that advances wait for still come."
        pool = Pool()
        Decision = pool.get('grant.decision')
        Tranche = pool.get('grant.tranche')
        decisions = Decision.search([
                ('company', '=', company.id),
                ('kind', '=', 'advance'),
                ('outcome', '=', 'granted'),
                ])
        Tranche.settle_advances([
                t for d in decisions if d.application.convention
                for t in d.application.convention.tranches
                if t.year == d.application.year and t.status != 'voted'])


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.append((
                'grant.recovery|propose_daily',
                "Propose the Recovery of Advances Without Award"))
