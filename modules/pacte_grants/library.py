# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The library of objectives and indicators from which conventions start.

What is taken from it is copied: a later change of the library changes no
convention.  Each entry shows where it was used and what was attained.
"""
from collections import defaultdict
from decimal import Decimal

from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelView, Unique, fields,
    sequence_ordered)
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.tools import grouped_slice
from trytond.transaction import check_access, without_check_access
from trytond.wizard import (
    Button, StateTransition, StateView, Wizard)

from .check import AmountMixin, PeriodMixin
from .convention import OPEN_STATES
from .measure import UNMEASURED, mean, to_float
from .objective import DefinitionMixin
from .scheme import DOMAINS
from .sums import SLICE

# The states of the conventions whose text was not agreed, or was given up
# before anything was done.
_UNUSED_STATES = ['draft', 'negotiation', 'cancelled']


class UsedMixin:
    """An entry that says where it was used; ``_used`` is the model of what
    was copied from it."""
    __slots__ = ()
    _used = None

    uses = fields.Function(
        fields.Integer("Times Used",
            help="In conventions whose text was agreed."),
        'get_uses')
    attainment = fields.Function(
        fields.Float(
            "Mean Attainment", digits=(3, 2), states=UNMEASURED,
            help="What the conventions that measured it attained, on the "
            "average."),
        'get_uses')

    @classmethod
    def get_uses(cls, entries, names):
        found = cls._get_used(entries)
        attainments = cls._get_attainments(
            [used for sub in found.values() for used in sub])
        result = {name: {} for name in names}
        for entry in entries:
            used = found[entry.id]
            values = {
                'uses': len(used),
                'attainment': to_float(mean(
                        (attainments[u.id], Decimal(1)) for u in used)),
                }
            for name in names:
                result[name][entry.id] = values[name]
        return result

    @classmethod
    def _get_used(cls, entries):
        "Return by entry id what agreed conventions took from it."
        Used = Pool().get(cls._used)
        used = defaultdict(list)
        for sub in grouped_slice(entries, SLICE):
            for record in Used.search([
                        ('library', 'in', [e.id for e in sub]),
                        ('convention.state', 'not in', _UNUSED_STATES),
                        ]):
                used[record.library.id].append(record)
        return used

    @classmethod
    def _get_attainments(cls, used):
        "Return by id the attainments (Decimal or ``None``)."
        raise NotImplementedError


class LibraryObjective(
        UsedMixin, PeriodMixin, DeactivableMixin, sequence_ordered(),
        ModelSQL, ModelView):
    __name__ = 'grant.library.objective'
    _rec_name = 'title'
    _period = ('valid_from', 'valid_to')
    _used = 'grant.objective'

    title = fields.Char("Title", required=True)
    description = fields.Text("Description")
    domain = fields.Selection(
        [(None, "")] + DOMAINS, "Domain", sort=False,
        help="Leave empty for what suits every domain.")
    orientations = fields.Many2Many(
        'grant.library.objective-grant.orientation', 'objective',
        'orientation', "Orientations of the Pact")
    indicators = fields.One2Many(
        'grant.library.indicator', 'objective', "Indicators")
    advice = fields.Text(
        "Advice", help="For those who write the convention; not copied.")
    valid_from = fields.Date("Valid From", required=True)
    valid_to = fields.Date("Valid To")
    used = fields.One2Many(
        'grant.objective', 'library', "Where It Was Used", readonly=True)
    conventions = fields.Function(
        fields.Many2Many('grant.convention', None, None, "Conventions"),
        'get_conventions')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.domain, Index.Equality(cardinality='low'))))

    @classmethod
    def default_valid_from(cls):
        return Pool().get('ir.date').today()

    @classmethod
    def copy(cls, objectives, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('used', None)
        return super().copy(objectives, default=default)

    @classmethod
    def get_conventions(cls, objectives, name):
        found = cls._get_used(objectives)
        return {
            entry.id: list(dict.fromkeys(
                    o.convention.id for o in found[entry.id]))
            for entry in objectives}

    @classmethod
    def _get_attainments(cls, used):
        found = Pool().get('grant.objective').compute_attainments(used)
        return {id_: attainment for id_, (attainment, _) in found.items()}

    @classmethod
    def suitable(cls, convention, scope='orientations'):
        """Return the entries, in their order, that are valid today and suit
        the convention.

        ``scope``: ``orientations`` for the ambitions of the pact that its
        applications or its scheme serve, ``domain`` for the domain of its
        scheme and what suits every domain, ``all``.
        """
        today = Pool().get('ir.date').today()
        domain = [
            ('valid_from', '<=', today),
            ['OR', ('valid_to', '=', None), ('valid_to', '>=', today)],
            ]
        if scope != 'all':
            domain.append(
                ('domain', 'in', [None, convention.scheme.domain]))
        if scope == 'orientations':
            orientations = {
                o for a in convention.applications for o in a.orientations
                } or set(convention.scheme.orientations)
            ambitions = {o.ambition.id for o in orientations if o.ambition}
            domain.append(('orientations.ambition.id', 'in', list(ambitions)))
        return cls.search(domain)

    def objective_values(self, indicators):
        """Return the values of an objective that starts from the entry,
        without its origin.

        ``indicators``: pairs of a library indicator and the values that the
        library does not know (``baseline``, ``target``).
        """
        return {
            'title': self.title,
            'description': self.description,
            'indicators': [('create', [
                        indicator.indicator_values() | values | {
                            'sequence': rank}
                        for rank, (indicator, values) in enumerate(
                            indicators, 1)])],
            }


class LibraryObjectiveOrientation(ModelSQL):
    __name__ = 'grant.library.objective-grant.orientation'

    objective = fields.Many2One(
        'grant.library.objective', "Objective", required=True,
        ondelete='CASCADE')
    orientation = fields.Many2One(
        'grant.orientation', "Orientation", required=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('objective')
        cls._sql_constraints.append((
                'objective_orientation_unique',
                Unique(table, table.objective, table.orientation),
                'pacte_grants.msg_library_orientation_unique'))


class LibraryIndicator(
        UsedMixin, AmountMixin, DefinitionMixin, sequence_ordered(),
        ModelSQL, ModelView):
    __name__ = 'grant.library.indicator'
    _amounts = ('tolerance',)
    _used = 'grant.indicator'

    objective = fields.Many2One(
        'grant.library.objective', "Objective", required=True,
        ondelete='CASCADE')
    advice = fields.Text(
        "Advice", help="How to choose the target and to measure; not copied.")
    used = fields.One2Many(
        'grant.indicator', 'library', "Where It Was Used", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('objective')
        cls._sql_indexes.add(
            Index(table, (table.objective, Index.Equality())))

    @classmethod
    def copy(cls, indicators, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('used', None)
        return super().copy(indicators, default=default)

    @classmethod
    def _get_attainments(cls, used):
        found = Pool().get('grant.indicator').get_progress(
            (i, i.convention_year) for i in used)
        return {
            id_: progress.attainment
            for (id_, _), progress in found.items()}

    def indicator_values(self):
        "Return the values of an indicator that starts from the entry."
        return {
            name: getattr(self, name) for name in self.definition_fields()}


class Objective(metaclass=PoolMeta):
    __name__ = 'grant.objective'

    library = fields.Many2One(
        'grant.library.objective', "From the Library", readonly=True,
        ondelete='RESTRICT',
        help="Where the text was copied from; it may have changed since.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.library, Index.Equality())))

    @classmethod
    def create_from_library(cls, convention, chosen):
        """Add to the convention objectives that start from the library, and
        return them.

        ``chosen``: pairs of an entry and, for its indicators that are taken,
        the pairs that ``objective_values`` takes.  The texts are copied.
        Raise ``FrozenError`` once the text of the convention is agreed.
        """
        Indicator = Pool().get('grant.indicator')
        last = max((o.sequence or 0 for o in convention.objectives), default=0)
        objectives = cls.create([
                entry.objective_values(indicators) | {
                    'convention': convention.id,
                    'sequence': rank,
                    }
                for rank, (entry, indicators) in enumerate(chosen, last + 1)])
        origins = []
        indicator_origins = []
        for objective, (entry, indicators) in zip(
                objectives, chosen, strict=True):
            origins += [[objective], {'library': entry.id}]
            for indicator, (source, _) in zip(
                    sorted(objective.indicators, key=lambda i: i.sequence),
                    indicators, strict=True):
                indicator_origins += [
                    [indicator], {'library': source.id}]
        with without_check_access():
            if origins:
                cls.write(*origins)
            if indicator_origins:
                Indicator.write(*indicator_origins)
        return cls.browse(objectives)

    @classmethod
    def keep_origins(cls, objectives, copies):
        """Say of the copies of objectives and of their indicators that they
        come from the same entries of the library."""
        Indicator = Pool().get('grant.indicator')
        origins = defaultdict(list)
        for objective, copy in zip(objectives, copies, strict=True):
            pairs = [(objective, copy), *zip(
                    objective.indicators, copy.indicators, strict=True)]
            for record, other in pairs:
                if record.library:
                    origins[other.__class__] += [
                        [other], {'library': record.library.id}]
        with without_check_access():
            for Model in [cls, Indicator]:
                if Model in origins:
                    Model.write(*origins[Model])


class Indicator(metaclass=PoolMeta):
    __name__ = 'grant.indicator'

    library = fields.Many2One(
        'grant.library.indicator', "From the Library", readonly=True,
        ondelete='RESTRICT',
        help="Where the text was copied from; it may have changed since.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.library, Index.Equality())))


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'add_from_library': {
                    'invisible': (
                        ~Eval('state').in_(list(OPEN_STATES))
                        | (Eval('form') != 'convention')),
                    'depends': ['state', 'form'],
                    },
                })

    @classmethod
    @ModelView.button_action('pacte_grants.wizard_library_add')
    def add_from_library(cls, conventions):
        "Choose objectives in the library."


class AddStart(ModelView):
    __name__ = 'grant.library.add.start'

    convention = fields.Many2One(
        'grant.convention', "Convention", readonly=True)
    scope = fields.Selection([
            ('orientations', "Same Ambitions of the Pact"),
            ('domain', "Same Domain"),
            ('all', "The Whole Library"),
            ], "Propose", required=True, sort=False)
    candidates = fields.Many2Many(
        'grant.library.objective', None, None, "Candidates")
    objectives = fields.Many2Many(
        'grant.library.objective', None, None, "Objectives", required=True,
        domain=[('id', 'in', Eval('candidates', []))])

    @fields.depends('convention', 'scope')
    def on_change_with_candidates(self):
        if not self.convention or not self.scope:
            return []
        LibraryObjective = Pool().get('grant.library.objective')
        return [o.id for o in LibraryObjective.suitable(
                self.convention, self.scope)]


class AddTargets(ModelView):
    __name__ = 'grant.library.add.targets'

    lines = fields.One2Many(
        'grant.library.add.line', None, "Indicators",
        help="Take out the indicators that you do not want.")


class AddLine(ModelView):
    __name__ = 'grant.library.add.line'

    indicator = fields.Many2One(
        'grant.library.indicator', "Indicator", required=True, readonly=True)
    objective = fields.Many2One(
        'grant.library.objective', "Objective", readonly=True)
    unit = fields.Char("Unit", readonly=True)
    direction = fields.Selection(
        'get_directions', "Direction", readonly=True)
    baseline = fields.Numeric("Baseline")
    target = fields.Numeric("Target", required=True)
    advice = fields.Text("Advice", readonly=True)

    @classmethod
    def get_directions(cls):
        Indicator = Pool().get('grant.indicator')
        return Indicator.fields_get(['direction'])['direction']['selection']


class Add(Wizard):
    "Add to a convention objectives of the library."
    __name__ = 'grant.library.add'
    start_state = 'start'
    start = StateView(
        'grant.library.add.start', 'pacte_grants.library_add_start_view_form',
        [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Next", 'targets', 'tryton-forward', default=True),
            ])
    targets = StateView(
        'grant.library.add.targets',
        'pacte_grants.library_add_targets_view_form',
        [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Back", 'start', 'tryton-back'),
            Button("Add", 'add', 'tryton-ok', default=True),
            ])
    add = StateTransition()

    def default_start(self, names):
        LibraryObjective = Pool().get('grant.library.objective')
        scope = getattr(self.start, 'scope', None) or 'orientations'
        chosen = getattr(self.start, 'objectives', None) or []
        return {
            'convention': self.record.id,
            'scope': scope,
            'candidates': [o.id for o in LibraryObjective.suitable(
                    self.record, scope)],
            'objectives': [o.id for o in chosen],
            }

    def default_targets(self, names):
        return {
            'lines': [{
                    'objective': objective.id,
                    'indicator': indicator.id,
                    'unit': indicator.unit,
                    'direction': indicator.direction,
                    'advice': indicator.advice,
                    }
                for objective in self.start.objectives
                for indicator in objective.indicators],
            }

    def transition_add(self):
        Objective = Pool().get('grant.objective')
        lines = defaultdict(list)
        for line in self.targets.lines:
            lines[line.indicator.objective].append((line.indicator, {
                        'baseline': line.baseline,
                        'target': line.target,
                        }))
        with check_access():
            Objective.create_from_library(
                self.record.__class__(self.record.id),
                [(o, lines[o]) for o in self.start.objectives])
        return 'end'
