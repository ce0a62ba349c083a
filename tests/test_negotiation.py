# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Objectives that two parties write: every version is kept."
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, FrozenError)
from trytond.modules.pacte_grants.negotiation import compare
from trytond.pool import Pool

from .refusal import Dossier, RefusalCase, forget
from .tools import count_queries


@pytest.mark.parametrize('before, after, htmls', [
        (None, "Un", ('<div><br></div>', '<div><u>Un</u></div>')),
        ("Un deux", "Un trois",
            ('<div>Un <u>deux</u></div>', '<div>Un <u>trois</u></div>')),
        ("Un\ndeux", "Un",
            ('<div>Un</div><div><u>deux</u></div>', '<div>Un</div>')),
        ("a < b", "a > b",
            ('<div>a <u>&lt;</u> b</div>', '<div>a <u>&gt;</u> b</div>')),
        ("<script>", "<script>", ('<div>&lt;script&gt;</div>',) * 2),
        ])
def test_compare(before, after, htmls):
    assert compare(before, after) == htmls


@given(st.text(alphabet='ab <&\n'), st.text(alphabet='ab <&\n'))
def test_compare_keeps_all(before, after):
    "Nothing is lost, nothing is markup but what we put"
    for text, html in zip([before, after], compare(before, after)):
        assert html.count('<u>') == html.count('</u>')
        bare = html.replace('<u>', '').replace('</u>', '')
        lines = bare.removeprefix('<div>').removesuffix('</div>').split(
            '</div><div>')
        lines = ['' if line == '<br>' else line for line in lines]
        assert not any('<' in line for line in lines)
        assert '\n'.join(lines).replace('&lt;', '<').replace(
            '&amp;', '&') == text


class NegotiationTestCase(RefusalCase):
    "A convention in negotiation with one objective"

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        road.press('claire', convention, 'negotiate')
        objective = road.add_objective(convention)
        cls.dossier = Dossier(
            convention=convention, objective=objective,
            indicator=objective.indicators[0])

    @property
    def objective(self):
        forget()
        return self.dossier.objective

    @property
    def versions(self):
        "The versions of the objective, the first one first."
        return list(self.objective.versions)[::-1]

    def propose(self, side, login='claire', **values):
        self.road.write(login, self.objective, side=side, **values)

    def agree(self, *sides):
        for side in sides:
            self.road.press('claire', self.objective, f'agree_{side}')

    def test_first(self):
        "An objective entered with its indicator is one version"
        version, = self.versions
        self.assertEqual(
            (version.number, version.side, version.kind, version.user),
            (1, 'department', 'proposed', self.road.users['claire']))
        for word in ["Accueillir les collégiens", "Collégiens accueillis",
                "300", "élèves"]:
            self.assertIn(word, version.text)

    def test_three_rounds(self):
        "Proposal, counter-proposal, agreement: who, for whom, what"
        road = self.road
        self.propose('partner', login='olivier', title="Accueillir 5 classes")
        self.propose('department', indicators=[
                ('write', [self.dossier.indicator.id], {
                        'target': Decimal(250), 'unit': "élèves"}),
                ('create', [{
                            'name': "Ateliers", 'unit': "séances",
                            'target': 12}]),
                ])
        first, second, third = self.versions
        self.assertEqual(
            [(v.number, v.side, v.user) for v in [first, second, third]], [
                (1, 'department', road.users['claire']),
                (2, 'partner', road.users['olivier']),
                (3, 'department', road.users['claire'])])
        self.assertIn("<u>5 classes</u>", second.after)
        self.assertIn("<u>les collégiens</u>", second.before)
        self.assertIn("300", second.text)
        self.assertIn("250", third.text)
        self.assertIn("Ateliers", third.after)
        self.assertNotIn("Ateliers", third.before)
        objective = self.objective
        self.assertEqual(objective.version, third)
        self.assertEqual(objective.version_number, 3)
        self.assertIn("<u>300</u>", objective.partner_text)
        self.assertIn("<u>250</u>", objective.department_text)

    def test_indicator_alone(self):
        "An indicator changed, added or taken out elsewhere is a version too"
        road = self.road
        Indicator = self.dossier.indicator.__class__
        road.write('claire', self.dossier.indicator, target=Decimal(310))
        with road.as_user('claire'):
            indicator, = Indicator.create([{
                        'objective': self.dossier.objective.id,
                        'name': "Ateliers", 'unit': "séances",
                        'target': 12}])
        forget()
        with road.as_user('claire'):
            Indicator.delete([Indicator(indicator.id)])
        texts = [v.text for v in self.versions]
        self.assertEqual(len(texts), 4)
        self.assertEqual(
            ["310" in t for t in texts], [False, True, True, True])
        self.assertEqual(
            ["Ateliers" in t for t in texts], [False, False, True, False])

    def test_nothing_changed(self):
        self.propose('partner')
        self.propose('partner', title=self.objective.title)
        self.road.write(
            'claire', self.dossier.indicator,
            target=self.dossier.indicator.target)
        self.assertEqual(len(self.versions), 1)

    def test_agreed_version(self):
        "Both agree to a version; a later touch undoes it and leaves it said"
        self.agree('partner')
        self.propose('partner', title="Accueillir les lycéens")
        self.assertIsNone(self.objective.partner_agreed_on)
        self.agree('partner', 'department')
        first, second = self.versions
        self.assertTrue(first.partner_agreed_on)
        self.assertIsNone(first.department_agreed_on)
        self.assertTrue(second.partner_agreed_on)
        self.assertTrue(second.department_agreed_on)
        self.assertEqual(
            second.department_agreed_by, self.road.users['claire'])
        self.propose('department', description="Ailleurs")
        with self.refused(
                CompletenessError, 'convention_not_agreed',
                self.dossier.convention.rec_name):
            self.road.press('claire', self.dossier.convention, 'agree')
        self.assertFalse(self.objective.agreed)
        self.assertTrue(self.versions[1].department_agreed_on)

    def test_removed(self):
        "What was taken out is still told"
        road = self.road
        Objective = self.dossier.objective.__class__
        self.propose('partner', title="Autre chose")
        with road.as_user('claire'):
            Objective.delete([Objective(self.dossier.objective.id)])
        forget()
        versions = self.dossier.convention.objective_versions
        self.assertEqual(
            sorted((v.number, v.kind) for v in versions),
            [(1, 'proposed'), (2, 'proposed'), (3, 'removed')])
        for version in versions:
            self.assertIsNone(version.objective)
            self.assertIn("Collégiens accueillis", version.text)

    def test_convention_deleted(self):
        road = self.road
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        road.add_objective(convention)
        Version = Pool().get('grant.objective.version')
        self.assertTrue(Version.search([
                    ('convention', '=', convention.id)]))
        with road.system():
            application.__class__.write(
                [application], {'convention': None})
            convention.__class__.delete([convention])
        self.assertFalse(Version.search([
                    ('convention', '=', convention.id)]))

    def test_copied(self):
        "A copy begins its own history"
        Objective = self.dossier.objective.__class__
        self.propose('partner', title="Autre chose")
        with self.road.as_user('claire'):
            copy, = Objective.copy([Objective(self.dossier.objective.id)])
        version, = Objective(copy.id).versions
        self.assertEqual((version.number, version.title), (1, "Autre chose"))

    def test_not_written(self):
        "Nobody writes history"
        Version = Pool().get('grant.objective.version')
        version, = self.versions
        values = {
            'convention': self.dossier.convention.id,
            'objective': self.dossier.objective.id,
            'number': 2, 'kind': 'proposed', 'side': 'partner',
            'time': version.time, 'title': "Faux", 'content': '{}'}
        for login in ['claire', 'marc', 'alice', 'paul', 'lea']:
            with self.subTest(user=login):
                with self.assertRaises(UserError), self.road.as_user(login):
                    Version.create([values])
                for name, value in [
                        ('title', "Faux"), ('side', 'partner'),
                        ('partner_agreed_on', self.road.today)]:
                    with self.assertRaises(UserError), \
                            self.road.as_user(login):
                        Version.write([version], {name: value})
                with self.assertRaises(UserError), self.road.as_user(login):
                    Version.delete([version])
        with self.refused(AccessError, 'append_only'), self.road.system():
            Version.write([version], {'content': '{}'})

    def test_once_agreed(self):
        "The side is no longer changed once the text is agreed"
        self.agree('partner', 'department')
        self.road.press('claire', self.dossier.convention, 'agree')
        with self.refused(FrozenError):
            self.propose('partner')
        self.assertEqual(len(self.versions), 1)

    def test_queries(self):
        "Versions of many objectives are read and written together"
        road = self.road

        def change(count):
            with road.system():
                Objective = self.dossier.objective.__class__
                objectives = Objective.create([{
                            'convention': self.dossier.convention.id,
                            'title': f"Objectif {i}",
                            } for i in range(count)])
            forget()
            with count_queries() as queries, road.system():
                Objective.write(
                    Objective.browse(objectives), {'description': "Tous"})
                for objective in Objective.browse(objectives):
                    self.assertEqual(objective.version_number, 2)
            return queries.selects

        change(2)
        self.assertEqual(change(3), change(60))
