"""How well a job scales: from the times of more and more ranks to speed-up, efficiency and serial fraction.

Strong scaling gives the same job to more and more ranks. With p times as many of them as in the first row,
Amdahl's law says that it takes `T(p) = T(1) (f + (1 - f) / p)`, where f is the serial fraction: the part of
the first row's time that more ranks do not shorten (Amdahl, "Validity of the single processor approach to
achieving large scale computing capabilities", AFIPS 1967). Two ways to find f from times:

Solved for f, one row gives it by itself: `f = (1 / S - 1 / p) / (1 - 1 / p)` of a speed-up S. Where that
grows from row to row it is no serial part but a cost that grows with the ranks (Karp and Flatt, "Measuring
parallel processor performance", Communications of the ACM 33, 1990).

A straight line through all of them, `T = a + b / p`, has f = a / (a + b).

Weak scaling gives every rank as much to do as before: with p times as many of them, what they get done in a
time is p times the efficiency (Gustafson, "Reevaluating Amdahl's law", Communications of the ACM 31, 1988).
"""

import itertools
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from mpi_pi.bench.median import MedianCI
from mpi_pi.model.job import Job
from mpi_pi.system import affinity

SEED = 1

MAX_POINTS_PER_TRIAL = 100_000
MIN_POINTS_PER_TRIAL = 1000
TRIALS_PER_RANK = 256
"""At least, unless they get too small, so that all ranks can be dealt the same."""


class Row(NamedTuple):
    """What so many ranks on so many hosts took, by turn. Rows took turns."""

    ranks: int
    hosts: int
    seconds: tuple[float, ...]


def ranks_with_cores(hosts: Sequence[str], cores: Sequence[frozenset[int]]) -> list[int]:
    """Of the ranks with these hosts and physical cores, those with one each; others would have to share."""
    kept: list[int] = []
    for host in dict.fromkeys(hosts):
        on_host = [rank for rank, name in enumerate(hosts) if name == host]
        if affinity.crowded([(cores[rank], 1) for rank in on_host]):
            on_host = _not_crowded(on_host, cores)
        kept += on_host
    return sorted(kept)


def _not_crowded(ranks: Sequence[int], cores: Sequence[frozenset[int]]) -> list[int]:
    kept: list[int] = []
    for rank in ranks:
        if not affinity.crowded([(cores[other], 1) for other in (*kept, rank)]):
            kept.append(rank)
    return kept


def doubling(most: int) -> list[int]:
    """1, 2, 4 … and the most.

    >>> doubling(11)
    [1, 2, 4, 8, 11]
    """
    return [*itertools.takewhile(lambda number: number < most, (1 << power for power in range(64))), most]


def ladder(hosts: Sequence[str], ranks: Sequence[int]) -> list[list[int]]:
    """The ranks of each row: of these all on the first 1, 2, 4 … hosts, or on one host the first 1, 2, 4 …"""
    names = list(dict.fromkeys(hosts[rank] for rank in ranks))
    if len(names) == 1:
        return [list(ranks[:number]) for number in doubling(len(ranks))]
    return [[rank for rank in ranks if hosts[rank] in names[:number]] for number in doubling(len(names))]


def job_of(points: float, ranks: int) -> Job:
    """A job of about so many points, in trials of which many come to each rank."""
    each = MAX_POINTS_PER_TRIAL
    while each > MIN_POINTS_PER_TRIAL and points < TRIALS_PER_RANK * ranks * each:
        each //= 10
    return Job(max(round(points / each), ranks), each, SEED)


def strong(job: Job, rows: Sequence[Row]) -> dict[str, Any]:
    """The member `strong` of a benchmark's `scaling`: the same job in each row, with more and more ranks."""
    first = rows[0]
    return {
        "job": _job(job),
        "serial_fraction": _fitted(rows).as_fields() if len(rows) > 1 else None,
        "rows": [_strong(row, first) for row in rows],
    }


def weak(job: Job, rows: Sequence[Row]) -> dict[str, Any]:
    """The member `weak` of a benchmark's `scaling`: a job for each rank, with more and more ranks."""
    first = rows[0]
    return {"job": _job(job), "rows": [_weak(row, first) for row in rows]}


def karp_flatt(speed_up: float, times_as_many: float) -> float:
    """The serial fraction that a speed-up shows by itself; for more than 1 times as many ranks."""
    return (1 / speed_up - 1 / times_as_many) / (1 - 1 / times_as_many)


def serial_fraction(times_as_many: Sequence[float], seconds: Sequence[float]) -> float:
    """Of Amdahl's law, by least squares: from two rows or more, each with more ranks than the one before."""
    b, a = statistics.linear_regression([1 / more for more in times_as_many], seconds)
    return a / (a + b)


def _fitted(rows: Sequence[Row]) -> MedianCI:
    """The serial fraction of each turn."""
    times_as_many = [row.ranks / rows[0].ranks for row in rows]
    turns = zip(*(row.seconds for row in rows), strict=True)
    return MedianCI.of(serial_fraction(times_as_many, turn) for turn in turns)


def _strong(row: Row, first: Row) -> dict[str, Any]:
    more = row.ranks / first.ranks
    speed_up = MedianCI.of_ratio(first.seconds, row.seconds)
    return _measured(row, speed_up, [each / more for each in speed_up.samples]) | {
        "karp_flatt": MedianCI.of(karp_flatt(each, more) for each in speed_up.samples).as_fields()
        if more > 1
        else None
    }


def _weak(row: Row, first: Row) -> dict[str, Any]:
    efficiency = MedianCI.of_ratio(first.seconds, row.seconds).samples
    return _measured(row, MedianCI.of(each * row.ranks / first.ranks for each in efficiency), efficiency)


def _measured(row: Row, speed_up: MedianCI, efficiency: Iterable[float]) -> dict[str, Any]:
    return {
        "ranks": row.ranks,
        "hosts": row.hosts,
        "seconds": MedianCI.of(row.seconds).as_fields(),
        "speed_up": speed_up.as_fields(),
        "efficiency": MedianCI.of(efficiency).as_fields(),
    }


def _job(job: Job) -> dict[str, int]:
    return {"trials": job.trials, "points_per_trial": job.points}
