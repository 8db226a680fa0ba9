"""JSON fields of a shard: what checkpoints keep, and what results of shards are merged from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from mpi_pi.model.goodness import BINS
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Sums, Tally, centre
from mpi_pi.version import STREAM_VERSION


def as_fields(part: Shard) -> dict[str, Any]:
    """A part as the fields of a JSON object; `from_fields` undoes it. A seed may be too long for a number."""
    job = part.job
    return {
        "stream_version": STREAM_VERSION,
        "job": {"trials": job.trials, "points_per_trial": job.points, "seed": str(job.seed)},
        "shard": {"index": part.index, "of": part.count},
        "tally": rows(part.tally),
        "spent": asdict(part.usage),
    }


def rows(tally: Tally) -> list[dict[str, int]]:
    """A tally as JSON, a row for each size of unit."""
    return [{"unit_points": points, **sums._asdict()} for points, sums in sorted(tally.by_size.items())]


def from_fields(document: Mapping[str, Any], in_line: bool = True) -> Shard:
    """The part that a JSON object holds. Raises ValueError, saying why, if that could not have been written.

    A part of another stream version is refused too: its hits are not those of this program. `in_line` tells
    whether the units counted have to be the first ones, for a run to go on from.
    """
    try:
        version = _integer(document["stream_version"])
        if version != STREAM_VERSION:
            raise ValueError(f"has stream version {version}, not {STREAM_VERSION}: its hits are others")
        job, shard, spent = document["job"], document["shard"], document["spent"]
        part = Shard(
            Job(_integer(job["trials"]), _integer(job["points_per_trial"]), _digits(job["seed"])),
            _integer(shard["index"]),
            _integer(shard["of"]),
            Tally(_by_unit_points(document["tally"])),
            spent_from_fields(spent),
        )
        _check_tally(part, in_line)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return part


def _by_unit_points(rows: Sequence[Mapping[str, Any]]) -> dict[int, Sums]:
    sums = {_integer(row["unit_points"]): _sums(row) for row in rows}
    if len(sums) < len(rows):
        raise ValueError("a size of unit has two rows in the tally")
    return sums


def _sums(row: Mapping[str, Any]) -> Sums:
    """The sums in a row of a tally. In a checkpoint of a program that had no bins, it has none."""
    bins = tuple(_integer(number) for number in row.get("bins", ()))
    sums = Sums(_integer(row["units"]), _integer(row["hits"]), _integer(row["squares"]), bins)
    if bins and (len(bins) != BINS or min(bins) < 0 or sum(bins) > sums.units):
        raise ValueError("no such bins are possible")
    return sums


def spent_from_fields(spent: Mapping[str, Any]) -> Usage:
    """What a JSON object says that runs have cost. Raises KeyError and TypeError."""
    return Usage(**{field.name: amount(field.type, spent[field.name]) for field in fields(Usage)})


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no integer")
    return value


def _digits(value: Any) -> int:
    if type(value) is not str or not (value.isascii() and value.isdigit()):
        raise TypeError(f"{value!r} is no row of digits")
    return int(value)


def amount(kind: object, value: Any) -> Any:
    """The value, if it is a number of that type (int or float) that a run can have; otherwise TypeError."""
    fits = (
        type(value) is int and value < 1 << 128
        if kind is int
        else type(value) in (int, float) and value < 1e15
    )
    if not fits or value < 0:
        raise TypeError(f"{value!r} is no amount")
    return value


def _check_tally(part: Shard, in_line: bool) -> None:
    """Raise ValueError unless the tally can be one of the part's units; if `in_line`, of its first ones."""
    job, units = part.job, part.units
    of_size = _by_size(job, units)
    counted = {points: sums.units for points, sums in part.tally.by_size.items()}
    if part.tally.units > units.stop - units.start:
        raise ValueError("more units are counted than there are")
    if any(not 0 < number <= of_size[points] for points, number in counted.items()):
        raise ValueError("the units counted are not those of the job")
    if in_line and counted != +_by_size(job, range(units.start, units.start + part.tally.units)):
        raise ValueError("the units counted are not the first ones")
    for points, (number, hits, squares, _) in part.tally.by_size.items():
        off, farthest = hits - number * centre(points), max(centre(points), points - centre(points))
        if not (0 <= hits <= number * points and off * off <= squares * number <= (number * farthest) ** 2):
            raise ValueError("no such hits are possible")


def _by_size(job: Job, units: range) -> Counter[int]:
    """How many units of each size there are in a range."""
    last_blocks = units.stop // job.blocks - units.start // job.blocks
    sizes = Counter({job.last_block: last_blocks})
    sizes[job.unit_points(0)] += units.stop - units.start - last_blocks
    return sizes
