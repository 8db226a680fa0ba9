"""Advice on flux run, by its call and the MPI library."""

import pytest

from mpi_pi.mpi import flux_run


@pytest.mark.parametrize(
    ("environ", "started"),
    [
        ({"FLUX_JOB_SIZE": "2", "PMI_SIZE": "2", "PMI_FD": "3"}, True),
        ({"FLUX_JOB_SIZE": "1", "PMI_SIZE": "1"}, False),
        ({"FLUX_JOB_SIZE": "2", "OMPI_COMM_WORLD_SIZE": "4"}, False),  # an mpirun on each node
        ({"FLUX_URI": "local:///tmp/flux"}, False),  # a script of flux batch
    ],
)
def test_ranks_of_flux_run_are_told_from_those_of_mpirun(environ: dict[str, str], started: bool) -> None:
    assert flux_run.started(environ) == started


@pytest.mark.parametrize(("library", "interface"), [("Open MPI v5.0.11", "pmix"), ("MPICH 5.0.2", "simple")])
def test_advice_names_the_interface_that_fits(library: str, interface: str) -> None:
    assert flux_run.advice(library).startswith(f"flux run -o pmi={interface} ")
    assert "its own mpirun" in flux_run.advice(library)
