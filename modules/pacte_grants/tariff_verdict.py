# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"How each season was judged against the clauses, and why."
import datetime as dt
from collections import defaultdict

from sql import Literal
from sql.conditionals import Coalesce
from sql.operators import Exists

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, without_check_access

from . import tariff_rule
from .check import bulleted
from .convention import DEAD_STATES
from .exceptions import CompletenessError
from .mixin import GuardMixin
from .sums import SLICE
from .tariff_rule import MET, RESULTS, worst
from .tariff_text import figure, french, sentences

RESULT_LABELS = [
    (None, ""),
    ('met', "Met"),
    ('unknown', "Evidence Missing"),
    ('not_met', "Not Met"),
    ]


class Verdict(GuardMixin, ModelSQL, ModelView):
    "What was found of a season on a clause; kept once it is sealed."
    __name__ = 'grant.tariff.verdict'

    grid = fields.Many2One(
        'grant.tariff.grid', "Grid", required=True, readonly=True,
        ondelete='CASCADE')
    clause = fields.Many2One(
        'grant.tariff.clause', "Clause", required=True, readonly=True,
        ondelete='RESTRICT')
    convention = fields.Function(fields.Many2One(
            'grant.convention', "Convention"),
        'get_convention', searcher='search_convention')
    result = fields.Selection(
        RESULT_LABELS[1:], "Verdict", required=True, readonly=True,
        sort=False)
    result_string = result.translated('result')
    reason = fields.Text("Reason", readonly=True)
    value = fields.Char("Measured", readonly=True)
    previous_value = fields.Char("Last Season", readonly=True)
    date = fields.Date("Date", required=True, readonly=True)
    user = fields.Many2One(
        'res.user', "Evaluated By", readonly=True, ondelete='RESTRICT')
    sealed_on = fields.Date(
        "Kept Since", readonly=True,
        help="From then on the verdict stays; a new one is added.")
    replaced = fields.Boolean("Replaced", readonly=True)
    current = fields.Function(
        fields.Boolean("Current"), 'get_current', searcher='search_current')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('grid')
        cls._order = [
            ('grid', 'DESC'), ('clause', 'ASC'), ('id', 'DESC')]
        cls._sql_indexes.update({
                Index(table,
                    (table.grid, Index.Equality()),
                    (table.clause, Index.Equality())),
                Index(table, (table.clause, Index.Equality())),
                Index(table,
                    (table.result, Index.Equality(cardinality='low'))),
                })

    @classmethod
    def default_replaced(cls):
        return False

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('replaced', False), 'muted', ''), ['replaced']),
            ('/tree/field[@name="result"]', 'visual',
                If(Eval('replaced', False), '', result_visual('result')),
                ['result', 'replaced']),
            ]

    def get_rec_name(self, name):
        return f'{self.clause.code_string} – {self.result_string}'

    @classmethod
    def get_convention(cls, verdicts, name):
        return {v.id: v.clause.convention.id for v in verdicts}

    @classmethod
    def search_convention(cls, name, clause):
        return [('clause.' + clause[0], *clause[1:])]

    @classmethod
    def get_current(cls, verdicts, name):
        current = set()
        for sub in grouped_slice(verdicts, SLICE):
            current.update(v.id for v in cls.search([
                        ('id', 'in', [v.id for v in sub]),
                        ('current', '=', True),
                        ]))
        return {v.id: v.id in current for v in verdicts}

    @classmethod
    def search_current(cls, name, clause):
        _, operator, value = clause
        wanted = bool(value) == (operator == '=')
        return [('id', 'in' if wanted else 'not in', cls._current_query())]

    @classmethod
    def _current_query(cls):
        """Return the query of the verdicts that no later season of the same
        facility, and no later version of the grid, has replaced."""
        Grid = Pool().get('grant.tariff.grid')
        verdict, grid = cls.__table__(), Grid.__table__()
        later, later_grid = cls.__table__(), Grid.__table__()
        counted = ['submitted', 'accepted']
        start, later_start = grid.start_date, later_grid.start_date
        version = Coalesce(grid.version, 0)
        later_version = Coalesce(later_grid.version, 0)
        replaced = (later
            .join(later_grid, condition=later_grid.id == later.grid)
            .select(Literal(1), where=(
                    (later.clause == verdict.clause)
                    & (later.id != verdict.id)
                    & (later.replaced == Literal(False))
                    & later_grid.state.in_(counted)
                    & (Coalesce(later_grid.facility, 0)
                        == Coalesce(grid.facility, 0))
                    & ((later_start > start)
                        | ((later_start == start)
                            & ((later_version > version)
                                | ((later_version == version)
                                    & (later.id > verdict.id))))))))
        return (verdict
            .join(grid, condition=grid.id == verdict.grid)
            .select(verdict.id, where=(
                    (verdict.replaced == Literal(False))
                    & grid.state.in_(counted)
                    & ~Exists(replaced))))

    @classmethod
    def check_modification(cls, mode, verdicts, values=None, external=False):
        super().check_modification(
            mode, verdicts, values=values, external=external)
        if mode == 'create':
            refused = external
        elif mode == 'write':
            refused = external or values.keys() - {'sealed_on', 'replaced'}
        else:
            refused = external or any(v.sealed_on for v in verdicts)
        if refused:
            raise AccessError(gettext(
                    'pacte_grants.msg_append_only', **cls.__names__()))

    @classmethod
    @without_check_access
    def record(cls, grids, values):
        """Keep what was found: ``values`` take the place of what is not
        sealed; beside what is they are added if they differ."""
        pool = Pool()
        today = pool.get('ir.date').today()
        user = Transaction().user or None
        existing = []
        for sub in grouped_slice(grids, SLICE):
            existing.extend(cls.search([
                        ('grid', 'in', [g.id for g in sub]),
                        ('replaced', '=', False),
                        ]))
        by_key = {
            (v.grid.id, v.clause.id): v for v in existing if v.sealed_on}
        states = {g.id: g.state for g in grids}
        to_create, replaced = [], []
        for row in values:
            kept = by_key.get((row['grid'], row['clause']))
            if kept:
                if all(
                        (getattr(kept, n) or '') == (row[n] or '')
                        for n in ['result', 'reason', 'value']):
                    continue
                replaced.append(kept)
            sealed = states[row['grid']] == 'accepted'
            to_create.append(row | {
                    'date': today, 'user': user,
                    'sealed_on': today if sealed else None})
        cls.delete([
                v for v in existing
                if not v.sealed_on and not v.clause.is_later(v.grid)])
        if replaced:
            cls.write(replaced, {'replaced': True})
        cls.create(to_create)

    @classmethod
    @without_check_access
    def seal(cls, grids):
        "Keep for good the verdicts of the grids."
        verdicts = cls.search([
                ('grid', 'in', [g.id for g in grids]),
                ('sealed_on', '=', None),
                ])
        if verdicts:
            cls.write(verdicts, {
                    'sealed_on': Pool().get('ir.date').today()})


def result_visual(name):
    return If(Eval(name) == 'not_met', 'danger',
        If(Eval(name) == 'unknown', 'warning',
            If(Eval(name) == 'met', 'success', '')))


def _worse(verdict, other):
    return RESULTS.index(verdict.result) > RESULTS.index(other.result)


def _current_verdicts(domain):
    return Pool().get('grant.tariff.verdict').search(
        [domain, ('current', '=', True)])


def _search_worst(path, clause, domain):
    """Return the domain of the records the worst of whose verdicts, those of
    ``domain`` under ``path``, is as the clause says."""
    _, operator, value = clause
    wanted = value if isinstance(value, (list, tuple)) else [value]
    negative = operator in {'!=', 'not in'}

    def has(result=None):
        extra = [('result', '=', result)] if result else []
        return (path, 'where', [*domain, *extra])

    def without(results):
        return [
            (path, 'not where', [*domain, ('result', 'in', results)])
            ] if results else []

    found = ['OR', ('id', '=', None)]
    for rank, result in enumerate(RESULTS):
        if (result in wanted) != negative:
            found.append([has(result), *without(RESULTS[rank + 1:])])
    if (None in wanted) != negative:
        found.append(without(RESULTS))
    return found


class Clause(metaclass=PoolMeta):
    __name__ = 'grant.tariff.clause'

    verdicts = fields.One2Many(
        'grant.tariff.verdict', 'clause', "Verdicts", readonly=True)
    result = fields.Function(fields.Selection(
            RESULT_LABELS, "Last Verdict", sort=False),
        'get_last', searcher='search_result')
    reason = fields.Function(fields.Text("Reason"), 'get_last')
    season = fields.Function(fields.Char("Season"), 'get_last')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="result"]', 'visual',
                result_visual('result'), ['result']),
            ]

    @classmethod
    def get_last(cls, clauses, names):
        """Read the last verdict of each clause: that of the last season of
        each facility, the worst of them."""
        result = {n: dict.fromkeys([c.id for c in clauses]) for n in names}
        last = {}
        for verdict in _current_verdicts(
                [('clause', 'in', [c.id for c in clauses])]):
            other = last.get(verdict.clause.id)
            if not other or _worse(verdict, other):
                last[verdict.clause.id] = verdict
        for id_, verdict in last.items():
            for name in names:
                result[name][id_] = (
                    verdict.grid.season if name == 'season'
                    else getattr(verdict, name))
        return result

    @classmethod
    def search_result(cls, name, clause):
        return _search_worst('verdicts', clause, [('current', '=', True)])

    def is_later(self, grid):
        "Return whether an amendment wrote the clause after the season began."
        return bool(
            self.effective_from and grid.start_date < self.effective_from)


class Grid(metaclass=PoolMeta):
    __name__ = 'grant.tariff.grid'

    verdicts = fields.One2Many(
        'grant.tariff.verdict', 'grid', "Verdicts", readonly=True)
    result = fields.Function(fields.Selection(
            RESULT_LABELS, "Verdict", sort=False),
        'get_result', searcher='search_result')
    conditions_ready = fields.Function(
        fields.Boolean("Undertakings Ready"), 'get_conditions_ready')
    evaluated_on = fields.Date("Evaluated On", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'evaluate': {
                    'invisible': Eval('state') == 'superseded',
                    'depends': ['state'],
                    },
                'submit_conditions': {
                    'invisible': (
                        ~Eval('state').in_(['submitted', 'accepted'])
                        | ~Eval('conditions_ready', False)),
                    'depends': ['state', 'conditions_ready'],
                    },
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="result"]', 'visual',
                result_visual('result'), ['result']),
            ]

    @classmethod
    def get_result(cls, grids, name):
        Verdict = Pool().get('grant.tariff.verdict')
        results = defaultdict(set)
        for sub in grouped_slice(grids, SLICE):
            for verdict in Verdict.search([
                        ('grid', 'in', [g.id for g in sub]),
                        ('replaced', '=', False),
                        ]):
                results[verdict.grid.id].add(verdict.result)
        return {g.id: worst(results[g.id]) for g in grids}

    @classmethod
    def search_result(cls, name, clause):
        return _search_worst('verdicts', clause, [('replaced', '=', False)])

    @classmethod
    def get_conditions_ready(cls, grids, name):
        ready = cls._ready_conditions(grids)
        return {g.id: bool(ready[g.id]) for g in grids}

    @classmethod
    def _ready_conditions(cls, grids):
        """Return by grid id the undertakings to produce all of whose clauses
        the grid meets, with the verdicts."""
        pool = Pool()
        Verdict = pool.get('grant.tariff.verdict')
        Clause = pool.get('grant.tariff.clause')
        by_id = {g.id: g for g in grids}
        found = defaultdict(lambda: defaultdict(dict))
        for verdict in Verdict.search([
                    ('grid', 'in', [g.id for g in grids]),
                    ('replaced', '=', False),
                    ('clause.condition.state', '=', 'pending'),
                    ]):
            condition = verdict.clause.condition
            found[verdict.grid.id][condition][verdict.clause.id] = verdict
        conditions = {c.id for by in found.values() for c in by}
        clauses = defaultdict(list)
        for clause in Clause.search([('condition', 'in', list(conditions))]):
            clauses[clause.condition.id].append(clause)
        return defaultdict(dict, {
                grid_id: {
                    condition: list(verdicts.values())
                    for condition, verdicts in by_condition.items()
                    if all(
                        c.id in verdicts and verdicts[c.id].result == MET
                        for c in clauses[condition.id]
                        if not c.is_later(by_id[grid_id]))}
                for grid_id, by_condition in found.items()})

    @classmethod
    @ModelView.button
    def evaluate(cls, grids):
        "Judge the season against the clauses as things stand."
        cls._evaluate(cls.claim(grids))

    @classmethod
    @ModelView.button
    def submit_conditions(cls, grids):
        """Bring the verdicts as evidence of the undertakings whose clauses
        are all met; raise ``CompletenessError`` if there is none."""
        Condition = Pool().get('grant.condition')
        # The attendance or a fact may have changed since.
        grids = cls.claim(grids)
        cls._evaluate(grids)
        ready = cls._ready_conditions(grids)
        notes = defaultdict(list)
        for grid in grids:
            if not ready[grid.id]:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_tariff_no_condition',
                        grid=grid.rec_name))
            for condition, verdicts in ready[grid.id].items():
                with french():
                    notes[condition].append(gettext(
                            'pacte_grants.msg_tariff_evidence',
                            grid=grid.rec_name,
                            verdicts=bulleted(
                                f'{v.clause.text} {v.reason}'
                                for v in verdicts)))
        to_write = []
        for condition, texts in notes.items():
            before = [condition.evidence_note] if (
                condition.evidence_note) else []
            to_write.extend(([condition], {
                        'evidence_note': '\n'.join(before + texts)}))
        if to_write:
            Condition.write(*to_write)
            Condition.submit(Condition.browse([c.id for c in notes]))

    @classmethod
    @without_check_access
    def _find_clauses(cls, grids):
        """Return by grid id the voted clauses that the season is under: of
        the same partner, facility and time."""
        Clause = Pool().get('grant.tariff.clause')
        found = defaultdict(list)
        parties = list({g.party.id for g in grids})
        for sub in grouped_slice(parties, SLICE):
            for clause in Clause.search([
                        ('convention.party', 'in', list(sub)),
                        ('convention.frozen_on', '!=', None),
                        ('convention.state', 'not in', [
                                *DEAD_STATES, 'closed']),
                        ]):
                found[clause.convention.party.id].append(clause)
        return {
            g.id: [
                c for c in found[g.party.id]
                if c.convention.company == g.company
                and c.convention.start_date <= g.end_date
                and g.start_date <= c.convention.end_date
                and c.facility in {None, g.facility}
                and not c.is_later(g)]
            for g in grids}

    @classmethod
    def _evaluate(cls, grids):
        super()._evaluate(grids)
        pool = Pool()
        Verdict = pool.get('grant.tariff.verdict')
        today = pool.get('ir.date').today()
        clauses = cls._find_clauses(grids)
        previous = cls._find_previous(grids)
        # Browsed together, so that their lines are read together.
        olds = {
            g.id: g for g in cls.browse(list({
                        g.id for g in previous.values() if g}))}
        seasons = {
            g.id: g.get_season(today) for g in [*olds.values()]}
        values = []
        with french():
            for grid in grids:
                old = previous[grid.id]
                season = grid.get_season(
                    today, seasons[old.id] if old else None)
                for clause in clauses[grid.id]:
                    values.append(cls._judge(
                            grid, clause, season,
                            seasons[old.id] if old else None))
        Verdict.record(grids, values)
        cls.write(list(grids), {'evaluated_on': today})

    @staticmethod
    def _judge(grid, clause, season, old):
        rule = clause.get_rule()
        verdict = tariff_rule.evaluate(rule, season)
        before = tariff_rule.evaluate(rule, old).value if old else None
        return {
            'grid': grid.id,
            'clause': clause.id,
            'result': verdict.result,
            'reason': sentences(verdict.reasons),
            'value': figure(verdict.value),
            'previous_value': figure(before),
            }

    @classmethod
    def _seal(cls, grids):
        super()._seal(grids)
        Pool().get('grant.tariff.verdict').seal(grids)

    def get_season(self, today, old=None):
        "Return the season as tariff_rule.py knows it."
        entries, receipts = defaultdict(list), defaultdict(list)
        for attendance in self.attendances:
            entries[attendance.line.id].append(attendance.entries)
            receipts[attendance.line.id].append(attendance.receipts)
        return tariff_rule.Season(
            lines=tuple(
                line.get_rule(entries[line.id], receipts[line.id])
                for line in self.lines),
            facts=tuple(
                fact.get_rule() for fact in sorted(
                    self.facts, key=lambda f: (f.date or dt.date.min, f.id))),
            voted=bool(self.voted_on and self.voted_on <= today),
            over=self.end_date < today,
            previous=old.lines if old else None)


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    tariff_result = fields.Function(fields.Selection(
            RESULT_LABELS, "Prices", sort=False,
            help="The worst of the last verdicts on the tariff clauses."),
        'get_tariff_result', searcher='search_tariff_result')

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="tariff_result"]', 'visual',
                result_visual('tariff_result'), ['tariff_result']),
            ]

    @classmethod
    def get_tariff_result(cls, conventions, name):
        results = defaultdict(set)
        for sub in grouped_slice(conventions, SLICE):
            for verdict in _current_verdicts([
                        ('clause.convention', 'in', [c.id for c in sub])]):
                results[verdict.clause.convention.id].add(verdict.result)
        return {c.id: worst(results[c.id]) for c in conventions}

    @classmethod
    def search_tariff_result(cls, name, clause):
        Verdict = Pool().get('grant.tariff.verdict')
        verdict = Verdict.__table__()
        Clause = Pool().get('grant.tariff.clause')
        table = Clause.__table__()

        def having(results):
            return (verdict
                .join(table, condition=table.id == verdict.clause)
                .select(table.convention, where=(
                        verdict.id.in_(Verdict._current_query())
                        & verdict.result.in_(results))))

        _, operator, value = clause
        wanted = value if isinstance(value, (list, tuple)) else [value]
        negative = operator in {'!=', 'not in'}
        found = ['OR', ('id', '=', None)]
        for rank, result in enumerate(RESULTS):
            if (result in wanted) != negative:
                domain = [('id', 'in', having([result]))]
                if worse := RESULTS[rank + 1:]:
                    domain.append(('id', 'not in', having(worse)))
                found.append(domain)
        if (None in wanted) != negative:
            found.append([('id', 'not in', having(RESULTS))])
        return found
