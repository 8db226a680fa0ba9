"""The wheelhouse: a folder `wheels` of the project, from an archive, for machines without a network."""

from collections.abc import Sequence
from pathlib import Path

from mpi_pi.cluster.pip import WheelsUnavailable
from mpi_pi.cluster.platforms import Platform
from mpi_pi.formatting import format_all
from mpi_pi.system.versions import minor

FOLDER = "wheels"
LIST = "platforms.txt"
"""File in it, which the Makefile reads, too: a sentence, and then a line for each platform."""


def options(project: Path) -> list[str]:
    """Return options for pip to use the wheelhouse alone; none if the project has no wheelhouse."""
    house = project / FOLDER
    return ["--no-index", f"--find-links={house}"] if (house / LIST).exists() else []


def require(project: Path, target: Platform) -> None:
    """Raise WheelsUnavailable if the project has a wheelhouse, but without wheels for this platform."""
    if not options(project):
        return
    house = project / FOLDER
    try:
        sentence, *platforms = (house / LIST).read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise WheelsUnavailable(f"{house / LIST}: cannot be read, unpack the archive again") from error
    if name(target) not in platforms:
        version, machine = minor(target.python), target.machine
        raise WheelsUnavailable(
            f"the packages in {house} are for {sentence}, and not for {name(target)}: make another"
            " archive, where there is internet: make wheelhouse"
            f" ARGS='--python {version} --machine {machine}'"
        )


def listing(targets: Sequence[Platform]) -> str:
    """Return the content of the list of platforms."""
    return "".join(f"{line}\n" for line in (sentence(targets), *map(name, targets)))


def sentence(targets: Sequence[Platform]) -> str:
    """Return a text such as `Python 3.11 and 3.12 on aarch64 and x86_64, with glibc 2.28 or newer`."""
    pythons = format_all(list(dict.fromkeys(minor(target.python) for target in targets)))
    machines = format_all(list(dict.fromkeys(target.machine for target in targets)))
    return f"Python {pythons} on {machines}, with glibc {targets[0].glibc} or newer"


def name(target: Platform) -> str:
    """Return a line of the list."""
    return f"Python {minor(target.python)} on {target.machine}"
