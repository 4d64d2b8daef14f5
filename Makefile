# Few words, each doing its own set-up. A bare machine needs python3.11 with venv, and make.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Twice quiet: a half-configured index prints a warning per package, errors still show.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install -qq --no-deps
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.PHONY: help setup demo run test chaos lint types bench soak clean lock

help:  ## list the words
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.dev  ## install everything a developer needs into .venv

demo: $(VENV)/.run  ## phone the real server with a synthetic caller and watch a lead being made; no keys
	@$(BIN)/ivr demo

run: $(VENV)/.run  ## start the server with the settings of the environment and .env
	@$(BIN)/ivr serve

test: $(VENV)/.dev  ## run the tests; REQUIRE_SERVICES=1 fails when PostgreSQL is missing
	@$(BIN)/python -m pytest -n 3 $(PYTEST)

chaos: $(VENV)/.dev  ## play 300 seeds of random faults; CHAOS=1-60,99 plays these
	@CHAOS=$(or $(CHAOS),1-300) $(BIN)/python -m pytest -q -n 2 tests/faults/chaos.py $(PYTEST)

lint: $(VENV)/.dev  ## check style, formatting and import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

types: $(VENV)/.dev  ## check types, strictly
	@$(BIN)/mypy

bench: $(VENV)/.dev  ## measure the promises on this machine; BENCH=--full takes longer
	@$(BIN)/python -m tools.bench $(BENCH)

soak: $(VENV)/.dev  ## see whether memory is flat: 30 minutes of 50 calls, or SOAK=minutes
	@$(BIN)/python -m tools.bench --soak $(or $(SOAK),30) --calls 50

lock: $(VENV)/.dev  ## remake requirements/ from pyproject.toml; LOCK_FLAGS=--upgrade takes newer releases
	@$(LOCK) --extra demo --group build --group dev $(LOCK_FLAGS) -o requirements/dev.txt
	@$(LOCK) --extra demo --group build -c requirements/dev.txt -o requirements/run.txt

clean:  ## remove what these words made, databases excepted
	@rm -rf $(VENV) .demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find ivr tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: a word is instant the second time, and installs anew when the lock changes.
# pip, not uv, installs: it obeys whatever index the machine's pip is configured with.
$(VENV)/.run: requirements/run.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked requirements into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements/run.txt
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@
