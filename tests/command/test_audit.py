"""Audited jobs under real mpirun in which ranks count wrongly: they are found, and all hits are right."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.storage import checkpoint, result_file
from support.audits import (
    ALL,
    JOB,
    LONGER,
    ROUNDS,
    all_wrong_in,
    require_found,
    require_named,
    wrong_in,
    wrong_ranks,
)
from support.chaos import SURVIVING, Start, fault_of, hits_of
from support.faults import Fault, Faults
from support.launching import MPI_PI, Launch, soak
from support.mpis import Mpi

HOST = os.uname().nodename


@pytest.fixture
def start(open_mpi: Mpi, faults: Faults, environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    with Start(open_mpi, faults, tmp_path, environment) as starts:
        starts.options = ()
        yield starts


@pytest.fixture
def start_surviving(start: Start) -> Start:
    start.options = SURVIVING
    return start


@pytest.mark.parametrize(
    ("what", "ranks", "wrong", "options"),
    [
        ("each tenth unit", 4, [0], []),
        ("always the same unit", 3, [1], []),
        ("units under load", 4, [2], []),
        ("the audit", 3, [2], []),
        ("the first count", 8, [5], []),
        ("the last unit of each call", 3, [1], ["--threads", "2"]),
        ("units by far", 3, [2], []),
        ("each tenth unit", 4, [1, 3], []),
        pytest.param("the last unit of each call", 4, [0, 2], [], marks=soak),
        pytest.param("the first count", 3, [0], ["--threads", "3"], marks=soak),
        pytest.param("the audit", 4, [0], ["--kernel", "numpy"], marks=soak),
        pytest.param("each tenth unit", 8, [0, 6], ["--threads", "2"], marks=soak),
    ],
)
def test_ranks_that_count_wrongly_are_found(
    start: Start, what: str, ranks: int, wrong: list[int], options: list[str]
) -> None:
    job = start(*wrong_in(what, *wrong), job=JOB, ranks=ranks, options=[*ALL, *options], values=ROUNDS)
    ended = require_found(job, JOB, *wrong)
    assert "every unit counted by two ranks" in ended.out


@pytest.mark.parametrize(
    ("what", "share", "wrong"),
    [
        ("units by far", "10%", [3]),
        pytest.param("each tenth unit", "10%", [3], marks=soak),
        pytest.param("each tenth unit", "2%", [0], marks=soak),
        pytest.param("each tenth unit", "10%", [0, 2], marks=soak),
        pytest.param("the first count", "10%", [1], marks=soak),
        pytest.param("the audit", "10%", [0], marks=soak),
        pytest.param("units under load", "5%", [2], marks=soak),
    ],
)
def test_ranks_that_count_wrongly_are_found_by_audits_of_a_share(
    start: Start, what: str, share: str, wrong: list[int]
) -> None:
    options = ["--audit", share]
    job = start(*wrong_in(what, *wrong), job=LONGER, options=options, values=ROUNDS)
    require_found(job, LONGER, *wrong)


@pytest.mark.parametrize("ranks", [3, pytest.param(4, marks=soak)])
def test_job_whose_ranks_all_audit_wrongly_is_not_verified(start: Start, ranks: int) -> None:
    ended = start(all_wrong_in("the audit"), job=JOB, ranks=ranks, options=ALL, values=ROUNDS).ended()
    assert ended.status == 3, ended
    assert "Verification = UNSUCCESSFUL" in ended.out
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("wrong", [0, pytest.param(1, marks=soak)])
def test_two_ranks_that_differ_end_the_job_and_are_both_named(start: Start, wrong: int) -> None:
    job = start(*wrong_in("each tenth unit", wrong), job=JOB, ranks=2, options=ALL, values=ROUNDS)
    ended = job.ended()
    assert ended.status == 3, ended
    assert "Verification = UNSUCCESSFUL" in ended.out
    for text in (ended.out, ended.err):
        assert f"rank 0 on host {HOST}" in text
        assert f"rank 1 on host {HOST}" in text
    assert ended.document
    audit = ended.document["audit"]
    assert audit["wrong"] == []
    assert audit["unsettled"]
    for unsettled in audit["unsettled"]:
        hits = {opinion["rank"]: opinion["hits"] for opinion in unsettled["opinions"]}
        assert hits[wrong] == hits[1 - wrong] + 1
    assert result_file.read(str(job.json)).audit


def test_files_of_an_audited_run_are_read_by_other_commands(
    start: Start, launch: Launch, tmp_path: Path
) -> None:
    files = []
    for shard, wrong in (("1/2", [2]), ("2/2", [0, 1])):
        options = [*ALL, "--shard", shard]
        ended = start(
            *wrong_in("each tenth unit", *wrong), job=JOB, ranks=4, options=options, values=ROUNDS
        ).ended()
        assert ended.status == 4, ended
        files.append(str(start.jobs[-1].json))
    merged = tmp_path / "merged.json"
    run = launch(0, MPI_PI, "merge", *files, "--json", str(merged))
    assert run.returncode == 4, run
    assert f"pi = 4*({hits_of(JOB)}/{JOB.total_points}) = " in run.stdout
    assert "every unit counted by two ranks" in run.stdout
    assert "3 of 8 ranks wrong" in run.stdout
    result = result_file.read(str(merged))
    assert result.audit
    assert sorted(rank.rank for rank in result.audit.wrong) == [2, 4, 5]
    for command, picture in (("plot", "p.png"), ("report", "r.html")):
        assert launch(0, MPI_PI, command, files[1], "-o", str(tmp_path / picture)).returncode == 0


def test_trial_log_of_an_audited_run_has_the_right_hits(start: Start, tmp_path: Path, kernel: Kernel) -> None:
    log = tmp_path / "trials.csv"
    options = [*ALL, "--trial-log", str(log)]
    job = start(*wrong_in("each tenth unit", 1), job=JOB, ranks=3, options=options, values=ROUNDS)
    require_found(job, JOB, 1)
    require_log(log, kernel)


def require_log(log: Path, kernel: Kernel) -> None:
    """Require that a trial log has all trials of JOB, in their order, and their hits."""
    with log.open() as lines:
        rows = [[int(value) for value in row.values()] for row in csv.DictReader(lines)]
    hits = kernel.count(JOB, range(JOB.units)).tolist()
    assert rows == [[trial, JOB.points, hits[trial]] for trial in range(JOB.trials)]


STOPS = [
    # Before the rank is wrong, and after it was found to be.
    ("10%", "units under load", 16, 2),
    ("10%", "each tenth unit", 40, 5),
    pytest.param("1%", "each tenth unit", 50, 2, marks=soak),
    pytest.param("20%", "the first count", 40, 4, marks=soak),
    pytest.param("100%", "each tenth unit", 20, 4, marks=soak),
]


@pytest.mark.parametrize(("share", "what", "rounds", "ranks"), STOPS)
def test_stopped_run_is_resumed_to_the_right_hits(
    start: Start, tmp_path: Path, share: str, what: str, rounds: int, ranks: int, kernel: Kernel
) -> None:
    saved = tmp_path / "c"
    faults = [*wrong_in(what, 1), Fault("in a round", "SIGUSR1", 0, passes=rounds)]
    options = ["--audit", share, "--checkpoint", str(saved)]
    ended = start(*faults, job=LONGER, ranks=4, options=options, values=ROUNDS).ended()
    assert ended.status == 75, ended
    shard = checkpoint.load(saved)
    assert shard
    assert 0 < shard.tally.units < LONGER.units
    if wrong_ranks(ended):
        counted = sum(
            int(kernel.count(LONGER, units).sum()) for units in (shard.proven_units, *shard.unproven)
        )
        require_named(wrong_ranks(ended)[0], LONGER, ended.err)
        assert shard.tally.hits == counted
    job = start(job=LONGER, ranks=ranks, options=[*ALL, "--checkpoint", str(saved)], values=ROUNDS)
    ended = require_found(job, LONGER)
    assert "every unit counted by two ranks" in ended.out


@pytest.mark.parametrize("audit", [["--audit", "4%"], pytest.param([], marks=soak)])
def test_run_that_is_stopped_at_an_exclusion_is_resumed_in_the_gaps(
    start: Start, tmp_path: Path, audit: list[str], kernel: Kernel
) -> None:
    saved = tmp_path / "c"
    faults = [*wrong_in("the first count", 1), Fault("after an exclusion", "SIGUSR1", 0)]
    options = ["--checkpoint", str(saved)]
    job = start(*faults, job=LONGER, ranks=4, options=[*options, "--audit", "4%"], values=ROUNDS)
    assert job.ended().status == 75, job.err
    shard = checkpoint.load(saved)
    assert shard
    assert shard.gaps
    counted = (shard.proven_units, *shard.unproven)
    assert shard.tally.hits == sum(int(kernel.count(LONGER, units).sum()) for units in counted)
    job = start(job=LONGER, ranks=3, options=[*options, *audit], values=ROUNDS)
    if audit:
        require_found(job, LONGER)
    assert not fault_of(job.ended(), LONGER)
    shard = checkpoint.load(saved)
    assert shard
    assert (shard.complete, shard.gaps, shard.tally.hits) == (True, (), hits_of(LONGER))


def test_units_in_doubt_are_not_resumed(start: Start, tmp_path: Path) -> None:
    """Resume after two ranks differ, which have counted many units before that nobody has counted again."""
    saved = tmp_path / "c"
    options = ["--checkpoint", str(saved), "--audit"]
    job = start(*wrong_in("the first count", 1), job=LONGER, ranks=2, options=[*options, "4%"], values=ROUNDS)
    ended = job.ended()
    assert ended.status == 3, ended
    assert ended.document
    assert len(ended.document["rounds"]) > 0
    job = start(job=LONGER, ranks=3, options=[*options, "1%"], values=ROUNDS)
    require_found(job, LONGER)


@pytest.mark.parametrize("units", [1, pytest.param(2, marks=soak)])
def test_rank_that_counts_alone_in_a_round_is_audited(start: Start, units: int) -> None:
    job = Job(units, 1000, 7)
    ended = require_found(start(job=job, ranks=3, options=ALL, values={}), job)
    assert "every unit counted by two ranks" in ended.out


DEATHS = [
    # The wrong rank, rank 0 and another one, before, while and after the wrong rank is found.
    ("before the settlement", 0, 1),
    ("in the settlement", 0, 2),
    ("after an exclusion", 0, 1),
    pytest.param("before the settlement", 1, 1, marks=soak),
    pytest.param("before the settlement", 3, 2, marks=soak),
    pytest.param("before the settlement", 0, 0, marks=soak),
]


@pytest.mark.parametrize(("point", "dies", "wrong"), DEATHS)
def test_rank_may_be_killed_while_another_one_is_found_to_be_wrong(
    start_surviving: Start, point: str, dies: int, wrong: int
) -> None:
    faults = [*wrong_in("each tenth unit", wrong), Fault(point, "SIGKILL", dies)]
    job = start_surviving(*faults, job=JOB, ranks=5, options=ALL, values=ROUNDS)
    ended = require_found(job, JOB, *({wrong} - {dies}))
    assert [rank for rank, *_ in ended.lost] == [dies]


@pytest.mark.parametrize(
    ("dies", "share"),
    [
        (0, "20%"),
        (1, "100%"),
        pytest.param(2, "20%", marks=soak),
        pytest.param(0, "100%", marks=soak),
        pytest.param(1, "20%", marks=soak),
    ],
)
def test_rank_may_be_killed_after_another_one_was_found_to_be_wrong(
    start_surviving: Start, dies: int, share: str
) -> None:
    """Kill rank 0, the wrong rank, or another one."""
    faults = [*wrong_in("each tenth unit", 1), Fault("in a round", "SIGKILL", dies, passes=50)]
    job = start_surviving(*faults, job=LONGER, ranks=5, options=["--audit", share], values=ROUNDS)
    ended = require_found(job, LONGER, 1)
    assert [rank for rank, *_ in ended.lost] == [dies]


def test_each_wrong_rank_is_named_once_though_rank_0_is_lost_in_between(start_surviving: Start) -> None:
    faults = [*wrong_in("each tenth unit", 1), *wrong_in("units under load", 3)]
    kill = Fault("in a round", "SIGKILL", 0, passes=6)
    job = start_surviving(*faults, kill, job=JOB, ranks=5, options=ALL, values=ROUNDS)
    ended = require_found(job, JOB, 1, 3)
    assert [ended.err.count(f"rank {rank}, core") for rank in (1, 3)] == [1, 1]


@pytest.mark.parametrize("dies", [0, pytest.param(2, marks=soak)])
def test_trial_log_is_right_after_a_loss_and_an_exclusion(
    start_surviving: Start, tmp_path: Path, dies: int, kernel: Kernel
) -> None:
    log = tmp_path / "trials.csv"
    faults = [*wrong_in("each tenth unit", 1), Fault("in a round", "SIGKILL", dies, passes=10)]
    job = start_surviving(*faults, job=JOB, ranks=5, options=[*ALL, "--trial-log", str(log)], values=ROUNDS)
    ended = require_found(job, JOB, 1)
    assert [rank for rank, *_ in ended.lost] == [dies]
    require_log(log, kernel)
