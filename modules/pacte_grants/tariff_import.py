# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Read the prices and the attendance of a grid from a table."
from collections import defaultdict

from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.model.exceptions import ValidationError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from . import tariff_rule
from .check import bulleted
from .csv_table import (
    chooser, decode, read_boolean, read_count, read_date, read_price,
    read_table, table_problem)
from .tariff_text import Audience, euros, line_name, number


class TableImportError(ValidationError):
    "A table cannot be imported; the message says every line and column."


class Grid(metaclass=PoolMeta):
    __name__ = 'grant.tariff.grid'

    def read_rows(self, text, replace=False):
        """Return the prices that the text (a table) holds, as values of new
        lines.  Raise ``TableImportError`` with every error; unless they
        ``replace`` those of the grid, a price that is there already is one.
        """
        Line = Pool().get('grant.tariff.line')
        rows = self._read_table(
            text, Line.headings, self._line_readers(),
            ['product', 'price'])
        self._check_rows(rows, [] if replace else self.lines)
        return [row.values | {'grid': self.id} for row in rows]

    def _check_rows(self, rows, lines):
        Line = Pool().get('grant.tariff.line')
        known = {(li.import_key(), li.price) for li in lines}
        errors, seen = [], {}
        for row in rows:
            low, high = (
                row.values.get(f'quotient_{n}') for n in ['min', 'max'])
            if low is not None and high is not None and high < low:
                errors.append(gettext(
                        'pacte_grants.msg_csv_table_quotient',
                        line=row.line))
            price = Line.key_of(row.values), row.values['price']
            errors.extend(self._check_repeated(row.line, price, seen, known))
        self._raise_errors(errors)

    def _check_repeated(self, line, key, seen, known):
        "Return the errors of a row that is there twice or already."
        first = seen.setdefault(key, line)
        if first != line:
            return [gettext(
                    'pacte_grants.msg_csv_table_repeated',
                    line=line, first=first)]
        elif key in known:
            return [gettext(
                    'pacte_grants.msg_csv_table_known',
                    line=line, grid=self.rec_name)]
        return []

    def import_lines(self, text, replace=False):
        """Add the prices of the text to the grid, after those that are there
        or, with ``replace``, instead of them.  All or nothing."""
        Line = Pool().get('grant.tariff.line')
        values = self.read_rows(text, replace=replace)
        if replace:
            Line.delete(list(self.lines))
        return Line.create(values)

    def read_attendances(self, text, replace=False):
        """Return the attendance that the text holds by line of the grid, as
        values of new records.  Raise ``TableImportError`` with every error:
        a row that finds no line, or several, is one, and so is one that
        would count the same entries twice."""
        pool = Pool()
        Line = pool.get('grant.tariff.line')
        Attendance = pool.get('grant.attendance')
        sources = {
            label: value for value, label
            in Attendance.fields_get(['source'])['source']['selection']}
        readers = self._line_readers() | {
            'entries': read_count, 'receipts': read_price,
            'start_date': read_date, 'end_date': read_date,
            'source': chooser(sources)}
        rows = self._read_table(
            text, Line.headings | Attendance.headings, readers,
            ['product', 'entries'])
        known = defaultdict(list)
        for line in self.lines:
            known[line.import_key()].append(line)
        counted = {
            (self.id, a.line.id, a.start_date, a.end_date, a.entries,
                a.receipts, a.source)
            for a in ([] if replace else self.attendances)}
        errors, values, seen = [], [], {}
        for row in rows:
            key = Line.key_of(row.values)
            lines = known.get(key, [])
            if len(lines) != 1:
                # The label may be left out where it is not needed.
                lines = [
                    li for k, found in known.items() for li in found
                    if not key[1] and (k[0], *k[2:]) == (key[0], *key[2:])
                    ] if len(lines) != 1 else lines
            if len(lines) != 1:
                errors.append(gettext(
                        'pacte_grants.msg_csv_table_line',
                        line=row.line, count=len(lines)))
                continue
            value = {
                'grid': self.id,
                'line': lines[0].id,
                'start_date': row.values.get('start_date', self.start_date),
                'end_date': row.values.get('end_date', self.end_date),
                'entries': row.values['entries'],
                'receipts': row.values.get('receipts'),
                'source': row.values.get('source', 'declared'),
                }
            if value['end_date'] < value['start_date']:
                errors.append(gettext(
                        'pacte_grants.msg_csv_table_period',
                        line=row.line))
            errors.extend(self._check_repeated(
                    row.line, tuple(value.values()), seen, counted))
            values.append(value)
        self._raise_errors(errors)
        return values

    def import_attendances(self, text, replace=False):
        "Add the attendance of the text to the grid, as ``import_lines``."
        Attendance = Pool().get('grant.attendance')
        values = self.read_attendances(text, replace=replace)
        if replace:
            Attendance.delete(list(self.attendances))
        return Attendance.create(values)

    def _line_readers(self):
        pool = Pool()
        Line = pool.get('grant.tariff.line')
        Category = pool.get('grant.tariff.category')
        definitions = Line.fields_get(['product', 'residence'])
        categories = {}
        for category in Category.search([]):
            if category.is_valid(self.start_date):
                categories[category.code] = category.id
                categories[category.name] = category.id
        categories[gettext('pacte_grants.msg_tariff_everybody')] = None
        return {
            'product': chooser({
                    label: value for value, label
                    in definitions['product']['selection']}),
            'label': str,
            'category': chooser(categories),
            'residence': chooser({
                    label: value for value, label
                    in definitions['residence']['selection']}),
            'quotient_min': read_price,
            'quotient_max': read_price,
            'price': read_price,
            'is_reference': read_boolean,
            }

    def _read_table(self, text, headings, readers, required):
        rows, errors = read_table(text or '', headings, readers, required)
        self._raise_errors([table_problem(e) for e in errors])
        return rows

    def _raise_errors(self, errors):
        if not errors:
            return
        shown = errors[:20]
        if len(errors) > len(shown):
            shown.append(gettext(
                    'pacte_grants.msg_csv_table_more',
                    count=len(errors) - len(shown)))
        raise TableImportError(gettext(
                'pacte_grants.msg_csv_table_errors',
                grid=self.rec_name, errors=bulleted(shown)))


class Line(metaclass=PoolMeta):
    __name__ = 'grant.tariff.line'
    # What partners write above their columns, without accents.
    headings = {
        'produit': 'product', 'nature': 'product', 'type': 'product',
        'libelle': 'label', 'intitule': 'label', 'designation': 'label',
        'categorie': 'category', 'public': 'category',
        'residence': 'residence', 'domicile': 'residence',
        'qf min': 'quotient_min', 'qf mini': 'quotient_min',
        'quotient min': 'quotient_min',
        'qf max': 'quotient_max', 'qf maxi': 'quotient_max',
        'quotient max': 'quotient_max',
        'prix': 'price', 'tarif': 'price', 'montant': 'price',
        'plein tarif': 'is_reference', 'reference': 'is_reference',
        }

    @classmethod
    def key_of(cls, values):
        "Return what the values of an imported row say of its line."
        return (
            values['product'],
            ' '.join(values.get('label', '').lower().split()),
            values.get('category'), values.get('residence', 'all'),
            values.get('quotient_min'), values.get('quotient_max'))

    def import_key(self):
        return self.key_of({
                'product': self.product, 'label': self.label or '',
                'category': self.category.id if self.category else None,
                'residence': self.residence,
                'quotient_min': self.quotient_min,
                'quotient_max': self.quotient_max})


class Attendance(metaclass=PoolMeta):
    __name__ = 'grant.attendance'
    headings = {
        'entrees': 'entries', 'nombre': 'entries', 'effectif': 'entries',
        'recettes': 'receipts', 'recette': 'receipts',
        'du': 'start_date', 'debut': 'start_date',
        'au': 'end_date', 'fin': 'end_date',
        'source': 'source', 'origine': 'source',
        }


class ImportStart(ModelView):
    __name__ = 'grant.tariff.import.start'
    __string__ = "Table to Import"

    grid = fields.Many2One('grant.tariff.grid', "Grid", readonly=True)
    kind = fields.Selection([
            ('lines', "Prices"),
            ('attendances', "Attendance by Price"),
            ], "What It Holds", required=True, sort=False)
    replace = fields.Boolean(
        "Instead of What Is There",
        help="Otherwise the rows are added.")
    file = fields.Binary("CSV File")
    text = fields.Text(
        "Pasted Cells", states={'required': ~Eval('file')},
        help="Copied from a sheet, with the line of headings. Not read if "
        "there is a file.")

    @classmethod
    def default_kind(cls):
        return 'lines'

    @classmethod
    def default_replace(cls):
        return False

    def get_text(self):
        if not self.file:
            return self.text
        try:
            return decode(self.file)
        except ValueError:
            raise TableImportError(gettext(
                    'pacte_grants.msg_csv_table_binary')) from None


class ImportPreview(ModelView):
    __name__ = 'grant.tariff.import.preview'
    __string__ = "What Was Understood"

    count = fields.Integer("Rows", readonly=True)
    text = fields.Text("What Was Understood", readonly=True)


class Import(Wizard):
    "Read a table into a grid: show what is understood, then write it."
    __name__ = 'grant.tariff.import'

    start = StateView(
        'grant.tariff.import.start',
        'pacte_grants.tariff_import_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Check", 'preview', 'tryton-forward', default=True),
            ])
    preview = StateView(
        'grant.tariff.import.preview',
        'pacte_grants.tariff_import_preview_view_form', [
            Button("Back", 'start', 'tryton-back'),
            Button("Import", 'import_', 'tryton-ok', default=True),
            ])
    import_ = StateTransition()

    def default_start(self, fields):
        "Come back to the text as it was pasted."
        values = {'grid': self.record.id}
        for name in ['kind', 'replace', 'file', 'text']:
            value = getattr(self.start, name, None)
            if value is not None:
                values[name] = value
        return values

    def default_preview(self, fields):
        grid = self.record
        text = self.start.get_text()
        if self.start.kind == 'lines':
            rows = grid.read_rows(text, replace=self.start.replace)
            lines = [self._line_text(row) for row in rows]
        else:
            rows = grid.read_attendances(
                text, replace=self.start.replace)
            names = {li.id: li.rec_name for li in grid.lines}
            lines = [
                gettext('pacte_grants.msg_tariff_preview_attendance',
                    line=names[row['line']],
                    entries=number(row['entries'], 0),
                    receipts='–' if row['receipts'] is None
                    else euros(row['receipts']))
                for row in rows]
        return {'count': len(rows), 'text': '\n'.join(lines)}

    @staticmethod
    def _line_text(values):
        pool = Pool()
        Line = pool.get('grant.tariff.line')
        category = values.get('category')
        row = tariff_rule.Line(
            product=values['product'], price=values['price'],
            label=values.get('label', ''),
            category=category and Audience(
                pool.get('grant.tariff.category')(category).name),
            quotient_min=values.get('quotient_min'),
            quotient_max=values.get('quotient_max'))
        residence = values.get('residence', 'all')
        definition = Line.fields_get(['residence'])['residence']
        return gettext(
            'pacte_grants.msg_tariff_preview_line',
            line=line_name(row),
            residence=dict(definition['selection'])[residence],
            price=euros(values['price']),
            full=gettext('pacte_grants.msg_tariff_preview_full')
            if values.get('is_reference') else '')

    def transition_import_(self):
        text = self.start.get_text()
        with check_access():
            grid = Pool().get('grant.tariff.grid')(self.record.id)
            getattr(grid, f'import_{self.start.kind}')(
                text, replace=self.start.replace)
        return 'end'

    def end(self):
        return 'reload'
