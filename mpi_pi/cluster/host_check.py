"""Results of a preflight on a host."""

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
    """True if it is the client itself."""
    session: SshSession | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """Result of the agent's `describe_environment`; empty without an answer."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Text that its ports send, by which a peer recognises them."""
    ports: list[int] = field(default_factory=list)
    """TCP ports opened on it, one for the launcher's daemons and one for the ranks; 0 if none is free."""
    blocked: dict[int, list[str]] = field(default_factory=dict)
    """By port, the hosts that could not connect, with the reason."""
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
        """Return the answer of the host's agent; without one return None, and add the error to `problems`."""
        try:
            return self.session and self.session.ask(seconds, do, **arguments)
        except HostError as problem:
            self.problems.append(str(problem))
            return None
