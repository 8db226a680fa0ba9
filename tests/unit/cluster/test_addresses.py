"""Addresses of hosts, with scripts in the place of ssh and getent."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mpi_pi.cluster import addresses
from mpi_pi.cluster.addresses import SshEndpoint
from mpi_pi.cluster.host import Host

Program = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return a function that makes a program of that name, which prints a text."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def make(name: str, text: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<END\n{text}\nEND\n")
        (tmp_path / name).chmod(0o755)

    return make


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ("hostname 10.0.0.1\nport 2200\nproxycommand none", SshEndpoint("10.0.0.1", 2200, direct=True)),
        ("hostname 10.0.0.1\nport 22\nproxyjump gate", SshEndpoint("10.0.0.1", 22, direct=False)),
        ("hostname 10.0.0.1\nproxycommand nc gate 22", SshEndpoint("10.0.0.1", 2222, direct=False)),
        ("", SshEndpoint("node1", 2222, direct=True)),
    ],
)
def test_endpoint_follows_the_settings_of_ssh(program: Program, settings: str, endpoint: SshEndpoint) -> None:
    program("ssh", settings)
    assert addresses.ssh_endpoint(Host("node1", "pi", 2222)) == endpoint


def test_addresses_of_ipv4_are_first_and_each_once(program: Program) -> None:
    program("getent", "::1 STREAM node1\n127.0.0.1 STREAM\n127.0.0.1 DGRAM\n192.0.2.1 STREAM")
    assert addresses.resolve("node1") == ["127.0.0.1", "192.0.2.1", "::1"]
    assert addresses.is_here(Host("node1"))
    program("getent", "192.0.2.1 STREAM node1")
    assert not addresses.is_here(Host("node1"))
    program("getent", "")
    assert addresses.resolve("node1") == []
