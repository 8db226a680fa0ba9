"""Our kernel beside what people write, on one core.

All candidates take turns, so that what else the machine does meets them alike, and are compared turn by turn.
Every answer is judged against pi: none is quick because it is wrong.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpi_pi.bench.median import MedianCI
from mpi_pi.kernel.layout import MARGIN

if TYPE_CHECKING:
    from mpi_pi.kernel.loader import Kernel

TURNS = 21

QUICK_SECONDS, FULL_SECONDS = 0.07, 0.3
"""Of one go of a candidate."""

MAX_STANDARD_ERRORS = 6.0
"""Beyond which an answer is wrong: of a thousand million right ones, two are."""

LONG_TRIAL, SHORT_TRIAL = 1_000_000, 10_000
"""Points: so many that seeding does not count, and as many as the OctaPi job has."""

DEFERRED = math.pi * 2 * MARGIN / 2**32
"""The share of points that lie in the ring of doubt, see `kernel.layout`."""

BITS = {"numba": 32 + 32 * DEFERRED, "numpy": 64}
"""For a point of ours: two coordinates of 16 bits each, and of 32 where those leave a doubt. The NumPy kernel
always draws all of them."""
BITS_OF_DOUBLES = 2 * 53
"""The coordinates of others are doubles, multiples of 2^-53 from 0 to 1."""

OURS = "mpi_pi"
SPELLED = {"numba": "numba", "numpy": "NumPy"}
OURS_SHORT = f"{OURS}, trials of {SHORT_TRIAL:,} points"


@dataclass(frozen=True)
class Candidate:
    """A way to count."""

    name: str
    bits_per_point: float
    """Random bits that are drawn for its coordinates."""
    points: int
    """In a trial."""
    count: Callable[[int], int]
    """The hits of so many trials."""
    at_once: int = 1
    """How many trials it takes to be quick."""


def measure(kernel: "Kernel", full: bool, show: Callable[[float], object]) -> dict[str, Any]:
    """The section `kernel` of a benchmark. Raises ArithmeticError if a candidate counts wrong."""
    return compare(candidates(kernel), FULL_SECONDS if full else QUICK_SECONDS, TURNS, show)


def candidates(kernel: "Kernel") -> list[Candidate]:
    """Our kernel, and what there is beside it."""
    from mpi_pi.kernel import loader

    if kernel.name == "numpy":
        return [ours(kernel, f"{OURS}, {SPELLED[kernel.name]}", SHORT_TRIAL), *_others()]
    return [
        ours(kernel, f"{OURS}, {SPELLED[kernel.name]}", LONG_TRIAL),
        ours(kernel, OURS_SHORT, SHORT_TRIAL),
        ours(loader.load("numpy"), f"{OURS}, {SPELLED['numpy']}", SHORT_TRIAL),
        *_others(),
    ]


def ours(kernel: "Kernel", name: str, points: int) -> Candidate:
    """One of our kernels, with trials of so many points."""
    from mpi_pi.model.job import MAX_TRIALS, Job

    job = Job(trials=MAX_TRIALS, points=points, seed=1)

    def count(trials: int) -> int:
        return int(kernel.count(job, range(trials)).sum())

    return Candidate(name, BITS[kernel.name], points, count, kernel.units_at_once)


def _others() -> list[Candidate]:
    """What people write; without numba what it would have compiled is left out."""
    import numpy as np

    from mpi_pi.bench import baselines

    def repeated(count: Callable[[int], int], points: int) -> Callable[[int], int]:
        return lambda trials: sum(count(points) for _ in range(trials))

    ways: list[tuple[str, int, Callable[[int], int]]] = []
    if baselines.numba_is_there():
        generator = baselines.numba_generator(np.random.default_rng(1))
        ways += [
            ("numba + Generator(PCG64)", 100_000, repeated(generator, 100_000)),
            ("numba + np.random", 100_000, repeated(baselines.numba_np_random(), 100_000)),
        ]
    ways += [
        ("NumPy, as in Flame's example", 100_000, repeated(baselines.numpy_rand, 100_000)),
        (
            "Python, as in the OctaPi lesson",
            10_000,
            lambda trials: sum(baselines.plain_python(10_000, seed) for seed in range(trials)),
        ),
    ]
    return [Candidate(name, BITS_OF_DOUBLES, points, count) for name, points, count in ways]


def compare(
    these: Sequence[Candidate], seconds: float, turns: int, show: Callable[[float], object]
) -> dict[str, Any]:
    """The section for any candidates, the first of which is compared with all; a go takes about `seconds`."""
    from mpi_pi.system.machine import clock_hz

    trials = []
    for number, candidate in enumerate(these):
        trials.append(_trials_that_take(candidate, seconds))
        show((number + 1) / len(these) / (turns + 1))
    rates: list[list[float]] = [[] for _ in these]
    rates_at_work: list[list[float]] = [[] for _ in these]
    clocks = []
    for turn in range(turns):
        clocks.append(clock_hz())
        for candidate, number, own, at_work in zip(these, trials, rates, rates_at_work, strict=True):
            seconds, core_seconds = _timed(candidate, number)
            own.append(number * candidate.points / seconds)
            at_work.append(number * candidate.points / core_seconds)
        show((turn + 2) / (turns + 1))
    return {
        "rows": [
            {
                "name": candidate.name,
                "points_per_second": MedianCI.of(own).as_fields(),
                "times_as_fast": MedianCI.of_ratio(rates[0], own).as_fields(),
                "bits_per_point": candidate.bits_per_point,
                "cycles_per_point": _cycles(clocks, at_work),
            }
            for candidate, own, at_work in zip(these, rates, rates_at_work, strict=True)
        ]
    }


def _trials_that_take(candidate: Candidate, seconds: float) -> int:
    """How many do; by trying, which also warms up and compiles."""
    trials = candidate.at_once
    candidate.count(trials)
    while (taken := _timed(candidate, trials)[0]) < seconds / 4:
        trials *= 2
    return candidate.at_once * max(1, round(trials / candidate.at_once * seconds / taken))


def _timed(candidate: Candidate, trials: int) -> tuple[float, float]:
    """Seconds for so many trials, of wall time and of the core's.

    Raises ArithmeticError if their hits are not those of a circle.
    """
    start, core_start = time.perf_counter(), time.thread_time()
    hits = candidate.count(trials)
    seconds, core_seconds = time.perf_counter() - start, time.thread_time() - core_start
    off = standard_errors(hits, trials * candidate.points)
    if abs(off) > MAX_STANDARD_ERRORS:
        raise ArithmeticError(f"{candidate.name}: {hits} hits are {off:+.1f} standard errors off")
    return seconds, core_seconds


def standard_errors(hits: int, points: int) -> float:
    """How far the hits are from what pi lets expect, by the binomial distribution."""
    from mpi_pi.model import binomial

    return float(binomial.standard_errors(points, hits))


def _cycles(clocks: Sequence[float | None], rates_at_work: Sequence[float]) -> float | None:
    """Cycles per point of the fastest turn, the least disturbed by what shares the core or its caches."""
    known = [clock for clock in clocks if clock is not None]
    return max(known) / max(rates_at_work) if known else None
