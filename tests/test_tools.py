# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The helpers of the tests count what they say."

from trytond.pool import Pool
from trytond.tests.test_tryton import (
    TestCase, activate_module, drop_db, with_transaction)

from .tools import count_queries, count_selects


class ToolsTestCase(TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        drop_db()
        activate_module('pacte_grants')
        cls.addClassCleanup(drop_db)

    @with_transaction()
    def test_count_queries(self):
        "Statements are counted by kind, the log of changes is not"
        Party = Pool().get('party.party')
        parties = Party.create([{'name': "A"}, {'name': "B"}])
        with count_queries() as queries:
            Party.write(parties, {'name': "C"})
            Party.search([('name', '=', "C")])
        self.assertEqual(queries.updates, 1)
        self.assertGreaterEqual(queries.selects, 1)
        self.assertFalse([q for q in queries if 'ir_model_log' in q])

    @with_transaction()
    def test_count_selects(self):
        "One read for many records is constant, one read for each is not"
        Party = Pool().get('party.party')
        ids = [p.id for p in Party.create([{'name': str(i)}
                    for i in range(20)])]

        def together(count):
            return [p.name for p in Party.browse(ids[:count])]

        def one_by_one(count):
            return [Party.search([('id', '=', i)]) for i in ids[:count]]

        self.assertEqual(
            count_selects(together, 2), count_selects(together, 20))
        self.assertEqual(count_selects(one_by_one, 20)
            - count_selects(one_by_one, 2), 18)
