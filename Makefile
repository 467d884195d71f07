# Kuaida. `make help` lists the targets; settings may be given as WEB_PORT=9000 etc.
SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
UV ?= uv
BIN := .venv/bin
ENVIRONMENT := $(PYTHON) -m config.dev.environment
DEV_LOCK := requirements-dev.lock

# An empty value means unset to the settings, so these may always be exported.
export SKIP_EXTERNAL

.DEFAULT_GOAL := help
.PHONY: help run demo doctor test lint check bench drill identity lock env-example clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name words; do printf '  make %-12s %s\n' "$$name" "$$words"; done

run: ## start everything: Redis, database, simulator, web, workers, beat, Flower
	@$(ENVIRONMENT) requirements.lock
	@exec $(BIN)/python -m config.dev

demo: ## play one mini-program user against the running stack
	@$(ENVIRONMENT) requirements.lock
	@exec $(BIN)/python -m config.dev.demo

doctor: ## say in plain words what is wrong with settings, stores and WeChat
	@$(ENVIRONMENT) requirements.lock
	@exec $(BIN)/python -m flask --app web.wsgi doctor

test: ## run every test tier with real Redis, MariaDB, nginx (SKIP_EXTERNAL=1 without)
	@$(ENVIRONMENT) $(DEV_LOCK)
	@if [ "$$SKIP_EXTERNAL" != 1 ]; then $(PYTHON) -m config.dev.apt redis-server mariadbd faketime promtool nginx curl; fi
	@exec $(BIN)/python -m pytest -p config.dev.tiers -n 2 --dist loadgroup $(PYTEST_ARGS)

lint: ## ruff, format, types, layers
	@$(ENVIRONMENT) $(DEV_LOCK)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy config models wechat tasks web workers tests
	$(BIN)/lint-imports --no-cache

check: lint ## lint and the fast tests (below three minutes)
	$(BIN)/python -m pytest -q -p config.dev.tiers tests/unit tests/architecture

bench: ## measure requests, logins and enrichment against bare Flask
	@$(ENVIRONMENT) $(DEV_LOCK)
	@$(PYTHON) -m config.dev.apt wrk
	@exec $(BIN)/python -m tests.bench $(BENCH_ARGS)

drill: ## break it on purpose, docs/resilience-report.md, 20 minutes (DRILL_ARGS="--smoke", --scale, "--soak 30")
	@$(ENVIRONMENT) $(DEV_LOCK)
	@$(PYTHON) -m config.dev.apt redis-server mariadbd faketime
	@exec $(BIN)/python -m tests.faults $(DRILL_ARGS)

identity: ## try what must not work and write docs/identity-report.md
	@$(ENVIRONMENT) $(DEV_LOCK)
	@$(PYTHON) -m config.dev.apt redis-server
	@exec $(BIN)/python -m tests.identity $(IDENTITY_ARGS)

lock: ## pin requirements*.in anew, with hashes (needs uv)
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header -o requirements.lock requirements.in
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header -c requirements.lock -o $(DEV_LOCK) requirements-dev.in

env-example: ## write .env.example from the settings
	@$(ENVIRONMENT) requirements.lock
	@$(BIN)/python -m config.dev.env_example > .env.example

clean: ## remove the environment and everything in var/ (data and secrets too)
	rm -rf .venv .venv.lock var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
