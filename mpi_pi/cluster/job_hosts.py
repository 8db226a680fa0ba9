"""The hosts of a job that is started again and again: which of them answer; the end of what is left there."""

from collections.abc import Collection, Sequence
from pathlib import Path

from mpi_pi.cluster import addresses, hostfile
from mpi_pi.cluster.agent.job_end import end_job
from mpi_pi.cluster.host import Host, HostList
from mpi_pi.cluster.ssh import SshPool
from mpi_pi.cluster.ssh_errors import HostError

ANSWER_SECONDS = 15
"""Time for a host to answer, and to end what is left of a job."""


class JobHosts:
    """The hosts of a hostfile in the format of a launcher. Raises HostfileError."""

    def __init__(self, path: str, launcher: str) -> None:
        self._found: HostList = hostfile.read(path, launcher)

    @property
    def hosts(self) -> Sequence[Host]:
        """All hosts of the file."""
        return self._found.hosts

    def slots(self, without: Collection[Host] = ()) -> list[int | None]:
        """Return the slots of each line of the file without these hosts; None for a line without slots."""
        return [line.slots for line in self._found.lines if line.host not in without]

    def write(self, place: Path, without: Collection[Host]) -> None:
        """Write a hostfile without some hosts."""
        dropped = {line.number for line in self._found.lines if line.host in without}
        lines = self._found.text.split("\n")
        kept = ["" if number in dropped else line for number, line in enumerate(lines, start=1)]
        place.write_text("\n".join(kept), "latin-1")


def end_job_on(hosts: Collection[Host], marks: Collection[str], age: float) -> dict[Host, str]:
    """End what is left of a job here and on hosts, at the same time; return why hosts do not answer.

    The arguments are those of `agent.job_end.end_job`.
    """
    problems: dict[Host, str] = {}
    end_job(list(marks), age)
    with SshPool() as pool:

        def end_on(host: Host) -> None:
            if addresses.is_here(host):
                return
            try:
                pool.open(host).ask(ANSWER_SECONDS, "end_job", marks=list(marks), age=age)
            except HostError as problem:
                problems[host] = str(problem)

        pool.each(end_on, list(hosts))
    return {host: problems[host] for host in hosts if host in problems}
