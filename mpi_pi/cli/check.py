"""The command `mpi-pi check`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mpi_pi.check import diagnosis, document
from mpi_pi.check.probe import Probe
from mpi_pi.check.survey import Survey
from mpi_pi.cli import console
from mpi_pi.cli.exit_codes import FAILED, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.cli.ranks import Ranks
from mpi_pi.mpi import runtime
from mpi_pi.mpi.command_loop import serve
from mpi_pi.mpi.peer_timeout import PeerTimeout
from mpi_pi.report import check as check_report
from mpi_pi.storage.atomic_file import OutputError

if TYPE_CHECKING:
    from mpi4py import MPI


def execute(args: argparse.Namespace, ranks: Ranks) -> int:
    """Survey all hosts, and report on rank 0; return the exit status there. Collective.

    The survey detects silent ranks itself: a heartbeat would end the job before it could report them.
    """
    comm = ranks.comm
    probe = Probe(comm, Path(args.cache) if args.cache else None, console.note)
    if comm.rank == 0:
        return _survey(args.json, comm, probe)

    def complain(message: str) -> None:
        console.complain(f"rank {comm.rank} on host {runtime.host_name()}: {message}")

    try:
        serve(comm, probe.actions(), complain)
    except PeerTimeout as timeout:
        complain(f"{timeout} on host {probe.host_of_rank_0}")
        runtime.abort(comm, FAILED)
    return VERIFIED


def _survey(json: str | None, comm: "MPI.Intracomm", probe: Probe) -> int:
    survey = Survey(comm, probe.actions())
    try:
        with Output(json) as output:
            hosts = survey.conduct()
            findings = diagnosis.findings(hosts)
            report = check_report.blocks(hosts, findings)
            # mpirun may not forward output that is printed just before an abort.
            written = output.put(report, document.dumps(hosts, findings), through_mpirun=not survey.lost)
    except OutputError:
        survey.end()
        raise
    if survey.lost:
        runtime.abort(comm, FAILED)
    survey.end()
    return VERIFIED if written and diagnosis.fit(findings) else FAILED
