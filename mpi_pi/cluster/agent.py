"""What `deploy` and `check-hosts` do on a host: its text is sent there by ssh, to the host's own python3.

So it needs nothing but Python's standard library, and can be read by versions that are too old for the rest.
A request is a line of JSON, with files after it where it says so. Each is answered by a line that begins with
a mark, since hosts may print things of their own. A request that is refused is the last one. In the end, also
when the client is gone, nothing temporary stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import platform
import re
import select
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

RECORD = ".mpi-pi-deployed"
"""The file in an environment that says that it is one of ours, and what was installed there."""

WHEELS = ".mpi-pi-wheels"
"""The folder in it where wheels are until they are installed."""

INSTALL_SECONDS = 900
VERIFY_SECONDS = 300
"""The kernel is compiled here, which takes a Raspberry Pi a while."""

DESCRIBE_SECONDS = 8
CONNECT_SECONDS = 3

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

_serving = False
_tokens: list[Path] = []


class AgentError(Exception):
    """Something that cannot be done here; says why, and what to do."""


def look(path: str, token: str) -> dict[str, Any]:
    """What kind of host this is, and what there is at the path of the environment."""
    place = Path(path)
    try:
        shared = (place / token).exists()
        kind = _kind(place)
    except OSError as error:
        raise AgentError(f"{path} cannot be looked into: {error.strerror}") from error
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "bits": 8 * struct.calcsize("P"),
        "glibc": glibc(),
        "shared": shared,
        "kind": kind,
        "digest": _digest(place),
        "sources": next((fingerprint(found) for found in place.glob("lib/python*/site-packages/mpi_pi")), ""),
    }


def claim(path: str, token: str, you: str) -> None:
    """Make the folder that the environment will be in, and leave a token there for other hosts to see."""
    parent = Path(path).parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _tokens.append(parent / token)
        _tokens[-1].touch()
    except PermissionError as error:
        make = f"sudo install -d -o {shlex.quote(getpass.getuser())} {shlex.quote(str(parent))}"
        raise AgentError(
            f"{getpass.getuser()} may not write to {parent}: ssh -t {you} {shlex.quote(make)}"
        ) from error
    except OSError as error:
        raise AgentError(f"{parent} cannot be written to: {error.strerror}") from error


def see(path: str, tokens: list[str]) -> list[bool]:
    """Which of the tokens are here. Asked for one by one: a network's file system may list old news."""
    return [(Path(path).parent / token).exists() for token in tokens]


def forget() -> None:
    """Remove the tokens left here."""
    while _tokens:
        with contextlib.suppress(OSError):
            _tokens.pop().unlink()


def install(path: str, what: str, digest: str, anew: bool, files: list[tuple[str, int]]) -> None:
    """Install `what` from wheels that follow, names and sizes of which are given, and note the digest.

    `anew`: into a new environment, of which nothing is left if that fails. Otherwise that package alone is
    replaced, in the one that is there.
    """
    place = Path(path)
    wheels = place / WHEELS
    if _kind(place) == "other":
        raise AgentError(occupied(path))
    place.mkdir(exist_ok=True)
    with _locked(place / RECORD) as record:
        try:
            if anew:
                _empty(place, but=RECORD)
                _write(record, "")
            wheels.mkdir(exist_ok=True)
            for name, size in files:
                _receive(wheels / Path(name).name, size)
            if anew:
                _must([sys.executable, "-m", "venv", "--without-pip", path], "the environment cannot be made")
            _pip(place, what, anew)
            _write(record, digest)
        except BaseException:
            if anew:
                _empty(place)
                with contextlib.suppress(OSError):
                    place.rmdir()
            raise
        finally:
            shutil.rmtree(str(wheels), ignore_errors=True)


def verify(path: str) -> str:
    """Run what has been installed: the version that it tells. Its kernel is compiled and kept for later."""
    program = str(Path(path) / "bin" / "mpi-pi")
    try:
        with tempfile.TemporaryDirectory(prefix="mpi-pi-") as folder:  # where MPI may leave things
            settings = {**os.environ, "TMPDIR": folder}
            version = _must([program, "--version"], "it does not start", VERIFY_SECONDS, settings)
            _must([program, "run", "-n", "1", "-i", "1"], "it does not run", VERIFY_SECONDS, settings)
    except AgentError:
        with contextlib.suppress(OSError):  # so that it will be made anew
            if (Path(path) / RECORD).exists():
                (Path(path) / RECORD).write_text("")
        raise
    return version.split()[-1]


def describe(path: str, mpirun: str = "") -> dict[str, Any]:
    """What a check compares: the environment at the path, its program and the launcher."""
    place = Path(path)
    facts: dict[str, Any] = {"there": place.exists(), "problem": ""}
    try:
        if not os.access(str(place / "bin" / "mpi-pi"), os.X_OK):
            raise AgentError("it has no bin/mpi-pi")
        told = _must(
            [str(place / "bin" / "python"), "-P", "-c", _INQUIRY], "it does not start", DESCRIBE_SECONDS
        )
        python, version, module, others = json.loads(told.splitlines()[-1])
        package = Path(module).parent
        stream = re.search(
            r"^STREAM_VERSION = (\d+)", (package / "version.py").read_text("utf-8"), re.MULTILINE
        )
        facts.update(
            python=python,
            version=version,
            sources=fingerprint(package),
            stream=stream and stream[1],
            **others,
        )
    except (AgentError, OSError, ValueError, IndexError) as problem:
        facts["problem"] = str(problem)
    facts.update(launcher=launcher(place, mpirun), networks=_networks())
    facts["client"] = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]  # its address, as seen from here
    return facts


def listen(ranges: Sequence[tuple[int, int]], token: str) -> list[int]:
    """Open a port in each of the ranges, the first that is free, and tell the token to all who connect.

    (0, 0) is any port, as the system deals them out; 0 in the answer, that none was free.
    """
    ports = []
    for low, high in ranges:
        listener = _bound(low, high)
        ports.append(listener.getsockname()[1] if listener else 0)
        if listener:
            threading.Thread(target=_tell, args=(listener, token.encode()), daemon=True).start()
    return ports


def connect(peers: Sequence[tuple[str, int, str]]) -> list[str]:
    """Try to reach all who listen, given as address, port and token, at once; what went wrong, or ""."""
    results = [""] * len(peers)

    def attempt(index: int) -> None:
        results[index] = reach(*peers[index])

    threads = [threading.Thread(target=attempt, args=(index,)) for index in range(len(peers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def reach(address: str, port: int, token: str = "") -> str:
    """Connect, and wait for the token if there is one; what went wrong, or ""."""
    try:
        with socket.create_connection((address, port), CONNECT_SECONDS) as connection:
            connection.settimeout(CONNECT_SECONDS)
            heard = b""
            while len(heard) < len(token):
                part = connection.recv(100)
                if not part:
                    break
                heard += part
            return "" if heard == token.encode() else "something else answers there"
    except socket.timeout:  # noqa: UP041  # another error before Python 3.10
        return "no answer"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def chosen_mpirun(place: Path, mpirun: str = "") -> str:
    """Return that mpirun, or the environment's own, or else the name of the system's."""
    own = place / "bin" / "mpirun"
    return mpirun or (str(own) if own.exists() else "mpirun")


def launcher(place: Path, mpirun: str = "") -> str:
    """The chosen mpirun in words; empty if there is none."""
    try:
        told = _must([chosen_mpirun(place, mpirun), "--version"], "mpirun", DESCRIBE_SECONDS)
    except AgentError:
        return ""
    open_mpi = re.search(r"\((?:Open MPI|OpenRTE)\) (\S+)", told)
    hydra = re.search(r"Version:\s+(\S+)", told)
    if open_mpi or hydra:
        return f"Open MPI {open_mpi[1]}" if open_mpi else f"MPICH {hydra[1] if hydra else ''}"
    return told.strip().partition("\n")[0]


def fingerprint(folder: Path) -> str:
    """Of the source of a package: what is being edited keeps its version."""
    contents = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        contents.update(f"{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return contents.hexdigest()[:12]


def _kind(place: Path) -> str:
    if not os.path.lexists(str(place)) or (place.is_dir() and not any(place.iterdir())):
        return "nothing"
    return "ours" if (place / RECORD).is_file() else "other"


def occupied(path: str) -> str:
    """Of something else at the path of the environment."""
    return f"{path} is there, and was not put there by a deployment: move it away, or remove it"


def _digest(place: Path) -> str:
    try:
        return (place / RECORD).read_bytes().decode(errors="replace").strip()
    except (OSError, ValueError):
        return ""


def glibc() -> str:
    """The version of the C library; empty if it is another one."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").rpartition(" ")[2]
    except (OSError, ValueError):
        return ""


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[Any]:
    with file.open("a+") as record:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AgentError(
                f"another deployment is at work on {file.parent}: wait until it is done"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield record


def _write(record: Any, digest: str) -> None:
    record.truncate(0)
    record.write(digest + "\n")
    record.flush()
    os.fsync(record.fileno())


def _empty(place: Path, but: str = "") -> None:
    for entry in list(place.iterdir()):
        if entry.name == but:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry), ignore_errors=True)
        else:
            entry.unlink()


def _receive(file: Path, size: int) -> None:
    with file.open("wb") as output:
        while size > 0:
            part = sys.stdin.buffer.read(min(size, 1 << 20))
            if not part:
                raise AgentError("the client is gone")
            output.write(part)
            size -= len(part)


def _pip(place: Path, what: str, anew: bool) -> None:
    """Run pip from its own wheel: a host need not have it."""
    wheels = place / WHEELS
    pip = next(wheels.glob("pip-*.whl")) / "pip"
    # Modules are compiled when they are first used, by a run that follows. A slow disk is spared the others.
    options = ["--no-index", "--no-compile", "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    options += ["--no-warn-script-location", "--root-user-action=ignore", f"--find-links={wheels}"]
    if not anew:
        options += ["--no-deps", "--force-reinstall"]
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    settings["PIP_CONFIG_FILE"] = os.devnull
    command = [str(place / "bin" / "python"), "-I", str(pip), "install", *options, what]
    _must(command, "the packages cannot be installed", settings=settings)


def _must(command: list[str], otherwise: str, seconds: float = INSTALL_SECONDS, settings: Any = None) -> str:
    """The output of a command.

    Raises AgentError if it fails, takes too long, or the client is gone by then.
    """
    end = time.monotonic() + seconds
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=settings
        )
    except OSError as error:
        raise AgentError(f"{otherwise}: {command[0]}: {error.strerror}") from error
    output = b""
    with child:
        assert child.stdout is not None  # noqa: S101  # for mypy
        while True:
            watched = [child.stdout, *([sys.stdin] if _serving else [])]
            ready = select.select(watched, [], [], max(0.0, end - time.monotonic()))[0]
            if child.stdout not in ready:  # the client asks for nothing before it has an answer
                child.kill()
                raise AgentError(
                    "the client is gone" if ready else f"{otherwise}: not done after {seconds:.0f} s"
                )
            part = os.read(child.stdout.fileno(), 1 << 16)
            output += part
            if not part:
                break
    text = output.decode(errors="replace")
    if child.returncode:
        raise AgentError(f"{otherwise}: {_last_line(text) or f'status {child.returncode}'}")
    return text


def _last_line(text: str) -> str:
    """The line that is most likely to tell what was wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)]
    return (errors or lines or [""])[-1]


def _networks() -> list[tuple[str, str]]:
    """The interfaces that are up, but for the loopback, with address and length of prefix."""
    try:
        links = json.loads(_must(["ip", "-json", "-4", "address", "show", "up"], "ip", DESCRIBE_SECONDS))
    except (AgentError, ValueError):
        return []
    return [
        (link["ifname"], f"{address['local']}/{address['prefixlen']}")
        for link in links
        if "LOOPBACK" not in link.get("flags", [])
        for address in link.get("addr_info", [])
    ]


def _bound(low: int, high: int) -> socket.socket | None:
    for port in range(low, high + 1):
        listener = socket.socket()
        try:
            listener.bind(("", port))
            listener.listen(64)
        except OSError:
            listener.close()
        else:
            return listener
    return None


def _tell(listener: socket.socket, token: bytes) -> None:
    while True:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.sendall(token)


_ACTIONS: dict[str, Callable[..., Any]] = {
    action.__name__: action
    for action in (look, claim, see, forget, install, verify, describe, listen, connect)
}


def serve() -> None:
    """Answer requests until there are no more."""
    global _serving
    _serving = True
    mark = sys.stdin.buffer.readline().decode().strip()
    try:
        for line in iter(sys.stdin.buffer.readline, b""):
            request = json.loads(line.decode())
            try:
                answer = {"done": _ACTIONS[request.pop("do")](**request)}
            except AgentError as refused:
                answer = {"refused": str(refused)}
            except OSError as error:
                answer = {"refused": f"{error.filename or ''}: {error.strerror}".lstrip(": ")}
            sys.stdout.write(f"\n{mark} {json.dumps(answer)}\n")
            sys.stdout.flush()
            if "refused" in answer:
                break
    finally:
        forget()


if __name__ == "__main__":
    serve()
