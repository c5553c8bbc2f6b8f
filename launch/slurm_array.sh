#!/usr/bin/env bash
# Runs one independent sweep for each seed, each with its own GPU and workdir:
#
#   sbatch --array=0-2 launch/slurm_array.sh --flagfile=experiments/flagfiles/cifar10_small.cfg --data_dir=DIR
#
# RUNS names the folder of the workdirs (default: runs). A task that is preempted or out
# of time saves its work and is queued again, by Slurm or by this script. A task that is
# cancelled saves too. Submitting the same line again continues where it stopped.
#SBATCH --job-name=gpz_jax
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
: "${SLURM_ARRAY_TASK_ID:?submit with sbatch --array=FIRST-LAST: the number is the seed}"
again=75  # exit status of a sweep that was interrupted

python -m experiments.sweep "$@" \
  --seeds="$SLURM_ARRAY_TASK_ID" --workdir="${RUNS:-runs}/seed_$SLURM_ARRAY_TASK_ID" &
sweep=$!
signalled=''
hand_on() { # passes on the first signal only, because a second ends the sweep at once
  if [[ ! $signalled ]]; then
    signalled=$1
    kill -USR1 "$sweep" 2>/dev/null || true
  fi
}
trap 'hand_on USR1' USR1
trap 'hand_on TERM' TERM
while true; do
  status=0
  wait "$sweep" || status=$?
  kill -0 "$sweep" 2>/dev/null || break # a signal ends the wait, but not the sweep
done
if [[ $signalled == USR1 ]] && ((status == again)); then # after TERM, Slurm queues the task itself
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$status"
