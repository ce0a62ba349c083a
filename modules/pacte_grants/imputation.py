# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Where in the budget a payment is charged: chapter, nature and function.

The nomenclature is that of the finance service, loaded from its file; rules
give the imputation of the common case, finance splits or corrects the others.
"""
from collections import defaultdict
from decimal import Decimal

from sql import Literal, Null
from sql.aggregate import Sum
from sql.conditionals import Case, Coalesce
from sql.functions import Abs
from sql.operators import Exists

from trytond.i18n import gettext
from trytond.model import (
    Index, ModelSQL, ModelView, Unique, fields, sequence_ordered)
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import file_open, grouped_slice, reduce_ids
from trytond.transaction import check_access, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .check import AmountMixin, bulleted, money, year_domain
from .csv_table import (
    chooser, decode, read_count, read_table, table_problem)
from .envelope import MULTI_YEAR
from .exceptions import (
    CeilingError, CompletenessError, FrozenError, ImputationError)
from .mixin import GuardMixin
from .party import PARTNER_KINDS
from .payment import APPROVED
from .reference import upsert
from .scheme import CompanyMixin
from .sums import SLICE, read_sums, split

SECTIONS = [
    (None, ""),
    ('operating', "Operating"),
    ('investment', "Investment"),
    ]
# The states in which finance may still change the imputation.
OPEN = ['planned', 'certified']
# The kind of an envelope says which section it belongs to.
_ENVELOPE_SECTIONS = {'AP': 'investment', 'AE': 'operating'}


class Nomenclature(ModelSQL, ModelView):
    "An account of the budget, valid from an exercise to another."
    __name__ = 'grant.nomenclature'

    kind = fields.Selection([
            ('chapter', "Chapter"),
            ('nature', "Nature"),
            ('function', "Function"),
            ], "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)
    section = fields.Selection(
        SECTIONS, "Section", sort=False,
        states={'required': Eval('kind') != 'function'})
    valid_from = fields.Integer(
        "From the Exercise", required=True,
        domain=year_domain('valid_from'))
    valid_to = fields.Integer(
        "To the Exercise",
        domain=[If(Eval('valid_to', None),
                ('valid_to', '>=', Eval('valid_from', 0)), ())],
        help="The last exercise in which it may be used.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'kind_code_from_unique',
                Unique(table, table.kind, table.code, table.valid_from),
                'pacte_grants.msg_nomenclature_unique'))
        cls._order = [
            ('kind', 'ASC'), ('code', 'ASC'), ('valid_from', 'DESC'),
            ('id', 'ASC')]

    def get_rec_name(self, name):
        return f'{self.code} {self.name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op, ('code', *clause[1:]), ('name', *clause[1:])]

    def is_valid(self, exercise):
        "Return whether it may be used in the exercise (a year)."
        return (
            self.valid_from <= exercise
            and (not self.valid_to or exercise <= self.valid_to))

    # The file of the finance service

    headings = {
        'nature': 'kind', 'type': 'kind',
        'code': 'code',
        'libelle': 'name', 'intitule': 'name',
        'section': 'section',
        'depuis': 'valid_from', 'valable depuis': 'valid_from',
        'premier exercice': 'valid_from',
        'jusqu a': 'valid_to', 'jusqu_a': 'valid_to',
        'dernier exercice': 'valid_to',
        }

    @classmethod
    def read_rows(cls, text):
        """Return the values of the rows of the file (text of a CSV).

        Raise ``ImputationError`` with the line and the column of every
        error.
        """
        def read_year(cell):
            year = read_count(cell)
            if not 2000 <= year < 2100:
                raise ValueError(cell)
            return year

        readers = {
            'kind': chooser({
                    "chapitre": 'chapter', "nature": 'nature',
                    "fonction": 'function'}),
            'code': str,
            'name': str,
            'section': chooser({
                    "fonctionnement": 'operating', "F": 'operating',
                    "investissement": 'investment', "I": 'investment'}),
            'valid_from': read_year,
            'valid_to': read_year,
            }
        rows, errors = read_table(
            text, cls.headings, readers,
            ['kind', 'code', 'name', 'valid_from'])
        problems = [table_problem(e) for e in errors]
        seen = {}
        for row in rows if not errors else []:
            values = row.values
            key = values['kind'], values['code'], values['valid_from']
            first = seen.setdefault(key, row.line)
            if first != row.line:
                problems.append(gettext(
                        'pacte_grants.msg_nomenclature_repeated',
                        line=row.line, first=first))
            if values['kind'] != 'function' and not values.get('section'):
                problems.append(gettext(
                        'pacte_grants.msg_nomenclature_section',
                        line=row.line, code=values['code']))
        if problems:
            raise ImputationError(gettext(
                    'pacte_grants.msg_table_refused',
                    errors=bulleted(problems[:20])))
        return [{
                'section': None, 'valid_to': None, **row.values,
                } for row in rows]

    @classmethod
    def load(cls, text):
        """Add to the nomenclature and update what the file (text of a CSV)
        says; nothing is deleted.  Return the count of rows."""
        rows = cls.read_rows(text)
        upsert(cls, ['kind', 'code', 'valid_from'], rows)
        return len(rows)


class Reference(metaclass=PoolMeta):
    __name__ = 'grant.reference'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        kind = ('nomenclature', "Budget Nomenclature")
        if kind not in cls.kind.selection:
            cls.kind.selection.append(kind)

    @classmethod
    def loaders(cls):
        @without_check_access
        def load():
            Nomenclature = Pool().get('grant.nomenclature')
            with file_open(
                    'pacte_grants/data/nomenclature.csv',
                    encoding='utf-8') as file:
                Nomenclature.load(file.read())
        return {
            **super().loaders(),
            'nomenclature': (['nomenclature.csv'], load),
            }


class _AccountsMixin:
    "The three accounts of an imputation."
    __slots__ = ()

    chapter = fields.Many2One(
        'grant.nomenclature', "Chapter", required=True, ondelete='RESTRICT',
        domain=[('kind', '=', 'chapter')])
    nature = fields.Many2One(
        'grant.nomenclature', "Nature", required=True, ondelete='RESTRICT',
        domain=[('kind', '=', 'nature')])
    function = fields.Many2One(
        'grant.nomenclature', "Function", required=True,
        ondelete='RESTRICT', domain=[('kind', '=', 'function')])
    operation = fields.Char(
        "Operation", help="The operation or authorisation, if there is one.")

    @property
    def accounts(self):
        return [self.chapter, self.nature, self.function]

    @classmethod
    def validate_fields(cls, records, field_names):
        super().validate_fields(records, field_names)
        if field_names is not None and not field_names & {
                'chapter', 'nature'}:
            return
        for record in records:
            if record.chapter.section != record.nature.section:
                raise ImputationError(gettext(
                        'pacte_grants.msg_imputation_section_mixed',
                        chapter=record.chapter.rec_name,
                        nature=record.nature.rec_name))


class Rule(
        _AccountsMixin, CompanyMixin, sequence_ordered(), ModelSQL,
        ModelView):
    """The imputation of the common case: the first rule that fits.

    What a rule leaves empty fits everything.
    """
    __name__ = 'grant.imputation.rule'

    scheme = fields.Many2One(
        'grant.scheme', "Scheme", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        help="Empty for every scheme.")
    partner_kind = fields.Selection(
        PARTNER_KINDS, "Kind of Partner", sort=False,
        help="Empty for every partner.")
    partner_kind_string = partner_kind.translated('partner_kind')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.company, Index.Equality())))

    def get_rec_name(self, name):
        return ' – '.join(filter(None, [
                    self.scheme.rec_name if self.scheme else None,
                    self.partner_kind_string,
                    self.nature.code, self.function.code]))

    def fits(self, instalment, exercise, section):
        """Return whether the rule is for the instalment, paid in the
        exercise (year) from an envelope of the section."""
        convention = instalment.convention
        return (
            self.company == convention.company
            and (not self.scheme or self.scheme == convention.scheme)
            and (not self.partner_kind
                or self.partner_kind == convention.party.partner_kind)
            and section in {None, self.nature.section}
            and all(a.is_valid(exercise) for a in self.accounts))


class Imputation(
        AmountMixin, _AccountsMixin, GuardMixin, ModelSQL, ModelView):
    "A part of an instalment and the accounts to which it is charged."
    __name__ = 'grant.imputation'
    _amounts = ('amount',)

    instalment = fields.Many2One(
        'grant.instalment', "Instalment", required=True, ondelete='CASCADE')
    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company', searcher='search_company')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True)
    section = fields.Function(
        fields.Selection(SECTIONS, "Section"), 'on_change_with_section')
    by_default = fields.Boolean(
        "By Default", readonly=True,
        help="It comes from a rule; nobody chose it for the instalment.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('instalment', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.add(
            Index(table, (table.instalment, Index.Equality())))

    @classmethod
    def default_by_default(cls):
        return False

    @fields.depends('instalment', '_parent_instalment.company')
    def on_change_with_company(self, name=None):
        return self.instalment.company if self.instalment else None

    @classmethod
    def search_company(cls, name, clause):
        return [('instalment.convention.' + clause[0], *clause[1:])]

    @fields.depends('instalment', '_parent_instalment.currency')
    def on_change_with_currency(self, name=None):
        return self.instalment.currency if self.instalment else None

    @fields.depends('nature')
    def on_change_with_section(self, name=None):
        return self.nature.section if self.nature else None

    def get_rec_name(self, name):
        return (
            f'{self.chapter.code} / {self.nature.code} / '
            f'{self.function.code}')

    @classmethod
    def check_modification(
            cls, mode, imputations, values=None, external=False):
        super().check_modification(
            mode, imputations, values=values, external=external)
        if mode == 'write' and values.keys() <= {'by_default'}:
            return
        for imputation in imputations:
            instalment = imputation.instalment
            if instalment.state not in OPEN:
                raise FrozenError(gettext(
                        'pacte_grants.msg_imputation_frozen',
                        instalment=instalment.rec_name,
                        state=instalment.state_label))
            if (mode == 'write'
                    and values.get('instalment', instalment.id)
                    != instalment.id):
                raise FrozenError(gettext(
                        'pacte_grants.msg_imputation_moved',
                        instalment=instalment.rec_name))
        if mode == 'write' and external and imputations:
            # What somebody changed is no longer the default.
            cls.write(list(imputations), {'by_default': False})


class Envelope(metaclass=PoolMeta):
    __name__ = 'grant.envelope'

    section = fields.Selection(
        SECTIONS, "Section", sort=False,
        help="Operating for a commitment authorisation and investment for a "
        "programme authorisation if left empty; both fit an annual credit.")

    @property
    def budget_section(self):
        "The section that what is charged to the envelope must have, if any."
        return self.section or _ENVELOPE_SECTIONS.get(self.kind)

    @classmethod
    def _section_query(cls, envelope):
        "Return the SQL of ``budget_section``."
        return Coalesce(
            envelope.section,
            Case(*[
                    (envelope.kind == kind, Literal(section))
                    for kind, section in _ENVELOPE_SECTIONS.items()],
                else_=Null))

    @classmethod
    def check_payment_credits(cls, envelopes):
        "Those of several years have credits for each exercise."
        envelopes = cls.browse(list(envelopes))
        super().check_payment_credits(
            [e for e in envelopes if e.kind not in MULTI_YEAR])
        envelopes = {e.id: e for e in envelopes if e.kind in MULTI_YEAR}
        credits = cls.get_credits(envelopes.values())
        for (id_, exercise), (credit, approved) in credits.items():
            if approved > credit:
                raise CeilingError(gettext(
                        'pacte_grants.msg_payment_credit_exceeded_exercise',
                        envelope=envelopes[id_].rec_name, exercise=exercise,
                        credit=money(credit), approved=money(approved)))

    @classmethod
    def get_credits(cls, envelopes):
        """Return, by envelope id and exercise, the payment credits and what
        of them is approved (euros): two queries whatever the number.

        An annual credit has those of its year.
        """
        pool = Pool()
        movement = pool.get('grant.envelope.movement').__table__()
        commitment = pool.get('grant.commitment').__table__()
        instalment = pool.get('grant.instalment').__table__()
        envelope = cls.__table__()
        several = envelope.kind.in_(MULTI_YEAR)
        by_id = {e.id: e for e in envelopes}
        credits = defaultdict(lambda: (Decimal(0), Decimal(0)))
        for sub in grouped_slice(list(by_id), SLICE):
            sub = list(sub)
            query = movement.join(
                envelope, condition=movement.envelope == envelope.id).select(
                envelope.id, movement.payment_year,
                Sum(movement.payment_credit),
                where=reduce_ids(envelope.id, sub)
                & (several | (movement.payment_year == envelope.year)),
                group_by=[envelope.id, movement.payment_year])
            for id_, year, credit in read_sums(query, keys=2):
                credits[id_, year] = credit, Decimal(0)
            query = (instalment
                .join(commitment,
                    condition=instalment.commitment == commitment.id)
                .select(
                    commitment.envelope, instalment.exercise,
                    Sum(instalment.amount),
                    where=reduce_ids(commitment.envelope, sub)
                    & instalment.state.in_(APPROVED),
                    group_by=[commitment.envelope, instalment.exercise]))
            for id_, exercise, amount in read_sums(query, keys=2):
                year = by_id[id_].year
                if by_id[id_].kind in MULTI_YEAR:
                    year = exercise or year
                credit, approved = credits[id_, year]
                credits[id_, year] = credit, approved + amount
        return credits


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    exercise = fields.Integer(
        "Exercise", readonly=True,
        help="The year of the budget that pays.")
    imputations = fields.One2Many(
        'grant.imputation', 'instalment', "Imputations",
        states={'readonly': ~Eval('state').in_(OPEN)})
    imputation_text = fields.Function(
        fields.Char("Imputation"), 'get_imputation_text')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._free_fields = cls._free_fields | {'imputations'}
        cls._buttons.update({
                'split_imputation': {
                    'invisible': ~Eval('state').in_(OPEN),
                    'depends': ['state'],
                    },
                })

    @classmethod
    def get_imputation_text(cls, instalments, name):
        texts = {}
        for instalment in instalments:
            texts[instalment.id] = ' ; '.join(
                i.rec_name if len(instalment.imputations) == 1
                else f'{i.rec_name} : {money(i.amount)}'
                for i in instalment.imputations) or None
        return texts

    @classmethod
    def copy(cls, instalments, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('imputations', None)
        return super().copy(instalments, default=default)

    @classmethod
    @ModelView.button_action('pacte_grants.act_imputation_split')
    def split_imputation(cls, instalments):
        "Ask for the parts of one instalment."

    @classmethod
    def on_modification(cls, mode, instalments, field_names=None):
        super().on_modification(mode, instalments, field_names=field_names)
        if mode == 'write' and 'amount' in field_names:
            with without_check_access():
                cls._follow_amounts(
                    [i for i in instalments if i.imputations])

    @classmethod
    def _follow_amounts(cls, instalments):
        "Bring the parts to the amounts, in their former proportions."
        Imputation = Pool().get('grant.imputation')
        to_write, to_delete = [], []
        for instalment in instalments:
            shares = [i.amount for i in instalment.imputations]
            if sum(shares) == instalment.amount or not sum(shares):
                continue
            parts = split(
                instalment.amount, shares, instalment.currency.digits)
            for imputation, part in zip(
                    instalment.imputations, parts, strict=True):
                if part:
                    to_write.extend(([imputation], {'amount': part}))
                else:
                    to_delete.append(imputation)
        if to_write:
            Imputation.write(*to_write)
        Imputation.delete(to_delete)

    @classmethod
    def _create_payments(cls, instalments):
        cls.set_imputations(cls.browse(instalments))
        super()._create_payments(instalments)

    @classmethod
    def set_imputations(cls, instalments):
        """Say in which exercise the certified instalments are paid, and give
        those that have no imputation that of the first rule that fits.

        Raise ``CompletenessError`` for an instalment that no rule fits.
        """
        pool = Pool()
        Imputation = pool.get('grant.imputation')
        rules = None
        by_exercise, vlist, missing = defaultdict(list), [], []
        for instalment in instalments:
            commitment = instalment.commitment
            exercise = instalment.get_exercise(commitment)
            if instalment.exercise != exercise:
                by_exercise[exercise].append(instalment)
            if instalment.imputations or not instalment.amount:
                continue
            if rules is None:
                rules = pool.get('grant.imputation.rule').search([])
            section = commitment.envelope.budget_section
            rule = next(
                (r for r in rules if r.fits(instalment, exercise, section)),
                None)
            if not rule:
                missing.append(gettext(
                        'pacte_grants.msg_imputation_no_rule',
                        instalment=instalment.rec_name, exercise=exercise))
                continue
            vlist.append({
                    'instalment': instalment.id,
                    'chapter': rule.chapter.id,
                    'nature': rule.nature.id,
                    'function': rule.function.id,
                    'operation': rule.operation,
                    'amount': instalment.amount,
                    'by_default': True,
                    })
        if missing:
            raise CompletenessError('\n'.join(missing))
        to_write = []
        for exercise, sub in by_exercise.items():
            to_write.extend((sub, {'exercise': exercise}))
        if to_write:
            cls.write(*to_write)
        if vlist:
            Imputation.create(vlist)

    def get_exercise(self, commitment):
        """Return the year whose credits pay the instalment from the
        commitment: that to which it was carried over, if it was."""
        return max(
            commitment.year, commitment.envelope.year, self.exercise or 0)

    @classmethod
    def _send_back_to_planned(cls, instalments):
        carried = {
            i.id for i in instalments
            if i.commitment and i.exercise and i.exercise > max(
                i.commitment.year, i.commitment.envelope.year)}
        super()._send_back_to_planned(instalments)
        Imputation = Pool().get('grant.imputation')
        instalments = cls.browse([i.id for i in instalments])
        cls.write(
            [i for i in instalments if i.id not in carried],
            {'exercise': None})
        # Without what a rule gave, the next certification asks it again.
        Imputation.delete([
                i for instalment in instalments
                for i in instalment.imputations if i.by_default])

    def check_imputations(self, exercise, envelope):
        """Return what is wrong with the imputations if the instalment is
        paid in the exercise (year) from the envelope, as sentences."""
        problems = []
        total = sum((i.amount for i in self.imputations), Decimal(0))
        if total != self.amount:
            problems.append(gettext(
                    'pacte_grants.msg_imputation_sum',
                    instalment=self.rec_name, total=money(total),
                    amount=money(self.amount)))
        section = envelope.budget_section if envelope else None
        for imputation in self.imputations:
            for account in imputation.accounts:
                if not account.is_valid(exercise):
                    problems.append(gettext(
                            'pacte_grants.msg_imputation_not_valid',
                            instalment=self.rec_name,
                            account=account.rec_name, exercise=exercise))
            if section and imputation.section != section:
                problems.append(gettext(
                        'pacte_grants.msg_imputation_section',
                        instalment=self.rec_name,
                        nature=imputation.nature.rec_name,
                        envelope=envelope.rec_name))
        return problems

    @classmethod
    def split_into(cls, instalment, parts):
        """Replace the imputations of the instalment by the parts: values of
        imputations, whose amounts (euros) must add up to its own.

        Raise ``ImputationError`` with all that is wrong.
        """
        Imputation = Pool().get('grant.imputation')
        instalment, = cls.claim([instalment])
        Imputation.delete(list(instalment.imputations))
        Imputation.create([
                {**part, 'instalment': instalment.id} for part in parts])
        instalment = cls(instalment.id)
        exercise = instalment.exercise or instalment.tranche.year
        if problems := instalment.check_imputations(
                exercise, instalment.envelope):
            raise ImputationError('\n'.join(problems))


class Blocker(metaclass=PoolMeta):
    __name__ = 'grant.instalment.blocker'

    @classmethod
    def _rules(cls):
        return super()._rules() + [
            ('imputation', 'finance', cls._imputation)]

    @classmethod
    def _imputation(cls):
        """No imputation and no rule that gives one, or one that does not
        add up, is not of the exercise or not of the section."""
        pool = Pool()
        Envelope = pool.get('grant.envelope')
        base = cls._base()
        instalment = base.instalment
        imputation = pool.get('grant.imputation').__table__()
        part = pool.get('grant.imputation').__table__()
        commitment = pool.get('grant.commitment').__table__()
        envelope = Envelope.__table__()
        chapter, nature, function = (
            pool.get('grant.nomenclature').__table__() for _ in range(3))
        exercise = Coalesce(instalment.exercise, base.tranche.year)
        present = Exists(part.select(
                Literal(1), where=part.instalment == instalment.id))
        total = Coalesce(imputation.select(
                Sum(imputation.amount),
                where=imputation.instalment == instalment.id), 0)
        # Half a cent: SQLite sums as floats.
        differs = Abs(total - instalment.amount) > 0.005
        line = pool.get('grant.imputation').__table__()
        accounts = (line
            .join(chapter, condition=line.chapter == chapter.id)
            .join(nature, condition=line.nature == nature.id)
            .join(function, condition=line.function == function.id)
            .join(commitment, 'LEFT',
                condition=commitment.id == instalment.commitment)
            .join(envelope, 'LEFT',
                condition=envelope.id == commitment.envelope))
        invalid = Exists(accounts.select(Literal(1),
                where=(line.instalment == instalment.id)
                & (cls._out_of(chapter, exercise)
                    | cls._out_of(nature, exercise)
                    | cls._out_of(function, exercise)
                    | (Envelope._section_query(envelope)
                        != nature.section))))
        voted = base.convention.frozen_on != Null
        return cls._select(
            base, voted & Case(
                (present, differs | invalid),
                (instalment.state != 'planned', instalment.amount > 0),
                else_=~cls._has_rule(base, exercise)))

    @classmethod
    def _out_of(cls, account, exercise):
        return (
            (account.valid_from > exercise)
            | (Coalesce(account.valid_to, exercise) < exercise))

    @classmethod
    def _has_rule(cls, base, exercise):
        "Return the condition that a rule gives the instalment an imputation."
        pool = Pool()
        Envelope = pool.get('grant.envelope')
        rule = pool.get('grant.imputation.rule').__table__()
        party = pool.get('party.party').__table__()
        application = pool.get('grant.application').__table__()
        decision = pool.get('grant.decision').__table__()
        commitment = pool.get('grant.commitment').__table__()
        envelope = Envelope.__table__()
        chapter, nature, function = (
            pool.get('grant.nomenclature').__table__() for _ in range(3))
        other_section = Exists(application
            .join(decision,
                condition=decision.application == application.id)
            .join(commitment,
                condition=decision.commitment == commitment.id)
            .join(envelope, condition=commitment.envelope == envelope.id)
            .select(Literal(1),
                where=(application.convention == base.convention.id)
                & (commitment.year == base.tranche.year)
                & (commitment.state == 'committed')
                & (Envelope._section_query(envelope) != nature.section)))
        return Exists(rule
            .join(chapter, condition=rule.chapter == chapter.id)
            .join(nature, condition=rule.nature == nature.id)
            .join(function, condition=rule.function == function.id)
            .join(party, condition=party.id == base.convention.party)
            .select(Literal(1),
                where=(rule.company == base.convention.company)
                & (Coalesce(rule.scheme, base.convention.scheme)
                    == base.convention.scheme)
                & ((rule.partner_kind == Null)
                    | (rule.partner_kind == party.partner_kind))
                & ~cls._out_of(chapter, exercise)
                & ~cls._out_of(nature, exercise)
                & ~cls._out_of(function, exercise)
                & ~other_section))


class SplitStart(ModelView):
    __name__ = 'grant.imputation.split.start'
    __string__ = "Parts of a Payment"

    instalment = fields.Many2One(
        'grant.instalment', "Instalment", readonly=True)
    currency = fields.Many2One('currency.currency', "Currency", readonly=True)
    amount = Monetary(
        "Amount", currency='currency', digits='currency', readonly=True)
    parts = fields.One2Many(
        'grant.imputation.split.part', 'start', "Parts", required=True)
    left = fields.Function(Monetary(
            "Left to Split", currency='currency', digits='currency'),
        'on_change_with_left')

    @fields.depends('amount', 'parts')
    def on_change_with_left(self, name=None):
        parts = (getattr(p, 'amount', None) for p in self.parts or ())
        return (self.amount or Decimal(0)) - sum(
            filter(None, parts), Decimal(0))


class SplitPart(_AccountsMixin, ModelView):
    __name__ = 'grant.imputation.split.part'
    __string__ = "Part of a Payment"

    start = fields.Many2One('grant.imputation.split.start', "Split")
    currency = fields.Many2One('currency.currency', "Currency")
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True,
        domain=[('amount', '>', 0)])

    @fields.depends('start', '_parent_start.currency')
    def on_change_with_currency(self):
        return self.start.currency if self.start else None


class Split(Wizard):
    "Charge one instalment to several accounts."
    __name__ = 'grant.imputation.split'

    start = StateView(
        'grant.imputation.split.start',
        'pacte_grants.imputation_split_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Split", 'split', 'tryton-ok', default=True),
            ])
    split = StateTransition()

    def default_start(self, fields):
        instalment = self.record
        return {
            'instalment': instalment.id,
            'currency': instalment.currency.id,
            'amount': instalment.amount,
            'parts': [{
                    'currency': instalment.currency.id,
                    'chapter': i.chapter.id,
                    'nature': i.nature.id,
                    'function': i.function.id,
                    'operation': i.operation,
                    'amount': i.amount,
                    } for i in instalment.imputations],
            }

    def transition_split(self):
        Instalment = Pool().get('grant.instalment')
        parts = [{
                'chapter': p.chapter.id,
                'nature': p.nature.id,
                'function': p.function.id,
                'operation': p.operation,
                'amount': p.amount,
                } for p in self.start.parts]
        with check_access():
            Instalment.split_into(Instalment(self.record.id), parts)
        return 'end'

    def end(self):
        return 'reload'


class ImportStart(ModelView):
    __name__ = 'grant.nomenclature.import.start'
    __string__ = "Nomenclature to Import"

    file = fields.Binary("CSV File", required=True)

    def get_text(self):
        try:
            return decode(self.file)
        except ValueError:
            raise ImputationError(gettext(
                    'pacte_grants.msg_csv_table_binary')) from None


class ImportResult(ModelView):
    __name__ = 'grant.nomenclature.import.result'
    __string__ = "Nomenclature Imported"

    count = fields.Integer("Rows", readonly=True)


class Import(Wizard):
    "Load the nomenclature of an exercise from the file of finance."
    __name__ = 'grant.nomenclature.import'

    start = StateView(
        'grant.nomenclature.import.start',
        'pacte_grants.nomenclature_import_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Import", 'result', 'tryton-ok', default=True),
            ])
    result = StateView(
        'grant.nomenclature.import.result',
        'pacte_grants.nomenclature_import_result_view_form', [
            Button("Close", 'end', 'tryton-ok', default=True),
            ])

    def default_result(self, fields):
        Nomenclature = Pool().get('grant.nomenclature')
        with check_access():
            return {'count': Nomenclature.load(self.start.get_text())}

    def end(self):
        return 'reload'
