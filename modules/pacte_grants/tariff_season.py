# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What happens during a season: attendance at each price, and other facts."
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval

from . import tariff_rule
from .check import AmountMixin, PeriodMixin
from .mixin import FrozenByMixin
from .tariff_grid import SEASON_STATES

class SeasonMixin(FrozenByMixin):
    "What happens during a season, also once its grid is accepted."
    __slots__ = ()
    _frozen_by = 'grid'
    _parent_states = SEASON_STATES

    grid = fields.Many2One(
        'grant.tariff.grid', "Grid", required=True, ondelete='CASCADE')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('grid')
        cls._sql_indexes.add(Index(table, (table.grid, Index.Equality())))


class Attendance(AmountMixin, PeriodMixin, SeasonMixin, ModelSQL, ModelView):
    "How many people came at one of the prices."
    __name__ = 'grant.attendance'
    _amounts = ('entries', 'receipts')
    line = fields.Many2One(
        'grant.tariff.line', "Price", required=True, ondelete='RESTRICT',
        domain=[('grid', '=', Eval('grid', -1))])
    start_date = fields.Date("From", required=True)
    end_date = fields.Date("To", required=True)
    entries = fields.Integer("Entries", required=True)
    receipts = fields.Numeric("Receipts", digits=(16, 2))
    source = fields.Selection([
            ('ticketing', "Ticketing"),
            ('declared', "Declared"),
            ], "Source", required=True, sort=False)
    evidence_file = fields.Binary("Evidence", filename='evidence_filename')
    evidence_filename = fields.Char("Evidence Name")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('start_date', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.add(Index(table, (table.line, Index.Equality())))

    @classmethod
    def default_source(cls):
        return 'declared'

    @fields.depends('grid', '_parent_grid.start_date',
        '_parent_grid.end_date', 'start_date', 'end_date')

    def on_change_grid(self):
        if self.grid:
            self.start_date = self.start_date or self.grid.start_date
            self.end_date = self.end_date or self.grid.end_date

    def get_rec_name(self, name):
        return f'{self.line.rec_name}: {self.entries}'


class Fact(AmountMixin, SeasonMixin, ModelSQL, ModelView):
    "What a clause asks for and no price shows."
    __name__ = 'grant.tariff.fact'
    _amounts = ('number',)

    kind = fields.Selection([
            ('free_day', "Free Dates"),
            ('solidarity', "Solidarity Places Used"),
            ('info_online', "Prices Visible Online"),
            ('info_site', "Prices Visible on the Spot"),
            ('relay', "Action with Relays"),
            ], "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    date = fields.Date("Date", required=True)
    number = fields.Integer(
        "Number", required=True,
        states={
            'invisible': Eval('kind').in_(['info_online', 'info_site']),
            },
        help="How many dates, places or actions.")
    confirmed = fields.Boolean(
        "Observed", help="Uncheck if it was looked for and not found.")
    text = fields.Text(
        "Description", help="The structures, the relays, the dates.")
    url = fields.Char("Address on the Web")
    file = fields.Binary("Evidence", filename='filename')
    filename = fields.Char("Evidence Name")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('date', 'ASC'), ('id', 'ASC')]

    @classmethod
    def default_number(cls):
        return 1

    @classmethod
    def default_confirmed(cls):
        return True

    @classmethod
    def default_date(cls):
        return Pool().get('ir.date').today()

    def get_rec_name(self, name):
        return f'{self.kind_string}: {self.number}'

    def get_rule(self):
        "Return the fact as tariff_rule.py knows it."
        documented = {
            'info_online': bool(self.url),
            'info_site': bool(self.file),
            'solidarity': bool(self.text or self.file),
            }.get(self.kind, True)
        return tariff_rule.Fact(
            kind=self.kind, number=self.number,
            confirmed=bool(self.confirmed), documented=documented)


class Grid(metaclass=PoolMeta):
    __name__ = 'grant.tariff.grid'

    attendances = fields.One2Many(
        'grant.attendance', 'grid', "Attendance",
        states={'readonly': Eval('state') == 'superseded'})
    facts = fields.One2Many(
        'grant.tariff.fact', 'grid', "Facts of the Season",
        states={'readonly': Eval('state') == 'superseded'})

    @classmethod
    def copy(cls, grids, default=None):
        "A copy takes the prices, not what happened under them."
        default = {} if default is None else default.copy()
        for name in [
                'attendances', 'facts', 'voted_on', 'return_reason']:
            default.setdefault(name, None)
        return super().copy(grids, default=default)


class Line(metaclass=PoolMeta):
    __name__ = 'grant.tariff.line'

    attendances = fields.One2Many(
        'grant.attendance', 'line', "Attendance", readonly=True)
    entries = fields.Function(fields.Integer("Entries"), 'get_attendance')
    receipts = fields.Function(
        fields.Numeric("Receipts", digits=(16, 2)), 'get_attendance')

    @classmethod
    def get_attendance(cls, lines, names):
        result = {n: dict.fromkeys([li.id for li in lines]) for n in names}
        for line in lines:
            for name in names:
                values = [
                    v for a in line.attendances
                    if (v := getattr(a, name)) is not None]
                if values:
                    result[name][line.id] = sum(values)
        return result
