"""Whole jobs, for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpi_pi.bench.jobs import FULL, WORTH_SECONDS
from mpi_pi.bench.median import MedianCI
from mpi_pi.report.bench.numbers import format_ci
from mpi_pi.report.table import table

MEANINGS = {
    "launcher": "from its start until rank 0's process is started",
    "interpreter": "Python up to the program's first line, measured without a launcher",
    "imports": "NumPy and this program",
    "MPI_Init": "with the import of mpi4py and the MPI library",
    "kernel load": "the machine code from the cache, or compiled",
    "agreements": "files, roll call, known answers: all ranks are about to do the same",
    "count": "of the slowest rank",
    "reduce and wait": "the rest of the rounds, with known answers",
    "report": "rank 0 collects what all ranks have to say",
    "exit": "writing, MPI_Finalize, the end of Python and of the launcher",
    "launcher and exit": "rank 0's host has another clock",
}


def text(section: Sequence[Mapping[str, Any]], full: bool = False) -> str:
    """The section for people: the jobs beside the published runs, and where their time goes.

    Of a benchmark in full mode, with those that were left out.
    """
    columns = {_title(job): _milliseconds(job) for job in section}
    names = list(dict.fromkeys(name for of_job in columns.values() for name in of_job))
    rows = [
        {"step, ms": name} | {title: of_job.get(name, "") for title, of_job in columns.items()}
        for name in names
    ]
    jobs = table([_job_line(job) for job in section], numbers=("points", "ranks", "published"))
    legend = "\n".join(f"{name}: {MEANINGS[name]}" for name in names if name in MEANINGS)
    left_out = _left_out(section) if full else []
    parts = [jobs, *left_out, *_sources(section), table(rows, numbers=tuple(columns)), legend]
    return "\n\n".join(parts)


def _title(job: Mapping[str, Any]) -> str:
    return f"{job['name']}, {'cold' if job['cold'] else 'warm'}"


def _job_line(job: Mapping[str, Any]) -> dict[str, str]:
    seconds, published = MedianCI.from_fields(job["seconds"]), job["published"]
    points = job["job"]["trials"] * job["job"]["points_per_trial"]
    line = {
        "job": _title(job),
        "points": f"{points:g}",
        "ranks": str(job["ranks"]),
        "seconds": format_ci(seconds),
        "published": "",
        "times as fast": "",
    }
    if published:
        faster = MedianCI.of(published["seconds"] / sample for sample in seconds.samples)
        line |= {"published": f"{published['seconds']:g}", "times as fast": format_ci(faster)}
    return line


def _milliseconds(job: Mapping[str, Any]) -> dict[str, str]:
    """The median of each step, and of the whole."""
    steps = [*job["steps"], {"name": "whole", "seconds": job["seconds"]}]
    return {step["name"]: f"{step['seconds']['median'] * 1e3:.1f}" for step in steps}


def _left_out(section: Sequence[Mapping[str, Any]]) -> list[str]:
    """One paragraph of lines on the jobs of full mode that are not there."""
    there = {job["name"] for job in section}
    names = [work.name for work in FULL if work.name not in there]
    lines = [f"{name} = left out, for it would take more than {WORTH_SECONDS:g} s here" for name in names]
    return ["\n".join(lines)] if lines else []


def _sources(section: Sequence[Mapping[str, Any]]) -> list[str]:
    """One paragraph of lines on the published runs, each once."""
    by_name = {job["published"]["name"]: job["published"] for job in section if job["published"]}
    lines = [
        f"{name} = {run['seconds']:g} s on {run['machine']}; {run['date']}\n  {run['source']}"
        for name, run in by_name.items()
    ]
    return ["\n".join(lines)] if lines else []
