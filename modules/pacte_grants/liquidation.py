# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The liquidation: what a partner acquired of a year, computed, never typed.

Once the report of the year is accepted, the calculation is made line by
line, told to the partner when it takes something away, and settled: the
balance becomes what is left to pay, the reduction is recorded on the tranche
and the rest of the accounting commitment is released.  What was paid above
the right acquired is an overpayment.  The balance waits for it, and what
moves afterwards sends it back.
"""
import datetime as dt
from collections import defaultdict
from decimal import Decimal

from sql import Literal
from sql.conditionals import Case, Coalesce
from sql.operators import Exists

from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import without_check_access

from .calculation import COST_RULES, Cut, compute
from .calculation import Payment as PaidAmount
from .check import money
from .convention import LIVE_STATES
from .exceptions import (
    AmountError, CompletenessError, FrozenError, PeriodError)
from .mixin import (
    FrozenByMixin, ReopenMixin, WorkflowMixin, acting_user, thaw, transition)
from .objective import plain_percent
from .schedule import LIVE
from .sums import SLICE

CODES = [
    ('granted', "Grant"),
    ('reduced', "Earlier Reductions"),
    ('forecast', "Forecast Cost"),
    ('realised', "Realised Cost"),
    ('cost', "Limit: Cost"),
    ('rate', "Limit: Share of the Cost"),
    ('deficit', "Limit: Other Resources"),
    ('right', "Right Before Reductions"),
    ('penalty', "Undertaking Not Met"),
    ('result', "Target Missed"),
    ('acquired', "Right Acquired"),
    ('payment', "Payment"),
    ('balance', "Balance to Pay"),
    ('overpayment', "Overpayment"),
    ]
# The rule of the cost, as the convention says it
_RULE_TEXTS = {
    'flat': (
        "La subvention est forfaitaire : elle est acquise en entier si les "
        "dépenses éligibles justifiées l’atteignent, et à hauteur de ces "
        "dépenses sinon."),
    'rate': (
        "Si les dépenses éligibles justifiées sont inférieures aux dépenses "
        "éligibles prévues, le montant définitif de la subvention est réduit "
        "en proportion. Si elles leur sont supérieures, il n’est pas "
        "augmenté."),
    'deficit': (
        "Si les dépenses éligibles justifiées sont inférieures aux dépenses "
        "éligibles prévues, le montant définitif de la subvention est réduit "
        "en proportion. Il ne dépasse en aucun cas la part de ces dépenses "
        "que les autres ressources du projet ne couvrent pas. Si elles leur "
        "sont supérieures, il n’est pas augmenté."),
    }
TOTALS = ['granted', 'right', 'acquired', 'balance', 'overpayment']
_FIGURES = ['granted', 'acquired', 'paid', 'balance', 'overpayment']


class Liquidation(
        ReopenMixin, WorkflowMixin, ModelSQL, ModelView):
    __name__ = 'grant.liquidation'
    _reopened = {'notified': 'draft', 'established': 'draft'}
    _reasoned = {'draft'}
    _frozen = {
        'notified': frozenset({
                'observations', 'observations_on', 'answer',
                'reopen_reason'}),
        'established': frozenset({'reopen_reason'}),
        }

    tranche = fields.Many2One(
        'grant.tranche', "Tranche", required=True, readonly=True,
        ondelete='RESTRICT')
    convention = fields.Function(fields.Many2One(
            'grant.convention', "Convention"),
        'on_change_with_convention', searcher='search_tranche')
    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_convention')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_convention')
    year = fields.Function(
        fields.Integer("Year"), 'on_change_with_year',
        searcher='search_tranche')
    report = fields.Many2One(
        'grant.financial_report', "Financial Report", readonly=True,
        ondelete='RESTRICT',
        help="The accepted report on which the calculation rests.")
    lines = fields.One2Many(
        'grant.liquidation.line', 'liquidation', "Calculation",
        readonly=True)
    granted = Monetary(
        "Grant", currency='currency', digits='currency', readonly=True)
    acquired = Monetary(
        "Right Acquired", currency='currency', digits='currency',
        readonly=True)
    paid = Monetary(
        "Paid or Under Way", currency='currency', digits='currency',
        readonly=True)
    balance = Monetary(
        "Balance to Pay", currency='currency', digits='currency',
        readonly=True)
    overpayment = Monetary(
        "Overpayment", currency='currency', digits='currency',
        readonly=True)
    reduction = Monetary(
        "Recorded Reduction", currency='currency', digits='currency',
        readonly=True,
        help="What the liquidation took from the tranche.")
    notified_on = fields.Date("Told to the Partner On", readonly=True)
    notified_by = fields.Many2One(
        'res.user', "Told By", readonly=True, ondelete='RESTRICT')
    comment_until = fields.Date(
        "Comments Until", readonly=True,
        help="Until when the partner may comment before a reduction.")
    observations = fields.Text(
        "Partner's Comments",
        states={'readonly': Eval('state') != 'notified'})
    observations_on = fields.Date(
        "Comments Received On",
        states={'readonly': Eval('state') != 'notified'})
    answer = fields.Text(
        "Answer to the Comments",
        states={'readonly': Eval('state') != 'notified'})
    established_on = fields.Date("Settled On", readonly=True)
    established_by = fields.Many2One(
        'res.user', "Settled By", readonly=True, ondelete='RESTRICT')
    stale = fields.Boolean(
        "Out of Date", readonly=True,
        help="Something moved since: the calculation is to be made again.")
    reopen_reason = fields.Text(
        "Reason to Make It Again",
        states={'readonly': Eval('state') == 'draft'})
    state = fields.Selection([
            ('draft', "In Preparation"),
            ('notified', "Told to the Partner"),
            ('established', "Settled"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'tranche_unique', Unique(table, table.tranche),
                'pacte_grants.msg_liquidation_unique'))
        cls._sql_indexes.add(
            Index(table, (table.state, Index.Equality(cardinality='low'))))
        cls._order = [('id', 'DESC')]
        cls._transitions = {
            ('draft', 'notified'),
            ('draft', 'established'),
            ('notified', 'established'),
            ('notified', 'draft'),
            ('established', 'draft'),
            }
        cls._buttons.update({
                'calculate': {
                    'invisible': Eval('state') != 'draft',
                    'depends': ['state'],
                    },
                'notify': {
                    'invisible': Eval('state') != 'draft',
                    'depends': ['state'],
                    },
                'establish': {
                    'invisible': ~Eval('state').in_(['draft', 'notified']),
                    'depends': ['state'],
                    },
                'reopen': {
                    'invisible': Eval('state') == 'draft',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'draft'

    @classmethod
    def default_stale(cls):
        return False

    @classmethod
    def default_reduction(cls):
        return Decimal(0)

    @fields.depends('tranche', '_parent_tranche.convention')
    def on_change_with_convention(self, name=None):
        return self.tranche.convention if self.tranche else None

    @fields.depends('tranche', '_parent_tranche.company')
    def on_change_with_company(self, name=None):
        return self.tranche.company if self.tranche else None

    @fields.depends('tranche', '_parent_tranche.currency')
    def on_change_with_currency(self, name=None):
        return self.tranche.currency if self.tranche else None

    @fields.depends('tranche', '_parent_tranche.convention')
    def on_change_with_party(self, name=None):
        return self.tranche.convention.party if self.tranche else None

    @fields.depends('tranche', '_parent_tranche.year')
    def on_change_with_year(self, name=None):
        return self.tranche.year if self.tranche else None

    @classmethod
    def search_tranche(cls, name, clause):
        return [('tranche.' + clause[0], *clause[1:])]

    @classmethod
    def search_convention(cls, name, clause):
        return [('tranche.convention.' + clause[0], *clause[1:])]

    def get_rec_name(self, name):
        return self.tranche.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('tranche.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('stale', False) | (Eval('overpayment', 0) > 0),
                    'danger',
                    If(Eval('state') == 'established', 'muted',
                        If(Eval('state') == 'notified', 'warning', ''))),
                ['stale', 'overpayment', 'state']),
            ('//group[@id="stale"]', 'states', {
                    'invisible': ~Eval('stale', False),
                    }, ['stale']),
            ('//group[@id="comments"]', 'states', {
                    'invisible': ~Eval('notified_on'),
                    }, ['notified_on']),
            ]

    @classmethod
    def open(cls, tranches):
        """Return the liquidations of the tranches, new ones where there was
        none, with what is still in preparation computed anew."""
        found = {
            liquidation.tranche: liquidation for liquidation in cls.search([
                    ('tranche', 'in', [t.id for t in tranches])])}
        missing = [t for t in tranches if t not in found]
        created = cls.create([{'tranche': t.id} for t in missing])
        liquidations = [*found.values(), *created]
        cls.calculate([
                liquidation for liquidation in cls.browse(liquidations)
                if liquidation.state == 'draft'])
        return cls.browse(liquidations)

    @classmethod
    def check_modification(
            cls, mode, liquidations, values=None, external=False):
        super().check_modification(
            mode, liquidations, values=values, external=external)
        if mode == 'delete':
            for liquidation in liquidations:
                if liquidation.reduction:
                    raise FrozenError(gettext(
                            'pacte_grants.msg_liquidation_delete',
                            liquidation=liquidation.rec_name))

    @classmethod
    def settled(cls, tranche):
        """Return the SQL of whether the liquidation of the tranche (a table)
        is settled and still holds."""
        liquidation = cls.__table__()
        return Exists(liquidation.select(Literal(1),
                where=(liquidation.tranche == tranche.id)
                & (liquidation.state == 'established')
                & (liquidation.stale != Literal(True))))

    @classmethod
    def established(cls, tranche):
        """Return the SQL of the day on which the liquidation of the tranche
        (a table) was settled."""
        liquidation = cls.__table__()
        return liquidation.select(
            liquidation.established_on,
            where=liquidation.tranche == tranche.id)

    # The calculation

    @classmethod
    def compute(cls, tranches):
        """Return by tranche the ``Result`` of its calculation and the
        accepted report on which it rests.

        Raise ``CompletenessError`` for a tranche whose report is not
        accepted, ``AmountError`` for one of which no cost is known.
        """
        computed = cls.try_compute(tranches)
        for result in computed.values():
            if isinstance(result, UserError):
                raise result
        return computed

    @classmethod
    def try_compute(cls, tranches, reports=None):
        """Return by tranche what ``compute`` returns, or the error that it
        would raise.

        ``reports`` are, by tranche, those on which the calculation would
        rest, accepted or not; by default the accepted ones.
        """
        reports = reports or {}
        Liquidation = Pool().get('grant.liquidation')
        recorded = {
            liquidation.tranche: liquidation.reduction
            for liquidation in Liquidation.search([
                    ('tranche', 'in', [t.id for t in tranches])])}
        penalties = cls._get_penalties(tranches)
        computed = {}
        for tranche in tranches:
            try:
                report = reports.get(tranche) or cls._get_report(tranche)
                cls._check_forecast(tranche, report)
            except (CompletenessError, AmountError) as error:
                computed[tranche] = error
                continue
            convention = tranche.convention
            reduced = (
                (tranche.reduction or Decimal(0))
                - (recorded.get(tranche) or Decimal(0)))
            computed[tranche] = compute(
                tranche.amount, reduced=reduced,
                rule=convention.cost_rule,
                forecast=report.eligible_forecast,
                realised=report.eligible_realised,
                others=report.other_income_realised,
                penalties=penalties[tranche],
                results=[
                    Cut('result', indicator, share)
                    for indicator, share in
                    convention.get_result_reductions(tranche.year)],
                payments=[
                    PaidAmount(i, i.amount) for i in tranche.instalments
                    if i.state in LIVE and i.state != 'planned'],
                digits=tranche.currency.digits), report
        return computed

    @staticmethod
    def _get_report(tranche):
        reports = [
            r for r in tranche.financial_reports if r.kind != 'statement']
        accepted = [r for r in reports if r.state == 'accepted']
        if not accepted or len(accepted) != len(reports):
            raise CompletenessError(gettext(
                    'pacte_grants.msg_liquidation_report',
                    tranche=tranche.rec_name))
        return accepted[-1]

    @staticmethod
    def _check_forecast(tranche, report):
        rule = tranche.convention.cost_rule
        if rule != 'flat' and not report.eligible_forecast:
            raise AmountError(gettext(
                    'pacte_grants.msg_liquidation_forecast',
                    tranche=tranche.rec_name, report=report.rec_name))

    @classmethod
    @without_check_access
    def get_texts(cls, reports):
        """Return by tranche its calculation in words, as the report (by
        tranche, accepted or not) stands, or why there is none yet."""
        Tranche = Pool().get('grant.tranche')
        tranches = Tranche.browse([t.id for t in reports])
        computed = cls.try_compute(tranches, reports)
        texts = {}
        for tranche, found in computed.items():
            if isinstance(found, UserError):
                texts[tranche] = found.message
                continue
            result, report = found
            liquidation = cls(tranche=tranche)
            texts[tranche] = '\n'.join(
                liquidation._get_label(row, report) + (
                    f' : {money(row.amount)}' if row.amount is not None
                    else '')
                for row in result.rows)
        return texts

    @classmethod
    def _get_penalties(cls, tranches):
        """Return by tranche the cuts for the undertakings that were not
        met: each reduces the grant of one year, its own, or the one in which
        its report is due."""
        Condition = Pool().get('grant.condition')
        penalties = defaultdict(list)
        by_year = {(t.convention, t.year): t for t in tranches}
        for condition in Condition.search([
                    ('convention', 'in', [
                            t.convention.id for t in tranches]),
                    ('state', '=', 'not_met'),
                    ('penalty_rate', '>', 0),
                    ], order=[('due_date', 'ASC'), ('id', 'ASC')]):
            tranche = by_year.get(
                (condition.convention, condition.penalty_year))
            if tranche:
                penalties[tranche].append(
                    Cut('penalty', condition, condition.penalty_rate))
        return penalties

    @classmethod
    @ModelView.button
    def calculate(cls, liquidations):
        "Make the calculation anew, line by line."
        Line = Pool().get('grant.liquidation.line')
        liquidations = cls.claim(liquidations)
        cls.check_button(liquidations, 'calculate')
        computed = cls.compute([
                liquidation.tranche for liquidation in liquidations])
        with without_check_access():
            Line.delete([
                    line for liquidation in liquidations
                    for line in liquidation.lines])
            vlist = []
            for liquidation in liquidations:
                result, report = computed[liquidation.tranche]
                for sequence, row in enumerate(result.rows, 1):
                    vlist.append({
                            'liquidation': liquidation.id,
                            'sequence': sequence,
                            'code': row.code,
                            'origin': (
                                str(row.origin) if row.origin else None),
                            'label': liquidation._get_label(row, report),
                            'amount': row.amount,
                            })
            Line.create(vlist)
            for liquidation in liquidations:
                result, report = computed[liquidation.tranche]
                cls.write([liquidation], {
                        'report': report.id,
                        'granted': liquidation.tranche.amount,
                        'acquired': result.acquired,
                        'paid': result.paid,
                        'balance': result.balance,
                        'overpayment': result.overpayment,
                        'stale': False,
                        })

    def _get_label(self, row, report):
        "Return the line of the calculation in words, with its figures."
        names = {
            'year': self.tranche.year,
            'base': money(row.base) if row.base is not None else '–',
            'rate': (
                plain_percent(round(row.rate, 4))
                if row.rate is not None else '–'),
            'origin': row.origin.rec_name if row.origin else '–',
            'granted': money(self.tranche.amount),
            'forecast': money(report.eligible_forecast or Decimal(0)),
            'report': report.rec_name,
            }
        return gettext(
            f'pacte_grants.msg_liquidation_line_{row.code}', **names)

    @property
    def is_reduced(self):
        "Whether the calculation takes something of the grant away."
        return self.acquired < self.granted - (
            (self.tranche.reduction or Decimal(0)) - self.reduction)

    def _check_current(self, result):
        """Raise ``CompletenessError`` if the calculation is no longer
        ``result``, what would be computed now."""
        for name in ['acquired', 'paid', 'balance', 'overpayment']:
            if getattr(self, name) != getattr(result, name):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_liquidation_moved',
                        liquidation=self.rec_name))

    # Its life

    @classmethod
    @ModelView.button
    def notify(cls, liquidations):
        """Record that the partner was told the calculation: the delay for
        its comments begins (LIQUIDATION_COMMENT_DELAY)."""
        cls.calculate(liquidations)
        cls._notify(liquidations)

    @classmethod
    @transition('notified')
    def _notify(cls, liquidations):
        pool = Pool()
        user = acting_user(gettext('pacte_grants.msg_act_liquidate'))
        today = pool.get('ir.date').today()
        delay = dt.timedelta(days=int(pool.get('grant.parameter').get(
                    'LIQUIDATION_COMMENT_DELAY')))
        cls.write(liquidations, {
                'notified_on': today,
                'notified_by': user.id,
                'comment_until': today + delay,
                })

    @classmethod
    @ModelView.button
    def establish(cls, liquidations):
        """Settle the calculations: bring the balances to what is left to
        pay, record the reductions and release the rest.

        Raise ``PeriodError`` for a reduction on which the partner could not
        comment yet, ``CompletenessError`` for a calculation that moved since
        the partner was told.
        """
        drafts = [
            liquidation for liquidation in cls.claim(liquidations)
            if liquidation.state == 'draft']
        cls.calculate(drafts)
        cls._establish(liquidations)

    @classmethod
    @transition('established')
    def _establish(cls, liquidations):
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        Tranche = pool.get('grant.tranche')
        user = acting_user(gettext('pacte_grants.msg_act_liquidate'))
        today = pool.get('ir.date').today()
        Tranche.claim([
                liquidation.tranche for liquidation in liquidations])
        Instalment.claim([
                i for liquidation in cls.browse(liquidations)
                for i in liquidation.tranche.instalments])
        liquidations = cls.browse(liquidations)
        computed = cls.compute([
                liquidation.tranche for liquidation in liquidations])
        for liquidation in liquidations:
            liquidation._check_settled(
                computed[liquidation.tranche][0], today)
        for liquidation in cls.browse(liquidations):
            reduction = Instalment.settle_balance(
                liquidation.tranche, liquidation.acquired,
                liquidation.reduction)
            cls.write([liquidation], {
                    'reduction': reduction,
                    'established_on': today,
                    'established_by': user.id,
                    'reopen_reason': None,
                    })

    def _check_settled(self, result, today):
        self._check_current(result)
        if self.convention.state not in LIVE_STATES:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_liquidation_convention',
                    liquidation=self.rec_name,
                    convention=self.convention.rec_name,
                    state=self.convention.state_label))
        if not self.is_reduced:
            return
        if not self.notified_on:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_liquidation_tell',
                    liquidation=self.rec_name,
                    acquired=money(self.acquired),
                    granted=money(self.granted)))
        if self.observations and not (self.answer or '').strip():
            raise CompletenessError(gettext(
                    'pacte_grants.msg_liquidation_answer',
                    liquidation=self.rec_name))
        if today <= self.comment_until and not self.observations_on:
            raise PeriodError(gettext(
                    'pacte_grants.msg_liquidation_comment',
                    liquidation=self.rec_name,
                    date=self.comment_until.strftime('%d/%m/%Y')))

    @property
    def _reopened_from(self):
        return money(self.acquired)

    @classmethod
    def _reopen_to(cls, target, liquidations):
        for liquidation in cls.claim(liquidations):
            for instalment in liquidation.tranche.instalments:
                if (instalment.kind == 'balance' and instalment.state in {
                            'certified', 'approved', 'paying'}):
                    raise FrozenError(gettext(
                            'pacte_grants.msg_liquidation_under_way',
                            liquidation=liquidation.rec_name,
                            instalment=instalment.rec_name,
                            state=instalment.state_label))
        super()._reopen_to(target, liquidations)
        cls.write(liquidations, {
                'notified_on': None, 'notified_by': None,
                'comment_until': None, 'established_on': None,
                'established_by': None, 'observations': None,
                'observations_on': None, 'answer': None,
                })

    @classmethod
    @without_check_access
    def look_again(cls, conventions):
        """Mark the settled liquidations of the conventions that would no
        longer be settled as they were, and clear those that would again."""
        liquidations = cls.search([
                ('tranche.convention', 'in', [c.id for c in conventions]),
                ('state', '=', 'established'),
                ])
        computed = cls.try_compute([
                liquidation.tranche for liquidation in liquidations])
        changed = defaultdict(list)
        for liquidation in liquidations:
            found = computed[liquidation.tranche]
            stale = (
                isinstance(found, UserError)
                or found[0].acquired != liquidation.acquired)
            if stale != liquidation.stale:
                changed[stale].append(liquidation)
        for stale, sub in changed.items():
            cls.write(sub, {'stale': stale})


class LiquidationLine(FrozenByMixin, ModelSQL, ModelView):
    "A line of the calculation."
    __name__ = 'grant.liquidation.line'
    _frozen_by = 'liquidation'

    liquidation = fields.Many2One(
        'grant.liquidation', "Liquidation", required=True, readonly=True,
        ondelete='CASCADE')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    sequence = fields.Integer("Line", required=True, readonly=True)
    code = fields.Selection(
        CODES, "Kind", required=True, readonly=True, sort=False)
    label = fields.Text("Calculation", required=True, readonly=True)
    amount = Monetary(
        "Amount", currency='currency', digits='currency', readonly=True)
    origin = fields.Reference(
        "Origin", selection='get_origins', readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('liquidation')
        cls._order = [('sequence', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.add(
            Index(table, (table.liquidation, Index.Equality())))

    @fields.depends('liquidation', '_parent_liquidation.currency')
    def on_change_with_currency(self, name=None):
        return self.liquidation.currency if self.liquidation else None

    @classmethod
    def get_origins(cls):
        IrModel = Pool().get('ir.model')
        return [(None, '')] + [(name, IrModel.get_name(name)) for name in [
                'grant.condition', 'grant.indicator', 'grant.instalment']]

    def get_rec_name(self, name):
        return self.label

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('code') == 'overpayment', 'danger',
                    If(Eval('code') == 'balance', 'success',
                        If(Eval('code').in_(TOTALS), '', 'muted'))),
                ['code']),
            ]


class FinancialReport(metaclass=PoolMeta):
    __name__ = 'grant.financial_report'

    calculation_lines = fields.Function(
        fields.Many2Many(
            'grant.liquidation.line', None, None,
            "Calculation of the Balance",
            states={'invisible': ~Bool(Eval('calculation_lines', []))}),
        'get_calculation_lines')
    calculation = fields.Function(fields.Text(
            "Calculation of the Balance",
            help="What the figures of the report would give, as they stand.",
            states={'invisible': ~Eval('calculation', None)}),
        'get_calculation')

    @classmethod
    def get_calculation_lines(cls, reports, name):
        lines = _get_lines({
                r.tranche.id for r in reports if r.kind != 'statement'})
        return {
            r.id: lines[r.tranche.id] if r.kind != 'statement' else []
            for r in reports}

    @classmethod
    def get_calculation(cls, reports, name):
        "Return the calculation of what was not calculated yet."
        Liquidation = Pool().get('grant.liquidation')
        lines = cls.get_calculation_lines(reports, 'calculation_lines')
        texts = Liquidation.get_texts({
                r.tranche: r for r in reports
                if r.kind != 'statement' and not lines[r.id]
                and r.eligible_realised is not None})
        return {r.id: texts.get(r.tranche) if not lines[r.id]
            and r.kind != 'statement' else None for r in reports}


def _get_lines(tranches):
    "Return by tranche (ids) the ids of the lines of its calculation."
    Line = Pool().get('grant.liquidation.line')
    lines = defaultdict(list)
    for sub in grouped_slice(tranches, SLICE):
        for line in Line.search([
                    ('liquidation.tranche', 'in', list(sub))]):
            lines[line.liquidation.tranche.id].append(line.id)
    return lines


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    calculation_lines = fields.Function(
        fields.Many2Many(
            'grant.liquidation.line', None, None, "Calculation",
            help="Line by line: the right acquired, what was paid, what is "
            "left to pay.",
            states={
                'invisible': ~Eval('kind').in_(['balance', 'single']),
                }),
        'get_calculation_lines')

    @classmethod
    def get_calculation_lines(cls, instalments, name):
        settling = [
            i for i in instalments if i.kind in {'balance', 'single'}]
        lines = _get_lines({i.tranche.id for i in settling})
        return {
            i.id: lines[i.tranche.id] if i in settling else []
            for i in instalments}

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'liquidate': {
                    'invisible': (
                        ~Eval('kind').in_(['balance', 'single'])
                        | (Eval('state') == 'cancelled')
                        | ~Eval('notified_on')),
                    'depends': ['kind', 'state', 'notified_on'],
                    },
                })

    @classmethod
    @ModelView.button_action('pacte_grants.act_liquidation_of_instalment')
    def liquidate(cls, instalments):
        "Show the calculations of the years of the instalments."
        Liquidation = Pool().get('grant.liquidation')
        cls.check_button(instalments, 'liquidate')
        with without_check_access():
            liquidations = Liquidation.open(
                list({i.tranche for i in instalments}))
        return {'res_id': [liquidation.id for liquidation in liquidations]}

    @classmethod
    @without_check_access
    def settle_balance(cls, tranche, acquired, recorded):
        """Bring what is still planned of the tranche to what is left to pay
        of the right acquired (Decimal, euros).

        ``recorded`` is the reduction that the liquidation recorded before.
        The whole difference to the tranche is recorded as a reduction and
        released from its accounting commitments.  Return the reduction.
        """
        pool = Pool()
        Tranche = pool.get('grant.tranche')
        Convention = pool.get('grant.convention')
        manual = (tranche.reduction or Decimal(0)) - recorded
        live = [i for i in tranche.instalments if i.state in LIVE]
        fixed = sum(
            (i.amount for i in live if i.state != 'planned'), Decimal(0))
        left = max(acquired - fixed, Decimal(0))
        reduction = tranche.amount - manual - fixed - left
        planned = [i for i in live if i.state == 'planned']
        if (reduction == recorded
                and sum(i.amount for i in planned) == left):
            return reduction
        kept = next(
            (i for i in reversed(planned) if i.kind == 'balance'),
            planned[-1] if planned else None) if left else None
        reason = gettext(
            'pacte_grants.msg_liquidation_reduction',
            tranche=tranche.rec_name, acquired=money(acquired))
        with thaw():
            dropped = [i for i in planned if i != kept]
            if dropped:
                cls.write(dropped, {
                        'cancel_reason': reason, 'state': 'cancelled'})
            if kept and kept.amount > left:
                cls.write([kept], {'amount': left})
            if reduction != recorded:
                pool.get('grant.event').add([{
                            'record': tranche, 'name': 'reduction',
                            'before': recorded, 'after': reduction,
                            'reason': reason}])
                Tranche.write([tranche], {'reduction': manual + reduction})
            if kept and kept.amount < left:
                cls.write([kept], {'amount': left})
            elif left and not kept:
                cls.create([{
                            'convention': tranche.convention.id,
                            'tranche': tranche.id,
                            'kind': 'balance',
                            'sequence': max(
                                (i.sequence or 0
                                    for i in tranche.instalments),
                                default=0) + 1,
                            'amount': left,
                            'trigger': 'notification'}])
        tranche = Tranche(tranche.id)
        tranche.fit_commitments()
        Convention.record_version(
            [tranche.convention], 'reduction', note=reason)
        return reduction

    def _awaits(self, condition):
        # What was missed costs the partner its penalty, once it is settled.
        return super()._awaits(condition) and not (
            condition.state == 'not_met'
            and (condition.penalty_rate or 0) > 0
            and self.kind == 'balance'
            and any(
                liquidation.state == 'established' and not liquidation.stale
                for liquidation in self.tranche.liquidations))

    @classmethod
    def _awaiting(cls, instalment, tranche, condition):
        Liquidation = Pool().get('grant.liquidation')
        # A rate that is not set is not above nothing.
        penalty = Coalesce(condition.penalty_rate, 0) > 0
        return super()._awaiting(instalment, tranche, condition) & ~(
            (condition.state == 'not_met')
            & penalty
            & (instalment.kind == 'balance')
            & Liquidation.settled(tranche))

    def _compute_settled_on(self):
        # Until the year is settled nothing says what the balance is.
        if self.kind != 'balance':
            return super()._compute_settled_on()
        return max((
                liquidation.established_on
                for liquidation in self.tranche.liquidations
                if liquidation.established_on), default=None)

    @classmethod
    def _settled_on(cls, instalment, tranche):
        Liquidation = Pool().get('grant.liquidation')
        return Case(
            (instalment.kind == 'balance', Liquidation.established(tranche)),
            else_=super()._settled_on(instalment, tranche))

    def _get_concerned_users(self, acts):
        concerned = super()._get_concerned_users(acts)
        if self.kind != 'balance':
            return concerned
        return [
            ('liquidated', liquidation.established_by)
            for liquidation in self.tranche.liquidations
            if liquidation.established_by] + concerned


class Tranche(metaclass=PoolMeta):
    __name__ = 'grant.tranche'

    liquidations = fields.One2Many(
        'grant.liquidation', 'tranche', "Liquidation", readonly=True)

    @classmethod
    def copy(cls, tranches, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('liquidations', None)
        return super().copy(tranches, default=default)

    @classmethod
    def on_modification(cls, mode, tranches, field_names=None):
        super().on_modification(mode, tranches, field_names=field_names)
        if mode == 'write' and 'amount' in field_names:
            Pool().get('grant.liquidation').look_again(
                list({t.convention for t in tranches}))

    def fit_commitments(self):
        """Bring the accounting commitments of the year to what live
        instalments need: the last ones give back first, what is drawn
        stays."""
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        Instalment = pool.get('grant.instalment')
        commitments = Commitment.with_carried([
                d.commitment for d in self.convention.decisions
                if d.commitment and d.commitment.year == self.year
                and d.commitment.state == 'committed'])
        if not commitments:
            return
        drawn = Instalment._drawn(commitments)
        needed = sum(
            (i.amount for i in self.instalments if i.state in LIVE),
            Decimal(0))
        change = needed - sum(c.amount for c in commitments)
        for commitment in reversed(commitments):
            if not change:
                break
            amount = max(
                commitment.amount + change, drawn[commitment.id],
                Decimal(0))
            change -= amount - commitment.amount
            if amount:
                Commitment.write([commitment], {'amount': amount})
            else:
                Commitment.release([commitment])


class Scheme(metaclass=PoolMeta):
    __name__ = 'grant.scheme'

    cost_rule = fields.Selection(
        COST_RULES, "Rule of the Cost", required=True, sort=False,
        help="How the realised cost limits what is acquired of the grant.")

    @classmethod
    def default_cost_rule(cls):
        return 'rate'


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    cost_rule = fields.Selection(
        COST_RULES, "Rule of the Cost", sort=False,
        states={
            'readonly': ~Eval('state').in_(
                ['draft', 'negotiation']),
            },
        help="How the realised cost limits what is acquired of the grant.")

    @classmethod
    def create(cls, vlist):
        Scheme = Pool().get('grant.scheme')
        vlist = [v.copy() for v in vlist]
        rules = {
            s.id: s.cost_rule for s in Scheme.browse(list({
                        v['scheme'] for v in vlist if v.get('scheme')}))}
        for values in vlist:
            if not values.get('cost_rule'):
                values['cost_rule'] = rules.get(
                    values.get('scheme'), Scheme.default_cost_rule())
        return super().create(vlist)

    def get_closing_reasons(self):
        return super().get_closing_reasons() + [
            gettext('pacte_grants.msg_convention_close_stale',
                liquidation=liquidation.rec_name)
            for tranche in self.tranches
            for liquidation in tranche.liquidations
            if liquidation.stale]

    def get_clause_values(self, shared):
        values = super().get_clause_values(shared)
        values['regle_solde'] = _RULE_TEXTS[self.cost_rule or 'rate']
        return values

    @classmethod
    def follow_facts(cls, conventions):
        super().follow_facts(conventions)
        Pool().get('grant.liquidation').look_again(conventions)


class Condition(metaclass=PoolMeta):
    __name__ = 'grant.condition'

    @property
    def penalty_year(self):
        """The year whose grant a miss reduces: its own, or the one of the
        convention in which it is due, the last one at the latest."""
        years = [t.year for t in self.convention.tranches]
        if self.year or not years:
            return self.year
        due_date = self.original_due_date or self.due_date
        if not due_date:
            return max(years)
        return max(min(years), min(due_date.year, max(years)))


class Blocker(metaclass=PoolMeta):
    __name__ = 'grant.instalment.blocker'

    @classmethod
    def _rules(cls):
        return super()._rules() + [
            ('liquidation', 'officer', cls._liquidation),
            ]

    @classmethod
    def _liquidation(cls):
        Liquidation = Pool().get('grant.liquidation')
        base = cls._base()
        return cls._select(
            base, (base.instalment.kind == 'balance')
            & base.convention.state.in_(sorted(LIVE_STATES))
            & ~Liquidation.settled(base.tranche),
            since=base.tranche.notified_on,
            origin=cls._origin('grant.instalment', base.instalment.id))
