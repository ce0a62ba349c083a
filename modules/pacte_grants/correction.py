# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What changes in a frozen convention without an amendment: material errors
and the legal representative.  The journal keeps both values and the reason.
"""
from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.transaction import check_access, without_check_access
from trytond.wizard import Button, StateTransition, StateView, Wizard

from .convention import DEAD_STATES, LIVE_STATES, OPEN_STATES
from .exceptions import CompletenessError, FrozenError
from .mixin import acting_user, thaw

# The fields in which an error may be material, and those of the signatory.
CORRECTABLE = [
    'title', 'purpose', 'signatory_name', 'signatory_capacity',
    'signatory_power']


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    @classmethod
    def correct(cls, convention, values, reason):
        """Correct the frozen convention.

        ``values`` maps some of ``CORRECTABLE`` to their new values.  Raise
        ``CompletenessError`` without a reason or without a change, and
        ``FrozenError`` for another field or where nothing is frozen yet or
        everything is over.
        """
        acting_user(gettext('pacte_grants.msg_act_convention'))
        convention, = cls.claim([convention])
        if (convention.freezing_state in OPEN_STATES
                or convention.state in DEAD_STATES | {'closed'}):
            raise FrozenError(gettext(
                    'pacte_grants.msg_convention_correct_state',
                    convention=convention.rec_name,
                    state=convention.state_label))
        if unknown := values.keys() - set(CORRECTABLE):
            raise FrozenError(gettext(
                    'pacte_grants.msg_convention_correct_field',
                    convention=convention.rec_name,
                    field=', '.join(
                        cls.__names__(field=name)['field']
                        for name in sorted(unknown))))
        changed = {
            name: value for name, value in values.items()
            if (getattr(convention, name) or '') != (value or '')}
        if not changed or not reason:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_convention_correct_reason',
                    convention=convention.rec_name))
        Pool().get('grant.event').add([{
                    'record': convention, 'name': name,
                    'before': getattr(convention, name), 'after': value,
                    'reason': reason,
                    } for name, value in changed.items()])
        with thaw(), without_check_access():
            cls.write([cls(convention.id)], changed)
        if convention.state in LIVE_STATES:
            cls.record_version([convention], 'correction', note=reason)


class Correct(Wizard):
    "Correct a material error or the representative, with a reason."
    __name__ = 'grant.convention.correct'

    start = StateView(
        'grant.convention.correct.start',
        'pacte_grants.convention_correct_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Correct", 'correct', 'tryton-ok', default=True),
            ])
    correct = StateTransition()

    def default_start(self, names):
        return {
            name: getattr(self.record, name)
            for name in [*CORRECTABLE, 'form']}

    def transition_correct(self):
        pool = Pool()
        Convention = pool.get('grant.convention')
        # A wizard does not check the rights by itself.
        with check_access():
            pool.get('ir.model.access').check(Convention.__name__, 'write')
        Convention.correct(
            self.record,
            {name: getattr(self.start, name) for name in CORRECTABLE},
            self.start.reason)
        return 'end'

    def end(self):
        return 'reload'


class CorrectStart(ModelView):
    __name__ = 'grant.convention.correct.start'

    form = fields.Char("Form", readonly=True)
    title = fields.Char("Title", required=True)
    purpose = fields.Text("Purpose")
    signatory_name = fields.Char(
        "Partner's Signatory",
        states={'invisible': Eval('form') != 'convention'})
    signatory_capacity = fields.Char(
        "Capacity", states={'invisible': Eval('form') != 'convention'})
    signatory_power = fields.Char(
        "Power", states={'invisible': Eval('form') != 'convention'})
    reason = fields.Text(
        "Reason", required=True,
        help="Why this is a material error, or since when the partner has "
        "another representative.")
