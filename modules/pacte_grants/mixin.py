# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The mechanisms on which every rule of the module rests.

* ``GuardMixin``: what the client shows read-only is refused by the server.
* ``WorkflowMixin``: records are born in their first state and move only
  through legal transitions, which take the record before they look at it; a
  button that a state does not offer is refused at every door.
* ``FreezeMixin`` and ``FrozenByMixin``: what was agreed or voted stays.
* ``claim``: one holder at a time for ceilings and one-time acts, on every
  database.
"""
import datetime as dt
from collections import defaultdict
from functools import wraps
from inspect import ismethod

from sql.conditionals import Coalesce

from trytond.i18n import gettext
from trytond.model import ModelView, Workflow, fields
from trytond.model.exceptions import AccessError
from trytond.model.modelstorage import EvalEnvironment
from trytond.pool import Pool
from trytond.pyson import PYSONDecoder, PYSONEncoder
from trytond.tools import grouped_slice, reduce_ids
from trytond.transaction import Transaction, without_check_access

from .exceptions import (
    CompletenessError, DutyError, FrozenError, TransitionError)
from .search import get_values
from .sums import SLICE

__all__ = [
    'ClaimMixin', 'FreezeMixin', 'FrozenByMixin', 'GuardMixin',
    'ReopenMixin', 'StatusMixin', 'TurnMixin', 'WorkflowMixin', 'acting_user',
    'comes_from_outside', 'is_thawed', 'now', 'thaw', 'transition']

_encoder = PYSONEncoder()
_THAW = '_pacte_grants_thaw'


def comes_from_outside():
    "Return whether a user's request is being served, not the module's code."
    transaction = Transaction()
    return bool(transaction.user and transaction.check_access)


def _evaluate(record, condition):
    "Return whether the encoded PYSON condition holds for the record."
    env = EvalEnvironment(record, record.__class__)
    env['context'] = Transaction().context
    env['active_model'] = record.__name__
    env['active_id'] = record.id
    return bool(PYSONDecoder(env).decode(condition))


def thaw():
    """Return a context in which frozen fields may be written.

    Only the methods that the law lets change a frozen record use it.  The
    context key starts with an underscore: the dispatcher strips such keys
    from every request, so nobody can ask for it from outside.
    """
    return Transaction().set_context(**{_THAW: True})


def is_thawed():
    return bool(Transaction().context.get(_THAW))


def acting_user(act):
    """Return the ``res.user`` who acts.

    ``act`` names what is done, for the message.  Raise ``DutyError`` when
    nobody does: the system user certifies, approves, verifies and waives
    nothing (design, invariant 5).
    """
    User = Pool().get('res.user')
    user = Transaction().user
    if not user:
        raise DutyError(gettext('pacte_grants.msg_duty_nobody', act=act))
    return User(user)


def now():
    "Return the time, to the second, at which somebody acts."
    return dt.datetime.now().replace(microsecond=0)


class ClaimMixin:
    __slots__ = ()

    revision = fields.Integer("Revision", readonly=True)

    @classmethod
    def default_revision(cls):
        return 0

    @classmethod
    def claim(cls, records):
        """Take the records until the end of the transaction.

        Raise the revision of each in the database, which makes concurrent
        transactions wait or start again, then forget everything that was
        read, so that state and sums are read anew.  Callers that claim
        several models do so in the order of the dossier: envelope,
        application, convention, tranche, instalment, payment.

        Return the same records, freshly browsed; raise ``AccessError`` if
        one does not exist (any more).
        """
        transaction = Transaction()
        ids = sorted({r.id for r in records})
        if not ids:
            return []
        claimed = 0
        table = cls.__table__()
        cursor = transaction.connection.cursor()
        for sub_ids in grouped_slice(ids, SLICE):
            cursor.execute(*table.update(
                    [table.revision], [Coalesce(table.revision, 0) + 1],
                    where=reduce_ids(table.id, list(sub_ids))))
            claimed += cursor.rowcount
        for record in records:
            record._local_cache.pop(record.id, None)
        for cache in transaction.cache.values():
            cache.clear()
        if claimed != len(ids):
            # Let trytond say it in its words.
            cls.read(ids, ['id'])
        return cls.browse([r.id for r in records])


class GuardMixin:
    """Refuse over RPC what the declaration of the fields makes read-only.

    ``_server_fields`` names the fields that only the module's methods write
    although their declaration does not say ``readonly``.
    """
    __slots__ = ()
    _server_fields = frozenset()

    @classmethod
    def _guarded(cls, name):
        field = cls._fields[name]
        return name in cls._server_fields or (
            field.readonly
            and not (isinstance(field, fields.Function) and not field.setter))

    @classmethod
    def _guard_default(cls, name):
        default = cls._defaults.get(name)
        return default() if default else None

    @classmethod
    def create(cls, vlist):
        vlist = [v.copy() for v in vlist]
        if comes_from_outside():
            for values in vlist:
                for name, value in values.items():
                    if (cls._guarded(name)
                            and value not in (None, '', [], (), False, 0)
                            and value != cls._guard_default(name)):
                        raise FrozenError(gettext(
                                'pacte_grants.msg_server_field_create',
                                **cls.__names__(field=name)))
        return super().create(vlist)

    @classmethod
    def copy(cls, records, default=None):
        default = {} if default is None else default.copy()
        for name, field in cls._fields.items():
            if (cls._guarded(name)
                    and not isinstance(field, fields.Function)
                    and name not in {'id', 'create_uid', 'create_date',
                        'write_uid', 'write_date'}):
                default.setdefault(name, cls._guard_default(name))
        return super().copy(records, default=default)

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if mode == 'write' and external and values:
            cls._check_guard(records, values)

    @classmethod
    def _check_guard(cls, records, values):
        conditions = {}
        for name in values:
            field = cls._fields[name]
            if cls._guarded(name):
                conditions[name] = None
            elif (condition := field.states.get('readonly')) is not None:
                conditions[name] = _encoder.encode(condition)
        for name, condition in conditions.items():
            for record in records:
                if not cls._differs(record, name, values[name]):
                    continue
                if condition is not None and not _evaluate(record, condition):
                    continue
                raise FrozenError(gettext(
                        'pacte_grants.msg_server_field_write',
                        **cls.__names__(field=name, record=record)))

    @classmethod
    def _differs(cls, record, name, value):
        field = cls._fields[name]
        if field._type in {'one2many', 'many2many'}:
            return bool(value)
        current = getattr(record, name)
        if field._type == 'reference':
            current = str(current) if current else None
        elif hasattr(current, 'id'):
            current = current.id
        return (current or None) != (value or None)


class FreezeMixin(GuardMixin):
    """Say in which states which fields may still be written, by anybody.

    ``_frozen`` maps a state to the names that stay writable in it; a state
    that is not in the mapping leaves everything writable.  What the module
    itself stamps (``_server_fields``, read-only fields, the state) is not
    concerned: it has no other door than the module's methods.
    """
    __slots__ = ()
    _frozen = {}

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if mode != 'write' or not values or is_thawed():
            return
        for record in records:
            allowed = cls._frozen.get(record.freezing_state)
            if allowed is None:
                continue
            for name in values:
                field = cls._fields[name]
                if (name in allowed
                        or name == 'state'
                        or cls._guarded(name)
                        or isinstance(field, fields.Function)
                        or field._type == 'one2many'
                        or not cls._differs(record, name, values[name])):
                    continue
                raise FrozenError(gettext(
                        'pacte_grants.msg_frozen',
                        state=record.state_label,
                        **cls.__names__(field=name, record=record)))

    @property
    def freezing_state(self):
        "The state whose entry in ``_frozen`` applies to the record."
        return self.state

    @property
    def state_label(self):
        "The state as the user reads it."
        return self._state_label(self.state)

    @classmethod
    def _state_label(cls, state):
        selection = cls.fields_get(['state'])['state']['selection']
        return dict(selection).get(state, state)


class FrozenByMixin(GuardMixin):
    """A child that moves only while its parent is in certain states.

    ``_frozen_by`` is the path to the parent (``'objective.convention'``),
    ``_parent_states`` the states of the parent in which the child may be
    created, changed and deleted, ``_free_fields`` what may always change.
    """
    __slots__ = ()
    _frozen_by = None
    _parent_states = frozenset({'draft'})
    _free_fields = frozenset()

    @property
    def _freezing_parent(self):
        parent = self
        for name in self._frozen_by.split('.'):
            if parent is None:
                return None
            parent = getattr(parent, name)
            if isinstance(parent, FrozenByMixin):
                # What freezes the one above freezes what belongs to it.
                return parent._freezing_parent
        return parent

    @property
    def is_open(self):
        "Whether what freezes the record still lets it change."
        parent = self._freezing_parent
        return not parent or parent.freezing_state in self._parent_states

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if is_thawed():
            return
        if external:
            records = cls._claim_parents(records)
        first = cls._frozen_by.split('.')[0]
        if mode == 'write':
            names = {
                n for n in values
                if n not in cls._free_fields
                and n not in {'state', 'revision'}
                and not cls._guarded(n)
                and not isinstance(cls._fields[n], fields.Function)
                and cls._fields[n]._type != 'one2many'}
            if not names:
                return
        for record in records:
            moved = False
            if mode == 'write':
                changed = {
                    n for n in names
                    if cls._differs(record, n, values[n])}
                if not changed:
                    continue
                moved = first in changed
            cls.check_parent([record], moved=moved)

    @classmethod
    def _claim_parents(cls, records):
        """Take what freezes the records while it is open, so that nobody
        agrees on it at the same moment; return them read anew."""
        parents = defaultdict(set)
        for record in records:
            parent = record._freezing_parent
            if (parent and isinstance(parent, ClaimMixin)
                    and parent.freezing_state in cls._parent_states):
                parents[parent.__class__].add(parent)
        for Parent, taken in parents.items():
            Parent.claim(list(taken))
        return cls.browse([r.id for r in records])

    @classmethod
    def check_parent(cls, records, moved=False):
        """Raise ``FrozenError`` for the records whose parent lets them no
        longer change, or for all of them if they are ``moved``."""
        for record in records:
            parent = record._freezing_parent
            if parent and (
                    moved
                    or parent.freezing_state not in cls._parent_states):
                raise FrozenError(gettext(
                        'pacte_grants.msg_frozen_by',
                        record=record.rec_name,
                        model=cls.__names__()['model'],
                        parent=parent.rec_name,
                        state=parent.state_label))


class StatusMixin:
    """A state that some of the records show under another name.

    They are those whose ``_status_field`` is ``_status_value``;
    ``_statuses`` gives by state the name, which has its message.
    """
    __slots__ = ()
    _status_field = _status_value = None
    _statuses = {}

    @classmethod
    def get_statuses(cls):
        "Return the selection of the states and of their other names."
        definition = cls.fields_get(['state'])['state']
        model = cls.__name__.split('.')[-1]
        return definition['selection'] + [
            (name, gettext(f'pacte_grants.msg_{model}_{name}'))
            for name in cls._statuses.values()]

    def _get_status(self):
        if getattr(self, self._status_field) == self._status_value:
            return self._statuses.get(self.state, self.state)
        return self.state

    @classmethod
    def search_status(cls, name, clause):
        values, negative = get_values(clause)
        states = {v: k for k, v in cls._statuses.items()}
        found = ['OR']
        for status in values:
            if status in states:
                found.append([
                        (cls._status_field, '=', cls._status_value),
                        ('state', '=', states[status]),
                        ])
            elif status in cls._statuses:
                found.append([
                        (cls._status_field, '!=', cls._status_value),
                        ('state', '=', status),
                        ])
            else:
                found.append(('state', '=', status))
        if negative:
            return [
                ('id', 'not in', cls.search(found, order=[], query=True))]
        return found

    @classmethod
    def order_status(cls, tables):
        table, _ = tables[None]
        return [table.state, getattr(table, cls._status_field)]

    @property
    def state_label(self):
        return dict(self.get_statuses())[self.status]


class WorkflowMixin(ClaimMixin, Workflow, FreezeMixin):
    """A record with a state that only its transitions change."""
    __slots__ = ()

    @classmethod
    def _guarded(cls, name):
        return name == cls._transition_state or super()._guarded(name)

    @classmethod
    def first_state(cls):
        "Return the state in which a record is created and may be deleted."
        return cls.default_state()

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if mode == 'delete':
            first = cls.first_state()
            for record in records:
                if record.state != first:
                    raise AccessError(gettext(
                            'pacte_grants.msg_delete_state',
                            state=record.state_label,
                            first=cls._state_label(first),
                            **cls.__names__(record=record)))

    @classmethod
    def __post_setup__(cls):
        super().__post_setup__()
        for name in cls._buttons:
            button = getattr(cls, name)
            # Not those of other modules that are also called on one record
            if (ismethod(button)
                    and not getattr(button, 'checks_state', False)):
                setattr(cls, name, classmethod(_check_state(button)))

    @classmethod
    def check_button(cls, records, name):
        """Raise ``TransitionError`` for the records that do not offer the
        button, naming button, record and state.

        That a transition is legal is not enough: another button may make
        the same step from another state, with other checks.
        """
        for refusal in cls.get_button_refusals(records, name).values():
            raise TransitionError(refusal)

    @classmethod
    def get_button_refusals(cls, records, name):
        """Return, by record that does not offer the button, the sentence
        that names button, record and state."""
        condition = cls._buttons.get(name, {}).get('invisible')
        if condition is None:
            return {}
        condition = _encoder.encode(condition)
        refused = [r for r in records if _evaluate(r, condition)]
        if not refused:
            return {}
        label = cls._button_label(name)
        return {
            record: gettext(
                'pacte_grants.msg_button_state',
                button=label,
                state=record.state_label,
                **cls.__names__(record=record))
            for record in refused}

    @classmethod
    @without_check_access
    def _button_label(cls, name):
        buttons = Pool().get('ir.model.button').search([
                ('model', '=', cls.__name__),
                ('name', '=', name),
                ])
        return buttons[0].string if buttons else name

    @classmethod
    def check_transition(cls, records, state):
        """Raise ``TransitionError`` for the records that cannot go to
        ``state``, naming the record and both states."""
        for record in records:
            if (record.state, state) not in cls._transitions:
                raise TransitionError(gettext(
                        'pacte_grants.msg_transition',
                        state=record.state_label,
                        target=cls._state_label(state),
                        **cls.__names__(record=record)))


class TurnMixin:
    """Say what comes next and who has to do it.

    ``_steps`` lists ``(step, turn, conditions)``: the first step whose
    conditions hold comes next.  A condition maps a field to a value, to a
    tuple of values, or to ``True`` or ``False``: filled in or not.  The
    conditions of the steps exclude each other, so that a search finds what
    the record shows.
    """
    __slots__ = ()
    _steps = []

    def _next(self):
        "Return the next step and whose turn it is, or two times ``None``."
        for step, turn, conditions in self._steps:
            if all(
                    self._holds(getattr(self, name, None), expected)
                    for name, expected in conditions.items()):
                return step, turn
        return None, None

    @staticmethod
    def _holds(value, expected):
        if isinstance(expected, bool):
            return bool(value) == expected
        if isinstance(expected, tuple):
            return value in expected
        return value == expected

    @classmethod
    def _search_turn(cls, index, clause):
        """Return the domain for a clause on the step (index 0) or on whose
        turn it is (index 1)."""
        values, negative = get_values(clause)
        domains = [
            cls._step_domain(row[2]) for row in cls._steps]
        wanted = ['OR'] + [
            domain for row, domain in zip(cls._steps, domains, strict=True)
            if row[index] in values]
        if None in values:
            wanted.append(cls._negate(['OR', *domains]))
        if len(wanted) == 1:
            wanted.append(('id', '=', None))
        if negative:
            return cls._negate(wanted)
        return wanted

    @classmethod
    def _step_domain(cls, conditions):
        domain = []
        for name, expected in conditions.items():
            if isinstance(expected, tuple):
                domain.append((name, 'in', list(expected)))
            elif not isinstance(expected, bool):
                domain.append((name, '=', expected))
            elif cls._fields[name]._type == 'boolean':
                domain.append((name, '=', expected))
            else:
                domain.append((name, '!=' if expected else '=', None))
        return domain

    @classmethod
    def _negate(cls, domain):
        return [('id', 'not in', cls.search(domain, order=[], query=True))]


def _check_state(button):
    "Return the method of the button with the check of the states first."
    method = button.__func__

    @wraps(method)
    def wrapper(cls, records, *args, **kwargs):
        cls.check_button(records, method.__name__)
        return method(cls, records, *args, **kwargs)
    wrapper.checks_state = True
    return wrapper


def transition(state):
    """Decorate a method that brings records to ``state``.

    The records are claimed, so that two users cannot both leave the same
    state; a record that may not make the step raises ``TransitionError``
    instead of being passed over.
    """
    def decorator(func):
        step = Workflow.transition(state)(func)

        @wraps(func)
        def wrapper(cls, records, *args, **kwargs):
            records = cls.claim(records)
            # Again: somebody may have taken the record since.
            cls.check_button(records, func.__name__)
            cls.check_transition(records, state)
            return step(cls, records, *args, **kwargs)
        wrapper.leads_to = state
        return wrapper
    return decorator


class AppendOnlyMixin:
    "Records that the module alone adds and nobody changes or deletes."
    __slots__ = ()

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if external or mode in {'write', 'delete'}:
            raise AccessError(gettext(
                    'pacte_grants.msg_append_only', **cls.__names__()))


class DatedMixin:
    """Values that are valid between ``valid_from`` and ``valid_to``: a new
    one is added, the old one is only ended."""
    __slots__ = ()

    @classmethod
    def check_modification(cls, mode, records, values=None, external=False):
        super().check_modification(
            mode, records, values=values, external=external)
        if external and (
                mode == 'delete'
                or mode == 'write' and values.keys() - {'valid_to'}):
            for record in records:
                raise AccessError(gettext(
                        'pacte_grants.msg_parameter_added_not_edited',
                        **cls.__names__(record=record)))


class OfConventionMixin:
    "What a record with a ``convention`` shows of it, and finds by it."
    __slots__ = ()

    @fields.depends('convention', '_parent_convention.company')
    def on_change_with_company(self, name=None):
        return self.convention.company if self.convention else None

    @fields.depends('convention', '_parent_convention.company')
    def on_change_with_currency(self, name=None):
        if self.convention and self.convention.company:
            return self.convention.company.currency

    @fields.depends('convention', '_parent_convention.party')
    def on_change_with_party(self, name=None):
        return self.convention.party if self.convention else None

    @fields.depends('convention', '_parent_convention.officer')
    def on_change_with_officer(self, name=None):
        return self.convention.officer if self.convention else None

    @classmethod
    def search_convention_field(cls, name, clause):
        return [('convention.' + clause[0], *clause[1:])]


class ReopenMixin:
    """Go back after a mistake with one button, ``reopen``; the journal keeps
    the trace.

    ``_reopened`` says where it leads from each state that may be left again,
    ``_reasoned`` which of these steps ask for a reason, in the field
    ``reopen_reason``.
    """
    __slots__ = ()
    _reopened = {}
    _reasoned = frozenset()

    @classmethod
    @ModelView.button
    def reopen(cls, records):
        by_state = defaultdict(list)
        for record in records:
            by_state[record.state].append(record)
        for state, sub in by_state.items():
            target = cls._reopened.get(state)
            cls.check_transition(sub, target)
            cls._reopen_to(target, sub)

    @classmethod
    def _reopen_to(cls, target, records):
        """Bring the records back to the state ``target``.

        Raise ``CompletenessError`` where a reason is missing.
        """
        reasoned = target in cls._reasoned
        if reasoned:
            records = cls.claim(records)
            cls.check_reopen_reason(records)
        Pool().get('grant.event').add([{
                    'record': r,
                    'name': 'reopen' if reasoned else 'state',
                    'before': r._reopened_from,
                    'after': cls._state_label(target),
                    'reason': r.reopen_reason if reasoned else None,
                    } for r in records])

        @transition(target)
        def reopen(cls, records):
            pass
        reopen(cls, records)
        if reasoned:
            cls.write(records, {'reopen_reason': None})

    @property
    def _reopened_from(self):
        "What the journal keeps of what is left."
        return self.state_label

    @classmethod
    def check_reopen_reason(cls, records):
        for record in records:
            if not (record.reopen_reason or '').strip():
                raise CompletenessError(gettext(
                        'pacte_grants.msg_reopen_reason',
                        record=record.rec_name))
