"""The ranks of a run, and the handshake after which all of them count the same work and are able to.

It takes two gathers and two broadcasts, in which rank 0 finds every rank that differs or fails.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mpi_pi import timestamps
from mpi_pi.formatting import number_of
from mpi_pi.kernel.loader import Kernel, load
from mpi_pi.model.result import RankInfo, RankStats
from mpi_pi.model.shard import Shard
from mpi_pi.mpi import collectives
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.runtime import host_name
from mpi_pi.system import affinity, cpu, process

if TYPE_CHECKING:
    from mpi4py import MPI


class Arrival(NamedTuple):
    """A rank as it introduces itself to rank 0."""

    host: str
    boot_id: str
    """It tells hosts that have one name apart; "" where the system has none."""
    text: str
    cores: frozenset[int]
    """That this rank may use."""
    online_cores: int
    """That its host has."""
    threads: int | None


class Ready(NamedTuple):
    """A rank that has loaded its kernel, or has failed to."""

    stats: RankStats | None
    """Of this rank before the first round; None if it has a problem."""
    warnings: tuple[str, ...] = ()
    problem: tuple[str, str] | None = None
    """Host and text, see `collectives.description`."""


class Plan(NamedTuple):
    """What rank 0 has decided for all ranks."""

    shard: Shard
    threads: int | None = None
    """Threads of those ranks that were to choose for themselves; None for their share of the cores."""


def never_announced(shard: Shard, ranks: Sequence[RankInfo], warnings: Sequence[str]) -> None:
    """Say nothing of a run that is about to begin."""


@dataclass(frozen=True)
class Request:
    """What this rank was asked to do, and how it goes about it."""

    text: str
    """The work and its options for people: they have to be the same on all ranks."""
    plan: Callable[[], Plan]
    """Called on rank 0; what it raises is raised on all ranks, see `collectives.call_on_root`."""
    load_kernel: Callable[[], Kernel] = load
    threads: int | None = 1
    """Threads that count on this rank, or None to choose for itself."""
    announce: Callable[[Shard, Sequence[RankInfo], Sequence[str]], None] = never_announced
    """Called on rank 0 with the work, all ranks and their warnings, before anything is counted."""


@dataclass(frozen=True)
class Team:
    """All ranks of `comm`, which have agreed on their work."""

    comm: "MPI.Intracomm"
    heartbeat: Heartbeat
    shard: Shard
    kernel: Kernel
    stats: RankStats
    """Of this rank, before the first round."""
    ranks: Sequence[RankStats]
    """Of all ranks, on rank 0; empty elsewhere."""


def assemble(comm: "MPI.Intracomm", request: Request, heartbeat: Heartbeat) -> Team:
    """Have all ranks agree on their work and load their kernels; all ranks of `comm` together.

    Raises CollectiveError on all ranks, naming those at fault, if some were asked to do something else than
    most, or if a kernel cannot be loaded or does not count the known answers. Raises on all ranks what
    `request.plan` or `request.announce` raises on rank 0. Raises HeartbeatTimeout if a rank is silent.
    """
    cores, online = affinity.cores(), affinity.online_cores()
    arrival = Arrival(host_name(), process.boot_id(), request.text, cores, online, request.threads)
    arrivals = collectives.gather(comm, arrival, heartbeat.check)
    timestamps.mark("met")

    def decide() -> tuple[Shard, list[int], list[str]]:
        ranks = arrivals or []
        collectives.raise_unless_identical([(rank.host, rank.text) for rank in ranks])
        plan = request.plan()
        threads = threads_of_ranks(ranks, plan.threads)
        return plan.shard, threads, placements(ranks, threads)

    shard, threads, placement = collectives.call_on_root(comm, decide, heartbeat.check)
    kernel, ready, error = _prepare(comm.rank, request, threads[comm.rank], placement[comm.rank])
    timestamps.mark("kernel")
    everyone = collectives.gather(comm, ready, heartbeat.check)

    def announce() -> None:
        ranks = everyone or []
        if any(rank.problem for rank in ranks):
            raise collectives.error_of([rank.problem for rank in ranks])
        infos = [rank.stats.info for rank in ranks if rank.stats]
        request.announce(shard, infos, list(_warnings(ranks)))

    try:
        collectives.call_on_root(comm, announce, heartbeat.check)
    except collectives.CollectiveError as collective:
        raise collective from error
    if kernel is None or ready.stats is None:
        raise AssertionError("rank 0 has not raised the error of this rank")
    ranks = [rank.stats for rank in everyone or [] if rank.stats]
    return Team(comm, heartbeat, shard, kernel, ready.stats, ranks)


def threads_of_ranks(ranks: Sequence[Arrival], chosen: int | None) -> list[int]:
    """Return the number of threads of each rank.

    A rank that was to choose has `chosen`, or else its part of the cores that it has in common with other
    ranks of its host.
    """
    threads = [rank.threads or chosen or 0 for rank in ranks]
    for members in _hosts(ranks):
        for rank in members:
            if not threads[rank]:
                cores = ranks[rank].cores
                sharing = sum(bool(cores & ranks[other].cores) for other in members)
                threads[rank] = max(len(cores) // sharing, 1)
    return threads


def placements(ranks: Sequence[Arrival], threads: Sequence[int]) -> list[str]:
    """Return for each rank how the threads of its host sit on the cores, see `affinity.format_affinity`."""
    texts = [""] * len(ranks)
    for members in _hosts(ranks):
        workers = [(ranks[rank].cores, threads[rank]) for rank in members]
        text = affinity.format_affinity(workers, ranks[members[0]].online_cores)
        for rank in members:
            texts[rank] = text
    return texts


def _hosts(ranks: Sequence[Arrival]) -> Collection[list[int]]:
    """Return the ranks of each host."""
    hosts: dict[tuple[str, str], list[int]] = {}
    for number, rank in enumerate(ranks):
        hosts.setdefault((rank.host, rank.boot_id), []).append(number)
    return hosts.values()


def _prepare(
    rank: int, request: Request, threads: int, placement: str
) -> tuple[Kernel | None, Ready, BaseException | None]:
    """Load the kernel and try it."""
    try:
        kernel = request.load_kernel()
        if not kernel.self_test():
            raise RuntimeError(f"kernel {kernel.name} fails the known-answer test")
    except BaseException as error:
        return None, Ready(None, problem=collectives.description(error)), error
    info = RankInfo(host_name(), cpu.cpu_model(), kernel.name, kernel.target, threads, placement)
    return kernel, Ready(_stats(rank, info, kernel), (_crowding(threads), kernel.warning)), None


def _stats(rank: int, info: RankInfo, kernel: Kernel) -> RankStats:
    """Return the row of a rank before any round."""
    row = RankStats(
        rank=rank,
        info=info,
        kernel_source=kernel.source,
        startup_seconds=process.seconds_since_process_start(timestamps.seconds.get("mpi")),
        kernel_seconds=kernel.seconds,
    )
    return row.after((0, 0, 0, 0), process.usage(), right=True, seconds=0.0)


def _crowding(threads: int) -> str:
    cores = len(affinity.cores())
    if not 1 < threads > cores:
        return ""
    many = f"{number_of(threads, 'thread')} on {number_of(cores, 'core')}"
    return f"{many}: bind ranks to more cores (mpirun --bind-to none; srun --cpus-per-task)"


def _warnings(ranks: Sequence[Ready]) -> Iterator[str]:
    for of_one_kind in zip(*(rank.warnings for rank in ranks), strict=True):
        yield from collectives.unique_by_rank(of_one_kind)
