"""A benchmark, for people."""

from collections.abc import Callable, Mapping
from typing import Any

from mpi_pi.formatting import number_of
from mpi_pi.report.bench import jobs, kernel, noise, rounds, scaling


def text(benchmark: Mapping[str, Any]) -> str:
    """The report for people."""
    return "\n\n".join([head(benchmark), *(text for _, text in sections(benchmark))]) + "\n"


def head(benchmark: Mapping[str, Any]) -> str:
    """What was measured, where and when."""
    machine, software = benchmark["machine"], benchmark["software"]
    commit = f", commit {benchmark['commit']}" if benchmark["commit"] else ""
    clock = f" at {machine['clock_hz'] / 1e9:.2f} GHz" if machine["clock_hz"] else ""
    names = [name for name in ("python", "numpy", "numba", "mpi4py", "mpi") if software[name]]
    return "\n".join(
        [
            f"mpi-pi = {benchmark['version']}{commit}",
            f"Benchmark = {'full' if benchmark['full'] else 'quick'}, {benchmark['date']}",
            f"Ranks = {machine['ranks']} on {number_of(machine['hosts'], 'host')}",
            f"Host = {machine['host']}, {number_of(machine['cores'], 'core')}, {machine['platform']}",
            f"CPU = {machine['cpu']}{clock}",
            f"Kernel = {machine['kernel']}",
            f"Software = {', '.join(f'{name} {software[name]}' for name in names)}",
        ]
    )


def sections(benchmark: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A title and the text of each part that was measured."""
    tellers: dict[str, tuple[str, Callable[[Any], str]]] = {
        "noise": ("Noise", noise.text),
        "kernel": ("One core", kernel.text),
        "jobs": ("Whole jobs", lambda section: jobs.text(section, benchmark["full"])),
        "scaling": ("Scaling", scaling.text),
        "round": ("Rounds", rounds.text),
    }
    return [(title, tell(benchmark[part])) for part, (title, tell) in tellers.items() if benchmark[part]]
