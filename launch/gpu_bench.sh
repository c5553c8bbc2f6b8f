#!/usr/bin/env bash
# Runs tests and benchmarks on a machine, in parts of at most ten minutes, and leaves all
# results in a folder. A stage that runs out of time leaves what it has measured so far.
# A part that is started again repeats no stage that ended well.
#
#   launch/gpu_bench.sh --out=DIR [--part=N] [--wheels=DIR] [--data_dir=DIR]
#
# Part 1 tests the engine and times every convolution; DIR/choices.json is the table for
# gpz_jax/models/choices.json. Part 2 times decoder steps and sweeps, and runs a small
# sweep on real images in both precisions. Part 3 is the sweep of Figure 5 as published,
# which goes on where it stopped. Part 4 times model inversion and the training of
# targets. Without --part all four run, one after another.
#
# --wheels names a folder of wheels, of which DIR/venv is made without a network by
# PYTHON (python3). --data_dir names prepared CIFAR-10, as a folder or a tar archive.
# DIR/status.txt says how every stage ended; status 124 means that time ran out. The
# peer needs PyTorch. SHARE multiplies the ten minutes, and FLAGS are more flags for the
# sweep of part 3; two CPU cores need SHARE=4.
set -uo pipefail
out='' data='' wheels='' parts='1 2 3 4'
usage='give --out=DIR [--part=1|2|3|4] [--wheels=DIR] [--data_dir=DIR]'
for argument in "$@"; do
  case $argument in
    --out=*) out=${argument#--out=} ;;
    --part=[1234]) parts=${argument#--part=} ;;
    --wheels=*) wheels=${argument#--wheels=} ;;
    --data_dir=*) data=${argument#--data_dir=} ;;
    *) echo "gpu_bench: $argument is not known; $usage" >&2; exit 2 ;;
  esac
done
[[ $out ]] || { echo "gpu_bench: --out is missing; $usage" >&2; exit 2; }
for given in "$wheels" "$data"; do
  [[ ! $given || -e $given ]] || { echo "gpu_bench: there is no '$given'; $usage" >&2; exit 2; }
done
mkdir -p "$out" || exit 2
out=$(realpath "$out") wheels=${wheels:+$(realpath "$wheels")} data=${data:+$(realpath "$data")}
cd "$(dirname "$0")/.."
share=${SHARE:-1}

stage() { # name, seconds, command...
  local name=$1 began=$SECONDS seconds status=0
  grep -qs "^$name: exit 0 " "$out/status.txt" && return
  # No stage may go beyond the ten minutes of its part. A sweep that is interrupted saves
  # its lanes, which may be gigabytes; so there are 40 s before it is killed.
  seconds=$(awk "BEGIN {a = $2 * $share; b = 555 * $share - ($SECONDS - $started); print a < b ? a : b}")
  [[ $seconds == -* ]] && { echo "$name: exit 124 after 0s" | tee -a "$out/status.txt"; return; }
  shift 2
  timeout --signal=INT --kill-after=40 "$seconds" "$@" >"$out/$name.txt" 2>&1 || status=$?
  echo "$name: exit $status after $((SECONDS - began))s" | tee -a "$out/status.txt"
}

bench() { # name, seconds, flags...
  stage "$1" "$2" python -m experiments.bench --json="$out/$1.json" "${@:3}"
}

real() { # precision, flags...
  stage "real_$1" 60 python -m experiments.sweep --flagfile=experiments/flagfiles/cifar10_small.cfg --data_dir="$data" \
    --splits=feat_7,feat_18,fc_1 --target_epochs=1 ${few:+--decoder_epochs=$few} --precision="$1" --workdir="$out/real_$1" "${@:2}"
}

part_1() {
  stage tests 100 python -m pytest -q -x tests/training/test_engine.py tests/training/test_lanes.py \
    tests/models/test_upsampling.py tests/attacks_model/test_chunks.py
  bench conv 350 --suite=conv --lanes="${lanes##*,}" --strategy="${strategies##*,}" --precision="$precisions" \
    --steps=2 --repeats=3 --choices="$out/choices.json"
}

part_2() {
  bench step 150 --suite=step --lanes="$lanes" --strategy="$strategies" --precision="$precisions" --peer="$peer" --steps=4 --repeats=3
  bench sweep 200 --suite=sweep --precision="$precisions" --peer="$peer" --steps=2 --repeats=3
  [[ $peer == torch ]] && bench sweep_compiled 80 --suite=sweep --models=vgg19 --peer=torch_compile --steps=2 --repeats=3
  [[ $data ]] || return
  real float32
  real bfloat16 --targets_from="$out/real_float32" # attacks the same targets
}

part_3() {
  [[ $data ]] || { echo 'figure_5 needs --data_dir' | tee -a "$out/status.txt"; return; }
  # shellcheck disable=SC2086
  stage figure_5 530 python -m experiments.sweep --flagfile=experiments/flagfiles/fig5_vgg19.cfg --data_dir="$data" \
    --workdir="$out/figure_5" ${FLAGS:-}
  echo "figure_5: $(cat "$out/figure_5/results.jsonl" 2>/dev/null | wc -l) rows" | tee -a "$out/status.txt"
}

part_4() {
  bench inversion_256 300 --suite=inversion --sizes=256 --lanes="$classes" --strategy="$strategies" --candidates="$candidates" \
    --precision="$precisions" --peer="$peer" --steps=2 --repeats=3
  bench inversion 150 --suite=inversion --sizes=32,64 --lanes=1,4 --strategy="$strategies" --precision="$precisions" \
    --peer="$peer" --repeats=3
  bench target 100 --suite=target --widths=1 --lanes="$lanes" --strategy="$strategies" --precision="$precisions" \
    --peer="$peer" --steps=2 --repeats=3
}

started=$SECONDS
if [[ $wheels ]]; then
  extras=test
  for wheel in jax_cuda12_plugin jax_cuda13_plugin torch; do
    compgen -G "$wheels/$wheel-*.whl" >/dev/null && extras+=,$(sed 's/jax_//; s/_plugin//' <<<"$wheel")
  done
  stage install 240 bash -c "${PYTHON:-python3} -m venv '$out/venv' && '$out/venv/bin/python' -m pip install \
    --no-index --find-links='$wheels' 'gpz_jax[$extras]'"
  PATH=$out/venv/bin:$PATH
fi
if [[ -f $data ]]; then
  stage data 60 bash -c "mkdir -p '$out/data' && tar -xf '$data' -C '$out/data'"
  data=$out/data
fi
stage machine 20 bash -c 'uname -a; lscpu; nvidia-smi; python -c "import jax; print(jax.__version__, jax.devices())"'
export JAX_COMPILATION_CACHE_DIR=$out/programs
if python -c 'import jax, sys; sys.exit(jax.default_backend() != "cpu")' >/dev/null; then
  # `few` are the epochs of decoders on real images; elsewhere the flagfile says.
  lanes=1 strategies=map precisions=float32 classes=1 candidates=2 few=2
else
  lanes=1,9 strategies=map,vmap precisions=float32,bfloat16 classes=1,4 candidates=16 few=
fi
peer=none
if python -c 'import torch' >/dev/null 2>&1; then
  peer=torch
  export XLA_PYTHON_CLIENT_MEM_FRACTION=0.5 # PyTorch needs the rest
fi
for part in $parts; do
  "part_$part"
  started=$SECONDS
done
