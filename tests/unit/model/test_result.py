"""Statistics of a rank after its rounds, and numbers of ranks."""

from dataclasses import replace

import pytest

from mpi_pi.model import verdict
from mpi_pi.model.result import ShardSummary
from support import runs
from support.runs import flame


@pytest.mark.parametrize(("seconds", "waited"), [(2.5, 0.5), (2.0, 0.0), (1.9, 0.0)])
def test_rank_waits_while_it_does_not_count(seconds: float, waited: float) -> None:
    """Nor audits. It may seem to do so for longer than the rounds have lasted, as two clocks are read."""
    row = (
        flame()
        .ranks[0]
        .after(
            [3, 3000, 2356, 1_500_000_000, 750_000_000], [5 * 10**8, 7 * 10**9, 10**9, 4096], True, seconds
        )
    )
    assert (row.units, row.points, row.hits) == (3, 3000, 2356)
    assert (row.count_seconds, row.audit_seconds, row.wait_seconds) == (1.5, 0.5, waited)
    assert row.count_cpu_seconds == 0.75
    assert (row.user_seconds, row.system_seconds, row.peak_memory_bytes) == (7.0, 1.0, 4096)


def test_ranks_of_a_merged_result_are_numbered_on_from_shard_to_shard() -> None:
    usage = flame().usage
    shards = tuple(
        ShardSummary(index, 2, replace(usage, rounds=10 * index), started)
        for index, started in enumerate((2, 4, 3), 1)
    )
    merged = replace(flame(ranks=6), shards=shards)
    assert merged.first_ranks == [0, 2, 6]
    assert [merged.shard_of(rank) for rank in range(9)] == [0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert [merged.rounds_of(shard) for shard in range(3)] == [10, 20, 30]
    assert (flame().first_ranks, flame().shard_of(1), flame().rounds_of(0)) == ([0], 0, 1)


def test_losses_are_found_by_rank() -> None:
    result = runs.run(3, 2, losses={3: [3], 6: [4, 5]})
    first, second = result.repairs
    assert result.losses == {3: first, 4: second, 5: second}
    assert flame().losses == {}


def test_suspect_is_named_by_its_number_where_ranks_before_it_have_no_row() -> None:
    ranks = list(runs.run(2, 4, losses={runs.BEFORE_ROUNDS: [0, 2]}).ranks)
    ranks[3] = replace(ranks[3], hits=0, kernel_right=False)
    assert [row.rank for row in ranks] == [1, 3, 4, 5, 6, 7]
    assert verdict.suspects(ranks)[0].startswith("rank 5 on host node0002.cluster.example: hits are -")
    assert verdict.with_wrong_kernel(ranks) == ["rank 5 on host node0002.cluster.example"]
