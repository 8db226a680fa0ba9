"""A start of a job under supervision: its launcher, the signs of rank 0, and the end if these stay away."""

import math
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mpi_pi.errors import UserError
from mpi_pi.system.launch_env import missing_basics
from mpi_pi.system.process import process_fields
from mpi_pi.system.read_file import read_system_text
from mpi_pi.system.signs import End, Sign, SignReader, State

POLL_SECONDS = 0.1

TERMINATION_SECONDS = 5.0
"""Time for a launcher to end its ranks, before it is killed."""

EXIT_SECONDS = 20.0
"""Time for a launcher to end by itself after rank 0 has: if a host is dead, it may wait for ever."""

START_FACTOR = 3
"""Factor of the patience until the first sign: before it, hosts may have to compile the kernel."""

SIGNALLED = 128
"""128 + the number of the signal is the exit status of a launcher that was killed, as in a shell."""

HYDRA_MARK = re.compile(r"--control-port \S+ ")
"""Option of MPICH's daemons, which tells whose they are; it is also in the command line of their ssh."""


class Outcome(NamedTuple):
    """How a start has ended."""

    end: End | None
    """The sign of the end of rank 0; None without one."""
    launcher: int
    """Exit status of the launcher, or 128 + the number of the signal that killed it."""
    silent: bool
    """True if the launcher was ended since there were no signs."""


class JobStart:
    """A start of a job with `token` in its command line, whose signs may stay away for `patience` seconds.

    `show` is called with the output to standard error that is no sign.
    """

    def __init__(self, token: str, patience: float, show: Callable[[bytes], object]) -> None:
        self.state: State | None = None
        """The latest state."""
        self.marks = {token}
        """Texts one of which is in the command line of each process of the job, see `agent.job_end`."""
        self._reader, self._show, self._patience = SignReader(token), show, patience
        self._process: subprocess.Popen[bytes] | None = None
        self._signals = list[int]()
        self._within_line = False
        """True if the last output ended within a line."""
        self._end: End | None = None
        self._deadline = math.inf

    def run(self, words: Sequence[str], environ: Mapping[str, str]) -> Outcome:
        """Run the launcher to its end. Raises UserError if it cannot be started."""
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, **missing_basics(), **environ},
                start_new_session=True,  # this process passes the signals of its terminal on
            )
        except OSError as error:
            raise UserError(f"{words[0]!r} cannot be started: {error.strerror}") from error
        self._process = process
        for number in self._signals:
            process.send_signal(number)
        self._deadline = time.monotonic() + START_FACTOR * self._patience
        silent, steps = False, iter((process.terminate, self._kill))
        with process:
            while process.poll() is None:
                self._read(POLL_SECONDS)
                if time.monotonic() > self._deadline:
                    silent = silent or self._end is None
                    self._note_marks()
                    next(steps, process.kill)()
                    self._deadline = time.monotonic() + TERMINATION_SECONDS
            while self._read(0):
                pass
            self._pass(self._reader.flush())
        if self._within_line:
            self._show(b"\n")
        status = process.returncode
        return Outcome(self._end, status if status >= 0 else SIGNALLED - status, silent)

    def pass_on(self, number: int) -> None:
        """Send the launcher a signal, now or once it has been started."""
        self._signals.append(number)
        if self._process:
            self._process.send_signal(number)

    def _read(self, seconds: float) -> bool:
        """Wait for output, and take it; return whether there was any."""
        pipe = self._process.stderr if self._process else None
        if pipe is None or not select.select([pipe], [], [], seconds)[0]:
            return False
        output = os.read(pipe.fileno(), 1 << 16)
        if not output:  # the launcher has closed it
            time.sleep(seconds)
            return False
        other, signs = self._reader.feed(output)
        self._pass(other)
        for sign in signs:
            self._take(sign)
        return True

    def _pass(self, output: bytes) -> None:
        """Show other output than signs."""
        self._show(output)
        if output:
            self._within_line = output[-1:] not in (b"\n", b"\r")

    def _take(self, sign: Sign) -> None:
        if isinstance(sign, State):
            if self.state is None:
                self._note_marks()
            self.state = sign
        if isinstance(sign, End):
            self._end = sign
        seconds = self._patience if self._end is None else EXIT_SECONDS
        self._deadline = time.monotonic() + seconds

    def _kill(self) -> None:
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _note_marks(self) -> None:
        """Note marks of daemons that have none of ours, while processes that start them are there."""
        for place in Path("/proc").glob("[0-9]*"):
            mark = HYDRA_MARK.search(read_system_text(place / "cmdline").replace("\0", " "))
            if mark and self._descends(place.name):
                self.marks.add(mark[0])

    def _descends(self, pid: str) -> bool:
        """Return whether a process has been started by the launcher, perhaps by way of others."""
        while self._process and pid != str(self._process.pid):
            if not (fields := process_fields(pid)):
                return False
            pid = fields[1]
        return True
