"""Signs of life between rank 0 and the others: a host that falls silent must not make the rest wait for ever.

A cable that is pulled, or a machine that hangs, closes no connection, and no MPI notices.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mpi_pi.waiting import allgather

if TYPE_CHECKING:
    from mpi4py import MPI

PULSE_SECONDS = 5.0
"""How often rank 0 and every other rank send each other a sign."""

PATIENCE_SECONDS = 60.0
"""After how long a silence a rank is given up. What TCP had to send again in an outage of half as long still
gets through: it waits up to twice as long before it tries again."""

STEP_SECONDS = 0.5
"""How often a rank looks for signs. A longer time between two looks was its own sleep, and not silence: all
ranks of a job may have been suspended, and woken one after the other."""

TAG = 2


class Silence(RuntimeError):
    """Some ranks have not been heard of for too long; names them and their hosts. Others may not know yet."""


class Pulse:
    """To be called again and again by the thread that calls MPI, on all ranks of `comm`.

    All ranks have to make it together, and to close it together. `host` is the name of this rank's host, and
    `threaded` tells whether any thread may call MPI.
    """

    def __init__(self, comm: "MPI.Intracomm", host: str, threaded: bool) -> None:
        self._comm, self._threaded = comm, threaded
        self._peers = range(1, comm.size) if comm.rank == 0 else range(1)
        host_of_rank_0: str = comm.bcast(host)
        self._hosts = comm.gather(host) or [host_of_rank_0]
        self._got, self._sent = np.zeros(comm.size, np.int64), 0
        self._heard_at = np.zeros(comm.size)
        """On a clock that stands still while this rank sleeps."""
        self._clock = 0.0
        self._looked_at = time.monotonic()
        self._send_at = self._looked_at + PULSE_SECONDS
        self._requests: list[MPI.Request] = []
        self._beater: threading.Thread | None = None
        self._beating = threading.Lock()
        """Held by the thread that may call this."""
        self._beating.acquire()
        self._over = threading.Event()

    def __call__(self) -> None:
        """Send a sign of life, and take in those of others, when it is time."""
        now = time.monotonic()
        if now < self._looked_at + STEP_SECONDS or not self._peers:
            return
        self._clock += min(now - self._looked_at, 2 * STEP_SECONDS)
        self._looked_at = now
        self._listen()
        if now > self._send_at:
            self._send_at = now + PULSE_SECONDS
            self._requests = [request for request in self._requests if not request.Test()]
            sign = np.array([self._comm.rank], np.int64)
            self._requests += [self._comm.Isend(sign, peer, TAG) for peer in self._peers]
            self._sent += 1

    def check(self) -> None:
        """The same, and raise Silence if somebody has not been heard of for too long."""
        before = self._clock
        self()
        if self._clock == before:
            return
        # Rank 0's silence is noticed by all the others: let one of them be the first to say so.
        patience = PATIENCE_SECONDS + min(self._comm.rank, 100) * 0.05
        silence = self._clock - self._heard_at[self._peers.start : self._peers.stop]
        if silence.max() > patience:
            # With the one the others of its host, which may have sent their last sign a little later.
            silent = np.flatnonzero(silence > patience / 2) + self._peers.start
            raise Silence(self._in_words(silent.tolist()))

    @contextlib.contextmanager
    def goes_on(self) -> Iterator[None]:
        """Meanwhile this thread may do something that takes long, such as to write to a slow file system."""
        if not self._threaded or not self._peers:
            yield
            return
        if self._beater is None:  # one for all times: to start one takes longer than most of what is done
            self._beater = threading.Thread(target=self._beat, daemon=True)
            self._beater.start()
        self._beating.release()
        try:
            yield
        finally:
            self._beating.acquire()

    def _beat(self) -> None:
        while not self._over.wait(STEP_SECONDS):
            if self._beating.acquire(blocking=False):
                try:
                    self()
                finally:
                    self._beating.release()

    def close(self) -> None:
        """Take in what is still on its way to this rank."""
        if not self._peers:
            return
        if self._beater:
            self._over.set()
            self._beater.join()
        sent = allgather(self._comm, np.array([self._sent], np.int64))[:, 0]
        while any(self._got[peer] < sent[peer] for peer in self._peers):
            self._listen()
        for request in self._requests:
            request.Wait()

    def _listen(self) -> None:
        sign = np.empty(1, np.int64)
        while message := self._comm.Improbe(tag=TAG):
            message.Recv(sign)
            self._got[sign] += 1
            self._heard_at[sign] = self._clock

    def _in_words(self, silent: list[int]) -> str:
        ranks: dict[str, list[str]] = {}
        for rank in silent:
            ranks.setdefault(self._hosts[rank], []).append(str(rank))
        return "\n".join(
            f"host {host} has been silent for {PATIENCE_SECONDS:.0f} s, with rank {', '.join(numbers)}"
            for host, numbers in ranks.items()
        )
