# Make and Python 3.11 or later are all a fresh machine needs. Only `make setup` uses the network.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup run test check bench soak chaos openapi lock

help:  ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## make .venv with exactly what requirements.lock says

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 …")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python lacks venv (Debian, Ubuntu: apt-get install python3-venv)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)"
	$(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The demo issuer is on unless a real one is named: `make run` is for trying out, on either database.
run: export DEMO := $(if $(DEMO),$(DEMO),$(if $(OIDC_ISSUER),0,1))
run: setup  ## migrate, lay out demo data, serve (DATABASE_URL=… for PostgreSQL)
	$(BIN)/intervention migrate
	exec $(BIN)/intervention serve

test: setup  ## the whole suite, on SQLite and PostgreSQL
	@$(BIN)/python -c 'from tests.postgres_server import require_server; require_server()'
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: setup  ## what needs no running service: style, types, rings, frozen files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -m frozen

bench: setup  ## requests, windows and growth against their floors
	$(BIN)/python -m bench

soak: setup  ## the long proofs at full length, a night; LONG_PROOFS=0.1 for a tenth
	LONG_PROOFS=$${LONG_PROOFS:-whole} $(BIN)/pytest -m long -s

chaos: setup  ## kills, races and mutations at full length; LONG_PROOFS as above
	LONG_PROOFS=$${LONG_PROOFS:-whole} $(BIN)/pytest -m chaos -s

openapi: setup  ## write openapi/openapi.json from the code
	$(BIN)/python -m tests.openapi_document

lock: setup  ## renew requirements.lock after a change of pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --extra dev pyproject.toml -o requirements.lock
