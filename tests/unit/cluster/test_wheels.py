"""Platform tags of the wheels that fit a host."""

import packaging.tags

from mpi_pi.cluster import wheels


def test_wheels_fit_the_c_library_of_the_host(target: wheels.Platform) -> None:
    """The tags for this machine are those of PyPA's own library."""
    known = {tag.platform for tag in packaging.tags.sys_tags()} - {"any"}
    assert set(target.platforms()) == known
    assert wheels.Platform("3.11.2", "aarch64", "2.19").platforms() == [
        "manylinux_2_19_aarch64",
        "manylinux_2_18_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "linux_aarch64",
    ]
