"""The report of a run: what was counted, how sure the answer is, and where the time went.

Its lines `name = value` are an interface: people grep for them, and scripts parse them.
"""

import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mpi_pi.formatting import (
    format_percent,
    format_probability,
    format_some,
    kernel_label,
    number_of,
    printable,
)
from mpi_pi.model import verdict
from mpi_pi.model.estimate import Estimate
from mpi_pi.model.goodness import MIN_EXPECTED
from mpi_pi.model.hosts import starved
from mpi_pi.model.origin import Origin
from mpi_pi.model.result import RankInfo, RankStats, Result, ShardSummary
from mpi_pi.model.shard import Shard
from mpi_pi.report import audit, losses, run_tables
from mpi_pi.report.blocks import Block, Line, Lines
from mpi_pi.system import phases
from mpi_pi.version import STREAM_VERSION, __version__

MAX_KINDS = 3
"""Distinct values of a property of ranks that are listed in the head."""

MAX_HOSTS_NAMED = 8
"""Hosts that a line names."""

UNKNOWN = "unknown"
"""Text for a number that was not measured; tables have a dash instead."""


def head(
    work: Shard,
    infos: Sequence[RankInfo],
    mpi_library: str,
    shards: Sequence[ShardSummary] = (),
    origin: Origin | None = None,
) -> Lines:
    """Return lines on what is counted, and by which ranks: enough to repeat a run, even one that fails.

    `shards` are those of a merged result.
    """
    job, usage, ranks = work.job, work.usage, str(len(infos))
    if shards:  # which need not have run at the same time
        least, most = min(shard.ranks for shard in shards), max(shard.ranks for shard in shards)
        ranks = f"{least if least == most else f'{least} to {most}'} in each of {len(shards)} shards"
    hosts = number_of(len({info.host for info in infos}), "host")
    lines = [
        ("mpi-pi", f"{__version__}, stream {STREAM_VERSION}"),
        *(_origin(origin) if origin else ()),
        ("MPI", mpi_library),
        ("Ranks", f"{ranks} on {hosts}"),
        ("Threads", f"{_kinds(str(info.threads) for info in infos)} for each rank"),
        ("Placement", _kinds((info.placement for info in infos), "; ")),
        ("Kernel", _kinds(kernel_label(info.kernel, info.kernel_target) for info in infos)),
        ("CPU", _kinds(info.cpu for info in infos)),
        ("Seed", str(job.seed)),
        ("Trials", str(job.trials)),
        ("Points per trial", str(job.points)),
    ]
    if shards:
        lines.append(("Shards", f"{len(shards)}, merged"))
    if work.count > 1:
        lines.append(("Shard", f"{work.index}/{work.count}, {len(work.units)} of {job.units} units"))
    if work.complete:
        lines.append(("Counted before", f"all points, in {number_of(usage.runs, 'run')}"))
    elif usage.runs:
        counted = _share(work.tally.points, work.points)
        lines.append(("Resumed", f"{number_of(usage.runs, 'time')}, {counted} counted before"))
    return Lines(lines)


def _origin(origin: Origin) -> Iterator[Line]:
    yield "Date", origin.date
    if origin.job_id:
        yield "Job", f"{origin.scheduler} {origin.job_id}"
    yield "Command", printable(origin.command)


def _kinds(values: Iterable[str], separator: str = ", ") -> str:
    """Return the distinct values in the order of the ranks, the first few of them."""
    kinds = list(dict.fromkeys(values))
    return format_some(kinds, MAX_KINDS, separator=separator) + (" kinds" if len(kinds) > MAX_KINDS else "")


def whole(result: Result, per_rank: bool = False) -> list[Block]:
    """Return head and report of a result; the head does not tell which points an earlier run counted."""
    shard = Shard(result.job, result.shard.index, result.shard.count)
    infos = [row.info for row in result.ranks]
    return [head(shard, infos, result.mpi_library, result.shards, result.origin), *blocks(result, per_rank)]


def blocks(result: Result, per_rank: bool = False) -> list[Block]:
    """Return the report that follows the head, if `per_rank` with a table of all ranks."""
    usage = result.usage
    seconds = {"real": usage.real_seconds, "user": usage.user_seconds, "sys": usage.system_seconds}
    return [
        Lines([*_answer(result), *audit.lines(result), *losses.lines(result)]),
        Lines([*_timing(result)]),
        *([Lines([*_phases(result)])] if result.phases else []),
        run_tables.of_hosts(result),
        *([run_tables.of_ranks(result)] if per_rank else []),
        Lines([(name, _clock(each)) for name, each in seconds.items()], separator="\t"),
    ]


def tables(result: Result) -> list[Block]:
    """Return the tables of all hosts and of all ranks."""
    return [run_tables.of_hosts(result, whole=True), run_tables.of_ranks(result)]


def _answer(result: Result) -> Iterator[Line]:
    estimate, points = result.estimate, result.shard.points
    if result.partial:
        yield "Partial", _share(result.tally.points, points)
    if result.partial and result.points_beyond > 0:
        yield "In line", f"{_share(result.shard.tally.points, points)}, where another run goes on"
        yield "Beyond", f"{result.points_beyond} points, which that run counts again: {why_again(result)}"
    if estimate is None:
        yield "No points were counted: there is no estimate."
        if result.ended_by_audit:
            yield from _verification(result)
        return
    yield "pi", f"4*({estimate.hits}/{estimate.points}) = {estimate.pi}"
    yield f"The value of Pi is estimated to be {estimate.pi} using {estimate.points} points"
    yield "Standard error", f"{estimate.standard_error:.3g}"
    yield "Distance from pi", f"{estimate.standard_errors:+.3f} standard errors"
    yield "Dispersion", _dispersion(estimate)
    yield "Goodness of fit", _fit(estimate)
    for name, shares in zip(("ranks", "hosts"), verdict.group_hits(result.ranks), strict=True):
        if len(shares.points) > 1:
            who, errors = shares.farthest()
            yield f"Hits of {name}", f"{who} is farthest off, by {errors:+.3f} standard errors"
    yield "Correct digits", str(estimate.correct_digits)
    if not result.kernels_right and not result.ended_by_audit:
        yield "Known answers", "a kernel got them wrong after the run"
    yield from _verification(result)


def _verification(result: Result) -> Iterator[Line]:
    yield "Verification", "SUCCESSFUL" if result.verified else "UNSUCCESSFUL"
    yield from (("Reason", reason) for reason in result.reasons)


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


def why_again(result: Result) -> str:
    """Return the reason why another run counts again what was counted beyond the first units."""
    if not result.kernels_right:
        return "a kernel got known answers wrong"
    if result.points_beyond <= 0:
        return "they could not be saved"
    return "there is a gap before them, where a rank was stopped in the midst of its share"


def _timing(result: Result) -> Iterator[Line]:
    """Generate times and rates of the last run, but Total and the first two rates of all runs together."""
    ranks, usage, points = result.ranks, result.usage, result.tally.points
    compiled = sum(row.kernel_source == "compiled" for row in ranks)
    how = f"compiled on {number_of(compiled, 'rank')}" if compiled else "nothing compiled"
    of_shards, longest, mean = usage.round_seconds, "", ""
    if result.shards:  # they may have run one after the other
        of_shards = sum(shard.usage.round_seconds for shard in result.shards)
        longest, mean = f"longest of {len(result.shards)} shards", " (of a shard, in the mean)"
    startup, kernel = (
        max(getattr(row, f"{name}_seconds") for row in ranks) for name in ("startup", "kernel")
    )
    lives = {rank: repair.seconds for rank, repair in result.losses.items()}
    # The row of a lost rank may have the time of several.
    count = max(min(row.count_seconds, lives.get(row.rank, math.inf)) for row in ranks)
    yield "Start-up", _seconds(startup, "imports and MPI_Init; slowest rank")
    yield "Kernel load", _seconds(kernel, f"{how}; slowest rank")
    yield "Count", _seconds(count, f"slowest rank; {number_of(result.rounds, 'round')}")
    if result.audit:
        yield "Recount", _seconds(sum(row.audit_seconds for row in ranks) / len(ranks), "mean rank")
    yield "Reduce and wait", _seconds(sum(row.wait_seconds for row in ranks) / len(ranks), "mean rank")
    yield "Total", _seconds(usage.real_seconds, longest)
    yield "Rate", f"{_rate(points, of_shards)} points/s{mean}"
    yield "Rate per core", f"{_rate(points, usage.core_seconds)} points/s while counting"
    yield "Rate of ranks", _rates(ranks)
    if shares := starved(result):
        yield "Core share", _core_share(shares)
    if usage.runs > 1 and not result.shards:
        of_all = "of all of them are the answer, Total, Rate, Rate per core, real, user and sys"
        of_last = "of the last one alone all other times and rates, and the tables"
        yield "Runs", f"{usage.runs}: {of_all}; {of_last}"


def _rates(ranks: Sequence[RankStats]) -> str:
    """Return the range and mean of the rates of those ranks that had anything to count."""
    rates = sorted(row.points_per_second for row in ranks if row.points_per_second)
    if not rates:
        return UNKNOWN
    idle = len(ranks) - len(rates)
    left_out = f" ({number_of(idle, 'rank')} had nothing to count)" if idle else ""
    mean = sum(rates) / len(rates)
    return f"{rates[0]:.4e} slowest, {mean:.4e} mean, {rates[-1]:.4e} fastest points/s{left_out}"


def _core_share(shares: Mapping[str, float]) -> str:
    """Return the hosts whose ranks got only a part of a core while counting, the least part first."""
    least_first = sorted(shares.items(), key=operator.itemgetter(1))
    texts = [f"{host} {format_percent(share, form='.0f')}" for host, share in least_first]
    why = "ranks shared cores with each other or with other programs, or a quota limits them"
    return f"{format_some(texts, MAX_HOSTS_NAMED)}: {why}; mpi-pi check tells which"


def _phases(result: Result) -> Iterator[Line]:
    """Generate the times of the phases of rank 0."""
    seconds = result.phases
    if "launcher" in seconds:
        yield "Launcher", _seconds(seconds["launcher"], "its start to that of rank 0; not in Total")
    elif len(result.ranks) > 1:
        yield "Launcher", f"{UNKNOWN} (it is no parent process of rank 0; not in Total)"
    yield from ((f"Rank 0, {name}", _seconds(seconds[name], what)) for name, what in phases.PHASES.items())
    total = "Total" if result.usage.runs == 1 else "of this run; Total is of all runs"
    yield "Rank 0, sum", _seconds(phases.total(seconds), total)
    yield "Rank 0, saving", _seconds(seconds["saving"], "checkpoint and files; not in Total")


def _seconds(seconds: float, remark: str = "") -> str:
    return f"{seconds:.4f} s{f' ({remark})' if remark else ''}"


def _rate(points: int, seconds: float) -> str:
    """Return points per second; `UNKNOWN` if no time was measured."""
    return f"{points / seconds:.4e}" if seconds > 0 else UNKNOWN


def _share(points: int, total: int) -> str:
    return f"{points} of {total} points ({format_percent(points, total)})"


def _clock(seconds: float) -> str:
    """Return a duration as bash's `time` writes it: 0m11.485s."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes}m{milliseconds / 1000:.3f}s"
