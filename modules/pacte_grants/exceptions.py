# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Errors that users of the module may meet; each message names the record."

from trytond.exceptions import UserError
from trytond.model.exceptions import AccessError, ValidationError


class TransitionError(UserError):
    "A button was pressed in a state that does not allow it."


class FrozenError(AccessError):
    "Something voted, issued or certified was about to change."


class CeilingError(UserError):
    "An act would exceed an envelope, a tranche or a convention."


class DutyError(AccessError):
    "The same person would do two things that two persons must do."


class IdentifierError(ValidationError):
    "A SIRET, SIREN or RNA is not valid."


class BudgetError(UserError):
    "A budget does not balance or a line of it is not acceptable."


class PeriodError(ValidationError):
    "Dates are not in order or outside the period that a rule allows."


class AmountError(ValidationError):
    "An amount is negative or more precise than the currency."


class CompletenessError(UserError):
    "Something that a step needs is missing."


class BlockedError(UserError):
    "An instalment cannot be certified or paid; the message says all reasons."
