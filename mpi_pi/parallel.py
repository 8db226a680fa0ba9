"""The job on many ranks: share, count, reduce. The only module that knows MPI.

All ranks do the same things in the same order. Whatever goes wrong on one of them is told to all in the next
exchange and raised on all, so that nobody is left waiting.
"""

import functools
import hashlib
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

import mpi_pi
from mpi_pi import launcher, tally
from mpi_pi.job import Job
from mpi_pi.kernels import Kernel, load
from mpi_pi.reference import STREAM_VERSION, never
from mpi_pi.result import Member, RankRow, Result, Timeline, TimelineRow
from mpi_pi.schedule import Schedule, deal, first_chunk
from mpi_pi.tally import Tally

with launcher.embedded_defaults():
    from mpi4py import MPI  # this initialises MPI

STARTUP_SECONDS = launcher.seconds_since_process_start()
HOST = MPI.Get_processor_name()

CHUNK_SECONDS = 0.02
"""How often a rank looks up from counting: mpirun gives an interrupted one 0.2 s for its last word."""

MOST_UNIT_HITS = 1 << 20
"""Units in a round at most when rank 0 collects the hits of each: 8 MiB."""

T = TypeVar("T")


class Failure(RuntimeError):
    """Something went wrong on some ranks. Raised on all of them alike; names rank and host, a line each."""


@dataclass(frozen=True)
class Round:
    """A round that is done, as told to the caller of `run`, alike on every rank."""

    number: int
    units: range
    tally: Tally
    """Of everything counted so far, this round included."""
    unit_hits: NDArray[np.int64] | None
    """Hits of each unit of this round, on rank 0, if `run` was asked for them."""


def world() -> MPI.Intracomm:
    """The communicator of all ranks that were launched together."""
    return MPI.COMM_WORLD


def run(
    job: Job,
    comm: MPI.Intracomm,
    *,
    kernel: Kernel | str = "auto",
    on_round: Callable[[Round], None] | None = None,
    stop: Callable[[], bool] = never,
    unit_hits: bool = False,
) -> Result:
    """Count `job` on all ranks of `comm` together; every one of them has to call this, with the same job.

    `kernel` is one of `kernels.load`, or its name. `on_round` is called on every rank after each round, but
    not after one that was cut short. A rank on which `stop()` turns true stops counting within a fraction of
    a second; the others finish their shares of the round, and the run ends with a partial result.
    `unit_hits` collects the hits of every unit for `on_round` on rank 0.

    Returns the same result on all ranks, up to the rows of `Result.ranks`. Raises Failure on all ranks if
    something went wrong on one, be it in the kernel, in `on_round` or in the preflight checks.
    """
    if isinstance(kernel, str):
        kernel = load_kernel(comm, kernel)
    preflight(job, comm, kernel)
    return _Run(job, comm, kernel, on_round, stop, unit_hits).result()


def load_kernel(comm: MPI.Intracomm, name: str, cache_folder: Path | None = None) -> Kernel:
    """`kernels.load` on every rank. Raises Failure on all if one cannot have it."""
    return together(comm, lambda: load(name, cache_folder))


def together(comm: MPI.Intracomm, action: Callable[[], T]) -> T:
    """Do something on every rank, each for itself; if it raises anywhere, Failure is raised everywhere."""
    problem: Exception | None = None
    try:
        value = action()
    except Exception as error:
        problem = error
    _fail_together(comm, problem)
    return value


def from_rank_0(comm: MPI.Intracomm, action: Callable[[], T]) -> T:
    """What `action` returns on rank 0, the only one to do it, for all; or Failure for all."""
    value: T | None = None
    problem: Exception | None = None
    if comm.rank == 0:
        try:
            value = action()
        except Exception as error:
            problem = error
    _fail_together(comm, problem)
    agreed: T = comm.bcast(value)
    return agreed


def roll_call(comm: MPI.Intracomm, kernel: Kernel) -> list[Member]:
    """Who takes part, by rank; on rank 0, elsewhere only this rank."""
    return comm.gather(_member(kernel)) or [_member(kernel)]


@functools.cache
def _member(kernel: Kernel) -> Member:
    return Member(HOST, launcher.cpu_model(), kernel.name, kernel.target)


def distinct(comm: MPI.Intracomm, text: str) -> dict[str, list[int]]:
    """The different texts that ranks have, each with those ranks; on rank 0, elsewhere nothing."""
    ranks: dict[str, list[int]] = {}
    for rank, theirs in enumerate(comm.gather(text) or []):
        ranks.setdefault(theirs, []).append(rank)
    return ranks


def preflight(job: Job, comm: MPI.Intracomm, kernel: Kernel) -> None:
    """Make sure that all ranks are about to do the same, and can. Raises Failure with all offenders."""
    agree(comm, f"mpi-pi {mpi_pi.__version__}, stream {STREAM_VERSION}, {job}")
    together(comm, lambda: _check(kernel))


def agree(comm: MPI.Intracomm, plan: str) -> None:
    """Raise Failure unless all ranks have the same plan, in words; it names those that differ from most."""
    digest = int.from_bytes(hashlib.sha256(plan.encode()).digest()[:7])
    digests = _allgather(comm, np.array([digest], np.int64))[:, 0]
    kinds, counts = np.unique(digests, return_counts=True)
    if len(kinds) == 1:
        return
    common = kinds[counts.argmax()]
    norm = comm.bcast(plan, root=int((digests == common).argmax()))
    differs = RuntimeError(f"is set to do {plan}, where most ranks do {norm}")
    _fail_together(comm, None if digest == common else differs)


def _check(kernel: Kernel) -> None:
    if not kernel.is_right():
        raise RuntimeError(f"kernel {kernel.name} fails the known-answer test")


def abort(comm: MPI.Intracomm) -> None:
    """End the job on all ranks, now, with status 1: for errors after which they cannot meet any more."""
    comm.Abort(1)


class _Run:
    """A run in progress."""

    # Columns of a row of the message that every rank sends to all after each round; a tally follows.
    FAILED, STOPPED, POINTS, COUNT_NS, WAIT_NS, UNITS, TALLY = range(7)

    def __init__(
        self,
        job: Job,
        comm: MPI.Intracomm,
        kernel: Kernel,
        on_round: Callable[[Round], None] | None,
        stop: Callable[[], bool],
        unit_hits: bool,
    ) -> None:
        self.job, self.comm, self.kernel = job, comm, kernel
        self.on_round, self.stop, self.unit_hits = on_round, stop, unit_hits
        most_units = MOST_UNIT_HITS if unit_hits else None
        self.schedule = Schedule(job, range(job.units), comm.size, most_units)
        self.total = Tally()
        self.own = np.zeros(3, np.int64)
        """Units, points and nanoseconds of this rank."""
        self.timeline = Timeline()
        self.rounds = 0
        self.wait_ns = 0
        self.points_per_chunk = 1 << 20
        self.problem: Exception | None = None

    def result(self) -> Result:
        _wait(self.comm.Ibarrier())  # start the clocks together
        start = time.perf_counter()
        stopped = False
        while not stopped:
            units, weights = self.schedule.next_round()
            if not units:
                break
            stopped = self._round(units, deal(self.job, units, weights, self.comm.rank))
        # An error of on_round after the last round has not been told to the others yet.
        _fail_together(self.comm, self.problem)
        seconds = time.perf_counter() - start
        return self._summary(seconds)

    def _round(self, units: range, share: range) -> bool:
        """Work off a round; true if the run is to stop."""
        start = time.perf_counter_ns()
        mine, hits = Tally(), [np.zeros(0, np.int64)]
        stopped = False
        if self.problem is None:
            try:
                mine, hits = self._count(share)
                stopped = self.stop()
            except Exception as error:
                self.problem = error
        counted = time.perf_counter_ns()

        message = np.zeros(self.TALLY + 6, np.int64)
        message[self.FAILED] = self.problem is not None
        message[self.STOPPED] = stopped
        message[self.POINTS] = mine.points
        message[self.COUNT_NS] = counted - start
        message[self.WAIT_NS] = self.wait_ns
        message[self.UNITS] = mine.units
        message[self.TALLY :] = tally.pack(self.job, mine)
        everyone = _allgather(self.comm, message)
        self.wait_ns = time.perf_counter_ns() - counted

        if everyone[:, self.FAILED].any():
            _fail_together(self.comm, self.problem)
        self._take_in(everyone)
        done = int(everyone[:, self.UNITS].sum())
        if done < len(units):
            if not everyone[:, self.STOPPED].any():
                raise Failure(f"only {done} of the {len(units)} units of a round were counted")
            return True
        self._tell(units, everyone[:, self.UNITS], np.concatenate(hits))
        return bool(everyone[:, self.STOPPED].any())

    def _count(self, share: range) -> tuple[Tally, list[NDArray[np.int64]]]:
        """Count a share chunk by chunk: the tally of what was finished before a stop, and its units' hits."""
        total, hits = Tally(), [np.zeros(0, np.int64)]
        left = share
        while left and not self.stop():
            chunk = first_chunk(self.job, left, self.points_per_chunk)
            start = time.perf_counter()
            counted = self.kernel.count(self.job, chunk, self.stop)
            seconds = time.perf_counter() - start
            done = range(chunk.start, chunk.start + len(counted))
            total += Tally.of(self.job, done, counted)
            if self.unit_hits:
                hits.append(counted)
            if len(counted) < len(chunk):
                break
            wanted = self.job.points_in(chunk) / max(seconds, 1e-6) * CHUNK_SECONDS
            self.points_per_chunk = max(min(int(wanted), 4 * self.points_per_chunk, 1 << 36), 1)
            left = range(chunk.stop, share.stop)
        return total, hits

    def _take_in(self, everyone: NDArray[np.int64]) -> None:
        """Add up what all ranks report of a round."""
        self.schedule.learn(everyone[:, self.POINTS], everyone[:, self.COUNT_NS], everyone[:, self.WAIT_NS])
        sums = everyone[:, self.TALLY :].astype(object).sum(axis=0)  # Python integers: no overflow
        self.total += tally.unpack(self.job, sums)
        mine = everyone[self.comm.rank]
        self.own += mine[[self.UNITS, self.POINTS, self.COUNT_NS]]
        if self.comm.rank == 0:
            self.timeline.append(
                TimelineRow(
                    self.rounds,
                    self.rounds,
                    everyone[:, self.UNITS],
                    everyone[:, self.POINTS],
                    everyone[:, self.COUNT_NS],
                )
            )
        self.rounds += 1

    def _tell(self, units: range, units_by_rank: NDArray[np.int64], hits: NDArray[np.int64]) -> None:
        """Call `on_round`; what it raises is told to the others in the next exchange."""
        if self.on_round is None:
            return
        collected = self._collect(units_by_rank, hits) if self.unit_hits else None
        try:
            self.on_round(Round(self.rounds - 1, units, self.total, collected))
        except Exception as error:
            self.problem = error

    def _collect(self, units_by_rank: NDArray[np.int64], hits: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The hits of all units of a round, in order, on rank 0."""
        if self.comm.rank != 0:
            _wait(self.comm.Igatherv(hits, None))
            return None
        collected = np.empty(int(units_by_rank.sum()), np.int64)
        _wait(self.comm.Igatherv(hits, [collected, units_by_rank.tolist()]))
        return collected

    def _summary(self, seconds: float) -> Result:
        right = together(self.comm, self.kernel.is_right)
        kernels_right = _allgather(self.comm, np.array([right], np.int64))
        row = self._row(seconds)
        rows = self.comm.gather(row)
        return Result(
            job=self.job,
            tally=self.total,
            ranks=tuple(rows or [row]),
            timeline=self.timeline,
            rounds=self.rounds,
            seconds=seconds,
            kernels_right=bool(kernels_right.all()),
            mpi_library=library_name(),
        )

    def _row(self, seconds: float) -> RankRow:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        units, points, nanoseconds = map(int, self.own)
        count_seconds = nanoseconds / 1e9
        return RankRow(
            rank=self.comm.rank,
            member=_member(self.kernel),
            kernel_source=self.kernel.source,
            units=units,
            points=points,
            startup_seconds=STARTUP_SECONDS,
            kernel_seconds=self.kernel.seconds,
            count_seconds=count_seconds,
            wait_seconds=max(seconds - count_seconds, 0.0),
            user_seconds=usage.ru_utime,
            system_seconds=usage.ru_stime,
            peak_memory_bytes=usage.ru_maxrss * 1024,
        )


def library_name() -> str:
    """The MPI library with its version, in a few words."""
    version = MPI.Get_library_version().strip("\0").strip()
    # "Open MPI v5.0.11, package: …" or "MPICH Version:      5.0.2", and more lines.
    return " ".join(version.splitlines()[0].split(",")[0].replace("Version:", "").split())


def _fail_together(comm: MPI.Intracomm, problem: Exception | None) -> None:
    """Raise Failure on all ranks if there is a problem on any; it names all who have it."""
    flags = _allgather(comm, np.array([problem is not None], np.int64))
    if not flags.any():
        return
    who_by_problem: dict[str, list[str]] = {}
    for rank, (host, text) in enumerate(comm.allgather((HOST, problem and _in_words(problem)))):
        if text:
            who_by_problem.setdefault(text, []).append(f"rank {rank} on host {host}")
    raise Failure("\n".join(f"{', '.join(who)}: {text}" for text, who in who_by_problem.items())) from problem


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).split())
    expected = isinstance(error, OSError | RuntimeError | ValueError) and text
    return text if expected else f"{type(error).__name__}: {text}"


def _allgather(comm: MPI.Intracomm, row: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of all ranks, shape (ranks, columns)."""
    everyone = np.empty((comm.size, row.size), np.int64)
    _wait(comm.Iallgather(row, everyone))
    return everyone


def _wait(request: MPI.Request) -> None:
    """Wait without taking the core from a rank that counts on it.

    MPI's own waiting burns the core, which is ruinous where there are more ranks than cores. After 0.2 ms of
    that this one sleeps, for an eighth of what it has waited so far.
    """
    start = time.perf_counter()
    while not request.Test():
        waited = time.perf_counter() - start
        if waited > 2e-4:
            time.sleep(min(waited / 8, 1e-3))
