"""An error of this rank in the rounds of a run, and how it ends the run, or this rank's part in it."""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from mpi_pi.errors import MpiPiError
from mpi_pi.mpi import ulfm
from mpi_pi.mpi.collectives import allgather, raise_on_all
from mpi_pi.mpi.peer_timeout import RankLoss
from mpi_pi.mpi.stop import FAILED, StopRequest
from mpi_pi.parallel.messages import EXPULSION
from mpi_pi.parallel.team import Team


class Problem:
    """The error of this rank in a run of `team`, if it has one; the next exchange tells the others of it."""

    def __init__(self, team: Team, stop: StopRequest, poll: Callable[[], object]) -> None:
        self._team, self._comm, self._stop, self._poll = team, team.comm, stop, poll
        self.error: BaseException | None = None

    @property
    def of_rank_alone(self) -> bool:
        """True if there is an error, and it is no reason for the other ranks to end."""
        may_leave = self._team.survives and self._comm.size > 1
        return may_leave and isinstance(self.error, Exception) and not isinstance(self.error, MpiPiError)

    @property
    def of_all(self) -> bool:
        """True if there is an error which ends the run."""
        return self.error is not None and not self.of_rank_alone

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Return a context whose error is noted, but for a RankLoss."""
        try:
            with ulfm.losses():
                yield
        except RankLoss:
            raise
        except BaseException as error:
            self.error = error
            if self.of_all:
                self._stop.request(FAILED)

    def leave(self, failed: int, kernel_right: bool) -> None:
        """Raise after a round in which ranks have `failed`: on all ranks, or on those that are to leave."""
        if failed != EXPULSION:
            raise_on_all(self._comm, self.error, self._poll)
        if kernel_right:
            raise self.error or RankLoss("a rank has left the run after an error")
        raise RuntimeError(f"kernel {self._team.kernel.name} got known answers wrong after counting")

    def raise_at_end(self) -> None:
        """Raise the errors of ranks after the last round, if there are any."""
        if self._team.survives:
            leaving = allgather(self._comm, np.array([self.of_rank_alone], np.int64), self._poll)
            if leaving.any() and not leaving.all():
                raise self.error or RankLoss("a rank leaves the run after an error")
        raise_on_all(self._comm, self.error, self._poll)
