# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The provisional budgets that applicants send, balanced."
from decimal import Decimal

# heading: (share of the cost, detail)
EXPENSES = {
    'event': {
        '60': (12, "Fournitures, alimentation des équipes"),
        '61': (23, "Location de matériel scénique et de structures"),
        '62': (35, "Cachets, cessions, communication, déplacements"),
        '64': (27, "Équipe permanente et intermittents"),
        '65': (3, "Droits d’auteur"),
        },
    'operating': {
        '60': (9, "Énergie, fournitures pédagogiques"),
        '61': (14, "Loyers, entretien, assurances"),
        '62': (12, "Déplacements, honoraires, télécommunications"),
        '63': (3, "Taxe sur les salaires, formation"),
        '64': (62, "Salaires et charges sociales"),
        },
    'works': {
        '61': (88, "Travaux (montant hors taxes)"),
        '62': (12, "Maîtrise d’œuvre et études"),
        },
    'small': {
        '60': (55, "Petit matériel et fournitures"),
        '62': (45, "Intervenants et déplacements"),
        },
    }
# heading: (share of what the Département is not asked for, detail, status)
INCOMES = {
    'event': {
        '70': (38, "Billetterie et buvette", None),
        '74-ETAT': (14, "DRAC Hauts-de-France", 'requested'),
        '74-EPCI': (16, None, 'obtained'),
        '74-COMMUNE': (22, None, 'obtained'),
        '75': (10, "Adhésions et mécénat", None),
        },
    'operating': {
        '70': (34, "Cotisations et participations des familles", None),
        '74-REGION': (10, None, 'requested'),
        '74-EPCI': (14, None, 'obtained'),
        '74-COMMUNE': (34, None, 'obtained'),
        '75': (8, "Dons et partenariats", None),
        },
    'works': {
        '74-ETAT': (30, "Dotation d’équipement des territoires ruraux",
            'requested'),
        '74-EPCI': (12, "Fonds de concours", 'obtained'),
        '75': (58, "Autofinancement du maître d’ouvrage", None),
        },
    'small': {
        '70': (30, "Participation des bénéficiaires", None),
        '75': (70, "Fonds propres", None),
        },
    }
# Expense and income of the contributions in kind of an association
IN_KIND = [('864', "Temps bénévole valorisé au SMIC"), ('870', "Bénévolat")]
PROFILES = {
    'FEST': 'event', 'PCT': 'event', 'EVTS': 'event', 'RESI': 'event',
    'CCI': 'operating', 'SDEPA': 'operating', 'CLUB': 'operating',
    'EPOP': 'operating', 'NAGE': 'operating',
    'PATR': 'works', 'EQSP': 'works',
    }


def budget_lines(scheme, cost, ask, headings, in_kind=0, gap=0):
    """Return the lines of a budget of ``cost`` euros of which ``ask`` are
    asked from the Département; ``gap`` is what the income lacks."""
    profile = PROFILES.get(scheme, 'small')
    rows = [
        (('expense', code), amount, label, None)
        for code, amount, label in _split(cost, [
                (code, share, label)
                for code, (share, label) in EXPENSES[profile].items()])]
    rows.append((('income', '74-DEPT'), ask, None, 'requested'))
    statuses = {
        code: status for code, (_, _, status) in INCOMES[profile].items()}
    rows += [
        (('income', code), amount, label, statuses[code])
        for code, amount, label in _split(cost - ask - gap, [
                (code, share, label)
                for code, (share, label, _) in INCOMES[profile].items()])]
    if in_kind:
        rows += [
            ((side, code), in_kind, label, None)
            for side, (code, label) in zip(['expense', 'income'], IN_KIND)]
    return [{
            'heading': headings[key],
            'amount': Decimal(amount),
            'label': label,
            'status': status,
            } for key, amount, label, status in rows if amount]


def _split(total, shares):
    "Yield the shares of the total in tens of euros; the last takes the rest."
    done = 0
    for code, share, label in shares[:-1]:
        amount = total * share // 1000 * 10
        done += amount
        yield code, amount, label
    code, _, label = shares[-1]
    yield code, total - done, label
