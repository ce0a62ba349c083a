#!/usr/bin/env python3
# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Compare the French translations with what the module needs.

    python tools/check_translations.py            # list what is wrong
    python tools/check_translations.py --update   # rewrite locale/fr.po

Without option the exit status is 1 when an entry is missing, empty, fuzzy or
obsolete.  With --update the translations stay, new entries are added empty
and obsolete ones are removed.  The module is activated in a database in
memory: nothing else is touched.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

MODULE = 'pacte_grants'
LANGUAGE = 'fr'
ROOT = Path(__file__).resolve().parent.parent
PO_FILE = ROOT / 'modules' / MODULE / 'locale' / f'{LANGUAGE}.po'

os.environ['TRYTOND_DATABASE_URI'] = 'sqlite://'
os.environ['DB_NAME'] = ':memory:'
sys.path.insert(0, str(ROOT))

import polib  # noqa: E402

from tools import dbcache  # noqa: E402

dbcache.use()

from trytond.pool import Pool  # noqa: E402
from trytond.tests.test_tryton import activate_module  # noqa: E402
from trytond.tools import find_path  # noqa: E402
from trytond.transaction import Transaction  # noqa: E402


def check_tree():
    "Refuse to work when another copy of the module is installed."
    installed = Path(find_path(f'{MODULE}/tryton.cfg')).resolve()
    if installed.parent != PO_FILE.parent.parent:
        sys.exit(
            f"The module comes from {installed.parent}, not from the tree: "
            "pip install -e .")


def needed_entries():
    """The entries that the module needs, as a PO file.

    It holds the translations that are in the tree's file.
    """
    activate_module(MODULE)
    with Transaction().start(':memory:', 0, context={'active_test': False}):
        pool = Pool()
        Lang = pool.get('ir.lang')
        Translation = pool.get('ir.translation')
        language, = Lang.search([('code', '=', LANGUAGE)])
        language.translatable = True
        language.save()
        if PO_FILE.exists():
            Translation.translation_import(LANGUAGE, MODULE, str(PO_FILE))
        run_wizard('ir.translation.set', 'set_')
        run_wizard('ir.translation.clean', 'clean')
        run_wizard(
            'ir.translation.update', 'update',
            {'start': {'language': language.id}})
        content = Translation.translation_export(LANGUAGE, MODULE)
    return polib.pofile((content or b'').decode('utf-8'), wrapwidth=78)


def run_wizard(name, state, data=None):
    Wizard = Pool().get(name, type='wizard')
    session, _, _ = Wizard.create()
    Wizard.execute(session, data or {}, state)
    Wizard.delete(session)


def key(entry):
    return entry.msgctxt, entry.msgid


def differences(needed):
    "Lines that say what is wrong with the file of the tree."
    if PO_FILE.exists():
        present = polib.pofile(str(PO_FILE))
    else:
        present = polib.POFile()
    known = {}
    for entry in present:
        if entry.obsolete:
            yield 'obsolete', entry
        elif key(entry) in known:
            yield 'duplicate', entry
        known[key(entry)] = entry
    wanted = {key(e): e for e in needed}
    for entry in needed:
        if key(entry) not in known:
            yield 'missing', entry
    for entry in present:
        if entry.obsolete:
            continue
        if key(entry) not in wanted:
            yield 'obsolete', entry
        elif 'fuzzy' in entry.flags:
            yield 'fuzzy', entry
        elif not (entry.msgstr or any(entry.msgstr_plural.values())):
            yield 'empty', entry
        elif broken_placeholders(entry):
            yield 'placeholders differ', entry


def broken_placeholders(entry):
    "True if the translation names a value that the source does not have."
    class Names(dict):
        def __missing__(self, name):
            self.setdefault(name, 0)
            return 0

    names = Names()
    try:
        entry.msgid % names
    except (TypeError, ValueError):
        return False
    try:
        for text in [entry.msgstr, *entry.msgstr_plural.values()]:
            if text:
                text % dict(names)
    except (KeyError, TypeError, ValueError):
        return True
    return False


def write(needed):
    PO_FILE.parent.mkdir(exist_ok=True)
    with open(PO_FILE, 'wb') as file:
        file.write(str(needed).encode('utf-8'))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--update', action='store_true', help="rewrite the file")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    check_tree()
    needed = needed_entries()
    if options.update:
        write(needed)
        empty = sum(
            not (e.msgstr or any(e.msgstr_plural.values())) for e in needed)
        print(f"{PO_FILE.relative_to(ROOT)}: {len(needed)} entries, "
            f"{empty} to translate")
        return 0
    wrong = list(differences(needed))
    for reason, entry in wrong:
        print(f"{reason}: {entry.msgctxt} {entry.msgid!r}")
    print(f"{PO_FILE.relative_to(ROOT)}: {len(needed)} entries needed, "
        f"{len(wrong)} problem(s)")
    return bool(wrong)


if __name__ == '__main__':
    sys.exit(main())
