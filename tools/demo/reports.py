# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The financial reports of the partners and the balances that follow."
import datetime as dt
from decimal import ROUND_HALF_UP, Decimal

from trytond.pool import Pool

ACTIVITY = (
    "Le projet s’est déroulé comme prévu, dans les lieux et aux dates "
    "convenus avec le Département.")
LESS = (
    "Une représentation a été annulée et n’a pas pu être reportée : moins "
    "d’achats, moins de recettes.")


def find(life, year=None):
    "Return the reports of the convention that are still expected."
    return [
        r for r in life.read(life.convention).financial_reports
        if r.kind != 'statement' and r.state == 'expected'
        and year in {None, r.year}]


def send(life, report):
    "The partner's report comes in and is accepted."
    party = report.party
    life.write(
        report, activity=ACTIVITY, beneficiary_count=350,
        accounts=b'%PDF-1.4 comptes', auditor_report=b'%PDF-1.4 rapport',
        certified_name=party.representative_name or party.name,
        certified_capacity=party.representative_capacity or "Présidence",
        certified_on=life.world.clock.day)
    if not report.lines:
        life.write(report, eligible_realised=report.eligible_forecast)
    for line, realised in realise(report, life.dossier.spent):
        life.write(
            line, realised=realised,
            comment=LESS if realised != line.forecast else None)
    yield life.press(report, 'submit')
    yield life.after(life.world.clock.day, 4)
    yield life.press(report, 'accept')


def realise(report, spent):
    "Return the lines with what was realised of them, both sides alike."
    lines = [(line, line.forecast) for line in report.lines]
    expense, income = [
        max((
                line for line in report.lines
                if line.side == side and not line.heading.in_kind
                and line.heading.code != '74-DEPT'),
            key=lambda line: line.forecast, default=None)
        for side in ['expense', 'income']]
    if spent is None or not expense or not income:
        return lines
    less = (min(expense.forecast, income.forecast)
        * (1 - Decimal(str(spent)))).quantize(Decimal(1), ROUND_HALF_UP)
    return [
        (line, amount - (less if line in {expense, income} else 0))
        for line, amount in lines]


def settle(life, instalment):
    "Settle the balance, told to the partner if it takes something away."
    Liquidation = Pool().get('grant.liquidation')
    for report in find(life, instalment.tranche.year):
        yield from send(life, report)
    yield life.press(instalment, 'liquidate')
    liquidation, = Liquidation.search([
            ('tranche', '=', instalment.tranche.id)])
    if liquidation.is_reduced:
        yield life.press(liquidation, 'notify')
        yield life.world.clock.day + dt.timedelta(days=6)
        life.write(
            liquidation, observations="Nous avons bien reçu votre calcul et "
            "n’avons pas d’observation.",
            observations_on=life.world.clock.day, answer="Dont acte.")
    yield life.press(liquidation, 'establish')
