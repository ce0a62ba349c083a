# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Services of the Department."
from trytond.model import (
    DeactivableMixin, ModelSQL, ModelView, Unique, fields, sequence_ordered,
    tree)
from trytond.pyson import Eval
from trytond.transaction import Transaction


class Service(
        DeactivableMixin, sequence_ordered(), tree(separator=' / '),
        ModelSQL, ModelView):
    __name__ = 'grant.service'

    company = fields.Many2One(
        'company.company', "Company", required=True, ondelete='RESTRICT')
    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)
    parent = fields.Many2One(
        'grant.service', "Parent", ondelete='RESTRICT',
        domain=[('company', '=', Eval('company', -1))])
    children = fields.One2Many(
        'grant.service', 'parent', "Children",
        domain=[('company', '=', Eval('company', -1))])

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append((
                'company_code_unique',
                Unique(table, table.company, table.code),
                'pacte_grants.msg_service_unique'))

    @classmethod
    def default_company(cls):
        return Transaction().context.get('company')
