"""Jobs under Open MPI's ULFM that lose ranks: the others go on, and find the hits of an undisturbed run."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mpi_pi.kernel.loader import Kernel
from mpi_pi.storage import checkpoint
from support.chaos import (
    JOB,
    RANKS,
    SURVIVING,
    Ended,
    Start,
    Started,
    hits_of,
    require_right,
    trial,
    words_of,
)
from support.faults import MESSAGE, SHORT_ROUNDS, Fault, Faults
from support.launching import HANGS, MPI_PI, Launch, soak
from support.mpis import Mpi

HOST = os.uname().nodename
PATIENCE = ("--patience", "3s")
ROOT_OR_NOT = [0, pytest.param(2, marks=soak)]


@pytest.fixture
def start(open_mpi: Mpi, faults: Faults, environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    with Start(open_mpi, faults, tmp_path, environment) as starts:
        yield starts


def numbers(ended: Ended) -> set[int]:
    return {rank for rank, *_ in ended.lost}


@pytest.mark.parametrize("rank", range(RANKS))
def test_each_rank_may_be_killed_in_a_round(start: Start, rank: int) -> None:
    ended = start(Fault("in a round", "SIGKILL", rank, passes=2)).ended()
    require_right(ended, JOB)
    assert ended.lost == [(rank, HOST, 2)]
    assert re.search(rf"^Lost = rank {rank} on host {HOST} after \S+ s, in round 2$", ended.out, re.MULTILINE)
    assert f"mpi-pi: warning: lost rank {rank} on host {HOST}: going on with 3 ranks\n" in ended.err


def test_all_ranks_but_one_may_be_killed_at_once(start: Start) -> None:
    ended = start(*(Fault("in a round", "SIGKILL", rank, passes=3) for rank in (0, 1, 3))).ended()
    require_right(ended, JOB)
    assert numbers(ended) == {0, 1, 3}


def test_ranks_may_be_killed_one_after_another(start: Start) -> None:
    those = enumerate((0, 1, 3))
    ended = start(
        *(Fault("in a round", "SIGKILL", rank, passes=2 + 3 * place) for place, rank in those)
    ).ended()
    require_right(ended, JOB)
    assert [rank for rank, *_ in ended.lost] == [0, 1, 3]


@pytest.mark.parametrize(
    ("point", "first"),
    [
        ("before the shrink", 0),
        ("after the shrink", 1),
        pytest.param("before the shrink", 1, marks=soak),
        pytest.param("after the shrink", 0, marks=soak),
    ],
)
def test_ranks_may_be_killed_during_the_repair(start: Start, point: str, first: int) -> None:
    ended = start(Fault("in a round", "SIGKILL", first, passes=2), Fault(point, "SIGKILL", 2)).ended()
    require_right(ended, JOB)
    assert numbers(ended) == {first, 2}


@pytest.mark.parametrize("point", ["in the agreement", "after the takeover"])
def test_rank_that_takes_over_may_be_killed(start: Start, point: str) -> None:
    ended = start(Fault("in a round", "SIGKILL", 0, passes=2), Fault(point, "SIGKILL", 1)).ended()
    require_right(ended, JOB)
    assert numbers(ended) == {0, 1}


BEFORE_ROUNDS = (
    "after MPI_Init",
    "in the handshake",
    "in the loading of the kernel",
    "before the first round",
)
ALSO_BEFORE_ROUNDS = ("after the first heartbeat", "after the loading of the kernel", "after the handshake")
AFTER_ROUNDS = ("in the last reduce", "in the end of the run", "before the report")
OF_RANK_0 = ("before the files", "between files and report", "after the report")
AT_THE_END = ("before the departure", "after the command")


def each(points: Sequence[str], more: Sequence[str] = ()) -> list[object]:
    """Return points and ranks: for each point rank 0 or another in turn.

    In the long trials there are both, also for `more` points.
    """
    cases: list[object] = []
    for index, point in enumerate((*points, *more)):
        for rank in (0, RANKS - 1):
            is_short = point in points and (rank == 0) == (index % 2 == 0)
            cases.append(pytest.param(point, rank, marks=() if is_short else (soak,)))
    return cases


@pytest.mark.parametrize(("point", "rank"), each(BEFORE_ROUNDS, ALSO_BEFORE_ROUNDS))
def test_rank_may_be_killed_before_the_first_round(start: Start, point: str, rank: int) -> None:
    ended = start(Fault(point, "SIGKILL", rank)).ended()
    require_right(ended, JOB)
    assert numbers(ended) == {rank}
    assert re.search(rf"^Lost = rank {rank} .*before the first round$|, in round 0$", ended.out, re.MULTILINE)


def test_rank_that_is_killed_while_mpi_starts_ends_the_job(start: Start) -> None:
    """The others wait for it in MPI_Init, where MPI cannot tell them yet."""
    ended = start(Fault("in MPI_Init", "SIGKILL", 1)).ended()
    assert ended.status not in (0, HANGS)
    assert ended.hits == set()
    assert f"a rank on host {HOST} has ended before MPI could start" in ended.err


@pytest.mark.parametrize(("point", "rank"), each(AFTER_ROUNDS))
def test_rank_may_be_killed_after_the_last_round(start: Start, point: str, rank: int) -> None:
    ended = start(Fault(point, "SIGKILL", rank)).ended()
    require_right(ended, JOB)
    assert numbers(ended) <= {rank}


@pytest.mark.parametrize("point", OF_RANK_0)
def test_rank_0_may_be_killed_while_it_reports(start: Start, point: str) -> None:
    ended = start(Fault(point, "SIGKILL", 0)).ended()
    require_right(ended, JOB)
    assert numbers(ended) <= {0}


@pytest.mark.parametrize(("point", "rank"), each(AT_THE_END[:1], AT_THE_END[1:]))
def test_rank_may_be_killed_after_the_report(start: Start, point: str, rank: int) -> None:
    ended = start(Fault(point, "SIGKILL", rank)).ended()
    require_right(ended, JOB)


@pytest.mark.parametrize("rank", ROOT_OR_NOT)
def test_trial_log_is_complete_whoever_writes_it(
    start: Start, tmp_path: Path, rank: int, kernel: Kernel
) -> None:
    log = tmp_path / "trials.csv"
    ended = start(Fault("in a round", "SIGKILL", rank, passes=4), options=["--trial-log", str(log)]).ended()
    require_right(ended, JOB)
    assert numbers(ended) == {rank}
    with log.open() as lines:
        rows = [[int(value) for value in row.values()] for row in csv.DictReader(lines)]
    hits = kernel.count(JOB, range(JOB.units)).tolist()
    assert rows == [[trial, JOB.points, hits[trial]] for trial in range(JOB.trials)]
    assert [file.name for file in tmp_path.glob("trials*")] == ["trials.csv"]


@pytest.mark.parametrize("rank", ROOT_OR_NOT)
def test_checkpoint_is_complete_and_free_whoever_writes_it(start: Start, tmp_path: Path, rank: int) -> None:
    saved = tmp_path / "c"
    options = ["--checkpoint", str(saved), "--checkpoint-every", "0.01s"]
    ended = start(Fault("in a round", "SIGKILL", rank, passes=4), options=options).ended()
    require_right(ended, JOB)
    assert numbers(ended) == {rank}
    shard = checkpoint.load(saved)
    assert shard is not None
    assert shard.complete
    assert shard.tally.hits == hits_of(JOB)
    assert list(tmp_path.glob("c?*")) == []


@pytest.mark.parametrize("rank", ROOT_OR_NOT)
def test_run_that_is_stopped_after_a_loss_can_be_resumed(
    start: Start, launch: Launch, tmp_path: Path, rank: int
) -> None:
    saved = tmp_path / "c"
    faults = Fault("in a round", "SIGKILL", rank, passes=4), Fault("in a round", "SIGUSR1", 1, passes=7)
    ended = start(*faults, options=["--checkpoint", str(saved)]).ended()
    assert ended.status == 75, ended.err
    assert "Verification = " in ended.out
    shard = checkpoint.load(saved)
    assert shard is not None
    assert 0 < shard.tally.units < JOB.units
    run = launch(0, MPI_PI, *words_of(JOB), "--checkpoint", str(saved))
    assert f"pi = 4*({hits_of(JOB)}/{JOB.total_points}) = " in run.stdout
    assert run.returncode == 0


def test_losses_are_read_by_other_commands(start: Start, launch: Launch, tmp_path: Path) -> None:
    """Merge the results of two shards, each of which has lost rank 0, and draw them."""
    files = []
    for shard in ("1/2", "2/2"):
        ended = start(Fault("in a round", "SIGKILL", 0, passes=2), options=["--shard", shard]).ended()
        assert ended.status == 0, ended.err
        assert numbers(ended) == {0}
        files.append(str(start.jobs[-1].json))
    merged = tmp_path / "merged.json"
    run = launch(0, MPI_PI, "merge", *files, "--json", str(merged))
    assert run.returncode == 0, run.stderr
    assert f"pi = 4*({hits_of(JOB)}/{JOB.total_points}) = " in run.stdout
    assert (
        len(re.findall(rf"^Lost = rank 0 on host {HOST} .* of shard [12]/2$", run.stdout, re.MULTILINE)) == 2
    )
    for file in (*files, str(merged)):
        assert launch(0, MPI_PI, "plot", file, "-o", str(tmp_path / "p.png")).returncode == 0


@pytest.mark.parametrize(("point", "rank"), each(["in a round", "in the handshake"], ["before the report"]))
def test_rank_that_stands_still_is_lost_after_the_patience(start: Start, point: str, rank: int) -> None:
    """Here a rank of its host is left, which kills it, so that it never writes."""
    ended = start(Fault(point, "SIGSTOP", rank), options=PATIENCE).ended()
    require_right(ended, JOB)
    assert numbers(ended) == {rank} or (point == "before the report" and rank > 0)


@pytest.mark.parametrize(
    ("point", "rank"), each(["in the kernel", "in the loading of the kernel", "in a round"])
)
def test_exception_in_a_rank_is_its_loss(start: Start, point: str, rank: int) -> None:
    ended = start(Fault(point, rank=rank)).ended()
    assert "Traceback" in ended.err or MESSAGE in ended.err
    assert f"rank {rank} on host {HOST}" in ended.err
    require_right(ended, JOB, traceback=True)
    assert numbers(ended) == {rank}


@pytest.mark.parametrize("point", ["in the kernel", pytest.param("in the loading of the kernel", marks=soak)])
def test_exception_in_all_ranks_ends_the_job(start: Start, point: str) -> None:
    ended = start(Fault(point)).ended()
    assert ended.status not in (0, HANGS)
    assert MESSAGE in ended.err
    assert ended.hits == set()


@pytest.mark.parametrize("rank", [pytest.param(0, marks=soak), 2])
def test_rank_without_memory_is_lost(start: Start, rank: int) -> None:
    ended = start(Fault("in the kernel", "exhaust", rank)).ended()
    require_right(ended, JOB)
    assert numbers(ended) == {rank}
    assert re.search(rf"^mpi-pi: error: rank {rank} on host {HOST}: .*memory", ended.err, re.MULTILINE)


@pytest.mark.parametrize("rank", [pytest.param(0, marks=soak), 2])
def test_rank_whose_kernel_turns_wrong_is_expelled(start: Start, rank: int) -> None:
    ended = start(Fault("in the kernel, later", "nothing", rank)).ended()
    require_right(ended, JOB, traceback=True)
    assert numbers(ended) == {rank}
    assert f"rank {rank} on host {HOST}" in ended.err
    assert "got known answers wrong after counting" in ended.err


def test_kernels_that_all_turn_wrong_are_not_verified(start: Start) -> None:
    ended = start(Fault("in the kernel, later", "nothing")).ended()
    assert ended.status == 3, ended.err
    assert "Verification = UNSUCCESSFUL" in ended.out


def test_rank_that_is_killed_without_ulfm_ends_the_job(
    mpi: Mpi, faults: Faults, environment: dict[str, str], tmp_path: Path
) -> None:
    program = faults.program(
        Fault("in a round", "SIGKILL", 1, passes=2), values=SHORT_ROUNDS, python=mpi.python
    )
    job = Started([mpi.mpirun, "-n", "3", program, *words_of(JOB)], tmp_path, environment)
    ended = job.ended()
    assert ended.status not in (0, HANGS)
    assert ended.hits == set()
    assert ended.document is None


@pytest.mark.parametrize(
    ("point", "command"),
    [("in the loading of the kernel", ["check"]), ("in the kernel", ["bench", "scaling"])],
)
def test_other_commands_tell_of_a_loss_and_end(
    open_mpi: Mpi,
    faults: Faults,
    environment: dict[str, str],
    tmp_path: Path,
    point: str,
    command: list[str],
) -> None:
    program = faults.program(Fault(point, "SIGKILL", 1), python=open_mpi.python)
    words = [open_mpi.mpirun, *SURVIVING, "-n", "3", program, *command]
    ended = Started(words, tmp_path, environment).ended()
    assert ended.status not in (0, HANGS)
    assert re.search("^mpi-pi: error: .*lost rank 1", ended.err, re.MULTILINE), ended
    assert "Traceback" not in ended.err


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("times", [3, pytest.param(50, marks=soak)])
def test_random_losses_change_no_hits(start: Start, times: int) -> None:
    bad = [fault for seed in range(times) if (fault := trial(start, seed))]
    assert not bad, "\n".join(bad)
