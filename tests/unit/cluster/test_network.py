"""TCP ports that the agent opens and tries."""

import socket

import pytest

from mpi_pi.cluster.agent import network

HERE = "127.0.0.1"


def test_peer_is_recognised_by_its_token() -> None:
    (port,) = network.listen([(0, 0)], "token")
    with socket.create_server((HERE, 0)) as closed:
        unused = closed.getsockname()[1]
    peers = [
        (HERE, port, "token"),
        (HERE, port, "other"),
        (HERE, unused, "token"),
        (HERE, port, "token, longer"),
    ]
    other = "something else answers there"
    assert network.connect(peers) == ["", other, "connection refused", other]
    assert network.connect([]) == []
    assert network.reach(HERE, port) == ""


def test_peer_that_sends_no_token_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "CONNECT_SECONDS", 0.5)
    with socket.create_server((HERE, 0)) as silent:
        assert network.reach(HERE, silent.getsockname()[1], "token") == "no answer"


def test_first_free_port_of_a_range_is_opened() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        assert network.listen([(port, port)], "token") == [0]
        assert network.listen([(port, min(port + 20, 65535))], "token")[0] > port
