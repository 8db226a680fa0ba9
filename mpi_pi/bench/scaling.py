"""Speed-up, efficiency and serial fraction, from the times of more and more ranks.

Strong scaling gives the same job to more and more ranks. With p times as many of them as in the first row,
Amdahl's law says that it takes `T(p) = T(1) (f + (1 - f) / p)`, where f is the serial fraction: the part of
the first row's time that more ranks do not shorten (Amdahl, "Validity of the single processor approach to
achieving large scale computing capabilities", AFIPS 1967). There are two ways to find f from times:

Solved for f, the law gives it from one row: `f = (1 / S - 1 / p) / (1 - 1 / p)` of a speed-up S. Where that
grows from row to row it is no serial part but a cost that grows with the ranks (Karp and Flatt, "Measuring
parallel processor performance", Communications of the ACM 33, 1990).

A straight line through all rows, `T = a + b / p`, has f = a / (a + b).

Weak scaling gives every rank as much to do as before: with p times as many of them, the work done in a time
is p times the efficiency (Gustafson, "Reevaluating Amdahl's law", Communications of the ACM 31, 1988).
"""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from mpi_pi.bench.median import MedianCI
from mpi_pi.model.job import Job
from mpi_pi.system import affinity

SEED = 1

MAX_POINTS_PER_TRIAL = 100_000
MIN_POINTS_PER_TRIAL = 1000
TRIALS_PER_RANK = 256
"""At least, while trials have more than the least number of points: then all ranks get equally many."""


class GroupTimes(NamedTuple):
    """Times of a group of ranks, by turn. The groups of a section took turns."""

    ranks: int
    hosts: int
    seconds: tuple[float, ...]


def ranks_with_cores(hosts: Sequence[str], cores: Sequence[frozenset[int]]) -> list[int]:
    """Return the ranks that have a core each, by host and usable physical cores of each rank.

    Ranks that would have to share a core with one of them are left out.
    """
    kept: list[int] = []
    for host in dict.fromkeys(hosts):
        on_host = [rank for rank, name in enumerate(hosts) if name == host]
        if affinity.oversubscribed([(cores[rank], 1) for rank in on_host]):
            ranks, on_host = on_host, []
            for rank in ranks:
                if not affinity.oversubscribed([(cores[other], 1) for other in (*on_host, rank)]):
                    on_host.append(rank)
        kept += on_host
    return sorted(kept)


def doubling(most: int) -> list[int]:
    """Return 1, 2, 4 … and `most`.

    >>> doubling(11)
    [1, 2, 4, 8, 11]
    """
    return [*(1 << power for power in range((most - 1).bit_length())), most]


def ladder(hosts: Sequence[str], ranks: Sequence[int]) -> list[list[int]]:
    """Return groups of `ranks`: all on the first 1, 2, 4 … hosts, or on a single host the first 1, 2, 4 …

    `hosts` has the host of each rank there is.
    """
    names = list(dict.fromkeys(hosts[rank] for rank in ranks))
    if len(names) == 1:
        return [list(ranks[:number]) for number in doubling(len(ranks))]
    return [[rank for rank in ranks if hosts[rank] in names[:number]] for number in doubling(len(names))]


def job_of(points: float, ranks: int) -> Job:
    """Return a job of about that many points, with one trial for each rank at least, and mostly many."""
    each = MAX_POINTS_PER_TRIAL
    while each > MIN_POINTS_PER_TRIAL and points < TRIALS_PER_RANK * ranks * each:
        each //= 10
    return Job(max(round(points / each), ranks), each, SEED)


def strong(job: Job, rows: Sequence[GroupTimes]) -> dict[str, Any]:
    """Return the member `strong` of the section: the same job on each group."""
    first, turns = rows[0], zip(*(row.seconds for row in rows), strict=True)
    more = [row.ranks / first.ranks for row in rows]
    fitted = MedianCI.of(serial_fraction(more, turn) for turn in turns) if len(rows) > 1 else None
    return _fields(job) | {
        "serial_fraction": fitted and fitted.as_fields(),
        "rows": [_strong_row(row, first) for row in rows],
    }


def weak(job: Job, rows: Sequence[GroupTimes]) -> dict[str, Any]:
    """Return the member `weak` of the section: `job` for each rank."""
    return _fields(job) | {"rows": [_weak_row(row, rows[0]) for row in rows]}


def _fields(job: Job) -> dict[str, Any]:
    return {"job": {"trials": job.trials, "points_per_trial": job.points}}


def _strong_row(row: GroupTimes, first: GroupTimes) -> dict[str, Any]:
    more = row.ranks / first.ranks
    speed_up = MedianCI.of_ratio(first.seconds, row.seconds)
    fraction = MedianCI.of(karp_flatt(each, more) for each in speed_up.samples) if more > 1 else None
    efficiency = MedianCI.of(each / more for each in speed_up.samples)
    return _row(row, speed_up, efficiency) | {"karp_flatt": fraction and fraction.as_fields()}


def _weak_row(row: GroupTimes, first: GroupTimes) -> dict[str, Any]:
    efficiency = MedianCI.of_ratio(first.seconds, row.seconds)
    speed_up = MedianCI.of(each * row.ranks / first.ranks for each in efficiency.samples)
    return _row(row, speed_up, efficiency)


def _row(row: GroupTimes, speed_up: MedianCI, efficiency: MedianCI) -> dict[str, Any]:
    cis = {"seconds": MedianCI.of(row.seconds), "speed_up": speed_up, "efficiency": efficiency}
    return {"ranks": row.ranks, "hosts": row.hosts} | {name: ci.as_fields() for name, ci in cis.items()}


def karp_flatt(speed_up: float, times_as_many: float) -> float:
    """Return the serial fraction of one speed-up, of more than 1 times as many ranks."""
    return (1 / speed_up - 1 / times_as_many) / (1 - 1 / times_as_many)


def serial_fraction(times_as_many: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the serial fraction of two times or more, of more and more ranks, by least squares."""
    b, a = statistics.linear_regression([1 / more for more in times_as_many], seconds)
    return a / (a + b)
