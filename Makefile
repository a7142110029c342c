# One word for each thing people do. Every target sets up what it needs by itself.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup check fix test test-thorough test-fast demo fuzz bench docs clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/'

setup: $(STAMP)  ## a virtual environment in .venv with partly in it

# uv installs the same files as pip in a fifth of the time; where it cannot be had, pip does the work.
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "partly needs Python 3.11 or later: make setup PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade uv || true
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]' || $(BIN)/python -m pip install --editable '.[dev]'
	touch $(STAMP)
	@echo "next: . $(BIN)/activate, then: partly init NAME; or: make demo"

check: $(STAMP)  ## format, lint, types, layers, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

fix: $(STAMP)  ## format and repair what can be repaired
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(STAMP)  ## the tests (a real Label Studio is installed and started where it is needed)
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not thorough"

test-thorough: $(STAMP)  ## the long ones: kills, two machines, whole demos and tables, every way through the review page
	$(BIN)/python -m pytest -n 2 --dist loadscope -m thorough

test-fast: $(STAMP)  ## what can be known in under a minute: units, contracts of the layers, migrations on SQLite
	$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/unit tests/architecture tests/migrations -k "not postgres and not old_run and not hostile"

demo: $(STAMP)  ## the main job, from nothing to a retrained model
	$(BIN)/partly demo

fuzz: $(STAMP)  ## 20,250 damaged inputs, each in a process of its own: no traceback, no signal, no hang, nothing good lost
	PARTLY_FUZZ=750 $(BIN)/python -m pytest -q -n 2 --dist worksteal -rP tests/fuzz

bench: $(STAMP)  ## speed, as ratios against stated limits; all are measured before a missed one fails
	missed=; for name in run training scale registry dashboard sync; do \
	  echo "== benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py || missed="$$missed $$name.py"; \
	done; test -z "$$missed" || { echo "missed a limit, or failed:$$missed"; exit 1; }

docs: $(STAMP)  ## regenerate the pages on commands, settings, tables and JSON documents, and build the site in site/
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## remove what setup made
	rm -rf .venv build *.egg-info
