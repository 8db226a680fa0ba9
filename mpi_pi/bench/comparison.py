"""What became faster or slower from one benchmark to another, beyond the noise of both.

Of everything that both have measured, the new time over the old one lies in an interval: from the fastest
that the new time may be over the slowest that the old one may be, to the slowest over the fastest. How far a
time may be off is told by its samples; that two runs find a shared machine in different moods, by the noise
that both have measured. What has its whole interval above 1 is slower.
"""

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mpi_pi.bench.median import MAX_RATIO, MedianCI
from mpi_pi.formatting import number_of

MIN_DRIFT = 0.05
"""From one run to the next even quiet machines differ by this: clock, heat, where memory came to lie."""

UNKNOWN_NOISE = 0.10
"""Of a machine whose noise was not measured."""

SAME = 1.25
"""An interval around 1 that reaches no further, up or down, says that nothing much has changed."""

WORDS = ("slower", "faster", "same", "lost in noise")


class ComparisonError(ValueError):
    """Two benchmarks of which nothing can be compared."""


class Metric(NamedTuple):
    """What was measured: the same in two benchmarks if it can be compared."""

    what: str
    job: str = ""


@dataclass(frozen=True)
class Measured:
    """How long it took, or how fast it was."""

    taken: MedianCI
    """Seconds, or points per second."""
    unit: str
    hosts: int
    steps: Mapping[str, float] = field(default_factory=dict)
    """The seconds that its steps took, if it has any."""
    points: int = 1
    """Of a job that the benchmark has made to measure, for so many seconds."""
    proportional: float = 1.0
    """The least share of its time that grows with them."""

    @property
    def reach(self) -> tuple[float, float] | None:
        """The logarithms of the shortest and longest time that it may take; None if that may be 0."""
        ends = _ends(self.taken)
        if ends[0] <= 0:
            return None
        low, high = map(math.log, ends)
        return (-high, -low) if self.unit == "points/s" else (low, high)


@dataclass(frozen=True)
class Change:
    """From old to new: how many times as long it takes."""

    old: Measured
    new: Measured
    low: float
    high: float
    """Of the logarithm, so that there and back are the same but for the sign; not finite if nobody knows."""

    @property
    def word(self) -> str:
        """One of `WORDS`."""
        if self.low > 0:
            return "slower"
        if self.high < 0:
            return "faster"
        return "same" if max(-self.low, self.high) <= math.log(SAME) else "lost in noise"

    @property
    def least(self) -> float:
        """From how many times as long on it would have been called slower; not finite if nobody knows."""
        return self._ratio / math.exp(self.low) if math.isfinite(self.low) else math.inf

    @property
    def _ratio(self) -> float:
        """Of the medians."""
        ratio = self.new.taken.median / self.old.taken.median
        return 1 / ratio if self.old.unit == "points/s" else ratio

    @property
    def times_as_long(self) -> str:
        """The ratio of the medians, with the interval that decides."""
        if math.isinf(self.high):
            return "?"
        return f"{self._ratio:.3f} ({math.exp(self.low):.2f} … {math.exp(self.high):.2f})"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[Metric, Change]:
    """Of all that both have measured. Raises ComparisonError if that is nothing."""
    before, after = dict(measured(old)), dict(measured(new))
    found = {
        thing: _change(before[thing], after[thing], _drift(old, new, before[thing].hosts))
        for thing in before
        if thing in after
    }
    if not found:
        raise ComparisonError(
            f"nothing to compare: the old benchmark has {_contents(old)}, the new one {_contents(new)},"
            " and no row of one is the same job on as many ranks and hosts as one of the other"
        )
    return found


def _change(old: Measured, new: Measured, drift: float) -> Change:
    was, is_ = old.reach, new.reach
    if was is None or is_ is None:
        return Change(old, new, -math.inf, math.inf)
    shorter, longer = _doubts(old, new)
    return Change(old, new, (is_[0] - was[1]) - drift - shorter, (is_[1] - was[0]) + drift + longer)


def _doubts(old: Measured, new: Measured) -> tuple[float, float]:
    """By how much it may really take shorter or longer than rates show, as they are of jobs of two sizes.

    What does not grow with a job is a smaller share of a larger one, which therefore has the higher rate.
    """
    larger = max(old.points, new.points) / min(old.points, new.points)
    proportional = min(old.proportional, new.proportional)
    doubt = math.log((1 - proportional) * larger + proportional)
    return (0.0, doubt) if new.points > old.points else (doubt, 0.0)


def _ends(taken: MedianCI) -> tuple[float, float]:
    """Between which the median of another run like this one is to be expected, on the same calm machine.

    That is at least where the middle half of the samples lies: those of one run are more alike than runs
    are. The range of a few samples is too narrow; by Student's t that of three ought to be three times as
    wide. And one or two do not tell how far they spread.
    """
    number = len(taken.samples)
    low, high = taken.low, taken.high
    if number > 1:
        quarter, _, three_quarters = statistics.quantiles(taken.samples, method="inclusive")
        low, high = min(low, quarter), max(high, three_quarters)
    if number >= 5 or low <= 0:
        return low, high
    wider = high / low if number >= 3 else MAX_RATIO
    return low / wider, high * wider


def _drift(old: Mapping[str, Any], new: Mapping[str, Any], hosts: int) -> float:
    """By how much the machine itself may differ between two runs: the logarithm of a factor."""
    return math.log1p(MIN_DRIFT) + sum(math.log1p(_noise(document, hosts)) for document in (old, new))


def _noise(document: Mapping[str, Any], hosts: int) -> float:
    """Of the noisiest host, or for what ran on one host, of the first."""
    noise = document["noise"]
    if noise is None:
        return UNKNOWN_NOISE
    here = document["machine"]["host"]
    of_first = [row["slowdown"] for row in noise["rows"] if row["host"] == here]
    return max(0.0, *(of_first if hosts == 1 and of_first else [float(noise["slowdown"])]))


def measured(document: Mapping[str, Any]) -> Iterator[tuple[Metric, Measured]]:
    """All that can be compared."""
    for row in (document["kernel"] or {"rows": ()})["rows"]:
        yield (
            Metric(f"kernel {row['name']}"),
            Measured(MedianCI.from_fields(row["points_per_second"]), "points/s", 1),
        )
    hosts = document["machine"]["hosts"]
    for row in document["jobs"] or ():
        what = f"job {row['name']}, {_on(row | {'hosts': hosts})}, {'cold' if row['cold'] else 'warm'}"
        steps = {step["name"]: step["seconds"]["median"] for step in row["steps"]}
        yield Metric(what, _job(row)), Measured(MedianCI.from_fields(row["seconds"]), "s", hosts, steps)
    for kind in ("strong", "weak") if document["scaling"] else ():
        part = document["scaling"][kind]
        for row in part["rows"]:
            points = part["job"]["trials"] * part["job"]["points_per_trial"]
            points *= row["ranks"] if kind == "weak" else 1
            yield Metric(f"{kind} scaling, {_on(row)}"), _scaled(row, points)
    for row in (document["round"] or {"rows": ()})["rows"]:
        yield Metric(f"round, {_on(row)}"), Measured(MedianCI.from_fields(row["seconds"]), "s", row["hosts"])


def _scaled(row: Mapping[str, Any], points: int) -> Measured:
    """A row of scaling. What it has lost since the first row may all be lost to costs of any job alike."""
    seconds = MedianCI.from_fields(row["seconds"]).samples
    rate = MedianCI.of(points / max(each, 1e-9) for each in seconds)
    proportional = min(max(row["efficiency"]["low"], 0.0), 1.0)
    return Measured(rate, "points/s", row["hosts"], points=points, proportional=proportional)


def _job(row: Mapping[str, Any]) -> str:
    return f"{row['job']['trials']} x {row['job']['points_per_trial']}"


def _on(row: Mapping[str, Any]) -> str:
    ranks = number_of(row["ranks"], "rank")
    return f"{ranks} on {number_of(row['hosts'], 'host')}" if row["hosts"] > 1 else ranks


def _contents(document: Mapping[str, Any]) -> str:
    """The sections that there are."""
    there = [name for name in ("kernel", "jobs", "scaling", "round") if document[name]]
    return ", ".join(there) or "nothing"
