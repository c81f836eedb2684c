# make demo and make test do all the set-up themselves: Python 3.11 or later with venv, make and g++ are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL ?= examples/matmulfree/model.onnx
BOARD ?= kv260
PROMPT ?= Good morrow, my lord.
JOBS ?= 2

# Another numpy than the one that pynq asks for; it runs on both.
NUMPY ?=

# The AMD headers that some tests compile with come in this package; its own dependencies are not needed.
HLS_HEADERS := hls4ml==1.3.0

PACKAGING := pyproject.toml Makefile compiler/tritloom/__init__.py
DIGEST := $(shell cat $(PACKAGING) | sha256sum | cut -c1-16)
INSTALLED := $(VENV)/.installed-$(DIGEST)
DEVELOPER := $(VENV)/.developer-$(DIGEST)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-numpy2 test-pynq lint format bench wheel clean distclean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(INSTALLED) ## a trained language model, from its ONNX file to text on the emulated board
	$(BIN)/tritloom compile $(MODEL) --board $(BOARD) -o build/demo --force
	$(BIN)/tritloom generate build/demo --prompt "$(PROMPT)" -n 80 --sample --temperature 0.7 --top-k 40 --seed 1
	$(BIN)/tritloom verify build/demo --tokens 512

test: $(DEVELOPER) ## the tests that take minutes
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

test-long: $(DEVELOPER) ## all tests
	$(BIN)/python -m pytest -n $(JOBS) -m "" $(ARGS)

test-numpy2: ## the tests on numpy 2, which promotes types differently
	$(MAKE) test VENV=.venv-numpy2 NUMPY='numpy>=2,<3'

test-pynq: $(DEVELOPER) ## the runtime's tests on each pynq that there is a Python for (noxfile.py)
	$(BIN)/nox

lint: $(DEVELOPER) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEVELOPER) ## let ruff mend what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(DEVELOPER) ## the benchmarks
	set -e; for script in bench/*.py; do $(BIN)/python $$script; done

wheel: $(DEVELOPER) ## the wheels of the compiler and of the runtime, in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist . ./runtime-wheel

clean: ## remove what was built, keep the virtual environment
	rm -rf build dist

distclean: clean
	rm -rf $(VENV) .venv-numpy2 .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): | $(VENV)/bin/python
	@echo "installing tritloom in $(VENV) (once; about a minute)"
	$(PIP) --editable '.[board]'
	@rm -f $(VENV)/.installed-* && touch $@

$(DEVELOPER): $(INSTALLED)
	@echo "installing the developers' tools in $(VENV) (once)"
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps '$(HLS_HEADERS)' $(if $(NUMPY),'$(NUMPY)')
	@rm -f $(VENV)/.developer-* && touch $@
