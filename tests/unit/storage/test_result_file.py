"""Results are read as they were written."""

import functools
import json
import operator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpi_pi.model.result import Result
from mpi_pi.storage import json_document, result_file
from support import runs
from support.runs import flame
from support.texts import report_text


def again(result: Result) -> Result:
    return result_file.of_document(json.loads(result_file.as_json(result)))


def comparable(result: Result) -> tuple[object, ...]:
    rows = [
        [value.tolist() if isinstance(value, np.ndarray) else value for value in vars(row).values()]
        for row in result.timeline.records
    ]
    return replace(result.shard, tally=result.tally, usage=result.usage), result.ranks, rows, result.partial


@pytest.mark.parametrize(
    "result", [flame(), runs.run(3, 2), runs.run(4, stopped=True)], ids=["flame", "hosts", "stopped"]
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


SHARD = {
    "index": 1,
    "ranks": 1,
    "started_ranks": 1,
    "spent": json.loads(result_file.as_json(runs.run(2)))["spent"],
}


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
            r"ranks\[0\]\.points_per_second: is not its points over its count_",
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
        ("spent.rounds", 9, "rounds: have 8 rounds together, and spent has 9"),
        ("shards", [SHARD], "the ranks are not those of the shards"),
        ("shards", [SHARD, SHARD, SHARD], "the ranks are not those of the shards"),
    ],
)
def test_members_that_contradict_each_other_are_refused(place: str, value: Any, complaint: str) -> None:
    document = json.loads(result_file.as_json(runs.run(2)))
    *above, last = (int(name) if name.isdecimal() else name for name in place.split("."))
    functools.reduce(operator.getitem, above, document)[last] = value
    with pytest.raises(json_document.DocumentError, match=rf"^{complaint}"):
        result_file.of_document(document)


def test_shards_of_a_merged_result_have_its_ranks() -> None:
    document = json.loads(result_file.as_json(runs.run(2)))
    assert len(result_file.of_document(document | {"shards": [SHARD, SHARD]}).shards) == 2


def test_row_of_the_timeline_has_a_value_for_each_rank() -> None:
    document = json.loads(result_file.as_json(runs.run(3)))
    document["rounds"][1]["units"].pop()
    with pytest.raises(json_document.DocumentError, match="units has not a value for each rank"):
        result_file.of_document(document)


def test_changed_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(result_file.as_json(runs.run(2)).replace('"hits": ', '"hits": 1', 1))
    with pytest.raises(json_document.DocumentError, match="damaged: its checksum is wrong"):
        result_file.read(str(file))
