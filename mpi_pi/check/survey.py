"""Survey of all hosts, conducted by rank 0."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from mpi_pi.check.hosts import Host, RankFacts, group_by_host
from mpi_pi.mpi import pingpong, runtime
from mpi_pi.mpi.command_loop import Action, CommandLoop
from mpi_pi.mpi.peer_timeout import PeerTimeout
from mpi_pi.system.machine import Machine, State
from mpi_pi.system.software import Software

if TYPE_CHECKING:
    from mpi4py import MPI

LINK_SECONDS = 0.5
ALL_LINKS_SECONDS = 20.0
"""Time for all links. With many hosts each has less than `LINK_SECONDS`; after twice this time the rest is
left out."""

_RECORDS = {"machine": Machine, "software": Software, "idle": State, "loaded": State}


class Survey:
    """A survey of the hosts of a communicator, on rank 0. The other ranks serve it meanwhile.

    `actions` are those of rank 0's own Probe.
    """

    def __init__(self, comm: "MPI.Intracomm", actions: Mapping[str, Action]) -> None:
        self._comm = comm
        self._loop = CommandLoop(comm, actions)
        self._ranks = [RankFacts(rank, f"host of rank {rank}") for rank in range(comm.size)]

    @property
    def lost(self) -> bool:
        """Whether a rank has stopped answering."""
        return bool(self._loop.lost)

    def conduct(self) -> list[Host]:
        """Let all ranks probe, step by step, and return the hosts. A step that loses a rank is the last."""
        self._call_on_all("facts", runtime.host_name())
        hosts = group_by_host(self._ranks)
        self._call_on_all("kernel")
        self._call_on_all("count", [host.ranks[0].rank for host in hosts])
        self._measure_links(hosts)
        lost, problems = self._loop.lost, self._loop.problems
        return group_by_host(
            [
                replace(facts, reachable=facts.rank not in lost, problem=problems.get(facts.rank, ""))
                for facts in self._ranks
            ]
        )

    def end(self) -> None:
        """Release the other ranks."""
        self._loop.end()

    def _call_on_all(self, command: str, argument: Any = None) -> None:
        if not self._loop.lost:
            for rank, answer in self._loop.call_on_all(command, argument).items():
                self._ranks[rank] = replace(self._ranks[rank], **_members(answer))

    def _measure_links(self, hosts: Sequence[Host]) -> None:
        """Measure one link after the other, while nobody else has anything to send."""
        seconds = min(LINK_SECONDS, ALL_LINKS_SECONDS / len(hosts))
        deadline = time.monotonic() + 2 * ALL_LINKS_SECONDS
        for host in hosts:
            peer = next((facts.rank for facts in host.ranks if facts.rank != 0), None)
            if peer is None or self._loop.lost or time.monotonic() > deadline:
                continue
            self._loop.send([peer], "link")
            try:
                link = pingpong.measure(self._comm, peer, seconds)
            except PeerTimeout:
                self._loop.lost.add(peer)
            else:
                self._loop.collect([peer])
                self._ranks[peer] = replace(self._ranks[peer], link=link)


def _members(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer as members of RankFacts. A rank of another version may tell more, or less."""
    known = {field.name for field in fields(RankFacts)}
    return {
        name: _record(_RECORDS[name], value) if value and name in _RECORDS else value
        for name, value in answer.items()
        if name in known
    }


def _record(kind: type[Any], told: Mapping[str, Any]) -> Any:
    return kind(**{field.name: told.get(field.name) for field in fields(kind)})
