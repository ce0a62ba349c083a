# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What the system enters in an evaluation by itself: its lines, the results
beside them, and the score of the agreed ratings."""
from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.pool import Pool
from trytond.transaction import without_check_access

from .evaluation_scale import compute_score
from .measure import mean, to_float
from .objective import SURVEY_KINDS

# The states in which an evaluation still moves.
OPEN = frozenset({'draft', 'shared'})


class FilledMixin:
    __slots__ = ()

    @classmethod
    @without_check_access
    def fill(cls, evaluations):
        """Give the evaluations that are open the lines and the results that
        they lack, and the last measures; what somebody entered stays."""
        pool = Pool()
        Line = pool.get('grant.evaluation.line')
        Result = pool.get('grant.evaluation.result')
        evaluations = cls.browse(
            [e.id for e in evaluations if e.state in OPEN])
        to_create = []
        for evaluation in evaluations:
            to_create += evaluation._missing_lines()
        if to_create:
            Line.create(to_create)
        evaluations = cls.browse([e.id for e in evaluations])
        results = []
        for evaluation in evaluations:
            for line in evaluation.lines:
                known = {r.indicator for r in line.results}
                results += [{
                        'line': line.id, 'indicator': i.id, 'name': i.name,
                        'unit': i.unit, 'target': i.target,
                        } for i in line.indicators if i not in known]
        if results:
            Result.create(results)
        cls.refresh(evaluations)

    def _missing_lines(self):
        "Return the values of the lines to create."
        if self.state != 'draft' and self.lines:
            return []
        objectives = (
            [] if self.level == 'light' else self.convention.objectives)
        if not objectives:
            return [] if self.lines else [{
                    'evaluation': self.id,
                    'title': gettext('pacte_grants.msg_evaluation_whole'),
                    'weight': Decimal(1),
                    }]
        known = {line.objective for line in self.lines}
        return [{
                'evaluation': self.id,
                'objective': o.id,
                'title': o.title,
                'weight': o.weight,
                'sequence': i * 10,
                } for i, o in enumerate(objectives, 1) if o not in known]

    @classmethod
    @without_check_access
    def refresh(cls, evaluations):
        """Copy the last measures of the year of each evaluation that is open
        beside its lines; a validated evaluation keeps its own."""
        pool = Pool()
        Indicator = pool.get('grant.indicator')
        Result = pool.get('grant.evaluation.result')
        Line = pool.get('grant.evaluation.line')
        evaluations = cls.browse(
            [e.id for e in evaluations if e.state in OPEN])
        results = [
            r for e in evaluations for line in e.lines for r in line.results]
        progress = Indicator.get_progress({
                (r.indicator, r.line.evaluation.year) for r in results})
        answers = Result.count_answers(results)
        by_model = {Result: [], Line: [], cls: []}

        def set_values(record, values):
            changed = {
                n: v for n, v in values.items() if getattr(record, n) != v}
            if changed:
                by_model[record.__class__] += [[record], changed]

        for evaluation in evaluations:
            of_lines = []
            for line in evaluation.lines:
                attained = defaultdict(list)
                for result in line.results:
                    indicator = result.indicator
                    found = progress[indicator.id, evaluation.year]
                    attained[indicator.objective].append(
                        (found.attainment, indicator.weight))
                    set_values(result, {
                            'name': indicator.name,
                            'unit': indicator.unit,
                            'baseline': indicator.baseline,
                            'target': found.target,
                            'value': found.value,
                            'measured_on': found.date,
                            'attainment': to_float(found.attainment),
                            'answers': answers.get(result.id),
                            'from_survey': (
                                indicator.kind in SURVEY_KINDS),
                            })
                attainment = mean(
                    (mean(pairs), objective.weight)
                    for objective, pairs in attained.items())
                weight = (
                    line.objective.weight if line.objective
                    else line.weight)
                of_lines.append((attainment, weight))
                set_values(line, {
                        'attainment': to_float(attainment),
                        'weight': weight,
                        'title': (
                            line.objective.title if line.objective
                            else line.title),
                        })
            set_values(
                evaluation, {'attainment': to_float(mean(of_lines))})
        for Model, actions in by_model.items():
            if actions:
                Model.write(*actions)

    @classmethod
    @without_check_access
    def set_scores(cls, evaluations):
        "Compute anew what the agreed ratings make together."
        Rating = Pool().get('grant.evaluation.rating')
        evaluations = cls.browse([e.id for e in evaluations])
        scales = {
            date: Rating.get_scale(date)
            for date in {e.scale_date for e in evaluations}}
        actions = []
        for evaluation in evaluations:
            lines = evaluation.lines
            score = compute_score([(
                        line.agreed_rating.points if line.agreed_rating
                        else None, line.weight) for line in lines])
            rating = None
            if score is not None:
                # The higher of two that are as near
                rating = min(
                    scales[evaluation.scale_date],
                    key=lambda r: (abs(r.points - score), -r.points),
                    default=None)
            values = {
                'score': score,
                'rating': rating.id if rating else None,
                'unrated': sum(not line.agreed_rating for line in lines),
                'complete': bool(lines) and score is not None and all(
                    line.agreed_rating or line.unrated_reason
                    for line in lines),
                }
            if any(
                    cls._differs(evaluation, name, value)
                    for name, value in values.items()):
                actions += [[evaluation], values]
        if actions:
            cls.write(*actions)
