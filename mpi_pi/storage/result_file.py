"""The JSON document of a result, written and read.

`report.schema.json` in this folder describes it. Since schema 8, members may be added under the same number,
because readers ignore members that they do not know.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from mpi_pi.model.audit import Audit
from mpi_pi.model.estimate import Estimate
from mpi_pi.model.hosts import core_share, host_sums
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
from mpi_pi.storage import json_document, old_results, result_checks, schema
from mpi_pi.storage.fields import (
    as_fields,
    audit_fields,
    audit_of,
    from_fields,
    of_row,
    origin_fields,
    origin_of,
    tally_rows,
)
from mpi_pi.storage.json_document import DocumentError
from mpi_pi.system import phases

KIND, SCHEMA = "result", 8


def as_json(result: Result) -> str:
    """Return the document of a result as text."""
    counted = as_fields(replace(result.shard, tally=result.tally, usage=result.usage))
    rest = origin_fields(result.origin) | {
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
            | origin_fields(shard.origin)
            for shard in result.shards
        ],
        "repairs": [_repair_fields(repair) for repair in result.repairs],
        "ranks": [_rank_fields(rank) for rank in result.ranks],
        "rounds": [_round_fields(record) for record in result.timeline.records],
    }
    return json_document.dumps(json_document.head(KIND, SCHEMA) | counted | rest | _derived_fields(result))


def _derived_fields(result: Result) -> dict[str, Any]:
    """Return rates and sums, which follow from the other members."""
    points, core_seconds, shards = result.tally.points, result.usage.core_seconds, result.shards
    # Shards may have run one after the other.
    seconds = sum(shard.usage.round_seconds for shard in shards) if shards else result.usage.round_seconds
    return {
        "points_per_second": points / seconds if seconds else None,
        "points_per_second_per_core": points / core_seconds if core_seconds else None,
        "hosts": [sums._asdict() | {"ranks": list(sums.ranks)} for sums in host_sums(result)],
    }


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
    ranks = {name: tuple(of_row(LostRank, rank) for rank in row[name]) for name in ("lost", "excluded")}
    return of_row(Repair, row, **ranks)


def _rank_fields(rank: RankStats) -> dict[str, Any]:
    own = {name: value for name, value in asdict(rank).items() if name != "info"}
    derived = _rates(rank) | {"standard_errors": rank.standard_errors}
    return own | rank.info._asdict() | derived


def _rates(rank: RankStats) -> dict[str, float | None]:
    return {"points_per_second": rank.points_per_second, "core_share": core_share(rank)}


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
    return of_document(json_document.document(content, KIND, *old_results.SCHEMAS, SCHEMA))


def of_document(document: Mapping[str, Any]) -> Result:
    """Return the result of a JSON object. Raises DocumentError if no run can have written it."""
    document = old_results.converted(document)
    schema.check(document, "report")
    try:
        result = _result(document)
        _check_estimate(document, result)
        result_checks.check(result)
        _check_derived(document, result)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise DocumentError(str(error)) from error
    return result


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
        origin=origin_of(document),
    )


def _phases(members: Mapping[str, float]) -> Mapping[str, float]:
    if members and not set(phases.PHASES) <= members.keys():
        raise ValueError("not all steps of rank 0 are there")
    return members


def _shards(rows: Sequence[Mapping[str, Any]], whole: Shard, ranks: int) -> tuple[ShardSummary, ...]:
    shards = tuple(
        of_row(ShardSummary, row, usage=of_row(Usage, row["spent"]), origin=origin_of(row)) for row in rows
    )
    if shards and whole.count > 1:
        raise ValueError("no such shards are possible")
    if shards and sum(shard.ranks for shard in shards) != ranks:
        raise ValueError("the ranks are not those of the shards")
    return shards


def _rank_stats(row: Mapping[str, Any]) -> RankStats:
    return of_row(RankStats, row, info=of_row(RankInfo, row))


def _round_record(row: Mapping[str, Any], ranks: int) -> RoundRecord:
    for name in ("units", "points", "count_seconds", "lost_units"):
        if len(row[name]) != ranks:
            raise ValueError(f"{name} has not a value for each rank")
    members = {**row, "count_nanoseconds": [round(seconds * 1e9) for seconds in row["count_seconds"]]}
    for name in ("units", "points", "count_nanoseconds", "lost_units"):
        members[name] = np.array(members[name], np.int64)
    return of_row(RoundRecord, members)


def _check_estimate(document: Mapping[str, Any], result: Result) -> None:
    """Raise ValueError unless the estimate is that of the tally, but for rounding."""
    found, expected = document["estimate"] or {}, _estimate_fields(result.estimate) or {}
    if not found.keys() >= expected.keys() or bool(found) != bool(expected):
        raise ValueError("estimate: is not that of the tally")
    for name, value in expected.items():
        if _difference(found[name], value) is not None:
            raise ValueError(f"estimate.{name}: {found[name]!r} is not {value!r}, as the tally has it")
    if document["verified"] is not result.verified:
        raise ValueError(f"verified: is not {str(result.verified).lower()}, as the tally has it")


def _check_derived(document: Mapping[str, Any], result: Result) -> None:
    """Raise ValueError unless rates and sums follow from the other members, or are empty, as in old ones."""
    expected = {"ranks": list(map(_rates, result.ranks))} | _derived_fields(result)
    for name, value in expected.items():
        place = _difference(document[name], value) if document[name] else None
        if place is not None:
            raise ValueError(f"{name}{place}: does not follow from the other members")


def _difference(found: Any, expected: Any) -> str | None:
    """Return the place of the first difference, but for the rounding of floats; None if there is none.

    Members of `found` that `expected` does not have are no difference.
    """
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() >= expected.keys():
        inner = [(f".{name}", found[name], value) for name, value in expected.items()]
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        inner = [(f"[{place}]", *pair) for place, pair in enumerate(zip(found, expected, strict=True))]
    elif isinstance(expected, float) and type(found) in (int, float):
        return None if math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9) else ""
    else:
        return None if found == expected else ""
    places = (place + deeper for place, *pair in inner if (deeper := _difference(*pair)) is not None)
    return next(places, None)
