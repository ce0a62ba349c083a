# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Put decided recoveries into a batch after a preview."
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool
from trytond.transaction import check_access
from trytond.wizard import Button, StateAction, StateView, Wizard

from .batch_prepare import named
from .exceptions import CompletenessError
from .verdict import VerdictMixin


class PreparePreview(ModelView):
    __name__ = 'grant.recovery.batch.prepare.preview'
    __string__ = "Batch of Recovery Orders as It Would Be"

    currency = fields.Many2One('currency.currency', "Currency", readonly=True)
    count = fields.Integer("Recoveries", readonly=True)
    amount = Monetary(
        "Amount", currency='currency', digits='currency', readonly=True)
    leave_out = fields.Boolean(
        "Leave Out the Refused Lines",
        help="Otherwise one refused line holds the whole batch.")
    lines = fields.One2Many(
        'grant.recovery.batch.prepare.line', None, "Recoveries",
        readonly=True)


class PrepareLine(VerdictMixin, ModelView):
    __name__ = 'grant.recovery.batch.prepare.line'
    __string__ = "Recovery of a Batch"

    recovery = fields.Many2One('grant.recovery', "Recovery", readonly=True)
    currency = fields.Many2One('currency.currency', "Currency", readonly=True)
    party = fields.Many2One('party.party', "Debtor", readonly=True)
    amount = Monetary(
        "Amount", currency='currency', digits='currency', readonly=True)


class Prepare(Wizard):
    "Put decided recoveries together: those chosen, or all that are ready."
    __name__ = 'grant.recovery.batch.prepare'
    start_state = 'preview'

    preview = StateView(
        'grant.recovery.batch.prepare.preview',
        'pacte_grants.recovery_batch_prepare_preview_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Prepare", 'open_', 'tryton-ok', default=True),
            ])
    open_ = StateAction('pacte_grants.act_recovery_batch_form')

    def _get_recoveries(self):
        "Return the recoveries that are asked for."
        Recovery = Pool().get('grant.recovery')
        if self.records and self.model.__name__ == 'grant.recovery':
            domain = [('id', 'in', [r.id for r in self.records])]
        else:
            domain = [('next_step', '=', 'order')]
        with check_access():
            return Recovery.browse(
                [r.id for r in Recovery.search(domain)])

    def default_preview(self, fields):
        Batch = Pool().get('grant.recovery.batch')
        recoveries = self._get_recoveries()
        problems = Batch.check_recoveries(recoveries)
        lines = [{
                **named('recovery', recovery),
                **named('currency', recovery.currency),
                **named('party', recovery.party),
                'amount': recovery.amount,
                'accepted': recovery not in problems,
                'verdict': problems.get(recovery) or gettext(
                    'pacte_grants.msg_batch_accepted'),
                } for recovery in recoveries]
        lines.sort(key=lambda line: line['accepted'])
        accepted = [r for r in recoveries if r not in problems]
        return {
            'currency': recoveries[0].currency.id if recoveries else None,
            'count': len(accepted),
            'amount': sum((r.amount for r in accepted), Decimal(0)),
            'leave_out': False,
            'lines': lines,
            }

    def do_open_(self, action):
        Batch = Pool().get('grant.recovery.batch')
        recoveries = self._get_recoveries()
        if self.preview.leave_out:
            problems = Batch.check_recoveries(recoveries)
            recoveries = [r for r in recoveries if r not in problems]
        if not recoveries:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_recovery_batch_nothing'))
        batches = Batch.prepare(recoveries)
        if len(batches) == 1:
            # Its form, where it is transmitted
            action['views'].reverse()
        return action, {'res_id': [b.id for b in batches]}
