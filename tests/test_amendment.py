# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Conventions of several years, their amendments, the text on any date."
import datetime as dt
from decimal import Decimal

from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, FrozenError, PeriodError, TransitionError)
from trytond.pool import Pool
from trytond.pyson import PYSONDecoder
from trytond.transaction import Transaction

from .refusal import RefusalCase, attempt, forget


class YearsCase(RefusalCase):
    "A convention of three years with a theatre, in force."

    @classmethod
    def prepare(cls):
        road = cls.road
        today = road.today
        cls.years = [road.year, road.year + 1, road.year + 2]
        application = road.review(road.create_application(
                amount=Decimal(30000),
                end_date=dt.date(road.year + 2, 12, 31)))
        convention = road.open_convention(application)
        Tranche = Pool().get('grant.tranche')
        road.write('claire', convention, kind='multi_year')
        with road.as_user('claire'):
            Tranche.create([{
                        'convention': convention.id, 'year': year,
                        'amount': Decimal(30000)}
                    for year in cls.years[1:]])
        convention = road.agree(convention)
        deliberation = road.schedule(road.fresh(application))
        road.hold()
        road.vote(deliberation)
        road.make_executory(deliberation)
        convention = road.sign_and_notify(road.fresh(convention))
        road.number_commitments(convention)
        cls.convention_id = convention.id
        cls.today = today

    @property
    def convention(self):
        return Pool().get('grant.convention')(self.convention_id)

    def request_next_year(self):
        "Return the application of the second year, with its envelope."
        road = self.road
        road.press('claire', self.convention, 'request_tranche')
        application, = [
            a for a in self.convention.applications
            if a.year == self.years[1]]
        self.assertEqual(application.requested_amount, 30000)
        with road.system():
            envelope = road.create_envelope(
                Decimal(100000), code='933-N', year=self.years[1])
        road.write('claire', application, envelope=envelope.id)
        return road.fresh(application)

    def open_amendment(self, **values):
        road = self.road
        road.press('claire', self.convention, 'open_amendment')
        amendment = self.convention.amendments[0]
        road.write('claire', amendment, **{
                'reason': "La programmation change.",
                'title': "Programmation", **values})
        return road.fresh(amendment)

    def amount(self, year):
        tranche, = [t for t in self.convention.tranches if t.year == year]
        return tranche.amount

    def to_issued(self, amendment):
        "Agree on the amendment, vote it if need be and issue it."
        road = self.road
        road.press('claire', amendment, 'agree')
        amendment = road.fresh(amendment)
        if amendment.vote_required:
            deliberation = self.bring_to_vote(amendment)
            road.make_executory(deliberation)
        road.press('claire', amendment, 'issue')
        return road.fresh(amendment)

    def bring_to_vote(self, amendment, session=None):
        road = self.road
        with road.system():
            session = session or road.create_session()
        deliberation = road.create_deliberation(session)
        road.write(
            'claire', amendment, next_deliberation=deliberation.id)
        road.press('claire', amendment, 'schedule')
        road.hold(session)
        return road.vote(road.fresh(deliberation))

    def sign(self, amendment):
        road = self.road
        road.press('claire', amendment, 'sign_partner')
        road.press('marc', amendment, 'sign_department')
        return road.fresh(amendment)


class TrancheTestCase(YearsCase):
    "Tranches of later years commit and pay nothing before their vote"

    def test_first_year(self):
        convention = self.convention
        self.assertEqual(convention.amount, 90000)
        self.assertEqual(convention.voted_amount, 30000)
        self.assertEqual(
            [t.status for t in convention.tranches],
            ['voted', 'indicative', 'indicative'])
        self.assertEqual(
            sum(d.commitment.amount for d in convention.decisions), 30000)
        for instalment in convention.instalments:
            codes = {b.code for b in instalment.blockers}
            self.assertEqual(
                'not_voted' in codes,
                instalment.tranche.year != self.years[0])

    def test_next_year(self):
        "The next year is voted from its own application and notified"
        road = self.road
        application = road.review(
            self.request_next_year(), amount=Decimal(30000))
        with road.system():
            session = road.create_session()
        deliberation = road.create_deliberation(session)
        road.schedule(application, deliberation)
        road.hold(session)
        road.vote(road.fresh(deliberation))
        convention = self.convention
        tranche = convention.tranches[1]
        self.assertEqual(tranche.status, 'voted')
        self.assertEqual(convention.state, 'active')
        self.assertEqual(convention.voted_amount, 60000)
        self.assertTrue(convention.executory_on)
        with self.refused(CompletenessError, 'convention_not_executory'):
            road.press('claire', tranche, 'notify')
        road.make_executory(deliberation)
        road.press('claire', tranche, 'notify')
        tranche = road.fresh(tranche)
        self.assertEqual(tranche.notified_on, self.today)
        instalment = tranche.instalments[0]
        self.assertEqual(instalment.due_since, self.today)
        codes = {b.code for b in instalment.blockers}
        self.assertNotIn('not_voted', codes)
        self.assertNotIn('tranche_not_notified', codes)
        self.assertEqual(
            [v.cause for v in self.convention.text_versions],
            ['vote', 'notified'])


class AmendmentTestCase(YearsCase):
    "What an amendment changes, and when"

    def test_words(self):
        "A change of words is signed by delegation and takes effect"
        road = self.road
        Version = Pool().get('grant.convention.version')
        amendment = self.open_amendment(new_title="Scènes ouvertes")
        self.assertFalse(amendment.vote_reasons)
        self.assertIn('Scènes ouvertes', amendment.after)
        amendment = self.to_issued(amendment)
        self.assertFalse(amendment.vote_required)
        self.assertNotEqual(self.convention.title, "Scènes ouvertes")
        amendment = self.sign(amendment)
        self.assertEqual(amendment.state, 'effective')
        self.assertEqual(self.convention.title, "Scènes ouvertes")
        versions = Version.search([('convention', '=', self.convention_id)])
        self.assertEqual([v.number for v in versions], [2, 1])
        self.assertEqual(versions[0].cause, 'amendment')
        self.assertIn('Scènes ouvertes', versions[0].text)
        self.assertNotIn('Scènes ouvertes', versions[1].text)
        self.assertTrue(road.fresh(amendment).before)

    def test_voted_amount(self):
        "More for a voted year is voted, then tranche and schedule follow"
        road = self.road
        Line = Pool().get('grant.amendment.tranche')
        advance = self.convention.instalments[0]
        road.to_paid(advance)
        amendment = self.open_amendment()
        with road.as_user('claire'):
            Line.create([{
                        'amendment': amendment.id, 'year': self.years[0],
                        'amount': Decimal('35000.01')}])
        amendment = self.to_issued(amendment)
        decision, = amendment.decisions
        self.assertEqual(decision.kind, 'complement')
        self.assertEqual(decision.amount, Decimal('5000.01'))
        self.assertEqual(decision.commitment.state, 'committed')
        self.assertEqual(self.amount(self.years[0]), 30000)
        self.assertEqual(
            self.convention.applications[0].granted_amount,
            Decimal('35000.01'))
        self.sign(amendment)
        self.assertEqual(self.amount(self.years[0]), Decimal('35000.01'))
        amounts = [
            i.amount for i in self.convention.tranches[0].instalments]
        self.assertEqual(amounts, [Decimal(15000), Decimal('20000.01')])

    def test_less(self):
        "Less for a voted year gives back what was committed"
        road = self.road
        Line = Pool().get('grant.amendment.tranche')
        envelope = road.fresh(road.envelope)
        before = envelope.available
        amendment = self.open_amendment()
        with road.as_user('claire'):
            Line.create([{
                        'amendment': amendment.id, 'year': self.years[0],
                        'amount': Decimal(20000)}])
        amendment = self.to_issued(amendment)
        self.assertEqual(road.fresh(road.envelope).available, before)
        self.sign(amendment)
        self.assertEqual(self.amount(self.years[0]), 20000)
        self.assertEqual(
            road.fresh(road.envelope).available, before + 10000)
        self.assertEqual(
            self.convention.applications[0].granted_amount, 20000)

    def test_schedule(self):
        "A new schedule replaces what is planned, to the cent"
        road = self.road
        Line = Pool().get('grant.amendment.instalment')
        amendment = self.open_amendment()
        with road.as_user('claire'):
            Line.create([{
                        'amendment': amendment.id, 'year': self.years[1],
                        'kind': kind, 'amount': Decimal(amount)}
                    for kind, amount in [
                        ('advance', '10000'), ('interim', '10000'),
                        ('balance', '9999')]])
        with self.refused(CompletenessError, 'amendment_not_agreed'):
            road.press('claire', amendment, 'agree')
        with road.as_user('claire'):
            line = road.fresh(amendment).instalments[-1]
            Line.write([line], {'amount': Decimal('10000')})
        amendment = self.sign(self.to_issued(amendment))
        instalments = self.convention.tranches[1].instalments
        self.assertEqual(
            [(i.kind, i.amount) for i in instalments],
            [('advance', 10000), ('interim', 10000), ('balance', 10000)])
        held = {
            i.kind for c in self.convention.conditions for i in c.blocks}
        self.assertEqual(held, {'balance'})

    def test_parts(self):
        "Objectives and undertakings are added, changed and taken out"
        pool = Pool()
        road = self.road
        Condition = pool.get('grant.condition')
        Objective = pool.get('grant.objective')
        objective, = self.convention.objectives
        eco, tariff = self.convention.conditions
        amendment = self.open_amendment()
        with road.system():
            Objective.take_up([objective], amendment, 'change')
            Condition.take_up([tariff], amendment, 'remove')
        with road.as_user('claire'):
            proposal, = road.fresh(amendment).objectives
            indicator, = proposal.indicators
            indicator.__class__.write([indicator], {'target': Decimal(400)})
            Condition.create([{
                        'convention': self.convention_id,
                        'amendment': amendment.id,
                        'kind': 'equality', 'text': "Parité au plateau"}])
            pool.get('grant.tariff.clause').create([{
                        'convention': self.convention_id,
                        'amendment': amendment.id,
                        'code': 'INFO_TARIF'}])
        self.assertEqual(len(self.convention.objectives), 1)
        self.assertEqual(len(self.convention.conditions), 2)
        with self.refused(CompletenessError, 'amendment_not_agreed'):
            road.press('claire', amendment, 'agree')
        for side in ['partner', 'department']:
            road.press('claire', proposal, f'agree_{side}')
        amendment = road.fresh(amendment)
        self.assertIn('<u>', amendment.after)
        expected = amendment.get_content_after()
        amendment = self.sign(self.to_issued(amendment))
        objective = road.fresh(objective)
        self.assertEqual(objective.indicators[0].target, 400)
        self.assertTrue(objective.agreed)
        self.assertEqual(
            {c.kind for c in self.convention.conditions},
            {'eco', 'equality'})
        clause, = self.convention.tariff_clauses
        self.assertEqual(clause.effective_from, amendment.effective_from)
        self.assertFalse(road.fresh(tariff).active)
        self.assertFalse(road.fresh(tariff).blocks)
        content = self.convention.get_content()
        for part in expected:
            self.assertEqual(
                sorted((str(e['values']) for e in content[part])
                    if part not in {'objectives'} else []),
                sorted((str(e['values']) for e in expected[part])
                    if part not in {'objectives'} else []), part)

    def take_up_objective(self, **values):
        "Return the amendment, the proposal and the objective that it changes."
        road = self.road
        objective, = self.convention.objectives
        amendment = self.open_amendment(**values)
        with road.system():
            proposal, = objective.__class__.take_up(
                [objective], amendment, 'change')
        return amendment, road.fresh(proposal), objective

    def test_touched_proposal(self):
        "A later touch by one side undoes the agreement on a proposal too"
        road = self.road
        pool = Pool()
        Indicator = pool.get('grant.indicator')
        Target = pool.get('grant.indicator.target')
        amendment, proposal, objective = self.take_up_objective()
        indicator, = proposal.indicators
        with road.as_user('claire'):
            other, = Indicator.create([{
                        'objective': proposal.id, 'name': "Ateliers",
                        'unit': "séances", 'target': Decimal(5)}])
            target, = Target.create([{
                        'indicator': indicator.id, 'year': self.years[0],
                        'value': Decimal(5)}])

        def title():
            road.write('claire', proposal, side='partner', title="Autre")

        def change():
            road.write('claire', indicator, target=Decimal(400))

        def add():
            Indicator.create([{
                        'objective': proposal.id, 'name': "X", 'unit': "x",
                        'target': Decimal(1)}])

        def drop():
            Indicator.delete([Indicator(other.id)])

        def drop_target():
            Target.delete([Target(target.id)])

        for touch in [title, change, add, drop, drop_target]:
            with self.subTest(touch=touch.__name__), attempt():
                for side in ['partner', 'department']:
                    road.press('claire', proposal, f'agree_{side}')
                forget()
                self.assertTrue(road.fresh(proposal).agreed)
                with road.as_user('claire'):
                    touch()
                forget()
                self.assertFalse(road.fresh(proposal).agreed)
                with self.refused(
                        CompletenessError, 'amendment_not_agreed'):
                    road.press('claire', amendment, 'agree')
                self.assertTrue(road.fresh(objective).agreed)

    def test_proposal_not_measured(self):
        "Indicators of a proposal are neither measured nor listed"
        pool = Pool()
        road = self.road
        Indicator = pool.get('grant.indicator')
        _, proposal, objective = self.take_up_objective()
        indicator, = proposal.indicators
        with self.refused(FrozenError, 'amendment_not_in_force'), \
                road.as_user('claire'):
            pool.get('grant.measure').create([{
                        'indicator': indicator.id, 'date': self.today,
                        'value': Decimal(1)}])
        Action = pool.get('ir.action.act_window')
        ModelData = pool.get('ir.model.data')
        for name in ['act_indicator_form', 'act_indicator_convention']:
            action = Action(ModelData.get_id('pacte_grants', name))
            domain = PYSONDecoder({'active_ids': [self.convention_id]}).decode(
                action.pyson_domain)
            self.assertEqual(
                Indicator.search([
                        domain,
                        ('objective.convention', '=', self.convention_id)]),
                list(road.fresh(objective).indicators), name)

    def test_prolonged_targets(self):
        "The targets of a proposal follow the new end of the convention"
        road = self.road
        last = self.years[-1]
        amendment, proposal, objective = self.take_up_objective(
            new_end_date=dt.date(last + 1, 12, 31))
        indicator, = proposal.indicators
        road.write(
            'claire', indicator, target=Decimal(400), targets=[
                ('create', [
                        {'year': last, 'value': Decimal(350)},
                        {'year': last + 1, 'value': Decimal(400)}])])
        for year, name in [(last + 2, str(last + 2)), (last, "350")]:
            with self.subTest(year=year), attempt():
                if year > last:
                    road.write(
                        'claire', indicator, targets=[
                            ('create', [{'year': year, 'value': 1}])])
                else:
                    # Without the new end, the last year is the former one.
                    road.write('claire', amendment, new_end_date=None)
                for side in ['partner', 'department']:
                    road.press('claire', proposal, f'agree_{side}')
                with self.refused(
                        CompletenessError, 'amendment_not_agreed', name):
                    road.press('claire', amendment, 'agree')
        for side in ['partner', 'department']:
            road.press('claire', proposal, f'agree_{side}')
        self.sign(self.to_issued(road.fresh(amendment)))
        forget()
        indicator, = road.fresh(objective).indicators
        self.assertEqual(
            [(t.year, t.value) for t in indicator.targets],
            [(last, 350), (last + 1, 400)])
        self.assertEqual(indicator.target_for(last), 350)

    def test_shares_of_proposals(self):
        "The reductions of the amended text do not exceed the balance"
        road = self.road
        amendment, proposal, _ = self.take_up_objective()
        indicator, = proposal.indicators
        road.write(
            'claire', indicator, result_clause='reduction',
            result_share=Decimal('0.6'))
        with road.as_user('claire'):
            Pool().get('grant.indicator').create([{
                        'objective': proposal.id, 'name': "X", 'unit': "x",
                        'target': Decimal(1), 'result_clause': 'reduction',
                        'result_share': Decimal('0.6')}])
        for side in ['partner', 'department']:
            road.press('claire', proposal, f'agree_{side}')
        with self.refused(
                CompletenessError, 'amendment_not_agreed', "120"):
            road.press('claire', amendment, 'agree')

    def test_dates(self):
        "The convention is read as it stood on each date"
        road = self.road
        Version = Pool().get('grant.convention.version')
        amendment = self.open_amendment(new_title="Scènes ouvertes")
        self.sign(self.to_issued(amendment))
        first = road.fresh(self.convention.text_versions[-1])
        table = Version.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.effective_from],
                [self.today - dt.timedelta(days=30)],
                where=table.id == first.id))
        forget()
        convention = self.convention
        self.assertEqual(
            convention.version_on(self.today).number, 2)
        self.assertEqual(
            convention.version_on(
                self.today - dt.timedelta(days=1)).number, 1)
        with self.refused(PeriodError, 'version_none'):
            convention.version_on(self.today - dt.timedelta(days=31))

    def test_joined_application(self):
        "An application of the same year enters the convention"
        road = self.road
        application = road.review(road.create_application(
                party=self.convention.party, amount=Decimal(4000)))
        road.press('claire', application, 'join_convention')
        amendment = self.convention.amendments[0]
        with self.forbidden():
            road.press('sophie', application, 'leave_amendment')
        with self.refused(TransitionError):
            road.press('claire', application, 'open_convention')
        with road.system():
            session = road.create_session()
        deliberation = road.create_deliberation(session)
        with self.refused(CompletenessError, 'schedule_amendment'):
            road.schedule(road.fresh(application), deliberation)
        road.write(
            'claire', amendment, title="Résidence",
            reason="Une résidence de plus.")
        road.press('claire', amendment, 'agree')
        self.assertTrue(road.fresh(amendment).vote_required)
        with self.refused(CompletenessError, 'amendment_not_issued'):
            road.press('claire', amendment, 'issue')
        road.schedule(road.fresh(application), deliberation)
        road.hold(session)
        road.vote(road.fresh(deliberation))
        self.assertEqual(self.amount(self.years[0]), 30000)
        self.assertFalse(road.fresh(application).convention)
        road.press('claire', amendment, 'issue')
        road.press('claire', amendment, 'sign_partner')
        with self.refused(CompletenessError, 'amendment_not_executory'):
            road.press('marc', amendment, 'sign_department')
        road.make_executory(road.fresh(deliberation))
        road.press('marc', amendment, 'sign_department')
        self.assertEqual(self.amount(self.years[0]), 34000)
        self.assertEqual(
            road.fresh(application).convention, self.convention)
        self.assertTrue(self.convention.executory_on)

    def test_vote_differs(self):
        "A vote of another amount sends the text back to both parties"
        road = self.road
        Line = Pool().get('grant.amendment.tranche')
        amendment = self.open_amendment()
        with road.as_user('claire'):
            line, = Line.create([{
                        'amendment': amendment.id, 'year': self.years[0],
                        'amount': Decimal(36000)}])
        road.press('claire', amendment, 'agree')
        with road.system():
            session = road.create_session()
        deliberation = road.create_deliberation(session)
        road.write('claire', amendment, next_deliberation=deliberation.id)
        road.press('claire', amendment, 'schedule')
        with self.refused(FrozenError, 'amendment_scheduled'):
            road.press('claire', amendment, 'renegotiate')
        decision, = road.fresh(amendment).decisions
        road.hold(session)
        road.write('sophie', decision, amount=Decimal(5000))
        road.vote(road.fresh(deliberation))
        road.make_executory(road.fresh(deliberation))
        with self.refused(CompletenessError, 'amendment_vote_gap'):
            road.press('claire', amendment, 'issue')
        road.press('claire', amendment, 'renegotiate')
        road.write('claire', line, amount=Decimal(35000))
        amendment = road.fresh(amendment)
        road.press('claire', amendment, 'agree')
        road.press('claire', amendment, 'issue')
        self.sign(road.fresh(amendment))
        self.assertEqual(self.amount(self.years[0]), 35000)

    def test_vote_undone(self):
        road = self.road
        Line = Pool().get('grant.amendment.tranche')
        before = road.fresh(road.envelope).available
        amendment = self.open_amendment()
        with road.as_user('claire'):
            Line.create([{
                        'amendment': amendment.id, 'year': self.years[0],
                        'amount': Decimal(36000)}])
        road.press('claire', amendment, 'agree')
        deliberation = self.bring_to_vote(road.fresh(amendment))
        self.assertEqual(
            road.fresh(road.envelope).available, before - 6000)
        road.press('sophie', deliberation, 'unvote')
        decision, = road.fresh(amendment).decisions
        self.assertFalse(decision.outcome)
        self.assertEqual(decision.commitment.state, 'reserved')
        road.press('claire', amendment, 'unschedule')
        self.assertEqual(road.fresh(road.envelope).available, before)
        road.press('claire', amendment, 'renegotiate')
        self.assertEqual(road.fresh(amendment).state, 'draft')

    def test_holder(self):
        "The rights go to another holder by a vote"
        road = self.road
        successor = road.create_party()
        former = self.convention.party
        amendment = self.open_amendment(new_party=successor.id)
        amendment = self.to_issued(amendment)
        decision, = amendment.decisions
        self.assertEqual(decision.kind, 'amendment')
        self.assertFalse(decision.commitment)
        self.sign(amendment)
        self.assertEqual(self.convention.party, successor)
        first, second = self.convention.text_versions[::-1]
        self.assertIn(former.rec_name, first.text)
        self.assertIn(successor.rec_name, second.text)

    def test_one_at_a_time(self):
        road = self.road
        amendment = self.open_amendment()
        road.press('claire', self.convention, 'open_amendment')
        self.assertEqual(len(self.convention.amendments), 1)
        Amendment = amendment.__class__
        with self.refused(TransitionError, 'amendment_under_way'), \
                road.as_user('claire'):
            Amendment.create([{
                        'convention': self.convention_id, 'title': "Autre"}])
        with self.refused(CompletenessError, 'amendment_reason_ending'):
            road.press('claire', amendment, 'cancel')
        road.write('claire', amendment, reason_ending="Plus utile.")
        road.press('claire', amendment, 'cancel')
        other = self.open_amendment()
        with self.refused(TransitionError, 'amendment_under_way'):
            road.press('claire', amendment, 'reopen')
        self.assertEqual(other.number, 2)

    def test_doors(self):
        "A proposal acts on nothing, and nothing gets round the amendment"
        pool = Pool()
        road = self.road
        Condition = pool.get('grant.condition')
        Instalment = pool.get('grant.instalment')
        Objective = pool.get('grant.objective')
        amendment = self.open_amendment()
        eco = self.convention.conditions[0]
        with road.as_user('claire'):
            proposal, = Condition.create([{
                        'convention': self.convention_id,
                        'amendment': amendment.id,
                        'kind': 'other', 'text': "Proposé",
                        'block_kinds': ['advance', 'balance']}])
        self.assertFalse(proposal.active)
        self.assertFalse(proposal.blocks)
        self.assertNotIn(proposal, Condition.search([]))
        self.assertEqual(self.convention.conditions_pending, 2)
        road.write('claire', proposal, evidence_note="Vu")
        with self.refused(TransitionError, 'amendment_not_in_force'):
            road.press('claire', proposal, 'submit')
        with self.refused(FrozenError):
            road.write('claire', proposal, amendment=None)
        with self.refused(FrozenError):
            road.write('claire', proposal, active=True)
        with self.refused(FrozenError):
            road.write('claire', eco, amendment=amendment.id)
        with self.refused(FrozenError):
            road.write('claire', eco, active=False)
        with self.refused(FrozenError), road.as_user('claire'):
            Condition.create([{
                        'convention': self.convention_id, 'active': True,
                        'kind': 'other', 'text': "Ajouté"}])
        with self.refused(FrozenError), road.as_user('claire'):
            Objective.create([{
                        'convention': self.convention_id, 'title': "Ajouté"}])
        with self.refused(FrozenError), road.as_user('claire'):
            Instalment.write(
                [self.convention.instalments[-1]], {'amount': Decimal(1)})
        road.press('claire', amendment, 'agree')
        with self.refused(FrozenError):
            road.write('claire', proposal, text="Changé")
        with self.refused(FrozenError), road.as_user('claire'):
            Condition.delete([proposal])
        with self.refused(FrozenError):
            road.write('claire', amendment, new_title="Autre")
        with self.refused(FrozenError):
            road.write('claire', amendment, state='effective')

    def test_ended(self):
        "A convention does not end under an amendment"
        road = self.road
        self.open_amendment()
        road.write('marc', self.convention, ending_reason="Fin")
        with self.refused(FrozenError, 'convention_end_amendment'):
            road.press('claire', self.convention, 'renounce')


class ThresholdTestCase(RefusalCase):
    "The yearly total of a private body asks for a convention (L03)"

    def test_letters_wait(self):
        "Later payments wait until the convention of the whole is in force"
        road = self.road
        party = road.create_party()
        letter = road.prepare_letter(party, Decimal(15000))
        road.press('marc', letter, 'schedule')
        application, convention = road.to_agreed(
            party=party, amount=Decimal(10000))
        deliberation = road.fresh(letter).next_deliberation
        road.schedule(application, road.fresh(deliberation))
        road.hold()
        road.vote(road.fresh(deliberation))
        instalment = road.fresh(letter).convention.instalments[0]

        def codes():
            return {b.code for b in road.fresh(instalment).blockers}
        self.assertIn('convention_due', codes())
        road.make_executory(road.fresh(deliberation))
        road.sign_and_notify(road.fresh(convention))
        self.assertNotIn('convention_due', codes())

    def test_joint_convention(self):
        "Several applications of a partner in one convention"
        road = self.road
        party = road.create_party()
        applications = [
            road.review(road.create_application(
                    party=party, amount=Decimal(amount)))
            for amount in [9000, 16000]]
        other = road.review(road.create_application(amount=Decimal(1000)))
        with self.refused(Exception, 'convention_open_partners'):
            road.press(
                'claire', [*applications, other], 'open_joint_convention')
        road.press('claire', applications, 'open_joint_convention')
        convention = road.fresh(applications[0]).convention
        self.assertEqual(road.fresh(applications[1]).convention, convention)
        self.assertEqual(convention.form, 'convention')
        self.assertEqual(convention.amount, 25000)
        convention = road.agree(convention)
        deliberation = road.create_deliberation()
        for application in applications:
            road.schedule(road.fresh(application), deliberation)
        road.hold()
        road.vote(road.fresh(deliberation))
        self.assertEqual(road.fresh(convention).voted_amount, 25000)


class CorrectionTestCase(YearsCase):
    "Material errors are corrected without amendment, and journalled"

    def test_correct(self):
        pool = Pool()
        road = self.road
        Convention = pool.get('grant.convention')
        Event = pool.get('grant.event')
        with self.refused(FrozenError):
            road.write('claire', self.convention, title="Corrigé")
        with road.as_user('claire'):
            Convention.correct(
                self.convention, {'title': "Corrigé"}, "Faute de frappe")
        self.assertEqual(self.convention.title, "Corrigé")
        event, = Event.search([
                ('record', '=', str(self.convention)),
                ('name', '=', 'title')])
        self.assertEqual(event.reason, "Faute de frappe")
        self.assertEqual(self.convention.text_versions[0].cause, 'correction')

    def test_not_everything(self):
        Convention = Pool().get('grant.convention')
        with self.refused(FrozenError, 'convention_correct_field'):
            Convention.correct(
                self.convention, {'end_date': self.today}, "Erreur")
        with self.refused(CompletenessError, 'convention_correct_reason'):
            Convention.correct(self.convention, {'title': "Corrigé"}, None)
