#!/usr/bin/env python3
# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""From a fresh clone to a running server; what the Makefile calls.

    python3 tools/bootstrap.py run [--port 8000]    install, create, serve
    python3 tools/bootstrap.py reset                drop the database
    python3 tools/bootstrap.py install EXTRA...     only the environment

Runs under the system's Python with its standard library only.  What was done
once is not done again: every step leaves the hash of what it depends on.
All that is created is in .venv/ and var/.
"""

import argparse
import fcntl
import hashlib
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import webroot

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
BIN = VENV / 'bin'
VAR = ROOT / 'var'
LOGS = VAR / 'log'
SAO = VAR / 'sao'
WWW = VAR / 'www'
DB = VAR / 'db'
CONFIG = Path('config', 'embedded.conf')
DATABASE = 'pacte'
MODULE = 'pacte_grants'
START_TIMEOUT = 120


class Stop(Exception):
    "Something that the user has to settle; the message says how."


@contextmanager
def step(label):
    "Tell what is being done and how long it took."
    print(f"  {label} …", end='', flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print(" échec", flush=True)
        raise
    print(f" {time.monotonic() - started:.0f} s", flush=True)


def call(command, log, env=None, answer=''):
    """Run a command, its output in a file of var/log.

    The answer is what the command reads.
    Raise Stop with the end of that output if it fails.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f'{log}.log'
    with open(path, 'wb') as output:
        process = subprocess.Popen(
            [str(c) for c in command], cwd=ROOT, env=env or environment(),
            stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)
        with process.stdin:
            process.stdin.write(answer.encode())
        while True:
            try:
                status = process.wait(10)
                break
            except subprocess.TimeoutExpired:
                print('.', end='', flush=True)
    if status:
        raise Stop(
            f"{tail(path)}\nCommande : {' '.join(map(str, command))}")


def tail(path):
    "The end of a log and where the whole of it is."
    lines = path.read_text(errors='replace').splitlines()[-25:]
    return '\n'.join(
        [*lines, '', f"Journal complet : {path.relative_to(ROOT)}"])


def environment(**extra):
    "The environment of what is started here: UTC, var/, the tools of .venv."
    env = {k: v for k, v in os.environ.items()
        if not k.startswith('TRYTOND_')}
    env['TZ'] = 'UTC'
    env['TRYTOND_DATABASE__PATH'] = str(DB)
    env['TRYTOND_WEB__ROOT'] = str(WWW)
    env['PATH'] = os.pathsep.join([str(BIN), env.get('PATH', '')])
    env.update(extra)
    return env


def fingerprint(*paths):
    "Hash of files and of all files of folders."
    digest = hashlib.sha256()
    for path in paths:
        files = [path] if path.is_file() else sorted(path.rglob('*'))
        for file in files:
            if file.is_file() and file.suffix != '.pyc':
                digest.update(str(file.relative_to(ROOT)).encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def is_done(stamp, value):
    return stamp.exists() and stamp.read_text() == value


def install(extras):
    "Create .venv with the module, editable, and these extras."
    if sys.version_info < (3, 10):  # noqa: UP036
        raise Stop("Python 3.10 ou plus récent est nécessaire.")
    if not (BIN / 'pip').exists():
        if not find_spec('ensurepip'):
            raise Stop(
                "Il manque l'environnement virtuel de Python :\n"
                "  apt-get install python3-venv")
        with step("Environnement Python (.venv)"):
            call([sys.executable, '-m', 'venv', '--clear', VENV], 'venv')
    package = fingerprint(ROOT / 'setup.py', ROOT / 'pyproject.toml')
    stamps = {extra: VENV / f'.installed-{extra}' for extra in extras}
    missing = [e for e, stamp in stamps.items() if not is_done(stamp, package)]
    if missing:
        with step(f"Paquets Python ({', '.join(missing)})"):
            call(
                [BIN / 'pip', 'install', '--disable-pip-version-check',
                    '-e', f".[{','.join(missing)}]"], 'pip')
        for extra in missing:
            stamps[extra].write_text(package)


def install_web():
    "Get the web client and put the web root together."
    package = ROOT / 'config' / 'web' / 'package.json'
    stamp = SAO / '.installed'
    wanted = fingerprint(package)
    if not is_done(stamp, wanted):
        npm = shutil.which('npm')
        if not npm:
            install(['web'])
            npm = BIN / 'npm'
        SAO.mkdir(parents=True, exist_ok=True)
        shutil.copy(package, SAO)
        with step("Client web (npm)"):
            call(
                [npm, 'install', '--prefix', SAO, '--ignore-scripts',
                    '--no-audit', '--no-fund', '--no-package-lock'], 'npm')
        stamp.write_text(wanted)
    stamp = VAR / '.www'
    wanted = fingerprint(
        ROOT / 'config' / 'web', ROOT / 'tools' / 'webroot.py')
    if not (WWW / 'index.html').exists() or not is_done(stamp, wanted):
        with step("Racine web (var/www)"):
            webroot.build(SAO / 'node_modules', WWW)
        stamp.write_text(wanted)


def install_database():
    """Create the database, or update it if the module changed.

    The stamp is written last: a creation that was interrupted starts over.
    """
    stamp = DB / f'{DATABASE}.stamp'
    wanted = fingerprint(ROOT / 'modules' / MODULE, ROOT / 'reports')
    admin = [
        BIN / 'trytond-admin', '-c', CONFIG, '-d', DATABASE, '-u', MODULE,
        '--activate-dependencies', '-v']
    if not stamp.exists():
        drop()
        DB.mkdir(parents=True)
        (DB / f'{DATABASE}.sqlite').touch()
        password = DB / 'password'
        password.write_text(logins()[-1][2])
        with step("Base de données (SQLite)"):
            call(
                admin, 'database', environment(TRYTONPASSFILE=str(password)),
                answer='\n')  # no email
        password.unlink()
        with step("Données de démonstration"):
            call(
                [BIN / 'python', '-m', 'tools.demo', '--config', CONFIG,
                    '--database', DATABASE], 'demo')
    elif not is_done(stamp, wanted):
        with step("Mise à jour de la base de données"):
            call(admin, 'database')
    stamp.write_text(wanted)


def logins():
    return runpy.run_path(str(ROOT / 'tools' / 'demo' / 'logins.py'))['LOGINS']


def drop():
    shutil.rmtree(DB, ignore_errors=True)


@contextmanager
def lock():
    "One run or reset at a time."
    VAR.mkdir(exist_ok=True)
    with open(VAR / 'lock', 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop(
                "« make run » tourne déjà dans ce dossier : arrêtez-le "
                "d'abord (Ctrl-C).") from None
        yield


def is_listening(port):
    with socket.socket() as client:
        client.settimeout(1)
        return not client.connect_ex(('127.0.0.1', port))


def check_port(port):
    if is_listening(port):
        raise Stop(
            f"Le port {port} est déjà utilisé par un autre programme :\n"
            f"  make run PORT={port + 1}")


def serve(port):
    "Start trytond, say where it is, wait for its end."
    check_port(port)
    log = LOGS / 'server.log'
    with step("Démarrage du serveur"), open(log, 'wb') as output:
        server = subprocess.Popen(
            [BIN / 'trytond', '-c', CONFIG, '-d', DATABASE, '--logconf',
                Path('config', 'logging.conf')],
            cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
            env=environment(TRYTOND_WEB__LISTEN=f'127.0.0.1:{port}'))
        signal.signal(signal.SIGTERM, lambda *args: server.terminate())
        limit = time.monotonic() + START_TIMEOUT
        while not is_listening(port):
            if server.poll() is not None:
                raise Stop(f"Le serveur s'est arrêté.\n{tail(log)}")
            if time.monotonic() > limit:
                server.terminate()
                raise Stop(f"Pas de réponse en {START_TIMEOUT} secondes.")
            time.sleep(0.2)
    with worker():
        welcome(port)
        try:
            status = server.wait()
        except KeyboardInterrupt:
            server.terminate()
            status = server.wait()
    if status > 0:
        raise Stop(f"Le serveur s'est arrêté.\n{tail(log)}")
    print("\nServeur arrêté ; les données restent dans var/db.")


@contextmanager
def worker():
    "Have the calls of the queue done; the one under way is finished."
    with open(LOGS / 'worker.log', 'wb') as output:
        process = subprocess.Popen(
            [BIN / 'python', '-m', 'tools.worker', '--config', CONFIG,
                '--database', DATABASE],
            cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
            env=environment())
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def welcome(port):
    print(f"\nPacte – subventions : http://localhost:{port}/#{DATABASE}\n")
    lines = [("Rôle", "Identifiant", "Mot de passe"), *logins()]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        cells = [text.ljust(width) for text, width in zip(line, widths)]
        print(f"  {'   '.join(cells)}".rstrip())
    if not shutil.which('soffice'):
        print("\nLibreOffice n'est pas installé : les documents sortent en "
            "ODT. Pour le PDF :\n  apt-get install libreoffice-writer-nogui")
    print("\nCtrl-C arrête le serveur, « make reset » efface les données. "
        "Journal : var/log/server.log", flush=True)


def run(options):
    with lock():
        check_port(options.port)
        install(['demo'])
        install_web()
        install_database()
        serve(options.port)


def reset(options):
    with lock():
        drop()
    print("Base effacée : « make run » en crée une nouvelle.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser('run')
    command.add_argument('--port', type=int, default=8000)
    command.set_defaults(function=run)
    command = commands.add_parser('reset')
    command.set_defaults(function=reset)
    command = commands.add_parser('install')
    command.add_argument('extras', nargs='+')
    command.set_defaults(function=lambda options: install(options.extras))
    command = commands.add_parser('web')
    command.set_defaults(function=lambda options: install_web())
    options = parser.parse_args()
    try:
        options.function(options)
    except Stop as stop:
        print(f"\n{stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrompu.", file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
