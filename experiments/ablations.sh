#!/usr/bin/env bash
# What the parts of the training recipe are worth: the recipe without each, in one minute, with the
# vanilla RNN, and the predecessor's recipe (batches of 32: 512 would take hours). One seed, two
# runs at a time on one thread each, about 20 minutes; then one table of all.
#     experiments/ablations.sh FOLDER [SEED]
set -eu
home="$(cd "$(dirname "$0")/.." && pwd)"
python="${PYTHON:-python}"
folder="$1" seed="${2:-0}"
mkdir -p "$folder"
cd "$folder"

run() {
    name="$1"
    shift
    set -- "${@/CONFIG_ORIGINAL/$home/config_original.yaml}"
    "$python" "$home/train.py" --training.seed "$seed" --training.save_path "$name.pth" \
        --training.log_path "$name.csv" --plotting.enable False "$@" >"$name.txt" 2>&1
}
export -f run
export home python seed OMP_NUM_THREADS=1

xargs -P 2 -I '{}' bash -c 'run {}' <<'RUNS'
same-noise --training.noise_scale 1
no-mirror --training.mirrored_noise False
no-long-trials --training.trial_seconds [2,2,2,3,4,4] --training.silent_periods [8,8,8,8,12,12]
one-minute --training.epochs [100,700,100,40,20,10]
vanilla-RNN --model_type RNN
original --config_path CONFIG_ORIGINAL --training.batch_size 32
RUNS
"$python" "$home/experiments/seeds.py" ./*.pth
