"""Signs of life between rank 0 and the others: a host that falls silent must not make the rest wait for ever.

A cable that is pulled, or a machine that hangs, closes no connection, and no MPI notices.
"""

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from mpi_pi.mpi import time_limit
from mpi_pi.mpi.requests import allgather
from mpi_pi.system import process

if TYPE_CHECKING:
    from mpi4py import MPI

PULSE_SECONDS = 5.0
"""How often rank 0 and every other rank send each other a sign."""

STEP_SECONDS = 0.5
"""How often a rank looks for signs. A longer time between two looks was its own sleep, and not silence: all
ranks of a job may have been suspended, and woken one after the other."""

GRACE_SECONDS = 3.0
"""How long the thread that calls MPI has, after a silence was noticed, to end the job in good order."""

MAX_SIGN_BYTES = 320
"""A sign is the rank and the name of its host, which has 255 bytes at most."""

TAG = 32_000
"""Below 32767, the largest tag that every MPI has; nothing else uses it."""


class HeartbeatTimeout(RuntimeError):
    """Some ranks have not been heard of for too long; names them and their hosts. Others may not know yet."""


class Heartbeat:
    """Signs of life on `comm`, from a thread of its own if `threaded`: if any thread may call MPI.

    Without one, signs are sent and looked for only in calls of this object and of `check`. All ranks have to
    make it, and to close it together. A silence is raised by `check`. Where nobody calls that, because MPI
    keeps this rank waiting, the thread calls `give_up` with the silence in words; without `give_up` it goes
    on waiting. `host` is the name of this rank's host.
    """

    def __init__(
        self,
        comm: "MPI.Intracomm",
        host: str,
        threaded: bool,
        give_up: Callable[[str], object] | None = None,
    ) -> None:
        self._comm, self._host, self._give_up = comm, host, give_up
        self._peers = range(1, comm.size) if comm.rank == 0 else range(1) if comm.size > 1 else range(0)
        self._hosts: dict[int, str] = {}
        """Of the peers that have been heard of."""
        self._got, self._sent = np.zeros(comm.size, np.int64), 0
        self._heard_at = np.zeros(comm.size)
        """On a clock that stands still while this rank sleeps."""
        self._clock = 0.0
        self._looked_at = self._send_at = time.monotonic()
        self._requests: list[MPI.Request] = []
        self._silence = ""
        """In words, once there is one."""
        self._raised = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        if self._peers:
            self._send()
            if threaded:
                self._thread = threading.Thread(target=self._go_on, daemon=True)
                self._thread.start()

    def __call__(self) -> None:
        """Send a sign of life, and take in those of others, when it is time and no thread does so."""
        if self._thread is None and self._peers:
            self._look()

    def check(self) -> None:
        """The same, and raise Silence if somebody has not been heard of for too long."""
        self()
        if self._silence:
            self._raised = True
            raise HeartbeatTimeout(self._silence)

    def close(self) -> None:
        """Stop, and take in what is still on its way to this rank; all ranks together."""
        if not self._peers:
            return
        self.stop()
        sent = allgather(self._comm, np.array([self._sent], np.int64))[:, 0]
        while any(self._got[peer] < sent[peer] for peer in self._peers):
            self._listen()
        for request in self._requests:
            request.Wait()

    def stop(self) -> None:
        """Send no more signs."""
        if self._thread:
            self._wake.set()
            self._thread.join()

    def _go_on(self) -> None:
        """What the thread does."""
        while not self._wake.wait(STEP_SECONDS):
            self._look()
            if self._silence:
                if self._give_up and not self._wake.wait(GRACE_SECONDS) and not self._raised:
                    self._give_up(self._silence)
                return

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._looked_at + STEP_SECONDS:
            return
        self._clock += min(now - self._looked_at, 2 * STEP_SECONDS)
        self._looked_at = now
        self._listen()
        if now > self._send_at:
            self._send()
        # Rank 0's silence is noticed by all the others: let one of them be the first to say so.
        patience = time_limit.PATIENCE_SECONDS + min(self._comm.rank, 100) * 0.05
        silence = self._clock - self._heard_at[self._peers.start : self._peers.stop]
        if silence.max() > patience:
            # With the one the others of its host, which may have sent their last sign a little later.
            silent = np.flatnonzero(silence > patience / 2) + self._peers.start
            self._silence = self._in_words(silent.tolist())

    def _send(self) -> None:
        self._send_at = time.monotonic() + PULSE_SECONDS
        self._requests = [request for request in self._requests if not request.Test()]
        sign = f"{self._comm.rank} {self._host}".encode()[:MAX_SIGN_BYTES]
        self._requests += [self._comm.Isend(sign, peer, TAG) for peer in self._peers]
        self._sent += 1

    def _listen(self) -> None:
        while message := self._comm.Improbe(tag=TAG):
            sign = bytearray(MAX_SIGN_BYTES)
            message.Recv(sign)
            rank, host = sign.rstrip(b"\0").decode(errors="replace").split(" ", 1)
            self._hosts[int(rank)] = host
            self._got[int(rank)] += 1
            self._heard_at[int(rank)] = self._clock

    def _in_words(self, silent: Iterable[int]) -> str:
        here = process.ranks_on_host()  # of one that was never heard of, this may tell the host
        ranks: dict[str, list[str]] = {}
        for rank in silent:
            host = self._hosts.get(rank) or (self._host if rank in here else "unknown")
            ranks.setdefault(host, []).append(str(rank))
        return time_limit.silence_in_words(ranks)
