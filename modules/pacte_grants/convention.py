# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Conventions and decision letters and their life."
from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import (
    ChatMixin, Index, ModelSQL, ModelView, Unique, fields)
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Date, Eval, If

from .check import PeriodMixin, bulleted, money
from .configuration import NumberedMixin
from .exceptions import (
    AmountError, CompletenessError, FrozenError, PartnerError, PeriodError,
    TransitionError)
from .mixin import (
    ReopenMixin, StatusMixin, TurnMixin, WorkflowMixin, acting_user,
    comes_from_outside, transition)
from .scheme import CompanyMixin
from .search import search_flag

OPEN_STATES = frozenset({'draft', 'negotiation'})
LIVE_STATES = frozenset({'active', 'closing'})
DEAD_STATES = frozenset({'terminated', 'lapsed', 'renounced', 'cancelled'})
_STATES_OPEN = {'readonly': ~Eval('state').in_(['draft', 'negotiation'])}
_STATES_CONVENTION = {'invisible': Eval('form') != 'convention'}
_STATES_SIGNATORY = {'readonly': ~Eval('state').in_(
        ['draft', 'negotiation', 'agreed', 'issued'])}
_STEP_FIELDS = [
    'state', 'form', 'frozen_on', 'amount_changed', 'amount_confirmed_on',
    'signed_department_on', 'on_agenda']
_SIGNATORY = frozenset({
        'signatory_name', 'signatory_capacity', 'signatory_power'})
_FREE = frozenset({'officer', 'ending_reason', 'notification_date'})


class Convention(
        PeriodMixin, StatusMixin, TurnMixin, ReopenMixin, WorkflowMixin,
        NumberedMixin, CompanyMixin, ModelSQL, ModelView, ChatMixin):
    __name__ = 'grant.convention'
    _numbering = 'convention'
    _steps = [
        ('negotiate', 'officer', {'state': 'draft', 'form': 'convention'}),
        ('agree', 'officer', {'state': 'negotiation'}),
        ('schedule', 'officer', {
                'state': 'agreed', 'frozen_on': False, 'on_agenda': False}),
        ('schedule', 'officer', {
                'state': 'draft', 'form': 'letter', 'frozen_on': False,
                'on_agenda': False}),
        ('vote', 'assembly', {
                'state': 'agreed', 'frozen_on': False, 'on_agenda': True}),
        ('vote', 'assembly', {
                'state': 'draft', 'form': 'letter', 'frozen_on': False,
                'on_agenda': True}),
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
        ('confirm_amount', 'officer', {
                'state': 'active', 'amount_changed': True,
                'amount_confirmed_on': False}),
        ('follow', 'officer', {'state': 'active', 'amount_changed': False}),
        ('follow', 'officer', {
                'state': 'active', 'amount_changed': True,
                'amount_confirmed_on': True}),
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
    on_agenda = fields.Function(
        fields.Boolean("On an Agenda"),
        'on_change_with_on_agenda', searcher='search_on_agenda')
    start_date = fields.Date(
        "Start Date", required=True, states=_STATES_OPEN)
    end_date = fields.Date("End Date", required=True, states=_STATES_OPEN)
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
                ('schedule', "Propose and Put on an Agenda"),
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
    def default_get(
            cls, fields_names=None, with_rec_name=True, with_default=True):
        # The form of a new record, which could not be saved.
        if with_rec_name and comes_from_outside():
            raise AccessError(gettext('pacte_grants.msg_convention_new'))
        return super().default_get(
            fields_names, with_rec_name=with_rec_name,
            with_default=with_default)

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
            ('//group[@id="objectives" or @id="versions"]', 'states', {
                    'invisible': Eval('form') != 'convention',
                    }),
            ('//page[@id="results"]', 'states', {
                    'invisible': Eval('form') != 'convention',
                    }),
            ('//page[@id="signatories"]', 'states', {
                    'invisible': Eval('form') != 'convention',
                    }),
            ('//page[@id="votes"]', 'states', {
                    'invisible': before_vote & ~Bool(Eval('decisions')),
                    }),
            ]

    @fields.depends('applications')
    def on_change_with_on_agenda(self, name=None):
        return any(a.state == 'scheduled' for a in self.applications or [])

    @classmethod
    def search_on_agenda(cls, name, clause):
        return search_flag(
            clause,
            [('applications', 'where', [('state', '=', 'scheduled')])],
            [('applications', 'not where', [('state', '=', 'scheduled')])])

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

    @property
    def schemes(self):
        "The schemes of the applications, that of the convention first."
        return list(dict.fromkeys(
                [self.scheme, *(a.scheme for a in self.applications)]))

    @fields.depends('scheme')
    def on_change_with_service(self, name=None):
        return self.scheme.service if self.scheme else None

    @classmethod
    def search_service(cls, name, clause):
        return [('scheme.' + clause[0], *clause[1:])]

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
    _status_field = 'form'
    _status_value = 'letter'
    _statuses = {
        'issued': 'to_notify',
        'active': 'notified',
        'closed': 'settled',
        }

    @fields.depends('state', 'form')
    def on_change_with_status(self, name=None):
        return self._get_status()

    @classmethod
    def decide_forms(cls, applications):
        """Return by application ``'convention'`` or ``'letter'``.

        A convention is due when the scheme says so or when the yearly total
        of a private-law body exceeds the threshold (L03, euros): what is
        reserved and committed, the confirmed aid in kind, and the proposals
        in their order.
        """
        pool = Pool()
        threshold = pool.get('grant.parameter').get('L03_CONVENTION_THRESHOLD')
        totals = defaultdict(Decimal, {
                key: aid.total for key, aid in cls._get_aid(
                    applications).items()})
        forms = {}
        for application in applications:
            key = application._aid_key
            totals[key] += application.proposed_amount or 0
            private = not (
                application.public_owner
                or application.party.partner_kind == 'individual')
            # A letter awards an amount: what is given without money needs
            # a convention too.
            due = (
                application.scheme.convention_required
                or application.without_money
                or (private and totals[key] > threshold))
            forms[application] = 'convention' if due else 'letter'
        return forms

    @staticmethod
    def _get_aid(applications):
        """Return what the partners of the applications are given in their
        years, votes under way included (see ``grant.in_kind``)."""
        return Pool().get('grant.in_kind').get_aid(
            [a.party for a in applications], [a.year for a in applications],
            ['reserved', 'committed'])

    @classmethod
    def open(cls, applications, together=False):
        """Open the convention or letter of each application, or one
        convention for them all, with the tranches, conditions and schedule
        that their schemes bring.

        Raise ``CompletenessError`` if nothing is proposed yet or the dates
        are unknown, ``TransitionError`` if one is open already, and
        ``PartnerError`` if they are not all of one partner.
        """
        Application = Pool().get('grant.application')
        applications = Application.claim(applications)
        for application in applications:
            cls._check_open(application)
        forms = cls.decide_forms(applications)
        groups = [applications] if together else [[a] for a in applications]
        conventions = []
        for group in groups:
            values = cls._open_values(group)
            values['form'] = (
                'convention' if len(group) > 1 else forms[group[0]])
            conventions.append(cls(**values))
        cls.save(conventions)
        for convention, group in zip(conventions, groups, strict=True):
            for application in group:
                application.convention = convention
        Application.save([a for group in groups for a in group])
        conventions = cls.browse([c.id for c in conventions])
        cls._complete(conventions)
        return conventions

    @classmethod
    def _check_open(cls, application):
        if (application.convention
                and application.convention.state not in DEAD_STATES):
            raise TransitionError(gettext(
                    'pacte_grants.msg_convention_already_open',
                    application=application.rec_name,
                    convention=application.convention.rec_name))
        if (not application.has_proposal
                or not application.start_date
                or not application.end_date):
            raise CompletenessError(gettext(
                    'pacte_grants.msg_convention_open_proposal',
                    application=application.rec_name))

    @classmethod
    def _open_values(cls, applications):
        "Return the values of the convention of the applications."
        main = max(applications, key=lambda a: a.proposed_amount)
        for application in applications:
            if (application.party, application.company) != (
                    main.party, main.company):
                raise PartnerError(gettext(
                        'pacte_grants.msg_convention_open_partners',
                        application=application.rec_name,
                        party=application.party.rec_name,
                        other=main.party.rec_name))
        amounts = defaultdict(Decimal)
        for application in applications:
            amounts[application.year] += application.proposed_amount
        title = main.title
        if len(applications) > 1:
            title = gettext(
                'pacte_grants.msg_convention_open_title',
                party=main.party.rec_name, year=min(amounts))
        return {
            'company': main.company,
            'party': main.party,
            'kind': cls._open_kind(applications),
            'scheme': main.scheme,
            'year': min(amounts),
            'title': title,
            'purpose': '\n\n'.join(
                a.description for a in applications if a.description),
            'officer': main.officer,
            'start_date': min(a.start_date for a in applications),
            'end_date': max(a.end_date for a in applications),
            'signatory_name': main.party.representative_name,
            'signatory_capacity': main.party.representative_capacity,
            'tranches': [
                {'year': year, 'amount': amount}
                for year, amount in sorted(amounts.items()) if amount],
            }

    @classmethod
    def _open_kind(cls, applications):
        schemes = {a.scheme for a in applications}
        if {s.kind for s in schemes} == {'sponsorship'}:
            return 'sponsorship'
        if (applications[0].party.partner_kind == 'epci'
                and len(schemes) > 1):
            return 'umbrella'
        if len({a.year for a in applications}) > 1:
            return 'multi_year'
        return 'annual'

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
            convention.check_agreement()
        cls._stamp(conventions, 'agreed')

    def check_agreement(self):
        """Raise ``CompletenessError`` with everything that prevents the text
        from being agreed."""
        if reasons := self.get_agreement_reasons():
            raise CompletenessError(gettext(
                    'pacte_grants.msg_convention_not_agreed',
                    convention=self.rec_name,
                    reasons=bulleted(reasons)))

    def get_agreement_reasons(self):
        "Return, in sentences, what prevents the text from being agreed."
        reasons = []
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
        cls.write(
            [c for c in conventions if not c.frozen_on], {'frozen_on': date})

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
                        reasons=bulleted(reasons)))
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
            Pool().get('grant.event').add([{
                        'record': c, 'name': 'signed_department_on',
                        'before': c.signed_department_on,
                        'reason': c.ending_reason,
                        } for c in conventions if c.signed_department_on])
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
    def content_names(cls):
        "Return the names of the fields that both parties agree on."
        parents = {'convention', 'side'}
        if path := getattr(cls, '_frozen_by', None):
            parents.add(path.split('.')[0])
        return [n for n in cls._agreed_with if n not in parents]

    @classmethod
    def get_convention_states(cls):
        return [(None, '')] + Pool().get('grant.convention').fields_get(
            ['state'])['state']['selection']


class AgreedChildMixin(AgreedMixin):
    __slots__ = ()

    @fields.depends('convention', '_parent_convention.state')
    def on_change_with_convention_state(self, name=None):
        return self.convention.state if self.convention else None


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
        opened = {
            'invisible': ~Eval('state').in_(['admissible', 'reviewed'])
            | Eval('convention'),
            'depends': ['state', 'convention'],
            }
        cls._buttons.update({
                'open_convention': opened,
                'open_joint_convention': opened,
                })

    @classmethod
    def copy(cls, applications, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('convention', None)
        return super().copy(applications, default=default)

    @property
    def has_proposal(self):
        "Whether an amount is proposed; a sponsorship may be without money."
        return bool(self.proposed_amount) or (
            self.proposed_amount is not None
            and self.scheme.kind == 'sponsorship')

    @classmethod
    @ModelView.button_action('pacte_grants.act_convention_of_application')
    def open_convention(cls, applications):
        "Open the convention or letter of each and show them."
        return cls._open_conventions(applications)

    @classmethod
    @ModelView.button_action('pacte_grants.act_convention_of_application')
    def open_joint_convention(cls, applications):
        "Open one convention for all, whatever schemes and envelopes."
        return cls._open_conventions(applications, together=True)

    @classmethod
    def _open_conventions(cls, applications, together=False):
        for application in applications:
            if application.state not in {'admissible', 'reviewed'}:
                raise TransitionError(gettext(
                        'pacte_grants.msg_convention_open_state',
                        application=application.rec_name,
                        state=application.state_label))
        if not applications:
            return {'res_id': []}
        conventions = Pool().get('grant.convention').open(
            applications, together=together)
        return {'res_id': [c.id for c in conventions]}

    @property
    def _aid_key(self):
        "Where ``grant.in_kind`` counts what the partner is given."
        return self.company.id, self.party.id, self.year

    def check_award(self, form):
        """Raise an error unless the proposal may go to a session: reviewed,
        with an agreed convention or a letter of the same amount, of the
        ``form`` that is due."""
        self.check_proposal()
        if not self.has_proposal:
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
            pool = Pool()
            aid = pool.get('grant.convention')._get_aid([self])[self._aid_key]
            raise CompletenessError(gettext(
                    'pacte_grants.msg_schedule_letter_too_large',
                    application=self.rec_name,
                    proposed=money(self.proposed_amount),
                    cash=money(aid.cash),
                    in_kind=money(aid.in_kind),
                    threshold=money(pool.get('grant.parameter').get(
                            'L03_CONVENTION_THRESHOLD'))))
        convention.check_agreement()


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('grant.convention', 'party'),
            ]
