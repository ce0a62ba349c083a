# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Import the payer's answers after a dry run, or enter one by hand."
from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.pool import Pool
from trytond.pyson import Date, Eval, If
from trytond.transaction import (
    Transaction, check_access, without_check_access)
from trytond.wizard import (
    Button, StateAction, StateTransition, StateView, Wizard)

from .exceptions import ReturnError
from .payer_return import STATUSES
from .return_file import Answer


class ImportStart(ModelView):
    __name__ = 'grant.return.import.start'
    __string__ = "Return to Import"

    name = fields.Char("File Name")
    file = fields.Binary("CSV File", filename='name', required=True)


class ImportPreview(ModelView):
    __name__ = 'grant.return.import.preview'
    __string__ = "What the Return Would Change"

    applied = fields.Integer("Matched", readonly=True)
    known = fields.Integer("Already Known", readonly=True)
    unknown = fields.Integer("Unknown", readonly=True)
    mismatch = fields.Integer("Anomalies", readonly=True)
    text = fields.Text("Lines", readonly=True)


class ImportMixin:
    """Read a return: show what it would change, then apply it.

    ``_return_model`` is the model of its files, which ``open_`` shows.
    """
    _return_model = None

    start = StateView(
        'grant.return.import.start',
        'pacte_grants.return_import_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Check", 'preview', 'tryton-forward', default=True),
            ])
    preview = StateView(
        'grant.return.import.preview',
        'pacte_grants.return_import_preview_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Apply", 'import_', 'tryton-ok', default=True),
            ])
    import_ = StateTransition()

    def default_preview(self, fields):
        Return = Pool().get(self._return_model)
        verdicts = Return.examine(Return.read_file(self.start.file))
        counts = dict.fromkeys(
            ['applied', 'known', 'unknown', 'mismatch'], 0)
        texts = []
        labels = dict(Return._answered().fields_get(
                ['status'])['status']['selection'])
        for verdict in verdicts:
            counts[verdict.verdict] += 1
            if verdict.reason:
                texts.append(verdict.reason)
        for verdict in verdicts:
            if verdict.verdict == 'applied':
                texts.append(gettext(
                        'pacte_grants.msg_return_applied',
                        line=verdict.line.rec_name,
                        party=verdict.line.party.rec_name,
                        status=labels[verdict.answer.status]))
        return {**counts, 'text': '\n'.join(texts)}

    def transition_import_(self):
        Return = Pool().get(self._return_model)
        with without_check_access():
            self._return = Return.import_file(
                self._file_name, self.start.file)
        return 'open_'

    @property
    def _file_name(self):
        return self.start.name or gettext('pacte_grants.msg_return_file')

    def do_open_(self, action):
        # Its form, where what did not fit is read
        action['views'].reverse()
        return action, {'res_id': [self._return.id]}


class Import(ImportMixin, Wizard):
    __name__ = 'grant.return.import'
    _return_model = 'grant.return'

    open_ = StateAction('pacte_grants.act_return_form')


class EnterStart(ModelView):
    __name__ = 'grant.return.enter.start'
    __string__ = "Answer to Enter"

    line = fields.Many2One(
        'grant.batch.line', "Line of a Batch", required=True,
        domain=[('group.state', 'in', ['transmitted', 'closed'])])
    status = fields.Selection(
        STATUSES, "Status", required=True, sort=False)
    reason = fields.Char("Reason", states={
            'required': Eval('status').in_(['rejected', 'suspended']),
            'invisible': ~Eval('status').in_(['rejected', 'suspended']),
            })
    commitment = fields.Char("Commitment")
    order_number = fields.Char("Payment Order", states={
            'required': Eval('status') == 'ordered'})
    bordereau = fields.Char("Slip")
    ordered_on = fields.Date("Ordered On")
    paid_on = fields.Date(
        "Paid On", domain=[If(Eval('paid_on', None),
                ('paid_on', '<=', Date()), ())],
        states={
            'required': Eval('status') == 'paid',
            'invisible': Eval('status') != 'paid',
            })


class Enter(Wizard):
    "Enter by hand what the payer answers to a line."
    __name__ = 'grant.return.enter'

    start = StateView(
        'grant.return.enter.start',
        'pacte_grants.return_enter_start_view_form', [
            Button("Cancel", 'end', 'tryton-cancel'),
            Button("Record", 'enter', 'tryton-ok', default=True),
            ])
    enter = StateTransition()

    def default_start(self, fields):
        if self.model and self.model.__name__ == 'grant.batch.line':
            return {'line': self.record.id}
        return {}

    def transition_enter(self):
        Return = Pool().get('grant.return')
        start = self.start
        with check_access():
            # The line is one that the user may read.
            start.line.__class__.read([start.line.id], ['line_number'])
        values = {
            n: getattr(start, n, None) for n in Return._readers
            if getattr(start, n, None)}
        by_hand = gettext('pacte_grants.msg_return_by_hand')
        answers = [
            Answer(
                0, by_hand, line.group.number, line.line_number,
                start.status, values)
            for line in self._get_lines()]
        with Transaction().set_context(company=start.line.company.id):
            for verdict in Return.examine(answers):
                if verdict.verdict != 'applied':
                    raise ReturnError(verdict.reason or gettext(
                            'pacte_grants.msg_return_known',
                            line=start.line.rec_name))
            with without_check_access():
                Return.apply(by_hand, answers)
        return 'end'

    def _get_lines(self):
        """Return the lines that are answered: that of the user, or, when the
        bank returns what was paid, all those of the one transfer."""
        line = self.start.line
        if (self.start.status == 'rejected'
                and line.payment.state == 'succeeded'):
            return list(line.payment.batch_lines)
        return [line]

    def end(self):
        # From the menu, nothing but the menu would be read again.
        if self.model and self.model.__name__ == 'grant.batch.line':
            return 'reload'
