"""Advice on flux run, by its call and the MPI library."""

import pytest

from mpi_pi.mpi import flux_run, library


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


@pytest.mark.parametrize(
    ("installed", "environ", "refused"),
    [
        (["Open MPI"], {"FLUX_JOB_SIZE": "2", "PMI_FD": "3"}, True),
        (["Open MPI"], {"FLUX_JOB_SIZE": "2", "PMIX_NAMESPACE": "x"}, False),
        (["Open MPI"], {"FLUX_JOB_SIZE": "1", "PMI_FD": "3"}, False),
        (["MPICH"], {"FLUX_JOB_SIZE": "2", "PMI_FD": "3"}, False),
        ([], {"FLUX_JOB_SIZE": "2", "PMI_FD": "3"}, False),
    ],
)
def test_open_mpi_without_pmix_is_refused_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, installed: list[str], environ: dict[str, str], refused: bool
) -> None:
    monkeypatch.setattr(library, "embedded", lambda: installed)
    told = flux_run.problem(environ)
    beginning = "the launcher started 2 ranks, but Open MPI would not find them: flux run -o pmi=pmix "
    assert told.startswith(beginning) if refused else told == ""


@pytest.mark.parametrize(("name", "interface"), [("Open MPI v5.0.11", "pmix"), ("MPICH 5.0.2", "simple")])
def test_advice_names_the_interface_that_fits(name: str, interface: str) -> None:
    assert flux_run.advice(name).startswith(f"flux run -o pmi={interface} ")
    assert "its own mpirun" in flux_run.advice(name)
