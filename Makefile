# Everything a checkout can do; `make` lists it. It needs Python 3.11 or newer, by default `python3`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.txt
MADE := $(VENV)/.made
PEER_LOCK := requirements/mitmproxy.txt
PEER := $(VENV)/mitmproxy/.made
RELEASE_LOCK := requirements/release.txt
RELEASE := $(VENV)/release/.made
SCHEMA := config/stream-guard.schema.json
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-strip-extras \
	--custom-compile-command "make lock"

VERSION := 'import aiohttp; print(aiohttp.__version__)'
comma := ,

BROWSER := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
# Someone without a browser still gets every other test. CI has no such excuse.
LEFT_OUT := $(if $(BROWSER)$(CI),,tests/browser)

# One more than CI has processors, as many tests wait for what takes its time. What depends on time runs apart.
WORKERS ?= 3

# What decides how a message is read, by whom it was sent, and where it ends.
READERS := fieldsection headers heads strictness target trailers

.DEFAULT_GOAL := help
.PHONY: help venv run test quick oldest newest fuzz check lint types imports names dead floors schema diagram bench chaos screenshots package \
	release-dry-run lock clean

help:  ## list this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

venv: $(MADE)  ## make the environment, as every target below does by itself

run: $(MADE)  ## try it: an embedded Hermes, the proxy in front of it, and a page
	@echo "Running the demo: an embedded Hermes, the proxy in front of it, and a page. Ctrl-C ends it."
	@$(BIN)/hermes-stream-guard demo

# What measures promises in seconds runs at the end, with nothing beside it, and without coverage, which makes all of it
# take three times as long.
test: $(MADE)  ## run every test, and measure how much of proxy/ they cover
	@echo "Running the tests$(if $(LEFT_OUT), without $(LEFT_OUT): there is no Chromium here)."
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup -m "not realtime" --cov $(LEFT_OUT:%=--ignore=%)
	@$(BIN)/pytest -q -m realtime $(LEFT_OUT:%=--ignore=%)

quick: $(MADE)  ## run the tests of what needs no clock and no network, in seconds
	@$(BIN)/pytest -q -n 2 tests/core tests/hermes tests/store tests/config tests/http tests/test_sse.py tests/test_docs.py

# What pyproject.toml allows, in a folder of its own that is looked at before the environment.
oldest newest: AIOHTTP = $(shell sed -n 's/^ *"\(aiohttp>=.*\)",$$/\1/p' pyproject.toml)
oldest: ASKED = $(subst >=,==,$(firstword $(subst $(comma), ,$(AIOHTTP))))
newest: ASKED = $(AIOHTTP)
oldest: $(MADE)  ## run the tests of HTTP on the oldest aiohttp that is allowed
newest: $(MADE)  ## the same on the newest, unless that is the one of the other tests
oldest newest:
	@rm -rf $(VENV)/$@
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/$@ '$(ASKED)'
	@set -e; locked=$$($(BIN)/python -c $(VERSION)); export PYTHONPATH=$(CURDIR)/$(VENV)/$@; \
	version=$$($(BIN)/python -c $(VERSION)); echo "The $@ aiohttp that is allowed is $$version."; \
	if [ "$$version" = "$$locked" ]; then echo "It is the one of the other tests."; \
	else $(BIN)/pytest -q -n 2 tests/wire tests/http; fi

fuzz: $(MADE)  ## try random inputs on whatever reads what strangers send; SECONDS=60 in all
	@$(BIN)/python -m tests.fuzz.run $(SECONDS)

check: lint types imports names dead floors schema  ## all that has to hold besides: lint, types, imports, names, dead, …

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

names: $(MADE)  ## that nothing private of aiohttp's or uvloop's is used
	@echo "Checking for private names of others."
	@$(BIN)/pytest -q tests/test_private_names.py

dead: $(MADE)  ## that nothing in proxy/ is there without a reader
	@echo "Checking for what nothing reads or calls."
	@$(BIN)/vulture

# Each of these is covered by its own tests alone, without the rest of the proxy's passing through it.
floors: $(MADE)  ## that the pure rooms are covered wholly by their own tests
	@echo "Checking that the tests of core, hermes, sse and what reads HTTP cover them wholly."
	@$(BIN)/pytest -q -n 2 tests/core tests/hermes tests/test_sse.py $(READERS:%=tests/http/test_%.py) tests/http/test_framing.py \
		--cov=proxy.core --cov=proxy.hermes --cov=proxy.sse $(READERS:%=--cov=proxy.http.%) --cov=proxy.http.framing \
		--cov=proxy.http.chunks --cov=proxy.http.clients --cov-fail-under=100

schema: $(MADE)  ## that the shipped JSON Schema is the code's
	@echo "Checking $(SCHEMA)."
	@$(BIN)/python -m proxy.config.schema | diff -u $(SCHEMA) - || \
		{ echo "It is out of date: $(BIN)/python -m proxy.config.schema > $(SCHEMA)" >&2; exit 1; }

diagram: $(MADE)  ## print the state diagram of docs/architecture.md
	@$(BIN)/python -m tests.core.diagram

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

# The wheel is made of the sdist, as those do who build it themselves.
package: $(MADE) $(RELEASE)  ## build the wheel and the sdist in dist/, check them, and try the wheel in an empty environment
	@echo "Building the sdist, and the wheel of it."
	@rm -rf dist build
	@$(BIN)/hatchling build --target sdist
	@mkdir -p build/sdist && tar --extract --gzip --file dist/*.tar.gz --directory build/sdist --strip-components=1
	@cd build/sdist && $(CURDIR)/$(BIN)/hatchling build --target wheel --directory $(CURDIR)/dist
	@$(RELEASE:.made=bin/)twine check --strict dist/*
	@$(BIN)/python .ci/release.py try dist/*.whl

release-dry-run: TAG = v$(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' proxy/__init__.py)
release-dry-run: package  ## what a tag would release, without publishing anything; TAG=v1.2.3 for that version's
	@$(BIN)/python .ci/release.py version $(TAG)
	@$(BIN)/python .ci/release.py notes $(TAG) || \
		{ echo "That would stop the release. These would be its notes now:" >&2; $(BIN)/python .ci/release.py notes Unreleased; }
	@echo "Replaying the Dockerfile."
	@$(BIN)/pytest -q tests/deploy/test_image.py

# The image is made of the versions that were tested: the development lock constrains the other two.
lock: $(MADE)  ## pin what pyproject.toml asks for; with UPGRADE=1, to the newest there is
	@echo "Writing requirements/*.txt."
	@$(COMPILE) pyproject.toml --extra dev --extra uvloop --output-file $(LOCK) $(if $(UPGRADE),--upgrade)
	@$(COMPILE) pyproject.toml --extra uvloop --constraint $(LOCK) --output-file requirements/run.txt
	@echo hatchling | $(COMPILE) - --constraint $(LOCK) --output-file requirements/build.txt
	@$(COMPILE) $(PEER_LOCK:.txt=.in) --output-file $(PEER_LOCK) $(if $(UPGRADE),--upgrade)
	@$(COMPILE) $(RELEASE_LOCK:.txt=.in) --output-file $(RELEASE_LOCK) $(if $(UPGRADE),--upgrade)

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

$(RELEASE): $(RELEASE_LOCK) $(MADE)
	@echo "Making the environment of what a release needs."
	@$(BIN)/python -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $(RELEASE_LOCK)
	@touch $@
