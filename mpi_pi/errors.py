"""Foreseen errors, whose text is for the user, a line for each problem.

`cli.exit_codes` maps each class to the exit status of the command.
"""


class MpiPiError(Exception):
    """An error that the command shows as it is, without a traceback."""

    @property
    def own_exit(self) -> BaseException | None:
        """The cause, if it is no Exception but what was about to end this process: a KeyboardInterrupt."""
        cause = self.__cause__
        return None if isinstance(cause, Exception) else cause


class UserError(MpiPiError):
    """A request that cannot be met; nothing was counted or written."""


class RunError(MpiPiError):
    """A failure while the command was at work."""


class BusyError(MpiPiError):
    """A conflict with somebody else at the same work, which may be over on another try."""
