# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The eco-responsibility of partners over the years."
from sql import Cast, Null, Union, Window
from sql.aggregate import Avg, Count, Min
from sql.conditionals import Coalesce

from trytond.model import ModelSQL, ModelView, fields
from trytond.pool import Pool
from trytond.pyson import Eval

from .eco import MAXIMUM_SCORE


class History(ModelSQL, ModelView):
    """The eco-responsibility of a partner, by theme and year: the mean of
    its applications, then of the follow-up of its conventions."""
    __name__ = 'grant.eco.history'

    company = fields.Many2One(
        'company.company', "Company", required=True)
    party = fields.Many2One(
        'party.party', "Partner",
        context={'company': Eval('company', -1)}, depends={'company'})
    theme = fields.Many2One('grant.eco.theme', "Theme")
    year = fields.Integer("Year")
    starting = fields.Float(
        "At the Application", digits=(1, 2),
        help="Mean of the scores held on the applications of the year.")
    reached = fields.Float(
        "At the Follow-up", digits=(1, 2),
        help="Mean of the scores reached by the actions of the conventions.")
    score = fields.Float(
        "Score", digits=(1, 2),
        help="The follow-up or, without it, the application.")
    share = fields.Float(
        "Eco Rate (%)", digits=(3, 2),
        help="What the theme adds to the rate of the year: the sum over the "
        "themes is the mean score as a share of the highest one.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [
            ('party', 'ASC'), ('year', 'DESC'), ('theme', 'ASC'),
            ('id', 'ASC')]

    @classmethod
    def table_query(cls):
        pool = Pool()
        score = pool.get('grant.eco.score').__table__()
        application = pool.get('grant.application').__table__()
        progress = pool.get('grant.eco.progress').__table__()
        commitment = pool.get('grant.eco.commitment').__table__()
        convention = pool.get('grant.convention').__table__()
        float_ = cls.score.sql_type().base
        starting = score.join(
            application,
            condition=score.application == application.id).select(
            (score.id * 2).as_('id'),
            application.company.as_('company'),
            application.party.as_('party'),
            score.theme.as_('theme'),
            application.year.as_('year'),
            Cast(score.score, float_).as_('starting'),
            Cast(Null, float_).as_('reached'),
            where=(score.score != Null)
            & ~application.state.in_(
                ['draft', 'ineligible', 'withdrawn', 'renounced']))
        reached = progress.join(
            commitment,
            condition=progress.commitment == commitment.id).join(
            convention,
            condition=commitment.convention == convention.id).select(
            (progress.id * 2 + 1).as_('id'),
            convention.company.as_('company'),
            convention.party.as_('party'),
            commitment.theme.as_('theme'),
            progress.year.as_('year'),
            Cast(Null, float_).as_('starting'),
            Cast(progress.score, float_).as_('reached'))
        rows = Union(starting, reached, all_=True)
        means = rows.select(
            Min(rows.id).as_('id'),
            rows.company, rows.party, rows.theme, rows.year,
            Avg(rows.starting).as_('starting'),
            Avg(rows.reached).as_('reached'),
            Coalesce(Avg(rows.reached), Avg(rows.starting)).as_('score'),
            group_by=[rows.company, rows.party, rows.theme, rows.year])
        year = Window([means.company, means.party, means.year])
        return means.select(
            means.id, means.company, means.party, means.theme, means.year,
            means.starting, means.reached, means.score,
            (means.score * 100 / (
                    Count(means.id, window=year) * MAXIMUM_SCORE)
                ).as_('share'))

    def get_rec_name(self, name):
        return f'{self.party.rec_name} – {self.theme.code} {self.year}'
