"""Recovery from the loss of ranks: those left find each other, agree on the latest state, and go on from it.

A loss shows as a RankLoss, at any point of a run, on at least one rank, which makes all others get one, too.
Whichever rank is then the lowest one is rank 0, with one and the same way to go on whether it was so before.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mpi_pi.errors import RunError
from mpi_pi.formatting import format_some, number_of
from mpi_pi.mpi import collectives, ulfm
from mpi_pi.mpi.heartbeat import Heartbeat
from mpi_pi.mpi.peer_timeout import RankLoss
from mpi_pi.mpi.requests import wait
from mpi_pi.mpi.runtime import host_name
from mpi_pi.parallel import repair
from mpi_pi.parallel.account import Committed, latest
from mpi_pi.parallel.state import Loss, State
from mpi_pi.parallel.team import Team

if TYPE_CHECKING:
    from mpi4py import MPI


LEAVE_SECONDS = 0.02
"""Time that ranks wait for the end of rank 0 before they leave."""


class Standing(NamedTuple):
    """Message of a rank that is left."""

    committed: Committed | None
    """Its state; None if it has not joined a team yet."""
    age_seconds: float
    """Its age when the loss was noticed."""
    assigned_points: int
    """See `Account`."""
    maybe_alive: frozenset[int]
    """Lost ranks, by number, that may be alive and going on by themselves, as far as this rank knows."""


class CutOff(RunError):
    """Too few ranks are left to be sure that the others do not go on without them."""


class Survivors:
    """The ranks of a run that are alive, and their communicator and heartbeat.

    `watch` starts the heartbeat of a communicator. Ranks are numbered as in MPI_COMM_WORLD.
    """

    def __init__(self, world: "MPI.Intracomm", watch: Callable[["MPI.Intracomm"], Heartbeat]) -> None:
        self.comm, self.heartbeat, self._watch = world, watch(world), watch
        self.lost: dict[int, str] = {}
        """Host, or "" if it is not known, of each lost rank."""
        self._numbers = list(range(world.size))
        """Number of each rank of `comm`."""
        self._maybe_alive: set[int] = set()
        self._met = False

    def meet(self) -> None:
        """Wait for all ranks that are left, after which they leave. Collective. Raises RankLoss."""
        with ulfm.losses():
            wait(self.comm.Ibarrier(), self.heartbeat.check)
        self._met = True

    def depart(self) -> None:
        """Leave, after a meeting of all ranks that are left, unless there was one."""
        if not self._met:
            with contextlib.suppress(RankLoss):  # one has left already
                self.meet()
                if self.comm.rank:
                    self._wait_for_end_of_root()
        self.heartbeat.stop()

    def _wait_for_end_of_root(self) -> None:
        """Wait a moment for rank 0 to leave, which otherwise might take those for lost that leave first."""
        end = time.monotonic() + LEAVE_SECONDS
        with ulfm.losses():
            while time.monotonic() < end:
                self.comm.Iprobe()
                time.sleep(1e-3)

    def go_on(self, team: Team | None, state: State | None, logs: bool) -> Team | None:
        """Return the team of the ranks left, with the latest state; None if the handshake is to be repeated.

        Collective over the ranks left. `logs` is as in Loss. Raises CutOff on all of them.
        """
        noticed_at = time.clock_gettime(time.CLOCK_MONOTONIC)
        while True:
            with contextlib.suppress(RankLoss), ulfm.losses():
                self._shrink({rank.rank: rank.info.host for rank in team.ranks} if team else {})
                return self._agree(team, state, logs, noticed_at)

    def _shrink(self, hosts: Mapping[int, str]) -> None:
        """Replace the communicator by one of the ranks left, and kill lost ones that are only stopped.

        `hosts` are those of ranks, as far as they are known.
        """
        self.heartbeat.stop()
        before, numbers = self.comm, self._numbers
        start = time.monotonic()
        self.comm = ulfm.shrink(before)
        seconds = time.monotonic() - start
        lost = set(ulfm.lost_ranks(before, self.comm))
        self._numbers = [number for rank, number in enumerate(numbers) if rank not in lost]
        self.lost |= {numbers[rank]: hosts.get(numbers[rank]) or self.heartbeat.host(rank) for rank in lost}
        self._maybe_alive |= {numbers[rank] for rank in self.heartbeat.silent(lost, seconds)}
        ulfm.kill_on_host(self.lost)
        self._maybe_alive -= {rank for rank, host in self.lost.items() if host == host_name()}
        self.heartbeat = self._watch(self.comm)

    def _agree(self, team: Team | None, state: State | None, logs: bool, noticed_at: float) -> Team | None:
        account = state.account if state else None
        own = Standing(None, 0.0, 0, frozenset(self._maybe_alive))
        if account:
            age = noticed_at - account.committed_at if account.committed_at else 0.0
            own = Standing(account.committed, age, account.assigned_points, own.maybe_alive)
        standings = collectives.gather(self.comm, own, self.heartbeat.check) or []

        def decide() -> tuple[Committed, float] | None:
            require_majority(self._numbers, [standing.maybe_alive for standing in standings])
            states = [(each.committed, each.age_seconds) for each in standings if each.committed]
            if len(states) < len(standings):  # then no round is complete
                return None
            if state and (manager := state.manager):
                committed = repair.committed(manager)
                return committed, noticed_at - manager.start - committed.seconds if manager.start else 0.0
            return latest(states)

        decision = collectives.call_on_root(self.comm, decide, self.heartbeat.check)
        self._maybe_alive.clear()  # those have had to end, or else these
        if decision is None or team is None or account is None or state is None:
            return None
        agreed, age = decision
        account.commit(agreed, noticed_at - age)
        totals = collectives.gather(self.comm, account.totals, self.heartbeat.check)
        if totals:
            left = dict(zip(self._numbers, totals, strict=True))
            state.go_on(team, left, Loss(noticed_at, unfinished_points(standings, agreed), logs))
        return team._replace(comm=self.comm, heartbeat=self.heartbeat)


def unfinished_points(standings: Sequence[Standing], agreed: Committed) -> int:
    """Return the points of the round that is to be counted anew.

    It is 0 if that round had not been assigned: rank 0 alone knew that the one before it was complete.
    """
    rounds = ((each.committed, each.assigned_points) for each in standings)
    return max((points for state, points in rounds if state and state.rounds == agreed.rounds), default=0)


def require_majority(numbers: Sequence[int], maybe_alive: Sequence[frozenset[int]]) -> None:
    """Raise CutOff if the lost ranks, rather than those left, may be the ones that go on.

    `numbers` are those of the ranks left. `maybe_alive` has for each of these the lost ranks that are silent:
    in a network cut into two, each side takes the other one for lost. The larger side goes on, or, of two
    equal ones, that of the lowest rank. A rank is dead for certain if it was heard of shortly before.
    """
    doubtful = frozenset.intersection(*maybe_alive)
    left = len(numbers)
    if len(doubtful) > left or (len(doubtful) == left and min(doubtful) < min(numbers)):
        silent = format_some([str(number) for number in sorted(doubtful)], 10)
        those = f"{number_of(left, 'rank')} cut off from {number_of(len(doubtful), 'silent rank')}: {silent}"
        raise CutOff(f"{those}; those may be going on, so these do not")
