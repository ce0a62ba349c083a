# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What a financial report is made of: the rows of its budget, the invoices
of a statement, the activity and who certifies it (Cerfa 15059*02).

The rows are those of the budget that was voted; what the partner spent is
compared with it, and what the officer does not retain is taken off.
"""
import datetime as dt
from collections import defaultdict
from decimal import ROUND_UP, Decimal

from sql.aggregate import Sum

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import without_check_access

from .check import AmountMixin, bulleted, money
from .exceptions import AmountError, PeriodError
from .financial_report import OPEN
from .mixin import FrozenByMixin
from .objective import plain_percent
from .sums import SLICE, read_sums
from .territory import normalize

# The row of the Cerfa on which the partner enters the Department's grant.
DEPARTMENT = '74-DEPT'
# What is asked of an association: threshold, piece of the partner, field.
_ACCOUNTS = [
    ('L12_ACCOUNTS_THRESHOLD', 'accounts', 'accounts'),
    ('L11_ACCOUNTS_THRESHOLD', 'auditor_report', 'auditor_report'),
    ]
# Half of the last decimal of a share
_HALF_SHARE = Decimal('0.00005')
_STATES_OPEN = {'readonly': ~Eval('state').in_(OPEN)}
_STATES_ROW = {'readonly': ~Eval('report_state').in_(OPEN)}


class _RowMixin(AmountMixin, FrozenByMixin):
    "A row of a report: the totals follow it, the journal keeps its amounts."
    __slots__ = ()
    _frozen_by = 'report'
    _parent_states = frozenset(OPEN)
    _journalled = ()

    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    report_state = fields.Function(fields.Selection(
            'get_report_states', "State of the Report"),
        'on_change_with_report_state')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('report')
        cls._sql_indexes.add(Index(table, (table.report, Index.Equality())))

    @classmethod
    def get_report_states(cls):
        return [(None, '')] + Pool().get('grant.financial_report').fields_get(
            ['state'])['state']['selection']

    @fields.depends('report', '_parent_report.convention')
    def on_change_with_currency(self, name=None):
        if self.report and self.report.convention:
            return self.report.convention.company.currency

    @fields.depends('report', '_parent_report.state')
    def on_change_with_report_state(self, name=None):
        return self.report.state if self.report else 'expected'

    @classmethod
    def check_modification(cls, mode, rows, values=None, external=False):
        super().check_modification(
            mode, rows, values=values, external=external)
        if mode == 'write':
            names = [n for n in cls._journalled if n in values]
            Pool().get('grant.event').add([{
                        'record': r, 'name': n,
                        'before': getattr(r, n), 'after': values[n],
                        } for r in rows for n in names
                    if getattr(r, n) != values[n]])

    @classmethod
    def on_modification(cls, mode, rows, field_names=None):
        super().on_modification(mode, rows, field_names=field_names)
        if mode in {'create', 'write'}:
            cls._total({r.report for r in rows})

    @classmethod
    def on_delete(cls, rows):
        callback = super().on_delete(rows)
        reports = {r.report for r in rows}
        callback.append(lambda: cls._total(reports))
        return callback

    @classmethod
    @without_check_access
    def _total(cls, reports):
        FinancialReport = Pool().get('grant.financial_report')
        # Those that are deleted took their rows with them.
        FinancialReport.set_totals(FinancialReport.search(
                [('id', 'in', [r.id for r in reports])]))


class FinancialReportLine(_RowMixin, ModelSQL, ModelView):
    "A row of the budget: what was foreseen and what was realised."
    __name__ = 'grant.financial_report.line'
    _amounts = ('realised', 'ineligible', 'key_base', 'key_rate')
    _journalled = ('realised', 'ineligible')

    report = fields.Many2One(
        'grant.financial_report', "Report", required=True,
        ondelete='CASCADE')
    heading = fields.Many2One(
        'grant.budget.heading', "Heading", required=True,
        ondelete='RESTRICT',
        states={'readonly': _STATES_ROW['readonly'] | Bool(Eval('forecast'))})
    side = fields.Function(fields.Selection([
                ('expense', "Expense"),
                ('income', "Income"),
                (None, ""),
                ], "Side"), 'on_change_with_side')
    label = fields.Char("Detail", states=_STATES_ROW)
    forecast = Monetary(
        "Forecast", currency='currency', digits='currency', readonly=True,
        help="As in the budget that was voted.")
    realised = Monetary(
        "Realised", currency='currency', digits='currency',
        states=_STATES_ROW)
    gap = fields.Function(Monetary(
            "Gap", currency='currency', digits='currency',
            help="Realised minus forecast."), 'on_change_with_gap')
    gap_rate = fields.Function(fields.Numeric(
            "Gap in %", digits=(16, 4)), 'on_change_with_gap_rate')
    comment_required = fields.Function(fields.Boolean(
            "To Be Explained",
            help="The gap exceeds what needs no comment."),
        'get_comment_required')
    comment = fields.Char(
        "Comment on the Gap", states=_STATES_ROW)
    ineligible = Monetary(
        "Not Retained", currency='currency', digits='currency',
        states={
            'readonly': _STATES_ROW['readonly'],
            'invisible': Eval('side') == 'income',
            },
        help="The part of the realised cost that is not eligible.")
    ineligible_reason = fields.Char(
        "Not Retained Because",
        states={
            'readonly': _STATES_ROW['readonly'],
            'invisible': Eval('side') == 'income',
            })
    key_criterion = fields.Char(
        "Key: Criterion", states=_STATES_ROW,
        help="For a shared cost: by what it is shared out.")
    key_base = Monetary(
        "Key: Base", currency='currency', digits='currency',
        states=_STATES_ROW, help="The whole cost that is shared out.")
    key_rate = fields.Numeric(
        "Key: Share", digits=(1, 4), states=_STATES_ROW,
        domain=[
            If(Eval('key_rate', None) != None,  # noqa: E711
                ('key_rate', '<=', 1), ()),
            ])

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('heading.side', 'ASC'), ('heading.code', 'ASC'),
            ('id', 'ASC')]

    @classmethod
    def default_forecast(cls):
        return Decimal(0)

    @fields.depends('heading')
    def on_change_with_side(self, name=None):
        return self.heading.side if self.heading else None

    @fields.depends('forecast', 'realised')
    def on_change_with_gap(self, name=None):
        if self.realised is not None:
            return self.realised - (self.forecast or Decimal(0))

    @fields.depends('forecast', 'realised', methods=['on_change_with_gap'])
    def on_change_with_gap_rate(self, name=None):
        if self.forecast and self.realised is not None:
            return (self.on_change_with_gap() / self.forecast).quantize(
                Decimal('0.0001'))

    def get_rec_name(self, name):
        return ' – '.join(filter(None, [self.heading.rec_name, self.label]))

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('heading.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('comment_required', False) & ~Bool(Eval('comment')),
                    'warning', ''), ['comment_required', 'comment']),
            ]

    @classmethod
    def get_comment_required(cls, lines, name):
        """A gap is explained where it exceeds both the rate and the floor
        (parameters ``REPORT_GAP_RATE`` and ``REPORT_GAP_FLOOR``)."""
        Parameter = Pool().get('grant.parameter')
        rate = Parameter.get('REPORT_GAP_RATE')
        floor = Parameter.get('REPORT_GAP_FLOOR')
        return {
            li.id: li.realised is not None
            and abs(li.on_change_with_gap()) > max(
                floor, rate * (li.forecast or 0))
            for li in lines}

    @classmethod
    def check_modification(cls, mode, lines, values=None, external=False):
        super().check_modification(
            mode, lines, values=values, external=external)
        if mode == 'delete' and external:
            # The rows are those of the budget that was voted.
            for line in lines:
                if line.forecast:
                    raise AccessError(gettext(
                            'pacte_grants.msg_report_line_delete',
                            line=line.rec_name,
                            report=line.report.rec_name))

    @classmethod
    def validate_fields(cls, lines, field_names):
        super().validate_fields(lines, field_names)
        for line in lines:
            if (line.ineligible or 0) > (line.realised or 0):
                raise AmountError(gettext(
                        'pacte_grants.msg_report_line_ineligible',
                        line=line.rec_name,
                        amount=money(line.ineligible),
                        realised=money(line.realised or Decimal(0))))

    def get_reasons(self):
        "Return, in sentences, what is missing from the row."
        def reason(code, **names):
            return gettext(f'pacte_grants.msg_report_line_{code}',
                line=self.rec_name, **names)
        if self.realised is None:
            return [reason('realised')]
        reasons = []
        if self.comment_required and not (self.comment or '').strip():
            reasons.append(reason('comment', gap=money(self.gap)))
        if self.ineligible and not (self.ineligible_reason or '').strip():
            reasons.append(reason('ineligible_reason'))
        key = [self.key_criterion, self.key_base, self.key_rate]
        if any(k is not None and k != '' for k in key):
            if any(k is None or k == '' for k in key):
                reasons.append(reason('key'))
            else:
                share = self.currency.round(self.key_base * self.key_rate)
                # The share of a third is not exact.
                margin = (self.key_base * _HALF_SHARE).quantize(
                    Decimal('0.01'), ROUND_UP)
                if abs(self.realised - share) > margin:
                    reasons.append(reason('key_share',
                            realised=money(self.realised),
                            share=money(share)))
        return reasons

    @property
    def key(self):
        "What identifies the whole cost that is shared out, or ``None``."
        if self.key_criterion and self.key_base and self.key_rate:
            return (
                self.report.party, self.report.convention.company,
                self.report.year, self.heading, normalize(self.label or ''),
                normalize(self.key_criterion), self.key_base)

    @classmethod
    def get_key_reasons(cls, reports):
        """Return, by report, the shares of one same cost that add up to more
        than the whole of it, in whatever reports of the partner."""
        lines = [li for r in reports for li in r.lines if li.key]
        if not lines:
            return {}
        others = cls.search([
                ('key_rate', '!=', None),
                ('report.convention.party', 'in', list({
                            r.party.id for r in reports})),
                ('report.year', 'in', list({r.year for r in reports})),
                ['OR',
                    ('report', 'in', [r.id for r in reports]),
                    ('report.state', 'in', ['submitted', 'accepted'])],
                ])
        by_key = defaultdict(list)
        for line in others:
            by_key[line.key].append(line)
        reasons = defaultdict(list)
        for line in lines:
            same = by_key[line.key]
            total = sum(li.key_rate for li in same)
            if total > 1 + len(same) * _HALF_SHARE:
                reasons[line.report].append(gettext(
                        'pacte_grants.msg_report_line_key_total',
                        line=line.rec_name, total=plain_percent(total),
                        reports=', '.join(sorted({
                                    li.report.rec_name for li in same}))))
        return reasons


class FinancialReportInvoice(_RowMixin, ModelSQL, ModelView):
    "An invoice that a statement of expenses justifies."
    __name__ = 'grant.financial_report.invoice'
    _amounts = ('untaxed_amount', 'amount', 'eligible_amount')
    _journalled = ('amount', 'eligible_amount')

    report = fields.Many2One(
        'grant.financial_report', "Report", required=True,
        ondelete='CASCADE')
    supplier = fields.Char("Supplier", required=True, states=_STATES_ROW)
    number = fields.Char("Number", required=True, states=_STATES_ROW)
    date = fields.Date("Date", required=True, states=_STATES_ROW)
    paid_on = fields.Date("Paid On", states=_STATES_ROW)
    description = fields.Char("Description", states=_STATES_ROW)
    untaxed_amount = Monetary(
        "Amount without Tax", currency='currency', digits='currency',
        states=_STATES_ROW)
    amount = Monetary(
        "Amount with Tax", currency='currency', digits='currency',
        required=True, states=_STATES_ROW)
    eligible_amount = Monetary(
        "Eligible Amount", currency='currency', digits='currency',
        required=True, states=_STATES_ROW)
    ineligible_reason = fields.Char(
        "Not Retained Because", states=_STATES_ROW)
    fingerprint = fields.Char("Fingerprint", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('date', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.add(
            Index(table, (table.fingerprint, Index.Equality())))

    def get_rec_name(self, name):
        return f'{self.supplier} {self.number}'

    @fields.depends('amount', 'untaxed_amount', 'eligible_amount')
    def on_change_amount(self):
        if self.eligible_amount is None:
            self.eligible_amount = (
                self.untaxed_amount or self.amount)

    def compute_fields(self, field_names=None):
        values = super().compute_fields(field_names=field_names)
        if field_names is None or field_names & {
                'supplier', 'number', 'amount'}:
            number = ''.join(
                c for c in normalize(self.number) if c.isalnum())
            fingerprint = (
                f'{normalize(self.supplier)}|{number}|{self.amount:.2f}')
            if self.fingerprint != fingerprint:
                values['fingerprint'] = fingerprint
        return values

    @classmethod
    def validate_fields(cls, invoices, field_names):
        super().validate_fields(invoices, field_names)
        today = Pool().get('ir.date').today()
        for invoice in invoices:
            if invoice.date > today or invoice.paid_on and not (
                    invoice.date <= invoice.paid_on <= today):
                raise PeriodError(gettext(
                        'pacte_grants.msg_report_invoice_dates',
                        invoice=invoice.rec_name))
            if (invoice.eligible_amount > invoice.amount
                    or (invoice.untaxed_amount or 0) > invoice.amount):
                raise AmountError(gettext(
                        'pacte_grants.msg_report_invoice_amounts',
                        invoice=invoice.rec_name,
                        amount=money(invoice.amount)))
        if field_names is None or 'fingerprint' in field_names:
            # A new invoice has its fingerprint once it is stored.
            cls.check_unique([i for i in invoices if i.fingerprint])

    @classmethod
    @without_check_access
    def check_unique(cls, invoices):
        """Raise ``AmountError`` for an invoice that the partner already gave,
        with this report or another, whatever the convention."""
        known = defaultdict(list)
        for sub in grouped_slice({i.fingerprint for i in invoices}, SLICE):
            for other in cls.search([
                        ('fingerprint', 'in', list(sub)),
                        ('report.convention.party', 'in', list({
                                    i.report.convention.party.id
                                    for i in invoices})),
                        ]):
                known[
                    other.report.convention.party, other.fingerprint
                    ].append(other)
        for invoice in invoices:
            for other in known[
                    invoice.report.convention.party, invoice.fingerprint]:
                if other != invoice:
                    raise AmountError(gettext(
                            'pacte_grants.msg_report_invoice_twice',
                            invoice=invoice.rec_name,
                            amount=money(invoice.amount),
                            report=other.report.rec_name))

    def get_reasons(self):
        "Return, in sentences, what is missing from the invoice."
        def reason(code, **names):
            return gettext(f'pacte_grants.msg_report_invoice_{code}',
                invoice=self.rec_name, **names)
        reasons = []
        convention = self.report.convention
        if not self.paid_on:
            reasons.append(reason('unpaid'))
        if self.eligible_amount and not (
                convention.start_date <= self.date <= convention.end_date):
            reasons.append(reason('period',
                    date=self.date.strftime('%d/%m/%Y')))
        return reasons


class FinancialReport(metaclass=PoolMeta):
    __name__ = 'grant.financial_report'

    lines = fields.One2Many(
        'grant.financial_report.line', 'report', "Budget",
        states=_STATES_OPEN)
    expenses = fields.One2Many(
        'grant.financial_report.line', 'report', "Expenses",
        filter=[('heading.side', '=', 'expense')],
        domain=[('heading.side', '=', 'expense')],
        states=_STATES_OPEN)
    incomes = fields.One2Many(
        'grant.financial_report.line', 'report', "Incomes",
        filter=[('heading.side', '=', 'income')],
        domain=[('heading.side', '=', 'income')],
        states=_STATES_OPEN)
    expense_forecast = fields.Function(Monetary(
            "Expenses, Forecast", currency='currency', digits='currency'),
        'get_sums')
    expense_realised = fields.Function(Monetary(
            "Expenses, Realised", currency='currency', digits='currency'),
        'get_sums')
    income_forecast = fields.Function(Monetary(
            "Incomes, Forecast", currency='currency', digits='currency'),
        'get_sums')
    income_realised = fields.Function(Monetary(
            "Incomes, Realised", currency='currency', digits='currency'),
        'get_sums')
    execution_rate = fields.Function(fields.Numeric(
            "Execution Rate", digits=(16, 4),
            help="Realised over forecast eligible cost."),
        'on_change_with_execution_rate')
    invoices = fields.One2Many(
        'grant.financial_report.invoice', 'report', "Invoices",
        states={
            'readonly': _STATES_OPEN['readonly'],
            'invisible': Eval('kind') == 'attestation',
            })
    justified_amount = fields.Function(Monetary(
            "Justified So Far", currency='currency', digits='currency',
            help="The accepted statements of the year and this one."),
        'get_justified')
    justified_share = fields.Function(fields.Numeric(
            "Share Justified", digits=(16, 4),
            help="Of the eligible cost that was voted."), 'get_justified')
    activity = fields.Text(
        "What Was Done", states=_STATES_OPEN,
        help="What was done, when and where.")
    beneficiary_count = fields.Integer(
        "Beneficiaries", states=_STATES_OPEN)
    beneficiary_kinds = fields.Char(
        "Who They Are", states=_STATES_OPEN,
        help="Ages, places, what they have in common.")
    results = fields.Function(fields.Many2Many(
            'grant.indicator.year', None, None, "Results of the Year"),
        'get_results')
    public_total = Monetary(
        "Public Grants of the Year", currency='currency', digits='currency',
        states=_STATES_OPEN,
        help="From all funders, as the partner declares them; what the "
        "Department granted counts anyway (L11).")
    accounts = fields.Binary(
        "Annual Accounts", filename='accounts_name', states=_STATES_OPEN)
    accounts_name = fields.Char("Name of the Accounts", states=_STATES_OPEN)
    auditor_report = fields.Binary(
        "Auditor's Report", filename='auditor_report_name',
        states=_STATES_OPEN)
    auditor_report_name = fields.Char(
        "Name of the Auditor's Report", states=_STATES_OPEN)
    document = fields.Binary(
        "Signed Document", filename='document_name', states=_STATES_OPEN,
        help="The report as the partner signed it.")
    document_name = fields.Char("Name of the Document", states=_STATES_OPEN)
    certified_name = fields.Char("Certified By", states=_STATES_OPEN)
    certified_capacity = fields.Char("Capacity", states=_STATES_OPEN)
    certified_power = fields.Char(
        "Power", states=_STATES_OPEN,
        help="What empowers a person who is not the legal representative.")
    certified_on = fields.Date("Certified On", states=_STATES_OPEN)
    missing = fields.Function(fields.Text(
            "To Settle before Acceptance"), 'get_missing')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._amounts = cls._amounts + ('public_total',)
        counted = Bool(Eval('lines')) | Bool(Eval('invoices'))
        for name in ['eligible_realised', 'other_income_realised']:
            field = getattr(cls, name)
            field.states = field.states | {
                'readonly': field.states['readonly'] | counted}
            field.depends |= {'lines', 'invoices'}

    @classmethod
    def view_attributes(cls):
        attestation = Eval('kind') == 'attestation'
        return super().view_attributes() + [
            ('//page[@id="budget"]', 'states', {
                    'invisible': Eval('kind') != 'financial'}),
            ('//page[@id="invoices"]', 'states', {
                    'invisible': attestation}),
            ('//group[@id="accounts"]', 'states', {
                    'invisible': Eval('kind') != 'financial'}),
            ('//group[@id="results"]', 'states', {
                    'invisible': attestation}),
            ('//group[@id="missing"]', 'states', {
                    'invisible': ~Bool(Eval('missing'))}, ['missing']),
            ]

    @fields.depends('eligible_forecast', 'eligible_realised')
    def on_change_with_execution_rate(self, name=None):
        if self.eligible_forecast and self.eligible_realised is not None:
            return (self.eligible_realised / self.eligible_forecast).quantize(
                Decimal('0.0001'))

    @classmethod
    def get_sums(cls, reports, names):
        "Return the totals of the rows, contributions in kind apart."
        pool = Pool()
        line = pool.get('grant.financial_report.line').__table__()
        heading = pool.get('grant.budget.heading').__table__()
        sums = {}
        for sub in grouped_slice(reports, SLICE):
            query = line.join(
                heading, condition=line.heading == heading.id).select(
                line.report, heading.side,
                Sum(line.forecast), Sum(line.realised),
                where=reduce_ids(line.report, [r.id for r in sub])
                & (heading.in_kind == False),  # noqa: E712
                group_by=[line.report, heading.side])
            for id_, side, forecast, realised in read_sums(query, keys=2):
                sums[id_, f'{side}_forecast'] = forecast
                sums[id_, f'{side}_realised'] = realised
        return {
            name: {
                r.id: r.currency.round(sums.get((r.id, name), Decimal(0)))
                for r in reports}
            for name in names}

    @classmethod
    def get_justified(cls, reports, names):
        justified = defaultdict(Decimal)
        for report in cls.search([
                    ('tranche', 'in', [
                            r.tranche.id for r in reports if r.tranche]),
                    ('kind', '=', 'statement'),
                    ('state', '=', 'accepted'),
                    ]):
            justified[report.tranche] += (
                report.eligible_realised or Decimal(0))
        result = {name: {} for name in names}
        for report in reports:
            amount = justified[report.tranche]
            if report.kind == 'statement' and report.state != 'accepted':
                amount += report.eligible_realised or Decimal(0)
            values = {
                'justified_amount': amount,
                'justified_share': (amount / report.eligible_forecast
                    ).quantize(Decimal('0.0001'))
                if report.eligible_forecast else None,
                }
            for name in names:
                result[name][report.id] = values[name]
        return result

    @classmethod
    def get_results(cls, reports, name):
        Result = Pool().get('grant.indicator.year')
        by_year = defaultdict(list)
        for result in Result.search([
                    ('convention', 'in', list({
                                r.convention.id for r in reports})),
                    ]):
            by_year[result.convention, result.year].append(result.id)
        return {r.id: by_year[r.convention, r.year] for r in reports}

    @classmethod
    def get_missing(cls, reports, name):
        missing = dict.fromkeys(r.id for r in reports)
        for report, reasons in cls.get_acceptance_reasons(
                [r for r in reports if r.state == 'submitted']).items():
            missing[report.id] = bulleted(reasons)
        return missing

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if (mode == 'create' and values.get('tranche')
                and values.get('kind') == 'statement'):
            tranche = Pool().get('grant.tranche')(values['tranche'])
            values['eligible_forecast'] = cls._get_costs(tranche)
        return values

    @classmethod
    def _get_forecast(cls, tranche):
        values = super()._get_forecast(tranche)
        rows = defaultdict(Decimal)
        for application in cls._get_applications(tranche):
            for line in application.budget_lines:
                rows[line.heading, line.label] += line.amount
        if cls._get_kind(tranche.convention) == 'financial':
            values['lines'] = [('create', [{
                            'heading': heading.id,
                            'label': label,
                            'forecast': amount,
                            } for (heading, label), amount in rows.items()])]
        return values

    @classmethod
    @without_check_access
    def set_totals(cls, reports):
        """Bring what is retained to what the rows, or the invoices of a
        statement, add up to."""
        for report in reports:
            if report.kind == 'statement':
                if not report.invoices:
                    continue
                values = {
                    'eligible_realised': sum(
                        (i.eligible_amount for i in report.invoices),
                        Decimal(0)),
                    }
            elif report.lines:
                eligible = [
                    li.realised - (li.ineligible or Decimal(0))
                    for li in report.lines
                    if li.side == 'expense' and not li.heading.in_kind
                    and li.realised is not None]
                others = [
                    li.realised for li in report.lines
                    if li.side == 'income' and not li.heading.in_kind
                    and li.heading.code != DEPARTMENT
                    and li.realised is not None]
                values = {
                    'eligible_realised': (
                        sum(eligible, Decimal(0)) if eligible else None),
                    'other_income_realised': (
                        sum(others, Decimal(0)) if others else None),
                    }
            else:
                continue
            values = {
                n: v for n, v in values.items() if getattr(report, n) != v}
            if values:
                cls.write([report], values)

    @classmethod
    def get_acceptance_reasons(cls, reports):
        found = super().get_acceptance_reasons(reports)
        accounts = cls._get_accounts_reasons(
            [r for r in reports if r.kind == 'financial'])
        Line = Pool().get('grant.financial_report.line')
        keys = Line.get_key_reasons(reports)
        return {
            report: (
                ([] if report.lines else reasons)
                + report._get_content_reasons()
                + keys.get(report, [])
                + accounts.get(report, [])
                + report._get_certificate_reasons())
            for report, reasons in found.items()}

    def _get_content_reasons(self):
        reasons = []
        if self.kind == 'statement':
            if not self.invoices:
                reasons.append(gettext('pacte_grants.msg_report_no_invoice'))
            for invoice in self.invoices:
                reasons.extend(invoice.get_reasons())
        else:
            for line in self.lines:
                reasons.extend(line.get_reasons())
            reasons.extend(self._get_balance_reasons())
            if not (self.activity or '').strip():
                reasons.append(gettext('pacte_grants.msg_report_no_activity'))
            if self.beneficiary_count is None:
                reasons.append(gettext(
                        'pacte_grants.msg_report_no_beneficiaries'))
        return reasons

    def _get_balance_reasons(self):
        sums = defaultdict(Decimal)
        for line in self.lines:
            sums[line.side, line.heading.in_kind] += line.realised or 0
        reasons = []
        for in_kind, code in [(False, 'unbalanced'), (True, 'in_kind')]:
            expense, income = sums['expense', in_kind], sums['income', in_kind]
            if expense != income:
                reasons.append(gettext(
                        f'pacte_grants.msg_report_{code}',
                        expense=money(expense), income=money(income),
                        gap=money(abs(expense - income))))
        return reasons

    def _get_certificate_reasons(self):
        reasons = []
        if not (all((t or '').strip() for t in [
                        self.certified_name, self.certified_capacity])
                and self.certified_on
                and self.certified_on <= Pool().get('ir.date').today()):
            reasons.append(gettext('pacte_grants.msg_report_no_certificate'))
        elif (normalize(self.certified_name)
                != normalize(self.party.representative_name)
                and self.kind != 'attestation'
                and not self.certified_power):
            reasons.append(gettext(
                    'pacte_grants.msg_report_no_power',
                    name=self.certified_name))
        return reasons

    @classmethod
    def _get_accounts_reasons(cls, reports):
        """Return, by report, what is missing of the accounts of an
        association: they are asked above a yearly total (L12), with the
        report of the auditor above a higher one (L11)."""
        Parameter = Pool().get('grant.parameter')
        reports = [
            r for r in reports if r.party.partner_kind == 'association']
        if not reports:
            return {}
        granted, given = cls._get_granted(reports), cls._get_given(reports)
        reasons = defaultdict(list)
        for code, kind, name in _ACCOUNTS:
            threshold = Parameter.get(code)
            for report in reports:
                total = max(
                    granted[report.party, report.year],
                    report.public_total or Decimal(0))
                # What the partner gave once is not asked again (L32).
                received = given.get((report.party, kind))
                if (total > threshold
                        and not getattr(report, name)
                        and not (received
                            and received >= dt.date(report.year, 12, 31))):
                    reasons[report].append(gettext(
                            f'pacte_grants.msg_report_no_{kind}',
                            total=money(total), threshold=money(threshold)))
        return reasons

    @staticmethod
    def _get_granted(reports):
        "Return, by partner and year, what was committed for it (euros)."
        Commitment = Pool().get('grant.commitment')
        granted = defaultdict(Decimal)
        for commitment in Commitment.search([
                    ('party', 'in', list({r.party.id for r in reports})),
                    ('year', 'in', list({r.year for r in reports})),
                    ('state', '=', 'committed'),
                    ]):
            granted[commitment.party, commitment.year] += commitment.amount
        return granted

    @staticmethod
    def _get_given(reports):
        "Return, by partner and kind, when the last accounts were received."
        Piece = Pool().get('grant.partner.piece')
        given = {}
        for piece in Piece.search([
                    ('party', 'in', list({r.party.id for r in reports})),
                    ('kind', 'in', [kind for _, kind, _ in _ACCOUNTS]),
                    ('received_on', '!=', None),
                    ], order=[('received_on', 'ASC')]):
            given[piece.party, piece.kind] = piece.received_on
        return given
