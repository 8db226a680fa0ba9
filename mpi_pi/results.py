"""A result as it was, from the JSON that `--json` made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_pi import report, sealed, steps
from mpi_pi.part import Part, amount, from_fields, spent_from_fields
from mpi_pi.result import Member, RankRow, Result, Shard, Timeline, TimelineRow
from mpi_pi.verdict import suspects


def read(name: str) -> Result:
    """The result in a file. Raises sealed.Unreadable."""
    return of_document(sealed.read_existing(Path(name), report.KIND, report.SCHEMA))


def of_document(document: Mapping[str, Any]) -> Result:
    """The result that a JSON object holds. Raises sealed.Unreadable if that could not have been written."""
    try:
        return _result(document)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise sealed.Unreadable(str(error)) from error


def _result(document: Mapping[str, Any]) -> Result:
    partial = document["partial"] is True
    part = from_fields(document, in_line=not partial)
    if part.finished == partial:
        raise ValueError("not finished, though it says so" if not partial else "finished, though it says not")
    rows = tuple(_rank_row(row) for row in document["ranks"])
    if not rows:
        raise ValueError("no ranks")
    in_line = from_fields({**document, "tally": document["in_line"]})
    if not partial and in_line != part and document["kernels_right"]:
        raise ValueError("not all units counted follow on each other")
    return Result(
        part=in_line,
        tally=part.tally,
        spent=part.spent,
        ranks=rows,
        timeline=Timeline([_timeline_row(row, len(rows)) for row in document["rounds"]]),
        rounds=part.spent.rounds,
        kernels_right=document["kernels_right"] is True,
        mpi_library=_text(document["mpi_library"]),
        suspects=suspects(rows),
        marks={name: float(seconds) for name, seconds in document["marks"].items()},
        steps=_steps(document["steps"]),
        shards=_shards(document["shards"], part, len(rows)),
    )


def _steps(told: Mapping[str, Any]) -> dict[str, float]:
    if told and not set(steps.OWN) <= told.keys():
        raise ValueError("not all steps of rank 0 are there")
    return {name: amount(float, seconds) for name, seconds in told.items()}


def _shards(told: Sequence[Mapping[str, Any]], part: Part, ranks: int) -> tuple[Shard, ...]:
    shards = tuple(
        Shard(amount(int, row["index"]), amount(int, row["ranks"]), spent_from_fields(row["spent"]))
        for row in told
    )
    if shards and (part.of > 1 or min(shard.ranks for shard in shards) < 1):
        raise ValueError("no such shards are possible")
    if shards and sum(shard.ranks for shard in shards) != ranks:
        raise ValueError("the ranks are not those of the shards")
    return shards


def _rank_row(row: Mapping[str, Any]) -> RankRow:
    member = Member(*(_of_type(kind, row[name]) for name, kind in Member.__annotations__.items()))
    own = {field.name: field.type for field in fields(RankRow) if field.name != "member"}
    return RankRow(member=member, **{name: _of_type(kind, row[name]) for name, kind in own.items()})


def _timeline_row(row: Mapping[str, Any], ranks: int) -> TimelineRow:
    def column(name: str, scale: float = 1) -> NDArray[np.int64]:
        values = np.array([round(amount(float, value) * scale) for value in row[name]], np.int64)
        if len(values) != ranks:
            raise ValueError(f"{name} has not a value for each rank")
        return values

    return TimelineRow(
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
