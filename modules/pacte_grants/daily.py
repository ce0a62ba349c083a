# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What the daily tasks have in common."
from functools import wraps

from trytond.pool import Pool
from trytond.transaction import Transaction, without_check_access


def company_by_company(task):
    """Make of a task for one company one that does it for each company in
    its timezone, or for that of the context only."""
    @wraps(task)
    def wrapper(cls):
        Company = Pool().get('company.company')
        company = Transaction().context.get('company')
        with without_check_access():
            companies = (
                [Company(company)] if company else Company.search([]))
            for company in companies:
                with Transaction().set_context(
                        company=company.id, companies=[company.id]):
                    task(cls, company)
    return wrapper
