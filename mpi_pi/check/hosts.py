"""What the ranks of a job have told of themselves and of their hosts, host by host."""

import ipaddress
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mpi_pi.mpi.pingpong import Link
from mpi_pi.system import machine
from mpi_pi.system.machine import Machine, State
from mpi_pi.system.software import Software


@dataclass(frozen=True)
class Row:
    """What is known of a rank. What it could not tell any more is None."""

    rank: int
    host: str
    machine: Machine | None = None
    software: Software | None = None
    cpus: tuple[int, ...] = ()
    """Those that it may run on."""
    reachable: bool = True
    problem: str = ""
    """What has gone wrong on it."""
    kernel: str = ""
    kernel_warning: str = ""
    right: bool | None = None
    """Whether it counts the known answers."""
    points_per_second: float | None = None
    """While all ranks counted at once."""
    core_share: float | None = None
    """CPU time of the rank in a second of that."""
    idle: State | None = None
    """The host when nobody counted yet; of one rank of each host, as are the next two."""
    loaded: State | None = None
    """The host while all counted."""
    link: Link | None = None


@dataclass(frozen=True)
class Host:
    """The ranks of a machine."""

    name: str
    address: str
    """The one in the network that most hosts have in common; may be empty."""
    rows: tuple[Row, ...]

    @property
    def machine(self) -> Machine | None:
        """As its first rank has told."""
        return self.rows[0].machine

    @property
    def reachable(self) -> bool:
        """Whether all its ranks are."""
        return all(row.reachable for row in self.rows)

    @property
    def right(self) -> bool | None:
        """Whether all its ranks that have told count the known answers."""
        known = [row.right for row in self.rows if row.right is not None]
        return all(known) if known else None

    @cached_property
    def points_per_second(self) -> float | None:
        """Of all its ranks together; None if that of one is missing."""
        rates = [row.points_per_second for row in self.rows if row.points_per_second is not None]
        return sum(rates) if len(rates) == len(self.rows) else None

    @cached_property
    def core_share(self) -> float | None:
        """Of the rank that got the least."""
        return min((row.core_share for row in self.rows if row.core_share is not None), default=None)

    @cached_property
    def loaded(self) -> State | None:
        """Itself, while all counted."""
        return next((row.loaded for row in self.rows if row.loaded), None)

    @cached_property
    def idle(self) -> State | None:
        """Itself, before that."""
        return next((row.idle for row in self.rows if row.idle), None)

    @cached_property
    def link(self) -> Link | None:
        """To rank 0; of rank 0's own host, between ranks of it."""
        return next((row.link for row in self.rows if row.link), None)

    @property
    def throttled_now(self) -> tuple[str, ...] | None:
        """See machine.throttled_now."""
        return machine.throttled_now(self.idle, self.loaded) if self.idle and self.loaded else None

    @property
    def throttled_since_boot(self) -> tuple[str, ...] | None:
        """See machine.throttled_since_boot."""
        return machine.throttled_since_boot(self.loaded) if self.loaded else None


def hosts_of(rows: Sequence[Row]) -> list[Host]:
    """The hosts, in the order of their first ranks. Machines of one name are told apart."""
    by_machine: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        boot_id = (row.machine.boot_id if row.machine else None) or ""
        by_machine.setdefault((row.host, boot_id), []).append(row)
    addresses = _addresses([group[0].machine for group in by_machine.values()])
    machines_of = Counter(name for name, _ in by_machine)
    return [
        Host(name if machines_of[name] == 1 else f"{name}/{address or number}", address, tuple(group))
        for number, ((name, _), group, address) in enumerate(
            zip(by_machine, by_machine.values(), addresses, strict=True)
        )
    ]


def _addresses(machines: Sequence[Machine | None]) -> list[str]:
    """The address of each: in the network that most have in common, and not one that several have."""
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
