# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Read a table that a partner sends: CSV, or cells pasted from a sheet.

French headings, decimal commas, any of the usual separators.  Every error is
found with its line and its column; nothing is guessed.
"""
import codecs
import csv
import datetime as dt
import re
from decimal import Decimal
from io import StringIO
from typing import NamedTuple

from trytond.i18n import gettext

from .territory import normalize

# The problems of a table that have a sentence of their own.
_CODES = {
    'heading', 'twice', 'no_column', 'outside', 'required', 'empty',
    'unreadable', 'product', 'category', 'residence'}
_SEPARATORS = ';\t,'
_PARENTHESES = re.compile(r'\(.*?\)')
_TRUE = {'oui', 'o', 'x', 'vrai', '1'}
_FALSE = {'', 'non', 'n', 'faux', '0'}
_NUMBER = re.compile(
    r'[+-]?(\d+|\d{1,3}([ \u00a0\u202f]\d{3})+)([.,]\d+)?')
# One thousand, or one with three decimals: it may be either.
_AMBIGUOUS = re.compile(r'[+-]?[1-9]\d{0,2}[.,]\d{3}')
_EURO = re.compile(r'\s*(€|euros?|eur)$', re.IGNORECASE)
_DATES = ['%d/%m/%Y', '%Y-%m-%d', '%d/%m/%y', '%d-%m-%Y']


class TableError(NamedTuple):
    """What is wrong in a cell: the number of the line and the heading of the
    column (``None`` for the whole line), a code, the value and what could
    stand there instead."""
    line: int
    column: str
    code: str
    value: str
    expected: str = ''


class Row(NamedTuple):
    "A line of the table: its number and its values by name."
    line: int
    values: dict


def decode(data):
    """Return the text of a file (bytes): Unicode, else the code of Windows.
    Raise ``ValueError`` if it is no text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode('utf-16')
    if b'\0' in data:
        raise ValueError("not a text")
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError:
        return data.decode('cp1252', errors='replace')


def read_number(text):
    """Return the number written in French or in English, as a Decimal.

    Thousands are parted by spaces; "1.000" may be one thousand or one and is
    refused."""
    text = _EURO.sub('', text.strip())
    if not _NUMBER.fullmatch(text) or _AMBIGUOUS.fullmatch(text):
        raise ValueError(text)
    return Decimal(
        re.sub(r'[ \u00a0\u202f]', '', text).replace(',', '.'))


def read_price(text):
    "Return an amount in euros, to the cent and not negative."
    number = read_number('0' if normalize(text) == 'gratuit' else text)
    if number < 0 or number != round(number, 2):
        raise ValueError(text)
    return number


def read_count(text):
    number = read_number(text)
    if number < 0 or number != int(number):
        raise ValueError(text)
    return int(number)


def read_boolean(text):
    text = normalize(text)
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(text)


def read_date(text):
    for format_ in _DATES:
        try:
            return dt.datetime.strptime(text.strip(), format_).date()
        except ValueError:
            pass
    raise ValueError(text)


def chooser(choices):
    "Return a reader of one of the choices: a dictionary by label."
    known = {normalize(label): value for label, value in choices.items()}

    def read(text):
        try:
            return known[normalize(text)]
        except KeyError:
            raise ValueError(text) from None
    read.expected = ', '.join(choices)
    return read


def table_problem(error):
    "Return the sentence for an error of ``read_table``."
    code = error.code
    if code not in _CODES:
        code = 'choice' if error.expected else 'value'
    return gettext(
        'pacte_grants.msg_csv_table_cell',
        line=error.line, column=error.column or '–',
        problem=gettext(
            f'pacte_grants.msg_csv_table_{code}', value=error.value,
            expected=error.expected))


def _separator(text):
    "Return the separator that the line of headings has most of."
    first = next((li for li in text.splitlines() if li.strip()), '')
    return max(_SEPARATORS, key=first.count)


def read_table(text, headings, readers, required):
    """Return the rows of the table and its errors.

    ``headings`` gives by normalized heading the name of the value,
    ``readers`` by name the function that reads a cell and raises
    ``ValueError``, ``required`` the names that every row must have.  Empty
    cells give no value; empty lines are passed over.
    """
    text = text.removeprefix('\ufeff').replace('\r\n', '\n').replace(
        '\r', '\n')
    reader = csv.reader(
        StringIO(text), delimiter=_separator(text), strict=True)
    rows, errors, names, titles = [], [], None, []
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error:
            # A quotation mark that is not closed, or no text at all
            return [], [*errors, TableError(first, None, 'unreadable', '')]
        number = reader.line_num
        if not any(c.strip() for c in cells):
            continue
        if names is None:
            titles = [c.strip() for c in cells]
            names, errors = _read_headings(
                number, titles, headings, required)
            if errors:
                return [], errors
            continue
        values, found = _read_cells(
            number, cells, names, titles, readers, required)
        errors.extend(found)
        rows.append(Row(number, values))
    if not rows and not errors:
        errors.append(TableError(reader.line_num or 1, None, 'empty', ''))
    return rows, errors


def _read_headings(number, titles, headings, required):
    names, errors = [], []
    for title in titles:
        name = headings.get(normalize(_PARENTHESES.sub('', title)))
        if name is None and title:
            errors.append(TableError(number, title, 'heading', title))
        elif name and name in names:
            errors.append(TableError(number, title, 'twice', title))
        names.append(name)
    missing = [n for n in required if n not in names]
    for name in missing:
        title = next(t for t, n in headings.items() if n == name)
        errors.append(TableError(number, title, 'no_column', title))
    return names, errors


def _read_cells(number, cells, names, titles, readers, required):
    values, errors = {}, []
    for rank, cell in enumerate(cells):
        cell = cell.strip()
        name = names[rank] if rank < len(names) else None
        if not cell:
            continue
        if name is None:
            errors.append(TableError(number, str(rank + 1), 'outside', cell))
            continue
        try:
            values[name] = readers[name](cell)
        except ValueError:
            errors.append(TableError(
                    number, titles[rank], name, cell,
                    getattr(readers[name], 'expected', '')))
    bad = {e.column for e in errors}
    for name in required:
        title = titles[names.index(name)]
        if name not in values and title not in bad:
            errors.append(TableError(number, title, 'required', ''))
    return values, errors
