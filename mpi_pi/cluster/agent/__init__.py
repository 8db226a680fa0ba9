"""Program that `deploy` and `check-hosts` send as text, over ssh, to the python3 of a host.

The modules import Python's standard library and each other only, and have the syntax of Python 3.7. The host
executes them in this order, see `cluster.ssh`, and stores nothing of them.

commands      runs programs
environment   facts about the host, its Python and an environment
installation  markers, installation of wheels and its verification
job_end       ends and removes what a job has left behind
network       opens and tries TCP ports
server        requests and answers
"""
