# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Helpers of the tests."

import re
from contextlib import contextmanager
from unittest.mock import patch

from trytond import backend
from trytond.transaction import Transaction

_SELECT = re.compile(r'\s*(SELECT|WITH)\b', re.IGNORECASE)
_UPDATE = re.compile(r'\s*UPDATE\b', re.IGNORECASE)
_INSERT = re.compile(r'\s*INSERT\b', re.IGNORECASE)
_LOG = re.compile(r'"ir_model_log"')


class Queries(list):
    """The SQL statements that a block ran, those of ir.model.log left out.

    ``rows`` is how many rows they returned.
    """

    def __init__(self):
        super().__init__()
        self.rows = 0

    def _count(self, pattern):
        return sum(bool(pattern.match(query)) for query in self)

    @property
    def selects(self):
        return self._count(_SELECT)

    @property
    def inserts(self):
        return self._count(_INSERT)

    @property
    def updates(self):
        return self._count(_UPDATE)


class _Cursor:
    "A cursor that writes down what it executes."

    def __init__(self, cursor, queries):
        self._cursor = cursor
        self._queries = queries

    def _record(self, sql):
        sql = str(sql)
        if not _LOG.search(sql):
            self._queries.append(sql)

    def execute(self, sql, *args, **kwargs):
        self._record(sql)
        return self._cursor.execute(sql, *args, **kwargs)

    def executemany(self, sql, *args, **kwargs):
        self._record(sql)
        return self._cursor.executemany(sql, *args, **kwargs)

    def fetchone(self):
        row = self._cursor.fetchone()
        self._queries.rows += row is not None
        return row

    def fetchmany(self, *args, **kwargs):
        rows = self._cursor.fetchmany(*args, **kwargs)
        self._queries.rows += len(rows)
        return rows

    def fetchall(self):
        rows = self._cursor.fetchall()
        self._queries.rows += len(rows)
        return rows

    def __getattr__(self, name):
        return getattr(self._cursor, name)

    def __iter__(self):
        for row in self._cursor:
            self._queries.rows += 1
            yield row

    def __enter__(self):
        self._cursor.__enter__()
        return self

    def __exit__(self, *args):
        return self._cursor.__exit__(*args)


class _Connection:
    "A connection whose cursors write down what they execute."

    def __init__(self, connection, queries):
        self._connection = connection
        self._queries = queries

    def cursor(self, *args, **kwargs):
        return _Cursor(
            self._connection.cursor(*args, **kwargs), self._queries)

    def __getattr__(self, name):
        return getattr(self._connection, name)


@contextmanager
def count_queries():
    """Record the SQL that the current transaction runs in the block.

    Yields a list of statements with the counts selects, inserts, updates and
    rows.
    Run the code once before, so that the caches are warm.
    """
    transaction = Transaction()
    queries = Queries()
    connection = transaction.connection
    with patch.object(
            transaction, 'connection', _Connection(connection, queries)):
        yield queries


def count_selects(function, *args):
    """Number of SELECTs of a second call of function; the first warms up.

    The function has to browse its records itself: instances remember what
    they read.
    """
    function(*args)
    forget_records()
    with count_queries() as queries:
        function(*args)
    return queries.selects


def forget_records():
    "Forget what the transaction read, keep the caches of the process."
    for cache in Transaction().cache.values():
        cache.clear()


def is_postgresql():
    return backend.name == 'postgresql'
