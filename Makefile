# Every target does its own set-up, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-browser test-slurm lint style ui docs bench clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## Make .venv with all dependencies

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh
	@touch $(READY)

demo: $(READY)  ## Build the whole chain on the embedded gratings
	@$(BIN)/dynvision demo

# The tests of a file stay in one process, so that what they build together is built once.
test: $(READY)  ## Run all tests but those in the browser and on Slurm (half an hour on two cores)
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

# One thread: the arrays of these tests are so small that more threads only wait for each other.
test-fast: $(READY)  ## Run the tests without processes and training, in about a minute
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow" --durations=5 -n logical --maxprocesses 4 --dist loadfile

test-browser: $(READY)  ## Run the tests of the UI in headless Chromium
	@sh scripts/install_chromium.sh
	@$(BIN)/python -m pytest -m browser tests/browser

test-slurm: $(READY)  ## Run the tests on a real Slurm of one node, which is started for them (as root)
	@sh scripts/install_slurm.sh
	@$(BIN)/python -m pytest -m slurm tests/slurm

lint: $(READY)  ## Check style and types without changing anything
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

style: $(READY)  ## Format the code and fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

ui: $(READY)  ## Open Dagster's UI on http://127.0.0.1:3000
	@exec $(BIN)/dynvision ui

docs: $(READY)  ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "the documentation is in site/: open site/index.html"

bench: $(READY)  ## Measure speed against named peers
	@$(BIN)/python -m benchmarks

clean:  ## Remove .venv and caches; data/ and .dagster/ stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
