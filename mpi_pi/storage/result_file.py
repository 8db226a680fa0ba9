"""The JSON document of a result, written and read.

It is described by `report.schema.json` beside this file; its `schema` number changes whenever a reader of the
old one could fail on the new.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_pi.model.estimate import Estimate
from mpi_pi.model.result import RankInfo, RankStats, Result, RoundRecord, ShardSummary, Timeline
from mpi_pi.model.shard import Shard
from mpi_pi.model.verdict import suspects
from mpi_pi.storage import json_document, schema
from mpi_pi.storage.fields import amount, as_fields, from_fields, rows, spent_from_fields
from mpi_pi.system import phases
from mpi_pi.version import __version__

KIND, SCHEMA = "result", 5


def as_json(result: Result) -> str:
    """The report for scripts: one JSON object."""
    return json_document.dumps(_document(result))


def _document(result: Result) -> dict[str, Any]:
    about = {"schema": SCHEMA, "program": "mpi-pi", "kind": KIND, "version": __version__}
    counted = replace(result.shard, tally=result.tally, usage=result.usage)
    return (
        about
        | as_fields(counted)
        | {
            "mpi_library": result.mpi_library,
            "partial": result.partial,
            "verified": result.verified,
            "reasons": result.reasons,
            "kernels_right": result.kernels_right,
            "estimate": estimate_fields(result.estimate),
            "in_line": rows(result.shard.tally),
            "marks": dict(result.timestamps),
            "steps": dict(result.phases),
            "shards": [
                {"index": shard.index, "ranks": shard.ranks, "spent": asdict(shard.usage)}
                for shard in result.shards
            ],
            "ranks": [_rank_object(row) for row in result.ranks],
            "rounds": [
                {
                    "first_round": row.first_round,
                    "last_round": row.last_round,
                    "start_seconds": row.start_seconds,
                    "end_seconds": row.end_seconds,
                    "hits": row.hits,
                    "units": row.units.tolist(),
                    "points": row.points.tolist(),
                    "count_seconds": (row.count_nanoseconds / 1e9).tolist(),
                    "lost_units": row.lost_units.tolist(),
                }
                for row in result.timeline.records
            ],
        }
    )


def estimate_fields(estimate: Estimate | None) -> dict[str, Any] | None:
    """Return the estimate as a JSON object; None for none."""
    if estimate is None:
        return None
    return asdict(estimate) | {"fit": estimate.fit and estimate.fit._asdict()}


def _rank_object(row: RankStats) -> dict[str, Any]:
    numbers = {name: value for name, value in asdict(row).items() if name != "info"}
    derived = {"points_per_second": row.points_per_second, "standard_errors": row.standard_errors}
    return numbers | row.info._asdict() | derived


def read(name: str) -> Result:
    """Return the result in a file. Raises sealed.DocumentError."""
    return of_content(json_document.content(name))


def of_content(content: bytes) -> Result:
    """Return the result that was in a file. Raises sealed.DocumentError."""
    return of_document(json_document.document(content, KIND, number=SCHEMA))


def of_document(document: Mapping[str, Any]) -> Result:
    """Return the result that a JSON object holds. Raises sealed.DocumentError if none was written so."""
    try:
        schema.check(document, "report")
        result = _result(document)
        _cross_check(document, result)
    except (ValueError, KeyError, TypeError, OverflowError, ArithmeticError) as error:
        raise json_document.DocumentError(str(error)) from error
    return result


def _result(document: Mapping[str, Any]) -> Result:
    partial = document["partial"] is True
    part = from_fields(document, in_line=not partial)
    if part.complete == partial:
        raise ValueError("not finished, though it says so" if not partial else "finished, though it says not")
    rows = tuple(_rank_row(row) for row in document["ranks"])
    in_line = from_fields({**document, "tally": document["in_line"]})
    if not partial and in_line != part and document["kernels_right"]:
        raise ValueError("in_line: is not the tally, though all units are counted")
    if in_line.tally.units > part.tally.units:
        raise ValueError("in_line: has more units than the tally")
    return Result(
        shard=in_line,
        tally=part.tally,
        usage=part.usage,
        ranks=rows,
        timeline=Timeline([_timeline_row(row, len(rows)) for row in document["rounds"]]),
        rounds=part.usage.rounds,
        kernels_right=document["kernels_right"] is True,
        mpi_library=_text(document["mpi_library"]),
        suspects=suspects(rows),
        timestamps={name: float(seconds) for name, seconds in document["marks"].items()},
        phases=_steps(document["steps"]),
        shards=_shards(document["shards"], part, len(rows)),
    )


def _steps(told: Mapping[str, Any]) -> dict[str, float]:
    if told and not set(phases.OWN) <= told.keys():
        raise ValueError("not all steps of rank 0 are there")
    return {name: amount(float, seconds) for name, seconds in told.items()}


def _shards(told: Sequence[Mapping[str, Any]], part: Shard, ranks: int) -> tuple[ShardSummary, ...]:
    shards = tuple(
        ShardSummary(amount(int, row["index"]), amount(int, row["ranks"]), spent_from_fields(row["spent"]))
        for row in told
    )
    if shards and (part.count > 1 or min(shard.ranks for shard in shards) < 1):
        raise ValueError("no such shards are possible")
    if shards and sum(shard.ranks for shard in shards) != ranks:
        raise ValueError("the ranks are not those of the shards")
    return shards


def _cross_check(document: Mapping[str, Any], result: Result) -> None:
    """Raise ValueError unless all that a result says twice agrees: tally, estimate, ranks and rounds.

    What this run has counted is in ranks and rounds; what runs before it have counted, in the tally alone.
    """
    _check_estimate(document, result)
    ranks, rounds = result.ranks, result.timeline.records
    if [row.rank for row in ranks] != list(range(len(ranks))):
        raise ValueError("ranks: are not numbered from 0 on")
    units, points = sum(row.units for row in ranks), sum(row.points for row in ranks)
    hits, alone = sum(row.hits for row in ranks), result.usage.runs == 1
    _check_sum("units", "ranks", units, "tally", result.tally.units, alone)
    _check_sum("points", "ranks", points, "tally", result.tally.points, alone)
    _check_sum("hits", "ranks", hits, "tally", result.tally.hits, alone)
    for place, row in enumerate(ranks):
        rate = document["ranks"][place]["points_per_second"]
        if not math.isclose(rate, row.points_per_second, rel_tol=1e-6):
            raise ValueError(f"ranks[{place}].points_per_second: is not its points over its count_seconds")
    if rounds:
        _check_rounds(result)


def _check_estimate(document: Mapping[str, Any], result: Result) -> None:
    """Raise ValueError unless the estimate is that of the tally, up to the last digits of its floats."""
    told, of_tally = document["estimate"], estimate_fields(result.estimate)
    if (told or {}).keys() != (of_tally or {}).keys():
        raise ValueError("estimate: is not that of the tally")
    for name, value in (of_tally or {}).items():
        if not _same(told[name], value):
            raise ValueError(f"estimate.{name}: {told[name]!r} is not {value!r}, as the tally has it")
    if document["verified"] is not result.verified:
        raise ValueError(f"verified: is not {str(result.verified).lower()}, as the tally has it")


def _same(told: Any, value: Any) -> bool:
    """Whether a value is what a document tells, up to the last digits of its floats."""
    if isinstance(value, dict):
        same_names = isinstance(told, dict) and told.keys() == value.keys()
        return same_names and all(_same(told[name], value[name]) for name in value)
    if isinstance(value, float):
        return math.isclose(told, value, rel_tol=1e-6, abs_tol=1e-9)
    return bool(told == value)


def _check_rounds(result: Result) -> None:
    """Raise ValueError unless the rounds follow on each other and add up to the ranks and the tally."""
    rounds, alone = result.timeline.records, result.usage.runs == 1
    number, now = 0, 0.0
    for place, row in enumerate(rounds):
        follows = number == row.first_round <= row.last_round and now <= row.start_seconds <= row.end_seconds
        if not follows:
            raise ValueError(f"rounds[{place}]: does not follow on the one before")
        if row.hits > sum(row.points.tolist()) or (row.lost_units > row.units).any():
            raise ValueError(f"rounds[{place}]: has more hits than points, or more lost units than units")
        number, now = row.last_round + 1, row.end_seconds
    _check_sum("rounds", "rounds", number, "spent", result.usage.rounds, alone)
    _check_sum("hits", "rounds", sum(row.hits for row in rounds), "tally", result.tally.hits, alone)
    for name in ("units", "points", "count_nanoseconds"):
        columns = zip(*(getattr(row, name).tolist() for row in rounds), strict=True)
        for rank, told in zip(result.ranks, map(sum, columns), strict=True):
            # A float tells the nanoseconds of up to a hundred days.
            own = round(rank.count_seconds * 1e9) if name == "count_nanoseconds" else getattr(rank, name)
            if not math.isclose(own, told, rel_tol=1e-9 if name == "count_nanoseconds" else 0):
                raise ValueError(f"ranks[{rank.rank}]: has {own} {name}, and its rounds together {told}")


def _check_sum(what: str, parts: str, total: int, where: str, known: int, exact: bool) -> None:
    """Raise ValueError if parts are more than the whole, or if `exact` less."""
    if total > known or (exact and total < known):
        raise ValueError(f"{parts}: have {total} {what} together, and {where} has {known}")


def _rank_row(row: Mapping[str, Any]) -> RankStats:
    member = RankInfo(*(_of_type(kind, row[name]) for name, kind in RankInfo.__annotations__.items()))
    own = {field.name: field.type for field in fields(RankStats) if field.name != "info"}
    return RankStats(info=member, **{name: _of_type(kind, row[name]) for name, kind in own.items()})


def _timeline_row(row: Mapping[str, Any], ranks: int) -> RoundRecord:
    def column(name: str, scale: float = 1) -> NDArray[np.int64]:
        values = np.array([round(amount(float, value) * scale) for value in row[name]], np.int64)
        if len(values) != ranks:
            raise ValueError(f"{name} has not a value for each rank")
        return values

    return RoundRecord(
        amount(int, row["first_round"]),
        amount(int, row["last_round"]),
        amount(float, row["start_seconds"]),
        amount(float, row["end_seconds"]),
        amount(int, row["hits"]),
        units=column("units"),
        points=column("points"),
        count_nanoseconds=column("count_seconds", 1e9),
        lost_units=column("lost_units"),
    )


def _of_type(kind: object, value: Any) -> Any:
    if kind is bool:
        return value is True
    return _text(value) if kind is str else amount(kind, value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is no text")
    return value
