"""The JSON document of a result, written and read.

`report.schema.json` in this folder describes it. Its `schema` number changes whenever a reader of the old one
could fail on the new one.
"""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np

from mpi_pi.model.audit import Audit
from mpi_pi.model.estimate import Estimate
from mpi_pi.model.result import (
    LostRank,
    RankInfo,
    RankStats,
    Repair,
    Result,
    RoundRecord,
    ShardSummary,
    Timeline,
)
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.verdict import suspects
from mpi_pi.storage import json_document, result_checks, schema
from mpi_pi.storage.fields import as_fields, audit_fields, audit_of, from_fields, tally_rows, without_audits
from mpi_pi.storage.json_document import DocumentError
from mpi_pi.system import phases

KIND, SCHEMA = "result", 7

OLD_SCHEMAS = WITHOUT_REPAIRS, WITHOUT_AUDITS = 5, 6
"""Schemas before, which are read, too: one in which no ranks were lost, and one without audits."""


def as_json(result: Result) -> str:
    """Return the document of a result as text."""
    counted = as_fields(replace(result.shard, tally=result.tally, usage=result.usage))
    rest = {
        "mpi_library": result.mpi_library,
        "partial": result.partial,
        "verified": result.verified,
        "reasons": result.reasons,
        "kernels_right": result.kernels_right,
        "estimate": _estimate_fields(result.estimate),
        "in_line": tally_rows(result.shard.tally),
        "audit": _audit_fields(result.audit),
        "marks": dict(result.timestamps),
        "steps": dict(result.phases),
        "shards": [
            {
                "index": shard.index,
                "ranks": shard.ranks,
                "started_ranks": shard.started_ranks,
                "spent": asdict(shard.usage),
            }
            for shard in result.shards
        ],
        "repairs": [_repair_fields(repair) for repair in result.repairs],
        "ranks": [_rank_fields(rank) for rank in result.ranks],
        "rounds": [_round_fields(record) for record in result.timeline.records],
    }
    return json_document.dumps(json_document.head(KIND, SCHEMA) | counted | rest)


def _estimate_fields(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return asdict(estimate) | {"fit": estimate.fit and estimate.fit._asdict()}


def _audit_fields(audit: Audit | None) -> dict[str, Any] | None:
    if audit is None:
        return None
    return {"share": audit.share} | audit_fields(audit.wrong, audit.unsettled)


def _audit(members: Mapping[str, Any] | None) -> Audit | None:
    return None if members is None else Audit(members["share"], *audit_of(members))


def _repair_fields(repair: Repair) -> dict[str, Any]:
    ranks = {"lost": repair.lost, "excluded": repair.excluded}
    return vars(repair) | {name: [rank._asdict() for rank in those] for name, those in ranks.items()}


def _repair(row: Mapping[str, Any]) -> Repair:
    ranks = {name: tuple(LostRank(**rank) for rank in row[name]) for name in ("lost", "excluded")}
    return Repair(**{**row, **ranks})


def _rank_fields(rank: RankStats) -> dict[str, Any]:
    own = {name: value for name, value in asdict(rank).items() if name != "info"}
    derived = {"points_per_second": rank.points_per_second, "standard_errors": rank.standard_errors}
    return own | rank.info._asdict() | derived


def _round_fields(record: RoundRecord) -> dict[str, Any]:
    members = vars(record) | {"count_nanoseconds": record.count_nanoseconds / 1e9}
    return {
        name.replace("nano", ""): value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in members.items()
    }


def read(name: str) -> Result:
    """Return the result in a file. Raises DocumentError."""
    return of_content(json_document.content(name))


def of_content(content: bytes) -> Result:
    """Return the result in the content of a file. Raises DocumentError."""
    return of_document(json_document.document(content, KIND, *OLD_SCHEMAS, SCHEMA))


def of_document(document: Mapping[str, Any]) -> Result:
    """Return the result of a JSON object. Raises DocumentError if no run can have written it."""
    if document.get("schema") == WITHOUT_REPAIRS:
        document = _with_repairs(document)
    if document.get("schema") == WITHOUT_AUDITS:
        document = _with_audit(document)
    schema.check(document, "report")
    try:
        result = _result(document)
        _check_estimate(document, result)
        result_checks.check(result)
        _check_rates(document, result)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise DocumentError(str(error)) from error
    return result


def _with_repairs(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document in which no ranks were lost as one of the next schema."""
    if "repairs" in document:
        raise DocumentError(f"repairs: schema {WITHOUT_REPAIRS} has none")
    added: dict[str, Any] = {"schema": WITHOUT_AUDITS, "repairs": []}
    with contextlib.suppress(KeyError, TypeError):  # of which `schema.check` will complain
        added["shards"] = [row | {"started_ranks": row["ranks"]} for row in document["shards"]]
    return {**document, **added}


def _with_audit(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document without audits as one of this schema."""
    rows: dict[str, Callable[[Any], Any]] = {
        "shards": lambda row: row | {"spent": row["spent"] | {"recounted_units": 0}},
        "repairs": lambda row: row | {"excluded": []},
        "ranks": lambda row: row | {"cores": "", "audit_seconds": 0.0},
    }
    added: dict[str, Any] = {"schema": SCHEMA, "audit": None}
    for name, converted in rows.items():
        with contextlib.suppress(KeyError, TypeError):  # of which `schema.check` will complain
            added[name] = [converted(row) for row in document[name]]
    return without_audits(document) | added


def _result(document: Mapping[str, Any]) -> Result:
    partial = document["partial"]
    counted = from_fields(document, contiguous=not partial)
    if counted.complete == partial:
        raise ValueError("not finished, though it says so" if not partial else "finished, though it says not")
    ranks = tuple(_rank_stats(row) for row in document["ranks"])
    contiguous = from_fields({**document, "tally": document["in_line"]})
    if not partial and contiguous != counted and document["kernels_right"]:
        raise ValueError("in_line: is not the tally, though all units are counted")
    if contiguous.tally.units > counted.tally.units:
        raise ValueError("in_line: has more units than the tally")
    return Result(
        shard=contiguous,
        tally=counted.tally,
        usage=counted.usage,
        ranks=ranks,
        timeline=Timeline([_round_record(row, len(ranks)) for row in document["rounds"]]),
        rounds=counted.usage.rounds,
        kernels_right=document["kernels_right"],
        mpi_library=document["mpi_library"],
        suspects=suspects(ranks),
        timestamps=document["marks"],
        phases=_phases(document["steps"]),
        repairs=tuple(map(_repair, document["repairs"])),
        audit=_audit(document["audit"]),
        shards=_shards(document["shards"], counted, len(ranks)),
    )


def _phases(members: Mapping[str, float]) -> Mapping[str, float]:
    if members and not set(phases.PHASES) <= members.keys():
        raise ValueError("not all steps of rank 0 are there")
    return members


def _shards(rows: Sequence[Mapping[str, Any]], whole: Shard, ranks: int) -> tuple[ShardSummary, ...]:
    shards = tuple(
        ShardSummary(row["index"], row["ranks"], Usage(**row["spent"]), row["started_ranks"]) for row in rows
    )
    if shards and whole.count > 1:
        raise ValueError("no such shards are possible")
    if shards and sum(shard.ranks for shard in shards) != ranks:
        raise ValueError("the ranks are not those of the shards")
    return shards


def _rank_stats(row: Mapping[str, Any]) -> RankStats:
    info = RankInfo(*(row[name] for name in RankInfo._fields))
    own = {field.name: row[field.name] for field in fields(RankStats) if field.name != "info"}
    return RankStats(info=info, **own)


def _round_record(row: Mapping[str, Any], ranks: int) -> RoundRecord:
    for name, value in row.items():
        if isinstance(value, list) and len(value) != ranks:
            raise ValueError(f"{name} has not a value for each rank")
    members = {**row, "count_nanoseconds": [round(seconds * 1e9) for seconds in row["count_seconds"]]}
    del members["count_seconds"]
    for name in ("units", "points", "count_nanoseconds", "lost_units"):
        members[name] = np.array(members[name], np.int64)
    return RoundRecord(**members)


def _check_rates(document: Mapping[str, Any], result: Result) -> None:
    for place, rank in enumerate(result.ranks):
        rate = document["ranks"][place]["points_per_second"]
        if not math.isclose(rate, rank.points_per_second, rel_tol=1e-6):
            raise ValueError(f"ranks[{place}].points_per_second: is not its points over its count_seconds")


def _check_estimate(document: Mapping[str, Any], result: Result) -> None:
    """Raise ValueError unless the estimate is that of the tally, but for rounding."""
    found, expected = document["estimate"] or {}, _estimate_fields(result.estimate) or {}
    if found.keys() != expected.keys():
        raise ValueError("estimate: is not that of the tally")
    for name, value in expected.items():
        if not _agree(found[name], value):
            raise ValueError(f"estimate.{name}: {found[name]!r} is not {value!r}, as the tally has it")
    if document["verified"] is not result.verified:
        raise ValueError(f"verified: is not {str(result.verified).lower()}, as the tally has it")


def _agree(found: Any, expected: Any) -> bool:
    """Return whether two values are equal, but for the rounding of floats."""
    if isinstance(expected, dict):
        same_names = isinstance(found, dict) and found.keys() == expected.keys()
        return same_names and all(_agree(found[name], expected[name]) for name in expected)
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9)
    return bool(found == expected)
