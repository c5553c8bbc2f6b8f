#!/usr/bin/env bash
# Ends what start.sh STATE started, each by its process id.
state=$1
export SLURM_CONF=$state/slurm.conf
scancel -u "$(id -un)" 2>/dev/null
for _ in {1..50}; do [[ -z $(squeue -h -o %i 2>/dev/null) ]] && break; sleep 0.2; done
ended() { # pid
  kill "$1" 2>/dev/null || return 0
  for _ in {1..100}; do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done
  kill -9 "$1" 2>/dev/null
}
files=("$state"/slurmd.*.pid "$state"/slurmctld.pid)
[[ -e $state/our_munged ]] && files+=(/run/munge/munged.pid)
for file in "${files[@]}"; do
  [[ -s $file ]] && ended "$(cat "$file")"
done
exit 0
