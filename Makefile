# `make run` starts the console with a live deployment, `make test` runs all tests; each does all it needs.
.PHONY: run test check format

VENV := .venv
PYTHON ?= python3

run: $(VENV)/.console
	@$(VENV)/bin/medley up

test: $(VENV)/.dev
	$(VENV)/bin/pytest

check: $(VENV)/.dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python manage.py makemigrations --check --dry-run --settings webapp.settings.test
	$(VENV)/bin/pytest

format: $(VENV)/.dev
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.console: infra/locks/console.txt pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install --disable-pip-version-check --no-deps -r infra/locks/console.txt
	$(VENV)/bin/pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: infra/locks/dev.txt $(VENV)/.console
	$(VENV)/bin/pip install --disable-pip-version-check --no-deps -r infra/locks/dev.txt
	@touch $@
