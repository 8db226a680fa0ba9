"""The command `mpi-pi`: parse, dispatch, and return the exit status."""

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from mpi_pi.cli import console, parser, start
from mpi_pi.cli.exit_codes import FAILED, VERIFIED
from mpi_pi.system import imports, launch_env


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status of this rank."""
    console.prepare()
    status = _main(sys.argv[1:] if argv is None else argv)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if status != FAILED:
            console.error(f"standard output: {error.strerror}")
        status = FAILED
        # At its end, the interpreter would try to flush again, and report the error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def command() -> NoReturn:
    """Run the program `mpi-pi`."""
    status = main()
    sys.stderr.flush()
    start.leave(status)


def _main(argv: Sequence[str]) -> int:
    help_text = io.StringIO()
    try:
        status = start.reported(lambda: _dispatch(argv, help_text))
    except SystemExit:  # help or version, which rank 0 alone prints
        return VERIFIED if launch_env.rank() or console.said(help_text.getvalue()) else FAILED
    except ImportError as error:
        status = start.not_imported(error)
    except KeyboardInterrupt:
        return start.interrupted()
    return start.ended(status)


def _dispatch(argv: Sequence[str], help_text: io.StringIO) -> int:
    with contextlib.redirect_stdout(help_text):
        args = parser.parse(argv)
    if sys.stdout is None and not _writes_files(args):
        console.error("standard output is closed")
        return FAILED
    if args.handler_on_ranks and (args.on_ranks or args.handler is None or launch_env.started()):
        return start.execute(args)
    if launch_env.rank() != 0 and not args.each_process:  # rank 0 alone runs a command that needs no ranks
        return VERIFIED
    if args.needs_numpy:
        imports.require("numpy", "ndarray")
    status: int = importlib.import_module(args.handler).execute(args)
    return status


def _writes_files(args: argparse.Namespace) -> bool:
    """Return whether the command writes a file, and so is of use without standard output."""
    files = ("json", "csv", "trial_log", "checkpoint", "output")
    return any(getattr(args, name, None) not in (None, "-") for name in files)
