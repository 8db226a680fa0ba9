"""The report of `mpi-pi check-hosts`."""

from mpi_pi.cluster.host_check import HostCheck
from mpi_pi.cluster.ports import FEWER_PORTS, of_launcher
from mpi_pi.cluster.preflight import Preflight
from mpi_pi.report.blocks import Block, Lines, Table

HOW_TO_OPEN = """\
MPI connects any two of these hosts by TCP ports of its own choice. Where a firewall is in the way, let the
cluster's network through on each of them:
  sudo ufw allow from {network}
or let MPI choose from a few ports, and open those on each of them:
  export {variables}
  sudo ufw allow 50000:50499/tcp"""


def blocks(preflight: Preflight) -> list[Block]:
    """Return a table of the hosts, sentences about what is wrong, and how to open ports that are blocked."""
    everyone = [preflight.client, *preflight.hosts]
    sentences = [
        f"{one.name}: {sentence}"
        for one in everyone
        for sentence in (*one.problems, *(f"note: {note}" for note in one.notes))
    ]
    ready = ("Ready", f"{sum(not one.problems for one in preflight.hosts)} of {len(preflight.hosts)} hosts")
    table = Table([_row(one) for one in preflight.hosts])
    if not any(one.blocked for one in everyone):
        return [table, Lines([*sentences, ready])]
    variables = of_launcher(FEWER_PORTS, preflight.client.facts["launcher"])
    how_to_open = HOW_TO_OPEN.format(network=preflight.network, variables=variables)
    return [table, Lines(sentences), Lines([how_to_open]), Lines([ready])]


def _row(one: HostCheck) -> dict[str, str]:
    there = bool(one.facts)
    return {
        "host": one.name,
        "address": one.address or "-",
        "ssh": "here" if one.here else "ok" if there else "FAILED",
        "mpi_pi": one.facts.get("version", "MISSING" if there else "-"),
        "Python": one.facts.get("python", "-"),
        "MPI": one.facts.get("launcher", "-") or "MISSING",
        "ports": "-" if not one.ports else "BLOCKED" if one.blocked else "ok",
        "ready": "NO" if one.problems else "yes",
    }
