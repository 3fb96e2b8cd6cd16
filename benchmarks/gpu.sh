#!/usr/bin/env bash
# What is to be done once on a machine with a CUDA device, in under ten minutes: the tests, with
# those that need CUDA; the update timed there; the recipe as a whole; figure 5. From the project's
# folder, with a Python that has requirements.txt, requirements-dev.txt and a PyTorch for CUDA:
#     PYTHON=.venv/bin/python benchmarks/gpu.sh FOLDER
# Everything goes to FOLDER: what each said as .txt, the network, the figures. What fails does not
# stop the rest; the last lines say how each ended.
set -u
python="$(realpath "${PYTHON:-python}")"
home="$(cd "$(dirname "$0")/.." && pwd)"
mkdir -p "$1"
cd "$1" || exit 2
nvidia-smi >nvidia-smi.txt 2>&1

run() { # name, seconds at most, command
    local name="$1" limit="$2" began=$SECONDS
    shift 2
    timeout "$limit" "$@" >"$name.txt" 2>&1
    echo "$name: exit code $?, $((SECONDS - began)) s" | tee -a summary.txt
}
run bench 90 "$python" "$home/benchmarks/run.py" --only cuda
run train 200 "$python" "$home/train.py" --device cuda --overwrite
run fig5 100 "$python" "$home/plot_fig5.py" --device cuda --checkpoint best_model.pth
run test 200 "$python" -m pytest -q -rs "$home/tests"
tail -n 3 bench.txt test.txt
