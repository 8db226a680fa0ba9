"""Advice on srun, by its plugins and its call. (A real one is tested in cluster/test_job_scripts.py.)"""

from pathlib import Path

import pytest

from mpi_pi.mpi import srun

LISTED = """\
MPI plugin types are...
\tpmix
\tnone
\tcray_shasta
\tpmi2
specific pmix plugin versions available: pmix_v4
"""
OLD = "srun: MPI types are...\nsrun: none\nsrun: pmix_v3\nsrun: pmi2\n"


@pytest.mark.parametrize(
    ("library", "script", "called", "advice"),
    [
        ("Open MPI v5.0.11", f"cat <<'E'\n{LISTED}E", "", "srun --mpi=pmix "),
        ("MPICH 5.0.2", f"cat <<'E'\n{LISTED}E", "", "srun --mpi=pmi2 "),
        ("Open MPI v4.1.4", f"cat >&2 <<'E'\n{OLD}E", "none", "srun --mpi=pmix_v3 "),
        ("Open MPI v5.0.11", "echo none; echo pmi2", "", "srun has no plug-in for it; call its own mpirun"),
        (
            "Open MPI v5.0.11",
            f"cat <<'E'\n{LISTED}E",
            "pmix",
            "srun has no plug-in for it; call its own mpirun",
        ),
        ("MPICH 4.0.2", f"cat <<'E'\n{LISTED}E", "pmix", "srun --mpi=pmi2 "),
        ("MPICH 4.0.2", "exit 1", "", "srun --mpi=pmi2 "),
    ],
)
def test_advice_names_the_plugin_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, script: str, called: str, advice: str
) -> None:
    program = tmp_path / "srun"
    program.write_text(f'#!/bin/sh\n[ "$*" = --mpi=list ] || exit 1\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    environ = {"SLURM_STEP_NUM_TASKS": "4"} | ({"SLURM_MPI_TYPE": called} if called else {})
    assert srun.advice(library, environ).startswith(advice)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SLURM_STEP_NUM_TASKS": "1"},
        {"SLURM_STEP_NUM_TASKS": "2", "OMPI_COMM_WORLD_SIZE": "2"},
        {"SLURM_STEP_NUM_TASKS": "2", "MPI_LOCALNRANKS": "2", "PMI_RANK": "0"},
    ],
)
def test_no_advice_without_srun(environ: dict[str, str]) -> None:
    assert not srun.started(environ)
    assert srun.problem(environ) == ""
