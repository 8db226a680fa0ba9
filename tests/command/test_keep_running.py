"""A job on this machine that is kept running: when it is started again, when not, and how it ends."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.storage import checkpoint
from mpi_pi.system import launch_env
from support.chaos import SURVIVING, words_of
from support.cluster import until
from support.counting import hits
from support.faults import AT_A_PACE, UNVERIFIABLE, Fault, Faults
from support.launching import MPI_PI, MPIRUN, Launch, is_hydra, soak
from support.mpis import Found, there
from support.processes import leftovers
from support.terminal import on_a_terminal

JOB = Job(6000, 100_000, 7)
"""A job of a minute or more AT_A_PACE."""

ENDLESS = Job(10**9, 100_000, 7)


class Kept:
    """A job on two ranks that is kept running."""

    def __init__(
        self,
        folder: Path,
        environ: dict[str, str],
        faults: Faults,
        launcher: tuple[str, ...] = (MPIRUN,),
        mpi_pi: str = MPI_PI,
        python: str = sys.executable,
    ) -> None:
        self.folder, self.environ, self.checkpoint = folder, environ, folder / "c"
        self.faults, self.launcher, self.mpi_pi, self.python = faults, launcher, mpi_pi, python
        self.process: subprocess.Popen[bytes]

    def words(self, *options: str, program: str = "", run: tuple[str, ...] = (), job: Job = JOB) -> list[str]:
        command = [self.mpi_pi, "keep-running", *options, "--", *self.launcher, "-n", "2"]
        command += [program or self.mpi_pi, *words_of(job)]
        return [*command, "--checkpoint", str(self.checkpoint), "--checkpoint-every", "0.1s", *run]

    def start(self, *options: str) -> None:
        """Start it at a pace, with which it does not end before `require_right` is called."""
        words = self.words(*options, program=self.faults.program(AT_A_PACE, python=self.python))
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.environ
            )

    def until_counting(self) -> None:
        """Wait until a round has been saved."""
        until(lambda: (saved := checkpoint.load(self.checkpoint)) and saved.tally.units, "a round", 60)

    def rank(self, number: int) -> psutil.Process:
        (found,) = (
            process
            for process in psutil.Process(self.process.pid).children(recursive=True)
            if launch_env.rank_of(process.environ()) == number
        )
        return found

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text().replace("\r", "")

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()

    def require_right(self, pi: str) -> None:
        """Require that the job, from now on at full speed, ends complete, with the right hits."""
        self.faults.full_speed()
        assert self.process.wait(60) == 0, self.err
        assert pi in self.out
        assert self.out.count("Verification = SUCCESSFUL") == 1

    def require_nothing_left(self) -> None:
        assert leftovers(str(self.checkpoint)) == []
        assert [place.name for place in Path(self.environ["TMPDIR"]).glob("mpi-pi-*")] == []


@pytest.fixture
def kept(tmp_path: Path, environment: dict[str, str], faults: Faults) -> Iterator[Kept]:
    job = Kept(tmp_path, environment, faults)
    yield job
    if hasattr(job, "process"):
        print(job.err)
        job.process.kill()
        job.process.wait()
    job.require_nothing_left()


@pytest.fixture(scope="module")
def pi(kernel: Kernel) -> str:
    return f"pi = 4*({kernel.count(JOB, range(JOB.units)).sum()}/{JOB.total_points}) = "


def starts(err: str) -> int:
    """Return the number of starts that are told of."""
    return 1 + len(re.findall(r"^mpi-pi: start \d+( goes on from \d+ points)?: ", err, re.MULTILINE))


@pytest.mark.parametrize("rank", [0, 1])
def test_job_whose_rank_is_killed_ends_with_the_same_hits(kept: Kept, pi: str, rank: int) -> None:
    kept.start()
    kept.until_counting()
    kept.rank(rank).kill()
    kept.require_right(pi)
    assert starts(kept.err) == 2
    assert re.search(r"^mpi-pi: start 2.*: the launcher ended with status \d+ before", kept.err, re.MULTILINE)
    assert "mpi-pi-sign" not in kept.err


def test_rank_0_that_hangs_is_started_again_after_the_patience(kept: Kept, pi: str) -> None:
    kept.start("--patience", "4s")
    kept.until_counting()
    kept.rank(0).suspend()
    until(lambda: "points: rank 0 gave no sign for 4 s\n" in kept.err, "another start", 60)
    kept.require_right(pi)


def test_report_that_its_launcher_discards_is_printed_by_another_start(
    kept: Kept, launch: Launch, faults: Faults
) -> None:
    """Ended for its silence, the launcher wakes rank 0 up, which completes the job within a moment."""
    job = Job(100, 100_000, 7)
    program = faults.program(Fault("in a round", "ignore"), Fault("in a round", "SIGSTOP", rank=0))
    run = launch(0, *kept.words("--patience", "4s", program=program, job=job))
    assert run.returncode == 0, run.stderr
    assert f"pi = 4*({hits(job)}/{job.total_points}) = " in run.stdout
    assert "points: rank 0 gave no sign for 4 s\n" in run.stderr


def test_job_that_survives_the_loss_of_rank_0_is_not_started_again(
    tmp_path: Path, environment: dict[str, str], found: Found, faults: Faults, pi: str
) -> None:
    """With ULFM another rank becomes rank 0, and sends the signs from then on."""
    open_mpi = there(found, "Open MPI from PyPI")
    surviving = (open_mpi.mpirun, *SURVIVING)
    job = Kept(tmp_path, environment, faults, surviving, open_mpi.mpi_pi, open_mpi.python)
    job.start()
    job.until_counting()
    job.rank(0).kill()
    job.require_right(pi)
    assert "Lost = rank 0 on host " in job.out
    assert starts(job.err) == 1


def test_undisturbed_job_prints_what_it_prints_without(kept: Kept, launch: Launch, pi: str) -> None:
    command = kept.words()
    run, alone = launch(0, *command), launch(0, *command[command.index("--") + 1 :])
    assert (run.returncode, run.stderr, alone.stderr) == (0, "", "")
    assert pi in run.stdout
    names = [set(re.findall(r"^([A-Z][^=\n]*) = ", one.stdout, re.MULTILINE)) for one in (run, alone)]
    assert names[0] - {"Core share"} <= names[1]  # which a busy machine has now and then


@pytest.mark.parametrize(
    "name",
    ["SIGTERM", "SIGUSR1", *(pytest.param(name, marks=soak) for name in ("SIGINT", "SIGHUP", "SIGUSR2"))],
)
def test_signal_ends_the_job_which_can_be_continued(kept: Kept, launch: Launch, pi: str, name: str) -> None:
    kept.start()
    kept.until_counting()
    kept.process.send_signal(signal.Signals[name])
    assert kept.process.wait(60) == 75
    saved = checkpoint.load(kept.checkpoint)
    assert saved
    assert 0 < saved.tally.units < JOB.trials
    assert starts(kept.err) == 1
    kept.require_nothing_left()
    run = launch(0, *kept.words())
    assert run.returncode == 0
    assert pi in run.stdout


def test_ctrl_c_on_a_terminal_ends_the_job_after_its_progress_was_shown(kept: Kept) -> None:
    shown = on_a_terminal(kept.words(job=ENDLESS), kept.environ, keys=b"\x03", after="points/s]")
    assert "Partial = " in shown or "points are saved in " in shown  # Open MPI may kill rank 0 before
    assert "start 2" not in shown
    assert "Traceback" not in shown
    assert "mpi-pi-sign" not in shown


def test_unverified_answer_is_not_counted_again(kept: Kept, launch: Launch, faults: Faults) -> None:
    run = launch(0, *kept.words(program=faults.program(values=UNVERIFIABLE)))
    assert run.returncode == 3, run.stderr
    assert run.stdout.count("Verification = UNSUCCESSFUL") == 1
    assert starts(run.stderr) == 1


def test_checkpoint_of_another_job_is_no_reason_to_start_again(kept: Kept, launch: Launch) -> None:
    kept.checkpoint.write_text("no checkpoint")
    run = launch(0, *kept.words())
    assert run.returncode == 2
    said, *_ = run.stderr.splitlines()  # mpirun may add that a rank has failed
    assert re.fullmatch(r"mpi-pi: error: argument --checkpoint: .*: not written by mpi-pi .*", said)
    assert starts(run.stderr) == 1


def test_time_limit_ends_the_job_which_is_not_started_again(kept: Kept, launch: Launch) -> None:
    run = launch(0, *kept.words(run=("--time-limit", "3s"), job=ENDLESS))
    assert run.returncode == 75, run.stderr
    assert "stopped by --time-limit" in run.stderr
    assert starts(run.stderr) == 1


@pytest.mark.parametrize(
    ("point", "rank", "status", "saved"),
    [("in the handshake", 1, 1, False), ("in the last reduce", 0, 75, True)],
)
def test_job_is_given_up_after_some_starts_without_progress(
    kept: Kept, launch: Launch, faults: Faults, point: str, rank: int, status: int, saved: bool
) -> None:
    """One that dies when all is counted has progress in one start, the first or, by its file, the second."""
    program = faults.program(Fault(point, "SIGKILL", rank=rank))
    run = launch(0, *kept.words("--starts", "2", program=program, job=Job(50, 1000, 7)))
    assert run.returncode == status, run.stderr
    assert "mpi-pi: error: given up after 2 starts without progress; the last one: " in run.stderr
    assert starts(run.stderr) in ((3, 4) if saved else (2,))
    assert ("50000 of 50000 points are saved in " in run.stderr) == saved


UNSOUND = "192.168.1.101 slots=4\n" if is_hydra() else "192.168.1.101 slots=x\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "a command is needed after --: "),
        ("--", "a command is needed after --: "),
        ("-- MPIRUN -n 2", "the command has no `mpi-pi run`: "),
        ("-- MPIRUN -n 2 MPI_PI check", "the command has no `mpi-pi run`: "),
        ("-- MPIRUN -n 2 MPI_PI run -n 5 -i 5", "argument --checkpoint: mpi-pi run needs one, "),
        ("-- MPIRUN -n 2 MPI_PI run -n 5x -i 5 --checkpoint c", "argument -n/--trials: '5x': not a number"),
        (
            "-- MPIRUN -hostfile nowhere MPI_PI run -n 5 -i 5 --checkpoint c",
            "hostfile 'nowhere': No such file",
        ),
        ("-- MPIRUN -hostfile unsound MPI_PI run -n 5 -i 5 --checkpoint c", "hostfile 'unsound': line 1: "),
        ("-- ./nothing MPI_PI run -n 5 -i 5 --checkpoint c", "'./nothing' cannot be started: No such file"),
        ("--starts 0 -- MPIRUN MPI_PI run -n 5 -i 5 --checkpoint c", "argument --starts: '0': "),
        ("--patience 1x -- MPIRUN MPI_PI run -n 5 -i 5 --checkpoint c", "argument --patience: '1x': "),
    ],
)
def test_wrong_command_is_refused_in_one_line(
    words: str, error: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "unsound").write_text(UNSOUND)
    named = words.replace("MPIRUN", MPIRUN).replace("MPI_PI", MPI_PI).split()
    run = subprocess.run(
        [MPI_PI, "keep-running", *named],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
        timeout=60,
    )
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith("mpi-pi: error: ")
    assert error in line
    assert [place.name for place in tmp_path.iterdir()] == ["unsound"]
