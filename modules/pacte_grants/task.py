# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Long work that the queue of trytond does by chunks.

A task presses on many records, as the user who asked and by the rules of one
record.  Each chunk is a call of the queue and a transaction of its own, which
calls for the next: what is done stays done and everybody sees how far it is.
"""
import datetime as dt
import json
import logging
import time
from contextlib import contextmanager
from functools import wraps
from itertools import count

from dateutil.relativedelta import relativedelta

from trytond import backend, config
from trytond.exceptions import UserError, UserWarning
from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval, If, PYSONEncoder
from trytond.rpc import RPC
from trytond.transaction import (
    Transaction, TransactionError, without_check_access)

from .exceptions import DutyError
from .hold import has_group
from .mixin import (
    AppendOnlyMixin, WorkflowMixin, acting_user, comes_from_outside, now,
    transition)
from .scheme import CompanyMixin
from .search import search_flag

logger = logging.getLogger(__name__)

# What a screen that can show a task says in the context of its requests.
WITH_TASK = 'with_task'
OPEN = ['waiting', 'running']
# Seconds for which a call of the queue leaves the task alone before it takes
# it: who wants to stop it finds it free.
PAUSE = 0.2
_counter = count()


@contextmanager
def _savepoint():
    "What the block wrote and asked for is given up if it raises."
    transaction = Transaction()
    cursor = transaction.connection.cursor()
    name = f'task_{next(_counter)}'
    pending = [
        transaction.log_records, transaction.user_notifications,
        transaction.tasks]
    lengths = list(map(len, pending))
    created = {k: list(v) for k, v in transaction.create_records.items()}
    deleted = {k: set(v) for k, v in transaction.delete_records.items()}
    cursor.execute(f'SAVEPOINT {name}')
    try:
        yield
    except BaseException:
        cursor.execute(f'ROLLBACK TO SAVEPOINT {name}')
        for records, length in zip(pending, lengths, strict=True):
            del records[length:]
        for records, before in [
                (transaction.create_records, created),
                (transaction.delete_records, deleted)]:
            records.clear()
            records.update(before)
        for cache in transaction.cache.values():
            cache.clear()
        raise
    finally:
        cursor.execute(f'RELEASE SAVEPOINT {name}')


def queued(size=len):
    """Decorate the method of a button so that a large selection goes to the
    queue, and what the user gets is the action that shows the task.

    ``size`` counts what is selected.  It is for the user in front of a screen
    that says ``WITH_TASK``: other callers have their answer at once,
    whatever the number.
    """
    def decorator(func):
        @ModelView.button
        @wraps(func)
        def ask(cls, records):
            Task = Pool().get('grant.task')
            return Task.ask(func.__name__, records).get_action()

        @wraps(func)
        def wrapper(cls, records):
            Task = Pool().get('grant.task')
            if (comes_from_outside()
                    and Transaction().context.get(WITH_TASK)
                    and Task.is_needed(size(records))):
                return ask(cls, records)
            return func(cls, records)
        return wrapper
    return decorator


class Task(WorkflowMixin, CompanyMixin, ModelSQL, ModelView):
    __name__ = 'grant.task'
    __string__ = "Task"

    user = fields.Many2One(
        'res.user', "Asked By", required=True, readonly=True,
        ondelete='RESTRICT')
    kind = fields.Selection(
        [], "What", required=True, readonly=True, sort=False)
    kind_string = kind.translated('kind')
    asked_on = fields.DateTime("Asked On", required=True, readonly=True)
    started_on = fields.DateTime("Started On", readonly=True)
    moved_on = fields.DateTime(
        "Last Step On", required=True, readonly=True)
    ended_on = fields.DateTime("Ended On", readonly=True)
    units = fields.Text("Records", readonly=True, loading='lazy')
    total = fields.Integer("Records", required=True, readonly=True)
    done = fields.Integer("Done", required=True, readonly=True)
    refused = fields.Integer("Refused", required=True, readonly=True)
    position = fields.Function(
        fields.Integer("Treated"), 'on_change_with_position')
    remaining = fields.Function(
        fields.Integer("Remaining"), 'on_change_with_remaining')
    progress = fields.Function(
        fields.Float("Progress", digits=(None, 2)),
        'on_change_with_progress')
    lines = fields.One2Many(
        'grant.task.line', 'task', "Refusals", readonly=True)
    error = fields.Text(
        "Why It Was Interrupted", readonly=True,
        states={'invisible': ~Eval('error')})
    mine = fields.Function(
        fields.Boolean("Mine"), 'get_mine', searcher='search_mine')
    stalled = fields.Function(
        fields.Boolean(
            "Stalled",
            help="Nothing happened for longer than a step takes: the queue "
            "may have been stopped."),
        'get_stalled', searcher='search_stalled')
    state = fields.Selection([
            ('waiting', "Waiting"),
            ('running', "Running"),
            ('done', "Done"),
            ('failed', "Interrupted"),
            ], "State", required=True, readonly=True, sort=False)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.company.readonly = True
        cls._order = [('id', 'DESC')]
        cls._sql_indexes.update({
                Index(table, (table.user, Index.Equality())),
                Index(table,
                    (table.state, Index.Equality(cardinality='low'))),
                })
        cls._transitions = {
            ('waiting', 'running'),
            ('waiting', 'waiting'),
            ('waiting', 'failed'),
            ('running', 'done'),
            ('running', 'failed'),
            ('running', 'waiting'),
            ('failed', 'waiting'),
            }
        cls._buttons.update({
                'stop': {
                    'invisible': ~Eval('state').in_(OPEN),
                    'depends': ['state'],
                    },
                'resume': {
                    'invisible': (
                        (Eval('state') != 'failed') & ~Eval('stalled')),
                    'depends': ['state', 'stalled'],
                    },
                'open_records': {
                    'invisible': ~Eval('kind').in_(list(cls._models())),
                    'depends': ['kind'],
                    },
                })
        # Resumed, it acts again in the name of the user.
        cls.__rpc__.update({
                'resume': RPC(
                    readonly=False, instantiate=0, fresh_session=True),
                })

    @classmethod
    def default_state(cls):
        return 'waiting'

    def get_rec_name(self, name):
        return f'{self.kind_string} – {self.asked_on:%d/%m/%Y}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('user.rec_name', *clause[1:])]

    @fields.depends('done', 'refused')
    def on_change_with_position(self, name=None):
        return (self.done or 0) + (self.refused or 0)

    @fields.depends('total', methods=['on_change_with_position'])
    def on_change_with_remaining(self, name=None):
        return (self.total or 0) - self.on_change_with_position()

    @fields.depends('total', methods=['on_change_with_position'])
    def on_change_with_progress(self, name=None):
        if self.total:
            # 100 % once nothing is left, not before
            return (
                100 * self.on_change_with_position() // self.total) / 100
        return 0.

    @classmethod
    def get_mine(cls, tasks, name):
        user = Transaction().user
        return {t.id: t.user.id == user for t in tasks}

    @classmethod
    def search_mine(cls, name, clause):
        user = Transaction().user
        return search_flag(
            clause, [('user', '=', user)], [('user', '!=', user)])

    @staticmethod
    def _stalled_before():
        "Return the time after which a task that is alive made a step."
        minutes = int(Pool().get('grant.parameter').get('TASK_STALLED'))
        return now() - dt.timedelta(minutes=minutes)

    @classmethod
    def get_stalled(cls, tasks, name):
        limit = cls._stalled_before()
        return {
            t.id: t.state in OPEN and t.moved_on < limit for t in tasks}

    @classmethod
    def search_stalled(cls, name, clause):
        limit = cls._stalled_before()
        return search_flag(
            clause,
            [('state', 'in', OPEN), ('moved_on', '<', limit)],
            ['OR', ('state', 'not in', OPEN), ('moved_on', '>=', limit)])

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If((Eval('state') == 'failed') | Eval('stalled', False),
                    'danger', If(Eval('state') == 'done', 'muted', '')),
                ['state', 'stalled']),
            ('/tree/field[@name="refused"]', 'visual',
                If(Eval('refused', 0) > 0, 'warning', '')),
            ('//group[@id="failure"]', 'states', {
                    'invisible': ~Eval('error'),
                    }),
            ]

    # Asking

    @classmethod
    def _models(cls):
        "Return the name of the model on which each kind presses, by kind."
        return {}

    @classmethod
    def is_needed(cls, size):
        "Return whether so many records are too many for one request."
        return size > Pool().get('grant.parameter').get('TASK_THRESHOLD')

    @classmethod
    @without_check_access
    def ask(cls, kind, units, **values):
        """Have the queue do ``kind`` on the units, records or what
        ``get_units`` makes of the values, in the name of the user.

        Return the task.  Rights are those of who calls: buttons and wizards
        ask for them first, and each chunk asks again.
        """
        user = acting_user(gettext('pacte_grants.msg_act_task'))
        moment = now()
        values.setdefault('company', cls.default_company())
        if kind in cls._models():
            values['units'] = json.dumps([u.id for u in units])
        task, = cls.create([{
                    'user': user.id,
                    'kind': kind,
                    'total': len(units),
                    'done': 0,
                    'refused': 0,
                    'asked_on': moment,
                    'moved_on': moment,
                    **values,
                    }])
        task._call()
        return task

    def get_action(self):
        "Return the action that shows the task."
        pool = Pool()
        Action = pool.get('ir.action')
        ModelData = pool.get('ir.model.data')
        action = Action(Action.get_action_id(ModelData.get_id(
                    'pacte_grants', 'act_task_form'))).get_action_value()
        # Its form, where one sees how far it is
        action['views'] = action['views'][::-1]
        action['res_id'] = [self.id]
        return action

    def _call(self):
        "Have the queue go on where the task is."
        # Of the request nothing is kept: the user's own context is used.
        with Transaction().reset_context():
            self.__class__.__queue__.work([self], self.position)

    # Working

    @classmethod
    def work(cls, tasks, position):
        """Start the tasks or do their next chunk, and call for the next one.

        A call that comes twice, or after the task was stopped, finds another
        state or position and does nothing.
        """
        if config.getboolean('queue', 'worker', default=False):
            time.sleep(PAUSE)
        for task in cls.claim(tasks):
            if task.position != position:
                continue
            if task.state == 'waiting':
                cls._start([task])
            elif task.state != 'running' or not task._advance():
                continue
            task = cls(task.id)
            if task.remaining:
                task._call()
            else:
                cls._finish([task])

    @classmethod
    @transition('running')
    def _start(cls, tasks):
        moment = now()
        cls.write(tasks, {'moved_on': moment, 'ended_on': None})
        cls.write(
            [t for t in tasks if not t.started_on], {'started_on': moment})

    @classmethod
    @transition('done')
    def _finish(cls, tasks):
        cls.write(tasks, {'ended_on': now()})
        for task in tasks:
            with task._as_user():
                task._conclude()
                task._notify(
                    'tryton-warning' if task.refused else 'tryton-ok',
                    gettext('pacte_grants.msg_task_done',
                        task=task.rec_name, done=task.done,
                        refused=task.refused))

    def _conclude(self):
        "Do what comes after the last chunk."

    @classmethod
    @transition('failed')
    def _interrupt(cls, tasks):
        cls.write(tasks, {'ended_on': now()})

    def _advance(self):
        "Do the next chunk; return whether it went as it should."
        Line = Pool().get('grant.task.line')
        cls = self.__class__
        try:
            with _savepoint(), self._as_user():
                units = self._next_units()
                refusals = self._try(units)
        except (TransactionError, backend.DatabaseOperationalError):
            # The queue starts the transaction again.
            raise
        except Exception as error:
            if isinstance(error, (UserError, UserWarning)):
                reason = error.message
            else:
                logger.exception("%s,%s interrupted", cls.__name__, self.id)
                with self._as_user():
                    reason = gettext('pacte_grants.msg_task_unexpected')
            self._give_up(reason)
            return False
        Line.create([{
                    'task': self.id,
                    'record': str(record) if record else None,
                    'message': message,
                    } for record, message in refusals])
        cls.write([self], {
                'moved_on': now(),
                'done': self.done + len(units) - len(refusals),
                'refused': self.refused + len(refusals),
                })
        return True

    def _give_up(self, reason):
        "Interrupt the task for the reason (a sentence); say so to its user."
        self.__class__.write([self], {'error': reason})
        self.__class__._interrupt([self])
        with self._as_user():
            self._notify(
                'tryton-error',
                gettext('pacte_grants.msg_task_interrupted',
                    task=self.rec_name, remaining=self.remaining),
                reason)

    def _notify(self, icon, label, description=None):
        self.__class__.notify_user(
            [self], icon, label, description, user=self.user)

    @contextmanager
    def _as_user(self):
        """Act as the user who asked, in their language and with their rights
        of now.

        Raise ``DutyError`` if they may not log in any more.
        """
        pool = Pool()
        User = pool.get('res.user')
        transaction = Transaction()
        with transaction.set_user(self.user.id), transaction.reset_context():
            context = User.get_preferences(context_only=True)
            with transaction.set_context(
                    context, company=self.company.id, _skip_warnings=True):
                yield

    def _next_units(self):
        "Return the units of the next chunk."
        if not self.user.active:
            raise DutyError(gettext(
                    'pacte_grants.msg_task_user', user=self.user.rec_name))
        end = self.position + self._chunk_size()
        return self._get_units()[self.position:end]

    def _chunk_size(self):
        return int(Pool().get('grant.parameter').get('TASK_CHUNK'))

    def _get_units(self):
        "Return all on which the task works: ids for a kind with a model."
        return json.loads(self.units)

    def _try(self, units):
        """Treat the units together, or, if that is refused, in ever smaller
        parts; return the refusals as records, or ``None``, with messages."""
        try:
            with _savepoint():
                do = getattr(self, f'_do_{self.kind}', self._press)
                return do(units)
        except (UserError, UserWarning) as error:
            if len(units) == 1:
                return [(self._get_record(units[0]), error.message)]
        half = len(units) // 2
        return self._try(units[:half]) + self._try(units[half:])

    def _get_record(self, unit):
        "Return the record that a refusal of the unit names, if any."
        model = self._models().get(self.kind)
        return Pool().get(model)(unit) if model else None

    def _press(self, units):
        "Press the button that the task is named after as its user would."
        Model = Pool().get(self._models()[self.kind])
        with Transaction().set_context(_check_access=True):
            getattr(Model, self.kind)(Model.browse(units))
        return []

    # What the user does with it

    @classmethod
    def _forget_reading(cls, tasks):
        """Let the user act on tasks that went on since the client read them:
        what it read decides nothing."""
        timestamps = Transaction().timestamp or {}
        for task in tasks:
            timestamps.pop(str(task), None)

    @classmethod
    def _check_user(cls, tasks):
        user = Transaction().user
        for task in tasks:
            if task.user.id != user:
                raise DutyError(gettext(
                        'pacte_grants.msg_task_not_mine',
                        task=task.rec_name, user=task.user.rec_name))

    @classmethod
    @ModelView.button
    @transition('failed')
    def stop(cls, tasks):
        "Stop after the chunk under way; administrators may stop any task."
        if not has_group({'group_admin'}):
            cls._check_user(tasks)
        cls._forget_reading(tasks)
        user = acting_user(gettext('pacte_grants.msg_act_task'))
        cls.write(tasks, {
                'ended_on': now(),
                'error': gettext(
                    'pacte_grants.msg_task_stopped', user=user.rec_name),
                })

    @classmethod
    @ModelView.button
    @transition('waiting')
    def resume(cls, tasks):
        "Go on with what is left."
        cls._check_user(tasks)
        cls._forget_reading(tasks)
        cls.write(tasks, {
                'moved_on': now(), 'ended_on': None, 'error': None})
        for task in tasks:
            task._call()

    @classmethod
    @ModelView.button
    def open_records(cls, tasks):
        "Open the records on which the tasks work."
        pool = Pool()
        Action = pool.get('ir.action')
        ModelData = pool.get('ir.model.data')
        if not tasks:
            return
        task = tasks[0]
        action = Action(Action.get_action_id(ModelData.get_id(
                    'pacte_grants',
                    cls._record_actions()[task._models()[task.kind]]
                    ))).get_action_value()
        action['pyson_domain'] = PYSONEncoder().encode(
            [('id', 'in', [u for t in tasks for u in t._get_units()])])
        action['domains'] = []
        return action

    @classmethod
    def _record_actions(cls):
        "Return the action that lists the records of each model, by model."
        return {}

    # Cleaning

    @classmethod
    def clean_monthly(cls):
        "Delete the tasks that ended long ago, and what they refused."
        pool = Pool()
        months = int(pool.get('grant.parameter').get('TASK_KEPT'))
        task = cls.__table__()
        line = pool.get('grant.task.line').__table__()
        old = (
            task.state.in_(['done', 'failed'])
            & (task.moved_on < now() - relativedelta(months=months)))
        cursor = Transaction().connection.cursor()
        cursor.execute(*line.delete(
                where=line.task.in_(task.select(task.id, where=old))))
        cursor.execute(*task.delete(where=old))


class Line(AppendOnlyMixin, ModelSQL, ModelView):
    "Why one record was refused."
    __name__ = 'grant.task.line'
    __string__ = "Refusal"

    task = fields.Many2One(
        'grant.task', "Task", required=True, readonly=True,
        ondelete='CASCADE')
    record = fields.Reference(
        "Record", selection='get_models', readonly=True)
    message = fields.Text("Reason", required=True, readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('task')
        cls._order = [('id', 'ASC')]
        cls._sql_indexes.add(Index(table, (table.task, Index.Equality())))

    @classmethod
    def get_models(cls):
        return [(None, "")]

    def get_rec_name(self, name):
        return self.record.rec_name if self.record else self.task.rec_name


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.append(
            ('grant.task|clean_monthly', "Delete Old Tasks"))
