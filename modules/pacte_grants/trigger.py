# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What makes an instalment payable: a date, or an event and a delay after it.

The events are the notification of the year, an undertaking that is met, an
indicator that reaches its target, a financial report that is accepted, and
the share of the eligible cost that accepted reports justify (domain, §3).
Those that happen after the notification are looked for when something of the
convention moves, and the day of the event is kept on the instalment.
"""
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import without_check_access

from .condition import FULFILLED
from .exceptions import AmountError
from .objective import plain_percent
from .scheme import TRIGGERS

# Those that something else than the notification sets off
EVENTS = ['condition', 'indicator', 'report', 'cost']


def check_share(record):
    """Raise ``AmountError`` unless the share of the eligible cost is above 0
    and at most 1, where the trigger asks for one."""
    if record.trigger == 'cost' and not (
            0 < (record.trigger_share or 0) <= 1):
        raise AmountError(gettext(
                'pacte_grants.msg_trigger_share', record=record.rec_name))


class TriggerMixin:
    """An instalment with what makes it payable.

    The class has the fields ``convention`` and ``currency``.
    """
    __slots__ = ()

    trigger = fields.Selection(
        TRIGGERS, "Trigger", required=True, sort=False)
    delay = fields.Integer(
        "Delay", required=True, help="Days after what triggers it.",
        states={'invisible': Eval('trigger') == 'date'})
    date = fields.Date(
        "Date", help="The day before which it is not paid.",
        states={
            'required': Eval('trigger') == 'date',
            'invisible': Eval('trigger') != 'date',
            })
    trigger_share = fields.Numeric(
        "Justified Share", digits=(1, 4),
        help="Share of the eligible cost of the year that accepted reports "
        "and statements have to justify.",
        states={
            'required': Eval('trigger') == 'cost',
            'invisible': Eval('trigger') != 'cost',
            })
    trigger_condition = fields.Many2One(
        'grant.condition', "Awaited Undertaking", ondelete='RESTRICT',
        domain=[('convention', '=', Eval('convention', -1))],
        states={'invisible': Eval('trigger') != 'condition'})
    trigger_indicator = fields.Many2One(
        'grant.indicator', "Awaited Indicator", ondelete='RESTRICT',
        domain=[('objective.convention', '=', Eval('convention', -1))],
        states={'invisible': Eval('trigger') != 'indicator'})

    @classmethod
    def default_trigger(cls):
        return 'notification'

    @classmethod
    def default_delay(cls):
        return 0

    @classmethod
    def validate_fields(cls, records, field_names):
        super().validate_fields(records, field_names)
        if field_names is None or field_names & {'trigger', 'trigger_share'}:
            for record in records:
                check_share(record)

    def get_trigger_text(self, awaited=None):
        """Return what makes it payable after the notification, in words;
        ``awaited`` is how the text calls the undertaking or indicator."""
        if not awaited:
            awaited = self.trigger_condition or self.trigger_indicator
            awaited = awaited.rec_name if awaited else '–'
        text = gettext(
            f'pacte_grants.msg_trigger_{self.trigger}',
            awaited=awaited,
            share=plain_percent(self.trigger_share or Decimal(0)))
        if self.delay:
            text = gettext(
                'pacte_grants.msg_trigger_delay', event=text,
                delay=self.delay)
        return text

    @property
    def awaits_nothing(self):
        "Whether the event that triggers it was not chosen yet."
        return (
            self.trigger == 'condition' and not self.trigger_condition
            or self.trigger == 'indicator' and not self.trigger_indicator)


class SchemeInstalment(metaclass=PoolMeta):
    __name__ = 'grant.scheme.instalment'

    trigger_share = fields.Numeric(
        "Justified Share", digits=(1, 4),
        help="Share of the eligible cost of the year that accepted reports "
        "and statements have to justify.",
        states={
            'required': Eval('trigger') == 'cost',
            'invisible': Eval('trigger') != 'cost',
            })

    @classmethod
    def validate_fields(cls, lines, field_names):
        super().validate_fields(lines, field_names)
        if field_names is None or field_names & {'trigger', 'trigger_share'}:
            for line in lines:
                check_share(line)


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    triggered_on = fields.Date(
        "Event Of", readonly=True,
        states={'invisible': ~Eval('trigger').in_(EVENTS)},
        help="The day of the event that makes it payable.")

    @classmethod
    def follow_events(cls, conventions):
        """Look for the events that make the planned instalments of the
        conventions payable and keep their days; an event that no longer
        holds is forgotten.  What was certified keeps its day."""
        instalments = cls.search([
                ('convention', 'in', [c.id for c in conventions]),
                ('trigger', 'in', EVENTS),
                ('state', '=', 'planned'),
                ])
        days = cls._find_events(instalments)
        by_day = {}
        for instalment in instalments:
            day = days.get(instalment)
            if day != instalment.triggered_on:
                by_day.setdefault(day, []).append(instalment)
        with without_check_access():
            for day, sub in by_day.items():
                cls.write(sub, {'triggered_on': day})

    @classmethod
    def _find_events(cls, instalments):
        "Return by instalment the day of the event that makes it payable."
        Indicator = Pool().get('grant.indicator')
        days = {}
        progress = Indicator.get_progress({
                (i.trigger_indicator, i.tranche.year) for i in instalments
                if i.trigger == 'indicator' and i.trigger_indicator})
        for instalment in instalments:
            condition = instalment.trigger_condition
            indicator = instalment.trigger_indicator
            if (instalment.trigger == 'condition'
                    and condition and condition.state in FULFILLED):
                days[instalment] = condition.verified_on
            elif instalment.trigger == 'indicator' and indicator:
                reached = progress[indicator.id, instalment.tranche.year]
                if reached.attainment is not None and reached.attainment >= 1:
                    days[instalment] = reached.date
            elif instalment.trigger in {'report', 'cost'}:
                day = instalment._find_justification()
                if day:
                    days[instalment] = day
        return days

    def _find_justification(self):
        """Return the day on which the report of the year was accepted, or on
        which what was accepted came to justify the awaited share of the
        eligible cost."""
        accepted = sorted(
            (r for r in self.tranche.financial_reports
                if r.state == 'accepted'),
            key=lambda r: (r.accepted_on, r.id))
        if self.trigger == 'report':
            return next(
                (r.accepted_on for r in accepted if r.kind != 'statement'),
                None)
        FinancialReport = Pool().get('grant.financial_report')
        forecast = FinancialReport._get_costs(self.tranche)
        justified = Decimal(0)
        for report in accepted:
            realised = report.eligible_realised or Decimal(0)
            # The report of the year holds what the statements held.
            justified = (
                justified + realised if report.kind == 'statement'
                else max(justified, realised))
            if forecast and justified >= forecast * self.trigger_share:
                return report.accepted_on


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    @classmethod
    def follow_facts(cls, conventions):
        """Called with the conventions of which a fact moved on which money
        depends: an undertaking, a measure, a report."""
        Pool().get('grant.instalment').follow_events(conventions)


class Condition(metaclass=PoolMeta):
    __name__ = 'grant.condition'

    @classmethod
    def on_modification(cls, mode, conditions, field_names=None):
        super().on_modification(mode, conditions, field_names=field_names)
        if mode == 'write' and 'state' in field_names:
            Pool().get('grant.convention').follow_facts(
                list({c.convention for c in conditions}))


class Measure(metaclass=PoolMeta):
    __name__ = 'grant.measure'

    @classmethod
    def on_modification(cls, mode, measures, field_names=None):
        super().on_modification(mode, measures, field_names=field_names)
        # A correction counts once it stands in the place of what it
        # corrects.
        if mode == 'create' or (
                mode == 'write' and 'replaced_by' in field_names):
            Pool().get('grant.convention').follow_facts(
                list({m.indicator.convention for m in measures}))


class FinancialReport(metaclass=PoolMeta):
    __name__ = 'grant.financial_report'

    @classmethod
    def on_modification(cls, mode, reports, field_names=None):
        super().on_modification(mode, reports, field_names=field_names)
        if mode == 'create' or (mode == 'write' and 'state' in field_names):
            Pool().get('grant.convention').follow_facts(
                list({r.convention for r in reports}))
