"""States of a run that ranks have after a loss, and messages of counts that are not possible."""

import numpy as np
import pytest

from mpi_pi.model.audit import Audit
from mpi_pi.model.job import Job
from mpi_pi.model.shard import Shard
from mpi_pi.model.tally import Sums, Tally
from mpi_pi.parallel.account import AuditState, Committed, latest
from mpi_pi.parallel.messages import HALF, pack, unpack

JOB = Job(1000, 1000, 5)


def state(rounds: int, excluded: frozenset[int]) -> Committed:
    shard = Shard(JOB)
    return Committed(1, rounds, shard, shard.tally, (0,) * 7, audit=AuditState(Audit(1.0), excluded, 0, 0))


@pytest.mark.parametrize("ages", [(1.0, 2.0), (2.0, 1.0)])
def test_state_after_an_exclusion_is_later_than_the_one_before(ages: tuple[float, float]) -> None:
    """The round is counted anew after an exclusion, so both have as many rounds."""
    before, after = state(3, frozenset()), state(3, frozenset({2}))
    assert latest(zip((before, after), ages, strict=True))[0] is after
    assert latest([(state(4, frozenset()), 0.0), (after, 1.0)])[0].rounds == 4


@pytest.mark.parametrize("hits", [3 << 62, -(3 << 62)])
def test_impossible_hits_are_cut_to_what_a_message_holds(hits: int) -> None:
    row = np.array(pack(JOB, Tally({1000: Sums(2, hits, 1 << 70)})), np.int64)
    (sums,) = unpack(JOB, row).by_size.values()
    assert (sums.units, sums.hits, sums.squares) == (2, HALF if hits > 0 else -HALF, HALF)
