# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Nobody does alone what two must do; what is missing is said all at once."
import datetime as dt
from decimal import Decimal

from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.exceptions import (
    BlockedError, CompletenessError, DutyError, FrozenError, PeriodError,
    TransitionError)
from trytond.pool import Pool

from .refusal import Dossier, RefusalCase, forget
from .road import USERS


def give(road, login, *groups):
    "Add groups of the module to the user."
    pool = Pool()
    ModelData = pool.get('ir.model.data')
    user = pool.get('res.user')(road.users[login].id)
    with road.system():
        user.groups += tuple(
            pool.get('res.group')(
                ModelData.get_id('pacte_grants', f'group_{group}'))
            for group in groups)
        user.save()


class ApprovalTestCase(RefusalCase):
    "A certified advance, everybody also being in finance"

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.review(road.create_application())
        convention = road.agree(road.open_convention(application))
        deliberation = road.schedule(application)
        road.hold()
        road.vote(deliberation)
        road.make_executory(deliberation)
        convention = road.sign_and_notify(convention)
        road.number_commitments(convention)
        cls.dossier = Dossier.of(road.fresh(convention))
        for login in ['claire', 'olivier', 'marc', 'sophie', 'alice']:
            give(road, login, 'finance')
        road.press('olivier', cls.dossier.instalment, 'certify')

    def approve(self, login):
        self.road.press(login, self.dossier.instalment, 'approve')

    def refuse(self, login, duty, *names):
        with self.refused(
                DutyError, f'approval_duty_{duty}',
                self.dossier.instalment.rec_name, *names):
            self.approve(login)
        self.assertState(self.dossier.instalment, 'certified')
        self.assertFalse(self.dossier.instalment.approvals)

    def test_by_the_certifier(self):
        self.refuse('olivier', 'certified', "Olivier")

    def test_by_who_instructed(self):
        self.refuse('claire', 'instructed', "Claire")

    def test_by_who_put_on_the_agenda(self):
        self.refuse('marc', 'proposed', "Marc")

    def test_by_who_recorded_the_vote(self):
        self.refuse('sophie', 'changed', "Sophie")

    def test_whoever_the_officer_is_now(self):
        "Passing the dossier on does not wash what was done"
        road, dossier = self.road, self.dossier
        for record in [dossier.application, dossier.convention]:
            road.write(
                'marc', record, officer=road.employees['olivier'].id)
        self.refuse('claire', 'instructed', "Claire")

    def test_administrator(self):
        "An administrator is no exception"
        road = self.road
        give(road, 'claire', 'admin', 'manager')
        self.refuse('claire', 'instructed', "Claire")

    def test_administrator_without_the_group(self):
        "Nor does the group of administrators approve anything"
        road = self.road
        road.create_user('admin2', ['group_admin'])
        with self.forbidden():
            self.approve('admin2')

    def test_another_employee(self):
        "Another employee chosen in the preferences is the same person"
        road = self.road
        Employee = Pool().get('company.employee')
        with road.system():
            party, = Pool().get('party.party').create([{'name': "Prête-nom"}])
            employee, = Employee.create([{
                        'company': road.company.id, 'party': party.id}])
            user = Pool().get('res.user')(road.users['olivier'].id)
            user.employees += (employee,)
            user.employee = employee
            user.save()
        self.refuse('olivier', 'certified')

    def test_another_user_of_the_same_person(self):
        "Two logins of one human being are one person"
        road = self.road
        for login, duty in [
                ('olivier', 'certified'), ('claire', 'instructed')]:
            employee = road.employees[login]
            road.create_user(
                f'{login}2', ['group_finance'],
                employees=[('add', [employee.id])], employee=employee.id)
            self.refuse(f'{login}2', duty)
        with road.system():
            employee, = Pool().get('company.employee').create([{
                        'company': road.company.id,
                        'party': road.employees['olivier'].party.id}])
        road.create_user(
            'olivier3', ['group_finance'],
            employees=[('add', [employee.id])], employee=employee.id)
        self.refuse('olivier3', 'certified')

    def test_by_who_changed_the_instalment(self):
        "Whoever moved euros from one instalment to the other either"
        road = self.road
        road.create_user('zoe', ['group_officer', 'group_finance'])
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        first, second = convention.instalments
        road.write('zoe', first, amount=Decimal(4000))
        road.write('zoe', second, amount=Decimal(6000))
        convention = self.finish(application, convention)
        instalment = convention.instalments[0]
        road.press('olivier', instalment, 'certify')
        with self.refused(DutyError, 'approval_duty_changed', "Zoe"):
            road.press('zoe', instalment, 'approve')
        road.press('paul', instalment, 'approve')

    def test_by_who_changed_the_proposal(self):
        "Nor whoever proposed the amount before a colleague signed for it"
        road = self.road
        road.create_user('zoe', ['group_officer', 'group_finance'])
        application = road.submit(road.create_application())
        road.press('claire', application, 'admit')
        road.write('zoe', application, proposed_amount=Decimal(9000))
        road.press('claire', application, 'review')
        convention = self.finish(
            application, road.open_convention(application))
        instalment = convention.instalments[0]
        road.press('olivier', instalment, 'certify')
        with self.refused(DutyError, 'approval_duty_changed', "Zoe"):
            road.press('zoe', instalment, 'approve')

    def test_by_who_typed_the_proposal(self):
        "Nor whoever made the application with its amounts, by copying one"
        road = self.road
        road.create_user('zoe', ['group_officer', 'group_finance'])
        with road.as_user('zoe'):
            Application = self.dossier.application.__class__
            application, = Application.copy(
                [Application(self.dossier.application.id)],
                default={'proposed_amount': Decimal(9000)})
        application = road.submit(road.fresh(application))
        self.assertEqual(application.proposed_amount, 9000)
        road.press('claire', application, 'admit')
        road.press('claire', application, 'review')
        convention = self.finish(
            road.fresh(application), road.open_convention(application))
        instalment = convention.instalments[0]
        road.press('olivier', instalment, 'certify')
        with self.refused(DutyError, 'approval_duty_changed', "Zoe"):
            road.press('zoe', instalment, 'approve')
        road.press('paul', instalment, 'approve')

    def test_by_who_instructed_first(self):
        "A step made again by a colleague does not wash who made it first"
        road = self.road
        for login in ['zoe', 'yann']:
            road.create_user(login, ['group_officer', 'group_finance'])
        application = road.submit(road.create_application())
        road.press('zoe', application, 'admit')
        road.press('claire', application, 'reopen')
        road.press('claire', application, 'admit')
        road.write(
            'claire', application, proposed_amount=Decimal(10000))
        road.press('yann', application, 'review')
        road.press('claire', application, 'reopen')
        road.press('claire', application, 'review')
        application = road.fresh(application)
        self.assertEqual(application.admitted_by, road.users['claire'])
        self.assertEqual(application.reviewed_by, road.users['claire'])
        convention = self.finish(
            application, road.open_convention(application))
        instalment = convention.instalments[0]
        road.press('olivier', instalment, 'certify')
        for login, duty in [('zoe', 'instructed'), ('yann', 'proposed')]:
            with self.refused(
                    DutyError, f'approval_duty_{duty}', login.title()):
                road.press(login, instalment, 'approve')
        road.press('paul', instalment, 'approve')

    def test_by_who_changed_the_vote(self):
        """Nor any of those who typed the voted amount, the last to do so
        and those before"""
        road = self.road
        for login in ['zoe', 'yann']:
            road.create_user(login, ['group_clerk', 'group_finance'])
        application = road.review(road.create_application())
        convention = road.agree(road.open_convention(application))
        with road.system():
            session = road.create_session()
        deliberation = road.schedule(
            application, road.create_deliberation(session))
        decision, = deliberation.decisions
        road.write('zoe', decision, amount=Decimal(9000))
        road.write('yann', decision, amount=Decimal(9500))
        road.hold(session)
        road.vote(deliberation)
        road.press('claire', convention, 'confirm_amount')
        road.make_executory(deliberation)
        convention = road.sign_and_notify(road.fresh(convention))
        road.number_commitments(convention)
        instalment = road.fresh(convention).instalments[0]
        road.press('olivier', instalment, 'certify')
        for login in ['zoe', 'yann']:
            with self.refused(
                    DutyError, 'approval_duty_changed', login.title()):
                road.press(login, instalment, 'approve')
        road.press('paul', instalment, 'approve')

    def finish(self, application, convention):
        "Agree, vote, sign and notify; return the convention."
        road = self.road
        convention = road.agree(convention)
        with road.system():
            session = road.create_session()
        deliberation = road.schedule(
            application, road.create_deliberation(session))
        road.hold(session)
        road.vote(deliberation)
        road.make_executory(deliberation)
        convention = road.sign_and_notify(road.fresh(convention))
        road.number_commitments(convention)
        return road.fresh(convention)

    def test_approved(self):
        "Somebody else in finance approves, once"
        self.approve('paul')
        instalment = self.dossier.instalment
        self.assertEqual(instalment.state, 'approved')
        self.assertEqual(instalment.payment.state, 'approved')
        approval, = instalment.approvals
        self.assertEqual(approval.user, self.road.users['paul'])
        self.assertEqual(approval.amount, instalment.amount)
        with self.refused(TransitionError, None, instalment.rec_name):
            self.approve('nadia')

    def test_approval_is_not_written(self):
        "An approval is neither typed, changed nor deleted"
        Approval = Pool().get('grant.approval')
        road = self.road
        self.approve('paul')
        approval, = self.dossier.instalment.approvals
        values = {
            'instalment': self.dossier.instalment.id,
            'user': road.users['nadia'].id, 'amount': Decimal(1),
            'time': dt.datetime(2026, 1, 1)}
        for login in USERS:
            with self.subTest(user=login):
                with self.forbidden(), road.as_user(login):
                    Approval.create([values])
                with self.forbidden(), road.as_user(login):
                    Approval.write(
                        [Approval(approval.id)], {'void': True})
                with self.forbidden(), road.as_user(login):
                    Approval.delete([Approval(approval.id)])
        for field, value in [
                ('user', road.users['nadia'].id), ('amount', Decimal(1))]:
            with self.refused(FrozenError, 'approval_frozen'), \
                    road.system():
                Approval.write([approval], {field: value})
        with self.refused(FrozenError, 'approval_frozen'), road.system():
            Approval.delete([approval])

    def test_sent_back(self):
        "Sending back asks for a reason, voids the approvals, leaves a trace"
        road = self.road
        self.approve('paul')
        with self.refused(
                CompletenessError, 'instalment_send_back_reason',
                self.dossier.instalment.rec_name):
            road.press('nadia', self.dossier.instalment, 'send_back')
        self.assertState(self.dossier.instalment, 'approved')
        road.write(
            'nadia', self.dossier.instalment, send_back_reason="Erreur")
        road.press('nadia', self.dossier.instalment, 'send_back')
        forget()
        instalment = self.dossier.instalment
        self.assertEqual(instalment.state, 'certified')
        self.assertEqual(instalment.payment.state, 'submitted')
        self.assertEqual([a.void for a in instalment.approvals], [True])
        event, = Pool().get('grant.event').search([
                ('record', '=', str(instalment)),
                ('name', '=', 'send_back')])
        self.assertEqual(event.reason, "Erreur")
        road.press('nadia', instalment, 'send_back')
        forget()
        instalment = self.dossier.instalment
        self.assertEqual(instalment.state, 'planned')
        self.assertFalse(instalment.payments)
        self.assertIsNone(instalment.certified_by)
        self.assertIsNone(instalment.commitment)
        road.press('claire', instalment, 'certify')
        road.press('paul', instalment, 'approve')
        self.assertState(instalment, 'approved')

    def test_rejected(self):
        "A rejected payment stays; the next is a new one, approved anew"
        road = self.road
        self.approve('paul')
        road.press('nadia', self.dossier.instalment, 'process')
        with self.refused(
                CompletenessError, 'instalment_return_reason',
                self.dossier.instalment.rec_name):
            road.press('nadia', self.dossier.instalment, 'reject')
        self.assertState(self.dossier.instalment, 'paying')
        road.write(
            'nadia', self.dossier.instalment, return_reason="IBAN clos")
        road.press('nadia', self.dossier.instalment, 'reject')
        forget()
        instalment = self.dossier.instalment
        first, = instalment.payments
        self.assertEqual(first.state, 'failed')
        self.assertIsNone(instalment.payment)
        self.assertEqual(instalment.state, 'certified')
        self.assertEqual(instalment.return_status, 'rejected')
        self.assertEqual([a.void for a in instalment.approvals], [True])
        self.refuse_again('olivier')
        road.press('nadia', instalment, 'approve')
        forget()
        first_again, second = self.dossier.instalment.payments
        self.assertEqual(first_again, first)
        self.assertEqual(first_again.state, 'failed')
        self.assertEqual(second.state, 'approved')
        self.assertEqual(self.dossier.instalment.payment, second)
        with self.refused(AccessError), road.system():
            first.__class__.delete([first_again])
        road.press('paul', self.dossier.instalment, 'process')
        road.press('paul', self.dossier.instalment, 'succeed')
        self.assertState(self.dossier.instalment, 'paid')
        self.assertEqual(
            self.dossier.convention.paid_amount,
            self.dossier.instalment.amount)

    def refuse_again(self, login):
        with self.refused(DutyError, 'approval_duty_certified'):
            self.approve(login)
        self.assertState(self.dossier.instalment, 'certified')

    def test_returned_by_the_bank(self):
        road = self.road
        self.approve('paul')
        road.press('nadia', self.dossier.instalment, 'process')
        road.press('nadia', self.dossier.instalment, 'succeed')
        road.write(
            'nadia', self.dossier.instalment, return_reason="Compte clos")
        road.press('nadia', self.dossier.instalment, 'reject')
        forget()
        self.assertState(self.dossier.instalment, 'certified')
        self.assertEqual(
            self.dossier.instalment.return_status, 'returned')
        self.assertEqual(self.dossier.convention.paid_amount, 0)

    def test_paid_in_the_future(self):
        road = self.road
        self.approve('paul')
        road.press('nadia', self.dossier.instalment, 'process')
        road.write(
            'nadia', self.dossier.instalment,
            payment_date=road.today + dt.timedelta(days=2))
        with self.refused(
                PeriodError, 'payment_date',
                self.dossier.instalment.rec_name):
            road.press('nadia', self.dossier.instalment, 'succeed')
        self.assertState(self.dossier.instalment, 'paying')

    def test_in_a_list(self):
        "One line that may not be approved, and none of the list is"
        road = self.road
        other = self.second_instalment()
        with self.refused(DutyError, 'approval_duty_certified', "Nadia"):
            road.press('nadia', [self.dossier.instalment, other], 'approve')
        self.assertState(self.dossier.instalment, 'certified')
        self.assertState(other, 'certified')

    def second_instalment(self):
        "An advance that Nadia certified, who is also an officer."
        road = self.road
        give(road, 'nadia', 'officer')
        application = road.review(road.create_application())
        convention = self.finish(
            application, road.open_convention(application))
        instalment = convention.instalments[0]
        road.press('nadia', instalment, 'certify')
        return instalment


class SecondApprovalTestCase(RefusalCase):
    "A certified advance above the threshold"

    @classmethod
    def prepare(cls):
        road = cls.road
        parameter = Pool().get('grant.parameter')
        cls.threshold = parameter.get('SECOND_APPROVAL_THRESHOLD')
        amount = (cls.threshold + 1) * 2
        with road.system():
            envelope = road.create_envelope(amount * 2, code='938')
        cls.dossier = Dossier.of(
            road.to_active(amount=amount, envelope=envelope.id))
        road.press('claire', cls.dossier.instalment, 'certify')

    def test_two_approvals(self):
        road = self.road
        instalment = self.dossier.instalment
        self.assertGreater(instalment.amount, self.threshold)
        road.press('paul', instalment, 'approve')
        self.assertState(instalment, 'certified')
        self.assertEqual(
            self.dossier.instalment.payment.state, 'submitted')
        with self.refused(
                DutyError, 'approval_duty_approved', instalment.rec_name,
                "Paul"):
            road.press('paul', instalment, 'approve')
        self.assertEqual(len(self.dossier.instalment.approvals), 1)
        for button in ['process', 'succeed']:
            with self.refused(TransitionError, None, instalment.rec_name):
                road.press('paul', instalment, button)
        road.press('nadia', instalment, 'approve')
        self.assertState(instalment, 'approved')
        self.assertEqual(
            {a.user for a in self.dossier.instalment.approvals},
            {road.users['paul'], road.users['nadia']})

    def test_same_person(self):
        "The second approver is not the first with another login"
        road = self.road
        employee = road.employees['paul']
        road.create_user(
            'paul2', ['group_finance'],
            employees=[('add', [employee.id])], employee=employee.id)
        road.press('paul', self.dossier.instalment, 'approve')
        with self.refused(DutyError, 'approval_duty_approved', "Paul"):
            road.press('paul2', self.dossier.instalment, 'approve')

    def test_sent_back_between(self):
        "Sent back after the first approval, both approve again"
        road = self.road
        instalment = self.dossier.instalment
        road.press('paul', instalment, 'approve')
        road.write('nadia', instalment, send_back_reason="À revoir")
        road.press('nadia', instalment, 'send_back')
        self.assertState(instalment, 'planned')
        road.press('claire', instalment, 'certify')
        road.press('nadia', instalment, 'approve')
        self.assertState(instalment, 'certified')
        road.press('paul', instalment, 'approve')
        self.assertState(instalment, 'approved')


class WaiverTestCase(RefusalCase):
    "An undertaking that is waived"

    @classmethod
    def prepare(cls):
        road = cls.road
        cls.dossier = Dossier.of(road.to_active())
        road.create_user('chef', ['group_manager'])

    def test_granted_by_its_proposer(self):
        road, condition = self.road, self.dossier.condition
        with self.refused(
                CompletenessError, 'condition_waiver_reason',
                condition.rec_name):
            road.press('marc', condition, 'propose_waiver')
        road.write('marc', condition, waiver_reason="Canicule")
        with self.refused(TransitionError, None, condition.rec_name):
            road.press('chef', condition, 'waive')
        road.press('marc', condition, 'propose_waiver')
        with self.refused(
                DutyError, 'condition_waiver_duty', condition.rec_name,
                "Marc"):
            road.press('marc', condition, 'waive')
        self.assertState(condition, 'pending')
        employee = road.employees['marc']
        road.create_user(
            'marc2', ['group_manager', 'group_admin'],
            employees=[('add', [employee.id])], employee=employee.id)
        with self.refused(DutyError, 'condition_waiver_duty'):
            road.press('marc2', condition, 'waive')
        road.press('chef', condition, 'waive')
        self.assertState(condition, 'waived')
        self.assertEqual(
            self.dossier.condition.verified_by, road.users['chef'])

    def test_reason_kept(self):
        "What is granted is what was proposed"
        road, condition = self.road, self.dossier.condition
        road.write('claire', condition, waiver_reason="Canicule")
        road.press('claire', condition, 'propose_waiver')
        for login in ['marc', 'claire']:
            with self.subTest(user=login), self.forbidden():
                road.write(login, condition, waiver_reason="Autre motif")
        with self.refused(
                FrozenError, 'condition_waiver_frozen', "Claire"), \
                road.system():
            condition.__class__.write(
                [road.fresh(condition)], {'waiver_reason': "Autre motif"})
        with self.refused(TransitionError, None, condition.rec_name):
            road.press('marc', condition, 'propose_waiver')

    def test_set_aside(self):
        "A waiver that is turned down, or taken back, leaves its trace"
        road, condition = self.road, self.dossier.condition
        with self.refused(TransitionError, None, condition.rec_name):
            road.press('marc', condition, 'refuse_waiver')
        for login in ['marc', 'claire']:
            road.write('claire', condition, waiver_reason=f"Motif {login}")
            road.press('claire', condition, 'propose_waiver')
            self.assertEqual(self.dossier.condition.whose_turn, 'manager')
            for other in ['paul', 'lea', 'sophie', 'alice']:
                with self.subTest(user=other), self.forbidden():
                    road.press(other, condition, 'refuse_waiver')
            road.press(login, condition, 'refuse_waiver')
            self.assertState(condition, 'pending')
            self.assertEqual(self.dossier.condition.whose_turn, 'partner')
            with self.refused(TransitionError, None, condition.rec_name):
                road.press('chef', condition, 'waive')
        events = Pool().get('grant.event').search([
                ('record', '=', str(condition)),
                ('name', '=', 'refuse_waiver')])
        self.assertEqual(
            [(e.user, e.reason, e.before) for e in events],
            [(road.users[login], f"Motif {login}",
                    road.users['claire'].rec_name)
                for login in ['claire', 'marc']])

    def test_not_proposed(self):
        condition = self.dossier.condition
        with self.refused(TransitionError, None, condition.rec_name), \
                self.road.system():
            condition.__class__.waive([condition])

    def test_proposer_written(self):
        "The proposer is not typed"
        condition = self.dossier.condition
        for login in ['claire', 'marc', 'chef', 'alice']:
            with self.forbidden():
                self.road.write(
                    login, condition,
                    waiver_proposed_by=self.road.users['claire'].id)

    def test_evidence(self):
        road, condition = self.road, self.dossier.condition
        with self.refused(
                CompletenessError, 'condition_evidence',
                condition.rec_name):
            road.press('claire', condition, 'submit')
        with self.refused(
                CompletenessError, 'condition_verdict_reason',
                condition.rec_name):
            road.press('claire', condition, 'fail')
        road.write('claire', condition, evidence_note="Bilan")
        road.press('claire', condition, 'submit')
        road.press('claire', condition, 'meet')
        with self.forbidden():
            road.write('claire', condition, evidence_note="Autre")
        road.press('claire', condition, 'reopen')
        self.assertState(condition, 'pending')
        self.assertIsNone(self.dossier.condition.verified_by)
        self.assertTrue(Pool().get('grant.event').search([
                    ('record', '=', str(condition)),
                    ('name', '=', 'state')]))


class AccountTestCase(RefusalCase):
    "The bank account of a partner"

    @classmethod
    def prepare(cls):
        road = cls.road
        give(road, 'claire', 'finance')
        give(road, 'alice', 'finance', 'officer')
        cls.party = road.create_party(verified=False)

    def enter(self, login, number='DE89370400440532013000'):
        Link = Pool().get('bank.account-party.party')
        with self.road.as_user(login):
            link, = Link.create([{
                        'owner': self.party.id, 'iban': number}])
        return Link(link.id)

    def test_verified_by_who_entered_it(self):
        for login in ['claire', 'alice', 'nadia']:
            with self.subTest(user=login):
                self.setUp()
                link = self.enter(login)
                with self.refused(DutyError, 'bank_account_verifier'):
                    self.road.press(login, link, 'verify')
                self.assertFalse(self.road.fresh(link).verified)
                self.road.press('paul', link, 'verify')
                self.assertTrue(self.road.fresh(link).verified)
                self.doCleanups()

    def test_changed_number(self):
        "Whoever changes the number does not verify it either"
        road = self.road
        link = self.enter('claire')
        road.write('alice', link, iban='FR1420041010050500013M02606')
        for login in ['claire', 'alice']:
            with self.refused(DutyError, 'bank_account_verifier'):
                road.press(login, link, 'verify')

    def test_without_the_group(self):
        link = self.enter('claire')
        for login in ['olivier', 'marc', 'sophie', 'lea', 'jean']:
            with self.subTest(user=login), self.forbidden():
                self.road.press(login, link, 'verify')


class BlockersTestCase(RefusalCase):
    "What is missing is said at once, with who can lift it"

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.review(road.create_application(
                party=road.create_party(verified=False)))
        convention = road.agree(road.open_convention(application))
        cls.deliberation = road.schedule(application)
        road.hold()
        cls.dossier = Dossier.of(road.fresh(convention))

    def blocked(self, *codes):
        road = self.road
        forget()
        balance = self.dossier.convention.instalments[-1]
        found = {b.code for b in balance.blockers}
        self.assertEqual(found, set(codes))
        with self.refused(
                BlockedError, 'instalment_blocked') as raised:
            names = [balance.rec_name] + [
                b.description for b in balance.blockers]
            road.press('claire', balance, 'certify')
        for name in names:
            self.assertIn(name, raised.exception.message)
        self.assertState(balance, 'planned')
        self.assertFalse(road.fresh(balance).payments)
        self.assertFalse(road.fresh(balance).ready)

    def test_one_after_the_other(self):
        "Each step lifts what it should and nothing else"
        road, dossier = self.road, self.dossier
        always = ['condition', 'bank_account']
        self.blocked('not_voted', 'not_issued', *always)
        deliberation = road.vote(self.deliberation)
        self.blocked('not_executory', 'not_issued', 'commitment', *always)
        road.make_executory(deliberation)
        self.blocked('not_issued', 'commitment', *always)
        road.press('claire', dossier.convention, 'issue')
        self.blocked(
            'partner_signature', 'department_signature', 'not_notified',
            'commitment', *always)
        road.press('claire', dossier.convention, 'sign_partner')
        self.blocked(
            'department_signature', 'not_notified', 'commitment', *always)
        road.press('marc', dossier.convention, 'sign_department')
        self.blocked('not_notified', 'commitment', *always)
        road.press('claire', dossier.convention, 'notify')
        always.append('liquidation')
        self.blocked('commitment', *always)
        road.number_commitments(dossier.convention)
        self.blocked(*always)
        with road.as_user('claire'):
            Link = Pool().get('bank.account-party.party')
            link, = Link.create([{
                        'owner': dossier.party.id,
                        'iban': 'DE89370400440532013000'}])
        self.blocked(*always)
        road.press('paul', link, 'verify')
        self.blocked('condition', 'liquidation')
        for condition in dossier.convention.conditions:
            road.write('claire', condition, evidence_note="Vu")
            road.press('claire', condition, 'submit')
            self.blocked('condition', 'liquidation')
            road.press('claire', condition, 'meet')
        self.blocked('liquidation')
        road.settle(dossier.convention)
        forget()
        balance = dossier.convention.instalments[-1]
        self.assertTrue(balance.ready)
        road.press('claire', balance, 'certify')
        self.assertState(balance, 'certified')

    def test_list(self):
        "A list that holds a blocked line is refused whole, with all reasons"
        road = self.road
        instalments = list(self.dossier.convention.instalments)
        with self.refused(
                BlockedError, None,
                *(i.rec_name for i in instalments)):
            road.press('claire', instalments, 'certify')
        for instalment in instalments:
            self.assertState(instalment, 'planned')

    def test_search(self):
        "The tabs and the button read the same"
        Instalment = self.dossier.instalment.__class__
        self.assertFalse(Instalment.search([('ready', '=', True)]))
        self.assertEqual(
            len(Instalment.search([('blockers', '!=', None)])), 2)
        self.assertEqual(
            len(Instalment.search([
                        ('blockers', 'where', [
                                ('code', '=', 'not_voted')])])), 2)

    def test_signatures_in_either_order(self):
        road, dossier = self.road, self.dossier
        deliberation = road.vote(self.deliberation)
        road.write('sophie', deliberation, act_number='2026-CP-001')
        road.press('claire', dossier.convention, 'issue')
        with self.refused(
                CompletenessError, 'convention_not_executory',
                dossier.convention.rec_name):
            road.press('marc', dossier.convention, 'sign_department')
        road.write(
            'sophie', deliberation, transmitted_on=road.today,
            received_on=road.today, published_on=road.today)
        road.press('sophie', deliberation, 'make_executory')
        road.press('marc', dossier.convention, 'sign_department')
        self.assertState(dossier.convention, 'issued')
        with self.refused(TransitionError, None, dossier.convention.rec_name):
            road.press('claire', dossier.convention, 'notify')
        road.press('claire', dossier.convention, 'sign_partner')
        road.press('claire', dossier.convention, 'notify')
        self.assertState(dossier.convention, 'active')

    def test_notified_without_signature(self):
        road, dossier = self.road, self.dossier
        deliberation = road.vote(self.deliberation)
        road.make_executory(deliberation)
        road.press('claire', dossier.convention, 'issue')
        road.press('claire', dossier.convention, 'sign_partner')
        with self.refused(
                CompletenessError, 'convention_notify_signatures',
                dossier.convention.rec_name):
            road.press('claire', dossier.convention, 'notify')
        self.assertState(dossier.convention, 'signed')
