# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What was measured, and how far it attains what was agreed.

One formula everywhere.  An indicator in a year: ``compute_attainment`` of
the last valid measure dated up to the end of the year, against the target of
that year (``Indicator.target_for``); in the last year of the convention
whatever measure came later counts too.  An objective: the mean of its
indicators, by their weights.  A convention: the mean of its objectives, by
theirs.  What is not measured yet says nothing of the result: it is left out
of the mean, not counted as zero, and its number stands beside.
"""
from collections import defaultdict, namedtuple
from decimal import Decimal

from sql import Literal, Select, With
from sql.functions import Extract

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, without_check_access

from .exceptions import (
    CompletenessError, FrozenError, PeriodError, SurveyFileError)
from .mixin import GuardMixin, now
from .objective import SURVEY_KINDS
from .sums import SLICE
from .survey import SurveyError, read_survey

# The states of the convention in which measures are recorded: what was done
# until a termination is still measured after it.
MEASURED_STATES = frozenset({'active', 'closing', 'terminated'})
_YEARS = 100

Progress = namedtuple(
    'Progress', ['target', 'value', 'date', 'attainment'])


def mean(pairs):
    """Return the mean (Decimal) of the pairs ``(value, weight)`` whose value
    is known, ``None`` if there is none or if they weigh nothing."""
    pairs = [(value, weight) for value, weight in pairs if value is not None]
    weights = sum((weight for _, weight in pairs), Decimal(0))
    if not weights:
        return None
    return sum(
        (value * weight for value, weight in pairs), Decimal(0)) / weights


def to_float(attainment):
    return None if attainment is None else float(round(attainment, 4))


# What corrects no other measure
_NEW = Eval('replaces', None) == None  # noqa: E711

# What is not measured has no bar: it would look like a full one.
UNMEASURED = {
    'invisible': Eval('attainment', None) == None,  # noqa: E711
    }


class RecordedMixin:
    """Stamp new measures and compute those of surveys; comes after
    ``GuardMixin`` in the bases of the model."""
    __slots__ = ()

    @classmethod
    def create(cls, vlist):
        Indicator = Pool().get('grant.indicator')
        time = now()
        indicators = {
            i.id: i for i in Indicator.browse(list({
                        v['indicator'] for v in vlist if v.get('indicator')
                        }))}
        cls._check_corrections(vlist)
        vlist = [v.copy() for v in vlist]
        for values in vlist:
            values['recorded_by'] = Transaction().user or None
            values['recorded_on'] = time
            values['replaced_by'] = None
            if indicator := indicators.get(values.get('indicator')):
                values.update(cls._read(indicator, values))
        measures = super().create(vlist)
        cls._replace(measures)
        return measures


class Measure(GuardMixin, RecordedMixin, ModelSQL, ModelView):
    """A value of an indicator on a date.  It stays as it was recorded; a
    mistake is corrected by a new measure, which replaces it."""
    __name__ = 'grant.measure'

    indicator = fields.Many2One(
        'grant.indicator', "Indicator", required=True, ondelete='RESTRICT',
        states={'readonly': Eval('id', -1) >= 0})
    survey = fields.Function(
        fields.Boolean("From a Survey"), 'on_change_with_survey')
    date = fields.Date(
        "Date", required=True, states={'readonly': Eval('id', -1) >= 0},
        help="The day whose situation is measured.")
    value = fields.Numeric(
        "Value",
        states={
            'readonly': (Eval('id', -1) >= 0) | Eval('survey', False),
            'required': ~Eval('survey', False) & _NEW,
            },
        help="In the unit of the indicator; computed from the file of a "
        "survey.  A correction without a value withdraws what it corrects.")
    comment = fields.Char(
        "Comment", states={'readonly': Eval('id', -1) >= 0})
    evidence_file = fields.Binary(
        "Evidence", filename='evidence_filename',
        states={
            'readonly': Eval('id', -1) >= 0,
            'required': Eval('survey', False) & _NEW,
            },
        help="The document that shows the value; for a survey the CSV file, "
        "one line per answer.")
    evidence_filename = fields.Char(
        "Evidence Name", states={'readonly': Eval('id', -1) >= 0})
    answers = fields.Integer(
        "Answers", readonly=True, states={'invisible': ~Eval('survey')})
    answers_ignored = fields.Integer(
        "Blank Answers", readonly=True,
        states={'invisible': ~Eval('survey')})
    replaces = fields.Many2One(
        'grant.measure', "Corrects", ondelete='RESTRICT',
        states={'readonly': Eval('id', -1) >= 0},
        domain=[
            ('indicator', '=', Eval('indicator', -1)),
            If(Eval('id', -1) < 0, ('replaced_by', '=', None), ()),
            ],
        help="The measure in whose place this one counts.")
    replace_reason = fields.Char(
        "Reason of the Correction",
        states={
            'readonly': Eval('id', -1) >= 0,
            'required': Eval('replaces', None) != None,  # noqa: E711
            'invisible': Eval('replaces', None) == None,  # noqa: E711
            })
    replaced_by = fields.Many2One(
        'grant.measure', "Corrected By", readonly=True, ondelete='RESTRICT')
    recorded_by = fields.Many2One(
        'res.user', "Recorded By", readonly=True, ondelete='RESTRICT')
    recorded_on = fields.DateTime("Recorded On", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('indicator')
        cls._order = [('date', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.append((
                'replaces_unique', Unique(table, table.replaces),
                'pacte_grants.msg_measure_replaced'))
        cls._sql_indexes.add(
            Index(table,
                (table.indicator, Index.Equality()),
                (table.date, Index.Range())))

    @classmethod
    def default_date(cls):
        return Pool().get('ir.date').today()

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('replaced_by', None) != None,  # noqa: E711
                    'muted', ''),
                ['replaced_by']),
            ('//group[@id="correction"]', 'states', {
                    'invisible': (
                        (Eval('id', -1) >= 0)
                        & (Eval('replaces', None) == None)),  # noqa: E711
                    }, ['replaces']),
            ]

    @fields.depends('indicator', '_parent_indicator.kind')
    def on_change_with_survey(self, name=None):
        return bool(self.indicator and self.indicator.kind in SURVEY_KINDS)

    def get_rec_name(self, name):
        lang = Pool().get('ir.lang').get()
        value = '–' if self.value is None else lang.format_number(self.value)
        return f'{lang.strftime(self.date)} – {value} {self.indicator.unit}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('indicator.name', *clause[1:])]

    @classmethod
    def copy(cls, measures, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('replaces', None)
        default.setdefault('replace_reason', None)
        return super().copy(measures, default=default)

    @classmethod
    def _read(cls, indicator, values):
        """Return the values of a new measure that its survey file gives.

        Raise ``SurveyFileError`` for a file that is not understood,
        ``CompletenessError`` without a file.
        """
        if indicator.kind not in SURVEY_KINDS:
            return {'answers': None, 'answers_ignored': None}
        file = values.get('evidence_file')
        if not file:
            if values.get('replaces') and values.get('value') is None:
                return {'answers': None, 'answers_ignored': None}
            raise CompletenessError(gettext(
                    'pacte_grants.msg_measure_survey',
                    indicator=indicator.rec_name))
        survey = cls.read_file(
            indicator, file, values.get('evidence_filename'))
        value = values.get('value')
        if value is not None and value != survey.value:
            raise FrozenError(gettext(
                    'pacte_grants.msg_measure_computed',
                    indicator=indicator.rec_name,
                    value=value, computed=survey.value))
        return {
            'value': survey.value,
            'answers': survey.answers,
            'answers_ignored': survey.ignored,
            }

    @classmethod
    def read_file(cls, indicator, file, name=None):
        """Return the ``Survey`` that the file (bytes) holds for the
        indicator; raise ``SurveyFileError`` with line and column."""
        try:
            return read_survey(bytes(file), **indicator.survey_settings)
        except SurveyError as error:
            raise SurveyFileError(gettext(
                    f'pacte_grants.msg_survey_{error.code}',
                    file=name or '–', indicator=indicator.rec_name,
                    title=indicator.survey_column or '–',
                    line=error.line, column=error.column, text=error.text,
                    minimum=indicator.survey_minimum,
                    maximum=indicator.survey_maximum)) from None

    def read_again(self):
        "Return the ``Survey`` of the file that was kept as evidence."
        return self.read_file(
            self.indicator, self.evidence_file, self.evidence_filename)

    @classmethod
    def _check_corrections(cls, vlist):
        "Refuse to correct what may not be, or without a reason."
        replaced = {
            m.id: m for m in cls.browse(list({
                        v['replaces'] for v in vlist if v.get('replaces')}))}
        for values in vlist:
            if not values.get('replaces'):
                continue
            measure = replaced[values['replaces']]
            names = {
                'measure': measure.rec_name,
                'indicator': measure.indicator.rec_name,
                }
            if measure.indicator.id != values.get('indicator'):
                raise FrozenError(gettext(
                        'pacte_grants.msg_measure_other', **names))
            elif measure.replaced_by:
                raise FrozenError(gettext(
                        'pacte_grants.msg_measure_corrected', **names,
                        other=measure.replaced_by.rec_name))
            elif not values.get('replace_reason'):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_measure_reason', **names))

    @classmethod
    def _replace(cls, measures):
        "Let the corrections stand in the place of what they correct."
        corrections = [m for m in cls.browse(measures) if m.replaces]
        if not corrections:
            return
        Pool().get('grant.event').add([{
                    'record': m.replaces, 'name': 'value',
                    'before': m.replaces.value, 'after': m.value,
                    'reason': m.replace_reason,
                    } for m in corrections])
        actions = []
        for measure in corrections:
            actions += [[measure.replaces], {'replaced_by': measure.id}]
        with without_check_access():
            cls.write(*actions)

    @classmethod
    def check_modification(cls, mode, measures, values=None, external=False):
        super().check_modification(
            mode, measures, values=values, external=external)
        if mode == 'create':
            cls._check_conventions(measures)
        elif mode == 'delete':
            cls._refuse(measures)
        elif mode == 'write':
            for name in values.keys() - {'replaced_by'}:
                if cls._fields[name]._type != 'binary' and not any(
                        cls._differs(m, name, values[name])
                        for m in measures):
                    continue
                cls._refuse(measures)

    @classmethod
    def _refuse(cls, measures):
        for measure in measures:
            raise AccessError(gettext(
                    'pacte_grants.msg_measure_kept',
                    measure=measure.rec_name,
                    indicator=measure.indicator.rec_name))

    @classmethod
    def _check_conventions(cls, measures):
        for measure in measures:
            convention = measure.indicator.convention
            if convention.state not in MEASURED_STATES:
                raise FrozenError(gettext(
                        'pacte_grants.msg_measure_state',
                        indicator=measure.indicator.rec_name,
                        convention=convention.rec_name,
                        state=convention.state_label))

    @classmethod
    def validate_fields(cls, measures, field_names):
        super().validate_fields(measures, field_names)
        if field_names is not None and not field_names & {
                'date', 'indicator'}:
            return
        today = Pool().get('ir.date').today()
        for measure in measures:
            measure._check_date(today)

    def _check_date(self, today):
        start = self.indicator.convention.start_date
        if not start <= self.date <= today:
            raise PeriodError(gettext(
                    'pacte_grants.msg_measure_date',
                    indicator=self.indicator.rec_name,
                    date=self.date.strftime('%d/%m/%Y'),
                    start=start.strftime('%d/%m/%Y'),
                    today=today.strftime('%d/%m/%Y')))


class IndicatorYear(ModelSQL, ModelView):
    "An indicator in one year of the convention: aimed at, measured, attained."
    __name__ = 'grant.indicator.year'

    indicator = fields.Many2One(
        'grant.indicator', "Indicator", required=True, readonly=True)
    objective = fields.Many2One(
        'grant.objective', "Objective", required=True, readonly=True)
    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, readonly=True)
    year = fields.Integer("Year", required=True, readonly=True)
    unit = fields.Function(fields.Char("Unit"), 'get_progress')
    target = fields.Function(fields.Numeric("Target"), 'get_progress')
    value = fields.Function(fields.Numeric("Measured"), 'get_progress')
    measured_on = fields.Function(fields.Date("Measured On"), 'get_progress')
    attainment = fields.Function(
        fields.Float("Attainment", digits=(3, 2), states=UNMEASURED),
        'get_progress')
    missed = fields.Function(
        fields.Boolean("Missed",
            help="A measure of the year is below what the result clause "
            "asks."),
        'get_progress')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('convention')
        cls._order = [
            ('convention', 'ASC'), ('objective', 'ASC'),
            ('indicator', 'ASC'), ('year', 'ASC'), ('id', 'ASC')]

    @classmethod
    def table_query(cls):
        pool = Pool()
        indicator = pool.get('grant.indicator').__table__()
        objective = pool.get('grant.objective').__table__()
        convention = pool.get('grant.convention').__table__()
        rank = With('rank', recursive=True)
        rank.query = Select([cls.year.sql_cast(Literal(0)).as_('rank')])
        rank.query |= rank.select(
            (rank.rank + 1).as_('rank'), where=rank.rank < _YEARS - 1)
        rank.query.all_ = True
        first = Extract('YEAR', convention.start_date)
        last = Extract('YEAR', convention.end_date)
        return (indicator
            .join(objective, condition=indicator.objective == objective.id)
            .join(convention,
                condition=objective.convention == convention.id)
            .join(rank, condition=rank.rank <= last - first)
            .select(
                (indicator.id * _YEARS + rank.rank).as_('id'),
                indicator.id.as_('indicator'),
                objective.id.as_('objective'),
                convention.id.as_('convention'),
                cls.year.sql_cast(first + rank.rank).as_('year'),
                # What an amendment proposes or took out does not count.
                where=(indicator.active == Literal(True))
                & (objective.active == Literal(True)),
                with_=[rank]))

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="value"]', 'visual',
                If(Eval('attainment', 0) >= 1, 'success',
                    If(Eval('missed', False), 'warning', '')),
                ['attainment', 'missed']),
            ]

    def get_rec_name(self, name):
        return f'{self.indicator.name} – {self.year}'

    @classmethod
    def get_progress(cls, rows, names):
        Indicator = Pool().get('grant.indicator')
        found = Indicator.get_progress([(r.indicator, r.year) for r in rows])
        result = {name: {} for name in names}
        for row in rows:
            progress = found[row.indicator.id, row.year]
            values = {
                'unit': row.indicator.unit,
                'target': progress.target,
                'value': progress.value,
                'measured_on': progress.date,
                'attainment': to_float(progress.attainment),
                'missed': row.indicator.is_missed(row.year, progress),
                }
            for name in names:
                result[name][row.id] = values[name]
        return result


class Indicator(metaclass=PoolMeta):
    __name__ = 'grant.indicator'

    measures = fields.One2Many(
        'grant.measure', 'indicator', "Measures",
        states={
            'readonly': ~Eval('convention_state').in_(
                sorted(MEASURED_STATES)),
            })
    by_year = fields.One2Many(
        'grant.indicator.year', 'indicator', "Year by Year", readonly=True)
    target_year = fields.Function(
        fields.Numeric("Target of the Year"), 'get_attainment')
    target_next = fields.Function(
        fields.Numeric("Target of the Next Year"), 'get_attainment')
    last_value = fields.Function(
        fields.Numeric("Measured"), 'get_attainment')
    measured_on = fields.Function(
        fields.Date("Measured On"), 'get_attainment')
    attainment = fields.Function(fields.Float(
            "Attainment", digits=(3, 2), states=UNMEASURED,
            help="Share of the way from the baseline to the target of the "
            "year; 1 when the target is reached."),
        'get_attainment')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="last_value"]', 'visual',
                If(Eval('attainment', 0) >= 1, 'success', ''),
                ['attainment']),
            ]

    @classmethod
    def copy(cls, indicators, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('measures', None)
        return super().copy(indicators, default=default)

    @classmethod
    def get_progress(cls, pairs):
        """Return by ``(indicator id, year)`` the ``Progress`` for pairs of
        an indicator and a year: the target of the year and the last valid
        measure up to its end with its attainment (Decimal, 0 to 1), both
        ``None`` without a measure."""
        pairs = list(pairs)
        measures = cls._get_measures({i.id for i, _ in pairs})
        result = {}
        for indicator, year in pairs:
            final = year >= indicator.years[-1]
            value = date = None
            for measure_date, measured in measures[indicator.id]:
                if final or measure_date.year <= year:
                    value, date = measured, measure_date
            target = indicator.target_for(year)
            result[indicator.id, year] = Progress(
                target, value, date,
                indicator.compute_attainment(value, target))
        return result

    @classmethod
    def _get_measures(cls, ids):
        "Return by indicator id the dates and values that count, in order."
        Measure = Pool().get('grant.measure')
        measures = defaultdict(list)
        for sub in grouped_slice(sorted(ids), SLICE):
            for measure in Measure.search([
                        ('indicator', 'in', list(sub)),
                        ('replaced_by', '=', None),
                        ('value', '!=', None),
                        ], order=[('date', 'ASC'), ('id', 'ASC')]):
                measures[measure.indicator.id].append(
                    (measure.date, measure.value))
        return measures

    @classmethod
    def get_attainment(cls, indicators, names):
        years = {i: i.convention_year for i in indicators}
        found = cls.get_progress(years.items())
        result = {name: {} for name in names}
        for indicator, year in years.items():
            progress = found[indicator.id, year]
            values = {
                'target_year': progress.target,
                'target_next': (
                    indicator.target_for(year + 1)
                    if year < indicator.years[-1] else None),
                'last_value': progress.value,
                'measured_on': progress.date,
                'attainment': to_float(progress.attainment),
                }
            for name in names:
                result[name][indicator.id] = values[name]
        return result

    @property
    def convention_year(self):
        """The year of the convention that is looked at: the one of the
        context (``attainment_year``), otherwise the current one."""
        return self.objective.convention.attainment_year

    def is_missed(self, year, progress):
        """Return whether the result clause applies to the progress of the
        year: there is one, and a measure of that year, or a later one of
        the last year, is below its threshold."""
        return bool(
            self.result_clause != 'nothing'
            and self.result_threshold
            and progress.date and progress.date.year >= year
            and progress.attainment < self.result_threshold)


class Objective(metaclass=PoolMeta):
    __name__ = 'grant.objective'

    attainment = fields.Function(fields.Float(
            "Attainment", digits=(3, 2), states=UNMEASURED,
            help="Mean of the measured indicators by their weights."),
        'get_attainment')
    unmeasured = fields.Function(fields.Integer(
            "Not Measured",
            help="The number of indicators without a measure, which the "
            "attainment leaves out."),
        'get_attainment')

    @classmethod
    def get_attainment(cls, objectives, names):
        found = cls.compute_attainments(objectives)
        result = {name: {} for name in names}
        for objective in objectives:
            attainment, unmeasured = found[objective.id]
            values = {
                'attainment': to_float(attainment),
                'unmeasured': unmeasured,
                }
            for name in names:
                result[name][objective.id] = values[name]
        return result

    @classmethod
    def compute_attainments(cls, objectives, year=None):
        """Return by objective id its attainment (Decimal, 0 to 1, or
        ``None``) in the year and how many of its indicators are not
        measured; by default in the year that is looked at."""
        Indicator = Pool().get('grant.indicator')
        pairs = {
            o.id: [(i, year or i.convention_year) for i in o.indicators]
            for o in objectives}
        progress = Indicator.get_progress(
            pair for sub in pairs.values() for pair in sub)
        result = {}
        for id_, sub in pairs.items():
            values = [
                (progress[i.id, y].attainment, i.weight) for i, y in sub]
            result[id_] = (
                mean(values), sum(value is None for value, _ in values))
        return result


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    indicators = fields.Function(fields.Many2Many(
            'grant.indicator', None, None, "Indicators",
            states={'invisible': Eval('form') != 'convention'}),
        'get_indicators')
    indicators_by_year = fields.One2Many(
        'grant.indicator.year', 'convention', "Indicators Year by Year",
        readonly=True)
    attainment_year = fields.Function(
        fields.Integer("Year Looked At"), 'get_attainment_year')
    attainment = fields.Function(fields.Float(
            "Attainment", digits=(3, 2), states=UNMEASURED,
            help="Mean of the measured objectives by their weights."),
        'get_attainment')
    unmeasured = fields.Function(fields.Integer(
            "Indicators Not Measured",
            help="The attainment leaves them out."),
        'get_attainment')

    @classmethod
    def get_indicators(cls, conventions, name):
        return {
            c.id: [i.id for o in c.objectives for i in o.indicators]
            for c in conventions}

    @classmethod
    def get_attainment_year(cls, conventions, name):
        """The year of the context (``attainment_year``), otherwise the
        current one, within the years of the convention."""
        year = (
            Transaction().context.get('attainment_year')
            or Pool().get('ir.date').today().year)
        years = {}
        for convention in conventions:
            all_ = convention.objective_years
            years[convention.id] = min(max(year, all_[0]), all_[-1])
        return years

    @classmethod
    def get_attainment(cls, conventions, names):
        found = cls.compute_attainments(conventions)
        result = {name: {} for name in names}
        for convention in conventions:
            attainment, unmeasured = found[convention.id]
            values = {
                'attainment': to_float(attainment),
                'unmeasured': unmeasured,
                }
            for name in names:
                result[name][convention.id] = values[name]
        return result

    @classmethod
    def compute_attainments(cls, conventions, year=None):
        """Return by convention id its attainment (Decimal, 0 to 1, or
        ``None``) in the year and how many of its indicators are not
        measured; by default in the year that is looked at."""
        Objective = Pool().get('grant.objective')
        objectives = Objective.compute_attainments(
            [o for c in conventions for o in c.objectives], year=year)
        return {
            c.id: (
                mean(
                    (objectives[o.id][0], o.weight) for o in c.objectives),
                sum(objectives[o.id][1] for o in c.objectives))
            for c in conventions}

    def get_result_reductions(self, year):
        """Return the reductions of the balance that the result clauses call
        for: pairs of an indicator and a share (Decimal, above 0 and at most
        1) of the balance of the year.

        Only what a measure of the year shows to be missed: an indicator
        that nobody measured reduces nothing.  Empty for a year outside the
        convention.  All shares together are at most 1.
        """
        if year not in self.objective_years:
            return []
        Indicator = Pool().get('grant.indicator')
        indicators = [
            i for o in self.objectives for i in o.indicators
            if i.result_clause == 'reduction']
        progress = Indicator.get_progress((i, year) for i in indicators)
        return [
            (i, i.result_share) for i in indicators
            if i.is_missed(year, progress[i.id, year])]
