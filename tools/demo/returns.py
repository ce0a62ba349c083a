# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The payer's answers to the batches."
from decimal import Decimal

from trytond.modules.pacte_grants.return_file import Answer
from trytond.pool import Pool
from trytond.transaction import without_check_access


def answer(world, instalment, status, lines=slice(None), **values):
    """Record as finance what the payer says of the instalment today, or of
    some of its lines."""
    day = world.clock.day
    with world.office.user('paul'), without_check_access():
        Instalment = Pool().get('grant.instalment')
        payment = Instalment(instalment.id).payment
        Pool().get('grant.return').apply(
            f"Retour du {day:%d/%m/%Y}", [
                Answer(
                    rank, f'{line.rec_name};{status}', line.group.number,
                    line.line_number, status, values)
                for rank, line in enumerate(payment.batch_lines[lines], 1)])


def split(world, instalment, functions):
    "Charge the certified instalment to two functions, as finance."
    pool = Pool()
    Instalment = pool.get('grant.instalment')
    with world.office.installation():
        accounts = [
            pool.get('grant.nomenclature').search([
                    ('kind', '=', 'function'), ('code', '=', code)])[0].id
            for code in functions]
    with world.office.user('paul'):
        instalment = Instalment(instalment.id)
        imputation, = instalment.imputations
        first = (instalment.amount / 2).quantize(Decimal(1))
        Instalment.split_into(instalment, [{
                    'chapter': imputation.chapter.id,
                    'nature': imputation.nature.id,
                    'function': account,
                    'amount': amount,
                    } for account, amount in zip(
                    accounts, [first, instalment.amount - first],
                    strict=True)])


def contradict(world, instalment):
    "The payer pays one line of the payment and rejects the other."
    day = world.clock.day
    answer(
        world, instalment, 'paid', lines=slice(1), order_number='20991',
        bordereau='151', ordered_on=day, paid_on=day)
    answer(
        world, instalment, 'rejected', lines=slice(1, None),
        reason="Imputation à revoir.")
