#!/bin/bash
# Health check of a Slurm node: drains it, with the first fault as the reason, if `mpi-pi check --node` finds one.
#
# In slurm.conf, with a copy of this file and an environment with mpi-pi at the same path on all nodes:
#   HealthCheckProgram=/opt/mpi-pi/health-check.sh
#   HealthCheckInterval=300
#   HealthCheckNodeState=ANY,CYCLE
#
# A node that could not be examined is left as it is, and so is one that was drained or set down by anybody else. A node
# that this script has drained comes back when the check, including speed, finds no fault any more; but not after wrong
# answers, which a sick core gives only now and then. Settings; edit them or set them in the environment:
MPI_PI=${MPI_PI:-/opt/mpi-pi/bin/mpi-pi}      # on a local disk of each node
RESUME=${RESUME:-yes}                         # no: administrators resume nodes themselves
LIMIT=${LIMIT:-20}                            # seconds; slurmd ends a health check after 60
LOCK=${LOCK:-/run/mpi-pi-health-check.lock}   # held by a check that hangs, so that no others join it
# export MPI_PI_CACHE=/run/mpi-pi             # for compiled code, where /var/tmp is read-only or shared
# PATH=$PATH:/opt/slurm/bin                   # of scontrol and sinfo; slurmd gives no PATH

NAME=${SLURMD_NODENAME:-$(hostname -s)}
LEADER='mpi-pi: ' # of reasons that are ours
BY_HAND="to bring it back: scontrol update NodeName=$NAME State=RESUME"
BY_ITSELF='comes back when mpi-pi check --node finds no fault'

# check: set `last` to the line of the check that tells the verdict, or else to its last one, and `status` to its exit
# status; empty if there is none in time. It is not waited for: a process that hangs in a file system cannot be ended.
check() {
    local line pipe until=$((SECONDS + LIMIT))
    last='' status=''
    exec {pipe}< <(exec 2>&1; "$MPI_PI" check --node; echo "status $?") # without a stream that slurmd reads to its end
    while ((SECONDS < until)) && read -r -t $((until - SECONDS)) -u "$pipe" line; do
        case $line in
        'status '[0-9]*) status=${line#status } ;;
        *) [[ $line != 'Fit = '* && $last == 'Fit = '* ]] || last=$line ;;
        esac
    done
}

# finish STATUS TEXT: end; if the status is not 0, slurmd writes the text to its log.
finish() {
    echo "$2"
    exit "$1"
}

if { exec {lock}>"$LOCK"; } 2>/dev/null; then
    flock -n "$lock" || finish 75 "the check before this one has not ended"
fi
check
IFS='|' read -r state reason < <(timeout 15 sinfo --noheader --nodes="$NAME" --format='%T|%E')
ours=
[[ $reason == "$LEADER"* ]] && ours=yes

if [[ $status == 1 && $last == 'Fit = no: '* ]]; then # a program that does not start has the status 1, too
    fault=${last#Fit = no: }
    how=$BY_ITSELF
    [[ $RESUME == yes && $fault != *'known answers'* ]] || how=$BY_HAND
    case $state in
    '') finish 75 "sinfo does not tell the state of $NAME; $fault" ;;
    down* | fail*) finish 1 "left as it is, $state ($reason): $fault" ;;
    drain*)
        [[ $ours ]] || finish 1 "left as it is, $state ($reason): $fault"
        [[ $how == "$BY_HAND" && $reason != *"$BY_HAND"* ]] || finish 1 "still $state ($reason): $fault"
        ;;
    esac
    reason="$LEADER$fault ($how)"
    timeout 15 scontrol update NodeName="$NAME" State=DRAIN Reason="$reason" || finish 1 "not drained, though $fault"
    finish 1 "drained: $reason"
fi
[[ $status == 0 ]] || finish 75 "not examined (status ${status:-missing}): $last"
if [[ $last == 'Fit = yes' && $state == drain* && $ours && $RESUME == yes && $reason != *"$BY_HAND"* ]]; then
    timeout 15 scontrol update NodeName="$NAME" State=UNDRAIN || finish 1 "not resumed, though the fault has gone"
    finish 0 "resumed, since the fault has gone: $reason"
fi
finish 0 "$last"
