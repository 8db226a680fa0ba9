"""Arguments by which `mpi-pi bench` has ranks measure."""

import pytest

from mpi_pi.cli.bench_options import BenchOptions
from mpi_pi.cli.parser import parse, typed


@pytest.mark.parametrize("flags", ["", "--full", "--oversubscribe", "--full --oversubscribe --cache ./-x"])
def test_ranks_are_given_all_that_they_need_to_know(flags: str) -> None:
    arguments = ["bench", "scaling", "--json", "file", "--progress", "on", *flags.split()]
    given = typed(BenchOptions, parse(arguments))
    ranks = typed(BenchOptions, parse(given.on_ranks_arguments))
    assert (ranks.on_ranks, ranks.json, ranks.launcher) == (True, "-", None)
    for name in ("part", "full", "oversubscribe", "progress", "cache"):
        assert getattr(ranks, name) == getattr(given, name)
    assert ranks.common == given.common
