# `make install` once, then `make demo`. Everything lives in .venv and in the Docker engine.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
BASE := tiny-backspace-base:bookworm

.PHONY: help install engine image lint test soak podman demo bench lock clean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.package engine image ## the package, a Docker engine and the sandbox image; quick when all is there

# A stamp is newer than what it was made from, or it is made again.
.venv/.made:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make install PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  package=$$("$(PYTHON)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	  command="apt-get update && apt-get install --yes --no-install-recommends $$package"; \
	  if [[ $$EUID == 0 ]] && command -v apt-get >/dev/null; \
	  then DEBIAN_FRONTEND=noninteractive bash -c "$$command" </dev/null; \
	  else echo "Python's venv module is missing; on Debian and Ubuntu run as root: $$command" >&2; exit 1; fi; }
	"$(PYTHON)" -m venv .venv
	@touch $@

.venv/.locked: requirements.lock .venv/.made
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	@touch $@

.venv/.package: pyproject.toml .venv/.locked
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

engine:
	@bash deploy/install-engine.sh

# No stamp: the image's name is the hash of sandbox-image/, and only the engine knows what it holds.
# Without a registry the first build fails for want of its base; with one of our own it is tried again.
image: .venv/.package engine
	@$(BIN)/tiny-backspace image build || { \
	  ! docker image inspect $(BASE) >/dev/null 2>&1 && \
	  bash sandbox-image/make-base.sh $(BASE) && $(BIN)/tiny-backspace image build; }

lint: .venv/.package ## ruff, mypy --strict, the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# GitHub's own description of its API, which the tests hold every request against; 13 MB of 385.
.venv/npm/.described: tests/servers/npm/package.json tests/servers/npm/package-lock.json .venv/.made
	@command -v npm >/dev/null || { command="apt-get update && apt-get install --yes --no-install-recommends npm"; \
	  if [[ $$EUID == 0 ]] && command -v apt-get >/dev/null; \
	  then DEBIAN_FRONTEND=noninteractive bash -c "$$command" </dev/null; \
	  else echo "npm is missing; on Debian and Ubuntu run as root: $$command" >&2; exit 1; fi; }
	@mkdir -p .venv/npm && cp tests/servers/npm/package.json tests/servers/npm/package-lock.json .venv/npm/
	npm ci --prefix .venv/npm --silent --no-audit --no-fund --ignore-scripts
	@find .venv/npm/node_modules/@octokit/openapi/generated -type f ! -name api.github.com.json -delete
	@touch $@

# A browser and what drives it, which the service's page is tried in.
.venv/.browser: .venv/.made
	@{ command -v chromium && command -v chromedriver; } >/dev/null || { \
	  command="apt-get update && apt-get install --yes --no-install-recommends chromium chromium-driver"; \
	  if [[ $$EUID == 0 ]] && command -v apt-get >/dev/null; \
	  then DEBIAN_FRONTEND=noninteractive bash -c "$$command" </dev/null; \
	  else echo "chromium or chromedriver is missing; on Debian run as root: $$command" >&2; exit 1; fi; }
	@touch $@

test: install lint .venv/npm/.described .venv/.browser ## lint and every test; needs the engine
	$(BIN)/pytest

# Beside the tests: it takes root, and Debian's packages podman, catatonit and runc (docs/security.md, "Engines").
podman: .venv/.package image ## the product on Podman instead of Docker
	$(BIN)/pytest tests/podman/engine.py

soak: install .venv/npm/.described ## many runs at once and in sequence, every fault at every phase; half an hour
	$(BIN)/pytest -s tests/faults/soak_load.py tests/faults/soak_second_engine.py tests/faults/soak_long.py tests/faults/soak_batch.py

demo: install ## a whole run on a small repository, offline, without a key
	@$(BIN)/tiny-backspace demo

bench: install .venv/npm/.described ## how long things take
	$(BIN)/python -m tests.bench

lock: .venv/.package ## pin dependencies anew; UPGRADE=--upgrade takes the newest
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $(UPGRADE) \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	  --group dev --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --constraint requirements.lock \
	  --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command 'make lock' \
	  --extra server --group build --output-file deploy/requirements.lock pyproject.toml

clean: ## remove .venv and caches; the engine and its images stay
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
