#!/usr/bin/env bash
# Runs tests, tuning and benchmarks on a machine in at most ten minutes and leaves all
# results in a folder. A stage that runs out of time leaves what it has measured so far.
#
#   launch/gpu_bench.sh --out=DIR [--data_dir=DIR]
#
# DIR/choices.json is the table of convolutions for gpz_jax/models/choices.json.
# DIR/status.txt says how every stage ended; status 124 means that time ran out.
# With --data_dir, which names prepared CIFAR-10, float32 and bfloat16 are compared on
# real images. The peer needs PyTorch. On two CPU cores every stage ends only with
# SHARE=4 (forty minutes).
set -uo pipefail
out='' data=''
for argument in "$@"; do
  case $argument in
    --out=*) out=${argument#--out=} ;;
    --data_dir=*) data=${argument#--data_dir=} ;;
    *) echo "gpu_bench: $argument is not known; give --out=DIR [--data_dir=DIR]" >&2; exit 2 ;;
  esac
done
[[ $out ]] || { echo 'gpu_bench: --out is missing; give the folder for the results' >&2; exit 2; }
mkdir -p "$out" || exit 2
cd "$(dirname "$0")/.."
share=${SHARE:-1}  # multiplies the ten minutes
: >"$out/status.txt"

stage() { # name, seconds, command...
  local name=$1 seconds status=0
  seconds=$(awk "BEGIN {print $2 * $share}")
  shift 2
  SECONDS=0
  timeout --signal=INT --kill-after=10 "$seconds" "$@" >"$out/$name.txt" 2>&1 || status=$?
  echo "$name: exit $status after ${SECONDS}s" | tee -a "$out/status.txt"
}

bench() { # name, seconds, flags...
  local name=$1 seconds=$2
  shift 2
  stage "$name" "$seconds" python -m experiments.bench --json="$out/$name.json" "$@"
}

stage machine 20 bash -c 'uname -a; lscpu; nvidia-smi; python -c "import jax; print(jax.__version__, jax.devices())"'
export JAX_COMPILATION_CACHE_DIR=$out/programs
stage tests 80 python -m pytest -q -x tests/training/test_engine.py tests/training/test_lanes.py tests/models/test_upsampling.py
if python -c 'import jax, sys; sys.exit(jax.default_backend() != "cpu")'; then
  lanes=1 strategies=map precisions=float32
else
  lanes=1,9 strategies=map,vmap precisions=float32,bfloat16
fi
bench conv 130 --suite=conv --lanes="${lanes##*,}" --strategy="${strategies##*,}" --precision="$precisions" --steps=2 --repeats=3 --choices="$out/choices.json"
bench step 90 --suite=step --lanes="$lanes" --strategy="$strategies" --precision="$precisions" --steps=4 --repeats=3
peer=none
python -c 'import torch' 2>/dev/null && peer=torch
bench sweep 100 --suite=sweep --precision="$precisions" --peer="$peer" --steps=2 --repeats=3
[[ $peer == torch ]] && bench sweep_compiled 60 --suite=sweep --models=vgg19 --peer=torch_compile --steps=2 --repeats=3
if [[ $data ]]; then
  real() { # precision, flags...
    stage "real_$1" 60 python -m experiments.sweep --flagfile=experiments/flagfiles/cifar10_small.cfg --data_dir="$data" \
      --splits=feat_7,feat_18,fc_1 --target_epochs=1 --precision="$1" --workdir="$out/real_$1" "${@:2}"
  }
  real float32
  real bfloat16 --targets_from="$out/real_float32" # attacks the same targets
fi
rm -rf "$out/programs"
