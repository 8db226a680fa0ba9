"""A result as text for people. Returns strings; prints nothing.

The lines of the text are an interface: `name = value`, one a line, grepped by people and parsed by scripts.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mpi_pi.formatting import format_probability, kernel_label, number_of
from mpi_pi.model import verdict
from mpi_pi.model.estimate import Estimate
from mpi_pi.model.goodness import MIN_EXPECTED
from mpi_pi.model.result import RankInfo, RankStats, Result, ShardSummary
from mpi_pi.model.shard import Shard
from mpi_pi.report.table import table
from mpi_pi.system import phases
from mpi_pi.version import STREAM_VERSION, __version__

MAX_HOSTS = 20
"""Hosts that are listed one by one in the text, half of them the slowest."""

UNKNOWN = "unknown"
"""What is said instead of a number that was not measured; in tables it is a dash."""


def head(
    work: Shard, members: Sequence[RankInfo], mpi_library: str, shards: Sequence[ShardSummary] = ()
) -> str:
    """What is about to be done, and by whom: enough to do it again, should it end badly.

    Or what has been done in shards.
    """
    job = work.job
    hosts = number_of(len({member.host for member in members}), "host")
    lines = [
        f"mpi-pi = {__version__}, stream {STREAM_VERSION}",
        f"MPI = {mpi_library}",
        f"Ranks = {_ranks_of(shards) or len(members)} on {hosts}",
        f"Threads = {_kinds(str(member.threads) for member in members)} for each rank",
        f"Placement = {_kinds((member.placement for member in members), '; ')}",
        f"Kernel = {_kinds(kernel_label(member.kernel, member.kernel_target) for member in members)}",
        f"CPU = {_kinds(member.cpu for member in members)}",
        f"Seed = {job.seed}",
        f"Trials = {job.trials}",
        f"Points per trial = {job.points}",
    ]
    if shards:
        lines.append(f"Shards = {len(shards)}, merged")
    if work.count > 1:
        lines.append(
            f"Shard = {work.index}/{work.count}, {work.units.stop - work.units.start} of {job.units} units"
        )
    if work.complete:
        lines.append(f"Counted before = all points, in {number_of(work.usage.runs, 'run')}")
    elif work.usage.runs:
        done = _share(work.tally.points, work.points)
        lines.append(f"Resumed = {number_of(work.usage.runs, 'time')}, {done} counted before")
    return "\n".join(lines) + "\n\n"


def _ranks_of(shards: Sequence[ShardSummary]) -> str:
    """How many ranks the shards had, which need not have run at the same time; empty without shards."""
    if not shards:
        return ""
    least, most = min(shard.ranks for shard in shards), max(shard.ranks for shard in shards)
    return f"{least if least == most else f'{least} to {most}'} in each of {len(shards)} shards"


def text(result: Result, per_rank: bool = False) -> str:
    """The report for people, below the head."""
    spent = result.usage
    parts = [_answer(result), _timing(result), *_steps(result), _hosts(result)]
    if per_rank:
        parts.append(_table(_rank_lines(result)))
    clocks = (("real", spent.real_seconds), ("user", spent.user_seconds), ("sys", spent.system_seconds))
    parts.append("\n".join(f"{name}\t{_clock(seconds)}" for name, seconds in clocks))
    return "\n\n".join(parts) + "\n"


def _answer(result: Result) -> str:
    lines = []
    if result.partial:
        lines += _progress(result)
    estimate = result.estimate
    if estimate is None:
        return "\n".join([*lines, "No points were counted: there is no estimate."])
    lines += [
        f"pi = 4*({estimate.hits}/{estimate.points}) = {estimate.pi}",
        f"The value of Pi is estimated to be {estimate.pi} using {estimate.points} points",
        f"Standard error = {estimate.standard_error:.3g}",
        f"Distance from pi = {estimate.standard_errors:+.3f} standard errors",
        f"Dispersion = {_dispersion(estimate)}",
        f"Goodness of fit = {_fit(estimate)}",
        *_farthest(result.ranks),
        f"Correct digits = {estimate.correct_digits}",
    ]
    if not result.kernels_right:
        lines.append("Known answers = a kernel got them wrong after the run")
    lines.append(f"Verification = {'SUCCESSFUL' if result.verified else 'UNSUCCESSFUL'}")
    lines += [f"Reason = {reason}" for reason in result.reasons]
    return "\n".join(lines)


def _dispersion(estimate: Estimate) -> str:
    over = f"chi-squared {estimate.chi_squared:.6g} over {number_of(estimate.units, 'unit')}"
    if estimate.dispersion_bound is None:
        return f"{over}, not judged: it repeats the distance"
    return f"{over}, p-value {format_probability(estimate.p_value, estimate.lower_p_value)}"


def _fit(estimate: Estimate) -> str:
    fit = estimate.fit
    if fit is None:
        return f"not judged: fewer than {MIN_EXPECTED} units expected in a bin"
    over = f"chi-squared {fit.chi_squared:.6g} over {fit.bins} bins of {fit.units} units"
    return f"{over}, p-value {format_probability(fit.p_value, 1 - fit.p_value)}"


def _farthest(rows: Sequence[RankStats]) -> Iterator[str]:
    """Whose hits are farthest off their expectation, where several have counted."""
    for name, shares in zip(("ranks", "hosts"), verdict.shares(rows), strict=True):
        if len(shares.points) > 1:
            who, errors = shares.farthest()
            yield f"Hits of {name} = {who} is farthest off, by {errors:+.3f} standard errors"


def _progress(result: Result) -> list[str]:
    """How far a run has got that was stopped before its end."""
    lines = [f"Partial = {_share(result.tally.points, result.shard.points)}"]
    if result.points_beyond > 0:
        lines += [
            f"In line = {_share(result.shard.tally.points, result.shard.points)}, where another run goes on",
            f"Beyond = {result.points_beyond} points, which that run counts again: {why_again(result)}",
        ]
    return lines


def why_again(result: Result) -> str:
    """Why what was counted beyond the first units is not kept for another run."""
    if not result.kernels_right:
        return "a kernel got known answers wrong"
    if result.points_beyond <= 0:
        return "they could not be saved"
    return "there is a gap before them, where a rank was stopped in the midst of its share"


def _timing(result: Result) -> str:
    """The times of this run, but for the total and the first two rates, which are of all runs together."""
    rows, spent = result.ranks, result.usage
    compiled = sum(row.kernel_source == "compiled" for row in rows)
    how = f"compiled on {number_of(compiled, 'rank')}" if compiled else "nothing compiled"
    # Shards may have run one after the other.
    shards, of_shards = [shard.usage.round_seconds for shard in result.shards], ""
    if shards:
        of_shards = f" (longest of {len(shards)} shards)"
    lines = [
        f"Start-up = {max(row.startup_seconds for row in rows):.4f} s (imports and MPI_Init; slowest rank)",
        f"Kernel load = {max(row.kernel_seconds for row in rows):.4f} s ({how}; slowest rank)",
        (
            f"Count = {max(row.count_seconds for row in rows):.4f} s"
            f" (slowest rank; {number_of(result.rounds, 'round')})"
        ),
        f"Reduce and wait = {sum(row.wait_seconds for row in rows) / len(rows):.4f} s (mean rank)",
        f"Total = {spent.real_seconds:.4f} s{of_shards}",
        (
            f"Rate = {_rate(result.tally.points, sum(shards) if shards else spent.round_seconds)} points/s"
            f"{' (of a shard, in the mean)' if shards else ''}"
        ),
        f"Rate per core = {_rate(result.tally.points, spent.core_seconds)} points/s while counting",
        f"Rate of ranks = {_rates(rows)}",
    ]
    if spent.runs > 1 and not result.shards:
        lines.append(
            f"Runs = {spent.runs}: of all of them are the answer, Total, Rate, Rate per core, real, user and"
            " sys; of the last one alone all other times and rates, and the tables"
        )
    return "\n".join(lines)


def _rates(rows: Sequence[RankStats]) -> str:
    """Of the ranks that had anything to count."""
    rates = sorted(row.points_per_second for row in rows if row.points_per_second)
    if not rates:
        return UNKNOWN
    idle = len(rows) - len(rates)
    left_out = f" ({number_of(idle, 'rank')} had nothing to count)" if idle else ""
    mean = sum(rates) / len(rates)
    return f"{rates[0]:.4e} slowest, {mean:.4e} mean, {rates[-1]:.4e} fastest points/s{left_out}"


def _rate(points: int, seconds: float) -> str:
    """Points per second; of no time there is none."""
    return f"{points / seconds:.4e}" if seconds > 0 else UNKNOWN


def _steps(result: Result) -> Iterator[str]:
    """Where the time of rank 0 went, if that is known."""
    if not result.phases:
        return
    lines = []
    if "launcher" in result.phases:
        before = f"{result.phases['launcher']:.4f} s (its start to that of rank 0; not in Total)"
        lines.append(f"Launcher = {before}")
    elif len(result.ranks) > 1:
        lines.append(f"Launcher = {UNKNOWN} (it is no parent process of rank 0; not in Total)")
    for name, what in phases.OWN.items():
        lines.append(f"Rank 0, {name} = {result.phases[name]:.4f} s{f' ({what})' if what else ''}")
    lines.append(f"Rank 0, sum = {phases.sum_of_own(result.phases):.4f} s ({_is_total(result)})")
    lines.append(f"Rank 0, saving = {result.phases['saving']:.4f} s (checkpoint and files; not in Total)")
    yield "\n".join(lines)


def _is_total(result: Result) -> str:
    return "Total" if result.usage.runs == 1 else "of this run; Total is of all runs"


def _hosts(result: Result) -> str:
    """The hosts; of merged shards, those of each shard."""
    groups: dict[tuple[str, str], list[RankStats]] = {}
    for shard, row in _with_shards(result):
        groups.setdefault((shard, row.info.host), []).append(row)
    total = max(sum(row.points for row in result.ranks), 1)
    lines = [
        ({"shard": shard} if shard else {}) | _host_line(host, of_host, total)
        for (shard, host), of_host in groups.items()
    ]
    if len(lines) <= MAX_HOSTS:
        return _table(lines)
    # Those that have counted nothing come first.
    slowest_first = sorted(
        lines, key=lambda line: float(line["points/s"].strip("-") or 0) / int(line["ranks"])
    )
    half = MAX_HOSTS // 2
    what = "hosts of shards" if result.shards else "hosts"
    return (
        _table(slowest_first[:half] + slowest_first[-half:])
        + f"\n({half} slowest and {half} fastest of {len(lines)} {what}; --json FILE holds them all)"
    )


def _with_shards(result: Result) -> Iterator[tuple[str, RankStats]]:
    """The ranks, each with its shard, or with "" if no shards were merged."""
    shards = (f"{shard.index}/{len(result.shards)}" for shard in result.shards for _ in range(shard.ranks))
    return zip(shards if result.shards else itertools.repeat(""), result.ranks, strict=False)


def _host_line(host: str, rows: Sequence[RankStats], total_points: int) -> dict[str, str]:
    points, count = sum(row.points for row in rows), sum(row.count_seconds for row in rows)
    wait = sum(row.wait_seconds for row in rows)
    rate = sum(row.points_per_second for row in rows)
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


def _rank_lines(result: Result) -> Iterator[dict[str, str]]:
    """A line for each rank; those of a shard are counted from 0."""
    for shard, group in itertools.groupby(_with_shards(result), key=lambda pair: pair[0]):
        for rank, (_, row) in enumerate(group):
            yield ({"shard": shard} if shard else {}) | _rank_line(replace(row, rank=rank))


def _rank_line(row: RankStats) -> dict[str, str]:
    return {
        "rank": str(row.rank),
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
    }


def _ideal(count_seconds: float, wait_seconds: float) -> str:
    """The share of the rounds spent counting; ideally all of it."""
    seconds = count_seconds + wait_seconds
    return f"{100 * count_seconds / seconds:.1f}%" if seconds > 0 else "-"


def _table(lines: Iterable[dict[str, str]]) -> str:
    """Of numbers, but for the host."""
    lines = list(lines)
    return table(lines, numbers=lines[0].keys() - {"host"})


def _kinds(values: Iterable[str], between: str = ", ") -> str:
    """The distinct values in the order of the ranks, the first few of them."""
    kinds = list(dict.fromkeys(values))
    more = f" and {len(kinds) - 3} more kinds" if len(kinds) > 3 else ""
    return between.join(kinds[:3]) + more


def _clock(seconds: float) -> str:
    """As bash's `time` writes it: 0m11.485s."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes}m{milliseconds / 1000:.3f}s"


def _share(points: int, of: int) -> str:
    return f"{points} of {of} points ({100 * points / of:.3g} %)"
