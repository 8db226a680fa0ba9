"""Whether a job survives the loss of ranks, and what Open MPI is told in that case."""

import os
import sys
from pathlib import Path

import pytest

from mpi_pi.mpi import library, runtime, time_limit, ulfm
from mpi_pi.system import launch_env

ENABLED, DETECTOR = "OMPI_MCA_mpi_ft_enable", "OMPI_MCA_mpi_ft_detector"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("OMPI_MCA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))


@pytest.mark.parametrize("value", ["1", "true", "True", "yes", "enabled"])
def test_job_of_mpirun_with_ft_ulfm_survives_losses(value: str) -> None:
    assert launch_env.survives_loss({ENABLED: value})


@pytest.mark.parametrize("environ", [{}, {ENABLED: "0"}, {ENABLED: "false"}, {ENABLED: ""}, {DETECTOR: "1"}])
def test_job_without_ulfm_does_not_survive_losses(environ: dict[str, str]) -> None:
    assert not launch_env.survives_loss(environ)


@pytest.mark.parametrize(
    ("name", "works"),
    [
        ("Open MPI v5.0.11", True),
        ("Open MPI v10.1", True),
        ("Open MPI v4.1.4", False),  # which has the setting only where it was built in
        ("MPICH 5.0.2", False),
    ],
)
def test_ulfm_works_with_open_mpi_from_5_on(monkeypatch: pytest.MonkeyPatch, name: str, works: bool) -> None:
    monkeypatch.setattr(runtime, "library_name", lambda: name)
    monkeypatch.setattr(runtime, "mpi4py_version", lambda: "4.1.0")
    assert not ulfm.works()
    monkeypatch.setitem(os.environ, ENABLED, "1")
    assert ulfm.works() is works


@pytest.mark.parametrize(
    ("version", "works"), [("3.1.6", False), ("4.0.0", True), ("4.1.2", True), ("10.0", True)]
)
def test_ulfm_needs_mpi4py_4(monkeypatch: pytest.MonkeyPatch, version: str, works: bool) -> None:
    monkeypatch.setattr(runtime, "library_name", lambda: "Open MPI v5.0.11")
    monkeypatch.setattr(runtime, "mpi4py_version", lambda: version)
    assert ulfm.warnings() == []
    monkeypatch.setitem(os.environ, ENABLED, "1")
    assert ulfm.works() is works
    text = f"mpi4py {version} cannot go on after a loss of ranks: install mpi4py 4.1 or newer"
    assert ulfm.warnings() == ([] if works else [text])


def test_detector_is_left_alone_in_a_job_that_does_not_survive() -> None:
    assert library._missing_detector() == {}


def test_detector_of_a_job_that_survives_follows_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENABLED, "1")
    monkeypatch.setattr(time_limit, "patience_seconds", 20.0)
    settings = library._missing_detector()
    assert settings[DETECTOR] == "true"
    assert settings[f"{DETECTOR}_timeout"] == "20.0"
    assert settings[f"{DETECTOR}_period"] == "2.0"


@pytest.mark.parametrize("in_file", [True, False])
def test_settings_of_the_user_prevail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_file: bool) -> None:
    monkeypatch.setenv(ENABLED, "1")
    every = library._missing_detector()
    if in_file:
        (tmp_path / ".openmpi").mkdir()
        (tmp_path / ".openmpi" / "mca-params.conf").write_text("mpi_ft_detector_timeout = 5\n")
    else:
        monkeypatch.setenv(f"{DETECTOR}_timeout", "5")
    assert every.keys() - library._missing_detector().keys() == {f"{DETECTOR}_timeout"}
