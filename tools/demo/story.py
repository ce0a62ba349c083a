# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Dossiers that go on at the same time, day after day.

The life of a dossier is a generator.  It yields either the date on which it
goes on or an act, ``(login, record, button)``: what a user does the same day
on several records is done in one go, as from a list.
"""
import datetime as dt
import heapq
from itertools import count


class Story:

    def __init__(self, office, clock):
        self.office = office
        self.clock = clock
        self._rank = count()
        self._waiting = []

    def add(self, date, life):
        heapq.heappush(self._waiting, (date, next(self._rank), life))

    def run(self):
        "Live until today; what would come later does not happen."
        while self._waiting and self._waiting[0][0] <= self.clock.today:
            date = self._waiting[0][0]
            self.clock.set(date)
            lives = []
            while self._waiting and self._waiting[0][0] == date:
                lives.append(heapq.heappop(self._waiting)[-1])
            while lives:
                lives = self._act(lives)
        for _, _, life in self._waiting:
            life.close()

    def _act(self, lives):
        "Do the next acts of the lives; return those that have not finished."
        acts = {}
        with self.office.installation():
            for life in lives:
                try:
                    step = next(life)
                except StopIteration:
                    continue
                if isinstance(step, dt.date):
                    self.add(max(step, self.clock.day), life)
                else:
                    login, record, button = step
                    acts.setdefault(
                        (login, record.__name__, button), []).append(
                        (record, life))
        going_on = []
        for (login, _, button), done in acts.items():
            self.office.press(login, [r for r, _ in done], button)
            going_on.extend(life for _, life in done)
        return going_on
