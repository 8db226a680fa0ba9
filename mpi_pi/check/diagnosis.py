"""All health rules, applied to the hosts of a job; and those for a node alone, applied to it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mpi_pi.check.changes import Baseline
from mpi_pi.check.finding import Finding
from mpi_pi.check.hosts import Host
from mpi_pi.check.node import Node
from mpi_pi.check.rules import baseline as since_baseline
from mpi_pi.check.rules import network, node, placement, software, speed
from mpi_pi.findings import Rule, sentences

RULES = (
    network.unreachable, software.failed, software.wrong_answer, network.same_name, software.other_version,
    software.numpy_kernel, placement.too_many_ranks, placement.bound_together, speed.throttled,
    speed.lower_clock, speed.starved, speed.slow_host, speed.slow_rank, speed.throttled_earlier,
    speed.half_clock, placement.ranks_in_pairs, placement.unused_cores, network.high_latency,
    network.low_bandwidth, network.no_link, network.other_clock, network.shared_address,
    software.other_minor_version, software.other_machine, software.other_flags, software.is_32_bit,
    software.no_cache,
)  # fmt: skip  # a line for each would be a page
"""All rules on the hosts of a job, in the order in which their findings are reported."""

NODE_RULES = (
    node.wrong_answer, node.uncorrected, node.stolen_time, node.slow_core, node.busy, node.starved,
    node.limited, node.forbidden, node.numpy_kernel, node.corrected, node.little_space,
)  # fmt: skip
"""Rules on a node alone; they come before the next ones."""

NODE_HOST_RULES = (
    speed.throttled, speed.throttled_earlier, speed.half_clock, software.is_32_bit, software.no_cache,
)  # fmt: skip
"""Rules on the hosts of a job that a node alone follows, too."""


def findings(hosts: Sequence[Host], baseline: Baseline | None = None) -> list[Finding]:
    """Return all findings, faults first. Hosts that the same sentence is about share a finding."""
    return _ordered([*_findings(RULES, hosts), *_since(hosts, baseline)])


def node_findings(alone: Node, baseline: Baseline | None = None) -> list[Finding]:
    """Return all findings on a node alone, faults first. The baseline has this node alone, too."""
    own = [*_findings(NODE_RULES, alone), *_findings(NODE_HOST_RULES, [alone.host])]
    return _ordered([*own, *_since([alone.host], baseline)])


def _since(hosts: Sequence[Host], baseline: Baseline | None) -> Iterator[Finding]:
    return _findings(since_baseline.RULES, hosts, baseline) if baseline else iter(())


def _findings(rules: Sequence[Rule[Any]], *subjects: object) -> Iterator[Finding]:
    for rule in rules:
        for hosts, text in sentences(rule, rule.find(*subjects)):
            yield Finding(rule.severity, hosts, text)


def _ordered(found: Iterable[Finding]) -> list[Finding]:
    return sorted(found, key=lambda finding: finding.severity != "fault")


def fit(found: Sequence[Finding]) -> bool:
    """Return whether none of the findings is a fault."""
    return all(finding.severity != "fault" for finding in found)
