# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""All that an envelope leaves goes on in the next exercise.

The simulation shows it line by line before anything moves; what was carried
over stays to be read.
"""
from collections import defaultdict
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import (
    Transaction, check_access, without_check_access)
from trytond.wizard import StateAction, Wizard

from .carry_over import MOVED
from .check import bulleted, money, year_domain
from .envelope import MULTI_YEAR
from .envelope_carry_plan import Line as PlannedLine
from .envelope_carry_plan import Plan
from .exceptions import CarryOverError, CeilingError, CompletenessError
from .mixin import GuardMixin, WorkflowMixin, acting_user, transition
from .scheme import CompanyMixin
from .sums import SLICE

# Beyond as many lines it is done in the background.
QUEUE_ABOVE = 300
_ASKED = {'envelope', 'year', 'leave_accrued', 'with_movements'}
_STATES_DRAFT = {'readonly': Eval('state') != 'draft'}


def _total(string, help):
    return Monetary(
        string, currency='currency', digits='currency', readonly=True,
        help=help)


class EnvelopeCarryOver(WorkflowMixin, CompanyMixin, ModelSQL, ModelView):
    "The carry-over of an envelope to an exercise."
    __name__ = 'grant.envelope.carry_over'
    __string__ = "Carry-over of an Envelope"
    _frozen = {
        'queued': frozenset(), 'done': frozenset({'undo_reason'}),
        'undone': frozenset()}

    envelope = fields.Many2One(
        'grant.envelope', "Envelope", required=True, ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        states=_STATES_DRAFT)
    kind = fields.Function(
        fields.Selection('get_kinds', "Kind"), 'on_change_with_kind')
    year = fields.Integer(
        "To the Exercise", required=True, domain=year_domain('year'),
        states=_STATES_DRAFT)
    target = fields.Many2One(
        'grant.envelope', "To the Envelope", readonly=True,
        ondelete='RESTRICT',
        help="That of the same code in the exercise; the same one if its "
        "authorisation is of several years.")
    leave_accrued = fields.Boolean(
        "Leave What Is Accrued", states=_STATES_DRAFT,
        help="What is certified or acquired by the end of the exercise is "
        "accrued to it and paid from its credits.")
    with_movements = fields.Boolean(
        "With the Movements", states=_STATES_DRAFT,
        help="What is authorised and the payment credits follow. Leave it "
        "out if the budget of the next exercise opens them already.")
    reference = fields.Char(
        "Act", states=_STATES_DRAFT,
        help="The act that decides the carry-over, or the statement of what "
        "is left that finance signed.")
    lines = fields.One2Many(
        'grant.envelope.carry_over.line', 'carry_over', "Lines",
        readonly=True)
    line_count = fields.Integer("Commitments", readonly=True)
    left = _total("Left", "Committed and not ordered.")
    carried = _total("Carried Over", "What goes on in the next exercise.")
    accrued = _total(
        "Accrued", "What stays to be paid from the credits of the exercise.")
    held = _total(
        "Held Back", "What stays for a reason that the line gives.")
    to_release = _total(
        "To Release", "What no payment is expected from any more.")
    credit = _total(
        "Payment Credits Carried Over",
        "What is left of the credits of the exercise, up to what is carried "
        "over.")
    credit_to_open = fields.Function(Monetary(
            "Payment Credits to Open", currency='currency',
            digits='currency',
            help="What is carried over and finds no credit left: the budget "
            "of the next exercise has to open it."),
        'on_change_with_credit_to_open')
    problems = fields.Text(
        "What Stands in the Way", readonly=True)
    failure = fields.Text(
        "Why the Last Attempt Failed", readonly=True)
    done_on = fields.Date("Carried Over On", readonly=True)
    done_by = fields.Many2One(
        'res.user', "Carried Over By", readonly=True, ondelete='RESTRICT')
    undo_reason = fields.Text(
        "Reason of the Undoing", states={'readonly': Eval('state') != 'done'},
        help="Why what was carried over goes back.")
    undone_on = fields.Date("Undone On", readonly=True)
    undone_by = fields.Many2One(
        'res.user', "Undone By", readonly=True, ondelete='RESTRICT')
    moves = fields.One2Many(
        'grant.envelope.carry_over.move', 'carry_over', "Payments Moved",
        readonly=True)
    movements = fields.One2Many(
        'grant.envelope.movement', 'carry_over', "Movements", readonly=True)
    state = fields.Selection([
            ('draft', "Dry Run"),
            ('queued', "Under Way"),
            ('done', "Carried Over"),
            ('undone', "Undone"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('id', 'DESC')]
        cls._sql_indexes.update({
                Index(table, (table.envelope, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                })
        cls._transitions = {
            ('draft', 'queued'),
            ('draft', 'done'),
            ('queued', 'done'),
            ('queued', 'draft'),
            ('done', 'undone'),
            }
        cls._buttons.update({
                'simulate': {
                    'invisible': Eval('state') != 'draft',
                    'depends': ['state'],
                    },
                'carry_over': {
                    'invisible': Eval('state') != 'draft',
                    'depends': ['state'],
                    },
                'draft': {
                    'invisible': Eval('state') != 'queued',
                    'depends': ['state'],
                    },
                'undo': {
                    'invisible': Eval('state') != 'done',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'draft'

    @classmethod
    def default_with_movements(cls):
        return True

    @classmethod
    def default_leave_accrued(cls):
        return True

    @classmethod
    def get_kinds(cls):
        Envelope = Pool().get('grant.envelope')
        return Envelope.fields_get(['kind'])['kind']['selection']

    @fields.depends('envelope', '_parent_envelope.kind')
    def on_change_with_kind(self, name=None):
        return self.envelope.kind if self.envelope else None

    @fields.depends('carried', 'credit', 'with_movements')
    def on_change_with_credit_to_open(self, name=None):
        if self.carried is None or not self.with_movements:
            return None
        return self.carried - (self.credit or Decimal(0))

    @fields.depends(
        'envelope', '_parent_envelope.year', '_parent_envelope.kind',
        '_parent_envelope.section')
    def on_change_envelope(self):
        if self.envelope:
            for name, value in self.get_defaults(self.envelope).items():
                setattr(self, name, value)

    @classmethod
    def get_defaults(cls, envelope):
        """Return what is proposed for the envelope: the exercise after its
        own, or after the one that ends if it has several; what is left of
        an investment is carried over as a whole."""
        year = envelope.year
        if envelope.kind in MULTI_YEAR:
            today = Pool().get('ir.date').today()
            year = max(year, today.year - (1 if today.month < 7 else 0))
        return {
            'year': year + 1,
            'leave_accrued': envelope.budget_section != 'investment',
            }

    def get_rec_name(self, name):
        return f'{self.envelope.rec_name} → {self.year}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('envelope.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['done', 'undone']), 'muted',
                    If(Bool(Eval('problems')) | Bool(Eval('failure')),
                        'danger', '')), ['state', 'problems', 'failure']),
            ('/form//group[@id="problems"]', 'states', {
                    'invisible': ~Bool(Eval('problems'))}, ['problems']),
            ('/form//group[@id="failure"]', 'states', {
                    'invisible': ~Bool(Eval('failure'))}, ['failure']),
            ('/form//group[@id="undoing"]', 'states', {
                    'invisible': ~Eval('state').in_(['done', 'undone'])},
                ['state']),
            ]

    @classmethod
    def on_modification(cls, mode, records, field_names=None):
        super().on_modification(mode, records, field_names=field_names)
        if mode == 'create' or mode == 'write' and field_names & _ASKED:
            cls._simulate([r for r in records if r.state == 'draft'])

    @classmethod
    def copy(cls, records, default=None):
        default = {} if default is None else default.copy()
        for name in ['lines', 'moves', 'movements', 'undo_reason']:
            default.setdefault(name, None)
        return super().copy(records, default=default)

    # The simulation

    def get_plan(self):
        return Plan(
            self.envelope, self.year, self.leave_accrued,
            self.with_movements)

    @classmethod
    @ModelView.button
    def simulate(cls, records):
        "Show what would be carried over as things stand now."
        cls._simulate(cls.claim(records))

    @classmethod
    @without_check_access
    def _simulate(cls, records):
        for record in records:
            plan = record.get_plan()
            cls._keep(record, plan, {
                    'problems': bulleted(plan.get_problems()) or None})

    @classmethod
    def _keep(cls, record, plan, values, new=None):
        """Write what becomes of the envelope, line by line and in all, with
        the ``new`` commitments by commitment."""
        new = new or {}
        Line = Pool().get('grant.envelope.carry_over.line')
        Line.delete(list(record.lines))
        for sub in grouped_slice(plan.lines, SLICE):
            Line.create([{
                        'carry_over': record.id,
                        'commitment': line.commitment.id,
                        'left': line.left,
                        'reason': line.reason,
                        'carried_to': (
                            new[line.commitment].id
                            if line.commitment in new else None),
                        **{n: getattr(line, n) for n in PlannedLine.parts},
                        } for line in sub])
        cls.write([record], {
                'target': plan.target.id if plan.target else None,
                'line_count': len(plan.lines),
                'credit': plan.credit,
                **{n: plan.total(n) for n in ['left', *PlannedLine.parts]},
                **values})

    # The carry-over

    @classmethod
    @ModelView.button
    def carry_over(cls, records):
        """Carry over what the simulation shows, as things stand now; in the
        background beyond ``QUEUE_ABOVE`` lines.

        Raise ``CarryOverError`` with what stands in the way.
        """
        cls._check_user()
        records = cls.claim(records)
        cls.check_button(records, 'carry_over')
        queued = [r for r in records if r.line_count > QUEUE_ABOVE]
        cls._queue(queued)
        for record in records:
            if record not in queued:
                cls._carry(record)

    @classmethod
    def _check_user(cls):
        acting_user(gettext('pacte_grants.msg_act_carry_over'))
        Pool().get('account.payment.group').check_finance()

    @classmethod
    @transition('queued')
    def _queue(cls, records):
        for record in records:
            if record.problems:
                raise CarryOverError(record._refusal(record.problems))
            cls.__queue__.carry_queued([record])
        cls.write(records, {'failure': None})

    @classmethod
    def carry_queued(cls, records):
        """Carry over what waits in the background; what is refused goes
        back to the simulation with the reason."""
        User = Pool().get('res.user')
        language = User(Transaction().user).language
        with Transaction().set_context(
                _log=True,
                **({'language': language.code} if language else {})):
            for record in cls.claim(records):
                if record.state != 'queued':
                    continue
                try:
                    cls._carry(record)
                except UserError as error:
                    Transaction().rollback()
                    cls._fail(cls.claim([record]), error.message)

    @classmethod
    @transition('draft')
    def _fail(cls, records, failure):
        cls.write(records, {'failure': failure})

    @classmethod
    @ModelView.button
    @transition('draft')
    def draft(cls, records):
        "Take back what waits in the background and did not begin."

    @classmethod
    def _carry(cls, record):
        "Carry over the envelope of the claimed record, all or nothing."
        pool = Pool()
        Envelope = pool.get('grant.envelope')
        Instalment = pool.get('grant.instalment')
        cls._check_user()
        with without_check_access():
            targets = Instalment.find_targets([record.envelope], record.year)
            Envelope.claim(sorted(
                    {record.envelope, *targets.values()},
                    key=lambda e: e.id))
            record = cls(record.id)
            plan = record.get_plan()
            if problems := plan.get_problems():
                raise CarryOverError(record._refusal(bulleted(problems)))
            new = cls._move(record, plan)
        cls._finish([record])
        with without_check_access():
            cls._keep(cls(record.id), plan, {}, new)

    @classmethod
    def _move(cls, record, plan):
        """Move what the plan says, so that no ceiling is passed on the way;
        return the new commitments by commitment."""
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        Envelope = pool.get('grant.envelope')
        Instalment = pool.get('grant.instalment')
        Movement = pool.get('grant.envelope.movement')
        Move = pool.get('grant.envelope.carry_over.move')
        given, taken = plan.get_movements(record.reference)
        Movement.create([{**v, 'carry_over': record.id} for v in given])
        new = Commitment.carry_to(plan.bare, plan.targets)
        instalments = Instalment.claim(plan.instalments)
        Move.create([{
                    'carry_over': record.id,
                    'instalment': i.id,
                    'commitment': i.commitment.id if i.commitment else None,
                    'exercise': i.exercise,
                    'state_before': i.state,
                    } for i in instalments])
        new |= Instalment.move(
            instalments, plan.sources, plan.targets, plan.year)
        Movement.create([{**v, 'carry_over': record.id} for v in taken])
        Envelope.check_payment_credits({plan.envelope, plan.target})
        return new

    @classmethod
    @transition('done')
    def _finish(cls, records):
        user = acting_user(gettext('pacte_grants.msg_act_carry_over'))
        cls.write(records, {
                'done_on': Pool().get('ir.date').today(),
                'done_by': user.id,
                'failure': None,
                'problems': None,
                })
        Pool().get('grant.event').add([{
                    'record': r, 'name': 'done_by', 'after': user,
                    'reason': r.reference,
                    } for r in records])

    # The undoing

    @classmethod
    @ModelView.button
    def undo(cls, records):
        """Bring back what was carried over, while nothing of it was used.

        Raise ``CompletenessError`` without a reason, ``CarryOverError`` with
        what prevents it.
        """
        cls._check_user()
        records = cls.claim(records)
        cls.check_button(records, 'undo')
        for record in records:
            if not (record.undo_reason or '').strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_envelope_undo_reason',
                        envelope=record.envelope.rec_name,
                        year=record.year))
            cls._bring_back(record)
        cls._end_undo(records)

    @classmethod
    @without_check_access
    def _bring_back(cls, record):
        "Bring back what the claimed record carried over, all or nothing."
        pool = Pool()
        Envelope = pool.get('grant.envelope')
        Instalment = pool.get('grant.instalment')
        Envelope.claim(sorted(
                {record.envelope, record.target}, key=lambda e: e.id))
        Instalment.claim([m.instalment for m in record.moves])
        record = cls(record.id)
        problems = record.get_undo_problems()
        if not problems:
            try:
                record._move_back()
            except CeilingError as error:
                problems = [error.message]
        if problems:
            raise CarryOverError(gettext(
                    'pacte_grants.msg_envelope_undo_refused',
                    envelope=record.envelope.rec_name, year=record.year,
                    reasons=bulleted(problems)))

    def get_undo_problems(self):
        """Return, in sentences, what of the target was used since, or what
        of the envelope does not wait for it any more."""
        new = {li.carried_to for li in self.lines if li.carried_to}
        if not (self.moves or new):
            return [gettext('pacte_grants.msg_envelope_undo_unknown')]
        problems = []
        for move in self.moves:
            problems.extend(move.get_problems())
        moved = {m.instalment for m in self.moves}
        for line in self.lines:
            if line.carried_to:
                problems.extend(line.get_undo_problems(moved))
        return problems

    def _move_back(self):
        "Undo what ``_move`` did, in the other order."
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        Envelope = pool.get('grant.envelope')
        Event = pool.get('grant.event')
        Instalment = pool.get('grant.instalment')
        Movement = pool.get('grant.envelope.movement')
        today = pool.get('ir.date').today()
        # What each exercise of each envelope was given, back
        back = defaultdict(lambda: [Decimal(0), Decimal(0)])
        for movement in self.movements:
            amounts = back[movement.envelope, movement.payment_year]
            amounts[0] -= movement.amount
            amounts[1] -= movement.payment_credit

        def shift(filter_):
            Movement.create([{
                        'carry_over': self.id,
                        'envelope': envelope.id,
                        'kind': 'carry_over',
                        'date': today,
                        'amount': amount,
                        'payment_year': year,
                        'payment_credit': credit,
                        'reference': gettext(
                            'pacte_grants.msg_envelope_undo_reference',
                            reference=self.reference or self.rec_name),
                        } for (envelope, year), (amount, credit)
                    in sorted(back.items(), key=lambda b: b[0][1])
                    if (amount or credit) and filter_(amount, credit)])

        shift(lambda amount, credit: amount > 0 or credit > 0)
        lines = [li for li in self.lines if li.carried_to]
        events, to_write = [], []
        for move in self.moves:
            instalment = move.instalment
            if instalment.state == 'cancelled':
                continue
            values = {'exercise': move.exercise}
            if instalment.commitment:
                values['commitment'] = (
                    move.commitment.id if move.commitment else None)
            to_write.extend(([instalment], values))
            events.append({
                    'record': instalment, 'name': 'exercise',
                    'before': self.target, 'after': self.envelope,
                    'reason': self.undo_reason,
                    })
        if to_write:
            Instalment.write(*to_write)
        if lines:
            Commitment.release([li.carried_to for li in lines])
            Commitment.write(*[
                    part for li in lines for part in (
                        [li.commitment],
                        {'amount': li.commitment.amount + li.carried})])
        Event.add(events)
        shift(lambda amount, credit: not (amount > 0 or credit > 0))
        Envelope.check_payment_credits({self.envelope, self.target})

    @classmethod
    @transition('undone')
    def _end_undo(cls, records):
        user = acting_user(gettext('pacte_grants.msg_act_carry_over'))
        cls.write(records, {
                'undone_on': Pool().get('ir.date').today(),
                'undone_by': user.id,
                })
        Pool().get('grant.event').add([{
                    'record': r, 'name': 'undone_by', 'after': user,
                    'reason': r.undo_reason,
                    } for r in records])

    def _refusal(self, reasons):
        return gettext(
            'pacte_grants.msg_envelope_carry_refused',
            envelope=self.envelope.rec_name, year=self.year, reasons=reasons)


class EnvelopeCarryOverLine(ModelSQL, ModelView):
    "What becomes of a commitment when its envelope is carried over."
    __name__ = 'grant.envelope.carry_over.line'
    __string__ = "Line of a Carry-over"

    carry_over = fields.Many2One(
        'grant.envelope.carry_over', "Carry-over", required=True,
        readonly=True, ondelete='CASCADE')
    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_carry_over')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    commitment = fields.Many2One(
        'grant.commitment', "Commitment", required=True, readonly=True,
        ondelete='RESTRICT')
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_commitment')
    finance_number = fields.Function(fields.Char(
            "Finance Number",
            help="The number of the commitment in the finance package."),
        'on_change_with_finance_number', searcher='search_commitment')
    left = _total("Left", "Committed and not ordered.")
    carried = _total("Carried Over", "What goes on in the next exercise.")
    accrued = _total(
        "Accrued", "What stays to be paid from the credits of the exercise.")
    held = _total("Held Back", "What stays for a reason that is given.")
    to_release = _total(
        "To Release", "What no payment is expected from any more.")
    reason = fields.Text("Why the Rest Stays", readonly=True)
    carried_to = fields.Many2One(
        'grant.commitment', "Goes On In", readonly=True, ondelete='RESTRICT',
        help="The commitment on the envelope of the next exercise.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('carry_over', 'DESC'), ('id', 'ASC')]
        cls._sql_indexes.update({
                Index(table, (table.carry_over, Index.Equality())),
                Index(table, (table.commitment, Index.Equality())),
                })

    @fields.depends('carry_over', '_parent_carry_over.company')
    def on_change_with_company(self, name=None):
        return self.carry_over.company if self.carry_over else None

    @classmethod
    def search_carry_over(cls, name, clause):
        return [('carry_over.' + clause[0], *clause[1:])]

    @fields.depends('carry_over', '_parent_carry_over.currency')
    def on_change_with_currency(self, name=None):
        return self.carry_over.currency if self.carry_over else None

    @fields.depends('commitment', '_parent_commitment.party')
    def on_change_with_party(self, name=None):
        return self.commitment.party if self.commitment else None

    @fields.depends('commitment', '_parent_commitment.finance_number')
    def on_change_with_finance_number(self, name=None):
        return self.commitment.finance_number if self.commitment else None

    @classmethod
    def search_commitment(cls, name, clause):
        return [('commitment.' + clause[0], *clause[1:])]

    def get_undo_problems(self, moved):
        """Return, in sentences, why the commitment on the target cannot go
        back; ``moved`` are the instalments that went there with it."""
        Commitment = Pool().get('grant.commitment')
        new, source = self.carried_to, self.commitment
        names = {'commitment': new.rec_name, 'envelope': new.envelope.rec_name}
        if [c for c in new.carried_to if c.state == 'committed']:
            return [gettext('pacte_grants.msg_envelope_undo_again', **names)]
        if new.state != 'committed' or new.amount != self.carried:
            return [gettext(
                    'pacte_grants.msg_envelope_undo_amount', **names,
                    amount=money(new.amount), carried=money(self.carried))]
        problems = []
        if source.state != 'committed':
            problems.append(gettext(
                    'pacte_grants.msg_envelope_undo_released',
                    commitment=source.rec_name,
                    envelope=source.envelope.rec_name))
        drawn = {
            i for i in Commitment(new.id).instalments
            if i not in moved and i.state != 'cancelled'}
        problems.extend(
            gettext('pacte_grants.msg_envelope_undo_used',
                instalment=i.rec_name, state=i.state_label)
            for i in sorted(drawn, key=lambda i: i.id))
        return problems

    def get_rec_name(self, name):
        return self.commitment.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('commitment.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('held', 0) > 0, 'danger',
                    If(Eval('to_release', 0) > 0, 'warning',
                        If(Eval('accrued', 0) > 0, '', 'success'))),
                ['accrued', 'held', 'to_release']),
            ]


class EnvelopeCarryOverMove(GuardMixin, ModelSQL, ModelView):
    "Where an instalment was before its envelope was carried over."
    __name__ = 'grant.envelope.carry_over.move'
    __string__ = "Payment of a Carry-over"

    carry_over = fields.Many2One(
        'grant.envelope.carry_over', "Carry-over", required=True,
        readonly=True, ondelete='CASCADE')
    instalment = fields.Many2One(
        'grant.instalment', "Payment", required=True, readonly=True,
        ondelete='CASCADE')
    commitment = fields.Many2One(
        'grant.commitment', "Commitment Before", readonly=True,
        ondelete='RESTRICT')
    exercise = fields.Integer("Exercise Before", readonly=True)
    state_before = fields.Selection(
        'get_states', "State Before", readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('carry_over')
        cls._sql_indexes.update({
                Index(table, (table.carry_over, Index.Equality())),
                Index(table, (table.instalment, Index.Equality())),
                })

    @classmethod
    def get_states(cls):
        Instalment = Pool().get('grant.instalment')
        return Instalment.fields_get(['state'])['state']['selection']

    def get_rec_name(self, name):
        return self.instalment.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('instalment.rec_name', *clause[1:])]

    def get_problems(self):
        "Return, in sentences, what was done since with the instalment."
        instalment = self.instalment
        names = {
            'instalment': instalment.rec_name,
            'state': instalment.state_label}
        if instalment.state == 'cancelled':
            # It asks nothing of either envelope.
            return []
        if (instalment.state not in MOVED
                or MOVED.index(instalment.state)
                > MOVED.index(self.state_before)):
            return [gettext('pacte_grants.msg_envelope_undo_used', **names)]
        if (payment := instalment.payment) and payment.group:
            return [gettext(
                    'pacte_grants.msg_batch_already', **names,
                    batch=payment.group.rec_name)]
        # What was sent back to the officer keeps where it goes.
        if instalment.exercise not in {None, self.carry_over.year}:
            return [gettext(
                    'pacte_grants.msg_envelope_undo_moved', **names,
                    exercise=instalment.exercise)]
        return []


class Movement(GuardMixin, metaclass=PoolMeta):
    __name__ = 'grant.envelope.movement'

    carry_over = fields.Many2One(
        'grant.envelope.carry_over', "Carry-over", readonly=True,
        ondelete='RESTRICT')


class Commitment(metaclass=PoolMeta):
    __name__ = 'grant.commitment'

    instalments = fields.One2Many(
        'grant.instalment', 'commitment', "Payments", readonly=True)


class Prepare(Wizard):
    "Simulate the carry-over of envelopes, each to its next exercise."
    __name__ = 'grant.envelope.carry_over.prepare'
    start_state = 'open_'

    open_ = StateAction('pacte_grants.act_envelope_carry_over')

    def do_open_(self, action):
        with check_access():
            records = self._get_records()
        if len(records) == 1:
            action['views'].reverse()
        return action, {'res_id': [r.id for r in records]}

    def _get_records(self):
        "Return the simulations of the envelopes, as things stand now."
        CarryOver = Pool().get('grant.envelope.carry_over')
        records = []
        for envelope in self.records:
            values = CarryOver.get_defaults(envelope)
            found = CarryOver.search([
                    ('envelope', '=', envelope.id),
                    ('year', '=', values['year']),
                    ('state', '=', 'draft'),
                    ], limit=1)
            records += found or CarryOver.create([{
                        'company': envelope.company.id,
                        'envelope': envelope.id,
                        **values,
                        }])
        CarryOver.simulate(records)
        return records
