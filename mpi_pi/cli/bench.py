"""The command `mpi-pi bench compare`."""

import argparse

from mpi_pi.bench import comparison, document
from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import FAILED, VERIFIED
from mpi_pi.report.bench import comparison as comparison_report
from mpi_pi.storage.json_document import read_all


def execute(args: argparse.Namespace) -> int:
    """Compare two benchmarks, print what became slower or faster, and return the exit status."""
    old, new = read_all((args.old, args.new), document.read)
    changes = comparison.changes(old, new)
    slower = any(change.verdict == "slower" for change in changes.values())
    printed = console.said(comparison_report.blocks(old, new, changes))
    return FAILED if slower or not printed else VERIFIED
