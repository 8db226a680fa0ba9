"""Requests of the client on standard input, and answers on standard output.

The first line is a mark, with which the line of each answer begins, since the host's shell may print other
lines. A request is a line of JSON, followed by the files that it lists. The agent ends when it refuses one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from mpi_pi.cluster.agent.commands import AgentError, watch_client
from mpi_pi.cluster.agent.environment import describe_environment, describe_host
from mpi_pi.cluster.agent.installation import create_marker, find_markers, install, remove_markers, verify
from mpi_pi.cluster.agent.job_end import end_job
from mpi_pi.cluster.agent.network import connect, listen

_ACTIONS: dict[str, Callable[..., Any]] = {
    action.__name__: action
    for action in (
        *(describe_host, create_marker, find_markers, remove_markers, install, verify),
        *(describe_environment, listen, connect, end_job),
    )
}


def serve() -> None:
    """Answer requests until the input ends or one is refused; then remove temporary files."""
    watch_client()
    mark = sys.stdin.buffer.readline().decode().strip()
    try:
        for line in iter(sys.stdin.buffer.readline, b""):
            request = json.loads(line.decode())
            try:
                answer = {"done": _ACTIONS[request.pop("do")](**request)}
            except AgentError as refused:
                answer = {"refused": str(refused)}
            except OSError as error:
                answer = {"refused": f"{error.filename or ''}: {error.strerror}".lstrip(": ")}
            sys.stdout.write(f"\n{mark} {json.dumps(answer)}\n")
            sys.stdout.flush()
            if "refused" in answer:
                break
    finally:
        remove_markers()
