"""TCP ports of a job's hosts: the ranges that MPI chooses from, and a trial of connections."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from mpi_pi.cluster.agent import network
from mpi_pi.cluster.host_check import HostCheck
from mpi_pi.cluster.ssh import SshPool

LISTEN_SECONDS = 5
CONNECT_SECONDS = 10

MAX_PEERS = 16
"""Maximum number of other hosts that a host tries to reach."""

ANY = (0, 0)
"""Range that stands for a port of the system's choice."""

_FEWER_RANKS_PORTS = "OMPI_MCA_btl_tcp_port_min_v4=50100 OMPI_MCA_btl_tcp_port_range_v4=400"
FEWER_PORTS = {
    "Open MPI 4": f"OMPI_MCA_oob_tcp_dynamic_ipv4_ports=50000-50009 {_FEWER_RANKS_PORTS}",
    "Open MPI": f"PRTE_MCA_oob_tcp_dynamic_ipv4_ports=50000-50009 {_FEWER_RANKS_PORTS}",
    "MPICH": (
        "MPIEXEC_PORT_RANGE=50000:50009 FI_TCP_PORT_LOW_RANGE=50100 FI_TCP_PORT_HIGH_RANGE=50499"
        " UCX_TCP_PORT_RANGE=50100-50499"
    ),
}
"""Variables that restrict MPI to the ports from 50000 to 50499, by the beginning of a launcher's name."""


def of_launcher(settings: Mapping[str, str], launcher: str) -> str:
    """Return the settings for a launcher, "" for none; the keys are beginnings of launchers' names."""
    return next((text for name, text in settings.items() if launcher.startswith(name)), "")


def port_ranges(launcher: str, environ: Mapping[str, str]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the ranges (first and last TCP port) of the launcher's daemons and of the ranks."""
    if launcher.startswith("Open MPI"):
        names = ("PRTE_MCA_oob_tcp_dynamic_ipv4_ports", "OMPI_MCA_oob_tcp_dynamic_ipv4_ports")
        least = _range(environ, "OMPI_MCA_btl_tcp_port_min_v4")[0] or 1024
        number = _range(environ, "OMPI_MCA_btl_tcp_port_range_v4")[0] or 65535 - least
        return _range(environ, *names), (least, least + number - 1)
    low, high = (_range(environ, f"FI_TCP_PORT_{end}_RANGE")[0] for end in ("LOW", "HIGH"))
    ranks = (low, high) if low and high else _range(environ, "UCX_TCP_PORT_RANGE")
    return _range(environ, "MPIEXEC_PORTRANGE", "MPIEXEC_PORT_RANGE", "MPICH_PORT_RANGE"), ranks


def _range(environ: Mapping[str, str], *names: str) -> tuple[int, int]:
    """Return the first and the last number in the first of these variables with numbers, or else ANY."""
    for name in names:
        if numbers := re.findall(r"\d+", environ.get(name, "")):
            return int(numbers[0]), int(numbers[-1])
    return ANY


def try_ports(pool: SshPool, client: HostCheck, reached: Sequence[HostCheck], ranks_here: bool) -> None:
    """Open ports on all hosts, and record in `blocked` which hosts, or the client, cannot reach them.

    Unless `ranks_here`, no rank runs on the client, which then needs a port for the daemons only.
    """
    ranges = port_ranges(client.facts["launcher"], os.environ)
    client.ports = network.listen(ranges if ranks_here else ranges[:1], client.token)

    def open_ports(one: HostCheck) -> None:
        one.ports = one.ask(LISTEN_SECONDS, "listen", ranges=ranges, token=one.token) or []

    def connect(one: HostCheck) -> None:
        peers = [
            (other, address, port)
            for other in _peers(one, client, reached)
            for address in [other.address or one.facts["client"]]  # of the client, as ssh shows it there
            for port in other.ports
            if port and "." in address
        ]
        tries = [(address, port, other.token) for other, address, port in peers]
        remote = one is not client
        failures = one.ask(CONNECT_SECONDS, "connect", peers=tries) if remote else network.connect(tries)
        for (other, _, port), failure in zip(peers, failures or [""] * len(peers), strict=True):
            if failure:
                other.blocked.setdefault(port, []).append(f"{one.name} ({failure})")

    pool.each(open_ports, reached)
    pool.each(connect, [client, *reached])


def _peers(one: HostCheck, client: HostCheck, reached: Sequence[HostCheck]) -> Sequence[HostCheck]:
    """Return the hosts that a host tries to reach: the client and the next in a ring. The client: all."""
    if one is client:
        return reached
    place = reached.index(one)
    return [client, *[*reached[place + 1 :], *reached[:place]][:MAX_PEERS]]


def blocked_ports(one: HostCheck) -> Iterator[str]:
    """Yield a sentence for each set of hosts that cannot reach the same ports, and for ports not opened."""
    ports_by_peers: dict[str, list[str]] = {}
    for port, peers in sorted(one.blocked.items()):
        ports_by_peers.setdefault(", ".join(sorted(peers)), []).append(str(port))
    for names, ports in ports_by_peers.items():
        yield f"its TCP port{'s' * (len(ports) > 1)} {', '.join(ports)} cannot be reached from {names}"
    if 0 in one.ports:
        yield "all of the TCP ports that MPI may use there are taken"
