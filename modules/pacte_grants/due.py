# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What partners owe, in one list: one query per rule (screen 8).

Undertakings, signatures that are awaited, permanent pieces that expire.
Reports and evaluations come as further rules.
"""
from collections import defaultdict
from functools import wraps

from dateutil.relativedelta import relativedelta
from sql import Cast, Literal, Null, Union
from sql.aggregate import Max
from sql.conditionals import Case, Least
from sql.functions import Function
from sql.operators import Concat, Exists

from trytond import backend
from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.model import ModelSQL, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Date, Eval, If
from trytond.tools import grouped_slice
from trytond.transaction import (
    Transaction, check_access, without_check_access)
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .check import bulleted
from .document import _quoted
from .daily import company_by_company
from .exceptions import CompletenessError
from .mixin import _encoder, _evaluate, acting_user
from .reminder import get_steps, get_tone
from .sums import SLICE

# The conventions under which something is owed.
FOLLOWED = ['issued', 'signed', 'active', 'closing']
_ROWS = 64
# Companies share the permanent pieces of their partners.
_COMPANIES = 1024


class _Date(Function):
    __slots__ = ()
    _function = 'DATE'


def _add_months(date, months):
    "Return the SQL of the date so many months later, within the month."
    if backend.name == 'sqlite':
        return Least(
            _Date(date, f'+{months} months'),
            _Date(date, 'start of month', f'+{months + 1} months', '-1 day'))
    return Cast(date + Cast(f'{months} months', 'INTERVAL'), 'DATE')


def _by_line(button):
    """Decorate a button with the check of its lines, so that the refusal
    names each of them and not the first."""
    @wraps(button)
    def wrapper(cls, dues):
        cls.check_lines(dues, button.__name__)
        return button(cls, dues)
    return wrapper


class Due(ModelSQL, ModelView):
    __name__ = 'grant.due'

    company = fields.Many2One('company.company', "Company", required=True)
    party = fields.Many2One(
        'party.party', "Partner",
        context={'company': Eval('company', -1)}, depends={'company'})
    kind = fields.Selection('get_kinds', "Kind", sort=False)
    kind_string = kind.translated('kind')
    due_date = fields.Date("Due Date")
    convention = fields.Many2One('grant.convention', "Convention")
    officer = fields.Many2One('company.employee', "Officer")
    record = fields.Reference("About", selection='get_records')
    status = fields.Selection([
            ('to_produce', "To Be Produced"),
            ('to_verify', "Evidence to Verify"),
            ('not_met', "Not Met"),
            ('to_sign', "To Be Signed"),
            ('to_renew', "To Be Renewed"),
            ], "State", sort=False)
    whose_turn = fields.Selection([
            ('officer', "Officer"),
            ('partner', "Partner"),
            ('manager', "Head of Service"),
            ('finance', "Finance"),
            ('assembly', "Assembly Service"),
            ], "Whose Turn", sort=False)
    blocking = fields.Boolean(
        "Holds Back", help="A payment waits for it.")
    suspended_since = fields.Function(
        fields.Date(
            "Payments Suspended Since",
            help="The day of the first effective hold on the convention or "
            "on the partner."),
        'get_suspended_since')
    late_days = fields.Function(
        fields.Integer("Days Late"), 'get_late_days')
    what = fields.Function(fields.Char("What"), 'get_what')
    blocks_text = fields.Function(fields.Char("Holds Back"), 'get_what')
    reminder_count = fields.Function(
        fields.Integer("Reminders"), 'get_reminders')
    last_reminder = fields.Function(
        fields.Date("Last Reminder"), 'get_reminders')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._order = [('due_date', 'ASC NULLS LAST'), ('id', 'ASC')]
        condition = Eval('kind') == 'condition'
        cls._buttons.update({
                'meet': {
                    'invisible': ~(
                        condition & (Eval('status') == 'to_verify')),
                    'depends': ['kind', 'status'],
                    },
                'fail': {
                    'invisible': ~(condition & Eval('status').in_(
                            ['to_produce', 'to_verify'])),
                    'depends': ['kind', 'status'],
                    },
                'prolong': {
                    'invisible': ~(condition & Eval('status').in_(
                            ['to_produce', 'to_verify'])),
                    'depends': ['kind', 'status'],
                    },
                'submit': {
                    'invisible': ~(
                        condition & (Eval('status') == 'to_produce')),
                    'depends': ['kind', 'status'],
                    },
                'propose_waiver': {
                    'invisible': (
                        ~(condition & Eval('status').in_(
                                ['to_produce', 'not_met']))
                        | (Eval('whose_turn') == 'manager')),
                    'depends': ['kind', 'status', 'whose_turn'],
                    },
                'remind': {
                    'invisible': Eval('whose_turn') != 'partner',
                    'depends': ['whose_turn'],
                    },
                })

    @classmethod
    def get_kinds(cls):
        return [
            (code, gettext(f'pacte_grants.msg_condition_due_{code}'))
            for code, _ in cls._rules()]

    @classmethod
    def get_records(cls):
        return Pool().get('grant.reminder').get_records()

    @classmethod
    def view_attributes(cls):
        due = Eval('due_date', None)
        return super().view_attributes() + [
            ('/tree', 'visual',
                If((due < Date()) | (Eval('status') == 'not_met'), 'danger',
                    If((due < Date(delta_days=15))
                        | (Eval('status') == 'to_verify'), 'warning', '')),
                ['due_date', 'status']),
            ('/tree/field[@name="suspended_since"]', 'visual', 'warning'),
            ]

    def get_rec_name(self, name):
        return self.what

    @classmethod
    def search_rec_name(cls, name, clause):
        operator = clause[1]
        bool_op = 'AND' if operator.startswith(('!', 'not ')) else 'OR'
        return [bool_op,
            ('party.rec_name', *clause[1:]),
            ('convention.rec_name', *clause[1:]),
            ]

    # The rules

    @classmethod
    def _rules(cls):
        """Return the rules: code and the method that returns its query.

        A query has the columns ``id`` (of its record), ``company``,
        ``party``, ``due_date``, ``convention``, ``officer``, ``record``,
        ``status``, ``whose_turn`` and ``blocking``.  The place in the list
        is part of the row's identity: add at the end.
        """
        return [
            ('condition', cls._condition),
            ('signature', cls._signature),
            ('piece', cls._piece),
            ]

    @classmethod
    def table_query(cls):
        queries = []
        for index, (code, method) in enumerate(cls._rules()):
            query = method()
            queries.append(query.select(
                    (Cast(query.id, 'BIGINT') * _ROWS + index).as_('id'),
                    Literal(code).as_('kind'),
                    *(getattr(query, name).as_(name) for name in [
                            'company', 'party', 'due_date', 'convention',
                            'officer', 'record', 'status', 'whose_turn',
                            'blocking'])))
        return Union(*queries, all_=True)

    @classmethod
    def _reference(cls, model, id):
        return Concat(f'{model},', Cast(id, cls.record.sql_type().base))

    @classmethod
    def _condition(cls):
        pool = Pool()
        condition = pool.get('grant.condition').__table__()
        convention = pool.get('grant.convention').__table__()
        instalment = pool.get('grant.instalment').__table__()
        link = pool.get('grant.condition-grant.instalment').__table__()
        blocking = Exists(link
            .join(instalment, condition=link.instalment == instalment.id)
            .select(Literal(1),
                where=(link.condition == condition.id)
                & instalment.state.in_(
                    ['planned', 'certified', 'approved'])))
        waiver = condition.waiver_proposed_by != Null
        return condition.join(
            convention, condition=condition.convention == convention.id
            ).select(
                condition.id.as_('id'),
                convention.company.as_('company'),
                convention.party.as_('party'),
                condition.due_date.as_('due_date'),
                convention.id.as_('convention'),
                convention.officer.as_('officer'),
                cls._reference('grant.condition', condition.id).as_('record'),
                Case(
                    (condition.state == 'pending', 'to_produce'),
                    (condition.state == 'submitted', 'to_verify'),
                    else_='not_met').as_('status'),
                Case(
                    ((condition.state != 'submitted') & waiver, 'manager'),
                    (condition.state == 'pending', 'partner'),
                    (condition.state == 'not_met', 'officer'),
                    (condition.verifier == 'clerk', 'assembly'),
                    else_=condition.verifier).as_('whose_turn'),
                Case((blocking, Literal(True)), else_=Literal(False)
                    ).as_('blocking'),
                where=(condition.active == Literal(True))
                & condition.state.in_(['pending', 'submitted', 'not_met'])
                & convention.state.in_(FOLLOWED))

    @classmethod
    def _signature(cls):
        pool = Pool()
        convention = pool.get('grant.convention').__table__()
        instalment = pool.get('grant.instalment').__table__()
        months = int(pool.get('grant.parameter').get('SIGNATURE_DELAY'))
        blocking = Exists(instalment.select(Literal(1),
                where=(instalment.convention == convention.id)
                & (instalment.state == 'planned')))
        return convention.select(
            convention.id.as_('id'),
            convention.company.as_('company'),
            convention.party.as_('party'),
            _add_months(convention.issued_on, months).as_('due_date'),
            convention.id.as_('convention'),
            convention.officer.as_('officer'),
            cls._reference('grant.convention', convention.id).as_('record'),
            Literal('to_sign').as_('status'),
            Literal('partner').as_('whose_turn'),
            Case((blocking, Literal(True)), else_=Literal(False)
                ).as_('blocking'),
            where=(convention.form == 'convention')
            & (convention.state == 'issued')
            & (convention.signed_partner_on == Null))

    @classmethod
    def _piece(cls):
        "The last piece of each kind, of the partners that are followed."
        pool = Pool()
        piece = pool.get('grant.partner.piece').__table__()
        later = pool.get('grant.partner.piece').__table__()
        convention = pool.get('grant.convention').__table__()
        Parameter = pool.get('grant.parameter')
        until = pool.get('ir.date').today() + relativedelta(
            days=int(Parameter.get('DUE_PIECE_NOTICE')))
        renewed = Exists(later.select(Literal(1),
                where=(later.party == piece.party)
                & (later.kind == piece.kind)
                & ((later.received_on > piece.received_on)
                    | ((later.received_on == piece.received_on)
                        & (later.id > piece.id)))))
        followed = convention.select(
            convention.party.as_('party'),
            convention.company.as_('company'),
            Max(convention.officer).as_('officer'),
            where=convention.state.in_(FOLLOWED),
            group_by=[convention.party, convention.company])
        return piece.join(
            followed, condition=followed.party == piece.party
            ).select(
                (Cast(piece.id, 'BIGINT') * _COMPANIES
                    + followed.company).as_('id'),
                followed.company.as_('company'),
                piece.party.as_('party'),
                piece.valid_until.as_('due_date'),
                Cast(Null, cls.convention.sql_type().base).as_('convention'),
                followed.officer.as_('officer'),
                cls._reference('grant.partner.piece', piece.id).as_('record'),
                Literal('to_renew').as_('status'),
                Literal('partner').as_('whose_turn'),
                Literal(False).as_('blocking'),
                where=(piece.valid_until <= until) & ~renewed)

    # The columns

    @classmethod
    def get_suspended_since(cls, dues, name):
        pool = Pool()
        Hold = pool.get('grant.hold')
        rows = cls.read(
            [d.id for d in dues], ['company', 'party', 'convention'])
        holds = {
            target: Hold.get_effective_on(target, Model.browse(list({
                            row[target] for row in rows if row[target]})))
            for target, Model in [
                ('party', pool.get('party.party')),
                ('convention', pool.get('grant.convention'))]}
        return {
            row['id']: min((
                    hold.placed_on for target, found in holds.items()
                    for hold in found.get(row[target], [])
                    if hold.company.id == row['company']), default=None)
            for row in rows}

    @classmethod
    def get_late_days(cls, dues, name):
        today = Pool().get('ir.date').today()
        return {
            d.id: (today - d.due_date).days
            if d.due_date and d.due_date < today else None for d in dues}

    @classmethod
    def _browse_records(cls, dues):
        "Return the records of the dues by their names, read together."
        pool = Pool()
        by_model = defaultdict(set)
        for row in cls.read([d.id for d in dues], ['record']):
            model, id_ = row['record'].split(',')
            by_model[model].add(int(id_))
        return {
            str(record): record
            for model, ids in by_model.items()
            for record in pool.get(model).browse(list(ids))}

    @classmethod
    def get_what(cls, dues, names):
        records = cls._browse_records(dues)
        result = {name: {} for name in names}
        for row in cls.read(
                [d.id for d in dues], ['record', 'kind', 'blocking']):
            record = records[row['record']]
            if row['kind'] == 'condition':
                what, blocks = record.rec_name, record.blocks_text
            elif row['kind'] == 'signature':
                what = gettext(
                    'pacte_grants.msg_condition_due_what_signature')
                blocks = gettext(
                    'pacte_grants.msg_condition_due_blocks_all'
                    ) if row['blocking'] else None
            else:
                what, blocks = gettext(
                    'pacte_grants.msg_condition_due_what_piece',
                    piece=record.rec_name), None
            for name, value in [('what', what), ('blocks_text', blocks)]:
                if name in names:
                    result[name][row['id']] = value
        return result

    @classmethod
    def get_reminders(cls, dues, names):
        Reminder = Pool().get('grant.reminder')
        by_record = defaultdict(list)
        rows = {
            row['id']: row for row in cls.read(
                [d.id for d in dues], ['record', 'company'])}
        for sub in grouped_slice(
                {row['record'] for row in rows.values()}, SLICE):
            for reminder in Reminder.search([('record', 'in', list(sub))]):
                by_record[
                    str(reminder.record), reminder.company.id].append(
                    reminder.made_on)
        result = {name: {} for name in names}
        for id_, row in rows.items():
            dates = by_record[row['record'], row['company']]
            values = {
                'reminder_count': len(dates) or None,
                'last_reminder': max(dates, default=None),
                }
            for name in names:
                result[name][id_] = values[name]
        return result

    # What is done on a selection

    @classmethod
    def check_lines(cls, dues, name):
        """Raise ``CompletenessError`` with a line for each due that does not
        offer the button."""
        Button = Pool().get('ir.model.button')
        condition = _encoder.encode(cls._buttons[name]['invisible'])
        refused = [d for d in dues if _evaluate(d, condition)]
        if not refused:
            return
        with without_check_access():
            button, = Button.search([
                    ('model', '=', cls.__name__),
                    ('name', '=', name),
                    ])
        label = button.string.rstrip('…')
        states = dict(cls.fields_get(['status'])['status']['selection'])
        lines = []
        for due in refused:
            names = {'due': due.what, 'party': due.party.rec_name}
            if name == 'remind':
                line = gettext('pacte_grants.msg_condition_remind_turn',
                    **names)
            elif due.kind != 'condition':
                line = gettext('pacte_grants.msg_condition_due_other',
                    **names)
            else:
                line = gettext('pacte_grants.msg_button_state',
                    button=label, state=states[due.status],
                    **cls.__names__(record=due))
            lines.append(line)
        raise CompletenessError(gettext(
                'pacte_grants.msg_condition_due_refused',
                lines=bulleted(lines)))

    @classmethod
    def _dispatch(cls, dues, act):
        """Call ``act`` on the conditions of the dues, with the access of the
        user.

        Either all are done, or none: the error has a line for each one that
        is refused.
        """
        Condition = Pool().get('grant.condition')
        conditions = Condition.browse([d.record.id for d in dues])
        try:
            with check_access():
                act(conditions)
        except UserError:
            refusals = []
            for condition in conditions:
                try:
                    with check_access():
                        act(Condition.browse([condition]))
                except UserError as error:
                    refusals.append(f'{condition.rec_name} : '
                        f'{error.message}')
            if not refusals:
                raise
            raise CompletenessError(gettext(
                    'pacte_grants.msg_condition_due_refused',
                    lines=bulleted(refusals))) from None

    @classmethod
    @_by_line
    @ModelView.button
    def meet(cls, dues):
        "Declare the undertakings met: they are no longer due."
        Condition = Pool().get('grant.condition')
        cls._dispatch(dues, Condition.meet)
        return 'reload'

    @classmethod
    @_by_line
    @ModelView.button_action('pacte_grants.wizard_due_submit')
    def submit(cls, dues):
        "Ask what the evidence is that was received."

    @classmethod
    @_by_line
    @ModelView.button_action('pacte_grants.wizard_due_waiver')
    def propose_waiver(cls, dues):
        "Ask why the undertakings should be waived."

    @classmethod
    @_by_line
    @ModelView.button_action('pacte_grants.wizard_due_fail')
    def fail(cls, dues):
        "Ask why the undertakings are not met."

    @classmethod
    @_by_line
    @ModelView.button_action('pacte_grants.wizard_due_prolong')
    def prolong(cls, dues):
        "Ask for the new date of the undertakings."

    @classmethod
    @_by_line
    @ModelView.button
    def remind(cls, dues):
        """Write to the partners, whatever the step; raise
        ``CompletenessError`` for what the partner does not owe (any more)
        and for what was reminded today."""
        acting_user(gettext('pacte_grants.msg_act_reminder'))
        today = Pool().get('ir.date').today()
        refusals = []
        for due in dues:
            if due.last_reminder == today:
                refusals.append(gettext(
                        'pacte_grants.msg_condition_remind_today',
                        due=due.what, party=due.party.rec_name))
        if refusals:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_condition_due_refused',
                    lines=bulleted(refusals)))
        cls._write_reminders([
                (d, None, 'late' if d.due_date and d.due_date < today
                    else 'near') for d in dues])

    @classmethod
    def _write_reminders(cls, rows):
        Reminder = Pool().get('grant.reminder')
        ids = [due.id for due, _, _ in rows]
        by_language = {}

        def read(due):
            "Return the due in the language of the letter, read with all."
            language = Transaction().language
            if language not in by_language:
                by_language[language] = {d.id: d for d in cls.browse(ids)}
            return by_language[language][due.id]
        return Reminder.write_to_partners([{
                    'company': due.company,
                    'party': due.party,
                    'record': due.record,
                    'convention': due.convention,
                    'due_date': due.due_date,
                    'step': step,
                    'tone': tone,
                    'what': lambda due=due: read(due)._describe(),
                    'details': lambda due=due: read(due)._get_details(),
                    } for due, step, tone in rows])

    def _describe(self):
        "Say in a letter what is expected, in the language of the context."
        if self.kind == 'condition':
            text = _quoted(' '.join(self.record.text.split()).rstrip('.'))
            return gettext(
                'pacte_grants.msg_condition_reminder_condition', text=text)
        if self.kind == 'signature':
            return gettext(
                'pacte_grants.msg_condition_reminder_signature')
        return gettext(
            'pacte_grants.msg_condition_reminder_piece',
            piece=self.record.rec_name)

    def _get_details(self):
        "Return what a letter adds: the evidence and what waits for it."
        details = []
        if self.kind == 'condition' and self.record.evidence:
            details.append(gettext(
                    'pacte_grants.msg_condition_reminder_evidence',
                    evidence=self.record.evidence))
        if self.blocks_text:
            details.append(gettext(
                    'pacte_grants.msg_condition_reminder_blocks',
                    blocks=self.blocks_text))
        return details

    # The calendar

    @classmethod
    @company_by_company
    def remind_daily(cls, company):
        """Write the reminders whose step has come; the steps that were
        missed give one reminder, the last."""
        pool = Pool()
        Reminder = pool.get('grant.reminder')
        today = pool.get('ir.date').today()
        steps = get_steps()
        rows = []
        dues = cls.search([
                ('company', '=', company.id),
                ('whose_turn', '=', 'partner'),
                ('due_date', '!=', None),
                ('due_date', '<=', today - relativedelta(days=steps[0])),
                ])
        done = defaultdict(list)
        for sub in grouped_slice({str(d.record) for d in dues}, SLICE):
            for reminder in Reminder.search([
                        ('company', '=', company.id),
                        ('record', 'in', list(sub)),
                        ]):
                done[str(reminder.record)].append(reminder)
        for due in dues:
            step = max(
                s for s in steps
                if due.due_date + relativedelta(days=s) <= today)
            tone = get_tone(step, steps)
            if due.kind == 'signature' and tone == 'far':
                # It was sent just now, which announces it.
                continue
            former = done[str(due.record)]
            if any(
                    r.due_date == due.due_date
                    and r.step is not None and r.step >= step
                    for r in former):
                continue
            if any(r.made_on == today for r in former):
                continue
            rows.append((due, step, tone))
        return cls._write_reminders(rows)


class _LineWizard(Wizard):
    """Ask what an act on the chosen lines needs, then press the button as
    the user does; the lines may have left the list."""

    def dispatch(self, button, act):
        Due = Pool().get('grant.due')
        with check_access():
            getattr(Due, button)(Due.browse(self.records))
        Due._dispatch(self.records, act)
        return 'end'

    def end(self):
        return 'reload'


class FailStart(ModelView):
    __name__ = 'grant.due.fail.start'

    reason = fields.Text("Reason", required=True)


class Fail(_LineWizard):
    __name__ = 'grant.due.fail'

    start = StateView(
        'grant.due.fail.start',
        'pacte_grants.due_fail_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Declare Not Met", 'fail', 'tryton-ok', default=True),
            ])
    fail = StateTransition()

    def transition_fail(self):
        Condition = Pool().get('grant.condition')
        reason = self.start.reason

        def fail(conditions):
            # The role first: the reason is written without its access
            Condition.check_verifier(conditions)
            with without_check_access():
                Condition.write(conditions, {'verdict_reason': reason})
            Condition.fail(Condition.browse(conditions))
        return self.dispatch('fail', fail)


class SubmitStart(ModelView):
    __name__ = 'grant.due.submit.start'

    note = fields.Text("Description of the Evidence", required=True)


class Submit(_LineWizard):
    __name__ = 'grant.due.submit'

    start = StateView(
        'grant.due.submit.start',
        'pacte_grants.due_submit_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Evidence Received", 'submit', 'tryton-ok', default=True),
            ])
    submit = StateTransition()

    def transition_submit(self):
        Condition = Pool().get('grant.condition')

        def submit(conditions):
            Condition.check_button(conditions, 'submit')
            by_note = defaultdict(list)
            for condition in conditions:
                by_note[condition.evidence_note].append(condition)
            for note, sub in by_note.items():
                Condition.write(sub, {
                        'evidence_note': '\n'.join(
                            filter(None, [note, self.start.note])),
                        })
            Condition.submit(Condition.browse(conditions))
        return self.dispatch('submit', submit)


class WaiverStart(ModelView):
    __name__ = 'grant.due.waiver.start'

    reason = fields.Text("Reason", required=True)


class Waiver(_LineWizard):
    __name__ = 'grant.due.waiver'

    start = StateView(
        'grant.due.waiver.start',
        'pacte_grants.due_waiver_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button(
                "Propose a Waiver", 'propose', 'tryton-ok', default=True),
            ])
    propose = StateTransition()

    def transition_propose(self):
        Condition = Pool().get('grant.condition')

        def propose(conditions):
            Condition.check_button(conditions, 'propose_waiver')
            Condition.write(
                conditions, {'waiver_reason': self.start.reason})
            Condition.propose_waiver(Condition.browse(conditions))
        return self.dispatch('propose_waiver', propose)


class Prolong(metaclass=PoolMeta):
    __name__ = 'grant.condition.prolong'

    def dispatch(self, act):
        if self.model and self.model.__name__ == 'grant.due':
            self.model.check_lines(self.records, 'prolong')
            self.model._dispatch(self.records, act)
        else:
            super().dispatch(act)

    def end(self):
        # The line may have left the list.
        if self.model and self.model.__name__ == 'grant.due':
            return 'reload'


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.append(
            ('grant.due|remind_daily', "Remind Partners of Their Deadlines"))
