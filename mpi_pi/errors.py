"""Errors that are foreseen: their text is for the user, a line for each problem.

`cli.exit_codes` maps each class to the exit status of the command.
"""


class MpiPiError(Exception):
    """An error that the command shows as it is, without a traceback."""

    @property
    def own_exit(self) -> BaseException | None:
        """The cause, if it is no Exception: what this process was about to end with, a KeyboardInterrupt."""
        cause = self.__cause__
        return None if isinstance(cause, Exception) else cause


class UserError(MpiPiError):
    """What was asked for is not possible; nothing was counted or written."""


class RunError(MpiPiError):
    """Something failed while the command was at work."""


class BusyError(MpiPiError):
    """Somebody else is working on it; it can be tried again later."""
