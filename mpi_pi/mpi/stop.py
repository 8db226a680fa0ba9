"""Word of a stop that reaches all ranks while they count."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mpi_pi.kernel.reference import never
from mpi_pi.mpi.requests import allgather

if TYPE_CHECKING:
    from mpi4py import MPI


LOOK_SECONDS = 0.005

TAG = 1


class Bell:
    """Rings on all ranks of `comm`, soon, once `stop()` has turned true on one of them, or one has rung it.

    A rank that learns of a stop by itself tells rank 0, and rank 0 tells all: a message without content each.
    To be called again and again, by the thread that calls MPI; others may look at `rung`. All ranks have to
    make it together, and to close it together: at rest there must be no message left on its way.
    """

    def __init__(self, comm: "MPI.Intracomm", stop: Callable[[], bool]) -> None:
        self._comm, self._stop = comm, stop
        self.rung = False
        self._told = False
        """Whether this rank has told rank 0, or as rank 0 all."""
        self._sent: list[MPI.Request] = []
        self._look_at = 0.0

    def __call__(self) -> bool:
        """Whether it has rung; less than a microsecond, as a rule."""
        if self._stop() or (self._comm.rank == 0 and self._word_came()):
            self.ring()
        self.rung = self.rung or self._word_came()
        return self.rung

    def _word_came(self) -> bool:
        """Whether there is word from another rank. MPI looks at its network then, so not too often."""
        now = time.perf_counter()
        if self._comm.size == 1 or now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        return self._comm.Iprobe(tag=TAG)

    def ring(self) -> None:
        """Stop all ranks."""
        if not self.rung:
            self.rung = self._told = True
            ranks = range(1, self._comm.size) if self._comm.rank == 0 else (0,)
            self._sent = [self._comm.Isend(bytearray(), rank, TAG) for rank in ranks]

    def close(self, meanwhile: Callable[[], object] = never) -> None:
        """Take in what is still on its way to this rank; `meanwhile` is called while it waits for others."""
        told = allgather(self._comm, np.array([self._told], np.int64), meanwhile)[:, 0]
        senders = np.flatnonzero(told[1:]) + 1 if self._comm.rank == 0 else np.flatnonzero(told[:1])
        for sender in senders.tolist():
            self._comm.Recv(bytearray(), sender, TAG)
        for request in self._sent:
            request.Wait()
