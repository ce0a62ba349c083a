# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Objectives defined by both parties, their indicators and measures."
from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, Unique, fields, sequence_ordered)
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import Transaction

from .check import AmountMixin, year_domain
from .convention import OPEN_STATES, AgreedChildMixin, AgreedMixin
from .exceptions import (
    AmountError, CompletenessError, PeriodError, SettingsError)
from .mixin import ClaimMixin, FrozenByMixin, acting_user, is_thawed
from .sums import SLICE

SURVEY_KINDS = ['satisfaction', 'participation']
_SURVEY_SETTINGS = frozenset({
        'survey_column', 'survey_minimum', 'survey_maximum',
        'survey_threshold'})
# The settings that each method uses
_USED = {
    'mean': frozenset({'survey_column', 'survey_minimum', 'survey_maximum'}),
    'share': _SURVEY_SETTINGS,
    'distinct': frozenset({'survey_column'}),
    }
_STATES_NOTES = {
    'required': Eval('survey_method').in_(['mean', 'share']),
    'invisible': ~Eval('survey_method').in_(['mean', 'share']),
    }


def plain_number(value):
    "Return the number as text without the zeros that say nothing."
    if isinstance(value, str):
        value = Decimal(value)
    return format(value.normalize(), 'f').replace('.', ',')


def plain_percent(ratio):
    "Return the ratio (Decimal, or its text) as a percentage."
    return f'{plain_number(Decimal(ratio) * 100)}\xa0%'


def result_sentence(clause, threshold, share):
    """Return in the user's language what the result clause means, ``None``
    as long as it is not filled in.

    ``threshold`` and ``share`` are ratios (Decimal).  The consequence is a
    reduction of the grant, never a price (L01).
    """
    if clause == 'nothing':
        return gettext('pacte_grants.msg_result_nothing')
    if not threshold or clause == 'reduction' and not share:
        return None
    values = {'threshold': plain_percent(threshold)}
    if clause == 'talk':
        return gettext('pacte_grants.msg_result_talk', **values)
    if clause == 'reduction':
        return gettext(
            'pacte_grants.msg_result_reduction',
            share=plain_percent(share), **values)


def compute_attainment(direction, value, target, baseline, tolerance):
    """Return the attainment of the target: a Decimal from 0 to 1, ``None``
    without a value.  All but ``direction`` are in the unit of the indicator.

    The target is reached, and the attainment 1, when the value is

    - ``rise``: at least the target less the tolerance;
    - ``fall``: at most the target plus the tolerance;
    - ``reach``, ``keep``: within the tolerance of the target.

    Otherwise it is the share of the way that was made, between 0 and 1:

    - ``rise``, ``fall``: (value − baseline) / (target − baseline).  Without
      a baseline on the other side of the target, value / target for a rise
      and target / value for a fall, of positive values;
    - ``reach``: 1 − |target − value| / |target − baseline|, zero being the
      baseline where there is none: what goes too far counts as what falls
      short;
    - ``keep``: 0.  It is kept or not.
    """
    if value is None:
        return None
    zero, one = Decimal(0), Decimal(1)
    gap = {
        'rise': target - value,
        'fall': value - target,
        }.get(direction, abs(value - target))
    if gap <= tolerance:
        return one
    if direction == 'keep':
        return zero
    way = zero
    if baseline is not None:
        way = {
            'rise': target - baseline,
            'fall': baseline - target,
            }.get(direction, abs(target - baseline))
    if way <= 0:
        if direction == 'fall':
            return target / value if target > 0 else zero
        way = abs(target) if direction == 'reach' else target
        if way <= 0:
            return zero
    return max(zero, one - gap / way)


class Objective(
        AmountMixin, AgreedChildMixin, ClaimMixin, FrozenByMixin,
        sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'grant.objective'
    _agreed_with = ['convention', 'title', 'description', 'weight']
    _rec_name = 'title'
    _amounts = ('weight',)
    _frozen_by = 'convention'
    _parent_states = OPEN_STATES
    _server_fields = frozenset({
            'partner_agreed_on', 'partner_agreed_by',
            'department_agreed_on', 'department_agreed_by'})
    # A change of these undoes what was agreed.
    _agreed_fields = frozenset({'title', 'description', 'weight'})

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='CASCADE')
    title = fields.Char("Title", required=True)
    description = fields.Text("Description")
    weight = fields.Numeric(
        "Weight", digits=(3, 0), required=True,
        help="The relative importance of the objective.")
    indicators = fields.One2Many(
        'grant.indicator', 'objective', "Indicators")
    partner_agreed_on = fields.Date("Agreed by the Partner", readonly=True)
    partner_agreed_by = fields.Many2One(
        'res.user', "Partner's Agreement Recorded By", readonly=True,
        ondelete='RESTRICT')
    department_agreed_on = fields.Date(
        "Agreed by the Department", readonly=True)
    department_agreed_by = fields.Many2One(
        'res.user', "Agreed for the Department By", readonly=True,
        ondelete='RESTRICT')
    agreed = fields.Function(
        fields.Boolean("Agreed"), 'on_change_with_agreed')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('convention')
        cls._sql_indexes.add(
            Index(table, (table.convention, Index.Equality())))
        cls._buttons.update({
                'agree_partner': {
                    'invisible': Eval('partner_agreed_on', None)
                    != None,  # noqa: E711
                    'depends': ['partner_agreed_on'],
                    },
                'agree_department': {
                    'invisible': Eval('department_agreed_on', None)
                    != None,  # noqa: E711
                    'depends': ['department_agreed_on'],
                    },
                })

    @classmethod
    def default_weight(cls):
        return 1

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('agreed', False), 'success', 'warning'),
                ['agreed']),
            ]

    @fields.depends('partner_agreed_on', 'department_agreed_on')
    def on_change_with_agreed(self, name=None):
        return bool(self.partner_agreed_on and self.department_agreed_on)

    @classmethod
    def on_modification(cls, mode, objectives, field_names=None):
        super().on_modification(mode, objectives, field_names=field_names)
        if mode == 'write' and field_names & cls._agreed_fields:
            cls.undo_agreement(objectives)

    @classmethod
    def undo_agreement(cls, objectives):
        """A later touch by one side undoes the agreement of both, as long as
        the text is open.

        The objectives and the text that they belong to are claimed: nobody
        agrees at the same time to what was there before.
        """
        objectives = [o for o in objectives if o.is_open]
        if is_thawed() or not objectives:
            return
        parents = defaultdict(list)
        for objective in objectives:
            parent = objective._freezing_parent
            parents[parent.__class__].append(parent)
        for Parent, records in parents.items():
            Parent.claim(records)
        objectives = cls.claim(objectives)
        cls.check_parent(objectives)
        objectives = [
            o for o in objectives
            if o.partner_agreed_on or o.department_agreed_on]
        if objectives:
            cls.write(objectives, {
                    'partner_agreed_on': None,
                    'partner_agreed_by': None,
                    'department_agreed_on': None,
                    'department_agreed_by': None,
                    })

    @classmethod
    @ModelView.button
    def agree_partner(cls, objectives):
        "Record that the partner agrees to the objective as it stands."
        cls._agree(objectives, 'partner')

    @classmethod
    @ModelView.button
    def agree_department(cls, objectives):
        "Agree to the objective as it stands, for the Department."
        cls._agree(objectives, 'department')

    @classmethod
    def _agree(cls, objectives, side):
        user = acting_user(gettext('pacte_grants.msg_act_objective'))
        objectives = cls.claim(objectives)
        cls.check_parent(objectives)
        for objective in objectives:
            if not objective.indicators:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_objective_no_indicator',
                        objective=objective.rec_name,
                        convention=objective.convention.rec_name))
        cls.write(objectives, {
                f'{side}_agreed_on': Pool().get('ir.date').today(),
                f'{side}_agreed_by': user.id,
                })


class DefinitionMixin:
    "What is measured, in which unit, by whom and how."
    __slots__ = ()

    name = fields.Char("Name", required=True)
    unit = fields.Char("Unit", required=True)
    direction = fields.Selection([
            ('rise', "Rise To"),
            ('fall', "Fall To"),
            ('reach', "Reach"),
            ('keep', "Keep Within"),
            ], "Direction", required=True, sort=False)
    kind = fields.Selection([
            ('figure', "Figure"),
            ('satisfaction', "Satisfaction of Users"),
            ('participation', "Participation"),
            ], "Kind", required=True, sort=False,
        help="The measures of satisfaction and participation are computed "
        "from a survey file.")
    tolerance = fields.Numeric(
        "Tolerance", required=True,
        help="Distance to the target within which it counts as reached.")
    source = fields.Char("Source", help="Where the measure comes from.")
    measured_by = fields.Selection([
            (None, ""),
            ('partner', "Partner"),
            ('department', "Department"),
            ('users', "Users and Inhabitants"),
            ('third_party', "Third Party"),
            ], "Measured By", sort=False)
    measured_by_string = measured_by.translated('measured_by')
    measured_when = fields.Char(
        "Measured When",
        help='For example "each 31 December" or "at the end of the season".')
    survey_method = fields.Selection([
            (None, ""),
            ('mean', "Mean of the Notes"),
            ('share', "Percentage of Satisfied Answers"),
            ('answers', "Number of Answers"),
            ('distinct', "Number of Different Participants"),
            ], "Method", sort=False,
        domain=[
            If(Eval('kind') == 'satisfaction',
                ('survey_method', 'in', ['mean', 'share']),
                If(Eval('kind') == 'participation',
                    ('survey_method', 'in', ['answers', 'distinct']),
                    ('survey_method', '=', None))),
            ],
        states={
            'required': Eval('kind').in_(SURVEY_KINDS),
            'invisible': ~Eval('kind').in_(SURVEY_KINDS),
            })
    survey_column = fields.Char(
        "Column",
        states={
            'required': Eval('survey_method').in_(
                ['mean', 'share', 'distinct']),
            'invisible': ~Eval('survey_method').in_(
                ['mean', 'share', 'distinct']),
            },
        help="The title of the column of the survey file that holds the "
        "note or the participant.")
    survey_minimum = fields.Numeric(
        "Lowest Note", states=_STATES_NOTES,
        help="The lower end of the scale of notes.")
    survey_maximum = fields.Numeric(
        "Highest Note", states=_STATES_NOTES,
        help="The upper end of the scale of notes.")
    survey_threshold = fields.Numeric(
        "Satisfied From",
        states={
            'required': Eval('survey_method') == 'share',
            'invisible': Eval('survey_method') != 'share',
            },
        help="The note from which an answer counts as satisfied.")

    @classmethod
    def default_direction(cls):
        return 'rise'

    @classmethod
    def default_kind(cls):
        return 'figure'

    @classmethod
    def default_tolerance(cls):
        return 0

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//group[@id="survey"]', 'states', {
                    'invisible': ~Eval('kind').in_(SURVEY_KINDS),
                    }, ['kind']),
            ]

    @fields.depends('kind', 'survey_method', methods=['_clear_survey'])
    def on_change_kind(self):
        methods = {
            'satisfaction': ['mean', 'share'],
            'participation': ['answers', 'distinct'],
            }.get(self.kind, [])
        if self.survey_method not in methods:
            self.survey_method = methods[0] if methods else None
        self._clear_survey()

    @fields.depends(methods=['_clear_survey'])
    def on_change_survey_method(self):
        self._clear_survey()

    @fields.depends('survey_method')
    def _clear_survey(self):
        "Forget the settings that the method does not use."
        for name in _SURVEY_SETTINGS - _USED.get(
                self.survey_method, frozenset()):
            setattr(self, name, None)

    @classmethod
    def validate_fields(cls, records, field_names):
        super().validate_fields(records, field_names)
        names = {'kind', 'survey_method'} | _SURVEY_SETTINGS
        if field_names is None or field_names & names:
            for record in records:
                record._check_survey()

    def _check_survey(self):
        used = _USED.get(self.survey_method, frozenset())
        for name in sorted(_SURVEY_SETTINGS - used):
            if getattr(self, name) not in {None, ''}:
                raise SettingsError(gettext(
                        'pacte_grants.msg_survey_setting',
                        **self.__names__(field=name, record=self)))
        if 'survey_minimum' not in used:
            return
        low, high = self.survey_minimum, self.survey_maximum
        threshold = self.survey_threshold
        if low >= high or (
                threshold is not None and not low <= threshold <= high):
            raise SettingsError(gettext(
                    'pacte_grants.msg_survey_scale_settings',
                    **self.__names__(record=self)))

    @property
    def survey_settings(self):
        "The arguments with which ``read_survey`` reads a file."
        return {
            'method': self.survey_method,
            'column': self.survey_column,
            'minimum': self.survey_minimum,
            'maximum': self.survey_maximum,
            'threshold': self.survey_threshold,
            }

    @classmethod
    def definition_fields(cls):
        "Return the names of the fields that define the measure."
        return [
            'name', 'unit', 'direction', 'kind', 'tolerance', 'source',
            'measured_by', 'measured_when', 'survey_method',
            *sorted(_SURVEY_SETTINGS)]


class Indicator(
        AmountMixin, AgreedMixin, DefinitionMixin, FrozenByMixin,
        sequence_ordered(), ModelSQL, ModelView):
    __name__ = 'grant.indicator'
    _agreed_with = [
        'objective', 'name', 'unit', 'direction', 'kind', 'baseline',
        'target', 'targets', 'tolerance', 'weight', 'source', 'measured_by',
        'measured_when', 'survey_method', 'survey_column', 'survey_minimum',
        'survey_maximum', 'survey_threshold', 'result_clause',
        'result_threshold', 'result_share']
    _amounts = ('tolerance', 'weight')
    _frozen_by = 'objective.convention'
    _parent_states = OPEN_STATES

    objective = fields.Many2One(
        'grant.objective', "Objective", required=True, ondelete='CASCADE')
    convention = fields.Function(fields.Many2One(
            'grant.convention', "Convention"),
        'on_change_with_convention', searcher='search_convention')
    baseline = fields.Numeric(
        "Baseline", help="The value at the start of the convention.")
    target = fields.Numeric(
        "Target", required=True,
        help="The value at the end of the convention.")
    targets = fields.One2Many(
        'grant.indicator.target', 'indicator', "Targets by Year",
        help="What is aimed at on the way to the target. A year without a "
        "line keeps the last one before it.")
    weight = fields.Numeric("Weight", digits=(3, 0), required=True)
    result_clause = fields.Selection([
            ('nothing', "Nothing"),
            ('talk', "Talk Together"),
            ('reduction', "Reduce the Balance"),
            ], "If the Target Is Missed", required=True, sort=False)
    result_threshold = fields.Numeric(
        "Below", digits=(1, 4),
        domain=[
            If(Eval('result_clause') != 'nothing',
                [
                    ('result_threshold', '>', 0),
                    ('result_threshold', '<=', 1)],
                ()),
            ],
        states={
            'required': Eval('result_clause') != 'nothing',
            'invisible': Eval('result_clause') == 'nothing',
            },
        help="The attainment below which the target counts as missed.")
    result_share = fields.Numeric(
        "Reduction", digits=(1, 4),
        domain=[
            If(Eval('result_clause') == 'reduction',
                [('result_share', '>', 0), ('result_share', '<=', 1)],
                ('result_share', '=', None)),
            ],
        states={
            'required': Eval('result_clause') == 'reduction',
            'invisible': Eval('result_clause') != 'reduction',
            },
        help="The share of the balance by which the grant is reduced.")
    result_text = fields.Function(
        fields.Text("Result Clause"), 'on_change_with_result_text')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('objective')
        cls._sql_indexes.add(
            Index(table, (table.objective, Index.Equality())))

    @classmethod
    def default_weight(cls):
        return 1

    @classmethod
    def default_result_clause(cls):
        return 'talk'

    @classmethod
    def default_result_threshold(cls):
        return Pool().get('grant.parameter').get('RESULT_THRESHOLD')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//group[@id="result_threshold"]', 'states', {
                    'invisible': Eval('result_clause') == 'nothing',
                    }, ['result_clause']),
            ('//group[@id="result_share"]', 'states', {
                    'invisible': Eval('result_clause') != 'reduction',
                    }, ['result_clause']),
            ]

    @fields.depends('objective', '_parent_objective.convention')
    def on_change_with_convention(self, name=None):
        return self.objective.convention if self.objective else None

    @classmethod
    def search_convention(cls, name, clause):
        return [('objective.' + clause[0], *clause[1:])]

    @fields.depends('objective', '_parent_objective.convention',
        '_parent_objective._parent_convention.state')
    def on_change_with_convention_state(self, name=None):
        if self.objective and self.objective.convention:
            return self.objective.convention.state

    @fields.depends('result_clause', 'result_threshold')
    def on_change_result_clause(self):
        if self.result_clause != 'reduction':
            self.result_share = None
        if self.result_clause == 'nothing':
            self.result_threshold = None
        elif self.result_threshold is None:
            self.result_threshold = self.default_result_threshold()

    @fields.depends('result_clause', 'result_threshold', 'result_share')
    def on_change_with_result_text(self, name=None):
        return result_sentence(
            self.result_clause, self.result_threshold, self.result_share)

    @property
    def years(self):
        "The years of the convention."
        return self.objective.convention.objective_years

    def target_for(self, year):
        """Return the target (in the unit of the indicator) of the year: from
        the last year of the convention on the final target; before, the
        last yearly target given for the year or an earlier one, or the
        final target where there is none."""
        if year >= self.years[-1]:
            return self.target
        given = [t for t in self.targets if t.year <= year]
        return max(given, key=lambda t: t.year).value if given else (
            self.target)

    def compute_attainment(self, value, target=None):
        """Return the attainment (Decimal, 0 to 1) of the value, ``None``
        without a value; the final target is meant if none is given."""
        return compute_attainment(
            self.direction, value, self.target if target is None else target,
            self.baseline, self.tolerance)

    @classmethod
    def validate_fields(cls, indicators, field_names):
        super().validate_fields(indicators, field_names)
        if field_names is None or field_names & {'target', 'objective'}:
            cls.check_targets(indicators)
        if field_names is None or field_names & {
                'result_share', 'result_clause', 'objective'}:
            cls._check_shares(indicators)

    @classmethod
    def check_targets(cls, indicators):
        """Raise ``PeriodError`` for a yearly target outside the years of the
        convention, ``AmountError`` for one of its last year that is not the
        final target."""
        for indicator in indicators:
            indicator.check_years(indicator.years)

    def check_years(self, years):
        """Raise the errors of ``check_targets`` for a convention of the years
        (a range)."""
        for target in self.targets:
            if target.year not in years:
                raise PeriodError(gettext(
                        'pacte_grants.msg_indicator_target_year',
                        indicator=self.rec_name,
                        year=target.year,
                        convention=self.convention.rec_name,
                        first=years[0], last=years[-1]))
            if target.year == years[-1] and target.value != self.target:
                raise AmountError(gettext(
                        'pacte_grants.msg_indicator_target_last',
                        indicator=self.rec_name,
                        year=target.year,
                        value=plain_number(target.value),
                        target=plain_number(self.target)))

    @classmethod
    def _check_shares(cls, indicators):
        "All reductions of a convention together take the balance at most."
        conventions = {
            i.convention for i in indicators
            if i.result_clause == 'reduction'}
        totals = defaultdict(Decimal)
        for sub in grouped_slice(list(conventions), SLICE):
            for indicator in cls.search([
                        ('convention', 'in', [c.id for c in sub]),
                        ('result_clause', '=', 'reduction'),
                        ]):
                totals[indicator.convention] += indicator.result_share or 0
        for convention, total in totals.items():
            cls.check_total_share(convention, total)

    @classmethod
    def check_total_share(cls, convention, total):
        "Raise ``AmountError`` if the reductions exceed the balance."
        if total > 1:
            raise AmountError(gettext(
                    'pacte_grants.msg_indicator_shares',
                    convention=convention.rec_name,
                    total=plain_percent(total)))

    @classmethod
    def on_modification(cls, mode, indicators, field_names=None):
        super().on_modification(mode, indicators, field_names=field_names)
        if mode == 'create' or (
                mode == 'write' and field_names - {'measures', 'library'}):
            Objective = Pool().get('grant.objective')
            Objective.undo_agreement(
                list({i.objective for i in indicators}))

    @classmethod
    def on_delete(cls, indicators):
        Objective = Pool().get('grant.objective')
        objectives = list({i.objective for i in indicators})
        callback = super().on_delete(indicators)

        def undo():
            gone = Transaction().delete_records[Objective.__name__]
            Objective.undo_agreement(
                [o for o in objectives if o.id not in gone])
        callback.append(undo)
        return callback


class Target(AgreedMixin, FrozenByMixin, ModelSQL, ModelView):
    "What is aimed at for one year of the convention."
    __name__ = 'grant.indicator.target'
    _agreed_with = ['indicator', 'year', 'value']
    _frozen_by = 'indicator.objective.convention'
    _parent_states = OPEN_STATES

    indicator = fields.Many2One(
        'grant.indicator', "Indicator", required=True, ondelete='CASCADE')
    year = fields.Integer(
        "Year", required=True, domain=year_domain('year'))
    value = fields.Numeric("Target", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('indicator')
        cls._order = [
            ('indicator', 'ASC'), ('year', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.append((
                'indicator_year_unique',
                Unique(table, table.indicator, table.year),
                'pacte_grants.msg_indicator_target_unique'))

    @fields.depends('indicator', '_parent_indicator.convention_state')
    def on_change_with_convention_state(self, name=None):
        return self.indicator.convention_state if self.indicator else None

    def get_rec_name(self, name):
        return f'{self.indicator.name} – {self.year}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('indicator.name', *clause[1:])]

    @classmethod
    def validate_fields(cls, targets, field_names):
        super().validate_fields(targets, field_names)
        Indicator = Pool().get('grant.indicator')
        Indicator.check_targets(
            Indicator.browse(list({t.indicator.id for t in targets})))

    @classmethod
    def on_modification(cls, mode, targets, field_names=None):
        super().on_modification(mode, targets, field_names=field_names)
        if mode in {'create', 'write'}:
            Objective = Pool().get('grant.objective')
            Objective.undo_agreement(
                list({t.indicator.objective for t in targets}))

    @classmethod
    def on_delete(cls, targets):
        Objective = Pool().get('grant.objective')
        objectives = list({t.indicator.objective for t in targets})
        callback = super().on_delete(targets)

        def undo():
            gone = Transaction().delete_records[Objective.__name__]
            Objective.undo_agreement(
                [o for o in objectives if o.id not in gone])
        callback.append(undo)
        return callback


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    objectives = fields.One2Many(
        'grant.objective', 'convention', "Objectives",
        states={'readonly': ~Eval('state').in_(list(OPEN_STATES))})

    @property
    def objective_years(self):
        "The years that the convention touches, as a range."
        return range(self.start_date.year, self.end_date.year + 1)

    @classmethod
    def validate_fields(cls, conventions, field_names):
        super().validate_fields(conventions, field_names)
        if field_names is None or not (
                field_names & {'start_date', 'end_date'}):
            return
        Indicator = Pool().get('grant.indicator')
        for sub in grouped_slice(conventions, SLICE):
            Indicator.check_targets(Indicator.search([
                        ('convention', 'in', [c.id for c in sub]),
                        ('targets', '!=', None),
                        ]))

    def get_agreement_reasons(self):
        reasons = super().get_agreement_reasons()
        if self.form != 'convention':
            return reasons
        if not self.objectives:
            reasons.append(gettext('pacte_grants.msg_agreement_objective'))
        for objective in self.objectives:
            if not objective.partner_agreed_on:
                reasons.append(gettext(
                        'pacte_grants.msg_agreement_objective_partner',
                        objective=objective.rec_name))
            if not objective.department_agreed_on:
                reasons.append(gettext(
                        'pacte_grants.msg_agreement_objective_department',
                        objective=objective.rec_name))
        return reasons
