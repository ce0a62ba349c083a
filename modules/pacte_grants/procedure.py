# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Guided ends of a convention: termination, breach of the republican
commitment (L09), lapse.

A procedure tells the partner what is held against it, leaves it the time to
answer, is decided with its reasons by somebody who did not prepare it, and
only then ends the convention.  What has to be repaid is computed and
recorded here; the recovery itself comes after.
"""
import datetime as dt
from collections import defaultdict, namedtuple
from decimal import ROUND_HALF_UP, Decimal

from dateutil.relativedelta import relativedelta
from sql.aggregate import Sum

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import AccessError
from trytond.modules.company import CompanyReport
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import Transaction, without_check_access

from .check import AmountMixin, PeriodMixin, bulleted, money
from .configuration import NumberedMixin
from .convention import LIVE_STATES
from .document import (
    _paragraphs, _qr_code, _quoted, draft_pdf, make_pdfs)
from .exceptions import (
    AmountError, CompletenessError, DutyError, FrozenError, PartnerError,
    PeriodError, TransitionError)
from .mixin import (
    DatedMixin, FrozenByMixin, ReopenMixin, TurnMixin, WorkflowMixin,
    acting_user, thaw, transition)
from .party import PUBLIC_KINDS
from .scheme import CompanyMixin
from .sums import SLICE, read_sums
from .wording import euros, long_date, number

KINDS = [
    ('termination', "Termination"),
    ('cer_breach', "Breach of the Republican Commitment"),
    ('lapse', "Lapse"),
    ]
UNDER_WAY = ['draft', 'notified', 'heard']
# In which states of the convention each kind is opened.
_CONVENTION_STATES = {
    'termination': {'active', 'closing'},
    'cer_breach': {'active', 'closing'},
    'lapse': {'issued', 'signed'},
    }
_HEARING_DELAYS = {
    'termination': 'DOCUMENT_HEARING_DELAY',
    'cer_breach': 'L09_HEARING_DELAY',
    'lapse': 'DOCUMENT_HEARING_DELAY',
    }
_CENT = Decimal('0.01')
_STATES_DRAFT = {'readonly': Eval('state') != 'draft'}
_STATES_CREATED = {'readonly': Eval('id', -1) >= 0}
_STATES_UNDER_WAY = {'readonly': ~Eval('state').in_(UNDER_WAY)}
_STATES_HEARING = {'readonly': ~Eval('state').in_(['notified', 'heard'])}
_HEARING = frozenset({
        'officer', 'tracking_number', 'received_on', 'notice_agreed_on',
        'observations', 'observations_on', 'observations_file',
        'observations_filename', 'outcome', 'decision', 'repay_before',
        'abandon_reason'})
_AFTER = frozenset({
        'officer', 'decision_tracking_number', 'decision_received_on',
        'prefect_informed_on'})
# Who changes these prepares the procedure and does not decide it.
_PREPARED = frozenset({'facts', 'legal_basis', 'breach_date'})

Share = namedtuple('Share', [
        'withdrawn', 'to_repay', 'to_cancel', 'still_due'])


def count_days(start, end, breach):
    """Return the days of the period and those left at the breach, both ends
    of each counted: a breach on the first day leaves them all, on the last
    day one, after it none."""
    days = (end - start).days + 1
    left = (end - max(breach, start)).days + 1
    return days, max(left, 0)


def share_out(lines, days, left):
    """Return what happens to each tranche, ``(amount, paid)`` in euros, when
    ``left`` of its ``days`` are withdrawn (L09; décret 2021-1947).

    What is withdrawn is the share of the days left, the total rounded to the
    cent and cut so that the lines add up to it.  It is first taken from what
    is not paid (``to_cancel``), then from what is (``to_repay``); what the
    days before the breach earned and is not paid is ``still_due``.
    """
    shares = []
    total, done = Decimal(0), Decimal(0)
    for amount, paid in lines:
        total += amount
        upto = (total * left / days).quantize(_CENT, ROUND_HALF_UP)
        withdrawn = upto - done
        done = upto
        planned = amount - paid
        to_repay = max(withdrawn - planned, Decimal(0))
        to_cancel = withdrawn - to_repay
        shares.append(Share(
                withdrawn, to_repay, to_cancel, planned - to_cancel))
    return shares


class Basis(DatedMixin, PeriodMixin, ModelSQL, ModelView):
    "The texts on which a kind of procedure rests, valid between two dates."
    __name__ = 'grant.procedure.basis'
    _rec_name = 'source'
    _period = ('valid_from', 'valid_to')

    kind = fields.Selection(KINDS, "Kind", required=True, sort=False)
    text = fields.Text("Text", required=True)
    valid_from = fields.Date("Valid From", required=True)
    valid_to = fields.Date("Valid To")
    source = fields.Char("Source", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'kind_valid_from_unique',
                Unique(table, table.kind, table.valid_from),
                'pacte_grants.msg_procedure_basis_unique'))
        cls._order = [
            ('kind', 'ASC'), ('valid_from', 'DESC'), ('id', 'ASC')]

    @classmethod
    @without_check_access
    def get(cls, kind, date=None):
        """Return the text for the kind on the date, today by default; raise
        ``CompletenessError`` if none is valid then."""
        if date is None:
            date = Pool().get('ir.date').today()
        bases = cls.search([
                ('kind', '=', kind),
                ('valid_from', '<=', date),
                ['OR',
                    ('valid_to', '=', None),
                    ('valid_to', '>=', date),
                    ],
                ], order=[('valid_from', 'DESC')], limit=1)
        if not bases:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_procedure_basis_missing',
                    kind=dict(cls.fields_get(['kind'])['kind']['selection'])[
                        kind],
                    date=date.strftime('%d/%m/%Y')))
        return bases[0].text


class Procedure(
        TurnMixin, ReopenMixin, WorkflowMixin, NumberedMixin, CompanyMixin,
        ModelSQL, ModelView):
    "How a convention is ended before its time, and the hearing before."
    __name__ = 'grant.procedure'
    _numbering = 'procedure'
    _steps = [
        ('notify', 'officer', {'state': 'draft'}),
        ('respond', 'partner', {
                'state': 'notified', 'observations_on': False}),
        ('hear', 'officer', {'state': 'notified', 'observations_on': True}),
        ('decide', 'manager', {'state': 'heard'}),
        ('close', 'officer', {'state': 'decided'}),
        ]
    _server_fields = frozenset({
            'drafted_by', 'notified_on', 'notified_by', 'heard_on',
            'heard_by', 'decided_on', 'decided_by', 'closed_on'})
    _frozen = {
        'notified': _HEARING,
        'heard': _HEARING,
        'decided': _AFTER,
        'closed': frozenset(),
        'abandoned': frozenset(),
        }
    _reopened = {
        'notified': 'draft',
        'heard': 'notified',
        'abandoned': 'draft',
        'closed': 'decided',
        }

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            If(Eval('id', -1) < 0,
                If(Eval('kind') == 'lapse',
                    ('state', 'in', sorted(_CONVENTION_STATES['lapse'])),
                    ('state', 'in', sorted(
                            _CONVENTION_STATES['termination']))),
                ()),
            ],
        states=_STATES_CREATED)
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_party')
    kind = fields.Selection(
        KINDS, "Kind", required=True, sort=False, states=_STATES_CREATED)
    kind_string = kind.translated('kind')
    officer = fields.Many2One(
        'company.employee', "Officer", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))])
    facts = fields.Text(
        "Facts", states=_STATES_DRAFT,
        help="What happened, dated and neutral; the letter quotes it.")
    legal_basis = fields.Text(
        "Texts", required=True, states=_STATES_DRAFT,
        help="The texts on which the procedure rests; proposed from those "
        "in force.")
    breach_date = fields.Date(
        "Date of the Breach",
        states={
            'readonly': Eval('state') != 'draft',
            'invisible': Eval('kind') != 'cer_breach',
            })
    hearing_days = fields.Integer(
        "Delay for Observations", required=True, states=_STATES_DRAFT,
        help="Days left to the partner, from the reception of the letter.")
    notice_months = fields.Integer(
        "Notice", required=True,
        states={
            'readonly': Eval('state') != 'draft',
            'invisible': Eval('kind') != 'termination',
            },
        help="Months between the formal notice and the termination.")
    notice_agreed_on = fields.Date(
        "Shorter Notice Agreed On",
        states={
            'readonly': ~Eval('state').in_(['notified', 'heard']),
            'invisible': Eval('kind') != 'termination',
            },
        help="The date on which the partner agreed in writing that the "
        "notice be shorter.")
    lines = fields.One2Many(
        'grant.procedure.line', 'procedure', "Amounts",
        states=_STATES_UNDER_WAY)
    repay_amount = fields.Function(Monetary(
            "To Repay", currency='currency', digits='currency',
            help="What the partner has to repay of what was paid."),
        'get_amounts')
    cancel_amount = fields.Function(Monetary(
            "To Cancel", currency='currency', digits='currency',
            help="What was planned and will not be paid."),
        'get_amounts')
    due_amount = fields.Function(Monetary(
            "Still Due", currency='currency', digits='currency',
            help="What the partner earned before the breach and is not paid "
            "yet."),
        'get_amounts')
    drafted_by = fields.Many2One(
        'res.user', "Drafted By", readonly=True, ondelete='RESTRICT')
    notified_on = fields.Date("Letter Issued On", readonly=True)
    notified_by = fields.Many2One(
        'res.user', "Letter Issued By", readonly=True, ondelete='RESTRICT')
    tracking_number = fields.Char(
        "Registered Letter", states=_STATES_HEARING,
        help="The number of the registered letter.")
    received_on = fields.Date(
        "Received On", states=_STATES_HEARING,
        help="The date on the acknowledgement of receipt; the delays run "
        "from it, and from the issue of the letter as long as it is "
        "unknown.")
    respond_before = fields.Date(
        "Observations Before", readonly=True,
        help="The last day of the delay for observations.")
    decide_after = fields.Date(
        "End of the Notice", readonly=True,
        states={'invisible': Eval('kind') != 'termination'})
    observations = fields.Text(
        "Observations", states=_STATES_HEARING,
        help="What the partner answers, in writing or in a meeting.")
    observations_on = fields.Date(
        "Observations Received On", states=_STATES_HEARING)
    observations_file = fields.Binary(
        "Written Observations", filename='observations_filename',
        states=_STATES_HEARING)
    observations_filename = fields.Char("Name of the Observations")
    heard_on = fields.Date("Heard On", readonly=True)
    heard_by = fields.Many2One(
        'res.user', "Hearing Recorded By", readonly=True,
        ondelete='RESTRICT')
    outcome = fields.Selection([
            (None, ""),
            ('upheld', "Upheld"),
            ('dropped', "Dropped"),
            ], "Outcome", sort=False,
        states={'readonly': Eval('state') != 'heard'})
    decision = fields.Text(
        "Reasons of the Decision",
        states={'readonly': Eval('state') != 'heard'},
        help="Why, in fact and in law, with an answer to the observations.")
    decided_on = fields.Date("Decided On", readonly=True)
    decided_by = fields.Many2One(
        'res.user', "Decided By", readonly=True, ondelete='RESTRICT')
    repay_before = fields.Date(
        "Repay Before",
        states={
            'readonly': Eval('state') != 'heard',
            'invisible': Eval('kind') == 'lapse',
            },
        help="The longest delay that the texts allow if left empty.")
    decision_tracking_number = fields.Char(
        "Registered Letter of the Decision",
        states={
            'readonly': Eval('state') != 'decided',
            'invisible': Eval('kind') == 'lapse',
            })
    decision_received_on = fields.Date(
        "Decision Received On",
        states={
            'readonly': Eval('state') != 'decided',
            'invisible': Eval('kind') == 'lapse',
            })
    prefect_informed_on = fields.Date(
        "Prefect Informed On",
        states={
            'readonly': Eval('state') != 'decided',
            'invisible': ((Eval('kind') != 'cer_breach')
                | (Eval('outcome') != 'upheld')),
            },
        help="The prefect is told of the withdrawal (L09).")
    closed_on = fields.Date("Closed On", readonly=True)
    abandon_reason = fields.Text(
        "Reason of the Abandon", states=_STATES_UNDER_WAY)
    documents = fields.One2Many(
        'grant.document', 'procedure', "Letters", readonly=True)
    events = fields.One2Many(
        'grant.event', 'record', "Journal", readonly=True)
    next_step = fields.Function(fields.Selection([
                (None, ""),
                ('notify', "Issue the Letter"),
                ('respond', "Observations of the Partner"),
                ('hear', "Record the Hearing"),
                ('decide', "Decide"),
                ('close', "Close the Procedure"),
                ], "Next Step", sort=False),
        'on_change_with_next_step', searcher='search_next_step')
    whose_turn = fields.Function(fields.Selection([
                (None, ""),
                ('officer', "Officer"),
                ('partner', "Partner"),
                ('manager', "Head of Service"),
                ], "Whose Turn", sort=False),
        'on_change_with_whose_turn', searcher='search_whose_turn')
    state = fields.Selection([
            ('draft', "In Preparation"),
            ('notified', "Hearing under Way"),
            ('heard', "To Decide"),
            ('decided', "Decided"),
            ('closed', "Closed"),
            ('abandoned', "Abandoned"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.company.states = cls.company.states | _STATES_CREATED
        cls._order = [('id', 'DESC')]
        cls._sql_constraints.append((
                'company_number_unique',
                Unique(table, table.company, table.number),
                'pacte_grants.msg_procedure_number_unique'))
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low')),
                    (table.respond_before, Index.Range())),
                })
        cls._transitions = {
            ('draft', 'notified'),
            ('notified', 'draft'),
            ('notified', 'heard'),
            ('heard', 'notified'),
            ('heard', 'decided'),
            ('decided', 'closed'),
            ('closed', 'decided'),
            ('abandoned', 'draft'),
            } | {(state, 'abandoned') for state in UNDER_WAY}

        def offered(*states):
            return {
                'invisible': ~Eval('state').in_(list(states)),
                'depends': ['state'],
                }
        cls._buttons.update({
                'compute': offered(*UNDER_WAY),
                'notify': offered('draft'),
                'hear': offered('notified'),
                'decide': offered('heard'),
                'close': offered('decided'),
                'abandon': offered(*UNDER_WAY),
                'reopen': offered(*cls._reopened),
                })

    @classmethod
    def default_state(cls):
        return 'draft'

    @classmethod
    def default_kind(cls):
        return 'termination'

    @classmethod
    def default_officer(cls):
        return Transaction().context.get('employee')

    @classmethod
    def default_legal_basis(cls):
        return Pool().get('grant.procedure.basis').get(cls.default_kind())

    @classmethod
    def default_hearing_days(cls):
        return cls._minimum_days(cls.default_kind())

    @classmethod
    def default_notice_months(cls):
        return cls._minimum_notice(cls.default_kind())

    @classmethod
    def view_attributes(cls):
        late = (
            (Eval('state') == 'notified')
            & (Eval('respond_before', None) < Date()))
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['closed', 'abandoned']), 'muted', ''),
                ['state']),
            ('/tree/field[@name="respond_before"]', 'visual',
                If(late, 'warning', ''), ['state']),
            ('//page[@id="hearing"]', 'states', {
                    'invisible': Eval('state') == 'draft',
                    }),
            ('//page[@id="decision"]', 'states', {
                    'invisible': Eval('state').in_(['draft', 'notified']),
                    }),
            ('//group[@id="refund"]', 'states', {
                    'invisible': Eval('kind') == 'lapse',
                    }),
            ]

    @fields.depends('kind')
    def on_change_kind(self):
        Basis = Pool().get('grant.procedure.basis')
        if self.kind:
            self.legal_basis = Basis.get(self.kind)
            self.hearing_days = self._minimum_days(self.kind)
            self.notice_months = self._minimum_notice(self.kind)

    @fields.depends('convention', '_parent_convention.party')
    def on_change_with_party(self, name=None):
        return self.convention.party if self.convention else None

    @classmethod
    def search_party(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    @fields.depends('state', 'observations_on')
    def on_change_with_next_step(self, name=None):
        return self._next()[0]

    @classmethod
    def search_next_step(cls, name, clause):
        return cls._search_turn(0, clause)

    @fields.depends('state', 'observations_on')
    def on_change_with_whose_turn(self, name=None):
        return self._next()[1]

    @classmethod
    def search_whose_turn(cls, name, clause):
        return cls._search_turn(1, clause)

    def get_rec_name(self, name):
        return f'{self.number} – {self.kind_string}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('number', *clause[1:]),
            ('convention.rec_name', *clause[1:]),
            ]

    @classmethod
    def get_amounts(cls, procedures, names):
        line = Pool().get('grant.procedure.line').__table__()
        columns = {
            'repay_amount': 'to_repay',
            'cancel_amount': 'to_cancel',
            'due_amount': 'still_due',
            }
        sums = {}
        for sub in grouped_slice(procedures, SLICE):
            query = line.select(
                line.procedure,
                *(Sum(getattr(line, columns[name])) for name in names),
                where=reduce_ids(line.procedure, [p.id for p in sub]),
                group_by=[line.procedure])
            for id_, *amounts in read_sums(query):
                sums[id_] = dict(zip(names, amounts, strict=True))
        return {
            name: {
                p.id: p.currency.round(
                    sums.get(p.id, {}).get(name, Decimal(0)))
                for p in procedures}
            for name in names}

    @classmethod
    def _minimum_days(cls, kind):
        "The days that are left to the partner at least."
        return int(Pool().get('grant.parameter').get(_HEARING_DELAYS[kind]))

    @classmethod
    def _minimum_notice(cls, kind):
        "The months of notice at least; only a termination has one."
        if kind != 'termination':
            return 0
        return int(Pool().get('grant.parameter').get(
                'DOCUMENT_TERMINATION_NOTICE'))

    def compute_fields(self, field_names=None):
        values = super().compute_fields(field_names=field_names)
        if field_names is None or field_names & {
                'notified_on', 'received_on', 'hearing_days',
                'notice_months'}:
            start = self.received_on or self.notified_on
            respond_before = decide_after = None
            if self.notified_on:
                respond_before = start + dt.timedelta(days=self.hearing_days)
                if self.kind == 'termination':
                    decide_after = start + relativedelta(
                        months=self.notice_months)
            if self.respond_before != respond_before:
                values['respond_before'] = respond_before
            if self.decide_after != decide_after:
                values['decide_after'] = decide_after
        return values

    @classmethod
    def create(cls, vlist):
        pool = Pool()
        Basis = pool.get('grant.procedure.basis')
        Convention = pool.get('grant.convention')
        vlist = [v.copy() for v in vlist]
        Convention.claim(list({
                    Convention(v['convention']) for v in vlist
                    if v.get('convention')}))
        proposed = {
            kind: {
                'legal_basis': Basis.get(kind),
                'hearing_days': cls._minimum_days(kind),
                'notice_months': cls._minimum_notice(kind),
                } for kind in {
                values.setdefault('kind', cls.default_kind())
                for values in vlist} if kind in _HEARING_DELAYS}
        for values in vlist:
            for name, value in proposed.get(values['kind'], {}).items():
                if values.get(name) in {None, ''}:
                    values[name] = value
        procedures = super().create(vlist)
        user = Transaction().user
        if user:
            with without_check_access():
                cls.write(cls.browse(procedures), {'drafted_by': user})
        procedures = cls.browse(procedures)
        cls._check_opened(procedures)
        cls._set_lines(procedures)
        return procedures

    @classmethod
    def _check_opened(cls, procedures):
        """Raise ``TransitionError`` for a convention that does not allow the
        kind or has another procedure under way, ``PartnerError`` where the
        partner has no republican commitment to breach."""
        others = defaultdict(list)
        with without_check_access():
            for other in cls.search([
                        ('convention', 'in', [
                                p.convention.id for p in procedures]),
                        ('state', 'in', UNDER_WAY),
                        ]):
                others[other.convention.id].append(other)
        for procedure in procedures:
            convention = procedure.convention
            if (convention.state
                    not in _CONVENTION_STATES[procedure.kind]):
                raise TransitionError(gettext(
                        'pacte_grants.msg_procedure_convention_state',
                        kind=procedure.kind_string,
                        convention=convention.rec_name,
                        state=convention.state_label))
            for other in others[convention.id]:
                if other != procedure:
                    raise TransitionError(gettext(
                            'pacte_grants.msg_procedure_under_way',
                            convention=convention.rec_name,
                            procedure=other.rec_name,
                            state=other.state_label))
            if (procedure.kind == 'cer_breach'
                    and convention.party.partner_kind in {
                        *PUBLIC_KINDS, 'individual'}):
                raise PartnerError(gettext(
                        'pacte_grants.msg_procedure_no_commitment',
                        convention=convention.rec_name,
                        party=convention.party.rec_name))

    @classmethod
    def validate_fields(cls, procedures, field_names):
        super().validate_fields(procedures, field_names)
        cls._check_dates(procedures, field_names)
        if field_names is None or field_names & {
                'hearing_days', 'notice_months'}:
            cls._check_delays(procedures)

    @classmethod
    def _check_delays(cls, procedures):
        "Raise ``PeriodError`` for delays shorter than the rules leave."
        minima = {
            kind: (cls._minimum_days(kind), cls._minimum_notice(kind))
            for kind in {p.kind for p in procedures}}
        for procedure in procedures:
            days, months = minima[procedure.kind]
            for value, minimum, message in [
                    (procedure.hearing_days, days, 'days'),
                    (procedure.notice_months, months, 'notice')]:
                if value < minimum:
                    raise PeriodError(gettext(
                            f'pacte_grants.msg_procedure_minimum_{message}',
                            procedure=procedure.rec_name, minimum=minimum))

    # What each typed date may not precede.
    _dates = {
        'breach_date': None,
        'received_on': 'notified_on',
        'observations_on': 'notified_on',
        'notice_agreed_on': 'notified_on',
        'decision_received_on': 'decided_on',
        'prefect_informed_on': 'decided_on',
        }

    @classmethod
    def _check_dates(cls, procedures, field_names):
        today = Pool().get('ir.date').today()
        for name, earliest in cls._dates.items():
            if field_names is not None and name not in field_names:
                continue
            for procedure in procedures:
                date = getattr(procedure, name)
                first = getattr(procedure, earliest) if earliest else None
                if date and (date > today or (first and date < first)):
                    raise PeriodError(gettext(
                            'pacte_grants.msg_procedure_date',
                            date=date.strftime('%d/%m/%Y'),
                            first=(
                                first.strftime('%d/%m/%Y') if first
                                else '–'),
                            **cls.__names__(field=name, record=procedure)))

    @classmethod
    def check_modification(cls, mode, procedures, values=None,
            external=False):
        super().check_modification(
            mode, procedures, values=values, external=external)
        if mode == 'write' and values.keys() & _PREPARED:
            Pool().get('grant.event').add([{
                        'record': procedure, 'name': name,
                        'before': getattr(procedure, name),
                        'after': values[name],
                        } for procedure in procedures
                    for name in sorted(values.keys() & _PREPARED)
                    if (getattr(procedure, name) or None) != (
                        values[name] or None)])
        if mode == 'delete':
            for procedure in procedures:
                if procedure.documents:
                    raise FrozenError(gettext(
                            'pacte_grants.msg_procedure_delete',
                            procedure=procedure.rec_name))

    @classmethod
    def on_modification(cls, mode, procedures, field_names=None):
        super().on_modification(mode, procedures, field_names=field_names)
        if mode == 'write' and 'breach_date' in field_names:
            cls._set_lines(procedures)

    @classmethod
    def copy(cls, procedures, default=None):
        for procedure in procedures:
            raise AccessError(gettext(
                    'pacte_grants.msg_procedure_copy',
                    procedure=procedure.rec_name))
        return []

    @classmethod
    def open(cls, conventions, kind):
        """Return the procedure of the kind for each convention: the one
        under way, or a new one with what is known filled in."""
        Convention = Pool().get('grant.convention')
        conventions = Convention.claim(conventions)
        found = {}
        with without_check_access():
            for procedure in cls.search([
                        ('convention', 'in', [c.id for c in conventions]),
                        ('state', 'in', UNDER_WAY),
                        ('kind', '=', kind),
                        ]):
                found[procedure.convention] = procedure
            created = cls.create([{
                        'company': convention.company.id,
                        'convention': convention.id,
                        'kind': kind,
                        'officer': (
                            convention.officer.id if convention.officer
                            else None),
                        'facts': cls._propose_facts(convention, kind),
                        } for convention in conventions
                    if convention not in found])
        for procedure in created:
            found[procedure.convention] = procedure
        return [found[c] for c in conventions]

    @classmethod
    def _propose_facts(cls, convention, kind):
        "What the dossier says by itself: an unreturned text, or nothing."
        if kind != 'lapse':
            return None
        message = 'signed' if convention.state == 'signed' else convention.form
        # What the partner reads is in French.
        with Transaction().set_context(language='fr'):
            return gettext(
                f'pacte_grants.msg_procedure_facts_{message}',
                number=convention.number,
                title=convention.title,
                date=long_date(
                    convention.issued_on or Pool().get('ir.date').today()))

    @classmethod
    @ModelView.button
    def compute(cls, procedures):
        "Take the amounts anew from the schedule of the convention."
        procedures = cls.claim(procedures)
        for procedure in procedures:
            if procedure.state not in UNDER_WAY:
                cls.check_transition([procedure], 'abandoned')
        cls._set_lines(procedures)

    @classmethod
    def _set_lines(cls, procedures):
        pool = Pool()
        Line = pool.get('grant.procedure.line')
        to_save = []
        for procedure in cls.browse(procedures):
            values = procedure._compute_lines()
            lines = {line.tranche: line for line in procedure.lines}
            for tranche, fields_ in values.items():
                line = lines.pop(tranche, None) or Line(
                    procedure=procedure, tranche=tranche)
                for name, value in fields_.items():
                    if getattr(line, name, None) != value:
                        setattr(line, name, value)
                to_save.append(line)
            with thaw():
                Line.delete(list(lines.values()))
        with thaw(), without_check_access():
            Line.save(to_save)

    def _compute_lines(self):
        """Return by tranche the values of its line, from what is planned and
        paid today, less what is recovered elsewhere (euros)."""
        convention = self.convention
        tranches = [t for t in convention.tranches if t.status == 'voted']
        planned, paid = defaultdict(Decimal), defaultdict(Decimal)
        for instalment in convention.instalments:
            if instalment.state == 'paid':
                paid[instalment.tranche] += instalment.amount
            elif instalment.state != 'cancelled':
                planned[instalment.tranche] += instalment.amount
        for tranche, recovered in self._get_recovered(tranches).items():
            paid[tranche] = max(paid[tranche] - recovered, Decimal(0))
        result = {
            tranche: {
                'amount': planned[tranche] + paid[tranche],
                'paid': paid[tranche],
                'to_cancel': planned[tranche],
                'still_due': Decimal(0),
                } for tranche in tranches}
        if self.kind == 'cer_breach':
            self._compute_breach(result)
        elif self.kind == 'lapse':
            for values in result.values():
                values['to_repay'] = Decimal(0)
        return result

    def _get_recovered(self, tranches):
        "Return by tranche what is recovered of it elsewhere (euros)."
        return {}

    def _compute_breach(self, result):
        convention = self.convention
        days, left = count_days(
            convention.start_date, convention.end_date,
            self.breach_date or convention.end_date + dt.timedelta(days=1))
        shares = share_out(
            [(v['amount'], v['paid']) for v in result.values()], days, left)
        for values, share in zip(result.values(), shares, strict=True):
            values.update(
                days=days,
                days_left=left,
                withdrawn=share.withdrawn,
                to_repay=share.to_repay,
                to_cancel=share.to_cancel,
                still_due=share.still_due)

    def _check_lines(self):
        """Raise ``AmountError`` if the schedule moved since the amounts were
        computed or a line asks for more than was paid, or for something
        without saying why."""
        lines = {line.tranche: line for line in self.lines}
        values = self._compute_lines()
        if lines.keys() != values.keys() or any(
                getattr(lines[tranche], name) != value
                for tranche, fields_ in values.items()
                for name, value in fields_.items()):
            raise AmountError(gettext(
                    'pacte_grants.msg_procedure_amounts_moved',
                    procedure=self.rec_name,
                    convention=self.convention.rec_name))
        for line in self.lines:
            if self.kind == 'lapse' and line.paid:
                raise AmountError(gettext(
                        'pacte_grants.msg_procedure_lapse_paid',
                        procedure=self.rec_name,
                        amount=money(line.paid)))
            if (self.kind == 'termination' and line.to_repay
                    and not line.reason):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_procedure_line_reason',
                        line=line.rec_name))

    @classmethod
    @ModelView.button
    @transition('notified')
    def notify(cls, procedures):
        """Issue the letter that opens the hearing: sealed, to be sent by
        registered post.  Raise ``CompletenessError`` with all that it
        misses."""
        cls._check_opened(procedures)
        for procedure in procedures:
            if reasons := procedure.get_notify_reasons():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_procedure_not_notified',
                        procedure=procedure.rec_name,
                        convention=procedure.convention.rec_name,
                        reasons=bulleted(reasons)))
            procedure._check_lines()
        cls._check_delays(procedures)
        cls._stamp(procedures, 'notified')
        # Whoever issues a letter that is taken back does not decide either.
        user = acting_user(gettext('pacte_grants.msg_act_procedure'))
        Pool().get('grant.event').add([{
                    'record': p, 'name': 'notified_by', 'after': user,
                    } for p in procedures])
        cls._issue(procedures, 'hearing')

    def get_notify_reasons(self):
        "Return, in sentences, what the letter misses."
        reasons = []

        def add(message, **names):
            reasons.append(gettext(f'pacte_grants.msg_{message}', **names))

        convention = self.convention
        if not self.facts:
            add('procedure_facts_missing')
        if self.kind == 'cer_breach':
            if not self.breach_date:
                add('procedure_breach_missing')
            elif self.breach_date > convention.end_date:
                add('procedure_breach_late',
                    date=self.breach_date.strftime('%d/%m/%Y'),
                    end=convention.end_date.strftime('%d/%m/%Y'))
        elif self.kind == 'lapse':
            reasons.extend(convention.get_lapse_reasons())
        Letter = Pool().get('grant.procedure.letter', type='report')
        for party, message in [
                (convention.company.party, 'document_company_address'),
                (convention.party, 'document_party_address')]:
            if not Letter.is_whole(party.address_get()):
                add(message, party=party.rec_name)
        Configuration = Pool().get('grant.configuration')
        configuration = Configuration.get_singleton() or Configuration()
        for name in ['signatory_name', 'signatory_capacity']:
            if not configuration.get_multivalue(
                    name, company=convention.company.id):
                add(f'document_company_{name}')
        return reasons

    @classmethod
    def _issue(cls, procedures, kind):
        Document = Pool().get('grant.document')
        procedures = cls.browse([p.id for p in procedures])
        if procedures:
            Document.issue_letters(procedures, kind)

    @classmethod
    @ModelView.button
    @transition('heard')
    def hear(cls, procedures):
        """Record that the partner was heard: its observations are in, or the
        delay has passed.  Raise ``PeriodError`` before."""
        today = Pool().get('ir.date').today()
        for procedure in procedures:
            if procedure.observations_on:
                if (not procedure.observations
                        and not procedure.observations_file):
                    raise CompletenessError(gettext(
                            'pacte_grants.msg_procedure_observations',
                            procedure=procedure.rec_name))
            elif procedure.observations or procedure.observations_file:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_procedure_observations_date',
                        procedure=procedure.rec_name))
            elif today <= procedure.respond_before:
                raise PeriodError(gettext(
                        'pacte_grants.msg_procedure_hear_early',
                        procedure=procedure.rec_name,
                        date=procedure.respond_before.strftime('%d/%m/%Y')))
        cls._stamp(procedures, 'heard')

    @classmethod
    @ModelView.button
    def decide(cls, procedures):
        """Decide with reasons; what is upheld ends the convention in the
        same step.

        Raise ``DutyError`` for who prepared the procedure, ``PeriodError``
        before the end of the notice, ``AmountError`` if the schedule moved,
        and whatever the end of the convention itself is refused for.
        """
        pool = Pool()
        Convention = pool.get('grant.convention')
        Convention.claim([p.convention for p in procedures])
        procedures = cls.claim(procedures)
        cls.check_transition(procedures, 'decided')
        user = acting_user(gettext('pacte_grants.msg_act_procedure'))
        cls._check_duties(procedures, user)
        for procedure in procedures:
            procedure._check_decision()
        upheld = [p for p in procedures if p.outcome == 'upheld']
        cls._set_repay_before(upheld)
        cls._decide(procedures)
        cls._apply(cls.browse([p.id for p in upheld]))
        cls._issue(
            [p for p in procedures if p.kind != 'lapse'], 'decision')
    # The state comes before the ends that follow from it.
    decide.__func__.leads_to = 'decided'

    @classmethod
    @transition('decided')
    def _decide(cls, procedures):
        cls._stamp(procedures, 'decided')
        Pool().get('grant.event').add([{
                    'record': record, 'name': 'decide',
                    'after': f'{p.rec_name} – {p.outcome_label}',
                    'reason': p.decision,
                    } for p in procedures for record in [p, p.convention]])

    @property
    def outcome_label(self):
        selection = self.fields_get(['outcome'])['outcome']['selection']
        return dict(selection)[self.outcome]

    def _check_decision(self):
        today = Pool().get('ir.date').today()
        if not self.decision or not self.outcome:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_procedure_decision',
                    procedure=self.rec_name))
        if self.outcome != 'upheld':
            return
        if (self.kind == 'termination' and not self.notice_agreed_on
                and today < self.decide_after):
            raise PeriodError(gettext(
                    'pacte_grants.msg_procedure_notice',
                    procedure=self.rec_name,
                    date=self.decide_after.strftime('%d/%m/%Y')))
        self._check_lines()

    @classmethod
    def _check_duties(cls, procedures, user):
        "Who prepared a procedure does not decide it (invariant 5)."
        prepared = defaultdict(list)
        with without_check_access():
            for event in Pool().get('grant.event').search([
                        ('record', 'in', [
                                str(r) for p in procedures
                                for r in [p, *p.lines]]),
                        ('name', 'in', sorted(_PREPARED | {
                                    'to_repay', 'notified_by'})),
                        ]):
                prepared[str(event.record)].append(event.user)
        for procedure in procedures:
            users = [procedure.drafted_by, procedure.notified_by]
            for record in [procedure, *procedure.lines]:
                users += prepared[str(record)]
            for other in filter(None, users):
                if user.is_same_person(other):
                    raise DutyError(gettext(
                            'pacte_grants.msg_procedure_duty',
                            procedure=procedure.rec_name,
                            user=other.rec_name))

    @classmethod
    def _set_repay_before(cls, procedures):
        """Set until when to repay: the date that was typed, or the longest
        delay of the texts, beyond which it raises ``PeriodError``."""
        pool = Pool()
        today = pool.get('ir.date').today()
        months = int(pool.get('grant.parameter').get('L09_REFUND_DELAY'))
        latest = today + relativedelta(months=months)
        empty = []
        for procedure in procedures:
            if not procedure.repay_amount:
                continue
            if not procedure.repay_before:
                empty.append(procedure)
            elif not today <= procedure.repay_before <= latest:
                raise PeriodError(gettext(
                        'pacte_grants.msg_procedure_repay_before',
                        procedure=procedure.rec_name,
                        date=procedure.repay_before.strftime('%d/%m/%Y'),
                        latest=latest.strftime('%d/%m/%Y')))
        cls.write(empty, {'repay_before': latest})

    @classmethod
    def _apply(cls, procedures):
        """Carry out what was upheld: end the conventions by their own
        buttons.  One that still owes the partner something is closed in the
        ordinary way, once that is paid."""
        pool = Pool()
        Convention = pool.get('grant.convention')
        ends = defaultdict(list)
        for procedure in procedures:
            convention = procedure.convention
            if procedure.due_amount:
                procedure._keep_due()
                if convention.state == 'active':
                    ends['start_closing'].append(convention)
                continue
            # The letter of the lapse gives the reason as it stands.
            Convention.write([convention], {
                    'ending_reason': procedure.decision
                    if procedure.kind == 'lapse'
                    else f'{procedure.rec_name}\n{procedure.decision}'})
            ends[
                'lapse' if procedure.kind == 'lapse' else 'terminate'
                ].append(convention)
        for button, conventions in ends.items():
            getattr(Convention, button)(
                Convention.browse([c.id for c in conventions]))

    def _keep_due(self):
        """Take out of the schedule what is withdrawn, from its end, and
        leave what the partner earned."""
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        Tranche = pool.get('grant.tranche')
        Event = pool.get('grant.event')
        Convention = pool.get('grant.convention')
        Convention.check_nothing_in_progress([self.convention])
        cancelled = []
        for line in self.lines:
            left = line.to_cancel
            planned = [
                i for i in line.tranche.instalments if i.state == 'planned']
            for instalment in reversed(planned):
                taken = min(left, instalment.amount)
                left -= taken
                if not taken:
                    continue
                if taken == instalment.amount:
                    cancelled.append(instalment)
                    continue
                amount = instalment.amount - taken
                Event.add([{
                            'record': instalment, 'name': 'reduction',
                            'before': instalment.amount, 'after': amount,
                            'reason': self.decision}])
                with thaw():
                    Instalment.write(
                        [Instalment(instalment.id)], {'amount': amount})
                tranche, = Tranche.claim([line.tranche])
                Tranche.write(
                    [tranche], {'reduction': tranche.reduction + taken})
        if cancelled:
            with thaw():
                Instalment.write(
                    Instalment.browse(cancelled),
                    {'cancel_reason': self.decision})
            Instalment._cancel(Instalment.claim(cancelled), Tranche)
        if self.convention.state in LIVE_STATES:
            Convention.record_version(
                [self.convention], 'reduction', note=self.decision)

    @classmethod
    @ModelView.button
    @transition('closed')
    def close(cls, procedures):
        "Close what is carried out; raise ``CompletenessError`` otherwise."
        for procedure in procedures:
            if reasons := procedure.get_closing_reasons():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_procedure_not_closed',
                        procedure=procedure.rec_name,
                        reasons=bulleted(reasons)))
        cls.write(procedures, {'closed_on': Pool().get('ir.date').today()})

    def get_closing_reasons(self):
        "Return, in sentences, what is still to be done after the decision."
        reasons = []
        if self.kind != 'lapse' and not self.decision_tracking_number:
            reasons.append(gettext(
                    'pacte_grants.msg_procedure_decision_not_sent'))
        if (self.kind == 'cer_breach' and self.outcome == 'upheld'
                and not self.prefect_informed_on):
            reasons.append(gettext(
                    'pacte_grants.msg_procedure_prefect'))
        return reasons

    @classmethod
    @ModelView.button
    @transition('abandoned')
    def abandon(cls, procedures):
        for procedure in procedures:
            if not procedure.abandon_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_procedure_abandon_reason',
                        procedure=procedure.rec_name))
        Pool().get('grant.event').add([{
                    'record': p, 'name': 'abandon',
                    'before': p.state_label, 'reason': p.abandon_reason,
                    } for p in procedures])

    @classmethod
    @ModelView.button
    def reopen(cls, procedures):
        """Go back after a mistake.  A letter that has left stays: it is
        superseded only as long as no number of a registered letter says
        that it was sent."""
        Convention = Pool().get('grant.convention')
        Convention.claim([p.convention for p in procedures])
        procedures = cls.claim(procedures)
        cls._check_opened([p for p in procedures if p.state == 'abandoned'])
        recalled = [
            p for p in procedures if cls._reopened.get(p.state) == 'draft']
        for procedure in recalled:
            if procedure.tracking_number or procedure.received_on:
                raise FrozenError(gettext(
                        'pacte_grants.msg_procedure_sent',
                        procedure=procedure.rec_name))
        super().reopen(procedures)
        procedures = cls.browse([p.id for p in procedures])
        Pool().get('grant.document').supersede_letters(
            [p for p in procedures if p.state == 'draft'])
        with thaw():
            for state, values in [
                    ('draft', {'notified_on': None, 'notified_by': None,
                            'heard_on': None, 'heard_by': None}),
                    ('notified', {'heard_on': None, 'heard_by': None}),
                    ('decided', {'closed_on': None})]:
                cls.write(
                    [p for p in cls.browse(procedures) if p.state == state],
                    values)

    @classmethod
    def _stamp(cls, procedures, step):
        user = acting_user(gettext('pacte_grants.msg_act_procedure'))
        cls.write(procedures, {
                f'{step}_by': user.id,
                f'{step}_on': Pool().get('ir.date').today(),
                })


class Line(AmountMixin, FrozenByMixin, ModelSQL, ModelView):
    "What a procedure does to a tranche."
    __name__ = 'grant.procedure.line'
    _frozen_by = 'procedure'
    _parent_states = frozenset(UNDER_WAY)
    _amounts = ('to_repay',)

    procedure = fields.Many2One(
        'grant.procedure', "Procedure", required=True, readonly=True,
        ondelete='CASCADE')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    kind = fields.Function(fields.Selection(
            KINDS, "Kind", sort=False), 'on_change_with_kind')
    tranche = fields.Many2One(
        'grant.tranche', "Tranche", required=True, readonly=True,
        ondelete='RESTRICT')
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True,
        readonly=True,
        help="What was paid and is planned of the tranche.")
    paid = Monetary(
        "Paid", currency='currency', digits='currency', required=True,
        readonly=True, help="Less what is already being recovered.")
    days = fields.Integer(
        "Days", readonly=True,
        help="The days of the convention, first and last included.")
    days_left = fields.Integer(
        "Days Left", readonly=True,
        help="Those from the day of the breach on.")
    share = fields.Function(fields.Float(
            "Share", digits=(1, 4),
            help="The days left over the days of the convention."),
        'on_change_with_share')
    withdrawn = Monetary(
        "Withdrawn", currency='currency', digits='currency', readonly=True)
    to_repay = Monetary(
        "To Repay", currency='currency', digits='currency',
        states={'readonly': Eval('kind') != 'termination'},
        help="Of what was paid, what was not used as agreed.")
    to_cancel = Monetary(
        "To Cancel", currency='currency', digits='currency', required=True,
        readonly=True)
    still_due = Monetary(
        "Still Due", currency='currency', digits='currency', readonly=True)
    reason = fields.Char(
        "Reason", states={'readonly': Eval('kind') != 'termination'},
        help="Why it is to be repaid.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('procedure')
        cls._order = [('tranche', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.append((
                'procedure_tranche_unique',
                Unique(table, table.procedure, table.tranche),
                'pacte_grants.msg_procedure_line_unique'))

    @fields.depends('procedure', '_parent_procedure.company')
    def on_change_with_currency(self, name=None):
        if self.procedure and self.procedure.company:
            return self.procedure.company.currency

    @fields.depends('procedure', '_parent_procedure.kind')
    def on_change_with_kind(self, name=None):
        return self.procedure.kind if self.procedure else None

    @fields.depends('days', 'days_left')
    def on_change_with_share(self, name=None):
        return self.days_left / self.days if self.days else None

    def get_rec_name(self, name):
        return f'{self.procedure.number} / {self.tranche.year}'

    @classmethod
    def validate_fields(cls, lines, field_names):
        super().validate_fields(lines, field_names)
        if field_names is not None and 'to_repay' not in field_names:
            return
        for line in lines:
            if (line.to_repay or 0) > line.paid:
                raise AmountError(gettext(
                        'pacte_grants.msg_procedure_line_paid',
                        line=line.rec_name,
                        amount=money(line.to_repay),
                        paid=money(line.paid)))

    @classmethod
    def check_modification(cls, mode, lines, values=None, external=False):
        super().check_modification(
            mode, lines, values=values, external=external)
        if external and mode == 'delete':
            for line in lines:
                raise FrozenError(gettext(
                        'pacte_grants.msg_procedure_line_computed',
                        line=line.rec_name))
        if mode == 'write' and 'to_repay' in values:
            cls._check_announced(lines, values['to_repay'])
        if mode == 'write' and external and 'to_repay' in values:
            Pool().get('grant.event').add([{
                        'record': line, 'name': 'to_repay',
                        'before': line.to_repay, 'after': values['to_repay'],
                        } for line in lines
                    if line.to_repay != values['to_repay']])


    @classmethod
    def _check_announced(cls, lines, amount):
        """Raise ``AmountError`` for more than what the letter announced: the
        partner was heard on that (CRPA L122-1)."""
        for line in lines:
            if (line.kind == 'termination'
                    and line.procedure.state in {'notified', 'heard'}
                    and (amount or 0) > (line.to_repay or 0)):
                raise AmountError(gettext(
                        'pacte_grants.msg_procedure_line_announced',
                        line=line.rec_name,
                        amount=money(amount),
                        announced=money(line.to_repay or Decimal(0))))


class Numbering(metaclass=PoolMeta):
    __name__ = 'grant.numbering'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        kind = ('procedure', "Procedure")
        if kind not in cls.kind.selection:
            cls.kind.selection.append(kind)
        cls._prefixes = {**cls._prefixes, 'procedure': 'P{year}-'}


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    @classmethod
    def __setup__(cls):
        super().__setup__()

        def offered(*states):
            return {
                'invisible': ~Eval('state').in_(list(states)),
                'depends': ['state'],
                }
        cls._buttons.update({
                'open_procedure': offered('active', 'closing'),
                'open_cer_breach': offered('active', 'closing'),
                'open_lapse': offered('issued', 'signed'),
                })

    @classmethod
    @ModelView.button_action('pacte_grants.act_procedure_opened')
    def open_procedure(cls, conventions):
        "Open the termination of each convention, or show the one under way."
        return cls._open_procedures(conventions, 'termination')

    @classmethod
    @ModelView.button_action('pacte_grants.act_procedure_opened')
    def open_cer_breach(cls, conventions):
        "Open the procedure of L09 for each convention."
        return cls._open_procedures(conventions, 'cer_breach')

    @classmethod
    @ModelView.button_action('pacte_grants.act_procedure_opened')
    def open_lapse(cls, conventions):
        "Open the lapse of each convention, everything filled in."
        return cls._open_procedures(conventions, 'lapse')

    @classmethod
    def _open_procedures(cls, conventions, kind):
        if not conventions:
            return {'res_id': []}
        procedures = Pool().get('grant.procedure').open(conventions, kind)
        return {'res_id': [p.id for p in procedures]}

    @classmethod
    def _check_procedure(cls, conventions, kinds, message):
        """Raise ``TransitionError`` unless a procedure of one of the kinds
        was decided that ends the convention, whoever asks."""
        Procedure = Pool().get('grant.procedure')
        with without_check_access():
            decided = {
                p.convention for p in Procedure.search([
                        ('convention', 'in', [c.id for c in conventions]),
                        ('kind', 'in', kinds),
                        ('state', 'in', ['decided', 'closed']),
                        ('outcome', '=', 'upheld'),
                        ('lines', 'not where', [('still_due', '>', 0)]),
                        ])}
        for convention in conventions:
            if convention not in decided:
                raise TransitionError(gettext(
                        f'pacte_grants.msg_convention_{message}',
                        convention=convention.rec_name))

    @classmethod
    @ModelView.button
    def terminate(cls, conventions):
        cls._check_procedure(
            conventions, ['termination', 'cer_breach'],
            'terminate_procedure')
        super().terminate(conventions)

    @classmethod
    @ModelView.button
    def lapse(cls, conventions):
        cls._check_procedure(conventions, ['lapse'], 'lapse_procedure')
        super().lapse(conventions)

    @classmethod
    def check_nothing_in_progress(cls, conventions):
        "Raise ``FrozenError`` while a payment is under way."
        for convention in conventions:
            for instalment in convention.instalments:
                if instalment.state in {'certified', 'approved', 'paying'}:
                    raise FrozenError(gettext(
                            'pacte_grants.msg_convention_end_payment',
                            convention=convention.rec_name,
                            instalment=instalment.rec_name))


class Document(metaclass=PoolMeta):
    __name__ = 'grant.document'

    procedure = fields.Many2One(
        'grant.procedure', "Procedure", readonly=True, ondelete='RESTRICT',
        states={'invisible': ~Bool(Eval('procedure'))})

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        for kind in [
                ('hearing', "Letter Opening the Hearing"),
                ('decision', "Letter of the Decision")]:
            if kind not in cls.kind.selection:
                cls.kind.selection.append(kind)
        cls._letters = cls._letters | {'hearing': 'H', 'decision': 'D'}
        cls._sql_indexes.add(
            Index(table, (table.procedure, Index.Equality())))

    @classmethod
    @without_check_access
    def issue_letters(cls, procedures, kind):
        """Make and seal the letter of the kind, ``'hearing'`` or
        ``'decision'``, of each procedure; the journal keeps its
        fingerprint."""
        pool = Pool()
        Letter = pool.get('grant.procedure.letter', type='report')
        files = [Letter.produce(p, kind) for p in procedures]
        pdfs = make_pdfs(Letter.make_pdf, files)
        to_create = []
        for procedure, data, pdf in zip(
                procedures, files, pdfs, strict=True):
            values = cls._document_values(
                procedure.convention, data, pdf, kind)
            basename = f'{procedure.number}-{kind}'
            values.update(
                procedure=procedure.id,
                kind=kind,
                name=f'{procedure.number} – {cls.kind_label(kind)}',
                filename=f'{basename}.odt')
            if values['pdf']:
                values['pdf_filename'] = f'{basename}.pdf'
            to_create.append(values)
        documents = cls.create(to_create)
        pool.get('grant.event').add([{
                    'record': d.procedure, 'name': 'documents',
                    'after': f'{d.name} – SHA-256 {d.sha256}',
                    } for d in documents])
        return documents

    @classmethod
    @without_check_access
    def supersede_letters(cls, procedures):
        "Mark the letters of procedures that go back to their preparation."
        cls.supersede_documents(cls.search([
                    ('procedure', 'in', [p.id for p in procedures]),
                    ('state', '=', 'sealed'),
                    ]), {})


class Letter(CompanyReport):
    "The letters of a procedure: the hearing, then the decision."
    __name__ = 'grant.procedure.letter'
    _sealing = '_pacte_grants_procedure_letter'

    @classmethod
    def _convention_report(cls):
        return Pool().get('grant.convention.letter', type='report')

    @classmethod
    def is_whole(cls, address):
        "Return whether a letter may be sent to the address."
        return bool(
            address and address.street and address.postal_code
            and address.city)

    @classmethod
    @without_check_access
    def produce(cls, procedure, kind):
        "Return the file (bytes) of the final letter, to be sealed."
        with Transaction().set_context(**{cls._sealing: kind}):
            return cls._make(procedure)

    @classmethod
    def _make(cls, procedure):
        pool = Pool()
        action = pool.get('ir.action.report')(
            pool.get('ir.model.data').get_id(
                'pacte_grants', 'report_procedure_odt'))
        records = cls._get_records([procedure.id], 'grant.procedure', {})
        header = dict(cls.header_key(procedure, {}))
        with Transaction().set_context(Transaction().context):
            context = cls.get_context(records, header, {})
            return bytes(cls.render(action, context))

    @classmethod
    def make_pdf(cls, data):
        return cls._convention_report().make_pdf(data)

    @classmethod
    def _execute(cls, records, header, data, action):
        """Return the last sealed letter of the procedure, or the draft of
        the one that comes next, in the format of the action."""
        record, = records
        extension = action.extension or action.template_extension
        with without_check_access():
            procedure = Pool().get('grant.procedure')(record.id)
            sealed = [
                d for d in procedure.documents if d.state == 'sealed']
            if sealed and procedure.state != 'heard':
                return extension, sealed[0].get_file(extension)
            draft = cls._make(procedure)
            if extension == 'pdf':
                draft = draft_pdf(cls.make_pdf, draft, procedure)
        return extension, draft

    @classmethod
    def get_context(cls, records, header, data):
        """Return the values that the template names: ``draft``, ``letter``
        (hearing or decision), ``kind``, ``outcome``, the parties, ``facts``,
        ``basis``, ``lines`` and their totals, ``observations``, ``decision``
        and the delays."""
        context = super().get_context(records, header, data)
        procedure = Pool().get('grant.procedure')(records[0].id)
        convention = procedure.convention
        report = cls._convention_report()
        sealing = Transaction().context.get(cls._sealing)
        letter = sealing or (
            'decision' if procedure.state in {'heard', 'decided', 'closed'}
            else 'hearing')
        today = Pool().get('ir.date').today()
        reference = Pool().get('grant.document').next_reference(
            convention, letter) if sealing else None
        context.update(
            draft=not sealing,
            reference=reference,
            qr_code=_qr_code(reference),
            letter=letter,
            kind=procedure.kind,
            outcome=procedure.outcome,
            number=procedure.number,
            convention_number=convention.number,
            is_letter=convention.form == 'letter',
            title=_quoted(convention.title),
            date=long_date(today),
            department=report._get_department(convention),
            partner=report._get_partner(convention),
            officer=report._get_officer(convention),
            acts=report._get_acts(convention),
            delays=report._get_delays(),
            period_start=long_date(convention.start_date),
            period_end=long_date(convention.end_date),
            breach_date=(
                long_date(procedure.breach_date) if procedure.breach_date
                else None),
            facts=_paragraphs(procedure.facts),
            basis=_paragraphs(procedure.legal_basis),
            decision=_paragraphs(procedure.decision),
            hearing_days=str(procedure.hearing_days),
            notice_months=str(procedure.notice_months),
            notified_on=(
                long_date(procedure.notified_on) if procedure.notified_on
                else None),
            observations_on=(
                long_date(procedure.observations_on)
                if procedure.observations_on else None),
            repay_before=(
                long_date(procedure.repay_before) if procedure.repay_before
                else None),
            **cls._get_amounts(procedure))
        return context

    @classmethod
    def _get_amounts(cls, procedure):
        return {
            'lines': [{
                    'year': str(line.tranche.year),
                    'amount': euros(line.amount),
                    'paid': euros(line.paid),
                    'days': number(line.days) if line.days else None,
                    'days_left': (
                        number(line.days_left)
                        if line.days_left is not None else None),
                    'to_repay': euros(line.to_repay or Decimal(0)),
                    'to_cancel': euros(line.to_cancel),
                    'still_due': euros(line.still_due or Decimal(0)),
                    'reason': line.reason,
                    } for line in procedure.lines],
            'to_repay': bool(procedure.repay_amount),
            'repay_amount': euros(procedure.repay_amount),
            'to_cancel': bool(procedure.cancel_amount),
            'cancel_amount': euros(procedure.cancel_amount),
            'still_due': bool(procedure.due_amount),
            'due_amount': euros(procedure.due_amount),
            }
