# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The text of a convention as it stood on any date.

A version is the whole of what the parties agreed, with the day from which it
holds: the first one from the notification, the others from an amendment, from
the vote of a later year or from what may change without amendment.  Versions
are added, never changed.
"""
import datetime as dt
import json
from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import AccessError
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, without_check_access
from trytond.wizard import Button, StateAction, StateView, Wizard

from .check import money
from .clause import TABLES
from .convention import LIVE_STATES
from .exceptions import PeriodError
from .mixin import GuardMixin, now
from .negotiation import compare
from .objective import plain_percent
from .sums import SLICE

CAUSES = [
    ('notified', "Notification"),
    ('amendment', "Amendment"),
    ('vote', "Vote of a Later Year"),
    ('shift', "Delegated Shift of a Date"),
    ('correction', "Material Error"),
    ('reduction', "Reduction"),
    ]
# Shown as percentages
_RATIOS = {'penalty_rate', 'result_threshold', 'result_share'}
# The part of the text that stands for the table of an article
_PARTS = dict(zip(
        TABLES, ['tranches', 'instalments', 'conditions'], strict=True))


def get_entry(record):
    """Return what the record says in the text, as values for JSON: its model
    and id, what it is called, and the fields that the parties agree on."""
    return {
        'model': record.__name__,
        'id': record.id,
        'name': record.rec_name,
        'values': {
            name: _get_value(record, name)
            for name in record.content_names()},
        }


def _get_value(record, name):
    field = record._fields[name]
    if isinstance(field, fields.Function):
        field = field._field
    value = getattr(record, name)
    if field._type == 'one2many':
        return [get_entry(r) for r in value]
    elif field._type == 'many2many':
        return [r.rec_name for r in value]
    elif value is None or value == '':
        return None
    elif field._type in {'many2one', 'reference'}:
        return value.rec_name
    elif field._type in {'numeric', 'float'}:
        return format(value.normalize() if hasattr(
                value, 'normalize') else value, 'f')
    elif field._type == 'date':
        return value.isoformat()
    elif field._type == 'multiselection':
        return list(value)
    return value


def render(entry, depth=0):
    "Return the lines of the entry, in the language of the user."
    if entry['model'] == 'grant.convention.clause':
        return _render_article(entry)
    Model = Pool().get(entry['model'])
    definitions = Model.fields_get(list(entry['values']), level=0)
    indent = '  ' * depth
    bullet = f"{indent[2:]}• " if depth else ''
    lines = [f"{bullet}{entry['name']}"]
    for name, value in entry['values'].items():
        definition = definitions.get(name)
        if definition is None or value in (None, [], entry['name']):
            continue
        if definition['type'] == 'one2many':
            for child in value:
                lines.extend(render(child, depth + 1))
            continue
        text = _render_value(Model, definition, value)
        lines.append(
            indent + gettext('pacte_grants.msg_version_line',
                label=definition['string'], value=text))
    return lines


def _render_article(entry):
    "Return the lines of the article as the convention prints them."
    Convention = Pool().get('grant.convention')
    number = entry['name'].split(' ')[0]
    if not number.replace('.', '').isdigit():
        number = ''
    values = entry['values']
    lines = []
    for line in (values['agreed_text'] or '').splitlines():
        if part := _PARTS.get(line.strip(' {}')):
            line = f'[{Convention.part_label(part)}]'
        lines.append(line.replace('**', ''))
    if values['title'] or not lines:
        title = (values['title'] or '') if number else entry['name']
        lines.insert(0, f'{number} {title}'.strip())
    else:
        lines[0] = f'{number} {lines[0]}'.strip()
    return lines


def _render_value(Model, definition, value):
    Lang = Pool().get('ir.lang')
    lang = Lang.get()
    type_ = definition['type']
    if type_ in {'selection', 'multiselection'}:
        selection = definition['selection']
        if isinstance(selection, str):
            selection = getattr(Model, selection)()
        labels = dict(selection)
        values = value if isinstance(value, list) else [value]
        return ', '.join(labels.get(v, v) for v in values)
    elif type_ == 'date':
        return dt.date.fromisoformat(value).strftime('%d/%m/%Y')
    elif isinstance(Model._fields[definition['name']], Monetary):
        return money(Decimal(value))
    elif definition['name'] in _RATIOS:
        return plain_percent(value)
    elif type_ in {'numeric', 'float'}:
        digits = len(value.partition('.')[2])
        return lang.format_number(
            Decimal(value), digits=digits, grouping=True)
    elif type_ == 'boolean':
        return gettext(
            f"pacte_grants.msg_version_{'yes' if value else 'no'}")
    elif isinstance(value, list):
        return ', '.join(value)
    return str(value)


def differences(before, after):
    """Return what differs between two contents: the name of the part, the
    text before and the text after, one of them ``None`` for what is added
    or taken out."""
    result = []
    for name in [*before, *(n for n in after if n not in before)]:
        old = {_key(e): e for e in before.get(name, [])}
        new = {_key(e): e for e in after.get(name, [])}
        for key in [*old, *(k for k in new if k not in old)]:
            first, second = old.get(key), new.get(key)
            if first and second and first['values'] == second['values']:
                continue
            result.append((
                    name,
                    '\n'.join(render(first)) if first else None,
                    '\n'.join(render(second)) if second else None))
    return result


def _key(entry):
    return entry['model'], entry['id']


def side_by_side(before, after):
    "Return both sides of what differs as HTML, what changed underlined."
    Convention = Pool().get('grant.convention')
    sides = [], []
    part = None
    for name, *texts in differences(before, after):
        if name != part:
            part = name
            for side in sides:
                side.append(f'<div><b>{Convention.part_label(name)}</b></div>')
        for side, text, html in zip(
                sides, texts, compare(*texts), strict=True):
            side.append(html if text else '<div>–</div>')
            side.append('<div><br></div>')
    return tuple(''.join(side) for side in sides)


class Version(GuardMixin, ModelSQL, ModelView):
    "The text of a convention from a day on."
    __name__ = 'grant.convention.version'

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, readonly=True,
        ondelete='CASCADE')
    number = fields.Integer("Version", required=True, readonly=True)
    effective_from = fields.Date(
        "Effective From", required=True, readonly=True)
    effective_until = fields.Function(
        fields.Date("Effective Until"), 'get_effective_until')
    cause = fields.Selection(
        CAUSES, "Cause", required=True, readonly=True, sort=False)
    note = fields.Char("Note", readonly=True)
    user = fields.Many2One(
        'res.user', "Recorded By", readonly=True, ondelete='RESTRICT')
    time = fields.DateTime("Recorded On", required=True, readonly=True)
    content = fields.Text("Content", required=True, readonly=True)
    text = fields.Function(fields.Text("Text"), 'get_text')
    before = fields.Function(fields.Text("Before"), 'get_changes')
    after = fields.Function(fields.Text("After"), 'get_changes')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('convention')
        cls._order = [
            ('convention', 'DESC'), ('number', 'DESC'), ('id', 'DESC')]
        cls._sql_constraints.append((
                'convention_number_unique',
                Unique(table, table.convention, table.number),
                'pacte_grants.msg_version_convention_number_unique'))
        cls._sql_indexes.add(
            Index(table,
                (table.convention, Index.Equality()),
                (table.effective_from, Index.Range())))

    def get_rec_name(self, name):
        return f'{self.convention.number} – v{self.number}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('convention.rec_name', *clause[1:])]

    @classmethod
    def check_modification(cls, mode, versions, values=None, external=False):
        super().check_modification(
            mode, versions, values=values, external=external)
        if mode == 'write' or external:
            raise AccessError(gettext(
                    'pacte_grants.msg_append_only', **cls.__names__()))

    @classmethod
    def _by_number(cls, versions):
        return {
            (v.convention.id, v.number): v for v in cls.search([
                    ('convention', 'in', list({
                                v.convention.id for v in versions}))])}

    @classmethod
    def get_effective_until(cls, versions, name):
        by_number = cls._by_number(versions)
        result = {}
        for version in versions:
            following = by_number.get(
                (version.convention.id, version.number + 1))
            result[version.id] = (
                following.effective_from - dt.timedelta(days=1)
                if following else None)
        return result

    def get_content(self):
        return json.loads(self.content)

    @classmethod
    def get_text(cls, versions, name):
        Convention = Pool().get('grant.convention')
        texts = {}
        for version in versions:
            lines = []
            for part, entries in version.get_content().items():
                if not entries:
                    continue
                if lines:
                    lines.append('')
                lines.append(Convention.part_label(part).upper())
                for entry in entries:
                    lines.extend(render(entry))
            texts[version.id] = '\n'.join(lines)
        return texts

    @classmethod
    def get_changes(cls, versions, names):
        by_number = cls._by_number(versions)
        result = {name: {} for name in names}
        for version in versions:
            previous = by_number.get(
                (version.convention.id, version.number - 1))
            values = dict.fromkeys(names)
            if previous:
                before, after = side_by_side(
                    previous.get_content(), version.get_content())
                values = {'before': before, 'after': after}
            for name in names:
                result[name][version.id] = values[name]
        return result


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    # The parts of the text beside the convention itself, in its order.
    _parts = [
        'clauses', 'tranches', 'instalments', 'objectives', 'conditions',
        'tariff_clauses', 'eco_commitments']

    text_versions = fields.One2Many(
        'grant.convention.version', 'convention', "Versions of the Text",
        readonly=True, order=[('number', 'DESC')],
        states={'invisible': ~Eval('text_versions')})

    @classmethod
    def content_names(cls):
        return ['title', 'kind', 'party', 'purpose', 'start_date', 'end_date']

    @classmethod
    def part_label(cls, name):
        "Return the title of the part of the text."
        if name == 'convention':
            return cls.__names__()['model']
        return cls.__names__(field=name)['field']

    def get_content(self):
        "Return the whole text as values for JSON, by part."
        content = {'convention': [get_entry(self)]}
        for name in self._parts:
            if name not in self._fields:
                continue
            content[name] = [
                get_entry(r) for r in getattr(self, name)
                if getattr(r, 'state', None) != 'cancelled'
                and not getattr(r, 'left_out', False)]
        return content

    @classmethod
    @without_check_access
    def record_version(cls, conventions, cause, date=None, note=None):
        """Keep the text of the conventions as it is now, from the date on
        (today by default), where it differs from the last version."""
        pool = Pool()
        Version = pool.get('grant.convention.version')
        date = date or pool.get('ir.date').today()
        last = cls._last_versions(conventions)
        time = now()
        to_create = []
        for convention in cls.browse([c.id for c in conventions]):
            version = last.get(convention.id)
            content = json.dumps(convention.get_content(), ensure_ascii=False)
            if version and version.content == content:
                continue
            to_create.append({
                    'convention': convention.id,
                    'number': version.number + 1 if version else 1,
                    'effective_from': max(
                        date, version.effective_from) if version else date,
                    'cause': cause,
                    # A reason may have been written on several lines.
                    'note': ' '.join((note or '').split()) or None,
                    'user': Transaction().user or None,
                    'time': time,
                    'content': content,
                    })
        return Version.create(to_create)

    @classmethod
    def _last_versions(cls, conventions, date=None):
        "Return by convention id its last version, or that of the date."
        Version = Pool().get('grant.convention.version')
        last = {}
        domain = [('effective_from', '<=', date)] if date else []
        for sub in grouped_slice(conventions, SLICE):
            for version in Version.search([
                        ('convention', 'in', [c.id for c in sub]), *domain,
                        ], order=[('number', 'ASC')]):
                last[version.convention.id] = version
        return last

    def version_on(self, date):
        """Return the version of the text that holds on the date.

        Raise ``PeriodError`` if none did yet.
        """
        version = self._last_versions([self], date).get(self.id)
        if version:
            return version
        first = self.text_versions[-1] if self.text_versions else None
        raise PeriodError(gettext(
                'pacte_grants.msg_version_none',
                convention=self.rec_name,
                date=date.strftime('%d/%m/%Y'),
                first=(first.effective_from.strftime('%d/%m/%Y')
                    if first else '–')))

    @classmethod
    @ModelView.button
    def notify(cls, conventions):
        super().notify(conventions)
        by_date = defaultdict(list)
        for convention in cls.browse(conventions):
            by_date[convention.notified_on].append(convention)
        for date, sub in by_date.items():
            cls.record_version(sub, 'notified', date)


class Tranche(metaclass=PoolMeta):
    __name__ = 'grant.tranche'

    @classmethod
    def content_names(cls):
        return ['year', 'amount', 'status']

    @classmethod
    @ModelView.button
    def notify(cls, tranches):
        super().notify(tranches)
        Convention = Pool().get('grant.convention')
        by_date = defaultdict(list)
        for tranche in cls.browse(tranches):
            by_date[tranche.notified_on].append(tranche.convention)
        for date, conventions in by_date.items():
            Convention.record_version(conventions, 'vote', date)


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    @classmethod
    def _cancel(cls, instalments, Tranche):
        super()._cancel(instalments, Tranche)
        by_reason = defaultdict(set)
        for instalment in cls.browse(instalments):
            convention = instalment.convention
            if convention.state in LIVE_STATES:
                by_reason[instalment.cancel_reason
                    or convention.ending_reason].add(convention)
        for reason, conventions in by_reason.items():
            Pool().get('grant.convention').record_version(
                list(conventions), 'reduction', note=reason)


class Condition(metaclass=PoolMeta):
    __name__ = 'grant.condition'

    @classmethod
    def prolong_to(cls, conditions, date, reason):
        super().prolong_to(conditions, date, reason)
        Pool().get('grant.convention').record_version(
            list({
                    c.convention for c in conditions
                    if c.convention.state in LIVE_STATES}),
            'shift', note=reason)


class Objective(metaclass=PoolMeta):
    __name__ = 'grant.objective'

    @classmethod
    def content_names(cls):
        return super().content_names() + ['indicators']


class ReadOnDate(Wizard):
    "Read a convention as it stood on a date."
    __name__ = 'grant.convention.read_on'

    start = StateView(
        'grant.convention.read_on.start',
        'pacte_grants.convention_read_on_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Read", 'open_', 'tryton-ok', default=True),
            ])
    open_ = StateAction('pacte_grants.act_convention_version')

    def default_start(self, fields):
        return {'date': Pool().get('ir.date').today()}

    def do_open_(self, action):
        versions = [
            c.version_on(self.start.date) for c in self.records]
        action['res_id'] = [v.id for v in versions]
        if len(versions) == 1:
            action['views'].reverse()
        return action, {'res_id': action['res_id']}


class ReadOnDateStart(ModelView):
    __name__ = 'grant.convention.read_on.start'

    date = fields.Date("Date", required=True)
