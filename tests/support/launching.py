"""What tests need to launch a command: where it is, and the settings of the MPI."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
BIN = Path(sys.executable).parent
MPIRUN = os.environ.get("MPI_PI_MPIRUN") or str(BIN / "mpirun" if (BIN / "mpirun").exists() else "mpirun")
MPI_PI = str(BIN / "mpi-pi")
soak = pytest.mark.skipif(not os.environ.get("MPI_PI_SOAK"), reason="long; make soak runs it")

Launch = Callable[..., subprocess.CompletedProcess[str]]

SETTINGS = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}


def is_hydra() -> bool:
    """Return whether mpirun is MPICH's."""
    said = subprocess.run([MPIRUN, "--version"], capture_output=True, text=True, check=True).stdout
    return "HYDRA" in said
