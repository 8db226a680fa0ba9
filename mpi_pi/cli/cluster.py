"""The commands `mpi-pi check-hosts` and `mpi-pi deploy`, which work on hosts over ssh."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import FAILED, SIGNALLED, VERIFIED
from mpi_pi.cluster import hostfile, preflight
from mpi_pi.cluster.agent.environment import launcher
from mpi_pi.cluster.deploy import Deployment
from mpi_pi.cluster.host import Host
from mpi_pi.errors import UserError
from mpi_pi.report import deployment as deployment_report
from mpi_pi.report import preflight as preflight_report
from mpi_pi.report.blocks import Block

MAX_NOTES = 3
"""Maximum number of notes about a hostfile that are shown."""


def execute(args: argparse.Namespace) -> int:
    """Run the command `args.command`, and return the exit status. Raises UserError and RunError."""
    try:
        blocks, ready = _work(args, _hosts(args.hostfile, args.mpirun))
    except KeyboardInterrupt:
        console.error("interrupted; run it again")
        return SIGNALLED + signal.SIGINT
    if blocks and not console.said(blocks):
        return FAILED
    return VERIFIED if ready else FAILED


def _work(args: argparse.Namespace, hosts: Sequence[Host]) -> tuple[list[Block], bool]:
    """Deploy to the hosts, or check them; return the report, and whether all hosts are ready."""
    if args.command == "deploy":
        targets = Deployment(hosts, console.note).run()
        return deployment_report.blocks(targets), all(target.outcome for target in targets)
    if args.file_alone:
        return [], True
    found = preflight.check(hosts, args.hostfile, args.mpirun)
    return preflight_report.blocks(found), found.ready


def _hosts(path: str, mpirun: str) -> Sequence[Host]:
    """Return the hosts that mpirun would read from a hostfile. Raises UserError."""
    try:
        found = hostfile.read(path, launcher(Path(sys.prefix), mpirun))
    except hostfile.HostfileError as error:
        raise UserError(f"argument HOSTFILE: {error}") from error
    for note in found.notes[:MAX_NOTES]:
        console.warning(f"{path!r}: {note}")
    if more := found.notes[MAX_NOTES:]:
        console.warning(f"{path!r}: and so {len(more)} times more")
    return found.hosts
