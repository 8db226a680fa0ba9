"""Output of a command: text to standard output, and JSON to the file that --json names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from mpi_pi.cli import console
from mpi_pi.errors import UserError
from mpi_pi.report.blocks import Block

if TYPE_CHECKING:
    from mpi_pi.storage.atomic_file import AtomicFile


class Output:
    """Output of a command with the option `--json FILE`; with `--json -` standard output gets JSON only.

    The constructor opens the file. Raises OutputError.
    """

    def __init__(self, json: str | None) -> None:
        self._json_alone = json == "-"
        self._file = None
        if json and not self._json_alone:
            from mpi_pi.storage.atomic_file import AtomicFile  # for this option alone

            self._file = AtomicFile("--json", json)

    def put(self, content: str | Sequence[Block], as_json: str, through_mpirun: bool = True) -> bool:
        """Write the file, then print, and return whether both succeeded; print the error if not.

        The file comes first, since a terminal, or a reader that has gone away, must not cost the file.
        """
        written = self.write(as_json)
        return self.print(content, as_json, through_mpirun) and written

    def write(self, as_json: str) -> bool:
        """Write the file, if there is one, and return whether that succeeded; print the error if not."""
        return self._file is None or committed(self._file, as_json)

    def print(self, content: str | Sequence[Block], as_json: str, through_mpirun: bool = True) -> bool:
        """Print the content or the JSON text, and return whether that succeeded; print the error if not."""
        return console.said(as_json if self._json_alone else content, through_mpirun)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.discard()


def committed(file: "AtomicFile", text: str = "") -> bool:
    """Write the rest of a file and commit it; return whether that succeeded, and print the error if not."""
    try:
        file.write(text)
        file.commit()
    except UserError as error:
        console.error(str(error))
        return False
    return True
