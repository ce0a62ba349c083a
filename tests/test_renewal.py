# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Renewal: prepared with the results in view, never tacit for money."
import datetime as dt
from decimal import Decimal

from dateutil.relativedelta import relativedelta
from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, FrozenError, TransitionError)
from trytond.pool import Pool

from .refusal import Dossier, RefusalCase, forget, set_state
from .tools import count_selects


class RenewalTestCase(RefusalCase):
    "An active convention with a measure and an undertaking of its own"

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        with road.as_user('claire'):
            Pool().get('grant.condition').create([{
                        'convention': convention.id, 'kind': 'youth',
                        'text': "Recevoir deux classes par an",
                        'due_date': convention.end_date,
                        'block_kinds': ['balance']}])
        convention = road.agree(road.fresh(convention))
        deliberation = road.schedule(application)
        road.hold()
        road.vote(deliberation)
        road.make_executory(deliberation)
        convention = road.sign_and_notify(convention)
        objective, = convention.objectives
        with road.as_user('claire'):
            Pool().get('grant.measure').create([{
                        'indicator': objective.indicators[0].id,
                        'date': road.today, 'value': Decimal(250)}])
        cls.dossier = Dossier.of(road.fresh(convention))

    def renew(self, login='claire', convention=None):
        convention = convention or self.dossier.convention
        with self.road.as_user(login):
            Convention = convention.__class__
            action = Convention.prepare_renewal([Convention(convention.id)])
        forget()
        return Pool().get('grant.application').browse(action['res_id'])

    def fresh(self, record):
        forget()
        return record.__class__(record.id)

    def ask(self, application, amount=Decimal(12000)):
        "The partner asks; the budget follows."
        road = self.road
        with road.system():
            envelope = road.create_envelope(Decimal(50000), code='934')
        cost = amount * 2
        amounts = {'60': cost, '70': cost - amount, '74-DEPT': amount}
        with road.as_user('claire'):
            Line = Pool().get('grant.application.budget_line')
            for line in Line.search([('application', '=', application.id)]):
                Line.write([line], {'amount': amounts[line.heading.code]})
        road.write(
            'claire', application, requested_amount=amount,
            total_cost=cost, eligible_cost=cost, envelope=envelope.id)
        return self.fresh(application)

    def open_next(self):
        "Return next year's convention, opened from the renewal."
        application, = self.renew()
        application = self.road.review(self.ask(application))
        return self.fresh(self.road.open_convention(application))

    def test_prepared(self):
        "Copied a year later, in draft, asking for nothing"
        last, convention = self.dossier.application, self.dossier.convention
        application, = self.renew()
        self.assertEqual(application.state, 'draft')
        self.assertEqual(application.renews, convention)
        self.assertEqual(application.year, last.year + 1)
        year = relativedelta(years=1)
        self.assertEqual(
            (application.start_date, application.end_date),
            (last.start_date + year, last.end_date + year))
        self.assertEqual(
            (application.party, application.scheme, application.title),
            (last.party, last.scheme, last.title))
        self.assertEqual(
            len(application.budget_lines), len(last.budget_lines))
        self.assertEqual(application.requested_amount, 0)
        self.assertIsNone(application.proposed_amount)
        self.assertIsNone(application.convention)
        self.assertIsNone(application.envelope)
        self.assertIsNone(application.call)
        self.assertFalse(application.pieces)
        self.assertFalse(application.decisions)
        self.assertTrue(application.number.startswith(f'D{last.year + 1}-'))

    def test_results_in_view(self):
        "What was voted, paid, attained, kept: beside the proposal"
        application, = self.renew()
        self.assertEqual(
            (application.former_requested_amount, application.former_amount,
                application.former_paid_amount),
            (Decimal(10000), Decimal(10000), Decimal(0)))
        # From 100 to 300, 250 measured
        self.assertEqual(application.former_attainment, 0.75)
        self.assertEqual(
            [i.last_value for i in application.former_indicators],
            [Decimal(250)])
        self.assertEqual(
            sorted(c.kind for c in application.former_conditions),
            ['eco', 'tariff', 'youth'])
        self.assertEqual(application.former_state, "En cours")
        self.assertIsNone(application.former_procedure)
        other = self.road.create_application()
        self.assertIsNone(other.former_amount)
        self.assertEqual(list(other.former_indicators), [])

    def test_idempotent(self):
        "A second press shows the first; one given up makes room"
        first, = self.renew()
        self.assertEqual(self.renew('marc'), [first])
        self.assertEqual(
            self.fresh(self.dossier.convention).renewals, (first,))
        set_state(first, 'withdrawn')
        second, = self.renew()
        self.assertNotEqual(first, second)

    def test_never_tacit(self):
        "Nothing is asked, voted, signed or committed by it"
        road = self.road
        Commitment = Pool().get('grant.commitment')
        with road.system():
            before = Commitment.search([], count=True)
        application, = self.renew()
        with self.refused(
                CompletenessError, 'renewal_request', application.rec_name,
                self.dossier.convention.rec_name):
            road.press('claire', application, 'submit')
        with self.refused(
                CompletenessError, 'renewal_request'), road.system():
            application.__class__.submit([application])
        self.assertState(application, 'draft')
        with road.system():
            self.assertEqual(Commitment.search([], count=True), before)
        self.assertState(self.dossier.convention, 'active')
        self.ask(application)
        road.press('claire', application, 'submit')
        self.assertState(application, 'submitted')

    def test_next_convention(self):
        """Objectives with the last measure as baseline, undertakings that
        the scheme does not bring; nothing agreed"""
        former = self.dossier.convention
        convention = self.open_next()
        self.assertEqual(convention.state, 'draft')
        objective, = convention.objectives
        self.assertEqual(objective.title, former.objectives[0].title)
        self.assertFalse(objective.agreed)
        self.assertIsNone(objective.partner_agreed_on)
        self.assertIsNone(objective.department_agreed_on)
        indicator, = objective.indicators
        self.assertEqual(
            (indicator.baseline, indicator.target, indicator.measures),
            (Decimal(250), Decimal(300), ()))
        self.assertEqual(
            sorted(c.kind for c in convention.conditions),
            ['eco', 'tariff', 'youth'])
        own, = [c for c in convention.conditions if c.kind == 'youth']
        self.assertEqual(own.state, 'pending')
        self.assertEqual(own.due_date, convention.end_date)
        self.assertEqual(
            [i.kind for i in own.blocks], ['balance'])
        self.assertEqual(own.blocks[0].convention, convention)
        self.assertEqual(
            former.objectives[0].indicators[0].baseline, Decimal(100))
        with self.refused(CompletenessError, 'convention_not_agreed'):
            self.road.press('claire', convention, 'negotiate')
            self.road.press('claire', convention, 'agree')

    def test_next_objectives(self):
        "Targets of the former years stay there, the origin goes along"
        pool = Pool()
        former = self.dossier.indicator
        library = pool.get('grant.library.objective').search(
            [('indicators', '!=', None)], limit=1)[0]
        set_state(self.dossier.convention, 'draft', frozen_on=None)
        with self.road.system():
            pool.get('grant.indicator.target').create([{
                        'indicator': former.id, 'year': self.road.year,
                        'value': former.target}])
            former.__class__.write(
                [former], {'library': library.indicators[0].id})
            self.dossier.objective.__class__.write(
                [self.dossier.objective], {'library': library.id})
        set_state(
            self.dossier.convention, 'active', frozen_on=self.road.today)
        forget()
        objective, = self.open_next().objectives
        self.assertEqual(objective.library, library)
        indicator, = objective.indicators
        self.assertEqual(indicator.library, library.indicators[0])
        self.assertFalse(indicator.targets)

    def test_former_attainment(self):
        "One formula: the mean of the objectives, not of all indicators"
        pool = Pool()
        convention = self.dossier.convention
        set_state(convention, 'draft', frozen_on=None)
        with self.road.system():
            pool.get('grant.objective').create([{
                        'convention': convention.id, 'title': "Autre",
                        'indicators': [('create', [
                                    {'name': name, 'unit': "u",
                                        'target': Decimal(10)}
                                    for name in "AB"])]}])
        set_state(convention, 'active', frozen_on=self.road.today)
        forget()
        with self.road.as_user('claire'):
            pool.get('grant.measure').create([{
                        'indicator': i.id, 'date': self.road.today,
                        'value': Decimal(1)}
                    for i in self.dossier.convention.objectives[1].indicators
                    ])
        application, = self.renew()
        forget()
        application = self.fresh(application)
        convention = self.dossier.convention
        self.assertEqual(convention.attainment, 0.425)
        self.assertEqual(
            application.former_attainment, convention.attainment)

    def test_later_change_of_the_former(self):
        "Copied: the former convention moves on, the next one does not"
        convention = self.open_next()
        former = self.dossier.objective
        with self.road.as_user('claire'):
            Pool().get('grant.measure').create([{
                        'indicator': former.indicators[0].id,
                        'date': self.road.today, 'value': Decimal(290)}])
        indicator = self.fresh(convention).objectives[0].indicators[0]
        self.assertEqual(indicator.baseline, Decimal(250))

    def test_refused(self):
        "Neither for a dead convention, nor while a procedure is under way"
        road, convention = self.road, self.dossier.convention
        Convention = convention.__class__
        for state in [
                'draft', 'negotiation', 'agreed', 'issued', 'signed',
                'terminated', 'lapsed', 'renounced', 'cancelled']:
            with self.subTest(state=state):
                with self.refused(
                        TransitionError, None, convention.rec_name), \
                        road.system():
                    set_state(convention, state)
                    Convention.prepare_renewal([Convention(convention.id)])
        for state in ['active', 'closing', 'closed']:
            set_state(convention, state)
            self.renew()
            set_state(convention, 'active')
        with road.as_user('claire'):
            Convention.open_procedure([Convention(convention.id)])
        forget()
        with self.refused(
                TransitionError, 'renewal_procedure', convention.rec_name):
            self.renew()
        application, = self.fresh(convention).renewals
        self.assertIn("Résiliation", application.former_procedure)

    def test_rights(self):
        road = self.road
        application, = self.renew()
        for login in ['lea', 'sophie', 'paul', 'alice', 'jean']:
            with self.forbidden():
                self.renew(login)
        for login in ['claire', 'marc']:
            with self.refused(FrozenError):
                road.write(login, application, renews=None)
        other = road.create_application()
        with self.refused(FrozenError):
            road.write(
                'claire', other, renews=self.dossier.convention.id)
        set_state(application, 'scheduled')
        Application = application.__class__
        with self.forbidden(), road.as_user('jean'):
            Application.read([application.id], ['former_procedure'])

    def test_copy_renews_nothing(self):
        application, = self.renew()
        with self.road.as_user('claire'):
            copy, = application.__class__.copy([application])
        self.assertIsNone(self.fresh(copy).renews)

    def test_leap_day(self):
        convention = self.dossier.convention
        set_state(
            self.dossier.application, 'granted', year=2028,
            start_date=dt.date(2028, 2, 29), end_date=dt.date(2028, 12, 31))
        application, = self.renew(convention=convention)
        self.assertEqual(application.year, 2029)
        self.assertEqual(application.start_date, dt.date(2029, 2, 28))

    def test_tab(self):
        "The tab of what is to be renewed"
        Convention = self.dossier.convention.__class__
        domain = [('renewals', '=', None), ('state', '=', 'active')]
        self.assertIn(
            self.dossier.convention, Convention.search(domain))
        self.renew()
        self.assertNotIn(
            self.dossier.convention, Convention.search(domain))

    def test_batch(self):
        "One that is refused stops all; without records nothing happens"
        road, convention = self.road, self.dossier.convention
        Convention = convention.__class__
        draft = road.open_convention(road.review(road.create_application()))
        with self.refused(TransitionError, None, draft.rec_name):
            with road.as_user('claire'):
                Convention.prepare_renewal(
                    Convention.browse([convention.id, draft.id]))
        self.assertFalse(self.fresh(convention).renewals)
        with road.system():
            self.assertEqual(
                Convention.prepare_renewal([])['res_id'], [])

    def test_queries(self):
        "As many queries for one as for many"
        road = self.road
        Application = Pool().get('grant.application')
        ids = [self.renew()[0].id]
        for _ in range(3):
            convention = road.open_convention(
                road.review(road.create_application()))
            road.add_objective(convention)
            set_state(convention, 'active')
            ids.append(self.renew(convention=convention)[0].id)

        def read(ids):
            with road.as_user('claire'):
                Application.read(ids, [
                        'former_state', 'former_amount',
                        'former_paid_amount', 'former_attainment',
                        'former_procedure', 'former_indicators',
                        'former_conditions'])
        self.assertEqual(
            count_selects(read, ids[:1]), count_selects(read, ids))
