# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The aid in kind that a convention of the partner speaks of."
from trytond.model import Index, fields
from trytond.pool import PoolMeta
from trytond.pyson import Eval


class InKind(metaclass=PoolMeta):
    __name__ = 'grant.in_kind'

    convention = fields.Many2One(
        'grant.convention', "Convention", ondelete='RESTRICT',
        domain=[
            ('company', '=', Eval('company', -1)),
            ('party', '=', Eval('party', -1)),
            ],
        states={'readonly': Eval('state') == 'cancelled'},
        help="The convention that speaks of the aid. It may come after the "
        "confirmation, which can be what makes it due.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._frozen = {
            **cls._frozen,
            'confirmed': cls._frozen['confirmed'] | {'convention'},
            }
        cls._sql_indexes.add(
            Index(table, (table.convention, Index.Equality())))

    @fields.depends('convention', 'party', '_parent_convention.party')
    def on_change_convention(self):
        if self.convention and not self.party:
            self.party = self.convention.party
