# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Long work in the queue: chunks, verdicts, rights, interruptions, resuming."
import datetime as dt
import json
import time
from contextlib import contextmanager
from decimal import Decimal
from unittest.mock import patch

import pytest
from trytond import config
from trytond.pool import Pool
from trytond.transaction import Transaction
from trytond.worker import run_task

from tools import worker as sqlite_worker
from trytond.modules.pacte_grants.exceptions import (
    DutyError, TransitionError)
from trytond.modules.pacte_grants.mixin import now
from trytond.modules.pacte_grants.task import WITH_TASK

from .department import PASSWORD
from .refusal import attempt, forget
from .rpc import Refusal, at_once
from .test_batch import BatchCase, answers
from .tools import count_queries, is_postgresql


def set_parameter(code, value):
    "Give the parameter the value from today on."
    Parameter = Pool().get('grant.parameter')
    current, = Parameter.search([('code', '=', code), ('valid_to', '=', None)])
    values = {
        name: getattr(current, name) for name in ['code', 'name', 'source']}
    today = dt.date.today()
    Parameter.write([current], {'valid_to': today - dt.timedelta(days=1)})
    Parameter.create([values | {
                'unit': current.unit, 'value': Decimal(value),
                'valid_from': today}])


class TaskCase(BatchCase):
    "Seven advances, when more than five go to the queue by threes."
    count = 7

    @classmethod
    def prepare(cls):
        super().prepare()
        set_parameter('TASK_THRESHOLD', 5)
        set_parameter('TASK_CHUNK', 3)

    def setUp(self):
        super().setUp()
        Transaction().user_notifications.clear()

    @contextmanager
    def on_screen(self, login):
        with self.road.as_user(login), Transaction().set_context(
                language='fr', **{WITH_TASK: True}):
            yield

    def ask(self, login, button, records=None):
        "Press the button on the screen; return the task."
        records = self.advances if records is None else records
        Model = records[0].__class__
        with self.on_screen(login):
            action = getattr(Model, button)(
                Model.browse([r.id for r in records]))
        return self.shown(action)

    def shown(self, action):
        self.assertEqual(action['res_model'], 'grant.task')
        self.assertEqual(action['views'][0][1], 'form')
        id_, = action['res_id']
        forget()
        return Pool().get('grant.task')(id_)

    def calls(self):
        "The calls that wait in the queue."
        return Pool().get('ir.queue').search(
            [('finished_at', '=', None)], order=[('id', 'ASC')])

    def work(self, count=None):
        "Let the queue do so many calls, or all."
        done = 0
        while (calls := self.calls()) and done != count:
            forget()
            calls[0].run()
            done += 1
        forget()
        return done

    def counts(self, task):
        task = self.read(task)
        return task.state, task.done, task.refused, task.remaining

    def read(self, record):
        forget()
        return record.__class__(record.id)

    def states(self):
        return [i.state for i in self.advances]

    def press(self, login, task, button):
        with Transaction().set_context(language='fr'):
            self.road.press(login, self.read(task), button)
        return self.read(task)

    def notifications(self, login):
        return [
            n for n in Transaction().user_notifications
            if n.user == self.road.users[login]]

    def block(self, instalment, login='nadia'):
        "Suspend the payments of the convention."
        with self.road.as_user(login):
            Pool().get('grant.hold').place(
                [instalment.convention], 'bank', "RIB douteux")
        forget()


class TaskTestCase(TaskCase):

    def test_at_once(self):
        "Few records, and callers without a screen, have their answer at once"
        with self.on_screen('claire'):
            self.assertIsNone(self.advances[0].__class__.certify(
                    self.advances[:5]))
        self.assertEqual(self.states(), ['certified'] * 5 + ['planned'] * 2)
        with self.road.as_user('claire'):
            self.advances[0].__class__.certify(self.advances[5:])
        self.road.press('paul', self.advances, 'approve')
        self.assertEqual(set(self.states()), {'approved'})
        self.assertFalse(Pool().get('grant.task').search([]))
        self.assertFalse(self.calls())

    def test_chunks(self):
        "Seven by threes: each call does one chunk and asks for the next"
        task = self.ask('claire', 'certify')
        self.assertEqual(task.user, self.road.users['claire'])
        self.assertEqual(task.kind, 'certify')
        self.assertEqual(self.counts(task), ('waiting', 0, 0, 7))
        self.assertEqual(set(self.states()), {'planned'})
        for state, done, progress in [
                ('running', 0, 0), ('running', 3, 0.42),
                ('running', 6, 0.85), ('done', 7, 1)]:
            call, = self.calls()
            call.run()
            self.assertEqual(self.counts(task), (state, done, 0, 7 - done))
            self.assertEqual(self.read(task).progress, progress)
            self.assertEqual(self.states().count('certified'), done)
        self.assertFalse(self.calls())
        task = self.read(task)
        self.assertTrue(task.started_on)
        self.assertTrue(task.ended_on)
        self.assertFalse(task.lines)
        self.assertEqual(
            {i.certified_by for i in self.advances},
            {self.road.users['claire']})
        notification, = self.notifications('claire')
        self.assertIn("7 faits, 0 refusés", notification.label)

    def test_verdicts(self):
        "One line for each that is refused, in French; the others are done"
        refused = [self.advances[n] for n in [1, 5, 6]]
        for instalment in refused:
            self.block(instalment)
        task = self.ask('claire', 'certify')
        self.work()
        self.assertEqual(self.counts(task), ('done', 4, 3, 0))
        task = self.read(task)
        self.assertEqual([line.record for line in task.lines], refused)
        for line, instalment in zip(task.lines, refused, strict=True):
            self.assertIn(instalment.rec_name, line.message)
            self.assertIn("Doute sur le compte bancaire", line.message)
            self.assertEqual(line.message.count("\n"), 1)
        self.assertEqual(
            [i for i in self.advances if i.state == 'planned'], refused)
        self.assertEqual(Pool().get('account.payment').search(
                [('instalment', 'in', self.ids)], count=True), 4)
        notification, = self.notifications('claire')
        self.assertIn("4 faits, 3 refusés", notification.label)

    def test_ceiling(self):
        "What the credits pay is approved, in the order of the selection"
        self.road.press('claire', self.advances, 'certify')
        envelope = self.road.envelope
        with self.road.system():
            movement, = envelope.movements
            Transaction().connection.cursor().execute(
                'UPDATE grant_envelope_movement SET payment_credit = 5000 '
                f'WHERE id = {movement.id}')
        forget()
        task = self.ask('paul', 'approve')
        self.work()
        self.assertEqual(self.counts(task), ('done', 5, 2, 0))
        self.assertEqual(
            self.states(), ['approved'] * 5 + ['certified'] * 2)

    def test_duties(self):
        "Who certifies does not approve, by the queue either"
        user = self.road.create_user(
            'double', ['group_officer', 'group_finance'])
        with self.road.as_user('double'):
            self.advances[0].__class__.certify(self.advances[:2])
        self.road.press('claire', self.advances[2:], 'certify')
        task = self.ask('double', 'approve')
        self.work()
        self.assertEqual(self.counts(task), ('done', 5, 2, 0))
        self.assertEqual(
            self.states(), ['certified'] * 2 + ['approved'] * 5)
        for line in self.read(task).lines:
            self.assertIn(user.name, line.message)
        self.assertEqual({
                a.user for i in self.advances for a in i.approvals}, {user})

    def test_groups(self):
        "The groups of the button are asked for at once"
        for login in ['paul', 'lea', 'sophie', 'jean']:
            with self.subTest(login=login), self.forbidden():
                self.ask(login, 'certify')
        self.road.press('claire', self.advances, 'certify')
        for login in ['claire', 'lea', 'alice']:
            with self.subTest(login=login), self.forbidden():
                self.ask(login, 'approve')
        self.assertFalse(self.calls())

    @contextmanager
    def broken(self, id_):
        "An error that nobody foresaw, on one instalment"
        Instalment = Pool().get('grant.instalment')
        create = Instalment._create_payments

        def fail(instalments):
            create(instalments)
            if id_ in {i.id for i in instalments}:
                raise RuntimeError("secret")
        with patch.object(Instalment, '_create_payments', fail), \
                patch('trytond.modules.pacte_grants.task.logger'):
            yield

    def test_failure(self):
        "An error interrupts; resuming does what is left, and nothing twice"
        task = self.ask('claire', 'certify')
        with self.broken(self.ids[4]):
            self.work()
        self.assertEqual(self.counts(task), ('failed', 3, 0, 4))
        self.assertEqual(self.states(), ['certified'] * 3 + ['planned'] * 4)
        task = self.read(task)
        self.assertIn("erreur imprévue", task.error)
        self.assertNotIn("secret", task.error)
        notification, = self.notifications('claire')
        self.assertIn("4 restants", notification.label)
        for login in ['olivier', 'paul']:
            with self.subTest(login=login), \
                    self.refused(DutyError, 'task_not_mine', "Claire"):
                self.press(login, task, 'resume')
        with self.forbidden():
            self.press('alice', task, 'resume')
        task = self.press('claire', task, 'resume')
        self.assertEqual((task.state, task.error), ('waiting', None))
        self.work()
        self.assertEqual(self.counts(task), ('done', 7, 0, 0))
        self.assertEqual(set(self.states()), {'certified'})
        self.assertEqual(Pool().get('account.payment').search(
                [('instalment', 'in', self.ids)], count=True), 7)

    def test_stop(self):
        "What is done stays done; a call that waited does nothing"
        task = self.ask('claire', 'certify')
        self.work(2)
        with self.refused(DutyError, 'task_not_mine', "Claire"):
            self.press('marc', task, 'stop')
        with self.forbidden():
            self.press('lea', task, 'stop')
        task = self.press('claire', task, 'stop')
        self.assertIn("Arrêté par Claire", task.error)
        self.assertEqual(self.work(), 1)
        self.assertEqual(self.counts(task), ('failed', 3, 0, 4))
        task = self.press('claire', task, 'resume')
        self.work()
        self.assertEqual(self.counts(task), ('done', 7, 0, 0))
        with self.refused(TransitionError), self.road.as_user('claire'), \
                Transaction().set_context(_check_access=False):
            task.__class__.stop([self.read(task)])

    def test_stop_by_administrator(self):
        task = self.ask('claire', 'certify')
        task = self.press('alice', task, 'stop')
        self.assertIn("Arrêté par Alice", task.error)

    def test_twice(self):
        "A call that comes again finds another position"
        Task = Pool().get('grant.task')
        task = self.ask('claire', 'certify')
        self.work(2)
        Task.work([self.read(task)], 0)
        self.assertEqual(self.counts(task), ('running', 3, 0, 4))
        with self.road.system():
            # Somebody did one meanwhile: its verdict is a refusal.
            self.road.press('olivier', self.advances[3], 'certify')
        self.work()
        self.assertEqual(self.counts(task), ('done', 6, 1, 0))
        self.assertEqual(
            [line.record.id for line in self.read(task).lines],
            [self.ids[3]])

    def test_stalled(self):
        "A task whose worker died may be resumed, without doubling"
        Task = Pool().get('grant.task')
        task = self.ask('claire', 'certify')
        self.work(2)
        Pool().get('ir.queue').delete(self.calls())
        with self.refused(TransitionError):
            self.press('claire', task, 'resume')
        table = Task.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.moved_on],
                [dt.datetime.now() - dt.timedelta(minutes=16)],
                where=table.id == task.id))
        forget()
        self.assertTrue(self.read(task).stalled)
        self.assertEqual(Task.search([('stalled', '=', True)]), [task])
        self.assertEqual(Task.search([('stalled', '=', False)]), [])
        self.press('claire', task, 'resume')
        self.work()
        self.assertEqual(self.counts(task), ('done', 7, 0, 0))

    def test_forged(self):
        "Nobody makes, changes or deletes a task, nor a verdict"
        Task = Pool().get('grant.task')
        task = self.ask('claire', 'certify')
        for login in self.road.users:
            with self.subTest(login=login):
                with self.forbidden(), self.road.as_user(login):
                    Task.create([{
                                'user': self.road.users['paul'].id,
                                'kind': 'approve', 'total': 1, 'done': 0,
                                'refused': 0, 'units': f'[{self.ids[0]}]'}])
                for values in [
                        {'user': self.road.users['paul'].id},
                        {'units': '[]'}, {'state': 'done'}, {'done': 7}]:
                    with self.forbidden(), self.road.as_user(login):
                        Task.write([Task(task.id)], values)
                with self.forbidden(), self.road.as_user(login):
                    Task.delete([Task(task.id)])
        self.assertNotIn('work', Task.__rpc__)
        self.assertNotIn('ask', Task.__rpc__)

    def test_mine(self):
        Task = Pool().get('grant.task')
        task = self.ask('claire', 'certify')
        for login, mine in [('claire', [task]), ('olivier', [])]:
            with self.road.as_user(login):
                self.assertEqual(Task.search([('mine', '=', True)]), mine)
                self.assertEqual(Task(task.id).mine, bool(mine))
                forget()

    def test_records(self):
        task = self.ask('claire', 'certify')
        with self.road.as_user('nadia'):
            action = task.__class__.open_records([self.read(task)])
        self.assertEqual(action['res_model'], 'grant.instalment')
        for id_ in self.ids:
            self.assertIn(str(id_), action['pyson_domain'])

    def test_cleaning(self):
        "Ended tasks go after a year, with their verdicts"
        Task = Pool().get('grant.task')
        self.block(self.advances[0])
        old, recent = (self.ask('claire', 'certify') for _ in range(2))
        self.work()
        table = Task.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.moved_on],
                [dt.datetime.now() - dt.timedelta(days=370)],
                where=table.id == old.id))
        forget()
        self.assertTrue(self.read(old).lines)
        Task.clean_monthly()
        forget()
        self.assertEqual(Task.search([]), [recent])
        self.assertEqual(
            {li.task for li in Pool().get('grant.task.line').search([])},
            {recent})

    # Batches

    def run_wizard(self, login, name, states):
        Wizard = Pool().get(name, type='wizard')
        with self.on_screen(login), Transaction().set_context(
                _check_access=False, active_model=None, active_id=None,
                active_ids=None):
            session, _, _ = Wizard.create()
            data = {}
            for state, values in states:
                data.update(values)
                result = Wizard.execute(session, data, state)
        forget()
        return result

    def prepare_all(self, login='nadia'):
        result = self.run_wizard(login, 'grant.batch.prepare', [
                ('start', {}),
                ('preview', {'start': {
                            'envelope': None, 'pay_before': None,
                            'leave_out': False}}),
                ('open_', {}),
                ])
        (action, _), = result['actions']
        return self.shown(action)

    def test_prepare(self):
        "One batch, whose lines are numbered on from chunk to chunk"
        self.approve()
        task = self.prepare_all()
        self.assertEqual(task.kind, 'prepare')
        self.work(2)
        self.assertEqual(
            [len(b.lines) for b in self.read(task).batches], [3])
        self.block(self.advances[4], 'paul')
        self.work()
        self.assertEqual(self.counts(task), ('done', 6, 1, 0))
        batch, = self.read(task).batches
        self.assertEqual(batch.prepared_by, self.road.users['nadia'])
        self.assertEqual(batch.state, 'preparation')
        self.assertEqual(
            [li.line_number for li in batch.lines], list(range(1, 7)))
        self.assertEqual(len({li.payment for li in batch.lines}), 6)
        line, = self.read(task).lines
        self.assertEqual(line.record.id, self.ids[4])

    def test_prepare_urgent(self):
        "An urgent payment goes alone, the others together"
        with self.road.as_user('marc'):
            self.advances[0].__class__.mark_urgent(
                [self.advances[1]], "Salaires")
        self.approve()
        task = self.prepare_all()
        self.work()
        self.assertEqual(self.counts(task), ('done', 7, 0, 0))
        alone, together = sorted(
            ([li.instalment.id for li in batch.lines]
                for batch in self.read(task).batches), key=len)
        self.assertEqual(alone, [self.ids[1]])
        self.assertEqual(set(together), set(self.ids) - {self.ids[1]})

    def test_prepare_by_whom(self):
        self.approve()
        with self.forbidden():
            self.prepare_all('claire')

    def test_transmit(self):
        "The batch is sealed in one go, by who asked"
        self.approve()
        task = self.prepare_all()
        self.work()
        batch, = self.read(task).batches
        task = self.ask('nadia', 'transmit', [batch])
        self.assertEqual(self.counts(task), ('waiting', 0, 0, 1))
        self.work()
        self.assertEqual(self.counts(task), ('done', 1, 0, 0))
        batch = self.read(batch)
        self.assertEqual(batch.state, 'transmitted')
        self.assertEqual(batch.transmitted_by, self.road.users['nadia'])
        self.assertEqual(batch.file_total, 7000)
        self.assertEqual(set(self.states()), {'paying'})
        rows, trailer = self.read_batch(batch)
        self.assertEqual(len(rows), 7)

    def test_process(self):
        "Sending is preparing, then transmitting what was accepted"
        self.approve()
        task = self.ask('nadia', 'process')
        self.block(self.advances[0], 'paul')
        self.work()
        self.assertEqual(self.counts(task), ('done', 6, 1, 0))
        self.assertEqual(self.states(), ['approved'] + ['paying'] * 6)
        second, = task.__class__.search([('id', '!=', task.id)])
        self.assertEqual(second.kind, 'transmit')
        self.assertEqual(self.counts(second), ('done', 1, 0, 0))
        batch, = self.read(task).batches
        self.assertEqual(batch.state, 'transmitted')

    def import_task(self, data, login='nadia'):
        result = self.run_wizard(login, 'grant.return.import', [
                ('start', {}),
                ('preview', {'start': {'name': 'retour.csv', 'file': data}}),
                ('import_', {}),
                ])
        (action, _), = result['actions']
        return self.shown(action)

    def test_import(self):
        "One return with all its answers; what does not fit is said"
        batch = self.transmit()
        rows = [self.paid(batch, n) for n in range(1, 8)]
        rows[2]['paid_amount'] = '999,00'
        rows.append(rows[0] | {'line_no': 99})
        task = self.import_task(answers(*rows))
        self.work(2)
        self.assertEqual(self.counts(task), ('running', 2, 1, 5))
        self.work()
        self.assertEqual(self.counts(task), ('done', 6, 2, 0))
        task = self.read(task)
        self.assertEqual(task.return_.name, 'retour.csv')
        self.assertEqual(len(task.return_.lines), 8)
        self.assertEqual(task.return_.anomaly_count, 2)
        self.assertIsNone(task.file)
        mismatch, unknown = task.lines
        self.assertEqual(mismatch.record.line_number, 3)
        self.assertIsNone(unknown.record)
        self.assertIn("99", unknown.message)
        self.assertEqual(self.states().count('paid'), 6)
        again = self.import_task(answers(*rows))
        self.work()
        self.assertFalse([
                li for li in self.read(again).return_.lines
                if li.verdict == 'applied'])
        self.assertEqual(self.states().count('paid'), 6)

    def test_import_resumed(self):
        "Interrupted in the middle, a return goes on in the same one"
        batch = self.transmit()
        data = answers(*[self.paid(batch, n) for n in range(1, 8)])
        task = self.import_task(data)
        self.work(2)
        task = self.press('nadia', task, 'stop')
        self.work()
        self.press('nadia', task, 'resume')
        self.work()
        self.assertEqual(self.counts(task), ('done', 7, 0, 0))
        self.assertEqual(len(self.read(task).return_.lines), 7)
        self.assertEqual(self.read(batch).state, 'closed')


class QueriesTestCase(TaskCase):
    "A chunk of ten reads as many times as one of sixty"
    count = 60

    @classmethod
    def prepare(cls):
        cls.road.use_batches()
        cls.ids = cls.road.to_instalments(cls.count)
        set_parameter('TASK_THRESHOLD', 5)

    def selects(self, login, button, count):
        Task = Pool().get('grant.task')
        set_parameter('TASK_CHUNK', count)
        task = self.ask(login, button, self.advances[:count])
        self.work(1)
        for _ in range(2):
            # The second time the caches are warm.
            forget()
            with attempt(), count_queries() as queries:
                Task.work([Task(task.id)], 0)
                self.assertEqual(self.counts(task)[0], 'done')
        return queries.selects

    def test_selects(self):
        for login, button in [
                ('claire', 'certify'), ('paul', 'approve'),
                ('nadia', 'process')]:
            counts = []
            for count in [10, 60]:
                with attempt():
                    counts.append(self.selects(login, button, count))
            with self.subTest(button=button, counts=counts):
                self.assertLessEqual(abs(counts[1] - counts[0]), 6)
            if button != 'process':
                self.road.press(login, self.advances, button)


@contextmanager
def worker():
    "Leave the calls in the queue for a worker."
    before = config.get('queue', 'worker')
    config.set('queue', 'worker', 'True')
    try:
        yield
    finally:
        config.set('queue', 'worker', before or 'False')


def work(department, count=None):
    """Do so many calls of the queue, or all, as the worker does; yield the
    call of each once it is done."""
    done = 0
    while done != count and (call := pull(department)):
        run_task(department.database, call)
        yield call
        done += 1


def pull(department):
    "Return the next call of the queue."
    if not is_postgresql():
        # What trytond-worker asks for is nothing that SQLite understands.
        return sqlite_worker.pull(department.database)
    with Transaction().start(department.database, 0) as transaction:
        id_, _ = Pool().get('ir.queue').pull(
            transaction.database, transaction.connection)
    return id_


@pytest.fixture(scope='module')
def instalments(department):
    "Instalments to certify, when more than five go to the queue by fours."
    with department.road() as road:
        set_parameter('TASK_THRESHOLD', 5)
        set_parameter('TASK_CHUNK', 4)
        ids = road.to_instalments(90)
    return iter([ids[i:i + 10] for i in range(0, 90, 10)])


def on_screen(department, login, button, ids):
    desk = department.desk(login)
    desk.context[WITH_TASK] = True
    try:
        return desk('grant.instalment', button, ids)
    finally:
        del desk.context[WITH_TASK]


def read_task(department, action):
    id_, = action['res_id']
    with department.road():
        task = Pool().get('grant.task')(id_)
        return task.state, task.done, task.refused


def read_states(department, ids):
    with department.road():
        return [
            i.state for i in Pool().get('grant.instalment').browse(ids)]


def test_without_worker(department, instalments):
    "Without a worker the request does it all before it answers"
    ids = next(instalments)
    action = on_screen(department, 'claire', 'certify', ids)
    assert read_task(department, action) == ('done', 10, 0)
    assert set(read_states(department, ids)) == {'certified'}
    with department.road() as road:
        notification, = Pool().get('res.notification').search([
                ('user', '=', road.users['claire'].id)])
        assert notification.model == 'grant.task'


def test_with_worker(department, instalments):
    "With one the request answers, and others see what each call has done"
    ids = next(instalments)
    with worker():
        action = on_screen(department, 'claire', 'certify', ids)
        seen = [read_task(department, action)]
        seen += [
            read_task(department, action) for _ in work(department)]
        assert seen == [
            ('waiting', 0, 0), ('running', 0, 0), ('running', 4, 0),
            ('running', 8, 0), ('done', 10, 0)]
        action = on_screen(department, 'paul', 'approve', ids)
        list(work(department))
    assert read_task(department, action) == ('done', 10, 0)
    assert set(read_states(department, ids)) == {'approved'}
    with department.road() as road:
        assert {
            a.user for i in Pool().get('grant.instalment').browse(ids)
            for a in i.approvals} == {road.users['paul']}


def test_session(department, instalments):
    "Approving and resuming ask again who it is"
    ids = next(instalments)
    department.desk('claire')('grant.instalment', 'certify', ids)
    before = config.get('session', 'timeout')
    with worker():
        department.desk('nadia')
        config.set('session', 'timeout', '0')
        time.sleep(1.1)
        try:
            with pytest.raises(RuntimeError, match='401'):
                on_screen(department, 'nadia', 'approve', ids)
            with pytest.raises(RuntimeError, match='401'):
                department.desk('nadia')('grant.task', 'resume', [1])
        finally:
            config.set('session', 'timeout', before)
        assert not pull(department)


def test_stop_between(department, instalments):
    "Stopped from another desk, a call that was pulled does nothing"
    ids = next(instalments)
    with worker():
        action = on_screen(department, 'claire', 'certify', ids)
        list(work(department, 2))
        call = pull(department)
        with pytest.raises(Refusal):
            department.desk('olivier')('grant.task', 'stop', action['res_id'])
        id_, = action['res_id']
        claire = department.desk('claire')
        # What the client says that it read is older than the last chunk.
        claire.context['_timestamp'] = {f'grant.task,{id_}': '1.0'}
        try:
            claire('grant.task', 'stop', [id_])
        finally:
            del claire.context['_timestamp']
        run_task(department.database, call)
        assert read_task(department, action) == ('failed', 4, 0)
        assert not pull(department)
        department.desk('claire')('grant.task', 'resume', action['res_id'])
        list(work(department))
    assert read_task(department, action) == ('done', 10, 0)
    assert set(read_states(department, ids)) == {'certified'}


def test_stop_during(department, instalments):
    "Stopped while the worker works: it has its turn between two chunks"
    ids = next(instalments)
    with worker():
        action = on_screen(department, 'claire', 'certify', ids)
        claire = department.desk('claire')
        assert not at_once(
            lambda: list(work(department)),
            lambda: claire('grant.task', 'stop', action['res_id']))
        state, done, refused = read_task(department, action)
        assert (state, refused) == ('failed', 0)
        assert done < 10
        assert read_states(department, ids).count('certified') == done
        claire('grant.task', 'resume', action['res_id'])
        list(work(department))
    assert read_task(department, action) == ('done', 10, 0)


def change_user(department, login, values):
    with department.road() as road:
        Pool().get('res.user').write([road.users[login]], values)


def test_group_lost(department, instalments):
    "Rights are those of the moment at which the work is done"
    ids = next(instalments)
    with department.road() as road:
        groups = [g.id for g in road.fresh(road.users['olivier']).groups]
    with worker():
        action = on_screen(department, 'olivier', 'certify', ids)
        list(work(department, 2))
        change_user(department, 'olivier', {'groups': [('remove', groups)]})
        try:
            list(work(department))
        finally:
            change_user(department, 'olivier', {'groups': [('add', groups)]})
    assert read_task(department, action) == ('done', 4, 6)
    assert read_states(department, ids).count('certified') == 4
    with department.road():
        task = Pool().get('grant.task')(action['res_id'][0])
        assert {li.record.id for li in task.lines} == set(ids[4:])


def test_same_person(department, instalments):
    "Who certified approves nothing, although the queue does it"
    ids = next(instalments)
    with department.road() as road:
        robin = road.create_user(
            'robin', ['group_officer', 'group_finance'])
        robin.password = PASSWORD
        robin.save()
    with worker():
        action = on_screen(department, 'robin', 'certify', ids[:6])
        list(work(department))
        assert read_task(department, action) == ('done', 6, 0)
        department.desk('claire')('grant.instalment', 'certify', ids[6:])
        action = on_screen(department, 'robin', 'approve', ids)
        list(work(department))
    assert read_task(department, action) == ('done', 4, 6)
    assert read_states(department, ids) == (
        ['certified'] * 6 + ['approved'] * 4)
    with department.road() as road:
        task = Pool().get('grant.task')(action['res_id'][0])
        assert task.user == road.users['robin']
        assert [li.record.id for li in task.lines] == ids[:6]
        assert not Pool().get('grant.approval').search([
                ('instalment', 'in', ids[:6])])


def test_wrong_user(department, instalments):
    "A call that is queued behind the buttons has the rights of its user"
    ids = next(instalments)
    department.desk('claire')('grant.instalment', 'certify', ids)
    with worker():
        with department.road() as road:
            Task = Pool().get('grant.task')
            with road.system():
                task, = Task.create([{
                            'company': road.company.id,
                            'user': road.users['claire'].id,
                            'kind': 'approve', 'total': len(ids),
                            'units': json.dumps(ids),
                            'asked_on': now(), 'moved_on': now(),
                            'done': 0, 'refused': 0}])
            task._call()
        list(work(department))
    assert read_task(department, {'res_id': [task.id]}) == ('done', 0, 10)
    assert set(read_states(department, ids)) == {'certified'}


def test_user_gone(department, instalments):
    "Who may not log in any more does nothing more"
    ids = next(instalments)
    with worker():
        action = on_screen(department, 'olivier', 'certify', ids)
        list(work(department, 2))
        change_user(department, 'olivier', {'active': False})
        try:
            list(work(department))
        finally:
            change_user(department, 'olivier', {'active': True})
    assert read_task(department, action) == ('failed', 4, 0)
    with department.road():
        task = Pool().get('grant.task')(action['res_id'][0])
        assert "n’a plus accès" in task.error


del TaskCase, BatchCase
