"""The commands `mpi-pi plot` and `mpi-pi report`."""

import argparse

from mpi_pi.cli.exit_codes import VERIFIED
from mpi_pi.report import html, sources
from mpi_pi.report.plots import figure
from mpi_pi.storage.atomic_file import AtomicFile


def execute(args: argparse.Namespace) -> int:
    """Write a picture, or an HTML page, of the contents of files; return the exit status."""
    items = sources.read(args.files)
    with AtomicFile("-o/--output", args.output) as file:
        if args.command == "plot":
            file.write(figure.drawn(items, args.output.rpartition(".")[2].lower()))
        else:
            file.write(html.page(items))
        file.commit()
    return VERIFIED
