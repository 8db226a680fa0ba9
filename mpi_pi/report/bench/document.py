"""Report on a benchmark: its machine, and a section for each part that was measured."""

from collections.abc import Callable, Mapping
from typing import Any

from mpi_pi.formatting import number_of
from mpi_pi.report.bench import jobs, kernel, network, noise, rounds, scaling
from mpi_pi.report.blocks import Block, Lines, Section, Table


def blocks(benchmark: Mapping[str, Any], whole: bool = False) -> list[Block]:
    """Return lines on program, date and machine, and a section for each part that was measured.

    Its tables have some of many hosts alone, unless they are to be `whole`.
    """
    parts: dict[str, tuple[str, Callable[[Any], list[Lines | Table]]]] = {
        "noise": ("Noise", lambda section: noise.blocks(section, whole)),
        "kernel": ("One core", kernel.blocks),
        "jobs": ("Whole jobs", lambda section: jobs.blocks(section, benchmark["full"])),
        "scaling": ("Scaling", scaling.blocks),
        "network": ("Network", lambda section: network.blocks(section, whole)),
        "round": ("Rounds", rounds.blocks),
    }
    there = ((title, make, benchmark[part]) for part, (title, make) in parts.items() if benchmark[part])
    return [_head(benchmark), *(Section(title, make(section)) for title, make, section in there)]


def _head(benchmark: Mapping[str, Any]) -> Lines:
    machine, software = benchmark["machine"], benchmark["software"]
    commit = f", commit {benchmark['commit']}" if benchmark["commit"] else ""
    clock = f" at {machine['clock_hz'] / 1e9:.2f} GHz" if machine["clock_hz"] else ""
    names = [name for name in ("python", "numpy", "numba", "mpi4py", "mpi") if software[name]]
    return Lines(
        [
            ("mpi-pi", f"{benchmark['version']}{commit}"),
            ("Benchmark", f"{'full' if benchmark['full'] else 'quick'}, {benchmark['date']}"),
            ("Ranks", f"{machine['ranks']} on {number_of(machine['hosts'], 'host')}"),
            ("Host", f"{machine['host']}, {number_of(machine['cores'], 'core')}, {machine['platform']}"),
            ("CPU", f"{machine['cpu']}{clock}"),
            ("Kernel", machine["kernel"]),
            ("Software", ", ".join(f"{name} {software[name]}" for name in names)),
        ]
    )
