"""Hosts over ssh, without MPI.

host              a host, and a list of hosts
hostfile          reads a hostfile as the mpirun in use does
openmpi_hostfile  the format of Open MPI
mpich_hostfile    the format of MPICH
addresses         where names of hosts lead to
agent             what is done on a host
ssh               sessions with the agents on many hosts
ssh_errors        errors of ssh, explained
packing           wheels made of what is installed here
wheels            wheels of what hosts need
deploy            installs the client's environment on hosts
host_check        what a preflight finds out about a host
ports             TCP ports between hosts
preflight         whether a job could start on hosts
"""
