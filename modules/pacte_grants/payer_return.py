# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The payer's answers to the batches.

Every answer is kept as it came.  What fits the line of a batch is applied to
its payment, once; what differs is an anomaly that changes nothing.
"""
import datetime as dt
from collections import defaultdict

from sql import Null
from sql.aggregate import Count
from sql.operators import Exists

from trytond.i18n import gettext
from trytond.model import (
    ModelSQL, ModelView, Unique, fields, sequence_ordered)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import (
    Transaction, without_check_access)

from .check import money
from .csv_table import read_date, read_price
from .mixin import now
from .return_file import HEADINGS, ReturnLineMixin, ReturnMixin
from .search import search_flag
from .sums import SLICE
from .territory import normalize

STATUSES = [
    ('received', "Received"),
    ('committed', "Committed"),
    ('ordered', "Ordered"),
    ('suspended', "Suspended"),
    ('rejected', "Rejected"),
    ('paid', "Paid"),
    ]
_LABELS = {
    "reçu": 'received', "engagé": 'committed', "mandaté": 'ordered',
    "suspendu": 'suspended', "rejeté": 'rejected', "payé": 'paid',
    }
# How far a payment is; an answer never brings it back.
_RANKS = {None: 0, 'received': 1, 'committed': 2, 'ordered': 3, 'paid': 4}
_HEADINGS = {
    **HEADINGS,
    'engagement no': 'commitment', 'engagement_no': 'commitment',
    'mandat no': 'order_number', 'mandat_no': 'order_number',
    'mandat date': 'ordered_on', 'mandat_date': 'ordered_on',
    'paid on': 'paid_on', 'paid_on': 'paid_on', 'paye le': 'paid_on',
    'paid amount': 'paid_amount', 'paid_amount': 'paid_amount',
    'montant paye': 'paid_amount',
    }
DESKS = [
    ('officer', "Officer"),
    ('finance', "Finance"),
    ('assembly', "Assembly Service"),
    ]

class Cause(sequence_ordered(), ModelSQL, ModelView):
    "Why the payer rejects, and which desk corrects it."
    __name__ = 'grant.return.cause'

    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True, translate=True)
    words = fields.Char(
        "Words",
        help="Words of the payer's reason, without accents, parted by "
        "commas. The first cause that has one of them is taken.")
    desk = fields.Selection(DESKS, "Desk", required=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'code_unique', Unique(table, table.code),
                'pacte_grants.msg_return_cause_unique'))

    @classmethod
    def find(cls, reason):
        """Return the cause that the payer's words (text) name; the last of
        the list if none does."""
        words = f" {normalize(reason or '')} "
        causes = cls.search([])
        for cause in causes:
            for word in (cause.words or '').split(','):
                word = normalize(word)
                if word and f' {word}' in words:
                    return cause
        return causes[-1] if causes else None


class Return(ReturnMixin, ModelSQL, ModelView):
    "A file of answers on payments, or an answer that was entered by hand."
    __name__ = 'grant.return'
    _rec_name = 'name'
    _headings = _HEADINGS
    _labels = _LABELS
    _readers = {
        'reason': str,
        'commitment': str,
        'order_number': str,
        'bordereau': str,
        'ordered_on': read_date,
        'paid_on': read_date,
        'paid_amount': read_price,
        }
    _needed = [
        ('paid', 'paid_on', 'paid_on'),
        ('rejected', 'reason', 'reason'),
        ('suspended', 'reason', 'reason'),
        ('ordered', 'order_number', 'mandat_no'),
        ]
    _total = 'paid_amount'
    _line_model = 'grant.batch.line'
    _batch_field = 'group'

    lines = fields.One2Many(
        'grant.return.line', 'return_', "Answers", readonly=True)

    @classmethod
    def _claim(cls, lines):
        Pool().get('grant.instalment').claim(
            list({li.payment.instalment for li in lines}))

    @classmethod
    def _apply_records(cls, verdicts):
        """Bring the payments to where all their lines are: paid or rejected
        when every line is."""
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        Cause = pool.get('grant.return.cause')
        Payment = pool.get('account.payment')
        payments = Payment.browse(
            list({v.line.payment.id for v in verdicts}))
        paid, failed, values = [], [], {}
        for payment in payments:
            lines = payment.batch_lines
            statuses = {li.return_status for li in lines}
            row = {
                'order_number': next(
                    (li.order_number for li in lines if li.order_number),
                    None),
                'bordereau': next(
                    (li.bordereau for li in lines if li.bordereau), None),
                'ordered_on': max(
                    (li.ordered_on for li in lines if li.ordered_on),
                    default=None),
                'return_reason': next(
                    (li.return_reason for li in lines if li.return_reason),
                    None),
                }
            if statuses == {'paid'} and payment.state == 'processing':
                row['payment_date'] = max(li.paid_on for li in lines)
                paid.append(payment)
            elif statuses == {'rejected'} and payment.state in {
                    'processing', 'succeeded'}:
                row['return_cause'] = Cause.find(row['return_reason']).id
                failed.append(payment)
            elif payment.state == 'processing':
                row['return_status'] = min(
                    (li.return_status for li in lines),
                    key=lambda s: _RANKS.get(s, -1))
            else:
                continue
            values[payment.instalment.id] = row
        cls._write_together(Instalment, values)
        Payment.succeed(Payment.browse([p.id for p in paid]))
        Payment.fail(Payment.browse([p.id for p in failed]))


class ReturnLine(ReturnLineMixin, ModelSQL, ModelView):
    "An answer of the payer on a payment, as it came."
    __name__ = 'grant.return.line'

    return_ = fields.Many2One(
        'grant.return', "Return", required=True, readonly=True,
        ondelete='RESTRICT')
    line = fields.Many2One(
        'grant.batch.line', "Line of a Batch", readonly=True,
        ondelete='RESTRICT')
    party = fields.Function(fields.Many2One(
            'party.party', "Payee",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_party')
    status = fields.Selection(
        STATUSES, "Status", required=True, readonly=True, sort=False)
    commitment = fields.Char("Commitment", readonly=True)
    ordered_on = fields.Date("Ordered On", readonly=True)
    paid_on = fields.Date("Paid On", readonly=True)
    paid_amount = Monetary(
        "Paid Amount", currency='currency', digits='currency',
        readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.order_number.string = "Payment Order"


class BatchLine(metaclass=PoolMeta):
    __name__ = 'grant.batch.line'

    return_status = fields.Selection(
        [(None, ""), *STATUSES], "Answer", readonly=True, sort=False)
    return_reason = fields.Char("Reason", readonly=True)
    order_number = fields.Char("Payment Order", readonly=True)
    bordereau = fields.Char("Slip", readonly=True)
    ordered_on = fields.Date("Ordered On", readonly=True)
    paid_on = fields.Date("Paid On", readonly=True)
    answers = fields.One2Many(
        'grant.return.line', 'line', "Answers", readonly=True)
    rejected_whole = fields.Function(
        fields.Boolean("Rejected Whole"), 'get_rejected_whole')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'answer': {
                    'invisible': Eval('rejected_whole', False),
                    'depends': ['rejected_whole'],
                    },
                })

    @classmethod
    def get_rejected_whole(cls, lines, name):
        return {
            line.id: all(
                li.return_status == 'rejected'
                for li in line.payment.batch_lines)
            for line in lines}

    @classmethod
    def view_attributes(cls):
        status = Eval('return_status')
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(status == 'rejected', 'danger',
                    If(status == 'paid', 'muted',
                        If(status == 'suspended', 'warning', '')))),
            ]

    @classmethod
    @ModelView.button_action('pacte_grants.act_return_enter')
    def answer(cls, lines):
        "Ask for what the payer answers to one line."

    @property
    def siblings(self):
        "All the lines of its payment."
        return self.payment.batch_lines

    def find_mismatch(
            self, answer, current, today, others=(), before=None):
        """Return why the answer does not fit the line whose last status is
        ``current``, as a sentence, or ``None``.

        ``others`` are, for the other lines of the payment, the last status
        and the last one that the same file gives.  A payment is one transfer:
        it is paid or rejected whole.  ``before`` are the values that are
        applied already, by status.
        """
        amount = answer.values.get('paid_amount')
        names = {'line': self.rec_name}
        if current == 'rejected' and (
                answer.status != 'paid'
                or all(status == 'rejected' for status, _ in others)):
            return gettext('pacte_grants.msg_return_after_rejection', **names)
        if self._is_mixed(answer.status, others):
            return gettext(
                'pacte_grants.msg_return_mixed', **names,
                party=self.party.rec_name)
        if answer.status == 'paid':
            if amount is not None and amount != self.amount:
                return gettext(
                    'pacte_grants.msg_return_amount', **names,
                    paid=money(amount), amount=money(self.amount))
            paid_on = answer.values.get('paid_on')
            if not paid_on:
                return gettext('pacte_grants.msg_return_undated', **names)
            if paid_on > today:
                return gettext(
                    'pacte_grants.msg_return_future', **names,
                    date=paid_on.strftime('%d/%m/%Y'))
        elif answer.status == 'suspended':
            if current == 'paid':
                return gettext('pacte_grants.msg_return_after_payment',
                    **names)
        elif (answer.status != 'rejected'
                and _RANKS[answer.status] < _RANKS.get(current, 0)):
            return gettext('pacte_grants.msg_return_backwards', **names)
        return None

    @staticmethod
    def _is_mixed(status, others):
        """Return whether the status pays a line of the payment when another
        is rejected, or rejects it when another is and remains paid."""
        if status == 'paid':
            return any(before == 'rejected' for before, _ in others)
        return status == 'rejected' and any(
            before == 'paid' and last != 'rejected'
            for before, last in others)


class Group(metaclass=PoolMeta):
    __name__ = 'account.payment.group'

    received = fields.Function(fields.Float(
            "Received", digits=(None, 3)), 'get_answers')
    ordered = fields.Function(fields.Float(
            "Ordered", digits=(None, 3)), 'get_answers')
    paid = fields.Function(fields.Float(
            "Paid", digits=(None, 3)), 'get_answers')
    rejected = fields.Function(fields.Float(
            "Rejected", digits=(None, 3)), 'get_answers')
    rejected_count = fields.Function(fields.Integer(
            "Rejections"), 'get_answers')
    anomaly_count = fields.Function(
        fields.Integer("Anomalies"), 'get_anomaly_count')
    unanswered = fields.Function(fields.Boolean(
            "Without Return",
            help="Transmitted for longer than the payer needs to answer, "
            "and nothing came."),
        'get_unanswered', searcher='search_unanswered')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="rejected"]', 'visual',
                If(Eval('rejected', 0) > 0, 'danger', '')),
            ('/tree/field[@name="anomaly_count"]', 'visual',
                If(Eval('anomaly_count', 0) > 0, 'danger', '')),
            ('/tree/field[@name="transmitted_on"]', 'visual',
                If(Eval('unanswered', False), 'warning', '')),
            ]

    @classmethod
    def get_answers(cls, groups, names):
        "The shares of the lines that the payer has brought so far."
        line = Pool().get('grant.batch.line').__table__()
        cursor = Transaction().connection.cursor()
        counts = defaultdict(lambda: defaultdict(int))
        for sub in grouped_slice(groups, SLICE):
            cursor.execute(*line.select(
                    line.group, line.return_status, Count(line.id),
                    where=reduce_ids(line.group, [g.id for g in sub]),
                    group_by=[line.group, line.return_status]))
            for id_, status, count in cursor.fetchall():
                counts[id_][status] = count
        result = {name: {} for name in names}
        for group in groups:
            found = counts[group.id]
            total = sum(found.values()) or 1
            numbers = {
                'received': total - found[None] if found else 0,
                'ordered': found['ordered'] + found['paid'],
                'paid': found['paid'],
                'rejected': found['rejected'],
                'rejected_count': found['rejected'],
                }
            for name in names:
                result[name][group.id] = (
                    numbers[name] if name == 'rejected_count'
                    else round(numbers[name] / total, 3))
        return result

    @classmethod
    def get_anomaly_count(cls, groups, name):
        pool = Pool()
        line = pool.get('grant.batch.line').__table__()
        answer = pool.get('grant.return.line').__table__()
        cursor = Transaction().connection.cursor()
        counts = dict.fromkeys((g.id for g in groups), 0)
        for sub in grouped_slice(groups, SLICE):
            cursor.execute(*answer
                .join(line, condition=answer.line == line.id)
                .select(
                    line.group, Count(answer.id),
                    where=reduce_ids(line.group, [g.id for g in sub])
                    & (answer.verdict == 'mismatch'),
                    group_by=[line.group]))
            counts.update(cursor.fetchall())
        return counts

    @classmethod
    def get_unanswered(cls, groups, name):
        found = {g.id for g in cls.search([
                    ('id', 'in', [g.id for g in groups]),
                    ('unanswered', '=', True)])}
        return {g.id: g.id in found for g in groups}

    @classmethod
    def search_unanswered(cls, name, clause):
        pool = Pool()
        Parameter = pool.get('grant.parameter')
        line = pool.get('grant.batch.line').__table__()
        group = cls.__table__()
        days = int(Parameter.get('BATCH_RETURN_DELAY'))
        limit = now() - dt.timedelta(days=days)
        query = group.select(group.id, where=(
                (group.state == 'transmitted')
                & (group.transmitted_on < limit)
                & ~Exists(line.select(line.id,
                        where=(line.group == group.id)
                        & (line.return_status != Null)))))
        return search_flag(
            clause, [('id', 'in', query)], [('id', 'not in', query)])

    @classmethod
    def close_answered(cls, groups):
        "Close the batches whose every line is paid or rejected."
        done = [
            g for g in cls.browse([g.id for g in groups])
            if g.state == 'transmitted'
            and all(li.return_status in {'paid', 'rejected'}
                for li in g.lines)]
        if done:
            with without_check_access():
                cls.write(done, {'state': 'closed'})
