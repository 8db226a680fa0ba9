"""Audits in documents: written, read, merged, and refused where no run can have written them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mpi_pi.model.audit import Audit
from mpi_pi.model.result import Result
from mpi_pi.model.tally import Tally
from mpi_pi.storage import json_document, merge, result_file
from support import audited_runs, runs
from support.schemas import RUN as SCHEMA
from support.texts import reasons_in, report_text, values

Document = dict[str, Any]


def document(result: Result) -> Document:
    found: Document = json.loads(result_file.as_json(result))
    return found


def test_audit_is_read_as_it_was_written() -> None:
    for result in (
        audited_runs.audited(),
        audited_runs.audited(wrong=[3, 5]),
        audited_runs.undecided(),
        audited_runs.proven(),
    ):
        found = document(result)
        jsonschema.validate(found, SCHEMA)
        again = result_file.of_document(found)
        assert (again.audit, again.repairs) == (result.audit, result.repairs)
        assert again.shard.proven == result.shard.proven
        assert report_text(again) == report_text(result)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda found: found["audit"].update(share=1.5), "audit.share: 1.5 is more than 1"),
        (lambda found: found["audit"].pop("wrong"), "audit.wrong: is missing"),
        (lambda found: found["audit"]["wrong"][0].pop("cores"), "audit.wrong[0].cores: is missing"),
        (lambda found: found.pop("audit"), "audit: is missing"),
        (
            lambda found: found["repairs"][0]["excluded"][0].update(rank=9),
            "repairs[0]: there was no rank 9 on host ",
        ),
        (
            lambda found: found["repairs"][0].update(round=2),
            "rounds[2]: a rank has counted that was lost or excluded before",
        ),
    ],
)
def test_impossible_audits_are_refused(change: Callable[[Document], object], complaint: str) -> None:
    found = document(audited_runs.audited(wrong=[3]))
    assert result_file.of_document(found).audit
    change(found)
    with pytest.raises(json_document.DocumentError) as refused:
        result_file.of_document(found)
    assert str(refused.value).startswith(complaint)


def merged(folder: Path, *results: Result) -> Result:
    names = [str(folder / f"{number}.json") for number in range(len(results))]
    for name, result in zip(names, results, strict=True):
        Path(name).write_text(result_file.as_json(result))
    return merge.merge(names)


def test_merged_audit_has_the_ranks_of_all_shards(tmp_path: Path) -> None:
    shards = [audited_runs.audited(wrong=[3], shard=(1, 2)), audited_runs.audited(wrong=[5], shard=(2, 2))]
    whole = merged(tmp_path, *shards)
    assert whole.audit
    assert [rank.rank for rank in whole.audit.wrong] == [3, 6 + 5]
    assert [[rank.rank for rank in repair.excluded] for repair in whole.repairs] == [[3], [11]]
    assert [rank._replace(rank=0) for rank in whole.audit.wrong] == [
        rank._replace(rank=0) for shard in shards if shard.audit for rank in shard.audit.wrong
    ]
    assert whole.usage.recounted_units == sum(shard.usage.recounted_units for shard in shards)
    jsonschema.validate(document(whole), SCHEMA)
    line = values(report_text(whole))["Audit"]
    assert line == (
        "10.0% of units recounted, 2 of 12 ranks wrong"
        " (node0002.cluster.example rank 3 core 0: 2 of 50 units;"
        " node0003.cluster.example rank 5 core 0: 2 of 50 units)"
    )
    assert merged(tmp_path, whole).audit == whole.audit


def test_merged_audit_has_the_smallest_share_and_proves_all_only_if_all_shards_do(tmp_path: Path) -> None:
    first, second = (audited_runs.proven(shard=(index, 2)) for index in (1, 2))
    whole = merged(tmp_path, first, second)
    assert whole.audit == Audit(1.0)
    assert whole.shard.proven == whole.tally
    assert values(report_text(whole))["Audit"].startswith("every unit counted by two ranks")
    partly = merged(tmp_path, first, audited_runs.audited(shard=(2, 2)))
    assert partly.audit == Audit(0.1)
    assert partly.shard.proven == first.tally
    assert values(report_text(partly))["Audit"] == "55.0% of units recounted, 0 of 12 ranks wrong"
    other = merged(tmp_path, audited_runs.audited(shard=(1, 2)), second)
    assert other.shard.proven == Tally()
    unaudited = merged(tmp_path, runs.run(3, 2, shard=(1, 2)), second)
    assert unaudited.audit == Audit(1.0)
    assert values(report_text(unaudited))["Audit"] == "50.0% of units recounted, 0 of 12 ranks wrong"


def test_dispute_that_nobody_can_settle_is_no_verified_result() -> None:
    result = audited_runs.undecided()
    assert not result.verified
    (reason,) = reasons_in(report_text(result))
    assert reason == (
        "audit: nobody can tell which of these is wrong on unit 7:"
        " rank 0 on host node0001.cluster.example: 785 hits,"
        " rank 2 on host node0002.cluster.example: 786 hits,"
        " rank 4 on host node0003.cluster.example: 787 hits"
    )
    read = result_file.of_document(document(result))
    assert read.reasons == result.reasons
    changed = replace(result, audit=Audit(0.1))
    assert changed.verified
