"""The fingerprint of the package's modules."""

from pathlib import Path

import pytest

from mpi_pi.cluster.agent import environment
from mpi_pi.system import package


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "room").mkdir()
    for name in ("a.py", "room/b.py", "room/note.txt"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", ["a.py", "room/b.py"])
def test_fingerprint_changes_with_any_module(source: Path, name: str) -> None:
    before = package.fingerprint(source)
    assert package.fingerprint(source) == before
    (source / name).write_text("edited")
    edited = package.fingerprint(source)
    assert edited != before
    (source / name).rename(source / name.replace(".", "_moved."))
    assert package.fingerprint(source) not in (before, edited)


def test_fingerprint_is_of_modules_alone(source: Path) -> None:
    before = package.fingerprint(source)
    (source / "room" / "note.txt").write_text("edited")
    assert package.fingerprint(source) == before


def test_hosts_and_client_agree_on_the_fingerprint(source: Path) -> None:
    assert environment.fingerprint(source) == package.fingerprint(source)
    assert environment.fingerprint(package.FOLDER) == package.fingerprint()
