# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Requests of users as the clients make them: through the WSGI application,
with a session, over the dispatcher that starts a transaction again when the
database asks for it."""

import base64
import json
import threading
import time

from trytond.protocols.jsonrpc import JSONDecoder, JSONEncoder
from trytond.tests.test_tryton import Client, Response
from trytond.wsgi import app


class Refusal(Exception):
    "A UserError, as the client shows it."


class Desk:
    "The session of a user, open on a database."

    def __init__(self, database, login, password):
        self._url = f'/{database}/rpc/'
        self._headers = {}
        user_id, token, _ = self._post(
            'common.db.login', [login, {'password': password}])
        session = base64.b64encode(f'{login}:{user_id}:{token}'.encode())
        self._headers = {'Authorization': f'Session {session.decode()}'}
        self.context = {}
        self.context = self('res.user', 'get_preferences', True)

    def __call__(self, model, method, *args):
        """Call the method of the model and return what it answers.

        Raise ``Refusal`` for an error that is meant for the user, and
        ``RuntimeError`` for any other.
        """
        return self._post(f'model.{model}.{method}', [*args, self.context])

    def _post(self, method, params):
        response = Client(app, Response).post(
            self._url, headers=self._headers,
            content_type='application/json',
            data=json.dumps(
                {'id': 1, 'method': method, 'params': params},
                cls=JSONEncoder))
        if response.status_code != 200:
            raise RuntimeError(f'{method}: {response.status}')
        answer = json.loads(
            response.get_data(as_text=True), object_hook=JSONDecoder())
        if error := answer.get('error'):
            if error[0] == 'UserError':
                raise Refusal(error[1][0])
            raise RuntimeError(f'{method}: {error}')
        return answer['result']


def at_once(*calls, timeout=120):
    """Start the calls at the same moment, each in its thread.

    Return the refusals.  Raise the first error that is no refusal, or
    ``TimeoutError`` if the calls do not end in time (seconds).
    """
    barrier = threading.Barrier(len(calls))
    errors = []

    def run(call):
        try:
            barrier.wait(timeout)
            call()
        except Exception as error:
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=[call], daemon=True)
        for call in calls]
    for thread in threads:
        thread.start()
    end = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError(f'after {timeout} s')
    for error in errors:
        if not isinstance(error, Refusal):
            raise error
    return errors
