"""Cores for ranks that are not bound."""

from mpi_pi.burn_in.binding import Place, choices

ALL = frozenset(range(8))
SEPARATE = {core: core for core in range(8)}
IN_TURN = {core: core % 4 for core in range(8)}
"""Hardware threads 0 and 4 of one core, 1 and 5 of the next, as most servers number them."""
IN_PAIRS = {core: core // 2 * 2 for core in range(8)}


def places(
    ranks: int, threads: int = 1, cores: frozenset[int] = ALL, physical: dict[int, int] = SEPARATE
) -> list[Place]:
    return [Place(("node1", "boot"), cores, threads, physical)] * ranks


def of(*cores: int) -> frozenset[int]:
    return frozenset(cores)


def test_each_rank_gets_a_core() -> None:
    assert choices(places(3)) == [of(0), of(1), of(2)]
    assert choices(places(8)) == [of(core) for core in range(8)]


def test_ranks_get_cores_before_their_hardware_threads() -> None:
    assert choices(places(4, physical=IN_TURN)) == [of(0), of(1), of(2), of(3)]
    assert choices(places(4, physical=IN_PAIRS)) == [of(0), of(2), of(4), of(6)]
    assert choices(places(5, physical=IN_PAIRS))[4] == of(1)


def test_threads_of_a_rank_get_a_core_each() -> None:
    assert choices(places(2, threads=3)) == [of(0, 1, 2), of(3, 4, 5)]


def test_ranks_that_are_bound_stay_where_they_are() -> None:
    bound = [place._replace(cores=of(5 - number)) for number, place in enumerate(places(3))]
    assert choices(bound) == [of(5), of(4), of(3)]
    mixed = [*places(1), *places(1, cores=of(0))]
    assert choices(mixed) == [of(1), of(0)]


def test_ranks_of_a_crowded_host_stay_unbound_and_others_do_not() -> None:
    crowded = [place._replace(host=("node2", "boot")) for place in places(9)]
    assert choices([*places(1), *crowded]) == [of(0), *[of()] * 9]
    assert choices(places(3, threads=3)) == [of()] * 3
