"""The outcome of a burn-in as a JSON document, written and read.

`storage/burn-in.schema.json` describes it; its `schema` number changes whenever a reader of the old one could
fail on the new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from mpi_pi.burn_in.diagnosis import faults
from mpi_pi.burn_in.finding import Finding
from mpi_pi.burn_in.observer import HostWatch
from mpi_pi.burn_in.outcome import BurnIn, HostFacts, PhaseOutcome, RankFacts, RankWork
from mpi_pi.burn_in.phases import PHASES
from mpi_pi.burn_in.sample import Sample
from mpi_pi.storage import json_document, schema
from mpi_pi.storage.fields import audit_fields, audit_of
from mpi_pi.storage.json_document import DocumentError

KIND, SCHEMA = "burn-in", 1

SAMPLE_MEMBERS = tuple(field.name for field in fields(Sample))

PLAIN_MEMBERS = (
    "name", "planned_seconds", "start_seconds", "seconds", "rounds", "units", "recounted_units",
    "step_seconds",
)  # fmt: skip
"""Members of a phase that are numbers, or texts."""


def dumps(burn_in: BurnIn, findings: Sequence[Finding]) -> str:
    """Return the document as text."""
    members = {
        "passed": burn_in.complete and not faults(findings),
        "complete": burn_in.complete,
        "stopped": burn_in.stopped or None,
        "lost": burn_in.lost or None,
        "seconds": burn_in.seconds,
        "audit": burn_in.audit,
        "seed": str(burn_in.seed),
        "mpi_library": burn_in.mpi_library,
        "findings": [asdict(finding) | {"phase": finding.phase or None} for finding in findings],
        "hosts": [host._asdict() for host in burn_in.hosts],
        "ranks": [rank._asdict() for rank in burn_in.ranks],
        "phases": [_phase_fields(outcome) for outcome in burn_in.phases],
    }
    return json_document.dumps(json_document.head(KIND, SCHEMA) | members)


def of_content(content: bytes) -> BurnIn:
    """Return the burn-in in the content of a file. Raises DocumentError."""
    document = json_document.document(content, KIND, SCHEMA)
    schema.check(document, KIND)
    burn_in = BurnIn(
        seconds=document["seconds"],
        audit=document["audit"],
        seed=int(document["seed"]),
        mpi_library=document["mpi_library"],
        hosts=tuple(HostFacts(**host) for host in document["hosts"]),
        ranks=tuple(RankFacts(**rank) for rank in document["ranks"]),
        phases=tuple(_phase(phase) for phase in document["phases"]),
        stopped=document["stopped"] or "",
        lost=document["lost"] or "",
    )
    _check(burn_in)
    return burn_in


def _phase_fields(outcome: PhaseOutcome) -> dict[str, Any]:
    plain = {name: getattr(outcome, name) for name in PLAIN_MEMBERS}
    return (
        plain
        | audit_fields(outcome.wrong, outcome.unsettled)
        | {
            "ranks": [work._asdict() for work in outcome.ranks],
            "hosts": [
                {"modules": watch.modules, "samples": _columns(watch.samples)} for watch in outcome.hosts
            ],
        }
    )


def _columns(samples: Sequence[Sample]) -> dict[str, list[Any] | None]:
    """Return the values of each member in the order of time; null for a member that the host never told."""
    columns = {name: [_rounded(getattr(sample, name)) for sample in samples] for name in SAMPLE_MEMBERS}
    return {
        name: None if samples and all(value is None for value in values) else values
        for name, values in columns.items()
    }


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _phase(members: Mapping[str, Any]) -> PhaseOutcome:
    plain: dict[str, Any] = {name: members[name] for name in PLAIN_MEMBERS}
    wrong, unsettled = audit_of(members)
    return PhaseOutcome(
        **plain,
        wrong=wrong,
        unsettled=unsettled,
        ranks=tuple(RankWork(**work | {"rates": tuple(work["rates"])}) for work in members["ranks"]),
        hosts=tuple(
            HostWatch(_samples(host["samples"]), tuple(host["modules"])) for host in members["hosts"]
        ),
    )


def _samples(columns: Mapping[str, list[Any] | None]) -> tuple[Sample, ...]:
    number = len(columns["start_seconds"] or ())
    if any(len(values) != number for values in columns.values() if values is not None):
        raise DocumentError("samples: their members have not as many values as each other")
    times = zip(columns["start_seconds"] or (), columns["end_seconds"] or (), strict=True)
    edges = [edge for pair in times for edge in pair]
    if edges != sorted(edges):
        raise DocumentError("samples: do not follow on each other in time")
    rows = zip(*(columns[name] or [None] * number for name in SAMPLE_MEMBERS), strict=True)
    return tuple(Sample(*row) for row in rows)


def _check(burn_in: BurnIn) -> None:
    """Raise DocumentError unless hosts, ranks and phases belong together."""
    hosts, ranks = len(burn_in.hosts), len(burn_in.ranks)
    if [rank.rank for rank in burn_in.ranks] != list(range(ranks)):
        raise DocumentError("ranks: are not numbered from 0 on")
    if {rank.host for rank in burn_in.ranks} != set(range(hosts)):
        raise DocumentError("hosts: are not those of the ranks")
    names = [phase.name for phase in PHASES[: len(burn_in.phases)]]
    if [outcome.name for outcome in burn_in.phases] != names:
        raise DocumentError(f"phases: are not {', '.join(names)}")
    starts = [outcome.start_seconds for outcome in burn_in.phases]
    if starts != sorted(starts):
        raise DocumentError("phases: do not follow on each other in time")
    for outcome in burn_in.phases:
        if len(outcome.ranks) != ranks or len(outcome.hosts) != hosts:
            raise DocumentError(f"phases: {outcome.name} has not as many ranks and hosts as the burn-in")
        opinions = (opinion for dispute in outcome.unsettled for opinion in dispute.opinions)
        named = {wrong.rank for wrong in outcome.wrong} | {opinion.rank for opinion in opinions}
        if not named <= set(range(ranks)):
            raise DocumentError(f"phases: {outcome.name} names ranks that are not there")
