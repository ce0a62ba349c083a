# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"How prices and verdicts are written."
from decimal import Decimal

from trytond.i18n import gettext
from trytond.pool import Pool
from trytond.transaction import Transaction

from . import tariff_rule
from .tariff_rule import Euro, Rate, Times


def french(language='fr'):
    """Return a context in the language of the conventions: what is agreed
    and what is found is written down in it, whoever presses the button."""
    return Transaction().set_context(language=language)


def number(value, digits):
    return Pool().get('ir.lang').get().format_number(
        value, digits=digits, grouping=True)


def short(value):
    "Return the number with two decimals at most, none for nothing."
    value = value.quantize(Decimal('0.01'))
    return number(
        value, max(0, -value.normalize().as_tuple().exponent))


def percent(value):
    return f'{short(value * 100)}\xa0%'


def enumeration(parts):
    "Return the parts as an enumeration."
    *first, last = parts
    if not first:
        return last
    return gettext('pacte_grants.msg_tariff_and').join(
        [', '.join(first), last])


def euros(value):
    return f'{number(value, 2)}\xa0€'


def bracket(line):
    "Return the bracket of family quotient of the line."
    low, high = line.quotient_min, line.quotient_max
    if low is None and high is None:
        return ''
    if high is None:
        return gettext(
            'pacte_grants.msg_tariff_bracket_from', low=number(low, 0))
    return gettext(
        'pacte_grants.msg_tariff_bracket', low=number(low or 0, 0),
        high=number(high, 0))


def figure(value):
    "Return a figure of a verdict as the language writes it."
    if isinstance(value, Euro):
        return euros(value)
    if isinstance(value, Rate):
        return percent(value)
    if isinstance(value, Times):
        return short(value)
    if isinstance(value, int):
        return number(value, 0)
    if isinstance(value, tariff_rule.Line):
        return line_name(value)
    return '' if value is None else str(value)


def line_name(line):
    Line = Pool().get('grant.tariff.line')
    products = dict(
        Line.fields_get(['product'])['product']['selection'])
    parts = [
        line.label or products[line.product],
        str(line.category) if line.category else '',
        bracket(line)]
    return ', '.join(p for p in parts if p)


def sentences(reasons):
    "Return the reasons as lines of text."
    return '\n'.join(
        gettext(
            f'pacte_grants.msg_tariff_{reason.code}',
            **{n: figure(v) for n, v in reason.values.items()})
        for reason in reasons)


class Audience(str):
    "The name of a category, as tariff_rule.py knows it."
