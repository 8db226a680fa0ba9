"""Source distribution and wheel, as `python -m build` makes them, and the program of an installed wheel."""

import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from mpi_pi import __version__
from support.launching import ROOT, Launch

ALL_OF = (".ci", "hostfiles", "jobscripts", "mpi_pi", "tests")
TOP = (
    *(".gitignore", "CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "Makefile"),
    *("README.md", "pyproject.toml"),
)


@dataclass(frozen=True)
class Built:
    """What was built, and the sources of which it was."""

    sources: Path
    archive: Path
    wheel: Path


def python(*arguments: str | Path, folder: Path | None = None) -> str:
    """Run Python, and return what it prints."""
    run = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build both from a copy without a repository, the wheel from the source distribution."""
    folder = tmp_path_factory.mktemp("packages")
    sources, dist = folder / "sources", folder / "dist"
    sources.mkdir()
    for name in ALL_OF:
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    for name in TOP:
        shutil.copy(ROOT / name, sources)
    python("-m", "build", "--no-isolation", "--outdir", dist, sources)
    (archive,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    return Built(sources, archive, wheel)


@pytest.fixture(scope="module")
def environment_of_wheel(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with the wheel, and with the other packages of this one."""
    prefix = tmp_path_factory.mktemp("installed")
    python("-m", "venv", "--without-pip", prefix)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(prefix)}))
    (own / "present.pth").write_text("".join(f"{present}\n" for present in site.getsitepackages()))
    options = ["--python", str(prefix / "bin" / "python"), "--no-input", "--disable-pip-version-check"]
    python("-m", "pip", *options, "install", "--quiet", "--no-deps", "--no-index", built.wheel)
    return prefix


def files(folder: Path) -> dict[Path, tuple[bytes, bool]]:
    """Return content and right to be executed of all files below a folder, by relative path."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): (path.read_bytes(), os.access(path, os.X_OK)) for path in found}


def examples(folder: Path) -> dict[Path, tuple[bytes, bool]]:
    """Return the files that are to be copied to users."""
    return {
        path: content
        for path, content in files(folder).items()
        if path.parts[0] in ("jobscripts", "hostfiles")
    }


def test_source_distribution_has_every_file(built: Built, tmp_path: Path) -> None:
    subprocess.run(["tar", "-xf", built.archive, "-C", tmp_path], check=True, timeout=60)
    (top,) = tmp_path.iterdir()
    unpacked = files(top)
    wanted = {
        path: content for path, content in files(built.sources).items() if path.parts[0] in (*ALL_OF, *TOP)
    }
    assert {path for path in wanted if unpacked.get(path) != wanted[path]} == set()
    assert len(wanted) > 500


def test_wheel_has_nothing_but_the_package_and_its_examples(built: Built) -> None:
    """For a new folder of examples, add a pattern in pyproject.toml, below setuptools.data-files."""
    names = [Path(name) for name in zipfile.ZipFile(built.wheel).namelist()]
    data, info = f"mpi_pi-{__version__}.data", f"mpi_pi-{__version__}.dist-info"
    assert {name.parts[0] for name in names} == {"mpi_pi", data, info}
    share = Path(data, "data", "share", "mpi-pi")
    shared = {name.relative_to(share) for name in names if name.parts[0] == data}
    assert shared == set(examples(built.sources))
    package = {name for name in names if name.parts[0] == "mpi_pi"}
    assert package == {path for path in files(built.sources) if path.parts[0] == "mpi_pi"}


def test_packages_are_clean_for_an_index(built: Built) -> None:
    said = python("-m", "twine", "--no-color", "check", "--strict", built.archive, built.wheel)
    assert (said.count("PASSED"), said.count("WARNING")) == (2, 0)


def test_installed_wheel_counts(environment_of_wheel: Path, launch: Launch, tmp_path: Path) -> None:
    program = str(environment_of_wheel / "bin" / "mpi-pi")
    version = launch(0, program, "--version")
    assert version.stdout == f"mpi-pi {__version__}\n"
    where = python_of(environment_of_wheel, "import mpi_pi; print(mpi_pi.__file__)", tmp_path)
    assert Path(where).is_relative_to(environment_of_wheel)
    run = launch(2, program, "run", "-n", "10", "-i", "1000", "--seed", "1")
    assert "Verification = SUCCESSFUL" in run.stdout
    assert run.returncode == 0


def python_of(prefix: Path, program: str, folder: Path) -> str:
    command = [str(prefix / "bin" / "python"), "-c", program]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_installed_wheel_writes_its_examples(
    environment_of_wheel: Path, built: Built, launch: Launch, tmp_path: Path
) -> None:
    run = launch(0, str(environment_of_wheel / "bin" / "mpi-pi"), "examples", str(tmp_path / "mine"))
    assert (run.returncode, run.stderr) == (0, "")
    assert files(tmp_path / "mine") == examples(built.sources)


def test_package_below_a_target_folder_finds_its_examples(
    built: Built, launch: Launch, tmp_path: Path
) -> None:
    target, mine = tmp_path / "target", tmp_path / "mine"
    program = (sys.executable, "-Pm", "mpi_pi")  # not the one of the present folder
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    python("-m", "pip", "install", *options, "--target", target, built.wheel)
    run = launch(0, *program, "examples", str(mine), PYTHONPATH=str(target))
    assert (run.returncode, run.stderr) == (0, "")
    shutil.rmtree(target / "share")
    assert files(mine) == examples(built.sources)
    run = launch(0, *program, "examples", str(mine) + "2", PYTHONPATH=str(target))
    assert run.returncode == 2
    assert f"were not installed with {target / 'mpi_pi'}" in run.stderr
    assert not (tmp_path / "mine2").exists()


def test_editable_install_needs_no_finder(built: Built, tmp_path: Path) -> None:
    """Setuptools makes a finder, which costs 10 ms at each start, for folders that are no packages."""
    program = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    python("-c", program, tmp_path, folder=built.sources)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (path_file,) = (name for name in archive.namelist() if name.endswith((".py", ".pth")))
        assert archive.read(path_file).decode().strip() == str(built.sources)


def test_version_is_the_same_everywhere(built: Built) -> None:
    assert f"mpi_pi-{__version__}.tar.gz" == built.archive.name
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [__version__]
    newest, state = re.findall(r"^## ([\d.]+)(.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert __version__ == newest + (".dev0" if state == ", not yet released" else "")
