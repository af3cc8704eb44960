# Every task of the project; CONTRIBUTING.md says what each is for. `make setup` is implied by all of them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/pytest
QUICK_TESTS := $(wildcard tests/unit tests/contract tests/architecture)
COUNTERPART_TESTS := $(wildcard tests/integration tests/browser)
PROCESS_TESTS := $(wildcard tests/acceptance)
VIRTUAL_TESTS := $(wildcard tests/property tests/virtual tests/long)

export PYTHON

.PHONY: help setup run demo test test-long test-fast coverage lint format bench docs release lock clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

# Stamps: pip runs again only when a lock file or the project's metadata has changed.
$(VENV)/.stamp-run: requirements/run.txt requirements/build.txt pyproject.toml
	scripts/make-venv $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements/run.txt -r requirements/build.txt
	$(PIP) install --quiet --no-index --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-run requirements/dev.txt
	$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	touch $@

$(VENV)/.stamp-counterparts: $(VENV)/.stamp-dev requirements/counterparts.txt
	$(PIP) install --quiet --require-hashes --no-deps -r requirements/counterparts.txt
	touch $@

build/appinspect/.stamp: requirements/appinspect.txt
	scripts/make-venv build/appinspect
	build/appinspect/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/appinspect.txt
	touch $@

# Where npm is missing or reaches nothing, the tests of accessibility say what they lack.
build/browser/.stamp: tests/browser/package.json tests/browser/package-lock.json
	mkdir -p $(@D) && cp $^ $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@ \
		|| echo "npm could not bring axe-core" >&2

setup: $(VENV)/.stamp-dev ## Make .venv with everything that development needs, from the hashed lock files

run: $(VENV)/.stamp-run ## Run the demo: the daemon against the built-in simulator (alias: demo)
	$(BIN)/mcwatch demo

demo: run

test: $(VENV)/.stamp-counterparts build/appinspect/.stamp ## Run all tests, with the Debian packages they use where those may be installed
	@# npm comes with some builds of Node.js and apart from others, whose package excludes theirs; a JDK of any make will do.
	@scripts/install-packages $$(sed 's/#.*//' tests/system-packages.txt) $$(command -v npm >/dev/null || echo npm) \
		$$(command -v javac >/dev/null || echo default-jdk-headless) $$(command -v mvn >/dev/null || echo maven) \
		|| echo "Tests that need these packages are skipped; each skip below names what it lacks." >&2
	@$(MAKE) --no-print-directory build/browser/.stamp
	$(PYTEST) -n 2 $(QUICK_TESTS)
	$(PYTEST) -n 2 -raP $(VIRTUAL_TESTS)
	$(PYTEST) -n 2 --dist loadfile $(COUNTERPART_TESTS)
	$(PYTEST) -n 2 --dist loadfile -m "not alone" $(PROCESS_TESTS)
	$(PYTEST) -m alone $(PROCESS_TESTS)

test-long: setup ## Run a week of 200,000 messages, over several seeds; MCWATCH_LONG_SEED=N takes one
	$(PYTEST) -n 2 -m long -raP tests/long

test-fast: setup ## Run unit, contract and architecture tests that need no server, in less than a minute
	$(PYTEST) -n 2 -q -m "not server" $(QUICK_TESTS)

coverage: setup ## Report branch coverage of the quick tests, by module
	$(PYTEST) -n 2 -q --cov --cov-report=term $(QUICK_TESTS)

lint: setup ## Check format, style, types, import contracts, spelling, lock files and generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	$(BIN)/yamllint --strict .
	$(BIN)/hadolint Dockerfile deploy/compose/syslog/Dockerfile
	$(BIN)/python -m scripts.check_files
	$(BIN)/python -m scripts.lock_files --check
	$(BIN)/python -m scripts.generate_docs --check

format: setup ## Format the code and sort its imports
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

bench: setup ## Measure the speed, as ratios to the floor; writes build/bench.json
	$(BIN)/python -m tests.benchmarks

docs: setup ## Write the generated pages of docs/ and build the site into build/site
	$(BIN)/python -m scripts.generate_docs
	$(BIN)/python -m scripts.docs_site

release: setup ## Make dist/: wheel, sdist, hashed lock, bill of materials, SHA256SUMS
	$(BIN)/python -m scripts.release_files

lock: setup ## Write the lock files again; UPGRADE=1 takes the newest versions
	$(BIN)/python -m scripts.lock_files $(if $(UPGRADE),--upgrade)

clean: ## Remove what make made
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find mcwatch tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
