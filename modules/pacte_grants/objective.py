# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Objectives defined by both parties, their indicators and measures."
from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, fields, sequence_ordered)
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If

from .check import AmountMixin
from .convention import OPEN_STATES, AgreedChildMixin, AgreedMixin
from .exceptions import CompletenessError
from .mixin import ClaimMixin, FrozenByMixin, acting_user


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
        "A later touch by one side undoes the agreement of both."
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


class Indicator(
        AmountMixin, AgreedMixin, FrozenByMixin, sequence_ordered(),
        ModelSQL, ModelView):
    __name__ = 'grant.indicator'
    _agreed_with = [
        'objective', 'name', 'unit', 'direction', 'baseline', 'target',
        'tolerance', 'weight', 'source']
    _amounts = ('tolerance', 'weight')
    _frozen_by = 'objective.convention'
    _parent_states = OPEN_STATES

    objective = fields.Many2One(
        'grant.objective', "Objective", required=True, ondelete='CASCADE')
    convention = fields.Function(fields.Many2One(
            'grant.convention', "Convention"),
        'on_change_with_convention', searcher='search_convention')
    name = fields.Char("Name", required=True)
    unit = fields.Char("Unit", required=True)
    direction = fields.Selection([
            ('rise', "Rise To"),
            ('fall', "Fall To"),
            ('reach', "Reach"),
            ('keep', "Keep Within"),
            ], "Direction", required=True, sort=False)
    baseline = fields.Numeric(
        "Baseline", help="The value at the start of the convention.")
    target = fields.Numeric("Target", required=True)
    tolerance = fields.Numeric(
        "Tolerance", required=True,
        help="Distance to the target within which it counts as reached.")
    weight = fields.Numeric("Weight", digits=(3, 0), required=True)
    source = fields.Char(
        "Source", help="Where the measure comes from and who takes it.")
    measures = fields.One2Many(
        'grant.measure', 'indicator', "Measures")
    last_value = fields.Function(
        fields.Numeric("Measured"), 'get_attainment')
    attainment = fields.Function(fields.Float(
            "Attainment", digits=(3, 2),
            help="Share of the way from the baseline to the target; 1 when "
            "the target is reached."),
        'get_attainment')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('objective')
        cls._sql_indexes.add(
            Index(table, (table.objective, Index.Equality())))

    @classmethod
    def default_direction(cls):
        return 'rise'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="last_value"]', 'visual',
                If(Eval('attainment', 0) >= 1, 'success', ''),
                ['attainment']),
            ]

    @classmethod
    def default_tolerance(cls):
        return 0

    @classmethod
    def default_weight(cls):
        return 1

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

    @classmethod
    def get_attainment(cls, indicators, names):
        result = {name: {} for name in names}
        for indicator in indicators:
            value = (
                indicator.measures[-1].value if indicator.measures else None)
            values = {
                'last_value': value,
                'attainment': indicator.compute_attainment(value),
                }
            for name in names:
                result[name][indicator.id] = values[name]
        return result

    def compute_attainment(self, value):
        """Return the share of the target (0 to 1) that the value attains,
        ``None`` without a value.

        Within the tolerance the target is reached.  Otherwise it is the
        share of the way made from the baseline, or the ratio to the target
        where there is no baseline; what is to be kept within is all or
        nothing.
        """
        if value is None:
            return None
        target, tolerance = self.target, self.tolerance
        if self.direction == 'rise':
            reached = value >= target - tolerance
        elif self.direction == 'fall':
            reached = value <= target + tolerance
        else:
            reached = abs(value - target) <= tolerance
        if reached:
            return 1.0
        if self.direction == 'keep':
            return 0.0
        if self.baseline is not None and self.baseline != target:
            share = (value - self.baseline) / (target - self.baseline)
        elif self.direction == 'fall':
            share = target / value if value else 1
        else:
            share = value / target if target else 0
        return float(max(0, min(1, share)))

    @classmethod
    def on_modification(cls, mode, indicators, field_names=None):
        super().on_modification(mode, indicators, field_names=field_names)
        if mode == 'create' or (
                mode == 'write' and field_names - {'measures'}):
            Objective = Pool().get('grant.objective')
            Objective.undo_agreement(
                list({i.objective for i in indicators}))

    @classmethod
    def on_delete(cls, indicators):
        Objective = Pool().get('grant.objective')
        objectives = list({i.objective for i in indicators})
        callback = super().on_delete(indicators)

        def undo():
            Objective.undo_agreement(Objective.search([
                        ('id', 'in', [o.id for o in objectives])]))
        callback.append(undo)
        return callback


class Measure(ModelSQL, ModelView):
    __name__ = 'grant.measure'

    indicator = fields.Many2One(
        'grant.indicator', "Indicator", required=True, ondelete='RESTRICT')
    date = fields.Date("Date", required=True)
    value = fields.Numeric("Value", required=True)
    comment = fields.Char("Comment")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('indicator')
        cls._order = [('date', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.add(
            Index(table, (table.indicator, Index.Equality())))

    @classmethod
    def default_date(cls):
        return Pool().get('ir.date').today()

    def get_rec_name(self, name):
        return f'{self.indicator.name}: {self.value}'


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    objectives = fields.One2Many(
        'grant.objective', 'convention', "Objectives",
        states={'readonly': ~Eval('state').in_(list(OPEN_STATES))})

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
