# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The payer's answers to the batches."
from trytond.modules.pacte_grants.return_file import Answer
from trytond.pool import Pool
from trytond.transaction import without_check_access


def answer(world, instalment, status, **values):
    "Record as finance what the payer says of the instalment today."
    day = world.clock.day
    with world.office.user('paul'), without_check_access():
        Instalment = Pool().get('grant.instalment')
        payment = Instalment(instalment.id).payment
        Pool().get('grant.return').apply(
            f"Retour du {day:%d/%m/%Y}", [
                Answer(
                    rank, f'{line.rec_name};{status}', line.group.number,
                    line.line_number, status, values)
                for rank, line in enumerate(payment.batch_lines, 1)])
