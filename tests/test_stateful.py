# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The life of a convention under random moves, legal and illegal.

Both parties, officers, the assembly and finance press whatever button they
like, write, add and delete.  After each move the invariants hold: amounts,
what blocks payments, what is frozen, what is never deleted.

``DEPTHS`` says how far the moves have to get.
"""
import datetime as dt
import json
from collections import defaultdict
from decimal import Decimal

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine, initialize, precondition, rule)
from trytond.exceptions import UserError
from trytond.model import fields
from trytond.model.exceptions import AccessError
from trytond.pool import Pool
from trytond.transaction import Transaction, without_check_access

from .refusal import RefusalCase, forget

LOGINS = ['claire', 'olivier', 'marc', 'sophie', 'paul', 'nadia', 'alice']
# What may change the text of a convention that was voted.
CHANGES = {
    ('grant.amendment', 'sign_partner'),
    ('grant.amendment', 'sign_department'),
    ('grant.amendment', 'take_effect'),
    ('grant.deliberation', 'vote'),
    ('grant.deliberation', 'unvote'),
    ('grant.application', 'renounce'),
    ('grant.convention', 'terminate'),
    ('grant.convention', 'renounce'),
    ('grant.convention', 'lapse'),
    ('grant.instalment', 'cancel'),
    }
LIVE = {'planned', 'certified', 'approved', 'paying', 'paid'}
SPENT = ['certified', 'approved', 'paying', 'paid']
FULFILLED = {'met', 'waived'}
# How far the moves get, or they prove nothing
DEPTHS = {
    'agreed', 'issued', 'signed', 'active', 'paid', 'amendment agreed',
    'amendment issued', 'amendment effective',
    'amendment of amounts effective', 'amendment of parts effective',
    'second amendment',
    }


class Machine(RuleBasedStateMachine):
    road = None
    reached = set()

    def __init__(self):
        super().__init__()
        transaction = Transaction()
        cursor = transaction.connection.cursor()
        cursor.execute('SAVEPOINT machine')
        self.convention_id = None
        self.content = None
        self.effective = set()
        self.issued = {}
        self.versions = {}
        self.seen = set()

    def teardown(self):
        cursor = Transaction().connection.cursor()
        cursor.execute('ROLLBACK TO SAVEPOINT machine')
        cursor.execute('RELEASE SAVEPOINT machine')
        forget()

    @initialize(
        years=st.integers(1, 3), cents=st.integers(1000001, 3000000),
        start=st.sampled_from(['amended', 'active', 'agreed', 'draft']),
        share=st.sampled_from([100, 110, 150, 70]),
        parts=st.sampled_from(['change', 'remove', None]))
    def open(self, years, cents, start, share, parts):
        road = self.road
        amount = Decimal(cents) / 100
        application = road.review(road.create_application(
                amount=amount,
                end_date=dt.date(road.year + years - 1, 12, 31)))
        convention = road.open_convention(application)
        self.application_id = application.id
        self.convention_id = convention.id
        if years > 1:
            road.write('claire', convention, kind='multi_year')
            with road.as_user('claire'):
                Pool().get('grant.tranche').create([{
                            'convention': convention.id,
                            'year': road.year + i, 'amount': amount}
                        for i in range(1, years)])
        with road.system():
            self.session_id = road.create_session().id
        self.deliberation_id = road.create_deliberation(
            Pool().get('grant.session')(self.session_id)).id
        self.add_parts(convention)
        state = 'active' if start == 'amended' else start
        while self.convention.state != state and self.step():
            pass
        if start == 'amended':
            self.open_amendment(share, 1, years - 1, 30, parts)
            while self.convention.amendment_under_way and self.step():
                pass

    def add_parts(self, convention):
        "One row of each model that the text of a convention is made of."
        pool = Pool()
        theme, = pool.get('grant.eco.theme').search([('code', '=', 'DEC')])
        category, *_ = pool.get('grant.tariff.category').search([], limit=1)
        with self.road.as_user('claire'):
            pool.get('grant.tariff.clause').create([{
                        'convention': convention.id,
                        'code': 'TAR_REDUIT_EXISTE',
                        'categories': [('add', [category.id])]}])
            pool.get('grant.eco.commitment').create([{
                        'convention': convention.id, 'theme': theme.id,
                        'text': "Gobelets lavables", 'starting_score': 1,
                        'target_score': 2}])

    @property
    def convention(self):
        return Pool().get('grant.convention')(self.convention_id)

    def records(self):
        "Everything that belongs to the dossier, by the order of its models."
        pool = Pool()
        convention = self.convention
        applications = list(convention.applications)
        amendments = list(convention.amendments)
        deliberation = pool.get('grant.deliberation')(self.deliberation_id)
        return [
            convention, *convention.tranches, *convention.objectives,
            *(i for o in convention.objectives for i in o.indicators),
            *(t for o in convention.objectives for i in o.indicators
                for t in i.targets),
            *convention.conditions, *convention.tariff_clauses,
            *convention.eco_commitments, *convention.clauses,
            *convention.documents, *convention.text_versions,
            *(d.commitment for d in convention.decisions if d.commitment),
            *convention.instalments, *applications,
            deliberation, deliberation.session, *deliberation.decisions,
            *amendments, *(t for a in amendments for t in a.tranches),
            *(p for a in amendments for p in a.get_proposals()),
            ]

    def draw(self, data):
        "Draw a model, then one of its records: each gets its turn."
        by_model = defaultdict(list)
        for record in self.records():
            by_model[record.__name__].append(record)
        model = data.draw(st.sampled_from(sorted(by_model)))
        return data.draw(st.sampled_from(by_model[model]))

    def move(self, login, record, act, name=None):
        "Do the act; an act that is refused changes nothing."
        transaction = Transaction()
        cursor = transaction.connection.cursor()
        cursor.execute('SAVEPOINT move')
        done = False
        try:
            with self.road.as_user(login):
                act(record.__class__, record.__class__(record.id))
            done = True
        except (UserError, AccessError):
            cursor.execute('ROLLBACK TO SAVEPOINT move')
        cursor.execute('RELEASE SAVEPOINT move')
        forget()
        if done and record.__name__ == 'grant.instalment' and (
                name == 'certify'):
            self.check_certified(record.__class__(record.id))
        self.check((record.__name__, name) if done else None)
        return done

    @precondition(lambda self: self.convention_id)
    @rule(data=st.data(), login=st.sampled_from(LOGINS))
    def press(self, data, login):
        record = self.draw(data)
        buttons = sorted(getattr(record.__class__, '_buttons', {}))
        if not buttons:
            return
        name = data.draw(st.sampled_from(buttons))
        self.move(
            login, record, lambda Model, r: getattr(Model, name)([r]), name)

    @precondition(lambda self: self.convention_id)
    @rule(data=st.data(), login=st.sampled_from(LOGINS))
    def write(self, data, login):
        record = self.draw(data)
        values = {
            'title': "Autre titre", 'purpose': "Autre objet",
            'text': "Autre texte", 'amount': Decimal('123.45'),
            'weight': Decimal(3), 'target': Decimal(7),
            'state': 'active', 'year': 2031, 'kind': 'other',
            'end_date': dt.date(self.road.year + 1, 6, 30),
            'active': False, 'status': 'voted', 'value': Decimal(9),
            'code': 'TAR_MAX', 'target_score': 3, 'content': '{}',
            'data': b'autre', 'block_kinds': ['advance'],
            }
        names = sorted(
            name for name in values.keys() & record._fields.keys()
            if not isinstance(record._fields[name], fields.Function))
        if not names:
            return
        name = data.draw(st.sampled_from(names))
        self.move(
            login, record,
            lambda Model, r: Model.write([r], {name: values[name]}))

    @precondition(lambda self: self.convention_id)
    @rule(data=st.data(), login=st.sampled_from(LOGINS))
    def delete(self, data, login):
        record = self.draw(data)
        if record.__name__ in {
                'grant.convention', 'grant.deliberation',
                'grant.application', 'grant.session'}:
            first = getattr(record.__class__, 'first_state', lambda: None)()
            if record.state == first:
                return
        self.move(login, record, lambda Model, r: Model.delete([r]))

    @precondition(lambda self: self.convention_id)
    @rule(
        share=st.integers(0, 150), cents=st.integers(0, 99),
        year=st.sampled_from([0, 0, 1, 2, 3]),
        days=st.sampled_from([None, 30, 400]),
        parts=st.sampled_from(['change', 'remove', None]))
    def amend(self, share, cents, year, days, parts):
        self.open_amendment(share, cents, year, days, parts)

    def open_amendment(self, share, cents, year, days, parts):
        "Open an amendment on the amount of a year, the end and some parts."
        convention = self.convention
        if convention.state != 'active' or convention.amendment_under_way:
            return
        amounts = {t.year: t.amount for t in convention.tranches}
        amount = amounts.get(convention.year + year, Decimal(10000))
        amount = (amount * share // 100) + Decimal(cents) / 100

        def act(Model, record):
            Model.open_amendment([record])
            amendment = record.__class__(record.id).amendment_under_way
            Amendment = amendment.__class__
            Amendment.write([amendment], {
                    'reason': "Le projet change.",
                    'new_title': f"Projet {amount}",
                    'new_end_date': days and (
                        convention.end_date + dt.timedelta(days=days)),
                    'tranches': [('create', [{
                                    'year': convention.year + year,
                                    'amount': amount}])],
                    })
            for name in ['objectives', 'conditions'] if parts else []:
                records = list(getattr(convention, name))[-1:]
                if records:
                    # As the wizard does
                    with without_check_access():
                        records[0].__class__.take_up(
                            records, Amendment(amendment.id), parts)
            for objective in Amendment(amendment.id).objectives:
                objective.__class__.agree_partner([objective])
                objective.__class__.agree_department([objective])
        self.move('claire', convention, act)

    @precondition(lambda self: self.convention_id)
    @rule(steps=st.integers(1, 6))
    def go_on(self, steps):
        "Take the legal road some steps further."
        for _ in range(steps):
            if not self.step():
                break

    def step(self):
        road = self.road
        pool = Pool()
        convention = self.convention
        deliberation = pool.get('grant.deliberation')(self.deliberation_id)
        application = pool.get('grant.application')(self.application_id)

        def press(login, record, name):
            return self.move(
                login, record,
                lambda Model, r: getattr(Model, name)([r]), name)

        if convention.state == 'draft':
            return press('claire', convention, 'negotiate')
        if convention.state == 'negotiation':
            if not convention.objectives:
                return self.move(
                    'claire', convention,
                    lambda Model, r: road.add_objective(r))
            for objective in convention.objectives:
                for side in ['partner', 'department']:
                    if not getattr(objective, f'{side}_agreed_on'):
                        press('claire', objective, f'agree_{side}')
            press('claire', convention, 'set_amounts')
            return press('claire', convention, 'agree')
        if convention.state == 'agreed' and not convention.frozen_on:
            if application.state == 'reviewed':
                self.move(
                    'claire', application, lambda Model, r: Model.write(
                        [r], {'next_deliberation': deliberation.id}))
                return press('marc', application, 'schedule')
            if deliberation.session.state == 'draft':
                return press('sophie', deliberation.session, 'convene')
            if deliberation.session.state == 'convened':
                return press('sophie', deliberation.session, 'hold')
            return press('sophie', deliberation, 'vote')
        if deliberation.state == 'voted':
            self.move(
                'sophie', deliberation, lambda Model, r: Model.write([r], {
                        'act_number': 'CP-1', 'transmitted_on': road.today,
                        'received_on': road.today,
                        'published_on': road.today}))
            return press('sophie', deliberation, 'make_executory')
        if convention.state == 'agreed':
            if convention.amount_changed:
                press('claire', convention, 'confirm_amount')
            return press('claire', convention, 'issue')
        if convention.state == 'issued':
            return press('claire', convention, 'sign_partner')
        if convention.state == 'signed':
            if not convention.signed_department_on:
                return press('marc', convention, 'sign_department')
            return press('claire', convention, 'notify')
        if convention.state == 'active':
            amendment = convention.amendment_under_way
            if amendment:
                return self.step_amendment(amendment, press)
            with road.system():
                road.number_commitments(convention)
            for instalment in convention.instalments:
                step = {
                    'planned': ('claire', 'certify'),
                    'certified': ('paul', 'approve'),
                    'approved': ('nadia', 'process'),
                    'paying': ('nadia', 'succeed'),
                    }.get(instalment.state)
                if step and press(step[0], instalment, step[1]):
                    return True
        return False

    def step_amendment(self, amendment, press):
        road = self.road
        if amendment.state == 'draft':
            if press('claire', amendment, 'agree'):
                return True
            # It asks for what cannot be: somebody gives it up.
            self.move('claire', amendment, lambda Model, r: Model.write(
                    [r], {'reason_ending': "Impossible."}))
            return press('claire', amendment, 'cancel')
        if amendment.state == 'agreed':
            if amendment.vote_required and not amendment.voted_on:
                with road.system():
                    session = road.create_session()
                deliberation = road.create_deliberation(session)
                if not self.move(
                        'claire', amendment, lambda Model, r: Model.write(
                            [r], {'next_deliberation': deliberation.id})):
                    return False
                if not press('claire', amendment, 'schedule'):
                    return False
                self.deliberation_id = deliberation.id
                press('sophie', session, 'convene')
                press('sophie', road.fresh(session), 'hold')
                return press('sophie', road.fresh(deliberation), 'vote')
            if amendment.voted_on:
                self.deliberation_id = (
                    amendment.decisions[0].deliberation.id)
            return press('claire', amendment, 'issue')
        if not amendment.signed_partner_on:
            return press('claire', amendment, 'sign_partner')
        return press('marc', amendment, 'sign_department')

    def check(self, move):
        "Check the invariants after the move, ``None`` if it was refused."
        convention = self.convention
        self.check_amounts(convention)
        self.check_frozen(convention, move)
        self.check_versions(convention)
        self.check_kept(convention)
        self.note(convention)

    def note(self, convention):
        "Note how far the moves came."
        self.reached.add(convention.state)
        self.reached |= {i.state for i in convention.instalments}
        amendments = convention.amendments
        if len(amendments) > 1:
            self.reached.add('second amendment')
        for amendment in amendments:
            self.reached.add(f'amendment {amendment.state}')
            if amendment.voted_on:
                self.reached.add('amendment voted')
            if amendment.state == 'effective':
                if any(t.difference for t in amendment.tranches):
                    self.reached.add('amendment of amounts effective')
                if amendment.get_proposals():
                    self.reached.add('amendment of parts effective')

    def check_certified(self, instalment):
        """Nothing that was to be there for the payment is missing; asked
        without the blockers, which may be wrong."""
        convention, tranche = instalment.convention, instalment.tranche
        decisions = [
            d for a in convention.applications if a.year == tranche.year
            for d in a.decisions
            if d.outcome == 'granted' and not d.amendment]
        links = convention.party.bank_account_links
        for reason, holds in {
                "not voted": tranche.status == 'voted' and decisions,
                "not executory": all(
                    d.deliberation.state == 'executory' for d in decisions),
                "anomaly": all(
                    not d.anomaly or d.regularised_by for d in decisions),
                "not in force": convention.state in {'active', 'closing'},
                "not signed": (
                    convention.signed_partner_on
                    and convention.signed_department_on),
                "not notified": (
                    convention.notified_on and tranche.notified_on),
                "no number": instalment.commitment.finance_number,
                "conditions": all(
                    c.state in FULFILLED for c in convention.conditions
                    if instalment.kind in c.block_kinds
                    and c.concerns_year(tranche.year)),
                "bank account": any(
                    link.verified_by and link == instalment.bank_account
                    for link in links),
                }.items():
            assert holds, f"certified although: {reason} (invariant 4)"

    def check_amounts(self, convention):
        voted = defaultdict(Decimal)
        for application in convention.applications:
            for decision in application.decisions:
                amendment = decision.amendment
                if (decision.outcome == 'granted'
                        and decision.deliberation.state
                        in {'voted', 'executory'}
                        and (not amendment
                            or amendment.state == 'effective')):
                    voted[application.year] += (
                        decision.sign * decision.amount)
        for tranche in convention.tranches:
            if tranche.status == 'voted':
                assert tranche.amount == voted[tranche.year], (
                    "a voted tranche is what was voted (invariant 1)")
            planned = tranche.reduction + sum(
                i.amount for i in tranche.instalments if i.state in LIVE)
            if convention.freezing_state in {'draft', 'negotiation'}:
                assert planned <= tranche.amount, "invariant 1"
            else:
                assert planned == tranche.amount, "invariant 1"
            if tranche.status != 'voted':
                assert not any(
                    i.state in SPENT for i in tranche.instalments), (
                    "an indicative tranche pays nothing (invariant 1)")

    def check_frozen(self, convention, move):
        content = json.dumps(convention.get_content(), sort_keys=True)
        effective = {
            a.id for a in convention.amendments if a.state == 'effective'}
        allowed = move in CHANGES and (
            move[0] != 'grant.amendment' or effective != self.effective)
        if convention.frozen_on and self.content is not None and not allowed:
            assert content == self.content, f"changed by {move} (6)"
        self.content = content if convention.frozen_on else None
        for document in convention.documents:
            assert document.intact, "a sealed document changed (6)"
        self.check_amendments(convention, effective)
        self.effective = effective

    def check_amendments(self, convention, effective):
        "What is out for signature stays, and is what takes effect."
        parts = [
            'convention', 'tranches', 'clauses', 'conditions',
            'tariff_clauses', 'eco_commitments']

        def keep(content):
            return {
                part: sorted(str(e['values']) for e in content[part])
                for part in parts}
        issued = {}
        for amendment in convention.amendments:
            if amendment.state == 'issued':
                issued[amendment.id] = keep(amendment.get_content_after())
                before = self.issued.get(amendment.id)
                assert before is None or before == issued[amendment.id], (
                    "changed while it is out for signature (6)")
            if amendment.id in effective - self.effective:
                after = keep(convention.get_content())
                for part in ['convention', 'tranches', 'conditions']:
                    assert after[part] == self.issued[amendment.id][part], (
                        "not what the parties signed (6)")
        self.issued = issued

    def check_versions(self, convention):
        "Versions stay, and the last one is what holds."
        versions = {v.id: v.content for v in convention.text_versions}
        for id_, content in self.versions.items():
            assert versions.get(id_) == content, "a version changed (6)"
        self.versions = versions
        if convention.state in {'active', 'closing'} and all(
                t.notified_on for t in convention.tranches
                if t.status == 'voted'):
            assert convention.text_versions and (
                convention.text_versions[0].get_content()
                == json.loads(json.dumps(convention.get_content()))), (
                "the last version is not the text in force (6)")

    def check_kept(self, convention):
        kept = {('convention', convention.id)}
        for name in ['instalments', 'applications', 'documents',
                'text_versions']:
            kept |= {
                (name, r.id) for r in getattr(convention, name)
                if getattr(r, 'state', None) not in {'planned', 'draft'}}
        kept |= {
            ('amendments', a.id) for a in convention.amendments
            if a.state != 'draft'}
        instalments = Pool().get('grant.instalment')
        gone = {
            key for key in self.seen - kept
            if key[0] != 'instalments'
            or not instalments.search([('id', '=', key[1])])}
        back = {
            key for key in gone if key[0] == 'amendments' and
            Pool().get('grant.amendment').search([('id', '=', key[1])])}
        applications = {
            key for key in gone if key[0] == 'applications' and
            Pool().get('grant.application').search([('id', '=', key[1])])}
        assert not gone - back - applications, "deleted past draft (7)"
        self.seen = kept | (self.seen & kept)


class StatefulTestCase(RefusalCase):

    def run_machine(self, **values):
        Machine.road = self.road
        Machine.reached = set()
        Machine.TestCase.settings = settings(
            stateful_step_count=25, deadline=None, derandomize=True,
            # A failure is read in its moves; making them fewer takes minutes.
            phases=[Phase.generate], report_multiple_bugs=False,
            database=None, suppress_health_check=list(HealthCheck), **values)
        Machine.TestCase().runTest()

    def test_life(self):
        self.run_machine(max_examples=10)
        self.assertFalse(DEPTHS - Machine.reached)
