"""`python -m mpi_pi` is `mpi-pi`."""

import sys

from mpi_pi.cli import main

if __name__ == "__main__":
    sys.exit(main())
