"""Signs that rank 0 of a run sends to `mpi-pi keep-running`: lines on standard error, see `SignReader`.

Each begins with a prefix that contains the token of the job, so that no other output is taken for a sign.
Launchers forward it, perhaps in pieces, or after output of other ranks that has no line end.
"""

import binascii
import contextlib
import zlib
from typing import NamedTuple

MAX_BYTES = 1 << 16
"""Maximum size of a sign; what is longer has lost its end."""


class Beat(NamedTuple):
    """Rank 0 is at work."""


class State(NamedTuple):
    """What has been counted so far."""

    points: int
    packed: str
    """The text of a checkpoint, packed."""


class End(NamedTuple):
    """The command has ended on rank 0."""

    status: int
    """Its exit status."""
    reason: int
    """Reason of a stop before the job was complete, see `mpi.stop`; 0 for none."""


Sign = Beat | State | End


def line(token: str, sign: Sign) -> bytes:
    """Return a sign as a line."""
    words = (type(sign).__name__.lower(), *map(str, sign))
    return _prefix(token) + " ".join(words).encode() + b"\n"


def pack(text: str) -> str:
    """Return a text as one word, which is also safe as an argument of any launcher."""
    return binascii.b2a_base64(zlib.compress(text.encode()), newline=False).decode()


def unpack(packed: str) -> str:
    """Return the text that was packed. Raises ValueError if the word is damaged."""
    try:
        return zlib.decompress(binascii.a2b_base64(packed, strict_mode=True)).decode()
    except zlib.error as error:
        raise ValueError("damaged") from error


class SignReader:
    """Separates the signs of a job from its other output."""

    def __init__(self, token: str) -> None:
        self._prefix, self._rest = _prefix(token), b""

    def feed(self, output: bytes) -> tuple[bytes, list[Sign]]:
        """Take more output; return the output that belongs to no sign, and the signs that are complete now.

        A damaged sign is neither. The last bytes are kept as long as they may begin a sign.
        """
        rest, other, signs = self._rest + output, b"", list[Sign]()
        while (at := rest.find(self._prefix)) >= 0:
            end = rest.find(b"\n", at)
            if end < 0 and len(rest) - at <= MAX_BYTES:
                break
            other += rest[:at]
            text, rest = rest[at + len(self._prefix) : end], rest[end + 1 :] if end >= 0 else b""
            with contextlib.suppress(ValueError, TypeError):
                signs.append(_parse(text.decode()))
        if at < 0:
            at = len(rest) - self._beginning(rest)
        self._rest = rest[at:]
        return other + rest[:at], signs

    def flush(self) -> bytes:
        """Return what was kept, once there is no more output."""
        rest, self._rest = self._rest, b""
        return b"" if rest.startswith(self._prefix) else rest

    def _beginning(self, output: bytes) -> int:
        """Return the number of last bytes that are the beginning of a prefix."""
        lengths = range(min(len(self._prefix) - 1, len(output)), 0, -1)
        return next((length for length in lengths if output.endswith(self._prefix[:length])), 0)


def _prefix(token: str) -> bytes:
    return f"mpi-pi-sign {token} ".encode()


def _parse(text: str) -> Sign:
    """Return the sign in a text. Raises ValueError or TypeError if it is damaged."""
    word, *values = text.split(" ")
    if word == "beat":
        return Beat(*values)
    if word == "end":
        return End(*map(int, values))
    points, packed = values
    unpack(packed)
    return State(int(points), packed)
