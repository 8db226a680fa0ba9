"""The part of a run that `mpi-pi keep-running` has started: signs of rank 0, and the state handed to it."""

import time
from collections.abc import Callable
from typing import TextIO

from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import status_of
from mpi_pi.errors import MpiPiError, UserError
from mpi_pi.model.shard import Shard
from mpi_pi.storage import checkpoint, json_document
from mpi_pi.system import signs

INTERVAL_SECONDS = 2.0
"""Interval of signs while rank 0 counts or waits for others."""

MIN_SECONDS = 0.5
"""Minimum time between a sign and the next state."""


class Supervised:
    """Sender of signs, on rank 0. They end when rank 0 hangs, since it sends them as it polls."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._stream: TextIO | None = None
        self._latest: Shard | None = None
        self._sent: Shard | None = None
        self._sent_at = 0.0

    def update(self, shard: Shard, at_once: bool = False) -> None:
        """Note the state of the run, and send it unless another one with points was sent a moment ago."""
        self._latest = shard
        has_points = self._sent is not None and self._sent.tally.units > 0
        if at_once or not has_points or time.monotonic() > self._sent_at + MIN_SECONDS:
            self._send_state()

    def poll(self) -> None:
        """Send the latest state, or else that rank 0 is at work, if it is time; is quick and never raises."""
        if time.monotonic() > self._sent_at + INTERVAL_SECONDS and not self._send_state():
            self._send(signs.Beat())

    def end(self, status: int, reason: int = 0) -> None:
        """Send the latest state, and that the command ends on rank 0."""
        self._send_state()
        self._send(signs.End(status, reason))

    def report_end(
        self, command: Callable[[], int], is_root: Callable[[], bool], reason: Callable[[], int]
    ) -> int:
        """Run the command, send its end on rank 0, and return its status; an MpiPiError is raised again.

        `is_root` returns whether this is rank 0 when the command ends, and `reason` the reason of a stop. An
        error that is not foreseen aborts the job, without a sign.
        """
        try:
            status = command()
        except MpiPiError as error:
            if is_root():
                self.end(status_of(error))
            raise
        if is_root():
            self.end(status, reason())
        return status

    def _send_state(self) -> bool:
        if self._latest in (None, self._sent):
            return False
        self._sent = self._latest
        packed = signs.pack(checkpoint.dumps(self._latest))
        self._send(signs.State(self._latest.tally.points, packed))
        return True

    def _send(self, sign: signs.Sign) -> None:
        self._sent_at = time.monotonic()
        if self._stream is None:
            self._stream = console.diagnostics()  # where the parent process mpirun still discards nothing
        self._stream.write(signs.line(self._token, sign).decode())
        self._stream.flush()


def handed_over(packed: str) -> Shard:
    """Return the state that an earlier start of the job has sent. Raises UserError."""
    try:
        return checkpoint.loads(signs.unpack(packed).encode())
    except (ValueError, json_document.DocumentError) as error:
        raise UserError(f"argument --resume-state: {error}") from error
