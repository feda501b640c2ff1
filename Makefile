# `make run` starts the console with a live deployment, `make test` runs all tests; each does all it needs.
.PHONY: run test check lint format test-postgres

VENV := .venv
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c '$(IS_NEW_ENOUGH)' 2>/dev/null && echo "$$python" && break; done)
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --no-input install --no-deps
PYTEST := $(VENV)/bin/python -m pytest

run: $(VENV)/.console
	@$(VENV)/bin/medley up

test: $(VENV)/.dev
	$(PYTEST)

check: lint test

lint: $(VENV)/.dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python manage.py makemigrations --check --dry-run --settings webapp.settings.test

format: $(VENV)/.dev
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

test-postgres: $(VENV)/.dev  # what touches the database, once more on a throw-away PostgreSQL
	$(VENV)/bin/python -m tests.support.with_postgres $(PYTEST) tests/unit/webapp tests/unit/workers

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Medley needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3"; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || $(PYTHON) -m virtualenv --clear $(VENV) || { rm -rf $(VENV); \
		echo "Python cannot make an environment here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.console: infra/locks/console.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the console into $(VENV)"
	@$(PIP) -r infra/locks/console.txt
	@$(PIP) --quiet --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: infra/locks/dev.txt $(VENV)/.console
	@echo "Installing the tools of developers into $(VENV)"
	@$(PIP) -r infra/locks/dev.txt
	@touch $@
