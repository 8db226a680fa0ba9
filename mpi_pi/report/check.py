"""The report of `mpi-pi check`."""

from collections.abc import Iterable, Sequence

from mpi_pi.check.changes import Baseline
from mpi_pi.check.finding import Finding
from mpi_pi.check.hosts import Host
from mpi_pi.formatting import number_of
from mpi_pi.report import changes
from mpi_pi.report.blocks import MAX_HOSTS, Block, Cell, Lines, Table, number, percent

MAX_CPU_LETTERS = 32

NUMBERS = (
    "cores", "ranks", "stream", "points/s", "core share", "MHz", "temp/C", "latency/us", "MB/s", "skew/s",
)  # fmt: skip
"""Columns of numbers."""
UNKNOWN = "-"


def blocks(
    hosts: Sequence[Host],
    findings: Sequence[Finding],
    baseline: Baseline | None = None,
    whole: bool = False,
) -> list[Block]:
    """Return the report of a check, with a table of the changes since the baseline, if there is one.

    Its tables have the worst of many hosts alone, unless they are to be `whole`.
    """
    shown, note = hosts, ""
    if len(hosts) > MAX_HOSTS and not whole:
        shown = _worst(hosts, findings)
        note = f"{MAX_HOSTS} of {len(hosts)} hosts; --json FILE holds them all"
    faults = sum(finding.severity == "fault" for finding in findings)
    verdict = f"no, {number_of(faults, 'fault')}" if faults else "yes"
    return [
        _head(hosts),
        Table([_hardware(host) for host in shown], NUMBERS, title="hardware"),
        Table([_software(host) for host in shown], NUMBERS, title="software"),
        Table([_measured(host) for host in shown], NUMBERS, note, "measured", {"core share": "%"}),
        *([_of_ranks(hosts)] if whole else []),
        *changes.blocks(hosts, baseline, whole),
        Lines([*(f"{finding.severity}: {finding.text}" for finding in findings), ("Fit", verdict)]),
    ]


def _worst(hosts: Sequence[Host], findings: Sequence[Finding]) -> list[Host]:
    """Return the hosts to be listed: those with faults, then those with notes, then the slowest."""
    noted = {name for finding in findings for name in finding.hosts}
    faulty = {name for finding in findings if finding.severity == "fault" for name in finding.hosts}

    def place(host: Host) -> tuple[bool, bool, float]:
        rate = (host.points_per_second or 0) / len(host.ranks)
        return host.name not in faulty, host.name not in noted, rate

    return sorted(hosts, key=place)[:MAX_HOSTS]


def _head(hosts: Sequence[Host]) -> Lines:
    ranks = [facts for host in hosts for facts in host.ranks]
    software = [facts.software for facts in ranks if facts.software]
    told = [facts.right for facts in ranks if facts.right is not None]
    rates = [facts.points_per_second for facts in ranks if facts.points_per_second]
    counted = "all ranks" if len(rates) == len(ranks) else f"{len(rates)} of {len(ranks)} ranks"
    return Lines(
        [
            ("mpi-pi", _kinds(f"{each.package}, stream {each.stream}" for each in software)),
            ("MPI", _kinds(each.mpi for each in software)),
            ("Hosts", f"{len(hosts)}, ranks = {len(ranks)}"),
            ("Known answer", f"right on {sum(told)} of {len(ranks)} ranks" if told else UNKNOWN),
            ("Rate", f"{sum(rates):.4e} points/s, {counted} at once" if rates else UNKNOWN),
        ]
    )


def _hardware(host: Host) -> dict[str, str]:
    machine = host.machine
    cpu = machine.cpu if machine else UNKNOWN
    return {
        "host": host.name,
        "address": host.address or UNKNOWN,
        "architecture": machine.architecture if machine else UNKNOWN,
        "CPU": Cell(cpu if len(cpu) <= MAX_CPU_LETTERS else f"{cpu[: MAX_CPU_LETTERS - 3]}...", cpu),
        "flags": (machine and " ".join(machine.flags)) or UNKNOWN,
        "cores": number(machine.cores if machine else None),
        "ranks": number(len(host.ranks)),
    }


def _software(host: Host) -> dict[str, str]:
    def version(name: str) -> str:
        software = (facts.software for facts in host.ranks if facts.software)
        return _kinds(str(getattr(each, name) or UNKNOWN) for each in software)

    return {
        "host": host.name,
        "Python": version("python"),
        "mpi-pi": version("package"),
        "sources": version("sources"),
        "stream": version("stream"),
        "kernel": _kinds(facts.kernel for facts in host.ranks if facts.kernel),
        "numba": version("numba"),
        "NumPy": version("numpy"),
        "MPI": version("mpi"),
    }


def _measured(host: Host) -> dict[str, str]:
    state, link = host.loaded, host.link
    return {
        "host": host.name,
        "reachable": "yes" if host.reachable else "no",
        "right": _right(host.right),
        "points/s": number(host.points_per_second, ".3e"),
        "core share": percent(host.core_share),
        "MHz": _clock(state.mhz if state else None, host.machine.max_mhz if host.machine else None),
        "temp/C": number(state.celsius if state else None, ".0f"),
        "throttled": _throttled(host),
        "latency/us": number(link.latency_seconds * 1e6 if link else None, ".1f"),
        "MB/s": number(link.bytes_per_second / 1e6 if link else None, ".1f"),
        "skew/s": number(link.skew_seconds if link else None, "+.3f"),
    }


def _clock(mhz: float | None, max_mhz: float | None) -> Cell:
    highest = f"/{max_mhz:.0f}" if max_mhz else ""
    return Cell(number(mhz, ".0f") + highest, {"": mhz, "highest": max_mhz})


def _of_ranks(hosts: Sequence[Host]) -> Table:
    rows = [
        {
            "rank": number(facts.rank),
            "host": host.name,
            "reachable": "yes" if facts.reachable else "no",
            "right": _right(facts.right),
            "kernel": facts.kernel or UNKNOWN,
            "points/s": number(facts.points_per_second, ".3e"),
            "points/s of CPU time": number(facts.points_per_cpu_second, ".3e"),
            "core share": percent(facts.core_share),
        }
        for host in hosts
        for facts in host.ranks
    ]
    return Table(rows, NUMBERS, title="ranks", units={"core share": "%"})


def _right(right: bool | None) -> str:
    return {True: "yes", False: "no", None: UNKNOWN}[right]


def _throttled(host: Host) -> str:
    if host.throttled_since_boot is None:
        return UNKNOWN
    return "now" if host.throttled_now else "earlier" if host.throttled_since_boot else "no"


def _kinds(values: Iterable[str]) -> str:
    """Return the distinct values in the order of the ranks."""
    return "/".join(dict.fromkeys(values)) or UNKNOWN
