# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Amendments where they meet payments, other votes, late papers and refusals."
import datetime as dt
from decimal import Decimal

from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, FrozenError, TransitionError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import forget
from .test_amendment import YearsCase


class EdgeTestCase(YearsCase):

    def add_amount(self, amendment, year, amount):
        Line = Pool().get('grant.amendment.tranche')
        with self.road.as_user('claire'):
            line, = Line.create([{
                        'amendment': amendment.id, 'year': year,
                        'amount': Decimal(amount)}])
        return line

    def move_back(self, record, days, *names):
        "Say that the dates of the record are days older."
        table = record.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [getattr(table, n) for n in names],
                [getattr(record, n) - dt.timedelta(days=days)
                    for n in names],
                where=table.id == record.id))
        forget()
        return self.road.fresh(record)

    def test_all_paid(self):
        "More for a year that is wholly paid wants its schedule, and gets it"
        road = self.road
        Line = Pool().get('grant.amendment.instalment')
        for condition in self.convention.conditions:
            road.write('claire', condition, evidence_note="Vu sur place")
            road.press('claire', condition, 'submit')
            road.press('claire', condition, 'meet')
        road.settle(self.convention, self.years[0])
        for instalment in self.convention.tranches[0].instalments:
            road.to_paid(instalment)
        amendment = self.open_amendment()
        self.add_amount(amendment, self.years[0], '34000')
        with self.refused(CompletenessError, 'amendment_schedule'):
            road.press('claire', amendment, 'agree')
        with road.as_user('claire'):
            Line.create([{
                        'amendment': amendment.id, 'year': self.years[0],
                        'kind': kind, 'amount': Decimal(2000)}
                    for kind in ['interim', 'balance']])
        amendment = self.sign(self.to_issued(road.fresh(amendment)))
        self.assertEqual(amendment.state, 'effective')
        self.assertEqual(
            [(i.kind, i.amount, i.state)
                for i in self.convention.tranches[0].instalments],
            [('advance', 15000, 'paid'), ('balance', 15000, 'paid'),
                ('interim', 2000, 'planned'), ('balance', 2000, 'planned')])

    def test_payment_meanwhile(self):
        "A new schedule that a payment overtook does not take effect"
        road = self.road
        Line = Pool().get('grant.amendment.instalment')
        amendment = self.open_amendment()
        with road.as_user('claire'):
            Line.create([{
                        'amendment': amendment.id, 'year': self.years[0],
                        'kind': 'balance', 'amount': Decimal(30000)}])
        amendment = self.to_issued(amendment)
        advance = self.convention.instalments[0]
        road.press('claire', advance, 'certify')
        road.press('claire', amendment, 'sign_partner')
        with self.refused(CompletenessError, 'amendment_schedule'):
            road.press('marc', amendment, 'sign_department')

    def test_new_year(self):
        "What a year more brings is in the text that the parties sign"
        amendment = self.open_amendment(
            new_end_date=self.convention.end_date + dt.timedelta(days=90))
        self.add_amount(amendment, self.years[-1] + 1, '8000.01')
        expected = amendment.get_content_after()
        self.sign(self.to_issued(amendment))
        content = self.convention.get_content()
        for part in ['convention', 'tranches', 'instalments', 'conditions']:
            self.assertEqual(
                [e['values'] for e in content[part]],
                [e['values'] for e in expected[part]], part)
        last = self.convention.tranches[-1]
        self.assertEqual(
            sum(i.amount for i in last.instalments), Decimal('8000.01'))

    def test_signed_before_correction(self):
        "Papers that come late are recorded all the same"
        road = self.road
        Convention = Pool().get('grant.convention')
        self.move_back(self.convention.text_versions[0], 30, 'effective_from')
        amendment = self.to_issued(
            self.open_amendment(new_title="Scènes ouvertes"))
        amendment = self.move_back(amendment, 10, 'issued_on')
        with road.as_user('claire'):
            Convention.correct(
                self.convention, {'purpose': "Jouer partout."},
                "Erreur\nde frappe")
        signed = self.today - dt.timedelta(days=5)
        road.write(
            'claire', amendment, partner_signature_date=signed,
            department_signature_date=signed)
        amendment = self.sign(amendment)
        self.assertEqual(amendment.state, 'effective')
        self.assertEqual(amendment.signed_partner_on, signed)
        self.assertEqual(amendment.effective_from, self.today)

    def test_reopened_together(self):
        "Two cancelled amendments do not come back at once"
        road = self.road
        Amendment = Pool().get('grant.amendment')
        cancelled = []
        for _ in range(2):
            amendment = self.open_amendment()
            road.write('claire', amendment, reason_ending="Plus utile.")
            road.press('claire', amendment, 'cancel')
            cancelled.append(amendment)
        with self.refused(TransitionError, 'amendment_under_way'), \
                road.as_user('claire'):
            Amendment.reopen(Amendment.browse([a.id for a in cancelled]))

    def test_cancelled_document(self):
        "The document of what is cancelled is superseded"
        road = self.road
        amendment = self.to_issued(
            self.open_amendment(new_title="Scènes ouvertes"))
        document, = amendment.documents
        road.write('claire', amendment, reason_ending="Refus du théâtre.")
        road.press('claire', amendment, 'cancel')
        self.assertEqual(road.fresh(document).state, 'superseded')

    def test_refused_after_vote(self):
        "The partner does not sign what was voted: nothing stays committed"
        road = self.road
        envelope = road.fresh(road.envelope)
        before = envelope.available
        amendment = self.open_amendment()
        self.add_amount(amendment, self.years[0], '36000')
        amendment = self.to_issued(amendment)
        self.assertEqual(
            road.fresh(road.envelope).available, before - 6000)
        road.write('claire', amendment, reason_ending="Refus du théâtre.")
        road.press('claire', amendment, 'cancel')
        self.assertEqual(road.fresh(road.envelope).available, before)
        self.assertEqual(
            self.convention.applications[0].granted_amount, 30000)
        self.assertEqual(self.amount(self.years[0]), 30000)
        with self.refused(FrozenError, 'amendment_voted'):
            road.press('claire', amendment, 'reopen')
        self.sign(self.to_issued(self.open_amendment(new_title="Autre")))

    def test_in_advance(self):
        "Signed today, in force on a later day"
        road = self.road
        Amendment = Pool().get('grant.amendment')
        later = self.today + dt.timedelta(days=20)
        amendment = self.open_amendment(
            new_title="Scènes ouvertes", effective_date=later)
        amendment = self.sign(self.to_issued(amendment))
        self.assertEqual(amendment.state, 'issued')
        self.assertEqual(amendment.signed_department_on, self.today)
        self.assertEqual(amendment.next_step, 'wait')
        with road.system():
            Amendment.take_effect_due()
        self.assertEqual(road.fresh(amendment).state, 'issued')
        self.move_back(amendment, 20, 'effective_date')
        with road.system():
            Amendment.take_effect_due()
        amendment = road.fresh(amendment)
        self.assertEqual(amendment.state, 'effective')
        self.assertEqual(amendment.effective_from, self.today)
        self.assertEqual(self.convention.title, "Scènes ouvertes")

    def test_instalment_given_up(self):
        "What leaves the schedule leaves the text that is read today"
        road = self.road
        instalment = self.convention.tranches[0].instalments[-1]
        road.write('marc', instalment, cancel_reason="Action réduite.")
        road.press('marc', instalment, 'cancel')
        version = self.convention.version_on(self.today)
        self.assertEqual(version.cause, 'reduction')
        self.assertEqual(
            version.get_content(), self.convention.get_content())

    def test_succession(self):
        "Who takes over the rights is paid, and asks for the next year"
        road = self.road
        former = self.convention.party
        successor = road.create_party()
        amendment = self.open_amendment(new_party=successor.id)
        self.sign(self.to_issued(amendment))
        convention = self.convention
        self.assertEqual(
            {d.commitment.party for d in convention.decisions
                if d.commitment}, {successor})
        advance = road.to_paid(convention.instalments[0])
        self.assertEqual(advance.payments[0].party, successor)
        self.assertEqual(advance.bank_account.owner, successor)
        self.assertEqual(convention.applications[0].party, former)
        road.press('claire', convention, 'request_tranche')
        application, = [
            a for a in self.convention.applications
            if a.year == self.years[1]]
        self.assertEqual(application.party, successor)

    def test_piecemeal(self):
        "Small changes that add up to a large one are voted"
        first = self.open_amendment()
        self.add_amount(first, self.years[1], '35000')
        first = self.to_issued(first)
        self.assertFalse(first.vote_required)
        self.sign(first)
        second = self.open_amendment()
        self.add_amount(second, self.years[2], '35000')
        self.assertIn('10\xa0000', second.vote_reasons.replace(' ', ' '))


class JournalTestCase(YearsCase):
    "What changes without amendment is journalled"

    def events(self, record):
        Event = Pool().get('grant.event')
        return [
            (e.name, e.before, e.after, e.user.login)
            for e in Event.search(
                [('record', '=', str(record))], order=[('id', 'ASC')])]

    def test_representative(self):
        road = self.road
        party = self.convention.party
        road.write('claire', party, representative_name="Sacha Modèle")
        self.assertIn(
            ('representative_name', "Camille Exemple", "Sacha Modèle",
                'claire'), self.events(party))

    def test_address(self):
        road = self.road
        party = self.convention.party
        address, = party.addresses
        road.write('claire', party, addresses=[
                ('write', [address.id], {'street': "2 rue du Test"})])
        name, before, after, login = self.events(party)[-1]
        self.assertEqual((name, login), ('addresses', 'claire'))
        self.assertIn("1 RUE DU TEST", before.upper())
        self.assertIn("2 RUE DU TEST", after.upper())

    def test_bank_account(self):
        road = self.road
        party = self.convention.party
        link, = party.bank_account_links
        road.press('nadia', link, 'unverify')
        with road.as_user('claire'):
            link.__class__.write(
                [link.__class__(link.id)],
                {'iban': 'FR7610107001011234567890129'})
        road.press('nadia', link, 'verify')
        events = [
            e for e in self.events(party)
            if e[0] == 'bank_account_links']
        self.assertEqual(
            [e[3] for e in events[-3:]], ['nadia', 'claire', 'nadia'])
        for event in events:
            for text in event[1:3]:
                self.assertNotIn('10107001011234567890', text or '')
