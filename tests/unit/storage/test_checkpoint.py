"""Checkpoints: after any failure the file is the old or the new one, and other files are refused."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpi_pi.errors import RunError
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.report import plain
from mpi_pi.report import run as run_report
from mpi_pi.storage import json_document, lock_file
from mpi_pi.storage.checkpoint import CheckpointError, dumps, load
from mpi_pi.storage.lock_file import LockHeld
from support.checkpoints import JOB, keeper, part, warnings
from support.launching import TESTS, soak
from support.mutation import damaged, forged

CONTENT = dumps(part(300)).encode()


@pytest.fixture(autouse=True)
def _no_warnings_yet() -> None:
    warnings.clear()


def test_checkpoint_is_small_whatever_the_job(tmp_path: Path) -> None:
    huge = Job(2**64, 2**58, 10**300)
    (tmp_path / "c").write_text(dumps(Shard(huge, 2**90, 2**90 + 1)))
    assert (tmp_path / "c").stat().st_size < 2000
    assert load(tmp_path / "c") == Shard(huge, 2**90, 2**90 + 1)


in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)


@in_one_folder
@given(content=damaged(CONTENT) | st.binary(max_size=200))
def test_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with contextlib.suppress(json_document.DocumentError):
        assert load(tmp_path / "c") == part(300)


@in_one_folder
@given(content=forged(CONTENT))
def test_forged_checkpoint_is_refused_or_makes_sense(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with contextlib.suppress(json_document.DocumentError):
        loaded = load(tmp_path / "c")
        assert loaded is not None
        assert 0 <= loaded.tally.hits <= loaded.tally.points <= loaded.points
        assert plain.text([run_report.head(loaded, [], "An MPI")])
        assert dumps(replace(loaded, usage=loaded.usage + loaded.usage))


NO_KIND = json_document.dumps(
    {name: value for name, value in json.loads(CONTENT).items() if name not in ("checksum", "kind")}
)
FUTURE = json.dumps(json.loads(CONTENT) | {"format": 3, "version": "9.0"})
OTHER_STREAM = json_document.dumps(
    {name: value for name, value in json.loads(CONTENT).items() if name != "checksum"} | {"stream_version": 7}
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"\x00" * 600, "not written by mpi-pi"),
        (b"3.14159", "not written by mpi-pi"),
        (b"[" * 100_000, "not written by mpi-pi"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not written by mpi-pi"),
        (CONTENT[:-40], "damaged"),
        (CONTENT.replace(b"235500", b"235501"), "damaged"),
        (CONTENT.replace(b'"checkpoint"', b'"result"'), "something else of mpi-pi's"),
        (NO_KIND.encode(), "damaged"),
        (FUTURE.encode(), "format 3 of mpi-pi '9.0'"),
        (OTHER_STREAM.encode(), "stream version 7, not 1"),
    ],
)
def test_other_file_is_refused_with_a_reason_and_stays(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "c"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=why) as raised:
        keeper(path)
    assert f"argument --checkpoint: '{path}': " in str(raised.value)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Shard(Job(1001, 1000, 2**90)), "trials 1000, not 1001"),
        (Shard(Job(1000, 10, 2**90)), "points per trial 1000, not 10"),
        (Shard(Job(1000, 1000, 5)), f"seed {2**90}, not 5"),
        (Shard(JOB, 2, 3), "shard 1/1, not 2/3"),
        (Shard(Job(1, 1000, 5)), f"trials 1000, not 1, seed {2**90}, not 5"),
    ],
)
def test_another_job_is_refused_with_what_differs(tmp_path: Path, wanted: Shard, why: str) -> None:
    (tmp_path / "c").write_bytes(CONTENT)
    with keeper(tmp_path / "c") as kept, pytest.raises(CheckpointError, match=why):
        kept.begin(wanted)
    assert (tmp_path / "c").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("place", ["", "no/such/folder/c"])
def test_place_where_nothing_can_be_saved_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(CheckpointError, match="argument --checkpoint"), keeper(tmp_path / place) as kept:
        kept.begin(part(0))
    assert not list(tmp_path.iterdir())


def test_checkpoint_is_saved_at_intervals(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with keeper(path, every=3600) as kept:
        assert kept.begin(part(0)) == part(0)
        kept.update(part(10))
        assert load(path) == part(0)
    assert load(path) == part(10)  # at the end, of whatever kind
    with keeper(path, every=0) as kept:
        assert kept.begin(part(0)) == part(10)
        kept.update(part(20))
        assert load(path) == part(20)
        kept.finish(part(1000))
    assert load(path) == part(1000)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("restart", [True, False])
def test_place_that_is_no_regular_file_is_refused(
    tmp_path: Path, restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    os.mkfifo("pipe")
    for name in ("folder", "pipe", "/dev/null", "/dev/stdout", "/proc/self/fd/1"):
        with pytest.raises(CheckpointError, match="not a regular file"):
            keeper(Path(name), restart=restart)
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "pipe"}


def test_checkpoint_in_shared_memory_is_replaced_as_elsewhere() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "c"
        path.write_bytes(CONTENT)
        before = path.stat().st_ino
        with keeper(path) as kept:
            kept.begin(part(0))
            assert path.read_bytes() == CONTENT
            kept.finish(part(400))
        assert path.stat().st_ino != before
        assert load(path) == part(400)


@pytest.mark.parametrize("restart", [True, False])
def test_save_that_fails_is_a_warning_once(
    tmp_path: Path, restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start it is an error, and all files stay as they were."""

    def full(_file: int) -> None:
        raise OSError(28, os.strerror(28))

    (tmp_path / "c").write_bytes(CONTENT)
    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(CheckpointError, match="No space left on device"),
        keeper(tmp_path / "c", restart=restart),
    ):
        pytest.fail("it could not have a lock")
    assert (tmp_path / "c").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["c"]

    def full_but_for_the_lock(file: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink().name != "c.lock":
            full(file)

    monkeypatch.setattr(os, "fsync", full_but_for_the_lock)
    with keeper(tmp_path / "c", restart=restart) as kept:
        with pytest.raises(CheckpointError, match="No space left on device"):
            kept.begin(part(0))
        assert (tmp_path / "c").read_bytes() == CONTENT
        assert {path.name for path in tmp_path.iterdir()} == {"c", "c.lock"}


def test_exception_in_a_run_loses_no_counts(tmp_path: Path) -> None:
    def run() -> None:
        with keeper(tmp_path / "c") as kept:
            kept.begin(part(0))
            kept.update(part(10))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run()
    assert load(tmp_path / "c") == part(10)


def test_finished_checkpoint_needs_no_writing(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text(dumps(part(1000)))
    written = path.stat().st_mtime_ns
    with keeper(path) as one, keeper(path) as other:
        assert one.begin(part(0)) == other.begin(part(0)) == part(1000)
        one.finish(part(1000))
    assert path.stat().st_mtime_ns == written


def test_restart_keeps_the_old_files(tmp_path: Path) -> None:
    path = tmp_path / "c"
    for number, content in enumerate([CONTENT, b"rubbish", b""], 1):
        path.write_bytes(content)
        with keeper(path, restart=True) as kept:
            assert kept.begin(part(0)) == part(0)
        assert (tmp_path / f"c.{number}").read_bytes() == content
        assert load(path) == part(0)
    path.unlink()
    with keeper(path, restart=True) as kept:
        kept.begin(part(0))
    assert {path.name for path in tmp_path.iterdir()} == {"c", "c.1", "c.2", "c.3"}


def test_second_run_on_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with keeper(tmp_path / "c") as one:
        one.begin(part(0))
        (tmp_path / "link").symlink_to("c")
        for name in ("c", "link"):
            with pytest.raises(LockHeld, match=f"in use by process {os.getpid()} on host "):
                keeper(tmp_path / name)
        one.update(part(10))
    assert load(tmp_path / "c") == part(10)
    with keeper(tmp_path / "link") as two:
        assert two.begin(part(0)) == part(10)
        two.finish(part(20))
    assert load(tmp_path / "c") == part(20)
    assert (tmp_path / "link").is_symlink()


def test_run_goes_on_from_what_another_one_has_saved_until_it_had_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, acquire = tmp_path / "c", lock_file.Lock.acquire
    path.write_text(dumps(part(10)))

    def acquire_late(lock: lock_file.Lock) -> None:
        path.write_text(dumps(part(20)))
        acquire(lock)

    monkeypatch.setattr(lock_file.Lock, "acquire", acquire_late)
    with keeper(path) as kept:
        assert kept.begin(part(0)) == part(20)


def test_run_that_was_taken_over_gives_up(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with keeper(path, every=0) as kept:
        kept.begin(part(0))
        kept._lock.lost = True
        with pytest.raises(RunError, match="another run has taken over"):
            kept.update(part(10))
        kept.finish(part(10))
    assert load(path) == part(0)


def test_folder_that_vanishes_is_used_again_when_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with keeper(folder / "c", every=0) as kept:
        kept.begin(part(0))
        folder.rename(tmp_path / "away")
        for units in (10, 20):
            kept.update(part(units))
        assert len(warnings) == 1
        assert "No such file or directory" in warnings[0]
        assert load(tmp_path / "away" / "c") == part(0)
        (tmp_path / "away").rename(folder)
        kept.update(part(30))
    assert load(folder / "c") == part(30)
    assert len(warnings) == 1


# A process that kills itself at the n-th thing of note that it does while saving; see sys.audit.
SUICIDE = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from support.checkpoints import keeper, part
from pathlib import Path
left = int(sys.argv[2])
def hook(event, _arguments):
    global left
    if left > 0 and event.split(".")[0] in ("open", "os"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
kept = keeper(Path(sys.argv[1]), every=0)
kept.begin(part(0))
sys.addaudithook(hook)
kept.update(part(20))
"""


def test_checkpoint_is_old_or_new_if_killed_at_any_step_of_saving(tmp_path: Path) -> None:
    """A step is a system call with an audit event."""
    found = []
    for steps in range(1, 30):
        path = tmp_path / f"c{steps}"
        path.write_text(dumps(part(10)))
        program = SUICIDE.format(tests=str(TESTS))
        process = subprocess.run(
            [sys.executable, "-c", program, str(path), str(steps)],
            timeout=60,
            check=False,
            capture_output=True,
        )
        loaded = load(path)
        assert loaded is not None
        found.append(loaded.tally.units)
        with keeper(path) as kept:  # and a dead owner does not hold the lock
            assert kept.begin(part(0)) == loaded
        assert not path.with_name(path.name + ".lock").exists()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, process.stderr
    assert set(found) == {10, 20}
    assert sorted(found) == found
    assert len(found) > 5


SAVING = """
import sys
sys.path.insert(0, {tests!r})
from support.checkpoints import keeper, part
from pathlib import Path
parts = [part(units) for units in range(1000)]
with keeper(Path(sys.argv[1]), every=0) as kept:
    done = kept.begin(part(0)).tally.units
    print(done, flush=True)
    while True:
        done = (done + 1) % 1000
        kept.update(parts[done])
        print(done, flush=True)
"""


@pytest.mark.parametrize("times", [5, pytest.param(100, marks=soak)])
def test_checkpoint_is_the_last_or_the_next_if_killed_at_any_moment(tmp_path: Path, times: int) -> None:
    """The process saves without a pause, and prints each state after it has saved it."""
    path, chance = tmp_path / "c", random.Random(1)
    program = SAVING.format(tests=str(TESTS))
    for _ in range(times):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            first = process.stdout.readline()
            time.sleep(chance.uniform(0, 0.2))
            process.kill()
            said = int((first + process.stdout.read()).split()[-1])
        loaded = load(path)
        assert loaded is not None
        assert loaded.tally.units in (said, (said + 1) % 1000)
    assert {path.name for path in tmp_path.iterdir()} <= {"c", "c.lock"} | {
        path.name for path in tmp_path.glob(".c.*.part")
    }


def test_usage_is_kept(tmp_path: Path) -> None:
    spent = replace(part(0).usage, runs=3, real_seconds=1.25, user_seconds=7.5)
    with keeper(tmp_path / "c") as kept:
        kept.begin(part(0))
        kept.finish(replace(part(10), usage=spent))
    with keeper(tmp_path / "c") as kept:
        assert kept.begin(part(0)).usage == spent


@pytest.mark.parametrize(("saved", "handed"), [(None, 300), (0, 300), (100, 300), (300, 100), (300, 300)])
@pytest.mark.parametrize("restart", [False, True])
def test_further_one_of_file_and_handed_state_is_resumed_and_saved(
    tmp_path: Path, saved: int | None, handed: int, restart: bool
) -> None:
    """With --restart, too, since the file has been begun anew by the run that has sent the state."""

    def after(units: int) -> Shard:
        return replace(part(units), usage=Usage(runs=1, rounds=units // 10))

    if saved is not None:
        (tmp_path / "c").write_text(dumps(after(saved)))
    with keeper(tmp_path / "c", restart=restart, handed=after(handed)) as file:
        assert file.job == JOB
        assert file.begin(Shard(JOB)) == after(300)
        assert load(tmp_path / "c") == after(300)
    assert [name.name for name in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("usage", [Usage(runs=1, rounds=30), Usage(runs=2, rounds=1)])
def test_handed_state_without_units_that_an_audit_has_removed_is_resumed(
    tmp_path: Path, usage: Usage
) -> None:
    """The file has them, because the run was lost before it could save, or it was not its file any more."""
    before = replace(part(300), usage=Usage(runs=1, rounds=30))
    (tmp_path / "c").write_text(dumps(before))
    handed = replace(part(100), usage=usage)
    with keeper(tmp_path / "c", handed=handed) as file:
        assert file.begin(Shard(JOB)) == handed
    assert load(tmp_path / "c") == handed


@pytest.mark.parametrize("saved", [None, 100])
def test_handed_state_of_another_job_is_refused(tmp_path: Path, saved: int | None) -> None:
    if saved is not None:
        (tmp_path / "c").write_text(dumps(part(saved)))
    other = Shard(replace(JOB, seed=1))
    with (
        keeper(tmp_path / "c", handed=other) as file,
        pytest.raises(CheckpointError, match=f"of another job: seed 1, not {2**90}"),
    ):
        file.begin(Shard(JOB))
    assert load(tmp_path / "c") == (None if saved is None else part(saved))


@pytest.mark.parametrize("content", ["", "no checkpoint", dumps(Shard(replace(JOB, seed=1)))])
def test_file_of_another_job_is_kept_beside_at_a_restart_with_a_handed_state(
    tmp_path: Path, content: str
) -> None:
    """A state goes to a host on whose disk is an older file."""
    (tmp_path / "c").write_text(content)
    with keeper(tmp_path / "c", restart=True, handed=part(300)) as file:
        assert file.begin(Shard(JOB)) == part(300)
    assert load(tmp_path / "c") == part(300)
    assert (tmp_path / "c.1").read_text() == content
