# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Articles of conventions: which apply, what stays, what nobody rewrites."
import datetime as dt
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.clause import fill, parse
from trytond.modules.pacte_grants.exceptions import (
    ClauseError, CompletenessError, FrozenError)
from trytond.pool import Pool

from .refusal import RefusalCase, forget, set_state
from .tools import count_queries

# kind of partner, values of the convention: what stands, what does not
CASES = [
    ('association', {}, [
            'NON_CONSOMMEE', 'REVERSEMENT_INTERDIT', 'CONTROLE_PRIVE',
            'JUSTIFICATIFS_PRIVE', 'ENGAGEMENTS_REPUBLICAIN',
            'EVALUATION_ANNUELLE', 'ANNEXES_LISTE_REPUBLICAIN'], [
            'NON_CONSOMMEE_REVERSEE', 'JUSTIFICATIFS_PUBLIC',
            'EVALUATION_PLURIANNUELLE', 'CONTRIBUTION_ANNUALITE',
            'ENGAGEMENTS_PARRAINAGE', 'AIDE_DE_MINIMIS']),
    ('association', {'kind': 'multi_year'}, [
            'CONTRIBUTION_ANNUALITE', 'EVALUATION_PLURIANNUELLE',
            'JUSTIFICATIFS_FINAL'], ['EVALUATION_ANNUELLE']),
    ('association', {'kind': 'sponsorship'}, [
            'ENGAGEMENTS_PARRAINAGE', 'EVALUATION_ANNUELLE'], []),
    ('association', {'aid_regime': 'de_minimis'}, ['AIDE_DE_MINIMIS'],
        ['AIDE_DE_MINIMIS_SIEG', 'AIDE_SPORT', 'AIDE_CULTURE']),
    ('association', {'aid_regime': 'gber_culture'}, ['AIDE_CULTURE'],
        ['AIDE_DE_MINIMIS']),
    ('association', {'sub_granting': True}, ['REVERSEMENT_AUTORISE'],
        ['REVERSEMENT_INTERDIT', 'REVERSEMENT_INTERDIT_PUBLIC']),
    ('commune', {}, [
            'NON_CONSOMMEE_REVERSEE', 'REVERSEMENT_INTERDIT_PUBLIC',
            'JUSTIFICATIFS_PUBLIC', 'CONTROLE_AUTRE', 'ANNEXES_LISTE'], [
            'NON_CONSOMMEE', 'REVERSEMENT_INTERDIT', 'CONTROLE_PRIVE',
            'ENGAGEMENTS_REPUBLICAIN']),
    ('individual', {}, ['JUSTIFICATIFS_PERSONNE'], ['JUSTIFICATIFS_PRIVE']),
    ]


class ClauseTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.review(road.create_application())
        cls.id = road.open_convention(application).id
        road.press('claire', cls._read(), 'negotiate')

    @classmethod
    def _read(cls):
        return Pool().get('grant.convention')(cls.id)

    @property
    def convention(self):
        forget()
        return self._read()

    def clause(self, code):
        clause, = [c for c in self.convention.clauses if c.code == code]
        return clause

    def codes(self):
        return [c.code for c in self.convention.clauses]

    def library(self, code):
        clause, = Pool().get('grant.clause').search([('code', '=', code)])
        return clause

    def add(self, **values):
        "Add a row to the library as the administrator."
        values = {
            'code': 'ESSAI', 'title': "Essai", 'text': "Texte.",
            'sequence': 20000, 'valid_from': dt.date(2022, 1, 1)} | values
        with self.road.as_user('alice'):
            clause, = Pool().get('grant.clause').create([values])
        return clause

    def refresh(self):
        self.road.press('claire', self.convention, 'refresh_clauses')

    def agree(self):
        objective = self.road.add_objective(self.convention)
        self.road.press('claire', objective, 'agree_partner')
        self.road.press('claire', objective, 'agree_department')
        self.road.press('claire', self.convention, 'agree')
        return self.convention

    def vote(self, amount=None):
        road = self.road
        application, = self.convention.applications
        deliberation = road.schedule(application)
        road.hold()
        if amount:
            decision, = road.fresh(application).decisions
            road.write('sophie', decision, outcome='granted', amount=amount)
        road.vote(deliberation)
        return self.convention

    def test_which_apply(self):
        road = self.road
        for kind, values, present, absent in CASES:
            with self.subTest(kind=kind, values=values):
                with road.system():
                    Party = Pool().get('party.party')
                    Party.write([self.convention.party], {
                            'partner_kind': kind,
                            'republican_commitment_on': (
                                road.today if kind == 'association'
                                else None)})
                road.write('claire', self.convention, **{
                        'kind': 'annual', 'aid_regime': 'none',
                        'sub_granting': False} | values)
                self.refresh()
                codes = self.codes()
                self.assertLessEqual(set(present), set(codes))
                self.assertFalse(set(absent) & set(codes))
                self.assertEqual(len(codes), len(set(codes)))
                self.assertEqual(self.convention.clauses_note is None,
                    'sub_granting' not in values)

    def test_amount_and_scheme(self):
        road = self.road
        self.add(code='GRAND', minimum_amount=Decimal(23000))
        self.add(code='MOYEN', minimum_amount=Decimal(10000),
            maximum_amount=Decimal(23000))
        self.add(code='PETIT', maximum_amount=Decimal(10000))
        self.add(code='SPORT', domains=['sport'])
        self.add(code='INVEST', scheme_kinds=['investment'])
        self.add(code='RENOUVELLEMENT', scheme=road.scheme.id,
            title="Suite", text="Selon le dispositif.", sequence=11000)
        with road.system():
            other = road.create_scheme(code='AUTRE')
        self.add(code='AVENANT', scheme=other.id, text="Ailleurs.")
        self.refresh()
        codes = self.codes()
        self.assertIn('MOYEN', codes)
        for code in ['GRAND', 'PETIT', 'SPORT', 'INVEST']:
            self.assertNotIn(code, codes)
        self.assertEqual(
            self.clause('RENOUVELLEMENT').content, "Selon le dispositif.")
        self.assertNotIn("Ailleurs", self.clause('AVENANT').content)

    def test_variant_keeps_obligation(self):
        self.add(code='OBJET', scheme=self.road.scheme.id, title="Objet",
            text="Autre objet.", sequence=1000)
        self.refresh()
        self.assertTrue(self.clause('OBJET').mandatory)
        self.assertEqual(self.clause('OBJET').content, "Autre objet.")
        # The general article said what the law wants, the variant does not.
        self.assertIn("Objet", self.convention.clauses_note)
        with self.refused(CompletenessError, 'clause_legal_item'):
            self.agree()

    def test_numbers(self):
        numbers = {c.code: c.number for c in self.convention.clauses}
        self.assertEqual(numbers['OBJET'], '1')
        self.assertEqual(numbers['RECOURS'], '15')
        self.assertEqual(numbers['CONTRIBUTION_MONTANT'], '4.1')
        # A paragraph alone is the article itself
        self.assertEqual(numbers['ANNEXES_LISTE_REPUBLICAIN'], '13')
        self.road.press('claire', self.clause('DUREE_SIGNATURE'), 'leave_out')
        self.road.press('claire', self.clause('RENOUVELLEMENT'), 'leave_out')
        numbers = {c.code: c.number for c in self.convention.clauses}
        self.assertEqual(numbers['RECOURS'], '14')
        self.assertIsNone(numbers['RENOUVELLEMENT'])
        self.assertIn(
            "justificatifs prévus à l’article 6",
            self.clause('RESILIATION').content)
        self.road.write('claire', self.clause('RECOURS'), sequence=1)
        self.assertEqual(self.clause('RECOURS').number, '1')
        self.assertIn(
            "justificatifs prévus à l’article 7",
            self.clause('RESILIATION').content)

    def test_left_out_stays(self):
        "What was left out stays so when the library is taken again"
        self.road.press('claire', self.clause('RENOUVELLEMENT'), 'leave_out')
        self.refresh()
        self.assertTrue(self.clause('RENOUVELLEMENT').left_out)
        articles = self.convention.get_articles()
        self.assertNotIn("Renouvellement", [a['title'] for a in articles])
        self.road.press('claire', self.clause('RENOUVELLEMENT'), 'put_back')
        self.assertEqual(self.clause('RENOUVELLEMENT').number, '11')
        events = Pool().get('grant.event').search([
                ('record', '=', str(self.convention)),
                ('name', '=', 'clauses')])
        self.assertEqual(len(events), 2)

    def test_mandatory(self):
        "What the law wants is not left out, through no door"
        Copy = Pool().get('grant.convention.clause')
        clause = self.clause('CONTRIBUTION_MONTANT')
        name = self.convention.rec_name
        with self.refused(UserError):
            self.road.press('claire', clause, 'leave_out')
        for system in [False, True]:
            door = (
                self.road.system() if system
                else self.road.as_user('claire'))
            with self.subTest(system=system):
                with self.refused(
                        AccessError, 'convention_clause_mandatory', name), \
                        door:
                    Copy.delete([Copy(clause.id)])
        with self.refused(AccessError, 'convention_clause_mandatory'), \
                self.road.system():
            Copy.write([Copy(clause.id)], {'left_out': True})
        for values in [
                {'left_out': True}, {'mandatory': False}, {'text': "Rien."},
                {'origin': 'own'}, {'title': "Autre"}, {'level': 'article'}]:
            with self.subTest(values=values):
                with self.refused(FrozenError):
                    self.road.write('claire', clause, **values)
        with self.road.as_user('claire'):
            copy, = Copy.copy([Copy(clause.id)])
        copy = self.road.fresh(copy)
        self.assertEqual(
            (copy.origin, bool(copy.mandatory), copy.code),
            ('own', False, None))

    def test_library_text_kept(self):
        "The text of the library is not rewritten, even by the module"
        Copy = Pool().get('grant.convention.clause')
        clause = self.clause('RENOUVELLEMENT')
        with self.refused(FrozenError, 'convention_clause_library'), \
                self.road.system():
            Copy.write([Copy(clause.id)], {'text': "Reconduction tacite."})
        with self.refused(AccessError, 'convention_clause_delete'), \
                self.road.as_user('claire'):
            Copy.delete([Copy(clause.id)])

    def test_own(self):
        Copy = Pool().get('grant.convention.clause')
        values = {
            'convention': self.id, 'title': "Accueil des classes",
            'text': "Trois classes sont reçues, du {debut} au {fin}."}
        with self.road.as_user('claire'):
            own, = Copy.create([values])
        own = self.road.fresh(own)
        self.assertEqual((own.number, own.origin), ('16', 'own'))
        self.assertIn(str(self.road.year), own.content)
        self.refresh()
        self.assertIn(own, self.convention.clauses)
        with self.refused(ClauseError, 'clause_unknown_value', '{inconnu}'), \
                self.road.as_user('claire'):
            Copy.write([Copy(own.id)], {'text': "{inconnu}"})
        with self.refused(FrozenError), self.road.as_user('claire'):
            Copy.create([values | {'mandatory': True}])
        with self.road.as_user('claire'):
            Copy.delete([Copy(own.id)])

    def test_values_checked(self):
        for text, name in [
                ("{montan}", '{montan}'), ("{", '{ }'), ("a } b", '{ }'),
                ("{article:}", '{article:}'), ("{0}", '{0}')]:
            with self.subTest(text=text):
                with self.refused(
                        ClauseError, 'clause_unknown_value', name,
                        '{depenses_eligibles}'):
                    self.add(text=text)
        with self.refused(ClauseError, 'clause_table_alone'):
            self.add(text="Voici : {tableau_versements}")

    def test_fill(self):
        text, empty = fill(
            "{intitule}, {montant}, {article:X}, {article:Y}\n"
            "{tableau_versements}",
            {'intitule': "a ** {b}"}, {'X': '4.2'})
        self.assertEqual(
            text, "a  b, [à compléter], 4.2, [à compléter]\n"
            "{tableau_versements}")
        self.assertEqual(empty, ['montant', 'article:Y'])
        self.assertEqual(
            [b['style'] for b in parse(
                    "Si :\n– un\n- deux\n\n{tableau_tranches}\nFin **x**.")],
            ['lead', 'bullet', 'bullet', 'tableau_tranches', 'text'])
        self.assertEqual(
            parse("Fin **x**.")[0]['spans'],
            [("Fin ", False), ("x", True), (".", False)])

    def test_empty_value(self):
        "What is not known prevents the agreement, all at once"
        road = self.road
        road.write('claire', self.convention, sub_granting=True)
        with road.system():
            Party = Pool().get('party.party')
            Party.write([self.convention.party], {
                    'republican_commitment_on': None})
        self.assertIn(
            '[à compléter]', self.clause('REVERSEMENT_AUTORISE').content)
        with self.refused(
                CompletenessError, 'convention_not_agreed',
                '{organismes}', '{date_contrat_republicain}'):
            self.agree()

    def test_regime_of_company(self):
        "The regime of State aids is named for a company (L23)"
        with self.road.system():
            Party = Pool().get('party.party')
            Party.write([self.convention.party], {
                    'partner_kind': 'company',
                    'republican_commitment_on': None})
        self.refresh()
        with self.refused(
                CompletenessError, 'clause_aid_regime'):
            self.agree()
        self.road.write(
            'claire', self.convention, aid_regime='de_minimis')
        self.assertIsNone(self.convention.clauses_note)

    def test_library_moves(self):
        "The agreement wants the library of the day"
        self.add(code='NOUVEAU')
        with self.refused(CompletenessError, 'clause_outdated'):
            self.agree()
        self.refresh()
        self.agree()
        self.add(code='PLUS_TARD')
        self.assertNotIn('PLUS_TARD', self.codes())
        self.vote()

    def test_versions(self):
        "A version that is used is never edited; the next replaces it"
        Clause = Pool().get('grant.clause')
        today = self.road.today
        first = self.library('RENOUVELLEMENT')
        for values in [
                {'text': "Autre."}, {'title': "Autre"}, {'mandatory': True},
                {'valid_from': today}, {'kinds': ['annual']}]:
            with self.subTest(values=values):
                with self.refused(FrozenError), self.road.as_user('alice'):
                    Clause.write([Clause(first.id)], values)
                with self.refused(FrozenError, 'clause_used'), \
                        self.road.system():
                    Clause.write([Clause(first.id)], values)
        with self.refused(FrozenError, 'clause_used'), \
                self.road.as_user('alice'):
            Clause.delete([Clause(first.id)])
        with self.road.as_user('alice'):
            action = Clause.new_version([Clause(first.id)])
        second = Clause(action['res_id'][0])
        self.assertEqual(
            (second.version, second.valid_from, second.text),
            (2, today + dt.timedelta(days=1), first.text))
        with self.road.as_user('alice'):
            Clause.write([Clause(second.id)], {'text': "Deuxième texte."})

        def current(date):
            clause, = [
                c for c in Clause.get_library(date) if c.code == first.code]
            return clause
        self.assertEqual(current(today), first)
        self.assertEqual(current(second.valid_from), second)
        with self.road.as_user('alice'):
            Clause.write(
                [Clause(second.id)], {'valid_to': second.valid_from})
        after = second.valid_from + dt.timedelta(days=1)
        self.assertNotIn(
            first.code, [c.code for c in Clause.get_library(after)])
        with self.refused(ClauseError, 'clause_same_date'):
            self.add(code=first.code,
                valid_from=second.valid_from)

    def test_rendered(self):
        "The agreed text has its values and stays"
        convention = self.agree()
        clause = self.clause('CONTRIBUTION_MONTANT')
        self.assertIn("dix mille euros", clause.rendered)
        self.assertEqual(clause.empty, None)
        self.assertNotIn('**', clause.content)
        self.assertEqual(convention.clauses_amount, Decimal(10000))
        with self.road.system():
            Parameter = Pool().get('grant.parameter')
            Parameter.create([{
                        'code': 'DOCUMENT_TERMINATION_NOTICE',
                        'name': "Préavis", 'value': 9, 'unit': 'month',
                        'valid_from': self.road.today,
                        'source': "Essai"}])
        self.assertIn("deux mois", self.clause('RESILIATION').content)
        self.road.press('claire', self.convention, 'renegotiate')
        self.assertIn("neuf mois", self.clause('RESILIATION').content)
        self.assertIsNone(self.clause('RESILIATION').rendered)

    def test_frozen(self):
        "After the agreement no door is left, the library included"
        Copy = Pool().get('grant.convention.clause')
        Clause = Pool().get('grant.clause')
        self.agree()
        text = self.clause('RENOUVELLEMENT').content
        own = {
            'convention': self.id, 'title': "Ajout", 'text': "Après coup."}
        for state in ['agreed', 'voted']:
            if state == 'voted':
                self.vote()
            clause = self.clause('RENOUVELLEMENT')
            for user in ['claire', 'marc', 'alice']:
                with self.subTest(state=state, user=user):
                    for button in ['leave_out', 'put_back']:
                        with self.refused(UserError):
                            self.road.press(user, clause, button)
                    for values in [
                            {'sequence': 1}, {'text': "x"}, {'title': "x"},
                            {'rendered': "x"}, {'left_out': True}]:
                        with self.refused(UserError):
                            self.road.write(user, clause, **values)
                    with self.refused(UserError), self.road.as_user(user):
                        Copy.delete([Copy(clause.id)])
                    with self.refused(UserError), self.road.as_user(user):
                        Copy.create([own])
            with self.refused(FrozenError, 'frozen_by'), self.road.system():
                Copy.create([own])
            with self.refused(FrozenError), self.road.system():
                Copy.write([Copy(clause.id)], {'sequence': 1})
            with self.refused(UserError):
                self.road.press(
                    'claire', self.convention, 'refresh_clauses')
            for name, value in [
                    ('aid_regime', 'notified'), ('sub_granting', True)]:
                with self.refused(FrozenError), self.road.system():
                    self.convention.__class__.write(
                        [self.convention], {name: value})
        with self.road.as_user('alice'):
            new, = Clause.copy([Clause(self.library('RENOUVELLEMENT').id)])
            Clause.write([new], {'text': "Reconduction tacite."})
        self.assertEqual(self.clause('RENOUVELLEMENT').content, text)

    def test_voted_amount(self):
        "The vote changes the amount: the texts follow the confirmation"
        self.agree()
        convention = self.vote(Decimal(8000))
        self.assertTrue(convention.amount_changed)
        self.assertIn(
            "dix mille", self.clause('CONTRIBUTION_MONTANT').content)
        self.road.press('claire', convention, 'confirm_amount')
        self.assertIn(
            "huit mille", self.clause('CONTRIBUTION_MONTANT').content)
        event, = Pool().get('grant.event').search([
                ('record', '=', str(self.convention)),
                ('name', '=', 'clauses')])
        self.assertIn("10\u202f000,00", event.before)
        self.assertIn("8\u202f000,00", event.after)
        self.assertEqual(event.user, self.road.users['claire'])

    def test_access(self):
        "The library is the administrator's"
        Clause = Pool().get('grant.clause')
        for user in ['claire', 'marc', 'paul', 'sophie']:
            with self.subTest(user=user):
                with self.forbidden(), self.road.as_user(user):
                    Clause.create([{
                                'code': 'X', 'title': "X",
                                'valid_from': self.road.today}])
                with self.forbidden(), self.road.as_user(user):
                    Clause.new_version([self.library('RECOURS')])

    def test_deleted_with_convention(self):
        application, = self.convention.applications
        with self.road.system():
            application.__class__.write([application], {'convention': None})
            convention = set_state(self.convention, 'draft')
            convention.__class__.delete([convention])
        self.assertFalse(Pool().get('grant.convention.clause').search([
                    ('convention', '=', self.id)]))

    def test_queries(self):
        "The numbers and texts of many articles cost no query each"
        def read(ids):
            forget()
            Copy = Pool().get('grant.convention.clause')
            with count_queries() as queries, self.road.system():
                for copy in Copy.browse(ids):
                    self.assertTrue(copy.number or copy.left_out)
            return queries.selects
        ids = [c.id for c in self.convention.clauses]
        read(ids)
        self.assertEqual(read(ids[:2]), read(ids))
