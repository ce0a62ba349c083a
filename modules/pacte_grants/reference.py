# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The reference data that come with the module: the pact and the territory.

Each set is a ``grant.reference`` record of reference.xml.  At activation the
record is created with ``loaded`` set, which loads the files; at an update
``loaded`` reads False if the files have changed, and the record is written,
which loads them again.  Loading adds and updates; it never deletes.
"""
import csv
import datetime as dt
import hashlib
import json

from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.pool import Pool
from trytond.pyson import Eval
from trytond.tools import file_open, grouped_slice
from trytond.transaction import (
    Transaction, inactive_records, without_check_access)

from .mixin import now
from .territory import normalize

_DOMAINS = {
    'jeunesse': 'youth',
    'education': 'education',
    'culture': 'culture',
    'sport': 'sport',
    }
_QUALITIES = {
    'derive': 'derived',
    'derive_a_verifier': 'derived_to_check',
    'partagee': 'shared',
    }
_FORMER_KINDS = {
    'commune-deleguee': 'delegated',
    'commune-associee': 'associated',
    'ancien-code': 'old_code',
    }
_BASINS = {
    'Lens-Hénin': ['Lens-Hénin'],
    'Audomarois-Montreuillois-Ternois': [
        'Audomarois', 'Montreuillois-Ternois'],
    }
_SOURCE_AREA = "INSEE, code officiel géographique 2026"
_SOURCE_EPCI = "DGCL, 2026"
_SOURCE_CANTON = "Dérivé des contours de 2018, à vérifier"
_SOURCE_TERRITORY = "Déduit des EPCI, à confirmer"
_SOURCE_BASIN = "Déduit des territoires, à confirmer"


def _path(name):
    return 'pacte_grants/data/' + name


def _read_csv(name):
    with file_open(_path(name), encoding='utf-8') as file:
        return list(csv.DictReader(file))


def _read_json(name):
    with file_open(_path(name), encoding='utf-8') as file:
        return json.load(file)


def _date(text):
    return dt.date.fromisoformat(text) if text else None


def _code(name):
    return normalize(name).replace(' ', '-').upper()


def _value(record, name):
    value = getattr(record, name)
    return value.id if hasattr(value, 'id') else value


def upsert(Model, key_names, rows):
    """Create the rows that are missing from Model and update those that
    differ.

    ``key_names`` are the fields that identify a row, ``rows`` dictionaries
    of stored values (the id for a Many2One).  Nothing is deleted; what is
    inactive is updated and stays inactive.  Return the records by key.
    """
    def key_of(record):
        return tuple(_value(record, n) for n in key_names)

    with inactive_records():
        existing = {key_of(r): r for r in Model.search([], order=[])}
    to_create, to_write = [], []
    for row in rows:
        record = existing.get(tuple(row[n] for n in key_names))
        if record is None:
            to_create.append(row)
            continue
        changed = {
            n: v for n, v in row.items()
            if (_value(record, n) or None) != (v or None)}
        if changed:
            to_write.extend(([record], changed))
    if to_write:
        Model.write(*to_write)
    for sub_rows in grouped_slice(to_create, 200):
        for record in Model.create(list(sub_rows)):
            existing[key_of(record)] = record
    return existing


@without_check_access
def load_orientations():
    """Load the pact (3 défis, 10 ambitions, 28 leviers and 47 actions).

    Return the ``grant.orientation`` records by code.
    """
    Orientation = Pool().get('grant.orientation')
    challenges, ambitions, others = [], [], []
    for challenge in _read_json('pacte.json')['defis']:
        challenges.append({
                'code': challenge['code'],
                'kind': 'challenge',
                'name': challenge['titre'],
                'sequence': challenge['numero'] * 10,
                'parent': None,
                })
        for ambition in challenge['ambitions']:
            ambitions.append({
                    'code': ambition['code'],
                    'kind': 'ambition',
                    'name': ambition['titre'],
                    'sequence': ambition['numero'] * 10,
                    'parent': challenge['code'],
                    })
            for i, lever in enumerate(ambition['sous_titres'], 1):
                others.append({
                        'code': lever['code'],
                        'kind': 'lever',
                        'name': lever['titre'],
                        'sequence': i * 10,
                        'parent': ambition['code'],
                        })
            for i, action in enumerate(ambition['actions'], 1):
                others.append({
                        'code': action['code'],
                        'kind': 'action',
                        'name': action['texte'],
                        'sequence': 1000 + i * 10,
                        'parent': ambition['code'],
                        'domains': tuple(sorted(
                                _DOMAINS[d]
                                for d in action['domaines_proposes'])),
                        })
    orientations = {}
    for rows in [challenges, ambitions, others]:
        for row in rows:
            if row['parent']:
                row['parent'] = orientations[row['parent']].id
        records = upsert(Orientation, ['code'], rows)
        orientations = {code: r for (code,), r in records.items()}
    return orientations


@without_check_access
def load_territory():
    """Load the 887 communes of the department, their EPCI, arrondissements,
    cantons, departmental territories and basins, and the former communes.

    Return the ``grant.commune`` records by INSEE code.
    """
    communes = _read_csv('communes_62.csv')
    areas = _load_areas(communes)
    records = _load_communes(communes, areas)
    _load_memberships(communes, records, areas)
    _load_former_communes(records)
    return records


def _load_areas(communes):
    Area = Pool().get('grant.area')

    def row(kind, code, name, source, **values):
        return {
            'kind': kind, 'code': code, 'name': name, 'source': source,
            **values}

    areas = upsert(Area, ['kind', 'code'], [
            row('department', '62', "Pas-de-Calais", _SOURCE_AREA)])
    department = areas['department', '62'].id
    rows = {}
    for commune in communes:
        code = commune['arrondissement_code']
        rows['arrondissement', code] = row(
            'arrondissement', code, commune['arrondissement_nom'],
            _SOURCE_AREA, parent=department)
        for code, name in _cantons(commune):
            rows['canton', code] = row(
                'canton', code, name, _SOURCE_CANTON, parent=department)
        name = commune['territoire_departemental']
        rows['territory', _code(name)] = row(
            'territory', _code(name), name, _SOURCE_TERRITORY)
    for epci in _read_csv('epci_62.csv'):
        rows['epci', epci['siren']] = row(
            'epci', epci['siren'], epci['nom'], _SOURCE_EPCI,
            siren=epci['siren'], epci_type=epci['type'].lower())
    for name in _BASINS:
        rows['basin', _code(name)] = row(
            'basin', _code(name), name, _SOURCE_BASIN)
    areas = upsert(Area, ['kind', 'code'], list(rows.values()))
    return {key: areas[key].id for key in rows}


def _cantons(commune):
    return zip(
        commune['canton_codes'].split(';'),
        commune['canton_noms'].split(';'), strict=True)


def _load_communes(communes, areas):
    Commune = Pool().get('grant.commune')
    rows = [{
            'code': commune['code_insee'],
            'name': commune['nom'],
            'siren': commune['siren'],
            'postal_codes': commune['codes_postaux'].replace(';', ' '),
            'population': int(commune['population']),
            'epci': areas['epci', commune['epci_siren']],
            'arrondissement': areas[
                'arrondissement', commune['arrondissement_code']],
            'territory': areas[
                'territory', _code(commune['territoire_departemental'])],
            'valid_from': _date(commune['valable_depuis']),
            } for commune in communes]
    records = upsert(Commune, ['code'], rows)
    return {code: r for (code,), r in records.items()}


def _load_memberships(communes, records, areas):
    Membership = Pool().get('grant.commune-grant.area')
    rows, cantons = [], set()
    for commune in communes:
        id_ = records[commune['code_insee']].id
        for code, _ in _cantons(commune):
            cantons.add((id_, areas['canton', code]))
            rows.append({
                    'commune': id_,
                    'area': areas['canton', code],
                    'quality': _QUALITIES[commune['canton_qualite']],
                    })
        for basin, territories in _BASINS.items():
            if commune['territoire_departemental'] in territories:
                rows.append({
                        'commune': id_,
                        'area': areas['basin', _code(basin)],
                        'quality': 'derived_to_check',
                        })
    memberships = upsert(Membership, ['commune', 'area'], rows)
    _end_memberships(memberships, cantons)


def _end_memberships(memberships, cantons):
    "Close what an earlier vintage derived and the present one does not."
    Membership = Pool().get('grant.commune-grant.area')
    Date = Pool().get('ir.date')
    communes = {commune for commune, _ in cantons}
    canton_areas = {area for _, area in cantons}
    ended = [
        m for (commune, area), m in memberships.items()
        if commune in communes and area in canton_areas
        and (commune, area) not in cantons
        and m.quality != 'official' and not m.valid_to]
    if ended:
        Membership.write(ended, {'valid_to': Date.today()})


def _load_former_communes(records):
    Former = Pool().get('grant.commune.former')
    upsert(Former, ['kind', 'code'], [{
                'kind': _FORMER_KINDS[row['type']],
                'code': row['code_insee'],
                'name': row['nom'] or None,
                'commune': records[row['code_insee_commune_actuelle']].id,
                'valid_to': _date(row['valable_jusqu_au']),
                } for row in _read_csv('communes_62_anciennes.csv')])


class Reference(ModelSQL, ModelView):
    __name__ = 'grant.reference'
    __string__ = "Reference Data"

    name = fields.Char("Name", required=True)
    kind = fields.Selection([
            ('orientation', "The Pact"),
            ('territory', "Communes and Areas"),
            ], "Kind", required=True, sort=False)
    publisher = fields.Char("Publisher")
    licence = fields.Char("Licence")
    vintage = fields.Char("Vintage")
    checksum = fields.Char("Checksum", readonly=True)
    loaded_on = fields.DateTime("Loaded On", readonly=True)
    loaded = fields.Function(
        fields.Boolean(
            "Up to Date",
            help="What is recorded comes from the files of this version."),
        'get_loaded', setter='set_loaded')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints = [
            ('kind_unique', Unique(t, t.kind),
                'pacte_grants.msg_reference_kind_unique'),
            ]
        cls._buttons.update({
                'load': {
                    'readonly': Eval('id', -1) < 0,
                    'depends': ['id'],
                    },
                })

    @classmethod
    def get_loaded(cls, references, name):
        return {
            r.id: r.checksum == r.file_checksum() for r in references}

    @classmethod
    def set_loaded(cls, references, name, value):
        if value:
            cls._load(references)

    @classmethod
    @ModelView.button
    def load(cls, references):
        "Load the files again, over what has been changed by hand."
        cls._load(references)

    @classmethod
    def loaders(cls):
        "Return by kind the files that are loaded and the function to call."
        return {
            'orientation': (['pacte.json'], load_orientations),
            'territory': ([
                    'communes_62.csv', 'communes_62_anciennes.csv',
                    'epci_62.csv'], load_territory),
            }

    def file_checksum(self):
        "Return the SHA-256 of the files of the record."
        digest = hashlib.sha256()
        names, _ = self.loaders()[self.kind]
        for name in names:
            with file_open(_path(name), 'rb') as file:
                digest.update(file.read())
        return digest.hexdigest()

    @classmethod
    def _load(cls, references):
        with Transaction().set_context(language='en'):
            for reference in references:
                _, loader = cls.loaders()[reference.kind]
                loader()
                reference.checksum = reference.file_checksum()
                reference.loaded_on = now()
        cls.save(references)
