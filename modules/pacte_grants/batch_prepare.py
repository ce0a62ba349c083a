# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Put payments into a batch after a preview."
from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool
from trytond.transaction import check_access
from trytond.wizard import Button, StateAction, StateView, Wizard

from .check import money
from .exceptions import CompletenessError
from .verdict import VerdictMixin


def named(name, record):
    """Return the value of the field of that name with what the client shows
    of the record: it asks for nothing more, line by line."""
    if not record:
        return {name: None}
    return {name: record.id, f'{name}.': {'rec_name': record.rec_name}}


class PrepareStart(ModelView):
    __name__ = 'grant.batch.prepare.start'
    __string__ = "Batch to Prepare"

    envelope = fields.Many2One(
        'grant.envelope', "Envelope", help="Empty for all of them.")
    pay_before = fields.Date(
        "To Be Paid Before", help="Empty for all that is ready.")
    leave_out = fields.Boolean(
        "Leave Out the Blocked Lines",
        help="Otherwise one blocked line holds the whole batch.")

    @classmethod
    def default_leave_out(cls):
        return False


class PreparePreview(ModelView):
    __name__ = 'grant.batch.prepare.preview'
    __string__ = "Batch as It Would Be"

    currency = fields.Many2One('currency.currency', "Currency", readonly=True)
    count = fields.Integer("Payments", readonly=True)
    amount = Monetary(
        "Amount", currency='currency', digits='currency', readonly=True)
    totals = fields.Text("Totals by Envelope", readonly=True)
    lines = fields.One2Many(
        'grant.batch.prepare.line', None, "Payments", readonly=True)


class PrepareLine(VerdictMixin, ModelView):
    __name__ = 'grant.batch.prepare.line'
    __string__ = "Payment of a Batch"

    instalment = fields.Many2One(
        'grant.instalment', "Instalment", readonly=True)
    currency = fields.Many2One('currency.currency', "Currency", readonly=True)
    party = fields.Many2One('party.party', "Beneficiary", readonly=True)
    envelope = fields.Many2One('grant.envelope', "Envelope", readonly=True)
    exercise = fields.Integer("Exercise", readonly=True)
    amount = Monetary(
        "Amount", currency='currency', digits='currency', readonly=True)


class Prepare(Wizard):
    "Put approved payments together: those chosen, or all that are ready."
    __name__ = 'grant.batch.prepare'

    start = StateView(
        'grant.batch.prepare.start',
        'pacte_grants.batch_prepare_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Preview", 'preview', 'tryton-forward', default=True),
            ])
    preview = StateView(
        'grant.batch.prepare.preview',
        'pacte_grants.batch_prepare_preview_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Back", 'start', 'tryton-back'),
            Button("Prepare", 'open_', 'tryton-ok', default=True),
            ])
    open_ = StateAction('pacte_grants.act_payment_group_form')

    def _get_instalments(self):
        "Return the instalments that are asked for."
        Instalment = Pool().get('grant.instalment')
        domain = []
        if self.records and self.model.__name__ == 'grant.instalment':
            domain.append(('id', 'in', [r.id for r in self.records]))
        else:
            domain.append(Instalment.waiting_domain())
        if self.start.envelope:
            domain.append(('envelope', '=', self.start.envelope.id))
        if self.start.pay_before:
            domain.append(('pay_before', '<=', self.start.pay_before))
        with check_access():
            ids = [i.id for i in Instalment.search(domain)]
        return Instalment.browse(ids)

    def _get_verdicts(self, instalments):
        "Return, by instalment, why it is left out: a sentence, or nothing."
        Group = Pool().get('account.payment.group')
        verdicts = Group.check_instalments(instalments)
        for instalment in instalments:
            if instalment not in verdicts and instalment.blocker_text:
                verdicts[instalment] = instalment.blocker_text
        return verdicts

    def default_preview(self, fields):
        instalments = self._get_instalments()
        verdicts = self._get_verdicts(instalments)
        totals = defaultdict(Decimal)
        lines, count = [], 0
        for instalment in instalments:
            accepted = instalment not in verdicts
            if accepted:
                totals[instalment.envelope] += instalment.amount
                count += 1
            lines.append({
                    **named('instalment', instalment),
                    **named('currency', instalment.currency),
                    **named('party', instalment.party),
                    **named('envelope', instalment.envelope),
                    'exercise': instalment.exercise,
                    'amount': instalment.amount,
                    'accepted': accepted,
                    'verdict': verdicts.get(instalment) or gettext(
                        'pacte_grants.msg_batch_accepted'),
                    })
        lines.sort(key=lambda line: line['accepted'])
        return {
            'currency': (
                instalments[0].currency.id if instalments else None),
            'count': count,
            'amount': sum(totals.values(), Decimal(0)),
            'totals': '\n'.join(
                f'{envelope.rec_name if envelope else "–"} : '
                f'{money(amount)}' for envelope, amount in totals.items()),
            'lines': lines,
            }

    def do_open_(self, action):
        Instalment = Pool().get('grant.instalment')
        instalments = self._get_instalments()
        if self.start.leave_out:
            verdicts = self._get_verdicts(instalments)
            instalments = [i for i in instalments if i not in verdicts]
        if not instalments:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_batch_nothing'))
        return self._prepare(action, Instalment.browse(instalments))

    def _prepare(self, action, instalments):
        "Return what the client opens of the instalments put together."
        Group = Pool().get('account.payment.group')
        groups = Group.prepare(instalments)
        if len(groups) == 1:
            # Its form, where it is transmitted
            action['views'].reverse()
        return action, {'res_id': [g.id for g in groups]}
