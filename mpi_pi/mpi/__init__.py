"""MPI and its launchers: the only importer of mpi4py. Importing one of these modules does not start MPI.

library       the MPI library that fits the launcher, and its settings
srun          advice on srun's plug-ins for MPI libraries
flux_run      advice on the interfaces of flux run for MPI libraries
hydra         messages to MPICH's launcher
time_limit    the longest silence of a rank; it limits MPI_Init and MPI_Finalize, too
requests      waits that yield the core
peer_timeout  the error for a rank that does not answer a command
heartbeat     messages that show which rank has fallen silent
fence         the end of a process that stood still for so long that others have given it up
runtime       start and end of MPI
ulfm          communicators of the ranks that are left after a loss
collectives   exchanges of Python objects, and errors raised on all ranks
stop          a stop request that reaches all ranks
pingpong      latency and bandwidth between two ranks
message_times latency and bandwidth over message sizes
command_loop  commands of rank 0 to the other ranks, and their answers
"""
