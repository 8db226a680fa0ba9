"""Statistics of a rank after its rounds."""

import pytest

from support.runs import flame


@pytest.mark.parametrize(("seconds", "waited"), [(2.0, 0.5), (1.5, 0.0), (1.4, 0.0)])
def test_rank_waits_while_it_does_not_count(seconds: float, waited: float) -> None:
    """A rank may seem to count for longer than the rounds have lasted, as two clocks are read."""
    row = flame().ranks[0].after([3, 3000, 2356, 1_500_000_000], [7 * 10**9, 10**9, 4096], True, seconds)
    assert (row.units, row.points, row.hits) == (3, 3000, 2356)
    assert (row.count_seconds, row.wait_seconds) == (1.5, waited)
    assert (row.user_seconds, row.system_seconds, row.peak_memory_bytes) == (7.0, 1.0, 4096)
