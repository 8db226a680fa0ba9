"""Addresses of hosts, and the user's settings of ssh for them."""

import socket
from dataclasses import dataclass

from mpi_pi.cluster.host import Host
from mpi_pi.system import command

LIMIT_SECONDS = 5


@dataclass(frozen=True)
class SshEndpoint:
    """The end of an ssh connection to a host, by the user's settings."""

    name: str
    port: int
    direct: bool
    """True if no other host and no command is in between."""


def ssh_endpoint(host: Host) -> SshEndpoint:
    """Return the endpoint for a host, whose name may be an alias in ~/.ssh/config."""
    printed = _output("ssh", "-G", *host.ssh_arguments)
    settings = dict(line.split(" ", 1) for line in printed.splitlines() if " " in line)
    return SshEndpoint(
        name=settings.get("hostname", host.name),
        port=int(settings.get("port", host.port or 22)),
        direct=all(settings.get(name, "none") == "none" for name in ("proxycommand", "proxyjump")),
    )


def resolve(name: str) -> list[str]:
    """Return the addresses of a name, those of IPv4 first, which MPI uses; none for an unknown name."""
    # getent has a time limit; Python's own function may wait for ever for a name server.
    found = [line.split()[0] for line in _output("getent", "ahosts", name).splitlines() if line]
    return sorted(dict.fromkeys(found), key=lambda address: ":" in address)


def is_own(address: str) -> bool:
    """Return whether this machine has that address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address.partition("%")[0], 0))
        except OSError:
            return False
    return True


def is_here(host: Host) -> bool:
    """Return whether a host is this machine, which is reached without ssh."""
    return any(map(is_own, resolve(host.name)[:1]))


def _output(*words: str) -> str:
    return command.output(words, LIMIT_SECONDS, {"LC_ALL": "C"}) or ""
