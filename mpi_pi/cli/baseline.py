"""The option --baseline FILE of `mpi-pi check`."""

import platform
from collections.abc import Sequence

from mpi_pi.check import document
from mpi_pi.check.changes import Baseline, pairs
from mpi_pi.check.hosts import Host
from mpi_pi.errors import UserError
from mpi_pi.formatting import format_some
from mpi_pi.storage.json_document import DocumentError

MAX_NAMES = 3
"""Hosts of the baseline that an error names."""


def read(name: str | None) -> Baseline | None:
    """Return the earlier check in a file; None without a name. Raises UserError."""
    if name is None:
        return None
    try:
        return document.read(name)
    except DocumentError as error:
        raise UserError(f"argument --baseline: {name!r}: {error}") from error


def read_for_node(name: str | None) -> Baseline | None:
    """Return what an earlier check in a file tells of this node; None without a name. Raises UserError."""
    baseline = read(name)
    if baseline is None:
        return None
    own = tuple(host for host in baseline.hosts if host.name == platform.node())
    if not own:
        raise _of_others(name, baseline)
    return baseline._replace(hosts=own)


def require_common_host(name: str | None, baseline: Baseline | None, hosts: Sequence[Host]) -> None:
    """Raise UserError if the baseline in the file `name` is that of other hosts altogether."""
    if baseline and not pairs(hosts, baseline):
        raise _of_others(name, baseline)


def _of_others(name: str | None, baseline: Baseline) -> UserError:
    others = format_some([host.name for host in baseline.hosts], MAX_NAMES)
    return UserError(f"argument --baseline: {name!r}: is of other hosts: {others}")
