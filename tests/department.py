# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""A department whose users work at the same time: on PostgreSQL, or on an
SQLite file, since one in memory belongs to a single thread."""

import shutil
import sqlite3
from contextlib import closing, contextmanager
from decimal import Decimal
from functools import partial
from unittest.mock import patch

import pytest
from trytond import backend, config
from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME, activate_module, drop_db
from trytond.transaction import Transaction

from .refusal import shared
from .road import Road
from .rpc import Desk
from .tools import is_postgresql

PASSWORD = 'Terril-de-Loos-11/19'
FINANCE = [f'finance{i}' for i in range(10)]


@pytest.fixture(scope='module')
def database(tmp_path_factory):
    "The name of a database with the module, in French, for threads."
    drop_db()
    activate_module('pacte_grants', lang='fr')
    if is_postgresql():
        name = f'{DB_NAME}_department'
        # It is not that of the tests which share a road without committing.
        backend.Database(DB_NAME).close()
        with Transaction().start(
                None, 0, close=True, autocommit=True) as transaction:
            transaction.database.create(
                transaction.connection, name, DB_NAME)
        drop_db()
        Pool(name).init()
        try:
            yield name
        finally:
            shared.close()
            drop_db(name)
        return
    name = 'concurrency'
    folder = tmp_path_factory.mktemp('database')
    with Transaction().start(DB_NAME, 0) as transaction, closing(
            sqlite3.connect(folder / f'{name}.sqlite')) as file:
        transaction.connection.backup(file)
    drop_db()
    path = config.get('database', 'path')
    config.set('database', 'path', str(folder))
    try:
        Pool(name).init()
        yield name
        Pool.stop(name)
    finally:
        config.set('database', 'path', path)


class Department:
    "A road in the database and the desks of its users."

    def __init__(self, database):
        self.database = database
        self._desks = {}
        with Transaction().start(database, 1):
            self._road = Road(authorised=Decimal(10 ** 6))
            for login in FINANCE:
                self._road.create_user(login, ['group_finance'])
            for user in self._road.users.values():
                user.password = PASSWORD
            Pool().get('res.user').save(list(self._road.users.values()))

    @contextmanager
    def road(self):
        "The road, in one transaction; messages are in French."
        with Transaction().start(self.database, 1), self._road.system(), \
                Transaction().set_context(language='fr'):
            yield self._road

    def desk(self, login):
        if login not in self._desks:
            self._desks[login] = Desk(self.database, login, PASSWORD)
        return self._desks[login]


@pytest.fixture(scope='module')
def department(database):
    assert config.getint('database', 'retry') == 50
    # No PDF is needed here, and LibreOffice takes its time.
    def which(name, *args, which=shutil.which, **kwargs):
        return None if name == 'soffice' else which(name, *args, **kwargs)
    with patch('shutil.which', which):
        yield Department(database)


def press(desk, record, button):
    "Return a request of the button on the record."
    return partial(desk, record.__name__, button, [record.id])
