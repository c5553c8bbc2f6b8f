#!/usr/bin/env bash
# Does one unit of a sweep in Slurm and queues it again where that helps:
#
#   launch/unit.sh WORKDIR UNIT|LIST [PYTHON [RETRIES]]
#
# LIST is a file with a name in each line, of which this task of an array takes its own.
# launch.submit writes the list and submits this script; see docs/clusters.md. A task that
# is out of time saves its work and is queued again. So is one that meets another writer,
# a full disk or the end of the memory, at most RETRIES times; Slurm has a requeued task
# wait for about two minutes. gpz_jax/launching/outcomes.py holds the same rule.
set -uo pipefail
[[ ${2-} ]] || { echo 'unit.sh: give WORKDIR and the name of a UNIT, or a LIST' >&2; exit 2; }
workdir=$1 unit=$2 python=${3:-python} most=${4:-5}
if [[ -f $unit ]]; then
  : "${SLURM_ARRAY_TASK_ID:?a list is for the tasks of an array}"
  unit=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$unit")
fi
folder=$workdir/units/$unit
mkdir -p "$folder" || exit 74

signalled=''
"$python" -m gpz_jax.commands.unit --workdir="$workdir" --unit="$unit" &
work=$!
# Slurm sends SIGTERM to this script and to python as well, so that it is only noted
# here. SIGUSR1, which says that the time is nearly up, comes here alone.
trap 'signalled=${signalled:-TERM}' TERM
trap 'signalled=${signalled:-USR1}; kill -USR1 "$work" 2>/dev/null' USR1
while true; do
  status=0
  wait "$work" || status=$?
  kill -0 "$work" 2>/dev/null || break # a signal ends the wait, but not the work
done

again='' # whether the task is queued again; after TERM that is for Slurm to decide
if [[ $signalled != TERM ]]; then
  case $status in
    75 | 130 | 138 | 143) again=yes ;;
    73 | 74 | 137)
      retries=$(cat "$folder/retries" 2>/dev/null || echo 0)
      if ((retries < most)); then
        echo $((retries + 1)) >"$folder/retries"
        again=yes
      fi ;;
  esac
fi
echo "$status" >"$folder/status"
echo "unit.sh: unit $unit ended with status $status${signalled:+ after SIG$signalled}${again:+, queued again}"
if [[ $again && ${SLURM_JOB_ID-} ]]; then
  task=$SLURM_JOB_ID
  [[ ${SLURM_ARRAY_JOB_ID-} ]] && task=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
  scontrol requeue "$task"
fi
exit "$status"
