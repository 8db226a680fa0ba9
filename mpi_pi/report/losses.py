"""Lines of the report of a run on ranks that were lost or excluded, and on what was counted anew."""

from collections.abc import Iterator, Sequence

from mpi_pi.formatting import format_percent, format_some, number_of
from mpi_pi.model.result import Repair, Result
from mpi_pi.report.blocks import Line

MAX_REPAIRS = 10
"""Repairs that have a line each."""

MAX_NAMED = 10
"""Hosts of a line, and numbers and spans of ranks on a host, that are named."""


def lines(result: Result) -> Iterator[Line]:
    """Generate the lines on losses and exclusions of ranks; none if there were none."""
    repairs = result.repairs
    if not repairs:
        return
    for name, those in (
        ("Lost", [repair for repair in repairs if repair.lost]),
        ("Excluded", [repair for repair in repairs if repair.excluded]),
    ):
        for repair in those[:MAX_REPAIRS]:
            yield name, f"{_who(result, repair)} {_when(result, repair)}"
        if more := those[MAX_REPAIRS:]:
            ranks = number_of(sum(len(repair.ranks) for repair in more), "more rank")
            yield name, f"{ranks}, at {number_of(len(more), 'later time')}; --json FILE holds them all"
    points = sum(repair.redone_points for repair in repairs)
    share = format_percent(points, max(result.tally.points, 1))
    cost = f"{sum(repair.cost_seconds for repair in repairs):.4f} s"
    yield "Redone", f"{points} points ({share}); {number_of(len(repairs), 'repair')} cost {cost}"


def _who(result: Result, repair: Repair) -> str:
    """Return the ranks of a repair, by host; those of each merged shard are numbered from 0."""
    first = result.first_ranks[result.shard_of(repair.ranks[0].rank)]
    by_host: dict[str, list[int]] = {}
    for lost in sorted(repair.ranks):
        by_host.setdefault(lost.host, []).append(lost.rank - first)
    groups = [
        f"{_ranks(ranks)} {f'on host {host}' if host else '(host unknown)'}"
        for host, ranks in by_host.items()
    ]
    return format_some(groups, MAX_NAMED) + (" hosts" if len(groups) > MAX_NAMED else "")


def _ranks(ranks: Sequence[int]) -> str:
    """Return ascending numbers of ranks: `rank 3`, `ranks 0, 1, 4 to 7`."""
    spans: list[list[int]] = []
    for rank in ranks:
        if spans and rank == spans[-1][-1] + 1:
            spans[-1].append(rank)
        else:
            spans.append([rank])
    texts = [f"{span[0]} to {span[-1]}" if len(span) > 2 else ", ".join(map(str, span)) for span in spans]
    more = sum(map(len, spans[MAX_NAMED:]))
    return f"rank{'s' if len(ranks) > 1 else ''} {format_some(texts, MAX_NAMED, MAX_NAMED + more)}"


def _when(result: Result, repair: Repair) -> str:
    place = result.shard_of(repair.ranks[0].rank)
    of_shard = f" of shard {result.shards[place].index}/{len(result.shards)}" if result.shards else ""
    with_row = {row.rank for row in result.ranks}
    if not any(lost.rank in with_row for lost in repair.ranks):
        return f"before the first round{of_shard}"
    is_over = repair.round >= result.rounds_of(place)
    round_ = "after the last round" if is_over else f"in round {repair.round}"
    return f"after {repair.seconds:.4f} s, {round_}{of_shard}"
