"""The job scripts for PBS, LSF and Flux, with the variables and programs that their manual pages tell of.

Real are bash, mpirun and the ranks. (run.flux was also run by a real Flux, which the tests cannot install.)
"""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mpi_pi.model.job import Job
from support.counting import hits
from support.launching import MPI_PI, MPIRUN, ROOT, Launch, environment, finish

JOB = Job(trials=200, points=1000, seed=17)
PI = f"\npi = 4*({hits(JOB)}/200000) = "
SITE = ROOT / "jobscripts" / "site"


def write(program: Path, text: str) -> None:
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def run(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a job script in a folder, whose programs come first in PATH."""
    settings = {"TRIALS": "200", "POINTS": "1000", "VENV": sys.prefix}
    for name, program in {"mpirun": MPIRUN, "mpi-pi": MPI_PI}.items():
        if not (folder / name).exists():
            write(folder / name, f'exec "{program}" "$@"')
    with environment(**settings, **variables) as environ:
        environ["PATH"] = f"{folder}:{environ['PATH']}"
        return finish(["bash", "-c", f'cd "{folder}" && exec bash "{SITE / script}"'], environ)


def qstat(folder: Path) -> None:
    answer = folder / "answer"
    answer.write_text(
        "Job Id: 17.server\n    array_indices_submitted = 5-6\n"
        f"    stime = {time.ctime()}\n    Resource_List.walltime = 00:10:00\n"
    )
    write(folder / "qstat", f"cat {answer}")
    (folder / "nodes").write_text("localhost\nlocalhost\n")


def test_pbs_script_counts_on_the_slots_of_the_job(tmp_path: Path) -> None:
    qstat(tmp_path)
    variables = {"PBS_O_WORKDIR": str(tmp_path), "PBS_NODEFILE": str(tmp_path / "nodes")}
    job = run("run.pbs", tmp_path, PBS_JOBID="17.server", **variables)
    assert job.returncode == 0, job.stderr
    assert PI in job.stdout
    assert "\nJob = PBS 17.server\n" in job.stdout
    assert "\nRanks = 2 on 1 host\n" in job.stdout


def test_tasks_of_a_pbs_array_count_the_shards(tmp_path: Path, launch: Launch) -> None:
    qstat(tmp_path)
    variables = {"PBS_O_WORKDIR": str(tmp_path), "PBS_NODEFILE": str(tmp_path / "nodes")}
    for task in ("5", "6"):
        job = run("run.pbs", tmp_path, PBS_JOBID=f"17[{task}].server", PBS_ARRAY_INDEX=task, **variables)
        assert job.returncode == 0, job.stderr
    merged = launch(0, MPI_PI, "merge", *(str(tmp_path / f"part-17-{task}.json") for task in (5, 6)))
    assert PI in merged.stdout


def test_lsf_script_counts_on_the_slots_of_the_job(tmp_path: Path) -> None:
    write(tmp_path / "bjobs", "echo '0:10 L'")
    (tmp_path / "hosts").write_text("localhost\nlocalhost\n")
    variables = {"LSB_DJOB_HOSTFILE": str(tmp_path / "hosts"), "LSB_DJOB_NUMPROC": "2", "LSB_JOBINDEX": "0"}
    job = run("run.lsf", tmp_path, LSB_JOBID="17", **variables)
    assert job.returncode == 0, job.stderr
    assert PI in job.stdout
    assert "\nJob = LSF 17\n" in job.stdout
    assert "\nRanks = 2 on 1 host\n" in job.stdout


def test_task_of_an_lsf_array_counts_its_shard(tmp_path: Path) -> None:
    write(tmp_path / "bjobs", "echo '0:10 L'")
    (tmp_path / "hosts").write_text("localhost\n")
    variables = {"LSB_DJOB_HOSTFILE": str(tmp_path / "hosts"), "LSB_DJOB_NUMPROC": "1"}
    array = {"LSB_JOBINDEX": "2", "LSB_JOBINDEX_END": "4", "LSB_JOBINDEX_STEP": "1"}
    job = run("run.lsf", tmp_path, LSB_JOBID="17", **variables, **array)
    assert job.returncode == 0, job.stderr
    assert "\nShard = 2/4, " in job.stdout
    assert (tmp_path / "part-17-2.json").exists()


@pytest.mark.parametrize(("connects", "launcher"), [("yes", "flux run -n 2"), ("no", "mpirun -n 2 --host ")])
def test_flux_script_takes_a_launcher_whose_ranks_find_each_other(
    tmp_path: Path, connects: str, launcher: str
) -> None:
    """Of a flux run that does not connect the ranks, each is a job by itself."""
    connected = f'shift 3; exec "{MPIRUN}" -n 2 "$@"'
    alone = 'shift 3; FLUX_JOB_SIZE=2 FLUX_TASK_RANK=0 exec "$@"'
    write(
        tmp_path / "flux",
        f"""case "$1 $2" in
        "resource list") echo 2 ;;
        "hostlist -d,") echo localhost,localhost ;;
        "job timeleft") echo 600 ;;
        "run -o") shift 2; {alone} ;;
        "run -n") {connected if connects == "yes" else alone} ;;
        esac""",
    )
    job = run("run.flux", tmp_path, FLUX_URI="local:///tmp/flux", FLUX_ENCLOSING_ID="ƒ2o", SEED="17")
    assert job.returncode == 0, job.stderr
    assert f"Launcher = {launcher}" in job.stdout
    assert PI in job.stdout
    assert "\nJob = Flux ƒ2o\n" in job.stdout


@pytest.mark.parametrize("scheduler", ["pbs", "lsf", "flux"])
def test_scheduler_without_a_job_is_an_error_before_anything_is_written(
    tmp_path: Path, launch: Launch, scheduler: str
) -> None:
    options = ["-n", "1", "-i", "1", "--seed", "1", "--json", str(tmp_path / "j")]
    refused = launch(2, MPI_PI, "run", *options, "--time-limit", scheduler)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"mpi-pi: error: argument --time-limit: '{scheduler}': this is no ")
    assert refused.stderr.count("mpi-pi: ") == 1
    assert list(tmp_path.iterdir()) == []
