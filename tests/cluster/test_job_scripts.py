"""The job scripts on a real Slurm, and the hostfiles on several hosts."""

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mpi_pi.kernel.loader import load
from mpi_pi.model.job import Job
from mpi_pi.storage import examples
from mpi_pi.system import package
from support import mpis, scripts
from support.cluster import SLURM_PROGRAMS, Cluster, booted, until
from support.counting import hits
from support.launching import BIN, MPI_PI, MPIRUN, ROOT
from support.mpis import Mpi


@contextlib.contextmanager
def slurm(nodes: int, timeout: int, cores: int = 2) -> Iterator[Cluster]:
    with booted(nodes, *SLURM_PROGRAMS, cores=cores) as up:
        up.start_slurm(timeout)
        yield up


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # More cores than the job scripts ask for, but for the one that takes the whole node.
    with slurm(nodes=3, timeout=300, cores=3) as up:
        yield up


def test_hostfile_over_ssh_starts_ranks_on_all_hosts(
    cluster: Cluster, tmp_path: Path, environment: dict[str, str]
) -> None:
    """The hostfile is that of the OctaPi, without the hosts that the cluster lacks."""
    lines = (ROOT / "hostfiles" / "octapi.hosts").read_text().splitlines()
    there = [line for line in lines if line.startswith("#") or line.split()[0] in cluster.addresses.values()]
    assert sum(not line.startswith("#") for line in there) == 3
    (tmp_path / "octapi.hosts").write_text("\n".join(there) + "\n")
    run = cluster.run(
        "client",
        *["mpirun", "-hostfile", str(tmp_path / "octapi.hosts"), "mpi-pi", "run", "-i", "10000", "-n", "500"],
        *["--seed", "6"],
        # Without the settings for more ranks than cores, which would put them all on the first host.
        env={name: value for name, value in environment.items() if "rmaps" not in name}
        | {
            "PATH": f"{Path(MPIRUN).parent}:{BIN}:{os.environ['PATH']}",
            # The hosts here have fewer cores than a Raspberry Pi, to which ranks could be bound.
            "PRTE_MCA_hwloc_default_binding_policy": "none",
        },
    )
    assert run.returncode == 0, run.stderr
    assert f"pi = 4*({hits(Job(500, 10_000, 6))}/5000000)" in run.stdout
    assert "Ranks = 12 on 3 hosts" in run.stdout
    rows = re.findall(r"^(node\d) +(\d+) ", run.stdout, re.MULTILINE)
    assert rows == [("node1", "4"), ("node2", "4"), ("node3", "4")]


SETTINGS = {
    "VENV": str(BIN.parent),
    "LOCAL": "/var/tmp",  # which every host here has for itself
    "STAGE": "no",
    "TRIALS": "500",
    "POINTS": "10000",
    "SEED": "6",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
PI = f"pi = 4*({hits(Job(500, 10_000, 6))}/5000000) = "


def submit(cluster: Cluster, folder: Path, script: str, *arguments: str, **variables: str) -> str:
    place = str(ROOT / "jobscripts" / script)
    options = [argument for argument in arguments if argument.startswith("--") and "=" in argument]
    rest = [argument for argument in arguments if argument not in options]
    return cluster.submit(f"--chdir={folder}", *options, place, *rest, **SETTINGS | variables)


def output(folder: Path, job: str) -> str:
    (file,) = folder.glob(f"*-{job}.out")
    return file.read_text()


def completed(cluster: Cluster, folder: Path, job: str, seconds: float) -> str:
    """Wait until a job is completed, within that time, and return its output."""
    state = cluster.finished(job, seconds)
    out = output(folder, job)
    assert state == "COMPLETED", out
    return out


@pytest.mark.parametrize(
    ("launchers", "options", "ranks"),
    [("pmix", (), 3), ("pmi2 mpirun", (), 3), ("mpirun", ("--ntasks-per-node=2",), 2)],
)
def test_single_node_script_counts(
    cluster: Cluster, tmp_path: Path, launchers: str, options: tuple[str, ...], ranks: int
) -> None:
    """It uses the whole node, or the given number of ranks. This MPI does not support pmi2 of srun."""
    job = submit(cluster, tmp_path, "single-node.sbatch", *options, "--per-rank", LAUNCHERS=launchers)
    out = completed(cluster, tmp_path, job, 60)
    assert f"Launcher = {launchers.split()[-1]}\n" in out
    assert PI in out
    assert f"Ranks = {ranks} on 1 host" in out
    assert "rank  host" in out


def test_job_in_a_folder_with_blanks_counts(cluster: Cluster, tmp_path: Path) -> None:
    place = tmp_path / "it's My Docs, mpi pi ü"
    place.mkdir()
    (place / "jobscripts").symlink_to(ROOT / "jobscripts")
    (place / ".venv").symlink_to(BIN.parent)
    submit_there = 'cd "$0" && exec sbatch --parsable jobscripts/single-node.sbatch'
    variables = {name: value for name, value in (os.environ | SETTINGS).items() if name != "VENV"}
    submitted = cluster.run(
        "client", "sh", "-c", submit_there, str(place), env=variables | {"LAUNCHERS": "mpirun"}
    )
    assert submitted.returncode == 0, submitted.stderr
    assert PI in completed(cluster, place, submitted.stdout.strip(), 60)


def submit_from(cluster: Cluster, folder: Path, script: str, *options: str, **variables: str) -> str:
    """Submit a job script in a folder, as one does who has no environment of the repository."""
    words = ["cd", str(folder), "&&", "exec", "sbatch", "--parsable", *options, f"jobscripts/{script}"]
    environment = {name: value for name, value in (os.environ | SETTINGS).items() if name != "VENV"}
    submitted = cluster.run("client", "sh", "-c", " ".join(words), env=environment | variables)
    assert submitted.returncode == 0, submitted.stderr
    return str(submitted.stdout.strip())


@pytest.mark.parametrize("is_environment", [True, False])
def test_written_job_script_takes_the_program_in_path(
    cluster: Cluster, tmp_path: Path, is_environment: bool
) -> None:
    """An environment is copied to the nodes; of a module, whose Python is elsewhere in PATH, nothing is."""
    place = tmp_path / "mine"
    examples.write(str(place))
    path = f"{BIN}:{os.environ['PATH']}"
    if not is_environment:
        (tmp_path / "module" / "bin").mkdir(parents=True)
        scripts.write(tmp_path / "module" / "bin" / "mpi-pi", "raise SystemExit('not this one')")
        path = f"{tmp_path / 'module' / 'bin'}:{path}"
    job = submit_from(cluster, place, "multi-node.sbatch", "--nodes=1", PATH=path, STAGE="yes")
    out = completed(cluster, place, job, 120)
    assert PI in out
    assert (f"Environment = /var/tmp/mpi-pi-{job} on each node" in out) == is_environment


def test_job_without_a_program_says_where_it_was_looked_for(cluster: Cluster, tmp_path: Path) -> None:
    place = tmp_path / "mine"
    examples.write(str(place))
    job = submit_from(
        cluster, place, "single-node.sbatch", PATH="/usr/local/sbin:/usr/bin:/bin:/usr/sbin:/sbin"
    )
    assert cluster.finished(job, 60) == "FAILED"
    (line,) = output(place, job).splitlines()
    assert line.startswith(f"mpi-pi: error: no mpi-pi in {place}/.venv nor in PATH: activate its environment")
    job = submit_from(cluster, place, "single-node.sbatch", VENV=str(tmp_path))
    assert cluster.finished(job, 60) == "FAILED"
    (line,) = output(place, job).splitlines()
    assert line.startswith("mpi-pi: error: no mpi-pi for ")
    assert f"set VENV, now '{tmp_path}'" in line


def test_launcher_that_does_not_fit_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    job = submit(cluster, tmp_path, "single-node.sbatch", LAUNCHERS="pmi2 none")
    assert cluster.finished(job, 60) == "FAILED"
    out = output(tmp_path, job)
    assert out.count("mpi-pi: error: the launcher started 2 ranks, but") == 2
    assert out.endswith("mpi-pi: error: none of pmi2 none starts ranks that find each other, see above\n")
    assert "pi =" not in out


def running(script: str) -> list[psutil.Process]:
    """Return the processes of a shell script."""
    return [
        process for process in psutil.process_iter(["cmdline"]) if script in (process.info["cmdline"] or [])
    ]


@pytest.mark.parametrize(("launchers", "nodes", "stage"), [("pmix", 3, "no"), ("mpirun", 2, "yes")])
def test_multi_node_script_counts(
    cluster: Cluster, tmp_path: Path, launchers: str, nodes: int, stage: str
) -> None:
    """Run strong scaling, once with an environment that is copied to the nodes and removed at the end.

    That takes a while, and SIGTERM, which Slurm may send more than once, does not end it.
    """
    removal = tmp_path / "bin" / "rm"
    removal.parent.mkdir()
    slow = 'case "$1" in -rf) [ ! -d "$2/bin" ] || sleep 3;; esac'
    removal.write_text(f'#!/bin/sh\n{slow}\nexec {shutil.which("rm")} "$@"\n')
    removal.chmod(0o755)
    for name in cluster.nodes:
        (cluster.folder / f"tmp.{name}" / "my disk").mkdir(exist_ok=True)
    job = submit(
        cluster,
        tmp_path,
        "multi-node.sbatch",
        *[f"--nodes={nodes}", "--per-rank"],
        STAGE=stage,
        LAUNCHERS=launchers,
        LOCAL="/var/tmp/my disk",
        PATH=f"{removal.parent}:{os.environ['PATH']}",
    )
    if stage == "yes":
        until(lambda: len(running(str(removal))) == nodes, "a removal on each node", 120)
        for process in running(str(removal)):
            process.terminate()
    out = completed(cluster, tmp_path, job, 120)
    assert out.count(PI) == nodes
    assert (f"Environment = /var/tmp/my disk/mpi-pi-{job} on each node" in out) == (stage == "yes")
    ranks = re.findall(r"^Ranks = (.*)$", out, re.MULTILINE)
    assert ranks == ["2 on 1 host", "4 on 2 hosts", "6 on 3 hosts"][:nodes]
    assert len(re.findall(r"^ +\d  node\d ", out, re.MULTILINE)) == sum(2 * n for n in range(1, nodes + 1))
    table = [line.split() for line in out.splitlines()[-nodes - 1 :]]
    assert table[0] == ["nodes", "ranks", "seconds", "speed-up", "efficiency"]
    assert [row[:2] for row in table[1:]] == [[str(n), str(2 * n)] for n in range(1, nodes + 1)]
    assert table[1][3:] == ["1.00", "100.0%"]
    until(
        lambda: not list(cluster.folder.glob(f"tmp.node*/my disk/mpi-pi-{job}")),
        "an end of what was sent",
        90,
    )


def test_weak_scaling_script_measures(cluster: Cluster, tmp_path: Path) -> None:
    job = submit(cluster, tmp_path, "weak-scaling.sbatch", LAUNCHERS="pmix")
    out = completed(cluster, tmp_path, job, 60)
    for nodes in (1, 2):
        trials = 500 * nodes
        assert f"pi = 4*({hits(Job(trials, 10_000, 6))}/{trials * 10_000}) = " in out
    assert [line.split()[:2] for line in out.splitlines()[-2:]] == [["1", "2"], ["2", "4"]]


@pytest.mark.parametrize("launchers", ["pmix", "mpirun"])
def test_hybrid_script_counts_with_threads(cluster: Cluster, tmp_path: Path, launchers: str) -> None:
    job = submit(cluster, tmp_path, "hybrid.sbatch", "--per-rank", LAUNCHERS=launchers)
    out = completed(cluster, tmp_path, job, 60)
    assert PI in out
    assert "Ranks = 2 on 2 hosts" in out
    assert "Threads = 2 for each rank" in out
    assert "warning" not in out
    assert re.findall(r"^(node\d) +(\d) +(\d) ", out, re.MULTILINE) == [
        ("node1", "1", "2"),
        ("node2", "1", "2"),
    ]


def test_benchmark_script_measures(cluster: Cluster, tmp_path: Path) -> None:
    """Its shortest part runs on all ranks, by the chosen launcher, from the copied environment."""
    job = submit(cluster, tmp_path, "bench.sbatch", PART="noise", FULL="no", STAGE="yes")
    out = completed(cluster, tmp_path, job, 120)
    assert "Launcher = pmix\n" in out
    assert "Ranks = 4 on 2 hosts" in out
    made = json.loads((tmp_path / f"bench-{job}.json").read_text())
    assert not made["full"]
    assert made["commit"] == package.commit()
    assert [(row["host"], row["ranks"]) for row in made["noise"]["rows"]] == [("node1", 2), ("node2", 2)]


def test_burn_in_script_judges_the_cores_of_all_nodes(cluster: Cluster, tmp_path: Path) -> None:
    """Where the machine is busy, a core may well be called slow; then the job fails."""
    job = submit(cluster, tmp_path, "burn-in.sbatch", "--audit", "50%", TIME="3s")
    state = cluster.finished(job, 120)
    made = json.loads((tmp_path / f"burn-in-{job}.json").read_text())
    assert state == ("COMPLETED" if made["passed"] else "FAILED")
    assert [host["host"] for host in made["hosts"]] == ["node1", "node2"]
    assert len(made["ranks"]) == 2 * 3  # the cores of a node here, as Slurm has them
    assert made["complete"]
    assert made["audit"] == 0.5
    out = output(tmp_path, job)
    assert "Launcher = pmix\n" in out
    assert "\nBurn-in = " in out


def test_array_script_and_its_merge_count_the_whole(cluster: Cluster, tmp_path: Path) -> None:
    job = submit(cluster, tmp_path, "array.sbatch")
    merge = submit(cluster, tmp_path, "merge.sbatch", f"--dependency=afterany:{job}", job, "--per-rank")
    out = completed(cluster, tmp_path, merge, 120)
    assert PI in out
    assert "Shards = 4, merged" in out
    assert {path.name for path in tmp_path.glob("*.json")} == {f"part-{job}-{k}.json" for k in range(1, 5)}
    for index in range(1, 5):
        assert f"Shard = {index}/4, 125 of 500 units" in output(tmp_path, f"{job}-{index}")

    (tmp_path / f"part-{job}-3.json").unlink()
    merge = submit(cluster, tmp_path, "merge.sbatch", job)
    assert cluster.finished(merge, 60) == "FAILED"
    assert output(tmp_path, merge) == "mpi-pi: error: missing: shard 3/4\n"
    again = submit(cluster, tmp_path, "array.sbatch", "--array=3", "--shard", "3/4", JOB=job)
    cluster.finished(f"{again}_3", 60)
    merge = submit(cluster, tmp_path, "merge.sbatch", job)
    assert cluster.finished(merge, 60) == "COMPLETED"
    assert PI in output(tmp_path, merge)


def test_facts_of_slurm_reach_the_run(cluster: Cluster, tmp_path: Path) -> None:
    """squeue and the variables of a job array with steps are real."""
    program = (
        "from mpi_pi.system import scheduler, slurm;"
        " print(*slurm.shard(), scheduler.threads_per_rank(), slurm.seconds_left())"
    )
    job = cluster.submit(
        *["--array=10-30:10", "--time=5", "--cpus-per-task=2", f"--output={tmp_path}/%a"],
        f"--wrap={shlex.quote(sys.executable)} -c '{program}'",
    )
    for number, task in enumerate((10, 20, 30), 1):
        assert cluster.finished(f"{job}_{task}", 60) == "COMPLETED"
        index, of, cpus, left = (tmp_path / str(task)).read_text().split()
        assert (index, of, cpus) == (str(number), "3", "2")
        assert 200 < float(left) <= 300


LongJobs = tuple[Cluster, dict[str, tuple[str, Path]]]
"""A cluster, and ids and folders of its jobs, by name."""

LONG = Job(4_000_000, 10_000, 6)


@pytest.fixture(scope="module")
def long_hits() -> int:
    return int(load("numba").count(LONG, range(LONG.units)).sum())


def submit_long(
    cluster: Cluster,
    folder: Path,
    *options: str,
    slow_runs: int = 0,
    slow_until: Path | None = None,
    **variables: str,
) -> str:
    """Submit requeue.sbatch with LONG, of which all runs but the last would take many minutes.

    Its Python chooses the slow kernel, on which the hits do not depend, for the first `slow_runs` runs, or
    until the file `slow_until` is there.
    """
    python = folder / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    fast = f'[ "${{SLURM_RESTART_COUNT:-0}}" -ge {slow_runs} ]'
    if slow_until:
        fast = f"[ -e {shlex.quote(str(slow_until))} ]"
    python.write_text(
        f'#!/bin/sh\n{fast} || slow="--kernel numpy"\nexec {shlex.quote(sys.executable)} "$@" $slow\n'
    )
    python.chmod(0o755)
    variables |= {"VENV": str(python.parent.parent), "TRIALS": str(LONG.trials), "POINTS": str(LONG.points)}
    # mpirun belongs to the environment, too.
    variables["PATH"] = f"{python.parent}:{Path(MPIRUN).parent}:{os.environ['PATH']}"
    return submit(cluster, folder, "requeue.sbatch", *options, "--checkpoint-every", "1s", **variables)


def counting(cluster: Cluster, folder: Path, job: str, runs: int) -> None:
    """Wait until the job has saved a checkpoint in its run of that number."""

    def saved() -> bool:
        cluster.hurry()
        file = folder / f"mpi-pi-requeue-{job}.checkpoint"
        return file.exists() and json.loads(file.read_text())["spent"]["runs"] == runs

    until(saved, f"run {runs} of job {job}", 120)


def check_long(folder: Path, job: str, state: str, runs: int, expected: int) -> str:
    out = output(folder, job)
    assert state == "COMPLETED", out
    assert f"pi = 4*({expected}/{LONG.total_points}) = " in out
    assert "Verification = SUCCESSFUL" in out
    document = json.loads((folder / f"mpi-pi-requeue-{job}.checkpoint").read_text())
    assert document["spent"]["runs"] >= runs
    return out


@pytest.mark.parametrize("whom", [["--batch"], []])
def test_scancel_with_a_signal_saves_a_checkpoint(
    cluster: Cluster, tmp_path: Path, long_hits: int, whom: list[str]
) -> None:
    """The signal goes to the script, which passes it on, or to all ranks."""
    job = submit_long(cluster, tmp_path, slow_runs=1)
    counting(cluster, tmp_path, job, 1)
    cluster.run("client", "scancel", *whom, "--signal=USR1", job)
    out = check_long(tmp_path, job, cluster.finished(job, 120), 2, long_hits)
    assert out.count("mpi-pi: stopped by SIGUSR1: ") == 1
    assert "Resumed = 1 time, " in out


@pytest.mark.parametrize("launchers", ["pmix", "mpirun"])
def test_cancelled_job_is_not_requeued(cluster: Cluster, tmp_path: Path, launchers: str) -> None:
    job = submit_long(cluster, tmp_path, slow_runs=1, LAUNCHERS=launchers)
    counting(cluster, tmp_path, job, 1)
    cluster.run("client", "scancel", job)
    assert cluster.finished(job, 60) == "CANCELLED"
    assert cluster.facts(job)["Restarts"] == "0"
    if launchers == "pmix":  # mpirun's daemons end at once, and take the ranks along
        assert "mpi-pi: stopped by SIGTERM: " in output(tmp_path, job)


@pytest.fixture(scope="module")
def long_jobs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Cluster, dict[str, tuple[str, Path]]]]:
    """Start jobs that are requeued for different reasons, at the same time, since each takes minutes."""
    with slurm(nodes=6, timeout=5) as up:
        jobs = {}
        for name, options, runs in (
            ("limited", ("--time=1", "--signal=B:USR1@50"), 3),
            ("unlucky", (), 2),
        ):
            folder = tmp_path_factory.mktemp(name)
            jobs[name] = submit_long(up, folder, *options, slow_runs=runs), folder
        yield up, jobs


def test_job_goes_on_after_nodes_fail(long_jobs: LongJobs, long_hits: int) -> None:
    """First the slurmd of the node with the script and rank 0 dies, later that node as a whole.

    While the old run survives its slurmd, the new one returns to the queue.
    """
    cluster, jobs = long_jobs
    job, folder = jobs["unlucky"]
    counting(cluster, folder, job, 1)
    node = cluster.facts(job)["BatchHost"]
    cluster.run(node, "kill", "-KILL", (cluster.folder / f"slurmd.{node}.pid").read_text().strip())
    counting(cluster, folder, job, 2)
    cluster.power_off(cluster.facts(job)["BatchHost"])
    check_long(folder, job, cluster.finished(job, 200), 3, long_hits)


@pytest.mark.parametrize(("launchers", "spare"), [("pmix", 0), ("mpirun", 1)])
def test_job_without_kill_goes_on_with_the_nodes_that_are_left(
    tmp_path: Path, long_hits: int, launchers: str, spare: int
) -> None:
    """Neither the node of the script nor a spare one fails. The environment is copied to the nodes."""
    with slurm(nodes=2 + spare, timeout=5) as up:
        fast = tmp_path / "fast"
        choice = f"--nodes={2 + spare}"
        job = submit_long(
            up,
            tmp_path,
            choice,
            slow_until=fast,
            LAUNCHERS=launchers,
            STAGE="yes",
            NODES="2",
            SBATCH_NO_KILL="set",
        )
        counting(up, tmp_path, job, 1)
        fast.touch()
        script, failing, *_ = up.nodes
        assert up.facts(job)["BatchHost"] == script
        up.power_off(failing)
        out = check_long(tmp_path, job, up.finished(job, 200), 2, long_hits)
        assert up.facts(job)["Restarts"] == "0"
        assert f"Nodes = {1 + spare} of {2 + spare} are left: without {failing}\n" in out
        assert re.findall(r"^Ranks = (.*)$", out, re.MULTILINE) == [
            "4 on 2 hosts",
            "4 on 2 hosts" if spare else "2 on 1 host",
        ]
        left = [up.run(node, "sh", "-c", "ls -d /var/tmp/mpi-pi-*").stdout for node in up.on]
        assert f"mpi-pi-{job}" not in "".join(left)


def test_job_goes_on_after_every_time_limit(long_jobs: LongJobs, long_hits: int) -> None:
    cluster, jobs = long_jobs
    job, folder = jobs["limited"]
    out = check_long(folder, job, cluster.finished(job, 250), 4, long_hits)
    stops = out.count("mpi-pi: stopped by SIGUSR1: ")
    assert stops >= 3  # one more where the machine is busy
    assert re.findall(r"^Resumed = (\d+)", out, re.MULTILINE) == [str(1 + n) for n in range(stops)]


def test_srun_with_an_mpi_that_it_does_not_know_is_refused(
    cluster: Cluster, environment: dict[str, str]
) -> None:
    """Without PMIx srun starts ranks that do not find each other."""
    run = cluster.run(
        "client", "srun", "--mpi=none", "-n", "2", MPI_PI, "run", "-n", "1e15", "-i", "1e9", env=environment
    )
    assert run.returncode != 0
    assert "the launcher started 2 ranks, but" in run.stderr
    assert run.stderr.count("mpi-pi: error") == 1
    assert "Verification" not in run.stdout


def test_srun_works_as_advised(cluster: Cluster, mpi: Mpi, environment: dict[str, str]) -> None:
    """Slurm's default is no plug-in; with the option in the error message, ranks find each other."""

    def srun(*options: str) -> Any:
        command = ["srun", *options, "-n", "2", "-N", "1", mpi.mpi_pi, "run", "-n", "100", "-i", "100"]
        return cluster.run("client", *command, env=environment)

    plain = srun()
    assert plain.returncode == 2
    (told,) = (line for line in plain.stderr.splitlines() if not line.startswith("srun: error: node"))
    assert told.startswith("mpi-pi: error: the launcher started 2 ranks, but ")
    (advice,) = re.findall(r": srun (--mpi=\w+) ", told)
    advised = srun(advice)
    assert advised.returncode == 0, advised.stderr
    assert "Ranks = 2 on 1 host" in advised.stdout
    wrong = srun("--mpi=pmi2" if advice == "--mpi=pmix" else "--mpi=pmix")
    assert wrong.returncode != 0
    assert "Verification" not in wrong.stdout
    assert mpi.name in mpis.OF_DEBIAN or f": srun {advice} " in wrong.stderr
