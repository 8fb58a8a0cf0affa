# Everything runs in $(VENV), which is made on first use. Overrides: make test VENV=/tmp/env PYTHON=python3.12

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
INPUTS := pyproject.toml constraints.txt

# A new enough interpreter: $(PYTHON) if given, else the first of these on PATH.
PYTHON ?=
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
FIND_PYTHON = for name in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	  if "$$name" -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1; then found="$$name"; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "error: mm-megacontext needs Python 3.11 or newer, and '$(or $(PYTHON),python3)' is not." \
	    "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi

QUESTION := What is the monthly rent?

.PHONY: help
help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.demo-installed ## Ask examples/lease.pdf a question and draw where the model looked (build/demo.png)
	$(BIN)/mmctx ask examples/lease.pdf "$(QUESTION)" --show build/demo.png

.PHONY: test
test: $(VENV)/.dev-installed ## Run the test suite in two processes (PYTEST_ARGS="-k store" narrows it)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(PYTEST_ARGS)

.PHONY: check
check: $(VENV)/.dev-installed ## Check format, lint, types and import layers, as CI does before the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@git ls-files '*.py' | grep -v '^tests/' | xargs wc -l | \
	  awk '$$1 > 400 && $$2 != "total" { print "warning: " $$2 " has " $$1 " lines: is there one reason to change it?" }' >&2

.PHONY: bench
bench: $(VENV)/.bench-installed ## Run every benchmark; tables on the screen, JSON in build/bench/
	@mkdir -p build/bench
	@for script in benchmarks/*.py; do \
	  echo "== $$script"; $(BIN)/python "$$script" --out "build/bench/$$(basename "$$script" .py).json"; \
	done

.PHONY: results
results: $(VENV)/.dev-installed ## Measure the figures of the README again (docs/results/lookup.json; about an hour)
	@mkdir -p docs/results
	$(BIN)/mmctx eval lookup --split test -n 500 --out docs/results/lookup.json

.PHONY: docs
docs: $(VENV)/.dev-installed ## Write the API reference to build/docs/
	$(BIN)/python -m pdoc --docformat google --output-directory build/docs mm_megacontext

.PHONY: build
build: $(VENV)/.dev-installed ## Build the wheel into dist/
	rm -rf build/lib build/bdist.* # setuptools would pack what an earlier build left there
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

.PHONY: clean
clean: ## Remove what the verbs made, but not the environment or trained weights
	rm -rf build dist *.egg-info .coverage htmlcov .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: venv
venv: $(VENV)/.dev-installed ## Make the development environment in .venv

# pip is the last thing that a new environment gets, so its absence means that making one was cut short.
$(BIN)/pip:
	@$(FIND_PYTHON); \
	if "$$found" -c 'import ensurepip' 2>/dev/null; then \
	  "$$found" -m venv "$(VENV)"; \
	elif "$$found" -m pip --version >/dev/null 2>&1; then \
	  "$$found" -m venv --without-pip "$(VENV)" && "$$found" -m pip --quiet --python "$(VENV)/bin/python" install pip; \
	else \
	  echo "error: this Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; \
	  exit 1; \
	fi

$(VENV)/.demo-installed: $(INPUTS) | $(BIN)/pip
	@echo "Installing mm-megacontext into $(VENV) (the first time this downloads PyTorch: several minutes)" >&2
	$(PIP_INSTALL) -e ".[pymupdf]"
	@touch $@

$(VENV)/.bench-installed: $(VENV)/.dev-installed
	$(PIP_INSTALL) -e ".[dev,bench]"
	@touch $@

$(VENV)/.dev-installed: $(INPUTS) | $(BIN)/pip
	@echo "Installing mm-megacontext and its tools into $(VENV) (the first time this downloads PyTorch: several minutes)" >&2
	$(PIP_INSTALL) -e ".[dev]"
	@touch $@
