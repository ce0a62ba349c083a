# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The built wheel, without the tree: installed and activated."

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULE = ROOT / 'modules' / 'pacte_grants'
PACKAGE = 'trytond/modules/pacte_grants'
SOURCES = [
    'setup.py', 'pyproject.toml', 'README.md', 'LICENSE', 'modules', 'reports']
PATTERNS = [
    '*.py', '*.xml', 'tryton.cfg', 'view/*.xml', 'locale/*.po', 'icons/*',
    'data/*', 'report/*.fodt']


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    tree = folder / 'tree'
    tree.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, symlinks=True)
        else:
            shutil.copy(ROOT / name, tree)
    subprocess.run([
            sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps',
            '--wheel-dir', folder, tree],
        check=True)
    path, = folder.glob('*.whl')
    return path


def test_content(wheel):
    "It holds every file of the module, as files, and nothing else"
    expected = {
        f'{PACKAGE}/{path.relative_to(MODULE)}'
        for pattern in PATTERNS for path in MODULE.glob(pattern)
        if path.is_file()}
    with ZipFile(wheel) as archive:
        packed = {
            i.filename: i for i in archive.infolist()
            if '.dist-info/' not in i.filename}
        metadata, = (
            n for n in archive.namelist() if n.endswith('/METADATA'))
        assert b'License-Expression: GPL-3.0-or-later' in archive.read(
            metadata)
    assert set(packed) == expected
    assert all((i.external_attr >> 28) != 0o12 for i in packed.values())


@pytest.mark.slow
def test_activation(wheel, tmp_path):
    "trytond activates it in an environment that knows nothing of the tree"
    environment = tmp_path / 'venv'
    venv.create(environment, with_pip=True)
    python = environment / 'bin' / 'python'
    subprocess.run(
        [python, '-m', 'pip', 'install', '--quiet', wheel], check=True)
    (tmp_path / 'wheel.sqlite').touch()
    (tmp_path / 'password').write_text('mot de passe')
    env = {k: v for k, v in os.environ.items()
        if not k.startswith(('TRYTOND_', 'DB_', 'PYTHON'))}
    env.update({
            'TRYTOND_DATABASE_URI': 'sqlite://',
            'TRYTOND_DATABASE__PATH': str(tmp_path),
            'TRYTOND_DATABASE__LANGUAGE': 'fr',
            'TRYTONPASSFILE': str(tmp_path / 'password'),
            })
    subprocess.run([
            environment / 'bin' / 'trytond-admin', '-d', 'wheel', '-u',
            'pacte_grants', '--activate-dependencies'],
        check=True, cwd=tmp_path, env=env, input=b'\n')
    script = '\n'.join([
            'from trytond.pool import Pool',
            'from trytond.tools import find_path',
            'from trytond.transaction import Transaction',
            'Pool.start()',
            "Pool('wheel').init()",
            "with Transaction().start('wheel', 0, readonly=True):",
            "    Module = Pool().get('ir.module')",
            "    module, = Module.search([('name', '=', 'pacte_grants')])",
            "    print(module.state, find_path('pacte_grants/tryton.cfg'))",
            ])
    result = subprocess.run(
        [python, '-c', script], check=True, cwd=tmp_path, env=env,
        capture_output=True, text=True)
    state, path = result.stdout.split()
    assert state == 'activated'
    assert path.startswith(str(environment))
