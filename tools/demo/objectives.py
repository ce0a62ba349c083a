# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The objectives that the Département and its partners define together."

# scheme: [(title, description, weight, [indicator])], an indicator being
# (name, unit, direction, baseline, target, tolerance, source)
OBJECTIVES = {
    'FEST': [
        ("Élargir et rajeunir le public du festival",
            "Aller vers les habitants qui ne fréquentent pas les salles, en "
            "particulier les moins de 26 ans du territoire.", 2, [
                ("Entrées", "personnes", 'rise', 4200, 5000, 200,
                    "Billetterie et comptages"),
                ("Part des moins de 26 ans", "%", 'rise', 18, 25, 1,
                    "Billetterie"),
                ]),
        ("Réduire l’empreinte écologique de l’édition",
            "Agir d’abord sur les déchets et les déplacements.", 1, [
                ("Déchets non triés", "kg par festivalier", 'fall', '0.9',
                    '0.5', '0.1', "Pesées du syndicat de collecte"),
                ("Festivaliers venus en covoiturage ou en transport "
                    "collectif", "%", 'rise', 12, 25, 3,
                    "Enquête à l’entrée"),
                ]),
        ],
    'PCT': [
        ("Créer avec les habitants",
            "Associer des habitants à chaque étape du projet, de l’écriture "
            "à la restitution.", 2, [
                ("Habitants associés", "personnes", 'rise', 0, 60, 5,
                    "Feuilles de présence"),
                ("Ateliers menés", "séances", 'reach', 0, 24, 2,
                    "Bilan du porteur"),
                ]),
        ("Diffuser hors des lieux habituels", None, 1, [
                ("Représentations en commune rurale", "représentations",
                    'rise', 2, 6, 0, "Calendrier de tournée"),
                ]),
        ],
    'CCI': [
        ("Structurer l’offre culturelle de l’intercommunalité",
            "Programmer, former et communiquer à l’échelle du territoire, "
            "commune par commune.", 3, [
                ("Communes qui accueillent une action", "communes", 'rise',
                    12, 25, 2, "Bilan de la saison"),
                ("Actions portées en commun", "actions", 'rise', 8, 18, 1,
                    "Bilan de la saison"),
                ]),
        ("Développer l’éducation artistique et culturelle", None, 2, [
                ("Collégiens ayant suivi un parcours", "élèves", 'rise', 320,
                    600, 30, "Établissements"),
                ]),
        ("Rendre la saison accessible", None, 1, [
                ("Spectateurs au tarif réduit ou gratuit", "%", 'rise', 35,
                    50, 2, "Billetterie"),
                ]),
        ],
    'SDEPA': [
        ("Accueillir davantage d’élèves de toutes origines",
            "Lever l’obstacle du tarif et de la distance.", 2, [
                ("Élèves inscrits", "élèves", 'rise', 210, 240, 5,
                    "Fichier des inscriptions"),
                ("Élèves relevant des deux premières tranches de quotient",
                    "%", 'rise', 22, 30, 2, "Régie de recettes"),
                ]),
        ("Faire jouer les élèves ensemble et hors les murs", None, 1, [
                ("Concerts et restitutions dans le territoire", "dates",
                    'rise', 9, 14, 1, "Calendrier de l’école"),
                ]),
        ],
    'PATR': [
        ("Sauvegarder l’édifice et l’ouvrir aux habitants",
            "Conduire les travaux dans les règles de l’art et rendre "
            "l’édifice à la vie de la commune.", 1, [
                ("Jours d’ouverture au public", "jours par an", 'rise', 5,
                    20, 0, "Calendrier d’ouverture"),
                ("Visites de scolaires", "classes par an", 'rise', 0, 8, 1,
                    "Registre des visites"),
                ]),
        ],
    'RESI': [
        ("Faire vivre une création partagée dans le collège",
            "L’artiste travaille sur place et avec les élèves toute la durée "
            "de la résidence.", 1, [
                ("Élèves participant à la création", "élèves", 'rise', 0, 80,
                    5, "Établissement"),
                ("Heures de présence de l’artiste", "heures", 'reach', 0,
                    120, 6, "Carnet de résidence"),
                ]),
        ],
    'CLUB': [
        ("Développer la pratique féminine et celle des jeunes",
            "Former, encadrer et garder les licenciés à l’âge des "
            "décrochages.", 2, [
                ("Licenciées", "personnes", 'rise', 96, 120, 4,
                    "Fédération"),
                ("Jeunes de 11 à 18 ans licenciés", "personnes", 'rise', 140,
                    165, 5, "Fédération"),
                ]),
        ("Mener des actions citoyennes avec les collèges", None, 1, [
                ("Collégiens touchés", "élèves", 'rise', 150, 300, 20,
                    "Attestations des collèges"),
                ]),
        ],
    'PARR': [
        ("Porter les valeurs du sport auprès des collégiens", None, 1, [
                ("Rencontres avec des collégiens", "rencontres", 'reach', 0,
                    3, 0, "Attestations des collèges"),
                ]),
        ],
    'EQSP': [
        ("Ouvrir un équipement à plusieurs pratiques et à tous",
            "Partager les créneaux entre le collège, les clubs et la "
            "pratique libre.", 2, [
                ("Créneaux en accès libre", "heures par semaine", 'rise', 0,
                    12, 1, "Planning d’occupation"),
                ("Disciplines accueillies", "disciplines", 'rise', 1, 4, 0,
                    "Conventions d’utilisation"),
                ]),
        ("Maîtriser le coût de fonctionnement", None, 1, [
                ("Consommation d’énergie", "kWh par m² et par an", 'fall',
                    180, 95, 5, "Relevés des compteurs"),
                ]),
        ],
    'EVTS': [
        ("Faire de l’événement une fête du sport pour tous", None, 1, [
                ("Participants", "personnes", 'rise', 850, 1000, 50,
                    "Inscriptions"),
                ("Collégiens engagés dans les épreuves ou l’organisation",
                    "élèves", 'rise', 40, 120, 10, "Organisateur"),
                ]),
        ],
    'NAGE': [
        ("Apprendre à nager à tous les élèves de sixième", None, 1, [
                ("Élèves obtenant l’attestation du savoir-nager", "%",
                    'rise', 68, 85, 2, "Établissements"),
                ("Élèves non nageurs pris en charge", "élèves", 'rise', 140,
                    220, 10, "Planning des bassins"),
                ]),
        ],
    'EPOP': [
        ("Accompagner les projets et l’engagement des jeunes",
            "Donner aux jeunes un lieu, un encadrement et le droit "
            "d’essayer.", 2, [
                ("Projets de jeunes accompagnés", "projets", 'rise', 14, 22,
                    1, "Rapport d’activité"),
                ("Jeunes membres des instances", "personnes", 'rise', 3, 8,
                    0, "Procès-verbal d’assemblée générale"),
                ]),
        ("Former les bénévoles", None, 1, [
                ("Bénévoles formés", "personnes", 'rise', 25, 45, 3,
                    "Feuilles d’émargement"),
                ]),
        ],
    'DEFAULT': [
        ("Réaliser le projet avec et pour les habitants", None, 1, [
                ("Bénéficiaires du projet", "personnes", 'rise', 0, 100, 5,
                    "Bilan du porteur"),
                ]),
        ],
    }
