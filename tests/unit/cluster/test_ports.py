"""TCP ports that a launcher is told to use."""

from typing import Any

import pytest

from mpi_pi.cluster import ports


@pytest.mark.parametrize(
    ("launcher", "variables", "ranges"),
    [
        ("Open MPI 5.0.11", "", ((0, 0), (1024, 65534))),
        ("Open MPI 5.0.11", ports.FEWER_PORTS["Open MPI"], ((50000, 50009), (50100, 50499))),
        ("Open MPI 4.1.4", ports.FEWER_PORTS["Open MPI 4"], ((50000, 50009), (50100, 50499))),
        ("MPICH 5.0.2", "", ((0, 0), (0, 0))),
        ("MPICH 5.0.2", ports.FEWER_PORTS["MPICH"], ((50000, 50009), (50100, 50499))),
    ],
)
def test_port_ranges_are_those_that_the_launcher_is_told(launcher: str, variables: str, ranges: Any) -> None:
    environ = dict(variable.split("=") for variable in variables.split())
    assert ports.port_ranges(launcher, environ) == ranges
