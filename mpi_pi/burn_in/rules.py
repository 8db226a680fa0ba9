"""Rules on the hosts of a burn-in, in each of its phases."""

from collections.abc import Iterator

from mpi_pi.burn_in.comparison import MIN_WORK_SECONDS, host_shares, lasting_share, rank_shares
from mpi_pi.burn_in.observer import known
from mpi_pi.burn_in.outcome import BurnIn, PhaseOutcome
from mpi_pi.findings import Observation, fault, note
from mpi_pi.formatting import format_cores, number_of

MIN_SHARE = 0.8
"""Smallest share of the rate of the twins that is no fault."""
MIN_LASTING_SHARE, WORTH_A_NOTE = 0.8, 0.95
"""Smallest shares of the first rate at the end that are no fault, and not worth a note: many CPUs may exceed
their power for a minute at most, by design."""
MIN_CORE_SHARE = 0.7
"""Smallest share of a core of its own that is no fault of a rank."""


def host_of(burn_in: BurnIn, rank: int) -> str:
    """Return the name of a rank's host."""
    return burn_in.hosts[burn_in.ranks[rank].host].host


def core_of(burn_in: BurnIn, rank: int) -> str:
    """Return a rank with its cores, such as "rank 7 on core 3"."""
    return f"rank {rank} on {format_cores(burn_in.ranks[rank].cores)}"


@fault(
    "more threads than cores, which have to take turns, so that no core can be judged: start fewer ranks"
    " (-n), give the host no more slots than it has cores, and bind each rank to cores of its own"
)
def oversubscribed(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find hosts with more threads of ranks than cores."""
    return (Observation(host.host) for host in burn_in.hosts if host.oversubscribed)


@note(
    "a single rank, whose units nobody can count again, so that wrong ones go unnoticed: start a rank for"
    " each core"
)
def unaudited(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find the host of a single rank."""
    if burn_in.audit and len(burn_in.ranks) == 1:
        yield Observation(burn_in.hosts[0].host)


@note(
    "tells neither clock nor temperature nor throttling, as most virtual machines do not: heat shows in the"
    " rates alone"
)
def blind(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find hosts whose sensors never told anything of heat."""
    members = ("highest_mhz", "celsius", "throttled_seconds", "under_voltage")
    for place, host in enumerate(burn_in.hosts):
        samples = [sample for outcome in burn_in.phases for sample in outcome.hosts[place].samples]
        if samples and not any(known(samples, member) for member in members):
            yield Observation(host.host)


@fault(
    "counted wrong, as other ranks have found: no result of this core can be trusted, so take it, or the"
    " host, out of service (Slurm: scontrol update NodeName=NAME State=DRAIN Reason=burn-in), and have CPU"
    " and memory replaced"
)
def wrong_units(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find ranks whose units other ranks have counted otherwise."""
    for wrong in outcome.wrong:
        units = f"{wrong.wrong_units} of {number_of(wrong.compared_units, 'unit')}"
        what = "known answers" if wrong.unit is None else units
        yield Observation(host_of(burn_in, wrong.rank), f"{core_of(burn_in, wrong.rank)}: {what}")


@fault(
    "the known answers are counted wrong since this phase, so no result of this core can be trusted: take it,"
    " or the host, out of service, and have CPU and memory replaced"
)
def wrong_answers(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find ranks whose kernel failed its self-test after a round, unless the audit has found them."""
    told = {wrong.rank for wrong in outcome.wrong}
    for rank, work in enumerate(outcome.ranks):
        if not work.right and rank not in told:
            yield Observation(host_of(burn_in, rank), core_of(burn_in, rank))


@fault(
    "these ranks do not agree on unit {}, and nobody can tell which is right, which ended the phase: burn"
    " their cores in again with more ranks, so that a third one can decide"
)
def unsettled(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find ranks that have counted a unit whose right hits nobody knows."""
    for dispute in outcome.unsettled:
        for opinion in dispute.opinions:
            hits = f"{core_of(burn_in, opinion.rank)}: {opinion.hits} hits"
            yield Observation(host_of(burn_in, opinion.rank), hits, (dispute.unit,))


@fault("memory errors that could not be corrected: have the memory modules replaced before anything else")
def uncorrected(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find hosts with memory errors that were not corrected."""
    for host, watch in enumerate(outcome.hosts):
        if errors := sum(known(watch.samples, "uncorrected_errors")):
            yield Observation(burn_in.hosts[host].host, f"{errors:.0f}")


@fault("the voltage was too low: a stronger power supply, or a shorter or thicker cable, helps")
def under_voltage(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find hosts with too low a voltage, which only a Raspberry Pi tells."""
    for host, watch in enumerate(outcome.hosts):
        if any(known(watch.samples, "under_voltage")):
            yield Observation(burn_in.hosts[host].host)


@fault(
    "the CPU was slowed down while it counted: look after fan, heat sink and its thermal paste, dust and the"
    " air that comes in{}"
)
def throttled(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find hosts that were throttled."""
    for host, watch in enumerate(outcome.hosts):
        seconds = sum(known(watch.samples, "throttled_seconds"))
        events = sum(known(watch.samples, "throttle_events"))
        if seconds or events:
            told = [f"for {seconds:.1f} of {outcome.seconds:.1f} s"] if seconds else []
            told += [f"{events:.0f} times"] if events > 1 else [] if seconds else ["for a moment"]
            if celsius := known(watch.samples, "celsius"):
                told.append(f"at {max(celsius):.0f} C")
            supply = (
                "; first of all, after the power supply" if any(known(watch.samples, "under_voltage")) else ""
            )
            yield Observation(burn_in.hosts[host].host, ", ".join(told), (supply,))


@fault(
    "only this share of the rate of its twins, for the same CPU time: look after cooling, and after what"
    " shares the core by hyper-threading; if it stays slow, take the core, or the host, out of service"
)
def slow_core(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find ranks that count slower than their twins, whoever else uses their cores."""
    for rank, share in rank_shares(burn_in, outcome).items():
        if share < MIN_SHARE:
            yield Observation(host_of(burn_in, rank), f"{core_of(burn_in, rank)}: {share:.0%}")


@fault(
    "other programs took the rest of the core from this rank: end them (top shows them), and burn in again,"
    " so that the core gets its full load"
)
def shared_core(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find ranks that do not have their cores to themselves, on hosts with enough cores."""
    for rank, work in enumerate(outcome.ranks):
        host = burn_in.ranks[rank].host
        crowded = burn_in.hosts[host].oversubscribed
        if work.core_share is not None and work.core_share < MIN_CORE_SHARE and not crowded:
            yield Observation(burn_in.hosts[host].host, f"{core_of(burn_in, rank)}: {work.core_share:.0%}")


@fault(
    "only this share of the rate of hosts alike: look after cooling, power supply, and the settings of its"
    " firmware (power profile, memory) and governor"
    " (/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)"
)
def slow_host(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find hosts that count slower than their twins."""
    for host, share in host_shares(burn_in, outcome).items():
        if share < MIN_SHARE:
            yield Observation(burn_in.hosts[host].host, f"{share:.0%}")


@fault(
    "at the end only this share of the rate at the beginning, so it does not stand its own heat: a fan, a"
    " heat sink or cooler air helps"
)
def slower_and_slower(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find hosts that have become much slower during the phase."""
    return _lasting(burn_in, outcome, 0.0, MIN_LASTING_SHARE)


@note(
    "at the end only this share of the rate at the beginning: by design, if its CPU may exceed its power for"
    " a short time; else a fan, a heat sink or cooler air helps"
)
def slower_at_the_end(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find hosts that have become somewhat slower during the phase."""
    return _lasting(burn_in, outcome, MIN_LASTING_SHARE, WORTH_A_NOTE)


def _lasting(burn_in: BurnIn, outcome: PhaseOutcome, low: float, high: float) -> Iterator[Observation]:
    """Generate the hosts whose share of the first rate at the end is at least `low`, and below `high`."""
    for host, facts in enumerate(burn_in.hosts):
        share = lasting_share(burn_in, outcome, host)
        if share is not None and low <= share < high:
            yield Observation(facts.host, f"{share:.0%}")


@note(
    "memory errors, which were corrected: if more come, move the memory module to another slot; if they move"
    " along with it, have it replaced, and if not, the board"
)
def corrected(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find hosts with memory errors that were corrected."""
    for host, watch in enumerate(outcome.hosts):
        if errors := sum(known(watch.samples, "corrected_errors")):
            where = f" in {', '.join(watch.modules)}" if watch.modules else ""
            yield Observation(burn_in.hosts[host].host, f"{errors:.0f}{where}")


@note("ranks that counted for less than a tenth of a second, too short to be judged: burn in for longer")
def too_short(burn_in: BurnIn, outcome: PhaseOutcome) -> Iterator[Observation]:
    """Find hosts with ranks that have hardly counted in a phase that did not end early."""
    if not burn_in.complete and outcome is burn_in.phases[-1]:
        return
    for host, ranks in enumerate(burn_in.ranks_of_hosts):
        if few := sum(outcome.ranks[rank].seconds < MIN_WORK_SECONDS for rank in ranks):
            yield Observation(burn_in.hosts[host].host, f"{few} of {len(ranks)} ranks")
