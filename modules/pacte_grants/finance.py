# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The desk of finance: what is in front of who approves a payment.

The right, the evidence and the money behind an instalment on one screen; a
fresh authentication to approve; sending back with a reason from a list;
urgent payments first.
"""
from collections import defaultdict
from decimal import Decimal
from functools import wraps

from sql import Literal

from trytond.i18n import gettext
from trytond.model import Index, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.rpc import RPC
from trytond.tools import grouped_slice
from trytond.transaction import (
    Transaction, check_access, without_check_access)
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .condition import FULFILLED
from .envelope import MULTI_YEAR
from .exceptions import CompletenessError, DutyError
from .hold import has_group
from .mixin import acting_user
from .payment import SEND_BACK_KINDS
from .sums import SLICE

# Keys with an underscore never come from a request.
_FRESH = '_pacte_grants_fresh_session'


def _with_fresh_session(func):
    "Decorate what the dispatcher calls once the session is known as fresh."
    @wraps(func)
    def wrapper(*args, **kwargs):
        with Transaction().set_context(**{_FRESH: True}):
            return func(*args, **kwargs)
    return wrapper


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    urgent = fields.Boolean(
        "Urgent", readonly=True,
        help="The head of service asks to pay it before the others.")
    urgent_reason = fields.Text(
        "Reason of the Urgency", readonly=True,
        states={'invisible': ~Eval('urgent', False)})
    urgent_icon = fields.Function(
        fields.Char("Icon"), 'on_change_with_urgent_icon')
    act_number = fields.Function(
        fields.Char("Act"), 'get_act_number')
    schedule = fields.Function(
        fields.Many2Many(
            'grant.instalment', None, None, "Schedule",
            context={'current_instalment': Eval('id', -1)},
            depends={'id'}),
        'get_schedule')
    is_current = fields.Function(
        fields.Boolean("This One"), 'get_is_current')
    sealed_documents = fields.Function(
        fields.Many2Many(
            'grant.document', None, None, "Documents",
            help="The sealed documents of the convention."),
        'get_sealed_documents')
    evidence_count = fields.Function(
        fields.Char(
            "Evidence",
            help="The pieces that are there, among those that the payment "
            "asks for: the executory act, the notification, the undertakings "
            "that hold it back, for a balance the accepted report of its "
            "year, a verified bank account."),
        'get_evidence_count')
    account_verified = fields.Function(fields.Boolean(
            "Verified Account",
            help="Finance has verified the account to which it is paid."),
        'get_account')
    convention_paid = fields.Function(Monetary(
            "Already Paid", currency='currency', digits='currency',
            help="On the whole convention."),
        'get_money')
    commitment_amount = fields.Function(Monetary(
            "Committed", currency='currency', digits='currency',
            help="The commitments from which it is paid."),
        'get_money')
    commitment_left = fields.Function(Monetary(
            "Left of the Commitment", currency='currency',
            digits='currency',
            help="What certified payments leave of the commitments."),
        'get_money')
    credit_left = fields.Function(Monetary(
            "Payment Credits Left", currency='currency', digits='currency',
            help="What approved payments leave of the credits of the year."),
        'get_money')
    account_number = fields.Function(
        fields.Char("IBAN", help="Its last four characters."),
        'get_account')
    account_holder = fields.Function(
        fields.Char("Holder"), 'get_account')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.urgent, Index.Equality(cardinality='low')),
                where=table.urgent == Literal(True)))
        waiting = Eval('state').in_(['planned', 'certified', 'approved'])
        cls._buttons.update({
                'ask_send_back': {
                    'invisible': ~Eval('state').in_(
                        ['certified', 'approved']),
                    'depends': ['state'],
                    },
                'ask_urgent': {
                    'invisible': ~waiting | Eval('urgent', False),
                    'depends': ['state', 'urgent'],
                    },
                'end_urgent': {
                    'invisible': ~waiting | ~Eval('urgent', False),
                    'depends': ['state', 'urgent'],
                    },
                })
        cls._buttons['approve_next'] = cls._buttons['approve'].copy()
        # Asked once for a whole selection
        cls.__rpc__.update({
                name: RPC(
                    readonly=False, instantiate=0, fresh_session=True,
                    decorator=_with_fresh_session)
                for name in ['approve', 'approve_next']})

    @classmethod
    def default_urgent(cls):
        return False

    @fields.depends('urgent')
    def on_change_with_urgent_icon(self, name=None):
        return 'tryton-star' if self.urgent else None

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="urgent"]', 'visual',
                If(Eval('urgent', False), 'danger', '')),
            ('/tree/field[@name="is_current"]', 'visual',
                If(Eval('is_current', False), 'success', '')),
            ]

    # The right

    @classmethod
    @without_check_access
    def get_act_number(cls, instalments, name):
        return {
            i.id: ', '.join(dict.fromkeys(
                    d.deliberation.act_number
                    for d in i.convention.decisions
                    if d.outcome == 'granted'
                    and d.deliberation and d.deliberation.act_number
                    and d.application.year == i.tranche.year)) or None
            for i in instalments}

    @classmethod
    def get_schedule(cls, instalments, name):
        schedules = defaultdict(list)
        for sub in grouped_slice(
                {i.convention.id for i in instalments}, SLICE):
            for instalment in cls.search([('convention', 'in', list(sub))]):
                schedules[instalment.convention.id].append(instalment.id)
        return {i.id: schedules[i.convention.id] for i in instalments}

    @classmethod
    def get_is_current(cls, instalments, name):
        current = Transaction().context.get('current_instalment')
        return {i.id: i.id == current for i in instalments}

    # The evidence

    @classmethod
    def get_sealed_documents(cls, instalments, name):
        Document = Pool().get('grant.document')
        documents = defaultdict(list)
        for sub in grouped_slice(
                {i.convention.id for i in instalments}, SLICE):
            for document in Document.search([
                        ('convention', 'in', list(sub)),
                        ('state', '=', 'sealed'),
                        ]):
                documents[document.convention.id].append(document.id)
        return {i.id: documents[i.convention.id] for i in instalments}

    @classmethod
    def get_evidence_count(cls, instalments, name):
        verified = cls.get_account(
            instalments, ['account_verified'])['account_verified']
        counts = {}
        for instalment in instalments:
            pieces = [*instalment._get_pieces(), verified[instalment.id]]
            counts[instalment.id] = f'{sum(pieces)}/{len(pieces)}'
        return counts

    def _get_pieces(self):
        "Return, for each piece that is asked, whether it is there."
        pieces = [
            bool(self.executory_on), bool(self.notified_on),
            *(c.state in FULFILLED for c in self.conditions)]
        if self.kind == 'balance':
            pieces += [
                r.state == 'accepted' for r in self.tranche.financial_reports
                if r.kind != 'statement']
        return pieces

    # The money

    @classmethod
    @without_check_access
    def get_money(cls, instalments, names):
        pool = Pool()
        Convention = pool.get('grant.convention')
        Commitment = pool.get('grant.commitment')
        Envelope = pool.get('grant.envelope')
        conventions = Convention.browse(
            list({i.convention.id for i in instalments}))
        paid = Convention.get_paid_amounts(
            conventions, ['paid_amount'])['paid_amount']
        sources = {
            i.id: [i.commitment] if i.commitment else i._get_commitments()
            for i in instalments}
        commitments = Commitment.browse(
            list({c.id for cs in sources.values() for c in cs}))
        drawn = cls._drawn(commitments)
        credits = Envelope.get_credits(
            Envelope.browse(list({c.envelope.id for c in commitments})))
        result = {name: {} for name in names}
        for instalment in instalments:
            own = sources[instalment.id]
            committed = sum((c.amount for c in own), Decimal(0))
            left = [
                credits[key] for key in {
                    (c.envelope.id, instalment.get_exercise(c)
                        if c.envelope.kind in MULTI_YEAR
                        else c.envelope.year)
                    for c in own}]
            values = {
                'convention_paid': paid[instalment.convention.id],
                'commitment_amount': committed if own else None,
                'commitment_left': (
                    committed - sum((drawn[c.id] for c in own), Decimal(0))
                    if own else None),
                'credit_left': sum(
                    (credit - approved for credit, approved in left),
                    Decimal(0)) if own else None,
                }
            for name in names:
                result[name][instalment.id] = values[name]
        return result

    @classmethod
    @without_check_access
    def get_account(cls, instalments, names):
        pool = Pool()
        Party = pool.get('party.party')
        Link = pool.get('bank.account-party.party')
        payable = Party.get_payable_accounts(list({
                    i.party for i in instalments if not i.bank_account}))
        links = {
            i.id: i.bank_account or payable[i.party] for i in instalments}
        known = Link.browse(list({k.id for k in links.values() if k}))
        numbers = Link.get_masked_number(known, 'masked_number')
        verified = Link.get_verified(known, 'verified')
        result = {name: {} for name in names}
        for id_, link in links.items():
            values = {
                'account_number': numbers[link.id] if link else None,
                'account_holder': (
                    link.holder or link.owner.rec_name if link else None),
                'account_verified': bool(link and verified[link.id]),
                }
            for name in names:
                result[name][id_] = values[name]
        return result

    # What finance and the head of service do

    @classmethod
    def check_session(cls):
        """Raise ``DutyError`` for a request that did not ask again who it
        is: through a wizard or another method."""
        context = Transaction().context
        if '_request' in context and not context.get(_FRESH):
            raise DutyError(gettext('pacte_grants.msg_approval_session'))

    @classmethod
    @ModelView.button
    def approve(cls, instalments):
        cls.check_session()
        super().approve(instalments)

    @classmethod
    @ModelView.button
    def approve_next(cls, instalments):
        "Approve the instalments and show the next one of the list."
        cls.approve(instalments)
        return 'next'

    @property
    def send_back_text(self):
        text = super().send_back_text
        if self.send_back_kind and self.send_back_kind != 'other':
            text = ' : '.join(filter(
                    None, [self.send_back_kind_string, text]))
        return text

    @classmethod
    @ModelView.button_action('pacte_grants.wizard_instalment_send_back')
    def ask_send_back(cls, instalments):
        "Ask why the instalments are sent back."

    @classmethod
    @ModelView.button_action('pacte_grants.wizard_instalment_urgent')
    def ask_urgent(cls, instalments):
        "Ask why the instalments are urgent."

    @classmethod
    @without_check_access
    def mark_urgent(cls, instalments, reason):
        """Let the instalments rise to the top of the lists.

        Raise ``DutyError`` for who is no head of service,
        ``CompletenessError`` without a reason.
        """
        user = acting_user(gettext('pacte_grants.msg_act_urgent'))
        instalments = cls.claim(instalments)
        cls.check_button(instalments, 'ask_urgent')
        if not has_group({'group_manager'}):
            raise DutyError(gettext(
                    'pacte_grants.msg_urgent_manager', user=user.rec_name))
        if not (reason or '').strip():
            raise CompletenessError(gettext(
                    'pacte_grants.msg_urgent_reason',
                    instalment=instalments[0].rec_name))
        cls.write(instalments, {'urgent': True, 'urgent_reason': reason})
        Pool().get('grant.event').add([{
                    'record': i, 'name': 'urgent', 'reason': reason,
                    'after': gettext('pacte_grants.msg_pay_yes'),
                    } for i in instalments])

    @classmethod
    @ModelView.button
    def end_urgent(cls, instalments):
        "Put the instalments back among the others."
        instalments = cls.claim(instalments)
        cls.check_button(instalments, 'end_urgent')
        Pool().get('grant.event').add([{
                    'record': i, 'name': 'end_urgent',
                    'before': i.urgent_reason,
                    } for i in instalments])
        cls.write(instalments, {'urgent': False, 'urgent_reason': None})

    @classmethod
    def copy(cls, instalments, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('send_back_kind', None)
        return super().copy(instalments, default=default)


class SendBackStart(ModelView):
    __name__ = 'grant.instalment.send_back.start'

    kind = fields.Selection(
        SEND_BACK_KINDS, "Reason", required=True, sort=False)
    reason = fields.Text(
        "Explanation", states={'required': Eval('kind') == 'other'})


class SendBack(Wizard):
    "Send the chosen instalments back to their officers."
    __name__ = 'grant.instalment.send_back'

    start = StateView(
        'grant.instalment.send_back.start',
        'pacte_grants.instalment_send_back_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Send Back", 'send_back', 'tryton-ok', default=True),
            ])
    send_back = StateTransition()

    def transition_send_back(self):
        Instalment = Pool().get('grant.instalment')
        with check_access():
            # Pressed as the button is: groups, rules of records, states
            Instalment.ask_send_back(Instalment.browse(self.records))
            Instalment.write(Instalment.browse(self.records), {
                    'send_back_kind': self.start.kind,
                    'send_back_reason': self.start.reason,
                    })
            Instalment.send_back(Instalment.browse(self.records))
        return 'end'

    def end(self):
        return 'reload'


class UrgentStart(ModelView):
    __name__ = 'grant.instalment.urgent.start'

    reason = fields.Text("Reason of the Urgency", required=True)


class Urgent(Wizard):
    "Let the chosen instalments be paid before the others."
    __name__ = 'grant.instalment.urgent'

    start = StateView(
        'grant.instalment.urgent.start',
        'pacte_grants.instalment_urgent_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Urgent", 'mark', 'tryton-ok', default=True),
            ])
    mark = StateTransition()

    def transition_mark(self):
        Instalment = Pool().get('grant.instalment')
        with check_access():
            Instalment.ask_urgent(Instalment.browse(self.records))
            Instalment.mark_urgent(
                Instalment.browse(self.records), self.start.reason)
        return 'end'

    def end(self):
        return 'reload'
