"""Launched commands: their output, the time of a job, and their end."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi_pi.errors import RunError
from mpi_pi.kernel.loader import NO_CACHE
from mpi_pi.system.affinity import cores, physical_cores
from mpi_pi.system.command import telling_line
from mpi_pi.system.launch_env import missing_basics
from mpi_pi.system.process import TERMINATING, handled

LIMIT_SECONDS = 600.0
"""Time limit for a job."""

TERMINATION_SECONDS = 5.0
"""Time for a launcher to end its ranks, before it is killed."""


class CommandFailed(RunError):
    """A command has ended with another status than 0. `printed` is its standard output."""

    def __init__(self, why: str, printed: str) -> None:
        super().__init__(why)
        self.printed = printed


@dataclass(frozen=True)
class TimedRun:
    """A run of a job, timed from the start of its launcher to the launcher's end."""

    begun: float
    ended: float
    """Like `begun`, in seconds of this host's CLOCK_MONOTONIC."""
    interpreter_seconds: float
    """Time from the start of Python to the program's first line, measured without a launcher."""
    document: Mapping[str, Any]
    """The run's --json, see report.schema.json."""

    @property
    def seconds(self) -> float:
        """Wall time of the launcher."""
        return self.ended - self.begun

    @property
    def hits(self) -> int:
        """Hits of all points."""
        return int(self.document["estimate"]["hits"])

    @property
    def compiled_on(self) -> list[str]:
        """Hosts that compiled the kernel instead of loading it from the cache."""
        return sorted({row["host"] for row in self.document["ranks"] if row["kernel_source"] == "compiled"})

    @property
    def shares_clock(self) -> bool:
        """True if rank 0 was on this host, by its name, and by its timestamps, which lie within the run."""
        at = self.document["marks"].values()
        host = self.document["ranks"][0]["host"].partition(".")[0]
        here = host == socket.gethostname().partition(".")[0]
        return bool(here and self.begun < min(at) and max(at) < self.ended)

    def phases(self, shared_clock: bool = True) -> dict[str, float]:
        """Return the seconds of each phase of rank 0, in order. Their sum is the time of the run.

        Unless this host's clock is rank 0's, too, the first and the last phase are one.
        """
        at, ranks = self.document["marks"], self.document["ranks"]
        kernel_seconds = ranks[0]["kernel_seconds"]
        count_seconds = max(row["count_seconds"] for row in ranks)
        own = {
            "interpreter": self.interpreter_seconds,
            "imports": at["imported"] - at["program"],
            "MPI_Init": at["mpi"] - at["imported"],
            "kernel load": kernel_seconds,
            "agreements": at["start"] - at["mpi"] - kernel_seconds,
            "count": count_seconds,
            "reduce and wait": at["end"] - at["start"] - count_seconds,
            "report": at["counted"] - at["end"],
        }
        if not shared_clock:
            return own | {"launcher and exit": self.seconds - sum(own.values())}
        launcher = {"launcher": at["program"] - self.begun - self.interpreter_seconds}
        return launcher | own | {"exit": self.ended - at["counted"]}


def default_launcher() -> list[str]:
    """Return a command that starts a rank on each core, by the mpirun of this environment or of the machine.

    Raises RunError if there is no mpirun.
    """
    own = Path(sys.executable).parent / "mpirun"
    mpirun = str(own) if own.exists() else shutil.which("mpirun")
    if mpirun is None:
        raise RunError("argument --launcher: no mpirun was found: name one, or 'srun --mpi=pmix -n 64'")
    # Open MPI refuses to start more ranks than there are cores, however many threads those run.
    return [mpirun, "-n", str(len(physical_cores(cores())))]


def time_run(command: Sequence[str]) -> TimedRun:
    """Run a job that writes its --json to standard output.

    Raises RunError unless the job succeeds, is verified and could use its compile cache.
    """
    begun = time.clock_gettime(time.CLOCK_MONOTONIC)
    printed, errors = capture(command, LIMIT_SECONDS)
    ended = time.clock_gettime(time.CLOCK_MONOTONIC)
    try:
        document = json.loads(printed)
        verified = document["verified"] and not document["partial"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{shlex.join(command)}: its output is not that of one mpi-pi run") from error
    if not verified:
        raise RunError(f"{shlex.join(command)}: its answer is not verified")
    for line in errors.splitlines():
        if NO_CACHE in line:
            raise RunError(f"warm jobs need a compile cache, but {line[line.index(NO_CACHE) :]}")
    return TimedRun(begun, ended, _interpreter_seconds(), document)


def _interpreter_seconds() -> float:
    """Measure how long Python takes from its start to the program's first line, see `mpi_pi.timestamps`."""
    begun = time.clock_gettime(time.CLOCK_MONOTONIC)
    program = "import mpi_pi; print(mpi_pi.timestamps.seconds['program'])"
    return float(capture([sys.executable, "-c", program], LIMIT_SECONDS)[0]) - begun


def capture(command: Sequence[str], limit_seconds: float, show_errors: bool = False) -> tuple[str, str]:
    """Run a command, and return its standard output and its standard error.

    With `show_errors` its standard error is this process's, and "" is returned for it. The command is ended
    if it takes longer than the limit, or if an exception is raised here meanwhile, such as by Ctrl-C.
    Raises RunError if the command cannot be started or takes too long, and CommandFailed if it fails.
    """
    # A user who sees the command's own errors needs no more than its first word.
    name = command[0] if show_errors else shlex.join(command)
    with contextlib.ExitStack() as stack:
        try:
            with _signals_deferred():
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=None if show_errors else subprocess.PIPE,
                    text=True,
                    errors="replace",
                    env=os.environ | missing_basics(),
                )
                stack.enter_context(process)
                stack.callback(_end, process)
        except OSError as error:
            raise RunError(f"argument --launcher: {command[0]!r}: {error.strerror}") from error
        try:
            printed, errors = process.communicate(timeout=limit_seconds)
        except subprocess.TimeoutExpired as error:
            raise RunError(f"{name}: not done after {limit_seconds:g} s") from error
    if process.returncode:
        why = ", see above" if show_errors else f": {telling_line(errors, 'mpi-pi: error:') or 'no word'}"
        raise CommandFailed(f"{name}: ended with status {process.returncode}{why}", printed)
    return printed, errors or ""


@contextlib.contextmanager
def _signals_deferred() -> Iterator[None]:
    """Call signal handlers at the end of a with statement: an exception within Popen would lose a process."""
    deferred = list[int]()
    try:
        with handled(TERMINATING, lambda number, _: deferred.append(number)):
            yield
    finally:
        for number in deferred:
            signal.raise_signal(number)


def _end(process: "subprocess.Popen[str]") -> None:
    """End a launcher that still runs; it gets the time to end its ranks."""
    if process.poll() is not None:
        return
    try:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TERMINATION_SECONDS)
    finally:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TERMINATION_SECONDS)
