# The commands of the README; .ci/run calls the same ones.
VENV ?= .venv
PYTHON ?= python3
EXTRAS ?= test
# CI also runs what is marked `ci`: make test MARKS='not slow'.
MARKS ?= not slow and not ci
RUN = $(VENV)/bin
# tests/conftest.py orders the files.
PARALLEL = -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
INSTALL = $(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: setup test test-all soak lint format quickstart clean

setup: $(VENV)/.ready-$(EXTRAS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "gpz_jax needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# What a sweep needs, and what tests and lint need on top.
$(VENV)/.ready: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e .
	touch $@

$(VENV)/.ready-$(EXTRAS): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e '.[$(EXTRAS)]'
	touch $@ $(VENV)/.ready

test: setup
	$(RUN)/python -m pytest -q $(PARALLEL) --durations=20 -m '$(MARKS)' $(TESTS)

test-all: setup
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(RUN)/python -m pytest -q $(PARALLEL) $(TESTS)

# 200 random interruptions and corruptions, counted; not in CI.
soak: setup
	PYTHONPATH=tests $(RUN)/python tests/faults/soak.py --hurts=200

lint: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/pyright --pythonpath $(RUN)/python

format: setup
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

quickstart: $(VENV)/.ready
	$(RUN)/python -m experiments.sweep --flagfile=experiments/flagfiles/quickstart.cfg

clean:
	rm -rf $(VENV) build *.egg-info
