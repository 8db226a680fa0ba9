"""Lines of the report of a run on its audit, and messages on ranks that count wrongly."""

from collections.abc import Iterator

from mpi_pi.formatting import format_cores, format_some, number_of
from mpi_pi.model.audit import Audit, Unsettled, WrongRank
from mpi_pi.model.result import Result
from mpi_pi.report.blocks import Line

MAX_NAMED = 10
"""Ranks that are named."""


def lines(result: Result) -> Iterator[Line]:
    """Generate the lines on the audit; none if the run was not audited."""
    audit = result.audit
    if audit is None:
        return
    units, recounted = result.tally.units, result.usage.recounted_units
    if units and result.shard.proven.units == units:
        what = "every unit counted by two ranks, so that the answer trusts no single core"
    else:
        what = f"{_percent(min(recounted, units), units)} of units recounted"
    ranks = len(result.ranks)
    names = [_name(result, rank) for rank in audit.wrong]
    named = f" ({format_some(names, MAX_NAMED, separator='; ')})" if names else ""
    yield "Audit", f"{what}, {len(names)} of {number_of(ranks, 'rank')} wrong{named}"


def _name(result: Result, rank: WrongRank) -> str:
    """Return a rank that is wrong; those of each merged shard are numbered from 0."""
    number = rank.rank - result.first_ranks[result.shard_of(rank.rank)]
    units = f"{rank.wrong_units} of {number_of(rank.compared_units, 'unit')}"
    what = "known answers" if rank.unit is None else units
    return f"{rank.host} rank {number} {format_cores(rank.cores)}: {what}"


def _percent(part: int, whole: int) -> str:
    """Return a share with two digits or more: `1.0%`, `0.025%`, `12.5%`."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.1f}%" if share >= 1 or not share else f"{share:.2g}%"


def messages(audit: Audit, already_told: int) -> Iterator[str]:
    """Generate messages on what an audit has found, but for the first ranks, so many of them."""
    for rank in audit.wrong[already_told:]:
        yield f"{_who(rank)} {_what(rank)}; it counts no more, and others count its units again"
    for unsettled in audit.unsettled:
        yield on_unsettled(unsettled)


def _who(rank: WrongRank) -> str:
    return f"host {rank.host}: rank {rank.rank}, {format_cores(rank.cores)},"


def _what(rank: WrongRank) -> str:
    if rank.unit is None:
        return "gets known answers wrong"
    several = (
        f", and wrong hits in {number_of(rank.wrong_units - 1, 'more unit')}" if rank.wrong_units > 1 else ""
    )
    return f"counted {rank.counted} hits in unit {rank.unit}, which has {rank.right}{several}"


def on_unsettled(unsettled: Unsettled) -> str:
    """Return the message on ranks that differ, if nobody can tell which of them is wrong."""
    those = [
        f"rank {each.rank} on host {each.host}, {format_cores(each.cores)}, counted {each.hits} hits"
        for each in unsettled.opinions
    ]
    return f"unit {unsettled.unit}: {'; '.join(those)}; nobody can tell which is right"
