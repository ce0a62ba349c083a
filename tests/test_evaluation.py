# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The shared evaluation: two views, then one; what it freezes and feeds."
import datetime as dt
from decimal import Decimal

from dateutil.relativedelta import relativedelta
from trytond.model.exceptions import AccessError, SQLConstraintError
from trytond.modules.pacte_grants.evaluation_privacy import (
    find_personal_data)
from trytond.modules.pacte_grants.evaluation_scale import compute_score
from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, DutyError, FrozenError, PeriodError, TransitionError)
from trytond.pool import Pool
from trytond.tests.test_tryton import (
    TestCase, activate_module, with_transaction)
from trytond.transaction import Transaction

from .refusal import (
    Dossier, RefusalCase, forget, message_pattern, set_state,
    without_converter)
from .road import Road
from .tools import count_selects


class EvaluationCase(RefusalCase):
    "An active convention with two objectives, one of them measured"

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        road.press('claire', convention, 'negotiate')
        first = road.add_objective(convention)
        with road.as_user('claire'):
            second, = Pool().get('grant.objective').create([{
                        'convention': convention.id,
                        'title': "Former des bénévoles",
                        'weight': Decimal(3),
                        'indicators': [('create', [{
                                        'name': "Bénévoles",
                                        'unit': "personnes",
                                        'baseline': Decimal(0),
                                        'target': Decimal(10)}])]}])
        for objective in [first, second]:
            for side in ['partner', 'department']:
                road.press('claire', objective, f'agree_{side}')
        road.press('claire', convention, 'agree')
        deliberation = road.schedule(road.fresh(application))
        road.hold()
        road.make_executory(road.vote(deliberation))
        convention = road.sign_and_notify(road.fresh(convention))
        road.number_commitments(convention)
        cls.measure(first.indicators[0], 250)
        cls.dossier = Dossier.of(road.fresh(convention))

    @classmethod
    def measure(cls, indicator, value):
        with cls.road.as_user('claire'):
            Pool().get('grant.measure').create([{
                        'indicator': indicator.id, 'date': cls.road.today,
                        'value': Decimal(value)}])
        forget()

    @property
    def convention(self):
        return self.dossier.convention

    @staticmethod
    def rating(points):
        rating, = Pool().get('grant.evaluation.rating').search([
                ('points', '=', Decimal(points))])
        return rating

    def open(self, login='claire', convention=None):
        convention = convention or self.convention
        with self.road.as_user(login):
            Convention = convention.__class__
            action = Convention.prepare_evaluation(
                [Convention(convention.id)])
        forget()
        evaluation, = Pool().get('grant.evaluation').browse(
            action['res_id'])
        return evaluation

    def fresh(self, record):
        forget()
        return record.__class__(record.id)

    def rate(self, evaluation, side, *points, login='claire', **values):
        for line, number in zip(evaluation.lines, points, strict=True):
            self.road.write(login, line, **{
                    f'{side}_rating': self.rating(number).id,
                    f'{side}_comment': f"Regard {side}"})
        if values:
            self.road.write(login, evaluation, **values)
        return self.fresh(evaluation)

    def enter_partner(self, evaluation, *points):
        evaluation = self.rate(
            evaluation, 'partner', *points,
            partner_received_on=self.road.today, partner_file=b'grille',
            partner_filename='grille.pdf', partner_view="Une belle année.")
        self.road.press('claire', evaluation, 'record_partner')
        return self.fresh(evaluation)

    def enter_department(self, evaluation, *points, login='claire'):
        evaluation = self.rate(
            evaluation, 'department', *points, login=login)
        self.road.press(login, evaluation, 'record_department')
        return self.fresh(evaluation)

    def share(self, evaluation=None):
        evaluation = evaluation or self.open()
        count = len(evaluation.lines)
        self.road.press('claire', evaluation, 'send')
        evaluation = self.enter_partner(evaluation, *[3] * count)
        evaluation = self.enter_department(evaluation, *[1] * count)
        self.road.press('claire', evaluation, 'share')
        return self.fresh(evaluation)

    def agree(self, evaluation, *points, **values):
        return self.rate(evaluation, 'agreed', *points, **{
                'partner_agreed_on': self.road.today, 'outcome': 'renew',
                'outcome_reason': "Le projet tient ses promesses."} | values)

    def validate(self, *points, login='marc', evaluation=None, **values):
        evaluation = self.agree(
            self.share(evaluation), *(points or [3, 2]), **values)
        self.road.press(login, evaluation, 'validate_shared')
        return self.fresh(evaluation)


class LifeTestCase(EvaluationCase):

    def test_prepared(self):
        "One line per objective, the results beside, dated by the terms"
        evaluation = self.open()
        self.assertEqual(
            (evaluation.kind, evaluation.year, evaluation.level,
                evaluation.state, evaluation.next_step),
            ('final', self.convention.end_date.year, 'standard', 'draft',
                'send'))
        self.assertEqual(
            evaluation.due_date,
            self.convention.end_date + relativedelta(months=3))
        self.assertEqual(
            [(line.objective, line.weight) for line in evaluation.lines],
            [(o, o.weight) for o in self.convention.objectives])
        first, second = evaluation.lines
        # From 100 to 300, 250 measured
        self.assertEqual(first.attainment, 0.75)
        self.assertIn('250', first.results_text)
        self.assertIsNone(second.attainment)
        self.assertEqual(evaluation.attainment, 0.75)
        self.assertEqual(self.open('marc'), evaluation)

    def test_three_views(self):
        "Both views, the shared one, then validated by somebody else"
        evaluation = self.validate(3, 2)
        # (3 × 1 + 2 × 3) / 4
        self.assertEqual(evaluation.score, Decimal('2.25'))
        self.assertEqual(evaluation.rating, self.rating(2))
        self.assertEqual(
            (evaluation.state, evaluation.unrated, evaluation.validated_by),
            ('validated', 0, self.road.users['marc']))
        self.assertEqual(
            [(d.kind, d.state) for d in evaluation.documents],
            [('evaluation', 'sealed'), ('evaluation_grid', 'sealed')])
        for document in evaluation.documents:
            self.assertTrue(document.intact)

    def test_score(self):
        "The mean by the weights, to the hundredth; what is unrated left out"
        for pairs, score in [
                ([], None),
                ([(None, Decimal(1))], None),
                ([(Decimal(3), Decimal(0))], None),
                ([(Decimal(3), Decimal(1)), (None, Decimal(9))], '3.00'),
                ([(Decimal(1), Decimal(2)), (Decimal(2), Decimal(1))],
                    '1.33'),
                ([(Decimal(0), Decimal(1)), (Decimal(3), Decimal(1))],
                    '1.50'),
                ]:
            with self.subTest(pairs=pairs):
                self.assertEqual(
                    compute_score(pairs), score and Decimal(score))

    def test_half_way(self):
        "Half-way between two levels, the higher one"
        evaluation = self.share()
        first, second = evaluation.lines
        with self.road.system():
            # 2 × 1 and 1 × 1: the mean is half-way
            cursor = Transaction().connection.cursor()
            table = second.__table__()
            cursor.execute(*table.update([table.weight], [1],
                    where=table.id == second.id))
        forget()
        evaluation = self.agree(self.fresh(evaluation), 2, 1)
        self.assertEqual(evaluation.score, Decimal('1.50'))
        self.assertEqual(evaluation.rating, self.rating(2))

    def test_unrated(self):
        "An objective is left out of the score only with a reason"
        evaluation = self.share()
        first, second = evaluation.lines
        self.road.write(
            'claire', first, agreed_rating=self.rating(1).id)
        self.road.write(
            'claire', evaluation, outcome='renew', outcome_reason="Bien",
            partner_agreed_on=self.road.today)
        evaluation = self.fresh(evaluation)
        self.assertEqual(
            (evaluation.score, evaluation.unrated, evaluation.complete),
            (Decimal('1.00'), 1, False))
        with self.refused(
                CompletenessError, 'evaluation_incomplete', second.title):
            self.road.press('marc', evaluation, 'validate_shared')
        self.road.write(
            'claire', second, unrated_reason="Formation reportée")
        self.road.press('marc', evaluation, 'validate_shared')
        self.assertEqual(self.fresh(evaluation).unrated, 1)

    def test_duties(self):
        "Who recorded the Département's view does not validate, nor user 0"
        evaluation = self.agree(self.share(), 2, 2)
        with self.refused(DutyError, 'evaluation_duty', "Claire"):
            self.road.press('claire', evaluation, 'validate_shared')
        with self.refused(DutyError), Transaction().set_user(0):
            evaluation.__class__.validate_shared([evaluation])
        self.assertState(evaluation, 'shared')
        self.road.press('olivier', evaluation, 'validate_shared')
        self.assertState(evaluation, 'validated')

    def test_partner_evidence(self):
        "A view is recorded with its date and what the partner sent"
        evaluation = self.open()
        self.road.write(
            'claire', evaluation, partner_view="Une belle année.")
        with self.refused(
                CompletenessError, 'evaluation_incomplete', 'fichier'):
            self.road.press('claire', evaluation, 'record_partner')
        self.assertIsNone(self.fresh(evaluation).partner_recorded_on)

    def test_silent(self):
        "Without an answer, not before the date of the grid"
        evaluation = self.open()
        self.road.write('claire', evaluation, partner_silent=True)
        with self.refused(CompletenessError, 'evaluation_incomplete'):
            self.road.press('claire', evaluation, 'record_partner')
        self.road.press('claire', evaluation, 'send')
        # The date was put back, the grid left today.
        self.road.write(
            'claire', evaluation,
            due_date=self.road.today - dt.timedelta(days=1))
        with self.refused(CompletenessError, 'evaluation_incomplete'):
            self.road.press('claire', evaluation, 'record_partner')
        set_state(evaluation, 'draft',
            sent_on=self.road.today - dt.timedelta(days=15))
        self.road.press('claire', evaluation, 'record_partner')
        evaluation = self.enter_department(self.fresh(evaluation), 3, 3)
        self.road.press('claire', evaluation, 'share')
        evaluation = self.agree(
            self.fresh(evaluation), 3, 3, partner_agreed_on=None,
            summary="Le festival a accueilli.")
        self.road.press('marc', evaluation, 'validate_shared')
        self.road.press('marc', evaluation, 'publish')
        context = self.summary_context(evaluation)
        self.assertFalse(context['together'])

    def summary_context(self, evaluation):
        Report = Pool().get('grant.evaluation.summary', type='report')
        with self.road.system():
            records = Report._get_records(
                [evaluation.id], 'grant.evaluation', {})
            return Report.get_context(records, {}, {})

    def test_agreement(self):
        "The partner agrees, on a day, or it is said where it does not"
        evaluation = self.agree(self.share(), 3, 2, partner_agreed_on=None)
        with self.refused(
                CompletenessError, 'evaluation_incomplete', "d'accord"):
            self.road.press('marc', evaluation, 'validate_shared')
        with self.refused(PeriodError, 'evaluation_agreed'):
            self.road.write(
                'claire', evaluation,
                partner_agreed_on=self.road.today + dt.timedelta(days=1))
        self.road.write(
            'claire', evaluation, disagreement="La fréquentation.")
        self.road.press('marc', evaluation, 'validate_shared')
        with self.forbidden():
            self.road.write('claire', evaluation, disagreement=None)
        self.assertFalse(self.summary_context(evaluation)['together'])

    def test_agreement_reopened(self):
        "What is changed after the validation is agreed on anew"
        evaluation = self.validate(3, 2)
        self.assertTrue(self.summary_context(evaluation)['together'])
        self.road.write('marc', evaluation, reopen_reason="Mesure reçue")
        self.road.press('marc', evaluation, 'reopen')
        evaluation = self.fresh(evaluation)
        self.assertIsNone(evaluation.partner_agreed_on)
        with self.refused(CompletenessError, 'evaluation_incomplete'):
            self.road.press('marc', evaluation, 'validate_shared')

    def test_blank(self):
        "Spaces are no reason"
        evaluation = self.agree(self.share(), 3, 2, outcome_reason="  ")
        with self.refused(
                CompletenessError, 'evaluation_incomplete', "motifs"):
            self.road.press('marc', evaluation, 'validate_shared')

    def test_few_answers(self):
        "What few have answered is not published"
        evaluation = self.validate(3, 2)
        result = evaluation.lines[0].results[0]
        for kind, answers, published in [
                ('satisfaction', 4, False), ('satisfaction', None, False),
                ('satisfaction', 5, True), ('participation', 1, True),
                ('figure', None, True)]:
            with self.subTest(kind=kind, answers=answers):
                with self.road.system():
                    cursor = Transaction().connection.cursor()
                    for record, name, value in [
                            (result.indicator, 'kind', kind),
                            (result, 'answers', answers)]:
                        table = record.__table__()
                        cursor.execute(*table.update(
                                [getattr(table, name)], [value],
                                where=table.id == record.id))
                text, = self.summary_context(
                    self.fresh(evaluation))['lines'][0]['results']
                self.assertEqual('250' in text, published)

    def test_published_texts(self):
        "Nothing of a person, nor in what is printed beside the summary"
        evaluation = self.validate(
            3, 2, summary="Le festival a accueilli.")
        party = self.convention.party
        with self.road.system():
            cursor = Transaction().connection.cursor()
            line = evaluation.lines[0]
            table = line.__table__()
            cursor.execute(*table.update(
                    [table.title], ["L'école d'Exemple Camille"],
                    where=table.id == line.id))
        with self.refused(
                CompletenessError, 'evaluation_incomplete',
                "Camille Exemple"):
            self.road.press('marc', evaluation, 'publish')
        with self.road.system():
            table = party.__table__()
            cursor.execute(*table.update(
                    [table.partner_kind], ['individual'],
                    where=table.id == party.id))
        with self.refused(
                CompletenessError, 'evaluation_incomplete', "personne"):
            self.road.press('marc', evaluation, 'publish')

    def test_elected(self):
        "Elected members read what is shared, not what was sent for it"
        pool = Pool()
        Evaluation = pool.get('grant.evaluation')
        evaluation = self.validate(3, 2)
        measure, = pool.get('grant.measure').search([], limit=1)
        with self.road.as_user('jean'):
            Evaluation.read([evaluation.id], ['agreed_view', 'outcome'])
            for record, names in [
                    (evaluation, [
                        'partner_file', 'partner_filename',
                        'reopen_reason']),
                    (measure, ['evidence_file', 'evidence_filename'])]:
                for name in names:
                    with self.subTest(name=name), self.forbidden():
                        record.__class__.read([record.id], [name])
        with self.road.as_user('lea'):
            Evaluation.read([evaluation.id], ['partner_file'])

    def test_light(self):
        "One line for the project, without file nor reasons"
        road = self.road
        with road.system():
            deliberation = road.create_deliberation(road.create_session())
        application = road.prepare_letter(
            road.create_party(), Decimal(300), deliberation)
        road.press('marc', application, 'schedule')
        road.hold(deliberation.session)
        road.make_executory(road.vote(deliberation))
        letter = road.fresh(road.fresh(application).convention)
        road.press('claire', letter, 'issue')
        road.press('claire', letter, 'notify')
        evaluation = self.open(convention=self.fresh(letter))
        line, = evaluation.lines
        self.assertEqual((evaluation.level, line.objective), ('light', None))
        self.rate(evaluation, 'partner', 3)
        road.write(
            'claire', evaluation, partner_received_on=road.today)
        road.press('claire', evaluation, 'record_partner')
        self.enter_department(evaluation, 2)
        road.press('claire', evaluation, 'share')
        self.rate(self.fresh(evaluation), 'agreed', 3, outcome='renew')
        road.press('marc', evaluation, 'validate_shared')
        self.assertState(evaluation, 'validated')

    def test_full(self):
        "A full one wants what next, a summary and the users"
        with self.road.system():
            scheme = self.convention.scheme
            scheme.__class__.write(
                [scheme.__class__(scheme.id)], {'level': 'full'})
        forget()
        evaluation = self.agree(self.share(), 2, 2)
        self.assertEqual(evaluation.level, 'full')
        with self.refused(
                CompletenessError, 'evaluation_incomplete', 'usagers',
                'synthèse', "Former des bénévoles"):
            self.road.press('marc', evaluation, 'validate_shared')
        for line in evaluation.lines:
            self.road.write('claire', line, continuation='keep')
        with self.road.as_user('claire'):
            Pool().get('grant.evaluation.meeting').create([{
                        'evaluation': evaluation.id,
                        'date': self.road.today, 'public': "Habitants",
                        'participants': 12,
                        'text': "Davantage de dates en semaine."}])
        self.road.write(
            'claire', evaluation, summary="Le festival a accueilli.")
        self.road.press('marc', evaluation, 'validate_shared')
        self.assertState(evaluation, 'validated')

    def test_survey_answers(self):
        "A survey stands beside with the number of its answers"
        indicator = self.convention.objectives[1].indicators[0]
        with self.road.system():
            cursor = Transaction().connection.cursor()
            table = indicator.__table__()
            cursor.execute(*table.update(
                    [table.kind, table.survey_method],
                    ['participation', 'answers'],
                    where=table.id == indicator.id))
        forget()
        evaluation = self.open()
        with self.road.as_user('claire'):
            Pool().get('grant.measure').create([{
                        'indicator': indicator.id, 'date': self.road.today,
                        'evidence_file': b'Nom;Note\nA;1\nB;2\nC;3\n',
                        'evidence_filename': 'usagers.csv'}])
        evaluation = self.fresh(evaluation)
        result, = evaluation.surveys
        self.assertEqual((result.value, result.answers), (Decimal(3), 3))

    def test_publish(self):
        "By a manager, without personal data, frozen until withdrawn"
        evaluation = self.validate(3, 3)
        press, write = self.road.press, self.road.write
        with self.refused(CompletenessError, 'evaluation_incomplete'):
            press('marc', evaluation, 'publish')
        write(
            'claire', evaluation,
            summary="Écrire à Camille Exemple, camille@example.org")
        with self.refused(
                CompletenessError, 'evaluation_incomplete',
                'Camille Exemple', 'camille@example.org'):
            press('marc', evaluation, 'publish')
        write('claire', evaluation, summary="Le festival a accueilli.")
        with self.forbidden():
            press('claire', evaluation, 'publish')
        press('marc', evaluation, 'publish')
        evaluation = self.fresh(evaluation)
        self.assertEqual(
            (evaluation.published_on, evaluation.published_by),
            (self.road.today, self.road.users['marc']))
        with self.forbidden():
            write('claire', evaluation, summary="Autre")
        with self.refused(TransitionError), self.road.system():
            evaluation.__class__.reopen([evaluation])
        with self.refused(CompletenessError, 'reopen_reason'):
            press('marc', evaluation, 'unpublish')
        write('marc', evaluation, reopen_reason="Chiffre à corriger")
        press('marc', evaluation, 'unpublish')
        evaluation = self.fresh(evaluation)
        self.assertIsNone(evaluation.published_on)
        self.assertEqual(
            [d.state for d in evaluation.documents
                if d.kind == 'evaluation_summary'], ['superseded'])

    def test_personal_data(self):
        for text, found in [
                ("Rien à dire en 2026.", []),
                ("Appeler le 03 21 00 00 00.", ['03 21 00 00 00']),
                ("12 000 entrées et 3 500 élèves", []),
                ("x.y@z.fr", ['x.y@z.fr']),
                ("Merci à  Jeanne  Martin", ['Jeanne Martin']),
                ("Merci à Jeanne Martin", ['Jeanne Martin']),
                ("Merci à MARTIN Jeanne", ['Jeanne Martin']),
                ("Merci à Jéanne-Martin", ['Jeanne Martin']),
                ("Jeannette Martinez", []),
                ("Merci à Mme Durand", ['Mme Durand']),
                ("Appeler le +33612345678.", ['+33612345678']),
                ("+33 6 12 34 56 78", ['+33 6 12 34 56 78']),
                ("+33 (0)6 12 34 56 78", ['+33 (0)6 12 34 56 78']),
                ("0612345678", ['0612345678']),
                ("03/21/00/00/00", ['03/21/00/00/00']),
                ("Au 12 bis, rue du Test, à Arras",
                    ['12 bis, rue du Test']),
                ("Les 3 résidences et 12 chemins", []),
                ("De 2024 à 2026, 1 250 personnes", []),
                ]:
            with self.subTest(text=text):
                self.assertEqual(
                    find_personal_data(text, ["Jeanne Martin"]), found)


class FrozenTestCase(EvaluationCase):

    def test_views_locked(self):
        "A recorded view stays, whoever writes; a correction leaves a trace"
        evaluation = self.enter_partner(self.open(), 3, 3)
        line = evaluation.lines[0]
        value = self.rating(0).id
        for login in ['claire', 'marc']:
            with self.forbidden():
                self.road.write(login, line, partner_rating=value)
            with self.forbidden():
                self.road.write(login, evaluation, partner_view="Autre")
        with self.refused(FrozenError, 'evaluation_side_partner'), \
                self.road.system():
            line.__class__.write([line], {'partner_rating': value})
        with self.refused(CompletenessError, 'reopen_reason'):
            self.road.press('claire', evaluation, 'correct_partner')
        self.road.write(
            'claire', evaluation, reopen_reason="Erreur de saisie")
        self.road.press('claire', evaluation, 'correct_partner')
        evaluation = self.fresh(evaluation)
        self.assertIsNone(evaluation.partner_recorded_on)
        event, = [
            e for e in evaluation.events if e.name == 'correct_partner']
        self.assertEqual(event.reason, "Erreur de saisie")
        self.assertIn("Pleinement", event.before)

    def test_agreed_after(self):
        "The shared view is written once the views are shared, not before"
        evaluation = self.open()
        value = self.rating(2).id
        with self.forbidden():
            self.road.write(
                'claire', evaluation.lines[0], agreed_rating=value)
        with self.refused(FrozenError, 'evaluation_side_agreed'), \
                self.road.system():
            line = evaluation.lines[0]
            line.__class__.write([line], {'agreed_rating': value})
        with self.forbidden():
            self.road.write('claire', evaluation, outcome='renew')
        with self.refused(TransitionError):
            self.road.press('claire', evaluation, 'share')

    def test_validated(self):
        "Nothing of a validated evaluation moves, a later measure included"
        evaluation = self.validate(2, 2)
        line = evaluation.lines[0]
        result = line.results[0]
        for record, values in [
                (evaluation, {'outcome': 'stop'}),
                (evaluation, {'agreed_view': "Autre"}),
                (evaluation, {'score': Decimal(3)}),
                (evaluation, {'state': 'draft'}),
                (evaluation, {'year': 2031}),
                (line, {'agreed_rating': self.rating(0).id}),
                (line, {'weight': Decimal(9)}),
                (line, {'continuation': 'drop'}),
                (result, {'new_target': Decimal(1)}),
                (result, {'value': Decimal(1)}),
                ]:
            for login in ['claire', 'marc', 'alice']:
                with self.subTest(values=values), self.forbidden():
                    self.road.write(login, record, **values)
        with self.forbidden(), self.road.as_user('claire'):
            Pool().get('grant.evaluation.meeting').create([{
                        'evaluation': evaluation.id,
                        'date': self.road.today, 'public': "Habitants",
                        'text': "Après coup"}])
        self.measure(self.convention.objectives[0].indicators[0], 300)
        self.assertEqual(self.fresh(line).attainment, 0.75)

    def test_refreshed(self):
        "A measure shows at once in an evaluation that is open"
        evaluation = self.open()
        self.measure(self.convention.objectives[0].indicators[0], 300)
        self.assertEqual(self.fresh(evaluation).lines[0].attainment, 1)

    def test_reopened(self):
        "With a reason, which the journal keeps; the document is superseded"
        evaluation = self.validate(2, 2)
        with self.refused(CompletenessError, 'reopen_reason'):
            self.road.press('marc', evaluation, 'reopen')
        self.road.write('marc', evaluation, reopen_reason="Mesure reçue")
        self.road.press('marc', evaluation, 'reopen')
        evaluation = self.fresh(evaluation)
        self.assertEqual(
            (evaluation.state, evaluation.validated_on,
                evaluation.reopen_reason), ('shared', None, None))
        self.assertIn(
            "Mesure reçue", [e.reason for e in evaluation.events])
        self.assertEqual(
            [d.state for d in evaluation.documents
                if d.kind == 'evaluation'], ['superseded'])
        self.road.write(
            'claire', evaluation, partner_agreed_on=self.road.today)
        self.road.press('marc', evaluation, 'validate_shared')
        self.assertEqual(
            [d.version for d in self.fresh(evaluation).documents
                if d.kind == 'evaluation' and d.state == 'sealed'], [2])

    def test_doors(self):
        "No state, no line, no copy, no deletion from outside"
        pool = Pool()
        Evaluation = pool.get('grant.evaluation')
        Line = pool.get('grant.evaluation.line')
        evaluation = self.enter_partner(self.open(), 3, 3)
        line = evaluation.lines[0]
        with self.road.as_user('claire'):
            with self.forbidden():
                Evaluation.create([{
                            'convention': self.convention.id,
                            'kind': 'yearly', 'year': self.road.year,
                            'state': 'validated'}])
            with self.forbidden():
                Line.create([{
                            'evaluation': evaluation.id, 'title': "Autre",
                            'weight': Decimal(1)}])
            with self.forbidden():
                Line.delete([Line(line.id)])
            for Model, record in [(Evaluation, evaluation), (Line, line)]:
                with self.refused(AccessError):
                    Model.copy([Model(record.id)])
            with self.refused(AccessError, 'evaluation_delete'):
                Evaluation.delete([Evaluation(evaluation.id)])
        for login in ['lea', 'jean', 'paul', 'sophie']:
            with self.forbidden():
                self.road.write(login, evaluation, department_view="Non")
        with self.road.as_user('jean'):
            self.assertEqual(Evaluation.search([]), [])

    def test_draft_deleted(self):
        "What nobody began may go"
        evaluation = self.open()
        with self.road.as_user('claire'):
            evaluation.__class__.delete([evaluation])
        forget()
        self.assertEqual(list(self.convention.evaluations), [])

    def test_convention_state(self):
        "Only what is or was in force"
        set_state(self.convention, 'cancelled')
        with self.refused(TransitionError), self.road.system():
            Pool().get('grant.evaluation').create([{
                        'company': self.road.company.id,
                        'convention': self.convention.id,
                        'kind': 'final',
                        'year': self.convention.end_date.year}])

    def test_scale_kept(self):
        "Levels are added, not edited"
        rating = self.rating(1)
        with self.road.as_user('alice'):
            with self.refused(AccessError):
                rating.__class__.write([rating], {'points': Decimal(2)})
            with self.forbidden():
                rating.__class__.delete([rating])


class EraseTestCase(EvaluationCase):
    "What goes with the partner when it is erased"

    def erase(self, party):
        party = self.fresh(party)
        party.__class__.write([party], {'active': False})
        Erase = Pool().get('party.erase', type='wizard')
        session_id, _, _ = Erase.create()
        Erase.execute(session_id, {'ask': {'party': party.id}}, 'erase')
        Erase.delete(session_id)
        forget()

    def test_erase(self):
        pool = Pool()
        evaluation = self.open()
        with self.road.as_user('claire'):
            pool.get('grant.evaluation.meeting').create([{
                        'evaluation': evaluation.id,
                        'date': self.road.today, 'public': "Riverains",
                        'participants': 12, 'text': "Camille a bien ri."}])
        evaluation = self.validate(evaluation=self.fresh(evaluation))

        def texts():
            found = self.fresh(evaluation)
            return (
                found.partner_view, found.partner_file,
                [line.partner_comment for line in found.lines],
                [m.text for m in found.meetings])

        before = texts()
        self.assertNotIn(None, before)
        with self.road.system():
            self.erase(self.road.create_party())
            self.assertEqual(texts(), before)
            application, = self.convention.applications
            set_state(application, 'renounced')
            self.erase(self.convention.party)
        self.assertEqual(texts(), (None, None, [None, None], ['****']))
        evaluation = self.fresh(evaluation)
        self.assertEqual(evaluation.state, 'validated')
        self.assertEqual(
            [line.agreed_comment for line in evaluation.lines],
            ["Regard agreed"] * 2)
        self.assertEqual(evaluation.meetings[0].participants, 12)


class CalendarTestCase(EvaluationCase):

    def dated(self, kind, start, end):
        "The expected evaluations of a convention of the dates."
        convention = self.convention
        table = convention.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.update(
                [table.kind, table.start_date, table.end_date],
                [kind, start, end], where=table.id == convention.id))
        forget()
        return [
            tuple(e) for e in self.convention.get_expected_evaluations()]

    def test_dates(self):
        "After an annual one; each year, half-way and before the end of others"
        with self.road.system():
            self.assertEqual(
                self.dated(
                    'annual', dt.date(2026, 1, 1), dt.date(2026, 12, 31)),
                [('final', 2026, dt.date(2027, 3, 31))])
            self.assertEqual(
                self.dated(
                    'multi_year', dt.date(2026, 1, 1),
                    dt.date(2027, 12, 31)),
                [
                    ('yearly', 2026, dt.date(2027, 3, 31)),
                    ('final', 2027, dt.date(2027, 9, 30)),
                    ])
            self.assertEqual(
                self.dated(
                    'multi_year', dt.date(2026, 1, 1),
                    dt.date(2028, 12, 31)),
                [
                    ('yearly', 2026, dt.date(2027, 3, 31)),
                    ('mid_term', 2027, dt.date(2027, 7, 2)),
                    ('final', 2028, dt.date(2028, 9, 30)),
                    ])

    def test_cron(self):
        "Prepared by itself when its time has come, once"
        Evaluation = Pool().get('grant.evaluation')
        today = self.road.today
        self.dated(
            'annual', today - relativedelta(months=2),
            today + relativedelta(months=1))
        with self.road.system():
            Evaluation.prepare_daily()
            self.assertEqual(Evaluation.search([], count=True), 0)
        self.dated('annual', today - relativedelta(months=2), today)
        with Transaction().set_user(0), Transaction().set_context(
                company=self.road.company.id):
            Evaluation.prepare_daily()
            Evaluation.prepare_daily()
        forget()
        evaluation, = self.convention.evaluations
        self.assertEqual(evaluation.kind, 'final')
        self.assertEqual(len(evaluation.lines), 2)
        self.assertEqual(evaluation.officer, self.convention.officer)

    def test_due(self):
        "In the deadlines: ours to send, then the partner's, reminded"
        pool = Pool()
        Due, Reminder = pool.get('grant.due'), pool.get('grant.reminder')
        evaluation = self.open()

        def due():
            with self.road.as_user('claire'):
                return Due.search([('kind', '=', 'evaluation')])
        row, = due()
        self.assertEqual(
            (row.status, row.whose_turn, row.record, row.due_date,
                row.what),
            ('to_send', 'officer', evaluation, evaluation.due_date,
                evaluation.rec_name))
        self.road.press('claire', evaluation, 'send')
        forget()
        row, = due()
        self.assertEqual((row.status, row.whose_turn), ('to_fill', 'partner'))
        self.road.write(
            'claire', evaluation,
            due_date=self.road.today - dt.timedelta(days=1))
        forget()
        with self.road.system(), Transaction().set_context(language='fr'):
            Due.remind_daily()
            reminder, = Reminder.search([
                    ('record', '=', str(evaluation))])
        self.assertIn("grille d’évaluation", reminder.text)
        self.enter_partner(self.fresh(evaluation), 2, 2)
        forget()
        row, = due()
        self.assertEqual(
            (row.status, row.whose_turn), ('to_share', 'officer'))

    def test_queries(self):
        "As many queries for one evaluation as for many"
        road = self.road
        pool = Pool()
        Evaluation = pool.get('grant.evaluation')
        self.dated(
            'multi_year', dt.date(road.year - 4, 1, 1),
            dt.date(road.year + 15, 12, 31))
        with road.as_user('claire'):
            evaluations = Evaluation.create([{
                        'convention': self.convention.id, 'kind': 'yearly',
                        'year': road.year + i} for i in range(15)])
        ids = [e.id for e in evaluations]
        names = [
            'rec_name', 'party.rec_name', 'lines', 'results', 'surveys',
            'orientations', 'next_step', 'whose_turn', 'rating', 'score']

        def read(ids):
            Evaluation.read(ids, names)

        def refresh(ids):
            Evaluation.refresh(Evaluation.browse(ids))

        def lines(ids):
            Line = pool.get('grant.evaluation.line')
            Line.read(
                [line.id for line in Line.search(
                        [('evaluation', 'in', ids)])],
                ['results_text', 'partner_open', 'scale_date'])
        Due = pool.get('grant.due')

        def due(ids):
            Due.read(
                [d.id for d in Due.search([
                            ('record', 'in', [
                                f'grant.evaluation,{i}' for i in ids])])],
                ['what', 'blocks_text', 'status', 'whose_turn'])
        for function in [read, refresh, lines, due]:
            with self.subTest(function=function.__name__), \
                    road.as_user('claire'):
                self.assertLessEqual(
                    count_selects(function, ids),
                    count_selects(function, ids[:1]) + 2)


class RenewalTestCase(EvaluationCase):

    def renew(self):
        with self.road.as_user('claire'):
            Convention = self.convention.__class__
            action = Convention.prepare_renewal(
                [Convention(self.convention.id)])
        forget()
        application, = Pool().get('grant.application').browse(
            action['res_id'])
        return application

    def test_taken_over(self):
        "Dropped objectives stay behind, new targets are proposed"
        evaluation = self.share()
        first, second = evaluation.lines
        self.road.write('claire', first, continuation='change')
        self.road.write(
            'claire', first.results[0], new_target=Decimal(420))
        self.road.write(
            'claire', second, continuation='drop',
            continuation_reason="Repris par la commune")
        evaluation = self.agree(self.fresh(evaluation), 3, 2)
        self.road.press('marc', evaluation, 'validate_shared')
        application = self.renew()
        self.assertEqual(application.last_evaluation, evaluation)
        self.assertEqual(application.last_outcome, 'renew')
        self.assertEqual(
            application.last_evaluation_lines, evaluation.lines)
        with self.road.system():
            envelope = self.road.create_envelope(Decimal(50000), code='934')
        with self.road.as_user('claire'):
            Line = Pool().get('grant.application.budget_line')
            amounts = {'60': 24000, '70': 12000, '74-DEPT': 12000}
            for line in Line.search([('application', '=', application.id)]):
                Line.write([line], {
                        'amount': Decimal(amounts[line.heading.code])})
        self.road.write(
            'claire', application, requested_amount=Decimal(12000),
            total_cost=Decimal(24000), eligible_cost=Decimal(24000),
            envelope=envelope.id)
        application = self.road.review(self.fresh(application))
        following = self.fresh(self.road.open_convention(application))
        objective, = following.objectives
        self.assertEqual(objective.title, first.title)
        indicator, = objective.indicators
        self.assertEqual(
            (indicator.target, indicator.baseline),
            (Decimal(420), Decimal(250)))
        self.assertFalse(objective.agreed)

    def test_warned(self):
        "A missing evaluation or a stop is said, and blocks nothing"
        application = self.renew()
        self.assertIn(
            self.convention.rec_name, application.evaluation_warning)
        self.assertIsNone(application.last_evaluation)
        self.validate(0, 0, outcome='stop', outcome_reason="Plus porté")
        application = self.fresh(application)
        self.assertIn("Plus porté", application.evaluation_warning)
        other = self.road.create_application(party=self.convention.party)
        self.assertIn("Plus porté", other.evaluation_warning)
        self.assertEqual(other.last_rating, self.rating(0))
        stranger = self.road.create_application()
        self.assertIsNone(stranger.evaluation_warning)
        self.assertIsNone(
            self.fresh(self.dossier.application).evaluation_warning)

    def test_stop_motive(self):
        "What renews a project to be stopped has a motive"
        application = self.renew()
        self.validate(0, 0, outcome='stop', outcome_reason="Plus porté")
        with self.road.system():
            envelope = self.road.create_envelope(Decimal(50000), code='934')
        self.road.write(
            'claire', application, envelope=envelope.id,
            requested_amount=Decimal(9000))
        set_state(application, 'admissible')
        self.road.write(
            'claire', application, proposed_amount=Decimal(9000))
        with self.refused(CompletenessError, 'evaluation_stop_motive'):
            self.road.press('claire', application, 'review')
        self.road.write(
            'claire', application, proposal_motive="Nouvelle équipe.")
        self.fresh(application).check_proposal()
        self.road.write(
            'claire', application, proposal_motive=None,
            proposed_amount=Decimal(0))
        self.fresh(application).check_proposal()

    def test_statistics(self):
        "By ambition and year, searchable by orientation and rating"
        pool = Pool()
        Evaluation = pool.get('grant.evaluation')
        Statistic = pool.get('grant.evaluation.statistic')
        evaluation = self.validate(3, 2)
        with self.road.as_user('lea'):
            row, = Statistic.search([])
            self.assertEqual(
                (row.ambition.code, row.year, row.evaluations, row.score,
                    row.attainment, row.renewed, row.stopped),
                ('A03', evaluation.year, 1, 2.25, 0.75, 1, 0))
            self.assertEqual(
                Evaluation.search([
                        ('orientations', '=', self.road.orientation.id),
                        ('rating.points', '>=', Decimal(2)),
                        ('year', '=', evaluation.year)]), [evaluation])
        with self.road.as_user('jean'):
            self.assertEqual(Evaluation.search([]), [evaluation])

    def test_application_queries(self):
        "The last evaluations of many applications in as many queries"
        Application = Pool().get('grant.application')
        self.validate(3, 2)
        ids = [
            self.road.create_application(party=self.convention.party).id
            for _ in range(10)]
        names = [
            'last_evaluation', 'last_rating', 'last_outcome',
            'last_evaluation_lines', 'evaluation_warning']

        def read(ids):
            Application.read(ids, names)
        with self.road.as_user('claire'):
            self.assertLessEqual(
                count_selects(read, ids), count_selects(read, ids[:1]) + 2)


class UniqueTestCase(TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_module('pacte_grants', lang='fr')

    @with_transaction()
    def test_unique(self):
        "One evaluation of a kind and year for a convention"
        Evaluation = Pool().get('grant.evaluation')
        # Read before: PostgreSQL answers nothing more after the refusal
        pattern = message_pattern('evaluation_unique')
        with without_converter():
            road = Road()
            convention = road.to_active()
            values = {
                'convention': convention.id, 'kind': 'final',
                'year': convention.end_date.year}
            with road.as_user('claire'):
                Evaluation.create([values])
                with Transaction().set_context(language='fr'), \
                        self.assertRaises(SQLConstraintError) as raised:
                    Evaluation.create([values])
        self.assertRegex(str(raised.exception.message), pattern)


del EvaluationCase
