# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Read the codes that the pages of issued documents bear, in scans of them."
from io import BytesIO
from pathlib import Path

import pypdfium2
import zxingcpp
from PIL import Image, ImageSequence, UnidentifiedImageError

from trytond.i18n import gettext

from .exceptions import ScanError

# A convention has some twenty pages; a batch of them comes as one file.
MAXIMUM_PAGES = 300
MAXIMUM_SIZE = 100  # megabytes
_RESOLUTION = 200  # dots per inch
_PIXELS = 60_000_000


def read_pages(data, filename):
    """Return for each page of the file (bytes) the texts of its codes.

    The file is a PDF or an image, of several pages if its format has them.
    Raise ``ScanError`` if it cannot be opened or is too large.
    """
    if len(data) > MAXIMUM_SIZE * 2 ** 20:
        raise _too_large(filename)
    images = _pdf_images if data[:1024].lstrip().startswith(b'%PDF') else (
        _images)
    try:
        return [
            [code.text for code in zxingcpp.read_barcodes(
                    image, formats=zxingcpp.BarcodeFormat.QRCode)]
            for image in images(data, filename)]
    except (pypdfium2.PdfiumError, UnidentifiedImageError, OSError,
            ValueError, Image.DecompressionBombError) as error:
        raise ScanError(gettext(
                'pacte_grants.msg_document_scan_unreadable',
                file=_name(filename))) from error


def _name(filename):
    return Path(filename).name if filename else '?'


def _too_large(filename):
    return ScanError(gettext(
            'pacte_grants.msg_document_scan_large',
            file=_name(filename), pages=MAXIMUM_PAGES, size=MAXIMUM_SIZE))


def _pdf_images(data, filename):
    with pypdfium2.PdfDocument(data) as pdf:
        if len(pdf) > MAXIMUM_PAGES:
            raise _too_large(filename)
        for page in pdf:
            width, height = page.get_size()
            scale = _RESOLUTION / 72
            if width * height * scale ** 2 > _PIXELS:
                scale = (_PIXELS / (width * height)) ** 0.5
            yield page.render(scale=scale, grayscale=True).to_pil()


def _images(data, filename):
    with Image.open(BytesIO(data)) as image:
        for index, frame in enumerate(ImageSequence.Iterator(image)):
            if index >= MAXIMUM_PAGES or frame.width * frame.height > _PIXELS:
                raise _too_large(filename)
            yield frame.convert('L')
