# Not tried: no Spack was at hand. The test of this file holds its directives to those of pyproject.toml.
#
# It is packages/py_mpi_pi/package.py of a repository of the site (spack repo create, spack repo add). The
# source distribution is made by `python -m build --sdist`.
#
#   spack install py-mpi-pi ^mpich

from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyMpiPi(PythonPackage):
    """Estimate pi by throwing darts on all ranks of an MPI job, with an answer that proves itself."""

    url = "file:///opt/sources/mpi_pi-0.2.0.tar.gz"  # a place of the site

    license("BSD-3-Clause", checked_by="the mpi_pi authors")

    version("0.2.0")  # with sha256=…, from `spack checksum`

    variant("plot", default=False, description="pictures: mpi-pi plot and mpi-pi report")

    with default_args(type=("build", "run")):
        depends_on("python@3.11:")
    depends_on("py-setuptools@77:", type="build")
    with default_args(type="run"):
        depends_on("py-mpi4py@3.1:")
        depends_on("py-numpy@1.24:")
        depends_on("py-numba@0.59:")
        depends_on("py-tqdm@4.64:")
        depends_on("py-matplotlib@3.7:", when="+plot")
