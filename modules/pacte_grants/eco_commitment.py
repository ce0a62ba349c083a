# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The eco-responsible actions that a partner takes on in a convention."
from collections import defaultdict
from decimal import Decimal
from itertools import zip_longest

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval
from trytond.transaction import Transaction

from .check import money
from .convention import OPEN_STATES, AgreedChildMixin
from .eco import MAXIMUM_SCORE, SCORE_HELP, score_domain
from .eco_library import DIRECTIONS
from .mixin import FrozenByMixin

# A planned action comes first, then what may be measured, then the rest.
_PROPOSED_ORDER = {1: 0, 2: 1, 0: 2, 3: 3}


class Commitment(
        AgreedChildMixin, FrozenByMixin, ModelSQL, ModelView):
    "An eco-responsible action that the partner takes on in a convention."
    __name__ = 'grant.eco.commitment'
    _agreed_with = [
        'convention', 'theme', 'action', 'text', 'evidence',
        'starting_score', 'target_score', 'indicator', 'unit', 'direction',
        'baseline', 'target', 'condition']
    _frozen_by = 'convention'
    _parent_states = OPEN_STATES
    _figures = ('indicator', 'unit', 'baseline', 'target')

    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_convention_field')
    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='CASCADE')
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_convention_field')
    theme = fields.Many2One(
        'grant.eco.theme', "Theme", required=True, ondelete='RESTRICT')
    action = fields.Many2One(
        'grant.eco.action', "From the Library", ondelete='SET NULL',
        domain=[('theme', '=', Eval('theme', -1))],
        help="Its text is copied here, where it may be adapted.")
    text = fields.Text("Eco-responsible Action", required=True)
    evidence = fields.Char(
        "Expected Evidence", help="What the partner has to show.")
    starting_score = fields.Integer(
        "Starting Score", required=True,
        domain=score_domain('starting_score'), help=SCORE_HELP)
    target_score = fields.Integer(
        "Target Score", required=True,
        domain=[
            score_domain('target_score', minimum=1),
            ('target_score', '>=', Eval('starting_score', 0)),
            ],
        help=SCORE_HELP)
    indicator = fields.Char("Indicator")
    unit = fields.Char("Unit")
    direction = fields.Selection(
        [(None, "")] + DIRECTIONS, "Direction", sort=False,
        states={'required': Bool(Eval('indicator'))})
    baseline = fields.Numeric(
        "Baseline", help="The value at the start of the convention.")
    target = fields.Numeric("Target")
    condition = fields.Many2One(
        'grant.condition', "Partner's Undertaking", ondelete='SET NULL',
        domain=[
            ('convention', '=', Eval('convention', -1)),
            ('kind', '=', 'eco'),
            ],
        help="The undertaking whose evidence proves the action.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [
            ('convention', 'DESC'), ('theme', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table, (table.theme, Index.Equality())),
                Index(table, (table.condition, Index.Equality())),
                })

    @classmethod
    def default_starting_score(cls):
        return 0

    @classmethod
    def default_target_score(cls):
        return 2

    @fields.depends('convention', '_parent_convention.company')
    def on_change_with_company(self, name=None):
        return self.convention.company if self.convention else None

    @fields.depends('convention', '_parent_convention.party')
    def on_change_with_party(self, name=None):
        return self.convention.party if self.convention else None

    @classmethod
    def search_convention_field(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    @fields.depends('action', 'theme', methods=['_copy_action'])
    def on_change_action(self):
        if self.action:
            for name, value in self._copy_action(self.action).items():
                setattr(self, name, value)

    @classmethod
    def _copy_action(cls, action):
        "Return the values that the action of the library brings."
        values = {
            'theme': action.theme,
            'text': action.text,
            'evidence': action.evidence,
            }
        if measurement := action.measurement:
            values |= {
                'indicator': measurement.name,
                'unit': measurement.unit,
                'direction': measurement.direction,
                }
        return values

    def get_rec_name(self, name):
        text = ' '.join((self.text or '').split())
        if len(text) > 60:
            text = text[:59].rsplit(' ', 1)[0] + '…'
        return f"{self.theme.code if self.theme else ''} – {text}"

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('text', *clause[1:])]

    @property
    def has_figures(self):
        return all(
            getattr(self, n) not in {None, ''} for n in self._figures)

    @classmethod
    def create_from_schemes(cls, conventions):
        """Bring to new conventions the actions that their amounts ask.

        Planned themes come first, then those done but not measured, then
        the others; each theme in turn proposes an action of the library, so
        that the actions spread over the themes.
        """
        conventions = [c for c in conventions if c.eco_bracket]
        if not conventions:
            return
        pool = Pool()
        Action = pool.get('grant.eco.action')
        by_theme = defaultdict(list)
        for action in Action.search([]):
            by_theme[action.theme].append(action)
        conditions = cls._get_conditions(conventions)
        to_create = []
        for convention in conventions:
            bracket = convention.eco_bracket
            scores = convention.eco_starting_scores
            proposals = cls._propose(
                bracket.scheme, scores, by_theme)[:bracket.actions]
            for action in proposals:
                start = scores.get(action.theme, 0)
                values = cls._copy_action(action)
                to_create.append(values | {
                        'convention': convention.id,
                        'theme': action.theme.id,
                        'action': action.id,
                        'starting_score': start,
                        'target_score': min(
                            MAXIMUM_SCORE, max(2, start + 1)),
                        'condition': conditions.get(convention.id),
                        })
        cls.create(to_create)

    @classmethod
    def _propose(cls, scheme, scores, by_theme):
        "Return the actions for the scheme, the most fitting first."
        themes = sorted(
            by_theme, key=lambda t: (
                _PROPOSED_ORDER[scores.get(t, 0)], t.sequence or 0, t.id))
        columns = [
            [a for a in by_theme[theme] if a.suits(scheme)]
            for theme in themes]
        return [
            action for row in zip_longest(*columns) for action in row
            if action]

    @classmethod
    def _get_conditions(cls, conventions):
        """Return by convention the id of its undertaking of kind eco; add
        it where the scheme brings none."""
        Condition = Pool().get('grant.condition')

        def read():
            found = {}
            for condition in Condition.search([
                        ('convention', 'in', [c.id for c in conventions]),
                        ('kind', '=', 'eco'),
                        ], order=[('id', 'DESC')]):
                found[condition.convention.id] = condition.id
            return found
        found = read()
        # What partners agree to is in French, whoever opens the convention.
        with Transaction().set_context(language='fr'):
            text, evidence = (
                gettext(f'pacte_grants.msg_eco_condition{suffix}')
                for suffix in ['', '_evidence'])
        Condition.create([{
                    'convention': convention.id,
                    'kind': 'eco',
                    'text': text,
                    'evidence': evidence,
                    'due_date': convention.end_date,
                    'block_kinds': ['balance', 'single'],
                    'penalty_rate': convention.eco_stake,
                    }
                for convention in conventions
                if convention.id not in found])
        return read()


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    eco_commitments = fields.One2Many(
        'grant.eco.commitment', 'convention', "Eco-responsible Actions",
        states={'readonly': Eval('state').in_(['cancelled', 'closed'])})
    eco_asked = fields.Function(fields.Integer(
            "Actions Asked",
            help="How many eco-responsible actions the amount asks."),
        'get_eco_asked')
    eco_at_stake = fields.Function(Monetary(
            "At Stake", currency='currency', digits='currency',
            help="What the grant loses if the actions are not proved."),
        'get_eco_asked')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//page[@id="eco"]', 'states', {
                    'invisible': (
                        (Eval('eco_asked', 0) == 0)
                        & ~Bool(Eval('eco_commitments'))),
                    }, ['eco_asked', 'eco_commitments']),
            ]

    @classmethod
    def get_eco_asked(cls, conventions, names):
        result = {name: {} for name in names}
        for convention in conventions:
            bracket = convention.eco_bracket
            values = {
                'eco_asked': bracket.actions if bracket else 0,
                'eco_at_stake': convention.currency.round(
                    convention.amount * convention.eco_stake
                    if bracket else Decimal(0)),
                }
            for name in names:
                result[name][convention.id] = values[name]
        return result

    @property
    def eco_bracket(self):
        "The bracket that asks most, of the schemes of the convention."
        brackets = (s.get_eco_bracket(self.amount) for s in self.schemes)
        return max(
            filter(None, brackets),
            key=lambda b: (b.actions, b.figures_required), default=None)

    @property
    def eco_stake(self):
        """The share of the grant that the eco-responsible actions put at
        stake: ``eco_share`` of its balance, four decimals."""
        bracket = self.eco_bracket
        if not bracket:
            return Decimal(0)
        scheme = bracket.scheme
        amounts = [
            t.amount for t in self.tranches if t.status != 'refused']
        if not any(amounts):
            return Decimal(0)
        balance = sum(map(scheme.get_balance, amounts)) / sum(amounts)
        return (balance * (scheme.eco_share or 0)).quantize(
            Decimal('0.0001'))

    @property
    def eco_starting_scores(self):
        "The score held by theme, the best of the applications."
        scores = {}
        for application in self.applications:
            for line in application.eco_scores:
                scores[line.theme] = max(
                    scores.get(line.theme, 0), line.current)
        return scores

    @classmethod
    def _complete(cls, conventions):
        super()._complete(conventions)
        Pool().get('grant.eco.commitment').create_from_schemes(
            cls.browse([c.id for c in conventions]))

    def get_agreement_reasons(self):
        reasons = super().get_agreement_reasons()
        bracket = self.eco_bracket
        if not bracket:
            return reasons
        if len(self.eco_commitments) < bracket.actions:
            reasons.append(gettext(
                    'pacte_grants.msg_agreement_eco_actions',
                    count=len(self.eco_commitments),
                    asked=bracket.actions, amount=money(self.amount)))
        if bracket.figures_required:
            reasons.extend(
                gettext('pacte_grants.msg_agreement_eco_figures',
                    action=commitment.rec_name)
                for commitment in self.eco_commitments
                if not commitment.has_figures)
        return reasons
