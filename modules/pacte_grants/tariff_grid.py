# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The prices of a partner, season by season."
from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, fields, sequence_ordered)
from trytond.model.exceptions import ValidationError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import without_check_access

from . import tariff_rule
from .check import AmountMixin, PeriodMixin, bulleted
from .exceptions import CompletenessError
from .mixin import (
    FrozenByMixin, ReopenMixin, WorkflowMixin, acting_user, transition)
from .scheme import CompanyMixin
from .sums import SLICE
from .tariff import PRODUCTS, RESIDENCES
from .tariff_rule import find_overlaps, match_lines
from .tariff_text import Audience, bracket, line_name
from .verdict import AcceptanceMixin

OPEN_GRID = ['draft', 'submitted', 'returned']
STATES_GRID = {'readonly': ~Eval('state').in_(OPEN_GRID)}
# A season goes on after its grid is accepted.
SEASON_STATES = frozenset(OPEN_GRID + ['accepted'])


class Facility(metaclass=PoolMeta):
    __name__ = 'grant.facility'

    grids = fields.One2Many(
        'grant.tariff.grid', 'facility', "Tariff Grids", readonly=True)


class Grid(
        PeriodMixin, AcceptanceMixin, ReopenMixin, WorkflowMixin,
        CompanyMixin, ModelSQL, ModelView):
    "The prices of a partner for one season."
    __name__ = 'grant.tariff.grid'
    _server_fields = frozenset({'version', 'accepted_on', 'accepted_by'})
    _frozen = {
        'accepted': frozenset(),
        'superseded': frozenset(),
        }
    _reopened = {'accepted': 'submitted'}

    party = fields.Many2One(
        'party.party', "Partner", required=True, ondelete='RESTRICT',
        context={'company': Eval('company', -1)}, depends={'company'},
        states=STATES_GRID)
    facility = fields.Many2One(
        'grant.facility', "Facility", ondelete='RESTRICT',
        domain=['OR',
            ('owner', '=', Eval('party', -1)),
            ('manager', '=', Eval('party', -1)),
            ],
        states=STATES_GRID,
        help="Leave empty if the partner has one grid for all it does.")
    season = fields.Char(
        "Season", required=True, states=STATES_GRID,
        help="As the partner calls it: 2026-2027, festival 2026…")
    start_date = fields.Date(
        "Start Date", required=True, states=STATES_GRID)
    end_date = fields.Date("End Date", required=True, states=STATES_GRID)
    voted_on = fields.Date(
        "Voted On", states=STATES_GRID,
        help="When the partner's body decided on the prices.")
    version = fields.Integer(
        "Version", readonly=True,
        help="Of the grids of a season the last version counts.")
    lines = fields.One2Many(
        'grant.tariff.line', 'grid', "Prices", states=STATES_GRID)
    comparison = fields.Function(fields.Many2Many(
            'grant.tariff.line', None, None, "Comparison with Last Season"),
        'get_comparison')
    return_reason = fields.Text(
        "Reason of the Return",
        states={'readonly': ~Eval('state').in_(['submitted', 'returned'])})
    previous = fields.Function(fields.Many2One(
            'grant.tariff.grid', "Last Season"), 'get_previous')
    anomalies = fields.Function(
        fields.Text("Anomalies"), 'get_anomalies')
    accepted_on = fields.Date("Accepted On", readonly=True)
    accepted_by = fields.Many2One(
        'res.user', "Accepted By", readonly=True, ondelete='RESTRICT')
    state = fields.Selection([
            ('draft', "Draft"),
            ('submitted', "To Check"),
            ('returned', "Returned"),
            ('accepted', "Accepted"),
            ('superseded', "Replaced"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('start_date', 'DESC'), ('id', 'DESC')]
        cls._sql_indexes.update({
                Index(table,
                    (table.party, Index.Equality()),
                    (table.start_date, Index.Range())),
                Index(table, (table.facility, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                })
        cls._transitions = {
            ('draft', 'submitted'),
            ('returned', 'submitted'),
            ('submitted', 'returned'),
            ('submitted', 'accepted'),
            ('accepted', 'submitted'),
            ('accepted', 'superseded'),
            }
        cls._buttons.update({
                'copy_previous': {
                    'invisible': ~Eval('state').in_(['draft', 'returned']),
                    'depends': ['state'],
                    },
                'submit': {
                    'invisible': ~Eval('state').in_(['draft', 'returned']),
                    'depends': ['state'],
                    },
                'send_back': {
                    'invisible': Eval('state') != 'submitted',
                    'depends': ['state'],
                    },
                'accept': {
                    'invisible': Eval('state') != 'submitted',
                    'depends': ['state'],
                    },
                'reopen': {
                    'invisible': Eval('state') != 'accepted',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'draft'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'superseded', 'muted', ''), ['state']),
            ('//group[@id="anomalies"]', 'states', {
                    'invisible': ~Eval('anomalies'),
                    }, ['anomalies']),
            ('//group[@id="return"]', 'states', {
                    'invisible': ~Eval('state').in_(
                        ['submitted', 'returned']),
                    }),
            ]

    def get_rec_name(self, name):
        place = self.facility.name if self.facility else self.party.rec_name
        version = f' v{self.version}' if (self.version or 1) > 1 else ''
        return f'{place} – {self.season}{version}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('season', *clause[1:]),
            ('party.rec_name', *clause[1:]),
            ('facility.rec_name', *clause[1:]),
            ]

    @property
    def _place(self):
        "What the grid is for: the facility, else the partner."
        return (
            (self.company.id, 'facility', self.facility.id)
            if self.facility
            else (self.company.id, 'party', self.party.id))

    @property
    def _key(self):
        "What only one accepted grid may have."
        return *self._place, ' '.join(self.season.lower().split())

    @classmethod
    def _siblings(cls, grids, states):
        "Return by place all the grids of the same places in the states."
        found = defaultdict(list)
        grids = list(grids)
        for sub in grouped_slice(grids, SLICE):
            sub = list(sub)
            for grid in cls.search([
                        ('company', 'in', list({g.company.id for g in sub})),
                        ['OR',
                            ('party', 'in', list({g.party.id for g in sub})),
                            ('facility', 'in', list({
                                        g.facility.id for g in sub
                                        if g.facility})),
                            ],
                        ('state', 'in', states),
                        ], order=[('start_date', 'ASC'), ('id', 'ASC')]):
                if grid not in found[grid._place]:
                    found[grid._place].append(grid)
        return found

    @classmethod
    @without_check_access
    def _find_previous(cls, grids):
        "Return by grid id the accepted grid of the season before."
        siblings = cls._siblings(grids, ['accepted'])
        result = {}
        for grid in grids:
            before = [
                g for g in siblings[grid._place]
                if g.id != grid.id and g._key != grid._key
                and grid.start_date and g.start_date < grid.start_date]
            result[grid.id] = before[-1] if before else None
        return result

    @classmethod
    def get_previous(cls, grids, name):
        return {
            id_: grid.id if grid else None
            for id_, grid in cls._find_previous(grids).items()}

    @classmethod
    def get_comparison(cls, grids, name):
        "Read the lines, those that rose most first, new ones last."
        Line = Pool().get('grant.tariff.line')
        changes = Line.get_previous(
            [li for g in grids for li in g.lines], ['change'])['change']
        return {
            g.id: [li.id for li in sorted(g.lines, key=lambda li: (
                        changes[li.id] is None, -(changes[li.id] or 0)))]
            for g in grids}

    @classmethod
    def get_anomalies(cls, grids, name):
        return {g.id: g._anomalies() for g in grids}

    def _anomalies(self):
        "Return what is odd in the grid and is recorded all the same."
        lines = [line.get_rule() for line in self.lines]
        sentences = [
            gettext('pacte_grants.msg_tariff_anomaly_overlap',
                first=line_name(first), second=line_name(second))
            for first, second in find_overlaps(lines)]
        seen = set()
        for line in lines:
            key = (*line.group, line.audience, line.residence)
            if key in seen and not line.has_bracket:
                sentences.append(gettext(
                        'pacte_grants.msg_tariff_anomaly_twice',
                        line=line_name(line)))
            seen.add(key)
        return bulleted(sentences) or None

    @classmethod
    @ModelView.button
    def copy_previous(cls, grids):
        "Start from the prices of last season; nothing may be there yet."
        Line = Pool().get('grant.tariff.line')
        grids = cls.claim(grids)
        previous = cls._find_previous(grids)
        to_create = []
        for grid in grids:
            if grid.lines:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_tariff_grid_not_empty',
                        grid=grid.rec_name))
            if not previous[grid.id]:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_tariff_grid_no_previous',
                        grid=grid.rec_name))
            to_create.extend(
                line.values_for(grid) for line in previous[grid.id].lines)
        Line.create(to_create)

    @classmethod
    @ModelView.button
    @transition('submitted')
    def submit(cls, grids):
        for grid in grids:
            if not grid.lines:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_tariff_grid_empty',
                        grid=grid.rec_name))
        cls._set_versions(grids)
        cls._evaluate(grids)

    @classmethod
    def _set_versions(cls, grids):
        siblings = cls._siblings(
            grids, ['submitted', 'returned', 'accepted', 'superseded'])
        last = {}
        for place_grids in siblings.values():
            for grid in place_grids:
                last[grid._key] = max(
                    last.get(grid._key, 0), grid.version or 0)
        by_version = defaultdict(list)
        for grid in grids:
            if not grid.version:
                last[grid._key] = last.get(grid._key, 0) + 1
                by_version[last[grid._key]].append(grid)
        for version, sub in by_version.items():
            cls.write(sub, {'version': version})

    @classmethod
    @ModelView.button
    @transition('returned')
    def send_back(cls, grids):
        for grid in grids:
            if not grid.return_reason:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_tariff_return_reason',
                        grid=grid.rec_name))

    @classmethod
    @ModelView.button
    @transition('accepted')
    def accept(cls, grids):
        """Keep the grid and its verdicts as evidence, good or bad; the
        version that was accepted before is replaced."""
        user = acting_user(gettext('pacte_grants.msg_act_tariff'))
        cls.check_acceptance(grids)
        siblings = cls._siblings(grids, ['accepted'])
        replaced = [
            other for grid in grids for other in siblings[grid._place]
            if other._key == grid._key]
        if replaced:
            cls._supersede(replaced)
            grids = cls.browse([g.id for g in grids])
        cls._evaluate(grids)
        cls._seal(grids)
        cls.write(grids, {
                'accepted_on': Pool().get('ir.date').today(),
                'accepted_by': user.id,
                })

    @classmethod
    def get_acceptance_reasons(cls, grids):
        "Of the versions of one season, the last alone can be accepted."
        found = super().get_acceptance_reasons(grids)
        siblings = cls._siblings(grids, ['accepted'])
        last = defaultdict(int)
        for grid in grids:
            last[grid._key] = max(
                last[grid._key], grid.version or 0, *(
                    g.version or 0 for g in siblings[grid._place]
                    if g._key == grid._key))
        keys = set()
        for grid, reasons in found.items():
            if grid._key in keys or (grid.version or 0) < last[grid._key]:
                reasons.append(gettext(
                        'pacte_grants.msg_tariff_later_version',
                        grid=grid.rec_name))
            else:
                keys.add(grid._key)
        return found

    @classmethod
    @transition('superseded')
    def _supersede(cls, grids):
        pass

    @classmethod
    def _evaluate(cls, grids):
        "Judge the grids as things stand."

    @classmethod
    def _seal(cls, grids):
        "Keep for good what was found of the grids."

    @classmethod
    @ModelView.button
    def reopen(cls, grids):
        super().reopen(grids)


class Line(AmountMixin, FrozenByMixin, sequence_ordered(), ModelSQL,
        ModelView):
    "One price of a grid."
    __name__ = 'grant.tariff.line'
    _amounts = ('price', 'quotient_min', 'quotient_max')
    _frozen_by = 'grid'
    _parent_states = frozenset(OPEN_GRID)
    grid = fields.Many2One(
        'grant.tariff.grid', "Grid", required=True, ondelete='CASCADE')
    product = fields.Selection(
        PRODUCTS, "Product", required=True, sort=False)
    product_string = product.translated('product')
    label = fields.Char("Label")
    category = fields.Many2One(
        'grant.tariff.category', "Audience", ondelete='RESTRICT',
        help="Leave empty for everybody.")
    residence = fields.Selection(
        RESIDENCES, "Residence", required=True, sort=False)
    quotient_min = fields.Numeric(
        "Quotient From", digits=(16, 2), help="Family quotient, in euros.")
    quotient_max = fields.Numeric(
        "Quotient To", digits=(16, 2), help="Family quotient, in euros.")
    price = fields.Numeric("Price", digits=(16, 2), required=True)
    is_reference = fields.Boolean(
        "Full Price", help="The price that the reductions compare with.")
    previous_price = fields.Function(fields.Numeric(
            "Last Season", digits=(16, 2)), 'get_previous')
    change = fields.Function(fields.Numeric(
            "Change", digits=(16, 2)), 'get_previous')
    change_rate = fields.Function(fields.Numeric(
            "Change (%)", digits=(16, 4)), 'get_previous')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('grid')
        cls._sql_indexes.add(Index(table, (table.grid, Index.Equality())))

    @classmethod
    def default_residence(cls):
        return 'all'

    @classmethod
    def view_attributes(cls):
        change = Eval('change', 0)
        return super().view_attributes() + [
            ('/tree/field[@name="change"]', 'visual',
                If(change > 0, 'warning', If(change < 0, 'success', '')),
                ['change']),
            ]

    def get_rec_name(self, name):
        parts = [
            self.label or self.product_string,
            self.category.name if self.category else '',
            bracket(self)]
        return ', '.join(p for p in parts if p)

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('label', *clause[1:]), ('category.rec_name', *clause[1:])]

    @classmethod
    def validate_fields(cls, lines, field_names):
        super().validate_fields(lines, field_names)
        names = {'quotient_min', 'quotient_max'}
        if field_names is not None and not field_names & names:
            return
        for line in lines:
            low, high = line.quotient_min, line.quotient_max
            if low is not None and high is not None and high < low:
                raise ValidationError(gettext(
                        'pacte_grants.msg_tariff_quotient',
                        line=line.rec_name))

    @classmethod
    def get_previous(cls, lines, names):
        Grid = Pool().get('grant.tariff.grid')
        grids = Grid.browse(list({li.grid.id for li in lines}))
        previous = Grid._find_previous(grids)
        result = {n: dict.fromkeys([li.id for li in lines]) for n in names}
        for grid in grids:
            if not previous[grid.id]:
                continue
            matches = match_lines(
                [li.get_rule() for li in grid.lines],
                [li.get_rule() for li in previous[grid.id].lines])
            for line, match in zip(grid.lines, matches, strict=True):
                if not match or line.id not in result[names[0]]:
                    continue
                change = line.price - match.price
                values = {
                    'previous_price': match.price,
                    'change': change,
                    'change_rate': (change / match.price).quantize(
                        Decimal('0.0001')) if match.price else None,
                    }
                for name in names:
                    result[name][line.id] = values[name]
        return result

    def get_rule(self, entries=(), receipts=()):
        """Return the line as tariff_rule.py knows it, with the entries and
        receipts of its attendance."""
        return tariff_rule.Line(
            product=self.product,
            price=self.price,
            category=Audience(self.category.name) if self.category else None,
            label=self.label or '',
            residence=self.residence,
            quotient_min=self.quotient_min,
            quotient_max=self.quotient_max,
            is_reference=bool(self.is_reference),
            entries=sum(entries) if entries else None,
            receipts=sum(receipts, Decimal(0))
            if receipts and None not in receipts else None)

    def values_for(self, grid):
        "Return the values of the same price in another grid."
        return {
            'grid': grid.id,
            'category': self.category.id if self.category else None,
            } | {
            n: getattr(self, n) for n in [
                'sequence', 'product', 'label', 'residence', 'quotient_min',
                'quotient_max', 'price', 'is_reference']}


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    tariff_grids = fields.Function(fields.Many2Many(
            'grant.tariff.grid', None, None, "Tariff Grids by Season"),
        'get_tariff_grids')

    @classmethod
    def get_tariff_grids(cls, conventions, name):
        "Read the grids of the partners during the conventions."
        Grid = Pool().get('grant.tariff.grid')
        by_party = defaultdict(list)
        parties = list({c.party.id for c in conventions})
        for sub in grouped_slice(parties, SLICE):
            for grid in Grid.search([('party', 'in', list(sub))]):
                by_party[grid.party.id].append(grid)
        return {
            c.id: [
                g.id for g in by_party[c.party.id]
                if g.company == c.company
                and g.start_date <= c.end_date
                and c.start_date <= g.end_date]
            for c in conventions}


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('grant.facility', 'owner'),
            ('grant.facility', 'manager'),
            ('grant.tariff.grid', 'party'),
            ]
