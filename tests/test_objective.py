# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Targets by year, result clauses, measures and what they attain."
import datetime as dt
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.exceptions import (
    AmountError, CompletenessError, FrozenError, PeriodError, SettingsError,
    SurveyFileError)
from trytond.modules.pacte_grants.measure import mean
from trytond.modules.pacte_grants.objective import compute_attainment
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import Dossier, RefusalCase, attempt, forget, set_state
from .test_document import text
from .tools import count_queries

SURVEY = {
    'kind': 'satisfaction', 'survey_method': 'share',
    'survey_column': "Note", 'survey_minimum': Decimal(1),
    'survey_maximum': Decimal(5), 'survey_threshold': Decimal(4),
    }
FILE = "Date;Note\n1;5\n2;4\n3;\n4;3\n".encode('cp1252')


def decimal(value):
    return None if value is None else Decimal(value)


@pytest.mark.parametrize(
    'direction, baseline, target, tolerance, value, attainment', [
        # From 100 to 300: 150 is a quarter of the way
        ('rise', '100', '300', '0', '150', '0.25'),
        ('rise', '100', '300', '0', '300', '1'),
        ('rise', '100', '300', '0', '450', '1'),
        ('rise', '100', '300', '0', '80', '0'),
        ('rise', '100', '300', '10', '290', '1'),
        ('rise', '100', '300', '10', '289', '0.945'),
        ('rise', None, '300', '0', '150', '0.5'),
        # A target below where one starts from is no way: the ratio
        ('rise', '400', '300', '0', '150', '0.5'),
        ('rise', '300', '300', '0', '150', '0.5'),
        ('rise', None, '0', '0', '-1', '0'),
        ('rise', None, '-5', '0', '-10', '0'),
        ('fall', '0.9', '0.5', '0', '0.8', '0.25'),
        ('fall', '0.9', '0.5', '0.1', '0.6', '1'),
        ('fall', '0.9', '0.5', '0.1', '0.2', '1'),
        ('fall', '0.9', '0.5', '0', '1.2', '0'),
        ('fall', None, '50', '0', '100', '0.5'),
        ('fall', '40', '50', '0', '100', '0.5'),
        ('fall', None, '0', '0', '3', '0'),
        ('reach', '0', '24', '2', '22', '1'),
        ('reach', '0', '24', '2', '26', '1'),
        ('reach', '0', '24', '2', '18', '0.75'),
        # Too much is as far as too little
        ('reach', '0', '24', '2', '30', '0.75'),
        ('reach', '0', '24', '2', '60', '0'),
        ('reach', None, '24', '2', '18', '0.75'),
        ('reach', '24', '24', '2', '18', '0.75'),
        ('reach', None, '0', '2', '3', '0'),
        ('keep', '50', '60', '5', '55', '1'),
        ('keep', '50', '60', '5', '65', '1'),
        ('keep', '50', '60', '5', '54', '0'),
        ('keep', '50', '60', '5', '66', '0'),
        ('rise', '100', '300', '0', None, None),
        ])
def test_attainment(
        direction, baseline, target, tolerance, value, attainment):
    assert compute_attainment(
        direction, decimal(value), decimal(target), decimal(baseline),
        decimal(tolerance)) == decimal(attainment)


numbers = st.decimals(-1000, 1000, places=2)


@given(
    st.sampled_from(['rise', 'fall', 'reach', 'keep']), numbers, numbers,
    st.none() | numbers, st.decimals(0, 100, places=2))
def test_attainment_bounds(direction, value, target, baseline, tolerance):
    "Between 0 and 1, and 1 only when the target is reached"
    attainment = compute_attainment(
        direction, value, target, baseline, tolerance)
    reached = {
        'rise': value >= target - tolerance,
        'fall': value <= target + tolerance,
        }.get(direction, abs(value - target) <= tolerance)
    assert 0 <= attainment <= 1
    assert (attainment == 1) == reached


def test_mean():
    "What is not known is left out; what weighs nothing does not count"
    half, one = Decimal('0.5'), Decimal(1)
    assert mean([]) is None
    assert mean([(None, 2)]) is None
    assert mean([(half, Decimal(0))]) is None
    assert mean([(half, Decimal(1)), (one, Decimal(3))]) == Decimal('0.875')
    assert mean([(half, Decimal(1)), (None, Decimal(3))]) == half
    assert mean([(half, Decimal(0)), (one, Decimal(1))]) == one


class ObjectiveCase(RefusalCase):
    "A convention of three years, of which the second is the current one"

    @classmethod
    def prepare_convention(cls):
        road = cls.road
        cls.years = range(road.year - 1, road.year + 2)
        first, cls.year, last = cls.years
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        road.press('claire', convention, 'negotiate')
        road.write(
            'claire', convention,
            start_date=dt.date(first, 1, 1), end_date=dt.date(last, 12, 31))
        with road.as_user('claire'):
            Pool().get('grant.objective').create([{
                        'convention': convention.id,
                        'title': "Élargir les publics",
                        'weight': Decimal(3),
                        'sequence': 1,
                        'indicators': [('create', [{
                                        'sequence': 1,
                                        'name': "Entrées",
                                        'unit': "personnes",
                                        'baseline': Decimal(100),
                                        'target': Decimal(300),
                                        'weight': Decimal(3),
                                        'result_clause': 'reduction',
                                        'result_share': Decimal('0.3'),
                                        'targets': [('create', [
                                                    {'year': first,
                                                        'value': 140},
                                                    {'year': cls.year,
                                                        'value': 200},
                                                    ])],
                                        }, {
                                        'sequence': 2,
                                        'name': "Spectateurs satisfaits",
                                        'unit': "%",
                                        'target': Decimal(80),
                                        'weight': Decimal(1),
                                        'result_clause': 'reduction',
                                        'result_share': Decimal('0.2'),
                                        'result_threshold': Decimal('0.9'),
                                        } | SURVEY])],
                        }, {
                        'convention': convention.id,
                        'title': "Réduire les déchets",
                        'weight': Decimal(1),
                        'sequence': 2,
                        'indicators': [('create', [{
                                        'name': "Déchets",
                                        'unit': "kg",
                                        'direction': 'fall',
                                        'baseline': Decimal(90),
                                        'target': Decimal(50),
                                        }])],
                        }])
        return application, road.fresh(convention)

    @classmethod
    def keep(cls, convention):
        objective, second = convention.objectives
        entries, satisfaction = objective.indicators
        waste, = second.indicators
        cls.dossier = Dossier(
            convention=convention, objective=objective, second=second,
            entries=entries, satisfaction=satisfaction, waste=waste,
            target=entries.targets[0])

    def create(self, model, *vlist, login='claire'):
        with self.road.as_user(login):
            records = Pool().get(model).create(list(vlist))
        forget()
        return [r.__class__(r.id) for r in records]

    def measure(self, indicator, value=None, year=None, login='claire',
            **values):
        date = dt.date(year, 6, 30) if year else self.road.today
        values = {'indicator': indicator.id, 'date': date} | values
        if value is not None:
            values['value'] = Decimal(value)
        measure, = self.create('grant.measure', values, login=login)
        return measure


class NegotiatedTestCase(ObjectiveCase):
    "Both parties agree to the whole of the indicator"

    @classmethod
    def prepare(cls):
        _, convention = cls.prepare_convention()
        cls.keep(convention)

    @property
    def texts(self):
        forget()
        return [v.text for v in self.dossier.objective.versions][::-1]

    def agree(self):
        for side in ['partner', 'department']:
            self.road.press(
                'claire', self.dossier.convention.objectives,
                f'agree_{side}')
        forget()

    def test_target_for(self):
        "The last target given, the final one at the end"
        entries = self.dossier.entries
        first, second, last = self.years
        self.assertEqual(
            [entries.target_for(y)
                for y in [first - 1, first, second, last, last + 1]],
            [300, 140, 200, 300, 300])
        self.assertEqual(
            {self.dossier.waste.target_for(y) for y in self.years}, {50})
        self.road.write(
            'claire', entries,
            targets=[('delete', [entries.targets[1].id])])
        forget()
        self.assertEqual(self.dossier.entries.target_for(second), 140)

    def test_years(self):
        first, second, last = self.years
        for year in [first - 1, last + 1]:
            with self.refused(
                    PeriodError, 'indicator_target_year', str(year),
                    "Déchets"):
                self.create('grant.indicator.target', {
                        'indicator': self.dossier.waste.id,
                        'year': year, 'value': 1})
        with self.refused(
                AmountError, 'indicator_target_last', "299", "300"):
            self.create('grant.indicator.target', {
                    'indicator': self.dossier.entries.id,
                    'year': last, 'value': 299})
        self.create('grant.indicator.target', {
                'indicator': self.dossier.entries.id,
                'year': last, 'value': 300})
        with self.refused(AmountError, 'indicator_target_last'):
            self.road.write(
                'claire', self.dossier.entries, target=Decimal(310))
        target = self.dossier.entries.targets[-1]
        self.road.write(
            'claire', self.dossier.entries, target=Decimal(310),
            targets=[('write', [target.id], {'value': Decimal(310)})])

    def test_convention_shortened(self):
        "The years of the convention do not leave a target outside"
        convention = self.dossier.convention
        with self.refused(
                PeriodError, 'indicator_target_year', "Entrées",
                convention.rec_name):
            self.road.write(
                'claire', convention,
                start_date=dt.date(self.year, 1, 1))
        with self.refused(AmountError, 'indicator_target_last'):
            self.road.write(
                'claire', convention,
                end_date=dt.date(self.year, 12, 31))

    def test_touched_target(self):
        "A target of a year added, changed or taken out undoes the agreement"
        for values in [
                [('create', [{'year': self.years[-1], 'value': 300}])],
                [('write', [self.dossier.target.id], {
                            'value': Decimal(150)})],
                [('delete', [self.dossier.target.id])]]:
            doors = [
                lambda values=values: self.road.write(
                    'claire', self.dossier.entries, targets=values),
                lambda values=values: self.direct(*values[0])]
            for door, touch in enumerate(doors):
                with self.subTest(values=values[0][0], door=door), attempt():
                    self.agree()
                    self.assertTrue(self.dossier.objective.agreed)
                    count = len(self.dossier.objective.versions)
                    touch()
                    forget()
                    objective = self.dossier.objective
                    self.assertFalse(objective.partner_agreed_on)
                    self.assertFalse(objective.department_agreed_on)
                    self.assertTrue(self.dossier.second.agreed)
                    self.assertEqual(len(objective.versions), count + 1)

    def direct(self, action, records, values=None):
        "The same without going through the indicator."
        Target = Pool().get('grant.indicator.target')
        with self.road.as_user('claire'):
            if action == 'create':
                Target.create([
                        v | {'indicator': self.dossier.entries.id}
                        for v in records])
            elif action == 'write':
                Target.write(Target.browse(records), values)
            else:
                Target.delete(Target.browse(records))

    def test_indicator_taken_out(self):
        "Its targets go with it in one version"
        Indicator = Pool().get('grant.indicator')
        with self.road.as_user('claire'):
            Indicator.delete([Indicator(self.dossier.entries.id)])
        texts = self.texts
        self.assertEqual(len(texts), 2)
        self.assertIn("Entrées", texts[0])
        self.assertNotIn("Entrées", texts[1])

    def test_touched_definition(self):
        "So does every other part of what is agreed"
        for indicator, name, value in [
                ('entries', 'measured_by', 'partner'),
                ('entries', 'measured_when', "Chaque 31 décembre"),
                ('entries', 'result_share', Decimal('0.4')),
                ('entries', 'result_threshold', Decimal('0.7')),
                ('satisfaction', 'survey_threshold', Decimal(3)),
                ('satisfaction', 'survey_column', "Avis"),
                ]:
            with self.subTest(name=name), attempt():
                self.agree()
                before = self.texts
                self.road.write(
                    'claire', getattr(self.dossier, indicator),
                    **{name: value})
                self.assertFalse(self.dossier.objective.agreed)
                after = self.texts
                self.assertEqual(len(after), len(before) + 1)
                self.assertNotEqual(after[-1], before[-1])

    def test_text(self):
        "The versions tell the whole of what is agreed"
        self.road.write(
            'claire', self.dossier.entries, measured_by='third_party',
            measured_when="Chaque 31 décembre")
        with Transaction().set_context(language='fr'):
            text = self.texts[-1]
        first, second, _ = self.years
        for part in [
                f"{first} : 140 ; {second} : 200", "Chaque 31 décembre",
                "Mesuré par : tiers", "réduite de 30\xa0% de son solde",
                "réduite de 20\xa0% de son solde", "moins de 80\xa0%",
                "moins de 90\xa0%", "Notes de 1 à 5",
                "Satisfait à partir de 4", "Colonne du fichier : Note"]:
            self.assertIn(part, text)

    def test_old_version(self):
        "A version of before keeps to be read"
        version = self.dossier.objective.versions[0]
        content = json.loads(version.content)
        known = {
            'name', 'unit', 'direction', 'baseline', 'target', 'tolerance',
            'weight', 'source'}
        content['indicators'] = [
            {k: v for k, v in i.items() if k in known}
            for i in content['indicators']]
        table = version.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.content], [json.dumps(content)],
                where=table.id == version.id))
        self.assertIn("Entrées", self.texts[0])

    def test_result_text(self):
        "A reduction of the grant, never a price"
        with Transaction().set_context(language='fr'):
            for clause in ['nothing', 'talk', 'reduction']:
                with attempt():
                    self.road.write(
                        'claire', self.dossier.entries, result_clause=clause,
                        result_share=(
                            Decimal('0.125') if clause == 'reduction'
                            else None))
                    forget()
                    text = self.dossier.entries.result_text
                    self.assertTrue(text.endswith('.'))
                    for word in [
                            'prix', 'prestation', 'contrepartie',
                            'obligation', 'pénalité', 'factur']:
                        self.assertNotIn(word, text.lower())
                    self.assertEqual(
                        "12,5\xa0%" in text, clause == 'reduction')

    def test_shares(self):
        "The reductions do not take more than the balance"
        self.road.write(
            'claire', self.dossier.waste, result_clause='reduction',
            result_share=Decimal('0.5'))
        with self.refused(
                AmountError, 'indicator_shares', "110",
                self.dossier.convention.rec_name):
            self.road.write(
                'claire', self.dossier.waste, result_share=Decimal('0.6'))
        with self.refused(AmountError, 'indicator_shares'):
            self.create('grant.indicator', {
                    'objective': self.dossier.second.id, 'name': "X",
                    'unit': "x", 'target': 1, 'result_clause': 'reduction',
                    'result_share': Decimal('0.01')})
        for clause, share in [
                ('talk', Decimal('0.1')), ('nothing', Decimal('0.1')),
                ('reduction', None), ('reduction', Decimal(0)),
                ('reduction', Decimal('-0.1')),
                ('reduction', Decimal('1.1'))]:
            with self.subTest(clause=clause, share=share):
                with self.refused(UserError):
                    self.road.write(
                        'claire', self.dossier.entries,
                        result_clause=clause, result_share=share)

    def test_default_threshold(self):
        "The parameter of the day is proposed"
        self.assertEqual(
            self.dossier.entries.result_threshold, Decimal('0.8'))
        Parameter = Pool().get('grant.parameter')
        with self.road.system():
            Parameter.create([{
                        'code': 'RESULT_THRESHOLD', 'name': "Seuil",
                        'value': Decimal('0.6'), 'unit': 'ratio',
                        'valid_from': self.road.today, 'source': "Test"}])
            Indicator = Pool().get('grant.indicator')
            self.assertEqual(
                Indicator.default_result_threshold(), Decimal('0.6'))

    def test_settings(self):
        for values, message in [
                ({'survey_minimum': Decimal(5)}, 'survey_scale_settings'),
                ({'survey_threshold': Decimal(6)}, 'survey_scale_settings'),
                ({'survey_method': 'mean'}, 'survey_setting'),
                ({'survey_method': 'distinct'}, None),
                ({'survey_method': None}, None),
                ({'kind': 'figure'}, None),
                ({'survey_column': None}, None)]:
            with self.subTest(**values):
                with self.refused(UserError, message):
                    self.road.write(
                        'claire', self.dossier.satisfaction, **values)
        with self.refused(SettingsError, 'survey_setting', "Entrées"):
            self.road.write(
                'claire', self.dossier.entries, survey_column="Note")

    def test_cleared(self):
        "What the method does not use is emptied as one chooses"
        Indicator = Pool().get('grant.indicator')
        indicator = Indicator(**SURVEY)
        indicator.kind = 'participation'
        indicator.on_change_kind()
        self.assertEqual(indicator.survey_method, 'answers')
        self.assertIsNone(indicator.survey_column)
        self.assertIsNone(indicator.survey_minimum)
        indicator.result_clause = 'nothing'
        indicator.result_threshold = indicator.result_share = Decimal('.5')
        indicator.on_change_result_clause()
        self.assertIsNone(indicator.result_share)
        self.assertIsNone(indicator.result_threshold)
        indicator.result_clause = 'talk'
        indicator.on_change_result_clause()
        self.assertEqual(indicator.result_threshold, Decimal('0.8'))

    def test_too_early(self):
        "Nothing is measured while the text is open"
        with self.refused(
                FrozenError, 'measure_state', "Entrées",
                self.dossier.convention.rec_name):
            self.measure(self.dossier.entries, 1)

    def test_copied(self):
        "A copy of an objective has the targets by year"
        Objective = Pool().get('grant.objective')
        with self.road.as_user('claire'):
            copy, = Objective.copy(
                [Objective(self.dossier.second.id)])
            self.assertEqual(len(copy.indicators), 1)


class MeasuredTestCase(ObjectiveCase):
    "An active convention"

    @classmethod
    def prepare(cls):
        road = cls.road
        application, convention = cls.prepare_convention()
        for side in ['partner', 'department']:
            road.press('claire', convention.objectives, f'agree_{side}')
        road.press('claire', convention, 'agree')
        deliberation = road.schedule(road.fresh(application))
        road.hold()
        road.vote(deliberation)
        road.make_executory(deliberation)
        cls.keep(road.sign_and_notify(road.fresh(convention)))

    def attainments(self, *records):
        forget()
        return [round(r.attainment, 4) if r.attainment is not None else None
            for r in records]

    def test_worked_example(self):
        "By hand, year by year"
        dossier = self.dossier
        first, second, last = self.years
        self.assertIsNone(dossier.convention.attainment)
        self.assertEqual(dossier.convention.unmeasured, 3)
        # First year: 130 entries of 140, from 100: three quarters
        self.measure(dossier.entries, 130, year=first)
        # Second year: 180 of 200: 80 of 100
        self.measure(
            dossier.entries, 180, date=dt.date(second, 1, 1))
        # Waste from 90 to 50: 80 is a quarter, in the first year
        self.measure(dossier.waste, 80, year=first)
        forget()
        rows = {
            (r.indicator.name, r.year): (
                r.target, r.value, r.attainment, r.missed)
            for r in dossier.convention.indicators_by_year}
        self.assertEqual(len(rows), 9)
        self.assertEqual(
            [rows["Entrées", y] for y in self.years], [
                (140, 130, 0.75, True),
                (200, 180, 0.8, False),
                # Nothing of that year: shown, but nothing is missed
                (300, 180, 0.4, False)])
        self.assertEqual(
            [rows["Déchets", y] for y in self.years], [
                (50, 80, 0.25, True),
                (50, 80, 0.25, False),
                (50, 80, 0.25, False)])
        self.assertEqual(
            [rows["Spectateurs satisfaits", y] for y in self.years],
            [(80, None, None, False)] * 3)
        # Satisfaction is left out of the first objective, whose weight is 3
        self.assertEqual(
            self.attainments(
                dossier.entries, dossier.objective, dossier.second,
                dossier.convention),
            [0.8, 0.8, 0.25, round((0.8 * 3 + 0.25) / 4, 4)])
        self.assertEqual(
            (dossier.objective.unmeasured, dossier.convention.unmeasured),
            (1, 1))
        self.measure(
            dossier.satisfaction, evidence_file=FILE,
            evidence_filename="enquete.csv")
        # 66.67 % of 80 %, weight 1 beside 0.8 of weight 3
        satisfaction = 66.67 / 80
        objective = (0.8 * 3 + satisfaction) / 4
        for record, expected in zip(
                self.attainments(
                    dossier.satisfaction, dossier.objective,
                    dossier.convention),
                [satisfaction, objective, (objective * 3 + 0.25) / 4],
                strict=True):
            self.assertAlmostEqual(record, expected, places=4)
        with Transaction().set_context(attainment_year=first):
            forget()
            self.assertEqual(dossier.convention.attainment_year, first)
            self.assertEqual(dossier.convention.attainment, 0.625)
            self.assertEqual(dossier.entries.target_year, 140)
            self.assertEqual(dossier.entries.target_next, 200)
        forget()
        attainments = dossier.convention.__class__.compute_attainments(
            [dossier.convention], year=first)
        self.assertEqual(
            attainments[dossier.convention.id], (Decimal('0.625'), 1))

    def test_document(self):
        "The issued document tells the whole of what was agreed"
        document, = self.dossier.convention.documents
        lines = text(bytes(document.data))
        first, second, _ = self.years
        for line in [
                f"Cible {first} : 140", f"Cible {second} : 200",
                "Si la cible est atteinte à moins de 80 %, la subvention est "
                "réduite de 30 % de son solde, après que le Partenaire a pu "
                "présenter ses observations.",
                "Si la cible est atteinte à moins de 80 %, le Partenaire et "
                "le Département se rencontrent",
                "Questionnaire : part des notes d’au moins 4, de 1 à 5"]:
            self.assertIn(line, lines)

    def test_columns(self):
        "What the list of the convention shows"
        self.measure(self.dossier.entries, 180)
        forget()
        first, *_ = self.dossier.convention.indicators
        self.assertEqual(
            (first.baseline, first.target_year, first.target_next,
                first.last_value, first.attainment),
            (100, 200, 300, 180, 0.8))
        with Transaction().set_context(attainment_year=self.years[-1] + 5):
            forget()
            self.assertEqual(self.dossier.entries.target_year, 300)
            self.assertIsNone(self.dossier.entries.target_next)

    def test_after_the_end(self):
        "What is measured after the last year counts for it"
        dossier = self.dossier
        self.measure(dossier.entries, 180, year=self.years[0])
        with self.road.system():
            set_state(
                dossier.convention, 'active',
                start_date=dt.date(self.year - 2, 1, 1),
                end_date=dt.date(self.year - 1, 12, 31))
        self.measure(dossier.waste, 60)
        forget()
        rows = {
            (r.indicator.name, r.year): r.attainment
            for r in dossier.convention.indicators_by_year}
        self.assertEqual(rows["Déchets", self.year - 1], 0.75)
        self.assertIsNone(rows["Déchets", self.year - 2])
        self.assertEqual(
            dossier.convention.attainment_year, self.year - 1)

    def test_reductions(self):
        dossier = self.dossier
        first, second, last = self.years

        def reductions(year):
            forget()
            return [
                (i.name, share) for i, share
                in dossier.convention.get_result_reductions(year)]

        for year in [first - 1, *self.years, last + 1]:
            self.assertEqual(reductions(year), [])
        # 0.75 is below 0.8; a miss of what only makes one talk is none
        self.measure(dossier.entries, 130, year=first)
        self.measure(dossier.waste, 90, year=first)
        self.assertEqual(
            reductions(first), [("Entrées", Decimal('0.3'))])
        # Nothing measured in the second year: nothing is missed yet
        self.assertEqual(reductions(second), [])
        self.assertEqual(reductions(first - 1), [])
        # Exactly at the threshold is not below it
        self.measure(dossier.entries, 180, date=dt.date(second, 1, 1))
        self.assertEqual(reductions(second), [])
        self.measure(
            dossier.satisfaction, date=dt.date(second, 1, 1),
            evidence_file=FILE)
        self.assertEqual(
            reductions(second), [
                ("Spectateurs satisfaits", Decimal('0.2'))])
        self.measure(
            dossier.entries, 179, date=dt.date(second, 1, 1))
        self.assertEqual(
            reductions(second), [
                ("Entrées", Decimal('0.3')),
                ("Spectateurs satisfaits", Decimal('0.2'))])

    def test_dates(self):
        dossier = self.dossier
        for date in [
                self.road.today + dt.timedelta(days=1),
                dt.date(self.years[0] - 1, 12, 31)]:
            with self.refused(
                    PeriodError, 'measure_date', "Entrées",
                    date.strftime('%d/%m/%Y')):
                self.measure(dossier.entries, 1, date=date)
        self.measure(
            dossier.entries, 1, date=dt.date(self.years[0], 1, 1))

    def test_states(self):
        "Until the convention is closed, and after a termination"
        for state, possible in [
                ('agreed', False), ('issued', False), ('signed', False),
                ('active', True), ('closing', True), ('terminated', True),
                ('closed', False), ('lapsed', False), ('renounced', False)]:
            with self.subTest(state=state), attempt():
                set_state(self.dossier.convention, state)
                if possible:
                    self.measure(self.dossier.entries, 1)
                else:
                    with self.refused(FrozenError, 'measure_state'):
                        self.measure(self.dossier.entries, 1)

    def test_recorded(self):
        "By whom and when is the server's business"
        measure = self.measure(self.dossier.entries, 150, login='marc')
        self.assertEqual(measure.recorded_by, self.road.users['marc'])
        self.assertTrue(measure.recorded_on)
        for name, value in [
                ('recorded_by', self.road.users['olivier'].id),
                ('recorded_on', dt.datetime(2020, 1, 1)),
                ('answers', 12), ('replaced_by', measure.id)]:
            with self.subTest(name=name), self.forbidden():
                self.measure(self.dossier.entries, 150, **{name: value})
        for login in ['paul', 'lea', 'jean', 'sophie']:
            with self.forbidden():
                self.measure(self.dossier.entries, 1, login=login)

    def test_kept(self):
        "A measure is neither changed nor deleted, by nobody"
        measure = self.measure(
            self.dossier.entries, 150, evidence_file=b'Preuve')
        Measure = measure.__class__
        for name, value in [
                ('value', Decimal(151)), ('comment', "Autre"),
                ('date', dt.date(self.years[0], 3, 1)),
                ('evidence_file', b'Autre'),
                ('evidence_file', None),
                ('indicator', self.dossier.waste.id)]:
            with self.subTest(name=name):
                with self.refused(
                        AccessError, 'measure_kept', "Entrées", "150"), \
                        self.road.system():
                    Measure.write([Measure(measure.id)], {name: value})
                for login in ['claire', 'alice']:
                    with self.forbidden():
                        self.road.write(login, measure, **{name: value})
        with self.refused(AccessError, 'measure_kept'), self.road.system():
            Measure.delete([Measure(measure.id)])
        with self.forbidden():
            self.road.write(
                'claire', self.dossier.entries,
                measures=[('delete', [measure.id])])

    def test_corrected(self):
        "A new measure stands in the place of the mistaken one, and it shows"
        dossier = self.dossier
        wrong = self.measure(dossier.entries, 1500)
        other = self.measure(dossier.waste, 60)
        with self.refused(CompletenessError, 'measure_reason', "Entrées"):
            self.measure(dossier.entries, 150, replaces=wrong.id)
        with self.refused(FrozenError, 'measure_other', "Déchets"):
            self.measure(
                dossier.entries, 150, replaces=other.id,
                replace_reason="Erreur")
        right = self.measure(
            dossier.entries, 150, replaces=wrong.id,
            replace_reason="Un zéro de trop")
        forget()
        wrong = self.road.fresh(wrong)
        self.assertEqual(wrong.replaced_by, right)
        self.assertEqual(wrong.value, 1500)
        self.assertEqual(dossier.entries.last_value, 150)
        event, = Pool().get('grant.event').search([
                ('record', '=', str(wrong))])
        self.assertEqual(
            (event.name, event.before, event.after, event.reason,
                event.user),
            ('value', '1500.00', '150.00', "Un zéro de trop",
                self.road.users['claire']))
        with self.refused(
                FrozenError, 'measure_corrected', "1\xa0500", "150"):
            self.measure(
                dossier.entries, 160, replaces=wrong.id,
                replace_reason="Encore")
        again = self.measure(
            dossier.entries, 155, replaces=right.id,
            replace_reason="Recompté")
        forget()
        self.assertEqual(dossier.entries.last_value, 155)
        self.assertEqual(self.road.fresh(right).replaced_by, again)

    def test_withdrawn(self):
        "A measure of the wrong indicator goes without another in its place"
        dossier = self.dossier
        first = self.years[0]
        before = self.measure(dossier.entries, 130, year=first)
        wrong = self.measure(dossier.entries, 60)
        survey = self.measure(dossier.satisfaction, evidence_file=FILE)
        with self.refused(CompletenessError, 'measure_reason', "Entrées"):
            self.measure(dossier.entries, replaces=wrong.id)
        for indicator, measure in [
                (dossier.entries, wrong), (dossier.satisfaction, survey)]:
            withdrawal = self.measure(
                indicator, replaces=measure.id,
                replace_reason="Un autre indicateur")
            self.assertIsNone(withdrawal.value)
            self.assertIn("–", withdrawal.rec_name)
            self.assertEqual(
                self.road.fresh(measure).replaced_by, withdrawal)
        forget()
        self.assertEqual(
            (dossier.entries.last_value, dossier.entries.measured_on),
            (before.value, before.date))
        self.assertIsNone(dossier.satisfaction.attainment)
        self.assertIn(
            ("Entrées", Decimal('0.3')), [
                (i.name, share) for i, share in
                dossier.convention.get_result_reductions(first)])
        # Nothing but a correction goes without a value.
        for indicator in [dossier.entries, dossier.satisfaction]:
            with self.refused(UserError):
                self.measure(indicator)

    def test_measured_through_other_doors(self):
        "Neither a copy, an import nor an attachment changes what was measured"
        dossier = self.dossier
        pool = Pool()
        Measure = pool.get('grant.measure')
        measure = self.measure(
            dossier.entries, 150, evidence_file=b'Preuve',
            evidence_filename="preuve.txt")
        names = ['id', 'value', 'comment']
        for login in ['claire', 'marc', 'alice', 'paul']:
            for row in [
                    [str(measure.id), '300', ''],
                    [str(measure.id), '150', "Autre"]]:
                with self.subTest(login=login, row=row), attempt():
                    with self.assertRaises(UserError), \
                            self.road.as_user(login):
                        Measure.import_data(names, [row])
        with self.forbidden(), self.road.as_user('claire'):
            Measure.delete([Measure(measure.id)])
        with self.forbidden():
            self.road.write(
                'claire', dossier.objective, indicators=[
                    ('write', [dossier.entries.id], {
                            'measures': [
                                ('write', [measure.id], {'value': 300})]})])
        with attempt(), self.road.as_user('claire'):
            copy, = Measure.copy([Measure(measure.id)])
            self.assertEqual(copy.recorded_by, self.road.users['claire'])
        forget()
        measure = self.road.fresh(measure)
        self.assertEqual((measure.value, measure.comment), (150, None))
        self.assertEqual(bytes(measure.evidence_file), b'Preuve')

    def test_survey(self):
        indicator = self.dossier.satisfaction
        measure = self.measure(
            indicator, evidence_file=FILE, evidence_filename="enquete.csv")
        self.assertEqual(
            (measure.value, measure.answers, measure.answers_ignored),
            (Decimal('66.67'), 3, 1))
        self.assertEqual(bytes(measure.evidence_file), FILE)
        survey = measure.read_again()
        self.assertEqual(
            (survey.value, survey.answers, survey.ignored),
            (measure.value, measure.answers, measure.answers_ignored))
        # The value of a client that computed the same is taken
        self.measure(indicator, '66.67', evidence_file=FILE)
        with self.refused(
                FrozenError, 'measure_computed', "66.67", "90"):
            self.measure(indicator, 90, evidence_file=FILE)
        with self.refused(CompletenessError, 'measure_survey'):
            self.measure(indicator)
        with self.refused(CompletenessError, 'measure_survey'):
            self.measure(indicator, 66)

    def test_survey_refused(self):
        "Whole, with line and column"
        indicator = self.dossier.satisfaction
        count = len(indicator.measures)
        for file, message, *names in [
                (b"Date;Note\n1;5\n2;bien\n", 'survey_number',
                    "ligne 3", "colonne 2", "bien"),
                (b"Date;Note\n1;5\n2;9\n", 'survey_scale',
                    "ligne 3", "colonne 2", "9"),
                (b"Date,Note\n1,4,5\n", 'survey_cells',
                    "ligne 2", "colonne 3"),
                (b"Date;Avis\n1;5\n", 'survey_column', "Note", "Avis"),
                (b"Note;Note\n1;5\n", 'survey_column_twice', "Note"),
                (b"Date;Note\n1;\"5\n", 'survey_quotes', "ligne 2"),
                (b"Date;Note\n1;\n", 'survey_empty'),
                (b"PK\x03\x04\x00\x00", 'survey_encoding')]:
            with self.subTest(message=message):
                with self.refused(
                        SurveyFileError, message, "enquete.csv", *names):
                    self.measure(
                        indicator, evidence_file=file,
                        evidence_filename="enquete.csv")
                forget()
                self.assertEqual(
                    len(self.dossier.satisfaction.measures), count)

    def test_frozen(self):
        "What was agreed stays, whatever the door"
        dossier = self.dossier
        pool = Pool()
        target = dossier.target
        for record, values in [
                (target, {'value': Decimal(1)}),
                (target, {'year': self.years[-1]}),
                (target, {'indicator': dossier.waste.id}),
                (dossier.entries, {'result_clause': 'nothing',
                        'result_share': None}),
                (dossier.entries, {'result_share': Decimal('0.1')}),
                (dossier.entries, {'result_threshold': Decimal('0.1')}),
                (dossier.entries, {'measured_by': 'partner'}),
                (dossier.entries, {'measured_when': "Jamais"}),
                (dossier.entries, {'targets': [
                            ('write', [target.id], {'value': 1})]}),
                (dossier.entries, {'targets': [
                            ('create', [{
                                        'year': self.years[-1],
                                        'value': 300}])]}),
                (dossier.entries, {'targets': [('delete', [target.id])]}),
                (dossier.satisfaction, {'survey_threshold': Decimal(2)}),
                (dossier.satisfaction, {'survey_column': "Avis"}),
                (dossier.convention, {'objectives': [
                            ('write', [dossier.objective.id], {
                                    'indicators': [
                                        ('write', [dossier.entries.id], {
                                                'targets': [('delete', [
                                                            target.id])]},
                                            )]})]}),
                ]:
            Model = record.__class__
            with self.subTest(model=Model.__name__, values=values):
                with self.refused(FrozenError), self.road.system():
                    Model.write([Model(record.id)], values)
                for login in ['claire', 'marc', 'alice']:
                    with self.forbidden():
                        self.road.write(login, record, **values)
        Target = pool.get('grant.indicator.target')
        with self.refused(FrozenError), self.road.system():
            Target.delete([Target(target.id)])
        with self.refused(FrozenError), self.road.system():
            Target.copy([Target(target.id)], {
                    'year': self.years[-1], 'value': Decimal(300)})
        with self.refused(FrozenError), self.road.system():
            Target.create([{
                        'indicator': dossier.waste.id,
                        'year': self.year, 'value': 1}])
        self.assertTrue(dossier.objective.agreed)

    def test_agreement_kept(self):
        "Measuring does not touch what was agreed"
        before = len(self.dossier.objective.versions)
        self.road.write(
            'claire', self.dossier.entries, name="Entrées",
            measures=[('create', [{
                            'date': self.road.today,
                            'value': Decimal(170)}])])
        forget()
        self.assertEqual(self.dossier.entries.last_value, 170)
        self.assertTrue(self.dossier.objective.agreed)
        self.assertEqual(len(self.dossier.objective.versions), before)

    def test_queries(self):
        "Attainments of many indicators take no more queries"
        objective = self.dossier.objective.id
        pool = Pool()
        convention = self.dossier.convention.id

        def read(count):
            set_state(self.dossier.convention, 'draft', frozen_on=None)
            with self.road.system():
                indicators = pool.get('grant.indicator').create([{
                            'objective': objective, 'name': f"I{i}",
                            'unit': "u", 'target': 10,
                            'targets': [('create', [
                                        {'year': self.year, 'value': 5}])],
                            } for i in range(count)])
            set_state(self.dossier.convention, 'active')
            forget()
            with count_queries() as queries, self.road.system():
                pool.get('grant.measure').create([{
                            'indicator': i.id, 'date': self.road.today,
                            'value': 5} for i in indicators])
            recorded = queries.selects
            forget()
            with count_queries() as queries, self.road.system():
                record = pool.get('grant.convention')(convention)
                values = [
                    (i.target_year, i.last_value, i.attainment)
                    for i in record.indicators]
                self.assertGreaterEqual(len(values), count)
                self.assertIsNotNone(record.attainment)
                self.assertTrue(all(
                        r.target for r in record.indicators_by_year))
            return recorded, queries.selects

        read(2)
        few, many = read(3), read(60)
        for before, after in zip(few, many, strict=True):
            self.assertLessEqual(after, before + 3)
