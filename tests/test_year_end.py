# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What the exercise leaves of each commitment, and the grants by beneficiary."
import datetime as dt
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from trytond.model.exceptions import AccessError, RequiredValidationError
from trytond.modules.pacte_grants.exceptions import AmountError
from trytond.modules.pacte_grants.schedule import LIVE
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import RefusalCase, attempt, forget, set_state
from .tools import count_queries

PARTS = ['to_accrue', 'to_carry_over', 'to_release']


class YearEndCase(RefusalCase):
    "10 000 € each, half as advance, half as balance"

    @classmethod
    def prepare(cls):
        cls.ids = [cls.activate().id for _ in range(2)]

    @classmethod
    def activate(cls, **values):
        road = cls.road
        with road.system():
            road.session = road.create_session()
        convention = road.to_active(**values)
        for condition in convention.conditions:
            set_state(
                condition, 'met', submitted_on=road.today,
                verified_on=road.today)
        return road.fresh(convention)

    @property
    def conventions(self):
        forget()
        return Pool().get('grant.convention').browse(self.ids)

    def lines(self, exercise=None, login='paul'):
        "The lines of the exercise, as finance reads them."
        forget()
        Statement = Pool().get('grant.year_end.statement')
        with self.road.as_user(login), Transaction().set_context(
                exercise=exercise or self.road.year):
            lines = Statement.search([])
            for line in lines:
                self.assertEqual(
                    line.left, sum(getattr(line, n) for n in PARTS))
                self.assertEqual(
                    line.committed, line.released + line.ordered_before
                    + line.ordered + line.left)
                for name in [*PARTS, 'released', 'left']:
                    self.assertGreaterEqual(getattr(line, name), 0)
            return list(lines)

    def line(self, convention, exercise=None):
        line, = [
            li for li in self.lines(exercise) if li.convention == convention]
        return line

    def assertLine(self, convention, exercise=None, **values):
        line = self.line(convention, exercise)
        self.assertEqual(
            {n: getattr(line, n) for n in values},
            {n: Decimal(v) for n, v in values.items()})
        return line

    def settle(self, convention, realised):
        road = self.road
        road.accept_report(road.report(convention), Decimal(realised))
        balance = road.fresh(convention).instalments[-1]
        road.press('claire', balance, 'liquidate')
        liquidation, = Pool().get('grant.liquidation').search(
            [('tranche', '=', balance.tranche.id)])
        if liquidation.is_reduced:
            road.press('claire', liquidation, 'notify')
            road.write(
                'claire', liquidation, observations="D’accord.",
                observations_on=road.today, answer="Merci.")
        road.press('claire', liquidation, 'establish')
        return road.fresh(liquidation)

    def date(self, instalment, **values):
        "Date the instalment behind the back of every rule."
        return set_state(instalment, instalment.state, **values)


class StatementTestCase(YearEndCase):

    def test_planned(self):
        "What is voted and not due yet is carried over"
        convention, other = self.conventions
        line = self.assertLine(
            convention, committed=10000, released=0, ordered=0, paid=0,
            left=10000, to_accrue=0, to_carry_over=10000, to_release=0)
        self.assertEqual(line.finance_number, 'E-4711')
        self.assertEqual(line.party, convention.party)
        self.assertEqual(line.envelope, self.road.envelope)
        self.assertEqual(line.exercise, self.road.year)
        self.assertEqual(len(self.lines()), 2)

    def test_advance_paid(self):
        convention, other = self.conventions
        self.road.to_paid(convention.instalments[0])
        self.assertLine(
            convention, committed=10000, ordered_before=0, ordered=5000,
            paid=5000, left=5000, to_accrue=0, to_carry_over=5000,
            to_release=0)
        self.assertLine(other, ordered=0, left=10000)

    def test_certified(self):
        "What is certified and not ordered is accrued"
        convention, _ = self.conventions
        advance = convention.instalments[0]
        self.road.press('claire', advance, 'certify')
        self.assertLine(
            convention, ordered=0, left=10000, to_accrue=5000,
            to_carry_over=5000)
        self.road.press('paul', advance, 'approve')
        self.road.press('nadia', advance, 'process')
        self.assertLine(convention, paid=0, left=10000, to_accrue=5000)

    def test_ordered_not_paid(self):
        "The exercise of a payment is that of its order"
        convention, _ = self.conventions
        road = self.road
        advance = road.to_paid(convention.instalments[0])
        self.date(
            advance, ordered_on=dt.date(road.year, 12, 30),
            paid_on=dt.date(road.year + 1, 1, 6))
        self.assertLine(
            convention, ordered=5000, paid=0, left=5000, to_accrue=0)
        self.assertLine(
            convention, road.year + 1, ordered_before=5000, ordered=0,
            paid=5000, left=5000)

    def test_certified_after(self):
        "What is certified after the end of the exercise is carried over"
        convention, _ = self.conventions
        road = self.road
        road.press('claire', convention.instalments[0], 'certify')
        self.date(
            road.advance(convention),
            certified_on=dt.date(road.year + 1, 1, 4))
        self.assertLine(
            convention, left=10000, to_accrue=0, to_carry_over=10000)

    def test_settled(self):
        "The right acquired is accrued, what the balance lost is released"
        convention, _ = self.conventions
        self.road.to_paid(convention.instalments[0])
        liquidation = self.settle(convention, 15000)
        self.assertLine(
            convention, committed=10000, released=2500, ordered=5000,
            left=2500, to_accrue=2500, to_carry_over=0, to_release=0)
        set_state(liquidation, 'established', stale=True)
        self.assertLine(convention, to_accrue=0, to_carry_over=2500)
        set_state(
            liquidation, 'established', stale=False,
            established_on=dt.date(self.road.year + 1, 2, 1))
        self.assertLine(convention, to_accrue=0, to_carry_over=2500)

    def test_closed(self):
        "A closed convention expects nothing"
        convention, _ = self.conventions
        self.road.to_paid(convention.instalments[0])
        set_state(convention, 'closed')
        self.assertLine(
            convention, released=0, ordered=5000, left=5000,
            to_carry_over=0, to_release=5000)

    def test_instalment_cancelled(self):
        "What left the schedule and not the commitment is to release"
        convention, _ = self.conventions
        set_state(convention.instalments[1], 'cancelled')
        self.assertLine(
            convention, left=10000, to_carry_over=5000, to_release=5000)

    def test_renounced(self):
        "The end of the convention releases what was not drawn"
        convention, _ = self.conventions
        road = self.road
        road.to_paid(convention.instalments[0])
        road.write('marc', convention, ending_reason="Festival annulé.")
        road.press('marc', convention, 'renounce')
        self.assertLine(
            convention, committed=10000, released=5000, ordered=5000,
            left=0)

    def test_renounced_unpaid(self):
        convention, _ = self.conventions
        road = self.road
        road.write('marc', convention, ending_reason="Festival annulé.")
        road.press('marc', convention, 'renounce')
        self.assertLine(
            convention, committed=10000, released=10000, ordered=0, left=0)

    def test_carried_over(self):
        "What went to the next exercise is carried over, once"
        convention, other = self.conventions
        road = self.road
        with road.system():
            envelope = road.create_envelope(Decimal(20000), code='933N')
            set_year = envelope.__table__()
            Transaction().connection.cursor().execute(*set_year.update(
                    [set_year.code, set_year.year], ['933', road.year + 1],
                    where=set_year.id == envelope.id))
            movement = Pool().get('grant.envelope.movement').__table__()
            Transaction().connection.cursor().execute(*movement.update(
                    [movement.payment_year], [road.year + 1],
                    where=movement.envelope == envelope.id))
        road.to_paid(convention.instalments[0])
        road.press('claire', other.instalments[0], 'certify')
        forget()
        Instalment = Pool().get('grant.instalment')
        moved = [
            convention.instalments[1].id, other.instalments[0].id,
            other.instalments[1].id]
        with road.as_user('paul'):
            Instalment.carry_to(Instalment.browse(moved), road.year + 1)
        self.assertLine(
            convention, committed=10000, released=0, ordered=5000, left=5000,
            to_accrue=0, to_carry_over=5000, to_release=0)
        self.assertLine(
            other, committed=10000, released=0, left=10000, to_accrue=0,
            to_carry_over=10000, to_release=0)
        lines = self.lines(road.year + 1)
        self.assertEqual(
            {(li.convention, li.envelope.id, li.left, li.to_carry_over)
                for li in lines},
            {
                (convention, envelope.id, Decimal(5000), Decimal(5000)),
                (other, envelope.id, Decimal(10000), Decimal(5000)),
                })

    def test_two_commitments(self):
        "Planned instalments fill the commitments of the year in order"
        convention, other = self.conventions
        road = self.road
        decision, = other.decisions
        application, = convention.applications
        table = decision.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.application], [application.id],
                where=table.id == decision.id))
        lines = [
            li for li in self.lines() if li.convention == convention]
        self.assertEqual(
            [(li.to_carry_over, li.to_release)
                for li in sorted(lines, key=lambda li: li.id)],
            [(Decimal(10000), 0), (0, Decimal(10000))])
        road.to_paid(convention.instalments[0])
        lines = [
            li for li in self.lines() if li.convention == convention]
        self.assertEqual(sum(li.left for li in lines), 15000)
        self.assertEqual(sum(li.to_carry_over for li in lines), 5000)
        self.assertEqual(sum(li.to_release for li in lines), 10000)

    def test_cents(self):
        "Amounts that binary fractions do not hold add up"
        convention, _ = self.conventions
        for instalment, amount in zip(
                convention.instalments, ['3333.37', '6666.61'], strict=True):
            set_state(instalment, 'planned', amount=Decimal(amount))
        self.road.press('claire', convention.instalments[0], 'certify')
        self.assertLine(
            convention, left=10000, to_accrue='3333.37',
            to_carry_over='6666.61', to_release='0.02')

    def test_adds_up(self):
        "Whatever was voted, drawn, paid or given up, and when"
        year = self.road.year
        cents = st.integers(min_value=0, max_value=10 ** 8).map(
            lambda c: Decimal(c) / 100)
        dates = st.none() | st.sampled_from([
                dt.date(year + n, *day) for n in [-1, 0, 1]
                for day in [(1, 1), (12, 31)]])
        instalments = st.lists(st.tuples(
                st.sampled_from(LIVE + ['cancelled']), cents, dates, dates,
                dates), min_size=4, max_size=4)
        commitments = st.lists(st.tuples(
                st.sampled_from(['committed', 'released']), cents),
            min_size=2, max_size=2)
        states = st.sampled_from(['active', 'closed', 'terminated'])

        @settings(deadline=None, max_examples=40)
        @given(instalments, commitments, states)
        def check(instalments, commitments, state):
            with attempt():
                rows = iter(instalments)
                for convention, (state_, amount) in zip(
                        self.conventions, commitments, strict=True):
                    commitment = convention.decisions[0].commitment
                    set_state(commitment, state_, amount=amount)
                    set_state(convention, state)
                    for instalment in convention.instalments:
                        state__, amount, certified, ordered, paid = next(rows)
                        drawn = state__ not in {'planned', 'cancelled'}
                        set_state(
                            instalment, state__, amount=amount,
                            commitment=commitment.id if drawn else None,
                            certified_on=certified, ordered_on=ordered,
                            paid_on=paid)
                for exercise in [year - 1, year, year + 1]:
                    self.lines(exercise)
        check()

    def test_earlier_exercises(self):
        "An exercise without commitment is empty, a later one has the rest"
        self.assertEqual(self.lines(self.road.year - 1), [])
        convention, _ = self.conventions
        self.assertLine(convention, self.road.year + 1, left=10000)

    def test_selects(self):
        "One query, whatever the number of lines"
        Statement = Pool().get('grant.year_end.statement')
        names = [n for n in Statement._fields if n not in {
                'create_date', 'create_uid', 'write_date', 'write_uid'}]

        def count(limit):
            with self.road.as_user('paul'):
                def read():
                    return Statement.search_read(
                        [], limit=limit, fields_names=names)
                read()
                forget()
                with count_queries() as queries:
                    self.assertEqual(len(read()), limit)
            return queries.selects

        one = count(1)
        for _ in range(4):
            self.activate(amount=Decimal(1000))
        self.assertEqual(count(6), one)

    def test_search_and_order(self):
        convention, other = self.conventions
        self.road.press('claire', convention.instalments[0], 'certify')
        forget()
        Statement = Pool().get('grant.year_end.statement')
        with self.road.as_user('marc'):
            found, = Statement.search([('to_accrue', '>', 0)])
            self.assertEqual(found.convention, convention)
            lines = Statement.search([], order=[('to_accrue', 'DESC')])
            self.assertEqual(lines[0], found)
            self.assertEqual(
                Statement.search([('rec_name', 'ilike', '%E-4711%')],
                    count=True), 2)

    def test_access(self):
        "Finance, heads of service and administrators only; nobody writes"
        Statement = Pool().get('grant.year_end.statement')
        Beneficiary = Pool().get('grant.year_end.beneficiary')
        Access = Pool().get('ir.model.access')
        with self.road.system():
            self.road.create_user(
                'ailleurs', ['group_finance'], companies=None, company=None,
                employees=None, employee=None)
        for Model in [Statement, Beneficiary]:
            for login in ['lea', 'claire', 'sophie', 'jean']:
                with self.subTest(model=Model.__name__, login=login), \
                        self.road.as_user(login), self.forbidden():
                    Model.search([])
            for login in ['paul', 'marc', 'alice']:
                with self.road.as_user(login):
                    self.assertTrue(Model.search([]))
                    for mode in ['write', 'create', 'delete']:
                        with self.assertRaises(AccessError):
                            Access.check(Model.__name__, mode)
            with self.road.as_user('ailleurs'):
                self.assertEqual(Model.search([]), [])


class BeneficiaryTestCase(YearEndCase):

    def rows(self):
        forget()
        Beneficiary = Pool().get('grant.year_end.beneficiary')
        with self.road.as_user('paul'):
            return {
                (r.party, r.year): (r.nature, r.voted, r.paid, r.large)
                for r in Beneficiary.search([])}

    def test_sums(self):
        "Cash voted and paid, the two of a partner together"
        convention, other = self.conventions
        road = self.road
        road.to_paid(convention.instalments[0])
        again = self.activate(
            party=convention.party, amount=Decimal(4000))
        self.assertEqual(again.party, convention.party)
        self.assertEqual(self.rows(), {
                (convention.party, road.year): (
                    'private', Decimal(14000), Decimal(5000), False),
                (other.party, road.year): (
                    'private', Decimal(10000), Decimal(0), False),
                })
        self.date(
            road.advance(convention), paid_on=dt.date(road.year + 1, 1, 6))
        self.assertEqual(
            self.rows()[convention.party, road.year + 1],
            ('private', Decimal(0), Decimal(5000), False))

    def test_threshold(self):
        "Above what the parameter says at the end of the exercise"
        convention, _ = self.conventions
        road = self.road
        advance = road.to_paid(convention.instalments[0])
        key = convention.party, road.year
        self.date(advance, amount=Decimal(75000))
        self.assertFalse(self.rows()[key][-1])
        self.date(advance, amount=Decimal('75000.01'))
        self.assertTrue(self.rows()[key][-1])
        with road.system():
            Pool().get('grant.parameter').create([{
                        'code': 'L35_ANNEX_THRESHOLD', 'name': "Seuil",
                        'value': Decimal(100000), 'unit': 'euro',
                        'valid_from': dt.date(road.year, 7, 1),
                        'source': "Test"}])
        self.assertFalse(self.rows()[key][-1])
        self.date(advance, paid_on=dt.date(road.year - 1, 12, 31))
        self.assertTrue(self.rows()[convention.party, road.year - 1][-1])

    def test_share(self):
        "Above half of what the body took in, as its latest accounts say"
        convention, _ = self.conventions
        road = self.road
        road.to_paid(convention.instalments[0])
        key = convention.party, road.year
        Piece = Pool().get('grant.partner.piece')

        def bring(exercise, income, kind='accounts'):
            with road.as_user('claire'):
                Piece.create([{
                            'party': convention.party.id, 'kind': kind,
                            'exercise': exercise, 'income': income}])

        self.assertFalse(self.rows()[key][-1])
        for exercise, income, large in [
                (road.year - 3, Decimal('9999.99'), True),
                (road.year - 2, Decimal(10000), False),
                # Neither an empty income nor a later exercise counts.
                (road.year - 1, None, False),
                (road.year + 1, Decimal(100), False),
                (road.year - 1, Decimal('9999.99'), True),
                # Corrected by what came last
                (road.year - 1, Decimal(20000), False),
                (road.year, Decimal(0), True),
                ]:
            with self.subTest(exercise=exercise, income=income):
                bring(exercise, income)
                self.assertEqual(self.rows()[key][-1], large)
        Beneficiary = Pool().get('grant.year_end.beneficiary')
        bring(road.year, Decimal(15000))
        with road.as_user('paul'):
            row, = Beneficiary.search([
                    ('party', '=', convention.party.id),
                    ('year', '=', road.year)])
            self.assertEqual(row.income, Decimal(15000))
            self.assertAlmostEqual(row.share, 1 / 3)
        with self.refused(AmountError, 'amount_negative'):
            bring(road.year, Decimal(-1))
        with attempt(), self.assertRaises(RequiredValidationError):
            bring(None, Decimal(1))

    def test_public(self):
        convention, _ = self.conventions
        table = convention.party.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.partner_kind], ['commune'],
                where=table.id == convention.party.id))
        self.assertEqual(
            self.rows()[convention.party, self.road.year][0], 'public')

    def test_exports(self):
        "The saved exports give every figure to finance"
        pool = Pool()
        Export = pool.get('ir.export')
        for name, header in [
                ('grant.year_end.statement', 'to_release'),
                ('grant.year_end.beneficiary', 'voted')]:
            Model = pool.get(name)
            with self.road.as_user('paul'):
                export, = Export.get(
                    name, ['name', 'header', 'export_fields.name'])
                names = [f['name'] for f in export['export_fields.']]
                self.assertIn(header, names)
                records = Model.search([])
                rows = Model.export_data(records, names)
                self.assertEqual(len(rows), len(records))
                self.assertEqual(len(rows[0]), len(names))
            with self.road.as_user('claire'):
                self.assertEqual(Export.get(name, ['name']), [])


del RefusalCase, YearEndCase
