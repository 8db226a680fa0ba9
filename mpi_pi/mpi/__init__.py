"""MPI itself: the only importer of mpi4py."""
