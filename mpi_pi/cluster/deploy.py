"""Deployment of the client's environment to the same path on hosts that have Python and sshd."""

import itertools
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpi_pi.cluster import addresses, wheels
from mpi_pi.cluster.agent.environment import occupied
from mpi_pi.cluster.agent.installation import INSTALL_SECONDS, VERIFY_SECONDS
from mpi_pi.cluster.host import Host
from mpi_pi.cluster.pip import WheelsUnavailable
from mpi_pi.cluster.platforms import Platform, numbers
from mpi_pi.cluster.ssh import SshPool, SshSession
from mpi_pi.cluster.ssh_errors import HostError
from mpi_pi.system import package

ANSWER_SECONDS = 30
MARGIN_SECONDS = 30
"""Added to the time limits of the agent for those of the client."""

MARKER_PREFIX = ".mpi-pi-token-"
"""Beginning of the names of marker files."""

NOTHING, PACKAGE, EVERYTHING = "up to date", "mpi_pi renewed", "installed"
"""Plans for a host, which are also the outcomes in the report."""


@dataclass(eq=False)
class Target:
    """A host, and the state of its deployment."""

    host: Host
    marker: str = field(default_factory=lambda: f"{MARKER_PREFIX}{secrets.token_hex(8)}")
    """Name of a file on it, by which the agents of other hosts find out that they share its files."""
    session: SshSession = field(init=False)
    platform: Platform | None = None
    plan: str = ""
    files: list[Path] = field(default_factory=list)
    leader: "Target | None" = None
    """The first of the hosts that share its files, which installs for all of them."""
    outcome: str = ""
    problem: str = ""
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """True if the deployment to it has ended."""
        return bool(self.outcome or self.problem)


class Deployment:
    """A deployment to hosts, which calls `say` with lines of progress.

    The constructor and `run` raise WheelsUnavailable if there is nothing to deploy.
    """

    def __init__(self, hosts: Sequence[Host], say: Callable[[str], None]) -> None:
        if sys.prefix == sys.base_prefix:
            raise WheelsUnavailable(f"{sys.prefix} is no virtual environment: use make deploy")
        self.path = sys.prefix
        self._say, self._saying = say, threading.Lock()
        self.project = wheels.project(package.FOLDER.parent)
        self.targets = [Target(host) for host in hosts]
        self.pool = SshPool()

    def run(self) -> list[Target]:
        """Install what is missing; return the hosts with their outcomes."""
        try:
            # By this file hosts find out that they share the client's files.
            with tempfile.NamedTemporaryFile(prefix=MARKER_PREFIX, dir=self.path, delete=False) as file:
                marker = Path(file.name)
        except OSError as error:
            raise WheelsUnavailable(f"{self.path}: {error.strerror}") from error
        try:
            with self.pool:
                self._run(marker.name)
        finally:
            marker.unlink(missing_ok=True)
        return self.targets

    def _run(self, marker: str) -> None:
        self._each(lambda target: self._plan(target, marker), self.targets)
        changing = [target for target in self.targets if target.plan in (PACKAGE, EVERYTHING)]
        self._each(self._create_marker, changing)
        self._find_leaders([target for target in changing if not target.done])
        self._collect([target for target in changing if target.leader is target])
        self._each(self._finish, [target for target in self.targets if target.leader in (None, target)])
        self._each(self._finish, self.targets)

    def say(self, line: str) -> None:
        """Print a line of progress, from any thread."""
        with self._saying:
            self._say(line)

    def _each(self, step: Callable[[Target], object], targets: Sequence[Target]) -> None:
        """Call `step` for all targets that are not done, at the same time."""

        def take(target: Target) -> None:
            start = time.monotonic()
            try:
                step(target)
            except HostError as problem:
                target.problem = str(problem)
            target.seconds += time.monotonic() - start
            if target.done and not self.pool.interrupted:
                self.say(f"{target.host.name}: {'failed' if target.problem else target.outcome}")

        self.pool.each(take, [target for target in targets if not target.done])

    def _plan(self, target: Target, marker: str) -> None:
        """Find out which parts of the environment a host lacks."""
        if addresses.is_here(target.host):
            target.outcome = "this machine"
            return
        target.session = self.pool.open(target.host)
        facts = target.session.ask(ANSWER_SECONDS, "describe_host", path=self.path, marker=marker)
        target.platform = Platform(facts["python"], facts["machine"], facts["glibc"])
        if facts["shared"]:
            target.plan = "has the client's files"
        elif facts["foreign"]:
            raise HostError(occupied(self.path))
        elif facts["digest"] != self.project.digest(target.platform):
            require_fit(facts, self.project.least_python)
            target.plan = EVERYTHING
        else:
            target.plan = NOTHING if facts["sources"] == self.project.sources else PACKAGE

    def _create_marker(self, target: Target) -> None:
        session, host = target.session, target.host.destination
        session.ask(ANSWER_SECONDS, "create_marker", path=self.path, marker=target.marker, destination=host)

    def _find_leaders(self, targets: Sequence[Target]) -> None:
        """Find out which hosts share their files, by the markers of the others."""
        markers = [target.marker for target in targets]

        def find(target: Target) -> None:
            seen = target.session.ask(ANSWER_SECONDS, "find_markers", path=self.path, markers=markers)
            target.leader = next(itertools.compress(targets, seen), target)

        self._each(find, targets)
        self._each(lambda target: target.session.ask(ANSWER_SECONDS, "remove_markers"), targets)

    def _collect(self, targets: Sequence[Target]) -> None:
        """Collect the wheels that these hosts need, once for each kind of host."""
        for platform in dict.fromkeys(target.platform for target in targets if target.platform):
            alike = [target for target in targets if target.platform == platform]
            self.say(f"collecting wheels for Python {platform.python} on {platform.machine}")
            try:
                collected = wheels.collect(self.project, platform, self.say)
                own = wheels.build(self.project)
            except WheelsUnavailable as error:
                for target in alike:
                    target.problem = str(error)
                    self.say(f"{target.host.name}: failed")
                continue
            for target in alike:
                # For the package alone, pip is needed again.
                everything = target.plan == EVERYTHING
                target.files = [file for file in collected if everything or file.match("pip-*")] + [own]

    def _finish(self, target: Target) -> None:
        """Install the collected wheels, and verify that the program runs."""
        if target.files and target.platform:
            megabytes = sum(file.stat().st_size for file in target.files) / 1e6
            self.say(f"{target.host.name}: sending {megabytes:.0f} MB and installing")
            target.session.ask(
                INSTALL_SECONDS + MARGIN_SECONDS,
                "install",
                target.files,
                path=self.path,
                what=self.project.what,
                digest=self.project.digest(target.platform),
                fresh=target.plan == EVERYTHING,
            )
        elif target.leader:
            if target.leader.problem:
                raise HostError(f"it shares its files with {target.leader.host.name}, where this failed")
            target.plan = f"has the files of {target.leader.host.name}"
        target.session.ask(VERIFY_SECONDS + MARGIN_SECONDS, "verify", path=self.path)
        target.outcome = target.plan


def require_fit(facts: Mapping[str, Any], least_python: tuple[int, ...]) -> None:
    """Raise HostError if wheels cannot be installed on a host, given the result of `describe_host`."""
    python, machine = facts["python"], facts["machine"]
    if numbers(python) < least_python:
        least = ".".join(map(str, least_python))
        raise HostError(
            f"it has Python {python}, and mpi_pi needs {least} or newer,"
            " as in Raspberry Pi OS of 2023 (Debian 12) or later"
        )
    if facts["bits"] != 64:
        raise HostError(
            f"its system is a 32-bit one ({machine}), for which there are no wheels: use a 64-bit Raspberry"
            " Pi OS, or its own packages:"
            " sudo apt-get install openmpi-bin python3-mpi4py python3-numpy python3-tqdm"
        )
    if not facts["glibc"].startswith("2."):
        raise HostError("its C library is not glibc, for which the wheels are made: use a Debian or the like")
