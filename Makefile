# The commands a person needs; each installs what is missing first. `make` alone lists them.
VENV    := .venv
PYTHON  := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# torch's default wheel on Linux brings the CUDA libraries; a machine without a GPU can take a smaller build
# with TORCH_INDEX=<index url>.
PIP     := $(PYTHON) -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: help install quickstart test lint bench reference reference-cnn testbed testbed-down

help:
	@echo "make quickstart     install, then train, distil and report on small images (about 3 minutes)"
	@echo "make test           install, then run every test"
	@echo "make lint           ruff and mypy"
	@echo "make bench          the benchmarks, with tables"
	@echo "make reference NAME=privileged   a job file of jobs/reference in full; its report is kept in results/reference"
	@echo "make reference-cnn  jobs/cnn_pipeline.yaml in full on this machine's GPUs, report kept in results/reference (hours)"
	@echo "make testbed        a real Slurm on this machine (Debian or Ubuntu, root), for tests and trials"
	@echo "                    VARIANT=lua,short: with the ways of a site; cluster_env/testbed/README.md lists them"
	@echo "make testbed-down   stop it"

install: $(INSTALLED)

$(INSTALLED): setup.cfg pyproject.toml cluster_env/constraints.txt
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time)"
	@$(PIP) --constraint cluster_env/constraints.txt --editable '.[test]'
	@touch $@

quickstart: install
	@$(VENV)/bin/kd-submit jobs/quickstart.yaml --executor local

# One thread per process: two workers with two threads each slow one another down. The tests on a real Slurm break its
# nodes and its controller, so they run after the others and one at a time.
test: install
	@OMP_NUM_THREADS=1 KD_THREADS=1 $(PYTHON) -m pytest -n 2 -m "not slurm"
	@OMP_NUM_THREADS=1 KD_THREADS=1 $(PYTHON) -m pytest -m slurm

lint: install
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

bench: install
	@$(PYTHON) -m benchmarks.run

# KD_DATA is the folder that holds cifar10/ and MNIST/. Stopped, it goes on where it was.
reference: install
	@$(PYTHON) -m benchmarks.reference $(NAME)

reference-cnn: install
	@$(PYTHON) -m benchmarks.reference cnn

testbed: install
	@cluster_env/testbed/install.sh && KD_TESTBED_VARIANT=$(VARIANT) cluster_env/testbed/up.sh

testbed-down:
	@cluster_env/testbed/down.sh
