# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The amounts and the schedule of an amendment, and what follows from them."
from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import Index, ModelSQL, ModelView, Unique, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta

from .amendment import DRAFT
from .check import AmountMixin, money, year_domain
from .exceptions import CeilingError
from .mixin import FrozenByMixin
from .scheme import INSTALMENT_KINDS
from .trigger import TriggerMixin


class AmendmentTranche(
        AmountMixin, FrozenByMixin, ModelSQL, ModelView):
    "The new amount of a year."
    __name__ = 'grant.amendment.tranche'
    _amounts = ('amount',)
    _frozen_by = 'amendment'

    amendment = fields.Many2One(
        'grant.amendment', "Amendment", required=True, ondelete='CASCADE')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    year = fields.Integer(
        "Year", required=True, domain=year_domain('year'))
    before = fields.Function(Monetary(
            "In Force", currency='currency', digits='currency'),
        'on_change_with_before')
    amount = Monetary(
        "As Amended", currency='currency', digits='currency', required=True)
    difference_shown = fields.Function(Monetary(
            "Difference", currency='currency', digits='currency'),
        'on_change_with_difference_shown')
    before_stored = Monetary(
        "Amount Before", currency='currency', digits='currency',
        readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('amendment')
        cls._order = [('year', 'ASC'), ('id', 'ASC')]
        cls._sql_constraints.append((
                'amendment_year_unique',
                Unique(table, table.amendment, table.year),
                'pacte_grants.msg_tranche_year_unique'))

    @fields.depends('amendment', '_parent_amendment.convention')
    def on_change_with_currency(self, name=None):
        if self.amendment and self.amendment.convention:
            return self.amendment.convention.currency

    @property
    def tranche(self):
        if self.amendment and self.amendment.convention:
            for tranche in self.amendment.convention.tranches:
                if tranche.year == self.year:
                    return tranche

    @fields.depends(
        'amendment', '_parent_amendment.convention', 'year', 'before_stored')
    def on_change_with_before(self, name=None):
        if self.before_stored is not None:
            return self.before_stored
        tranche = self.tranche
        return tranche.amount if tranche else Decimal(0)

    @fields.depends('amount', methods=['on_change_with_before'])
    def on_change_with_difference_shown(self, name=None):
        if self.amount is not None:
            return self.amount - self.on_change_with_before()

    @property
    def difference(self):
        return self.amount - self.before

    @property
    def voted(self):
        "Whether the year was voted, so that only a vote changes it."
        tranche = self.tranche
        return bool(tranche) and tranche.status == 'voted'

    @property
    def fixed(self):
        "What can no longer change: paid, under way, or reduced (euros)."
        tranche = self.tranche
        return tranche.fixed if tranche else Decimal(0)

    def get_rec_name(self, name):
        return f'{self.amendment.rec_name} / {self.year}'

    @classmethod
    def search_rec_name(cls, name, clause):
        return [('amendment.rec_name', *clause[1:])]


class AmendmentInstalment(
        TriggerMixin, AmountMixin, FrozenByMixin, ModelSQL, ModelView):
    "An instalment of the new schedule of a year."
    __name__ = 'grant.amendment.instalment'
    _amounts = ('amount',)
    _frozen_by = 'amendment'

    amendment = fields.Many2One(
        'grant.amendment', "Amendment", required=True, ondelete='CASCADE')
    convention = fields.Function(fields.Many2One(
            'grant.convention', "Convention"), 'on_change_with_convention')
    currency = fields.Function(fields.Many2One(
            'currency.currency', "Currency"), 'on_change_with_currency')
    year = fields.Integer(
        "Year", required=True, domain=year_domain('year'))
    kind = fields.Selection(
        INSTALMENT_KINDS, "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    amount = Monetary(
        "Amount", currency='currency', digits='currency', required=True)
    fixed_amount = fields.Boolean(
        "Fixed Amount",
        help="Stays the same when the amount of the year changes; the other "
        "instalments share the rest.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls.__access__.add('amendment')
        cls._order = [('year', 'ASC'), ('id', 'ASC')]
        cls._sql_indexes.add(
            Index(table, (table.amendment, Index.Equality())))

    @fields.depends('amendment', '_parent_amendment.convention')
    def on_change_with_convention(self, name=None):
        return self.amendment.convention if self.amendment else None

    @fields.depends('amendment', '_parent_amendment.convention')
    def on_change_with_currency(self, name=None):
        if self.amendment and self.amendment.convention:
            return self.amendment.convention.currency

    def get_rec_name(self, name):
        return f'{self.kind_string} {self.year}'

    def get_entry_values(self):
        "Return the values of the instalment as the text says them."
        values = self.get_values()
        del values['fixed_amount']
        share = values['trigger_share']
        return values | {
            'amount': format(self.amount.normalize(), 'f'),
            'date': values['date'].isoformat() if values['date'] else None,
            'trigger_share': (
                format(share.normalize(), 'f') if share else None),
            'trigger_condition': (
                self.trigger_condition.rec_name
                if values['trigger_condition'] else None),
            'trigger_indicator': (
                self.trigger_indicator.rec_name
                if values['trigger_indicator'] else None),
            }

    def get_values(self):
        "Return the values of the instalment."
        return {
            'kind': self.kind,
            'amount': self.amount,
            'fixed_amount': bool(self.fixed_amount),
            'trigger': self.trigger,
            'delay': 0 if self.trigger == 'date' else self.delay or 0,
            'date': self.date if self.trigger == 'date' else None,
            'trigger_share': (
                self.trigger_share if self.trigger == 'cost' else None),
            'trigger_condition': (
                self.trigger_condition.id
                if self.trigger == 'condition' and self.trigger_condition
                else None),
            'trigger_indicator': (
                self.trigger_indicator.id
                if self.trigger == 'indicator' and self.trigger_indicator
                else None),
            }


class Amendment(metaclass=PoolMeta):
    __name__ = 'grant.amendment'

    tranches = fields.One2Many(
        'grant.amendment.tranche', 'amendment', "Amounts", states=DRAFT)
    instalments = fields.One2Many(
        'grant.amendment.instalment', 'amendment', "Schedule",
        states=DRAFT,
        help="Replaces the instalments of the year that are still planned; "
        "without it the fixed amounts stay and the others keep their "
        "proportions.")

    def _amend_tranches(self, entries):
        by_year = {e['values']['year']: e for e in entries}
        for line in self.tranches:
            amount = format(line.amount.normalize(), 'f')
            if line.year in by_year:
                by_year[line.year]['values']['amount'] = amount
            else:
                entries.append({
                        'model': 'grant.tranche', 'id': -line.year,
                        'name': f'{self.convention.number} / {line.year}',
                        'values': {
                            'year': line.year, 'amount': amount,
                            'status': 'indicative'}})

    def _amend_instalments(self, entries):
        "Return the entries of the schedule as the amounts change it."
        by_id = {e['id']: e for e in entries}
        lines = {line.year: line for line in self.tranches}
        for tranche in self.convention.tranches:
            schedule = [x for x in self.instalments if x.year == tranche.year]
            planned = tranche.planned
            if schedule:
                for instalment in planned[len(schedule):]:
                    by_id.pop(instalment.id, None)
                for index, line in enumerate(schedule):
                    known = index < len(planned)
                    key = planned[index].id if known else -line.id
                    by_id[key] = {
                        'model': 'grant.instalment', 'id': key,
                        'name': (
                            f'{self.convention.number} – {line.rec_name}'),
                        'values': {
                            'tranche': tranche.rec_name,
                            **line.get_entry_values()},
                        }
            elif tranche.year in lines and planned:
                parts = tranche.split_planned(lines[tranche.year].amount)
                # What the schedule does not allow is said as a gap.
                for instalment, part in zip(planned, parts or []):
                    by_id[instalment.id]['values']['amount'] = format(
                        part.normalize(), 'f')
        years = {t.year for t in self.convention.tranches}
        for line in self.tranches:
            if line.year not in years:
                for index, instalment in enumerate(self._new_schedule(line)):
                    by_id[line.year, index] = {
                        'model': 'grant.instalment',
                        'id': f'{line.year}/{index}',
                        'name': (
                            f'{self.convention.number} – '
                            f'{instalment.get_rec_name(None)}'),
                        'values': {
                            'tranche': (
                                f'{self.convention.number} / {line.year}'),
                            **instalment.get_entry_values()},
                        }
        return list(by_id.values())

    def _new_schedule(self, line):
        "Return the instalments of a year that the convention has not yet."
        pool = Pool()
        Instalment = pool.get('grant.instalment')
        Line = pool.get('grant.amendment.instalment')
        schedule = [i for i in self.instalments if i.year == line.year]
        return schedule or [
            Line(year=line.year, **values)
            for values in Instalment.template_values(
                self.convention.scheme, line.year, line.amount)]

    def _get_schedule_gaps(self):
        """Return the years whose new amount or schedule no longer fits what
        is paid, in sentences."""
        gaps = []
        tranches = {t.year: t for t in self.convention.tranches}
        lines = {line.year: line for line in self.tranches}
        scheduled = defaultdict(Decimal)
        for instalment in self.instalments:
            scheduled[instalment.year] += instalment.amount
        for line in self.tranches:
            if line.amount < line.fixed:
                gaps.append(gettext(
                        'pacte_grants.msg_amendment_below_paid',
                        year=line.year, amount=money(line.amount),
                        fixed=money(line.fixed)))
            elif line.year in tranches and line.amount > line.fixed and (
                    not tranches[line.year].planned):
                # Nothing is left that could grow.
                scheduled[line.year] += 0
            elif line.year in tranches and line.year not in scheduled:
                if gap := tranches[line.year].get_schedule_gap(line.amount):
                    gaps.append(gap)
        for year, amount in sorted(scheduled.items()):
            due = Decimal(0)
            if year in lines:
                due = lines[year].amount - lines[year].fixed
            elif year in tranches:
                due = tranches[year].amount - tranches[year].fixed
            if amount != due:
                gaps.append(gettext(
                        'pacte_grants.msg_amendment_schedule', year=year,
                        amount=money(amount), due=money(due)))
        return gaps

    def _apply_amounts(self, convention):
        pool = Pool()
        Event = pool.get('grant.event')
        Instalment = pool.get('grant.instalment')
        Tranche = pool.get('grant.tranche')
        before = convention.amount
        for line in self.tranches:
            if line.voted and line.difference < 0:
                convention.lower_commitments(line.year, -line.difference)
        amounts = {line.year: line.amount for line in self.tranches}
        by_year = defaultdict(list)
        for line in self.instalments:
            by_year[line.year].append(line)
        for tranche in convention.tranches:
            if tranche.year in by_year:
                # Its own schedule replaces what was fixed.
                Tranche.loosen([tranche])
            if tranche.year in by_year and not tranche.planned:
                Instalment.create([{
                            'convention': convention.id,
                            'tranche': tranche.id,
                            'sequence': 1 + max(
                                (i.sequence or 0
                                    for i in tranche.instalments),
                                default=0),
                            **by_year[tranche.year][0].get_values(),
                            'amount': Decimal(0),
                            }])
        if amounts:
            Tranche.set_amounts(convention, amounts)
        convention = convention.__class__(convention.id)
        if amounts:
            Event.add([{
                        'record': convention, 'name': 'amount',
                        'before': before, 'after': convention.amount,
                        'reason': self.rec_name,
                        }])
        for tranche in convention.tranches:
            if tranche.year in by_year:
                Instalment.replace_planned(
                    tranche, [
                        line.get_values() for line in by_year[tranche.year]])


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    @classmethod
    def hand_over(cls, convention):
        """Let what is still to be paid follow the new holder of the rights:
        signatory, commitments, applications that are not voted yet."""
        pool = Pool()
        Application = pool.get('grant.application')
        Commitment = pool.get('grant.commitment')
        Event = pool.get('grant.event')
        Instalment = pool.get('grant.instalment')
        convention = cls(convention)
        party = convention.party
        values = {
            'signatory_name': party.representative_name,
            'signatory_capacity': party.representative_capacity,
            'signatory_power': None,
            }
        Event.add([{
                    'record': convention, 'name': name,
                    'before': getattr(convention, name), 'after': value,
                    } for name, value in values.items()
                if getattr(convention, name) != value])
        cls.write([convention], values)
        planned = [i for i in convention.instalments if i.state == 'planned']
        years = {i.tranche.year for i in planned}
        Instalment.write(
            [i for i in planned if i.bank_account], {'bank_account': None})
        Commitment.write(Commitment.with_carried([
                    d.commitment for d in convention.decisions
                    if d.commitment and d.commitment.state == 'committed'
                    and d.commitment.year in years]), {'party': party.id})
        Application.write([
                a for a in convention.applications
                if a.state in {
                    'draft', 'submitted', 'incomplete', 'admissible',
                    'reviewed'}], {'party': party.id})

    def lower_commitments(self, year, amount):
        """Give the amount (euros) back to the envelopes from what is
        committed for the year, the last commitment first.

        Raise ``CeilingError`` if less is committed than that.
        """
        Commitment = Pool().get('grant.commitment')
        commitments = Commitment.with_carried([
                d.commitment for d in self.decisions
                if d.commitment and d.commitment.year == year
                and d.commitment.state == 'committed'])
        for commitment in sorted(
                commitments, key=lambda c: c.id, reverse=True):
            part = min(amount, commitment.amount)
            if not part:
                continue
            if part == commitment.amount:
                Commitment.release([commitment])
            else:
                Commitment.write(
                    [commitment], {'amount': commitment.amount - part})
            amount -= part
        if amount:
            raise CeilingError(gettext(
                    'pacte_grants.msg_amendment_commitments',
                    convention=self.rec_name, year=year,
                    amount=money(amount)))
