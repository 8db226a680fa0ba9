"""Agent that is sent to hosts."""

import ast
import fcntl
import inspect
from pathlib import Path

import pytest

from mpi_pi.cluster import ssh
from mpi_pi.cluster.agent.commands import AgentError
from mpi_pi.cluster.agent.environment import RECORD
from mpi_pi.cluster.agent.installation import install


def test_second_deployment_at_a_time_is_refused(tmp_path: Path) -> None:
    record = tmp_path / RECORD
    with record.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(AgentError, match="another deployment is at work on"):
            install(str(tmp_path), "mpi-pi", "digest", fresh=True, files=[])
    assert [path.name for path in tmp_path.iterdir()] == [record.name]


def test_agent_is_understood_by_python_3_7() -> None:
    """Hosts with an old Python can then report that it is too old."""
    for module in ssh.AGENT:
        ast.parse(inspect.getsource(module), feature_version=(3, 7))
    ast.parse(ssh.agent_program(), feature_version=(3, 7))
