"""Errors of ssh, explained, with a remedy."""

from mpi_pi.cluster.host import Host
from mpi_pi.errors import RunError
from mpi_pi.system.command import telling_line

NAME_UNKNOWN = "the name {name} is not known here: use its address, or add a line with both to /etc/hosts"
SILENT = "no answer: is it switched on, and on this network? ping -c 3 {name}"
REFUSED = "{name} is on, but takes no ssh connections: on it, sudo systemctl enable --now ssh"
_CLOSED = "it hung up ({last}): see journalctl -u ssh there"

_EXPLANATIONS = {
    "IDENTIFICATION HAS CHANGED": (
        "its host key is not the one that was known. If the host was set up anew:"
        " ssh-keygen -R {known}, then ssh{port} {you} once"
    ),
    "Host key verification failed": "its host key is not known yet: ssh{port} {you} once, answer yes",
    "UNPROTECTED PRIVATE KEY": "ssh ignores a key that others can read: chmod 600 ~/.ssh/id_*",
    "Permission denied": "ssh does not let us in without a password: ssh-copy-id{port} {you}",
    "Could not resolve": NAME_UNKNOWN,
    "Connection refused": REFUSED,
    "timed out": SILENT,
    "No route to host": SILENT,
    "Network is unreachable": SILENT,
    "not responding": "it has fallen silent: ping -c 3 {name}",
    "Connection closed": _CLOSED,
    "Connection reset": _CLOSED,
}
"""Explanations by a part of what ssh prints; the first one that fits holds."""


class HostError(RunError):
    """A problem with a host; the text also says what to do."""


def explanation(host: Host, status: int, errors: str) -> str:
    """Return an explanation of an exit status of ssh, given what it or the remote command has printed."""
    you, name = host.destination, host.name
    last = telling_line(errors) or f"status {status}"
    if status == 127 or "python3: not found" in errors:
        return f"it has no python3: ssh -t {you} sudo apt-get install python3"
    if status != 255:
        return f"what was started there ended with status {status}: {last}"
    port = f" -p {host.port}" if host.port else ""
    known = f"[{name}]:{host.port}" if host.port else name
    found = next((text for part, text in _EXPLANATIONS.items() if part in errors), "ssh failed: {last}")
    return found.format(name=name, you=you, port=port, known=known, last=last)
