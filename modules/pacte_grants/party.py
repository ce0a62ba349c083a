# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Partners: who they are, what they have given us once and for all, and the
bank accounts to which they may be paid."""
import hashlib
import re
from collections import defaultdict, namedtuple

from sql import Literal, Null
from stdnum.exceptions import InvalidChecksum, InvalidFormat, InvalidLength
from stdnum.exceptions import ValidationError as NumberError

import trytond.config as config
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import Transaction

from . import identifier as numbers
from .exceptions import (
    CompletenessError, DutyError, FrozenError, IdentifierError, PeriodError)
from .mixin import ClaimMixin, GuardMixin, acting_user, now
from .search import positive, search_flag
from .sums import SLICE

if config.getboolean('attachment', 'filestore', default=True):
    file_id = 'document_id'
    store_prefix = config.get('attachment', 'store_prefix', default=None)
else:
    file_id = store_prefix = None

PARTNER_KINDS = [
    (None, ""),
    ('association', "Association"),
    ('commune', "Commune"),
    ('epci', "EPCI"),
    ('college', "College"),
    ('local_public', "Other Local Public Body"),
    ('company', "Company"),
    ('individual', "Individual"),
    ('other', "Other"),
    ]
PUBLIC_KINDS = ['commune', 'epci', 'college', 'local_public']
IDENTIFIER_TYPES = [
    ('fr_rna', "French National Register of Associations Number"),
    ('fr_uai', "French School Identification Number"),
    ]
Iban = namedtuple('Iban', ['id', 'number', 'changed_by', 'active'])
_TOGETHER = '_pacte_grants_identifiers'


def fingerprint(number):
    "Return the SHA-256 of the compact number of a bank account."
    number = re.sub(r'[\s.\-]', '', number or '').upper()
    return hashlib.sha256(number.encode()).hexdigest()


def mask(number):
    "Return the number of a bank account with its last four characters only."
    number = re.sub(r'\s', '', number or '')
    return '•••• ' + number[-4:] if len(number) > 4 else '••••'


def sees_bank_numbers():
    "Return whether the user may read bank account numbers in clear."
    pool = Pool()
    User = pool.get('res.user')
    ModelData = pool.get('ir.model.data')
    return ModelData.get_id(
        'pacte_grants', 'group_finance') in User.get_groups()


class Configuration(metaclass=PoolMeta):
    __name__ = 'party.configuration'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        for type_ in IDENTIFIER_TYPES:
            if type_ not in cls.identifier_types.selection:
                cls.identifier_types.selection.append(type_)


class Party(ClaimMixin, metaclass=PoolMeta):
    __name__ = 'party.party'

    partner_kind = fields.Selection(
        PARTNER_KINDS, "Kind of Partner", sort=False,
        help="Empty for the parties that do not receive grants.")
    partner_kind_string = partner_kind.translated('partner_kind')
    acronym = fields.Char("Acronym")
    siren = fields.Function(
        fields.Char(
            "SIREN",
            help="The 9 digits that identify the legal person."),
        'get_identifier', setter='set_identifier',
        searcher='search_identifier')
    siret = fields.Function(
        fields.Char(
            "SIRET",
            help="The 14 digits that identify the seat, "
            "with or without spaces."),
        'get_identifier', setter='set_identifier',
        searcher='search_identifier')
    rna = fields.Function(
        fields.Char(
            "RNA",
            help="The number in the national register of associations: "
            "W followed by 9 digits.",
            states={
                'invisible': ~Eval('partner_kind').in_(['association', None]),
                }),
        'get_identifier', setter='set_identifier',
        searcher='search_identifier')
    uai = fields.Function(
        fields.Char(
            "UAI",
            help="The number of the school: 7 digits and a letter.",
            states={
                'invisible': ~Eval('partner_kind').in_(['college', None]),
                }),
        'get_identifier', setter='set_identifier',
        searcher='search_identifier')
    commune = fields.Many2One(
        'grant.commune', "Commune", ondelete='RESTRICT',
        help="The commune where the partner is based.")
    area_territory = fields.Function(
        fields.Many2One('grant.area', "Territory"),
        'get_area', searcher='search_area')
    epci = fields.Function(
        fields.Many2One('grant.area', "EPCI"),
        'get_area', searcher='search_area')
    representative_name = fields.Char(
        "Legal Representative",
        help="The name of the person who may sign for the partner.")
    representative_capacity = fields.Char(
        "Capacity",
        help="In which capacity the representative signs, for instance "
        "president or mayor.")
    representative_since = fields.Date("Representative Since")
    republican_commitment_on = fields.Date(
        "Republican Commitment Signed On",
        states={
            'invisible': ~Eval('partner_kind').in_(
                ['association', 'other']),
            },
        help="The date on which the association accepted the republican "
        "commitment contract, without which it cannot be granted anything.")
    partner_pieces = fields.One2Many(
        'grant.partner.piece', 'party', "Permanent Pieces",
        help="What the partner has given once and need not give again.")
    bank_account_links = fields.One2Many(
        'bank.account-party.party', 'owner', "Bank Accounts")
    bank_account_verified = fields.Function(
        fields.Boolean(
            "Verified Bank Account",
            help="Somebody in finance has verified a bank account to which "
            "the partner may be paid."),
        'get_bank_account_verified',
        searcher='search_bank_account_verified')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.partner_kind, Index.Equality(cardinality='low'))),
                Index(t, (t.commune, Index.Range())),
                })

    @classmethod
    def get_identifier(cls, parties, names):
        """Return the compact numbers by field and party.

        The SIRET is that of the seat: the first which is not that of an
        address, or else the first.  The SIREN is read in the SIRET if it
        has not been entered.
        """
        result = {name: dict.fromkeys(map(int, parties)) for name in names}
        for party in parties:
            codes = party._identifier_codes()
            for name in names:
                result[name][party.id] = codes.get(name)
        return result

    def _identifier_codes(self):
        codes = {}
        identifiers = sorted(
            self.identifiers, key=lambda i: bool(i.address))
        for identifier in identifiers:
            if identifier.type in numbers.TYPES:
                codes.setdefault(
                    identifier.type[len('fr_'):], identifier.code_compact)
        if 'siret' in codes:
            codes.setdefault('siren', codes['siret'][:9])
        return codes

    @classmethod
    def set_identifier(cls, parties, name, value):
        """Set the number, which may contain spaces.

        The former one is kept, inactive.  Raise ``IdentifierError`` if the
        number is not valid or already that of another active party.
        """
        pool = Pool()
        Identifier = pool.get('party.identifier')
        type_ = 'fr_' + name
        value = (value or '').strip()
        compact = numbers.compact(type_, value) if value else None
        to_deactivate, to_create = [], []
        for party in parties:
            current = [
                i for i in party.identifiers
                if i.type == type_ and not i.address]
            if compact and any(i.code_compact == compact for i in current):
                continue
            to_deactivate.extend(current)
            if value:
                to_create.append({
                        'party': party.id, 'type': type_, 'code': value})
        with Transaction().set_context(**{_TOGETHER: True}):
            if to_deactivate:
                Identifier.write(to_deactivate, {'active': False})
            if to_create:
                Identifier.create(to_create)

    @classmethod
    def search_identifier(cls, name, clause):
        def compact(operand):
            if isinstance(operand, str):
                return re.sub(r'[\s.\-]', '', operand).upper()
            return operand

        def having(type_, operator, operand):
            return [
                ('type', '=', type_), ('code_compact', operator, operand)]

        _, operator, operand, *_ = clause
        operator, negative = positive(operator)
        where = 'not where' if negative else 'where'
        if isinstance(operand, (list, tuple)):
            domains = [
                cls.search_identifier(name, (name, '=', value))
                for value in operand]
            if not negative:
                return ['OR', *domains] if domains else [('id', '=', -1)]
            return ['AND', *(
                    cls.search_identifier(name, (name, '!=', value))
                    for value in operand)]
        operand = compact(operand)
        if operand is None:
            types = ['fr_' + name]
            if name == 'siren':
                types.append('fr_siret')
            return [('identifiers', 'where' if negative else 'not where', [
                        ('type', 'in', types)])]
        domain = having('fr_' + name, operator, operand)
        if name == 'siren' and operator in {'=', 'like', 'ilike'}:
            seat = operand if operand.endswith('%') else operand + '%'
            like = 'ilike' if operator == 'ilike' else 'like'
            domain = ['OR', domain, having('fr_siret', like, seat)]
        return [('identifiers', where, domain)]

    @classmethod
    def get_area(cls, parties, names):
        fields_ = {'area_territory': 'territory', 'epci': 'epci'}
        result = {name: {} for name in names}
        for party in parties:
            for name in names:
                area = (
                    getattr(party.commune, fields_[name])
                    if party.commune else None)
                result[name][party.id] = area.id if area else None
        return result

    @classmethod
    def search_area(cls, name, clause):
        nested = clause[0][len(name):]
        field = {'area_territory': 'territory'}.get(name, name)
        return [('commune.' + field + nested, *clause[1:])]

    @classmethod
    def get_bank_account_verified(cls, parties, name):
        accounts = cls.get_payable_accounts(parties)
        return {p.id: bool(accounts[p]) for p in parties}

    @classmethod
    def search_bank_account_verified(cls, name, clause):
        Link = Pool().get('bank.account-party.party')
        verified = Link.verified_query()
        query = verified.select(verified.owner)
        return search_flag(
            clause, [('id', 'in', query)], [('id', 'not in', query)])

    @classmethod
    def validate_fields(cls, parties, field_names):
        super().validate_fields(parties, field_names)
        cls.check_republican_commitment(parties, field_names)
        cls.check_siren(parties, field_names)
        if field_names is None or 'active' in field_names:
            cls._check_siret_unique(parties)

    @classmethod
    def check_republican_commitment(cls, parties, field_names=None):
        "Refuse a date in the future (L08)."
        if field_names and 'republican_commitment_on' not in field_names:
            return
        today = Pool().get('ir.date').today()
        for party in parties:
            date = party.republican_commitment_on
            if date and date > today:
                raise PeriodError(gettext(
                        'pacte_grants.msg_republican_commitment_future',
                        party=party.rec_name,
                        date=date.strftime('%d/%m/%Y')))

    @classmethod
    def check_siren(cls, parties, field_names=None):
        "Refuse a SIRET that does not begin with the SIREN."
        if field_names and not field_names & {
                'siren', 'siret', 'identifiers'}:
            return
        for party in parties:
            codes = defaultdict(list)
            for identifier in party.identifiers:
                codes[identifier.type].append(identifier.code_compact)
            for siren in codes['fr_siren']:
                for siret in codes['fr_siret']:
                    if not siret.startswith(siren):
                        raise IdentifierError(gettext(
                                'pacte_grants.msg_siren_siret',
                                party=party.rec_name,
                                siren=siren, siret=siret))

    @classmethod
    def _check_siret_unique(cls, parties):
        Identifier = Pool().get('party.identifier')
        Identifier.check_siret_unique([
                i for p in parties if p.active for i in p.identifiers])

    @classmethod
    def get_payable_accounts(cls, parties):
        """Return the bank account to which each party may be paid.

        ``parties`` are ``party.party`` records.  The result maps each of
        them to its ``bank.account-party.party`` record whose account is
        active and verified (the first in the order of the accounts), or to
        None.  The number of queries does not depend on that of parties.
        """
        Link = Pool().get('bank.account-party.party')
        first = {}
        for sub_parties in grouped_slice(parties, SLICE):
            links = Link.search([
                    ('owner', 'in', [p.id for p in sub_parties]),
                    ('verified_by', '!=', None),
                    ],
                order=[
                    ('account.owners_sequence', 'ASC NULLS FIRST'),
                    ('account.id', 'ASC'),
                    ('id', 'ASC'),
                    ])
            verified = Link.get_verified(links, 'verified')
            for link in links:
                if verified[link.id]:
                    first.setdefault(link.owner.id, link)
        return {p: first.get(p.id) for p in parties}

    @classmethod
    def copy(cls, parties, default=None):
        default = {} if default is None else default.copy()
        for name in ['identifiers', 'partner_pieces', 'bank_account_links']:
            default.setdefault(name, None)
        default.setdefault('republican_commitment_on', None)
        return super().copy(parties, default=default)


class Identifier(metaclass=PoolMeta):
    __name__ = 'party.identifier'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        # The SIRET of the seat belongs to the partner, with or without an
        # address; those of its establishments have theirs.
        cls.address.states['required'] = (
            Eval('type_address', False) & (Eval('type') != 'fr_siret'))
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t,
                    (t.type, Index.Equality(cardinality='low')),
                    (t.code_compact, Index.Equality(cardinality='high'))),
                Index(t, (t.party, Index.Range())),
                })

    @fields.depends('type', 'code')
    def on_change_with_code(self):
        if self.type in numbers.TYPES and self.code:
            return numbers.format(self.type, self.code)
        return super().on_change_with_code()

    @fields.depends('type', 'party', 'code', '_parent_party.rec_name')
    def check_code(self):
        """Raise ``IdentifierError`` with a message that says what is wrong
        if the number is a SIREN, SIRET, RNA or UAI that is not valid."""
        if self.type not in numbers.TYPES:
            super().check_code()
            return
        try:
            numbers.validate(self.type, self.code)
        except NumberError as exception:
            message, variables = self._code_message(exception)
            party = self.party.rec_name if (
                self.party and self.party.id and self.party.id > 0) else None
            raise IdentifierError(gettext(
                    message,
                    type=self.type[len('fr_'):].upper(),
                    code=self.code,
                    party=party or gettext(
                        'pacte_grants.msg_identifier_new_party'),
                    **variables)) from exception

    def _code_message(self, exception):
        if isinstance(exception, numbers.ScientificNotation):
            return 'pacte_grants.msg_identifier_scientific', {}
        compact = numbers.compact(self.type, self.code)
        if self.type == 'fr_siret' and compact.startswith('356000000'):
            if isinstance(exception, InvalidChecksum):
                return 'pacte_grants.msg_identifier_la_poste', {}
        if isinstance(exception, InvalidLength):
            return 'pacte_grants.msg_identifier_length', {
                'length': {
                    'fr_siren': 9, 'fr_siret': 14, 'fr_rna': 10,
                    'fr_uai': 8}[self.type],
                'found': len(compact),
                }
        elif isinstance(exception, InvalidFormat):
            return {
                'fr_rna': 'pacte_grants.msg_identifier_rna',
                'fr_uai': 'pacte_grants.msg_identifier_uai',
                }.get(self.type, 'pacte_grants.msg_identifier_digits'), {}
        return 'pacte_grants.msg_identifier_key', {}

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create' and values.get('type') in numbers.TYPES:
            type_, code = values['type'], values.get('code')
            if code:
                values['code'] = numbers.format(type_, code)
                values['code_compact'] = numbers.compact(type_, code)
        return values

    def compute_fields(self, field_names=None):
        values = super().compute_fields(field_names=field_names)
        if ((field_names is None or {'type', 'code'} & field_names)
                and self.type in numbers.TYPES and self.code):
            for name, value in [
                    ('code', numbers.format(self.type, self.code)),
                    ('code_compact', numbers.compact(self.type, self.code)),
                    ]:
                if getattr(self, name) != value:
                    values[name] = value
                else:
                    values.pop(name, None)
        return values

    @classmethod
    def validate_fields(cls, identifiers, field_names):
        pool = Pool()
        Party = pool.get('party.party')
        super().validate_fields(identifiers, field_names)
        if field_names and not field_names & {
                'type', 'code', 'code_compact', 'party', 'active'}:
            return
        cls.check_siret_unique(identifiers)
        if not Transaction().context.get(_TOGETHER):
            Party.check_siren(
                Party.browse(sorted({i.party.id for i in identifiers})))

    @classmethod
    def check_siret_unique(cls, identifiers):
        """Raise ``IdentifierError`` if an active party other than their own
        has the SIRET of one of the identifiers."""
        codes = {
            numbers.compact(i.type, i.code): i for i in identifiers
            if i.type == 'fr_siret' and i.active and i.party.active}
        for sub_codes in grouped_slice(list(codes), SLICE):
            others = cls.search([
                    ('type', '=', 'fr_siret'),
                    ('code_compact', 'in', list(sub_codes)),
                    ('active', '=', True),
                    ('party.active', '=', True),
                    ])
            for other in others:
                identifier = codes[other.code_compact]
                if other.party != identifier.party:
                    raise IdentifierError(gettext(
                            'pacte_grants.msg_siret_unique',
                            siret=numbers.format(
                                'fr_siret', identifier.code),
                            party=identifier.party.rec_name,
                            other=other.party.rec_name))


class PartnerPiece(ModelSQL, ModelView):
    __name__ = 'grant.partner.piece'
    __string__ = "Permanent Piece"

    party = fields.Many2One(
        'party.party', "Partner", required=True, ondelete='RESTRICT')
    kind = fields.Selection([
            ('statutes', "Statutes"),
            ('board', "Board List"),
            ('bank_details', "Bank Details"),
            ('accounts', "Annual Accounts"),
            ('activity_report', "Activity Report"),
            ('auditor_report', "Auditor Report"),
            ('signatory_power', "Power to Sign"),
            ('republican_commitment', "Republican Commitment Contract"),
            ('other', "Other"),
            ], "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    description = fields.Char("Description")
    received_on = fields.Date("Received On", required=True)
    valid_until = fields.Date("Valid Until")
    document = fields.Binary(
        "Document", filename='document_name', file_id=file_id,
        store_prefix=store_prefix)
    document_id = fields.Char("Document ID", readonly=True)
    document_name = fields.Char("File Name")
    expired = fields.Function(
        fields.Boolean("Expired"), 'get_expired', searcher='search_expired')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t,
                    (t.party, Index.Range()),
                    (t.kind, Index.Equality(cardinality='low')),
                    (t.received_on, Index.Range(order='DESC'))),
                Index(t, (t.valid_until, Index.Range())),
                })
        cls._order = [('received_on', 'DESC'), ('id', 'DESC')]

    @classmethod
    def default_received_on(cls):
        return Pool().get('ir.date').today()

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('expired', False), 'muted', ''), ['expired']),
            ]

    @classmethod
    def get_expired(cls, pieces, name):
        today = Pool().get('ir.date').today()
        return {
            p.id: bool(p.valid_until and p.valid_until < today)
            for p in pieces}

    @classmethod
    def search_expired(cls, name, clause):
        today = Pool().get('ir.date').today()
        return search_flag(
            clause, [('valid_until', '<', today)],
            ['OR', ('valid_until', '=', None), ('valid_until', '>=', today)])

    def get_rec_name(self, name):
        label = self.description or self.kind_string
        return '%s (%s)' % (label, self.received_on.strftime('%d/%m/%Y'))

    @classmethod
    def search_rec_name(cls, name, clause):
        bool_op = 'AND' if positive(clause[1])[1] else 'OR'
        return [bool_op,
            ('description', *clause[1:]),
            ('party.rec_name', *clause[1:]),
            ]

    @classmethod
    def validate_fields(cls, pieces, field_names):
        super().validate_fields(pieces, field_names)
        if field_names and not field_names & {'received_on', 'valid_until'}:
            return
        today = Pool().get('ir.date').today()
        for piece in pieces:
            if piece.received_on > today:
                raise PeriodError(gettext(
                        'pacte_grants.msg_piece_received_future',
                        piece=piece.rec_name))


class Account(metaclass=PoolMeta):
    __name__ = 'bank.account'

    def get_rec_name(self, name):
        name = super().get_rec_name(name)
        if not sees_bank_numbers():
            for number in self.numbers:
                if number.number:
                    name = name.replace(number.number, mask(number.number))
        return name


class AccountNumber(GuardMixin, metaclass=PoolMeta):
    __name__ = 'bank.account.number'

    changed_by = fields.Many2One(
        'res.user', "Entered By", readonly=True, ondelete='RESTRICT',
        help="Who entered or last changed the number.")
    changed_on = fields.DateTime("Entered On", readonly=True)
    digest = fields.Char("Digest", readonly=True)

    @classmethod
    def __setup__(cls):
        cls.digest.search_unaccented = False
        super().__setup__()

    @classmethod
    def __register__(cls, module):
        cursor = Transaction().connection.cursor()
        super().__register__(module)
        if module != 'pacte_grants':
            return
        # The numbers that were there before the module
        t = cls.__table__()
        cursor.execute(*t.select(t.id, t.number, where=t.digest == Null))
        for id_, number in cursor.fetchall():
            cursor.execute(*t.update(
                    [t.digest], [fingerprint(number)], where=t.id == id_))

    def get_rec_name(self, name):
        if sees_bank_numbers():
            return self.number
        return mask(self.number)

    @classmethod
    def search_rec_name(cls, name, clause):
        if sees_bank_numbers() or not Transaction().user:
            return [('number', *clause[1:])]
        return [] if positive(clause[1])[1] else [('id', '=', -1)]

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create' or values.keys() & {
                'number', 'type', 'active', 'account'}:
            values['changed_by'] = Transaction().user or None
            values['changed_on'] = now()
        if 'number' in values:
            values['digest'] = fingerprint(values['number'])
        return values


class AccountParty(GuardMixin, ModelView, metaclass=PoolMeta):
    __name__ = 'bank.account-party.party'
    __string__ = "Bank Account of a Partner"

    iban = fields.Function(
        fields.Char(
            "IBAN",
            states={
                'required': Eval('id', -1) < 0,
                'readonly': Bool(Eval('verified_by')),
                },
            depends=['verified_by'],
            help="Type the whole number to enter or correct it; once saved, "
            "its last four characters only are shown."),
        'get_iban', setter='set_iban')
    masked_number = fields.Function(
        fields.Char("Number"), 'get_masked_number')
    holder = fields.Char(
        "Holder", help="The name of the holder as it is on the bank details.")
    public_accountant = fields.Boolean(
        "Account of the Public Accountant",
        help="The account is that of a public accountant, which several "
        "public bodies share.")
    shared_with = fields.Function(
        fields.Char(
            "Shared With",
            help="The other partners that have the same account."),
        'get_shared_with')
    entered_by = fields.Many2One(
        'res.user', "Entered By", readonly=True, ondelete='RESTRICT')
    entered_on = fields.DateTime("Entered On", readonly=True)
    number_changed_by = fields.Function(
        fields.Many2One(
            'res.user', "Number Entered By",
            help="Who entered or last changed the number."),
        'get_number_changed_by')
    verified_by = fields.Many2One(
        'res.user', "Verified By", readonly=True, ondelete='RESTRICT')
    verified_on = fields.DateTime("Verified On", readonly=True)
    fingerprint = fields.Char(
        "Fingerprint", readonly=True,
        help="The SHA-256 of the number when it was verified.")
    verified = fields.Function(
        fields.Boolean(
            "Verified",
            help="Somebody has verified the account, and its number has not "
            "changed since."),
        'get_verified', searcher='search_verified')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        for field in [cls.account, cls.owner]:
            field.ondelete = 'RESTRICT'
            field.states['readonly'] = Eval('id', -1) >= 0
        cls.fingerprint.search_unaccented = False
        t = cls.__table__()
        cls._sql_indexes.update({
                Index(t, (t.owner, Index.Range())),
                Index(t, (t.account, Index.Range())),
                })
        cls._buttons.update({
                'verify': {
                    'invisible': Eval('verified', False),
                    'depends': ['verified'],
                    },
                'unverify': {
                    'invisible': ~Eval('verified_by'),
                    'depends': ['verified_by'],
                    },
                })

    @classmethod
    def default_entered_by(cls):
        return Transaction().user or None

    @classmethod
    def default_public_accountant(cls):
        return False

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('verified', False), 'success', 'warning'),
                ['verified']),
            ]

    @fields.depends('iban', 'owner')
    def on_change_notify(self):
        notifications = super().on_change_notify()
        if self.iban:
            others = self._other_owners(self.iban)
            if others:
                notifications.append(('warning', gettext(
                            'pacte_grants.msg_bank_account_shared',
                            parties=', '.join(others))))
        return notifications

    def _other_owners(self, number):
        Link = Pool().get('bank.account-party.party')
        links = Link.search([
                ('account.numbers', 'where', [
                        ('digest', '=', fingerprint(number))]),
                ('public_accountant', '=', False),
                ('owner', '!=', self.owner.id if self.owner else -1),
                ])
        return sorted({link.owner.rec_name for link in links})

    @classmethod
    def get_iban(cls, links, name):
        return {link.id: None for link in links}

    @classmethod
    def set_iban(cls, links, name, value):
        """Replace the number of accounts that have not been verified.

        An account with other owners is left as it is, and the link goes to
        another account.  Raise ``FrozenError`` for a verified account.
        """
        if not value:
            return
        pool = Pool()
        AccountNumber = pool.get('bank.account.number')
        ibans = cls.ibans(links)
        for link in links:
            if link.verified_by:
                raise FrozenError(gettext(
                        'pacte_grants.msg_bank_account_verified_number',
                        account=link.rec_name))
            iban = ibans.get(link.id)
            if iban and fingerprint(iban.number) == fingerprint(value):
                continue
            known = cls._search_account(value)
            if known or not iban or len(link.account.owners) > 1:
                cls.write([link], {
                        'account': known or cls._create_account(value)})
            else:
                AccountNumber.write(
                    [AccountNumber(iban.id)], {'number': value})

    @classmethod
    def get_masked_number(cls, links, name):
        ibans = cls.ibans(links)
        return {
            link.id: mask(ibans[link.id].number) if link.id in ibans else None
            for link in links}

    @classmethod
    def get_shared_with(cls, links, name):
        owners = defaultdict(set)
        for sub_links in grouped_slice(links, SLICE):
            accounts = [link.account.id for link in sub_links]
            for other in cls.search([('account', 'in', accounts)]):
                owners[other.account].add(other.owner)
        result = {}
        for link in links:
            others = owners[link.account] - {link.owner}
            if link.public_accountant:
                others = set()
            result[link.id] = ', '.join(
                sorted(o.rec_name for o in others)) or None
        return result

    @classmethod
    def get_number_changed_by(cls, links, name):
        ibans = cls.ibans(links)
        return {
            link.id: ibans[link.id].changed_by if link.id in ibans else None
            for link in links}

    @classmethod
    def get_verified(cls, links, name):
        ibans = cls.ibans(links)
        result = {}
        for link in links:
            iban = ibans.get(link.id)
            result[link.id] = bool(
                link.verified_by and iban and iban.active
                and link.fingerprint == fingerprint(iban.number))
        return result

    @classmethod
    def search_verified(cls, name, clause):
        verified = cls.verified_query()
        query = verified.select(verified.link)
        return search_flag(
            clause, [('id', 'in', query)], [('id', 'not in', query)])

    def get_rec_name(self, name):
        return '%s, %s' % (self.owner.rec_name, self.masked_number)

    @classmethod
    def search_rec_name(cls, name, clause):
        bool_op = 'AND' if positive(clause[1])[1] else 'OR'
        return [bool_op,
            ('owner.rec_name', *clause[1:]),
            ('account.rec_name', *clause[1:]),
            ]

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create':
            number = values.pop('iban', None)
            if number and not values.get('account'):
                values['account'] = cls._account_of(
                    number, values.get('owner'))
        if mode == 'create' or values.keys() & {'account', 'owner'}:
            values.update(cls._unverified())
            values['entered_by'] = Transaction().user or None
            values['entered_on'] = now()
        return values

    @classmethod
    def _unverified(cls):
        return {
            'verified_by': None, 'verified_on': None, 'fingerprint': None}

    @classmethod
    def _account_of(cls, number, owner):
        account = cls._search_account(number)
        if not account:
            return cls._create_account(number)
        if cls.search([
                    ('account', '=', account), ('owner', '=', owner)],
                limit=1):
            raise AccessError(gettext(
                    'pacte_grants.msg_bank_account_known',
                    account=mask(number)))
        return account

    @classmethod
    def _search_account(cls, number):
        AccountNumber = Pool().get('bank.account.number')
        found = AccountNumber.search([
                ('type', '=', 'iban'),
                ('digest', '=', fingerprint(number)),
                ('account.active', '=', True),
                ], limit=1)
        return found[0].account.id if found else None

    @classmethod
    def _create_account(cls, number):
        Account = Pool().get('bank.account')
        account, = Account.create([{
                    'numbers': [
                        ('create', [{'type': 'iban', 'number': number}])],
                    }])
        return account.id

    @classmethod
    def check_modification(cls, mode, links, values=None, external=False):
        super().check_modification(
            mode, links, values=values, external=external)
        if mode == 'delete':
            for link in links:
                if link.verified_by:
                    raise AccessError(gettext(
                            'pacte_grants.msg_bank_account_delete',
                            account=link.rec_name))

    @classmethod
    def on_modification(cls, mode, links, field_names=None):
        super().on_modification(mode, links, field_names=field_names)
        if mode == 'write' and 'owner' in (field_names or set()):
            # Parties that are merged change the owner in SQL
            verified = [link for link in links if link.verified_by]
            if verified:
                cls.write(verified, cls._unverified())

    @classmethod
    @ModelView.button
    def verify(cls, links):
        """Attest that the numbers are those of the holders.

        Raise ``DutyError`` for who entered the account or last changed its
        number, on behalf of whomever (invariant 5), and
        ``CompletenessError`` without an IBAN.
        """
        user = acting_user(gettext('pacte_grants.msg_act_verify_account'))
        ibans = cls.ibans(links)
        User = Pool().get('res.user')
        for link in links:
            iban = ibans.get(link.id)
            if not iban:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_bank_account_no_iban',
                        account=link.rec_name))
            authors = {iban.changed_by}
            if link.entered_by:
                authors.add(link.entered_by.id)
            authors.discard(None)
            if any(user.is_same_person(u) for u in User.browse(authors)):
                raise DutyError(gettext(
                        'pacte_grants.msg_bank_account_verifier',
                        account=link.rec_name, user=user.rec_name))
        time = now()
        for link in links:
            link.verified_by = user
            link.verified_on = time
            link.fingerprint = fingerprint(ibans[link.id].number)
        cls.save(links)

    @classmethod
    @ModelView.button
    def unverify(cls, links):
        "Withdraw the verification, for instance when a doubt arises."
        acting_user(gettext('pacte_grants.msg_act_verify_account'))
        cls.write(links, cls._unverified())

    @classmethod
    def ibans(cls, links):
        """Return by id of link the IBAN of its account, if it has one: a
        tuple with ``id``, ``number``, ``changed_by`` (the id of the user)
        and ``active`` (of the account).  In clear: never for a client."""
        pool = Pool()
        cursor = Transaction().connection.cursor()
        ibans = {}
        for sub_links in grouped_slice(links, SLICE):
            link = cls.__table__()
            account = pool.get('bank.account').__table__()
            number = pool.get('bank.account.number').__table__()
            cursor.execute(*link
                .join(account, condition=link.account == account.id)
                .join(number, condition=number.account == account.id)
                .select(
                    link.id, number.id, number.number, number.changed_by,
                    account.active,
                    where=link.id.in_([l.id for l in sub_links])
                    & (number.type == 'iban')
                    & (number.active == Literal(True))))
            for id_, *iban in cursor:
                ibans[id_] = Iban(*iban)
        return ibans

    @classmethod
    def verified_query(cls):
        """Return the SQL query of the verified links, with the columns
        ``link`` and ``owner``."""
        pool = Pool()
        link = cls.__table__()
        account = pool.get('bank.account').__table__()
        number = pool.get('bank.account.number').__table__()
        return (link
            .join(account, condition=link.account == account.id)
            .join(number, condition=number.account == account.id)
            .select(
                link.id.as_('link'), link.owner.as_('owner'),
                where=(link.verified_by != Null)
                & (account.active == Literal(True))
                & (number.active == Literal(True))
                & (number.type == 'iban')
                & (number.digest == link.fingerprint)))


class Replace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('grant.partner.piece', 'party'),
            ]

    def check_similarity(self):
        """Raise ``IdentifierError`` for two different legal persons: the
        grants of one never become those of the other."""
        source, destination = self.ask.source, self.ask.destination
        for name in ['siren', 'partner_kind']:
            value = getattr(source, name)
            if value and value != getattr(destination, name):
                raise IdentifierError(gettext(
                        'pacte_grants.msg_party_replace_other',
                        source=source.rec_name,
                        destination=destination.rec_name,
                        **source.__names__(field=name)))
        super().check_similarity()


class Erase(metaclass=PoolMeta):
    __name__ = 'party.erase'

    def to_erase(self, party_id):
        pool = Pool()
        Party = pool.get('party.party')
        Piece = pool.get('grant.partner.piece')
        Link = pool.get('bank.account-party.party')
        documents = ['document']
        if file_id:
            documents.append(file_id)
        return super().to_erase(party_id) + [
            (Party, [('id', '=', party_id)], True,
                ['acronym', 'representative_name',
                    'representative_capacity', 'representative_since'],
                [None] * 4),
            (Piece, [('party', '=', party_id)], True,
                ['description', 'document_name', *documents],
                [None] * (2 + len(documents))),
            (Link, [('owner', '=', party_id)], True,
                ['holder'], [None]),
            ]
