"""Hostfiles as mpirun reads them: Open MPI's `192.168.1.101 slots=4`, and MPICH's `192.168.1.101:4`."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HOST = re.compile(r"(?:([A-Za-z0-9_][\w.-]*)@)?([A-Za-z0-9_][\w.-]*)(?::\d+)?", re.ASCII)
_SETTING = re.compile(r"([a-z][a-z_-]*)=([\w.,:@/+-]+)", re.ASCII)
_USER = ("user", "username", "user-name", "user_name")


class Unusable(Exception):
    """A hostfile that cannot be used; says why."""


@dataclass(frozen=True)
class Host:
    """Where ssh leads to."""

    name: str
    """An address, a name, or what ~/.ssh/config calls it."""
    user: str = ""
    port: int | None = None

    @property
    def destination(self) -> str:
        """As ssh is told."""
        return f"{self.user}@{self.name}" if self.user else self.name


def read(path: str) -> list[Host]:
    """The hosts in a file, each once, in the order in which they first occur. Raises Unusable."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Unusable(f"{path!r}: {error.strerror}") from error
    except ValueError as error:  # a name that no file can have, or what is not text
        raise Unusable(f"{path!r}: not a text file") from error
    try:
        hosts = parse(text)
    except ValueError as error:
        raise Unusable(f"{path!r}: {error}") from error
    if not hosts:
        raise Unusable(f"{path!r}: names no hosts")
    return hosts


def parse(text: str) -> list[Host]:
    """The same of a text. How many ranks a host is to have is left to mpirun. Raises ValueError."""
    return list(dict.fromkeys(_hosts(text)))


def _hosts(text: str) -> Iterator[Host]:
    for number, line in enumerate(text.splitlines(), start=1):
        # Open MPI also takes blanks on both sides of an equals sign.
        words = re.sub(r"\s*=\s*", "=", line.partition("#")[0]).split()
        if words:
            try:
                yield _host(*words)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _host(word: str, *words: str) -> Host:
    settings = dict(_setting(setting) for setting in words)
    match = _HOST.fullmatch(word)
    user = next((settings[key] for key in _USER if key in settings), "")
    port = settings.get("port")
    if (match is None and not _is_ipv6(word)) or user.startswith("-"):
        raise ValueError(f"{word!r} is not a host, such as 192.168.1.101, 192.168.1.101 slots=4 or node1:4")
    if port is not None and not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise ValueError(f"port={port} is not a TCP port")
    return Host(
        name=match[2] if match else word,
        user=(match and match[1]) or user,
        port=int(port) if port else None,
    )


def _setting(word: str) -> tuple[str, str]:
    match = _SETTING.fullmatch(word)
    if not match:
        raise ValueError(f"{word!r} is not a setting, such as slots=4")
    return match[1], match[2]


def _is_ipv6(word: str) -> bool:
    try:
        return ipaddress.ip_address(word).version == 6 and "%" not in word
    except ValueError:
        return False
