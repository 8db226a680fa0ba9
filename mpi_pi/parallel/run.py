"""The job on many ranks: share, count, reduce.

All ranks do the same things in the same order. Whatever goes wrong on one of them is told to all in the next
exchange and raised on all, so that nobody is left waiting.
"""

import hashlib
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mpi_pi import timestamps
from mpi_pi.errors import MpiPiError
from mpi_pi.formatting import format_some
from mpi_pi.kernel.loader import Kernel, ignore, load
from mpi_pi.kernel.reference import never
from mpi_pi.model import tally
from mpi_pi.model.job import Job
from mpi_pi.model.result import RankInfo, RankStats, Result, Timeline
from mpi_pi.model.shard import Shard
from mpi_pi.model.tally import Tally
from mpi_pi.mpi import hydra
from mpi_pi.mpi.heartbeat import Heartbeat, HeartbeatTimeout
from mpi_pi.mpi.requests import allgather, wait
from mpi_pi.mpi.stop import Bell
from mpi_pi.parallel.manager import REPORT_COLUMNS, Assignment, Manager, WorkResult
from mpi_pi.parallel.threads import ThreadTeam
from mpi_pi.system import affinity, cpu
from mpi_pi.version import STREAM_VERSION, __version__

timestamps.mark("imported")
from mpi_pi.mpi.runtime import HOST, MPI, STARTUP_SECONDS, may_use_threads  # noqa: E402  # this starts MPI

MAX_UNIT_HITS = 1 << 20
"""Units in a round at most when rank 0 collects the hits of each: 8 MiB."""

ABORT_SECONDS = 10

T = TypeVar("T")


class CollectiveError(RuntimeError):
    """Something went wrong on some ranks. Raised on all of them alike; names rank and host, a line each."""


class Interrupted(HeartbeatTimeout):
    """A silence during a run."""

    def __init__(self, why: str, result: Result | None) -> None:
        super().__init__(why)
        self.result = result
        """What was counted in rounds that were complete by then, on rank 0."""


@dataclass(frozen=True)
class Round:
    """A round that is done, as told to the caller of `run`."""

    number: int
    units: range
    part: Shard | None
    """How far the part of the job has got, this round included; on rank 0."""
    unit_hits: NDArray[np.int64] | None
    """Hits of each unit of this round, on rank 0, if `run` was asked for them."""


def world() -> MPI.Intracomm:
    """The communicator of all ranks that were launched together."""
    return MPI.COMM_WORLD


def run(
    work: Job | Shard,
    comm: MPI.Intracomm,
    *,
    kernel: Kernel | str = "auto",
    threads: int = 1,
    on_round: Callable[[Round], None] | None = None,
    stop: Callable[[], bool] = never,
    unit_hits: bool = False,
    most_units: int | None = None,
    member: RankInfo | None = None,
    alive: Heartbeat | None = None,
) -> Result:
    """Count a job, or what is left of a part of one, on all ranks of `comm` together.

    Every one of them has to call this, with the same work; `threads` may differ. `kernel` is one of
    `loader.load`, or its name. `on_round` is called on every rank after each round, but not after one that
    was cut short. Once `stop()` turns true on a rank, all stop counting within a fraction of a second, and
    the run ends with a partial result: its `part` is where another run can go on. `unit_hits` collects the
    hits of every unit for `on_round` on rank 0. A round has `most_units` at most.
    `member` is what `gather_rank_info` has told of this rank, if it has been asked. `alive` watches over the
    ranks already, if something does.

    Returns the same result on all ranks, up to the rows of `Result.ranks`. Raises CollectiveError on all
    ranks if something went wrong on one, be it in the kernel, in `on_round` or in the preflight checks; where
    `on_round` or `stop` raised what is no Exception, such as KeyboardInterrupt, that rank gets this back. And
    raises Interrupted if other ranks have not been heard of for a minute: the ranks cannot meet any more.
    """
    if isinstance(kernel, str):
        kernel = load_kernel(comm, kernel)
    part = work if isinstance(work, Shard) else Shard(work)
    preflight(part, comm, kernel)
    if unit_hits:
        most_units = min(most_units or MAX_UNIT_HITS, MAX_UNIT_HITS)
    running = _Run(part, comm, kernel, threads, on_round, stop, unit_hits, most_units, member, alive)
    try:
        result = running.result()
        running.close()
    except HeartbeatTimeout as silence:
        raise Interrupted(str(silence), running.own_result() if running.rounds else None) from silence
    except BaseException as error:
        if (
            isinstance(error, CollectiveError) or error is running.problem
        ):  # all ranks know, and can still meet
            running.close()
        elif alive is None:
            running.pulse.stop()  # for the others to notice that this rank has left
        raise
    return result


def load_kernel(
    comm: MPI.Intracomm,
    name: str,
    cache_folder: Path | None = None,
    tell: Callable[[str], object] = ignore,
) -> Kernel:
    """`loader.load` on every rank. Raises CollectiveError on all if one cannot have it."""
    return call_on_all(comm, lambda: load(name, cache_folder, tell))


def call_on_all(comm: MPI.Intracomm, action: Callable[[], T], meanwhile: Callable[[], object] = never) -> T:
    """Do something on every rank, each for itself; if it raises anywhere, Failure is raised everywhere.

    Those that are done wait for the others, without taking their cores, and call `meanwhile` again and again.
    """
    problem: BaseException | None = None
    try:
        value = action()
    except HeartbeatTimeout:
        raise  # the ranks cannot meet any more
    except BaseException as error:
        problem = error
    _fail_together(comm, problem, meanwhile)
    return value


def bcast_from_root(comm: MPI.Intracomm, action: Callable[[], T]) -> T:
    """What `action` returns on rank 0, the only one to do it, for all; or Failure for all.

    The others wait without taking their cores.
    """
    value: T | None = None
    problem: BaseException | None = None
    if comm.rank == 0:
        try:
            value = action()
        except BaseException as error:
            problem = error
    _fail_together(comm, problem)
    return _bcast(comm, value, never)


def gather_rank_info(comm: MPI.Intracomm, kernel: Kernel, threads: int) -> list[RankInfo]:
    """Who takes part, by rank, on rank 0; elsewhere only this rank."""
    member = _member(comm, kernel, threads)
    return comm.gather(member) or [member]


def _member(comm: MPI.Intracomm, kernel: Kernel, threads: int) -> RankInfo:
    """Who this rank is; all ranks together."""
    workers = _on_host(comm, (affinity.cores(), threads))
    words = affinity.in_words(workers, affinity.online_cores())
    return RankInfo(HOST, cpu.cpu_model(), kernel.name, kernel.target, threads, words)


def _on_host(comm: MPI.Intracomm, value: T) -> list[T]:
    """What the ranks of this host have, by rank; all ranks together."""
    on_host = comm.Split_type(MPI.COMM_TYPE_SHARED)
    values = on_host.allgather(value)
    on_host.Free()
    return values


def cores_for_each_rank(comm: MPI.Intracomm) -> int:
    """How many cores this rank may use, if those that ranks of its host have in common are shared out."""
    cores = affinity.cores()
    shared_by = sum(bool(cores & theirs) for theirs in _on_host(comm, cores))
    return max(len(cores) // shared_by, 1)


def unique_by_rank(comm: MPI.Intracomm, text: str) -> list[str]:
    """The different texts that ranks have, and who has each; on rank 0, elsewhere nothing."""
    ranks: dict[str, list[int]] = {}
    for rank, theirs in enumerate(comm.gather(text) or []):
        ranks.setdefault(theirs, []).append(rank)
    return [
        f"rank {format_some([str(rank) for rank in those], 1)}: {theirs}"
        for theirs, those in ranks.items()
        if theirs
    ]


def preflight(part: Shard, comm: MPI.Intracomm, kernel: Kernel) -> None:
    """Make sure that all ranks are about to do the same, and can.

    Raises CollectiveError with all offenders.
    """
    left = f"units {part.remaining.start} to {part.remaining.stop}"
    require_identical(comm, f"mpi-pi {__version__}, stream {STREAM_VERSION}, {part.job}, {left}")
    call_on_all(comm, lambda: _check(kernel))


def require_identical(comm: MPI.Intracomm, plan: str) -> None:
    """Raise Failure unless all ranks have the same plan, in words; it names those that differ from most."""
    # Names of files as the bytes that they are, which may be no text.
    digest = int.from_bytes(hashlib.sha256(os.fsencode(plan)).digest()[:7])
    digests = allgather(comm, np.array([digest], np.int64))[:, 0]
    kinds, counts = np.unique(digests, return_counts=True)
    if len(kinds) == 1:
        return
    common = kinds[counts.argmax()]
    norm = comm.bcast(plan, root=int((digests == common).argmax()))
    differs = RuntimeError(f"is set to do {plan}, where most ranks do {norm}")
    _fail_together(comm, None if digest == common else differs)


def _check(kernel: Kernel) -> None:
    if not kernel.self_test():
        raise RuntimeError(f"kernel {kernel.name} fails the known-answer test")


def abort(comm: MPI.Intracomm, status: int) -> None:
    """End the job on all ranks, now: for errors after which they cannot meet any more."""
    time.sleep(hydra.LAST_WORD_SECONDS)
    signal.alarm(ABORT_SECONDS)  # MPI may wait for a host that is out of reach
    comm.Abort(status)


class _Run:
    """A run in progress."""

    def __init__(
        self,
        part: Shard,
        comm: MPI.Intracomm,
        kernel: Kernel,
        threads: int,
        on_round: Callable[[Round], None] | None,
        stop: Callable[[], bool],
        unit_hits: bool,
        most_units: int | None,
        member: RankInfo | None,
        alive: Heartbeat | None,
    ) -> None:
        self.job, self.comm, self.kernel = part.job, comm, kernel
        self.on_round, self.unit_hits = on_round, unit_hits
        self.row = self._row(member or _member(comm, kernel, threads))
        self.rows: list[RankStats] | None = comm.gather(self.row)
        """Of all ranks, on rank 0."""
        self.next_unit = part.remaining.start
        self.planner = (
            Manager(part, [row.info.threads for row in self.rows], most_units) if self.rows else None
        )
        """On rank 0."""
        self.signs = comm.Dup()  # so that they are not taken for others
        self.bell = Bell(self.signs, stop)
        self.pulse = alive or Heartbeat(self.signs, HOST, may_use_threads())
        self.own_pulse = alive is None
        self.crew = ThreadTeam(kernel, threads, self._look)
        self.own = np.zeros(4, np.int64)
        """Units, points, hits and nanoseconds of this rank."""
        self.kernel_right = True
        self.rounds = 0
        self.wait_ns = 0
        self.problem: BaseException | None = None

    def close(self) -> None:
        """All ranks together."""
        self.crew.close()
        self.bell.close(self._look)
        if self.own_pulse:
            self.pulse.close()
        self.signs.Free()

    def result(self) -> Result:
        wait(self.comm.Ibarrier(), self._look)  # start the clocks together
        timestamps.mark("start")
        start = time.perf_counter()
        order = self._exchange_order(None)
        while order[Assignment.UNITS]:
            order = self._round(order)
        timestamps.mark("end")
        # An error of on_round after the last round has not been told to the others yet.
        _fail_together(self.comm, self.problem, self._look)
        return self._summary(time.perf_counter() - start)

    def _look(self) -> bool:
        """What a rank does again and again while it counts, or waits for others; whether it is to stop."""
        self.pulse.check()
        return self.bell()

    def _round(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Work off a round; the order for the next."""
        start = counted = time.perf_counter_ns()
        units = range(self.next_unit, self.next_unit + int(order[Assignment.UNITS]))
        share = units[int(order[Assignment.START]) : int(order[Assignment.STOP])]
        mine, hits, right = Tally(), np.zeros(0, np.int64), True
        if self.problem is None:
            try:
                mine, hits = self.crew.count(self.job, share, self.unit_hits)
                counted = time.perf_counter_ns()
                right = self.kernel.self_test()
            except HeartbeatTimeout:
                raise
            except BaseException as error:
                self.problem = error
        if self.problem is not None:
            self.bell.ring()
        checked = time.perf_counter_ns()
        report = self._report(mine, counted - start, right)
        everyone = self._gather(report)
        order = self._exchange_order(everyone)
        self.wait_ns = time.perf_counter_ns() - checked

        if order[Assignment.FAILED]:
            _fail_together(self.comm, self.problem, self._look)
        self.own += [mine.units, mine.points, mine.hits, counted - start]
        self.kernel_right = self.kernel_right and right
        self.rounds += 1
        self.next_unit = units.stop
        if order[Assignment.DONE] == len(units):
            self._tell(units, everyone, hits)
        elif not order[Assignment.STOPPED]:
            raise CollectiveError(
                f"only {order[Assignment.DONE]} of the {len(units)} units of a round were counted"
            )
        return order

    def _report(self, mine: Tally, count_ns: int, right: bool) -> NDArray[np.int64]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        report = np.zeros(REPORT_COLUMNS, np.int64)
        report[WorkResult.FAILED] = self.problem is not None
        report[WorkResult.STOPPED] = self.bell.rung
        report[WorkResult.WRONG] = not right
        report[WorkResult.POINTS] = mine.points
        report[WorkResult.COUNT_NS] = count_ns
        report[WorkResult.WAIT_NS] = self.wait_ns
        report[WorkResult.UNITS] = mine.units
        report[WorkResult.USER_NS] = int(usage.ru_utime * 1e9)
        report[WorkResult.SYSTEM_NS] = int(usage.ru_stime * 1e9)
        report[WorkResult.PEAK_BYTES] = _peak_memory_bytes(usage)
        report[WorkResult.TALLY :] = tally.pack(self.job, mine)
        return report

    def _gather(self, report: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The reports of all ranks, shape (ranks, columns), on rank 0."""
        everyone = np.empty((self.comm.size, len(report)), np.int64) if self.planner else None
        wait(self.comm.Igather(report, everyone), self._look)
        return everyone

    def _exchange_order(self, everyone: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """The next order for this rank. Rank 0 makes them, from the reports of the round before."""
        orders = None
        if self.planner:
            orders = self.planner.begin() if everyone is None else self.planner.next(everyone)
        order = np.empty(len(Assignment), np.int64)
        wait(self.comm.Iscatter(orders, order), self._look)
        return order

    def _tell(self, units: range, everyone: NDArray[np.int64] | None, hits: NDArray[np.int64]) -> None:
        """Call `on_round`; what it raises is told to the others in the next exchange."""
        if self.on_round is None:
            return
        collected = self._collect(everyone, hits) if self.unit_hits else None
        try:
            part = self.planner.part if self.planner else None
            self.on_round(Round(self.rounds - 1, units, part, collected))
        except BaseException as error:
            self.problem = error

    def _collect(
        self, everyone: NDArray[np.int64] | None, hits: NDArray[np.int64]
    ) -> NDArray[np.int64] | None:
        """The hits of all units of a round, in order, on rank 0."""
        if everyone is None:
            wait(self.comm.Igatherv(hits, None), self._look)
            return None
        units_by_rank = everyone[:, WorkResult.UNITS]
        collected = np.empty(int(units_by_rank.sum()), np.int64)
        wait(self.comm.Igatherv(hits, [collected, units_by_rank.tolist()]), self._look)
        return collected

    def _summary(self, seconds: float) -> Result:
        """The result, for all ranks: what rank 0 has, with this rank's own row elsewhere."""
        own = self.own_result()
        common = _bcast(self.comm, own and replace(own, ranks=(), timeline=Timeline()), self._look)
        if own:
            return own
        units, points, hits, nanoseconds = map(int, self.own)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        row = replace(
            self.row,
            units=units,
            points=points,
            hits=hits,
            kernel_right=self.kernel_right,
            count_seconds=nanoseconds / 1e9,
            wait_seconds=max(seconds - nanoseconds / 1e9, 0.0),
            user_seconds=usage.ru_utime,
            system_seconds=usage.ru_stime,
            peak_memory_bytes=_peak_memory_bytes(usage),
        )
        return replace(common, ranks=(row,))

    def own_result(self) -> Result | None:
        """What came of all rounds that are complete, on rank 0, which needs no other rank for it."""
        if self.planner is None or self.rows is None:
            return None
        from mpi_pi.model.verdict import suspects  # which the other ranks do without

        rows = self.planner.rows(self.rows)
        now = timestamps.mark("summed")
        return Result(
            shard=self.planner.part,
            tally=self.planner.counted,
            usage=self.planner.spent(
                sum(row.user_seconds for row in rows), sum(row.system_seconds for row in rows), now
            ),
            ranks=rows,
            timeline=self.planner.timeline,
            rounds=self.planner.rounds,
            kernels_right=self.planner.kernels_right,
            mpi_library=library_name(),
            suspects=suspects(rows),
        )

    def _row(self, member: RankInfo) -> RankStats:
        """The row of this rank before any round."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return RankStats(
            rank=self.comm.rank,
            info=member,
            kernel_source=self.kernel.source,
            units=0,
            points=0,
            hits=0,
            kernel_right=True,
            startup_seconds=STARTUP_SECONDS,
            kernel_seconds=self.kernel.seconds,
            count_seconds=0.0,
            wait_seconds=0.0,
            user_seconds=usage.ru_utime,
            system_seconds=usage.ru_stime,
            peak_memory_bytes=_peak_memory_bytes(usage),
        )


def _bcast(comm: MPI.Intracomm, value: T | None, meanwhile: Callable[[], object]) -> T:
    """What rank 0 has, for all; nobody's core is taken by the waiting."""
    pickled = bytearray(pickle.dumps(value))
    size = np.array([len(pickled)], np.int64)
    wait(comm.Ibcast(size), meanwhile)
    if comm.rank:
        pickled = bytearray(int(size[0]))
    wait(comm.Ibcast(pickled), meanwhile)
    agreed: T = pickle.loads(pickled)  # noqa: S301  # a rank of this job has made it
    return agreed


def _peak_memory_bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes there, KiB elsewhere


def library_name() -> str:
    """The MPI library with its version, in a few words."""
    version = MPI.Get_library_version().strip("\0").strip()
    # "Open MPI v5.0.11, package: …" or "MPICH Version:      5.0.2", and more lines.
    return " ".join(version.splitlines()[0].split(",")[0].replace("Version:", "").split())


def _fail_together(
    comm: MPI.Intracomm, problem: BaseException | None, meanwhile: Callable[[], object] = never
) -> None:
    """Raise Failure on all ranks if there is a problem on any; it names all who have it.

    What is no Exception, such as SystemExit, is raised as it is on the rank that has it.
    """
    flags = allgather(comm, np.array([problem is not None], np.int64), meanwhile)
    if not flags.any():
        return
    who_by_problem: dict[str, list[str]] = {}
    for rank, (host, text) in enumerate(comm.allgather((HOST, problem and _in_words(problem)))):
        if text:
            who_by_problem.setdefault(text, []).append(f"rank {rank} on host {host}")
    if problem is not None and not isinstance(problem, Exception):
        raise problem
    raise CollectiveError(
        "\n".join(f"{', '.join(who)}: {text}" for text, who in who_by_problem.items())
    ) from problem


def _in_words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    expected = isinstance(error, MpiPiError | OSError | RuntimeError | ValueError) and text
    return text if expected else f"{type(error).__name__}: {text}"
