# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Termination, breach of the republican commitment, lapse: step by step."
import datetime as dt
import io
import zipfile
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.exceptions import (
    AmountError, CompletenessError, DutyError, FrozenError, PartnerError,
    PeriodError, TransitionError)
from trytond.modules.pacte_grants.procedure import count_days, share_out
from trytond.pool import Pool

from .refusal import Dossier, RefusalCase, forget, set_state
from .tools import count_selects

STEPS = {
    'compute': {'draft', 'notified', 'heard'},
    'notify': {'draft'},
    'hear': {'notified'},
    'decide': {'heard'},
    'close': {'decided'},
    'abandon': {'draft', 'notified', 'heard'},
    'reopen': {'notified', 'heard', 'abandoned', 'closed'},
    }


@pytest.mark.parametrize('start, end, breach, expected', [
        # 2028 is a leap year: 366 days, 59 before 29 February.
        ('2028-01-01', '2028-12-31', '2028-02-29', (366, 307)),
        ('2027-01-01', '2027-12-31', '2027-03-01', (365, 306)),
        ('2027-01-01', '2027-12-31', '2027-01-01', (365, 365)),
        ('2027-01-01', '2027-12-31', '2027-12-31', (365, 1)),
        ('2027-01-01', '2027-12-31', '2026-11-30', (365, 365)),
        ('2027-01-01', '2027-12-31', '2028-01-01', (365, 0)),
        ('2027-05-05', '2027-05-05', '2027-05-05', (1, 1)),
        ('2027-01-01', '2029-12-31', '2028-01-01', (1096, 731)),
        ])
def test_days(start, end, breach, expected):
    dates = [dt.date.fromisoformat(d) for d in [start, end, breach]]
    assert count_days(*dates) == expected


@pytest.mark.parametrize('lines, days, left, expected', [
        # 10 000 × 307 / 366 = 8 387,978…: 5 000 are not paid yet.
        ([('10000', '5000')], 366, 307,
            [('8387.98', '3387.98', '5000', '0')]),
        # The first day takes everything back, the last one a day.
        ([('10000', '10000')], 365, 365, [('10000', '10000', '0', '0')]),
        ([('10000', '10000')], 365, 1, [('27.40', '27.40', '0', '0')]),
        ([('10000', '4000')], 365, 0, [('0', '0', '0', '6000')]),
        # Two tranches: 200,03 / 3 = 66,676… in all, 33,34 of the first.
        ([('100.01', '100.01'), ('100.02', '50')], 3, 1, [
                ('33.34', '33.34', '0', '0'),
                ('33.34', '0', '33.34', '16.68')]),
        ([], 3, 1, []),
        ])
def test_share_out(lines, days, left, expected):
    shares = share_out(
        [tuple(map(Decimal, line)) for line in lines], days, left)
    assert [tuple(s) for s in shares] == [
        tuple(map(Decimal, e)) for e in expected]


cents = st.integers(0, 10 ** 8).map(lambda n: Decimal(n) / 100)


@given(
    st.lists(st.tuples(cents, cents).map(lambda p: (max(p), min(p))),
        max_size=6),
    st.integers(1, 1500), st.integers(0, 1500))
def test_share_out_adds_up(lines, days, left):
    "To the cent, whatever the amounts; nothing is asked that was not paid"
    left = min(left, days)
    shares = share_out(lines, days, left)
    total = sum((amount for amount, _ in lines), Decimal(0))
    withdrawn = sum((s.withdrawn for s in shares), Decimal(0))
    assert abs(withdrawn - total * left / days) <= Decimal('.005')
    for (amount, paid), share in zip(lines, shares, strict=True):
        assert share.to_repay + share.to_cancel == share.withdrawn
        assert 0 <= share.to_repay <= paid
        assert 0 <= share.to_cancel <= amount - paid
        assert share.to_cancel + share.still_due == amount - paid
        assert share.withdrawn == share.withdrawn.quantize(Decimal('.01'))


class ProcedureTestCase(RefusalCase):
    "A convention of 91 days whose advance is paid, and one not signed"

    @classmethod
    def prepare(cls):
        road = cls.road
        road.create_user('marie', ['group_manager'])
        convention = cls.active(61)
        road.to_paid(convention.instalments[0])
        cls.dossier = Dossier(
            convention=convention, advance=convention.instalments[0],
            balance=convention.instalments[1], issued=cls.issued(),
            envelope=road.envelope)

    @classmethod
    def active(cls, left, **values):
        "A convention of 91 days of which so many are left, today included."
        start = cls.road.today - dt.timedelta(days=91 - left)
        application, convention = cls.road.to_agreed(
            start_date=start, end_date=start + dt.timedelta(days=90),
            **values)
        convention = cls.vote(application, convention)
        convention = cls.road.sign_and_notify(convention)
        cls.road.number_commitments(convention)
        return cls.road.fresh(convention)

    @classmethod
    def issued(cls):
        "A text whose signature is awaited in vain"
        convention = cls.vote(*cls.road.to_agreed())
        cls.road.press('claire', convention, 'issue')
        return set_state(
            convention, 'issued',
            issued_on=cls.road.today - dt.timedelta(days=90),
            signature_reminded_on=cls.road.today - dt.timedelta(days=20))

    @classmethod
    def vote(cls, application, convention):
        road = cls.road
        with road.system():
            session = road.create_session()
        deliberation = road.schedule(
            application, road.create_deliberation(session))
        road.hold(session)
        road.vote(deliberation)
        road.make_executory(deliberation)
        return road.fresh(convention)

    def open(self, button='open_procedure', convention=None, login='claire'):
        convention = convention or self.dossier.convention
        with self.road.as_user(login):
            Convention = convention.__class__
            action = getattr(Convention, button)([Convention(convention.id)])
        forget()
        id_, = action['res_id']
        return Pool().get('grant.procedure')(id_)

    def breach(self, convention=None, login='claire'):
        procedure = self.open('open_cer_breach', convention, login)
        self.write(
            procedure, login=login, breach_date=self.road.today,
            facts="Le 3 mars, des habitants ont été exclus de l’atelier.")
        return self.fresh(procedure)

    def write(self, record, login='claire', **values):
        self.road.write(login, record, **values)
        forget()

    def fresh(self, record):
        forget()
        return record.__class__(record.id)

    def notify(self, procedure, login='claire'):
        if not procedure.facts:
            self.write(
                procedure, facts="Le bilan n’a pas été remis.", login=login)
        self.road.press(login, procedure, 'notify')
        return self.fresh(procedure)

    def hear(self, procedure, login='claire'):
        self.write(
            procedure, login=login, observations="Nous le reconnaissons.",
            observations_on=self.road.today)
        self.road.press(login, procedure, 'hear')
        return self.fresh(procedure)

    def decide(self, procedure, outcome='upheld', login='marc', **values):
        self.write(
            procedure, login=login, outcome=outcome,
            decision="Les faits sont établis.", **values)
        self.road.press(login, procedure, 'decide')
        return self.fresh(procedure)

    def carry_to_certified(self, instalment):
        "Put the instalment behind every rule where finance has it."
        set_state(instalment, 'certified')

    # What ends a convention

    def test_terminate_needs_a_procedure(self):
        "At every door: button, batch, module code, written state"
        road, convention = self.road, self.dossier.convention
        issued = self.dossier.issued
        for record, button in [(convention, 'terminate'), (issued, 'lapse')]:
            Convention = record.__class__
            self.write(record, login='marc', ending_reason="Faits")
            with self.refused(
                    TransitionError, f'convention_{button}_procedure',
                    record.rec_name):
                road.press('marc', record, button)
            with self.refused(
                    TransitionError, f'convention_{button}_procedure'), \
                    road.system():
                getattr(Convention, button)([Convention(record.id)])
            with self.forbidden():
                road.write('marc', record, state='terminated')
            for login in ['claire', 'sophie', 'paul', 'alice']:
                with self.forbidden():
                    road.press(login, record, button)
        with self.refused(TransitionError, 'convention_terminate_procedure'):
            other = self.active(50)
            road.press('marc', [convention, other], 'terminate')
        self.assertState(convention, 'active')
        self.assertState(issued, 'issued')

    def test_undecided_procedure_ends_nothing(self):
        road, convention = self.road, self.dossier.convention
        self.write(convention, login='marc', ending_reason="Faits")
        procedure = self.hear(self.notify(self.breach()))
        with self.refused(TransitionError, 'convention_terminate_procedure'):
            road.press('marc', convention, 'terminate')
        self.decide(procedure, 'dropped')
        with self.refused(TransitionError, 'convention_terminate_procedure'):
            road.press('marc', convention, 'terminate')
        self.assertState(convention, 'active')

    # Breach

    def test_breach(self):
        """10 000 € over 91 days, 61 left: 6 703.30 are withdrawn, 5 000 of
        them were not paid"""
        road, dossier = self.road, self.dossier
        procedure = self.breach()
        line, = procedure.lines
        self.assertEqual(
            (line.amount, line.paid, line.days, line.days_left),
            (Decimal(10000), Decimal(5000), 91, 61))
        self.assertEqual(
            (line.withdrawn, line.to_repay, line.to_cancel, line.still_due), (
                Decimal('6703.30'), Decimal('1703.30'), Decimal(5000),
                Decimal(0)))
        self.assertEqual(procedure.hearing_days, 10)
        self.assertIn("2021-1947", procedure.legal_basis)
        procedure = self.notify(procedure)
        self.assertEqual(
            procedure.respond_before, road.today + dt.timedelta(days=10))
        procedure = self.decide(self.hear(procedure))
        self.assertEqual(procedure.state, 'decided')
        self.assertEqual(procedure.repay_amount, Decimal('1703.30'))
        months = road.today.month + 6
        self.assertEqual(
            (procedure.repay_before.year, procedure.repay_before.month), (
                road.today.year + (months - 1) // 12, (months - 1) % 12 + 1))
        self.assertState(dossier.convention, 'terminated')
        self.assertState(dossier.balance, 'cancelled')
        self.assertState(dossier.advance, 'paid')
        self.assertIn(
            "Les faits sont établis.", dossier.convention.ending_reason)
        commitment = dossier.convention.decisions[0].commitment
        self.assertEqual(commitment.amount, Decimal(5000))
        with road.system():
            event, = Pool().get('grant.event').search([
                    ('record', '=', str(dossier.convention)),
                    ('name', '=', 'decide')])
        self.assertEqual(event.user, road.users['marc'])
        self.assertEqual(event.reason, "Les faits sont établis.")

    def test_breach_closed(self):
        "Closed once the letter has left and the prefect knows"
        road = self.road
        Procedure = Pool().get('grant.procedure')
        procedure = self.decide(self.hear(self.notify(self.breach())))
        to_inform = [
            ('state', '=', 'decided'), ('kind', '=', 'cer_breach'),
            ('outcome', '=', 'upheld'), ('prefect_informed_on', '=', None)]
        self.assertEqual(Procedure.search(to_inform), [procedure])
        with self.refused(
                CompletenessError, 'procedure_not_closed',
                procedure.rec_name, "préfet"):
            road.press('claire', procedure, 'close')
        with self.refused(PeriodError, 'procedure_date'):
            self.write(procedure, prefect_informed_on=(
                    road.today - dt.timedelta(days=1)))
        self.write(
            procedure, prefect_informed_on=road.today,
            decision_tracking_number='1A 000 000 0000 1')
        self.assertFalse(Procedure.search(to_inform))
        road.press('claire', procedure, 'close')
        self.assertState(procedure, 'closed')
        with self.refused(FrozenError):
            self.write(procedure, prefect_informed_on=None)

    def test_earned_is_left(self):
        """What the days before the breach earned stays payable: 11 days of
        91 are withdrawn, from the balance alone"""
        road = self.road
        convention = self.active(11)
        road.to_paid(convention.instalments[0])
        procedure = self.breach(convention)
        line, = procedure.lines
        self.assertEqual(
            (line.withdrawn, line.to_repay, line.to_cancel, line.still_due), (
                Decimal('1208.79'), Decimal(0), Decimal('1208.79'),
                Decimal('3791.21')))
        self.decide(self.hear(self.notify(procedure)))
        convention = self.fresh(convention)
        self.assertEqual(convention.state, 'closing')
        advance, balance = convention.instalments
        self.assertEqual(balance.state, 'planned')
        self.assertEqual(balance.amount, Decimal('3791.21'))
        tranche, = convention.tranches
        self.assertEqual(tranche.reduction, Decimal('1208.79'))
        self.write(convention, login='marc', ending_reason="Encore")
        with self.refused(TransitionError, 'convention_terminate_procedure'):
            road.press('marc', convention, 'terminate')

    def test_earned_payment_under_way(self):
        road = self.road
        convention = self.active(11)
        procedure = self.hear(self.notify(self.breach(convention)))
        road.press('claire', convention.instalments[0], 'certify')
        with self.refused(
                FrozenError, 'convention_end_payment', convention.rec_name):
            self.decide(procedure)
        self.assertState(convention, 'active')

    def test_breach_of_a_commune(self):
        convention = self.dossier.convention
        party = convention.party
        party.__class__.write([party], {'partner_kind': 'commune'})
        with self.refused(
                PartnerError, 'procedure_no_commitment', party.rec_name):
            self.open('open_cer_breach')

    def test_letter_misses(self):
        "Everything that the letter needs is said at once"
        procedure = self.open('open_cer_breach')
        with self.refused(
                CompletenessError, 'procedure_not_notified',
                procedure.rec_name, "faits", "manquement"):
            self.road.press('claire', procedure, 'notify')
        end = self.dossier.convention.end_date
        set_state(self.dossier.convention, 'active', end_date=(
                self.road.today - dt.timedelta(days=1)))
        self.write(procedure, facts="Faits", breach_date=self.road.today)
        with self.refused(
                CompletenessError, 'procedure_not_notified',
                self.road.today.strftime('%d/%m/%Y')):
            self.road.press('claire', procedure, 'notify')
        with self.refused(PeriodError, 'procedure_date'):
            self.write(procedure, breach_date=end)

    # Delays

    def test_heard_too_early(self):
        road = self.road
        procedure = self.notify(self.breach())
        day = dt.timedelta(days=1)
        with self.refused(
                PeriodError, 'procedure_hear_early', procedure.rec_name,
                procedure.respond_before.strftime('%d/%m/%Y')):
            road.press('claire', procedure, 'hear')
        self.write(procedure, observations="Nous contestons.")
        with self.refused(
                CompletenessError, 'procedure_observations_date'):
            road.press('claire', procedure, 'hear')
        self.write(
            procedure, observations=None, observations_on=road.today)
        with self.refused(CompletenessError, 'procedure_observations'):
            road.press('claire', procedure, 'hear')
        self.write(procedure, observations_on=None)
        # The delay ends today: not yet; it ended yesterday: now.
        set_state(
            procedure, 'notified', respond_before=road.today,
            notified_on=road.today - 10 * day)
        with self.refused(PeriodError, 'procedure_hear_early'):
            road.press('claire', procedure, 'hear')
        set_state(procedure, 'notified', respond_before=road.today - day)
        road.press('claire', procedure, 'hear')
        self.assertState(procedure, 'heard')

    def test_delay_runs_from_the_reception(self):
        road = self.road
        procedure = self.notify(self.breach())
        day = dt.timedelta(days=1)
        set_state(
            procedure, 'notified', notified_on=road.today - 12 * day,
            respond_before=road.today - 2 * day)
        self.write(
            procedure, received_on=road.today - 9 * day,
            tracking_number='1A 000 000 0000 0')
        self.assertEqual(
            self.fresh(procedure).respond_before, road.today + day)
        with self.refused(PeriodError, 'procedure_hear_early'):
            road.press('claire', procedure, 'hear')
        with self.refused(PeriodError, 'procedure_date'):
            self.write(procedure, received_on=road.today - 13 * day)

    def test_minimum_delays(self):
        procedure = self.breach()
        with self.refused(PeriodError, 'procedure_minimum_days', "10"):
            self.write(procedure, hearing_days=9)
        self.write(procedure, hearing_days=20)
        with self.refused(FrozenError):
            self.write(self.notify(procedure), hearing_days=10)

    def test_notice(self):
        "A termination waits for its notice, unless the partner agreed"
        road = self.road
        procedure = self.hear(self.notify(self.open()))
        self.assertEqual(procedure.notice_months, 2)
        with self.refused(
                PeriodError, 'procedure_notice', procedure.rec_name,
                procedure.decide_after.strftime('%d/%m/%Y')):
            self.decide(procedure)
        self.decide(procedure, notice_agreed_on=road.today)
        self.assertState(self.dossier.convention, 'terminated')

    def test_notice_over(self):
        procedure = self.hear(self.notify(self.open()))
        set_state(procedure, 'heard', decide_after=self.road.today)
        self.decide(procedure)
        self.assertState(self.dossier.convention, 'terminated')

    def test_repay_before(self):
        road = self.road
        procedure = self.hear(self.notify(self.breach()))
        for days in [-1, 190]:
            with self.refused(
                    PeriodError, 'procedure_repay_before',
                    procedure.rec_name):
                self.decide(procedure, repay_before=(
                        road.today + dt.timedelta(days=days)))
        before = road.today + dt.timedelta(days=90)
        procedure = self.decide(procedure, repay_before=before)
        self.assertEqual(procedure.repay_before, before)

    # Amounts of a termination

    def test_termination_amounts(self):
        "What is paid and not justified is typed, with a reason"
        road = self.road
        procedure = self.open()
        line, = procedure.lines
        self.assertEqual(
            (line.paid, line.to_cancel, line.to_repay),
            (Decimal(5000), Decimal(5000), None))
        with self.refused(AmountError, 'procedure_line_paid', line.rec_name):
            self.write(line, to_repay=Decimal('5000.01'))
        self.write(line, to_repay=Decimal('1234.56'))
        self.write(procedure, facts="Bilan absent.")
        with self.refused(
                CompletenessError, 'procedure_line_reason', line.rec_name):
            road.press('claire', procedure, 'notify')
        self.write(line, to_repay=Decimal(1300), reason="Non justifié")
        procedure = self.notify(procedure)
        # After the letter it only goes down.
        with self.refused(
                AmountError, 'procedure_line_announced', line.rec_name):
            self.write(line, to_repay=Decimal('1300.01'))
        self.write(line, to_repay=Decimal('1234.56'))
        procedure = self.hear(procedure)
        procedure = self.decide(procedure, notice_agreed_on=road.today)
        self.assertEqual(procedure.repay_amount, Decimal('1234.56'))
        self.assertEqual(procedure.cancel_amount, Decimal(5000))
        with self.refused(FrozenError):
            self.write(line, to_repay=Decimal(0))

    def test_computed_lines(self):
        "Nobody types what is computed"
        line, = self.breach().lines
        for name, value in [
                ('to_repay', Decimal(1)), ('paid', Decimal(1)),
                ('amount', Decimal(1)), ('still_due', Decimal(1))]:
            for login in ['claire', 'marc']:
                with self.forbidden():
                    self.write(line, login=login, **{name: value})
        with self.refused(FrozenError), self.road.as_user('claire'):
            line.__class__.delete([line])
        with self.refused(FrozenError), self.road.as_user('claire'):
            line.__class__.create([{
                        'procedure': line.procedure.id,
                        'tranche': line.tranche.id,
                        'amount': Decimal(1), 'paid': Decimal(1),
                        'to_cancel': Decimal(0)}])

    def test_schedule_moved(self):
        "A payment between letter and decision has to be looked at again"
        road, dossier = self.road, self.dossier
        procedure = self.hear(self.notify(self.breach()))
        self.write(dossier.balance, cancel_reason="Réduction")
        road.press('marc', dossier.balance, 'cancel')
        with self.refused(
                AmountError, 'procedure_amounts_moved',
                dossier.convention.rec_name):
            self.decide(procedure)
        road.press('claire', procedure, 'compute')
        procedure = self.decide(self.fresh(procedure))
        # 5 000 × 61 / 91
        self.assertEqual(procedure.repay_amount, Decimal('3351.65'))

    # Lapse

    def test_lapse(self):
        "One click fills it in, one letter, no refund"
        road, dossier = self.road, self.dossier
        before = dossier.envelope.committed
        procedure = self.open('open_lapse', dossier.issued)
        self.assertIn(dossier.issued.number, procedure.facts)
        procedure = self.notify(procedure)
        procedure = self.hear(procedure)
        procedure = self.decide(procedure)
        self.assertState(dossier.issued, 'lapsed')
        self.assertEqual(
            [d.kind for d in procedure.documents], ['hearing'])
        self.assertEqual(procedure.repay_amount, 0)
        self.assertEqual(procedure.cancel_amount, Decimal(10000))
        forget()
        self.assertEqual(dossier.envelope.committed, before - 10000)
        road.press('claire', procedure, 'close')
        self.assertState(procedure, 'closed')

    def test_kinds_and_states(self):
        dossier, Procedure = self.dossier, Pool().get('grant.procedure')
        for convention, kind in [
                (dossier.issued, 'termination'),
                (dossier.issued, 'cer_breach'),
                (dossier.convention, 'lapse')]:
            with self.refused(
                    TransitionError, 'procedure_convention_state',
                    convention.rec_name), self.road.system():
                Procedure.open([convention], kind)
            with self.refused(UserError), self.road.as_user('claire'):
                Procedure.create([{
                            'convention': convention.id, 'kind': kind}])

    def test_one_at_a_time(self):
        first = self.open()
        self.assertEqual(self.open(), first)
        with self.refused(
                TransitionError, 'procedure_under_way',
                self.dossier.convention.rec_name, first.rec_name):
            self.open('open_cer_breach')
        self.write(first, abandon_reason="Réglé")
        self.road.press('claire', first, 'abandon')
        second = self.open('open_cer_breach')
        self.assertNotEqual(first, second)
        with self.refused(TransitionError, 'procedure_under_way'):
            self.road.press('marc', first, 'reopen')

    # Duties and rights

    def test_duties(self):
        "Who drafts, notifies or types the amounts does not decide"
        road = self.road
        with self.refused(DutyError, 'procedure_duty', "Marc"):
            self.decide(self.hear(self.notify(self.breach(login='marc'))))
        with self.refused(DutyError, 'procedure_duty', "Marc"):
            procedure = self.notify(self.breach(), login='marc')
            self.decide(self.hear(procedure))
        with self.refused(DutyError, 'procedure_duty', "Marc"):
            procedure = self.open()
            line, = procedure.lines
            self.write(
                line, login='marc', to_repay=Decimal(1), reason="Reste")
            self.decide(
                self.hear(self.notify(procedure)),
                notice_agreed_on=road.today)
        with self.refused(DutyError, 'procedure_duty', "Marc"):
            procedure = self.breach()
            self.write(procedure, login='marc', facts="Autres faits")
            self.decide(self.hear(self.notify(procedure)))
        # Taken back and issued again by somebody else: still not
        with self.refused(DutyError, 'procedure_duty', "Marc"):
            procedure = self.notify(self.breach(), login='marc')
            road.press('marie', procedure, 'reopen')
            self.decide(self.hear(self.notify(self.fresh(procedure))))
        self.decide(
            self.hear(self.notify(self.breach(login='marc'))), login='marie')
        self.assertState(self.dossier.convention, 'terminated')

    def test_rights(self):
        road = self.road
        Procedure = Pool().get('grant.procedure')
        procedure = self.hear(self.notify(self.breach()))
        for login in ['lea', 'sophie', 'paul', 'alice']:
            with road.as_user(login):
                self.assertEqual(
                    Procedure.search([('id', '=', procedure.id)]),
                    [procedure])
            for button, states in STEPS.items():
                if 'heard' in states:
                    with self.forbidden():
                        road.press(login, procedure, button)
            with self.forbidden():
                road.write(login, procedure, observations="Autres")
            with self.forbidden(), road.as_user(login):
                Procedure.create([{
                            'convention': self.dossier.convention.id}])
            with self.forbidden():
                self.open('open_lapse', self.dossier.issued, login=login)
        with self.forbidden():
            road.press('claire', procedure, 'decide')
        with road.as_user('jean'):
            self.assertFalse(
                Procedure.search([('id', '=', procedure.id)]))
            with self.assertRaises(AccessError):
                Procedure.read([procedure.id], ['number'])
        self.decide(procedure, 'dropped')
        with road.as_user('jean'):
            self.assertEqual(
                Procedure.search([('id', '=', procedure.id)]), [procedure])

    # Steps

    def test_steps(self):
        "Every button in every state that does not offer it is refused"
        road = self.road
        procedure = self.breach()
        labels = dict(procedure.fields_get(['state'])['state']['selection'])
        self.assertEqual(set(STEPS), set(procedure._buttons))
        for button, states in STEPS.items():
            login = 'marc' if button in {'decide', 'reopen'} else 'claire'
            for state in labels:
                if state in states:
                    continue
                with self.subTest(button=button, state=state):
                    with self.refused(TransitionError):
                        set_state(procedure, state)
                        road.press(login, procedure, button)
                    with self.refused(TransitionError), road.system():
                        set_state(procedure, state)
                        getattr(procedure.__class__, button)(
                            [procedure.__class__(procedure.id)])

    def test_state_written(self):
        road = self.road
        procedure = self.breach()
        Procedure = procedure.__class__
        for login in ['claire', 'marc', 'alice']:
            for state, _ in Procedure.state.selection:
                if state == 'draft':
                    continue
                with self.forbidden():
                    road.write(login, procedure, state=state)
                with self.forbidden(), road.as_user(login):
                    Procedure.create([{
                                'convention': self.dossier.issued.id,
                                'kind': 'lapse', 'state': state}])
        for name, value in [
                ('convention', self.dossier.issued.id), ('kind', 'lapse'),
                ('notified_on', road.today), ('decided_on', road.today),
                ('drafted_by', road.users['marc'].id),
                ('respond_before', road.today)]:
            with self.forbidden():
                self.write(procedure, **{name: value})

    def test_undecided(self):
        procedure = self.hear(self.notify(self.breach()))
        self.write(procedure, login='marc', outcome='upheld')
        with self.refused(
                CompletenessError, 'procedure_decision', procedure.rec_name):
            self.road.press('marc', procedure, 'decide')
        self.write(procedure, login='marc', outcome=None, decision="Motif")
        with self.refused(CompletenessError, 'procedure_decision'):
            self.road.press('marc', procedure, 'decide')

    def test_decided_is_frozen(self):
        procedure = self.decide(
            self.hear(self.notify(self.breach())), 'dropped')
        for name, value in [
                ('decision', "Autre"), ('outcome', 'upheld'),
                ('facts', "Autres"), ('observations', "Autres")]:
            with self.refused(FrozenError):
                self.write(procedure, login='marc', **{name: value})
        self.assertState(self.dossier.convention, 'active')
        self.assertState(self.dossier.balance, 'planned')

    def test_abandoned(self):
        road = self.road
        procedure = self.notify(self.breach())
        with self.refused(
                CompletenessError, 'procedure_abandon_reason',
                procedure.rec_name):
            road.press('claire', procedure, 'abandon')
        self.write(procedure, abandon_reason="Régularisé")
        road.press('claire', procedure, 'abandon')
        with self.forbidden(), road.as_user('claire'):
            procedure.__class__.delete([procedure])
        road.press('marc', procedure, 'reopen')
        procedure = self.fresh(procedure)
        self.assertEqual(procedure.state, 'draft')
        with self.refused(FrozenError, 'procedure_delete'), \
                road.as_user('claire'):
            procedure.__class__.delete([procedure])

    def test_taken_back(self):
        "A letter that has not left is superseded; one that has left stays"
        road = self.road
        procedure = self.notify(self.breach())
        letter, = procedure.documents
        road.press('marc', procedure, 'reopen')
        procedure = self.fresh(procedure)
        self.assertEqual(procedure.state, 'draft')
        self.assertIsNone(procedure.respond_before)
        self.assertEqual(self.fresh(letter).state, 'superseded')
        procedure = self.notify(procedure)
        self.assertEqual(
            sorted(d.state for d in procedure.documents),
            ['sealed', 'superseded'])
        self.write(procedure, tracking_number='1A 000 000 0000 0')
        with self.refused(
                FrozenError, 'procedure_sent', procedure.rec_name):
            road.press('marc', procedure, 'reopen')
        procedure = self.hear(procedure)
        road.press('marc', procedure, 'reopen')
        self.assertState(procedure, 'notified')
        with road.system():
            self.assertTrue(Pool().get('grant.event').search([
                        ('record', '=', str(procedure)),
                        ('name', '=', 'state')]))

    def test_never_copied(self):
        procedure = self.breach()
        with self.refused(AccessError, 'procedure_copy', procedure.rec_name):
            procedure.__class__.copy([procedure])

    # Letters

    def text(self, document):
        "The words of an ODT document."
        import io
        import re
        import zipfile
        data = bytes(document.data)
        if data[:2] == b'PK':
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                data = archive.read('content.xml')
        text = re.sub(r'<[^>]+>', ' ', data.decode('utf-8'))
        return ' '.join(text.replace('\u202f', ' ').split())

    def test_letters(self):
        "Sealed, neutral, with facts, texts, delay, amounts and remedies"
        road, dossier = self.road, self.dossier
        convention_document = dossier.convention.document
        procedure = self.notify(self.breach())
        hearing, = procedure.documents
        self.assertEqual(
            (hearing.kind, hearing.state, hearing.convention),
            ('hearing', 'sealed', dossier.convention))
        self.assertTrue(hearing.verify_seal())
        text = self.text(hearing)
        for words in [
                "des habitants ont été exclus", "2021-1947", "10 jours",
                "61 / 91", "1 703,30", "5 000,00", "L. 122‑1",
                "de vive voix", "recommandée"]:
            self.assertIn(words, text)
        for words in [
                "PROJET", "[à compléter]", "contrepartie", "prestation",
                "obligation de résultat", "Télérecours"]:
            self.assertNotIn(words, text)
        self.assertEqual(
            self.fresh(dossier.convention).document, convention_document)
        with self.refused(FrozenError), road.system():
            hearing.__class__.write([hearing], {'name': "Autre"})
        procedure = self.decide(self.hear(procedure))
        decision = procedure.documents[0]
        self.assertEqual(decision.kind, 'decision')
        text = self.text(decision)
        for words in [
                "Les faits sont établis.", "retirée", "1 703,30",
                "tribunal administratif de Lille", "Vos observations",
                f"{procedure.repay_before.year}"]:
            self.assertIn(words, text)
        with self.refused(FrozenError), road.system():
            hearing.__class__.delete([hearing])

    def test_letter_of_a_dropped_procedure(self):
        procedure = self.decide(
            self.hear(self.notify(self.breach())), 'dropped')
        text = self.text(procedure.documents[0])
        self.assertIn("Aucune suite", text)
        self.assertNotIn("1 703,30", text)

    def test_letter_of_a_lapse(self):
        procedure = self.notify(
            self.open('open_lapse', self.dossier.issued))
        document, = procedure.documents
        text = self.text(document)
        for words in [
                "caducité", "15 jours", "signée ne nous parvient pas"]:
            self.assertIn(words, text)
        # The decision comes in a letter of its own.
        self.assertNotIn("la seule", text)
        self.assertNotIn("tribunal", text)
        self.assertIn(':H1:', document.reference)

    def test_letter_finds_its_convention(self):
        "A page of a letter that comes back bears its code"
        procedure = self.notify(self.breach())
        document, = procedure.documents
        with self.road.as_user('claire'):
            found = document.find_references([document.reference])
        self.assertEqual(found, {document.reference: document})
        with zipfile.ZipFile(io.BytesIO(document.data)) as archive:
            footers = archive.read('styles.xml').decode()
        self.assertEqual(footers.count(document.reference), 2)
        self.assertEqual(footers.count('xlink:href="Pictures/'), 2)

    def test_letter_of_a_termination(self):
        "A formal notice, with what is asked back and why"
        procedure = self.open()
        line, = procedure.lines
        self.write(line, to_repay=Decimal(300), reason="Achats non prouvés")
        procedure = self.notify(procedure)
        text = self.text(procedure.documents[0])
        for words in [
                "mise en demeure", "2 mois", "300,00", "Achats non prouvés",
                "15 jours", "seraient à reverser"]:
            self.assertIn(words, text)
        procedure = self.decide(
            self.hear(procedure), notice_agreed_on=self.road.today)
        text = self.text(procedure.documents[0])
        for words in [
                "La convention est résiliée", "300,00",
                "payeur départemental"]:
            self.assertIn(words, text)
        self.assertNotIn("seraient", text)

    def test_draft_letter(self):
        "What is printed before is marked as a draft"
        Letter = Pool().get('grant.procedure.letter', type='report')
        procedure = self.breach()
        with self.road.as_user('claire'):
            extension, data, *_ = Letter.execute([procedure.id], {
                    'action_id': Pool().get('ir.model.data').get_id(
                        'pacte_grants', 'report_procedure_odt'),
                    'model': 'grant.procedure', 'id': procedure.id,
                    'ids': [procedure.id]})
        with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
            self.assertIn(b'PROJET', archive.read('styles.xml'))

    def test_recall_keeps_the_letters(self):
        road, issued = self.road, self.dossier.issued
        text = issued.document
        procedure = self.notify(self.open('open_lapse', issued))
        self.write(procedure, abandon_reason="Signée entre-temps")
        road.press('claire', procedure, 'abandon')
        self.write(issued, ending_reason="Adresse corrigée")
        road.press('claire', issued, 'recall')
        self.assertEqual(self.fresh(text).state, 'superseded')
        letter, = self.fresh(procedure).documents
        self.assertEqual(letter.state, 'sealed')

    # Batches

    def test_batch(self):
        "Three at once, by the same rules; one that is refused stops all"
        road = self.road
        conventions = [self.active(61) for _ in range(3)]
        for convention in conventions:
            road.to_paid(convention.instalments[0])
        with road.as_user('claire'):
            Convention = conventions[0].__class__
            action = Convention.open_cer_breach(
                Convention.browse(conventions))
        Procedure = Pool().get('grant.procedure')
        procedures = Procedure.browse(action['res_id'])
        for procedure in procedures:
            self.write(
                procedure, facts="Faits", breach_date=road.today)
        road.press('claire', procedures, 'notify')
        for procedure in procedures:
            self.write(
                procedure, observations="Oui", observations_on=road.today)
        road.press('claire', procedures, 'hear')
        for procedure in procedures:
            self.write(
                procedure, login='marc', outcome='upheld',
                decision="Établis")
        self.carry_to_certified(conventions[1].instalments[1])
        with self.refused(UserError, None, conventions[1].rec_name):
            road.press('marc', procedures, 'decide')
        for procedure, convention in zip(
                procedures, conventions, strict=True):
            self.assertState(procedure, 'heard')
            self.assertState(convention, 'active')
        done = [procedures[0], procedures[2]]
        road.press('marc', done, 'decide')
        for procedure in done:
            self.assertState(procedure, 'decided')
            self.assertState(procedure.convention, 'terminated')
        for model, buttons in [
                (Procedure, STEPS), (Convention, [
                    'open_procedure', 'open_cer_breach', 'open_lapse'])]:
            for button in buttons:
                with road.system():
                    getattr(model, button)([])

    def test_queries(self):
        "Lists and amounts take as many queries for one as for many"
        road = self.road
        Procedure = Pool().get('grant.procedure')
        ids = [self.breach().id]
        ids += [self.breach(self.active(40)).id for _ in range(3)]

        def read(ids):
            with road.as_user('claire'):
                return Procedure.read(ids, [
                        'repay_amount', 'cancel_amount', 'due_amount',
                        'whose_turn', 'party.rec_name', 'respond_before'])
        self.assertEqual(
            count_selects(read, ids[:1]), count_selects(read, ids))

    # Texts in force

    def test_basis(self):
        Basis = Pool().get('grant.procedure.basis')
        with self.road.as_user('alice'):
            Basis.create([{
                        'kind': 'lapse', 'text': "Nouveau texte",
                        'valid_from': self.road.today, 'source': "Essai"}])
        yesterday = self.road.today - dt.timedelta(days=1)
        self.assertEqual(Basis.get('lapse'), "Nouveau texte")
        self.assertIn("L.\u00a0122‑1", Basis.get('lapse', yesterday))
        with self.refused(CompletenessError, 'procedure_basis_missing'):
            Basis.get('cer_breach', dt.date(2021, 1, 1))
        basis = Basis.search([('kind', '=', 'termination')])
        with self.refused(AccessError, 'parameter_added_not_edited'), \
                self.road.as_user('alice'):
            Basis.write(basis, {'text': "Autre"})
