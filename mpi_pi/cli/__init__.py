"""The command mpi-pi."""
