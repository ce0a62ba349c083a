# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What the journeys in the web client share: the server and its users."
import threading
from contextlib import contextmanager

import pytest
from trytond.wsgi import app
from werkzeug.serving import make_server

from .browser import open_browser
from .client import Client
from .department import PASSWORD


@pytest.fixture(scope='module')
def address(department):
    "Where the client is served, with the server of the tests."
    server = make_server('127.0.0.1', 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    thread.join()


@pytest.fixture(scope='module')
def browser():
    with open_browser() as open_context:
        yield open_context


@pytest.fixture
def user(browser, address, department, tmp_path):
    "Return a function that seats a user in front of the client."
    @contextmanager
    def seat(login):
        context = browser()
        client = Client(context, address, department.database)
        try:
            client.login(login, PASSWORD)
            yield client
            assert not client.errors, client.errors
        except Exception:
            client.shot(tmp_path / f'{login}.png')
            print(tmp_path / f'{login}.png')
            raise
        finally:
            context.close()
    return seat
