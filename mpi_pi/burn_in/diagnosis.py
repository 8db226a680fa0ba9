"""All rules, applied to a burn-in."""

from collections.abc import Iterable, Iterator, Sequence

from mpi_pi.burn_in import rules
from mpi_pi.burn_in.finding import Finding, Rule, Seen
from mpi_pi.burn_in.observer import known
from mpi_pi.burn_in.outcome import BurnIn
from mpi_pi.formatting import format_some

MAX_NAMES = 8
"""Hosts, or ranks, that are named in a sentence."""

RULES = (
    rules.wrong_units, rules.wrong_answers, rules.unsettled, rules.uncorrected, rules.under_voltage,
    rules.throttled, rules.slow_core, rules.shared_core, rules.slow_host, rules.slower_and_slower,
    rules.slower_at_the_end, rules.corrected, rules.too_short,
)  # fmt: skip  # a line for each would be a page
"""The rules on a phase, in the order in which their findings are reported."""

OVERSUBSCRIBED = Rule(
    "fault",
    "more threads than cores, which have to take turns, so that no core can be judged: start fewer ranks"
    " (-n), give the host no more slots than it has cores, and bind each rank to cores of its own",
    lambda burn_in, _: (Seen(place) for place, host in enumerate(burn_in.hosts) if host.oversubscribed),
)
UNAUDITED = Rule(
    "note",
    "a single rank, whose units nobody can count again, so that wrong ones go unnoticed: start a rank for"
    " each core",
    lambda burn_in, _: [Seen(0)] if burn_in.audit and len(burn_in.ranks) == 1 else [],
)
BLIND = Rule(
    "note",
    "tells neither clock nor temperature nor throttling, as most virtual machines do not: heat shows in the"
    " rates alone",
    lambda burn_in, _: (Seen(host) for host in range(len(burn_in.hosts)) if _is_blind(burn_in, host)),
)
"""Rules on all phases together."""


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
        for rule in (OVERSUBSCRIBED, UNAUDITED, BLIND):
            found += _of_rule(burn_in, rule, "", "", rule.find(burn_in, burn_in.phases[0]))
    for outcome in burn_in.phases:
        title = f"{outcome.phase.title.lower()}: "
        for rule in RULES:
            found += _of_rule(burn_in, rule, outcome.name, title, rule.find(burn_in, outcome))
    return sorted(found, key=lambda finding: finding.severity != "fault")


def faults(found: Sequence[Finding]) -> int:
    """Return how many of the findings are faults."""
    return sum(finding.severity == "fault" for finding in found)


def _of_rule(burn_in: BurnIn, rule: Rule, phase: str, title: str, seen: Iterable[Seen]) -> Iterator[Finding]:
    """Generate the findings of a rule; hosts that the same sentence is about share one."""
    alike: dict[str, list[Seen]] = {}
    for one in seen:
        alike.setdefault(rule.sentence.format(*one.values), []).append(one)
    for sentence, those in alike.items():
        hosts = [burn_in.hosts[one.host].host for one in those]
        names = [
            f"{host} ({one.detail})" if one.detail else host for host, one in zip(hosts, those, strict=True)
        ]
        text = f"{title}{format_some(names, MAX_NAMES)}: {sentence}"
        yield Finding(rule.severity, phase, tuple(dict.fromkeys(hosts)), text)


def _is_blind(burn_in: BurnIn, host: int) -> bool:
    samples = [sample for outcome in burn_in.phases for sample in outcome.hosts[host].samples]
    members = ("highest_mhz", "celsius", "throttled_seconds", "under_voltage")
    return bool(samples) and not any(known(samples, member) for member in members)
