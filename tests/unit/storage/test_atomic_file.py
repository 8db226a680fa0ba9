"""Atomic replacement of files."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mpi_pi.storage.atomic_file import AtomicFile, OutputError, beside


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with AtomicFile("--json", str(path)) as file:
        file.write("new")
        assert path.read_text() == "old"
        file.commit()
    assert path.read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_file_that_is_not_completed_leaves_nothing(tmp_path: Path) -> None:
    with AtomicFile("--json", str(tmp_path / "out")) as file:
        file.write("new")
    assert names(tmp_path) == []


def test_links_are_followed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with AtomicFile("--json", str(tmp_path / "link")) as file:
        file.write("new")
        file.commit()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("name", ["", "no/such/folder/out"])
def test_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"directory"):
        AtomicFile("--json", str(tmp_path / name))
    assert names(tmp_path) == []


def test_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        AtomicFile("--json", str(tmp_path / "out"))
    assert names(tmp_path) == []


def test_content_is_on_the_disk_before_it_has_the_name_and_the_name_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure leaves the old file or the new one, and after the commit the new one."""
    path, fsync, synced = tmp_path / "out", os.fsync, []

    def note(descriptor: int) -> None:
        fsync(descriptor)
        found = os.fstat(descriptor)
        synced.append((found.st_ino, found.st_size if stat.S_ISREG(found.st_mode) else None, path.exists()))

    with AtomicFile("--json", str(path)) as file:
        file.write("x" * 10_000)
        monkeypatch.setattr(os, "fsync", note)
        file.commit()
    assert synced == [(path.stat().st_ino, 10_000, False), (tmp_path.stat().st_ino, None, True)]


def test_devices_are_written_to_directly() -> None:
    with AtomicFile("--json", "/dev/null") as file:
        file.write("x")
        file.commit()
    with AtomicFile("--json", "/dev/full") as file:
        file.write("x")
        with pytest.raises(OutputError, match="No space left"):
            file.commit()


def test_mode_of_a_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.touch(mode=0o600)
    with AtomicFile("--json", str(path)) as file:
        file.commit()
    assert path.stat().st_mode & 0o777 == 0o600


def test_file_has_no_name_before_it_is_complete(tmp_path: Path) -> None:
    """So a process that is killed leaves nothing behind."""
    with AtomicFile("--json", str(tmp_path / "out")) as file:
        file.write("x" * 10**6)
        assert names(tmp_path) == []


def test_where_files_need_a_name_it_is_a_hidden_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_TMPFILE | os.O_CREAT)  # as on a file system that has none
    with AtomicFile("--json", str(tmp_path / "out")) as file:
        file.write("new")
        assert names(tmp_path) == [f".out.{os.getpid()}.part"]
        file.commit()
    assert names(tmp_path) == ["out"]
    with AtomicFile("--json", str(tmp_path / "out")) as file:
        pass
    assert (tmp_path / "out").read_text() == "new"


def test_error_names_the_option_and_the_path(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as raised:
        AtomicFile("--trial-log", str(tmp_path))
    assert str(raised.value) == f"argument --trial-log: {str(tmp_path)!r}: Is a directory"


def test_part_left_by_another_process_is_not_used(tmp_path: Path) -> None:
    """Process numbers are used again."""
    (tmp_path / f".out.{os.getpid()}.part").write_text("stale")
    with AtomicFile("--json", str(tmp_path / "out")) as file:
        file.write("new")
        file.commit()
    assert (tmp_path / "out").read_text() == "new"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("letters", ["x" * 245, "x" * 255, "\N{GREEK SMALL LETTER PI}" * 127])
@pytest.mark.parametrize("has_tmpfile", [True, False])
def test_name_as_long_as_the_file_system_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, letters: str, has_tmpfile: bool
) -> None:
    if not has_tmpfile:
        monkeypatch.setattr(os, "O_TMPFILE", os.O_TMPFILE | os.O_CREAT)
    with AtomicFile("--json", str(tmp_path / letters)) as file:
        file.write("new")
        file.commit()
    assert names(tmp_path) == [letters]
    assert (tmp_path / letters).read_text() == "new"


def test_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="File name too long"):
        AtomicFile("--json", str(tmp_path / ("x" * 256)))


def test_names_beside_long_ones_differ_and_fit(tmp_path: Path) -> None:
    long = [tmp_path / ("x" * 250 + end) for end in ("aaaaa", "bbbbb")]
    found = {beside(path, ending) for path in long for ending in (".lock", ".1", ".12")}
    assert len(found) == 6
    for path in found:
        path.touch()
    assert beside(tmp_path / "c", ".lock") == tmp_path / "c.lock"
    assert beside(tmp_path / "c", ".7.part", hidden=True) == tmp_path / ".c.7.part"


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_is_not_truncated(tmp_path: Path, name: str) -> None:
    """Text that others write to it, before and after, is kept."""
    program = (
        "import sys; from mpi_pi.storage.atomic_file import AtomicFile; print('before', flush=True);"
        "file = AtomicFile('--json', sys.argv[1]); file.write('new\\n'); file.commit(); print('after')"
    )
    (tmp_path / "out").write_text("old\n")
    with (tmp_path / "out").open("a") as out:
        subprocess.run([sys.executable, "-c", program, name], stdout=out, check=True, timeout=60)
    assert (tmp_path / "out").read_text() == "old\nbefore\nnew\nafter\n"
