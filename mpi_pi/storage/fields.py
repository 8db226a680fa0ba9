"""JSON fields that several documents, or rows, have in common: those of shards, audits and origins."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from mpi_pi.model.audit import Opinion, Unsettled, WrongRank
from mpi_pi.model.binomial import centre
from mpi_pi.model.goodness import BINS
from mpi_pi.model.job import Job
from mpi_pi.model.origin import Origin
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Sums, Tally
from mpi_pi.version import STREAM_VERSION

T = TypeVar("T")


def of_row(kind: type[T], row: Mapping[str, Any], **converted: Any) -> T:
    """Return an object of a class whose fields are members of a row, which may have others, too."""
    return kind(**{name: row[name] for name in kind.__annotations__ if name in row} | converted)


def as_fields(shard: Shard) -> dict[str, Any]:
    """Return a shard as members of a JSON object; the seed is text, as it may be too long for a number."""
    job = shard.job
    return {
        "stream_version": STREAM_VERSION,
        "job": {"trials": job.trials, "points_per_trial": job.points, "seed": str(job.seed)},
        "shard": {"index": shard.index, "of": shard.count},
        "tally": tally_rows(shard.tally),
        "gaps": [[gap.start, gap.stop] for gap in shard.gaps],
        "proven": tally_rows(shard.proven),
        "spent": asdict(shard.usage),
    }


def tally_rows(tally: Tally) -> list[dict[str, int]]:
    """Return a tally as JSON objects, one for each unit size."""
    return [{"unit_points": points, **sums._asdict()} for points, sums in sorted(tally.by_size.items())]


def from_fields(document: Mapping[str, Any], contiguous: bool = True) -> Shard:
    """Return the shard of a JSON object; raise ValueError, with the reason, if no run can have written it.

    A schema has seen to the types. Another stream version is refused, because its hits differ. With
    `contiguous`, the units counted have to be the first ones of the shard.
    """
    version, job, shard = document["stream_version"], document["job"], document["shard"]
    if version != STREAM_VERSION:
        raise ValueError(f"has stream version {version}, not {STREAM_VERSION}: its hits are others")
    read = Shard(
        Job(job["trials"], job["points_per_trial"], int(job["seed"])),
        shard["index"],
        shard["of"],
        _tally(document["tally"]),
        of_row(Usage, document["spent"]),
        tuple(range(*gap) for gap in document["gaps"]),
        _tally(document["proven"]),
    )
    _check_tally(read, contiguous)
    _check_gaps(read)
    return read


def audit_fields(wrong: Sequence[WrongRank], unsettled: Sequence[Unsettled]) -> dict[str, Any]:
    """Return what an audit has found as members of a JSON object."""
    return {
        "wrong": [rank._asdict() for rank in wrong],
        "unsettled": [
            {"unit": one.unit, "opinions": [opinion._asdict() for opinion in one.opinions]}
            for one in unsettled
        ],
    }


def audit_of(members: Mapping[str, Any]) -> tuple[tuple[WrongRank, ...], tuple[Unsettled, ...]]:
    """Return what an audit has found from members of a JSON object: wrong ranks, and unsettled disputes."""
    return tuple(of_row(WrongRank, row) for row in members["wrong"]), tuple(
        Unsettled(row["unit"], tuple(of_row(Opinion, opinion) for opinion in row["opinions"]))
        for row in members["unsettled"]
    )


def origin_fields(origin: Origin | None) -> dict[str, Any]:
    """Return the origin of a result as members of a JSON object; null where it is not told."""
    if origin is None:
        return dict.fromkeys((*Origin._fields, "command"))
    return origin._asdict() | {"argv": list(origin.argv), "command": origin.command}


def origin_of(row: Mapping[str, Any]) -> Origin | None:
    """Return the origin of a result from members of a JSON object; None where it is not told."""
    if row["date"] is None or row["argv"] is None:
        return None
    return of_row(Origin, row, argv=tuple(row["argv"]))


def without_audits(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of a version that had no audits, as one of this version."""
    spent = document.get("spent")
    added = {"spent": spent | {"recounted_units": 0}} if isinstance(spent, dict) else {}
    return {**document, **added, "gaps": [], "proven": []}


def _tally(rows: Sequence[Mapping[str, Any]]) -> Tally:
    sums = {row["unit_points"]: _sums(row) for row in rows}
    if len(sums) < len(rows):
        raise ValueError("a size of unit has two rows in the tally")
    return Tally(sums)


def _sums(row: Mapping[str, Any]) -> Sums:
    bins = tuple(row.get("bins", ()))  # old checkpoints have none
    if bins and (len(bins) != BINS or sum(bins) > row["units"]):
        raise ValueError("no such bins are possible")
    return Sums(row["units"], row["hits"], row["squares"], bins)


def _check_tally(shard: Shard, contiguous: bool) -> None:
    """Raise ValueError unless the tally is possible for units of the shard; `contiguous`: its first ones."""
    job, units = shard.job, shard.units
    counted = Counter({points: sums.units for points, sums in shard.tally.by_size.items()})
    if counted.total() > units.stop - units.start:
        raise ValueError("more units are counted than there are")
    if not counted <= _by_size(job, units):
        raise ValueError("the units counted are not those of the job")
    first = _by_size(job, range(units.start, shard.counted_to))
    for gap in shard.gaps:
        first -= _by_size(job, gap)
    if contiguous and counted != first:
        raise ValueError("the units counted are not the first ones")
    for points, (number, hits, squares, _) in shard.tally.by_size.items():
        excess, farthest = hits - number * centre(points), max(centre(points), points - centre(points))
        # By the Cauchy-Schwarz inequality excess² <= number * squares.
        if hits > number * points or not excess**2 <= squares * number <= (number * farthest) ** 2:
            raise ValueError("no such hits are possible")


def _check_gaps(shard: Shard) -> None:
    """Raise ValueError unless gaps are between units that were counted, and proven units before them."""
    job, stop = shard.job, shard.units.start
    for gap in shard.gaps:
        if not stop <= gap.start < gap.stop < shard.counted_to:
            raise ValueError("gaps: are not ranges between units that were counted")
        stop = gap.stop + 1
    if shard.counted_to > shard.units.stop:
        raise ValueError("gaps: more units are counted or left out than there are")
    proven, first_gap = shard.proven_units, shard.gaps[0].start if shard.gaps else shard.counted_to
    by_size = Counter({points: sums.units for points, sums in shard.proven.by_size.items()})
    if proven.stop > first_gap or by_size != _by_size(job, proven):
        raise ValueError("proven: are not the first units that were counted")
    rest = (shard.tally - shard.proven).by_size
    if any(sums.hits < 0 or sums.squares < 0 or min(sums.bins, default=0) < 0 for sums in rest.values()):
        raise ValueError("proven: has more than the tally")


def _by_size(job: Job, units: range) -> Counter[int]:
    """Return the number of units of each size in a range."""
    last_blocks = units.stop // job.blocks - units.start // job.blocks
    sizes = Counter({job.last_block: last_blocks})
    sizes[job.unit_points(0)] += units.stop - units.start - last_blocks
    return sizes
