"""The result of a whole job from the result files of its shards."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from mpi_pi.errors import UserError
from mpi_pi.formatting import format_some, printable
from mpi_pi.model.audit import Audit, Unsettled
from mpi_pi.model.result import Repair, Result, ShardSummary, Timeline
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Tally
from mpi_pi.model.verdict import suspects
from mpi_pi.storage import result_file
from mpi_pi.storage.json_document import DocumentError, read_all

MAX_NAMED = 10
"""Shards that a message names one by one."""


def merge(names: Sequence[str]) -> Result:
    """Return the result of the whole job, from one result file for each shard.

    Shards may have run one after the other or at once: wall times are those of the longest shard, and
    `Result.shards` has those of each. Raises UserError with a line for each problem.
    """
    results = read_all(names, _complete_result)
    if problems := _misfits([result.shard for result in results], list(map(printable, names))):
        raise UserError("\n".join(problems))
    return _merged(sorted(results, key=lambda result: result.shard.index))


def _complete_result(name: str) -> Result:
    result = result_file.read(name)
    if result.partial:
        raise DocumentError("not finished: that run was stopped before its end")
    return result


def _misfits(shards: Sequence[Shard], names: Sequence[str]) -> list[str]:
    """Return why shards, from files of these names, are not a whole job; a line for each problem."""
    first = shards[0]
    foreign = [
        f"{name}: of another job than {names[0]}: {differences}"
        for name, shard in zip(names, shards, strict=True)
        if (differences := replace(first, index=shard.index).differences(shard))
    ]
    if foreign:
        return foreign
    files: dict[int, list[str]] = {}
    for name, shard in zip(names, shards, strict=True):
        files.setdefault(shard.index, []).append(name)
    doubled = [
        f"{', '.join(same)}: all of shard {index}/{first.count}"
        for index, same in files.items()
        if len(same) > 1
    ]
    lacking = first.count - len(files)
    if not lacking:
        return doubled
    candidates = range(1, min(first.count, len(files) + MAX_NAMED) + 1)  # enough for the first MAX_NAMED
    missing = [f"{index}/{first.count}" for index in candidates if index not in files]
    return [*doubled, f"missing: shard {format_some(missing, MAX_NAMED, lacking)}"]


def _merged(results: Sequence[Result]) -> Result:
    usages = [result.usage for result in results]
    usage = replace(
        sum(usages, Usage()),
        real_seconds=max(usage.real_seconds for usage in usages),
        round_seconds=max(usage.round_seconds for usage in usages),
    )
    tally = sum((result.tally for result in results), Tally())
    started = [max({rank.rank for rank in result.ranks} | result.losses.keys()) + 1 for result in results]
    first_ranks = accumulate([0, *started])
    numbered = [_numbered_from(*pair) for pair in zip(first_ranks, results, strict=False)]
    ranks = tuple(rank for result in numbered for rank in result.ranks)
    shards = [
        ShardSummary(result.shard.index, len(result.ranks), result.usage, ranks_at_start, result.origin)
        for result, ranks_at_start in zip(results, started, strict=True)
    ]
    return Result(
        shard=Shard(results[0].job, tally=tally, usage=usage, proven=_proven(results)),
        tally=tally,
        usage=usage,
        ranks=ranks,
        timeline=Timeline(),
        rounds=usage.rounds,
        kernels_right=all(result.kernels_right for result in results),
        mpi_library=results[0].mpi_library,
        suspects=suspects(ranks),
        repairs=tuple(repair for result in numbered for repair in result.repairs),
        audit=_audit([result.audit for result in numbered if result.audit]),
        shards=tuple(shards) if len(results) > 1 else results[0].shards,
    )


def _numbered_from(first: int, result: Result) -> Result:
    """Return a result whose ranks are numbered from `first` on."""
    ranks = tuple(replace(row, rank=first + row.rank) for row in result.ranks)
    repairs, audit = tuple(_repair_from(first, repair) for repair in result.repairs), result.audit
    if audit:
        unsettled = tuple(
            Unsettled(one.unit, tuple(who._replace(rank=first + who.rank) for who in one.opinions))
            for one in audit.unsettled
        )
        wrong = tuple(rank._replace(rank=first + rank.rank) for rank in audit.wrong)
        audit = Audit(audit.share, wrong, unsettled)
    return replace(result, ranks=ranks, repairs=repairs, audit=audit)


def _repair_from(first: int, repair: Repair) -> Repair:
    lost, excluded = (
        tuple(rank._replace(rank=first + rank.rank) for rank in those)
        for those in (repair.lost, repair.excluded)
    )
    return replace(repair, lost=lost, excluded=excluded)


def _proven(results: Sequence[Result]) -> Tally:
    """Return the tally of the first units of the job that are proven, given its shards in order."""
    proven = Tally()
    for result in results:
        proven += result.shard.proven
        if result.shard.proven.units < result.tally.units:
            break
    return proven


def _audit(audits: Sequence[Audit]) -> Audit | None:
    """Return the audit of all shards together; None if none was audited."""
    if not audits:
        return None
    wrong = tuple(rank for audit in audits for rank in audit.wrong)
    unsettled = tuple(one for audit in audits for one in audit.unsettled)
    return Audit(min(audit.share for audit in audits), wrong, unsettled)
