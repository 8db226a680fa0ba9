"""The folder of wheels in an archive, and the archive."""

import tarfile
from pathlib import Path

import pytest

from mpi_pi.cluster import archive, wheelhouse
from mpi_pi.cluster.pip import WheelsUnavailable
from mpi_pi.cluster.platforms import Platform
from mpi_pi.storage.atomic_file import AtomicFile, OutputError

PLATFORMS = [
    archive.platform(machine, python) for machine in ("aarch64", "x86_64") for python in ("3.11", "3.12")
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a project with a wheelhouse."""
    folder = tmp_path / "a b"
    (folder / wheelhouse.FOLDER).mkdir(parents=True)
    (folder / wheelhouse.FOLDER / wheelhouse.LIST).write_text(wheelhouse.listing(PLATFORMS))
    return folder


def test_wheels_are_looked_for_in_the_wheelhouse_alone(project: Path, tmp_path: Path) -> None:
    assert wheelhouse.options(project) == ["--no-index", f"--find-links={project / 'wheels'}"]
    (tmp_path / "wheels").mkdir()  # of somebody else
    assert wheelhouse.options(tmp_path) == []
    wheelhouse.require(tmp_path, Platform("3.14.0", "riscv64", "2.41"))


@pytest.mark.parametrize(
    ("host", "there"),
    [
        (Platform("3.11.2", "aarch64", "2.36"), True),
        (Platform("3.12.9", "x86_64", "2.41"), True),
        (Platform("3.1.2", "x86_64", "2.36"), False),
        (Platform("3.14.0", "x86_64", "2.41"), False),
        (Platform("3.11.2", "riscv64", "2.41"), False),
    ],
)
def test_platform_without_wheels_is_refused_with_those_that_have(
    project: Path, host: Platform, there: bool
) -> None:
    if there:
        wheelhouse.require(project, host)
        return
    with pytest.raises(WheelsUnavailable) as refused:
        wheelhouse.require(project, host)
    version = host.python.rpartition(".")[0]
    assert str(refused.value) == (
        f"the packages in {project / 'wheels'} are for Python 3.11 and 3.12 on aarch64 and x86_64, with glibc"
        f" 2.28 or newer, and not for Python {version} on {host.machine}: make another archive, where there"
        f" is internet: make wheelhouse ARGS='--python {version} --machine {host.machine}'"
    )


def test_damaged_list_of_platforms_is_an_error(project: Path) -> None:
    (project / wheelhouse.FOLDER / wheelhouse.LIST).write_bytes(b"")
    with pytest.raises(WheelsUnavailable, match=r"platforms\.txt: cannot be read, unpack the archive again$"):
        wheelhouse.require(project, PLATFORMS[0])


def packed(content: Path, path: str) -> float:
    with AtomicFile("-o/--output", path) as file:
        megabytes = archive.pack(content, file)
        file.commit()
    return megabytes


def test_same_files_give_the_same_archive(tmp_path: Path) -> None:
    """Copies are made in another order, and with other times and permissions."""
    names = ("wheels/b.whl", "wheels/a.whl", "Makefile", "run")
    for folder, order in (("one", names), ("two", names[::-1])):
        for name in order:
            file = tmp_path / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(name.encode() * 5000)
            file.chmod({"one": 0o600, "two": 0o664}[folder] | 0o100 * (name == "run"))
    sizes = [packed(tmp_path / name, str(tmp_path / f"{name}.tar")) for name in ("one", "two")]
    one, two = ((tmp_path / f"{name}.tar").read_bytes() for name in ("one", "two"))
    assert one == two
    assert sizes == pytest.approx([len(one) / 1e6] * 2, abs=0.01)  # without the end of the file
    with tarfile.open(tmp_path / "one.tar") as read:
        modes = {member.name.removeprefix(f"{archive.FOLDER}/"): member.mode for member in read}
    assert modes == dict.fromkeys(sorted(names), 0o644) | {"run": 0o755}


def test_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(100_000))
    with pytest.raises(OutputError, match=r"^argument -o/--output: '/dev/full': No space left on device$"):
        packed(tmp_path, "/dev/full")
