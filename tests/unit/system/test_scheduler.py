"""Facts that all schedulers tell in their own ways."""

import pytest

from mpi_pi.system import scheduler


@pytest.mark.parametrize(
    ("environ", "job"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "17"}, ("Slurm", "17")),
        ({"SLURM_JOB_ID": "19", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3"}, ("Slurm", "17_3")),
        ({"PBS_JOBID": "17[3].server"}, ("PBS", "17[3].server")),
        ({"LSB_JOBID": "17"}, ("LSF", "17")),
        ({"LSB_JOBID": "17", "LSB_BATCH_JID": "17[3]"}, ("LSF", "17[3]")),
        ({"FLUX_JOB_ID": "ƒ2oRgA", "FLUX_ENCLOSING_ID": "ƒ1"}, ("Flux", "ƒ2oRgA")),
        (
            {"FLUX_URI": "local:///tmp/flux", "FLUX_ENCLOSING_ID": "ƒ1"},
            ("Flux", "ƒ1"),
        ),  # mpirun in a script of flux batch
        ({"PBS_JOBID": ""}, None),
    ],
)
def test_job_id_is_that_of_the_scheduler(environ: dict[str, str], job: tuple[str, str] | None) -> None:
    assert scheduler.job_id(environ) == job


def test_every_scheduler_is_asked_in_its_own_module(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "LSB_BATCH_JID", "FLUX_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, proper in zip(scheduler.SCHEDULERS, ("Slurm", "PBS", "LSF", "Flux"), strict=True):
        with pytest.raises(ValueError, match=f"this is no {proper} job: "):
            scheduler.seconds_left(name)
    for name in scheduler.ARRAYS:
        with pytest.raises(ValueError, match="this is no task of a job array: "):
            scheduler.shard(name)


def test_threads_of_a_rank_are_those_that_the_job_has_requested() -> None:
    assert scheduler.threads_per_rank({"SLURM_CPUS_PER_TASK": "12"}) == 12
    assert scheduler.threads_per_rank({"PBS_JOBID": "17", "NCPUS": "4"}) is None
    assert scheduler.max_threads_per_rank({"PBS_JOBID": "17", "NCPUS": "4"}) == 4
    assert scheduler.max_threads_per_rank({"PBS_JOBID": "17", "NCPUS": "0"}) is None
    assert scheduler.max_threads_per_rank({"NCPUS": "4"}) is None  # a variable of the user
