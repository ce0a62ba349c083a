# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The library of what partners may be asked to undertake.

Its texts are versioned and dated.  A scheme names an entry and may overwrite
parts of it; a convention copies the text with its parameters filled in and
keeps which version it was.
"""
import datetime as dt
import re
from collections import defaultdict

from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, Unique, fields, sequence_ordered)
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.transaction import without_check_access

from .check import AmountMixin, PeriodMixin
from .exceptions import FrozenError
from .scheme import CONDITION_KINDS, DOMAINS, INSTALMENT_KINDS
from .search import search_flag

# When an undertaking falls due; the delay counts from there.
DUE_EVENTS = [
    ('date', "Fixed Date"),
    ('start', "Start of the Convention"),
    ('notification', "Notification"),
    ('end', "End of the Convention"),
    ('year_end', "End of Each Year"),
    ('season_end', "End of the Season"),
    ]
VERIFIERS = [
    ('officer', "Officer"),
    ('manager', "Head of Service"),
    ('finance', "Finance"),
    ('clerk', "Assembly Clerk"),
    ]
THEMES = [
    (None, ""),
    ('mobility', "Mobility"),
    ('waste', "Waste"),
    ('food', "Food"),
    ('energy', "Energy"),
    ('water', "Water"),
    ('purchase', "Purchases and Reuse"),
    ('digital', "Communication and Digital Uses"),
    ('nature', "Natural Sites and Biodiversity"),
    ('inclusion', "Inclusion"),
    ('steering', "Steering"),
    ]
_PARAMETER = re.compile(r'\{(\w+)\}')
# What may still change once an entry is used
_FREE = {'name', 'valid_to', 'domains', 'minimum_amount', 'maximum_amount'}


def fill_in(text, values):
    """Return the text with its ``{parameters}`` replaced by the values
    (a dictionary of texts); one without a value stays as it is."""
    return _PARAMETER.sub(
        lambda match: values.get(match[1]) or match[0], text or '')


def parameter_names(text):
    "Return the names of the parameters of the text."
    return set(_PARAMETER.findall(text or ''))


class LibraryCondition(AmountMixin, PeriodMixin, ModelSQL, ModelView):
    __name__ = 'grant.library.condition'
    _amounts = ('penalty_rate', 'minimum_amount', 'maximum_amount')
    _period = ('valid_from', 'valid_to')

    code = fields.Char("Code", required=True)
    version = fields.Integer("Version", required=True, readonly=True)
    name = fields.Char("Name", required=True)
    kind = fields.Selection(
        CONDITION_KINDS, "Kind", required=True, sort=False)
    theme = fields.Selection(
        THEMES, "Theme", sort=False,
        states={'invisible': Eval('kind') != 'eco'})
    text = fields.Text(
        "Text", required=True,
        help="What the partner undertakes, with its parameters between "
        "braces: {places}.")
    parameters = fields.One2Many(
        'grant.library.condition.parameter', 'condition', "Parameters")
    evidence = fields.Char(
        "Expected Evidence", help="What the partner has to show.")
    due_event = fields.Selection(
        [e for e in DUE_EVENTS if e[0] != 'date'], "Falls Due After",
        required=True, sort=False)
    delay = fields.Integer(
        "Delay", required=True,
        help="Days after the event; negative before it.")
    verifier = fields.Selection(
        VERIFIERS, "Verified By", required=True, sort=False)
    block_kinds = fields.MultiSelection(
        INSTALMENT_KINDS, "Holds Back", sort=False,
        help="The kinds of instalments that wait for the condition.")
    penalty_rate = fields.Numeric(
        "Penalty Rate", digits=(1, 4),
        help="Share of the grant by which a miss reduces it.")
    domains = fields.MultiSelection(
        DOMAINS, "Domains", sort=False,
        help="The domains in which it is proposed. Leave empty for all.")
    minimum_amount = fields.Numeric(
        "From", digits=(16, 2),
        help="Amount of the grant from which it is proposed.")
    maximum_amount = fields.Numeric(
        "Below", digits=(16, 2),
        help="Amount of the grant from which it is no longer proposed.")
    valid_from = fields.Date("Valid From", required=True)
    valid_to = fields.Date("Valid To")
    used = fields.Function(
        fields.Boolean("Used"), 'get_used', searcher='search_used')
    current = fields.Function(
        fields.Boolean(
            "Current", help="The version that applies today."),
        'get_current', searcher='search_current')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [
            ('code', 'ASC'), ('version', 'DESC'), ('id', 'ASC')]
        cls._sql_constraints.append((
                'code_version_unique',
                Unique(table, table.code, table.version),
                'pacte_grants.msg_condition_library_unique'))
        cls._sql_indexes.add(
            Index(table, (table.code, Index.Equality())))
        for name in [
                'code', 'kind', 'theme', 'text', 'parameters', 'evidence',
                'due_event', 'delay', 'verifier', 'block_kinds',
                'penalty_rate', 'valid_from']:
            field = getattr(cls, name)
            field.states = field.states | {'readonly': Bool(Eval('used'))}
        cls._buttons.update({
                'new_version': {
                    'invisible': ~Eval('current', False),
                    'depends': ['current'],
                    },
                })

    @classmethod
    def default_version(cls):
        return 1

    @classmethod
    def default_due_event(cls):
        return 'end'

    @classmethod
    def default_delay(cls):
        return 0

    @classmethod
    def default_verifier(cls):
        return 'officer'

    @classmethod
    def default_block_kinds(cls):
        return ('balance', 'single')

    @classmethod
    def default_valid_from(cls):
        return Pool().get('ir.date').today()

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(~Eval('current', False), 'muted', ''),
                ['current']),
            ]

    def get_rec_name(self, name):
        return f'{self.code} – {self.name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op, ('code', *clause[1:]), ('name', *clause[1:])]

    @classmethod
    def _used_in(cls):
        "Return the models, and their fields, that name entries."
        return [('grant.scheme.condition', 'library')]

    @classmethod
    def _used_ids(cls, ids=None):
        pool = Pool()
        used = set()
        for model, name in cls._used_in():
            Model = pool.get(model)
            domain = [(name, '!=', None)]
            if ids is not None:
                domain = [(name, 'in', ids)]
            # Of every company
            with without_check_access():
                used.update(
                    row[name] for row in Model.search_read(
                        domain, fields_names=[name]))
        return used

    @classmethod
    def get_used(cls, entries, name):
        used = cls._used_ids([e.id for e in entries])
        return {e.id: e.id in used for e in entries}

    @classmethod
    def search_used(cls, name, clause):
        used = list(cls._used_ids())
        return search_flag(
            clause, [('id', 'in', used)], [('id', 'not in', used)])

    @classmethod
    def get_current(cls, entries, name):
        current = cls.get_versions({e.code for e in entries})
        return {e.id: current.get(e.code) == e for e in entries}

    @classmethod
    def search_current(cls, name, clause):
        current = [e.id for e in cls.get_versions().values()]
        return search_flag(
            clause, [('id', 'in', current)], [('id', 'not in', current)])

    @classmethod
    def get_versions(cls, codes=None, date=None):
        """Return by code the version that applies on the date, today by
        default: the last one among those that are valid then."""
        date = date or Pool().get('ir.date').today()
        domain = [
            ('valid_from', '<=', date),
            ['OR', ('valid_to', '=', None), ('valid_to', '>=', date)],
            ]
        if codes is not None:
            domain.append(('code', 'in', list(codes)))
        with without_check_access():
            found = cls.search(
                domain, order=[('version', 'ASC'), ('id', 'ASC')])
        return {e.code: cls(e.id) for e in found}

    @classmethod
    def check_modification(cls, mode, entries, values=None, external=False):
        super().check_modification(
            mode, entries, values=values, external=external)
        if mode == 'delete' or (
                mode == 'write' and values.keys() - _FREE):
            cls.check_unused(entries)

    @classmethod
    def check_unused(cls, entries):
        """Raise ``FrozenError`` for the entries that a scheme or a
        convention names: their text changes by a new version."""
        used = cls._used_ids([e.id for e in entries])
        for entry in entries:
            if entry.id in used:
                raise FrozenError(gettext(
                        'pacte_grants.msg_condition_library_used',
                        entry=entry.rec_name, version=entry.version))

    @classmethod
    def copy(cls, entries, default=None):
        "A copy is the next version of the entry."
        default = {} if default is None else default.copy()
        latest = defaultdict(int)
        for entry in cls.search([
                    ('code', 'in', list({e.code for e in entries}))]):
            latest[entry.code] = max(latest[entry.code], entry.version)
        copies = []
        for entry in entries:
            latest[entry.code] += 1
            copies += super().copy([entry], default=default | {
                    'version': latest[entry.code]})
        return copies

    @classmethod
    @ModelView.button
    def new_version(cls, entries):
        "Open the next version of the entries; the former ends yesterday."
        today = Pool().get('ir.date').today()
        cls.copy(entries, default={'valid_from': today, 'valid_to': None})
        for entry in entries:
            cls.write([entry], {
                    'valid_to': max(
                        today - dt.timedelta(days=1), entry.valid_from),
                    })

    def proposed_values(self):
        "Return the values of its parameters by name, as proposed."
        return {
            p.name: p.default for p in self.parameters if p.default}

    def suits(self, amount, domain=None):
        """Return whether it is proposed for a grant of the amount (euros)
        in the domain."""
        return (
            (self.minimum_amount is None or amount >= self.minimum_amount)
            and (self.maximum_amount is None or amount < self.maximum_amount)
            and (not self.domains or not domain or domain in self.domains))


class LibraryConditionParameter(
        sequence_ordered(), ModelSQL, ModelView):
    "A value that a convention fills into the text of an entry."
    __name__ = 'grant.library.condition.parameter'

    condition = fields.Many2One(
        'grant.library.condition', "Entry", required=True,
        ondelete='CASCADE')
    name = fields.Char(
        "Name", required=True, help="As it stands between the braces.")
    label = fields.Char("Label", required=True)
    unit = fields.Char("Unit")
    default = fields.Char("Proposed Value")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('condition')
        cls._sql_constraints.append((
                'condition_name_unique',
                Unique(table, table.condition, table.name),
                'pacte_grants.msg_condition_parameter_unique'))

    def get_rec_name(self, name):
        return f'{self.label} ({self.unit})' if self.unit else self.label

    @classmethod
    def check_modification(
            cls, mode, parameters, values=None, external=False):
        super().check_modification(
            mode, parameters, values=values, external=external)
        if external:
            Entry = Pool().get('grant.library.condition')
            Entry.check_unused(list({p.condition for p in parameters}))


class SchemeCondition(metaclass=PoolMeta):
    __name__ = 'grant.scheme.condition'

    library = fields.Many2One(
        'grant.library.condition', "Library Entry", ondelete='RESTRICT',
        help="What is left empty here comes from the entry, in the version "
        "that is valid when a convention opens.")
    values = fields.One2Many(
        'grant.scheme.condition.value', 'condition', "Values",
        states={'invisible': ~Eval('library')},
        help="The parameters of the entry whose value is not the proposed "
        "one.")
    due_event = fields.Selection(
        [(None, "")] + [e for e in DUE_EVENTS if e[0] != 'date'],
        "Falls Due After", sort=False,
        help="Leave empty for the event and the delay of the library.",
        states={'required': ~Eval('library')})
    verifier = fields.Selection(
        [(None, "")] + VERIFIERS, "Verified By", sort=False,
        states={'required': ~Eval('library')})

    @classmethod
    def __setup__(cls):
        super().__setup__()
        without = ~Eval('library')
        cls.text.required = cls.blocks.required = cls.delay.required = False
        for name in ['text', 'blocks']:
            field = getattr(cls, name)
            field.states = field.states | {'required': without}
        cls.delay.help = "Days after the event; negative before it."
        cls.delay.states = cls.delay.states | {
            'required': Bool(Eval('due_event')),
            'invisible': ~Eval('due_event'),
            }
        cls.kind.states = cls.kind.states | {
            'readonly': Bool(Eval('library'))}

    @classmethod
    def default_due_event(cls):
        return 'end'

    @classmethod
    def default_verifier(cls):
        return 'officer'

    @fields.depends(
        'library', 'kind', 'due_event', 'delay', 'verifier', 'blocks',
        'text', 'evidence', 'penalty_rate')
    def on_change_library(self):
        if not self.library:
            self.due_event = self.due_event or 'end'
            self.delay = self.delay or 0
            self.verifier = self.verifier or 'officer'
            return
        self.kind = self.library.kind
        for name in ['due_event', 'delay', 'verifier', 'text', 'evidence',
                'penalty_rate']:
            setattr(self, name, None)
        self.blocks = ()

    @classmethod
    def create(cls, vlist):
        Entry = Pool().get('grant.library.condition')
        vlist = [v.copy() for v in vlist]
        for values in vlist:
            if values.get('library'):
                # What is not said comes from the library, not from the
                # defaults.
                for name in ['due_event', 'delay', 'verifier', 'blocks']:
                    values.setdefault(name, None)
                values['kind'] = Entry(values['library']).kind
        return super().create(vlist)

    def get_terms(self, entry):
        """Return what the scheme asks for as a dictionary: kind, text with
        its parameters filled in, evidence, due_event, delay, verifier,
        blocks and penalty_rate, those of ``entry`` (the version of the
        library that applies, or ``None``) where it says nothing itself."""
        terms = {
            'kind': self.kind, 'text': self.text, 'evidence': self.evidence,
            'due_event': self.due_event, 'delay': self.delay or 0,
            'verifier': self.verifier, 'blocks': self.blocks,
            'penalty_rate': self.penalty_rate,
            }
        if not entry:
            return terms
        if not self.due_event:
            terms['due_event'], terms['delay'] = entry.due_event, entry.delay
        if self.penalty_rate is None:
            terms['penalty_rate'] = entry.penalty_rate
        terms['kind'] = entry.kind
        terms['evidence'] = self.evidence or entry.evidence
        terms['verifier'] = self.verifier or entry.verifier
        terms['blocks'] = self.blocks or entry.block_kinds
        values = entry.proposed_values()
        values.update({v.name: v.value for v in self.values})
        terms['text'] = fill_in(self.text or entry.text, values)
        return terms


class SchemeConditionValue(ModelSQL, ModelView):
    "The value that a scheme gives to a parameter of a library entry."
    __name__ = 'grant.scheme.condition.value'

    condition = fields.Many2One(
        'grant.scheme.condition', "Condition", required=True,
        ondelete='CASCADE')
    name = fields.Char("Parameter", required=True)
    value = fields.Char("Value", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('condition')
        cls._sql_constraints.append((
                'condition_name_unique',
                Unique(table, table.condition, table.name),
                'pacte_grants.msg_condition_parameter_unique'))
