"""The command of a job: what its launcher's options name, and how they are changed."""

import shlex

import pytest

from mpi_pi.cluster import job_command
from mpi_pi.cluster.job_command import scaled
from mpi_pi.errors import UserError

RUN = "mpi-pi run -n 5 -f x -i 1"
"""Options of mpi-pi are none of the launcher."""


@pytest.mark.parametrize(
    ("launch", "launcher", "hostfile", "ranks", "changed"),
    [
        ("mpirun -hostfile h -n 4", "mpirun", "h", 4, "mpirun -hostfile new -n 2"),
        ("/a/mpirun --hostfile=h -np 4", "/a/mpirun", "h", 4, "/a/mpirun --hostfile=new -np 2"),
        ("mpiexec -f h", "mpiexec", "h", None, "mpiexec -f new"),
        (
            "mpirun.mpich -machinefile h --np 4",
            "mpirun.mpich",
            "h",
            4,
            "mpirun.mpich -machinefile new --np 2",
        ),
        ("env -n 7 prterun -n 4", "prterun", None, 4, "env -n 7 prterun -n 2"),
        ("mpirun --bind-to none", "mpirun", None, None, "mpirun --bind-to none"),
        ("srun -n 4", "", None, None, "srun -n 4"),
        ("mpirun -n four", "mpirun", None, None, "mpirun -n 2"),
    ],
)
@pytest.mark.parametrize("program", [RUN, f"/a/{RUN}", f"python -m {RUN}".replace("-pi", "_pi")])
def test_options_of_the_launcher_are_found_and_replaced(
    launch: str, launcher: str, hostfile: str | None, ranks: int | None, changed: str, program: str
) -> None:
    job = job_command.parse(shlex.split(f"{launch} {program}"))
    assert (job.launcher, job.hostfile, job.ranks) == (launcher, hostfile, ranks)
    assert job.arguments == ("run", "-n", "5", "-f", "x", "-i", "1")
    assert shlex.join(job.on(None, None).words) == f"{launch} {program}"
    assert shlex.join(job.on("new", 2).words) == f"{changed} {program}"


@pytest.mark.parametrize("words", ["", "mpirun -n 2", "mpirun -n 2 mpi-pi check", "run mpi-pi", "other run"])
def test_command_without_run_is_refused(words: str) -> None:
    with pytest.raises(UserError, match="keep-running -- mpirun"):
        job_command.parse(words.split())


@pytest.mark.parametrize(
    ("ranks", "slots", "left", "number"),
    [
        (8, [4, 4, 4], [4, 4], 8),  # they fit
        (12, [4, 4, 4], [4, 4], 8),
        (3, [1, 1, 4], [1, 1], 2),
        (24, [4, 4, 4], [4, 4], 16),  # two on each core from the beginning
        (2, [1, 0], [0], 1),
        (9, [None, None, None], [None, None], 6),
        (1, [None, None], [None], 1),
        (12, [4, None], [4], 6),
    ],
)
def test_number_of_ranks_follows_the_slots_that_are_left(
    ranks: int, slots: list[int | None], left: list[int | None], number: int
) -> None:
    assert scaled(ranks, slots, left) == number
    assert scaled(ranks, slots, slots) == ranks
