"""Facts about the job from the environment."""

import os
import site
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mpi_pi.mpi import library
from mpi_pi.system import affinity, cpu, launch_env


@pytest.mark.parametrize(
    ("environ", "rank", "size"),
    [
        ({}, 0, None),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, 3, 4),
        ({"PMI_RANK": "2", "PMI_SIZE": "8"}, 2, 8),
        ({"PMIX_RANK": "5", "SLURM_STEP_NUM_TASKS": "6", "SLURM_PROCID": "5"}, 5, 6),
        # In the batch script of a Slurm job, where nothing was launched yet.
        ({"SLURM_NTASKS": "16", "SLURM_PROCID": "0"}, 0, None),
        # Under mpirun in a Slurm job: its daemons are tasks of Slurm, one on each node.
        (
            {
                "OMPI_COMM_WORLD_RANK": "7",
                "OMPI_COMM_WORLD_SIZE": "8",
                "SLURM_STEP_NUM_TASKS": "2",
                "SLURM_PROCID": "1",
            },
            7,
            8,
        ),
        ({"PMI_RANK": "junk", "PMI_SIZE": ""}, 0, None),
        # Of flux run -o pmi=off, and of mpirun in a task of Flux.
        ({"FLUX_TASK_RANK": "3", "FLUX_JOB_SIZE": "4"}, 3, 4),
        ({"PMI_RANK": "1", "PMI_SIZE": "2", "FLUX_TASK_RANK": "0", "FLUX_JOB_SIZE": "1"}, 1, 2),
    ],
)
def test_rank_and_size_are_those_of_the_launcher(
    environ: dict[str, str], rank: int, size: int | None
) -> None:
    assert launch_env.rank(environ) == rank
    assert launch_env.size(environ) == size


@pytest.mark.parametrize(
    ("environ", "started"),
    [
        ({}, False),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}, True),
        ({"PMI_RANK": "0", "PMI_SIZE": "1"}, True),
        ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "1"}, True),
        # A shell of `srun --pty bash`, and tasks of an srun that serves no MPI.
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, False),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, True),
        ({"FLUX_TASK_RANK": "0", "FLUX_JOB_SIZE": "1"}, False),
        ({"FLUX_TASK_RANK": "0", "FLUX_JOB_SIZE": "2"}, True),
    ],
)
def test_process_of_a_launcher_is_a_rank(environ: dict[str, str], started: bool) -> None:
    assert launch_env.started(environ) == started


@pytest.mark.parametrize("siblings", [["0,4", "1,5", "2,6", "3,7"], ["0-1", "2-3", "4-5", "6-7"]])
def test_hardware_threads_of_a_core_are_one_core(tmp_path: Path, siblings: list[str]) -> None:
    for thread in range(8):
        core = thread % 4 if "," in siblings[0] else thread // 2
        topology = tmp_path / f"sys/devices/system/cpu/cpu{thread}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{siblings[core]}\n")
    firsts = {int(group[0]) for group in siblings}
    assert affinity.physical_cores(range(8), tmp_path) == firsts
    assert affinity.physical_cores({4, 5}, tmp_path) == ({0, 1} if 1 in firsts else {4})
    assert affinity.physical_cores({0, 8}, tmp_path) == {0, 8}  # of the last one nothing is told


def test_this_machine_has_as_many_cores_as_psutil_finds() -> None:
    cores = affinity.physical_cores(range(os.cpu_count() or 1))
    assert len(cores) == (psutil.cpu_count(logical=False) or os.cpu_count())


def test_seconds_since_process_start_agree_with_psutil() -> None:
    """The parent, which has started the process, reads the clock for comparison."""
    program = (
        "import time; time.sleep(0.5);"
        "from mpi_pi.system.process import seconds_since_process_start as f; print(f(), time.time())"
    )
    before = time.time()
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    seconds, now = map(float, out.stdout.split())
    assert 0.5 <= seconds <= now - before + 0.02


def test_cpu_model_is_known() -> None:
    model = cpu.cpu_model()
    assert model
    assert model in " ".join(Path("/proc/cpuinfo").read_text().split()) or model == os.uname().machine


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an environment with the MPI from PyPI in it, and a home without settings."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libmpi.so.40").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("OMPI_", "PMI"))]:
        monkeypatch.delenv(name)
    return tmp_path


def told() -> list[str | None]:
    """Return the settings btl, mtl and pml that Open MPI has while it is initialised."""
    before = dict(os.environ)
    with library.embedded_defaults():
        found = [os.environ.get(f"OMPI_MCA_{name}") for name in ("btl", "mtl", "pml")]
    assert dict(os.environ) == before
    return found


def test_embedded_defaults_are_set_for_the_embedded_mpi(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told() == ["self", None, "ob1"]
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    assert told() == ["^ofi", "^ofi", None]


def test_settings_of_the_user_are_left_alone(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_MCA_btl", "tcp,self")
    assert told() == ["tcp,self", None, "ob1"]
    monkeypatch.delenv("OMPI_MCA_btl")
    (prefix / ".openmpi").mkdir()
    (prefix / ".openmpi" / "mca-params.conf").write_text("# mine\n btl = self,tcp\n")
    assert told() == [None, None, "ob1"]


def test_mpi_of_the_machine_is_left_alone(prefix: Path) -> None:
    (prefix / "lib" / "libmpi.so.40").unlink()
    assert told() == [None, None, None]


@pytest.mark.parametrize(
    ("environ", "first"),
    [
        ({}, ["{prefix}/lib", "", "debian's"]),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, ["{prefix}/lib/libmpi.so.40", "libmpi.so.40", "{prefix}/lib", ""]),
        ({"MPI_LOCALNRANKS": "2"}, ["{prefix}/lib/libmpi.so.12", "libmpi.so.12", "debian's", "{prefix}/lib"]),
        # Slurm's srun serves several MPIs.
        ({"PMI_SIZE": "2", "PMI_FD": "3", "SLURM_STEP_NUM_TASKS": "2"}, ["{prefix}/lib", "", "debian's"]),
    ],
)
def test_mpi4py_is_led_to_the_library_of_mpirun(
    monkeypatch: pytest.MonkeyPatch, prefix: Path, environ: dict[str, str], first: list[str]
) -> None:
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    places = library.places(environ, "debian's")
    assert places[: len(first)] == [place.format(prefix=prefix) for place in first]


@pytest.mark.parametrize("name", ["MPI4PY_LIBMPI", "MPI4PY_MPIABI"])
def test_library_chosen_by_the_user_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "mine")
    with library.search_path() as variables:
        assert variables == {}
