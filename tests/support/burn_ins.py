"""Made-up burn-ins of healthy hosts, and the changes that each make a fault or a note of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from mpi_pi.burn_in.observer import HostWatch
from mpi_pi.burn_in.outcome import BurnIn, HostFacts, PhaseOutcome, RankFacts, RankWork
from mpi_pi.burn_in.phases import PHASES, Phase
from mpi_pi.burn_in.sample import Sample
from mpi_pi.model.audit import Opinion, Unsettled, WrongRank

RATE = 1e8
"""Points per second of a core of a Raspberry Pi 4."""
STEPS = 60

NONE: Mapping[int, float] = MappingProxyType({})


def healthy(
    hosts: int = 4,
    ranks: int = 4,
    seconds: float = 600.0,
    slow: Mapping[int, float] = NONE,
    hot: Mapping[int, float] = NONE,
    steps: int = STEPS,
) -> BurnIn:
    """Return the burn-in of so many Raspberry Pis, node1 …, with so many ranks each.

    `slow` has the speed of slow ranks, of 1, and `hot` that of hosts at the end of a phase, by place. A phase
    has so many `steps`, and as many samples.
    """
    start, phases = 0.0, []
    for phase in PHASES:
        planned = seconds * phase.share
        works = [
            _work((phase, steps), rank, ranks, slow.get(rank, 1.0), hot.get(rank // ranks, 1.0))
            for rank in range(hosts * ranks)
        ]
        watches = [_watch((phase, steps), planned, host, hot.get(host, 1.0)) for host in range(hosts)]
        outcome = PhaseOutcome(
            name=phase.name,
            planned_seconds=planned,
            start_seconds=start,
            seconds=planned,
            rounds=int(planned),
            units=1000 * hosts * ranks,
            recounted_units=1000 * hosts * ranks,
            step_seconds=planned / steps,
            ranks=tuple(works),
            hosts=tuple(watches),
        )
        phases.append(outcome)
        start += planned
    return BurnIn(
        seconds=seconds,
        audit=1.0,
        seed=7,
        mpi_library="Open MPI v5.0.11",
        hosts=tuple(
            HostFacts(f"node{host + 1}", "Raspberry Pi 4 Model B Rev 1.4", "aarch64", 4, True, False)
            for host in range(hosts)
        ),
        ranks=tuple(
            RankFacts(rank, rank // ranks, str(rank % ranks), 1, "numba", "cortex-a72")
            for rank in range(hosts * ranks)
        ),
        phases=tuple(phases),
    )


def _work(course: tuple[Phase, int], rank: int, ranks: int, speed: float, at_the_end: float) -> RankWork:
    phase, steps = course
    rate = RATE * speed * (1 + 0.01 * math.sin(rank))
    end = rate if phase.alone else rate * at_the_end

    def in_step(step: int) -> int | None:
        if phase.alone and step % ranks != rank % ranks:
            return None
        wave = 1 + 0.004 * math.sin(0.9 * step + rank)
        return round((rate + (end - rate) * step / (steps - 1)) * wave)

    whole = (rate + end) / 2
    return RankWork(
        int(whole * 100), whole, rate, end, 0.995, True, tuple(in_step(step) for step in range(steps))
    )


def _watch(course: tuple[Phase, int], seconds: float, host: int, at_the_end: float) -> HostWatch:
    phase, steps = course
    warm = 30.0 if phase.alone else 38.0
    edges = [seconds * place / steps for place in range(steps + 1)]
    rise = [1 - math.exp(-6 * edge / seconds) for edge in edges[1:]]
    return HostWatch(
        tuple(
            Sample(
                start_seconds=start,
                end_seconds=end,
                lowest_mhz=1500.0 if at_the_end == 1 else round(1500 * (1 + (at_the_end - 1) * done)),
                highest_mhz=1500.0,
                celsius=round(32 + warm * done + (host % 5) + (1 - at_the_end) * 40 * done, 1),
                watts=None,
                throttled_seconds=0.0,
                throttle_events=0,
                under_voltage=False,
                corrected_errors=None,
                uncorrected_errors=None,
            )
            for start, end, done in zip(edges, edges[1:], rise, strict=False)
        )
    )


Change = Callable[[BurnIn], BurnIn]


def in_phase(name: str, change: Callable[[PhaseOutcome], PhaseOutcome]) -> Change:
    """Return a change of one phase."""

    def changed(burn_in: BurnIn) -> BurnIn:
        phases = (change(outcome) if outcome.name == name else outcome for outcome in burn_in.phases)
        return replace(burn_in, phases=tuple(phases))

    return changed


def at(rank: int, name: str = "steady", **changes: Any) -> Change:
    """Return a change of the work of a rank in a phase."""
    return in_phase(
        name,
        lambda outcome: replace(
            outcome,
            ranks=tuple(
                work._replace(**changes) if place == rank else work
                for place, work in enumerate(outcome.ranks)
            ),
        ),
    )


def on(host: int, name: str = "steady", samples: Sequence[int] = (40,), **changes: Any) -> Change:
    """Return a change of some samples of a host, by its place, in a phase."""

    def changed(outcome: PhaseOutcome) -> PhaseOutcome:
        watches = list(outcome.hosts)
        told = (
            replace(sample, **changes) if place in samples else sample
            for place, sample in enumerate(watches[host].samples)
        )
        watches[host] = watches[host]._replace(samples=tuple(told))
        return replace(outcome, hosts=tuple(watches))

    return in_phase(name, changed)


def with_modules(host: int, *labels: str) -> Change:
    """Return a change of the labels of memory modules with errors."""

    def changed(outcome: PhaseOutcome) -> PhaseOutcome:
        watches = list(outcome.hosts)
        watches[host] = watches[host]._replace(modules=labels)
        return replace(outcome, hosts=tuple(watches))

    return in_phase("steady", changed)


def both(*changes: Change) -> Change:
    """Return all changes, one after the other."""

    def changed(burn_in: BurnIn) -> BurnIn:
        for change in changes:
            burn_in = change(burn_in)
        return burn_in

    return changed


def of_host(place: int, **changes: Any) -> Change:
    """Return a change of the facts about a host."""
    return lambda burn_in: replace(
        burn_in,
        hosts=tuple(
            host._replace(**changes) if number == place else host for number, host in enumerate(burn_in.hosts)
        ),
    )


def wrong(rank: int, units: int = 3, name: str = "alone") -> Change:
    """Return a change that makes other ranks find so many wrong units of a rank."""
    place = f"node{rank // 4 + 1}", str(rank % 4)
    found = WrongRank(rank, *place, 11, 823_547, 823_546, units, 120, 1 << 20)
    return in_phase(name, lambda outcome: replace(outcome, wrong=(*outcome.wrong, found)))


DISPUTE = Unsettled(9, (Opinion(5, "node2", "1", 77), Opinion(9, "node3", "1", 78)))

EVERY = range(STEPS)

UNKNOWN = {
    "lowest_mhz": None,
    "highest_mhz": None,
    "celsius": None,
    "throttled_seconds": None,
    "throttle_events": None,
    "under_voltage": None,
}

# What is the matter; how its sentence begins, and what it also has in it.
FAULTS: dict[str, tuple[Change, str, str]] = {
    "silent host": (
        lambda burn_in: replace(burn_in, lost="host node2 has been silent for 60 s, with rank 4, 5, 6, 7"),
        "host node2 has been silent for 60 s, with rank 4, 5, 6, 7: it hung",
        "power supply",
    ),
    "too many ranks": (
        of_host(1, oversubscribed=True),
        "node2: more threads than cores",
        "start fewer ranks",
    ),
    "wrong core": (
        wrong(5),
        "one core at a time: node2 (rank 5 on core 1: 3 of 120 units): counted wrong",
        "out of service",
    ),
    "wrong known answers": (
        in_phase(
            "steady",
            lambda outcome: replace(outcome, wrong=(WrongRank(5, "node2", "1", None, 0, 0, 0, 7, 0),)),
        ),
        "all cores: node2 (rank 5 on core 1: known answers): counted wrong",
        "out of service",
    ),
    "wrong answers without an audit": (
        at(5, "pulsed", right=False),
        "on and off: node2 (rank 5 on core 1): the known answers are counted wrong",
        "out of service",
    ),
    "unsettled": (
        in_phase("steady", lambda outcome: replace(outcome, unsettled=(DISPUTE,))),
        "all cores: node2 (rank 5 on core 1: 77 hits), node3 (rank 9 on core 1: 78 hits): these ranks do not",
        "unit 9, and nobody can tell",
    ),
    "uncorrected errors": (on(1, uncorrected_errors=2), "all cores: node2 (2): memory errors", "replaced"),
    "under-voltage": (
        on(1, "pulsed", under_voltage=True),
        "on and off: node2: the voltage was too low",
        "power supply",
    ),
    "throttled": (
        on(1, samples=(40, 41), throttled_seconds=5.0, celsius=85.0),
        "all cores: node2 (for 10.0 of 300.0 s, at 85 C): the CPU was slowed down",
        "fan",
    ),
    "throttled for moments": (
        on(1, throttle_events=3, celsius=97.4),
        "all cores: node2 (3 times, at 97 C): the CPU was slowed down",
        "thermal paste",
    ),
    "slow core": (
        at(5, "alone", points_per_second=0.7 * RATE),
        "one core at a time: node2 (rank 5 on core 1: 70%): only this share of the rate of its twins",
        "out of service",
    ),
    "shared core": (
        at(5, core_share=0.52),
        "all cores: node2 (rank 5 on core 1: 52%): other programs took the rest of the core",
        "top shows them",
    ),
    "slow host": (
        both(*(at(rank, "pulsed", points_per_second=0.7 * RATE) for rank in range(4, 8))),
        "on and off: node2 (70%): only this share of the rate of hosts alike",
        "governor",
    ),
    "slower and slower": (
        both(*(at(rank, last_points_per_second=0.7 * RATE) for rank in range(4, 8))),
        "all cores: node2 (70%): at the end only this share",
        "a fan",
    ),
}

NOTES: dict[str, tuple[Change, str, str]] = {
    "slower at the end": (
        both(*(at(rank, last_points_per_second=0.9 * RATE) for rank in range(4, 8))),
        "all cores: node2 (90%): at the end only this share",
        "by design",
    ),
    "corrected errors": (
        both(on(1, corrected_errors=2), with_modules(1, "DIMM_A1")),
        "all cores: node2 (2 in DIMM_A1): memory errors, which were corrected",
        "another slot",
    ),
    "corrected errors of an unknown module": (
        on(1, "alone", corrected_errors=1),
        "one core at a time: node2 (1): memory errors, which were corrected",
        "another slot",
    ),
    "hardly a turn": (
        both(
            at(6, "alone", points=0, points_per_second=None),
            at(7, "alone", points=1_000_000, points_per_second=0.5 * RATE),
        ),
        "one core at a time: node2 (2 of 4 ranks): ranks that counted for less than a tenth of a second",
        "longer",
    ),
    "no sensors": (
        both(*(on(1, name, EVERY, **UNKNOWN) for name in ("steady", "alone", "pulsed"))),
        "node2: tells neither clock nor temperature nor throttling",
        "virtual machines",
    ),
}

CASES = FAULTS | NOTES
