# make run    set everything up, calibrate this machine, check a small model against it, predict a real one
# make test   set everything up and run the tests
# make lint   ruff and mypy        make bench   timings side by side        make verify   long statistical studies
# make docs   the pages as a site, in docs/_build
# make gpu    calibrate, emulate and validate on one GPU, 8 minutes; without one exit status 2
# make torture   bad input and faults of every kind, by area: what was tried, what failed (15 minutes)

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

ALONE := tests/mpi tests/nodes tests/ranks/launch

.PHONY: run test lint bench verify torture docs gpu clean

run: $(VENV)/run.stamp
	$(BIN)/inferometer calibrate --budget 240
	@echo; echo "A sixteenth of Llama 3 8B on this machine, by the calibration above: predicted beside executed"
	$(BIN)/inferometer emulate llama-3-8b --scale 1/16 --layers 4 --tp 2 --batch 8 --context 128 --steps 30 \
		--launches 2 --calibration calibration.json
	@echo; echo "Llama 3 8B on two H100, by a calibration of H100 and NCCL that comes with Inferometer"
	$(BIN)/inferometer predict llama-3-8b --accelerator h100-sxm --tp 2 --batch 8 --calibration h100-nccl

# Files of tests run side by side; launchers with their faults and limits, MPI ranks, which wait by spinning, and emulated
# hosts have the machine to themselves.
test: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "unit and not verify" tests/unit
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not verify" --ignore tests/unit $(addprefix --ignore ,$(ALONE))
	$(BIN)/python -m pytest -m "not verify" $(ALONE)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/timing_loops.py
	$(BIN)/python benchmarks/import_tally.py
	$(BIN)/python benchmarks/epoch_grid.py
	$(BIN)/python benchmarks/fit_speed.py
	$(BIN)/python benchmarks/engine_step.py
	$(BIN)/python benchmarks/weight_pages.py
	$(BIN)/python benchmarks/launch_speed.py
	$(BIN)/python benchmarks/report_speed.py

verify: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m verify -s --timeout 1800

# One script on one GPU, with the torch of the present environment (this folder's is often built without CUDA).
gpu:
	@bash tests/gpu/loop.sh

torture: $(VENV)/dev.stamp
	$(BIN)/python -m tests.torture

docs: $(VENV)/docs.stamp
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "docs/_build/index.html"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Inferometer needs Python 3.11 or newer (make PYTHON=/path/to/python3.11 …)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# What the commands need; MPI, tests and linters come with the second stamp.
$(VENV)/run.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable ".[dev]"
	@touch $@ $(VENV)/run.stamp

$(VENV)/docs.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable ".[docs]"
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
