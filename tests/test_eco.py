# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Eco-responsibility: scores, three modes, actions and yearly follow-up."
from contextlib import contextmanager
from decimal import Decimal

from trytond.model.exceptions import (
    AccessError, SQLConstraintError, ValidationError)
from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, DutyError, FrozenError, PeriodError, TransitionError)
from trytond.pool import Pool
from trytond.tests.test_tryton import (
    TestCase, activate_module, with_transaction)
from trytond.transaction import Transaction

from .refusal import RefusalCase, forget, message_pattern, set_state
from .road import Road
from .tools import count_queries

THEMES = 10


class EcoCase(RefusalCase):

    mode = {}

    @classmethod
    def prepare(cls):
        cls.application_id = cls.create(amount=Decimal(1000)).id

    @classmethod
    def create(cls, scheme=None, **values):
        road = cls.road
        if scheme is None:
            with road.system():
                Scheme = Pool().get('grant.scheme')
                found = Scheme.search([('code', '=', 'ECO')])
                scheme = found[0] if found else road.create_scheme(
                    code='ECO', name="Éco", **cls.mode)
        return road.create_application(
            scheme=scheme.id, call=None, **values)

    @property
    def application(self):
        forget()
        return Pool().get('grant.application')(self.application_id)

    def set_scores(self, *scores, application=None, field='score', **values):
        "Write the scores of the themes in their order; zero for the rest."
        Score = Pool().get('grant.eco.score')
        application = self.road.fresh(application or self.application)
        padded = list(scores) + [0] * (THEMES - len(scores))
        with self.road.as_user('claire'):
            for line, score in zip(
                    application.eco_scores, padded, strict=True):
                Score.write([Score(line.id)], {
                        field: score, 'note': "Vu sur place"} | values)
        forget()


class ScoreTestCase(EcoCase):
    "Scores of an application whose scheme modulates"

    mode = {
        'eco_mode': 'modulation',
        'eco_malus': Decimal('0.1'),
        'eco_bonus': Decimal('0.05'),
        'maximum_rate': Decimal('0.5'),
        'maximum_amount': Decimal(1040),
        }

    def test_one_line_per_theme(self):
        application = self.application
        codes = [s.theme.code for s in application.eco_scores]
        self.assertEqual(codes, [
                'MOB', 'DEC', 'ALI', 'ENE', 'EAU', 'ACH', 'COM', 'BIO',
                'SOC', 'GOV'])
        self.road.submit(application)
        self.assertEqual(len(self.application.eco_scores), THEMES)

    def test_theme_dates(self):
        "A theme that ended or begins later is not scored"
        road = self.road
        with road.system():
            Theme = Pool().get('grant.eco.theme')
            first, second, *_ = Theme.search([])
            first.end_date = road.today.replace(year=road.year - 1)
            second.start_date = road.today
            Theme.save([first, second])
        application = self.create()
        self.assertEqual(len(application.eco_scores), THEMES - 2)

    def test_no_mode(self):
        application = self.road.create_application()
        self.assertFalse(application.eco_scores)
        self.assertIsNone(application.eco_rate)
        self.assertEqual(application.scale_amount, Decimal(10000))

    def test_changed_scheme(self):
        "The lines come when the scheme begins to ask for them"
        application = self.road.create_application()
        self.road.write(
            'claire', application, call=None,
            scheme=self.application.scheme.id)
        self.assertEqual(
            len(self.road.fresh(application).eco_scores), THEMES)

    def test_copy(self):
        self.set_scores(3, 3)
        with self.road.as_user('claire'):
            copy, = self.application.copy([self.application])
        self.assertEqual(len(copy.eco_scores), THEMES)
        self.assertEqual(copy.eco_total, 0)

    def test_totals(self):
        "Held scores count, declared ones until then"
        self.set_scores(1, 2, 3, field='declared')
        application = self.application
        self.assertEqual(application.eco_total, 6)
        self.assertEqual(application.eco_themes_engaged, 3)
        self.assertEqual(application.eco_rate, Decimal('0.2'))
        self.set_scores(0, 2, 2)
        application = self.application
        self.assertEqual(application.eco_total, 4)
        self.assertEqual(application.eco_themes_engaged, 2)
        self.assertEqual(application.eco_rate, Decimal('0.1333'))

    def test_search(self):
        Application = Pool().get('grant.application')
        other = self.road.create_application()
        self.set_scores(2, 2)
        both = [('id', 'in', [self.application_id, other.id])]

        def found(*clause):
            return {a.id for a in Application.search([clause] + both)}
        first = {self.application_id}
        self.assertEqual(found('eco_total', '=', 4), first)
        self.assertEqual(found('eco_total', '=', 0), {other.id})
        self.assertEqual(found('eco_themes_engaged', '>=', 2), first)
        self.assertEqual(found('eco_themes_engaged', '>', 2), set())
        self.assertEqual(found('eco_rate', '=', Decimal('0.1333')), first)
        self.assertEqual(found('eco_rate', '>', Decimal('0.1333')), set())
        self.assertEqual(
            found('eco_rate', 'in', [Decimal('0.1333')]), first)
        self.assertEqual(found('eco_rate', '=', None), {other.id})

    def test_modulation_zero(self):
        # 2,000 × 50 % = 1,000; 1,000 − 10 % = 900
        self.set_scores()
        application = self.application
        self.assertEqual(application.scale_amount, Decimal('900.00'))
        self.assertRegex(
            application.eco_explanation,
            r"Note de 0 sur 30.*1.000,00.*modulé de -10 %, donne 900,00")

    def test_modulation_between(self):
        # 7/30 of the way from −10 % to +5 %: −6.5 % → 935
        self.set_scores(3, 3, 1)
        application = self.application
        self.assertEqual(application.scale_amount, Decimal('935.00'))
        self.assertIn("-6,5 %", application.eco_explanation)

    def test_modulation_cents(self):
        # 1,333.33 × 50 % = 666.66 (half to even); × (0.9 + 0.15 × 10/30)
        # = 666.66 × 0.95 = 633.327
        self.road.write(
            'claire', self.application, eligible_cost=Decimal('1333.33'))
        self.set_scores(3, 3, 3, 1)
        application = self.application
        self.assertEqual(
            application.scheme.compute_amount(Decimal('1333.33')),
            Decimal('666.66'))
        self.assertEqual(application.scale_amount, Decimal('633.33'))

    def test_modulation_request(self):
        "The bonus stops at the request"
        self.set_scores(*[3] * THEMES)
        application = self.application
        self.assertEqual(application.eco_rate, 1)
        self.assertEqual(application.scale_amount, Decimal(1000))
        self.assertRegex(
            application.eco_explanation,
            r"donnerait 1.050,00.*limité à 1.000,00.*Montant demandé")

    def test_modulation_cap(self):
        "The bonus stops at the maximum amount of the scheme"
        self.set_scores(*[3] * THEMES)
        self.road.write(
            'claire', self.application, requested_amount=Decimal(1500))
        application = self.application
        self.assertEqual(application.scale_amount, Decimal(1040))
        self.assertIn("limité à 1", application.eco_explanation)

    def test_modulation_rate_cap(self):
        "The bonus stops at the highest rate"
        self.set_scores(*[3] * THEMES)
        self.road.write(
            'claire', self.application, requested_amount=Decimal(1500))
        self.road.write(
            'marc', self.application.scheme,
            eco_maximum_rate=Decimal('0.51'))
        self.assertEqual(self.application.scale_amount, Decimal(1020))

    def test_modulation_maximum(self):
        self.set_scores(*[3] * THEMES)
        self.road.write('claire', self.application,
            requested_amount=Decimal(1500), eligible_cost=Decimal(1000))
        self.assertEqual(self.application.scale_amount, Decimal('525.00'))

    def test_modulation_cost(self):
        "The bonus stops at the eligible cost"
        scheme = self.application.scheme
        self.road.write(
            'marc', scheme, maximum_rate=Decimal(1), maximum_amount=None)
        self.assertEqual(
            self.application.scheme.compute_amount(
                Decimal(100), eco_rate=1), Decimal(100))

    def test_bounds(self):
        for value in [-1, 4]:
            for field in ['declared', 'score']:
                line = self.application.eco_scores[0]
                with self.forbidden_value():
                    self.road.write('claire', line, **{field: value})

    def forbidden_value(self):
        return self.assertRaises((ValidationError, SQLConstraintError))

    def admit(self):
        road = self.road
        application = road.submit(self.application)
        road.press('claire', application, 'admit')
        road.write('claire', application, proposed_amount=Decimal(800))
        return application

    def test_review_waits(self):
        "Every theme is examined before the proposal"
        self.set_scores(1, 2, field='declared')
        application = self.admit()
        self.assertIn("10 thème(s)", self.application.eco_explanation)
        with self.refused(
                CompletenessError, 'eco_score_waiting', "Mobilité"):
            self.road.press('claire', application, 'review')
        self.road.press('claire', application, 'hold_eco_scores')
        application = self.application
        self.assertEqual(
            [s.score for s in application.eco_scores], [1, 2] + [0] * 8)
        self.assertNotIn("Provisoire", application.eco_explanation)
        self.road.press('claire', application, 'review')
        self.assertState(application, 'reviewed')

    def test_proposal(self):
        "Above the modulated scale a motive is needed"
        application = self.admit()
        self.set_scores()
        self.road.write(
            'claire', application, proposed_amount=Decimal('900.01'))
        with self.refused(CompletenessError, 'proposal_motive'):
            self.road.press('claire', application, 'review')
        self.road.write(
            'claire', application, proposed_amount=Decimal(900))
        self.road.press('claire', application, 'review')

    def test_hold_adds(self):
        "A scheme that begins to ask finds its lines"
        with self.road.system():
            scheme = self.road.create_scheme(code='LATER')
        application = self.road.submit(self.create(scheme=scheme))
        self.assertFalse(application.eco_scores)
        self.road.write(
            'marc', scheme, eco_mode='prerequisite', eco_themes_required=1)
        forget()
        self.road.press('claire', application, 'hold_eco_scores')
        self.assertEqual(
            {s.score for s in self.road.fresh(application).eco_scores}, {0})

    def test_hold_keeps(self):
        "What the officer held is not replaced by what is declared"
        self.set_scores(3, 3, field='declared')
        application = self.admit()
        self.road.write('claire', application.eco_scores[0], score=1)
        self.road.press('claire', application, 'hold_eco_scores')
        self.assertEqual(
            [s.score for s in self.application.eco_scores][:2], [1, 3])
        Application = application.__class__
        with self.road.as_user('claire'):
            Application.hold_eco_scores([])

    def test_review_evidence(self):
        "A score of 2 or 3 rests on something"
        application = self.admit()
        self.set_scores(1, 2, 3, note=" ")
        with self.refused(
                CompletenessError, 'eco_score_evidence', "Déchets",
                "Alimentation") as raised:
            self.road.press('claire', application, 'review')
        self.assertNotIn("Mobilité", str(raised.exception.message))
        lines = self.application.eco_scores
        self.road.write('claire', lines[1], note="Facture des gobelets")
        self.road.write('claire', lines[2], evidence_file=b'%PDF',
            evidence_filename="menus.pdf")
        self.road.press('claire', application, 'review')

    def test_theme_left_out(self):
        "A theme that is taken away does not raise the share of the others"
        application = self.admit()
        self.set_scores(1, 2)
        Score = Pool().get('grant.eco.score')
        line = self.application.eco_scores[-1]
        theme = line.theme
        with self.road.as_user('claire'):
            Score.delete([Score(line.id)])
        forget()
        with self.refused(
                CompletenessError, 'eco_score_waiting', theme.name):
            self.road.press('claire', application, 'review')
        self.road.press('claire', application, 'hold_eco_scores')
        self.road.press('claire', application, 'review')

    def test_frozen(self):
        "Reviewed scores move through no door"
        road = self.road
        self.set_scores(1)
        application = self.admit()
        road.press('claire', application, 'review')
        Score = Pool().get('grant.eco.score')
        Application = Pool().get('grant.application')
        line = self.application.eco_scores[0]
        for login in ['claire', 'marc']:
            with self.refused(FrozenError):
                road.write(login, line, score=2)
        with self.refused(FrozenError):
            with road.as_user('claire'):
                Score.delete([Score(line.id)])
        with self.refused(FrozenError):
            with road.as_user('claire'):
                Application.write([Application(application.id)], {
                        'eco_scores': [('write', [line.id], {'score': 3})]})
        with self.refused(FrozenError):
            with road.system():
                Score.write([Score(line.id)], {'score': 3})
        other = self.create()
        with self.refused(FrozenError):
            with road.as_user('claire'):
                Score.write([Score(other.eco_scores[0].id)], {
                        'application': application.id})
        with self.refused(TransitionError):
            road.press('claire', application, 'hold_eco_scores')
        road.press('claire', application, 'reopen')
        road.write('claire', line, score=2)

    def test_access(self):
        road = self.road
        Score = Pool().get('grant.eco.score')
        line = self.application.eco_scores[0]
        with road.as_user('lea'):
            self.assertEqual(Score.read([line.id], ['score'])[0]['id'],
                line.id)
        with self.forbidden():
            road.write('lea', line, score=1)
        with self.forbidden():
            road.press('lea', self.admit(), 'hold_eco_scores')

    def test_elected(self):
        "Elected members see dossiers without scores"
        pool = Pool()
        road = self.road
        self.set_scores(1)
        set_state(self.application, 'scheduled')
        Application = pool.get('grant.application')
        History = pool.get('grant.eco.history')
        line = self.application.eco_scores[0]
        with road.as_user('jean'):
            Application.read([self.application_id], ['title'])
            for name in [
                    'eco_scores', 'eco_total', 'eco_rate',
                    'eco_themes_engaged', 'eco_explanation']:
                with self.subTest(name), self.assertRaises(AccessError):
                    Application.read([self.application_id], [name])
            for Model, id_ in [
                    (pool.get('grant.eco.score'), line.id),
                    (History, line.id * 2)]:
                with self.assertRaises(AccessError):
                    Model.read([id_], ['score'])

    def test_queries(self):
        "The columns of lists cost the same for one and for many"
        Application = Pool().get('grant.application')
        ids = [self.application_id] + [
            self.create(amount=Decimal(500)).id for _ in range(11)]
        names = [
            'eco_total', 'eco_rate', 'eco_themes_engaged', 'scale_amount',
            'eco_explanation']

        def count(ids):
            Application.read(ids, names)
            forget()
            with count_queries() as queries:
                Application.read(ids, names)
            return queries.selects
        few = count(ids[:2])
        self.assertLessEqual(count(ids), few)


class PrerequisiteTestCase(EcoCase):

    mode = {'eco_mode': 'prerequisite', 'eco_themes_required': 2}

    def test_admission(self):
        "One theme is not enough, two are"
        road = self.road
        application = road.submit(self.application)
        self.set_scores(3, field='declared')
        self.assertIn(
            "1 thème(s) d’écoresponsabilité", self.application.admissibility)
        with self.refused(
                CompletenessError, 'application_not_admissible',
                "1 thème(s)", "en exige 2"):
            road.press('claire', application, 'admit')
        self.set_scores(1, 1, field='declared')
        self.assertFalse(self.application.admissibility)
        road.press('claire', application, 'admit')
        self.assertState(application, 'admissible')
        self.assertIn("en exige 2", self.application.eco_explanation)
        # The scale is not touched by this mode.
        self.assertEqual(self.application.scale_amount, Decimal(1000))

    def test_held(self):
        "What is declared lets in, what is held has to meet it too"
        road = self.road
        application = road.submit(self.application)
        self.set_scores(1, 1, field='declared')
        road.press('claire', application, 'admit')
        road.write('claire', application, proposed_amount=Decimal(800))
        self.set_scores(1)
        with self.refused(
                CompletenessError, 'eco_score_prerequisite', "en exige 2"):
            road.press('claire', application, 'review')
        self.set_scores(1, 1)
        road.press('claire', application, 'review')

    def test_required(self):
        "The mode needs its parameter"
        scheme = self.application.scheme
        for value in [None, 0]:
            with self.assertRaises(ValidationError):
                self.road.write('marc', scheme, eco_themes_required=value)


class CommitmentTestCase(EcoCase):
    "Actions in the convention"

    mode = {
        'eco_mode': 'commitment',
        'eco_share': Decimal('0.1'),
        'maximum_rate': None,
        }

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.convention_id = cls.open(Decimal(6000)).id

    @classmethod
    def open(cls, amount, scores=(0, 2, 1), **values):
        road = cls.road
        application = road.submit(cls.create(amount=amount, **values))
        Score = Pool().get('grant.eco.score')
        with road.as_user('claire'):
            for line, score in zip(
                    application.eco_scores, list(scores) + [0] * 7,
                    strict=True):
                Score.write([Score(line.id)], {
                        'declared': score, 'note': "Vu"})
        road.press('claire', application, 'hold_eco_scores')
        road.press('claire', application, 'admit')
        road.write('claire', application, proposed_amount=amount)
        road.press('claire', application, 'review')
        return road.open_convention(road.fresh(application))

    @property
    def convention(self):
        forget()
        return Pool().get('grant.convention')(self.convention_id)

    def active(self):
        "The convention, active over two years."
        return set_state(
            self.convention, 'active',
            start_date=self.road.today.replace(month=1, day=1),
            end_date=self.road.today.replace(
                year=self.road.year + 1, month=12, day=31))

    def test_joint(self):
        "A joint convention asks what the strictest of its schemes asks"
        road = self.road
        plain = road.review(road.create_application(
                amount=Decimal(6000), party=self.application.party))
        eco = road.submit(self.create(
                amount=Decimal(6000), party=self.application.party))
        road.press('claire', eco, 'hold_eco_scores')
        road.press('claire', eco, 'admit')
        road.write('claire', eco, proposed_amount=Decimal(6000))
        road.press('claire', eco, 'review')
        applications = [road.fresh(plain), road.fresh(eco)]
        road.press('claire', applications, 'open_joint_convention')
        convention = road.fresh(plain).convention
        self.assertEqual(convention.scheme, plain.scheme)
        self.assertEqual(convention.eco_asked, 5)
        self.assertEqual(len(convention.eco_commitments), 5)
        self.assertTrue(convention.eco_commitments[0].condition)

    def test_brackets(self):
        "The thresholds come from the parameters"
        scheme = self.application.scheme
        self.assertEqual([
                (b.minimum_amount, b.actions, b.figures_required)
                for b in scheme.eco_brackets], [
                (Decimal(0), 3, False),
                (Decimal(5000), 5, False),
                (Decimal('23000.01'), 5, True)])
        for amount, actions, figures in [
                ('0', 3, False), ('4999.99', 3, False), ('5000', 5, False),
                ('23000', 5, False), ('23000.01', 5, True)]:
            bracket = scheme.get_eco_bracket(Decimal(amount))
            with self.subTest(amount):
                self.assertEqual(
                    (bracket.actions, bracket.figures_required),
                    (actions, figures))

    def test_brought(self):
        "Planned themes first, then those to measure, one action a theme"
        convention = self.convention
        commitments = sorted(
            convention.eco_commitments, key=lambda c: c.id)
        self.assertEqual(
            [c.theme.code for c in commitments],
            ['ALI', 'DEC', 'MOB', 'ENE', 'EAU'])
        self.assertEqual(
            [(c.starting_score, c.target_score) for c in commitments],
            [(1, 2), (2, 3), (0, 2), (0, 2), (0, 2)])
        condition, = [
            c for c in convention.conditions if c.kind == 'eco']
        self.assertEqual({c.condition for c in commitments}, {condition})
        self.assertEqual(convention.eco_asked, 5)
        # 10 % of a balance of half of 6,000
        self.assertEqual(convention.eco_at_stake, Decimal(300))
        self.assertIn(
            "5 action(s)",
            convention.applications[0].eco_explanation)

    def test_stake_of_fixed(self):
        "A balance of a fixed amount counts for its share of the year"
        for lines, stake in [
                ([('advance', '0.3', None), ('balance', None, 1200),
                    ('interim', '0.7', None)], 120),
                ([('advance', None, 1200), ('balance', '1', None)], 480),
                ([('single', None, 6000)], 600),
                ([], 600),
                ]:
            with self.subTest(lines=lines):
                with self.road.system():
                    scheme = self.road.create_scheme(
                        code=f'ECO{stake}{len(lines)}', instalments=[
                            ('create', [{
                                        'kind': kind,
                                        'share': share and Decimal(share),
                                        'amount': amount and Decimal(amount),
                                        } for kind, share, amount in lines])],
                        **self.mode)
                convention = self.open(Decimal(6000), scheme=scheme)
                self.assertEqual(convention.eco_at_stake, stake)

    def test_small(self):
        convention = self.open(Decimal(1200))
        self.assertEqual(len(convention.eco_commitments), 3)

    def test_condition_added(self):
        "Without an undertaking in the scheme, one comes with its penalty"
        with self.road.system():
            scheme = self.road.create_scheme(
                code='ECO2', conditions=None, **self.mode)
        convention = self.open(Decimal(1200), scheme=scheme)
        condition, = convention.conditions
        self.assertEqual(
            (condition.kind, condition.penalty_rate),
            ('eco', Decimal('0.05')))
        self.assertEqual(
            {c.condition for c in convention.eco_commitments}, {condition})

    def test_library_copied(self):
        "A later change of the library changes no text"
        commitment = self.convention.eco_commitments[0]
        before = commitment.text
        with self.road.system():
            commitment.action.text = "Autre chose"
            commitment.action.save()
        self.assertEqual(
            self.convention.eco_commitments[0].text, before)

    def reasons(self, convention=None):
        forget()
        convention = self.road.fresh(convention or self.convention)
        with Transaction().set_context(
                language='fr', company=self.road.company.id):
            return '\n'.join(convention.get_agreement_reasons())

    def test_agreement(self):
        "The agreement wants as many actions as the bracket"
        self.assertNotIn("action(s) écoresponsable(s)", self.reasons())
        Commitment = Pool().get('grant.eco.commitment')
        with self.road.as_user('claire'):
            Commitment.delete([
                    Commitment(self.convention.eco_commitments[0].id)])
        self.assertIn(
            "compte 4 action(s) écoresponsable(s) ; 5 sont demandées",
            self.reasons())
        with self.road.as_user('claire'):
            Commitment.create([{
                        'convention': self.convention_id,
                        'theme': self.convention.eco_commitments[0].theme.id,
                        'text': "Planter une haie"}])
        self.assertNotIn("action(s) écoresponsable(s)", self.reasons())

    def test_agreement_figures(self):
        "Above the highest threshold every action has figures"
        road = self.road
        convention = self.open(Decimal(24000))
        commitments = convention.eco_commitments
        self.assertEqual(
            self.reasons(convention).count("n’a pas d’indicateur complet"),
            5)
        for commitment in commitments:
            road.write(
                'claire', commitment, indicator="Déchets", unit="kg",
                direction='fall', baseline=Decimal(0), target=Decimal(0))
        self.assertNotIn(
            "n’a pas d’indicateur complet", self.reasons(convention))

    def test_target(self):
        "One does not aim below where one stands"
        commitment = self.convention.eco_commitments[0]
        for value in [0, 4]:
            with self.assertRaises(ValidationError):
                self.road.write('claire', commitment, target_score=value)
        with self.assertRaises(ValidationError):
            self.road.write(
                'claire', commitment, starting_score=3, target_score=2)

    def test_frozen(self):
        "Agreed actions move through no door"
        road = self.road
        pool = Pool()
        Commitment = pool.get('grant.eco.commitment')
        Convention = pool.get('grant.convention')
        commitment = self.convention.eco_commitments[0]
        set_state(self.convention, 'agreed')
        for values in [{'text': "Rien"}, {'target_score': 3},
                {'target': Decimal(1)}, {'condition': None},
                {'action': None}, {'evidence': "Rien"}]:
            with self.subTest(values), self.refused(FrozenError):
                road.write('claire', commitment, **values)
        with self.refused(FrozenError), road.as_user('claire'):
            Commitment.delete([Commitment(commitment.id)])
        with self.refused(FrozenError), road.as_user('claire'):
            Commitment.create([{
                        'convention': self.convention_id,
                        'theme': commitment.theme.id, 'text': "Trop tard"}])
        with self.refused(FrozenError), road.as_user('claire'):
            Convention.write([Convention(self.convention_id)], {
                    'eco_commitments': [
                        ('write', [commitment.id], {'text': "Rien"})]})
        with self.refused(FrozenError), road.system():
            Commitment.write([Commitment(commitment.id)], {'text': "Rien"})
        other = self.open(Decimal(1200))
        with self.refused(FrozenError), road.as_user('claire'):
            Commitment.write(
                [Commitment(other.eco_commitments[0].id)],
                {'convention': self.convention_id})

    def record(self, score, year=None, login='claire', **values):
        commitment = min(
            self.convention.eco_commitments, key=lambda c: c.id)
        with self.road.as_user(login):
            progress, = Pool().get('grant.eco.progress').create([{
                        'commitment': commitment.id,
                        'year': year or self.road.year,
                        'score': score} | values])
        forget()
        return self.road.fresh(progress)

    def test_progress_not_active(self):
        "Nothing is followed up before the convention is active"
        with self.refused(FrozenError):
            self.record(1)

    def test_progress_years(self):
        "Only the years of the convention"
        self.active()
        for year in [self.road.year - 1, self.road.year + 2]:
            with self.refused(
                    PeriodError, 'eco_progress_year', str(year)):
                self.record(1, year=year)
        progress = self.record(1)
        with self.refused(PeriodError):
            self.road.write(
                'claire', progress, year=self.road.year + 2)

    def test_progress_change(self):
        "Compared with the start, then with the year before"
        self.active()
        first = self.record(0)
        second = self.record(2, year=self.road.year + 1)
        self.assertEqual(
            (first.previous_score, first.change, first.reached),
            (1, -1, False))
        self.assertEqual(
            (second.previous_score, second.change, second.reached),
            (0, 2, True))
        commitment = second.commitment
        self.assertEqual(
            (commitment.last_year, commitment.last_score,
                commitment.reached, commitment.followed),
            (self.road.year + 1, 2, True, True))
        with Transaction().set_context(language='fr'):
            note = self.convention.eco_progress_note
        self.assertEqual(note, (
                f"{self.road.year} : 0 sur 3 (1 action(s) suivie(s))\n"
                f"{self.road.year + 1} : 2 sur 3 (1 action(s) suivie(s))"))

    def test_reached_figures(self):
        "The target in figures counts as much as the score"
        commitment = self.convention.eco_commitments[0]
        for direction, target, value, reached in [
                ('fall', 10, 9, True), ('fall', 10, 11, False),
                ('rise', 10, 11, True), ('rise', 10, 9, False),
                ('rise', 10, None, False), ('rise', None, None, True)]:
            commitment.direction, commitment.target = direction, target
            with self.subTest(direction=direction, value=value):
                self.assertEqual(
                    commitment.is_reached(3, value), reached)
        self.assertFalse(commitment.is_reached(0, 20))
        self.assertFalse(commitment.is_reached(None, None))

    def test_search_followed(self):
        Commitment = Pool().get('grant.eco.commitment')
        self.active()
        progress = self.record(1)
        mine = ('convention', '=', self.convention_id)
        self.assertEqual(
            Commitment.search([mine, ('followed', '=', True)]),
            [progress.commitment])
        self.assertEqual(
            Commitment.search(
                [mine, ('followed', '=', False)], count=True), 4)

    def test_verify(self):
        "Somebody else verifies, the way back leaves a trace"
        road = self.road
        self.active()
        progress = self.record(2, note="Menus et factures")
        self.assertEqual(progress.recorded_by, road.users['claire'])
        with self.refused(DutyError, 'eco_progress_duty', "Claire"):
            road.press('claire', progress, 'verify')
        road.write('olivier', progress, score=2, note="Menus revus")
        # Neither who changed it last nor who entered it first
        for login in ['claire', 'olivier']:
            with self.refused(DutyError):
                road.press(login, progress, 'verify')
        road.press('marc', progress, 'verify')
        progress = road.fresh(progress)
        self.assertEqual(
            (progress.state, progress.verified_by, progress.verified_on),
            ('verified', road.users['marc'], road.today))
        with self.refused(FrozenError):
            road.write('olivier', progress, score=3)
        with self.refused(AccessError), road.as_user('olivier'):
            progress.__class__.delete([progress.__class__(progress.id)])
        road.press('claire', progress, 'reopen')
        progress = road.fresh(progress)
        self.assertEqual(
            (progress.state, progress.verified_by), ('recorded', None))
        event = progress.events[0]
        self.assertEqual(event.user, road.users['claire'])
        self.assertEqual(event.before, "Vérifié")

    def test_verify_user(self):
        "Nobody writes who recorded or verified"
        self.active()
        progress = self.record(1)
        for name in ['recorded_by', 'verified_by']:
            with self.refused(FrozenError):
                self.road.write(
                    'claire', progress,
                    **{name: self.road.users['marc'].id})
        with self.refused(FrozenError):
            self.record(
                1, year=self.road.year + 1,
                recorded_by=self.road.users['marc'].id)
        with self.forbidden():
            self.road.press('lea', progress, 'verify')

    def test_verify_evidence(self):
        "A score of 2 or 3 rests on something, a 3 on a measure"
        road = self.road
        self.active()
        progress = self.record(2)
        with self.refused(CompletenessError, 'eco_progress_evidence'):
            road.press('marc', progress, 'verify')
        road.write('claire', progress, note="Factures", score=3)
        set_indicator(progress.commitment)
        with self.refused(
                CompletenessError, 'eco_progress_value', "Achats"):
            road.press('marc', progress, 'verify')
        road.write('claire', progress, value=Decimal(60))
        road.press('marc', progress, 'verify')

    def test_history(self):
        "By partner, theme and year: the application, then the follow-up"
        History = Pool().get('grant.eco.history')
        self.active()
        self.record(3, note="Menus")
        convention = self.convention

        def rows():
            forget()
            return {
                (r.theme.code, r.year): (r.starting, r.reached, r.score)
                for r in History.search([
                        ('party', '=', convention.party.id)])}
        found = rows()
        self.assertEqual(len(found), THEMES)
        self.assertEqual(found['ALI', self.road.year], (1, 3, 3))
        self.assertEqual(found['DEC', self.road.year], (2, None, 2))
        # (3 + 2) of 30
        self.assertAlmostEqual(sum(r.share for r in History.search([
                        ('party', '=', convention.party.id)])), 100 * 5 / 30)
        self.record(2, year=self.road.year + 1)
        self.assertEqual(
            rows()['ALI', self.road.year + 1], (None, 2, 2))
        set_state(convention.applications[0], 'withdrawn')
        self.assertNotIn(('DEC', self.road.year), rows())

    def test_history_mean(self):
        "Two applications of a year: their mean"
        History = Pool().get('grant.eco.history')
        party = self.convention.party
        self.open(Decimal(1200), scores=(0, 1, 1), party=party)
        row, = History.search([
                ('party', '=', party.id), ('theme.code', '=', 'DEC')])
        self.assertEqual(row.starting, 1.5)

    def test_elected(self):
        pool = Pool()
        self.active()
        progress = self.record(1)
        with self.road.as_user('jean'):
            for model, id_ in [
                    ('grant.eco.commitment', progress.commitment.id),
                    ('grant.eco.progress', progress.id)]:
                with self.assertRaises(AccessError):
                    pool.get(model).read([id_], ['theme'])
            with self.assertRaises(AccessError):
                pool.get('grant.convention').read(
                    [self.convention_id], ['eco_commitments'])

    def test_library_access(self):
        "Only administrators change the library"
        Theme = Pool().get('grant.eco.theme')
        theme, *_ = Theme.search([])
        for login in ['claire', 'marc', 'lea']:
            with self.forbidden():
                self.road.write(login, theme, name="Autre")
        self.road.write('alice', theme, name="Autre")

    def test_queries(self):
        "One convention or many: the same number of queries"
        Convention = Pool().get('grant.convention')
        Commitment = Pool().get('grant.eco.commitment')
        ids = [self.convention_id] + [
            self.open(Decimal(6000)).id for _ in range(5)]
        names = ['eco_asked', 'eco_at_stake', 'eco_progress_note']

        def count(Model, ids, names):
            Model.read(ids, names)
            forget()
            with count_queries() as queries:
                Model.read(ids, names)
            return queries.selects
        few = count(Convention, ids[:2], names)
        self.assertLessEqual(count(Convention, ids, names), few)
        forget()
        commitments = [
            c.id for c in Commitment.search(
                [('convention', 'in', ids)])]
        names = ['last_score', 'reached', 'followed', 'rec_name']
        few = count(Commitment, commitments[:2], names)
        self.assertLessEqual(count(Commitment, commitments, names), few)


class UniqueTestCase(TestCase):
    """What exists once.  A constraint that fails ends the transaction, so
    each has its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_module('pacte_grants', lang='fr')

    def build(self):
        "An application of a scheme that asks for actions."
        road = Road()
        with road.system():
            scheme = road.create_scheme(code='ECO', eco_mode='commitment')
        return road, road.create_application(scheme=scheme.id, call=None)

    @contextmanager
    def refused(self, message):
        with Transaction().set_context(language='fr'):
            pattern = message_pattern(message)
            with self.assertRaises(SQLConstraintError) as raised:
                yield
            self.assertRegex(str(raised.exception.message), pattern)

    @with_transaction()
    def test_score(self):
        road, application = self.build()
        Score = Pool().get('grant.eco.score')
        with self.refused('eco_score_unique'), road.as_user('claire'):
            Score.create([{
                        'application': application.id,
                        'theme': application.eco_scores[0].theme.id}])

    @with_transaction()
    def test_bracket(self):
        road, application = self.build()
        Bracket = Pool().get('grant.scheme.eco.bracket')
        with self.refused('eco_bracket_unique'), road.as_user('marc'):
            Bracket.create([{
                        'scheme': application.scheme.id, 'actions': 1,
                        'minimum_amount': Decimal(5000)}])

    @with_transaction()
    def test_progress(self):
        road, application = self.build()
        application = road.submit(application)
        road.press('claire', application, 'admit')
        road.press('claire', application, 'hold_eco_scores')
        road.write(
            'claire', application,
            proposed_amount=application.requested_amount)
        convention = road.open_convention(application)
        convention = set_state(convention, 'active')
        Progress = Pool().get('grant.eco.progress')
        values = {
            'commitment': convention.eco_commitments[0].id,
            'year': road.year, 'score': 1}
        with road.as_user('claire'):
            Progress.create([values])
        with self.refused('eco_progress_unique'), road.as_user('claire'):
            Progress.create([values])


def set_indicator(commitment):
    "Give the frozen action an indicator behind the back of every rule."
    table = commitment.__table__()
    Transaction().connection.cursor().execute(*table.update(
            [table.indicator], ["Achats"], where=table.id == commitment.id))
    forget()
