"""The check for LBNL's NHC, called as NHC calls checks; and by NHC itself where that is."""

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from support import scripts, sensors
from support.faults import MESSAGE, Fault, Faults
from support.launching import MPI_PI, ROOT

CHECK = ROOT / "jobscripts" / "mpi-pi.nhc"
CALM: dict[str, float | str] = {"check.node:MAX_SHARE_OF_OTHERS": -1.0}
"""Values with which the node is busy in any case, so that its speed is not judged."""

DRIVER = """\
set -f
die() { echo "died: $1: $2"; return 0; }
log() { echo "logged: $*"; }
dbg() { echo "debug: $*"; }
. %s
check_mpi_pi %s
echo "returned $?"
"""
"""What NHC offers to a check, where it is to go on after a failure (-a)."""


def nhc() -> str | None:
    """Return the program nhc of NHC, which Debian has not, if it is on this machine."""
    return os.environ.get("MPI_PI_NHC") or shutil.which("nhc")


def checked(*words: str) -> list[str]:
    """Return the lines of the driver after a check with these arguments."""
    script = DRIVER % (shlex.quote(str(CHECK)), shlex.join(words))
    run = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": os.defpath},
    )
    assert run.stderr == ""
    return run.stdout.splitlines()


def test_healthy_node_passes(faults: Faults) -> None:
    assert checked(faults.program(values=CALM))[-2:] == [
        "debug: check_mpi_pi: Fit = yes, speed not measured",
        "returned 0",
    ]


def test_faulty_node_fails_with_its_fault(faults: Faults) -> None:
    died, returned = checked(faults.program(Fault("in the known answers", "nothing"), values=CALM))
    assert died.startswith("died: 1: check_mpi_pi: ")
    assert "the known answers are counted wrong" in died
    assert returned == "returned 1"


@pytest.mark.parametrize("program", ["raises", "/no/such/program", "/bin/false"])
def test_node_that_cannot_be_examined_passes(faults: Faults, program: str) -> None:
    """A program that does not start has the status 1, or 127, but names no fault."""
    if program == "raises":
        program = faults.program(Fault("in the loading of the kernel"))
        logged = f"not examined (status 75): Fit = unknown: RuntimeError: {MESSAGE}"
    else:
        logged = "not examined (status "
    said = checked(program)
    assert said[0].startswith(f"logged: check_mpi_pi: {logged}")
    assert said[-1] == "returned 0"


def test_check_that_hangs_is_left_alone(tmp_path: Path) -> None:
    scripts.write(tmp_path / "hangs", "import time; print('not yet', flush=True); time.sleep(30)")
    start = time.monotonic()
    said = checked("-t", "2", str(tmp_path / "hangs"))
    assert time.monotonic() - start < 25
    assert said[0] == "logged: check_mpi_pi: not examined (status missing): not yet"
    assert said[-1] == "returned 0"


def test_wrong_option_is_told() -> None:
    died, returned = checked("-x")
    assert died.startswith("died: 1: check_mpi_pi: -x is no option")
    assert returned == "returned 1"


@pytest.mark.skipif(nhc() is None, reason="NHC is not on this machine; MPI_PI_NHC may name its program")
def test_nhc_itself_marks_a_faulty_node_offline(faults: Faults, tmp_path: Path) -> None:
    memory = sensors.write(tmp_path / "sys", {"sys/devices/system/edac/mc/mc0/ue_count": 3})
    program = faults.program(values=CALM | {"system.sensors:ROOT": str(memory)})
    (tmp_path / "scripts").mkdir()
    beside = Path(nhc() or "").parent / "scripts"  # before it is installed
    for script in (*(beside if beside.exists() else Path("/etc/nhc/scripts")).glob("*.nhc"), CHECK):
        shutil.copy(script, tmp_path / "scripts")
    for name in ("offline", "online"):
        text = f'#!/bin/sh\necho "$@" >"{tmp_path}/marked-{name}"\n'
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(check: str) -> int:
        (tmp_path / "nhc.conf").write_text(f"* || check_mpi_pi {check}\n")
        settings = {"CONFDIR": tmp_path, "LOGFILE": "-", "NHC_RM": "slurm"}
        settings |= {"OFFLINE_NODE": tmp_path / "offline", "ONLINE_NODE": tmp_path / "online"}
        words = [str(nhc()), *(f"{name}={value}" for name, value in settings.items())]
        return subprocess.run(words, stdin=subprocess.DEVNULL, timeout=60, check=False).returncode

    assert run(program) == 1
    assert "check_mpi_pi: " in (tmp_path / "marked-offline").read_text()
    assert "memory errors that could not be corrected" in (tmp_path / "marked-offline").read_text()
    assert run(MPI_PI) == 0
    assert (tmp_path / "marked-online").exists()
