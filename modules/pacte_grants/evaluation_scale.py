# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The scale on which evaluations are rated, and what its levels make together."
from decimal import ROUND_HALF_UP, Decimal

from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.transaction import without_check_access

from .check import PeriodMixin
from .mixin import DatedMixin
from .measure import mean

_HUNDREDTH = Decimal('0.01')


def compute_score(pairs):
    """Return the score (Decimal, to the hundredth) of the pairs ``(points,
    weight)``, those without points left out; ``None`` if none is left."""
    score = mean(pairs)
    if score is None:
        return None
    return score.quantize(_HUNDREDTH, ROUND_HALF_UP)


class Rating(DatedMixin, PeriodMixin, ModelSQL, ModelView):
    "A level of the scale of the evaluations, valid between two dates."
    __name__ = 'grant.evaluation.rating'
    _period = ('valid_from', 'valid_to')

    name = fields.Char("Name", required=True)
    points = fields.Numeric(
        "Points", digits=(2, 2), required=True,
        domain=[('points', '>=', 0)])
    description = fields.Text(
        "Description", required=True,
        help="What the level means; the grid that the partner fills in "
        "quotes it.")
    valid_from = fields.Date("Valid From", required=True)
    valid_to = fields.Date("Valid To")
    source = fields.Char("Source", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'points_valid_from_unique',
                Unique(table, table.points, table.valid_from),
                'pacte_grants.msg_evaluation_rating_unique'))
        cls._order = [
            ('valid_from', 'DESC'), ('points', 'ASC'), ('id', 'ASC')]

    @classmethod
    def valid_domain(cls, date):
        "Return the domain of the levels that are valid on the date."
        return [
            ('valid_from', '<=', date),
            ['OR', ('valid_to', '=', None), ('valid_to', '>=', date)],
            ]

    @classmethod
    @without_check_access
    def get_scale(cls, date):
        "Return the levels that are valid on the date, the lowest first."
        return cls.search(cls.valid_domain(date), order=[('points', 'ASC')])
