"""The command `mpi-pi burn-in`, on all ranks."""

import argparse
import contextlib
import functools
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from mpi_pi.burn_in import binding, diagnosis, document
from mpi_pi.burn_in.conduct import Conductor, Order
from mpi_pi.burn_in.outcome import BurnIn
from mpi_pi.cli import console, parser
from mpi_pi.cli.exit_codes import FAILED, SIGNALLED, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.cli.progress_bar import bar
from mpi_pi.cli.ranks import Ranks
from mpi_pi.kernel.loader import load
from mpi_pi.model.audit import Audit, WrongRank
from mpi_pi.model.result import RankInfo
from mpi_pi.model.shard import Shard
from mpi_pi.mpi import runtime
from mpi_pi.parallel.team import Plan, Request, assemble
from mpi_pi.report import audit as audit_report
from mpi_pi.report import burn_in as burn_in_report
from mpi_pi.system import scheduler
from mpi_pi.version import STREAM_VERSION, __version__

if TYPE_CHECKING:
    from mpi_pi.cli.signals import Signals

BAR = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


class BurnInOptions(NamedTuple):
    """Options of `mpi-pi burn-in`, see `cli.parser`; None for an option that was not given."""

    time: float
    """Seconds."""
    audit: float
    seed: int | None
    threads: int | Literal["auto"] | None
    json: str | None
    csv: str | None
    progress: Literal["auto", "on", "off"]
    cache: Path | None

    def agreement(self) -> str:
        """Return the options that have to be the same on all ranks, as a text for error messages."""
        return (
            f"mpi-pi {__version__}, stream {STREAM_VERSION}, burn-in {self.time:g}s --audit {self.audit:g}"
            f" --seed {self.seed} --threads {'auto' if self.threads == 'auto' else 'T'}"
        )


def execute(args: argparse.Namespace, ranks: Ranks) -> int:
    """Burn in and report; return the exit status on rank 0. Raises MpiPiError on all ranks."""
    options, comm = parser.typed(BurnInOptions, args), ranks.comm
    outputs: list[Output] = []  # one, on rank 0
    with contextlib.ExitStack() as open_files:

        def plan() -> Plan:
            # Opened before anything is counted, so that the user learns of a failure at once.
            outputs.append(open_files.enter_context(Output(options.json, options.csv)))
            seed = int.from_bytes(os.urandom(8)) if options.seed is None else options.seed
            return _plan(options, Order(options.time, options.audit, seed))

        request = Request(
            options.agreement(),
            plan,
            lambda: load("auto", options.cache, console.note),
            None if options.threads == "auto" else options.threads or 1,
            _announce,
            audit=options.audit,
        )
        if request.threads:
            binding.bind(comm, request.threads, ranks.watch().check)
        team = assemble(comm, request, ranks.watch())
        order = Order(options.time, options.audit, team.shard.job.seed)
        open_files.enter_context(ranks.signals.all_handled())
        progress = options.progress if comm.rank == 0 else "off"
        with bar(progress, options.time, bar_format=BAR) as show:
            burn_in = Conductor(team, order, ranks.signals.stop, show, _telling()).conduct()
        if burn_in is None:
            return VERIFIED
        status = _report(burn_in, outputs[0], ranks.signals)
        if burn_in.lost:
            console.complain(burn_in.lost)
            runtime.abort(comm, FAILED)
        return status


def _plan(options: BurnInOptions, order: Order) -> Plan:
    """Return the plan of rank 0, with the job of the first phase."""
    if options.threads != "auto":
        return Plan(Shard(order.job()))
    return Plan(Shard(order.job()), scheduler.threads_per_rank(), scheduler.max_threads_per_rank())


def _announce(_: Shard, __: Sequence[RankInfo], warnings: Sequence[str]) -> None:
    for warning in warnings:
        console.warning(warning)


def _telling() -> Callable[[Shard, Audit], None]:
    """Return the callback after the audit of a phase has found ranks that count wrongly."""
    told: set[WrongRank] = set()

    def tell(_: Shard, audit: Audit) -> None:
        new = replace(audit, wrong=tuple(wrong for wrong in audit.wrong if wrong not in told))
        for message in audit_report.messages(new, 0):
            console.error(message)
        told.update(audit.wrong)

    return tell


def _report(burn_in: BurnIn, output: Output, signals: "Signals") -> int:
    """Write the file, print the report, and return the exit status."""
    found = diagnosis.findings(burn_in)
    report, json = burn_in_report.blocks(burn_in, found), document.dumps(burn_in, found)
    # mpirun may not forward what is printed once it ends, nor just before an abort.
    through_mpirun = not (signals.launcher_ends or burn_in.lost)
    tables = functools.partial(burn_in_report.blocks, burn_in, found, whole=True)
    written = output.put(report, json, through_mpirun, tables)
    if not written or diagnosis.faults(found):
        return FAILED
    return SIGNALLED + signal.Signals[burn_in.stopped] if burn_in.stopped else VERIFIED
