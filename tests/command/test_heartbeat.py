"""Ranks that fall silent, and ranks that are suspended for a while."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mpi_pi.kernel.loader import Kernel
from mpi_pi.storage import checkpoint
from support.faults import Faults, impatience
from support.launching import MPIRUN

RANKS = 3


@pytest.fixture
def run(environment: dict[str, str], faults: Faults, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start an endless run, and return it once it has saved a checkpoint."""
    place = tmp_path / "c"
    program = faults.program(values=impatience(every=0.2, patience=4.0, step=0.1))
    command = [MPIRUN, "-n", str(RANKS), program, "run", "-n", "1e15", "-i", "10k"]
    command += ["--seed", "1", "--kernel", "numpy", "--checkpoint", str(place), "--checkpoint-every", "1s"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        deadline = time.monotonic() + 60
        while not saved_points(place):
            assert time.monotonic() < deadline, "nothing was saved"
            time.sleep(0.05)
        yield process
        process.kill()


def saved_points(place: Path) -> int:
    part = checkpoint.load(place)
    return part.tally.points if part else 0


def ranks_of(run: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(run.pid).children(recursive=True)
    by_rank = {one.environ()["OMPI_COMM_WORLD_RANK"]: one for one in children if "run" in one.cmdline()}
    return [by_rank[str(rank)] for rank in range(RANKS)]


def test_rank_that_is_silent_ends_the_job(run: subprocess.Popen[str], tmp_path: Path, kernel: Kernel) -> None:
    ranks_of(run)[1].send_signal(signal.SIGSTOP)
    _, errors = run.communicate(timeout=30)
    assert run.returncode == 75  # to be run again, from the checkpoint
    assert f"mpi-pi: error: host {os.uname().nodename} has been silent for 4 s, with rank 1\n" in errors
    assert "points are saved in" in errors
    part = checkpoint.load(tmp_path / "c")
    assert part is not None
    hits = kernel.count(part.job, range(part.tally.units)).sum()
    assert part.tally.hits == hits > 0


def test_ranks_that_were_all_asleep_go_on(run: subprocess.Popen[str], tmp_path: Path) -> None:
    """A batch system suspends all ranks, and resumes one after the other."""
    ranks = ranks_of(run)
    for rank in ranks:
        rank.send_signal(signal.SIGSTOP)
    before = saved_points(tmp_path / "c")
    time.sleep(5)  # more than their patience
    for rank in ranks:
        rank.send_signal(signal.SIGCONT)
        time.sleep(0.5)
    deadline = time.monotonic() + 30
    while saved_points(tmp_path / "c") <= before:
        assert time.monotonic() < deadline, "they do not go on"
        assert run.poll() is None
        time.sleep(0.05)
