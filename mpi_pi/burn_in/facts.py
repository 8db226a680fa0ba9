"""Facts about hosts and ranks, which each rank tells before the first phase."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mpi_pi.burn_in.outcome import HostFacts, RankFacts
from mpi_pi.model.result import RankStats
from mpi_pi.mpi.runtime import host_name
from mpi_pi.system import affinity, machine, process


class Arrival(NamedTuple):
    """Facts about a rank and its host."""

    host: str
    boot_id: str
    """Distinguishes hosts of one name; "" if the system has none."""
    cpu: str
    architecture: str
    cpus: int
    cores_alike: bool
    cores: frozenset[int]
    """Cores that the rank may use."""


def arrival() -> Arrival:
    """Return the facts about this rank."""
    here = machine.machine()
    facts = host_name(), process.boot_id(), here.cpu, here.architecture, here.cpus, here.cores_alike
    return Arrival(*facts, affinity.cores())


def places(arrivals: Sequence[Arrival]) -> list[int]:
    """Return the number of each rank's host, in the order of their first ranks."""
    numbers: dict[tuple[str, str], int] = {}
    return [numbers.setdefault((one.host, one.boot_id), len(numbers)) for one in arrivals]


def hosts_of(arrivals: Sequence[Arrival], ranks: Sequence[RankStats]) -> tuple[HostFacts, ...]:
    """Return the hosts; those of one name get a number added to it."""
    hosts: dict[int, list[int]] = {}
    for rank, place in enumerate(places(arrivals)):
        hosts.setdefault(place, []).append(rank)
    names = Counter(arrivals[members[0]].host for members in hosts.values())
    found = []
    for place, members in hosts.items():
        one = arrivals[members[0]]
        name = one.host if names[one.host] == 1 else f"{one.host}/{place}"
        bindings = [(arrivals[rank].cores, ranks[rank].info.threads) for rank in members]
        crowded = affinity.oversubscribed(bindings)
        found.append(HostFacts(name, one.cpu, one.architecture, one.cpus, one.cores_alike, crowded))
    return tuple(found)


def ranks_of(arrivals: Sequence[Arrival], ranks: Sequence[RankStats]) -> tuple[RankFacts, ...]:
    """Return the ranks."""
    return tuple(
        RankFacts(
            rank.rank,
            place,
            rank.info.cores,
            rank.info.threads,
            rank.info.kernel,
            rank.info.kernel_target,
        )
        for rank, place in zip(ranks, places(arrivals), strict=True)
    )
