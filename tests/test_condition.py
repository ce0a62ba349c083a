# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What partners undertake: the library, the dates, who verifies, the labels."
import datetime as dt
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, DutyError, FrozenError, PeriodError, TransitionError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import Dossier, RefusalCase, forget
from .tools import count_queries


def entry(code):
    Library = Pool().get('grant.library.condition')
    return Library.get_versions({code})[code]


def days(number):
    return dt.timedelta(days=number)


class LibraryTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        cls.application = cls.road.review(cls.road.create_application())
        cls.open = cls.road.open_convention(cls.application)

    def scheme_with(self, *conditions, **values):
        with self.road.system():
            return self.road.create_scheme(
                code='LIB', conditions=[('create', list(conditions))],
                **values)

    def convention_of(self, scheme, amount=Decimal(10000)):
        road = self.road
        return road.open_convention(road.review(road.create_application(
                    scheme=scheme.id, call=None, amount=amount)))

    def test_delivered(self):
        "Every kind but 'other' has entries; every parameter is one"
        from trytond.modules.pacte_grants.condition_library import (
            parameter_names)
        Library = Pool().get('grant.library.condition')
        entries = Library.search([])
        self.assertGreaterEqual(len(entries), 25)
        self.assertGreaterEqual(
            {e.kind for e in entries}, {
                'eco', 'tariff', 'equality', 'disability', 'youth',
                'communication'})
        for found in entries:
            with self.subTest(code=found.code):
                self.assertEqual(
                    parameter_names(found.text),
                    {p.name for p in found.parameters})
                for word in ["contrepartie", "prestation", "obligation de"]:
                    self.assertNotIn(word, found.text.lower())

    def test_brackets(self):
        "What a scheme asks depends on the amount"
        scheme = self.scheme_with({
                'library': entry('ECO-GESTES').id,
                'maximum_amount': Decimal(5000),
                }, {
                'library': entry('ECO-CINQ').id,
                'minimum_amount': Decimal(5000),
                'maximum_amount': Decimal(23000),
                }, {
                'library': entry('ECO-PLAN').id,
                'minimum_amount': Decimal(23000),
                })
        for amount, code in [
                (Decimal('4999.99'), 'ECO-GESTES'),
                (Decimal(5000), 'ECO-CINQ'),
                (Decimal('22999.99'), 'ECO-CINQ'),
                (Decimal(23000), 'ECO-PLAN')]:
            with self.subTest(amount=amount):
                convention = self.convention_of(scheme, amount)
                self.assertEqual(
                    [c.library.code for c in convention.conditions], [code])

    def test_bracket_of_new_amount(self):
        "What the negotiated amount asks more joins the text, once"
        road = self.road
        scheme = self.scheme_with({
                'library': entry('ECO-GESTES').id,
                }, {
                'library': entry('ECO-PLAN').id,
                'minimum_amount': Decimal(23000),
                })
        convention = self.convention_of(scheme, Decimal(4000))
        application, = convention.applications
        road.press('marc', application, 'reopen')
        road.write('claire', application, proposed_amount=Decimal(24000))
        for _ in range(2):
            road.press('claire', convention, 'set_amounts')
            self.assertEqual(
                sorted(c.library.code
                    for c in road.fresh(convention).conditions),
                ['ECO-GESTES', 'ECO-PLAN'])

    def test_copied(self):
        "The convention keeps the text and the version that it copied"
        road = self.road
        library = entry('ECO-CINQ')
        scheme = self.scheme_with(
            {'library': library.id, 'evidence': "Bilan et photographies",
                'values': [('create', [
                            {'name': 'actions', 'value': '7'}])]})
        condition, = self.convention_of(scheme).conditions
        self.assertIn("Mener 7 actions", condition.text)
        self.assertIn("3 thèmes", condition.text)
        self.assertEqual(condition.evidence, "Bilan et photographies")
        self.assertEqual(condition.penalty_rate, Decimal('0.05'))
        self.assertEqual(condition.block_kinds, ('balance', 'single'))
        self.assertEqual(condition.side, 'scheme')
        self.assertEqual(
            (condition.due_event, condition.due_delay), ('end', 30))
        self.assertEqual(
            condition.due_date, condition.convention.end_date + days(30))
        road.press('marc', library, 'new_version')
        second = entry('ECO-CINQ')
        self.assertEqual(second.version, 2)
        road.write('marc', second, text="Tout autre chose")
        forget()
        kept = condition.__class__(condition.id)
        self.assertIn("Mener 7 actions", kept.text)
        self.assertEqual((kept.library.version, kept.library_version), (1, 1))
        following, = self.convention_of(scheme).conditions
        self.assertEqual(following.text, "Tout autre chose")
        self.assertEqual(following.library_version, 2)

    def test_used_entry(self):
        "An entry that is used keeps its text, by every door"
        road = self.road
        library = entry('ECO-CINQ')
        self.scheme_with({'library': library.id})
        Parameter = Pool().get('grant.library.condition.parameter')
        for login in ['marc', 'alice']:
            for name, value in [
                    ('text', "Autre"), ('penalty_rate', Decimal('0.5')),
                    ('due_event', 'start')]:
                with self.subTest(user=login, field=name):
                    with self.refused(FrozenError, 'condition_library_used'):
                        road.write(login, library, **{name: value})
        with self.refused(FrozenError, 'condition_library_used'):
            with road.as_user('marc'):
                Parameter.write(
                    [Parameter(library.parameters[0].id)], {'default': '1'})
        with self.refused(FrozenError, 'condition_library_used'):
            with road.as_user('alice'):
                library.__class__.delete([library.__class__(library.id)])
        road.write('marc', library, valid_to=road.today)
        with self.forbidden():
            road.write('claire', entry('ECO-MOB'), text="Autre")
        road.write('marc', entry('ECO-MOB'), text="Autre")

    def test_added(self):
        "From the library, with the values that the parties agree on"
        road = self.road
        Condition = Pool().get('grant.condition')
        Wizard = Pool().get('grant.condition.add', type='wizard')
        libraries = [entry('TAR-SOLIDAIRE'), entry('COM-LOGO')]
        with road.as_user('claire'), Transaction().set_context(
                active_model='grant.convention', active_id=self.open.id,
                active_ids=[self.open.id]):
            session, _, _ = Wizard.create()
            first = Wizard.execute(session, {}, 'start')
            offered = first['view']['defaults']['offered']
            self.assertIn(libraries[0].id, offered)
            self.assertNotIn(entry('ECO-GESTES').id, offered)
            start = {
                'convention': self.open.id, 'side': 'partner',
                'entries': [e.id for e in libraries]}
            ask = Wizard.execute(session, {'start': start}, 'choose')
            rows = ask['view']['defaults']['values']
            self.assertEqual([r['value'] for r in rows], ['100'])
            rows[0]['value'] = '120'
            rows = [{k: v for k, v in r.items() if '.' not in k}
                for r in rows]
            Wizard.execute(
                session, {'start': start, 'ask': {'values': rows}}, 'add')
            Wizard.delete(session)
        forget()
        added = Condition.search([
                ('convention', '=', self.open.id),
                ('library', '!=', None)])
        self.assertEqual({c.library for c in added}, set(libraries))
        self.assertEqual({c.side for c in added}, {'partner'})
        self.assertTrue(any("Réserver 120 places" in c.text for c in added))

    def test_missing_parameter(self):
        Condition = Pool().get('grant.condition')
        Parameter = Pool().get('grant.library.condition.parameter')
        library = entry('TAR-SOLIDAIRE')
        self.road.write('marc', Parameter(library.parameters[0].id),
            default=None)
        forget()
        with self.refused(
                CompletenessError, 'condition_parameters', "Places"):
            Condition.add_from_library(
                self.open, [entry('TAR-SOLIDAIRE')], {}, 'department')

    def test_library_not_written(self):
        "Where a text comes from is for the module to say"
        road = self.road
        condition = self.open.conditions[0]
        for name, value in [
                ('library', entry('COM-LOGO').id), ('library_version', 3),
                ('prolongations', 2), ('original_due_date', road.today),
                ('submitted_by', road.users['paul'].id)]:
            with self.subTest(field=name), self.forbidden():
                road.write('claire', condition, **{name: value})

    def test_due_events(self):
        "Dates follow their events; a date typed is fixed"
        road = self.road
        Condition = Pool().get('grant.condition')
        start, end = self.open.start_date, self.open.end_date
        season = dt.date(start.year + (start.month > 8), 8, 31)
        for event, delay, due in [
                ('start', -10, start - days(10)),
                ('end', 15, end + days(15)),
                ('year_end', 31, dt.date(end.year, 12, 31) + days(31)),
                ('season_end', 0, season),
                ('notification', 60, None)]:
            with self.subTest(event=event):
                with road.as_user('claire'):
                    condition, = Condition.create([{
                                'convention': self.open.id, 'kind': 'other',
                                'text': event, 'due_event': event,
                                'due_delay': delay}])
                self.assertEqual(Condition(condition.id).due_date, due)
        road.write(
            'claire', self.open, end_date=end + days(40))
        forget()
        moved, = Condition.search([
                ('convention', '=', self.open.id), ('text', '=', 'end')])
        self.assertEqual(moved.due_date, end + days(55))
        moved = Condition(moved.id)
        moved.due_date = road.today
        moved.on_change_due_date()
        self.assertEqual(moved.due_event, 'date')
        self.assertEqual(moved.due_date, road.today)

    def test_still_negotiated(self):
        "Nothing is proved nor missed before the text is agreed"
        road = self.road
        with road.as_user('claire'):
            condition, = Pool().get('grant.condition').create([{
                        'convention': self.open.id, 'kind': 'other',
                        'text': "En discussion", 'evidence_note': "Vu",
                        'verdict_reason': "Non"}])
        for button in ['submit', 'fail']:
            with self.subTest(button=button), self.refused(
                    TransitionError, 'condition_negotiated',
                    condition.rec_name, self.open.number):
                road.press('claire', condition, button)

    def test_year_before(self):
        "An undertaking of a year never falls due before the work starts"
        Condition = Pool().get('grant.condition')
        self.road.write(
            'claire', self.open,
            start_date=dt.date(self.road.year + 1, 2, 1),
            end_date=dt.date(self.road.year + 1, 5, 1))
        condition, = Condition.add_from_library(
            self.road.fresh(self.open), [entry('TAR-SOLIDAIRE')], {},
            'department')
        self.assertEqual(condition.year, self.road.year)
        self.assertEqual(
            Condition(condition.id).due_date,
            dt.date(self.road.year + 1, 12, 31) + days(31))

    def test_year(self):
        "What falls due each year holds back the instalments of that year"
        road = self.road
        Condition = Pool().get('grant.condition')
        Tranche = Pool().get('grant.tranche')
        with road.system():
            Tranche.set_amounts(
                self.open, {self.open.year + 1: Decimal(4000)})
        forget()
        conditions = Condition.add_from_library(
            road.fresh(self.open), [entry('TAR-SOLIDAIRE')], {},
            'department')
        self.assertEqual(
            [c.year for c in conditions],
            [self.open.year, self.open.year + 1])
        for condition in conditions:
            self.assertEqual(
                condition.due_date,
                dt.date(condition.year, 12, 31) + days(31))
            self.assertEqual(
                [i.tranche.year for i in condition.blocks],
                [condition.year])
        year = self.open.year

        def blocked_years(**values):
            road.write('claire', conditions[0], year=None, **values)
            return [i.tranche.year
                for i in Condition(conditions[0].id).blocks]

        self.assertEqual(
            blocked_years(due_event='date', due_date=dt.date(year + 1, 1, 31)),
            [year, year + 1])
        # A proof of the second year does not stop the balance of the first.
        self.assertEqual(
            blocked_years(due_date=dt.date(year + 1, 12, 31)), [year + 1])
        # One that comes after the end stops the last balance.
        self.assertEqual(
            blocked_years(due_date=dt.date(year + 4, 1, 1)), [year + 1])
        self.assertEqual(
            blocked_years(due_date=None), [year, year + 1])


class LifeTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        road = cls.road
        with road.system():
            scheme = road.create_scheme(code='LIFE', conditions=[('create', [
                            {'library': entry('ECO-CINQ').id},
                            {'kind': 'tariff', 'text': "Un tarif réduit"},
                            {'kind': 'other', 'text': "Tenir une comptabilité",
                                'verifier': 'finance'},
                            {'kind': 'communication', 'text': "Le logotype",
                                'due_event': 'notification', 'delay': 45},
                            ])])
        cls.convention = road.to_active(scheme=scheme.id, call=None)
        cls.dossier = Dossier(
            convention=cls.convention, party=cls.convention.party,
            **{c.kind: c for c in cls.convention.conditions})

    def submit(self, condition):
        self.road.write('claire', condition, evidence_note="Reçu")
        self.road.press('claire', condition, 'submit')
        return condition.__class__(condition.id)

    def test_notification(self):
        "A date that waits for the notification is set by it, frozen text"
        condition = self.dossier.communication
        self.assertEqual(
            condition.due_date, self.convention.notified_on + days(45))

    def test_verifier(self):
        "Only who verifies says whether it is met"
        road = self.road
        condition = self.submit(self.dossier.other)
        self.assertEqual(condition.submitted_by, road.users['claire'])
        self.assertEqual(condition.whose_turn, 'finance')
        with road.system():
            self.assertIn(condition, condition.__class__.search(
                    [('whose_turn', '=', 'finance')]))
        for login in ['claire', 'marc']:
            with self.refused(
                    DutyError, 'condition_verifier', condition.rec_name):
                road.press(login, condition, 'meet')
        road.write('claire', condition, verdict_reason="Rien")
        for login in ['claire', 'marc', 'sophie']:
            with self.refused(DutyError, 'condition_verifier'):
                road.press(login, condition, 'fail')
        road.press('paul', condition, 'meet')
        self.assertState(condition, 'met')
        self.assertEqual(
            condition.__class__(condition.id).verified_by,
            road.users['paul'])
        condition = self.submit(self.dossier.eco)
        with self.refused(DutyError, 'condition_verifier'):
            road.press('paul', condition, 'meet')
        road.press('marc', condition, 'meet')

    def label(self, code='15-ENG', start=-30, end=400, login='olivier',
            **values):
        pool = Pool()
        Equivalence = pool.get('grant.equivalence')
        Held = pool.get('grant.partner.equivalence')
        label, = Equivalence.search([('code', '=', code)])
        with self.road.as_user(login):
            held, = Held.create([{
                        'party': self.dossier.party.id,
                        'equivalence': label.id,
                        'valid_from': self.road.today + days(start),
                        'valid_until': self.road.today + days(end),
                        'evidence': b'charte', 'evidence_name': 'charte.pdf',
                        } | values])
        return Held(held.id)

    def accept(self, condition=None, login='claire'):
        self.road.press(
            login, condition or self.dossier.eco, 'accept_equivalence')

    def test_equivalence(self):
        "A verified label meets the undertaking; the journal says which"
        road = self.road
        held = self.label()
        self.assertIsNone(self.dossier.eco.covered_by)
        with self.refused(
                CompletenessError, 'condition_equivalence_unverified'):
            self.accept()
        road.press('claire', held, 'verify')
        forget()
        self.assertEqual(self.dossier.eco.covered_by, held)
        self.assertIsNone(self.dossier.tariff.covered_by)
        self.accept()
        condition = self.dossier.eco
        self.assertEqual(condition.state, 'met')
        self.assertEqual(condition.equivalence, held)
        self.assertEqual(condition.verified_by, road.users['claire'])
        event, = Pool().get('grant.event').search([
                ('record', '=', str(condition)),
                ('name', '=', 'accept_equivalence')])
        self.assertIn("15 engagements", event.after)
        self.assertIn("Claire", event.reason)
        road.press('claire', condition, 'reopen')
        self.assertIsNone(self.dossier.eco.equivalence)

    def test_equivalence_refused(self):
        "None, of another kind, expired at the due date, or of no entry"
        road = self.road
        with self.refused(
                CompletenessError, 'condition_equivalence_none'):
            self.accept()
        due = (self.dossier.eco.due_date - road.today).days
        held = self.label(end=due - 1)
        road.press('marc', held, 'verify')
        with self.refused(
                CompletenessError, 'condition_equivalence_expired'):
            self.accept()
        self.assertIsNone(self.dossier.eco.covered_by)
        later = self.label(end=due)
        road.press('marc', later, 'verify')
        self.accept()
        with self.refused(CompletenessError, 'condition_equivalence_none'):
            self.accept(self.dossier.tariff)

    def test_equivalence_kept(self):
        "Who enters a label does not verify it; verified, it stays"
        road = self.road
        Held = Pool().get('grant.partner.equivalence')
        held = self.label(login='claire')
        with self.refused(DutyError, 'condition_equivalence_duty'):
            road.press('claire', held, 'verify')
        bare = self.label(evidence=None)
        with self.refused(
                CompletenessError, 'condition_equivalence_evidence'):
            road.press('claire', bare, 'verify')
        road.press('olivier', held, 'verify')
        for name, value in [
                ('valid_until', road.today + days(999)),
                ('verified_by', None), ('entered_by', None)]:
            with self.subTest(field=name), self.forbidden():
                road.write('claire', held, **{name: value})
        with self.refused(
                FrozenError, 'condition_equivalence_verified'):
            with road.as_user('claire'):
                Held.delete([Held(held.id)])
        with road.as_user('claire'):
            copy, = Held.copy([Held(held.id)])
        self.assertIsNone(Held(copy.id).verified_by)
        with self.assertRaises(UserError), road.as_user('claire'):
            Held.create([{
                        'party': self.dossier.party.id,
                        'equivalence': held.equivalence.id,
                        'valid_until': road.today,
                        'verified_by': road.users['marc'].id}])

    def test_equivalence_replaced(self):
        "Who replaces the evidence of a label has entered it"
        road = self.road
        held = self.label(login='olivier')
        road.write('claire', held, evidence=b'autre charte')
        forget()
        with self.refused(DutyError, 'condition_equivalence_duty'):
            road.press('claire', held, 'verify')
        road.press('olivier', held, 'verify')
        self.assertEqual(
            held.__class__(held.id).verified_by, road.users['olivier'])

    def prolong(self, condition, date, reason="Festival reporté",
            login='claire', model='grant.condition'):
        Wizard = Pool().get('grant.condition.prolong', type='wizard')
        with self.road.as_user(login), Transaction().set_context(
                active_model=model, active_id=condition.id,
                active_ids=[condition.id]):
            session, _, _ = Wizard.create()
            Wizard.execute(session, {}, 'start')
            Wizard.execute(session, {
                    'start': {'new_date': date, 'reason': reason}},
                'prolong')
            Wizard.delete(session)
        forget()

    def test_prolonged(self):
        "A later date, on a frozen convention, with its trace"
        road = self.road
        condition = self.dossier.eco
        first = condition.due_date
        for date in [first, first - days(1)]:
            with self.refused(
                    PeriodError, 'condition_prolong_earlier',
                    first.strftime('%d/%m/%Y')):
                self.prolong(condition, date)
        with self.refused(CompletenessError, 'condition_prolong_reason'):
            self.prolong(condition, first + days(10), reason=" ")
        self.prolong(condition, first + days(10))
        self.prolong(condition, first + days(30), reason="Encore")
        condition = self.dossier.eco
        self.assertEqual(condition.due_date, first + days(30))
        self.assertEqual(condition.original_due_date, first)
        self.assertEqual(condition.prolongations, 2)
        events = Pool().get('grant.event').search([
                ('record', '=', str(condition)), ('name', '=', 'prolong')])
        self.assertEqual(
            [(e.after, e.reason, e.user) for e in events], [
                ((first + days(30)).strftime('%d/%m/%Y'), "Encore",
                    road.users['claire']),
                ((first + days(10)).strftime('%d/%m/%Y'),
                    "Festival reporté", road.users['claire'])])
        for login in ['lea', 'paul', 'sophie', 'alice']:
            with self.subTest(user=login), self.forbidden():
                self.prolong(condition, first + days(60), login=login)

    def test_prolonged_when(self):
        "Neither while the text is open, nor once it is verified"
        road = self.road
        condition = self.submit(self.dossier.eco)
        self.prolong(condition, condition.due_date + days(1))
        road.press('claire', condition, 'meet')
        with self.assertRaises(UserError):
            self.prolong(condition, condition.due_date + days(9))
        convention = road.open_convention(
            road.review(road.create_application()))
        condition = convention.conditions[0]
        with self.assertRaises(UserError):
            self.prolong(condition, condition.due_date + days(9))

    def test_frozen(self):
        "No door of a frozen convention opens: RPC, copy, wizard, parent"
        road = self.road
        Condition = Pool().get('grant.condition')
        condition, convention = self.dossier.eco, self.convention
        for name, value in [
                ('due_date', road.today), ('due_event', 'start'),
                ('due_delay', 5), ('year', road.year),
                ('verifier', 'finance'), ('side', 'partner')]:
            for login in ['claire', 'marc']:
                with self.subTest(field=name, user=login), self.forbidden():
                    road.write(login, condition, **{name: value})
        with self.refused(FrozenError), road.as_user('claire'):
            Condition.copy([Condition(condition.id)])
        with self.refused(FrozenError), road.as_user('claire'):
            Condition.create([{
                        'convention': convention.id, 'kind': 'other',
                        'text': "De plus"}])
        with self.assertRaises(UserError), road.as_user('claire'):
            Condition.import_data(
                ['convention', 'kind', 'text'],
                [[convention.rec_name, 'other', "De plus"]])
        with self.refused(FrozenError, 'condition_convention_frozen'):
            Condition.add_from_library(
                convention, [entry('COM-LOGO')], {}, 'department')
        with self.assertRaises((AccessError, UserError)):
            road.press('claire', convention, 'add_conditions')

    def test_queries(self):
        "Labels and buttons read the same for few and for many"
        road = self.road
        Condition = Pool().get('grant.condition')
        held = self.label()
        road.press('marc', held, 'verify')
        convention = road.open_convention(
            road.review(road.create_application(party=self.dossier.party)))

        def accept(count):
            with road.system():
                conditions = Condition.create([{
                            'convention': convention.id, 'kind': 'eco',
                            'text': f"Action {i}", 'due_date': road.today,
                            'library': entry('ECO-CINQ').id,
                            } for i in range(count)])
            forget()
            with road.system(), count_queries() as queries:
                for condition in Condition.browse(conditions):
                    self.assertEqual(condition.covered_by, held)
            shown = queries.selects
            forget()
            with count_queries() as queries:
                road.press('claire', conditions, 'accept_equivalence')
            return shown, queries.selects

        accept(1)
        self.assertEqual(accept(2), accept(60))
