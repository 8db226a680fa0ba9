"""Hosts of a hostfile, which ssh reaches."""

import contextlib
import ipaddress
import re
from dataclasses import dataclass, field
from typing import NamedTuple

NAME = re.compile(r"(?:([A-Za-z0-9_][\w.-]*)@)?([A-Za-z0-9_][\w.-]*)", re.ASCII)
"""An optional user, and a host name or IPv4 address."""


@dataclass(frozen=True)
class Host:
    """A host as an argument of ssh."""

    name: str
    """An address, a name, or an alias in ~/.ssh/config."""
    user: str = ""
    port: int | None = None

    @property
    def destination(self) -> str:
        """Host and user, if any: pi@node1."""
        return f"{self.user}@{self.name}" if self.user else self.name

    @property
    def ssh_arguments(self) -> list[str]:
        """The arguments that follow the options of ssh."""
        return [*(["-p", str(self.port)] if self.port else []), "--", self.destination]


class HostLine(NamedTuple):
    """A line of a hostfile that names a host."""

    number: int
    """From 1."""
    host: Host
    slots: int | None
    """Number of ranks that it adds to the host; None if the launcher asks the host for the number."""


@dataclass
class HostList:
    """The content of a hostfile."""

    hosts: list[Host] = field(default_factory=list)
    """Each host once, in the order in which they first occur."""
    lines: list[HostLine] = field(default_factory=list)
    text: str = ""
    """The file, decoded as Latin-1; "" if the hosts are not from a file."""
    notes: list[str] = field(default_factory=list)
    """Lines of the hostfile that mpirun silently reads in another way than was probably meant."""


def user_name(name: str) -> str:
    """Return `name` if it is empty or can be the name of a user. Raises ValueError otherwise."""
    if not re.fullmatch(r"(?:[A-Za-z0-9_][\w.-]*)?", name, re.ASCII):
        raise ValueError(f"{name!r} is not the name of a user")
    return name


def is_ipv6(word: str) -> bool:
    """Return whether a word is an IPv6 address without a zone."""
    with contextlib.suppress(ValueError):
        return not ipaddress.IPv6Address(word).scope_id
    return False


def wrapped(number: int) -> int:
    """Return a number as a C program reads it into an int of 32 bits."""
    return (number + 2**31) % 2**32 - 2**31
