"""Errors that are foreseen: their text is for the user, a line for each problem.

`cli.exit_codes` maps each class to the exit status of the command.
"""


class MpiPiError(Exception):
    """An error that the command shows as it is, without a traceback."""


class UserError(MpiPiError):
    """What was asked for is not possible; nothing was counted or written."""


class RunError(MpiPiError):
    """Something failed while the command was at work."""


class BusyError(MpiPiError):
    """Somebody else is working on it; it can be tried again later."""
