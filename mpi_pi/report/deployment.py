"""The report of `mpi-pi deploy`."""

import platform
from collections.abc import Sequence

from mpi_pi.cluster.deploy import Target
from mpi_pi.report.blocks import Block, Lines, Table
from mpi_pi.system import versions


def blocks(targets: Sequence[Target]) -> list[Block]:
    """Return a table of the hosts, and each problem once for all hosts that have it."""
    hosts_by_problem: dict[str, list[str]] = {}
    for target in targets:
        if target.problem:
            hosts_by_problem.setdefault(target.problem, []).append(target.host.name)
    sentences = [f"{', '.join(names)}: {problem}" for problem, names in hosts_by_problem.items()]
    own = {"python": platform.python_version()}
    sentences += [
        f"{target.host.name}: note: {difference}"
        for target in targets
        if target.platform and not target.problem
        for difference in versions.harmless({"python": target.platform.python}, own)
    ]
    ready = sum(not target.problem for target in targets)
    return [
        Table([_row(target) for target in targets], numbers=("seconds",)),
        Lines([*sentences, ("Ready", f"{ready} of {len(targets)} hosts")]),
    ]


def _row(target: Target) -> dict[str, str]:
    return {
        "host": target.host.name,
        "machine": target.platform.machine if target.platform else "-",
        "Python": target.platform.python if target.platform else "-",
        "deployment": target.outcome or "FAILED",
        "seconds": f"{target.seconds:.1f}",
    }
