"""The verdict: how often it refuses correct runs, exactly and by simulation, and which faults it finds."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from mpi_pi.kernel import reference
from mpi_pi.model import binomial, verdict
from mpi_pi.model.dispersion import dispersion
from mpi_pi.model.estimate import estimate
from mpi_pi.model.job import BLOCK, Job
from mpi_pi.model.result import RankStats
from mpi_pi.model.tally import Sums, Tally
from support.exact_dispersion import FINEST, chances, exact
from support.launching import soak
from support.runs import flame
from support.texts import reasons_in, report_text

P = np.pi / 4
MILLIONTH = 1e-6
Hits = NDArray[np.int64]
LIKE = flame().ranks[0]


def tally_of(hits: Hits, points: int) -> Tally:
    return Tally.of(Job(len(hits), points, 0), range(len(hits)), hits)


def reasons(hits: Hits, points: int) -> list[str]:
    return verdict.reasons(estimate(tally_of(hits, points)))


def kinds(found: list[str]) -> list[str]:
    return [reason.partition(":")[0] for reason in found]


# How often correct runs are refused


def refused_by_distance(points: int) -> float:
    """Return the exact probability that the distance of a correct run is refused, by SciPy."""
    reach = 10 * stats.binom.std(points, P) + 10
    hits = np.arange(max(0, int(points * P - reach)), min(points, int(points * P + reach)) + 1)
    off = hits - points * P
    far = binomial.tail(points, off) < verdict.DISTANCE
    below, above = hits[far & (off < 0)], hits[far & (off > 0)]
    return float(
        (stats.binom.cdf(below.max(), points, P) if below.size else 0.0)
        + (stats.binom.sf(above.min() - 1, points, P) if above.size else 0.0)
    )


TILTS = np.concatenate([-np.geomspace(690, 1e-3, 1500), np.geomspace(1e-3, 0.99, 1500)])


class Unit:
    """Distribution of z² of a unit of so many points, by SciPy."""

    def __init__(self, points: int) -> None:
        hits = np.arange(points + 1)
        chances = stats.binom.pmf(hits, points, P)
        seen = chances > 1e-40
        self.points, self.chances = points, chances[seen]
        self.squares = (hits[seen] - points * P) ** 2 / (points * P * (1 - P))
        grown = self.chances * np.exp(np.minimum(np.outer(TILTS, self.squares), 600))
        self.means = grown @ self.squares / grown.sum(axis=1)
        self.rates = TILTS * self.means - np.log(grown.sum(axis=1))
        """At each tilt: exp(-units * rate) is Chernoff's bound for a chi-squared of units * mean."""
        self.spectrum = exact(points, up=True)

    def refused(self, units: int, chi_squared: float) -> bool:
        """Return whether the product refuses this chi-squared."""
        return dispersion({self.points: units}, chi_squared - units).bound < verdict.DISPERSION

    def limit(self, units: int, farthest: float, kept: NDArray[np.float64]) -> float | None:
        """Return the last chi-squared not refused on the way to the farthest possible; None if all pass."""
        if not self.refused(units, farthest):
            return None
        near = units * float(kept[np.abs(kept - 1).argmax()])
        assert not self.refused(units, near)
        if abs(near - units * self.means[0]) < 1e-9 or abs(near - units * self.means[-1]) < 1e-9:
            for _ in range(40):  # beyond the tilts above
                middle = (near + farthest) / 2
                near, farthest = (near, middle) if self.refused(units, middle) else (middle, farthest)
        return near

    def refusals(self, units: int) -> float:
        """Return at least the probability that a chi-squared of so many units is refused."""
        kept = self.means[units * self.rates < -np.log(verdict.DISPERSION)]
        least = self.limit(units, units * self.squares.min(), kept[kept < 1])
        most = self.limit(units, units * self.squares.max(), kept[kept > 1])
        finer = (self.less_than(units, least, 50 * units * 4**k) for k in range(6)) if least else iter([0.0])
        below = next((rate for rate in finer if rate < 2 * verdict.DISPERSION), 1.0)
        return below + (chances(self.spectrum, units)[int(most * FINEST) :].sum() if most else 0.0)

    def less_than(self, units: int, least: float, steps: int) -> float:
        """Return at least the probability of a smaller chi-squared, by steps of `least` / `steps`.

        Damping keeps what is beyond the last step from coming in again at the first. With few points some
        values are nearly alike: only fine steps tell them apart.
        """
        damping = 12 / steps
        at = np.floor(self.squares / least * steps).astype(int)
        near = at <= steps
        weights = self.chances[near] * np.exp(-damping * at[near])
        spectrum = np.fft.rfft(np.bincount(at[near], weights, 2 * steps + 2))
        found = np.fft.irfft(spectrum**units, 2 * steps + 2) * np.exp(damping * np.arange(2 * steps + 2))
        return float(found[: steps + 1].sum())


def worst_rate(all_units: range, all_points: list[int]) -> tuple[float, int, int]:
    """Return the job that is refused most often: at least how often, its units and its points.

    Ranks and hosts are taken to be refused as often as they may be. So few units are not judged by their fit.
    """
    found = []
    for points in all_points:
        unit = Unit(points)
        for units in all_units:
            rate = refused_by_distance(units * points)
            if units > 1:
                rate += unit.refusals(units) + verdict.RANKS + verdict.HOSTS
            found.append((rate, units, points))
    return max(found)


def test_no_small_job_is_refused_more_often_than_once_in_a_million() -> None:
    for units, points in ((3, 14), (1, 398_128), (1, 7)):
        assert refused_by_distance(units * points) < MILLIONTH
    rate, units, points = worst_rate(range(1, 65, 9), [1, 2, 3, 7, 14, 55, 333, 2000])
    print(f"worst: {units} units of {points} points, {rate:.3g}")
    assert rate < MILLIONTH


@soak
@pytest.mark.parametrize("first", range(1, 2001, 100))
def test_none_of_all_small_jobs_is_refused_more_often_than_once_in_a_million(first: int) -> None:
    rate, units, points = worst_rate(range(1, 65), list(range(first, first + 100)))
    print(f"worst: {units} units of {points} points, {rate:.3g}")
    assert rate < MILLIONTH


@pytest.mark.parametrize("job", [Job(3, 14, 52), Job(1, 398_128, 274)])
def test_best_possible_answers_are_not_refused(job: Job) -> None:
    """These are 3 units of 11 hits of 14 points; and 312,689 hits of 398,128 points, pi to nine digits."""
    hits = reference.count(job, range(job.units))
    assert (np.abs(hits - job.points * P) < 0.5).all()
    assert not reasons(hits, job.points)


def test_no_answer_of_seven_points_is_refused() -> None:
    assert not any(reasons(np.array([hits]), 7) for hits in range(8))


def test_chances_add_up_to_one_in_a_million() -> None:
    fit = 4 * verdict.FIT  # see unit/model/test_goodness.py
    total = 2 * verdict.DISTANCE + 2 * verdict.DISPERSION + fit + verdict.RANKS + verdict.HOSTS
    assert total == pytest.approx(MILLIONTH)


def simulated_refusals(runs: int, factor: float, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many of `runs` correct runs are refused by limits that are `factor` times as large."""
    for name in ("DISTANCE", "DISPERSION", "FIT", "RANKS", "HOSTS"):
        monkeypatch.setattr(verdict, name, factor * getattr(verdict, name))
    random, refused = np.random.default_rng(11), 0
    for _ in range(runs):
        job = Job(int(10 ** random.uniform(0, 3.3)), int(10 ** random.uniform(0, 8.5)), 0)
        sizes = np.full(job.units, BLOCK)
        sizes[job.blocks - 1 :: job.blocks] = job.last_block
        hits = random.binomial(sizes, P)
        ranks = int(random.integers(1, min(job.units, 40) + 1))
        cuts = np.sort(random.integers(0, job.units + 1, ranks - 1)).tolist()  # some count nothing
        rows = [
            row(rank, rank // 3, int(sizes[start:stop].sum()), int(hits[start:stop].sum()))
            for rank, (start, stop) in enumerate(pairwise([0, *cuts, job.units]))
        ]
        found = verdict.reasons(estimate(Tally.of(job, range(job.units), hits)))
        refused += bool(found or verdict.suspects(rows))
    return refused


def test_simulated_runs_are_refused_no_more_often_than_reckoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits ten thousand times as large refuse one run in a hundred at the most."""
    runs = 500
    refused = simulated_refusals(runs, 1e4, monkeypatch)
    assert 0 < refused < runs / 100 + 5 * np.sqrt(runs / 100)


@soak
@pytest.mark.timeout(3600)
def test_many_simulated_runs_are_refused_no_more_often_than_reckoned(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 100_000
    refused = simulated_refusals(runs, 100, monkeypatch)
    print(f"{refused} of {runs} refused, of at most {runs / 10_000:.0f} expected")
    assert refused < runs / 1e4 + 5 * np.sqrt(runs / 1e4)


# What it finds


def test_units_of_right_and_wrong_kernels_are_told_apart() -> None:
    n, units = 10_000, 400
    sigma = np.sqrt(n * P * (1 - P))
    good = np.random.default_rng(5).binomial(n, P, units).astype(np.int64)
    assert not reasons(good, n)
    assert kinds(reasons(good + round(6 * sigma / np.sqrt(units)), n)) == ["distance from pi"]
    middle = n * 355 // 452
    (wide,) = reasons(middle + 2 * (good - middle), n)
    assert wide.startswith("dispersion: units differ too much, p-value ")
    (narrow,) = reasons(middle + (good - middle) // 2, n)
    assert narrow.startswith("dispersion: units are too much alike, p-value ")
    repeated = np.tile(good[np.abs(good - middle) > sigma / 2][:1], units)  # every trial with the same seed
    assert reasons(repeated, n)


def lesson_trials(seed: int, seeds: int, trials: int) -> Hits:
    """Return the hits of trials of 10,000 points that draw their seeds from only `seeds` different ones."""
    random = np.random.default_rng(seed)
    different = random.binomial(10_000, P, seeds)
    hits: Hits = different[random.integers(0, seeds, trials)]
    return hits


@pytest.mark.parametrize("seed", range(4))
def test_16_bit_seeds_of_the_lesson_are_found_at_a_million_trials(seed: int) -> None:
    found = reasons(lesson_trials(seed, 1 << 16, 1_000_000), 10_000)
    assert "goodness of fit" in kinds(found)
    assert not reasons(np.random.default_rng(seed).binomial(10_000, P, 1_000_000), 10_000)


def row(rank: int, host: int, points: int, hits: int) -> RankStats:
    member = LIKE.info._replace(host=f"node{host}")
    return replace(LIKE, rank=rank, info=member, points=points, hits=hits)


def rows_of(ranks: int, per_host: int, points: int, seed: int = 1) -> list[RankStats]:
    """Return rows of ranks with so many points in all, and credible hits."""
    each = points // ranks
    hits = np.random.default_rng(seed).binomial(each, P, ranks).tolist()
    return [row(rank, rank // per_host, each, hits[rank]) for rank in range(ranks)]


@pytest.mark.parametrize("seed", range(10))
def test_rank_that_loses_one_hit_in_a_thousand_is_named(seed: int) -> None:
    rows = rows_of(16, 4, 300_000_000, seed)
    assert verdict.suspects(rows) == ()
    rows[6] = replace(rows[6], hits=rows[6].hits * 999 // 1000)
    found = verdict.suspects(rows)
    assert found[0].startswith("rank 6 on host node1: hits are -")
    assert found[0].endswith("limit 3.1e-09")
    assert all(reason.startswith("host node1: ") for reason in found[1:])


def test_host_that_is_off_is_named_though_none_of_its_ranks_is() -> None:
    rows = rows_of(400, 100, 4_000_000_000)
    for rank in range(100, 200):
        rows[rank] = replace(rows[rank], hits=rows[rank].hits + 1500)  # just over a standard deviation
    (found,) = verdict.suspects(rows)
    assert found.startswith("host node1: hits are +1")


@pytest.mark.parametrize("per_host", [1, 4])
def test_host_that_is_one_rank_or_the_whole_is_not_judged_again(per_host: int) -> None:
    rows = rows_of(4, per_host, 4_000_000)
    rows[2] = replace(rows[2], hits=rows[2].hits - 10_000)
    (found,) = verdict.suspects(rows)
    assert found.startswith(f"rank 2 on host node{2 // per_host}: hits are -")


def test_ranks_that_have_counted_nothing_are_not_off() -> None:
    rows = [*rows_of(3, 1, 3000), row(3, 3, 0, 0)]
    assert verdict.suspects(rows) == ()
    assert rows[3].standard_errors == 0


def test_single_rank_is_not_named_as_it_is_the_whole() -> None:
    assert verdict.suspects([row(0, 0, 10**6, 0)]) == ()


def test_of_many_that_are_off_some_are_named() -> None:
    rows = [replace(each, hits=0) for each in rows_of(2000, 10, 10**8)]
    found = verdict.suspects(rows)
    assert found[0].startswith("rank 0 on host node0: ")
    assert found[10] == "1990 more, less far off"
    assert found[11].startswith("host node0: ")
    assert found[21] == "190 more, less far off"
    assert len(found) == 22


def test_report_names_who_is_off() -> None:
    good = flame(ranks=4, hosts=2)
    lost = replace(good.ranks[3], hits=good.ranks[3].hits - 20_000)
    ranks = (*good.ranks[:3], lost)
    bad = replace(good, ranks=ranks, suspects=verdict.suspects(ranks))
    assert kinds(reasons_in(report_text(bad))) == ["rank 3 on host node001", "host node001"]
    off = (lost.hits - lost.points * P) / stats.binom.std(lost.points, P)
    assert f"\nHits of ranks = rank 3 on host node001 is farthest off, by {off:+.3f} standard errors\n" in (
        report_text(bad)
    )
    assert "\nHits of hosts = host node001 is farthest off, by -" in report_text(bad)
    assert "Hits of " not in report_text(flame(ranks=1))


def test_what_leaves_hits_binomial_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stuck sign bit leaves the distribution of hits as it is, and so do units counted twice."""
    job = Job(400, 10_000, 3)
    right = reference.count(job, range(job.units))
    in_disc = reference.in_disc
    monkeypatch.setattr(reference, "in_disc", lambda points: in_disc(points & 0x7FFFFFFF))
    stuck = reference.count(job, range(job.units))
    assert (stuck != right).mean() > 0.9
    assert not reasons(stuck, job.points)
    assert not reasons(np.concatenate([right[:200], right[:200]]), job.points)


# How it is told


def line(name: str, hits: Hits, points: int) -> str:
    result = replace(flame(ranks=1), tally=tally_of(hits, points))
    (found,) = [line for line in report_text(result).splitlines() if line.startswith(f"{name} = ")]
    return found


def test_p_value_near_1_is_told_by_what_is_missing() -> None:
    hits = np.random.default_rng(5).binomial(10_000, P, 400)
    narrow = 7854 + (hits - 7854) // 2
    assert line("Dispersion", narrow, 10_000).rpartition("p-value ")[2].startswith("1 - ")
    wide = 7854 + 2 * (hits - 7854)
    assert 0 < float(line("Dispersion", wide, 10_000).rpartition("p-value ")[2]) < 1e-7


def test_what_is_not_judged_is_said() -> None:
    one = np.array([312_689])
    assert line("Dispersion", one, 398_128).endswith(" over 1 unit, not judged: it repeats the distance")
    assert line("Goodness of fit", one, 398_128) == (
        "Goodness of fit = not judged: fewer than 50 units expected in a bin"
    )
    many = np.random.default_rng(1).binomial(398_128, P, 1000)
    assert " over 16 bins of 1000 units, p-value " in line("Goodness of fit", many, 398_128)


def test_units_that_were_counted_without_bins_are_not_judged_by_them() -> None:
    """Checkpoints of old programs have no bins."""
    found = estimate(Tally({1000: Sums(10**6, 785_398_163, 168_547_889)}))
    assert found.fit is None
    assert not verdict.reasons(found)
