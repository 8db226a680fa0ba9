"""Hostfiles in the formats of Open MPI and MPICH."""

import contextlib
import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.cluster import hostfile
from mpi_pi.cluster.host import Host
from mpi_pi.cluster.hostfile import HostfileError, parse

labels = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
names = st.one_of(st.ip_addresses(v=4).map(str), labels, st.builds("{}-{}.{}".format, labels, labels, labels))
users = st.sampled_from(["", "pi", "student_1"])
hosts = st.builds(Host, names, users)
blanks = st.text(" \t", max_size=3)
comments = st.sampled_from(["", "# a comment", "#", "# slots=4 node9:4"])


@given(st.lists(hosts), st.sampled_from(["Open MPI 5.0.11", "MPICH 5.0.2"]), st.data())
def test_hosts_are_read_as_open_mpi_and_as_mpich_have_them(
    wanted: list[Host], launcher: str, data: st.DataObject
) -> None:
    lines, mpich = [], "MPICH" in launcher
    short: set[str] = set()
    for host in wanted:
        name = host.name if re.fullmatch(r"[\d.]+", host.name) else host.name.partition(".")[0]
        again = name in short
        short.add(name)
        settings = data.draw(
            st.sampled_from(
                ["", ":4", ":2 binding=user:1"] if mpich else ["", " slots=4", " slots = 2 max_slots=8"]
            )
        )
        before, after = data.draw(blanks), data.draw(blanks)
        comment = "" if mpich else data.draw(comments)
        lines.append(f"{before}{host.destination}{'' if again else settings}{after}{comment}")
        lines.append(data.draw(blanks) + data.draw(comments))
    found = parse("\n".join([*lines, ""]), launcher).hosts
    assert [host.destination for host in found] == [host.destination for host in dict.fromkeys(wanted)]


@given(st.text(), st.sampled_from(["Open MPI 5.0.11", "Open MPI 4.1.4", "MPICH 4.0.2", "MPICH 5.0.2", ""]))
def test_no_text_becomes_an_option_of_ssh(text: str, launcher: str) -> None:
    with contextlib.suppress(ValueError):
        for host in parse(text, launcher).hosts:
            assert not host.destination.startswith("-")
            assert not re.search(r"[^\w.:@-]", host.destination, re.ASCII)


def test_user_and_port_of_a_host_are_read() -> None:
    text = "node1 slots=2 username=pi\nann@node3 port = 2222 slots=1\n::1 slots=1"
    assert parse(text, "Open MPI 5.0.11").hosts == [
        Host("node1", "pi"),
        Host("node3", "ann", 2222),
        Host("::1"),
    ]
    assert parse("node2:4 user=ann\nbob@node4\n", "MPICH 5.0.2").hosts == [
        Host("node2", "ann"),
        Host("node4", "bob"),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"node1\n-oProxyCommand=true\n", "line 2: '-oProxyCommand' is not a host, such as"),
        (b"node1 4=\n", "line 1: '=' is not a setting, such as slots=4"),
        (b"\n\nnode1 slots=\n", "line 3: 'slots=': slots wants a number, such as slots=4"),
        (b"node1 port=ssh\n", "line 1: 'port=ssh': port wants a number"),
        (b"node1 port=65536\n", "line 1: port=65536 is not a TCP port"),
        (b"node1 username=-l\n", "line 1: '-l' is not the name of a user"),
        (b"# nobody\n\n", "names no hosts"),
        (b"\xff\xfe\x00node1", "not a text file"),
        (None, "No such file or directory"),
    ],
)
def test_error_in_a_hostfile_is_told_with_its_line(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "hosts"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(HostfileError, match=f"^{re.escape(f'{str(file)!r}: {problem}')}"):
        hostfile.read(str(file), "Open MPI 5.0.11")
