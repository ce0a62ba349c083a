# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What finance does on thousands of payments, through the queue."
import hashlib

from trytond.model import fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import check_access
from trytond.wizard import StateAction

from .batch import METHOD
from .task import queued

KINDS = [
    ('certify', "Certification"),
    ('approve', "Approval"),
    ('process', "Sending for Payment"),
    ('prepare', "Preparation of a Batch"),
    ('transmit', "Transmission of Batches"),
    ('import', "Import of a Return"),
    ]
_BATCHING = ['prepare', 'process']


class Task(metaclass=PoolMeta):
    __name__ = 'grant.task'

    batches = fields.One2Many(
        'account.payment.group', 'task', "Batches", readonly=True,
        states={'invisible': ~Eval('kind').in_(_BATCHING)})
    return_ = fields.Many2One(
        'grant.return', "Return", readonly=True, ondelete='RESTRICT',
        states={'invisible': Eval('kind') != 'import'})
    file_name = fields.Char(
        "File", readonly=True,
        states={'invisible': Eval('kind') != 'import'})
    file = fields.Binary("File", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        for kind in KINDS:
            if kind not in cls.kind.selection:
                cls.kind.selection.append(kind)

    @classmethod
    def _models(cls):
        return super()._models() | {
            'certify': 'grant.instalment',
            'approve': 'grant.instalment',
            'process': 'grant.instalment',
            'prepare': 'grant.instalment',
            'transmit': 'account.payment.group',
            }

    @classmethod
    def _record_actions(cls):
        return super()._record_actions() | {
            'grant.instalment': 'act_instalment_form',
            'account.payment.group': 'act_payment_group_form',
            }

    def _chunk_size(self):
        # The file of a batch is sealed with the payments that it names.
        return 1 if self.kind == 'transmit' else super()._chunk_size()

    def _get_units(self):
        if self.kind == 'import':
            return Pool().get('grant.return').read_file(self.file)
        return super()._get_units()

    def _get_record(self, unit):
        if self.kind == 'import':
            return Pool().get('grant.return')._find_lines([unit]).get(
                (unit.batch, unit.number))
        return super()._get_record(unit)

    @classmethod
    def ask(cls, kind, units, **values):
        if kind == 'approve':
            Pool().get('grant.instalment').check_session()
        elif kind != 'certify':
            Pool().get('account.payment.group').check_finance()
        if kind in _BATCHING:
            # In the file they come in the order of their certification.
            units = sorted(
                units, key=lambda i: i.payment.id if i.payment else 0)
        return super().ask(kind, units, **values)

    # What is done with the units of a chunk, where it is no button

    def _do_process(self, units):
        return self._do_prepare(units)

    def _do_prepare(self, units):
        "Put the instalments into the batches of the task, or into new ones."
        pool = Pool()
        Group = pool.get('account.payment.group')
        Instalment = pool.get('grant.instalment')
        with check_access():
            # What the user may not see stays where it is.
            Instalment.read(units, ['id'])
        # An urgent payment stays alone in its batch.
        batches = Group.search([
                ('task', '=', self.id),
                ('state', '=', 'preparation'),
                ('payments', 'not where', [
                        ('instalment.urgent', '=', True)]),
                ])
        groups = Group.prepare(Instalment.browse(units), into=batches)
        Group.write(
            [g for g in groups if g not in batches], {'task': self.id})
        return []

    def _do_import(self, answers):
        "Apply the answers; what does not fit is kept and is refused here."
        pool = Pool()
        Return = pool.get('grant.return')
        Answered = pool.get('grant.return.line')
        task = self.__class__(self.id)
        return_ = Return.apply(
            self.file_name, answers, hashlib.sha256(self.file).hexdigest(),
            into=task.return_)
        if not task.return_:
            self.__class__.write([task], {'return_': return_.id})
        return [
            (answer.line, answer.anomaly) for answer in Answered.search([
                    ('return_', '=', return_.id),
                    ('row', 'in', [a.row for a in answers]),
                    ('verdict', 'in', ['unknown', 'mismatch']),
                    ], order=[('row', 'ASC')])]

    def _conclude(self):
        super()._conclude()
        if self.kind == 'process' and self.batches:
            self.__class__.ask('transmit', self.batches)
        elif self.kind == 'import':
            # Its answers are kept by the return.
            self.__class__.write([self], {'file': None})


class TaskLine(metaclass=PoolMeta):
    __name__ = 'grant.task.line'

    @classmethod
    def get_models(cls):
        get_name = Pool().get('ir.model').get_name
        return super().get_models() + [
            (name, get_name(name)) for name in [
                'grant.instalment', 'account.payment.group',
                'grant.batch.line']]


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    @classmethod
    @queued()
    def certify(cls, instalments):
        return super().certify(instalments)

    @classmethod
    @queued()
    def approve(cls, instalments):
        return super().approve(instalments)

    @classmethod
    @queued(lambda instalments: len(instalments) if all(
            i.payment and i.payment.journal.process_method == METHOD
            for i in instalments) else 0)
    def process(cls, instalments):
        return super().process(instalments)


class Group(metaclass=PoolMeta):
    __name__ = 'account.payment.group'

    task = fields.Many2One(
        'grant.task', "Task", readonly=True, ondelete='SET NULL',
        help="The task that prepares the batch.")

    @classmethod
    @queued(lambda groups: sum(g.line_count for g in groups))
    def transmit(cls, groups):
        return super().transmit(groups)


class Prepare(metaclass=PoolMeta):
    __name__ = 'grant.batch.prepare'

    def _prepare(self, action, instalments):
        Task = Pool().get('grant.task')
        if Task.is_needed(len(instalments)):
            return Task.ask('prepare', instalments).get_action(), {}
        return super()._prepare(action, instalments)


class Import(metaclass=PoolMeta):
    __name__ = 'grant.return.import'

    follow = StateAction('pacte_grants.act_task_form')

    def transition_import_(self):
        pool = Pool()
        Task = pool.get('grant.task')
        answers = pool.get('grant.return').read_file(self.start.file)
        if not Task.is_needed(len(answers)):
            return super().transition_import_()
        self._task = Task.ask(
            'import', answers, file=self.start.file,
            file_name=self._file_name)
        return 'follow'

    def do_follow(self, action):
        return self._task.get_action(), {}
