# Everything a checkout can do; `make` lists it. It needs Python 3.11 or newer, by default `python3`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.txt
MADE := $(VENV)/.made
PEER_LOCK := requirements/mitmproxy.txt
PEER := $(VENV)/mitmproxy/.made
SCHEMA := config/stream-guard.schema.json
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-strip-extras \
	--custom-compile-command "make lock"

BROWSER := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
# Someone without a browser still gets every other test. CI has no such excuse.
LEFT_OUT := $(if $(BROWSER)$(CI),,tests/browser)

.DEFAULT_GOAL := help
.PHONY: help venv run test fuzz check lint types imports floors schema bench chaos screenshots lock clean

help:  ## list this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

venv: $(MADE)  ## make the environment, as every target below does by itself

run: $(MADE)  ## try it: an embedded Hermes, the proxy in front of it, and a page
	@echo "Running the demo: an embedded Hermes, the proxy in front of it, and a page. Ctrl-C ends it."
	@$(BIN)/hermes-stream-guard demo

test: $(MADE)  ## run every test, and measure how much of proxy/ they cover
	@echo "Running the tests$(if $(LEFT_OUT), without $(LEFT_OUT): there is no Chromium here)."
	@$(BIN)/pytest --cov $(LEFT_OUT:%=--ignore=%)

fuzz: $(MADE)  ## try random inputs on whatever reads what strangers send; SECONDS=60 in all
	@$(BIN)/python -m tests.fuzz.run $(SECONDS)

check: lint types imports floors schema  ## all that has to hold besides: lint, types, imports, floors, schema

lint: $(MADE)  ## ruff's rules and formatting
	@echo "Checking style."
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(MADE)  ## mypy, strictly
	@echo "Checking types."
	@$(BIN)/mypy

imports: $(MADE)  ## that imports point one way
	@echo "Checking which room imports which."
	@$(BIN)/lint-imports --no-logo

# Each of these is covered by its own tests alone, without the rest of the proxy's passing through it.
floors: $(MADE)  ## that the pure rooms are covered wholly by their own tests
	@echo "Checking that the tests of core, hermes, sse and http.headers cover them wholly."
	@$(BIN)/pytest -q tests/core tests/hermes tests/test_sse.py tests/http/test_headers.py \
		--cov=proxy.core --cov=proxy.hermes --cov=proxy.sse --cov=proxy.http.headers --cov-fail-under=100

schema: $(MADE)  ## that the shipped JSON Schema is the code's
	@echo "Checking $(SCHEMA)."
	@$(BIN)/python -m proxy.config.schema | diff -u $(SCHEMA) - || \
		{ echo "It is out of date: $(BIN)/python -m proxy.config.schema > $(SCHEMA)" >&2; exit 1; }

bench: $(MADE) $(PEER)  ## measure the proxy beside others; BENCH="--rounds 1" passes options on, such as --help
	@echo "Measuring. This takes about ten minutes, on a machine that does nothing else."
	@$(BIN)/python -m tests.bench $(BENCH)

# Each release on each event loop has a storm of its own.
chaos: export CHAOS_SECONDS ?= 60
chaos: $(MADE)  ## minutes of faults, frozen and killed processes, thousands of browsers; CHAOS_SEED=… for the same again
	@echo "Running tests/chaos, with storms of $(CHAOS_SECONDS) s. This takes about ten minutes."
	@$(BIN)/pytest -q tests/chaos

screenshots: $(MADE)  ## make the pictures of the status page again; it takes a minute
	@echo "Taking deploy/images/*.png of the demo."
	@PYTHONPATH=. $(BIN)/python tests/browser/screenshots.py

# The image is made of the versions that were tested: the development lock constrains the other two.
lock: $(MADE)  ## pin what pyproject.toml asks for; with UPGRADE=1, to the newest there is
	@echo "Writing requirements/*.txt."
	@$(COMPILE) pyproject.toml --extra dev --extra uvloop --output-file $(LOCK) $(if $(UPGRADE),--upgrade)
	@$(COMPILE) pyproject.toml --extra uvloop --constraint $(LOCK) --output-file requirements/run.txt
	@echo hatchling | $(COMPILE) - --constraint $(LOCK) --output-file requirements/build.txt
	@$(COMPILE) $(PEER_LOCK:.txt=.in) --output-file $(PEER_LOCK) $(if $(UPGRADE),--upgrade)

clean:  ## remove the environment and what the tools left
	@echo "Removing $(VENV), caches and reports."
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .fuzz .coverage* htmlcov build dist
	@find proxy tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is not Python 3.11 or newer; install one, or name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) lacks venv; install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Making the environment in $(VENV), as $(LOCK) pins it. This takes about a minute."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

# What it is compared with pins versions that the project does not, so it has an environment of its own.
$(PEER): $(PEER_LOCK) $(MADE)
	@echo "Making the environment of the Python proxy to compare with. This takes about a minute."
	@$(BIN)/python -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $(PEER_LOCK) || \
		echo "It cannot be installed here, and is left out." >&2
	@touch $@
