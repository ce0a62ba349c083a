# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Certification by the officer, approval by finance, payment in groups.

An instalment is certified into an ``account.payment``, which from then on
moves only through the instalment or as the payer's answer.
"""
import datetime as dt
from collections import defaultdict
from decimal import Decimal
from itertools import groupby

from sql import Cast, Null
from sql.aggregate import Sum
from sql.conditionals import Case
from sql.functions import Extract
from sql.operators import Concat

from trytond import backend
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import Transaction

from .check import bulleted, money
from .convention import DEAD_STATES
from .exceptions import (
    BlockedError, CeilingError, CompletenessError, DutyError, FrozenError,
    PeriodError, TransitionError)
from .mixin import GuardMixin, StatusMixin, acting_user, now, transition
from .sums import SLICE, read_sums

_BEHIND = '_pacte_grants_instalment_payment'
APPROVED = ['approved', 'paying', 'paid']
SEND_BACK_KINDS = [
    ('piece', "Missing Document"),
    ('amount', "Wrong Amount"),
    ('bank_account', "Bank Account"),
    ('imputation', "Budget Entry"),
    ('act', "Act"),
    ('condition', "Partner's Undertaking"),
    ('other', "Other"),
    ]


def _moving_payments():
    "Return a context in which the payments of instalments may be written."
    return Transaction().set_context(**{_BEHIND: True})


class Approval(GuardMixin, ModelSQL, ModelView):
    "Who approved an instalment, when, for how much."
    __name__ = 'grant.approval'

    instalment = fields.Many2One(
        'grant.instalment', "Instalment", required=True, readonly=True,
        ondelete='RESTRICT')
    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_company')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    user = fields.Many2One(
        'res.user', "User", required=True, readonly=True,
        ondelete='RESTRICT')
    time = fields.DateTime("Time", required=True, readonly=True)
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True,
        readonly=True)
    void = fields.Boolean(
        "Void", readonly=True,
        help="The instalment was sent back since.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('id', 'ASC')]
        cls._sql_indexes.add(
            Index(table, (table.instalment, Index.Equality())))

    @classmethod
    def default_void(cls):
        return False

    @fields.depends('instalment', '_parent_instalment.company')
    def on_change_with_company(self, name=None):
        return self.instalment.company if self.instalment else None

    @classmethod
    def search_company(cls, name, clause):
        return [('instalment.convention.' + clause[0], *clause[1:])]

    @fields.depends('instalment', '_parent_instalment.currency')
    def on_change_with_currency(self, name=None):
        return self.instalment.currency if self.instalment else None

    def get_rec_name(self, name):
        return f'{self.user.rec_name} – {self.instalment.rec_name}'

    @classmethod
    def check_modification(cls, mode, approvals, values=None,
            external=False):
        super().check_modification(
            mode, approvals, values=values, external=external)
        if mode == 'delete' or mode == 'write' and values.keys() != {'void'}:
            for approval in approvals:
                raise FrozenError(gettext(
                        'pacte_grants.msg_approval_frozen',
                        approval=approval.rec_name))


class Instalment(StatusMixin, metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    commitment = fields.Many2One(
        'grant.commitment', "Commitment", readonly=True,
        ondelete='RESTRICT')
    envelope = fields.Function(fields.Many2One(
            'grant.envelope', "Envelope"),
        'on_change_with_envelope', searcher='search_envelope')
    finance_number = fields.Function(fields.Char(
            "Finance Number",
            help="The number of the commitment in the finance package."),
        'get_finance_number', searcher='search_finance_number')
    bank_account = fields.Many2One(
        'bank.account-party.party', "Bank Account", readonly=True,
        ondelete='RESTRICT',
        help="The verified account to which it is paid.")
    payments = fields.One2Many(
        'account.payment', 'instalment', "Payments", readonly=True,
        order=[('id', 'ASC')])
    payment = fields.Function(fields.Many2One(
            'account.payment', "Payment"), 'get_payment')
    approvals = fields.One2Many(
        'grant.approval', 'instalment', "Approvals", readonly=True)
    certified_by = fields.Many2One(
        'res.user', "Certified By", readonly=True, ondelete='RESTRICT')
    certified_on = fields.Date("Certified On", readonly=True)
    limited_on = fields.Function(fields.Date(
            "Barred From",
            help="The Department's debt lapses on that day unless the "
            "partner claimed it (L29)."),
        'get_limited_on', searcher='search_date')
    status = fields.Function(fields.Selection(
            'get_statuses', "State", sort=False,
            help="The state, in the words of the kind: before an advance "
            "nothing was done yet, its conditions are met."),
        'on_change_with_status', searcher='search_status')
    approved_on = fields.Date("Approved On", readonly=True)
    send_back_kind = fields.Selection(
        [(None, ""), *SEND_BACK_KINDS], "Sent Back for", sort=False,
        states={'readonly': ~Eval('state').in_(['certified', 'approved'])})
    send_back_kind_string = send_back_kind.translated('send_back_kind')
    send_back_reason = fields.Text(
        "Reason of the Sending Back",
        states={'readonly': ~Eval('state').in_(['certified', 'approved'])})
    return_status = fields.Selection([
            (None, ""),
            ('paid', "Paid"),
            ('rejected', "Rejected"),
            ('returned', "Returned by the Bank"),
            ], "Payer's Answer", readonly=True, sort=False)
    return_reason = fields.Text(
        "Payer's Reason",
        states={'readonly': ~Eval('state').in_(['paying', 'paid'])})
    order_number = fields.Char(
        "Payment Order",
        states={'readonly': ~Eval('state').in_(['paying', 'paid'])})
    payment_date = fields.Date(
        "Date of the Payment",
        states={'readonly': Eval('state') != 'paying'},
        help="When the payer paid; today if left empty.")
    paid_on = fields.Date("Paid On", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        free = frozenset({
                'send_back_kind', 'send_back_reason', 'return_reason',
                'order_number', 'payment_date'})
        cls._free_fields = cls._free_fields | free
        cls._frozen = {
            state: allowed | free for state, allowed in cls._frozen.items()}
        cls._buttons.update({
                'certify': {
                    'invisible': Eval('state') != 'planned',
                    'depends': ['state'],
                    },
                'approve': {
                    'invisible': Eval('state') != 'certified',
                    'depends': ['state'],
                    },
                'send_back': {
                    'invisible': ~Eval('state').in_(
                        ['certified', 'approved']),
                    'depends': ['state'],
                    },
                'process': {
                    'invisible': Eval('state') != 'approved',
                    'depends': ['state'],
                    },
                'succeed': {
                    'invisible': Eval('state') != 'paying',
                    'depends': ['state'],
                    },
                'reject': {
                    'invisible': ~Eval('state').in_(['paying', 'paid']),
                    'depends': ['state'],
                    },
                })

    @fields.depends('commitment')
    def on_change_with_envelope(self, name=None):
        return self.commitment.envelope if self.commitment else None

    @classmethod
    def search_envelope(cls, name, clause):
        return [('commitment.' + clause[0], *clause[1:])]

    @classmethod
    def get_finance_number(cls, instalments, name):
        numbers = {}
        for instalment in instalments:
            commitments = (
                [instalment.commitment] if instalment.commitment
                else instalment._get_commitments())
            numbers[instalment.id] = ', '.join(
                c.finance_number for c in commitments
                if c.finance_number) or None
        return numbers

    def _get_commitments(self):
        "Return the commitments from which the instalment may be paid."
        Commitment = Pool().get('grant.commitment')
        return Commitment.with_carried([
                d.commitment for d in self.convention.decisions
                if d.commitment and d.commitment.state == 'committed'
                and d.commitment.year == self.tranche.year])

    @classmethod
    def search_finance_number(cls, name, clause):
        operator, value = clause[1:]
        nested = 'decisions.commitment.finance_number'
        return ['OR',
            ('commitment.finance_number', operator, value),
            [
                ('commitment', '=', None),
                (f'convention.applications.{nested}', operator, value),
                ],
            ]

    @classmethod
    def get_limited_on(cls, instalments, name):
        """Return from when the debt is barred: the L29 years count from the
        1 January after the right is born."""
        years = cls._get_limitation()
        since = cls.get_due_since(instalments, ['due_since'])['due_since']
        return {
            i.id: dt.date(since[i.id].year + 1 + years, 1, 1)
            if since[i.id] and i.state != 'paid' else None
            for i in instalments}

    @staticmethod
    def _get_limitation():
        return int(Pool().get('grant.parameter').get('L29_LIMITATION'))

    @classmethod
    def _limited_on(cls, instalment, tranche):
        "Return the SQL of what ``get_limited_on`` returns."
        since = cls._due_since(instalment, tranche)
        year = Cast(Extract('YEAR', since), 'INTEGER')
        day = Concat(
            Cast(year + 1 + cls._get_limitation(), 'VARCHAR'), '-01-01')
        if backend.name != 'sqlite':
            day = Cast(day, 'DATE')
        return Case((instalment.state == 'paid', Null), else_=day)

    @classmethod
    def order_limited_on(cls, tables):
        return cls._order_date('limited_on', tables)

    # What is certified of an advance
    _status_field = 'kind'
    _status_value = 'advance'
    _statuses = {'certified': 'conditions_met'}

    @fields.depends('state', 'kind')
    def on_change_with_status(self, name=None):
        return self._get_status()

    @classmethod
    def view_attributes(cls):
        over = Eval('state').in_(['paid', 'cancelled'])
        failed = (
            (Eval('state') == 'certified')
            & Eval('return_status').in_(['rejected', 'returned']))
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(over, 'muted',
                    If(failed | (Eval('days_left', None) < 0), 'danger',
                        If(Eval('ready', False), 'success',
                            If(Eval('days_left', None) <= 15, 'warning',
                                '')))),
                ['state', 'days_left', 'ready', 'return_status']),
            ('//label[@id="attest_advance"]', 'states', {
                    'invisible': (
                        (Eval('state') != 'planned')
                        | (Eval('kind') != 'advance')),
                    }),
            ('//label[@id="attest_service"]', 'states', {
                    'invisible': (
                        (Eval('state') != 'planned')
                        | (Eval('kind') == 'advance')),
                    }),
            ('//group[@id="sending_back"]', 'states', {
                    'invisible': ~Eval('state').in_(
                        ['certified', 'approved']),
                    }),
            ('//group[@id="success"]', 'states', {
                    'invisible': Eval('state') != 'paying',
                    }),
            ('//group[@id="return"]', 'states', {
                    'invisible': (
                        ~Eval('state').in_(['paying', 'paid'])
                        & ~Eval('return_status')),
                    }),
            ]

    @classmethod
    def get_payment(cls, instalments, name):
        payments = dict.fromkeys([i.id for i in instalments])
        for payment in Pool().get('account.payment').search([
                    ('instalment', 'in', [i.id for i in instalments]),
                    ('state', '!=', 'failed'),
                    ], order=[('id', 'ASC')]):
            payments[payment.instalment.id] = payment.id
        return payments

    @classmethod
    def copy(cls, instalments, default=None):
        default = {} if default is None else default.copy()
        for name in [
                'payments', 'approvals', 'send_back_reason',
                'return_reason', 'order_number', 'payment_date']:
            default.setdefault(name, None)
        return super().copy(instalments, default=default)

    @classmethod
    @ModelView.button
    @transition('certified')
    def certify(cls, instalments):
        """Attest that the instalments may be paid, each into a submitted
        ``account.payment``.

        Raise ``BlockedError`` with all that is missing from any of them.
        """
        pool = Pool()
        Party = pool.get('party.party')
        user = acting_user(gettext('pacte_grants.msg_act_certify'))
        cls._check_blockers(instalments)
        accounts = Party.get_payable_accounts(
            list({i.party for i in instalments}))
        by_values = defaultdict(list)
        drawn = cls._drawn([
                c for i in instalments for c in i._get_commitments()])
        for instalment in instalments:
            commitment = instalment._find_commitment(drawn)
            drawn[commitment.id] += instalment.amount
            by_values[commitment, accounts[instalment.party]].append(
                instalment)
        today = pool.get('ir.date').today()
        to_write = []
        for (commitment, account), sub in by_values.items():
            to_write.extend((sub, {
                        'commitment': commitment.id,
                        'bank_account': account.id,
                        'certified_by': user.id,
                        'certified_on': today,
                        'send_back_kind': None,
                        'send_back_reason': None,
                        'return_status': None,
                        }))
        if to_write:
            cls.write(*to_write)
        cls._create_payments(instalments)

    @classmethod
    def _check_blockers(cls, instalments):
        Blocker = Pool().get('grant.instalment.blocker')
        found = defaultdict(list)
        for blocker in Blocker.search([
                    ('instalment', 'in', [i.id for i in instalments])]):
            found[blocker.instalment.id].append(blocker)
        messages = []
        for instalment in instalments:
            if blockers := found[instalment.id]:
                messages.append(gettext(
                        'pacte_grants.msg_instalment_blocked',
                        instalment=instalment.rec_name,
                        reasons=bulleted(b.description for b in blockers)))
        if messages:
            raise BlockedError('\n'.join(messages))

    def _find_commitment(self, drawn):
        """Return the commitment of the year that has room for the
        instalment; ``drawn`` is what the others take of each (euros)."""
        by_envelope = defaultdict(list)
        for commitment in self._get_commitments():
            # What finance did not number yet pays nothing.
            if commitment.finance_number:
                by_envelope[commitment.envelope].append(commitment)

        def room(commitment):
            return commitment.amount - drawn[commitment.id]

        left = Decimal(0)
        for commitments in by_envelope.values():
            # A complement adds to the commitment that it completes.
            together = sum(map(room, commitments), Decimal(0))
            if together >= self.amount:
                return next(
                    (c for c in commitments if room(c) >= self.amount),
                    max(commitments, key=room))
            left += together
        raise CeilingError(gettext(
                'pacte_grants.msg_instalment_above_commitment',
                instalment=self.rec_name,
                amount=money(self.amount),
                left=money(left)))

    @classmethod
    def _drawn(cls, commitments):
        "Return what live instalments take of each commitment, by id (euros)."
        instalment = cls.__table__()
        used = defaultdict(Decimal)
        for sub in grouped_slice({c.id for c in commitments}, SLICE):
            used.update(read_sums(instalment.select(
                        instalment.commitment, Sum(instalment.amount),
                        where=reduce_ids(instalment.commitment, sub)
                        & instalment.state.in_(['certified'] + APPROVED),
                        group_by=[instalment.commitment])))
        return used

    @classmethod
    def _create_payments(cls, instalments):
        pool = Pool()
        Configuration = pool.get('grant.configuration')
        Payment = pool.get('account.payment')
        today = pool.get('ir.date').today()
        journals = {}
        vlist = []
        for instalment in instalments:
            company = instalment.company
            if company not in journals:
                journals[company] = Configuration(1).get_multivalue(
                    'payment_journal', company=company.id)
            if not journals[company]:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_payment_journal',
                        company=company.rec_name))
            vlist.append({
                    'company': company.id,
                    'journal': journals[company].id,
                    'kind': 'payable',
                    'party': instalment.party.id,
                    'date': today,
                    'amount': instalment.amount,
                    'reference': instalment.convention.number,
                    'instalment': instalment.id,
                    })
        cls._number_payments(vlist)
        with _moving_payments():
            Payment.submit(Payment.create(vlist))

    @classmethod
    def _number_payments(cls, vlist):
        "Give new payments their numbers in one go, company by company."
        Configuration = Pool().get('account.configuration')
        by_company = defaultdict(list)
        for values in vlist:
            by_company[values['company']].append(values)
        for company, sub in by_company.items():
            sequence = Configuration(1).get_multivalue(
                'payment_sequence', company=company)
            if sequence:
                for values, number in zip(
                        sub, sequence.get_many(len(sub)), strict=True):
                    values['number'] = number

    @classmethod
    @ModelView.button
    def approve(cls, instalments):
        """Approve for finance what somebody else certified.

        Above the threshold the first approval is recorded and a second
        person completes it.  Raise ``DutyError`` for whoever instructed,
        proposed, certified or entered an amount behind the payment
        (invariant 5), and ``CeilingError`` above the payment credits
        (invariant 2).
        """
        pool = Pool()
        Approval = pool.get('grant.approval')
        Date = pool.get('ir.date')
        Envelope = pool.get('grant.envelope')
        Parameter = pool.get('grant.parameter')
        user = acting_user(gettext('pacte_grants.msg_act_approve'))
        Envelope.claim(list({
                    i.commitment.envelope for i in instalments
                    if i.commitment}))
        instalments = cls.claim(instalments)
        cls.check_transition(instalments, 'approved')
        cls._check_blockers(instalments)
        cls._check_duties(instalments, user)
        threshold = Parameter.get('SECOND_APPROVAL_THRESHOLD', Date.today())
        time = now()
        Approval.create([{
                    'instalment': instalment.id,
                    'user': user.id,
                    'time': time,
                    'amount': instalment.amount,
                    } for instalment in instalments])
        complete = [
            i for i in cls.browse(instalments)
            if len(i.valid_approvals) >= (2 if i.amount > threshold else 1)]
        if complete:
            cls._approve(complete)
            Envelope.check_payment_credits(
                list({i.envelope for i in cls.browse(complete)}))

    @property
    def valid_approvals(self):
        return [a for a in self.approvals if not a.void]

    def _get_concerned_users(self, acts):
        """Return what was done by whom on the way to this payment: the
        users who may not approve it.

        ``acts`` are what the journal keeps of it, by record: who acted
        before a step was made again is no longer on the record.
        """
        concerned = [('certified', self.certified_by)]
        concerned += acts[str(self)]
        for decision in self.convention.decisions:
            application = decision.application
            concerned += [
                ('instructed', application.admitted_by),
                ('proposed', application.reviewed_by),
                ('proposed', decision.proposed_by),
                ('changed', decision.amount_by),
                ]
            concerned += acts[str(decision)] + acts[str(application)]
            concerned.append(('changed', application.create_uid))
        concerned.append(('changed', self.create_uid))
        concerned += [('approved', a.user) for a in self.valid_approvals]
        return [(act, user) for act, user in concerned if user]

    # What an event of the journal makes of its user.
    _acts = {
        'amount': 'changed',
        'proposed_amount': 'changed',
        'admitted_by': 'instructed',
        'reviewed_by': 'proposed',
        }

    @classmethod
    def _get_acts(cls, instalments):
        """Return, by record, what the journal says was done by whom to the
        instalments and to the votes and applications behind them."""
        Event = Pool().get('grant.event')
        records = {str(i) for i in instalments}
        for instalment in instalments:
            for decision in instalment.convention.decisions:
                records |= {str(decision), str(decision.application)}
        acts = defaultdict(list)
        for sub in grouped_slice(sorted(records), SLICE):
            for event in Event.search([
                        ('record', 'in', list(sub)),
                        ('name', 'in', list(cls._acts)),
                        ]):
                acts[str(event.record)].append(
                    (cls._acts[event.name], event.user))
        return acts

    @classmethod
    def _check_duties(cls, instalments, user):
        acts = cls._get_acts(instalments)
        for instalment in instalments:
            for act, other in instalment._get_concerned_users(acts):
                if user.is_same_person(other):
                    raise DutyError(gettext(
                            f'pacte_grants.msg_approval_duty_{act}',
                            instalment=instalment.rec_name,
                            user=other.rec_name))

    @classmethod
    @transition('approved')
    def _approve(cls, instalments):
        pool = Pool()
        Payment = pool.get('account.payment')
        # A payment that failed stays; the next attempt is a new one.
        cls._create_payments([i for i in instalments if not i.payment])
        with _moving_payments():
            Payment.approve(Payment.browse(
                    [i.payment for i in cls.browse(instalments)]))
        cls.write(instalments, {
                'approved_on': pool.get('ir.date').today()})

    @classmethod
    @ModelView.button
    def send_back(cls, instalments):
        "Send back one step, with a reason; the approvals become void."
        by_state = defaultdict(list)
        for instalment in cls.claim(instalments):
            by_state[instalment.state].append(instalment)
        for state, sub in by_state.items():
            if state == 'approved':
                cls._send_back_to_certified(sub)
            else:
                cls._send_back_to_planned(sub)

    @property
    def send_back_text(self):
        "Why it is sent back, in words."
        return (self.send_back_reason or '').strip()

    @classmethod
    def _check_send_back(cls, instalments):
        Approval = Pool().get('grant.approval')
        for instalment in instalments:
            if not instalment.send_back_text:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_instalment_send_back_reason',
                        instalment=instalment.rec_name))
        Pool().get('grant.event').add([{
                    'record': i, 'name': 'send_back',
                    'before': i.state_label,
                    'reason': i.send_back_text,
                    } for i in instalments])
        Approval.write(
            [a for i in instalments for a in i.valid_approvals],
            {'void': True})

    @classmethod
    @transition('certified')
    def _send_back_to_certified(cls, instalments):
        Payment = Pool().get('account.payment')
        cls._check_send_back(instalments)
        payments = [i.payment for i in instalments]
        with _moving_payments():
            Payment.draft(payments)
            Payment.submit(Payment.browse(payments))
        cls.write(instalments, {'approved_on': None})

    @classmethod
    @transition('planned')
    def _send_back_to_planned(cls, instalments):
        Payment = Pool().get('account.payment')
        cls._check_send_back(instalments)
        payments = [i.payment for i in instalments if i.payment]
        with _moving_payments():
            Payment.draft(payments)
            Payment.delete(Payment.browse(payments))
        cls.write(instalments, {
                'commitment': None,
                'bank_account': None,
                'certified_by': None,
                'certified_on': None,
                })

    @classmethod
    @ModelView.button_action('pacte_grants.act_payment_group_form')
    def process(cls, instalments):
        "Send approved instalments to the payer, grouped by journal."
        pool = Pool()
        Group = pool.get('account.payment.group')
        Payment = pool.get('account.payment')
        instalments = cls.claim(instalments)
        cls.check_transition(instalments, 'paying')

        def key(payment):
            return payment.company.id, payment.journal.id

        payments = sorted([i.payment for i in instalments], key=key)
        groups = []
        for (company, journal), sub in groupby(payments, key=key):
            def new_group(company=company, journal=journal):
                group = Group(
                    company=company, journal=journal, kind='payable')
                group.save()
                groups.append(group)
                return group
            Payment.process(Payment.browse(list(sub)), new_group)
        return {'res_id': [g.id for g in groups]}

    @classmethod
    @ModelView.button
    def succeed(cls, instalments):
        "Record that the payer paid."
        Payment = Pool().get('account.payment')
        instalments = cls.claim(instalments)
        cls.check_transition(instalments, 'paid')
        Payment.succeed(Payment.browse([i.payment for i in instalments]))

    @classmethod
    @ModelView.button
    def reject(cls, instalments):
        """Record that the payer rejected the payment or that the bank
        returned it: the instalment is to be approved again."""
        Payment = Pool().get('account.payment')
        instalments = cls.claim(instalments)
        cls.check_transition(instalments, 'certified')
        for instalment in instalments:
            if instalment.state not in {'paying', 'paid'}:
                cls.check_transition([instalment], 'paid')
            if not instalment.return_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_instalment_return_reason',
                        instalment=instalment.rec_name))
        Payment.fail(Payment.browse([i.payment for i in instalments]))

    @classmethod
    @transition('paying')
    def follow_processing(cls, instalments):
        "Follow the payment, which was sent."

    @classmethod
    @transition('paid')
    def follow_success(cls, instalments):
        "Follow the payment, which succeeded."
        today = Pool().get('ir.date').today()
        by_date = defaultdict(list)
        for instalment in instalments:
            date = instalment.payment_date or today
            if date > today:
                raise PeriodError(gettext(
                        'pacte_grants.msg_payment_date',
                        instalment=instalment.rec_name,
                        date=date.strftime('%d/%m/%Y')))
            by_date[date].append(instalment)
        for date, sub in by_date.items():
            cls.write(sub, {'paid_on': date, 'return_status': 'paid'})

    @classmethod
    @transition('certified')
    def follow_failure(cls, instalments):
        "Follow the payment, which failed: a new one has to be approved."
        pool = Pool()
        Approval = pool.get('grant.approval')
        pool.get('grant.event').add([{
                    'record': i, 'name': 'return',
                    'before': i.state_label,
                    'reason': i.return_reason,
                    } for i in instalments])
        by_status = defaultdict(list)
        for instalment in instalments:
            by_status['returned' if instalment.state == 'paid'
                else 'rejected'].append(instalment)
        for status, sub in by_status.items():
            cls.write(sub, {
                    'return_status': status,
                    'paid_on': None,
                    'payment_date': None,
                    'approved_on': None,
                    })
        Approval.write(
            [a for i in instalments for a in i.valid_approvals],
            {'void': True})


class Payment(metaclass=PoolMeta):
    __name__ = 'account.payment'

    instalment = fields.Many2One(
        'grant.instalment', "Instalment", readonly=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.instalment, Index.Equality())))

    @classmethod
    def create(cls, vlist):
        vlist = [v.copy() for v in vlist]
        for values in vlist:
            if values.get('instalment') and not cls._is_moving():
                raise FrozenError(gettext(
                        'pacte_grants.msg_payment_create_instalment'))
        return super().create(vlist)

    @staticmethod
    def _is_moving():
        return bool(Transaction().context.get(_BEHIND))

    @classmethod
    def check_modification(cls, mode, payments, values=None, external=False):
        super().check_modification(
            mode, payments, values=values, external=external)
        if mode in {'write', 'delete'} and not cls._is_moving():
            if values and values.get('instalment'):
                raise FrozenError(gettext(
                        'pacte_grants.msg_payment_create_instalment'))
            for payment in payments:
                if payment.instalment:
                    raise FrozenError(gettext(
                            'pacte_grants.msg_payment_frozen',
                            payment=payment.rec_name,
                            instalment=payment.instalment.rec_name))

    @classmethod
    def copy(cls, payments, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('instalment', None)
        return super().copy(payments, default=default)

    @classmethod
    def _instalments(cls, payments, *states):
        """Return the instalments behind the payments that are in one of
        the states."""
        Instalment = Pool().get('grant.instalment')
        return Instalment.browse([
                p.instalment for p in payments
                if p.instalment and p.state in states])

    @classmethod
    def _check_order(cls, payments, *states):
        """Raise ``TransitionError`` for the payment of an instalment that is
        not in one of the states: nothing is paid that was not approved."""
        for payment in payments:
            if payment.instalment and payment.state not in states:
                raise TransitionError(gettext(
                        'pacte_grants.msg_payment_order',
                        payment=payment.rec_name,
                        instalment=payment.instalment.rec_name))

    @classmethod
    def process(cls, payments, group=None):
        cls._check_order(payments, 'approved')
        if instalments := cls._instalments(payments, 'approved'):
            # Something may be missing again since the approval.
            instalments[0].__class__._check_blockers(instalments)
        with _moving_payments():
            return super().process(payments, group=group)

    @classmethod
    @ModelView.button
    def proceed(cls, payments):
        cls._check_order(payments, 'approved', 'processing')
        instalments = cls._instalments(payments, 'approved')
        with _moving_payments():
            super().proceed(payments)
        if instalments:
            instalments[0].__class__.follow_processing(instalments)

    @classmethod
    @ModelView.button
    def succeed(cls, payments):
        processing = [p for p in payments if p.state == 'processing']
        instalments = cls._instalments(processing, 'processing')
        cls._check_order(payments, 'processing', 'succeeded')
        with _moving_payments():
            super().succeed(payments)
        if instalments:
            instalments[0].__class__.follow_success(instalments)

    @classmethod
    @ModelView.button
    def fail(cls, payments):
        instalments = cls._instalments(
            payments, 'processing', 'succeeded')
        cls._check_order(payments, 'processing', 'succeeded', 'failed')
        with _moving_payments():
            super().fail(payments)
        if instalments:
            instalments[0].__class__.follow_failure(instalments)


class Envelope(metaclass=PoolMeta):
    __name__ = 'grant.envelope'

    approved = fields.Function(Monetary(
            "Approved Payments", currency='currency', digits='currency'),
        'get_payments')
    paid = fields.Function(Monetary(
            "Paid", currency='currency', digits='currency'), 'get_payments')

    @classmethod
    def check_movements(cls, envelopes):
        super().check_movements(envelopes)
        cls.check_payment_credits(envelopes)

    @classmethod
    def check_payment_credits(cls, envelopes):
        """Raise ``CeilingError`` if the approved payments on an envelope
        exceed its payment credits of the year (invariant 2)."""
        for envelope in cls.browse(list(envelopes)):
            if envelope.approved > envelope.payment_credit:
                raise CeilingError(gettext(
                        'pacte_grants.msg_payment_credit_exceeded',
                        envelope=envelope.rec_name,
                        credit=money(envelope.payment_credit),
                        approved=money(envelope.approved)))

    @classmethod
    def get_payments(cls, envelopes, names):
        pool = Pool()
        commitment = pool.get('grant.commitment').__table__()
        instalment = pool.get('grant.instalment').__table__()
        sums = defaultdict(lambda: defaultdict(Decimal))
        for sub in grouped_slice(envelopes, SLICE):
            query = instalment.join(
                commitment,
                condition=instalment.commitment == commitment.id).select(
                commitment.envelope, instalment.state,
                Sum(instalment.amount),
                where=reduce_ids(commitment.envelope, [e.id for e in sub])
                & instalment.state.in_(APPROVED),
                group_by=[commitment.envelope, instalment.state])
            for id_, state, amount in read_sums(query, keys=2):
                sums[id_]['approved'] += Decimal(amount)
                if state == 'paid':
                    sums[id_]['paid'] += Decimal(amount)
        return {
            name: {
                e.id: e.currency.round(sums[e.id][name]) for e in envelopes}
            for name in names}


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    paid_amount = fields.Function(Monetary(
            "Paid", currency='currency', digits='currency'),
        'get_paid_amounts')
    remaining_amount = fields.Function(Monetary(
            "Left to Pay", currency='currency', digits='currency'),
        'get_paid_amounts')

    @classmethod
    def get_paid_amounts(cls, conventions, names):
        """What was paid and what is left to pay; of a year that the vote
        refused nothing is."""
        pool = Pool()
        instalment = pool.get('grant.instalment').__table__()
        tranche = pool.get('grant.tranche').__table__()
        sums = defaultdict(lambda: defaultdict(Decimal))
        for sub in grouped_slice(conventions, SLICE):
            query = (instalment
                .join(tranche, condition=instalment.tranche == tranche.id)
                .select(
                    instalment.convention, instalment.state,
                    Sum(instalment.amount),
                    where=reduce_ids(
                        instalment.convention, [c.id for c in sub])
                    & (instalment.state != 'cancelled')
                    & ((tranche.status != 'refused')
                        | (instalment.state == 'paid')),
                    group_by=[instalment.convention, instalment.state]))
            for id_, state, amount in read_sums(query, keys=2):
                name = (
                    'paid_amount' if state == 'paid' else 'remaining_amount')
                sums[id_][name] += Decimal(amount)
        for convention in conventions:
            if convention.state in DEAD_STATES:
                sums[convention.id]['remaining_amount'] = Decimal(0)
        return {
            name: {
                c.id: c.currency.round(sums[c.id][name])
                for c in conventions}
            for name in names}

    def _release(self, commitments):
        "Keep what was paid, release the rest."
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        Instalment = pool.get('grant.instalment')
        used = Instalment._drawn(commitments)
        super()._release([c for c in commitments if not used[c.id]])
        for commitment in commitments:
            if used[commitment.id]:
                Commitment.write(
                    [commitment], {'amount': used[commitment.id]})
