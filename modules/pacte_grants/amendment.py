# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Amendments (avenants): what changes in a convention that was voted.

An amendment is a difference on the text in force.  It says the new values of
the convention and of its tranches, and holds *proposals*: rows of the models
of the convention (objectives, undertakings …) that add to it, change one of
its rows or take one out.  A proposal has the field ``amendment`` and is not
active, so that nothing but the amendment sees it.

When both parties have signed, everything follows in one transaction: values,
proposals, tranches, schedule, commitments, and a new version of the text.
"""
from collections import defaultdict

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.transaction import without_check_access

from .check import bulleted, money
from .daily import company_by_company
from .exceptions import (
    CompletenessError, FrozenError, PeriodError, TransitionError)
from .mixin import TurnMixin, WorkflowMixin, acting_user, thaw, transition
from .scheme import CompanyMixin
from .version import side_by_side

AMENDABLE = frozenset({'active', 'closing'})
DRAFT = {'readonly': Eval('state') != 'draft'}
# The values of the convention that an amendment may change.
_VALUES = ['title', 'purpose', 'end_date', 'party']


class Amendment(
        TurnMixin, WorkflowMixin, CompanyMixin, ModelSQL, ModelView):
    __name__ = 'grant.amendment'
    _steps = [
        ('agree', 'officer', {'state': 'draft'}),
        ('vote', 'assembly', {
                'state': 'agreed', 'vote_required': True,
                'voted_on': False}),
        ('issue', 'officer', {'state': 'agreed', 'vote_required': False}),
        ('issue', 'officer', {
                'state': 'agreed', 'vote_required': True,
                'voted_on': True}),
        ('sign_partner', 'partner', {
                'state': 'issued', 'signed_partner_on': False}),
        ('sign_department', 'manager', {
                'state': 'issued', 'signed_partner_on': True,
                'signed_department_on': False}),
        ('wait', None, {
                'state': 'issued', 'signed_partner_on': True,
                'signed_department_on': True}),
        ]
    _server_fields = frozenset({
            'number', 'company', 'agreed_on', 'agreed_by', 'issued_on',
            'issued_by', 'voted_on', 'signed_partner_on',
            'signed_department_on', 'effective_from', 'vote_required',
            'former_end_date'})
    _frozen = {
        'agreed': frozenset({'next_deliberation', 'reason_ending'}),
        'issued': frozenset({
                'partner_signature_date', 'department_signature_date',
                'effective_date', 'reason_ending'}),
        'effective': frozenset(),
        'cancelled': frozenset(),
        }

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='RESTRICT',
        states={'readonly': Eval('id', 0) > 0})
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_party')
    number = fields.Integer("Number", required=True, readonly=True)
    title = fields.Char("Object", required=True, states=DRAFT)
    reason = fields.Text(
        "Reason", states=DRAFT, help="Why the convention has to change.")
    new_title = fields.Char("New Title", states=DRAFT)
    new_purpose = fields.Text("New Purpose", states=DRAFT)
    new_end_date = fields.Date("New End Date", states=DRAFT)
    former_end_date = fields.Date("Former End Date", readonly=True)
    new_party = fields.Many2One(
        'party.party', "New Holder of the Rights", ondelete='RESTRICT',
        context={'company': Eval('company', -1)}, depends={'company'},
        states=DRAFT,
        help="Who takes over the rights and duties after a succession.")
    applications = fields.One2Many(
        'grant.application', 'amendment', "Applications Joined",
        readonly=True,
        help="Applications whose actions and amounts enter the convention.")
    before = fields.Function(fields.Text("In Force"), 'get_sides')
    after = fields.Function(fields.Text("As Amended"), 'get_sides')
    before_stored = fields.Text("Before", readonly=True)
    after_stored = fields.Text("After", readonly=True)
    vote_asked = fields.Boolean(
        "Vote Asked", states=DRAFT,
        help="Bring it to a session although the rules would not ask it.")
    vote_required = fields.Boolean("Vote Required", readonly=True)
    next_deliberation = fields.Many2One(
        'grant.deliberation', "Deliberation", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        states={
            'readonly': Eval('state') != 'agreed',
            'invisible': ~Eval('vote_required'),
            },
        help="The report in which the amendment goes to a session.")
    decisions = fields.One2Many(
        'grant.decision', 'amendment', "Votes", readonly=True)
    voted_on = fields.Date("Voted On", readonly=True)
    agreed_on = fields.Date("Agreed On", readonly=True)
    agreed_by = fields.Many2One(
        'res.user', "Agreed By", readonly=True, ondelete='RESTRICT')
    issued_on = fields.Date("Issued On", readonly=True)
    issued_by = fields.Many2One(
        'res.user', "Issued By", readonly=True, ondelete='RESTRICT')
    partner_signature_date = fields.Date(
        "Date of the Partner's Signature",
        states={'readonly': Eval('state') != 'issued'})
    department_signature_date = fields.Date(
        "Date of the Department's Signature",
        states={'readonly': Eval('state') != 'issued'})
    signed_partner_on = fields.Date("Signed by the Partner", readonly=True)
    signed_department_on = fields.Date(
        "Signed by the Department", readonly=True)
    effective_date = fields.Date(
        "Takes Effect On",
        states={'readonly': ~Eval('state').in_(['draft', 'issued'])},
        help="By default the day of the last signature.")
    effective_from = fields.Date("Effective From", readonly=True)
    reason_ending = fields.Text(
        "Reason of the Recall or Cancellation",
        states={'readonly': ~Eval('state').in_(
                ['draft', 'agreed', 'issued'])})
    next_step = fields.Function(fields.Selection([
                (None, ""),
                ('agree', "Agree on the Amendment"),
                ('vote', "Vote of the Assembly"),
                ('issue', "Issue the Document"),
                ('sign_partner', "Signature of the Partner"),
                ('sign_department', "Signature of the Department"),
                ('wait', "Takes Effect on Its Day"),
                ], "Next Step", sort=False),
        'on_change_with_next_step', searcher='search_next_step')
    whose_turn = fields.Function(fields.Selection([
                (None, ""),
                ('officer', "Officer"),
                ('partner', "Partner"),
                ('assembly', "Assembly Service"),
                ('manager', "Head of Service"),
                ], "Whose Turn", sort=False),
        'on_change_with_whose_turn', searcher='search_whose_turn')
    state = fields.Selection([
            ('draft', "In Preparation"),
            ('agreed', "Agreed Text"),
            ('issued', "Out for Signature"),
            ('effective', "In Force"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [
            ('convention', 'DESC'), ('number', 'DESC'), ('id', 'DESC')]
        cls._sql_constraints.append((
                'convention_number_unique',
                Unique(table, table.convention, table.number),
                'pacte_grants.msg_amendment_number_unique'))
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                })
        cls._transitions = {
            ('draft', 'agreed'),
            ('agreed', 'draft'),
            ('agreed', 'issued'),
            ('issued', 'agreed'),
            ('issued', 'effective'),
            ('draft', 'cancelled'),
            ('agreed', 'cancelled'),
            ('issued', 'cancelled'),
            ('cancelled', 'draft'),
            }
        unsigned = {
            side: Eval(f'signed_{side}_on', None) == None  # noqa: E711
            for side in ['partner', 'department']}

        def when(*states):
            return {
                'invisible': ~Eval('state').in_(list(states)),
                'depends': ['state'],
                }
        cls._buttons.update({
                'agree': when('draft'),
                'renegotiate': when('agreed'),
                'issue': when('agreed'),
                'recall': when('issued'),
                'sign_partner': {
                    'invisible': (
                        (Eval('state') != 'issued') | ~unsigned['partner']),
                    'depends': ['state', 'signed_partner_on'],
                    },
                'sign_department': {
                    'invisible': (
                        (Eval('state') != 'issued')
                        | ~unsigned['department']),
                    'depends': ['state', 'signed_department_on'],
                    },
                'take_effect': {
                    'invisible': (
                        (Eval('state') != 'issued') | unsigned['partner']
                        | unsigned['department']),
                    'depends': [
                        'state', 'signed_partner_on',
                        'signed_department_on'],
                    },
                'cancel': when('draft', 'agreed', 'issued'),
                'reopen': when('cancelled'),
                })

    @classmethod
    def default_state(cls):
        return 'draft'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state').in_(['effective', 'cancelled']), 'muted',
                    If(Eval('whose_turn') == 'officer', 'success', '')),
                ['state', 'whose_turn']),
            ('//group[@id="signatures"]', 'states', {
                    'invisible': ~Eval('state').in_(['issued', 'effective']),
                    }),
            ('//group[@id="vote"]', 'states', {
                    'invisible': ~Eval('vote_required'),
                    }, ['vote_required']),
            ]

    @fields.depends('convention', '_parent_convention.party')
    def on_change_with_party(self, name=None):
        return self.convention.party if self.convention else None

    @classmethod
    def search_party(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    @fields.depends(
        'state', 'vote_required', 'voted_on', 'signed_partner_on',
        'signed_department_on')
    def on_change_with_next_step(self, name=None):
        return self._next()[0]

    @classmethod
    def search_next_step(cls, name, clause):
        return cls._search_turn(0, clause)

    @fields.depends(
        'state', 'vote_required', 'voted_on', 'signed_partner_on',
        'signed_department_on')
    def on_change_with_whose_turn(self, name=None):
        return self._next()[1]

    @classmethod
    def search_whose_turn(cls, name, clause):
        return cls._search_turn(1, clause)

    def get_rec_name(self, name):
        return gettext(
            'pacte_grants.msg_amendment_name',
            number=self.number, convention=self.convention.number)

    @classmethod
    def search_rec_name(cls, name, clause):
        return ['OR',
            ('convention.rec_name', *clause[1:]),
            ('title', *clause[1:]),
            ]

    @classmethod
    def create(cls, vlist):
        """Create amendments; raise ``TransitionError`` if the convention is
        not in force or has an amendment under way."""
        Convention = Pool().get('grant.convention')
        vlist = [v.copy() for v in vlist]
        conventions = Convention.claim(Convention.browse(list({
                        v['convention'] for v in vlist
                        if v.get('convention')})))
        with without_check_access():
            by_id = {c.id: c for c in conventions}
            numbers = {}
            for values in vlist:
                convention = by_id.get(values.get('convention'))
                if not convention:
                    continue
                if (convention.state not in AMENDABLE
                        or convention.form != 'convention'):
                    raise TransitionError(gettext(
                            'pacte_grants.msg_amendment_convention_state',
                            convention=convention.rec_name,
                            state=convention.state_label))
                under_way = convention.amendment_under_way
                if under_way or convention.id in numbers:
                    raise TransitionError(gettext(
                            'pacte_grants.msg_amendment_under_way',
                            convention=convention.rec_name,
                            amendment=(
                                under_way.rec_name if under_way else '')))
                numbers[convention.id] = 1 + max(
                    (a.number for a in convention.amendments), default=0)
                values['number'] = numbers[convention.id]
                values['company'] = convention.company.id
        return super().create(vlist)

    @classmethod
    def copy(cls, amendments, default=None):
        for amendment in amendments:
            raise AccessError(gettext(
                    'pacte_grants.msg_amendment_copy',
                    amendment=amendment.rec_name))
        return []

    def check_draft(self):
        """Raise ``FrozenError`` unless the content may still change."""
        if self.state != 'draft':
            raise FrozenError(gettext(
                    'pacte_grants.msg_amendment_not_draft',
                    amendment=self.rec_name, state=self.state_label))

    def get_content_after(self):
        "Return the text as the amendment makes it, like ``get_content``."
        content = self.convention.get_content()
        values = content['convention'][0]['values']
        for name in _VALUES:
            value = getattr(self, f'new_{name}')
            if value:
                values[name] = getattr(value, 'rec_name', None) or (
                    value.isoformat() if name == 'end_date' else value)
        self._amend_tranches(content['tranches'])
        content['instalments'] = self._amend_instalments(
            content['instalments'])
        for name in self._proposal_models():
            content[name] = self._amend_part(content[name], name)
        if self.new_end_date:
            self._amend_due_dates(content['conditions'])
        return content

    @classmethod
    def get_sides(cls, amendments, names):
        result = {name: {} for name in names}
        for amendment in amendments:
            if amendment.state == 'effective':
                before, after = (
                    amendment.before_stored, amendment.after_stored)
            else:
                before, after = amendment._sides()
            values = {'before': before, 'after': after}
            for name in names:
                result[name][amendment.id] = values[name]
        return result

    def _sides(self):
        return side_by_side(
            self.convention.get_content(), self.get_content_after())

    def get_agreement_reasons(self):
        "Return, in sentences, what prevents the amendment from being agreed."
        reasons = []

        def add(message, **names):
            reasons.append(gettext(
                    f'pacte_grants.msg_amendment_{message}', **names))

        convention = self.convention
        if not self.reason:
            add('reason')
        before, after = self._sides()
        if not before and not after and not self.applications:
            add('nothing')
        if self.new_end_date and self.new_end_date < convention.start_date:
            add('end_date', date=self.new_end_date.strftime('%d/%m/%Y'))
        for objective in self.objectives:
            if objective.amendment_action == 'remove':
                continue
            for side in ['partner', 'department']:
                if not getattr(objective, f'{side}_agreed_on'):
                    reasons.append(gettext(
                            'pacte_grants.msg_agreement_objective_' + side,
                            objective=objective.rec_name))
        reasons.extend(self._get_indicator_gaps())
        joined = self.joined_amounts
        lines = {line.year: line for line in self.tranches}
        for year, amount in joined.items():
            if year not in lines or lines[year].difference < amount:
                add('joined_amount', year=year, amount=money(amount))
        reasons.extend(self._get_schedule_gaps())
        if self.all_decisions:
            reasons.extend(self._get_vote_gaps())
        return reasons

    @classmethod
    @ModelView.button
    @transition('agreed')
    def agree(cls, amendments):
        """Record that both parties agree on the amendment; raise
        ``CompletenessError`` with everything that is still missing."""
        for amendment in amendments:
            if reasons := amendment.get_agreement_reasons():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_amendment_not_agreed',
                        amendment=amendment.rec_name,
                        reasons=bulleted(reasons)))
        for required in [True, False]:
            cls.write([
                    a for a in amendments
                    if bool(a.compute_vote_reasons()
                        or a.applications) == required],
                {'vote_required': required})
        cls._stamp(amendments, 'agreed')

    @classmethod
    def _stamp(cls, amendments, step):
        user = acting_user(gettext('pacte_grants.msg_act_convention'))
        cls.write(amendments, {
                f'{step}_by': user.id,
                f'{step}_on': Pool().get('ir.date').today(),
                })

    @classmethod
    @ModelView.button
    @transition('draft')
    def renegotiate(cls, amendments):
        for amendment in amendments:
            amendment._check_not_scheduled()
            if amendment.all_decisions and not amendment._get_vote_gaps():
                raise FrozenError(gettext(
                        'pacte_grants.msg_amendment_voted',
                        amendment=amendment.rec_name))
        cls.write(amendments, {'agreed_on': None, 'agreed_by': None})

    @classmethod
    @ModelView.button
    @transition('issued')
    def issue(cls, amendments):
        "Issue the amendment for signature; what must be voted was."
        for amendment in amendments:
            reasons = amendment.get_issue_reasons()
            if reasons:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_amendment_not_issued',
                        amendment=amendment.rec_name,
                        reasons=bulleted(reasons)))
        cls._stamp(amendments, 'issued')

    def get_issue_reasons(self):
        "Return, in sentences, what prevents the amendment's issue."
        reasons = []
        if self.vote_required and self.decided_separately and (
                not self.voted_on):
            reasons.append(gettext('pacte_grants.msg_amendment_not_voted'))
        for application in self.applications:
            if application.state != 'granted':
                reasons.append(gettext(
                        'pacte_grants.msg_amendment_application_not_voted',
                        application=application.rec_name))
        if not reasons:
            reasons.extend(self._get_vote_gaps())
        reasons.extend(self._get_schedule_gaps())
        for decision in self.all_decisions:
            if decision.anomaly and not decision.regularised_by:
                reasons.append(decision.anomaly)
        return reasons

    @classmethod
    @ModelView.button
    @transition('agreed')
    def recall(cls, amendments):
        "Take back what was issued."
        cls._check_reason(amendments)
        Pool().get('grant.event').add([{
                    'record': a.convention, 'name': 'amendments',
                    'before': a._state_label('issued'),
                    'after': a._state_label('agreed'),
                    'reason': a.reason_ending,
                    } for a in amendments])
        cls.write(amendments, {
                'issued_on': None,
                'issued_by': None,
                'signed_partner_on': None,
                'signed_department_on': None,
                'partner_signature_date': None,
                'department_signature_date': None,
                })

    @classmethod
    def _check_reason(cls, amendments):
        for amendment in amendments:
            if not amendment.reason_ending:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_amendment_reason_ending',
                        amendment=amendment.rec_name))

    @classmethod
    @ModelView.button
    def sign_partner(cls, amendments):
        "Record the partner's signature."
        cls._sign(amendments, 'partner')

    @classmethod
    @ModelView.button
    def sign_department(cls, amendments):
        """Record the Department's signature: what was voted must be
        executory (L16)."""
        for amendment in amendments:
            for decision in amendment.all_decisions:
                if decision.deliberation.state != 'executory':
                    raise CompletenessError(gettext(
                            'pacte_grants.msg_amendment_not_executory',
                            amendment=amendment.rec_name,
                            deliberation=decision.deliberation.rec_name))
        cls._sign(amendments, 'department')

    @classmethod
    def _sign(cls, amendments, side):
        today = Pool().get('ir.date').today()
        by_date = defaultdict(list)
        for amendment in cls.claim(amendments):
            if (amendment.state != 'issued'
                    or getattr(amendment, f'signed_{side}_on')):
                cls.check_button([amendment], f'sign_{side}')
            date = getattr(amendment, f'{side}_signature_date') or today
            if date > today or date < amendment.issued_on:
                raise PeriodError(gettext(
                        'pacte_grants.msg_amendment_signature_date',
                        amendment=amendment.rec_name,
                        date=date.strftime('%d/%m/%Y'),
                        issued=amendment.issued_on.strftime('%d/%m/%Y')))
            by_date[date].append(amendment)
        for date, sub in by_date.items():
            cls.write(sub, {f'signed_{side}_on': date})
        due = [
            a for a in cls.browse(amendments)
            if a.signed_partner_on and a.signed_department_on
            and (not a.effective_date or a.effective_date <= today)]
        if due:
            cls.take_effect(due)

    @classmethod
    @company_by_company
    def take_effect_due(cls, company):
        """Bring into force what was signed in advance and whose day has
        come; what no longer can waits for its officer."""
        amendments = cls.search([
                ('company', '=', company.id),
                ('next_step', '=', 'wait'),
                ['OR',
                    ('effective_date', '=', None),
                    ('effective_date', '<=', Pool().get('ir.date').today()),
                    ],
                ])
        cls.take_effect([
                a for a in amendments if not a.get_effect_reasons()])

    def get_effect_reasons(self):
        "Return, in sentences, what changed since the issue and prevents it."
        reasons = self._get_vote_gaps() + self._get_schedule_gaps()
        date = self._get_effect_date()
        first = self._text_in_force.effective_from if (
            self._text_in_force) else date
        if date > Pool().get('ir.date').today() or date < first:
            reasons.append(gettext(
                    'pacte_grants.msg_amendment_effective_date',
                    amendment=self.rec_name,
                    date=date.strftime('%d/%m/%Y'),
                    first=first.strftime('%d/%m/%Y')))
        return reasons

    @property
    def _text_in_force(self):
        versions = self.convention.text_versions
        return versions[0] if versions else None

    def _get_effect_date(self):
        """The day that the parties agreed on; by default that of the last
        signature, or of the text in force if it is a later one."""
        last = self._text_in_force
        return self.effective_date or max(filter(None, [
                    self.signed_partner_on, self.signed_department_on,
                    last.effective_from if last else None]))

    @classmethod
    @ModelView.button
    @transition('effective')
    def take_effect(cls, amendments):
        """Bring the amendments into force: the text, the tranches, the
        schedule and the commitments follow together."""
        pool = Pool()
        Convention = pool.get('grant.convention')
        Line = pool.get('grant.amendment.tranche')
        Convention.claim([a.convention for a in amendments])
        for amendment in cls.browse(amendments):
            convention = amendment.convention
            date = amendment._get_effect_date()
            if reasons := amendment.get_effect_reasons():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_amendment_not_issued',
                        amendment=amendment.rec_name,
                        reasons=bulleted(reasons)))
            before, after = amendment._sides()
            for line in amendment.tranches:
                Line.write([line], {'before_stored': line.before})
            cls.write([amendment], {
                    'effective_from': date,
                    'former_end_date': convention.end_date,
                    'before_stored': before,
                    'after_stored': after,
                    })
            with thaw():
                cls(amendment.id)._apply()
            Convention.record_version(
                [convention], 'amendment', date, note=amendment.rec_name)

    def _apply(self):
        pool = Pool()
        Application = pool.get('grant.application')
        Clause = pool.get('grant.convention.clause')
        Convention = pool.get('grant.convention')
        convention = Convention(self.convention.id)
        values = {}
        for name in _VALUES:
            value = getattr(self, f'new_{name}')
            if value:
                values[name] = getattr(value, 'id', value)
        if values:
            Convention.write([convention], values)
        if self.new_party:
            Convention.hand_over(convention.id)
        Application.write(
            list(self.applications), {'convention': convention.id})
        self._apply_amounts(convention)
        for name in self._proposal_models():
            proposals = getattr(self, name)
            if proposals:
                proposals[0].__class__.apply(list(proposals))
        # The articles say the new values.
        Clause.render([Convention(convention.id)])
        Convention.write([Convention(convention.id)], {
                'clauses_amount': Convention(convention.id).amount})

    @classmethod
    @ModelView.button
    @transition('cancelled')
    def cancel(cls, amendments):
        cls._check_reason(amendments)
        for amendment in amendments:
            amendment._check_not_scheduled()
        cls._give_up_votes(amendments)

    @classmethod
    @ModelView.button
    @transition('draft')
    def reopen(cls, amendments):
        Convention = Pool().get('grant.convention')
        Convention.claim([a.convention for a in amendments])
        reopened = {}
        for amendment in cls.browse(amendments):
            if amendment.all_decisions:
                raise FrozenError(gettext(
                        'pacte_grants.msg_amendment_voted',
                        amendment=amendment.rec_name))
            convention = amendment.convention
            under_way = (
                convention.amendment_under_way
                or reopened.setdefault(convention, amendment))
            if under_way != amendment:
                raise TransitionError(gettext(
                        'pacte_grants.msg_amendment_under_way',
                        convention=amendment.convention.rec_name,
                        amendment=under_way.rec_name))
        cls.write(amendments, {
                'agreed_on': None, 'agreed_by': None,
                'issued_on': None, 'issued_by': None,
                'signed_partner_on': None, 'signed_department_on': None,
                })


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    amendments = fields.One2Many(
        'grant.amendment', 'convention', "Amendments", readonly=True,
        order=[('number', 'DESC')])

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'open_amendment': {
                    'invisible': (
                        ~Eval('state').in_(sorted(AMENDABLE))
                        | (Eval('form') != 'convention')),
                    'depends': ['state', 'form'],
                    },
                })

    @classmethod
    def _check_open(cls, application):
        if application.amendment:
            raise TransitionError(gettext(
                    'pacte_grants.msg_convention_already_open',
                    application=application.rec_name,
                    convention=application.amendment.rec_name))
        super()._check_open(application)

    @property
    def amendment_under_way(self):
        for amendment in self.amendments:
            if amendment.state in {'draft', 'agreed', 'issued'}:
                return amendment

    @classmethod
    @ModelView.button_action('pacte_grants.act_amendment_of_convention')
    def open_amendment(cls, conventions):
        "Open an amendment, or show the one that is under way."
        Amendment = Pool().get('grant.amendment')
        ids = []
        for convention in cls.claim(conventions):
            amendment = convention.amendment_under_way
            if not amendment:
                amendment, = Amendment.create([{
                            'convention': convention.id,
                            'title': gettext(
                                'pacte_grants.msg_amendment_title'),
                            }])
            ids.append(amendment.id)
        return {'res_id': ids}

    @classmethod
    def _end(cls, conventions):
        super()._end(conventions)
        for convention in conventions:
            amendment = convention.amendment_under_way
            if amendment:
                raise FrozenError(gettext(
                        'pacte_grants.msg_convention_end_amendment',
                        convention=convention.rec_name,
                        amendment=amendment.rec_name))


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.append((
                'grant.amendment|take_effect_due',
                "Bring Signed Amendments into Force"))


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('grant.amendment', 'new_party'),
            ]
