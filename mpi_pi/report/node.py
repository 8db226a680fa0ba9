"""The report of `mpi-pi check --node`, whose last line holds the verdict and the first fault."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mpi_pi.check.finding import Finding
from mpi_pi.formatting import format_numbers
from mpi_pi.report.blocks import Block, Line, Lines

if TYPE_CHECKING:
    from mpi_pi.check.changes import Baseline  # which, like the next one, imports NumPy
    from mpi_pi.check.node import Node


def blocks(node: "Node", findings: Sequence[Finding], baseline: "Baseline | None" = None) -> list[Block]:
    """Return the report, with a table of the changes since the baseline, if there is one."""
    texts = [f"{finding.severity}: {finding.text}" for finding in findings]
    verdict = Lines([*texts, ("Fit", _verdict(node, findings))])
    return [_facts(node), *_since(node, baseline), verdict]


def _verdict(node: "Node", findings: Sequence[Finding]) -> str:
    """Return `yes`, with a restriction unless all was examined, or `no` and the first fault."""
    for finding in findings:
        if finding.severity == "fault":
            return f"no: {finding.text}"
    return "yes" if node.host.points_per_second is not None else "yes, speed not measured"


def not_examined(why: str) -> list[Block]:
    """Return the report on a node that could not be examined."""
    return [Lines([("Fit", f"unknown: {' '.join(why.split())}")])]


def tables(node: "Node", findings: Sequence[Finding], baseline: "Baseline | None") -> list[Block]:
    """Return all tables on the node, for --csv: those of a check of hosts."""
    from mpi_pi.report import check  # which imports NumPy

    return check.blocks([node.host], findings, baseline, whole=True)


def _since(node: "Node", baseline: "Baseline | None") -> list[Block]:
    if baseline is None:
        return []
    from mpi_pi.report import changes  # which imports NumPy

    return changes.blocks([node.host], baseline)


def _facts(node: "Node") -> Lines:
    host, ranks = node.host, node.host.ranks
    here, software = host.machine, ranks[0].software
    lines: list[Line] = [("Host", host.name)]
    if here and software:
        lines = [
            ("mpi-pi", f"{software.package}, stream {software.stream}"),
            ("Host", f"{host.name}, {here.cpu}, cores = {here.cores}, threads = {here.cpus}"),
        ]
    right = sum(bool(rank.right) for rank in ranks)
    cores = format_numbers(rank.rank for rank in ranks)
    lines.append(
        ("Known answer", f"right on {right} of {len(ranks)} cores ({cores}), kernel = {ranks[0].kernel}")
    )
    if host.points_per_second is not None and host.core_share is not None:
        rate, share = host.points_per_second, host.core_share
        lines.append(
            ("Rate", f"{rate:.4e} points/s of CPU time, all cores at once, share of each >= {share:.0%}")
        )
    return Lines(lines)
