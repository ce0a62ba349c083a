# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Controls of the use of grants, on documents or on site.

What is controlled first is what is most at risk: the score of a convention
adds up the weights (dated parameters) of its factors, which the list shows
one by one.
"""
from sql import Literal, Null
from sql.aggregate import Sum
from sql.conditionals import Case
from sql.functions import Trim
from sql.operators import Exists

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Date, Eval, If
from trytond.transaction import check_access

from .check import bulleted
from .convention import LIVE_STATES
from .exceptions import CompletenessError
from .financial_report import ACCOUNTABLE, AWAITED
from .mixin import FrozenByMixin, WorkflowMixin, acting_user, transition
from .scheme import CompanyMixin

FACTORS = ['large', 'late_report', 'first_grant', 'anomaly', 'findings']
_OPEN = ['planned', 'under_way']
_STATES_OPEN = {'readonly': ~Eval('state').in_(_OPEN)}


class Audit(WorkflowMixin, CompanyMixin, ModelSQL, ModelView):
    __name__ = 'grant.audit'
    _server_fields = frozenset({'company', 'risk_score', 'risk_factors'})
    _frozen = {
        'concluded': frozenset(),
        'closed': frozenset(),
        'cancelled': frozenset(),
        }

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True,
        ondelete='RESTRICT', states={'readonly': Eval('id', -1) >= 0},
        domain=[('company', '=', Eval('company', -1))])
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_party')
    kind = fields.Selection([
            ('desk', "On Documents"),
            ('site', "On Site"),
            ], "Kind", required=True, sort=False, states=_STATES_OPEN)
    kind_string = kind.translated('kind')
    planned_on = fields.Date(
        "Planned On", required=True, states=_STATES_OPEN)
    auditor = fields.Many2One(
        'company.employee', "Controlled By", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        states=_STATES_OPEN)
    risk_score = fields.Integer(
        "Risk", readonly=True, help="As it was when it was planned.")
    risk_factors = fields.Text("Factors of the Risk", readonly=True)
    findings = fields.One2Many(
        'grant.audit.finding', 'audit', "Findings",
        states={'readonly': Eval('state') == 'cancelled'})
    conclusion = fields.Text("Conclusion", states=_STATES_OPEN)
    cancel_reason = fields.Text(
        "Reason of the Cancellation", states=_STATES_OPEN)
    concluded_by = fields.Many2One(
        'res.user', "Concluded By", readonly=True, ondelete='RESTRICT')
    concluded_on = fields.Date("Concluded On", readonly=True)
    state = fields.Selection([
            ('planned', "Planned"),
            ('under_way', "Under Way"),
            ('concluded', "Concluded, Followed Up"),
            ('closed', "Closed"),
            ('cancelled', "Given Up"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('planned_on', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low')),
                    (table.planned_on, Index.Range())),
                })
        cls._transitions = {
            ('planned', 'under_way'),
            ('under_way', 'concluded'),
            ('concluded', 'under_way'),
            ('concluded', 'closed'),
            ('planned', 'cancelled'),
            ('under_way', 'cancelled'),
            }
        cls._buttons.update({
                'start': {
                    'invisible': Eval('state') != 'planned',
                    'depends': ['state'],
                    },
                'conclude': {
                    'invisible': Eval('state') != 'under_way',
                    'depends': ['state'],
                    },
                'resume': {
                    'invisible': Eval('state') != 'concluded',
                    'depends': ['state'],
                    },
                'close': {
                    'invisible': Eval('state') != 'concluded',
                    'depends': ['state'],
                    },
                'cancel': {
                    'invisible': ~Eval('state').in_(_OPEN),
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'planned'

    @classmethod
    def default_kind(cls):
        return 'desk'

    @classmethod
    def default_planned_on(cls):
        return Pool().get('ir.date').today()

    @fields.depends('convention', '_parent_convention.party')
    def on_change_with_party(self, name=None):
        return self.convention.party if self.convention else None

    @classmethod
    def search_party(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    def get_rec_name(self, name):
        return f'{self.kind_string} – {self.convention.number}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('convention.rec_name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['closed', 'cancelled']), 'muted',
                    If(Eval('state').in_(_OPEN)
                        & (Eval('planned_on', None) < Date()),
                        'danger', '')),
                ['state', 'planned_on']),
            ]

    @classmethod
    @ModelView.button
    @transition('under_way')
    def start(cls, audits):
        pass

    @classmethod
    @ModelView.button
    @transition('concluded')
    def conclude(cls, audits):
        "Conclude: the findings with a date are followed up from now on."
        user = acting_user(gettext('pacte_grants.msg_act_audit'))
        cls._check_filled(audits, 'conclusion')
        cls.write(audits, {
                'concluded_by': user.id,
                'concluded_on': Pool().get('ir.date').today(),
                })

    @classmethod
    @ModelView.button
    @transition('under_way')
    def resume(cls, audits):
        "Take up again a control that was concluded by mistake."
        Pool().get('grant.event').add([{
                    'record': a, 'name': 'resume',
                    'before': a.concluded_on,
                    } for a in audits])

    @classmethod
    @ModelView.button
    @transition('closed')
    def close(cls, audits):
        """Close the controls; raise ``CompletenessError`` while a finding is
        not resolved."""
        for audit in audits:
            if open_ := [f for f in audit.findings if not f.resolved_on]:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_audit_unresolved',
                        audit=audit.rec_name,
                        findings=bulleted(f.rec_name for f in open_)))

    @classmethod
    @ModelView.button
    @transition('cancelled')
    def cancel(cls, audits):
        cls._check_filled(audits, 'cancel_reason')

    @classmethod
    def _check_filled(cls, audits, name):
        for audit in audits:
            if not (getattr(audit, name) or '').strip():
                raise CompletenessError(gettext(
                        f'pacte_grants.msg_audit_{name}',
                        audit=audit.rec_name))


class AuditFinding(FrozenByMixin, ModelSQL, ModelView):
    __name__ = 'grant.audit.finding'
    _rec_name = 'text'
    _frozen_by = 'audit'
    _parent_states = frozenset(_OPEN)
    _free_fields = frozenset({'answer'})

    audit = fields.Many2One(
        'grant.audit', "Control", required=True, ondelete='CASCADE')
    text = fields.Char("Finding", required=True)
    severity = fields.Selection([
            ('minor', "Minor"),
            ('major', "Major"),
            ], "Severity", required=True, sort=False)
    action = fields.Char("What Is Asked")
    due_date = fields.Date("To Be Done Before")
    answer = fields.Char(
        "What Was Done",
        help="What the partner answered and what was seen of it.")
    resolved_on = fields.Date("Resolved On", readonly=True)
    resolved_by = fields.Many2One(
        'res.user', "Resolved By", readonly=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('audit')
        cls._sql_indexes.add(Index(table, (table.audit, Index.Equality())))
        cls._buttons.update({
                'resolve': {
                    'invisible': Eval('resolved_on', None)
                    != None,  # noqa: E711
                    'depends': ['resolved_on'],
                    },
                })

    def _get_what(self):
        "Say what is due after the control."
        return gettext(
            'pacte_grants.msg_audit_finding_due',
            text=' '.join((self.action or self.text).split()).rstrip('.'))

    @classmethod
    def default_severity(cls):
        return 'minor'

    @classmethod
    def view_attributes(cls):
        resolved = Eval('resolved_on', None) != None  # noqa: E711
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(resolved, 'muted',
                    If(Eval('due_date', None) < Date(), 'danger', '')),
                ['resolved_on', 'due_date']),
            ]

    @classmethod
    @ModelView.button
    def resolve(cls, findings):
        "Record that what was found is put right, and what shows it."
        user = acting_user(gettext('pacte_grants.msg_act_audit'))
        for finding in findings:
            if not (finding.answer or '').strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_audit_finding_answer',
                        finding=finding.rec_name))
        cls.write([f for f in findings if not f.resolved_on], {
                'resolved_on': Pool().get('ir.date').today(),
                'resolved_by': user.id,
                })


class AuditRisk(ModelSQL, ModelView):
    "The conventions that no control looked at, with what makes them risky."
    __name__ = 'grant.audit.risk'

    company = fields.Many2One('company.company', "Company", required=True)
    party = fields.Many2One(
        'party.party', "Partner",
        context={'company': Eval('company', -1)}, depends={'company'})
    convention = fields.Many2One('grant.convention', "Convention")
    officer = fields.Many2One('company.employee', "Officer")
    score = fields.Integer(
        "Risk", help="The sum of the weights of the factors.")
    large = fields.Boolean(
        "Large Amount", help="Voted above the threshold of the parameters.")
    late_report = fields.Boolean(
        "Late Report",
        help="A report of the partner is late or came late.")
    first_grant = fields.Boolean(
        "First Grant", help="The partner had no earlier convention.")
    anomaly = fields.Boolean(
        "Anomaly", help="A vote was recorded with an anomaly.")
    findings = fields.Boolean(
        "Earlier Findings",
        help="An earlier control of the partner found something major.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('score', 'DESC'), ('id', 'ASC')]
        cls._buttons.update({'plan': {}})

    def get_rec_name(self, name):
        return self.convention.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('convention.rec_name', *clause[1:])]

    @classmethod
    def table_query(cls):
        pool = Pool()
        Parameter = pool.get('grant.parameter')
        convention = pool.get('grant.convention').__table__()
        audit = pool.get('grant.audit').__table__()
        controlled = Exists(audit.select(Literal(1),
                where=(audit.convention == convention.id)
                & (audit.state != 'cancelled')))
        flags, score = {}, Literal(0)
        for name in FACTORS:
            condition = getattr(cls, f'_{name}')(convention)
            weight = int(Parameter.get(f'AUDIT_WEIGHT_{name.upper()}'))
            flags[name] = Case(
                (condition, Literal(True)), else_=Literal(False))
            score = score + Case((condition, weight), else_=0)
        return convention.select(
            convention.id.as_('id'),
            convention.company.as_('company'),
            convention.party.as_('party'),
            convention.id.as_('convention'),
            convention.officer.as_('officer'),
            score.as_('score'),
            *(flag.as_(name) for name, flag in flags.items()),
            where=convention.state.in_(sorted(LIVE_STATES)) & ~controlled)

    @classmethod
    def _large(cls, convention):
        pool = Pool()
        tranche = pool.get('grant.tranche').__table__()
        # As a float: SQLite would compare the text of a decimal.
        threshold = float(
            pool.get('grant.parameter').get('AUDIT_LARGE_AMOUNT'))
        return Exists(tranche.select(Literal(1),
                where=(tranche.convention == convention.id)
                & (tranche.status == 'voted'),
                group_by=[tranche.convention],
                having=Sum(tranche.amount) > threshold))

    @classmethod
    def _late_report(cls, convention):
        pool = Pool()
        FinancialReport = pool.get('grant.financial_report')
        report = FinancialReport.__table__()
        owed = pool.get('grant.convention').__table__()
        today = pool.get('ir.date').today()
        return Exists(report
            .join(owed, condition=report.convention == owed.id)
            .select(Literal(1),
                where=(owed.party == convention.party)
                & (owed.company == convention.company)
                & owed.state.in_(ACCOUNTABLE)
                & ((report.state.in_(AWAITED)
                        & (FinancialReport.sql_awaited_on(report) < today))
                    | (report.received_on > report.due_date))))

    @classmethod
    def _first_grant(cls, convention):
        former = Pool().get('grant.convention').__table__()
        return ~Exists(former.select(Literal(1),
                where=(former.party == convention.party)
                & (former.company == convention.company)
                & (former.id < convention.id)
                & former.state.in_(ACCOUNTABLE)))

    @classmethod
    def _anomaly(cls, convention):
        pool = Pool()
        application = pool.get('grant.application').__table__()
        decision = pool.get('grant.decision').__table__()
        return Exists(application
            .join(decision,
                condition=decision.application == application.id)
            .select(Literal(1),
                where=(application.convention == convention.id)
                & (decision.anomaly != None)))  # noqa: E711

    @classmethod
    def _findings(cls, convention):
        pool = Pool()
        audit = pool.get('grant.audit').__table__()
        finding = pool.get('grant.audit.finding').__table__()
        former = pool.get('grant.convention').__table__()
        return Exists(finding
            .join(audit, condition=finding.audit == audit.id)
            .join(former, condition=audit.convention == former.id)
            .select(Literal(1),
                where=(former.party == convention.party)
                & (former.company == convention.company)
                & (finding.severity == 'major')
                & (audit.state != 'cancelled')))

    @classmethod
    @ModelView.button_action('pacte_grants.act_audit_of_risk')
    def plan(cls, risks):
        "Plan a control on documents of each and show them."
        Audit = Pool().get('grant.audit')
        vlist = [risk._plan_values() for risk in risks]
        with check_access():
            # The right to create is that of the user, the score ours.
            audits = Audit.create([
                    {n: v for n, v in values.items()
                        if not n.startswith('risk_')} for values in vlist])
        by_id = dict(zip([a.id for a in audits], vlist, strict=True))
        for audit in Audit.browse(list(by_id)):
            Audit.write([audit], {
                    n: v for n, v in by_id[audit.id].items()
                    if n.startswith('risk_')})
        return {'res_id': [a.id for a in audits]}

    def _plan_values(self):
        labels = self.fields_get(FACTORS)
        return {
            'company': self.company.id,
            'convention': self.convention.id,
            'auditor': self.officer.id if self.officer else None,
            'risk_score': self.score,
            'risk_factors': '\n'.join(
                labels[n]['string'] for n in FACTORS if getattr(self, n)),
            }


class Due(metaclass=PoolMeta):
    "What a control found is due by its date, then to be verified."
    __name__ = 'grant.due'

    @classmethod
    def _rules(cls):
        return super()._rules() + [('finding', cls._finding)]

    @classmethod
    def _finding(cls):
        pool = Pool()
        finding = pool.get('grant.audit.finding').__table__()
        audit = pool.get('grant.audit').__table__()
        convention = pool.get('grant.convention').__table__()
        answered = (finding.answer != Null) & (Trim(finding.answer) != '')
        return finding.join(
            audit, condition=finding.audit == audit.id).join(
            convention, condition=audit.convention == convention.id).select(
                finding.id.as_('id'),
                audit.company.as_('company'),
                convention.party.as_('party'),
                finding.due_date.as_('due_date'),
                convention.id.as_('convention'),
                convention.officer.as_('officer'),
                cls._reference(
                    'grant.audit.finding', finding.id).as_('record'),
                Case((answered, 'to_verify'), else_='to_produce'
                    ).as_('status'),
                Case((answered, 'officer'), else_='partner'
                    ).as_('whose_turn'),
                Literal(False).as_('blocking'),
                where=(audit.state == 'concluded')
                & (finding.resolved_on == Null)
                & (finding.due_date != Null))

    @classmethod
    def get_what(cls, dues, names):
        result = super().get_what(dues, names)
        rows = [
            row for row in cls.read(
                [d.id for d in dues], ['kind', 'record'])
            if row['kind'] == 'finding']
        if not rows:
            return result
        records = cls._browse_records(cls.browse([r['id'] for r in rows]))
        for row in rows:
            values = {
                'what': records[row['record']]._get_what(),
                'blocks_text': None,
                }
            for name in names:
                result[name][row['id']] = values[name]
        return result

    def _describe(self):
        if self.kind == 'finding':
            return self.record._get_what()
        return super()._describe()


class Reminder(metaclass=PoolMeta):
    __name__ = 'grant.reminder'

    @classmethod
    def get_records(cls):
        IrModel = Pool().get('ir.model')
        name = 'grant.audit.finding'
        return super().get_records() + [(name, IrModel.get_name(name))]


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    audits = fields.One2Many(
        'grant.audit', 'convention', "Controls", readonly=True)
