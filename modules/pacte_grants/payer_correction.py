# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What the payer rejects goes to a desk, is corrected and sent again.

The payment that failed stays; the next one has its own line in a new batch.
"""
from collections import defaultdict

from sql import Literal, Null
from sql.aggregate import Max
from sql.operators import Exists

from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import (
    Transaction, check_access, without_check_access)
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .exceptions import CompletenessError, DutyError
from .mixin import acting_user
from .payer_return import DESKS
from .search import search_flag
from .sums import SLICE

_DESK_GROUPS = {
    'officer': ['group_officer', 'group_manager'],
    'finance': ['group_finance'],
    'assembly': ['group_clerk'],
    }


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    ordered_on = fields.Date("Ordered On", readonly=True)
    bordereau = fields.Char("Slip", readonly=True)
    return_cause = fields.Many2One(
        'grant.return.cause', "Cause of the Rejection", readonly=True,
        ondelete='RESTRICT')
    correction = fields.Text(
        "What Was Corrected",
        states={'readonly': ~(
                (Eval('state') == 'certified')
                & Eval('return_status').in_(['rejected', 'returned']))})
    to_correct = fields.Function(fields.Boolean(
            "To Correct",
            help="The payer rejected it and nobody has corrected it yet."),
        'on_change_with_to_correct', searcher='search_to_correct')
    to_settle = fields.Function(fields.Boolean(
            "Answer to Settle",
            help="The payer says that it is done, but its answers "
            "contradict each other or do not fit the batch."),
        'get_to_settle', searcher='search_to_settle')
    unfit_answer = fields.Function(
        fields.Text("Answer That Does Not Fit"), 'get_to_settle')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        for status in [
                ('received', "Received"),
                ('committed', "Committed"),
                ('ordered', "Ordered"),
                ('suspended', "Suspended")]:
            if status not in cls.return_status.selection:
                cls.return_status.selection.append(status)
        cls._free_fields = cls._free_fields | {'correction'}
        cls._frozen = {
            state: allowed | {'correction'}
            for state, allowed in cls._frozen.items()}
        cls._buttons.update({
                'correct': {
                    'invisible': ~Eval('to_correct', False),
                    'depends': ['to_correct'],
                    },
                })

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//group[@id="correction"]', 'states', {
                    'invisible': ~Eval('to_correct', False),
                    }, ['to_correct']),
            ('//group[@id="settlement"]', 'states', {
                    'invisible': ~Eval('to_settle', False),
                    }, ['to_settle']),
            ]

    @classmethod
    def _unfit_answers(cls):
        """Return the tables of the payments and of the payer's answers, their
        join and the condition: the payment was sent, and the last word of the
        payer on one of its lines, paid or rejected, was not applied."""
        pool = Pool()
        Answer = pool.get('grant.return.line')
        payment = pool.get('account.payment').__table__()
        line = pool.get('grant.batch.line').__table__()
        answer, newer = Answer.__table__(), Answer.__table__()
        join = (payment
            .join(line, condition=line.payment == payment.id)
            .join(answer, condition=answer.line == line.id))
        where = (
            (payment.state == 'processing')
            & (payment.instalment != Null)
            & (answer.verdict == 'mismatch')
            & answer.status.in_(['paid', 'rejected'])
            & ~Exists(newer.select(Literal(1),
                    where=(newer.line == line.id)
                    & (newer.id > answer.id)
                    & (newer.verdict == 'applied'))))
        return payment, answer, join, where

    @classmethod
    @without_check_access
    def get_to_settle(cls, instalments, names):
        Answer = Pool().get('grant.return.line')
        cursor = Transaction().connection.cursor()
        payment, answer, join, where = cls._unfit_answers()
        found = {}
        for sub in grouped_slice(
                [i.id for i in instalments if i.state == 'paying'], SLICE):
            cursor.execute(*join.select(
                    payment.instalment, Max(answer.id),
                    where=where & reduce_ids(payment.instalment, list(sub)),
                    group_by=[payment.instalment]))
            found.update(cursor.fetchall())
        texts = {}
        if 'unfit_answer' in names:
            texts = {
                a.id: a.anomaly
                for a in Answer.browse(list(found.values()))}
        values = {
            'to_settle': {i.id: i.id in found for i in instalments},
            'unfit_answer': {
                i.id: texts.get(found.get(i.id)) for i in instalments},
            }
        return {name: values[name] for name in names}

    @classmethod
    def search_to_settle(cls, name, clause):
        payment, _, join, where = cls._unfit_answers()
        query = join.select(payment.instalment, where=where)
        return search_flag(
            clause, [('id', 'in', query)], [('id', 'not in', query)])

    @classmethod
    def get_blockers(cls, instalments, names):
        result = super().get_blockers(instalments, names)
        if 'whose_turn' in names:
            settled = cls.get_to_settle(instalments, ['to_settle'])
            for id_, to_settle in settled['to_settle'].items():
                if to_settle:
                    result['whose_turn'][id_] = 'finance'
        return result

    @fields.depends('state', 'return_cause', 'return_status')
    def on_change_with_to_correct(self, name=None):
        return bool(
            self.state == 'certified' and self.return_cause
            and self.return_status in {'rejected', 'returned'})

    @classmethod
    def search_to_correct(cls, name, clause):
        return search_flag(
            clause, [
                ('state', '=', 'certified'),
                ('return_cause', '!=', None),
                ('return_status', 'in', ['rejected', 'returned']),
                ], ['OR',
                ('state', '!=', 'certified'),
                ('return_cause', '=', None),
                ('return_status', '=', None),
                ('return_status', 'not in', ['rejected', 'returned']),
                ])

    @classmethod
    def copy(cls, instalments, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('correction', None)
        return super().copy(instalments, default=default)

    @classmethod
    def follow_processing(cls, instalments):
        super().follow_processing(instalments)
        # A new payment has its own answers.
        cls.write(cls.browse([i.id for i in instalments]), {
                'return_status': None,
                'return_reason': None,
                'order_number': None,
                'bordereau': None,
                'ordered_on': None,
                'payment_date': None,
                })

    @classmethod
    @ModelView.button
    def correct(cls, instalments):
        """Say that what the payer rejected is corrected: the instalment may
        be approved and sent again, in a new payment.

        The desk that the cause names does it; a corrected account is the one
        to which the partner may be paid now.  Raise ``DutyError`` for
        somebody of another desk, ``CompletenessError`` without a word on
        what was corrected.
        """
        pool = Pool()
        Party = pool.get('party.party')
        user = acting_user(gettext('pacte_grants.msg_act_correct'))
        instalments = cls.claim(instalments)
        cls.check_button(instalments, 'correct')
        cls.check_desk(instalments)
        for instalment in instalments:
            if not instalment.correction:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_correct_what',
                        instalment=instalment.rec_name,
                        reason=instalment.return_reason or ''))
        pool.get('grant.event').add([{
                    'record': i, 'name': 'correct',
                    'before': i.return_reason, 'after': user.name,
                    'reason': i.correction,
                    } for i in instalments])
        accounts = Party.get_payable_accounts(
            list({i.party for i in instalments}))
        by_account = defaultdict(list)
        for instalment in instalments:
            account = accounts[instalment.party]
            by_account[account or instalment.bank_account].append(instalment)
        to_write = []
        for account, sub in by_account.items():
            to_write.extend((sub, {
                        'bank_account': account.id if account else None,
                        'return_cause': None,
                        'correction': None,
                        }))
        if to_write:
            cls.write(*to_write)

    @classmethod
    def check_desk(cls, instalments):
        "Raise ``DutyError`` unless the user is of the desks of the causes."
        pool = Pool()
        User = pool.get('res.user')
        ModelData = pool.get('ir.model.data')
        own = set(User.get_groups())
        for instalment in instalments:
            cause = instalment.return_cause
            desks = {
                ModelData.get_id('pacte_grants', g)
                for g in _DESK_GROUPS[cause.desk]} if cause else own
            if not desks & own:
                raise DutyError(gettext(
                        'pacte_grants.msg_correct_desk',
                        instalment=instalment.rec_name,
                        cause=cause.rec_name))


class Blocker(metaclass=PoolMeta):
    __name__ = 'grant.instalment.blocker'

    @classmethod
    def _rules(cls):
        return super()._rules() + [
            (f'rejection_{desk}', desk,
                lambda desk=desk: cls._rejection(desk))
            for desk, _ in DESKS]

    @classmethod
    def _rejection(cls, desk):
        "The payer rejected it; the desk that the cause names corrects it."
        base = cls._base()
        instalment = base.instalment
        cause = Pool().get('grant.return.cause').__table__()
        return cls._select(
            base, (instalment.state == 'certified')
            & instalment.return_status.in_(['rejected', 'returned'])
            & instalment.return_cause.in_(
                cause.select(cause.id, where=cause.desk == desk)),
            since=instalment.ordered_on,
            origin=cls._origin('grant.instalment', instalment.id))


class CorrectStart(ModelView):
    __name__ = 'grant.return.correct.start'
    __string__ = "Correction of Rejections"

    correction = fields.Text("What Was Corrected", required=True)


class Correct(Wizard):
    "Say of the chosen rejections what was corrected, and send them again."
    __name__ = 'grant.return.correct'

    start = StateView(
        'grant.return.correct.start',
        'pacte_grants.return_correct_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Send Again", 'correct', 'tryton-ok', default=True),
            ])
    correct = StateTransition()

    def transition_correct(self):
        Instalment = Pool().get('grant.instalment')
        with check_access():
            instalments = Instalment.search(
                [('id', 'in', [r.id for r in self.records])])
        Instalment.check_button(instalments, 'correct')
        # The role first: the reason is written without its access
        Instalment.check_desk(instalments)
        with without_check_access():
            Instalment.write(
                instalments, {'correction': self.start.correction})
        with check_access():
            Instalment.correct(Instalment.browse(instalments))
        return 'end'

    def end(self):
        return 'reload'
