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

from .department import FINANCE, press
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
        assert str(refusals[0]) == gettext(
            'pacte_grants.msg_schedule_letter_too_large',
            application=left.rec_name)


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
    "Approvals of several instalments share the payment credits"
    with department.road() as road:
        envelope = road.create_envelope(
            Decimal(40000), credit=Decimal(11000), code='CP')
        advances = [
            active(road, Decimal(10000), envelope) for _ in range(4)]
        for advance in advances:
            road.press('claire', advance, 'certify')

    refusals = at_once(*[
            press(department.desk(login), advance, 'approve')
            for login, advance in zip(FINANCE, advances)])

    with department.road() as road:
        envelope = road.fresh(envelope)
        exceeded = gettext(
            'pacte_grants.msg_payment_credit_exceeded',
            envelope=envelope.rec_name,
            credit=money(Decimal(11000)),
            approved=money(Decimal(15000)))
        assert [str(r) for r in refusals] == [exceeded] * 2
        assert envelope.approved == 10000
        states = [a.state for a in map(road.fresh, advances)]
        assert sorted(states) == ['approved'] * 2 + ['certified'] * 2


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
