"""Locks between real processes; some of them pretend to be on another machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mpi_pi.storage import lock_file
from mpi_pi.storage.lock_file import Lock, LockHeld

OWNER = """
import sys
from pathlib import Path
from unittest import mock
from mpi_pi.storage import lock_file as lock
mock.patch.object(lock, "BEAT_SECONDS", 0.1).start()
if sys.argv[2] == "elsewhere":
    mock.patch.object(lock, "this_machine", lambda: "another machine").start()
held = lock.Lock(Path(sys.argv[1]))
held.acquire()
print("acquired", flush=True)
sys.stdin.read()
held.release()
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the times; the patience is ten beats of the owners here, and four outside of the tests."""
    monkeypatch.setattr(lock_file, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(lock_file, "BEAT_SECONDS", 0.1)


def owner(path: Path, where: str, **environ: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path), where],
        env=os.environ | environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "acquired\n"
    return process


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_lock_of_living_owner_is_held(tmp_path: Path, where: str) -> None:
    path = tmp_path / "lock"
    with owner(path, where) as process:
        content = path.read_bytes()
        with pytest.raises(LockHeld, match=f"process {process.pid} on host {os.uname().nodename}"):
            Lock(path).acquire()
        assert json.loads(path.read_bytes())["owner"] == json.loads(content)["owner"]
        process.communicate(timeout=30)
    assert not path.exists()


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("reaped", [True, False])
def test_lock_of_dead_owner_is_taken(tmp_path: Path, where: str, reaped: bool) -> None:
    path = tmp_path / "lock"
    with owner(path, where) as process:
        process.send_signal(signal.SIGKILL)
        if reaped:
            process.wait()
        else:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie still
        mine = Lock(path)
        mine.acquire()
        with pytest.raises(LockHeld):
            Lock(path).acquire()
        mine.release()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("survives", ["1", "0"])
def test_lock_of_a_lost_rank_of_the_own_job_is_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: str
) -> None:
    """The rank may seem to live, if it is only stopped, or its host may be out of reach."""
    job = {"OMPI_MCA_mpi_ft_enable": survives, "PMIX_NAMESPACE": "prterun-octclient-4711@1"}
    path = tmp_path / "lock"
    with owner(path, "elsewhere", **job) as process:
        for name, value in job.items():
            monkeypatch.setenv(name, value)
        if survives == "1":
            lock = Lock(path)
            lock.acquire()
            assert json.loads(path.read_text())["pid"] == os.getpid()
            lock.release()
        else:
            with pytest.raises(LockHeld):
                Lock(path).acquire()
        process.kill()


def test_other_process_of_the_same_number_is_not_the_owner(tmp_path: Path) -> None:
    """Process numbers are used again: the owner is told by its start time, too."""
    path = tmp_path / "lock"
    held = Lock(path)
    held.acquire()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"owner": "other", "started": 1}))
    mine = Lock(path)
    mine.acquire()
    mine.release()
    held.release()


def test_owner_that_stood_still_finds_its_lock_taken(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    stopped = Lock(path)
    stopped.acquire()
    stopped._me["machine"] = "another machine"
    stopped._released.set()  # it beats no more
    time.sleep(0.3)
    path.write_text(json.dumps(stopped._me))  # as it was, but of another machine
    mine = Lock(path)
    mine.acquire()
    stopped._released.clear()
    stopped._beat()  # it wakes up
    assert stopped.lost
    assert not mine.lost
    stopped.release()
    assert path.exists()
    mine.release()
    assert not path.exists()


def test_owner_whose_lock_file_was_removed_has_not_lost_the_lock(tmp_path: Path) -> None:
    """Nobody else has taken it; a file system may also be gone for a while."""
    held: Any = Lock(tmp_path / "lock")
    held.acquire()
    held._released.set()  # its own thread beats no more
    ends = iter([False, True])
    held._released = SimpleNamespace(wait=lambda _: next(ends), is_set=lambda: False, set=lambda: None)
    held.path.unlink()
    held._beat()
    assert not held.lost
    held.release()


@pytest.mark.parametrize("content", [b"", b"rubbish", b"[]", b'{"pid": "../self", "machine": null}'])
def test_lock_file_without_owner_is_taken_after_a_while(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lock"
    path.write_bytes(content)
    mine = Lock(path)
    mine.acquire()
    mine.release()


def test_one_of_many_processes_gets_the_lock(tmp_path: Path) -> None:
    """Both of a free lock, and of one whose owner is dead."""
    path = tmp_path / "lock"
    for stale in (False, True):
        if stale:
            path.write_text("nobody's")
        got: list[Lock] = []
        refused: list[LockHeld] = []

        def come(got: list[Lock] = got, refused: list[LockHeld] = refused) -> None:
            mine = Lock(path)
            try:
                mine.acquire()
            except LockHeld as held:
                refused.append(held)
            else:
                got.append(mine)

        threads = [threading.Thread(target=come) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(got), len(refused)) == (1, 7)
        got[0].release()


def test_lock_in_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lock(tmp_path / "no" / "lock").acquire()
