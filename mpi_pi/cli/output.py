"""Output of a command: text to standard output, JSON and CSV to the files that --json and --csv name."""

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from mpi_pi.cli import console
from mpi_pi.errors import UserError
from mpi_pi.report.blocks import Block

if TYPE_CHECKING:
    from mpi_pi.storage.atomic_file import AtomicFile


Tables = Callable[[], Sequence[Block]]
"""Makes blocks with all tables, and all of their rows."""


class Output:
    """Output of a command with the options `--json FILE` and `--csv FILE`.

    With `--json -` standard output gets JSON only. The constructor opens the files. Raises OutputError.
    """

    def __init__(self, json: str | None, csv: str | None = None) -> None:
        self._json_alone = json == "-"
        self._json: AtomicFile | None = None
        self._csv: AtomicFile | None = None
        with contextlib.ExitStack() as opening:
            if json and not self._json_alone:
                self._json = opening.enter_context(_opened("--json", json))
            if csv:
                self._csv = opening.enter_context(_opened("--csv", csv))
            self._open_files = opening.pop_all()

    def put(
        self,
        content: Sequence[Block],
        as_json: str,
        through_mpirun: bool = True,
        tables: Tables | None = None,
    ) -> bool:
        """Write the files, then print, and return whether all succeeded; print the errors if not.

        The files come first, since a terminal, or a reader that has gone away, must not cost them. CSV gets
        the `tables`, or else those of the content.
        """
        written = self.write(as_json, tables or (lambda: content))
        return self.print(content, as_json, through_mpirun) and written

    def write(self, as_json: str, tables: Tables) -> bool:
        """Write the files, if there are any, and return whether that succeeded; print the errors if not."""
        written = [self._json is None or committed(self._json, as_json)]
        if self._csv:
            from mpi_pi.report import csv  # for this option alone

            written.append(committed(self._csv, csv.text(tables())))
        return all(written)

    def print(self, content: str | Sequence[Block], as_json: str, through_mpirun: bool = True) -> bool:
        """Print the content or the JSON text, and return whether that succeeded; print the error if not."""
        return console.said(as_json if self._json_alone else content, through_mpirun)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open_files.close()


def _opened(option: str, name: str) -> "AtomicFile":
    from mpi_pi.storage.atomic_file import AtomicFile  # for these options alone

    return AtomicFile(option, name)


def committed(file: "AtomicFile", text: str = "") -> bool:
    """Write the rest of a file and commit it; return whether that succeeded, and print the error if not."""
    try:
        file.write(text)
        file.commit()
    except UserError as error:
        console.error(str(error))
        return False
    return True
