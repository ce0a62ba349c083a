# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""How a season is judged against a tariff clause.

One function per type of clause, on plain data: nothing here reads a
database.  Each takes a ``Clause`` and a ``Season`` and returns a
``Verdict``; prices are euros, rates and shares are between 0 and 1.

What is missing makes the verdict unknown and is named; what is known to be
wrong makes it not met, whatever else is missing.
"""
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

MET, NOT_MET, UNKNOWN = 'met', 'not_met', 'unknown'
# From the best to the worst
RESULTS = [MET, UNKNOWN, NOT_MET]
# Which price an inhabitant pays: the nearest zone that the grid names.
_ZONES = {
    'commune': ['commune', 'epci', 'department', 'all'],
    'epci': ['epci', 'department', 'all', 'outside'],
    'department': ['department', 'all', 'outside'],
    }
_INHABITANTS = {
    'epci': ['commune', 'epci'],
    'department': ['commune', 'epci', 'department'],
    }


class Euro(Decimal):
    "An amount in euros."


class Rate(Decimal):
    "A share, 1 being the whole."


class Times(Decimal):
    "How many times one price is another."


class Reason(NamedTuple):
    "A sentence: its code and the figures that it quotes."
    code: str
    values: dict


class Verdict(NamedTuple):
    """What was found: ``result`` (met, not_met or unknown), the reasons and
    the figure that was measured, if there is one."""
    result: str
    reasons: list
    value: object = None


@dataclass(frozen=True)
class Line:
    "One price of a grid; entries and receipts are those of the season."
    product: str
    price: Decimal
    category: object = None
    label: str = ''
    residence: str = 'all'
    quotient_min: Decimal = None
    quotient_max: Decimal = None
    is_reference: bool = False
    entries: int = None
    receipts: Decimal = None

    @property
    def group(self):
        "What a price is for, whoever pays it."
        return self.product, ' '.join((self.label or '').lower().split())

    @property
    def audience(self):
        "Who pays the price, wherever they live."
        return self.category, self.quotient_min, self.quotient_max

    @property
    def has_bracket(self):
        return self.quotient_min is not None or self.quotient_max is not None


@dataclass(frozen=True)
class Fact:
    "Something observed during the season, with its evidence or without."
    kind: str
    number: int = 1
    confirmed: bool = True
    documented: bool = True


@dataclass(frozen=True)
class Season:
    """A grid and what happened under it; ``previous`` are the lines of the
    season before, ``None`` if there is no such grid.  Facts come in the
    order of their dates."""
    lines: tuple = ()
    facts: tuple = ()
    voted: bool = True
    over: bool = True
    previous: tuple = None


@dataclass(frozen=True)
class Clause:
    "What the convention says; the fields are those of the model."
    code: str
    categories: tuple = ()
    product: str = None
    zone: str = None
    maximum_price: Decimal = None
    maximum_rate: Decimal = None
    minimum_number: int = None
    minimum_ratio: Decimal = None
    index_rate: Decimal = None
    minimum_share: Decimal = None


def worst(results):
    "Return the worst of the results, ``None`` if there is none."
    return max(results, key=RESULTS.index, default=None)


def full_price(lines, line):
    """Return the full price with which the line compares, or ``None``.

    It is the reference line of the same product and label; if the label has
    none, the lowest reference line of the product.
    """
    references = [
        li for li in lines if li.is_reference and li.product == line.product]
    return min((
            li.price for li in (
                [li for li in references if li.group == line.group]
                or references)), default=None)


def match_lines(lines, previous):
    """Return for each of the lines the one of the season before, or
    ``None``.

    Lines match on product, label, audience and residence; a label that
    changed does not matter where the rest is found only once in both.
    """
    def exact(line):
        return line.group, line.audience, line.residence

    def loose(line):
        return line.product, line.audience, line.residence

    by_exact = {exact(line): line for line in previous}
    lone, others = _lone(lines, loose), _lone(previous, loose)
    found = []
    for line in lines:
        match = by_exact.get(exact(line))
        if match is None and loose(line) in lone:
            match = others.get(loose(line))
        found.append(match)
    return found


def _lone(lines, key):
    "Return by key the lines that are alone to have it."
    found = {}
    for line in lines:
        found.setdefault(key(line), []).append(line)
    return {k: v[0] for k, v in found.items() if len(v) == 1}


def find_overlaps(lines):
    """Return the pairs of lines of the same price list whose brackets of
    quotient overlap.  A bound belongs to both brackets that it separates; an
    empty bound is open."""
    def key(line):
        return (*line.group, str(line.category or ''), line.residence)

    pairs = []
    brackets = sorted((li for li in lines if li.has_bracket), key=key)
    for _, group in groupby(brackets, key):
        ordered = sorted(group, key=lambda li: (
                li.quotient_min or Decimal(0),
                li.quotient_max is None, li.quotient_max or Decimal(0)))
        highest = None
        for line in ordered:
            if highest is not None and (
                    highest.quotient_max is None
                    or (line.quotient_min or Decimal(0))
                    < highest.quotient_max
                    or (line.quotient_min, line.quotient_max)
                    == (highest.quotient_min, highest.quotient_max)):
                pairs.append((highest, line))
            if highest is None or highest.quotient_max is not None and (
                    line.quotient_max is None
                    or line.quotient_max > highest.quotient_max):
                highest = line
    return pairs


def _scope(clause, season):
    return [
        li for li in season.lines
        if not clause.product or li.product == clause.product]


def _gather(findings, value=None, sound=None):
    """Return the verdict of several findings, ``(result, reason)``: what
    makes it bad comes first; ``sound`` is said when nothing is wrong."""
    findings = sorted(
        findings, key=lambda f: RESULTS.index(f[0]), reverse=True)
    result = worst(f[0] for f in findings) or MET
    reasons = [r for _, r in findings if r]
    if sound and result == MET and not reasons:
        reasons = [sound]
    return Verdict(result, reasons, value)


def _no_line(clause):
    return Verdict(UNKNOWN, [Reason('no_line', {})])


def tar_reduit_existe(clause, season):
    """Every audience of the clause has a price of its own, lower than the
    full price where the grid says what that is; the partner's body voted the
    grid.  Measures how many audiences are served."""
    lines = _scope(clause, season)
    if not lines:
        return _no_line(clause)
    findings, served = [], 0
    for category in clause.categories:
        own = [li for li in lines if li.category == category]
        if not own:
            findings.append((NOT_MET, Reason(
                        'category_missing', {'category': category})))
            continue
        full = [
            li for li in own
            if (price := full_price(lines, li)) is not None
            and li.price >= price]
        if full and len(full) == len(own):
            findings.append((NOT_MET, Reason('category_full', {
                            'category': category,
                            'price': Euro(full[0].price)})))
        else:
            served += 1
    if not season.voted:
        findings.append((UNKNOWN, Reason('not_voted', {})))
    return _gather(findings, served, Reason(
            'categories_served', {'number': served}))


def tar_max(clause, season):
    """The price of every audience of the clause, or the full price if it
    names none, reaches neither cap: ``maximum_price`` euros,
    ``maximum_rate`` of the full price.  A price equal to the cap is good.
    An audience without a price pays the full price.  Measures the highest
    price."""
    lines = _scope(clause, season)
    if not lines:
        return _no_line(clause)
    findings, prices = [], []
    for category in clause.categories or [None]:
        if category is None:
            own = [li for li in lines if li.is_reference]
        else:
            own = [li for li in lines if li.category == category]
        if not own and category is not None:
            own = [li for li in lines if li.is_reference]
            if own:
                findings.append((MET, Reason(
                            'pays_full', {'category': category})))
        if not own:
            findings.append((UNKNOWN, Reason(
                        'no_price' if category else 'no_full_price',
                        {'category': category} if category else {})))
            continue
        for line in own:
            prices.append(line.price)
            findings.append(_compare_cap(clause, lines, line, category))
    return _gather(
        _shortened(findings), Euro(max(prices)) if prices else None)


def _compare_cap(clause, lines, line, category):
    "Return the finding for one price and the caps of the clause."
    who = category or ''
    full = full_price(lines, line)
    result = MET
    over = (
        clause.maximum_price is not None
        and line.price > clause.maximum_price)
    values = {
        'category': who, 'price': Euro(line.price), 'label': line.label}
    if over or clause.maximum_rate is None:
        code = 'price_over' if over else 'price_under'
        return (NOT_MET if over else MET, Reason(
                code if who else f'full_{code}',
                values | {'cap': Euro(clause.maximum_price)}))
    if full is None:
        return UNKNOWN, Reason('no_full_price', {})
    if line.price > clause.maximum_rate * full:
        result = NOT_MET
    rate = Rate(line.price / full) if full else Rate(0)
    return result, Reason(
        'rate_over' if result == NOT_MET else 'rate_under',
        values | {
            'full': Euro(full), 'rate': rate,
            'limit': Rate(clause.maximum_rate)})


def _shortened(findings):
    """Say each thing once; of the prices that are good only the last, and
    none beside what is wrong."""
    bad = any(f[0] != MET for f in findings)
    seen, kept = [], []
    for finding in findings:
        code = finding[1].code
        if bad and code.endswith('_under'):
            continue
        if finding not in seen:
            seen.append(finding)
            kept.append(finding)
    return kept


def tar_gratuite(clause, season):
    """Every audience of the clause pays nothing; ``minimum_number``
    free dates were held.  Measures the free dates."""
    findings, number = [], None
    lines = _scope(clause, season)
    if clause.categories and not lines:
        findings.append((UNKNOWN, Reason('no_line', {})))
    elif clause.categories:
        for category in clause.categories:
            own = [li for li in lines if li.category == category]
            price = max((li.price for li in own), default=None)
            if price == 0:
                continue
            findings.append((NOT_MET, Reason(
                        'category_pays' if own else 'category_missing', {
                            'category': category,
                            } | ({'price': Euro(price)} if own else {}))))
    if clause.minimum_number:
        found, number = _count(
            clause, season, 'free_day', 'free_days')
        findings.append(found)
    return _gather(findings, number, Reason('free', {}))


def tar_qf(clause, season):
    """Each price list by family quotient has ``minimum_number`` brackets,
    its lowest price is at most ``maximum_price`` euros, its highest at least
    ``minimum_ratio`` times its lowest.  Brackets that overlap cannot be
    counted.  Measures the fewest brackets."""
    lines = _scope(clause, season)
    if not lines:
        return _no_line(clause)
    if clause.categories:
        lines = [li for li in lines if li.category in clause.categories]
    brackets = sorted(
        (li for li in lines if li.has_bracket),
        key=lambda li: (*li.group, str(li.category or ''), li.residence))
    if not brackets:
        return Verdict(NOT_MET, [Reason('no_bracket', {})], 0)
    findings, counts = [], []
    for first, second in find_overlaps(lines):
        findings.append((UNKNOWN, Reason('overlap', {
                        'first': first, 'second': second})))
    for _, group in groupby(brackets, lambda li: (
                *li.group, li.category, li.residence)):
        group = list(group)
        count = len({(li.quotient_min, li.quotient_max) for li in group})
        low = min(li.price for li in group)
        high = max(li.price for li in group)
        counts.append(count)
        if clause.minimum_number and count < clause.minimum_number:
            findings.append((NOT_MET, Reason('few_brackets', {
                            'number': count,
                            'minimum': clause.minimum_number})))
        if clause.maximum_price is not None and low > clause.maximum_price:
            findings.append((NOT_MET, Reason('lowest_over', {
                            'price': Euro(low),
                            'cap': Euro(clause.maximum_price)})))
        if clause.minimum_ratio and high < clause.minimum_ratio * low:
            findings.append((NOT_MET, Reason('ratio_under', {
                            'high': Euro(high), 'low': Euro(low),
                            'ratio': Times(high / low),
                            'minimum': Times(clause.minimum_ratio)})))
    low = min(li.price for li in brackets)
    return _gather(findings, min(counts), Reason('brackets', {
                'number': min(counts), 'price': Euro(low)}))


def tar_stable(clause, season):
    """No price rises by more than ``index_rate`` from one season to the
    next.  Lines that have no counterpart are left out and counted.  Measures
    the highest rise."""
    lines = _scope(clause, season)
    if clause.categories:
        lines = [li for li in lines if li.category in clause.categories]
    if not lines:
        return _no_line(clause)
    if season.previous is None:
        return Verdict(UNKNOWN, [Reason('no_previous', {})])
    pairs = [
        (line, before) for line, before in zip(
            lines, match_lines(lines, season.previous), strict=True)
        if before]
    if not pairs:
        return Verdict(UNKNOWN, [Reason('no_match', {})])
    findings, rises = [], []
    for line, before in pairs:
        if before.price:
            rises.append(Rate(line.price / before.price - 1))
        if line.price > before.price * (1 + clause.index_rate):
            values = {
                'line': line, 'before': Euro(before.price),
                'price': Euro(line.price)}
            if before.price:
                findings.append((NOT_MET, Reason('rise', values | {
                                'rate': rises[-1],
                                'limit': Rate(clause.index_rate)})))
            else:
                findings.append((NOT_MET, Reason('no_longer_free', values)))
    value = max(rises, default=Rate(0))
    if not findings:
        findings.append((MET, Reason('stable', {
                        'rate': value, 'limit': Rate(clause.index_rate)})))
    if len(pairs) < len(lines):
        findings.append((MET, Reason(
                    'new_lines', {'number': len(lines) - len(pairs)})))
    return _gather(findings, value)


def tar_unique_territoire(clause, season):
    """All the inhabitants of the ``zone`` (epci or department) pay the same
    price for the same thing.  A price for people from outside alone says
    nothing of them where they have others.  Measures the widest gap in
    euros."""
    lines = _scope(clause, season)
    if not lines:
        return _no_line(clause)
    by_list = {}
    for line in lines:
        by_list.setdefault(
            (line.group, line.audience), {})[line.residence] = line
    findings, gaps = [], [Decimal(0)]
    inhabited = {
        group for (group, _), by_residence in by_list.items()
        if by_residence.keys() - {'outside'}}
    for (group, _), by_residence in by_list.items():
        if group in inhabited and by_residence.keys() == {'outside'}:
            continue
        line = next(iter(by_residence.values()))
        paid = {}
        for place in _INHABITANTS[clause.zone]:
            price = next((
                    by_residence[r].price for r in _ZONES[place]
                    if r in by_residence), None)
            if price is None:
                findings.append((UNKNOWN, Reason('zone_no_price', {
                                'line': line})))
                break
            paid[place] = price
        if len(set(paid.values())) > 1:
            low, high = min(paid.values()), max(paid.values())
            gaps.append(high - low)
            findings.append((NOT_MET, Reason('zone_gap', {
                            'line': line, 'low': Euro(low),
                            'high': Euro(high)})))
    return _gather(findings, Euro(max(gaps)), Reason('zone_same', {}))


def _attended(clause, season):
    return [li for li in _scope(clause, season) if li.entries is not None]


def part_reduit(clause, season):
    """At least ``minimum_share`` of the entries are at a price lower than
    the full price, or free; short of it the verdict is unknown as long as
    the season is not over.  Measures the share."""
    lines = _attended(clause, season)
    total = sum(li.entries for li in lines)
    if not total:
        return Verdict(UNKNOWN, [Reason('no_attendance', {})])
    reduced = 0
    for line in lines:
        full = full_price(season.lines, line)
        if line.price and full is None and line.entries:
            return Verdict(UNKNOWN, [Reason('no_full_price', {})])
        if not line.price or full is not None and line.price < full:
            reduced += line.entries
    share = Rate(Decimal(reduced) / total)
    result, code = MET, 'share_met'
    if reduced < clause.minimum_share * total:
        result, code = (
            (NOT_MET, 'share_under') if season.over
            else (UNKNOWN, 'share_so_far'))
    return Verdict(result, [Reason(
                code, {
                    'number': reduced, 'total': total, 'share': share,
                    'minimum': Rate(clause.minimum_share)})], share)


def places_solidaires(clause, season):
    """``minimum_number`` places were used by people whom social structures
    sent; the list of the structures is there.  Measures the places used."""
    facts = _facts(season, 'solidarity')
    finding, number = _count(clause, season, 'solidarity', 'places')
    findings = [finding]
    if facts and not all(f.documented for f in facts):
        findings.append((UNKNOWN, Reason('no_structures', {})))
    return _gather(findings, number)


def prix_moyen(clause, season):
    """Receipts divided by paid entries are at most ``maximum_price`` euros;
    above it the verdict is unknown as long as the season is not over.
    Measures the average."""
    lines = _attended(clause, season)
    if not sum(li.entries for li in lines):
        return Verdict(UNKNOWN, [Reason('no_attendance', {})])
    paid = [li for li in lines if li.price and li.entries]
    if any(li.receipts is None for li in paid):
        return Verdict(UNKNOWN, [Reason('no_receipts', {})])
    entries = sum(li.entries for li in paid)
    receipts = sum((li.receipts for li in paid), Decimal(0))
    average = Euro(receipts / entries) if entries else Euro(0)
    result, code = MET, 'average'
    if receipts > clause.maximum_price * entries:
        result, code = (
            (NOT_MET, 'average_over') if season.over
            else (UNKNOWN, 'average_so_far'))
    return Verdict(result, [Reason(
                code, {
                    'receipts': Euro(receipts), 'number': entries,
                    'average': average,
                    'cap': Euro(clause.maximum_price)})], average)


def licence_aide(clause, season):
    """The licence of every audience of the clause reaches neither cap, as
    for ``tar_max``.  Measures the highest price."""
    lines = tuple(li for li in season.lines if li.product == 'licence')
    if not lines:
        return Verdict(UNKNOWN, [Reason('no_licence', {})])
    return tar_max(clause, Season(lines=lines))


def info_tarif(clause, season):
    """Prices and rights can be seen online and on the spot: what was seen
    last counts, and it has its evidence (address, photograph)."""
    findings = []
    for kind in ['info_online', 'info_site']:
        facts = [f for f in season.facts if f.kind == kind]
        if not facts:
            findings.append((UNKNOWN, Reason(f'{kind}_missing', {})))
        elif not facts[-1].confirmed:
            findings.append((NOT_MET, Reason(f'{kind}_no', {})))
        elif not facts[-1].documented:
            findings.append((UNKNOWN, Reason(f'{kind}_evidence', {})))
    return _gather(findings, None, Reason('info', {}))


def non_recours(clause, season):
    """``minimum_number`` actions were led with relays so that people use
    their rights.  Measures the actions."""
    finding, number = _count(clause, season, 'relay', 'relays')
    return _gather([finding], number)


def _facts(season, kind):
    return [f for f in season.facts if f.kind == kind and f.confirmed]


def _count(clause, season, kind, code):
    """Return the finding and the number of what is counted: unknown without
    any, and as long as the season is not over."""
    facts = _facts(season, kind)
    number = sum(f.number for f in facts)
    values = {'number': number, 'minimum': clause.minimum_number}
    if number >= clause.minimum_number:
        return (MET, Reason(code, values)), number
    if not facts:
        return (UNKNOWN, Reason(f'{code}_missing', values)), None
    if not season.over:
        return (UNKNOWN, Reason(f'{code}_so_far', values)), number
    return (NOT_MET, Reason(f'{code}_under', values)), number


RULES = {
    'TAR_REDUIT_EXISTE': tar_reduit_existe,
    'TAR_MAX': tar_max,
    'TAR_GRATUITE': tar_gratuite,
    'TAR_QF': tar_qf,
    'TAR_STABLE': tar_stable,
    'TAR_UNIQUE_TERRITOIRE': tar_unique_territoire,
    'PART_REDUIT': part_reduit,
    'PLACES_SOLIDAIRES': places_solidaires,
    'PRIX_MOYEN': prix_moyen,
    'LICENCE_AIDE': licence_aide,
    'INFO_TARIF': info_tarif,
    'NON_RECOURS': non_recours,
    }


def evaluate(clause, season):
    "Return the ``Verdict`` of the season on the clause."
    return RULES[clause.code](clause, season)
