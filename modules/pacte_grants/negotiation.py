# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What each party proposed for an objective, version by version.

Every change of an objective or of its indicators while the text is open is
kept as a version, with its author, the side for which it was made and the
time.  Both parties agree to the last one; a later change undoes that.
"""
import json
import re
from collections import defaultdict
from decimal import Decimal
from difflib import SequenceMatcher
from html import escape
from itertools import chain

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, without_check_access

from .mixin import GuardMixin, now
from .objective import result_sentence
from .sums import SLICE
from .wording import number, percent

SIDES = [
    ('partner', "Partner"),
    ('department', "Department"),
    ]
_NEGOTIATING = '_pacte_grants_negotiating'
_INDICATOR = [
    'name', 'unit', 'direction', 'kind', 'baseline', 'target', 'tolerance',
    'weight', 'source', 'measured_by', 'measured_when', 'survey_method',
    'survey_column', 'survey_minimum', 'survey_maximum', 'survey_threshold',
    'result_clause', 'result_threshold', 'result_share']
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
        content = json.loads(self.content)
        labels = self._get_labels()
        lines = [content['title']]
        if content['description']:
            lines += content['description'].splitlines()
        lines.append(gettext(
                'pacte_grants.msg_version_weight', weight=content['weight']))
        for indicator in content['indicators']:
            lines += self._render_indicator(indicator, labels)
        return '\n'.join(lines)

    @staticmethod
    def _get_labels():
        "Return by field the labels of what is selected."
        definitions = Pool().get('grant.indicator').fields_get(
            ['direction', 'measured_by', 'survey_method'])
        return {
            name: dict(definition['selection'])
            for name, definition in definitions.items()}

    @staticmethod
    def _render_indicator(indicator, labels):
        "Return the lines of the indicator, a dictionary of its content."
        values = defaultdict(lambda: '–', {
                k: labels[k][v].lower() if k in labels else v
                for k, v in indicator.items() if v})
        lines = ['• ' + gettext(
                'pacte_grants.msg_version_indicator', **{
                    name: values[name] for name in [
                        'name', 'unit', 'direction', 'baseline', 'target',
                        'tolerance', 'weight']})]
        if indicator.get('targets'):
            lines.append(gettext(
                    'pacte_grants.msg_version_targets',
                    targets=' ; '.join(
                        gettext('pacte_grants.msg_version_target', **target)
                        for target in indicator['targets'])))
        for name in ['source', 'measured_by', 'measured_when']:
            if name in values:
                lines.append(gettext(
                        f'pacte_grants.msg_version_{name}',
                        **{name: values[name]}))
        if 'survey_method' in values:
            lines.append(gettext(
                    'pacte_grants.msg_version_survey',
                    method=values['survey_method']))
        for names in [
                ['survey_column'], ['survey_minimum', 'survey_maximum'],
                ['survey_threshold']]:
            if names[0] in values or names[-1] in values:
                lines.append(gettext(
                        f'pacte_grants.msg_version_{names[0]}',
                        **{name: indicator[name] for name in names}))
        if sentence := result_sentence(
                indicator.get('result_clause'),
                indicator.get('result_threshold'),
                indicator.get('result_share')):
            lines.append(sentence)
        return lines

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

        def content(indicator):
            values = {name: getattr(indicator, name) for name in _INDICATOR}
            values = {
                k: text(v) if isinstance(v, Decimal) else v or None
                for k, v in values.items()}
            values['targets'] = [
                {'year': t.year, 'value': text(t.value)}
                for t in sorted(indicator.targets, key=lambda t: t.year)]
            return values

        return json.dumps({
                'title': self.title,
                'description': self.description or None,
                'weight': text(self.weight),
                'indicators': [content(i) for i in self.indicators],
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
            if o.is_open]
        last = cls._last_versions(objectives)
        time = now()
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
                    'time': time,
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
            time = now()
            Version.create([
                    values | {'time': time} for values in to_create
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
        with _negotiating():
            indicators = super().create(vlist)
        cls._record_versions(indicators)
        return indicators

    @classmethod
    def write(cls, indicators, values, *args):
        actions = indicators, values, *args
        with _negotiating():
            super().write(*actions)
        proposed = {*_INDICATOR, 'targets', 'sequence', 'objective'}
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


class Target(metaclass=PoolMeta):
    __name__ = 'grant.indicator.target'

    @classmethod
    def create(cls, vlist):
        targets = super().create(vlist)
        cls._record_versions(targets)
        return targets

    @classmethod
    def write(cls, targets, values, *args):
        actions = targets, values, *args
        super().write(*actions)
        cls._record_versions(list(chain(*actions[::2])))

    @classmethod
    def _record_versions(cls, targets):
        if targets and not _is_negotiating():
            Pool().get('grant.objective').record_versions(
                [t.indicator.objective for t in cls.browse(targets)])

    @classmethod
    def on_delete(cls, targets):
        pool = Pool()
        Objective = pool.get('grant.objective')
        Indicator = pool.get('grant.indicator')
        indicators = list({t.indicator for t in targets})
        objectives = {i: i.objective for i in indicators}
        callback = super().on_delete(targets)

        def record():
            # The deletion of the indicator or the objective is told by them.
            deleted = Transaction().delete_records
            Objective.record_versions([
                    o for i, o in objectives.items()
                    if i.id not in deleted[Indicator.__name__]
                    and o.id not in deleted[Objective.__name__]])
        if not _is_negotiating():
            callback.append(record)
        return callback


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    objective_versions = fields.One2Many(
        'grant.objective.version', 'convention', "Versions of the Objectives",
        readonly=True)


class ConventionReport(metaclass=PoolMeta):
    __name__ = 'grant.convention.convention'

    @classmethod
    def _get_objectives(cls, convention):
        "The whole of what both parties agreed to is in the document."
        objectives = super()._get_objectives(convention)
        for objective, values in zip(
                convention.objectives, objectives, strict=True):
            for indicator, details in zip(
                    objective.indicators, values['indicators'], strict=True):
                details.update(cls._get_indicator(indicator))
        return objectives

    @staticmethod
    def _get_indicator(indicator):
        details = {
            name: getattr(indicator, name) for name in [
                'measured_by', 'measured_when', 'survey_method',
                'result_clause']}
        for name in ['survey_minimum', 'survey_maximum', 'survey_threshold']:
            value = getattr(indicator, name)
            details[name] = None if value is None else number(value)
        for name in ['result_threshold', 'result_share']:
            value = getattr(indicator, name)
            details[name] = None if value is None else percent(value)
        details['targets'] = [
            {'year': str(t.year), 'value': number(t.value)}
            for t in indicator.targets]
        return details
