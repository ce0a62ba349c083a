# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Fill a database in which the module is activated, in French.

    python -m tools.demo --config config/embedded.conf --database pacte
"""
import argparse
import datetime as dt
import sys
import time

from trytond import config


def main():
    parser = argparse.ArgumentParser(
        description="Remplit une base des données de démonstration.")
    parser.add_argument('--config', required=True)
    parser.add_argument('--database', required=True)
    options = parser.parse_args()
    config.update_etc(options.config)

    from trytond.pool import Pool
    from trytond.transaction import Transaction

    pool = Pool(options.database)
    pool.init()

    from .build import AlreadyBuilt, build

    with Transaction().start(options.database, 1) as transaction:
        Language = pool.get('ir.lang')
        if not Language.search([
                    ('code', '=', 'fr'), ('translatable', '=', True)]):
            print("Le français n'est pas chargé dans cette base : "
                "trytond-admin … -l fr", file=sys.stderr)
            return 1
        started = time.monotonic()

        def progress(label):
            transaction.commit()
            print(f"{label} ({time.monotonic() - started:.0f} s)", flush=True)

        try:
            build(dt.date.today(), progress)
        except AlreadyBuilt:
            print("Cette base contient déjà une société : les données de "
                "démonstration ne s'ajoutent qu'à une base neuve.",
                file=sys.stderr)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
