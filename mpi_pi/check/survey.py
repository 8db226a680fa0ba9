"""Survey of all hosts, conducted by rank 0."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from mpi_pi.check.hosts import Host, RankFacts, group_by_host
from mpi_pi.mpi import pingpong, runtime
from mpi_pi.mpi.command_loop import CommandLoop
from mpi_pi.mpi.peer_timeout import PeerTimeout
from mpi_pi.mpi.pingpong import Link
from mpi_pi.system.machine import Machine, State
from mpi_pi.system.software import Software

if TYPE_CHECKING:
    from mpi4py import MPI

LINK_SECONDS = 0.5
ALL_LINKS_SECONDS = 20.0
"""Time for all links. With many hosts each has less than `LINK_SECONDS`; after twice this time the rest is
left out."""

_RECORDS = {"machine": Machine, "software": Software, "idle": State, "loaded": State}


def conduct(
    comm: "MPI.Intracomm", loop: CommandLoop, accept: Callable[[Sequence[Host]], None] = lambda hosts: None
) -> list[Host]:
    """Let all ranks probe, step by step, and return the hosts. A step that loses a rank is the last.

    `loop` has the actions of a Probe on each rank. `accept` is called with the hosts before they count, and
    may raise an error.
    """
    ranks = [RankFacts(rank, f"host of rank {rank}") for rank in range(comm.size)]

    def call_on_all(command: str, argument: Any = None) -> None:
        if not loop.lost:
            for rank, answer in loop.call_on_all(command, argument).items():
                ranks[rank] = replace(ranks[rank], **_members(answer))

    call_on_all("facts", runtime.host_name())
    hosts = group_by_host(ranks)
    if not loop.lost:
        accept(hosts)
    call_on_all("kernel")
    call_on_all("count", [host.ranks[0].rank for host in hosts])
    for rank, link in _links(comm, loop, hosts):
        ranks[rank] = replace(ranks[rank], link=link)
    for rank, facts in enumerate(ranks):
        ranks[rank] = replace(facts, reachable=rank not in loop.lost, problem=loop.problems.get(rank, ""))
    return group_by_host(ranks)


def _links(comm: "MPI.Intracomm", loop: CommandLoop, hosts: Sequence[Host]) -> Iterator[tuple[int, Link]]:
    """Measure one link after the other, while nobody else has anything to send; generate rank and link."""
    seconds = min(LINK_SECONDS, ALL_LINKS_SECONDS / len(hosts))
    deadline = time.monotonic() + 2 * ALL_LINKS_SECONDS
    for host in hosts:
        peer = next((facts.rank for facts in host.ranks if facts.rank != 0), None)
        if peer is None or loop.lost or time.monotonic() > deadline:
            continue
        loop.send([peer], "link")
        try:
            link = pingpong.measure(comm, peer, seconds)
        except PeerTimeout:
            loop.lost.add(peer)
        else:
            loop.collect([peer])
            yield peer, link


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
