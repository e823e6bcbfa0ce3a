# make quick   set up, then run the quick study; print its answer and the path of the report
# make test    set up, then run linter, type checker and tests
# The first of these that there is and works; constraints.txt is tested with 3.11.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
  $$python -c "" 2>/dev/null && command -v $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# Passed to every pip install, e.g. an --extra-index-url with CPU-only builds of PyTorch.
PIP_OPTIONS ?=
PIP = $(BIN)/python -m pip install --disable-pip-version-check $(PIP_OPTIONS) -c constraints.txt

.PHONY: quick smoke teacher flagship test lint types unit site soak fresh extras clean help
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

quick: $(VENV)/.run ## Set up and run the quick study (about 20 minutes on two cores)
	$(BIN)/evenface study run quick

smoke: $(VENV)/.run ## Set up and run a tiny study through every stage (3 minutes)
	$(BIN)/evenface study run smoke

teacher: $(VENV)/.run ## Make the study teacher anew (about an hour; the package holds one)
	$(BIN)/python tools/study_teacher.py

flagship: $(VENV)/.dev ## Make the package's recogniser anew (about three hours; the package holds one)
	$(BIN)/python tools/flagship.py

test: lint types unit ## Set up and run linter, type checker and tests

lint: $(VENV)/.dev ## Linter, formatter, and that imports point one way
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/lint-imports

types: $(VENV)/.dev ## Type checker
	$(BIN)/mypy

# Tests whose assets cannot be had are skipped, unless EVENFACE_REQUIRE_ASSETS=1.
unit: $(VENV)/.dev ## Tests
	$(BIN)/evenface assets get --all || test "$$EVENFACE_REQUIRE_ASSETS" != 1
	$(BIN)/python -m pytest -n auto

site: $(VENV)/.dev ## Documentation site, into site/; open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

soak: $(VENV)/.dev ## Kill trainings at random moments for EVENFACE_SOAK_MINUTES (10)
	$(BIN)/python -m pytest -m soak tests/train/test_soak.py

fresh: ## Run README's commands in fresh environments without development packages, as CI does
	tools/fresh.sh

extras: $(VENV)/.dev ## Install each extra on its own and import what it is for (before a release)
	$(BIN)/python tools/extras.py

clean: ## Remove the environment (studies and downloaded assets stay)
	rm -rf $(VENV)

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "evenface needs Python 3.11, 3.12 or 3.13, but $${PYTHON:-python3} is" \
	    "$$("$(PYTHON)" --version 2>/dev/null || echo "not there")." \
	    "Install one of them and name it: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e ".[train,render,report,export]"
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.run
