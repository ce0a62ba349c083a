#!/usr/bin/env python3
# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Check the XML of the module against the schemas that trytond ships.

Data files against tryton.rng, views against the schema of their kind; every
file is used: data files by tryton.cfg, views by a record; and nobody sees in
the menu an action that is not theirs.
"""

import sys
from configparser import ConfigParser
from pathlib import Path

import trytond
from lxml import etree

ROOT = Path(__file__).resolve().parent.parent
MODULE = ROOT / 'modules' / 'pacte_grants'
TRYTOND = Path(trytond.__file__).parent
KINDS = ['form', 'tree', 'graph', 'calendar', 'board']


def schema(path):
    return etree.RelaxNG(file=str(path))


def problems():
    cfg = ConfigParser()
    cfg.optionxform = str
    cfg.read(MODULE / 'tryton.cfg', encoding='utf-8')
    declared = set(cfg['tryton'].get('xml', '').split())
    files = sorted(MODULE.glob('*.xml'))
    for name in declared - {f.name for f in files}:
        yield f"tryton.cfg names {name}, which does not exist"
    views = set()
    trees = []
    data_schema = schema(TRYTOND / 'tryton.rng')
    for file in files:
        if file.name not in declared:
            yield f"{file.name}: not in tryton.cfg"
        tree, errors = check(file, [data_schema])
        yield from errors
        if tree is not None:
            trees.append(tree)
            views.update(used_views(tree))
    yield from menu_problems(trees)
    schemas = {
        kind: schema(TRYTOND / 'ir' / 'ui' / f'{kind}.rng') for kind in KINDS}
    for file in sorted(MODULE.glob('view/*.xml')):
        if file.stem not in views:
            yield f"view/{file.name}: no record uses it"
        root = etree.parse(file).getroot().tag
        # A view that extends another does not say its kind.
        yield from check(
            file,
            [schemas[root]] if root in schemas else schemas.values())[1]


def used_views(tree):
    for record in tree.iter('record'):
        if record.get('model') == 'ir.ui.view':
            for field in record.iterfind("field[@name='name']"):
                yield field.text


def menu_problems(trees):
    "A menu is shown to none but the groups of its action."
    actions = groups(trees, 'ir.action-res.group', 'action')
    menus = groups(trees, 'ir.ui.menu-res.group', 'menu')
    for tree in trees:
        for item in tree.iter('menuitem'):
            id_, action = item.get('id'), item.get('action')
            if action not in actions:
                continue
            shown = menus.get(id_)
            if not shown or shown - actions[action]:
                yield f"{id_}: not of the groups of {action}"


def groups(trees, model, name):
    "The groups that the records of the model give, by what they are of."
    found = {}
    for tree in trees:
        for record in tree.iter('record'):
            if record.get('model') == model:
                refs = {f.get('name'): f.get('ref') for f in record}
                found.setdefault(refs[name], set()).add(refs['group'])
    return found


def check(file, schemas):
    "The tree and what none of the schemas accepts."
    try:
        tree = etree.parse(file)
    except etree.XMLSyntaxError as error:
        return None, [f"{file.name}: {error}"]
    for rng in schemas:
        if rng.validate(tree):
            return tree, []
    return tree, [
        f"{file.name}:{e.line}: {e.message}" for e in rng.error_log]


def main():
    found = list(problems())
    for problem in found:
        print(problem)
    print(f"XML: {len(found)} problem(s)")
    return bool(found)


if __name__ == '__main__':
    sys.exit(main())
