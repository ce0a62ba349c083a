# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What an evaluation changes in what comes next: the renewal takes over what
both sides kept, and whoever examines a new application sees the last one."""
from collections import defaultdict

from sql import Cast, Literal
from sql.aggregate import Avg, Count
from sql.conditionals import Case

from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval
from trytond.tools import grouped_slice
from trytond.transaction import without_check_access

from .evaluation import OUTCOMES
from .evaluation_calendar import _Delays
from .exceptions import CompletenessError
from .sums import SLICE

_ENDED = ['active', 'closing', 'closed', 'terminated']


class Application(metaclass=PoolMeta):
    __name__ = 'grant.application'

    last_evaluation = fields.Function(fields.Many2One(
            'grant.evaluation', "Last Evaluation",
            help="The last one that was validated with the partner."),
        'get_last_evaluation')
    last_rating = fields.Function(fields.Many2One(
            'grant.evaluation.rating', "Shared Rating"),
        'get_last_evaluation')
    last_score = fields.Function(fields.Numeric("Score", digits=(2, 2)),
        'get_last_evaluation')
    last_outcome = fields.Function(
        fields.Selection(OUTCOMES, "What Next", sort=False),
        'get_last_evaluation')
    last_evaluation_lines = fields.Function(fields.Many2Many(
            'grant.evaluation.line', None, None, "Ratings of the Objectives"),
        'get_last_evaluation')
    partner_evaluations = fields.Function(fields.Many2Many(
            'grant.evaluation', None, None, "Evaluations of the Partner"),
        'get_last_evaluation')
    evaluation_warning = fields.Function(fields.Text(
            "About the Evaluation",
            states={'invisible': ~Bool(Eval('evaluation_warning'))}),
        'get_last_evaluation')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//page[@id="evaluation"]', 'states', {
                    'invisible': (~Bool(Eval('last_evaluation'))
                        & ~Bool(Eval('evaluation_warning'))),
                    }, ['last_evaluation', 'evaluation_warning']),
            ]

    def check_proposal(self):
        """Raise ``CompletenessError`` without a motive where the evaluation
        of the convention that is renewed says to stop."""
        super().check_proposal()
        if not self.proposed_amount or (self.proposal_motive or '').strip():
            return
        with without_check_access():
            last = self.renews and self.renews.last_evaluation
            if last and last.outcome == 'stop':
                raise CompletenessError(gettext(
                        'pacte_grants.msg_evaluation_stop_motive',
                        application=self.rec_name,
                        evaluation=last.rec_name))

    @fields.depends('evaluation_warning')
    def on_change_notify(self):
        notifications = super().on_change_notify()
        if self.evaluation_warning:
            notifications.append(('warning', self.evaluation_warning))
        return notifications

    @classmethod
    def get_last_evaluation(cls, applications, names):
        """What the evaluations of the partner say, but for those of the
        convention of the application itself; that of the convention that it
        renews comes first."""
        result = {
            name: {
                a.id: [] if cls._fields[name]._type == 'many2many' else None
                for a in applications}
            for name in names}
        validated = cls._get_validated(applications)
        missing = {}
        if 'evaluation_warning' in names:
            missing = cls._get_unevaluated(applications)
        for application in applications:
            key = application.company, application.party
            evaluations = [
                e for e in validated[key]
                if e.convention != application.convention]
            renewed = [
                e for e in evaluations
                if application.renews
                and e.convention == application.renews]
            last = next(iter(renewed or evaluations), None)
            values = {
                'last_evaluation': last and last.id,
                'last_rating': last and last.rating and last.rating.id,
                'last_score': last and last.score,
                'last_outcome': last and last.outcome,
                'last_evaluation_lines': (
                    [line.id for line in last.lines] if last else []),
                'partner_evaluations': [e.id for e in evaluations],
                }
            if 'evaluation_warning' in names:
                values['evaluation_warning'] = application._warn(
                    last, [
                        c for c in missing[key]
                        if c != application.convention])
            for name in names:
                result[name][application.id] = values[name]
        return result

    def _warn(self, last, missing):
        "Return the sentences for the officer; they block nothing."
        sentences = []
        if last and last.outcome == 'stop':
            sentences.append(gettext(
                    'pacte_grants.msg_evaluation_warn_stop',
                    evaluation=last.rec_name,
                    reason=last.outcome_reason or '–'))
        for convention in missing:
            sentences.append(gettext(
                    'pacte_grants.msg_evaluation_warn_missing',
                    convention=convention.rec_name))
        return '\n'.join(sentences) or None

    @classmethod
    @without_check_access
    def _get_validated(cls, applications):
        "Return the validated evaluations by company and partner, last first."
        Evaluation = Pool().get('grant.evaluation')
        found = defaultdict(list)
        parties = {a.party.id for a in applications if a.party}
        for sub in grouped_slice(sorted(parties), SLICE):
            for evaluation in Evaluation.search([
                        ('convention.party', 'in', list(sub)),
                        ('state', '=', 'validated'),
                        ], order=[
                        ('year', 'DESC'), ('validated_on', 'DESC'),
                        ('id', 'DESC')]):
                found[evaluation.company, evaluation.party].append(
                    evaluation)
        return found

    @classmethod
    @without_check_access
    def _get_unevaluated(cls, applications):
        """Return by company and partner the conventions whose final
        evaluation should be validated by now and is not; the light ones are
        only those that an application renews."""
        pool = Pool()
        Convention = pool.get('grant.convention')
        today = pool.get('ir.date').today()
        renewed = {a.renews for a in applications if a.renews}
        found = defaultdict(list)
        delays = _Delays()
        parties = {a.party.id for a in applications if a.party}
        for sub in grouped_slice(sorted(parties), SLICE):
            for convention in Convention.search([
                        ('party', 'in', list(sub)),
                        ('state', 'in', _ENDED),
                        ], order=[('id', 'ASC')]):
                if any(
                        e.kind == 'final' and e.state == 'validated'
                        for e in convention.evaluations):
                    continue
                final, = [
                    e for e in convention.get_expected_evaluations(delays)
                    if e.kind == 'final']
                if convention in renewed or (
                        final.due_date < today
                        and convention.scheme.level != 'light'):
                    found[convention.company, convention.party].append(
                        convention)
        return found


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    @property
    def last_evaluation(self):
        "The last evaluation that was validated, or ``None``."
        validated = [e for e in self.evaluations if e.state == 'validated']
        return max(
            validated, default=None,
            key=lambda e: (e.year, e.kind == 'final', e.id))

    def _take_over(self, former):
        """Propose what the evaluation of the former convention kept: without
        the objectives that it drops, with the targets that it proposes."""
        known = set(self.objectives)
        super()._take_over(former)
        evaluation = former.last_evaluation
        if not evaluation or self.form != 'convention':
            return
        Objective = Pool().get('grant.objective')
        copies = [
            o for o in self.__class__(self.id).objectives if o not in known]
        by_objective = {
            line.objective: line for line in evaluation.lines
            if line.objective}
        targets = {
            r.indicator: r.new_target for line in evaluation.lines
            for r in line.results if r.new_target is not None}
        actions, dropped = [], []
        for objective, copy in zip(former.objectives, copies, strict=True):
            line = by_objective.get(objective)
            if line and line.continuation == 'drop':
                dropped.append((objective, copy, line))
                continue
            for indicator, new in zip(
                    objective.indicators, copy.indicators, strict=True):
                if indicator in targets:
                    actions += [[new], {'target': targets[indicator]}]
        events = [{
                'record': self, 'name': 'objectives', 'before': o.title,
                'reason': gettext(
                    'pacte_grants.msg_evaluation_dropped',
                    evaluation=evaluation.rec_name,
                    reason=line.continuation_reason or '–'),
                } for o, _, line in dropped]
        with without_check_access():
            if actions:
                Pool().get('grant.indicator').write(*actions)
            if dropped:
                Objective.delete([copy for _, copy, _ in dropped])
        if events:
            Pool().get('grant.event').add(events)


class Statistic(ModelSQL, ModelView):
    "The validated evaluations by ambition of the pact and year."
    __name__ = 'grant.evaluation.statistic'

    company = fields.Many2One('company.company', "Company", required=True)
    ambition = fields.Many2One('grant.orientation', "Ambition")
    year = fields.Integer("Year")
    evaluations = fields.Integer("Evaluations")
    score = fields.Float(
        "Mean Score", digits=(2, 2),
        help="Mean of the scores of the evaluations of the conventions that "
        "serve the ambition.")
    attainment = fields.Float(
        "Mean Attainment", digits=(1, 4),
        help="Mean of the attainment of those whose indicators are "
        "measured.")
    renewed = fields.Integer("Renewed")
    adjusted = fields.Integer("Adjusted")
    stopped = fields.Integer("Stopped")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [
            ('year', 'DESC'), ('ambition', 'ASC'), ('id', 'ASC')]

    @classmethod
    def table_query(cls):
        pool = Pool()
        evaluation = pool.get('grant.evaluation').__table__()
        application = pool.get('grant.application').__table__()
        link = pool.get('grant.application-grant.orientation').__table__()
        orientation = pool.get('grant.orientation').__table__()
        float_ = cls.score.sql_type().base
        # An ambition counts an evaluation once, however it is served.
        served = evaluation.join(
            application,
            condition=application.convention == evaluation.convention).join(
            link, condition=link.application == application.id).join(
            orientation, condition=link.orientation == orientation.id
            ).select(
                evaluation.id.as_('evaluation'),
                cls._ambition(orientation).as_('ambition'),
                where=(evaluation.state == 'validated')
                & (orientation.kind != 'challenge'),
                distinct=True)
        evaluation = pool.get('grant.evaluation').__table__()

        def count(outcome):
            return Count(
                Literal(1), filter_=evaluation.outcome == outcome)
        return served.join(
            evaluation, condition=served.evaluation == evaluation.id).select(
                (Cast(evaluation.company, 'BIGINT') * 10 ** 10
                    + served.ambition * 10 ** 4
                    + evaluation.year).as_('id'),
                evaluation.company.as_('company'),
                served.ambition.as_('ambition'),
                evaluation.year.as_('year'),
                Count(Literal(1)).as_('evaluations'),
                Avg(Cast(evaluation.score, float_)).as_('score'),
                Avg(evaluation.attainment).as_('attainment'),
                count('renew').as_('renewed'),
                count('adjust').as_('adjusted'),
                count('stop').as_('stopped'),
                group_by=[
                    evaluation.company, served.ambition, evaluation.year])

    @staticmethod
    def _ambition(orientation):
        "The ambition itself, or that of a lever or an action."
        return Case(
            (orientation.kind == 'ambition', orientation.id),
            else_=orientation.parent)

    def get_rec_name(self, name):
        return f'{self.ambition.rec_name} – {self.year}'
