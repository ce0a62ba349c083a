# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The date at which each act of the demonstration takes place.

The module stamps its acts with the date of the day.  While the clock runs
the day is that of the story, so that the dossiers have the dates of a year
of work instead of that of the build.
"""
import datetime as dt
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from sql import Literal

from trytond.model import modelsql
from trytond.modules.pacte_grants import mixin
from trytond.pool import Pool


class Clock:

    def __init__(self, today):
        self.today = self.day = today
        self._acts = 0

    def set(self, day):
        if day != self.day:
            self._acts = 0
        self.day = day

    def now(self):
        "The time of the act: office hours, one act after the other."
        if self.day >= self.today:
            return dt.datetime.now().replace(microsecond=0)
        self._acts += 1
        return dt.datetime.combine(self.day, dt.time(7, 30)) + dt.timedelta(
            seconds=20 * (self._acts % 1500))

    @contextmanager
    def running(self):
        "Context in which the module sees the date of the clock."
        clock = self

        class Time(dt.datetime):
            @classmethod
            def now(cls, tz=None):
                return clock.now()

        with ExitStack() as stack:
            stack.enter_context(patch.object(
                    Pool().get('ir.date'), 'today',
                    staticmethod(lambda timezone=None: clock.day)))
            stack.enter_context(patch.object(
                    mixin, 'dt', SimpleNamespace(datetime=Time)))
            stack.enter_context(patch.object(
                    modelsql, 'CurrentTimestamp',
                    lambda: Literal(clock.now())))
            yield
