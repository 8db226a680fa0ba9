"""Sessions with the agent through a script in the place of ssh."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mpi_pi.cluster.host import Host
from mpi_pi.cluster.ssh import SshPool, SshSession
from mpi_pi.cluster.ssh_errors import HostError, explanation

Open = Callable[[str], SshSession]

ON_THIS_MACHINE = 'for last; do :; done; echo "Welcome"; exec sh -c "$last"'
"""Runs the remote command, which is the last argument of ssh."""


@pytest.fixture
def open_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Yield a function that opens a session with pi@node1 through a script of shell."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def start(script: str) -> SshSession:
        program = tmp_path / "ssh"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return pool.open(Host("node1", "pi", 2222))

    with SshPool() as pool:
        yield start


def test_agent_answers_until_it_refuses_a_request(open_session: Open, tmp_path: Path) -> None:
    session = open_session(ON_THIS_MACHINE)
    place = str(tmp_path / "environment")
    (tmp_path / "marker").touch()
    assert session.ask(20, "find_markers", path=place, markers=["marker", "other"]) == [True, False]
    (tmp_path / "environment").write_text("no folder")
    with pytest.raises(HostError, match=f"^{place} is there, and was not put there by a deployment"):
        session.ask(20, "install", [tmp_path / "marker"], path=place, what="mpi-pi", digest="0", fresh=True)


def test_silent_host_is_given_up(open_session: Open) -> None:
    with pytest.raises(HostError, match=r"^it did not answer within 1 s: ssh pi@node1 uptime$"):
        open_session("exec sleep 60").ask(1, "remove_markers")


def test_host_that_was_given_up_is_still_called_silent(open_session: Open) -> None:
    """Not by the status of the ssh that was killed then."""
    session = open_session("exec sleep 60")
    for _ in range(2):
        with pytest.raises(HostError, match=r"^it did not answer within \d+ s: ssh pi@node1 uptime$"):
            session.ask(1, "remove_markers")


def test_error_of_ssh_is_explained(open_session: Open) -> None:
    session = open_session("echo 'pi@node1: Permission denied (publickey).' >&2; exit 255")
    with pytest.raises(HostError, match=r"without a password: ssh-copy-id -p 2222 pi@node1$"):
        session.ask(20, "remove_markers")


@pytest.mark.parametrize(
    ("status", "errors", "reason"),
    [
        (127, "", "it has no python3: ssh -t pi@node1 sudo apt-get install python3"),
        (1, "one\nMemoryError\n", "what was started there ended with status 1: MemoryError"),
        (255, "", "ssh failed: status 255"),
        (255, "{name}", "ssh failed: {name}"),
        (255, "Connection reset by {peer}", "it hung up (Connection reset by {peer}): see journalctl -u ssh"),
        (255, "Host key verification failed.", "its host key is not known yet: ssh -p 2222 pi@node1 once"),
        (
            255,
            "HOST IDENTIFICATION HAS CHANGED",
            "ssh-keygen -R [node1]:2222, then ssh -p 2222 pi@node1 once",
        ),
        (
            255,
            "connect: No route to host",
            "no answer: is it switched on, and on this network? ping -c 3 node1",
        ),
    ],
)
def test_explanation_names_host_and_remedy(status: int, errors: str, reason: str) -> None:
    assert reason in explanation(Host("node1", "pi", 2222), status, errors)
