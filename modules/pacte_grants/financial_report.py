# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Financial reports: what the partner says it did with the grant of a year.

A report is expected for each voted tranche of a convention in force: the
yearly financial report (compte rendu financier, L06, L07), or an attestation
for the schemes of the light level.  Statements of expenses justify the
interim payments of an investment as it goes on.
"""
import datetime as dt
from collections import defaultdict
from decimal import Decimal

from dateutil.relativedelta import relativedelta
from sql import Literal
from sql.aggregate import Min
from sql.conditionals import Coalesce
from sql.operators import Exists

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import without_check_access

from .check import AmountMixin, bulleted, money, year_domain
from .convention import LIVE_STATES
from .daily import company_by_company
from .exceptions import CompletenessError, FrozenError, PeriodError
from .mixin import (
    OfConventionMixin, ReopenMixin, WorkflowMixin, acting_user, transition)
from .sums import SLICE
from .verdict import AcceptanceMixin

# The states of conventions whose partners still account for the grant.
ACCOUNTABLE = sorted(LIVE_STATES | {'closed', 'terminated'})
OPEN = ['expected', 'submitted', 'returned']
AWAITED = ['expected', 'returned']
_STATES_OPEN = {'readonly': ~Eval('state').in_(OPEN)}
_STATES_NEW = {'readonly': Eval('id', -1) >= 0}


def _stamped(string):
    return fields.Many2One(
        'res.user', string, readonly=True, ondelete='RESTRICT')


class FinancialReport(
        OfConventionMixin, AmountMixin, AcceptanceMixin, ReopenMixin,
        WorkflowMixin, ModelSQL, ModelView):
    __name__ = 'grant.financial_report'
    _amounts = (
        'eligible_forecast', 'eligible_realised', 'other_income_realised')
    _frozen = {'accepted': frozenset({'reopen_reason'})}
    _reopened = {'submitted': 'expected', 'accepted': 'submitted'}
    _reasoned = {'submitted'}

    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_convention_field')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    convention = fields.Many2One(
        'grant.convention', "Convention", required=True,
        ondelete='RESTRICT', states=_STATES_NEW,
        domain=[
            If(Eval('state') == 'expected',
                ('state', 'in', ACCOUNTABLE), ()),
            ])
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_convention_field')
    officer = fields.Function(fields.Many2One(
            'company.employee', "Officer"),
        'on_change_with_officer', searcher='search_convention_field')
    tranche = fields.Many2One(
        'grant.tranche', "Tranche", required=True, ondelete='RESTRICT',
        domain=[('convention', '=', Eval('convention', -1))],
        states=_STATES_NEW)
    year = fields.Integer(
        "Year", required=True, readonly=True, domain=year_domain('year'))
    kind = fields.Selection([
            ('financial', "Financial Report"),
            ('statement', "Statement of Expenses"),
            ('attestation', "Attestation"),
            ], "Kind", required=True, sort=False, states=_STATES_NEW)
    kind_string = kind.translated('kind')
    due_date = fields.Date(
        "Due Date", readonly=True,
        help="The end of the year of the grant and the delay of the law "
        "(L06).")
    answer_before = fields.Date(
        "Answer Expected Before", readonly=True,
        states={'invisible': Eval('state') != 'returned'},
        help="When what was returned with remarks has to be back: the delay "
        "of the parameters after the return, or the due date if it is "
        "later.")
    expected_on = fields.Date("Expected Since", readonly=True)
    received_on = fields.Date(
        "Received On", states=_STATES_OPEN,
        help="When the partner sent it; today if left empty.")
    submitted_on = fields.Date("Recorded On", readonly=True)
    submitted_by = _stamped("Recorded By")
    returned_on = fields.Date("Returned On", readonly=True)
    returned_by = _stamped("Returned By")
    accepted_on = fields.Date("Accepted On", readonly=True)
    accepted_by = _stamped("Accepted By")
    return_reason = fields.Text(
        "Remarks to the Partner",
        states={'readonly': Eval('state') != 'submitted'},
        help="What the partner has to correct or complete.")
    reopen_reason = fields.Text(
        "Reason of the Reopening",
        states={'invisible': Eval('state') != 'accepted'})
    eligible_forecast = Monetary(
        "Eligible Cost, Forecast", currency='currency', digits='currency',
        readonly=True,
        help="The eligible cost of the year in the voted applications.")
    eligible_realised = Monetary(
        "Eligible Cost, Realised", currency='currency', digits='currency',
        states=_STATES_OPEN,
        help="The realised cost that is retained as eligible.")
    other_income_realised = Monetary(
        "Other Resources, Realised", currency='currency', digits='currency',
        states=_STATES_OPEN,
        help="The realised resources without the Department's grant.")
    late_days = fields.Function(
        fields.Integer("Days Late"), 'get_late_days')
    blocks_text = fields.Function(
        fields.Char("Holds Back"), 'get_blocks_text')
    whose_turn = fields.Function(fields.Selection([
                (None, ""),
                ('officer', "Officer"),
                ('partner', "Partner"),
                ], "Whose Turn", sort=False),
        'on_change_with_whose_turn')
    state = fields.Selection([
            ('expected', "Expected"),
            ('submitted', "To Check"),
            ('returned', "Returned with Remarks"),
            ('accepted', "Accepted"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [
            ('due_date', 'ASC NULLS LAST'), ('id', 'ASC')]
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table, (table.tranche, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low')),
                    (table.due_date, Index.Range())),
                })
        cls._transitions = {
            ('expected', 'submitted'),
            ('submitted', 'expected'),
            ('submitted', 'accepted'),
            ('submitted', 'returned'),
            ('returned', 'submitted'),
            ('accepted', 'submitted'),
            }
        cls._buttons.update({
                'submit': {
                    'invisible': ~Eval('state').in_(AWAITED),
                    'depends': ['state'],
                    },
                'send_back': {
                    'invisible': Eval('state') != 'submitted',
                    'depends': ['state'],
                    },
                'accept': {
                    'invisible': Eval('state') != 'submitted',
                    'depends': ['state'],
                    },
                'reopen': {
                    'invisible': ~Eval('state').in_(list(cls._reopened)),
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'expected'

    @classmethod
    def default_kind(cls):
        return 'statement'

    @classmethod
    def default_expected_on(cls):
        return Pool().get('ir.date').today()

    @fields.depends('tranche', '_parent_tranche.year')
    def on_change_tranche(self):
        self.year = self.tranche.year if self.tranche else None

    @fields.depends('state')
    def on_change_with_whose_turn(self, name=None):
        return {
            'expected': 'partner',
            'returned': 'partner',
            'submitted': 'officer',
            }.get(self.state)

    @classmethod
    def get_late_days(cls, reports, name):
        today = Pool().get('ir.date').today()
        return {
            r.id: (today - r.awaited_on).days
            if r.state in AWAITED and r.awaited_on and r.awaited_on < today
            else None for r in reports}

    @property
    def awaited_on(self):
        "Until when the partner has to send the report, or to answer."
        return self.answer_before or self.due_date

    @classmethod
    def sql_awaited_on(cls, table):
        return Coalesce(table.answer_before, table.due_date)

    @classmethod
    def get_blocks_text(cls, reports, name):
        "Name the payments of the year that rest on the report."
        return {
            r.id: ' ; '.join(
                f'{i.kind_string} {r.year} : {money(i.amount)}'
                for i in r.tranche.instalments
                if i.kind in {'balance', 'single'}
                and i.state in {'planned', 'certified', 'approved'}) or None
            for r in reports}

    def get_rec_name(self, name):
        return f'{self.kind_string} {self.year} – {self.convention.number}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('convention.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        awaited = Eval('state').in_(AWAITED)
        due = If(
            Bool(Eval('answer_before', None)),
            Eval('answer_before', None), Eval('due_date', None))
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'accepted', 'muted',
                    If(awaited & (due < Date()), 'danger',
                        If((awaited & (due < Date(delta_days=15)))
                            | (Eval('state') == 'submitted'),
                            'warning', ''))),
                ['state', 'due_date', 'answer_before']),
            ('/tree/field[@name="state"]', 'visual',
                If(Eval('state') == 'accepted', 'success', ''), ['state']),
            ('//group[@id="returned"]', 'states', {
                    'invisible': ~Eval('state').in_(
                        ['submitted', 'returned'])
                    & ~Bool(Eval('return_reason')),
                    }, ['return_reason']),
            ('//group[@id="reopening"]', 'states', {
                    'invisible': Eval('state') != 'accepted',
                    }),
            ]

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create' and values.get('tranche'):
            Tranche = Pool().get('grant.tranche')
            values['year'] = Tranche(values['tranche']).year
        return values

    @classmethod
    def check_modification(
            cls, mode, reports, values=None, external=False):
        super().check_modification(
            mode, reports, values=values, external=external)
        if external and mode in {'create', 'delete'}:
            # What the law or the convention asks for comes by itself.
            for report in reports:
                if report.kind != 'statement':
                    raise AccessError(gettext(
                            f'pacte_grants.msg_report_{mode}',
                            report=report.rec_name))
        if mode == 'write':
            names = set(cls._amounts) & values.keys()
            Pool().get('grant.event').add([{
                        'record': r, 'name': name,
                        'before': getattr(r, name), 'after': values[name],
                        } for r in reports for name in sorted(names)
                    if getattr(r, name) != values[name]])

    @classmethod
    def copy(cls, reports, default=None):
        for report in reports:
            raise AccessError(gettext(
                    'pacte_grants.msg_report_copy', report=report.rec_name))
        return []

    # What is expected

    @classmethod
    @without_check_access
    def create_expected(cls, conventions):
        """Expect the report of each voted tranche of the conventions in
        force that has none yet; bring the due dates of those that are still
        expected to the ends of the conventions, and expect no more those of
        tranches that were given up.  Return the new reports."""
        conventions = [c for c in conventions if c.state in LIVE_STATES]
        existing = {}
        if conventions:
            for report in cls.search([
                        ('convention', 'in', [c.id for c in conventions]),
                        ('kind', '!=', 'statement'),
                        ]):
                existing[report.tranche] = report
        vlist, dates, void = [], defaultdict(list), []
        for convention in conventions:
            kind = cls._get_kind(convention)
            for tranche in convention.tranches:
                report = existing.get(tranche)
                if tranche.status != 'voted' or not tranche.amount:
                    if report and report._is_void():
                        void.append(report)
                    continue
                due_date = cls._count_due_date(tranche)
                if report is None:
                    vlist.append({
                            'convention': convention.id,
                            'tranche': tranche.id,
                            'kind': kind,
                            'due_date': due_date,
                            **cls._get_forecast(tranche),
                            })
                elif (report.state == 'expected'
                        and report.due_date != due_date):
                    dates[due_date].append(report)
        for due_date, reports in dates.items():
            cls.write(reports, {'due_date': due_date})
        if void:
            Pool().get('grant.event').add([{
                        'record': r.convention, 'name': 'financial_reports',
                        'before': r.rec_name,
                        } for r in void])
            cls.delete(void)
        return cls.create(vlist)

    def _is_void(self):
        "Return whether nothing was entered, nor paid, for the tranche."
        return (
            self.state == 'expected'
            and self.eligible_realised is None
            and not any(
                i.state in {'paying', 'paid'}
                for i in self.tranche.instalments))

    @classmethod
    def _get_kind(cls, convention):
        light = all(s.level == 'light' for s in convention.schemes)
        return 'attestation' if light else 'financial'

    @classmethod
    def _count_due_date(cls, tranche):
        """Return when the report of the tranche is due: L06 months after the
        end of its year, or of the convention if its last year goes on."""
        convention = tranche.convention
        end = dt.date(tranche.year, 12, 31)
        if tranche.year == max(t.year for t in convention.tranches):
            end = max(end, convention.end_date)
        months = int(Pool().get('grant.parameter').get(
                'L06_FINANCIAL_REPORT_DELAY', end))
        return end + relativedelta(months=months)

    @staticmethod
    def _get_applications(tranche):
        "Return the voted applications of the year of the tranche."
        return [
            a for a in tranche.convention.applications
            if a.year == tranche.year and a.state == 'granted']

    @classmethod
    def _get_forecast(cls, tranche):
        "Return the values that the report takes from the applications."
        return {'eligible_forecast': cls._get_costs(tranche)}

    @classmethod
    def _get_costs(cls, tranche):
        "Return the eligible costs (euros) of the applications of the year."
        costs = [
            a.total_cost if a.eligible_cost is None else a.eligible_cost
            for a in cls._get_applications(tranche)]
        return sum((c for c in costs if c is not None), Decimal(0))

    @classmethod
    @company_by_company
    def expect_daily(cls, company):
        "Expect what the conventions in force owe."
        Convention = Pool().get('grant.convention')
        cls.create_expected(Convention.search([
                    ('company', '=', company.id),
                    ('state', 'in', sorted(LIVE_STATES)),
                    ]))

    # The life of a report

    @classmethod
    @ModelView.button
    @transition('submitted')
    def submit(cls, reports):
        "Record that the reports arrived, whatever they are worth."
        today = Pool().get('ir.date').today()
        for report in reports:
            if report.received_on and report.received_on > today:
                raise PeriodError(gettext(
                        'pacte_grants.msg_report_received_on',
                        report=report.rec_name,
                        date=report.received_on.strftime('%d/%m/%Y')))
        cls.write(
            [r for r in reports if not r.received_on],
            {'received_on': today})
        cls.write(
            [r for r in reports if r.answer_before], {'answer_before': None})
        cls._stamp(reports, 'submitted')

    @classmethod
    @ModelView.button
    @transition('returned')
    def send_back(cls, reports):
        "Send the reports back with remarks that the partner has to answer."
        for report in reports:
            if not (report.return_reason or '').strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_report_return_reason',
                        report=report.rec_name))
        Pool().get('grant.event').add([{
                    'record': r, 'name': 'send_back',
                    'reason': r.return_reason,
                    } for r in reports])
        # What comes back has a date of its own.
        answer = Pool().get('ir.date').today() + dt.timedelta(
            days=int(Pool().get('grant.parameter').get(
                    'REPORT_ANSWER_DELAY')))
        by_date = defaultdict(list)
        for report in reports:
            by_date[max(answer, report.due_date or answer)].append(report)
        for date, returned in by_date.items():
            cls.write(
                returned, {'received_on': None, 'answer_before': date})
        cls._stamp(reports, 'returned')

    return_ = send_back

    @classmethod
    @ModelView.button
    @transition('accepted')
    def accept(cls, reports):
        """Accept the reports; raise ``CompletenessError`` with everything
        that is missing from one."""
        cls.check_acceptance(reports)
        cls._stamp(reports, 'accepted')

    @classmethod
    def get_acceptance_reasons(cls, reports):
        found = super().get_acceptance_reasons(reports)
        for report, reasons in found.items():
            if report.eligible_realised is None:
                reasons.append(gettext('pacte_grants.msg_report_no_realised'))
        return found

    def _refuse(self, reasons):
        return gettext(
            'pacte_grants.msg_report_not_accepted',
            report=self.rec_name, reasons=bulleted(reasons))

    @property
    def _reopened_from(self):
        return self.accepted_on or super()._reopened_from

    @classmethod
    def _reopen_to(cls, target, reports):
        values = {
            'received_on': None, 'submitted_on': None, 'submitted_by': None}
        if target == 'submitted':
            values = {'accepted_on': None, 'accepted_by': None}
            for report in cls.claim(reports):
                report._check_reopen()
        super()._reopen_to(target, reports)
        cls.write(reports, values)

    def _check_reopen(self):
        """Raise ``FrozenError`` while a payment that rests on the report is
        under way."""
        for instalment in self.tranche.instalments:
            if (instalment.kind in {'balance', 'single'}
                    and instalment.state in {
                        'certified', 'approved', 'paying'}):
                raise FrozenError(gettext(
                        'pacte_grants.msg_report_reopen_payment',
                        report=self.rec_name,
                        instalment=instalment.rec_name))

    @classmethod
    def _stamp(cls, reports, step):
        user = acting_user(gettext('pacte_grants.msg_act_report'))
        Pool().get('grant.event').add([{
                    'record': r, 'name': f'{step}_by', 'after': user,
                    } for r in reports])
        cls.write(reports, {
                f'{step}_by': user.id,
                f'{step}_on': Pool().get('ir.date').today(),
                })


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    financial_reports = fields.One2Many(
        'grant.financial_report', 'convention', "Financial Reports",
        readonly=True)

    @classmethod
    @ModelView.button
    def notify(cls, conventions):
        super().notify(conventions)
        Pool().get('grant.financial_report').create_expected(
            cls.browse([c.id for c in conventions]))

    def get_closing_reasons(self):
        return super().get_closing_reasons() + [
            gettext('pacte_grants.msg_convention_close_report',
                report=r.rec_name, state=r.state_label)
            for r in self.financial_reports if r.state != 'accepted']


class Tranche(metaclass=PoolMeta):
    __name__ = 'grant.tranche'

    financial_reports = fields.One2Many(
        'grant.financial_report', 'tranche', "Financial Reports",
        readonly=True)

    @classmethod
    def set_status(cls, tranches, status):
        super().set_status(tranches, status)
        Convention = Pool().get('grant.convention')
        Pool().get('grant.financial_report').create_expected(
            Convention.browse(list({
                        t.convention.id
                        for t in cls.browse([t.id for t in tranches])})))

    @classmethod
    def copy(cls, tranches, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('financial_reports', None)
        return super().copy(tranches, default=default)


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    reports = fields.Function(
        fields.Many2Many(
            'grant.financial_report', None, None,
            "Financial Reports and Statements",
            help="Those of the year of the payment."),
        'get_reports')

    @classmethod
    def get_reports(cls, instalments, name):
        Report = Pool().get('grant.financial_report')
        reports = defaultdict(list)
        for sub in grouped_slice({i.tranche.id for i in instalments}, SLICE):
            for report in Report.search([('tranche', 'in', list(sub))]):
                reports[report.tranche.id].append(report.id)
        return {i.id: reports[i.tranche.id] for i in instalments}

    def _get_concerned_users(self, acts):
        # What is retained of a report is what the payment rests on.
        concerned = super()._get_concerned_users(acts)
        if self.kind != 'advance':
            for report in self.tranche.financial_reports:
                concerned += [
                    ('changed', user)
                    for user in [report.submitted_by, report.accepted_by]
                    if user]
        return concerned


class Blocker(metaclass=PoolMeta):
    __name__ = 'grant.instalment.blocker'

    @classmethod
    def get_origins(cls):
        IrModel = Pool().get('ir.model')
        name = 'grant.financial_report'
        return super().get_origins() + [(name, IrModel.get_name(name))]

    @classmethod
    def _rules(cls):
        return super()._rules() + [
            ('report_overdue', 'partner', cls._report_overdue),
            ]

    @classmethod
    def _report_overdue(cls):
        """A report that the partner owes and did not send in time holds back
        its balances, and what comes after it in its convention (L06)."""
        pool = Pool()
        base = cls._base()
        FinancialReport = pool.get('grant.financial_report')
        report = FinancialReport.__table__()
        owed = pool.get('grant.convention').__table__()
        awaited_on = FinancialReport.sql_awaited_on(report)

        def late():
            return report.join(
                owed, condition=report.convention == owed.id)
        where = (
            report.state.in_(AWAITED)
            & (awaited_on < pool.get('ir.date').today())
            & owed.state.in_(ACCOUNTABLE)
            & (owed.company == base.convention.company)
            & (owed.party == base.convention.party)
            & (base.instalment.kind.in_(['balance', 'single'])
                | ((owed.id == base.convention.id)
                    & (report.year < base.tranche.year))))
        return cls._select(
            base, Exists(late().select(Literal(1), where=where)),
            since=late().select(Min(awaited_on), where=where),
            origin=late().select(
                cls._origin('grant.financial_report', Min(report.id)),
                where=where))

    @classmethod
    def get_description(cls, blockers, name):
        pool = Pool()
        FinancialReport = pool.get('grant.financial_report')
        descriptions = super().get_description(blockers, name)
        late = {
            row['id']: int(row['origin'].split(',')[1])
            for row in cls.read(
                [b.id for b in blockers if b.code == 'report_overdue'],
                ['origin'])}
        names = {
            r.id: r.rec_name
            for r in FinancialReport.browse(list(set(late.values())))}
        for blocker in blockers:
            if blocker.id in late:
                descriptions[blocker.id] = (
                    f'{blocker.code_string} : {names[late[blocker.id]]} '
                    f'({blocker.lifted_by_string})')
        return descriptions


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.append((
                'grant.financial_report|expect_daily',
                "Expect the Financial Reports"))
