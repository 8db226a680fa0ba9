"""The report of `mpi-pi burn-in`."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mpi_pi.burn_in import comparison
from mpi_pi.burn_in.comparison import Share
from mpi_pi.burn_in.diagnosis import faults
from mpi_pi.burn_in.finding import Finding
from mpi_pi.burn_in.observer import known
from mpi_pi.burn_in.outcome import BurnIn, PhaseOutcome
from mpi_pi.formatting import format_percent, number_of
from mpi_pi.report.blocks import MAX_HOSTS, Block, Cell, Lines, Table, number, percent
from mpi_pi.version import __version__

NUMBERS = (
    "ranks", "slowest", "core share", "end/start", "MHz", "temp/C", "power/W", "throttled/s", "memory errors",
    "wrong units",
)  # fmt: skip
"""Columns of numbers."""
UNITS = {"slowest": "%", "core share": "%", "end/start": "%"}
UNKNOWN = "-"


class Row(NamedTuple):
    """What the table tells of a host: the worst of all phases. None stands for what is not known."""

    host: str
    ranks: int
    slowest: Share | None
    """Rank that was slowest against its twins."""
    core_share: float | None
    """Lowest share of its core that a rank had."""
    lasting: float | None
    """Lowest rate at the end of a phase over that at its beginning."""
    lowest_mhz: float | None
    highest_mhz: float | None
    celsius: float | None
    watts: float | None
    throttled_seconds: float | None
    memory_errors: float | None
    wrong_units: int


def blocks(burn_in: BurnIn, findings: Sequence[Finding], whole: bool = False) -> list[Block]:
    """Return the report of a burn-in; with the worst of many hosts alone, unless it is to be `whole`."""
    rows, note = _sorted(burn_in, findings), ""
    shown = rows if whole else rows[:MAX_HOSTS]
    if len(rows) > len(shown):
        note = f"{MAX_HOSTS} of {len(rows)} hosts, worst first; --json FILE holds them all"
    phases = [(outcome.phase.title, _phase(burn_in, outcome, findings)) for outcome in burn_in.phases]
    sentences = [f"{finding.severity}: {finding.text}" for finding in findings]
    return [
        _head(burn_in),
        *([Lines(phases)] if phases else []),
        Table([_cells(row) for row in shown], NUMBERS, note, "hosts", UNITS),
        *([_of_ranks(burn_in)] if whole else []),
        Lines([*sentences, ("Burn-in", verdict(burn_in, findings))]),
    ]


def verdict(burn_in: BurnIn, findings: Sequence[Finding]) -> str:
    """Return the last word on a burn-in."""
    if number := faults(findings):
        return f"failed, {number_of(number, 'fault')}"
    if burn_in.complete:
        return "passed"
    done = sum(outcome.seconds for outcome in burn_in.phases)
    return f"not complete, no faults in {done:.0f} of {burn_in.seconds:.0f} s (stopped by {burn_in.stopped})"


def _head(burn_in: BurnIn) -> Lines:
    audit = (
        f"{format_percent(burn_in.audit)} of the units counted by a second rank" if burn_in.audit else "off"
    )
    return Lines(
        [
            ("mpi-pi", __version__),
            ("MPI", burn_in.mpi_library),
            ("Hosts", f"{len(burn_in.hosts)}, ranks = {len(burn_in.ranks)}"),
            ("CPU", "/".join(dict.fromkeys(host.cpu for host in burn_in.hosts))),
            ("Seed", str(burn_in.seed)),
            ("Time", f"{burn_in.seconds:.0f} s"),
            ("Audit", audit),
        ]
    )


def _phase(burn_in: BurnIn, outcome: PhaseOutcome, findings: Sequence[Finding]) -> str:
    points = sum(work.points for work in outcome.ranks)
    own = [finding for finding in findings if finding.phase == outcome.name]
    told = [
        f"{outcome.seconds:.1f} s",
        number_of(outcome.rounds, "round"),
        f"{points:.4e} points",
        f"{outcome.recounted_units} of {outcome.units} units counted twice",
    ]
    return "; ".join([*told, number_of(faults(own), "fault")])


def _sorted(burn_in: BurnIn, findings: Sequence[Finding]) -> list[Row]:
    """Return a row for each host: those with faults first, then those with notes, then the slowest."""
    noted = {name for finding in findings for name in finding.hosts}
    faulty = {name for finding in findings if finding.severity == "fault" for name in finding.hosts}

    def place(row: Row) -> tuple[bool, bool, bool, float]:
        share = row.slowest.share if row.slowest else 1.0
        return not row.wrong_units, row.host not in faulty, row.host not in noted, share

    return sorted((_row(burn_in, host) for host in range(len(burn_in.hosts))), key=place)


def _row(burn_in: BurnIn, host: int) -> Row:
    phases, ranks = burn_in.phases, burn_in.ranks_of_hosts[host]

    def told(member: str) -> list[float]:
        return [value for outcome in phases for value in known(outcome.hosts[host].samples, member)]

    slowest = [one for outcome in phases if (one := comparison.slowest(burn_in, outcome, host))]
    works = [outcome.ranks[rank] for outcome in phases for rank in ranks]
    core_shares = [work.core_share for work in works if work.core_share is not None]
    lasting = [comparison.lasting_share(burn_in, outcome, host) for outcome in phases]
    errors = told("corrected_errors") + told("uncorrected_errors")
    wrong = [wrong for outcome in phases for wrong in outcome.wrong if wrong.rank in ranks]
    return Row(
        burn_in.hosts[host].host,
        len(ranks),
        min(slowest, default=None),
        min(core_shares, default=None),
        min((share for share in lasting if share is not None), default=None),
        min(told("lowest_mhz"), default=None),
        max(told("highest_mhz"), default=None),
        max(told("celsius"), default=None),
        max(told("watts"), default=None),
        _sum(told("throttled_seconds")),
        _sum(errors),
        sum(one.wrong_units for one in wrong),
    )


def _sum(values: Iterable[float]) -> float | None:
    values = list(values)
    return sum(values) if values else None


def _cells(row: Row) -> dict[str, str]:
    clocks = [number(row.lowest_mhz, ".0f"), number(row.highest_mhz, ".0f")]
    return {
        "host": row.host,
        "ranks": number(row.ranks),
        "slowest": _slowest(row.slowest),
        "core share": percent(row.core_share),
        "end/start": percent(row.lasting),
        "MHz": Cell("-".join(dict.fromkeys(clocks)), {"lowest": row.lowest_mhz, "highest": row.highest_mhz}),
        "temp/C": number(row.celsius, ".0f"),
        "power/W": number(row.watts, ".0f"),
        "throttled/s": number(row.throttled_seconds, ".1f"),
        "memory errors": number(row.memory_errors, ".0f"),
        "wrong units": number(row.wrong_units),
    }


def _slowest(slowest: Share | None) -> Cell:
    if slowest is None:
        return Cell(UNKNOWN, {"": None, "rank": None})
    text = f"{slowest.share:.0%} (rank {slowest.rank})"
    return Cell(text, {"": 100 * slowest.share, "rank": slowest.rank})


def _of_ranks(burn_in: BurnIn) -> Table:
    """Return a table with a row for each rank in each phase."""
    rows = [
        {
            "phase": outcome.name,
            "rank": number(rank.rank),
            "host": burn_in.hosts[rank.host].host,
            "points": number(work.points),
            "core share": percent(work.core_share),
        }
        for outcome in burn_in.phases
        for rank, work in zip(burn_in.ranks, outcome.ranks, strict=True)
    ]
    return Table(rows, ("rank", "points", "core share"), title="ranks", units=UNITS)
