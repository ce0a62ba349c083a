# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What makes an instalment payable, besides the notification and a date."
import datetime as dt
from decimal import Decimal

import pytest

from trytond.model.exceptions import RequiredValidationError
from trytond.modules.pacte_grants.exceptions import (
    AmountError, BlockedError, CeilingError, CompletenessError,
    FrozenError)
from trytond.pool import Pool

from .refusal import Dossier, RefusalCase, attempt, forget


class TriggerCase(RefusalCase):

    def assertPayable(self, instalment, day):
        """The instalment is payable since the day, as its form, the searches
        and the order of the lists say."""
        forget()
        Instalment = Pool().get('grant.instalment')
        instalment = Instalment(instalment.id)
        self.assertEqual(instalment.due_since, day)
        own = ('id', '=', instalment.id)
        found = Instalment.search([own, ('due_since', '=', day)])
        self.assertEqual(found, [instalment])
        if day:
            self.assertFalse(Instalment.search([
                        own, ('due_since', '>', day)]))
        self.assertEqual(
            Instalment.search([own], order=[('due_since', 'ASC')]),
            [instalment])

    def blockers(self, instalment):
        forget()
        return [
            b.code for b in Pool().get('grant.instalment')(
                instalment.id).blockers]


class ConditionTestCase(TriggerCase):
    "An interim payment awaits the first undertaking, with ten days"

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        condition = convention.conditions[0]
        advance, balance = convention.instalments
        road.write(
            'claire', balance, kind='interim', trigger='condition', delay=10)
        cls.dossier = Dossier(
            application=application, convention=convention,
            condition=condition, advance=advance, interim=balance)
        road.press('claire', convention, 'negotiate')
        objective = road.add_objective(convention)
        for button in ['agree_partner', 'agree_department']:
            road.press('claire', objective, button)
        with attempt(), pytest.raises(CompletenessError, match="déclenche"):
            road.press('claire', convention, 'agree')
        road.write('claire', balance, trigger_condition=condition.id)
        road.press('claire', convention, 'agree')
        number = application.number
        convention = road.vote_and_sign(number)
        road.number_commitments(convention)

    def meet(self):
        road, condition = self.road, self.dossier.condition
        road.write('claire', condition, evidence_note="Bilan des déchets")
        road.press('claire', condition, 'submit')
        road.press('claire', condition, 'meet')

    def test_awaited(self):
        interim = self.dossier.interim
        self.assertIn('not_triggered', self.blockers(interim))
        self.assertPayable(interim, None)
        self.assertRegex(
            interim.blocker_text, "une fois tenu l'engagement du partenaire")
        with self.refused(BlockedError, 'blocker_not_triggered'):
            self.road.press('claire', interim, 'certify')

    def test_met(self):
        self.meet()
        interim = self.dossier.interim
        self.assertEqual(interim.triggered_on, self.road.today)
        self.assertNotIn('not_triggered', self.blockers(interim))
        self.assertPayable(
            interim, self.road.today + dt.timedelta(days=10))
        self.road.press('claire', interim, 'certify')
        self.assertState(interim, 'certified')

    def test_met_no_longer(self):
        self.meet()
        self.road.press('claire', self.dossier.condition, 'reopen')
        self.assertIsNone(self.dossier.interim.triggered_on)
        self.assertIn('not_triggered', self.blockers(self.dossier.interim))

    def test_certified_stays(self):
        self.meet()
        self.road.press('claire', self.dossier.interim, 'certify')
        self.road.press('claire', self.dossier.condition, 'reopen')
        self.assertEqual(self.dossier.interim.triggered_on, self.road.today)

    def test_event_is_not_typed(self):
        with self.refused(FrozenError, 'server_field_write'):
            self.road.write(
                'claire', self.dossier.interim, triggered_on=self.road.today)

    def test_frozen(self):
        for values in [
                {'trigger_condition': None}, {'trigger': 'notification'},
                {'trigger_share': Decimal('0.1')}]:
            with self.refused(FrozenError):
                self.road.write('claire', self.dossier.interim, **values)

    def test_text(self):
        Report = Pool().get('grant.convention.convention', type='report')
        values = [
            v['event']
            for v in Report._get_instalments(self.dossier.convention)]
        self.assertEqual(values, [
                None,
                "Une fois tenu l'engagement du partenaire « E1 », puis "
                "10 jours plus tard"])


class IndicatorTestCase(TriggerCase):
    "The second instalment awaits 300 pupils"

    @classmethod
    def prepare(cls):
        road = cls.road
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        road.press('claire', convention, 'negotiate')
        objective = road.add_objective(convention)
        indicator = objective.indicators[0]
        _, interim = convention.instalments
        road.write(
            'claire', interim, kind='interim', trigger='indicator',
            trigger_indicator=indicator.id)
        for button in ['agree_partner', 'agree_department']:
            road.press('claire', objective, button)
        road.press('claire', convention, 'agree')
        road.vote_and_sign(application.number)
        cls.dossier = Dossier(interim=interim, indicator=indicator)

    def measure(self, value, **values):
        with self.road.as_user('claire'):
            measure, = Pool().get('grant.measure').create([{
                        'indicator': self.dossier.indicator.id,
                        'value': Decimal(value),
                        'date': self.road.today,
                        } | values])
        return measure

    def test_missed(self):
        self.measure(299)
        self.assertIn('not_triggered', self.blockers(self.dossier.interim))

    def test_reached(self):
        self.measure(300)
        self.assertNotIn('not_triggered', self.blockers(self.dossier.interim))
        self.assertPayable(self.dossier.interim, self.road.today)

    def test_corrected(self):
        "A measure that was wrong makes nothing payable"
        wrong = self.measure(300)
        self.measure(
            200, replaces=wrong.id, replace_reason="Une classe comptée deux "
            "fois")
        self.assertIn('not_triggered', self.blockers(self.dossier.interim))
        self.assertPayable(self.dossier.interim, None)


class SchemeTestCase(TriggerCase):
    "The template of a scheme gives its triggers"

    def create_scheme(self, **values):
        with self.road.system():
            return self.road.create_scheme(
                code='INV', instalments=[('create', [{
                                'kind': 'interim', 'share': Decimal('0.6'),
                                'trigger': 'cost', 'delay': 5,
                                'trigger_share': Decimal('0.3'),
                                } | values, {
                                'kind': 'balance', 'share': Decimal('0.4'),
                                'trigger': 'report'}])])

    def test_template(self):
        road = self.road
        application = road.review(road.create_application(
                scheme=self.create_scheme().id, call=None))
        interim, balance = road.open_convention(application).instalments
        self.assertEqual(
            (interim.trigger, interim.delay, interim.trigger_share),
            ('cost', 5, Decimal('0.3')))
        self.assertEqual(
            (balance.trigger, balance.delay), ('report', 0))
        self.assertEqual(
            interim.get_trigger_text(),
            "une fois justifiés 30\xa0% de la dépense éligible, puis 5 jours "
            "plus tard")

    def open(self, *lines, amount=Decimal(10000)):
        """Return the kinds and amounts of the instalments that a scheme of
        the lines (kind, share, amount) makes of the amount (euros)."""
        with self.road.system():
            scheme = self.road.create_scheme(code='FIX', instalments=[
                    ('create', [
                            {'kind': kind, 'share': share, 'amount': fixed}
                            for kind, share, fixed in lines])])
        application = self.road.review(self.road.create_application(
                scheme=scheme.id, call=None, amount=amount))
        return [
            (i.kind, i.amount)
            for i in self.road.open_convention(application).instalments]

    def test_fixed(self):
        "A fixed amount first, its rest by shares to the cent"
        self.assertEqual(self.open(
                ('advance', None, Decimal('3000.01')),
                ('interim', Decimal('0.3333'), None),
                ('balance', Decimal('0.6667'), None)), [
                ('advance', Decimal('3000.01')),
                ('interim', Decimal('2333.10')),
                ('balance', Decimal('4666.89'))])

    def test_fixed_whole(self):
        "Fixed amounts that take everything leave no payment of nothing"
        self.assertEqual(self.open(
                ('advance', None, Decimal(10000)),
                ('balance', Decimal(1), None)), [
                ('advance', Decimal(10000))])

    def test_fixed_above(self):
        with self.refused(CeilingError, 'scheme_amounts'):
            self.open(
                ('advance', None, Decimal('10000.01')),
                ('balance', Decimal(1), None))

    def test_fixed_alone(self):
        with self.refused(CompletenessError, 'scheme_remainder'):
            self.open(('single', None, Decimal('9999.99')))

    def test_share_or_amount(self):
        with self.refused(AmountError, 'scheme_instalment_either'):
            self.open(('single', Decimal('0.5'), Decimal(10)))
        with self.refused(RequiredValidationError):
            self.open(('single', None, None))

    def test_share(self):
        for share in [Decimal(0), Decimal('1.01'), Decimal('-0.1')]:
            with self.refused(AmountError, 'trigger_share'):
                self.create_scheme(trigger_share=share)
