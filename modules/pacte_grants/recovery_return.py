# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What the payer answers to the recovery orders.

The number of the order and its date come back with the file, then the day
when it was recovered.  What the payer refuses goes into another batch once it
is corrected.
"""
from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.wizard import StateAction, Wizard

from .check import money
from .csv_table import read_date, read_price
from .payer_import import ImportMixin
from .recovery_order import STATUSES
from .return_file import HEADINGS, ReturnLineMixin, ReturnMixin

_RANKS = {None: 0, 'received': 1, 'issued': 2, 'recovered': 3}


class Return(ReturnMixin, ModelSQL, ModelView):
    "A file of answers on recovery orders."
    __name__ = 'grant.recovery.return'
    _rec_name = 'name'
    _headings = {
        **HEADINGS,
        'titre no': 'order_number', 'titre_no': 'order_number',
        'titre': 'order_number',
        'titre date': 'issued_on', 'titre_date': 'issued_on',
        'recovered on': 'recovered_on', 'recovered_on': 'recovered_on',
        'recouvre le': 'recovered_on',
        'recovered amount': 'recovered_amount',
        'recovered_amount': 'recovered_amount',
        'montant recouvre': 'recovered_amount',
        }
    _labels = {
        "reçu": 'received', "émis": 'issued', "rejeté": 'rejected',
        "recouvré": 'recovered',
        }
    _readers = {
        'reason': str,
        'order_number': str,
        'bordereau': str,
        'issued_on': read_date,
        'recovered_on': read_date,
        'recovered_amount': read_price,
        }
    _needed = [
        ('issued', 'order_number', 'titre_no'),
        ('issued', 'issued_on', 'titre_date'),
        ('rejected', 'reason', 'reason'),
        ('recovered', 'recovered_on', 'recovered_on'),
        ]
    _total = 'recovered_amount'
    _line_model = 'grant.recovery.batch.line'
    _batch_field = 'batch'

    lines = fields.One2Many(
        'grant.recovery.return.line', 'return_', "Answers", readonly=True)

    @classmethod
    def _claim(cls, lines):
        Pool().get('grant.recovery').claim(
            list({li.recovery for li in lines}))

    @classmethod
    def _apply_records(cls, verdicts):
        """Give the recoveries the number of their order; settle those whose
        every line is recovered."""
        Recovery = Pool().get('grant.recovery')
        recoveries = Recovery.browse(
            list({v.line.recovery.id for v in verdicts}))
        values, settled = {}, []
        for recovery in recoveries:
            if recovery.state != 'confirmed':
                continue
            lines = recovery.sent_lines
            statuses = {li.return_status for li in lines}
            row = {}
            numbers = list(dict.fromkeys(
                    li.order_number for li in lines if li.order_number))
            if numbers and not recovery.order_number:
                row['order_number'] = ' / '.join(numbers)
            dates = [li.issued_on for li in lines if li.issued_on]
            if dates and not recovery.order_sent_on:
                row['order_sent_on'] = max(dates)
            if statuses == {'recovered'}:
                row['settled_on'] = max(li.recovered_on for li in lines)
                settled.append(recovery)
            row['return_reason'] = next(
                (li.return_reason for li in lines
                    if li.return_status == 'rejected'), None)
            values[recovery.id] = row
        cls._write_together(Recovery, values)
        if settled:
            Recovery.settle(Recovery.browse([r.id for r in settled]))


class ReturnLine(ReturnLineMixin, ModelSQL, ModelView):
    "An answer of the payer on a recovery order, as it came."
    __name__ = 'grant.recovery.return.line'

    return_ = fields.Many2One(
        'grant.recovery.return', "Return", required=True, readonly=True,
        ondelete='RESTRICT')
    line = fields.Many2One(
        'grant.recovery.batch.line', "Line of a Batch", readonly=True,
        ondelete='RESTRICT')
    party = fields.Function(fields.Many2One(
            'party.party', "Debtor",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_party')
    status = fields.Selection(
        STATUSES, "Status", required=True, readonly=True, sort=False)
    issued_on = fields.Date("Issued On", readonly=True)
    recovered_on = fields.Date("Recovered On", readonly=True)
    recovered_amount = Monetary(
        "Recovered Amount", currency='currency', digits='currency',
        readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.order_number.string = "Recovery Order"


class BatchLine(metaclass=PoolMeta):
    __name__ = 'grant.recovery.batch.line'

    return_status = fields.Selection(
        [(None, ""), *STATUSES], "Answer", readonly=True, sort=False)
    return_reason = fields.Char("Reason", readonly=True)
    order_number = fields.Char("Recovery Order", readonly=True)
    bordereau = fields.Char("Slip", readonly=True)
    issued_on = fields.Date("Issued On", readonly=True)
    recovered_on = fields.Date("Recovered On", readonly=True)
    answers = fields.One2Many(
        'grant.recovery.return.line', 'line', "Answers", readonly=True)

    @classmethod
    def view_attributes(cls):
        status = Eval('return_status')
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(status == 'rejected', 'danger',
                    If(status == 'recovered', 'muted', ''))),
            ]

    @property
    def siblings(self):
        "All the lines of its recovery in its batch."
        return [li for li in self.batch.lines if li.recovery == self.recovery]

    def find_mismatch(
            self, answer, current, today, others=(), before=None):
        """Return why the answer does not fit the line whose last status is
        ``current``, as a sentence, or ``None``.

        ``others`` are, for the other lines of the recovery, the last status
        and the last one that the same file gives: a recovery has one order,
        issued or rejected whole.  ``before`` are the values that are applied
        already, by status.
        """
        issued = (before or {}).get('issued') or {}
        names = {'line': self.rec_name}
        status, recovery = answer.status, self.recovery
        if current == 'rejected':
            return gettext(
                'pacte_grants.msg_recovery_return_rejected', **names)
        if self._is_mixed(status, others):
            return gettext(
                'pacte_grants.msg_recovery_return_mixed', **names,
                party=self.party.rec_name)
        if status == 'rejected':
            if current in {'issued', 'recovered'} or recovery.order_number:
                return gettext(
                    'pacte_grants.msg_recovery_return_issued', **names,
                    number=(
                        issued.get('order_number') or recovery.order_number))
            return None
        if _RANKS[status] < _RANKS[current]:
            return gettext('pacte_grants.msg_return_backwards', **names)
        return self._find_order_mismatch(answer, issued, today, names)

    @staticmethod
    def _is_mixed(status, others):
        if status == 'rejected':
            return any(
                before in {'issued', 'recovered'} for before, _ in others)
        return status != 'received' and any(
            before == 'rejected' for before, _ in others)

    def _find_order_mismatch(self, answer, issued, today, names):
        "Return why the order of the answer is not that of the recovery."
        status, recovery = answer.status, self.recovery
        number = answer.values.get('order_number')
        known = issued.get('order_number') or (
            recovery.order_number if len(self.siblings) == 1 else None)
        if number and known and number != known:
            return gettext(
                'pacte_grants.msg_recovery_return_number', **names,
                number=number, known=known)
        for name in ['issued_on', 'recovered_on']:
            date = answer.values.get(name)
            if date and date > today:
                return gettext(
                    'pacte_grants.msg_recovery_return_future', **names,
                    date=date.strftime('%d/%m/%Y'))
        if status != 'recovered':
            return None
        if recovery.state not in {'confirmed', 'settled'}:
            return gettext(
                'pacte_grants.msg_recovery_return_ended', **names,
                state=recovery.state_label)
        if not (
                (number or known or recovery.order_number)
                and (answer.values.get('issued_on')
                    or issued.get('issued_on') or recovery.order_sent_on)):
            return gettext(
                'pacte_grants.msg_recovery_return_no_order', **names)
        amount = answer.values.get('recovered_amount')
        if amount is not None and amount != self.amount:
            return gettext(
                'pacte_grants.msg_recovery_return_amount', **names,
                recovered=money(amount), amount=money(self.amount))
        return None


class Recovery(metaclass=PoolMeta):
    __name__ = 'grant.recovery'

    @property
    def sent_lines(self):
        "The lines of its last batch."
        lines = self.order_lines
        last = max((li.batch.id for li in lines), default=None)
        return [li for li in lines if li.batch.id == last]


class Import(ImportMixin, Wizard):
    "Read a return on recovery orders: show what it would change, apply it."
    __name__ = 'grant.recovery.return.import'
    _return_model = 'grant.recovery.return'

    open_ = StateAction('pacte_grants.act_recovery_return_form')
