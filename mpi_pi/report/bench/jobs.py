"""Section of a benchmark on whole jobs: beside published runs, and the time of their phases."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpi_pi.bench.jobs import FULL, MAX_EXPECTED_SECONDS
from mpi_pi.bench.median import MedianCI
from mpi_pi.report.bench.numbers import ci_cell, format_ci
from mpi_pi.report.blocks import Lines, Table, number

Job = Mapping[str, Any]

UNITS = {"published": "s"}
"""Units of columns, by name."""

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
"""Explanations of the phases, by name."""


def blocks(section: Sequence[Job], full: bool = False) -> list[Lines | Table]:
    """Return the blocks of the section; in full mode, with the jobs that were left out."""
    columns = {_title(job): _milliseconds(job) for job in section}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = [
        {"step, ms": name} | {title: column.get(name, "") for title, column in columns.items()}
        for name in names
    ]
    legend = [(name, MEANINGS[name]) for name in names if name in MEANINGS]
    there = {job["name"] for job in section}
    why = f"left out, for it would take more than {MAX_EXPECTED_SECONDS:g} s here"
    left_out = [(job.name, why) for job in FULL if full and job.name not in there]
    published = {job["published"]["name"]: job["published"] for job in section if job["published"]}
    sources = [
        (name, f"{run['seconds']:g} s on {run['machine']}; {run['date']}\n{run['source']}")
        for name, run in published.items()
    ]
    return [
        Table([_row(job) for job in section], ("points", "ranks", "published"), title="jobs", units=UNITS),
        *(Lines(lines) for lines in (left_out, sources) if lines),
        Table(rows, tuple(columns), title="steps of jobs"),
        Lines(legend, ": "),
    ]


def _title(job: Job) -> str:
    return f"{job['name']}, {'cold' if job['cold'] else 'warm'}"


def _row(job: Job) -> dict[str, str]:
    seconds, published = MedianCI.from_fields(job["seconds"]), job["published"]
    speed_up = MedianCI.of(published["seconds"] / each for each in seconds.samples) if published else None
    return {
        "job": _title(job),
        "points": number(job["job"]["trials"] * job["job"]["points_per_trial"], "g"),
        "ranks": number(job["ranks"]),
        "seconds": format_ci(seconds),
        "published": number(published["seconds"], "g") if published else "",
        "times as fast": format_ci(speed_up) if speed_up else ci_cell("", None),
    }


def _milliseconds(job: Job) -> dict[str, str]:
    """Return the median of each phase, and of the whole job."""
    phases = [*job["steps"], {"name": "whole", "seconds": job["seconds"]}]
    return {phase["name"]: number(phase["seconds"]["median"] * 1e3, ".1f") for phase in phases}
