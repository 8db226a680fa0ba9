"""`python -m mpi_pi` is `mpi-pi`."""

from mpi_pi.cli import command

if __name__ == "__main__":
    command()
