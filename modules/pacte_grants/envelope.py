# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Envelopes, their dated movements and the commitments on them."
from collections import defaultdict
from decimal import Decimal

from sql.aggregate import Sum

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval, If
from trytond.tools import grouped_slice, reduce_ids

from .check import AmountMixin, money, year_domain
from .configuration import NumberedMixin
from .exceptions import CeilingError
from .mixin import ClaimMixin, GuardMixin, WorkflowMixin, transition
from .scheme import CompanyMixin
from .sums import SLICE, read_sums

# The kinds of envelopes whose commitments stay when the year ends.
MULTI_YEAR = ['AE', 'AP']


class Envelope(ClaimMixin, GuardMixin, CompanyMixin, ModelSQL, ModelView):
    __name__ = 'grant.envelope'

    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)
    kind = fields.Selection([
            ('AE', "Commitment Authorisation (AE)"),
            ('AP', "Programme Authorisation (AP)"),
            ('annual', "Annual Credit"),
            ], "Kind", required=True, sort=False)
    year = fields.Integer(
        "Year", required=True, domain=year_domain('year'))
    service = fields.Many2One(
        'grant.service', "Service", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))])
    movements = fields.One2Many(
        'grant.envelope.movement', 'envelope', "Movements")
    commitments = fields.One2Many(
        'grant.commitment', 'envelope', "Commitments", readonly=True)
    authorised = fields.Function(Monetary(
            "Authorised", currency='currency', digits='currency',
            help="Sum of the movements."), 'get_amounts')
    payment_credit = fields.Function(Monetary(
            "Payment Credits", currency='currency', digits='currency',
            help="Payment credits of the year of the envelope."),
        'get_amounts')
    reserved = fields.Function(Monetary(
            "Reserved", currency='currency', digits='currency',
            help="Proposals on the agenda of a session."), 'get_amounts')
    committed = fields.Function(Monetary(
            "Committed", currency='currency', digits='currency',
            help="Voted grants."), 'get_amounts')
    available = fields.Function(Monetary(
            "Available", currency='currency', digits='currency'),
        'get_amounts')
    use = fields.Function(fields.Float(
            "Use", digits=(None, 3), help="Share reserved or committed."),
        'get_amounts')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'company_code_year_unique',
                Unique(table, table.company, table.code, table.year),
                'pacte_grants.msg_envelope_code_unique'))
        cls._order = [
            ('year', 'DESC'), ('code', 'ASC'), ('id', 'ASC')]

    @classmethod
    def default_kind(cls):
        return 'annual'

    @classmethod
    def default_year(cls):
        return Pool().get('ir.date').today().year

    def get_rec_name(self, name):
        return f'[{self.code} {self.year}] {self.name}'

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op, ('code', *clause[1:]), ('name', *clause[1:])]

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree/field[@name="available"]', 'visual',
                If(Eval('available', 0) < 0, 'danger',
                    If(Eval('use', 0) > 0.95, 'warning', ''))),
            ]

    @classmethod
    def get_amounts(cls, envelopes, names):
        sums = cls._sums([e.id for e in envelopes])
        result = {name: {} for name in names}
        for envelope in envelopes:
            row = sums[envelope.id]
            row['available'] = (
                row['authorised'] - row['reserved'] - row['committed'])
            row['use'] = round(float(
                    (row['reserved'] + row['committed']) / row['authorised']
                    if row['authorised'] else 0), 3)
            for name in names:
                value = row[name]
                if name != 'use' and envelope.currency:
                    value = envelope.currency.round(value)
                result[name][envelope.id] = value
        return result

    @classmethod
    def _sums(cls, ids):
        """Return, by envelope id, the sums (euros) of its movements and of
        its commitments by state: two queries whatever the number."""
        pool = Pool()
        movement = pool.get('grant.envelope.movement').__table__()
        commitment = pool.get('grant.commitment').__table__()
        envelope = cls.__table__()
        sums = defaultdict(lambda: {
                'authorised': Decimal(0), 'payment_credit': Decimal(0),
                'reserved': Decimal(0), 'committed': Decimal(0)})
        for sub_ids in grouped_slice(ids, SLICE):
            sub_ids = list(sub_ids)
            query = movement.join(
                envelope, condition=movement.envelope == envelope.id
                ).select(
                movement.envelope,
                Sum(movement.amount),
                Sum(movement.payment_credit, filter_=(
                            movement.payment_year == envelope.year)),
                where=reduce_ids(movement.envelope, sub_ids),
                group_by=[movement.envelope])
            for id_, authorised, credit in read_sums(query):
                sums[id_]['authorised'] = Decimal(authorised)
                sums[id_]['payment_credit'] = Decimal(credit)
            query = commitment.select(
                commitment.envelope, commitment.state,
                Sum(commitment.amount),
                where=reduce_ids(commitment.envelope, sub_ids)
                & commitment.state.in_(['reserved', 'committed']),
                group_by=[commitment.envelope, commitment.state])
            for id_, state, amount in read_sums(query, keys=2):
                sums[id_][state] = Decimal(amount)
        return sums

    @classmethod
    def check_ceiling(cls, envelopes):
        """Claim the envelopes and raise ``CeilingError`` if what is reserved
        and committed on one exceeds what it authorises (invariant 2)."""
        for envelope in cls.claim(list(envelopes)):
            if envelope.available < 0:
                raise CeilingError(gettext(
                        'pacte_grants.msg_envelope_exceeded',
                        envelope=envelope.rec_name,
                        authorised=money(envelope.authorised),
                        excess=money(-envelope.available)))

    @classmethod
    def check_movements(cls, envelopes):
        "Raise ``CeilingError`` if what was already used is no longer covered."
        cls.check_ceiling(envelopes)

    @classmethod
    def on_modification(cls, mode, envelopes, field_names=None):
        super().on_modification(mode, envelopes, field_names=field_names)
        if mode == 'write' and 'year' in field_names:
            # The year says which payment credits count.
            cls.check_movements(envelopes)

    @classmethod
    def can_take(cls, envelope, amount):
        "Claim the envelope and return whether the amount (euros) is left."
        envelope, = cls.claim([envelope])
        return envelope.available >= amount


class Movement(CompanyMixin, ModelSQL, ModelView):
    __name__ = 'grant.envelope.movement'

    envelope = fields.Many2One(
        'grant.envelope', "Envelope", required=True, ondelete='RESTRICT')
    company = fields.Function(fields.Many2One(
            'company.company', "Company", required=True),
        'on_change_with_company')
    date = fields.Date("Date", required=True)
    kind = fields.Selection([
            ('initial', "Initial Budget"),
            ('supplementary', "Supplementary Budget"),
            ('transfer', "Transfer"),
            ('carry_over', "Carry-over"),
            ('provisional', "Provisional Opening"),
            ], "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True,
        help="Change of the authorisation; negative for a reduction.")
    payment_year = fields.Integer(
        "Payment Year", required=True, domain=year_domain('payment_year'))
    payment_credit = Monetary(
        "Payment Credits", currency='currency', digits='currency',
        required=True, help="Change of the payment credits of that year.")
    reference = fields.Char(
        "Act", help="The act that decides the movement.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('envelope')
        cls._sql_indexes.add(
            Index(table, (table.envelope, Index.Equality())))
        cls._order = [('date', 'ASC'), ('id', 'ASC')]

    def get_rec_name(self, name):
        return (
            f'{self.envelope.rec_name} – {self.kind_string} '
            f"{self.date.strftime('%d/%m/%Y')}")

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('envelope.rec_name', *clause[1:])]

    @fields.depends('envelope', '_parent_envelope.company')
    def on_change_with_company(self, name=None):
        return self.envelope.company if self.envelope else None

    @classmethod
    def default_date(cls):
        return Pool().get('ir.date').today()

    @classmethod
    def default_payment_credit(cls):
        return Decimal(0)

    @fields.depends('envelope', '_parent_envelope.year', 'payment_year')
    def on_change_envelope(self):
        if self.envelope and not self.payment_year:
            self.payment_year = self.envelope.year

    @fields.depends('amount', 'payment_credit')
    def on_change_amount(self):
        if not self.payment_credit:
            self.payment_credit = self.amount

    @classmethod
    def on_modification(cls, mode, movements, field_names=None):
        super().on_modification(mode, movements, field_names=field_names)
        if mode != 'delete':
            Envelope = Pool().get('grant.envelope')
            Envelope.check_movements({m.envelope for m in movements})

    @classmethod
    def on_write(cls, movements, values):
        callback = super().on_write(movements, values)
        if 'envelope' in values:
            # What leaves an envelope must not be spent there.
            cls._check_left(movements, callback)
        return callback

    @classmethod
    def on_delete(cls, movements):
        callback = super().on_delete(movements)
        cls._check_left(movements, callback)
        return callback

    @classmethod
    def _check_left(cls, movements, callback):
        Envelope = Pool().get('grant.envelope')
        envelopes = {m.envelope for m in movements}
        callback.append(lambda: Envelope.check_movements(envelopes))


class Commitment(
        AmountMixin, WorkflowMixin, NumberedMixin, CompanyMixin,
        ModelSQL, ModelView):
    """What a proposal reserves and a vote commits on an envelope.

    Created and moved by decisions only; finance gives its number.
    """
    __name__ = 'grant.commitment'
    _rec_name = 'number'
    _numbering = 'commitment'
    _amounts = ('amount',)
    _server_fields = frozenset({
            'number', 'envelope', 'party', 'year', 'amount', 'company'})
    _frozen = {'released': frozenset()}

    envelope = fields.Many2One(
        'grant.envelope', "Envelope", required=True, readonly=True,
        ondelete='RESTRICT')
    party = fields.Many2One(
        'party.party', "Partner", required=True, readonly=True,
        ondelete='RESTRICT',
        context={'company': Eval('company', -1)}, depends={'company'})
    year = fields.Integer("Year", required=True, readonly=True)
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True,
        readonly=True)
    finance_number = fields.Char(
        "Finance Number",
        states={'readonly': Eval('state') != 'committed'},
        help="The number of the commitment in the finance package.")
    state = fields.Selection([
            ('reserved', "Reserved"),
            ('committed', "Committed"),
            ('released', "Released"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._transitions = {
            ('reserved', 'committed'),
            ('reserved', 'released'),
            ('committed', 'reserved'),
            ('committed', 'released'),
            ('released', 'committed'),
            }
        cls._sql_indexes.update({
                Index(table,
                    (table.envelope, Index.Equality()),
                    (table.state, Index.Equality(cardinality='low'))),
                Index(table, (table.party, Index.Equality())),
                })
        cls._order = [('id', 'DESC')]

    @classmethod
    def default_state(cls):
        return 'reserved'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'released', 'muted',
                    If((Eval('state') == 'committed')
                        & ~Bool(Eval('finance_number')), 'warning', ''))),
            ]

    @classmethod
    def on_modification(cls, mode, commitments, field_names=None):
        super().on_modification(mode, commitments, field_names=field_names)
        if mode == 'create' or (
                mode == 'write'
                and field_names & {'amount', 'state', 'envelope'}):
            Envelope = Pool().get('grant.envelope')
            Envelope.check_ceiling({
                    c.envelope for c in commitments
                    if c.state != 'released'})

    @classmethod
    def with_carried(cls, commitments):
        """Return the commitments, each followed by what of it goes on in
        later exercises and is committed."""
        return list(commitments)

    @classmethod
    @transition('committed')
    def commit(cls, commitments):
        "Commit what was reserved: the vote."

    @classmethod
    @transition('reserved')
    def uncommit(cls, commitments):
        "Go back to reserved: a vote recorded by mistake."

    @classmethod
    @transition('released')
    def release(cls, commitments):
        "Give the amount back to the envelope."


class Call(metaclass=PoolMeta):
    __name__ = 'grant.call'

    envelope = fields.Many2One(
        'grant.envelope', "Envelope", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))],
        help="The envelope that the grants of the call come from.")


class PartyReplace(metaclass=PoolMeta):
    __name__ = 'party.replace'

    @classmethod
    def fields_to_replace(cls):
        return super().fields_to_replace() + [
            ('grant.commitment', 'party'),
            ]
