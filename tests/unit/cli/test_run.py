"""When a run saves its checkpoint, at a time that is made up."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from mpi_pi.cli import run
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard
from mpi_pi.mpi.stop import StopRequest
from mpi_pi.parallel.hooks import Round

WORK = Shard(Job(1000, 1000, 1))


def test_long_round_is_saved_at_intervals_and_at_once_after_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """mpirun may send the signal because a host is silent, and soon kill what waits for that host."""
    clock, stop, saved = SimpleNamespace(now=100.0), StopRequest(), list[float]()
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: clock.now))
    of_rank_0: Any = object.__new__(run._Run)
    of_rank_0.options = SimpleNamespace(trial_log=None)
    of_rank_0.supervised = None
    of_rank_0.ranks = SimpleNamespace(signals=SimpleNamespace(stop=stop))
    checkpoint = SimpleNamespace(save=lambda: saved.append(clock.now), update=lambda shard: None)
    of_rank_0.output = SimpleNamespace(checkpoint=checkpoint, log_round=lambda job: lambda round_: None)
    hooks = of_rank_0._hooks(SimpleNamespace(shard=WORK), lambda points: None)

    def idle(*times: float) -> list[float]:
        saved.clear()
        for now in times:
            clock.now = now
            hooks.on_idle()
        return saved

    assert idle(100.0, 105.0) == []
    assert idle(105.5, 106.0) == [105.5]
    clock.now = 109.0
    hooks.on_round(Round(0, range(10), WORK, None))
    assert idle(110.6, 114.0) == []
    stop.request(signal.SIGTERM)
    assert idle(114.0, 114.1, 119.0, 119.2) == [114.0, 119.2]
