# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Many requests at once: ceilings hold and one-time acts happen once.

The requests go through the dispatcher, on PostgreSQL or on an SQLite file:
one in memory belongs to a single thread.
"""

import datetime as dt
from decimal import Decimal
from functools import partial

import pytest
from trytond.i18n import gettext
from trytond.modules.pacte_grants.check import money
from trytond.pool import Pool
from trytond.transaction import Transaction

from .department import FINANCE, press
from .refusal import message_pattern
from .rpc import Refusal, at_once


def agenda(road, code, authorised, amounts):
    """Return an envelope and applications of the amounts, each ready for a
    deliberation of its own in a new session."""
    road.session = road.create_session()
    road.envelope = road.create_envelope(authorised, code=code)
    applications = []
    for amount in amounts:
        application, _ = road.to_agreed(
            party=road.create_party(verified=False), amount=amount)
        road.write(
            'claire', application,
            next_deliberation=road.create_deliberation().id)
        applications.append(application)
    return road.envelope, applications


def active(road, amount, envelope=None):
    """Return the first instalment of a new active convention, on the
    envelope or on one of its own."""
    road.session = road.create_session()
    road.envelope = envelope or road.create_envelope(
        amount, code=f'A{road.session.id}')
    return road.advance(road.to_active(amount=amount))


def test_agenda_and_votes(department):
    "Ten applications for an envelope with room for five"
    with department.road() as road:
        envelope, applications = agenda(
            road, 'FIVE', Decimal(5000), [Decimal(1000)] * 10)
        exceeded = gettext(
            'pacte_grants.msg_envelope_exceeded',
            envelope=envelope.rec_name,
            authorised=money(Decimal(5000)),
            excess=money(Decimal(1000)))

    marc = department.desk('marc')
    refusals = at_once(*[
            press(marc, a, 'schedule') for a in applications])

    assert [str(r) for r in refusals] == [exceeded] * 5
    with department.road() as road:
        envelope = road.fresh(envelope)
        assert (envelope.reserved, envelope.committed) == (5000, 0)
        scheduled = [
            a for a in map(road.fresh, applications)
            if a.state == 'scheduled']
        assert len(scheduled) == 5
        deliberations = [a.next_deliberation for a in scheduled]
        road.hold()

    sophie = department.desk('sophie')
    assert not at_once(*[
            press(sophie, d, 'vote') for d in deliberations])

    with department.road() as road:
        envelope = road.fresh(envelope)
        assert (envelope.reserved, envelope.committed) == (0, 5000)
        for deliberation in map(road.fresh, deliberations):
            assert deliberation.state == 'voted'
            decision, = deliberation.decisions
            assert not decision.anomaly
            assert decision.commitment.state == 'committed'
        states = [a.state for a in map(road.fresh, applications)]
        assert sorted(states) == ['granted'] * 5 + ['reviewed'] * 5


def test_letters_to_one_partner(department):
    """Two letters to one association, on two envelopes: together they need
    a convention (L03), and only one is put on the agenda"""
    with department.road() as road:
        road.session = road.create_session()
        party = road.create_party(verified=False)
        applications = []
        for i, amount in enumerate([Decimal(12000), Decimal(13000)]):
            road.envelope = road.create_envelope(amount, code=f'L03{i}')
            applications.append(road.prepare_letter(party, amount))

    marc = department.desk('marc')
    refusals = at_once(*[
            press(marc, a, 'schedule') for a in applications])

    assert len(refusals) == 1
    with department.road() as road:
        left, = [
            a for a in map(road.fresh, applications)
            if a.state == 'reviewed']
        with Transaction().set_context(language='fr'):
            pattern = message_pattern('schedule_letter_too_large')
        assert pattern.search(str(refusals[0]))
        assert left.rec_name in str(refusals[0])


def test_same_deliberation(department):
    "A vote pressed many times is recorded once"
    with department.road() as road:
        envelope, (application,) = agenda(
            road, 'ONCE', Decimal(5000), [Decimal(1000)])
        deliberation = road.schedule(application)
        road.hold()

    sophie = department.desk('sophie')
    refusals = at_once(*[press(sophie, deliberation, 'vote')] * 4)

    assert len(refusals) == 3
    with department.road() as road:
        envelope = road.fresh(envelope)
        assert (envelope.reserved, envelope.committed) == (0, 1000)
        assert len(envelope.commitments) == 1


def test_agreement_and_touch(department):
    """What one side touches while the other agrees is agreed by nobody, and
    an agreed text stands as it was accepted"""
    with department.road() as road:
        application = road.review(road.create_application(
                party=road.create_party(verified=False)))
        convention = road.open_convention(application)
        road.press('claire', convention, 'negotiate')
        objective = road.add_objective(convention)
        indicator, = objective.indicators
        road.press('claire', objective, 'agree_partner')

    claire, olivier, marc = map(
        department.desk, ['claire', 'olivier', 'marc'])

    def touch(target):
        olivier(
            'grant.indicator', 'write', [indicator.id],
            {'target': target})

    for target in range(301, 306):
        with department.road() as road:
            objective = road.fresh(objective)
            if not objective.partner_agreed_on:
                road.press('claire', objective, 'agree_partner')
        at_once(
            press(claire, objective, 'agree_department'),
            partial(touch, target))
        with department.road() as road:
            objective = road.fresh(objective)
            last = objective.versions[0]
            assert objective.indicators[0].target == target
            for side in ['partner', 'department']:
                name = f'{side}_agreed_on'
                assert getattr(objective, name) == getattr(last, name)

    for target in range(311, 316):
        with department.road() as road:
            objective = road.fresh(objective)
            for side in ['partner', 'department']:
                name = f'agree_{side}'
                if not getattr(objective, f'{side}_agreed_on'):
                    road.press('claire', objective, name)
        at_once(
            press(marc, convention, 'agree'),
            partial(touch, target))
        with department.road() as road:
            convention = road.fresh(convention)
            objective = road.fresh(objective)
            touched = objective.indicators[0].target == target
            assert touched == (convention.state == 'negotiation')
            assert touched == (not objective.agreed)
            if convention.state == 'agreed':
                road.press('marc', convention, 'renegotiate')


def test_raised_votes(department):
    "Two votes raise amounts and only one finds the room"
    with department.road() as road:
        envelope, applications = agenda(
            road, 'LAST', Decimal(2500), [Decimal(1000)] * 2)
        deliberations = [
            road.schedule(a, a.next_deliberation) for a in applications]
        road.hold()
        for deliberation in deliberations:
            road.write(
                'sophie', deliberation.decisions[0], amount=Decimal(1400))

    sophie = department.desk('sophie')
    assert not at_once(*[
            press(sophie, d, 'vote') for d in deliberations])

    with department.road() as road:
        envelope = road.fresh(envelope)
        decisions = [
            d for r in map(road.fresh, deliberations) for d in r.decisions]
        assert [d.amount for d in decisions] == [1400, 1400]
        decisions.sort(key=lambda d: bool(d.anomaly))
        committed, recorded = decisions
        assert not committed.anomaly
        assert committed.commitment.state == 'committed'
        assert recorded.commitment.state == 'released'
        assert (envelope.reserved, envelope.committed) == (0, 1400)
        anomaly = recorded.anomaly
        assert envelope.rec_name in anomaly
        assert money(Decimal(1400)) in anomaly
        convention = recorded.application.convention
        road.press('claire', convention, 'confirm_amount')

    with pytest.raises(Refusal) as refusal:
        press(department.desk('claire'), convention, 'issue')()
    assert anomaly in str(refusal.value)


def test_certify(department):
    "An instalment certified by many is certified into one payment"
    with department.road() as road:
        advance = active(road, Decimal(10000))
        name = advance.rec_name

    desks = [department.desk(l) for l in ['claire', 'olivier', 'marc']]
    refusals = at_once(*[
            press(desks[i % 3], advance, 'certify') for i in range(10)])

    assert len(refusals) == 9
    assert all(name in str(r) for r in refusals)
    with department.road() as road:
        advance = road.fresh(advance)
        assert advance.state == 'certified'
        payment, = advance.payments
        assert (payment.state, payment.amount) == ('submitted', 5000)


@pytest.mark.parametrize('amount, needed', [
        (Decimal(10000), 1),
        (Decimal(120000), 2),
        ])
def test_approve(department, amount, needed):
    "Ten people approve: no more approvals than are needed, one payment"
    with department.road() as road:
        advance = active(road, amount)
        road.press('claire', advance, 'certify')

    refusals = at_once(*[
            press(department.desk(login), advance, 'approve')
            for login in FINANCE])

    assert len(refusals) == 10 - needed
    with department.road() as road:
        advance = road.fresh(advance)
        assert advance.state == 'approved'
        assert all(advance.rec_name in str(r) for r in refusals)
        approvals = advance.valid_approvals
        assert len({a.user for a in approvals}) == len(approvals) == needed
        payment, = advance.payments
        assert (payment.state, payment.amount) == ('approved', amount / 2)
        assert advance.envelope.approved == amount / 2


def test_payment_credits(department):
    "Ten approvals share payment credits with room for five"
    with department.road() as road:
        envelope = road.create_envelope(
            Decimal(100000), credit=Decimal(26000), code='CP')
        advances = [
            active(road, Decimal(10000), envelope) for _ in range(10)]
        for advance in advances:
            road.press('claire', advance, 'certify')

    refusals = at_once(*[
            press(department.desk(login), advance, 'approve')
            for login, advance in zip(FINANCE, advances, strict=True)])

    with department.road() as road:
        envelope = road.fresh(envelope)
        exceeded = gettext(
            'pacte_grants.msg_payment_credit_exceeded',
            envelope=envelope.rec_name,
            credit=money(Decimal(26000)),
            approved=money(Decimal(30000)))
        assert [str(r) for r in refusals] == [exceeded] * 5
        assert envelope.approved == 25000
        states = [a.state for a in map(road.fresh, advances)]
        assert sorted(states) == ['approved'] * 5 + ['certified'] * 5


def test_commitment(department):
    "Ten certifications share a commitment that was cut to room for five"
    with department.road() as road:
        road.session = road.create_session()
        road.envelope = road.create_envelope(Decimal(1000), code='CUT')
        Instalment = Pool().get('grant.instalment')
        instalments = Instalment.browse(road.to_instalments(10))
        commitment, = instalments[0]._get_commitments()
        commitment.__class__.write([commitment], {'amount': Decimal(550)})
        exceeded = gettext(
            'pacte_grants.msg_instalment_above_commitment',
            instalment='', amount=money(Decimal(100)),
            left=money(Decimal(50))).partition('«')[2].partition('»')[2]

    desks = [department.desk(l) for l in ['claire', 'olivier', 'marc']]
    refusals = at_once(*[
            press(desks[i % 3], instalment, 'certify')
            for i, instalment in enumerate(instalments)])

    assert len(refusals) == 5
    assert all(str(r).endswith(exceeded) for r in refusals)
    with department.road() as road:
        instalments = [road.fresh(i) for i in instalments]
        certified = [i for i in instalments if i.state == 'certified']
        assert len(certified) == 5
        assert sum(p.amount for i in certified for p in i.payments) == 500
        commitment = road.fresh(commitment)
        drawn = Instalment._drawn([commitment])
        assert drawn[commitment.id] == 500 <= commitment.amount


def test_numbers(department):
    "The first applications of a year come together, then many more"
    with department.road() as road:
        party = road.create_party(verified=False)
        year = road.year + 5
        values = {
            'party': party.id,
            'scheme': road.scheme.id,
            'year': year,
            'title': "Festival",
            'received_on': road.today - dt.timedelta(days=1),
            'requested_amount': Decimal(1000),
            }

    desks = [department.desk('claire'), department.desk('olivier')]

    def create(desk):
        desk('grant.application', 'create', [values])

    assert not at_once(*[partial(create, desk) for desk in desks])
    assert not at_once(*[partial(create, desk) for desk in desks * 4])

    with department.road() as road:
        applications = Pool().get('grant.application').search([
                ('year', '=', year)])
        numbers = {a.number for a in applications}
        assert len(applications) == len(numbers) == 10
        assert all(n.startswith(f'D{year}-') for n in numbers)
        assert Pool().get('grant.numbering').search([
                ('kind', '=', 'application'),
                ('year', '=', year),
                ], count=True) == 1


def amendment_of(road, amount, raised):
    """Return an agreed amendment that raises the year of a new convention
    of the amount, on an envelope that has just the room."""
    convention = active(road, amount, road.create_envelope(
            raised, code=f'R{amount}')).convention
    road.press('claire', convention, 'open_amendment')
    amendment = road.fresh(convention).amendments[0]
    with road.as_user('claire'):
        amendment.__class__.write([amendment], {
                'title': "Complément",
                'reason': "Une date de plus.",
                'tranches': [('create', [{
                                'year': road.year, 'amount': raised}])],
                })
    road.press('claire', amendment, 'agree')
    road.session = road.create_session()
    road.write(
        'claire', amendment, next_deliberation=road.create_deliberation().id)
    return road.fresh(amendment)


def test_amendments_opened(department):
    "A convention has one amendment under way, whoever opens it"
    with department.road() as road:
        convention = active(road, Decimal(10000)).convention

    desks = [department.desk(l) for l in ['claire', 'olivier', 'marc']]
    assert not at_once(*[
            press(desks[i % 3], convention, 'open_amendment')
            for i in range(6)])

    with department.road() as road:
        amendment, = road.fresh(convention).amendments
        assert amendment.number == 1


def test_amendment_scheduled_and_voted(department):
    "An amendment is put on the agenda once, voted once, and then stays"
    with department.road() as road:
        amendment = amendment_of(road, Decimal(10000), Decimal(12000))

    desks = [department.desk(l) for l in ['claire', 'olivier', 'marc']]
    refusals = at_once(*[press(d, amendment, 'schedule') for d in desks])

    assert len(refusals) == 2
    with department.road() as road:
        amendment = road.fresh(amendment)
        decision, = amendment.decisions
        assert decision.envelope.reserved == 2000
        deliberation = decision.deliberation
        road.hold()

    sophie = department.desk('sophie')
    calls = [press(sophie, deliberation, 'vote')] * 2 + [
        press(d, amendment, 'renegotiate') for d in desks] + [
        press(d, amendment, 'unschedule') for d in desks]
    at_once(*calls)

    with department.road() as road:
        amendment, decision = road.fresh(amendment), road.fresh(decision)
        envelope = decision.envelope
        # Either it left the agenda before the vote or it was voted.
        assert (decision.outcome, amendment.voted_on, envelope.committed) in {
            ('granted', road.today, 12000), ('removed', None, 10000)}
        if decision.outcome == 'granted':
            assert amendment.state == 'agreed'
        assert envelope.reserved == 0


def test_amendment_signed(department):
    "Both sign at once, many times: it takes effect, and once"
    with department.road() as road:
        amendment = amendment_of(road, Decimal(11000), Decimal(15000))
        road.press('claire', amendment, 'schedule')
        road.hold()
        deliberation = road.vote(road.fresh(amendment).next_deliberation)
        road.make_executory(deliberation)
        road.press('claire', amendment, 'issue')
        convention = road.fresh(amendment).convention
        versions = len(convention.text_versions)

    claire, marc = department.desk('claire'), department.desk('marc')
    refusals = at_once(
        *[press(claire, amendment, 'sign_partner')] * 3,
        *[press(marc, amendment, 'sign_department')] * 3)

    assert len(refusals) == 4
    with department.road() as road:
        amendment = road.fresh(amendment)
        convention = road.fresh(convention)
        assert amendment.state == 'effective'
        assert len(convention.text_versions) == versions + 1
        tranche, = convention.tranches
        assert tranche.amount == 15000
        assert sum(i.amount for i in tranche.instalments) == 15000
        assert amendment.decisions[0].envelope.committed == 15000


def test_amendment_signed_and_certified(department):
    "A payment and the signature of a new schedule do not cross"
    with department.road() as road:
        advance = active(road, Decimal(13000))
        convention = advance.convention
        road.press('claire', convention, 'open_amendment')
        amendment = road.fresh(convention).amendments[0]
        with road.as_user('claire'):
            amendment.__class__.write([amendment], {
                    'title': "Versement unique",
                    'reason': "Le partenaire le demande.",
                    'instalments': [('create', [{
                                    'year': road.year, 'kind': 'single',
                                    'amount': Decimal(13000)}])],
                    })
        road.press('claire', amendment, 'agree')
        road.press('claire', amendment, 'issue')
        road.press('claire', amendment, 'sign_partner')

    refusals = at_once(
        press(department.desk('marc'), amendment, 'sign_department'),
        press(department.desk('olivier'), advance, 'certify'))

    assert len(refusals) <= 1
    with department.road() as road:
        amendment, tranche = road.fresh(amendment), road.fresh(
            convention).tranches[0]
        assert sum(
            i.amount for i in tranche.instalments
            if i.state != 'cancelled') == 13000
        certified = [
            i for i in tranche.instalments if i.state == 'certified']
        for instalment in certified:
            payment, = instalment.payments
            assert payment.amount == instalment.amount


def test_batch(department):
    "Sent by ten at once, a payment goes into one batch with one file"
    with department.road() as road:
        road.use_batches()
        advance = active(road, Decimal(10000))
        road.press('claire', advance, 'certify')
        road.press('paul', advance, 'approve')

    refusals = at_once(*[
            press(department.desk(login), advance, 'process')
            for login in FINANCE])

    assert len(refusals) == 9
    with department.road() as road:
        advance = road.fresh(advance)
        assert advance.state == 'paying'
        payment, = advance.payments
        assert len(payment.batch_lines) == 1
        batch = payment.group
        assert batch.state == 'transmitted'
        assert Pool().get('account.payment.group').search([
                ('state', '!=', None)], count=True) == 1
        assert Pool().get('grant.batch.file').search([
                ('group', '=', batch.id)], count=True) == 1
