# make env | demo | test | test-next | lint | format | docs | dist | try-wheel | release-check | clean. VENV= names
# another environment, PYTHON= another interpreter.
SHELL := /bin/bash
VENV ?= .venv
# The families of flow policies whose tiny models the tests build; groot's own extra brings decord and timm besides,
# which its model does without.
FLOW ?= smolvla,pi,multi_task_dit,eo1,vla_jepa,xvla,fastwam,molmoact2,wallx
EXTRAS ?= maze,arm7,kinematics,lance,aloha,metaworld,pushing,pusht,annotate,view,space,sweep,arm,async,$(FLOW),docs,dev
OUTPUTS ?= outputs
JOBS ?= 2
# Of test-next: a checkout of another LeRobot, the environment it is put into, and what is run there.
LEROBOT_SRC ?=
NEXT ?= .venv-next
NEXT_TESTS ?= tests/integration tests/policy tests/data tests/testing/loopback_hub tests/cli/test_doctor.py
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# One thread a process: torch with two threads beside another job is many times slower than with one.
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
export MPLBACKEND ?= Agg

.PHONY: help env demo test test-next lint format docs dist try-wheel release-check clean
.DEFAULT_GOAL := help

help:
	@echo "make env     build $(VENV) with the pinned versions"
	@echo "make demo    the maze, quickly: data, three trainings, evaluation, table and figures in $(OUTPUTS)/demo"
	@echo "make test    format, lint and types beside the tests, with their coverage"
	@echo "make test-next LEROBOT_SRC=/path/to/lerobot"
	@echo "             the tests that meet LeRobot, with that checkout in its place"
	@echo "make lint    format, lint and types alone"
	@echo "make format  rewrite the code as the formatter wants it"
	@echo "make docs    the documentation as a site in $(OUTPUTS)/site, its notebooks executed"
	@echo "make dist    build the wheel and the sdist into dist/, and check what PyPI would refuse"
	@echo "make try-wheel      install the wheel of dist/ alone into an empty environment and use it (6.5 GB in TMPDIR)"
	@echo "make release-check  version, changelog, address and dist/ are ready to be published; TAG=v1.2.3 too"
	@echo "make clean   remove caches and builds (not $(VENV), not $(NEXT), not $(OUTPUTS))"

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

test: env
	$(BIN)/python scripts/side_by_side.py $(JOBS) $(MAKE)

test-next: env
	@[ -n "$(LEROBOT_SRC)" ] || { echo "name a checkout of LeRobot: make test-next LEROBOT_SRC=/path/to/lerobot"; exit 2; }
	scripts/next_env.sh "$(NEXT)" "$(VENV)" "$(LEROBOT_SRC)"
	$(NEXT)/bin/python -m pytest -n $(JOBS) --dist worksteal -m "not alone" $(NEXT_TESTS)

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Notebooks are executed again when they or the package changed.
docs: env
	$(BIN)/python scripts/docs_site/run_notebooks.py $(OUTPUTS)/notebooks
	NO_MKDOCS_2_WARNING=1 EXECUTED_NOTEBOOKS=$(OUTPUTS)/notebooks $(BIN)/mkdocs build --strict --site-dir $(OUTPUTS)/site

# Without isolation hatchling is the pinned one, and no network is needed.
dist: env
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

try-wheel:
	scripts/try_wheel.sh

release-check: env
	$(BIN)/python scripts/release_check.py $${TAG:+--tag "$$TAG"}

clean:
	rm -rf build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path './$(NEXT)/*' -type d -prune -exec rm -rf {} +
