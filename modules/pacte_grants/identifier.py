# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The numbers that identify French partners: SIREN, SIRET, RNA and UAI.

The types are those of ``party.identifier``.  SIREN and SIRET are checked by
python-stdnum (Luhn, and La Poste's own rule); RNA numbers are those of the
répertoire national des associations, UAI numbers those of the schools of the
Ministry of Education.
"""
import re
import unicodedata

from stdnum.exceptions import (
    InvalidChecksum, InvalidFormat, InvalidLength, ValidationError)
from stdnum.fr import siren, siret

TYPES = ['fr_siren', 'fr_siret', 'fr_rna', 'fr_uai']
_UAI_KEYS = 'ABCDEFGHJKLMNPRSTUVWXYZ'
_SEPARATORS = re.compile(r'[\s.\-_\u200b\u2060\ufeff]+')
_SCIENTIFIC = re.compile(r'^[+-]?\d+([.,]\d+)?E[+-]?\d+$', re.IGNORECASE)
_FLOAT = re.compile(r'^\d{6,}[.,]0+$')
_RNA = re.compile(r'^W(\d[0-9AB]\d)\d{6}$')
_UAI = re.compile(r'^(\d{7})([A-Z])$')


class ScientificNotation(ValidationError):
    "A spreadsheet turned the number into a floating-point number."
    message = "The number is in scientific notation."


def compact(type, number):
    """Return number without spaces (of any kind), dots and hyphens.

    >>> compact('fr_siret', ' 732 829\\u00a0320 00074 ')
    '73282932000074'
    >>> compact('fr_rna', 'w621000123')
    'W621000123'
    """
    number = unicodedata.normalize('NFKC', number or '').strip()
    if is_scientific(number):
        return number
    return _SEPARATORS.sub('', number).upper()


def is_scientific(number):
    """Return whether a spreadsheet has made a float of the number.

    >>> is_scientific('7,99E+13')
    True
    >>> is_scientific('73282932000074')
    False
    """
    number = re.sub(r'\s', '', number or '')
    return bool(_SCIENTIFIC.match(number) or _FLOAT.match(number))


def validate(type, number):
    """Return the compact number of the given type.

    Raise ``ScientificNotation``, ``InvalidLength``, ``InvalidFormat`` or
    ``InvalidChecksum`` (of stdnum) if it is not valid.

    >>> validate('fr_siret', '732 829 320 00074')
    '73282932000074'
    >>> validate('fr_uai', '0750655e')
    '0750655E'
    """
    if is_scientific(number):
        raise ScientificNotation()
    number = compact(type, number)
    return {
        'fr_siren': siren.validate,
        'fr_siret': siret.validate,
        'fr_rna': _validate_rna,
        'fr_uai': _validate_uai,
        }[type](number)


def format(type, number):
    "Return the number as people write it, or as it is if it is not valid."
    try:
        number = validate(type, number)
    except ValidationError:
        return number
    if type == 'fr_siren':
        return siren.format(number)
    elif type == 'fr_siret':
        return siret.format(number)
    return number


def _validate_rna(number):
    if len(number) != 10:
        raise InvalidLength()
    if not _RNA.match(number):
        raise InvalidFormat()
    return number


def _validate_uai(number):
    if len(number) != 8:
        raise InvalidLength()
    match = _UAI.match(number)
    if not match:
        raise InvalidFormat()
    digits, key = match.groups()
    if _UAI_KEYS[int(digits) % 23] != key:
        raise InvalidChecksum()
    return number
