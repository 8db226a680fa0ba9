"""The result of a whole job from those of its shards."""

from collections.abc import Sequence
from dataclasses import replace

from mpi_pi.formatting import format_some, printable
from mpi_pi.model.result import Result, ShardSummary, Timeline
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Tally
from mpi_pi.model.verdict import suspects
from mpi_pi.storage import json_document, result_file

MAX_NAMED = 10
"""Shards that a message names one by one."""


class MergeError(Exception):
    """Results that do not make a whole; says which, and why, a line for each."""


def merge(names: Sequence[str]) -> Result:
    """The result of the whole job, from the files of the results of its shards, each once. Raises MergeError.

    Shards may have run one after the other, at once or in between: nothing is told of when. Wall times are
    those of the longest shard, and `Result.shards` has those of each.
    """
    results, problems = [], []
    for name in names:
        try:
            results.append(read(name))
        except json_document.DocumentError as error:
            problems.append(f"{printable(name)}: {error}")
    if not problems:
        problems = _misfits([result.shard for result in results], list(map(printable, names)))
    if problems:
        raise MergeError("\n".join(problems))
    return _whole(sorted(results, key=lambda result: result.shard.index))


def read(name: str) -> Result:
    """The result of a shard that is finished. Raises sealed.DocumentError."""
    result = result_file.read(name)
    if result.partial:
        raise json_document.DocumentError("not finished: that run was stopped before its end")
    return result


def _misfits(parts: Sequence[Shard], names: Sequence[str]) -> list[str]:
    """What keeps parts, from the files of those names, from being all shards of one job; a line for each."""
    first = parts[0]
    foreign = [
        f"{name}: of another job than {names[0]}: {differences}"
        for name, part in zip(names, parts, strict=True)
        if (differences := replace(first, index=part.index).differences(part))
    ]
    if foreign:
        return foreign
    files: dict[int, list[str]] = {}
    for name, part in zip(names, parts, strict=True):
        files.setdefault(part.index, []).append(name)
    doubled = [
        f"{', '.join(same)}: all of shard {index}/{first.count}"
        for index, same in files.items()
        if len(same) > 1
    ]
    lacking = first.count - len(files)
    if not lacking:
        return doubled
    candidates = range(1, min(first.count, len(files) + MAX_NAMED) + 1)
    missing = [f"{index}/{first.count}" for index in candidates if index not in files]
    return [*doubled, f"missing: shard {format_some(missing, MAX_NAMED, lacking)}"]


def _whole(results: Sequence[Result]) -> Result:
    spents = [result.usage for result in results]
    spent = replace(
        sum(spents, Usage()),
        real_seconds=max(spent.real_seconds for spent in spents),
        round_seconds=max(spent.round_seconds for spent in spents),
    )
    tally = sum((result.tally for result in results), Tally())
    rows = [row for result in results for row in result.ranks]
    ranks = tuple(replace(row, rank=rank) for rank, row in enumerate(rows))
    shards = [ShardSummary(result.shard.index, len(result.ranks), result.usage) for result in results]
    return Result(
        shard=Shard(results[0].job, tally=tally, usage=spent),
        tally=tally,
        usage=spent,
        ranks=ranks,
        timeline=Timeline(),
        rounds=spent.rounds,
        kernels_right=all(result.kernels_right for result in results),
        mpi_library=results[0].mpi_library,
        suspects=suspects(ranks),
        shards=tuple(shards) if len(results) > 1 else results[0].shards,
    )
