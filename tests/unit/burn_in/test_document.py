"""The document of a burn-in: the schema, and back."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from mpi_pi.burn_in import document
from mpi_pi.burn_in.diagnosis import findings
from mpi_pi.burn_in.outcome import BurnIn
from mpi_pi.storage import json_document
from mpi_pi.storage.json_document import DocumentError
from support.burn_ins import CASES, at, both, healthy, on, wrong
from support.schemas import BURN_IN


def written(burn_in: BurnIn) -> dict[str, Any]:
    text = document.dumps(burn_in, findings(burn_in))
    made: dict[str, Any] = json.loads(text)
    jsonschema.validate(made, BURN_IN)
    return made


def read(members: dict[str, Any]) -> BurnIn:
    members.pop("checksum")
    return document.of_content(json_document.dumps(members).encode())


@pytest.mark.parametrize("case", CASES)
def test_document_holds_the_outcome(case: str) -> None:
    burn_in = CASES[case][0](healthy(seconds=60))
    made = written(burn_in)
    assert made["passed"] == (not any(one["severity"] == "fault" for one in made["findings"]))
    again = read(made)
    assert [finding.text for finding in findings(again)] == [finding.text for finding in findings(burn_in)]
    assert again.ranks == burn_in.ranks
    assert again.hosts == burn_in.hosts
    for old, new in zip(burn_in.phases, again.phases, strict=True):
        assert new.ranks == old.ranks
        assert (new.wrong, new.unsettled) == (old.wrong, old.unsettled)
        for watch, watch_again in zip(old.hosts, new.hosts, strict=True):
            assert watch_again.modules == watch.modules
            for sample, sample_again in zip(watch.samples, watch_again.samples, strict=True):
                assert vars(sample_again) == pytest.approx(vars(sample), abs=1e-3)


def test_burn_in_that_was_stopped_has_not_passed() -> None:
    whole = healthy()
    made = written(replace(whole, phases=whole.phases[:1], stopped="SIGUSR1"))
    assert (made["passed"], made["complete"], made["stopped"]) == (False, False, "SIGUSR1")
    assert len(read(made).phases) == 1
    assert read(written(replace(whole, phases=(), stopped="SIGTERM"))).phases == ()


def test_seed_of_any_size_is_kept() -> None:
    assert read(written(replace(healthy(), seed=2**70))).seed == 2**70


def test_what_a_host_never_told_takes_no_room() -> None:
    made = written(on(1, celsius=None)(healthy()))
    samples = made["phases"][0]["hosts"][1]["samples"]
    assert samples["watts"] is None
    assert samples["celsius"].count(None) == 1


def without_rank(made: dict[str, Any]) -> None:
    made["ranks"].pop()


def without_host(made: dict[str, Any]) -> None:
    made["hosts"].pop()


def with_other_host(made: dict[str, Any]) -> None:
    made["ranks"][0]["host"] = 9


def without_sample(made: dict[str, Any]) -> None:
    made["phases"][0]["hosts"][0]["samples"]["celsius"].pop()


def without_times(made: dict[str, Any]) -> None:
    made["phases"][0]["hosts"][0]["samples"]["start_seconds"] = []


def with_stranger(made: dict[str, Any]) -> None:
    made["phases"][1]["wrong"][0]["rank"] = 16


def with_other_phase(made: dict[str, Any]) -> None:
    made["phases"][0]["name"] = "idle"


@pytest.mark.parametrize(
    "forge",
    [
        *(without_rank, without_host, with_other_host, without_sample, without_times, with_stranger),
        with_other_phase,
    ],
)
def test_document_that_does_not_fit_together_is_refused(forge: Any) -> None:
    made = written(both(wrong(5), at(3, right=False))(healthy()))
    forge(made)
    with pytest.raises(DocumentError):
        read(made)


def test_document_of_many_ranks_is_of_a_bearable_size() -> None:
    """With a rate for each of 60 steps, which take the most room."""
    assert len(document.dumps(healthy(hosts=16, ranks=16), [])) < 16 * 16 * 3 * 60 * 30
