# `make help` lists the targets. Everything needed is set up by the first one that needs it.

SHELL := /bin/sh
PYTHON ?= python3
SOURCES ?= postgres
DB ?= postgres
ACTIONS ?= 200
TESTS_AT_ONCE ?= 2
STAMP := .venv/.installed
RUN := .venv/bin
PYTEST := $(RUN)/python -m pytest --numprocesses $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder
COMPILE := $(RUN)/pip-compile --quiet --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --strip-extras

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-long campaign check lint unit format docs lock bench bench-apply bench-fresh bench-load bench-converter bench-sources bench-verify soak clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'
	@printf '\nSOURCES=postgres,mysql make demo   both databases\nDEMO_SECONDS=60 make demo          end by itself\n'

venv: $(STAMP) ## Make the environment in .venv from the hash-pinned lock

$(STAMP): requirements-dev.txt pyproject.toml deploy/bootstrap.sh
	@PYTHON=$(PYTHON) sh deploy/bootstrap.sh
	@echo "cdc: making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@echo "cdc: installing the packages of requirements-dev.txt, each checked against its hash"
	@$(RUN)/pip install --require-hashes --requirement requirements-dev.txt $(PIP_OPTIONS)
	@echo "cdc: installing cdc itself"
	@$(RUN)/pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## Start the stack, stream a live workload into Iceberg, verify every row; SOURCES, DEMO_SECONDS
	@$(RUN)/cdc demo --sources $(SOURCES)

test: $(STAMP) ## Run every test: unit, contract, integration, end to end; TESTS_AT_ONCE processes, of 6 GB each
	@$(PYTEST)

test-long: $(STAMP) ## Run the long tests that `make test` leaves out: more kills, replays, rewinds, the other database
	@CDC_TEST_KILLS=10 CDC_TEST_HISTORY=20 CDC_TEST_LOAD_KILLS=10 CDC_TEST_REWINDS=20 CDC_TEST_REPLAYS=100 \
		CDC_TEST_CRASHES=6 $(RUN)/python -m pytest -m "" tests/e2e tests/rest tests/contract/test_replay.py \
		tests/contract/test_crashes.py tests/contract/test_wide.py tests/integration/test_stream_service.py

campaign: $(STAMP) ## Do random things to sources, servers and service, and compare; DB, ACTIONS, SEED, CAMPAIGN_OPTIONS
	@$(RUN)/python -m tests.campaign --db $(DB) --actions $(ACTIONS) $(if $(SEED),--seed $(SEED)) $(CAMPAIGN_OPTIONS)

unit: $(STAMP) ## Run the unit tests only
	@$(PYTEST) tests/unit

check: lint unit ## Check format, lint, types, layering and generated documents, then run the unit tests

lint: $(STAMP) ## Check format, lint, types, layering and generated documents
	@echo "cdc: format" && $(RUN)/ruff format --check .
	@echo "cdc: lint" && $(RUN)/ruff check .
	@echo "cdc: types" && $(RUN)/mypy
	@echo "cdc: layering" && $(RUN)/lint-imports
	@echo "cdc: generated documents" && $(RUN)/python -m cdc.cli.reference --check

format: $(STAMP) ## Format the code and repair what the linter can
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .

docs: $(STAMP) ## Write the generated documents: configuration, schema, command line, metrics
	@$(RUN)/python -m cdc.cli.reference

lock: $(STAMP) ## Pin the newest allowed Python packages with their hashes
	@CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --upgrade --output-file requirements.txt pyproject.toml
	@CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --upgrade --extra dev --constraint requirements.txt \
		--output-file requirements-dev.txt pyproject.toml

bench: $(STAMP) ## Measure how fast a backlog of changes gets into the lake; BENCH_OPTIONS, see docs/benchmarks.md
	@$(RUN)/python -m tests.bench $(BENCH_OPTIONS)

bench-apply: $(STAMP) ## Measure batches of a large table, as row deltas beside a MERGE; BENCH_OPTIONS
	@$(RUN)/python -m tests.bench.apply $(BENCH_OPTIONS)

bench-fresh: $(STAMP) ## Measure the time from a commit in the source to its row in the lake; BENCH_OPTIONS
	@$(RUN)/python -m tests.bench.fresh $(BENCH_OPTIONS)

bench-sources: $(STAMP) ## Measure what a further source costs in one process; BENCH_OPTIONS
	@$(RUN)/python -m tests.bench.sources $(BENCH_OPTIONS)

bench-verify: $(STAMP) ## Plant rows that are wrong in a large table that changes; prove, repair, prove again; BENCH_OPTIONS
	@$(RUN)/python -m tests.bench.prove $(BENCH_OPTIONS)

bench-load: $(STAMP) ## Measure the bulk load of a table beside its database's own client, Spark JDBC and a snapshot; BENCH_OPTIONS
	@$(RUN)/python -m tests.bench.load $(BENCH_OPTIONS)

bench-converter: $(STAMP) ## Measure the Avro converter beside the one before it; BENCH_OPTIONS
	@$(RUN)/python -m tests.bench.converter $(BENCH_OPTIONS)

soak: $(STAMP) ## Change 20 tables for two hours, kill the service every five minutes, see whether anything grows or differs; BENCH_OPTIONS
	@$(RUN)/python -m tests.bench.soak $(BENCH_OPTIONS)

clean: ## Remove the environment and caches of this folder; the download cache of the user stays
	@rm -rf .venv build dist cdc.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@rm -rf spark-warehouse metastore_db derby.log
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
