"""Requirements of a deployment to a host."""

from typing import Any

import pytest

from mpi_pi.cluster import wheels
from mpi_pi.cluster.deploy import require_fit
from mpi_pi.cluster.ssh_errors import HostError
from support.launching import ROOT


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (
            {"bits": 32, "machine": "aarch64"},
            r"32-bit one \(aarch64\).*64-bit Raspberry Pi OS.*python3-mpi4py",
        ),
        ({"glibc": ""}, "C library is not glibc"),
        ({"python": "3.10.12"}, r"Python 3\.10\.12, and mpi_pi needs 3\.11 or newer"),
    ],
)
def test_host_without_wheels_is_refused_with_an_alternative(facts: dict[str, Any], problem: str) -> None:
    fit = {"python": "3.11.2", "machine": "aarch64", "bits": 64, "glibc": "2.36"}
    least_python = wheels.project(ROOT).least_python
    require_fit(fit, least_python)
    with pytest.raises(HostError, match=problem):
        require_fit(fit | facts, least_python)
