# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What an amendment adds to the text, changes in it or takes out of it.

A proposal is a row of a model of the convention (objective, undertaking,
clause …) that has the field ``amendment`` and is not active, so that nothing
but the amendment sees it.
"""
from decimal import Decimal
from functools import partial

from sql import Literal

from trytond.i18n import gettext
from trytond.model import Index, ModelView, fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .amendment import DRAFT
from .exceptions import (
    AmountError, FrozenError, PartnerError, PeriodError, TransitionError)
from .mixin import is_thawed
from .version import get_entry

_ALL = [('active', 'in', [True, False])]
_ACTIONS = [
    (None, ""),
    ('add', "Added"),
    ('change', "Changed"),
    ('remove', "Taken Out"),
    ]


def _contract_values(proposal, record):
    """Return the values that bring the record to what the proposal says of
    the fields on which the parties agree, children apart."""
    values = {}
    for name in proposal.amended_names():
        value = getattr(proposal, name)
        type_ = proposal._fields[name]._type
        if type_ == 'one2many':
            continue
        elif type_ == 'many2many':
            values[name] = [
                ('remove', [r.id for r in getattr(record, name)]),
                ('add', [r.id for r in value])]
        else:
            values[name] = getattr(value, 'id', value)
    return values


class AmendableMixin:
    """A part of the text of a convention that an amendment may add, change
    or take out.

    ``amendment`` is set on proposals only; ``amends`` names the row that a
    proposal changes or takes out.
    """
    __slots__ = ()

    active = fields.Boolean("Active", readonly=True)
    amendment = fields.Many2One(
        'grant.amendment', "Amendment", ondelete='CASCADE',
        states={'readonly': True})
    amendment_action = fields.Selection(
        _ACTIONS, "In the Amendment", readonly=True, sort=False)
    removed_by = fields.Many2One(
        'grant.amendment', "Taken Out By", readonly=True,
        ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.amendment, Index.Equality())))

    @classmethod
    def default_active(cls):
        return True

    @classmethod
    def amended_names(cls):
        "Return the names of the fields that an amendment brings into force."
        return cls.content_names()

    @classmethod
    def preprocess_values(cls, mode, values):
        values = super().preprocess_values(mode, values)
        if mode == 'create':
            values['active'] = not values.get('amendment')
            if values.get('amendment') and not values.get('convention'):
                Amendment = Pool().get('grant.amendment')
                amendment = Amendment(values['amendment'])
                values['convention'] = amendment.convention.id
            if values.get('amendment') and not values.get('amends'):
                values['amendment_action'] = 'add'
        return values

    @property
    def _freezing_parent(self):
        return self.amendment or super()._freezing_parent

    @fields.depends(
        'amendment', '_parent_amendment.state',
        methods=['_on_change_with_convention_state'])
    def on_change_with_convention_state(self, name=None):
        if self.amendment:
            return (
                'negotiation' if self.amendment.state == 'draft'
                else 'agreed')
        return self._on_change_with_convention_state()

    @fields.depends(
        'amendment', '_parent_amendment.convention', 'convention',
        '_parent_convention.state')
    def on_change_amendment(self):
        if self.amendment and not self.convention:
            self.convention = self.amendment.convention

    @fields.depends('convention', '_parent_convention.state')
    def _on_change_with_convention_state(self):
        return self.convention.state if self.convention else None

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if mode == 'write' and external and 'amendment' in values:
            for record in records:
                if cls._differs(record, 'amendment', values['amendment']):
                    raise FrozenError(gettext(
                            'pacte_grants.msg_server_field_write',
                            **cls.__names__(
                                field='amendment', record=record)))

    @classmethod
    def validate_fields(cls, records, field_names):
        super().validate_fields(records, field_names)
        if field_names and not field_names & {
                'amendment', 'amends', 'convention'}:
            return
        for record in records:
            amendment, amends = record.amendment, record.amends
            if (amendment and amendment.convention != record.convention
                    or amends and amends.convention != record.convention):
                raise PartnerError(gettext(
                        'pacte_grants.msg_amendment_other_convention',
                        record=record.rec_name,
                        amendment=(amendment or amends).rec_name))

    @classmethod
    def check_transition(cls, records, state):
        cls._check_in_force(records)
        super().check_transition(records, state)

    @classmethod
    def _check_in_force(cls, records):
        for record in records:
            if not record.active:
                raise TransitionError(gettext(
                        'pacte_grants.msg_amendment_not_in_force',
                        **cls.__names__(record=record)))

    @classmethod
    def _proposal_defaults(cls):
        "Return the defaults with which a row is copied into a proposal."
        return {}

    @classmethod
    def take_up(cls, records, amendment, action):
        """Make of each record a proposal of the amendment that changes it or
        takes it out; return the proposals."""
        taken = {p.amends for p in amendment.get_proposals(cls)}
        proposals = []
        for record in records:
            if record in taken:
                raise AccessError(gettext(
                        'pacte_grants.msg_amendment_taken_up',
                        record=record.rec_name,
                        amendment=amendment.rec_name))
            proposal, = cls.copy([record], default={
                    **cls._proposal_defaults(),
                    'amendment': amendment.id,
                    'amends': record.id,
                    })
            cls.write([proposal], {'amendment_action': action})
            cls._pair(record, proposal)
            proposals.append(proposal)
        return proposals

    @classmethod
    def _pair(cls, record, proposal):
        "Tell the children of the proposal which ones they change."

    @classmethod
    def apply(cls, proposals):
        "Bring the proposals into force; called with what is frozen thawed."
        for proposal in cls.browse(proposals):
            if proposal.amendment_action == 'remove':
                cls.take_out([proposal.amends], proposal.amendment)
            elif proposal.amendment_action == 'change':
                proposal._apply_to(proposal.amends)
            else:
                cls.copy([proposal], default={
                        **cls._proposal_defaults(),
                        **proposal._effect_values(),
                        'amendment': None,
                        })

    def _effect_values(self):
        "Return the values that say since when the proposal is in force."
        return {}

    @classmethod
    def take_out(cls, records, amendment):
        cls.write(records, {'active': False, 'removed_by': amendment.id})

    def _apply_to(self, record):
        self.__class__.write(
            [record],
            _contract_values(self, record) | self._effect_values())


class Objective(AmendableMixin, metaclass=PoolMeta):
    __name__ = 'grant.objective'

    amends = fields.Many2One(
        'grant.objective', "Changes", readonly=True, ondelete='RESTRICT')

    @classmethod
    def _proposal_defaults(cls):
        return {
            'versions': None,
            'indicators.measures': None,
            'partner_agreed_on': None,
            'department_agreed_on': None,
            }

    @classmethod
    def _pair(cls, record, proposal):
        Indicator = Pool().get('grant.indicator')
        for first, second in zip(
                record.indicators, proposal.indicators, strict=True):
            Indicator.write([second], {'amends': first.id})

    def _apply_to(self, record):
        Indicator = Pool().get('grant.indicator')
        super()._apply_to(record)
        kept = set()
        for indicator in self.indicators:
            if indicator.amends:
                indicator._apply_to(indicator.amends)
                kept.add(indicator.amends)
            else:
                new, = Indicator.copy([indicator], default={
                        'objective': record.id, 'measures': None})
                kept.add(new)
        dropped = [i for i in record.indicators if i not in kept]
        Indicator.write(dropped, {'active': False})
        names = [
            'partner_agreed_on', 'partner_agreed_by',
            'department_agreed_on', 'department_agreed_by']
        self.__class__.write([record], {
                n: getattr(getattr(self, n), 'id', getattr(self, n))
                for n in names})


class Indicator(metaclass=PoolMeta):
    __name__ = 'grant.indicator'

    active = fields.Boolean("Active", readonly=True)
    amends = fields.Many2One(
        'grant.indicator', "Changes", readonly=True, ondelete='RESTRICT')

    @classmethod
    def default_active(cls):
        return True

    @classmethod
    def amended_names(cls):
        return cls.content_names()

    @classmethod
    def search_convention(cls, name, clause):
        # Those of proposals are not part of the convention yet.
        return [
            *super().search_convention(name, clause),
            ('objective.active', '=', True),
            ]

    @classmethod
    def check_targets(cls, indicators):
        # What an amendment changes is checked as a whole when it is agreed.
        if not is_thawed():
            super().check_targets(
                [i for i in indicators if not i.objective.amendment])

    @classmethod
    def _check_shares(cls, indicators):
        if not is_thawed():
            super()._check_shares(indicators)

    @fields.depends('objective', '_parent_objective.convention_state')
    def on_change_with_convention_state(self, name=None):
        return self.objective.convention_state if self.objective else None

    def _apply_to(self, indicator):
        Target = Pool().get('grant.indicator.target')
        # Without the targets by year, no final target contradicts them.
        Target.delete(list(indicator.targets))
        self.__class__.write([indicator], _contract_values(self, indicator))
        Target.create([{
                    'indicator': indicator.id,
                    'year': target.year,
                    'value': target.value,
                    } for target in self.targets])


class Measure(metaclass=PoolMeta):
    __name__ = 'grant.measure'

    @classmethod
    def _check_conventions(cls, measures):
        super()._check_conventions(measures)
        for measure in measures:
            if measure.indicator.objective.amendment:
                raise FrozenError(gettext(
                        'pacte_grants.msg_amendment_not_in_force',
                        **measure.indicator.__class__.__names__(
                            record=measure.indicator)))


class Condition(AmendableMixin, metaclass=PoolMeta):
    __name__ = 'grant.condition'

    amends = fields.Many2One(
        'grant.condition', "Changes", readonly=True, ondelete='RESTRICT')

    @classmethod
    def set_blocks(cls, conditions):
        # A proposal holds nothing back, nor what was taken out.
        super().set_blocks([c for c in conditions if c.active])

    @classmethod
    def check_button(cls, conditions, name):
        cls._check_in_force(conditions)
        super().check_button(conditions, name)

    @classmethod
    def propose_waiver(cls, conditions):
        cls._check_in_force(conditions)
        super().propose_waiver(conditions)

    @classmethod
    def take_out(cls, conditions, amendment):
        super().take_out(conditions, amendment)
        Link = Pool().get('grant.condition-grant.instalment')
        Link.delete(Link.search([
                    ('condition', 'in', [c.id for c in conditions])]))


class TariffClause(AmendableMixin, metaclass=PoolMeta):
    __name__ = 'grant.tariff.clause'

    amends = fields.Many2One(
        'grant.tariff.clause', "Changes", readonly=True, ondelete='RESTRICT')

    @classmethod
    def _proposal_defaults(cls):
        return {'verdicts': None}

    def _effect_values(self):
        # L27: what is added later does not judge the past.
        return {'effective_from': self.amendment.effective_from}

    @classmethod
    def amended_names(cls):
        return super().content_names()

    @classmethod
    def content_names(cls):
        # The text says the parameters with the names that they had.
        return ['code', 'text', 'facility']


class TariffVerdict(metaclass=PoolMeta):
    __name__ = 'grant.tariff.verdict'

    @classmethod
    def _current_query(cls):
        # A clause that was taken out says nothing of the convention any more.
        verdict = cls.__table__()
        clause = Pool().get('grant.tariff.clause').__table__()
        return verdict.join(
            clause, condition=verdict.clause == clause.id).select(
            verdict.id,
            where=(clause.active == Literal(True))
            & verdict.id.in_(super()._current_query()))


class ConventionClause(AmendableMixin, metaclass=PoolMeta):
    """An article of the convention.

    The proposal of an article holds its new text, without values to fill
    in; an article that the law wants is not taken out.
    """
    __name__ = 'grant.convention.clause'

    amends = fields.Many2One(
        'grant.convention.clause', "Changes", readonly=True,
        ondelete='RESTRICT')
    agreed_text = fields.Function(fields.Text("Text"), 'get_agreed_text')

    def get_agreed_text(self, name):
        return self.rendered or self.text

    @classmethod
    def content_names(cls):
        return ['title', 'agreed_text']

    @classmethod
    def take_up(cls, clauses, amendment, action):
        if action == 'remove':
            cls._check_left_out(clauses)
        vlist = []
        taken = {p.amends for p in amendment.get_proposals(cls)}
        for clause in clauses:
            if clause in taken:
                raise AccessError(gettext(
                        'pacte_grants.msg_amendment_taken_up',
                        record=clause.rec_name,
                        amendment=amendment.rec_name))
            vlist.append({
                    'convention': clause.convention.id,
                    'amendment': amendment.id,
                    'amends': clause.id,
                    'amendment_action': action,
                    'sequence': clause.sequence,
                    'origin': 'own',
                    'level': clause.level,
                    'title': clause.title,
                    'text': clause.agreed_text,
                    })
        return cls.create(vlist)

    @classmethod
    def apply(cls, proposals):
        for proposal in cls.browse(proposals):
            values = {
                'rendered': proposal.text, 'amended': True}
            if proposal.amendment_action == 'remove':
                cls.take_out([proposal.amends], proposal.amendment)
            elif proposal.amendment_action == 'change':
                cls.write([proposal.amends], values)
            else:
                clause, = cls.copy(
                    [proposal], default={'amendment': None})
                cls.write([clause], values)


class EcoCommitment(AmendableMixin, metaclass=PoolMeta):
    __name__ = 'grant.eco.commitment'

    amends = fields.Many2One(
        'grant.eco.commitment', "Changes", readonly=True,
        ondelete='RESTRICT')

    @classmethod
    def _proposal_defaults(cls):
        return {'progress': None}

    @classmethod
    def amended_names(cls):
        return super().content_names()

    @classmethod
    def content_names(cls):
        # The text was copied from the library.
        return [
            n for n in super().content_names()
            if n not in {'action', 'condition'}]


class Amendment(metaclass=PoolMeta):
    __name__ = 'grant.amendment'

    objectives = fields.One2Many(
        'grant.objective', 'amendment', "Objectives", filter=_ALL,
        states=DRAFT)
    conditions = fields.One2Many(
        'grant.condition', 'amendment', "Partner's Undertakings",
        filter=_ALL, states=DRAFT)
    tariff_clauses = fields.One2Many(
        'grant.tariff.clause', 'amendment', "Tariff Clauses", filter=_ALL,
        states=DRAFT)
    clauses = fields.One2Many(
        'grant.convention.clause', 'amendment', "Clauses", filter=_ALL,
        states=DRAFT)
    eco_commitments = fields.One2Many(
        'grant.eco.commitment', 'amendment', "Eco-responsible Actions",
        filter=_ALL, states=DRAFT)

    @classmethod
    def _proposal_models(cls):
        "Return the names of the fields of proposals, in the order of use."
        return [
            'objectives', 'conditions', 'tariff_clauses', 'eco_commitments',
            'clauses']

    def get_proposals(self, Model=None):
        "Return the proposals of the amendment, or those of the model."
        return [
            p for name in self._proposal_models()
            for p in getattr(self, name)
            if Model is None or p.__class__ is Model]

    def _amend_due_dates(self, entries):
        "Count the due dates anew from the new end of the convention."
        Condition = Pool().get('grant.condition')
        for entry in entries:
            values = entry['values']
            if values['due_event'] == 'date' or (
                    Condition(entry['id']).prolongations):
                continue
            date = Condition(
                convention=self.convention,
                due_event=values['due_event'],
                due_delay=values['due_delay'],
                year=values['year'])._count_due_date(self.new_end_date)
            values['due_date'] = date.isoformat() if date else None

    def _amend_part(self, entries, name):
        by_id = {e['id']: e for e in entries}
        for proposal in getattr(self, name):
            entry = get_entry(proposal)
            amends = proposal.amends
            if proposal.amendment_action == 'remove':
                by_id.pop(amends.id, None)
            elif amends:
                before = by_id.get(amends.id, entry)
                by_id[amends.id] = {
                    **entry, 'id': amends.id, 'name': before['name']}
                if before['values'] != entry['values']:
                    by_id[amends.id]['name'] = entry['name']
            else:
                by_id[entry['id']] = entry
        return list(by_id.values())

    def _get_indicator_gaps(self):
        """Return what does not hold together in the indicators of the amended
        text: targets by year and the sum of the reductions."""
        Indicator = Pool().get('grant.indicator')
        convention = self.convention
        amended = {o.amends for o in self.objectives}
        indicators = [
            i for o in [
                *(o for o in convention.objectives if o not in amended),
                *(o for o in self.objectives
                    if o.amendment_action != 'remove'),
                ]
            for i in o.indicators]
        end = max(
            self.new_end_date or convention.end_date, convention.start_date)
        years = range(convention.start_date.year, end.year + 1)
        total = sum(
            (i.result_share or Decimal(0) for i in indicators
                if i.result_clause == 'reduction'), Decimal(0))
        reasons = []
        for check in [
                *(partial(i.check_years, years) for i in indicators),
                partial(Indicator.check_total_share, convention, total)]:
            try:
                check()
            except (AmountError, PeriodError) as error:
                reasons.append(error.message)
        return reasons


class TakeUp(Wizard):
    "Choose what an amendment changes or takes out."
    __name__ = 'grant.amendment.take_up'

    start = StateView(
        'grant.amendment.take_up.start',
        'pacte_grants.amendment_take_up_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Add to the Amendment", 'take_up', 'tryton-ok',
                default=True),
            ])
    take_up = StateTransition()

    def default_start(self, names):
        return {
            'convention': self.record.convention.id,
            'action': 'change',
            }

    def transition_take_up(self):
        pool = Pool()
        Amendment = pool.get('grant.amendment')
        # A wizard does not check the rights by itself.
        with check_access():
            pool.get('ir.model.access').check(Amendment.__name__, 'write')
        amendment, = Amendment.claim([self.record])
        amendment.check_draft()
        for name in Amendment._proposal_models():
            records = getattr(self.start, name)
            if records:
                pool.get(records[0].__name__).take_up(
                    records, amendment, self.start.action)
        return 'end'

    def end(self):
        return 'reload'


class TakeUpStart(ModelView):
    __name__ = 'grant.amendment.take_up.start'

    convention = fields.Many2One(
        'grant.convention', "Convention", readonly=True)
    action = fields.Selection([
            ('change', "Change"),
            ('remove', "Take Out"),
            ], "What to Do", required=True, sort=False)
    objectives = fields.Many2Many(
        'grant.objective', None, None, "Objectives",
        domain=[('convention', '=', Eval('convention', -1))])
    conditions = fields.Many2Many(
        'grant.condition', None, None, "Partner's Undertakings",
        domain=[('convention', '=', Eval('convention', -1))])
    tariff_clauses = fields.Many2Many(
        'grant.tariff.clause', None, None, "Tariff Clauses",
        domain=[('convention', '=', Eval('convention', -1))])
    clauses = fields.Many2Many(
        'grant.convention.clause', None, None, "Clauses",
        domain=[
            ('convention', '=', Eval('convention', -1)),
            ('left_out', '=', False),
            ])
    eco_commitments = fields.Many2Many(
        'grant.eco.commitment', None, None, "Eco-responsible Actions",
        domain=[('convention', '=', Eval('convention', -1))])
