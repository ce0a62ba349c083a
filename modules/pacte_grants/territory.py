# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Communes and areas of the department: what belongs to what, and since when."
import re
import unicodedata
from collections import defaultdict

from sql import Literal, Null, Union
from sql.aggregate import Count, Sum

from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelView, Unique, fields, tree)
from trytond.pool import Pool
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import Transaction

from .exceptions import PeriodError
from .sums import SLICE

AREA_KINDS = [
    ('department', "Department"),
    ('arrondissement', "Arrondissement"),
    ('canton', "Canton"),
    ('epci', "EPCI"),
    ('territory', "Departmental Territory"),
    ('macro_territory', "Macro-Territory"),
    ('basin', "Basin"),
    ]
QUALITIES = [
    ('official', "Official"),
    ('derived', "Derived"),
    ('derived_to_check', "Derived, to Check"),
    ('shared', "Shared, Depends on the Address"),
    ]
_SEPARATORS = re.compile(r"[\s\-'’]+")
_SAINT = re.compile(r'(^|[ %])st(e?)(?= )')
_LIGATURES = str.maketrans({'œ': 'oe', 'æ': 'ae', 'Œ': 'oe', 'Æ': 'ae'})


def normalize(text):
    """Return text as it is compared in searches: without accents, in lower
    case, with spaces for hyphens and apostrophes and "saint" for "st"."""
    text = unicodedata.normalize('NFKD', (text or '').translate(_LIGATURES))
    text = ''.join(c for c in text if not unicodedata.combining(c)).lower()
    return _SAINT.sub(r'\1saint\2', _SEPARATORS.sub(' ', text)).strip()


def _is_negative(operator):
    return operator.startswith('!') or operator.startswith('not ')


def _normalized_clause(name, clause):
    _, operator, operand, *extra = clause
    if isinstance(operand, str):
        operand = normalize(operand)
    elif isinstance(operand, (list, tuple)):
        operand = [normalize(o) for o in operand]
    return (name, operator, operand, *extra)


class SearchNameMixin:
    "Keep the name as searches compare it, on every database alike."
    __slots__ = ()

    search_name = fields.Char("Search Name", readonly=True)

    @classmethod
    def __setup__(cls):
        cls.search_name.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.add(
            Index(t, (t.search_name, Index.Similarity())))

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if 'name' in values:
            values['search_name'] = normalize(values['name'])
        return values


class ValidityMixin:
    __slots__ = ()

    valid_from = fields.Date(
        "Valid From",
        domain=[
            If(Eval('valid_from') & Eval('valid_to'),
                ('valid_from', '<=', Eval('valid_to')),
                ()),
            ])
    valid_to = fields.Date(
        "Valid To",
        domain=[
            If(Eval('valid_from') & Eval('valid_to'),
                ('valid_to', '>=', Eval('valid_from')),
                ()),
            ])

    @classmethod
    def validate_fields(cls, records, field_names):
        super().validate_fields(records, field_names)
        if field_names and not field_names & {'valid_from', 'valid_to'}:
            return
        for record in records:
            start, end = record.valid_from, record.valid_to
            if start and end and end < start:
                raise PeriodError(gettext(
                        'pacte_grants.msg_validity_period',
                        start=start.strftime('%d/%m/%Y'),
                        end=end.strftime('%d/%m/%Y'),
                        **cls.__names__(record=record)))


class Area(
        tree(), SearchNameMixin, ValidityMixin, DeactivableMixin, ModelSQL,
        ModelView):
    __name__ = 'grant.area'
    __string__ = "Area"

    kind = fields.Selection(AREA_KINDS, "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)
    siren = fields.Char(
        "SIREN", size=9,
        states={
            'invisible': Eval('kind') != 'epci',
            })
    epci_type = fields.Selection([
            (None, ""),
            ('cu', "Urban Community"),
            ('ca', "Agglomeration Community"),
            ('cc', "Community of Communes"),
            ], "Type of EPCI", sort=False,
        states={
            'invisible': Eval('kind') != 'epci',
            })
    parent = fields.Many2One(
        'grant.area', "Part Of", ondelete='RESTRICT',
        domain=[
            ('id', '!=', Eval('id', -1)),
            ])
    children = fields.One2Many('grant.area', 'parent', "Parts")
    source = fields.Char(
        "Source", help="Where the limits of the area come from.")
    commune_count = fields.Function(
        fields.Integer("Communes"), 'get_figures')
    population = fields.Function(
        fields.Integer(
            "Population",
            help="The population of the communes of the area in the "
            "department.\n"
            "Empty for cantons, some of which share communes."),
        'get_figures')

    @classmethod
    def __setup__(cls):
        cls.code.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints = [
            ('kind_code_unique', Unique(t, t.kind, t.code),
                'pacte_grants.msg_area_code_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.kind, Index.Equality(cardinality='low')),
                    (t.name, Index.Range())),
                Index(t, (t.parent, Index.Range())),
                })
        cls._order = [('kind', 'ASC'), ('name', 'ASC'), ('id', 'ASC')]

    @classmethod
    def get_figures(cls, areas, names):
        "Count the communes and inhabitants of areas, as they are now."
        pool = Pool()
        Commune = pool.get('grant.commune')
        cursor = Transaction().connection.cursor()
        figures = defaultdict(lambda: (None, None))
        for sub_areas in grouped_slice(areas, SLICE):
            ids = [a.id for a in sub_areas]
            belongs = Commune.membership_query()
            commune = Commune.__table__()
            cursor.execute(*belongs
                .join(commune, condition=belongs.commune == commune.id)
                .select(
                    belongs.area, Count(commune.id), Sum(commune.population),
                    where=belongs.area.in_(ids),
                    group_by=[belongs.area]))
            for area, count, population in cursor:
                figures[area] = (count, population)
        result = {}
        if 'commune_count' in names:
            result['commune_count'] = {a.id: figures[a.id][0] for a in areas}
        if 'population' in names:
            result['population'] = {
                a.id: figures[a.id][1] if a.kind != 'canton' else None
                for a in areas}
        return result

    def get_rec_name(self, name):
        if self.kind in {'arrondissement', 'canton', 'basin'}:
            return '%s (%s)' % (self.name, self.kind_string.lower())
        return self.name

    @classmethod
    def search_rec_name(cls, name, clause):
        bool_op = 'AND' if _is_negative(clause[1]) else 'OR'
        return [bool_op,
            _normalized_clause('search_name', clause),
            ('name', *clause[1:]),
            ('code', *clause[1:]),
            ]


class Commune(
        SearchNameMixin, ValidityMixin, DeactivableMixin, ModelSQL,
        ModelView):
    __name__ = 'grant.commune'
    __string__ = "Commune"

    code = fields.Char(
        "INSEE Code", required=True, size=5,
        help="The code of the commune in the official geographic code.")
    name = fields.Char("Name", required=True)
    siren = fields.Char("SIREN", size=9)
    postal_codes = fields.Char(
        "Postal Codes", help="The postal codes, separated by a space.")
    population = fields.Integer(
        "Population", help="The reference population.")
    epci = fields.Many2One(
        'grant.area', "EPCI", ondelete='RESTRICT',
        domain=[('kind', '=', 'epci')])
    arrondissement = fields.Many2One(
        'grant.area', "Arrondissement", ondelete='RESTRICT',
        domain=[('kind', '=', 'arrondissement')])
    territory = fields.Many2One(
        'grant.area', "Territory", ondelete='RESTRICT',
        domain=[('kind', '=', 'territory')])
    memberships = fields.One2Many(
        'grant.commune-grant.area', 'commune', "Cantons and Basins")
    cantons = fields.Function(
        fields.Many2Many('grant.area', None, None, "Cantons"),
        'get_cantons', searcher='search_cantons')
    canton_names = fields.Function(
        fields.Char("Cantons"), 'get_canton_names')
    areas = fields.Function(
        fields.Many2Many(
            'grant.area', None, None, "Areas",
            help="All the areas which the commune belongs to."),
        'get_areas', searcher='search_areas')
    former_communes = fields.One2Many(
        'grant.commune.former', 'commune', "Former Communes")

    @classmethod
    def __setup__(cls):
        cls.code.search_unaccented = False
        cls.postal_codes.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints = [
            ('code_unique', Unique(t, t.code),
                'pacte_grants.msg_commune_code_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.name, Index.Range())),
                Index(t, (t.postal_codes, Index.Similarity())),
                Index(t, (t.epci, Index.Range())),
                Index(t, (t.arrondissement, Index.Range())),
                Index(t, (t.territory, Index.Range())),
                })
        cls._order = [('name', 'ASC'), ('id', 'ASC')]

    @classmethod
    def membership_query(cls):
        """Return the SQL query of which commune belongs to which area now.

        Its columns are ``commune`` and ``area``: EPCI, arrondissement,
        territory, what these are part of (department, macro-territory), and
        the memberships that have not ended.
        """
        pool = Pool()
        Area = pool.get('grant.area')
        Membership = pool.get('grant.commune-grant.area')
        queries = []
        for name in ['epci', 'arrondissement', 'territory']:
            commune = cls.__table__()
            column = getattr(commune, name)
            queries.append(commune.select(
                    commune.id.as_('commune'), column.as_('area'),
                    where=(column != Null)
                    & (commune.active == Literal(True))))
            commune, area = cls.__table__(), Area.__table__()
            column = getattr(commune, name)
            queries.append(commune
                .join(area, condition=column == area.id)
                .select(
                    commune.id.as_('commune'), area.parent.as_('area'),
                    where=(area.parent != Null)
                    & (commune.active == Literal(True))))
        commune, membership = cls.__table__(), Membership.__table__()
        queries.append(commune
            .join(membership, condition=membership.commune == commune.id)
            .select(
                commune.id.as_('commune'), membership.area.as_('area'),
                where=(membership.valid_to == Null)
                & (commune.active == Literal(True))))
        return Union(*queries)

    @classmethod
    def get_cantons(cls, communes, name):
        areas = cls.areas_of(communes)
        return {
            c.id: [a.id for a in areas[c.id] if a.kind == 'canton']
            for c in communes}

    @classmethod
    def search_cantons(cls, name, clause):
        return cls._search_memberships(name, clause, [
                ('area.kind', '=', 'canton'),
                ('valid_to', '=', None),
                ])

    @classmethod
    def get_canton_names(cls, communes, name):
        areas = cls.areas_of(communes)
        return {
            c.id: ', '.join(
                a.name for a in areas[c.id] if a.kind == 'canton')
            for c in communes}

    @classmethod
    def get_areas(cls, communes, name):
        areas = cls.areas_of(communes)
        return {c.id: [a.id for a in areas[c.id]] for c in communes}

    @classmethod
    def areas_of(cls, communes):
        """Return the areas to which communes belong now: a dictionary of
        lists of ``grant.area`` records by id of commune.

        For many communes use it rather than ``areas``, which is read for
        one commune at a time.
        """
        pool = Pool()
        Area = pool.get('grant.area')
        cursor = Transaction().connection.cursor()
        ids = defaultdict(list)
        for sub_communes in grouped_slice(communes, SLICE):
            belongs = cls.membership_query()
            cursor.execute(*belongs.select(
                    belongs.commune, belongs.area,
                    where=belongs.commune.in_(
                        [c.id for c in sub_communes]),
                    order_by=[belongs.area]))
            for commune, area in cursor:
                ids[commune].append(area)
        areas = {
            a.id: a for a in Area.browse(
                sorted({i for areas in ids.values() for i in areas}))}
        return defaultdict(list, {
                commune: [areas[i] for i in area_ids]
                for commune, area_ids in ids.items()})

    @classmethod
    def search_areas(cls, name, clause):
        _, operator, operand, *extra = clause
        if operand is None:
            domain = [
                ('epci', operator, None),
                ('arrondissement', operator, None),
                ('territory', operator, None),
                ('memberships', operator, None),
                ]
            return domain if operator == '=' else ['OR', *domain]
        if _is_negative(operator):
            positive = operator[1:] if operator[0] == '!' else operator[4:]
            query = cls.search(
                cls.search_areas(
                    name, (clause[0], positive, operand, *extra)),
                order=[], query=True)
            return [('id', 'not in', query)]
        nested = clause[0][len(name) + 1:]
        if not nested:
            nested = 'rec_name' if isinstance(operand, str) else 'id'
        domain = ['OR']
        for path in ['epci', 'arrondissement', 'territory']:
            domain.append((path + '.' + nested, operator, operand, *extra))
            domain.append(
                (path + '.parent.' + nested, operator, operand, *extra))
        domain.append(('memberships', 'where', [
                    ('area.' + nested, operator, operand, *extra),
                    ('valid_to', '=', None),
                    ]))
        return domain

    @classmethod
    def _search_memberships(cls, name, clause, domain):
        _, operator, operand, *extra = clause
        nested = clause[0][len(name) + 1:]
        if operand is None:
            where = 'not where' if operator == '=' else 'where'
            return [('memberships', where, domain)]
        where = 'where'
        if _is_negative(operator):
            where = 'not where'
            operator = operator[1:] if operator[0] == '!' else operator[4:]
        if not nested:
            nested = 'rec_name' if isinstance(operand, str) else 'id'
        return [('memberships', where,
                [('area.' + nested, operator, operand, *extra), *domain])]

    def get_rec_name(self, name):
        if self.postal_codes:
            return '%s (%s)' % (self.name, self.postal_codes.split()[0])
        return self.name

    @classmethod
    def search_rec_name(cls, name, clause):
        """Search by name (without minding accents, hyphens or "St"), by
        INSEE code, by postal code and by former name or code."""
        _, operator, operand, *extra = clause
        if _is_negative(operator):
            positive = operator[1:] if operator[0] == '!' else operator[4:]
            query = cls.search(
                cls.search_rec_name(name, (name, positive, operand, *extra)),
                order=[], query=True)
            return [('id', 'not in', query)]
        if isinstance(operand, str):
            match = re.match(r'^(%?)(.*?) \((\d{5})\)(%?)$', operand)
            if match:
                start, text, postal_code, end = match.groups()
                return [
                    _normalized_clause('search_name', (
                            name, operator, start + text + end, *extra)),
                    ('postal_codes', 'like', '%' + postal_code + '%'),
                    ]
        return ['OR',
            _normalized_clause('search_name', clause),
            ('code', *clause[1:]),
            ('postal_codes', *clause[1:]),
            ('former_communes', 'where', ['OR',
                    _normalized_clause('search_name', clause),
                    ('code', *clause[1:]),
                    ]),
            ]


class CommuneArea(ValidityMixin, ModelSQL, ModelView):
    __name__ = 'grant.commune-grant.area'
    __string__ = "Membership of a Commune"

    commune = fields.Many2One(
        'grant.commune', "Commune", required=True, ondelete='CASCADE')
    area = fields.Many2One(
        'grant.area', "Area", required=True, ondelete='RESTRICT',
        domain=[
            ('kind', 'not in', ['epci', 'arrondissement', 'territory']),
            ])
    quality = fields.Selection(
        QUALITIES, "Quality", required=True, sort=False,
        help="How sure it is that the commune belongs to the area.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('commune')
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.commune, Index.Range())),
                Index(t, (t.area, Index.Range())),
                })

    @classmethod
    def default_quality(cls):
        return 'official'

    def get_rec_name(self, name):
        return self.area.rec_name

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('area.rec_name', *clause[1:])]


class FormerCommune(SearchNameMixin, ModelSQL, ModelView):
    __name__ = 'grant.commune.former'
    __string__ = "Former Commune"

    kind = fields.Selection([
            ('delegated', "Delegated Commune"),
            ('associated', "Associated Commune"),
            ('old_code', "Old Code"),
            ], "Kind", required=True, sort=False)
    code = fields.Char("INSEE Code", required=True, size=5)
    name = fields.Char("Name")
    commune = fields.Many2One(
        'grant.commune', "Current Commune", required=True,
        ondelete='CASCADE')
    valid_to = fields.Date(
        "Valid To", help="The last day on which it was a commune.")

    @classmethod
    def __setup__(cls):
        cls.code.search_unaccented = False
        super().__setup__()
        cls.__access__.add('commune')
        t = cls.__table__()
        cls._sql_constraints = [
            ('kind_code_unique', Unique(t, t.kind, t.code),
                'pacte_grants.msg_former_commune_code_unique'),
            ]
        cls._sql_indexes.add(Index(t, (t.commune, Index.Range())))
        cls._order = [
            ('name', 'ASC NULLS LAST'), ('code', 'ASC'), ('id', 'ASC')]

    def get_rec_name(self, name):
        return self.name or self.code

    @classmethod
    def search_rec_name(cls, name, clause):
        bool_op = 'AND' if _is_negative(clause[1]) else 'OR'
        return [bool_op,
            _normalized_clause('search_name', clause),
            ('code', *clause[1:]),
            ]
