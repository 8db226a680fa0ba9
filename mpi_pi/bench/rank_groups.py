"""Groups of more and more ranks that measure in turns, while the other ranks sleep."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar, cast

from mpi_pi.bench.scaling import ladder, ranks_with_cores
from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.model.result import Result
from mpi_pi.mpi.collectives import CollectiveError, bcast, call_on_all
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.runtime import host_name
from mpi_pi.parallel.hooks import Hooks
from mpi_pi.parallel.load_balancer import DEFAULT, Tuning
from mpi_pi.parallel.run import run
from mpi_pi.system import affinity

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")


class RankGroup(NamedTuple):
    """Ranks that measure together."""

    ranks: list[int]
    hosts: int
    """Number of hosts they are on."""
    comm: "MPI.Intracomm"
    """Communicator of these ranks; on the other ranks, that of the others."""


class RankGroups:
    """All ranks of `comm`, and groups of them; a context manager, whose methods are collective.

    With `oversubscribe` even more ranks than cores take part. `heartbeat` watches over all ranks.
    """

    def __init__(self, comm: "MPI.Intracomm", heartbeat: Heartbeat, oversubscribe: bool) -> None:
        self.comm, self.heartbeat = comm, heartbeat
        self.hosts: list[str] = comm.allgather(host_name())
        """Host of each rank."""
        cores = comm.allgather(affinity.physical_cores(affinity.cores()))
        ranks = list(range(comm.size)) if oversubscribe else ranks_with_cores(self.hosts, cores)
        self.idle_ranks = comm.size - len(ranks)
        """Ranks in no group."""
        self.groups = [self._group(group) for group in ladder(self.hosts, ranks)]
        """See `scaling.ladder`."""

    def _group(self, ranks: list[int]) -> RankGroup:
        comm = self.comm.Split(int(self.comm.rank in ranks), self.comm.rank)
        return RankGroup(ranks, len({self.hosts[rank] for rank in ranks}), cast("MPI.Intracomm", comm))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, CollectiveError):  # which is raised on all ranks: they can meet
            for group in self.groups:
                group.comm.Free()

    def run(self, group: RankGroup, job: Job, kernel: Kernel, tuning: Tuning = DEFAULT) -> Result | None:
        """Count a job on a group of ranks; return the result on these, None on the others."""
        hooks = Hooks(heartbeat=self.heartbeat)
        count = partial(run, job, group.comm, kernel=kernel, hooks=hooks, tuning=tuning)
        return self.call_on(group.ranks, count)

    def call_on(self, ranks: Sequence[int], action: Callable[[], T]) -> T | None:
        """Return what `action` returns on these ranks; None on the others, which sleep meanwhile.

        Raises CollectiveError on all ranks if `action` raises on one, and HeartbeatTimeout.
        """
        here = self.comm.rank in ranks
        return call_on_all(self.comm, lambda: action() if here else None, self.heartbeat.check)

    def bcast(self, value: T) -> T:
        """Return rank 0's value on all ranks."""
        return bcast(self.comm, value, self.heartbeat.check)
