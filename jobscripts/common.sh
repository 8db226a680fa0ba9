# shellcheck shell=bash
# What the job scripts share: they source it. What it has to know of the site, here or in the environment:
VENV=${VENV:-$SLURM_SUBMIT_DIR/.venv}    # what `make run` has made; .venv-system with the MPI of the machine
LOCAL=${LOCAL:-${TMPDIR:-/tmp}}          # a folder that every node has for itself, of the same name on all
STAGE=${STAGE:-yes}                      # no: let all ranks read the environment from where it is
LAUNCHERS=${LAUNCHERS:-pmix pmi2 mpirun} # what to try, in this order: srun --mpi=pmix, srun --mpi=pmi2, mpirun
# module load openmpi                    # with .venv-system: the MPI that it was made with

set -euo pipefail
shopt -s inherit_errexit
PATH=$VENV/bin:$PATH

# starter NODES RANKS: sets `start` to the command that starts so many ranks on each of the first nodes of the job.
starter() {
    local nodes=$1 ranks=$2
    if [[ $LAUNCHER == mpirun ]]; then
        # Open MPI would bind each rank to one core, and all of its threads with it.
        start=(mpirun -n "$((nodes * ranks))" --map-by "ppr:$ranks:node" --bind-to none)
    else
        # srun does not take the cores of a rank from the job since Slurm 22.05.
        start=(srun --mpi="$LAUNCHER" --nodes="$nodes" --ntasks="$((nodes * ranks))" --ntasks-per-node="$ranks"
            --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}")
    fi
}

# launch NODES RANKS ARGUMENTS: mpi-pi with so many ranks on each of the first nodes of the job.
launch() {
    local start pid
    starter "$1" "$2"
    shift 2
    # Not the script mpi-pi, which names the place where its environment was made.
    ${LIMIT:+timeout "$LIMIT"} "${start[@]}" "$VENV/bin/python" -m mpi_pi "$@" &
    pid=$!
    # Before the time limit Slurm signals this shell, not the launcher. Bash runs traps while it waits for a
    # background process only, and then it waits no longer. SIGTERM Slurm sends to the ranks, too; srun, if it
    # had one from here as well, would kill them.
    trap 'STOPPED=yes; kill -USR1 "$pid"' USR1
    trap 'CANCELLED=yes' TERM
    while wait "$pid"; kill -0 "$pid" 2>/dev/null; do :; done
    trap - USR1 TERM
    wait "$pid"
}

# Sets LAUNCHER. Which one starts ranks that find each other depends on how Slurm and the MPI were built: it is
# tried and not guessed. mpi-pi refuses, with a status other than 0, if its ranks do not find each other.
choose_launcher() {
    local nodes=2 ranks=1 output failed=
    ((SLURM_NNODES > 1)) || nodes=1 ranks=$((SLURM_NTASKS_PER_NODE > 1 ? 2 : 1))
    for LAUNCHER in $LAUNCHERS; do
        if output=$(LIMIT=60 launch $nodes $ranks run -n 2 -i 1 2>&1); then
            echo "Launcher = $LAUNCHER"
            return
        fi
        failed+="--- $LAUNCHER:"$'\n'$output$'\n'
    done
    echo "${failed}mpi-pi: error: none of $LAUNCHERS starts ranks that find each other, see above" >&2
    exit 1
}

# Sends the environment to the nodes' own disks, and uses it there: thousands of ranks that import Python from
# one parallel file system would wait for it. (The interpreter and its library stay where they are.)
stage() {
    [[ $STAGE == yes ]] || return 0
    local folder=$LOCAL/mpi-pi-$SLURM_JOB_ID package
    package=$("$VENV/bin/python" -c 'import mpi_pi; print(mpi_pi.__path__[0])')
    # shellcheck disable=SC2016  # these are for the nodes' shells
    on_each_node sh -c 'rm -rf "$0" && mkdir -m 700 "$0"' "$folder"
    # Whatever ends the job, Slurm lets its steps clean up.
    # shellcheck disable=SC2016
    on_each_node --overlap sh -c 'trap "rm -rf \"\$0\"; exit" TERM; sleep infinity & wait' "$folder" 2>/dev/null &
    # Status 1: a file has changed or gone meanwhile, as where somebody else uses the environment, too.
    tar -cf "$folder/packed" --warning=no-file-changed --warning=no-file-removed \
        -C "$VENV" . -C "$(dirname "$package")" mpi_pi || [[ $? == 1 ]]
    sbcast "$folder/packed" "$folder/environment.tar"
    rm "$folder/packed"
    on_each_node tar -xf "$folder/environment.tar" -C "$folder"
    on_each_node rm "$folder/environment.tar"
    # What is sent has no repository that could tell.
    MPI_PI_COMMIT=$("$VENV/bin/python" -c 'from mpi_pi.system import package; print(package.commit() or "")')
    export MPI_PI_COMMIT
    VENV=$folder PATH=$folder/bin:$PATH
    export PYTHONPATH=$folder${PYTHONPATH:+:$PYTHONPATH} # where mpi_pi itself is now
    echo "Environment = $folder on each node"
}

# Both numbers: what the job said of its tasks would overrule one alone.
on_each_node() {
    srun --mpi=none --nodes="$SLURM_NNODES" --ntasks="$SLURM_NNODES" --ntasks-per-node=1 "$@"
}

# 1, 2, 4 … nodes, and all.
node_counts() {
    local nodes
    for ((nodes = 1; nodes < SLURM_NNODES; nodes *= 2)); do echo "$nodes"; done
    echo "$SLURM_NNODES"
}

# scaling REPORTS: the table of how well jobs on more and more nodes scale, by their time in rounds, without
# start-up, as it is on all reports.
scaling() {
    awk '
        /^Ranks = / { ranks = $3; nodes = $5 }
        /^pi = / { split($0, part, /[\/)]/); points = part[2] }
        /^Rate = / {
            if (!first) { first = $3 / nodes; base = $3; print "\nnodes  ranks    seconds  speed-up  efficiency" }
            printf "%5d %6d %10.4f %9.2f %10.1f%%\n", nodes, ranks, points / $3, $3 / base, 100 * $3 / nodes / first
        }' <<<"$1"
}
