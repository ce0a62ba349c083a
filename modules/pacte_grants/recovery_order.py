# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What the finance package needs to issue the recovery orders."
from trytond.model import fields
from trytond.pool import PoolMeta

from .document import _address_lines


class Recovery(metaclass=PoolMeta):
    __name__ = 'grant.recovery'

    debtor_address = fields.Function(
        fields.Char("Debtor's Address"), 'get_debtor_address')

    @classmethod
    def get_debtor_address(cls, recoveries, name):
        return {
            r.id: ', '.join(_address_lines(r.party.address_get())) or None
            for r in recoveries}
