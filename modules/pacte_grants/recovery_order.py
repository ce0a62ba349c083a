# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Recovery orders: what the finance package reads to issue them.

The recoveries that are decided go together into a batch, transmitted once
with a file that is sealed as that of the payments is.  A recovery has one
line for each imputation of the payments that it takes back, the last paid
first, so that the package finds the payment orders that it undoes, or the
account of earlier exercises.
"""
from collections import defaultdict
from decimal import Decimal

from sql import Null
from sql.operators import Exists

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.transaction import without_check_access

from .batch_file import (
    LABEL_LENGTH, FileBatchMixin, FileLineMixin, clean, make_file, write_day)
from .check import money
from .document import _address_lines
from .exceptions import AmountError, CompletenessError, FrozenError
from .mixin import (
    WorkflowMixin, acting_user, comes_from_outside, transition)
from .scheme import CompanyMixin
from .sums import split

COLUMNS = [
    'batch_id', 'line_no', 'exercise', 'budget_code', 'tiers_code_finance',
    'siret', 'tiers_name', 'tiers_address', 'amount', 'section', 'chapter',
    'nature', 'function', 'operation', 'label', 'origin_exercise',
    'origin_engagement', 'origin_mandat_no', 'origin_bordereau_no',
    'origin_paid_on', 'cause', 'decision_ref', 'decision_date', 'decided_by',
    'convention_ref', 'limitation_on', 'pj_list', 'pj_sha256']
_CAUSES = {
    'overpayment': 'trop-perçu', 'condition': 'engagement non tenu',
    'breach': 'manquement CER', 'termination': 'résiliation',
    'cancelled': 'action annulée', 'no_award': 'avance sans attribution',
    'no_report': 'compte rendu non produit'}
STATUSES = [
    ('received', "Received"),
    ('issued', "Issued"),
    ('rejected', "Rejected"),
    ('recovered', "Recovered"),
    ]


class Numbering(metaclass=PoolMeta):
    __name__ = 'grant.numbering'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        kind = ('recovery_batch', "Batch of Recovery Orders")
        if kind not in cls.kind.selection:
            cls.kind.selection.append(kind)
        cls._prefixes = {**cls._prefixes, 'recovery_batch': 'T{year}-'}


class Batch(
        FileBatchMixin, CompanyMixin, WorkflowMixin, ModelSQL, ModelView):
    "Recovery orders that are asked together of the finance package."
    __name__ = 'grant.recovery.batch'
    _rec_name = 'number'
    _file_field = 'recovery_batch'

    number = fields.Char("Number", required=True, readonly=True)
    amount = fields.Function(Monetary(
            "Amount", currency='currency', digits='currency'), 'get_amount')
    lines = fields.One2Many(
        'grant.recovery.batch.line', 'batch', "Lines", readonly=True)
    state = fields.Selection([
            ('preparation', "In Preparation"),
            ('transmitted', "Transmitted"),
            ('closed', "Closed"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.company.readonly = True
        cls._order = [('id', 'DESC')]
        cls._sql_constraints.append((
                'number_unique', Unique(table, table.company, table.number),
                'pacte_grants.msg_recovery_batch_unique'))
        cls._sql_indexes.add(
            Index(table, (table.state, Index.Equality(cardinality='low'))))
        cls._transitions = {
            ('preparation', 'transmitted'),
            ('transmitted', 'closed'),
            }
        waits = {
            'invisible': Eval('state') != 'preparation', 'depends': ['state']}
        cls._buttons.update({
                'transmit': waits,
                'dissolve': waits,
                'download': {
                    'invisible': Eval('state') == 'preparation',
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return 'preparation'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual', If(Eval('state') == 'closed', 'muted', '')),
            ]

    @classmethod
    def create(cls, vlist):
        "Number the batches by company and exercise."
        pool = Pool()
        Numbering = pool.get('grant.numbering')
        if comes_from_outside():
            raise FrozenError(gettext(
                    'pacte_grants.msg_recovery_batch_create'))
        year = pool.get('ir.date').today().year
        vlist = [
            {'exercise': year, **cls.preparation_values(), **v}
            for v in vlist]
        for values in vlist:
            values['number'], = Numbering.next_numbers(
                'recovery_batch', values['company'], values['exercise'], 1)
        return super().create(vlist)

    @classmethod
    def get_amount(cls, batches, name):
        return {
            b.id: sum((li.amount for li in b.lines), Decimal(0))
            for b in batches}

    # Preparing

    @classmethod
    @without_check_access
    def prepare(cls, recoveries):
        """Put decided recoveries into batches of this exercise, one by
        company.  All or nothing: raise ``CompletenessError`` with what is
        wrong with any of them.  Return the batches.
        """
        Recovery = Pool().get('grant.recovery')
        acting_user(gettext('pacte_grants.msg_act_recovery_batch'))
        cls.check_finance()
        recoveries = Recovery.claim(recoveries)
        problems = cls.check_recoveries(recoveries)
        if problems:
            raise CompletenessError('\n'.join(problems.values()))
        by_company = defaultdict(list)
        for recovery in recoveries:
            by_company[recovery.company].append(recovery)
        batches = cls.create([{'company': c.id} for c in by_company])
        lines, _ = Recovery.plan_orders(recoveries)
        Line = Pool().get('grant.recovery.batch.line')
        for batch, sub in zip(batches, by_company.values(), strict=True):
            rows = [values for r in sub for values in lines[r]]
            Line.create([
                    {'batch': batch.id, 'line_number': number, **values}
                    for number, values in enumerate(rows, 1)])
        return cls.browse([b.id for b in batches])

    @classmethod
    def check_recoveries(cls, recoveries):
        "Return, by recovery, why its order cannot be asked: a sentence."
        problems, ready = {}, []
        for recovery in recoveries:
            names = {'recovery': recovery.rec_name}
            if recovery.state != 'confirmed':
                problems[recovery] = gettext(
                    'pacte_grants.msg_recovery_batch_state', **names,
                    state=recovery.state_label)
            elif recovery.order_number:
                problems[recovery] = gettext(
                    'pacte_grants.msg_recovery_ordered', **names,
                    number=recovery.order_number)
            elif recovery.batch:
                problems[recovery] = gettext(
                    'pacte_grants.msg_recovery_in_batch', **names,
                    batch=recovery.batch.rec_name)
            else:
                try:
                    recovery._check_amount()
                    ready.append(recovery)
                except AmountError as error:
                    problems[recovery] = error.message
        return problems | Pool().get('grant.recovery').plan_orders(ready)[1]

    @classmethod
    @ModelView.button
    @without_check_access
    def dissolve(cls, batches):
        "Give up batches in preparation; their recoveries wait for another."
        batches = cls.claim(batches)
        cls.check_button(batches, 'dissolve')
        Pool().get('grant.recovery.batch.line').delete(
            [li for b in batches for li in b.lines])
        cls.delete(cls.browse([b.id for b in batches]))

    # Transmitting

    @classmethod
    @ModelView.button
    @transition('transmitted')
    def transmit(cls, batches):
        """Transmit the batches, each with its sealed file.

        Raise ``AmountError`` if what is owed is no longer what a recovery
        asks.
        """
        acting_user(gettext('pacte_grants.msg_act_recovery_transmit'))
        cls.check_finance()
        with without_check_access():
            for batch in cls.browse([b.id for b in batches]):
                batch.check_unsealed()
                for recovery in {li.recovery for li in batch.lines}:
                    recovery._check_amount()
                batch.seal(*batch._make_file())

    def _make_file(self):
        "Return the file (bytes) and its total (euros)."
        pool = Pool()
        lines = pool.get('grant.recovery.batch.line').browse(
            [li.id for li in self.lines])
        budget = pool.get('grant.configuration')(1).get_multivalue(
            'budget_code', company=self.company.id)
        return make_file(
            COLUMNS, (li.get_row(budget) for li in lines),
            (li.amount for li in lines))

    @classmethod
    @ModelView.button_action('pacte_grants.act_recovery_batch_download')
    def download(cls, batches):
        "Open the file; the journal says who did."

    @classmethod
    @without_check_access
    def close_answered(cls, batches, ended=()):
        """Close the batches of which every recovery is at its end, or about
        to be (``ended``), or has to be sent again."""
        done = [
            b for b in cls.browse([b.id for b in batches])
            if b.state == 'transmitted'
            and all(
                li.return_status in {'recovered', 'rejected'}
                or li.recovery.state != 'confirmed'
                or li.recovery in ended for li in b.lines)]
        if done:
            cls.write(done, {'state': 'closed'})


class Line(FileLineMixin, ModelSQL, ModelView):
    "The part of a recovery that undoes one imputation of a payment."
    __name__ = 'grant.recovery.batch.line'
    _batch_field = 'batch'
    _sealed = FileLineMixin._sealed | {'batch', 'recovery', 'instalment'}

    batch = fields.Many2One(
        'grant.recovery.batch', "Batch", required=True, readonly=True,
        ondelete='RESTRICT')
    recovery = fields.Many2One(
        'grant.recovery', "Recovery", required=True, readonly=True,
        ondelete='RESTRICT')
    party = fields.Function(fields.Many2One(
            'party.party', "Debtor",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_party')
    instalment = fields.Many2One(
        'grant.instalment', "Payment Taken Back", required=True,
        readonly=True, ondelete='RESTRICT')
    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('batch')
        cls._sql_indexes.update({
                Index(table, (table.recovery, Index.Equality())),
                Index(table, (table.instalment, Index.Equality())),
                })

    @fields.depends('recovery', '_parent_recovery.party')
    def on_change_with_party(self, name=None):
        return self.recovery.party if self.recovery else None

    @classmethod
    def search_party(cls, name, clause):
        return [('recovery.convention.' + clause[0], *clause[1:])]

    def get_row(self, budget):
        "Return the row of the file: values (texts) by column."
        recovery, instalment = self.recovery, self.instalment
        convention, party = recovery.convention, recovery.party
        commitment = instalment.commitment
        documents = recovery.pieces_of_order
        letter = documents[0] if documents else None
        return self.get_imputation_row() | {
            'budget_code': clean(budget),
            'tiers_code_finance': clean(party.finance_code),
            'siret': party.siret or '',
            'tiers_name': clean(party.name),
            'tiers_address': clean(
                ', '.join(_address_lines(party.address_get()))),
            'label': clean(
                f'reversement {_CAUSES[recovery.cause]} '
                f'{convention.number} {party.name}')[:LABEL_LENGTH],
            'origin_exercise': (
                instalment.exercise or instalment.tranche.year),
            'origin_engagement': clean(
                commitment.finance_number if commitment else ''),
            'origin_mandat_no': clean(instalment.order_number),
            'origin_bordereau_no': clean(instalment.bordereau),
            'origin_paid_on': write_day(instalment.paid_on),
            'cause': _CAUSES[recovery.cause],
            'decision_ref': clean(letter.reference if letter else ''),
            'decision_date': write_day(recovery.confirmed_on),
            'decided_by': clean(
                recovery.confirmed_by.name if recovery.confirmed_by else ''),
            'convention_ref': convention.number,
            'limitation_on': write_day(recovery.limitation_on),
            'pj_list': ' | '.join(clean(d.filename) for d in documents),
            'pj_sha256': ' | '.join(d.sha256 for d in documents),
            }


class Recovery(metaclass=PoolMeta):
    __name__ = 'grant.recovery'
    _steps = [
        ('notify', 'officer', {'state': 'draft'}),
        ('decide', 'manager', {'state': 'notified'}),
        ('order', 'finance', {
                'state': 'confirmed', 'order_number': False,
                'batch': False}),
        ('await', 'payer', {
                'state': 'confirmed', 'order_number': False, 'batch': True}),
        ('recover', 'finance', {'state': 'confirmed', 'order_number': True}),
        ]

    order_lines = fields.One2Many(
        'grant.recovery.batch.line', 'recovery', "Lines of Batches",
        readonly=True)
    batch = fields.Function(fields.Many2One(
            'grant.recovery.batch', "Batch",
            help="The batch with which its order is asked of the payer."),
        'get_batch', searcher='search_batch')
    return_reason = fields.Char(
        "Reason of the Rejection", readonly=True,
        states={'invisible': ~Eval('return_reason')},
        help="Why the payer did not issue the order.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        for field, selection in [
                (cls.next_step, ('order', "Issue the Order")),
                (cls.next_step, ('await', "Wait for the Payer")),
                (cls.whose_turn, ('payer', "Payer"))]:
            if selection not in field.selection:
                field.selection.append(selection)

    @classmethod
    def copy(cls, recoveries, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('order_lines', None)
        return super().copy(recoveries, default=default)

    @fields.depends('order_number', 'batch')
    def on_change_with_next_step(self, name=None):
        return super().on_change_with_next_step(name=name)

    @fields.depends('order_number', 'batch')
    def on_change_with_whose_turn(self, name=None):
        return super().on_change_with_whose_turn(name=name)

    @classmethod
    def get_batch(cls, recoveries, name):
        batches = dict.fromkeys(r.id for r in recoveries)
        for recovery in recoveries:
            for line in recovery.order_lines:
                if line.return_status != 'rejected':
                    batches[recovery.id] = line.batch.id
        return batches

    @classmethod
    def search_batch(cls, name, clause):
        nested = clause[0][len('batch'):]
        if not nested and clause[2] is None:
            line = Pool().get('grant.recovery.batch.line').__table__()
            recovery = cls.__table__()
            live = recovery.select(recovery.id, where=Exists(line.select(
                        line.id, where=(line.recovery == recovery.id)
                        & ((line.return_status == Null)
                            | (line.return_status != 'rejected')))))
            return [('id', 'not in' if clause[1] == '=' else 'in', live)]
        return [('order_lines', 'where', [
                    (f'batch{nested}', *clause[1:]),
                    ['OR',
                        ('return_status', '=', None),
                        ('return_status', '!=', 'rejected')],
                    ])]

    @property
    def pieces_of_order(self):
        """The sealed documents that go with the order: the decision first,
        then what it rests on."""
        documents = []
        for record in [self.procedure, self, self.liquidation]:
            if record:
                documents += sorted(
                    (d for d in record.documents if d.state == 'sealed'),
                    key=lambda d: d.id, reverse=True)
        return documents

    # What is taken back

    @classmethod
    def plan_orders(cls, recoveries):
        """Return, by recovery, the values of its lines of a batch: the
        imputations of the payments that it takes back, to the cent; and, by
        recovery too, why there can be none: a sentence.

        Each takes back what was paid last, of its year first.
        """
        left = cls._get_paid({r.convention for r in recoveries})
        lines, problems = {}, {}
        for recovery in recoveries:
            lines[recovery], missing = [], Decimal(0)
            for tranche, amount in recovery._by_tranche():
                vlist, rest = recovery._take_back(
                    tranche, amount, left[recovery.convention])
                lines[recovery] += vlist
                missing += rest
            if missing:
                problems[recovery] = gettext(
                    'pacte_grants.msg_recovery_order_paid',
                    recovery=recovery.rec_name,
                    amount=money(recovery.amount),
                    paid=money(recovery.amount - missing))
        return lines, problems

    @classmethod
    def _get_paid(cls, conventions):
        """Return, by convention, what is left of each of its paid
        instalments (euros): what no order took back yet."""
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        Line = pool.get('grant.recovery.batch.line')
        ids = [c.id for c in conventions]
        paid = defaultdict(dict)
        instalments = Instalment.search([
                ('convention', 'in', ids), ('state', '=', 'paid')])
        for instalment in sorted(
                instalments, key=lambda i: (i.paid_on, i.id),
                reverse=True):
            paid[instalment.convention][instalment] = instalment.amount
        for line in Line.search([
                    ('recovery.convention', 'in', ids),
                    ['OR',
                        ('return_status', '=', None),
                        ('return_status', '!=', 'rejected')],
                    ]):
            left = paid[line.recovery.convention]
            if line.instalment in left:
                left[line.instalment] -= line.amount
        return paid

    def _by_tranche(self):
        "Return the tranches and what comes back of each (euros)."
        if self.procedure:
            lines = [
                (li.tranche, li.to_repay) for li in self.procedure.lines
                if li.to_repay]
            if sum(amount for _, amount in lines) == self.amount:
                return lines
        return [(self.tranche, self.amount)]

    def _take_back(self, tranche, amount, left):
        """Take the amount from what is ``left`` of the paid instalments;
        return the values of the lines and what is missing (euros)."""
        vlist, rest = [], amount
        for instalment in sorted(
                left, key=lambda i: bool(tranche) and i.tranche != tranche):
            part = min(rest, left[instalment])
            if part > 0:
                left[instalment] -= part
                rest -= part
                vlist += self._charge(instalment, part)
        return vlist, rest

    def _charge(self, instalment, amount):
        "Return the lines that undo the amount of the instalment."
        values = {'recovery': self.id, 'instalment': instalment.id}
        imputations = list(instalment.imputations)
        if not imputations:
            return [{**values, 'amount': amount}]
        return [{
                **values,
                'section': imputation.section,
                'chapter': imputation.chapter.code,
                'nature': imputation.nature.code,
                'function': imputation.function.code,
                'operation': imputation.operation,
                'amount': part,
                } for imputation, part in zip(
                    imputations,
                    split(amount, [i.amount for i in imputations]),
                    strict=True) if part]

    # Its end

    def check_answered(self):
        """Raise ``FrozenError`` while its order is being asked of the payer
        and has no number yet."""
        if self.batch and not self.order_number:
            raise FrozenError(gettext(
                    'pacte_grants.msg_recovery_awaits',
                    recovery=self.rec_name, batch=self.batch.rec_name))

    @classmethod
    def _end(cls, recoveries, required, message):
        for recovery in recoveries:
            recovery.check_answered()
        super()._end(recoveries, required, message)
        Pool().get('grant.recovery.batch').close_answered(
            list({r.batch for r in recoveries if r.batch}), ended=recoveries)

    @classmethod
    @ModelView.button
    def abandon(cls, recoveries):
        for recovery in cls.claim(recoveries):
            recovery.check_answered()
        super().abandon(cls.browse([r.id for r in recoveries]))

    @classmethod
    def _reopen_to(cls, target, recoveries):
        for recovery in cls.claim(recoveries):
            recovery.check_answered()
        super()._reopen_to(target, cls.browse([r.id for r in recoveries]))
