"""The command `mpi-pi check`."""

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mpi_pi.check import diagnosis, document, survey
from mpi_pi.check.probe import Probe
from mpi_pi.cli import baseline as baseline_option
from mpi_pi.cli import console, parser
from mpi_pi.cli.exit_codes import FAILED, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.cli.ranks import Ranks
from mpi_pi.cli.served import serve_root
from mpi_pi.errors import UserError
from mpi_pi.mpi import runtime
from mpi_pi.mpi.command_loop import CommandLoop
from mpi_pi.report import check as check_report

if TYPE_CHECKING:
    from mpi4py import MPI


class CheckOptions(NamedTuple):
    """Options of `mpi-pi check`, see `cli.parser`.

    None has to be the same on all ranks: rank 0 alone writes the file, and each rank may have its own cache.
    """

    json: str | None
    csv: str | None
    baseline: str | None
    cache: Path | None


def execute(args: argparse.Namespace, ranks: Ranks) -> int:
    """Survey all hosts, and report on rank 0; return the exit status there. Collective.

    The survey detects silent ranks itself: a heartbeat would end the job before it could report them.
    """
    options, comm = parser.typed(CheckOptions, args), ranks.comm
    probe = Probe(comm, options.cache, console.note)
    if comm.rank == 0:
        return _survey(options, comm, CommandLoop(comm, probe.actions()))

    serve_root(comm, probe.actions(), lambda: probe.host_of_rank_0)
    return VERIFIED


def _survey(options: CheckOptions, comm: "MPI.Intracomm", loop: CommandLoop) -> int:
    try:
        baseline = baseline_option.read(options.baseline)
        accept = functools.partial(baseline_option.require_common_host, options.baseline, baseline)
        with Output(options.json, options.csv) as output:
            hosts = survey.conduct(comm, loop, accept)
            findings = diagnosis.findings(hosts, baseline)
            report = check_report.blocks(hosts, findings, baseline)
            # mpirun may not forward output that is printed just before an abort.
            tables = functools.partial(check_report.blocks, hosts, findings, baseline, whole=True)
            written = output.put(report, document.dumps(hosts, findings), not loop.lost, tables)
    except UserError:
        loop.end()
        raise
    if loop.lost:
        runtime.abort(comm, FAILED)
    loop.end()
    return VERIFIED if written and diagnosis.fit(findings) else FAILED
