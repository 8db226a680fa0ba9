"""The command `mpi-pi examples`."""

import argparse
from pathlib import Path

from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import FAILED, VERIFIED
from mpi_pi.report.blocks import Lines
from mpi_pi.storage import examples


def execute(args: argparse.Namespace) -> int:
    """Write the job scripts and hostfiles to a folder, say where they are, and return the exit status."""
    written = examples.write(args.folder)
    counts = {name: sum(file.parts[0] == name for file in written) for name in examples.FOLDERS}
    lines = [
        (title, f"{Path(args.folder, name)} ({counts[name]} files)")
        for title, name in zip(("Job scripts", "Hostfiles"), examples.FOLDERS, strict=True)
    ]
    return VERIFIED if console.said([Lines(lines)]) else FAILED
