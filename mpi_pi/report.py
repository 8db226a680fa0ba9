"""A result as text for people and as JSON for scripts. Returns strings; prints nothing.

The lines of the text are an interface: `name = value`, one a line, grepped by people and parsed by scripts.
The JSON is described by `report.schema.json` beside this file; its `schema` number changes whenever a reader
of the old one could fail on the new.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from mpi_pi import __version__
from mpi_pi.job import Job
from mpi_pi.reference import STREAM_VERSION
from mpi_pi.result import Member, RankRow, Result

SCHEMA = 1

MOST_HOSTS = 20
"""Hosts that are listed one by one in the text, half of them the slowest."""


def head(job: Job, members: Sequence[Member], mpi_library: str) -> str:
    """What is about to be done, and by whom: enough to do it again, should it end badly."""
    lines = "\n".join(
        [
            f"mpi-pi = {__version__}, stream {STREAM_VERSION}",
            f"MPI = {mpi_library}",
            f"Ranks = {len(members)} on {_number_of(len({member.host for member in members}), 'host')}",
            f"Kernel = {_kinds(' for '.join(filter(None, [m.kernel, m.kernel_target])) for m in members)}",
            f"CPU = {_kinds(member.cpu for member in members)}",
            f"Seed = {job.seed}",
            f"Trials = {job.trials}",
            f"Points per trial = {job.points}",
        ]
    )
    return lines + "\n\n"


def text(result: Result, real_seconds: float, per_rank: bool = False) -> str:
    """The report for people, below the head; `real_seconds` from the start of the process until now."""
    parts = [_answer(result), _timing(result, real_seconds), _hosts(result.ranks)]
    if per_rank:
        parts.append(_table(_rank_line(row) for row in result.ranks))
    user, system = _cpu_seconds(result)
    parts.append(f"real\t{_clock(real_seconds)}\nuser\t{_clock(user)}\nsys\t{_clock(system)}")
    return "\n\n".join(parts) + "\n"


def _answer(result: Result) -> str:
    lines = []
    if result.partial:
        done = result.tally.points
        share = 100 * done / result.job.total_points
        lines.append(f"Partial = {done} of {result.job.total_points} points ({share:.3g} %)")
    estimate = result.estimate
    if estimate is None:
        return "\n".join([*lines, "No points were counted: there is no estimate."])
    lines += [
        f"pi = 4*({estimate.hits}/{estimate.points}) = {estimate.pi}",
        f"The value of Pi is estimated to be {estimate.pi} using {estimate.points} points",
        f"Standard error = {estimate.standard_error:.3g}",
        f"Distance from pi = {estimate.standard_errors:+.3f} standard errors",
        (
            f"Dispersion = chi-squared {estimate.chi_squared:.6g} over {estimate.units} units,"
            f" p-value {estimate.p_value:.4g}"
        ),
        f"Correct digits = {estimate.correct_digits}",
    ]
    if not result.kernels_right:
        lines.append("Known answers = a kernel got them wrong after the run")
    lines.append(f"Verification = {'SUCCESSFUL' if result.verified else 'UNSUCCESSFUL'}")
    return "\n".join(lines)


def _timing(result: Result, real_seconds: float) -> str:
    rows = result.ranks
    count = sum(row.count_seconds for row in rows)
    rates = sorted(row.points_per_second for row in rows)
    compiled = sum(row.kernel_source == "compiled" for row in rows)
    how = f"compiled on {_number_of(compiled, 'rank')}" if compiled else "nothing compiled"
    return "\n".join(
        [
            f"Start-up = {max(row.startup_seconds for row in rows):.4f} s (imports and MPI_Init)",
            f"Kernel load = {max(row.kernel_seconds for row in rows):.4f} s ({how})",
            (
                f"Count = {max(row.count_seconds for row in rows):.4f} s"
                f" (slowest rank; {_number_of(result.rounds, 'round')})"
            ),
            f"Reduce and wait = {sum(row.wait_seconds for row in rows) / len(rows):.4f} s (mean rank)",
            f"Total = {real_seconds:.4f} s",
            f"Rate = {result.tally.points / max(result.seconds, 1e-9):.4e} points/s",
            f"Rate per core = {result.tally.points / max(count, 1e-9):.4e} points/s while counting",
            (
                f"Rate of ranks = {rates[0]:.4e} slowest, {sum(rates) / len(rates):.4e} mean,"
                f" {rates[-1]:.4e} fastest points/s"
            ),
        ]
    )


def _hosts(rows: Sequence[RankRow]) -> str:
    by_host: dict[str, list[RankRow]] = {}
    for row in rows:
        by_host.setdefault(row.member.host, []).append(row)
    lines = [_host_line(host, of_host) for host, of_host in by_host.items()]
    if len(lines) <= MOST_HOSTS:
        return _table(lines)
    slowest_first = sorted(lines, key=lambda line: float(line["points/s"]) / int(line["ranks"]))
    half = MOST_HOSTS // 2
    return (
        _table(slowest_first[:half] + slowest_first[-half:])
        + f"\n({half} slowest and {half} fastest of {len(lines)} hosts; --json FILE holds them all)"
    )


def _host_line(host: str, rows: Sequence[RankRow]) -> dict[str, str]:
    points, count = sum(row.points for row in rows), sum(row.count_seconds for row in rows)
    return {
        "host": host,
        "ranks": str(len(rows)),
        "units": str(sum(row.units for row in rows)),
        "points": str(points),
        "seconds": f"{max(row.count_seconds for row in rows):.4f}",
        "points/s": f"{sum(row.points_per_second for row in rows):.4e}",
        "ideal": _ideal(count, sum(row.wait_seconds for row in rows)),
    }


def _rank_line(row: RankRow) -> dict[str, str]:
    return {
        "rank": str(row.rank),
        "host": row.member.host,
        "units": str(row.units),
        "points": str(row.points),
        "seconds": f"{row.count_seconds:.4f}",
        "wait": f"{row.wait_seconds:.4f}",
        "points/s": f"{row.points_per_second:.4e}",
        "ideal": _ideal(row.count_seconds, row.wait_seconds),
        "MB": f"{row.peak_memory_bytes / 1e6:.0f}",
    }


def _ideal(count_seconds: float, wait_seconds: float) -> str:
    """The share of the rounds spent counting; ideally all of it."""
    return f"{100 * count_seconds / max(count_seconds + wait_seconds, 1e-9):.1f}%"


def _table(lines: Iterable[dict[str, str]]) -> str:
    """Columns aligned: the first to the left, numbers to the right."""
    lines = list(lines)
    names = list(lines[0])
    rows = [names, *(list(line.values()) for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if name == "host" else cell.rjust(width)
            for name, cell, width in zip(names, row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def _kinds(values: Iterable[str]) -> str:
    """The distinct values in the order of the ranks, the first few of them."""
    kinds = list(dict.fromkeys(values))
    more = f" and {len(kinds) - 3} more kinds" if len(kinds) > 3 else ""
    return ", ".join(kinds[:3]) + more


def _number_of(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _clock(seconds: float) -> str:
    """As bash's `time` writes it: 0m11.485s."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes}m{milliseconds / 1000:.3f}s"


def _cpu_seconds(result: Result) -> tuple[float, float]:
    rows = result.ranks
    return sum(row.user_seconds for row in rows), sum(row.system_seconds for row in rows)


def as_json(result: Result, real_seconds: float) -> str:
    """The report for scripts: one JSON object."""
    return json.dumps(_document(result, real_seconds), indent=1) + "\n"


def _document(result: Result, real_seconds: float) -> dict[str, Any]:
    user, system = _cpu_seconds(result)
    estimate = result.estimate
    return {
        "schema": SCHEMA,
        "program": "mpi-pi",
        "version": __version__,
        "stream_version": STREAM_VERSION,
        "mpi_library": result.mpi_library,
        "job": {
            "trials": result.job.trials,
            "points_per_trial": result.job.points,
            "seed": str(result.job.seed),
        },
        "partial": result.partial,
        "verified": result.verified,
        "kernels_right": result.kernels_right,
        "estimate": estimate and asdict(estimate),
        "tally": [
            {"unit_points": points, **sums._asdict()} for points, sums in sorted(result.tally.by_size.items())
        ],
        "seconds": {
            "real": real_seconds,
            "user": user,
            "system": system,
            "rounds": result.seconds,
        },
        "ranks": [_rank_object(row) for row in result.ranks],
        "rounds": [
            {
                "first_round": row.first_round,
                "last_round": row.last_round,
                "units": row.units.tolist(),
                "points": row.points.tolist(),
                "count_seconds": (row.count_nanoseconds / 1e9).tolist(),
            }
            for row in result.timeline.rows
        ],
    }


def _rank_object(row: RankRow) -> dict[str, Any]:
    numbers = {name: value for name, value in asdict(row).items() if name != "member"}
    return numbers | row.member._asdict() | {"points_per_second": row.points_per_second}
