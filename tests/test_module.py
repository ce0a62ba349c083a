# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Tryton's own tests of a module, and what they do not look at."

from lxml import etree
from trytond.model import ModelSingleton, ModelSQL, fields
from trytond.modules.company.model import CompanyValueMixin
from trytond.modules.company.tests import (
    CompanyTestMixin, PartyCompanyCheckEraseMixin)
from trytond.modules.party.tests import PartyCheckReplaceMixin
from trytond.pool import Pool
from trytond.tests.test_tryton import ModuleTestCase, with_transaction


class PacteGrantsTestCase(
        PartyCompanyCheckEraseMixin, PartyCheckReplaceMixin, CompanyTestMixin,
        ModuleTestCase):
    "Test Pacte Grants module"
    module = 'pacte_grants'

    def own_models(self):
        "The stored models that the module creates, by name."
        pool = Pool()
        IrModel = pool.get('ir.model')
        names = {
            m.name for m in IrModel.search([('module', '=', self.module)])}
        for name, Model in pool.iterobject():
            if name in names and issubclass(Model, ModelSQL):
                yield name, Model

    @with_transaction()
    def test_access(self):
        "Every model is closed by default or follows the access of another"
        pool = Pool()
        Access = pool.get('ir.model.access')
        closed = {
            a.model for a in Access.search([
                    ('group', '=', None),
                    ('perm_write', '=', False),
                    ('perm_create', '=', False),
                    ('perm_delete', '=', False),
                    ])}
        for name, Model in self.own_models():
            if Model.__access__:
                continue
            with self.subTest(model=name):
                self.assertIn(name, closed)

    @with_transaction()
    def test_columns(self):
        "The web client shows a moment in a list as a date and as a time"
        pool = Pool()
        View = pool.get('ir.ui.view')
        views = View.search([
                ('module', '=', self.module),
                ('type', '=', 'tree'),
                ('inherit', '=', None),
                ])
        self.assertTrue(views)
        for view in views:
            Model = pool.get(view.model)
            fields_view = Model.fields_view_get(view.id)
            for element in etree.fromstring(fields_view['arch']).iter('field'):
                definition = fields_view['fields'][element.get('name')]
                if definition['type'] in {'datetime', 'timestamp'}:
                    with self.subTest(
                            view=view.name, field=element.get('name')):
                        self.assertIn(
                            element.get('widget'), {'date', 'time'})

    @with_transaction()
    def test_company_required(self):
        "A model with a company requires it"
        for name, Model in self.own_models():
            if 'company' not in Model._fields:
                continue
            with self.subTest(model=name):
                self.assertTrue(
                    issubclass(Model, (ModelSingleton, CompanyValueMixin))
                    or Model.company.required)

    @with_transaction()
    def test_party_replaced(self):
        "Every link to a party follows a replacement"
        Replace = Pool().get('party.replace', type='wizard')
        replaced = set(Replace.fields_to_replace())
        for name, Model in self.own_models():
            if callable(getattr(Model, 'table_query', None)):
                continue
            for fname, field in Model._fields.items():
                if (field._type == 'many2one'
                        and field.model_name == 'party.party'
                        and not isinstance(field, fields.Function)):
                    with self.subTest(model=name, field=fname):
                        self.assertIn((name, fname), replaced)


del ModuleTestCase
