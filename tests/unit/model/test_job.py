"""Units of a job, against the counts of the points themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.model.job import BLOCK, MAX_POINTS, MAX_TRIALS, Job

sizes = st.sampled_from([1, 2, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 5 * BLOCK // 2, 10**9])
jobs = st.builds(Job, trials=st.integers(1, 20), points=sizes, seed=st.just(0))


@given(jobs)
def test_units_hold_each_point_once(job: Job) -> None:
    sizes_of_units = [job.unit_points(unit) for unit in range(job.units)]
    assert all(1 <= size <= BLOCK for size in sizes_of_units)
    assert sum(sizes_of_units) == job.trials * job.points == job.total_points
    assert [job.points_before(u) for u in range(job.units + 1)] == [
        sum(sizes_of_units[:u]) for u in range(job.units + 1)
    ]
    assert [job.trial_and_block(u)[0] for u in range(job.units)] == sorted(
        list(range(job.trials)) * job.blocks
    )


@given(jobs, st.data())
def test_nearest_unit_is_the_nearest(job: Job, data: st.DataObject) -> None:
    point = data.draw(st.integers(0, job.total_points))
    chosen = job.nearest_unit(point)
    best = min(abs(job.points_before(unit) - point) for unit in range(job.units + 1))
    assert abs(job.points_before(chosen) - point) == best


@pytest.mark.parametrize(
    "wrong",
    [
        {"trials": 0},
        {"trials": -1},
        {"trials": MAX_TRIALS + 1},
        {"points": 0},
        {"points": MAX_POINTS + 1},
        {"seed": -1},
    ],
)
def test_impossible_jobs_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Job(**({"trials": 1, "points": 1, "seed": 0} | wrong))


def test_units_of_jobs_beyond_machine_integers_are_exact() -> None:
    job = Job(trials=MAX_TRIALS, points=MAX_POINTS, seed=1 << 200)
    assert job.total_points == 2 ** (64 + 58)
    assert job.units == 2 ** (64 + 32)
    assert job.nearest_unit(job.total_points) == job.units
    assert job.trial_and_block(job.units - 1) == (2**64 - 1, 2**32 - 1)
