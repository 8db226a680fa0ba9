"""Runs of other programs, as they were published, with which jobs of equal size are compared."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A published run."""

    name: str
    trials: int
    points_per_trial: int
    seconds: float
    """Wall time."""
    date: str
    """An estimate: no source dates its run."""
    machine: str
    source: str

    @property
    def points_per_second(self) -> float:
        """Rate of the whole job, start and end included."""
        return self.trials * self.points_per_trial / self.seconds


FLAME_PYTHON = Published(
    name="Flame, Python client",
    trials=1000,
    points_per_trial=100_000,
    seconds=11.485,
    date="2023",  # the Python client was new in May 2023, and its blog followed in pull request 55
    machine="a Flame cluster of unknown size",
    source="https://github.com/flame-sh/flame, docs/blogs/evaluating-pi-by-flame-python.md",
)
FLAME_RUST = Published(
    name="Flame, Rust client",
    trials=10_000,
    points_per_trial=100_000,
    seconds=111.708,
    date="2023",  # the example was merged with pull request 46, of 28 April 2023
    machine="a Flame cluster with 6 executors",
    source="https://github.com/flame-sh/flame, docs/blogs/evaluating-pi-by-monte-carlo.md",
)
OCTAPI = Published(
    name="OctaPi, dispy",
    trials=1_000_000,
    points_per_trial=10_000,
    seconds=7517.660,
    date="2017, by the copyright notice of the lesson",
    machine="8 Raspberry Pi 3 (32 cores)",
    source='GCHQ and the Raspberry Pi Foundation, lesson "OctaPi: calculating Pi"',
)
