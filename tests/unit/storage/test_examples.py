"""Copies of job scripts and hostfiles: complete in a new folder, or nothing at all."""

import os
import subprocess
from pathlib import Path

import pytest

from mpi_pi.errors import UserError
from mpi_pi.storage import examples
from support.launching import MPI_PI, ROOT


def names(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def test_repository_is_the_source_of_an_editable_install() -> None:
    assert examples.source() == ROOT
    assert {Path("hostfiles", "octapi.hosts"), Path("jobscripts", "common.sh")} <= set(examples.names(ROOT))


def test_what_editors_and_python_leave_is_not_copied(tmp_path: Path) -> None:
    for name in ("jobscripts/a.py", "jobscripts/__pycache__/a.pyc", "jobscripts/.a.swp", "hostfiles/site/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(map(str, examples.names(tmp_path))) == ["hostfiles/site/b", "jobscripts/a.py"]


@pytest.mark.parametrize("exists", [False, True])
def test_files_are_copied_with_the_right_to_be_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    script = tmp_path / "jobscripts" / "site" / "run.sh"
    for file in (script, tmp_path / "hostfiles" / "a"):
        file.parent.mkdir(parents=True)
        file.write_text(f"text of {file.name}")
    script.chmod(0o755)
    monkeypatch.setattr(examples, "source", lambda: tmp_path)
    made = tmp_path / "made"
    if exists:
        made.mkdir()
    assert examples.write(str(made)) == [Path("hostfiles/a"), Path("jobscripts/site/run.sh")]
    assert (made / "jobscripts" / "site" / "run.sh").read_text() == "text of run.sh"
    assert os.access(made / "jobscripts" / "site" / "run.sh", os.X_OK)
    assert not (made / "hostfiles" / "a").stat().st_mode & 0o111


def test_folder_that_is_not_empty_is_left_as_it_is(tmp_path: Path) -> None:
    edited = tmp_path / "jobscripts" / "common.sh"
    edited.parent.mkdir()
    edited.write_text("mine")
    with pytest.raises(UserError, match=r"^argument DIR: '.*': is not empty: name a new folder, since no "):
        examples.write(str(tmp_path))
    assert edited.read_text() == "mine"
    assert names(tmp_path) == {Path("jobscripts"), Path("jobscripts/common.sh")}


@pytest.mark.parametrize(
    ("name", "why"),
    [("no/folder", "No such file or directory"), ("file", "File exists"), ("file/x", "Not a directory")],
)
def test_folder_that_cannot_be_made_is_named(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=rf"^argument DIR: '.*/{name}': {why}$"):
        examples.write(str(tmp_path / name))
    assert names(tmp_path) == {Path("file")}


@pytest.mark.parametrize("exists", [False, True])
def test_nothing_is_left_if_a_file_cannot_be_written(tmp_path: Path, exists: bool) -> None:
    """Files may not be longer than 4 KiB, which fails as a full disk does: in the midst of writing."""
    if exists:
        (tmp_path / "new").mkdir()
    limited = ["sh", "-c", f"ulimit -f 8; exec '{MPI_PI}' examples new"]  # in units of 512 bytes
    run = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert run.stderr == "mpi-pi: error: argument DIR: 'new': File too large\n"
    assert (run.returncode, run.stdout) == (2, "")
    assert names(tmp_path) == ({Path("new")} if exists else set())
