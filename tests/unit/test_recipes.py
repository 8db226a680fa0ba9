"""The recipes of jobscripts/site: their versions, bounds and dependencies are those of pyproject.toml."""

import re
import sys
import tomllib
from collections.abc import Callable
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import pytest

from mpi_pi.version import __version__
from support.launching import ROOT

SITE = ROOT / "jobscripts" / "site"
VERSION = __version__.partition(".dev")[0]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def bounds(requirements: list[str]) -> dict[str, str]:
    """Return lowest versions by package."""
    found = [re.match(r"([\w-]+)>=([\d.]+)", text) for text in requirements]
    return {match[1]: match[2] for match in found if match}


NEEDED = bounds(PROJECT["dependencies"])
PLOT = bounds(PROJECT["optional-dependencies"]["plot"])


def test_recipes_are_of_this_version() -> None:
    named = {
        name: re.findall(r"mpi_pi-([\d.]+\d)", f"{name} {(SITE / name).read_text()}")
        for name in (path.name for path in SITE.iterdir())
    }
    assert {name for name, versions in named.items() if versions} == {
        "mpi-pi.def",
        "package.py",
        f"mpi_pi-{VERSION}-foss-2025b.eb",
    }
    assert {version for versions in named.values() for version in versions} == {VERSION}


def test_first_line_tells_how_far_a_recipe_was_tried() -> None:
    for path in SITE.iterdir():
        first = next(line for line in path.read_text().splitlines() if not line.startswith("#!"))
        assert re.match(r"# (Not (tried|built)|Tried)\b", first), path.name


def test_easyconfig_has_the_dependencies() -> None:
    """EasyBuild runs easyconfigs as Python, with constants; EasyBuild 5.4 has resolved these dependencies."""
    file = next(SITE.glob("*.eb"))
    settings: dict[str, Any] = {"SOURCE_TAR_GZ": "%(name)s-%(version)s.tar.gz"}
    exec(file.read_text(), settings)  # noqa: S102
    assert (settings["name"], settings["version"]) == ("mpi_pi", VERSION)
    toolchain = settings["toolchain"]
    assert file.name == f"mpi_pi-{VERSION}-{toolchain['name']}-{toolchain['version']}.eb"
    versions = dict(settings["dependencies"])
    versions["numpy"] = versions.pop("SciPy-bundle")  # the bundle of a year has the NumPy of that year
    assert as_numbers(versions.pop("Python")) >= as_numbers(PROJECT["requires-python"])
    assert set(versions) == set(NEEDED | PLOT)
    for package, lowest in (NEEDED | PLOT).items():
        assert as_numbers(versions[package]) >= as_numbers(lowest)


def as_numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def test_package_of_spack_has_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spack's directives only collect what they are called with, as here."""
    called: list[tuple[str, str, str | None]] = []

    def directive(name: str) -> Callable[..., None]:
        return lambda text, **settings: called.append((name, text, settings.get("when")))

    spack: Any = ModuleType("spack.package")
    for name in ("version", "variant", "depends_on", "license"):
        setattr(spack, name, directive(name))
    spack.default_args = lambda **_: nullcontext()
    python: Any = ModuleType("spack_repo.builtin.build_systems.python")
    python.PythonPackage = object
    names = ("spack", "spack_repo", "spack_repo.builtin", "spack_repo.builtin.build_systems")
    for module in (*map(ModuleType, names), spack, python):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    recipe: dict[str, Any] = {}
    exec((SITE / "package.py").read_text(), recipe)  # noqa: S102

    assert [text for name, text, _ in called if name == "version"] == [VERSION]
    assert [text for name, text, _ in called if name == "license"] == [PROJECT["license"]]
    assert recipe["PyMpiPi"].__doc__ == f"{PROJECT['description']}."
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    wanted: dict[str, str | None] = {
        f"py-{package}@{lowest}:": None for package, lowest in (NEEDED | bounds(build)).items()
    }
    wanted |= {f"py-{package}@{lowest}:": "+plot" for package, lowest in PLOT.items()}
    wanted |= {f"python@{PROJECT['requires-python'].removeprefix('>=')}:": None}
    assert {text: when for name, text, when in called if name == "depends_on"} == wanted
