# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Credit transfers of a funder that pays by itself.

A Département never sends them: its public accountant alone pays.  A funder
without one activates ``account_payment_sepa`` and chooses its journal.
"""
from trytond.pool import PoolMeta


class Payment(metaclass=PoolMeta):
    __name__ = 'account.payment'

    @property
    def sepa_bank_account_number(self):
        "The number that was verified, whatever accounts the party has."
        link = self.instalment.bank_account if self.instalment else None
        if link:
            return next(
                (n for n in link.account.numbers
                    if n.type == 'iban' and n.active), None)
        return super().sepa_bank_account_number
