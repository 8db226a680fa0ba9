"""Speed of this program's kernel, the subject, and of baselines, on one core.

They take turns, so that disturbances meet all of them alike, and are compared turn by turn. Every count is
checked against pi, so that none is fast because it is wrong.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpi_pi.bench.document import Progress
from mpi_pi.bench.median import MedianCI
from mpi_pi.errors import RunError
from mpi_pi.kernel.layout import MARGIN
from mpi_pi.model.job import MAX_TRIALS, Job
from mpi_pi.system.clock import calibrated
from mpi_pi.system.machine import clock_hz

if TYPE_CHECKING:
    from mpi_pi.kernel.loader import Kernel

TURNS = 21

QUICK_SECONDS, FULL_SECONDS = 0.07, 0.3
"""Duration of a turn of one implementation."""

MAX_STANDARD_ERRORS = 6.0
"""Distance from pi above which a count is wrong: two in a thousand million right ones are further off."""

LONG_TRIAL, SHORT_TRIAL = 1_000_000, 10_000
"""Points per trial: enough to make seeding negligible, and as many as in the OctaPi job."""

DEFERRED = math.pi * 2 * MARGIN / 2**32
"""Share of points that the high 16 bits of their coordinates leave open, see `kernel.layout`."""

BITS = {"numba": 32 + 32 * DEFERRED, "numpy": 64}
"""Random bits per point: two coordinates of 16 bits, and of 32 where needed; the NumPy kernel draws all."""
BITS_OF_DOUBLES = 2 * 53
"""Random bits per point of the baselines: their coordinates are multiples of 2^-53 from 0 to 1."""

SUBJECT = "mpi_pi"
LABELS = {"numba": "numba", "numpy": "NumPy"}
SHORT_SUBJECT = f"{SUBJECT}, trials of {SHORT_TRIAL:,} points"


@dataclass(frozen=True)
class Implementation:
    """A way to count, with `points` per trial."""

    name: str
    bits_per_point: float
    """Random bits drawn for the coordinates."""
    points: int
    count: Callable[[int], int]
    """Returns the hits of that many trials."""
    trials_at_once: int = 1
    """Least number of trials in a call at full speed."""


def measure(kernel: "Kernel", full: bool, progress: Progress) -> dict[str, Any]:
    """Return the section `kernel` of a benchmark. Raises RunError if a count is wrong."""
    return compare(implementations(kernel), FULL_SECONDS if full else QUICK_SECONDS, TURNS, progress)


def implementations(kernel: "Kernel") -> list[Implementation]:
    """Return the subject, which is `kernel`, the NumPy kernel beside it, and the baselines."""
    from mpi_pi.kernel import loader  # NumPy, which the report on a benchmark does not need

    label = f"{SUBJECT}, {LABELS[kernel.name]}"
    if kernel.name == "numpy":
        return [subject(kernel, label, SHORT_TRIAL), *_baselines()]
    own = subject(kernel, label, LONG_TRIAL), subject(kernel, SHORT_SUBJECT, SHORT_TRIAL)
    return [*own, subject(loader.load("numpy"), f"{SUBJECT}, {LABELS['numpy']}", SHORT_TRIAL), *_baselines()]


def subject(kernel: "Kernel", name: str, points: int) -> Implementation:
    """Return a kernel of this program with `points` per trial."""
    job = Job(trials=MAX_TRIALS, points=points, seed=1)

    def count(trials: int) -> int:
        return int(kernel.count(job, range(trials)).sum())

    return Implementation(name, BITS[kernel.name], points, count, kernel.units_at_once)


def _baselines() -> list[Implementation]:
    """Return the baselines, without those that need numba if it is missing."""
    import numpy as np  # as above

    from mpi_pi.bench import baselines

    def repeat(name: str, points: int, count: Callable[[int], int]) -> Implementation:
        return Implementation(name, BITS_OF_DOUBLES, points, lambda trials: sum(map(count, range(trials))))

    found = [
        repeat("NumPy, as in Flame's example", 100_000, lambda _: baselines.numpy_rand(100_000)),
        repeat("Python, as in the OctaPi lesson", 10_000, lambda seed: baselines.plain_python(10_000, seed)),
    ]
    if baselines.has_numba():
        pcg64, legacy = baselines.numba_generator(np.random.default_rng(1)), baselines.numba_np_random()
        found = [
            repeat("numba + Generator(PCG64)", 100_000, lambda _: pcg64(100_000)),
            repeat("numba + np.random", 100_000, lambda _: legacy(100_000)),
            *found,
        ]
    return found


def compare(
    candidates: Sequence[Implementation], seconds: float, turns: int, progress: Progress
) -> dict[str, Any]:
    """Return the section for any implementations, of which the first is the subject.

    `seconds` is the duration of a turn of one implementation.
    """
    trials = []
    for done, candidate in enumerate(candidates, start=1):
        trials.append(_trials_in(candidate, seconds))
        progress(done / len(candidates) / (turns + 1))
    rates: list[list[float]] = [[] for _ in candidates]
    cpu_rates: list[list[float]] = [[] for _ in candidates]
    clocks = []
    for turn in range(turns):
        clocks.append(clock_hz())
        for index, (candidate, number) in enumerate(zip(candidates, trials, strict=True)):
            wall_seconds, cpu_seconds = _time(candidate, number)
            rates[index].append(number * candidate.points / wall_seconds)
            cpu_rates[index].append(number * candidate.points / cpu_seconds)
        progress((turn + 2) / (turns + 1))
    # By the fastest turn, which was disturbed the least.
    clock = max((clock for clock in clocks if clock is not None), default=None)
    return {
        "rows": [
            row(candidate, own, rates[0], clock and clock / max(cpu))
            for candidate, own, cpu in zip(candidates, rates, cpu_rates, strict=True)
        ]
    }


def row(
    candidate: Implementation, rates: Sequence[float], of_subject: Sequence[float], cycles: float | None
) -> dict[str, Any]:
    """Return a row of the section: rates in points per second by turn, and CPU cycles per point."""
    return {
        "name": candidate.name,
        "points_per_second": MedianCI.of(rates).as_fields(),
        "times_as_fast": MedianCI.of_ratio(of_subject, rates).as_fields(),
        "bits_per_point": candidate.bits_per_point,
        "cycles_per_point": cycles,
    }


def _trials_in(candidate: Implementation, seconds: float) -> int:
    """Return how many trials take `seconds`; compile the code and warm it up on the way."""
    candidate.count(candidate.trials_at_once)
    trials, taken = calibrated(
        lambda trials: _time(candidate, trials)[0], candidate.trials_at_once, seconds / 16
    )
    return candidate.trials_at_once * max(1, round(trials / candidate.trials_at_once * seconds / taken))


def _time(candidate: Implementation, trials: int) -> tuple[float, float]:
    """Return the wall time and the CPU time of the trials, in seconds. Raises RunError for wrong hits."""
    from mpi_pi.model import binomial  # NumPy, as above

    start, cpu_start = time.perf_counter(), time.thread_time()
    hits = candidate.count(trials)
    wall_seconds, cpu_seconds = time.perf_counter() - start, time.thread_time() - cpu_start
    off = float(binomial.standard_errors(trials * candidate.points, hits))
    if abs(off) > MAX_STANDARD_ERRORS:
        raise RunError(f"{candidate.name}: {hits} hits are {off:+.1f} standard errors off")
    return wall_seconds, cpu_seconds
