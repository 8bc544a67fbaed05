# `make` lists the targets. Everything is installed into .venv*; nothing else on the machine is changed, but that
# `make test` as root installs Chromium from Debian where there is no browser.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FUZZER := $(VENV)/.fuzzer
RIVALS := $(VENV)/.rivals
# one more than there are processors: tests wait for servers now and then
WORKERS := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
SECONDS ?= 0
TARGETS ?=
BIGQUERY := .venv-bigquery
AZURITE := .azurite
DBT := .venv-dbt
AIRFLOW := .venv-airflow
SAIL := .venv-sail
SCHEDULERS := .venv-schedulers
QUICK := not server and not files and not matrix and not soak and not slow
WORKFLOWS := .github/workflows/*.yml docs/workflows/*.yml

.PHONY: help demo chromium unit check test slow matrix soak bench record fuzz lint types docs dist format clean
help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group test --group check
	touch $@

$(FUZZER): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group fuzz
	touch $@

$(RIVALS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	touch $@

$(BIGQUERY)/.installed: tests/emulators/install_bigquery.py tests/emulators/bigquery.txt
	$(PYTHON) $< $(BIGQUERY)

$(AZURITE)/.installed: tests/emulators/install_azurite.py
	$(PYTHON) $< $(AZURITE)

$(DBT)/.installed: tests/support/dbt.txt
	$(PYTHON) -m venv $(DBT)
	$(DBT)/bin/python -m pip install --quiet --requirement $<
	touch $@

$(AIRFLOW)/.installed: tests/support/airflow.txt pyproject.toml
	$(PYTHON) -m venv $(AIRFLOW)
	$(AIRFLOW)/bin/python -m pip install --quiet --requirement $< --editable .
	touch $@

$(SCHEDULERS)/.installed: tests/support/schedulers.txt pyproject.toml
	$(PYTHON) -m venv $(SCHEDULERS)
	$(SCHEDULERS)/bin/python -m pip install --quiet --requirement $< --editable '.[postgres,bigquery,iceberg]'
	touch $@

$(SAIL)/.installed: tests/support/sail.txt
	$(PYTHON) -m venv $(SAIL)
	$(SAIL)/bin/python -m pip install --quiet --requirement $<
	touch $@

demo: $(INSTALLED) ## Load simulated events into Parquet and DuckDB, and answer a few questions
	$(BIN)/hauser-dlt demo

chromium:
	@$(PYTHON) tests/support/chromium.py || \
	{ test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } || \
	echo 'There is no Chromium: tests of the page are left out. Install it: apt-get install chromium'

unit: $(INSTALLED) ## Run the tests that need no server (1 min)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) tests/unit

check: lint types ## Check style and types; run the unit tests, and those of DuckDB (3 min)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal -m '$(QUICK)' tests/unit tests/integration

test: $(INSTALLED) $(BIGQUERY)/.installed $(AZURITE)/.installed $(DBT)/.installed chromium ## Run the tests, against real servers on loopback
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

slow: $(INSTALLED) $(BIGQUERY)/.installed $(AZURITE)/.installed $(DBT)/.installed $(AIRFLOW)/.installed $(SCHEDULERS)/.installed $(SAIL)/.installed ## Run what takes too long for `test`, much of it in Postgres and BigQuery; hosts of a cluster (half an hour)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal -m slow

matrix: $(INSTALLED) $(BIGQUERY)/.installed $(AZURITE)/.installed ## Kill a run at each step, at each destination (hours, most of them BigQuery's)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m matrix -o faulthandler_timeout=0 tests/crash/test_matrix.py

soak: $(INSTALLED) $(BIGQUERY)/.installed ## Kill runs at random over hundreds of windows; SEED=, WINDOWS=, DESTINATIONS=
	$(BIN)/python -m pytest -m soak -o faulthandler_timeout=0 --capture=no tests/crash/test_soak.py

bench: $(RIVALS) ## Measure what docs/performance.md says about speed and memory (40 min, on a quiet machine)
	$(BIN)/python -m benchmarks

record: $(INSTALLED) ## Measure this version, and write its row into docs/benchmarks.md (5 min, on a quiet machine)
	$(BIN)/python -m benchmarks --record

fuzz: $(FUZZER) ## Fuzz until something fails: SECONDS=600 for so long, TARGETS=events for one of fuzz/corpus
	$(BIN)/python -m fuzz --seconds $(SECONDS) $(TARGETS)

lint: $(INSTALLED) ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/actionlint -shellcheck $(BIN)/shellcheck $(WORKFLOWS)
	$(BIN)/zizmor --quiet --offline --config .github/zizmor.yml $(WORKFLOWS)
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck .ci/run

types: $(INSTALLED) ## Check types
	$(BIN)/mypy

docs: $(INSTALLED) ## Write the settings into docs/ and .dlt/
	$(BIN)/python tests/support/settings_docs.py

dist: $(INSTALLED) ## Build the wheel and the source archive
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

format: $(INSTALLED) ## Put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove what the other targets made
	rm -rf $(VENV) $(BIGQUERY) $(AZURITE) $(DBT) $(AIRFLOW) $(SCHEDULERS) $(SAIL) demo dist build .fuzz .mypy_cache .pytest_cache .ruff_cache .hypothesis
