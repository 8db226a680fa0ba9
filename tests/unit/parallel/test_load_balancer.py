"""Sizes of rounds and shares of ranks, by algebra and in simulated jobs without MPI."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.model.job import BLOCK, Job
from mpi_pi.parallel.load_balancer import LoadBalancer, Tuning
from mpi_pi.parallel.partition import MAX_UNITS, first_chunk
from support.partition import partition

jobs = st.builds(
    Job,
    trials=st.integers(1, 500),
    points=st.sampled_from([1, 7, 10**5, BLOCK - 1, BLOCK + 1, 3 * BLOCK]),
    seed=st.just(0),
)


@given(jobs, st.data())
def test_shares_tile_the_units(job: Job, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, job.units))
    units = range(start, data.draw(st.integers(start, job.units)))
    weights = data.draw(st.lists(st.integers(1, 10**12), min_size=1, max_size=20))
    parts = partition(job, units, weights)
    assert len(parts) == len(weights)
    assert [unit for part in parts for unit in part] == list(units)


@given(jobs, st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
def test_shares_follow_the_weights_to_a_unit(job: Job, weights: list[int]) -> None:
    units = range(job.units)
    for weight, part in zip(weights, partition(job, units, weights), strict=True):
        ideal = job.total_points * weight / sum(weights)
        assert abs(job.points_in(part) - ideal) <= job.unit_points(0) + 1


@given(jobs, st.lists(st.integers(1, 2**40), min_size=1, max_size=20), st.data())
def test_shares_are_cut_at_the_nearest_unit(job: Job, weights: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, job.units - 1))
    units = range(start, data.draw(st.integers(start, job.units)))
    first, points, total = job.points_before(start), job.points_in(units), sum(weights)
    for rank, share in enumerate(partition(job, units, weights)):
        assert share.start == job.nearest_unit(first + points * sum(weights[:rank]) // total)


@pytest.mark.parametrize("points", [1, 2**26])
def test_shares_of_the_largest_rounds_are_exact(points: int) -> None:
    """Where products take more than 64 bits, and a float cannot tell neighbouring units apart."""
    units, weights = range(2**57 // points), [2**36 + rank for rank in range(1000)]
    shares = partition(Job(2**64, points, 0), units, weights)
    assert shares[-1].stop == units.stop
    for rank in (1, 333, 999):
        position = 2**57 * sum(weights[:rank]) // sum(weights)
        assert shares[rank].start == shares[rank - 1].stop == Job(2**64, points, 0).nearest_unit(position)


def test_equal_weights_give_equal_shares() -> None:
    assert partition(Job(10, 1000, 0), range(10), [1, 1]) == [range(5), range(5, 10)]


@given(jobs, st.integers(1, 10**9))
def test_chunks_begin_where_the_units_do(job: Job, points: int) -> None:
    piece = first_chunk(job, range(job.units), points)
    assert piece.start == 0
    assert 0 < len(piece) <= min(MAX_UNITS, job.units)
    assert len(piece) == 1 or job.points_in(piece) <= points + job.unit_points(0)
    if 2 * points < job.total_points and len(piece) < MAX_UNITS:
        assert job.points_in(piece) >= points - job.unit_points(0)


def simulate(
    job: Job, rates: list[float], change: dict[int, list[float]] | None = None
) -> list[dict[str, float]]:
    """Count a job with ranks of these rates (points per second); return duration and wait of each round."""
    balancer = LoadBalancer(job, [range(job.units)], [1] * len(rates))
    history: list[dict[str, float]] = []
    next_unit = 0
    while True:
        rates = (change or {}).get(len(history), rates)
        units, weights = balancer.next_round()
        if not units:
            break
        assert units.start == next_unit
        next_unit = units.stop
        points = np.array([job.points_in(share) for share in partition(job, units, weights)])
        seconds = points / np.array(rates)
        balancer.update(points, (seconds * 1e9).astype(np.int64), np.full(len(rates), 10**5))
        assert points.max() <= 3 * Tuning.max_points // 2
        longest = seconds.max()
        history.append({"seconds": longest, "wait_share": 1 - seconds.mean() / longest})
    assert next_unit == job.units
    return history


def test_no_rank_gets_too_much_however_its_threads_differ_from_the_others() -> None:
    """Counts that are always too short to tell a rate make the first rounds larger and larger."""
    threads = [256, *[1] * 99]
    job = Job(trials=1 << 60, points=BLOCK, seed=0)
    balancer = LoadBalancer(job, [range(job.units)], threads)
    for _ in range(20):
        units, weights = balancer.next_round()
        points = np.array([BLOCK * len(share) for share in partition(job, units, weights)])
        assert points.max() <= Tuning.max_points + BLOCK
        balancer.update(points, np.ones(100, np.int64), np.zeros(100, np.int64))
    assert points.max() >= Tuning.max_points - BLOCK


def test_rank_that_had_too_little_to_show_its_rate_is_not_starved() -> None:
    """Trials of one whole block and one point: an even deal of few units can give a rank single points."""
    job = Job(trials=600, points=BLOCK + 1, seed=0)
    balancer = LoadBalancer(job, [range(job.units)], [1] * 4)
    counted = np.zeros(4, np.int64)
    while True:
        units, weights = balancer.next_round()
        if not units:
            break
        points = np.array([job.points_in(share) for share in partition(job, units, weights)])
        counted += points
        # Each count takes a microsecond of its own, as it does for an empty share too.
        balancer.update(points, (points / 4e9 * 1e9).astype(np.int64) + 1000, np.full(4, 10**5))
    assert counted.min() > 0.8 * counted.mean()


def test_rank_that_was_held_up_once_comes_back() -> None:
    job = Job(trials=20_000, points=BLOCK, seed=0)
    balancer = LoadBalancer(job, [range(job.units)], [1] * 4)
    shares = []
    for number in range(40):
        units, weights = balancer.next_round()
        points = np.array([job.points_in(share) for share in partition(job, units, weights)])
        nanoseconds = (points / 4e9 * 1e9).astype(np.int64) + 1000
        if number == 8:
            nanoseconds[2] = 300 * 10**9
        balancer.update(points, nanoseconds, np.full(4, 10**5))
        shares.append(points[2] / points.sum())
    assert shares[9] < 0.1
    assert shares[-1] > 0.2


def test_rounds_grow_to_a_second() -> None:
    history = simulate(Job(10**6, 10**5, 0), [4e9, 4e9])
    assert history[0]["seconds"] < 0.01
    for round_ in history[4:-1]:
        assert round_["seconds"] == pytest.approx(Tuning.round_nanoseconds / 1e9, rel=0.01)
    assert history[-1]["seconds"] < 1.6


def test_slow_rank_gets_less_from_the_third_round_on() -> None:
    history = simulate(Job(10**6, 10**5, 0), [4e9, 1e9, 4e9, 4e9])
    assert history[0]["wait_share"] > 0.4
    assert all(round_["wait_share"] < 0.02 for round_ in history[1:])


def test_rank_that_becomes_slow_is_relieved_within_three_rounds() -> None:
    history = simulate(Job(10**6, 10**6, 0), [4e9] * 4, change={8: [4e9, 1e9, 4e9, 4e9]})
    assert history[8]["wait_share"] > 0.4
    assert all(round_["wait_share"] < 0.1 for round_ in history[11:-1])


def test_slow_network_makes_rounds_longer() -> None:
    job = Job(10**6, 10**5, 0)
    balancer = LoadBalancer(job, [range(job.units)], [1])
    points = np.array([10**9])
    for _ in range(5):
        units, _weights = balancer.next_round()
        balancer.update(points, np.array([10**9]), np.array([5 * 10**7]))
    units, _weights = balancer.next_round()
    assert job.points_in(units) == pytest.approx(5e9, rel=0.01)  # 5 s for a wait of 50 ms


def test_rank_that_waits_for_a_slow_one_makes_rounds_no_longer() -> None:
    """Only what even the slowest rank waits is the cost of a round."""
    job = Job(10**6, 10**5, 0)
    balancer = LoadBalancer(job, [range(job.units)], [1, 1])
    for _ in range(3):
        balancer.next_round()
        balancer.update(np.array([10**9] * 2), np.array([10**9] * 2), np.array([10**6, 9 * 10**8]))
    units, _weights = balancer.next_round()
    assert job.points_in(units) == pytest.approx(2e9, rel=0.01)  # a second


def test_units_are_bounded_when_their_hits_are_collected() -> None:
    balancer = LoadBalancer(Job(10**9, 1, 0), [range(10**9)], [1, 1], Tuning(max_units=1000))
    for _ in range(5):
        units, _weights = balancer.next_round()
        assert len(units) <= 1000
        balancer.update(np.array([10**9, 10**9]), np.array([10**8, 10**8]), np.array([0, 0]))


def test_counts_too_short_to_tell_a_rate_do_not_make_the_rounds_shrink() -> None:
    balancer = LoadBalancer(Job(10**9, 1, 0), [range(10**9)], [1] * 4, Tuning(max_units=1000))
    for _ in range(5):
        units, weights = balancer.next_round()
        assert len(units) == 1000
        assert len(set(weights)) == 1
        balancer.update(np.full(4, 250), np.full(4, 10**5), np.full(4, 10**5))


def test_rounds_of_jobs_beyond_machine_integers_are_exact() -> None:
    job = Job(10**15, 10**9, 0)
    balancer = LoadBalancer(job, [range(job.units)], [1] * 3)
    units, weights = balancer.next_round()
    balancer.update(np.array([10**9] * 3), np.array([10**9] * 3), np.array([0] * 3))
    units, weights = balancer.next_round()
    parts = partition(job, units, weights)
    assert sum(map(len, parts)) == len(units) < 1000
    far = range(job.units - 100, job.units)
    assert sum(map(len, partition(job, far, [1, 2, 3]))) == 100


def test_threads_count_in_the_first_round() -> None:
    """Until the rates are known, shares and the length of the round go by the numbers of threads."""
    job = Job(10**9, 1000, 0)
    balancer = LoadBalancer(job, [range(job.units)], [1, 64])
    units, weights = balancer.next_round()
    assert job.points_in(units) == pytest.approx(65 * Tuning.first_points, rel=1e-3)
    assert weights.tolist() == [1, 64]


def test_rounds_too_short_to_tell_grow() -> None:
    job = Job(10**15, 1000, 0)
    balancer = LoadBalancer(job, [range(job.units)], [1, 1])
    sizes = []
    for _ in range(4):
        units, _weights = balancer.next_round()
        sizes.append(job.points_in(units))
        balancer.update(np.array([sizes[-1] // 2] * 2), np.array([1000, 1000]), np.array([0, 0]))
    assert sizes == pytest.approx([sizes[0] * 8**k for k in range(4)], rel=1e-3)
