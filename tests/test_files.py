"""Files that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from mpi_pi.files import NewFile


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_it_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with NewFile(str(path)) as file:
        file.stream.write("new")
        assert path.read_text() == "old"
        file.commit()
    assert path.read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_it_leaves_nothing_otherwise(tmp_path: Path) -> None:
    with NewFile(str(tmp_path / "out")) as file:
        file.stream.write("new")
    assert names(tmp_path) == []


def test_links_are_followed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with NewFile(str(tmp_path / "link")) as file:
        file.stream.write("new")
        file.commit()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("name", ["", "no/such/folder/out"])
def test_what_cannot_be_written_shows_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"directory"):
        NewFile(str(tmp_path / name))
    assert names(tmp_path) == []


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        NewFile(str(tmp_path / "out"))
    assert names(tmp_path) == []


def test_devices_are_written_to_directly() -> None:
    with NewFile("/dev/null") as file:
        file.stream.write("x")
        file.commit()
    with NewFile("/dev/full") as file:
        file.stream.write("x")
        with pytest.raises(OSError, match="No space left"):
            file.commit()
