#!/usr/bin/env bash
# One independent sweep for each seed, each with its own GPU and its own workdir:
#
#   sbatch --array=0-2 launch/slurm_array.sh --flagfile=experiments/flagfiles/cifar10_small.cfg --data_dir=DIR
#
# RUNS names the folder of the workdirs (default: runs). Submitting the same line again
# goes on with the rows that are missing.
#SBATCH --job-name=gpz_jax
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --signal=INT@60
set -euo pipefail
: "${SLURM_ARRAY_TASK_ID:?submit with sbatch --array=FIRST-LAST: the number is the seed}"
exec python -m experiments.sweep "$@" \
  --seeds="$SLURM_ARRAY_TASK_ID" --workdir="${RUNS:-runs}/seed_$SLURM_ARRAY_TASK_ID"
