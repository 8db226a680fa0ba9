"""Hostfiles of MPICH, as its launcher Hydra reads them."""

import re

from mpi_pi.cluster.host import NAME, Host, HostLine, HostList, is_ipv6, user_name, wrapped


def parse(text: str, launcher: str) -> HostList:
    """Return the hosts in a text. Raises ValueError, whose text names line and word."""
    # Up to 4.0 a comment could also follow a host.
    comments_anywhere = re.match(r"MPICH ([0-3]\.|4\.0)", launcher)
    found: list[HostLine] = []
    settings: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.partition("#")[0].split() if comments_anywhere else line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            host, slots = _host(words[0])
            if not found or host.name != found[-1].host.name:
                settings = {}
            for word in words[1:]:
                _take_setting(word, host.name, settings)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        host = Host(host.name, user_name(settings.get("user", host.user).strip('"')))
        found.append(HostLine(number, host, slots))
    return HostList(list(dict.fromkeys(line.host for line in found)), found)


def _host(word: str) -> tuple[Host, int]:
    """Return the host in a word, and its number of ranks."""
    name, _, ranks = word.partition(":")
    match = NAME.fullmatch(name)
    if not match or is_ipv6(word):
        raise ValueError(f"{word!r} is not a host, such as 192.168.1.101 or 192.168.1.101:4")
    slots = 1
    if ranks:
        digits = re.match(r"[+-]?\d+", ranks.lstrip(":"), re.ASCII)
        if (slots := wrapped(int(digits[0] if digits else 0))) < 1:
            raise ValueError(f"{word!r}: after the colon there has to be a number of ranks, such as {name}:4")
    return Host(match[2], match[1] or ""), slots


def _take_setting(word: str, name: str, settings: dict[str, str]) -> None:
    key, _, value = word.partition("=")
    if key in ("slots", "cpu", "count"):
        raise ValueError(f"{word!r} is what Open MPI would take; for MPICH it is {name}:{value or 4}")
    if word.startswith("#"):
        raise ValueError(f"{word!r}: MPICH takes a comment in a line of its own only")
    if key not in ("user", "binding") or not value or "=" in value or key in settings:
        raise ValueError(f"{word!r} is not a setting of a host, such as user=pi, given once")
    settings[key] = value
