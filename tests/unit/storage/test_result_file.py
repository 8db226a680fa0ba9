"""Results are read as they were written."""

import functools
import json
import operator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from mpi_pi.model.origin import Origin
from mpi_pi.model.result import Result
from mpi_pi.storage import json_document, result_file
from support import runs
from support.runs import flame
from support.schemas import RUN, merged
from support.texts import report_text


def again(result: Result) -> Result:
    return result_file.of_document(json.loads(result_file.as_json(result)))


def comparable(result: Result) -> tuple[object, ...]:
    rows = [
        [value.tolist() if isinstance(value, np.ndarray) else value for value in vars(row).values()]
        for row in result.timeline.records
    ]
    shard = replace(result.shard, tally=result.tally, usage=result.usage)
    return shard, result.ranks, rows, result.repairs, result.partial


@pytest.mark.parametrize(
    "result",
    [
        flame(),
        runs.run(3, 2),
        runs.run(4, stopped=True),
        runs.run(3, 2, losses={runs.BEFORE_ROUNDS: [1], 3: [3], 8: [4, 5]}),
        runs.run(3, 2, losses={4: [0, 1]}),
    ],
    ids=["flame", "hosts", "stopped", "losses", "rank 0 lost"],
)
def test_result_is_read_as_it_was_written(result: Result) -> None:
    assert comparable(again(result)) == comparable(result)
    assert report_text(again(result), per_rank=True) == report_text(result, per_rank=True)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"ranks": []}, "ranks: has 0 items"),
        ({"partial": True}, "finished, though it says not"),
        ({"mpi_library": 7}, "mpi_library: 7 is no string"),
        ({"rounds": [{}]}, "rounds[0].first_round: is missing"),
        ({"stream_version": 99}, "has stream version 99, not 1: its hits are others"),
    ],
)
def test_impossible_result_is_refused(change: dict[str, Any], complaint: str) -> None:
    document = json.loads(result_file.as_json(runs.run(2)))
    with pytest.raises(json_document.DocumentError) as refused:
        result_file.of_document(document | change)
    assert str(refused.value) == complaint


ONE = {"ranks": 1, "started_ranks": 1}


def of_shards(number: int) -> dict[str, Any]:
    """Return the document of a result of two ranks as if so many shards of a rank had been merged."""
    return merged(json.loads(result_file.as_json(runs.run(2))), *[ONE] * number)


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        ("in_line", [], "in_line: is not the tally, though all units are counted"),
        ("verified", False, "verified: is not true, as the tally has it"),
        ("estimate.correct_digits", 40, r"estimate\.correct_digits: 40 is not \d+, as the tally has it"),
        ("ranks.1.rank", 2, "ranks: are not numbered from 0 on"),
        ("ranks.0.units", 0, r"ranks: have \d+ units together, and tally has 320"),
        (
            "ranks.0.points_per_second",
            1.0,
            r"ranks\[0\]\.points_per_second: does not follow from the other mem",
        ),
        ("rounds.3.first_round", 4, r"rounds\[3\]: does not follow on the one before"),
        ("rounds.3.start_seconds", 0.0, r"rounds\[3\]: does not follow on the one before"),
        (
            "rounds.3.lost_units.0",
            10**6,
            r"rounds\[3\]: has more hits than points, or more lost units than un",
        ),
        ("rounds.3.hits", 0, r"rounds: have \d+ hits together, and tally has \d+"),
        ("rounds.3.points.1", 10**9, r"ranks\[1\]: has \d+ points, and its rounds together \d+"),
        (
            "rounds.3.count_seconds.1",
            0.0,
            r"ranks\[1\]: has \d+ count_nanoseconds, and its rounds together \d+",
        ),
        ("hosts.1.points", 1, r"hosts\[1\]\.points: does not follow from the other members"),
        ("hosts.0.ranks.0", 1, r"hosts\[0\]\.ranks\[0\]: does not follow from the other members"),
        ("hosts", [{}], r"hosts\[0\]\.host: is missing"),
        ("points_per_second", 1.0, "points_per_second: does not follow from the other members"),
        ("ranks.0.core_share", 0.1, r"ranks\[0\]\.core_share: does not follow from the other members"),
        ("spent.rounds", 9, "rounds: have 8 rounds together, and spent has 9"),
    ],
)
def test_members_that_contradict_each_other_are_refused(place: str, value: Any, complaint: str) -> None:
    document = json.loads(result_file.as_json(runs.run(2)))
    *above, last = (int(name) if name.isdecimal() else name for name in place.split("."))
    functools.reduce(operator.getitem, above, document)[last] = value
    with pytest.raises(json_document.DocumentError, match=rf"^{complaint}"):
        result_file.of_document(document)


def test_shards_of_a_merged_result_have_its_ranks() -> None:
    assert len(result_file.of_document(of_shards(2)).shards) == 2
    for number in (1, 3):
        with pytest.raises(json_document.DocumentError, match=r"^the ranks are not those of the shards$"):
            result_file.of_document(of_shards(number))


def test_row_of_the_timeline_has_a_value_for_each_rank() -> None:
    document = json.loads(result_file.as_json(runs.run(3)))
    document["rounds"][1]["units"].pop()
    with pytest.raises(json_document.DocumentError, match="units has not a value for each rank"):
        result_file.of_document(document)


ORIGIN = Origin("2026-11-26T14:05:35Z", "Slurm", "4711_3", ("mpi-pi", "run", "-n", "10", "--json", "a b"))


def test_origin_is_read_as_it_was_written() -> None:
    result = replace(runs.run(2), origin=ORIGIN)
    assert again(result).origin == ORIGIN
    document = json.loads(result_file.as_json(result))
    assert document["argv"] == list(ORIGIN.argv)
    assert document["command"] == "mpi-pi run -n 10 --json 'a b'"
    assert (document["scheduler"], document["job_id"]) == ("Slurm", "4711_3")
    assert again(runs.run(2)).origin is None


def test_unknown_members_are_ignored_and_covered_by_the_checksum(tmp_path: Path) -> None:
    """A later version may add them to any object."""
    result = runs.run(3, 2, losses={3: [3]})
    document = json.loads(result_file.as_json(replace(result, origin=ORIGIN)))
    del document["checksum"]
    closed = {"marks", "steps"}  # whose members are numbers by any name

    def extended(value: Any) -> Any:
        if isinstance(value, list):
            return list(map(extended, value))
        if not isinstance(value, dict):
            return value
        return {name: one if name in closed else extended(one) for name, one in value.items()} | {"new": [1]}

    text = json_document.dumps(extended(document))
    jsonschema.validate(json.loads(text), RUN)
    read = result_file.of_content(text.encode())
    assert comparable(read) == comparable(result)
    assert read.origin == ORIGIN
    with pytest.raises(json_document.DocumentError, match="damaged: its checksum is wrong"):
        result_file.of_content(text.replace('"new": [\n  1\n ]', '"new": [\n  2\n ]', 1).encode())


def test_changed_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(result_file.as_json(runs.run(2)).replace('"hits": ', '"hits": 1', 1))
    with pytest.raises(json_document.DocumentError, match="damaged: its checksum is wrong"):
        result_file.read(str(file))


def old(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without losses as programs before schema 6 wrote it."""
    shards = [without(row, "started_ranks") for row in before_audits(document)["shards"]]
    before = before_audits(document) | {"schema": 5, "shards": shards}
    del before["repairs"]
    return before


def before_audits(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without audits as programs before schema 7 wrote it."""
    new = ("gaps", "proven", "audit")
    document = before_origins(document)
    before = {name: value for name, value in document.items() if name not in new} | {"schema": 6}
    before["spent"] = without(document["spent"], "recounted_units")
    before["shards"] = [
        row | {"spent": without(row["spent"], "recounted_units")} for row in document["shards"]
    ]
    before["repairs"] = [without(row, "excluded") for row in document["repairs"]]
    before["ranks"] = [without(without(row, "cores"), "audit_seconds") for row in document["ranks"]]
    return before


def before_origins(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without origins as programs before schema 8 wrote it."""
    origin = ("date", "scheduler", "job_id", "argv", "command")
    new = (*origin, "hosts", "points_per_second", "points_per_second_per_core")
    before = {name: value for name, value in document.items() if name not in new} | {"schema": 7}
    before["shards"] = [functools.reduce(without, origin, row) for row in document["shards"]]
    before["ranks"] = [without(without(row, "count_cpu_seconds"), "core_share") for row in document["ranks"]]
    return before


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {each: value for each, value in members.items() if each != name}


def test_document_of_schema_5_6_or_7_is_read(tmp_path: Path) -> None:
    result = runs.run(3, 2)
    document = json.loads(result_file.as_json(result))
    assert document["schema"] == 8
    del document["checksum"]
    file = tmp_path / "old.json"
    result = replace(result, ranks=tuple(replace(r, info=r.info._replace(cores="")) for r in result.ranks))
    for before in (old(document), before_audits(document)):
        file.write_text(json_document.dumps(before))
        assert comparable(result_file.read(str(file))) == comparable(result)
    file.write_text(json_document.dumps(before_origins(document)))
    read = result_file.read(str(file))
    assert (read.origin, read.ranks[0].count_cpu_seconds) == (None, None)
    assert read.ranks[0].info.cores == "0"


def test_merged_document_of_schema_5_is_read_with_its_shards() -> None:
    before = result_file.of_document(old(of_shards(2)))
    assert before.shards == result_file.of_document(of_shards(2)).shards
    assert before.first_ranks == [0, 1]


@pytest.mark.parametrize("number", [4, 9])
def test_document_of_another_schema_is_refused(number: int) -> None:
    document = json.loads(result_file.as_json(runs.run(2))) | {"schema": number}
    del document["checksum"]
    with pytest.raises(json_document.DocumentError, match=rf"^has schema {number} .*, not 5, 6, 7 or 8$"):
        result_file.of_content(json_document.dumps(document).encode())


def test_document_of_schema_5_with_repairs_is_refused() -> None:
    document = json.loads(result_file.as_json(runs.run(2))) | {"schema": 5}
    with pytest.raises(json_document.DocumentError, match=r"^repairs: schema 5 has none$"):
        result_file.of_document(document)


@pytest.mark.parametrize("shards", [7, [7], [{}], "7", None])
def test_wrong_shards_of_schema_5_are_refused(shards: Any) -> None:
    document = old(json.loads(result_file.as_json(runs.run(2)))) | {"shards": shards}
    with pytest.raises(json_document.DocumentError, match=r"^shards"):
        result_file.of_document(document)
