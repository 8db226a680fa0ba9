"""Losses of ranks in a document: what no run can have written is refused."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from mpi_pi.storage import json_document, result_file
from support import runs
from support.schemas import RUN as SCHEMA
from support.schemas import merged

Document = dict[str, Any]


def document() -> Document:
    """Return the document of a run on ranks 0 to 5, of which 1 was lost before its first round."""
    result = runs.run(3, 2, losses={runs.BEFORE_ROUNDS: [1], 3: [3], 6: [4, 5]})
    found: Document = json.loads(result_file.as_json(result))
    return found


def test_losses_follow_the_schema() -> None:
    found = document()
    jsonschema.validate(found, SCHEMA)
    assert [row["rank"] for row in found["ranks"]] == [0, 2, 3, 4, 5]
    assert [repair["round"] for repair in found["repairs"]] == [0, 3, 6]
    assert found["repairs"][0]["lost"] == [{"rank": 1, "host": ""}]
    assert found["repairs"][2]["lost"] == [
        {"rank": 4, "host": "node0003.cluster.example"},
        {"rank": 5, "host": "node0003.cluster.example"},
    ]
    assert sum(row["hits"] for row in found["ranks"]) == found["estimate"]["hits"]
    assert result_file.of_document(found).tally.hits == found["estimate"]["hits"]


def count_after_loss(found: Document) -> None:
    """Let rank 3 count in round 3, as it does no more, what rank 0 has counted there."""
    record = found["rounds"][3]
    for name in ("units", "points", "count_seconds"):
        record[name][0], record[name][2] = record[name][2], record[name][0]  # rank 1 has no column


NUMBERED = "ranks: are not numbered from 0 on, but for those lost before the first round"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda found: found["repairs"].pop(0), NUMBERED),
        (lambda found: found["repairs"][0].update(round=1), NUMBERED),
        (lambda found: found["repairs"][0]["lost"][0].update(rank=7), NUMBERED),
        (lambda found: found["repairs"][0]["lost"].append({"rank": 8, "host": ""}), NUMBERED),
        (lambda found: found["ranks"].reverse(), NUMBERED),
        (lambda found: found["ranks"][4].update(rank=6), NUMBERED),
        (lambda found: found["repairs"][1]["lost"][0].update(rank=5), "repairs: a rank is lost twice"),
        (
            lambda found: found["repairs"][1]["lost"][0].update(host="node0001.cluster.example"),
            "repairs[1]: there was no rank 3 on host node0001.cluster.example",
        ),
        (
            lambda found: found["repairs"][1]["lost"][0].update(host=""),
            "repairs[1]: there was no rank 3 on host ",
        ),
        (
            lambda found: found["repairs"][1]["lost"][0].update(rank=9),
            "repairs[1]: there was no rank 9 on host ",
        ),
        (lambda found: found["repairs"].reverse(), "repairs[1]: does not follow on the one before"),
        (lambda found: found["repairs"][2].update(round=9), "repairs[2].round: there are fewer rounds"),
        (
            lambda found: found["repairs"][2].update(redone_points=960_001),
            "repairs[2].redone_points: there are fewer points",
        ),
        (lambda found: found["repairs"][2].update(lost=[]), "repairs[2]: does not follow on the one before"),
        (lambda found: found["repairs"][2].update(seconds=-1), "repairs[2].seconds: -1 is less than 0"),
        (lambda found: found["repairs"][2].pop("cost_seconds"), "repairs[2].cost_seconds: is missing"),
        (
            lambda found: found["repairs"][1].update(round=2),
            "rounds[2]: a rank has counted that was lost or excluded before",
        ),
        (count_after_loss, "rounds[3]: a rank has counted that was lost or excluded before"),
        (
            lambda found: found["repairs"][2]["lost"].extend(
                {
                    "rank": rank,
                    "host": "node0001.cluster.example" if rank == 0 else "node0002.cluster.example",
                }
                for rank in (0, 2)
            ),
            "repairs: no rank is left",
        ),
    ],
)
def test_impossible_losses_are_refused(change: Callable[[Document], object], complaint: str) -> None:
    found = document()
    change(found)
    with pytest.raises(json_document.DocumentError) as refused:
        result_file.of_document(found)
    assert str(refused.value).startswith(complaint)


SIX = {"ranks": 6, "started_ranks": 6}


@pytest.mark.parametrize(
    "changes",
    [
        [{"started_ranks": 5}, {}],
        [{}, {"started_ranks": 7}],
        [{}, {"started_ranks": 10**6}],
        [{"started_ranks": 5}, {"started_ranks": 7}],
        [{"ranks": 5}, {}],
        [{"ranks": 5}, {"ranks": 7}],
    ],
)
def test_shards_whose_ranks_are_others_are_refused(changes: list[dict[str, int]]) -> None:
    found = json.loads(result_file.as_json(runs.run(2, 6)))
    found = merged(found, SIX, SIX)
    assert len(result_file.of_document(found).shards) == 2
    found["shards"] = [shard | change for shard, change in zip(found["shards"], changes, strict=True)]
    with pytest.raises(json_document.DocumentError, match="the ranks are not those of the shards"):
        result_file.of_document(found)


def test_repair_of_ranks_of_two_shards_is_refused() -> None:
    found = json.loads(result_file.as_json(runs.run(2, 6, losses={3: [5], 4: [6]})))
    found = merged(found, SIX, SIX)
    assert [result_file.of_document(found).shard_of(rank) for rank in (5, 6)] == [0, 1]
    first, second = found["repairs"]
    found["repairs"] = [first | {"lost": first["lost"] + second["lost"]}]
    with pytest.raises(
        json_document.DocumentError, match=r"^repairs\[0\]: does not follow on the one before"
    ):
        result_file.of_document(found)
