# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"All that an envelope leaves goes on in the next exercise, and what does not."
import datetime as dt
from decimal import Decimal
from functools import partial
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants import envelope_carry_over
from trytond.modules.pacte_grants.exceptions import (
    CarryOverError, CeilingError, CompletenessError, DutyError, FrozenError,
    TransitionError)
from trytond.modules.pacte_grants.schedule import LIVE
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import RefusalCase, attempt, forget, set_state
from .rpc import at_once
from .tools import count_queries

PARTS = ['carried', 'accrued', 'held', 'to_release']


def open_next(road, amount=Decimal(0), **values):
    "Open the envelope of the next exercise, with the amount."
    envelope = road.envelope
    with road.system():
        next_, = envelope.__class__.create([{
                    'company': road.company.id,
                    'code': envelope.code, 'name': envelope.name,
                    'kind': envelope.kind, 'year': road.year + 1,
                    'movements': [('create', [{
                                    'kind': 'initial',
                                    'amount': amount,
                                    'payment_year': road.year + 1,
                                    'payment_credit': amount}])],
                    } | values])
    return next_


def simulate(road, login='paul', **values):
    "Return the simulation of the carry-over of the envelope of the road."
    with road.as_user(login):
        record, = Pool().get('grant.envelope.carry_over').create([{
                    'company': road.company.id,
                    'envelope': road.envelope.id,
                    'year': road.year + 1,
                    } | values])
    return road.fresh(record)


class CarryCase(RefusalCase):
    "Three conventions of 10 000 €, half as advance, half as balance"
    kind = 'annual'

    @classmethod
    def prepare(cls):
        road = cls.road
        with road.system():
            set_kind(road.envelope, cls.kind)
        conventions = road.activate_together([
                road.create_application(title=f"Projet {n}")
                for n in range(3)])
        cls.ids = [c.id for c in conventions]
        for convention in conventions:
            for condition in convention.conditions:
                set_state(
                    condition, 'met', submitted_on=road.today,
                    verified_on=road.today)

    @property
    def conventions(self):
        forget()
        return Pool().get('grant.convention').browse(self.ids)

    @property
    def envelope(self):
        forget()
        return self.road.fresh(self.road.envelope)

    def carry(self, login='paul', **values):
        record = simulate(self.road, **values)
        self.road.press(login, record, 'carry_over')
        forget()
        return self.road.fresh(record)

    def exercises(self, envelope):
        """Return what the form of the envelope says by exercise, which is
        what the rules count."""
        forget()
        envelope = self.road.fresh(envelope)
        with self.road.as_user('lea'):
            rows = {
                r.year: (r.credit, r.committed, r.approved, r.paid, r.left)
                for r in envelope.exercises}
        self.assertEqual({
                year: (credit, approved)
                for year, (credit, _, approved, *_) in rows.items()
                if credit or approved}, {
                year: credits
                for (_, year), credits in envelope.get_credits(
                    [envelope]).items() if any(credits)})
        self.assertEqual(
            sum(r[1] for r in rows.values()), envelope.committed)
        self.assertEqual(sum(r[3] for r in rows.values()), envelope.paid)
        return rows

    def expected(self):
        "Return what the summary says of what is planned, by envelope."
        forget()
        with self.road.as_user('paul'):
            return {
                s.envelope: (s.count, s.amount)
                for s in Pool().get('grant.instalment.summary').search([
                        ('status', '=', 'planned')])}

    def line(self, record, convention):
        line, = [
            li for li in self.road.fresh(record).lines
            if li.party == convention.party]
        return line

    def assertParts(self, record, **values):
        self.assertEqual(
            {n: getattr(record, n) for n in PARTS},
            {n: Decimal(values.get(n, 0)) for n in PARTS})
        self.assertEqual(
            record.left, sum(getattr(record, n) for n in PARTS))

    def date(self, instalment, date):
        return set_state(instalment, instalment.state, certified_on=date)


def set_kind(envelope, kind):
    table = envelope.__table__()
    Transaction().connection.cursor().execute(*table.update(
            [table.kind], [kind], where=table.id == envelope.id))
    forget()


class AnnualTestCase(CarryCase):

    def test_simulation(self):
        "The simulation says everything and changes nothing"
        road = self.road
        open_next(road)
        paid, certified, given_up = self.conventions
        road.to_paid(paid.instalments[0])
        road.press('claire', certified.instalments[0], 'certify')
        set_state(given_up.instalments[1], 'cancelled')
        before = [
            (e.authorised, e.payment_credit, e.committed)
            for e in Pool().get('grant.envelope').search([])]
        record = simulate(road)
        self.assertEqual(record.state, 'draft')
        self.assertEqual(record.target.year, road.year + 1)
        self.assertEqual(record.line_count, 3)
        self.assertParts(
            record, carried=15000, accrued=5000, to_release=5000)
        self.assertEqual((record.credit, record.credit_to_open), (15000, 0))
        self.assertIsNone(record.problems)
        self.assertParts(self.line(record, paid), carried=5000)
        line = self.line(record, certified)
        self.assertParts(line, carried=5000, accrued=5000)
        self.assertIn("à rattacher", line.reason)
        self.assertIn(certified.instalments[0].rec_name, line.reason)
        line = self.line(record, given_up)
        self.assertParts(line, carried=5000, to_release=5000)
        self.assertIn("à dégager", line.reason)
        self.assertEqual(before, [
                (e.authorised, e.payment_credit, e.committed)
                for e in Pool().get('grant.envelope').search([])])

    def test_carried(self):
        "Commitments, authorisation and credits follow, to the cent"
        road = self.road
        next_ = open_next(road)
        paid, certified, later = self.conventions
        road.to_paid(paid.instalments[0])
        road.press('claire', certified.instalments[0], 'certify')
        record = self.carry(reference="État des restes")
        self.assertEqual(
            (record.state, record.done_by.login), ('done', 'paul'))
        self.assertParts(record, carried=20000, accrued=5000)
        self.assertEqual(self.expected(), {next_: (4, 20000)})
        self.assertEqual(self.exercises(self.envelope), {
                road.year: (80000, 10000, 5000, 5000, 75000)})
        self.assertEqual(self.exercises(next_), {
                road.year + 1: (20000, 20000, 0, 0, 20000)})
        envelope, next_ = self.envelope, road.fresh(next_)
        self.assertEqual(
            (envelope.authorised, envelope.payment_credit,
                envelope.committed),
            (80000, 80000, 10000))
        self.assertEqual(
            (next_.authorised, next_.payment_credit, next_.committed),
            (20000, 20000, 20000))
        self.assertEqual(
            [(m.kind, m.date, m.amount, m.payment_credit, m.payment_year,
                    m.reference)
                for e in [envelope, next_] for m in e.movements
                if m.kind == 'carry_over'],
            [
                ('carry_over', dt.date(road.year, 12, 31), -20000, -20000,
                    road.year, "État des restes"),
                ('carry_over', dt.date(road.year + 1, 1, 1), 20000, 20000,
                    road.year + 1, "État des restes"),
                ])
        self.assertEqual(
            {c.finance_number for c in next_.commitments}, {'E-1'})
        # What stays is paid from the exercise, the rest from the next one
        road.press('paul', certified.instalments[0], 'approve')
        road.press('claire', later.instalments[0], 'certify')
        advance = road.fresh(later.instalments[0])
        self.assertEqual(
            (advance.envelope, advance.exercise), (next_, road.year + 1))
        self.assertEqual(
            road.fresh(certified.instalments[0]).envelope, envelope)

    def test_everything(self):
        "What was certified and approved goes too where nothing is accrued"
        road = self.road
        next_ = open_next(road)
        first, second, _ = self.conventions
        road.press(
            'claire', [first.instalments[0], second.instalments[0]],
            'certify')
        road.press('paul', first.instalments[0], 'approve')
        record = self.carry(leave_accrued=False)
        self.assertParts(record, carried=30000)
        advance = road.fresh(first.instalments[0])
        self.assertEqual(
            (advance.state, advance.envelope, advance.exercise),
            ('approved', next_, road.year + 1))
        self.assertEqual(road.fresh(next_).approved, 5000)
        self.assertEqual(self.envelope.committed, 0)
        Event = Pool().get('grant.event')
        self.assertEqual(Event.search([
                    ('name', '=', 'exercise')], count=True), 6)

    def test_twice(self):
        "The second time nothing is left; the simulation says so"
        road = self.road
        next_ = open_next(road)
        self.road.to_paid(self.conventions[0].instalments[0])
        record = self.carry()
        for login, button in [('paul', 'carry_over'), ('paul', 'simulate')]:
            with self.refused(TransitionError):
                road.press(login, record, button)
        again = simulate(road)
        self.assertEqual((again.line_count, again.carried), (0, 0))
        self.assertIn("Il ne reste rien", again.problems)
        with self.refused(CarryOverError, 'envelope_carry_nothing'):
            road.press('paul', again, 'carry_over')
        self.assertEqual(road.fresh(next_).authorised, 25000)
        # Neither does the selection of payments take them again
        Instalment = Pool().get('grant.instalment')
        balance = self.conventions[0].instalments[1].id
        with self.refused(CarryOverError, 'carry_over_year'):
            with road.as_user('paul'):
                Instalment.carry_to(
                    Instalment.browse([balance]), road.year + 1)

    def test_next_years(self):
        "What was carried over is carried over again, with its votes"
        road = self.road
        next_ = open_next(road)
        after = open_next(road, year=road.year + 2)
        self.carry()
        with road.as_user('paul'):
            record, = Pool().get('grant.envelope.carry_over').create([{
                        'company': road.company.id, 'envelope': next_.id,
                        'year': road.year + 2}])
        self.assertParts(road.fresh(record), carried=30000)
        road.press('paul', record, 'carry_over')
        self.assertEqual(
            [e.committed for e in [self.envelope, road.fresh(next_),
                    road.fresh(after)]],
            [0, 0, 30000])
        self.assertEqual(self.expected(), {after: (6, 30000)})
        advance = self.conventions[0].instalments[0]
        road.press('claire', advance, 'certify')
        self.assertEqual(road.fresh(advance).envelope, after)

    def test_refused(self):
        "No envelope, another kind, the same exercise: said, and refused"
        road = self.road
        record = simulate(road)
        self.assertIn("Aucune enveloppe de code", record.problems)
        self.assertParts(record, carried=30000)
        with self.refused(
                CarryOverError, 'envelope_carry_no_target',
                road.envelope.code, str(road.year + 1)):
            road.press('paul', record, 'carry_over')
        record = simulate(road, year=road.year)
        with self.refused(CarryOverError, 'envelope_carry_year'):
            road.press('paul', record, 'carry_over')
        next_ = open_next(road, kind='AE')
        record = simulate(road)
        with self.refused(CarryOverError, 'envelope_carry_kind'):
            road.press('paul', record, 'carry_over')
        self.assertEqual(self.envelope.committed, 30000)
        self.assertEqual(road.fresh(next_).committed, 0)

    def test_without_movements(self):
        "The budget of the next exercise opens what is carried over, or not"
        road = self.road
        next_ = open_next(road, Decimal('29999.99'))
        record = simulate(road, with_movements=False)
        with self.refused(
                CarryOverError, 'envelope_carry_below', "0,01"):
            road.press('paul', record, 'carry_over')
        self.assertEqual(road.fresh(next_).committed, 0)
        with road.system():
            movement, = next_.movements
            movement.__class__.write(
                [movement], {'amount': 30000, 'payment_credit': 0})
        road.press('paul', record, 'carry_over')
        self.assertEqual(
            (road.fresh(next_).authorised, road.fresh(next_).committed),
            (30000, 30000))
        self.assertEqual(self.envelope.authorised, 100000)

    def test_exceeded_target(self):
        "A vote above the next envelope leaves no room for what is carried"
        road = self.road
        next_ = open_next(road)
        with road.system():
            Commitment = Pool().get('grant.commitment')
            table = Commitment.__table__()
            Transaction().connection.cursor().execute(*table.insert(
                    [table.number, table.envelope, table.party, table.year,
                        table.amount, table.company, table.state],
                    [['X', next_.id, self.conventions[0].party.id,
                            road.year + 1, 12, road.company.id,
                            'committed']]))
            forget()
        record = simulate(road)
        with self.refused(CarryOverError, 'envelope_carry_below', "12,00"):
            road.press('paul', record, 'carry_over')

    def test_credits(self):
        "The credits that are left follow; those that lack are said"
        road = self.road
        next_ = open_next(road)
        paid, certified, _ = self.conventions
        road.to_paid(paid.instalments[0])
        road.press('claire', certified.instalments[0], 'certify')
        with road.system():
            Pool().get('grant.envelope.movement').create([{
                        'envelope': road.envelope.id, 'kind': 'transfer',
                        'amount': 0, 'payment_year': road.year,
                        'payment_credit': Decimal('-79999.99')}])
        # Of 20 000.01, 5 000 are paid and 5 000 stay for what is accrued
        record = simulate(road)
        self.assertEqual(
            (record.carried, record.credit, record.credit_to_open),
            (20000, Decimal('10000.01'), Decimal('9999.99')))
        road.press('paul', record, 'carry_over')
        self.assertEqual(self.envelope.payment_credit, 10000)
        self.assertEqual(
            road.fresh(next_).payment_credit, Decimal('10000.01'))
        road.press('paul', certified.instalments[0], 'approve')

    def test_credit_below(self):
        "Approved payments are carried over with their credits only"
        road = self.road
        open_next(road, Decimal(30000))
        next_movement = Pool().get('grant.envelope.movement')
        road.press('claire', self.conventions[0].instalments[0], 'certify')
        road.press('paul', self.conventions[0].instalments[0], 'approve')
        with road.system():
            next_movement.write(
                next_movement.search([('payment_year', '=', road.year + 1)]),
                {'payment_credit': 4999})
        record = simulate(road, leave_accrued=False, with_movements=False)
        with self.refused(
                CarryOverError, 'envelope_carry_credit_below', "1,00"):
            road.press('paul', record, 'carry_over')
        road.write('paul', record, with_movements=True)
        road.press('paul', record, 'carry_over')

    def test_held(self):
        "What is in a batch, or has no account there, stays with the reason"
        road = self.road
        open_next(road)
        road.use_batches()
        batched, invalid, _ = self.conventions
        advances = [batched.instalments[0], invalid.instalments[0]]
        road.press('claire', advances, 'certify')
        road.press('paul', advances[0], 'approve')
        with road.as_user('nadia'):
            Pool().get('account.payment.group').prepare(
                Pool().get('grant.instalment').browse([advances[0].id]))
        account = advances[1].imputations[0].nature
        with road.system():
            account.__class__.write([account], {'valid_to': road.year})
        record = self.carry(leave_accrued=False)
        self.assertParts(record, carried=20000, held=10000)
        self.assertIn("lot", self.line(record, batched).reason)
        self.assertIn(str(road.year + 1), self.line(record, invalid).reason)
        for advance in advances:
            self.assertEqual(road.fresh(advance).envelope, road.envelope)

    def test_settled(self):
        "What a settled balance acquired is accrued"
        road = self.road
        open_next(road)
        convention = self.conventions[0]
        road.to_paid(convention.instalments[0])
        liquidation = road.settle(convention)
        self.assertParts(
            self.line(simulate(road), convention), accrued=5000)
        set_state(
            liquidation, 'established',
            established_on=dt.date(road.year + 1, 2, 1))
        self.assertParts(
            self.line(simulate(road), convention), carried=5000)

    def test_reserved(self):
        "A proposal that is not voted stays"
        road = self.road
        open_next(road)
        with road.system():
            road.session = road.create_session()
        application, _ = road.to_agreed()
        road.schedule(application)
        record = self.carry()
        self.assertParts(record, carried=30000, held=10000)
        line, = [li for li in record.lines if li.held]
        self.assertIn("n'est pas votée", line.reason)

    def test_same_as_statement(self):
        "Whatever was drawn and paid, it agrees with the year-end statement"
        road = self.road
        open_next(road)
        Statement = Pool().get('grant.year_end.statement')
        cents = st.integers(min_value=1, max_value=500000).map(
            lambda c: Decimal(c) / 100)
        dates = st.sampled_from(
            [dt.date(road.year + n, 6, 1) for n in [0, 1]])
        rows = st.lists(
            st.tuples(st.sampled_from(LIVE + ['cancelled']), cents, dates),
            min_size=6, max_size=6)

        @settings(deadline=None, max_examples=30)
        @given(rows)
        def check(rows):
            with attempt():
                rows = iter(rows)
                for convention in self.conventions:
                    commitment = convention.decisions[0].commitment
                    for instalment in convention.instalments:
                        state, amount, date = next(rows)
                        drawn = state not in {'planned', 'cancelled'}
                        ordered = state in {'paying', 'paid'}
                        set_state(
                            instalment, state, amount=amount,
                            commitment=commitment.id if drawn else None,
                            certified_on=date if drawn else None,
                            ordered_on=(
                                dt.date(road.year, 7, 1) if ordered
                                else None))
                record = simulate(road)
                with road.as_user('paul'), Transaction().set_context(
                        exercise=road.year):
                    lines = Statement.search([])
                self.assertEqual(
                    [sum((getattr(li, n) for li in lines), Decimal(0))
                        for n in ['left', 'to_carry_over', 'to_accrue',
                            'to_release']],
                    [record.left, record.carried, record.accrued,
                        record.to_release])
                self.assertEqual(record.held, 0)
                total = sum(
                    e.committed for e in road.envelope.search([]))
                if record.carried:
                    road.press('paul', record, 'carry_over')
                    forget()
                envelopes = road.envelope.search([])
                self.assertEqual(sum(e.committed for e in envelopes), total)
                self.assertEqual(
                    sum(e.authorised for e in envelopes), 100000)
                for envelope in envelopes:
                    self.assertGreaterEqual(envelope.available, 0)
        check()

    def test_what_follows(self):
        "The balance and the end of a convention reach what was carried over"
        road = self.road
        next_ = open_next(road)
        settled, ended, _ = self.conventions
        road.to_paid(settled.instalments[0])
        self.carry()
        report = road.report(settled)
        road.accept_report(report, Decimal(15000))
        balance = road.fresh(settled.instalments[1])
        road.press('claire', balance, 'liquidate')
        liquidation, = Pool().get('grant.liquidation').search(
            [('tranche', '=', balance.tranche.id)])
        road.press('claire', liquidation, 'notify')
        road.write(
            'claire', liquidation, observations="D’accord.",
            observations_on=road.today, answer="Merci.")
        road.press('claire', liquidation, 'establish')
        self.assertEqual(self.envelope.committed, 5000)
        self.assertEqual(road.fresh(next_).committed, 22500)
        road.write('marc', ended, ending_reason="Festival annulé.")
        road.press('marc', ended, 'renounce')
        self.assertEqual(road.fresh(next_).committed, 12500)

    def test_rights(self):
        "Finance alone, at every door"
        road = self.road
        CarryOver = Pool().get('grant.envelope.carry_over')
        open_next(road)
        record = simulate(road)
        for login in ['claire', 'marc', 'sophie', 'lea', 'alice']:
            with self.subTest(login=login):
                with self.forbidden():
                    road.press(login, record, 'carry_over')
                with self.forbidden():
                    simulate(road, login)
                with self.forbidden():
                    self.prepare_wizard(login)
                with road.as_user(login):
                    self.assertEqual(CarryOver(record.id).carried, 30000)
        with self.refused(DutyError), Transaction().set_user(0):
            CarryOver.carry_over([record])
        with self.refused(FrozenError):
            road.write('paul', record, carried=Decimal(1))
        with self.refused(FrozenError):
            road.write('paul', record, state='done')
        with self.forbidden(), road.as_user('paul'):
            Line = Pool().get('grant.envelope.carry_over.line')
            Line.write(list(record.lines), {'carried': 1})
        with road.system():
            road.create_user(
                'ailleurs', ['group_finance'], companies=None, company=None,
                employees=None, employee=None)
        with attempt(), self.assertRaises(AccessError):
            road.press('ailleurs', record, 'carry_over')
        record = self.carry()
        with self.refused(FrozenError):
            road.write('paul', record, reference="Autre")
        with self.refused(AccessError, 'delete_state'):
            with road.as_user('paul'):
                CarryOver.delete([CarryOver(record.id)])

    def prepare_wizard(self, login='paul'):
        Wizard = Pool().get(
            'grant.envelope.carry_over.prepare', type='wizard')
        with self.road.as_user(login), Transaction().set_context(
                active_model='grant.envelope',
                active_id=self.road.envelope.id,
                active_ids=[self.road.envelope.id]):
            session, state, _ = Wizard.create()
            (_, data), = Wizard.execute(session, {}, state)['actions']
            Wizard.delete(session)
        forget()
        return data['res_id']

    def test_wizard(self):
        "From the envelope: one simulation, the same one the next time"
        open_next(self.road)
        id_, = self.prepare_wizard()
        record = Pool().get('grant.envelope.carry_over')(id_)
        self.assertEqual(
            (record.year, record.leave_accrued, record.carried),
            (self.road.year + 1, True, 30000))
        self.road.to_paid(self.conventions[0].instalments[0])
        self.assertEqual(self.prepare_wizard(), [id_])
        self.assertEqual(self.road.fresh(record).carried, 25000)


class SeveralYearsTestCase(CarryCase):
    "What is committed on an AE or AP stays; its credits are opened again"
    kind = 'AE'

    def test_carried(self):
        road = self.road
        paid, certified, _ = self.conventions
        road.to_paid(paid.instalments[0])
        road.press('claire', certified.instalments[0], 'certify')
        record = self.carry(leave_accrued=False)
        self.assertEqual(record.target, road.envelope)
        self.assertParts(record, carried=25000)
        self.assertEqual(self.expected(), {road.envelope: (4, 20000)})
        self.assertEqual(self.exercises(self.envelope), {
                road.year: (75000, 30000, 5000, 5000, 70000),
                road.year + 1: (25000, 0, 0, 0, 25000)})
        envelope = self.envelope
        self.assertEqual(
            (envelope.authorised, envelope.committed, envelope.available),
            (100000, 30000, 70000))
        self.assertEqual(
            [(m.amount, m.payment_year, m.payment_credit)
                for m in envelope.movements if m.kind == 'carry_over'],
            [(0, road.year, -25000), (0, road.year + 1, 25000)])
        self.assertEqual(
            envelope.get_credits([envelope]), {
                (envelope.id, road.year): (75000, 5000),
                (envelope.id, road.year + 1): (25000, 0)})
        commitments = {
            i.commitment for i in certified.instalments if i.commitment}
        self.assertEqual(
            commitments, {certified.decisions[0].commitment})
        balance = paid.instalments[1]
        self.assertEqual(
            (balance.exercise, road.fresh(balance).credit_left),
            (road.year + 1, 25000))
        again = simulate(road, leave_accrued=False)
        self.assertEqual(again.carried, 0)
        with self.refused(CarryOverError, 'envelope_carry_nothing'):
            road.press('paul', again, 'carry_over')

    def test_exercise(self):
        "It is paid in the exercise to which it went, also once sent back"
        road = self.road
        self.carry()
        advance = self.conventions[0].instalments[0]
        for _ in range(2):
            road.press('claire', advance, 'certify')
            self.assertEqual(road.fresh(advance).exercise, road.year + 1)
            road.write(
                'paul', advance, send_back_kind='amount',
                send_back_reason="À revoir")
            road.press('paul', advance, 'send_back')
            self.assertState(advance, 'planned')
        road.press('claire', advance, 'certify')
        road.press('paul', advance, 'approve')
        self.assertEqual(
            self.envelope.get_credits([self.envelope])[
                road.envelope.id, road.year + 1], (30000, 5000))

    def test_ceiling(self):
        "Each exercise has its credits, whatever the others have left"
        road = self.road
        self.carry()
        with road.system(), self.refused(
                CeilingError, 'payment_credit_exceeded_exercise'):
            road.press('claire', self.conventions[0].instalments[0],
                'certify')
            road.press(
                'paul', self.conventions[0].instalments[0], 'approve')
            Pool().get('grant.envelope.movement').create([{
                        'envelope': road.envelope.id, 'kind': 'transfer',
                        'amount': 0, 'payment_year': road.year + 1,
                        'payment_credit': Decimal('-25000.01')}])

    def test_selection(self):
        "A selection of payments follows the same rule"
        road = self.road
        Instalment = Pool().get('grant.instalment')
        advance, balance = self.conventions[0].instalments
        road.press('claire', advance, 'certify')
        with road.as_user('paul'):
            Instalment.carry_to(
                Instalment.browse([advance.id, balance.id]), road.year + 1)
        forget()
        self.assertEqual(
            [(i.exercise, i.envelope) for i in
                self.conventions[0].instalments],
            [(road.year + 1, road.envelope), (road.year + 1, None)])
        self.assertEqual(self.envelope.committed, 30000)
        with self.refused(CarryOverError, 'carry_over_year'):
            with road.as_user('paul'):
                Instalment.carry_to(
                    Instalment.browse([advance.id]), road.year + 1)
        # Its credits were not opened
        with self.refused(CeilingError, 'payment_credit_exceeded_exercise'):
            road.press('paul', advance, 'approve')


class QueriesTestCase(RefusalCase):
    "One commitment or fifty: the same number of SELECTs"
    count = 50

    @classmethod
    def prepare(cls):
        road = cls.road
        cls.envelopes = []
        for count in [2, cls.count]:
            with road.system():
                road.envelope = road.create_envelope(
                    Decimal(100000), code=f'Q{count}')
                Pool().get('grant.scheme').write(
                    Pool().get('grant.scheme').search(
                        [('code', '=', 'PETIT')]), {'code': f'P{count}'})
            road.to_single_payments(count, Decimal(400))
            open_next(road)
            cls.envelopes.append(road.envelope)

    def selects(self, envelope, button):
        self.road.envelope = envelope
        record = simulate(self.road)
        function = partial(self.road.press, 'paul', record, button)
        with attempt():
            function()
        with attempt(), count_queries() as queries:
            function()
        return queries.selects

    def test_selects(self):
        for button in ['simulate', 'carry_over']:
            few, many = (
                self.selects(e, button) for e in self.envelopes)
            with self.subTest(button=button, few=few, many=many):
                self.assertLessEqual(many, few + 3)


class UndoMixin:

    def undo(self, record, login='paul', reason="Reporté trop tôt."):
        self.road.write('paul', record, undo_reason=reason)
        self.road.press(login, record, 'undo')
        forget()
        return self.road.fresh(record)

    def snapshot(self):
        "Return what a carry-over changes."
        forget()
        pool = Pool()
        envelopes = pool.get('grant.envelope').search([])
        return (
            [(e, e.authorised, e.committed, e.payment_credit, e.approved)
                for e in envelopes],
            {key: credits for key, credits in pool.get(
                    'grant.envelope').get_credits(envelopes).items()
                if any(credits)},
            [(c, c.amount, c.state) for c in pool.get(
                    'grant.commitment').search([('state', '!=', 'released')])],
            [(i, i.state, i.exercise, i.commitment, i.envelope)
                for c in self.conventions for i in c.instalments])

    def mix(self):
        "One advance is paid, one is certified, one is approved."
        road = self.road
        paid, certified, approved = self.conventions
        road.to_paid(paid.instalments[0])
        road.press(
            'claire', [certified.instalments[0], approved.instalments[0]],
            'certify')
        road.press('paul', approved.instalments[0], 'approve')


class UndoTestCase(UndoMixin, CarryCase):
    "What was carried over by mistake goes back while nothing used it"

    def setUp(self):
        super().setUp()
        self.next_ = open_next(self.road)

    def test_undone(self):
        "Everything is as before, and the journal keeps both"
        self.mix()
        before = self.snapshot()
        record = self.carry(leave_accrued=False)
        self.assertNotEqual(self.snapshot(), before)
        record = self.undo(record)
        self.assertEqual(self.snapshot(), before)
        self.assertEqual(
            (record.state, record.undone_by.login, record.undone_on),
            ('undone', 'paul', self.road.today))
        event, = Pool().get('grant.event').search([
                ('record', '=', str(record)), ('name', '=', 'undone_by')])
        self.assertEqual(event.reason, "Reporté trop tôt.")
        self.assertEqual(sum(m.amount for m in record.movements), 0)
        self.assertEqual(len(record.movements), 4)
        with self.refused(TransitionError):
            self.road.press('paul', record, 'undo')
        # It may be carried over again, and undone again
        again = self.carry(leave_accrued=False)
        self.assertEqual(again.carried, record.carried)
        self.undo(again)
        self.assertEqual(self.snapshot(), before)

    def test_without_movements(self):
        "Nor do commitments without movements stay"
        with self.road.system():
            Pool().get('grant.envelope.movement').create([{
                        'envelope': self.next_.id, 'kind': 'supplementary',
                        'amount': 30000, 'payment_year': self.road.year + 1,
                        'payment_credit': 30000}])
        before = self.snapshot()
        self.undo(self.carry(with_movements=False))
        self.assertEqual(self.snapshot(), before)

    def test_reason(self):
        record = self.carry()
        with self.refused(
                CompletenessError, 'envelope_undo_reason',
                self.road.envelope.rec_name):
            self.road.press('paul', record, 'undo')

    def test_who(self):
        "Those who may carry over may undo, nobody else"
        record = self.carry()
        self.road.write('paul', record, undo_reason="Erreur")
        for login in ['claire', 'marc', 'sophie', 'lea']:
            with self.forbidden():
                self.road.press(login, record, 'undo')
        with self.road.system(), self.refused(DutyError):
            with Transaction().set_user(0):
                record.__class__.undo([record.__class__(record.id)])
        self.assertState(record, 'done')
        self.road.press('nadia', record, 'undo')
        self.assertState(record, 'undone')

    def test_used(self):
        "Certified or approved since: it says which; sent back, it goes"
        road = self.road
        before = self.snapshot()
        record = self.carry()
        advance = self.conventions[0].instalments[0]
        road.press('claire', advance, 'certify')
        after = self.snapshot()
        with self.refused(
                CarryOverError, 'envelope_undo_used', advance.rec_name):
            self.undo(record)
        self.assertEqual(self.snapshot(), after)
        road.write('paul', advance, send_back_kind='amount',
            send_back_reason="À revoir")
        road.press('paul', advance, 'send_back')
        self.undo(record)
        self.assertEqual(self.snapshot(), before)

    def test_approved_since(self):
        road = self.road
        advance = self.conventions[0].instalments[0]
        road.press('claire', advance, 'certify')
        record = self.carry(leave_accrued=False)
        road.press('paul', advance, 'approve')
        with self.refused(
                CarryOverError, 'envelope_undo_used', advance.rec_name):
            self.undo(record)

    def test_carried_again(self):
        "The last one first"
        road = self.road
        open_next(road, year=road.year + 2)
        before = self.snapshot()
        first = self.carry()
        with road.as_user('paul'):
            second, = Pool().get('grant.envelope.carry_over').create([{
                        'company': road.company.id,
                        'envelope': self.next_.id,
                        'year': road.year + 2}])
        road.press('paul', second, 'carry_over')
        with self.refused(CarryOverError, 'envelope_undo_again'):
            self.undo(first)
        self.undo(road.fresh(second))
        self.undo(first)
        self.assertEqual(self.snapshot(), before)

    def test_changed(self):
        "An amendment changed what was committed on the target"
        record = self.carry()
        with self.road.system():
            table = Pool().get('grant.commitment').__table__()
            Transaction().connection.cursor().execute(*table.update(
                    [table.amount], [table.amount + 1],
                    where=table.carried_from != None))  # noqa: E711
            forget()
        with self.refused(CarryOverError, 'envelope_undo_amount'):
            self.undo(record)

    def test_room_taken(self):
        "Another vote took the room that the carry-over brought"
        road = self.road
        record = self.carry()
        with road.system():
            table = Pool().get('grant.commitment').__table__()
            Transaction().connection.cursor().execute(*table.insert(
                    [table.number, table.envelope, table.party, table.year,
                        table.amount, table.company, table.state],
                    [['X', self.next_.id, self.conventions[0].party.id,
                            road.year + 1, 12, road.company.id,
                            'committed']]))
            forget()
        after = self.snapshot()
        with self.refused(CarryOverError, 'envelope_exceeded', "12,00"):
            self.undo(record)
        self.assertEqual(self.snapshot(), after)

    def test_released(self):
        record = self.carry()
        commitment = record.lines[0].commitment
        set_state(commitment, 'released')
        with self.refused(
                CarryOverError, 'envelope_undo_released',
                commitment.rec_name):
            self.undo(record)


class UndoSeveralYearsTestCase(UndoMixin, CarryCase):
    "The credits of an AE go back to their exercise"
    kind = 'AE'

    def test_undone(self):
        self.mix()
        before = self.snapshot()
        record = self.carry(leave_accrued=False)
        self.assertNotEqual(self.snapshot(), before)
        self.undo(record)
        self.assertEqual(self.snapshot(), before)

    def test_used(self):
        road = self.road
        record = self.carry()
        advance = self.conventions[0].instalments[0]
        road.press('claire', advance, 'certify')
        with self.refused(
                CarryOverError, 'envelope_undo_used', advance.rec_name):
            self.undo(record)


del CarryCase, RefusalCase


def test_queue(department):
    "Beyond the limit it is done in the background, and the result is seen"
    CarryOver = Pool(department.database).get('grant.envelope.carry_over')
    with department.road() as road:
        road.envelope = road.create_envelope(Decimal(100000), code='FILE')
        road.to_single_payments(3, Decimal(400))
        record = simulate(road)
        problem = simulate(road)
        envelope = road.envelope.id
    desk = department.desk('paul')

    def press(record):
        with patch.object(envelope_carry_over, 'QUEUE_ABOVE', 2):
            desk('grant.envelope.carry_over', 'carry_over', [record.id])

    def read(record):
        with department.road():
            record = CarryOver(record.id)
            return record.state, record.carried, record.failure

    try:
        press(problem)
    except Exception as error:
        assert 'Aucune enveloppe' in str(error)
    else:
        raise AssertionError
    assert read(problem) == ('draft', 1200, None)
    with department.road() as road:
        road.envelope = road.envelope.__class__(envelope)
        next_ = open_next(road)
        CarryOver.simulate([CarryOver(record.id), CarryOver(problem.id)])
    # What happens between the request and the task is said afterwards
    with patch.object(
            CarryOver, '_move', side_effect=UserError("Bloqué entre-temps")):
        press(problem)
    assert read(problem) == ('draft', 1200, "Bloqué entre-temps")
    press(record)
    assert read(record) == ('done', 1200, None)
    with department.road() as road:
        assert road.fresh(next_).committed == 1200
        assert next_.__class__(envelope).committed == 0
        record = CarryOver(record.id)
        assert record.done_by.login == 'paul'
        assert [li.carried for li in record.lines] == [400] * 3


def test_at_once(department):
    "Two officers press at the same moment: it is carried over once"
    with department.road() as road:
        road.envelope = road.create_envelope(Decimal(100000), code='DEUX')
        with road.system():
            Scheme = Pool().get('grant.scheme')
            Scheme.write(Scheme.search([('code', '=', 'PETIT')]),
                {'code': 'AUTRE'})
        road.to_single_payments(2, Decimal(400))
        next_ = open_next(road)
        records = [simulate(road), simulate(road)]
    refusals = at_once(*[
            partial(department.desk(login), 'grant.envelope.carry_over',
                'carry_over', [record.id])
            for login, record in zip(
                ['finance0', 'finance1'], records, strict=True)])
    assert len(refusals) == 1
    with department.road() as road:
        assert road.fresh(next_).authorised == 800
        assert road.fresh(next_).committed == 800
        states = sorted(road.fresh(r).state for r in records)
        assert states == ['done', 'draft']
