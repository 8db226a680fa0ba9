"""The client's environment, installed at the same path on hosts that have no more than Python and sshd."""

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
from mpi_pi.cluster.agent import INSTALL_SECONDS, VERIFY_SECONDS, occupied
from mpi_pi.cluster.hostfile import Host
from mpi_pi.cluster.ssh import HostError, SshPool, SshSession
from mpi_pi.system import package

ANSWER_SECONDS = 30
MARGIN_SECONDS = 30
"""By which the client waits longer than the host allows itself."""


NOTHING, PACKAGE, EVERYTHING = "up to date", "mpi_pi renewed", "installed"
"""What there is to be done to a host; and then what has been done."""


@dataclass(eq=False)
class Target:
    """A host, and how far the deployment has got there."""

    host: Host
    token: str
    session: SshSession | None = None
    target: wheels.Platform | None = None
    plan: str = ""
    files: list[Path] = field(default_factory=list)
    leader: "Target | None" = None
    """The first of the hosts that share this one's files, which installs for all of them."""
    done: str = ""
    problem: str = ""
    seconds: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return bool(self.done or self.problem)

    def ask(self, seconds: float, do: str, files: Sequence[Path] = (), **arguments: Any) -> Any:
        """Have it do something. Raises HostError."""
        if self.session is None:
            raise HostError("there is no connection")
        return self.session.ask(seconds, do, files, **arguments)


def deploy(hosts: Sequence[Host], say: Callable[[str], None]) -> Sequence[Target]:
    """Deploy to these hosts; return what has become of each of them.

    `say` is called with lines on the progress. Raises wheels.WheelsUnavailable if there is nothing to be
    deployed.
    """
    deployment = Deployment(hosts, say)
    deployment.run()
    return deployment.sites


class Deployment:
    """To these hosts. `say` is told of progress, in lines."""

    def __init__(self, hosts: Sequence[Host], say: Callable[[str], None]) -> None:
        """Raises wheels.WheelsUnavailable where there is nothing that could be deployed."""
        if sys.prefix == sys.base_prefix:
            raise wheels.WheelsUnavailable(f"{sys.prefix} is no virtual environment: use make deploy")
        self.path = sys.prefix
        self._say, self._saying = say, threading.Lock()
        self.project = wheels.project(package.FOLDER.parent)
        self.token = f".mpi-pi-token-{secrets.token_hex(8)}"
        self.sites = [Target(host, f"{self.token}-{index}") for index, host in enumerate(hosts)]
        self.fleet = SshPool()

    def run(self) -> None:
        """Install what is missing."""
        with self._own_token(), self.fleet:
            self._each(self._look, self.sites)
            changing = [site for site in self.sites if site.plan in (PACKAGE, EVERYTHING)]
            self._each(self._claim, changing)
            self._find_leaders([site for site in changing if not site.over])
            self._collect([site for site in changing if site.leader is site])
            self._each(self._finish, [site for site in self.sites if site.leader in (None, site)])
            self._each(self._finish, self.sites)

    def say(self, line: str) -> None:
        """Tell of progress, one line at a time."""
        with self._saying:
            self._say(line)

    def _each(self, step: Callable[[Target], None], sites: Sequence[Target]) -> None:
        """Take a step with all that are not over yet, at the same time."""

        def take(site: Target) -> None:
            start = time.monotonic()
            try:
                step(site)
            except HostError as problem:
                site.problem = str(problem)
            site.seconds += time.monotonic() - start
            if site.over and not self.fleet.over:
                self.say(f"{site.host.name}: {'failed' if site.problem else site.done}")

        self.fleet.each(take, [site for site in sites if not site.over])

    @contextlib.contextmanager
    def _own_token(self) -> Iterator[None]:
        """A file by which hosts recognise the client's own files."""
        file = Path(self.path) / self.token
        try:
            file.touch()
        except OSError as error:
            raise wheels.WheelsUnavailable(f"{self.path}: {error.strerror}") from error
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    def _look(self, site: Target) -> None:
        """Find out what there is to be done."""
        if addresses.is_here(site.host):
            site.done = "this machine"
            return
        site.session = self.fleet.open(site.host)
        facts = site.ask(ANSWER_SECONDS, "look", path=self.path, token=self.token)
        site.target = wheels.Platform(facts["python"], facts["machine"], facts["glibc"])
        if facts["shared"]:
            site.plan = "has the client's files"
        elif facts["kind"] == "other":
            raise HostError(occupied(self.path))
        elif facts["digest"] != self.project.digest(site.target):
            require_fit(facts, self.project.least_python)
            site.plan = EVERYTHING
        else:
            site.plan = NOTHING if facts["sources"] == self.project.sources else PACKAGE

    def _claim(self, site: Target) -> None:
        site.ask(ANSWER_SECONDS, "claim", path=self.path, token=site.token, you=site.host.destination)

    def _find_leaders(self, sites: Sequence[Target]) -> None:
        """Find out which hosts share their files, by the tokens that they have left."""
        tokens = [site.token for site in sites]

        def see(site: Target) -> None:
            seen = site.ask(ANSWER_SECONDS, "see", path=self.path, tokens=tokens)
            shared = (other for other, there in zip(sites, seen, strict=True) if there)
            site.leader = next(shared, site)

        self._each(see, sites)
        self._each(lambda site: site.ask(ANSWER_SECONDS, "forget"), sites)

    def _collect(self, sites: Sequence[Target]) -> None:
        """Get the wheels that these hosts need; which has to be done once for each kind of host."""
        for target in dict.fromkeys(site.target for site in sites if site.target):
            alike = [site for site in sites if site.target == target]
            self.say(f"collecting wheels for Python {target.python} on {target.machine}")
            try:
                collected = wheels.collect(self.project, target, self.say)
                own = wheels.build(self.project)
            except wheels.WheelsUnavailable as error:
                for site in alike:
                    site.problem = str(error)
                    self.say(f"{site.host.name}: failed")
                continue
            for site in alike:
                # For a package alone, pip is needed again.
                site.files = [file for file in collected if site.plan == EVERYTHING or file.match("pip-*")]
                site.files.append(own)

    def _finish(self, site: Target) -> None:
        """Install what has been collected, and see whether it runs."""
        if site.files and site.target:
            megabytes = sum(file.stat().st_size for file in site.files) / 1e6
            self.say(f"{site.host.name}: sending {megabytes:.0f} MB and installing")
            site.ask(
                INSTALL_SECONDS + MARGIN_SECONDS,
                "install",
                site.files,
                path=self.path,
                what=self.project.what,
                digest=self.project.digest(site.target),
                anew=site.plan == EVERYTHING,
            )
        elif site.leader:
            if site.leader.problem:
                raise HostError(f"it shares its files with {site.leader.host.name}, where this failed")
            site.plan = f"has the files of {site.leader.host.name}"
        site.ask(VERIFY_SECONDS + MARGIN_SECONDS, "verify", path=self.path)
        site.done = site.plan


def require_fit(facts: Mapping[str, Any], least_python: tuple[int, ...]) -> None:
    """Raise Problem where wheels cannot be installed."""
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
