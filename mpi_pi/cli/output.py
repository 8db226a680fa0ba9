"""Output of a command: text to standard output, and JSON to the file that --json names."""

from collections.abc import Sequence
from typing import Self

from mpi_pi.cli import console
from mpi_pi.report.blocks import Block
from mpi_pi.storage.atomic_file import AtomicFile, OutputError


class Output:
    """Output of a command with the option `--json FILE`; with `--json -` standard output gets JSON only.

    The constructor opens the file. Raises OutputError.
    """

    def __init__(self, json: str | None) -> None:
        self._json_alone = json == "-"
        self._file = AtomicFile("--json", json) if json and not self._json_alone else None

    def put(self, content: str | Sequence[Block], as_json: str, through_mpirun: bool = True) -> bool:
        """Write the file, then print, and return whether both succeeded; print the error if not.

        The file comes first, since a terminal, or a reader that has gone away, must not cost the file.
        """
        written = True
        if self._file:
            try:
                self._file.write(as_json)
                self._file.commit()
            except OutputError as error:
                console.error(str(error))
                written = False
        return console.said(as_json if self._json_alone else content, through_mpirun) and written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.discard()
