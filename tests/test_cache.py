"""The cache: whole entries only, and no folder that others could have written to."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from mpi_pi import cache, compiled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cache.opened(tmp_path / "cache")


def test_what_is_written_is_read(folder: Path) -> None:
    assert cache.read(folder, "key") is None
    cache.write(folder, "key", b"code\n\0")
    assert cache.read(folder, "key") == b"code\n\0"
    assert cache.read(folder, "other") is None


def test_damaged_entries_do_not_count(folder: Path) -> None:
    cache.write(folder, "key", b"machine code")
    (entry,) = folder.glob("*.kernel")
    whole = entry.read_bytes()
    for damaged in (b"", whole[:-1], whole[:70], whole.replace(b"code", b"c0de")):
        entry.write_bytes(damaged)
        assert cache.read(folder, "key") is None


def test_the_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    assert cache.opened(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702])
def test_folders_open_to_others_are_refused(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "cache"
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(cache.Unusable, match="can be written by other users"):
        cache.opened(place)


def test_folders_in_a_place_open_to_others_are_refused_unless_it_is_sticky(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(cache.Unusable, match="can be written by other users"):
        cache.opened(shared / "cache")
    shared.chmod(0o1777)
    assert cache.opened(shared / "cache")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make things that belong to others")
def test_things_of_others_are_refused(tmp_path: Path) -> None:
    place = cache.opened(tmp_path / "cache")
    cache.write(place, "key", b"code")
    (entry,) = place.glob("*.kernel")
    os.chown(entry, 12345, -1)
    with pytest.raises(cache.Unusable, match="uid 12345"):
        cache.read(place, "key")
    os.chown(place, 12345, -1)
    with pytest.raises(cache.Unusable, match="uid 12345"):
        cache.opened(place)


def test_entries_that_others_can_write_are_refused(folder: Path) -> None:
    cache.write(folder, "key", b"code")
    (entry,) = folder.glob("*.kernel")
    entry.chmod(0o620)
    with pytest.raises(cache.Unusable, match="can be written by other users"):
        cache.read(folder, "key")


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "cache"):
        with pytest.raises(cache.Unusable, match=r"file.*directory"):
            cache.fetch(folder, "key", lambda: b"")


def fetch(folder: Path, log: Path) -> None:
    def make() -> bytes:
        with log.open("a") as lines:
            lines.write("made\n")
        time.sleep(0.2)
        return b"code"

    assert cache.fetch(folder, "key", make)[0] == b"code"


def test_one_process_makes_it_for_all(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (tmp_path / "cache", tmp_path / "log")
    processes = [context.Process(target=fetch, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert (tmp_path / "log").read_text() == "made\n"
    assert cache.fetch(tmp_path / "cache", "key", lambda: b"") == (b"code", True)


def test_a_host_has_the_same_key_each_time(tmp_path: Path) -> None:
    """However many CPUs it has, of which Linux tells the frequencies of the moment."""

    def cpus(megahertz: str) -> Path:
        file = tmp_path / megahertz
        one = f"processor : 0\nmodel name : A CPU\ncpu MHz : {megahertz}\nflags : {'feature ' * 200}\n\n"
        file.write_text(one * 128)
        return file

    lines = compiled._cpu_lines(cpus("800.000"))
    assert lines == compiled._cpu_lines(cpus("3100.123"))
    assert lines == [f"flags : {'feature ' * 200}", "model name : A CPU"]
    assert compiled._cpu_lines(tmp_path / "none") == []
