"""TCP ports of a host, opened for others to try."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence

CONNECT_SECONDS = 3


def listen(ranges: Sequence[tuple[int, int]], token: str) -> list[int]:
    """Open the first free port of each range, and send the token to all who connect; return the ports.

    (0, 0) is any port that the system chooses. A port 0 in the answer means that none was free.
    """
    ports = []
    for low, high in ranges:
        listener = _bound(low, high)
        ports.append(listener.getsockname()[1] if listener else 0)
        if listener:
            threading.Thread(target=_tell, args=(listener, token.encode()), daemon=True).start()
    return ports


def connect(peers: Sequence[tuple[str, int, str]]) -> list[str]:
    """Connect to peers, given as address, port and token, at the same time; return what went wrong, or ""."""
    results = [""] * len(peers)

    def attempt(index: int) -> None:
        results[index] = reach(*peers[index])

    threads = [threading.Thread(target=attempt, args=(index,)) for index in range(len(peers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def reach(address: str, port: int, token: str = "") -> str:
    """Connect, and wait for the token if there is one; return what went wrong, or ""."""
    try:
        with socket.create_connection((address, port), CONNECT_SECONDS) as connection:
            connection.settimeout(CONNECT_SECONDS)
            received = b""
            while len(received) < len(token):
                part = connection.recv(100)
                if not part:
                    break
                received += part
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
