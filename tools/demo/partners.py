# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The partners: real communes and EPCI, everything else invented.

The persons who represent them are invented as well.
"""
import datetime as dt

from trytond.pool import Pool

from . import numbers
from .users import country

# code: (name, commune, street, representative, capacity)
ASSOCIATIONS = {
    'lucioles': ("Les Lucioles du Terril", '62528', "4 rue du Chevalement",
        "Anaïs Morvillez", "Présidente"),
    'marees': ("La Fabrique des Marées", '62318', "21 quai des Mareyeurs",
        "Tanguy Lefloric", "Président"),
    'roseliere': ("Compagnie La Roselière", '62225',
        "8 route des Watergangs", "Irène Baudecroux", "Présidente"),
    'veillees': ("Les Veillées du Ternois", '62767', "3 place des Conteurs",
        "Gaspard Thellierot", "Président"),
    'clochers': ("Harmonie des Sept Clochers", '62447',
        "11 rue des Musiciens", "Odile Carpentray", "Présidente"),
    'phare': ("Le Phare des Images", '62160', "35 rue du Vieux Bassin",
        "Samir Ouldache", "Président"),
    'fosses': ("Cercle de mémoire des Fosses Oubliées", '62178',
        "17 rue de la Lampisterie", "Raymond Wozniakot", "Président"),
    'craie': ("Atelier de la Craie Vive", '62041', "9 rue des Boves Hautes",
        "Hélène Desmarchy", "Présidente"),
    'dune': ("Collectif Dune et Danse", '62108', "2 allée des Oyats",
        "Lucie Varenghe", "Présidente"),
    'ecluses': ("Cercle nautique des Trois Écluses", '62014',
        "Chemin du Halage", "Étienne Pouillaudet", "Président"),
    'handball': ("Handball club des Grands Vents", '62193',
        "50 rue de la Digue Royale", "Nathalie Coquerelle", "Présidente"),
    'basket': ("Étoile basket des Collines", '62119',
        "6 rue du Préau", "Yannick Dubrœucq", "Président"),
    'velo': ("Vélo-club des Monts d’Opale", '62268',
        "14 rue des Faïenciers", "Gérard Lamouret", "Président"),
    'sentiers': ("Les Sentiers du Vieux Moulin", '62325',
        "1 rue de la Meunerie", "Brigitte Haudiquez", "Présidente"),
    'grimpeurs': ("Les Grimpeurs du Terril Jumeau", '62510',
        "27 rue des Galibots", "Kévin Szymanskot", "Président"),
    'judo': ("Judo club du Marais Tournant", '62057', "5 rue du Kodokan",
        "Sandrine Fasquelin", "Présidente"),
    'voiles': ("Les Voiles du Cap Bleu", '62899', "12 rue de la Crevasse",
        "Thibault Marmin", "Président"),
    'athle': ("Athlétic club de la Plaine Haute", '62080',
        "3 avenue du Stade", "Aurélie Boitrel", "Présidente"),
    'foot': ("Football club féminin des Deux Rivières", '62447',
        "Chemin de la Ternoise", "Mélanie Grébaut", "Présidente"),
    'passerelle': ("La Passerelle des Possibles", '62498',
        "70 rue de la Grande Résidence", "Farida Amrouchel", "Présidente"),
    'lucarne': ("Maison des jeunes La Grande Lucarne", '62215',
        "15 rue du Beffroi", "Jérôme Plancquel", "Président"),
    'foyers': ("Fédération des Foyers de la Haute Lys", '62364',
        "2 rue de l’Ancienne Gare", "Monique Delbarreau", "Présidente"),
    'ondes': ("Ondes Jeunes d’Opale", '62560', "9 rue du Marbre",
        "Quentin Roussellet", "Président"),
    'semeurs': ("Les Semeurs de la Scarpe", '62865',
        "4 chemin des Maraîchers", "Pauline Hautecloquet", "Présidente"),
    'as_tilleuls': ("Association sportive du collège des Trois Tilleuls",
        '62048', "Rue des Trois Tilleuls", "Vincent Macquerel",
        "Président"),
    'orgues': ("Les Amis des Orgues du Haut Pays", '62463',
        "1 place de l’Église", "Bernadette Fayollet", "Présidente"),
    }
COLLEGES = {
    'herons': ("Collège du Gué-aux-Hérons", '62548', "Rue des Aigrettes",
        "Christelle Bonnaillie", "Principale"),
    'tilleuls': ("Collège des Trois Tilleuls", '62048',
        "Rue des Trois Tilleuls", "Arnaud Sénéchault", "Principal"),
    'motte': ("Collège de la Motte-Fleurie", '62065',
        "Avenue des Cités-Jardins", "Valérie Descampiaux", "Principale"),
    'saules': ("Collège du Val des Saules", '62534', "Route du Moulin",
        "Olivier Quenehenne", "Principal"),
    }
INDIVIDUALS = {
    'ines': ("Inès Calonnet", '62119', "8 rue des Capucines"),
    'mathis': ("Mathis Derenoncœur", '62014', "31 rue du Bourg"),
    'awa': ("Awa Lestiennot", '62193', "5 rue des Dentelles"),
    'nolan': ("Nolan Brismail", '62498', "12 rue des Berceaux"),
    }
# code: (commune, representative)
COMMUNES = {
    'noyelles': ('62628', "Camille Aubrevert"),
    'arques': ('62040', "Dominique Faudrel"),
    'desvres': ('62268', "Claude Montaubry"),
    'saint_venant': ('62770', "Maxime Lestanville"),
    'frevent': ('62361', "Sacha Brimeroy"),
    'wimereux': ('62893', "Andréa Coulonval"),
    'bapaume': ('62080', "Morgan Haudrechy"),
    'oye_plage': ('62645', "Lou Vermandin"),
    'auxi': ('62060', "Alix Tournebray"),
    'avesnes': ('62063', "Charlie Dampvalle"),
    'houdain': ('62457', "Noa Quincheval"),
    'rouvroy': ('62724', "Eden Wirbermont"),
    'therouanne': ('62811', "Yaël Pontembourg"),
    'licques': ('62506', "Ange Créquimont"),
    'heuchin': ('62451', "Swan Blangerois"),
    'courrieres': ('62250', "Louison Herbelmont"),
    }
# code: (SIREN, seat, name as it is written in full, representative)
EPCIS = {
    'epci_ternois': ('200069672', '62767',
        "Communauté de communes du Ternois",
        "Maé Ransartois"),
    'epci_7vallees': ('200044030', '62447',
        "Communauté de communes des 7 Vallées",
        "Gaël Thièvremont"),
    'epci_sud_artois': ('200035442', '62080',
        "Communauté de communes du Sud-Artois",
        "Aubin Sarrecourt"),
    'epci_lumbres': ('246201016', '62534',
        "Communauté de communes du Pays de Lumbres",
        "Élie Wavransart"),
    'epci_boulonnais': ('246200729', '62160',
        "Communauté d’agglomération du Boulonnais",
        "Joris Neufvillers"),
    'epci_audruicq': ('246200844', '62057',
        "Communauté de communes de la Région d’Audruicq",
        "Prune Ruminghart"),
    'epci_henin': ('246200299', '62427',
        "Communauté d’agglomération d’Hénin-Carvin",
        "Ismaël Drocourtois"),
    'epci_artois': ('200069482', '62063',
        "Communauté de communes des Campagnes de l’Artois",
        "Solène Avelinghem"),
    }
# The communes whose accounts are kept by the same public accountant
SHARED_ACCOUNT = ['frevent', 'auxi', 'heuchin', 'epci_ternois']
# No verified account: entered only, or nothing yet
UNVERIFIED = ['nolan']
NO_ACCOUNT = ['orgues', 'ondes']
# (kind, years of validity): the permanent pieces of the associations
PIECES = [('statutes', None), ('board', 2), ('accounts', 1)]
WITHOUT_PIECES = ['ondes', 'semeurs', 'orgues']


def create_partners(office, calendar, date):
    """Create the partners as the officer who receives them, the day of
    their first application; finance verifies their accounts."""
    parties = {}
    communes = {
        c.code: c for c in Pool().get('grant.commune').search([])}
    france = country()

    def add(code, name, kind, commune, street, representative, capacity,
            **values):
        parties[code] = {
            'name': name,
            'partner_kind': kind,
            'commune': commune.id,
            'representative_name': representative,
            'representative_capacity': capacity,
            'addresses': [('create', [{
                            'street': street,
                            'postal_code': (
                                commune.postal_codes.split(';')[0].strip()),
                            'city': commune.name,
                            'country': france.id,
                            }])],
            **values}

    since = date - dt.timedelta(days=200)
    for rank, (code, (name, commune, *rest)) in enumerate(
            ASSOCIATIONS.items(), 1):
        add(code, name, 'association', communes[commune], *rest,
            siret=numbers.siret(numbers.siren(10000 + rank)),
            rna=numbers.rna(rank),
            representative_since=since - dt.timedelta(days=47 * rank),
            republican_commitment_on=since - dt.timedelta(days=11 * rank))
    for rank, (code, (name, commune, *rest)) in enumerate(
            COLLEGES.items(), 1):
        add(code, name, 'college', communes[commune], *rest,
            siret=numbers.siret(numbers.siren(20000 + rank)),
            uai=numbers.uai(rank))
    for code, (name, commune, street) in INDIVIDUALS.items():
        add(code, name, 'individual', communes[commune], street,
            name, "En son nom propre")
    for code, (commune, representative) in COMMUNES.items():
        commune = communes[commune]
        add(code, _of_commune(commune.name), 'commune', commune,
            "Hôtel de ville", representative, "Maire",
            siret=numbers.siret(commune.siren))
    for code, (siren, seat, name, representative) in EPCIS.items():
        add(code, name, 'epci', communes[seat], "Hôtel communautaire",
            representative,
            "Présidente" if code == 'epci_audruicq' else "Président",
            siret=numbers.siret(siren))
    with office.user('claire'):
        records = Pool().get('party.party').create(list(parties.values()))
    parties = {
        code: office.fresh(record)
        for code, record in zip(parties, records, strict=True)}
    _create_pieces(office, parties, calendar, date)
    _create_accounts(office, parties)
    return parties


def _of_commune(name):
    if name[0] in 'AEÉIOUHY' and not name.startswith(('Ha', 'Ho')):
        return f"Commune d’{name}"
    return f"Commune de {name}"


def _create_pieces(office, parties, calendar, date):
    Piece = Pool().get('grant.partner.piece')
    vlist = []
    for rank, code in enumerate(ASSOCIATIONS):
        if code in WITHOUT_PIECES:
            continue
        for kind, years in PIECES:
            received = date - dt.timedelta(days=3 * rank)
            valid = None
            if years:
                # The accounts of a few have expired.
                valid = calendar.today + dt.timedelta(
                    days=-20 if rank % 7 == 3 and kind == 'accounts'
                    else 150 * years)
            vlist.append({
                    'party': parties[code].id,
                    'kind': kind,
                    'received_on': received,
                    'valid_until': valid,
                    })
    with office.user('claire'):
        Piece.create(vlist)


def _create_accounts(office, parties):
    Link = Pool().get('bank.account-party.party')
    accounts = {}
    for rank, (code, party) in enumerate(parties.items(), 1):
        if code in NO_ACCOUNT:
            continue
        public = party.partner_kind in {'commune', 'epci', 'college'}
        if code in SHARED_ACCOUNT:
            number = numbers.iban(1, bank='99000')
        else:
            number = numbers.iban(
                7919 * rank, bank='99000' if public else '99001')
        accounts[code] = {
            'owner': party.id,
            'iban': number,
            'holder': (
                "Service de gestion comptable" if public else party.name),
            'public_accountant': party.partner_kind in {'commune', 'epci'},
            }
    with office.user('claire'):
        links = Link.create(list(accounts.values()))
    office.press('paul', [
            link for code, link in zip(accounts, links, strict=True)
            if code not in UNVERIFIED], 'verify')
