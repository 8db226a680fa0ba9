"""Whether a job could start on all hosts, found out without MPI, which would not say why it does not."""

import ipaddress
import os
import re
import secrets
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mpi_pi.cluster import addresses, agent, ssh
from mpi_pi.cluster.hostfile import Host
from mpi_pi.cluster.ssh import HostError, SshPool, SshSession
from mpi_pi.system import versions

HOST_SECONDS = 15
"""For what is asked of a host by itself."""
LISTEN_SECONDS = 5
CONNECT_SECONDS = 10

MAX_PEERS = 16
"""Other hosts that a host tries to reach."""

ANY = (0, 0)
"""Ports as the system deals them out."""

FEWER_PORTS = {
    "Open MPI 4": (
        "OMPI_MCA_oob_tcp_dynamic_ipv4_ports=50000-50009"
        " OMPI_MCA_btl_tcp_port_min_v4=50100 OMPI_MCA_btl_tcp_port_range_v4=400"
    ),
    "Open MPI": (
        "PRTE_MCA_oob_tcp_dynamic_ipv4_ports=50000-50009"
        " OMPI_MCA_btl_tcp_port_min_v4=50100 OMPI_MCA_btl_tcp_port_range_v4=400"
    ),
    "MPICH": (
        "MPIEXEC_PORT_RANGE=50000:50009 FI_TCP_PORT_LOW_RANGE=50100 FI_TCP_PORT_HIGH_RANGE=50499"
        " UCX_TCP_PORT_RANGE=50100-50499"
    ),
}
"""Settings of a launcher by the beginning of its name."""

ONE_NETWORK = {
    "Open MPI 4": "OMPI_MCA_btl_tcp_if_include={where} OMPI_MCA_oob_tcp_if_include={where}",
    "Open MPI": "OMPI_MCA_btl_tcp_if_include={where} PRTE_MCA_prte_if_include={where}",
}


@dataclass(eq=False)
class Examined:
    """A host, and what has been found out about it."""

    host: Host
    address: str = ""
    here: bool = False
    """Whether it is the client itself."""
    session: SshSession | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    ports: list[int] = field(default_factory=list)
    """Where it listens: for the daemons of the launcher, and for the ranks."""
    blocked: dict[int, list[str]] = field(default_factory=dict)
    """By port, who could not connect, and why."""
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As the hostfile has it."""
        return self.host.name

    @property
    def interfaces(self) -> list[tuple[str, ipaddress.IPv4Interface]]:
        """Its network interfaces, by name."""
        return [(name, ipaddress.IPv4Interface(it)) for name, it in self.facts.get("networks", ())]


class Preflight(NamedTuple):
    """What was found out about the client and the hosts of a hostfile."""

    client: Examined
    hosts: Sequence[Examined]
    network: str
    """The IPv4 network that most of them are in."""

    @property
    def ready(self) -> bool:
        """Whether a job could start."""
        return not any(one.problems for one in (self.client, *self.hosts))


def check(hosts: Sequence[Host], hostfile: str, mpirun: str = "") -> Preflight:
    """Examine whether a job could start on the hosts of this file, by that mpirun of several."""
    deploy = _command("deploy", hostfile)
    own = agent.describe(sys.prefix, mpirun)
    client = Examined(Host("client"), here=True, facts=own)
    if own["problem"]:
        again = _command("run")
        client.problems.append(
            f"{sys.prefix} is not in order ({own['problem']}): rm -r {sys.prefix}, and {again}"
        )
    elif not own["launcher"]:
        client.problems.append(
            f"there is no mpirun here: {_command('run')}, or sudo apt-get install openmpi-bin"
        )
    examined = [Examined(host) for host in hosts]
    with SshPool() as fleet:
        fleet.each(lambda one: _examine(one, fleet, own, deploy, mpirun), examined)
        reached = [one for one in examined if one.session and one.facts]
        _try_ports(fleet, client, reached, ranks_here=any(one.here for one in examined))
    machines = _compare_names(reached)
    network = _compare_networks(client, machines)
    if not all(one.here for one in examined):
        client.problems += _torn_apart(own["launcher"], agent.chosen_mpirun(Path(sys.prefix), mpirun))
    for one in (client, *reached):
        one.problems += _blocked(one)
    return Preflight(client, examined, network)


def _torn_apart(launcher: str, mpirun: str) -> Iterator[str]:
    """Look for letters in the path of mpirun at which a shell takes a word apart.

    Open MPI has its daemon started on other hosts by a line that ssh hands to a shell, in which this path
    stands as it is. Hydra puts it in quotes.
    """
    letter = re.search(r"[^\w@%+=:,./-]", mpirun)
    if launcher.startswith("Open MPI") and letter:
        yield (
            f"Open MPI starts nothing on other hosts from a path with {letter[0]!r} in it, {mpirun}:"
            " move the project, or take MPI=mpich"
        )


def _command(target: str, hostfile: str = "") -> str:
    """How to call make, for the environment that this is: .venv, .venv-mpich or .venv-system."""
    _, _, mpi = Path(sys.prefix).name.partition("venv-")
    words = ["make", target, *([f"MPI={mpi}"] if mpi else [])]
    words += [f"HOSTFILE={hostfile}"] if hostfile else []
    return shlex.join(words)


def _examine(one: Examined, fleet: SshPool, own: Mapping[str, Any], deploy: str, mpirun: str) -> None:
    """All that can be said of a host by itself."""
    start = time.monotonic()
    try:
        way = addresses.way(one.host)
        one.address = next(iter(addresses.resolve(way.name)), "")
        one.here = bool(one.address) and addresses.is_own(one.address)
        if one.here:
            one.facts = dict(own)
        else:
            _knock(one, way)
            one.session = fleet.open(one.host)
            left = HOST_SECONDS - (time.monotonic() - start)
            one.facts = one.session.ask(max(left, 1), "describe", path=sys.prefix, mpirun=mpirun)
    except HostError as problem:
        one.problems.append(str(problem))
    else:
        one.problems += differences(one.facts, own, deploy)
        one.remarks += _remarks(one, own)


def _knock(one: Examined, way: addresses.SshEndpoint) -> None:
    """See whether there is an sshd. Raises HostError."""
    if not way.direct:
        return
    if not one.address:
        raise HostError(ssh.name_unknown(way.name))
    failure = agent.reach(one.address, way.port)
    if "refused" in failure:
        raise HostError(ssh.refused(way.name))
    if failure:
        raise HostError(f"{ssh.silent(way.name)} (port {way.port} of {one.address}: {failure})")


def differences(facts: Mapping[str, Any], own: Mapping[str, Any], deploy: str) -> Iterator[str]:
    """What keeps a host from a job with the client; `facts` of both are what `on_host.describe` tells."""
    if facts["problem"]:
        lacking = f"is not in order ({facts['problem']})" if facts["there"] else "is not there"
        yield f"{sys.prefix} {lacking}: {deploy}"
    if facts["problem"] or own["problem"]:
        return
    if facts["stream"] != own["stream"]:
        yield f"its stream version is {facts['stream']}, and the client's {own['stream']}: {deploy}"
    elif facts["version"] != own["version"]:
        yield f"its mpi_pi is {facts['version']}, and the client's {own['version']}: {deploy}"
    elif facts["sources"] != own["sources"]:
        yield f"its mpi_pi was made from other sources than the client's: {deploy}"
    if not facts["launcher"]:
        package = "mpich" if own["launcher"].startswith("MPICH") else "openmpi-bin"
        yield f"it has no mpirun: {deploy}, or with MPI=system, sudo apt-get install {package} there"
    elif facts["launcher"] != own["launcher"]:
        yield f"its MPI is {facts['launcher']}, and the client's {own['launcher']}: {versions.THE_SAME}"


def _remarks(one: Examined, own: Mapping[str, Any]) -> Iterator[str]:
    yield from versions.harmless(one.facts, own)
    if one.here and one.name != "localhost" and ipaddress.ip_address(one.address).is_loopback:
        yield f"that name leads to {one.address}, by which others cannot reach it: give its address"


def port_ranges(launcher: str, environ: Mapping[str, str]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The TCP ports that the daemons of the launcher, and that the ranks choose from, by its settings."""
    if launcher.startswith("Open MPI"):
        names = ("PRTE_MCA_oob_tcp_dynamic_ipv4_ports", "OMPI_MCA_oob_tcp_dynamic_ipv4_ports")
        least = _range(environ, ("OMPI_MCA_btl_tcp_port_min_v4",))[0] or 1024
        number = _range(environ, ("OMPI_MCA_btl_tcp_port_range_v4",))[0] or 65535 - least
        return _range(environ, names), (least, least + number - 1)
    low, high = (_range(environ, (f"FI_TCP_PORT_{end}_RANGE",))[0] for end in ("LOW", "HIGH"))
    ranks = (low, high) if low and high else _range(environ, ("UCX_TCP_PORT_RANGE",))
    return _range(environ, ("MPIEXEC_PORTRANGE", "MPIEXEC_PORT_RANGE", "MPICH_PORT_RANGE")), ranks


def _range(environ: Mapping[str, str], names: Sequence[str]) -> tuple[int, int]:
    """The first and the last number in the first of these variables that has any; otherwise ANY."""
    for name in names:
        if numbers := re.findall(r"\d+", environ.get(name, "")):
            return int(numbers[0]), int(numbers[-1])
    return ANY


def _try_ports(fleet: SshPool, client: Examined, reached: Sequence[Examined], ranks_here: bool) -> None:
    """See which ports of the hosts can be reached from the others, and from the client, and its from them."""
    ranges = port_ranges(client.facts["launcher"], os.environ)
    client.ports = agent.listen(ranges if ranks_here else ranges[:1], client.token)

    def open_ports(one: Examined) -> None:
        one.ports = _asked(one, LISTEN_SECONDS, "listen", ranges=ranges, token=one.token) or []

    def connect(one: Examined) -> None:
        peers = [
            (other, address, port)
            for other in _peers(one, client, reached)
            for address in [other.address or one.facts["client"]]  # the one by which the client has come
            for port in other.ports
            if port and "." in address
        ]
        tries = [(address, port, other.token) for other, address, port in peers]
        failures = (
            agent.connect(tries) if one is client else _asked(one, CONNECT_SECONDS, "connect", peers=tries)
        )
        for (other, _, port), failure in zip(peers, failures or [""] * len(peers), strict=True):
            if failure:
                other.blocked.setdefault(port, []).append(f"{one.name} ({failure})")

    fleet.each(open_ports, reached)
    fleet.each(connect, [client, *reached])


def _peers(one: Examined, client: Examined, reached: Sequence[Examined]) -> Sequence[Examined]:
    """Whom a host tries to reach: the client, and those that come after it, round about; the client, all."""
    if one is client:
        return reached
    place = reached.index(one)
    return [client, *[*reached[place + 1 :], *reached[:place]][:MAX_PEERS]]


def _asked(one: Examined, seconds: float, do: str, **arguments: Any) -> Any:
    """The answer of a host; None, and a problem noted, if it does not answer."""
    try:
        return one.session and one.session.ask(seconds, do, **arguments)
    except HostError as problem:
        one.problems.append(str(problem))
        return None


def _blocked(one: Examined) -> Iterator[str]:
    ports_by_seekers: dict[str, list[str]] = {}
    for port, seekers in sorted(one.blocked.items()):
        ports_by_seekers.setdefault(", ".join(sorted(seekers)), []).append(str(port))
    for names, ports in ports_by_seekers.items():
        yield f"its TCP port{'s' * (len(ports) > 1)} {', '.join(ports)} cannot be reached from {names}"
    if 0 in one.ports:
        yield "all of the TCP ports that MPI may use there are taken"


def _compare_names(reached: Sequence[Examined]) -> list[Examined]:
    """One of each of the hosts; those that are there under two names are told of it."""
    machines: list[Examined] = []
    for one in reached:
        own = {str(interface.ip) for _, interface in one.interfaces} | {one.address}
        twin = next((other for other in machines if other.address in own), None)
        if twin:
            one.remarks.append(f"that is {twin.name} ({twin.address}) once more: keep one of the two names")
        else:
            machines.append(one)
    return machines


def _compare_networks(client: Examined, machines: Sequence[Examined]) -> str:
    """The network by which most hosts are reached; notes who is not in it, and addresses of several."""
    everyone = [client, *machines]
    networks = Counter(
        it.network for one in machines for _, it in one.interfaces if str(it.ip) == one.address
    )
    if not networks:
        return "the cluster's network"
    common = networks.most_common(1)[0][0]
    for one in everyone:
        if one.interfaces and all(interface.network != common for _, interface in one.interfaces):
            own = ", ".join(str(interface.network) for _, interface in one.interfaces)
            one.remarks.append(f"it is in {own}, and most others are in {common}")
    holders: dict[str, list[str]] = {}
    for one in everyone:
        for name, interface in one.interfaces:
            holders.setdefault(f"{name}, {interface.ip}", []).append(one.name)
    # By the name of the interface if there is one: of a network that two interfaces are in, PRRTE may die.
    interfaces = {name for one in everyone for name, it in one.interfaces if it.network == common}
    where = interfaces.pop() if len(interfaces) == 1 else common
    setting = of_launcher(ONE_NETWORK, client.facts["launcher"]).format(where=where)
    if setting and "OMPI_MCA_btl_tcp_if_include" not in os.environ:
        for what, names in holders.items():
            if len(names) > 1:
                client.problems.append(
                    f"{', '.join(names)} have the same address ({what}), by which Open MPI takes them for one"
                    f" another: export {setting}"
                )
    return str(common)


def of_launcher(settings: Mapping[str, str], launcher: str) -> str:
    """Return the setting for a launcher, whose name starts with one of the keys; "" if there is none."""
    return next((text for name, text in settings.items() if launcher.startswith(name)), "")
