# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Databases with the module activated, in seconds instead of half a minute.

trytond's tests restore a database that they activated before from DB_CACHE.
Here that cache has two floors, folders of .cache/: the modules that
pacte_grants depends on, valid while their versions stay, and pacte_grants
itself, valid while its files stay.  Processes may share it.

Call use() before trytond.tests is imported.
"""

import atexit
import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from configparser import ConfigParser
from contextlib import contextmanager
from functools import partial, wraps
from importlib.metadata import distributions
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / '.cache'
MODULE = 'pacte_grants'
DAY = 24 * 60 * 60


def dependencies():
    "The modules that the module depends on."
    cfg = ConfigParser()
    cfg.read(ROOT / 'modules' / MODULE / 'tryton.cfg', encoding='utf-8')
    return sorted(cfg['tryton']['depends'].split())


def base_hash():
    "Hash of the versions of the modules below."
    versions = sorted(
        f"{d.name} {d.version}" for d in distributions()
        if d.name.lower().startswith(('trytond', 'python-sql')))
    text = ' '.join(versions + dependencies())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def module_hash():
    "Hash of all that ends up in a database of the tests."
    digest = hashlib.sha256(base_hash().encode())
    for folder, pattern in [
            (ROOT / 'modules', '**/*'),
            (ROOT / 'reports', '*.fodt'),
            (ROOT / 'tests', 'tools*.py'),
            ]:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and path.suffix != '.pyc':
                digest.update(str(path.relative_to(ROOT)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def folder(name):
    path = CACHE / name
    path.mkdir(parents=True, exist_ok=True)
    os.utime(path)
    return path


def remove_old():
    "Remove what nobody has used for a day."
    for path in CACHE.glob('*/'):
        if path.stat().st_mtime < time.time() - DAY:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def lock(name='lock'):
    with open(CACHE / name, 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def locked(function):
    "Keep a process from reading a database that another one is writing."
    @wraps(function)
    def wrapper(name):
        with lock():
            return function(name)
    return wrapper


def copied(test_tryton, pg_restore):
    """Restore a file on PostgreSQL once for the process, then copy.

    A copy by the server takes a fraction of what a restoration takes.
    """
    from trytond.transaction import Transaction

    copies = {}

    def drop():
        options, env = test_tryton._pg_options()
        for name in copies.values():
            subprocess.run(
                ['dropdb', '--if-exists', *options, name], env=env,
                check=False)

    @wraps(pg_restore)
    def restore(cache_file):
        database = test_tryton.DB_NAME
        copy = copies.get(cache_file)
        if not copy and not pg_restore(cache_file):
            return False
        with Transaction().start(
                None, 0, close=True, autocommit=True) as transaction:
            create = partial(
                transaction.database.create, transaction.connection)
            if copy:
                create(database, copy)
            else:
                copy = f'{database}_{len(copies)}'
                create(copy, database)
                copies[cache_file] = copy
        return True

    atexit.register(drop)
    return restore


def use():
    "Make trytond's tests use the cache; return the folder of the module."
    base = folder(f'base-{base_hash()}')
    own = folder(f'module-{module_hash()}')
    remove_old()
    os.environ['DB_CACHE'] = str(own)

    from trytond import backend
    from trytond.tests import test_tryton, tools

    restore_db_cache = test_tryton.restore_db_cache

    @wraps(restore_db_cache)
    def restore_anew(name):
        # A scenario restores without looking at what another test left.
        test_tryton.drop_db()
        return restore_db_cache(name)

    for function in [test_tryton.backup_db_cache, restore_anew]:
        for module in [test_tryton, tools]:
            setattr(module, function.__name__, locked(function))

    test_tryton._pg_restore = copied(test_tryton, test_tryton._pg_restore)

    create_db = test_tryton.create_db
    building = False

    @wraps(create_db)
    def create_on_base(name=test_tryton.DB_NAME, lang='en'):
        nonlocal building
        if building or test_tryton.db_exist(name):
            return create_db(name, lang)
        building = True
        try:
            with patch.object(test_tryton, 'DB_CACHE', str(base)):
                test_tryton.activate_module(dependencies(), lang=lang)
        finally:
            building = False

    test_tryton.create_db = create_on_base

    activate_module = test_tryton.activate_module

    @wraps(activate_module)
    def activate_in_language(modules, lang='en'):
        # A database left in another language would enter the cache as one
        # of this language.
        if test_tryton.db_exist():
            if language() != lang:
                test_tryton.drop_db()
            elif is_loaded(modules):
                # To load every module again takes a second.
                return
        if building or is_cached(modules, lang):
            return activate_module(modules, lang=lang)
        # One process makes the database, the others wait for it.
        with lock(f'{backend.name}.lock'):
            return activate_module(modules, lang=lang)

    test_tryton.activate_module = activate_in_language
    return own


def is_cached(modules, lang):
    "Whether the database of the module may be restored."
    from trytond.tests import test_tryton

    # As activate_module names it
    name = modules if isinstance(modules, str) else '-'.join(modules)
    if lang != 'en':
        name += f'--{lang}'
    return os.path.exists(
        test_tryton._db_cache_file(test_tryton.DB_CACHE, name))


def is_loaded(modules):
    "Whether the pool has the modules, and nothing else than what is active."
    from trytond.pool import Pool
    from trytond.tests.test_tryton import DB_NAME
    from trytond.transaction import Transaction

    pool = Pool(DB_NAME)
    if not pool.ready:
        return False
    if isinstance(modules, str):
        modules = [modules]
    with Transaction().start(DB_NAME, 0, readonly=True) as transaction:
        cursor = transaction.connection.cursor()
        cursor.execute(
            "SELECT name FROM ir_module WHERE state = 'activated'")
        activated = {name for name, in cursor}
    return set(modules) <= activated and set(
        Pool._pool_modules[DB_NAME]) == activated


def language():
    "The language of the database of the tests."
    from trytond.tests.test_tryton import DB_NAME
    from trytond.transaction import Transaction

    with Transaction().start(DB_NAME, 0, readonly=True) as transaction:
        cursor = transaction.connection.cursor()
        cursor.execute('SELECT language FROM ir_configuration')
        return cursor.fetchone()[0]
