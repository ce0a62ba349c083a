# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The file of a payment: one PDF, in the payer's order."
import csv
import datetime as dt
import io
import zipfile
from unittest.mock import patch

import pypdfium2
from PIL import Image
from trytond.pool import Pool
from trytond.transaction import Transaction

from trytond.modules.pacte_grants.document import digest
from trytond.modules.pacte_grants.exceptions import CompletenessError
from trytond.modules.pacte_grants.payment_file import merge, to_pdf

from .refusal import Dossier, RefusalCase, forget, set_state
from .tools import count_queries


def pdf(pages=1):
    with pypdfium2.PdfDocument.new() as document:
        for _ in range(pages):
            document.new_page(595, 842)
        output = io.BytesIO()
        document.save(output)
        return output.getvalue()


def image():
    output = io.BytesIO()
    Image.new('RGB', (40, 40)).save(output, 'PNG')
    return output.getvalue()


def count_pages(data):
    with pypdfium2.PdfDocument(data) as document:
        return len(document)


class PaymentFileTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        cls.dossier = Dossier.of(cls.road.to_active())
        scan = set_state(
            cls.dossier.condition, 'met', evidence_filename="Bilan.pdf")
        with cls.road.system():
            table = scan.__table__()
            Transaction().connection.cursor().execute(*table.update(
                    [table.evidence_file], [pdf(3)],
                    where=table.id == scan.id))
        scan._local_cache.pop(scan.id, None)

    def setUp(self):
        super().setUp()
        self.Report = Pool().get('grant.instalment.file', type='report')
        self.balance = self.dossier.convention.instalments[1]

    def execute(self):
        with self.road.as_user('paul'), \
                Transaction().set_context(language='fr'):
            return self.Report.execute([self.balance.id], {
                    'action_id': Pool().get('ir.model.data').get_id(
                        'pacte_grants', 'report_payment_file')})

    def test_units(self):
        self.assertEqual(count_pages(merge([pdf(2), pdf()])), 3)
        self.assertEqual(count_pages(to_pdf(image())), 1)
        one = pdf()
        self.assertEqual(to_pdf(one), one)
        for data in [None, b'', b'PK', b'%PDF broken']:
            self.assertIsNone(to_pdf(data))

    def test_order(self):
        "The sealed convention first, then the accepted evidence"
        pieces = self.Report.get_pieces(self.balance)
        document = self.dossier.convention.document
        self.assertEqual(
            [name for name, _ in pieces], [document.rec_name, "Bilan.pdf"])
        # Without LibreOffice the convention has no PDF: it goes apart.
        self.assertIsNone(pieces[0][1])
        self.assertEqual(count_pages(pieces[1][1]), 3)

    def test_advance(self):
        "What does not hold back the payment is not joined to it"
        names = [n for n, _ in self.Report.get_pieces(
                self.dossier.instalment)]
        self.assertNotIn("Bilan.pdf", names)

    def test_cover(self):
        "It names the act, the account masked, and what goes apart"
        def convert(report, data, **kwargs):
            covers.append(data)
            return 'pdf', pdf()
        covers = []
        with patch.object(self.Report, 'convert', convert):
            extension, data, *_ = self.execute()
        self.assertEqual(extension, 'pdf')
        self.assertEqual(count_pages(data), 4)
        with zipfile.ZipFile(io.BytesIO(covers[0])) as odt:
            text = odt.read('content.xml').decode()
        for expected in [
                '2026-CP-001', self.balance.account_number,
                self.balance.party.name, "Bilan.pdf",
                "transmise à part"]:
            self.assertIn(expected, text)
        self.assertNotIn('FR76', text)

    def test_no_converter(self):
        "Never an ODT in the place of the file"
        with self.refused(CompletenessError):
            self.execute()


class PiecesTestCase(RefusalCase):
    "One list of pieces, for the batch and for the file of the payment"

    @classmethod
    def prepare(cls):
        road, pool = cls.road, Pool()
        road.use_batches()
        cls.dossier = dossier = Dossier.of(road.to_active())
        cls.files = {
            name: pdf(pages) for pages, name in enumerate([
                    'RIB ancien.pdf', 'RIB.pdf', 'Bilan.pdf', 'Cerfa.pdf',
                    'Comptes.pdf', 'CAC.pdf', 'Factures.pdf',
                    'Convocation.pdf'], 1)}
        day = road.today
        with road.system():
            pool.get('grant.partner.piece').create([{
                        'party': dossier.party.id, 'kind': kind,
                        'received_on': received_on,
                        'document': cls.files[name], 'document_name': name,
                        } for kind, received_on, name in [
                        ('bank_details', day, 'RIB.pdf'),
                        ('bank_details', day - dt.timedelta(days=400),
                            'RIB ancien.pdf'),
                        ('statutes', day, 'Convocation.pdf')]])
            # What is no piece of a payment: a hearing, a letter
            name = 'Convocation.pdf'
            convention = dossier.convention
            pool.get('grant.document').create([{
                        'company': road.company.id,
                        'convention': convention.id, 'kind': 'scan',
                        'version': 9, 'name': name, 'filename': name,
                        'data': cls.files[name],
                        'sha256': digest(cls.files[name]),
                        'partner_name': "X", 'issued_by': 1,
                        'issued_on': dt.datetime.now()}])
        for condition in dossier.convention.conditions:
            set_state(condition, 'met', verified_on=day)
        condition = set_state(
            dossier.condition, 'met', evidence_filename='Bilan.pdf')
        cls.set_file(condition, 'evidence_file', 'Bilan.pdf')
        forget()

    @classmethod
    def set_file(cls, record, field, name):
        table = record.__table__()
        Transaction().connection.cursor().execute(*table.update(
                [getattr(table, field)], [cls.files[name]],
                where=table.id == record.id))
        forget()

    def accept_reports(self):
        "Accept a statement of expenses, then the report of the year."
        road = self.road
        convention = self.dossier.convention
        Report = Pool().get('grant.financial_report')
        with road.system():
            statement, = Report.create([{
                        'convention': convention.id,
                        'tranche': self.dossier.tranche.id,
                        'kind': 'statement',
                        'document': self.files['Factures.pdf'],
                        'document_name': 'Factures.pdf'}])
        set_state(
            statement, 'accepted', accepted_on=road.today)
        return statement

    def accept_year(self):
        road = self.road
        report = road.report(self.dossier.convention)
        road.write(
            'claire', report, document=self.files['Cerfa.pdf'],
            document_name='Cerfa.pdf', accounts_name='Comptes.pdf',
            auditor_report_name='CAC.pdf')
        liquidation = road.settle(self.dossier.convention)
        self.set_file(report, 'accounts', 'Comptes.pdf')
        self.set_file(report, 'auditor_report', 'CAC.pdf')
        return liquidation

    def pay(self, instalment):
        "Return the names and the fingerprints of the sealed batch."
        road = self.road
        road.press('claire', instalment, 'certify')
        road.press('paul', instalment, 'approve')
        road.press('nadia', instalment, 'process')
        forget()
        group = road.fresh(instalment).payment.group
        file, = Pool().get('grant.batch.file').search(
            [('group', '=', group.id)])
        row, _ = csv.DictReader(
            bytes(file.data).decode().splitlines(), delimiter=';')
        return list(zip(
                row['pj_list'].split(' | '), row['pj_sha256'].split(' | '),
                strict=True))

    def check(self, instalment, *names):
        """Check that the batch and the file of the payment have the pieces:
        sealed documents, or names of files."""
        Report = Pool().get('grant.instalment.file', type='report')
        sealed = Pool().get('grant.document')
        self.assertEqual(self.pay(instalment), [
                (n.filename, n.sha256) if isinstance(n, sealed)
                else (n, digest(self.files[n])) for n in names])
        pieces = Report.get_pieces(self.road.fresh(instalment))
        self.assertEqual([name for name, _ in pieces], [
                n.rec_name if isinstance(n, sealed) else n for n in names])
        for name, data in pieces:
            if name in self.files:
                self.assertEqual(data, self.files[name])

    def test_advance(self):
        self.accept_reports()
        dossier = self.dossier
        self.check(
            dossier.convention.instalments[0],
            dossier.convention.document, 'RIB.pdf')

    def test_interim(self):
        "A statement of expenses justifies it"
        self.accept_reports()
        dossier = self.dossier
        interim = set_state(
            dossier.convention.instalments[0], 'planned', kind='interim')
        self.check(
            interim, dossier.convention.document, 'RIB.pdf', 'Factures.pdf')

    def test_balance(self):
        "The report of the year, its accounts and what was computed"
        dossier = self.dossier
        self.pay(dossier.convention.instalments[0])
        liquidation = self.accept_year()
        statement, = liquidation.documents
        self.check(
            dossier.convention.instalments[1],
            dossier.convention.document, 'RIB.pdf', 'Bilan.pdf',
            'Cerfa.pdf', 'Comptes.pdf', 'CAC.pdf', statement)

    def test_signed_copy(self):
        "It stands for what was sent to be signed"
        dossier = self.dossier
        document = dossier.convention.document
        with self.road.system():
            copy, = document.__class__.create([{
                        'company': self.road.company.id,
                        'convention': dossier.convention.id,
                        'kind': 'signed', 'signs': document.id,
                        'version': 1, 'name': "Signée",
                        'filename': "signee.pdf",
                        'data': pdf(9), 'sha256': digest(pdf(9)),
                        'partner_name': "X", 'issued_by': 1,
                        'issued_on': dt.datetime.now()}])
        forget()
        pieces = self.dossier.instalment.get_pieces(
            [self.dossier.instalment])[self.dossier.instalment.id]
        self.assertEqual(
            [(p.filename, p.sha256) for p in pieces[:1]],
            [(copy.filename, copy.sha256)])
        self.assertNotIn(document.filename, [p.filename for p in pieces])

    def test_queries(self):
        "As many SELECTs for two instalments as for one"
        instalments = list(self.dossier.convention.instalments)

        def selects(records):
            forget()
            with count_queries() as queries:
                records[0].__class__.get_pieces(records)
            return queries.selects
        selects(instalments)
        self.assertEqual(selects(instalments), selects(instalments[1:]))


del RefusalCase
