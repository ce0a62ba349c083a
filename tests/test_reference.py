# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The pact and the territory are there, whole, and stay so."

import pytest
from trytond.modules.pacte_grants import reference
from trytond.pool import Pool
from trytond.tests.test_tryton import activate_module, with_transaction

from tests.tools import count_selects


def setup_module():
    activate_module('pacte_grants')


def count(model, *domain):
    return Pool().get(model).search(list(domain), count=True)


def area(kind, name):
    area, = Pool().get('grant.area').search([
            ('kind', '=', kind), ('name', '=', name)])
    return area


def commune(code):
    commune, = Pool().get('grant.commune').search([('code', '=', code)])
    return commune


@with_transaction()
def test_pact():
    Orientation = Pool().get('grant.orientation')
    assert {
        kind: count('grant.orientation', ('kind', '=', kind))
        for kind in ['challenge', 'ambition', 'lever', 'action']
        } == {'challenge': 3, 'ambition': 10, 'lever': 28, 'action': 47}
    ambitions = Orientation.search([('kind', '=', 'ambition')])
    assert [
        len([c for c in a.children if c.kind == 'action'])
        for a in ambitions] == [4, 4, 5, 4, 6, 5, 4, 5, 4, 6]
    action, = Orientation.search([('code', '=', 'A08-05')])
    assert action.ambition.code == 'A08'
    assert action.rec_name.startswith('A08-05 ')
    assert len(action.rec_name) < 90 < len(action.name)
    challenge = action.parent.parent
    assert challenge.kind == 'challenge'
    assert action in Orientation.search([
            ('parent', 'child_of', [challenge.id], 'parent')])
    assert Orientation.search([
            ('ambition', '=', action.parent.id),
            ('kind', '=', 'action')], count=True) == 5


@with_transaction()
def test_counts():
    assert count('grant.commune') == 887
    assert count('grant.commune.former') == 27
    assert {
        kind: count('grant.area', ('kind', '=', kind))
        for kind in ['department', 'arrondissement', 'canton', 'epci',
            'territory', 'macro_territory', 'basin']
        } == {
            'department': 1, 'arrondissement': 7, 'canton': 39, 'epci': 20,
            'territory': 7, 'macro_territory': 0, 'basin': 2}
    assert not count('grant.commune', ['OR',
            ('epci', '=', None), ('arrondissement', '=', None),
            ('territory', '=', None), ('cantons', '=', None)])


@with_transaction()
def test_population():
    for kind, name, communes, population in [
            ('department', "Pas-de-Calais", 887, 1457905),
            ('territory', "Lens-Hénin", 50, 367806),
            ('territory', "Arrageois", 255, 213287),
            ('territory', "Audomarois", 89, 128316),
            ('territory', "Montreuillois-Ternois", 263, 147027),
            ('arrondissement', "Lens", 50, 367806),
            ('epci', "CC Flandre Lys", 4, 16981),
            ('basin', "Audomarois-Montreuillois-Ternois", 352, 275343),
            ]:
        record = area(kind, name)
        assert record.commune_count == communes, name
        assert record.population == population, name


@with_transaction()
def test_hesdin():
    "Four communes became Hesdin-la-Forêt, whose code was that of Hesdin"
    Commune = Pool().get('grant.commune')
    hesdin = commune('62447')
    assert hesdin.name == "Hesdin-la-Forêt"
    assert hesdin.siren == '934483553'
    assert str(hesdin.valid_from) == '2025-01-01'
    assert {(f.code, f.name) for f in hesdin.former_communes} == {
        ('62447', "Hesdin"), ('62461', "Huby-Saint-Leu"),
        ('62549', "Marconne"), ('62743', "Sainte-Austreberthe")}
    assert {str(f.valid_to) for f in hesdin.former_communes} == {'2024-12-31'}
    for old in ['62461', 'Huby-Saint-Leu', 'huby st leu']:
        assert hesdin in Commune.search([('rec_name', 'ilike', f'%{old}%')])


@with_transaction()
@pytest.mark.parametrize('text,code', [
        ('saint-omer', '62765'), ('St Omer', '62765'), ('ST-OMER', '62765'),
        ('henin beaumont', '62427'), ('Hénin-Beaumont', '62427'),
        ('62300', '62498'), ('62498', '62498'), ('Lens (62300)', '62498'),
        ('quoeux', '62683'), ('etaples', '62318'), ("l'abbe", '62448'),
        ])
def test_search_commune(text, code):
    Commune = Pool().get('grant.commune')
    assert commune(code) in Commune.search([
            ('rec_name', 'ilike', f'%{text}%')])
    assert commune(code) not in Commune.search([
            ('rec_name', 'not ilike', f'%{text}%')])


@with_transaction()
def test_areas_of_commune():
    Commune = Pool().get('grant.commune')
    arras = commune('62041')
    assert {a.kind for a in arras.areas} == {
        'department', 'arrondissement', 'canton', 'epci', 'territory'}
    assert len(arras.cantons) == 3
    assert {m.quality for m in arras.memberships} == {'shared'}
    basin = area('basin', "Lens-Hénin")
    territory = area('territory', "Lens-Hénin")
    assert Commune.search([('areas', '=', basin.id)], count=True) == 50
    assert (Commune.search([('areas', '=', basin.id)])
        == Commune.search([('territory', '=', territory.id)]))
    assert Commune.search(
        [('areas', '!=', territory.id)], count=True) == 837
    department = area('department', "Pas-de-Calais")
    assert Commune.search([('areas', '=', department.id)], count=True) == 887


@with_transaction()
def test_idempotent():
    "Loading again changes nothing"
    models = [
        'grant.orientation', 'grant.area', 'grant.commune',
        'grant.commune-grant.area', 'grant.commune.former']
    before = [count(m) for m in models]
    reference.load_orientations()
    reference.load_territory()
    assert [count(m) for m in models] == before
    for model in models:
        assert not count(model, ('write_date', '!=', None)), model


@with_transaction()
def test_update():
    "Names come back, users' areas and inactive records stay as they are"
    pool = Pool()
    Area = pool.get('grant.area')
    Commune = pool.get('grant.commune')
    Orientation = pool.get('grant.orientation')
    own, = Area.create([{
                'kind': 'macro_territory', 'code': 'NORTH',
                'name': "Nord du département"}])
    lens = commune('62498')
    Commune.write([lens], {'name': "Lenz", 'active': False})
    challenge, = Orientation.search([('code', '=', 'D1')])
    Orientation.write([challenge], {'name': "Old title"})

    reference.load_orientations()
    reference.load_territory()

    assert Commune(lens.id).name == "Lens"
    assert not Commune(lens.id).active
    assert Orientation(challenge.id).name != "Old title"
    assert Area.search([('id', '=', own.id)])


@with_transaction()
def test_changed_canton():
    "A membership that is no longer derived ends, and is not deleted"
    Membership = Pool().get('grant.commune-grant.area')
    lens = commune('62498')
    other, = Pool().get('grant.area').search([
            ('kind', '=', 'canton'), ('name', '=', "Arras-1")])
    wrong, official = Membership.create([
            {'commune': lens.id, 'area': other.id, 'quality': 'derived'},
            {'commune': commune('62041').id, 'area': area(
                'canton', "Avion").id, 'quality': 'official'},
            ])
    reference.load_territory()
    assert Membership(wrong.id).valid_to
    assert not Membership(official.id).valid_to
    assert other not in lens.cantons


@with_transaction()
def test_reference_records():
    "The data are loaded again only if the files have changed"
    Reference = Pool().get('grant.reference')
    references = Reference.search([])
    assert {r.kind for r in references} == {
        'nomenclature', 'orientation', 'territory'}
    assert all(r.loaded and r.loaded_on for r in references)
    territory, = Reference.search([('kind', '=', 'territory')])
    Reference.write([territory], {'checksum': 'former vintage'})
    assert not territory.loaded
    lens = commune('62498')
    Pool().get('grant.commune').write([lens], {'name': "Lenz"})
    Reference.load([territory])
    assert territory.loaded
    assert commune('62498').name == "Lens"


@with_transaction()
def test_queries():
    "Reading 20 or 150 communes with their areas costs the same"
    Commune = Pool().get('grant.commune')

    def read(number):
        communes = Commune.search([], limit=number)
        areas = Commune.areas_of(communes)
        assert all(areas[c.id] for c in communes)
        Commune.read(
            [c.id for c in communes], ['areas', 'rec_name', 'canton_names'])

    def read_areas(number):
        Area = Pool().get('grant.area')
        areas = Area.search([], limit=number)
        Area.read(
            [a.id for a in areas], ['population', 'commune_count'])
    assert count_selects(read, 20) == count_selects(read, 150)
    assert count_selects(read_areas, 5) == count_selects(read_areas, 70)
