#!/usr/bin/env bash
# Ends what start.sh STATE started, each by its process id.
state=$1
export SLURM_CONF=$state/slurm.conf
scancel -u "$(id -un)" 2>/dev/null
for _ in {1..50}; do [[ -z $(squeue -h -o %i 2>/dev/null) ]] && break; sleep 0.2; done
ended() { # files with process ids: signals all of them, then waits
  local file pids=()
  for file in "$@"; do
    [[ -s $file ]] && pids+=("$(cat "$file")")
  done
  kill "${pids[@]}" 2>/dev/null
  for _ in {1..100}; do kill -0 "${pids[@]}" 2>/dev/null || break; sleep 0.1; done
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null; done
}
ended "$state"/slurmd.*.pid "$state"/slurmctld.pid
[[ -e $state/our_munged ]] && ended /run/munge/munged.pid
exit 0
