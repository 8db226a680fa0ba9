"""Where a report goes: text for people to standard output, and JSON to the file that --json names."""

from collections.abc import Sequence
from typing import Self

from mpi_pi.cli import console
from mpi_pi.report.blocks import Block
from mpi_pi.storage.atomic_file import AtomicFile, OutputError


class Output:
    """Of a command with the option --json FILE, or -: then standard output has the JSON instead.

    The file is opened at once. Raises OutputError.
    """

    def __init__(self, json: str | None) -> None:
        self._json_alone = json == "-"
        self._file = AtomicFile("--json", json) if json and not self._json_alone else None

    def put(self, content: str | Sequence[Block], as_json: str, through_mpirun: bool = True) -> bool:
        """Write, and then print; whether both were possible. If not, why is said on standard error.

        In this order, for a reader that has gone away, or a terminal, must not cost the file.
        """
        written = self._written(as_json)
        told = as_json if self._json_alone else content
        return console.said(told, through_mpirun) and written

    def _written(self, as_json: str) -> bool:
        try:
            if self._file:
                self._file.write(as_json)
                self._file.commit()
        except OutputError as error:
            console.error(str(error))
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.discard()
