#!/usr/bin/env bash
# What each part of the training recipe is worth: the recipe without it, with one seed, two runs at
# a time on one thread each, and one table of all.   benchmarks/ablations.sh FOLDER [SEED]
set -eu
home="$(cd "$(dirname "$0")/.." && pwd)"
python="${PYTHON:-python}"
folder="$1" seed="${2:-0}"
mkdir -p "$folder"
cd "$folder"

run() {
    name="$1"
    shift
    "$python" "$home/train.py" --training.seed "$seed" --training.save_path "$name.pth" \
        --training.log_path "$name.csv" --plotting.enable False "$@" >"$name.txt" 2>&1
}
export -f run
export home python seed OMP_NUM_THREADS=1

xargs -P 2 -I '{}' bash -c 'run {}' <<'RUNS'
recipe
same_noise --training.noise_scale 1
no_mirror --training.mirrored_noise False
even_weights --training.period_weight 0
long_silence --training.silent_periods 1000
from_5_ms --training.stage_dt [0.005,0.005,0.005,0.002,0.001]
trials_of_2_s --training.trial_seconds 2 --training.click_seconds 1
RUNS
"$python" "$home/benchmarks/seeds.py" ./*.pth
