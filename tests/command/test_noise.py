"""OS noise, measured on two ranks together."""

import json
import sys
from typing import Any

import jsonschema

from mpi_pi.report import plain
from mpi_pi.report.bench import noise as noise_report
from support.launching import Launch
from support.schemas import BENCH as SCHEMA

ON_RANKS = """
import json, socket
from types import SimpleNamespace
from unittest import mock
from mpi4py import MPI
from mpi_pi.kernel import loader as kernels; from mpi_pi.bench import noise
comm = MPI.COMM_WORLD
socket.gethostname = lambda: f"{'n' * 63}{comm.rank}"
mock.patch.object(noise, "QUICK_SECONDS", 0.05).start()
shown = []
groups = SimpleNamespace(comm=comm, heartbeat=SimpleNamespace(check=lambda: None))
section = noise.measure(groups, kernels.load(), False, shown.append)
assert shown == sorted(shown) and shown[-1] == 1
assert bool(section) == (comm.rank == 0)
if section:
    print(json.dumps(section))
"""


def test_ranks_measure_together(launch: Launch) -> None:
    run = launch(2, sys.executable, "-m", "mpi4py", "-c", ON_RANKS)
    assert run.returncode == 0, run.stderr
    section = json.loads(run.stdout)
    jsonschema.validate(section, SECTION)
    assert [(row["host"][-2:], row["ranks"]) for row in section["rows"]] == [("n0", 1), ("n1", 1)]
    assert section["slowdown"] == max(row["slowdown"] for row in section["rows"])
    assert text_of(section).startswith(f"Noise = {100 * section['slowdown']:.1f} %, the mean ")


SECTION = {"$ref": "#/properties/noise", "$defs": SCHEMA["$defs"], "properties": SCHEMA["properties"]}


def text_of(section: dict[str, Any]) -> str:
    return plain.text(noise_report.blocks(section))
