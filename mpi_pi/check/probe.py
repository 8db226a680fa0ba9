"""Facts that each rank gathers about itself and its host, on commands of rank 0."""

import time
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpi_pi.kernel.loader import Kernel, load
from mpi_pi.model.job import Job
from mpi_pi.mpi import pingpong, runtime
from mpi_pi.mpi.command_loop import KEEP_ALIVE_SECONDS, Action, KeepAlive
from mpi_pi.parallel.threads import ThreadTeam
from mpi_pi.system import affinity, machine
from mpi_pi.system.software import software

if TYPE_CHECKING:
    from mpi4py import MPI

COUNT_SECONDS = 1.0
PARTS = 10
"""Parts of that time. A disturbance rarely lasts for all, so that the fastest says what the core can do."""


class Probe:
    """Actions of a rank on commands of rank 0. Their answers are members of a RankFacts.

    Machine, Software and State are dictionaries in the answers, since ranks may run other versions.
    """

    def __init__(self, comm: "MPI.Intracomm", cache_folder: Path | None, note: Callable[[str], None]) -> None:
        """`note` is called with remarks on the cache of compiled code."""
        self._comm, self._cache_folder, self._note = comm, cache_folder, note
        self._kernel: Kernel | None = None
        self.host_of_rank_0 = ""
        """Known once rank 0 has sent the first command."""

    def actions(self) -> Mapping[str, Action]:
        """Return the actions by the names of the commands."""
        return {"facts": self._facts, "kernel": self._load, "count": self._count, "link": self._answer}

    def _facts(self, host_of_rank_0: str, _: KeepAlive) -> dict[str, Any]:
        self.host_of_rank_0 = host_of_rank_0
        return {
            "host": runtime.host_name(),
            "machine": asdict(machine.machine()),
            "software": asdict(software(runtime.library_name())),
            "cpus": tuple(sorted(affinity.cores())),
        }

    def _load(self, _: None, keep_alive: KeepAlive) -> dict[str, Any]:
        """Load and test the kernel in a thread: to compile it takes half a minute on a small machine."""

        def attempt() -> tuple[Kernel, bool]:
            kernel = load("auto", self._cache_folder, self._note)
            return kernel, kernel.self_test()

        with futures.ThreadPoolExecutor(1) as pool:
            loading = pool.submit(attempt)
            while futures.wait([loading], KEEP_ALIVE_SECONDS).not_done:
                keep_alive()
        self._kernel, right = loading.result()
        return {"kernel": self._kernel.name, "kernel_warning": self._kernel.warning, "right": right}

    def _count(self, observers: list[int], _: KeepAlive) -> dict[str, Any]:
        """Count for a second; observers also read the state of their host, before that and halfway."""
        if self._kernel is None:
            return {}  # the problem is known to rank 0
        observing = self._comm.rank in observers
        idle = machine.state() if observing else None
        loaded = None
        points, seconds, cpu_seconds, fastest = 0, 0.0, 0.0, 0.0
        for part in range(PARTS):
            start, cpu_start = time.perf_counter(), time.thread_time()
            counted = _points_in(self._kernel, COUNT_SECONDS / PARTS)
            cpu = time.thread_time() - cpu_start
            seconds += time.perf_counter() - start
            points, cpu_seconds, fastest = points + counted, cpu_seconds + cpu, max(fastest, counted / cpu)
            if observing and part == PARTS // 2 - 1:
                loaded = machine.state()
        return {
            "points_per_second": points / seconds,
            "points_per_cpu_second": fastest,
            "core_share": cpu_seconds / seconds,
            "idle": idle and asdict(idle),
            "loaded": loaded and asdict(loaded),
        }

    def _answer(self, _: None, __: KeepAlive) -> None:
        pingpong.answer(self._comm)


def _points_in(kernel: Kernel, seconds: float) -> int:
    """Return how many points the kernel counts in that time."""
    deadline = time.perf_counter() + seconds
    team = ThreadTeam(kernel, 1, lambda: time.perf_counter() > deadline)
    # More than can be counted in the time, in units of which even the slowest kernel finishes many.
    job = Job(trials=1 << 40, points=(1 << 16) // kernel.units_at_once, seed=0)
    tally, _ = team.count(job, range(job.units))
    return tally.points
