"""Tables of the report of a run: a row for each host, and one for each rank."""

from collections.abc import Iterator, Mapping, Sequence

from mpi_pi.model.hosts import by_host
from mpi_pi.model.result import RankStats, Result
from mpi_pi.report.blocks import MAX_HOSTS, Cell, Table, number

UNITS = {"share": "%", "idle": "s", "wait": "s", "ideal": "%", "off": "standard errors"}
"""Units of columns, by name."""


def of_hosts(result: Result, whole: bool = False) -> Table:
    """Return the table of hosts; of a merged result, with a row for each host of each shard.

    Without `whole`, it has the slowest and the fastest of many hosts alone.
    """
    hosts, note = list(by_host(result).items()), ""
    if len(hosts) > MAX_HOSTS and not whole:
        half, what = MAX_HOSTS // 2, "hosts of shards" if result.shards else "hosts"
        note = f"{half} slowest and {half} fastest of {len(hosts)} {what}; --json FILE holds them all"
        hosts.sort(key=lambda host: sum(row.points_per_second for row in host[1]) / len(host[1]))
        hosts = hosts[:half] + hosts[-half:]
    total, has_lost = max(sum(row.points for row in result.ranks), 1), _has_lost_rows(result)
    cells = [
        _shard_cell(result, shard)
        | _host_cells(host, rows, total)
        | ({"lost": number(sum(row.rank in result.losses for row in rows))} if has_lost else {})
        for (shard, host), rows in hosts
    ]
    return _table(cells, note, "hosts", UNITS)


def of_ranks(result: Result) -> Table:
    """Return the table of ranks; of a merged result, ranks are numbered from 0 on in each shard."""
    return _table([*_rank_cells(result)], "", "ranks", {**UNITS, "lost": "s"})


def _shard_cell(result: Result, shard: int | None) -> dict[str, str]:
    """Return the cell for the index of a shard; none if no shards were merged."""
    return {} if shard is None else {"shard": Cell(f"{shard}/{len(result.shards)}", shard)}


def _host_cells(host: str, rows: Sequence[RankStats], total_points: int) -> dict[str, str]:
    points, count = sum(row.points for row in rows), sum(row.count_seconds for row in rows)
    wait, rate = sum(row.wait_seconds for row in rows), sum(row.points_per_second for row in rows)
    return {
        "host": host,
        "ranks": number(len(rows)),
        "threads": number(sum(row.info.threads for row in rows)),
        "units": number(sum(row.units for row in rows)),
        "points": number(points),
        "share": _percent(100 * points / total_points),
        "seconds": number(max(row.count_seconds for row in rows), ".4f"),
        "idle": number(wait / len(rows), ".4f"),
        "points/s": number(rate or None, ".4e"),
        "ideal": _ideal(count, wait),
    }


def _rank_cells(result: Result) -> Iterator[dict[str, str]]:
    """Generate the cells of each rank; `lost` is when it was lost, in seconds since the first round began."""
    has_lost = _has_lost_rows(result)
    for row in result.ranks:
        repair, place = result.losses.get(row.rank), result.shard_of(row.rank)
        shard = result.shards[place].index if result.shards else None
        yield _shard_cell(result, shard) | {
            "rank": number(row.rank - result.first_ranks[place]),
            "host": row.info.host,
            "threads": number(row.info.threads),
            "units": number(row.units),
            "points": number(row.points),
            "seconds": number(row.count_seconds, ".4f"),
            "wait": number(row.wait_seconds, ".4f"),
            "points/s": number(row.points_per_second or None, ".4e"),
            "ideal": _ideal(row.count_seconds, row.wait_seconds),
            "off": number(row.standard_errors, "+.2f"),
            "MB": number(row.peak_memory_bytes / 1e6, ".0f"),
            **({"lost": number(repair.seconds if repair else None, ".4f")} if has_lost else {}),
        }


def _has_lost_rows(result: Result) -> bool:
    return any(row.rank in result.losses for row in result.ranks)


def _ideal(count_seconds: float, wait_seconds: float) -> str:
    """Return the share of the rounds spent counting; ideally all of it."""
    seconds = count_seconds + wait_seconds
    return _percent(100 * count_seconds / seconds if seconds > 0 else None)


def _percent(value: float | None) -> Cell:
    return Cell("-", None) if value is None else Cell(f"{value:.1f}%", value)


def _table(rows: Sequence[Mapping[str, str]], note: str, title: str, units: Mapping[str, str]) -> Table:
    return Table(rows, rows[0].keys() - {"host"}, note, title, units)
