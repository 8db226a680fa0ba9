"""Latency and bandwidth between rank 0 and another rank, and how far their clocks are apart.

Rank 0 asks the other one for messages of a certain size. Each begins with what its clock says.
"""

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpi_pi.mpi.requests import yield_core

if TYPE_CHECKING:
    from mpi4py import MPI

TAG = 3

SMALL_BYTES, FIRST_BYTES, MAX_BYTES = 8, 1 << 16, 1 << 22
LATENCY_SHARE = 0.4
"""Of the time; the rest is for the bandwidth."""
MIN_EXCHANGES = 3
"""However slow the network is."""

SILENCE_SECONDS = 25.0


class PeerTimeout(Exception):
    """The other rank has not answered."""


@dataclass(frozen=True)
class Link:
    """What lies between rank 0 and another rank."""

    latency_seconds: float
    """Of a message of 8 bytes, one way: half of the median round trip."""
    bytes_per_second: float
    """With the largest message that the time was enough for."""
    message_bytes: int
    """The size of that."""
    skew_seconds: float
    """The other clock minus rank 0's, in the shortest round trip, of which it is sure to half."""


def measure(comm: "MPI.Intracomm", rank: int, seconds: float) -> Link:
    """The link to a rank, which has to `answer` meanwhile; in about that time. On rank 0.

    Raises PeerTimeout.
    """
    start = time.perf_counter()
    buffer = np.zeros(MAX_BYTES // 8)
    _ask(comm, rank, buffer[:1])  # which may have to make a connection
    trips: list[tuple[float, float]] = []
    while len(trips) < MIN_EXCHANGES or time.perf_counter() < start + LATENCY_SHARE * seconds:
        trips.append(_ask(comm, rank, buffer[:1]))
    latency = statistics.median(trip for trip, _ in trips) / 2
    shortest, skew = min(trips)

    size, fastest = FIRST_BYTES, 0.0
    while True:
        trip, _ = _ask(comm, rank, buffer[: size // 8])
        fastest = max(fastest, bandwidth(size, trip, shortest))
        left = start + seconds - time.perf_counter()
        if 4 * size <= MAX_BYTES and 4 * trip < left:
            size, fastest = 4 * size, 0.0
        elif trip > left:
            break
    _ask(comm, rank, buffer[:0])
    return Link(latency, fastest, size, skew)


def bandwidth(size: int, trip_seconds: float, shortest_seconds: float) -> float:
    """Bytes per second of a message of that size, from the time for question and answer together.

    The question takes half of the shortest round trip of small messages, unless those took no less time than
    this one: on a busy host that says nothing of it. So at least half of the trip is the answer's.
    """
    question_seconds = shortest_seconds / 2 if shortest_seconds < trip_seconds else 0.0
    return size / (trip_seconds - question_seconds)


def answer(comm: "MPI.Intracomm") -> None:
    """Let rank 0 measure the link to this rank. Raises PeerTimeout."""
    buffer = np.zeros(MAX_BYTES // 8)
    size = np.ones(1, np.int64)
    while size[0]:
        _finish(comm.Irecv(size, 0, TAG))
        reply = buffer[: size[0]]
        reply[:1] = time.time()
        _finish(comm.Isend(reply, 0, TAG))


def _ask(comm: "MPI.Intracomm", rank: int, reply: NDArray[np.float64]) -> tuple[float, float]:
    """Ask for so much; the seconds that it took, and by how many the other clock was ahead."""
    start, clock = time.perf_counter(), time.time()
    coming = comm.Irecv(reply, rank, TAG)
    asking = comm.Isend(np.array([reply.size], np.int64), rank, TAG)
    _finish(asking)
    _finish(coming)
    seconds = time.perf_counter() - start
    return seconds, float(reply[:1].sum()) - (clock + seconds / 2)


def _finish(request: "MPI.Request") -> None:
    """Wait without sleeping, which would be measured too, but let others have the core in between."""
    deadline = time.perf_counter() + SILENCE_SECONDS
    while not request.Test():
        yield_core()
        if time.perf_counter() > deadline:
            raise PeerTimeout
