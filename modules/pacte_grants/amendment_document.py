# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The document of an amendment: issued and sealed like that of its convention."
from trytond.i18n import gettext
from trytond.model import fields
from trytond.pool import Pool, PoolMeta
from trytond.transaction import without_check_access

from .document import _ConventionReport
from .version import differences
from .wording import long_date


class Document(metaclass=PoolMeta):
    __name__ = 'grant.document'

    amendment = fields.Many2One(
        'grant.amendment', "Amendment", readonly=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.kind.selection = cls.kind.selection + [
            ('amendment', "Amendment")]
        cls._letters = cls._letters | {'amendment': 'A'}
        cls._series = cls._series | {'amendment': 'avenant'}

    @classmethod
    def _document_values(cls, convention, data, pdf, kind):
        values = super()._document_values(convention, data, pdf, kind)
        if kind == 'amendment':
            amendment = convention.amendment_under_way
            values['amendment'] = amendment.id
            values['name'] = (
                f"{amendment.rec_name} – version {values['version']}")
        return values


class Amendment(metaclass=PoolMeta):
    __name__ = 'grant.amendment'

    documents = fields.One2Many(
        'grant.document', 'amendment', "Documents", readonly=True)

    @classmethod
    def issue(cls, amendments):
        super().issue(amendments)
        pool = Pool()
        Convention = pool.get('grant.convention')
        with without_check_access():
            pool.get('grant.document').issue(
                Convention.browse([a.convention.id for a in amendments]),
                kind='amendment')

    @classmethod
    def recall(cls, amendments):
        super().recall(amendments)
        Pool().get('grant.document').supersede_documents([
                d for a in amendments for d in a.documents
                if d.state == 'sealed'],
            {d: a.reason_ending for a in amendments for d in a.documents})

    @classmethod
    def cancel(cls, amendments):
        super().cancel(amendments)
        Pool().get('grant.document').supersede_documents([
                d for a in amendments for d in a.documents
                if d.state == 'sealed'],
            {d: a.reason_ending for a in amendments for d in a.documents})


class AmendmentReport(_ConventionReport):
    __name__ = 'grant.convention.amendment'
    _kind = 'amendment'
    _actions = {'odt': 'report_amendment_odt', 'pdf': 'report_amendment'}

    @classmethod
    def _get_document(cls, convention):
        sealed = [
            d for d in convention.documents
            if d.kind == 'amendment' and d.state == 'sealed']
        return sealed[0] if sealed else None

    @classmethod
    def get_context(cls, records, header, data):
        context = super().get_context(records, header, data)
        Convention = Pool().get('grant.convention')
        convention = Convention(records[0].id)
        amendment = convention.amendment_under_way
        if amendment:
            context['amendment'] = cls._get_amendment(amendment)
        return context

    @classmethod
    def _get_amendment(cls, amendment):
        convention = amendment.convention
        changes = differences(
            convention.get_content(), amendment.get_content_after())
        return {
            'number': str(amendment.number),
            'title': amendment.title,
            'reason': (amendment.reason or '').splitlines(),
            'notified_on': (
                long_date(convention.notified_on)
                if convention.notified_on else None),
            'effective_date': (
                long_date(amendment.effective_date)
                if amendment.effective_date else None),
            'acts': [{
                    'number': d.act_number or gettext(
                        'pacte_grants.msg_amendment_act_number'),
                    'date': long_date(d.session.date),
                    } for d in sorted(
                    {d.deliberation for d in amendment.all_decisions},
                    key=lambda d: (d.session.date, d.id))],
            'changes': [{
                    'part': convention.part_label(part),
                    'before': before.splitlines() if before else None,
                    'after': after.splitlines() if after else None,
                    } for part, before, after in changes],
            }
