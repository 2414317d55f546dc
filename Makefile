# Every target sets up .venv first when it is missing or when pyproject.toml or constraints.txt changed.
#
#   make demo          the whole road on real breast ultrasound; leaves runs/demo/report.html
#   make test          lint, types and the whole test suite
#   make lint          ruff (lint and format) and mypy
#   make fuzz          every reader of what strangers send on spoiled files; SECONDS=600 READER=all
#   make bench ROW=x   one row of the benchmarks; without ROW all of them (hours)
#   make docs          the documentation as pages in build/docs
#   make fresh-check   demo and test in a fresh clone of the last commit
#   make clean         removes .venv, build products and caches; keeps runs/

PYTHON ?= python3
# Two processes, a file each: module fixtures that train something are made once. The files keep the order of
# tests/conftest.py. A process that dies ends the run: pytest-xdist 3.8 gives another one files that are done already,
# about which no word comes back, and waits for ever.
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
ROW ?=
SECONDS ?= 600
READER ?= all

# Real data for the demo, the tests and the benchmarks; the package itself reads no environment variable.
SEMEION_DATA ?= $(wildcard $(abspath ../shared/data))
export SEMEION_DATA

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# -qq: pip's warnings about package folders are noise; its errors are still shown.
PIP := $(PY) -m pip -qq --disable-pip-version-check --no-input
DEMO_DATA := $(wildcard $(SEMEION_DATA)/breastmnist/breastmnist.npz)

.DEFAULT_GOAL := help
.PHONY: help demo test lint fuzz bench docs fresh-check clean $(VENV)

help:
	@sed -n 's/^#   //p' Makefile

$(VENV): $(VENV)/.installed

# The stamp is written last, so an installation that was cut off is done again.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "setting up $(VENV) (a few minutes the first time)"
	@$(PY) -c "" 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --constraint constraints.txt pip
	@$(PIP) install --constraint constraints.txt --build-constraint constraints.txt --editable '.[train,fast,pdf]' --group dev
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	@$(PIP) install --constraint constraints.txt --group docs
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/semeion demo $(if $(DEMO_DATA),--data "$(DEMO_DATA)") -o runs/demo
	@echo "report: $(abspath runs/demo/report.html)"

lint: $(VENV)/.installed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

test: lint
	$(PY) -m pytest $(PYTEST_ARGS)

fuzz: $(VENV)/.installed
	cd tests && ../$(PY) -m support.fuzz $(READER) $(SECONDS) $$(date +%j)

bench: $(VENV)/.installed
	$(PY) -m benchmarks $(ROW)

docs: $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict --clean --site-dir build/docs
	@echo "docs: $(abspath build/docs/index.html)"

fresh-check:
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	git clone --quiet --no-hardlinks . "$$folder/semeion" && \
	$(MAKE) -C "$$folder/semeion" SEMEION_DATA="$(SEMEION_DATA)" demo test

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
