"""A request to stop counting that reaches all ranks soon."""

import math
import time
from array import array  # signals are handled before NumPy has been imported
from typing import TYPE_CHECKING

from mpi_pi.mpi.requests import Progress, no_progress, wait

if TYPE_CHECKING:
    from mpi4py import MPI

PROBE_SECONDS = 0.005
"""How often `poll` asks MPI for a message, which then looks at its network."""

TAG = 1

TIME_LIMIT = -1
"""The reason of a stop by a deadline; a signal has its number, which is positive."""
FAILED = -2
"""The reason of a stop after an error."""


class StopRequest:
    """A request to stop, with its reason, that is made on any rank and reaches all ranks of a run.

    `request` may be called at any time, from a signal handler too. While a run is connected, `poll` spreads
    the request: a rank tells rank 0, and rank 0 tells all, in a message of one integer each. `deadline`, of
    time.monotonic(), makes a request by itself.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self.reason = 0
        """A signal's number, TIME_LIMIT or FAILED; 0 as long as nobody has made a request."""
        self._comm: MPI.Intracomm | None = None
        self._sent: list[MPI.Request] = []
        self._message = array("q")
        self._told = False
        """Whether this rank has sent its request."""
        self._heard: set[int] = set()
        """Ranks whose requests have been received."""
        self._probe_at = 0.0

    @property
    def requested(self) -> bool:
        """Whether somebody has made a request, as far as this rank knows."""
        return self.reason != 0

    def request(self, reason: int) -> None:
        """Make a request; the last reason counts."""
        self.reason = reason

    def connect(self, comm: "MPI.Intracomm") -> None:
        """Begin to exchange requests on `comm`, which nothing else may use; all ranks together."""
        self._comm, self._probe_at = comm, 0.0
        self._told, self._heard = False, set()

    def poll(self) -> bool:
        """Exchange requests, and return whether there is one; takes about a microsecond as a rule.

        To be called again and again, by the thread that calls MPI.
        """
        now = time.monotonic()
        if not self.reason and now > self.deadline:
            self.request(TIME_LIMIT)
        comm = self._comm
        if comm is None or comm.size == 1:
            return self.requested
        if now >= self._probe_at:
            self._probe_at = now + PROBE_SECONDS
            if comm.Iprobe(tag=TAG):
                self._receive(comm)
        if self.reason and not self._told and (comm.rank == 0 or not self._heard):
            self._told = True
            self._message = array("q", [comm.rank, self.reason])
            receivers = range(1, comm.size) if comm.rank == 0 else (0,)
            self._sent = [comm.Isend(self._message, receiver, TAG) for receiver in receivers]
        return self.requested

    def disconnect(self, progress: Progress = no_progress) -> None:
        """Receive what is still on its way to this rank, and exchange no more; all ranks together."""
        comm = self._comm
        if comm is None:
            return
        told = array("q", [0] * comm.size)
        wait(comm.Iallgather(array("q", [self._told]), told), progress)
        for sender in range(1, comm.size) if comm.rank == 0 else range(1):
            if told[sender] and sender != comm.rank and sender not in self._heard:
                self._receive(comm, sender)
        for request in self._sent:
            request.Wait()
        self._comm, self._sent = None, []

    def _receive(self, comm: "MPI.Intracomm", sender: int | None = None) -> None:
        message = array("q", [0, 0])
        if sender is None:
            comm.Recv(message, tag=TAG)
        else:
            comm.Recv(message, sender, TAG)
        self._heard.add(int(message[0]))
        self.reason = self.reason or int(message[1])
