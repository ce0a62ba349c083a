# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Valid numbers of partners that do not exist.

No SIREN begins with 000, no association is registered under W629, no bank
has the code 99001.
"""
from stdnum import luhn
from stdnum.iso7064 import mod_97_10

UAI_KEYS = 'ABCDEFGHJKLMNPRSTUVWXYZ'


def siren(rank):
    number = f'000{rank:05d}'
    return number + luhn.calc_check_digit(number)


def siret(siren):
    "The SIRET of the seat of the legal person."
    number = f'{siren}0001'
    return number + luhn.calc_check_digit(number)


def rna(rank):
    return f'W629{rank:06d}'


def uai(rank):
    number = f'0629{rank:03d}'
    return number + UAI_KEYS[int(number) % 23]


def iban(rank, bank='99001'):
    counter, account = '00062', f'{rank:011d}'
    key = 97 - (
        89 * int(bank) + 15 * int(counter) + 3 * int(account)) % 97
    bban = f'{bank}{counter}{account}{key:02d}'
    return f"FR{mod_97_10.calc_check_digits(bban + 'FR')}{bban}"
