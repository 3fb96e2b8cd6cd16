#!/usr/bin/env bash
# All that is measured in one session on a machine with a GPU, in less than eight minutes: updates,
# a training, the original recipe, a drive, figure 5 and 16 networks; the tests run beside the last
# four. With a Python that has requirements.txt, requirements-dev.txt and PyTorch for CUDA:
#     PYTHON=.venv/bin/python benchmarks/gpu.sh FOLDER
#     QUICK=1 benchmarks/gpu.sh FOLDER          the same in tiny sizes, on any device
# FOLDER gets the results, what each step prints (STEP.txt) and the exit codes (summary.txt). A step
# that fails or reaches its time limit (exit code 124) does not stop the others.
# shellcheck disable=SC2086  # some variables hold several words
set -u
python="$(realpath -s "$(command -v "${PYTHON:-python}")")"
export PYTHONPATH="$(cd "$(dirname "$0")/.." && pwd)"
mkdir -p "$1" && cd "$1" || exit 2
slow=1 device=cuda race="" small="" short="" seeds=0..15 checkpoint="" tests="$PYTHONPATH/tests"
if [ -n "${QUICK:-}" ]; then
    slow=20 device=auto race="--hidden 20 --repetitions 1" seeds=0..1 checkpoint="--checkpoint shipped"
    small="--model.hidden_dim 40 --model.dt 0.01 --training.dt 0.01 --training.epochs 20"
    small+=" --training.batch_size 2 --training.refine false --training.calibrate false"
    small+=" --check.enable false"
    short="--drive.keep_seconds 2 --drive.extra_periods 0 --fig5.grid 4"
    tests="$PYTHONPATH/tests/test_taps.py"
fi

step() { # name, time limit [s], words for Python
    local name="$1" limit="$2" began=$SECONDS
    shift 2
    timeout -k 10 "$((limit * slow))" "$python" "$@" >"$name.txt" 2>&1
    echo "$name: exit code $?, $((SECONDS - began)) s" | tee -a summary.txt
}

nvidia-smi >nvidia-smi.txt 2>&1
step race 60 -m benchmarks.run --only updates+descent --device $device $race
step train 80 "$PYTHONPATH/train.py" --device $device $small
step tests 330 -m pytest -q -rfEs $tests &
step original 90 "$PYTHONPATH/train.py" --device $device --name original \
    --config_path "$PYTHONPATH/configs/original.yaml" $small
step drive 45 "$PYTHONPATH/drive_model_and_save_outputs.py" --device $device $checkpoint $short
step fig5 50 "$PYTHONPATH/plot_fig5.py" --device $device $checkpoint $short
step networks 150 -m experiments.seeds networks --seeds $seeds --jobs 16 $small
wait
grep -h "^FAILED\|^ERROR\|passed\|failed" tests.txt
