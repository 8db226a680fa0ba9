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
from mpi_pi.bell import Bell
from mpi_pi.crew import Crew
from mpi_pi.job import Job
from mpi_pi.kernels import Kernel, load
from mpi_pi.part import Part, Spent
from mpi_pi.reference import STREAM_VERSION, never
from mpi_pi.result import Member, RankRow, Result, Timeline, TimelineRow
from mpi_pi.schedule import Schedule, deal
from mpi_pi.tally import Tally
from mpi_pi.waiting import allgather, wait

with launcher.embedded_defaults():
    from mpi4py import MPI  # this initialises MPI

STARTUP_SECONDS = launcher.seconds_since_process_start()
HOST = MPI.Get_processor_name()

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
    part: Part
    """How far the part of the job has got, this round included."""
    unit_hits: NDArray[np.int64] | None
    """Hits of each unit of this round, on rank 0, if `run` was asked for them."""


def world() -> MPI.Intracomm:
    """The communicator of all ranks that were launched together."""
    return MPI.COMM_WORLD


def run(
    work: Job | Part,
    comm: MPI.Intracomm,
    *,
    kernel: Kernel | str = "auto",
    threads: int = 1,
    on_round: Callable[[Round], None] | None = None,
    stop: Callable[[], bool] = never,
    unit_hits: bool = False,
) -> Result:
    """Count a job, or what is left of a part of one, on all ranks of `comm` together.

    Every one of them has to call this, with the same work; `threads` may differ. `kernel` is one of
    `kernels.load`, or its name. `on_round` is called on every rank after each round, but not after one that
    was cut short. Once `stop()` turns true on a rank, all stop counting within a fraction of a second, and
    the run ends with a partial result: its `part` is where another run can go on. `unit_hits` collects the
    hits of every unit for `on_round` on rank 0.

    Returns the same result on all ranks, up to the rows of `Result.ranks`. Raises Failure on all ranks if
    something went wrong on one, be it in the kernel, in `on_round` or in the preflight checks.
    """
    if isinstance(kernel, str):
        kernel = load_kernel(comm, kernel)
    part = work if isinstance(work, Part) else Part(work)
    preflight(part, comm, kernel)
    running = _Run(part, comm, kernel, threads, on_round, stop, unit_hits)
    try:
        result = running.result()
    except Failure:  # on all ranks alike, so that they can still meet
        running.close()
        raise
    running.close()
    return result


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


def roll_call(comm: MPI.Intracomm, kernel: Kernel, threads: int) -> list[Member]:
    """Who takes part, by rank; on rank 0, elsewhere only this rank."""
    member = _member(kernel, threads)
    return comm.gather(member) or [member]


@functools.cache
def _member(kernel: Kernel, threads: int) -> Member:
    return Member(HOST, launcher.cpu_model(), kernel.name, kernel.target, threads)


def cores_for_each_rank(comm: MPI.Intracomm) -> int:
    """How many cores this rank may use, if those that ranks of its host have in common are shared out."""
    cores = launcher.cores()
    on_host = comm.Split_type(MPI.COMM_TYPE_SHARED)
    shared_by = sum(bool(cores & theirs) for theirs in on_host.allgather(cores))
    on_host.Free()
    return max(len(cores) // shared_by, 1)


def distinct(comm: MPI.Intracomm, text: str) -> dict[str, list[int]]:
    """The different texts that ranks have, each with those ranks; on rank 0, elsewhere nothing."""
    ranks: dict[str, list[int]] = {}
    for rank, theirs in enumerate(comm.gather(text) or []):
        ranks.setdefault(theirs, []).append(rank)
    return ranks


def preflight(part: Part, comm: MPI.Intracomm, kernel: Kernel) -> None:
    """Make sure that all ranks are about to do the same, and can. Raises Failure with all offenders."""
    left = f"units {part.left.start} to {part.left.stop}"
    agree(comm, f"mpi-pi {mpi_pi.__version__}, stream {STREAM_VERSION}, {part.job}, {left}")
    together(comm, lambda: _check(kernel))


def agree(comm: MPI.Intracomm, plan: str) -> None:
    """Raise Failure unless all ranks have the same plan, in words; it names those that differ from most."""
    digest = int.from_bytes(hashlib.sha256(plan.encode()).digest()[:7])
    digests = allgather(comm, np.array([digest], np.int64))[:, 0]
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

    # Columns of a row of the message that every rank sends to all after each round; a tally follows. The CPU
    # times are those of the process so far.
    FAILED, STOPPED, WRONG, POINTS, COUNT_NS, WAIT_NS, UNITS, USER_NS, SYSTEM_NS, TALLY = range(10)

    def __init__(
        self,
        part: Part,
        comm: MPI.Intracomm,
        kernel: Kernel,
        threads: int,
        on_round: Callable[[Round], None] | None,
        stop: Callable[[], bool],
        unit_hits: bool,
    ) -> None:
        self.job, self.comm, self.kernel = part.job, comm, kernel
        self.before, self.part, self.counted = part.spent, part, part.tally
        self.on_round, self.unit_hits = on_round, unit_hits
        most_units = MOST_UNIT_HITS if unit_hits else None
        self.threads = allgather(comm, np.array([threads], np.int64))[:, 0]
        self.schedule = Schedule(part.job, part.left, self.threads, most_units)
        self.bell = Bell(comm, stop)
        self.crew = Crew(kernel, threads, self.bell)
        self.kernels_right = True
        self.core_ns = 0
        """Of all ranks together."""
        self.own = np.zeros(3, np.int64)
        """Units, points and nanoseconds of this rank."""
        self.timeline = Timeline()
        self.rounds = 0
        self.wait_ns = 0
        self.problem: Exception | None = None

    def close(self) -> None:
        """All ranks together."""
        self.crew.close()
        self.bell.close()

    def result(self) -> Result:
        wait(self.comm.Ibarrier())  # start the clocks together
        self.start = time.perf_counter()
        stopped = False
        while not stopped:
            units, weights = self.schedule.next_round()
            if not units:
                break
            stopped = self._round(units, weights)
        # An error of on_round after the last round has not been told to the others yet.
        _fail_together(self.comm, self.problem)
        return self._summary(self._seconds())

    def _round(self, units: range, weights: NDArray[np.int64]) -> bool:
        """Work off a round; true if the run is to stop."""
        start = time.perf_counter_ns()
        mine, hits, right = Tally(), np.zeros(0, np.int64), True
        if self.problem is None:
            try:
                share = deal(self.job, units, weights, self.comm.rank)
                mine, hits = self.crew.count(self.job, share, self.unit_hits)
                right = self.kernel.is_right()
            except Exception as error:
                self.problem = error
        if self.problem is not None:
            self.bell.ring()
        counted = time.perf_counter_ns()
        everyone = allgather(self.comm, self._message(mine, counted - start, right), self.bell)
        self.wait_ns = time.perf_counter_ns() - counted

        if everyone[:, self.FAILED].any():
            _fail_together(self.comm, self.problem)
        self._take_in(everyone, units, weights)
        done = int(everyone[:, self.UNITS].sum())
        stopped = bool(everyone[:, self.STOPPED].any())
        if done == len(units):
            self._tell(units, everyone[:, self.UNITS], hits)
        elif not stopped:
            raise Failure(f"only {done} of the {len(units)} units of a round were counted")
        return stopped

    def _message(self, mine: Tally, count_ns: int, right: bool) -> NDArray[np.int64]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        message = np.zeros(self.TALLY + 6, np.int64)
        message[self.FAILED] = self.problem is not None
        message[self.STOPPED] = self.bell.rung
        message[self.WRONG] = not right
        message[self.POINTS] = mine.points
        message[self.COUNT_NS] = count_ns
        message[self.WAIT_NS] = self.wait_ns
        message[self.UNITS] = mine.units
        message[self.USER_NS] = int(usage.ru_utime * 1e9)
        message[self.SYSTEM_NS] = int(usage.ru_stime * 1e9)
        message[self.TALLY :] = tally.pack(self.job, mine)
        return message

    def _take_in(self, everyone: NDArray[np.int64], units: range, weights: NDArray[np.int64]) -> None:
        """Add up what all ranks report of a round."""
        self.schedule.learn(everyone[:, self.POINTS], everyone[:, self.COUNT_NS], everyone[:, self.WAIT_NS])
        mine = everyone[self.comm.rank]
        self.own += mine[[self.UNITS, self.POINTS, self.COUNT_NS]]
        self.rounds += 1
        self.core_ns += int((everyone[:, self.COUNT_NS] * self.threads).sum())
        if self.comm.rank == 0:
            self.timeline.append(
                TimelineRow(
                    self.rounds - 1,
                    self.rounds - 1,
                    everyone[:, self.UNITS],
                    everyone[:, self.POINTS],
                    everyone[:, self.COUNT_NS],
                )
            )
        self.counted += self._sum(everyone)
        self.kernels_right = self.kernels_right and not everyone[:, self.WRONG].any()
        if not self.kernels_right:
            return  # nobody shall go on from what may be wrong
        self.part = Part(
            self.part.job,
            self.part.index,
            self.part.of,
            self.part.tally + self._sum(everyone[: self._ranks_in_line(everyone, units, weights)]),
            self.before
            + self._spent(*(everyone[:, [self.USER_NS, self.SYSTEM_NS]].sum(axis=0) / 1e9).tolist()),
        )

    def _sum(self, rows: NDArray[np.int64]) -> Tally:
        sums = rows[:, self.TALLY :].astype(object).sum(axis=0)  # Python integers: no overflow
        return tally.unpack(self.job, sums)

    def _ranks_in_line(self, everyone: NDArray[np.int64], units: range, weights: NDArray[np.int64]) -> int:
        """How many ranks, from the first on, have counted units that follow on each other without a gap."""
        for rank in range(self.comm.size) if everyone[:, self.STOPPED].any() else ():
            if everyone[rank, self.UNITS] < len(deal(self.job, units, weights, rank)):
                return rank + 1  # a rank counts its share from the front
        return self.comm.size

    def _spent(self, user_seconds: float, system_seconds: float) -> Spent:
        """What this run has cost so far, given the CPU time."""
        return Spent(
            runs=1,
            rounds=self.rounds,
            real_seconds=launcher.seconds_since_process_start(),
            round_seconds=self._seconds(),
            core_seconds=self.core_ns / 1e9,
            user_seconds=user_seconds,
            system_seconds=system_seconds,
        )

    def _seconds(self) -> float:
        return time.perf_counter() - self.start

    def _tell(self, units: range, units_by_rank: NDArray[np.int64], hits: NDArray[np.int64]) -> None:
        """Call `on_round`; what it raises is told to the others in the next exchange."""
        if self.on_round is None:
            return
        collected = self._collect(units_by_rank, hits) if self.unit_hits else None
        try:
            self.on_round(Round(self.rounds - 1, units, self.part, collected))
        except Exception as error:
            self.problem = error

    def _collect(self, units_by_rank: NDArray[np.int64], hits: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The hits of all units of a round, in order, on rank 0."""
        if self.comm.rank != 0:
            wait(self.comm.Igatherv(hits, None))
            return None
        collected = np.empty(int(units_by_rank.sum()), np.int64)
        wait(self.comm.Igatherv(hits, [collected, units_by_rank.tolist()]))
        return collected

    def _summary(self, seconds: float) -> Result:
        right = together(self.comm, self.kernel.is_right)
        kernels_right = allgather(self.comm, np.array([right], np.int64))
        row = self._row(seconds)
        rows = self.comm.gather(row) or [row]
        return Result(
            part=self.part,
            tally=self.counted,
            spent=self.before
            + self._spent(sum(r.user_seconds for r in rows), sum(r.system_seconds for r in rows)),
            ranks=tuple(rows),
            timeline=self.timeline,
            rounds=self.rounds,
            kernels_right=self.kernels_right and bool(kernels_right.all()),
            mpi_library=library_name(),
        )

    def _row(self, seconds: float) -> RankRow:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        units, points, nanoseconds = map(int, self.own)
        count_seconds = nanoseconds / 1e9
        return RankRow(
            rank=self.comm.rank,
            member=_member(self.kernel, self.crew.threads),
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
    flags = allgather(comm, np.array([problem is not None], np.int64))
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
