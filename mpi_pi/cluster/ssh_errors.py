"""Errors of ssh, explained, with what to do."""

from mpi_pi.cluster.host import Host
from mpi_pi.errors import RunError
from mpi_pi.system.command import telling_line


class HostError(RunError):
    """Something wrong with a host, in a sentence that also says what to do."""


def explanation(host: Host, status: int, errors: str) -> str:
    """Return why ssh, or what it was to start, ended with that status and these errors, and what to do."""
    you, name = host.destination, host.name
    last = telling_line(errors) or f"status {status}"
    if status == 127 or "python3: not found" in errors:
        return f"it has no python3: ssh -t {you} sudo apt-get install python3"
    if status != 255:
        return f"what was started there ended with status {status}: {last}"
    port = f" -p {host.port}" if host.port else ""
    known = f"[{name}]:{host.port}" if host.port else name
    closed = f"it hung up ({last}): see journalctl -u ssh there"
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
        "Connection closed": closed,
        "Connection reset": closed,
    }
    return next((sentence for words, sentence in reasons.items() if words in errors), f"ssh failed: {last}")


def name_unknown(name: str) -> str:
    """Return what to say of a host without an address."""
    return f"the name {name} is not known here: use its address, or add a line with both to /etc/hosts"


def silent(name: str) -> str:
    """Return what to say of a host that does not react."""
    return f"no answer: is it switched on, and on this network? ping -c 3 {name}"


def refused(name: str) -> str:
    """Return what to say of a host that is there, but without sshd."""
    return f"{name} is on, but takes no ssh connections: on it, sudo systemctl enable --now ssh"
