#!/bin/bash
# `make gpu`: calibrate, emulate and validate on one GPU, then two ranks on it; at most 8 minutes. Not yet run on a GPU.
# Exit status 2, with one line, where there is none. Results go to gpu-results/.
set -u
python=${PYTHON:-python3}
if ! nvidia-smi -L >/dev/null 2>&1; then
  echo "make gpu: no NVIDIA GPU here (nvidia-smi lists none)"
  exit 2
fi
if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  echo "make gpu: torch sees no GPU (built without CUDA, or an older driver)"
  exit 2
fi
out=gpu-results; mkdir -p "$out"; status=0
run() { echo; echo "\$ $*"; timeout -k 10 "$limit" "$@" || { echo "(status $?)"; status=1; }; }
{
  date -u; nvidia-smi --query-gpu=name,uuid,driver_version --format=csv
  "$python" -c 'import torch; print("torch", torch.__version__)'
  limit=30 run "$python" -m inferometer.launch doctor
  limit=230 run "$python" -m inferometer.launch calibrate --backend nccl -n 1 --budget 200 -o "$out/gpu.json"
  limit=45 run "$python" -m inferometer.launch emulate llama-3-8b --layers 8 --bits 16 --backend nccl --batch 8 --context 2048 \
    --only decode --launches 1 --steps 20 --calibration "$out/gpu.json" -o "$out/llama.emulation.jsonl"
  limit=110 run "$python" -m inferometer.launch validate --backend nccl --matrix gpu --launches 3 \
    --calibration "$out/gpu.json" -o "$out/validation.json"
  limit=60 run "$python" -m pytest -q -m gpu tests/gpu
} 2>&1 | tee "$out/output.txt"
exit "$(grep -c '^(status' "$out/output.txt" | awk '{print ($1 > 0)}')"
