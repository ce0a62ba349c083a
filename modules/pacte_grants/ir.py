# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
from trytond.pool import PoolMeta
from trytond.transaction import Transaction


class Model(metaclass=PoolMeta):
    __name__ = 'ir.model'

    @classmethod
    def get_names(cls, classes=None):
        """Return the names of the models in the user's language.

        Tryton keeps them by context, and each user and each window has its
        own: hundreds of names were read again for each of them, before a
        message or a row of the journal.
        """
        transaction = Transaction()
        language = transaction.language
        with transaction.reset_context(), \
                transaction.set_context(language=language):
            return super().get_names(classes=classes)
