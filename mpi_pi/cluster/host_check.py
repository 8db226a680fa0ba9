"""A host, and what a preflight has found out about it."""

import ipaddress
import secrets
from dataclasses import dataclass, field
from typing import Any

from mpi_pi.cluster.host import Host
from mpi_pi.cluster.ssh import SshSession
from mpi_pi.cluster.ssh_errors import HostError


@dataclass(eq=False)
class HostCheck:
    """The check of a host."""

    host: Host
    address: str = ""
    here: bool = False
    """Whether it is the client itself."""
    session: SshSession | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """The answer to `describe_environment`; empty if there is none."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Sent to all who connect to its ports."""
    ports: list[int] = field(default_factory=list)
    """TCP ports that it listens on: for the daemons of the launcher, and for the ranks."""
    blocked: dict[int, list[str]] = field(default_factory=dict)
    """By port, who could not connect, and why."""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name in the hostfile."""
        return self.host.name

    @property
    def interfaces(self) -> list[tuple[str, ipaddress.IPv4Interface]]:
        """Names and addresses of its network interfaces."""
        return [(name, ipaddress.IPv4Interface(it)) for name, it in self.facts.get("networks", ())]

    def ask(self, seconds: float, do: str, **arguments: Any) -> Any:
        """Return the answer of the host; without an answer None, and the problem is added to its problems."""
        try:
            return self.session and self.session.ask(seconds, do, **arguments)
        except HostError as problem:
            self.problems.append(str(problem))
            return None
