# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Issued documents: what they say, how they are sealed, when they are refused."

import datetime as dt
import doctest
import re
import shutil
import zipfile
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import pytest
import trytond.config as config
from lxml import etree
from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants import wording
from trytond.modules.pacte_grants.document import (
    MISSING, _ConventionReport, digest)
from trytond.modules.pacte_grants.exceptions import (
    CompletenessError, FrozenError)
from trytond.pool import Pool
from trytond.tests.test_tryton import activate_module, with_transaction
from trytond.transaction import Transaction

from .road import Road

TEMPLATES = Path(__file__).parent.parent / 'reports'
CONVERT = (
    'soffice "-env:UserInstallation=file://%(directory)s/profile" '
    '--headless --nologo --nolockcheck --nodefault --norestore '
    '--convert-to "%(output_extension)s" --outdir "%(directory)s" '
    '"%(input_path)s"')
DEFAULT = (
    'soffice --headless --nolockcheck --nodefault --norestore '
    '--convert-to "%(output_extension)s" --outdir "%(directory)s" '
    '"%(input_path)s"')
OFFICE = 'urn:oasis:names:tc:opendocument:xmlns:office:1.0'
TABLE = '{urn:oasis:names:tc:opendocument:xmlns:table:1.0}'
TEXT = '{urn:oasis:names:tc:opendocument:xmlns:text:1.0}'
# Words that would make a grant look like the price of a service.
FORBIDDEN = ['contrepartie', 'prestation', 'obligation de résultat']
ENGLISH = re.compile(
    r'\b(the|and|of|date|advance|balance|single|interim|notification|draft|'
    r'requested|obtained|rise|fall|convention|amount|None|True|False|'
    r'voted|indicative)\b')
# These are words of both languages.
FRENCH = {'date', 'notification', 'convention'}


def setup_module():
    activate_module('pacte_grants')


@pytest.fixture(autouse=True)
def converter():
    "No converter, unless a test asks for one: most look at the ODT."
    config.set(
        'report', 'convert_command', 'no-such-converter "%(input_path)s"')
    yield
    config.set('report', 'convert_command', DEFAULT)


def files(odt):
    with zipfile.ZipFile(BytesIO(odt)) as archive:
        return {
            name: etree.fromstring(archive.read(name))
            for name in ['content.xml', 'styles.xml', 'meta.xml']}


def text(odt):
    "The text of the document, its headers and footers, a paragraph a line."
    lines = []
    for tree in files(odt).values():
        for node in tree.iter(f'{TEXT}p', f'{TEXT}h'):
            lines.append(re.sub(r'\s+', ' ', ''.join(node.itertext())))
    return '\n'.join(lines)


def tables(odt):
    "The rows of each table, as lists of texts, by its name."
    result = {}
    for table in files(odt)['content.xml'].iter(f'{TABLE}table'):
        result[table.get(f'{TABLE}name')] = [
            [re.sub(r'\s+', ' ', ''.join(cell.itertext())).strip()
                for cell in row.iter(f'{TABLE}table-cell')]
            for row in table.iter(f'{TABLE}table-row')]
    return result


def amount(cell):
    return Decimal(
        re.sub(r'[^\d,]', '', cell).replace(',', '.') or '0')


def voted(road, application, convention=None):
    "Vote the application; return the convention, ready to be issued."
    deliberation = road.schedule(application)
    if road.fresh(road.session).state == 'draft':
        road.hold()
    deliberation = road.vote(deliberation)
    road.write('sophie', deliberation, act_number='2026-CP-214')
    return road.fresh(road.fresh(application).convention)


def to_voted(road, **values):
    application, _ = road.to_agreed(**values)
    return voted(road, application)


def to_letter(road, **values):
    "Return the voted decision letter of a small grant."
    road.scheme = road.create_scheme(
        code='COUP', name="Coup de pouce", level='light',
        convention_required=False, tariff_required=False,
        instalments=None)
    application = road.create_application(
        amount=Decimal(800), call=None, **values)
    application = road.review(application)
    road.open_convention(application)
    return voted(road, road.fresh(application))


def issue(road, convention):
    road.press('claire', convention, 'issue')
    convention = road.fresh(convention)
    return convention, convention.documents[0]


def print_(road, convention, extension='odt', login='claire'):
    "Print the convention from its form, as the user; return the file."
    pool = Pool()
    Report = pool.get('grant.convention.convention', type='report')
    ModelData = pool.get('ir.model.data')
    action = ModelData.get_id('pacte_grants', {
            'odt': 'report_convention_odt',
            'pdf': 'report_convention'}[extension])
    with road.as_user(login):
        type_, data, _, name = Report.execute([convention.id], {
                'action_id': action, 'model': 'grant.convention'})
    assert type_ == extension
    assert convention.number in name
    return data


def check_language(content):
    assert MISSING not in content
    found = set(ENGLISH.findall(content)) - FRENCH
    assert not found
    assert '<' not in content and '>' not in content
    # The partner's own budget has the headings of the official form.
    content = content.replace("Ventes, prestations de services", '')
    for word in FORBIDDEN:
        assert word not in content.lower()


def test_wording():
    assert not doctest.testmod(wording).failed


@pytest.mark.parametrize('value,words', [
        ('0', 'zéro euro'),
        ('1', 'un euro'),
        ('0.01', 'un centime'),
        ('80.80', 'quatre-vingts euros et quatre-vingts centimes'),
        ('23000', 'vingt-trois mille euros'),
        ('1000000', 'un million d’euros'),
        ('1200300', 'un million deux cent mille trois cents euros'),
        ])
def test_euros_in_words(value, words):
    assert wording.euros_in_words(Decimal(value)) == words


@pytest.mark.parametrize('name', ['convention', 'letter'])
def test_template(name):
    "The templates open in LibreOffice, with fonts that every server has"
    tree = etree.parse(TEMPLATES / f'{name}.fodt')
    root = tree.getroot()
    assert root.get(f'{{{OFFICE}}}mimetype') == (
        'application/vnd.oasis.opendocument.text')
    content = ' '.join(root.itertext())
    for word in FORBIDDEN:
        assert word not in content.lower()
    fonts = {
        font.get('{urn:oasis:names:tc:opendocument:xmlns:style:1.0}name')
        for font in root.iter(
            '{urn:oasis:names:tc:opendocument:xmlns:style:1.0}font-face')}
    assert fonts and all(
        f.startswith(('Liberation', 'DejaVu')) for f in fonts)


@with_transaction()
def test_convention():
    road = Road()
    convention = to_voted(road)
    convention, document = issue(road, convention)
    content = text(document.data)

    assert document.kind == 'convention' and document.version == 1
    assert document.state == 'sealed'
    assert document.issued_by == road.users['claire']
    assert document.company == convention.company
    assert document.partner_name == convention.party.name
    assert document.partner_signatory == 'Camille Exemple, Présidente'
    assert document.partner_address == '1 rue du Test\n62000 Arras'
    check_language(content)
    for expected in [
            'CONVENTION ANNUELLE D’OBJECTIFS',
            f'n° {convention.number}',
            'Camille Exemple, Présidente',
            'n° 2026-CP-214 de la Commission permanente',
            'loi n° 2000-321 du 12 avril 2000',
            'décret n° 2001-495 du 6 juin 2001',
            'décret n° 2021-1947 du 31 décembre 2021',
            'Ambition 3',
            '10 000,00 € (dix mille euros), soit 50 %',
            'six mois suivant la fin de chaque exercice',
            'tribunal administratif de Lille',
            'Annexe VI',
            'se termine par 0189',
            ]:
        assert expected in content
    for article in range(1, 16):
        assert re.search(fr'^Article {article} – \S', content, re.MULTILINE)
    assert 'PROJET' not in content
    assert 'FR76' not in content


@with_transaction()
def test_several_years():
    "Costs and shares are those of the years whose budget is known"
    road = Road()
    application = road.review(road.create_application())
    convention = road.open_convention(application)
    year = road.year
    road.write(
        'claire', convention, kind='multi_year',
        end_date=dt.date(year + 2, 12, 31), tranches=[('create', [
                    {'year': year + 1, 'amount': Decimal(10000)},
                    {'year': year + 2, 'amount': Decimal(10000)}])])
    road.agree(road.fresh(convention))
    convention = voted(road, application)
    convention, document = issue(road, convention)
    content = text(document.data).replace('\u202f', ' ')
    check_language(content)
    for sentence in [
            f"Pour {year}, le coût prévisionnel du projet est évalué à "
            "20 000,00 €",
            "montant maximal de 30 000,00 €",
            f"Pour {year}, la tranche représente 50 % des dépenses",
            "À la notification de la tranche",
            f"Coût total {year}"]:
        assert sentence in content
    assert content.count(f"31 décembre {year + 2}") >= 2


@with_transaction()
def test_without_money():
    "A sponsorship without money goes all the way to its notification"
    road = Road()
    with road.system():
        scheme = road.create_scheme(
            code='PARR', kind='sponsorship',
            conditions=[('create', [{
                            'kind': 'eco', 'text': "Venir en train",
                            'evidence': "Billets"}])],
            convention_required=False, instalments=None,
            tariff_required=False)
    application = road.submit(road.create_application(
            amount=Decimal(0), scheme=scheme.id, call=None, envelope=None,
            total_cost=None, eligible_cost=None, budget_lines=None))
    road.press('claire', application, 'admit')
    road.write('claire', application, proposed_amount=Decimal(0))
    road.press('claire', application, 'review')
    convention = road.open_convention(application)
    assert (convention.kind, convention.form) == ('sponsorship', 'convention')
    road.agree(convention)
    deliberation = road.schedule(road.fresh(application))
    road.hold()
    road.vote(deliberation)
    road.make_executory(deliberation)
    convention = road.sign_and_notify(road.fresh(convention))
    assert convention.state == 'active'
    content = text(convention.document.data)
    check_language(content)
    assert "sans participation financière" in content
    for word in ["montant maximal", "€", "Total", "compte bancaire (compte"]:
        assert word not in content


@with_transaction()
def test_amounts():
    "The tables add up to the amount of the convention"
    road = Road()
    convention = to_voted(road, amount=Decimal('10000.01'))
    convention, document = issue(road, convention)
    found = tables(document.data)

    assert convention.amount == Decimal('10000.01')
    for name, column in [('Versements', 2), ('Échéancier', 2)]:
        rows = [r for r in found[name] if re.match(r'\d{4}', r[0])]
        assert len(rows) == 2
        assert sum(amount(r[column]) for r in rows) == convention.amount
    assert amount(found['Échéancier'][-1][1]) == convention.amount
    budget = found['Budget']
    total = next(r for r in budget if r[0] == 'Total des charges')
    rows = budget[1:budget.index(total)]
    assert amount(total[1]) == amount(total[3]) == Decimal('20000.02')
    for column in [1, 3]:
        assert sum(amount(r[column]) for r in rows) == amount(total[column])
    codes = [r[0] for r in found['Écoresponsabilité'][1:]]
    assert codes == ['E1']
    assert [r[0] for r in found['Tarifs'][1:]] == ['T1']
    assert found['Échéancier'][2][4] == 'E1, T1'


@with_transaction()
def test_public_partner():
    "A commune gets no articles that concern private bodies"
    road = Road()
    party = road.create_party(
        'commune', name="Commune fictive", republican_commitment_on=None,
        representative_capacity="Maire")
    convention, document = issue(road, to_voted(road, party=party))
    content = text(document.data)

    check_language(content)
    assert 'visé par son comptable public' in content
    for absent in [
            'républicain', '2001-495', '2000-321', 'compte rendu financier',
            'chambre régionale', 'association']:
        assert absent not in content.lower()


@with_transaction()
def test_letter():
    road = Road()
    convention, document = issue(road, to_letter(road))
    content = text(document.data)

    assert convention.form == document.kind == 'letter'
    check_language(content)
    for expected in [
            'Madame, Monsieur,', '800,00 € (huit cents euros)',
            '2026-CP-214', 'versement unique de 800,00 €',
            'soixante jours', 'tribunal administratif de Lille',
            'deux mois suivant sa notification']:
        assert expected in content


@with_transaction()
def test_draft():
    "Before the issue a draft is printed, marked as such; then the document"
    road = Road()
    _, convention = road.to_agreed()
    content = text(print_(road, convention))
    assert 'PROJET' in content
    assert 'None' not in content
    assert f'n° {MISSING} de l’assemblée compétente' in content
    with pytest.raises(CompletenessError, match='draft'):
        print_(road, convention, 'pdf')

    road.fresh(convention)
    convention = voted(road, road.fresh(convention).applications[0])
    convention, document = issue(road, convention)

    assert print_(road, convention) == document.data
    assert print_(road, convention, login='lea') == document.data
    with pytest.raises(AccessError):
        print_(road, convention, login='jean')
    with pytest.raises(CompletenessError, match='has no PDF'):
        print_(road, convention, 'pdf')


@with_transaction()
def test_sealed_survives_changes():
    "What is printed is the sealed file, whatever the partner became"
    road = Road()
    convention, document = issue(road, to_voted(road))
    data = document.data
    with road.system():
        Party = Pool().get('party.party')
        Party.write([convention.party], {'name': "Autre nom"})

    assert print_(road, convention) == data
    document = road.fresh(document)
    assert document.partner_name == "Association fictive 1"
    assert document.intact


@with_transaction()
def test_draft_with_nothing():
    "A draft of a convention about which nothing is known yet is printed"
    road = Road()
    party = road.create_party(
        addresses=None, representative_name=None, verified=False,
        representative_capacity=None)
    application = road.review(road.create_application(party=party))
    content = text(print_(road, road.open_convention(application)))
    assert 'None' not in content
    assert MISSING in content


@with_transaction()
def test_preflight():
    "Everything that the document needs is asked at once"
    road = Road()
    convention = to_voted(road)
    with road.system():
        pool = Pool()
        party = pool.get('party.party')(convention.party.id)
        pool.get('party.address').write(
            list(party.addresses), {'city': None})
        party.commune = None
        party.siret = None
        party.save()
        configuration = pool.get('grant.configuration')(1)
        configuration.signatory_name = None
        configuration.save()
    deliberation = convention.decisions[0].deliberation
    road.write('sophie', deliberation, act_number=None)

    with pytest.raises(CompletenessError) as error:
        road.press('claire', convention, 'issue')

    message = error.value.message
    for missing in [
            'address of the partner', 'SIRET of the partner',
            'commune of the partner', "Department's signatory",
            'no act number']:
        assert missing in message
    convention = road.fresh(convention)
    assert convention.state == 'agreed'
    assert not convention.documents


@with_transaction()
def test_sealed():
    "Nobody changes, copies or deletes a sealed document, not even the system"
    road = Road()
    convention, document = issue(road, to_voted(road))
    Document = Pool().get('grant.document')
    changes = [
        {'data': b'other'}, {'sha256': 'x'}, {'partner_name': "Autre"},
        {'state': 'superseded'}, {'version': 7}, {'pdf': b'pdf'},
        {'superseded_on': None},
        ]
    for values in changes:
        with road.system(), pytest.raises(FrozenError):
            Document.write([Document(document.id)], values)
        for login in ['claire', 'marc', 'alice']:
            with road.as_user(login), pytest.raises(UserError):
                Document.write([Document(document.id)], values)
    with road.system():
        with pytest.raises(FrozenError):
            Document.delete([Document(document.id)])
        with pytest.raises(FrozenError):
            Document.copy([Document(document.id)])
    for login in ['claire', 'marc', 'alice']:
        with road.as_user(login):
            with pytest.raises(UserError):
                Document.delete([Document(document.id)])
            with pytest.raises(UserError):
                Document.create([{
                            'convention': convention.id, 'version': 2}])
    document = road.fresh(document)
    assert document.state == 'sealed' and document.version == 1
    assert document.intact


@with_transaction()
def test_access():
    road = Road()
    _, document = issue(road, to_voted(road))
    Document = Pool().get('grant.document')
    for login in ['lea', 'claire', 'paul', 'sophie']:
        with road.as_user(login):
            assert Document.search([]) == [document]
            assert Document(document.id).partner_name
    with road.as_user('jean'), pytest.raises(AccessError):
        Document.search([])


@with_transaction()
def test_intact():
    "A file that was changed behind the system is seen"
    road = Road()
    _, document = issue(road, to_voted(road))
    assert document.sha256 == digest(document.data)
    assert document.intact

    table = document.__table__()
    cursor = Transaction().connection.cursor()
    cursor.execute(*table.update(
            [table.sha256], [digest(b'other')],
            where=table.id == document.id))
    assert not road.fresh(document).verify_seal()


@with_transaction()
def test_journal():
    road = Road()
    convention, document = issue(road, to_voted(road))
    events = Pool().get('grant.event').search([
            ('record', '=', str(convention)), ('name', '=', 'document')])
    assert len(events) == 1
    assert document.sha256 in events[0].after
    assert events[0].user == road.users['claire']


@with_transaction()
def test_recall():
    "A recalled document is superseded; the next one is another version"
    road = Road()
    convention, first = issue(road, to_voted(road))
    data = first.data
    road.write('claire', convention, ending_reason="Erreur de signataire")
    road.press('claire', convention, 'recall')

    convention, first = road.fresh(convention), road.fresh(first)
    assert convention.state == 'agreed'
    assert convention.document is None
    assert first.state == 'superseded'
    assert first.superseded_by == road.users['claire']
    assert first.superseded_on
    assert first.data == data and first.intact
    assert 'PROJET' in text(print_(road, convention))

    road.write('claire', convention, signatory_name="Dominique Modèle")
    convention, second = issue(road, convention)

    assert (second.version, second.state) == (2, 'sealed')
    assert second.partner_signatory.startswith('Dominique Modèle')
    assert 'Dominique Modèle' in text(second.data)
    assert [d.version for d in convention.documents] == [2, 1]
    assert convention.document == second
    with road.system(), pytest.raises(FrozenError):
        first.__class__.write([first], {'state': 'sealed'})


@pytest.mark.skipif(
    not shutil.which('soffice'), reason="LibreOffice is not installed")
@with_transaction()
def test_pdf():
    config.set('report', 'convert_command', CONVERT)
    road = Road()
    convention, document = issue(road, to_voted(road))

    assert document.pdf_status == 'made' and not document.pdf_note
    assert document.pdf.startswith(b'%PDF')
    assert document.pdf_sha256 == digest(document.pdf)
    assert document.intact
    assert print_(road, convention, 'pdf') == document.pdf
    assert not convention.on_change_notify()
    table = document.__table__()
    cursor = Transaction().connection.cursor()
    cursor.execute(*table.update(
            [table.pdf_sha256], [digest(b'other')],
            where=table.id == document.id))
    assert not road.fresh(document).intact


@pytest.mark.skipif(
    not shutil.which('soffice'), reason="LibreOffice is not installed")
@with_transaction()
def test_pdf_together():
    "Documents issued together are converted in one go, each to its own PDF"
    road = Road()
    applications = [road.to_agreed()[0] for _ in range(2)]
    deliberation = road.create_deliberation()
    for application in applications:
        road.schedule(application, deliberation)
    road.hold()
    road.vote(deliberation)
    road.write('sophie', deliberation, act_number='2026-CP-214')
    conventions = [road.fresh(a).convention for a in applications]
    config.set('report', 'convert_command', CONVERT)
    with patch.object(
            _ConventionReport, 'make_pdf',
            side_effect=AssertionError("converted alone")):
        road.press('claire', conventions, 'issue')

    documents = [road.fresh(c).documents[0] for c in conventions]
    assert [d.pdf_status for d in documents] == ['made', 'made']
    assert all(d.pdf.startswith(b'%PDF') and d.intact for d in documents)
    assert documents[0].pdf != documents[1].pdf


@pytest.mark.parametrize('command,status,note', [
        ('no-such-converter "%(input_path)s"', 'no_converter',
            'not installed'),
        ('false "%(input_path)s"', 'failed', 'did not manage'),
        ])
@with_transaction()
def test_no_pdf(command, status, note):
    "Without a PDF the document is issued and the user is told why"
    config.set('report', 'convert_command', command)
    road = Road()
    convention, document = issue(road, to_voted(road))

    assert document.pdf_status == status
    assert not document.pdf and not document.pdf_sha256
    assert note in document.pdf_note
    assert document.intact
    (kind, message), = convention.on_change_notify()
    assert kind == 'warning' and note in message
    with pytest.raises(CompletenessError) as error:
        print_(road, convention, 'pdf')
    assert note in error.value.description


@with_transaction()
def test_batch():
    "Several conventions are issued and printed at once"
    road = Road()
    first = to_voted(road, amount=Decimal(1000))
    with road.system():
        road.session = road.create_session()
    second = to_voted(road, amount=Decimal(2000))
    road.press('claire', [first, second], 'issue')
    numbers = {
        road.fresh(c).documents[0].filename for c in [first, second]}
    assert numbers == {
        f'{first.number}-v1.odt', f'{second.number}-v1.odt'}
