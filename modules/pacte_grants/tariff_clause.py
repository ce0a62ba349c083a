# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What conventions say on prices, and what schemes propose for them."
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, fields, sequence_ordered)
from trytond.model.exceptions import ValidationError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval
from trytond.tools import grouped_slice
from trytond.transaction import without_check_access

from . import tariff_rule
from .check import AmountMixin
from .convention import OPEN_STATES, AgreedChildMixin
from .exceptions import FrozenError
from .mixin import FrozenByMixin
from .sums import SLICE
from .tariff import PRODUCTS
from .tariff_text import (
    Audience, enumeration, euros, french, number, percent, short)

CODES = [
    ('TAR_REDUIT_EXISTE', "Reduced Prices Exist"),
    ('TAR_MAX', "Highest Price"),
    ('TAR_GRATUITE', "Free of Charge"),
    ('TAR_QF', "Prices by Family Quotient"),
    ('TAR_STABLE', "Stable Prices"),
    ('TAR_UNIQUE_TERRITOIRE', "One Price for the Territory"),
    ('PART_REDUIT', "Share of Reduced Entries"),
    ('PLACES_SOLIDAIRES', "Solidarity Places"),
    ('PRIX_MOYEN', "Average Price"),
    ('LICENCE_AIDE', "Help with the Licence"),
    ('INFO_TARIF', "Information on Prices"),
    ('NON_RECOURS', "Access to Rights"),
    ]
# By code: the parameters that are required, those of which at least one is,
# and those that may be left empty.
PARAMETERS = {
    'TAR_REDUIT_EXISTE': (['categories'], [], ['product']),
    'TAR_MAX': (
        [], ['maximum_price', 'maximum_rate'], ['categories', 'product']),
    'TAR_GRATUITE': ([], ['categories', 'minimum_number'], ['product']),
    'TAR_QF': (
        [], ['minimum_number', 'maximum_price', 'minimum_ratio'],
        ['categories', 'product']),
    'TAR_STABLE': (['index_rate'], [], ['categories', 'product']),
    'TAR_UNIQUE_TERRITOIRE': (['zone'], [], ['product']),
    'PART_REDUIT': (['minimum_share'], [], ['product']),
    'PLACES_SOLIDAIRES': (['minimum_number'], [], []),
    'PRIX_MOYEN': (['maximum_price'], [], ['product']),
    'LICENCE_AIDE': (
        ['categories'], ['maximum_price', 'maximum_rate'], []),
    'INFO_TARIF': ([], [], []),
    'NON_RECOURS': (['minimum_number'], [], []),
    }


def _uses(name):
    "Return the codes of the clauses that have the parameter."
    return [c for c, p in PARAMETERS.items() if any(name in ns for ns in p)]


def _parameter_states(name):
    required = [c for c, p in PARAMETERS.items() if name in p[0]]
    return {
        'invisible': ~Eval('code').in_(_uses(name)),
        'required': Eval('code').in_(required) | (
            (Eval('code') == 'TAR_MAX') & Bool(Eval('maximum_rate'))
            if name == 'categories' else False),
        }


class ClauseMixin(AmountMixin):
    "The type of a clause and its parameters."
    __slots__ = ()
    _amounts = (
        'maximum_price', 'maximum_rate', 'minimum_number', 'minimum_ratio',
        'index_rate', 'minimum_share')
    _parameters = ['categories', 'product', 'zone', *_amounts]

    code = fields.Selection(CODES, "Clause", required=True, sort=False)
    code_string = code.translated('code')
    product = fields.Selection(
        [(None, "")] + PRODUCTS, "Product", sort=False,
        states=_parameter_states('product'),
        help="What the clause is about. Leave empty for the whole grid.")
    zone = fields.Selection([
            (None, ""),
            ('epci', "Intercommunality"),
            ('department', "Department"),
            ], "Territory", sort=False, states=_parameter_states('zone'),
        help="All its inhabitants pay the same price.")
    maximum_price = fields.Numeric(
        "Highest Price", digits=(16, 2),
        states=_parameter_states('maximum_price'),
        help="In euros; a price equal to it is good. For a quotient: the "
        "highest that the lowest price may be.")
    maximum_rate = fields.Numeric(
        "Highest Share of the Full Price", digits=(1, 4),
        states=_parameter_states('maximum_rate'))
    minimum_number = fields.Integer(
        "Minimum", states=_parameter_states('minimum_number'),
        help="Number of brackets, of free dates, of places or of actions "
        "each season, according to the clause.")
    minimum_ratio = fields.Numeric(
        "Ratio", digits=(4, 2), states=_parameter_states('minimum_ratio'),
        help="How many times the lowest price the highest is, at least.")
    index_rate = fields.Numeric(
        "Index", digits=(1, 4), states=_parameter_states('index_rate'),
        help="By how much a price may rise from one season to the next.")
    minimum_share = fields.Numeric(
        "Minimum Share", digits=(1, 4),
        states=_parameter_states('minimum_share'),
        help="Share of the entries that are reduced or free, at least.")

    @fields.depends('code', *_parameters)
    def on_change_code(self):
        for name in self._parameters:
            if self.code and self.code not in _uses(name):
                setattr(self, name, [] if name == 'categories' else None)

    @classmethod
    def validate_fields(cls, clauses, field_names):
        super().validate_fields(clauses, field_names)
        names = {'code', *cls._parameters}
        if field_names is None or field_names & names:
            for clause in clauses:
                clause.check_parameters()

    def check_parameters(self):
        """Raise ``ValidationError`` if a parameter that the type of clause
        needs is missing or if a share is above the whole."""
        missing = self._missing_parameters()
        if missing:
            raise ValidationError(gettext(
                    'pacte_grants.msg_tariff_parameter_missing',
                    clause=self.code_string,
                    fields=', '.join(
                        self.__names__(field=n)['field'] for n in missing)))
        for name in ['maximum_rate', 'minimum_share']:
            value = getattr(self, name)
            if value is not None and value > 1:
                raise ValidationError(gettext(
                        'pacte_grants.msg_tariff_share',
                        clause=self.code_string,
                        field=self.__names__(field=name)['field']))

    def _missing_parameters(self):
        required, one_of, _ = PARAMETERS[self.code]
        missing = [n for n in required if self._is_empty(n)]
        if one_of and all(self._is_empty(n) for n in one_of):
            missing.extend(one_of)
        if (self.code == 'TAR_MAX' and self.maximum_rate is not None
                and not self.categories):
            # The full price is no share of itself.
            missing.append('categories')
        return missing

    def _is_empty(self, name):
        value = getattr(self, name)
        if name in {'categories', 'minimum_number', 'minimum_ratio'}:
            return not value
        return value is None

    def get_rule(self):
        "Return the clause as tariff_rule.py knows it."
        values = {
            n: getattr(self, n) for n in self._parameters
            if n != 'categories' and self.code in _uses(n)}
        if self.code in _uses('categories'):
            values['categories'] = tuple(
                Audience(c.name) for c in self.categories)
        return tariff_rule.Clause(code=self.code, **values)

    def render(self):
        """Return the clause as the partner reads it, in French, made of its
        type and its parameters."""
        with french():
            cls = self.__class__
            products = dict(
                cls.fields_get(['product'])['product']['selection'])
            rule = self.get_rule()
            values = {
                'categories': ', '.join(rule.categories),
                'scope': gettext(
                    'pacte_grants.msg_tariff_scope',
                    product=products[rule.product].lower())
                if rule.product else '',
                'limits': enumeration(self._limits(rule) or ['']),
                'number': number(rule.minimum_number or 0, 0),
                'share': percent(rule.minimum_share or Decimal(0)),
                'index': percent(rule.index_rate or Decimal(0)),
                'price': euros(rule.maximum_price or Decimal(0)),
                }
            code = self.code.lower()
            if self.code == 'TAR_UNIQUE_TERRITOIRE':
                code += f'_{rule.zone}'
            elif self.code in {'TAR_MAX', 'TAR_STABLE', 'TAR_QF'}:
                code += '_categories' if rule.categories else ''
            elif self.code == 'TAR_GRATUITE':
                code += (
                    ('_categories' if rule.categories else '')
                    + ('_dates' if rule.minimum_number else ''))
            return gettext(f'pacte_grants.msg_tariff_text_{code}', **values)

    def _limits(self, rule):
        limits = []
        if rule.code == 'TAR_QF':
            if rule.minimum_number:
                limits.append(gettext(
                        'pacte_grants.msg_tariff_limit_brackets',
                        number=number(rule.minimum_number, 0)))
            if rule.maximum_price is not None:
                limits.append(gettext(
                        'pacte_grants.msg_tariff_limit_lowest',
                        price=euros(rule.maximum_price)))
            if rule.minimum_ratio:
                limits.append(gettext(
                        'pacte_grants.msg_tariff_limit_ratio',
                        ratio=short(rule.minimum_ratio)))
            return limits
        if rule.maximum_price is not None:
            limits.append(euros(rule.maximum_price))
        if rule.maximum_rate is not None:
            limits.append(gettext(
                    'pacte_grants.msg_tariff_limit_rate',
                    rate=percent(rule.maximum_rate)))
        return limits


class Clause(
        ClauseMixin, AgreedChildMixin, FrozenByMixin, sequence_ordered(),
        ModelSQL, ModelView):
    "What the convention says on prices, frozen with it."
    __name__ = 'grant.tariff.clause'
    _rec_name = 'text'
    _agreed_with = [
        'convention', 'sequence', 'code', 'condition', 'facility',
        *ClauseMixin._parameters]
    _frozen_by = 'convention'
    _parent_states = OPEN_STATES

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='CASCADE')
    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_company')
    effective_from = fields.Date(
        "Effective From", readonly=True,
        states={'invisible': ~Eval('effective_from')},
        help="Set by the amendment that added or changed the clause: the "
        "seasons begun before are not judged by it (L27).")
    party = fields.Function(fields.Many2One(
            'party.party', "Partner",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_party')
    facility = fields.Many2One(
        'grant.facility', "Facility", ondelete='RESTRICT',
        domain=['OR',
            ('owner', '=', Eval('party', -1)),
            ('manager', '=', Eval('party', -1)),
            ],
        help="Leave empty for all the grids of the partner.")
    condition = fields.Many2One(
        'grant.condition', "Partner's Undertaking", ondelete='RESTRICT',
        domain=[
            ('convention', '=', Eval('convention', -1)),
            ('kind', '=', 'tariff'),
            ],
        help="The undertaking that the clause details.")
    categories = fields.Many2Many(
        'grant.tariff.clause-grant.tariff.category', 'clause', 'category',
        "Audiences", states=_parameter_states('categories'))
    text = fields.Text("Text", readonly=True)
    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('convention')
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table, (table.condition, Index.Equality())),
                })

    @fields.depends('convention', '_parent_convention.company')
    def on_change_with_company(self, name=None):
        return self.convention.company if self.convention else None

    @classmethod
    def search_company(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    @fields.depends('convention', '_parent_convention.party')
    def on_change_with_party(self, name=None):
        return self.convention.party if self.convention else None

    @classmethod
    def search_party(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]

    @classmethod
    def on_modification(cls, mode, clauses, field_names=None):
        super().on_modification(mode, clauses, field_names=field_names)
        if mode == 'create' or (
                mode == 'write'
                and field_names & {'code', *cls._parameters}):
            cls.update_texts(clauses)

    @classmethod
    def update_texts(cls, clauses):
        "Write the text that comes of the parameters."
        to_write = []
        for clause in cls.browse([c.id for c in clauses]):
            if clause._missing_parameters():
                # Not written yet as a whole, or about to be refused
                continue
            text = clause.render()
            if text != clause.text:
                to_write.extend(([clause], {'text': text}))
        if to_write:
            cls.write(*to_write)

    @classmethod
    def create_from_schemes(cls, conventions):
        """Copy into new conventions the clauses that their schemes have for
        the amount, linked to the undertaking on prices if there is one."""
        to_create = []
        for convention in conventions:
            conditions = [
                c.id for c in convention.conditions if c.kind == 'tariff']
            for asked in [
                    c for s in convention.schemes for c in s.tariff_clauses]:
                if not asked.applies(convention.amount):
                    continue
                to_create.append({
                        'convention': convention.id,
                        'sequence': asked.sequence,
                        'code': asked.code,
                        'condition': (
                            conditions[0] if len(conditions) == 1
                            else None),
                        'categories': [
                            ('add', [c.id for c in asked.categories])],
                        } | {
                        n: getattr(asked, n) for n in cls._parameters
                        if n != 'categories'})
        cls.create(to_create)


class Category(metaclass=PoolMeta):
    __name__ = 'grant.tariff.category'

    @classmethod
    @without_check_access
    def check_modification(cls, mode, categories, values=None, external=False):
        super().check_modification(
            mode, categories, values=values, external=external)
        if mode == 'write' and 'name' in values:
            cls._check_frozen_clauses([
                    c for c in categories if c.name != values['name']])

    @classmethod
    def _check_frozen_clauses(cls, categories):
        "Raise ``FrozenError`` for audiences that an agreed clause names."
        Link = Pool().get('grant.tariff.clause-grant.tariff.category')
        for sub in grouped_slice(categories, SLICE):
            links = Link.search([
                    ('category', 'in', [c.id for c in sub]),
                    ('clause.convention.state', 'not in', list(OPEN_STATES)),
                    ], limit=1)
            for link in links:
                raise FrozenError(gettext(
                        'pacte_grants.msg_tariff_category_agreed',
                        category=link.category.rec_name,
                        convention=link.clause.convention.rec_name))


class ClauseCategory(FrozenByMixin, ModelSQL):
    __name__ = 'grant.tariff.clause-grant.tariff.category'
    _frozen_by = 'clause.convention'
    _parent_states = OPEN_STATES

    clause = fields.Many2One(
        'grant.tariff.clause', "Clause", required=True, ondelete='CASCADE')
    category = fields.Many2One(
        'grant.tariff.category', "Audience", required=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('clause')
        cls._sql_indexes.add(Index(table, (table.clause, Index.Equality())))

    @classmethod
    def on_modification(cls, mode, links, field_names=None):
        super().on_modification(mode, links, field_names=field_names)
        if mode in {'create', 'write'}:
            Pool().get('grant.tariff.clause').update_texts(
                list({li.clause for li in links}))

    @classmethod
    def on_delete(cls, links):
        Clause = Pool().get('grant.tariff.clause')
        ids = list({li.clause.id for li in links})
        callback = super().on_delete(links)

        def update():
            Clause.update_texts(Clause.search([('id', 'in', ids)]))
        callback.append(update)
        return callback


class SchemeClause(ClauseMixin, sequence_ordered(), ModelSQL, ModelView):
    "A tariff clause that a scheme proposes, by amount bracket."
    __name__ = 'grant.scheme.tariff.clause'
    _amounts = (*ClauseMixin._amounts, 'minimum_amount', 'maximum_amount')

    scheme = fields.Many2One(
        'grant.scheme', "Scheme", required=True, ondelete='CASCADE')
    categories = fields.Many2Many(
        'grant.scheme.tariff.clause-grant.tariff.category', 'clause',
        'category', "Audiences", states=_parameter_states('categories'))
    minimum_amount = fields.Numeric(
        "From", digits=(16, 2),
        help="Amount of the grant from which the clause is proposed.")
    maximum_amount = fields.Numeric(
        "Below", digits=(16, 2),
        help="Amount of the grant from which it no longer is.")
    text = fields.Function(fields.Text("Text"), 'get_text')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('scheme')
        cls._sql_indexes.add(Index(table, (table.scheme, Index.Equality())))

    def get_rec_name(self, name):
        return self.code_string

    def get_text(self, name):
        return self.render()

    def applies(self, amount):
        "Return whether the clause is proposed for a grant of the amount."
        return (
            (self.minimum_amount is None or amount >= self.minimum_amount)
            and (self.maximum_amount is None or amount < self.maximum_amount))


class SchemeClauseCategory(ModelSQL):
    __name__ = 'grant.scheme.tariff.clause-grant.tariff.category'

    clause = fields.Many2One(
        'grant.scheme.tariff.clause', "Clause", required=True,
        ondelete='CASCADE')
    category = fields.Many2One(
        'grant.tariff.category', "Audience", required=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('clause')


class Scheme(metaclass=PoolMeta):
    __name__ = 'grant.scheme'

    tariff_clauses = fields.One2Many(
        'grant.scheme.tariff.clause', 'scheme', "Tariff Clauses")


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    tariff_clauses = fields.One2Many(
        'grant.tariff.clause', 'convention', "Tariff Clauses",
        states={'readonly': ~Eval('state').in_(list(OPEN_STATES))})

    @classmethod
    def _complete(cls, conventions):
        super()._complete(conventions)
        Pool().get('grant.tariff.clause').create_from_schemes(
            cls.browse([c.id for c in conventions]))
