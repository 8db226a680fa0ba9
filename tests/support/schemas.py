"""The JSON schemas of the documents."""

import json
from typing import Any

from mpi_pi.system import package


def _schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((package.FOLDER / "storage" / f"{kind}.schema.json").read_text())
    return found


RUN, BENCH, CHECK, BURN_IN = (_schema(kind) for kind in ("report", "bench", "check", "burn-in"))
