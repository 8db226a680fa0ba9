"""Hostfiles of Open MPI, as its mpirun (PRRTE, or ORTE in version 4) reads them."""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from mpi_pi.cluster.host import NAME, Host, HostLine, HostList, is_ipv6, user_name, wrapped

_BLANKS = r"[ \t\f\v]*"
_SLOTS = {"slots", "cpu", "count"}
_MAX_SLOTS = {f"max{dash}{what}" for what in _SLOTS for dash in "-_"}
_MAX_SLOTS |= {f"{what}{dash}max" for what in _SLOTS for dash in "-_"}
_USER = {"username", "user-name", "user_name"}
_KEYWORDS = {*_SLOTS, *_MAX_SLOTS, *_USER, "port", "rank", "slot", "boards", "sockets", "cores"}
_KEYWORDS |= {"sockets_per_board", "sockets-per-board", "cores_per_socket", "cores-per-socket"}

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
"""The tokens of Open MPI's scanner: the longest that fits is taken, the first of equally long ones."""


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


@dataclass
class _Node:
    """The slots of a host, as Open MPI counts them."""

    slots: int = 1
    max_slots: int = 0
    given: bool = False
    """True if its slots are settled, by a number or by a second line for the host."""


class OpenMpiParser:
    """A parser of one hostfile."""

    def __init__(self, version_4: bool = False) -> None:
        self._version_4 = version_4
        self._nodes: dict[str, _Node] = {}
        self._found = HostList()

    def parse(self, text: str) -> HostList:
        """Return the hosts in a text. Raises ValueError, whose text names line and word."""
        lines = text.split("\n")
        if re.match(rf"{_BLANKS}#", lines[-1]):  # mpirun accepts such a last line without a line end
            text = text.removesuffix(lines[-1])
        line: list[_Token] = []
        for token in [*_tokens(text), _Token("end", "", 0)]:
            if token.kind != "end":
                line.append(token)
            elif line:
                try:
                    self._take_line(line, lines[line[0].line - 1])
                except ValueError as error:
                    raise ValueError(f"line {line[0].line}: {error}") from None
                line = []
        if self._nodes and not any(node.slots for node in self._nodes.values()):
            raise ValueError("no host has a slot for a rank")
        self._found.lines = [
            line if self._nodes[_identity(line.host.name)].given else line._replace(slots=None)
            for line in self._found.lines
        ]
        self._found.hosts = list(dict.fromkeys(line.host for line in self._found.lines))
        return self._found

    def _take_line(self, tokens: list[_Token], text: str) -> None:
        if any(token.text == "\r" for token in tokens):
            problem = "ends as lines do in Windows, which Open MPI does not take: tr -d '\\r' removes that"
            raise ValueError(f"{text!r} {problem}")
        first, *rest = tokens
        if first.text == "rank" and not self._version_4 and "=" in (signs := [token.text for token in rest]):
            first, rest = [*rest[signs.index("=") + 1 :], first][0], []  # a file of ranks, one in each line
        if first.kind not in ("word", "host", "address", "number"):
            raise ValueError(f"{text.strip()!r} begins with no host, such as 192.168.1.101 slots=4")
        host = self._host(first.text)
        node, before = self._nodes.setdefault(_identity(host.name), fresh := _Node()), 0
        if node is not fresh:
            self._compare_names(host.name, first.line)
            before, node.slots, node.given = node.slots, node.slots + 1, True
        host = self._configured(host, node, rest)
        self._found.lines.append(HostLine(tokens[0].line, host, node.slots - before))

    def _compare_names(self, name: str, line: int) -> None:
        for other in {line.host.name for line in self._found.lines} - {name}:
            if _identity(other) == _identity(name) != "this machine":
                self._found.notes.append(f"line {line}: mpirun takes {other} and {name} for one host")

    def _host(self, word: str) -> Host:
        match = NAME.fullmatch(word)
        if match and self._version_4 and not re.fullmatch(r"[A-Za-z0-9.-]+", match[2], re.ASCII):
            raise ValueError(f"{word!r}: Open MPI 4 takes letters, digits, dots and hyphens in a name")
        if match:
            return Host(match[2], match[1] or "")
        if is_ipv6(word) and not self._version_4:
            return Host(word)
        if form := re.fullmatch(r"(.+):(\d+)", word):
            own = f"{form[1]} slots={form[2]}"
            raise ValueError(f"{word!r} is what MPICH would take; for Open MPI it is {own}")
        raise ValueError(f"{word!r} is not a host, such as 192.168.1.101 or 192.168.1.101 slots=4")

    def _configured(self, host: Host, node: _Node, tokens: list[_Token]) -> Host:
        """Apply the settings after a host's name to its node; return the host with its user and port."""
        max_given = False
        while tokens:
            token = tokens.pop(0)
            if token.kind in ("word", "number"):
                self._found.notes.append(_skipped(token, host.name))
            elif token.text in _USER:
                host = replace(host, user=_user(tokens))
            elif token.text == "port":
                if not 1 <= (number := _number(token.text, tokens)) <= 65535:
                    raise ValueError(f"port={number} is not a TCP port")
                host = replace(host, port=number)
            elif token.text in _SLOTS:
                _set_slots(node, _number(token.text, tokens), host.name)
            elif token.text in _MAX_SLOTS:
                node.max_slots = _number(token.text, tokens)
                if node.max_slots < node.slots:
                    raise ValueError(f"at most {node.max_slots} slots are less than its slots, {node.slots}")
                max_given = True
            else:
                raise ValueError(_no_setting(token, tokens))
        if max_given and not node.given:
            node.slots, node.given = node.max_slots, True
        return host


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


def _no_setting(token: _Token, after: list[_Token]) -> str:
    if token.text == "#":
        return "a comment in the last line: Open MPI wants a line end after it"
    return f"{''.join(piece.text for piece in [token, *after[:2]])!r} is not a setting, such as slots=4"


def _set_slots(node: _Node, number: int, name: str) -> None:
    if node.given:
        raise ValueError(f"the slots of {name} are given twice: name it once, with all of its slots")
    node.slots, node.given = number, True


def _number(setting: str, tokens: list[_Token]) -> int:
    """Remove an equals sign and a number from the tokens; return the number as a C program reads it."""
    equals, *value = [tokens.pop(0) for _ in tokens[:2]] or [_Token("", "", 0)]
    number = -1
    if equals.kind == "=" and value and value[0].kind == "number":
        number = wrapped(int(value[0].text))
    if number < 0:
        after = re.sub(r"\s", "", "".join(token.text for token in [*value, *tokens[:1]]))
        raise ValueError(f"'{setting}{equals.text}{after}': {setting} wants a number, such as {setting}=4")
    return number


def _user(tokens: list[_Token]) -> str:
    """Remove an equals sign and a user's name from the tokens; return the name, "" without the sign."""
    if [tokens.pop(0).text for _ in tokens[:1]] != ["="]:
        return ""
    return user_name("".join(tokens.pop(0).text for _ in tokens[:1]))


def _skipped(token: _Token, name: str) -> str:
    slots = token.text.lstrip(":")
    meant = f": {name} slots={slots} gives it so many" if slots.isdecimal() else ""
    return f"line {token.line}: mpirun skips {token.text!r}, and gives {name} no slots for it{meant}"


def _identity(name: str) -> str:
    """Return a name that is equal for all names, compared up to a dot, that Open MPI takes for one host."""
    if re.fullmatch(r"[\d.]+", name) or ":" in name:
        return "this machine" if name.startswith("127.") else name
    short = name.partition(".")[0]
    return "this machine" if short in ("localhost", socket.gethostname().partition(".")[0]) else short
