# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The documents of a liquidation and of a recovery: sealed when they leave,
one at a time, and the certificate of what was paid."""
from decimal import Decimal

from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, FrozenError)
from trytond.pool import Pool
from trytond.transaction import without_check_access

from .refusal import forget, set_state
from .test_document import text
from .test_recovery import RecoveryCase


class DocumentTestCase(RecoveryCase):
    "1 000 € to recover of a theatre, as in the tests of the recovery"

    def documents(self, record):
        forget()
        return [
            (d.kind, d.version, d.state)
            for d in sorted(
                self.road.fresh(record).documents, key=lambda d: d.id)]

    def print_(self, login, report, record):
        with self.road.as_user(login):
            Report = Pool().get(report, type='report')
            extension, data, _, _ = Report.execute([record.id], {
                    'model': record.__name__, 'id': record.id,
                    'ids': [record.id],
                    'action_id': Pool().get('ir.model.data').get_id(
                        'pacte_grants', f'report_{self.actions[report]}')})
        return extension, data

    actions = {
        'grant.liquidation.statement': 'liquidation_odt',
        'grant.recovery.hearing': 'recovery_hearing_odt',
        'grant.recovery.decision': 'recovery_decision_odt',
        }

    # The statement of the liquidation

    def test_statement(self):
        "Sealed when the partner is told and when the balance is settled"
        self.accept(8000)
        liquidation = self.liquidate()
        self.assertEqual(self.documents(liquidation), [])
        self.road.press('claire', liquidation, 'notify')
        self.assertEqual(
            self.documents(liquidation), [('liquidation', 1, 'sealed')])
        self.road.write(
            'claire', liquidation, observations="D’accord.",
            observations_on=self.road.today, answer="Merci.")
        self.road.press('claire', liquidation, 'establish')
        self.assertEqual(self.documents(liquidation), [
                ('liquidation', 1, 'superseded'),
                ('liquidation', 2, 'sealed')])
        document = self.road.fresh(liquidation).documents[0]
        self.assertTrue(document.intact)
        events = Pool().get('grant.event').search([
                ('record', '=', str(liquidation)),
                ('name', '=', 'documents')])
        self.assertTrue(any(document.sha256 in e.after for e in events))
        self.assertRegex(document.reference, ':L2:')
        self.assertIn("Remplacé par la version suivante.", self.reasons())

    def reasons(self):
        "Why documents of the convention were superseded."
        return [
            e.reason for e in Pool().get('grant.event').search([
                    ('record', '=', str(self.dossier.convention)),
                    ('name', '=', 'document')])]

    def test_statement_lines(self):
        "The calculation line by line, to the cent"
        self.settle(8000)
        liquidation = self.recovery.liquidation
        words = text(bytes(liquidation.documents[0].data))
        for part in [
                "Subvention votée pour 2", '10 000,00 €', '4 000,00 €',
                '−5 000,00 €', '1 000,00 €', "mille euros",
                "Voies et délais de recours", "Merci."]:
            self.assertIn(part, words)
        for line in liquidation.lines:
            self.assertIn(' '.join(line.label.split()), words)

    def test_statement_reopened(self):
        self.settle(8000)
        liquidation = self.recovery.liquidation
        self.road.write('claire', liquidation, reopen_reason="Facture")
        self.road.press('claire', liquidation, 'reopen')
        self.assertEqual(
            {s for _, _, s in self.documents(liquidation)}, {'superseded'})
        self.assertIn("Facture", self.reasons())
        with self.refused(FrozenError), self.road.system():
            liquidation.__class__.delete([liquidation])

    def test_statement_draft(self):
        "Before it is told a draft is printed, afterwards what was sealed"
        self.accept(8000)
        liquidation = self.liquidate()
        extension, data = self.print_(
            'claire', 'grant.liquidation.statement', liquidation)
        self.assertEqual(extension, 'odt')
        self.assertIn("Droit acquis", text(data))
        self.road.press('claire', liquidation, 'notify')
        forget()
        _, data = self.print_(
            'lea', 'grant.liquidation.statement', liquidation)
        self.assertEqual(
            bytes(data),
            bytes(self.road.fresh(liquidation).documents[0].data))

    def test_not_written(self):
        self.settle(8000)
        document = self.recovery.liquidation.documents[0]
        for login in ['lea', 'claire', 'paul', 'alice']:
            with self.subTest(login=login), self.forbidden():
                self.road.write(login, document, name="Autre")

    # The letters of the recovery

    def test_decision(self):
        "Heard on the calculation: the decision alone, with its reasons"
        recovery = self.confirm(self.propose())
        self.assertEqual(
            self.documents(recovery), [('recovery_decision', 1, 'sealed')])
        words = text(bytes(recovery.documents[0].data))
        for part in [
                "1 000,00 €", "mille euros", "Dépenses inférieures",
                "titre de recettes", "tribunal administratif"]:
            self.assertIn(part, words)
        with self.refused(CompletenessError, 'recovery_document_heard'):
            self.print_('claire', 'grant.recovery.hearing', recovery)

    def test_hearing_letter(self):
        "Not heard before: a letter says what is held and until when"
        recovery = self.propose()
        set_state(recovery.liquidation, 'established', notified_on=None)
        with self.refused(CompletenessError, 'recovery_document_draft'):
            self.print_('claire', 'grant.recovery.decision', recovery)
        self.road.press('claire', recovery, 'notify')
        self.assertEqual(
            self.documents(recovery), [('recovery_hearing', 1, 'sealed')])
        words = text(bytes(self.road.fresh(recovery).documents[0].data))
        self.assertIn("1 000,00 €", words)
        self.assertIn("L. 121‑1", words)
        self.assertNotIn("titre de recettes", words)

    def test_facts_follow(self):
        "Facts that nobody rewrote follow the calculation, others stay"
        road = self.road
        self.settle(8000)
        liquidation = self.recovery.liquidation
        report = road.report(self.dossier.convention)
        own = "Le festival a été écourté."
        for realised, facts in [(9000, None), (9500, own)]:
            if facts:
                road.write('claire', self.recovery, facts=facts)
            for record, button in [
                    (report, 'reopen'), (liquidation, 'reopen')]:
                if road.fresh(record).state != 'draft':
                    road.write('claire', record, reopen_reason="Facture")
                    road.press('claire', record, button)
            road.fill_report(road.fresh(report), Decimal(realised))
            road.press('claire', report, 'accept')
            road.press('claire', liquidation, 'calculate')
            if facts:
                self.assertEqual(self.recovery.facts, facts)
            else:
                self.assertRegex(self.recovery.facts, r"9.000,00")
                self.assertNotRegex(self.recovery.facts, r"8.000,00")

    def test_heard_in_a_procedure(self):
        "The procedure has its own letters"
        recovery = self.propose()
        procedure = self.road.hear_termination(
            self.dossier.convention, "Le projet est arrêté.")
        set_state(recovery, 'notified', procedure=procedure.id)
        for report, message in [
                ('hearing', 'heard'), ('decision', 'procedure')]:
            with self.refused(
                    CompletenessError, f'recovery_document_{message}'):
                self.print_('claire', f'grant.recovery.{report}', recovery)

    def test_letters_reopened(self):
        "Going back supersedes what was decided, with its reason"
        recovery = self.confirm(self.propose())
        self.road.write('marc', recovery, reopen_reason="Erreur de plume")
        self.road.press('marc', recovery, 'reopen')
        self.assertState(recovery, 'notified')
        self.assertEqual(
            self.documents(recovery),
            [('recovery_decision', 1, 'superseded')])
        self.assertIn("Erreur de plume", self.reasons())
        self.road.press('marc', recovery, 'confirm')
        self.assertEqual(self.documents(recovery)[-1],
            ('recovery_decision', 2, 'sealed'))

    def test_abandoned(self):
        recovery = self.confirm(self.propose())
        self.road.write('marc', recovery, abandon_reason="Erreur")
        self.road.press('marc', recovery, 'abandon')
        self.assertEqual(
            self.documents(recovery),
            [('recovery_decision', 1, 'superseded')])
        with self.refused(CompletenessError, 'recovery_document_abandoned'):
            self.print_('claire', 'grant.recovery.decision', recovery)

    # The file of the payment

    def test_payment_file(self):
        "The settled statement goes with the balance of its year alone"
        self.accept(15000)
        liquidation = self.liquidate()
        balance = self.payments.balance
        self.assertEqual(self.statements(balance), [])
        self.road.press('claire', liquidation, 'notify')
        self.assertEqual(self.statements(balance), [])
        self.road.write(
            'claire', liquidation, observations="D’accord.",
            observations_on=self.road.today, answer="Merci.")
        self.road.press('claire', liquidation, 'establish')
        forget()
        document = self.road.fresh(liquidation).documents[0]
        self.assertEqual(self.statements(balance), [document.rec_name])
        self.assertEqual(self.statements(self.payments.advance), [])

    def statements(self, instalment):
        forget()
        Report = Pool().get('grant.instalment.file', type='report')
        return [
            name for name, _ in Report.get_pieces(instalment)
            if "État liquidatif" in name]

    # The certificate of payment

    def certify(self, instalments):
        Report = Pool().get('grant.instalment.certificate', type='report')
        with without_check_access():
            action = Pool().get('ir.action.report')(
                Pool().get('ir.model.data').get_id(
                    'pacte_grants', 'report_payment_certificate'))
            ids = [i.id for i in instalments]
            records = Report._get_records(ids, 'grant.instalment', {})
            context = Report.get_context(
                records, {'company': self.road.company}, {})
            return text(bytes(Report.render(action, context)))

    def test_certificate(self):
        forget()
        advance = self.road.fresh(self.payments.advance)
        words = self.certify([advance])
        for part in [
                advance.paid_on.strftime('%d/%m/%Y'), '5 000,00 €',
                "cinq mille euros", advance.convention.number]:
            self.assertIn(part, words)

    def test_certificates(self):
        "One page for each partner, with its total"
        road = self.road
        with road.system():
            road.session = road.create_session()
        other = road.to_active(title="Les nuits du beffroi")
        paid = [
            self.payments.advance, road.to_paid(other.instalments[0]),
            road.to_paid(self.settled_balance())]
        forget()
        words = self.certify([road.fresh(i) for i in paid])
        self.assertEqual(words.count("Attestation de paiement"), 2)
        for part in [
                "sept mille cinq cents euros", "cinq mille euros",
                "Les nuits du beffroi – avance", other.party.name,
                "– solde"]:
            self.assertIn(part, words)

    def settled_balance(self):
        self.settle(15000)
        forget()
        return self.road.fresh(self.payments.balance)

    def test_certificate_of_nothing(self):
        "What is not paid is not certified"
        with self.refused(CompletenessError, 'payment_certificate_unpaid'):
            self.certify([
                    self.road.fresh(self.payments.advance),
                    self.road.fresh(self.payments.balance)])
