"""Facts about a host, its Python, and the environment at a path."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import struct
from pathlib import Path
from typing import Any

from mpi_pi.cluster.agent.commands import AgentError, run

RECORD = ".mpi-pi-deployed"
"""File in a deployed environment with the digest of what was installed."""

DESCRIBE_SECONDS = 8

_INQUIRY = """
import importlib.metadata, json, platform, mpi_pi
others = {}
for name in ("numpy", "numba", "mpi4py"):
    try:
        others[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps([platform.python_version(), mpi_pi.__version__, mpi_pi.__file__, others]))
"""


def describe_host(path: str, marker: str) -> dict[str, Any]:
    """Return facts for a deployment to `path`, which is shared with the client if it contains `marker`."""
    place = Path(path)
    try:
        shared = (place / marker).exists()
        foreign = is_foreign(place)
    except OSError as error:
        raise AgentError(f"{path} cannot be looked into: {error.strerror}") from error
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "bits": 8 * struct.calcsize("P"),
        "glibc": glibc(),
        "shared": shared,
        "foreign": foreign,
        "digest": _digest(place),
        "sources": next((fingerprint(found) for found in place.glob("lib/python*/site-packages/mpi_pi")), ""),
    }


def describe_environment(path: str, mpirun: str = "") -> dict[str, Any]:
    """Return facts about the environment at a path and the launcher, for a comparison between hosts."""
    place = Path(path)
    facts: dict[str, Any] = {"there": place.exists(), "problem": ""}
    try:
        if not os.access(str(place / "bin" / "mpi-pi"), os.X_OK):
            raise AgentError("it has no bin/mpi-pi")
        inquiry = [str(place / "bin" / "python"), "-P", "-c", _INQUIRY]
        printed = run(inquiry, "it does not start", DESCRIBE_SECONDS)
        python, version, module, others = json.loads(printed.splitlines()[-1])
        package = Path(module).parent
        source = (package / "version.py").read_text("utf-8")
        stream = re.search(r"^STREAM_VERSION = (\d+)", source, re.MULTILINE)
        facts.update(python=python, version=version, sources=fingerprint(package), **others)
        facts["stream"] = stream and stream[1]
    except (AgentError, OSError, ValueError, IndexError) as problem:
        facts["problem"] = str(problem)
    facts.update(launcher=launcher(place, mpirun), networks=_networks())
    facts["client"] = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]  # its address
    return facts


def chosen_mpirun(place: Path, mpirun: str = "") -> str:
    """Return `mpirun` if given, or else the path of the environment's mpirun, or the name of the system's."""
    own = place / "bin" / "mpirun"
    return mpirun or (str(own) if own.exists() else "mpirun")


def launcher(place: Path, mpirun: str = "") -> str:
    """Return name and version of the chosen mpirun, such as "Open MPI 5.0.11"; "" without an mpirun."""
    try:
        printed = run([chosen_mpirun(place, mpirun), "--version"], "mpirun", DESCRIBE_SECONDS)
    except AgentError:
        return ""
    for name, pattern in (("Open MPI", r"\((?:Open MPI|OpenRTE)\) (\S+)"), ("MPICH", r"Version:\s+(\S+)")):
        version = re.search(pattern, printed)
        if version:
            return f"{name} {version[1]}"
    return printed.strip().partition("\n")[0]


def fingerprint(folder: Path) -> str:
    """Return 12 hexadecimal digits that change with any module of a package, as `system.package` does."""
    contents = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        contents.update(f"{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return contents.hexdigest()[:12]


def is_foreign(place: Path) -> bool:
    """Return whether there is something at a path that no deployment has made."""
    empty = not os.path.lexists(str(place)) or (place.is_dir() and not any(place.iterdir()))
    return not empty and not (place / RECORD).is_file()


def occupied(path: str) -> str:
    """Return the error for a path with something that no deployment has made."""
    return f"{path} is there, and was not put there by a deployment: move it away, or remove it"


def glibc() -> str:
    """Return the version of glibc; "" if the C library is another one."""
    library, version = platform.libc_ver()
    return version if library == "glibc" else ""


def _digest(place: Path) -> str:
    try:
        return (place / RECORD).read_bytes().decode(errors="replace").strip()
    except (OSError, ValueError):
        return ""


def _networks() -> list[tuple[str, str]]:
    """Return name and IPv4 address (192.168.1.7/24) of the interfaces that are up, without the loopback."""
    try:
        links = json.loads(run(["ip", "-json", "-4", "address", "show", "up"], "ip", DESCRIBE_SECONDS))
    except (AgentError, ValueError):
        return []
    return [
        (link["ifname"], f"{address['local']}/{address['prefixlen']}")
        for link in links
        if "LOOPBACK" not in link.get("flags", [])
        for address in link.get("addr_info", [])
    ]
