"""Phases of the time of rank 0, which add up to the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.system import phases

POINTS = ("process", "program", "imported", "mpi", "met", "start", "end", "summed")
spans = st.floats(0, 1e4)


@given(st.lists(spans, min_size=len(POINTS), max_size=len(POINTS)), spans, spans, st.sampled_from([0, 1, 2]))
def test_phases_add_up_to_the_whole_time(
    lasted: list[float], kernel: float, count: float, missing: int
) -> None:
    """The sum holds also for a run that was interrupted in a round, or before the first one."""
    times = [sum(lasted[: number + 1]) for number in range(len(lasted))]
    at = dict(zip(POINTS, times, strict=True))
    for point in ("end", "start")[:missing]:
        del at[point]
    own = phases.durations(at, kernel, count)
    assert list(own) == list(phases.PHASES)
    assert phases.total(own) == pytest.approx(at["summed"] - at["process"], abs=1e-6)
