# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The files that come back from the finance package.

One line for each line of a batch that is answered, a line with the control
totals at the end.  Every answer is kept as it came; what fits is applied
once, what differs is an anomaly that changes nothing.
"""
import hashlib
from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

from sql.aggregate import Count

from trytond.i18n import gettext
from trytond.model import Index, fields
from trytond.pool import Pool
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import Transaction, without_check_access

from .batch_file import TRAILER
from .check import bulleted, money
from .csv_table import (
    TableError, chooser, decode, read_count, read_price, read_table,
    table_problem)
from .exceptions import ReturnError
from .mixin import AppendOnlyMixin, acting_user, now
from .scheme import CompanyMixin
from .sums import SLICE

HEADINGS = {
    'batch id': 'batch', 'batch_id': 'batch', 'lot': 'batch',
    'line no': 'number', 'line_no': 'number', 'ligne': 'number',
    'status': 'status', 'statut': 'status',
    'reason': 'reason', 'motif': 'reason',
    'bordereau no': 'bordereau', 'bordereau_no': 'bordereau',
    }


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


def _part_trailer(text):
    "Return the text without its last line, and that line's cells."
    lines = text.rstrip('\n').split('\n')
    cells = [c.strip().strip('"') for c in lines[-1].split(';')]
    if cells[0].upper() != TRAILER:
        return text, None
    return '\n'.join(lines[:-1]) + '\n', cells


def _check_trailer(answers, trailer, name):
    """Return what is wrong with the control totals, as sentences; the
    answers' amounts are their values ``name``."""
    if trailer is None:
        return [gettext('pacte_grants.msg_return_no_trailer')]
    total = sum(
        (a.values.get(name) or Decimal(0) for a in answers), Decimal(0))
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


class ReturnMixin(AppendOnlyMixin, CompanyMixin):
    """A file of answers.

    ``_headings`` names the columns (a dictionary by heading), ``_readers``
    reads their cells, ``_labels`` the statuses; ``_needed`` lists status,
    value and heading where the status does not go without the value, and
    ``_total`` is the value that the last line sums up.  The lines that are
    answered are records of ``_line_model`` and have their batch in
    ``_batch_field``.
    """
    __slots__ = ()
    _headings = HEADINGS
    _readers = {}
    _labels = {}
    _needed = []
    _total = None
    _line_model = _batch_field = None

    name = fields.Char("File", required=True, readonly=True)
    sha256 = fields.Char(
        "Fingerprint", readonly=True, help="The SHA-256 of the file.")
    user = fields.Many2One(
        'res.user', "User", required=True, readonly=True,
        ondelete='RESTRICT')
    time = fields.DateTime("Time", required=True, readonly=True)
    anomaly_count = fields.Function(
        fields.Integer("Anomalies"), 'get_anomaly_count')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.company.readonly = True
        cls._order = [('id', 'DESC')]

    @classmethod
    def _answered(cls):
        "Return the model of the answers that are kept."
        return cls._fields['lines'].get_target()

    @classmethod
    def get_anomaly_count(cls, returns, name):
        line = cls._answered().__table__()
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
        rows, trailer = _part_trailer(text)
        readers = {
            'batch': str,
            'number': read_count,
            'status': chooser(cls._labels),
            **cls._readers}
        table, errors = read_table(
            rows, cls._headings, readers, ['batch', 'number', 'status'])
        raw = rows.split('\n')
        answers = []
        for row in table:
            values = dict(row.values)
            if 'status' not in values:
                continue
            for status, name, title in cls._needed:
                if values['status'] == status and not values.get(name):
                    errors.append(TableError(
                            row.line, title, 'required', ''))
            answers.append(Answer(
                    row.line, raw[row.line - 1],
                    values.pop('batch', ''), values.pop('number', 0),
                    values.pop('status'), values))
        problems = [table_problem(e) for e in errors]
        if not problems:
            problems = _check_trailer(answers, trailer, cls._total)
        if problems:
            raise ReturnError(gettext(
                    'pacte_grants.msg_table_refused',
                    errors=bulleted(problems[:20])))
        return answers

    # Comparing

    @classmethod
    def examine(cls, answers):
        """Return the verdict on each answer, without changing anything.

        An answer is ``known`` when the same one was applied, ``unknown``
        when no transmitted batch of the company has its line, a ``mismatch``
        when it does not fit what is known of the line.
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
                    n for n in cls._readers
                    if (answer.values.get(n) or None) != (same[n] or None)]
                verdicts.append(Verdict(
                        answer, line, 'mismatch' if differing else 'known',
                        gettext('pacte_grants.msg_return_differs',
                            line=line.rec_name) if differing else None))
                continue
            current = statuses.get(line.id, line.return_status)
            others = [
                (statuses.get(li.id, li.return_status), last.get(li.id))
                for li in line.siblings if li != line]
            reason = line.find_mismatch(
                answer, current, today, others, done[line.id])
            verdicts.append(Verdict(
                    answer, line, 'mismatch' if reason else 'applied',
                    reason))
            if not reason:
                statuses[line.id] = answer.status
                done[line.id][answer.status] = {
                    n: answer.values.get(n) for n in cls._readers}
        return verdicts

    @classmethod
    def _find_lines(cls, answers):
        """Return, by number of batch and of line, the lines that the answers
        name: those of the company in which the user works, since each company
        numbers its own batches."""
        pool = Pool()
        Line = pool.get(cls._line_model)
        batch = cls._batch_field
        company = Transaction().context.get('company')
        if company not in pool.get('res.user').get_companies():
            return {}
        lines = {}
        for sub in grouped_slice({a.batch for a in answers}, SLICE):
            for line in Line.search([
                        (f'{batch}.company', '=', company),
                        (f'{batch}.number', 'in', list(sub)),
                        (f'{batch}.state', 'in', ['transmitted', 'closed']),
                        ]):
                lines[getattr(line, batch).number, line.line_number] = line
        return lines

    @classmethod
    def _get_done(cls, lines):
        "Return, by id of line and status, the answers that were applied."
        done = defaultdict(dict)
        for sub in grouped_slice([li.id for li in lines], SLICE):
            for answer in cls._answered().search([
                        ('line', 'in', list(sub)),
                        ('verdict', '=', 'applied'),
                        ]):
                done[answer.line.id][answer.status] = {
                    n: getattr(answer, n) for n in cls._readers}
        return done

    # Applying

    @classmethod
    def import_file(cls, name, data):
        """Apply the answers of the file (bytes) and keep them.

        Return the record of the file.  A file that was imported already
        changes nothing and leaves no second trace of its answers.
        """
        return cls.apply(
            name, cls.read_file(data), hashlib.sha256(data).hexdigest())

    @classmethod
    def apply(cls, name, answers, digest=None, into=None):
        """Apply the answers, keep them all but those that were known, and
        return the record that holds them: ``into`` if it is given, a new one
        otherwise."""
        pool = Pool()
        user = acting_user(gettext('pacte_grants.msg_act_return'))
        Line = pool.get(cls._line_model)
        Batch = Line._fields[cls._batch_field].get_target()
        Batch.check_finance()
        cls._claim(list(cls._find_lines(answers).values()))
        verdicts = cls.examine(answers)
        return_ = into or cls._open(name, digest, user)
        cls._answered().create([{
                    'return_': return_.id,
                    'row': v.answer.row,
                    'raw': v.answer.raw,
                    'batch': v.answer.batch,
                    'line_number': v.answer.number,
                    'status': v.answer.status,
                    'line': v.line.id if v.line else None,
                    'verdict': v.verdict,
                    'anomaly': v.reason,
                    **{n: v.answer.values.get(n) for n in cls._readers},
                    } for v in verdicts if v.verdict != 'known'])
        applied = [v for v in verdicts if v.verdict == 'applied']
        cls._apply_lines(applied)
        cls._apply_records(applied)
        Batch.close_answered(list({
                    getattr(v.line, cls._batch_field) for v in applied}))
        return return_

    @classmethod
    def _claim(cls, lines):
        "Take the records of the lines that are answered."
        raise NotImplementedError

    @classmethod
    def _apply_records(cls, verdicts):
        "Bring the records to where all their lines are."
        raise NotImplementedError

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
        Line = Pool().get(cls._line_model)
        by_line = defaultdict(dict)
        for answer, line, _, _ in verdicts:
            values = by_line[line.id]
            values['return_status'] = answer.status
            values['return_reason'] = answer.values.get('reason')
            for name in cls._readers:
                if name in Line._fields and answer.values.get(name):
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


class ReturnLineMixin(AppendOnlyMixin):
    """An answer of the payer, as it came.

    Its model adds ``return_``, ``line``, ``status`` and the values of the
    answer.
    """
    __slots__ = ()

    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_company')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    row = fields.Integer("Line of the File", readonly=True)
    raw = fields.Char("As It Came", readonly=True)
    batch = fields.Char("Batch", required=True, readonly=True)
    line_number = fields.Integer("Line", required=True, readonly=True)
    reason = fields.Char("Reason", readonly=True)
    order_number = fields.Char("Order", readonly=True)
    bordereau = fields.Char("Slip", readonly=True)
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
