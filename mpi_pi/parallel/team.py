"""The handshake of the ranks of a run, after which all have the same work and a kernel that passes its test.

It takes two gathers and two broadcasts, in which rank 0 finds every rank that differs or fails.
"""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mpi_pi import timestamps
from mpi_pi.formatting import format_numbers, number_of
from mpi_pi.kernel.loader import Kernel, load
from mpi_pi.model.result import RankInfo, RankStats
from mpi_pi.model.shard import Shard
from mpi_pi.mpi import collectives
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.peer_timeout import RankLoss
from mpi_pi.mpi.runtime import host_name
from mpi_pi.system import affinity, cpu, launch_env, process

if TYPE_CHECKING:
    from mpi4py import MPI


class Arrival(NamedTuple):
    """Facts that a rank sends rank 0 first."""

    host: str
    boot_id: str
    """Distinguishes hosts of the same name; "" if the system has none."""
    text: str
    """See Request."""
    cores: frozenset[int]
    """Cores that this rank may use."""
    online_cores: int
    """Number of cores of its host."""
    threads: int | None
    """See Request."""


class Ready(NamedTuple):
    """Message of a rank that has loaded its kernel, or has failed to."""

    stats: RankStats | None
    """Statistics before the first round; None if there is a problem."""
    warnings: tuple[str, ...] = ()
    problem: tuple[str, str] | None = None
    """Host and text, see `collectives.description`."""


class Plan(NamedTuple):
    """Decision of rank 0 for all ranks."""

    shard: Shard
    threads: int | None = None
    """Threads of each rank that requests no number; None for its share of the cores."""
    max_threads: int | None = None
    """Limit for such a share."""


class Request(NamedTuple):
    """Work that is requested of this rank, and the steps to prepare it."""

    text: str
    """Work and options as text, which has to be the same on all ranks."""
    plan: Callable[[], Plan]
    """Called on rank 0; an error of it is raised on all ranks, see `collectives.call_on_root`."""
    load_kernel: Callable[[], Kernel] = load
    threads: int | None = 1
    """Threads that count on this rank; None if rank 0 is to choose."""
    announce: Callable[[Shard, Sequence[RankInfo], Sequence[str]], None] | None = None
    """Called on rank 0, before anything is counted, with the work, all ranks and their warnings."""
    survives: bool = False
    """True if the run is to survive the loss of ranks; then a rank that fails alone leaves it."""
    audit: float = 0.0
    """See `load_balancer.Tuning`."""


class Team(NamedTuple):
    """All ranks of `comm`, ready to count `shard`."""

    comm: "MPI.Intracomm"
    heartbeat: Heartbeat
    shard: Shard
    kernel: Kernel
    stats: RankStats
    """Statistics of this rank before the first round."""
    ranks: Sequence[RankStats]
    """Those of all ranks, on rank 0; empty elsewhere, unless the run survives the loss of ranks."""
    survives: bool = False
    """See Request."""
    audit: float = 0.0
    """See Request."""

    @property
    def place(self) -> int:
        """Place of this rank among all ranks at the beginning."""
        numbers = [rank.rank for rank in self.ranks]
        return numbers.index(self.stats.rank) if numbers else self.comm.rank


def assemble(comm: "MPI.Intracomm", request: Request, heartbeat: Heartbeat) -> Team:
    """Let all ranks of `comm` agree on their work and load their kernels. Collective.

    Raises CollectiveError on all ranks, naming those at fault, if the requests of ranks differ, or a kernel
    cannot be loaded or does not count the known answers. Raises on all ranks what `request.plan` or
    `request.announce` raises on rank 0. Raises HeartbeatTimeout if a rank is silent.

    If the run survives the loss of ranks, a rank alone raises the error of its kernel; the others, RankLoss.
    """
    cores, online = affinity.cores(), affinity.online_cores()
    arrival = Arrival(host_name(), process.boot_id(), request.text, cores, online, request.threads)
    arrivals = collectives.gather(comm, arrival, heartbeat.check)
    timestamps.mark("met")

    def decide() -> tuple[Shard, list[int], list[str]]:
        ranks = arrivals or []
        collectives.raise_unless_identical([(rank.host, rank.text) for rank in ranks])
        plan = request.plan()
        threads = threads_of_ranks(ranks, plan.threads, plan.max_threads)
        return plan.shard, threads, placements(ranks, threads)

    shard, threads, placement = collectives.call_on_root(comm, decide, heartbeat.check)
    kernel, ready, error = None, Ready(None), None
    try:
        number = launch_env.rank() if request.survives else comm.rank
        kernel, ready = _prepare(number, request, threads[comm.rank], placement[comm.rank])
    except BaseException as problem:
        error, ready = problem, Ready(None, problem=collectives.description(problem))
    timestamps.mark("kernel")
    everyone = collectives.gather(comm, ready, heartbeat.check)
    try:
        ranks = collectives.call_on_root(
            comm, lambda: _announce(request, shard, everyone or []), heartbeat.check
        )
    except collectives.CollectiveError as collective:
        raise collective from error
    if error is not None:
        raise error  # of this rank alone
    if ranks is None:
        raise RankLoss("a rank has left the run after an error")
    if kernel is None or ready.stats is None:
        raise AssertionError("rank 0 has not raised the error of this rank")
    if everyone:
        ranks = [rank.stats for rank in everyone if rank.stats]
    return Team(comm, heartbeat, shard, kernel, ready.stats, ranks, request.survives, request.audit)


def threads_of_ranks(ranks: Sequence[Arrival], chosen: int | None, limit: int | None = None) -> list[int]:
    """Return the number of threads of each rank.

    A rank that requests no number has `chosen`, or else its part of the cores that it shares with other ranks
    of its host, up to `limit`.
    """
    threads = [rank.threads or chosen or 0 for rank in ranks]
    for members in _hosts(ranks):
        for rank in members:
            if not threads[rank]:
                cores = ranks[rank].cores
                sharing = sum(bool(cores & ranks[other].cores) for other in members)
                threads[rank] = min(max(len(cores) // sharing, 1), limit or len(cores))
    return threads


def placements(ranks: Sequence[Arrival], threads: Sequence[int]) -> list[str]:
    """Return the affinity of the ranks of each rank's host as text, see `affinity.format_affinity`."""
    texts: dict[int, str] = {}
    for members in _hosts(ranks):
        bindings = [(ranks[rank].cores, threads[rank]) for rank in members]
        text = affinity.format_affinity(bindings, ranks[members[0]].online_cores)
        texts |= dict.fromkeys(members, text)
    return [texts[rank] for rank in range(len(ranks))]


def _hosts(ranks: Sequence[Arrival]) -> Collection[list[int]]:
    """Return the ranks of each host."""
    hosts: dict[tuple[str, str], list[int]] = {}
    for number, rank in enumerate(ranks):
        hosts.setdefault((rank.host, rank.boot_id), []).append(number)
    return hosts.values()


def _prepare(rank: int, request: Request, threads: int, placement: str) -> tuple[Kernel, Ready]:
    """Load and test the kernel. Raises whatever `request.load_kernel` raises, and RuntimeError."""
    kernel = request.load_kernel()
    if not kernel.self_test():
        raise RuntimeError(f"kernel {kernel.name} fails the known-answer test")
    row = RankStats(
        rank=rank,
        info=RankInfo(
            host_name(),
            cpu.cpu_model(),
            kernel.name,
            kernel.target,
            threads,
            placement,
            format_numbers(affinity.cores()),
        ),
        kernel_source=kernel.source,
        startup_seconds=process.seconds_since_process_start(timestamps.seconds.get("mpi")),
        kernel_seconds=kernel.seconds,
    )
    stats = row.after((0, 0, 0, 0, 0), (0, *process.usage()), right=True, seconds=0.0)
    crowding, cores = "", len(affinity.cores())
    if 1 < threads > cores:
        crowding = f"{number_of(threads, 'thread')} on {number_of(cores, 'core')}: bind ranks to more cores"
        crowding += " (mpirun --bind-to none; srun --cpus-per-task; flux run --cores-per-task)"
    return kernel, Ready(stats, (crowding, kernel.warning))


def _announce(request: Request, shard: Shard, ranks: Sequence[Ready]) -> list[RankStats] | None:
    """Call `request.announce`; return what the other ranks need to know of all ranks if they may be lost.

    Raises CollectiveError if a rank has a problem. Returns None if only some have one that may leave the run.
    """
    if problems := [rank.problem for rank in ranks if rank.problem]:
        if request.survives and len(problems) < len(ranks):
            return None
        raise collectives.error_of([rank.problem for rank in ranks])
    stats = [rank.stats for rank in ranks if rank.stats]
    if request.announce:
        kinds = zip(*(rank.warnings for rank in ranks), strict=True)
        warnings = [text for kind in kinds for text in collectives.unique_by_rank(kind)]
        request.announce(shard, [rank.info for rank in stats], warnings)
    return stats if request.survives else []
