"""Facts about the ranks of a job, and about the hosts that they run on."""

import ipaddress
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mpi_pi.mpi.pingpong import Link
from mpi_pi.system import machine
from mpi_pi.system.machine import Machine, State
from mpi_pi.system.software import Software


@dataclass(frozen=True)
class RankFacts:
    """Facts reported by a rank; None and "" stand for what is not known."""

    rank: int
    host: str
    machine: Machine | None = None
    software: Software | None = None
    cpus: tuple[int, ...] = ()
    """Numbers of the CPUs that it may run on."""
    reachable: bool = True
    problem: str = ""
    """The error that ended one of its probes."""
    kernel: str = ""
    kernel_warning: str = ""
    right: bool | None = None
    """True if its kernel counts the known answers."""
    points_per_second: float | None = None
    """Measured while all ranks count at once."""
    points_per_cpu_second: float | None = None
    """Of the fastest of several short parts of that measurement: what other processes take does not count."""
    core_share: float | None = None
    """CPU time over wall time in that measurement, from 0 to 1."""
    idle: State | None = None
    """State of the host before the measurement; known of one rank of each host, as are the next two."""
    loaded: State | None = None
    """State of the host during the measurement."""
    link: Link | None = None
    """Between this rank and rank 0."""


@dataclass(frozen=True)
class Host:
    """The ranks of one machine, and what follows from them."""

    name: str
    address: str
    """The IPv4 address in the network that most hosts have in common; may be empty."""
    ranks: tuple[RankFacts, ...]
    machine: Machine | None
    reachable: bool
    """True if all ranks are reachable."""
    right: bool | None
    """See `all_right`."""
    points_per_second: float | None
    """See `total`."""
    points_per_cpu_second: float | None
    """See `total`."""
    core_share: float | None
    """Lowest core share among the ranks."""
    idle: State | None
    """State before the ranks count."""
    loaded: State | None
    """State while all ranks count."""
    link: Link | None
    """Link to rank 0; for the host of rank 0, between two ranks on it."""
    throttled_now: tuple[str, ...] | None
    """See machine.throttled_now."""
    throttled_since_boot: tuple[str, ...] | None
    """See machine.throttled_since_boot."""


def total(ranks: Sequence[RankFacts], member: str) -> float | None:
    """Return the sum of a rate over the ranks; None if that of one is missing."""
    rates = _told(ranks, member)
    return sum(rates) if len(rates) == len(ranks) else None


def lowest_core_share(ranks: Sequence[RankFacts]) -> float | None:
    """Return the lowest core share among the ranks, of those that know it."""
    return min(_told(ranks, "core_share"), default=None)


def all_right(ranks: Sequence[RankFacts]) -> bool | None:
    """Return whether all ranks count the known answers, as far as known; None if it is known of none."""
    right = _told(ranks, "right")
    return all(right) if right else None


def _told(ranks: Sequence[RankFacts], member: str) -> list[Any]:
    return [value for rank in ranks if (value := getattr(rank, member)) is not None]


def _host(name: str, address: str, ranks: Sequence[RankFacts]) -> Host:
    idle, loaded, link = (next(iter(_told(ranks, member)), None) for member in ("idle", "loaded", "link"))
    return Host(
        name=name,
        address=address,
        ranks=tuple(ranks),
        machine=ranks[0].machine,
        reachable=all(rank.reachable for rank in ranks),
        right=all_right(ranks),
        points_per_second=total(ranks, "points_per_second"),
        points_per_cpu_second=total(ranks, "points_per_cpu_second"),
        core_share=lowest_core_share(ranks),
        idle=idle,
        loaded=loaded,
        link=link,
        throttled_now=machine.throttled_now(idle, loaded) if idle and loaded else None,
        throttled_since_boot=machine.throttled_since_boot(loaded) if loaded else None,
    )


def group_by_host(ranks: Sequence[RankFacts]) -> list[Host]:
    """Return the hosts in the order of their first ranks.

    Machines of one name, told apart by their boot identifiers, get their address, or else a number, added to
    it.
    """
    by_machine: dict[tuple[str, str], list[RankFacts]] = {}
    for rank in ranks:
        boot_id = (rank.machine.boot_id if rank.machine else None) or ""
        by_machine.setdefault((rank.host, boot_id), []).append(rank)
    addresses = _addresses([group[0].machine for group in by_machine.values()])
    machines_of = Counter(name for name, _ in by_machine)
    return [
        _host(name if machines_of[name] == 1 else f"{name}/{address or number}", address, group)
        for number, (((name, _), group), address) in enumerate(
            zip(by_machine.items(), addresses, strict=True)
        )
    ]


def _addresses(machines: Sequence[Machine | None]) -> list[str]:
    """Return the address of each machine in the network that most are in, if no other machine has it."""
    interfaces = [
        [ipaddress.IPv4Interface(address) for _, address in machine.interfaces] if machine else []
        for machine in machines
    ]
    owners = Counter(interface.ip for own in interfaces for interface in set(own))
    proper = [[interface for interface in own if owners[interface.ip] == 1] or own for own in interfaces]
    members = Counter(network for own in proper for network in {interface.network for interface in own})
    return [
        str(max(own, key=lambda interface: members[interface.network]).ip) if own else "" for own in proper
    ]
