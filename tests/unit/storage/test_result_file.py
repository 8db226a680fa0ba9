"""Results are read as they were written."""

import json
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
