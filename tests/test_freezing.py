# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What was voted stays: every door is tried on what the vote froze."
import datetime as dt
from decimal import Decimal

from stdnum import luhn
from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.exceptions import (
    FrozenError, IdentifierError, TransitionError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import Dossier, RefusalCase, attempt, forget
from .road import USERS

VOTED = [
    ('convention', 'title', "Autre titre"),
    ('convention', 'purpose', "Autre objet"),
    ('convention', 'kind', 'multi_year'),
    ('convention', 'start_date', dt.date(2020, 1, 1)),
    ('convention', 'end_date', dt.date(2040, 12, 31)),
    ('convention', 'signatory_name', "Un autre"),
    ('tranche', 'amount', Decimal('99999.00')),
    ('tranche', 'amount', Decimal('1.00')),
    ('tranche', 'year', 2040),
    ('instalment', 'amount', Decimal('1.00')),
    ('instalment', 'kind', 'balance'),
    ('instalment', 'trigger', 'date'),
    ('instalment', 'delay', 900),
    ('instalment', 'date', dt.date(2020, 1, 1)),
    ('objective', 'title', "Autre objectif"),
    ('objective', 'description', "Autre texte"),
    ('objective', 'weight', Decimal(9)),
    ('indicator', 'name', "Autre indicateur"),
    ('indicator', 'target', Decimal(1)),
    ('indicator', 'baseline', Decimal(1)),
    ('indicator', 'direction', 'fall'),
    ('indicator', 'tolerance', Decimal(900)),
    ('condition', 'text', "Rien n'est demandé"),
    ('condition', 'kind', 'other'),
    ('condition', 'due_date', dt.date(2040, 12, 31)),
    ('condition', 'block_kinds', ('interim',)),
    ('condition', 'penalty_rate', Decimal('0.9')),
    ('application', 'proposed_amount', Decimal('99999.00')),
    ('application', 'requested_amount', Decimal('99999.00')),
    ('application', 'total_cost', Decimal('99999.00')),
    ('application', 'title', "Autre titre"),
    ('application', 'received_on', dt.date(2020, 1, 1)),
    ('application', 'year', 2040),
    ('application', 'start_date', dt.date(2020, 1, 1)),
    ('budget_line', 'amount', Decimal('1.00')),
    ('decision', 'outcome', 'refused'),
    ('decision', 'amount', Decimal('99999.00')),
    ('deliberation', 'title', "Autre rapport"),
    ('deliberation', 'act_number', "AUTRE"),
    ('deliberation', 'received_on', dt.date(2020, 1, 1)),
    ('session', 'date', dt.date(2020, 1, 1)),
    ('session', 'body', 'assembly'),
    ]


class VotedTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        cls.dossier = Dossier.of(cls.road.to_active())

    def test_written_by_users(self):
        "No role writes what was voted"
        for name, field, value in VOTED:
            record = getattr(self.dossier, name)
            before = getattr(record, field)
            for login in USERS:
                with self.subTest(record=name, field=field, user=login):
                    with self.forbidden():
                        self.road.write(login, record, **{field: value})
            self.assertEqual(
                getattr(getattr(self.dossier, name), field), before)

    def test_written_by_the_system(self):
        "Nor does a batch, which nobody checks for its rights"
        for name, field, value in VOTED:
            record = getattr(self.dossier, name)
            with self.subTest(record=name, field=field):
                with self.refused(FrozenError, None, record.rec_name), \
                        self.road.system():
                    record.__class__.write([record], {field: value})

    def test_same_value(self):
        "A form that sends back what it read is not a change"
        for name, field, _ in VOTED:
            record = getattr(self.dossier, name)
            value = getattr(record, field)
            with self.subTest(record=name, field=field), \
                    self.road.system():
                record.__class__.write([record], {field: value})

    def test_written_through_the_convention(self):
        "Nor through the lists of the convention"
        convention = self.dossier.convention
        for name, child, field, value in [
                ('tranches', 'tranche', 'amount', Decimal('1.00')),
                ('instalments', 'instalment', 'amount', Decimal('1.00')),
                ('objectives', 'objective', 'title', "Autre"),
                ('conditions', 'condition', 'text', "Autre"),
                ]:
            child = getattr(self.dossier, child)
            for action in [
                    ('write', [child.id], {field: value}),
                    ('delete', [child.id]),
                    ('remove', [child.id]),
                    ]:
                for login in ['claire', 'marc', 'alice']:
                    with self.subTest(
                            name=name, action=action[0], user=login):
                        with self.forbidden():
                            self.road.write(
                                login, convention, **{name: [action]})
                with self.subTest(name=name, action=action[0]):
                    with self.refused(FrozenError, 'frozen_by'), \
                            self.road.system():
                        convention.__class__.write(
                            [convention], {name: [action]})
        with self.refused(FrozenError, 'frozen_by'), self.road.system():
            convention.__class__.write([convention], {
                    'objectives': [('write', [self.dossier.objective.id], {
                                'indicators': [(
                                        'delete',
                                        [self.dossier.indicator.id])]})]})

    def test_children_deleted(self):
        for name in [
                'tranche', 'instalment', 'objective', 'indicator',
                'condition', 'budget_line', 'decision', 'commitment']:
            record = getattr(self.dossier, name)
            for login in ['claire', 'marc', 'sophie', 'paul', 'alice']:
                with self.subTest(record=name, user=login):
                    with self.forbidden(), self.road.as_user(login):
                        record.__class__.delete([record])
            with self.subTest(record=name):
                with self.refused(AccessError), self.road.system():
                    record.__class__.delete([record])

    def test_children_added(self):
        dossier = self.dossier
        convention = dossier.convention.id
        heading = dossier.budget_line.heading.id
        for model, values in [
                ('grant.tranche', {
                        'convention': convention, 'year': 2040,
                        'amount': Decimal(1)}),
                ('grant.instalment', {
                        'convention': convention,
                        'tranche': dossier.tranche.id, 'kind': 'interim',
                        'amount': Decimal(0)}),
                ('grant.objective', {
                        'convention': convention, 'title': "De plus"}),
                ('grant.indicator', {
                        'objective': dossier.objective.id, 'name': "X",
                        'unit': "x", 'target': Decimal(1)}),
                ('grant.condition', {
                        'convention': convention, 'kind': 'other',
                        'text': "De plus"}),
                ('grant.application.budget_line', {
                        'application': dossier.application.id,
                        'heading': heading, 'amount': Decimal(1)}),
                ]:
            Model = Pool().get(model)
            with self.subTest(model=model):
                with self.refused(FrozenError, 'frozen_by'), \
                        self.road.system():
                    Model.create([values])
                with self.forbidden(), self.road.as_user('claire'):
                    Model.create([values])

    def test_children_copied(self):
        "A copy is one more: refused too"
        for name in [
                'tranche', 'instalment', 'objective', 'indicator',
                'condition', 'budget_line']:
            record = getattr(self.dossier, name)
            with self.subTest(record=name):
                with self.refused(UserError), self.road.system():
                    record.__class__.copy(
                        [record], {'year': 2040} if name == 'tranche'
                        else {})

    def test_children_moved(self):
        """What an open convention holds does not move to a frozen one, nor
        the other way round"""
        road, dossier = self.road, self.dossier
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        road.press('claire', convention, 'negotiate')
        objective = road.add_objective(convention)
        indicator, = objective.indicators
        for record, values in [
                (objective, {'convention': dossier.convention.id}),
                (dossier.objective, {'convention': convention.id}),
                (indicator, {'objective': dossier.objective.id}),
                # Whatever else is written along
                (indicator, {
                        'objective': dossier.objective.id, 'name': "A",
                        'unit': "b", 'target': Decimal(2),
                        'source': "c"}),
                (dossier.indicator, {'objective': objective.id}),
                (convention.conditions[0], {
                        'convention': dossier.convention.id,
                        'text': "A", 'evidence': "B"}),
                (convention.instalments[0], {
                        'convention': dossier.convention.id,
                        'tranche': dossier.tranche.id}),
                ]:
            with self.subTest(record=record.__name__, values=values):
                with self.refused(FrozenError, 'frozen_by'), road.system():
                    record.__class__.write(
                        [record.__class__(record.id)], values)
                with self.forbidden(), road.as_user('claire'):
                    record.__class__.write(
                        [record.__class__(record.id)], values)

    def test_links(self):
        "The rows between two records are frozen with the record"
        pool = Pool()
        dossier = self.dossier
        with self.road.system():
            member, = pool.get('grant.member').create([{
                        'company': self.road.company.id,
                        'party': self.road.employees['jean'].party.id}])
            area, = pool.get('grant.area').search([], limit=1)
            other, = pool.get('grant.orientation').search([
                    ('id', '!=', self.road.orientation.id)], limit=1)
        rows = pool.get('grant.condition-grant.instalment').search([
                ('condition.convention', '=', dossier.convention.id)])
        self.assertTrue(rows)
        orientations = pool.get('grant.application-grant.orientation').search(
            [('application', '=', dossier.application.id)])
        self.assertTrue(orientations)
        for record in [rows[0], orientations[0]]:
            Model = record.__class__
            with self.subTest(model=Model.__name__, door='delete'):
                with self.refused(FrozenError), self.road.system():
                    Model.delete([record])
                for login in ['claire', 'marc', 'alice']:
                    with self.forbidden(), self.road.as_user(login):
                        Model.delete([Model(record.id)])
        for model, values in [
                ('grant.decision-grant.member', {
                        'decision': dossier.decision.id,
                        'member': member.id}),
                ('grant.application-grant.area', {
                        'application': dossier.application.id,
                        'area': area.id}),
                ('grant.application-grant.orientation', {
                        'application': dossier.application.id,
                        'orientation': other.id}),
                ('grant.condition-grant.instalment', {
                        'condition': dossier.condition.id,
                        'instalment': dossier.instalment.id}),
                ]:
            Model = pool.get(model)
            with self.subTest(model=model, door='create'):
                with self.refused(FrozenError, 'frozen_by'), \
                        self.road.system():
                    Model.create([values])
                for login in ['claire', 'marc', 'sophie']:
                    with self.forbidden(), self.road.as_user(login):
                        Model.create([values])

    def test_agreement_not_recorded_again(self):
        "An objective that was agreed and voted is not agreed anew"
        objective = self.dossier.objective
        before = objective.department_agreed_on
        with self.refused(FrozenError, 'frozen_by', objective.rec_name), \
                self.road.system():
            objective.__class__.agree_department([objective])
        with self.forbidden():
            self.road.press('marc', objective, 'agree_department')
        self.assertEqual(
            self.dossier.objective.department_agreed_on, before)

    def test_library(self):
        "A change of the scheme does not reach the conventions"
        scheme = self.dossier.convention.scheme
        text = self.dossier.condition.text
        amounts = [i.amount for i in self.dossier.convention.instalments]
        with self.road.as_user('marc'):
            scheme.__class__.write([scheme.__class__(scheme.id)], {
                    'conditions': [('write', [
                                    c.id for c in scheme.conditions],
                                {'text': "Autre texte"})],
                    'instalments': [
                        ('delete', [i.id for i in scheme.instalments])],
                    'name': "Autre nom",
                    })
        forget()
        self.assertEqual(self.dossier.condition.text, text)
        self.assertEqual(
            [i.amount for i in self.dossier.convention.instalments],
            amounts)

    def test_commitment(self):
        commitment = self.dossier.commitment
        other = self.road.create_party(verified=False)
        with self.road.system():
            envelope = self.road.create_envelope(Decimal(10), code='X')
        for field, value in [
                ('amount', Decimal('1.00')), ('year', 2040),
                ('party', other.id), ('envelope', envelope.id),
                ('state', 'released'), ('number', 'X')]:
            for login in USERS:
                with self.subTest(field=field, user=login):
                    with self.forbidden():
                        self.road.write(login, commitment, **{field: value})
        values = {
            'company': self.road.company.id,
            'envelope': self.road.envelope.id, 'party': other.id,
            'year': self.road.year, 'amount': Decimal(1)}
        for login in USERS:
            with self.subTest(user=login, door='create'):
                with self.forbidden(), self.road.as_user(login):
                    commitment.__class__.create([values])
            with self.subTest(user=login, door='copy'):
                with self.refused(UserError), self.road.as_user(login):
                    commitment.__class__.copy([commitment])

    def test_convention_copied(self):
        "A convention is opened from an application, never copied"
        convention = self.dossier.convention
        with self.refused(
                AccessError, 'convention_copy', convention.rec_name), \
                self.road.as_user('claire'):
            convention.__class__.copy([convention])

    def test_application_copied(self):
        "A copy starts over: nothing proposed, voted or paid"
        application = self.dossier.application
        with self.road.as_user('claire'):
            copy, = application.__class__.copy([application])
        copy = self.road.fresh(copy)
        self.assertEqual(copy.state, 'draft')
        self.assertNotEqual(copy.number, application.number)
        for name in [
                'proposed_amount', 'submitted_by', 'admitted_by',
                'reviewed_by', 'convention', 'next_deliberation',
                'complete_on', 'call']:
            self.assertIsNone(getattr(copy, name), name)
        self.assertFalse(copy.decisions)
        self.assertFalse(copy.pieces)
        self.assertEqual(copy.received_on, self.road.today)

    def test_deleted_above(self):
        "Nothing above a voted dossier can be deleted"
        dossier = self.dossier
        for record in [
                dossier.party, dossier.convention.scheme,
                dossier.application.call, dossier.decision.envelope,
                dossier.session, dossier.deliberation,
                dossier.application, dossier.convention,
                self.road.users['claire'], self.road.users['sophie'],
                self.road.employees['claire']]:
            with self.subTest(record=record.rec_name):
                with self.refused(UserError), self.road.system():
                    record.__class__.delete(
                        [record.__class__(record.id)])

    def test_append_only(self):
        "The journal and the overrides are neither changed nor deleted"
        pool = Pool()
        Event = pool.get('grant.event')
        Override = pool.get('grant.override')
        with self.road.system():
            override, = Override.create([{
                        'record': str(self.dossier.decision),
                        'rule': 'envelope', 'reason': "Essai", 'user': 1}])
        event = Event.search([], limit=1)[0]
        for record, field in [(event, 'after'), (override, 'reason')]:
            Model = record.__class__
            with self.refused(AccessError, 'append_only'), \
                    self.road.system():
                Model.write([record], {field: "Autre"})
            with self.refused(AccessError, 'append_only'), \
                    self.road.system():
                Model.delete([record])
            for login in USERS:
                with self.forbidden(), self.road.as_user(login):
                    Model.write([Model(record.id)], {field: "Autre"})
                with self.forbidden(), self.road.as_user(login):
                    Model.create([{
                                'record': str(self.dossier.decision),
                                'name': 'amount'} if Model == Event else {
                                'record': str(self.dossier.decision),
                                'rule': 'envelope', 'reason': "Essai",
                                'user': 1}])


class ScheduledTestCase(RefusalCase):
    "Between the agenda and the vote"

    @classmethod
    def prepare(cls):
        application, convention = cls.road.to_agreed()
        cls.road.schedule(application)
        cls.dossier = Dossier.of(cls.road.fresh(convention))

    def test_proposal(self):
        application = self.dossier.application
        for field, value in [
                ('proposed_amount', Decimal('1.00')),
                ('proposed_amount', None),
                ('proposal_motive', "Autre"),
                ('envelope', None),
                ('next_deliberation', None),
                ('orientations', [('remove', [self.road.orientation.id])]),
                ('title', "Autre"),
                ]:
            for login in USERS:
                with self.subTest(field=field, user=login):
                    with self.forbidden():
                        self.road.write(login, application, **{field: value})
            with self.subTest(field=field):
                with self.refused(FrozenError), self.road.system():
                    application.__class__.write(
                        [application], {field: value})

    def test_budget(self):
        line = self.dossier.budget_line
        for login in ['claire', 'marc', 'alice']:
            with self.forbidden():
                self.road.write(login, line, amount=Decimal(1))
            with self.forbidden():
                self.road.write(
                    login, self.dossier.application,
                    budget_lines=[('delete', [line.id])])
        with self.refused(FrozenError, 'frozen_by', line.rec_name), \
                self.road.system():
            line.__class__.write([line], {'amount': Decimal(1)})

    def test_agreed_text(self):
        "What both sides agreed on waits for the vote as it is"
        for name, field, value in [
                ('convention', 'purpose', "Autre objet"),
                ('convention', 'end_date', dt.date(2040, 12, 31)),
                ('tranche', 'amount', Decimal('1.00')),
                ('instalment', 'amount', Decimal('1.00')),
                ('objective', 'title', "Autre"),
                ('indicator', 'target', Decimal(1)),
                ('condition', 'text', "Autre")]:
            record = getattr(self.dossier, name)
            with self.subTest(record=name, field=field):
                with self.forbidden():
                    self.road.write('claire', record, **{field: value})
                with self.refused(FrozenError), self.road.system():
                    record.__class__.write([record], {field: value})

    def test_renegotiated(self):
        "The negotiation does not open again behind the agenda"
        convention = self.dossier.convention
        with self.refused(
                FrozenError, 'convention_renegotiate', convention.rec_name):
            self.road.press('claire', convention, 'renegotiate')
        with self.refused(FrozenError, None, convention.rec_name):
            self.road.write('claire', convention, ending_reason="Erreur")
            self.road.press('claire', convention, 'cancel')
        with self.refused(TransitionError, None, convention.rec_name):
            self.road.press('claire', convention, 'negotiate')
        self.assertState(convention, 'agreed')

    def test_unscheduled(self):
        "Off the agenda it can be proposed again, and nothing stays reserved"
        application = self.dossier.application
        self.road.press('marc', application, 'unschedule')
        forget()
        self.assertEqual(self.dossier.application.state, 'reviewed')
        self.assertEqual(self.dossier.commitment.state, 'released')
        self.assertEqual(self.dossier.decision.outcome, 'removed')
        self.road.write(
            'claire', application, proposed_amount=Decimal('9000.00'))

    def test_withdrawn(self):
        "An officer records the withdrawal of a dossier on the agenda"
        application = self.dossier.application
        self.road.write(
            'claire', application, withdrawal_reason="Projet abandonné")
        self.road.press('claire', application, 'withdraw')
        forget()
        self.assertEqual(self.dossier.application.state, 'withdrawn')
        self.assertEqual(self.dossier.commitment.state, 'released')
        self.assertEqual(self.dossier.decision.outcome, 'removed')

    def test_withdrawn_before(self):
        "An officer records the withdrawal of a dossier that is in no report"
        road = self.road
        application = road.submit(road.create_application())
        for step in ['admit', 'review']:
            with self.subTest(before=step):
                with attempt():
                    road.write(
                        'claire', application, withdrawal_reason="Abandon")
                    road.press('claire', application, 'withdraw')
                    self.assertState(application, 'withdrawn')
                if step == 'admit':
                    road.press('claire', application, step)

    def test_places(self):
        "What shows as writable during the review is written"
        road = self.road
        application = road.review(road.create_application())
        area, = Pool().get('grant.area').search([], limit=1)
        road.write(
            'claire', application, commune=None,
            areas=[('add', [area.id])])
        self.assertEqual(list(road.fresh(application).areas), [area])
        self.assertIsNone(road.fresh(application).commune)

    def test_agenda_line(self):
        "A line of the agenda belongs to the clerk, and not all of it"
        decision = self.dossier.decision
        for login in USERS.keys() - {'sophie'}:
            for values in [
                    {'outcome': 'refused'}, {'amount': Decimal(1)}]:
                with self.subTest(user=login, values=values):
                    with self.forbidden():
                        self.road.write(login, decision, **values)
        for field, value in [
                ('proposed_amount', Decimal(1)), ('kind', 'advance'),
                ('commitment', None), ('anomaly', "X"),
                ('outcome', 'removed'),
                ('amount_by', self.road.users['marc'].id),
                ('proposed_by', self.road.users['sophie'].id)]:
            with self.subTest(field=field):
                with self.forbidden():
                    self.road.write('sophie', decision, **{field: value})

    def test_amount_by(self):
        "Who changes the voted amount is written down, whatever is sent along"
        decision = self.dossier.decision
        self.road.write('sophie', decision, amount=Decimal('9000.00'))
        self.assertEqual(
            self.dossier.decision.amount_by, self.road.users['sophie'])
        self.road.create_user('simon', ['group_clerk'])
        self.road.write(
            'simon', decision, amount=Decimal('9500.00'),
            amount_by=self.road.users['sophie'].id)
        self.assertEqual(
            self.dossier.decision.amount_by, self.road.users['simon'])


class PaymentTestCase(RefusalCase):
    "The payment behind an instalment"

    @classmethod
    def prepare(cls):
        road = cls.road
        ModelData = Pool().get('ir.model.data')
        user = road.create_user('tresor', ['group_finance'])
        user.groups += tuple(
            Pool().get('res.group')(ModelData.get_id('account_payment', g))
            for g in ['group_payment', 'group_payment_approval'])
        user.groups += (
            Pool().get('res.group')(
                ModelData.get_id('account', 'group_account_admin')),
            Pool().get('res.group')(
                ModelData.get_id('pacte_grants', 'group_admin')))
        user.save()
        cls.dossier = Dossier.of(road.to_active())
        road.press('claire', cls.dossier.instalment, 'certify')

    @property
    def payment(self):
        return self.dossier.instalment.payment

    def doors(self):
        "As the treasurer with every right, then as the system."
        yield 'tresor', self.road.as_user('tresor')
        yield 'system', self.road.system()

    def in_states(self):
        "The payment in each of its states on the way."
        road = self.road
        yield 'submitted', self.payment
        road.press('paul', self.dossier.instalment, 'approve')
        forget()
        yield 'approved', self.payment
        road.press('nadia', self.dossier.instalment, 'process')
        forget()
        yield 'processing', self.payment
        road.press('nadia', self.dossier.instalment, 'succeed')
        forget()
        yield 'succeeded', self.payment

    def test_written(self):
        other = self.road.create_party(verified=False)
        Journal = Pool().get('account.payment.journal')
        with self.road.system():
            journal, = Journal.create([{
                        'name': "Autre", 'company': self.road.company.id,
                        'currency': self.road.company.currency.id,
                        'process_method': 'manual'}])
        for state, payment in self.in_states():
            self.assertEqual(payment.state, state)
            for field, value in [
                    ('amount', Decimal('99999.00')),
                    ('party', other.id),
                    ('journal', journal.id),
                    ('instalment', None),
                    ('state', 'draft'),
                    ('state', 'succeeded'),
                    ('reference', "Autre"),
                    ('date', dt.date(2020, 1, 1)),
                    ]:
                for door, context in self.doors():
                    with self.subTest(
                            state=state, field=field, door=door):
                        with self.refused(FrozenError, 'payment_frozen'), \
                                context:
                            payment.__class__.write([payment], {field: value})

    def test_buttons(self):
        "The buttons of Tryton move no payment that is not due to move"
        legal = {
            ('approved', 'proceed'), ('approved', 'process'),
            ('processing', 'succeed'), ('processing', 'fail'),
            ('processing', 'proceed'), ('succeeded', 'succeed'),
            ('succeeded', 'fail')}
        for state, payment in self.in_states():
            instalment = self.dossier.instalment.state
            for button in [
                    'draft', 'submit', 'approve', 'proceed', 'process',
                    'succeed', 'fail']:
                if (state, button) in legal:
                    continue
                for door, context in self.doors():
                    with self.subTest(
                            state=state, button=button, door=door):
                        with attempt(), context:
                            try:
                                getattr(payment.__class__, button)(
                                    [payment.__class__(payment.id)])
                            except UserError:
                                pass
                            forget()
                            self.assertEqual(
                                payment.__class__(payment.id).state, state)
                            self.assertEqual(
                                self.dossier.instalment.state, instalment)

    def test_deleted(self):
        for state, payment in self.in_states():
            for door, context in self.doors():
                with self.subTest(state=state, door=door):
                    with self.refused(AccessError), context:
                        payment.__class__.delete(
                            [payment.__class__(payment.id)])

    def test_created_with_an_instalment(self):
        Payment = Pool().get('account.payment')
        values = {
            'company': self.road.company.id,
            'journal': self.payment.journal.id,
            'kind': 'payable',
            'party': self.dossier.party.id,
            'amount': Decimal(1),
            }
        for door, context in self.doors():
            with self.subTest(door=door):
                with self.refused(
                        FrozenError, 'payment_create_instalment'), context:
                    Payment.create([values | {
                                'instalment': self.dossier.instalment.id}])
        for door, context in self.doors():
            with self.subTest(door=door, later=True):
                with self.refused(
                        FrozenError, 'payment_create_instalment'), context:
                    payment, = Payment.create([values])
                    Payment.write([payment], {
                            'instalment': self.dossier.instalment.id})
        with self.road.as_user('tresor'):
            copy, = Payment.copy([self.payment])
        self.assertIsNone(Payment(copy.id).instalment)
        self.assertEqual(Payment(copy.id).state, 'draft')

    def test_through_the_group(self):
        "The batch of payments is no door either"
        Group = Pool().get('account.payment.group')
        self.road.press('paul', self.dossier.instalment, 'approve')
        self.road.press('nadia', self.dossier.instalment, 'process')
        forget()
        group = self.payment.group
        for action in [
                ('write', [self.payment.id], {'amount': Decimal(1)}),
                ('remove', [self.payment.id]),
                ('delete', [self.payment.id])]:
            for door, context in self.doors():
                with self.subTest(action=action[0], door=door):
                    with self.refused(UserError), context:
                        Group.write(
                            [Group(group.id)], {'payments': [action]})

    def test_order(self):
        "Nothing is sent, paid or failed before its time"
        Payment = Pool().get('account.payment')
        for button in ['succeed', 'fail', 'proceed', 'process']:
            with self.subTest(button=button):
                with self.refused(TransitionError, 'payment_order'), \
                        self.road.system():
                    getattr(Payment, button)([self.payment])
        self.assertState(self.dossier.instalment, 'certified')

    def test_follows(self):
        "What the payer answers on the payment reaches the instalment"
        Payment = Pool().get('account.payment')
        road = self.road
        road.press('paul', self.dossier.instalment, 'approve')
        road.press('nadia', self.dossier.instalment, 'process')
        with road.as_user('tresor'):
            Payment.succeed([Payment(self.payment.id)])
        self.assertState(self.dossier.instalment, 'paid')
        with road.as_user('tresor'):
            Payment.fail([Payment(self.payment.id)])
        self.assertState(self.dossier.instalment, 'certified')
        self.assertEqual(
            self.dossier.instalment.return_status, 'returned')
        self.assertIsNone(self.dossier.instalment.paid_on)

    def test_paid_twice(self):
        "A paid instalment is neither certified nor sent again"
        road, instalment = self.road, self.dossier.instalment
        road.press('paul', instalment, 'approve')
        road.press('nadia', instalment, 'process')
        road.press('nadia', instalment, 'succeed')
        for button in ['certify', 'approve', 'process', 'succeed']:
            with self.subTest(button=button):
                with self.refused(
                        TransitionError, None, instalment.rec_name), \
                        road.system():
                    getattr(instalment.__class__, button)(
                        [self.dossier.instalment])
        self.assertEqual(len(self.dossier.instalment.payments), 1)

    def test_account_changed_after_certification(self):
        "An account that is no longer verified is not paid, at any step"
        road = self.road
        link = self.dossier.instalment.bank_account
        Link = link.__class__
        with road.as_user('claire'):
            other, = Link.create([{
                        'owner': self.dossier.party.id,
                        'iban': 'DE89370400440532013000'}])
        road.press('nadia', other, 'verify')
        road.press('paul', link, 'unverify')
        with self.refused(
                UserError, 'instalment_blocked',
                self.dossier.instalment.rec_name):
            road.press('nadia', self.dossier.instalment, 'approve')
        road.press('nadia', link, 'verify')
        road.press('paul', self.dossier.instalment, 'approve')
        road.press('paul', link, 'unverify')
        with self.refused(
                UserError, 'instalment_blocked',
                self.dossier.instalment.rec_name):
            road.press('nadia', self.dossier.instalment, 'process')
        with self.refused(UserError, 'instalment_blocked'), \
                road.system():
            self.payment.__class__.process([self.payment])
        self.assertState(self.dossier.instalment, 'approved')


class ReplaceTestCase(RefusalCase):
    "Two partners made one"

    @classmethod
    def prepare(cls):
        cls.dossier = Dossier.of(cls.road.to_active())

    def replace(self, source, destination):
        pool = Pool()
        Replace = pool.get('party.replace', type='wizard')
        with self.road.system(), Transaction().set_context(
                _skip_warnings=True):
            session_id, _, _ = Replace.create()
            replace = Replace(session_id)
            replace.ask.source = source
            replace.ask.destination = destination
            replace.transition_replace()
            Replace.delete(session_id)
        forget()

    def test_other_partner(self):
        "The grants of one partner do not become those of another"
        road, dossier = self.road, self.dossier
        other = road.create_party()
        commune = road.create_party(kind='commune', siret=None)
        road.press('claire', dossier.instalment, 'certify')
        for destination in [other, commune]:
            with self.refused(
                    IdentifierError, 'party_replace_other',
                    dossier.party.rec_name, destination.rec_name):
                self.replace(dossier.party, destination)
        self.assertEqual(
            self.dossier.instalment.payment.party, dossier.party)

    def test_duplicate(self):
        "A duplicate is merged whole, and its accounts are verified again"
        road, dossier = self.road, self.dossier
        Party = Pool().get('party.party')
        source = dossier.party
        nic = f'{source.siren}0002'
        with road.system():
            twin, = Party.create([{
                        'name': source.name,
                        'partner_kind': source.partner_kind,
                        'siret': nic + luhn.calc_check_digit(nic)}])
        self.replace(Party(source.id), Party(twin.id))
        self.assertEqual(self.dossier.convention.party, twin)
        self.assertEqual(self.dossier.application.party, twin)
        self.assertEqual(self.dossier.commitment.party, twin)
        self.assertFalse(self.dossier.bank_account.verified)
        with self.refused(UserError, 'instalment_blocked'):
            road.press('claire', self.dossier.instalment, 'certify')

