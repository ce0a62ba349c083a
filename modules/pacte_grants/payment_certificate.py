# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The certificate of what a partner was paid, one page for each partner."
from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.pool import Pool
from trytond.transaction import without_check_access

from .document import _amount, _identity, _quoted
from .exceptions import CompletenessError
from .reminder import ReminderLetter
from .wording import euros, long_date

_KINDS = {
    'advance': "avance",
    'interim': "acompte",
    'balance': "solde",
    'single': "versement unique",
    }


class PaymentCertificate(ReminderLetter):
    __name__ = 'grant.instalment.certificate'

    @classmethod
    @without_check_access
    def get_context(cls, records, header, data):
        """Return the values that the template names: ``department``,
        ``date``, ``pages``, each with its ``partner``, its ``lines`` and
        their ``total``."""
        # What the letters need does not concern the certificate.
        context = super(ReminderLetter, cls).get_context(
            records, header, data)
        pool = Pool()
        Report = pool.get('grant.convention.convention', type='report')
        instalments = pool.get('grant.instalment').browse(
            [r.id for r in records])
        by_party = defaultdict(list)
        for instalment in instalments:
            if instalment.state != 'paid':
                raise CompletenessError(gettext(
                        'pacte_grants.msg_payment_certificate_unpaid',
                        instalment=instalment.rec_name,
                        state=instalment.state_label))
            by_party[instalment.party].append(instalment)
        withheld = cls._get_withheld(instalments)
        context.update(
            department=Report._get_department(instalments[0].convention),
            date=long_date(pool.get('ir.date').today()),
            pages=[
                cls._get_page(party, paid, withheld)
                for party, paid in sorted(
                    by_party.items(), key=lambda item: item[0].rec_name)])
        return context

    @classmethod
    def _get_withheld(cls, instalments):
        "Return by instalment what the payer withheld from it."
        withheld = defaultdict(Decimal)
        for recovery in Pool().get('grant.recovery').search([
                    ('offset_instalment', 'in', [i.id for i in instalments]),
                    ('state', '=', 'offset'),
                    ]):
            withheld[recovery.offset_instalment] += recovery.amount
        return withheld

    @classmethod
    def _get_page(cls, party, instalments, withheld):
        instalments = sorted(instalments, key=lambda i: (i.paid_on, i.id))
        return {
            'partner': _identity(party),
            'individual': party.partner_kind == 'individual',
            'lines': [{
                    'date': i.paid_on.strftime('%d/%m/%Y'),
                    'convention': i.convention.number,
                    'title': _quoted(i.convention.title),
                    'kind': _KINDS[i.kind],
                    'year': str(i.tranche.year),
                    'amount': euros(i.amount),
                    'withheld': (
                        euros(withheld[i]) if i in withheld else None),
                    } for i in instalments],
            'total': _amount(sum(
                    (i.amount for i in instalments), Decimal(0))),
            }
