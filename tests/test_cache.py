"""The cache: whole entries only, and no folder that others could have written to."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from mpi_pi import cache


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


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702, 0o755])
def test_folders_open_to_others_are_refused(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "cache"
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(cache.Unusable, match="open to other users"):
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
    (place / "x.kernel").touch()
    os.chown(place / "x.kernel", 12345, -1)
    with pytest.raises(cache.Unusable, match="uid 12345"):
        cache.opened(place)
    (place / "x.kernel").unlink()
    os.chown(place, 12345, -1)
    with pytest.raises(cache.Unusable, match="uid 12345"):
        cache.opened(place)


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(cache.Unusable, match="file"):
        cache.opened(tmp_path / "file")
    with pytest.raises(cache.Unusable, match="directory"):
        cache.opened(tmp_path / "file" / "cache")


def hold(folder: Path, log: Path) -> None:
    with cache.one_at_a_time(folder), log.open("a") as lines:
        lines.write("in\n")
        lines.flush()
        time.sleep(0.05)
        lines.write("out\n")


def test_one_process_at_a_time(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=hold, args=(folder, log)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert log.read_text() == "in\nout\n" * 4
