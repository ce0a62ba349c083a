# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What a refusal looks like: an error, a message in French, nothing changed."
import re
from contextlib import ExitStack, contextmanager
from itertools import count

from trytond import config
from trytond.cache import Cache
from trytond.i18n import gettext
from trytond.model.exceptions import AccessButtonError, AccessError
from trytond.pool import Pool
from trytond.tests.test_tryton import DB_NAME, TestCase, activate_module
from trytond.transaction import Transaction

from .road import Road

# What Tryton runs where the configuration says nothing
CONVERT = (
    'soffice --headless --nolockcheck --nodefault --norestore '
    '--convert-to "%(output_extension)s" --outdir "%(directory)s" '
    '"%(input_path)s"')
_counter = count()
_NAMES = re.compile(r'%\(\w+\)s')


def message_pattern(id_):
    "The message in the language of the context, as a regular expression."
    text = gettext(f'pacte_grants.msg_{id_}')
    return re.compile(
        '.*?'.join(re.escape(part) for part in _NAMES.split(text)),
        re.DOTALL)


@contextmanager
def attempt():
    "What the block wrote is given up at its end, as for a failed request."
    transaction = Transaction()
    cursor = transaction.connection.cursor()
    name = f'attempt_{next(_counter)}'
    cursor.execute(f'SAVEPOINT {name}')
    try:
        yield
    finally:
        cursor.execute(f'ROLLBACK TO SAVEPOINT {name}')
        cursor.execute(f'RELEASE SAVEPOINT {name}')
        forget()


@contextmanager
def without_converter():
    "Documents stay in ODT: a PDF takes seconds."
    before = config.get('report', 'convert_command', default=CONVERT)
    config.set(
        'report', 'convert_command', 'no-such-converter "%(input_path)s"')
    try:
        yield
    finally:
        config.set('report', 'convert_command', before)


def forget():
    "Forget what the transaction read."
    transaction = Transaction()
    for cache in transaction.cache.values():
        cache.clear()
    transaction.create_records.clear()
    transaction.delete_records.clear()


def set_state(record, state, **values):
    "Put the record in the state behind the back of every rule."
    table = record.__table__()
    names = ['state', *values]
    cursor = Transaction().connection.cursor()
    cursor.execute(*table.update(
            [getattr(table, n) for n in names],
            [state, *values.values()],
            where=table.id == record.id))
    record._local_cache.pop(record.id, None)
    forget()
    return record.__class__(record.id)


class Dossier:
    "The records of a dossier by name, read anew each time."

    def __init__(self, **records):
        self._records = {
            name: (record.__name__, record.id)
            for name, record in records.items()}

    def __getattr__(self, name):
        try:
            model, id_ = self._records[name]
        except KeyError:
            raise AttributeError(name) from None
        return Pool().get(model)(id_)

    def by_model(self):
        "The records by name of their models."
        return {
            model: getattr(self, name)
            for name, (model, _) in self._records.items()}

    @classmethod
    def of(cls, convention, **others):
        "Everything that belongs to the convention, and the others."
        Link = Pool().get('bank.account-party.party')
        application, = convention.applications
        records = {
            'convention': convention,
            'application': application,
            'party': convention.party,
            'condition': convention.conditions[0],
            'instalment': convention.instalments[0],
            'tranche': convention.tranches[0],
            'budget_line': application.budget_lines[0],
            'piece': application.pieces[0],
            } | others
        if convention.objectives:
            objective = convention.objectives[0]
            records['objective'] = objective
            records['indicator'] = objective.indicators[0]
        if application.decisions:
            decision, = application.decisions
            records['decision'] = decision
            records['deliberation'] = decision.deliberation
            records['session'] = decision.deliberation.session
            records['commitment'] = decision.commitment
        links = Link.search([('owner', '=', convention.party.id)])
        if links:
            records['bank_account'] = links[0]
        return cls(**records)


class _Shared:
    """The road that the classes share, in a transaction that none of them
    commits.

    What a class writes is undone at its end, and what the caches of the
    process have learned from it is forgotten.
    """

    def __init__(self):
        self._stack = None

    def open(self):
        if self._stack:
            return
        activate_module('pacte_grants', lang='fr')
        with ExitStack() as stack:
            stack.enter_context(without_converter())
            self._transaction = stack.enter_context(
                Transaction().start(DB_NAME, 1))
            stack.callback(Cache.drop, DB_NAME)
            stack.callback(Transaction().rollback)
            self._road = Road()
            forget()
            self._caches = {
                (cache, key): list(contents[key].items())
                for cache in Cache._instances.values()
                for contents, key in self._contents(cache)
                if key in contents}
            self._stack = stack.pop_all()

    @contextmanager
    def road(self):
        "The road as nobody has used it."
        self.open()
        with attempt():
            yield self._road.copy()
        for cache in Cache._instances.values():
            for contents, key in self._contents(cache):
                contents.pop(key, None)
                if items := self._caches.get((cache, key)):
                    contents[key] = cache._database_cache.default_factory()
                    contents[key].update(items)

    def _contents(self, cache):
        "Where the cache keeps what it knows of the database."
        return [
            (cache._database_cache, DB_NAME),
            (cache._transaction_cache, self._transaction)]

    def close(self):
        "Leave the database to tests of another kind."
        if self._stack:
            stack, self._stack = self._stack, None
            stack.close()


shared = _Shared()


class RefusalCase(TestCase):
    """Test case on one road for all its tests.

    Its users speak French.  What a test writes is undone at its end, what
    it attempts in vain at the end of the attempt.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with ExitStack() as stack:
            cls.road = stack.enter_context(shared.road())
            cls.prepare()
            cls.addClassCleanup(stack.pop_all().close)

    @classmethod
    def prepare(cls):
        "Take the road as far as the tests need it."

    def setUp(self):
        super().setUp()
        stack = ExitStack()
        self.addCleanup(stack.close)
        stack.enter_context(attempt())

    @contextmanager
    def refused(self, exception, message=None, *names):
        """Check that the block is refused with the message of the module,
        in French, and that it names ``names``."""
        with Transaction().set_context(language='fr'):
            with attempt(), self.assertRaises(exception) as raised:
                yield raised
            text = str(raised.exception.message)
            if message:
                self.assertRegex(text, message_pattern(message))
            for name in names:
                self.assertIn(name, text)
            self.assertNotIn('%(', text)

    @contextmanager
    def forbidden(self):
        "Check that the block is refused for want of a right."
        with attempt(), self.assertRaises((AccessError, AccessButtonError)):
            yield

    def assertState(self, record, state):
        forget()
        self.assertEqual(record.__class__(record.id).state, state)
