# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The recovery orders that finance asks of the payer."
from trytond.modules.pacte_grants.return_file import Answer
from trytond.pool import Pool
from trytond.transaction import without_check_access


def ask_orders(world):
    "Transmit the orders of what was decided; the payer received them."
    pool = Pool()
    Batch = pool.get('grant.recovery.batch')
    Recovery = pool.get('grant.recovery')
    with world.office.user('paul'):
        recoveries = Recovery.search([('next_step', '=', 'order')])
        if not recoveries:
            return
        batches = Batch.prepare(recoveries)
    world.office.press('paul', batches, 'transmit')
    day = world.calendar.today
    with world.office.user('paul'), without_check_access():
        pool.get('grant.recovery.return').apply(
            f"Retour du {day:%d/%m/%Y}", [
                Answer(
                    rank, f'{line.rec_name};reçu', line.batch.number,
                    line.line_number, 'received', {})
                for rank, line in enumerate(
                    (li for b in batches for li in Batch(b.id).lines), 1)])
