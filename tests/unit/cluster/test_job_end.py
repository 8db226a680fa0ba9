"""End of what a job has left behind on a host."""

import contextlib
import mmap
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpi_pi.cluster.agent.job_end import end_job

SLEEP = "import time; print(flush=True); time.sleep(60)"
MAPPING = f"import mmap, sys; file = open(sys.argv[2], 'r+'); it = mmap.mmap(file.fileno(), 1); {SLEEP}"


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that has written a line."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.fixture
def mark() -> str:
    return secrets.token_hex(8)


def test_marked_processes_and_their_descendants_are_killed_and_no_others(mark: str) -> None:
    shell = f"{sys.executable} -c '{SLEEP}'; exit 1"
    with (
        started(sys.executable, "-c", SLEEP, mark) as marked,
        started("sh", "-c", shell, mark) as parent,
        started(sys.executable, "-c", SLEEP, mark[:-1]) as other,
    ):
        assert end_job([mark], 0) == 3
        assert marked.wait(10) == parent.wait(10) == -9
        assert other.poll() is None


def test_daemon_of_a_marked_process_is_killed_but_no_other_parent(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra's proxies have no mark of their own. A shell that has started a job goes on."""
    daemon = tmp_path / "hydra_pmi_proxy"
    daemon.symlink_to("/bin/sh")
    shell = f"{sys.executable} -c '{SLEEP}' $MARK; exit 1"
    monkeypatch.setenv("MARK", mark)
    for program, killed, status in ((str(daemon), 2, -9), ("/bin/sh", 1, 1)):
        with started(program, "-c", shell) as parent:
            assert end_job([mark], 0) == killed
            assert parent.wait(10) == status


@pytest.mark.parametrize("name", ["mpich_shm_", "sm_segment.", "vader_segment."])
def test_shared_memory_of_ended_ranks_is_removed_but_none_that_is_used_or_older(name: str, mark: str) -> None:
    names = (f"{name}{mark}.left", f"{name}{mark}.used", f"{name}{mark}.own", f"other_{mark}")
    places = [_, used, own, _] = [Path("/dev/shm") / name for name in names]
    try:
        for place in places:
            place.write_bytes(b"x")
        with (
            started(sys.executable, "-c", MAPPING, mark, str(own)),
            used.open("r+b") as file,
            mmap.mmap(file.fileno(), 1),
        ):
            end_job([mark], -1)
            assert [place.exists() for place in places] == [True, True, False, True]
            time.sleep(1)
            end_job([mark], 5)
            assert [place.exists() for place in places] == [False, True, False, True]
    finally:
        for place in places:
            place.unlink(missing_ok=True)


def test_folder_of_a_killed_daemon_is_removed(mark: str, tmp_path: Path) -> None:
    for name, gone in (("prted.123", True), ("ompi.node1.0/jf.45", True), ("results.7", False)):
        file = tmp_path / name / "within" / "file"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
        with started(sys.executable, "-c", MAPPING, mark, str(file)):
            assert end_job([mark], 0) == 1
        assert (tmp_path / name).exists() != gone
    assert [place.name for place in tmp_path.iterdir()] == ["results.7"]


def test_folder_of_a_daemon_that_has_ended_before_is_removed(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        names = ("prted.123", "ompi.node1.0/jf.45", "ompi.node1.0/jf.46", "results.7")
        for name in names:
            (Path(folder) / name).mkdir(parents=True)
            (Path(folder) / name / "file").write_bytes(b"x")
        time.sleep(1)
        with started(sys.executable, "-c", MAPPING, "other", str(Path(folder) / names[2] / "file")):
            end_job([mark], 5)
            assert [(Path(folder) / name).exists() for name in names] == [False, False, True, True]
