"""Origin of a result: when it was counted, in which job of a scheduler, and by which command."""

import re
from typing import NamedTuple

_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


class Origin(NamedTuple):
    """When, where and how a run, or a merge, was started."""

    date: str
    """Time of the start, UTC, by the clock of the host of rank 0: "2026-11-26T14:05:35Z"."""
    scheduler: str | None
    """Scheduler of the job, such as "Slurm"; None outside of one."""
    job_id: str | None
    """Identifier of the job as the scheduler's commands read it; None outside of one."""
    argv: tuple[str, ...]
    """The command, with its name alone in the place of the path of the program."""

    @property
    def command(self) -> str:
        """The command as it is typed into a shell."""
        if all(map(_PLAIN.fullmatch, self.argv)):
            return " ".join(self.argv)
        import shlex  # which few commands need

        return shlex.join(self.argv)
