"""Advice on `srun --mpi=PLUGIN`: ranks find each other by a plug-in that their MPI library supports."""

import os
import re
import sys
from collections.abc import Mapping

from mpi_pi.mpi import library as mpi_library
from mpi_pi.system import command

PLUGINS = {"Open MPI": "pmix", "MPICH": "pmi2"}
"""Plug-in of srun, by the beginning of the MPI library's name (Slurm's documentation, mpi_guide)."""

LIMIT_SECONDS = 20
"""Time limit for a command."""

OTHERS = ("OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "HYDI_CONTROL_FD")
"""Variables by which another launcher is recognised, which srun or flux run may have started."""

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
    """Return whether srun, without an mpirun in between, has started this process as one of several."""
    return started_directly(environ, "SLURM_STEP_NUM_TASKS")


def started_directly(environ: Mapping[str, str], variable: str) -> bool:
    """Return whether the launcher that sets `variable` to its number of ranks has started several itself."""
    tasks = environ.get(variable, "")
    return tasks.isdecimal() and int(tasks) > 1 and not any(name in environ for name in OTHERS)


def problem(environ: Mapping[str, str] = os.environ) -> str:
    """Return why MPI cannot start, with advice, or "" if nothing is known against it.

    To be called before MPI starts, since a failing MPI_Init ends the process with a page of text.
    """
    if not started(environ):
        return ""
    prefixes = {name.partition("_")[0] for name in environ}
    library = next(iter(mpi_library.embedded()), "")
    if "PMIX" in prefixes or "PMI" in prefixes:  # the machine's MPI library may have been built for either
        unfit = "MPICH" if "PMIX" in prefixes else "Open MPI"
        library = library if library == unfit else ""
    else:
        library = library or _of_machine()
    if not library:
        return ""
    started_them = f"the launcher started {environ['SLURM_STEP_NUM_TASKS']} ranks"
    return f"{started_them}, but {library} would not find them: {advice(library, environ)}"


def advice(library: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return how to start ranks of an MPI library, after this call of srun has not connected them."""
    wanted = next((plugin for name, plugin in PLUGINS.items() if library.startswith(name)), "pmix")
    has_failed = environ.get("SLURM_MPI_TYPE", "none").partition("_")[0] == wanted
    fitting = [] if has_failed else [name for name in _offered() if name.partition("_")[0] == wanted]
    if not fitting:
        return "srun has no plug-in for it; call its own mpirun instead of srun, in a job of sbatch or salloc"
    return f"srun --mpi={wanted if wanted in fitting else fitting[0]} tells it of all of them"


def _offered() -> list[str]:
    """Return the plug-ins that srun has here; if it does not tell, those that most installations have."""
    try:
        asked = command.run(["srun", "--mpi=list"], LIMIT_SECONDS)
    except command.CommandError:
        return list(PLUGINS.values())
    # Slurm before 20.11 prints the list to standard error, each line after "srun: ".
    return re.findall(r"^(?:srun:)?\s*(\w+)$", asked.stdout + asked.stderr, re.MULTILINE)


def _of_machine() -> str:
    """Return the machine's MPI library if it is an Open MPI that needs a plug-in of srun, or ""."""
    with mpi_library.search_path() as search_path:
        files = [int(number) for number in re.findall(r"/proc/self/fd/(\d+)", " ".join(search_path.values()))]
        try:
            inquiry = [sys.executable, "-c", _INQUIRY]
            asked = command.run(inquiry, LIMIT_SECONDS, environ=search_path, pass_fds=files)
        except command.CommandError:
            return ""
    name, has_slurms_own = asked.stdout.splitlines()[-2:]
    return name if name.startswith("Open MPI") and has_slurms_own == "False" else ""
