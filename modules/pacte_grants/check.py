# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Checks that several models share: amounts and periods."
from trytond.i18n import gettext
from trytond.pool import Pool
from trytond.transaction import Transaction

from .exceptions import AmountError, PeriodError


def year_domain(name):
    "Return the domain of the field of a year: four digits, of our time."
    return [(name, '>=', 2000), (name, '<', 2100)]


def money(amount):
    """Return the amount (Decimal, in the currency of the user's company) as
    the language of the user writes it."""
    pool = Pool()
    lang = pool.get('ir.lang').get()
    company = Transaction().context.get('company')
    if company:
        return lang.currency(
            amount, pool.get('company.company')(company).currency,
            grouping=True)
    return lang.format_number(amount, digits=2, grouping=True)


def bulleted(sentences):
    "Return the sentences as the lines of a list."
    return '\n'.join(f'– {sentence}' for sentence in sentences)


class AmountMixin:
    "Refuse negative amounts in the fields that ``_amounts`` names (euros)."
    __slots__ = ()
    _amounts = ()

    @classmethod
    def validate_fields(cls, records, field_names):
        super().validate_fields(records, field_names)
        names = set(cls._amounts)
        if field_names is not None:
            names &= field_names
        for name in sorted(names):
            for record in records:
                amount = getattr(record, name)
                if amount is not None and amount < 0:
                    raise AmountError(gettext(
                            'pacte_grants.msg_amount_negative',
                            **cls.__names__(field=name, record=record)))


class PeriodMixin:
    "Refuse an end before the start; ``_period`` names the two dates."
    __slots__ = ()
    _period = ('start_date', 'end_date')

    @classmethod
    def validate_fields(cls, records, field_names):
        super().validate_fields(records, field_names)
        start, end = cls._period
        if field_names is not None and not field_names & set(cls._period):
            return
        for record in records:
            first, last = getattr(record, start), getattr(record, end)
            if first and last and last < first:
                raise PeriodError(gettext(
                        'pacte_grants.msg_period',
                        start=first.strftime('%d/%m/%Y'),
                        end=last.strftime('%d/%m/%Y'),
                        **cls.__names__(record=record)))
