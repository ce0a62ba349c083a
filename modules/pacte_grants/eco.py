# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Eco-responsibility: what a scheme asks.

The Pact (ambition 8) makes grants depend on real ecological care.  A scheme
says how: as a prerequisite of admission, by modulating its scale, or by
actions that the partner takes on in the convention.
"""
from decimal import Decimal
from fractions import Fraction

from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval

from .check import AmountMixin

MODES = [
    ('none', "Not Asked"),
    ('prerequisite', "Prerequisite"),
    ('modulation', "Modulation of the Scale"),
    ('commitment', "Actions in the Convention"),
    ]
MAXIMUM_SCORE = 3
SCORE_HELP = "0: absent, 1: planned, 2: done, 3: done and measured."


def score_domain(name, minimum=0):
    "Return the domain of the field of a score, which may be unknown."
    return ['OR',
        (name, '=', None),
        [(name, '>=', minimum), (name, '<=', MAXIMUM_SCORE)],
        ]


def ratio_domain(name):
    "Return the domain of the field of a share, which may be unknown."
    return ['OR', (name, '=', None), [(name, '>=', 0), (name, '<=', 1)]]


class Scheme(metaclass=PoolMeta):
    __name__ = 'grant.scheme'

    eco_mode = fields.Selection(
        MODES, "Eco-responsibility", required=True, sort=False,
        help="How the grant depends on ecological care (Pact, ambition 8).")
    eco_themes_required = fields.Integer(
        "Themes Required",
        domain=['OR',
            ('eco_themes_required', '=', None),
            ('eco_themes_required', '>=', 1),
            ],
        states={
            'invisible': Eval('eco_mode') != 'prerequisite',
            'required': Eval('eco_mode') == 'prerequisite',
            },
        help="How many themes the application has to score at least 1.")
    eco_malus = fields.Numeric(
        "Reduction", digits=(1, 4), domain=ratio_domain('eco_malus'),
        states={
            'invisible': Eval('eco_mode') != 'modulation',
            'required': Eval('eco_mode') == 'modulation',
            },
        help="What the scale loses at the lowest score.")
    eco_bonus = fields.Numeric(
        "Increase", digits=(1, 4), domain=ratio_domain('eco_bonus'),
        states={
            'invisible': Eval('eco_mode') != 'modulation',
            'required': Eval('eco_mode') == 'modulation',
            },
        help="What the scale gains at the highest score; in between the "
        "effect is proportional to the score.")
    eco_maximum_rate = fields.Numeric(
        "Maximum Rate with the Increase", digits=(1, 4),
        domain=ratio_domain('eco_maximum_rate'),
        states={'invisible': Eval('eco_mode') != 'modulation'},
        help="Share of the eligible cost that the increase never exceeds; "
        "80 % at most where the owner keeps a fifth at its charge (L18).")
    eco_share = fields.Numeric(
        "Share of the Balance at Stake", digits=(1, 4),
        domain=ratio_domain('eco_share'),
        states={
            'invisible': Eval('eco_mode') != 'commitment',
            },
        help="What the grant loses, as a share of its balance, if the "
        "actions are not proved.")
    eco_brackets = fields.One2Many(
        'grant.scheme.eco.bracket', 'scheme', "Actions by Amount",
        states={'invisible': Eval('eco_mode') != 'commitment'},
        help="Proposed from the parameters when left empty.")

    @classmethod
    def default_eco_mode(cls):
        return 'none'

    @classmethod
    def default_eco_malus(cls):
        return Decimal(0)

    @classmethod
    def default_eco_bonus(cls):
        return Decimal(0)

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            (f'//group[@id="eco_{mode}"]', 'states', {
                    'invisible': Eval('eco_mode') != mode,
                    }, ['eco_mode'])
            for mode, _ in MODES if mode != 'none']

    @classmethod
    def on_modification(cls, mode, schemes, field_names=None):
        super().on_modification(mode, schemes, field_names=field_names)
        if mode == 'create' or (mode == 'write' and 'eco_mode' in field_names):
            cls._propose_brackets(schemes)

    @classmethod
    def _propose_brackets(cls, schemes):
        pool = Pool()
        Bracket = pool.get('grant.scheme.eco.bracket')
        Parameter = pool.get('grant.parameter')
        schemes = [
            s for s in schemes
            if s.eco_mode == 'commitment' and not s.eco_brackets]
        if not schemes:
            return
        small, medium = (
            int(Parameter.get(f'ECO_ACTIONS_{size}'))
            for size in ['SMALL', 'MEDIUM'])
        rows = [
            (Decimal(0), small, False),
            (Parameter.get('ECO_BRACKET_MEDIUM'), medium, False),
            # "Above 23,000" begins with the next cent.
            (Parameter.get('ECO_BRACKET_LARGE') + Decimal('0.01'),
                medium, True),
            ]
        Bracket.create([{
                    'scheme': scheme.id,
                    'minimum_amount': minimum,
                    'actions': actions,
                    'figures_required': figures,
                    }
                for scheme in schemes
                for minimum, actions, figures in rows])

    def get_eco_bracket(self, amount):
        """Return the bracket of the amount (euros), ``None`` outside the
        mode of commitments or below the first bracket."""
        if self.eco_mode != 'commitment':
            return None
        return max(
            (b for b in self.eco_brackets if b.minimum_amount <= amount),
            key=lambda b: b.minimum_amount, default=None)

    def get_eco_coefficient(self, eco_rate):
        """Return by what (a ``Fraction``) the score multiplies the scale.

        ``eco_rate`` is the score as a share of the highest one, 0 to 1: at
        0 the scale loses ``eco_malus``, at 1 it gains ``eco_bonus``, in
        between it moves in a straight line.
        """
        malus = Fraction(self.eco_malus or 0)
        bonus = Fraction(self.eco_bonus or 0)
        return 1 - malus + (malus + bonus) * Fraction(eco_rate)

    def compute_amount(self, eligible_cost, eco_rate=None):
        """Return the amount of the scale, modulated by the score.

        The modulated amount exceeds neither the maximum amount of the
        scheme, nor the eligible cost, nor ``eco_maximum_rate`` of it.
        """
        amount = super().compute_amount(eligible_cost)
        if (not amount or eco_rate is None
                or self.eco_mode != 'modulation'):
            return amount
        exact = Fraction(amount) * self.get_eco_coefficient(eco_rate)
        modulated = self.currency.round(
            Decimal(exact.numerator) / Decimal(exact.denominator))
        return min(modulated, *self.get_eco_limits(eligible_cost).values())

    def get_eco_limits(self, eligible_cost):
        "Return by name what the modulated amount (euros) never exceeds."
        limits = {'eligible_cost': eligible_cost}
        if self.maximum_amount is not None:
            limits['maximum_amount'] = self.maximum_amount
        if self.eco_maximum_rate is not None:
            limits['eco_maximum_rate'] = self.currency.round(
                eligible_cost * self.eco_maximum_rate)
        return limits


class SchemeBracket(AmountMixin, ModelSQL, ModelView):
    "How many eco-responsible actions the amount of the grant asks."
    __name__ = 'grant.scheme.eco.bracket'
    _amounts = ('minimum_amount', 'actions')

    scheme = fields.Many2One(
        'grant.scheme', "Scheme", required=True, ondelete='CASCADE')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    minimum_amount = Monetary(
        "From", currency='currency', digits='currency', required=True)
    actions = fields.Integer("Actions", required=True)
    figures_required = fields.Boolean(
        "Figures Required",
        help="Each action has an indicator with its starting value and its "
        "target.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('scheme')
        cls._order = [
            ('scheme', 'ASC'), ('minimum_amount', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.append((
                'scheme_amount_unique',
                Unique(table, table.scheme, table.minimum_amount),
                'pacte_grants.msg_eco_bracket_unique'))

    @classmethod
    def default_minimum_amount(cls):
        return Decimal(0)

    @fields.depends('scheme', '_parent_scheme.currency')
    def on_change_with_currency(self, name=None):
        return self.scheme.currency if self.scheme else None

    def get_rec_name(self, name):
        return f'{self.scheme.rec_name} – {self.actions}'
