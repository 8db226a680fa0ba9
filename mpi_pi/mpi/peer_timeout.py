"""The errors for ranks that are lost or do not answer, and a clock to measure their silence with."""

import time

REPLY_TIMEOUT_SECONDS = 25.0
"""Silence after which a rank that has a command is given up. After an outage of a few seconds TCP takes about
as long again to notice that the network is back. An mpirun whose ssh checks its connections notices a dead
host within 20 s, and ends the job; Open MPI's mpirun does not if the job has ended by then."""


class RankLoss(RuntimeError):
    """Other ranks are lost: no collective operation on their communicator is possible any more."""


class PeerTimeout(RankLoss):
    """Another rank has been silent for too long."""


class AwakeClock:
    """Seconds from 0 during which this process was awake.

    All ranks of a job may be suspended, and resumed one after the other: such a pause is not a silence of the
    others. Time between two calls of `tick` counts as at most `max_step` seconds.
    """

    def __init__(self, max_step: float) -> None:
        self.seconds = 0.0
        self._max_step, self._ticked_at = max_step, time.monotonic()

    def tick(self) -> float:
        """Advance the clock, and return `seconds`."""
        now = time.monotonic()
        self.seconds += min(now - self._ticked_at, self._max_step)
        self._ticked_at = now
        return self.seconds
