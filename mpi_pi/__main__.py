"""Entry point of `python -m mpi_pi`, which is the command `mpi-pi`."""

import os
import sys

if not sys.flags.safe_path and sys.path[0] == os.getcwd():  # noqa: PTH109  # pathlib is not Python's own yet
    # A file of the user's, such as random.py, would be taken for Python's own.
    del sys.path[0]

from mpi_pi.cli.main import command

if __name__ == "__main__":
    command()
