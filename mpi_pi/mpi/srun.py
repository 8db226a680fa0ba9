"""How srun has to be called for MPI to learn of the other ranks: with a plug-in that its library knows."""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mpi_pi.mpi import library as mpi_library
from mpi_pi.system import command

PLUGINS = {"Open MPI": "pmix", "MPICH": "pmi2"}
"""What a library takes, by the beginning of its name. (Slurm's documentation, mpi_guide)"""

LIMIT_SECONDS = 20

_INQUIRY = """
import re, mpi4py
from pathlib import Path
mpi4py.rc.initialize = False
from mpi4py import MPI
print(*MPI.Get_library_version().split(",")[0].split()[:3])
loaded = Path("/proc/self/maps").read_text()
files = {Path(file).parent for file in re.findall(r"/\\S*/libmpi\\S*$", loaded, re.M)}
print(any(next(folder.glob("**/mca_pmix_s[12].so"), None) for folder in files))
"""


def started(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether srun itself has started this process as one of several."""
    others = ("OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "HYDI_CONTROL_FD")
    tasks = environ.get("SLURM_STEP_NUM_TASKS", "")
    return tasks.isdecimal() and int(tasks) > 1 and not any(name in environ for name in others)


def problem(environ: Mapping[str, str] = os.environ) -> str:
    """Why MPI cannot start, to be said before it is tried: it would end this process with a page of text.

    Empty where it might.
    """
    names = {name.partition("_")[0] for name in environ}
    if not started(environ):
        return ""
    library = _of_environment()
    if "PMIX" in names:  # an MPICH of the machine may have been built for it
        fails = library == "MPICH"
    elif "PMI" in names:  # and an Open MPI for that
        fails = library == "Open MPI"
    else:
        library = library or _without_slurms_own()
        fails = bool(library)
    if not fails:
        return ""
    number = environ["SLURM_STEP_NUM_TASKS"]
    return (
        f"the launcher started {number} ranks, but {library} would not find them: {advice(library, environ)}"
    )


def advice(library: str, environ: Mapping[str, str] = os.environ) -> str:
    """How to start ranks of that library, which srun as it was called has told nothing of each other."""
    plugin = _plugin(library, environ, _offered)
    return (
        f"srun --mpi={plugin} tells it of all of them"
        if plugin
        else "srun has no plug-in for it; call its own mpirun instead of srun, in a job of sbatch or salloc"
    )


def _plugin(library: str, environ: Mapping[str, str], offered: Callable[[], Sequence[str]]) -> str | None:
    wanted = next((plugin for name, plugin in PLUGINS.items() if library.startswith(name)), "pmix")
    tried = environ.get("SLURM_MPI_TYPE", "none")
    if tried.partition("_")[0] == wanted:  # and failed
        return None
    there = offered()
    return next(
        (plugin for plugin in (wanted, *there) if plugin.partition("_")[0] == wanted and plugin in there),
        None,
    )


def _offered() -> list[str]:
    """The plug-ins that srun has here. Where it does not tell, those that most have."""
    try:
        asked = command.run(["srun", "--mpi=list"], LIMIT_SECONDS)
    except command.CommandError:
        return list(PLUGINS.values())
    # Slurm before 20.11 tells it on standard error, each after "srun: ".
    return re.findall(r"^(?:srun:)?\s*(\w+)$", asked.stdout + asked.stderr, re.MULTILINE)


def _of_environment() -> str:
    """The library in this environment, of which is known what it can do; empty if there is none."""
    folder = Path(sys.prefix) / "lib"
    if (folder / "libmpi.so.12").exists():
        return "MPICH"
    return "Open MPI" if (folder / "libmpi.so.40").exists() else ""


def _without_slurms_own() -> str:
    """The name of the machine's library, if it is an Open MPI that cannot do without a plug-in of srun."""
    with mpi_library.search_path() as search_path:
        files = [int(number) for number in re.findall(r"/proc/self/fd/(\d+)", " ".join(search_path.values()))]
        try:
            inquiry = [sys.executable, "-c", _INQUIRY]
            asked = command.run(inquiry, LIMIT_SECONDS, environ=search_path, pass_fds=files)
        except command.CommandError:
            return ""
    name, slurms_own = asked.stdout.splitlines()[-2:]
    return name if name.startswith("Open MPI") and slurms_own == "False" else ""
