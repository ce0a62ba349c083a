# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Do the calls of the queue of an SQLite database, one after the other.

    python -m tools.worker --config FILE --database NAME

trytond-worker waits for a notification of the database, which SQLite has not:
the demonstration looks from time to time whether there is something to do.
With PostgreSQL it is trytond-worker that works.
"""
import argparse
import logging
import os
import signal
import time

from trytond import backend, config
from trytond.pool import Pool
from trytond.transaction import Transaction
from trytond.worker import run_task

# Seconds
PAUSE = 0.5

logger = logging.getLogger(__name__)


def pull(database):
    "Take the oldest call of the queue; return its id, ``None`` without one."
    with Transaction().start(database, 0):
        Queue = Pool().get('ir.queue')
        now = Queue.default_enqueued_at()
        calls = Queue.search([
                ('dequeued_at', '=', None),
                ['OR',
                    ('scheduled_at', '=', None),
                    ('scheduled_at', '<=', now),
                    ],
                ], order=[('id', 'ASC')], limit=1)
        for call in calls:
            call.dequeued_at = now
            call.save()
            return call.id


def work(database):
    "Do what there is to do; return whether there was something."
    try:
        call = pull(database)
    except backend.DatabaseOperationalError:
        logger.info("the database is busy")
        return False
    if call is not None:
        run_task(database, call)
    return call is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', required=True)
    parser.add_argument('--database', required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    config.update_etc(options.config)
    with Transaction().start(options.database, 0, readonly=True):
        Pool(options.database).init()
    parent = os.getppid()
    ends = []
    for number in [signal.SIGINT, signal.SIGTERM]:
        signal.signal(number, lambda *args: ends.append(args))
    # Neither a signal nor the end of who started it cuts a call short.
    while not ends and os.getppid() == parent:
        if not work(options.database):
            time.sleep(PAUSE)


if __name__ == '__main__':
    main()
