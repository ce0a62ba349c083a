# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The schemes that the text of the pact speaks of.

Rates, caps and schedules are those that such schemes have; they are not the
rules of the Département.
"""
from dataclasses import dataclass
from decimal import Decimal

from trytond.pool import Pool

ADVANCE_BALANCE = [('advance', '0.5', 0), ('balance', '0.5', 0)]
SEVENTY_THIRTY = [('advance', '0.7', 0), ('balance', '0.3', 0)]
WORKS = [('advance', '0.3', 0), ('interim', '0.5', 0), ('balance', '0.2', 0)]
SINGLE = [('single', '1', 0)]
# A fixed amount first, whatever the grant; the balance takes the rest.
FIXED_ADVANCE = [('advance', None, 0, '3000'), ('balance', '1', 0)]

ASSOCIATION = ['association']
PUBLIC = ['commune', 'epci']
EVERY_BODY = ['association', 'commune', 'epci', 'local_public']

PROJECT = [('project', None, None), ('statutes', None, ASSOCIATION),
    ('board', None, ASSOCIATION), ('accounts', None, ASSOCIATION)]
OPERATING = PROJECT + [
    ('activity_report', "Rapport d’activité du dernier exercice", None)]
WORKS_PIECES = [
    ('deliberation', "Délibération sollicitant l’aide départementale",
        PUBLIC),
    ('project', "Avant-projet et devis estimatif", None),
    ('cofunding', "Plan de financement et arrêtés de cofinancement", None),
    ('running_costs', "Fiche de coûts de fonctionnement sur cinq ans", None)]
SMALL = [('project', "Descriptif du projet", None)]

@dataclass(frozen=True)
class Condition:
    kind: str
    text: str
    evidence: str
    blocks: tuple = ('balance',)
    delay: int = 0
    penalty: str = None
    minimum: str = None
    maximum: str = None


ECO_EVENT = Condition(
    'eco',
    "Organiser la manifestation en « organisateur écoresponsable » : "
    "vaisselle réutilisable, tri des déchets, incitation au covoiturage et "
    "aux transports collectifs.",
    "Bilan écoresponsable de l’édition (déchets, déplacements)",
    delay=30, penalty='0.10', minimum='5000')
ECO_SMALL_EVENT = Condition(
    'eco',
    "Supprimer la vaisselle jetable et trier les déchets de la "
    "manifestation.",
    "Attestation de l’organisateur", delay=30, maximum='5000')
ECO_YEAR = Condition(
    'eco',
    "Établir et tenir un plan de sobriété : énergie, achats, déplacements "
    "des équipes et des publics.",
    "Plan de sobriété et état d’avancement", penalty='0.10')
ECO_WORKS = Condition(
    'eco',
    "Réaliser les travaux avec des matériaux locaux ou biosourcés, gérer "
    "les eaux pluviales à la parcelle et végétaliser les abords.",
    "Attestation du maître d’œuvre et photographies", penalty='0.10')
ECO_SMALL = Condition(
    'eco',
    "Limiter l’empreinte du projet : déplacements partagés, matériel "
    "réemployé, aucun objet à usage unique.",
    "Attestation du porteur", delay=15)
TARIFF_SHOW = Condition(
    'tariff',
    "Proposer un tarif réduit d’au moins 50 % aux moins de 26 ans et aux "
    "bénéficiaires de minima sociaux, et un tarif plein plafonné à 15 €.",
    "Grille tarifaire et états de billetterie", delay=30, penalty='0.15')
TARIFF_SCHOOL = Condition(
    'tariff',
    "Appliquer une grille tarifaire selon le quotient familial, le tarif le "
    "plus bas ne dépassant pas 60 € par an.",
    "Délibération fixant les tarifs et effectifs par tranche",
    penalty='0.15')
TARIFF_FACILITY = Condition(
    'tariff',
    "Ouvrir l’équipement gratuitement aux collèges et laisser au moins dix "
    "heures hebdomadaires de libre accès.",
    "Planning d’occupation et règlement d’utilisation", penalty='0.10')
TARIFF_CLUB = Condition(
    'tariff',
    "Maintenir une licence à tarif réduit pour les jeunes du territoire et "
    "les familles aux revenus modestes.",
    "Grille des cotisations de la saison", penalty='0.10')
TARIFF_STAY = Condition(
    'tariff',
    "Moduler les cotisations et les tarifs de séjour selon le quotient "
    "familial.",
    "Grille tarifaire de l’année", penalty='0.10')
EQUALITY = Condition(
    'equality',
    "Présenter une programmation et des instances qui tendent à la parité "
    "entre les femmes et les hommes.",
    "État comparé de la programmation et des instances", delay=30,
    minimum='10000')
DISABILITY = Condition(
    'disability',
    "Accueillir les personnes en situation de handicap : accessibilité des "
    "lieux, médiation adaptée, tarif accompagnant.",
    "Note sur l’accueil des publics", delay=30, minimum='20000')
CITIZEN = Condition(
    'youth',
    "Mener au moins deux actions citoyennes par an auprès des collégiens du "
    "territoire.",
    "Attestations des collèges", penalty='0.10')
MEETING = Condition(
    'youth',
    "Rencontrer une classe de collégiens et participer à un temps fort "
    "départemental dans l’année.",
    "Attestation de l’établissement d’accueil", penalty='0.20')
LOGO = Condition(
    'communication',
    "Faire mention du soutien du Département sur les supports de "
    "communication.",
    "Exemplaires des supports", blocks=('interim',))
OPENING = Condition(
    'other',
    "Ouvrir l’édifice au public au moins vingt jours par an et participer "
    "aux Journées européennes du patrimoine.",
    "Calendrier d’ouverture", delay=60)


@dataclass(frozen=True)
class Scheme:
    name: str
    service: str
    domain: str
    kind: str
    level: str
    envelope: str
    orientations: tuple
    partner_kinds: tuple
    pieces: list
    instalments: list
    conditions: list
    description: str
    rate: str = None
    cap: str = None
    minimum_cost: str = None
    convention: bool = False
    tariff: bool = False
    call: bool = False


SCHEMES = {
    'FEST': Scheme(
        "Festivals et temps forts culturels", 'CULT', 'culture', 'project',
        'standard', '933-311', ('A03-03', 'A08-05', 'A09-04'),
        ('association', 'commune', 'epci'), PROJECT, SEVENTY_THIRTY,
        [ECO_EVENT, ECO_SMALL_EVENT, TARIFF_SHOW, EQUALITY, DISABILITY],
        "Soutenir les festivals professionnels qui irriguent un territoire, "
        "avec des tarifs attractifs et une organisation écoresponsable.",
        rate='0.3', cap='30000', minimum_cost='10000', convention=True,
        tariff=True, call=True),
    'PCT': Scheme(
        "Projets culturels de territoire", 'CULT', 'culture', 'project',
        'standard', '933-311', ('A03-02', 'A09-04', 'A04-02'),
        ('association', 'commune', 'epci'), PROJECT, ADVANCE_BALANCE,
        [ECO_EVENT, ECO_SMALL_EVENT, TARIFF_SHOW, EQUALITY],
        "Accompagner la création, la diffusion et l’action culturelle "
        "construites avec les habitants.",
        rate='0.5', cap='15000', tariff=True),
    'CCI': Scheme(
        "Contrats culture intercommunaux", 'CULT', 'culture', 'operating',
        'full', 'AE-CCI', ('A10-03', 'A03-03', 'A10-02'), ('epci',),
        [('deliberation', "Délibération du conseil communautaire", None),
            ('project', "Projet culturel de territoire", None),
            ('running_costs', "Budget pluriannuel du contrat", None)],
        [('advance', '0.6', 0), ('balance', '0.4', 0)],
        [ECO_YEAR, TARIFF_SHOW, EQUALITY, DISABILITY],
        "Globaliser sur plusieurs années les objectifs et les moyens de la "
        "politique culturelle d’une intercommunalité.",
        rate='0.5', cap='150000', convention=True, tariff=True),
    'SDEPA': Scheme(
        "Schéma départemental des enseignements et pratiques artistiques",
        'CULT', 'culture', 'operating', 'standard', '933-311',
        ('A10-02', 'A03-05', 'A04-04'),
        ('commune', 'epci', 'association'), OPERATING, ADVANCE_BALANCE,
        [ECO_YEAR, TARIFF_SCHOOL, DISABILITY],
        "Soutenir les écoles de musique, de danse et de théâtre qui "
        "rendent l’enseignement artistique accessible et de qualité.",
        rate='0.2', cap='40000', convention=True, tariff=True, call=True),
    'LECT': Scheme(
        "Lecture publique : médiathèques et bibliothèques", 'CULT',
        'culture', 'project', 'light', '933-313',
        ('A05-05', 'A04-04', 'A07-02'), ('commune', 'epci'),
        [('deliberation', "Délibération du maître d’ouvrage", None),
            ('project', "Projet d’établissement ou d’animation", None)],
        SINGLE, [ECO_SMALL],
        "Aider les bibliothèques de proximité à se réaménager, à enrichir "
        "leurs fonds et à prévenir l’illettrisme.",
        rate='0.4', cap='12000'),
    'PATR': Scheme(
        "Restauration et valorisation du patrimoine", 'CULT', 'culture',
        'investment', 'full', 'AP-PATR', ('A04-01', 'A04-03'),
        ('commune', 'epci', 'association'), WORKS_PIECES, WORKS,
        [ECO_WORKS, LOGO, OPENING],
        "Restaurer le patrimoine protégé ou remarquable pour que les "
        "habitants s’approprient leur histoire.",
        rate='0.3', cap='100000', minimum_cost='10000', convention=True),
    'RESI': Scheme(
        "Résidences d’artistes dans les collèges", 'CULT', 'culture',
        'project', 'standard', '933-311', ('A06-03', 'A03-02', 'A03-05'),
        ('association', 'college'), PROJECT, ADVANCE_BALANCE,
        [ECO_SMALL, CITIZEN],
        "Accueillir un artiste plusieurs mois dans un collège pour une "
        "création partagée avec les élèves.",
        cap='12000', convention=True, call=True),
    'MEMO': Scheme(
        "Actions mémorielles et histoire locale", 'CULT', 'culture',
        'project', 'light', '933-312', ('A05-01', 'A08-04'),
        ('association', 'commune', 'epci'), SMALL, SINGLE, [],
        "Collecter, conserver et transmettre la mémoire de celles et ceux "
        "qui ont fait le Pas-de-Calais.",
        rate='0.5', cap='5000'),
    'OVC': Scheme(
        "Ouvrez votre club", 'SPORT', 'sport', 'project', 'light',
        '933-326', ('A05-03', 'A07-04', 'A03-04'), ('association',),
        SMALL, SINGLE, [],
        "Favoriser la pratique sportive des personnes qui en sont le plus "
        "éloignées.",
        rate='0.5', cap='2000'),
    'CLUB': Scheme(
        "Clubs structurants et d’excellence départementale", 'SPORT',
        'sport', 'operating', 'full', '933-326',
        ('A06-05', 'A03-04', 'A05-02'), ('association',), OPERATING,
        SEVENTY_THIRTY, [ECO_YEAR, TARIFF_CLUB, CITIZEN, EQUALITY],
        "Accompagner les clubs qui structurent la pratique d’un territoire "
        "et mènent des actions citoyennes.",
        rate='0.25', cap='60000', convention=True, tariff=True, call=True),
    'PARR': Scheme(
        "Parrainage des sportives et sportifs de haut niveau", 'SPORT',
        'sport', 'sponsorship', 'light', '933-327', ('A06-05', 'A10-04'),
        ('individual',),
        [('project', "Projet sportif de la saison", None),
            ('other', "Attestation d’inscription sur liste ministérielle",
                None)],
        FIXED_ADVANCE, [ECO_SMALL, MEETING],
        "Soutenir les membres de l’équipe olympique et paralympique du "
        "Pas-de-Calais, qui vont à la rencontre des collégiens.",
        cap='5000', convention=True),
    'SNAT': Scheme(
        "Sports de nature au service du développement durable", 'SPORT',
        'sport', 'project', 'light', '933-SNAT', ('A10-05', 'A08-05'),
        ('association', 'commune', 'epci'), SMALL, SINGLE, [],
        "Appel à projets : un projet par an et par porteur, sur des espaces, "
        "sites et itinéraires de pratique.",
        rate='0.3', cap='1000', call=True),
    'EQSP': Scheme(
        "Équipements sportifs de proximité", 'SPORT', 'sport', 'investment',
        'full', 'AP-EQSP', ('A04-04', 'A04-03', 'A03-04'),
        ('commune', 'epci'), WORKS_PIECES, WORKS,
        [ECO_WORKS, TARIFF_FACILITY, LOGO],
        "Créer ou rénover des équipements ouverts à plusieurs pratiques, en "
        "priorité dans les zones les moins bien dotées.",
        rate='0.3', cap='200000', minimum_cost='15000', convention=True,
        tariff=True),
    'EVTS': Scheme(
        "Manifestations sportives", 'SPORT', 'sport', 'project', 'standard',
        '933-326', ('A10-04', 'A08-05'), ('association', 'commune'),
        PROJECT, SEVENTY_THIRTY, [ECO_EVENT, ECO_SMALL_EVENT, DISABILITY],
        "Soutenir les événements sportifs d’intérêt départemental qui "
        "associent la population et les collégiens.",
        rate='0.3', cap='15000'),
    'NAGE': Scheme(
        "Savoir nager : apprentissage de la natation des collégiens",
        'SPORT', 'sport', 'project', 'standard', '933-326', ('A03-01',),
        ('commune', 'epci', 'association'),
        [('project', "Planning des créneaux et effectifs", None),
            ('deliberation', "Délibération du gestionnaire", PUBLIC)],
        ADVANCE_BALANCE, [ECO_YEAR, TARIFF_FACILITY],
        "Prendre en charge l’encadrement et les créneaux des collégiens qui "
        "ne savent pas nager à l’entrée en sixième.",
        rate='0.6', cap='30000', convention=True, tariff=True),
    'PEDU': Scheme(
        "Projets éducatifs des collèges", 'EDUC', 'education', 'project',
        'light', '932-221', ('A06-04', 'A08-02', 'A08-03'), ('college',),
        SMALL, SINGLE, [],
        "Accompagner les projets des équipes éducatives : citoyenneté, "
        "développement durable, éducation aux médias, ouverture au monde.",
        rate='0.8', cap='1500', call=True),
    'ASCO': Scheme(
        "Associations sportives des collèges et handicap", 'EDUC',
        'education', 'project', 'light', '932-221', ('A02-04', 'A05-03'),
        ('association',), SMALL, SINGLE, [],
        "Aider les associations sportives des collèges à accueillir des "
        "élèves en situation de handicap.",
        rate='0.8', cap='1200'),
    'JINI': Scheme(
        "Initiatives de jeunes", 'JEUN', 'youth', 'project', 'light',
        '933-INIT', ('A06-01', 'A08-01', 'A01-01'),
        ('association', 'individual'), SMALL, SINGLE, [],
        "Donner aux jeunes de 16 à 25 ans les moyens de réaliser un projet "
        "collectif et citoyen.",
        rate='0.7', cap='3000'),
    'EPOP': Scheme(
        "Jeunesse et éducation populaire : fonctionnement", 'JEUN', 'youth',
        'operating', 'full', '933-338', ('A10-01', 'A07-02', 'A01-04'),
        ('association',), OPERATING, SEVENTY_THIRTY,
        [ECO_YEAR, TARIFF_STAY, EQUALITY],
        "Soutenir l’activité annuelle des mouvements de jeunesse et "
        "d’éducation populaire qui rayonnent sur un territoire.",
        rate='0.3', cap='50000', convention=True, tariff=True, call=True),
    }


def _decimal(text):
    return None if text is None else Decimal(text)


def create_schemes(office):
    "Create the schemes as the head of service."
    orientations = {
        o.code: o.id for o in Pool().get('grant.orientation').search([])}
    records = {}
    for code, scheme in SCHEMES.items():
        records[code] = office.create('marc', 'grant.scheme', {
                'company': office.company.id,
                'service': office.services[scheme.service].id,
                'code': code,
                'name': scheme.name,
                'description': scheme.description,
                'domain': scheme.domain,
                'kind': scheme.kind,
                'level': scheme.level,
                'partner_kinds': list(scheme.partner_kinds),
                'convention_required': scheme.convention,
                'tariff_required': scheme.tariff,
                'maximum_rate': _decimal(scheme.rate),
                'maximum_amount': _decimal(scheme.cap),
                'minimum_cost': _decimal(scheme.minimum_cost),
                'orientations': [('add', [
                            orientations[o] for o in scheme.orientations])],
                'pieces': [('create', [{
                                'sequence': rank,
                                'kind': kind,
                                'name': name,
                                'required': True,
                                'partner_kinds': kinds or [],
                                } for rank, (kind, name, kinds)
                            in enumerate(scheme.pieces, 1)])],
                'conditions': [('create', [{
                                'sequence': rank,
                                'kind': condition.kind,
                                'text': condition.text,
                                'evidence': condition.evidence,
                                'blocks': list(condition.blocks),
                                'delay': condition.delay,
                                'penalty_rate': _decimal(condition.penalty),
                                'minimum_amount': _decimal(
                                    condition.minimum),
                                'maximum_amount': _decimal(
                                    condition.maximum),
                                } for rank, condition
                            in enumerate(scheme.conditions, 1)])],
                'instalments': [('create', [{
                                'sequence': rank,
                                'kind': kind,
                                'share': _decimal(share),
                                'amount': _decimal(*amount or [None]),
                                'delay': delay,
                                } for rank, (kind, share, delay, *amount)
                            in enumerate(scheme.instalments, 1)])],
                })
    return records
