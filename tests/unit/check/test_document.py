"""The document of a check, written and read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mpi_pi.check import document
from mpi_pi.check.diagnosis import findings
from mpi_pi.check.hosts import Host, RankFacts, group_by_host
from mpi_pi.storage import json_document
from mpi_pi.storage.json_document import DocumentError
from support.health import at, both, docker, every, healthy, on
from support.schemas import CHECK as SCHEMA

SET = {"governor": "performance", "turbo": True, "limit_mhz": 1500.0, "memory_bytes": 8 << 30}


def hosts() -> list[Host]:
    quota = {"cpu_quota": ("/sys/fs/cgroup/a/cpu.max", 1.6)}
    silent = RankFacts(16, "host of rank 16", reachable=False)
    change = both(every(machine=SET), both(on("node2", machine=quota | docker(102)), at(9, right=False)))
    return group_by_host([*change(healthy()), silent])


def written(members: dict[str, Any], file: Path) -> str:
    """Write a document with a right checksum, and return the name of the file."""
    file.write_text(json_document.dumps(members))
    return str(file)


def members_of(those: list[Host]) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(document.dumps(those, findings(those)))
    return members


def as_schema_1(members: dict[str, Any]) -> dict[str, Any]:
    """Return a document as mpi-pi 0.1 wrote it."""
    own = {name: value for name, value in members.items() if name != "date"}
    rows = [
        {name: value for name, value in row.items() if name not in ("points_per_cpu_second", "core_share")}
        | ({"core_share": row["core_share"]} if "rank" in row else {})
        | (
            {"machine": {k: v for k, v in row["machine"].items() if k not in SET}}
            if row.get("machine")
            else {}
        )
        for row in [*own["hosts"], *own["ranks"]]
    ]
    number = len(own["hosts"])
    return own | {"schema": 1, "hosts": rows[:number], "ranks": rows[number:]}


def test_document_is_read_as_it_was_written(tmp_path: Path) -> None:
    members = members_of(hosts())
    jsonschema.validate(members, SCHEMA)
    found = document.read(written(members, tmp_path / "o.json"))
    assert found.date == members["date"]
    # Of a rank, the document has no facts that it has of its host.
    expected = [
        replace(
            host,
            ranks=tuple(
                replace(rank, machine=None, idle=None, loaded=None, link=None) for rank in host.ranks
            ),
        )
        for host in hosts()
    ]
    assert list(found.hosts) == expected


def test_document_of_the_schema_before_is_read(tmp_path: Path) -> None:
    members = as_schema_1(members_of(hosts()))
    jsonschema.validate(members, SCHEMA)
    found = document.read(written(members, tmp_path / "o.json"))
    assert found.when == "in the baseline"
    first = found.hosts[0]
    assert first.machine is not None
    assert (first.machine.governor, first.machine.memory_bytes) == (None, None)
    # The rate for CPU time is that for wall time over the core share.
    assert first.points_per_cpu_second == pytest.approx(sum(1e8 + rank for rank in range(4)) / 0.99)


def test_members_that_are_not_known_are_ignored(tmp_path: Path) -> None:
    members = members_of(hosts())
    members["site"] = "here"
    for row in (members["hosts"][0], members["hosts"][0]["machine"], members["hosts"][0]["link"]):
        row["colour"] = {"of": "the lid"}
    members["ranks"][0]["software"]["shell"] = "5.2"
    jsonschema.validate(members, SCHEMA)
    assert document.read(written(members, tmp_path / "o.json")).hosts[0].name == "node1"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": 3}, "has schema 3 of mpi-pi '.*', not 1 or 2$"),
        ({"kind": "result"}, "^not a check, but something else of mpi-pi's$"),
        ({"program": "else"}, "^not written by mpi-pi$"),
        ({"hosts": []}, "^hosts: has 0 items$"),
        ({"ranks": [{"rank": 0}]}, r"^ranks\[0\].host: is missing$"),
        ({"date": "a\nb"}, "^date: .* does not match"),
    ],
)
def test_document_that_is_none_is_refused(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    with pytest.raises(DocumentError, match=why):
        document.read(written(members_of(hosts()) | change, tmp_path / "o.json"))


def test_document_without_a_host_of_its_ranks_is_refused(tmp_path: Path) -> None:
    members = members_of(hosts())
    del members["hosts"][1]
    with pytest.raises(DocumentError, match=r"^hosts: are not those of the ranks$"):
        document.read(written(members, tmp_path / "o.json"))


def test_document_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    (tmp_path / "o.json").write_text(document.dumps(hosts(), []).replace("1500", "1400", 1))
    with pytest.raises(DocumentError, match=r"^damaged: its checksum is wrong$"):
        document.read(str(tmp_path / "o.json"))
