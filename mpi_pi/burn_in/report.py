"""What each rank tells rank 0 at the end of a phase, and what rank 0 makes of it."""

from collections.abc import Sequence
from typing import NamedTuple

from mpi_pi.burn_in import meter
from mpi_pi.burn_in.meter import Metered, Work
from mpi_pi.burn_in.observer import HostWatch
from mpi_pi.burn_in.outcome import RankWork

MAX_CELLS = 1 << 17
"""Maximum of rates of all ranks together in a phase, unless there are ranks of more than MIN_STEPS steps."""
MIN_STEPS = 16


class Report(NamedTuple):
    """Measurements of a rank in a phase."""

    metered: Metered
    watch: HostWatch | None
    """Of the rank that observes its host."""


NOTHING = Report(Metered(Work(), Work(), Work(), 1.0, ()), None)
"""The report of a rank that did not tell."""


def step_seconds(reports: Sequence[Report]) -> float:
    """Return the length of the steps of all ranks: of the longest ones, or longer if there are many ranks."""
    seconds = max(report.metered.step_seconds for report in reports)
    steps = max(len(report.metered.steps) * report.metered.step_seconds for report in reports) / seconds
    while steps > MIN_STEPS and steps * len(reports) > MAX_CELLS:
        seconds, steps = 2 * seconds, steps / 2
    return seconds


def work_of(report: Report, seconds: float, threads: int, right: bool) -> RankWork:
    """Return the work of a rank with so many threads, in steps of this length."""
    metered = report.metered
    return RankWork(
        metered.whole.points,
        metered.whole.rate(threads),
        metered.first.rate(threads),
        metered.last.rate(threads),
        metered.whole.core_share,
        right,
        tuple(
            None if (rate := step.rate(threads)) is None else round(rate)
            for step in meter.in_steps_of(metered, seconds)
        ),
    )
