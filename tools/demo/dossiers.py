# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""The dossiers of the demonstration and how far each has gone.

``until`` is the last step of the dossier: one of STEPS, or one of ENDINGS.
``sessions`` are the sessions to which it goes (dates.py); the others have
none.  ``pay`` says how far each instalment has gone, in the order of the
schedule: certified, half (the first of two approvals), approved, paying,
suspended (by the payer), mixed (contradictory answers), paid, rejected,
returned, cancelled.  Amounts are whole euros.
"""
from dataclasses import dataclass, field

# The steps that a dossier takes, in order
STEPS = [
    'draft', 'submit', 'admit', 'review', 'open', 'negotiate', 'agree',
    'schedule', 'vote', 'confirm', 'issue', 'sign_partner',
    'sign_department', 'notify', 'closing', 'closed']
# Where the others end
ENDINGS = [
    'incomplete', 'ineligible', 'withdrawn', 'refused', 'deferred',
    'appeal', 'renounced', 'lapsed', 'terminated', 'convention_renounced']


@dataclass
class Dossier:
    scheme: str
    party: str
    title: str
    text: str
    cost: int
    ask: int
    until: str
    propose: int = 0
    sessions: tuple = ()
    # Days before today, for those that have no session
    received: int = None
    commune: str = None
    channel: str = 'online'
    # What the assembly decides otherwise than proposed, session by session
    votes: dict = field(default_factory=dict)
    motive: str = None
    reason: str = None
    # Asked for pieces before it was admitted
    asked: bool = False
    # The pieces have all come in, or not
    complete: bool = True
    gap: int = 0
    in_kind: int = 0
    late: bool = False
    kind: str = None
    # The years of its convention; the second is lived too
    years: int = 1
    later: bool = False
    pay: tuple = ()
    # state by kind of condition, 'met' where a payment waits for it
    conditions: dict = field(default_factory=dict)
    pay_reason: str = None
    # The first instalment is paid so many days after today
    pay_in: int = None
    numbered: bool = True
    recalled: bool = False
    # What was measured at the end, as a share of the way to the target
    measured: float = None
    # What was spent of the budget, where it is less
    spent: float = None
    days: int = 100


DOSSIERS = [
    # The session of the year before
    Dossier('FEST', 'lucioles', "Les Nuits du Terril, 8e édition",
        "Trois soirées de musiques actuelles et de récits au pied des "
        "terrils jumeaux, préparées avec les habitants des cités minières.",
        92000, 26000, 'closed', 24000, ('S1',), in_kind=14000,
        pay=('paid', 'paid'), measured=1.05),
    Dossier('CLUB', 'ecluses', "Saison sportive du club d’aviron",
        "Fonctionnement du club, encadrement des sections jeunes et actions "
        "avec les collèges d’Aire-sur-la-Lys.",
        168000, 40000, 'closed', 38000, ('S1',), in_kind=22000,
        pay=('paid', 'paid'), measured=0.9, days=270),
    Dossier('SDEPA', 'arques', "École municipale de musique d’Arques",
        "Enseignement musical, pratiques d’ensemble et interventions dans "
        "les écoles de la commune.",
        186000, 36000, 'closed', 34000, ('S1',), pay=('paid', 'paid'),
        measured=1.0, days=280),
    Dossier('PATR', 'saint_venant',
        "Restauration du clocher de l’église Saint-Venant",
        "Reprise de la charpente et de la flèche, restauration des "
        "abat-sons et mise en valeur du beffroi de charpente.",
        268000, 80000, 'notify', 78000, ('S1',),
        pay=('paid', 'paid'), days=420, channel='paper',
        conditions={'eco': 'submitted', 'other': 'pending'}),
    Dossier('EPOP', 'foyers', "Activité annuelle de la fédération",
        "Animation du réseau des foyers ruraux, formation des bénévoles et "
        "accueil de loisirs itinérant.",
        142000, 42000, 'terminated', 40000, ('S1',), in_kind=30000,
        pay=('paid',), days=300,
        reason="Cessation d’activité constatée par l’assemblée générale "
            "extraordinaire ; solde non dû, après échange avec le "
            "partenaire."),
    Dossier('SDEPA', 'dune', "École de danse itinérante",
        "Cours et ateliers de danse dans les villages de la côte qui n’ont "
        "pas d’école.",
        132000, 26000, 'notify', 26000, ('S1',), in_kind=12000, years=2,
        later=True, pay=('paid',)),
    Dossier('OVC', 'judo', "Des créneaux pour les habitants des foyers",
        "Ouverture d’un créneau hebdomadaire aux résidents d’un foyer de "
        "vie et formation de deux encadrants.",
        3600, 1800, 'closed', 1800, ('S1',), pay=('paid',)),
    # Its report never came
    Dossier('MEMO', 'fosses', "Paroles de fond",
        "Lectures publiques de lettres de mineurs.",
        5200, 2600, 'notify', 2600, ('S1',), pay=('paid',), days=40),
    Dossier('PEDU', 'tilleuls', "Un journal au collège",
        "Éducation aux médias : douze élèves de quatrième créent un journal "
        "imprimé et sonore.",
        1900, 1500, 'closed', 1500, ('S1',), pay=('paid',)),
    Dossier('EVTS', 'velo', "Grand prix cycliste des Monts d’Opale",
        "Épreuve régionale sur trois jours, avec une course ouverte aux "
        "collégiens et une randonnée familiale.",
        48000, 14000, 'closing', 12000, ('S1',), in_kind=9000,
        pay=('paid', 'cancelled'),
        pay_reason="Dernière étape annulée en raison des intempéries : le "
            "solde n’est pas dû, le partenaire en est d’accord."),

    Dossier('EQSP', 'noyelles', "Plateau multisport du quartier de la gare",
        "Création d’un plateau multisport éclairé et d’une aire de "
        "musculation en libre accès, face au collège.",
        420000, 126000, 'notify', 126000, ('S2',),
        pay=('paid', 'certified'), days=400,
        conditions={'communication': 'met', 'eco': 'pending'}),
    Dossier('FEST', 'veillees', "Les Veillées du Ternois, 15e édition",
        "Festival de contes dans douze granges et salles des fêtes, avec "
        "des veillées chez l’habitant.",
        58000, 17000, 'closing', 16000, ('S2',), in_kind=11000,
        pay=('paid',), measured=0.95,
        conditions={'eco': 'met', 'tariff': 'met', 'equality': 'met'}),
    Dossier('NAGE', 'epci_boulonnais',
        "Bassins ouverts aux collégiens non nageurs",
        "Stages massés et créneaux hebdomadaires encadrés pour les élèves "
        "de sixième de neuf collèges.",
        44000, 26000, 'closing', 25000, ('S2',), pay=('paid', 'paid'),
        spent=0.8,
        measured=1.0, days=180),
    Dossier('PARR', 'ines', "Préparation de la saison internationale",
        "Stages, déplacements et matériel d’une athlète du demi-fond "
        "inscrite sur liste ministérielle.",
        14500, 5000, 'closed', 5000, ('S2',), pay=('paid', 'paid'),
        measured=1.0, days=190),
    Dossier('LECT', 'frevent', "Réaménagement de l’espace jeunesse",
        "Mobilier, signalétique et fonds d’ouvrages faciles à lire pour "
        "l’espace jeunesse de la médiathèque.",
        26000, 10400, 'closed', 10400, ('S2',), pay=('paid',)),
    Dossier('JINI', 'lucarne', "Un été au vert",
        "Dix jeunes organisent leur séjour à vélo le long des canaux.",
        4200, 2500, 'renounced', 2500, ('S2',),
        reason="Le groupe de jeunes s’est dispersé ; le séjour n’aura pas "
            "lieu."),
    Dossier('PCT', 'roseliere', "Récits du marais",
        "Création théâtrale à partir de la parole des maraîchers et des "
        "faiseurs de bateaux de l’Audomarois.",
        28000, 12000, 'lapsed', 11000, ('S2',), in_kind=4000,
        reason="Notification restée sans suite malgré deux relances : la "
            "compagnie a reporté la création."),

    Dossier('CCI', 'epci_ternois',
        "Contrat culture du Ternois, première année",
        "Saison itinérante, éducation artistique et réseau des "
        "bibliothèques à l’échelle de l’intercommunalité.",
        310000, 120000, 'notify', 115000, ('S3',), kind='umbrella',
        pay=('paid',), days=330, conditions={
            'eco': 'submitted', 'tariff': 'pending', 'equality': 'met'}),
    Dossier('CLUB', 'handball', "Centre de formation et section féminine",
        "Saison du club, formation des jeunes arbitres et rencontres avec "
        "les collégiens du Calaisis.",
        236000, 58000, 'notify', 55000, ('S3',), in_kind=26000,
        pay=('paid',), conditions={
            'eco': 'met', 'tariff': 'met', 'equality': 'met',
            'youth': 'not_met'},
        reason="Une seule action menée auprès des collégiens au lieu de "
            "deux ; le club propose un rattrapage au printemps."),
    Dossier('EVTS', 'voiles', "Régate des Deux Caps",
        "Régate ouverte aux voiles légères et au char à voile, village "
        "associatif et baptêmes pour les familles.",
        64000, 15000, 'notify', 15000, ('S3',), in_kind=12000,
        pay=('paid',), conditions={'eco': 'waiver'},
        reason="La collecte des déchets était assurée par la commune, qui "
            "n’a pas de pesée propre à la manifestation."),
    Dossier('SDEPA', 'epci_lumbres',
        "École intercommunale de musique du Pays de Lumbres",
        "Enseignement sur quatre antennes, orchestre à l’école et "
        "instruments prêtés aux débutants.",
        228000, 40000, 'notify', 40000, ('S3',),
        pay=('paid', 'certified'), days=90, measured=1.1,
        conditions={'disability': 'waived'},
        reason="Deux antennes occupent des locaux provisoires qui ne sont "
            "pas accessibles : engagement reporté à l’an prochain."),
    Dossier('SNAT', 'sentiers', "Sentier pédagogique du moulin",
        "Balisage d’une boucle de cinq kilomètres et panneaux sur la "
        "rivière, réalisés avec les écoles.",
        3400, 1000, 'closed', 1000, ('S3',), pay=('paid',)),
    Dossier('OVC', 'basket', "Basket santé pour les plus de soixante ans",
        "Séances adaptées, en lien avec la maison de santé du quartier.",
        3900, 1900, 'notify', 1900, ('S3',), pay=('returned',),
        pay_reason="Virement retourné par la banque : compte clos."),
    Dossier('MEMO', 'fosses', "Mémoires de la reconstruction",
        "Exposition itinérante de photographies d’amateurs.",
        9800, 6500, 'refused', 4900, ('S3',), votes={'S3': 'refused'},
        reason="Projet proche d’une exposition des Archives "
            "départementales : le porteur est invité à s’y associer."),
    Dossier('PEDU', 'motte', "Jardin partagé et compost",
        "Un jardin cultivé par les éco-délégués et les cuisiniers du "
        "collège.",
        1700, 1300, 'closed', 1300, ('S3',), pay=('paid',)),
    Dossier('RESI', 'dune', "Corps et rivages : résidence de danse",
        "Une chorégraphe au collège pendant quatre mois ; restitution sur "
        "la plage avec deux classes.",
        19000, 12000, 'notify', 12000, ('S3',), in_kind=2500,
        pay=('paid', 'paid'), measured=1.0, days=80),

    Dossier('FEST', 'marees', "Marées hautes, festival de théâtre de rue",
        "Compagnies professionnelles sur les quais d’Étaples, ateliers "
        "avec les enfants de pêcheurs et parade d’ouverture.",
        105000, 30000, 'notify', 28000, ('S4',), in_kind=16000, days=60),
    Dossier('EQSP', 'courrieres', "Réhabilitation du gymnase communal",
        "Isolation, éclairage économe, vestiaires adaptés et mur "
        "d’escalade partagé avec le collège.",
        640000, 190000, 'notify', 185000, ('S4',), pay=('half',), days=420),
    Dossier('EPOP', 'passerelle', "Activité annuelle de l’association",
        "Accompagnement de projets de jeunes, ateliers d’éducation aux "
        "médias et point d’information jeunesse.",
        176000, 50000, 'notify', 48000, ('S4',), in_kind=34000,
        pay=('rejected',), days=150, years=3,
        pay_reason="RIB illisible dans le flux : titulaire différent du "
            "bénéficiaire."),
    Dossier('RESI', 'craie', "Graver la ville : résidence au collège",
        "Un plasticien graveur au collège de la Motte-Fleurie, avec un "
        "atelier ouvert aux parents.",
        17500, 11000, 'sign_partner', 11000, ('S4',), in_kind=1800,
        commune='62065'),
    Dossier('PARR', 'awa', "Saison de handball de haut niveau",
        "Préparation, soins et déplacements d’une joueuse en pôle France.",
        12000, 5000, 'notify', 4500, ('S4',), days=200,
        pay=('paid',), conditions={'eco': 'pending', 'youth': 'submitted'}),
    Dossier('PATR', 'therouanne', "Mise en valeur du site archéologique",
        "Consolidation des vestiges de la cathédrale, cheminement "
        "accessible et panneaux d’interprétation.",
        175000, 52000, 'notify', 52000, ('S4',), pay=('suspended',),
        pay_reason="Pièce absente : attestation de démarrage des travaux.",
        days=380, channel='paper'),
    Dossier('JINI', 'nolan', "Réparer plutôt que jeter",
        "Quatre jeunes du quartier montent un atelier mobile de réparation "
        "de vélos.",
        5200, 3000, 'notify', 3000, ('S4',)),
    Dossier('ASCO', 'as_tilleuls', "Boccia et sport partagé",
        "Achat de matériel de boccia et rencontres entre élèves valides et "
        "en situation de handicap.",
        1600, 1200, 'notify', 1200, ('S4',), pay=('certified',),
        channel='email'),
    Dossier('PCT', 'clochers', "Un orchestre pour la vallée",
        "Résidence d’un chef invité et concerts dans six églises de la "
        "vallée de la Canche.",
        26000, 12000, 'schedule', 11000, ('S4', 'S8'),
        votes={'S4': 'deferred'}, in_kind=6000,
        reason="Calendrier à préciser avec les communes d’accueil."),
    Dossier('LECT', 'epci_artois', "Bibliobus et facile à lire",
        "Équipement d’un véhicule et constitution d’un fonds itinérant "
        "pour trente communes sans bibliothèque.",
        29500, 11800, 'notify', 11800, ('S4',)),

    Dossier('CLUB', 'athle', "Saison sportive et école d’athlétisme",
        "Encadrement de trois groupes de jeunes et section sport-santé.",
        98000, 24000, 'notify', 24000, ('S5',), in_kind=15000,
        pay=('approved',), days=250),
    Dossier('CCI', 'epci_7vallees',
        "Contrat culture des 7 Vallées, première année",
        "Résidences, saison en milieu rural et parcours d’éducation "
        "artistique dans les quatre collèges.",
        255000, 100000, 'notify', 95000, ('S5',), kind='umbrella',
        pay=('approved',), days=330),
    Dossier('FEST', 'phare', "Écrans du large, rencontres de cinéma",
        "Projections en plein air, ateliers de réalisation et compétition "
        "de courts métrages de collégiens.",
        74000, 22000, 'issue', 20000, ('S5',), in_kind=8000),
    Dossier('LECT', 'licques', "Médiathèque en réseau",
        "Informatisation du fonds et animation mensuelle pour les familles.",
        14500, 5800, 'notify', 5800, ('S5',)),
    Dossier('NAGE', 'epci_audruicq', "Savoir nager en sixième",
        "Transport et encadrement des élèves non nageurs de trois "
        "collèges.",
        31000, 18000, 'sign_department', 18000, ('S5',)),
    Dossier('EPOP', 'lucarne', "Projet associatif de la maison des jeunes",
        "Accueil libre, chantiers jeunes et accompagnement vers le service "
        "civique.",
        118000, 35000, 'confirm', 32000, ('S5',), in_kind=18000,
        votes={'S5': 29000}),
    Dossier('OVC', 'grimpeurs', "Escalade pour toutes et tous",
        "Créneau féminin et initiation des jeunes suivis par la protection "
        "de l’enfance.",
        4000, 2000, 'notify', 2000, ('S5',), numbered=False),
    Dossier('MEMO', 'houdain', "Les voix de la mine",
        "Collecte de témoignages et balade sonore dans la cité minière.",
        8600, 4300, 'notify', 4300, ('S5',), pay=('paying',)),
    Dossier('MEMO', 'saint_venant', "Le clocher raconté par ses habitants",
        "Collecte de souvenirs, concert et visites du chantier.",
        7200, 3600, 'notify', 3600, ('S5',), pay=('mixed',)),
    Dossier('EQSP', 'heuchin', "Rénovation du terrain multisport",
        "Sol coulé, buts et panneaux, accès pour les personnes à mobilité "
        "réduite.",
        86000, 25800, 'notify', 25800, ('S5',), pay_in=40, days=260),
    Dossier('PEDU', 'saules', "Voyage aux sources de l’Europe",
        "Trois jours à Bruxelles pour une classe de troisième.",
        8900, 1500, 'appeal', 1500, ('S5',), votes={'S5': 'refused'},
        reason="Séjour financé par ailleurs dans le cadre d’un autre "
            "dispositif."),
    Dossier('SDEPA', 'clochers', "École de musique associative",
        "Cours de cuivres et de percussions, orchestre junior.",
        64000, 12800, 'convention_renounced', 12000, ('S5',),
        reason="L’école rejoint l’établissement intercommunal : le porteur "
            "renonce à l’aide."),
    Dossier('PARR', 'mathis', "Aviron paralympique",
        "Matériel adapté, stages et déplacements en compétition.",
        16000, 5000, 'notify', 5000, ('S5',), recalled=True, days=220),

    Dossier('EVTS', 'foot', "Tournoi régional féminin des Deux Rivières",
        "Vingt-quatre équipes de jeunes joueuses, village santé et débat "
        "sur la place des femmes dans le sport.",
        27000, 8000, 'vote', 7500, ('S6',), votes={'S6': 7000},
        in_kind=5000),
    Dossier('RESI', 'ondes', "Une radio au collège",
        "Une journaliste en résidence forme une rédaction de vingt élèves.",
        15500, 9500, 'issue', 9500, ('S6',), asked=True),
    Dossier('SNAT', 'avesnes', "Boucles de course d’orientation",
        "Trois parcours permanents dans les bois communaux.",
        3200, 960, 'issue', 960, ('S6',)),
    Dossier('PARR', 'ines', "Préparation olympique",
        "Stages en altitude, suivi médical et déplacements.",
        18000, 5000, 'vote', 5000, ('S6',), days=250),
    Dossier('JINI', 'ondes', "La caravane des jeunes reporters",
        "Six jeunes sillonnent le littoral pour recueillir la parole des "
        "lycéens et des apprentis.",
        6200, 3000, 'vote', 2500, ('S6',), votes={'S6': 3800}),
    Dossier('OVC', 'foot', "Football en marchant",
        "Un créneau doux, ouvert aux personnes éloignées du sport.",
        3000, 1500, 'vote', 1500, ('S6',)),
    Dossier('PATR', 'orgues', "Restauration de l’orgue de Hucqueliers",
        "Relevage de l’orgue et cycle de concerts pédagogiques.",
        62000, 18600, 'deferred', 18000, ('S6',), in_kind=3000,
        votes={'S6': 'deferred'},
        reason="Accord écrit de la commune propriétaire à produire."),
    Dossier('EVTS', 'wimereux', "Triathlon de la baie",
        "Épreuve courte distance et relais des collèges.",
        39000, 11000, 'refused', 9000, ('S6',), votes={'S6': 'refused'},
        channel='email',
        reason="Manifestation reconduite sans évolution de son organisation "
            "écoresponsable."),

    Dossier('EQSP', 'rouvroy', "Skatepark et parcours de santé",
        "Un équipement conçu avec les jeunes de la commune, ouvert jour et "
        "nuit.",
        235000, 70500, 'vote', 70000, ('S7',), days=360),
    Dossier('CLUB', 'basket', "Saison du club et section fauteuil",
        "Équipes jeunes, création d’une section basket-fauteuil et "
        "interventions au collège.",
        154000, 36000, 'vote', 35000, ('S7',), in_kind=21000, days=240),
    Dossier('PCT', 'craie', "Murs ouverts",
        "Fresques participatives sur quatre pignons, avec les bailleurs et "
        "les conseils citoyens.",
        32000, 15000, 'vote', 14000, ('S7',), in_kind=3000),
    Dossier('LECT', 'auxi', "Bibliothèque hors les murs",
        "Lectures à domicile et dans les deux résidences autonomie.",
        9500, 3800, 'vote', 3800, ('S7',)),
    Dossier('PEDU', 'herons', "Débattre pour apprendre",
        "Joutes oratoires entre trois collèges du Calaisis.",
        2100, 1500, 'vote', 1500, ('S7',)),

    Dossier('FEST', 'lucioles', "Les Nuits du Terril, 9e édition",
        "Quatre soirées au pied des terrils jumeaux, une journée gratuite "
        "pour les familles et un comité d’habitants programmateurs.",
        98000, 28000, 'schedule', 25000, ('S8',), in_kind=15000),
    Dossier('CCI', 'epci_sud_artois',
        "Contrat culture du Sud-Artois, première année",
        "Mise en réseau des bibliothèques, saison des villages et "
        "résidence d’artistes.",
        220000, 90000, 'schedule', 85000, ('S8',), kind='umbrella',
        days=330),
    Dossier('EPOP', 'semeurs', "Chantiers jeunes et environnement",
        "Jardins pédagogiques, chantiers de bénévoles et accueil de "
        "services civiques.",
        88000, 26000, 'schedule', 24000, ('S8',), in_kind=12000,
        asked=True),
    Dossier('SDEPA', 'arques', "École municipale de musique d’Arques",
        "Enseignement musical, pratiques d’ensemble et ouverture d’une "
        "classe de chant choral pour adultes.",
        192000, 38000, 'schedule', 36000, ('S8',)),
    Dossier('NAGE', 'epci_henin', "Plan natation des collèges",
        "Créneaux et maîtres-nageurs pour onze collèges du territoire.",
        52000, 30000, 'schedule', 30000, ('S8',)),
    Dossier('MEMO', 'fosses', "Carnets de la reconstruction",
        "Édition de carnets d’habitants, avec le concours des Archives "
        "départementales.",
        7800, 3900, 'schedule', 3900, ('S8',)),
    Dossier('EVTS', 'velo', "Grand prix cycliste des Monts d’Opale",
        "Épreuve régionale sur deux jours et randonnée familiale.",
        46000, 13000, 'withdrawn', 11000, ('S8',), in_kind=8000,
        reason="L’épreuve est reprise par le comité régional, qui en assure "
            "le financement."),

    # Reviewed, on the way to a session
    Dossier('EQSP', 'oye_plage', "Terrain synthétique partagé",
        "Transformation du terrain stabilisé, ouvert au collège et à la "
        "pratique libre.",
        480000, 144000, 'agree', 140000, received=48, days=360),
    Dossier('FEST', 'dune', "Oyats en mouvement",
        "Festival de danse en plein air sur le littoral, scènes amateurs.",
        52000, 15000, 'negotiate', 14000, received=44, in_kind=6000),
    Dossier('CLUB', 'voiles', "Structuration de l’école de voile",
        "Deux emplois d’encadrement et une flotte pour les scolaires.",
        120000, 30000, 'open', 28000, received=40, in_kind=9000),
    Dossier('LECT', 'desvres', "Espace numérique de la médiathèque",
        "Ateliers contre l’illectronisme et prêt de liseuses.",
        18000, 7200, 'open', 7200, received=36),
    Dossier('PCT', 'marees', "Paroles de ports",
        "Spectacle itinérant sur les métiers de la mer.",
        24000, 14000, 'review', 12500, received=42, in_kind=4000,
        motive="Le barème plafonne l’aide à la moitié du coût ; la tournée "
            "dans quatre communes rurales justifie un effort "
            "supplémentaire."),

    # Being reviewed
    Dossier('SDEPA', 'epci_artois', "Réseau d’écoles de musique",
        "Mise en commun des enseignants de trois écoles.",
        132000, 26000, 'admit', received=33),
    Dossier('OVC', 'athle', "Marche nordique adaptée",
        "Créneau sport-santé avec deux kinésithérapeutes.",
        3300, 1600, 'admit', received=26),
    Dossier('JINI', 'semeurs', "Verger des lycéens",
        "Plantation de quarante fruitiers par un groupe de jeunes.",
        3900, 2400, 'admit', received=70, channel='desk'),
    Dossier('RESI', 'roseliere', "Masques et marionnettes au collège",
        "Résidence de trois mois au collège du Val des Saules.",
        18000, 11500, 'admit', received=30, in_kind=2000, asked=True),

    # Just in
    Dossier('EPOP', 'ondes', "Fédérer les radios de jeunes",
        "Un emploi d’animation pour quatre studios associatifs.",
        54000, 15000, 'submit', received=9, complete=False),
    Dossier('PEDU', 'tilleuls', "Collège zéro déchet",
        "Pesées, cantine et ressourcerie tenue par les élèves.",
        1600, 1200, 'submit', received=6),
    Dossier('EVTS', 'grimpeurs', "Open d’escalade des terrils",
        "Compétition régionale et initiation en famille.",
        21000, 6000, 'submit', received=4, complete=False, in_kind=3000,
        gap=500, channel='paper'),
    Dossier('LECT', 'therouanne', "Fonds local et patrimoine",
        "Constitution d’un fonds sur l’histoire de la cité épiscopale.",
        7600, 3000, 'submit', received=12, channel='email'),

    # Pieces requested
    Dossier('FEST', 'clochers', "Cuivres en vallées",
        "Rencontres d’harmonies et master classes ouvertes aux élèves des "
        "écoles de musique.",
        38000, 11000, 'incomplete', received=28, complete=False,
        in_kind=5000,
        reason="Il nous manque : 1. les comptes approuvés du dernier "
            "exercice ; 2. le descriptif des actions avec les écoles de "
            "musique. Vous pouvez les déposer en ligne ou les envoyer à "
            "votre interlocutrice sous trente jours."),
    Dossier('EQSP', 'bapaume', "Piste d’athlétisme en herbe",
        "Réfection de la piste et des sautoirs.",
        310000, 93000, 'incomplete', received=65, complete=False,
        channel='paper',
        reason="Il nous manque : 1. la délibération sollicitant l’aide ; "
            "2. la fiche de coûts de fonctionnement sur cinq ans."),
    Dossier('OVC', 'judo', "Taïso en entreprise d’insertion",
        "Séances hebdomadaires sur le lieu de travail.",
        2800, 1400, 'incomplete', received=18, complete=False,
        reason="Merci de préciser le calendrier des séances et le nom de "
            "la structure d’insertion qui les accueille."),

    # Being entered
    Dossier('CLUB', 'judo', "Projet de développement du club",
        "Ouverture de deux antennes rurales.", 62000, 15000, 'draft',
        received=2, channel='paper'),
    Dossier('PEDU', 'motte', "Mémoire des cités-jardins",
        "Enquête d’une classe sur l’habitat minier.", 1800, 1400, 'draft',
        received=1, channel='desk'),
    Dossier('SNAT', 'sentiers', "Passerelle sur la Lys",
        "Franchissement en bois sur le circuit pédestre.", 3600, 1000,
        'draft', received=1),

    # Ineligible and withdrawn
    Dossier('SNAT', 'velo', "Piste d’entraînement permanente",
        "Terrassement d’une piste de vélo tout terrain.",
        3900, 1000, 'ineligible', late=True,
        reason="Dossier arrivé après la clôture de l’appel à projets."),
    Dossier('PARR', 'lucarne', "Tournoi de jeux vidéo",
        "Organisation d’un tournoi de fin d’année.", 4200, 2000,
        'ineligible', received=75,
        reason="Le parrainage s’adresse aux sportives et aux sportifs eux-"
            "mêmes, inscrits sur liste ministérielle."),
    Dossier('PCT', 'veillees', "Contes en chemin",
        "Randonnées contées dans les villages.", 11000, 5000, 'withdrawn',
        received=90, in_kind=1500,
        reason="L’association a regroupé cette action avec son festival."),
    ]
