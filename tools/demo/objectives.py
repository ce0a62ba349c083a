# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The objectives that the Département and its partners define together."
import datetime as dt
from decimal import Decimal

from trytond.pool import Pool

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
    'NAGE': [],
    'EPOP': [
        ("Accompagner les projets et l’engagement des jeunes",
            "Donner aux jeunes un lieu, un encadrement et le droit "
            "d’essayer.", 2, [
                ("Projets de jeunes accompagnés", "projets", 'rise', 14, 22,
                    1, "Rapport d’activité"),
                ("Jeunes membres des instances", "personnes", 'rise', 3, 8,
                    0, "Procès-verbal d’assemblée générale"),
                ]),
        ],
    'DEFAULT': [
        ("Réaliser le projet avec et pour les habitants", None, 1, [
                ("Bénéficiaires du projet", "personnes", 'rise', 0, 100, 5,
                    "Bilan du porteur"),
                ]),
        ],
    }
# scheme: [(title in the library, {indicator: (baseline, target)})]
FROM_LIBRARY = {
    'FEST': [
        ("Élargir les publics de la culture", {
                "Spectateurs satisfaits": (None, 80),
                }),
        ],
    'SDEPA': [
        ("Ouvrir les enseignements artistiques à toutes et tous", {
                "Élèves inscrits": (210, 240),
                "Élèves des deux premières tranches de quotient": (22, 30),
                "Part des cours collectifs": (38, 45),
                }),
        ],
    'CLUB': [
        ("Mettre les valeurs du sport au service du lien social", {
                "Collégiens touchés": (150, 300),
                }),
        ],
    'NAGE': [
        ("Apprendre à nager", {
                "Élèves obtenant l’attestation du savoir nager": (68, 85),
                "Élèves non nageurs pris en charge": (140, 220),
                }),
        ],
    'EPOP': [
        ("Reconnaître et former celles et ceux qui donnent de leur temps", {
                "Bénévoles formés": (25, 45),
                }),
        ],
    }
# indicator: the share of the balance by which a miss reduces the grant
REDUCTIONS = {
    "Entrées": '0.1',
    "Licenciées": '0.1',
    "Projets de jeunes accompagnés": '0.15',
    "Communes qui accueillent une action": '0.1',
    }
# Indicators that one watches without drawing anything from them
WATCHED = {
    "Consommation d’énergie",
    "Festivaliers venus en covoiturage ou en transport collectif",
    }
# source: who measures, when
TAKEN = {
    "Billetterie et comptages": ('partner', "À la fin de l’édition"),
    "Billetterie": ('partner', "À la fin de la saison"),
    "Pesées du syndicat de collecte": (
        'third_party', "Dans le mois qui suit l’édition"),
    "Enquête à l’entrée": ('users', "Pendant l’édition"),
    "Bilan de la saison": ('partner', "À la fin de la saison"),
    "Établissements": ('third_party', "À la fin de l’année scolaire"),
    "Établissement": ('third_party', "À la fin de l’année scolaire"),
    "Fédération": ('third_party', "À la fin de la saison"),
    "Attestations des collèges": (
        'third_party', "À la fin de l’année scolaire"),
    "Relevés des compteurs": ('department', "Chaque 31 décembre"),
    }
# The partners whose first measure is corrected
CORRECTED = {'lucioles'}


def indicator_values(factor, years, name, unit, direction, baseline, target,
        tolerance, source):
    """The values of an indicator.

    ``factor``: how large the partner is beside the others; ``years``: those
    of the convention, between which the way to the target is shared out.
    """
    def scale(value):
        value = Decimal(value)
        if direction == 'rise' and value > 20:
            return (value * factor).quantize(Decimal(1))
        return value

    measured_by, measured_when = TAKEN.get(
        source, ('partner', "Chaque 31 décembre"))
    values = {
        'name': name,
        'unit': unit,
        'direction': direction,
        'baseline': scale(baseline),
        'target': scale(target),
        'tolerance': Decimal(tolerance),
        'source': source,
        'measured_by': measured_by,
        'measured_when': measured_when,
        }
    way = values['target'] - values['baseline']
    digits = Decimal(1) if abs(way) > len(years) else Decimal('0.1')
    values['targets'] = [('create', [{
                    'year': year,
                    'value': (
                        values['baseline'] + way * rank / len(years)
                        ).quantize(digits),
                    } for rank, year in enumerate(years[:-1], 1)])]
    if name in REDUCTIONS:
        values['result_clause'] = 'reduction'
        values['result_share'] = Decimal(REDUCTIONS[name])
    elif name in WATCHED:
        values['result_clause'] = 'nothing'
        values['result_threshold'] = None
    return values


def add_from_library(office, login, convention, scheme):
    "Add to the convention what the users take from the library."
    pool = Pool()
    Objective = pool.get('grant.objective')
    Library = pool.get('grant.library.objective')
    with office.user(login):
        chosen = []
        for title, figures in FROM_LIBRARY.get(scheme, []):
            entry, = Library.search([('title', '=', title)])
            chosen.append((entry, [
                        (indicator, {
                                'baseline': (
                                    None if baseline is None
                                    else Decimal(baseline)),
                                'target': Decimal(target),
                                })
                        for indicator in entry.indicators
                        if indicator.name in figures
                        for baseline, target in [figures[indicator.name]]]))
        if chosen:
            Objective.create_from_library(
                convention.__class__(convention.id), chosen)


def measures(indicator, share, day, party):
    """Yield the values of the measures of the indicator.

    ``share``: how much of the way was made in the end; ``day``: the date on
    which it is measured; ``party``: the partner in the story.
    """
    for year in indicator.years[:-1]:
        date = dt.date(year, 12, 31)
        if date < day:
            yield _measure(
                indicator, share * Decimal('0.95'), date,
                indicator.target_for(year), "Bilan intermédiaire")
    last = _measure(
        indicator, share, day, indicator.target, indicator.source)
    if party in CORRECTED and 'value' in last and indicator.baseline:
        yield last | {
            'value': last['value'] * 10, 'comment': "Bilan du partenaire"}
        last['replace_reason'] = "Un zéro de trop dans le bilan"
    yield last


def _measure(indicator, share, date, target, comment):
    values = {
        'indicator': indicator.id,
        'date': date,
        'comment': comment,
        }
    if indicator.kind != 'figure':
        return values | {
            'evidence_file': survey_file(
                date, min(Decimal(1), share * target / 100)),
            'evidence_filename': f'questionnaire-{date:%Y-%m-%d}.csv',
            }
    baseline = indicator.baseline or Decimal(0)
    if indicator.direction == 'keep':
        value = target
    else:
        value = baseline + share * (target - baseline)
    digits = Decimal(1) if target > 5 else Decimal('.1')
    return values | {'value': value.quantize(digits)}


def survey_file(date, satisfied):
    """A survey of 60 answers as a spreadsheet saves it, some of them blank.

    ``satisfied``: the share of the notes that are 4 or 5.
    """
    lines = ["Date;Vous habitez;Note;Une remarque ?"]
    places = ["Lens", "Béthune", "Liévin", "Arras", "Hénin-Beaumont"]
    remarks = ["", "Merci !", "Un peu d’attente à l’entrée", "À refaire"]
    count = 55
    happy = round(count * satisfied)
    for rank in range(count):
        note = (5 if rank % 3 else 4) if rank < happy else 3 - rank % 2
        lines.append(
            f'{date:%d/%m/%Y};{places[rank % 5]};{note};{remarks[rank % 4]}')
        if rank % 11 == 10:
            lines.append(f'{date:%d/%m/%Y};{places[rank % 5]};;')
    return ('\r\n'.join(lines) + '\r\n').encode('cp1252')
