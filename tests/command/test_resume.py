"""Runs that are stopped and resumed: the hits are those of an uninterrupted run."""

import contextlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import psutil
import pytest

from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.storage import checkpoint
from support.faults import AT_A_PACE, Faults
from support.launching import MPI_PI, Launch, soak, under_mpirun
from support.schemas import RUN as SCHEMA

JOB = Job(20_000, 10_000, 7)
ARGUMENTS = ("run", "-n", "20k", "-i", "10k", "--seed", "7")
RUN = (MPI_PI, *ARGUMENTS)


@pytest.fixture(scope="module")
def pi(kernel: Kernel) -> str:
    hits = int(kernel.count(JOB, range(JOB.units)).sum())
    return f"pi = 4*({hits}/{JOB.total_points}) = "


@pytest.fixture
def slowly(faults: Faults) -> tuple[str, ...]:
    """Return a run at a pace, of a quarter of a minute on four ranks."""
    return (faults.program(AT_A_PACE), *ARGUMENTS)


class Running:
    """A run that has been started, with a checkpoint in a folder."""

    def __init__(self, folder: Path, ranks: int, env: dict[str, str], *words: str) -> None:
        self.checkpoint = folder / "c"
        self.out, self.err = (folder / "out").open("w+"), (folder / "err").open("w+")
        self.process = subprocess.Popen(
            under_mpirun(ranks, *words, "--checkpoint", str(self.checkpoint), "--checkpoint-every", "0.1s"),
            stdin=subprocess.DEVNULL,
            stdout=self.out,
            stderr=self.err,
            env=env,
        )

    def is_counting(self, runs: int = 1) -> None:
        """Wait until the run has saved a checkpoint."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            part = checkpoint.load(self.checkpoint)
            if part and part.tally.units and part.usage.runs == runs:
                return
            time.sleep(0.02)
        self.end(signal.SIGKILL)
        pytest.fail("nothing was saved within a minute")

    def ranks(self) -> list[psutil.Process]:
        """Return the processes of mpi-pi in this run."""
        found = []
        with contextlib.suppress(psutil.Error):  # it may be at its end
            mpirun = psutil.Process(self.process.pid)
            for one in (mpirun, *mpirun.children(recursive=True)):
                found += [one] if "mpi-pi" in " ".join(one.cmdline()[:2]) else []
        return found

    def end(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the run."""
        with_children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(number)
        for child in with_children:
            with contextlib.suppress(psutil.Error):
                child.send_signal(number)

    def ended(self) -> tuple[int, str, str]:
        """Return status, output and errors of the run, which has to end soon."""
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
            raise
        texts = []
        for stream in (self.out, self.err):
            stream.seek(0)
            texts.append(stream.read())
            stream.close()
        return status, texts[0], texts[1]


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str], slowly: tuple[str, ...]) -> Callable[..., Running]:
    """Return `start(ranks, *options)`, which starts a run at a pace."""
    return lambda ranks, *options: Running(tmp_path, ranks, environment, *slowly, *options)


def goes_on(launch: Launch, folder: Path, ranks: int, pi: str, runs: int = 2) -> str:
    """Check that the same command ends with all hits, and reports how often it was resumed."""
    run = launch(ranks, *RUN, "--checkpoint", str(folder / "c"))
    assert run.returncode == 0, run.stderr
    assert pi in run.stdout
    assert "Verification = SUCCESSFUL" in run.stdout
    assert f"Resumed = {runs - 1} time" in run.stdout
    assert not (folder / "c.lock").exists()
    return run.stdout


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
@pytest.mark.parametrize("to", ["mpirun", "rank 0", "last rank"])
def test_signal_of_a_batch_system_saves_and_ends_the_run(
    launch: Launch, start: Callable[..., Running], tmp_path: Path, pi: str, number: signal.Signals, to: str
) -> None:
    run = start(3, "--json", str(tmp_path / "o.json"))
    run.is_counting()
    if to == "mpirun":
        run.process.send_signal(number)
    else:
        run.ranks()[0 if to == "rank 0" else -1].send_signal(number)
    status, out, err = run.ended()
    assert status == 75
    assert re.search(r"^Partial = \d+ of 200000000 points", out, re.MULTILINE)
    part = checkpoint.load(run.checkpoint)
    assert part is not None
    saved = part.tally.points
    assert f"mpi-pi: stopped by {number.name}: {saved} of 200000000 points are saved" in err
    document = json.loads((tmp_path / "o.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["partial"]
    counted = document["estimate"]["points"]
    assert counted >= saved > 0
    assert sum(row["units"] * row["unit_points"] for row in document["in_line"]) == saved
    if counted > saved:
        assert f"\nIn line = {saved} of 200000000 points" in out
        assert f"\nBeyond = {counted - saved} points" in out
        assert f"run it again; {counted - saved} more will be counted again: " in err
    again = goes_on(launch, tmp_path, 2, pi)
    assert f"Resumed = 1 time, {saved} of 200000000 points" in again
    assert "\nRuns = 2: of all of them are " in again


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to", ["the only process", "mpirun", "rank 1"])
def test_signal_that_asks_for_the_end_saves_and_ends_the_run(
    launch: Launch, start: Callable[..., Running], tmp_path: Path, pi: str, number: signal.Signals, to: str
) -> None:
    """After a signal to mpirun, it may kill its ranks before they report; then the last checkpoint counts."""
    run = start(0 if to == "the only process" else 2)
    run.is_counting()
    (run.ranks()[1] if to == "rank 1" else run.process).send_signal(number)
    status, out, _ = run.ended()
    if to == "mpirun":
        assert status != 0
    else:
        assert status == 75
        assert "Partial = " in out
    goes_on(launch, tmp_path, 3, pi)


@pytest.fixture
def compiling(compiled: Kernel, environment: dict[str, str], tmp_path: Path) -> Running:
    """Return a run that compiles its kernel, which takes seconds."""
    cache = tmp_path / "cache"
    run = Running(tmp_path, 0, environment | {"MPI_PI_CACHE": str(cache)}, *RUN)
    while not (cache / "lock").exists():
        time.sleep(0.01)
    return run


def test_signal_before_anything_was_counted_ends_the_run(
    launch: Launch, compiling: Running, tmp_path: Path, pi: str
) -> None:
    run = compiling
    run.process.send_signal(signal.SIGUSR1)
    status, out, _ = run.ended()
    assert status == 75
    assert "Partial = 0 of 200000000 points" in out
    goes_on(launch, tmp_path, 1, pi)


@pytest.mark.parametrize("ranks", [0, 2])
def test_signals_until_the_end_lose_nothing(
    launch: Launch, start: Callable[..., Running], tmp_path: Path, pi: str, ranks: int
) -> None:
    """More signals change nothing while it reports, and while Python and MPI end."""
    run = start(ranks)
    run.is_counting()
    while run.process.poll() is None:
        for rank in run.ranks():
            with contextlib.suppress(psutil.Error):
                rank.send_signal(signal.SIGUSR1)
        time.sleep(0.003)
    status, out, _ = run.ended()
    assert status == 75
    assert "Partial = " in out
    goes_on(launch, tmp_path, 2, pi)


def test_signal_while_compiling_ends_the_run(compiling: Running, tmp_path: Path) -> None:
    """With a checkpoint, the run can be resumed, and no lock is left behind."""
    run = compiling
    run.process.send_signal(signal.SIGTERM)
    status, out, err = run.ended()
    assert status == 75
    assert "Partial = 0 of " in out
    assert "mpi-pi: stopped by SIGTERM: 0 of 200000000 points are saved" in err
    assert not (tmp_path / "c.lock").exists()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT, signal.SIGTERM])
def test_without_a_checkpoint_the_status_is_the_signals(
    environment: dict[str, str], number: signal.Signals, slowly: tuple[str, ...]
) -> None:
    command = [*slowly, "--progress", "on"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr
        while process.stderr.read(1) != "%":  # the bar: it is counting
            assert process.poll() is None
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert "Partial = " in out


def test_time_limit_ends_the_run(launch: Launch, tmp_path: Path, pi: str, slowly: tuple[str, ...]) -> None:
    run = launch(2, *slowly, "--time-limit", "1.5")
    assert run.returncode == 124
    assert "Partial = " in run.stdout
    file = str(tmp_path / "c")
    for runs in (1, 2):
        run = launch(2, *slowly, "--time-limit", "1.5s", "--checkpoint", file)
        assert run.returncode == 75
        assert "mpi-pi: stopped by --time-limit: " in run.stderr
        part = checkpoint.load(tmp_path / "c")
        assert part is not None
        assert part.usage.runs == runs
        assert part.usage.real_seconds > 1.4 * runs
    again = goes_on(launch, tmp_path, 4, pi, runs=3)
    minutes, seconds = re.findall(r"^real\t(\d+)m(.*)s$", again, re.MULTILINE)[0]
    assert float(minutes) * 60 + float(seconds) > 3  # times add up


def test_time_limit_of_a_slurm_job_ends_the_run(
    launch: Launch, tmp_path: Path, slowly: tuple[str, ...]
) -> None:
    """It ends in time in a job with four seconds left. (test_job_scripts.py uses a real Slurm.)"""
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 0:04\n")
    squeue.chmod(0o755)
    slurm = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "1"}
    run = launch(2, *slowly, "--time-limit", "slurm", "--checkpoint", str(tmp_path / "c"), **slurm)
    assert run.returncode == 75
    assert "mpi-pi: stopped by --time-limit: " in run.stderr
    refused = launch(2, *RUN, "--time-limit", "slurm", "--checkpoint", str(tmp_path / "d"))
    assert refused.returncode == 2
    assert "argument --time-limit: 'slurm': this is no Slurm job" in refused.stderr
    assert not (tmp_path / "d").exists()


def test_finished_checkpoint_prints_its_answer_again(launch: Launch, tmp_path: Path, pi: str) -> None:
    file = str(tmp_path / "c")
    first = launch(2, *RUN, "--checkpoint", file)
    assert first.returncode == 0
    content = (tmp_path / "c").read_bytes()
    (tmp_path / "c").chmod(0o400)
    for command in (RUN, RUN[:-2]):  # the seed is that of the checkpoint
        again = launch(3, *command, "--checkpoint", file)
        assert again.returncode == 0
        assert pi in again.stdout
        assert "Counted before = all points, in 1 run\n" in again.stdout.replace("\r", "")
    assert (tmp_path / "c").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_shard_with_a_checkpoint_is_resumed_and_merged(
    launch: Launch, tmp_path: Path, pi: str, slowly: tuple[str, ...]
) -> None:
    parts = []
    for index in (1, 2):
        shard = ("--shard", f"{index}/2", "--checkpoint", str(tmp_path / f"c{index}"))
        parts.append(str(tmp_path / f"{index}.json"))
        run = launch(1, *slowly, *shard, "--time-limit", "1.2", "--json", parts[-1])
        assert run.returncode == 75
        assert launch(0, MPI_PI, "merge", parts[-1]).returncode == 2
        assert launch(2, *RUN, *shard, "--json", parts[-1]).returncode == 0
    wrong = launch(1, *RUN, "--shard", "2/2", "--checkpoint", str(tmp_path / "c1"))
    assert wrong.returncode == 2
    assert "is of another job: shard 1/2, not 2/2" in wrong.stderr
    merged = launch(0, MPI_PI, "merge", *parts)
    assert pi in merged.stdout
    assert merged.returncode == 0


@pytest.mark.parametrize("ranks", [0, 3])
@pytest.mark.parametrize(
    ("content", "why"),
    [("", "empty"), ("pi = 3.2\n", "not written by mpi-pi"), ('{"program": "mpi-pi"', "damaged")],
)
def test_file_that_is_no_checkpoint_is_refused(
    launch: Launch, tmp_path: Path, ranks: int, content: str, why: str
) -> None:
    (tmp_path / "c").write_text(content)
    run = launch(ranks, *RUN, "--checkpoint", str(tmp_path / "c"), "--json", str(tmp_path / "o.json"))
    ours = [line for line in run.stderr.splitlines() if "mpi-pi: " in line]
    assert len(ours) == 1
    assert f"argument --checkpoint: '{tmp_path / 'c'}': {why}" in ours[0]
    assert run.returncode == 2
    assert run.stdout == ""
    assert (tmp_path / "c").read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    run = launch(ranks, *RUN, "--checkpoint", str(tmp_path / "c"), "--restart")
    assert run.returncode == 0
    assert (tmp_path / "c.1").read_text() == content


def test_second_run_on_a_checkpoint_is_refused(launch: Launch, start: Callable[..., Running]) -> None:
    run = start(2)
    run.is_counting()
    second = launch(2, *RUN, "--checkpoint", str(run.checkpoint))
    assert second.returncode == 75
    assert f"in use by process {run.ranks()[0].pid} on host {os.uname().nodename}" in second.stderr
    assert second.stdout == ""
    run.process.send_signal(signal.SIGUSR1)
    assert run.ended()[0] == 75


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode != 0,
    reason="no file system can be mounted here",
)
def test_full_disk_keeps_the_last_checkpoint(
    launch: Launch, tmp_path: Path, pi: str, slowly: tuple[str, ...]
) -> None:
    """Another process fills a file system of 64 KiB, in a mount namespace, during the run."""
    disk = tmp_path / "disk"
    disk.mkdir()
    run = f"{shlex.join(slowly)} --checkpoint {disk}/c --checkpoint-every 0.1s --time-limit 6"
    script = (
        f"mount -t tmpfs -o size=64k full {disk} && {{ {run} & }} &&"
        f" until grep -q '\"units\": [1-9]' {disk}/c 2>/dev/null; do sleep 0.02; done;"
        f" cat /dev/zero >{disk}/fill; cp {disk}/c {tmp_path}/before; wait $!; status=$?;"
        f" cp {disk}/c {tmp_path}/c; exit $status"
    )
    run_ = launch(0, "unshare", "-rm", "sh", "-c", script)
    assert run_.returncode == 75, run_.stderr
    warnings = [line for line in run_.stderr.splitlines() if "mpi-pi: warning" in line]
    assert len(warnings) == 1
    assert f"argument --checkpoint: '{disk}/c': No space left on device" in warnings[0]
    assert (tmp_path / "before").read_bytes() == (tmp_path / "c").read_bytes()
    part = checkpoint.load(tmp_path / "c")
    assert part is not None
    assert f"{part.tally.points} of 200000000 points are saved" in run_.stderr
    goes_on(launch, tmp_path, 2, pi)


def test_threads_have_the_same_hits(launch: Launch, tmp_path: Path, pi: str) -> None:
    run = launch(2, *RUN, "--threads", "3", "--per-rank", "--json", str(tmp_path / "o.json"))
    assert pi in run.stdout
    assert "Threads = 3 for each rank" in run.stdout
    assert re.search(r"^\S+ +2 +6 +20000 ", run.stdout, re.MULTILINE)
    assert [row["threads"] for row in json.loads((tmp_path / "o.json").read_text())["ranks"]] == [3, 3]
    run = launch(1, *RUN, "--threads", "auto", SLURM_CPUS_PER_TASK="5")
    assert "Threads = 5 for each rank" in run.stdout
    assert pi in run.stdout


def test_threads_that_have_to_share_a_core_are_warned_of(launch: Launch, pi: str) -> None:
    taskset = shutil.which("taskset")
    if taskset is None:
        pytest.skip("taskset is not installed")
    core = str(min(os.sched_getaffinity(0)))
    run = launch(0, taskset, "-c", core, *RUN, "--threads", "2")
    assert pi in run.stdout
    assert run.stderr.startswith("mpi-pi: warning: rank 0: 2 threads on 1 core: ")
    run = launch(0, taskset, "-c", core, *RUN, "--threads", "auto")
    assert "Threads = 1 for each rank" in run.stdout
    assert run.stderr == ""


WAYS = (
    "USR1 to mpirun",
    "USR2 to a rank",
    "INT to mpirun",
    "TERM to mpirun",
    "TERM to a rank",
    "KILL to a rank",
    "KILL to all",
)


@pytest.mark.parametrize("times", [len(WAYS), pytest.param(100, marks=[soak, pytest.mark.timeout(1800)])])
def test_hits_after_random_interruptions_are_those_of_one_run(
    launch: Launch, environment: dict[str, str], tmp_path: Path, pi: str, times: int, slowly: tuple[str, ...]
) -> None:
    """Interrupt in each way in turn, then count to the end on a random number of ranks."""
    seed = random.randrange(10**9)
    chance = random.Random(seed)
    for number in range(times):
        folder = tmp_path / str(number)
        folder.mkdir()
        way, ranks = WAYS[number % len(WAYS)], chance.randint(1, 4)
        run = Running(folder, ranks, environment, *slowly)
        was_counting = number % 3 > 0
        if was_counting:
            run.is_counting()
        else:
            while not run.ranks():  # mpirun has nobody to pass a signal on to
                time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.5))
        told = f"{way} of {ranks} ranks, seed {seed}"
        name, _, whom = way.partition(" to ")
        kind = signal.Signals[f"SIG{name}"]
        if whom == "all":
            run.end(kind)
        elif whom == "mpirun":
            run.process.send_signal(kind)
        else:
            chance.choice(run.ranks()).send_signal(kind)
        status, _, err = run.ended()
        assert status != 0, told
        assert "Traceback" not in err, told
        part = checkpoint.load(run.checkpoint)
        assert not was_counting or (part and part.tally.units > 0), told
        last = launch(chance.randint(1, 4), *RUN, "--checkpoint", str(run.checkpoint), timeout=120)
        assert last.returncode == 0, (told, last.stderr)
        assert pi in last.stdout, told
