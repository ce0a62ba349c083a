# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The users of the demonstration at work: each act is a request of one."
from contextlib import contextmanager

from trytond.pool import Pool
from trytond.transaction import Transaction


class Office:

    def __init__(self, company, users):
        self.company = company
        self.users = users
        self._contexts = {}

    @contextmanager
    def installation(self):
        "What is set up with the database, before anybody logs in."
        with Transaction().set_user(1), Transaction().set_context(
                company=self.company.id, language='fr',
                _check_access=False):
            yield

    @contextmanager
    def user(self, login):
        "A request of the user, with every check of access."
        user = self.users[login]
        transaction = Transaction()
        with transaction.set_user(user.id):
            if login not in self._contexts:
                self._contexts[login] = Pool().get(
                    'res.user').get_preferences(context_only=True)
            with transaction.set_context(
                    self._contexts[login], _check_access=True):
                yield

    def create(self, login, model, values):
        "Create one record as the user."
        with self.user(login):
            record, = Pool().get(model).create([values])
        return self.fresh(record)

    def write(self, login, record, **values):
        Model = record.__class__
        with self.user(login):
            Model.write([Model(record.id)], values)

    def press(self, login, records, button):
        "Press the button on the records."
        Model = records[0].__class__
        with self.user(login):
            getattr(Model, button)(Model.browse([r.id for r in records]))

    def fresh(self, record):
        "Return the record read anew, with the rights of the installation."
        with self.installation():
            return record.__class__(record.id)
