# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What each party proposed for an objective, version by version.

Every change of an objective or of its indicators while the text is open is
kept as a version, with its author, the side for which it was made and the
time.  Both parties agree to the last one; a later change undoes that.
"""
import datetime as dt
import json
import re
from collections import defaultdict
from difflib import SequenceMatcher
from html import escape
from itertools import chain

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, without_check_access

from .convention import OPEN_STATES
from .mixin import GuardMixin
from .sums import SLICE

SIDES = [
    ('partner', "Partner"),
    ('department', "Department"),
    ]
_NEGOTIATING = '_pacte_grants_negotiating'
_INDICATOR = [
    'name', 'unit', 'direction', 'baseline', 'target', 'tolerance', 'weight',
    'source']
_WORDS = re.compile(r'\n|[^\S\n]*\S+|[^\S\n]+')


def _negotiating():
    "Return a context in which the parts of an objective make no version."
    return Transaction().set_context(**{_NEGOTIATING: True})


def _is_negotiating():
    return bool(Transaction().context.get(_NEGOTIATING))


def compare(before, after):
    """Return both texts as HTML, what differs underlined.

    ``before`` and ``after`` are plain texts, or ``None``.
    """
    first = _WORDS.findall(before or '')
    second = _WORDS.findall(after or '')
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    htmls = [], []
    for tag, start, end, start2, end2 in matcher.get_opcodes():
        for html, words in zip(
                htmls, (first[start:end], second[start2:end2]), strict=True):
            lines = ''.join(words).split('\n')
            if tag != 'equal':
                lines = map(_underline, lines)
            else:
                lines = map(escape, lines)
            html.append('\n'.join(lines))
    return tuple(
        ''.join(
            f'<div>{line or "<br>"}</div>'
            for line in ''.join(html).split('\n'))
        for html in htmls)


def _underline(line):
    words = line.strip()
    if not words:
        return escape(line)
    blank, _, end = line.partition(words)
    return f'{blank}<u>{escape(words)}</u>{end}'


class Version(GuardMixin, ModelSQL, ModelView):
    "An objective as one of the parties proposed it."
    __name__ = 'grant.objective.version'
    _rec_name = 'title'

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, readonly=True,
        ondelete='CASCADE')
    objective = fields.Many2One(
        'grant.objective', "Objective", readonly=True, ondelete='SET NULL',
        help="Empty once the objective was taken out.")
    number = fields.Integer("Version", required=True, readonly=True)
    kind = fields.Selection([
            ('proposed', "Proposed"),
            ('removed', "Taken Out"),
            ], "Kind", required=True, readonly=True)
    side = fields.Selection(
        SIDES, "Side", required=True, readonly=True, sort=False)
    user = fields.Many2One(
        'res.user', "Recorded By", readonly=True, ondelete='RESTRICT')
    time = fields.DateTime("Time", required=True, readonly=True)
    title = fields.Char("Title", required=True, readonly=True)
    content = fields.Text("Content", required=True, readonly=True)
    text = fields.Function(fields.Text("Text"), 'get_text')
    before = fields.Function(fields.Text("Before"), 'get_changes')
    after = fields.Function(fields.Text("After"), 'get_changes')
    partner_agreed_on = fields.Date("Agreed by the Partner", readonly=True)
    partner_agreed_by = fields.Many2One(
        'res.user', "Partner's Agreement Recorded By", readonly=True,
        ondelete='RESTRICT')
    department_agreed_on = fields.Date(
        "Agreed by the Department", readonly=True)
    department_agreed_by = fields.Many2One(
        'res.user', "Agreed for the Department By", readonly=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('convention')
        cls._order = [('time', 'DESC'), ('id', 'DESC')]
        cls._sql_constraints.append((
                'objective_number_unique',
                Unique(table, table.objective, table.number),
                'pacte_grants.msg_version_number_unique'))
        cls._sql_indexes.update({
                Index(table, (table.convention, Index.Equality())),
                Index(table,
                    (table.objective, Index.Equality()),
                    (table.number, Index.Range())),
                })

    def get_rec_name(self, name):
        return f'{self.title} – v{self.number}'

    @classmethod
    def check_modification(cls, mode, versions, values=None, external=False):
        super().check_modification(
            mode, versions, values=values, external=external)
        kept = {
            'objective', 'partner_agreed_on', 'partner_agreed_by',
            'department_agreed_on', 'department_agreed_by'}
        if (mode == 'delete' and external
                or mode == 'write' and values.keys() - kept):
            raise AccessError(gettext(
                    'pacte_grants.msg_append_only', **cls.__names__()))

    @classmethod
    def get_text(cls, versions, name):
        return {v.id: v._render() for v in versions}

    def _render(self):
        "Return the version as plain text in the user's language."
        Indicator = Pool().get('grant.indicator')
        content = json.loads(self.content)
        definition = Indicator.fields_get(['direction'])['direction']
        directions = dict(definition['selection'])
        lines = [content['title']]
        if content['description']:
            lines += content['description'].splitlines()
        lines.append(gettext(
                'pacte_grants.msg_version_weight', weight=content['weight']))
        for indicator in content['indicators']:
            values = {k: v or '–' for k, v in indicator.items()}
            values['direction'] = directions[indicator['direction']].lower()
            lines.append('• ' + gettext(
                    'pacte_grants.msg_version_indicator', **values))
            if indicator['source']:
                lines.append(gettext(
                        'pacte_grants.msg_version_source', **values))
        return '\n'.join(lines)

    @classmethod
    def get_changes(cls, versions, names):
        "Compare each version with the one before it."
        others = cls.search([
                ('objective', 'in', list({
                            v.objective.id for v in versions
                            if v.objective})),
                ])
        by_number = {(v.objective, v.number): v for v in others}
        result = {name: {} for name in names}
        for version in versions:
            previous = by_number.get(
                (version.objective, version.number - 1)
                ) if version.objective else None
            before, after = compare(
                previous.text if previous else None, version.text)
            for name in names:
                result[name][version.id] = {
                    'before': before, 'after': after}[name]
        return result


class Objective(metaclass=PoolMeta):
    __name__ = 'grant.objective'

    side = fields.Selection(
        SIDES, "Proposed By", required=True, sort=False,
        help="For whom the next change is recorded.")
    versions = fields.One2Many(
        'grant.objective.version', 'objective', "Versions", readonly=True,
        order=[('number', 'DESC')])
    version = fields.Function(fields.Many2One(
            'grant.objective.version', "Version"), 'get_version')
    version_number = fields.Function(
        fields.Integer("Version"), 'get_version')
    partner_text = fields.Function(
        fields.Text("Last Proposal of the Partner"), 'get_proposals')
    department_text = fields.Function(
        fields.Text("Last Proposal of the Department"), 'get_proposals')

    @classmethod
    def __setup__(cls):
        cls._agreed_with = cls._agreed_with + ['side']
        super().__setup__()

    @classmethod
    def default_side(cls):
        return 'department'

    @classmethod
    def _last_versions(cls, objectives, sides=('partner', 'department')):
        "Return by objective id its last version of one of the sides."
        Version = Pool().get('grant.objective.version')
        last = {}
        for sub in grouped_slice(objectives, SLICE):
            for version in Version.search([
                        ('objective', 'in', [o.id for o in sub]),
                        ('side', 'in', list(sides)),
                        ], order=[('number', 'ASC')]):
                last[version.objective.id] = version
        return last

    @classmethod
    def get_version(cls, objectives, names):
        last = cls._last_versions(objectives)
        result = {name: dict.fromkeys([o.id for o in objectives])
            for name in names}
        for id_, version in last.items():
            for name in names:
                result[name][id_] = (
                    version.id if name == 'version' else version.number)
        return result

    @classmethod
    def get_proposals(cls, objectives, names):
        partners = cls._last_versions(objectives, ['partner'])
        departments = cls._last_versions(objectives, ['department'])
        result = {name: {} for name in names}
        for objective in objectives:
            sides = [
                versions.get(objective.id)
                for versions in [partners, departments]]
            texts = [v.text if v else None for v in sides]
            if all(texts):
                texts = compare(*texts)
            else:
                # Nothing to compare with: nothing is underlined.
                texts = [t and compare(t, t)[0] for t in texts]
            values = dict(zip(
                    ['partner_text', 'department_text'], texts, strict=True))
            for name in names:
                result[name][objective.id] = values[name]
        return result

    def get_content(self):
        "Return what both parties agree to, as JSON."
        def text(value):
            return None if value is None else format(value.normalize(), 'f')

        indicators = [{
                name: getattr(i, name) for name in _INDICATOR}
            for i in self.indicators]
        for indicator in indicators:
            for name in ['baseline', 'target', 'tolerance', 'weight']:
                indicator[name] = text(indicator[name])
        return json.dumps({
                'title': self.title,
                'description': self.description or None,
                'weight': text(self.weight),
                'indicators': indicators,
                }, ensure_ascii=False, sort_keys=True)

    @classmethod
    def create(cls, vlist):
        with _negotiating():
            objectives = super().create(vlist)
        cls.record_versions(objectives)
        return objectives

    @classmethod
    def write(cls, objectives, values, *args):
        actions = objectives, values, *args
        with _negotiating():
            super().write(*actions)
        proposed = cls._agreed_fields | {'indicators'}
        cls.record_versions(list(chain(*(
                        records for records, values in zip(
                            actions[::2], actions[1::2], strict=True)
                        if values.keys() & proposed))))

    @classmethod
    @without_check_access
    def record_versions(cls, objectives):
        "Keep the objectives as they are now, if anything changed."
        Version = Pool().get('grant.objective.version')
        objectives = [
            o for o in cls.browse(sorted({o.id for o in objectives}))
            if o.convention.state in OPEN_STATES]
        last = cls._last_versions(objectives)
        now = dt.datetime.now().replace(microsecond=0)
        to_create = []
        for objective in objectives:
            version = last.get(objective.id)
            content = objective.get_content()
            if version and version.content == content:
                continue
            to_create.append({
                    'convention': objective.convention.id,
                    'objective': objective.id,
                    'number': version.number + 1 if version else 1,
                    'kind': 'proposed',
                    'side': objective.side,
                    'user': Transaction().user or None,
                    'time': now,
                    'title': objective.title,
                    'content': content,
                    })
        if to_create:
            Version.create(to_create)

    @classmethod
    def on_delete(cls, objectives):
        pool = Pool()
        Convention = pool.get('grant.convention')
        Version = pool.get('grant.objective.version')
        last = cls._last_versions(objectives)
        to_create = [{
                'convention': o.convention.id,
                'number': last[o.id].number + 1 if o.id in last else 1,
                'kind': 'removed',
                'side': o.side,
                'user': Transaction().user or None,
                'title': o.title,
                'content': o.get_content(),
                } for o in objectives]
        callback = super().on_delete(objectives)

        @without_check_access
        def keep():
            gone = Transaction().delete_records[Convention.__name__]
            now = dt.datetime.now().replace(microsecond=0)
            Version.create([
                    values | {'time': now} for values in to_create
                    if values['convention'] not in gone])
        callback.append(keep)
        return callback

    @classmethod
    def _agree(cls, objectives, side):
        Version = Pool().get('grant.objective.version')
        super()._agree(objectives, side)
        cls.record_versions(objectives)
        names = [f'{side}_agreed_on', f'{side}_agreed_by']
        objectives = cls.browse(objectives)
        by_values = defaultdict(list)
        for objective in objectives:
            by_values[tuple(getattr(objective, n) for n in names)].append(
                objective.version)
        with without_check_access():
            for values, versions in by_values.items():
                Version.write(versions, dict(zip(names, values, strict=True)))


class Indicator(metaclass=PoolMeta):
    __name__ = 'grant.indicator'

    @classmethod
    def create(cls, vlist):
        indicators = super().create(vlist)
        cls._record_versions(indicators)
        return indicators

    @classmethod
    def write(cls, indicators, values, *args):
        actions = indicators, values, *args
        super().write(*actions)
        proposed = {*_INDICATOR, 'sequence', 'objective'}
        cls._record_versions(list(chain(*(
                        records for records, values in zip(
                            actions[::2], actions[1::2], strict=True)
                        if values.keys() & proposed))))

    @classmethod
    def _record_versions(cls, indicators):
        if indicators and not _is_negotiating():
            Pool().get('grant.objective').record_versions(
                [i.objective for i in cls.browse(indicators)])

    @classmethod
    def on_delete(cls, indicators):
        Objective = Pool().get('grant.objective')
        objectives = list({i.objective for i in indicators})
        callback = super().on_delete(indicators)

        def record():
            gone = Transaction().delete_records[Objective.__name__]
            Objective.record_versions(
                [o for o in objectives if o.id not in gone])
        if not _is_negotiating():
            callback.append(record)
        return callback


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    objective_versions = fields.One2Many(
        'grant.objective.version', 'convention', "Versions of the Objectives",
        readonly=True)
