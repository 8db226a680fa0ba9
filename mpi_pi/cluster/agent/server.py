"""Requests of the client on standard input, and answers on standard output.

The first line is a mark: each answer is a line that begins with it, since hosts may print things of their
own. A request is a line of JSON, followed by files where it says so. A request that is refused is the last.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from mpi_pi.cluster.agent.commands import AgentError, watch_client
from mpi_pi.cluster.agent.environment import describe_environment, describe_host
from mpi_pi.cluster.agent.installation import create_marker, find_markers, install, remove_markers, verify
from mpi_pi.cluster.agent.network import connect, listen

_ACTIONS: dict[str, Callable[..., Any]] = {
    action.__name__: action
    for action in (
        *(describe_host, create_marker, find_markers, remove_markers, install, verify),
        *(describe_environment, listen, connect),
    )
}


def serve() -> None:
    """Answer requests until there are no more. In the end, nothing temporary stays on the host."""
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
