# Everybody needs two commands, `make demo` and `make test`. The others are for developers of oaflow.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test lint format lock pictures reference site compat-env newcomer clean bench chaos

# Use the Python of this machine; uv must not download one.
export UV_PYTHON_DOWNLOADS := never
# As pip does: a proxy's own certificate is known to the system only.
export UV_SYSTEM_CERTS := true
# Keep compiled modules, whatever the environment says. The tests start thousands of processes, and each would compile
# everything that it imports (2.0 s of CPU for a small run instead of 1.25).
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(VENV)/bin/uv
# Test processes: four for each core, because most tests wait for processes that they have started (on two cores, 9:09
# minutes instead of 9:57 with three).
WORKERS ?= $(shell expr 4 \* $$(getconf _NPROCESSORS_ONLN))
TESTS ?= tests
# In CI, a few tests that failed (pytest's exit code 1, no other) are run again, each alone.
SECOND_LOOK := $(if $(CI),$(PYTHON) tools/second_look.py,false)
SIZE ?= full
BENCH ?=
FAULTS ?= 1000
SEED ?=

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/run.stamp  ## ingest the sample documents and search them
	@scripts/need-tesseract
	@scripts/demo

test: $(VENV)/compiled.stamp  ## run the tests; TESTS=tests/unit runs some of them
	@scripts/need-tesseract
	$(PYTHON) -m pytest -n $(WORKERS) --dist worksteal $(TESTS) || { test $$? = 1 && $(SECOND_LOOK); }

bench: $(VENV)/dev.stamp  ## measure what docs/performance.md shows; SIZE=small is quicker, BENCH=chain measures one thing (field needs redis-server)
	@scripts/need-tesseract
	$(PYTHON) -m benchmarks $(BENCH) --size $(SIZE) --write

chaos: $(VENV)/dev.stamp  ## inject faults of all kinds into one long run; FAULTS=100 is shorter, SEED=4 repeats a run
	$(PYTHON) -m tests.chaos.long --faults $(FAULTS) $(if $(SEED),--seed $(SEED))

lint: $(VENV)/dev.stamp  ## check style, types and layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/basedpyright --pythonpath $(PYTHON)
	$(VENV)/bin/lint-imports --no-cache

format: $(VENV)/dev.stamp  ## format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

pictures: $(VENV)/dev.stamp  ## draw docs/pictures from the program's output and its web page (needs chromium)
	$(PYTHON) tools/make_pictures.py
	OAFLOW_PICTURES=docs/pictures $(PYTHON) -m pytest -q tests/e2e -k pictures

reference: $(VENV)/run.stamp  ## write the generated pages of docs/reference
	$(PYTHON) tools/make_rules.py
	$(PYTHON) tools/make_reference.py

site: $(VENV)/dev.stamp  ## build the docs as a website: open site/index.html
	$(VENV)/bin/zensical build --clean --strict

lock: $(VENV)/uv.stamp  ## update all locked versions, from pyproject.toml and locks/*.in
	scripts/lock $(UV)

compat-env: $(VENV)/dev.stamp  ## install the programs that oaflow must work with, in their own environments, for tests/compat
	$(PYTHON) tests/compat/environment.py

newcomer:  ## run the demo and the tests on an empty Debian (as root; not in CI)
	scripts/newcomer

clean:  ## remove environments and caches; ingested documents stay
	rm -rf .venv .venv-compat .venv-peers .cache build dist site .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# An environment is made again only if its lock has changed.
$(VENV)/uv.stamp: locks/uv.txt
	@scripts/need-python $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt
	@touch $@

$(VENV)/run.stamp: locks/run.txt pyproject.toml $(VENV)/uv.stamp
	@scripts/install $(UV) $(PYTHON) locks/run.txt
	@touch $@

# Compile all modules in one process. Otherwise every test process does so at the same time, for 8 s of CPU each.
$(VENV)/compiled.stamp: $(VENV)/dev.stamp
	@$(PYTHON) -m pytest --collect-only -qq tests > /dev/null || true
	@touch $@

$(VENV)/dev.stamp: locks/dev.txt pyproject.toml $(VENV)/uv.stamp
	@scripts/install $(UV) $(PYTHON) locks/dev.txt
	@touch $@ $(VENV)/run.stamp
