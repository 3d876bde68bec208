# Two commands for everybody: `make demo` and `make test`. The rest is for those who work on oaflow.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test lint format lock pictures reference site compat-env newcomer clean bench chaos

# The Python that is here is used, never one that uv would bring.
export UV_PYTHON_DOWNLOADS := never
# Behind a proxy with a certificate of its own, the system knows it; pip asks the system too.
export UV_SYSTEM_CERTS := true
# Compiled modules are kept, whatever the environment says: the tests start thousands of processes, and each would compile
# all that it imports (2.0 s of CPU for a small run, and 1.25 with them).
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(VENV)/bin/uv
# Processes that run tests: four for each core, since many of them wait for processes that they started (9:09 minutes on two
# cores, and 9:57 with three).
WORKERS ?= $(shell expr 4 \* $$(getconf _NPROCESSORS_ONLN))
TESTS ?= tests
# In CI a few tests that are red (exit 1 of pytest, and no other) are asked again, alone.
SECOND_LOOK := $(if $(CI),$(PYTHON) tools/second_look.py,false)
SIZE ?= full
BENCH ?=
FAULTS ?= 1000
SEED ?=

help:  ## these lines
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/run.stamp  ## ingest the sample documents, and search in them
	@scripts/need-tesseract
	@scripts/demo

test: $(VENV)/compiled.stamp  ## the tests; TESTS=tests/unit for some of them
	@scripts/need-tesseract
	$(PYTHON) -m pytest -n $(WORKERS) --dist worksteal $(TESTS) || { test $$? = 1 && $(SECOND_LOOK); }

bench: $(VENV)/dev.stamp  ## the measurements of docs/performance.md; SIZE=small is quicker, BENCH=chain is one of them (field needs redis-server)
	@scripts/need-tesseract
	$(PYTHON) -m benchmarks $(BENCH) --size $(SIZE) --write

chaos: $(VENV)/dev.stamp  ## all kinds of harm to one long run; FAULTS=100 is shorter, SEED=4 repeats one
	$(PYTHON) -m tests.chaos.long --faults $(FAULTS) $(if $(SEED),--seed $(SEED))

lint: $(VENV)/dev.stamp  ## style, types and the rooms
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/basedpyright --pythonpath $(PYTHON)
	$(VENV)/bin/lint-imports --no-cache

format: $(VENV)/dev.stamp  ## put the code into shape
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

pictures: $(VENV)/dev.stamp  ## draw docs/pictures from what the program prints, and from its page (which needs chromium)
	$(PYTHON) tools/make_pictures.py
	OAFLOW_PICTURES=docs/pictures $(PYTHON) -m pytest -q tests/e2e -k pictures

reference: $(VENV)/run.stamp  ## write the pages of docs/reference that are made from the program
	$(PYTHON) tools/make_rules.py
	$(PYTHON) tools/make_reference.py

site: $(VENV)/dev.stamp  ## the docs as a site, in site/: open site/index.html
	$(VENV)/bin/zensical build --clean --strict

lock: $(VENV)/uv.stamp  ## choose versions anew: from pyproject.toml and locks/*.in
	scripts/lock $(UV)

compat-env: $(VENV)/dev.stamp  ## the real programs beside which oaflow must work, in environments of their own, for tests/compat
	$(PYTHON) tests/compat/environment.py

newcomer:  ## demo and tests on an empty Debian (as root; not in CI)
	scripts/newcomer

clean:  ## take away environments and caches; what was ingested stays
	rm -rf .venv .venv-compat .venv-peers .cache build dist site .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# An environment is remade where its lock changed, and only then.
$(VENV)/uv.stamp: locks/uv.txt
	@scripts/need-python $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt
	@touch $@

$(VENV)/run.stamp: locks/run.txt pyproject.toml $(VENV)/uv.stamp
	@scripts/install $(UV) $(PYTHON) locks/run.txt
	@touch $@

# The first to import a module compiles it: one process, and not all that run tests at the same time, 8 s of CPU each.
$(VENV)/compiled.stamp: $(VENV)/dev.stamp
	@$(PYTHON) -m pytest --collect-only -qq tests > /dev/null || true
	@touch $@

$(VENV)/dev.stamp: locks/dev.txt pyproject.toml $(VENV)/uv.stamp
	@scripts/install $(UV) $(PYTHON) locks/dev.txt
	@touch $@ $(VENV)/run.stamp
