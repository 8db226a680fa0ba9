"""OS noise: how much longer a work quantum takes than it could, because of other activity on the host.

Fixed work quanta, as in the FWQ benchmark of the ASC Sequoia suite: work of about a millisecond is repeated
on all ranks at once, and timed each time. The shortest time is that of undisturbed work.
"""

import socket
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpi_pi.bench.document import Progress
from mpi_pi.model.job import MAX_TRIALS, Job
from mpi_pi.mpi.collectives import allgather
from mpi_pi.mpi.requests import wait
from mpi_pi.system import affinity
from mpi_pi.system.clock import calibrated
from mpi_pi.system.read_file import read_system_text

if TYPE_CHECKING:
    from mpi_pi.bench.rank_groups import RankGroups
    from mpi_pi.kernel.loader import Kernel

QUANTUM_SECONDS = 1e-3
QUICK_SECONDS, FULL_SECONDS = 2.0, 10.0

JOB = Job(trials=MAX_TRIALS, points=1000, seed=1)
"""A unit takes about a microsecond; a quantum has many."""


@dataclass(frozen=True)
class Slowdown:
    """Times of a work quantum, each divided by the shortest, less 1."""

    slowdown: float
    """Mean."""
    p99: float
    """99th percentile: the least of them that 99 % do not exceed."""
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Slowdown":
        """Return the statistics of one time or more."""
        shortest, *_ = ordered = sorted(seconds)
        p99 = ordered[-(-99 * len(ordered) // 100) - 1]
        mean = sum(ordered) / len(ordered)
        return cls(mean / shortest - 1, p99 / shortest - 1, ordered[-1] / shortest - 1)


def group_by_host(ranks: Iterable[tuple[str, Slowdown, float | None]]) -> list[dict[str, Any]]:
    """Return a row for each host, in the order of ranks, given host, slowdown and steal time of each rank.

    A host has the slowdown of its noisiest rank, and the largest share of steal time that is known.
    """
    hosts = defaultdict[str, list[tuple[Slowdown, float | None]]](list)
    for host, own, steal in ranks:
        hosts[host].append((own, steal))
    return [
        {"host": host, "ranks": len(of_host)}
        | asdict(max((own for own, _ in of_host), key=lambda own: own.slowdown))
        | {"stolen": max((steal for _, steal in of_host if steal is not None), default=None)}
        for host, of_host in hosts.items()
    ]


def measure(groups: "RankGroups", kernel: "Kernel", full: bool, progress: Progress) -> dict[str, Any]:
    """Measure the section `noise` of a benchmark on all ranks; return it on rank 0, and {} elsewhere.

    Collective. Raises HeartbeatTimeout.
    """
    comm, check = groups.comm, groups.heartbeat.check
    # The same work for all, begun together: a rank that waited would leave its core to others.
    units = int(allgather(comm, np.array([_units_in_quantum(kernel)], np.int64), check)[0, 0])
    wait(comm.Ibarrier(), check)
    cores, wanted, times = affinity.cores(), FULL_SECONDS if full else QUICK_SECONDS, list[float]()
    before, start = cpu_times(cores), time.perf_counter()
    while (passed := time.perf_counter() - start) < wanted or not times:
        times.append(_time(kernel, units))
        progress(passed / wanted)
    progress(1.0)
    steal = steal_share(before, cpu_times(cores))
    wait(comm.Ibarrier(), check)  # to wait in gather would burn cores on which others still measure
    ranks = comm.gather((socket.gethostname(), Slowdown.of(times), steal))
    if ranks is None:
        return {}
    rows = group_by_host(ranks)
    return {"quantum_seconds": min(times), "slowdown": max(row["slowdown"] for row in rows), "rows": rows}


def _units_in_quantum(kernel: "Kernel") -> int:
    """Return how many units take about as long as a quantum on this rank."""
    units, taken = calibrated(partial(_time, kernel), kernel.units_at_once, QUANTUM_SECONDS / 2)
    return max(kernel.units_at_once, round(units * QUANTUM_SECONDS / taken))


def _time(kernel: "Kernel", units: int) -> float:
    start = time.perf_counter()
    kernel.count(JOB, range(units))
    return time.perf_counter() - start


def cpu_times(cores: Iterable[int], stat: Path = Path("/proc/stat")) -> tuple[int, int] | None:
    """Return the steal time of these cores since the system was started, and all their time, in ticks.

    None where the system does not tell, see proc(5).
    """
    lines = [line.split() for line in read_system_text(stat).splitlines()]
    wanted = {f"cpu{core}" for core in cores}
    # user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user already.
    times = [[int(ticks) for ticks in line[1:9]] for line in lines if line[0] in wanted]
    if not times or any(len(ticks) < 8 for ticks in times):
        return None
    return sum(ticks[7] for ticks in times), sum(map(sum, times))


def steal_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Return the share of steal time between two results of `cpu_times`; None if unknown or equal."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])
