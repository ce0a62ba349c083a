# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Labels and charters that prove an undertaking already (domain.md, 4.2).

A partner that signed such a charter shows it once; the undertakings of the
library that the label stands for are met by it, so that nobody asks twice.
"""
from collections import defaultdict

from dateutil.relativedelta import relativedelta

from trytond.i18n import gettext
from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelView, Unique, fields)
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Date, Eval, If
from trytond.transaction import Transaction, without_check_access

from .check import PeriodMixin
from .condition_library import THEMES
from .exceptions import CompletenessError, DutyError, FrozenError
from .mixin import ClaimMixin, GuardMixin, acting_user, transition
from .scheme import CONDITION_KINDS


class Equivalence(DeactivableMixin, ModelSQL, ModelView):
    "A label or charter and the entries of the library that it stands for."
    __name__ = 'grant.equivalence'

    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)
    description = fields.Text("Description")
    issuer = fields.Char("Issued By")
    kinds = fields.MultiSelection(
        CONDITION_KINDS, "Kinds", sort=False,
        help="The kinds of undertakings for all of which it stands.")
    themes = fields.MultiSelection(
        [t for t in THEMES if t[0]], "Themes", sort=False,
        help="The ecological themes for which it stands.")
    entries = fields.Many2Many(
        'grant.equivalence-grant.library.condition', 'equivalence', 'entry',
        "Library Entries",
        help="Other entries for which it stands, in any version.")
    validity = fields.Integer(
        "Validity", required=True,
        domain=[('validity', '>', 0)],
        help="Months for which it is accepted once given.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('code', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.append((
                'code_unique', Unique(table, table.code),
                'pacte_grants.msg_condition_equivalence_unique'))

    @classmethod
    def default_validity(cls):
        return 36

    def stands_for(self, entry):
        "Return whether it stands for the entry of the library."
        return (
            entry.kind in (self.kinds or ())
            or bool(entry.theme and entry.theme in (self.themes or ()))
            or entry.code in {e.code for e in self.entries})


class EquivalenceEntry(ModelSQL):
    __name__ = 'grant.equivalence-grant.library.condition'

    equivalence = fields.Many2One(
        'grant.equivalence', "Equivalence", required=True,
        ondelete='CASCADE')
    entry = fields.Many2One(
        'grant.library.condition', "Entry", required=True,
        ondelete='CASCADE')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__access__.add('equivalence')


class PartnerEquivalence(
        PeriodMixin, ClaimMixin, GuardMixin, ModelSQL, ModelView):
    "A label that a partner holds, once for all its conventions."
    __name__ = 'grant.partner.equivalence'
    _period = ('valid_from', 'valid_until')
    _server_fields = frozenset({'entered_by', 'verified_by', 'verified_on'})
    # What is verified
    _proof = frozenset({
            'party', 'equivalence', 'valid_from', 'valid_until', 'evidence'})

    party = fields.Many2One(
        'party.party', "Partner", required=True, ondelete='RESTRICT')
    equivalence = fields.Many2One(
        'grant.equivalence', "Label or Charter", required=True,
        ondelete='RESTRICT')
    valid_from = fields.Date("Valid From", required=True)
    valid_until = fields.Date(
        "Valid Until", required=True,
        help="Counted from the validity of the label if left empty.")
    evidence = fields.Binary("Evidence", filename='evidence_name')
    evidence_name = fields.Char("Evidence Name")
    note = fields.Text("Note")
    entered_by = fields.Many2One(
        'res.user', "Entered By", readonly=True, ondelete='RESTRICT')
    verified_by = fields.Many2One(
        'res.user', "Verified By", readonly=True, ondelete='RESTRICT')
    verified_on = fields.Date("Verified On", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._order = [('valid_until', 'DESC'), ('id', 'DESC')]
        cls._sql_indexes.add(Index(
                table, (table.party, Index.Equality()),
                (table.valid_until, Index.Range())))
        verified = Eval('verified_by', None) != None  # noqa: E711
        for name in ['party', 'equivalence', 'valid_from', 'valid_until',
                'evidence', 'evidence_name']:
            field = getattr(cls, name)
            field.states = field.states | {'readonly': verified}
        cls._buttons.update({
                'verify': {
                    'invisible': verified, 'depends': ['verified_by']},
                'unverify': {
                    'invisible': ~verified, 'depends': ['verified_by']},
                })

    @classmethod
    def default_valid_from(cls):
        return Pool().get('ir.date').today()

    @fields.depends('equivalence', 'valid_from')
    def on_change_equivalence(self):
        if self.equivalence and self.valid_from:
            self.valid_until = self.valid_from + relativedelta(
                months=self.equivalence.validity, days=-1)

    @fields.depends(methods=['on_change_equivalence'])
    def on_change_valid_from(self):
        self.on_change_equivalence()

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('valid_until', None) < Date(), 'muted',
                    If(Eval('verified_by', None) == None,  # noqa: E711
                        'warning', '')),
                ['valid_until', 'verified_by']),
            ]

    def get_rec_name(self, name):
        return f'{self.equivalence.name} – {self.party.rec_name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('equivalence.name', *clause[1:]),
            ('party.rec_name', *clause[1:]),
            ]

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create':
            values['entered_by'] = Transaction().user or None
            if (not values.get('valid_until') and values.get('equivalence')
                    and values.get('valid_from')):
                equivalence = Pool().get('grant.equivalence')(
                    values['equivalence'])
                values['valid_until'] = values[
                    'valid_from'] + relativedelta(
                    months=equivalence.validity, days=-1)
        return values

    @classmethod
    def on_modification(cls, mode, records, field_names=None):
        super().on_modification(mode, records, field_names=field_names)
        if mode == 'write' and field_names & cls._proof:
            # Who replaces what is verified enters it.
            with without_check_access():
                cls.write(records, {'entered_by': Transaction().user or None})

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if mode == 'delete' or (
                mode == 'write' and values.keys() & cls._proof):
            for record in records:
                if record.verified_by:
                    raise FrozenError(gettext(
                            'pacte_grants.msg_condition_equivalence_verified',
                            equivalence=record.rec_name,
                            user=record.verified_by.rec_name))

    @classmethod
    @ModelView.button
    def verify(cls, records):
        "Check the evidence of a label that somebody else entered."
        user = acting_user(gettext('pacte_grants.msg_act_verify'))
        for record in cls.claim(records):
            if not record.evidence:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_condition_equivalence_evidence',
                        equivalence=record.rec_name))
            if not record.entered_by or user.is_same_person(
                    record.entered_by):
                raise DutyError(gettext(
                        'pacte_grants.msg_condition_equivalence_duty',
                        equivalence=record.rec_name, user=user.rec_name))
        cls.write(records, {
                'verified_by': user.id,
                'verified_on': Pool().get('ir.date').today(),
                })

    @classmethod
    @ModelView.button
    def unverify(cls, records):
        "Take the verification back; the journal keeps it."
        records = cls.claim(records)
        Pool().get('grant.event').add([{
                    'record': r, 'name': 'unverify',
                    'before': r.verified_by,
                    } for r in records])
        cls.write(records, {'verified_by': None, 'verified_on': None})

    def is_valid(self, date):
        "Return whether it is verified and covers the date."
        return bool(
            self.verified_by and self.valid_from <= date
            and self.valid_until >= date)


class Condition(metaclass=PoolMeta):
    __name__ = 'grant.condition'

    equivalence = fields.Many2One(
        'grant.partner.equivalence', "Met by Equivalence", readonly=True,
        ondelete='RESTRICT',
        states={'invisible': ~Eval('equivalence')})
    covered_by = fields.Function(fields.Many2One(
            'grant.partner.equivalence', "Covered By",
            help="The verified label of the partner that stands for it."),
        'get_covered_by')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._server_fields |= {'equivalence'}
        cls._transitions.add(('pending', 'met'))
        cls._buttons.update({
                'accept_equivalence': {
                    'invisible': Eval('state') != 'pending',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//group[@id="equivalence"]', 'states', {
                    'invisible': (
                        ~Eval('covered_by') & ~Eval('equivalence')),
                    }, ['covered_by', 'equivalence']),
            ]

    @classmethod
    def _get_equivalences(cls, conditions):
        """Return by condition the labels of its partner that stand for it,
        verified or not, valid or not."""
        Held = Pool().get('grant.partner.equivalence')
        conditions = [c for c in conditions if c.library]
        parties = {c.convention.party.id for c in conditions}
        held = {}
        if parties:
            with without_check_access():
                for row in Held.search([('party', 'in', list(parties))]):
                    held.setdefault(row.party.id, []).append(row)
        return {
            c: [row for row in held.get(c.convention.party.id, [])
                if row.equivalence.stands_for(c.library)]
            for c in conditions}

    def _equivalence_date(self):
        "The date on which a label must still be valid."
        return self.due_date or self.convention.end_date

    @classmethod
    def get_covered_by(cls, conditions, name):
        covered = dict.fromkeys([c.id for c in conditions])
        for condition, rows in cls._get_equivalences(
                [c for c in conditions if c.state == 'pending']).items():
            date = condition._equivalence_date()
            for row in rows:
                if row.is_valid(date):
                    covered[condition.id] = row.id
                    break
        return covered

    @classmethod
    @ModelView.button
    @transition('met')
    def accept_equivalence(cls, conditions):
        """Declare the conditions met by the label that the partner holds.

        Raise ``CompletenessError`` if it holds none that stands for the
        entry of the library, or one that nobody verified or that has
        expired by the due date.
        """
        cls.check_verifier(conditions)
        found = cls._get_equivalences(conditions)
        events, by_row = [], defaultdict(list)
        for condition in conditions:
            rows = found.get(condition, [])
            date = condition._equivalence_date()
            valid = [row for row in rows if row.is_valid(date)]
            if not valid:
                cls._refuse_equivalence(condition, rows, date)
            row = valid[0]
            events.append({
                    'record': condition, 'name': 'accept_equivalence',
                    'after': row,
                    'reason': gettext(
                        'pacte_grants.msg_condition_equivalence_reason',
                        label=row.equivalence.name,
                        start=row.valid_from.strftime('%d/%m/%Y'),
                        end=row.valid_until.strftime('%d/%m/%Y'),
                        user=row.verified_by.rec_name),
                    })
            by_row[row].append(condition)
        for row, sub in by_row.items():
            cls.write(sub, {'equivalence': row.id})
        Pool().get('grant.event').add(events)
        cls._verify(conditions)

    @classmethod
    def _refuse_equivalence(cls, condition, rows, date):
        names = {
            'condition': condition.rec_name,
            'date': date.strftime('%d/%m/%Y'),
            'party': condition.convention.party.rec_name,
            }
        if not rows:
            message = 'none'
        else:
            row = max(rows, key=lambda r: (bool(r.verified_by),
                    r.valid_until, r.id))
            names['label'] = row.equivalence.name
            names['end'] = row.valid_until.strftime('%d/%m/%Y')
            names['start'] = row.valid_from.strftime('%d/%m/%Y')
            message = 'expired' if row.verified_by else 'unverified'
        raise CompletenessError(gettext(
                f'pacte_grants.msg_condition_equivalence_{message}',
                **names))

    @classmethod
    @ModelView.button
    def reopen(cls, conditions):
        super().reopen(conditions)
        cls.write(conditions, {'equivalence': None})

    @classmethod
    def copy(cls, conditions, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('equivalence', None)
        return super().copy(conditions, default=default)


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    grant_equivalences = fields.One2Many(
        'grant.partner.equivalence', 'party', "Labels and Charters")


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('grant.partner.equivalence', 'party'),
            ]
