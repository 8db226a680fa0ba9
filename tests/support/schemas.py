"""The JSON schemas of the documents."""

import json
from typing import Any

from mpi_pi.system import package


def _schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((package.FOLDER / "storage" / f"{kind}.schema.json").read_text())
    return found


RUN, BENCH, CHECK, BURN_IN = (_schema(kind) for kind in ("report", "bench", "check", "burn-in"))


def merged(document: dict[str, Any], *shards: dict[str, int]) -> dict[str, Any]:
    """Return the document of a result as if shards had been merged; each has these numbers of ranks."""
    origin = ("date", "scheduler", "job_id", "argv", "command")
    rows = [
        {"index": index, "spent": document["spent"]} | dict.fromkeys(origin) | shard
        for index, shard in enumerate(shards, 1)
    ]
    derived: dict[str, Any] = {"hosts": [], "points_per_second": None}
    return document | derived | {"shards": rows}
