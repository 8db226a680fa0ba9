"""The command `mpi-pi check` on this machine."""

import json
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest

import mpi_pi
from mpi_pi.cli.parser import parse
from mpi_pi.errors import UserError
from mpi_pi.kernel.loader import Kernel
from mpi_pi.system import package
from mpi_pi.version import STREAM_VERSION
from support.faults import MESSAGE, Fault, Faults
from support.launching import MPI_PI, Launch, has_numba, imported_by_run
from support.schemas import CHECK as SCHEMA

PACKAGE = package.FOLDER
CHECK = (MPI_PI, "check")
CPUS = psutil.cpu_count() or 1


def texts_of_faults(document: dict[str, Any]) -> str:
    """Return the text of each fault."""
    return "\n".join(found["text"] for found in document["findings"] if found["severity"] == "fault")


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_report_of_one_host_follows_the_schema(
    launch: Launch, tmp_path: Path, ranks: int, kernel: Kernel
) -> None:
    run = launch(ranks, *CHECK, "--json", str(tmp_path / "o.json"))
    document = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(document, SCHEMA)
    last = run.stdout.splitlines()[-1]
    assert last.startswith("Fit = yes" if document["fit"] else "Fit = no, ")
    assert run.returncode == (0 if document["fit"] else 1), run.stderr
    assert f"Hosts = 1, ranks = {ranks}\n" in run.stdout
    assert f"Known answer = right on {ranks} of {ranks} ranks\n" in run.stdout
    assert len(re.findall(rf"^{re.escape(platform.node())} ", run.stdout, re.MULTILINE)) >= 3

    (host,) = document["hosts"]
    assert host["host"] == platform.node()
    assert host["reachable"]
    assert host["machine"]["architecture"] == platform.machine()
    assert host["machine"]["cpus"] == CPUS
    assert host["points_per_second"] == sum(row["points_per_second"] for row in document["ranks"])
    assert (host["link"] is None) == (ranks == 1)
    if host["link"]:
        assert abs(host["link"]["skew_seconds"]) < 1  # there is but one clock
    assert [row["rank"] for row in document["ranks"]] == list(range(ranks))
    for row in document["ranks"]:
        assert row["right"]
        assert row["points_per_second"] > 0
        assert row["kernel"] == kernel.name
        assert row["software"] | {"sources": "", "mpi": ""} == {
            "python": platform.python_version(),
            "bits": 64,
            "package": mpi_pi.__version__,
            "sources": "",
            "stream": STREAM_VERSION,
            "numpy": version("numpy"),
            "numba": version("numba") if has_numba() else None,
            "mpi4py": version("mpi4py"),
            "mpi": "",
        }
    assert (f"({ranks} on {CPUS}): more ranks than cores" in texts_of_faults(document)) == (ranks > CPUS)


@pytest.mark.usefixtures("compiled")
def test_check_without_numba_is_a_fault(launch: Launch) -> None:
    run = launch(0, *CHECK, "--json", "-", NUMBA_DISABLE_JIT="1")
    document = json.loads(run.stdout)
    jsonschema.validate(document, SCHEMA)
    assert run.returncode == 1
    assert f"{platform.node()}: NUMBA_DISABLE_JIT is set" in texts_of_faults(document)
    assert all(row["kernel"] == "numpy" and row["right"] for row in document["ranks"])
    assert all(row["points_per_second"] > 0 for row in document["ranks"])


@pytest.mark.skipif(CPUS < 2, reason="there is but one core")
def test_ranks_bound_to_one_core_are_a_fault(launch: Launch) -> None:
    run = launch(2, "taskset", "--cpu-list", "0", *CHECK)
    assert run.returncode == 1
    assert (
        f"fault: {platform.node()} (ranks 0-1 on core 0): several ranks are bound to one core" in run.stdout
    )


WEARY: dict[str, float] = {
    "mpi.peer_timeout:REPLY_TIMEOUT_SECONDS": 3.0,
    "mpi.command_loop:KEEP_ALIVE_SECONDS": 0.5,
}
"""Time-outs that make the check give up a rank sooner."""


@pytest.mark.usefixtures("compiled")
def test_what_is_wrong_with_a_rank_is_said(launch: Launch, faults: Faults) -> None:
    """Test a kernel that miscounts, a clock that is ahead, a connection of 50 ms, and no kernel at all.

    A kernel that takes longer to load than a host may be silent is no fault.
    """
    program = faults.program(
        Fault("in the known answers", "nothing", rank=1),
        Fault("in the clock", "nothing", rank=1),
        Fault("in the loading of the kernel", "sleep", rank=1, seconds=4.0),
        Fault("in the cache", rank=2),
        values=WEARY,
    )
    run = launch(3, program, *CHECK[1:], "--json", "-")
    document = json.loads(run.stdout)
    jsonschema.validate(document, SCHEMA)
    assert run.returncode == 1
    name = platform.node()
    assert f"{name} (rank 1): the known answers are counted wrong" in texts_of_faults(document)
    assert f"{name} (rank 2): RuntimeError: {MESSAGE}" in texts_of_faults(document)
    assert any(found["text"].startswith(f"{name} (+100.") for found in document["findings"])
    assert [row["right"] for row in document["ranks"]] == [True, False, None]
    assert document["hosts"][0]["link"]["latency_seconds"] >= 0.025


def test_file_that_cannot_be_written_is_refused(launch: Launch) -> None:
    run = launch(2, *CHECK, "--json", "/no/such/folder/o.json")
    assert run.returncode == 2
    assert run.stdout == ""
    ours = [line for line in run.stderr.splitlines() if "mpi-pi: " in line]
    assert ours == ["mpi-pi: error: argument --json: '/no/such/folder/o.json': No such file or directory"]


def test_options_of_other_commands_are_refused() -> None:
    for words in (["--kernel", "numpy"], ["-n", "1"], ["--json", ""], ["o.json"]):
        with pytest.raises(UserError):
            parse(["check", *words])


def test_run_does_not_import_the_check(launch: Launch) -> None:
    modules = imported_by_run(launch)
    own = {
        f"mpi_pi.{name}" for name in ("mpi.command_loop", "mpi.pingpong", "system.machine", "system.software")
    }
    assert not modules & own
    assert not [name for name in modules if re.match(r"mpi_pi\.(check\b|cli\.check$|report\.check$)", name)]
