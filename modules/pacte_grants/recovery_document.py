# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The letters of a recovery: the hearing, then the decision.

The hearing is written where the partner was not heard before, the decision
unless a procedure decided; each is sealed when it leaves.
"""
from trytond.i18n import gettext
from trytond.model import Index, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval
from trytond.transaction import without_check_access

from .document import _amount, _date, _paragraphs
from .exceptions import CompletenessError
from .liquidation_document import calculation_rows
from .sealed import SealedReport, seal, supersede
from .wording import in_words

# The kinds of documents and the letters of their references
HEARING, DECISION = 'recovery_hearing', 'recovery_decision'
_LETTERS = {HEARING: 'I', DECISION: 'R'}


class Document(metaclass=PoolMeta):
    __name__ = 'grant.document'

    recovery = fields.Many2One(
        'grant.recovery', "Recovery", readonly=True, ondelete='RESTRICT',
        states={'invisible': ~Bool(Eval('recovery'))})

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        for kind in [
                (HEARING, "Letter Before a Recovery"),
                (DECISION, "Decision of a Recovery")]:
            if kind not in cls.kind.selection:
                cls.kind.selection.append(kind)
        cls._letters = cls._letters | _LETTERS
        cls._sql_indexes.add(
            Index(table, (table.recovery, Index.Equality())))


class Recovery(metaclass=PoolMeta):
    __name__ = 'grant.recovery'

    documents = fields.One2Many(
        'grant.document', 'recovery', "Documents", readonly=True)

    @classmethod
    def copy(cls, recoveries, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('documents', None)
        return super().copy(recoveries, default=default)

    @property
    def is_heard_by_letter(self):
        "Whether the partner is heard by a letter of the recovery itself."
        return not self.was_heard

    @property
    def is_decided_by_letter(self):
        "Whether the recovery itself is notified, not a decided procedure."
        return not self.procedure

    @classmethod
    @ModelView.button
    def notify(cls, recoveries):
        super().notify(recoveries)
        cls._issue(recoveries, HEARING, 'is_heard_by_letter')

    @classmethod
    @ModelView.button
    def confirm(cls, recoveries):
        super().confirm(recoveries)
        cls._issue(recoveries, DECISION, 'is_decided_by_letter')

    @classmethod
    def _issue(cls, recoveries, kind, condition):
        Report = Pool().get(f'grant.{_REPORTS[kind]}', type='report')
        recoveries = [
            r for r in cls.browse([r.id for r in recoveries])
            if getattr(r, condition)]
        if recoveries:
            seal(Report, recoveries, kind, 'recovery')

    @classmethod
    @ModelView.button
    def abandon(cls, recoveries):
        super().abandon(recoveries)
        supersede(
            recoveries, set(_LETTERS),
            {r.id: r.abandon_reason for r in recoveries})

    @classmethod
    def _reopen_to(cls, target, recoveries):
        reasons = {r.id: r.reopen_reason for r in recoveries}
        super()._reopen_to(target, recoveries)
        supersede(
            recoveries, set(_LETTERS) if target == 'draft' else {DECISION},
            reasons)


class Liquidation(metaclass=PoolMeta):
    __name__ = 'grant.liquidation'

    @classmethod
    @ModelView.button
    def calculate(cls, liquidations):
        """Make the calculation anew; the facts of a recovery in preparation
        follow it where nobody wrote others."""
        recoveries = cls._repeating(liquidations)
        super().calculate(liquidations)
        with without_check_access():
            for recovery in recoveries:
                recovery = recovery.__class__(recovery.id)
                recovery.facts = recovery.liquidation.explanation
                recovery.save()

    @classmethod
    @without_check_access
    def _repeating(cls, liquidations):
        return [
            r for r in Pool().get('grant.recovery').search([
                    ('liquidation', 'in', [
                            liquidation.id for liquidation in liquidations]),
                    ('state', '=', 'draft'),
                    ])
            if r.liquidation.is_calculation(r.facts)]

    def is_calculation(self, text):
        "Return whether the text is the calculation and nothing else."
        text = (text or '').strip()
        for line in self.lines:
            if not text.startswith(line.label):
                return False
            text = text[len(line.label):].partition('\n')[2]
        return not text.strip()


class _RecoveryReport(SealedReport):
    __slots__ = ()
    _model = 'grant.recovery'
    # What of the recovery says that it has such a letter, and why if not
    _condition = None
    _message = None

    @classmethod
    def check_draft(cls, recovery):
        if not getattr(recovery, cls._condition):
            raise CompletenessError(gettext(
                    f'pacte_grants.{cls._message}',
                    recovery=recovery.rec_name))
        if recovery.state == 'abandoned':
            raise CompletenessError(gettext(
                    'pacte_grants.msg_recovery_document_abandoned',
                    recovery=recovery.rec_name))

    @classmethod
    def get_context(cls, records, header, data):
        """Return the values that the template names beside the common ones:
        which ``letter`` it is, the ``cause``, the ``amount``, the ``facts``
        and the ``lines`` of the calculation, how the partner was ``heard``
        and what it said, the ``decision`` and the limitation."""
        context = super().get_context(records, header, data)
        pool = Pool()
        Parameter = pool.get('grant.parameter')
        recovery = pool.get('grant.recovery')(records[0].id)
        liquidation = recovery.liquidation
        repeated = liquidation and liquidation.is_calculation(recovery.facts)
        tranche = recovery.tranche or (liquidation and liquidation.tranche)
        context.update(
            letter='hearing' if cls._kind == HEARING else 'decision',
            voted=bool(recovery.convention.decisions),
            cause=recovery.cause,
            year=str(tranche.year) if tranche else None,
            amount=_amount(recovery.amount),
            facts=[] if repeated else _paragraphs(recovery.facts),
            lines=calculation_rows(liquidation) if liquidation else [],
            reply_until=_date(recovery.reply_until),
            hearing_days=str(int(Parameter.get('RECOVERY_HEARING_DELAY'))),
            decision=_paragraphs(recovery.decision),
            known_on=_date(recovery.known_on),
            limitation_years=in_words(Parameter.get('L26_LIMITATION')),
            **cls._get_hearing(recovery))
        return context

    @classmethod
    def _get_hearing(cls, recovery):
        "Return how the partner was heard and what it said."
        liquidation, procedure = recovery.liquidation, recovery.procedure
        said = recovery
        if procedure:
            heard, said = 'procedure', procedure
        elif liquidation and liquidation.notified_on:
            heard, said = 'calculation', liquidation
        else:
            heard = 'letter' if recovery.notified_on else None
        answer = getattr(said, 'answer', None)
        if recovery.observations_on:
            # What was said last is what the decision answers.
            observations, received_on = (
                recovery.observations, recovery.observations_on)
            if said != recovery:
                answer = None
        else:
            observations, received_on = (
                said.observations, said.observations_on)
        return {
            'heard': heard,
            'heard_on': _date(said.notified_on),
            'observations_on': _date(received_on),
            'observations': _paragraphs(observations),
            'answer': _paragraphs(answer),
            }


class HearingReport(_RecoveryReport):
    __name__ = 'grant.recovery.hearing'
    _kind = HEARING
    _action = 'report_recovery_hearing_odt'
    _condition = 'is_heard_by_letter'
    _message = 'msg_recovery_document_heard'


class DecisionReport(_RecoveryReport):
    __name__ = 'grant.recovery.decision'
    _kind = DECISION
    _action = 'report_recovery_decision_odt'
    _condition = 'is_decided_by_letter'
    _message = 'msg_recovery_document_procedure'

    @classmethod
    def check_draft(cls, recovery):
        super().check_draft(recovery)
        if recovery.state == 'draft':
            raise CompletenessError(gettext(
                    'pacte_grants.msg_recovery_document_draft',
                    recovery=recovery.rec_name))


_REPORTS = {
    HEARING: 'recovery.hearing',
    DECISION: 'recovery.decision',
    }
