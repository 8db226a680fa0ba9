"""Latency and bandwidth between two ranks over message sizes, measured as OSU's micro-benchmarks do.

As in osu_latency, a message goes to the other rank and comes back; the latency is half of that time. As in
osu_bw, a window of messages is sent at once, and the other rank acknowledges all of them with one byte. The
first exchanges of each kind and size are not timed. Each rank has one buffer to send from and one to receive
into, which all messages of a window share.

One rank of the pair leads: it tells the other, which follows, what to do next. Requests are persistent, since
to make a request anew for each message would take Python longer than a short message needs.
"""

import itertools
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mpi_pi.mpi.command_loop import KEEP_ALIVE_SECONDS, KeepAlive
from mpi_pi.mpi.peer_timeout import REPLY_TIMEOUT_SECONDS, PeerTimeout
from mpi_pi.mpi.requests import yield_core

if TYPE_CHECKING:
    from mpi4py import MPI

CONTROL_TAG, MESSAGE_TAG, REPLY_TAG = 4, 5, 6

WINDOW = 64
"""Messages in a window, as in osu_bw."""
WINDOW_SECONDS = 0.1
"""Time for which messages of a window may keep the network busy; a window of a slow network has fewer."""
MIN_WINDOW = 2

MIN_TURNS = 3
"""Samples of each number, at least."""
WARM_UP_SHARE = 0.1
"""Exchanges before the timed ones, as a share of these."""

SPINS = 1000
"""Tests of a request until a rank yields its core between them, which takes longer than a short message."""

SILENCE_SECONDS = REPLY_TIMEOUT_SECONDS
"""Wait for a message after which the other rank is given up."""

LATENCY, BANDWIDTH, END = range(3)


class Effort(NamedTuple):
    """Sizes of messages, and how long and how often to measure them."""

    sizes: tuple[int, ...]
    """Bytes, ascending."""
    turns: int
    """Samples of each number, if there is time."""
    seconds: float
    """Time for a pair, if its network is fast enough."""
    max_seconds: float
    """Time after which larger messages are left out."""


class SizeTimes(NamedTuple):
    """Samples for messages of one size, by turn."""

    message_bytes: int
    window: int
    """Messages in a window."""
    latency_seconds: list[float]
    bytes_per_second: list[float]


class Batch(NamedTuple):
    """Exchanges that follow one another; int64 numbers, sent to the rank that follows."""

    kind: int
    message_bytes: int
    warm_up: int
    """Exchanges that are not timed."""
    exchanges: int
    window: int


class Pair:
    """A pair of this rank and another one, each of which either leads or follows."""

    def __init__(self, comm: "MPI.Intracomm", other: int, max_bytes: int, keep_alive: KeepAlive) -> None:
        """`keep_alive` is called every KEEP_ALIVE_SECONDS; its message may disturb a sample."""
        self._comm, self._other, self._keep_alive = comm, other, keep_alive
        self._outgoing, self._incoming = (np.full(max_bytes, value, np.uint8) for value in (1, 0))
        self._alive_at = time.perf_counter() + KEEP_ALIVE_SECONDS

    def lead(self, effort: Effort) -> list[SizeTimes]:
        """Measure, and return the samples of those sizes for which there was time. Raises PeerTimeout."""
        start = time.perf_counter()
        aim = effort.seconds / (2 * effort.turns * len(effort.sizes))
        looks: list[SizeTimes] = []
        turn_seconds = 0.0
        for size in effort.sizes:
            expected = _expected_seconds(looks, size)
            spent = time.perf_counter() - start
            if looks and spent + expected + MIN_TURNS * (turn_seconds + expected) > effort.max_seconds:
                break
            looks.append(self._first_look(looks, size))
            turn_seconds += sum(max(aim, each) for each in _exchange_seconds(looks[-1]))
        left = effort.seconds - (time.perf_counter() - start)
        turns = min(max(int(left / turn_seconds), MIN_TURNS), effort.turns)
        rows = [look._replace(latency_seconds=[], bytes_per_second=[]) for look in looks]
        for _, (row, look) in itertools.product(range(turns), list(zip(rows, looks, strict=True))):
            known = row if row.latency_seconds else look
            for kind, seconds in enumerate(_exchange_seconds(known)):
                self._sample(row, kind, max(int(aim / seconds), 1))
        self._tell(Batch(END, 0, 0, 0, 0))
        return rows

    def follow(self) -> None:
        """Do what the other rank asks for, until it ends. Raises PeerTimeout."""
        while True:
            numbers = np.zeros(len(Batch._fields), np.int64)
            self._finish(self._comm.Irecv(numbers, self._other, CONTROL_TAG))
            batch = Batch(*numbers.tolist())
            if batch.kind == END:
                return
            self._seconds(batch, leads=False)

    def _first_look(self, smaller: Sequence[SizeTimes], size: int) -> SizeTimes:
        """Exchange one message, and one window of a length that suits the network; return their times."""
        warm_up = int(not smaller or _transfer_seconds(smaller, size) < WINDOW_SECONDS)
        row = SizeTimes(size, WINDOW, [self._seconds(Batch(LATENCY, size, warm_up, 1, 1)) / 2], [])
        transfer = _transfer_seconds([*smaller, row], size)
        row = row._replace(window=min(max(int(WINDOW_SECONDS / max(transfer, 1e-9)), MIN_WINDOW), WINDOW))
        self._sample(row, BANDWIDTH, 1)
        return row

    def _sample(self, row: SizeTimes, kind: int, exchanges: int) -> None:
        """Add a sample to a row: the mean of some exchanges, as in OSU's benchmarks."""
        warm_up = int(np.ceil(WARM_UP_SHARE * exchanges)) if exchanges > 1 else 0
        window = row.window if kind == BANDWIDTH else 1
        seconds = self._seconds(Batch(kind, row.message_bytes, warm_up, exchanges, window))
        if kind == LATENCY:
            row.latency_seconds.append(seconds / exchanges / 2)
        else:
            row.bytes_per_second.append(row.message_bytes * window * exchanges / seconds)

    def _seconds(self, batch: Batch, *, leads: bool = True) -> float:
        """Return the time of a batch, of which both ranks do their part."""
        if leads:
            self._tell(batch)
        message = batch.message_bytes
        reply_bytes = message if batch.kind == LATENCY else 1
        if leads:
            make = partial(self._comm.Send_init, self._outgoing[:message], self._other, MESSAGE_TAG)
            reply = self._comm.Recv_init(self._incoming[:reply_bytes], self._other, REPLY_TAG)
        else:
            make = partial(self._comm.Recv_init, self._incoming[:message], self._other, MESSAGE_TAG)
            reply = self._comm.Send_init(self._outgoing[:reply_bytes], self._other, REPLY_TAG)
        messages = [make() for _ in range(batch.window)]
        exchange = self._ask if leads else self._answer
        for _ in range(batch.warm_up):
            exchange(messages, reply)
        start = time.perf_counter()
        for _ in range(batch.exchanges):
            exchange(messages, reply)
        seconds = time.perf_counter() - start
        for request in (*messages, reply):
            request.Free()
        return seconds

    def _ask(self, messages: Sequence["MPI.Prequest"], reply: "MPI.Prequest") -> None:
        reply.Start()
        for message in messages:
            message.Start()
        for message in messages:
            self._finish(message)
        self._finish(reply)

    def _answer(self, messages: Sequence["MPI.Prequest"], reply: "MPI.Prequest") -> None:
        for message in messages:
            message.Start()
        for message in messages:
            self._finish(message)
        reply.Start()
        self._finish(reply)

    def _tell(self, batch: Batch) -> None:
        self._finish(self._comm.Isend(np.array(batch, np.int64), self._other, CONTROL_TAG))

    def _finish(self, request: "MPI.Request") -> None:
        """Wait for a request, spinning at first."""
        for _ in range(SPINS):
            if request.Test():
                return
        deadline = time.perf_counter() + SILENCE_SECONDS
        while not request.Test():
            yield_core()
            now = time.perf_counter()
            if now > deadline:
                _unfinished.append((self, request))
                raise PeerTimeout
            if now > self._alive_at:
                self._alive_at = now + KEEP_ALIVE_SECONDS
                self._keep_alive()


def _exchange_seconds(row: SizeTimes) -> tuple[float, float]:
    """Return the times of an exchange of each kind, by the last samples."""
    return 2 * row.latency_seconds[-1], row.message_bytes * row.window / row.bytes_per_second[-1]


def _transfer_seconds(rows: Sequence[SizeTimes], size: int) -> float:
    """Extrapolate how much longer a message of `size` bytes takes one way than the smallest one."""
    if len(rows) < 2:
        return 0.0
    longer = rows[-1].latency_seconds[-1] - rows[0].latency_seconds[-1]
    return max(longer, 0.0) * size / rows[-1].message_bytes


def _expected_seconds(smaller: Sequence[SizeTimes], size: int) -> float:
    """Extrapolate the time of a turn: a message there and back, and a window with its acknowledgement."""
    if not smaller:
        return 0.0
    latency, transfer = smaller[0].latency_seconds[-1], _transfer_seconds(smaller, size)
    window = min(WINDOW * transfer, max(WINDOW_SECONDS, MIN_WINDOW * transfer))
    return 2 * (latency + transfer) + window + 2 * latency


_unfinished: list[tuple[Pair, "MPI.Request"]] = []
"""Requests of lost messages, and pairs with their buffers, which MPI may still read or write."""
