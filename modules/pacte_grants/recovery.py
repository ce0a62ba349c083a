# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The recovery of what a partner was paid and may not keep.

Its amount is computed where the reason was found: the overpayment of a
liquidation (report below the budget, undertaking or target missed, unspent
money), what a procedure decided that the partner repays (republican
commitment, L09; termination), or an advance that no award ever followed.  The
partner is heard unless it was heard there; somebody else decides; the
recovery order goes to the finance package, or what is owed is taken from a
payment of the same convention, remitted by a vote, or written off.
"""
import datetime as dt
from collections import defaultdict
from decimal import Decimal

from dateutil.relativedelta import relativedelta

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Date, Eval, If
from trytond.transaction import without_check_access

from .check import money
from .exceptions import (
    AmountError, CompletenessError, DutyError, FrozenError, PeriodError)
from .mixin import (
    OfConventionMixin, ReopenMixin, TurnMixin, WorkflowMixin, acting_user,
    transition)

OFFSET_CLAUSE = 'SANCTIONS_COMPENSATION'
PAYING = ['certified', 'approved', 'paying', 'paid']
LIVE = ['draft', 'notified', 'confirmed', 'settled', 'offset']
_OBSERVATIONS = frozenset({'observations', 'observations_on'})
_DECISION = frozenset({'decision', 'abandon_reason', 'reopen_reason'})
_ENDING = frozenset({
        'order_number', 'order_sent_on', 'settled_on', 'offset_instalment',
        'remission_act', 'remission_on', 'write_off_reason',
        'abandon_reason', 'reopen_reason'})


class Recovery(
        OfConventionMixin, ReopenMixin, TurnMixin, WorkflowMixin, ModelSQL,
        ModelView):
    __name__ = 'grant.recovery'
    _reopened = {'notified': 'draft', 'confirmed': 'notified'}
    _reasoned = {'draft', 'notified'}
    _steps = [
        ('notify', 'officer', {'state': 'draft'}),
        ('decide', 'manager', {'state': 'notified'}),
        ('recover', 'finance', {'state': 'confirmed'}),
        ]
    _frozen = {
        'notified': _OBSERVATIONS | _DECISION,
        'confirmed': _ENDING,
        'settled': frozenset(),
        'offset': frozenset(),
        'remitted': frozenset(),
        'written_off': frozenset(),
        'abandoned': frozenset(),
        }

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, readonly=True,
        ondelete='RESTRICT')
    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_convention_field')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_convention_field')
    officer = fields.Function(fields.Many2One(
            'company.employee', "Officer"),
        'on_change_with_officer', searcher='search_convention_field')
    cause = fields.Selection([
            ('overpayment', "Overpayment after the Report"),
            ('condition', "Undertaking or Target Missed"),
            ('breach', "Republican Commitment Breached"),
            ('termination', "Termination"),
            ('cancelled', "Action Cancelled"),
            ('no_award', "Advance Without Award"),
            ('no_report', "Report Not Produced"),
            ], "Cause", required=True, readonly=True, sort=False,
        help="Proposed where it was found.")
    liquidation = fields.Many2One(
        'grant.liquidation', "Liquidation", readonly=True,
        ondelete='RESTRICT')
    procedure = fields.Many2One(
        'grant.procedure', "Procedure", readonly=True, ondelete='RESTRICT')
    tranche = fields.Many2One(
        'grant.tranche', "Tranche", readonly=True, ondelete='RESTRICT')
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True,
        readonly=True, help="Computed where the cause was found.")
    facts = fields.Text(
        "Facts", states={'readonly': Eval('state') != 'draft'},
        help="What was found and the texts on which it rests, as the letter "
        "to the partner says it.")
    known_on = fields.Date(
        "Known On", required=True,
        states={'readonly': Eval('state') != 'draft'},
        help="When the Department knew: the limitation counts from it. The "
        "date of the finding, or an earlier one.")
    proposed_on = fields.Date("Proposed On", readonly=True)
    limitation_on = fields.Function(fields.Date(
            "Limitation On",
            help="After this day the claim can no longer be made (L26)."),
        'get_limitation_on')
    notified_on = fields.Date("Notified On", readonly=True)
    notified_by = fields.Many2One(
        'res.user', "Notified By", readonly=True, ondelete='RESTRICT')
    reply_until = fields.Date(
        "Reply Until", readonly=True,
        help="Until when the partner may present its observations.")
    observations = fields.Text(
        "Partner's Observations",
        states={'readonly': Eval('state') != 'notified'})
    observations_on = fields.Date(
        "Observations Received On",
        states={'readonly': Eval('state') != 'notified'})
    decision = fields.Text(
        "Reasons of the Decision",
        states={'readonly': Eval('state') != 'notified'})
    confirmed_on = fields.Date("Decided On", readonly=True)
    confirmed_by = fields.Many2One(
        'res.user', "Decided By", readonly=True, ondelete='RESTRICT')
    order_number = fields.Char(
        "Recovery Order",
        states={'readonly': Eval('state') != 'confirmed'},
        help="Its number in the finance package.")
    order_sent_on = fields.Date(
        "Order Issued On", states={'readonly': Eval('state') != 'confirmed'})
    settled_on = fields.Date(
        "Recovered On", states={'readonly': Eval('state') != 'confirmed'})
    offset_instalment = fields.Many2One(
        'grant.instalment', "Taken From", ondelete='RESTRICT',
        domain=[
            ('convention', '=', Eval('convention', -1)),
            ('state', 'in', ['paying', 'paid']),
            ],
        states={'readonly': Eval('state') != 'confirmed'},
        help="The payment from which the payer withholds it.")
    remission_act = fields.Char(
        "Act of the Remission",
        states={'readonly': Eval('state') != 'confirmed'},
        help="The number of the deliberation that remits it.")
    remission_on = fields.Date(
        "Remitted On", states={'readonly': Eval('state') != 'confirmed'})
    write_off_reason = fields.Text(
        "Reason of the Writing Off",
        states={'readonly': Eval('state') != 'confirmed'})
    abandon_reason = fields.Text(
        "Reason to Give Up",
        states={
            'readonly': ~Eval('state').in_(
                ['draft', 'notified', 'confirmed']),
            })
    reopen_reason = fields.Text(
        "Reason to Go Back",
        states={'readonly': ~Eval('state').in_(['notified', 'confirmed'])})
    ended_by = fields.Many2One(
        'res.user', "Ended By", readonly=True, ondelete='RESTRICT')
    next_step = fields.Function(fields.Selection([
                (None, ""),
                ('notify', "Hear the Partner"),
                ('decide', "Decide"),
                ('recover', "Recover"),
                ], "Next Step", sort=False),
        'on_change_with_next_step', searcher='search_next_step')
    whose_turn = fields.Function(fields.Selection([
                (None, ""),
                ('officer', "Officer"),
                ('manager', "Head of Service"),
                ('finance', "Finance"),
                ], "Whose Turn", sort=False),
        'on_change_with_whose_turn', searcher='search_whose_turn')
    state = fields.Selection([
            ('draft', "In Preparation"),
            ('notified', "Partner Heard"),
            ('confirmed', "Decided"),
            ('settled', "Recovered"),
            ('offset', "Taken from a Payment"),
            ('remitted', "Remitted"),
            ('written_off', "Written Off"),
            ('abandoned', "Given Up"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table, (table.liquidation, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                })
        cls._order = [('id', 'DESC')]
        cls._transitions = {
            ('draft', 'notified'),
            ('notified', 'draft'),
            ('notified', 'confirmed'),
            ('confirmed', 'notified'),
            ('confirmed', 'settled'),
            ('confirmed', 'offset'),
            ('confirmed', 'remitted'),
            ('confirmed', 'written_off'),
            ('draft', 'abandoned'),
            ('notified', 'abandoned'),
            ('confirmed', 'abandoned'),
            }

        def offered(*states):
            return {
                'invisible': ~Eval('state').in_(list(states)),
                'depends': ['state'],
                }
        cls._buttons.update({
                'notify': offered('draft'),
                'confirm': offered('notified'),
                'settle': offered('confirmed'),
                'set_off': offered('confirmed'),
                'remit': offered('confirmed'),
                'write_off': offered('confirmed'),
                'abandon': offered('draft', 'notified', 'confirmed'),
                'reopen': offered('notified', 'confirmed'),
                })

    @classmethod
    def default_state(cls):
        return 'draft'

    @classmethod
    def default_known_on(cls):
        return Pool().get('ir.date').today()

    @classmethod
    def default_proposed_on(cls):
        return Pool().get('ir.date').today()

    @fields.depends('state')
    def on_change_with_next_step(self, name=None):
        return self._next()[0]

    @classmethod
    def search_next_step(cls, name, clause):
        return cls._search_turn(0, clause)

    @fields.depends('state')
    def on_change_with_whose_turn(self, name=None):
        return self._next()[1]

    @classmethod
    def search_whose_turn(cls, name, clause):
        return cls._search_turn(1, clause)

    @classmethod
    def get_limitation_on(cls, recoveries, name):
        years = int(Pool().get('grant.parameter').get('L26_LIMITATION'))
        return {
            r.id: r.known_on + relativedelta(years=years)
            if r.known_on else None for r in recoveries}

    def get_rec_name(self, name):
        return f'{self.convention.number} – {money(self.amount)}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('convention.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        over = Eval('state').in_([
                'settled', 'offset', 'remitted', 'written_off', 'abandoned'])
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(over, 'muted',
                    If(Eval('limitation_on', None) < Date(delta_days=180),
                        'danger',
                        If(Eval('state') == 'confirmed', 'success', ''))),
                ['state', 'limitation_on']),
            ]

    # What is proposed

    @classmethod
    @without_check_access
    def propose(cls, liquidations):
        """Propose the recovery of the overpayments of the liquidations, to
        the cent; bring what is still in preparation to the new amount, or
        give it up where nothing is owed any more.  Return the recoveries."""
        values = {}
        for liquidation in liquidations:
            values[liquidation] = {
                'convention': liquidation.convention.id,
                'tranche': liquidation.tranche.id,
                'liquidation': liquidation.id,
                'cause': cls._get_cause(liquidation),
                'amount': liquidation.to_recover,
                'known_on': min(filter(None, [
                            liquidation.notified_on,
                            liquidation.established_on])),
                'facts': liquidation.explanation,
                }
        return cls._propose('liquidation', values)

    @staticmethod
    def _get_cause(liquidation):
        "Return why what was paid exceeds the right that was acquired."
        if liquidation.report and not liquidation.report.eligible_realised:
            return 'cancelled'
        if any(line.code in {'penalty', 'result'}
                for line in liquidation.lines):
            return 'condition'
        return 'overpayment'

    @classmethod
    def sum_by_tranche(cls, tranches, domain):
        """Return by tranche the live recoveries that the domain finds
        (euros): those of the tranche, and the lines of the procedures."""
        ids = [t.id for t in tranches]
        sums = defaultdict(Decimal)
        for recovery in cls.search([
                    ('state', 'in', LIVE),
                    ['OR',
                        ('tranche', 'in', ids),
                        ('procedure.lines.tranche', 'in', ids)],
                    domain]):
            if recovery.procedure:
                for line in recovery.procedure.lines:
                    sums[line.tranche] += line.to_repay or Decimal(0)
            else:
                sums[recovery.tranche] += recovery.amount
        return {t: sums[t] for t in tranches}

    @classmethod
    def _propose(cls, name, values, domain=()):
        """Bring the recoveries of the records to which the field ``name``
        points to the amounts of the values, less what is under way.

        ``domain`` tells them from other recoveries of the same records.
        """
        proposed = defaultdict(list)
        for recovery in cls.search([
                    (name, 'in', [record.id for record in values]),
                    ('state', 'in', LIVE),
                    *domain]):
            proposed[getattr(recovery, name)].append(recovery)
        vlist, result = [], []
        for record, new in values.items():
            drafts = [r for r in proposed[record] if r.state == 'draft']
            amount = new['amount'] - sum(
                (r.amount for r in proposed[record] if r.state != 'draft'),
                Decimal(0))
            if drafts and amount > 0:
                changes = {
                    n: v for n, v in [
                        ('amount', amount), ('cause', new['cause'])]
                    if getattr(drafts[0], n) != v}
                if changes:
                    cls.write(drafts[:1], changes)
                result.append(drafts[0])
            elif drafts:
                cls.write(drafts, {'abandon_reason': gettext(
                            'pacte_grants.msg_recovery_nothing_owed',
                            record=record.rec_name)})
                cls.abandon(drafts)
            elif amount > 0:
                vlist.append({**new, 'amount': amount})
        return cls.browse([*result, *cls.create(vlist)])

    @classmethod
    @without_check_access
    def propose_procedures(cls, procedures):
        """Propose the recovery of what the decided procedures say that the
        partner repays."""
        done = {
            r.procedure for r in cls.search([
                    ('procedure', 'in', [p.id for p in procedures]),
                    ('state', 'in', LIVE)])}
        return cls.create([{
                    'convention': p.convention.id,
                    'procedure': p.id,
                    'cause': (
                        'breach' if p.kind == 'cer_breach'
                        else 'termination'),
                    'amount': p.repay_amount,
                    'known_on': p.breach_date or p.decided_on,
                    'facts': p.facts,
                    } for p in procedures
                if p.repay_amount and p not in done])

    @classmethod
    def check_modification(cls, mode, recoveries, values=None, external=False):
        super().check_modification(
            mode, recoveries, values=values, external=external)
        if mode == 'write' and 'known_on' in values:
            Pool().get('grant.event').add([{
                        'record': r, 'name': 'known_on',
                        'before': r.known_on, 'after': values['known_on'],
                        } for r in recoveries
                    if r.known_on != values['known_on']])
        if mode == 'delete':
            for recovery in recoveries:
                raise FrozenError(gettext(
                        'pacte_grants.msg_recovery_delete',
                        recovery=recovery.rec_name))

    @classmethod
    def validate_fields(cls, recoveries, field_names):
        super().validate_fields(recoveries, field_names)
        if field_names is None or 'known_on' in field_names:
            cls._check_known(recoveries)
        if field_names is None or field_names & {'amount', 'state'}:
            cls._check_paid({
                    r.convention for r in recoveries if r.state in LIVE})

    @classmethod
    def _check_known(cls, recoveries):
        """Raise ``PeriodError`` for a claim that was known after today or
        after it was proposed (L26)."""
        today = Pool().get('ir.date').today()
        for recovery in recoveries:
            latest = min(today, recovery.proposed_on or today)
            if recovery.known_on > latest:
                raise PeriodError(gettext(
                        'pacte_grants.msg_recovery_known',
                        recovery=recovery.rec_name,
                        date=recovery.known_on.strftime('%d/%m/%Y'),
                        latest=latest.strftime('%d/%m/%Y')))

    @classmethod
    @without_check_access
    def _check_paid(cls, conventions):
        """Raise ``AmountError`` where more is recovered of a convention than
        was paid of it or is under way."""
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        ids = [c.id for c in conventions]
        paid, asked = defaultdict(Decimal), defaultdict(Decimal)
        for instalment in Instalment.search([
                    ('convention', 'in', ids), ('state', 'in', PAYING)]):
            paid[instalment.convention] += instalment.amount
        for recovery in cls.search([
                    ('convention', 'in', ids), ('state', 'in', LIVE)]):
            asked[recovery.convention] += recovery.amount
        for convention, amount in asked.items():
            if amount > paid[convention]:
                raise AmountError(gettext(
                        'pacte_grants.msg_recovery_above_paid',
                        convention=convention.rec_name,
                        amount=money(amount),
                        paid=money(paid[convention])))

    # Its life

    @property
    def was_heard(self):
        "Whether the partner was heard where the cause was found."
        return bool(
            self.procedure
            or self.liquidation and self.liquidation.notified_on)

    @classmethod
    @ModelView.button
    @transition('notified')
    def notify(cls, recoveries):
        """Record that the partner was told what is held against it: the
        delay for its observations begins (RECOVERY_HEARING_DELAY), unless it
        was heard where the cause was found."""
        pool = Pool()
        user = acting_user(gettext('pacte_grants.msg_act_recovery'))
        today = pool.get('ir.date').today()
        delay = int(pool.get('grant.parameter').get('RECOVERY_HEARING_DELAY'))
        for recovery in recoveries:
            if not (recovery.facts or '').strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_recovery_facts',
                        recovery=recovery.rec_name))
            recovery._check_limitation(today)
            cls.write([recovery], {
                    'notified_on': today,
                    'notified_by': user.id,
                    'reply_until': (
                        today if recovery.was_heard
                        else today + dt.timedelta(days=delay)),
                    })

    def _check_limitation(self, today):
        if today > self.limitation_on:
            raise PeriodError(gettext(
                    'pacte_grants.msg_recovery_limitation',
                    recovery=self.rec_name,
                    date=self.limitation_on.strftime('%d/%m/%Y')))

    @classmethod
    @ModelView.button
    @transition('confirmed')
    def confirm(cls, recoveries):
        """Decide the recovery; the recovery order may be issued.

        Raise ``DutyError`` for who told the partner, ``PeriodError`` before
        the end of the delay, ``AmountError`` if the amount is no longer the
        one that is owed.
        """
        user = acting_user(gettext('pacte_grants.msg_act_recovery'))
        today = Pool().get('ir.date').today()
        for recovery in recoveries:
            if user.is_same_person(recovery.notified_by):
                raise DutyError(gettext(
                        'pacte_grants.msg_recovery_duty',
                        recovery=recovery.rec_name,
                        user=recovery.notified_by.rec_name))
            if today < recovery.reply_until and not recovery.observations_on:
                raise PeriodError(gettext(
                        'pacte_grants.msg_recovery_hearing',
                        recovery=recovery.rec_name,
                        date=recovery.reply_until.strftime('%d/%m/%Y')))
            if not (recovery.decision or '').strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_recovery_decision',
                        recovery=recovery.rec_name))
            recovery._check_limitation(today)
            recovery._check_amount()
        cls.write(recoveries, {
                'confirmed_on': today, 'confirmed_by': user.id})

    def _check_amount(self):
        owed, current = self._get_owed()
        if not current or owed != self.amount:
            raise AmountError(gettext(
                    'pacte_grants.msg_recovery_amount',
                    recovery=self.rec_name, owed=money(owed or Decimal(0))))

    def _get_owed(self):
        """Return what is owed where the cause was found (Decimal, euros) and
        whether that still holds."""
        liquidation, procedure = self.liquidation, self.procedure
        if liquidation:
            return (
                liquidation.to_recover
                - self._sum_others(liquidation.recoveries),
                liquidation.state == 'established' and not liquidation.stale)
        if procedure:
            return procedure.repay_amount, True
        return self.amount, True

    def _sum_others(self, recoveries):
        return sum((
                r.amount for r in recoveries
                if r != self and r.state in LIVE), Decimal(0))

    @classmethod
    def _end(cls, recoveries, required, message):
        """Raise ``CompletenessError`` where one of the ``required`` fields is
        empty, and stamp who ended the recoveries."""
        user = acting_user(gettext('pacte_grants.msg_act_recovery'))
        today = Pool().get('ir.date').today()
        for recovery in recoveries:
            for name in required:
                if not getattr(recovery, name):
                    raise CompletenessError(gettext(
                            f'pacte_grants.{message}',
                            recovery=recovery.rec_name))
            for name in ['settled_on', 'remission_on', 'order_sent_on']:
                date = getattr(recovery, name)
                if date and date > today:
                    raise PeriodError(gettext(
                            'pacte_grants.msg_recovery_date',
                            recovery=recovery.rec_name,
                            date=date.strftime('%d/%m/%Y')))
        cls.write(recoveries, {'ended_by': user.id})

    @classmethod
    @ModelView.button
    @transition('settled')
    def settle(cls, recoveries):
        "Record that the payer recovered the order."
        cls._end(
            recoveries, ['order_number', 'order_sent_on', 'settled_on'],
            'msg_recovery_order')

    @classmethod
    @ModelView.button
    @transition('offset')
    def set_off(cls, recoveries):
        """Record that the payer withheld it from a payment of the same
        convention, which a clause has to allow."""
        cls._end(
            recoveries, ['order_number', 'offset_instalment'],
            'msg_recovery_offset')
        Instalment = Pool().get('grant.instalment')
        instalments = Instalment.claim(
            list({r.offset_instalment for r in recoveries}))
        recoveries = cls.browse(recoveries)
        withheld = cls._sum_withheld(instalments, recoveries)
        for recovery in recoveries:
            instalment, convention = (
                recovery.offset_instalment, recovery.convention)
            if not any(
                    c.code == OFFSET_CLAUSE and not c.left_out
                    for c in convention.clauses):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_recovery_clause',
                        recovery=recovery.rec_name,
                        convention=convention.rec_name))
            if (instalment.convention != convention
                    or instalment.state not in {'paying', 'paid'}
                    or instalment.amount < withheld[instalment]):
                raise AmountError(gettext(
                        'pacte_grants.msg_recovery_withheld',
                        recovery=recovery.rec_name,
                        instalment=instalment.rec_name))

    @classmethod
    def _sum_withheld(cls, instalments, recoveries):
        """Return by instalment what was withheld from it before and for the
        recoveries (euros)."""
        withheld = defaultdict(Decimal)
        before = cls.search([
                ('offset_instalment', 'in', [i.id for i in instalments]),
                ('state', '=', 'offset')])
        for recovery in {*before, *recoveries}:
            withheld[recovery.offset_instalment] += recovery.amount
        return withheld

    @classmethod
    @ModelView.button
    @transition('remitted')
    def remit(cls, recoveries):
        "Record the deliberation that remits the debt."
        cls._end(
            recoveries, ['remission_act', 'remission_on'],
            'msg_recovery_remission')

    @classmethod
    @ModelView.button
    @transition('written_off')
    def write_off(cls, recoveries):
        "Give up what cannot be recovered."
        cls._end(
            recoveries, ['write_off_reason'], 'msg_recovery_write_off')

    @classmethod
    @ModelView.button
    @transition('abandoned')
    def abandon(cls, recoveries):
        "Give up before the recovery order."
        for recovery in recoveries:
            if not (recovery.abandon_reason or '').strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_recovery_abandon',
                        recovery=recovery.rec_name))
            if recovery.order_number:
                raise FrozenError(gettext(
                        'pacte_grants.msg_recovery_ordered',
                        recovery=recovery.rec_name,
                        number=recovery.order_number))
        Pool().get('grant.event').add([{
                    'record': r, 'name': 'abandon',
                    'before': r.amount, 'reason': r.abandon_reason,
                    } for r in recoveries])

    @classmethod
    def _reopen_to(cls, target, recoveries):
        recoveries = cls.claim(recoveries)
        for recovery in recoveries:
            if recovery.order_number:
                raise FrozenError(gettext(
                        'pacte_grants.msg_recovery_ordered',
                        recovery=recovery.rec_name,
                        number=recovery.order_number))
        super()._reopen_to(target, recoveries)
        values = {'confirmed_on': None, 'confirmed_by': None}
        if target == 'draft':
            values |= {
                'notified_on': None, 'notified_by': None,
                'reply_until': None}
        cls.write(recoveries, values)


class Liquidation(metaclass=PoolMeta):
    __name__ = 'grant.liquidation'

    recoveries = fields.One2Many(
        'grant.recovery', 'liquidation', "Recoveries", readonly=True)

    @property
    def to_recover(self):
        "The overpayment, less what comes back otherwise (euros)."
        Recovery = Pool().get('grant.recovery')
        recovered = Recovery.sum_by_tranche(
            [self.tranche], self._recovered_elsewhere())[self.tranche]
        return max(
            (self.overpayment or Decimal(0)) - recovered, Decimal(0))

    @classmethod
    def _recovered_elsewhere(cls):
        "Return the domain of the recoveries that the liquidation deducts."
        return [('procedure', '!=', None)]

    @property
    def explanation(self):
        "The calculation in lines of text, as it is attached."
        return '\n'.join(
            line.label if line.amount is None
            else f'{line.label} : {money(line.amount)}'
            for line in self.lines)

    @classmethod
    @ModelView.button
    def establish(cls, liquidations):
        super().establish(liquidations)
        Pool().get('grant.recovery').propose(
            cls.browse([liquidation.id for liquidation in liquidations]))

    @classmethod
    def copy(cls, liquidations, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('recoveries', None)
        return super().copy(liquidations, default=default)


class Procedure(metaclass=PoolMeta):
    __name__ = 'grant.procedure'

    @without_check_access
    def _get_recovered(self, tranches):
        # What comes back already is not asked for once more.
        return Pool().get('grant.recovery').sum_by_tranche(
            tranches, ['OR',
                ('procedure', '=', None), ('procedure', '!=', self.id)])

    @classmethod
    @ModelView.button
    def decide(cls, procedures):
        super().decide(procedures)
        Pool().get('grant.recovery').propose_procedures([
                p for p in cls.browse(procedures)
                if p.state == 'decided' and p.outcome == 'upheld'])


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    recoveries = fields.One2Many(
        'grant.recovery', 'convention', "Recoveries", readonly=True)

    @classmethod
    def copy(cls, conventions, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('recoveries', None)
        return super().copy(conventions, default=default)

    def get_closing_reasons(self):
        return super().get_closing_reasons() + [
            gettext('pacte_grants.msg_convention_close_recovery',
                recovery=r.rec_name, state=r.state_label)
            for r in self.recoveries
            if r.state in {'draft', 'notified', 'confirmed'}]
