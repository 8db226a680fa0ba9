"""The command `mpi-pi keep-running`: start a job again on the hosts that are left, until it is complete."""

import argparse
import contextlib
import math
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mpi_pi.cli import console, parser, start_rules
from mpi_pi.cli.exit_codes import FAILED, RUN_AGAIN, SIGNALLED
from mpi_pi.cluster import hostfile, job_command
from mpi_pi.cluster.agent.environment import launcher
from mpi_pi.cluster.host import Host
from mpi_pi.cluster.job_command import JobCommand, scaled
from mpi_pi.cluster.job_hosts import JobHosts, end_job_on
from mpi_pi.cluster.job_start import JobStart, Outcome
from mpi_pi.errors import MpiPiError, UserError
from mpi_pi.formatting import number_of
from mpi_pi.mpi import time_limit
from mpi_pi.system import signs
from mpi_pi.system.process import TERMINATING, handled

MORE_PATIENCE_SECONDS = 30.0
"""Time beyond the patience of the ranks with each other: their errors tell which of them is silent."""


class KeepOptions(NamedTuple):
    """Options of `mpi-pi keep-running`."""

    words: list[str]
    """The command."""
    patience: float | None
    """Seconds without a sign of rank 0 after which it is started again."""
    starts: int
    """Number of starts in a row without progress after which the command gives up."""


def execute(args: argparse.Namespace) -> int:
    """Keep a job running, and return its exit status. Raises UserError."""
    options = parser.typed(KeepOptions, args)
    job = job_command.parse(options.words)
    run = parser.parse(job.arguments)
    if not run.checkpoint:
        raise UserError("argument --checkpoint: mpi-pi run needs one, from which another start goes on")
    return _Keeper(options, job, run).execute()


class _Keeper:
    """A job that is kept running. `run` has the arguments of its `mpi-pi run`."""

    def __init__(self, options: KeepOptions, job: JobCommand, run: argparse.Namespace) -> None:
        self.options, self.job, self.run = options, job, run
        self.launcher = launcher(Path(sys.prefix), job.launcher) if job.launcher else ""
        self.hosts = _hosts(job, self.launcher)
        self.begun = time.monotonic()
        self.token = secrets.token_hex(8)
        self.marks = {self.token}
        """Texts one of which is in the command line of each process of the job."""
        self.state: signs.State | None = None
        self.starts = self.fruitless = 0
        """Number of starts, and of those since there has been progress."""
        self.left_out: dict[Host, str] = {}
        """Hosts that did not answer, with the reason."""
        self.used: set[Host] = set()
        """Hosts on which the last starts may have left processes, whatever the status of the launcher."""
        self.reported = False
        """True if rank 0 has ended the last start itself: it has saved its state, and told of it."""
        self.signalled = 0
        """Number of the last signal."""
        self.running: JobStart | None = None

    def execute(self) -> int:
        """Start the job until it is complete; return the exit status."""
        status, why = None, ""
        with handled((*TERMINATING, signal.SIGUSR1, signal.SIGUSR2), self._on_signal):
            try:
                while status is None and self.fruitless < self.options.starts:
                    if why:
                        time.sleep(start_rules.pause(self.fruitless))
                    status, why = self._start(why)
            except KeyboardInterrupt:
                self.reported, status = False, SIGNALLED + self.signalled
            with contextlib.suppress(KeyboardInterrupt):  # another signal
                end_job_on(self.used, self.marks, self._age())
        if status is None:
            starts = number_of(self.fruitless, "start")
            console.error(f"given up after {starts} without progress; the last one: {why}")
        elif self.reported:
            return status
        return RUN_AGAIN if self._save_state() else status or FAILED

    def _start(self, why: str) -> tuple[int | None, str]:
        """Start the job on the hosts that answer; return its final status, or None and why it has none."""
        self.starts += 1
        before = self.left_out
        self._find_hosts()
        self._announce(why, before)
        self.fruitless += 1
        if self.left_out and len(self.left_out) == len(self._all_hosts()):
            return None, "no host answers"
        outcome = self._run()
        self.reported = start_rules.final_end(outcome, self.signalled) is not None
        status = start_rules.final_status(outcome, self.signalled)
        return status, start_rules.reason(outcome, self._patience())

    def _find_hosts(self) -> None:
        """Find out which hosts answer, and end what earlier starts have left on them."""
        self.left_out = end_job_on(self._all_hosts(), self.marks, self._age())
        self.used &= self.left_out.keys()

    def _announce(self, why: str, before: Collection[Host]) -> None:
        """Print why the job is started again, and which hosts take no part, or again."""
        start = f"start {self.starts}"
        if why:
            points = self.state.points if self.state else 0
            console.note(f"{start}{f' goes on from {points} points' if points else ''}: {why}")
        for host, problem in self.left_out.items():
            console.note(f"{start} is without {host.name}: {problem}")
        if back := [host.name for host in before if host not in self.left_out]:
            console.note(f"{start} is with {', '.join(back)} again")

    def _run(self) -> Outcome:
        """Start the job on the hosts that have answered, and wait for its end."""
        start = self.running = JobStart(self.token, self._patience(), console.raw)
        with tempfile.TemporaryDirectory(prefix="mpi-pi-", ignore_cleanup_errors=True) as folder:
            try:
                outcome = start.run(self._words(Path(folder)), self._environ(folder))
            finally:
                self.running = None
        self.marks |= start.marks
        if start.state and start.state.points > (self.state.points if self.state else 0):
            self.state, self.fruitless = start.state, 0
        elif not self.state:
            self.state = start.state
        self.used.update(host for host in self._all_hosts() if host not in self.left_out)
        return outcome

    def _all_hosts(self) -> Sequence[Host]:
        """Return the hosts of the hostfile."""
        return self.hosts.hosts if self.hosts else []

    def _words(self, folder: Path) -> list[str]:
        """Return the words of the next start; `folder` is for its hostfile."""
        job, run = self.job, self.run
        if self.hosts and self.left_out:
            self.hosts.write(folder / "hosts", self.left_out)
            ranks = job.ranks and scaled(job.ranks, self.hosts.slots(), self.hosts.slots(self.left_out))
            job = job.on(str(folder / "hosts"), ranks)
        words = [*job.words, "--supervised", self.token]
        if self.state:
            words += ["--resume-state", self.state.packed]
        if run.progress == "auto" and sys.stderr.isatty():
            words += ["--progress", "on"]  # since the standard error of the job is a pipe
        if self.starts > 1 and isinstance(run.time_limit, float):
            words += ["--time-limit", f"{max(run.time_limit - self._age(), 0):.0f}"]
        return words

    def _environ(self, folder: str) -> dict[str, str]:
        """Return variables for the launcher.

        Open MPI passes its parameters on to its daemons, in their command lines. It gets a folder of its own,
        since what an mpirun leaves in TMPDIR when it is killed can keep another one from starting. MPICH's
        leaves nothing there, and would pass the variable on to hosts without that folder.
        """
        environ = {f"{program}_MCA_mpi_pi_job": self.token for program in ("OMPI", "PRTE")}
        return environ | {"TMPDIR": folder} if self.launcher.startswith("Open MPI") else environ

    def _patience(self) -> float:
        """Return the seconds without a sign after which a start is ended."""
        of_ranks: float = self.run.patience or time_limit.patience_seconds
        return self.options.patience or of_ranks + MORE_PATIENCE_SECONDS

    def _age(self) -> float:
        """Return the seconds since this command began."""
        return time.monotonic() - self.begun

    def _save_state(self) -> bool:
        """Save the state in the checkpoint as seen from here; return whether points are saved there."""
        if not self.state:
            return False
        from mpi_pi.cli.supervised import handed_over  # needs NumPy
        from mpi_pi.model.shard import Shard
        from mpi_pi.storage.checkpoint import CheckpointFile

        state = handed_over(self.state.packed)
        try:
            with CheckpointFile(self.run.checkpoint, math.inf, False, console.warning, state) as file:
                shard = file.begin(Shard(state.job, state.index, state.count))
        except MpiPiError as error:
            console.error(f"{error}: the job cannot be continued from this host")
            return False
        if not shard.tally.points:
            return False
        saved = f"{shard.tally.points} of {shard.points} points are saved in {self.run.checkpoint}"
        console.note(f"stopped: {saved}; run it again")
        return True

    def _on_signal(self, number: int, _frame: Any) -> None:
        """Pass a signal on to the launcher; without one, end the command."""
        self.signalled = number
        if not self.running:
            raise KeyboardInterrupt
        self.running.pass_on(number)


def _hosts(job: JobCommand, launcher: str) -> JobHosts | None:
    """Return the hosts of a job, None if its command names no hostfile. Raises UserError."""
    if job.hostfile is None:
        return None
    try:
        return JobHosts(job.hostfile, launcher)
    except hostfile.HostfileError as error:
        raise UserError(f"argument of mpirun: hostfile {error}") from error
