# shellcheck shell=bash
# Common part of the job scripts, which source it. Settings for the site; edit them or set them in the environment:
VENV=${VENV:-}                           # environment of mpi-pi; by default, .venv, or that of the mpi-pi in PATH
LOCAL=${LOCAL:-${TMPDIR:-/tmp}}          # a local folder of each node, with the same path on all
STAGE=${STAGE:-yes}                      # no: all ranks read a virtual environment where it is, as any other one
LAUNCHERS=${LAUNCHERS:-pmix pmi2 mpirun} # tried in this order: srun --mpi=pmix, srun --mpi=pmi2, mpirun
# module load openmpi                    # the MPI of the machine, for an environment that has none

set -euo pipefail
shopt -s inherit_errexit

# VENV and PYTHON: the environment, and its Python. An installation that is no environment, such as one of a module or
# of `pip install --user`, has its Python elsewhere in PATH.
if [[ ! $VENV && -e $SLURM_SUBMIT_DIR/.venv/bin/mpi-pi ]]; then
    VENV=$SLURM_SUBMIT_DIR/.venv # made by `make run`
elif [[ ! $VENV ]] && program=$(command -v mpi-pi); then
    VENV=$(dirname "$(dirname "$(realpath "$program")")")
elif [[ ! $VENV ]]; then
    echo "mpi-pi: error: no mpi-pi in $SLURM_SUBMIT_DIR/.venv nor in PATH: activate its environment, or load its" \
        "module, and submit the job again" >&2
    exit 1
fi
PYTHON=$VENV/bin/python
[[ -x $PYTHON ]] || PYTHON=$(command -v python3 || echo "$PYTHON")
"$PYTHON" -Pc 'import mpi_pi' 2>/dev/null || {
    echo "mpi-pi: error: no mpi-pi for $PYTHON: set VENV, now '$VENV', to the environment of mpi-pi" >&2
    exit 1
}
PATH=$VENV/bin:$PATH

DOWN= # nodes of the job that have failed, with commas, see `more_nodes_down`

# starter NODES RANKS: set `start` to the command that starts RANKS ranks on each of the first NODES nodes of the job,
# leaving out those that are down.
starter() {
    local nodes=$1 ranks=$2 up
    if [[ $LAUNCHER == mpirun ]]; then
        # Open MPI would bind each rank to one core, and all of its threads with it.
        start=(mpirun -n "$((nodes * ranks))" --map-by "ppr:$ranks:node" --bind-to none)
        if [[ $DOWN ]]; then
            mapfile -t up < <(scontrol show hostnames | grep -vxF "${DOWN//,/$'\n'}" | head -n "$nodes")
            start+=(--host "$(IFS=, && echo "${up[*]/%/:$ranks}")")
        fi
    else
        # Since Slurm 22.05 srun does not inherit --cpus-per-task from the job.
        start=(srun --mpi="$LAUNCHER" --nodes="$nodes" --ntasks="$((nodes * ranks))" --ntasks-per-node="$ranks"
            --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" ${DOWN:+--exclude="$DOWN"})
    fi
}

# launch NODES RANKS ARGUMENTS: run mpi-pi with RANKS ranks on each of the first NODES nodes of the job.
launch() {
    local start pid
    starter "$1" "$2"
    shift 2
    # The script mpi-pi would not do: it contains the path where its environment was made.
    ${LIMIT:+timeout "$LIMIT"} "${start[@]}" "$PYTHON" -m mpi_pi "$@" &
    pid=$!
    # Before the time limit Slurm sends SIGUSR1 to this shell, not to the launcher. Bash runs traps at once only
    # while it waits for a background process, and a trap ends that `wait`: hence the loop. SIGTERM is not passed
    # on: Slurm sends it to the ranks as well, and srun kills them if it gets a second one.
    trap 'STOPPED=yes; kill -USR1 "$pid"' USR1
    trap 'CANCELLED=yes' TERM
    while wait "$pid"; kill -0 "$pid" 2>/dev/null; do :; done
    trap - USR1 TERM
    wait "$pid"
}

# more_nodes_down: find out within 30 s whether Slurm knows of more nodes of the job that are down or do not respond, and
# set DOWN to all of them and NODES_UP to the number of the others. Without --no-kill Slurm ends the job then.
more_nodes_down() {
    local down
    for _ in {1..30}; do
        down=$(sinfo -hN -n "$SLURM_JOB_NODELIST" -o '%N %t' | awk '$2 ~ /^(down|fail|unk)|[*]/ { print $1 }' | sort -u)
        down=${down//$'\n'/,}
        if [[ $down != "$DOWN" ]]; then
            DOWN=$down
            export SLURM_OVERLAP=1 # for Slurm, the step that was lost still uses the other nodes for a while
            # shellcheck disable=SC2034  # for the script
            NODES_UP=$((SLURM_NNODES - $(grep -c . <<<"${DOWN//,/$'\n'}")))
            return 0
        fi
        sleep 1
    done
    return 1
}

# choose_launcher: set LAUNCHER to the first of LAUNCHERS that starts ranks which find each other. Which one does so
# depends on how Slurm and the MPI were built, so each is tried: mpi-pi fails if its ranks do not find each other.
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

# stage: copy the environment to the local disk of each node, and use the copy, because thousands of ranks that import
# Python packages from one parallel file system are slow. (Python itself and its standard library are not copied.)
stage() {
    [[ $STAGE == yes && -e $VENV/pyvenv.cfg ]] || return 0 # other folders may contain much more
    local folder=$LOCAL/mpi-pi-$SLURM_JOB_ID package
    package=$("$PYTHON" -c 'import mpi_pi; print(mpi_pi.__path__[0])')
    # shellcheck disable=SC2016  # expanded by the shells of the nodes
    on_each_node sh -c 'rm -rf "$0" && mkdir -m 700 "$0"' "$folder"
    # However the job ends, Slurm sends SIGTERM to this step, which removes the copy. To each of its processes, and
    # perhaps more than once: so rm has to ignore it.
    # shellcheck disable=SC2016
    on_each_node --overlap --no-kill sh -c \
        'trap "trap \"\" TERM; rm -rf \"\$0\"; exit" TERM; sleep infinity & wait' "$folder" 2>/dev/null &
    # Status 1: a file was changed or removed meanwhile, for example by another job that uses the environment.
    tar -cf "$folder/packed" --warning=no-file-changed --warning=no-file-removed \
        -C "$VENV" . -C "$(dirname "$package")" mpi_pi || [[ $? == 1 ]]
    sbcast "$folder/packed" "$folder/environment.tar"
    rm "$folder/packed"
    on_each_node tar -xf "$folder/environment.tar" -C "$folder"
    on_each_node rm "$folder/environment.tar"
    # The copy has no repository from which the commit could be read.
    MPI_PI_COMMIT=$("$PYTHON" -c 'from mpi_pi.system import package; print(package.commit() or "")')
    export MPI_PI_COMMIT
    VENV=$folder PYTHON=$folder/bin/python PATH=$folder/bin:$PATH
    export PYTHONPATH=$folder${PYTHONPATH:+:$PYTHONPATH} # the folder of the copied mpi_pi
    echo "Environment = $folder on each node"
}

# on_each_node COMMAND: run it once on each node. It takes both --ntasks and --ntasks-per-node, since an option of the
# job would override either one alone.
on_each_node() {
    srun --mpi=none --nodes="$SLURM_NNODES" --ntasks="$SLURM_NNODES" --ntasks-per-node=1 "$@"
}

# node_counts: print 1, 2, 4 …, and the number of nodes of the job.
node_counts() {
    local nodes
    for ((nodes = 1; nodes < SLURM_NNODES; nodes *= 2)); do echo "$nodes"; done
    echo "$SLURM_NNODES"
}

# scaling REPORTS: print the scaling table of jobs on increasing numbers of nodes. Its seconds are those of the rounds,
# without start-up: points / `Rate`.
scaling() {
    awk '
        /^Ranks = / { ranks = $3; nodes = $5 }
        /^pi = / { split($0, part, /[\/)]/); points = part[2] }
        /^Rate = / {
            if (!first) { first = $3 / nodes; base = $3; print "\nnodes  ranks    seconds  speed-up  efficiency" }
            printf "%5d %6d %10.4f %9.2f %10.1f%%\n", nodes, ranks, points / $3, $3 / base, 100 * $3 / nodes / first
        }' <<<"$1"
}
