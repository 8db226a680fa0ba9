"""Agent that is sent to hosts."""

import ast
import fcntl
import inspect
import subprocess
from pathlib import Path

import pytest

from mpi_pi.cluster import ssh
from mpi_pi.cluster.agent import commands
from mpi_pi.cluster.agent.commands import AgentError
from mpi_pi.cluster.agent.environment import RECORD, glibc
from mpi_pi.cluster.agent.installation import install


def test_second_deployment_at_a_time_is_refused(tmp_path: Path) -> None:
    record = tmp_path / RECORD
    with record.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)  # so that the lock of `install` has to be exclusive
        with pytest.raises(AgentError, match="another deployment is at work on"):
            install(str(tmp_path), "mpi-pi", "digest", fresh=True, files=[])
    assert [path.name for path in tmp_path.iterdir()] == [record.name]


@pytest.mark.parametrize(
    ("script", "seconds", "error"),
    [
        ("echo 'ERROR: no wheel'; echo 'and more'; exit 3", 10, "it failed: ERROR: no wheel"),
        ("echo one >&2; echo two; exit 3", 10, "it failed: two"),
        ("exit 3", 10, "it failed: status 3"),
        ("exec sleep 60", 1, "it failed: not done after 1 s"),
    ],
)
def test_error_of_a_command_is_its_most_telling_line(script: str, seconds: float, error: str) -> None:
    with pytest.raises(AgentError) as raised:
        commands.run(["sh", "-c", script], "it failed", seconds)
    assert str(raised.value) == error


def test_version_of_glibc_is_that_of_its_own_program() -> None:
    shown = subprocess.run(["ldd", "--version"], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[0].endswith(f" {glibc()}")


def test_agent_is_understood_by_python_3_7() -> None:
    """Hosts with an old Python can then report that it is too old."""
    for module in ssh.AGENT:
        ast.parse(inspect.getsource(module), feature_version=(3, 7))
    ast.parse(ssh.agent_program(), feature_version=(3, 7))
