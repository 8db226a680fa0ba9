"""Latency and bandwidth between rank 0 and another rank, and the skew of their clocks.

Rank 0 requests messages of a certain size from the other rank; each begins with the time of the other clock.
"""

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpi_pi.mpi.peer_timeout import REPLY_TIMEOUT_SECONDS, PeerTimeout
from mpi_pi.mpi.requests import yield_core

if TYPE_CHECKING:
    from mpi4py import MPI

TAG = 3

SMALL_BYTES, FIRST_BYTES, MAX_BYTES = 8, 1 << 16, 1 << 22
LATENCY_SHARE = 0.4
"""Share of the time for measuring the latency; the rest is for the bandwidth."""
MIN_EXCHANGES = 3
"""Round trips of small messages that are timed even if the network is slow."""


@dataclass(frozen=True)
class Link:
    """Properties of the connection between rank 0 and another rank."""

    latency_seconds: float
    """Latency of a message of 8 bytes in one direction: half of the median round trip."""
    bytes_per_second: float
    """Bandwidth with messages of `message_bytes`."""
    message_bytes: int
    """Size of the largest message for which there was time."""
    skew_seconds: float
    """Time of the other rank's clock minus that of rank 0's, within half of the shortest round trip."""


def measure(comm: "MPI.Intracomm", rank: int, seconds: float) -> Link:
    """Measure, on rank 0, the link to another rank, which has to call `answer`; takes about `seconds`.

    Raises PeerTimeout.
    """
    start = time.perf_counter()
    buffer = np.zeros(MAX_BYTES // 8)
    exchange(comm, rank, buffer[:1])  # the first exchange may have to make a connection
    trips: list[tuple[float, float]] = []
    while len(trips) < MIN_EXCHANGES or time.perf_counter() < start + LATENCY_SHARE * seconds:
        trips.append(exchange(comm, rank, buffer[:1]))
    latency = statistics.median(trip for trip, _ in trips) / 2
    shortest, skew = min(trips)

    size, fastest = FIRST_BYTES, 0.0
    while True:
        trip, _ = exchange(comm, rank, buffer[: size // 8])
        fastest = max(fastest, bandwidth(size, trip, shortest))
        left = start + seconds - time.perf_counter()
        if 4 * size <= MAX_BYTES and 4 * trip < left:
            size, fastest = 4 * size, 0.0
        elif trip > left:
            break
    exchange(comm, rank, buffer[:0])  # ends `answer`
    return Link(latency, fastest, size, skew)


def bandwidth(size: int, trip_seconds: float, shortest_seconds: float) -> float:
    """Return the bytes per second of a message of `size` bytes, given the time of its round trip.

    The request for it takes half of `shortest_seconds`, the shortest round trip of small messages. If those
    took longer than this one, as on a busy host, nothing is subtracted. So at least half of the trip is the
    answer's.
    """
    request_seconds = shortest_seconds / 2 if shortest_seconds < trip_seconds else 0.0
    return size / (trip_seconds - request_seconds)


def answer(comm: "MPI.Intracomm") -> None:
    """Let rank 0 measure the link to this rank. Raises PeerTimeout."""
    buffer = np.zeros(MAX_BYTES // 8)
    size = np.ones(1, np.int64)
    while size[0]:
        _finish(comm.Irecv(size, 0, TAG))
        reply = buffer[: size[0]]
        reply[:1] = time.time()
        _finish(comm.Isend(reply, 0, TAG))


def exchange(comm: "MPI.Intracomm", rank: int, reply: NDArray[np.float64]) -> tuple[float, float]:
    """Receive `reply` from a rank; return the seconds of the round trip, and the skew of the rank's clock."""
    start, clock = time.perf_counter(), time.time()
    received = comm.Irecv(reply, rank, TAG)
    _finish(comm.Isend(np.array([reply.size], np.int64), rank, TAG))
    _finish(received)
    seconds = time.perf_counter() - start
    return seconds, float(reply[:1].sum()) - (clock + seconds / 2)


def _finish(request: "MPI.Request") -> None:
    """Wait for a request without sleeping, which would add to the measured time, but yield the core."""
    deadline = time.perf_counter() + REPLY_TIMEOUT_SECONDS
    while not request.Test():
        yield_core()
        if time.perf_counter() > deadline:
            raise PeerTimeout
