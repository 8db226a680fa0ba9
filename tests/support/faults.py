"""Faults that programs are run with."""

SABOTAGE = """
import os, signal, sys, time
from mpi_pi.kernel import loader as kernels
from mpi_pi.system import launch_env
from mpi_pi.cli import main as cli
me = launch_env.rank()
def fail(*_):
    {deed}
if me == 1:
    {where}
sys.exit(cli.main(sys.argv[1:]))
"""
DEEDS = {"raise": "raise RuntimeError('the dog ate it')", "die": "os.kill(os.getpid(), signal.SIGKILL)"}
PLACES = {
    "kernel": "kernels.KNOWN_ANSWERS = ()\n"
    "    kernels.load = lambda *_: kernels.Kernel('numpy', fail)\n"
    "    from mpi_pi.parallel import run as parallel; parallel.load = kernels.load",
    "before the first collective": "from mpi_pi.cli import run as session; session.Session.__init__ = fail",
    "in the loop": "from mpi_pi.parallel import run as parallel; parallel._Run._report = fail",
}
