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


class PartnerError(ValidationError):
    "Records that belong together are of different partners."


class BudgetError(UserError):
    "A budget does not balance or a line of it is not acceptable."


class PeriodError(ValidationError):
    "Dates are not in order or outside the period that a rule allows."


class AmountError(ValidationError):
    "An amount is negative or more precise than the currency."


class SettingsError(ValidationError):
    "Settings contradict each other or do not belong to what is chosen."


class SurveyFileError(ValidationError):
    "A survey file is refused whole; the message says where it is wrong."


class CompletenessError(UserError):
    "Something that a step needs is missing."


class BlockedError(UserError):
    "An instalment cannot be certified or paid; the message says all reasons."


class ClauseError(ValidationError):
    "An article of the library names a value that no convention has."


class ScanError(UserError):
    "A scan cannot be read, or is that of another document."


class ImputationError(ValidationError):
    "An imputation does not add up, is not of its exercise or its section."


class ReturnError(ValidationError):
    "A return of the payer is refused; the message says where it is wrong."


class CarryOverError(UserError):
    "What is left cannot go to the next exercise; the message says why."
