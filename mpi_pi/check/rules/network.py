"""Rules on the network: which ranks are reachable, how fast links are, names, addresses and clocks."""

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence

from mpi_pi.check.hosts import Host
from mpi_pi.check.rules.comparison import below_others, numbers
from mpi_pi.findings import Observation, fault, note

SLOW = 3
"""Ratio of the other hosts' median to a rate above which a link is slow."""
MIN_LATENCY_SECONDS = 1e-4
"""A link with a latency below this is not slow, whatever the others are."""
MAX_SKEW_SECONDS = 1.0


@fault(
    "no answer to rank 0 on {}: see that the host is on and its cable plugged in, that no firewall is between"
    " hosts, and that MPI uses the network which they have in common; make check-hosts looks without MPI"
)
def unreachable(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find ranks that have not answered rank 0."""
    for host in hosts:
        if lost := [rank.rank for rank in host.ranks if not rank.reachable]:
            yield Observation(host.name, numbers("rank", lost), (hosts[0].name,))


@fault(
    "{} machines are called {}, and MPI may take them for one: give each a name of its own (sudo hostnamectl"
    " set-hostname NAME)"
)
def same_name(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find machines with the name of another machine."""
    machines = Counter(host.ranks[0].host for host in hosts)
    for host in hosts:
        if machines[name := host.ranks[0].host] > 1:
            yield Observation(host.name, "", (machines[name], name))


@note(
    "so many times the latency of the other hosts to rank 0: see whether it is on Wi-Fi, or behind another"
    " switch"
)
def high_latency(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts with a slow link to rank 0; the host of rank 0 has none through the network."""
    latencies = {host.name: host.link.latency_seconds for host in hosts[1:] if host.link}
    inverse = {name: 1 / seconds for name, seconds in latencies.items()}
    for name, share in below_others(inverse, 1 / SLOW).items():
        if latencies[name] > MIN_LATENCY_SECONDS:
            yield Observation(name, f"{1 / share:.0f} times")


@note(
    "only this share of the other hosts' bandwidth to rank 0: see whether it is on Wi-Fi, and to its cable"
    " and switch"
)
def low_bandwidth(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts with a link of low bandwidth to rank 0."""
    bandwidths = {host.name: host.link.bytes_per_second for host in hosts[1:] if host.link}
    shares = below_others(bandwidths, 1 / SLOW)
    return (Observation(name, f"{share:.0%}") for name, share in shares.items())


@note("the link was not measured: all together took too long; check fewer hosts")
def no_link(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts for whose link there was no time."""
    if all(host.reachable for host in hosts):
        yield from (Observation(host.name) for host in hosts[1:] if not host.link)


@note(
    "the clock differs from rank 0's: neither answer nor times depend on it, but file times do; where there"
    " is a time server, sudo timedatectl set-ntp true sets it"
)
def other_clock(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find hosts whose clock differs from that of rank 0 by more than a second."""
    for host in hosts:
        if host.link and abs(host.link.skew_seconds) > MAX_SKEW_SECONDS:
            yield Observation(host.name, f"{host.link.skew_seconds:+.1f} s")


@note(
    "other hosts have this address, too, and MPI may hang in trying it: tell it which network to use (Open"
    " MPI: export OMPI_MCA_btl_tcp_if_include={0}; MPICH: export UCX_NET_DEVICES={0})"
)
def shared_address(hosts: Sequence[Host]) -> Iterator[Observation]:
    """Find addresses that several hosts have, such as those of Docker's bridges."""
    interfaces = [
        (host, name, ipaddress.IPv4Interface(address))
        for host in hosts
        for name, address in (host.machine.interfaces if host.machine else ())
    ]
    owners = Counter(interface.ip for _, _, interface in interfaces)
    proper = [name for host, name, interface in interfaces if str(interface.ip) == host.address]
    for host, name, interface in interfaces:
        if owners[interface.ip] > 1:
            yield Observation(host.name, f"{name} {interface.ip}", (proper[0],))
