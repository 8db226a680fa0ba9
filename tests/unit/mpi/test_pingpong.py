"""Bandwidth from noisy times, which is never more than was measured."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.mpi import pingpong

seconds = st.floats(1e-7, 10)


@given(st.integers(1 << 16, 1 << 22), seconds, seconds)
def test_bandwidth_is_near_what_came_over_in_the_time(size: int, trip: float, shortest: float) -> None:
    found = pingpong.bandwidth(size, trip, shortest)
    assert size / trip <= found <= 2.001 * size / trip


@given(st.floats(1e-6, 0.05), st.floats(1e6, 1e10))
def test_bandwidth_of_a_quiet_link_is_exact(latency: float, bytes_per_second: float) -> None:
    """A round trip takes two latencies, and the time for the bytes of the answer."""
    size = 1 << 22
    found = pingpong.bandwidth(size, 2 * latency + size / bytes_per_second, 2 * latency)
    assert found == pytest.approx(size / (latency + size / bytes_per_second))


def test_bandwidth_of_transfers_quicker_than_the_latency_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host with more ranks than cores: small messages wait for the core, a large one does not."""

    def exchange(_comm: Any, _rank: int, reply: Any) -> tuple[float, float]:
        return (4e-3, 0.0) if reply.size == 1 else (1e-3, 0.0)

    monkeypatch.setattr(pingpong, "exchange", exchange)
    link = pingpong.measure(None, 1, 0.01)  # type: ignore[arg-type]
    assert link.latency_seconds == 2e-3
    assert link.bytes_per_second == link.message_bytes / 1e-3
