# `make quickstart` and `make test` set up everything that they need.

.PHONY: quickstart env test test-fast same-bits physics lint docs bench gpu-check faults slurm report leaderboard \
	lock lock-package lock-docs clean help
.DEFAULT_GOAL := help
SHELL := /bin/bash

STUDY ?= quickstart
CORES ?= 2
# cuda13 or cuda12 for an NVIDIA GPU; empty for the CPU.
GPU ?=
# The first supported Python; `make env PYTHON=/path/to/python` chooses another.
PYTHON_FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(PYTHON_FITS)' 2>/dev/null && echo $$p && break; done)

VENV := .venv
BIN := $(VENV)/bin
DOCS_VENV := .venv-docs
GPU_VENV := .venv-gpu
STAMP := $(VENV)/made$(if $(GPU),-$(GPU))
CONFIG := workflow/config/$(STUDY).yaml
RESULTS := results/$(STUDY)
# The jobs find `ferminet` in the folder of Snakemake, so no environment needs to be activated.
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG)

help:
	@echo "make quickstart   set up the environment, compute the laptop study, write tables, figures and a report"
	@echo "make test         run all tests"
	@echo "make test-fast    leave out tests that compile large programs or start many processes"
	@echo "make same-bits    compute H and LiH with an earlier commit (BASE=) and this one, and compare all bits"
	@echo "make physics      check the Hartree-Fock energies of all test systems to 1 mEh"
	@echo "make lint         check style and types"
	@echo "make docs         build the documentation's site in build/docs/html; it needs no network after the first time"
	@echo "make env          set up the environment only (GPU=cuda13 or GPU=cuda12 for a GPU)"
	@echo "make report       write Snakemake's own report of a finished study (STUDY=quickstart)"
	@echo "make leaderboard  write the leaderboard of all released and submitted rows in build/leaderboard"
	@echo "make bench        time an iteration, compared with general algorithms, up to 30 electrons"
	@echo "make gpu-check    compile the programs of an iteration for H200, H100 and A100 on any machine; count launches"
	@echo "make faults       test 209 kills, full disks and damaged files (about 20 minutes)"
	@echo "make slurm        test stopped, preempted and cancelled jobs on a SLURM cluster of one node"
	@echo "make lock         write new exact versions from requirements.in, and those of the site's tools"
	@echo "make clean        remove the environments and caches, never results"

env: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 with its venv module was found:" \
		"install one (Debian, Ubuntu: apt install python3 python3-venv), or name one with PYTHON=." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "$$($(PYTHON) --version 2>&1) is not supported: name a Python 3.11 to 3.13 with PYTHON=." >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module:" \
		"install it (Debian, Ubuntu: apt install python3-venv)." >&2; exit 2; }
	@case "$(GPU)" in ""|cuda12|cuda13) ;; *) echo "GPU=$(GPU) is unknown: use GPU=cuda13," \
		"GPU=cuda12, or leave it out for the CPU." >&2; exit 2;; esac
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the packages of requirements.lock into $(VENV); this takes a few minutes once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(if $(GPU),$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c requirements.lock "jax[$(GPU)]")
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation -e .
	@touch $@

quickstart: env
	$(SNAKEMAKE)
	@echo
	@$(BIN)/ferminet tables --energies $(RESULTS)/energies.parquet --show
	@echo
	@echo "energies   $(RESULTS)/energies.parquet"
	@echo "tables     $(RESULTS)/tables/"
	@echo "figures    $(RESULTS)/figures/"
	@echo "report     $(RESULTS)/report.html"

test: env
	$(BIN)/python -m pytest --numprocesses=$(CORES) --dist=loadfile --no-loadscope-reorder

test-fast: env
	$(BIN)/python -m pytest --fast --numprocesses=$(CORES) --dist=loadfile --no-loadscope-reorder

# The commit before the package was divided into ten folders; BASE= names another.
BASE ?= 9ecf3c9
same-bits: env
	$(BIN)/python -m bench.same_bits $(BASE)

physics: env
	$(BIN)/python -m pytest --long -s tests/vmc/test_hartree_fock.py

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# The tables of released rows come from the package; all else reads the sources and needs Sphinx only.
docs: env $(DOCS_VENV)/made
	$(BIN)/python -m docs.site.released build/docs/released
	$(DOCS_VENV)/bin/python -m docs.site.build build/docs
	@echo "site       build/docs/html/index.html"

$(DOCS_VENV)/made: requirements-docs.lock | $(STAMP)
	@test -x $(DOCS_VENV)/bin/python || $(BIN)/python -m venv $(DOCS_VENV)
	@$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.lock
	@touch $@

bench: env
	$(BIN)/python -m bench --scaling

# An environment of its own, because JAX's CUDA plug-in is large and needs no GPU to compile for one.
gpu-check:
	@$(MAKE) --no-print-directory env VENV=$(GPU_VENV) GPU=cuda13
	$(GPU_VENV)/bin/python -m bench.gpu --jobs $(CORES) --out results/gpu_check.json

faults: env
	$(BIN)/python -m pytest tests/faults
	$(BIN)/python -m pytest --long -s tests/faults

slurm: env
	$(BIN)/python -m pytest --long -v tests/slurm

report: env
	$(SNAKEMAKE) --report $(RESULTS)/snakemake-report.html

leaderboard: env
	$(BIN)/ferminet leaderboard --out-dir build/leaderboard

# Packages that are the same for all Pythons stand in a lock once, others with a marker.
# $(1): the lock, $(2): the file of its direct requirements, $(3): their name in its first line.
define write_lock
	for version in 3.11 3.13; do python$$version -m venv --clear .cache/lock/$$version && \
		.cache/lock/$$version/bin/python -m pip uninstall --quiet --yes setuptools && \
		.cache/lock/$$version/bin/python -m pip install --quiet -r $(2) && \
		.cache/lock/$$version/bin/python -m pip freeze --all | grep -v '^pip==' | LC_ALL=C sort \
			> .cache/lock/$$version.txt || exit 1; done
	@cd .cache/lock && { echo '# Exact versions of everything, for Python 3.11 and for Python 3.12 and 3.13.' \
			'Made from $(3) by `make lock`.'; \
		{ comm -12 3.11.txt 3.13.txt; comm -23 3.11.txt 3.13.txt | sed 's/$$/ ; python_version < "3.12"/'; \
		comm -13 3.11.txt 3.13.txt | sed 's/$$/ ; python_version >= "3.12"/'; } | LC_ALL=C sort -f; } \
		> ../../$(1)
endef

lock: lock-package lock-docs

lock-package:
	$(call write_lock,requirements.lock,requirements.in,requirements.in)

# The extra alone: the site does not need the package to be installed.
lock-docs:
	mkdir -p .cache/lock
	python3.13 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"] \
		["optional-dependencies"]["docs"], sep="\n")' > .cache/lock/docs.in
	$(call write_lock,requirements-docs.lock,.cache/lock/docs.in,the extra docs of pyproject.toml)

clean:
	rm -rf $(VENV) $(DOCS_VENV) $(GPU_VENV) .cache .pytest_cache .ruff_cache build *.egg-info
	find ferminet tests bench docs -name __pycache__ -type d -prune -exec rm -rf {} +
