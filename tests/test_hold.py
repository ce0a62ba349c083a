# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Holds: who places and lifts them, what they stop, what they do to the delay."
import datetime as dt
from decimal import Decimal

from trytond.model.exceptions import AccessError
from trytond.pool import Pool
from trytond.transaction import Transaction

from trytond.modules.pacte_grants.exceptions import (
    BlockedError, CompletenessError, DutyError, FrozenError, PeriodError,
    SettingsError, TransitionError)

from .refusal import Dossier, RefusalCase, forget, set_state


class HoldCase(RefusalCase):

    @classmethod
    def prepare(cls):
        cls.convention = cls.road.to_active()
        cls.dossier = Dossier.of(cls.convention)
        with cls.road.system():
            cls.road.session = cls.road.create_session()
        cls.other = cls.road.to_active(party=cls.convention.party)

    def place(self, record, login='claire', **values):
        Hold = Pool().get('grant.hold')
        values.setdefault('kind', 'audit')
        with self.road.as_user(login):
            hold, = Hold.place([record], **values)
        forget()
        return Hold(hold.id)

    def lift(self, hold, login='claire', reason="Contrôle terminé."):
        self.road.write(login, hold, lift_reason=reason)
        self.road.press(login, hold, 'lift')
        forget()
        return hold.__class__(hold.id)

    def move(self, hold, **values):
        "Put the hold at other dates behind the back of every rule."
        table = hold.__table__()
        cursor = Transaction().connection.cursor()
        cursor.execute(*table.update(
                [getattr(table, n) for n in values], list(values.values()),
                where=table.id == hold.id))
        hold._local_cache.pop(hold.id, None)
        forget()

    def codes(self, instalment):
        forget()
        Instalment = instalment.__class__
        with self.road.as_user('claire'):
            return [
                b.code for b in Instalment(instalment.id).blockers]


class HoldTestCase(HoldCase):
    "Placing, lifting, blocking"

    def test_place(self):
        "The server says who placed the hold and when, and journals it"
        hold = self.place(
            self.dossier.convention, reason="Contrôle sur place")
        self.assertEqual(hold.placed_by, self.road.users['claire'])
        self.assertEqual(hold.placed_on, self.road.today)
        self.assertEqual(hold.company, self.road.company)
        self.assertTrue(hold.effective)
        event, = Pool().get('grant.event').search([
                ('record', '=', str(self.dossier.convention)),
                ('name', '=', 'place_hold')])
        self.assertEqual(event.reason, "Contrôle sur place")

    def test_one_target(self):
        "A hold suspends exactly one thing"
        Hold = Pool().get('grant.hold')
        for targets in [
                {},
                {
                    'party': self.dossier.party.id,
                    'convention': self.dossier.convention.id,
                    }]:
            with self.subTest(targets=targets), \
                    self.refused(SettingsError, 'hold_target'), \
                    self.road.as_user('claire'):
                Hold.create([{'kind': 'audit', **targets}])

    def test_other_reason(self):
        with self.refused(CompletenessError, 'hold_reason'):
            self.place(self.dossier.party, kind='other', reason=" ")

    def test_expires_before(self):
        with self.refused(PeriodError, 'hold_expires'):
            self.place(
                self.dossier.party,
                expires_on=self.road.today - dt.timedelta(days=1))

    def test_who_places(self):
        for login in ['claire', 'marc', 'paul']:
            with self.subTest(login=login):
                self.place(self.dossier.party, login)
        for login in ['lea', 'sophie', 'jean']:
            with self.subTest(login=login), self.forbidden():
                self.place(self.dossier.party, login)

    def test_forged(self):
        "Nobody says that somebody else placed it, or that it is lifted"
        Hold = Pool().get('grant.hold')
        for values in [
                {'placed_by': self.road.users['marc'].id},
                {'placed_on': dt.date(2020, 1, 1)},
                {'state': 'lifted'},
                {'lifted_on': self.road.today},
                ]:
            with self.subTest(values=values), \
                    self.refused(FrozenError), \
                    self.road.as_user('claire'):
                Hold.create([{
                            'party': self.dossier.party.id,
                            'kind': 'audit', **values}])

    def test_frozen(self):
        "A hold is not changed: it is lifted and another one is placed"
        hold = self.place(self.dossier.party)
        for values in [
                {'kind': 'debt'}, {'expires_on': self.road.today},
                {'reason': "Autre"}, {'state': 'lifted'}]:
            with self.subTest(values=values), self.refused(FrozenError):
                self.road.write('claire', hold, **values)

    def test_never_deleted(self):
        hold = self.place(self.dossier.party)
        with self.refused(AccessError, 'hold_delete'), self.road.system():
            hold.__class__.delete([hold])
        with self.forbidden(), self.road.as_user('claire'):
            hold.__class__.delete([hold])

    def test_lift(self):
        hold = self.lift(self.place(self.dossier.party))
        self.assertEqual(hold.lifted_by, self.road.users['claire'])
        self.assertEqual(hold.lifted_on, self.road.today)
        self.assertFalse(hold.effective)
        event, = Pool().get('grant.event').search([
                ('record', '=', str(self.dossier.party)),
                ('name', '=', 'lift_holds')])
        self.assertEqual(event.reason, "Contrôle terminé.")
        with self.refused(TransitionError):
            self.road.press('claire', hold, 'lift')

    def test_lift_reason(self):
        hold = self.place(self.dossier.party)
        with self.refused(CompletenessError, 'hold_lift_reason'):
            self.road.press('claire', hold, 'lift')

    def test_who_lifts(self):
        "Who placed it, the head of service, finance; no other officer"
        hold = self.place(self.dossier.party)
        with self.refused(DutyError, 'hold_lifter', 'Claire'):
            self.lift(hold, 'olivier')
        for login in ['marc', 'paul']:
            self.lift(self.place(self.dossier.party), login)
        self.lift(hold)

    def test_user_zero(self):
        with self.refused(DutyError), self.road.system(), \
                Transaction().set_user(0):
            Pool().get('grant.hold').place([self.dossier.party], 'audit')

    def test_what_is_blocked(self):
        "The partner, the convention, one instalment: no more, no less"
        advance, balance = self.dossier.convention.instalments
        elsewhere = self.road.advance(self.other)
        for record, blocked in [
                (self.dossier.party, {advance, balance, elsewhere}),
                (self.dossier.convention, {advance, balance}),
                (advance, {advance})]:
            with self.subTest(record=record):
                hold = self.place(record)
                for instalment in [advance, balance, elsewhere]:
                    self.assertEqual(
                        'hold' in self.codes(instalment),
                        instalment in blocked)
                    with self.road.as_user('lea'):
                        self.assertEqual(
                            instalment.__class__(instalment.id).suspended,
                            instalment in blocked)
                self.lift(hold)
                for instalment in [advance, balance, elsewhere]:
                    self.assertNotIn('hold', self.codes(instalment))

    def test_all_holds_are_said(self):
        "Several holds are several blockers, each with its origin"
        Blocker = Pool().get('grant.instalment.blocker')
        advance = self.dossier.instalment
        holds = {
            self.place(advance, kind='debt'), self.place(advance),
            self.place(self.dossier.party)}
        with self.road.as_user('claire'), \
                Transaction().set_context(language='fr'):
            blockers = Blocker.search([
                    ('instalment', '=', advance.id), ('code', '=', 'hold')])
            self.assertEqual({b.origin for b in blockers}, holds)
            self.assertEqual(len({b.id for b in blockers}), 3)
            text = advance.__class__(advance.id).blocker_text
            self.assertIn("Contrôle en cours", text)
            self.assertIn("Dette envers le Département", text)

    def test_expired(self):
        "An expired hold is no longer effective, whatever its state"
        hold = self.place(
            self.dossier.party, expires_on=self.road.today)
        self.assertIn('hold', self.codes(self.dossier.instalment))
        self.move(
            hold, placed_on=self.road.today - dt.timedelta(days=3),
            expires_on=self.road.today - dt.timedelta(days=1))
        self.assertNotIn('hold', self.codes(self.dossier.instalment))
        hold = hold.__class__(hold.id)
        self.assertFalse(hold.effective)
        self.assertFalse(hold.__class__.search([
                    ('id', '=', hold.id), ('effective', '=', True)]))
        self.assertTrue(hold.__class__.search([
                    ('id', '=', hold.id), ('effective', '=', False)]))

    def test_certify(self):
        self.place(self.dossier.party)
        with self.refused(BlockedError):
            self.road.press('claire', self.dossier.instalment, 'certify')

    def test_approve_and_send(self):
        "A hold placed later blocks the approval, then the sending"
        instalment = self.dossier.instalment
        self.road.press('claire', instalment, 'certify')
        hold = self.place(instalment, 'paul')
        with self.refused(BlockedError):
            self.road.press('nadia', instalment, 'approve')
        self.lift(hold, 'paul')
        self.road.press('nadia', instalment, 'approve')
        self.place(self.dossier.convention, 'marc')
        with self.refused(BlockedError):
            self.road.press('nadia', instalment, 'process')

    def test_suspended_search(self):
        "The flag is found as it is shown"
        pool = Pool()
        self.place(self.dossier.convention)
        for name, found in [
                ('party.party', False),
                ('grant.convention', True),
                ('grant.instalment', True)]:
            Model = pool.get(name)
            with self.subTest(model=name), self.road.as_user('lea'):
                suspended = Model.search([('suspended', '=', True)])
                self.assertEqual(bool(suspended), found)
                rest = Model.search([('suspended', '=', False)])
                self.assertFalse(set(suspended) & set(rest))
                self.assertEqual(
                    len(suspended) + len(rest),
                    Model.search([], count=True))
                for record in suspended + rest:
                    self.assertEqual(
                        record.suspended, record in suspended)

    def test_suspended_since(self):
        "Lists say since when: the first of the holds that are effective"
        pool = Pool()
        Due = pool.get('grant.due')
        Instalment = pool.get('grant.instalment')
        convention = self.dossier.convention

        def since():
            forget()
            with self.road.as_user('lea'):
                dues = Due.read(
                    [d.id for d in Due.search(
                            [('convention', '=', convention.id)])],
                    ['suspended_since'])
                due, = {d['suspended_since'] for d in dues}
                row, = Instalment.read(
                    [self.dossier.instalment.id], ['suspended_since'])
            return row['suspended_since'], due

        def place(target, days):
            hold = self.place(target)
            date = self.road.today - dt.timedelta(days=days)
            self.move(hold, placed_on=date)
            return hold, date

        self.assertEqual(since(), (None, None))
        _, recent = place(self.dossier.party, 2)
        self.assertEqual(since(), (recent, recent))
        hold, early = place(convention, 9)
        self.assertEqual(since(), (early, early))
        self.lift(hold)
        self.assertEqual(since(), (recent, recent))
        # That of one payment is not one of the convention
        _, own = place(self.dossier.instalment, 5)
        self.assertEqual(since(), (own, recent))

    def test_can_pay(self):
        "The partner and the convention say whether and why not"
        def answers():
            forget()
            with self.road.as_user('lea'), \
                    Transaction().set_context(language='fr'):
                return [
                    r.__class__(r.id).can_pay for r in [
                        self.dossier.party, self.dossier.convention]]
        party, convention = answers()
        self.assertEqual(party, "Oui")
        self.assertRegex(
            convention, "^En partie : oui pour Avance .* ; "
            "non pour Solde .*Engagement du partenaire non tenu")
        hold = self.place(self.dossier.convention)
        party, convention = answers()
        self.assertEqual(party, "Oui")
        self.assertTrue(convention.startswith("Non"), convention)
        self.assertIn("Contrôle en cours", convention)
        self.lift(hold)
        self.place(self.dossier.party)
        for answer in answers():
            self.assertIn("Contrôle en cours", answer)

    def test_can_pay_instalment(self):
        "The answer on the payment is what blocks it"
        def answers(record):
            forget()
            with self.road.as_user('lea'), \
                    Transaction().set_context(language='fr'):
                record = record.__class__(record.id)
                return record.can_pay, [
                    b.description for b in record.blockers]
        advance, balance = self.dossier.convention.instalments
        self.assertEqual(answers(advance), ("Oui", []))
        answer, reasons = answers(balance)
        self.assertTrue(reasons)
        self.assertEqual(answer, f"Non : {' ; '.join(reasons)}")
        self.place(self.dossier.instalment)
        answer, _ = answers(advance)
        self.assertIn("Contrôle en cours", answer)
        balance = set_state(balance, 'paid')
        self.assertEqual(
            answers(balance),
            ("Non : le versement est à l’état « Payé »", []))

    def test_can_pay_all_blocked(self):
        "Nothing is payable, or nothing is left to pay"
        advance, balance = self.dossier.convention.instalments
        set_state(advance, 'paid')
        self.assertRegex(
            self.dossier.convention.can_pay, r"^Non : Solde \d+ \(.*\)$")
        set_state(balance, 'cancelled')
        self.assertEqual(
            self.dossier.convention.can_pay,
            "Non : il ne reste rien à payer")

    def test_holds_listed(self):
        "The tab of each record shows what concerns it"
        ids = {
            self.place(r).id for r in [
                self.dossier.party, self.dossier.convention,
                self.dossier.instalment]}
        with self.road.as_user('lea'):
            for record in [
                    self.dossier.party, self.dossier.convention,
                    self.dossier.instalment]:
                self.assertEqual({h.id for h in record.holds}, ids)
            self.assertEqual(len(self.other.__class__(
                        self.other.id).holds), 1)

    def run_wizard(self, login, name, records, answers):
        pool = Pool()
        Wizard = pool.get(f'grant.hold.{name}', type='wizard')
        with self.road.as_user(login), Transaction().set_context(
                active_model=records[0].__name__,
                active_id=records[0].id,
                active_ids=[r.id for r in records]):
            session, _, _ = Wizard.create()
            try:
                view = Wizard.execute(session, {}, 'start')['view']
                defaults = {
                    k: v for k, v in (view['defaults'] or {}).items()
                    if '.' not in k}
                Wizard.execute(
                    session, {'start': defaults | answers}, name)
            finally:
                Wizard.delete(session)
        forget()

    def test_wizards(self):
        "On a selection, with the rights of the user"
        records = list(self.dossier.convention.instalments)
        self.run_wizard('paul', 'place', records, {
                'kind': 'bank', 'reason': None,
                'expires_on': self.road.today})
        for record in records:
            self.assertIn('hold', self.codes(record))
        with self.refused(DutyError, 'hold_lifter'):
            self.run_wizard(
                'olivier', 'lift', records, {'reason': "Vérifié"})
        self.run_wizard('marc', 'lift', records, {'reason': "Vérifié"})
        for record in records:
            self.assertNotIn('hold', self.codes(record))
        with self.refused(CompletenessError, 'hold_none'):
            self.run_wizard('marc', 'lift', records, {'reason': "Vérifié"})
        with self.forbidden():
            self.run_wizard('lea', 'place', records, {
                    'kind': 'bank', 'reason': None, 'expires_on': None})

    def test_lift_leaves_the_partner(self):
        "Lifting from an instalment does not lift the hold of its partner"
        party = self.place(self.dossier.party)
        own = self.place(self.dossier.instalment)
        self.run_wizard(
            'marc', 'lift', [self.dossier.instalment],
            {'reason': "Vérifié"})
        self.assertState(own, 'lifted')
        self.assertState(party, 'active')


class DelayTestCase(HoldCase):
    "The delay of payment (L05) stops while a hold stands"

    def days_ago(self, days):
        return self.road.today - dt.timedelta(days=days)

    def notify(self, days):
        "Put the notification that many days ago."
        tranche = self.dossier.tranche
        table = tranche.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.notified_on], [self.days_ago(days)],
                where=table.id == tranche.id))
        tranche._local_cache.pop(tranche.id, None)
        forget()

    def hold(self, placed, expires=None, lifted=None, record=None):
        "A hold placed, expired and lifted that many days ago."
        hold = self.place(record or self.dossier.instalment)
        values = {'placed_on': self.days_ago(placed)}
        if expires is not None:
            values['expires_on'] = self.days_ago(expires)
        if lifted is not None:
            values.update(state='lifted', lifted_on=self.days_ago(lifted))
        self.move(hold, **values)
        return hold

    def check(self, days):
        "Check the days suspended in Python and in SQL alike."
        forget()
        Instalment = Pool().get('grant.instalment')
        instalment = Instalment(self.dossier.instalment.id)
        self.assertEqual(instalment.held_days, days)
        expected = instalment.due_since + dt.timedelta(days=60 + days)
        self.assertEqual(instalment.pay_before, expected)
        self.assertEqual(
            instalment.days_left, (expected - self.road.today).days)
        for operator, date, found in [
                ('=', expected, True),
                ('<', expected, False),
                ('<=', expected, True),
                ('>', expected, False),
                ('<', expected + dt.timedelta(days=1), True)]:
            self.assertEqual(bool(Instalment.search([
                            ('id', '=', instalment.id),
                            ('pay_before', operator, date)])), found,
                (operator, date))
        ordered = Instalment.search([], order=[
                ('pay_before', 'ASC NULLS LAST'), ('id', 'ASC')])
        self.assertEqual(
            ordered, sorted(ordered, key=lambda i: (
                    i.pay_before is None, i.pay_before or dt.date.max,
                    i.id)))

    def setUp(self):
        super().setUp()
        self.notify(40)

    def test_no_hold(self):
        self.check(0)

    def test_effective(self):
        "A hold that stands counts until today"
        self.hold(10)
        self.check(10)

    def test_before_due(self):
        "Only the days after the due date count"
        self.hold(50, lifted=30)
        self.check(10)
        self.hold(60, lifted=45)
        self.check(10)

    def test_placed_today(self):
        self.hold(0)
        self.check(0)

    def test_expired(self):
        "The last day counts"
        self.hold(20, expires=11)
        self.check(10)

    def test_lifted_after_expiry(self):
        self.hold(20, expires=11, lifted=2)
        self.check(10)

    def test_lifted_before_expiry(self):
        self.hold(20, expires=5, lifted=15)
        self.check(5)

    def test_overlap(self):
        "Days on which several holds stood count once"
        self.hold(30, lifted=10)
        self.hold(25, lifted=20, record=self.dossier.party)
        self.hold(15, lifted=5, record=self.dossier.convention)
        self.check(25)
        self.hold(3)
        self.check(28)
        self.hold(3)
        self.check(28)

    def test_apart(self):
        self.hold(30, lifted=25)
        self.hold(10, expires=6)
        self.check(10)

    def test_paid(self):
        "What comes after the payment does not count"
        self.hold(30, lifted=1)
        table = self.dossier.instalment.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [table.paid_on], [self.days_ago(20)],
                where=table.id == self.dossier.instalment.id))
        self.dossier.instalment._local_cache.clear()
        self.check(10)

    def test_other_instalment(self):
        "The hold of another instalment does not count"
        self.hold(30, record=self.road.advance(self.other))
        self.check(0)

    def test_late(self):
        "What is suspended does not become late"
        Instalment = Pool().get('grant.instalment')
        late = [
            ('id', '=', self.dossier.instalment.id),
            ('pay_before', '<', self.road.today)]
        self.notify(70)
        self.assertTrue(Instalment.search(late))
        self.hold(15)
        self.assertFalse(Instalment.search(late))
        self.assertEqual(self.dossier.instalment.days_left, 5)


del RefusalCase, HoldCase, Decimal
