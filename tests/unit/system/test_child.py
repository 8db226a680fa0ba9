"""Child processes that are given up."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mpi_pi.system.child import Child, Tell

SOON, LATER = 30.0, 60.0


def hang(_: Tell) -> int:
    time.sleep(LATER)
    return 0


@pytest.mark.parametrize(
    ("work", "status"),
    [
        (lambda _: 0, 0),
        (lambda _: 75, 75),
        (lambda _: 1 // 0, os.EX_SOFTWARE),
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
        (lambda _: os.kill(os.getpid(), signal.SIGTERM), -signal.SIGTERM),
    ],
)
def test_status_is_that_of_the_work(work: Callable[[Tell], int], status: int) -> None:
    child = Child(work, LATER)
    assert child.status_by(time.monotonic() + SOON) == status
    child.give_up()


def test_child_tells_what_it_is_at() -> None:
    def work(tell: Tell) -> int:
        tell("one")
        tell("two")
        return 0

    child = Child(work, LATER)
    assert child.status_by(time.monotonic() + SOON) == 0
    assert child.told == "two"
    assert child.told == "two"


def test_child_that_hangs_has_no_status_and_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    def work(tell: Tell) -> int:
        if not os.fork():
            (tmp_path / "grandchild").write_text(str(os.getpid()))
            (tmp_path / "grandchild").rename(tmp_path / "started")
            time.sleep(LATER)
        return hang(tell)

    child = Child(work, LATER)
    deadline = time.monotonic() + SOON
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    grandchild = psutil.Process(int((tmp_path / "started").read_text()))
    assert child.status_by(time.monotonic()) is None
    child.give_up()
    assert child.status_by(time.monotonic() + SOON) == -signal.SIGKILL
    with contextlib.suppress(psutil.NoSuchProcess):
        grandchild.wait(SOON)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_child_that_nobody_gives_up_ends_by_itself() -> None:
    child = Child(hang, 0.1)
    assert child.status_by(time.monotonic() + SOON) == -signal.SIGALRM


def test_output_of_any_length_comes_to_the_parent() -> None:
    def work(_: Tell) -> int:
        os.write(1, b"out" * 100_000)
        os.write(2, b"err")
        return 0

    child = Child(work, LATER)
    assert child.status_by(time.monotonic() + SOON) == 0
    assert (child.output, child.errors) == (b"out" * 100_000, b"err")
