"""Options of `mpi-pi bench PART`."""

import argparse
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class BenchOptions:
    """Options of `mpi-pi bench` for any part but `compare`, see `cli.parser`."""

    part: str
    full: bool
    oversubscribe: bool
    launcher: tuple[str, ...] | None
    on_ranks: bool
    """Whether a launcher was used by `mpi-pi bench` itself to start this process."""
    json: str | None
    progress: str
    cache: str | None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Self:
        """Return the options that the parser has found."""
        launcher = tuple(args.launcher) if args.launcher else None
        return cls(
            args.part,
            args.full,
            args.oversubscribe,
            launcher,
            args.on_ranks,
            args.json,
            args.progress,
            args.cache,
        )

    @property
    def common(self) -> str:
        """The part, and the options that have to be the same on all ranks."""
        return " ".join(["bench", self.part, *self._flags])

    @property
    def on_ranks_arguments(self) -> list[str]:
        """Arguments of the ranks that a launcher is to start, whose JSON goes to standard output."""
        cache = ["--cache", self.cache] if self.cache else []
        fixed = ("--on-ranks", "--json", "-", "--progress", self.progress)
        return ["bench", self.part, *fixed, *self._flags, *cache]

    @property
    def _flags(self) -> list[str]:
        return [f"--{name}" for name in ("full", "oversubscribe") if getattr(self, name)]
