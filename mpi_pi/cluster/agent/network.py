"""TCP ports of a host, opened for other hosts to try."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

CONNECT_SECONDS = 3


def listen(ranges: Sequence[tuple[int, int]], token: str) -> list[int]:
    """Open the first free port of each range, and send the token to whoever connects; return the ports.

    The range (0, 0) is a port of the system's choice. A returned port 0 means that none was free.
    """
    ports = []
    for low, high in ranges:
        listener = _bound(low, high)
        ports.append(listener.getsockname()[1] if listener else 0)
        if listener:
            threading.Thread(target=_tell, args=(listener, token.encode()), daemon=True).start()
    return ports


def connect(peers: Sequence[tuple[str, int, str]]) -> list[str]:
    """Connect to peers, given by address, port and token, at the same time; return errors as `reach` does."""
    with ThreadPoolExecutor(len(peers) or 1) as pool:
        return list(pool.map(lambda peer: reach(*peer), peers))


def reach(address: str, port: int, token: str = "") -> str:
    """Connect to a port, and receive the token if one is given; return the error, "" if there is none."""
    try:
        with socket.create_connection((address, port), CONNECT_SECONDS) as connection:
            with connection.makefile("rb") as stream:
                received = stream.read(len(token))
            return "" if received == token.encode() else "something else answers there"
    except socket.timeout:  # noqa: UP041  # another error before Python 3.10
        return "no answer"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _bound(low: int, high: int) -> socket.socket | None:
    for port in range(low, high + 1):
        listener = socket.socket()
        try:
            listener.bind(("", port))
            listener.listen(64)
        except OSError:
            listener.close()
        else:
            return listener
    return None


def _tell(listener: socket.socket, token: bytes) -> None:
    while True:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.sendall(token)
