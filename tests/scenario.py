# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What the scenarios share: a department, its users, what is refused to whom."

import datetime as dt
from contextlib import ExitStack, contextmanager

from proteus import Model
from proteus import config as pconfig
from trytond.exceptions import UserError
from trytond.model.exceptions import (
    AccessButtonError, AccessError, ValidationError)
from trytond.tests.tools import set_user
from trytond.transaction import Transaction

from tools.demo.clock import Clock

from .road import Road


@contextmanager
def server():
    "What a scenario does not tell, on the side of the server."
    config = pconfig.get_config()
    with Transaction().start(config.database_name, 1):
        yield


def create_department():
    "Return the road of a new department."
    with server():
        return Road()


def get_users(*logins):
    "Return the users of the logins."
    set_user(1)
    User = Model.get('res.user')
    users = {u.login: u for u in User.find([('login', 'in', logins)])}
    return [users[login] for login in logins]


def refused(record, button, *users):
    "Check that none of the users may press the button on the record."
    for user in users:
        set_user(user)
        try:
            record.__class__(record.id).click(button)
        except AccessButtonError:
            continue
        raise AssertionError(f"{user.login} pressed {button}")


def not_written(record, users, **values):
    """Check that none of the users may write the values on the record, even
    where the client shows them read-only."""
    config = pconfig.get_config()
    for user in users:
        set_user(user)
        try:
            config.get_proxy(record.__class__.__name__).write(
                [record.id], values, config.context)
        except (AccessError, ValidationError):
            continue
        raise AssertionError(f"{user.login} wrote {', '.join(values)}")


def reasons(function, *args):
    "Return the message with which the server refuses what the user does."
    try:
        function(*args)
    except UserError as error:
        return error.message
    raise AssertionError("it was accepted")


def start_clock():
    """Return a clock whose ``set`` moves the day that the module sees.

    It runs until the end of the process or its ``stop``.
    """
    clock = Clock(dt.date.today())
    stack = ExitStack()
    with server():
        stack.enter_context(clock.running())
    clock.stop = stack.close
    return clock
