# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The sessions of the demonstration, around the date of the build."
import datetime as dt

# (code, weeks before the current one, kind); negative: to come
SESSIONS = [
    ('S1', 55, 'vote'),
    ('S2', 40, 'vote'),
    ('S3', 28, 'vote'),
    ('S4', 18, 'vote'),
    ('S5', 9, 'vote'),
    ('S6', 3, 'vote'),
    ('S7', 1, 'vote'),
    ('S8', -3, 'vote'),
    ('S9', -8, 'vote'),
    ]
# The thematic commission gives an opinion some time before the vote.
OPINION_WEEKS = 5
CANCELLED_WEEKS = 14
# Weeks before the first session at which the story begins
PROLOGUE_WEEKS = 20


class Calendar:

    def __init__(self, today):
        self.today = today
        self.monday = today - dt.timedelta(days=today.weekday())
        self.dates = {code: self.weeks(n) for code, n, _ in SESSIONS}

    def weeks(self, number):
        "The Monday so many weeks before the current one."
        return self.monday - dt.timedelta(weeks=number)

    @property
    def beginning(self):
        return self.weeks(SESSIONS[0][1] + PROLOGUE_WEEKS)

    def year(self, session):
        "The budget year of what goes to the session, or of today's work."
        return (self.dates[session] if session else self.today).year

    def before_today(self, date):
        return min(date, self.today)

    def office_day(self, date):
        "The date, or the Friday before a Saturday or a Sunday."
        return date - dt.timedelta(days=max(0, date.weekday() - 4))

    def next_weekday(self, date, weekday):
        """The first such day of the week on or after the date; never after
        today."""
        return self.before_today(
            date + dt.timedelta(days=(weekday - date.weekday()) % 7))
