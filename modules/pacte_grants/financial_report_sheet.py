# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The financial report as a spreadsheet that the partner fills in.

It leaves with the rows of the voted budget, each under its identifier, and
comes back as a whole: every error is said with its sheet, line and column,
and nothing is written while there is one.
"""
import datetime as dt
import re
from decimal import Decimal
from io import BytesIO
from typing import NamedTuple
from zipfile import ZipFile

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Alignment, Font, PatternFill, Protection
from openpyxl.styles.numbers import BUILTIN_FORMATS
from openpyxl.workbook.protection import WorkbookProtection

from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.pool import Pool
from trytond.report import Report
from trytond.transaction import check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .check import bulleted, money
from .csv_table import read_count, read_date, read_number
from .exceptions import FrozenError, SurveyFileError
from .financial_report import OPEN
from .territory import normalize

MAXIMUM_SIZE = 5  # megabytes
# What it may unpack to: a small file can hold a very large one.
MAXIMUM_CONTENT = 50  # megabytes
MAXIMUM_NUMBER = 10 ** 12
MAXIMUM_COUNT = 10 ** 8
MAXIMUM_ROWS = 2000
IDENTITY = 'Identité'
BUDGET = 'Budget'
ACTIVITY = 'Activité'
INVOICES = 'Factures'
_FIRST = 4
_BUDGET = [
    ('id', "Identifiant", 12), ('heading', "Rubrique", 42),
    ('label', "Détail", 24), ('forecast', "Prévu", 14),
    ('realised', "Réalisé", 14), ('gap', "Écart", 14),
    ('gap_rate', "Écart en %", 11), ('comment', "Commentaire", 40),
    ('key_criterion', "Clé : critère", 20), ('key_base', "Clé : assiette", 14),
    ('key_rate', "Clé : part en %", 14)]
_ENTERED = ['realised', 'comment', 'key_criterion', 'key_base', 'key_rate']
_ACTIVITY = [
    ('activity', "Ce qui a été réalisé (quoi, quand, où)"),
    ('beneficiary_count', "Nombre de bénéficiaires"),
    ('beneficiary_kinds', "Qui sont-ils"),
    ('public_total', "Total des subventions publiques de l'année"),
    ('certified_name', "Certifié par (prénom et nom)"),
    ('certified_capacity', "Qualité"),
    ('certified_power', "Pouvoir, si ce n'est pas le représentant légal"),
    ('certified_on', "Date de la certification")]
_ATTESTATION = [
    ('eligible_realised', "Montant dépensé pour l'action"), *_ACTIVITY]
_INVOICES = [
    ('id', "Identifiant", 12),
    ('supplier', "Fournisseur", 30), ('number', "Numéro", 18),
    ('date', "Date", 12), ('paid_on', "Payée le", 12),
    ('untaxed_amount', "Montant HT", 14), ('amount', "Montant TTC", 14),
    ('eligible_amount', "Montant éligible", 14),
    ('description', "Objet", 40)]
# The invoices with which the sheet left: those that do not come back were
# taken out.
_SENT = "Factures d'origine"
_INVOICE_REQUIRED = {'supplier', 'number', 'date', 'amount'}
_AMOUNTS = {
    'realised', 'key_base', 'public_total', 'eligible_realised',
    'untaxed_amount', 'amount', 'eligible_amount'}
_DATES = {'date', 'paid_on', 'certified_on'}
# The currency in the format of a cell: the euro, or that of the locale
_EURO = re.compile(r'\[\$(€|EUR)?(-[0-9A-Fa-f]+)?\]')
_FOREIGN = re.compile(r'[$£¥]|USD|GBP|CHF')
_GREY = PatternFill('solid', fgColor='E7E6E6')
_ENTRY = PatternFill('solid', fgColor='FFF9DB')


class SheetError(NamedTuple):
    sheet: str
    line: int
    column: str
    code: str
    value: str


class Understood(NamedTuple):
    """What a sheet says, ready to be written: the values of the report, of
    its lines by id, of its invoices (each with the one that is known, or
    ``None``), and the invoices that were taken out."""
    report: dict
    lines: dict
    invoices: list
    removed: list


class _Sheet:
    """A sheet as its file holds it: the values, and whether a cell without
    one has a formula."""

    def __init__(self, values, formulas):
        self.title = values.title
        self.max_row = values.max_row
        self._values = values
        self._formulas = formulas

    def value(self, row, column):
        return self._values.cell(row, column).value

    def read(self, name, row, column):
        """Return the value of the cell as ``read_value`` does; raise
        ``ValueError`` with the code of what is wrong."""
        cell = self._values.cell(row, column)
        if cell.data_type == 'e' or cell.value is None and (
                self._formulas.cell(row, column).data_type == 'f'):
            raise ValueError('formula')
        return read_value(name, cell.value, cell.number_format)


def _text(cell, value):
    "Write a text that no spreadsheet takes for a formula."
    cell.value = value
    if isinstance(value, str):
        cell.data_type = 's'
    return cell


def _open(cell, format_=None):
    cell.protection = Protection(locked=False)
    cell.fill = _ENTRY
    if format_:
        cell.number_format = format_


def _head(sheet, title, columns):
    _text(sheet.cell(1, 2), title).font = Font(bold=True, size=13)
    for index, (_, name, width) in enumerate(columns, 1):
        cell = _text(sheet.cell(_FIRST - 1, index), name)
        cell.font = Font(bold=True)
        cell.fill = _GREY
        cell.alignment = Alignment(wrap_text=True, vertical='top')
        sheet.column_dimensions[cell.column_letter].width = width
    sheet.freeze_panes = sheet.cell(_FIRST, 1)
    sheet.protection.sheet = True


def make_sheet(report):
    """Return the workbook (bytes, xlsx) of the report, filled in with what
    is known; only what the partner enters is unlocked."""
    book = Workbook()
    identity = book.active
    identity.title = IDENTITY
    for row, (name, value) in enumerate([
                ("Partenaire", report.party.rec_name),
                ("Convention", report.convention.number),
                ("Intitulé", report.convention.title),
                ("Année", report.year),
                ("Nature", report.kind_string),
                ("À rendre avant le", report.due_date),
                ("Référence", f'{report.kind}-{report.id}'),
                (_SENT, ' '.join(str(i.id) for i in report.invoices)
                    or None),
                ("Consigne", gettext('pacte_grants.msg_report_sheet_help')),
                ], 1):
        _text(identity.cell(row, 1), name).font = Font(bold=True)
        cell = _text(identity.cell(row, 2), value)
        cell.alignment = Alignment(wrap_text=True, horizontal='left')
        if isinstance(value, dt.date):
            cell.number_format = 'DD/MM/YYYY'
        if name == _SENT:
            identity.row_dimensions[row].hidden = True
    identity.column_dimensions['A'].width = 20
    identity.column_dimensions['B'].width = 80
    identity.protection.sheet = True
    title = report.rec_name
    if report.kind == 'financial' and report.lines:
        _fill_budget(book.create_sheet(BUDGET), title, report)
    if report.kind == 'statement':
        _fill_invoices(book.create_sheet(INVOICES), title, report)
    _fill_activity(book.create_sheet(ACTIVITY), title, report)
    book.security = WorkbookProtection(lockStructure=True)
    output = BytesIO()
    book.save(output)
    return output.getvalue()


def _fill_budget(sheet, title, report):
    _head(sheet, title, _BUDGET)
    sheet.column_dimensions['A'].hidden = True
    for row, line in enumerate(report.lines, _FIRST):
        for column, (name, _, _) in enumerate(_BUDGET, 1):
            cell = sheet.cell(row, column)
            if name == 'id':
                cell.value = line.id
            elif name == 'heading':
                _text(cell, line.heading.rec_name)
            elif name == 'gap':
                cell.value = f'=E{row}-D{row}'
                cell.number_format = '#,##0.00'
            elif name == 'gap_rate':
                cell.value = f'=IF(D{row}=0,"",(E{row}-D{row})/D{row})'
                cell.number_format = '0.0%'
            else:
                value = getattr(line, name)
                if name == 'key_rate' and value is not None:
                    value *= 100
                _text(cell, value)
                format_ = '#,##0.00' if name in {
                    'forecast', 'realised', 'key_base'} else None
                cell.number_format = format_ or 'General'
                if name in _ENTERED:
                    _open(cell, format_)


def _fill_invoices(sheet, title, report):
    _head(sheet, title, _INVOICES)
    sheet.column_dimensions['A'].hidden = True
    invoices = list(report.invoices)
    for row in range(_FIRST, _FIRST + len(invoices) + 200):
        invoice = (
            invoices[row - _FIRST] if row - _FIRST < len(invoices) else None)
        for column, (name, _, _) in enumerate(_INVOICES, 1):
            cell = sheet.cell(row, column)
            if invoice:
                _text(cell, getattr(invoice, name))
            if name == 'id':
                continue
            _open(cell, '#,##0.00' if name in _AMOUNTS
                else 'DD/MM/YYYY' if name in _DATES else None)


def _activity_rows(report):
    return _ATTESTATION if report.kind == 'attestation' else _ACTIVITY


def _fill_activity(sheet, title, report):
    _head(sheet, title, [
            ('label', "Question", 46), ('value', "Réponse", 80)])
    for row, (name, label) in enumerate(_activity_rows(report), _FIRST):
        _text(sheet.cell(row, 1), label)
        cell = _text(sheet.cell(row, 2), getattr(report, name))
        cell.alignment = Alignment(wrap_text=True, horizontal='left')
        _open(cell, '#,##0.00' if name in _AMOUNTS
            else 'DD/MM/YYYY' if name in _DATES else None)


def read_value(name, value, format_='General'):
    """Return the value of a cell and of its format: an amount to the cent, a
    date, a count, a rate or a text; ``None`` for an empty one.  Raise
    ``ValueError`` with the code of what is wrong."""
    if value is None or isinstance(value, str) and not value.strip():
        return None
    if name in _DATES:
        if isinstance(value, dt.datetime):
            return value.date()
        if isinstance(value, dt.date):
            return value
        try:
            return read_date(str(value))
        except ValueError:
            raise ValueError('date') from None
    if name in _AMOUNTS or name == 'key_rate':
        if _is_foreign(format_):
            raise ValueError('currency')
        percent = '%' in format_ and not isinstance(value, str)
        if name == 'key_rate' and isinstance(value, str):
            value = value.strip().removesuffix('%')
        number = _read_number(value)
        if number < 0:
            raise ValueError('negative')
        if number > MAXIMUM_NUMBER or percent and name != 'key_rate':
            raise ValueError('amount')
        if name == 'key_rate':
            if percent:
                # The cell holds the share itself.
                number *= 100
            if number > 100:
                raise ValueError('rate')
            return (number / 100).quantize(Decimal('0.0001'))
        if number != number.quantize(Decimal('0.01')):
            raise ValueError('cents')
        return number.quantize(Decimal('0.01'))
    if name == 'beneficiary_count':
        if isinstance(value, float) and value == int(value):
            value = int(value)
        try:
            count = read_count(str(value))
        except ValueError:
            raise ValueError('count') from None
        if count > MAXIMUM_COUNT:
            raise ValueError('count')
        return count
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return str(value).strip()


def _is_foreign(format_):
    "Return whether the format shows a currency that is not the euro."
    if format_ in BUILTIN_FORMATS.values():
        # Their dollar stands for the currency of the computer.
        return False
    return bool(_FOREIGN.search(_EURO.sub('', format_)))


def _read_number(value):
    if isinstance(value, bool) or isinstance(value, (dt.date, dt.time)):
        raise ValueError('amount')
    if isinstance(value, (int, float, Decimal)):
        # What a binary number adds to a decimal one is no precision.
        try:
            return Decimal(str(value)).quantize(Decimal('0.000001'))
        except ArithmeticError:
            raise ValueError('amount') from None
    try:
        return read_number(value)
    except ValueError:
        raise ValueError('amount') from None


class FinancialReportSheet(Report):
    "The spreadsheet that the partner fills in."
    __name__ = 'grant.financial_report.sheet'

    @classmethod
    def _execute(cls, records, header, data, action):
        record, = records
        return 'xlsx', make_sheet(record)


class SheetStart(ModelView):
    __name__ = 'grant.financial_report.sheet.start'
    __string__ = "Filled-in Sheet"

    file = fields.Binary("Filled-in Sheet", required=True)


class SheetPreview(ModelView):
    __name__ = 'grant.financial_report.sheet.preview'
    __string__ = "What Was Understood"

    text = fields.Text("What Was Understood", readonly=True)


class SheetImport(Wizard):
    "Read a sheet into its report: show what is understood, then write it."
    __name__ = 'grant.financial_report.sheet.import'

    start = StateView(
        'grant.financial_report.sheet.start',
        'pacte_grants.financial_report_sheet_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Check", 'preview', 'tryton-forward', default=True),
            ])
    preview = StateView(
        'grant.financial_report.sheet.preview',
        'pacte_grants.financial_report_sheet_preview_view_form', [
            Button("Back", 'start', 'tryton-back'),
            Button("Import", 'import_', 'tryton-ok', default=True),
            ])
    import_ = StateTransition()

    def default_start(self, fields):
        file = getattr(self.start, 'file', None)
        return {'file': file} if file else {}

    def _get_report(self):
        "Return the report; raise ``AccessError`` if the user may not see it."
        report = self.record
        with check_access():
            report.__class__.read([report.id], ['id'])
        return report

    def default_preview(self, fields):
        understood = read_sheet(self._get_report(), self.start.file)
        Line = Pool().get('grant.financial_report.line')
        sentences = []
        for line in Line.browse(list(understood.lines)):
            realised = understood.lines[line.id]['realised']
            sentences.append(gettext(
                    'pacte_grants.msg_report_sheet_line',
                    line=line.rec_name,
                    forecast=money(line.forecast or Decimal(0)),
                    realised='–' if realised is None else money(realised)))
        sentences += [
            gettext('pacte_grants.msg_report_sheet_invoice',
                invoice=f"{values['supplier']} {values['number']}",
                amount=money(values['amount']))
            for _, values in understood.invoices]
        sentences += [
            gettext('pacte_grants.msg_report_sheet_removed',
                invoice=invoice.rec_name, amount=money(invoice.amount))
            for invoice in understood.removed]
        labels = dict(_ATTESTATION)
        sentences += [
            f'{labels[name]} : '
            + (money(value) if isinstance(value, Decimal)
                else value.strftime('%d/%m/%Y') if isinstance(value, dt.date)
                else str(value))
            for name, value in understood.report.items()
            if value is not None]
        return {'text': bulleted(sentences)}

    def transition_import_(self):
        write_sheet(self._get_report(), self.start.file)
        return 'end'

    def end(self):
        return 'reload'


def read_sheet(report, data):
    """Return what the sheet (bytes) says of the report.

    Raise ``FrozenError`` if the report takes no figures any more, and
    ``SurveyFileError`` with every error if the file is not a sheet of this
    report or a cell cannot be understood.
    """
    if report.state not in OPEN:
        raise FrozenError(gettext(
                'pacte_grants.msg_report_sheet_closed',
                report=report.rec_name, state=report.state_label))
    book = _load(report, data)
    errors = []
    lines, invoices, removed = {}, [], []
    if report.kind == 'financial' and report.lines:
        lines = _read_budget(report, _get(book, BUDGET, report), errors)
    if report.kind == 'statement':
        invoices, removed = _read_invoices(
            report, _get(book, INVOICES, report),
            _get_identity(book, report).get(_SENT), errors)
    values = _read_activity(report, _get(book, ACTIVITY, report), errors)
    if errors:
        raise SurveyFileError(gettext(
                'pacte_grants.msg_report_sheet_errors',
                errors=bulleted(
                    gettext('pacte_grants.msg_report_sheet_cell',
                        sheet=e.sheet, line=e.line, column=e.column,
                        problem=gettext(
                            f'pacte_grants.msg_report_sheet_bad_{e.code}',
                            value=e.value))
                    for e in errors)))
    return Understood(values, lines, invoices, removed)


def _refuse(code, report, **names):
    raise SurveyFileError(gettext(
            f'pacte_grants.msg_report_sheet_{code}',
            report=report.rec_name, size=MAXIMUM_SIZE, **names))


def _load(report, data):
    "Return the workbook twice: with its values, and with its formulas."
    data = data or b''
    if len(data) > MAXIMUM_SIZE * 2 ** 20:
        _refuse('large', report)
    try:
        with ZipFile(BytesIO(data)) as archive:
            content = sum(i.file_size for i in archive.infolist())
        large = content > MAXIMUM_CONTENT * 2 ** 20
        book = () if large else tuple(
            load_workbook(
                BytesIO(data), data_only=data_only, keep_links=False)
            for data_only in [True, False])
    except Exception:
        # There is no end to the ways in which a file may be damaged.
        _refuse('unreadable', report)
    if large:
        _refuse('large', report)
    found = _get_identity(book, report)
    if (str(found.get("Référence")) != f'{report.kind}-{report.id}'
            or str(found.get("Convention")) != report.convention.number
            or str(found.get("Année")) != str(report.year)):
        _refuse('other', report)
    return book


def _get(book, title, report):
    values, formulas = book
    if title not in [s.title for s in values.worksheets]:
        _refuse('structure', report)
    sheet = _Sheet(values[title], formulas[title])
    if sheet.max_row > MAXIMUM_ROWS:
        _refuse('structure', report)
    return sheet


def _get_identity(book, report):
    sheet = _get(book, IDENTITY, report)
    return {sheet.value(row, 1): sheet.value(row, 2) for row in range(1, 11)}


def _check_headings(sheet, columns, report):
    found = [
        sheet.value(_FIRST - 1, i) for i in range(1, len(columns) + 1)]
    if found != [name for _, name, _ in columns]:
        _refuse('structure', report)


def _read_cell(sheet, row, column, name, title, errors):
    try:
        return sheet.read(name, row, column)
    except ValueError as error:
        errors.append(SheetError(
                sheet.title, row, title, str(error),
                str(sheet.value(row, column) or '')))


def _read_budget(report, sheet, errors):
    _check_headings(sheet, _BUDGET, report)
    expected = {line.id: line for line in report.lines}
    lines = {}
    for row in range(_FIRST, sheet.max_row + 1):
        id_ = sheet.value(row, 1)
        cells = {
            name: _read_cell(sheet, row, column, name, title, errors)
            for column, (name, title, _) in enumerate(_BUDGET, 1)
            if name in _ENTERED}
        if id_ is None:
            if any(v is not None for v in cells.values()):
                errors.append(SheetError(
                        sheet.title, row, _BUDGET[1][1], 'row',
                        str(sheet.value(row, 2) or '')))
            continue
        if id_ not in expected or id_ in lines:
            errors.append(SheetError(
                    sheet.title, row, _BUDGET[1][1], 'row',
                    str(sheet.value(row, 2) or '')))
            continue
        lines[id_] = cells
        _check_forecast(sheet, row, expected[id_], errors)
    missing = [line for id_, line in expected.items() if id_ not in lines]
    if missing and not errors:
        _refuse('missing', report, rows=bulleted(m.rec_name for m in missing))
    return lines


def _check_forecast(sheet, row, line, errors):
    "The sheet is that of the budget which the report has now."
    column, (_, title, _) = next(
        (i, c) for i, c in enumerate(_BUDGET, 1) if c[0] == 'forecast')
    before = len(errors)
    forecast = _read_cell(sheet, row, column, 'realised', title, errors)
    if len(errors) == before and (forecast or 0) != (line.forecast or 0):
        errors.append(SheetError(
                sheet.title, row, title, 'forecast',
                money(line.forecast or Decimal(0))))


def _read_invoices(report, sheet, sent, errors):
    """Return the invoices of the sheet, each with the one of the report that
    it gives again, and those of the report that it gives no more."""
    _check_headings(sheet, _INVOICES, report)
    rows = []
    for row in range(_FIRST, sheet.max_row + 1):
        before = len(errors)
        values = {
            name: _read_cell(sheet, row, column, name, title, errors)
            for column, (name, title, _) in enumerate(_INVOICES, 1)
            if name != 'id'}
        if len(errors) > before or all(v is None for v in values.values()):
            continue
        for name, title, _ in _INVOICES:
            if name in _INVOICE_REQUIRED and values[name] is None:
                errors.append(
                    SheetError(sheet.title, row, title, 'empty', ''))
        if values['eligible_amount'] is None:
            values['eligible_amount'] = (
                values['amount'] if values['untaxed_amount'] is None
                else values['untaxed_amount'])
        rows.append((sheet.value(row, 1), values))
    if errors:
        return [], []
    invoices = _match_invoices(report, rows)
    known = {invoice for invoice, _ in invoices}
    sent = set(str(sent or '').split())
    return invoices, [
        i for i in report.invoices if i not in known and str(i.id) in sent]


def _match_invoices(report, rows):
    """Find the invoice of each row: by its identifier, which a copied row
    has too, else by supplier and number."""
    by_id = {i.id: i for i in report.invoices}
    found = []
    for id_, _ in rows:
        found.append(by_id.pop(id_, None))
    for index, (_, values) in enumerate(rows):
        if found[index] is None:
            key = _invoice_key(values['supplier'], values['number'])
            same = [
                i for i in by_id.values()
                if _invoice_key(i.supplier, i.number) == key]
            same.sort(key=lambda i: i.amount != values['amount'])
            if same:
                found[index] = by_id.pop(same[0].id)
    return [
        (invoice, values)
        for invoice, (_, values) in zip(found, rows, strict=True)]


def _invoice_key(supplier, number):
    return normalize(supplier), normalize(number)


def _read_activity(report, sheet, errors):
    values = {}
    for row, (name, title) in enumerate(_activity_rows(report), _FIRST):
        if sheet.value(row, 1) != title:
            _refuse('structure', report)
        values[name] = _read_cell(sheet, row, 2, name, title, errors)
    return values


def write_sheet(report, data):
    """Write what the sheet (bytes) says, as a whole, with the access of the
    user; the same sheet again changes nothing."""
    pool = Pool()
    FinancialReport = pool.get('grant.financial_report')
    Line = pool.get('grant.financial_report.line')
    Invoice = pool.get('grant.financial_report.invoice')
    understood = read_sheet(report, data)
    with check_access():
        changed = _changes(report, understood.report)
        if changed:
            FinancialReport.write([FinancialReport(report.id)], changed)
        args = []
        for line in Line.browse(list(understood.lines)):
            if changed := _changes(line, understood.lines[line.id]):
                args += [[line], changed]
        if args:
            Line.write(*args)
        if understood.removed:
            Invoice.delete(Invoice.browse(understood.removed))
        new = []
        for invoice, values in understood.invoices:
            if not invoice:
                new.append({'report': report.id, **values})
            elif changed := _changes(invoice, values):
                Invoice.write([Invoice(invoice.id)], changed)
        if new:
            Invoice.create(new)


def _changes(record, values):
    return {
        n: v for n, v in values.items()
        if (getattr(record, n) or None) != (v or None)
        or (getattr(record, n) is None) != (v is None)
        and isinstance(v, (int, Decimal))}
