"""How a job scales on more and more ranks, and what a round costs them: measured on a communicator.

Rows of more and more ranks take turns; the ranks that a row leaves out sleep meanwhile.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from mpi_pi.bench import round_model, scaling
from mpi_pi.bench.median import MedianCI
from mpi_pi.bench.scaling import MAX_POINTS_PER_TRIAL, SEED, job_of, ladder, ranks_with_cores
from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.model.result import Result
from mpi_pi.mpi import pingpong
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.runtime import HOST
from mpi_pi.parallel.run import CollectiveError, call_on_all, run
from mpi_pi.system import affinity

if TYPE_CHECKING:
    from mpi4py import MPI

TELLING_SECONDS = 0.1
"""A job that takes so long tells how fast the ranks are."""

MIN_TURNS = 3
"""Whatever the budget."""

MIN_ROUNDS, MAX_ROUNDS = 20, 500
"""Of a point for each rank, in each turn."""

MAX_LINK_SECONDS = 0.3
"""Time enough for a link that is not too slow."""

Show = Callable[[float], object]
T = TypeVar("T")


class Effort(NamedTuple):
    """How much time is taken."""

    turns: int
    strong_seconds: float
    """How long the strong job takes on the first row; the others are faster, hopefully."""
    weak_seconds: float
    """How long the weak job takes at most."""
    budget_seconds: float
    """For all turns of both, whatever the number of rows."""
    rounds_seconds: float
    """For all turns of rounds; likewise the next."""
    links_seconds: float


QUICK = Effort(5, 1.0, 0.5, 20.0, 4.0, 1.0)
FULL = Effort(9, 4.0, 2.0, 110.0, 20.0, 5.0)


def scaling_section(everyone: "Everyone", kernel: Kernel, full: bool, show: Show) -> dict[str, Any]:
    """The member `scaling` of a benchmark, on rank 0; elsewhere nothing. All ranks together.

    Raises CollectiveError on all ranks, or pulse.HeartbeatTimeout.
    """
    return _scaling(everyone, kernel, FULL if full else QUICK, show)


def round_section(everyone: "Everyone", kernel: Kernel, full: bool, show: Show) -> dict[str, Any]:
    """The member `round` of a benchmark, on rank 0; elsewhere nothing. All ranks together.

    Raises CollectiveError on all ranks, or pulse.HeartbeatTimeout.
    """
    effort = FULL if full else QUICK
    rows = _rounds(everyone, kernel, effort, lambda done: show(done / 2))
    link = _slowest_link(everyone, effort)
    planner = everyone.on_rank_0(lambda: round_model.measure(full, lambda done: show((1 + done) / 2)))
    return round_model.section(rows, link, planner) if planner else {}


class _Row(NamedTuple):
    ranks: list[int]
    hosts: int
    comm: "MPI.Intracomm"
    """Of these ranks; on the others, of those others."""

    def with_seconds(self, seconds: Sequence[float]) -> scaling.Row:
        return scaling.Row(len(self.ranks), self.hosts, tuple(seconds))


class Everyone:
    """All ranks of `comm`: what they do together, and how those wait that are left out."""

    def __init__(self, comm: "MPI.Intracomm", alive: Heartbeat, oversubscribe: bool) -> None:
        self.comm, self.alive = comm, alive
        self.hosts: list[str] = comm.allgather(HOST)
        cores = comm.allgather(affinity.physical_cores(affinity.cores()))
        ranks = list(range(comm.size)) if oversubscribe else ranks_with_cores(self.hosts, cores)
        self.idle_ranks = comm.size - len(ranks)
        self.rows = [self._row(row) for row in ladder(self.hosts, ranks)]

    def _row(self, ranks: list[int]) -> _Row:
        comm = self.comm.Split(int(self.comm.rank in ranks), self.comm.rank)
        return _Row(ranks, len({self.hosts[rank] for rank in ranks}), cast("MPI.Intracomm", comm))

    def close(self) -> None:
        """All ranks together."""
        for row in self.rows:
            row.comm.Free()

    def on(self, row: _Row, action: Callable[["MPI.Intracomm"], T]) -> T | None:
        """What `action` gives on the ranks of a row; nothing on the others."""
        return self.on_ranks(row.ranks, lambda: action(row.comm))

    def on_rank_0(self, action: Callable[[], T]) -> T | None:
        """What `action` gives on rank 0; nothing on the others."""
        return self.on_ranks((0,), action)

    def on_ranks(self, ranks: Sequence[int], action: Callable[[], T]) -> T | None:
        """What `action` gives on these ranks; nothing on the others, which sleep meanwhile."""
        return call_on_all(self.comm, lambda: action() if self.comm.rank in ranks else None, self.alive.check)

    def agreed(self, value: T) -> T:
        """What rank 0 has, for all."""
        agreed: T = self.comm.bcast(value)
        return agreed


@contextmanager
def measuring(comm: "MPI.Intracomm", alive: Heartbeat, oversubscribe: bool) -> Iterator[Everyone]:
    """All ranks of `comm` together, which `alive` watches over.

    With `oversubscribe` even more of them measure than there are cores.
    """
    everyone = Everyone(comm, alive, oversubscribe)
    try:
        yield everyone
    except CollectiveError:  # on all ranks alike, so that they can still meet
        everyone.close()
        raise
    everyone.close()


def _turns(everyone: Everyone, effort: Effort) -> Iterator[int]:
    """0, 1, 2 … for as many turns as there are, or as the budget lasts for."""
    start = time.perf_counter()
    for done in range(effort.turns):
        if done >= MIN_TURNS:
            needed = (time.perf_counter() - start) * (done + 1) / done
            if everyone.agreed(needed > effort.budget_seconds):
                break
        yield done


def _scaling(everyone: Everyone, kernel: Kernel, effort: Effort, show: Show) -> dict[str, Any]:
    strong, weak = _jobs(everyone, kernel, effort)

    def count(row: _Row, job: Job) -> Result | None:
        return everyone.on(row, lambda comm: run(job, comm, kernel=kernel, alive=everyone.alive))

    for row in everyone.rows:  # which may have to make connections
        count(row, _times_as_large(weak, len(row.ranks) / 4))
    hits: set[int] = set()
    times = [_Times(row, [], []) for row in everyone.rows]
    for done in _turns(everyone, effort):
        for index, (row, strong_seconds, weak_seconds) in enumerate(times):
            if result := count(row, strong):
                hits.add(result.tally.hits)
                strong_seconds.append(_seconds(result))
            if result := count(row, _times_as_large(weak, len(row.ranks))):
                weak_seconds.append(_seconds(result))
            show((done + (index + 1) / len(times)) / effort.turns)
    show(1.0)  # the budget may have been enough for fewer turns
    if everyone.comm.rank:
        return {}
    return {
        "by": "ranks" if everyone.rows[-1].hosts == 1 else "hosts",
        "idle_ranks": everyone.idle_ranks,
        "same_hits": len(hits) == 1,
        "strong": scaling.strong(strong, [each.row.with_seconds(each.strong) for each in times]),
        "weak": scaling.weak(weak, [each.row.with_seconds(each.weak) for each in times]),
    }


class _Times(NamedTuple):
    """What a row took in each turn so far, on rank 0."""

    row: _Row
    strong: list[float]
    weak: list[float]


def _jobs(everyone: Everyone, kernel: Kernel, effort: Effort) -> tuple[Job, Job]:
    """The strong job, and the weak one for each rank."""
    first = everyone.rows[0]
    measured = everyone.on(first, lambda comm: _points_per_second(comm, kernel, everyone.alive))
    points_per_second = everyone.agreed(measured or 0.0)
    strong = job_of(points_per_second * effort.strong_seconds, len(everyone.rows[-1].ranks))
    # Should it scale as one hopes, the strong job takes no more than twice its first time in a turn.
    left = effort.budget_seconds / effort.turns - 2 * effort.strong_seconds
    weak_seconds = min(effort.weak_seconds, left / len(everyone.rows))
    return strong, job_of(points_per_second / len(first.ranks) * weak_seconds, 1)


def _points_per_second(comm: "MPI.Intracomm", kernel: Kernel, alive: Heartbeat) -> float:
    """Of all ranks of `comm` together, on a job that takes long enough to tell."""
    job = Job(comm.size, MAX_POINTS_PER_TRIAL, SEED)
    while True:
        seconds = run(job, comm, kernel=kernel, alive=alive).usage.round_seconds  # the same on all ranks
        if seconds > TELLING_SECONDS:
            return job.total_points / seconds
        job = _times_as_large(job, 8)


def _times_as_large(job: Job, times: float) -> Job:
    return Job(max(round(job.trials * times), 1), job.points, job.seed)


def _seconds(result: Result) -> float:
    """From the first order to the last report, on rank 0."""
    rows = result.timeline.records
    return rows[-1].end_seconds if rows else 0.0


def _rounds(everyone: Everyone, kernel: Kernel, effort: Effort, show: Show) -> list[dict[str, Any]]:
    """What a round costs besides counting, by row: by many rounds of a point for each rank."""
    rows = [row for row in everyone.rows if len(row.ranks) > 1] or everyone.rows
    seconds_each = effort.rounds_seconds / effort.turns / len(rows)

    def cost(row: _Row, rounds: int) -> float:
        result = everyone.on(row, lambda comm: _tiny_rounds(comm, kernel, rounds, everyone.alive))
        return _round_seconds(result) if result else 0.0

    numbers = []
    for row in rows:
        expected = everyone.agreed(cost(row, MIN_ROUNDS))
        numbers.append(min(max(int(seconds_each / max(expected, 1e-9)), MIN_ROUNDS), MAX_ROUNDS))
    costs: list[list[float]] = [[] for _ in rows]
    for done in range(effort.turns):
        for row, rounds, seconds in zip(rows, numbers, costs, strict=True):
            seconds.append(cost(row, rounds))
        show((done + 1) / effort.turns)
    return [
        {"ranks": len(row.ranks), "hosts": row.hosts, "seconds": MedianCI.of(seconds).as_fields()}
        for row, seconds in zip(rows, costs, strict=True)
    ]


def _tiny_rounds(comm: "MPI.Intracomm", kernel: Kernel, rounds: int, alive: Heartbeat) -> Result:
    return run(Job(comm.size * rounds, 1, SEED), comm, kernel=kernel, most_units=comm.size, alive=alive)


def _round_seconds(result: Result) -> float:
    """What the median round cost besides counting by its slowest rank, on rank 0; elsewhere 0.

    From order to order, since noise has a section of its own: a mean would be that of the few longest rounds.
    """
    costs = [
        (after.start_seconds - row.start_seconds - float(row.count_nanoseconds.max()) / 1e9)
        / (row.last_round - row.first_round + 1)
        for row, after in itertools.pairwise(result.timeline.records)
    ]
    return statistics.median(costs) if costs else 0.0


def _slowest_link(everyone: Everyone, effort: Effort) -> dict[str, Any] | None:
    """Of the links from rank 0 to other hosts or, on one host, to a rank, that of the highest latency."""
    ranks, hosts = everyone.rows[-1].ranks, everyone.hosts
    first_ranks = {hosts[rank]: rank for rank in reversed(ranks)}
    others = [rank for rank in sorted(first_ranks.values()) if rank > 0] or ranks[1:2]
    if not others:
        return None
    seconds = min(effort.links_seconds / len(others), MAX_LINK_SECONDS)
    links = [(_link(everyone, rank, seconds), hosts[rank]) for rank in others]
    measured = [(link, host) for link, host in links if link]
    if not measured:
        return None
    slowest, host = max(measured, key=lambda each: each[0].latency_seconds)
    return {
        "host": host,
        "latency_seconds": slowest.latency_seconds,
        "bytes_per_second": slowest.bytes_per_second,
    }


def _link(everyone: Everyone, rank: int, seconds: float) -> pingpong.Link | None:
    """The link between rank 0 and another rank, on rank 0."""
    comm, hosts = everyone.comm, everyone.hosts

    def exchange() -> pingpong.Link | None:
        try:
            if comm.rank == 0:
                return pingpong.measure(comm, rank, seconds)
            pingpong.answer(comm)
        except pingpong.PeerTimeout as silent:
            there = f"rank 0 on host {hosts[0]} and rank {rank} on host {hosts[rank]}"
            raise RuntimeError(f"no message has come through between {there}") from silent
        return None

    return everyone.on_ranks((0, rank), exchange)
