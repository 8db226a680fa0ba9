"""Hostfiles as the mpirun in use reads them: Open MPI's `node1 slots=4`, and MPICH's `node1:4`.

Each mpirun refuses what the other one wants, and skips some words without saying so. What is here follows
what they were seen to do with the files in tests/command/test_hostfile_rules.py.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mpi_pi.system.read_file import user_file

MAX_BYTES = 10_000_000
"""More than any hostfile has. A device has no end."""

_NAME = re.compile(r"(?:([A-Za-z0-9_][\w.-]*)@)?([A-Za-z0-9_][\w.-]*)", re.ASCII)
_BLANKS = r"[ \t\f\v]*"


class HostfileError(Exception):
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


@dataclass
class Hosts:
    """What a hostfile says."""

    hosts: list[Host] = field(default_factory=list)
    """Each once, in the order in which they first occur."""
    notes: list[str] = field(default_factory=list)
    """What mpirun skips without a word, and the user will hardly have meant so."""


def read(path: str, launcher: str) -> Hosts:
    """Read a hostfile as that launcher does, such as "Open MPI 5.0.11" or "MPICH 5.0.2". Raises
    HostfileError.

    Of a launcher that is not known, "" or another, it is enough that one of the two could read the file.
    """
    try:
        content = user_file(Path(path), MAX_BYTES)
    except OSError as error:
        raise HostfileError(f"{path!r}: {error.strerror}") from error
    if b"\0" in content:
        raise HostfileError(f"{path!r}: not a text file")
    try:
        found = parse(content.decode("latin-1"), launcher)
    except ValueError as error:
        raise HostfileError(f"{path!r}: {error}") from error
    if not found.hosts:
        raise HostfileError(f"{path!r}: names no hosts")
    return found


def parse(text: str, launcher: str) -> Hosts:
    """The same of a text, in which every byte is a character. Raises ValueError, naming line and word."""
    if text.startswith("\xef\xbb\xbf"):
        raise ValueError(
            "line 1: it begins with a byte order mark (BOM), which no mpirun takes:"
            " save it as plain text (UTF-8 without BOM)"
        )
    if launcher.startswith("Open MPI"):
        return _OpenMpi(launcher.startswith("Open MPI 4")).parse(text)
    if launcher.startswith("MPICH"):
        return _hydra(text, launcher)
    try:
        return _OpenMpi().parse(text)
    except ValueError:
        return _hydra(text, launcher)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


_MAX_SLOTS = {
    f"{most}{dash}{what}" for what in ("slots", "cpu", "count") for dash in "-_" for most in ["max"]
}
_MAX_SLOTS |= {f"{what}{dash}max" for what in ("slots", "cpu", "count") for dash in "-_"}
_SLOTS = {"slots", "cpu", "count"}
_USER = {"username", "user-name", "user_name"}
_KEYWORDS = {*_SLOTS, *_MAX_SLOTS, *_USER, "port", "rank", "slot"}
_KEYWORDS |= {"boards", "sockets", "sockets_per_board", "sockets-per-board"}
_KEYWORDS |= {"cores", "cores_per_socket", "cores-per-socket"}

_TOKENS = [
    (kind, re.compile(pattern, re.ASCII))
    for kind, pattern in (
        ("end", rf"{_BLANKS}\n|#[^\n]*\n|//[^\n]*\n|/\*(?s:.*?)\*/"),
        ("blank", r"[ \t\f\v]+"),
        ("=", "="),
        ("number", r"[0-9]+"),
        ("word", r"[A-Za-z0-9_\-,:*@]+"),
        ("host", r"(?:[A-Za-z0-9][\w-]*@)?[A-Za-z0-9][\w.-]*"),
        ("address", r"(?:[A-Za-z0-9][\w-]*@)?(?:[A-Fa-f0-9]{0,4}:)+:*(?:[A-Fa-f0-9]{0,4}:)+[A-Fa-f0-9]{1,4}"),
        ("other", r'"[^"]*"|(?s:.)'),
    )
]
"""What Open MPI takes a hostfile apart into: always the longest that fits, the first of equally long ones."""


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        fitting = [(kind, match) for kind, token in _TOKENS if (match := token.match(text, at))]
        kind, match = max(fitting, key=lambda found: found[1].end())
        if kind == "word" and match[0] in _KEYWORDS:
            kind = "keyword"
        if kind != "blank":
            yield _Token(kind, match[0], line)
        line += match[0].count("\n")
        at = match.end()


@dataclass
class _Node:
    """A host, by Open MPI's book-keeping."""

    slots: int = 1
    most: int = 0
    given: bool = False
    """Whether its slots are settled, by a number or by naming it again."""


class _OpenMpi:
    """A hostfile of Open MPI."""

    def __init__(self, old: bool = False) -> None:
        self._old = old
        """Version 4, which has something against some names."""
        self._nodes: dict[str, _Node] = {}
        self._found = Hosts()

    def parse(self, text: str) -> Hosts:
        """All hosts of the text. Raises ValueError."""
        lines = text.split("\n")
        if re.match(rf"{_BLANKS}#", lines[-1]):  # at the very end mpirun stops reading there, and goes on
            text = text.removesuffix(lines[-1])
        line: list[_Token] = []
        for token in [*_tokens(text), _Token("end", "", 0)]:
            if token.kind != "end":
                line.append(token)
            elif line:
                try:
                    self._line(line, lines[line[0].line - 1])
                except ValueError as error:
                    raise ValueError(f"line {line[0].line}: {error}") from None
                line = []
        if self._nodes and not any(node.slots for node in self._nodes.values()):
            raise ValueError("no host has a slot for a rank")
        self._found.hosts = list(dict.fromkeys(self._found.hosts))
        return self._found

    def _line(self, tokens: list[_Token], text: str) -> None:
        if any(token.text == "\r" for token in tokens):
            raise ValueError(_windows(text))
        first, *rest = tokens
        if first.text == "rank" and not self._old and "=" in (signs := [token.text for token in rest]):
            first, rest = [*rest[signs.index("=") + 1 :], first][0], []  # a file of ranks, one in each line
        if first.kind not in ("word", "host", "address", "number"):
            raise ValueError(f"{text.strip()!r} begins with no host, such as 192.168.1.101 slots=4")
        host = self._host(first.text)
        node = self._nodes.setdefault(_identity(host.name), fresh := _Node())
        if node is not fresh:
            self._compare_names(host.name, first.line)
            node.slots, node.given = node.slots + 1, True
        settings = self._settings(host.name, node, rest)
        self._found.hosts.append(
            Host(
                host.name,
                settings.get("user", host.user),
                int(port) if (port := settings.get("port")) else None,
            )
        )

    def _compare_names(self, name: str, line: int) -> None:
        for other in {host.name for host in self._found.hosts} - {name}:
            if _identity(other) == _identity(name) != "this machine":
                self._found.notes.append(f"line {line}: mpirun takes {other} and {name} for one host")

    def _host(self, word: str) -> Host:
        match = _NAME.fullmatch(word)
        if match and self._old and not re.fullmatch(r"[A-Za-z0-9.-]+", match[2], re.ASCII):
            raise ValueError(f"{word!r}: Open MPI 4 takes letters, digits, dots and hyphens in a name")
        if match:
            return Host(match[2], match[1] or "")
        if _is_ipv6(word) and not self._old:
            return Host(word)
        if form := re.fullmatch(r"(.+):(\d+)", word):
            raise ValueError(
                f"{word!r} is what MPICH would take; for Open MPI it is {form[1]} slots={form[2]}"
            )
        raise ValueError(f"{word!r} is not a host, such as 192.168.1.101 or 192.168.1.101 slots=4")

    def _settings(self, name: str, node: _Node, tokens: list[_Token]) -> dict[str, str]:
        """What is said of a host after its name; its user and port for ssh."""
        settings: dict[str, str] = {}
        most_given = False
        while tokens:
            token = tokens.pop(0)
            if token.kind in ("word", "number"):
                self._found.notes.append(_skipped(token, name))
            elif token.text in _USER:
                settings["user"] = _user(tokens)
            elif token.text == "port":
                settings["port"] = _port(_number(token.text, tokens))
            elif token.text in _SLOTS:
                _set_slots(node, _number(token.text, tokens), name)
            elif token.text in _MAX_SLOTS:
                _set_most_slots(node, _number(token.text, tokens))
                most_given = True
            else:
                raise ValueError(_no_setting(token, tokens))
        if most_given and not node.given:
            node.slots, node.given = node.most, True
        return settings


def _no_setting(token: _Token, after: list[_Token]) -> str:
    if token.text == "#":
        return "a comment in the last line: Open MPI wants a line end after it"
    return f"{''.join(piece.text for piece in [token, *after[:2]])!r} is not a setting, such as slots=4"


def _set_most_slots(node: _Node, number: int) -> None:
    if number < node.slots:
        raise ValueError(f"at most {number} slots are less than its slots, {node.slots}")
    node.most = number


def _set_slots(node: _Node, number: int, name: str) -> None:
    if node.given:
        raise ValueError(f"the slots of {name} are given twice: name it once, with all of its slots")
    node.slots, node.given = number, True


def _number(setting: str, tokens: list[_Token]) -> int:
    """The number after an equals sign, as a C program takes it; both are taken from the tokens."""
    equals, *value = [tokens.pop(0) for _ in tokens[:2]] or [_Token("", "", 0)]
    after = re.sub(r"\s", "", "".join(token.text for token in [*value, *tokens[:1]]))
    number = int(value[0].text) if equals.kind == "=" and value and value[0].kind == "number" else -1
    number = (number + 2**31) % 2**32 - 2**31
    if number < 0:
        raise ValueError(f"'{setting}{equals.text}{after}': {setting} wants a number, such as {setting}=4")
    return number


def _port(number: int) -> str:
    if not 1 <= number <= 65535:
        raise ValueError(f"port={number} is not a TCP port")
    return str(number)


def _user(tokens: list[_Token]) -> str:
    """The name after an equals sign; both are taken from the tokens. Open MPI forgives that there is none."""
    if [tokens.pop(0).text for _ in tokens[:1]] != ["="]:
        return ""
    return _user_name("".join(tokens.pop(0).text for _ in tokens[:1]))


def _user_name(name: str) -> str:
    if not re.fullmatch(r"(?:[A-Za-z0-9_][\w.-]*)?", name, re.ASCII):
        raise ValueError(f"{name!r} is not the name of a user")
    return name


def _skipped(token: _Token, name: str) -> str:
    slots = token.text.lstrip(":")
    meant = f": {name} slots={slots} gives it so many" if slots.isdecimal() else ""
    return f"line {token.line}: mpirun skips {token.text!r}, and gives {name} no slots for it{meant}"


def _identity(name: str) -> str:
    """The same for all names that Open MPI takes for one host: they count up to the first dot."""
    if re.fullmatch(r"[\d.]+", name) or ":" in name:
        return "this machine" if name.startswith("127.") else name
    short = name.partition(".")[0]
    return "this machine" if short in ("localhost", socket.gethostname().partition(".")[0]) else short


def _hydra(text: str, launcher: str) -> Hosts:
    """A hostfile of MPICH, whose launcher is called Hydra. Raises ValueError."""
    # Up to 4.0 the rest of a line could be a comment.
    comments_anywhere = re.match(r"MPICH ([0-3]\.|4\.0)", launcher)
    found = Hosts()
    settings: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.partition("#")[0].split() if comments_anywhere else line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            host = _hydra_host(words[0])
            if not found.hosts or host.name != found.hosts[-1].name:
                settings = {}
            for word in words[1:]:
                _hydra_setting(word, host.name, settings)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        found.hosts.append(Host(host.name, _user_name(settings.get("user", host.user).strip('"'))))
    found.hosts = list(dict.fromkeys(found.hosts))
    return found


def _hydra_host(word: str) -> Host:
    name, _, ranks = word.partition(":")
    match = _NAME.fullmatch(name)
    if not match or _is_ipv6(word):
        raise ValueError(f"{word!r} is not a host, such as 192.168.1.101 or 192.168.1.101:4")
    if ranks:
        digits = re.match(r"[+-]?\d+", ranks.lstrip(":"), re.ASCII)
        number = (int(digits[0] if digits else 0) + 2**31) % 2**32 - 2**31
        if number < 1:
            raise ValueError(f"{word!r}: after the colon there has to be a number of ranks, such as {name}:4")
    return Host(match[2], match[1] or "")


def _hydra_setting(word: str, name: str, settings: dict[str, str]) -> None:
    key, _, value = word.partition("=")
    if key in _SLOTS:
        raise ValueError(f"{word!r} is what Open MPI would take; for MPICH it is {name}:{value or 4}")
    if word.startswith("#"):
        raise ValueError(f"{word!r}: MPICH takes a comment in a line of its own only")
    if key not in ("user", "binding") or not value or "=" in value or key in settings:
        raise ValueError(f"{word!r} is not a setting of a host, such as user=pi, given once")
    settings[key] = value


def _windows(line: str) -> str:
    return f"{line!r} ends as lines do in Windows, which Open MPI does not take: tr -d '\\r' removes that"


def _is_ipv6(word: str) -> bool:
    try:
        return ipaddress.ip_address(word).version == 6 and "%" not in word
    except ValueError:
        return False
