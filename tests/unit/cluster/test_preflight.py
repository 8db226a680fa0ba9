"""Checks of a launcher that need no host."""

import pytest

from mpi_pi.cluster import preflight


@pytest.mark.parametrize(
    ("launcher", "mpirun", "problem"),
    [
        ("Open MPI 5.0.11", "/home/ü/mpi-pi_2/.venv/bin/mpirun", False),
        ("Open MPI 5.0.11", "/home/me/My Docs/mpi_pi/.venv/bin/mpirun", True),
        ("Open MPI 5.0.11", "/home/me/it's/.venv/bin/mpirun", True),
        ("Open MPI 4.1.4", "/home/me/a&b/.venv/bin/mpirun", True),
        ("Open MPI 4.1.4", "mpirun.openmpi", False),
        ("MPICH 5.0.2", "/home/me/My Docs/mpi_pi/.venv-mpich/bin/mpirun", False),
    ],
)
def test_paths_from_which_open_mpi_starts_nothing_on_other_hosts(
    launcher: str, mpirun: str, problem: bool
) -> None:
    assert bool(list(preflight._unsafe_path(launcher, mpirun))) == problem
