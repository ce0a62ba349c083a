# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The demonstration data: whole, in order, and the sums hold."
import datetime as dt
from collections import Counter, defaultdict
from decimal import Decimal

import pytest

import trytond.config as config
from tools.demo.build import AlreadyBuilt, build
from tools.demo.dates import SESSIONS, Calendar
from tools.demo.logins import LOGINS
from trytond.pool import Pool
from trytond.tests.test_tryton import (
    TestCase, activate_module, with_transaction)
from trytond.transaction import Transaction

from .refusal import CONVERT

DEFAULT = config.get('report', 'convert_command', default=CONVERT)
LIVE = ['planned', 'certified', 'approved', 'paying', 'paid']


def states(model, name='state'):
    return Counter(getattr(r, name) for r in Pool().get(model).search([]))


def labels(model):
    "The states that the model declares."
    return {s for s, _ in Pool().get(model).state.selection}


class DemoTestCase(TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        activate_module('pacte_grants', lang='fr')

    def setUp(self):
        super().setUp()
        # Without LibreOffice: the ODT are enough here.
        config.set(
            'report', 'convert_command', 'no-such-converter "%(input_path)s"')
        self.addCleanup(config.set, 'report', 'convert_command', DEFAULT)

    @with_transaction()
    def test_demo(self):
        "The demonstration holds what make run promises"
        today = dt.date.today()
        world = build(today)
        with world.office.installation():
            for check in [
                    self.check_counts, self.check_users,
                    self.check_amounts, self.check_envelopes,
                    self.check_schedules, self.check_blockers,
                    self.check_payer,
                    self.check_in_kind,
                    self.check_duties, self.check_dates]:
                with self.subTest(check.__name__):
                    check()
            with pytest.raises(AlreadyBuilt):
                build(today)

    def check_counts(self):
        pool = Pool()
        self.assertGreaterEqual(
            pool.get('grant.scheme').search([], count=True), 15)
        applications = states('grant.application')
        self.assertGreaterEqual(sum(applications.values()), 60)
        self.assertEqual(set(applications), labels('grant.application'))
        conventions = states('grant.convention')
        self.assertGreaterEqual(sum(conventions.values()), 25)
        self.assertEqual(set(conventions), labels('grant.convention'))
        for model in [
                'grant.condition', 'grant.instalment', 'grant.session',
                'grant.deliberation', 'grant.commitment']:
            self.assertEqual(set(states(model)), labels(model), msg=model)
        forms = Counter(
            (c.form, c.kind) for c in pool.get('grant.convention').search([]))
        for form in [
                ('convention', 'annual'), ('convention', 'umbrella'),
                ('convention', 'sponsorship'), ('letter', 'annual')]:
            self.assertIn(form, forms)
        # The year of the advance needs time for its votes.
        if dt.date.today().month > 6:
            self.assertEqual(states('grant.decision', 'kind')['advance'], 1)
            self.assertEqual(
                states('grant.recovery', 'cause')['no_award'], 1)
            missing = states('grant.recovery', 'cause')['no_report']
            self.assertEqual(missing, 1 if dt.date.today().month > 7 else 0)
        payments = states('account.payment')
        for state in [
                'submitted', 'approved', 'processing', 'succeeded',
                'failed']:
            self.assertIn(state, payments)
        territories = {
            a.commune.territory
            for a in pool.get('grant.application').search([])}
        self.assertEqual(len(territories), 7)

    def check_payer(self):
        "What the payer suspends, and answers that contradict each other."
        Instalment = Pool().get('grant.instalment')
        mixed, = Instalment.search([('to_settle', '=', True)])
        self.assertEqual(
            (mixed.state, mixed.whose_turn, len(mixed.imputations)),
            ('paying', 'finance', 2))
        self.assertEqual(
            [li.return_status for li in mixed.payment.batch_lines],
            ['paid', None])
        suspended, = Instalment.search([('return_status', '=', 'suspended')])
        self.assertEqual(suspended.state, 'paying')
        self.assertTrue(suspended.return_reason)
        fixed = Instalment.search([('fixed_amount', '=', True)])
        self.assertGreaterEqual(len(fixed), 3)
        self.assertEqual({i.amount for i in fixed}, {Decimal(3000)})

    def check_users(self):
        User = Pool().get('res.user')
        for _, login, password in LOGINS:
            if login == 'admin':
                continue
            user, = User.search([('login', '=', login)])
            self.assertEqual(user.language.code, 'fr')
            self.assertEqual(
                User._login_password(login, {'password': password}), user.id)

    def check_amounts(self):
        "Voted tranches are what was voted; schedules add up to them."
        for convention in Pool().get('grant.convention').search([]):
            voted = sum((
                    d.amount for d in convention.decisions), Decimal(0))
            if convention.frozen_on:
                self.assertEqual(
                    sum(t.amount if t.status == 'voted'
                        else t.advance_amount or 0
                        for t in convention.tranches),
                    voted, msg=convention.rec_name)
            else:
                self.assertFalse(voted)
            self.assertEqual(
                sum((a.granted_amount for a in convention.applications),
                    Decimal(0)),
                voted)
            self.assertLessEqual(convention.paid_amount, voted)

    def check_schedules(self):
        for tranche in Pool().get('grant.tranche').search([]):
            self.assertEqual(
                sum((i.amount for i in tranche.instalments
                        if i.state in LIVE), Decimal(0))
                + tranche.reduction,
                tranche.amount, msg=tranche.rec_name)

    def check_envelopes(self):
        "No envelope is exceeded; one vote waits for its regularisation."
        for envelope in Pool().get('grant.envelope').search([]):
            self.assertGreaterEqual(
                envelope.available, 0, msg=envelope.rec_name)
            self.assertLessEqual(
                envelope.approved, envelope.payment_credit,
                msg=envelope.rec_name)
        anomaly, = Pool().get('grant.decision').search(
            [('anomaly', '!=', None)])
        self.assertFalse(anomaly.regularised_by)
        self.assertEqual(anomaly.commitment.state, 'released')

    def check_in_kind(self):
        "Two partners need a convention only with what they get in kind."
        pool = Pool()
        self.assertEqual(set(states('grant.in_kind')), labels('grant.in_kind'))
        aids = pool.get('grant.in_kind').search([('state', '=', 'confirmed')])
        totals = pool.get('grant.in_kind').get_aid(
            [a.party for a in aids], [y.year for a in aids for y in a.years])
        due = [
            key for key, aid in totals.items()
            if aid.cash <= 23000 < aid.total]
        self.assertEqual(len(due), 2)
        waiting, = pool.get('grant.instalment.blocker').search([
                ('code', '=', 'convention_due'),
                ('instalment.convention.party', 'in', [p for _, p, _ in due]),
                ])
        self.assertRegex(waiting.description, r'15.000,00.*9.600,00')

    def check_blockers(self):
        "What went on is not blocked; what waits says why."
        found = defaultdict(list)
        for blocker in Pool().get('grant.instalment.blocker').search([]):
            found[blocker.instalment.id].append(blocker)
        ready = 0
        for instalment in Pool().get('grant.instalment').search([]):
            blockers = found[instalment.id]
            self.assertTrue(all(b.description for b in blockers))
            if instalment.state == 'planned':
                ready += instalment.ready
                self.assertEqual(instalment.ready, not blockers)
            else:
                # A later award may ask for a convention in the meantime, the
                # payments may be suspended, and what the payer rejected
                # waits for its correction.
                allowed = {'convention_due'}
                if instalment.suspended:
                    allowed.add('hold')
                if instalment.to_correct:
                    allowed.add('rejection_finance')
                self.assertLessEqual(
                    {b.code for b in blockers}, allowed,
                    msg=instalment.rec_name)
        self.assertGreaterEqual(ready, 3)
        self.assertEqual(
            len(Pool().get('grant.hold').search([('state', '=', 'active')])),
            2)
        urgent, = Pool().get('grant.instalment').search(
            [('urgent', '=', True)])
        self.assertTrue(urgent.ready)
        codes = {b.code for blockers in found.values() for b in blockers}
        for code in [
                'not_voted', 'not_executory', 'anomaly', 'not_issued',
                'partner_signature', 'department_signature', 'not_notified',
                'commitment', 'condition', 'bank_account', 'too_early']:
            self.assertIn(code, codes)

    def check_duties(self):
        "Nobody approved what they instructed, certified or verified."
        for approval in Pool().get('grant.approval').search([]):
            instalment = approval.instalment
            self.assertNotEqual(approval.user, instalment.certified_by)
            for application in instalment.convention.applications:
                self.assertNotEqual(approval.user, application.admitted_by)
                self.assertNotEqual(approval.user, application.reviewed_by)
        for link in Pool().get('bank.account-party.party').search(
                [('verified_by', '!=', None)]):
            self.assertNotEqual(link.verified_by, link.entered_by)
            self.assertTrue(link.verified)

    def check_dates(self):
        "The dates follow each other, and none of an act is to come."
        today = Pool().get('ir.date').today()
        for convention in Pool().get('grant.convention').search([]):
            dates = [
                d for d in [
                    min((a.received_on for a in convention.applications),
                        default=None),
                    convention.frozen_on, convention.issued_on,
                    convention.signed_partner_on,
                    convention.signed_department_on,
                    convention.notified_on, today] if d]
            self.assertEqual(dates, sorted(dates), msg=convention.rec_name)
        for instalment in Pool().get('grant.instalment').search(
                [('state', '=', 'paid')]):
            self.assertLessEqual(
                instalment.convention.notified_on, instalment.certified_on)
            self.assertLessEqual(
                instalment.certified_on, instalment.approved_on)
            self.assertLessEqual(instalment.approved_on, instalment.paid_on)
            self.assertLessEqual(instalment.paid_on, today)

    def test_calendar(self):
        "On any day the sessions held are past and the next ones to come"
        for offset in range(800):
            today = dt.date(2026, 1, 1) + dt.timedelta(days=offset)
            calendar = Calendar(today)
            dates = [calendar.dates[code] for code, *_ in SESSIONS]
            self.assertEqual(dates, sorted(dates))
            self.assertLess(calendar.dates['S7'], today)
            self.assertGreater(calendar.dates['S8'], today)
            self.assertLess(calendar.beginning, dates[0])

    @with_transaction()
    def test_refused_beside_other_data(self):
        "Nothing is added to somebody's data"
        pool = Pool()
        with Transaction().set_context(_check_access=False):
            currency, = pool.get('currency.currency').create([{
                        'name': "Euro", 'code': 'EUR', 'symbol': "€"}])
            party, = pool.get('party.party').create([{'name': "Société"}])
            pool.get('company.company').create([
                    {'party': party.id, 'currency': currency.id}])
            with pytest.raises(AlreadyBuilt):
                build(dt.date.today())
