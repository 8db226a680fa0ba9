"""Jobs in which ranks count wrongly, and what must be true of their end."""

import re
from collections.abc import Sequence
from typing import Any

from mpi_pi.kernel.loader import load
from mpi_pi.model.job import Job
from mpi_pi.storage import result_file
from support.chaos import Ended, Started, fault_of
from support.faults import Fault

JOB = Job(240, 1000, 5)
"""A job of ten rounds with ROUNDS."""

LONGER = Job(1440, 1000, 139)
"""A job of sixty rounds with ROUNDS. By its seed two ranks audit nothing in the first five at 4 %."""

ROUNDS: dict[str, float] = {
    "parallel.load_balancer:DEFAULT(max_units)": 24,
    "parallel.load_balancer:DEFAULT(min_share)": 1,
}
"""Values with which rounds are short, and yet all ranks count several units in each."""

ALL = ("--audit", "100%")


def wrong_in(what: str, *ranks: int) -> list[Fault]:
    """Return the faults of ranks that count wrongly, see `miscounts.WRONG`."""
    return [Fault(f"wrong in {what}", "nothing", rank) for rank in ranks]


def all_wrong_in(what: str) -> Fault:
    return Fault(f"wrong in {what}", "nothing")


def require_found(started: Started, job: Job, *ranks: int) -> Ended:
    """Require that an audit finds these ranks to be wrong, and no other, and that all hits are right."""
    ended = started.ended()
    said = f"{ended.out}\n{ended.err}"
    assert "Traceback" not in ended.err, said
    fault = fault_of(ended, job, status=4 if ranks else 0)
    assert not fault, f"{fault}\n{said}"
    wrong = wrong_ranks(ended)
    assert sorted(rank["rank"] for rank in wrong) == sorted(ranks), said
    for rank in wrong:
        require_named(rank, job, ended.err)
    audit = re.search(r"^Audit = .*$", ended.out, re.MULTILINE)
    assert audit, said
    assert f"{len(ranks)} of " in audit[0]
    for rank in wrong:
        cores = rank["cores"]
        assert (
            f"{rank['host']} rank {rank['rank']} core{'' if cores.isdecimal() else 's'} {cores}" in audit[0]
        )
    read = result_file.read(str(started.json))
    assert read.audit
    assert [rank._asdict() for rank in read.audit.wrong] == wrong
    return ended


def wrong_ranks(ended: Ended) -> Sequence[dict[str, Any]]:
    """Return the ranks that the JSON file says are wrong."""
    assert ended.document
    found: list[dict[str, Any]] = ended.document["audit"]["wrong"]
    return found


def require_named(rank: dict[str, Any], job: Job, err: str) -> None:
    """Require that a wrong rank is named on standard error, and that it was wrong where this is said."""
    unit, counted, right = (rank[name] for name in ("unit", "counted", "right"))
    (hits,) = load().count(job, range(unit, unit + 1)).tolist()
    assert right == hits != counted
    where = rf"host {re.escape(rank['host'])}: rank {rank['rank']}, cores? {rank['cores']},"
    what = rf"counted {counted} hits in unit {unit}, which has {right}\b"
    assert re.search(f"{where} {what}", err), err
    assert 0 < rank["wrong_units"] <= rank["compared_units"]
