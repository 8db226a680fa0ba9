"""Sessions with many hosts over ssh, at the same time, each with a time limit."""

import contextlib
import functools
import inspect
import json
import secrets
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from mpi_pi.cluster.agent import commands, environment, installation, job_end, network, server
from mpi_pi.cluster.host import Host
from mpi_pi.cluster.ssh_errors import HostError, explanation

CONNECT_SECONDS = 5
MAX_AT_ONCE = 64

OPTIONS = (
    "-T",
    "-oBatchMode=yes",  # nobody is there to answer questions
    f"-oConnectTimeout={CONNECT_SECONDS}",
    "-oServerAliveInterval=5",  # a host that falls silent is given up after 15 s
    "-oServerAliveCountMax=3",
    "-oClearAllForwardings=yes",
    "-oLogLevel=ERROR",  # no banners
)

AGENT = (commands, environment, installation, job_end, network, server)
"""The modules of the agent. Each imports earlier ones alone."""

T = TypeVar("T")


@functools.cache
def agent_program() -> str:
    """Return the text of the agent's program, for a Python without this package.

    The program executes the texts of the agent's modules, each under the name by which later ones import it.
    """
    texts = {module.__name__: inspect.getsource(module) for module in AGENT}
    return (
        f"import sys, types\nfor name, text in {texts!r}.items():\n"
        "    module = sys.modules[name] = types.ModuleType(name)\n"
        "    exec(compile(text, name, 'exec'), module.__dict__)\n"
        "module.serve()\n"
    )


class SshSession:
    """A connection to a host whose agent answers requests. The constructor and `ask` raise HostError."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._mark = f"mpi-pi-{secrets.token_hex(8)}"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the session
        self._late = False
        program = agent_program().encode()
        # The host's shell has to pass this line only; everything else follows on standard input.
        read = f"import sys; exec(compile(sys.stdin.buffer.read({len(program)}), 'agent', 'exec'))"
        try:
            self._ssh = subprocess.Popen(
                ["ssh", *OPTIONS, *host.ssh_arguments, f"exec python3 -I -c {shlex.quote(read)}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C is for the client, which then ends this in good order
            )
        except FileNotFoundError as error:
            raise HostError("there is no ssh here: sudo apt-get install openssh-client") from error
        except OSError as error:  # too many files are open, or processes
            raise HostError(f"ssh cannot be started here: {error.strerror}") from error
        assert self._ssh.stdin is not None and self._ssh.stdout is not None  # noqa: S101, PT018  # for mypy
        self._requests, self._answers = self._ssh.stdin, self._ssh.stdout
        self._greeting = program + f"{self._mark}\n".encode()

    def ask(self, seconds: float, do: str, files: Sequence[Path] = (), **arguments: Any) -> Any:
        """Call a function of the agent, and send files to it; return its result."""
        if files:
            arguments["files"] = [(file.name, file.stat().st_size) for file in files]
        request = json.dumps({"do": do, **arguments}).encode() + b"\n"
        limit = threading.Timer(seconds, self._give_up)
        limit.start()
        try:
            self._send(self._greeting + request, files)
            self._greeting = b""
            answer = self._answer()
        finally:
            limit.cancel()
        if answer is None:
            if self._late:
                uptime = f"ssh {self.host.destination} uptime"
                raise HostError(f"it did not answer within {seconds:.0f} s: {uptime}")
            status = self._ssh.wait()
            self._errors.seek(0)
            raise HostError(explanation(self.host, status, self._errors.read().decode(errors="replace")))
        if "refused" in answer:
            raise HostError(answer["refused"])
        return answer["done"]

    def _send(self, request: bytes, files: Sequence[Path]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is closed; the reason may be in the output
            self._requests.write(request)
            for file in files:
                with file.open("rb") as content:
                    shutil.copyfileobj(content, self._requests, 1 << 20)
            self._requests.flush()

    def _answer(self) -> dict[str, Any] | None:
        for line in self._answers:
            mark, _, answer = line.decode(errors="replace").partition(" ")
            if mark == self._mark and line.endswith(b"\n"):  # a line without its end is cut off
                return dict(json.loads(answer))
        return None

    def _give_up(self) -> None:
        self._late = True
        self.kill()

    def kill(self) -> None:
        """End the session at once; the agent notices, and removes temporary files."""
        self._ssh.kill()

    def close(self) -> None:
        """Close the connection after the agent has had time to remove temporary files."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        try:
            self._ssh.wait(5)
        except subprocess.TimeoutExpired:
            self._ssh.kill()
            self._ssh.wait()
        self._answers.close()
        self._errors.close()


class SshPool:
    """Sessions with many hosts, as a context manager that closes all of them."""

    def __init__(self) -> None:
        self._sessions: list[SshSession] = []
        self.interrupted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.each(SshSession.close, self._sessions)

    def open(self, host: Host) -> SshSession:
        """Return a new session. Raises HostError."""
        if self.interrupted:
            raise HostError("interrupted")
        self._sessions.append(SshSession(host))
        return self._sessions[-1]

    def each(self, work: Callable[[T], object], items: Sequence[T]) -> None:
        """Call `work` for all items, at most MAX_AT_ONCE at the same time."""
        with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
            try:
                list(pool.map(work, items))  # raises what `work` raises
            except BaseException:  # Ctrl-C: end the calls that are under way
                self.interrupted = True
                pool.shutdown(wait=False, cancel_futures=True)
                for session in self._sessions:
                    session.kill()
                raise
