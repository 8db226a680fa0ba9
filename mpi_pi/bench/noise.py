"""The noise of a machine: how much longer the same work takes than it could, because of whatever else runs.

Fixed work quanta, as in the FWQ benchmark of the ASC Sequoia suite: work of about a millisecond is done again
and again, on all ranks at once, and timed each time. The shortest time is what it takes undisturbed.
"""

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpi_pi.system import affinity
from mpi_pi.system.read_file import system_text

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.kernel.loader import Kernel

QUANTUM_SECONDS = 1e-3
QUICK_SECONDS, FULL_SECONDS = 2.0, 10.0

TRIAL_POINTS = 1000
"""A unit of work: a microsecond or so, so that quanta can be made of them on any machine."""


@dataclass(frozen=True)
class Scatter:
    """Of the times that the same work took, each over the shortest, less 1."""

    slowdown: float
    """The mean."""
    p99: float
    longest: float


def scatter(seconds: Sequence[float]) -> Scatter:
    """Of one time or more; for the 99th percentile the least of them that 99 % do not exceed."""
    shortest, *_ = ordered = sorted(seconds)
    p99 = ordered[-(-99 * len(ordered) // 100) - 1]
    mean = sum(ordered) / len(ordered)
    return Scatter(mean / shortest - 1, p99 / shortest - 1, ordered[-1] / shortest - 1)


def by_host(ranks: Iterable[tuple[str, Scatter, float | None]]) -> list[dict[str, Any]]:
    """Rows of the section, of each rank's host, scatter and stolen time; in the order of the ranks."""
    hosts: dict[str, list[tuple[Scatter, float | None]]] = {}
    for host, own, stolen in ranks:
        hosts.setdefault(host, []).append((own, stolen))
    rows: list[dict[str, Any]] = []
    for host, members in hosts.items():
        told = [stolen for _, stolen in members if stolen is not None]
        noisiest = max((own for own, _ in members), key=lambda own: own.slowdown)
        row = {"host": host, "ranks": len(members), **asdict(noisiest), "stolen": max(told, default=None)}
        rows.append(row)
    return rows


def measure(
    comm: "MPI.Intracomm",
    kernel: "Kernel",
    full: bool,
    show: Callable[[float], object],
    meanwhile: Callable[[], object],
) -> dict[str, Any]:
    """The section `noise` of a benchmark, on rank 0; {} on the others. All ranks of `comm` together.

    `meanwhile` is called again and again while a rank waits.
    """
    import numpy as np

    from mpi_pi.mpi.requests import allgather, wait

    # The same work for all, and a start together: a rank that waited would leave its core to others.
    quantum = int(allgather(comm, np.array([_quantum(kernel)], np.int64), meanwhile)[0, 0])
    wait(comm.Ibarrier(), meanwhile)
    cores = affinity.cores()
    before = cpu_times(cores)
    seconds = _times(kernel, quantum, FULL_SECONDS if full else QUICK_SECONDS, show)
    stolen = stolen_share(before, cpu_times(cores))
    wait(comm.Ibarrier(), meanwhile)  # so that nobody has to wait in what comes next, which burns the core
    ranks = comm.gather((socket.gethostname(), scatter(seconds), stolen))
    if ranks is None:
        return {}
    hosts = by_host(ranks)
    return {
        "quantum_seconds": min(seconds),
        "slowdown": max(host["slowdown"] for host in hosts),
        "rows": hosts,
    }


def _quantum(kernel: "Kernel") -> int:
    """How many units take about as long as a quantum here."""
    units = kernel.units_at_once
    while (taken := min(_timed(kernel, units) for _ in range(3))) < QUANTUM_SECONDS / 2:
        units *= 2
    return max(kernel.units_at_once, round(units * QUANTUM_SECONDS / taken))


def _times(kernel: "Kernel", quantum: int, seconds: float, show: Callable[[float], object]) -> list[float]:
    """Of one quantum after the other, for so long."""
    start = time.perf_counter()
    times: list[float] = []
    while (passed := time.perf_counter() - start) < seconds or not times:
        times.append(_timed(kernel, quantum))
        show(passed / seconds)
    show(1.0)
    return times


def _timed(kernel: "Kernel", units: int) -> float:
    from mpi_pi.model.job import MAX_TRIALS, Job

    job = Job(trials=MAX_TRIALS, points=TRIAL_POINTS, seed=1)
    start = time.perf_counter()
    kernel.count(job, range(units))
    return time.perf_counter() - start


def cpu_times(cores: Iterable[int], stat: Path = Path("/proc/stat")) -> tuple[int, int] | None:
    """What has been stolen from these cores since the machine was switched on, and all their time, in ticks.

    None where the system does not tell, see proc(5).
    """
    lines = [line.split() for line in (system_text(stat) or "").splitlines()]
    wanted = {f"cpu{core}" for core in cores}
    # user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user already.
    times = [[int(ticks) for ticks in line[1:9]] for line in lines if line[0] in wanted]
    if not times or any(len(ticks) < 8 for ticks in times):
        return None
    return sum(ticks[7] for ticks in times), sum(map(sum, times))


def stolen_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Of the time that has passed between, if it is known and was more than a tick."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])
