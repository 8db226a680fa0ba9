"""The order of commands in a survey, with made-up answers."""

from types import SimpleNamespace
from typing import Any

import pytest

from mpi_pi.check import survey


class Loop:
    """A loop of commands in which rank 1 of two is silent from some command on."""

    def __init__(self, silent_from: str) -> None:
        self.lost: set[int] = set()
        self.problems: dict[int, str] = {}
        self.called: list[str] = []
        self._silent_from = silent_from

    def call_on_all(self, command: str, _argument: Any) -> dict[int, Any]:
        self.called.append(command)
        if command == self._silent_from:
            self.lost.add(1)
        ranks = [rank for rank in range(2) if rank not in self.lost]
        return {rank: {"host": f"node{rank}"} if command == "facts" else {} for rank in ranks}


@pytest.mark.parametrize(
    ("silent_from", "called", "second"),
    [
        ("facts", ["facts"], "host of rank 1"),
        ("kernel", ["facts", "kernel"], "node1"),
        ("count", ["facts", "kernel", "count"], "node1"),
    ],
)
def test_step_that_loses_a_rank_is_the_last(
    monkeypatch: pytest.MonkeyPatch, silent_from: str, called: list[str], second: str
) -> None:
    monkeypatch.setattr(survey, "runtime", SimpleNamespace(host_name=lambda: "node0"))
    loop, comm = Loop(silent_from), SimpleNamespace(size=2, rank=0)
    hosts = survey.conduct(comm, loop)  # type: ignore[arg-type]
    assert loop.called == called
    assert [(host.name, host.reachable) for host in hosts] == [("node0", True), (second, False)]
