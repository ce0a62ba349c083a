# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The files that go to the finance package, sealed when they leave.

A batch, of payments or of recovery orders, has one: UTF-8, semicolons, a line
with the control totals at the end, its SHA-256 kept beside it.
"""
import csv
import hashlib
from decimal import Decimal
from io import StringIO

from sql.aggregate import Count

from trytond import config
from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import AccessError
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool
from trytond.pyson import Eval
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import (
    Transaction, check_access, without_check_access)
from trytond.wizard import Button, StateView, Wizard

from .exceptions import CompletenessError, DutyError, FrozenError
from .mixin import AppendOnlyMixin, GuardMixin, now
from .party import sees_bank_numbers
from .sums import SLICE

if config.getboolean('attachment', 'filestore', default=True):
    file_id = 'data_id'
    store_prefix = config.get('attachment', 'store_prefix', default=None)
else:
    file_id = store_prefix = None

_SECTIONS = {'operating': 'fonctionnement', 'investment': 'investissement'}
TRAILER = 'TOTAL'
LABEL_LENGTH = 64


def clean(text):
    "Return the text on one line; no sheet takes it for a formula."
    return ' '.join(str(text or '').split()).lstrip('=+-@')


def write_amount(amount):
    return f'{amount:.2f}'.replace('.', ',')


def write_day(date):
    return date.isoformat() if date else ''


def make_file(columns, rows, amounts):
    """Return the file (bytes) of the rows (texts by column) and the sum of
    their amounts (Decimal, euros), which its last line repeats."""
    output = StringIO()
    writer = csv.DictWriter(
        output, columns, restval='', delimiter=';', lineterminator='\r\n')
    writer.writeheader()
    count = 0
    for row in rows:
        writer.writerow(row)
        count += 1
    total = sum(amounts, Decimal(0))
    writer.writerow({
            'batch_id': TRAILER,
            'line_no': count,
            'amount': write_amount(total),
            })
    return output.getvalue().encode('utf-8'), total


class FileBatchMixin:
    """A batch with its file: who prepared it, who transmitted it, and what
    left.

    Its model has a ``number`` and ``lines``, and the file a field,
    ``_file_field``, that points back to it.
    """
    __slots__ = ()
    _file_field = None

    exercise = fields.Integer("Exercise", readonly=True)
    line_count = fields.Function(fields.Integer("Lines"), 'get_line_count')
    prepared_by = fields.Many2One(
        'res.user', "Prepared By", readonly=True, ondelete='RESTRICT')
    prepared_on = fields.DateTime("Prepared On", readonly=True)
    transmitted_by = fields.Many2One(
        'res.user', "Transmitted By", readonly=True, ondelete='RESTRICT')
    transmitted_on = fields.DateTime("Transmitted On", readonly=True)
    file_name = fields.Char("File", readonly=True)
    file_sha256 = fields.Char(
        "Fingerprint", readonly=True,
        help="The SHA-256 of the file that was transmitted.")
    file_total = Monetary(
        "Control Total", currency='currency', digits='currency',
        readonly=True)

    @classmethod
    def get_line_count(cls, batches, name):
        lines = cls._fields['lines']
        line = lines.get_target().__table__()
        batch = getattr(line, lines.field)
        cursor = Transaction().connection.cursor()
        counts = dict.fromkeys((b.id for b in batches), 0)
        for sub in grouped_slice(batches, SLICE):
            cursor.execute(*line.select(
                    batch, Count(line.id),
                    where=reduce_ids(batch, [b.id for b in sub]),
                    group_by=[batch]))
            counts.update(cursor.fetchall())
        return counts

    @classmethod
    def check_finance(cls):
        "Raise ``DutyError`` unless the user is of finance."
        if not sees_bank_numbers():
            raise DutyError(gettext('pacte_grants.msg_finance_only'))

    @classmethod
    def preparation_values(cls):
        "Return the values of a new batch that say who prepares it."
        return {
            'prepared_by': Transaction().user or None,
            'prepared_on': now(),
            }

    def check_unsealed(self):
        "Raise ``FrozenError`` if the file left already."
        if self.file_sha256:
            raise FrozenError(gettext(
                    'pacte_grants.msg_batch_sealed', batch=self.rec_name))

    @without_check_access
    def seal(self, data, total, **values):
        """Keep the file (bytes) and its total (euros); write on the batch,
        with the ``values``, that it left.  The journal has its fingerprint.
        """
        pool = Pool()
        Batch = self.__class__
        name = f'{self.number}.csv'
        digest = hashlib.sha256(data).hexdigest()
        pool.get('grant.batch.file').create([{
                    self._file_field: self.id,
                    'name': name,
                    'data': data,
                    'sha256': digest,
                    }])
        Batch.write([self], {
                'file_name': name,
                'file_sha256': digest,
                'file_total': total,
                'transmitted_by': Transaction().user or None,
                'transmitted_on': now(),
                **values})
        pool.get('grant.event').add([{
                    'record': self, 'name': 'transmit',
                    'before': self.line_count, 'after': total,
                    'reason': digest,
                    }])


class FileLineMixin(GuardMixin):
    """A line of a batch with its file, charged to one imputation.

    Its batch is in the field ``_batch_field``; ``_sealed`` adds to what the
    file says the fields that are its own.  The rest is the payer's answer.
    """
    __slots__ = ()
    _batch_field = None
    _sealed = frozenset({
            'line_number', 'section', 'chapter', 'nature', 'function',
            'operation', 'amount'})

    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'get_company', searcher='search_company')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'get_currency')
    line_number = fields.Integer("Line", required=True, readonly=True)
    section = fields.Selection([
            (None, ""),
            ('operating', "Operating"),
            ('investment', "Investment"),
            ], "Section", readonly=True, sort=False)
    chapter = fields.Char("Chapter", readonly=True)
    nature = fields.Char("Nature", readonly=True)
    function = fields.Char("Function", readonly=True)
    operation = fields.Char("Operation", readonly=True)
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True,
        readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table, name = cls.__table__(), cls._batch_field
        cls._order = [
            (name, 'DESC'), ('line_number', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.append((
                f'{name}_line_number_unique',
                Unique(table, getattr(table, name), table.line_number),
                'pacte_grants.msg_batch_line_unique'))

    @property
    def _batch(self):
        return getattr(self, self._batch_field)

    def get_rec_name(self, name):
        return f'{self._batch.number} / {self.line_number}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [(f'{cls._batch_field}.number', *clause[1:])]

    def get_company(self, name):
        return self._batch.company.id

    @classmethod
    def search_company(cls, name, clause):
        return [(f'{cls._batch_field}.{clause[0]}', *clause[1:])]

    def get_currency(self, name):
        return self._batch.company.currency.id

    @classmethod
    def check_modification(cls, mode, lines, values=None, external=False):
        super().check_modification(
            mode, lines, values=values, external=external)
        if mode == 'write' and not values.keys() & cls._sealed:
            return
        for line in lines:
            if line._batch.state != 'preparation':
                raise FrozenError(gettext(
                        'pacte_grants.msg_batch_sealed',
                        batch=line._batch.rec_name))

    def get_imputation_row(self):
        "Return what the file says of the line itself: texts by column."
        return {
            'batch_id': self._batch.number,
            'line_no': self.line_number,
            'exercise': self._batch.exercise,
            'amount': write_amount(self.amount),
            'section': _SECTIONS.get(self.section, ''),
            'chapter': self.chapter or '',
            'nature': self.nature or '',
            'function': self.function or '',
            'operation': clean(self.operation),
            }


class File(AppendOnlyMixin, ModelSQL):
    """The file of a batch as it was transmitted.

    It holds bank account numbers in clear: nobody reads it over RPC; the
    wizard that opens it writes the journal.
    """
    __name__ = 'grant.batch.file'

    group = fields.Many2One(
        'account.payment.group', "Batch", ondelete='RESTRICT',
        states={'required': ~Eval('recovery_batch')})
    recovery_batch = fields.Many2One(
        'grant.recovery.batch', "Batch of Recovery Orders",
        ondelete='RESTRICT', states={'required': ~Eval('group')})
    name = fields.Char("Name", required=True)
    data = fields.Binary(
        "File", filename='name', required=True, file_id=file_id,
        store_prefix=store_prefix)
    data_id = fields.Char("File ID")
    sha256 = fields.Char("Fingerprint", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        for name in ['group', 'recovery_batch']:
            cls._sql_constraints.append((
                    f'{name}_unique', Unique(table, getattr(table, name)),
                    'pacte_grants.msg_batch_file_unique'))

    @classmethod
    def __register__(cls, module):
        super().__register__(module)
        # A file may be that of recovery orders.
        cls.__table_handler__(module).not_null_action('group', 'remove')


class DownloadFile(ModelView):
    __name__ = 'grant.batch.download.file'
    __string__ = "File of a Batch"

    name = fields.Char("Name", readonly=True)
    data = fields.Binary("File", filename='name', readonly=True)
    sha256 = fields.Char("Fingerprint", readonly=True)
    intact = fields.Boolean(
        "Intact", readonly=True,
        help="The fingerprint, computed anew, is that of the file when it "
        "was transmitted.")


class Download(Wizard):
    "Open the file of a batch, and write in the journal who did."
    __name__ = 'grant.batch.download'
    start_state = 'file'

    file = StateView(
        'grant.batch.download.file',
        'pacte_grants.batch_download_file_view_form', [
            Button("Close", 'end', 'tryton-close', default=True),
            ])

    def default_file(self, fields):
        pool = Pool()
        File = pool.get('grant.batch.file')
        with check_access():
            # Whoever may not read the batch stops here.
            batch, = self.model.search([('id', '=', self.record.id)])
        if not sees_bank_numbers():
            raise AccessError(gettext(
                    'pacte_grants.msg_batch_download',
                    batch=batch.rec_name))
        with without_check_access():
            files = File.search([(batch._file_field, '=', batch.id)])
            if not files:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_batch_no_file',
                        batch=batch.rec_name))
            file, = files
            data = bytes(file.data)
            pool.get('grant.event').add([{
                        'record': batch, 'name': 'download',
                        'after': file.name, 'reason': file.sha256}])
            return {
                'name': file.name,
                'data': data,
                'sha256': file.sha256,
                'intact': (
                    hashlib.sha256(data).hexdigest() == file.sha256
                    == batch.file_sha256),
                }
