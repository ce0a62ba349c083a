# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The file of a payment: one PDF, in the payer's order."
import io
import zipfile
from unittest.mock import patch

import pypdfium2
from PIL import Image
from trytond.pool import Pool
from trytond.transaction import Transaction

from trytond.modules.pacte_grants.exceptions import CompletenessError
from trytond.modules.pacte_grants.payment_file import merge, to_pdf

from .refusal import Dossier, RefusalCase, set_state


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


del RefusalCase
