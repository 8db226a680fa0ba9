"""The command `mpi-pi`, from arguments to the exit status: shared modules, then those of each command.

main              parse, dispatch, report an error
parser            the command line
parser_tree       the parsers of all commands and parts
common_options    options that several commands have
argument_types    types of arguments, whose errors quote the value
argument_checks   checks of arguments that exclude or need each other
help_options      options of help and examples
quantities        numbers and times as people write them
help_texts        texts of `--help`
exit_codes        exit statuses, and the status of each error and of a silent rank
start             the start of commands that run on ranks
ranks             their run: it ends MPI, and the job if a rank fails or falls silent
served            ranks that do what rank 0 commands
signals           signals that become stop requests
console           the only printer
origin            date, job and command of a result
output            text to standard output, JSON to a file
progress_bar      a progress bar on standard error
prompt            questions to the user
launcher_streams  standard streams of the parent process mpirun
run               mpi-pi run: the handshake, counting, and saving in long rounds
run_hooks         callbacks of a run: progress, and when a checkpoint is saved
run_plan          options of a run; files, shard and deadline, resolved by rank 0
run_output        files and report of a run
supervised        signs of a run to mpi-pi keep-running
keep_running      mpi-pi keep-running
start_rules       what follows from the end of a start of a job that is kept running
check             mpi-pi check
check_node        mpi-pi check --node
baseline          its option --baseline
burn_in           mpi-pi burn-in
bench_options     options of `bench`, typed
bench_network     its measurement of the network, which comes first
bench_on_ranks    mpi-pi bench, on ranks
bench_launcher    mpi-pi bench, which starts ranks
bench             mpi-pi bench compare
merge             mpi-pi merge
plots             mpi-pi plot, mpi-pi report
cluster           mpi-pi check-hosts, mpi-pi deploy
wheelhouse        mpi-pi wheelhouse
examples          mpi-pi examples
help              mpi-pi help
man_page          the manual page, for help
completion        completion for shells, for help
"""
