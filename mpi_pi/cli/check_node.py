"""The command `mpi-pi check --node`: this node alone, examined by a child process, which may hang.

Once started, this process needs nothing from any file system, so that it ends in time whatever becomes of the
child: no signal ends one that waits for a file system which does not answer.
"""

import argparse
import functools
import os
import time
from pathlib import Path
from typing import NamedTuple

from mpi_pi.check import steps
from mpi_pi.cli import console, parser
from mpi_pi.cli.exit_codes import BAD_USAGE, FAILED, UNKNOWN, VERIFIED
from mpi_pi.cli.output import Output
from mpi_pi.errors import MpiPiError, UserError
from mpi_pi.report import node as report
from mpi_pi.system import process
from mpi_pi.system.child import Child, Tell

COMPILED_BY_SECONDS = 6.0
"""Time after the start of this process by which the kernel has to be loaded; then NumPy's takes its place."""
GIVE_UP_SECONDS = 9.0
"""Time after the start of this process at which it gives up."""


class NodeOptions(NamedTuple):
    """Options of `mpi-pi check --node`, see `cli.parser`."""

    json: str | None
    csv: str | None
    baseline: str | None
    cache: Path | None


def execute(args: argparse.Namespace) -> int:
    """Examine this node, and return the exit status: FAILED for a fault of the node, and for nothing else."""
    options = parser.typed(NodeOptions, args)
    start = time.monotonic() - process.seconds_since_process_start()
    try:
        return _supervised(options, start)
    except Exception as error:
        return _unknown(_named(error))


def _supervised(options: NodeOptions, start: float) -> int:
    """Let a child examine the node; if its kernel is not ready in time, let another one use NumPy's."""
    deadline = start + GIVE_UP_SECONDS
    child = _child(options, "auto", deadline)
    try:
        status = child.status_by(start + COMPILED_BY_SECONDS)
        if status is None and child.told not in (steps.ANSWERING, steps.MEASURING):
            child.give_up()
            child = _child(options, "numpy", deadline)
        if status is None:
            status = child.status_by(deadline)
        if status is None:
            return _unknown(f"no end within {GIVE_UP_SECONDS:g} s of {child.told or 'the start'}")
    finally:
        child.give_up()
        console.raw(child.errors)
    if status < 0:
        return _unknown(f"ended by signal {-status} while {child.told}")
    printed = console.said(child.output.decode(errors="backslashreplace"))
    return status if printed and status in (VERIFIED, FAILED, BAD_USAGE) else UNKNOWN


def _child(options: NodeOptions, kernel: str, deadline: float) -> Child:
    return Child(lambda tell: _examined(options, kernel, tell), deadline + 1 - time.monotonic())


def _examined(options: NodeOptions, kernel: str, tell: Tell) -> int:
    """Examine the node, report, and return the exit status; in the child."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 19)
        tell(steps.IMPORTING)
        from mpi_pi.check import diagnosis, document, node
        from mpi_pi.cli import baseline as baseline_option

        baseline = baseline_option.read_for_node(options.baseline)

        def is_faulty(one: node.Node) -> bool:
            return not diagnosis.fit(diagnosis.node_findings(one, baseline))

        one = node.examine(kernel, options.cache, tell, is_faulty)
        findings = diagnosis.node_findings(one, baseline)
        tables = functools.partial(report.tables, one, findings, baseline)
        blocks, json = report.blocks(one, findings, baseline), document.dumps([one.host], findings)
        with Output(
            options.json, options.csv
        ) as output:  # now, since a child that is killed leaves files open
            written = output.put(blocks, json, tables=tables)
    except UserError as error:
        console.complain(str(error))
        return BAD_USAGE
    except Exception as error:  # a broken package may raise any exception
        return _unknown(_named(error))
    if not written:
        return UNKNOWN
    return VERIFIED if diagnosis.fit(findings) else FAILED


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, MpiPiError) else f"{type(error).__name__}: {error}".rstrip(": ")


def _unknown(why: str) -> int:
    console.said(report.not_examined(why))
    return UNKNOWN
