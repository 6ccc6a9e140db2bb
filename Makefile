# Each target makes what it needs; PYTHON and PIP_ARGS can be set on the command line.
PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VLLM := $(VENV)/.vllm
CONSUMERS := $(VENV)/.consumers
ARGILLA := $(VENV)/.argilla
# Files of tests side by side, one more than there are cores, since some wait for servers; each with
# one thread: two processes of torch with two threads each crawl.
WORKERS := $(shell n=`nproc 2>/dev/null || echo 2`; test $$n -lt 4 && expr $$n + 1 || echo 4)
PYTEST := env OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile \
  --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run test check fast lint dev clean sandbox browser

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is `$(PYTHON) --version 2>&1`. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Python's venv module is missing. On Debian: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --editable '.[dev]'
	@touch $@

# The build of vLLM for this machine, if there is one; only tests need it.
$(VLLM): $(READY) datagen/engines/vllm/install.py
	$(BIN)/python -m datagen.engines.vllm.install --quiet $(PIP_ARGS)
	@touch $@

# Trainers of other people, which only tests need.
$(CONSUMERS): $(READY) tests/consumers.py
	$(BIN)/python tests/consumers.py --quiet $(PIP_ARGS)
	@touch $@

# Argilla's server has an environment of its own; here only tests need it.
$(ARGILLA): $(READY) datagen/review/server/install.py datagen/review/server/constraints.txt
	DATAGEN_ARGILLA_VENV=$(CURDIR)/$(VENV)/argilla \
	  $(BIN)/python -m datagen.review.server --quiet $(PIP_ARGS)
	@touch $@

# The page of the review is tried in a browser; without one those tests are skipped, and say so.
browser:
	@command -v chromium >/dev/null || { test "`id -u`" = 0 && command -v apt-get >/dev/null \
	  && { apt-get update -qq; apt-get install -y -qq chromium >/dev/null; } ; } \
	  || echo "chromium is missing: tests in a browser are skipped. On Debian: apt install chromium"

# Programs that models write run in bubblewrap; root is spared the typing.
sandbox:
	@command -v bwrap >/dev/null || { test "`id -u`" = 0 && command -v apt-get >/dev/null \
	  && { apt-get update -qq; apt-get install -y -qq bubblewrap >/dev/null; } ; } \
	  || { echo "bubblewrap is missing, in which programs are run. On Debian: apt install bubblewrap"; exit 1; }

run: $(READY) sandbox  ## seeds in, datasets out: the demo run, into out/
	$(BIN)/datagen run --out out

test: $(READY) $(VLLM) $(CONSUMERS) $(ARGILLA) sandbox browser  ## every test
	$(PYTEST)

check: $(READY) sandbox  ## lint, types and the fast tests
	@$(MAKE) --no-print-directory --output-sync=target -j2 lint fast

fast: $(READY)
	$(PYTEST) -m 'not slow'

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

dev: $(READY)  ## open the Dagster UI on the asset graph
	mkdir -p .dagster
	cp assets/dagster.yaml .dagster/dagster.yaml
	DAGSTER_HOME=$(CURDIR)/.dagster $(BIN)/dagster dev -m assets.definitions

clean:  ## remove everything that make made
	rm -rf $(VENV) out .dagster
