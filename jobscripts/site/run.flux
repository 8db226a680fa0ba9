#!/bin/bash
# Tried with Flux 0.88 on one node, but not on several.
# How fast are these nodes, and is their answer right?
#
#   flux batch jobscripts/site/run.flux
#
# Submit it from the folder above jobscripts, after `make run` has made the environment there; or with mpi-pi in PATH. Each
# core of the job gets a rank. MPICH works with flux run as it is, Open MPI with Flux's plug-in flux-pmix, or else by its
# own mpirun and ssh.
#flux: --job-name=mpi-pi
#flux: --nodes=2
#flux: --exclusive
#flux: --time-limit=10m
#flux: --output=mpi-pi-{{id}}.out
set -euo pipefail
PATH=${VENV:-$PWD/.venv}/bin:$PATH
program=$(command -v mpi-pi)
ranks=$(flux resource list -no '{ncores}')
launchers=("flux run -n $ranks" "flux run -o pmi=pmix -n $ranks" "mpirun -n $ranks --host $(flux hostlist -d, local)")

# mpi-pi fails if its ranks do not find each other.
for launcher in "${launchers[@]}"; do
    read -ra launch <<<"$launcher"
    if output=$(timeout 60 "${launch[@]}" "$program" run -n 2 -i 1 2>&1); then
        echo "Launcher = $launcher"
        exec "${launch[@]}" "$program" run -n "${TRIALS:-1000}" -i "${POINTS:-100000}" --seed "${SEED:-1}" \
            --time-limit flux "$@"
    fi
done
echo "$output
mpi-pi: error: flux run starts no ranks that find each other, nor does mpirun, see above" >&2
exit 1
