# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Aid in kind: what it is worth in which year, who says so, where it counts."
import datetime as dt
from decimal import Decimal

from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st
from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.company.tests import create_company
from trytond.modules.pacte_grants.check import money
from trytond.modules.pacte_grants.exceptions import (
    AmountError, BlockedError, CompletenessError, DutyError, FrozenError,
    PeriodError, TransitionError)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import Dossier, RefusalCase, attempt, forget, set_state
from .road import USERS

CENT = Decimal('0.01')
THRESHOLD = Decimal(23000)
days = st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31))
values = st.integers(min_value=0, max_value=10 ** 10).map(
    lambda cents: cents * CENT)


class ValueTestCase(RefusalCase):
    "What the aid is worth, in all and by calendar year"

    @classmethod
    def prepare(cls):
        cls.party_id = cls.road.create_party(verified=False).id

    @property
    def party(self):
        return Pool().get('party.party')(self.party_id)

    def years(self, aid):
        return [
            (y.year, y.days, y.value) for y in self.road.fresh(aid).years]

    @given(days, days, values)
    @settings(max_examples=200)
    def test_split_exact(self, one, other, value):
        "Every day counts once, every cent too, whatever the dates"
        first, last = sorted([one, other])
        InKind = Pool().get('grant.in_kind')
        aid = InKind(
            company=self.road.company, first_day=first, last_day=last,
            value=value)
        parts = aid.split_value()
        total = (last - first).days + 1
        self.assertEqual(sum(d for _, d, _ in parts), total)
        self.assertEqual(sum(v for _, _, v in parts), value)
        self.assertEqual(
            [y for y, _, _ in parts],
            list(range(first.year, last.year + 1)))
        for _, part_days, part in parts:
            self.assertGreater(part_days, 0)
            self.assertEqual(part, part.quantize(CENT))
            self.assertLessEqual(
                abs(part - value * part_days / total), CENT)

    @given(days, days, values)
    @settings(max_examples=15, deadline=None)
    def test_stored_exact(self, one, other, value):
        first, last = sorted([one, other])
        with attempt():
            aid = self.road.create_in_kind(
                self.party, value, first_day=first, last_day=last)
            self.assertEqual(
                sum(v for _, _, v in self.years(aid)), value)
            self.assertEqual(self.years(aid), aid.split_value())

    def test_both_ends(self):
        "A day on each side of the new year"
        aid = self.road.create_in_kind(
            self.party, Decimal('100.01'),
            first_day=dt.date(2026, 12, 31), last_day=dt.date(2027, 1, 1))
        self.assertEqual(self.years(aid), [
                (2026, 1, Decimal('50.01')), (2027, 1, Decimal('50.00'))])

    def test_leap_year(self):
        aid = self.road.create_in_kind(
            self.party, Decimal(731),
            first_day=dt.date(2027, 1, 1), last_day=dt.date(2028, 12, 31))
        self.assertEqual(self.years(aid), [
                (2027, 365, Decimal(365)), (2028, 366, Decimal(366))])

    def test_follows(self):
        "The years follow the dates and the value, at every write"
        road = self.road
        aid = road.create_in_kind(self.party, None)
        self.assertEqual(self.years(aid), [])
        road.write('claire', aid, value=Decimal(1000))
        self.assertEqual(self.years(aid), [
                (road.year, self.length(road.year), Decimal(1000))])
        road.write('claire', aid, first_day=dt.date(road.year - 1, 12, 31))
        (before, *_, one), (_, *_, rest) = self.years(aid)
        self.assertEqual(before, road.year - 1)
        self.assertEqual(one + rest, 1000)
        road.write('claire', aid, value=None)
        self.assertEqual(self.years(aid), [])

    @staticmethod
    def length(year):
        return (dt.date(year + 1, 1, 1) - dt.date(year, 1, 1)).days

    def test_product(self):
        "The quantity times the unit value wins over what is typed"
        road = self.road
        aid = road.create_in_kind(
            self.party, Decimal(1), quantity=Decimal('12.25'),
            unit_value=Decimal('33.33'))
        self.assertEqual(road.fresh(aid).value, Decimal('408.29'))
        road.write('claire', aid, quantity=Decimal(10), value=Decimal(7))
        self.assertEqual(road.fresh(aid).value, Decimal('333.30'))
        with self.refused(FrozenError, None, aid.rec_name):
            road.write('claire', aid, value=Decimal(5))
        with road.system():
            aid.__class__.write([road.fresh(aid)], {'value': Decimal(5)})
        self.assertEqual(road.fresh(aid).value, Decimal('333.30'))
        road.write('claire', aid, quantity=None)
        road.write('claire', aid, value=Decimal(5))
        self.assertEqual(road.fresh(aid).value, Decimal(5))
        self.assertEqual(sum(v for _, _, v in self.years(aid)), 5)

    def test_client(self):
        "The client shows the product before anything is saved"
        with self.road.as_user('claire'):
            aid = Pool().get('grant.in_kind')(
                company=self.road.company, quantity=Decimal(3),
                unit_value=Decimal('1.15'))
            self.assertEqual(aid.on_change_with_value(), Decimal('3.45'))

    def test_refused(self):
        road = self.road
        with self.refused(AmountError):
            road.create_in_kind(self.party, -CENT)
        with self.refused(PeriodError):
            road.create_in_kind(
                self.party, last_day=dt.date(road.year - 1, 1, 1))
        with self.refused(UserError):
            road.create_in_kind(self.party, first_day=dt.date(26, 1, 1))

    def test_number(self):
        "Counted in the year of the first day"
        aid = self.road.create_in_kind(
            self.party, first_day=dt.date(2025, 3, 1))
        self.assertRegex(aid.number, r'^N2025-\d{4}$')


class LifeTestCase(RefusalCase):
    "Who enters, who confirms, what stays"

    @classmethod
    def prepare(cls):
        road = cls.road
        party = road.create_party(verified=False)
        cls.dossier = Dossier(aid=road.create_in_kind(party), party=party)

    @property
    def aid(self):
        forget()
        return self.dossier.aid

    def events(self):
        Event = Pool().get('grant.event')
        return [
            (e.name, e.reason, e.user.login)
            for e in Event.search(
                [('record', '=', str(self.aid))], order=[('id', 'ASC')])]

    def test_separation(self):
        "Never who entered it, head of service or not"
        road = self.road
        with self.refused(
                DutyError, 'in_kind_duty', self.aid.rec_name, 'Claire'):
            road.press('claire', self.aid, 'confirm')
        own = road.create_in_kind(self.dossier.party, login='marc')
        with self.refused(DutyError, 'in_kind_duty', 'Marc'):
            road.press('marc', own, 'confirm')
        road.press('olivier', self.aid, 'confirm')
        self.assertState(self.aid, 'confirmed')
        self.assertEqual(self.aid.confirmed_by.login, 'olivier')
        self.assertEqual(self.aid.confirmed_on, road.today)
        self.assertEqual(self.aid.entered_by.login, 'claire')

    def test_changed(self):
        "Nor who changed what it is worth, even if others did since"
        road = self.road
        road.write('olivier', self.aid, value=Decimal(5000))
        road.write('claire', self.aid, valuation="Coût complet")
        for login in ['claire', 'olivier']:
            with self.refused(DutyError, 'in_kind_duty'):
                road.press(login, self.aid, 'confirm')
        road.press('marc', self.aid, 'confirm')

    def test_same_person(self):
        "Two logins of one human being are one person"
        road = self.road
        with attempt():
            with road.system():
                user = road.create_user('claire2', ['group_manager'])
                user.employees = [
                    *user.employees, road.employees['claire']]
                user.save()
            with self.refused(DutyError, 'in_kind_duty'):
                road.press('claire2', self.aid, 'confirm')

    def test_whole_list(self):
        "One of the list is one's own, and none is confirmed"
        road = self.road
        own = road.create_in_kind(self.dossier.party, login='marc')
        with self.refused(DutyError, 'in_kind_duty', own.rec_name):
            road.press('marc', [self.aid, own], 'confirm')
        self.assertState(self.aid, 'draft')

    def test_nobody(self):
        with self.refused(DutyError), Transaction().set_user(0):
            self.aid.__class__.confirm([self.aid])

    def test_incomplete(self):
        road = self.road
        for name in ['value', 'valuation']:
            with self.refused(
                    CompletenessError, 'in_kind_value', self.aid.rec_name):
                road.write('claire', self.aid, **{name: None})
                road.press('marc', self.aid, 'confirm')

    def test_rights(self):
        "Officers and heads of service write, readers read"
        road = self.road
        InKind = self.aid.__class__
        Year = Pool().get('grant.in_kind.year')
        year = self.aid.years[0].id
        for login, (group,) in USERS.items():
            writes = group in {'group_officer', 'group_manager'}
            with self.subTest(user=login), attempt(), road.as_user(login):
                aid = InKind(self.dossier.aid.id)
                if group == 'group_elected':
                    with self.forbidden(), road.as_user(login):
                        InKind.read([aid.id], ['value'])
                else:
                    self.assertEqual(aid.value, 4000)
                if not writes:
                    for button in ['confirm', 'cancel']:
                        with self.forbidden(), road.as_user(login):
                            getattr(InKind, button)([aid])
                    with self.forbidden(), road.as_user(login):
                        InKind.write([aid], {'value': 1})
                    with self.forbidden(), road.as_user(login):
                        InKind.delete([aid])
            if not writes:
                with self.forbidden():
                    road.create_in_kind(self.dossier.party, login=login)
            for act in [
                    lambda: Year.write([Year(year)], {'value': 1}),
                    lambda: Year.delete([Year(year)]),
                    lambda: Year.create([{
                                'in_kind': self.dossier.aid.id,
                                'year': 2030, 'days': 1, 'value': 1}]),
                    lambda: InKind.write([InKind(self.dossier.aid.id)], {
                                'years': [('delete', [year])]}),
                    ]:
                with self.subTest(user=login, door='years'):
                    with self.forbidden(), road.as_user(login):
                        act()

    def test_other_company(self):
        "What another company gives is neither seen nor counted"
        road, party = self.road, self.dossier.party
        InKind = self.aid.__class__
        Year = Pool().get('grant.in_kind.year')
        other = create_company("Autre", road.company.currency)
        with road.system():
            foreign = road.get(road.create_in_kind(party))
            InKind.write([foreign], {'company': other.id})
        set_state(foreign, 'confirmed')
        with road.as_user('claire'):
            self.assertEqual(InKind.search([]), [self.aid])
            self.assertEqual(
                Year.search([]), list(self.aid.years))
            self.assertEqual(
                Pool().get('party.party')(party.id).in_kind_this_year, 0)

    def test_frozen(self):
        road = self.road
        other = road.create_party(verified=False)
        road.press('marc', self.aid, 'confirm')
        samples = {
            'party': other.id, 'kind': 'staff', 'description': "X",
            'first_day': road.today, 'last_day': road.today,
            'quantity': Decimal(2), 'unit': "h", 'unit_value': Decimal(3),
            'value': Decimal(9), 'valuation': "X",
            'service': road.service.id}
        for name, value in samples.items():
            for login in ['claire', 'marc', 'alice']:
                with self.subTest(field=name, user=login):
                    with self.forbidden():
                        road.write(login, self.aid, **{name: value})
            with self.subTest(field=name, user='system'):
                with self.refused(FrozenError, None, self.aid.rec_name), \
                        road.system():
                    self.aid.__class__.write([self.aid], {name: value})

    def test_back(self):
        "Back with a reason only, which the journal keeps; then again"
        road = self.road
        road.press('marc', self.aid, 'confirm')
        with self.refused(
                CompletenessError, 'in_kind_reason', self.aid.rec_name,
                'Constatée'):
            road.press('marc', self.aid, 'draft')
        road.write('marc', self.aid, reason="Tarif de l'an passé")
        road.press('marc', self.aid, 'draft')
        self.assertState(self.aid, 'draft')
        self.assertFalse(self.aid.confirmed_by)
        self.assertFalse(self.aid.reason)
        self.assertIn(('draft', "Tarif de l'an passé", 'marc'), self.events())
        road.write('claire', self.aid, value=Decimal(4100))
        road.press('marc', self.aid, 'confirm')
        self.assertEqual(
            [name for name, *_ in self.events()],
            ['confirm', 'draft', 'value', 'confirm'])

    def test_cancelled(self):
        road = self.road
        road.press('claire', self.aid, 'cancel')
        self.assertEqual(self.aid.cancelled_by.login, 'claire')
        with self.refused(TransitionError, None, self.aid.rec_name):
            road.press('marc', self.aid, 'confirm')
        road.write('claire', self.aid, reason="Annulée par erreur")
        road.press('claire', self.aid, 'draft')
        self.assertFalse(self.aid.cancelled_by)
        road.press('marc', self.aid, 'confirm')
        with self.refused(CompletenessError, 'in_kind_reason'):
            road.press('marc', self.aid, 'cancel')
        road.write('marc', self.aid, reason="Salle rendue en janvier")
        road.press('marc', self.aid, 'cancel')
        self.assertState(self.aid, 'cancelled')

    def test_deleted(self):
        "A draft goes; what was confirmed once never does"
        road = self.road
        InKind = self.aid.__class__
        other = road.create_in_kind(self.dossier.party)
        with road.as_user('claire'):
            InKind.delete([InKind(other.id)])
        self.assertFalse(Pool().get('grant.in_kind.year').search(
                [('in_kind', '=', other.id)]))
        road.press('marc', self.aid, 'confirm')
        with self.refused(AccessError, None, self.aid.rec_name), \
                road.as_user('claire'):
            InKind.delete([InKind(self.aid.id)])
        road.write('marc', self.aid, reason="Erreur")
        road.press('marc', self.aid, 'draft')
        with self.refused(
                AccessError, 'in_kind_delete', self.aid.rec_name), \
                road.as_user('claire'):
            InKind.delete([InKind(self.aid.id)])

    def test_copied(self):
        "A copy is a draft of its own, entered by who copies"
        road = self.road
        road.press('marc', self.aid, 'confirm')
        with road.as_user('marc'):
            copy, = self.aid.__class__.copy([self.aid])
        copy = road.fresh(copy)
        self.assertEqual(copy.state, 'draft')
        self.assertNotEqual(copy.number, self.aid.number)
        self.assertFalse(copy.confirmed_by)
        self.assertEqual(copy.entered_by.login, 'marc')
        self.assertEqual(sum(y.value for y in copy.years), 4000)

    def test_tabs(self):
        pool = Pool()
        Domain = pool.get('ir.action.act_window.domain')
        ModelData = pool.get('ir.model.data')
        with Transaction().set_context(language='fr'):
            tabs = [
                (d.name, d.count) for d in Domain.search(
                    [('act_window', '=', ModelData.get_id(
                                'pacte_grants', 'act_in_kind_form'))],
                    order=[('sequence', 'ASC')])]
        self.assertEqual(tabs, [
                ("À constater", True), ("Constatées", False),
                ("Toutes", False)])

    def test_party(self):
        "What is confirmed of this year beside what was granted"
        road = self.road

        def figures():
            forget()
            with road.as_user('lea'):
                party = Pool().get('party.party')(self.dossier.party.id)
                return party.granted_this_year, party.in_kind_this_year
        self.assertEqual(figures(), (0, 0))
        road.press('marc', self.aid, 'confirm')
        self.assertEqual(figures(), (0, 4000))
        road.confirm_in_kind(
            self.dossier.party, Decimal(900),
            first_day=dt.date(road.year - 1, 1, 1),
            last_day=dt.date(road.year - 1, 12, 31))
        road.confirm_in_kind(self.dossier.party, Decimal('0.10'))
        road.confirm_in_kind(self.dossier.party, Decimal('0.20'))
        self.assertEqual(figures(), (0, Decimal('4000.30')))
        road.to_active(
            party=self.dossier.party, amount=Decimal(6000))
        self.assertEqual(figures(), (6000, Decimal('4000.30')))


class ConventionDueTestCase(RefusalCase):
    "20 000 € by letter and aid in kind: the total counts both (L03)"

    @classmethod
    def prepare(cls):
        road = cls.road
        party = road.create_party()
        letter = road.prepare_letter(party, Decimal(20000))
        cls.dossier = Dossier(
            party=party, application=letter, convention=letter.convention)

    def notify(self):
        "Return the instalment of the letter, once it is notified."
        road, application = self.road, self.dossier.application
        road.press('marc', application, 'schedule')
        deliberation = road.fresh(application).next_deliberation
        road.hold()
        road.vote(road.fresh(deliberation))
        road.make_executory(road.fresh(deliberation))
        convention = self.dossier.convention
        road.press('claire', convention, 'issue')
        road.press('claire', convention, 'notify')
        road.number_commitments(road.fresh(convention))
        forget()
        return self.dossier.convention.instalments[0]

    def add_session(self):
        "What comes next is voted in a session of its own."
        road = self.road
        self.addCleanup(setattr, road, 'session', road.session)
        with road.system():
            road.session = road.create_session()

    def form(self, application=None):
        forget()
        application = application or self.dossier.application
        application = self.road.fresh(application)
        form, = Pool().get('grant.convention').decide_forms(
            [application]).values()
        return form

    def test_form(self):
        "To the cent, confirmed only, in its year and for its partner"
        road, party = self.road, self.dossier.party
        road.create_in_kind(party, Decimal(4000))
        road.confirm_in_kind(
            road.create_party(verified=False), Decimal(4000))
        road.confirm_in_kind(
            party, Decimal(4000), first_day=dt.date(road.year - 1, 1, 1),
            last_day=dt.date(road.year - 1, 12, 31))
        self.assertEqual(self.form(), 'letter')
        road.confirm_in_kind(party, Decimal(3000))
        self.assertEqual(self.form(), 'letter')
        road.confirm_in_kind(party, CENT)
        self.assertEqual(self.form(), 'convention')

    def test_part_of_a_year(self):
        "Only what falls into the year of the application counts"
        road, party = self.road, self.dossier.party
        aid = road.confirm_in_kind(
            party, Decimal(4000), first_day=dt.date(road.year, 7, 1),
            last_day=dt.date(road.year + 1, 6, 30))
        self.assertEqual(self.form(), 'letter')
        self.assertLess(aid.years[0].value, 3000)

    def test_cancelled(self):
        road, party = self.road, self.dossier.party
        aid = road.confirm_in_kind(party, Decimal(4000))
        self.assertEqual(self.form(), 'convention')
        road.write('marc', aid, reason="Salle rendue")
        road.press('marc', aid, 'cancel')
        self.assertEqual(self.form(), 'letter')

    def test_kinds_of_partners(self):
        "Public bodies and individuals have no threshold"
        for kind, due in [
                ('commune', False), ('individual', False),
                ('company', True), ('other', True)]:
            with self.subTest(kind=kind), attempt():
                road = self.road
                table = self.dossier.party.__table__()
                Transaction().connection.cursor().execute(*table.update(
                        [table.partner_kind], [kind],
                        where=table.id == self.dossier.party.id))
                forget()
                instalment = self.notify()
                road.confirm_in_kind(self.dossier.party, Decimal(4000))
                self.assertEqual(
                    'convention_due' in self.codes(instalment), due)
                self.assertEqual(
                    self.form(), 'convention' if due else 'letter')

    def test_agenda(self):
        "The letter no longer goes to the session; both figures are said"
        road = self.road
        road.confirm_in_kind(self.dossier.party, Decimal(4000))
        with road.as_user('marc'):
            figures = [money(Decimal(n)) for n in [20000, 4000, 23000]]
        with self.refused(
                CompletenessError, 'schedule_letter_too_large',
                self.dossier.application.rec_name, *figures):
            road.press('marc', self.dossier.application, 'schedule')

    def codes(self, instalment):
        forget()
        return {b.code for b in self.road.fresh(instalment).blockers}

    def test_certified(self):
        "Up to the threshold the letter is paid"
        instalment = self.notify()
        self.road.confirm_in_kind(self.dossier.party, Decimal(3000))
        self.road.press('claire', instalment, 'certify')
        self.assertState(instalment, 'certified')

    def test_blocked(self):
        "Above it nothing is certified; both figures are said"
        road = self.road
        instalment = self.notify()
        road.create_in_kind(self.dossier.party, Decimal(4000))
        self.assertNotIn('convention_due', self.codes(instalment))
        aid = road.confirm_in_kind(self.dossier.party, Decimal('3000.01'))
        self.assertEqual(self.codes(instalment), {'convention_due'})
        with Transaction().set_context(language='fr'):
            for record in [instalment, instalment.convention]:
                self.assertRegex(
                    self.road.fresh(record).can_pay, "^Non : .*convention")
        with road.as_user('claire'):
            figures = [
                money(Decimal(n)) for n in ['20000', '3000.01', '23000']]
        with self.refused(
                BlockedError, 'blocker_convention_due',
                instalment.rec_name, *figures):
            road.press('claire', instalment, 'certify')
        road.write('marc', aid, reason="Erreur")
        road.press('marc', aid, 'draft')
        road.press('claire', instalment, 'certify')

    def test_found(self):
        "Lists find what waits by the same rule"
        instalment = self.notify()
        self.road.confirm_in_kind(self.dossier.party, Decimal(4000))
        forget()
        Instalment = instalment.__class__
        with self.road.as_user('claire'):
            self.assertIn(instalment, Instalment.search(
                    [('blockers.code', '=', 'convention_due')]))
            self.assertNotIn(
                instalment, Instalment.search([('ready', '=', True)]))

    def test_approval(self):
        "What was certified before waits at the approval"
        road = self.road
        instalment = self.notify()
        road.press('claire', instalment, 'certify')
        road.confirm_in_kind(self.dossier.party, Decimal(4000))
        with self.refused(BlockedError, 'blocker_convention_due'):
            road.press('paul', instalment, 'approve')

    def test_covered(self):
        "A convention of the year in force lifts it"
        road = self.road
        instalment = self.notify()
        road.confirm_in_kind(self.dossier.party, Decimal(4000))
        self.assertIn('convention_due', self.codes(instalment))
        self.add_session()
        road.to_active(party=self.dossier.party, amount=Decimal(1000))
        self.assertNotIn('convention_due', self.codes(instalment))

    def test_publication(self):
        "The essential data count it too, in the year of the tranche (L10)"
        road = self.road
        self.add_session()
        convention = road.to_active(
            party=road.create_party(), amount=Decimal(20000))

        def due():
            forget()
            with road.as_user('claire'):
                return road.fresh(convention).publish_before
        self.assertFalse(due())
        road.confirm_in_kind(convention.party, Decimal(3000))
        self.assertFalse(due())
        road.confirm_in_kind(
            convention.party, Decimal(4000),
            first_day=dt.date(road.year + 1, 1, 1),
            last_day=dt.date(road.year + 1, 12, 31))
        self.assertFalse(due())
        road.confirm_in_kind(convention.party, CENT)
        self.assertEqual(due(), road.today + relativedelta(months=3))


class LinkTestCase(RefusalCase):
    "The convention that speaks of the aid"

    @classmethod
    def prepare(cls):
        convention = cls.road.to_active()
        cls.dossier = Dossier(
            convention=convention, party=convention.party,
            aid=cls.road.create_in_kind(convention.party))

    def test_after_confirmation(self):
        "The link may come once the convention that is due exists"
        road = self.road
        aid, convention = self.dossier.aid, self.dossier.convention
        road.press('marc', aid, 'confirm')
        road.write('claire', aid, convention=convention.id)
        self.assertEqual(road.fresh(aid).convention, convention)

    def test_of_the_partner(self):
        road = self.road
        other = road.create_in_kind(road.create_party(verified=False))
        with self.refused(UserError):
            road.write(
                'claire', other, convention=self.dossier.convention.id)

    def test_opened_from_convention(self):
        "The partner is that of the convention"
        with self.road.as_user('claire'):
            aid = Pool().get('grant.in_kind')(
                convention=self.dossier.convention)
            aid.on_change_convention()
            self.assertEqual(aid.party, self.dossier.party)

    def test_relates(self):
        Keyword = Pool().get('ir.action.keyword')
        for model in ['party.party', 'grant.convention']:
            with self.road.as_user('lea'):
                models = {
                    k.get('res_model') for k in Keyword.get_keyword(
                        'form_relate', (model, -1))}
            self.assertIn('grant.in_kind', models)


class BeneficiaryTestCase(RefusalCase):
    "The annex to the accounts adds what is given in kind (L35)"

    @classmethod
    def prepare(cls):
        cls.dossier = Dossier(party=cls.road.create_party(verified=False))

    def row(self, year=None):
        forget()
        Beneficiary = Pool().get('grant.year_end.beneficiary')
        with self.road.as_user('paul'):
            rows = Beneficiary.search([
                    ('party', '=', self.dossier.party.id),
                    ('year', '=', year or self.road.year)])
            return [
                (r.voted, r.paid, r.in_kind, r.total, r.large) for r in rows]

    def test_alone(self):
        "A partner that gets nothing else is in the annex"
        road = self.road
        aid = road.create_in_kind(self.dossier.party, Decimal('75000.00'))
        self.assertEqual(self.row(), [])
        road.press('marc', aid, 'confirm')
        self.assertEqual(self.row(), [
                (0, 0, Decimal(75000), Decimal(75000), False)])
        road.confirm_in_kind(self.dossier.party, CENT)
        self.assertEqual(self.row(), [
                (0, 0, Decimal('75000.01'), Decimal('75000.01'), True)])

    def test_with_money(self):
        road = self.road
        party = road.create_party()
        self.dossier = Dossier(party=party)
        convention = road.to_active(party=party)
        road.to_paid(convention.instalments[0])
        road.confirm_in_kind(party, Decimal(72), **{
                'first_day': dt.date(road.year, 12, 1),
                'last_day': dt.date(road.year + 1, 1, 31)})
        self.assertEqual(self.row(), [
                (10000, 5000, Decimal(36), Decimal(5036), False)])
        self.assertEqual(self.row(road.year + 1), [
                (0, 0, Decimal(36), Decimal(36), False)])
        road.confirm_in_kind(party, Decimal(70000))
        self.assertTrue(self.row()[0][-1])

    def test_export(self):
        pool = Pool()
        Export = pool.get('ir.export')
        with self.road.as_user('paul'):
            export, = Export.get(
                'grant.year_end.beneficiary', ['export_fields.name'])
        names = [f['name'] for f in export['export_fields.']]
        self.assertLess(names.index('paid'), names.index('in_kind'))
        self.assertIn('total', names)


del RefusalCase
