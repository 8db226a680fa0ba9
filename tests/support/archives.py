"""Archives of `mpi-pi wheelhouse`, made from the packages that pip finds where the tests run."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mpi_pi.cluster.archive import FOLDER
from support.lacks import lack
from support.launching import MPI_PI, ROOT, SETTINGS

NETWORK = "a way to the packages on PyPI"

WITHOUT_PIP = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
"""The environment without settings for pip."""

NO_PACKAGES = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_NO_COMPILE": "1"}
"""Settings by which pip has no packages but those that it is told of. (It installs in half of the time.)"""

AT_SITE = WITHOUT_PIP | SETTINGS | NO_PACKAGES


def make(file: Path, pythons: Sequence[str], machines: Sequence[str], seconds: float) -> str:
    """Make an archive, and return the report; without a network skip the test, or in CI fail it."""
    options = ["--output", str(file), "--python", *pythons, "--machine", *machines]
    by_make = ["make", "--silent", "--old-file=.venv/installed", "wheelhouse", f"ARGS={shlex.join(options)}"]
    run = subprocess.run(
        by_make if Path(sys.prefix) == ROOT / ".venv" else [MPI_PI, "wheelhouse", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if "pip did not reach the packages" in run.stderr:
        lack(NETWORK)
    assert run.returncode == 0, run.stderr
    return run.stdout


def unpack(file: Path, folder: Path) -> Path:
    """Unpack an archive, and return the project's folder."""
    subprocess.run(["tar", "-xf", str(file), "-C", str(folder)], check=True, timeout=120)
    return folder / FOLDER
