"""Verdicts on what became faster or slower from one benchmark to another, beyond the noise of both.

Of each metric that both have measured, the quotient of the new time by the old one lies in an interval: from
the least new time over the greatest old one, to the greatest over the least. The times' own intervals come
from their samples; the interval of the quotient is widened by the noise that both benchmarks have measured,
as a shared machine is more or less busy from run to run. A metric whose whole interval is above 1 is slower.
"""

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mpi_pi.bench import links as links_of
from mpi_pi.bench.document import Benchmark
from mpi_pi.bench.links import Quantity
from mpi_pi.bench.median import MAX_RATIO, MedianCI
from mpi_pi.errors import UserError
from mpi_pi.formatting import number_of

MIN_DRIFT = 0.05
"""Relative difference between runs even on quiet machines: clock, heat, placement of memory."""

UNKNOWN_NOISE = 0.10
"""Assumed where the noise was not measured."""

SAME = 1.25
"""Quotients up to this, and down to its reciprocal, are no change worth mentioning."""

OF_LINKS = tuple(
    Quantity(member, 1 << power)
    for member, power in (("latency_seconds", 0), ("bytes_per_second", 16), ("bytes_per_second", 22))
)
OF_PAIRS = (Quantity("latency_seconds", 1), Quantity("bytes_per_second", 1 << 20))
"""Of a link, and of a pair; on a slow network there may be no message of 4 MiB."""

VERDICTS = ("slower", "faster", "same", "lost in noise")


class Metric(NamedTuple):
    """A measured quantity; two benchmarks are compared where their metrics are equal."""

    what: str
    job: str = ""


@dataclass(frozen=True)
class Measurement:
    """The value of a metric in one benchmark."""

    ci: MedianCI
    """Seconds, or points or bytes per second."""
    unit: str
    hosts: int
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds of a job's phases."""
    points: int = 1
    """Points of the job, where the benchmark has chosen its size by the time that it takes."""
    proportional: float = 1.0
    """Least share of the job's time that grows with its points."""

    @property
    def log_bounds(self) -> tuple[float, float] | None:
        """Logarithms of the shortest and the longest time to be expected; None if the shortest may be 0."""
        low, high = _expected_bounds(self.ci)
        if low <= 0:
            return None
        low, high = math.log(low), math.log(high)
        return (-high, -low) if self.is_rate else (low, high)

    @property
    def is_rate(self) -> bool:
        """True if more is better."""
        return self.unit.endswith("/s")


@dataclass(frozen=True)
class Change:
    """Change of a metric from the old benchmark to the new one."""

    old: Measurement
    new: Measurement
    log_low: float
    """Least logarithm of the quotient of times; -inf if unknown. Logarithms make there and back symmetric."""
    log_high: float
    """Greatest logarithm of the quotient; inf if unknown."""

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`."""
        if self.log_low > 0:
            return "slower"
        if self.log_high < 0:
            return "faster"
        return "same" if max(-self.log_low, self.log_high) <= math.log(SAME) else "lost in noise"

    @property
    def ratio(self) -> float:
        """Quotient of the median times; of an unknown one, `log_low` is infinite."""
        ratio = self.new.ci.median / self.old.ci.median
        return 1 / ratio if self.old.is_rate else ratio

    @property
    def detectable(self) -> float:
        """Least ratio that would have been called slower; inf if unknown."""
        return self.ratio / math.exp(self.log_low) if math.isfinite(self.log_low) else math.inf


def changes(old: Benchmark, new: Benchmark) -> dict[Metric, Change]:
    """Return the changes of all metrics that both benchmarks have. Raises UserError if there is none."""
    before, after = dict(measurements(old)), dict(measurements(new))
    found = {
        metric: _change(was, after[metric], _log_drift(old, new, was.hosts))
        for metric, was in before.items()
        if metric in after
    }
    if not found:
        parts = ("kernel", "jobs", "scaling", "network", "round")
        was, is_ = (", ".join(name for name in parts if each[name]) or "nothing" for each in (old, new))
        raise UserError(
            f"nothing to compare: the old benchmark has {was}, the new one {is_},"
            " and no row of one is the same job on as many ranks and hosts as one of the other"
        )
    return found


def _change(old: Measurement, new: Measurement, drift: float) -> Change:
    was, is_ = old.log_bounds, new.log_bounds
    if was is None or is_ is None:
        return Change(old, new, -math.inf, math.inf)
    # Time that does not grow with a job is a smaller share of a larger one, which so has the higher rate: by
    # as much, times may really be shorter or longer than the rates of jobs of two sizes tell.
    larger = max(old.points, new.points) / min(old.points, new.points)
    proportional = min(old.proportional, new.proportional)
    effect = math.log((1 - proportional) * larger + proportional)
    shorter, longer = (0.0, effect) if new.points > old.points else (effect, 0.0)
    return Change(old, new, (is_[0] - was[1]) - drift - shorter, (is_[1] - was[0]) + drift + longer)


def _expected_bounds(ci: MedianCI) -> tuple[float, float]:
    """Return bounds of the median of another run like this one, on an equally calm machine.

    They hold at least the middle half of the samples: those of one run are more alike than runs are. The
    range of a few samples is too narrow; by Student's t that of three ought to be three times as wide. And
    one or two do not tell how far they scatter.
    """
    number, low, high = len(ci.samples), ci.low, ci.high
    if number > 1:
        quarter, _, three_quarters = statistics.quantiles(ci.samples, method="inclusive")
        low, high = min(low, quarter), max(high, three_quarters)
    if number >= 5 or low <= 0:
        return low, high
    wider = high / low if number >= 3 else MAX_RATIO
    return low / wider, high * wider


def _log_drift(old: Benchmark, new: Benchmark, hosts: int) -> float:
    """Return the logarithm of the factor by which the machine itself may differ between two runs."""
    return math.log1p(MIN_DRIFT) + sum(math.log1p(_noise(each, hosts)) for each in (old, new))


def _noise(benchmark: Benchmark, hosts: int) -> float:
    """Return the slowdown of the noisiest host or, for what ran on one host, of the first."""
    noise = benchmark["noise"]
    if noise is None:
        return UNKNOWN_NOISE
    first = benchmark["machine"]["host"]
    of_first = [row["slowdown"] for row in noise["rows"] if row["host"] == first]
    return max(0.0, *(of_first if hosts == 1 and of_first else [float(noise["slowdown"])]))


def measurements(benchmark: Benchmark) -> Iterator[tuple[Metric, Measurement]]:
    """Generate all metrics of a benchmark that can be compared."""
    for row in (benchmark["kernel"] or {"rows": ()})["rows"]:
        rate = MedianCI.from_fields(row["points_per_second"])
        yield Metric(f"kernel {row['name']}"), Measurement(rate, "points/s", 1)
    hosts = benchmark["machine"]["hosts"]
    for row in benchmark["jobs"] or ():
        what = f"job {row['name']}, {_where(row | {'hosts': hosts})}, {'cold' if row['cold'] else 'warm'}"
        job = f"{row['job']['trials']} x {row['job']['points_per_trial']}"
        phases = {phase["name"]: phase["seconds"]["median"] for phase in row["steps"]}
        yield Metric(what, job), Measurement(MedianCI.from_fields(row["seconds"]), "s", hosts, phases)
    for kind in ("strong", "weak") if benchmark["scaling"] else ():
        part = benchmark["scaling"][kind]
        for row in part["rows"]:
            points = part["job"]["trials"] * part["job"]["points_per_trial"]
            points *= row["ranks"] if kind == "weak" else 1
            rate = MedianCI.of(points / max(each, 1e-9) for each in row["seconds"]["samples"])
            # What it has lost since the first row may all be time that any job takes.
            grows = min(max(row["efficiency"]["low"], 0.0), 1.0)
            scaled = Measurement(rate, "points/s", row["hosts"], points=points, proportional=grows)
            yield Metric(f"{kind} scaling, {_where(row)}"), scaled
    yield from _of_network(benchmark["network"]) if benchmark["network"] else ()
    for row in (benchmark["round"] or {"rows": ()})["rows"]:
        seconds = MedianCI.from_fields(row["seconds"])
        yield Metric(f"round, {_where(row)}"), Measurement(seconds, "s", row["hosts"])


def _of_network(section: Mapping[str, Any]) -> Iterator[tuple[Metric, Measurement]]:
    """Generate the latency of short messages and the bandwidth with long ones, of links and of pairs."""
    pairs = section["pairs"]["links"] if section["pairs"] else ()
    for kind, links, quantities in (("link", section["links"], OF_LINKS), ("pair", pairs, OF_PAIRS)):
        names = links_of.names(section, links)
        for link, quantity in itertools.product(links, quantities):
            if ci := quantity.of(link):
                ends = " → ".join(names[rank] for rank in link["ranks"])
                what = f"{quantity.name} with {number_of(quantity.message_bytes, 'byte')}, {kind} {ends}"
                unit = "s" if quantity.is_time else "bytes/s"
                yield Metric(what), Measurement(ci, unit, len({*link["hosts"]}))


def _where(row: Mapping[str, Any]) -> str:
    ranks = number_of(row["ranks"], "rank")
    return f"{ranks} on {number_of(row['hosts'], 'host')}" if row["hosts"] > 1 else ranks
