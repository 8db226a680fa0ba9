"""The command of an MPI job: hosts and ranks in the options of its launcher, and the arguments of mpi-pi."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from mpi_pi.errors import UserError
from mpi_pi.system.process import is_launcher

HOSTFILE = ("f", "hostfile", "machinefile", "default-hostfile")
RANKS = ("n", "np", "c")

EXAMPLE = "mpi-pi keep-running -- mpirun -hostfile HOSTFILE mpi-pi run … --checkpoint FILE"


@dataclass(frozen=True)
class JobCommand:
    """The words of a command that starts `mpi-pi run`."""

    words: tuple[str, ...]
    run: int
    """Place of the word `run`."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of mpi-pi, from `run` on."""
        return self.words[self.run :]

    @property
    def launcher(self) -> str:
        """The program that starts the ranks; "" if it is none that is known."""
        return next((word for word in self.words[: self.run] if is_launcher(_name(word))), "")

    @property
    def hostfile(self) -> str | None:
        """The hostfile; None without one."""
        return self._option(HOSTFILE)[1]

    @property
    def ranks(self) -> int | None:
        """The number of ranks; None if the launcher starts as many as the hosts have slots."""
        value = self._option(RANKS)[1] or ""
        return int(value) if value.isascii() and value.isdecimal() else None

    def on(self, hostfile: str | None, ranks: int | None) -> "JobCommand":
        """Return the command with another hostfile and another number of ranks, where it has one already."""
        return self._with(HOSTFILE, hostfile)._with(RANKS, None if ranks is None else str(ranks))

    def _option(self, names: Collection[str]) -> tuple[int, str | None]:
        """Return place and value of the first of these options of the launcher; None if it has none."""
        first = self.words.index(self.launcher) + 1 if self.launcher else self.run
        for place in range(first, self.run):
            option, equals, value = self.words[place].partition("=")
            if option.startswith("-") and option.lstrip("-") in names:
                return (place, value) if equals else (place + 1, self.words[place + 1])
        return 0, None

    def _with(self, names: Collection[str], value: str | None) -> "JobCommand":
        place, old = self._option(names)
        if old is None or value is None:
            return self
        new = self.words[place].removesuffix(old) + value
        return replace(self, words=(*self.words[:place], new, *self.words[place + 1 :]))


def parse(words: Sequence[str]) -> JobCommand:
    """Return the command with these words. Raises UserError."""
    if not words:
        raise UserError(f"a command is needed after --: {EXAMPLE}")
    for place in range(1, len(words)):
        if words[place] == "run" and _name(words[place - 1]) in ("mpi-pi", "mpi_pi"):
            return JobCommand(tuple(words), place)
    raise UserError(f"the command has no `mpi-pi run`: {EXAMPLE}")


def _name(program: str) -> str:
    return os.path.basename(program)  # noqa: PTH119  # a word need not be a path


def scaled(ranks: int, slots: Sequence[int | None], left: Sequence[int | None]) -> int:
    """Return the number of ranks for what is left of the slots of all lines of a hostfile.

    It is unchanged if it fits into the slots that are left, or else as many as these. If there were more
    ranks than slots from the beginning, or a number of slots is unknown, it is reduced in proportion.
    """
    if None in slots:
        return max(ranks * len(left) // len(slots), 1)
    all_slots, left_slots = sum(filter(None, slots)), sum(filter(None, left))
    if ranks > all_slots:
        return max(ranks * left_slots // all_slots, 1)
    return min(ranks, left_slots)
