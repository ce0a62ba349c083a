# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Pre-settlement batches: what the finance package reads to pay.

A batch is the group of ``account.payment``.  It is put together from approved
instalments, transmitted once with a file that is sealed, and closed when the
payer has answered every line.
"""
from collections import defaultdict

from sql.aggregate import Max

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import Transaction, without_check_access

from .batch_file import (
    LABEL_LENGTH, FileBatchMixin, FileLineMixin, clean, make_file, write_day)
from .exceptions import CompletenessError, FrozenError
from .mixin import (
    WorkflowMixin, acting_user, comes_from_outside, transition)
from .payment import _moving_payments
from .sums import SLICE

METHOD = 'pre_settlement'
# The file, column by column (design of the interface with the package).
COLUMNS = [
    'batch_id', 'line_no', 'exercise', 'budget_code', 'engagement_ref',
    'tiers_code_finance', 'siret', 'tiers_name', 'iban', 'bic', 'holder',
    'amount', 'section', 'chapter', 'nature', 'function', 'operation',
    'label', 'decision_ref', 'decision_date', 'convention_ref',
    'payment_type', 'service_fait_by', 'service_fait_on', 'due_on',
    'pj_list', 'pj_sha256']
_KINDS = {
    'advance': 'avance', 'interim': 'acompte', 'balance': 'solde',
    'single': 'unique'}


class Configuration(metaclass=PoolMeta):
    __name__ = 'grant.configuration'

    budget_code = fields.MultiValue(fields.Char(
            "Budget Code",
            help="The budget of the payments, as the finance package names "
            "it."))

    @classmethod
    def multivalue_model(cls, field):
        if field == 'budget_code':
            return Pool().get('grant.configuration.company')
        return super().multivalue_model(field)


class ConfigurationCompany(metaclass=PoolMeta):
    __name__ = 'grant.configuration.company'

    budget_code = fields.Char("Budget Code")


class Numbering(metaclass=PoolMeta):
    __name__ = 'grant.numbering'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        kind = ('batch', "Batch")
        if kind not in cls.kind.selection:
            cls.kind.selection.append(kind)
        cls._prefixes = {**cls._prefixes, 'batch': 'L{year}-'}


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    finance_code = fields.Char(
        "Code in the Finance Package",
        help="The number under which finance knows the partner.")


class Journal(metaclass=PoolMeta):
    __name__ = 'account.payment.journal'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        method = (METHOD, "Pre-settlement File")
        if method not in cls.process_method.selection:
            cls.process_method.selection.append(method)


class Group(FileBatchMixin, WorkflowMixin, metaclass=PoolMeta):
    __name__ = 'account.payment.group'
    _file_field = 'group'

    lines = fields.One2Many(
        'grant.batch.line', 'group', "Lines", readonly=True,
        states={'invisible': Eval('process_method') != METHOD})
    state = fields.Selection([
            (None, ""),
            ('preparation', "In Preparation"),
            ('transmitted', "Transmitted"),
            ('closed', "Closed"),
            ], "State", readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._transitions |= {
            ('preparation', 'transmitted'),
            ('transmitted', 'closed'),
            }
        cls._sql_indexes.add(
            Index(table, (table.state, Index.Equality(cardinality='low'))))
        cls._buttons.update({
                'transmit': {
                    'invisible': Eval('state') != 'preparation',
                    'depends': ['state'],
                    },
                'dissolve': {
                    'invisible': Eval('state') != 'preparation',
                    'depends': ['state'],
                    },
                'download': {
                    'invisible': ~Eval('state').in_(
                        ['transmitted', 'closed']),
                    'depends': ['state'],
                    },
                })

    @classmethod
    def default_state(cls):
        return None

    @classmethod
    def first_state(cls):
        return 'preparation'

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('state') == 'closed', 'muted', '')),
            ]

    @classmethod
    def create(cls, vlist):
        "Number batches by company and year, and say who prepares them."
        pool = Pool()
        Journal = pool.get('account.payment.journal')
        Numbering = pool.get('grant.numbering')
        year = pool.get('ir.date').today().year
        vlist = [v.copy() for v in vlist]
        journals = {
            j.id: j for j in Journal.browse(
                list({v['journal'] for v in vlist if v.get('journal')}))}
        by_year = defaultdict(list)
        for values in vlist:
            journal = journals.get(values.get('journal'))
            if not journal or journal.process_method != METHOD:
                continue
            if comes_from_outside():
                raise FrozenError(gettext(
                        'pacte_grants.msg_batch_create'))
            values.setdefault('exercise', year)
            values['state'] = 'preparation'
            values |= cls.preparation_values()
            by_year[journal.company.id, values['exercise']].append(values)
        for (company, exercise), sub in by_year.items():
            numbers = Numbering.next_numbers(
                'batch', company, exercise, len(sub))
            for values, number in zip(sub, numbers, strict=True):
                values['number'] = number
        return super().create(vlist)

    # Preparing

    @classmethod
    @without_check_access
    def prepare(cls, instalments, into=()):
        """Put approved instalments into batches: one by company, journal and
        exercise, and one for each urgent payment.

        They go into the batches in preparation of ``into`` that suit, into
        new ones otherwise.  All or nothing: raise ``TransitionError`` or
        ``BlockedError`` with what is wrong with any of them.  Return the
        batches.
        """
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        Payment = pool.get('account.payment')
        acting_user(gettext('pacte_grants.msg_act_batch'))
        cls.check_finance()
        instalments = Instalment.claim(instalments)
        problems = cls.check_instalments(instalments)
        if problems:
            raise CompletenessError('\n'.join(problems.values()))
        Instalment._check_blockers(instalments)
        by_batch = defaultdict(list)
        for instalment in instalments:
            payment = instalment.payment
            by_batch[
                payment.company.id, payment.journal.id,
                instalment.exercise or instalment.tranche.year,
                instalment.id if getattr(instalment, 'urgent', False)
                else None].append(payment)
        groups = cls._find_batches(
            sorted(by_batch, key=lambda k: (*k[:3], k[3] or 0)), into)
        to_write = []
        for key, group in groups.items():
            to_write.extend((
                    Payment.browse(by_batch[key]), {'group': group.id}))
        if to_write:
            with _moving_payments():
                Payment.write(*to_write)
        cls._make_lines({
                group: sorted(by_batch[key], key=lambda p: p.id)
                for key, group in groups.items()})
        return cls.browse([g.id for g in groups.values()])

    @classmethod
    def _find_batches(cls, keys, into):
        """Return the batch in preparation for each key (company, journal,
        exercise and urgent instalment): one of ``into``, or a new one."""
        groups = {
            (g.company.id, g.journal.id, g.exercise, None): g
            for g in cls.claim(into) if g.state == 'preparation'}
        new = [k for k in keys if k not in groups]
        created = cls.create([{
                    'company': company,
                    'journal': journal,
                    'kind': 'payable',
                    'exercise': exercise,
                    } for company, journal, exercise, _ in new])
        groups.update(zip(new, created, strict=True))
        return {k: groups[k] for k in keys}

    @classmethod
    def check_instalments(cls, instalments):
        """Return, by instalment, why it cannot go into a batch: a sentence.

        What blocks its payment is said by ``blockers``.
        """
        problems = {}
        for instalment in instalments:
            payment = instalment.payment
            if instalment.state != 'approved' or not payment:
                problems[instalment] = gettext(
                    'pacte_grants.msg_batch_not_approved',
                    instalment=instalment.rec_name,
                    state=instalment.state_label)
            elif payment.group:
                problems[instalment] = gettext(
                    'pacte_grants.msg_batch_already',
                    instalment=instalment.rec_name,
                    batch=payment.group.rec_name)
            elif payment.journal.process_method != METHOD:
                problems[instalment] = gettext(
                    'pacte_grants.msg_batch_journal',
                    instalment=instalment.rec_name,
                    journal=payment.journal.rec_name)
        return problems

    @classmethod
    def _make_lines(cls, payments):
        """Add the lines of the payments, by batch, to those that it has: one
        by payment and imputation."""
        Line = Pool().get('grant.batch.line')
        last = cls._get_last_numbers(payments)
        vlist = []
        for group, sub in payments.items():
            number = last[group.id]
            for payment in Pool().get('account.payment').browse(sub):
                for imputation in payment.instalment.imputations:
                    number += 1
                    vlist.append({
                            'group': group.id,
                            'line_number': number,
                            'payment': payment.id,
                            'chapter': imputation.chapter.code,
                            'nature': imputation.nature.code,
                            'function': imputation.function.code,
                            'section': imputation.section,
                            'operation': imputation.operation,
                            'amount': imputation.amount,
                            })
        Line.create(vlist)

    @classmethod
    def _get_last_numbers(cls, groups):
        "Return the number of the last line of the batches, by id."
        line = Pool().get('grant.batch.line').__table__()
        cursor = Transaction().connection.cursor()
        numbers = dict.fromkeys((g.id for g in groups), 0)
        for sub in grouped_slice(groups, SLICE):
            cursor.execute(*line.select(
                    line.group, Max(line.line_number),
                    where=reduce_ids(line.group, [g.id for g in sub]),
                    group_by=[line.group]))
            numbers.update(cursor.fetchall())
        return numbers

    @classmethod
    @ModelView.button
    def dissolve(cls, groups):
        "Give up batches in preparation; their payments wait for another."
        groups = cls.claim(groups)
        cls.check_button(groups, 'dissolve')
        Pool().get('account.payment').leave_batch(
            [p for g in groups for p in g.payments])
        cls.delete(cls.browse([g.id for g in groups]))

    # Transmitting

    @classmethod
    @ModelView.button
    @transition('transmitted')
    def transmit(cls, groups):
        """Transmit the batches, each with its sealed file.

        Raise ``BlockedError`` if something is missing again from one of the
        lines, ``CompletenessError`` for a batch without lines.
        """
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        Payment = pool.get('account.payment')
        acting_user(gettext('pacte_grants.msg_act_transmit'))
        Instalment.claim(
            [p.instalment for g in groups for p in g.payments])
        for group in cls.browse([g.id for g in groups]):
            if not group.payments:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_batch_empty',
                        batch=group.rec_name))
            Payment.process(
                Payment.browse([p.id for p in group.payments]),
                lambda group=group: group)

    def process_pre_settlement(self):
        "Seal the file of the batch whose payments are being processed."
        Group = self.__class__
        group = Group(self.id)
        group.check_unsealed()
        if not group.lines:
            Group._make_lines({
                    group: sorted(group.payments, key=lambda p: p.id)})
            group = Group(self.id)
        group.seal(*group._make_file(), state='transmitted')

    @without_check_access
    def _make_file(self):
        "Return the file (bytes) and its total (euros)."
        lines = Pool().get('grant.batch.line').browse(
            [li.id for li in self.lines])
        context = self._file_context(lines)
        return make_file(
            COLUMNS, (li.get_row(context) for li in lines),
            (li.amount for li in lines))

    def _file_context(self, lines):
        "Return what the rows need, read for all of them together."
        pool = Pool()
        Link = pool.get('bank.account-party.party')
        Configuration = pool.get('grant.configuration')
        Convention = pool.get('grant.convention')
        Instalment = pool.get('grant.instalment')
        # Browsed together and in the order of the rows, what belongs to them
        # is read together too.
        instalments = Instalment.browse(list(dict.fromkeys(
                    line.payment.instalment.id for line in lines)))
        conventions = Convention.browse(
            list({i.convention.id for i in instalments}))
        return {
            'instalments': {i.id: i for i in instalments},
            'granted': {
                c.id: [d for d in c.decisions if d.outcome == 'granted']
                for c in conventions},
            'budget': Configuration(1).get_multivalue(
                'budget_code', company=self.company.id),
            'ibans': Link.ibans(
                list({i.bank_account for i in instalments
                        if i.bank_account})),
            'pieces': Instalment.get_pieces(instalments),
            }

    @classmethod
    @ModelView.button_action('pacte_grants.act_batch_download')
    def download(cls, groups):
        "Open the file; the journal says who did."

    @classmethod
    @transition('closed')
    def close(cls, groups):
        "Close the batches: the payer has answered every line."


class Line(FileLineMixin, ModelSQL, ModelView):
    "A line of a batch: a payment, or its part charged to one imputation."
    __name__ = 'grant.batch.line'
    _batch_field = 'group'
    _sealed = FileLineMixin._sealed | {'group', 'payment'}

    group = fields.Many2One(
        'account.payment.group', "Batch", required=True, readonly=True,
        ondelete='RESTRICT')
    payment = fields.Many2One(
        'account.payment', "Payment", required=True, readonly=True,
        ondelete='RESTRICT')
    instalment = fields.Function(fields.Many2One(
            'grant.instalment', "Instalment"),
        'on_change_with_instalment', searcher='search_instalment')
    party = fields.Function(fields.Many2One(
            'party.party', "Beneficiary",
            context={'company': Eval('company', -1)}, depends={'company'}),
        'on_change_with_party', searcher='search_party')
    finance_number = fields.Function(fields.Char(
            "Commitment in the Package"), 'on_change_with_finance_number')
    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.payment, Index.Equality())))

    @fields.depends('payment')
    def on_change_with_instalment(self, name=None):
        return self.payment.instalment if self.payment else None

    @classmethod
    def search_instalment(cls, name, clause):
        return [('payment.' + clause[0], *clause[1:])]

    @fields.depends('payment')
    def on_change_with_party(self, name=None):
        return self.payment.party if self.payment else None

    @classmethod
    def search_party(cls, name, clause):
        return [('payment.' + clause[0], *clause[1:])]

    @fields.depends('payment')
    def on_change_with_finance_number(self, name=None):
        if self.payment and self.payment.instalment:
            commitment = self.payment.instalment.commitment
            return commitment.finance_number if commitment else None

    def get_row(self, context):
        "Return the row of the file: values (texts) by column."
        instalment = context['instalments'][self.payment.instalment.id]
        convention, party = instalment.convention, instalment.party
        account = instalment.bank_account
        iban = context['ibans'].get(account.id) if account else None
        bank = account.account.bank if account else None
        act = self._get_act(instalment, context['granted'][convention.id])
        pieces = context['pieces'][instalment.id]
        return self.get_imputation_row() | {
            'budget_code': clean(context['budget']),
            'engagement_ref': clean(self.finance_number),
            'tiers_code_finance': clean(party.finance_code),
            'siret': party.siret or '',
            'tiers_name': clean(party.name),
            'iban': ''.join(iban.number.split()) if iban else '',
            'bic': bank.bic if bank and bank.bic else '',
            'holder': clean(
                account.holder if account and account.holder
                else party.name),
            'label': clean(
                f'{_KINDS[instalment.kind]} {instalment.tranche.year} '
                f'{convention.number} {party.name}')[:LABEL_LENGTH],
            'decision_ref': clean(act and (act.act_number or act.number)),
            'decision_date': write_day(act and act.session.date),
            'convention_ref': convention.number,
            'payment_type': _KINDS[instalment.kind],
            'service_fait_by': clean(
                instalment.certified_by.name
                if instalment.certified_by else ''),
            'service_fait_on': write_day(instalment.certified_on),
            'due_on': write_day(instalment.pay_before),
            'pj_list': ' | '.join(clean(p.filename) for p in pieces),
            'pj_sha256': ' | '.join(p.sha256 for p in pieces),
            }

    @staticmethod
    def _get_act(instalment, granted):
        """Return the deliberation that grants what is paid, of the decisions
        that granted something to its convention."""
        return next(
            (d.deliberation for d in granted
                if d.commitment and d.commitment == instalment.commitment),
            granted[0].deliberation if granted else None)


class Payment(metaclass=PoolMeta):
    __name__ = 'account.payment'

    batch_lines = fields.One2Many(
        'grant.batch.line', 'payment', "Lines of Batches", readonly=True)

    @classmethod
    def process_method_with_group(cls):
        return super().process_method_with_group() + [METHOD]

    @classmethod
    def leave_batch(cls, payments):
        "Take the payments out of their batches, which are in preparation."
        waiting = [
            p for p in payments
            if p.group and p.group.state == 'preparation']
        if not waiting:
            return
        Line = Pool().get('grant.batch.line')
        Line.delete([li for p in waiting for li in p.batch_lines])
        with _moving_payments():
            cls.write(waiting, {'group': None})

    @classmethod
    @ModelView.button
    def draft(cls, payments):
        # What was sent back is no longer in the batch in preparation.
        cls.leave_batch(payments)
        super().draft(payments)


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    batch = fields.Function(fields.Many2One(
            'account.payment.group', "Batch"),
        'get_batch', searcher='search_batch')

    @classmethod
    def get_batch(cls, instalments, name):
        batches = {}
        for instalment in instalments:
            payment = instalment.payment
            batches[instalment.id] = (
                payment.group.id if payment and payment.group else None)
        return batches

    @classmethod
    def search_batch(cls, name, clause):
        nested = clause[0][len('batch'):]
        return [(f'payments.group{nested}', *clause[1:])]

    @classmethod
    def waiting_domain(cls):
        "Return the domain of what may be put into a batch."
        return [
            ('state', '=', 'approved'),
            ('payments', 'where', [
                    ('state', '=', 'approved'),
                    ('group', '=', None),
                    ('journal.process_method', '=', METHOD),
                    ]),
            ]

    @classmethod
    @ModelView.button_action('pacte_grants.act_payment_group_form')
    def process(cls, instalments):
        """Send approved instalments to the payer; where the journal makes
        pre-settlement files, in batches that are transmitted at once."""
        Group = Pool().get('account.payment.group')
        settled, others = [], []
        for instalment in instalments:
            payment = instalment.payment
            if payment and payment.journal.process_method == METHOD:
                settled.append(instalment)
            else:
                others.append(instalment)
        ids = []
        if others:
            ids += super().process(others)['res_id']
        if settled:
            settled = cls.claim(settled)
            cls.check_transition(settled, 'paying')
            batches = {
                i.payment.group for i in settled if i.payment.group}
            groups = Group.prepare(
                [i for i in settled if not i.payment.group])
            # What waits in a batch goes with it.
            Group.transmit(Group.browse(
                    [g.id for g in [*groups, *batches]]))
            ids += [g.id for g in [*groups, *batches]]
        return {'res_id': ids}
