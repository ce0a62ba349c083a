# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The library of objectives: what is copied, from where, with which success."
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.modules.pacte_grants.exceptions import (
    FrozenError, TransitionError)
from trytond.pool import Pool
from trytond.transaction import Transaction, without_check_access

from .refusal import Dossier, RefusalCase, forget, set_state
from .tools import count_queries


class LibraryTestCase(RefusalCase):
    "A culture scheme whose application serves the ambition A03"

    @classmethod
    def prepare(cls):
        road = cls.road
        pool = Pool()
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        road.press('claire', convention, 'negotiate')
        Library = pool.get('grant.library.objective')
        entry, = Library.search([
                ('title', '=', "Créer avec les habitants")])
        cls.dossier = Dossier(
            convention=convention, application=application, entry=entry)

    def add(self, targets, login='claire', convention=None):
        """Add the entry with the wizard, its indicators with the targets;
        return the objective."""
        convention = convention or self.dossier.convention
        pool = Pool()
        Add = pool.get('grant.library.add', type='wizard')
        entry = self.dossier.entry
        with self.road.as_user(login), Transaction().set_context(
                active_model='grant.convention', active_id=convention.id,
                active_ids=[convention.id]):
            session_id, _, _ = Add.create()
            result = Add.execute(session_id, {}, 'start')
            defaults = result['view']['defaults']
            self.assertEqual(defaults['convention'], convention.id)
            self.assertIn(entry.id, defaults['candidates'])
            start = {
                'convention': convention.id,
                'scope': 'orientations',
                'candidates': defaults['candidates'],
                'objectives': [entry.id],
                }
            result = Add.execute(session_id, {'start': start}, 'targets')
            lines = result['view']['defaults']['lines']
            self.assertEqual(
                [line['indicator'] for line in lines],
                [i.id for i in entry.indicators])
            lines = [
                {k: v for k, v in line.items() if '.' not in k} | {
                    'baseline': Decimal(10), 'target': Decimal(target)}
                for line, target in zip(lines, targets, strict=False)
                if target]
            Add.execute(session_id, {
                    'start': start, 'targets': {'lines': lines}}, 'add')
            Add.delete(session_id)
        forget()
        return convention.__class__(convention.id).objectives[-1]

    def test_initial(self):
        "About twenty sound entries, each complete"
        Library = Pool().get('grant.library.objective')
        entries = Library.search([])
        self.assertGreaterEqual(len(entries), 20)
        self.assertEqual(
            {e.domain for e in entries},
            {'youth', 'education', 'culture', 'sport', None})
        kinds = set()
        for entry in entries:
            self.assertTrue(entry.description)
            self.assertTrue(entry.orientations)
            self.assertTrue(1 <= len(entry.indicators) <= 3)
            for indicator in entry.indicators:
                kinds.add(indicator.kind)
                self.assertTrue(indicator.source)
                self.assertTrue(indicator.measured_by)
                self.assertTrue(indicator.measured_when)
            for word in ['prestation', 'contrepartie', 'obligation']:
                self.assertNotIn(
                    word, f'{entry.title} {entry.description}'.lower())
        self.assertEqual(kinds, {'figure', 'satisfaction', 'participation'})

    def test_suitable(self):
        Library = Pool().get('grant.library.objective')
        convention = self.dossier.convention
        by_scope = {
            scope: Library.suitable(convention, scope)
            for scope in ['orientations', 'domain', 'all']}
        for entry in by_scope['orientations']:
            self.assertIn(entry.domain, {None, 'culture'})
            self.assertIn('A03', [o.code for o in entry.orientations])
        self.assertIn(self.dossier.entry, by_scope['orientations'])
        self.assertEqual(
            {e.domain for e in by_scope['domain']}, {None, 'culture'})
        self.assertLess(
            len(by_scope['orientations']), len(by_scope['domain']))
        self.assertLess(len(by_scope['domain']), len(by_scope['all']))
        # Neither expired nor archived
        with self.road.system():
            Library.write(
                [self.dossier.entry], {'valid_to': self.road.today})
        self.assertIn(
            self.dossier.entry, Library.suitable(convention, 'all'))
        with self.road.system():
            Library.write(
                [self.dossier.entry], {
                    'valid_from': self.road.today.replace(year=2001),
                    'valid_to': self.road.today.replace(
                        year=self.road.year - 1, day=1)})
        self.assertNotIn(
            self.dossier.entry, Library.suitable(convention, 'all'))

    def test_added(self):
        "The texts are copied, with their origin, as one version"
        objective = self.add([60, 24, 80])
        entry = self.dossier.entry
        self.assertEqual(objective.title, entry.title)
        self.assertEqual(objective.description, entry.description)
        self.assertEqual(objective.library, entry)
        self.assertEqual(
            [i.library for i in objective.indicators],
            list(entry.indicators))
        for indicator in objective.indicators:
            source = indicator.library
            for name in source.definition_fields():
                self.assertEqual(
                    getattr(indicator, name), getattr(source, name), name)
            self.assertEqual(indicator.baseline, 10)
            self.assertEqual(indicator.result_clause, 'talk')
        self.assertEqual(
            [i.target for i in objective.indicators], [60, 24, 80])
        version, = objective.versions
        self.assertEqual(version.user, self.road.users['claire'])
        self.assertIn("Habitants associés", version.text)

    def test_some(self):
        "An indicator that is taken out of the list is not added"
        objective = self.add([60, None, 80])
        self.assertEqual(
            [i.name for i in objective.indicators],
            ["Habitants associés", "Participants prêts à recommencer"])

    def test_not_followed(self):
        "A later change of the library changes no convention"
        objective = self.add([60, 24, 80])
        entry = self.dossier.entry
        before = objective.get_content()
        with self.road.as_user('marc'):
            Library = entry.__class__
            Library.write([Library(entry.id)], {
                    'title': "Autre", 'description': "Autre",
                    'indicators': [
                        ('write', [i.id for i in entry.indicators], {
                                'name': "Autre", 'tolerance': Decimal(9)}),
                        ]})
        forget()
        objective = self.road.fresh(objective)
        self.assertEqual(objective.get_content(), before)
        self.assertEqual(len(objective.versions), 1)
        with self.refused(UserError), self.road.system():
            Library.delete([Library(entry.id)])

    def test_frozen(self):
        "Nothing is added to an agreed text, whatever the door"
        convention = self.dossier.convention
        objectives = len(convention.objectives)
        set_state(convention, 'agreed')
        with self.refused(TransitionError, 'button_state'):
            self.road.press('claire', convention, 'add_from_library')
        with self.refused(FrozenError, 'frozen_by', convention.rec_name):
            self.add([60, 24, 80])
        Objective = Pool().get('grant.objective')
        with self.refused(FrozenError, 'frozen_by'), self.road.system():
            Objective.create_from_library(
                self.dossier.convention, [(self.dossier.entry, [])])
        self.assertEqual(
            len(self.dossier.convention.objectives), objectives)

    def test_rights(self):
        "Who may not write the convention adds nothing to it"
        for login in ['lea', 'paul', 'sophie', 'jean']:
            with self.subTest(user=login):
                with self.forbidden():
                    self.add([60, 24, 80], login=login)
                with self.forbidden():
                    self.road.press(
                        login, self.dossier.convention, 'add_from_library')
        Library = self.dossier.entry.__class__
        for login in ['lea', 'paul', 'claire', 'jean']:
            with self.subTest(user=login):
                with self.forbidden(), self.road.as_user(login):
                    Library.write(
                        [Library(self.dossier.entry.id)], {'title': "X"})
                with self.road.as_user(login):
                    self.assertTrue(Library(self.dossier.entry.id).rec_name)

    def test_origin_not_written(self):
        "The origin is the system's to say"
        objective = self.road.add_objective(self.dossier.convention)
        with self.forbidden():
            self.road.write(
                'claire', objective, library=self.dossier.entry.id)

    def test_uses(self):
        "How often it was used, where, and what was attained"
        entry = self.dossier.entry
        convention = self.dossier.convention
        objective = self.add([60, 24, 80])
        self.assertEqual(self.road.fresh(entry).uses, 0)
        set_state(
            convention, 'active', start_date=self.road.today)
        forget()
        entry = self.road.fresh(entry)
        self.assertEqual(entry.uses, 1)
        self.assertEqual(list(entry.conventions), [convention])
        self.assertEqual(list(entry.used), [objective])
        self.assertIsNone(entry.attainment)
        workshops = objective.indicators[1]
        with self.road.as_user('claire'), without_check_access():
            Pool().get('grant.measure').create([{
                        'indicator': workshops.id,
                        'date': self.road.today,
                        # From 10 to 24: half of the way
                        'value': Decimal(17)}])
        forget()
        entry = self.road.fresh(entry)
        self.assertEqual(entry.attainment, 0.5)
        self.assertEqual(
            [(i.uses, i.attainment) for i in entry.indicators],
            [(1, None), (1, 0.5), (1, None)])
        set_state(convention, 'cancelled')
        self.assertEqual(self.road.fresh(entry).uses, 0)

    def test_queries(self):
        "The list of the library takes the same queries however much is used"
        convention = self.dossier.convention
        Library = Pool().get('grant.library.objective')
        Objective = Pool().get('grant.objective')

        def read(count):
            set_state(convention, 'negotiation')
            with self.road.system():
                Objective.create_from_library(convention, [
                        (entry, [
                                (i, {'target': 1})
                                for i in entry.indicators])
                        for entry in Library.search([], limit=count)])
            set_state(convention, 'active')
            with count_queries() as queries, self.road.system():
                for entry in Library.search([]):
                    self.assertIsNotNone(entry.uses)
                    self.assertIsNone(entry.attainment)
                    for indicator in entry.indicators:
                        self.assertIsNotNone(indicator.uses)
            return queries.selects

        read(2)
        self.assertLessEqual(read(24), read(2) + 3)
