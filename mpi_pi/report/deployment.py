"""Report of `mpi-pi deploy`."""

import platform
from collections.abc import Sequence

from mpi_pi.cluster.deploy import Target
from mpi_pi.report.blocks import Block, Lines, Table
from mpi_pi.system import versions


def blocks(targets: Sequence[Target]) -> list[Block]:
    """Return a table of the hosts, and their problems, each once for all hosts that have it."""
    failed: dict[str, list[str]] = {}
    for target in targets:
        if target.problem:
            failed.setdefault(target.problem, []).append(target.host.name)
    own = {"python": platform.python_version()}
    notes = [
        f"{target.host.name}: note: {difference}"
        for target in targets
        if target.target and not target.problem
        for difference in versions.harmless({"python": target.target.python}, own)
    ]
    ready = sum(not target.problem for target in targets)
    return [
        Table([_cells(target) for target in targets], numbers=("seconds",)),
        Lines(
            [
                *(f"{', '.join(names)}: {problem}" for problem, names in failed.items()),
                *notes,
                ("Ready", f"{ready} of {len(targets)} hosts"),
            ]
        ),
    ]


def _cells(target: Target) -> dict[str, str]:
    return {
        "host": target.host.name,
        "machine": target.target.machine if target.target else "-",
        "Python": target.target.python if target.target else "-",
        "deployment": target.done or "FAILED",
        "seconds": f"{target.seconds:.1f}",
    }
