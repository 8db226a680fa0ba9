"""Heartbeat between rank 0 and the other ranks, so that a dead host ends the job.

No MPI notices a pulled cable or a machine that hangs, since neither closes a connection.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

import numpy as np

from mpi_pi.mpi import fence, time_limit
from mpi_pi.mpi.peer_timeout import AwakeClock, PeerTimeout
from mpi_pi.mpi.requests import Progress, no_progress, peers, wait
from mpi_pi.system import launch_env, process

if TYPE_CHECKING:
    from mpi4py import MPI

INTERVAL_SECONDS = 5.0
"""Interval at which rank 0 and every other rank send each other a message."""

POLL_SECONDS = 0.5
"""Interval at which a rank receives messages."""

PROBES = 10
"""Calls of MPI whenever a rank receives messages, in a job that survives losses. Open MPI's failure detector
works off one event in each call, and it has several for each heartbeat."""

GRACE_SECONDS = 3.0
"""Time from a timeout to `give_up`, for the thread that calls MPI to end the job in good order."""

MAX_MESSAGE_BYTES = 400
"""Size of a message: the rank, the name of its host, which has 255 bytes at most, and silent ranks."""

MAX_SILENT_BYTES = 120
"""Size of the list of silent ranks in a message of rank 0; a longer one is not told."""

TAG = 32_000
"""A tag below 32767, the largest one that every MPI has; nothing else uses it."""


class HeartbeatTimeout(PeerTimeout):
    """Ranks that have been silent for too long, with their hosts. Other ranks may not have noticed it yet."""


class Heartbeat:
    """Messages between rank 0 and every other rank of `comm`, sent and received by a thread if `threaded`.

    A thread needs an MPI that any thread may call; without one only `check` sends and receives. To create and
    to close this object is collective. `check` raises a timeout. If nobody calls `check`, because an MPI
    function does not return, the thread calls `give_up`, if any, with the text of the error. Without
    `give_up` it then calls `progress` again and again, a function of MPI that shows other ranks that this one
    is alive. `host` is the name of this rank's host.
    """

    def __init__(
        self,
        comm: "MPI.Intracomm",
        host: str,
        threaded: bool,
        give_up: Callable[[str], object] | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self._comm, self._host, self._give_up, self._progress = comm, host, give_up, progress
        self._peers = peers(comm)
        self._hosts: dict[int, str] = {}
        """Host names, by rank, of the peers that have sent a message."""
        self._got, self._sent = np.zeros(comm.size, np.int64), 0
        self._heard_at, self._clock = np.zeros(comm.size), AwakeClock(max_step=2 * POLL_SECONDS)
        self._poll_at, self._send_at = time.monotonic() + POLL_SECONDS, 0.0
        self._requests: list[MPI.Request] = []
        self._silent: set[int] | None = set()
        """Ranks that have been silent for long as rank 0 says, or on rank 0; None for too many to be told."""
        self._error = ""
        """The text of the timeout, once there is one."""
        self._problem: Exception | None = None
        """An exception of MPI."""
        self._raised = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        if self._peers:
            try:
                self._send()
            except Exception as error:  # of MPI; for `check` to raise
                self._problem = error
            if threaded:
                self._thread = threading.Thread(target=self._run_thread, daemon=True)
                self._thread.start()

    def check(self) -> None:
        """Raise HeartbeatTimeout if a rank has been silent for too long, or an error of MPI if there was one.

        Without a thread, send and receive messages first.
        """
        if self._thread is None and self._peers:
            self._poll()
        if self._problem:
            raise self._problem
        if self._error:
            self._raised = True
            raise HeartbeatTimeout(self._error)

    def host(self, rank: int) -> str:
        """Return the name of the host of a peer; "" if it is not known on this rank."""
        return self._hosts.get(rank, "")

    def silent(self, ranks: Collection[int], more_seconds: float = 0.0) -> set[int]:
        """Return those of some lost ranks that this rank and rank 0 had not heard of for half the patience.

        The others are dead: MPI does not suspect a silent rank that soon. `more_seconds` have passed since
        this heartbeat was stopped, in which nobody could be heard.
        """
        long = time_limit.patience_seconds / 2
        silence = self._clock.seconds - self._heard_at + more_seconds
        if self._comm.rank == 0:
            return {rank for rank in ranks if silence[rank] > long}
        if silence[0] > long or self._silent is None:
            return set(ranks)
        return set(ranks) & self._silent

    def close(self) -> None:
        """Stop, and receive the messages that are still on their way to this rank. Collective."""
        if not self._peers:
            return
        self.stop()
        sent = np.empty(self._comm.size, np.int64)
        wait(self._comm.Iallgather(np.array([self._sent]), sent))
        for peer in self._peers:
            while self._got[peer] < sent[peer]:  # and no more: the next one may be for another Heartbeat
                self._receive(self._comm.Mprobe(peer, TAG))
        for request in self._requests:
            request.Wait()

    def stop(self) -> None:
        """Send no more messages."""
        if self._thread:
            self._wake.set()
            self._thread.join()

    def _run_thread(self) -> None:
        """Poll until `stop` is called or a rank is silent, in the thread."""
        while not self._wake.wait(_poll_seconds()):
            if self._problem or self._error:
                fence.check()
                self._progress()
                continue
            try:
                self._poll()
            except Exception as error:  # of MPI; for `check` to raise in the other thread
                self._problem = error
            if self._error and self._give_up:
                if not self._wake.wait(GRACE_SECONDS) and not self._raised:
                    self._give_up(self._error)
                return

    def _poll(self) -> None:
        now = time.monotonic()
        if now < self._poll_at:
            return
        fence.check()
        self._poll_at = now + _poll_seconds()
        clock = self._clock.tick()
        for _ in range(PROBES if launch_env.survives_loss() else 1):
            while message := self._comm.Improbe(tag=TAG):
                self._receive(message)
        if now > self._send_at:
            self._send()
        # All other ranks notice a silence of rank 0; the time-outs differ, so that one reports it first.
        timeout = time_limit.patience_seconds + min(self._comm.rank, 100) * 0.05
        silence = clock - self._heard_at[self._peers.start : self._peers.stop]
        if silence.max() > timeout:
            # Other ranks of that host may have sent their last message a little later; name them, too.
            silent = np.flatnonzero(silence > timeout / 2) + self._peers.start
            self._error = self._describe(silent.tolist())

    def _send(self) -> None:
        self._send_at = time.monotonic() + min(INTERVAL_SECONDS, time_limit.patience_seconds / 6)
        self._requests = [request for request in self._requests if not request.Test()]
        silent = ""
        if self._comm.rank == 0:
            named = ",".join(map(str, sorted(self.silent(self._peers))))
            silent = named if len(named) < MAX_SILENT_BYTES else "*"
        message = f"{self._comm.rank} {self._host} {silent}".encode()[:MAX_MESSAGE_BYTES]
        self._requests += [self._comm.Isend(message, peer, TAG) for peer in self._peers]
        self._sent += 1

    def _receive(self, message: "MPI.Message") -> None:
        content = bytearray(MAX_MESSAGE_BYTES)
        message.Recv(content)
        number, host, silent = content.rstrip(b"\0").decode(errors="replace").split(" ", 2)
        rank = int(number)
        if rank == 0:
            self._silent = None if silent == "*" else {int(other) for other in silent.split(",") if other}
        self._hosts[rank] = host
        self._got[rank] += 1
        self._heard_at[rank] = self._clock.seconds

    def _describe(self, silent: Iterable[int]) -> str:
        here = process.ranks_on_host()  # for ranks that have never sent a message
        ranks: dict[str, list[str]] = {}
        for rank in silent:
            host = self._hosts.get(rank) or (self._host if rank in here else "unknown")
            ranks.setdefault(host, []).append(str(rank))
        return time_limit.describe_silence(ranks)


def _poll_seconds() -> float:
    """Return the interval at which a rank receives messages; short, if others are soon to give it up."""
    return min(POLL_SECONDS, time_limit.patience_seconds / 30)
