"""All rules, applied to a burn-in."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mpi_pi.burn_in import rules
from mpi_pi.burn_in.finding import Finding
from mpi_pi.burn_in.outcome import BurnIn
from mpi_pi.findings import Observation, Rule, sentences

RULES = (
    rules.wrong_units, rules.wrong_answers, rules.unsettled, rules.uncorrected, rules.under_voltage,
    rules.throttled, rules.slow_core, rules.shared_core, rules.slow_host, rules.slower_and_slower,
    rules.slower_at_the_end, rules.corrected, rules.too_short,
)  # fmt: skip  # a line for each would be a page
"""The rules on a phase, in the order in which their findings are reported."""

RULES_ON_ALL = (rules.oversubscribed, rules.unaudited, rules.blind)
"""The rules on all phases together."""

LOST = (
    "it hung, or switched itself off, under this load: look after power supply and cooling, and into its"
    " log (journalctl -b -1)"
)
"""End of the sentence on ranks that fell silent."""


def findings(burn_in: BurnIn) -> list[Finding]:
    """Return all findings, faults first, those of each phase together."""
    found: list[Finding] = []
    if burn_in.lost:
        found.append(Finding("fault", "", (), f"{burn_in.lost}: {LOST}"))
    if burn_in.phases:
        for rule in RULES_ON_ALL:
            found += _of_rule(rule, "", "", rule.find(burn_in, burn_in.phases[0]))
    for outcome in burn_in.phases:
        title = f"{outcome.phase.title.lower()}: "
        for rule in RULES:
            found += _of_rule(rule, outcome.name, title, rule.find(burn_in, outcome))
    return sorted(found, key=lambda finding: finding.severity != "fault")


def faults(found: Sequence[Finding]) -> int:
    """Return how many of the findings are faults."""
    return sum(finding.severity == "fault" for finding in found)


def _of_rule(rule: Rule[Any], phase: str, title: str, seen: Iterable[Observation]) -> Iterator[Finding]:
    for hosts, text in sentences(rule, seen):
        yield Finding(rule.severity, phase, tuple(dict.fromkeys(hosts)), f"{title}{text}")
