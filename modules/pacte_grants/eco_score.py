# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What an application is worth, theme by theme, and what this changes."
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

from sql.aggregate import Count, Sum
from sql.conditionals import Case, Coalesce, NullIf
from sql.functions import Round

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import Transaction

from .check import money
from .eco import MAXIMUM_SCORE, MODES, SCORE_HELP, score_domain
from .exceptions import CompletenessError
from .mixin import FrozenByMixin
from .sums import SLICE

# While these last the application is under examination.
EXAMINED = ['draft', 'submitted', 'incomplete', 'admissible']


def _figure(value, digits=2):
    "Return the number in the user's language, without useless zeros."
    Lang = Pool().get('ir.lang')
    exact = Decimal(value).quantize(Decimal(1).scaleb(-digits))
    digits = max(0, -exact.normalize().as_tuple().exponent)
    return Lang.get().format_number(exact, digits=digits, grouping=True)


class Score(FrozenByMixin, ModelSQL, ModelView):
    "What an application is worth on one theme."
    __name__ = 'grant.eco.score'
    _frozen_by = 'application'
    _parent_states = frozenset(EXAMINED)

    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_application_field')
    application = fields.Many2One(
        'grant.application', "Application", required=True,
        ondelete='CASCADE')
    application_state = fields.Function(fields.Selection(
            'get_application_states', "State of the Application"),
        'on_change_with_application_state')
    theme = fields.Many2One(
        'grant.eco.theme', "Theme", required=True, ondelete='RESTRICT')
    declared = fields.Integer(
        "Declared", domain=score_domain('declared'),
        help="What the partner declares. " + SCORE_HELP)
    score = fields.Integer(
        "Held", domain=score_domain('score'),
        help="What the officer holds after examination. " + SCORE_HELP)
    note = fields.Text(
        "Note", help="What supports the score.")
    evidence_file = fields.Binary("Evidence", filename='evidence_filename')
    evidence_filename = fields.Char("Evidence Name")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [
            ('application', 'ASC'), ('theme', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.extend([
                ('application_theme_unique',
                    Unique(table, table.application, table.theme),
                    'pacte_grants.msg_eco_score_unique'),
                ])
        cls._sql_indexes.update({
                Index(table, (table.application, Index.Equality())),
                Index(table, (table.theme, Index.Equality())),
                })
        closed = (
            Bool(Eval('application_state'))
            & ~Eval('application_state').in_(EXAMINED))
        for name in [
                'application', 'theme', 'declared', 'score', 'note',
                'evidence_file', 'evidence_filename']:
            field = getattr(cls, name)
            field.states = field.states | {'readonly': closed}

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="score"]', 'visual',
                If(Eval('score', -1) >= 2, 'success',
                    If(Eval('score', -1) == 0, 'warning', '')),
                ['score']),
            ]

    @classmethod
    def get_application_states(cls):
        return [(None, '')] + Pool().get('grant.application').fields_get(
            ['state'])['state']['selection']

    @fields.depends('application', '_parent_application.state')
    def on_change_with_application_state(self, name=None):
        return self.application.state if self.application else None

    @fields.depends('application', '_parent_application.company')
    def on_change_with_company(self, name=None):
        return self.application.company if self.application else None

    @classmethod
    def search_application_field(cls, name, clause):
        return [('application.' + clause[0], *clause[1:])]

    def get_rec_name(self, name):
        return f'{self.theme.name} – {self.application.number}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('theme.rec_name', *clause[1:])]

    @property
    def current(self):
        "The score held or, before the examination, the declared one."
        if self.score is not None:
            return self.score
        return self.declared or 0

    @property
    def is_supported(self):
        "Return whether a note or a document supports the score."
        return bool(self.evidence_file or (self.note or '').strip())

    @classmethod
    def create_missing(cls, applications):
        """Add the themes that the applications do not have yet, where their
        schemes ask for eco-responsibility."""
        Theme = Pool().get('grant.eco.theme')
        applications = [
            a for a in applications
            if a.scheme.eco_mode != 'none' and a.state in EXAMINED]
        if not applications:
            return
        themes = Theme.search([])
        known = defaultdict(set)
        for sub in grouped_slice(applications, SLICE):
            for score in cls.search([
                        ('application', 'in', [a.id for a in sub])]):
                known[score.application.id].add(score.theme)
        cls.create([{
                    'application': application.id,
                    'theme': theme.id,
                    }
                for application in applications
                for theme in themes
                if theme.is_valid(application.received_on)
                and theme not in known[application.id]])


class Application(metaclass=PoolMeta):
    __name__ = 'grant.application'

    eco_mode = fields.Function(
        fields.Selection([(None, "")] + MODES, "Eco-responsibility"),
        'on_change_with_eco_mode')
    eco_scores = fields.One2Many(
        'grant.eco.score', 'application', "Eco-responsibility by Theme",
        states={'readonly': ~Eval('state').in_(EXAMINED)})
    eco_total = fields.Function(
        fields.Integer("Eco Score"), 'get_eco', searcher='search_eco')
    eco_themes_engaged = fields.Function(fields.Integer(
            "Themes Begun", help="Themes with a score of 1 or more."),
        'get_eco', searcher='search_eco')
    eco_rate = fields.Function(fields.Numeric(
            "Eco Rate", digits=(1, 4),
            help="The score as a share of the highest one, 0 to 1."),
        'get_eco', searcher='search_eco')
    eco_explanation = fields.Function(fields.Text(
            "Effect of Eco-responsibility"),
        'on_change_with_eco_explanation')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'hold_eco_scores': {
                    'invisible': (
                        ~Eval('state').in_(
                            ['submitted', 'incomplete', 'admissible'])
                        | (Eval('eco_mode', 'none') == 'none')),
                    'depends': ['state', 'eco_mode'],
                    },
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//page[@id="eco"]', 'states', {
                    'invisible': (
                        (Eval('eco_mode', 'none') == 'none')
                        & ~Bool(Eval('eco_scores'))),
                    }, ['eco_mode', 'eco_scores']),
            ]

    @fields.depends('scheme')
    def on_change_with_eco_mode(self, name=None):
        return self.scheme.eco_mode if self.scheme else None

    @classmethod
    def _eco_current(cls, score):
        "Return the SQL expression of the score that counts."
        return Coalesce(score.score, score.declared, 0)

    @classmethod
    def _eco_expressions(cls, score):
        current = cls._eco_current(score)
        return {
            'eco_total': Coalesce(Sum(current), 0),
            'eco_themes_engaged': Coalesce(
                Sum(Case((current >= 1, 1), else_=0)), 0),
            }

    @classmethod
    def get_eco(cls, applications, names):
        score = Pool().get('grant.eco.score').__table__()
        expressions = cls._eco_expressions(score)
        cursor = Transaction().connection.cursor()
        found = {}
        for sub in grouped_slice(applications, SLICE):
            cursor.execute(*score.select(
                    score.application,
                    expressions['eco_total'],
                    expressions['eco_themes_engaged'],
                    Count(score.id),
                    where=reduce_ids(
                        score.application, [a.id for a in sub]),
                    group_by=score.application))
            for id_, total, engaged, count in cursor:
                found[id_] = (int(total), int(engaged), count)
        result = {name: {} for name in names}
        for application in applications:
            total, engaged, count = found.get(application.id, (0, 0, 0))
            values = {
                'eco_total': total,
                'eco_themes_engaged': engaged,
                'eco_rate': cls._eco_rate(total, count),
                }
            for name in names:
                result[name][application.id] = values[name]
        return result

    @staticmethod
    def _eco_rate(total, count):
        if not count:
            return None
        return (Decimal(total) / (MAXIMUM_SCORE * count)).quantize(
            Decimal('0.0001'))

    @classmethod
    def search_eco(cls, name, clause):
        _, operator, value = clause
        pool = Pool()
        table = cls.__table__()
        score = pool.get('grant.eco.score').__table__()
        if name == 'eco_rate':
            # In ten-thousandths, as the field shows it
            expression = Round(
                Sum(cls._eco_current(score)) * 10000.0
                / NullIf(Count(score.id) * MAXIMUM_SCORE, 0))
            if isinstance(value, (list, tuple)):
                value = [cls._ten_thousandths(v) for v in value]
            else:
                value = cls._ten_thousandths(value)
        else:
            expression = cls._eco_expressions(score)[name]
        Operator = fields.SQL_OPERATORS[operator]
        query = table.join(
            score, 'LEFT', condition=score.application == table.id).select(
            table.id, group_by=table.id,
            having=Operator(expression, value))
        return [('id', 'in', query)]

    @staticmethod
    def _ten_thousandths(value):
        return None if value is None else int(round(Decimal(value) * 10000))

    @property
    def _eco_lines(self):
        return [
            s for s in (self.eco_scores or [])
            if getattr(s, 'theme', None)]

    def _exact_eco_rate(self):
        "Return the score as an exact share (a ``Fraction``) or ``None``."
        lines = self._eco_lines
        if not lines:
            return None
        return Fraction(
            sum(s.current for s in lines), MAXIMUM_SCORE * len(lines))

    @fields.depends('eco_scores', 'requested_amount')
    def on_change_with_scale_amount(self, name=None):
        amount = super().on_change_with_scale_amount(name=name)
        if not amount or self.scheme.eco_mode != 'modulation':
            return amount
        rate = self._exact_eco_rate()
        if rate is None:
            return amount
        amount = self.scheme.compute_amount(
            self.eligible_cost, eco_rate=rate)
        if self.requested_amount is not None:
            amount = min(amount, self.requested_amount)
        return amount

    @fields.depends(
        'scheme', 'eligible_cost', 'requested_amount', 'eco_scores',
        'proposed_amount')

    def on_change_with_eco_explanation(self, name=None):
        lines = self._eco_lines
        if not self.scheme or not lines:
            return None
        sentences = []
        if method := getattr(
                self, f'_explain_eco_{self.scheme.eco_mode}', None):
            sentences.append(method(lines))
        waiting = sum(s.score is None for s in lines)
        if waiting:
            sentences.append(gettext(
                    'pacte_grants.msg_eco_provisional', count=waiting))
        return ' '.join(filter(None, sentences))

    def _explain_eco_prerequisite(self, lines):
        return gettext(
            'pacte_grants.msg_eco_explain_prerequisite',
            engaged=sum(s.current >= 1 for s in lines),
            required=self.scheme.eco_themes_required or 0)

    def _explain_eco_modulation(self, lines):
        scheme = self.scheme
        base = scheme.compute_amount(self.eligible_cost)
        if base is None:
            return None
        rate = self._exact_eco_rate()
        exact = Fraction(base) * scheme.get_eco_coefficient(rate)
        modulated = scheme.currency.round(
            Decimal(exact.numerator) / Decimal(exact.denominator))
        amount = self.on_change_with_scale_amount()
        variation = (scheme.get_eco_coefficient(rate) - 1) * 100
        variation = Decimal(variation.numerator) / variation.denominator
        names = {
            'total': sum(s.current for s in lines),
            'maximum': MAXIMUM_SCORE * len(lines),
            'base': money(base),
            'variation': ('+' if variation > 0 else '') + _figure(variation),
            'amount': money(amount),
            }
        if amount == modulated:
            return gettext(
                'pacte_grants.msg_eco_explain_modulation', **names)
        limits = scheme.get_eco_limits(self.eligible_cost)
        if self.requested_amount is not None:
            limits['requested_amount'] = self.requested_amount
        limit = next(k for k, v in limits.items() if v == amount)
        Model = self if limit in self._fields else scheme
        return gettext(
            'pacte_grants.msg_eco_explain_limited',
            modulated=money(modulated),
            limit=Model.__names__(field=limit)['field'],
            **names)

    def _explain_eco_commitment(self, lines):
        amount = self.proposed_amount or self.requested_amount
        if amount is None:
            return None
        bracket = self.scheme.get_eco_bracket(amount)
        if not bracket:
            return None
        return gettext(
            'pacte_grants.msg_eco_explain_commitment_figures'
            if bracket.figures_required
            else 'pacte_grants.msg_eco_explain_commitment',
            count=bracket.actions, amount=money(amount))

    @classmethod
    def on_modification(cls, mode, applications, field_names=None):
        super().on_modification(mode, applications, field_names=field_names)
        if mode == 'create' or (mode == 'write' and 'scheme' in field_names):
            Pool().get('grant.eco.score').create_missing(applications)

    @classmethod
    def copy(cls, applications, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('eco_scores', None)
        return super().copy(applications, default=default)

    @classmethod
    @ModelView.button
    def submit(cls, applications):
        super().submit(applications)
        Pool().get('grant.eco.score').create_missing(
            cls.browse([a.id for a in applications]))

    @classmethod
    @ModelView.button
    def hold_eco_scores(cls, applications):
        "Hold, where nothing is held yet, what the partner declares."
        Score = Pool().get('grant.eco.score')
        by_score = defaultdict(list)
        applications = cls.claim(applications)
        # The scheme may have begun to ask since.
        Score.create_missing(applications)
        for application in cls.browse([a.id for a in applications]):
            for score in application.eco_scores:
                if score.score is None:
                    by_score[score.declared or 0].append(score)
        for value, scores in by_score.items():
            Score.write(scores, {'score': value})

    def get_admissibility_reasons(self):
        reasons = super().get_admissibility_reasons()
        if reason := self._get_eco_prerequisite_reason():
            reasons.append(reason)
        return reasons

    def _get_eco_prerequisite_reason(self):
        "Return, in a sentence, which prerequisite is not met."
        if self.scheme.eco_mode != 'prerequisite':
            return None
        required = self.scheme.eco_themes_required or 0
        engaged = sum(s.current >= 1 for s in self.eco_scores)
        if engaged >= required:
            return None
        return gettext(
            'pacte_grants.msg_eco_prerequisite',
            engaged=engaged, required=required,
            scheme=self.scheme.rec_name)

    def check_proposal(self):
        super().check_proposal()
        if self.proposed_amount:
            self.check_eco_scores()

    def check_eco_scores(self):
        """Raise ``CompletenessError`` unless every theme is examined and
        every score of 2 or 3 rests on a note or a document, and the scores
        held still meet the prerequisite."""
        if self.scheme.eco_mode == 'none':
            return
        Theme = Pool().get('grant.eco.theme')
        scored = {s.theme for s in self.eco_scores}
        waiting = [s.theme.name for s in self.eco_scores if s.score is None]
        # A theme that was left out would raise the share of the others.
        waiting.extend(
            t.name for t in Theme.search([])
            if t not in scored and t.is_valid(self.received_on))
        if waiting:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_eco_score_waiting',
                    application=self.rec_name, themes=', '.join(waiting)))
        bare = [
            s.theme.name for s in self.eco_scores
            if s.score >= 2 and not s.is_supported]
        if bare:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_eco_score_evidence',
                    application=self.rec_name, themes=', '.join(bare)))
        if reason := self._get_eco_prerequisite_reason():
            raise CompletenessError(gettext(
                    'pacte_grants.msg_eco_score_prerequisite',
                    application=self.rec_name, reason=reason))
