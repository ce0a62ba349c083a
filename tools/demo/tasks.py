# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What went through the queue on the day of the demonstration."
from trytond.pool import Pool


def tell_tasks(world):
    """The officer attests one payment that may be made with others that may
    not: each of these has its reason."""
    pool = Pool()
    Instalment = pool.get('grant.instalment')
    Task = pool.get('grant.task')
    with world.office.user('claire'):
        planned = Instalment.search([
                ('state', '=', 'planned'),
                ('urgent', '=', False),
                ('convention.state', '=', 'active'),
                ], order=[('convention.number', 'ASC'), ('id', 'ASC')])
        ready = [i for i in planned if i.ready][:1]
        blocked = [i for i in planned if i.blockers][:5]
        Task.ask('certify', Instalment.browse(ready + blocked))
    work_queue()


def work_queue():
    "Do what waits in the queue, as the worker would."
    Queue = Pool().get('ir.queue')
    while calls := Queue.search(
            [('finished_at', '=', None)], order=[('id', 'ASC')]):
        for call in calls:
            call.run()
