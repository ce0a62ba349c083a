# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Numbers, amounts and dates as documents in French write them.

What partners receive is in French whatever the language of the user, so
nothing here depends on the languages that the database has loaded.
"""
from decimal import Decimal

from num2words import num2words

NARROW_SPACE = '\u202f'
SPACE = '\xa0'
_MONTHS = [
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet",
    "août", "septembre", "octobre", "novembre", "décembre"]


def number(value, digits=None):
    """Return the number as it is written in French, without the zeros that
    say nothing unless ``digits`` asks for them.

    >>> number(Decimal('1234.50'))
    '1\\u202f234,5'
    >>> number(Decimal('12'), digits=2)
    '12,00'
    """
    if digits is None:
        text = f'{value:,f}'
        if '.' in text:
            text = text.rstrip('0').rstrip('.')
    else:
        text = f'{value:,.{digits}f}'
    return text.replace(',', NARROW_SPACE).replace('.', ',')


def euros(amount):
    """Return the amount with its cents and the sign of the euro.

    >>> euros(Decimal('12345.6'))
    '12\\u202f345,60\\xa0€'
    """
    return number(amount, digits=2) + SPACE + '€'


def percent(ratio, digits=2):
    """Return the ratio as a percentage.

    >>> percent(Decimal('0.05'))
    '5\\xa0%'
    >>> percent(Decimal('0.33333'))
    '33,33\\xa0%'
    """
    return number(round(Decimal(ratio) * 100, digits)) + SPACE + '%'


def in_words(value):
    """Return the whole number in words.

    >>> in_words(80)
    'quatre-vingts'
    """
    return num2words(int(value), lang='fr')


def euros_in_words(amount):
    """Return the amount in words, with its cents if it has any.

    >>> euros_in_words(Decimal('1200.50'))
    'mille deux cents euros et cinquante centimes'
    >>> euros_in_words(Decimal('2000000'))
    'deux millions d’euros'
    """
    cents = int(round(abs(Decimal(amount)) * 100))
    units, cents = divmod(cents, 100)
    parts = []
    if units or not cents:
        noun = 'euros' if units > 1 else 'euro'
        if units and not units % 1_000_000:
            noun = 'd’euros'
        parts.append(f'{in_words(units)} {noun}')
    if cents:
        noun = 'centimes' if cents > 1 else 'centime'
        parts.append(f'{in_words(cents)} {noun}')
    return ' et '.join(parts)


def enumerate_in_words(items):
    """Return the items as one writes them in a sentence.

    >>> enumerate_in_words(['2026'])
    '2026'
    >>> enumerate_in_words(['2026', '2027', '2028'])
    '2026, 2027 et 2028'
    """
    *first, last = list(items) or ['']
    return ' et '.join(filter(None, [', '.join(first), last]))


def long_date(date):
    """Return the date with its month in words.

    >>> import datetime as dt
    >>> long_date(dt.date(2027, 1, 1))
    '1er\\xa0janvier\\xa02027'
    """
    day = '1er' if date.day == 1 else str(date.day)
    return SPACE.join([day, _MONTHS[date.month - 1], str(date.year)])
