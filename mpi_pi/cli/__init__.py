"""The command `mpi-pi`: arguments in, exit status out. Each command is a module; they share the rest.

main              parse, dispatch, report an error
parser            the command line
quantities        numbers and times as people write them
help_texts        texts of --help
exit_codes        exit statuses, and which error has which
ranks             the guard around commands that run on ranks
signals           signals that become stop requests
console           the only printer
output            text to standard output, JSON to a file
progress_bar      a progress bar on standard error
prompt            questions to the user
launcher_streams  standard streams of mpirun, beyond those of a rank
options           options of `run`, typed
run               mpi-pi run
run_plan          what a run is going to do, as rank 0 finds out
run_output        what a run writes and prints
check             mpi-pi check
bench_options     options of `bench`, typed
bench_on_ranks    mpi-pi bench, on ranks
bench_launcher    mpi-pi bench, which starts ranks
bench             mpi-pi bench compare
merge             mpi-pi merge
plots             mpi-pi plot, mpi-pi report
cluster           mpi-pi check-hosts, mpi-pi deploy
"""
