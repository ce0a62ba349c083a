# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The accounts to which the payments of each scheme are charged."
from trytond.pool import Pool

from .envelopes import ENVELOPES
from .schemes import SCHEMES

FUNCTIONS = {
    '933-311': '311', '933-312': '312', '933-313': '313', 'AE-CCI': '311',
    'AP-PATR': '312', '933-326': '326', '933-327': '327',
    '933-SNAT': '325', 'AP-EQSP': '321', '932-221': '221',
    '933-338': '338', '933-INIT': '338',
    }
OPERATING = {
    'association': '65748', 'commune': '657341', 'epci': '657358',
    'college': '65737', 'local_public': '65738', 'company': '65742',
    'individual': '65741',
    }
INVESTMENT = {'commune': '204142', 'epci': '204152'}


def create_imputations(office, schemes):
    "Enter the rules by default as the finance officer."
    with office.installation():
        accounts = {
            (a.kind, a.code): a.id
            for a in Pool().get('grant.nomenclature').search([])}
    rows = []
    for code, scheme in SCHEMES.items():
        investment = ENVELOPES[scheme.envelope][1] == 'AP'
        natures = INVESTMENT if investment else OPERATING
        for kind in [*natures, None]:
            nature = natures.get(kind, '20422' if investment else '65748')
            rows.append({
                    'company': office.company.id,
                    'sequence': len(rows) + 1,
                    'scheme': schemes[code].id,
                    'partner_kind': kind,
                    'chapter': accounts[
                        'chapter', '204' if investment else '65'],
                    'nature': accounts['nature', nature],
                    'function': accounts[
                        'function', FUNCTIONS[scheme.envelope]],
                    })
    with office.user('paul'):
        Pool().get('grant.imputation.rule').create(rows)
