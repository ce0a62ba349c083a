# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Articles of conventions: a dated library and the text of each convention.

The library says which articles apply to which convention and what they say,
with named values between braces.  A convention holds copies: their order is
its own, the numbers come from the system, and the values are filled in when
both sides agree.
"""
import datetime as dt
import re
from collections import defaultdict
from contextlib import contextmanager
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, Unique, fields, sequence_ordered)
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.transaction import Transaction, without_check_access

from .check import AmountMixin, PeriodMixin, bulleted, money
from .convention import OPEN_STATES, AgreedChildMixin
from .exceptions import ClauseError, FrozenError
from .mixin import FrozenByMixin, GuardMixin
from .scheme import DOMAINS
from .wording import (
    enumerate_in_words, euros, euros_in_words, in_words, long_date, percent)
from .wording import number as format_number

_PROPOSING = '_pacte_grants_clauses'
_BRACES = re.compile(r'\{([^{}]*)\}')
_ARTICLE = 'article:'
# What a text shows where a value is not known yet.
BLANK = "[à compléter]"
AID_REGIMES = [
    ('none', "Not a State Aid"),
    ('de_minimis', "De Minimis (Regulation 2023/2831)"),
    ('de_minimis_sgei', "De Minimis SGEI (Regulation 2023/2832)"),
    ('gber_culture', "GBER Article 53, Culture"),
    ('gber_sport', "GBER Article 55, Sport"),
    ('gber_infrastructure', "GBER Article 56, Local Infrastructure"),
    ('sgei', "SGEI Decision of 2012"),
    ('notified', "Notified Scheme"),
    ]
# What the law wants in the text (L04).
LEGAL_ITEMS = [
    ('purpose', "Purpose"),
    ('amount', "Amount"),
    ('payment', "Terms of Payment"),
    ('use', "Conditions of Use"),
    ('control', "Control and Evaluation"),
    ('unspent', "Grant Not Spent"),
    ]
FEATURES = [
    ('republican', "Republican Commitment Contract"),
    ('not_republican', "No Republican Commitment Contract"),
    ('sub_granting', "Sub-granting Allowed"),
    ('no_sub_granting', "Sub-granting Not Allowed"),
    ]
# The named values, by what they need.
VALUES = [
    'numero', 'intitule', 'partenaire', 'departement', 'mention_soutien',
    'annee', 'annees_budget', 'debut', 'fin', 'montant', 'montant_lettres',
    'taux',
    'cout_total', 'cout_total_lettres', 'depenses_eligibles',
    'depenses_eligibles_lettres', 'compte', 'comptable',
    'date_contrat_republicain', 'organismes', 'delai_versement',
    'delai_justificatifs', 'delai_observations', 'delai_emploi',
    'delai_evaluation', 'delai_signature', 'delai_solde', 'duree_controle',
    'preavis', 'seuil_comptes', 'regle_solde',
    ]
# Tables that the document puts in the place of a line of their own.
TABLES = ['tableau_tranches', 'tableau_versements', 'tableau_engagements']
_DELAYS = {
    'delai_versement': 'L05_PAYMENT_DELAY',
    'delai_justificatifs': 'L06_FINANCIAL_REPORT_DELAY',
    'delai_observations': 'DOCUMENT_HEARING_DELAY',
    'delai_emploi': 'DOCUMENT_UNSPENT_DELAY',
    'delai_evaluation': 'DOCUMENT_EVALUATION_DELAY',
    'delai_signature': 'SIGNATURE_DELAY',
    'delai_solde': 'LIQUIDATION_COMMENT_DELAY',
    'duree_controle': 'DOCUMENT_CONTROL_PERIOD',
    'preavis': 'DOCUMENT_TERMINATION_NOTICE',
    }
_LIBRARY = frozenset({
        'clause', 'code', 'version', 'origin', 'level', 'title', 'text',
        'mandatory'})
_CHOICES = frozenset({
        'kind', 'aid_regime', 'sub_granting', 'tranches', 'start_date',
        'end_date'})


@contextmanager
def _proposing():
    with Transaction().set_context(**{_PROPOSING: True}):
        yield


def known_names():
    "Return the names that a text may hold between braces, in order."
    return VALUES + TABLES + [_ARTICLE + 'CODE']


def check_text(text, record):
    """Raise ``ClauseError`` if the text holds a value that no convention
    has, a brace alone, or a table beside other words."""
    unknown = []
    for name in _BRACES.findall(text or ''):
        if name not in VALUES and name not in TABLES and not (
                name.startswith(_ARTICLE) and name != _ARTICLE):
            unknown.append(name)
    rest = _BRACES.sub('', text or '')
    if unknown or '{' in rest or '}' in rest:
        raise ClauseError(gettext(
                'pacte_grants.msg_clause_unknown_value',
                record=record,
                names=', '.join(f'{{{n}}}' for n in unknown) or '{ }',
                known=', '.join(f'{{{n}}}' for n in known_names())))
    for line in (text or '').splitlines():
        for name in TABLES:
            if f'{{{name}}}' in line and line.strip() != f'{{{name}}}':
                raise ClauseError(gettext(
                        'pacte_grants.msg_clause_table_alone',
                        record=record, name=f'{{{name}}}'))


def fill(text, values, numbers):
    """Return the text with its values and the names of those that are empty.

    ``values``: text by name; ``numbers``: number of the article by code.
    """
    empty = []

    def value(match):
        name = match[1]
        if name in TABLES:
            return match[0]
        if name.startswith(_ARTICLE):
            found = numbers.get(name.removeprefix(_ARTICLE))
        else:
            found = values.get(name)
        if not found:
            empty.append(name)
            return BLANK
        # What a partner typed is neither a value nor a mark of the text.
        return re.sub(r'\*\*|[{}]', '', ' '.join(found.split(' ')))
    return _BRACES.sub(value, text or ''), empty


def parse(text):
    """Return the paragraphs of the text: dictionaries with ``style``
    (``text``, ``lead`` before a list, ``bullet`` or the name of a table) and
    ``spans``, pairs of what is said and whether it is bold."""
    blocks = []
    for line in (text or '').splitlines():
        line = line.strip()
        if not line:
            continue
        if line.strip('{}') in TABLES:
            blocks.append({'style': line.strip('{}'), 'spans': []})
            continue
        style = 'text'
        if line.startswith(('– ', '- ')):
            style, line = 'bullet', line[2:].strip()
        elif line.endswith(':'):
            style = 'lead'
        blocks.append({
                'style': style,
                'spans': [
                    (part, bool(i % 2))
                    for i, part in enumerate(line.split('**')) if part],
                })
    return blocks


class _ConditionMixin:
    "On which conventions an article is proposed; empty means all."
    __slots__ = ()

    kinds = fields.MultiSelection(
        'get_kinds', "Kinds of Convention", sort=False)
    partner_kinds = fields.MultiSelection(
        'get_partner_kinds', "Kinds of Partner", sort=False)
    aid_regimes = fields.MultiSelection(
        AID_REGIMES, "State-aid Regimes", sort=False)
    scheme_kinds = fields.MultiSelection(
        'get_scheme_kinds', "Kinds of Scheme", sort=False)
    domains = fields.MultiSelection(DOMAINS, "Domains", sort=False)
    features = fields.MultiSelection(
        FEATURES, "Only With", sort=False,
        help="The article applies when all of these hold.")
    minimum_amount = fields.Numeric(
        "From", digits=(16, 2),
        help="Amount of the convention, in euros, from which it applies.")
    maximum_amount = fields.Numeric(
        "Below", digits=(16, 2),
        help="Amount, in euros, from which it no longer applies.")

    @classmethod
    def _selection(cls, model, name):
        definition = Pool().get(model).fields_get([name])[name]
        return [row for row in definition['selection'] if row[0]]

    @classmethod
    def get_kinds(cls):
        return cls._selection('grant.convention', 'kind')

    @classmethod
    def get_scheme_kinds(cls):
        return cls._selection('grant.scheme', 'kind')

    @classmethod
    def get_partner_kinds(cls):
        return Pool().get('grant.scheme').get_partner_kinds()

    def applies(self, convention, amount, features):
        """Return whether the article is for the convention, of the amount
        (euros), that has the features (a set)."""
        for wanted, value in [
                (self.kinds, convention.kind),
                (self.partner_kinds, convention.party.partner_kind),
                (self.aid_regimes, convention.aid_regime),
                (self.scheme_kinds, convention.scheme.kind),
                (self.domains, convention.scheme.domain),
                ]:
            if wanted and value not in wanted:
                return False
        return (
            set(self.features or []) <= features
            and (self.minimum_amount is None or amount >= self.minimum_amount)
            and (self.maximum_amount is None or amount < self.maximum_amount))


class Clause(
        GuardMixin, PeriodMixin, AmountMixin, _ConditionMixin,
        sequence_ordered(), ModelSQL, ModelView):
    "An article of the library, in one of its versions."
    __name__ = 'grant.clause'
    _period = ('valid_from', 'valid_to')
    _amounts = ('minimum_amount', 'maximum_amount')

    code = fields.Char(
        "Code", required=True,
        help="By which other articles refer to it, as {article:CODE}.")
    level = fields.Selection([
            ('article', "Article"),
            ('paragraph', "Paragraph"),
            ], "Level", required=True, sort=False,
        help="A paragraph belongs to the article before it.")
    title = fields.Char(
        "Title", states={'required': Eval('level') == 'article'})
    text = fields.Text(
        "Text",
        help="A line is a paragraph; a line that begins with a dash is an "
        "item; words between ** are bold; values are between braces.")
    values_help = fields.Function(
        fields.Text("Values"), 'on_change_with_values_help')
    scheme = fields.Many2One(
        'grant.scheme', "Scheme", ondelete='RESTRICT',
        help="Replaces the general article of the same code for the "
        "conventions of this scheme.")
    version = fields.Integer("Version", required=True, readonly=True)
    valid_from = fields.Date(
        "Valid From", required=True,
        help="Replaces the versions before it from that day.")
    valid_to = fields.Date(
        "Valid To", help="The last day, if nothing replaces the article.")
    mandatory = fields.Boolean(
        "Mandatory", help="It cannot be left out of a convention.")
    legal_items = fields.MultiSelection(
        LEGAL_ITEMS, "Legal Content", sort=False,
        help="What the article says of what the law wants (L04).")
    legal_basis = fields.Char(
        "Legal Basis",
        states={'required': Bool(Eval('mandatory'))})
    used = fields.Function(
        fields.Boolean(
            "Used", help="Conventions hold it: it is no longer edited."),
        'get_used')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'code_scheme_version_unique',
                Unique(table, table.code, table.scheme, table.version),
                'pacte_grants.msg_clause_version_unique'))
        cls._sql_indexes.add(Index(
                table, (table.code, Index.Equality()),
                (table.valid_from, Index.Range())))
        cls._order = [
            ('sequence', 'ASC'), ('code', 'ASC'), ('valid_from', 'DESC'),
            ('id', 'ASC')]
        for name in cls._content_fields():
            field = getattr(cls, name)
            field.states = field.states | {'readonly': Bool(Eval('used'))}
        cls._buttons.update({
                'new_version': {
                    'invisible': ~Bool(Eval('used')),
                    'depends': ['used'],
                    },
                })

    @classmethod
    def _content_fields(cls):
        "The fields of a version that do not change once it is used."
        return [
            'sequence', 'code', 'level', 'title', 'text', 'scheme',
            'valid_from', 'mandatory', 'legal_items', 'legal_basis',
            'kinds', 'partner_kinds', 'aid_regimes', 'scheme_kinds',
            'domains', 'features', 'minimum_amount', 'maximum_amount']

    @classmethod
    def default_level(cls):
        return 'article'

    @classmethod
    def default_version(cls):
        return 1

    @classmethod
    def default_valid_from(cls):
        return Pool().get('ir.date').today()

    @classmethod
    def default_values_help(cls):
        return ' '.join(f'{{{n}}}' for n in known_names())

    def on_change_with_values_help(self, name=None):
        return self.default_values_help()

    @classmethod
    def get_used(cls, clauses, name):
        Copy = Pool().get('grant.convention.clause')
        with without_check_access():
            used = {
                c.clause.id for c in Copy.search([
                        ('clause', 'in', [c.id for c in clauses])])}
        return {c.id: c.id in used for c in clauses}

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Bool(Eval('valid_to')), 'muted', ''), ['valid_to']),
            ]

    def get_rec_name(self, name):
        title = f' – {self.title}' if self.title else ''
        return f'{self.code}{title} (v{self.version})'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op, ('code', *clause[1:]), ('title', *clause[1:])]

    @classmethod
    def validate_fields(cls, clauses, field_names):
        super().validate_fields(clauses, field_names)
        if field_names is None or 'text' in field_names:
            for clause in clauses:
                check_text(clause.text, clause.rec_name)
        if field_names is None or field_names & {
                'code', 'scheme', 'valid_from'}:
            cls._check_dates(clauses)

    @classmethod
    def _check_dates(cls, clauses):
        seen = defaultdict(set)
        for row in cls.search([('code', 'in', [c.code for c in clauses])]):
            seen[row.code, row.scheme, row.valid_from].add(row)
        for clause in clauses:
            if len(seen[clause.code, clause.scheme, clause.valid_from]) > 1:
                raise ClauseError(gettext(
                        'pacte_grants.msg_clause_same_date',
                        clause=clause.rec_name,
                        date=clause.valid_from.strftime('%d/%m/%Y')))

    @classmethod
    def check_modification(cls, mode, clauses, values=None, external=False):
        super().check_modification(
            mode, clauses, values=values, external=external)
        if mode not in {'write', 'delete'}:
            return
        if mode == 'write' and not values.keys() - {'valid_to'}:
            return
        used = cls.get_used(clauses, 'used')
        for clause in clauses:
            if used[clause.id]:
                raise FrozenError(gettext(
                        'pacte_grants.msg_clause_used',
                        clause=clause.rec_name))

    @classmethod
    def copy(cls, clauses, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('valid_from', cls._next_date)
        default.setdefault('valid_to', None)
        return super().copy(clauses, default=default)

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create':
            values['version'] = 1 + max(
                (v.version for v in cls._versions(values)), default=0)
        return values

    @classmethod
    def _versions(cls, data):
        return cls.search([
                ('code', '=', data.get('code')),
                ('scheme', '=', data.get('scheme'))])

    @classmethod
    def _next_date(cls, data):
        today = Pool().get('ir.date').today()
        return dt.timedelta(days=1) + max(
            [today, *(v.valid_from for v in cls._versions(data))])

    @classmethod
    @ModelView.button_action('pacte_grants.act_clause_form')
    def new_version(cls, clauses):
        """Copy the articles to new versions, from tomorrow on unless their
        date is changed, and show them."""
        return {'res_id': [c.id for c in cls.copy(clauses)]}

    @classmethod
    @without_check_access
    def get_library(cls, date=None):
        """Return the versions in force on the date, today by default: for
        each code and scheme the last one that has begun."""
        if date is None:
            date = Pool().get('ir.date').today()
        last = {}
        for clause in cls.search([
                    ('valid_from', '<=', date),
                    ], order=[('valid_from', 'ASC'), ('id', 'ASC')]):
            last[clause.code, clause.scheme] = clause
        return sorted((
                c for c in last.values()
                if not c.valid_to or c.valid_to >= date),
            key=lambda c: (c.sequence or 0, c.id))

    @classmethod
    @without_check_access
    def propose(cls, conventions, date=None):
        """Return by convention the articles that apply to it, in order, and
        the codes of those that cannot be left out.

        The variant of its scheme replaces the general article, whose
        obligation it keeps.
        """
        library = cls.get_library(date)
        result = {}
        for convention in cls._browse_conventions(conventions):
            amount, features = convention.amount, convention.clause_features
            chosen, mandatory = {}, set()
            for clause in library:
                if clause.scheme and clause.scheme != convention.scheme:
                    continue
                if not clause.applies(convention, amount, features):
                    continue
                if clause.mandatory:
                    mandatory.add(clause.code)
                if clause.code not in chosen or clause.scheme:
                    chosen[clause.code] = clause
            result[convention.id] = (
                sorted(
                    chosen.values(), key=lambda c: (c.sequence or 0, c.id)),
                mandatory)
        return result

    @staticmethod
    def _browse_conventions(conventions):
        return Pool().get('grant.convention').browse(
            [c.id for c in conventions])


class ConventionClause(
        AgreedChildMixin, FrozenByMixin, sequence_ordered(), ModelSQL,
        ModelView):
    "An article in the text of a convention."
    __name__ = 'grant.convention.clause'
    _frozen_by = 'convention'
    _parent_states = OPEN_STATES

    convention = fields.Many2One(
        'grant.convention', "Convention", required=True, ondelete='CASCADE')
    clause = fields.Many2One(
        'grant.clause', "Article of the Library", readonly=True,
        ondelete='RESTRICT')
    code = fields.Char("Code", readonly=True)
    version = fields.Integer(
        "Version", readonly=True,
        help="The version of the library that was copied.")
    origin = fields.Selection([
            ('library', "Library"),
            ('own', "Own"),
            ], "Origin", required=True, readonly=True, sort=False)
    level = fields.Selection([
            ('article', "Article"),
            ('paragraph', "Paragraph"),
            ], "Level", required=True, sort=False,
        help="A paragraph belongs to the article before it.")
    title = fields.Char(
        "Title", states={'required': Eval('level') == 'article'})
    text = fields.Text("Text")
    mandatory = fields.Boolean("Mandatory", readonly=True)
    left_out = fields.Boolean("Left Out", readonly=True)
    amended = fields.Boolean(
        "Amended", readonly=True,
        help="Its text is that of an amendment: values no longer change it.")
    rendered = fields.Text(
        "Agreed Text", readonly=True,
        help="The text with its values, as both sides agreed to it.")
    number = fields.Function(fields.Char("Number"), 'get_content')
    content = fields.Function(fields.Text("Text"), 'get_content')
    empty = fields.Function(fields.Char(
            "Missing Values", states={'invisible': ~Bool(Eval('empty'))}),
        'get_content')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('convention')
        cls._order = [
            ('convention', 'ASC'), ('sequence', 'ASC NULLS LAST'),
            ('id', 'ASC')]
        cls._sql_constraints.append((
                'convention_clause_unique',
                Unique(table, table.convention, table.code),
                'pacte_grants.msg_convention_clause_unique'))
        cls._sql_indexes.add(Index(table, (table.clause, Index.Equality())))
        agreed = (
            Bool(Eval('convention_state'))
            & ~Eval('convention_state').in_(list(OPEN_STATES)))
        for name in ['convention', 'sequence']:
            field = getattr(cls, name)
            field.states = field.states | {'readonly': agreed}
        for name in ['level', 'title', 'text']:
            field = getattr(cls, name)
            field.states = field.states | {
                'readonly': agreed | (Eval('origin') == 'library')}
        cls._buttons.update({
                'leave_out': {
                    'invisible': Bool(Eval('left_out')) | agreed | Bool(
                        Eval('mandatory')),
                    'depends': ['left_out', 'mandatory', 'convention_state'],
                    },
                'put_back': {
                    'invisible': ~Bool(Eval('left_out')) | agreed,
                    'depends': ['left_out', 'convention_state'],
                    },
                })

    @classmethod
    def default_origin(cls):
        return 'own'

    @classmethod
    def default_level(cls):
        return 'article'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Bool(Eval('left_out')), 'muted',
                    If(Bool(Eval('empty')), 'warning', '')),
                ['left_out', 'empty']),
            ('//group[@id="own"]', 'states', {
                    'invisible': Bool(Eval('rendered')),
                    }, ['rendered']),
            ]

    def get_rec_name(self, name):
        return ' '.join(filter(None, [
                    self.number, self.title or self.code])) or str(self.id)

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('title', *clause[1:])]

    @classmethod
    def get_content(cls, clauses, names):
        Convention = Pool().get('grant.convention')
        result = {n: dict.fromkeys([c.id for c in clauses]) for n in names}
        conventions = Convention.browse(
            list({c.convention.id for c in clauses}))
        shared = Convention.get_clause_shared(conventions)
        for convention in conventions:
            for clause, number, text, empty in convention.get_clause_texts(
                    shared=shared):
                for name, value in [
                        ('number', number),
                        ('content', _readable(text)),
                        ('empty', ', '.join(empty) or None)]:
                    if name in result and clause.id in result[name]:
                        result[name][clause.id] = value
        return result

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if (mode == 'create' and values.get('sequence') is None
                and values.get('convention')):
            last, = cls.search([
                    ('convention', '=', values['convention']),
                    ('sequence', '!=', None),
                    ], order=[('sequence', 'DESC')], limit=1) or [None]
            values['sequence'] = (last.sequence if last else 0) + 10
        return values

    @classmethod
    def validate_fields(cls, clauses, field_names):
        super().validate_fields(clauses, field_names)
        if field_names is None or 'text' in field_names:
            for clause in clauses:
                check_text(clause.text, clause.title or clause.code or '')

    @classmethod
    def check_modification(cls, mode, clauses, values=None, external=False):
        super().check_modification(
            mode, clauses, values=values, external=external)
        transaction = Transaction()
        if transaction.context.get(_PROPOSING):
            return
        if mode == 'write' and values.keys() & _LIBRARY:
            for clause in clauses:
                if clause.origin == 'library' and any(
                        cls._differs(clause, n, values[n])
                        for n in values.keys() & _LIBRARY):
                    raise FrozenError(gettext(
                            'pacte_grants.msg_convention_clause_library',
                            clause=clause.rec_name,
                            convention=clause.convention.rec_name))
        if mode == 'write' and values.get('left_out'):
            cls._check_left_out(clauses)
        if mode == 'delete':
            gone = transaction.delete_records['grant.convention']
            clauses = [c for c in clauses if c.convention.id not in gone]
            cls._check_left_out(clauses)
            for clause in clauses:
                if clause.origin == 'library':
                    raise AccessError(gettext(
                            'pacte_grants.msg_convention_clause_delete',
                            clause=clause.rec_name,
                            convention=clause.convention.rec_name))

    @classmethod
    def _check_left_out(cls, clauses):
        for clause in clauses:
            if clause.mandatory:
                raise AccessError(gettext(
                        'pacte_grants.msg_convention_clause_mandatory',
                        clause=clause.rec_name,
                        convention=clause.convention.rec_name,
                        basis=(clause.clause.legal_basis or ''
                            if clause.clause else '')))

    @classmethod
    @ModelView.button
    def leave_out(cls, clauses):
        "Leave articles out of the text, which the law does not want in it."
        cls._leave_out(clauses, True)

    @classmethod
    @ModelView.button
    def put_back(cls, clauses):
        cls._leave_out(clauses, False)

    @classmethod
    def _leave_out(cls, clauses, left_out):
        cls.check_parent(clauses)
        if left_out:
            cls._check_left_out(clauses)
        cls.write(clauses, {'left_out': left_out})
        Pool().get('grant.event').add([{
                    'record': c.convention, 'name': 'clauses',
                    'before' if left_out else 'after': c.rec_name,
                    } for c in clauses])

    @classmethod
    def propose(cls, conventions):
        """Bring the articles of the library into open conventions, as they
        are in force today: add, replace by the version in force, take away
        what no longer applies.  What was left out stays so."""
        proposals = Pool().get('grant.clause').propose(conventions)
        to_create, to_delete = [], []
        for convention in conventions:
            proposed, mandatory = proposals[convention.id]
            present = {
                c.code: c for c in convention.clauses
                if c.origin == 'library'}
            for clause in proposed:
                values = cls._library_values(clause, mandatory)
                copy = present.pop(clause.code, None)
                if not copy:
                    to_create.append(values | {
                            'convention': convention.id,
                            'sequence': clause.sequence,
                            })
                elif (copy.clause != clause
                        or copy.mandatory != values['mandatory']):
                    if values['mandatory']:
                        values['left_out'] = False
                    with _proposing():
                        cls.write([copy], values)
            to_delete.extend(present.values())
        with _proposing():
            cls.delete(to_delete)
            cls.create(to_create)

    @classmethod
    def _library_values(cls, clause, mandatory):
        return {
            'clause': clause.id,
            'code': clause.code,
            'version': clause.version,
            'origin': 'library',
            'level': clause.level,
            'title': clause.title,
            'text': clause.text,
            'mandatory': clause.code in mandatory,
            }

    @classmethod
    @without_check_access
    def render(cls, conventions):
        """Store the texts with their values; the journal keeps what an
        amount that changed makes of an article."""
        Convention = Pool().get('grant.convention')
        events, actions = [], []
        shared = Convention.get_clause_shared(conventions)
        for convention in conventions:
            for clause, number, text, _ in convention.get_clause_texts(
                    anew=True, shared=shared):
                if (clause.left_out or clause.amended
                        or clause.rendered == text):
                    continue
                if clause.rendered:
                    events.append({
                            'record': convention, 'name': 'clauses',
                            'before': _line(number, clause.rendered),
                            'after': _line(number, text),
                            })
                actions.extend([[clause], {'rendered': text}])
        if actions:
            cls.write(*actions)
        Pool().get('grant.event').add(events)


def _line(number, text):
    return ' '.join([number, *_readable(text).split(' ')]).replace('\n', ' ')


def _readable(text):
    "Return the text for people: without the marks of the document."
    for name in TABLES:
        table = name.removeprefix('tableau_')
        text = text.replace(f'{{{name}}}', f"[Tableau : {table}]")
    return text.replace('**', '')


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    clauses = fields.One2Many(
        'grant.convention.clause', 'convention', "Clauses",
        order=[('sequence', 'ASC NULLS LAST'), ('id', 'ASC')],
        states={'readonly': ~Eval('state').in_(list(OPEN_STATES))})
    clauses_amount = fields.Numeric(
        "Amount in the Clauses", digits=(16, 2), readonly=True,
        help="The amount with which the texts were last written.")
    clauses_note = fields.Function(fields.Text(
            "To Settle in the Clauses",
            states={'invisible': ~Bool(Eval('clauses_note'))}),
        'get_clauses_note')
    aid_regime = fields.Selection(
        AID_REGIMES, "State-aid Regime", required=True, sort=False,
        states={'readonly': ~Eval('state').in_(list(OPEN_STATES))},
        help="The rules on State aids under which the grant is given (L23).")
    sub_granting = fields.Boolean(
        "Sub-granting Allowed",
        states={'readonly': ~Eval('state').in_(list(OPEN_STATES))},
        help="The partner may give a part of the grant to others (L13).")
    sub_grantees = fields.Char(
        "To Whom",
        states={
            'readonly': ~Eval('state').in_(list(OPEN_STATES)),
            'invisible': ~Bool(Eval('sub_granting')),
            })

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'refresh_clauses': {
                    'invisible': ~Eval('state').in_(list(OPEN_STATES))
                    | (Eval('form') != 'convention'),
                    'depends': ['state', 'form'],
                    },
                })

    @classmethod
    def default_aid_regime(cls):
        return 'none'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//page[@id="clauses"]', 'states', {
                    'invisible': Eval('form') != 'convention',
                    }),
            ]

    @property
    def clause_features(self):
        "The set of what ``features`` of articles ask for."
        features = {'sub_granting' if self.sub_granting else 'no_sub_granting'}
        features.add(
            'republican' if self.party.partner_kind == 'association'
            or self.party.republican_commitment_on else 'not_republican')
        return features

    @property
    def budget_years(self):
        "The years whose budgets the applications give."
        return sorted({a.year for a in self.applications})

    @property
    def budgeted_amount(self):
        "The tranches of the years whose budgets are known (euros)."
        years = set(self.budget_years)
        return sum(
            (t.amount for t in self.tranches if t.year in years), Decimal(0))

    @classmethod
    def write(cls, conventions, values, *args):
        actions = conventions, values, *args
        super().write(*actions)
        changed = {
            c.id for records, values in zip(
                actions[::2], actions[1::2], strict=True)
            if values.keys() & _CHOICES for c in records}
        if changed:
            cls._propose_clauses([
                    c for c in cls.browse(sorted(changed)) if c.clauses])

    @classmethod
    @without_check_access
    def _propose_clauses(cls, conventions):
        Pool().get('grant.convention.clause').propose([
                c for c in conventions
                if c.form == 'convention'
                and c.freezing_state in OPEN_STATES])

    @classmethod
    def _complete(cls, conventions):
        super()._complete(conventions)
        cls._propose_clauses(cls.browse([c.id for c in conventions]))

    @classmethod
    @ModelView.button
    def refresh_clauses(cls, conventions):
        "Take the articles that apply today from the library."
        cls._propose_clauses(cls.claim(conventions))

    def get_clause_numbers(self):
        "Return the number of each article and paragraph, by record."
        articles = []
        for clause in self.clauses:
            if clause.left_out:
                continue
            if clause.level == 'article' or not articles:
                articles.append([])
            articles[-1].append(clause)
        numbers = {}
        for index, (article, *paragraphs) in enumerate(articles, 1):
            numbers[article] = str(index)
            for rank, paragraph in enumerate(paragraphs, 1):
                # One alone is the article itself.
                numbers[paragraph] = (
                    f'{index}.{rank}' if len(paragraphs) > 1 else str(index))
        return numbers

    def get_clause_texts(self, anew=False, shared=None):
        """Return for each article its record, its number, its text with the
        values, and the names of the values that are missing.

        The text is the one that was agreed, or as it would be today if there
        is none or if ``anew``.  ``shared`` is what ``get_clause_shared``
        returns, to read it once for many conventions.
        """
        numbers = self.get_clause_numbers()
        by_code = {c.code: n for c, n in numbers.items() if c.code}
        values, result = None, []
        for clause in self.clauses:
            if clause.left_out:
                result.append((clause, None, clause.text or '', []))
            elif clause.rendered is not None and not anew:
                result.append((clause, numbers[clause], clause.rendered, []))
            else:
                if values is None:
                    values = self.get_clause_values(
                        shared or self.get_clause_shared([self]))
                text, empty = fill(clause.text, values, by_code)
                result.append((clause, numbers[clause], text, empty))
        return result

    def get_articles(self):
        """Return the articles as the document prints them: dictionaries with
        ``number``, ``title`` and ``blocks`` (see ``parse``)."""
        articles = []
        for clause, number, text, _ in self.get_clause_texts():
            if clause.left_out:
                continue
            blocks = parse(text)
            if clause.level == 'article' or not articles:
                articles.append({
                        'number': number, 'title': clause.title or '',
                        'blocks': blocks})
                continue
            title = f'{clause.title}.' if clause.title else ''
            prefix = f'{number}. ' if '.' in number else ''
            lead = [
                span for span in [
                    (prefix + title, bool(title)), (' ', False)]
                if title or span[0].strip()]
            if not blocks or blocks[0]['style'] not in {'text', 'lead'}:
                blocks.insert(0, {'style': 'lead', 'spans': []})
            blocks[0]['spans'] = lead + blocks[0]['spans']
            articles[-1]['blocks'].extend(blocks)
        if articles and articles[-1]['blocks']:
            # The signatures do not stand alone on a page.
            last = articles[-1]['blocks'][-1]
            if last['style'] == 'text':
                last['style'] = 'lead'
        return articles

    @classmethod
    @without_check_access
    def get_clause_shared(cls, conventions):
        """Return the values that the conventions share, by name, and the
        bank accounts by partner."""
        pool = Pool()
        Parameter = pool.get('grant.parameter')
        values = {
            name: in_words(Parameter.get(code))
            for name, code in _DELAYS.items()}
        values['seuil_comptes'] = format_number(
            Parameter.get('L11_ACCOUNTS_THRESHOLD'))
        return values, pool.get('party.party').get_payable_accounts(
            list({c.party for c in conventions}))

    @without_check_access
    def get_clause_values(self, shared):
        "Return the text of each named value, ``None`` if it is not known."
        common, accounts = shared
        configuration = Pool().get('grant.configuration')(1)
        party, department = self.party, self.company.party
        total = sum(
            (a.total_cost or Decimal(0) for a in self.applications),
            Decimal(0))
        eligible = sum(
            (a.eligible_cost or a.total_cost or Decimal(0)
                for a in self.applications), Decimal(0))
        of = (
            'du' if department.name.startswith('Département') else 'de')
        values = {
            'numero': self.number,
            'intitule': _quoted(self.title),
            'partenaire': party.name,
            'departement': department.name,
            'mention_soutien': f'{of} {department.name}',
            'annee': str(self.year),
            'annees_budget': enumerate_in_words(
                map(str, self.budget_years)),
            'debut': long_date(self.start_date) if self.start_date else None,
            'fin': long_date(self.end_date) if self.end_date else None,
            'taux': (
                percent(self.budgeted_amount / eligible) if eligible
                else None),
            'compte': _account(accounts[party]),
            'comptable': configuration.get_multivalue(
                'public_accountant', company=self.company.id)
            or "comptable public du Département",
            'date_contrat_republicain': (
                long_date(party.republican_commitment_on)
                if party.republican_commitment_on else None),
            'organismes': self.sub_grantees,
            } | common
        for name, amount in [
                ('montant', self.amount),
                ('cout_total', total),
                ('depenses_eligibles', eligible)]:
            values[name] = euros(amount) if amount else None
            values[f'{name}_lettres'] = (
                euros_in_words(amount) if amount else None)
        return values

    @classmethod
    def get_clauses_note(cls, conventions, name):
        return {
            c.id: bulleted(c.get_clause_reasons()) or None
            if c.form == 'convention' and c.freezing_state in OPEN_STATES
            else None for c in conventions}

    def get_clause_reasons(self):
        """Return, in sentences, what is to be settled in the clauses before
        the text is agreed: what the law wants and is not there (L04, L23),
        the library that moved, values that are empty."""
        reasons = []
        if (self.party.partner_kind == 'company'
                and self.aid_regime == 'none'):
            reasons.append(gettext('pacte_grants.msg_clause_aid_regime'))
        if self._clauses_differ():
            reasons.append(gettext('pacte_grants.msg_clause_outdated'))
        wanted = dict(
            Pool().get('grant.clause').fields_get(
                ['legal_items'])['legal_items']['selection'])
        if self.party.partner_kind not in {'association', 'other'}:
            wanted.pop('unspent')
        for clause in self.clauses:
            if not clause.left_out and clause.clause:
                for item in clause.clause.legal_items or []:
                    wanted.pop(item, None)
        for label in wanted.values():
            reasons.append(gettext(
                    'pacte_grants.msg_clause_legal_item', item=label))
        for clause, number, _, empty in self.get_clause_texts(anew=True):
            if empty:
                reasons.append(gettext(
                        'pacte_grants.msg_clause_empty',
                        number=number,
                        title=clause.title or clause.code or '',
                        names=', '.join(f'{{{n}}}' for n in empty)))
        return reasons

    def _clauses_differ(self):
        "Whether the library proposes something else than the text holds."
        proposed, mandatory = Pool().get('grant.clause').propose(
            [self])[self.id]
        return (
            {(c, c.code in mandatory) for c in proposed}
            != {(c.clause, c.mandatory) for c in self.clauses
                if c.origin == 'library'})

    def get_agreement_reasons(self):
        reasons = super().get_agreement_reasons()
        if self.form == 'convention' and self.freezing_state in OPEN_STATES:
            reasons.extend(self.get_clause_reasons())
        return reasons

    def get_issue_reasons(self):
        reasons = super().get_issue_reasons()
        if self.form == 'convention' and self.frozen_on and not any(
                c.rendered for c in self.clauses):
            reasons.append(gettext('pacte_grants.msg_clause_not_rendered'))
        elif (self.form == 'convention' and self.frozen_on
                and self.clauses_amount != self.amount
                and self.amount_confirmed_on):
            reasons.append(gettext(
                    'pacte_grants.msg_clause_other_amount',
                    clauses=money(self.clauses_amount or Decimal(0)),
                    amount=money(self.amount)))
        return reasons

    @classmethod
    @without_check_access
    def _render_clauses(cls, conventions):
        Copy = Pool().get('grant.convention.clause')
        conventions = [
            c for c in cls.browse([c.id for c in conventions])
            if c.form == 'convention' and c.clauses_amount != c.amount]
        if conventions:
            Copy.render(conventions)
        by_amount = defaultdict(list)
        for convention in conventions:
            by_amount[convention.amount].append(convention)
        for amount, sub in by_amount.items():
            cls.write(sub, {'clauses_amount': amount})

    @classmethod
    def agree(cls, conventions):
        super().agree(conventions)
        cls._render_clauses(conventions)

    @classmethod
    def renegotiate(cls, conventions):
        super().renegotiate(conventions)
        cls._unrender_clauses(conventions)

    @classmethod
    @without_check_access
    def _unrender_clauses(cls, conventions):
        conventions = cls.browse([c.id for c in conventions])
        Pool().get('grant.convention.clause').write(
            [c for convention in conventions for c in convention.clauses],
            {'rendered': None})
        cls.write(conventions, {'clauses_amount': None})

    @classmethod
    def confirm_amount(cls, conventions):
        super().confirm_amount(conventions)
        cls._render_clauses(conventions)

    @classmethod
    def unfreeze(cls, conventions):
        super().unfreeze(conventions)
        cls._render_clauses([
                c for c in cls.browse([c.id for c in conventions])
                if c.clauses_amount is not None])


def _quoted(text):
    "Return the text as it stands between guillemets: its own become quotes."
    return re.sub(r'«\s*', '“', re.sub(r'\s*»', '”', text or '')) or None


def _account(account):
    if not account:
        return "compte que le Département vérifie avant tout versement"
    text = (
        "compte dont le numéro se termine par "
        + account.masked_number.split()[-1])
    if account.holder:
        text += f", titulaire : {account.holder}"
    return text
