# Everything lives in .venv, which the first target that needs it makes; `make demo PYTHON=python3.12` makes it with
# another interpreter.

PYTHON ?= python3
BIN := .venv/bin
DATA ?= ../shared/data
# Python compiles what it imports; to compile everything first takes as long as installing it.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile
COMPILE := uv pip compile --quiet --no-emit-index-url --no-header --python-version 3.11

.PHONY: demo test check format bench detection quality memory chaos requirements

# A simulated stream, the embedded engine, and the rings that were found.
demo: .venv/core.stamp
	$(BIN)/ringwatch demo

# Every test; those with Kafka and Neo4j need Java and Maven, those with buckets Go.
test: .venv/dev.stamp
	$(BIN)/python -m pytest --numprocesses 3 --dist loadgroup

# Style, types, architecture.
check: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The speed in docs/measured.md.
bench: .venv/dev.stamp
	$(BIN)/python -m benchmarks.hot_path
	$(BIN)/python -m benchmarks.scoring

# How well rings are found on simulated streams; hours, for three streams of a million payments.
detection: .venv/dev.stamp
	$(BIN)/python -m benchmarks.detection --seeds 201 202 203

# How good learned scores are on the public sets, which are not part of the repository.
quality: .venv/dev.stamp
	$(BIN)/ringwatch report quality --data $(DATA)

# Memory over ten million payments, as a plot.
memory: .venv/dev.stamp
	$(BIN)/python -m benchmarks.memory

# Kills the worker, the broker and the graph, over and over, and compares with an undisturbed run.
chaos: .venv/dev.stamp
	$(BIN)/python -m tests.chaos

# Pin again what setup.cfg asks for; needs uv. All of it together first, since every file pins the same versions.
requirements:
	$(COMPILE) --extra dev --extra evaluate --extra scores --extra gnn --extra gcp setup.cfg --output-file requirements-dev.txt
	$(COMPILE) --constraint requirements-dev.txt setup.cfg --output-file requirements.txt
	$(COMPILE) --constraint requirements-dev.txt --extra evaluate --extra scores setup.cfg --output-file requirements-evaluate.txt
	$(COMPILE) --constraint requirements-dev.txt --extra gnn --extra gcp setup.cfg --output-file requirements-gnn.txt

# Not .venv/bin/python: Debian without python3-venv leaves one behind that has no pip.
.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Ringwatch needs Python 3.11 or later: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv

# With what `ringwatch evaluate` and models of trees need; an image that runs the stream does without.
.venv/core.stamp: requirements-evaluate.txt setup.cfg pyproject.toml | .venv/bin/pip
	@echo "Installing Ringwatch into .venv; this happens once and takes a minute or two."
	$(INSTALL) --requirement requirements-evaluate.txt
	$(INSTALL) --no-deps --editable .
	@touch $@

.venv/dev.stamp: requirements-dev.txt .venv/core.stamp
	@echo "Installing the development tools into .venv."
	$(INSTALL) --requirement requirements-dev.txt
	@touch $@
