"""Schedules of pairs, the worst of them, and the time that a survey of a network takes."""

import copy
import itertools
import json
import statistics
import time
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.bench import comparison, document, links, network, pairing
from mpi_pi.bench.links import Quantity
from mpi_pi.bench.median import MedianCI
from mpi_pi.storage import json_document
from support import networks
from support.benchmarks import compared
from support.schemas import BENCH as SCHEMA

LATENCY = Quantity("latency_seconds", 1)
BANDWIDTH = Quantity("bytes_per_second", 1 << 20)

places = st.lists(st.integers(0, 10**6), max_size=30, unique=True).map(sorted)


@given(places)
@pytest.mark.parametrize("schedule", [pairing.one_by_one, pairing.tournament])
def test_every_pair_meets_once_and_nobody_twice_in_a_round(schedule: Any, places: list[int]) -> None:
    rounds = schedule(places)
    assert sorted(itertools.chain(*rounds)) == [*itertools.combinations(places, 2)]
    for pairs in rounds:
        assert len({*itertools.chain(*pairs)}) == 2 * len(pairs)


@given(places)
def test_tournament_has_as_few_rounds_as_possible(places: list[int]) -> None:
    number = len(places)
    assert sum(map(bool, pairing.tournament(places))) == (number - 1 + number % 2 if number > 1 else 0)


@given(places)
def test_pairs_meet_in_both_directions(places: list[int]) -> None:
    rounds = pairing.both_ways(pairing.tournament(places))
    assert sorted(itertools.chain(*rounds)) == [*itertools.permutations(places, 2)]


@pytest.mark.parametrize("hosts", [1, 2, 4, 13])
def test_document_is_that_of_the_schema_and_is_read(hosts: int) -> None:
    made = networks.benchmark(hosts, silent=hosts == 4)
    jsonschema.validate(made, SCHEMA)
    assert document.of_content(json.dumps(made).encode()) == made


def test_median_that_is_not_that_of_its_samples_is_refused() -> None:
    made = networks.benchmark(2)
    made["network"]["links"][0]["rows"][3]["latency_seconds"]["median"] *= 2
    del made["checksum"]
    with pytest.raises(json_document.DocumentError, match=r"^network.links\[0\].rows\[3\].latency_seconds: "):
        document.of_content(json_document.dumps(made).encode())


def test_worst_pair_is_that_of_the_greatest_latency_and_of_the_least_bandwidth() -> None:
    section = copy.deepcopy(networks.benchmark(5)["network"])
    found = section["pairs"]["links"]
    for index, link in enumerate(found):
        for row in link["rows"]:
            row["latency_seconds"] = MedianCI.of([1e-5 * (4 if index == 7 else 1)]).as_fields()
            row["bytes_per_second"] = MedianCI.of([1e8 * (0.25 if index == 11 else 1)]).as_fields()
    assert links.quantities(found) == (LATENCY, BANDWIDTH)
    slowest, narrowest = (links.worst(found, quantity) for quantity in (LATENCY, BANDWIDTH))
    assert slowest
    assert narrowest
    assert (slowest.link, narrowest.link) == (found[7], found[11])
    assert slowest.times == pytest.approx(4)
    assert narrowest.times == pytest.approx(0.25)
    assert links.worst(found[:2], LATENCY) is None


def test_matrix_has_senders_as_rows() -> None:
    section = networks.benchmark(4, silent=True)["network"]
    found = section["pairs"]["links"]
    names = links.names(section, found)
    assert names == {0: "node0", 2: "node1", 4: "node2", 6: "node3"}
    values = links.matrix(list(names), found, LATENCY)
    for link in found:
        value = values[[*names].index(link["ranks"][0])][[*names].index(link["ranks"][1])]
        if link["silent"]:
            assert value != value
        else:
            assert value == statistics.median(link["rows"][0]["latency_seconds"]["samples"])
    assert all(values[place][place] != values[place][place] for place in range(4))


def test_slower_network_is_told() -> None:
    old, new = networks.benchmark(4), networks.benchmark(4, slower=2)
    text, slower = compared(old, new)
    assert slower
    # Three links with a latency and two bandwidths; twelve directions of pairs with one of each.
    assert "\nSlower = 33 of 33\n" in text
    assert compared(new, old)[1] is False
    same, _ = compared(old, old)
    assert "\nSlower = 0 of 33\nFaster = 0 of 33\n" in same
    metric, change = next(iter(comparison.changes(old, new).items()))
    assert metric.what == "latency with 1 byte, link node0 → node1"
    assert change.ratio == pytest.approx(2)


def test_changes_of_very_many_pairs_are_listed_only_if_they_matter() -> None:
    old, new = networks.benchmark(20), networks.benchmark(20)
    row = new["network"]["pairs"]["links"][5]["rows"][0]
    row["latency_seconds"] = MedianCI.of(3 * each for each in row["latency_seconds"]["samples"]).as_fields()
    text, slower = compared(old, new)
    assert slower
    listed = [line for line in text.splitlines() if line.startswith(("latency", "bandwidth"))]
    assert [line.split()[-1] for line in listed] == ["slower"]
    metrics = 3 * 19 + 2 * 20 * 19
    assert f"({metrics - 1} that are the same or lost in noise are left out)" in text


ROWS = networks.benchmark(2)["network"]["pairs"]["links"][0]["rows"]


class Loop:
    """Rank 0's side of a CommandLoop, in which every answer takes a time, and some ranks are silent."""

    def __init__(self, seconds: float, unheard: frozenset[int] = frozenset()) -> None:
        self.clock, self.lost, self._seconds, self._unheard = 0.0, set[int](), seconds, unheard
        self.asked: list[tuple[int, int]] = []

    def call_on_all(self, command: str, argument: Any = None) -> Mapping[int, Any]:
        if command == "host":
            return {rank: f"node{rank}" for rank in range(20)}
        pairs, _ = argument
        self.asked += pairs
        silent = [pair for pair in pairs if {*pair} <= self._unheard]
        self.clock += 25.0 if silent else self._seconds
        return {pair[0]: [] if pair in silent else ROWS for pair in pairs}


def surveyed(loop: Loop, monkeypatch: pytest.MonkeyPatch, ranks: int) -> Any:
    monkeypatch.setattr(time, "monotonic", lambda: loop.clock)
    return network.conduct(loop, ranks, True, False, lambda done: None)  # type: ignore[arg-type]


def test_pairs_without_time_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    section = surveyed(Loop(5.0), monkeypatch, 8)
    pairs = section["pairs"]
    assert len(section["links"]) == 7
    assert len(pairs["links"]) + pairs["left_out"] == 8 * 7
    assert len(pairs["links"]) == network.QUICK_PAIRS.max_seconds / 5 + 1


def test_pairs_of_many_hosts_are_measured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    section = surveyed(Loop(1.0), monkeypatch, 20)
    assert section["pairs"]["schedule"] == network.TOURNAMENT
    assert len(section["pairs"]["links"]) == 20 * 19


def test_silent_pair_is_asked_once_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(1.0, frozenset({2, 4}))
    section = surveyed(loop, monkeypatch, 5)
    assert section["pairs"]["left_out"] == 0
    assert ((2, 4) in loop.asked, (4, 2) in loop.asked) == (True, False)
    assert [link["ranks"] for link in network.silent_links(section)] == [[2, 4]]
    (line,) = network.silence(section, {})
    assert line == "no message comes through between rank 2 on host node2 and rank 4 on host node4"
    (line,) = network.silence(section, {4: "MemoryError: "})
    assert line == "rank 4 on host node4: MemoryError: "
