# `make up`, `make test`, `make check`, `make bench`: each from a bare checkout with Python 3.11 or newer, make and a
# package index. Everything is installed into .venv, nothing elsewhere.

PYTHON = python3
UV = 0.13.9
ARGS =

BIN = .venv/bin
# The exact packages of uv.lock. Inexact only in that uv, which lives in the same place, is not removed.
SYNC = UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv $(BIN)/uv sync --quiet --frozen --inexact --compile-bytecode
# Dagster starts a process per run: without compiled files it would read every source again, 3 s a run. compileall
# writes them also where PYTHONDONTWRITEBYTECODE is set, as in most containers.
COMPILE = $(BIN)/python -m compileall -q adapters channel_sync
# To read the definitions connects to nothing, but Dagster wants an instance: one of its own, not that of dagster.yaml.
NOWHERE = DAGSTER_HOME="$(CURDIR)/.venv/dagster" CHANNEL_MANAGER_ENABLED=true \
	CHANNEL_SYNC_DATABASE_URL=postgresql://nowhere/channel_sync

.PHONY: up test check bench

# The demo: switched on unless told otherwise. In production CHANNEL_MANAGER_ENABLED is off until somebody sets it.
up: .venv/runtime.stamp
	@$(COMPILE)
	@CHANNEL_MANAGER_ENABLED=$${CHANNEL_MANAGER_ENABLED:-true} exec $(BIN)/channel-sync up $(ARGS)

# One worker per core, each with a Postgres of its own. CHANNEL_SYNC_FIXTURES names the folder of outside samples;
# tests that need it are skipped without.
test: .venv/development.stamp
	@$(COMPILE)
	@$(BIN)/pytest -n logical $(ARGS)

check: .venv/development.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@mkdir -p .venv/dagster
	$(NOWHERE) $(BIN)/dagster definitions validate --module-name channel_sync.definitions

# The histories of real feeds are among the outside samples.
bench: .venv/development.stamp
	@$(COMPILE)
	$(BIN)/python -m tests.benchmarks.bulk_store
	$(BIN)/python -m tests.benchmarks.thousand_listings
	$(BIN)/python -m tests.benchmarks.thousand_listings --quota 50 --faults
	$(BIN)/python -m tests.benchmarks.webhook_ingest
	$(BIN)/python -m tests.benchmarks.webhook_fuzz --count 100000
	$(BIN)/python -m tests.benchmarks.webhook_chaos
	$(BIN)/python -m tests.benchmarks.event_latency
	$(BIN)/python -m tests.benchmarks.rate_limiter --all
	$(BIN)/python -m tests.benchmarks.round_trips
	$(BIN)/python -m tests.benchmarks.hostile_bodies
	@if [ -d "$$CHANNEL_SYNC_FIXTURES" ]; then \
		$(BIN)/python -m tests.benchmarks.feed_history "$$CHANNEL_SYNC_FIXTURES"/ical_*/timeseries_*.jsonl*; \
	else echo "feed_history: set CHANNEL_SYNC_FIXTURES to the folder of outside samples"; fi

.venv/runtime.stamp: .venv/uv-$(UV).stamp pyproject.toml uv.lock
	$(SYNC) --no-default-groups
	@touch $@

.venv/development.stamp: .venv/uv-$(UV).stamp pyproject.toml uv.lock
	$(SYNC) --all-groups
	@touch $@ .venv/runtime.stamp

.venv/uv-$(UV).stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.13")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@touch $@
