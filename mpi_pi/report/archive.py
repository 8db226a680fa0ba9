"""The report of `mpi-pi wheelhouse`."""

import shlex

from mpi_pi.cluster.archive import FOLDER, Content
from mpi_pi.formatting import number_of
from mpi_pi.report.blocks import Block, Lines


def blocks(path: str, content: Content) -> list[Block]:
    """Return what the archive at a path contains, and how it is used."""
    use = f"tar -xf {shlex.quote(path)} && cd {FOLDER} && make run"
    lines = [
        ("Archive", path),
        ("Size", f"{content.megabytes:.0f} MB"),
        ("Packages", f"{number_of(content.wheels, 'wheel')} for {content.platforms}"),
        ("Use", use),
    ]
    return [Lines(lines)]
