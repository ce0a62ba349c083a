# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
from trytond.model import fields
from trytond.pool import PoolMeta


class User(metaclass=PoolMeta):
    __name__ = 'res.user'

    grant_service = fields.Many2One(
        'grant.service', "Service", ondelete='RESTRICT',
        help="The service of the Department in which the user works.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._context_fields.append('grant_service')

    @property
    def persons(self):
        """The parties of the user's employees: what makes two users one
        person (design, invariant 5)."""
        return {e.party.id for e in self.employees}

    def is_same_person(self, other):
        "Return whether the other ``res.user`` is the same human being."
        if not other:
            return False
        return self.id == other.id or bool(self.persons & other.persons)
