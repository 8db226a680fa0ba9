"""Files that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from mpi_pi.files import CannotWrite, NewFile


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_it_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with NewFile("--json", str(path)) as file:
        file.write("new")
        assert path.read_text() == "old"
        file.commit()
    assert path.read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_it_leaves_nothing_otherwise(tmp_path: Path) -> None:
    with NewFile("--json", str(tmp_path / "out")) as file:
        file.write("new")
    assert names(tmp_path) == []


def test_links_are_followed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with NewFile("--json", str(tmp_path / "link")) as file:
        file.write("new")
        file.commit()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("name", ["", "no/such/folder/out"])
def test_what_cannot_be_written_shows_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(CannotWrite, match=r"directory"):
        NewFile("--json", str(tmp_path / name))
    assert names(tmp_path) == []


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match="No space left"):
        NewFile("--json", str(tmp_path / "out"))
    assert names(tmp_path) == []


def test_devices_are_written_to_directly() -> None:
    with NewFile("--json", "/dev/null") as file:
        file.write("x")
        file.commit()
    with NewFile("--json", "/dev/full") as file:
        file.write("x")
        with pytest.raises(CannotWrite, match="No space left"):
            file.commit()


def test_the_mode_of_a_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.touch(mode=0o600)
    with NewFile("--json", str(path)) as file:
        file.commit()
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_has_a_name_before_it_is_complete(tmp_path: Path) -> None:
    """Not even a process that is killed leaves anything behind."""
    with NewFile("--json", str(tmp_path / "out")) as file:
        file.write("x" * 10**6)
        assert names(tmp_path) == []


def test_where_files_need_a_name_it_is_a_hidden_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_TMPFILE | os.O_CREAT)  # as on a file system that has none
    with NewFile("--json", str(tmp_path / "out")) as file:
        file.write("new")
        assert names(tmp_path) == [f".out.{os.getpid()}.part"]
        file.commit()
    assert names(tmp_path) == ["out"]
    with NewFile("--json", str(tmp_path / "out")) as file:
        pass
    assert (tmp_path / "out").read_text() == "new"


def test_what_cannot_be_written_is_said_in_the_users_words(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite) as raised:
        NewFile("--trial-log", str(tmp_path))
    assert str(raised.value) == f"argument --trial-log: {str(tmp_path)!r}: Is a directory"


def test_what_another_process_left_is_not_taken_for_ours(tmp_path: Path) -> None:
    """Process numbers come round again."""
    (tmp_path / f".out.{os.getpid()}.part").write_text("stale")
    with NewFile("--json", str(tmp_path / "out")) as file:
        file.write("new")
        file.commit()
    assert (tmp_path / "out").read_text() == "new"
    assert names(tmp_path) == ["out"]
