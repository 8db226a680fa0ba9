"""The meter of a rank's rate, and what rank 0 makes of the meters of all ranks."""

import numpy as np
import pytest

from mpi_pi.burn_in import meter
from mpi_pi.burn_in.meter import Meter, Metered, Work
from mpi_pi.burn_in.report import MAX_CELLS, NOTHING, Report, step_seconds, work_of
from mpi_pi.kernel import loader
from mpi_pi.model.job import Job

JOB = Job(1000, 1000, 5)


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def measured(seconds: float, rate: float = 1e6, end_rate: float = 1e6) -> Metered:
    """Return the work of a phase in pieces of a tenth of a second, at a rate that changes halfway."""
    clock = Clock()
    own = Meter(JOB, seconds, clock)
    for piece in range(round(seconds * 10)):
        clock.now += 0.1
        now = rate if piece < seconds * 5 else end_rate
        own.add(Work(int(now / 10), 0.1, 0.1))
    return own.result()


def test_first_and_last_minute_of_a_long_phase_are_compared() -> None:
    told = measured(600, 1e6, 0.7e6)
    assert told.first.rate(1) == pytest.approx(1e6)
    assert told.last.rate(1) == pytest.approx(0.7e6)
    assert told.first.seconds == pytest.approx(60, abs=0.2)
    assert told.last.seconds == pytest.approx(60, abs=1.2)
    assert told.whole.points == pytest.approx(600 * 0.85e6)


def test_short_phase_is_divided_into_thirds() -> None:
    assert meter.window(30) == 10
    assert meter.window(3600) == 60
    told = measured(30, 1e6, 0.5e6)
    assert told.first.seconds == pytest.approx(10, abs=0.2)
    assert told.last.rate(1) == pytest.approx(0.5e6)


def test_phase_that_is_stopped_has_a_last_minute() -> None:
    clock = Clock()
    own = Meter(JOB, 36_000, clock)
    for second in range(100):
        clock.now += 1
        own.add(Work(second, 1.0, 1.0))
    last = own.result().last
    assert last.seconds in (60, 61)
    assert last.points / last.seconds == pytest.approx(69.5, abs=0.6)


def test_steps_of_a_long_phase_are_bounded_and_lose_nothing() -> None:
    told = measured(1100)
    assert told.step_seconds == 4.0
    assert len(told.steps) in (275, 276)
    assert sum(step.points for step in told.steps) == told.whole.points


def test_rate_is_that_of_all_threads() -> None:
    """Of four threads that work for a second each, at the same time, and have their core for half of it."""
    assert Work(400, 4.0, 2.0).rate(4) == 800.0
    assert Work(400, 4.0, 2.0).core_share == 0.5
    assert Work().rate(4) is None
    assert Work().core_share is None


@pytest.mark.parametrize("name", ["numba", "numpy"])
def test_metered_kernel_counts_the_same(name: str) -> None:
    kernel = loader.load(name)
    own = Meter(JOB, 60)
    metered = own.metered(kernel)
    assert np.array_equal(metered.count(JOB, range(10, 30)), kernel.count(JOB, range(10, 30)))
    told = own.result()
    assert told.whole.points == 20_000
    assert told.whole.seconds > 0
    assert metered.self_test()
    assert own.result().whole.points == 20_000  # without the known answers


def test_stopped_count_is_metered_as_far_as_it_came() -> None:
    own = Meter(JOB, 60)
    hits = own.metered(loader.load("numpy")).count(JOB, range(1000), lambda: True)
    assert own.result().whole.points == 1000 * len(hits) < 1_000_000


def reports(number: int, steps: int) -> list[Report]:
    steps_of_rank = tuple(Work(10, 1.0, 1.0) for _ in range(steps))
    return [Report(Metered(Work(), Work(), Work(), 1.0, steps_of_rank), None)] * number


def test_ranks_get_steps_of_equal_length() -> None:
    long = Report(measured(1100), None)
    short = reports(1, 8)[0]
    seconds = step_seconds([long, short])
    assert seconds == 4.0
    assert work_of(short, seconds, 1, right=True).rates == (10, 10)
    assert work_of(NOTHING, seconds, 1, right=False).rates == ()


def test_thousands_of_ranks_have_few_steps() -> None:
    seconds = step_seconds(reports(4000, 256))
    assert seconds == 8.0
    assert 256 / seconds * 4000 <= MAX_CELLS
    assert step_seconds(reports(100_000, 256)) == 16.0
    rates = work_of(reports(1, 256)[0], 8.0, 2, right=True).rates
    assert rates == (20,) * 32
