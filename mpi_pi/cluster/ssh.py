"""Conversations with many hosts over ssh, at the same time, none of them without a limit in time."""

import contextlib
import json
import secrets
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from mpi_pi.cluster.hostfile import Host

CONNECT_SECONDS = 5
MAX_AT_ONCE = 64

OPTIONS = (
    "BatchMode=yes",  # nobody is there to answer questions
    f"ConnectTimeout={CONNECT_SECONDS}",
    "ServerAliveInterval=5",  # a host that falls silent is given up after 15 s
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "LogLevel=ERROR",  # no banners
)

T = TypeVar("T")
U = TypeVar("U")


class HostError(Exception):
    """What is wrong with a host, in a sentence that also says what to do."""


def ssh(host: Host) -> list[str]:
    """The command that leads to a host, but for what is to be done there."""
    options = [word for option in OPTIONS for word in ("-o", option)]
    return ["ssh", "-T", *options, *(["-p", str(host.port)] if host.port else []), "--", host.destination]


class SshSession:
    """A host that answers requests, by way of `on_host`. Begin and requests may raise Problem."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._mark = f"mpi-pi-{secrets.token_hex(8)}"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the session
        self._late = False
        program = Path(__file__).with_name("agent.py").read_bytes()
        # Nothing has to get through the host's shell but this: all else follows on standard input.
        read = f"import sys; exec(compile(sys.stdin.buffer.read({len(program)}), 'on_host', 'exec'))"
        try:
            self._ssh = subprocess.Popen(
                [*ssh(host), f"exec python3 -I -c {shlex.quote(read)}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,  # Ctrl-C is for the client, which then ends this in good order
            )
        except FileNotFoundError as error:
            raise HostError("there is no ssh here: sudo apt-get install openssh-client") from error
        except OSError as error:  # too many files are open, or processes
            raise HostError(f"ssh cannot be started here: {error.strerror}") from error
        self._greeting = program + f"{self._mark}\n".encode()

    def ask(self, seconds: float, do: str, files: Sequence[Path] = (), **arguments: Any) -> Any:
        """Have a function of `on_host` called there, and files sent to it; what it returned."""
        if files:
            arguments["files"] = [(file.name, file.stat().st_size) for file in files]
        request = json.dumps({"do": do, **arguments}).encode() + b"\n"
        limit = threading.Timer(seconds, self._give_up)
        limit.daemon = True
        limit.start()
        try:
            self._send(self._greeting + request, files)
            self._greeting = b""
            answer = self._answer()
        finally:
            limit.cancel()
        if answer is None:
            raise HostError(self._reason(seconds))
        if "refused" in answer:
            raise HostError(answer["refused"])
        return answer["done"]

    def _send(self, request: bytes, files: Sequence[Path]) -> None:
        assert self._ssh.stdin is not None  # noqa: S101  # for mypy
        try:
            self._ssh.stdin.write(request)
            for file in files:
                with file.open("rb") as content:
                    while part := content.read(1 << 20):
                        self._ssh.stdin.write(part)
            self._ssh.stdin.flush()
        except BrokenPipeError:
            pass  # it has hung up, and may have said why

    def _answer(self) -> dict[str, Any] | None:
        assert self._ssh.stdout is not None  # noqa: S101  # for mypy
        for line in self._ssh.stdout:
            mark, _, answer = line.decode(errors="replace").partition(" ")
            if mark == self._mark and line.endswith(b"\n"):  # and not cut off
                return dict(json.loads(answer))
        return None

    def _give_up(self) -> None:
        self._late = True
        self.kill()

    def kill(self) -> None:
        """End it at once; the host notices, and tidies up."""
        self._ssh.kill()

    def _reason(self, seconds: float) -> str:
        status = self._ssh.wait()
        if self._late:
            return f"it did not answer within {seconds:.0f} s: ssh {self.host.destination} uptime"
        self._said.seek(0)
        return explanation(self.host, status, self._said.read().decode(errors="replace"))

    def close(self) -> None:
        """Hang up, and give the host the time to tidy up."""
        if self._ssh.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._ssh.stdin.close()
        try:
            self._ssh.wait(5)
        except subprocess.TimeoutExpired:
            self._ssh.kill()
            self._ssh.wait()
        if self._ssh.stdout:
            self._ssh.stdout.close()
        self._said.close()


def explanation(host: Host, status: int, said: str) -> str:
    """Why ssh, or what it was to start, ended with that status, and what to do."""
    you, name = host.destination, host.name
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), f"status {status}")
    if status == 127 or "python3: not found" in said:
        return f"it has no python3: ssh -t {you} sudo apt-get install python3"
    if status != 255:
        return f"what was started there ended with status {status}: {last}"
    port = f" -p {host.port}" if host.port else ""
    known = f"[{name}]:{host.port}" if host.port else name
    reasons = {
        "IDENTIFICATION HAS CHANGED": (
            "its host key is not the one that was known. If the host was set up anew:"
            f" ssh-keygen -R {known}, then ssh{port} {you} once"
        ),
        "Host key verification failed": f"its host key is not known yet: ssh{port} {you} once, answer yes",
        "UNPROTECTED PRIVATE KEY": "ssh ignores a key that others can read: chmod 600 ~/.ssh/id_*",
        "Permission denied": f"ssh does not let us in without a password: ssh-copy-id{port} {you}",
        "Could not resolve": name_unknown(name),
        "Connection refused": refused(name),
        "timed out": silent(name),
        "No route to host": silent(name),
        "Network is unreachable": silent(name),
        "not responding": f"it has fallen silent: ping -c 3 {name}",
        "Connection closed": f"it hung up ({last}): see journalctl -u ssh there",
        "Connection reset": f"it hung up ({last}): see journalctl -u ssh there",
    }
    return next((sentence for words, sentence in reasons.items() if words in said), f"ssh failed: {last}")


def name_unknown(name: str) -> str:
    """Of a host without an address."""
    return f"the name {name} is not known here: use its address, or add a line with both to /etc/hosts"


def silent(name: str) -> str:
    """Of a host that does not react."""
    return f"no answer: is it switched on, and on this network? ping -c 3 {name}"


def refused(name: str) -> str:
    """Of a host that is there, but without sshd."""
    return f"{name} is on, but takes no ssh connections: on it, sudo systemctl enable --now ssh"


class SshPool:
    """Sessions with many hosts. A context manager, after which none is left, whatever happens."""

    def __init__(self) -> None:
        self._sessions: list[SshSession] = []
        self.over = False
        """Whether it was interrupted."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.each(SshSession.close, self._sessions)

    def open(self, host: Host) -> SshSession:
        """A new session."""
        if self.over:
            raise HostError("interrupted")
        self._sessions.append(SshSession(host))
        return self._sessions[-1]

    def each(self, work: Callable[[T], U], items: Sequence[T]) -> list[U]:
        """Do something for all of them at the same time; what came out."""
        if not items:
            return []
        with ThreadPoolExecutor(min(len(items), MAX_AT_ONCE)) as pool:
            try:
                return list(pool.map(work, items))
            except BaseException:  # Ctrl-C: nobody waits for what is under way
                self.over = True
                pool.shutdown(wait=False, cancel_futures=True)
                for session in self._sessions:
                    session.kill()
                raise
