"""Check of whether a job could start on all hosts, without MPI, whose errors do not tell the cause."""

import ipaddress
import os
import re
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi_pi.cluster import addresses, ssh_errors
from mpi_pi.cluster.agent.environment import chosen_mpirun, describe_environment
from mpi_pi.cluster.agent.network import reach
from mpi_pi.cluster.host import Host
from mpi_pi.cluster.host_check import HostCheck
from mpi_pi.cluster.ports import blocked_ports, of_launcher, try_ports
from mpi_pi.cluster.ssh import SshPool
from mpi_pi.cluster.ssh_errors import HostError
from mpi_pi.system import versions

HOST_SECONDS = 15
"""Time limit for the check of one host by itself."""

ONE_NETWORK = {
    "Open MPI 4": "OMPI_MCA_btl_tcp_if_include={where} OMPI_MCA_oob_tcp_if_include={where}",
    "Open MPI": "OMPI_MCA_btl_tcp_if_include={where} PRTE_MCA_prte_if_include={where}",
}
"""Variables that restrict MPI to one network, by the beginning of the launcher's name."""


@dataclass(frozen=True)
class Preflight:
    """The results of a preflight."""

    client: HostCheck
    hosts: Sequence[HostCheck]
    network: str
    """The network of most hosts."""

    @property
    def ready(self) -> bool:
        """True if a job could start."""
        return not any(one.problems for one in (self.client, *self.hosts))


def check(hosts: Sequence[Host], hostfile: str, mpirun: str = "") -> Preflight:
    """Check whether a job could start on hosts from `hostfile`, by `mpirun` or the environment's own."""
    deploy = _command("deploy", hostfile)
    own = describe_environment(sys.prefix, mpirun)
    client = HostCheck(Host("client"), here=True, facts=own)
    if own["problem"]:
        again = f"rm -r {sys.prefix}, and {_command('run')}"
        client.problems.append(f"{sys.prefix} is not in order ({own['problem']}): {again}")
    elif not own["launcher"]:
        install = f"{_command('run')}, or sudo apt-get install openmpi-bin"
        client.problems.append(f"there is no mpirun here: {install}")
    checks = [HostCheck(host) for host in hosts]
    with SshPool() as pool:
        pool.each(lambda one: _check_host(one, pool, own, deploy, mpirun), checks)
        reached = [one for one in checks if one.session and one.facts]
        try_ports(pool, client, reached, ranks_here=any(one.here for one in checks))
    machines = _compare_names(reached)
    network = _compare_networks(client, machines)
    if not all(one.here for one in checks):
        client.problems += _unsafe_path(own["launcher"], chosen_mpirun(Path(sys.prefix), mpirun))
    for one in (client, *reached):
        one.problems += blocked_ports(one)
    return Preflight(client, checks, network)


def _unsafe_path(launcher: str, mpirun: str) -> Iterator[str]:
    """Yield an error if the path of Open MPI's mpirun contains a character that is special to a shell.

    Open MPI starts its daemon on other hosts by a shell command with this path in it, without quotes. Hydra
    quotes it.
    """
    character = re.search(r"[^\w@%+=:,./-]", mpirun)
    if launcher.startswith("Open MPI") and character:
        yield (
            f"Open MPI starts nothing on other hosts from a path with {character[0]!r} in it, {mpirun}:"
            " move the project, or take MPI=mpich"
        )


def _command(target: str, hostfile: str = "") -> str:
    """Return the call of make for this environment, which is .venv, .venv-mpich or .venv-system."""
    _, _, mpi = Path(sys.prefix).name.partition("venv-")
    variables = {"MPI": mpi, "HOSTFILE": hostfile}
    return shlex.join(["make", target, *(f"{name}={value}" for name, value in variables.items() if value)])


def _check_host(one: HostCheck, pool: SshPool, own: Mapping[str, Any], deploy: str, mpirun: str) -> None:
    """Check a host by itself: its name, ssh, its environment and its launcher."""
    start = time.monotonic()
    try:
        endpoint = addresses.ssh_endpoint(one.host)
        one.address = next(iter(addresses.resolve(endpoint.name)), "")
        one.here = bool(one.address) and addresses.is_own(one.address)
        if one.here:
            one.facts = dict(own)
        else:
            _check_ssh_port(one.address, endpoint)
            one.session = pool.open(one.host)
            left = max(HOST_SECONDS - (time.monotonic() - start), 1)
            one.facts = one.session.ask(left, "describe_environment", path=sys.prefix, mpirun=mpirun)
    except HostError as problem:
        one.problems.append(str(problem))
    else:
        one.problems += differences(one.facts, own, deploy)
        one.notes += versions.harmless(one.facts, own)
        if one.here and one.name != "localhost" and ipaddress.ip_address(one.address).is_loopback:
            one.notes.append(
                f"that name leads to {one.address}, by which others cannot reach it: give its address"
            )


def _check_ssh_port(address: str, endpoint: addresses.SshEndpoint) -> None:
    """Raise HostError if a host that is reached directly has no sshd."""
    if not endpoint.direct:
        return
    if not address:
        raise HostError(ssh_errors.NAME_UNKNOWN.format(name=endpoint.name))
    failure = reach(address, endpoint.port)
    if "refused" in failure:
        raise HostError(ssh_errors.REFUSED.format(name=endpoint.name))
    if failure:
        silent = ssh_errors.SILENT.format(name=endpoint.name)
        raise HostError(f"{silent} (port {endpoint.port} of {address}: {failure})")


def differences(facts: Mapping[str, Any], own: Mapping[str, Any], deploy: str) -> Iterator[str]:
    """Yield the differences that keep a host from a job with the client.

    `facts` and `own` are results of `describe_environment` there and here; `deploy` is the remedy.
    """
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


def _compare_names(reached: Sequence[HostCheck]) -> list[HostCheck]:
    """Return each machine once; add notes about its other names."""
    machines: list[HostCheck] = []
    for one in reached:
        own = {str(interface.ip) for _, interface in one.interfaces} | {one.address}
        twin = next((other for other in machines if other.address in own), None)
        if twin:
            one.notes.append(f"that is {twin.name} ({twin.address}) once more: keep one of the two names")
        else:
            machines.append(one)
    return machines


def _compare_networks(client: HostCheck, machines: Sequence[HostCheck]) -> str:
    """Return the network of most hosts; add notes about other hosts, and problems of addresses used twice."""
    everyone = [client, *machines]
    networks = Counter(
        it.network for one in machines for _, it in one.interfaces if str(it.ip) == one.address
    )
    if not networks:
        return "the cluster's network"
    common = networks.most_common(1)[0][0]
    holders: dict[str, list[str]] = {}
    interfaces = set()
    for one in everyone:
        if one.interfaces and all(interface.network != common for _, interface in one.interfaces):
            own = ", ".join(str(interface.network) for _, interface in one.interfaces)
            one.notes.append(f"it is in {own}, and most others are in {common}")
        for name, interface in one.interfaces:
            holders.setdefault(f"{name}, {interface.ip}", []).append(one.name)
            interfaces |= {name} if interface.network == common else set()
    # An interface rather than a network, if possible: PRRTE may crash if two interfaces are in the network.
    where = interfaces.pop() if len(interfaces) == 1 else common
    setting = of_launcher(ONE_NETWORK, client.facts["launcher"]).format(where=where)
    if setting and "OMPI_MCA_btl_tcp_if_include" not in os.environ:
        client.problems += [
            f"{', '.join(names)} have the same address ({what}), by which Open MPI takes them for one"
            f" another: export {setting}"
            for what, names in holders.items()
            if len(names) > 1
        ]
    return str(common)
