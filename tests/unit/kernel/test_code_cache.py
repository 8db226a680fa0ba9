"""The cache of machine code: entries are whole, and no other user can write to its folder."""

import contextlib
import fcntl
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mpi_pi.kernel import code_cache, loader, machine_code
from mpi_pi.system import package
from support.faults import Faults
from support.lacks import lack
from support.launching import Launch, soak


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return code_cache.prepare(tmp_path / "cache")


def test_entry_is_read_as_it_was_written(folder: Path) -> None:
    assert code_cache.read(folder, "key") is None
    code_cache.write(folder, "key", b"code\n\0")
    assert code_cache.read(folder, "key") == b"code\n\0"
    assert code_cache.read(folder, "other") is None


def test_damaged_entry_is_not_used(folder: Path) -> None:
    code_cache.write(folder, "key", b"machine code")
    (entry,) = folder.glob("*.kernel")
    whole = entry.read_bytes()
    for damaged in (b"", whole[:-1], whole[:70], whole.replace(b"code", b"c0de")):
        entry.write_bytes(damaged)
        assert code_cache.read(folder, "key") is None


def test_folder_is_created_for_its_user_alone(tmp_path: Path) -> None:
    assert code_cache.prepare(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702])
def test_folders_open_to_others_are_refused(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "cache"
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(code_cache.CacheError, match="can be written by other users"):
        code_cache.prepare(place)


def test_folders_in_a_place_open_to_others_are_refused_unless_it_is_sticky(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(code_cache.CacheError, match="can be written by other users"):
        code_cache.prepare(shared / "cache")
    shared.chmod(0o1777)
    assert code_cache.prepare(shared / "cache")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make things that belong to others")
def test_folders_and_entries_of_other_users_are_refused(tmp_path: Path) -> None:
    place = code_cache.prepare(tmp_path / "cache")
    code_cache.write(place, "key", b"code")
    (entry,) = place.glob("*.kernel")
    os.chown(entry, 12345, -1)
    with pytest.raises(code_cache.CacheError, match="uid 12345"):
        code_cache.read(place, "key")
    os.chown(place, 12345, -1)
    with pytest.raises(code_cache.CacheError, match="uid 12345"):
        code_cache.prepare(place)


def test_entries_that_others_can_write_are_refused(folder: Path) -> None:
    code_cache.write(folder, "key", b"code")
    (entry,) = folder.glob("*.kernel")
    entry.chmod(0o620)
    with pytest.raises(code_cache.CacheError, match="can be written by other users"):
        code_cache.read(folder, "key")


def test_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "cache"):
        with pytest.raises(code_cache.CacheError, match=r"file.*directory"):
            code_cache.fetch(folder, "key", lambda: b"")


def fetch(folder: Path, log: Path) -> None:
    def make() -> bytes:
        with log.open("a") as lines:
            lines.write("made\n")
        time.sleep(0.2)
        return b"code"

    assert code_cache.fetch(folder, "key", make)[0] == b"code"


def test_one_of_several_processes_makes_the_entry(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (tmp_path / "cache", tmp_path / "log")
    processes = [context.Process(target=fetch, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert (tmp_path / "log").read_text() == "made\n"
    assert code_cache.fetch(tmp_path / "cache", "key", lambda: b"") == (b"code", True)


def bind(place: Path) -> None:
    """Put a socket at `place`; chdir makes its path short enough for one, wherever temporary files are."""
    with contextlib.chdir(place.parent), socket.socket(socket.AF_UNIX) as one:
        one.bind(place.name)


IN_PLACE_OF_THE_LOCK: dict[str, Callable[[Path], object]] = {
    "a pipe": lambda place: os.mkfifo(place),
    "a folder": lambda place: place.mkdir(),
    "a link": lambda place: place.symlink_to(place.with_name("mine")),
    "a dangling link": lambda place: place.symlink_to("nowhere"),
    "a socket": bind,
}


@pytest.mark.parametrize("what", IN_PLACE_OF_THE_LOCK)
def test_anything_in_place_of_the_lock_makes_nobody_wait(folder: Path, what: str) -> None:
    (folder / "mine").write_text("not to be touched")
    IN_PLACE_OF_THE_LOCK[what](folder / "lock")
    with pytest.raises(code_cache.CacheBusy, match=r"lock .*remove it"):
        code_cache.fetch(folder, "key", lambda: b"code")
    assert (folder / "mine").read_text() == "not to be touched"
    assert not (folder / "nowhere").exists()
    # What was made is there for the next one, who needs no lock any more.
    assert code_cache.fetch(folder, "key", lambda: b"") == (b"code", True)


def test_wait_for_a_lock_that_is_never_released_is_bounded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_cache, "NOTIFY_SECONDS", 0.05)
    told: list[str] = []
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(code_cache.CacheBusy, match=r"another process has had .*lock"):
            code_cache.fetch(folder, "key", lambda: b"code", told.append, patience_seconds=0.3)
    assert told == [f"waiting for another process that compiles the kernel; it has {folder / 'lock'}"]
    assert code_cache.fetch(folder, "key", lambda: b"") == (b"code", True)


IN_A_HURRY = {"kernel.code_cache:fetch(patience_seconds)": 0.5, "kernel.code_cache:NOTIFY_SECONDS": 0.1}


@pytest.mark.parametrize(
    "command",
    [["run", "-n", "5", "-i", "10"], ["check"], pytest.param(["bench", "kernel"], marks=soak)],
)
def test_no_command_waits_for_a_stopped_compiler(
    launch: Launch, faults: Faults, tmp_path: Path, command: list[str]
) -> None:
    """The lock is held for ever, as by a process that SIGSTOP has stopped."""
    folder = code_cache.prepare(tmp_path / "cache")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = launch(0, faults.program(values=IN_A_HURRY), *command, "--cache", str(folder), timeout=120)
    assert "another process has had" in run.stdout + run.stderr
    assert "waiting for another process" in run.stderr
    assert run.returncode in ((0, 1) if command == ["check"] else (0,)), run.stderr
    assert list(folder.glob("*.kernel"))


@pytest.mark.parametrize("what", ["a pipe", "a folder", "a link", "a dangling link"])
def test_anything_else_in_place_of_an_entry_is_not_used(folder: Path, what: str) -> None:
    code_cache.write(folder, "key", b"code")
    (entry,) = folder.glob("*.kernel")
    entry.rename(folder / "mine")
    IN_PLACE_OF_THE_LOCK[what](entry)
    assert code_cache.read(folder, "key") is None


def test_link_in_place_of_a_new_entry_is_not_written_to(folder: Path) -> None:
    code_cache.write(folder, "key", b"code")
    (entry,) = folder.glob("*.kernel")
    (folder / "mine").write_text("not to be touched")
    entry.with_suffix(f".{os.getpid()}.part").symlink_to(folder / "mine")
    code_cache.write(folder, "key", b"other code")
    assert code_cache.read(folder, "key") == b"other code"
    assert (folder / "mine").read_text() == "not to be touched"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make things that belong to others")
@pytest.mark.parametrize("below", ["", "below"])
def test_link_of_another_user_is_not_followed(tmp_path: Path, below: str) -> None:
    """Anybody can make a link in /var/tmp; nothing behind it is touched, not even a file named `lock`."""
    theirs, shared = tmp_path / "target", tmp_path / "shared"
    theirs.mkdir()
    (theirs / "lock").write_text("not to be emptied")
    shared.mkdir()
    shared.chmod(0o1777)
    link = shared / "mpi-pi-0"
    link.symlink_to(theirs)
    os.chown(link, 12345, -1, follow_symlinks=False)
    with pytest.raises(code_cache.CacheError, match=r"symbolic link of another user \(uid 12345\)"):
        code_cache.fetch(link / below, "key", lambda: b"code")
    assert (theirs / "lock").read_text() == "not to be emptied"
    assert [file.name for file in theirs.iterdir()] == ["lock"]


def test_links_of_the_user_are_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "absolute").symlink_to(tmp_path / "far")
    (tmp_path / "relative").symlink_to("absolute/../far")
    code_cache.fetch(tmp_path / "relative" / "cache", "key", lambda: b"code")
    assert code_cache.read(tmp_path / "far" / "cache", "key") == b"code"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(code_cache.CacheError, match="symbolic links"):
        code_cache.prepare(tmp_path / "loop")


IN_A_CONTAINER = """
import os, pathlib, sys
from mpi_pi.kernel import code_cache as cache
folder = pathlib.Path(sys.argv[1])
assert pathlib.Path("/").stat().st_uid not in (0, os.geteuid())
cache.fetch(folder / "cache", "key", lambda: b"code")
assert cache.read(folder / "cache", "key") == b"code"
for place in ("strangers", "strangers/cache"):
    try:
        cache.prepare(folder / place)
    except cache.CacheError as error:
        print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make things that belong to others")
def test_folders_of_nobody_are_trusted_in_a_user_namespace(tmp_path: Path) -> None:
    """`/` has an owner there whom the namespace does not map; the cache folder itself has to be ours."""
    user = 12345
    open_to_all = Path(tempfile.mkdtemp(prefix="mpi-pi-", dir="/var/tmp"))
    try:
        open_to_all.chmod(0o755)
        shutil.copytree(package.FOLDER, open_to_all / "mpi_pi")
        home = open_to_all / "home"
        home.mkdir()
        os.chown(home, user, user)
        (home / "strangers").mkdir(mode=0o755)
        command = ["unshare", "--user", "--map-root-user", "/usr/bin/env", "python3", "-c", IN_A_CONTAINER]
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(open_to_all)}
        run = subprocess.run(
            [*command, str(home)],
            user=user,
            group=user,
            extra_groups=[],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        shutil.rmtree(open_to_all)
    if "unshare:" in run.stderr:
        lack("user namespaces")
    assert run.returncode == 0, run.stderr
    first, second = run.stdout.splitlines()
    assert "strangers belongs to another user" in first
    assert "strangers" in second


def test_process_of_the_user_nobody_trusts_no_folder(tmp_path: Path) -> None:
    """A user namespace without a map shows every process and file as nobody's."""
    program = (
        "import pathlib, sys; from mpi_pi.kernel import code_cache as c; c.prepare(pathlib.Path(sys.argv[1]))"
    )
    command = ["unshare", "--user", sys.executable, "-c", program, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "unshare:" in run.stderr:
        lack("user namespaces")
    assert run.returncode == 1
    assert f"CacheError: {tmp_path}: this process is nobody that its user namespace knows" in run.stderr


@pytest.mark.parametrize(
    ("spans", "unknown"),
    [
        ("0 0 4294967295", None),
        ("0 1000 1", 65534),
        ("0 100000 65536", None),
        ("0 1000 1\n1 100000 999", 65534),
    ],
)
def test_unmapped_owner_is_one_whom_the_namespace_does_not_map(
    tmp_path: Path, spans: str, unknown: int | None
) -> None:
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/overflowuid").write_text("65534\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "self/uid_map").write_text(spans + "\n")
    assert code_cache.unmapped_owner(tmp_path) == unknown
    assert code_cache.unmapped_owner(tmp_path / "none") is None


def test_key_changes_with_everything_that_the_code_is_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in ("kernel", "model"):
        shutil.copytree(package.FOLDER / room, tmp_path / room)
    keys = [loader.fingerprint(tmp_path)]
    assert loader.fingerprint(tmp_path) == keys[0]
    for name in ("kernel/count.py", "kernel/layout.py", "kernel/simd.py", "model/job.py"):
        with (tmp_path / name).open("a") as source:
            source.write("\n")
        keys.append(loader.fingerprint(tmp_path))
    monkeypatch.setattr(loader, "compiler_version", lambda package: b"another")
    keys.append(loader.fingerprint(tmp_path))
    assert len(set(keys)) == len(keys) == 6


def test_key_changes_with_settings_of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine_code.target()
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    assert machine_code.target() != before


def test_key_of_a_host_is_the_same_each_time(tmp_path: Path) -> None:
    """The key ignores the frequencies of the moment, and stays short with many CPUs."""

    def cpus(megahertz: str) -> Path:
        file = tmp_path / megahertz / "proc/cpuinfo"
        file.parent.mkdir(parents=True)
        one = f"processor : 0\nmodel name : A CPU\ncpu MHz : {megahertz}\nflags : {'feature ' * 200}\n\n"
        file.write_text(one * 128)
        return tmp_path / megahertz

    lines = machine_code.cpu_lines(cpus("800.000"))
    assert lines == machine_code.cpu_lines(cpus("3100.123"))
    assert lines == [f"flags: {('feature ' * 200).strip()}", "model name: A CPU"]
    assert machine_code.cpu_lines(tmp_path / "none") == []
