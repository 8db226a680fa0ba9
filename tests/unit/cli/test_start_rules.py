"""What follows from the end of a start of a job that is kept running."""

import signal

import pytest

from mpi_pi.cli import start_rules
from mpi_pi.cluster.job_start import Outcome
from mpi_pi.mpi.stop import TIME_LIMIT
from mpi_pi.system.signs import End

TERM = signal.SIGTERM
AGAIN = None


@pytest.mark.parametrize(
    ("end", "launcher", "signalled", "status"),
    [
        (End(2, 0), 2, 0, 2),
        (End(1, 0), 1, 0, AGAIN),
        (End(75, 0), 75, 0, AGAIN),  # a silent rank, or a checkpoint that is in use
        (End(75, TERM), 75, 0, AGAIN),  # a host that is shut down ends its ranks with a signal
        (End(75, TIME_LIMIT), 75, 0, 75),
        (None, 0, 0, AGAIN),  # Open MPI 5 returns 0 after it has lost a daemon
        (None, 255, 0, AGAIN),
        (End(75, TERM), 75, TERM, 75),
        (End(1, 0), 1, TERM, 1),
        (None, 0, TERM, 143),  # Open MPI has killed the ranks
        (None, 255, TERM, 143),
    ],
)
def test_job_is_started_again_unless_it_is_complete_or_would_end_alike(
    end: End | None, launcher: int, signalled: int, status: int | None
) -> None:
    for silent in (False, True):
        assert start_rules.final_status(Outcome(end, launcher, silent), signalled) == status


@pytest.mark.parametrize(
    ("end", "launcher", "signalled", "status"),
    [
        (End(0, 0), 0, 0, 0),
        (End(0, 0), 255, 0, 0),  # a host was lost when the result was out
        (End(3, 0), 3, 0, 3),  # not verified, and would not be another time
        (End(4, 0), 4, 0, 4),
        (End(0, 0), 0, TERM, 0),  # it came too late
        (End(3, 0), 3, TERM, 3),
        (End(0, 0), 143, TERM, 143),  # the launcher may have discarded the report
        (End(3, 0), 143, TERM, 143),
    ],
)
def test_job_is_complete_if_its_report_is_out(end: End, launcher: int, signalled: int, status: int) -> None:
    outcome = Outcome(end, launcher, silent=False)
    assert start_rules.final_status(outcome, signalled) == status
    assert (start_rules.final_end(outcome, signalled) is end) == (status == end.status)


@pytest.mark.parametrize("status", [0, 3, 4])
def test_job_whose_silent_rank_0_ends_when_its_launcher_is_ended_is_started_again(status: int) -> None:
    for launcher in (0, 143):
        outcome = Outcome(End(status, 0), launcher, silent=True)
        assert start_rules.final_status(outcome, 0) is AGAIN
        assert start_rules.final_end(outcome, 0) is None
        assert start_rules.reason(outcome, 4.0) == "rank 0 gave no sign for 4 s"


def test_pauses_grow_up_to_a_minute_and_are_short_after_progress() -> None:
    assert [start_rules.pause(fruitless) for fruitless in range(9)] == [2, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(None, 143, silent=True), "rank 0 gave no sign for 90 s"),
        (Outcome(End(75, 0), 143, silent=False), "rank 0 ended with status 75"),
        (Outcome(None, 0, silent=False), "the launcher ended with status 0 before the job was complete"),
    ],
)
def test_reason_for_another_start_is_told(outcome: Outcome, text: str) -> None:
    assert start_rules.reason(outcome, 90.0) == text
