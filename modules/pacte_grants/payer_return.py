# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The payer's answers to the batches.

Every answer is kept as it came.  What fits the line of a batch is applied to
its payment, once; what differs is an anomaly that changes nothing.
"""
import datetime as dt
import hashlib
from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

from sql import Null
from sql.aggregate import Count
from sql.operators import Exists

from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, Unique, fields, sequence_ordered)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import (
    Transaction, without_check_access)

from .batch import TRAILER
from .check import bulleted, money
from .csv_table import (
    TableError, chooser, decode, read_count, read_date, read_price,
    read_table, table_problem)
from .exceptions import ReturnError
from .mixin import AppendOnlyMixin, acting_user, now
from .scheme import CompanyMixin
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
    'batch id': 'batch', 'batch_id': 'batch', 'lot': 'batch',
    'line no': 'number', 'line_no': 'number', 'ligne': 'number',
    'status': 'status', 'statut': 'status',
    'reason': 'reason', 'motif': 'reason',
    'engagement no': 'commitment', 'engagement_no': 'commitment',
    'mandat no': 'order_number', 'mandat_no': 'order_number',
    'bordereau no': 'bordereau', 'bordereau_no': 'bordereau',
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
VALUES = [
    'reason', 'commitment', 'order_number', 'bordereau', 'ordered_on',
    'paid_on', 'paid_amount']


class Answer(NamedTuple):
    "What the payer says of a line of a batch."
    row: int
    raw: str
    batch: str
    number: int
    status: str
    values: dict


class Verdict(NamedTuple):
    """What becomes of an answer: its line, if there is one, a verdict
    (``applied``, ``known``, ``unknown`` or ``mismatch``) and why."""
    answer: Answer
    line: object
    verdict: str
    reason: str


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


class Return(AppendOnlyMixin, CompanyMixin, ModelSQL, ModelView):
    "A file of answers, or an answer that was entered by hand."
    __name__ = 'grant.return'
    _rec_name = 'name'

    name = fields.Char("File", required=True, readonly=True)
    sha256 = fields.Char(
        "Fingerprint", readonly=True, help="The SHA-256 of the file.")
    user = fields.Many2One(
        'res.user', "User", required=True, readonly=True,
        ondelete='RESTRICT')
    time = fields.DateTime("Time", required=True, readonly=True)
    lines = fields.One2Many(
        'grant.return.line', 'return_', "Answers", readonly=True)
    anomaly_count = fields.Function(
        fields.Integer("Anomalies"), 'get_anomaly_count')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.company.readonly = True
        cls._order = [('id', 'DESC')]

    @classmethod
    def get_anomaly_count(cls, returns, name):
        line = Pool().get('grant.return.line').__table__()
        cursor = Transaction().connection.cursor()
        counts = dict.fromkeys((r.id for r in returns), 0)
        for sub in grouped_slice(returns, SLICE):
            cursor.execute(*line.select(
                    line.return_, Count(line.id),
                    where=reduce_ids(line.return_, [r.id for r in sub])
                    & line.verdict.in_(['unknown', 'mismatch']),
                    group_by=[line.return_]))
            counts.update(cursor.fetchall())
        return counts

    # Reading

    @classmethod
    def read_file(cls, data):
        """Return the answers that the file (bytes) holds.

        Raise ``ReturnError`` with the line and the column of every error: a
        malformed file is refused whole.
        """
        try:
            text = decode(data)
        except ValueError:
            raise ReturnError(gettext(
                    'pacte_grants.msg_csv_table_binary')) from None
        text = text.removeprefix('\ufeff').replace('\r\n', '\n').replace(
            '\r', '\n')
        rows, trailer = cls._part_trailer(text)
        readers = {
            'batch': str,
            'number': read_count,
            'status': chooser(_LABELS),
            'reason': str,
            'commitment': str,
            'order_number': str,
            'bordereau': str,
            'ordered_on': read_date,
            'paid_on': read_date,
            'paid_amount': read_price,
            }
        table, errors = read_table(
            rows, _HEADINGS, readers, ['batch', 'number', 'status'])
        raw = rows.split('\n')
        answers = []
        for row in table:
            values = dict(row.values)
            if 'status' not in values:
                continue
            for status, name, title in [
                    ('paid', 'paid_on', 'paid_on'),
                    ('rejected', 'reason', 'reason'),
                    ('suspended', 'reason', 'reason'),
                    ('ordered', 'order_number', 'mandat_no')]:
                if values['status'] == status and not values.get(name):
                    errors.append(TableError(
                            row.line, title, 'required', ''))
            answers.append(Answer(
                    row.line, raw[row.line - 1],
                    values.pop('batch', ''), values.pop('number', 0),
                    values.pop('status'), values))
        problems = [table_problem(e) for e in errors]
        if not problems:
            problems = cls._check_trailer(answers, trailer)
        if problems:
            raise ReturnError(gettext(
                    'pacte_grants.msg_table_refused',
                    errors=bulleted(problems[:20])))
        return answers

    @staticmethod
    def _part_trailer(text):
        "Return the text without its last line, and that line's cells."
        lines = text.rstrip('\n').split('\n')
        cells = [c.strip().strip('"') for c in lines[-1].split(';')]
        if cells[0].upper() != TRAILER:
            return text, None
        return '\n'.join(lines[:-1]) + '\n', cells

    @staticmethod
    def _check_trailer(answers, trailer):
        "Return what is wrong with the control totals, as sentences."
        if trailer is None:
            return [gettext('pacte_grants.msg_return_no_trailer')]
        total = sum(
            (a.values.get('paid_amount') or Decimal(0) for a in answers),
            Decimal(0))
        try:
            count = read_count(trailer[1])
            amounts = [read_price(c) for c in trailer[2:] if c]
        except (IndexError, ValueError):
            return [gettext('pacte_grants.msg_return_trailer_unreadable')]
        problems = []
        if count != len(answers):
            problems.append(gettext(
                    'pacte_grants.msg_return_count',
                    count=count, found=len(answers)))
        if (amounts or [Decimal(0)])[0] != total:
            problems.append(gettext(
                    'pacte_grants.msg_return_total',
                    total=money((amounts or [Decimal(0)])[0]),
                    found=money(total)))
        return problems

    # Comparing

    @classmethod
    def examine(cls, answers):
        """Return the verdict on each answer, without changing anything.

        An answer is ``known`` when the same one was applied, ``unknown``
        when no transmitted batch of the company has its line, a ``mismatch``
        when its amount, its date, its place in the life of the payment or
        what is said of the other lines of the payment do not fit.
        """
        lines = cls._find_lines(answers)
        last = {
            lines[a.batch, a.number].id: a.status for a in answers
            if (a.batch, a.number) in lines}
        today = Pool().get('ir.date').today()
        done = cls._get_done(list(lines.values()))
        statuses = {}
        verdicts = []
        for answer in answers:
            line = lines.get((answer.batch, answer.number))
            if not line:
                verdicts.append(Verdict(answer, None, 'unknown', gettext(
                            'pacte_grants.msg_return_unknown',
                            batch=answer.batch, line=answer.number)))
                continue
            same = done[line.id].get(answer.status)
            if same is not None:
                differing = [
                    n for n in VALUES
                    if (answer.values.get(n) or None) != (same[n] or None)]
                verdicts.append(Verdict(
                        answer, line, 'mismatch' if differing else 'known',
                        gettext('pacte_grants.msg_return_differs',
                            line=line.rec_name) if differing else None))
                continue
            current = statuses.get(line.id, line.return_status)
            others = [
                (statuses.get(li.id, li.return_status), last.get(li.id))
                for li in line.payment.batch_lines if li != line]
            reason = line.find_mismatch(answer, current, today, others)
            verdicts.append(Verdict(
                    answer, line, 'mismatch' if reason else 'applied',
                    reason))
            if not reason:
                statuses[line.id] = answer.status
                done[line.id][answer.status] = {
                    n: answer.values.get(n) for n in VALUES}
        return verdicts

    @classmethod
    def _find_lines(cls, answers):
        """Return, by number of batch and of line, the lines that the answers
        name: those of the company in which the user works, since each company
        numbers its own batches."""
        pool = Pool()
        Line = pool.get('grant.batch.line')
        company = Transaction().context.get('company')
        if company not in pool.get('res.user').get_companies():
            return {}
        lines = {}
        for sub in grouped_slice({a.batch for a in answers}, SLICE):
            for line in Line.search([
                        ('group.company', '=', company),
                        ('group.number', 'in', list(sub)),
                        ('group.state', 'in', ['transmitted', 'closed']),
                        ]):
                lines[line.group.number, line.line_number] = line
        return lines

    @classmethod
    def _get_done(cls, lines):
        "Return, by id of line and status, the answers that were applied."
        Answered = Pool().get('grant.return.line')
        done = defaultdict(dict)
        for sub in grouped_slice([li.id for li in lines], SLICE):
            for answer in Answered.search([
                        ('line', 'in', list(sub)),
                        ('verdict', '=', 'applied'),
                        ]):
                done[answer.line.id][answer.status] = {
                    n: getattr(answer, n) for n in VALUES}
        return done

    # Applying

    @classmethod
    def import_file(cls, name, data):
        """Apply the answers of the file (bytes) and keep them.

        Return the ``grant.return``.  A file that was imported already
        changes nothing and leaves no second trace of its answers.
        """
        return cls.apply(
            name, cls.read_file(data), hashlib.sha256(data).hexdigest())

    @classmethod
    def apply(cls, name, answers, digest=None, into=None):
        """Apply the answers, keep them all but those that were known, and
        return the ``grant.return`` that holds them: ``into`` if it is given,
        a new one otherwise."""
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        Answered = pool.get('grant.return.line')
        Group = pool.get('account.payment.group')
        user = acting_user(gettext('pacte_grants.msg_act_return'))
        Group.check_finance()
        lines = cls._find_lines(answers)
        Instalment.claim(list({
                    li.payment.instalment for li in lines.values()}))
        verdicts = cls.examine(answers)
        return_ = into or cls._open(name, digest, user)
        Answered.create([{
                    'return_': return_.id,
                    'row': v.answer.row,
                    'raw': v.answer.raw,
                    'batch': v.answer.batch,
                    'line_number': v.answer.number,
                    'status': v.answer.status,
                    'line': v.line.id if v.line else None,
                    'verdict': v.verdict,
                    'anomaly': v.reason,
                    **{n: v.answer.values.get(n) for n in VALUES},
                    } for v in verdicts if v.verdict != 'known'])
        applied = [v for v in verdicts if v.verdict == 'applied']
        cls._apply_lines(applied)
        cls._apply_payments(applied)
        Group.close_answered(list({v.line.group for v in applied}))
        return return_

    @classmethod
    def _open(cls, name, digest, user):
        return_, = cls.create([{
                    'company': Transaction().context.get('company'),
                    'name': name,
                    'sha256': digest,
                    'user': user.id,
                    'time': now(),
                    }])
        return return_

    @classmethod
    def _apply_lines(cls, verdicts):
        "Write on the lines of the batches what the answers say."
        Line = Pool().get('grant.batch.line')
        by_line = defaultdict(dict)
        for _, line, _, _ in verdicts:
            by_line[line.id] = {}
        for answer, line, _, _ in verdicts:
            values = by_line[line.id]
            values['return_status'] = answer.status
            values['return_reason'] = answer.values.get('reason')
            for name in ['order_number', 'bordereau', 'ordered_on',
                    'paid_on']:
                if answer.values.get(name):
                    values[name] = answer.values[name]
        cls._write_together(Line, by_line)

    @staticmethod
    def _write_together(Model, values_by_id):
        "Write once each set of values."
        by_values = defaultdict(list)
        for id_, values in values_by_id.items():
            by_values[tuple(sorted(
                        values.items(), key=lambda v: v[0]))].append(id_)
        to_write = []
        for values, ids in by_values.items():
            if values:
                to_write.extend((Model.browse(ids), dict(values)))
        if to_write:
            with without_check_access():
                Model.write(*to_write)

    @classmethod
    def _apply_payments(cls, verdicts):
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


class ReturnLine(AppendOnlyMixin, ModelSQL, ModelView):
    "An answer of the payer, as it came."
    __name__ = 'grant.return.line'

    return_ = fields.Many2One(
        'grant.return', "Return", required=True, readonly=True,
        ondelete='RESTRICT')
    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_company')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    row = fields.Integer("Line of the File", readonly=True)
    raw = fields.Char("As It Came", readonly=True)
    batch = fields.Char("Batch", required=True, readonly=True)
    line_number = fields.Integer("Line", required=True, readonly=True)
    line = fields.Many2One(
        'grant.batch.line', "Line of a Batch", readonly=True,
        ondelete='RESTRICT')
    party = fields.Function(fields.Many2One(
            'party.party', "Payee",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_party')
    status = fields.Selection(
        STATUSES, "Status", required=True, readonly=True, sort=False)
    reason = fields.Char("Reason", readonly=True)
    commitment = fields.Char("Commitment", readonly=True)
    order_number = fields.Char("Payment Order", readonly=True)
    bordereau = fields.Char("Slip", readonly=True)
    ordered_on = fields.Date("Ordered On", readonly=True)
    paid_on = fields.Date("Paid On", readonly=True)
    paid_amount = Monetary(
        "Paid Amount", currency='currency', digits='currency',
        readonly=True)
    verdict = fields.Selection([
            ('applied', "Applied"),
            ('unknown', "Unknown Line"),
            ('mismatch', "Anomaly"),
            ], "Verdict", required=True, readonly=True, sort=False)
    anomaly = fields.Text("What Does Not Fit", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('return_')
        cls._order = [('return_', 'DESC'), ('row', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.update({
                Index(table, (table.return_, Index.Equality())),
                Index(table, (table.line, Index.Equality())),
                })

    @fields.depends('return_', '_parent_return_.company')
    def on_change_with_company(self, name=None):
        return self.return_.company if self.return_ else None

    @classmethod
    def search_company(cls, name, clause):
        return [('return_.' + clause[0], *clause[1:])]

    @fields.depends('return_', '_parent_return_.company')
    def on_change_with_currency(self, name=None):
        return self.return_.company.currency if self.return_ else None

    @fields.depends('line', '_parent_line.party')
    def on_change_with_party(self, name=None):
        return self.line.party if self.line else None

    @classmethod
    def search_party(cls, name, clause):
        return [('line.' + clause[0], *clause[1:])]

    def get_rec_name(self, name):
        return f'{self.batch} / {self.line_number}'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('verdict') == 'applied', '', 'danger')),
            ]


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

    def find_mismatch(self, answer, current, today, others=()):
        """Return why the answer does not fit the line whose last status is
        ``current``, as a sentence, or ``None``.

        ``others`` are, for the other lines of the payment, the last status
        and the last one that the same file gives.  A payment is one transfer:
        it is paid or rejected whole.
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
