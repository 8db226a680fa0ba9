"""Report of `mpi-pi check-hosts`."""

from mpi_pi.cluster.preflight import FEWER_PORTS, Examined, Preflight, of_launcher
from mpi_pi.report.blocks import Block, Line, Lines, Table

HOW_TO_OPEN = """\
MPI connects any two of these hosts by TCP ports of its own choice. Where a firewall is in the way, let the
cluster's network through on each of them:
  sudo ufw allow from {network}
or let MPI choose from a few ports, and open those on each of them:
  export {variables}
  sudo ufw allow 50000:50499/tcp"""


def blocks(found: Preflight) -> list[Block]:
    """Return a table of the hosts, their problems, and how many are ready."""
    everyone, ready = (found.client, *found.hosts), sum(not one.problems for one in found.hosts)
    last: Line = ("Ready", f"{ready} of {len(found.hosts)} hosts")
    sentences = [
        f"{one.name}: {text}"
        for one in everyone
        for text in (*one.problems, *(f"note: {remark}" for remark in one.remarks))
    ]
    table = Table([_cells(one) for one in found.hosts])
    if not any(one.blocked for one in everyone):
        return [table, Lines([*sentences, last])]
    variables = of_launcher(FEWER_PORTS, found.client.facts["launcher"])
    advice = HOW_TO_OPEN.format(network=found.network, variables=variables)
    return [table, Lines(sentences), Lines(advice.splitlines()), Lines([last])]


def _cells(one: Examined) -> dict[str, str]:
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
