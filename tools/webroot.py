#!/usr/bin/env python3
# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Put the web root together: the client, its libraries, our name and colours.

    python3 tools/webroot.py NODE_MODULES TARGET

NODE_MODULES is where npm put tryton-sao.  The client is taken as published;
of its dependencies only the files that it loads are copied.
"""

import re
import shutil
import sys
from pathlib import Path

CUSTOM = Path(__file__).resolve().parent.parent / 'config' / 'web'
CLIENT = ['dist', 'images', 'locale', 'sounds', 'index.html', 'COPYRIGHT',
    'LICENSE']
_LOADED = re.compile(r'node_modules/([^"?#)]+)')


def build(node_modules, target):
    "Replace the folder target by a new web root."
    node_modules, target = Path(node_modules), Path(target)
    client = node_modules / 'tryton-sao'
    new = target.with_name(target.name + '.new')
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name in CLIENT:
        copy(client / name, new / name)
    for name in loaded(client):
        copy(node_modules / name, new / 'node_modules' / name)
    for name in ['custom.js', 'custom.css']:
        copy(CUSTOM / name, new / name)
    shutil.rmtree(target, ignore_errors=True)
    new.rename(target)


def loaded(client):
    "The files of other packages that the client loads, licences included."
    names = set()
    for source in [client / 'index.html', *client.glob('dist/*.css')]:
        names.update(_LOADED.findall(source.read_text(encoding='utf-8')))
    for package in {name.split('/')[0] for name in names}:
        for path in (client.parent / package).glob('LICEN[CS]E*'):
            names.add(f'{package}/{path.name}')
    return sorted(names)


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


if __name__ == '__main__':
    build(*sys.argv[1:])
