"""Platform tags of the wheels that fit a host."""

import subprocess

import packaging.tags
import pytest

from mpi_pi.cluster import wheels


@pytest.fixture(scope="module")
def target() -> wheels.Platform:
    """All hosts here, by their own Python."""
    program = (
        "import os, platform; print(platform.python_version(), platform.machine(),"
        " os.confstr('CS_GNU_LIBC_VERSION').split()[1])"
    )
    told = subprocess.run(["/usr/bin/python3", "-c", program], capture_output=True, text=True, check=True)
    return wheels.Platform(*told.stdout.split())


def test_wheels_fit_the_c_library_of_the_host(target: wheels.Platform) -> None:
    """The tags are those that PyPA's own library knows of for this machine."""
    known = {tag.platform for tag in packaging.tags.sys_tags()} - {"any"}
    assert set(target.platforms()) == known
    assert wheels.Platform("3.11.2", "aarch64", "2.19").platforms() == [
        "manylinux_2_19_aarch64",
        "manylinux_2_18_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "linux_aarch64",
    ]
