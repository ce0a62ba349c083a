# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What a text that is published may not hold about persons, and what of an
evaluation goes with its partner when that one is erased."""
import re

from trytond.pool import Pool, PoolMeta

_PATTERNS = [
    re.compile(r'[\w.+-]+@[\w-]+\.[\w.-]+'),
    # A telephone number, French or international
    re.compile(r'(?<![\d])(?:\+|00)?\d{1,2}(?:[ .\-]?\d{2}){4}(?!\d)'),
    re.compile(r'\bFR\d{2}(?:\s?[0-9A-Z]{4}){5}\s?[0-9A-Z]{3}\b'),
    ]


def find_personal_data(text, names=()):
    """Return the passages of the text that are e-mail addresses, telephone
    or bank account numbers, or one of the ``names`` of persons."""
    found = [
        match.group().strip() for pattern in _PATTERNS
        for match in pattern.finditer(text or '')]
    folded = (text or '').casefold()
    for name in names:
        name = ' '.join((name or '').split())
        if name and name.casefold() in folded and name not in found:
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
                ['partner_view', 'partner_file', 'partner_filename'],
                [None] * 3),
            (Line, [('evaluation.party', '=', party_id)], True,
                ['partner_comment'], [None]),
            (Meeting, [('evaluation.party', '=', party_id)], True,
                ['text'], ['****']),
            ]
