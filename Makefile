# make env | demo | test | lint | format | clean. VENV= names another environment, PYTHON= another interpreter.
SHELL := /bin/bash
VENV ?= .venv
EXTRAS ?= maze,arm7,aloha,pushing,annotate,sweep,arm,async,dev
OUTPUTS ?= outputs
JOBS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# One thread a process: torch with two threads beside another job is many times slower than with one.
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
export MPLBACKEND ?= Agg

.PHONY: help env demo test lint format clean
.DEFAULT_GOAL := help

help:
	@echo "make env     build $(VENV) with the pinned versions"
	@echo "make demo    the maze, quickly: data, three trainings, evaluation, table and figures in $(OUTPUTS)/demo"
	@echo "make test    format, lint, types, tests"
	@echo "make lint    the same without the tests"
	@echo "make format  rewrite the code as the formatter wants it"
	@echo "make clean   remove caches and builds (not $(VENV), not $(OUTPUTS))"

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	scripts/make_env.sh "$(VENV)" "$(EXTRAS)"
	@touch $@

demo: env
	$(BIN)/lerobot-ambient reproduce maze --quick --output-dir $(OUTPUTS)/demo

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# LeRobot gives a motor 50 ms to answer: the tests with an arm run first, and one at a time.
test: lint
	$(BIN)/python -m pytest -n 1 -m alone
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not alone"

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -type d -prune -exec rm -rf {} +
