"""Deployment of the client's environment to the same path on hosts that have only Python and sshd."""

import contextlib
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpi_pi.cluster import addresses, wheels
from mpi_pi.cluster.agent.environment import occupied
from mpi_pi.cluster.agent.installation import INSTALL_SECONDS, VERIFY_SECONDS
from mpi_pi.cluster.host import Host
from mpi_pi.cluster.ssh import SshPool, SshSession
from mpi_pi.cluster.ssh_errors import HostError
from mpi_pi.system import package

ANSWER_SECONDS = 30
MARGIN_SECONDS = 30
"""How much longer the client waits than the host allows itself."""

NOTHING, PACKAGE, EVERYTHING = "up to date", "mpi_pi renewed", "installed"
"""What there is to be done to a host, in the words for when it has been done."""


@dataclass(eq=False)
class Target:
    """A host, and how far the deployment has got there."""

    host: Host
    marker: str
    """Name of the file that it leaves for others to see whether they share its files."""
    session: SshSession | None = None
    platform: wheels.Platform | None = None
    plan: str = ""
    files: list[Path] = field(default_factory=list)
    leader: "Target | None" = None
    """The first of the hosts that share this one's files, which installs for all of them."""
    outcome: str = ""
    problem: str = ""
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether nothing more will happen to it."""
        return bool(self.outcome or self.problem)

    def ask(self, seconds: float, do: str, files: Sequence[Path] = (), **arguments: Any) -> Any:
        """Have its agent do something. Raises HostError."""
        if self.session is None:
            raise HostError("there is no connection")
        return self.session.ask(seconds, do, files, **arguments)


def deploy(hosts: Sequence[Host], say: Callable[[str], None]) -> list[Target]:
    """Deploy to these hosts, and return what became of each.

    `say` is called with lines of progress. Raises WheelsUnavailable where there is nothing to be deployed.
    """
    deployment = Deployment(hosts, say)
    deployment.run()
    return deployment.targets


class Deployment:
    """A deployment to hosts. The constructor and `run` raise WheelsUnavailable; see `deploy`."""

    def __init__(self, hosts: Sequence[Host], say: Callable[[str], None]) -> None:
        if sys.prefix == sys.base_prefix:
            raise wheels.WheelsUnavailable(f"{sys.prefix} is no virtual environment: use make deploy")
        self.path = sys.prefix
        self._say, self._saying = say, threading.Lock()
        self.project = wheels.project(package.FOLDER.parent)
        self.marker = f".mpi-pi-token-{secrets.token_hex(8)}"
        self.targets = [Target(host, f"{self.marker}-{index}") for index, host in enumerate(hosts)]
        self.pool = SshPool()

    def run(self) -> None:
        """Install what is missing."""
        with self._own_marker(), self.pool:
            self._each(self._plan, self.targets)
            changing = [target for target in self.targets if target.plan in (PACKAGE, EVERYTHING)]
            self._each(self._create_marker, changing)
            self._find_leaders([target for target in changing if not target.done])
            self._collect([target for target in changing if target.leader is target])
            self._each(self._finish, [target for target in self.targets if target.leader in (None, target)])
            self._each(self._finish, self.targets)

    def say(self, line: str) -> None:
        """Tell of progress, one line at a time."""
        with self._saying:
            self._say(line)

    def _each(self, step: Callable[[Target], object], targets: Sequence[Target]) -> None:
        """Take a step with all targets that are not done, at the same time."""

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

    @contextlib.contextmanager
    def _own_marker(self) -> Iterator[None]:
        """Create a file by which hosts recognise the client's own files."""
        file = Path(self.path) / self.marker
        try:
            file.touch()
        except OSError as error:
            raise wheels.WheelsUnavailable(f"{self.path}: {error.strerror}") from error
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    def _plan(self, target: Target) -> None:
        """Find out what there is to be done."""
        if addresses.is_here(target.host):
            target.outcome = "this machine"
            return
        target.session = self.pool.open(target.host)
        facts = target.ask(ANSWER_SECONDS, "describe_host", path=self.path, marker=self.marker)
        target.platform = wheels.Platform(facts["python"], facts["machine"], facts["glibc"])
        if facts["shared"]:
            target.plan = "has the client's files"
        elif facts["kind"] == "other":
            raise HostError(occupied(self.path))
        elif facts["digest"] != self.project.digest(target.platform):
            require_fit(facts, self.project.least_python)
            target.plan = EVERYTHING
        else:
            target.plan = NOTHING if facts["sources"] == self.project.sources else PACKAGE

    def _create_marker(self, target: Target) -> None:
        host = target.host.destination
        target.ask(ANSWER_SECONDS, "create_marker", path=self.path, marker=target.marker, destination=host)

    def _find_leaders(self, targets: Sequence[Target]) -> None:
        """Find out which hosts share their files, by the markers that they have left."""
        markers = [target.marker for target in targets]

        def find(target: Target) -> None:
            seen = target.ask(ANSWER_SECONDS, "find_markers", path=self.path, markers=markers)
            shared = (other for other, there in zip(targets, seen, strict=True) if there)
            target.leader = next(shared, target)

        self._each(find, targets)
        self._each(lambda target: target.ask(ANSWER_SECONDS, "remove_markers"), targets)

    def _collect(self, targets: Sequence[Target]) -> None:
        """Collect the wheels that these hosts need, once for each kind of host."""
        for platform in dict.fromkeys(target.platform for target in targets if target.platform):
            alike = [target for target in targets if target.platform == platform]
            self.say(f"collecting wheels for Python {platform.python} on {platform.machine}")
            try:
                collected = wheels.collect(self.project, platform, self.say)
                own = wheels.build(self.project)
            except wheels.WheelsUnavailable as error:
                for target in alike:
                    target.problem = str(error)
                    self.say(f"{target.host.name}: failed")
                continue
            for target in alike:
                # For a package alone, pip is needed again.
                everything = target.plan == EVERYTHING
                target.files = [file for file in collected if everything or file.match("pip-*")] + [own]

    def _finish(self, target: Target) -> None:
        """Install what has been collected, and verify that it runs."""
        if target.files and target.platform:
            megabytes = sum(file.stat().st_size for file in target.files) / 1e6
            self.say(f"{target.host.name}: sending {megabytes:.0f} MB and installing")
            target.ask(
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
        target.ask(VERIFY_SECONDS + MARGIN_SECONDS, "verify", path=self.path)
        target.outcome = target.plan


def require_fit(facts: Mapping[str, Any], least_python: tuple[int, ...]) -> None:
    """Raise HostError for a host where wheels cannot be installed, by what `describe_host` tells of it."""
    python, machine = facts["python"], facts["machine"]
    if tuple(map(int, re.findall(r"\d+", python)))[: len(least_python)] < least_python:
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
