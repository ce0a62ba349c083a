#!/usr/bin/env python3
# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Draw the states of the dossiers from the transitions in the code.

    python tools/workflows.py            # write doc/etats.md
    python tools/workflows.py --check    # exit 1 if it is out of date
"""
import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / 'doc' / 'etats.md'
MODULE = 'pacte_grants'

os.environ['TRYTOND_DATABASE_URI'] = 'sqlite://'
os.environ['DB_NAME'] = ':memory:'
sys.path.insert(0, str(ROOT))

from tools import dbcache  # noqa: E402

dbcache.use()

from trytond.model import ModelView, Workflow  # noqa: E402
from trytond.pool import Pool  # noqa: E402
from trytond.pyson import PYSONDecoder, PYSONEncoder  # noqa: E402
from trytond.tests.test_tryton import activate_module  # noqa: E402
from trytond.transaction import Transaction  # noqa: E402

HEADER = """# Les états des dossiers

Ces schémas sont tirés des transitions déclarées dans le code (`make doc`) :
ils ne se modifient pas à la main. Une flèche porte le nom des boutons qui
conduisent à l'état ; sans nom, le passage vient d'un autre enregistrement
(un vote, la réponse du payeur).
"""


def diagrams():
    "Yield the title and the Mermaid text of each workflow, in French."
    pool = Pool()
    Button = pool.get('ir.model.button')
    IrModel = pool.get('ir.model')
    buttons = {
        (b.model, b.name): b.string for b in Button.search([])}
    for name, Model in pool.iterobject():
        if (not name.startswith('grant.')
                or not issubclass(Model, Workflow)
                or not issubclass(Model, ModelView)):
            continue
        labels = dict(Model.fields_get(['state'])['state']['selection'])
        lines = ['```mermaid', 'stateDiagram-v2']
        lines += [
            f'    state "{label}" as {state}'
            for state, label in labels.items()]
        lines.append(f'    [*] --> {Model.default_state()}')
        order = list(labels)
        for source, target in sorted(
                Model._transitions,
                key=lambda t: (order.index(t[0]), order.index(t[1]))):
            strings = ' / '.join(sorted(
                    buttons[name, button]
                    for button in leading(Model, source, target)
                    if buttons.get((name, button))))
            lines.append(
                f'    {source} --> {target}'
                + (f' : {strings}' if strings else ''))
        lines.append('```')
        yield IrModel.get_name(name), '\n'.join(lines)


def leading(Model, source, target):
    "Yield the buttons that bring a record from a state to another."
    encoder = PYSONEncoder()
    for button, states in Model._buttons.items():
        if button == 'reopen' and hasattr(Model, '_reopened'):
            if Model._reopened.get(source) == target:
                yield button
            continue
        # A button that a lower file completes keeps its step.
        targets = {
            getattr(getattr(c, button, None), 'leads_to', None)
            for c in Model.__mro__}
        if target not in targets:
            continue
        decoder = PYSONDecoder({'state': source})
        if not decoder.decode(encoder.encode(states.get('invisible', False))):
            yield button


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true')
    options = parser.parse_args()
    activate_module(MODULE, lang='fr')
    with Transaction().start(':memory:', 1, context={'language': 'fr'}):
        text = HEADER + ''.join(
            f'\n## {title}\n\n{diagram}\n' for title, diagram in diagrams())
    if options.check:
        if not TARGET.exists() or TARGET.read_text('utf-8') != text:
            sys.exit(f"{TARGET.relative_to(ROOT)} is out of date: make doc")
        return
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text, 'utf-8')


if __name__ == '__main__':
    main()
