"""All health rules, applied to the hosts of a job."""

from collections.abc import Sequence

from mpi_pi.check.finding import Finding
from mpi_pi.check.hosts import Host
from mpi_pi.check.rules import network, placement, software, speed
from mpi_pi.findings import sentences

RULES = (
    network.unreachable, software.failed, software.wrong_answer, network.same_name, software.other_version,
    software.numpy_kernel, placement.too_many_ranks, placement.bound_together, speed.throttled,
    speed.lower_clock, speed.starved, speed.slow_host, speed.slow_rank, speed.throttled_earlier,
    speed.half_clock, placement.ranks_in_pairs, placement.unused_cores, network.high_latency,
    network.low_bandwidth, network.no_link, network.other_clock, network.shared_address,
    software.other_minor_version, software.other_machine, software.other_flags, software.is_32_bit,
    software.no_cache,
)  # fmt: skip  # a line for each would be a page
"""All rules, in the order in which their findings are reported."""


def findings(hosts: Sequence[Host]) -> list[Finding]:
    """Return all findings, faults first. Hosts that the same sentence is about share a finding."""
    found = [
        Finding(rule.severity, those, text)
        for rule in RULES
        for those, text in sentences(rule, rule.find(hosts))
    ]
    return sorted(found, key=lambda finding: finding.severity != "fault")


def fit(found: Sequence[Finding]) -> bool:
    """Return whether none of the findings is a fault."""
    return all(finding.severity != "fault" for finding in found)
