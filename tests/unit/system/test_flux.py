"""The variables of a Flux job, from flux-environment(7), and the answers of flux, from flux-job(1)."""

from pathlib import Path

import pytest

from mpi_pi.system import flux


@pytest.mark.parametrize(("text", "seconds"), [("3593", 3593), ("1", 1), ("0", 0), ("4294967295", None)])
def test_remaining_time_is_that_of_flux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, seconds: float | None
) -> None:
    said = tmp_path / "said"
    program = tmp_path / "flux"
    program.write_text(f'#!/bin/sh\necho "$*" >{said}\necho {text}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert flux.seconds_left({"FLUX_URI": "local:///tmp/flux"}) == seconds
    assert said.read_text() == "job timeleft\n"


def test_flux_without_an_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "flux"
    program.write_text("#!/bin/sh\necho -5\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ValueError, match="flux does not tell how long the job may still run: '-5'"):
        flux.seconds_left({"FLUX_URI": "local:///tmp/flux"})
    with pytest.raises(ValueError, match="this is no Flux job: FLUX_URI is not set"):
        flux.seconds_left({})
