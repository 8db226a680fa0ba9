"""Platform tags of the wheels that fit a host."""

from dataclasses import replace
from typing import Any

import packaging.tags
import pytest

from mpi_pi.cluster import wheels
from mpi_pi.cluster.platforms import Platform
from support.launching import ROOT


def test_wheels_fit_the_c_library_of_the_host(target: Platform) -> None:
    """The tags for this machine are those of PyPA's own library."""
    known = {tag.platform for tag in packaging.tags.sys_tags()} - {"any"}
    assert set(target.platforms()) == known
    assert Platform("3.11.2", "aarch64", "2.19").platforms() == [
        "manylinux_2_19_aarch64",
        "manylinux_2_18_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "linux_aarch64",
    ]


HOST = Platform("3.11.2", "aarch64", "2.36")


@pytest.mark.parametrize(
    ("project", "host", "same"),
    [
        ({"requirements": ("numpy>=3",)}, {}, False),
        ({"pinned": ("numpy==2.0.0",)}, {}, False),
        ({}, {"python": "3.12.2"}, False),
        ({}, {"machine": "x86_64"}, False),
        # The package itself is compared by its sources, and wheels fit any patch of a Python.
        ({"sources": "0"}, {}, True),
        ({}, {"python": "3.11.9"}, True),
        ({}, {"glibc": "2.41"}, True),
    ],
)
def test_digest_tells_whether_other_packages_would_be_installed(
    project: dict[str, Any], host: dict[str, Any], same: bool
) -> None:
    here = wheels.project(ROOT)
    changed = replace(here, **project).digest(replace(HOST, **host))
    assert (changed == here.digest(HOST)) == same
