# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The file of a payment: its pieces in one PDF, in the payer's order.

They are those of ``payment_piece``, which the batch names too; the bank
account stands on the cover, masked.
"""
import io

import pypdfium2
from PIL import Image, UnidentifiedImageError

from trytond.i18n import gettext
from trytond.pool import Pool
from trytond.transaction import without_check_access

from .check import money
from .document import _identity
from .reminder import ReminderLetter
from .wording import long_date


def merge(files):
    """Return the PDF (bytes) of the files (bytes): PDF documents and images,
    one after the other."""
    with pypdfium2.PdfDocument.new() as merged:
        for data in files:
            with pypdfium2.PdfDocument(data) as pdf:
                merged.import_pages(pdf)
        output = io.BytesIO()
        merged.save(output)
        return output.getvalue()


def to_pdf(data):
    """Return the file (bytes) as a PDF, or ``None`` if it is neither a PDF
    that opens nor an image."""
    if not data:
        return None
    data = bytes(data)
    if data[:1024].lstrip().startswith(b'%PDF'):
        try:
            with pypdfium2.PdfDocument(data) as pdf:
                return data if len(pdf) else None
        except pypdfium2.PdfiumError:
            return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            output = io.BytesIO()
            image.convert('RGB').save(output, 'PDF', resolution=150)
            return output.getvalue()
    except (UnidentifiedImageError, OSError, ValueError,
            Image.DecompressionBombError):
        return None


class PaymentFile(ReminderLetter):
    __name__ = 'grant.instalment.file'

    @classmethod
    def _execute(cls, records, header, data, action):
        extension, cover = super()._execute(records, header, data, action)
        if extension != 'pdf':
            return extension, cover
        pieces = [
            pdf for _, pdf in cls.get_pieces(records[0]) if pdf]
        return extension, merge([cover, *pieces])

    @classmethod
    @without_check_access
    def get_pieces(cls, instalment):
        """Return the pieces of the instalment in the payer's order: their
        names and their PDF (bytes), ``None`` for what cannot be joined."""
        Instalment = Pool().get('grant.instalment')
        return [
            (piece.name, to_pdf(piece.read()))
            for piece in Instalment.get_pieces([instalment])[instalment.id]]

    @classmethod
    def get_context(cls, records, header, data):
        """Return the values that the template names: ``department``,
        ``title``, ``date``, ``rows`` (label, value), ``pieces``."""
        # What the letters need does not concern the cover.
        context = super(ReminderLetter, cls).get_context(
            records, header, data)
        instalment = Pool().get('grant.instalment')(records[0].id)
        names = cls._labels([
                'party', 'convention', 'kind', 'tranche', 'amount',
                'act_number', 'executory_on', 'notified_on',
                'finance_number', 'account_holder', 'account_number',
                'certified_by', 'certified_on'])
        values = {
            'party': instalment.party.rec_name,
            'convention': instalment.convention.rec_name,
            'kind': instalment.kind_string,
            'tranche': str(instalment.tranche.year),
            'amount': money(instalment.amount),
            'certified_by': (
                instalment.certified_by and instalment.certified_by.rec_name),
            }
        for name in names:
            if name in values:
                continue
            value = getattr(instalment, name)
            values[name] = (
                long_date(value) if hasattr(value, 'strftime') else value)
        context.update(
            department=_identity(instalment.company.party),
            title=gettext('pacte_grants.msg_payment_file_title',
                instalment=instalment.rec_name),
            date=long_date(Pool().get('ir.date').today()),
            rows=[
                {'label': label, 'value': values[name] or '–'}
                for name, label in names.items()],
            pieces=[
                name if pdf else gettext(
                    'pacte_grants.msg_payment_file_apart', name=name)
                for name, pdf in cls.get_pieces(instalment)])
        return context

    @staticmethod
    def _labels(names):
        definitions = Pool().get('grant.instalment').fields_get(names)
        return {name: definitions[name]['string'] for name in names}
