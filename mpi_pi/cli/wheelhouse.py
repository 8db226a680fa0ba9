"""The command `mpi-pi wheelhouse`, which packs the project for machines without a network."""

import argparse
import signal

from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import FAILED, SIGNALLED, VERIFIED
from mpi_pi.cluster import archive, wheels
from mpi_pi.cluster.platforms import numbers
from mpi_pi.errors import UserError
from mpi_pi.report import archive as report
from mpi_pi.storage.atomic_file import AtomicFile
from mpi_pi.system import package
from mpi_pi.version import __version__


def execute(args: argparse.Namespace) -> int:
    """Write the archive, and return the exit status. Raises UserError and RunError."""
    project = wheels.with_all_extras(wheels.project(package.FOLDER.parent))
    least = ".".join(map(str, project.least_python))
    for python in args.python:
        if numbers(python) < project.least_python:
            raise UserError(f"argument --python: {python!r}: mpi_pi needs {least} or newer")
    path = args.output or f"mpi-pi-wheelhouse-{__version__}.tar"
    targets = [archive.platform(machine, python) for machine in args.machine for python in args.python]
    try:
        with AtomicFile("-o/--output", path) as file:
            content = archive.write(project, targets, file, console.note)
            file.commit()
    except KeyboardInterrupt:
        console.error("interrupted; run it again")
        return SIGNALLED + signal.SIGINT
    return VERIFIED if console.said(report.blocks(path, content)) else FAILED
