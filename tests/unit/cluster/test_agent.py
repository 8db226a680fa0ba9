"""The agent, which is sent to hosts."""

import ast
import fcntl
import inspect
from pathlib import Path

import pytest

from mpi_pi.cluster import ssh
from mpi_pi.cluster.agent.commands import AgentError
from mpi_pi.cluster.agent.environment import RECORD
from mpi_pi.cluster.agent.installation import install


def test_two_at_a_time_do_not_get_into_each_other_s_way(tmp_path: Path) -> None:
    record = tmp_path / RECORD
    with record.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(AgentError, match="another deployment is at work on"):
            install(str(tmp_path), "mpi-pi", "digest", fresh=True, files=[])
    assert [path.name for path in tmp_path.iterdir()] == [record.name]


def test_what_is_sent_to_hosts_is_understood_by_older_versions_of_python() -> None:
    """So that they can say that they are too old."""
    for module in ssh.AGENT:
        ast.parse(inspect.getsource(module), feature_version=(3, 7))
    ast.parse(ssh.agent_program(), feature_version=(3, 7))
