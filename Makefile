# Everything you do with a checkout. Needs only make, sh and Python 3.11 or newer.
# PYTHON names another interpreter, TESTS picks tests, WORKERS sets how many run at once.
.POSIX:
.SUFFIXES:
.PHONY: help run stack upgrade test test-busy test-one conformance stack-test chaos lint fmt generate check bench screenshots lock clean dev outsiders

RUN = .venv/bin/python
DEV = .venv-dev/bin/python
# Compiled code is kept, also where the environment says otherwise: each process that a test starts
# would compile all of it again. A test that runs make is not to share this one's -j.
PYTEST = MAKEFLAGS= PYTHONDONTWRITEBYTECODE= $(DEV) -m pytest
WORKERS = 4
TESTS =
T =
PROVIDER =
FETCHERS = 1
PARTS =
SEEDS = 200
REAL_SEEDS = 25
UPGRADE =
YES =
CODE = services shared deploy tests benchmarks
COMPILE = $(DEV) -m uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate $(UPGRADE)
NPM_LOCK = npm install --prefix tests/strangers --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts \
	--no-audit --no-fund

help:
	@printf '%s\n' \
	  'make run          run the whole product on this machine: http://localhost:8000' \
	  'make stack        run it on a real Kafka, PostgreSQL and Redis, each process by itself (FETCHERS=2)' \
	  'make upgrade      bring an older data folder to this version; asks first (YES=--yes: does not ask)' \
	  'make dev          install what the tests and tools need into .venv-dev' \
	  'make test         run lint, types, import rules and all tests (TESTS=path picks some)' \
	  'make test-one     run one test or file: make test-one T=shared/tests/test_settings.py::test_name' \
	  'make conformance  run the tests that every provider has to pass (PROVIDER=slug picks one)' \
	  'make test-busy    run the tests three times beside four busy loops; green means all three' \
	  'make stack-test   run the suites that need real servers' \
	  'make chaos        run long fault tests, here and on real Kafka; writes docs/reliability.md' \
	  'make lint         check lint, types, import rules and generated files' \
	  'make fmt          format the code and apply safe fixes' \
	  'make generate     write the pages and contracts that are made from the code' \
	  'make check        run make lint, and print figures of the code for each folder' \
	  'make bench        measure loading and reading (PARTS="load reads" picks some; all takes long)' \
	  'make screenshots  take the pictures of the console for the README' \
	  'make lock         write the lock files (UPGRADE=--upgrade for newer versions)' \
	  'make clean        remove what make installed and cached; data in .tributary stays'

run:
	@sh deploy/bootstrap.sh .venv requirements-local.lock
	@exec $(RUN) -m deploy.local

stack:
	@sh deploy/bootstrap.sh .venv requirements-local.lock
	@exec $(RUN) -m deploy.native --fetchers $(FETCHERS)

upgrade:
	@sh deploy/bootstrap.sh .venv requirements-local.lock
	@exec $(RUN) -m deploy.upgrade $(YES)

test: lint outsiders
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=10 $(TESTS)

# Other people's programs that tests run; -j 2 installs them while the code is checked.
outsiders: dev
	@sh deploy/chromium.sh
	@sh tests/strangers/install.sh

test-one: dev
	@if [ -z '$(T)' ]; then echo 'Say which: make test-one T=path/of/test_file.py::test_name' >&2; exit 2; fi
	@$(PYTEST) -q $(T)

conformance: dev
	$(PYTEST) -q tests/conformance/suite $${PROVIDER:+--provider=$$PROVIDER}

test-busy: lint outsiders
	@PYTHONDONTWRITEBYTECODE= sh tests/busy.sh $(DEV) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

stack-test: dev
	$(PYTEST) -n $(WORKERS) --dist loadfile --durations=10 deploy/kafka deploy/servers deploy/native \
		tests/servers tests/contract tests/upgrade shared/tests
	$(PYTEST) --durations=10 -m real tests/chaos

chaos: dev
	$(PYTEST) -n 2 --dist loadfile --durations=10 -m variation
	$(DEV) -m tests.chaos --stack local --seeds $(SEEDS)
	$(DEV) -m tests.chaos --stack real --seeds $(REAL_SEEDS)

lint: dev
	$(DEV) -m ruff check .
	$(DEV) -m ruff format --check .
	$(DEV) -m mypy $(CODE)
	PYTHONPATH=. $(DEV) -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-logo --cache-dir .cache/imports
	$(DEV) -m deploy.generate --check

fmt: dev
	@$(DEV) -m ruff format --quiet . || true
	$(DEV) -m ruff check --fix-only .
	@$(DEV) -m ruff format . || true
	@$(DEV) -m ruff check . || { echo 'Everything else is formatted. What is listed above is left for you.' >&2; exit 1; }

generate: dev
	@exec $(DEV) -m deploy.generate

check: lint
	@$(DEV) -m tests.structure.figures

bench: dev
	@exec $(DEV) -m benchmarks $(PARTS)

screenshots: dev
	@sh deploy/chromium.sh
	@exec $(DEV) -m tests.screenshots

lock: dev
	$(COMPILE) pyproject.toml --output-file requirements.lock
	$(COMPILE) pyproject.toml --group local --constraints requirements.lock --output-file requirements-local.lock
	$(COMPILE) pyproject.toml --group dev --constraints requirements-local.lock --output-file requirements-dev.lock
	$(COMPILE) --group pyproject.toml:strangers --output-file requirements-strangers.lock
	@if command -v npm >/dev/null 2>&1; then $(NPM_LOCK); else echo 'There is no npm here: package-lock.json stays as it was.'; fi

clean:
	rm -rf .venv .venv-dev .venv-strangers .cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

dev:
	@sh deploy/bootstrap.sh .venv-dev requirements-dev.lock
	@case ' $(MAKECMDGOALS) ' in *' dev '*) echo 'Ready: .venv-dev' ;; esac
