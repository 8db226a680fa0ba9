"""When a run saves its checkpoint, at a time that is made up."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from mpi_pi.cli import run_hooks
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard
from mpi_pi.mpi.stop import StopRequest
from mpi_pi.parallel.hooks import Round

WORK = Shard(Job(1000, 1000, 1))


def test_long_round_is_saved_at_intervals_and_at_once_after_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """mpirun may send the signal because a host is silent, and soon kill what waits for that host."""
    clock, stop, saved = SimpleNamespace(now=100.0), StopRequest(), list[float]()
    monkeypatch.setattr(run_hooks, "time", SimpleNamespace(monotonic=lambda: clock.now))
    checkpoint: Any = SimpleNamespace(save=lambda: saved.append(clock.now), update=lambda shard: None)
    hooks = run_hooks.hooks(checkpoint, None, stop, lambda round_: None, lambda points: None)
    on_round, on_idle = hooks.on_round, hooks.on_idle
    assert on_round
    assert on_idle

    def idle(*times: float) -> list[float]:
        saved.clear()
        for now in times:
            clock.now = now
            on_idle()
        return saved

    assert idle(100.0, 105.0) == []
    assert idle(105.5, 106.0) == [105.5]
    clock.now = 109.0
    on_round(Round(0, range(10), WORK, None))
    assert idle(110.6, 114.0) == []
    stop.request(signal.SIGTERM)
    assert idle(114.0, 114.1, 119.0, 119.2) == [114.0, 119.2]
