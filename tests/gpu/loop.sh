#!/bin/bash
# `make gpu`: calibrate, emulate and validate on one GPU, then the tests of tests/gpu; at most 8 minutes. Not yet run on a GPU.
# python3 of the present environment runs it, or PYTHON. Exit status 2, with one line, where there is no GPU or a package is
# missing; 1 where a part failed. Results go to gpu-results/.
set -u
cd "$(dirname "$0")/../.." || exit 2
python=${PYTHON:-python3}
if ! nvidia-smi -L >/dev/null 2>&1; then
  echo "make gpu: no NVIDIA GPU here (nvidia-smi lists none)"
  exit 2
fi
if ! missing=$("$python" -c 'import numpy, pandas, pydantic, pytest, pytest_timeout, rich, scipy, torch' 2>&1); then
  echo "make gpu: ${missing##*$'\n'} ($(command -v "$python" || echo "$python": not found); PYTHON=… takes another one)"
  exit 2
fi
if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  echo "make gpu: torch sees no GPU (built without CUDA, or an older driver)"
  exit 2
fi
out=gpu-results; mkdir -p "$out"
run() { echo; echo "\$ $*"; timeout -k 10 "$limit" "$@" || echo "(status $?)"; }
{
  date -u; nvidia-smi --query-gpu=name,uuid,driver_version --format=csv
  "$python" -c 'import torch; print("torch", torch.__version__)'
  limit=20 run "$python" -m inferometer.launch doctor
  limit=170 run "$python" -m inferometer.launch calibrate --backend nccl -n 1 --budget 130 -o "$out/gpu.json"
  limit=45 run "$python" -m inferometer.launch emulate llama-3-8b --layers 8 --bits 16 --backend nccl --batch 8 --context 2048 \
    --only decode --launches 1 --steps 20 --calibration "$out/gpu.json" -o "$out/llama.emulation.jsonl"
  limit=100 run "$python" -m inferometer.launch validate --backend nccl --matrix gpu --launches 2 \
    --calibration "$out/gpu.json" -o "$out/validation.json"
  limit=130 run "$python" -m pytest -q -m gpu tests/gpu
} 2>&1 | tee "$out/output.txt"
! grep -q '^(status' "$out/output.txt"
