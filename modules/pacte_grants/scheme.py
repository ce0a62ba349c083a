# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Schemes of aid, their calls and what they bring to a dossier."
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelView, Unique, fields,
    sequence_ordered)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool
from trytond.pyson import Bool, Eval, If
from trytond.transaction import Transaction

from .check import AmountMixin, PeriodMixin, year_domain
from .exceptions import AmountError

DOMAINS = [
    ('youth', "Youth"),
    ('education', "Education"),
    ('culture', "Culture"),
    ('sport', "Sport"),
    ]
LEVELS = [
    ('light', "Light"),
    ('standard', "Standard"),
    ('full', "Full"),
    ]
CONDITION_KINDS = [
    ('eco', "Eco-responsibility"),
    ('tariff', "Tariff Accessibility"),
    ('equality', "Equality"),
    ('disability', "Disability"),
    ('youth', "Youth"),
    ('communication', "Communication"),
    ('other', "Other"),
    ]
INSTALMENT_KINDS = [
    ('advance', "Advance"),
    ('interim', "Interim Payment"),
    ('balance', "Balance"),
    ('single', "Single Payment"),
    ]
TRIGGERS = [
    ('notification', "Notification"),
    ('date', "Date"),
    ('condition', "Undertaking Met"),
    ('indicator', "Indicator Reached"),
    ('report', "Financial Report Accepted"),
    ('cost', "Share of Eligible Cost Justified"),
    ]
PIECE_KINDS = [
    ('statutes', "Statutes"),
    ('board', "List of Board Members"),
    ('bank_details', "Bank Details"),
    ('accounts', "Approved Accounts"),
    ('activity_report', "Activity Report"),
    ('auditor_report', "Auditor's Report"),
    ('signatory_power', "Power of the Signatory"),
    ('republican_commitment', "Republican Commitment Contract"),
    ('tariff_grid', "Tariff Grid"),
    ('eco_sheet', "Eco-responsibility Sheet"),
    ('cofunding', "Co-funding Letter"),
    ('financial_report', "Financial Report"),
    ('deliberation', "Deliberation of the Owner"),
    ('project', "Description of the Project"),
    ('running_costs', "Running Cost Sheet"),
    ('other', "Other"),
    ]


def company_currency(record):
    company = record.company
    return company.currency if company else None


class CompanyMixin:
    "A record that belongs to one company, with its currency."
    __slots__ = ()

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')

    @fields.depends('company')
    def on_change_with_currency(self, name=None):
        return company_currency(self)


class Scheme(
        AmountMixin, CompanyMixin, DeactivableMixin, ModelSQL, ModelView):
    __name__ = 'grant.scheme'
    _amounts = ('maximum_amount', 'maximum_rate', 'minimum_cost')

    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)
    service = fields.Many2One(
        'grant.service', "Service", required=True, ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        help="The service that examines the applications.")
    domain = fields.Selection(DOMAINS, "Domain", required=True, sort=False)
    kind = fields.Selection([
            ('operating', "Operating"),
            ('project', "Project"),
            ('investment', "Investment"),
            ('sponsorship', "Sponsorship"),
            ], "Kind", required=True, sort=False)
    level = fields.Selection(
        LEVELS, "Level", required=True, sort=False,
        help="How much is asked from the applicant: light for small grants, "
        "full for the largest ones.")
    partner_kinds = fields.MultiSelection(
        'get_partner_kinds', "Beneficiaries",
        help="Who may apply. Leave empty for everybody.")
    orientations = fields.Many2Many(
        'grant.scheme-grant.orientation', 'scheme', 'orientation',
        "Orientations of the Pact")
    description = fields.Text("Description")
    convention_required = fields.Boolean(
        "Convention Required",
        help="Sign a convention whatever the amount. Otherwise the legal "
        "threshold decides (L03).")
    tariff_required = fields.Boolean(
        "Tariff Condition Required",
        help="A convention of this scheme holds a condition on tariff "
        "accessibility.")
    maximum_rate = fields.Numeric(
        "Maximum Rate", digits=(1, 4),
        domain=[
            If(Eval('maximum_rate', None) != None,  # noqa: E711
                ('maximum_rate', '<=', 1),
                ()),
            ],
        help="Share of the eligible cost that the grant may reach.")
    maximum_amount = Monetary(
        "Maximum Amount", currency='currency', digits='currency')
    minimum_cost = Monetary(
        "Minimum Cost", currency='currency', digits='currency',
        help="Eligible cost below which no grant is given.")
    calls = fields.One2Many('grant.call', 'scheme', "Calls")
    pieces = fields.One2Many('grant.scheme.piece', 'scheme', "Pieces")
    conditions = fields.One2Many(
        'grant.scheme.condition', 'scheme', "Conditions")
    instalments = fields.One2Many(
        'grant.scheme.instalment', 'scheme', "Payment Schedule")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'company_code_unique',
                Unique(table, table.company, table.code),
                'pacte_grants.msg_scheme_code_unique'))
        cls._order = [('code', 'ASC'), ('id', 'ASC')]

    @classmethod
    def default_level(cls):
        return 'standard'

    @classmethod
    def default_kind(cls):
        return 'project'

    @classmethod
    def get_partner_kinds(cls):
        Party = Pool().get('party.party')
        selection = Party.fields_get(['partner_kind'])[
            'partner_kind']['selection']
        return [(value, label) for value, label in selection if value]

    def get_rec_name(self, name):
        return f'[{self.code}] {self.name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op, ('code', *clause[1:]), ('name', *clause[1:])]

    def get_balance(self, amount):
        """Return what the template of payments leaves to the balance of a
        year of the amount (Decimal, euros): the whole of a single payment."""
        if not self.instalments:
            return amount
        rest = max(amount - sum(
                (line.amount or 0 for line in self.instalments), Decimal(0)),
            Decimal(0))
        balance = sum(
            (line.amount or rest * line.share for line in self.instalments
                if line.kind in {'balance', 'single'}), Decimal(0))
        return min(balance, amount)

    def compute_amount(self, eligible_cost):
        """Return the amount (euros) that the scale gives for the eligible
        cost, or ``None`` if the scheme has no scale."""
        if eligible_cost is None or (
                self.maximum_rate is None and self.maximum_amount is None):
            return None
        if self.minimum_cost and eligible_cost < self.minimum_cost:
            return Decimal(0)
        amount = eligible_cost
        if self.maximum_rate is not None:
            amount = self.currency.round(amount * self.maximum_rate)
        if self.maximum_amount is not None:
            amount = min(amount, self.maximum_amount)
        return amount


class SchemeOrientation(ModelSQL):
    __name__ = 'grant.scheme-grant.orientation'

    scheme = fields.Many2One(
        'grant.scheme', "Scheme", required=True, ondelete='CASCADE')
    orientation = fields.Many2One(
        'grant.orientation', "Orientation", required=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('scheme')


class Call(PeriodMixin, CompanyMixin, ModelSQL, ModelView):
    __name__ = 'grant.call'
    _period = ('opens_on', 'closes_on')

    scheme = fields.Many2One(
        'grant.scheme', "Scheme", required=True, ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))])
    name = fields.Char("Name", required=True)
    year = fields.Integer(
        "Year", required=True, domain=year_domain('year'))
    opens_on = fields.Date("Opens On", required=True)
    closes_on = fields.Date("Closes On", required=True)
    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'scheme_name_unique',
                Unique(table, table.scheme, table.name),
                'pacte_grants.msg_call_name_unique'))
        cls._sql_indexes.add(Index(table, (table.scheme, Index.Equality())))
        cls._order = [
            ('closes_on', 'DESC'), ('name', 'ASC'), ('id', 'ASC')]

    def get_rec_name(self, name):
        return f'{self.name} ({self.scheme.code})'


class SchemePiece(sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'grant.scheme.piece'

    scheme = fields.Many2One(
        'grant.scheme', "Scheme", required=True, ondelete='CASCADE')
    kind = fields.Selection(PIECE_KINDS, "Kind", required=True)
    kind_string = kind.translated('kind')
    name = fields.Char(
        "Name", help="What is asked; by default the kind of piece.")
    required = fields.Boolean("Required")
    partner_kinds = fields.MultiSelection(
        'get_partner_kinds', "Asked From",
        help="Who has to give it. Leave empty for everybody.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('scheme')

    @classmethod
    def default_required(cls):
        return True

    @classmethod
    def get_partner_kinds(cls):
        return Pool().get('grant.scheme').get_partner_kinds()

    def get_rec_name(self, name):
        return self.name or self.kind_string


class SchemeCondition(
        AmountMixin, sequence_ordered(), ModelSQL, ModelView):
    "What the partner is asked to undertake, by amount bracket."
    __name__ = 'grant.scheme.condition'
    _amounts = ('minimum_amount', 'maximum_amount', 'penalty_rate')

    scheme = fields.Many2One(
        'grant.scheme', "Scheme", required=True, ondelete='CASCADE')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    kind = fields.Selection(
        CONDITION_KINDS, "Kind", required=True, sort=False)
    text = fields.Text("Text", required=True)
    evidence = fields.Char("Expected Evidence")
    blocks = fields.MultiSelection(
        INSTALMENT_KINDS, "Holds Back", required=True, sort=False,
        help="The instalments that wait for the condition.")
    delay = fields.Integer(
        "Delay", required=True,
        help="Days after the end of the convention; negative before it.")
    penalty_rate = fields.Numeric(
        "Penalty Rate", digits=(1, 4),
        help="Share of the grant by which a miss reduces it.")
    minimum_amount = Monetary(
        "From", currency='currency', digits='currency',
        help="Amount of the grant from which the condition applies.")
    maximum_amount = Monetary(
        "Below", currency='currency', digits='currency',
        help="Amount of the grant from which it no longer applies.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('scheme')

    @classmethod
    def default_blocks(cls):
        return ('balance',)

    @classmethod
    def default_delay(cls):
        return 0

    @fields.depends('scheme', '_parent_scheme.currency')
    def on_change_with_currency(self, name=None):
        return self.scheme.currency if self.scheme else None

    def applies(self, amount):
        "Return whether the condition is asked for a grant of the amount."
        return (
            (self.minimum_amount is None or amount >= self.minimum_amount)
            and (self.maximum_amount is None or amount < self.maximum_amount))


class SchemeInstalment(
        AmountMixin, sequence_ordered(), ModelSQL, ModelView):
    """One line of the template of payments of each yearly tranche: a fixed
    amount, or a share of what the fixed amounts leave."""
    __name__ = 'grant.scheme.instalment'
    _amounts = ('amount',)

    scheme = fields.Many2One(
        'grant.scheme', "Scheme", required=True, ondelete='CASCADE')
    kind = fields.Selection(
        INSTALMENT_KINDS, "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    share = fields.Numeric(
        "Share", digits=(1, 4),
        domain=[If(Bool(Eval('share')),
                [('share', '>', 0), ('share', '<=', 1)],
                [('share', '=', None)])],
        states={
            'required': ~Eval('amount'),
            'readonly': Bool(Eval('amount')),
            },
        help="Of what the fixed amounts leave of the year.")
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    amount = Monetary(
        "Amount", currency='currency', digits='currency',
        states={'readonly': Bool(Eval('share'))},
        help="A fixed amount of each year, instead of a share.")
    trigger = fields.Selection(
        TRIGGERS, "Trigger", required=True, sort=False)
    delay = fields.Integer(
        "Delay", required=True,
        help="Days after what triggers it, or after 1 January of the year of "
        "the tranche.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('scheme')

    def get_rec_name(self, name):
        return f'{self.scheme.rec_name} – {self.kind_string}'

    @fields.depends('scheme', '_parent_scheme.currency')
    def on_change_with_currency(self, name=None):
        return self.scheme.currency if self.scheme else None

    @classmethod
    def validate_fields(cls, lines, field_names):
        super().validate_fields(lines, field_names)
        if field_names is None or field_names & {'share', 'amount'}:
            for line in lines:
                if bool(line.share) == bool(line.amount):
                    raise AmountError(gettext(
                            'pacte_grants.msg_scheme_instalment_either',
                            line=line.rec_name))

    @classmethod
    def default_trigger(cls):
        return 'notification'

    @classmethod
    def default_delay(cls):
        return 0
