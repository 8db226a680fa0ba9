"""Rates and temperatures of a burn-in over time, in numbers for its pictures."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpi_pi.burn_in.outcome import BurnIn, PhaseOutcome

Values = NDArray[np.float64]


class Steps(NamedTuple):
    """Values in steps of time; NaN stands for what is not known."""

    edges: Values
    """Seconds since the beginning of the burn-in, (steps + 1,)."""
    values: Values
    """(rows, steps)."""

    @property
    def middles(self) -> Values:
        """Middle of each step, (steps,)."""
        return np.asarray((self.edges[:-1] + self.edges[1:]) / 2)


def rates(outcome: PhaseOutcome) -> Steps:
    """Return the rate of each rank in a phase, in points per second, (ranks, steps)."""
    steps = max((len(work.rates) for work in outcome.ranks), default=0)
    values = np.full((len(outcome.ranks), steps), np.nan)
    for rank, work in enumerate(outcome.ranks):
        values[rank, : len(work.rates)] = [np.nan if rate is None else rate for rate in work.rates]
    edges = np.minimum(np.arange(steps + 1) * outcome.step_seconds, max(outcome.seconds, 1e-3))
    return Steps(edges + outcome.start_seconds, values)


def relative_rates(burn_in: BurnIn, outcome: PhaseOutcome) -> Steps:
    """Return the lowest rate of each host's ranks over the typical one of its kind, (hosts, steps).

    The typical one is the median over the phase of all ranks with the same CPU, kernel and threads. In steps
    in which no rank of a host counts, it has the value of the step before.
    """
    kinds: dict[object, list[int]] = {}
    for rank in burn_in.ranks:
        kinds.setdefault((burn_in.hosts[rank.host].cpu, rank[3:]), []).append(rank.rank)
    told = rates(outcome)
    relative = told.values.copy()
    for ranks in kinds.values():
        whole = [rate for rank in ranks if (rate := outcome.ranks[rank].points_per_second)]
        relative[ranks] /= np.median(whole) if whole else np.nan
    lowest = np.array([lowest_of(relative[ranks]) for ranks in burn_in.ranks_of_hosts])
    return Steps(told.edges, filled(lowest.reshape(len(burn_in.hosts), -1)))


def temperatures(outcome: PhaseOutcome, host: int) -> Steps:
    """Return the temperature of a host in a phase, (1, samples)."""
    samples = outcome.hosts[host].samples
    edges = [sample.start_seconds for sample in samples[:1]] + [sample.end_seconds for sample in samples]
    values = [np.nan if sample.celsius is None else sample.celsius for sample in samples]
    return Steps(np.array(edges) + outcome.start_seconds, np.array([values]))


def throttled_times(outcome: PhaseOutcome, host: int) -> list[tuple[float, float]]:
    """Return the samples in which a host was throttled, by start and end."""
    return [
        (outcome.start_seconds + sample.start_seconds, outcome.start_seconds + sample.end_seconds)
        for sample in outcome.hosts[host].samples
        if sample.throttled_seconds or sample.throttle_events or sample.under_voltage
    ]


def lowest_of(values: Values) -> Values:
    """Return the lowest known value of each column, NaN where none is known."""
    lowest = np.where(np.isnan(values), np.inf, values).min(axis=0, initial=np.inf)
    return np.where(np.isinf(lowest), np.nan, lowest)


def filled(values: Values) -> Values:
    """Return rows in which each unknown value is that of the step before."""
    known = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    return np.asarray(np.take_along_axis(values, np.maximum.accumulate(known, axis=1), axis=1))


def on_grid(parts: list[Steps], rows: int, edges: Values) -> Values:
    """Return the values at the middle of each column between `edges`, (rows, columns)."""
    middles, grid = (edges[:-1] + edges[1:]) / 2, np.full((rows, len(edges) - 1), np.nan)
    for part in parts:
        if part.values.size:
            place = np.searchsorted(part.edges, middles, side="right") - 1
            inside = (place >= 0) & (place < part.values.shape[1])
            grid[:, inside] = part.values[:, place[inside]]
    return grid
