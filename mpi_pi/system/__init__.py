"""Facts about this process and this host, from the operating system, the launcher and the scheduler.

launch_env   the environment that a launcher (mpirun, srun, flux run) gives a rank
scheduler    the batch scheduler that runs this job: one of the next four
slurm        the Slurm job of this process, and the job steps on this host
pbs          the PBS job of this process
lsf          the LSF job of this process
flux         the Flux job of this process
process      processes in /proc: this one, its launcher, the ranks beside it; signal handlers
affinity     the cores that the ranks of a host may use
cpu          /proc/cpuinfo, and the name of the CPU
clock        the clock rate of a core, measured
machine      hardware and present state of this host
activity     how busy each core is with the work of others
sensors      clocks, temperature, power, throttling and memory errors, to be read again and again
sysfs        values in small files of the system
software     versions of the software that a rank runs on
versions     rules on differences between versions
package      folder and fingerprint of this package
phases       the time of rank 0, divided into phases
imports      explanation of failed imports
signs        signs of a run to `mpi-pi keep-running`
read_file    files of the system and of the user, read whole
command      programs that are run for their output
child        a process forked from this one, which is given up if it hangs
"""
