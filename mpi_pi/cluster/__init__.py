"""Hosts over ssh, without MPI.

host              a host, and a list of hosts
hostfile          reads a hostfile as the mpirun in use does
openmpi_hostfile  the format of Open MPI
mpich_hostfile    the format of MPICH
addresses         addresses of hosts, and their settings of ssh
agent             the program that is sent to hosts
ssh               sessions with the agents on many hosts
ssh_errors        explanations of errors of ssh
packing           makes wheels from the installed packages
platforms         machines with a Python, and the wheels that fit them
pip               downloads wheels, and builds them
wheelhouse        a folder of wheels for machines without a network
wheels            collects wheels for a host
sources           the files of the project, as they are distributed
archive           `wheelhouse`: packs the project and wheels into an archive
deploy            `deploy`: installs the client's environment on hosts
host_check        results of `check-hosts` for a host
job_command       the command of a job that `keep-running` starts
job_hosts         the hosts of such a job that answer
job_start         a start of such a job: its launcher, its signs, its end
ports             TCP ports between hosts
preflight         `check-hosts`: tests whether a job could start on hosts
"""
