"""Advice on `flux run -o pmi=NAME`: ranks find each other by an interface that their MPI library supports."""

import os
from collections.abc import Mapping

from mpi_pi.mpi import library as mpi_library
from mpi_pi.mpi import srun


def started(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether flux run, without an mpirun in between, has started this process as one of several."""
    return srun.started_directly(environ, "FLUX_JOB_SIZE")


def problem(environ: Mapping[str, str] = os.environ) -> str:
    """Return why MPI cannot start, with advice, or "" if nothing is known against it.

    To be called before MPI starts: an Open MPI from PyPI needs PMIx, and prints half a page without it.
    """
    library = next(iter(mpi_library.embedded()), "")
    if not started(environ) or library != "Open MPI" or "PMIX_NAMESPACE" in environ:
        return ""
    started_them = f"the launcher started {environ['FLUX_JOB_SIZE']} ranks"
    return f"{started_them}, but {library} would not find them: {advice(library)}"


def advice(library: str) -> str:
    """Return how to start ranks of an MPI library, after this call of flux run has not connected them."""
    own = "call its own mpirun instead of flux run, in a job of flux batch or flux alloc"
    if library.startswith("Open MPI"):
        return f"flux run -o pmi=pmix tells it of all of them, with Flux's plug-in flux-pmix; without, {own}"
    return f"flux run -o pmi=simple tells it of all of them, if it was built for PMI; if not, {own}"
