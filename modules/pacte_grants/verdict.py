# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""One verdict per line: what is done on a selection says of each record
whether it was taken and, if not, why (design, invariant 8).
"""
from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.pool import Pool
from trytond.pyson import Eval, If
from trytond.transaction import check_access
from trytond.wizard import Button, StateView, Wizard

from .check import bulleted
from .exceptions import CompletenessError

__all__ = ['AcceptanceMixin', 'VerdictMixin']


class VerdictMixin:
    "A line of a selection: whether it is taken, or why not."
    __slots__ = ()

    accepted = fields.Boolean("Accepted", readonly=True)
    verdict = fields.Text("Verdict", readonly=True)

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('/tree', 'visual',
                If(Eval('accepted', False), 'success', 'danger')),
            ]


class AcceptanceMixin:
    """A record with a workflow whose ``accept`` takes all or nothing, and
    ``accept_each`` what may be accepted, by the same rule."""
    __slots__ = ()

    @classmethod
    def get_acceptance_reasons(cls, records):
        """Return, by record, what prevents it from being accepted: a list of
        sentences, empty if nothing does."""
        return {record: [] for record in records}

    @classmethod
    def check_acceptance(cls, records):
        """Raise ``CompletenessError`` with everything that is missing from
        the first record that cannot be accepted."""
        for record, reasons in cls.get_acceptance_reasons(records).items():
            if reasons:
                raise CompletenessError(record._refuse(reasons))

    def _refuse(self, reasons):
        "Return the message that names the record and the reasons."
        return '\n'.join(reasons)

    @classmethod
    def get_verdicts(cls, records):
        """Return, by record, why it cannot be accepted: sentences.  What may
        be accepted is not in it."""
        verdicts = {
            record: gettext(
                'pacte_grants.msg_accept_state', state=record.state_label)
            for record in cls.get_button_refusals(records, 'accept')}
        reasons = cls.get_acceptance_reasons(
            [r for r in records if r not in verdicts])
        for record, sentences in reasons.items():
            if sentences:
                verdicts[record] = (
                    bulleted(sentences) if len(sentences) > 1
                    else sentences[0])
        return verdicts

    @classmethod
    def accept_each(cls, records):
        """Accept what may be and leave the others as they are; return the
        verdicts on the others."""
        records = cls.claim(records)
        verdicts = cls.get_verdicts(records)
        accepted = [r for r in records if r not in verdicts]
        if accepted:
            cls.accept(accepted)
        return verdicts


class AcceptVerdict(ModelView):
    __name__ = 'grant.accept.verdict'
    __string__ = "Verdicts on a Selection"

    accepted = fields.Integer("Accepted", readonly=True)
    refused = fields.Integer("Not Accepted", readonly=True)
    lines = fields.One2Many(
        'grant.accept.line', None, "Verdicts", readonly=True)


class AcceptLine(VerdictMixin, ModelView):
    __name__ = 'grant.accept.line'
    __string__ = "Verdict on a Record"

    record = fields.Reference(
        "Record", selection='get_records', readonly=True)
    party = fields.Many2One('party.party', "Partner", readonly=True)

    @classmethod
    def get_records(cls):
        IrModel = Pool().get('ir.model')
        return [(None, '')] + [
            (name, IrModel.get_name(name))
            for name, model in Pool().iterobject()
            if issubclass(model, AcceptanceMixin)]


class Accept(Wizard):
    "Accept what may be accepted of a selection, after saying what would be."
    __name__ = 'grant.accept'

    start_state = 'preview'
    preview = StateView(
        'grant.accept.verdict',
        'pacte_grants.accept_verdict_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button(
                "Accept", 'result', 'tryton-ok', default=True,
                states={'readonly': ~Eval('accepted', 0)}),
            ])
    result = StateView(
        'grant.accept.verdict',
        'pacte_grants.accept_verdict_view_form', [
            Button("Close", 'end', 'tryton-close', default=True),
            ])

    def _get_records(self):
        """Return the selection; raise ``AccessError`` if the user may not
        see all of it."""
        with check_access():
            ids = [r.id for r in self.records]
            self.model.read(ids, ['id'])
            return self.model.browse(ids)

    def default_preview(self, fields):
        records = self._get_records()
        with check_access():
            verdicts = self.model.get_verdicts(records)
        return self._show(
            records, verdicts, gettext('pacte_grants.msg_accept_possible'))

    def default_result(self, fields):
        records = self._get_records()
        with check_access():
            verdicts = self.model.accept_each(records)
        return self._show(
            records, verdicts, gettext('pacte_grants.msg_accept_done'))

    def _show(self, records, verdicts, taken):
        "Return the verdicts as the view shows them, the refusals first."
        reasons = {r.id: verdict for r, verdict in verdicts.items()}
        lines = [{
                'record': str(record),
                'party': record.party.id,
                'accepted': record.id not in reasons,
                'verdict': reasons.get(record.id, taken),
                } for record in self.model.browse(records)]
        lines.sort(key=lambda line: line['accepted'])
        return {
            'accepted': len(records) - len(reasons),
            'refused': len(reasons),
            'lines': lines,
            }

    def end(self):
        return 'reload'
