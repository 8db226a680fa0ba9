"""Options of `mpi-pi bench PART`."""

from pathlib import Path
from typing import NamedTuple


class BenchOptions(NamedTuple):
    """Options of `mpi-pi bench PART` for any part except `compare`, see `cli.parser`."""

    part: str
    full: bool
    oversubscribe: bool
    pairs: bool
    launcher: tuple[str, ...] | None
    on_ranks: bool
    """True in a rank that another `mpi-pi bench` has started by a launcher."""
    json: str | None
    csv: str | None
    progress: str
    cache: Path | None

    @property
    def common(self) -> str:
        """Part, and options that have to be the same on all ranks, as a text for error messages."""
        return " ".join(["bench", self.part, *self._flags])

    @property
    def on_ranks_arguments(self) -> list[str]:
        """Arguments for ranks that a launcher is to start, and that print their JSON to standard output."""
        cache = [f"--cache={self.cache}"] if self.cache else []
        fixed = ("--on-ranks", "--json", "-", "--progress", self.progress)
        return ["bench", self.part, *fixed, *self._flags, *cache]

    @property
    def _flags(self) -> list[str]:
        return [f"--{name}" for name in ("full", "oversubscribe", "pairs") if getattr(self, name)]
