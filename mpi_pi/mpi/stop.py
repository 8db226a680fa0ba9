"""Stop request: made on one rank, it reaches all ranks while they count."""

import math
import time
from array import array  # signals are handled before NumPy has been imported
from typing import TYPE_CHECKING

from mpi_pi.mpi import fence
from mpi_pi.mpi.requests import Progress, no_progress, peers, wait

if TYPE_CHECKING:
    from mpi4py import MPI

PROBE_SECONDS = 0.005
"""Interval at which `poll` probes for a message, which makes MPI poll its network."""

TAG = 1

TIME_LIMIT = -1
"""Reason of a stop at the deadline; the reason of a stop by a signal is its number, which is positive."""
FAILED = -2
"""Reason of a stop after an error."""


class StopRequest:
    """A request to stop, with its reason, that any rank can make and that reaches all ranks of a run.

    `request` may be called at any time, also from a signal handler. Between `connect` and `disconnect`,
    `poll` forwards the request: a rank sends it to rank 0, and rank 0 to all, as a message of two integers,
    rank and reason. `poll` makes a request when `deadline` (time.monotonic()) has passed.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self.reason = 0
        """Number of a signal, TIME_LIMIT or FAILED; 0 without a request."""
        self._comm: MPI.Intracomm | None = None
        self._sent: list[MPI.Request] = []
        self._told = False
        """True once this rank has sent its request."""
        self._heard: set[int] = set()
        """Ranks whose request has been received."""
        self._probe_at = 0.0

    @property
    def requested(self) -> bool:
        """True if this rank has made or received a request."""
        return self.reason != 0

    def request(self, reason: int) -> None:
        """Make a request; a later reason replaces an earlier one."""
        self.reason = reason

    def connect(self, comm: "MPI.Intracomm") -> None:
        """Begin to exchange requests on `comm`, where nothing else may use the tag TAG. Collective."""
        self._comm, self._probe_at = comm, 0.0
        self._told, self._heard = False, set()

    def poll(self) -> bool:
        """Exchange requests, and return whether there is one; usually takes about a microsecond.

        Only the thread that calls MPI may call this function.
        """
        now = time.monotonic()
        if not self.reason and now > self.deadline:
            self.request(TIME_LIMIT)
        comm = self._comm
        if comm is None or comm.size == 1:
            return self.requested
        if now >= self._probe_at:
            self._probe_at = now + PROBE_SECONDS
            fence.check()
            if message := comm.Improbe(tag=TAG):
                self._receive(message)
        if self.reason and not self._told and (comm.rank == 0 or not self._heard):
            self._told = True
            content = array("q", [comm.rank, self.reason])
            self._sent = [comm.Isend(content, peer, TAG) for peer in peers(comm)]
        return self.requested

    def disconnect(self, progress: Progress = no_progress) -> None:
        """Receive requests that are still on their way to this rank, and exchange no more. Collective."""
        comm = self._comm
        if comm is None:
            return
        told = array("q", [0] * comm.size)
        wait(comm.Iallgather(array("q", [self._told]), told), progress)
        for sender in peers(comm):
            if told[sender] and sender not in self._heard:
                self._receive(comm.Mprobe(sender, TAG))
        for request in self._sent:
            request.Wait()
        self._comm, self._sent = None, []

    def _receive(self, message: "MPI.Message") -> None:
        content = array("q", [0, 0])
        message.Recv(content)
        sender, reason = content
        self._heard.add(sender)
        self.reason = self.reason or reason
