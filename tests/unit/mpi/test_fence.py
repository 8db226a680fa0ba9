"""A process that stood still is ended, and one that only waited for long is not."""

import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from mpi_pi.mpi import fence

PROGRAM = """
import os, time
from mpi_pi.mpi import fence
def end(why):
    print(why, flush=True)
    os._exit(7)
fence.put_up(1.0, end)
with fence.kept_up():
    print("within", flush=True)
    time.sleep(2.0)
print("after", flush=True)
"""


def started() -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "within\n"
    return process


def test_process_that_was_stopped_in_a_long_call_ends() -> None:
    process = started()
    process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 7
    assert said.startswith("stood still for ")
    assert "after" not in said


def test_long_call_alone_does_not_end_the_process() -> None:
    process = started()
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said == "after\n"


class Fenced:
    """A process behind a fence of 10 seconds; `now` is its time, and `ends` has the texts of its ends."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ends: list[str] = []

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Fenced:
    process = Fenced()
    monkeypatch.setattr(fence, "time", SimpleNamespace(monotonic=process.monotonic))
    for name in ("_limit_seconds", "_end", "_checked_at"):
        monkeypatch.setattr(fence, name, getattr(fence, name))
    fence.put_up(10.0, process.ends.append)
    return process


def test_process_that_checks_often_is_not_ended(process: Fenced) -> None:
    for _ in range(10):
        process.now += 9.5
        fence.check()
    assert process.ends == []


def test_process_that_checks_too_late_is_ended_once(process: Fenced) -> None:
    process.now += 10.5
    fence.check()
    fence.check()
    assert process.ends == ["stood still for 10 s, and the other ranks have gone on without it"]


def test_process_that_stood_still_before_a_long_call_is_ended_before_it(process: Fenced) -> None:
    process.now += 10.5
    with fence.kept_up():
        assert len(process.ends) == 1


def test_process_without_a_fence_may_stand_still() -> None:
    assert fence._limit_seconds == float("inf")
    fence.check()  # which would print, or end this process
