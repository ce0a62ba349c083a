# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The pieces that justify a payment, in the payer's order.

The batch names them with their fingerprints and the file of the payment
joins them: one list for both (CGCT, annex I, D1617-19).
"""
from collections import defaultdict
from typing import NamedTuple

from trytond.pool import Pool, PoolMeta
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, without_check_access

from .condition import FULFILLED
from .document import digest
from .liquidation_document import STATEMENT
from .sums import SLICE

# What is sealed: before the evidence and the reports, and after them.
_BEFORE = ['letter', 'convention', 'amendment']
_KINDS = [*_BEFORE, 'signed', STATEMENT]
_REPORT_FILES = ['document', 'accounts', 'auditor_report']
# So many files are in memory at once.
_FILES = 20


class Piece(NamedTuple):
    "A piece: its name, that of its file, its SHA-256 and where it is."
    name: str
    filename: str
    sha256: str
    model: str
    id: int
    field: str

    def read(self):
        "Return the file (bytes)."
        values, = _read_files(self.model, [self.id], [self.field])
        return values[self.field]


def _read_files(model, ids, names):
    "Return the values of the fields, the files as bytes."
    with without_check_access(), Transaction().set_context(
            # Whatever the client asks for
            **{f'{model}.{name}': None for name in names}):
        return Pool().get(model).read(ids, names)


def _make_pieces(records, names):
    """Return, by record, a piece for each of the fields that holds a file;
    ``names`` are those fields with the one that holds the name."""
    pieces = defaultdict(list)
    for sub in grouped_slice(records, _FILES):
        by_id = {r.id: r for r in sub}
        model = next(iter(by_id.values())).__name__
        files = {
            values['id']: values
            for values in _read_files(model, list(by_id), list(names))}
        for id_, record in by_id.items():
            for field, filename in names.items():
                if data := files[id_][field]:
                    name = getattr(record, filename) or record.rec_name
                    pieces[record].append(Piece(
                            name, name, digest(bytes(data)), model, id_,
                            field))
    return pieces


class Instalment(metaclass=PoolMeta):
    __name__ = 'grant.instalment'

    @classmethod
    @without_check_access
    def get_pieces(cls, instalments):
        """Return, by id of instalment, the pieces (``Piece``) of its payment
        in the payer's order: the letter, or the convention as it was signed,
        with its amendments in force, the bank details, the evidence that was
        accepted, the reports of the year that were and, for a balance, its
        settled calculation.

        The act and who attested that the payment is due are no pieces: the
        batch names them.
        """
        instalments = cls.browse([i.id for i in instalments])
        documents = cls._get_documents(instalments)
        details = cls._get_bank_details(instalments)
        evidence = cls._get_evidence(instalments)
        reports = cls._get_reports(instalments)
        pieces = {}
        for instalment in instalments:
            sealed = documents[instalment.convention]
            pieces[instalment.id] = [
                *(cls._make_sealed(d) for d in sealed
                    if d.kind != STATEMENT),
                *details[instalment.party],
                *(p for c in instalment.conditions for p in evidence[c]),
                *(reports[instalment.tranche]
                    if instalment.kind != 'advance' else []),
                *(cls._make_sealed(d) for d in sealed
                    if d.kind == STATEMENT and instalment._is_settled_by(d)),
                ]
        return pieces

    @classmethod
    def _get_documents(cls, instalments):
        """Return, by convention, its sealed documents that concern the payer,
        in order; what was signed stands for what was sent to be signed."""
        Document = Pool().get('grant.document')
        found = defaultdict(list)
        for sub in grouped_slice(
                {i.convention.id for i in instalments}, SLICE):
            for document in Document.search([
                        ('convention', 'in', list(sub)),
                        ('state', '=', 'sealed'),
                        ('kind', 'in', _KINDS),
                        ['OR',
                            ('amendment', '=', None),
                            ('amendment.state', '=', 'effective'),
                            ],
                        ], order=[('issued_on', 'ASC'), ('id', 'ASC')]):
                found[document.convention].append(document)
        documents = defaultdict(list)
        for convention, sub in found.items():
            signed = {d.signs for d in sub if d.kind == 'signed'}
            documents[convention] = sorted((
                    d for d in sub if d not in signed
                    and (d.kind != 'signed' or d.signs in sub)),
                key=lambda d: _KINDS.index(
                    d.signs.kind if d.kind == 'signed' else d.kind))
        return documents

    @staticmethod
    def _make_sealed(document):
        "Return the piece of the sealed document: its PDF if it has one."
        if document.pdf_sha256:
            filename, sha256, field = (
                document.pdf_filename, document.pdf_sha256, 'pdf')
        else:
            filename, sha256, field = (
                document.filename, document.sha256, 'data')
        return Piece(
            document.rec_name, filename, sha256, document.__name__,
            document.id, field)

    def _is_settled_by(self, statement):
        "Return whether the statement is what settles the balance."
        liquidation = statement.liquidation
        return (
            self.kind == 'balance'
            and liquidation.tranche == self.tranche
            and liquidation.state == 'established')

    @classmethod
    def _get_bank_details(cls, instalments):
        "Return, by partner, the bank details that came last."
        PartnerPiece = Pool().get('grant.partner.piece')
        last = {}
        for sub in grouped_slice({i.party.id for i in instalments}, SLICE):
            for piece in PartnerPiece.search([
                        ('party', 'in', list(sub)),
                        ('kind', '=', 'bank_details'),
                        ('document_name', '!=', None),
                        ], order=[('received_on', 'ASC'), ('id', 'ASC')]):
                last[piece.party] = piece
        pieces = _make_pieces(
            list(last.values()), {'document': 'document_name'})
        return defaultdict(list, {
                party: pieces[piece] for party, piece in last.items()})

    @classmethod
    def _get_evidence(cls, instalments):
        "Return, by undertaking that is fulfilled, its evidence."
        Condition = Pool().get('grant.condition')
        ids = {
            c.id for i in instalments for c in i.conditions
            if c.state in FULFILLED}
        found = []
        for sub in grouped_slice(ids, SLICE):
            found += Condition.search([
                    ('id', 'in', list(sub)),
                    ('evidence_file', '!=', None),
                    ], order=[('id', 'ASC')])
        return _make_pieces(
            Condition.browse(found), {'evidence_file': 'evidence_filename'})

    @classmethod
    def _get_reports(cls, instalments):
        "Return, by tranche, the files of the reports that were accepted."
        Report = Pool().get('grant.financial_report')
        found = []
        for sub in grouped_slice(
                {i.tranche.id for i in instalments}, SLICE):
            found += Report.search([
                    ('tranche', 'in', list(sub)),
                    ('state', '=', 'accepted'),
                    ], order=[('accepted_on', 'ASC'), ('id', 'ASC')])
        reports = Report.browse(found)
        pieces = _make_pieces(
            reports, {name: f'{name}_name' for name in _REPORT_FILES})
        by_tranche = defaultdict(list)
        for report in reports:
            by_tranche[report.tranche].extend(pieces[report])
        return by_tranche
