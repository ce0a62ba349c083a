# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Conventions and decision letters, their yearly tranches and their life."
from collections import defaultdict
from decimal import Decimal

from sql.aggregate import Sum

from trytond.i18n import gettext
from trytond.model import (
    ChatMixin, Index, ModelSQL, ModelView, Unique, fields)
from trytond.model.exceptions import AccessError
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If
from trytond.tools import grouped_slice, reduce_ids

from .check import AmountMixin, PeriodMixin, money, year_domain
from .configuration import NumberedMixin
from .exceptions import (
    AmountError, CompletenessError, FrozenError, PeriodError,
    TransitionError)
from .mixin import (
    ClaimMixin, FrozenByMixin, TurnMixin, WorkflowMixin, acting_user, thaw,
    transition)
from .scheme import CompanyMixin
from .sums import SLICE, read_sums

OPEN_STATES = frozenset({'draft', 'negotiation'})
LIVE_STATES = frozenset({'active', 'closing'})
DEAD_STATES = frozenset({'terminated', 'lapsed', 'renounced', 'cancelled'})
_STATES_OPEN = {'readonly': ~Eval('state').in_(['draft', 'negotiation'])}
_STATES_CONVENTION = {'invisible': Eval('form') != 'convention'}
_STATES_SIGNATORY = {'readonly': ~Eval('state').in_(
        ['draft', 'negotiation', 'agreed', 'issued'])}
_STEP_FIELDS = [
    'state', 'form', 'frozen_on', 'amount_changed', 'amount_confirmed_on',
    'signed_department_on']
_SIGNATORY = frozenset({
        'signatory_name', 'signatory_capacity', 'signatory_power'})
_FREE = frozenset({'officer', 'ending_reason', 'notification_date'})


class Convention(
        PeriodMixin, TurnMixin, WorkflowMixin, NumberedMixin, CompanyMixin,
        ModelSQL, ModelView, ChatMixin):
    __name__ = 'grant.convention'
    _numbering = 'convention'
    _steps = [
        ('negotiate', 'officer', {'state': 'draft', 'form': 'convention'}),
        ('agree', 'officer', {'state': 'negotiation'}),
        ('vote', 'assembly', {'state': 'agreed', 'frozen_on': False}),
        ('vote', 'assembly', {
                'state': 'draft', 'form': 'letter', 'frozen_on': False}),
        ('confirm_amount', 'officer', {
                'state': 'agreed', 'frozen_on': True,
                'amount_changed': True, 'amount_confirmed_on': False}),
        ('confirm_amount', 'officer', {
                'state': 'draft', 'form': 'letter', 'frozen_on': True,
                'amount_changed': True, 'amount_confirmed_on': False}),
        ('issue', 'officer', {
                'state': 'agreed', 'frozen_on': True,
                'amount_changed': False}),
        ('issue', 'officer', {
                'state': 'draft', 'form': 'letter', 'frozen_on': True,
                'amount_changed': False}),
        ('issue', 'officer', {
                'state': 'agreed', 'frozen_on': True,
                'amount_changed': True, 'amount_confirmed_on': True}),
        ('issue', 'officer', {
                'state': 'draft', 'form': 'letter', 'frozen_on': True,
                'amount_changed': True, 'amount_confirmed_on': True}),
        ('sign_partner', 'partner', {
                'state': 'issued', 'form': 'convention'}),
        ('sign_department', 'manager', {
                'state': 'signed', 'signed_department_on': False}),
        ('notify', 'officer', {'state': 'issued', 'form': 'letter'}),
        ('notify', 'officer', {
                'state': 'signed', 'signed_department_on': True}),
        ('follow', 'officer', {'state': 'active'}),
        ('close', 'manager', {'state': 'closing'}),
        ]
    _server_fields = frozenset({
            'form', 'party', 'scheme', 'agreed_on', 'agreed_by',
            'frozen_on', 'issued_on', 'issued_by', 'notified_on',
            'notified_by', 'amount_changed', 'amount_confirmed_on',
            'amount_confirmed_by'})
    _frozen = {
        'agreed': _FREE | _SIGNATORY,
        'issued': _FREE | _SIGNATORY | {
            'partner_signature_date', 'department_signature_date'},
        'signed': _FREE | {'department_signature_date'},
        'active': _FREE,
        'closing': _FREE,
        'closed': _FREE,
        'terminated': _FREE,
        'lapsed': _FREE,
        'renounced': _FREE,
        'cancelled': _FREE,
        }

    party = fields.Many2One(
        'party.party', "Partner", required=True, ondelete='RESTRICT',
        context={'company': Eval('company', -1)}, depends={'company'},
        readonly=True)
    form = fields.Selection([
            ('convention', "Convention"),
            ('letter', "Decision Letter"),
            ], "Form", required=True, readonly=True, sort=False)
    kind = fields.Selection([
            ('annual', "Annual"),
            ('multi_year', "Multi-year"),
            ('umbrella', "Umbrella"),
            ('sponsorship', "Sponsorship"),
            ], "Kind", required=True, sort=False, states=_STATES_OPEN)
    scheme = fields.Many2One(
        'grant.scheme', "Scheme", required=True, readonly=True,
        ondelete='RESTRICT')
    service = fields.Function(fields.Many2One(
            'grant.service', "Service"),
        'on_change_with_service', searcher='search_service')
    year = fields.Integer("Year", required=True, readonly=True)
    title = fields.Char("Title", required=True, states=_STATES_OPEN)
    purpose = fields.Text(
        "Purpose", states=_STATES_OPEN,
        help="What the partner undertakes to carry out on its own "
        "initiative.")
    officer = fields.Many2One(
        'company.employee', "Officer", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))])
    applications = fields.One2Many(
        'grant.application', 'convention', "Applications", readonly=True)
    start_date = fields.Date(
        "Start Date", required=True, states=_STATES_OPEN)
    end_date = fields.Date("End Date", required=True, states=_STATES_OPEN)
    tranches = fields.One2Many(
        'grant.tranche', 'convention', "Tranches", states=_STATES_OPEN)
    amount = fields.Function(Monetary(
            "Amount", currency='currency', digits='currency'),
        'get_amount')
    signatory_name = fields.Char(
        "Partner's Signatory", states=_STATES_SIGNATORY)
    signatory_capacity = fields.Char(
        "Capacity", states=_STATES_SIGNATORY,
        help="In which capacity the signatory signs.")
    signatory_power = fields.Char(
        "Power", states=_STATES_SIGNATORY,
        help="The deliberation or the decision of the board that empowers "
        "the signatory.")
    agreed_on = fields.Date(
        "Agreed On", readonly=True, states=_STATES_CONVENTION)
    agreed_by = fields.Many2One(
        'res.user', "Agreed By", readonly=True, ondelete='RESTRICT')
    frozen_on = fields.Date(
        "Frozen On", readonly=True, help="The day of the vote.")
    amount_changed = fields.Boolean(
        "Amount Changed by the Vote", readonly=True)
    amount_confirmed_on = fields.Date("Amount Confirmed On", readonly=True)
    amount_confirmed_by = fields.Many2One(
        'res.user', "Amount Confirmed By", readonly=True,
        ondelete='RESTRICT')
    issued_on = fields.Date("Issued On", readonly=True)
    issued_by = fields.Many2One(
        'res.user', "Issued By", readonly=True, ondelete='RESTRICT')
    partner_signature_date = fields.Date(
        "Date of the Partner's Signature",
        states={
            'readonly': Eval('state') != 'issued',
            'invisible': Eval('form') != 'convention',
            })
    department_signature_date = fields.Date(
        "Date of the Department's Signature",
        states={
            'readonly': ~Eval('state').in_(['issued', 'signed']),
            'invisible': Eval('form') != 'convention',
            })
    signed_partner_on = fields.Date(
        "Signed by the Partner", readonly=True, states=_STATES_CONVENTION)
    signed_department_on = fields.Date(
        "Signed by the Department", readonly=True,
        states=_STATES_CONVENTION)
    notification_date = fields.Date(
        "Date of the Notification",
        states={'readonly': ~Eval('state').in_(['issued', 'signed'])},
        help="When the partner received it; today if left empty.")
    notified_on = fields.Date(
        "Notified On", readonly=True,
        help="Starts the delay of payment (L05).")
    notified_by = fields.Many2One(
        'res.user', "Notified By", readonly=True, ondelete='RESTRICT')
    next_step = fields.Function(fields.Selection([
                (None, ""),
                ('negotiate', "Open the Negotiation"),
                ('agree', "Agree on the Text"),
                ('vote', "Vote of the Assembly"),
                ('confirm_amount', "Confirm the Voted Amount"),
                ('issue', "Issue the Document"),
                ('sign_partner', "Signature of the Partner"),
                ('sign_department', "Signature of the Department"),
                ('notify', "Notify the Partner"),
                ('follow', "Undertakings and Payments"),
                ('close', "Close the Convention"),
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
    step_since = fields.Function(
        fields.Date("Since"), 'on_change_with_step_since')
    ending_reason = fields.Text(
        "Reason of the Ending",
        states={'readonly': Eval('state').in_(['closed'])},
        help="Why it is terminated, renounced, lapsed, recalled or "
        "cancelled.")
    state = fields.Selection([
            ('draft', "Draft"),
            ('negotiation', "In Negotiation"),
            ('agreed', "Agreed Text"),
            ('issued', "Out for Signature"),
            ('signed', "Signed by the Partner"),
            ('active', "Active"),
            ('closing', "Closing"),
            ('closed', "Closed"),
            ('terminated', "Terminated"),
            ('lapsed', "Lapsed"),
            ('renounced', "Renounced"),
            ('cancelled', "Cancelled"),
            ], "State", required=True, readonly=True, sort=False)
    status = fields.Function(fields.Selection(
            'get_statuses', "State", sort=False,
            help="The state, in the words of the form: a decision letter is "
            "signed by the Department alone."),
        'on_change_with_status', searcher='search_status')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('id', 'DESC')]
        cls._sql_constraints.append((
                'company_number_unique',
                Unique(table, table.company, table.number),
                'pacte_grants.msg_convention_number_unique'))
        cls._sql_indexes.update({
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                Index(table, (table.party, Index.Equality())),
                Index(table, (table.officer, Index.Equality())),
                })
        before_signature = ['draft', 'negotiation', 'agreed', 'issued',
            'signed']
        cls._transitions = {
            ('draft', 'negotiation'),
            ('negotiation', 'agreed'),
            ('agreed', 'negotiation'),
            ('agreed', 'issued'),
            ('draft', 'issued'),
            ('issued', 'agreed'),
            ('issued', 'draft'),
            ('issued', 'signed'),
            ('signed', 'issued'),
            ('signed', 'active'),
            ('issued', 'active'),
            ('active', 'closing'),
            ('closing', 'active'),
            ('closing', 'closed'),
            ('closed', 'closing'),
            ('active', 'terminated'),
            ('closing', 'terminated'),
            ('issued', 'lapsed'),
            ('signed', 'lapsed'),
            ('draft', 'cancelled'),
            ('negotiation', 'cancelled'),
            ('agreed', 'cancelled'),
            ('cancelled', 'draft'),
            } | {(s, 'renounced') for s in before_signature + ['active']}
        letter = Eval('form') == 'letter'
        frozen = Eval('frozen_on', None) != None  # noqa: E711
        cls._buttons.update({
                'set_amounts': {
                    'invisible': ~Eval('state').in_(list(OPEN_STATES)),
                    'depends': ['state'],
                    },
                'negotiate': {
                    'invisible': (Eval('state') != 'draft') | letter,
                    'depends': ['state', 'form'],
                    },
                'agree': {
                    'invisible': Eval('state') != 'negotiation',
                    'depends': ['state'],
                    },
                'renegotiate': {
                    'invisible': (Eval('state') != 'agreed') | frozen,
                    'depends': ['state', 'frozen_on'],
                    },
                'confirm_amount': {
                    'invisible': (~Eval('amount_changed', False)
                        | (Eval('amount_confirmed_on', None)
                            != None)),  # noqa: E711
                    'depends': ['amount_changed', 'amount_confirmed_on'],
                    },
                'issue': {
                    'invisible': ~frozen | ~(
                        (Eval('state') == 'agreed')
                        | (letter & (Eval('state') == 'draft'))),
                    'depends': ['state', 'form', 'frozen_on'],
                    },
                'recall': {
                    'invisible': Eval('state') != 'issued',
                    'depends': ['state'],
                    },
                'sign_partner': {
                    'invisible': (Eval('state') != 'issued') | letter,
                    'depends': ['state', 'form'],
                    },
                'unsign_partner': {
                    'invisible': Eval('state') != 'signed',
                    'depends': ['state'],
                    },
                'sign_department': {
                    'invisible': (
                        ~Eval('state').in_(['issued', 'signed']) | letter
                        | (Eval('signed_department_on', None)
                            != None)),  # noqa: E711
                    'depends': ['state', 'form', 'signed_department_on'],
                    },
                'notify': {
                    'invisible': ~(
                        (Eval('state') == 'signed')
                        | (letter & (Eval('state') == 'issued'))),
                    'depends': ['state', 'form'],
                    },
                'start_closing': {
                    'invisible': Eval('state') != 'active',
                    'depends': ['state'],
                    },
                'close': {
                    'invisible': Eval('state') != 'closing',
                    'depends': ['state'],
                    },
                'reopen': {
                    'invisible': ~Eval('state').in_(list(cls._reopened)),
                    'depends': ['state'],
                    },
                'terminate': {
                    'invisible': ~Eval('state').in_(['active', 'closing']),
                    'depends': ['state'],
                    },
                'renounce': {
                    'invisible': ~Eval('state').in_(
                        before_signature + ['active']),
                    'depends': ['state'],
                    },
                'lapse': {
                    'invisible': ~Eval('state').in_(['issued', 'signed']),
                    'depends': ['state'],
                    },
                'cancel': {
                    'invisible': (~Eval('state').in_(
                            ['draft', 'negotiation', 'agreed']) | frozen),
                    'depends': ['state', 'frozen_on'],
                    },
                })

    # Where ``reopen`` leads after a step made by mistake.
    _reopened = {
        'closing': 'active',
        'closed': 'closing',
        'cancelled': 'draft',
        }

    @classmethod
    def default_kind(cls):
        return 'annual'

    @classmethod
    def default_state(cls):
        return 'draft'

    @classmethod
    def view_attributes(cls):
        late = (
            Eval('state').in_(['issued', 'signed'])
            & (Eval('issued_on', None) < Date(delta_days=-30)))
        ended = Eval('state').in_(['closed', *DEAD_STATES])
        before_vote = Eval('state').in_(['draft', 'negotiation', 'agreed'])
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(ended, 'muted', If(late, 'danger', '')),
                ['state', 'issued_on']),
            ('/tree/field[@name="next_step"]', 'visual',
                If(late, 'danger',
                    If(Eval('whose_turn') == 'officer', 'success', '')),
                ['state', 'issued_on', 'whose_turn']),
            ('//group[@id="partner_signature"]', 'states', {
                    'invisible': (
                        (Eval('state') != 'issued')
                        | (Eval('form') != 'convention')),
                    }),
            ('//group[@id="department_signature"]', 'states', {
                    'invisible': (
                        ~Eval('state').in_(['issued', 'signed'])
                        | (Eval('form') != 'convention')
                        | Bool(Eval('signed_department_on'))),
                    }),
            ('//group[@id="notification"]', 'states', {
                    'invisible': ~(
                        (Eval('state') == 'signed')
                        | ((Eval('form') == 'letter')
                            & (Eval('state') == 'issued'))),
                    }),
            ('//group[@id="amount_change"]', 'states', {
                    'invisible': ~Eval('amount_changed'),
                    }, ['amount_changed']),
            ('//group[@id="step"]', 'states', {'invisible': ended}),
            ('//group[@id="end"]', 'states', {
                    'invisible': Eval('state') == 'closed',
                    }),
            ('//group[@id="objectives"]', 'states', {
                    'invisible': Eval('form') != 'convention',
                    }),
            ('//page[@id="signatories"]', 'states', {
                    'invisible': Eval('form') != 'convention',
                    }),
            ('//page[@id="votes"]', 'states', {
                    'invisible': before_vote & ~Bool(Eval('decisions')),
                    }),
            ]

    @fields.depends(*_STEP_FIELDS)
    def on_change_with_next_step(self, name=None):
        return self._next()[0]

    @classmethod
    def search_next_step(cls, name, clause):
        return cls._search_turn(0, clause)

    @fields.depends(*_STEP_FIELDS)
    def on_change_with_whose_turn(self, name=None):
        return self._next()[1]

    @classmethod
    def search_whose_turn(cls, name, clause):
        return cls._search_turn(1, clause)

    @fields.depends(
        *_STEP_FIELDS, 'agreed_on', 'issued_on', 'signed_partner_on',
        'notified_on')
    def on_change_with_step_since(self, name=None):
        dates = {
            'agreed': [self.agreed_on, self.frozen_on,
                self.amount_confirmed_on],
            'issued': [self.issued_on],
            'signed': [self.signed_partner_on, self.signed_department_on],
            'active': [self.notified_on],
            }.get(self.state, [self.frozen_on])
        return max(filter(None, dates), default=None)

    @property
    def freezing_state(self):
        # A letter stays a draft after the vote, but is frozen all the same.
        if self.frozen_on and self.state in OPEN_STATES:
            return 'agreed'
        return self.state

    @fields.depends('scheme')
    def on_change_with_service(self, name=None):
        return self.scheme.service if self.scheme else None

    @classmethod
    def search_service(cls, name, clause):
        return [('scheme.' + clause[0], *clause[1:])]

    @classmethod
    def get_amount(cls, conventions, name):
        tranche = Pool().get('grant.tranche').__table__()
        amounts = {c.id: c.currency.round(Decimal(0)) for c in conventions}
        for sub in grouped_slice(conventions, SLICE):
            query = tranche.select(
                tranche.convention, Sum(tranche.amount),
                where=reduce_ids(tranche.convention, [c.id for c in sub]),
                group_by=[tranche.convention])
            for id_, amount in read_sums(query):
                amounts[id_] = amounts[id_] + Decimal(amount)
        for convention in conventions:
            amounts[convention.id] = convention.currency.round(
                amounts[convention.id])
        return amounts

    def get_rec_name(self, name):
        return f'{self.number} – {self.title}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('number', *clause[1:]),
            ('title', *clause[1:]),
            ('party.rec_name', *clause[1:]),
            ]

    # What a state means for a decision letter.
    _letter_statuses = {
        'issued': 'to_notify',
        'active': 'notified',
        'closed': 'settled',
        }

    @classmethod
    def get_statuses(cls):
        "Return the selection of the states and of those of letters."
        definition = cls.fields_get(['state'])['state']
        return definition['selection'] + [
            (name, gettext(f'pacte_grants.msg_convention_{name}'))
            for name in cls._letter_statuses.values()]

    @fields.depends('state', 'form')
    def on_change_with_status(self, name=None):
        if self.form == 'letter':
            return self._letter_statuses.get(self.state, self.state)
        return self.state

    @classmethod
    def search_status(cls, name, clause):
        _, operator, value = clause
        values = value if isinstance(value, (list, tuple)) else [value]
        states = {v: k for k, v in cls._letter_statuses.items()}
        found = ['OR']
        for status in values:
            if status in states:
                found.append([
                        ('form', '=', 'letter'),
                        ('state', '=', states[status]),
                        ])
            elif status in cls._letter_statuses:
                found.append([
                        ('form', '!=', 'letter'),
                        ('state', '=', status),
                        ])
            else:
                found.append(('state', '=', status))
        if operator in {'!=', 'not in'}:
            return [
                ('id', 'not in', cls.search(found, order=[], query=True))]
        return found

    @staticmethod
    def order_status(tables):
        table, _ = tables[None]
        return [table.state, table.form]

    @property
    def state_label(self):
        return dict(self.get_statuses())[self.status]

    @classmethod
    def decide_forms(cls, applications):
        """Return by application ``'convention'`` or ``'letter'``.

        A convention is due when the scheme says so or when the yearly total
        of a private-law body exceeds the threshold (L03, euros): what is
        reserved and committed, and the proposals in their order.
        """
        pool = Pool()
        Commitment = pool.get('grant.commitment')
        threshold = pool.get('grant.parameter').get('L03_CONVENTION_THRESHOLD')
        totals = defaultdict(Decimal)
        for commitment in Commitment.search([
                    ('party', 'in', list({a.party.id for a in applications})),
                    ('year', 'in', list({a.year for a in applications})),
                    ('state', 'in', ['reserved', 'committed']),
                    ]):
            totals[commitment.company, commitment.party, commitment.year] += (
                commitment.amount)
        forms = {}
        for application in applications:
            key = application.company, application.party, application.year
            totals[key] += application.proposed_amount or 0
            private = not (
                application.public_owner
                or application.party.partner_kind == 'individual')
            due = application.scheme.convention_required or (
                private and totals[key] > threshold)
            forms[application] = 'convention' if due else 'letter'
        return forms

    @classmethod
    def open(cls, applications):
        """Open the convention or letter of each application, with the
        tranche, conditions and schedule that its scheme brings.

        Raise ``CompletenessError`` if nothing is proposed yet or the dates
        are unknown, ``TransitionError`` if one is open already.
        """
        pool = Pool()
        Application = pool.get('grant.application')
        conventions = []
        applications = Application.claim(applications)
        forms = cls.decide_forms(applications)
        for application in applications:
            if (application.convention
                    and application.convention.state not in DEAD_STATES):
                raise TransitionError(gettext(
                        'pacte_grants.msg_convention_already_open',
                        application=application.rec_name,
                        convention=application.convention.rec_name))
            if (not application.proposed_amount
                    or not application.start_date
                    or not application.end_date):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_convention_open_proposal',
                        application=application.rec_name))
            convention = cls(
                company=application.company,
                party=application.party,
                form=forms[application],
                kind=('sponsorship'
                    if application.scheme.kind == 'sponsorship'
                    else 'annual'),
                scheme=application.scheme,
                year=application.year,
                title=application.title,
                purpose=application.description,
                officer=application.officer,
                start_date=application.start_date,
                end_date=application.end_date,
                signatory_name=application.party.representative_name,
                signatory_capacity=(
                    application.party.representative_capacity),
                tranches=[{
                        'year': application.year,
                        'amount': application.proposed_amount,
                        }],
                )
            conventions.append((convention, application))
        cls.save([c for c, _ in conventions])
        for convention, application in conventions:
            application.convention = convention
        Application.save([a for _, a in conventions])
        conventions = cls.browse([c.id for c, _ in conventions])
        cls._complete(conventions)
        return conventions

    @classmethod
    def copy(cls, conventions, default=None):
        "A convention is opened from an application, never copied."
        for convention in conventions:
            raise AccessError(gettext(
                    'pacte_grants.msg_convention_copy',
                    convention=convention.rec_name))
        return []

    @classmethod
    def _complete(cls, conventions):
        "Add to new conventions what their schemes bring."

    @classmethod
    def check_modification(cls, mode, conventions, values=None,
            external=False):
        super().check_modification(
            mode, conventions, values=values, external=external)
        if mode == 'delete':
            for convention in conventions:
                if convention.frozen_on:
                    raise FrozenError(gettext(
                            'pacte_grants.msg_convention_delete_frozen',
                            convention=convention.rec_name))

    @classmethod
    @ModelView.button
    def set_amounts(cls, conventions):
        "Take again the amounts proposed by the applications."
        Tranche = Pool().get('grant.tranche')
        for convention in cls.claim(conventions):
            if convention.freezing_state not in OPEN_STATES:
                cls.check_transition([convention], 'draft')
            by_year = defaultdict(Decimal)
            for application in convention.applications:
                by_year[application.year] += (
                    application.proposed_amount or Decimal(0))
            Tranche.set_amounts(convention, by_year)

    @classmethod
    @ModelView.button
    @transition('negotiation')
    def negotiate(cls, conventions):
        pass

    @classmethod
    @ModelView.button
    @transition('agreed')
    def agree(cls, conventions):
        """Record that both sides agree on the whole text; raise
        ``CompletenessError`` with everything that is still missing."""
        for convention in conventions:
            reasons = convention.get_agreement_reasons()
            if reasons:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_convention_not_agreed',
                        convention=convention.rec_name,
                        reasons='\n'.join(f'– {r}' for r in reasons)))
        cls._stamp(conventions, 'agreed')

    def get_agreement_reasons(self):
        "Return, in sentences, what prevents the text from being agreed."
        reasons = []
        proposed = sum(
            (a.proposed_amount or Decimal(0) for a in self.applications),
            Decimal(0))
        if self.amount != proposed:
            reasons.append(gettext(
                    'pacte_grants.msg_agreement_amount',
                    amount=money(self.amount),
                    proposed=money(proposed)))
        if self.form == 'convention':
            if not self.purpose:
                reasons.append(gettext(
                        'pacte_grants.msg_agreement_purpose'))
            if not self.signatory_name or not self.signatory_capacity:
                reasons.append(gettext(
                        'pacte_grants.msg_agreement_signatory'))
        return reasons

    @classmethod
    @ModelView.button
    @transition('negotiation')
    def renegotiate(cls, conventions):
        for convention in conventions:
            if convention.frozen_on or any(
                    a.state == 'scheduled' for a in convention.applications):
                raise FrozenError(gettext(
                        'pacte_grants.msg_convention_renegotiate',
                        convention=convention.rec_name))
        cls.write(conventions, {'agreed_on': None, 'agreed_by': None})

    @classmethod
    def freeze(cls, conventions, date):
        "Freeze what was agreed: the vote took place on the date (L27)."
        cls.write(conventions, {'frozen_on': date})

    @classmethod
    def unfreeze(cls, conventions):
        """Undo the freeze of a vote recorded by mistake; raise
        ``FrozenError`` once the text is out for signature."""
        for convention in conventions:
            if convention.state not in OPEN_STATES | {'agreed'}:
                raise FrozenError(gettext(
                        'pacte_grants.msg_convention_unfreeze',
                        convention=convention.rec_name,
                        state=convention.state_label))
        cls.write(conventions, {
                'frozen_on': None,
                'amount_changed': False,
                'amount_confirmed_on': None,
                'amount_confirmed_by': None,
                })

    @classmethod
    def set_voted_amount(cls, convention, year, amount):
        """Bring the tranche of the year to what was voted (euros) with its
        schedule; both sides have to confirm a change."""
        Tranche = Pool().get('grant.tranche')
        before = convention.amount
        with thaw():
            # A record is saved in the context in which it was browsed.
            Tranche.set_amounts(cls(convention.id), {year: amount})
        convention = cls(convention.id)
        Pool().get('grant.event').add([{
                    'record': convention, 'name': 'amount',
                    'before': before, 'after': convention.amount,
                    }])
        cls.write([convention], {
                'amount_changed': True,
                'amount_confirmed_on': None,
                'amount_confirmed_by': None,
                })

    @classmethod
    @ModelView.button
    def confirm_amount(cls, conventions):
        "Record that both sides accept the amount that the vote changed."
        conventions = cls.claim(conventions)
        for convention in conventions:
            if not convention.amount_changed:
                raise TransitionError(gettext(
                        'pacte_grants.msg_convention_amount_unchanged',
                        convention=convention.rec_name))
        cls._stamp(conventions, 'amount_confirmed')

    @classmethod
    @ModelView.button
    @transition('issued')
    def issue(cls, conventions):
        """Issue the sealed document for signature; for a letter, for
        notification.  The act must be voted and free of anomalies."""
        for convention in conventions:
            reasons = convention.get_issue_reasons()
            if reasons:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_convention_not_issued',
                        convention=convention.rec_name,
                        reasons='\n'.join(f'– {r}' for r in reasons)))
        cls._stamp(conventions, 'issued')

    def get_issue_reasons(self):
        "Return, in sentences, what prevents the text from being issued."
        reasons = []
        if self.form == 'convention' and self.state == 'draft':
            reasons.append(gettext('pacte_grants.msg_issue_not_agreed'))
        if not self.frozen_on:
            reasons.append(gettext('pacte_grants.msg_issue_not_voted'))
        if self.amount_changed and not self.amount_confirmed_on:
            reasons.append(gettext('pacte_grants.msg_issue_amount_changed'))
        return reasons

    @classmethod
    @ModelView.button
    def recall(cls, conventions):
        "Take back what was issued: the document is superseded."
        for form, state in [('convention', 'agreed'), ('letter', 'draft')]:
            sub = [c for c in conventions if c.form == form]
            if sub:
                cls._recall_to(state, sub)

    @classmethod
    def _recall_to(cls, state, conventions):
        @transition(state)
        def recall(cls, conventions):
            cls._check_ending_reason(conventions)
            cls.write(conventions, {
                    'issued_on': None,
                    'issued_by': None,
                    'partner_signature_date': None,
                    'department_signature_date': None,
                    'signed_department_on': None,
                    })
        recall(cls, conventions)

    @classmethod
    @ModelView.button
    @transition('signed')
    def sign_partner(cls, conventions):
        for convention in conventions:
            convention.check_form('convention')
            convention._check_signature_date(
                convention.partner_signature_date)
            if (not convention.signatory_name
                    or not convention.signatory_capacity):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_convention_signatory',
                        convention=convention.rec_name))
        cls._write_dates(
            conventions, 'signed_partner_on', 'partner_signature_date')

    @classmethod
    @ModelView.button
    @transition('issued')
    def unsign_partner(cls, conventions):
        "Undo a signature recorded by mistake; the journal keeps it."
        Pool().get('grant.event').add([{
                    'record': c, 'name': 'signed_partner_on',
                    'before': c.signed_partner_on,
                    } for c in conventions])
        cls.write(conventions, {
                'signed_partner_on': None,
                'partner_signature_date': None,
                })

    @classmethod
    @ModelView.button
    def sign_department(cls, conventions):
        "Record the Department's signature: the act must be executory (L16)."
        conventions = cls.claim(conventions)
        for convention in conventions:
            convention.check_form('convention')
            if convention.state not in {'issued', 'signed'}:
                cls.check_transition([convention], 'signed')
            convention.check_executory()
            convention._check_signature_date(
                convention.department_signature_date)
        cls._write_dates(
            conventions, 'signed_department_on', 'department_signature_date')

    def check_form(self, form):
        if self.form != form:
            raise TransitionError(gettext(
                    'pacte_grants.msg_convention_letter_not_signed',
                    convention=self.rec_name))

    def check_executory(self):
        """Raise ``CompletenessError`` unless the act that awards the grant
        is executory (L16)."""

    def _check_signature_date(self, date):
        today = Pool().get('ir.date').today()
        if date and (date > today or (
                    self.issued_on and date < self.issued_on)):
            raise PeriodError(gettext(
                    'pacte_grants.msg_convention_signature_date',
                    convention=self.rec_name,
                    date=date.strftime('%d/%m/%Y'),
                    issued=(self.issued_on or today).strftime('%d/%m/%Y')))

    @classmethod
    def _write_dates(cls, conventions, name, source):
        today = Pool().get('ir.date').today()
        by_date = defaultdict(list)
        for convention in conventions:
            by_date[getattr(convention, source) or today].append(convention)
        for date, sub in by_date.items():
            cls.write(sub, {name: date})

    @classmethod
    @ModelView.button
    @transition('active')
    def notify(cls, conventions):
        """Record the notification, which makes the convention active and
        starts the delay of payment (L05)."""
        for convention in conventions:
            convention.check_executory()
            if convention.form == 'convention' and not (
                    convention.signed_partner_on
                    and convention.signed_department_on):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_convention_notify_signatures',
                        convention=convention.rec_name))
            convention._check_signature_date(convention.notification_date)
        cls._write_dates(conventions, 'notified_on', 'notification_date')
        cls.write(conventions, {
                'notified_by': acting_user(gettext(
                        'pacte_grants.msg_act_convention')).id,
                })

    @classmethod
    @ModelView.button
    @transition('closing')
    def start_closing(cls, conventions):
        pass

    @classmethod
    @ModelView.button
    @transition('closed')
    def close(cls, conventions):
        pass

    @classmethod
    @ModelView.button
    def reopen(cls, conventions):
        "Go back after a mistake; the journal keeps the trace."
        by_state = defaultdict(list)
        for convention in conventions:
            by_state[convention.state].append(convention)
        for state, sub in by_state.items():
            target = cls._reopened.get(state)
            cls.check_transition(sub, target)
            cls._reopen_to(target, sub)

    @classmethod
    def _reopen_to(cls, target, conventions):
        Pool().get('grant.event').add([{
                    'record': c, 'name': 'state',
                    'before': c.state_label,
                    'after': cls._state_label(target),
                    } for c in conventions])

        @transition(target)
        def reopen(cls, conventions):
            pass
        reopen(cls, conventions)

    @classmethod
    @ModelView.button
    @transition('terminated')
    def terminate(cls, conventions):
        cls._check_ending_reason(conventions)
        cls._end(conventions)

    @classmethod
    @ModelView.button
    @transition('renounced')
    def renounce(cls, conventions):
        cls._check_ending_reason(conventions)
        cls._end(conventions)

    @classmethod
    @ModelView.button
    @transition('lapsed')
    def lapse(cls, conventions):
        cls._check_ending_reason(conventions)
        cls._end(conventions)

    @classmethod
    @ModelView.button
    @transition('cancelled')
    def cancel(cls, conventions):
        for convention in conventions:
            if convention.frozen_on or any(
                    a.state == 'scheduled' for a in convention.applications):
                raise FrozenError(gettext(
                        'pacte_grants.msg_convention_cancel',
                        convention=convention.rec_name))
        cls._check_ending_reason(conventions)

    @classmethod
    def _check_ending_reason(cls, conventions):
        for convention in conventions:
            if not convention.ending_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_convention_ending_reason',
                        convention=convention.rec_name))

    @classmethod
    def _end(cls, conventions):
        "Stop what is still to come: instalments and commitments."

    @classmethod
    def _stamp(cls, conventions, step):
        user = acting_user(gettext('pacte_grants.msg_act_convention'))
        cls.write(conventions, {
                f'{step}_by': user.id,
                f'{step}_on': Pool().get('ir.date').today(),
                })


class AgreedMixin:
    """A part of a convention whose fields the client shows read-only once
    the text is agreed; ``_agreed_with`` names them.  What the server refuses
    is for ``FrozenByMixin`` to say."""
    __slots__ = ()
    _agreed_with = []

    convention_state = fields.Function(fields.Selection(
            'get_convention_states', "State of the Convention"),
        'on_change_with_convention_state')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        agreed = (
            Bool(Eval('convention_state'))
            & ~Eval('convention_state').in_(list(OPEN_STATES)))
        for name in cls._agreed_with:
            field = getattr(cls, name)
            field.states = field.states | {'readonly': agreed}

    @classmethod
    def get_convention_states(cls):
        return [(None, '')] + Pool().get('grant.convention').fields_get(
            ['state'])['state']['selection']


class AgreedChildMixin(AgreedMixin):
    __slots__ = ()

    @fields.depends('convention', '_parent_convention.state')
    def on_change_with_convention_state(self, name=None):
        return self.convention.state if self.convention else None


class Tranche(
        AmountMixin, ClaimMixin, FrozenByMixin, ModelSQL, ModelView):
    "What the convention gives for one year."
    __name__ = 'grant.tranche'
    _amounts = ('amount',)
    _frozen_by = 'convention'
    _parent_states = OPEN_STATES
    _server_fields = frozenset({'status'})

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='CASCADE')
    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_company')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    year = fields.Integer(
        "Year", required=True, domain=year_domain('year'))
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True)
    status = fields.Selection([
            ('indicative', "Indicative"),
            ('voted', "Voted"),
            ], "Status", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('convention')
        cls._sql_constraints.append((
                'convention_year_unique',
                Unique(table, table.convention, table.year),
                'pacte_grants.msg_tranche_year_unique'))
        cls._order = [
            ('convention', 'ASC'), ('year', 'ASC'), ('id', 'ASC')]

    @classmethod
    def default_status(cls):
        return 'indicative'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('status') == 'voted', 'success', ''), ['status']),
            ]

    @fields.depends('convention', '_parent_convention.company')
    def on_change_with_company(self, name=None):
        return self.convention.company if self.convention else None

    @classmethod
    def search_company(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    @fields.depends('convention', '_parent_convention.company')
    def on_change_with_currency(self, name=None):
        if self.convention and self.convention.company:
            return self.convention.company.currency

    def get_rec_name(self, name):
        return f'{self.convention.number} / {self.year}'

    @classmethod
    def set_amounts(cls, convention, amounts):
        """Bring the tranches of the convention to ``amounts``, euros by
        year, and their instalments with them, exact to the cent."""
        tranches = {t.year: t for t in convention.tranches}
        to_save = []
        for year, amount in amounts.items():
            tranche = tranches.get(year)
            if not tranche:
                to_save.append(cls(
                        convention=convention, year=year, amount=amount))
            elif tranche.amount != amount:
                to_save.append(tranche)
        cls._set_amounts(to_save, amounts)

    @classmethod
    def _set_amounts(cls, tranches, amounts):
        for tranche in tranches:
            tranche.amount = amounts[tranche.year]
        cls.save(tranches)

    @classmethod
    def set_status(cls, tranches, status):
        cls.write(tranches, {'status': status})


class Application(metaclass=PoolMeta):
    __name__ = 'grant.application'

    convention = fields.Many2One(
        'grant.convention', "Convention", readonly=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.convention, Index.Equality())))
        cls._buttons.update({
                'open_convention': {
                    'invisible': ~Eval('state').in_(
                        ['admissible', 'reviewed'])
                    | Eval('convention'),
                    'depends': ['state', 'convention'],
                    },
                })

    @classmethod
    def copy(cls, applications, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('convention', None)
        return super().copy(applications, default=default)

    @classmethod
    @ModelView.button_action('pacte_grants.act_convention_of_application')
    def open_convention(cls, applications):
        "Open the convention or letter and show it."
        for application in applications:
            if application.state not in {'admissible', 'reviewed'}:
                raise TransitionError(gettext(
                        'pacte_grants.msg_convention_open_state',
                        application=application.rec_name,
                        state=application.state_label))
        conventions = Pool().get('grant.convention').open(applications)
        return {'res_id': [c.id for c in conventions]}

    def check_award(self, form):
        """Raise an error unless the proposal may go to a session: reviewed,
        with an agreed convention or a letter of the same amount, of the
        ``form`` that is due."""
        self.check_proposal()
        if not self.proposed_amount:
            raise AmountError(gettext(
                    'pacte_grants.msg_schedule_nothing',
                    application=self.rec_name))
        convention = self.convention
        if not convention or convention.state in DEAD_STATES:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_schedule_no_convention',
                    application=self.rec_name))
        if convention.form == 'convention' and convention.state != 'agreed':
            raise CompletenessError(gettext(
                    'pacte_grants.msg_schedule_not_agreed',
                    application=self.rec_name,
                    convention=convention.rec_name,
                    state=convention.state_label))
        if form == 'convention' and convention.form == 'letter':
            raise CompletenessError(gettext(
                    'pacte_grants.msg_schedule_letter_too_large',
                    application=self.rec_name))
        reasons = convention.get_agreement_reasons()
        if reasons:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_convention_not_agreed',
                    convention=convention.rec_name,
                    reasons='\n'.join(f'– {r}' for r in reasons)))


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('grant.convention', 'party'),
            ]
