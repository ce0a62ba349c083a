# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The library of eco-responsibility: themes, actions, indicators.

What a dossier takes from the library is copied into it, so that a later
change of the library changes no agreed text (L27).
"""
from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelView, Unique, fields,
    sequence_ordered)
from trytond.pool import Pool
from trytond.pyson import Eval

from .check import PeriodMixin
from .scheme import DOMAINS, LEVELS

DIRECTIONS = [
    ('rise', "Rise To"),
    ('fall', "Fall To"),
    ]


class Theme(PeriodMixin, sequence_ordered(), ModelSQL, ModelView):
    "A theme on which dossiers are scored from 0 to 3 (Pact, ambition 8)."
    __name__ = 'grant.eco.theme'
    _order_name = 'sequence'

    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)
    description = fields.Text(
        "Description", help="What is looked at to give the score.")
    start_date = fields.Date(
        "Valid From", required=True,
        help="Applications received from this day on are scored on it.")
    end_date = fields.Date("Valid To")
    actions = fields.One2Many('grant.eco.action', 'theme', "Actions")
    measurements = fields.One2Many(
        'grant.eco.measurement', 'theme', "Indicators")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'code_unique', Unique(table, table.code),
                'pacte_grants.msg_eco_theme_code_unique'))

    @classmethod
    def default_start_date(cls):
        return Pool().get('ir.date').today()

    def get_rec_name(self, name):
        return f'{self.code} – {self.name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op, ('code', *clause[1:]), ('name', *clause[1:])]

    def is_valid(self, date):
        "Return whether applications received on the date are scored on it."
        return self.start_date <= date and (
            self.end_date is None or date <= self.end_date)


class Measurement(
        DeactivableMixin, sequence_ordered(), ModelSQL, ModelView):
    "An indicator that the library proposes for a theme."
    __name__ = 'grant.eco.measurement'

    theme = fields.Many2One(
        'grant.eco.theme', "Theme", required=True, ondelete='RESTRICT')
    name = fields.Char("Name", required=True)
    unit = fields.Char("Unit", required=True)
    direction = fields.Selection(
        DIRECTIONS, "Direction", required=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order.insert(0, ('theme', 'ASC'))
        cls._sql_indexes.add(Index(table, (table.theme, Index.Equality())))

    @classmethod
    def default_direction(cls):
        return 'rise'

    def get_rec_name(self, name):
        return f'{self.name} ({self.unit})'


class Action(DeactivableMixin, sequence_ordered(), ModelSQL, ModelView):
    "An eco-responsible action that the library proposes for a theme."
    __name__ = 'grant.eco.action'
    _rec_name = 'text'

    theme = fields.Many2One(
        'grant.eco.theme', "Theme", required=True, ondelete='RESTRICT')
    text = fields.Text("Text", required=True)
    evidence = fields.Char(
        "Expected Evidence", help="What the partner has to show.")
    levels = fields.MultiSelection(
        LEVELS, "Levels", sort=False,
        help="The levels of scheme to which the action is proposed. Leave "
        "empty for all.")
    domains = fields.MultiSelection(
        DOMAINS, "Domains", sort=False,
        help="The domains to which the action is proposed. Leave empty for "
        "all.")
    measurement = fields.Many2One(
        'grant.eco.measurement', "Indicator", ondelete='RESTRICT',
        domain=[('theme', '=', Eval('theme', -1))])

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order.insert(0, ('theme', 'ASC'))
        cls._sql_indexes.add(Index(table, (table.theme, Index.Equality())))

    def get_rec_name(self, name):
        text = ' '.join((self.text or '').split())
        if len(text) > 80:
            text = text[:79].rsplit(' ', 1)[0] + '…'
        return text

    def suits(self, scheme):
        "Return whether the action is proposed to dossiers of the scheme."
        return (
            (not self.levels or scheme.level in self.levels)
            and (not self.domains or scheme.domain in self.domains))
