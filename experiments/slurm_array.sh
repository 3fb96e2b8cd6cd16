#!/usr/bin/env bash
#SBATCH --array=0-9 --cpus-per-task=1 --time=00:30:00
#SBATCH --requeue --open-mode=append --signal=B:TERM@60
# SLURM job array that trains one network in each task, of the seed SLURM_ARRAY_TASK_ID. A task that
# is stopped or requeued continues its training; one that is complete is skipped. From the root:
#     sbatch experiments/slurm_array.sh FOLDER [flags of train.py]
set -eu
python="${PYTHON:-.venv/bin/python}"
exec "$python" -m experiments.seeds "$@" --seeds "$SLURM_ARRAY_TASK_ID" --jobs 1
