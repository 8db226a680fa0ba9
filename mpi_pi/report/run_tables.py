"""Tables of the report of a run: a row for each host, and one for each rank."""

from collections.abc import Iterator, Mapping, Sequence

from mpi_pi.model.hosts import by_host
from mpi_pi.model.result import RankStats, Result
from mpi_pi.report.blocks import MAX_HOSTS, Table


def of_hosts(result: Result) -> Table:
    """Return the table of hosts; of a merged result, with a row for each host of each shard."""
    hosts, note = list(by_host(result).items()), ""
    if len(hosts) > MAX_HOSTS:
        half, what = MAX_HOSTS // 2, "hosts of shards" if result.shards else "hosts"
        note = f"{half} slowest and {half} fastest of {len(hosts)} {what}; --json FILE holds them all"
        hosts.sort(key=lambda host: sum(row.points_per_second for row in host[1]) / len(host[1]))
        hosts = hosts[:half] + hosts[-half:]
    total, has_lost = max(sum(row.points for row in result.ranks), 1), _has_lost_rows(result)
    cells = [
        _shard_cell(result, shard)
        | _host_cells(host, rows, total)
        | ({"lost": str(sum(row.rank in result.losses for row in rows))} if has_lost else {})
        for (shard, host), rows in hosts
    ]
    return _table(cells, note)


def of_ranks(result: Result) -> Table:
    """Return the table of ranks; of a merged result, ranks are numbered from 0 on in each shard."""
    return _table([*_rank_cells(result)])


def _shard_cell(result: Result, shard: int | None) -> dict[str, str]:
    """Return the cell for the index of a shard; none if no shards were merged."""
    return {} if shard is None else {"shard": f"{shard}/{len(result.shards)}"}


def _host_cells(host: str, rows: Sequence[RankStats], total_points: int) -> dict[str, str]:
    points, count = sum(row.points for row in rows), sum(row.count_seconds for row in rows)
    wait, rate = sum(row.wait_seconds for row in rows), sum(row.points_per_second for row in rows)
    return {
        "host": host,
        "ranks": str(len(rows)),
        "threads": str(sum(row.info.threads for row in rows)),
        "units": str(sum(row.units for row in rows)),
        "points": str(points),
        "share": f"{100 * points / total_points:.1f}%",
        "seconds": f"{max(row.count_seconds for row in rows):.4f}",
        "idle": f"{wait / len(rows):.4f}",
        "points/s": f"{rate:.4e}" if rate else "-",
        "ideal": _ideal(count, wait),
    }


def _rank_cells(result: Result) -> Iterator[dict[str, str]]:
    """Generate the cells of each rank; `lost` is when it was lost, in seconds since the first round began."""
    has_lost = _has_lost_rows(result)
    for row in result.ranks:
        repair, place = result.losses.get(row.rank), result.shard_of(row.rank)
        shard = result.shards[place].index if result.shards else None
        yield _shard_cell(result, shard) | {
            "rank": str(row.rank - result.first_ranks[place]),
            "host": row.info.host,
            "threads": str(row.info.threads),
            "units": str(row.units),
            "points": str(row.points),
            "seconds": f"{row.count_seconds:.4f}",
            "wait": f"{row.wait_seconds:.4f}",
            "points/s": f"{row.points_per_second:.4e}" if row.points_per_second else "-",
            "ideal": _ideal(row.count_seconds, row.wait_seconds),
            "off": f"{row.standard_errors:+.2f}",
            "MB": f"{row.peak_memory_bytes / 1e6:.0f}",
            **({"lost": f"{repair.seconds:.4f}" if repair else "-"} if has_lost else {}),
        }


def _has_lost_rows(result: Result) -> bool:
    return any(row.rank in result.losses for row in result.ranks)


def _ideal(count_seconds: float, wait_seconds: float) -> str:
    """Return the share of the rounds spent counting; ideally all of it."""
    seconds = count_seconds + wait_seconds
    return f"{100 * count_seconds / seconds:.1f}%" if seconds > 0 else "-"


def _table(rows: Sequence[Mapping[str, str]], note: str = "") -> Table:
    return Table(rows, numbers=rows[0].keys() - {"host"}, note=note)
