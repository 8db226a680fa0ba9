"""Exchanges of Python objects, and errors raised on all ranks. They need mpirun, see run_all.py."""

import pickle

import numpy as np
import pytest
from mpi4py import MPI

from mpi_pi import CollectiveError
from mpi_pi.errors import UserError
from mpi_pi.mpi.collectives import INLINE_BYTES, bcast, call_on_root, gather, unique_by_rank

COMM = MPI.COMM_WORLD
OVERHEAD = len(pickle.dumps([bytes(INLINE_BYTES)])) - INLINE_BYTES


@pytest.mark.parametrize("size", [0, *(INLINE_BYTES - OVERHEAD + more for more in (-1, 0, 1)), 10**6])
def test_broadcast_value_is_that_of_rank_0(size: int) -> None:
    value = [np.random.default_rng(size).bytes(size)]
    received = bcast(COMM, value if COMM.rank == 0 else None)
    assert received == value
    assert (received is value) == (COMM.rank == 0)


def test_gathered_values_are_by_rank() -> None:
    values = gather(COMM, "x" * 1000 * COMM.rank)
    assert values == (["x" * 1000 * rank for rank in range(COMM.size)] if COMM.rank == 0 else None)


def test_foreseen_error_on_root_is_raised_on_all_as_it_is() -> None:
    error = UserError("no such file")

    def action() -> None:
        raise error from OSError(2)

    with pytest.raises(UserError, match=r"^no such file$") as raised:
        call_on_root(COMM, action)
    assert (raised.value is error) == (COMM.rank == 0)
    assert isinstance(raised.value.__cause__, OSError) == (COMM.rank == 0)


def test_other_error_on_root_is_its_cause_there_and_text_on_all() -> None:
    def action() -> None:
        raise ZeroDivisionError("by a pie")

    with pytest.raises(CollectiveError, match=r"^rank 0 on host .+: ZeroDivisionError: by a pie$") as raised:
        call_on_root(COMM, action)
    assert isinstance(raised.value.__cause__, ZeroDivisionError) == (COMM.rank == 0)


def test_equal_texts_of_ranks_are_one_with_their_number() -> None:
    assert unique_by_rank(["slow", "", "old", "slow", "slow"]) == ["rank 0 and 2 more: slow", "rank 2: old"]
