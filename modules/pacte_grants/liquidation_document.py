# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The statement of a liquidation: the calculation as the partner and the
payer follow it.

It is sealed when the partner is told and again when the balance is settled;
one stands at a time.
"""
import re

from trytond.i18n import gettext
from trytond.model import Index, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval

from .document import _amount, _date, _paragraphs
from .exceptions import CompletenessError, FrozenError
from .liquidation import _RULE_TEXTS, TOTALS
from .sealed import SealedReport, seal, supersede
from .wording import euros

# The kind of document; the letter of its references is L.
STATEMENT = 'liquidation'
_BREAK = re.compile(r'[ \t\r\n]+')


def calculation_rows(liquidation):
    "Return the lines of the calculation as a document shows them."
    return [{
            # The spaces of amounts do not break.
            'label': _BREAK.sub(' ', line.label).strip(),
            'amount': _signed(line.amount),
            'total': line.code in TOTALS,
            } for line in liquidation.lines]


def _signed(amount):
    if amount is None:
        return ''
    return ('−' if amount < 0 else '') + euros(abs(amount))


class Document(metaclass=PoolMeta):
    __name__ = 'grant.document'

    liquidation = fields.Many2One(
        'grant.liquidation', "Liquidation", readonly=True,
        ondelete='RESTRICT', states={'invisible': ~Bool(Eval('liquidation'))})

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        kind = (STATEMENT, "Liquidation Statement")
        if kind not in cls.kind.selection:
            cls.kind.selection.append(kind)
        cls._letters = cls._letters | {STATEMENT: 'L'}
        cls._sql_indexes.add(
            Index(table, (table.liquidation, Index.Equality())))


class Liquidation(metaclass=PoolMeta):
    __name__ = 'grant.liquidation'

    documents = fields.One2Many(
        'grant.document', 'liquidation', "Documents", readonly=True)

    @classmethod
    def copy(cls, liquidations, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('documents', None)
        return super().copy(liquidations, default=default)

    @classmethod
    def check_modification(cls, mode, liquidations, values=None,
            external=False):
        super().check_modification(
            mode, liquidations, values=values, external=external)
        if mode == 'delete':
            for liquidation in liquidations:
                if liquidation.documents:
                    raise FrozenError(gettext(
                            'pacte_grants.msg_liquidation_delete_documents',
                            liquidation=liquidation.rec_name))

    @classmethod
    @ModelView.button
    def notify(cls, liquidations):
        super().notify(liquidations)
        cls._issue(liquidations)

    @classmethod
    @ModelView.button
    def establish(cls, liquidations):
        super().establish(liquidations)
        cls._issue(liquidations)

    @classmethod
    def _issue(cls, liquidations):
        Report = Pool().get('grant.liquidation.statement', type='report')
        liquidations = cls.browse([
                liquidation.id for liquidation in liquidations])
        replaced = gettext('pacte_grants.msg_document_replaced')
        supersede(
            liquidations, {STATEMENT},
            {liquidation.id: replaced for liquidation in liquidations})
        seal(Report, liquidations, STATEMENT, 'liquidation')

    @classmethod
    def _reopen_to(cls, target, liquidations):
        reasons = {
            liquidation.id: liquidation.reopen_reason
            for liquidation in liquidations}
        super()._reopen_to(target, liquidations)
        supersede(liquidations, {STATEMENT}, reasons)


class LiquidationReport(SealedReport):
    __name__ = 'grant.liquidation.statement'
    _model = 'grant.liquidation'
    _kind = STATEMENT
    _action = 'report_liquidation_odt'

    @classmethod
    def check_draft(cls, liquidation):
        if not liquidation.lines:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_liquidation_document_draft',
                    liquidation=liquidation.rec_name))

    @classmethod
    def get_context(cls, records, header, data):
        """Return the values that the template names beside the common ones:
        ``year``, the ``report`` and the ``rule`` on which the calculation
        rests, its ``lines`` and what they lead to, what the partner may
        still say or has said and, once it is ``settled``, the answer."""
        context = super().get_context(records, header, data)
        pool = Pool()
        liquidation = pool.get('grant.liquidation')(records[0].id)
        convention, report = liquidation.convention, liquidation.report
        context.update(
            settled=liquidation.state == 'established',
            year=str(liquidation.year),
            notified_on=_date(liquidation.tranche.notified_on),
            report={
                'year': str(report.year),
                'received_on': _date(report.received_on),
                'accepted_on': _date(report.accepted_on),
                } if report else {},
            rule=_RULE_TEXTS[convention.cost_rule or 'rate'],
            lines=calculation_rows(liquidation),
            granted=_signed(liquidation.granted),
            acquired=_signed(liquidation.acquired),
            reduced=bool(
                liquidation.lines
                and liquidation.acquired < liquidation.granted),
            balance=liquidation.balance and _amount(liquidation.balance),
            overpayment=(
                liquidation.overpayment and _amount(liquidation.overpayment)),
            told_on=_date(liquidation.notified_on),
            comment_until=_date(liquidation.comment_until),
            comment_days=str(int(pool.get('grant.parameter').get(
                        'LIQUIDATION_COMMENT_DELAY'))),
            observations_on=_date(liquidation.observations_on),
            answer=_paragraphs(liquidation.answer))
        return context
