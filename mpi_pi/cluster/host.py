"""Hosts as hostfiles name them and ssh reaches them."""

import ipaddress
import re
from dataclasses import dataclass, field

NAME = re.compile(r"(?:([A-Za-z0-9_][\w.-]*)@)?([A-Za-z0-9_][\w.-]*)", re.ASCII)
"""A host name or IPv4 address, and the user before it, if any."""


@dataclass(frozen=True)
class Host:
    """A host that ssh leads to."""

    name: str
    """An address, a name, or an alias in ~/.ssh/config."""
    user: str = ""
    port: int | None = None

    @property
    def destination(self) -> str:
        """The host as an argument of ssh."""
        return f"{self.user}@{self.name}" if self.user else self.name


@dataclass
class HostList:
    """The content of a hostfile."""

    hosts: list[Host] = field(default_factory=list)
    """Each host once, in the order in which they first occur."""
    notes: list[str] = field(default_factory=list)
    """What mpirun skips without a word, and the user will hardly have meant so."""


def user_name(name: str) -> str:
    """Return the name of a user, which may be empty. Raises ValueError if it is none."""
    if not re.fullmatch(r"(?:[A-Za-z0-9_][\w.-]*)?", name, re.ASCII):
        raise ValueError(f"{name!r} is not the name of a user")
    return name


def is_ipv6(word: str) -> bool:
    """Return whether a word is an IPv6 address without a zone."""
    try:
        return ipaddress.ip_address(word).version == 6 and "%" not in word
    except ValueError:
        return False


def wrapped(number: int) -> int:
    """Return a number as a C program reads it into an int of 32 bits."""
    return (number + 2**31) % 2**32 - 2**31
