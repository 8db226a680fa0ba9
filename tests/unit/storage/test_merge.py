"""Merged shards against a run of the whole job."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpi_pi.errors import UserError
from mpi_pi.kernel import loader, reference
from mpi_pi.model.job import BLOCK, Job
from mpi_pi.model.result import RankInfo, RankStats, Result, Timeline
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Tally
from mpi_pi.report import plain
from mpi_pi.report import run as run_report
from mpi_pi.storage import merge, result_file
from support import runs
from support.launching import MPI_PI, Launch
from support.mutation import damaged, forged
from support.schemas import RUN as SCHEMA
from support.texts import report_text

JOB = Job(50, 1000, 3)


def result(index: int, of: int, job: Job = JOB, done: int | None = None) -> Result:
    """Return the result of a run of a shard, counted by the reference."""
    units = job.shard(index, of)[:done]
    tally = Tally.of(job, units, reference.count(job, units))
    spent = Usage(
        1, 2, real_seconds=index, round_seconds=0.5, core_seconds=3, user_seconds=4, system_seconds=5
    )
    member = RankInfo(f"node{index}", "A CPU", "numpy", "", 2, "4 threads on 4 cores, not bound", "0-3")
    row = RankStats(
        rank=0,
        info=member,
        kernel_source="",
        units=tally.units,
        points=tally.points,
        hits=tally.hits,
        startup_seconds=0.1,
        kernel_seconds=0.0,
        count_seconds=1.5,
        wait_seconds=0.1,
        user_seconds=4,
        system_seconds=5,
        peak_memory_bytes=10**8,
    )
    return Result(Shard(job, index, of, tally, spent), tally, spent, (row,), Timeline(), 2, True, "An MPI")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, result: Result) -> str:
    Path(name).write_text(result_file.as_json(result))
    return name


@pytest.mark.parametrize("job", [JOB, Job(3, 2 * BLOCK + 5, 1)])
@pytest.mark.parametrize("of", [1, 2, 7])
def test_whole_is_the_sum_of_its_shards(job: Job, of: int) -> None:
    if job is not JOB:  # too long for the definition: any hits will do
        chance = np.random.default_rng(1)
        hits = np.array([chance.binomial(job.unit_points(unit), 0.785) for unit in range(job.units)])
    else:
        hits = reference.count(job, range(job.units))
    names = []
    for index in range(1, of + 1):
        one = result(index, of)
        units = job.shard(index, of)
        part = Shard(job, index, of, Tally.of(job, units, hits[units.start : units.stop]), one.usage)
        tally = part.tally
        row = replace(one.ranks[0], units=tally.units, points=tally.points, hits=tally.hits)
        names.append(write(f"{index}.json", replace(one, shard=part, tally=part.tally, ranks=(row,))))
    whole = merge.merge(names[::-1])
    assert whole.tally == Tally.of(job, range(job.units), hits)
    assert whole.shard.complete
    assert not whole.partial
    assert whole.usage.user_seconds == 4 * of
    assert (whole.usage.real_seconds, whole.usage.round_seconds) == (of, 0.5)
    assert [(row.rank, row.info.host) for row in whole.ranks] == [(k, f"node{k + 1}") for k in range(of)]
    jsonschema.validate(json.loads(result_file.as_json(whole)), SCHEMA)
    assert merge.merge([write("whole.json", whole)]).tally == whole.tally


def test_wrong_kernel_of_one_shard_spoils_the_whole() -> None:
    names = [write(f"{index}.json", result(index, 3)) for index in (1, 3)]
    one = result(2, 3)
    row = replace(one.ranks[0], kernel_right=False)
    names.append(write("2.json", replace(one, kernels_right=False, ranks=(row,))))
    whole = merge.merge(names)
    assert not whole.verified
    assert whole.reasons == [
        "known answers: the kernel of rank 1 on host node2 got them wrong after counting"
    ]


@pytest.mark.parametrize(
    ("indices", "complaints"),
    [
        ([1, 2], ["missing: shard 3/4, 4/4"]),
        ([2, 3, 4, 2], ["0.json, 3.json: all of shard 2/4", "missing: shard 1/4"]),
        ([1, 2, 3, 4, 4, 1], ["0.json, 5.json: all of shard 1/4", "3.json, 4.json: all of shard 4/4"]),
    ],
)
def test_missing_and_doubled_shards_are_named(indices: list[int], complaints: list[str]) -> None:
    names = [write(f"{number}.json", result(index, 4)) for number, index in enumerate(indices)]
    assert complaints_about(names) == complaints


def test_of_many_missing_shards_the_first_are_named() -> None:
    (complaint,) = complaints_about([write("a.json", result(2, 50))])
    assert complaint == "missing: shard " + ", ".join(f"{k}/50" for k in [1, *range(3, 12)]) + " and 39 more"
    huge = Job(2**64, 1000, 1)
    (complaint,) = complaints_about([write("a.json", result(1, 2**64, huge))])
    assert complaint.endswith(f" and {2**64 - 11} more")


def test_foreign_parts_are_named() -> None:
    names = [
        write("a.json", result(1, 2)),
        write("b.json", result(2, 2, Job(50, 1000, 4))),
        write("c.json", result(2, 3)),
    ]
    assert complaints_about(names) == [
        "b.json: of another job than a.json: seed 4, not 3",
        "c.json: of another job than a.json: shard 2/3, not 2/2",
    ]


def test_files_that_are_no_finished_shards_are_all_named() -> None:
    Path("empty").touch()
    Path("text").write_text("pi = 3.14")
    old = json.loads(Path(write("old", result(2, 2))).read_text()) | {"schema": 1, "version": "0.0.9"}
    Path("old").write_text(json.dumps(old))
    write("partial", result(2, 2, done=10))
    changed = Path(write("changed", result(2, 2)))
    changed.write_text(changed.read_text().replace('"hits": ', '"hits": 1', 1))
    one = write("1.json", result(1, 2))
    complaints = complaints_about(["none", one, "empty", "text", "old", "partial", "changed"])
    assert complaints == [
        "none: No such file or directory",
        "empty: empty",
        "text: not written by mpi-pi",
        "old: has schema 1 of mpi-pi '0.0.9', not 5, 6, 7 or 8",
        "partial: not finished: that run was stopped before its end",
        "changed: damaged: its checksum is wrong",
    ]


def complaints_about(names: list[str]) -> list[str]:
    with pytest.raises(UserError) as raised:
        merge.merge(names)
    return str(raised.value).splitlines()


CONTENT = result_file.as_json(result(2, 2)).encode()
OTHER = result_file.as_json(result(1, 2))
HITS = int(reference.count(JOB, range(JOB.units)).sum())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # one folder will do
@given(damaged(CONTENT) | forged(CONTENT) | st.binary(max_size=100))
def test_shard_that_went_wrong_gives_no_wrong_answer(content: bytes) -> None:
    Path("a.json").write_bytes(content)
    Path("b.json").write_text(OTHER)
    try:
        whole = merge.merge(["a.json", "b.json"])
    except UserError:
        return
    assert plain.text(run_report.whole(whole, per_rank=True))
    assert json.loads(result_file.as_json(whole))
    if sealed_as_it_was(content):
        assert whole.tally.hits == HITS


def sealed_as_it_was(content: bytes) -> bool:
    return bool(json.loads(content)["checksum"] == json.loads(CONTENT)["checksum"])


def test_shards_of_different_sizes_add_up() -> None:
    names = [write(f"{index}.json", result(index, 3)) for index in (1, 2, 3)]
    two = result(2, 3)
    idle = replace(two.ranks[0], rank=1, units=0, points=0, hits=0, count_seconds=0.0)
    more = replace(two, ranks=(*two.ranks, idle))
    write("2.json", more)
    whole = merge.merge(names)
    head = plain.text([run_report.head(whole.shard, [row.info for row in whole.ranks], "MPI", whole.shards)])
    assert "\nRanks = 1 to 2 in each of 3 shards on 3 hosts\n" in head
    lines = report_text(whole, per_rank=True).splitlines()
    rows = [line.split()[:2] for line in lines if re.match(r" *\d/3 +\d ", line)]
    assert rows == [["1/3", "0"], ["2/3", "0"], ["2/3", "1"], ["3/3", "0"]]


def test_losses_of_shards_are_kept_and_their_ranks_numbered_on() -> None:
    """The last rank of the first shard and the first one of the second have no rows."""
    shards = [
        runs.run(2, 3, shard=(1, 2), losses={runs.BEFORE_ROUNDS: [5], 3: [2]}),
        runs.run(3, 2, shard=(2, 2), losses={runs.BEFORE_ROUNDS: [0], 5: [4, 5]}),
    ]
    whole = merge.merge([write(f"{k}.json", shard) for k, shard in enumerate(shards)])
    job = shards[0].job
    assert whole.tally.hits == sum(shard.tally.hits for shard in shards)
    assert whole.tally == Tally.of(job, range(job.units), loader.load().count(job, range(job.units)))
    assert [row.rank for row in whole.ranks] == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    assert [[lost.rank for lost in repair.lost] for repair in whole.repairs] == [[5], [2], [6], [10, 11]]
    assert [(shard.ranks, shard.started_ranks) for shard in whole.shards] == [(5, 6), (5, 6)]
    repairs = [repair for shard in shards for repair in shard.repairs]
    assert [replace(repair, lost=()) for repair in whole.repairs] == [
        replace(one, lost=()) for one in repairs
    ]
    jsonschema.validate(json.loads(result_file.as_json(whole)), SCHEMA)
    again = merge.merge([write("whole.json", whole)])
    assert (again.repairs, again.ranks, again.shards) == (whole.repairs, whole.ranks, whole.shards)
    text = report_text(whole, per_rank=True)
    assert report_text(again, per_rank=True) == text
    rows = [line.split()[:2] for line in text.splitlines() if re.match(r" *\d/2 +\d ", line)]
    assert rows == [["1/2", str(rank)] for rank in range(5)] + [["2/2", str(rank)] for rank in range(1, 6)]
    lines = re.findall(r"^Lost = (.*)$", text, re.MULTILINE)
    assert [re.sub(r"after \S+ s, ", "", line) for line in lines] == [
        "rank 5 (host unknown) before the first round of shard 1/2",
        "rank 2 on host node0001.cluster.example in round 3 of shard 1/2",
        "rank 0 (host unknown) before the first round of shard 2/2",
        "ranks 4, 5 on host node0003.cluster.example in round 5 of shard 2/2",
    ]


def test_merge_needs_no_mpi(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(result_file.as_json(result(1, 1)))
    run = launch(0, MPI_PI, "merge", str(tmp_path / "a.json"), MPI4PY_LIBMPI="/no/such/libmpi.so")
    assert run.returncode == 0
    assert f"pi = 4*({HITS}/50000) = " in run.stdout
