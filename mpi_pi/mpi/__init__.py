"""MPI, and what is asked of its launchers: the only importer of mpi4py. Importing any of it starts nothing.

library       the MPI library that fits the launcher, and its settings
srun          how srun has to be called for an MPI library
hydra         what a rank says to MPICH's launcher
time_limit    a limit to the time of MPI_Init and MPI_Finalize
requests      waiting without taking the core from others
peer_timeout  the error for a rank that does not answer
heartbeat     messages that show which rank has fallen silent
runtime       where MPI begins and ends
collectives   exchanges of Python objects, and errors raised on all ranks
stop          a stop request that reaches all ranks
pingpong      latency and bandwidth between two ranks
command_loop  commands of rank 0 to the other ranks, and their answers
"""
