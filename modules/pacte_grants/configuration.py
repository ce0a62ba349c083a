# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Configuration, numbers, dated parameters, legal overrides and the journal."
from collections import defaultdict
from decimal import Decimal

from trytond import backend
from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSingleton, ModelSQL, ModelView, Unique, fields)
from trytond.modules.company.model import (
    CompanyMultiValueMixin, CompanyValueMixin)
from trytond.pool import Pool
from trytond.pyson import Eval
from trytond.transaction import Transaction, without_check_access

from .check import PeriodMixin
from .exceptions import CompletenessError
from .mixin import AppendOnlyMixin, ClaimMixin, DatedMixin

_COMPANY_FIELDS = {
    'payment_journal', 'signatory_name', 'signatory_capacity',
    'public_accountant'}


class Configuration(
        ClaimMixin, ModelSingleton, ModelSQL, ModelView,
        CompanyMultiValueMixin):
    __name__ = 'grant.configuration'

    payment_journal = fields.MultiValue(fields.Many2One(
            'account.payment.journal', "Payment Journal",
            domain=[
                ('company', '=', Eval('context', {}).get('company', -1)),
                ],
            help="The journal in which the payments of instalments are "
            "recorded."))
    signatory_name = fields.MultiValue(fields.Char(
            "Signatory",
            help="Who signs the conventions for the Department."))
    signatory_capacity = fields.MultiValue(fields.Char(
            "Capacity of the Signatory"))
    public_accountant = fields.MultiValue(fields.Char(
            "Public Accountant",
            help="Who pays, as named in the conventions."))

    @classmethod
    def multivalue_model(cls, field):
        if field in _COMPANY_FIELDS:
            return Pool().get('grant.configuration.company')
        return super().multivalue_model(field)


class ConfigurationCompany(ModelSQL, CompanyValueMixin):
    __name__ = 'grant.configuration.company'

    payment_journal = fields.Many2One(
        'account.payment.journal', "Payment Journal", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ])
    signatory_name = fields.Char("Signatory")
    signatory_capacity = fields.Char("Capacity of the Signatory")
    public_accountant = fields.Char("Public Accountant")


class Numbering(ModelSQL, ModelView):
    "One sequence per company, kind of record and year."
    __name__ = 'grant.numbering'

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT')
    kind = fields.Selection([
            ('application', "Application"),
            ('session', "Session"),
            ('deliberation', "Deliberation"),
            ('convention', "Convention"),
            ('commitment', "Commitment"),
            ], "Kind", required=True, sort=False)
    year = fields.Integer("Year", required=True)
    sequence = fields.Many2One(
        'ir.sequence', "Sequence", required=True, ondelete='RESTRICT')

    _prefixes = {
        'application': 'D{year}-',
        'session': 'S{year}-',
        'deliberation': 'R{year}-',
        'convention': 'C{year}-',
        'commitment': 'E{year}-',
        }

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'company_kind_year_unique',
                Unique(table, table.company, table.kind, table.year),
                'pacte_grants.msg_numbering_unique'))
        cls._order = [
            ('year', 'DESC'), ('kind', 'ASC'), ('id', 'ASC')]

    @classmethod
    @without_check_access
    def next_numbers(cls, kind, company, year, count):
        """Return the next ``count`` numbers of the kind for the company
        (an id) and the year, creating the sequence of a new year.

        Gaps are accepted: a number that a failed transaction took is lost.
        """
        if not count:
            return []
        numbering = cls._find(kind, company, year)
        if not numbering or not backend.Database.has_sequence():
            # Two first records of a year at once must not both create it;
            # without sequences of the database two records must not read
            # the same next number.
            Configuration = Pool().get('grant.configuration')
            Configuration.claim([Configuration.get_singleton()])
            numbering = (
                cls._find(kind, company, year)
                or cls._create(kind, company, year))
        return list(numbering.sequence.get_many(count))

    @classmethod
    def _find(cls, kind, company, year):
        found = cls.search([
                ('kind', '=', kind),
                ('company', '=', company),
                ('year', '=', year),
                ], limit=1)
        return found[0] if found else None

    @classmethod
    def _create(cls, kind, company, year):
        pool = Pool()
        Sequence = pool.get('ir.sequence')
        ModelData = pool.get('ir.model.data')
        prefix = cls._prefixes[kind].format(year=year)
        sequence, = Sequence.create([{
                    'name': prefix.rstrip('-'),
                    'sequence_type': ModelData.get_id(
                        'pacte_grants', 'sequence_type_grant'),
                    'company': company,
                    'prefix': prefix,
                    'padding': 4,
                    }])
        numbering, = cls.create([{
                    'kind': kind,
                    'company': company,
                    'year': year,
                    'sequence': sequence.id,
                    }])
        return numbering


class NumberedMixin:
    """Give new records the next number of ``_numbering`` for their company
    and year; comes after ``GuardMixin`` in the bases of a model."""
    __slots__ = ()
    _numbering = None

    number = fields.Char("Number", required=True, readonly=True)

    @classmethod
    def _numbering_year(cls, values):
        "Return the year in whose sequence the record is counted."
        return values.get('year') or Pool().get('ir.date').today().year

    @classmethod
    def create(cls, vlist):
        Numbering = Pool().get('grant.numbering')
        to_number = defaultdict(list)
        for values in vlist:
            company = values.get('company') or cls.default_company()
            if company and not values.get('number'):
                to_number[company, cls._numbering_year(values)].append(values)
        for (company, year), numbered in to_number.items():
            numbers = Numbering.next_numbers(
                cls._numbering, company, year, len(numbered))
            for values, number in zip(numbered, numbers, strict=True):
                values['number'] = number
        return super().create(vlist)


class Parameter(DatedMixin, PeriodMixin, ModelSQL, ModelView):
    "A threshold, rate or delay of a rule, valid between two dates."
    __name__ = 'grant.parameter'
    _rec_name = 'code'
    _period = ('valid_from', 'valid_to')

    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True, translate=True)
    value = fields.Numeric("Value", required=True)
    unit = fields.Selection([
            ('euro', "Euros"),
            ('minute', "Minutes"),
            ('day', "Days"),
            ('month', "Months"),
            ('year', "Years"),
            ('ratio', "Ratio"),
            ('number', "Number"),
            ], "Unit", required=True, sort=False)
    valid_from = fields.Date("Valid From", required=True)
    valid_to = fields.Date("Valid To")
    source = fields.Char(
        "Source", required=True,
        help="The article, decision or practice that sets the value.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'code_valid_from_unique',
                Unique(table, table.code, table.valid_from),
                'pacte_grants.msg_parameter_unique'))
        cls._order = [
            ('code', 'ASC'), ('valid_from', 'DESC'), ('id', 'ASC')]

    @classmethod
    @without_check_access
    def get(cls, code, date=None):
        """Return the value (Decimal, in the parameter's unit) of ``code`` on
        the date, today by default.  Raise ``CompletenessError`` if no row
        is valid then.
        """
        if date is None:
            date = Pool().get('ir.date').today()
        rows = cls.search([
                ('code', '=', code),
                ('valid_from', '<=', date),
                ['OR',
                    ('valid_to', '=', None),
                    ('valid_to', '>=', date),
                    ],
                ], order=[('valid_from', 'DESC')], limit=1)
        if not rows:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_parameter_missing',
                    code=code, date=date.strftime('%d/%m/%Y')))
        return Decimal(rows[0].value)


class _Journal(AppendOnlyMixin):
    __slots__ = ()

    @classmethod
    def get_models(cls):
        "Return the models whose records may be journalled."
        with without_check_access():
            names = Pool().get('ir.model').get_names()
            return [(None, '')] + [
                (name, names.get(name, name))
                for name, model in Pool().iterobject()
                if issubclass(model, ModelSQL)
                and (name.startswith('grant.')
                    or name in {
                        'party.party', 'bank.account-party.party',
                        'account.payment', 'account.payment.group'})]


class Override(_Journal, ModelSQL, ModelView):
    "A rule passed by a named person with a reason."
    __name__ = 'grant.override'
    _rec_name = 'rule'

    record = fields.Reference(
        "Record", selection='get_models', required=True, readonly=True)
    rule = fields.Char("Rule", required=True, readonly=True)
    reason = fields.Text("Reason", required=True, readonly=True)
    before = fields.Char("Before", readonly=True)
    after = fields.Char("After", readonly=True)
    user = fields.Many2One(
        'res.user', "User", required=True, readonly=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('id', 'DESC')]
        cls._sql_indexes.add(
            Index(table, (table.record, Index.Similarity(begin=True))))


class Event(_Journal, ModelSQL, ModelView):
    "The journal of what matters: amounts, dates, accounts, decisions."
    __name__ = 'grant.event'
    _rec_name = 'name'

    record = fields.Reference(
        "Record", selection='get_models', required=True, readonly=True)
    name = fields.Char("Name", required=True, readonly=True)
    label = fields.Function(fields.Char("What"), 'get_label')
    before = fields.Char("Before", readonly=True)
    after = fields.Char("After", readonly=True)
    reason = fields.Text("Reason", readonly=True)
    user = fields.Many2One(
        'res.user', "User", readonly=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('id', 'DESC')]
        cls._sql_indexes.add(
            Index(table, (table.record, Index.Similarity(begin=True))))

    @classmethod
    def get_label(cls, events, name):
        "The name of the field, or the button, in the user's language."
        pool = Pool()
        Button = pool.get('ir.model.button')
        names = defaultdict(set)
        for event in events:
            if event.record:
                names[event.record.__name__].add(event.name)
        others = {
            'reduction': gettext('pacte_grants.msg_event_reduction'),
            'return': gettext('pacte_grants.msg_event_return'),
            }
        labels = {}
        for model, names_ in names.items():
            Model = pool.get(model)
            definitions = Model.fields_get(
                [n for n in names_ if n in Model._fields])
            with without_check_access():
                buttons = Button.search([
                        ('model', '=', model),
                        ('name', 'in', list(names_)),
                        ])
            for button in buttons:
                labels[model, button.name] = button.string
            for name_, definition in definitions.items():
                labels[model, name_] = definition['string']
        return {
            e.id: e.record and labels.get((e.record.__name__, e.name))
            or others.get(e.name, e.name) for e in events}

    @classmethod
    @without_check_access
    def add(cls, rows):
        """Write the rows of the journal.

        ``rows``: dictionaries with ``record``, ``name`` and optionally
        ``before``, ``after``, ``reason``; the user is who acts.
        """
        user = Transaction().user or None
        cls.create([{
                    'record': str(row['record']),
                    'name': row['name'],
                    'before': _text(row.get('before')),
                    'after': _text(row.get('after')),
                    'reason': row.get('reason'),
                    'user': user,
                    } for row in rows])


def _text(value):
    if value is None:
        return None
    if hasattr(value, 'strftime'):
        return value.strftime('%d/%m/%Y')
    if isinstance(value, Decimal):
        return f'{value:.2f}'
    return str(getattr(value, 'rec_name', value))
