# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What the searchers of function fields share."


def positive(operator):
    "Return the operator without its negation, and whether it had one."
    if operator.startswith('!'):
        return operator[1:], True
    elif operator.startswith('not '):
        return operator[4:], True
    return operator, False


def get_values(clause):
    "Return the list of the values of the clause and whether it negates them."
    _, operator, operand, *_ = clause
    values = operand if isinstance(operand, (list, tuple)) else [operand]
    return list(values), positive(operator)[1]


def search_flag(clause, true, false):
    """Return the domain for a clause on a boolean that is computed: the one
    of ``true`` and ``false`` that is asked for."""
    values, negative = get_values(clause)
    values = {bool(v) for v in values}
    if negative:
        values = {True, False} - values
    if values == {True}:
        return true
    elif values == {False}:
        return false
    return [] if values else [('id', '=', -1)]
