# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Read a survey file: one line per answer under a line of titles.

Nothing here touches the database: bytes go in, one figure comes out, the
same each time.  The answers themselves are not kept anywhere but in the
file.
"""
import codecs
import csv
import io
import re
from collections import namedtuple
from decimal import ROUND_HALF_UP, Decimal

# What the file says: the value (Decimal, two decimals at most), the number
# of answers that count and of those left blank.
Survey = namedtuple('Survey', ['value', 'answers', 'ignored'])

_DELIMITERS = [';', '\t', ',']
_NUMBER = re.compile(r'[+-]?[0-9]+([.,][0-9]+)?')
_BLANKS = re.compile(r'\s+')


class SurveyError(ValueError):
    """A file that is refused whole.

    ``code`` says why, ``line`` and ``column`` (from 1, or ``None``) where,
    ``text`` what was found there.
    """

    def __init__(self, code, line=None, column=None, text=None):
        super().__init__(code, line, column, text)
        self.code = code
        self.line = line
        self.column = column
        self.text = text


def read_survey(
        data, method, column=None, minimum=None, maximum=None,
        threshold=None):
    """Return the ``Survey`` of the file.

    ``data``: the bytes of a CSV file in UTF-8, UTF-16 with its mark or
    Windows-1252, separated by semicolons, tabulations or commas, with
    decimal commas or points.
    ``method``:

    - ``mean``: the mean of the notes of the column;
    - ``share``: the percentage (0 to 100) of the notes that are at or above
      the ``threshold``;
    - ``answers``: the number of lines in which something is filled in;
    - ``distinct``: the number of different participants in the column,
      whatever the case and the spaces.

    ``column``: the title of the column, for all but ``answers``;
    ``minimum`` and ``maximum``: the ends (Decimal) of the scale of notes.

    An empty cell is no answer: it is counted as ignored.  Raise
    ``SurveyError`` for anything else that is not understood.
    """
    titles, rows = _read_rows(_decode(data), column)
    index = None if method == 'answers' else _find_column(titles, column)
    values, ignored = [], 0
    for line, cells in rows:
        for extra, cell in enumerate(cells[len(titles):], len(titles) + 1):
            if cell:
                raise SurveyError('cells', line, extra, cell)
        if index is None:
            cell = ''.join(cells)
        else:
            cell = cells[index] if index < len(cells) else ''
        if not cell:
            ignored += 1
        elif method in {'mean', 'share'}:
            values.append(_read_note(
                    cell, line, index + 1, minimum, maximum))
        else:
            values.append(cell.casefold())
    if not values:
        raise SurveyError('empty')
    return Survey(_compute(method, values, threshold), len(values), ignored)


def _compute(method, values, threshold):
    count = len(values)
    if method == 'mean':
        value = sum(values) / count
    elif method == 'share':
        value = Decimal(100 * sum(v >= threshold for v in values)) / count
    elif method == 'answers':
        return Decimal(count)
    else:
        return Decimal(len(set(values)))
    return value.quantize(Decimal('0.01'), rounding=ROUND_HALF_UP)


def _decode(data):
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ['utf-16']
    else:
        encodings = ['utf-8-sig', 'cp1252']
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if '\0' not in text:
            return text
    raise SurveyError('encoding')


def _normalize(cell):
    return _BLANKS.sub(' ', cell).strip()


def _read_rows(text, column):
    "Return the titles and the other lines, each with its number."
    tables, errors = [], []
    for delimiter in _DELIMITERS:
        reader = _parse(text, delimiter)
        try:
            _, titles = next(reader, (None, []))
        except SurveyError as error:
            # Quoted titles are only read with the separator of the file.
            errors.append(error)
        else:
            tables.append((titles, reader))
    if not tables:
        raise errors[0]
    found = [
        table for table in tables
        if column and _key(column) in map(_key, table[0])]
    # In doubt, the separator that makes most columns.
    titles, reader = found[0] if found else max(
        tables, key=lambda table: len(table[0]))
    return titles, reader


def _parse(text, delimiter):
    reader = csv.reader(
        io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise SurveyError('quotes', line) from None
        cells = [_normalize(cell) for cell in cells]
        if cells:
            yield line, cells
        line = reader.line_num + 1


def _key(title):
    return _normalize(title).casefold()


def _find_column(titles, column):
    keys = [_key(title) for title in titles]
    count = keys.count(_key(column))
    if count != 1:
        raise SurveyError(
            'column_twice' if count else 'column', 1, None,
            ' ; '.join(filter(None, titles)))
    return keys.index(_key(column))


def _read_note(cell, line, column, minimum, maximum):
    if not _NUMBER.fullmatch(cell):
        raise SurveyError('number', line, column, cell)
    note = Decimal(cell.replace(',', '.'))
    if not minimum <= note <= maximum:
        raise SurveyError('scale', line, column, cell)
    return note
