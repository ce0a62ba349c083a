# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What a text that is published may not hold about persons, and what of an
evaluation goes with its partner when that one is erased."""
import re

from trytond.pool import Pool, PoolMeta

from .territory import normalize

_PATTERNS = [
    re.compile(r'[\w.+-]+@[\w-]+\.[\w.-]+'),
    # A telephone number, French or international
    re.compile(
        r'(?<!\d)(?:(?:\+|00)\d{2}[ .\-]?(?:\(0\)[ .\-]?)?\d|\d{1,2})'
        r'(?:[ .\-/]?\d{2}){4}(?!\d)'),
    re.compile(r'\bFR\d{2}(?:\s?[0-9A-Z]{4}){5}\s?[0-9A-Z]{3}\b'),
    # Where somebody lives, and who is called by the name
    re.compile(
        r'\b\d{1,4}(?: ?(?:bis|ter|quater))?,? +(?:rue|avenue|boulevard|'
        r'chemin|impasse|allée|résidence|route|quai|square|lotissement)'
        r'\b[^,.;\n]*', re.IGNORECASE),
    re.compile(r'\b(?:Mme|Mlle|Madame|Monsieur|M\.|Mr) +[A-ZÀ-Þ][\w’\'-]+'),
    ]
_WORD = re.compile(r'\w+')


def find_personal_data(text, names=()):
    """Return the passages of the text that are e-mail or postal addresses,
    telephone or bank account numbers, or one of the ``names`` of persons,
    whatever the accents and the order of their words."""
    found = [
        match.group().strip() for pattern in _PATTERNS
        for match in pattern.finditer(text or '')]
    words = _WORD.findall(normalize(text or ''))
    for name in names:
        name = ' '.join((name or '').split())
        parts = sorted(_WORD.findall(normalize(name)))
        size = len(parts)
        if parts and name not in found and any(
                sorted(words[i:i + size]) == parts
                for i in range(len(words) - size + 1)):
            found.append(name)
    return found


class PartyErase(metaclass=PoolMeta):
    __name__ = 'party.erase'

    def to_erase(self, party_id):
        """Add what the partner wrote and what users and inhabitants said of
        it; the shared view and the ratings are the Department's too."""
        pool = Pool()
        Evaluation = pool.get('grant.evaluation')
        Line = pool.get('grant.evaluation.line')
        Meeting = pool.get('grant.evaluation.meeting')
        return super().to_erase(party_id) + [
            (Evaluation, [('party', '=', party_id)], True,
                ['partner_view', 'partner_file', 'partner_filename',
                    'disagreement'],
                [None] * 4),
            (Line, [('evaluation.party', '=', party_id)], True,
                ['partner_comment'], [None]),
            (Meeting, [('evaluation.party', '=', party_id)], True,
                ['text'], ['****']),
            ]
